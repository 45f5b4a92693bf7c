// The table of the upstream's objects, each with the team that made it.
import type { Kysely } from 'kysely';

export interface OwnedObjectSchema {
  owned_objects: {
    kind: string;
    upstream_id: string;
    team_id: string;
    key_id: string | null;
    exchange_id: string | null;
    created_at: number;
  };
}

export async function makeOwnedObjectsTable(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('owned_objects')
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('upstream_id', 'text', (column) => column.notNull())
    .addColumn('team_id', 'text', (column) => column.notNull())
    .addColumn('key_id', 'text')
    .addColumn('exchange_id', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('owned_objects_pk', ['kind', 'upstream_id'])
    .execute();
}
