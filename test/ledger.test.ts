// Budgets bind, every exchange is entered once, and no sum drifts: on one process, through crashes at any point.
import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';

import fc from 'fast-check';

import { ChangeRefused } from '../src/domain/change-refused.ts';
import type { Clock } from '../src/domain/clock.ts';
import { parseUsd } from '../src/domain/money.ts';
import { entryOf } from '../src/ledger/entry-of.ts';
import type { Threshold } from '../src/ledger/ledger.ts';
import { spanAt } from '../src/ledger/windows.ts';
import { startLogging } from '../src/logging/logging.ts';
import { openStore } from '../src/store/store.ts';
import { handClock } from './support/engines.ts';
import {
  type Opened,
  aCaller,
  aCost,
  ask,
  hold,
  intent,
  keyBudget,
  makeDir,
  open,
  record,
  run,
  silent,
  told,
  writeIntent,
  writeRecord,
} from './support/ledger.ts';

const AT = Date.UTC(2026, 10, 22, 10, 30);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ALL = { groupBy: [], from: 0, to: AT + 400 * DAY, where: {} } as const;

let dir: ReturnType<typeof makeDir>;
let clock: ReturnType<typeof handClock>;
let opened: Opened;
beforeEach(async () => {
  dir = makeDir();
  clock = handClock(AT);
  opened = await open(dir.path, clock);
});
afterEach(async () => {
  await opened.close();
  dir.remove();
});

async function spentOf(id: string): Promise<readonly [bigint, bigint]> {
  const status = await opened.ledger.budgets.find(id as never);
  assert.ok(status);
  return [status.spent, status.held];
}

async function assertNoDrift(): Promise<void> {
  const drift = await opened.ledger.findDrift();
  assert.deepEqual([drift.windows, drift.rollups], [[], []]);
}

test('of any parallel exchanges exactly as many are let through as the budget is for', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 1, max: 20 }), async (k, n) => {
      const caller = aCaller(`k${k}n${n}`);
      const budget = await opened.ledger.budgets.create(keyBudget(BigInt(k) * 100n, { keyId: caller.key.id }));
      const holds = await Promise.all(Array.from({ length: n }, () => hold(opened.ledger, told(AT, caller), 100n)));
      const admitted = holds.filter((each) => each !== null);
      assert.equal(admitted.length, Math.min(k, n));
      for (const each of admitted) opened.ledger.release(each);
      assert.deepEqual(await spentOf(budget.id), [0n, 0n]);
      await opened.ledger.budgets.delete(budget.id);
    }),
    { numRuns: 25 },
  );
});

test('whatever sizes, endings and failures there are: no budget is overrun, no hold stays, spending is the sum of entries', async () => {
  const ending = fc.constantFrom('complete', 'aborted', 'unknown', 'failed', 'never called', 'pending');
  const exchange = fc.record({ worst: fc.bigInt(0n, 60n), share: fc.integer({ min: 0, max: 100 }), ending });
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(exchange, { minLength: 1, maxLength: 40 }), async (exchanges) => {
      const caller = aCaller(`round${++round}`, `team${round}`);
      const { ledger, store } = opened;
      const limit = 200n;
      const budgets = [
        await ledger.budgets.create(keyBudget(limit, { keyId: caller.key.id, window: 'day' })),
        await ledger.budgets.create({ scope: 'team', teamId: caller.team.id, limitMoney: limit + 50n }),
        await ledger.budgets.create({
          scope: 'end_user',
          teamId: caller.team.id,
          limitMoney: limit,
          isRolling: true,
          window: 'hour',
        }),
        await ledger.budgets.create({ scope: 'team', teamId: caller.team.id, limitTokens: 350 }),
      ];
      let sum = 0n;
      await Promise.all(
        exchanges.map(async ({ worst, share, ending: how }) => {
          const one = told(AT, caller, { endUser: 'somebody', tags: ['a', 'b'] });
          const held = await hold(ledger, one, worst, 10);
          if (held === null) return;
          await writeIntent(store.spool, intent(one, held));
          if (how === 'never called') {
            ledger.release(held);
            await writeRecord(store.spool, record(one, aCost(0n, 'free'), null));
            return;
          }
          const amount = (worst * BigInt(share)) / 100n;
          const cost = {
            complete: () => aCost(amount),
            aborted: () => aCost(amount, 'estimated'),
            unknown: () => aCost(null),
            failed: () => aCost(0n, 'free'),
            pending: () => aCost(null, 'pending'),
          }[how]();
          const tokens = how === 'unknown' || how === 'pending' ? null : 7;
          ledger.charge(held, { cost, tokens: how === 'failed' ? 0 : tokens });
          await writeRecord(store.spool, record(one, cost, tokens));
          if (how === 'complete' || how === 'aborted') sum += amount;
          if (how === 'unknown' || how === 'pending') sum += worst;
        }),
      );
      await ledger.catchUp();
      assert.equal(ledger.openHolds(), 0);
      for (const { id } of budgets.slice(0, 3)) assert.deepEqual(await spentOf(id), [sum, 0n]);
      assert.ok(sum <= limit);
      const [tokens] = await spentOf(budgets[3]!.id);
      assert.ok(tokens <= 350n);
      await assertNoDrift();
    }),
    { numRuns: 15 },
  );
});

test('a refusal names the budget, what is spent of it and when it begins anew', async () => {
  await opened.ledger.budgets.create(keyBudget(parseUsd('0.50'), { window: 'day', timeZone: 'Europe/Berlin' }));
  assert.ok(await run(opened, told(AT), parseUsd('0.40'), aCost(parseUsd('0.3'))));
  const answer = await opened.ledger.hold(ask(told(AT), parseUsd('0.25')));
  assert.equal(answer.kind, 'refused');
  const { refusal } = answer;
  assert.deepEqual(
    [refusal.code, refusal.status, refusal.type, refusal.retry],
    ['insufficient_quota', 429, 'insufficient_quota', false],
  );
  assert.match(refusal.message, /the key key_one.* 0\.5 USD per day, of which 0\.3 USD are spent and 0 USD/);
  assert.match(refusal.message, /2026-11-22T23:00:00\.000Z/);
  assert.equal(refusal.retryAfterMs, Date.UTC(2026, 10, 22, 23) - AT);
});

test('a budget without an end gives no time to come back', async () => {
  await opened.ledger.budgets.create(keyBudget(1n));
  const answer = await opened.ledger.hold(ask(told(AT), 2n));
  assert.equal(answer.kind === 'refused' && answer.refusal.retryAfterMs, null);
});

test('what nobody can bound is let through while something is left, and not after', async () => {
  await opened.ledger.budgets.create(keyBudget(10n));
  assert.ok(await run(opened, told(AT), 0n, aCost(0n)));
  const held = await hold(opened.ledger, told(AT), null);
  assert.ok(held);
  opened.ledger.charge(held, { cost: aCost(10n), tokens: 1 });
  assert.equal(await hold(opened.ledger, told(AT), null), null);
});

test('a soft budget refuses nobody and counts all', async () => {
  const { id } = await opened.ledger.budgets.create(keyBudget(5n, { kind: 'soft' }));
  assert.ok(await run(opened, told(AT), 100n, aCost(90n)));
  assert.deepEqual(await spentOf(id), [90n, 0n]);
});

test('an exchange is held in all its budgets or in none', async () => {
  const { ledger } = opened;
  const wide = await ledger.budgets.create({ scope: 'global', limitMoney: 1000n });
  await ledger.budgets.create({ scope: 'model', model: 'gpt-t*', limitMoney: 10n });
  assert.equal(await hold(ledger, told(AT), 11n), null);
  assert.deepEqual(await spentOf(wide.id), [0n, 0n]);
  assert.ok(await hold(ledger, told(AT, aCaller(), { model: 'other' }), 11n));
});

test('a model that could not be read counts into every budget of a model', async () => {
  await opened.ledger.budgets.create({ scope: 'model', model: 'gpt-t*', limitMoney: 10n });
  const answer = await opened.ledger.hold({ ...ask(told(AT), 11n), model: null });
  assert.equal(answer.kind, 'refused');
});

test('each end user has an account of its own, also one that was forgotten in between', async () => {
  const { ledger } = opened;
  await ledger.budgets.create({ scope: 'end_user', limitMoney: 10n });
  for (const endUser of ['anna', 'ben']) assert.ok(await run(opened, told(AT, aCaller(), { endUser }), 10n, aCost(8n)));
  assert.equal(await hold(ledger, told(AT, aCaller(), { endUser: 'anna' }), 3n), null);
  await opened.close();
  opened = await open(dir.path, clock);
  assert.equal(await hold(opened.ledger, told(AT, aCaller(), { endUser: 'anna' }), 3n), null);
  assert.ok(await hold(opened.ledger, told(AT, aCaller(), { endUser: 'anna' }), 2n));
  assert.ok(await hold(opened.ledger, told(AT), 100n), 'who names no end user is not bound by it');
});

test('a tag binds what bears it', async () => {
  await opened.ledger.budgets.create({ scope: 'tag', tag: 'batch', limitMoney: 1n });
  assert.equal(await hold(opened.ledger, told(AT, aCaller(), { tags: ['x', 'batch'] }), 2n), null);
  assert.ok(await hold(opened.ledger, told(AT, aCaller(), { tags: ['x'] }), 2n));
});

test('a calendar window begins anew, a charge goes to the window in which it was held', async () => {
  const { id } = await opened.ledger.budgets.create(keyBudget(10n, { window: 'hour' }));
  const late = await hold(opened.ledger, told(AT), 6n);
  assert.ok(late);
  clock.turn(HOUR);
  assert.ok(await hold(opened.ledger, told(AT + HOUR), 10n));
  opened.ledger.charge(late, { cost: aCost(6n), tokens: 1 });
  assert.deepEqual(await spentOf(id), [0n, 10n]);
});

test('a rolling budget never lets more through than its limit in any window, wherever that begins', async () => {
  await opened.ledger.budgets.create(keyBudget(5n, { window: 'minute', isRolling: true }));
  const through: number[] = [];
  for (let ms = 0; ms < 300_000; ms += 1700) {
    const held = await hold(opened.ledger, told(AT + ms), 1n);
    if (held === null) continue;
    through.push(ms);
    opened.ledger.charge(held, { cost: aCost(1n), tokens: 1 });
  }
  for (const from of through)
    assert.ok(through.filter((ms) => ms >= from && ms < from + 60_000).length <= 5, `from ${from}`);
  assert.ok(through.length >= 20, 'and it goes on letting through');
});

test('a day with a change of the clocks is as long as it is', async () => {
  // In Berlin 2026-10-25 has 25 hours; in Cairo 2026-04-24 begins at one o'clock, because its midnight is jumped over.
  const budget = await opened.ledger.budgets.create(keyBudget(1n, { window: 'day', timeZone: 'Europe/Berlin' }));
  const autumn = spanAt(budget, Date.UTC(2026, 9, 25, 12));
  assert.deepEqual([autumn.end - autumn.start, autumn.start], [25 * HOUR, Date.UTC(2026, 9, 24, 22)]);
  const spring = spanAt(budget, Date.UTC(2026, 2, 29, 0, 30));
  assert.equal(spring.end - spring.start, 23 * HOUR);
  const cairo = { ...budget, timeZone: 'Africa/Cairo' };
  const jumped = spanAt(cairo, Date.UTC(2026, 3, 24, 12));
  assert.equal(jumped.start, Date.UTC(2026, 3, 23, 22));
  assert.equal(spanAt(cairo, jumped.start - 1).end, jumped.start);
  const week = spanAt({ ...budget, window: 'week' }, Date.UTC(2026, 10, 22, 12));
  assert.deepEqual([week.start, week.end], [Date.UTC(2026, 10, 15, 23), Date.UTC(2026, 10, 22, 23)]);
  const month = spanAt({ ...budget, window: 'month' }, Date.UTC(2026, 11, 31, 12));
  assert.deepEqual([month.start, month.end], [Date.UTC(2026, 10, 30, 23), Date.UTC(2026, 11, 31, 23)]);
});

test('every moment of a year belongs to one window, and windows follow one another without a gap', async () => {
  const budget = await opened.ledger.budgets.create(keyBudget(1n, { window: 'day' }));
  for (const timeZone of ['Europe/London', 'America/Santiago', 'Asia/Beirut', 'Pacific/Apia', 'America/Havana']) {
    for (const window of ['day', 'week', 'month'] as const) {
      const each = { ...budget, timeZone, window };
      let at = Date.UTC(2025, 11, 31, 12);
      while (at < Date.UTC(2027, 0, 2)) {
        const span = spanAt(each, at);
        assert.ok(span.start <= at && at < span.end);
        assert.deepEqual(spanAt(each, span.start), span);
        assert.deepEqual(
          spanAt(each, span.end - 1),
          span,
          `${timeZone} ${window} ${new Date(span.start).toISOString()}`,
        );
        at = span.end;
      }
    }
  }
});

test('an increase counts until its end', async () => {
  const { id } = await opened.ledger.budgets.create(keyBudget(5n));
  await opened.ledger.budgets.update(id, { increase: { money: 5n, tokens: null, until: AT + HOUR } });
  const held = await hold(opened.ledger, told(AT), 10n);
  assert.ok(held);
  opened.ledger.release(held);
  assert.equal(await hold(opened.ledger, told(AT + HOUR), 10n), null);
});

test('thresholds are told once each, as spending passes them', async () => {
  await opened.close();
  const heard: Threshold[] = [];
  opened = await open(dir.path, clock, { onThreshold: (threshold) => heard.push(threshold) });
  await opened.ledger.budgets.create(keyBudget(100n, { window: 'day', thresholds: [50, 80, 100] }));
  for (const amount of [49n, 2n, 30n, 10n, 9n]) {
    assert.ok(await run(opened, told(AT), amount, aCost(amount)));
    await opened.ledger.catchUp();
  }
  assert.deepEqual(
    heard.map(({ percent }) => percent),
    [50, 80, 100],
  );
});

test('an exchange that needs more than was thought gets it, or hears that there is none', async () => {
  const { ledger } = opened;
  const { id } = await ledger.budgets.create(keyBudget(10n));
  const held = await hold(ledger, told(AT), 4n);
  assert.ok(held);
  assert.equal(await ledger.extend(held, { money: 5n, tokens: null }), 'ok');
  assert.equal(await ledger.extend(held, { money: 2n, tokens: null }), 'over');
  assert.deepEqual(await spentOf(id), [0n, 9n]);
  ledger.charge(held, { cost: aCost(8n), tokens: 1 });
  ledger.charge(held, { cost: aCost(8n), tokens: 1 });
  assert.deepEqual(await spentOf(id), [8n, 0n]);
});

test('the turns of a socket are charged one by one, and its hold stands until it ends', async () => {
  const { ledger, store } = opened;
  const { id } = await ledger.budgets.create(keyBudget(10n));
  const socket = told(AT);
  const held = await hold(ledger, socket, 4n);
  assert.ok(held);
  await writeIntent(store.spool, intent(socket, held));
  const turns = [];
  for (const amount of [5n, 3n]) {
    const turn = { ...record(told(AT), aCost(amount)), kind: 'turn' as const, parent_id: socket.id };
    turns.push(await ledger.chargeTurn(held, { cost: aCost(amount), tokens: 10 }));
    await writeRecord(store.spool, turn);
  }
  assert.deepEqual(turns, ['ok', 'over']);
  ledger.charge(held, { cost: aCost(0n, 'free'), tokens: 0 });
  await writeRecord(store.spool, record(socket, aCost(0n, 'free'), 0));
  assert.deepEqual(await spentOf(id), [8n, 0n]);
  await opened.close();
  opened = await open(dir.path, clock);
  assert.deepEqual(await spentOf(id), [8n, 0n], 'and the store says the same');
  await assertNoDrift();
  const { totals } = await opened.ledger.report(ALL);
  assert.deepEqual([totals.exchanges, totals.measured], [1, 8n]);
});

/** As kill -9 leaves a data dir: its files as they are at this moment. */
function afterKill(): ReturnType<typeof makeDir> {
  const copy = makeDir();
  cpSync(dir.path, copy.path, { recursive: true });
  return copy;
}

async function reopen(path: string, at: Clock = clock): Promise<Opened> {
  const store = await openStore({ dataDir: path, durability: 'group', databaseUrl: null, clock: at });
  const logging = await startLogging(
    store.spool,
    { stdout: false, retentionDays: 0, level: 'error' } as never,
    at,
    silent,
  );
  await logging.close();
  await store.close();
  return open(path, at);
}

test('whenever the process dies, nothing is lost and nothing counts twice', async () => {
  const { ledger, store } = opened;
  const { id } = await ledger.budgets.create(keyBudget(1000n));
  await run(opened, told(AT), 20n, aCost(11n));
  await ledger.catchUp();

  const one = told(AT);
  const held = await hold(ledger, one, 20n);
  assert.ok(held);
  await writeIntent(store.spool, intent(one, held));
  const beforeRecord = afterKill();
  ledger.charge(held, { cost: aCost(7n), tokens: 1 });
  await writeRecord(store.spool, record(one, aCost(7n)));
  const beforePosting = afterKill();
  await ledger.catchUp();
  // The place in the spool is kept late: all of it is read again.
  const beforePlace = afterKill();

  for (const [files, spent, state] of [
    [beforeRecord, 31n, 'estimated'],
    [beforePosting, 18n, 'priced'],
    [beforePlace, 18n, 'priced'],
  ] as const) {
    const again = await reopen(files.path);
    const status = await again.ledger.budgets.find(id);
    assert.deepEqual([status?.spent, status?.held], [spent, 0n]);
    assert.equal((await again.ledger.findEntry(one.id))?.state, state);
    const { totals } = await again.ledger.report(ALL);
    assert.deepEqual([totals.exchanges, totals.measured + totals.estimated], [2, spent]);
    assert.deepEqual((await again.ledger.findDrift()).windows, []);
    await again.close();
    files.remove();
  }
});

test('a batch that fails in its middle leaves nothing behind, and is posted whole later', async () => {
  await run(opened, told(AT), 5n, aCost(5n));
  const { store } = opened;
  await assert.rejects(
    store.ledger.post([
      { ...(await entryFor(told(AT), 3n)) },
      // No database takes this as a whole number of tokens.
      { ...(await entryFor(told(AT), 4n)), at: null as never },
    ]),
  );
  await opened.ledger.catchUp();
  assert.equal((await opened.ledger.report(ALL)).totals.exchanges, 1);
  await assertNoDrift();

  async function entryFor(one: ReturnType<typeof told>, amount: bigint) {
    return entryOf({ seq: 1, record: record(one, aCost(amount)), hold: null })!;
  }
});

test('the same records make the same ledger, however often they are read', async () => {
  const { ledger, store } = opened;
  const { id } = await ledger.budgets.create(keyBudget(10_000n, { window: 'day' }));
  for (let i = 0; i < 40; i++)
    await run(opened, told(AT + i * HOUR), 50n, i % 5 === 0 ? aCost(null) : aCost(BigInt(i)));
  await ledger.catchUp();
  const before = await ledger.report({ ...ALL, groupBy: ['key', 'day'] });
  const windows = await store.ledger.windowsOf(id, '', 0);
  await ledger.replay();
  assert.deepEqual(await ledger.report({ ...ALL, groupBy: ['key', 'day'] }), before);

  // Into a store that has nothing but the spool.
  const other = makeDir();
  try {
    cpSync(join(dir.path, 'spool.db'), join(other.path, 'spool.db'));
    cpSync(join(dir.path, 'spool.db-wal'), join(other.path, 'spool.db-wal'));
    const empty = await open(other.path, clock);
    await empty.ledger.replay();
    assert.deepEqual(await empty.ledger.report({ ...ALL, groupBy: ['key', 'day'] }), before);
    assert.deepEqual(await empty.store.ledger.windowsOf(id, '', 0), windows);
    await empty.close();
  } finally {
    other.remove();
  }
});

test('of a spool that was lost the sums stay, and what they have more than the entries is said to be lost', async () => {
  const { id } = await opened.ledger.budgets.create(keyBudget(10_000n));
  for (let i = 0; i < 5; i++) await run(opened, told(AT), 50n, aCost(50n));
  await opened.ledger.catchUp();
  assert.equal((await opened.ledger.findDrift()).lost, 0);
  const before = await opened.ledger.report(ALL);
  await opened.close();
  for (const file of ['spool.db', 'spool.db-wal', 'spool.db-shm']) rmSync(join(dir.path, file), { force: true });
  opened = await open(dir.path, clock);
  assert.deepEqual(await opened.ledger.report(ALL), before);
  assert.deepEqual(await spentOf(id), [250n, 0n]);
  assert.equal((await opened.ledger.findDrift()).lost, 5);
  await run(opened, told(AT), 50n, aCost(50n));
  await opened.ledger.catchUp();
  assert.deepEqual(
    [(await opened.ledger.report(ALL)).totals.measured, (await opened.ledger.findDrift()).lost],
    [300n, 5],
  );
});

test('work that ends later is entered once, in place of what stood for it', async () => {
  const { ledger } = opened;
  const { id } = await ledger.budgets.create(keyBudget(100n));
  const started = told(AT);
  await run(opened, started, 60n, aCost(null, 'pending'), null);
  assert.deepEqual(await spentOf(id), [60n, 0n]);
  const late = {
    part: 'resolves',
    settleKey: 'batch:batch_1',
    startedBy: started.id,
    cost: aCost(25n),
    readings: [{ meter: 'input_text', quantity: 40n }],
    model: null,
    at: AT + DAY,
    servicePeriod: { from: AT, to: AT + DAY },
  } as const;
  await ledger.catchUp();
  assert.equal((await ledger.report(ALL)).totals.pending, 1);
  assert.deepEqual(await Promise.all([ledger.settleLate(late), ledger.settleLate(late)]), [true, false]);
  assert.equal(await ledger.settleLate(late), false);
  assert.equal(await ledger.settleLate({ ...late, settleKey: 'x', startedBy: 'exc_nobody' }), false);
  assert.deepEqual(await spentOf(id), [25n, 0n]);
  const { totals } = await ledger.report(ALL);
  assert.deepEqual([totals.exchanges, totals.pending, totals.measured, totals.tokensIn], [1, 0, 25n, 40]);
  const byModel = (await ledger.report({ ...ALL, groupBy: ['model'] })).rows;
  assert.deepEqual(
    byModel.map(({ pending }) => pending),
    byModel.map(() => 0),
    'what was counted under one model is taken back under the same',
  );
  await assertNoDrift();
});

test('sums beyond 64 bits of pico-dollars are right', async () => {
  const huge = parseUsd('9223372.036854775807');
  const { id } = await opened.ledger.budgets.create(keyBudget(parseUsd('90000000')));
  for (let i = 0; i < 5; i++) assert.ok(await run(opened, told(AT), huge, aCost(huge)));
  await opened.ledger.catchUp();
  assert.deepEqual(await spentOf(id), [huge * 5n, 0n]);
  assert.equal((await opened.ledger.report(ALL)).totals.measured, huge * 5n);
  await opened.close();
  opened = await open(dir.path, clock);
  assert.deepEqual(await spentOf(id), [huge * 5n, 0n]);
  await assertNoDrift();
});

test('a record that cannot be read keeps none after it waiting', async () => {
  const { ledger, store } = opened;
  await writeRecord(store.spool, record(told(AT), aCost(10n ** 22n)));
  await run(opened, told(AT), 1n, aCost(3n));
  await ledger.catchUp();
  const { totals } = await ledger.report(ALL);
  assert.deepEqual([totals.exchanges, totals.measured], [1, 3n]);
});

test('a window that was tampered with is found and mended', async () => {
  const { ledger, store } = opened;
  const { id } = await ledger.budgets.create(keyBudget(1000n));
  await run(opened, told(AT), 10n, aCost(10n));
  await ledger.catchUp();
  await store.ledger.correct([{ budgetId: id, account: '', windowStart: 0, amount: 5n }], []);
  await opened.close();
  opened = await open(dir.path, clock);
  assert.deepEqual(await spentOf(id), [15n, 0n]);
  const drift = await opened.ledger.findDrift();
  assert.deepEqual(drift.windows, [{ budgetId: id, account: '', windowStart: 0, amount: -5n }]);
  await opened.ledger.mend(drift);
  assert.deepEqual(await spentOf(id), [10n, 0n]);
  await assertNoDrift();
});

test('a report keeps measured, estimated, pending and unpriced apart, and adds up by days what it counts by hours', async () => {
  const { ledger } = opened;
  const blue = aCaller('two', 'blue');
  await run(opened, told(AT, aCaller(), { tags: ['a', 'b'] }), 1n, aCost(5n));
  await run(opened, told(AT + 2 * DAY, aCaller(), { tags: ['a'] }), 1n, aCost(7n, 'estimated'));
  await run(opened, told(AT + 2 * DAY + HOUR, blue), 1n, aCost(null));
  await run(opened, told(AT + 3 * DAY, blue), 1n, aCost(null, 'pending'));
  await ledger.catchUp();
  const by = async (groupBy: never[] | readonly ('tag' | 'team' | 'day' | 'hour')[], from = 0, to = AT + 10 * DAY) =>
    (await ledger.report({ groupBy, from, to, where: {} })).rows.map(
      ({ group, exchanges, measured, estimated, pending, unpriced }) => [
        ...Object.values(group),
        exchanges,
        measured,
        estimated,
        pending,
        unpriced,
      ],
    );
  assert.deepEqual(await by(['team']), [
    ['team_red', 2, 5n, 7n, 0, 0],
    ['team_blue', 2, 0n, 0n, 1, 1],
  ]);
  assert.deepEqual(await by(['tag']), [
    ['a', 2, 5n, 7n, 0, 0],
    ['b', 1, 5n, 0n, 0, 0],
    ['', 2, 0n, 0n, 1, 1],
  ]);
  const midnight = Date.UTC(2026, 10, 22);
  assert.deepEqual(
    (await by(['day'])).map(([day, exchanges]) => [day, exchanges]),
    [
      [midnight, 1],
      [midnight + 2 * DAY, 2],
      [midnight + 3 * DAY, 1],
    ],
  );
  assert.deepEqual(await by([], AT - 30 * 60_000, AT + 2 * DAY + 30 * 60_000 + 1), [[3, 5n, 7n, 0, 1]]);
  const tagged = await ledger.report({ ...ALL, groupBy: ['tag'] });
  assert.equal(tagged.totals.exchanges, 4, 'each exchange once, also where tags are asked for');
});

test('by tags there is a row of what has none, however many the others have', async () => {
  const { ledger } = opened;
  const blue = aCaller('two', 'blue');
  await run(opened, told(AT, aCaller(), { tags: ['a', 'b'] }), 1n, aCost(5n));
  await run(opened, told(AT + 2 * DAY, aCaller(), { tags: ['a'] }), 1n, aCost(7n, 'estimated'));
  for (const i of [1, 2, 3]) await run(opened, told(AT + i * 40 * DAY, blue), 1n, aCost(100n));
  await ledger.catchUp();
  for (const groupBy of [['tag'], ['tag', 'day'], ['tag', 'team'], ['tag', 'hour']] as const) {
    const { rows, totals } = await ledger.report({ ...ALL, to: AT + 200 * DAY, groupBy });
    const untagged = rows.filter(({ group }) => group.tag === '');
    const sums = [
      untagged.reduce((sum, { exchanges }) => sum + exchanges, 0),
      untagged.reduce((sum, { measured }) => sum + measured, 0n),
      untagged.reduce((sum, { estimated }) => sum + estimated, 0n),
    ];
    assert.deepEqual(sums, [3, 300n, 0n], groupBy.join());
    assert.deepEqual([totals.exchanges, totals.measured, totals.estimated], [5, 305n, 7n]);
    // Where all have tags, there is no row of those without.
    const red = await ledger.report({ ...ALL, groupBy, where: { team: 'team_red' } });
    assert.deepEqual(new Set(red.rows.map(({ group }) => group.tag)), new Set(['a', 'b']));
    const ofOne = await ledger.report({ ...ALL, groupBy, where: { tag: 'a' } });
    assert.deepEqual(new Set(ofOne.rows.map(({ group }) => group.tag)), new Set(['a']));
  }
});

test('rows in pieces are those of the report in its order, and none of them holds more than a day that was read', async () => {
  const { ledger } = opened;
  for (let i = 0; i < 60; i++) {
    const caller = aCaller(`key${i % 5}`, i % 2 === 0 ? 'red' : 'blue');
    await run(opened, told(AT + i * 7 * HOUR, caller, { model: `m${i % 3}` }), 1n, aCost(BigInt(i % 4)));
  }
  await ledger.catchUp();
  for (const groupBy of [['day', 'key'], ['hour'], ['team', 'model'], ['day', 'team'], ['model'], []] as const) {
    for (const where of [{}, { team: 'team_red' }, { team: 'team_red', key: 'key_key2' }, { model: 'm1' }]) {
      const query = { ...ALL, groupBy, from: AT + 3 * HOUR, to: AT + 17 * DAY + HOUR, where };
      const pieces: (readonly unknown[])[] = [];
      for await (const piece of ledger.spendRows(query)) pieces.push(piece);
      const { rows, totals } = await ledger.report(query);
      assert.deepEqual(pieces.flat(), rows);
      const byHand = await ledger.report({ ...query, groupBy: ['hour', 'key', 'team', 'model', 'user', 'endpoint'] });
      assert.deepEqual(totals, byHand.totals);
      assert.ok(!(groupBy as readonly string[]).includes('day') || pieces.length > 1);
    }
  }
});

test('whatever two things a report is grouped by, and whenever it begins and ends, it is what the hours add up to', async () => {
  const { ledger } = opened;
  for (let i = 0; i < 90; i++) {
    const caller = aCaller(`key${i % 7}`, i % 7 < 4 ? 'red' : 'blue');
    const more = { model: `m${i % 3}`, tags: i % 4 === 0 ? [] : [`t${i % 2}`, 'all'] };
    await run(opened, told(AT - 100 * DAY + i * 31 * HOUR, caller, more), 1n, aCost(BigInt(i + 1)));
  }
  await ledger.catchUp();
  const groups = ['key', 'team', 'user', 'model', 'endpoint', 'tag', 'day', 'hour'] as const;
  const pairs = groups.flatMap((one, i) => [[one], ...groups.slice(i + 1).map((other) => [one, other] as const)]);
  const span = (fromDays: number, toDays: number) => ({ from: AT + fromDays * DAY - 7 * HOUR, to: AT + toDays * DAY });
  for (const query of [
    span(-99, 20),
    span(-96.3, -3.1),
    span(-61, -58.5),
    span(-45, -44.9),
    span(-40, -8),
    span(3, 2),
  ]) {
    for (const groupBy of pairs.filter(
      (pair) => pair.length === 1 || !pair.includes('day') || !pair.includes('hour'),
    )) {
      const isTagged = groupBy.includes('tag');
      const all = groups.filter((group) => group !== 'day' && (isTagged || group !== 'tag'));
      const hours = (await ledger.report({ ...query, groupBy: all, where: {} })).rows;
      const sums = new Map<string, bigint>();
      for (const { group, measured } of hours) {
        const named = { ...group, day: Number(group.hour) - (Number(group.hour) % DAY) };
        const name = groupBy.map((each) => named[each]).join();
        sums.set(name, (sums.get(name) ?? 0n) + measured);
      }
      const { rows } = await ledger.report({ ...query, groupBy, where: {} });
      const told = rows.map(({ group, measured }) => [groupBy.map((each) => group[each]).join(), measured] as const);
      assert.deepEqual(new Map(told), sums, `${groupBy.join()} ${new Date(query.from).toISOString()}`);
      assert.equal(told.length, sums.size);
    }
  }
});

test('a budget that means nothing is refused, and names the field', async () => {
  const { budgets } = opened.ledger;
  const fields = async (...wanted: Parameters<typeof budgets.create>) => {
    const error = await budgets.create(...wanted).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof ChangeRefused);
    return error.field;
  };
  assert.equal(await fields({ scope: 'key', limitMoney: 1n }), 'key_id');
  assert.equal(await fields({ scope: 'global', limitMoney: 1n, tag: 'x' }), 'tag');
  assert.equal(await fields({ scope: 'global' }), 'limit_usd');
  assert.equal(await fields({ scope: 'global', limitMoney: 1n, limitTokens: 1 }), 'limit_usd');
  assert.equal(await fields({ scope: 'global', limitMoney: 1n, timeZone: 'Mars/Olympus' }), 'time_zone');
  assert.equal(await fields({ scope: 'global', limitMoney: 1n, isRolling: true }), 'rolling');
  assert.equal(await fields({ scope: 'global', limitTokens: -1 }), 'limit_tokens');
  assert.equal(await fields({ scope: 'global', limitMoney: 1n, thresholds: [0] }), 'thresholds');
  const { id } = await budgets.create({ scope: 'global', limitMoney: 1n });
  await assert.rejects(budgets.update(id, { limitTokens: 5 }), ChangeRefused);
  assert.equal(await budgets.update('budget_none', { limitMoney: 5n }), null);
  assert.equal((await budgets.list({ limit: 10, cursor: null }, {})).data.length, 1);
  assert.equal(await budgets.delete(id), true);
  assert.equal(await budgets.delete(id), false);
  assert.equal(await budgets.find(id), null);
});

test('twenty thousand mixed exchanges sum up to what an oracle says', { timeout: 120_000 }, async () => {
  const { ledger, store } = opened;
  const { id } = await ledger.budgets.create({ scope: 'global', limitMoney: parseUsd('1000000') });
  const callers = ['a', 'b', 'c'].map((name) => aCaller(name, name));
  const oracle = new Map<string, bigint>();
  let seed = 20261122;
  const next = (below: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  let total = 0n;
  for (let i = 0; i < 20_000; i += 500) {
    await Promise.all(
      Array.from({ length: 500 }, async () => {
        const caller = callers[next(3)]!;
        const one = told(AT + next(2 * DAY), caller, { model: `gpt-${next(3)}`, tags: next(4) === 0 ? ['t'] : [] });
        const amount = BigInt(next(2_000_000_000));
        const cost = next(10) === 0 ? aCost(amount, 'estimated') : aCost(amount);
        const answer = ledger.hold(ask(one, amount + 10n));
        assert.ok(!(answer instanceof Promise) && answer.kind === 'held');
        ledger.charge(answer.hold, { cost, tokens: 10 });
        oracle.set(`${caller.team.id} ${one.model}`, (oracle.get(`${caller.team.id} ${one.model}`) ?? 0n) + amount);
        total += amount;
        await writeIntent(store.spool, intent(one, answer.hold));
        await writeRecord(store.spool, record(one, cost));
      }),
    );
  }
  await ledger.catchUp();
  const { rows, totals } = await ledger.report({ ...ALL, groupBy: ['team', 'model'] });
  assert.deepEqual(
    new Map(rows.map(({ group, measured, estimated }) => [`${group.team} ${group.model}`, measured + estimated])),
    new Map(oracle),
  );
  assert.deepEqual([totals.exchanges, totals.measured + totals.estimated], [20_000, total]);
  assert.deepEqual(await spentOf(id), [total, 0n]);
  await assertNoDrift();
});
