// One transaction of the ledger: entries that are new, and what they move. Whoever writes here locks budgets first, in the order of
// their ids, then all else.
import { CompiledQuery, type Kysely, sql } from 'kysely';

import type { Charge, Entry } from '../domain/entry.ts';
import type { BudgetId, ExchangeId } from '../domain/id.ts';
import type { Posted, Rollup } from '../domain/ledger-store.ts';
import { Rollups } from '../domain/rollup.ts';
import type { Engine } from './engine.ts';
import { ENTRY_COLUMNS, entryValues, highPart, lowPart, rollupRow, toWindow } from './ledger-rows.ts';
import type { Schema } from './schema.ts';

/** Rows of one statement: far below the parameters that either engine takes. */
const ROWS_MAX = 64;

export async function post(engine: Engine, tx: Kysely<Schema>, entries: readonly Entry[]): Promise<Posted> {
  await lockBudgets(
    engine,
    tx,
    entries.flatMap(({ charges }) => charges),
  );
  const settleKeys = await insertEntries(engine, tx, entries);
  const fresh = entries.filter(({ settleKey }) => settleKeys.has(settleKey));
  const released = engine.name === 'postgres' ? await takeHolds(tx, entries) : [];
  const windows = await addToWindows(
    tx,
    fresh.flatMap(({ charges }) => charges),
    released,
  );
  const rollups = new Rollups();
  for (const entry of fresh) rollups.addEntry(entry);
  await addToRollups(tx, rollups.list());
  return { settleKeys, windows };
}

export async function lockBudgets(
  { name, lockRows }: Engine,
  tx: Kysely<Schema>,
  charges: readonly { readonly budgetId: BudgetId }[],
): Promise<void> {
  if (name === 'sqlite' || charges.length === 0) return;
  const ids = [...new Set(charges.map(({ budgetId }) => budgetId))];
  await lockRows(tx.selectFrom('budgets').select('id').where('id', 'in', ids).orderBy('id')).execute();
}

/** The hottest statement of the store: one text for each number of rows, so that neither builder nor engine makes it anew. */
const insertTexts = { sqlite: new Map<number, string>(), postgres: new Map<number, string>() };

function insertText(name: Engine['name'], rows: number): string {
  let text = insertTexts[name].get(rows);
  if (text === undefined) {
    const columns = ENTRY_COLUMNS.length;
    const mark = (n: number) => (name === 'sqlite' ? '?' : `$${n + 1}`);
    const row = (r: number) => `(${ENTRY_COLUMNS.map((_, c) => mark(r * columns + c)).join(', ')})`;
    const values = Array.from({ length: rows }, (_, r) => row(r)).join(', ');
    text = `INSERT INTO entries (${ENTRY_COLUMNS.join(', ')}) VALUES ${values} ON CONFLICT (settle_key) DO NOTHING RETURNING settle_key`;
    insertTexts[name].set(rows, text);
  }
  return text;
}

export async function insertEntries(
  { name }: Engine,
  tx: Kysely<Schema>,
  entries: readonly Entry[],
): Promise<ReadonlySet<string>> {
  const settleKeys = new Set<string>();
  for (const some of inPieces(entries)) {
    const query = CompiledQuery.raw(insertText(name, some.length), some.flatMap(entryValues));
    const { rows } = await tx.executeQuery(query);
    for (const row of rows as { settle_key: string }[]) settleKeys.add(row.settle_key);
  }
  return settleKeys;
}

interface Released {
  readonly budgetId: string;
  readonly account: string;
  readonly windowStart: number;
  readonly amount: bigint;
}

async function takeHolds(tx: Kysely<Schema>, entries: readonly Entry[]): Promise<readonly Released[]> {
  const ids = entries.filter(({ charges }) => charges.length > 0).map(({ settleKey }) => settleKey);
  if (ids.length === 0) return [];
  return deleteHolds(tx, ids as ExchangeId[]);
}

export async function deleteHolds(
  tx: Kysely<Schema>,
  exchangeIds: readonly ExchangeId[],
): Promise<readonly Released[]> {
  const rows = await tx.deleteFrom('budget_holds').where('exchange_id', 'in', exchangeIds).returningAll().execute();
  return rows.map((row) => ({
    budgetId: row.budget_id,
    account: row.account,
    windowStart: row.window_start,
    amount: BigInt(row.amount),
  }));
}

interface Move {
  readonly budget_id: string;
  readonly account: string;
  readonly window_start: number;
  spent: bigint;
  held: bigint;
}

export async function addToWindows(
  tx: Kysely<Schema>,
  charges: readonly Charge[],
  released: readonly Released[],
): Promise<Posted['windows']> {
  const moves = new Map<string, Move>();
  const moveOf = ({ budgetId, account, windowStart }: Released): Move => {
    const name = `${budgetId}\n${windowStart}\n${account}`;
    let move = moves.get(name);
    if (move === undefined) {
      move = { budget_id: budgetId, account, window_start: windowStart, spent: 0n, held: 0n };
      moves.set(name, move);
    }
    return move;
  };
  for (const charge of charges) moveOf(charge).spent += charge.amount;
  for (const hold of released) moveOf(hold).held -= hold.amount;

  const after: Posted['windows'][number][] = [];
  for (const some of inPieces([...moves].toSorted(([a], [b]) => (a < b ? -1 : 1)))) {
    const rows = some.map(([, { spent, held, ...account }]) => ({
      ...account,
      spent_hi: highPart(spent),
      spent_lo: lowPart(spent),
      held_hi: highPart(held),
      held_lo: lowPart(held),
    }));
    const moved = await tx
      .insertInto('budget_windows')
      .values(rows)
      .onConflict((on) =>
        on.columns(['budget_id', 'account', 'window_start']).doUpdateSet({
          ...added('budget_windows', 'spent'),
          ...added('budget_windows', 'held'),
        }),
      )
      .returningAll()
      .execute();
    after.push(...moved.map(toWindow));
  }
  return after;
}

export const COUNTERS = ['exchanges', 'partial', 'pending', 'unpriced', 'free', 'tokens_in', 'tokens_out'] as const;

export async function addToRollups(tx: Kysely<Schema>, rollups: readonly Rollup[]): Promise<void> {
  for (const some of inPieces(rollups)) {
    await tx
      .insertInto('rollups')
      .values(some.map(rollupRow))
      .onConflict((on) =>
        on.columns(['grain', 'tag', 'at', 'team_id', 'key_id', 'user_id', 'model', 'endpoint']).doUpdateSet({
          ...added('rollups', 'measured'),
          ...added('rollups', 'estimated'),
          ...Object.fromEntries(
            COUNTERS.map((name) => [name, sql`${sql.ref(`rollups.${name}`)} + ${sql.ref(`excluded.${name}`)}`]),
          ),
        }),
      )
      .execute();
  }
}

/** Both parts of a sum with another one added: what is more than a million ones goes over. */
function added(table: string, name: string) {
  const [hi, lo] = [sql.ref(`${table}.${name}_hi`), sql.ref(`${table}.${name}_lo`)];
  const [moreHi, moreLo] = [sql.ref(`excluded.${name}_hi`), sql.ref(`excluded.${name}_lo`)];
  return {
    [`${name}_hi`]: sql<number>`${hi} + ${moreHi} + (${lo} + ${moreLo}) / 1000000`,
    [`${name}_lo`]: sql<number>`(${lo} + ${moreLo}) % 1000000`,
  };
}

function* inPieces<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += ROWS_MAX) yield all.slice(at, at + ROWS_MAX);
}
