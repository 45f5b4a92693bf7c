// What runs may spend: the limits, budgets and models of the key that began a run hold for each of its model calls.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { eventually } from '../support/eventually.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import { ResponsesUpstream } from '../support/responses-upstream.ts';
import type { Any } from '../support/runs.ts';

describe('a run', () => {
  const upstream = new ResponsesUpstream();
  let listening: Awaited<ReturnType<ResponsesUpstream['listen']>>;
  let gateway: TestGateway;
  beforeEach(async () => {
    upstream.calls.length = 0;
    listening = await upstream.listen();
    gateway = await startGateway({ upstream: listening.url });
  });
  afterEach(async () => {
    await gateway.close();
    await listening.close();
  });

  async function ask(token: string, path: string, body?: unknown): Promise<Any> {
    const reply = await fetch(`${gateway.api}/openai${path}`, {
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    assert.equal(reply.status, 200, text);
    return JSON.parse(text);
  }

  async function ended(token: string): Promise<Any> {
    const assistant = await ask(token, '/assistants', { model: 'gpt-4o' });
    const thread = await ask(token, '/threads', { messages: [{ role: 'user', content: 'Hi.' }] });
    const run = await ask(token, `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    for (const deadline = performance.now() + 10_000; ;) {
      const found = await ask(token, `/threads/${thread.id}/runs/${run.id}`);
      if (!['queued', 'in_progress'].includes(found.status)) return found;
      assert.ok(performance.now() < deadline, `the run is still ${found.status}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  const recordOf = async (run: Any): Promise<Any> => {
    const { data } = (await (await gateway.adminFetch('/admin/v1/exchanges?limit=100')).json()) as { data: Any[] };
    return data.find((record) => record.run?.id === run.id && record.path === '/v1/responses');
  };

  const modelCalls = () => upstream.calls.filter(({ path }) => path === '/v1/responses').length;

  test('of a key whose budget is spent fails in the words of the budget, and nothing is sent upstream', async () => {
    const budget = { limit_usd: '0.000000000001', window: 'month' };
    const { token } = await gateway.createKey({ name: 'poor', budgets: [budget] });
    const run = await ended(token);
    assert.deepEqual([run.status, run.last_error.code], ['failed', 'rate_limit_exceeded']);
    assert.match(run.last_error.message, /budget/);
    assert.equal(modelCalls(), 0);
    const record = await recordOf(run);
    assert.deepEqual([record.refusal, record.run.thread_id], ['insufficient_quota', run.thread_id]);
    assert.equal(record.error.message, run.last_error.message);
    // The thread is free again.
    await ask(token, `/threads/${run.thread_id}/messages`, { role: 'user', content: 'Once more.' });
  });

  test('on a model that its key may not call fails, and says so', async () => {
    const { token } = await gateway.createKey({ name: 'narrow', models: ['gpt-4o-mini'] });
    const run = await ended(token);
    assert.deepEqual([run.status, run.last_error.code], ['failed', 'server_error']);
    assert.match(run.last_error.message, /gpt-4o/);
    assert.equal(modelCalls(), 0);
    assert.equal((await recordOf(run)).refusal, 'model_not_allowed');
  });

  test('costs what its turns cost: their records name run, assistant and thread, and its key is charged', async () => {
    const { key, token } = await gateway.createKey({ name: 'rich' });
    const run = await ended(token);
    assert.equal(run.status, 'completed');
    const record = await recordOf(run);
    assert.deepEqual(
      [record.run.id, record.run.assistant_id, record.run.thread_id, record.key_id],
      [run.id, run.assistant_id, run.thread_id, key.id],
    );
    assert.equal(record.cost.state, 'priced');
    assert.ok(Number(record.cost.usd) > 0);
    const spent = async () => {
      const reply = await gateway.adminFetch(`/admin/v1/spend?group_by=key`);
      return JSON.stringify(await reply.json());
    };
    let told = '';
    const look = setInterval(() => void spent().then((text) => (told = text)), 50);
    await eventually('the key is charged', () => told.includes(key.id)).finally(() => clearInterval(look));
  });
});
