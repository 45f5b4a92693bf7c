// Waits for the first part of a body as long as it moves: nothing is held for a client that stopped sending.
import type { Clock } from '../domain/clock.ts';
import { type BodyPart, type FirstPart, type FirstPartReach, readFirstPart } from '../http/body.ts';
import type { DownstreamRequest } from '../http/server.ts';
import type { Watch, Watched } from './watch.ts';

/** Told once. `null`: the client left; `stalled`: it stopped sending; `cut`: somebody else ended the wait. */
export type FirstPartCame = (part: BodyPart | null | 'stalled' | 'cut') => void;

export class FirstPartWait implements Watched {
  readonly #watch: Watch;
  readonly #idleMs: number;
  readonly #came: FirstPartCame;
  #reading: FirstPart | null = null;
  #bytesSeen = 0;
  #movedMs: number;
  #isOver = false;

  /** @param idleMs 0 waits for ever */
  constructor(watch: Watch, idleMs: number, clock: Clock, came: FirstPartCame) {
    this.#watch = watch;
    this.#idleMs = idleMs;
    this.#came = came;
    this.#movedMs = clock.elapsedMs();
  }

  start(request: DownstreamRequest, length: number | 'chunked', reach: FirstPartReach): void {
    this.#watch.add(this);
    this.#reading = readFirstPart(request, length, reach, (part) => this.#end(part));
  }

  check(nowMs: number): void {
    const bytes = this.#reading?.bytes ?? 0;
    if (bytes !== this.#bytesSeen) {
      this.#bytesSeen = bytes;
      this.#movedMs = nowMs;
    } else if (this.#idleMs > 0 && nowMs - this.#movedMs >= this.#idleMs) {
      this.#end('stalled');
    }
  }

  cut(): void {
    this.#end('cut');
  }

  #end(part: Parameters<FirstPartCame>[0]): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#watch.delete(this);
    this.#came(part);
  }
}
