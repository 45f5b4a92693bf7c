// A ledger entry: what one exchange, or the work it started, cost whom. Entries are never changed: one is answered by another.
import type { BasisRecord } from './basis.ts';
import type { HeldAmount, Hold } from './budget.ts';
import type { CostLineRecord, ReadingRecord } from './exchange-record.ts';
import type { BudgetId, ExchangeId, KeyId, TeamId, UserId } from './id.ts';
import type { Money } from './money.ts';
import type { CostState } from './price.ts';

/**
 * - `charge`: of an exchange, or of the work that it started.
 * - `adjustment`: what a later look at prices changes about an earlier entry; it counts as no exchange.
 */
export type EntryKind = 'charge' | 'adjustment';

export interface Entry {
  /** What makes it the only one: the exchange's id, or such as `batch:<id>` for what is settled later. */
  readonly settleKey: string;
  readonly kind: EntryKind;
  /** Counted as an exchange: false for one turn of a socket, and for what is settled later. */
  readonly isExchange: boolean;
  readonly exchangeId: ExchangeId | null;
  readonly teamId: TeamId | null;
  readonly keyId: KeyId | null;
  readonly userId: UserId | null;
  readonly endpoint: string | null;
  readonly model: string | null;
  readonly tags: readonly string[];
  readonly state: CostState;
  /** Null where it is unknown, or not known yet. */
  readonly amount: Money | null;
  /** One short code where it is not simply priced or free, such as `hold_stands` or `hold_expired`. */
  readonly why: string | null;
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly priceVersion: string | null;
  readonly lines: readonly CostLineRecord[];
  readonly readings: readonly ReadingRecord[];
  /** What its cost was worked out from; absent where no price was looked up. */
  readonly basis?: readonly BasisRecord[];
  /** What it took from budgets. Their windows are the sums of these. */
  readonly charges: readonly Charge[];
  /** Milliseconds since 1970: when the exchange arrived; for what is settled later, when it was. */
  readonly at: number;
  /** The entry that left open what this one says. */
  readonly resolves: {
    readonly settleKey: string;
    readonly at: number;
    readonly state: CostState;
    /** Under which it was counted; absent where under the same. */
    readonly model?: string | null;
  } | null;
  /** When the work was done, where it took longer than an exchange. */
  readonly servicePeriod: { readonly from: number; readonly to: number } | null;
}

/** What an entry took from one account of one budget, in one window. */
export interface Charge {
  readonly budgetId: BudgetId;
  readonly account: string;
  readonly windowStart: number;
  /** Pico-dollars, or tokens. Negative where an entry gives back. */
  readonly amount: bigint;
}

/** What is known when an exchange ends. */
export interface Outcome {
  readonly state: CostState;
  readonly amount: Money | null;
  /** Null where unknown. */
  readonly tokens: number | null;
  /** Of a turn of a socket: it did not come to its end. */
  readonly isCut?: boolean;
}

/** What an exchange takes from the budgets that it was held in. Where the truth is unknown, what was set aside stands. */
export function chargesOf(hold: Hold, outcome: Outcome): Charge[] {
  return hold.amounts.map((held) => chargeOf(held, { ...outcome, stands: held.amount }));
}

/** The same for one turn of a socket, whose hold goes on for the next: what is unknown takes nothing yet, unless it was the last. */
export function turnChargesOf(hold: Hold, outcome: Outcome): Charge[] {
  return hold.amounts.map((held) => chargeOf(held, { ...outcome, stands: outcome.isCut === true ? held.amount : 0n }));
}

function chargeOf(held: HeldAmount, outcome: Outcome & { readonly stands: bigint }): Charge {
  const { budgetId, account, windowStart } = held;
  return { budgetId, account, windowStart, amount: amountOf(held, outcome) };
}

function amountOf({ unit, countsEstimates }: HeldAmount, outcome: Outcome & { readonly stands: bigint }): bigint {
  const { state, amount, tokens, stands } = outcome;
  if (state === 'free') return 0n;
  if (unit === 'tokens') return tokens === null ? stands : BigInt(tokens);
  if (!countsEstimates && (state === 'estimated' || amount === null)) return 0n;
  return amount ?? stands;
}

/** What was set aside in money: the same in every budget of money. 0 where there is none. */
export function moneyHeld({ amounts }: Hold): Money {
  let most = 0n;
  for (const { unit, amount } of amounts) if (unit === 'money' && amount > most) most = amount;
  return most;
}
