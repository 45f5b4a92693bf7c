// The shared store in a SQLite file: one process, one connection, so that a transaction is alone by itself.
import { DatabaseSync } from 'node:sqlite';

import { Kysely } from 'kysely';

import type { Clock } from '../domain/clock.ts';
import type { Engine } from './engine.ts';
import { nodeSqliteDialect } from './node-sqlite-dialect.ts';
import type { Schema } from './schema.ts';
import { localWakeups } from './wakeups.ts';

/** @param file made where there is none; `:memory:` for none at all */
export function openSqlite(file: string, clock: Clock): Engine {
  const database = new DatabaseSync(file, { timeout: 5000 });
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON');
  const db = new Kysely<Schema>({ dialect: nodeSqliteDialect(database) });
  const wakeups = localWakeups();
  return {
    name: 'sqlite',
    db,
    types: { identity: { type: 'integer', define: (column) => column.autoIncrement() }, bytes: 'blob' },
    now: () => clock.now(),
    lockRows: (query) => query,
    lockFreeRows: (query) => query,
    wakeups,
    async close() {
      await wakeups.close();
      await db.destroy();
    },
  };
}
