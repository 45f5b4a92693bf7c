// A correction is entered beside what it corrects, in the sums that it belongs to, however often prices change their mind.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import fc from 'fast-check';

import { handClock } from './support/engines.ts';
import { type Opened, aCaller, aCost, keyBudget, makeDir, open, run, told } from './support/ledger.ts';

const AT = Date.UTC(2026, 10, 22, 10, 30);
const ALL = { groupBy: [], from: 0, to: AT + 400 * 86_400_000, where: {} } as const;

let dir: ReturnType<typeof makeDir>;
let opened: Opened;
const clock = handClock(AT);
beforeEach(async () => {
  dir = makeDir();
  opened = await open(dir.path, clock);
});
afterEach(async () => {
  await opened.close();
  dir.remove();
});

test('whatever a cost becomes, sums, budgets and counts say the last word, and nothing drifts', async () => {
  const word = fc.record({
    state: fc.constantFrom('priced' as const, 'estimated' as const, 'partial' as const),
    amount: fc.bigInt({ min: 0n, max: 1000n }),
  });
  await fc.assert(
    fc.asyncProperty(fc.option(word), fc.array(word, { maxLength: 5 }), async (first, words) => {
      const { ledger } = opened;
      const caller = aCaller(`k${Math.abs(clock.now())}`);
      const budget = await ledger.budgets.create(keyBudget(10_000n, { keyId: caller.key.id }));
      const before = (await ledger.report(ALL)).totals;
      const exchange = told(clock.now(), caller);
      const cost = first === null ? aCost(null) : aCost(first.amount, first.state);
      assert.ok(await run(opened, exchange, 1n, cost));
      await ledger.catchUp();
      const entry = await ledger.findEntry(exchange.id);
      assert.ok(entry);
      let last = first;
      for (const next of words) {
        await ledger.correct([{ standing: await ledger.standingOf(entry), cost: aCost(next.amount, next.state) }]);
        last = next;
      }
      const { totals } = await ledger.report(ALL);
      const isMeasured = last !== null && last.state !== 'estimated';
      assert.equal(totals.measured - before.measured, isMeasured ? last!.amount : 0n);
      // What has no price stands as what was held for it, until a correction says what it cost.
      const estimated = last === null ? 1n : last.state === 'estimated' ? last.amount : 0n;
      assert.equal(totals.estimated - before.estimated, estimated);
      assert.equal(totals.unpriced - before.unpriced, 0);
      assert.equal(totals.partial - before.partial, last?.state === 'partial' ? 1 : 0);
      assert.equal(totals.exchanges - before.exchanges, 1);
      assert.equal((await ledger.budgets.find(budget.id))?.spent, last?.amount ?? 1n);
      const drift = await ledger.findDrift();
      assert.deepEqual([drift.windows, drift.rollups], [[], []]);
      clock.turn(1000);
    }),
    { numRuns: 25 },
  );
});
