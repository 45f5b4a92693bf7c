// The door to everything kept on disk: the shared store (teams, keys) and this process's spool.
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';

import type { KeyStore, TeamStore } from '../domain/stores.ts';
import { keyStore, teamStore } from './keys.ts';
import { migrateToLatest } from './migrate.ts';
import { nodeSqliteDialect } from './node-sqlite-dialect.ts';
import type { Schema } from './schema.ts';
import { type OpenSpool, openSpool } from './spool.ts';

export interface Store {
  readonly teams: TeamStore;
  readonly keys: KeyStore;
  readonly spool: OpenSpool;
  close(): Promise<void>;
}

export interface StoreOptions {
  /** Made where there is none, for its owner's eyes only. */
  readonly dataDir: string;
  readonly durability: 'group' | 'strict';
}

/** @throws Error when another process holds the data dir, or when it cannot be written. */
export async function openStore({ dataDir, durability }: StoreOptions): Promise<Store> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  chmodSync(dataDir, 0o700);
  const lock = holdDataDir(dataDir);
  const database = new DatabaseSync(join(dataDir, 'throughway.db'), { timeout: 5000 });
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON');
  const db = new Kysely<Schema>({ dialect: nodeSqliteDialect(database) });
  await migrateToLatest(db);
  const spool = openSpool(join(dataDir, 'spool.db'), durability);
  return {
    teams: teamStore(db),
    keys: keyStore(db),
    spool,
    async close() {
      await spool.close();
      await db.destroy();
      lock.close();
    },
  };
}

/** A lock that the system lets go of when the process dies, however it dies. */
function holdDataDir(dataDir: string): DatabaseSync {
  const lock = new DatabaseSync(join(dataDir, 'lock.db'), { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode=DELETE; BEGIN EXCLUSIVE');
  } catch (cause) {
    lock.close();
    throw new Error(`the data dir ${dataDir} is held by another Throughway; stop it, or set another --data-dir`, { cause });
  }
  return lock;
}
