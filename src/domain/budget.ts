// How much in a window of time. A budget binds by holds: the worst case is set aside before the upstream is called, the truth is
// charged after, and the rest is released.
import type { BudgetId, ExchangeId, KeyId, TeamId, UserId } from './id.ts';
import type { Money } from './money.ts';

export type BudgetWindow = 'total' | 'minute' | 'hour' | 'day' | 'week' | 'month';
/** `total` never ends. */
export const WINDOWS_WIDEST_FIRST: readonly BudgetWindow[] = ['total', 'month', 'week', 'day', 'hour', 'minute'];
export type BudgetUnit = 'money' | 'tokens';
export type BudgetScope = 'key' | 'team' | 'user' | 'end_user' | 'model' | 'tag' | 'global';

export interface Budget {
  readonly id: BudgetId;
  readonly scope: BudgetScope;
  /** Whom or what it binds. In the scope `end_user` each end user has an account of its own, of the key or team named, or of all. */
  readonly keyId: KeyId | null;
  readonly teamId: TeamId | null;
  readonly userId: UserId | null;
  /** A pattern such as `gpt-5*` in the scope `model`; each model that matches counts into the one account. */
  readonly model: string | null;
  readonly tag: string | null;
  /** Money, or tokens: one of them is null. */
  readonly limitMoney: Money | null;
  readonly limitTokens: number | null;
  readonly window: BudgetWindow;
  /** The window reaches back from now, instead of beginning at the hour, the day, the Monday or the first. */
  readonly isRolling: boolean;
  /** IANA name; where calendar windows begin. */
  readonly timeZone: string;
  /** A hard budget refuses; a soft one only tells. */
  readonly kind: 'hard' | 'soft';
  /** Whether estimated cost counts. */
  readonly countsEstimates: boolean;
  /** Percentages at which it tells, such as 50, 80, 100. */
  readonly thresholds: readonly number[];
  /** On top of the limit until a moment (milliseconds since 1970). */
  readonly increase: { readonly money: Money | null; readonly tokens: number | null; readonly until: number } | null;
  /** Milliseconds since 1970. What was spent before that is not counted. */
  readonly createdAt: number;
}

/** What one exchange set aside in one account of one budget. */
export interface HeldAmount {
  readonly budgetId: BudgetId;
  /** The end user, in budgets of that scope; empty in all others. */
  readonly account: string;
  /** Beginning of the window it is held in, milliseconds since 1970; 0 for `total`. The charge goes into the same window. */
  readonly windowStart: number;
  readonly unit: BudgetUnit;
  /** As the budget said when this was set aside, so that the charge needs nothing but the hold. */
  readonly countsEstimates: boolean;
  /** Pico-dollars, or tokens. */
  readonly amount: bigint;
}

/** All that one admitted exchange set aside, over all budgets it touches. Empty where it touches none. */
export interface Hold {
  readonly exchangeId: ExchangeId;
  readonly amounts: readonly HeldAmount[];
}

/** The limit in force at a moment, in pico-dollars or tokens. */
export function limitAt({ limitMoney, limitTokens, increase }: Budget, atMs: number): bigint {
  const isRaised = increase !== null && atMs < increase.until;
  if (limitMoney !== null) return limitMoney + (isRaised ? (increase.money ?? 0n) : 0n);
  return BigInt((limitTokens ?? 0) + (isRaised ? (increase.tokens ?? 0) : 0));
}

export function unitOf({ limitMoney }: Budget): BudgetUnit {
  return limitMoney === null ? 'tokens' : 'money';
}
