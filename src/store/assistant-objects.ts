// Assistants, threads and messages, and the plain reading of runs and steps. Every query names the team.
import type { Kysely, Selectable } from 'kysely';

import type {
  AssistantObjects,
  ChangeResources,
  NoThread,
  ThreadFull,
  ThreadLocked,
} from '../domain/assistant-store.ts';
import { type Message, type RunId, type Thread, type ThreadId, MESSAGES_MAX } from '../domain/assistants.ts';
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
import { filesNamedBy, shareFiles } from './generated-files.ts';
import { appendHistory } from './history.ts';
import { readPage } from './object-pages.ts';
import type { Schema } from './schema.ts';

export function assistantObjects(engine: Engine): AssistantObjects {
  const { db, lockRows } = engine;

  return {
    insertAssistant: (assistant) =>
      db.transaction().execute(async (tx) => {
        await shareFiles(tx, assistant.teamId, null, filesNamedBy(assistant));
        const query = tx
          .insertInto('assistants')
          .values(assistantRow(assistant))
          .onConflict((on) => on.doNothing());
        return (await query.executeTakeFirst()).numInsertedOrUpdatedRows === 1n;
      }),
    async findAssistant(team, id) {
      const row = await assistantsOf(db, team).selectAll().where('id', '=', id).executeTakeFirst();
      return row ? toAssistant(row) : null;
    },
    updateAssistant: (team, id, change) =>
      db.transaction().execute(async (tx) => {
        const row = await lockRows(assistantsOf(tx, team).selectAll().where('id', '=', id)).executeTakeFirst();
        if (row === undefined) return null;
        const changed = change(toAssistant(row));
        await shareFiles(tx, team, null, filesNamedBy(changed));
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
        await shareFiles(tx, team, id, filesNamedBy(changed));
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
        const files = await tx
          .deleteFrom('generated_files')
          .where('team_id', '=', team)
          .where('thread_id', '=', id)
          .where('is_shared', '=', 0)
          .returning('upstream_id')
          .execute();
        const upstreamIds = files.map((file) => file.upstream_id).filter((upstreamId) => upstreamId !== null);
        return { active: active ? toRun(active) : null, upstreamIds };
      }),
    listThreads: (team, page) => readPage(db.selectFrom('threads').where('team_id', '=', team), page, toThread),

    addMessage: (message, resources) =>
      db.transaction().execute(async (tx) => {
        const thread = await openThread(tx, engine, message.teamId, message.threadId);
        if ('kind' in thread) return thread;
        const full = overfull(thread, 1);
        if (full !== null) return full;
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
        // The thread's row before the message's, as its deletion takes them.
        await lockRows(threadOf(tx, team, thread).select('pk')).execute();
        const { numDeletedRows } = await tx.deleteFrom('messages').where('pk', '=', row.pk).executeTakeFirst();
        await countMessages(tx, row.thread_pk, -Number(numDeletedRows));
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
  await shareFiles(tx, thread.teamId, thread.id, filesNamedBy(thread));
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
    await shareFiles(tx, message.teamId, message.threadId, filesNamedBy(message));
    const { pk } = await tx
      .insertInto('messages')
      .values(messageRow(message, threadPk))
      .returning('pk')
      .executeTakeFirstOrThrow();
    entries.push({ kind: 'message', message_pk: pk, run_id: null, turn: null, out_ix: null, payload: null });
  }
  await appendHistory(tx, threadPk, engine.now(), entries);
  await countMessages(tx, threadPk, messages.length);
}

/** Beside every writing and deleting of messages. */
export async function countMessages(tx: Kysely<Schema>, threadPk: number, more: number): Promise<void> {
  if (more === 0) return;
  await tx
    .updateTable('threads')
    .set((eb) => ({ message_count: eb('message_count', '+', more) }))
    .where('pk', '=', threadPk)
    .execute();
}

/** What a caller adds must fit; what a run says is kept in any case. */
export function overfull({ message_count: stand }: Selectable<Schema['threads']>, more: number): ThreadFull | null {
  return more > 0 && stand + more > MESSAGES_MAX ? { kind: 'full', messages: stand + more } : null;
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
  const changed = { ...toThread(thread), toolResources: change(toThread(thread).toolResources) };
  await shareFiles(tx, changed.teamId, changed.id, filesNamedBy(changed));
  const { tool_resources } = threadRow(changed);
  await tx.updateTable('threads').set({ tool_resources }).where('pk', '=', thread.pk).execute();
}
