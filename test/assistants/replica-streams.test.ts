// Reading a run on another replica than the one that executes it: what is said crosses while it is said, a place of one replica is
// one of all, and a replica that stops lets its readers go at once.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import pg from 'pg';

import { eventually } from '../support/eventually.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from '../support/postgres.ts';
import { type Json, responseEvents } from '../support/responses-script.ts';
import { ResponsesUpstream, type Script } from '../support/responses-upstream.ts';
import type { Any } from '../support/runs.ts';

interface Frame {
  readonly seq: number;
  readonly event: string;
  readonly data: Any;
}

interface Reading {
  readonly frames: Frame[];
  /** What the deltas of messages add up to. */
  text(): string;
  leave(): void;
  /** Whether the stream was ended in order, and not broken off. */
  readonly ended: Promise<boolean>;
}

/** A message in pieces of four characters, held where a gate stands until that is opened. */
function gated(text: string, ...gates: readonly { readonly at: number; readonly gate: Promise<unknown> }[]): Script {
  const events: (Json | Promise<unknown>)[] = responseEvents([{ kind: 'message', text }], { chunk: 4 });
  const first = (events as Json[]).findIndex(({ type }) => type === 'response.output_text.delta');
  for (const { at, gate } of gates.toReversed()) void events.splice(first + at / 4, 0, gate);
  return { events };
}

describe('a run that another replica executes', { skip: skipWithoutPostgres() }, () => {
  const upstream = new ResponsesUpstream();
  let server: TestPostgres;
  let databaseUrl: string;
  let listening: Awaited<ReturnType<ResponsesUpstream['listen']>>;
  let a: TestGateway;
  let b: TestGateway;

  before(async () => {
    [server, listening] = await Promise.all([startPostgres(), upstream.listen()]);
    databaseUrl = await server.makeDatabase();
    a = await startGateway({ upstream: listening.url, databaseUrl });
    b = await startGateway({ upstream: listening.url, databaseUrl });
  });
  after(async () => {
    await Promise.all([a.close(), b.close()]);
    await listening.close();
    await server.close();
  });

  const ok = async (gateway: TestGateway, method: string, path: string, body?: unknown): Promise<Any> => {
    const reply = await fetch(`${gateway.api}/openai/v1${path}`, {
      method,
      // Of one team, for both replicas know the keys of both.
      headers: { authorization: `Bearer ${a.token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    assert.equal(reply.status, 200, text);
    return JSON.parse(text);
  };

  /** Begun at `a`, which executes it. */
  const begin = async (): Promise<Any> => {
    const assistant = await ok(a, 'POST', '/assistants', { model: 'gpt-4o' });
    const thread = await ok(a, 'POST', '/threads', { messages: [{ role: 'user', content: 'Go on.' }] });
    return ok(a, 'POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
  };
  const pathOf = ({ id, thread_id: thread }: Any) => `/threads/${thread}/runs/${id}`;

  const readAt = (gateway: TestGateway, run: Any, place = 0): Reading => {
    const frames: Frame[] = [];
    const abort = new AbortController();
    const reading = async (): Promise<boolean> => {
      const reply = await fetch(`${gateway.api}/openai/v1${pathOf(run)}/events?after=${place}`, {
        headers: { authorization: `Bearer ${a.token}` },
        signal: abort.signal,
      });
      assert.equal(reply.status, 200);
      const decoder = new TextDecoder();
      let rest = '';
      for await (const piece of reply.body!) {
        rest += decoder.decode(piece, { stream: true });
        const blocks = rest.split('\n\n');
        rest = blocks.pop() ?? '';
        for (const block of blocks) {
          const [, event = '', data = ''] = /^event: (.*?)\ndata: (.*)$/s.exec(block) ?? [];
          if (event === 'done') return true;
          if (event !== '') frames.push({ event, ...(JSON.parse(data) as { seq: number; data: unknown }) });
        }
      }
      return false;
    };
    return { frames, text: () => textOf(frames), leave: () => abort.abort(), ended: reading().catch(() => false) };
  };

  const ended = async (run: Any): Promise<Any> => {
    for (const deadline = performance.now() + 10_000; ;) {
      const found = await ok(b, 'GET', pathOf(run));
      if (found.status === 'completed') return found;
      assert.ok(performance.now() < deadline, `the run is ${found.status}`);
    }
  };

  test('what is said is read there while it is said, from the first word on', async () => {
    const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const text = 'one two three four five six';
    upstream.script(gated(text, { at: 8, gate: one.promise }, { at: 16, gate: two.promise }));
    const run = await begin();
    const early = readAt(b, run);
    await eventually('the reader has the beginning', () => early.text() === text.slice(0, 8));
    // Who comes later is told what was said before he came.
    const late = readAt(b, run);
    await eventually('the late reader has it too', () => late.text() === text.slice(0, 8));
    one.resolve();
    for (const reading of [early, late]) await eventually('more is read', () => reading.text() === text.slice(0, 16));
    assert.ok(!early.frames.some(({ event }) => event === 'thread.message.completed'));
    two.resolve();
    const local = readAt(a, run);
    assert.deepEqual(await Promise.all([early.ended, late.ended, local.ended]), [true, true, true]);
    for (const reading of [early, late, local]) await assertWhole(reading.frames, run);
  });

  test('a place that one replica gave is good at the other, in the middle of a message too', async () => {
    const gate = Promise.withResolvers<void>();
    const text = 'one two three four five six';
    upstream.script(gated(text, { at: 12, gate: gate.promise }));
    const run = await begin();
    const first = readAt(a, run);
    await eventually('the reader is in the middle', () => first.text() === text.slice(0, 12));
    first.leave();
    const second = readAt(b, run, first.frames.at(-1)!.seq);
    await eventually('it is followed there', () => upstream.modelCalls.length > 0);
    gate.resolve();
    assert.equal(await second.ended, true);
    assert.equal(first.text() + second.text(), text);
    await assertWhole([...first.frames, ...second.frames], run);
  });

  test('from every place of a run that has ended, what is told adds up to what is answered', async () => {
    const gates = [4, 8, 12].map((at) => ({ at, ...Promise.withResolvers<void>() }));
    upstream.script(gated('one two three four', ...gates.map(({ at, promise }) => ({ at, gate: promise }))));
    const run = await begin();
    const live = readAt(b, run);
    for (const { at, resolve } of gates) {
      await eventually('the next words are read', () => live.text().length === at);
      resolve();
    }
    assert.equal(await live.ended, true);
    await ended(run);
    const inside = live.frames.filter(({ seq }) => !Number.isInteger(seq));
    assert.ok(inside.length >= 4, 'there are places inside of the message');
    for (const [i, { seq }] of live.frames.entries()) {
      const rest = readAt(i % 2 === 0 ? a : b, run, seq);
      assert.equal(await rest.ended, true);
      await assertWhole([...live.frames.slice(0, i + 1), ...rest.frames], run);
    }
  });

  test('long words in any script cross whole', async () => {
    const gate = Promise.withResolvers<void>();
    const text = '数学 🦊 "quoted"\n\\ \u2028 ünï. '.repeat(3000);
    const held = 36_000;
    upstream.script(gated(text, { at: held, gate: gate.promise }));
    const run = await begin();
    const reading = readAt(b, run);
    const most = text.slice(0, held);
    await eventually('all that was said is read', () => reading.text().length >= most.length, 10_000);
    assert.equal(reading.text(), most);
    gate.resolve();
    assert.equal(await reading.ended, true);
    await assertWhole(reading.frames, run);
  });

  test('no word of it leaves a replica while nobody reads elsewhere', async () => {
    const listener = new pg.Client({ connectionString: databaseUrl });
    await listener.connect();
    const heard: string[] = [];
    listener.on('notification', ({ payload = '' }) => heard.push(payload.split(' ')[1] ?? ''));
    await listener.query('LISTEN throughway');
    upstream.script(gated('one two three four'));
    const run = await begin();
    const local = readAt(a, run);
    assert.equal(await local.ended, true);
    await eventually('its events are heard of', () => heard.includes('events'));
    assert.ok(!heard.includes('deltas'), heard.join(' '));
    await listener.end();
  });

  test('a replica that stops lets go at once of who reads what another one executes', async () => {
    const gate = Promise.withResolvers<void>();
    upstream.script(gated('one two three four', { at: 8, gate: gate.promise }));
    const c = await startGateway({ upstream: listening.url, databaseUrl, settings: { drainSeconds: 60 } });
    const run = await begin();
    const reading = readAt(c, run);
    await eventually('the reader is there', () => reading.text() !== '');
    const begun = performance.now();
    await c.gateway.stop();
    assert.ok(performance.now() - begun < 5_000, 'it did not wait for the run');
    assert.equal(await reading.ended, false, 'the stream does not look as if the run had ended');
    // He reads on elsewhere, and has lost nothing.
    const rest = readAt(b, run, reading.frames.at(-1)!.seq);
    gate.resolve();
    assert.equal(await rest.ended, true);
    await assertWhole([...reading.frames, ...rest.frames], run);
    await c.close();
  });

  /** Folds as the documentation says: what is created again begins anew. */
  async function assertWhole(frames: readonly Frame[], run: Any): Promise<void> {
    const said = new Map<string, string>();
    const objects = new Map<string, Any>();
    for (const { event, data } of frames) {
      if (event === 'thread.message.created') said.set(data.id, '');
      if (event === 'thread.message.delta') {
        const [part] = data.delta.content;
        said.set(data.id, `${said.get(data.id)}${part.text.value ?? ''}`);
      } else objects.set(data.id, data);
    }
    assert.deepEqual(objects.get(run.id), await ended(run));
    const { data: messages } = await ok(b, 'GET', `/threads/${run.thread_id}/messages?run_id=${run.id}`);
    assert.equal(messages.length, 1);
    for (const message of messages) {
      assert.deepEqual(objects.get(message.id), message);
      assert.equal(said.get(message.id), message.content[0].text.value);
    }
    const { data: steps } = await ok(b, 'GET', `${pathOf(run)}/steps`);
    for (const step of steps) assert.deepEqual(objects.get(step.id), step);
  }
});

function textOf(frames: readonly Frame[]): string {
  return frames
    .filter(({ event }) => event === 'thread.message.delta')
    .map(({ data }) => data.delta.content[0].text?.value ?? '')
    .join('');
}
