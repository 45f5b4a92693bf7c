// Rows of the ledger's tables, to and from what the house knows. Within this file a sum is two parts, `hi` millions and `lo` ones.
import type { Insertable, Selectable } from 'kysely';

import type { Budget, HeldAmount } from '../domain/budget.ts';
import type { Charge, Entry } from '../domain/entry.ts';
import type { Rollup, Window } from '../domain/ledger-store.ts';
import type { LedgerSchema } from './ledger-schema.ts';

const PART = 1_000_000n;

export function highPart(amount: bigint): number {
  return Number(amount / PART);
}

export function lowPart(amount: bigint): number {
  return Number(amount % PART);
}

/** @param hi,lo PostgreSQL gives sums as text */
export function whole(hi: number | string | bigint | null, lo: number | string | bigint | null): bigint {
  return BigInt(hi ?? 0) * PART + BigInt(lo ?? 0);
}

export function budgetRow(budget: Budget): Omit<LedgerSchema['budgets'], 'changed_at' | 'is_deleted'> {
  const { increase } = budget;
  return {
    id: budget.id,
    scope: budget.scope,
    key_id: budget.keyId,
    team_id: budget.teamId,
    user_id: budget.userId,
    model: budget.model,
    tag: budget.tag,
    limit_money: budget.limitMoney?.toString() ?? null,
    limit_tokens: budget.limitTokens,
    period: budget.window,
    is_rolling: Number(budget.isRolling),
    time_zone: budget.timeZone,
    kind: budget.kind,
    counts_estimates: Number(budget.countsEstimates),
    thresholds: JSON.stringify(budget.thresholds),
    increase_money: increase?.money?.toString() ?? null,
    increase_tokens: increase?.tokens ?? null,
    increase_until: increase?.until ?? null,
    created_at: budget.createdAt,
  };
}

export function toBudget(row: Selectable<LedgerSchema['budgets']>): Budget {
  // Written by budgetRow: words and ids are what they were.
  return {
    id: row.id as Budget['id'],
    scope: row.scope as Budget['scope'],
    keyId: row.key_id as Budget['keyId'],
    teamId: row.team_id as Budget['teamId'],
    userId: row.user_id as Budget['userId'],
    model: row.model,
    tag: row.tag,
    limitMoney: row.limit_money === null ? null : BigInt(row.limit_money),
    limitTokens: row.limit_tokens,
    window: row.period as Budget['window'],
    isRolling: row.is_rolling === 1,
    timeZone: row.time_zone,
    kind: row.kind as Budget['kind'],
    countsEstimates: row.counts_estimates === 1,
    thresholds: JSON.parse(row.thresholds) as number[],
    increase:
      row.increase_until === null
        ? null
        : {
            money: row.increase_money === null ? null : BigInt(row.increase_money),
            tokens: row.increase_tokens,
            until: row.increase_until,
          },
    createdAt: row.created_at,
  };
}

export function toWindow(row: Selectable<LedgerSchema['budget_windows']>): Window {
  return {
    budgetId: row.budget_id as Window['budgetId'],
    account: row.account,
    windowStart: row.window_start,
    spent: whole(row.spent_hi, row.spent_lo),
    held: whole(row.held_hi, row.held_lo),
  };
}

export function toHeld(row: Selectable<LedgerSchema['budget_holds']>): HeldAmount {
  return {
    budgetId: row.budget_id as HeldAmount['budgetId'],
    account: row.account,
    windowStart: row.window_start,
    unit: row.unit as HeldAmount['unit'],
    countsEstimates: row.counts_estimates === 1,
    amount: BigInt(row.amount),
  };
}

export const ENTRY_COLUMNS = [
  'settle_key',
  'kind',
  'exchange_id',
  'team_id',
  'key_id',
  'user_id',
  'endpoint',
  'model',
  'state',
  'amount',
  'tokens_in',
  'tokens_out',
  'at',
  'details',
] as const satisfies readonly (keyof LedgerSchema['entries'])[];

/** In the order of ENTRY_COLUMNS. */
export function entryValues(entry: Entry): readonly (string | number | null)[] {
  return [
    entry.settleKey,
    entry.kind,
    entry.exchangeId,
    entry.teamId,
    entry.keyId,
    entry.userId,
    entry.endpoint,
    entry.model,
    entry.state,
    entry.amount?.toString() ?? null,
    entry.tokensIn,
    entry.tokensOut,
    entry.at,
    JSON.stringify({
      isExchange: entry.isExchange,
      tags: entry.tags,
      why: entry.why,
      priceVersion: entry.priceVersion,
      lines: entry.lines,
      readings: entry.readings,
      basis: entry.basis,
      charges: entry.charges.map((charge) => [
        charge.budgetId,
        charge.account,
        charge.windowStart,
        charge.amount.toString(),
      ]),
      resolves: entry.resolves,
      servicePeriod: entry.servicePeriod,
    }),
  ];
}

type Details = Pick<
  Entry,
  'isExchange' | 'tags' | 'why' | 'priceVersion' | 'lines' | 'readings' | 'basis' | 'resolves' | 'servicePeriod'
> & { readonly charges: readonly (readonly [Charge['budgetId'], string, number, string])[] };

export function toEntry(row: Selectable<LedgerSchema['entries']>): Entry {
  // Written by entryValues in this very shape.
  const details = JSON.parse(row.details) as Details;
  return {
    ...details,
    settleKey: row.settle_key,
    kind: row.kind as Entry['kind'],
    exchangeId: row.exchange_id as Entry['exchangeId'],
    teamId: row.team_id as Entry['teamId'],
    keyId: row.key_id as Entry['keyId'],
    userId: row.user_id as Entry['userId'],
    endpoint: row.endpoint,
    model: row.model,
    state: row.state as Entry['state'],
    amount: row.amount === null ? null : BigInt(row.amount),
    tokensIn: row.tokens_in,
    tokensOut: row.tokens_out,
    at: row.at,
    charges: details.charges.map(([budgetId, account, windowStart, amount]) => ({
      budgetId,
      account,
      windowStart,
      amount: BigInt(amount),
    })),
  };
}

export function rollupRow(rollup: Rollup): Insertable<LedgerSchema['rollups']> {
  return {
    grain: rollup.grain,
    tag: rollup.tag,
    at: rollup.at,
    team_id: rollup.team,
    key_id: rollup.key,
    user_id: rollup.user,
    model: rollup.model,
    endpoint: rollup.endpoint,
    exchanges: rollup.exchanges,
    measured_hi: highPart(rollup.measured),
    measured_lo: lowPart(rollup.measured),
    estimated_hi: highPart(rollup.estimated),
    estimated_lo: lowPart(rollup.estimated),
    partial: rollup.partial,
    pending: rollup.pending,
    unpriced: rollup.unpriced,
    free: rollup.free,
    tokens_in: rollup.tokensIn,
    tokens_out: rollup.tokensOut,
  };
}

export function toRollup(row: Selectable<LedgerSchema['rollups']>): Rollup {
  return {
    grain: row.grain as Rollup['grain'],
    tag: row.tag,
    at: row.at,
    team: row.team_id,
    key: row.key_id,
    user: row.user_id,
    model: row.model,
    endpoint: row.endpoint,
    exchanges: row.exchanges,
    measured: whole(row.measured_hi, row.measured_lo),
    estimated: whole(row.estimated_hi, row.estimated_lo),
    partial: row.partial,
    pending: row.pending,
    unpriced: row.unpriced,
    free: row.free,
    tokensIn: row.tokens_in,
    tokensOut: row.tokens_out,
  };
}
