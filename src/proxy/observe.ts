// What is learnt from a reply as it goes by. Looks at copies only, holds little, and never fails: what it cannot read is absent.
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';

import type { Transport } from '../domain/exchange.ts';
import { NOTHING_SEEN, type ReplyFacts } from '../domain/facts.ts';
import { readReplyFacts } from '../openai/usage.ts';

/** Kept of a reply's beginning and end. The end of a long event with its usage fits. */
const HEAD_BYTES = 4 * 1024;
const TAIL_BYTES = 16 * 1024;
/** Chunks kept as they are; with one more, all are copied. */
const REFERENCES_MAX = 2;
/** A reply that inflates beyond this is not read further. */
const INFLATED_BYTES_MAX = 32 * 1024 * 1024;
/** Compressed bytes that may wait for the decoder; a reply that outruns it is not read further. */
const UNDECODED_BYTES_MAX = 1024 * 1024;

export interface ReplyObserver {
  feed(chunk: Buffer): void;
  /** Ends the observation. Called back at once, but for a compressed reply, whose decoder must finish first. */
  finish(done: (facts: ReplyFacts) => void): void;
}

export function transportOf(replyType: string, requestType: string): Transport {
  if (replyType.startsWith('text/event-stream')) return 'sse';
  if (requestType.startsWith('multipart/')) return 'multipart';
  return replyType.includes('json') ? 'json' : 'binary';
}

/** Null where there is nothing that could be read. */
export function observeReply(contentType: string, contentEncoding: string): ReplyObserver | null {
  if (!contentType.includes('json') && !contentType.startsWith('text/event-stream')) return null;
  if (contentEncoding === '' || contentEncoding === 'identity') return plainObserver();
  const decoder = decoderFor(contentEncoding);
  return decoder === null ? null : decodingObserver(decoder);
}

function plainObserver(): ReplyObserver {
  const ends = keepEnds();
  return {
    feed: ends.feed,
    finish: (done) => done(ends.facts()),
  };
}

/**
 * A reply's first and last bytes. Most replies are a chunk or two, and are kept by reference until their end. The chunks of a
 * stream are copied into one buffer: kept one by one, a hundred small ones cost several times the memory of their bytes.
 */
function keepEnds() {
  let chunks: Buffer[] = [];
  /** Begins with the reply's first bytes until it is full for the first time. */
  let buffer: Buffer | null = null;
  let length = 0;
  /** The first bytes, once the buffer no longer begins with them. */
  let head: Buffer | null = null;

  function append(into: Buffer, chunk: Buffer): void {
    if (length + chunk.length <= into.length) {
      length += chunk.copy(into, length);
      return;
    }
    head ??= Buffer.concat([into.subarray(0, length), chunk.subarray(0, HEAD_BYTES)]).subarray(0, HEAD_BYTES);
    const kept = Math.max(0, Math.min(length, TAIL_BYTES - chunk.length));
    into.copyWithin(0, length - kept, length);
    length = kept + chunk.copy(into, kept, Math.max(0, chunk.length - TAIL_BYTES));
  }

  return {
    feed(chunk: Buffer) {
      if (buffer === null) {
        if (chunks.length < REFERENCES_MAX) {
          chunks.push(chunk);
          return;
        }
        buffer = Buffer.allocUnsafeSlow(2 * TAIL_BYTES);
        for (const kept of chunks) append(buffer, kept);
        chunks = [];
      }
      append(buffer, chunk);
    },
    facts(): ReplyFacts {
      const seen =
        buffer !== null ? buffer.subarray(0, length) : chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      return readReplyFacts(head ?? seen.subarray(0, HEAD_BYTES), seen.subarray(Math.max(0, seen.length - TAIL_BYTES)));
    },
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

function decodingObserver(decoder: Transform): ReplyObserver {
  const ends = keepEnds();
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
    if (inflatedBytes > INFLATED_BYTES_MAX) giveUp();
    else ends.feed(chunk);
  });
  decoder.on('error', giveUp);
  decoder.on('end', () => onEnd?.());
  return {
    feed(chunk) {
      if (isGivenUp) return;
      if (decoder.writableLength > UNDECODED_BYTES_MAX) giveUp();
      else decoder.write(chunk);
    },
    finish(done) {
      if (isGivenUp) {
        done(NOTHING_SEEN);
        return;
      }
      onEnd = () => {
        onEnd = null;
        done(isGivenUp ? NOTHING_SEEN : ends.facts());
      };
      decoder.end();
    },
  };
}
