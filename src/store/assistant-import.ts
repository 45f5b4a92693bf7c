// Objects of the Assistants API brought in from elsewhere with their ids and times.
import { isDeepStrictEqual } from 'node:util';

import type { Kysely } from 'kysely';

import type { FilePart, ImportedItem, ImportedObject, Keepsakes } from '../domain/assistant-store.ts';
import type { GeneratedFile, ThreadId } from '../domain/assistants.ts';
import type { TeamId } from '../domain/id.ts';
import type { Run, RunStep } from '../domain/run.ts';
import { countMessages, threadOf } from './assistant-objects.ts';
import {
  assistantRow,
  generatedFileRow,
  messageRow,
  runRow,
  stepRow,
  threadRow,
  toAssistant,
  toGeneratedFile,
  toMessage,
  toRun,
  toStep,
  toThread,
} from './assistant-rows.ts';
import type { Engine } from './engine.ts';
import type { Schema } from './schema.ts';

type Imported = Awaited<ReturnType<Keepsakes['importObject']>>;

export function objectsIn({ db }: Engine): Pick<Keepsakes, 'importObject'> {
  return {
    importObject: (object, isDryRun) =>
      db.transaction().execute((tx) => {
        switch (object.kind) {
          case 'assistant':
            return importAssistant(tx, object.object, isDryRun);
          case 'thread':
            return importThread(tx, object.object, isDryRun);
          case 'message':
            return importMessage(tx, object, isDryRun);
          case 'item':
            return importItem(tx, object.object, isDryRun);
          case 'run':
            return importRun(tx, object.object, isDryRun);
          case 'step':
            return importStep(tx, object.object, isDryRun);
          case 'file':
            return importFile(tx, object.object, object.isShared, isDryRun);
          case 'file_part':
            return importFilePart(tx, object.object, isDryRun);
        }
      }),
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

async function importMessage(
  tx: Kysely<Schema>,
  { object: message, ord }: Extract<ImportedObject, { kind: 'message' }>,
  isDryRun: boolean,
): Promise<Imported> {
  const threadPk = await pkOfThread(tx, message.teamId, message.threadId);
  if (threadPk === null) return 'no_thread';
  const found = await tx
    .selectFrom('messages')
    .leftJoin('history', 'history.message_pk', 'messages.pk')
    .selectAll('messages')
    .select('history.ord')
    .where('messages.thread_pk', '=', threadPk)
    .where('messages.id', '=', message.id)
    .executeTakeFirst();
  const row = messageRow(message, threadPk);
  const place = async (pk: number, at: number) => {
    const { run_id, turn, out_ix } = row;
    const entry = { thread_pk: threadPk, ord: at, kind: 'message', message_pk: pk };
    // As the engine writes it: under its origin, where it has one.
    await tx
      .insertInto('history')
      .values(turn === null || turn === undefined ? entry : { ...entry, run_id, turn, out_ix })
      .execute();
  };
  const stands = found && { message: toMessage(found, message), ord: found.ord };
  const wanted = { message, ord: ord === undefined ? (found?.ord ?? null) : ord };
  return upsert(found, stands, wanted, isDryRun, {
    insert: async () => {
      const { pk } = await tx.insertInto('messages').values(row).returning('pk').executeTakeFirstOrThrow();
      const at = ord === undefined ? await placeInHistory(tx, threadPk, message.createdAt) : ord;
      if (at !== null) await place(pk, at);
      await countMessages(tx, threadPk, 1);
    },
    update: async (pk) => {
      await tx.updateTable('messages').set(row).where('pk', '=', pk).execute();
      if (ord === undefined || ord === found?.ord) return;
      await tx.deleteFrom('history').where('message_pk', '=', pk).execute();
      if (ord !== null) await place(pk, ord);
    },
  });
}

/** Known by its place and its kind: what stands at one place of a thread was written at once. */
async function importItem(tx: Kysely<Schema>, item: ImportedItem, isDryRun: boolean): Promise<Imported> {
  const { teamId, threadId, ord, runId, turn, outIx, payload } = item;
  const threadPk = await pkOfThread(tx, teamId, threadId);
  if (threadPk === null) return 'no_thread';
  const found = await tx
    .selectFrom('history')
    .selectAll()
    .where('thread_pk', '=', threadPk)
    .where('ord', '=', ord)
    .where('kind', '=', payload.type)
    .executeTakeFirst();
  const row = { run_id: runId, turn, out_ix: outIx, payload: JSON.stringify(payload) };
  const stands = found && {
    run_id: found.run_id,
    turn: found.turn,
    out_ix: found.out_ix,
    payload: found.payload,
  };
  return upsert(found, stands, row, isDryRun, {
    insert: () =>
      tx
        .insertInto('history')
        .values({ ...row, thread_pk: threadPk, ord, kind: payload.type, message_pk: null })
        .execute(),
    update: (pk) => tx.updateTable('history').set(row).where('pk', '=', pk).execute(),
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

async function importFile(
  tx: Kysely<Schema>,
  file: GeneratedFile,
  isShared: boolean,
  isDryRun: boolean,
): Promise<Imported> {
  if ((await pkOfThread(tx, file.teamId, file.threadId)) === null) return 'no_thread';
  const found = await fileOf(tx, file).selectAll().executeTakeFirst();
  const row = { ...generatedFileRow(file), is_shared: isShared ? 1 : 0 };
  const stands = found && { file: toGeneratedFile(found), isShared: found.is_shared === 1 };
  return upsert(found, stands, { file, isShared }, isDryRun, {
    insert: () => tx.insertInto('generated_files').values(row).execute(),
    update: (pk) => tx.updateTable('generated_files').set(row).where('pk', '=', pk).execute(),
  });
}

async function importFilePart(
  tx: Kysely<Schema>,
  { teamId, fileId, part, content }: FilePart,
  isDryRun: boolean,
): Promise<Imported> {
  const file = await fileOf(tx, { teamId, id: fileId }).select('pk').executeTakeFirst();
  if (file === undefined) return 'no_file';
  const found = await tx
    .selectFrom('generated_file_parts')
    .select(['file_pk as pk', 'content'])
    .where('file_pk', '=', file.pk)
    .where('part', '=', part)
    .executeTakeFirst();
  const row = { file_pk: file.pk, part, content };
  return upsert(found, found && Buffer.from(found.content), content, isDryRun, {
    insert: () => tx.insertInto('generated_file_parts').values(row).execute(),
    update: (pk) =>
      tx
        .updateTable('generated_file_parts')
        .set({ content })
        .where('file_pk', '=', pk)
        .where('part', '=', part)
        .execute(),
  });
}

function fileOf(tx: Kysely<Schema>, { teamId, id }: Pick<GeneratedFile, 'teamId' | 'id'>) {
  return tx.selectFrom('generated_files').where('team_id', '=', teamId).where('id', '=', id);
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
