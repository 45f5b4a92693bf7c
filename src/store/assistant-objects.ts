// Assistants, threads and messages, and the plain reading of runs and steps. Every query names the team.
import type { Kysely, Selectable } from 'kysely';

import type { AssistantObjects, ChangeResources, NoThread, ThreadLocked } from '../domain/assistant-store.ts';
import type { Message, RunId, Thread, ThreadId } from '../domain/assistants.ts';
import type { TeamId } from '../domain/id.ts';
import { ACTIVE_STATUSES } from '../domain/run.ts';
import {
  assistantRow,
  inRun,
  messageRow,
  threadRow,
  toAssistant,
  toMessage,
  toRun,
  toStep,
  toThread,
} from './assistant-rows.ts';
import type { Engine } from './engine.ts';
import { appendHistory } from './history.ts';
import { readPage } from './object-pages.ts';
import type { Schema } from './schema.ts';

export function assistantObjects(engine: Engine): AssistantObjects {
  const { db, lockRows } = engine;

  return {
    async insertAssistant(assistant) {
      const query = db
        .insertInto('assistants')
        .values(assistantRow(assistant))
        .onConflict((on) => on.doNothing());
      return (await query.executeTakeFirst()).numInsertedOrUpdatedRows === 1n;
    },
    async findAssistant(team, id) {
      const row = await assistantsOf(db, team).selectAll().where('id', '=', id).executeTakeFirst();
      return row ? toAssistant(row) : null;
    },
    updateAssistant: (team, id, change) =>
      db.transaction().execute(async (tx) => {
        const row = await lockRows(assistantsOf(tx, team).selectAll().where('id', '=', id)).executeTakeFirst();
        if (row === undefined) return null;
        const changed = change(toAssistant(row));
        await tx
          .updateTable('assistants')
          .set({ body: assistantRow(changed).body })
          .where('pk', '=', row.pk)
          .execute();
        return changed;
      }),
    async deleteAssistant(team, id) {
      const query = db.deleteFrom('assistants').where('team_id', '=', team).where('id', '=', id);
      return (await query.executeTakeFirst()).numDeletedRows === 1n;
    },
    listAssistants: (team, page) => readPage(assistantsOf(db, team), page, toAssistant),

    insertThread: (thread, messages) =>
      db.transaction().execute(async (tx) => (await writeThread(tx, engine, thread, messages)) !== null),
    async findThread(team, id) {
      const row = await threadOf(db, team, id).selectAll().executeTakeFirst();
      return row ? toThread(row) : null;
    },
    updateThread: (team, id, change) =>
      db.transaction().execute(async (tx) => {
        const row = await lockRows(threadOf(tx, team, id).selectAll()).executeTakeFirst();
        if (row === undefined) return null;
        const changed = change(toThread(row));
        const { tool_resources, metadata } = threadRow(changed);
        await tx.updateTable('threads').set({ tool_resources, metadata }).where('pk', '=', row.pk).execute();
        return changed;
      }),
    deleteThread: (team, id) =>
      db.transaction().execute(async (tx) => {
        // The run's row before the thread's, as the engine takes them: the other way round, the two could wait for each other.
        const active = await lockRows(activeRunOf(tx, team, id).selectAll()).executeTakeFirst();
        const query = tx.deleteFrom('threads').where('team_id', '=', team).where('id', '=', id);
        if ((await query.executeTakeFirst()).numDeletedRows === 0n) return null;
        return { active: active ? toRun(active) : null };
      }),
    listThreads: (team, page) => readPage(db.selectFrom('threads').where('team_id', '=', team), page, toThread),

    addMessage: (message, resources) =>
      db.transaction().execute(async (tx) => {
        const thread = await openThread(tx, engine, message.teamId, message.threadId);
        if ('kind' in thread) return thread;
        await writeMessages(tx, engine, thread.pk, [message]);
        if (resources) await changeResources(tx, thread, resources);
        return { kind: 'added' };
      }),
    async findMessage(team, thread, id) {
      const row = await messageOf(db, team, thread, id).selectAll('messages').executeTakeFirst();
      return row ? toMessage(row, { teamId: team, threadId: thread }) : null;
    },
    updateMessage: (team, thread, id, metadata) =>
      db.transaction().execute(async (tx) => {
        const row = await messageOf(tx, team, thread, id).selectAll('messages').executeTakeFirst();
        if (row === undefined) return null;
        const changed = { ...row, metadata: JSON.stringify(metadata) };
        await tx.updateTable('messages').set({ metadata: changed.metadata }).where('pk', '=', row.pk).execute();
        return toMessage(changed, { teamId: team, threadId: thread });
      }),
    deleteMessage: (team, thread, id) =>
      db.transaction().execute(async (tx) => {
        const row = await messageOf(tx, team, thread, id).selectAll('messages').executeTakeFirst();
        if (row === undefined) return null;
        if (row.run_id !== null) {
          const active = await lockRows(activeRunOf(tx, team, thread).select('id')).executeTakeFirst();
          if (active?.id === row.run_id) return { kind: 'locked', runId: active.id as RunId };
        }
        await tx.deleteFrom('messages').where('pk', '=', row.pk).execute();
        return { kind: 'deleted' };
      }),
    async listMessages(team, thread, page, { runId }) {
      const row = await threadOf(db, team, thread).select('pk').executeTakeFirst();
      if (row === undefined) return null;
      const scope = db.selectFrom('messages').where('thread_pk', '=', row.pk);
      const rows = runId === undefined ? scope : scope.where('run_id', '=', runId);
      const toObject = (message: Selectable<Schema['messages']>) =>
        toMessage(message, { teamId: team, threadId: thread });
      return readPage(scope, page, toObject, rows);
    },

    async findRun(team, thread, id) {
      const row = await runsOf(db, team, thread).selectAll('runs').where('runs.id', '=', id).executeTakeFirst();
      return row ? toRun(row) : null;
    },
    async findActiveRun(team, thread) {
      const row = await activeRunOf(db, team, thread).selectAll().executeTakeFirst();
      return row ? toRun(row) : null;
    },
    updateRun: (team, thread, id, metadata) =>
      db.transaction().execute(async (tx) => {
        const query = runsOf(tx, team, thread).selectAll('runs').where('runs.id', '=', id);
        const row = await lockRows(query).executeTakeFirst();
        if (row === undefined) return null;
        const changed = { ...row, metadata: JSON.stringify(metadata) };
        await tx.updateTable('runs').set({ metadata: changed.metadata }).where('pk', '=', row.pk).execute();
        return toRun(changed);
      }),
    async listRuns(team, thread, page) {
      const row = await threadOf(db, team, thread).select('pk').executeTakeFirst();
      if (row === undefined) return null;
      return readPage(db.selectFrom('runs').where('thread_pk', '=', row.pk), page, toRun);
    },
    async listSteps(team, thread, run, page) {
      const row = await runsOf(db, team, thread).selectAll('runs').where('runs.id', '=', run).executeTakeFirst();
      if (row === undefined) return null;
      const toObject = (step: Selectable<Schema['steps']>) => toStep(step, inRun(row));
      return readPage(db.selectFrom('steps').where('run_pk', '=', row.pk), page, toObject);
    },
    async findStep(team, thread, run, id) {
      const row = await runsOf(db, team, thread).selectAll('runs').where('runs.id', '=', run).executeTakeFirst();
      if (row === undefined) return null;
      const step = await db
        .selectFrom('steps')
        .selectAll()
        .where('run_pk', '=', row.pk)
        .where('id', '=', id)
        .executeTakeFirst();
      return step ? toStep(step, inRun(row)) : null;
    },
  };
}

function assistantsOf(db: Kysely<Schema>, team: TeamId) {
  return db.selectFrom('assistants').where('team_id', '=', team);
}

export function threadOf(db: Kysely<Schema>, team: TeamId, id: ThreadId) {
  return db.selectFrom('threads').where('team_id', '=', team).where('id', '=', id);
}

function messageOf(db: Kysely<Schema>, team: TeamId, thread: ThreadId, id: string) {
  return db
    .selectFrom('messages')
    .innerJoin('threads', 'threads.pk', 'messages.thread_pk')
    .where('threads.team_id', '=', team)
    .where('threads.id', '=', thread)
    .where('messages.id', '=', id);
}

export function runsOf(db: Kysely<Schema>, team: TeamId, thread: ThreadId) {
  return db
    .selectFrom('runs')
    .where('runs.thread_pk', '=', (eb) =>
      eb
        .selectFrom('threads')
        .select('threads.pk')
        .where('threads.team_id', '=', team)
        .where('threads.id', '=', thread),
    );
}

function activeRunOf(db: Kysely<Schema>, team: TeamId, thread: ThreadId) {
  return runsOf(db, team, thread).where('runs.status', 'in', ACTIVE_STATUSES);
}

/** @returns the new thread's pk, null where its id is taken */
export async function writeThread(
  tx: Kysely<Schema>,
  engine: Engine,
  thread: Thread,
  messages: readonly Message[],
): Promise<number | null> {
  const row = await tx
    .insertInto('threads')
    .values(threadRow(thread))
    .onConflict((on) => on.doNothing())
    .returning('pk')
    .executeTakeFirst();
  if (row === undefined) return null;
  await writeMessages(tx, engine, row.pk, messages);
  return row.pk;
}

/** Messages that a caller adds, in this order, each with its place in the history. */
export async function writeMessages(
  tx: Kysely<Schema>,
  engine: Engine,
  threadPk: number,
  messages: readonly Message[],
): Promise<void> {
  const entries = [];
  for (const message of messages) {
    const { pk } = await tx
      .insertInto('messages')
      .values(messageRow(message, threadPk))
      .returning('pk')
      .executeTakeFirstOrThrow();
    entries.push({ kind: 'message', message_pk: pk, run_id: null, turn: null, out_ix: null, payload: null });
  }
  await appendHistory(tx, threadPk, engine.now(), entries);
}

/** The thread, held until the transaction ends, if it takes messages and runs now. */
export async function openThread(
  tx: Kysely<Schema>,
  { lockRows }: Engine,
  team: TeamId,
  id: ThreadId,
): Promise<Selectable<Schema['threads']> | NoThread | ThreadLocked> {
  const thread = await lockRows(threadOf(tx, team, id).selectAll()).executeTakeFirst();
  if (thread === undefined) return { kind: 'no_thread' };
  const active = await tx
    .selectFrom('runs')
    .select('id')
    .where('thread_pk', '=', thread.pk)
    .where('status', 'in', ACTIVE_STATUSES)
    .executeTakeFirst();
  return active === undefined ? thread : { kind: 'locked', runId: active.id as RunId };
}

export async function changeResources(
  tx: Kysely<Schema>,
  thread: Selectable<Schema['threads']>,
  change: ChangeResources,
): Promise<void> {
  const { tool_resources } = threadRow({ ...toThread(thread), toolResources: change(toThread(thread).toolResources) });
  await tx.updateTable('threads').set({ tool_resources }).where('pk', '=', thread.pk).execute();
}
