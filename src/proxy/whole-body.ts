// Waits for the whole of a body as long as it moves: for exchanges that this gateway answers itself, and for those of which it must
// know more than their beginning tells.
import type { Clock } from '../domain/clock.ts';
import type { BodyPart } from '../http/body.ts';
import type { DownstreamRequest } from '../http/server.ts';
import { type WholeBody, type WholeBodyBounds, readRest } from '../http/whole-body.ts';
import type { Watch, Watched } from './watch.ts';

/** Told once. `null`: the client left; `stalled`: it stopped sending; `no_room`: too much is kept; `cut`: somebody else ended the wait. */
export type WholeBodyCame = (body: BodyPart | null | 'no_room' | 'stalled' | 'cut') => void;

export class WholeBodyWait implements Watched {
  readonly #watch: Watch;
  readonly #idleMs: number;
  readonly #came: WholeBodyCame;
  #reading: WholeBody | null = null;
  #bytesSeen = 0;
  #movedMs: number;
  #isOver = false;

  /** @param idleMs 0 waits for ever */
  constructor(watch: Watch, idleMs: number, clock: Clock, came: WholeBodyCame) {
    this.#watch = watch;
    this.#idleMs = idleMs;
    this.#came = came;
    this.#movedMs = clock.elapsedMs();
  }

  start(request: DownstreamRequest, first: Buffer, bounds: WholeBodyBounds): void {
    this.#watch.add(this);
    this.#reading = readRest(request, first, bounds, (body) => this.#end(body));
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

  #end(body: Parameters<WholeBodyCame>[0]): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#watch.delete(this);
    this.#came(body);
  }
}
