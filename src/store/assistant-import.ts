// Objects of the Assistants API brought in from elsewhere with their ids and times, and taken out again.
import { isDeepStrictEqual } from 'node:util';

import type { Kysely } from 'kysely';

import type { ImportedObject, Keepsakes } from '../domain/assistant-store.ts';
import type { Message, ThreadId } from '../domain/assistants.ts';
import type { TeamId } from '../domain/id.ts';
import type { Run, RunStep } from '../domain/run.ts';
import { threadOf } from './assistant-objects.ts';
import {
  assistantRow,
  inRun,
  messageRow,
  runRow,
  stepRow,
  threadRow,
  toAssistant,
  toMessage,
  toRun,
  toStep,
  toThread,
} from './assistant-rows.ts';
import type { Engine } from './engine.ts';
import type { Schema } from './schema.ts';

type Imported = Awaited<ReturnType<Keepsakes['importObject']>>;

export function importAndExport({ db }: Engine): Pick<Keepsakes, 'importObject' | 'exportObjects'> {
  return {
    importObject: (object, isDryRun) =>
      db.transaction().execute((tx) => {
        switch (object.kind) {
          case 'assistant':
            return importAssistant(tx, object.object, isDryRun);
          case 'thread':
            return importThread(tx, object.object, isDryRun);
          case 'message':
            return importMessage(tx, object.object, isDryRun);
          case 'run':
            return importRun(tx, object.object, isDryRun);
          case 'step':
            return importStep(tx, object.object, isDryRun);
        }
      }),

    async exportObjects(kind, team, cursor, limit) {
      const rows = await EXPORTS[kind](db, team, cursor ?? 0, limit);
      const last = rows.at(-1);
      return {
        data: rows.map((row) => row.object),
        cursor: rows.length < limit || last === undefined ? null : last.pk,
      };
    },
  };
}

async function importAssistant(
  tx: Kysely<Schema>,
  assistant: Parameters<typeof assistantRow>[0],
  isDryRun: boolean,
): Promise<Imported> {
  const { teamId, id } = assistant;
  const found = await tx
    .selectFrom('assistants')
    .selectAll()
    .where('team_id', '=', teamId)
    .where('id', '=', id)
    .executeTakeFirst();
  const row = assistantRow(assistant);
  return upsert(found, found && toAssistant(found), assistant, isDryRun, {
    insert: () => tx.insertInto('assistants').values(row).execute(),
    update: (pk) => tx.updateTable('assistants').set(row).where('pk', '=', pk).execute(),
  });
}

async function importThread(
  tx: Kysely<Schema>,
  thread: Parameters<typeof threadRow>[0],
  isDryRun: boolean,
): Promise<Imported> {
  const found = await threadOf(tx, thread.teamId, thread.id).selectAll().executeTakeFirst();
  const row = threadRow(thread);
  return upsert(found, found && toThread(found), thread, isDryRun, {
    insert: () => tx.insertInto('threads').values(row).execute(),
    update: (pk) => tx.updateTable('threads').set(row).where('pk', '=', pk).execute(),
  });
}

async function importMessage(tx: Kysely<Schema>, message: Message, isDryRun: boolean): Promise<Imported> {
  const threadPk = await pkOfThread(tx, message.teamId, message.threadId);
  if (threadPk === null) return 'no_thread';
  const found = await tx
    .selectFrom('messages')
    .selectAll()
    .where('thread_pk', '=', threadPk)
    .where('id', '=', message.id)
    .executeTakeFirst();
  const row = messageRow(message, threadPk);
  return upsert(found, found && toMessage(found, message), message, isDryRun, {
    insert: async () => {
      const { pk } = await tx.insertInto('messages').values(row).returning('pk').executeTakeFirstOrThrow();
      const ord = await placeInHistory(tx, threadPk, message.createdAt);
      await tx.insertInto('history').values({ thread_pk: threadPk, ord, kind: 'message', message_pk: pk }).execute();
    },
    update: (pk) => tx.updateTable('messages').set(row).where('pk', '=', pk).execute(),
  });
}

async function importRun(tx: Kysely<Schema>, run: Omit<Run, 'ref'>, isDryRun: boolean): Promise<Imported> {
  const threadPk = await pkOfThread(tx, run.teamId, run.threadId);
  if (threadPk === null) return 'no_thread';
  const found = await tx
    .selectFrom('runs')
    .selectAll()
    .where('thread_pk', '=', threadPk)
    .where('id', '=', run.id)
    .executeTakeFirst();
  const { ref: _ref, ...stands } = found ? toRun(found) : { ref: null };
  // An imported run has ended long ago: nobody claims it, and it has no events.
  const row = { ...runRow(run, threadPk), ended_ms: 0 };
  return upsert(found, found && stands, run, isDryRun, {
    insert: () => tx.insertInto('runs').values(row).execute(),
    update: (pk) => tx.updateTable('runs').set(row).where('pk', '=', pk).execute(),
  });
}

async function importStep(tx: Kysely<Schema>, step: RunStep, isDryRun: boolean): Promise<Imported> {
  const threadPk = await pkOfThread(tx, step.teamId, step.threadId);
  if (threadPk === null) return 'no_thread';
  const run = await tx
    .selectFrom('runs')
    .select('pk')
    .where('thread_pk', '=', threadPk)
    .where('id', '=', step.runId)
    .executeTakeFirst();
  if (run === undefined) return 'no_run';
  const found = await tx
    .selectFrom('steps')
    .selectAll()
    .where('run_pk', '=', run.pk)
    .where('id', '=', step.id)
    .executeTakeFirst();
  const row = stepRow(step, run.pk);
  return upsert(found, found && toStep(found, step), step, isDryRun, {
    insert: () => tx.insertInto('steps').values(row).execute(),
    update: (pk) => tx.updateTable('steps').set(row).where('pk', '=', pk).execute(),
  });
}

async function upsert(
  found: { readonly pk: number } | undefined,
  stands: unknown,
  wanted: unknown,
  isDryRun: boolean,
  write: { insert(): Promise<unknown>; update(pk: number): Promise<unknown> },
): Promise<Imported> {
  if (found === undefined) {
    if (!isDryRun) await write.insert();
    return 'created';
  }
  if (isDeepStrictEqual(stands, wanted)) return 'unchanged';
  if (!isDryRun) await write.update(found.pk);
  return 'updated';
}

async function pkOfThread(tx: Kysely<Schema>, team: TeamId, id: ThreadId): Promise<number | null> {
  return (await threadOf(tx, team, id).select('pk').executeTakeFirst())?.pk ?? null;
}

/** Among what stands, by the time of the message; behind the others of its second. */
async function placeInHistory(tx: Kysely<Schema>, threadPk: number, createdAt: number): Promise<number> {
  const from = createdAt * 1000;
  const last = await tx
    .selectFrom('history')
    .select('ord')
    .where('thread_pk', '=', threadPk)
    .where('ord', '>=', from)
    .where('ord', '<', from + 1000)
    .orderBy('ord', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last === undefined ? from : last.ord + 1;
}

interface Exported {
  readonly pk: number;
  readonly object: ImportedObject;
}

type Export = (db: Kysely<Schema>, team: TeamId | null, after: number, limit: number) => Promise<readonly Exported[]>;

const EXPORTS: Readonly<Record<ImportedObject['kind'], Export>> = {
  async assistant(db, team, after, limit) {
    let query = db.selectFrom('assistants').selectAll().where('pk', '>', after).orderBy('pk').limit(limit);
    if (team !== null) query = query.where('team_id', '=', team);
    return (await query.execute()).map((row) => ({
      pk: row.pk,
      object: { kind: 'assistant', object: toAssistant(row) },
    }));
  },
  async thread(db, team, after, limit) {
    let query = db.selectFrom('threads').selectAll().where('pk', '>', after).orderBy('pk').limit(limit);
    if (team !== null) query = query.where('team_id', '=', team);
    return (await query.execute()).map((row) => ({ pk: row.pk, object: { kind: 'thread', object: toThread(row) } }));
  },
  async message(db, team, after, limit) {
    let query = db
      .selectFrom('messages')
      .innerJoin('threads', 'threads.pk', 'messages.thread_pk')
      .selectAll('messages')
      .select(['threads.team_id', 'threads.id as thread_id'])
      .where('messages.pk', '>', after)
      .orderBy('messages.pk')
      .limit(limit);
    if (team !== null) query = query.where('threads.team_id', '=', team);
    return (await query.execute()).map((row) => {
      // Branded when they were written.
      const where = { teamId: row.team_id as TeamId, threadId: row.thread_id as ThreadId };
      return { pk: row.pk, object: { kind: 'message', object: toMessage(row, where) } };
    });
  },
  async run(db, team, after, limit) {
    let query = db.selectFrom('runs').selectAll().where('pk', '>', after).orderBy('pk').limit(limit);
    if (team !== null) query = query.where('team_id', '=', team);
    return (await query.execute()).map((row) => ({ pk: row.pk, object: { kind: 'run', object: toRun(row) } }));
  },
  async step(db, team, after, limit) {
    let query = db
      .selectFrom('steps')
      .innerJoin('runs', 'runs.pk', 'steps.run_pk')
      .selectAll('steps')
      .select(['runs.team_id', 'runs.thread_id', 'runs.id as run_id', 'runs.assistant_id'])
      .where('steps.pk', '>', after)
      .orderBy('steps.pk')
      .limit(limit);
    if (team !== null) query = query.where('runs.team_id', '=', team);
    return (await query.execute()).map((row) => {
      const where = inRun({ ...row, id: row.run_id });
      return { pk: row.pk, object: { kind: 'step', object: toStep(row, where) } };
    });
  },
};
