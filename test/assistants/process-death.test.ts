// kill -9 on gateways that are real processes, with runs at every point where that matters: each run goes on or ends, no message
// is given twice, none is lost, and no thread stays locked. On PostgreSQL another replica goes on, and nobody has to ask it to.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { ANY_PORTS, firstToken, newDir, startListening, type Serving } from '../cli/programs.ts';
import { eventually } from '../support/eventually.ts';
import { CANARY } from '../support/gateway.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from '../support/postgres.ts';
import { type Json, type ScriptItem, responseEvents } from '../support/responses-script.ts';
import { ResponsesUpstream, type Script, answer, items } from '../support/responses-upstream.ts';
import type { Any } from '../support/runs.ts';

/** A lease is 20 s, and is looked for every 2 s. */
const RECOVERS_MS = 30_000;
/** A database of one process knows at its start that nobody holds a lease any more. */
const STARTS_AGAIN_MS = 15_000;

const ASSISTANT = { model: 'gpt-4o', tools: [{ type: 'function', function: { name: 'ask' } }] };
const QUESTION: ScriptItem = { kind: 'function', name: 'ask', args: '{"q":"?"}', callId: 'call_a' };
const OUTPUTS = { tool_outputs: [{ tool_call_id: 'call_a', output: 'yes' }] };
const TERMINAL = ['completed', 'cancelled', 'failed', 'expired', 'incomplete'];

const never = new Promise<void>(() => {});
const silent: Script = { events: [never] };

/** The stream of a message that stops for ever before its last events. */
function stuck(text: string, left: number): Script {
  const events: (Json | Promise<unknown>)[] = responseEvents([{ kind: 'message', text }], { end: 'none' });
  return { events: [...events.slice(0, events.length - left), never] };
}

/** Each thread asks by a name, and its model calls are answered by the scripts of that name, the last one for ever. */
function scriptByName(upstream: ResponsesUpstream, scripts: Readonly<Record<string, readonly Script[]>>): void {
  const calls = new Map<string, number>();
  upstream.script(({ body }) => {
    const asked = JSON.stringify(body.input);
    const name = Object.keys(scripts).find((candidate) => asked.includes(candidate))!;
    const n = calls.get(name) ?? 0;
    calls.set(name, n + 1);
    return scripts[name]![Math.min(n, scripts[name]!.length - 1)]!;
  });
}

function callsOf(upstream: ResponsesUpstream, name: string): number {
  return upstream.modelCalls.filter(({ body }) => JSON.stringify(body.input).includes(name)).length;
}

class Client {
  readonly #api: string;
  readonly #token: string;

  constructor(api: string, token: string) {
    this.#api = api;
    this.#token = token;
  }

  fetch(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(`${this.#api}/openai/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  async ok(method: string, path: string, body?: unknown): Promise<Any> {
    const reply = await this.fetch(method, path, body);
    const text = await reply.text();
    assert.equal(reply.status, 200, `${method} ${path}: ${text}`);
    return JSON.parse(text);
  }

  thread(content: string): Promise<Any> {
    return this.ok('POST', '/threads', { messages: [{ role: 'user', content }] });
  }

  async run(content: string, assistant: string): Promise<Any> {
    const { id } = await this.thread(content);
    return this.ok('POST', `/threads/${id}/runs`, { assistant_id: assistant });
  }

  find({ id, thread_id: thread }: Any): Promise<Any> {
    return this.ok('GET', `/threads/${thread}/runs/${id}`);
  }

  /** What the run said, the oldest first: status and text of each message. */
  async said({ id, thread_id: thread }: Any): Promise<string[]> {
    const { data } = await this.ok('GET', `/threads/${thread}/messages?run_id=${id}&order=asc`);
    return data.map(({ status, content }: Any) => `${status}: ${content[0]?.text.value ?? ''}`);
  }

  async until(run: Any, statuses: readonly string[], deadlineMs = RECOVERS_MS): Promise<Any> {
    for (const deadline = performance.now() + deadlineMs; ; await delay(50)) {
      const found = await this.find(run);
      if (statuses.includes(found.status)) return found;
      assert.ok(performance.now() < deadline, `after ${deadlineMs} ms the run is ${found.status}`);
    }
  }

  /** The thread takes messages again, and another run could begin. */
  async assertFree({ thread_id: thread }: Any): Promise<void> {
    await this.ok('POST', `/threads/${thread}/messages`, { role: 'user', content: 'And now?' });
  }
}

/** Reads a stream along until a text has been seen, and then to its end in the background. */
async function readUntil(
  reply: Response,
  text: string,
): Promise<{ readonly seen: () => string; readonly ended: Promise<void> }> {
  assert.equal(reply.status, 200);
  let seen = '';
  const ended = (async () => {
    const decoder = new TextDecoder();
    for await (const piece of reply.body!) seen += decoder.decode(piece, { stream: true });
  })().catch(() => {
    // Its gateway was killed.
  });
  await eventually(`the stream tells of ${text}`, () => seen.includes(text), 10_000);
  return { seen: () => seen, ended };
}

async function kill(serving: Serving): Promise<void> {
  serving.child.kill('SIGKILL');
  await serving.ended;
}

test('after kill -9 and a start on the same data every run goes on or ends, from wherever it was', async () => {
  const upstream = new ResponsesUpstream();
  const { url, close } = await upstream.listen();
  const dir = newDir();
  // Four runs below hold their places until the kill, so that the last one finds none.
  writeFileSync(join(dir, 'throughway.yaml'), 'assistants:\n  runsMax: 4\n');
  const env = { OPENAI_API_KEY: CANARY, OPENAI_BASE_URL: url };
  const serve = () => startListening(['serve', ...ANY_PORTS], { dir, env });
  scriptByName(upstream, {
    'in silence': [silent, answer('Heard.')],
    'mid-stream': [stuck('It is per', 3), answer('It is 4.')],
    'after the message': [stuck('All said.', 0), answer('Said again.')],
    'waiting for outputs': [items([QUESTION]), answer('Thanks.')],
    'outputs handed in': [items([QUESTION]), silent, answer('Used.')],
    'being cancelled': [silent, answer('Too late.')],
    'in the queue': [answer('My turn.')],
  });
  try {
    const first = await serve();
    const token = firstToken(first);
    const client = new Client(first.api, token);
    const { id: assistant } = await client.ok('POST', '/assistants', ASSISTANT);
    const begin = (name: string) => client.run(name, assistant);

    const waiting = await begin('waiting for outputs');
    await client.until(waiting, ['requires_action']);
    const handedIn = await begin('outputs handed in');
    await client.until(handedIn, ['requires_action']);
    await client.ok('POST', `/threads/${handedIn.thread_id}/runs/${handedIn.id}/submit_tool_outputs`, OUTPUTS);
    const unheard = await begin('in silence');
    const streamedOn = (await client.thread('mid-stream')).id;
    const body = { assistant_id: assistant, stream: true };
    const stream = await readUntil(
      await client.fetch('POST', `/threads/${streamedOn}/runs`, body),
      'event: thread.message.delta',
    );
    const [streamed] = (await client.ok('GET', `/threads/${streamedOn}/runs`)).data;
    const answered = await begin('after the message');
    for (let said = ''; said !== 'completed: All said.';) said = (await client.said(answered))[0] ?? '';
    await eventually('all four hold their places', () => callsOf(upstream, 'outputs handed in') === 2);
    await eventually('the silent one was asked', () => callsOf(upstream, 'in silence') === 1);
    const queued = await begin('in the queue');
    const cancelled = await begin('being cancelled');
    assert.deepEqual([(await client.find(queued)).status, callsOf(upstream, 'in the queue')], ['queued', 0]);
    await client.ok('POST', `/threads/${cancelled.thread_id}/runs/${cancelled.id}/cancel`, {});
    await kill(first);
    await stream.ended;

    const again = new Client((await serve()).api, token);
    assert.equal((await again.find(waiting)).status, 'requires_action');
    await again.ok('POST', `/threads/${waiting.thread_id}/runs/${waiting.id}/submit_tool_outputs`, OUTPUTS);
    const ends = [
      [queued, 'completed', ['completed: My turn.']],
      [unheard, 'completed', ['completed: Heard.']],
      [streamed, 'completed', ['incomplete: It is per', 'completed: It is 4.']],
      [answered, 'completed', ['completed: All said.']],
      [waiting, 'completed', ['completed: Thanks.']],
      [handedIn, 'completed', ['completed: Used.']],
      [cancelled, 'cancelled', []],
    ] as const;
    for (const [run, status, said] of ends) {
      const found = await again.until(run, TERMINAL, STARTS_AGAIN_MS);
      assert.deepEqual([found.status, found.last_error], [status, null]);
      const texts = await again.said(run);
      // Of a message that broke off only what was written by then is known.
      assert.deepEqual(
        texts.map((text) => (text.startsWith('incomplete') ? 'incomplete' : text)),
        said.map((text) => (text.startsWith('incomplete') ? 'incomplete' : text)),
      );
      await again.assertFree(run);
    }
    assert.equal(callsOf(upstream, 'after the message'), 1, 'an answer that could be read was asked for again');
    assert.equal(callsOf(upstream, 'being cancelled'), 0);
  } finally {
    await close();
  }
});

describe('two gateways on one PostgreSQL, one of which is killed', { skip: skipWithoutPostgres() }, () => {
  let server: TestPostgres;
  let upstream: ResponsesUpstream;
  let listening: { readonly url: string; close(): Promise<void> };
  let env: Readonly<Record<string, string>>;
  let token: string;
  let survivor: Serving;
  let assistant: string;
  const clientOf = ({ api }: Serving) => new Client(api, token);
  const serve = () => startListening(['serve', ...ANY_PORTS], { env });

  before(async () => {
    server = await startPostgres();
    upstream = new ResponsesUpstream();
    listening = await upstream.listen();
    const database = await server.makeDatabase();
    env = { OPENAI_API_KEY: CANARY, OPENAI_BASE_URL: listening.url, DATABASE_URL: database };
    survivor = await serve();
    token = firstToken(survivor);
    assistant = (await clientOf(survivor).ok('POST', '/assistants', ASSISTANT)).id;
  });
  after(async () => {
    if (survivor !== undefined) await kill(survivor);
    await listening.close();
    await server.close();
  });

  test('the other one finishes what the dead one ran within 30 s, and nobody asks it to', async () => {
    const doomed = await serve();
    scriptByName(upstream, { 'to be finished': [stuck('It is per', 3), answer('It is 4.')] });
    const dying = clientOf(doomed);
    const { id: thread } = await dying.thread('to be finished');
    const body = { assistant_id: assistant, stream: true };
    const stream = await readUntil(
      await dying.fetch('POST', `/threads/${thread}/runs`, body),
      'event: thread.message.delta',
    );
    const [run] = (await dying.ok('GET', `/threads/${thread}/runs`)).data;
    const killedMs = performance.now();
    await kill(doomed);
    await stream.ended;
    await eventually('the model is asked again', () => callsOf(upstream, 'to be finished') === 2, RECOVERS_MS);

    const client = clientOf(survivor);
    await client.until(run, ['completed'], RECOVERS_MS - (performance.now() - killedMs));
    const said = await client.said(run);
    assert.deepEqual([said.length, said[0]?.split(':')[0], said[1]], [2, 'incomplete', 'completed: It is 4.']);
    await client.assertFree(run);
  });

  test('a run of one is polled, streamed and cancelled through the other', async () => {
    const other = await serve();
    const released = Promise.withResolvers<void>();
    const told = responseEvents([{ kind: 'message', text: 'It is 4.' }]);
    scriptByName(upstream, {
      'read from afar': [{ events: [...told.slice(0, -4), released.promise, ...told.slice(-4)] }],
      'stopped from afar': [stuck('It is per', 3)],
    });
    const client = clientOf(survivor);

    const read = await clientOf(other).run('read from afar', assistant);
    await client.until(read, ['in_progress']);
    const pathOf = ({ id, thread_id: thread }: Any) => `/threads/${thread}/runs/${id}`;
    const reading = await readUntil(await client.fetch('GET', `${pathOf(read)}/events`), 'thread.run.in_progress');
    released.resolve();
    await reading.ended;
    assert.match(reading.seen(), /thread\.message\.completed.*It is 4\..*thread\.run\.completed/s);
    assert.deepEqual(await client.said(read), ['completed: It is 4.']);

    const stopped = await clientOf(other).run('stopped from afar', assistant);
    await eventually('the model is asked', () => callsOf(upstream, 'stopped from afar') === 1);
    const stopping = await readUntil(await client.fetch('GET', `${pathOf(stopped)}/events`), 'thread.run.in_progress');
    await client.ok('POST', `${pathOf(stopped)}/cancel`, {});
    await stopping.ended;
    assert.match(stopping.seen(), /thread\.run\.cancelled/);
    assert.equal((await clientOf(other).find(stopped)).status, 'cancelled');
    await client.assertFree(stopped);
    await kill(other);
  });

  test('a cancel that the dead one never heard of ends its run', async () => {
    const doomed = await serve();
    scriptByName(upstream, { 'to be cancelled': [silent] });
    const run = await clientOf(doomed).run('to be cancelled', assistant);
    await eventually('the model is asked', () => callsOf(upstream, 'to be cancelled') === 1);
    // It stands still, with its lease, and then never moves again.
    doomed.child.kill('SIGSTOP');
    const client = clientOf(survivor);
    const path = `/threads/${run.thread_id}/runs/${run.id}`;
    assert.equal((await client.ok('POST', `${path}/cancel`, {})).status, 'cancelling');
    await kill(doomed);
    await client.until(run, ['cancelled']);
    assert.deepEqual(await client.said(run), []);
    assert.equal(callsOf(upstream, 'to be cancelled'), 1);
    await client.assertFree(run);
  });
});
