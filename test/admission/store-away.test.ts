// The database that replicas share budgets in is away: a hard budget lets nobody through, or everybody, as ledger.whenStoreIsAway says.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { eventually } from '../support/eventually.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from '../support/postgres.ts';
import { type Scene, openScene } from './scene.ts';

const ASKED = { model: 'gpt-4o-mini', max_tokens: 10, messages: [{ role: 'user', content: 'Hello' }] };
const script = () => ({
  body: '{"choices":[],"model":"gpt-4o-mini","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}',
  headers: [['Content-Type', 'application/json']] as const,
});

describe('while PostgreSQL is away', { skip: skipWithoutPostgres() }, () => {
  let server: TestPostgres;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server.close());

  for (const whenStoreIsAway of ['closed', 'open'] as const) {
    test(`${whenStoreIsAway}: a key with a hard budget is ${whenStoreIsAway === 'open' ? 'let through, and charged later' : 'refused, and told to try again'}`, async () => {
      const scene: Scene<'hard' | 'none'> = await openScene({
        keys: { hard: {}, none: {} },
        budgets: { hard: { limitTokens: 1_000_000 } },
        settings: whenStoreIsAway === 'open' ? { ledger: { whenStoreIsAway } } : {},
        databaseUrl: await server.makeDatabase(),
        script,
      });
      try {
        for (const key of ['hard', 'none'] as const) assert.equal((await scene.chat(key, ASKED)).status, 200);
        await server.kill();
        const [hard, none] = await Promise.all([scene.chat('hard', ASKED), scene.chat('none', ASKED)]);
        await server.start();
        assert.equal(none.status, 200, 'what no budget binds goes on');
        if (whenStoreIsAway === 'open') assert.equal(hard.status, 200);
        else {
          assert.deepEqual([hard.status, hard.headers.get('x-throughway-refusal')], [503, 'overloaded']);
          assert.equal(hard.headers.get('retry-after'), '1');
        }
        await scene.settled(4);
        let isBack = false;
        const asking = setInterval(() => {
          void scene.chat('hard', ASKED).then(
            ({ status }) => (isBack ||= status === 200),
            () => {},
          );
        }, 100);
        await eventually('it is let through again', () => isBack, 10_000);
        clearInterval(asking);
        await scene.after(async ({ ledger }) => {
          const { data } = await ledger.budgets.list({ limit: 1, cursor: null }, {});
          const own = scene
            .records()
            .filter((record) => record.key_id === scene.keys.hard.key.id && record.refusal === null);
          assert.deepEqual([data[0]?.spent, data[0]?.held], [15n * BigInt(own.length), 0n]);
        });
      } finally {
        await scene.close();
      }
    });
  }
});
