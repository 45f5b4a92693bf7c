// The tables of prices, as they first stood.
import type { Kysely } from 'kysely';

export async function makePriceTables({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('price_versions')
    .addColumn('version', 'text', (column) => column.primaryKey())
    .addColumn('layers', 'text', (column) => column.notNull())
    .addColumn('first_used_at', 'bigint', (column) => column.notNull())
    .execute();
  await schema
    .createTable('price_refreshes')
    .addColumn('seq', 'bigint', (column) => column.primaryKey())
    .addColumn('book', 'text', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .execute();
  await schema
    .createTable('unpriced')
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('endpoint', 'text', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('count', 'bigint', (column) => column.notNull())
    .addColumn('first_seen_at', 'bigint', (column) => column.notNull())
    .addColumn('last_seen_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('unpriced_pk', ['model', 'endpoint', 'reason'] as never)
    .execute();
}
