// What is learnt from a reply as it goes by. Looks at copies only, holds little, and never fails: what it cannot read is absent.
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';

import type { Transport } from '../domain/exchange.ts';
import { type ReplyFacts, readReplyFacts } from '../openai/usage.ts';

/** Kept of a reply's beginning and end. The end of a long event with its usage fits. */
const HEAD_BYTES = 4 * 1024;
const TAIL_BYTES = 16 * 1024;
/** A reply that inflates beyond this is not read further. */
const INFLATED_BYTES_MAX = 32 * 1024 * 1024;
/** Compressed bytes that may wait for the decoder; a reply that outruns it is not read further. */
const UNDECODED_BYTES_MAX = 1024 * 1024;

const NOTHING: ReplyFacts = { usage: undefined, model: null };

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

/** References to the first and the last chunks of a stream: nothing is copied until the end. */
function keepEnds() {
  const head: Buffer[] = [];
  let headBytes = 0;
  let tail: Buffer[] = [];
  let tailBytes = 0;
  return {
    feed(chunk: Buffer) {
      if (headBytes < HEAD_BYTES) {
        head.push(chunk);
        headBytes += chunk.length;
      }
      tail.push(chunk);
      tailBytes += chunk.length;
      // Dropped in bulk: shifting one off the front at every chunk would move all the others.
      if (tailBytes > 2 * TAIL_BYTES && tail.length > 1) {
        let from = tail.length;
        let kept = 0;
        while (from > 0 && kept < TAIL_BYTES) kept += tail[--from]!.length;
        tail = tail.slice(from);
        tailBytes = kept;
      }
    },
    facts(): ReplyFacts {
      const end = tail.length === 1 ? tail[0]! : Buffer.concat(tail);
      const start = head.length === 1 ? head[0]! : Buffer.concat(head);
      return readReplyFacts(start.subarray(0, HEAD_BYTES), end.subarray(Math.max(0, end.length - TAIL_BYTES)));
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
        done(NOTHING);
        return;
      }
      onEnd = () => {
        onEnd = null;
        done(isGivenUp ? NOTHING : ends.facts());
      };
      decoder.end();
    },
  };
}
