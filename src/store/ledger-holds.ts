// Holds that replicas share, in PostgreSQL alone.
import { sql } from 'kysely';

import type { BudgetId, ExchangeId } from '../domain/id.ts';
import type { ExpiredHold, SharedAnswer, SharedAsk, SharedHolds } from '../domain/ledger-store.ts';
import type { Engine } from './engine.ts';
import { addToWindows, deleteHolds, lockBudgets, post } from './ledger-post.ts';
import { toHeld } from './ledger-rows.ts';

export function sharedHolds(engine: Engine): SharedHolds {
  const { db } = engine;

  async function place(asks: readonly SharedAsk[], owner: string, expiresAt: number): Promise<readonly SharedAnswer[]> {
    const told = JSON.stringify(asks.map(toldAsk));
    const { rows } = await sql<{ answers: readonly ToldAnswer[] }>`
      SELECT place_budget_holds(${told}::jsonb, ${owner}, ${expiresAt}::bigint, ${engine.now()}::bigint) AS answers`.execute(
      db,
    );
    return rows[0]!.answers.map(
      (answer) => answer && { budgetId: answer.b, spent: BigInt(answer.s), held: BigInt(answer.h) },
    );
  }

  return {
    place,
    async extend(exchangeId, amounts) {
      const row = await db
        .selectFrom('budget_holds')
        .select(['owner', 'expires_at', 'details'])
        .where('exchange_id', '=', exchangeId)
        .executeTakeFirst();
      if (row === undefined) return true;
      const [answer] = await place([{ exchangeId, amounts, details: row.details }], row.owner, row.expires_at);
      return answer === null;
    },
    release: (exchangeIds) =>
      db.transaction().execute(async (tx) => {
        if (exchangeIds.length === 0) return;
        const query = tx.selectFrom('budget_holds').select('budget_id').where('exchange_id', 'in', exchangeIds);
        await lockBudgets(engine, tx, (await query.execute()).map(toBudgetId));
        await addToWindows(tx, [], await deleteHolds(tx, exchangeIds));
      }),
    async renew(exchangeIds, expiresAt) {
      if (exchangeIds.length === 0) return;
      const query = db.updateTable('budget_holds').set({ expires_at: expiresAt });
      await query.where('exchange_id', 'in', exchangeIds).execute();
    },
    async settleExpired(limit, entryOf) {
      const now = engine.now();
      const lapsed = db.selectFrom('budget_holds').select(['exchange_id', 'budget_id']).where('expires_at', '<', now);
      const found = await lapsed.limit(limit).execute();
      if (found.length === 0) return [];
      return db.transaction().execute(async (tx) => {
        await lockBudgets(engine, tx, found.map(toBudgetId));
        // Their owner may have renewed or settled them in the meantime.
        const ids = [...new Set(found.map((row) => row.exchange_id))];
        const query = tx
          .selectFrom('budget_holds')
          .selectAll()
          .where('exchange_id', 'in', ids)
          .where('expires_at', '<', now);
        const rows = await engine.lockFreeRows(query).execute();
        const expired = new Map<string, ExpiredHold>();
        for (const row of rows) {
          const { amounts = [] } = expired.get(row.exchange_id) ?? {};
          expired.set(row.exchange_id, {
            exchangeId: row.exchange_id as ExchangeId,
            amounts: [...amounts, toHeld(row)],
            details: row.details,
          });
        }
        const entries = [...expired.values()].map(entryOf);
        if (entries.length === 0) return [];
        const { settleKeys } = await post(engine, tx, entries);
        return entries.filter(({ settleKey }) => settleKeys.has(settleKey));
      });
    },
  };
}

type ToldAnswer = { readonly b: BudgetId; readonly s: string; readonly h: string } | null;

/** As `place_budget_holds` reads it. */
function toldAsk({ exchangeId, amounts, details }: SharedAsk) {
  return {
    id: exchangeId,
    d: details,
    parts: amounts.map((held) => ({
      b: held.budgetId,
      a: held.account,
      w: held.windowStart,
      f: held.countsFrom,
      t: held.unit,
      e: Number(held.countsEstimates),
      n: held.amount.toString(),
      u: held.isUnknown,
    })),
  };
}

function toBudgetId({ budget_id }: { readonly budget_id: string }) {
  return { budgetId: budget_id as BudgetId };
}
