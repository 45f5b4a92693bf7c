// What the ledger asks of the store. The same on both engines, but for holds, which are kept there only where replicas share them.
import type { Deed } from './audit.ts';
import type { Budget, HeldAmount } from './budget.ts';
import type { Charge, Entry } from './entry.ts';
import type { BudgetId, ExchangeId } from './id.ts';
import type { Money } from './money.ts';
import type { OwnedObject } from './ownership.ts';
import type { NewWork } from './pending-work.ts';

export interface LedgerStore {
  /** Several processes decide on the same budgets: holds are placed in the store. */
  readonly isShared: boolean;
  /** The time that all who share it agree on, milliseconds since 1970. */
  now(): number;

  /** As with teams and keys: each change is kept together with its audit row, or neither is. */
  insertBudget(budget: Budget, deed: Deed): Promise<void>;
  /** @returns null for an unknown id */
  updateBudget(id: BudgetId, change: (budget: Budget) => Budget, deed: Deed): Promise<Budget | null>;
  /** It binds no more; its history stays. @returns whether there was one */
  deleteBudget(id: BudgetId, deed: Deed): Promise<boolean>;
  /** All that were changed at or after a moment of `now`, deleted ones too. */
  budgetsChangedSince(atMs: number): Promise<readonly StoredBudget[]>;

  /** Windows of the plain accounts that began at or after a moment, and those of budgets without an end. */
  windowsSince(atMs: number): Promise<readonly Window[]>;
  windowsOf(budgetId: BudgetId, account: string, sinceMs: number): Promise<readonly Window[]>;
  /** All accounts together. */
  sumOf(budgetId: BudgetId, sinceMs: number): Promise<Balance>;
  /** Forgets windows that ended long ago, a few at a time. */
  forgetWindows(budgetId: BudgetId, beforeMs: number): Promise<void>;

  /**
   * Writes entries whose settle keys are new, and moves windows and rollups by those alone, in one piece. Holds of their
   * exchanges are taken away.
   * @param works that these exchanges started, kept in the same piece; what is known already stays as it is
   * @param owned what these exchanges made, likewise
   * @returns what was new, and the windows as they are after
   */
  post(entries: readonly Entry[], works?: readonly NewWork[], owned?: readonly OwnedObject[]): Promise<Posted>;
  /** All of these, or none. @returns null where one of their settle keys is taken */
  postTogether(entries: readonly Entry[]): Promise<Posted | null>;
  findEntry(settleKey: string): Promise<Entry | null>;
  /** In the order of settle keys. */
  entriesAfter(settleKey: string, limit: number): Promise<readonly Entry[]>;

  /** Sums of rollups of one grain between two moments, by groups, at once: for little at a time. */
  sumRollups(query: RollupQuery): Promise<readonly RollupSum[]>;
  /** Sums over several stretches, however many rollups they hold: each group comes once, some groups at a time. */
  sumStretches(query: StretchesQuery, onSums: (sums: readonly RollupSum[]) => void): Promise<void>;
  /** All rollups of one grain that begin in [from, to), in no order. */
  readRollups(grain: Grain, from: number, to: number): Promise<readonly Rollup[]>;
  /** Moves windows and rollups without entries: for repairs alone. */
  correct(charges: readonly Charge[], rollups: readonly Rollup[]): Promise<void>;
  /** Every window that is kept, in pages. */
  allWindows(after: Window | null, limit: number): Promise<readonly Window[]>;

  /** Only where holds are shared. */
  readonly holds: SharedHolds | null;
  /** Only where they are not. */
  readonly local: LocalSums | null;
}

/**
 * Where one process alone writes the ledger, its spool's records are the entries of its exchanges until retention takes them. Only
 * their sums are written here, with the place in the spool that they have come to: in one piece, so that each record counts once.
 */
export interface LocalSums {
  /** Place of the last record that the sums hold. */
  place(): Promise<number>;
  /** @returns the windows as they are after */
  add(sums: SpoolSums): Promise<readonly Window[]>;
  /** Place of the last record whose entry is kept in the store. */
  keptPlace(): Promise<number>;
  /** Writes entries of records that are about to go. */
  keep(entries: readonly Entry[], place: number): Promise<void>;
}

export interface SpoolSums {
  readonly charges: readonly Charge[];
  readonly rollups: readonly Rollup[];
  readonly works: readonly NewWork[];
  readonly owned: readonly OwnedObject[];
  /** Of the last record in them. */
  readonly place: number;
}

export interface StoredBudget {
  readonly budget: Budget;
  readonly isDeleted: boolean;
  readonly changedAt: number;
}

export interface Balance {
  readonly spent: bigint;
  readonly held: bigint;
}

export interface Window extends Balance {
  readonly budgetId: BudgetId;
  readonly account: string;
  readonly windowStart: number;
}

export interface Posted {
  readonly settleKeys: ReadonlySet<string>;
  readonly windows: readonly Window[];
}

/**
 * Hours and days in UTC, and stretches of thirty days, counted from 1970 on: so that a year is some forty of them for each sum. Those
 * of keys are the same without models and endpoints, those of teams without keys and users, those of whole teams without both, those
 * of models without teams, keys and users: so that what nobody asks for need not be added up.
 */
export type Grain =
  | 'hour'
  | 'day'
  | 'thirty_days'
  | 'day_of_keys'
  | 'thirty_days_of_keys'
  | 'day_of_teams'
  | 'thirty_days_of_teams'
  | 'day_of_whole_teams'
  | 'hour_of_models'
  | 'day_of_models';

/** Sums of one grain. Empty text stands for what an entry has not. */
export interface RollupSums {
  readonly exchanges: number;
  readonly measured: Money;
  readonly estimated: Money;
  readonly partial: number;
  readonly pending: number;
  readonly unpriced: number;
  readonly free: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
}

export interface Rollup extends RollupSums {
  readonly grain: Grain;
  readonly at: number;
  /** Empty in the rows that count each exchange once; one with tags counts again in the row of each of them, and in that of `ANY_TAG`. */
  readonly tag: string;
  readonly team: string;
  readonly key: string;
  readonly user: string;
  readonly model: string;
  readonly endpoint: string;
}

export type RollupDimension = 'at' | 'tag' | 'team' | 'key' | 'user' | 'model' | 'endpoint';

export interface Stretch {
  readonly grain: Grain;
  /** Milliseconds since 1970: beginnings of grains in [from, to). */
  readonly from: number;
  readonly to: number;
}

/** What another stretch has too much is taken away. */
export interface SignedStretch extends Stretch {
  readonly sign: 1 | -1;
}

export interface StretchesQuery extends Omit<RollupQuery, keyof Stretch> {
  readonly stretches: readonly SignedStretch[];
}

/** By tags an exchange is in the sum of each that it has, or in that of the empty tag. */
export interface RollupQuery extends Stretch {
  readonly by: readonly RollupDimension[];
  readonly where: Readonly<Partial<Record<Exclude<RollupDimension, 'at'>, string>>>;
}

export interface RollupSum extends RollupSums {
  readonly group: Readonly<Partial<Record<RollupDimension, string | number>>>;
}

export interface SharedHolds {
  /** One answer for each, in order. All of one call are decided in one piece, one after the other. */
  place(asks: readonly SharedAsk[], owner: string, expiresAt: number): Promise<readonly SharedAnswer[]>;
  /** More for exchanges that are held already. @returns whether it fits */
  extend(exchangeId: ExchangeId, amounts: readonly SharedAmount[]): Promise<boolean>;
  /** Nothing came of these. */
  release(exchangeIds: readonly ExchangeId[]): Promise<void>;
  renew(exchangeIds: readonly ExchangeId[], expiresAt: number): Promise<void>;
  /** Settles holds whose owner is gone, each with the entry that is made of it. @returns what was settled */
  settleExpired(limit: number, entryOf: (expired: ExpiredHold) => Entry): Promise<readonly Entry[]>;
}

export interface SharedAmount extends HeldAmount {
  /** Earliest window that counts together with this one; its own but for rolling budgets. */
  readonly countsFrom: number;
  /** It may cost something, but nobody knows what: refused only where nothing is left. */
  readonly isUnknown: boolean;
}

export interface SharedAsk {
  readonly exchangeId: ExchangeId;
  readonly amounts: readonly SharedAmount[];
  /** JSON that a sweeper makes an entry of. */
  readonly details: string;
}

/** Null where it is held. */
export type SharedAnswer = ({ readonly budgetId: BudgetId } & Balance) | null;

export interface ExpiredHold {
  readonly exchangeId: ExchangeId;
  readonly amounts: readonly HeldAmount[];
  readonly details: string;
}
