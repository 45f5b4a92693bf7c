// The table of work that exchanges started and that is paid for later.
import type { Kysely } from 'kysely';

export interface PendingWorkSchema {
  pending_work: {
    settle_key: string;
    kind: string;
    upstream_id: string;
    exchange_id: string;
    team_id: string | null;
    key_id: string | null;
    state: string;
    started_at: number;
    next_look_at: number;
    looks: number;
    owner: string | null;
    lease_until: number;
    /** Bytes of a vector store at the last look; 0 in all others. */
    bytes: number;
    /** JSON of all that no query asks for, as it was when the work began. */
    details: string;
    /** JSON of what looks have seen. */
    progress: string;
  };
}

export async function makePendingWorkTable(db: Kysely<unknown>): Promise<void> {
  const { schema } = db;
  await schema
    .createTable('pending_work')
    .addColumn('settle_key', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('upstream_id', 'text', (column) => column.notNull())
    .addColumn('exchange_id', 'text', (column) => column.notNull())
    .addColumn('team_id', 'text')
    .addColumn('key_id', 'text')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('started_at', 'bigint', (column) => column.notNull())
    .addColumn('next_look_at', 'bigint', (column) => column.notNull())
    .addColumn('looks', 'bigint', (column) => column.notNull())
    .addColumn('owner', 'text')
    .addColumn('lease_until', 'bigint', (column) => column.notNull())
    .addColumn('bytes', 'bigint', (column) => column.notNull())
    .addColumn('details', 'text', (column) => column.notNull())
    .addColumn('progress', 'text', (column) => column.notNull())
    .execute();
  await schema.createIndex('pending_work_due').on('pending_work').columns(['state', 'next_look_at']).execute();
}
