// Several replicas on one PostgreSQL: they start together, see the same keys and threads, wake each other, and outlive its restart.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { systemClock } from '../../src/domain/clock.ts';
import { openPostgres } from '../../src/store/postgres.ts';
import { localWakeups } from '../../src/store/wakeups.ts';
import { eventually } from '../support/eventually.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from '../support/postgres.ts';
import { startRecorder } from '../support/recorder.ts';

test('word within one process reaches every listener until it leaves', async () => {
  const wakeups = localWakeups();
  const heard: string[] = [];
  const leave = wakeups.subscribe('run', (payload) => heard.push(payload));
  wakeups.publish('run', '1');
  wakeups.publish('cancel', '2');
  leave();
  wakeups.publish('run', '3');
  assert.deepEqual(heard, ['1']);
  await wakeups.close();
});

describe('replicas on one PostgreSQL', { skip: skipWithoutPostgres() }, () => {
  let server: TestPostgres;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server.close());

  test('what one publishes the other hears, and itself too, once', async () => {
    const url = await server.makeDatabase();
    const [one, two] = await Promise.all([openPostgres(url, systemClock), openPostgres(url, systemClock)]);
    const heard: string[] = [];
    one.wakeups.subscribe('cancel', (payload) => heard.push(`one ${payload}`));
    two.wakeups.subscribe('cancel', (payload) => heard.push(`two ${payload}`));
    // Whoever has just begun to listen may miss a word: said again until it is heard.
    while (!heard.includes('two 7')) {
      one.wakeups.publish('cancel', '7');
      await delay(20);
    }
    heard.length = 0;
    one.wakeups.publish('cancel', '8');
    await eventually('both heard', () => heard.length === 2);
    await delay(50);
    assert.deepEqual(heard.toSorted(), ['one 8', 'two 8']);
    await Promise.all([one.close(), two.close()]);
  });

  test('after the database was away, listeners are told that they may have missed something', async () => {
    const url = await server.makeDatabase();
    const engine = await openPostgres(url, systemClock);
    let gaps = 0;
    engine.wakeups.onGap(() => gaps++);
    const heard: string[] = [];
    const other = await openPostgres(url, systemClock);
    other.wakeups.subscribe('run', (payload) => heard.push(payload));
    while (heard.length === 0) {
      engine.wakeups.publish('run', '1');
      await delay(20);
    }
    await server.kill();
    await server.start();
    await eventually('the gap is told', () => gaps > 0, 15_000);
    heard.length = 0;
    while (heard.length === 0) {
      engine.wakeups.publish('run', '2');
      await delay(50);
    }
    await Promise.all([engine.close(), other.close()]);
  });

  test('the time of all replicas is that of the database', async () => {
    const url = await server.makeDatabase();
    const engine = await openPostgres(url, systemClock);
    assert.ok(Math.abs(engine.now() - Date.now()) < 1000);
    assert.ok(Number.isInteger(engine.now()));
    await engine.close();
  });

  test('a database that is not there stops the start, and names the setting', async () => {
    await assert.rejects(openPostgres('postgres://test@127.0.0.1:1/none', systemClock), /databaseUrl \(DATABASE_URL\)/);
  });

  test('gateways that start together on an empty database serve the same keys and objects', async () => {
    const databaseUrl = await server.makeDatabase();
    const upstream = await startRecorder();
    const options = { upstream: `${upstream.url}/v1`, databaseUrl };
    const [one, two] = await Promise.all([startGateway(options), startGateway(options)]);
    // The key was made by one of them; both know it.
    const ask = async (gateway: TestGateway, path: string, body?: object) => {
      const headers = { authorization: `Bearer ${one.token}`, 'content-type': 'application/json' };
      const init = body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) };
      const reply = await fetch(`${gateway.api}/openai${path}`, init);
      assert.equal(reply.status, 200);
      return (await reply.json()) as { id: string; name?: string; data?: unknown[] };
    };
    const { id } = await ask(one, '/assistants', { model: 'gpt-4o', name: 'Shared' });
    assert.equal((await ask(two, `/assistants/${id}`)).name, 'Shared');
    const thread = await ask(two, '/threads', { messages: [{ role: 'user', content: 'hi' }] });
    assert.equal((await ask(one, `/threads/${thread.id}/messages`)).data?.length, 1);
    await Promise.all([one.close(), two.close()]);
    await upstream.close();
  });
});
