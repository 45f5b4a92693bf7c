// What is learnt from a reply as it goes by. Looks at copies only, holds little, and never fails: what it cannot read is absent.
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';

import type { Endpoint } from '../domain/endpoint.ts';
import type { Transport } from '../domain/exchange.ts';
import { NOTHING_SEEN, type ReplyFacts } from '../domain/facts.ts';
import { type ReplyScan, scanReply } from '../openai/reply-facts.ts';

/** A reply that inflates beyond this, and beyond so many times its size, is not read further: it is all work and no sense. */
const INFLATED_BYTES_MAX = 32 * 1024 * 1024;
const INFLATION_MAX = 64;
/** Compressed bytes that may wait for the decoder; a reply that outruns it by more is not read further. */
const UNDECODED_BYTES_MAX = 8 * 1024 * 1024;

export interface ReplyObserver {
  feed(chunk: Buffer): void;
  /** Of the text that the model has written so far, about; 0 where that is only known at the end. */
  textBytes(): number;
  /** Ends the observation. Called back at once, but for a compressed reply, whose decoder must finish first. */
  finish(done: (facts: ReplyFacts) => void): void;
}

export function transportOf(replyType: string, requestType: string): Transport {
  const type = replyType.toLowerCase();
  if (type.startsWith('text/event-stream')) return 'sse';
  if (requestType.toLowerCase().startsWith('multipart/')) return 'multipart';
  return type.includes('json') ? 'json' : 'binary';
}

/** Null where there is nothing that could be read. */
export function observeReply(contentType: string, contentEncoding: string, endpoint?: Endpoint): ReplyObserver | null {
  const isPlain = contentEncoding === '' || contentEncoding === 'identity';
  const decoder = isPlain ? null : decoderFor(contentEncoding);
  if (!isPlain && decoder === null) return null;
  const scan = scanReply(contentType, endpoint);
  if (scan === null) return null;
  return decoder === null ? plainObserver(scan) : decodingObserver(scan, decoder);
}

function plainObserver(scan: ReplyScan): ReplyObserver {
  return {
    feed: (chunk) => scan.feed(chunk),
    textBytes: () => scan.textBytes(),
    finish: (done) => done(scan.facts()),
  };
}

function decoderFor(contentEncoding: string): Transform | null {
  switch (contentEncoding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    case 'zstd':
      return createZstdDecompress();
    default:
      // A chain of encodings, or one that nobody asked for: the bytes pass, their sense is not sought.
      return null;
  }
}

function decodingObserver(scan: ReplyScan, decoder: Transform): ReplyObserver {
  let compressedBytes = 0;
  let inflatedBytes = 0;
  let isGivenUp = false;
  let onEnd: (() => void) | null = null;

  const giveUp = () => {
    if (isGivenUp) return;
    isGivenUp = true;
    decoder.destroy();
    onEnd?.();
  };
  decoder.on('data', (chunk: Buffer) => {
    inflatedBytes += chunk.length;
    if (inflatedBytes > Math.max(INFLATED_BYTES_MAX, compressedBytes * INFLATION_MAX)) giveUp();
    else scan.feed(chunk);
  });
  decoder.on('error', giveUp);
  decoder.on('end', () => onEnd?.());
  return {
    feed(chunk) {
      if (isGivenUp) return;
      compressedBytes += chunk.length;
      if (decoder.writableLength > UNDECODED_BYTES_MAX) giveUp();
      else decoder.write(chunk);
    },
    textBytes: () => scan.textBytes(),
    finish(done) {
      if (isGivenUp) {
        done(NOTHING_SEEN);
        return;
      }
      onEnd = () => {
        onEnd = null;
        done(isGivenUp ? NOTHING_SEEN : scan.facts());
      };
      decoder.end();
    },
  };
}
