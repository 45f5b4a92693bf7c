// What is SQLite's alone: the log that begins anew beside the event loop, and what a reopened file holds.
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';

import { systemClock } from '../../src/domain/clock.ts';
import { assistantStore } from '../../src/store/assistants.ts';
import { startKeeper } from '../../src/store/keeper.ts';
import { migrateToLatest } from '../../src/store/migrate.ts';
import type { KeeperReply, KeeperRequest } from '../../src/store/spool-keeper.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { RED, anAssistant } from '../support/assistant-objects.ts';

const LARGE = 'x'.repeat(1024 * 1024);
/** Where a log's head counts how often it began. */
const LAP_AT = 12;

describe('a store in a SQLite file', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'throughway-sqlite-'));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  const open = async (name: string, durability: 'group' | 'strict') => {
    const engine = openSqlite(join(directory, name), systemClock, durability);
    await migrateToLatest(engine);
    return { engine, store: assistantStore(engine) };
  };

  for (const durability of ['group', 'strict'] as const) {
    test(`reopened, it holds what was written (${durability})`, async () => {
      const first = await open(`${durability}.db`, durability);
      const made = Array.from({ length: 50 }, () => anAssistant());
      for (const assistant of made) await first.store.insertAssistant(assistant);
      await first.engine.close();
      const second = await open(`${durability}.db`, durability);
      for (const assistant of made) assert.deepEqual(await second.store.findAssistant(RED, assistant.id), assistant);
      await second.engine.close();
    });
  }

  test('its log does not grow for ever, and nobody who writes meanwhile loses anything', async () => {
    const { engine, store } = await open('large.db', 'group');
    const made: string[] = [];
    let largest = 0;
    for (let i = 0; i < 150; i++) {
      const assistant = anAssistant({ instructions: LARGE });
      await store.insertAssistant(assistant);
      made.push(assistant.id);
      largest = Math.max(largest, (await stat(join(directory, 'large.db-wal'))).size);
    }
    for (const deadline = performance.now() + 10_000; performance.now() < deadline;) {
      if ((await stat(join(directory, 'large.db-wal'))).size <= 64 * 1024 * 1024) break;
      await store.updateAssistant(RED, made[0] as `asst_${string}`, (stored) => stored);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.ok((await stat(join(directory, 'large.db-wal'))).size <= 64 * 1024 * 1024, 'the log never began anew');
    assert.ok(largest < 160 * 1024 * 1024);
    for (const id of made) assert.ok(await store.findAssistant(RED, id as `asst_${string}`));
    await engine.close();
  });

  test('its log begins anew on disk before anything is written behind the old one', async () => {
    const file = join(directory, 'laps.db');
    const writer = new DatabaseSync(file);
    writer.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0; CREATE TABLE t (a)');
    const replies: ((reply: KeeperReply) => void)[] = [];
    const keeper = startKeeper(file, (reply) => replies.shift()?.(reply));
    const ask = (request: KeeperRequest) =>
      new Promise<KeeperReply>((resolve) => {
        replies.push(resolve);
        keeper.ask(request);
      });
    const insert = writer.prepare('INSERT INTO t VALUES (?)');
    for (let i = 0; i < 100; i++) insert.run('x'.repeat(1000));
    const before = await readFile(`${file}-wal`);
    const full = await ask({ kind: 'sync', commits: 101 });
    assert.ok(full.kind === 'synced' && full.walBytes > 100_000, JSON.stringify(full));
    assert.deepEqual(await ask({ kind: 'restart' }), { kind: 'restarted' });

    const after = await readFile(`${file}-wal`);
    assert.equal(after.length, before.length, 'the file was not kept');
    assert.equal(after.readUInt32BE(LAP_AT), before.readUInt32BE(LAP_AT) + 1, 'nothing began the new lap');
    insert.run('last');
    const begun = await ask({ kind: 'sync', commits: 102 });
    assert.ok(begun.kind === 'synced' && begun.walBytes < 20_000, JSON.stringify(begun));

    // As a death leaves them: the database, and a log whose old frames stand behind the new.
    await copyFile(file, join(directory, 'found.db'));
    await copyFile(`${file}-wal`, join(directory, 'found.db-wal'));
    const found = new DatabaseSync(join(directory, 'found.db'));
    assert.equal(found.prepare('SELECT count(*) AS n FROM t').get()?.['n'], 101);
    assert.equal(found.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok');
    found.close();
    writer.close();
    await keeper.close();
  });
});
