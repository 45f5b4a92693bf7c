// The audit: a chain of rows, one for each change, written in the change's own transaction.
import type { Kysely, Selectable } from 'kysely';

import { type AuditHead, type AuditRow, type Change, sealRow } from '../domain/audit.ts';
import type { AuditStore } from '../domain/stores.ts';
import type { Engine } from './engine.ts';
import type { Schema } from './schema.ts';

export function auditStore(engine: Engine): AuditStore {
  const { db } = engine;
  return {
    append: (change) => db.transaction().execute((tx) => appendAudit(tx, engine, change)),
    async list({ limit, cursor }, { kind, id, actor, from, to }) {
      let query = db
        .selectFrom('audit')
        .selectAll()
        .orderBy('seq', 'desc')
        .limit(limit + 1);
      // A cursor that is no number finds nothing.
      if (cursor !== null) query = query.where('seq', '<', /^\d{1,15}$/.test(cursor) ? Number(cursor) : 0);
      if (kind !== undefined) query = query.where('kind', '=', kind);
      if (id !== undefined) query = query.where('object_id', '=', id);
      if (actor !== undefined) query = query.where('actor', '=', actor);
      if (from !== undefined) query = query.where('at', '>=', from);
      if (to !== undefined) query = query.where('at', '<', to);
      const rows = (await query.execute()).map(toAuditRow);
      const data = rows.slice(0, limit);
      return { data, nextCursor: rows.length > limit ? String(data.at(-1)?.seq) : null };
    },
    async readAfter(seq, limit) {
      const query = db.selectFrom('audit').selectAll().where('seq', '>', seq).orderBy('seq').limit(limit);
      return (await query.execute()).map(toAuditRow);
    },
    head: () => headOf(db, (query) => query),
  };
}

/**
 * Adds the row of a change to the chain. Call it last in the change's transaction: from here on until that ends, every other
 * change waits.
 */
export async function appendAudit(tx: Kysely<Schema>, engine: Engine, change: Change): Promise<AuditRow> {
  const head = await headOf(tx, engine.lockRows);
  const row = sealRow(change, head, engine.now());
  const { id, before, after, ...same } = row;
  await tx
    .insertInto('audit')
    .values({ ...same, object_id: id, before_digest: before, after_digest: after })
    .execute();
  await tx.updateTable('audit_head').set({ seq: row.seq, hash: row.hash }).where('id', '=', 1).execute();
  return row;
}

async function headOf(db: Kysely<Schema>, lock: Engine['lockRows']): Promise<AuditHead> {
  const query = db.selectFrom('audit_head').select(['seq', 'hash']).where('id', '=', 1);
  const { seq, hash } = await lock(query).executeTakeFirstOrThrow();
  return { seq, hash };
}

function toAuditRow(row: Selectable<Schema['audit']>): AuditRow {
  const { object_id: id, before_digest: before, after_digest: after, ...same } = row;
  return { ...same, id, before, after };
}
