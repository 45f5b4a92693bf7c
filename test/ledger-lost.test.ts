// A PostgreSQL that was lost, or set back to a backup, has again what its replicas entered, from the records in their spools.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import pg from 'pg';

import { systemClock } from '../src/domain/clock.ts';
import { startGateway } from './support/gateway.ts';
import { type Opened, aCaller, aCost, makeDir, open, run, told } from './support/ledger.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from './support/postgres.ts';

const EVERYTHING = { groupBy: ['key', 'day'], from: 0, to: 1e14, where: {} } as const;

describe('a PostgreSQL that was lost', { skip: skipWithoutPostgres() }, () => {
  let server: TestPostgres;
  let url: string;
  let dirs: ReturnType<typeof makeDir>[];
  let replicas: Opened[];
  before(async () => {
    server = await startPostgres();
  });
  after(() => server.close());
  beforeEach(async () => {
    url = await server.makeDatabase();
    dirs = [makeDir(), makeDir()];
    replicas = [];
  });
  afterEach(async () => {
    await closeAll();
    for (const dir of dirs) dir.remove();
  });

  async function closeAll(): Promise<void> {
    for (const replica of replicas.splice(0)) await replica.close();
  }

  async function openAll(): Promise<void> {
    for (const dir of dirs) replicas.push(await open(dir.path, systemClock, {}, url));
  }

  async function sql(text: string, database = url): Promise<void> {
    const client = new pg.Client({ connectionString: database });
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  }

  const loseSums = () => sql('TRUNCATE entries, rollups, budget_windows');
  const reported = () => replicas[0]!.ledger.report(EVERYTHING);

  async function spend(count: number): Promise<void> {
    for (const [i, replica] of replicas.entries()) {
      for (let n = 0; n < count; n++) {
        const cost = n % 5 === 0 ? aCost(null) : aCost(BigInt(n + 1));
        await run(replica, told(systemClock.now(), aCaller(`key${i}`)), 50n, cost);
      }
      await replica.ledger.catchUp();
    }
  }

  async function assertNoDrift(): Promise<void> {
    const { windows, rollups } = await replicas[0]!.ledger.findDrift();
    assert.deepEqual([windows, rollups], [[], []]);
  }

  test('and comes back empty has all again when its replicas start', async () => {
    await openAll();
    await spend(300);
    const before = await reported();
    assert.equal(before.totals.exchanges, 600);
    for (let times = 0; times < 2; times++) {
      await closeAll();
      url = await server.makeDatabase();
      await openAll();
      assert.deepEqual(await reported(), before);
      await assertNoDrift();
    }
  });

  test('and comes back as it was a while ago has what came after it', async () => {
    await openAll();
    const { id } = await replicas[0]!.ledger.budgets.create({ scope: 'global', limitMoney: 10n ** 9n });
    await spend(200);
    await closeAll();
    const backup = await server.makeDatabase();
    const name = new URL(backup).pathname.slice(1);
    await sql(`DROP DATABASE ${name}`, admin(url));
    await sql(`CREATE DATABASE ${name} TEMPLATE ${new URL(url).pathname.slice(1)}`, admin(url));
    await openAll();
    await spend(150);
    const before = await reported();
    const spent = (await replicas[0]!.ledger.budgets.find(id))?.spent;
    assert.equal(before.totals.exchanges, 700);
    await closeAll();
    url = backup;
    await openAll();
    assert.deepEqual(await reported(), before);
    assert.equal((await replicas[0]!.ledger.budgets.find(id))?.spent, spent);
    await assertNoDrift();
  });

  test('while it was away has all again as soon as it is there', async () => {
    await openAll();
    await spend(20);
    const before = await reported();
    await loseSums();
    for (const { store, ledger } of replicas) {
      const { ledger: target } = store as { ledger: { post: unknown } };
      const { post } = target;
      target.post = () => Promise.reject(new Error('away'));
      await run({ store, ledger } as Opened, told(systemClock.now(), aCaller('late')), 50n, aCost(7n));
      await assert.rejects(ledger.catchUp(), /away/);
      target.post = post;
      await ledger.catchUp();
    }
    const { totals } = await reported();
    assert.deepEqual([totals.exchanges, totals.measured], [before.totals.exchanges + 2, before.totals.measured + 14n]);
    await assertNoDrift();
  });

  test('while nobody noticed has all again when the ledger is mended, once', async () => {
    const usage = { prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100 };
    const upstream = createServer((request, reply) => {
      request.resume().on('end', () => {
        reply.writeHead(200, { 'content-type': 'application/json' });
        reply.end(JSON.stringify({ object: 'chat.completion', model: 'gpt-4o', usage, choices: [] }));
      });
    }).listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    const { port } = upstream.address() as AddressInfo;
    const gateway = await startGateway({ upstream: `http://127.0.0.1:${port}/v1`, databaseUrl: url });
    try {
      const chat = async () => {
        const headers = { authorization: `Bearer ${gateway.token}`, 'content-type': 'application/json' };
        const body = JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }] });
        const reply = await fetch(`${gateway.api}/openai/v1/chat/completions`, { method: 'POST', headers, body });
        assert.equal(reply.status, 200, await reply.text());
      };
      const totals = async () =>
        ((await (await gateway.adminFetch('/admin/v1/spend?group_by=model')).json()) as { totals: object }).totals;
      for (let i = 0; i < 5; i++) await chat();
      const before = await totals();
      await loseSums();
      assert.notDeepEqual(await totals(), before);
      for (let times = 0; times < 2; times++) {
        const mended = await gateway.adminFetch('/admin/v1/ledger/mend', { method: 'POST' });
        assert.equal(mended.status, 200, await mended.text());
        assert.deepEqual(await totals(), before);
      }
    } finally {
      await gateway.close();
      upstream.closeAllConnections();
      upstream.close();
      await once(upstream, 'close');
    }
  });

  function admin(database: string): string {
    const other = new URL(database);
    other.pathname = '/postgres';
    return other.href;
  }
});
