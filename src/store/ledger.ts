// The ledger in the shared store: budgets, their windows, entries, and the sums that reports are made of.
import type { Kysely } from 'kysely';

import type { LedgerStore, LocalSums } from '../domain/ledger-store.ts';
import { type NewWork, SETTLED_KEPT_MS } from '../domain/pending-work.ts';
import { appendAudit } from './audit.ts';
import type { Engine } from './engine.ts';
import { sharedHolds } from './ledger-holds.ts';
import { addToRollups, addToWindows, insertEntries, lockBudgets, post } from './ledger-post.ts';
import { budgetRow, toBudget, toEntry, toRollup, toWindow, whole } from './ledger-rows.ts';
import { recordOwners } from './owned-objects.ts';
import { beginWork } from './pending-work.ts';
import { sumRollups, sumStretches } from './rollup-sums.ts';
import type { Schema } from './schema.ts';

/** Old windows that go at once. */
const FORGET_ROWS = 500;

/** Takes a transaction back. */
class KeyTaken extends Error {}

export function ledgerStore(engine: Engine): LedgerStore {
  const { db } = engine;
  return {
    isShared: engine.name === 'postgres',
    now: () => engine.now(),

    insertBudget: (budget, deed) =>
      db.transaction().execute(async (tx) => {
        const row = { ...budgetRow(budget), changed_at: engine.now(), is_deleted: 0 };
        await tx.insertInto('budgets').values(row).execute();
        await appendAudit(tx, engine, { ...deed, kind: 'budget', id: budget.id, before: null, after: budget });
      }),
    updateBudget: (id, change, deed) =>
      db.transaction().execute(async (tx) => {
        const query = tx.selectFrom('budgets').selectAll().where('id', '=', id).where('is_deleted', '=', 0);
        const row = await engine.lockRows(query).executeTakeFirst();
        if (row === undefined) return null;
        const before = toBudget(row);
        const budget = change(before);
        const changed = { ...budgetRow(budget), changed_at: engine.now() };
        await tx.updateTable('budgets').set(changed).where('id', '=', id).execute();
        await appendAudit(tx, engine, { ...deed, kind: 'budget', id, before, after: budget });
        return budget;
      }),
    deleteBudget: (id, deed) =>
      db.transaction().execute(async (tx) => {
        const query = tx.selectFrom('budgets').selectAll().where('id', '=', id).where('is_deleted', '=', 0);
        const row = await engine.lockRows(query).executeTakeFirst();
        if (row === undefined) return false;
        const gone = { is_deleted: 1, changed_at: engine.now() };
        await tx.updateTable('budgets').set(gone).where('id', '=', id).execute();
        await appendAudit(tx, engine, { ...deed, kind: 'budget', id, before: toBudget(row), after: null });
        return true;
      }),
    async budgetsChangedSince(atMs) {
      const rows = await db.selectFrom('budgets').selectAll().where('changed_at', '>=', atMs).orderBy('id').execute();
      return rows.map((row) => ({
        budget: toBudget(row),
        isDeleted: row.is_deleted === 1,
        changedAt: row.changed_at,
      }));
    },

    async windowsSince(atMs) {
      const rows = await db
        .selectFrom('budget_windows')
        .selectAll()
        .where('account', '=', '')
        .where((eb) => eb.or([eb('window_start', '>=', atMs), eb('window_start', '=', 0)]))
        .execute();
      return rows.map(toWindow);
    },
    async windowsOf(budgetId, account, sinceMs) {
      const rows = await db
        .selectFrom('budget_windows')
        .selectAll()
        .where('budget_id', '=', budgetId)
        .where('account', '=', account)
        .where('window_start', '>=', sinceMs)
        .execute();
      return rows.map(toWindow);
    },
    async sumOf(budgetId, sinceMs) {
      const row = await db
        .selectFrom('budget_windows')
        .select(({ fn }) => [
          fn.sum('spent_hi').as('spent_hi'),
          fn.sum('spent_lo').as('spent_lo'),
          fn.sum('held_hi').as('held_hi'),
          fn.sum('held_lo').as('held_lo'),
        ])
        .where('budget_id', '=', budgetId)
        .where('window_start', '>=', sinceMs)
        .executeTakeFirst();
      return {
        spent: whole(row?.spent_hi ?? 0, row?.spent_lo ?? 0),
        held: whole(row?.held_hi ?? 0, row?.held_lo ?? 0),
      };
    },
    async forgetWindows(budgetId, beforeMs) {
      // A budget of an end user has many accounts: old ones go a few at a time.
      const old = await db
        .selectFrom('budget_windows')
        .select(['account', 'window_start'])
        .where('budget_id', '=', budgetId)
        .where('window_start', '<', beforeMs)
        .where('held_hi', '=', 0)
        .where('held_lo', '=', 0)
        .limit(FORGET_ROWS)
        .execute();
      for (const { account, window_start } of old) {
        await db
          .deleteFrom('budget_windows')
          .where('budget_id', '=', budgetId)
          .where('account', '=', account)
          .where('window_start', '=', window_start)
          .execute();
      }
    },

    post: (entries, works = [], owned = []) =>
      db.transaction().execute(async (tx) => {
        const posted = await post(engine, tx, entries);
        await beginWork(tx, works.filter(isUnforgotten(posted.settleKeys, engine.now())));
        await recordOwners(tx, owned);
        return posted;
      }),
    async postTogether(entries) {
      try {
        return await db.transaction().execute(async (tx) => {
          const posted = await post(engine, tx, entries);
          if (posted.settleKeys.size < entries.length) throw new KeyTaken();
          return posted;
        });
      } catch (error) {
        if (error instanceof KeyTaken) return null;
        throw error;
      }
    },
    async findEntry(settleKey) {
      const query = db.selectFrom('entries').selectAll().where('settle_key', '=', settleKey);
      const row = await query.executeTakeFirst();
      return row ? toEntry(row) : null;
    },
    async entriesAfter(settleKey, limit) {
      const query = db.selectFrom('entries').selectAll().where('settle_key', '>', settleKey).orderBy('settle_key');
      return (await query.limit(limit).execute()).map(toEntry);
    },

    sumRollups: (query) => sumRollups(db, query),
    sumStretches: (query, onSums) => sumStretches(engine, query, onSums),
    async readRollups(grain, from, to) {
      const query = db.selectFrom('rollups').selectAll().where('grain', '=', grain);
      return (await query.where('at', '>=', from).where('at', '<', to).execute()).map(toRollup);
    },
    correct: (charges, rollups) =>
      db.transaction().execute(async (tx) => {
        await lockBudgets(engine, tx, charges);
        await addToWindows(tx, charges, []);
        await addToRollups(tx, rollups);
      }),
    async allWindows(after, limit) {
      let query = db.selectFrom('budget_windows').selectAll();
      if (after !== null) {
        const { budgetId, account, windowStart } = after;
        query = query.where((eb) =>
          eb.or([
            eb('budget_id', '>', budgetId),
            eb.and([eb('budget_id', '=', budgetId), eb('account', '>', account)]),
            eb.and([eb('budget_id', '=', budgetId), eb('account', '=', account), eb('window_start', '>', windowStart)]),
          ]),
        );
      }
      const ordered = query.orderBy('budget_id').orderBy('account').orderBy('window_start');
      return (await ordered.limit(limit).execute()).map(toWindow);
    },

    holds: engine.name === 'postgres' ? sharedHolds(engine) : null,
    local: engine.name === 'sqlite' ? localSums(engine) : null,
  };
}

/** What a record began that was entered long ago may be settled and forgotten. */
function isUnforgotten(fresh: ReadonlySet<string>, now: number): (work: NewWork) => boolean {
  return ({ exchangeId, startedAt }) => fresh.has(exchangeId) || startedAt > now - SETTLED_KEPT_MS;
}

function localSums(engine: Engine): LocalSums {
  const { db } = engine;
  const placeOf = async (name: 'sums' | 'entries') => {
    const row = await db.selectFrom('ledger_places').select('seq').where('name', '=', name).executeTakeFirst();
    return row?.seq ?? 0;
  };
  const putPlace = (tx: Kysely<Schema>, name: 'sums' | 'entries', seq: number) =>
    tx
      .insertInto('ledger_places')
      .values({ name, seq })
      .onConflict((on) => on.column('name').doUpdateSet({ seq }))
      .execute();
  return {
    place: () => placeOf('sums'),
    add: ({ charges, rollups, works, owned, place }) =>
      db.transaction().execute(async (tx) => {
        const windows = await addToWindows(tx, charges, []);
        await addToRollups(tx, rollups);
        await beginWork(tx, works);
        await recordOwners(tx, owned);
        await putPlace(tx, 'sums', place);
        return windows;
      }),
    keptPlace: () => placeOf('entries'),
    keep: (entries, place) =>
      db.transaction().execute(async (tx) => {
        await insertEntries(engine, tx, entries);
        await putPlace(tx, 'entries', place);
      }),
  };
}
