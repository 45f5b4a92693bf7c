// Pending work in the shared store. Whoever looks after a piece of work has a lease on it; what is settled twice is entered once, for
// that is the ledger's doing.
import { type Insertable, type Kysely, type Selectable, sql } from 'kysely';

import type { NewWork, PendingWork, WorkClaim, WorkStore } from '../domain/pending-work.ts';
import type { Engine } from './engine.ts';
import type { PendingWorkSchema } from './pending-work-migration.ts';
import type { Schema } from './schema.ts';

const ROWS_MAX = 64;

/** Settled rows that go at once. */
const FORGET_ROWS = 500;

/** Work that is known already stays as it is; what is entered already does not begin again. */
export async function beginWork(tx: Kysely<Schema>, works: readonly NewWork[]): Promise<void> {
  const begun: NewWork[] = [];
  for (const work of works) if (!(await isEntered(tx, work))) begun.push(work);
  for (let at = 0; at < begun.length; at += ROWS_MAX) {
    await tx
      .insertInto('pending_work')
      .values(begun.slice(at, at + ROWS_MAX).map(rowOf))
      .onConflict((on) => on.column('settle_key').doNothing())
      .execute();
  }
}

/** A store goes on, day by day. A container's entry has the time of its making behind its key. */
async function isEntered(tx: Kysely<Schema>, { kind, settleKey }: NewWork): Promise<boolean> {
  if (kind === 'vector_store') return false;
  const entry = await tx
    .selectFrom('entries')
    .select('settle_key')
    .where('settle_key', '>=', settleKey)
    .orderBy('settle_key')
    .executeTakeFirst();
  return entry?.settle_key === settleKey || entry?.settle_key.startsWith(`${settleKey}:`) === true;
}

export function workStore({ db, now, lockRows, lockFreeRows }: Engine): WorkStore {
  async function take(tx: Kysely<Schema>, keys: readonly string[], { owner, leaseMs }: WorkClaim) {
    const lease = { owner, lease_until: now() + leaseMs };
    await tx.updateTable('pending_work').set(lease).where('settle_key', 'in', keys).execute();
  }

  return {
    claimDue: (claim) =>
      db.transaction().execute(async (tx) => {
        const query = tx
          .selectFrom('pending_work')
          .selectAll()
          .where('state', '=', 'open')
          .where('next_look_at', '<=', now())
          .where('lease_until', '<=', now())
          .orderBy('next_look_at')
          .limit(claim.limit);
        const rows = await lockFreeRows(query).execute();
        const keys = rows.map((row) => row.settle_key);
        if (keys.length > 0) await take(tx, keys, claim);
        return rows.map(toWork);
      }),
    claim: (settleKey, claim) =>
      db.transaction().execute(async (tx) => {
        const query = tx.selectFrom('pending_work').selectAll().where('settle_key', '=', settleKey);
        const row = await lockRows(query).executeTakeFirst();
        if (row === undefined || row.state === 'settled' || row.lease_until > now()) return null;
        await take(tx, [settleKey], claim);
        return toWork(row);
      }),
    async find(settleKey) {
      const query = db.selectFrom('pending_work').selectAll().where('settle_key', '=', settleKey);
      const row = await query.executeTakeFirst();
      return row === undefined ? null : toWork(row);
    },
    async putOff(settleKey, owner, { nextLookAt, progress }) {
      const { numUpdatedRows } = await db
        .updateTable('pending_work')
        .set((eb) => ({
          next_look_at: nextLookAt,
          looks: eb('looks', '+', 1),
          owner: null,
          lease_until: 0,
          bytes: progress.bytes ?? 0,
          progress: JSON.stringify(progress),
        }))
        .where('settle_key', '=', settleKey)
        .where('owner', '=', owner)
        .where('state', '!=', 'settled')
        .executeTakeFirstOrThrow();
      return numUpdatedRows > 0n;
    },
    async forgetSettled(beforeMs) {
      const old = db
        .selectFrom('pending_work')
        .select('settle_key')
        .where('state', '=', 'settled')
        .where('next_look_at', '<', beforeMs)
        .limit(FORGET_ROWS);
      const { numDeletedRows } = await db
        .deleteFrom('pending_work')
        .where('settle_key', 'in', old)
        .executeTakeFirstOrThrow();
      return Number(numDeletedRows);
    },
    async end(settleKey, state) {
      await db
        .updateTable('pending_work')
        // The last time that anybody looks at it.
        .set({ state, owner: null, lease_until: 0, bytes: 0, next_look_at: now() })
        .where('settle_key', '=', settleKey)
        .where('state', '!=', 'settled')
        .execute();
    },
    async storedBytes() {
      const { sum } = await db
        .selectFrom('pending_work')
        .select(({ fn }) => fn.sum<number | string | null>('bytes').as('sum'))
        .where('state', '=', 'open')
        .executeTakeFirstOrThrow();
      return BigInt(sum ?? 0);
    },
    async count() {
      const rows = await db
        .selectFrom('pending_work')
        .select(['kind', 'state', sql<number | string>`count(*)`.as('count')])
        .groupBy(['kind', 'state'])
        .execute();
      return rows.map(({ kind, state, count }) => ({
        kind: kind as PendingWork['kind'],
        state: state as PendingWork['state'],
        count: Number(count),
      }));
    },
  };
}

type Details = Pick<NewWork, 'startPath' | 'model' | 'credential' | 'isResolving' | 'isGuessed' | 'asked'>;

function rowOf(work: NewWork): Insertable<PendingWorkSchema['pending_work']> {
  const { startPath, model, credential, isResolving, isGuessed = false, asked } = work;
  const details: Details = { startPath, model, credential, isResolving, ...(isGuessed && { isGuessed }), asked };
  return {
    settle_key: work.settleKey,
    kind: work.kind,
    upstream_id: work.upstreamId,
    exchange_id: work.exchangeId,
    team_id: work.teamId,
    key_id: work.keyId,
    state: 'open',
    started_at: work.startedAt,
    next_look_at: work.firstLookAt,
    looks: 0,
    owner: null,
    lease_until: 0,
    bytes: 0,
    details: JSON.stringify(details),
    progress: '{}',
  };
}

function toWork(row: Selectable<PendingWorkSchema['pending_work']>): PendingWork {
  // Written by rowOf: ids and words are what they were.
  return {
    ...(JSON.parse(row.details) as Details),
    settleKey: row.settle_key,
    kind: row.kind as PendingWork['kind'],
    upstreamId: row.upstream_id,
    exchangeId: row.exchange_id as PendingWork['exchangeId'],
    teamId: row.team_id as PendingWork['teamId'],
    keyId: row.key_id as PendingWork['keyId'],
    startedAt: row.started_at,
    state: row.state as PendingWork['state'],
    looks: row.looks,
    nextLookAt: row.next_look_at,
    progress: JSON.parse(row.progress) as PendingWork['progress'],
  };
}
