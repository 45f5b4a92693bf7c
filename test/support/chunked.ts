// The chunked framing, for scripts that write a reply piece by piece.
import type { Header } from './wire.ts';

/** A reply head for a stream of events whose length nobody knows. */
export const EVENT_STREAM: readonly Header[] = [
  ['Content-Type', 'text/event-stream; charset=utf-8'],
  ['Transfer-Encoding', 'chunked'],
];

export const LAST_CHUNK = '0\r\n\r\n';

export function chunk(bytes: Buffer | string): Buffer {
  const body = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  return Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]);
}
