// What the ledger may rely on, whichever engine keeps it.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { inspect } from 'node:util';

import type { Kysely } from 'kysely';

import type { Deed } from '../../src/domain/audit.ts';
import type { Budget } from '../../src/domain/budget.ts';
import type { Charge, Entry } from '../../src/domain/entry.ts';
import type { Grain, LedgerStore, RollupDimension, RollupSum, SignedStretch } from '../../src/domain/ledger-store.ts';
import { auditStore } from '../../src/store/audit.ts';
import type { Engine } from '../../src/store/engine.ts';
import { makeCoarseRollups, makeReportRollups } from '../../src/store/ledger-migration.ts';
import { ledgerStore } from '../../src/store/ledger.ts';
import { handClock, onBothEngines } from '../support/engines.ts';

const AT = Date.UTC(2026, 10, 22, 10, 30);
const HOUR = 3_600_000;

const budget = (id: Budget['id'], more: Partial<Budget> = {}): Budget => ({
  id,
  scope: 'global',
  keyId: null,
  teamId: null,
  userId: null,
  model: null,
  tag: null,
  limitMoney: 100n,
  limitTokens: null,
  window: 'total',
  isRolling: false,
  timeZone: 'UTC',
  kind: 'hard',
  countsEstimates: true,
  thresholds: [50, 99.5],
  increase: null,
  createdAt: AT,
  ...more,
});

const entry = (
  settleKey: string,
  amount: bigint | null,
  charges: readonly Charge[] = [],
  more: Partial<Entry> = {},
): Entry => ({
  settleKey,
  kind: 'charge',
  isExchange: true,
  exchangeId: 'exc_1',
  teamId: 'team_red',
  keyId: 'key_one',
  userId: null,
  endpoint: null,
  model: 'gpt-test',
  tags: [],
  state: amount === null ? 'unpriced' : 'priced',
  amount,
  why: null,
  tokensIn: 3,
  tokensOut: 4,
  priceVersion: 'v1',
  lines: [],
  readings: [{ meter: 'input_text', quantity: '3' }],
  charges,
  at: AT,
  resolves: null,
  servicePeriod: null,
  ...more,
});

const deed = (action: Deed['action']): Deed => ({ actor: { id: 'owner', address: '192.0.2.7' }, action });

const charge = (budgetId: Budget['id'], amount: bigint, more: Partial<Charge> = {}): Charge => ({
  budgetId,
  account: '',
  windowStart: 0,
  amount,
  ...more,
});

onBothEngines('the ledger', (open) => {
  let engine: Engine;
  let store: LedgerStore;
  let clock: ReturnType<typeof handClock>;
  beforeEach(async () => {
    clock = handClock(AT);
    engine = await open(clock);
    store = ledgerStore(engine);
  });
  afterEach(() => engine.close());

  test('a budget is as it was written, and its changes are seen by whoever asks for them', async () => {
    const raised = { money: 10n ** 20n, tokens: null, until: AT + HOUR };
    const [one, two] = [
      budget('budget_1', { increase: raised }),
      budget('budget_2', { limitMoney: null, limitTokens: 5 }),
    ];
    await store.insertBudget(one, deed('created'));
    clock.turn(HOUR);
    await store.insertBudget(two, deed('created'));
    assert.deepEqual(
      (await store.budgetsChangedSince(0)).map((each) => each.budget),
      [one, two],
    );
    assert.deepEqual(
      (await store.budgetsChangedSince(AT + HOUR)).map((each) => each.budget.id),
      ['budget_2'],
    );
    clock.turn(HOUR);
    const changed = await store.updateBudget('budget_1', (before) => ({ ...before, limitMoney: 7n }), deed('updated'));
    assert.equal(changed?.limitMoney, 7n);
    assert.equal(await store.deleteBudget('budget_2', deed('deleted')), true);
    assert.equal(await store.deleteBudget('budget_2', deed('deleted')), false);
    assert.equal(await store.updateBudget('budget_2', (before) => before, deed('updated')), null);
    const since = await store.budgetsChangedSince(AT + 2 * HOUR);
    assert.deepEqual(
      since.map((each) => [each.budget.id, each.isDeleted]),
      [
        ['budget_1', false],
        ['budget_2', true],
      ],
    );
    const told = await auditStore(engine).list({ limit: 10, cursor: null }, { kind: 'budget' });
    assert.deepEqual(
      told.data.map(({ seq, id, action, actor, address }) => `${seq} ${id} ${action} by ${actor} from ${address}`),
      [
        '4 budget_2 deleted by owner from 192.0.2.7',
        '3 budget_1 updated by owner from 192.0.2.7',
        '2 budget_2 created by owner from 192.0.2.7',
        '1 budget_1 created by owner from 192.0.2.7',
      ],
    );
    assert.equal(told.data[3]?.before, null);
    assert.equal(told.data[1]?.before, told.data[3]?.after);
    assert.equal(told.data[0]?.after, null);
  });

  test('an entry is as it was written, and is written once', async () => {
    await store.insertBudget(budget('budget_1'), deed('created'));
    const one = entry('exc_a', 10n ** 20n, [charge('budget_1', 10n ** 20n)], {
      tags: ['x'],
      resolves: { settleKey: 'exc_0', at: AT - 1, state: 'pending' },
      servicePeriod: { from: 1, to: 2 },
    });
    assert.deepEqual([...(await store.post([one, entry('exc_b', null)])).settleKeys].toSorted(), ['exc_a', 'exc_b']);
    const again = await store.post([one, entry('exc_c', 1n)]);
    assert.deepEqual([...again.settleKeys], ['exc_c']);
    assert.deepEqual(await store.findEntry('exc_a'), one);
    assert.deepEqual(
      (await store.windowsOf('budget_1', '', 0)).map(({ spent }) => spent),
      [10n ** 20n],
    );
    const [sum] = await store.sumRollups({ grain: 'hour', from: 0, to: AT + HOUR, by: [], where: {} });
    assert.deepEqual([sum?.exchanges, sum?.measured, sum?.tokensIn], [3, 10n ** 20n + 1n, 9]);
    assert.deepEqual(
      (await store.entriesAfter('exc_a', 5)).map(({ settleKey }) => settleKey),
      ['exc_b', 'exc_c'],
    );
  });

  test('two writers of one entry charge once', async () => {
    await store.insertBudget(budget('budget_1'), deed('created'));
    const one = entry('exc_a', 5n, [charge('budget_1', 5n)]);
    const posted = await Promise.all([store.post([one]), store.post([one]), store.post([one])]);
    assert.equal(posted.filter(({ settleKeys }) => settleKeys.size > 0).length, 1);
    assert.deepEqual(
      (await store.windowsOf('budget_1', '', 0)).map(({ spent }) => spent),
      [5n],
    );
  });

  test('sums go over from ones to millions and back without losing anything', async () => {
    await store.insertBudget(budget('budget_1'), deed('created'));
    const amounts = [999_999n, 1n, 12_345_678_901_234_567_890n, -13n, 999_999n, 999_999n, -2_000_000n];
    let sum = 0n;
    for (const [i, amount] of amounts.entries()) {
      sum += amount;
      const { windows } = await store.post([entry(`exc_${i}`, amount, [charge('budget_1', amount)])]);
      assert.deepEqual(
        windows.map(({ spent }) => spent),
        [sum],
      );
    }
    const [found] = await store.sumRollups({
      grain: 'day',
      from: 0,
      to: AT + HOUR,
      by: ['team'],
      where: { key: 'key_one' },
    });
    assert.deepEqual([found?.measured, found?.group], [sum, { team: 'team_red' }]);
  });

  test('sums without keys and teams are made of those that an earlier version left', async () => {
    const amounts = [999_999n, 1n, 12_345_678_901_234_567_890n, -13n];
    for (const [i, amount] of amounts.entries()) {
      const of = { keyId: `key_${i % 3}`, teamId: `team_${i % 2}`, tags: ['t'], at: AT + i * HOUR } as const;
      await store.post([entry(`exc_${i}`, amount, [], of)]);
    }
    const kept = async (grain: Grain) =>
      new Set((await store.readRollups(grain, 0, AT + 30 * HOUR)).map((each) => inspect(each)));
    for (const [make, ...grains] of [
      [makeCoarseRollups, 'day_of_teams', 'thirty_days_of_teams', 'day_of_models'],
      [makeReportRollups, 'day_of_keys', 'thirty_days_of_keys', 'day_of_whole_teams', 'hour_of_models'],
    ] as const) {
      const before = await Promise.all(grains.map(kept));
      assert.ok(before.every(({ size }) => size > 0));
      await engine.db.deleteFrom('rollups').where('grain', 'in', grains).execute();
      assert.deepEqual(await kept(grains[0]), new Set());
      await make(engine.db as unknown as Kysely<unknown>);
      assert.deepEqual(await Promise.all(grains.map(kept)), before);
    }
  });

  test('sums over stretches come whole, whatever is taken away again, and tags are told apart at any time', async () => {
    const byText = (a: unknown, b: unknown) => (String(a) < String(b) ? -1 : 1);
    const DAY = 24 * HOUR;
    const times = [AT - 40 * DAY, AT - 3 * DAY, AT, AT + HOUR, AT + 2 * DAY];
    for (const [i, at] of times.entries())
      await store.post([entry(`exc_${i}`, 10n ** BigInt(17 + i), [], { at, tags: [`t${i % 2}`, 'all'] })]);
    const sums = async (by: RollupDimension[], stretches: SignedStretch[], where = {}) => {
      const found: RollupSum[] = [];
      await store.sumStretches({ by, where, stretches }, (some) => void found.push(...some));
      return found
        .map(({ group, measured, exchanges }) => [...Object.values(group), measured, exchanges])
        .toSorted(byText);
    };
    const [from, to] = [AT - 50 * DAY, AT + 50 * DAY];
    const month = { grain: 'thirty_days_of_keys', from: AT - 90 * DAY, to, sign: 1 } as const;
    const all = 11_111n * 10n ** 17n;
    assert.deepEqual(await sums([], [month]), [[all, 5]]);
    const less = { grain: 'hour', from: AT - HOUR, to: AT + DAY, sign: -1 } as const;
    assert.deepEqual(await sums(['team', 'key'], [month, less]), [
      ['team_red', 'key_one', all - 1_100n * 10n ** 17n, 3],
    ]);
    const day = { grain: 'day_of_models', from, to, sign: 1 } as const;
    assert.deepEqual(await sums(['tag'], [day]), [
      ['all', all, 5],
      ['t0', 10_101n * 10n ** 17n, 3],
      ['t1', 1_010n * 10n ** 17n, 2],
    ]);
    assert.deepEqual(await sums(['tag', 'model'], [{ ...day, from: AT - HOUR }], { tag: 't1' }), []);
    await store.post([entry('exc_untagged', 3n, [], { at: AT, tags: [] })]);
    for (const by of [['tag'], ['model', 'tag']] as const) {
      const untagged = (await sums([...by], [day])).filter((row) => row[by.length - 1] === '');
      assert.deepEqual(
        untagged.map((row) => row.slice(-2)),
        [[3n, 1]],
      );
    }
    const hours = { grain: 'hour', from: AT - HOUR, to: AT, where: {} } as const;
    const found = await store.sumRollups({ ...hours, by: ['at', 'tag'] });
    assert.deepEqual(found.map(({ group, measured, exchanges }) => [group.tag, measured, exchanges]).toSorted(byText), [
      ['', 3n, 1],
      ['all', 10n ** 19n, 1],
      ['t0', 10n ** 19n, 1],
    ]);
    assert.deepEqual(await sums(['team'], [{ grain: 'day_of_whole_teams', from: 0, to: 1, sign: 1 }]), []);
  });

  test('windows are found by budget, account and beginning, and old ones go', async () => {
    await store.insertBudget(budget('budget_1', { window: 'hour' }), deed('created'));
    const starts = [AT - 2 * HOUR, AT - HOUR, AT];
    await store.post([
      entry('exc_a', 9n, [
        ...starts.map((windowStart) => charge('budget_1', 3n, { windowStart })),
        charge('budget_1', 1n, { windowStart: AT, account: 'anna' }),
      ]),
    ]);
    assert.equal((await store.windowsSince(AT - HOUR)).length, 2);
    assert.deepEqual(
      (await store.windowsOf('budget_1', 'anna', 0)).map(({ spent }) => spent),
      [1n],
    );
    assert.deepEqual(await store.sumOf('budget_1', AT - HOUR), { spent: 7n, held: 0n });
    await store.forgetWindows('budget_1', AT - HOUR);
    const all = await store.allWindows(null, 2);
    const rest = await store.allWindows(all.at(-1)!, 2);
    assert.deepEqual(
      [...all, ...rest].map(({ account, windowStart }) => [account, windowStart]),
      [
        ['', AT - HOUR],
        ['', AT],
        ['anna', AT],
      ],
    );
  });

  test('holds are placed where they fit, all of one exchange or none, and go with its entry', async () => {
    const { holds } = store;
    assert.equal(holds === null, !store.isShared);
    // One process keeps them in memory.
    if (holds === null) return;
    await store.insertBudget(budget('budget_1', { limitMoney: 10n }), deed('created'));
    await store.insertBudget(budget('budget_2', { limitMoney: 25n, scope: 'end_user' }), deed('created'));
    const part = (budgetId: Budget['id'], amount: bigint, account = '') => ({
      budgetId,
      account,
      windowStart: 0,
      unit: 'money' as const,
      countsEstimates: true,
      amount,
      countsFrom: 0,
      isUnknown: false,
    });
    const ask = (n: number, amount: bigint) => ({
      exchangeId: `exc_${n}` as const,
      amounts: [part('budget_2', amount, 'anna'), part('budget_1', amount)],
      details: '{}',
    });
    const until = AT + HOUR;
    const answers = await holds.place([ask(1, 6n), ask(2, 6n), ask(3, 4n)], 'replica_a', until);
    assert.deepEqual(answers, [null, { budgetId: 'budget_1', spent: 0n, held: 6n }, null]);
    assert.deepEqual(await store.sumOf('budget_2', 0), { spent: 0n, held: 10n });

    assert.equal(await holds.extend('exc_1', [part('budget_1', 1n)]), false);
    await holds.release(['exc_3']);
    assert.equal(await holds.extend('exc_1', [part('budget_1', 4n)]), true);
    assert.deepEqual(await store.sumOf('budget_1', 0), { spent: 0n, held: 10n });

    await store.post([entry('exc_1', 7n, [charge('budget_1', 7n), charge('budget_2', 7n, { account: 'anna' })])]);
    assert.deepEqual(await store.sumOf('budget_1', 0), { spent: 7n, held: 0n });
    assert.deepEqual(await store.sumOf('budget_2', 0), { spent: 7n, held: 0n });

    await holds.place([ask(4, 3n), ask(5, 0n)], 'replica_a', AT + 1);
    await holds.renew(['exc_5'], until);
    clock.turn(2);
    const settle = () =>
      holds.settleExpired(10, ({ exchangeId, amounts }) => entry(exchangeId, 3n, amounts, { exchangeId }));
    const settled = await Promise.all([settle(), settle()]);
    assert.deepEqual(
      settled.flat().map(({ settleKey }) => settleKey),
      ['exc_4'],
    );
    // Its owner comes back with the truth: too late.
    await store.post([entry('exc_4', 1n, [charge('budget_1', 1n)])]);
    assert.deepEqual(await store.sumOf('budget_1', 0), { spent: 10n, held: 0n });
  });
});
