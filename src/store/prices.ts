// Prices in the shared store: versions that were in force, refreshes, and what was seen without a price.
import { type Selectable, sql } from 'kysely';

import type { PriceStore, Unpriced } from '../domain/price-store.ts';
import type { Engine } from './engine.ts';
import type { Schema } from './schema.ts';

/** Names of models come from clients: what is kept of them has a bound. */
const UNPRICED_ROWS_MAX = 1000;

export function priceStore(engine: Engine): PriceStore {
  const { db } = engine;
  return {
    isShared: engine.name === 'postgres',
    async keepVersion(version, layers) {
      await db
        .insertInto('price_versions')
        .values({ version, layers, first_used_at: engine.now() })
        .onConflict((on) => on.column('version').doNothing())
        .execute();
    },
    async findVersion(version) {
      const query = db.selectFrom('price_versions').select('layers').where('version', '=', version);
      return (await query.executeTakeFirst())?.layers ?? null;
    },
    async lastRefresh() {
      const query = db.selectFrom('price_refreshes').selectAll().orderBy('seq', 'desc').limit(1);
      return (await query.executeTakeFirst()) ?? null;
    },
    async addRefresh({ seq, book }) {
      const row = await db
        .insertInto('price_refreshes')
        .values({ seq, book, at: engine.now() })
        .onConflict((on) => on.column('seq').doNothing())
        .returning('seq')
        .executeTakeFirst();
      return row !== undefined;
    },

    addUnpriced: (seen) =>
      db.transaction().execute(async (tx) => {
        const { rows } = await tx
          .selectFrom('unpriced')
          .select(({ fn }) => fn.countAll().as('rows'))
          .executeTakeFirstOrThrow();
        const isFull = Number(rows) + seen.length > UNPRICED_ROWS_MAX;
        // In one order, so that replicas never wait for each other in a circle.
        for (const each of seen.toSorted(inOrder)) {
          const { model, endpoint, reason } = each;
          const known = tx.selectFrom('unpriced').select('model').where('endpoint', '=', endpoint);
          const isNew =
            isFull &&
            (await known.where('model', '=', model).where('reason', '=', reason).executeTakeFirst()) === undefined;
          const row = { ...unpricedRow(each), model: isNew ? '*' : model };
          await tx
            .insertInto('unpriced')
            .values(row)
            .onConflict((on) =>
              on.columns(['model', 'endpoint', 'reason']).doUpdateSet({
                count: sql`${sql.ref('unpriced.count')} + ${row.count}`,
                last_seen_at: row.last_seen_at,
              }),
            )
            .execute();
        }
      }),
    async listUnpriced() {
      const query = db.selectFrom('unpriced').selectAll().orderBy('last_seen_at', 'desc').orderBy('model');
      return (await query.execute()).map(toUnpriced);
    },
  };
}

function inOrder(a: Unpriced, b: Unpriced): number {
  const [left, right] = [a, b].map(({ model, endpoint, reason }) => `${model}\n${endpoint}\n${reason}`) as [
    string,
    string,
  ];
  return left < right ? -1 : 1;
}

function unpricedRow({ model, endpoint, reason, count, firstSeenAt, lastSeenAt }: Unpriced): Schema['unpriced'] {
  return { model, endpoint, reason, count, first_seen_at: firstSeenAt, last_seen_at: lastSeenAt };
}

function toUnpriced(row: Selectable<Schema['unpriced']>): Unpriced {
  const { model, endpoint, reason } = row;
  const [firstSeenAt, lastSeenAt] = [Number(row.first_seen_at), Number(row.last_seen_at)];
  return { model, endpoint, reason, count: Number(row.count), firstSeenAt, lastSeenAt };
}
