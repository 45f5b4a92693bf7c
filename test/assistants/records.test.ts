// What the admin API says of the exchanges that runs make, and what its description says of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { exchangeSchema } from '../../src/admin/contract.ts';
import { startGateway } from '../support/gateway.ts';
import { responseEvents } from '../support/responses-script.ts';
import { ResponsesUpstream } from '../support/responses-upstream.ts';
import type { Any } from '../support/runs.ts';

test('the record of a turn names its run, as the description says, and that of another exchange names none', async () => {
  const upstream = new ResponsesUpstream();
  const listening = await upstream.listen();
  const gateway = await startGateway({ upstream: listening.url });
  try {
    const ask = async (path: string, body?: unknown): Promise<Any> => {
      const reply = await fetch(`${gateway.api}/openai${path}`, {
        headers: { authorization: `Bearer ${gateway.token}`, 'content-type': 'application/json' },
        ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
      });
      assert.equal(reply.status, 200);
      return reply.json();
    };
    const assistant = await ask('/assistants', { model: 'gpt-4o' });
    const thread = await ask('/threads', { messages: [{ role: 'user', content: 'Hi.' }] });
    const run = await ask(`/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    for (const deadline = performance.now() + 10_000; ;) {
      if ((await ask(`/threads/${thread.id}/runs/${run.id}`)).status === 'completed') break;
      assert.ok(performance.now() < deadline, 'the run is not completed');
    }
    const { data } = (await (await gateway.adminFetch('/admin/v1/exchanges?limit=100')).json()) as { data: Any[] };
    const turn = data.find(({ path }) => path === '/v1/responses');
    const named = { id: run.id, assistant_id: assistant.id, thread_id: thread.id, turn: 1, rerun: false };
    assert.deepEqual(turn?.run, named);
    assert.deepEqual(exchangeSchema.parse(turn).run, named);
    assert.ok(data.some(({ path, run: none }) => path === '/v1/assistants' && none === undefined));

    const openapi = await (await gateway.adminFetch('/admin/v1/openapi.json')).text();
    assert.match(openapi, /"assistant_id"/);
  } finally {
    await gateway.close();
    await listening.close();
  }
});

test('an upstream that keeps its connection open after the end of its answer is left soon, and the turn is recorded', async () => {
  const upstream = new ResponsesUpstream();
  const listening = await upstream.listen();
  const gateway = await startGateway({ upstream: listening.url });
  const kept = Promise.withResolvers<void>();
  try {
    upstream.script({ events: [...responseEvents([{ kind: 'message', text: 'It is 4.' }]), kept.promise] });
    const ask = async (path: string, body: unknown): Promise<Any> => {
      const reply = await fetch(`${gateway.api}/openai${path}`, {
        headers: { authorization: `Bearer ${gateway.token}`, 'content-type': 'application/json' },
        method: 'POST',
        body: JSON.stringify(body),
      });
      return reply.json();
    };
    const assistant = await ask('/assistants', { model: 'gpt-4o' });
    const thread = await ask('/threads', { messages: [{ role: 'user', content: 'Hi.' }] });
    await ask(`/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    const turn = async (): Promise<Any> => {
      const { data } = (await (await gateway.adminFetch('/admin/v1/exchanges?limit=100')).json()) as { data: Any[] };
      return data.find(({ path }) => path === '/v1/responses');
    };
    // Far sooner than the silence that an upstream is allowed.
    for (const deadline = performance.now() + 20_000; (await turn()) === undefined;) {
      assert.ok(performance.now() < deadline, 'the exchange goes on');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { ending, cost } = await turn();
    assert.deepEqual([ending, cost.state], ['downstream_left', 'priced']);
  } finally {
    kept.resolve();
    await gateway.close();
    await listening.close();
  }
});
