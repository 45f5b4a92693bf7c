// Counts costs as they are entered in the ledger, by state: what the metrics of a process tell, so that they and the ledger agree.
import type { Entry } from './entry.ts';
import type { Money } from './money.ts';
import type { CostState } from './price.ts';

export interface Tallied {
  entries: number;
  amount: Money;
}

export class CostTally {
  readonly byState = new Map<CostState, Tallied>();
  /** What corrections of prices added to earlier entries, and what they took back: both above 0. */
  raised: Money = 0n;
  lowered: Money = 0n;

  add({ kind, state, amount }: Pick<Entry, 'kind' | 'state' | 'amount'>): void {
    const sum = amount ?? 0n;
    if (kind === 'adjustment') {
      if (sum > 0n) this.raised += sum;
      else this.lowered -= sum;
    } else this.#count(state, 1, sum);
  }

  addAll(other: CostTally): void {
    for (const [state, { entries, amount }] of other.byState) this.#count(state, entries, amount);
    this.raised += other.raised;
    this.lowered += other.lowered;
  }

  #count(state: CostState, entries: number, amount: Money): void {
    const tallied = this.byState.get(state);
    if (tallied === undefined) this.byState.set(state, { entries, amount });
    else {
      tallied.entries += entries;
      tallied.amount += amount;
    }
  }
}
