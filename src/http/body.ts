// Request bodies: the first part is looked at before the exchange is admitted, the rest streams by.
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

import { countPassed } from './passed-bytes.ts';

/** A body that announces no more than this is sent upstream in one piece. */
export const WHOLE_BODY_BYTES_MAX = 64 * 1024;

/** How much of a body is waited for before anything is sent upstream. */
export interface FirstPartReach {
  /** A body that announces no more is read whole. */
  readonly announcedBytesMax: number;
  /** Of one that announces nothing, so much is waited for; 0 waits for its first chunk alone. */
  readonly chunkedBytesMax: number;
}

export const SMALL_BODIES: FirstPartReach = { announcedBytesMax: WHOLE_BODY_BYTES_MAX, chunkedBytesMax: 0 };

export interface BodyPart {
  readonly bytes: Buffer;
  /** Nothing follows. */
  readonly isWhole: boolean;
}

export const NO_BODY: BodyPart = { bytes: Buffer.alloc(0), isWhole: true };

/** What the head says of the body: its length, `chunked` where it tells none, or null where there is no body. */
export function announcedLength(request: IncomingMessage): number | 'chunked' | null {
  if (request.headers['transfer-encoding'] !== undefined) return 'chunked';
  const length = request.headers['content-length'];
  return length === undefined ? null : Number(length);
}

/** A first part that is being read. */
export interface FirstPart {
  /** Bytes that are here so far. */
  readonly bytes: number;
}

/**
 * Reads the whole of a small body, or of any other what comes first.
 * @param length what it announces; not 0
 * @param done called once; with null when the client left before
 */
export function readFirstPart(
  request: IncomingMessage,
  length: number | 'chunked',
  reach: FirstPartReach,
  done: (part: BodyPart | null) => void,
): FirstPart {
  const reading = { bytes: 0 };
  // It left while its key was looked up: none of the events below is still to come.
  if (request.destroyed) {
    done(null);
    return reading;
  }
  const waitsForBytes = length === 'chunked' ? reach.chunkedBytesMax : length <= reach.announcedBytesMax ? length : 0;
  const parts: Buffer[] = [];
  let isDone = false;
  const finish = (part: BodyPart | null) => {
    if (isDone) return;
    isDone = true;
    done(part);
  };
  const onData = (chunk: Buffer) => {
    parts.push(chunk);
    reading.bytes += chunk.length;
    if (reading.bytes <= waitsForBytes) return;
    request.pause();
    // Others listen from here on. A whole body has no more events, and its listeners go with the request.
    request.off('data', onData).off('end', onEnd);
    finish({ bytes: joined(parts), isWhole: false });
  };
  const onEnd = () => finish({ bytes: joined(parts), isWhole: true });
  request
    .on('data', onData)
    .on('end', onEnd)
    .on('close', () => finish(null));
  return reading;
}

function joined(parts: readonly Buffer[]): Buffer {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

/**
 * The body as the upstream reads it, first part included. Destroying it leaves the client's connection alone, so that an
 * early reply can still be delivered.
 */
export class RelayedBody extends Readable {
  readonly #request: IncomingMessage;
  readonly #onChunk: (chunk: Buffer) => void;
  #first: Buffer | null;

  /** @param onChunk sees each chunk of the rest as it goes by */
  constructor(request: IncomingMessage, first: Buffer, onChunk: (chunk: Buffer) => void) {
    super({ highWaterMark: 64 * 1024 });
    this.#request = request;
    this.#first = first;
    this.#onChunk = onChunk;
    // Whoever reads it hears of errors too; one that comes when nobody reads any more must not end the process.
    this.on('error', () => {});
  }

  /** It waits for its reader, not for the client. */
  get isFull(): boolean {
    return this.readableLength >= this.readableHighWaterMark;
  }

  override _read(): void {
    if (this.#first !== null) {
      const first = this.#first;
      this.#first = null;
      this.#request.on('data', this.#forward).on('end', this.#finish).on('close', this.#break);
      if (!this.push(first)) return;
    }
    this.#request.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#request.off('data', this.#forward).off('end', this.#finish).off('close', this.#break);
    this.#request.pause();
    callback(error);
  }

  readonly #forward = (chunk: Buffer): void => {
    this.#onChunk(chunk);
    countPassed(chunk.length);
    if (!this.push(chunk)) this.#request.pause();
  };

  readonly #finish = (): void => {
    this.push(null);
  };

  readonly #break = (): void => {
    this.destroy(new Error('the client left before its body was complete'));
  };
}
