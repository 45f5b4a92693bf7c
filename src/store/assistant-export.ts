// Objects of the Assistants API taken out again, in an order that does not depend on the store that they stand in.
import type { Kysely } from 'kysely';

import type { ExportCursor, ImportedObject, Keepsakes } from '../domain/assistant-store.ts';
import type { HistoryPayload, RunId, ThreadId } from '../domain/assistants.ts';
import type { TeamId } from '../domain/id.ts';
import { inRun, toAssistant, toGeneratedFile, toMessage, toRun, toStep, toThread } from './assistant-rows.ts';
import type { AnySelect, Engine } from './engine.ts';
import type { Schema } from './schema.ts';

export function objectsOut({ db }: Engine): Pick<Keepsakes, 'exportTeams' | 'exportObjects'> {
  return {
    async exportTeams() {
      const rows = await db
        .selectFrom('assistants')
        .select('team_id')
        .union(db.selectFrom('threads').select('team_id'))
        .execute();
      return rows.map((row) => row.team_id as TeamId);
    },

    async exportObjects(kind, team, thread, { cursor, limit }) {
      const rows = await EXPORTS[kind](db, { team, thread: thread ?? NO_THREAD, cursor, limit });
      const last = rows.at(-1);
      return {
        data: rows.map((row) => row.object),
        cursor: rows.length < limit || last === undefined ? null : last.cursor,
      };
    },
  };
}

/** No thread has it. */
const NO_THREAD = 'thread_' satisfies ThreadId;

interface Scope {
  readonly team: TeamId;
  readonly thread: ThreadId;
  readonly cursor: ExportCursor | null;
  readonly limit: number;
}

interface Exported {
  readonly cursor: ExportCursor;
  readonly object: ImportedObject;
}

type Export = (db: Kysely<Schema>, scope: Scope) => Promise<readonly Exported[]>;

const EXPORTS: Readonly<Record<Exclude<ImportedObject['kind'], 'file_part'>, Export>> = {
  async assistant(db, scope) {
    const query = db.selectFrom('assistants').selectAll().where('team_id', '=', scope.team);
    const rows = await page(query, 'assistants', 'created_at', scope).execute();
    return rows.map((row) => ({
      cursor: [row.created_at, row.pk],
      object: { kind: 'assistant', object: toAssistant(row) },
    }));
  },
  async thread(db, scope) {
    const query = db.selectFrom('threads').selectAll().where('team_id', '=', scope.team);
    const rows = await page(query, 'threads', 'created_at', scope).execute();
    return rows.map((row) => ({ cursor: [row.created_at, row.pk], object: { kind: 'thread', object: toThread(row) } }));
  },
  async message(db, scope) {
    const query = db
      .selectFrom('messages')
      .innerJoin('threads', 'threads.pk', 'messages.thread_pk')
      .leftJoin('history', 'history.message_pk', 'messages.pk')
      .selectAll('messages')
      .select('history.ord')
      .where('threads.team_id', '=', scope.team)
      .where('threads.id', '=', scope.thread);
    const rows = await page(query, 'messages', 'created_at', scope).execute();
    return rows.map((row) => ({
      cursor: [row.created_at, row.pk],
      object: { kind: 'message', object: toMessage(row, { teamId: scope.team, threadId: scope.thread }), ord: row.ord },
    }));
  },
  async item(db, scope) {
    const query = db
      .selectFrom('history')
      .innerJoin('threads', 'threads.pk', 'history.thread_pk')
      .selectAll('history')
      .where('threads.team_id', '=', scope.team)
      .where('threads.id', '=', scope.thread)
      .where('history.message_pk', 'is', null);
    const rows = await page(query, 'history', 'ord', scope).execute();
    return rows.map(({ pk, ord, run_id, turn, out_ix: outIx, payload }) => ({
      cursor: [ord, pk],
      object: {
        kind: 'item',
        object: {
          teamId: scope.team,
          threadId: scope.thread,
          ord,
          runId: run_id as RunId | null,
          turn,
          outIx,
          payload: JSON.parse(payload ?? '') as HistoryPayload,
        },
      },
    }));
  },
  async run(db, scope) {
    const query = db
      .selectFrom('runs')
      .innerJoin('threads', 'threads.pk', 'runs.thread_pk')
      .selectAll('runs')
      .where('threads.team_id', '=', scope.team)
      .where('threads.id', '=', scope.thread);
    const rows = await page(query, 'runs', 'created_at', scope).execute();
    return rows.map((row) => ({ cursor: [row.created_at, row.pk], object: { kind: 'run', object: toRun(row) } }));
  },
  async step(db, scope) {
    const query = db
      .selectFrom('steps')
      .innerJoin('runs', 'runs.pk', 'steps.run_pk')
      .innerJoin('threads', 'threads.pk', 'runs.thread_pk')
      .selectAll('steps')
      .select(['runs.team_id', 'runs.thread_id', 'runs.id as run_id', 'runs.assistant_id'])
      .where('threads.team_id', '=', scope.team)
      .where('threads.id', '=', scope.thread);
    const rows = await page(query, 'steps', 'created_at', scope).execute();
    return rows.map((row) => ({
      cursor: [row.created_at, row.pk],
      object: { kind: 'step', object: toStep(row, inRun({ ...row, id: row.run_id })) },
    }));
  },
  async file(db, scope) {
    const query = db
      .selectFrom('generated_files')
      .selectAll()
      .where('team_id', '=', scope.team)
      .where('thread_id', '=', scope.thread);
    const rows = await page(query, 'generated_files', 'created_at', scope).execute();
    return rows.map((row) => ({
      cursor: [row.created_at, row.pk],
      object: { kind: 'file', object: toGeneratedFile(row), isShared: row.is_shared === 1 },
    }));
  },
};

function page<Q extends AnySelect>(query: Q, table: string, place: string, { cursor, limit }: Scope): Q {
  const [at, pk] = [`${table}.${place}`, `${table}.pk`];
  const ordered = query.orderBy(at).orderBy(pk).limit(limit);
  if (cursor === null) return ordered as Q;
  const [lastPlace, lastPk] = cursor;
  return ordered.where((eb) =>
    eb.or([eb(at, '>', lastPlace), eb.and([eb(at, '=', lastPlace), eb(pk, '>', lastPk)])]),
  ) as Q;
}
