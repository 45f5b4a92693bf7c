// What is counted of whom, in this process. Whoever rests is forgotten, so that memory follows those who are at work.
import { MinuteLog } from './minute-log.ts';

export class Counter {
  readonly requests = new MinuteLog();
  readonly tokens = new MinuteLog();
  exchanges = 0;
  streams = 0;
  sockets = 0;
  /** It is counted elsewhere from now on; this one was empty when that began. */
  isDropped = false;

  isIdle(nowMs: number): boolean {
    // Streams and sockets are exchanges too.
    return this.exchanges === 0 && this.requests.isEmpty(nowMs) && this.tokens.isEmpty(nowMs);
  }
}

/** More than a caller has counters, so that resting ones go faster than new ones come. */
const LOOKED_AT = 6;

export class Counters {
  readonly #byId = new Map<string, Counter>();
  #next = this.#byId.entries();

  get size(): number {
    return this.#byId.size;
  }

  of(id: string): Counter {
    let counter = this.#byId.get(id);
    if (counter === undefined) this.#byId.set(id, (counter = new Counter()));
    return counter;
  }

  /** A few are looked at, round and round: whoever brings new ones pays for it, so there is no timer and never a pause. */
  dropIdle(nowMs: number): void {
    for (let looked = 0; looked < LOOKED_AT; looked++) {
      const { value, done } = this.#next.next();
      if (done === true) {
        this.#next = this.#byId.entries();
        return;
      }
      const [id, counter] = value;
      if (!counter.isIdle(nowMs)) continue;
      counter.isDropped = true;
      this.#byId.delete(id);
    }
  }
}
