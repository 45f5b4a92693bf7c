// Widens teams and keys, and adds users and the audit. The first two tables are made anew, because SQLite cannot take a constraint
// off a column. Every new column has a default, so that replicas of the version before can go on making keys meanwhile.
import { type CreateTableBuilder, type Kysely, sql } from 'kysely';

import { KEY_DEFAULTS } from '../domain/key.ts';
import { UNLIMITED } from '../domain/limits.ts';
import { TEAM_DEFAULTS } from '../domain/team.ts';

export async function widenTeamsAndKeys(db: Kysely<unknown>): Promise<void> {
  const teams = db.schema
    .createTable('teams_next')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', notNull);
  // Until now there were no teams but the default one, and a key that named `admin` was allowed it: so it stays.
  await lifeColumns(scopeColumns(teams, ['*', 'admin'])).execute();
  await sql`insert into teams_next (id, name, created_at) select id, name, created_at from teams`.execute(db);

  const users = db.schema
    .createTable('users')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', notNull)
    .addColumn('role', 'text', notNull)
    .addColumn('team_id', 'text', (column) => column.references('teams_next.id'))
    .addColumn('token_hash', 'text', (column) => column.unique())
    .addColumn('token_hint', 'text')
    .addColumn('limits', 'text', by(json(UNLIMITED)))
    .addColumn('metadata', 'text', by(json({})));
  await lifeColumns(users).execute();

  const keys = db.schema
    .createTable('keys_next')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('team_id', 'text', (column) => column.notNull().references('teams_next.id'))
    .addColumn('user_id', 'text', (column) => column.references('users.id'))
    .addColumn('name', 'text', notNull)
    .addColumn('token_hash', 'text', (column) => column.unique())
    .addColumn('token_hint', 'text', notNull)
    .addColumn('former_hash', 'text')
    .addColumn('former_until', 'bigint')
    .addColumn('allowed_cidrs', 'text', by(json(KEY_DEFAULTS.allowedCidrs)))
    .addColumn('on_disconnect', 'text')
    .addColumn('on_unpriced', 'text', by(KEY_DEFAULTS.onUnpriced))
    .addColumn('on_unbounded', 'text', by(KEY_DEFAULTS.onUnbounded))
    .addColumn('on_overrun', 'text', by(KEY_DEFAULTS.onOverrun))
    .addColumn('stream_usage', 'text', by(KEY_DEFAULTS.streamUsage))
    .addColumn('expires_at', 'bigint');
  await lifeColumns(scopeColumns(keys, KEY_DEFAULTS.endpoints)).execute();
  await sql`insert into keys_next (id, team_id, name, token_hash, token_hint, endpoints, status, expires_at, created_at)
    select id, team_id, name, token_hash, token_hint, endpoints, status, expires_at, created_at from keys`.execute(db);

  // The table that refers goes first; what refers to a renamed table follows it.
  await db.schema.dropTable('keys').execute();
  await db.schema.dropTable('teams').execute();
  await db.schema.alterTable('teams_next').renameTo('teams').execute();
  await db.schema.alterTable('keys_next').renameTo('keys').execute();

  // Names are free again once what bore them was deleted.
  for (const table of ['teams', 'users']) {
    const index = db.schema.createIndex(`${table}_name`).on(table).column('name').unique();
    await index.where(sql.ref('status'), '<>', sql.lit('deleted')).execute();
  }
  await db.schema.createIndex('keys_team_id').on('keys').columns(['team_id', 'id']).execute();
  await db.schema.createIndex('keys_user_id').on('keys').columns(['user_id', 'id']).execute();
  await db.schema.createIndex('keys_former_hash').on('keys').column('former_hash').execute();

  await db.schema
    .createTable('audit')
    .addColumn('seq', 'bigint', (column) => column.primaryKey())
    .addColumn('at', 'bigint', notNull)
    .addColumn('actor', 'text', notNull)
    .addColumn('address', 'text')
    .addColumn('action', 'text', notNull)
    .addColumn('kind', 'text', notNull)
    .addColumn('object_id', 'text', notNull)
    .addColumn('before_digest', 'text')
    .addColumn('after_digest', 'text')
    .addColumn('previous', 'text', notNull)
    .addColumn('hash', 'text', notNull)
    .execute();
  await db.schema.createIndex('audit_object').on('audit').columns(['object_id', 'seq']).execute();
  await db.schema
    .createTable('audit_head')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('seq', 'bigint', notNull)
    .addColumn('hash', 'text', notNull)
    .execute();
  await sql`insert into audit_head (id, seq, hash) values (1, 0, '')`.execute(db);
}

type Define = Parameters<CreateTableBuilder<string, string>['addColumn']>[2];

const notNull: Define = (column) => column.notNull();
const by =
  (text: string): Define =>
  (column) =>
    column.notNull().defaultTo(text);
const json = (value: unknown) => JSON.stringify(value);

function scopeColumns<T extends string, C extends string>(
  table: CreateTableBuilder<T, C>,
  endpoints: readonly string[],
): CreateTableBuilder<T, C | 'capture'> {
  return table
    .addColumn('models', 'text', by(json(TEAM_DEFAULTS.models)))
    .addColumn('endpoints', 'text', by(json(endpoints)))
    .addColumn('limits', 'text', by(json(UNLIMITED)))
    .addColumn('tags', 'text', by(json([])))
    .addColumn('metadata', 'text', by(json({})))
    .addColumn('capture', 'text', by(TEAM_DEFAULTS.capture));
}

function lifeColumns<T extends string, C extends string>(
  table: CreateTableBuilder<T, C>,
): CreateTableBuilder<T, C | 'created_at'> {
  return table.addColumn('status', 'text', by('active')).addColumn('created_at', 'bigint', notNull);
}
