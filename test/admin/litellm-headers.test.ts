// With `compatibility.litellm: on`, replies and requests carry what LiteLLM's clients know; without it, nothing of the kind.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';

const BODY = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'gpt-4o',
  choices: [{ index: 0, message: { role: 'assistant', content: 'x = 1' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 },
});
/** Too long to wait for its end before it is passed on. */
const STREAM = [
  ...Array.from(
    { length: 5000 },
    (_, i) => `data: {"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"${i}, "}}]}\n\n`,
  ),
  'data: {"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"x"}}],"usage":null}\n\n',
  'data: {"id":"chatcmpl-1","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}\n\n',
  'data: [DONE]\n\n',
].join('');
/** 1000 tokens in at 2.50 and 500 out at 10 dollars a million. */
const CHAT_USD = '0.0075';

let upstream: Recorder;
let on: TestGateway;
let off: TestGateway;
before(async () => {
  upstream = await startRecorder(async (request) => {
    const isStreamed = (await request.whole()).includes('"stream":true');
    return {
      headers: [['content-type', isStreamed ? 'text/event-stream' : 'application/json']],
      body: isStreamed ? STREAM : BODY,
    };
  });
  on = await startGateway({ upstream: `${upstream.url}/v1`, settings: { compatibility: { litellm: 'on' } } });
  off = await startGateway({ upstream: `${upstream.url}/v1` });
});
after(async () => {
  await on.close();
  await off.close();
  await upstream.close();
});

async function chat(gateway: TestGateway, token: string, headers = {}, body = {}): Promise<Response> {
  const reply = await fetch(`${gateway.api}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({
      model: 'gpt-4o',
      max_tokens: 500,
      messages: [{ role: 'user', content: '3x = 3' }],
      ...body,
    }),
  });
  await reply.arrayBuffer();
  return reply;
}

async function tagsOf(gateway: TestGateway, reply: Response): Promise<readonly string[]> {
  const id = reply.headers.get('x-throughway-exchange-id');
  for (const deadline = performance.now() + 5000; performance.now() < deadline; await delay(5)) {
    const found = await gateway.adminFetch(`/admin/v1/exchanges/${id}`);
    if (found.status === 200) return ((await found.json()) as { tags: string[] }).tags;
  }
  throw new Error(`there is no record of ${id}`);
}

const litellmHeaders = ({ headers }: Response) => [...headers.keys()].filter((name) => name.startsWith('x-litellm-'));

describe('replies', () => {
  test('tell the cost and what the key has spent of its budget, each time more', async () => {
    const { token } = await on.createKey({ name: 'budgeted', budgets: [{ limit_usd: '1', window: 'day' }] });
    for (const spent of ['0.0075', '0.015', '0.0225']) {
      const reply = await chat(on, token);
      assert.equal(reply.headers.get('x-litellm-response-cost'), CHAT_USD);
      assert.equal(reply.headers.get('x-throughway-cost-usd'), CHAT_USD);
      assert.equal(reply.headers.get('x-litellm-key-spend'), spent);
      assert.equal(reply.headers.get('x-litellm-key-max-budget'), '1');
      assert.equal(reply.headers.get('x-litellm-call-id'), reply.headers.get('x-throughway-exchange-id'));
    }
  });

  test('tell all that a key without a budget ever spent', async () => {
    const { token } = await on.createKey({ name: 'free' });
    assert.equal((await chat(on, token)).headers.get('x-litellm-key-spend'), '0.0075');
    const second = await chat(on, token);
    assert.equal(second.headers.get('x-litellm-key-spend'), '0.015');
    assert.equal(second.headers.get('x-litellm-key-max-budget'), null);
  });

  test('that stream tell their id, because the cost is not known in time', async () => {
    const { token } = await on.createKey({ name: 'stream' });
    const reply = await chat(on, token, {}, { stream: true, stream_options: { include_usage: true } });
    assert.deepEqual(litellmHeaders(reply), ['x-litellm-call-id']);
  });

  test('tell nothing of it while the switch is off', async () => {
    assert.deepEqual(litellmHeaders(await chat(off, off.token)), []);
  });
});

describe('requests', () => {
  const named = { 'x-litellm-tags': 'a, b', tags: 'b,c', 'x-throughway-tags': 'own' };

  test('may name tags as LiteLLM’s do', async () => {
    assert.deepEqual(await tagsOf(on, await chat(on, on.token, named)), ['own', 'a', 'b', 'c']);
    assert.deepEqual(await tagsOf(on, await chat(on, on.token, { tags: 'alone' })), ['alone']);
  });

  test('name none by those headers while the switch is off', async () => {
    assert.deepEqual(await tagsOf(off, await chat(off, off.token, named)), ['own']);
  });
});
