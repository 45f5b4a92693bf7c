// However many ask at once, on whatever routes, and however it ends: a budget for k lets exactly k through, nothing stays held, and
// what is spent is the sum of the entries. On SQLite, alone and with a Redis that is away.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import fc from 'fast-check';

import { makeDir } from '../support/ledger.ts';
import {
  type Exchange,
  HELD_TOKENS,
  type HoldingUpstream,
  anExchange,
  chargedBy,
  runLoad,
  startHoldingUpstream,
} from './mixed-load.ts';
import { type Scene, openScene } from './scene.ts';

const RUNS = 12;
const AT_ONCE_MAX = 24;
const keyNames = Array.from({ length: RUNS }, (_, i) => `run${i}`);
/** Budgets for none to seven. */
const placesOf = (run: number) => (run * 5) % 8;

for (const isRedisAway of [false, true]) {
  describe(`a budget for k${isRedisAway ? ', with Redis away' : ''}`, () => {
    const dir = makeDir();
    const exchanges: Exchange[] = [];
    let upstream: HoldingUpstream;
    let scene: Scene<string>;
    before(async () => {
      upstream = await startHoldingUpstream((number) => exchanges[number]!);
      const redisUrl = join(dir.path, 'redis-url');
      writeFileSync(redisUrl, `unix:${join(dir.path, 'nobody.sock')}`);
      scene = await openScene({
        keys: Object.fromEntries(keyNames.map((name) => [name, { limits: { concurrentExchanges: 1000 } }])),
        budgets: Object.fromEntries(
          // One token more than it takes, and less than for one more.
          keyNames.map((name, i) => [name, { limitTokens: placesOf(i) * HELD_TOKENS + HELD_TOKENS - 1 }]),
        ),
        elsewhere: upstream.url,
        settings: isRedisAway ? { redisUrl: `file:${redisUrl}` } : {},
      });
    });
    after(async () => {
      await scene.close();
      await upstream.close();
      dir.remove();
    });

    test('C15: lets exactly k of N parallel exchanges through, on any mix of routes, and nothing stays held', async () => {
      let run = 0;
      let sent = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(anExchange, { minLength: 1, maxLength: AT_ONCE_MAX }), async (mix) => {
          const name = keyNames[run]!;
          const places = placesOf(run++);
          const numbered = mix.map((exchange) => ({ exchange, number: exchanges.push(exchange) - 1 }));
          sent += mix.length;
          const { admitted, refused } = await runLoad([scene.gateway.api], scene.keys[name]!.token, numbered, upstream);
          assert.equal(admitted, Math.min(places, mix.length));
          assert.equal(refused, mix.length - admitted);
        }),
        { numRuns: RUNS, endOnFailure: true },
      );
      const records = await scene.settled(sent);
      await scene.after(async ({ ledger }) => {
        assert.equal(ledger.openHolds(), 0);
        const { data } = await ledger.budgets.list({ limit: 100, cursor: null }, {});
        assert.equal(data.length, RUNS);
        for (const { budget, spent, held } of data) {
          const own = records.filter((record) => record.key_id === budget.keyId);
          assert.equal(held, 0n, 'a hold is open');
          assert.equal(
            spent,
            own.reduce((sum, record) => sum + chargedBy(record), 0n),
            'spent is not what records tell',
          );
          assert.ok(spent <= BigInt(budget.limitTokens!));
        }
        const { windows, rollups } = await ledger.findDrift();
        assert.deepEqual([windows, rollups], [[], []]);
      });
    });
  });
}
