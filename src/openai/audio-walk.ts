// Goes through the containers of recordings as they come, cut anywhere: from one head to the next, and over all that lies between.
// Keeps what one head needs, which is a few hundred bytes.

/** How one container is read. */
export interface Container {
  /** Bytes that must be there in one piece for the next step; 0 where no more is to be learnt. */
  want: number;
  /** @returns how many bytes to go on by, even beyond what is here; 0 where more than it wanted is needed first */
  step(bytes: Buffer, at: number): number;
  /** @param bytes of the whole file, as far as it came. Null where it cannot be told */
  seconds(bytes: number): number | null;
}

/** Of a day of sound in the smallest frames in use. What takes more steps is made to take them, and is not measured. */
const STEPS_MAX = 4_000_000;
const NOTHING = Buffer.alloc(0);

export class AudioWalk {
  #container: Container;
  #rest: Buffer = NOTHING;
  #skip = 0;
  #steps = 0;

  constructor(container: Container) {
    this.#container = container;
  }

  feed(chunk: Buffer): void {
    const container = this.#container;
    if (container.want === 0) return;
    if (this.#skip >= chunk.length) {
      this.#skip -= chunk.length;
      return;
    }
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = this.#skip;
    this.#skip = 0;
    while (container.want > 0 && bytes.length - at >= container.want && this.#steps < STEPS_MAX) {
      this.#steps++;
      at += container.step(bytes, at);
      if (at <= bytes.length) continue;
      this.#skip = at - bytes.length;
      at = bytes.length;
    }
    const isOver = container.want === 0 || this.#steps === STEPS_MAX;
    // A copy, so that it does not keep what it was read from.
    this.#rest = isOver || at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
  }

  seconds(bytes: number): number | null {
    if (this.#steps === STEPS_MAX) return null;
    const seconds = this.#container.seconds(bytes);
    return seconds !== null && Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
  }
}

/** Whether the next step must wait until so many bytes are here in one piece. */
export function lacks(container: Container, bytes: Buffer, at: number, count: number): boolean {
  if (bytes.length - at >= count) return false;
  container.want = count;
  return true;
}

/** Four letters that name a thing in most containers. */
export function tagAt(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', at, at + 4);
}
