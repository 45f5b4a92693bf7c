// Brings the shared store to the newest schema: numbered steps, forward only, each in a transaction of its own.
import type { Kysely } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';

import { addAssistantCounts, makeAssistantTables } from './assistant-migration.ts';
import type { ColumnTypes, Engine } from './engine.ts';
import { widenTeamsAndKeys } from './key-migration.ts';
import { makeCoarseRollups, makeLedgerPlaces, makeLedgerTables, makeReportRollups } from './ledger-migration.ts';
import { makeOwnedObjectsTable } from './owned-object-migration.ts';
import { makePendingWorkTable } from './pending-work-migration.ts';
import { makePriceTables } from './price-migration.ts';

const migrations = (types: ColumnTypes, engine: Engine['name']): Record<string, Migration> => ({
  '0001_teams_and_keys': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('teams')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('name', 'text', (column) => column.notNull().unique())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('keys')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('team_id', 'text', (column) => column.notNull().references('teams.id'))
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('token_hash', 'text', (column) => column.notNull().unique())
        .addColumn('token_hint', 'text', (column) => column.notNull())
        .addColumn('endpoints', 'text', (column) => column.notNull())
        .addColumn('status', 'text', (column) => column.notNull())
        .addColumn('expires_at', 'bigint')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema.createIndex('keys_team_id').on('keys').columns(['team_id', 'id']).execute();
    },
  },
  '0002_assistants': {
    up: (db: Kysely<unknown>) => makeAssistantTables(db, types),
  },
  '0003_audit_users_and_scopes': { up: widenTeamsAndKeys },
  '0003_assistant_counts': { up: addAssistantCounts },
  '0004_ledger': { up: (db: Kysely<unknown>) => makeLedgerTables(db, engine) },
  '0004_ledger_places': { up: (db: Kysely<unknown>) => makeLedgerPlaces(db, engine) },
  '0005_pending_work': { up: makePendingWorkTable },
  '0006_prices': { up: makePriceTables },
  '0007_coarse_rollups': { up: makeCoarseRollups },
  '0008_owned_objects': { up: makeOwnedObjectsTable },
  '0009_report_rollups': { up: makeReportRollups },
});

/**
 * @param upTo name of the last step to take, as a version of the past knew no other
 * @throws the step's own error; what the step began is rolled back.
 */
export async function migrateToLatest({ name, db, types }: Engine, upTo?: string): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations(types, name) } });
  const { error } = await (upTo === undefined ? migrator.migrateToLatest() : migrator.migrateTo(upTo));
  if (error) throw error;
}
