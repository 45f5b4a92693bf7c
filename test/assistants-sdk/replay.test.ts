// Reading a run's events again, which OpenAI never offered: for a client that lost its connection in the middle of a stream.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { OpenAI } from 'openai';

import { startGateway } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';
import { ResponsesUpstream, answer } from '../support/responses-upstream.ts';
import { heldBefore } from './held-script.ts';

interface Frame {
  readonly event: string;
  /** Undefined behind the last event of the run. */
  readonly seq?: number;
  readonly data?: { readonly delta?: { readonly content: readonly { readonly text: { readonly value?: string } }[] } };
}

describe('the events of a run', () => {
  const model = new ResponsesUpstream();
  let upstream: Awaited<ReturnType<ResponsesUpstream['listen']>>;
  let gateway: TestGateway;
  let beta: OpenAI.Beta;

  before(async () => {
    upstream = await model.listen();
    gateway = await startGateway({ upstream: upstream.url });
    ({ beta } = new OpenAI({ baseURL: `${gateway.api}/openai`, apiKey: gateway.token, maxRetries: 0 }));
  });
  after(async () => {
    await gateway.close();
    await upstream.close();
  });

  /** Frames from a place on, to the end of the stream or to the first one that `isEnough`. */
  async function read(
    run: OpenAI.Beta.Threads.Run,
    from: number,
    { opened = () => {}, isEnough = () => false }: { opened?(): void; isEnough?(frame: Frame): boolean } = {},
  ): Promise<Frame[]> {
    const leave = new AbortController();
    const reply = await fetch(`${gateway.api}/openai/threads/${run.thread_id}/runs/${run.id}/events?after=${from}`, {
      headers: { authorization: `Bearer ${gateway.token}` },
      signal: leave.signal,
    });
    assert.equal(reply.status, 200);
    opened();
    const frames: Frame[] = [];
    let text = '';
    for await (const chunk of reply.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const whole = text.split('\n\n');
      text = whole.pop() ?? '';
      for (const frame of whole) {
        const [, event = '', data = ''] = /^event: (.*)\ndata: (.*)$/.exec(frame) ?? [];
        frames.push({ event, ...(data === '[DONE]' ? {} : (JSON.parse(data) as object)) });
        if (isEnough(frames.at(-1)!)) {
          leave.abort();
          return frames;
        }
      }
    }
    return frames;
  }

  const said = (frames: readonly Frame[]) =>
    frames
      .flatMap(({ data }) => data?.delta?.content ?? [])
      .map(({ text }) => text.value ?? '')
      .join('');

  test('are read on from any place, a delta’s too, and nothing comes twice or is missed', async () => {
    const held = heldBefore('response.output_text.done', [{ kind: 'message', text: 'One, two, three, four, five.' }]);
    model.script(held.model);
    const assistant = await beta.assistants.create({ model: 'gpt-4o' });
    const run = await beta.threads.createAndRun({
      assistant_id: assistant.id,
      thread: { messages: [{ role: 'user', content: 'Count.' }] },
    });
    const first = await read(run, 0, { isEnough: ({ event }) => event === 'thread.message.delta' });
    assert.equal(first[0]?.event, 'thread.created');
    assert.notEqual(said(first), '');

    const rest = await read(run, first.at(-1)?.seq ?? 0, { opened: held.release });
    assert.deepEqual(
      rest.slice(-4).map(({ event }) => event),
      ['thread.message.completed', 'thread.run.step.completed', 'thread.run.completed', 'done'],
    );
    assert.equal(said(first) + said(rest), 'One, two, three, four, five.');

    const places = [...first, ...rest].flatMap(({ seq }) => seq ?? []);
    assert.deepEqual(
      places,
      [...new Set(places)].toSorted((a, b) => a - b),
    );
  });

  test('are told of a run that is over, whole objects and no more', async () => {
    model.script(answer('Said before.'));
    const assistant = await beta.assistants.create({ model: 'gpt-4o' });
    const run = await beta.threads.createAndRunPoll({
      assistant_id: assistant.id,
      thread: { messages: [{ role: 'user', content: 'Speak.' }] },
    });
    const frames = await read(run, 0);
    assert.equal(frames.at(-1)?.event, 'done');
    assert.equal(frames.at(-2)?.event, 'thread.run.completed');
    assert.equal(said(frames), 'Said before.');
  });

  test('from a place that is none are refused', async () => {
    model.script(answer('Said.'));
    const assistant = await beta.assistants.create({ model: 'gpt-4o' });
    const run = await beta.threads.createAndRunPoll({ assistant_id: assistant.id });
    for (const place of ['-1', 'x', 'Infinity']) {
      const reply = await fetch(`${gateway.api}/openai/threads/${run.thread_id}/runs/${run.id}/events?after=${place}`, {
        headers: { authorization: `Bearer ${gateway.token}` },
      });
      assert.equal(reply.status, 400);
      assert.match(await reply.text(), /Invalid type for 'after'/);
    }
  });
});
