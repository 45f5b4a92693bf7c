// The shared store in a SQLite file: one process, one connection, so that a transaction is alone by itself.
import { DatabaseSync } from 'node:sqlite';

import { Kysely } from 'kysely';

import type { Clock } from '../domain/clock.ts';
import { openAside } from './aside.ts';
import type { Engine } from './engine.ts';
import { startKeeper } from './keeper.ts';
import { nodeSqliteDialect } from './node-sqlite-dialect.ts';
import type { Schema } from './schema.ts';
import { localWakeups } from './wakeups.ts';

/** How long after a write the disk is asked, at the latest. */
const SYNC_AFTER_MS = 40;
/** Above this the log begins anew; the store's one connection waits meanwhile, the event loop goes on. */
const WAL_BYTES_MAX = 64 * 1024 * 1024;

/**
 * @param file made where there is none
 * @param durability `group`: a commit survives the death of this process at once, and a power failure a moment later, without
 *   the event loop waiting for the disk. `strict`: each commit waits.
 */
export function openSqlite(file: string, clock: Clock, durability: 'group' | 'strict'): Engine {
  const database = new DatabaseSync(file, { timeout: 5000 });
  database.exec('PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-16384');
  const disk = durability === 'strict' ? waitForDisk(database) : leaveDiskToKeeper(database, file);
  const db = new Kysely<Schema>({ dialect: nodeSqliteDialect(database, disk.written) });
  disk.standStill = (until) => db.connection().execute(until);
  const wakeups = localWakeups();
  const aside = openAside(file);
  return {
    name: 'sqlite',
    db,
    types: { identity: { type: 'integer', define: (column) => column.autoIncrement() }, bytes: 'blob' },
    now: () => clock.now(),
    lockRows: (query) => query,
    lockFreeRows: (query) => query,
    // The query says what its rows are.
    readAside: ({ sql, parameters }, onRows) => aside.read(sql, parameters, (rows) => onRows(rows as never)),
    wakeups,
    async close() {
      await wakeups.close();
      await aside.close();
      // What the keeper says from here on finds no connection any more.
      disk.standStill = async () => {};
      await db.destroy();
      await disk.close();
    },
  };
}

interface Disk {
  /** Something was written: it shall be safe on disk soon. */
  written(): void;
  /** Keeps every query waiting until a promise is kept. */
  standStill: (until: () => Promise<void>) => Promise<void>;
  close(): Promise<void>;
}

function waitForDisk(database: DatabaseSync): Disk {
  database.exec('PRAGMA synchronous=FULL');
  return { written: () => {}, standStill: async () => {}, close: async () => {} };
}

function leaveDiskToKeeper(database: DatabaseSync, file: string): Disk {
  database.exec('PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0');
  let commits = 0;
  let isAsked = false;
  let isRestarting = false;
  let restarted: (() => void) | null = null;
  const keeper = startKeeper(file, (reply) => {
    if (reply.kind === 'synced') {
      isAsked = false;
      if (commits > reply.commits) ask();
      if (reply.walBytes > WAL_BYTES_MAX && !isRestarting) restart();
    } else {
      // A sync that failed is asked for again with the next write; a log that did not begin anew, with the next sync.
      isAsked = false;
      restarted?.();
    }
  });
  const ask = () => {
    if (isAsked) return;
    isAsked = true;
    setTimeout(() => keeper.ask({ kind: 'sync', commits }), SYNC_AFTER_MS).unref();
  };
  const restart = () => {
    isRestarting = true;
    void disk.standStill(
      () =>
        new Promise<void>((resolve) => {
          restarted = () => {
            restarted = null;
            isRestarting = false;
            resolve();
          };
          keeper.ask({ kind: 'restart' });
        }),
    );
  };
  const disk: Disk = {
    written() {
      commits++;
      ask();
    },
    standStill: async () => {},
    close: () => keeper.close(),
  };
  return disk;
}
