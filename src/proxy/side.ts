// One side of a relayed WebSocket: it is sent what comes from the other at the pace it takes, shows whether it still lives,
// and is told goodbye after all that was sent to it.
import type { MessageSocket, OpenSocket } from '../domain/socket.ts';

/** How a side is told that it is over: by a close frame, or, where the other side just vanished, without one. */
export type Farewell = { readonly code: number | null; readonly reason: Buffer | string } | 'cut';

/** Above this nothing more is read for a side; below that it is read again. A message is held whole, so it may be passed by one. */
const WAITING_BYTES_MAX = 1024 * 1024;
const WAITING_BYTES_LOW = 256 * 1024;
/** What our own pings say: the pongs that repeat it are ours too, and stay here. */
const KEEPALIVE = Buffer.from('throughway keepalive');

/** Is this pong the answer to a ping of ours? */
export function isKeepAlive(pong: Buffer): boolean {
  return pong.equals(KEEPALIVE);
}

export class Side {
  readonly socket: MessageSocket;
  readonly #bytesRead: () => number;
  /** The side whose messages are sent here. */
  #source: Side | null = null;
  #isPaused = false;
  #farewell: Farewell | null = null;
  isClosed = false;
  /** Monotonic milliseconds, as are the other times. */
  #lifeSeenMs: number;
  #bytesSeen = 0;
  #waitingSeen = 0;

  /** @param closed called when its connection is gone */
  constructor({ messages, bytesRead }: OpenSocket, nowMs: number, closed: () => void) {
    this.socket = messages;
    this.#bytesRead = bytesRead;
    this.#lifeSeenMs = nowMs;
    messages.on('close', () => {
      this.isClosed = true;
      closed();
    });
  }

  /** From now on the other side is read no faster than this one takes it. */
  takeFrom(source: Side): void {
    this.#source = source;
  }

  send(bytes: Buffer, isBinary: boolean): void {
    this.socket.send(bytes, { binary: isBinary }, this.#written);
    this.#pace();
  }

  ping(bytes: Buffer): void {
    this.socket.ping(bytes, undefined, this.#written);
    this.#pace();
  }

  pong(bytes: Buffer): void {
    this.socket.pong(bytes, undefined, this.#written);
    this.#pace();
  }

  keepAlive(): void {
    this.ping(KEEPALIVE);
  }

  /** How long nothing came from this side, although it was read, and nothing went to it, although something waits. */
  silentMs(nowMs: number): number {
    const bytes = this.#bytesRead();
    const waiting = this.socket.bufferedAmount;
    if (this.#isPaused || bytes !== this.#bytesSeen || waiting < this.#waitingSeen) this.#lifeSeenMs = nowMs;
    this.#bytesSeen = bytes;
    this.#waitingSeen = waiting;
    return nowMs - this.#lifeSeenMs;
  }

  /** Ends it, at once or after what still waits to be written. Only the first farewell counts, but for a cut. */
  sayFarewell(farewell: Farewell): void {
    if (this.isClosed) return;
    if (farewell === 'cut') {
      this.socket.terminate();
      return;
    }
    if (this.#farewell !== null) return;
    this.#farewell = farewell;
    // Its answer to the close frame must be read.
    this.#resume();
    this.#closeWhenWritten();
  }

  #pace(): void {
    const source = this.#source;
    if (source === null || source.#isPaused || this.socket.bufferedAmount <= WAITING_BYTES_MAX) return;
    source.#isPaused = true;
    source.socket.pause();
  }

  readonly #written = (): void => {
    const source = this.#source;
    if (source !== null && this.socket.bufferedAmount <= WAITING_BYTES_LOW) source.#resume();
    this.#closeWhenWritten();
  };

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.socket.resume();
  }

  /** Not before: the time for its answer runs from the close frame on, and messages ahead of it may take longer. */
  #closeWhenWritten(): void {
    const farewell = this.#farewell;
    if (farewell === null || farewell === 'cut' || this.socket.bufferedAmount > 0) return;
    if (farewell.code === null) this.socket.close();
    else this.socket.close(farewell.code, farewell.reason);
  }
}
