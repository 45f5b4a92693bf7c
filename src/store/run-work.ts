// What the engine writes. Every write names a lease: a fence that a newer claim has passed, or a run that has ended, and nothing
// is written.
import type { Kysely } from 'kysely';

import type { Claim, RunWork } from '../domain/assistant-store.ts';
import type { Message } from '../domain/assistants.ts';
import {
  type ActiveStatus,
  type Lease,
  type Run,
  type RunChange,
  type RunRef,
  type RunStatus,
  type RunStep,
  type TurnEnd,
  ACTIVE_STATUSES,
  isTerminal,
} from '../domain/run.ts';
import { countMessages } from './assistant-objects.ts';
import { inRun, messageRow, stepRow, toMessage, toRun, toStep } from './assistant-rows.ts';
import type { Engine } from './engine.ts';
import { appendHistory, historyReader } from './history.ts';
import { writeEvents } from './run-events.ts';
import { type RunEnd, type RunRow, NOBODY, endRun, writeRun } from './run-rows.ts';
import type { Schema } from './schema.ts';

export function runWork(engine: Engine): RunWork {
  const { db, now, lockRows, lockFreeRows } = engine;

  /** The row behind a lease, held; undefined where the lease is lost. */
  async function held(tx: Kysely<Schema>, { run, fence }: Lease): Promise<RunRow | undefined> {
    const query = tx.selectFrom('runs').selectAll().where('pk', '=', run).where('fence', '=', fence);
    const row = await lockRows(query).executeTakeFirst();
    return row === undefined || isTerminal(toRun(row).status) ? undefined : row;
  }

  return {
    ...historyReader(engine),

    claim: ({ owner, leaseMs, run, exceptTeams = [] }) =>
      db.transaction().execute(async (tx): Promise<Claim | null> => {
        const at = now();
        let query = tx
          .selectFrom('runs')
          .selectAll()
          .where((eb) =>
            eb.or([
              eb('status', '=', 'queued'),
              eb.and([eb('status', '=', 'in_progress'), eb('lease_until', '<=', at)]),
            ]),
          )
          .where('next_try_ms', '<=', at)
          .where('expires_at', '>', Math.floor(at / 1000))
          .orderBy('pk')
          .limit(1);
        if (run !== undefined) query = query.where('pk', '=', run);
        if (exceptTeams.length > 0) query = query.where('team_id', 'not in', exceptTeams);
        const row = await lockFreeRows(query).executeTakeFirst();
        if (row === undefined) return null;

        const from = row.status === 'queued' ? 'queued' : row.lease_until === 0 ? 'released' : 'lapsed';
        const change = {
          status: 'in_progress',
          startedAt: row.started_at ?? Math.floor(at / 1000),
          fence: row.fence + 1,
          reruns: from === 'lapsed' ? row.reruns + 1 : row.reruns,
        } as const;
        const hold = { lease_owner: owner, lease_until: at + leaseMs, next_try_ms: 0 };
        const { run: claimed } = await writeRun(tx, engine, row, change, hold);
        return { lease: { run: claimed.ref, fence: claimed.fence }, run: claimed, from };
      }),

    async heartbeat({ run, fence }, leaseMs) {
      const row = await db
        .updateTable('runs')
        .set({ lease_until: now() + leaseMs })
        .where('pk', '=', run)
        .where('fence', '=', fence)
        .where('status', 'in', ACTIVE_STATUSES)
        .returning('status')
        .executeTakeFirst();
      return row === undefined ? null : (row.status as RunStatus);
    },

    async release({ run, fence }, nextTryAt = 0) {
      await db
        .updateTable('runs')
        .set({ ...NOBODY, next_try_ms: nextTryAt })
        .where('pk', '=', run)
        .where('fence', '=', fence)
        .where('status', 'in', ACTIVE_STATUSES)
        .execute();
    },

    async beginTurn({ run, fence }) {
      const row = await db
        .updateTable('runs')
        .set((eb) => ({ turn: eb('turn', '+', 1) }))
        .where('pk', '=', run)
        .where('fence', '=', fence)
        .where('status', '=', 'in_progress')
        .returning('turn')
        .executeTakeFirst();
      return row?.turn ?? null;
    },

    commit: (lease, change) =>
      db.transaction().execute(async (tx) => {
        const row = await held(tx, lease);
        return row === undefined ? null : writeChange(tx, engine, row, change);
      }),

    endTurn: (lease, end, change) =>
      db.transaction().execute(async (tx) => {
        const row = await held(tx, lease);
        if (row === undefined || row.status !== 'in_progress') return null;
        await writeChange(tx, engine, row, change);
        return end.status === 'requires_action'
          ? askForAction(tx, engine, row, end)
          : endRun(tx, engine, row, runEnd(end));
      }),

    finishCancel: (lease, change = {}) =>
      db.transaction().execute(async (tx) => {
        const row = await held(tx, lease);
        if (row === undefined || row.status !== 'cancelling') return null;
        await writeChange(tx, engine, row, change);
        return endRun(tx, engine, row, { status: 'cancelled' });
      }),

    sweepRuns: (rowsMax) =>
      db.transaction().execute(async (tx) => {
        const at = now();
        const due = await lockFreeRows(
          tx
            .selectFrom('runs')
            .selectAll()
            .where('status', 'in', ACTIVE_STATUSES)
            .where((eb) =>
              eb.or([
                eb('expires_at', '<=', Math.floor(at / 1000)),
                eb.and([eb('status', '=', 'cancelling'), eb('lease_until', '<=', at)]),
              ]),
            )
            .orderBy('pk')
            .limit(rowsMax),
        ).execute();
        const ended: Run[] = [];
        for (const row of due) {
          // Expired beats cancelled: who asked for the cancel was not served in time.
          const status = row.expires_at * 1000 <= at ? 'expired' : 'cancelled';
          ended.push(await endRun(tx, engine, row, { status }));
        }
        return ended;
      }),

    async readRunRows(run) {
      const row = await db.selectFrom('runs').selectAll().where('pk', '=', run).executeTakeFirst();
      if (row === undefined) return null;
      const messages = await db
        .selectFrom('messages')
        .selectAll()
        .where('thread_pk', '=', row.thread_pk)
        .where('run_id', '=', row.id)
        .orderBy('pk')
        .execute();
      const steps = await db.selectFrom('steps').selectAll().where('run_pk', '=', run).orderBy('pk').execute();
      return {
        run: toRun(row),
        messages: messages.map((message) => toMessage(message, inRun(row))),
        steps: steps.map((step) => toStep(step, inRun(row))),
      };
    },

    dropRows: (lease, { messages, steps }) =>
      db.transaction().execute(async (tx) => {
        const row = await held(tx, lease);
        if (row === undefined) return;
        if (messages.length > 0) {
          const { numDeletedRows } = await tx
            .deleteFrom('messages')
            .where('thread_pk', '=', row.thread_pk)
            .where('id', 'in', messages)
            .executeTakeFirst();
          await countMessages(tx, row.thread_pk, -Number(numDeletedRows));
        }
        if (steps.length > 0)
          await tx.deleteFrom('steps').where('run_pk', '=', row.pk).where('id', 'in', steps).execute();
      }),

    async countRuns() {
      const rows = await db
        .selectFrom('runs')
        .select((eb) => ['status', eb.fn.countAll<number>().as('runs')])
        .where('status', 'in', ACTIVE_STATUSES)
        .groupBy('status')
        .execute();
      return new Map(rows.map(({ status, runs }) => [status as ActiveStatus, Number(runs)]));
    },
  };
}

function runEnd(end: Exclude<TurnEnd, { status: 'requires_action' }>): RunEnd {
  switch (end.status) {
    case 'completed':
      return { status: end.status, change: { usage: end.usage } };
    case 'incomplete':
      return { status: end.status, change: { usage: end.usage, incompleteReason: end.reason } };
    case 'failed':
      return { status: end.status, error: end.error, change: { usage: end.usage } };
  }
}

async function askForAction(
  tx: Kysely<Schema>,
  engine: Engine,
  row: RunRow,
  { pendingCalls, usage }: Extract<TurnEnd, { status: 'requires_action' }>,
): Promise<Run> {
  const change = { status: 'requires_action', pendingCalls, usage, reruns: 0 } as const;
  const { run } = await writeRun(tx, engine, row, change, NOBODY);
  await writeEvents(tx, run.ref, [{ event: 'thread.run.requires_action', run }]);
  return run;
}

/** @returns the place of the last event */
async function writeChange(tx: Kysely<Schema>, engine: Engine, row: RunRow, change: RunChange): Promise<number> {
  const { messages = [], steps = [], items = [], events = [], container, containerFiles } = change;
  for (const message of messages) await putMessage(tx, row, message);
  for (const step of steps) await putStep(tx, row, step);
  const entries = [];
  for (const item of items) entries.push(await historyEntry(tx, row, item));
  await appendHistory(tx, row.thread_pk, engine.now(), entries);
  if (container !== undefined || containerFiles !== undefined) {
    const used =
      container === undefined
        ? {}
        : { container_id: container?.id ?? null, container_used_ms: container?.usedAt ?? null };
    const files = containerFiles === undefined ? {} : { container_files: JSON.stringify(containerFiles) };
    await tx
      .updateTable('threads')
      .set({ ...used, ...files })
      .where('pk', '=', row.thread_pk)
      .execute();
  }
  return writeEvents(tx, row.pk as RunRef, events);
}

/** Mends the row of this id, or adds it; one that another id already made of the same output item stays as it is. */
async function putMessage(tx: Kysely<Schema>, row: RunRow, message: Message): Promise<void> {
  const values = messageRow(message, row.thread_pk);
  const mended = await tx
    .updateTable('messages')
    .set(values)
    .where('thread_pk', '=', row.thread_pk)
    .where('id', '=', message.id)
    .executeTakeFirst();
  if (mended.numUpdatedRows > 0n) return;
  const added = await tx
    .insertInto('messages')
    .values(values)
    .onConflict((on) => on.doNothing())
    .executeTakeFirst();
  await countMessages(tx, row.thread_pk, Number(added.numInsertedOrUpdatedRows));
}

/** As putMessage. */
async function putStep(tx: Kysely<Schema>, row: RunRow, step: RunStep): Promise<void> {
  const values = stepRow(step, row.pk);
  const mended = await tx
    .updateTable('steps')
    .set(values)
    .where('run_pk', '=', row.pk)
    .where('id', '=', step.id)
    .executeTakeFirst();
  if (mended.numUpdatedRows > 0n) return;
  await tx
    .insertInto('steps')
    .values(values)
    .onConflict((on) => on.doNothing())
    .execute();
}

/** Frees what an earlier process held: for a database that never has more than one, whose leases mean nothing once it is gone. */
export async function lapseLeases({ db }: Engine): Promise<void> {
  await db
    .updateTable('runs')
    // In the past, but not 0, which says that it was given back.
    .set({ lease_until: 1 })
    .where('status', 'in', ACTIVE_STATUSES)
    .where('lease_until', '>', 0)
    .execute();
}

async function historyEntry(tx: Kysely<Schema>, row: RunRow, item: NonNullable<RunChange['items']>[number]) {
  const origin = { run_id: row.id, turn: item.turn, out_ix: item.outIx };
  if (item.kind === 'call')
    return { ...origin, kind: item.payload.type, message_pk: null, payload: JSON.stringify(item.payload) };
  const message = await tx
    .selectFrom('messages')
    .select('pk')
    .where('thread_pk', '=', row.thread_pk)
    .where('id', '=', item.messageId)
    .executeTakeFirstOrThrow();
  return { ...origin, kind: 'message', message_pk: message.pk, payload: null };
}
