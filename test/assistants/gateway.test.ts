// The Assistants API through the whole gateway: where it is mounted, what headers and records its answers have, and what stays out.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';

import OpenAI from 'openai';

import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { judgeAnswer } from '../support/assistants-judge.ts';
import { eventually } from '../support/eventually.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import { type Recorder, startRecorder } from '../support/recorder.ts';

describe('the Assistants API through the gateway', () => {
  let upstream: Recorder;
  let gateway: TestGateway;
  before(async () => {
    upstream = await startRecorder();
    // What is asked of the upstream about models is told elsewhere.
    const settings = { assistants: { listThreads: true, checkModels: false } };
    gateway = await startGateway({ upstream: `${upstream.url}/v1`, settings });
  });
  after(async () => {
    await gateway.close();
    await upstream.close();
  });

  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`${gateway.api}${path}`, {
      ...init,
      headers: {
        authorization: `Bearer ${gateway.token}`,
        'content-type': 'application/json',
        ...(init.headers as Record<string, string>),
      },
    });
  const records = async (): Promise<readonly ExchangeRecord[]> =>
    ((await (await gateway.adminFetch('/admin/v1/exchanges?limit=100')).json()) as { data: ExchangeRecord[] }).data;

  for (const base of ['/openai', '/openai/', '/openai/v1', '/openai/v1/', '/openai_passthrough', '/v1']) {
    test(`an SDK whose base URL ends in ${base} makes, reads, lists, changes and deletes`, async () => {
      const client = new OpenAI({ baseURL: gateway.api + base, apiKey: gateway.token });
      const assistant = await client.beta.assistants.create({ name: 'Math Tutor', model: 'gpt-4o' });
      assert.equal((await client.beta.assistants.retrieve(assistant.id)).name, 'Math Tutor');
      assert.equal((await client.beta.assistants.update(assistant.id, { name: 'B' })).name, 'B');
      const thread = await client.beta.threads.create({ messages: [{ role: 'user', content: 'one' }] });
      await client.beta.threads.messages.create(thread.id, { role: 'user', content: 'two' });
      const texts: string[] = [];
      for await (const message of client.beta.threads.messages.list(thread.id, { limit: 1, order: 'asc' })) {
        const [part] = message.content;
        if (part?.type === 'text') texts.push(part.text.value);
      }
      assert.deepEqual(texts, ['one', 'two']);
      assert.equal((await client.beta.threads.delete(thread.id)).deleted, true);
      assert.equal((await client.beta.assistants.delete(assistant.id)).deleted, true);
      await assert.rejects(client.beta.assistants.retrieve(assistant.id), { status: 404 });
    });
  }

  test('an answer has the headers that OpenAI’s had, and ours', async () => {
    const reply = await ask('/openai/threads', { method: 'POST' });
    assert.equal(reply.status, 200);
    const id = reply.headers.get('x-throughway-exchange-id');
    assert.match(id ?? '', /^exc_/);
    assert.equal(reply.headers.get('x-request-id'), id);
    assert.equal(reply.headers.get('openai-version'), '2020-10-01');
    assert.match(reply.headers.get('openai-processing-ms') ?? '', /^\d+$/);
    assert.equal(reply.headers.get('content-type'), 'application/json');
    judgeAnswer('POST', '/threads', 200, await reply.json());
  });

  test('each call leaves one record that costs nothing, and asks nothing of the upstream', async () => {
    const seen = upstream.requests.length;
    const reply = await ask('/openai/assistants', {
      method: 'POST',
      body: JSON.stringify({ model: 'gpt-4o-of-this-test' }),
    });
    const id = reply.headers.get('x-throughway-exchange-id');
    const refused = await ask('/openai/assistants/asst_none');
    const all = await records();
    const made = all.filter((record) => record.id === id);
    assert.equal(made.length, 1);
    const [record] = made;
    assert.deepEqual(
      [
        record?.method,
        record?.path,
        record?.endpoint,
        record?.status,
        record?.ending,
        record?.model_requested,
        record?.transport,
      ],
      ['POST', '/v1/assistants', '/v1/assistants', 200, 'complete', 'gpt-4o-of-this-test', 'json'],
    );
    assert.deepEqual([record?.cost.state, record?.usage.source, record?.attempts], ['free', 'absent', []]);
    assert.equal(all.find(({ id: other }) => other === refused.headers.get('x-throughway-exchange-id'))?.status, 404);
    assert.equal(upstream.requests.length, seen);
  });

  test('no key, no answer', async () => {
    const reply = await fetch(`${gateway.api}/openai/assistants`);
    assert.equal(reply.status, 401);
    assert.equal(((await reply.json()) as { error: { code: string } }).error.code, 'invalid_api_key');
  });

  test('a body in many pieces is read whole, one that is too large is refused', async () => {
    const pieces = async function* () {
      yield Buffer.from('{"model": "gpt-4o", "instructions": "');
      for (let i = 0; i < 100; i++) yield Buffer.alloc(1000, 'x');
      yield Buffer.from('"}');
    };
    const init = { method: 'POST', body: ReadableStream.from(pieces()), duplex: 'half' } as RequestInit;
    const made = (await (await ask('/openai/assistants', init)).json()) as { instructions: string };
    assert.equal(made.instructions.length, 100_000);

    const large = await ask('/openai/assistants', { method: 'POST', body: Buffer.alloc(16 * 1024 * 1024 + 1, 'x') });
    assert.equal(large.status, 413);
    assert.equal(((await large.json()) as { error: { code: string } }).error.code, 'body_too_large');
  });

  test('a client that leaves in the middle of its body has done nothing', async () => {
    const threads = async () => (await ask('/openai/threads?limit=100')).text();
    const before = await threads();
    const { port } = new URL(gateway.api);
    const socket = connect(Number(port), '127.0.0.1');
    const head = `POST /openai/threads HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.token}\r\ntransfer-encoding: chunked\r\n\r\n`;
    socket.write(`${head}2\r\n{}\r\n`, () => socket.destroy());
    let left: ExchangeRecord | undefined;
    for (const deadline = performance.now() + 5000; left === undefined && performance.now() < deadline;) {
      left = (await records()).find((record) => record.path === '/v1/threads' && record.ending === 'downstream_left');
    }
    assert.equal(left?.status, null);
    assert.equal(await threads(), before);
  });

  test('a stream is sent as it comes, recorded at its end, and stopping the gateway ends it', async () => {
    const short = await startGateway({ upstream: `${upstream.url}/v1`, settings: { drainSeconds: 0 } });
    const client = new OpenAI({ baseURL: `${short.api}/openai`, apiKey: short.token, maxRetries: 0 });
    const assistant = await client.beta.assistants.create({ model: 'gpt-4o' });
    const thread = await client.beta.threads.create();
    const stream = await client.beta.threads.runs.create(thread.id, { assistant_id: assistant.id, stream: true });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { event } of stream) seen.push(event);
    })();
    await eventually('the run is queued', () => seen.includes('thread.run.queued'));
    await Promise.all([reading.catch(() => {}), short.close()]);
    assert.equal(seen[0], 'thread.run.created');
  });

  test('a key that may not call the Assistants API is told so', async () => {
    const { token } = await gateway.createKey({ name: 'chat only', endpoints: ['chat'] });
    const reply = await fetch(`${gateway.api}/openai/assistants`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(reply.status, 403);
    const allowed = await gateway.createKey({ name: 'assistants only', endpoints: ['assistants'] });
    const headers = { authorization: `Bearer ${allowed.token}` };
    for (const path of ['/assistants', '/threads', '/threads/thread_x/runs/run_x/events']) {
      assert.notEqual((await fetch(`${gateway.api}/openai${path}`, { headers })).status, 403, path);
    }
    assert.equal((await fetch(`${gateway.api}/openai/files`, { headers })).status, 403);
  });

  test('an operator who says so has it relayed', async () => {
    const relay = await startGateway({ upstream: `${upstream.url}/v1`, settings: { assistants: { mode: 'relay' } } });
    const seen = upstream.requests.length;
    await fetch(`${relay.api}/openai/assistants`, { headers: { authorization: `Bearer ${relay.token}` } });
    assert.equal(upstream.requests.length, seen + 1);
    await relay.close();
  });

  test('files of the upstream are the upstream’s, generated ones are ours', async () => {
    const seen = upstream.requests.length;
    await ask('/openai/files/file-abc123');
    await ask('/openai/files');
    assert.equal(upstream.requests.length, seen + 2);
    const ours = await ask('/openai/files/file-tw-none/content');
    assert.equal(ours.status, 404);
    assert.equal(upstream.requests.length, seen + 2);
  });
});
