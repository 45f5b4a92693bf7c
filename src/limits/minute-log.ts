// What was taken of a limit within the last minute, take by take, with the moment at which each comes back.
// So no minute, wherever it begins, ever holds more than the limit; a refilling bucket would let twice as much through.

export const MINUTE_MS = 60_000;
/** Takes that are remembered each for itself, to the millisecond. */
export const EXACT_MAX = 1000;
/** Beyond them, those of one slot come back together: up to a slot late, never early. So a log has at most 2,001 takes. */
export const SLOT_MS = 60;

export interface Take {
  readonly endsMs: number;
  amount: number;
  next: Take | null;
}

export class MinuteLog {
  #oldest: Take | null = null;
  #newest: Take | null = null;
  #count = 0;
  #used = 0;

  used(nowMs: number): number {
    this.#letGo(nowMs);
    return this.#used;
  }

  isEmpty(nowMs: number): boolean {
    this.#letGo(nowMs);
    return this.#oldest === null;
  }

  /** Until the amount fits: 0 where it fits now, Infinity where it never will. */
  waitMs(nowMs: number, amount: number, limit: number): number {
    this.#letGo(nowMs);
    let over = this.#used + amount - limit;
    if (over <= 0) return 0;
    for (let take = this.#oldest; amount <= limit && take !== null; take = take.next) {
      over -= take.amount;
      if (over <= 0) return take.endsMs - nowMs;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Until all of it has come back. */
  resetMs(nowMs: number): number {
    this.#letGo(nowMs);
    return this.#newest === null ? 0 : this.#newest.endsMs - nowMs;
  }

  take(nowMs: number, amount: number): Take {
    this.#letGo(nowMs);
    this.#used += amount;
    const newest = this.#newest;
    const fromMs = this.#count < EXACT_MAX ? nowMs : Math.ceil(nowMs / SLOT_MS) * SLOT_MS;
    const endsMs = Math.max(fromMs + MINUTE_MS, newest === null ? 0 : newest.endsMs);
    if (newest !== null && newest.endsMs === endsMs) {
      newest.amount += amount;
      return newest;
    }
    const take: Take = { endsMs, amount, next: null };
    if (newest === null) this.#oldest = take;
    else newest.next = take;
    this.#newest = take;
    this.#count++;
    return take;
  }

  /** Of a take that has come back already nothing is left to give. */
  giveBack(take: Take, amount: number): void {
    const given = Math.min(amount, take.amount);
    take.amount -= given;
    this.#used -= given;
  }

  #letGo(nowMs: number): void {
    let take = this.#oldest;
    if (take === null || take.endsMs > nowMs) return;
    while (take !== null && take.endsMs <= nowMs) {
      const { next }: Take = take;
      this.#used -= take.amount;
      this.#count--;
      // Whoever still holds this take must not keep all later ones in memory.
      take.amount = 0;
      take.next = null;
      take = next;
    }
    this.#oldest = take;
    if (take === null) this.#newest = null;
  }
}
