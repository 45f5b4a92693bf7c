// Two gateways on one PostgreSQL: a key made or revoked on one is so on the other.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { resolveConfig } from '../src/config/load.ts';
import { type Gateway, startGateway } from '../src/gateway.ts';
import { openLog } from '../src/telemetry/log.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from './support/postgres.ts';
import { type Recorder, startRecorder } from './support/recorder.ts';

const ADMIN_TOKEN = 'replicas-admin-token-0123456789abcdef0123';

describe('two replicas on one PostgreSQL', { skip: skipWithoutPostgres() }, () => {
  let server: TestPostgres;
  let upstream: Recorder;
  let directory: string;
  let one: Gateway;
  let other: Gateway;

  before(async () => {
    server = await startPostgres();
    upstream = await startRecorder(() => ({ body: '{}' }));
    directory = await mkdtemp(join(tmpdir(), 'throughway-test-'));
    const database = await server.makeDatabase();
    const start = (name: string) => {
      const settings = {
        listen: '127.0.0.1:0',
        adminListen: '127.0.0.1:0',
        adminToken: 'env:ADMIN',
        databaseUrl: 'env:DATABASE_URL',
        dataDir: join(directory, name),
        upstream: { baseUrl: `${upstream.url}/v1` },
      };
      const environment = { OPENAI_API_KEY: 'sk-x', ADMIN: ADMIN_TOKEN, DATABASE_URL: database };
      return startGateway(resolveConfig(settings, environment), { log: openLog('error', () => {}) });
    };
    one = await start('one');
    other = await start('other');
  });
  after(async () => {
    await Promise.all([one.stopNow(), other.stopNow()]);
    await upstream.close();
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });

  const administer = async (gateway: Gateway, path: string, body: unknown) => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
    const reply = await fetch(gateway.admin + path, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.ok(reply.ok, `${path} answers ${reply.status}`);
    return (await reply.json()) as { key: { id: string }; token: string };
  };
  const ask = async (gateway: Gateway, token: string) => {
    const reply = await fetch(`${gateway.api}/openai/v1/models`, { headers: { authorization: `Bearer ${token}` } });
    await reply.arrayBuffer();
    return reply.status;
  };

  test('only the first start makes a key', () => {
    assert.equal([one.firstToken, other.firstToken].filter((token) => token !== null).length, 1);
  });

  test('a key made on one opens the other, and revoked on one it opens neither within five seconds', async () => {
    const { key, token } = await administer(one, '/admin/v1/keys', { name: 'shared' });
    assert.equal(await ask(other, token), 200);
    await administer(one, `/admin/v1/keys/${key.id}/revoke`, {});
    assert.equal(await ask(one, token), 401);
    const deadline = performance.now() + 5000;
    let status = await ask(other, token);
    while (status === 200 && performance.now() < deadline) status = await ask(other, token);
    assert.equal(status, 401);
  });

  test('prices refreshed on one are in force on the other within five seconds', async () => {
    const text = '| Model | Input | Output |\n|--|--|--|\n| gpt-7 | $3.00 | $9.00 |\n';
    const versionOf = async (gateway: Gateway) => {
      const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
      const reply = await fetch(`${gateway.admin}/admin/v1/prices?model=gpt-7`, { headers });
      return ((await reply.json()) as { price_version: string; data: unknown[] }).price_version;
    };
    const before = await versionOf(other);
    await administer(one, '/admin/v1/prices/refresh', { documents: [{ name: 'pricing.md', text }], force: true });
    const now = await versionOf(one);
    assert.notEqual(now, before);
    const deadline = performance.now() + 5000;
    let seen = await versionOf(other);
    while (seen !== now && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      seen = await versionOf(other);
    }
    assert.equal(seen, now);
  });
});
