// What is SQLite's alone: the log that begins anew beside the event loop, and what a reopened file holds.
import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { systemClock } from '../../src/domain/clock.ts';
import { assistantStore } from '../../src/store/assistants.ts';
import { migrateToLatest } from '../../src/store/migrate.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { RED, anAssistant } from '../support/assistant-objects.ts';

const LARGE = 'x'.repeat(1024 * 1024);

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
});
