// Budgets that several processes share on one PostgreSQL.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { systemClock } from '../src/domain/clock.ts';
import { newId } from '../src/domain/id.ts';
import { entryOfExpired } from '../src/ledger/entry-of.ts';
import { eventually } from './support/eventually.ts';
import { type Opened, aCaller, aCost, ask, hold, makeDir, open, run, told } from './support/ledger.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from './support/postgres.ts';

const REPLICA = fileURLToPath(new URL('support/ledger-replica.ts', import.meta.url));

describe('budgets on one PostgreSQL', { skip: skipWithoutPostgres() }, () => {
  let server: TestPostgres;
  let url: string;
  let dirs: ReturnType<typeof makeDir>[];
  let opened: Opened;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server.close());
  beforeEach(async () => {
    url = await server.makeDatabase();
    dirs = [makeDir()];
    opened = await open(dirs[0]!.path, systemClock, {}, url);
  });
  afterEach(async () => {
    await opened.close();
    for (const dir of dirs) dir.remove();
  });

  async function replica(...more: string[]): Promise<number> {
    const dir = makeDir();
    dirs.push(dir);
    const child: ChildProcess = spawn(process.execPath, [REPLICA, url, dir.path, ...more], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return (JSON.parse(await text(child.stdout!)) as { admitted: number }).admitted;
  }

  test('four processes together let exactly as many through as the budget is for', async () => {
    const budget = await opened.ledger.budgets.create({ scope: 'key', keyId: 'key_many', limitMoney: 370n });
    const admitted = await Promise.all(Array.from({ length: 4 }, () => replica('many', '30')));
    assert.equal(
      admitted.reduce((sum, each) => sum + each, 0),
      37,
    );
    const status = await opened.ledger.budgets.find(budget.id);
    assert.deepEqual([status?.spent, status?.held], [370n, 0n]);
    const { totals } = await opened.ledger.report({ groupBy: [], from: 0, to: 1e14, where: {} });
    assert.deepEqual([totals.exchanges, totals.measured + totals.estimated], [37, 370n]);
    const drift = await opened.ledger.findDrift();
    assert.deepEqual([drift.windows, drift.rollups], [[], []]);
  });

  test('holds of a process that was killed cost what was set aside, once, also when it comes back', async () => {
    const budget = await opened.ledger.budgets.create({ scope: 'key', keyId: 'key_many', limitMoney: 50n });
    assert.equal(await replica('many', '3', 'die'), 3);
    const { holds } = opened.store.ledger;
    const open3 = await opened.ledger.budgets.find(budget.id);
    assert.deepEqual([open3?.spent, open3?.held], [0n, 30n]);
    assert.deepEqual(await holds!.settleExpired(10, entryOfExpired), [], 'a lease that runs is left alone');
    // As if its lease had run out.
    const ids = await holdIds();
    await holds!.renew(ids, 1);
    const settled = await holds!.settleExpired(10, entryOfExpired);
    assert.deepEqual(
      settled.map(({ state, why, amount }) => [state, why, amount]),
      Array(3).fill(['estimated', 'hold_expired', 10n]),
    );
    const after3 = await opened.ledger.budgets.find(budget.id);
    assert.deepEqual([after3?.spent, after3?.held], [30n, 0n]);
  });

  async function holdIds() {
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query<{ exchange_id: `exc_${string}` }>('SELECT exchange_id FROM budget_holds');
    await client.end();
    return rows.map((row) => row.exchange_id);
  }

  test('what this replica has settled makes room at once', async () => {
    await opened.ledger.budgets.create({ scope: 'key', keyId: 'key_one', limitMoney: 20n });
    for (let i = 0; i < 5; i++) assert.ok(await run(opened, told(systemClock.now()), 20n - BigInt(i) * 2n, aCost(2n)));
    assert.equal(await hold(opened.ledger, told(systemClock.now()), 11n), null);
  });

  test('a budget that another replica made or changed binds here within two seconds', async () => {
    const dir = makeDir();
    dirs.push(dir);
    const other = await open(dir.path, systemClock, {}, url);
    const { id } = await other.ledger.budgets.create({ scope: 'key', keyId: 'key_one', limitMoney: 5n });
    const binds = async () => (await hold(opened.ledger, told(systemClock.now()), 6n)) === null;
    let isBound = false;
    const watch = setInterval(() => void binds().then((yes) => (isBound = yes)), 50);
    try {
      await eventually('the budget binds', () => isBound, 3000);
    } finally {
      clearInterval(watch);
    }
    await other.ledger.budgets.update(id, { limitMoney: 100n });
    assert.equal(await binds(), false, 'the store itself decides by the newest limit');
    await other.close();
  });

  test('while the store is away nobody spends from a hard budget, and what only a soft one counts goes on', async () => {
    await opened.ledger.budgets.create({ scope: 'key', keyId: 'key_hard', limitMoney: 100n });
    const soft = await opened.ledger.budgets.create({
      scope: 'key',
      keyId: 'key_soft',
      limitMoney: 100n,
      kind: 'soft',
    });
    await server.kill();
    try {
      const refused = await opened.ledger.hold(ask(told(systemClock.now(), aCaller('hard')), 1n));
      assert.equal(refused.kind === 'refused' && refused.refusal.code, 'overloaded');
      assert.ok(await run(opened, told(systemClock.now(), aCaller('soft')), 5n, aCost(4n)));
      assert.ok(await hold(opened.ledger, told(systemClock.now(), aCaller('free')), 5n), 'no budget, no store');
    } finally {
      await server.start();
    }
    let isEntered = false;
    const watch = setInterval(() => {
      void opened.ledger.catchUp().then(
        () => (isEntered = true),
        () => {},
      );
    }, 100);
    await eventually('it is entered when the store is back', () => isEntered, 10_000);
    clearInterval(watch);
    assert.equal((await opened.ledger.budgets.find(soft.id))?.spent, 4n);
  });

  test('what waits for the store in one turn is asked in one go', async () => {
    await opened.ledger.budgets.create({ scope: 'key', keyId: 'key_one', limitMoney: 50n });
    const held = await Promise.all(Array.from({ length: 300 }, () => hold(opened.ledger, told(systemClock.now()), 1n)));
    assert.equal(held.filter((each) => each !== null).length, 50);
    for (const each of held) if (each !== null) opened.ledger.release(each);
    assert.match(newId('exc', 1), /^exc_/);
  });
});
