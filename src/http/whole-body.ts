// Bodies that this gateway answers itself: read whole, up to a bound.
import type { IncomingMessage } from 'node:http';

export interface WholeBody {
  /** Bytes that came so far. */
  readonly bytes: number;
}

/**
 * Reads what follows a first part that was read already.
 * @param done called once; with null when the client left before its body was complete
 */
export function readRest(
  request: IncomingMessage,
  first: Buffer,
  bytesMax: number,
  done: (body: Buffer | 'too_large' | null) => void,
): WholeBody {
  const parts = [first];
  const reading = { bytes: first.length };
  const finish = (body: Buffer | 'too_large' | null) => {
    request.off('data', onData).off('end', onEnd).off('close', onClose);
    done(body);
  };
  const onData = (chunk: Buffer) => {
    parts.push(chunk);
    reading.bytes += chunk.length;
    if (reading.bytes <= bytesMax) return;
    request.pause();
    finish('too_large');
  };
  const onEnd = () => finish(Buffer.concat(parts));
  const onClose = () => finish(null);
  request.on('data', onData).on('end', onEnd).on('close', onClose);
  request.resume();
  return reading;
}
