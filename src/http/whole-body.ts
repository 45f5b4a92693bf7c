// Bodies that must be here whole before anything is decided: read up to a bound.
import type { IncomingMessage } from 'node:http';

import type { BodyPart } from './body.ts';

export interface WholeBody {
  /** Bytes that came so far. */
  readonly bytes: number;
}

export interface WholeBodyBounds {
  /** Of one body: of a longer one only so much is read, and the rest still waits for its reader. */
  readonly bytesMax: number;
  /** Takes room for so many bytes more among all bodies that are kept; false where there is none. */
  readonly takeRoom: (bytes: number) => boolean;
}

/**
 * Reads what follows a first part that was read already.
 * @param done called once; with null when the client left before its body was complete
 */
export function readRest(
  request: IncomingMessage,
  first: Buffer,
  { bytesMax, takeRoom }: WholeBodyBounds,
  done: (body: BodyPart | 'no_room' | null) => void,
): WholeBody {
  const parts = [first];
  const reading = { bytes: first.length };
  const finish = (body: BodyPart | 'no_room' | null) => {
    request.off('data', onData).off('end', onEnd).off('close', onClose);
    done(body);
  };
  const stop = (body: BodyPart | 'no_room') => {
    request.pause();
    finish(body);
  };
  const onData = (chunk: Buffer) => {
    parts.push(chunk);
    reading.bytes += chunk.length;
    if (!takeRoom(chunk.length)) stop('no_room');
    else if (reading.bytes > bytesMax) stop({ bytes: Buffer.concat(parts), isWhole: false });
  };
  const onEnd = () => finish({ bytes: Buffer.concat(parts), isWhole: true });
  const onClose = () => finish(null);
  request.on('data', onData).on('end', onEnd).on('close', onClose);
  if (takeRoom(first.length)) request.resume();
  else process.nextTick(stop, 'no_room');
  return reading;
}
