// One contract, both engines: a suite runs once on SQLite and once on PostgreSQL.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';

import { type Clock, systemClock } from '../../src/domain/clock.ts';
import type { Engine } from '../../src/store/engine.ts';
import { migrateToLatest } from '../../src/store/migrate.ts';
import { openPostgres } from '../../src/store/postgres.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from './postgres.ts';

/** Opens an empty store, migrated unless the suite does that itself. */
export type OpenEngine = (clock?: Clock) => Promise<Engine>;

export function onBothEngines(
  name: string,
  suite: (open: OpenEngine) => void,
  schema: 'migrated' | 'empty' = 'migrated',
): void {
  const migrated = async (engine: Engine) => {
    if (schema === 'migrated') await migrateToLatest(engine);
    return engine;
  };
  describe(`${name}, on SQLite`, () => {
    // A file: long reads have a connection of their own.
    const dir = mkdtempSync(join(tmpdir(), 'throughway-engine-'));
    let files = 0;
    after(() => rmSync(dir, { recursive: true, force: true }));
    suite(async (clock = systemClock) => migrated(openSqlite(join(dir, `${++files}.db`), clock, 'strict')));
  });
  describe(`${name}, on PostgreSQL`, { skip: skipWithoutPostgres() }, () => {
    let server: TestPostgres;
    before(async () => {
      server = await startPostgres();
    });
    after(() => server.close());
    suite(async (clock = systemClock) => migrated(await openPostgres(await server.makeDatabase(), clock)));
  });
}

/** A clock that stands still until it is turned. */
export function handClock(atMs = 1_750_000_000_000): Clock & { turn(ms: number): void } {
  let now = atMs;
  return {
    now: () => now,
    elapsedMs: () => now,
    turn: (ms) => {
      now += ms;
    },
  };
}
