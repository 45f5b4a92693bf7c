// The tables of the Assistants API, as they first stood. The thread lock is the index `runs_active`: at most one active run a thread.
import { type CreateTableBuilder, type Kysely, sql } from 'kysely';

import { ACTIVE_STATUSES } from '../domain/run.ts';
import type { ColumnTypes } from './engine.ts';

export async function makeAssistantTables(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  const table = (name: string) =>
    db.schema
      .createTable(name)
      .addColumn('pk', types.identity.type, (column) => types.identity.define(column.primaryKey()));

  await texts(table('assistants'), 'team_id', 'id', 'body')
    .addColumn('created_at', 'bigint', notNull)
    .addUniqueConstraint('assistants_id', ['team_id', 'id'])
    .execute();
  await index('assistants_order', 'assistants', ['team_id', 'created_at', 'pk']);

  await texts(table('threads'), 'team_id', 'id', 'tool_resources', 'metadata', 'container_files', 'extra')
    .addColumn('created_at', 'bigint', notNull)
    .addColumn('container_id', 'text')
    .addColumn('container_used_ms', 'bigint')
    .addUniqueConstraint('threads_id', ['team_id', 'id'])
    .execute();
  await index('threads_order', 'threads', ['team_id', 'created_at', 'pk']);

  await texts(table('messages'), 'id', 'role', 'status', 'body', 'metadata')
    .addColumn('thread_pk', 'bigint', ofThread)
    .addColumn('created_at', 'bigint', notNull)
    .addColumn('assistant_id', 'text')
    .addColumn('run_id', 'text')
    .addColumn('turn', 'integer')
    .addColumn('out_ix', 'integer')
    .addUniqueConstraint('messages_id', ['thread_pk', 'id'])
    .execute();
  await index('messages_order', 'messages', ['thread_pk', 'created_at', 'pk']);
  await index('messages_of_run', 'messages', ['thread_pk', 'run_id', 'created_at', 'pk']);
  await uniqueOfTurn('messages_origin', 'messages', ['thread_pk', 'run_id', 'turn', 'out_ix']);

  await texts(table('history'), 'kind')
    .addColumn('thread_pk', 'bigint', ofThread)
    .addColumn('ord', 'bigint', notNull)
    .addColumn('message_pk', 'bigint', (column) => column.references('messages.pk').onDelete('cascade'))
    .addColumn('run_id', 'text')
    .addColumn('turn', 'integer')
    .addColumn('out_ix', 'integer')
    .addColumn('payload', 'text')
    .execute();
  await index('history_order', 'history', ['thread_pk', 'ord', 'pk']);
  await index('history_of_message', 'history', ['message_pk']);
  await uniqueOfTurn('history_origin', 'history', ['thread_pk', 'run_id', 'turn', 'out_ix', 'kind']);

  await texts(
    table('runs'),
    'team_id',
    'key_id',
    'thread_id',
    'assistant_id',
    'id',
    'status',
    'spec',
    'outcome',
    'metadata',
  )
    .addColumn('include', 'text', notNull)
    .addColumn('extra', 'text', notNull)
    .addColumn('thread_pk', 'bigint', ofThread)
    .addColumn('created_at', 'bigint', notNull)
    .addColumn('expires_at', 'bigint', notNull)
    .addColumn('started_at', 'bigint')
    .addColumn('cancelled_at', 'bigint')
    .addColumn('failed_at', 'bigint')
    .addColumn('completed_at', 'bigint')
    .addColumn('lease_owner', 'text')
    .addColumn('lease_until', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('fence', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('turn', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('reruns', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('next_try_ms', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('ended_ms', 'bigint')
    .addUniqueConstraint('runs_id', ['thread_pk', 'id'])
    .execute();
  await index('runs_order', 'runs', ['thread_pk', 'created_at', 'pk']);
  await db.schema
    .createIndex('runs_active')
    .unique()
    .on('runs')
    .columns(['thread_pk'])
    .where(sql.ref('status'), 'in', [...ACTIVE_STATUSES])
    .execute();
  // Small, for it holds active runs alone: what claims and sweeps look through.
  await db.schema
    .createIndex('runs_to_claim')
    .on('runs')
    .columns(['status', 'pk'])
    .where(sql.ref('status'), 'in', [...ACTIVE_STATUSES])
    .execute();
  await index('runs_ended', 'runs', ['ended_ms']);

  await texts(table('steps'), 'id', 'status', 'details', 'outcome', 'metadata', 'extra')
    .addColumn('run_pk', 'bigint', ofRun)
    .addColumn('created_at', 'bigint', notNull)
    .addColumn('usage', 'text')
    .addColumn('turn', 'integer')
    .addColumn('out_ix', 'integer')
    .addUniqueConstraint('steps_id', ['run_pk', 'id'])
    .execute();
  await index('steps_order', 'steps', ['run_pk', 'created_at', 'pk']);
  await uniqueOfTurn('steps_origin', 'steps', ['run_pk', 'turn', 'out_ix']);

  await texts(db.schema.createTable('run_events'), 'event', 'data')
    .addColumn('run_pk', 'bigint', ofRun)
    .addColumn('seq', 'integer', notNull)
    .addPrimaryKeyConstraint('run_events_pk', ['run_pk', 'seq'])
    .execute();

  await texts(table('generated_files'), 'team_id', 'id', 'filename', 'thread_id', 'run_id')
    .addColumn('bytes', 'bigint', notNull)
    .addColumn('created_at', 'bigint', notNull)
    .addColumn('upstream_id', 'text')
    .addUniqueConstraint('generated_files_id', ['team_id', 'id'])
    .execute();
  await db.schema
    .createTable('generated_file_parts')
    .addColumn('file_pk', 'bigint', (column) => column.notNull().references('generated_files.pk').onDelete('cascade'))
    .addColumn('part', 'integer', notNull)
    .addColumn('content', types.bytes, notNull)
    .addPrimaryKeyConstraint('generated_file_parts_pk', ['file_pk', 'part'])
    .execute();

  await texts(db.schema.createTable('idempotency'), 'team_id', 'key', 'route', 'body_hash')
    .addColumn('reply', 'text')
    .addColumn('reserved_ms', 'bigint', notNull)
    .addPrimaryKeyConstraint('idempotency_pk', ['team_id', 'key'])
    .execute();
  await index('idempotency_age', 'idempotency', ['reserved_ms']);

  function index(name: string, on: string, columns: string[]): Promise<void> {
    return db.schema.createIndex(name).on(on).columns(columns).execute();
  }

  /** One output item of a turn leaves one row, however often it is written. */
  function uniqueOfTurn(name: string, on: string, columns: string[]): Promise<void> {
    return db.schema
      .createIndex(name)
      .unique()
      .on(on)
      .columns(columns)
      .where(sql.ref('turn'), 'is not', null)
      .execute();
  }
}

/** What is asked of every message, and of every thread that goes, without a look at all of them. */
export async function addAssistantCounts(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('threads')
    .addColumn('message_count', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
  await sql`UPDATE threads SET message_count = (SELECT count(*) FROM messages WHERE messages.thread_pk = threads.pk)`.execute(
    db,
  );
  await db.schema
    .alterTable('generated_files')
    .addColumn('is_shared', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema
    .createIndex('generated_files_of_thread')
    .on('generated_files')
    .columns(['team_id', 'thread_id'])
    .execute();
}

type Column = Parameters<Parameters<CreateTableBuilder<string>['addColumn']>[2] & object>[0];

const notNull = (column: Column) => column.notNull();
const ofThread = (column: Column) => column.notNull().references('threads.pk').onDelete('cascade');
const ofRun = (column: Column) => column.notNull().references('runs.pk').onDelete('cascade');

/** Text columns that are never null. */
function texts(builder: CreateTableBuilder<string, string>, ...names: string[]): CreateTableBuilder<string, string> {
  return names.reduce((table, name) => table.addColumn(name, 'text', notNull), builder);
}
