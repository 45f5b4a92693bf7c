// Runs through the desk, as far as a caller has a say in them: what they are made of, the lock, cancel, outputs, expiry, streams.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import type { RunRef, Usage } from '../../src/domain/run.ts';
import { aStep } from '../support/assistant-objects.ts';
import { type Frame, type TestDesk, framesOf, openDesk } from '../support/desk.ts';

const USAGE: Usage = { prompt_tokens: 20, completion_tokens: 5, total_tokens: 25 };

describe('runs', () => {
  let desk: TestDesk;
  let assistant: string;
  let thread: string;

  async function open(settings: Parameters<typeof openDesk>[0] = {}): Promise<void> {
    desk = await openDesk(settings);
    assistant = (
      await desk.ok('POST', '/assistants', {
        model: 'gpt-4o',
        instructions: 'Be kind.',
        tools: [{ type: 'code_interpreter' }],
        temperature: 0.2,
      })
    ).id;
    thread = (await desk.ok('POST', '/threads', { messages: [{ role: 'user', content: 'hi' }] })).id;
  }

  beforeEach(() => open());
  afterEach(() => desk.close());

  const begin = (more: object = {}) => desk.ok('POST', `/threads/${thread}/runs`, { assistant_id: assistant, ...more });

  /** As a worker would: the run waits for the outputs of these calls. */
  async function askForOutputs(id: string, ...callIds: string[]): Promise<RunRef> {
    const run = await desk.store.findRun('team_red', thread as `thread_${string}`, id as `run_${string}`);
    assert.ok(run);
    const claim = await desk.store.claim({ owner: 'worker', leaseMs: 1000, run: run.ref });
    assert.ok(claim);
    const turn = await desk.store.beginTurn(claim.lease);
    const calls = callIds.map((callId) => ({
      id: callId,
      type: 'function' as const,
      function: { name: 'f', arguments: '{}' },
    }));
    const step = aStep(run, {
      origin: { turn: turn ?? 0, outIx: 0 },
      details: {
        type: 'tool_calls',
        tool_calls: calls.map((call) => ({ ...call, function: { ...call.function, output: null } })),
      },
    });
    const ended = await desk.store.endTurn(
      claim.lease,
      { status: 'requires_action', pendingCalls: calls, usage: USAGE },
      { steps: [step] },
    );
    assert.equal(ended?.status, 'requires_action');
    return run.ref;
  }

  test('a run takes from its assistant what it does not say itself', async () => {
    const { id, ...rest } = await begin();
    assert.match(id, /^run_[A-Za-z0-9]{24}$/);
    assert.deepEqual(rest, {
      object: 'thread.run',
      created_at: 1_750_000_000,
      assistant_id: assistant,
      thread_id: thread,
      status: 'queued',
      started_at: null,
      expires_at: 1_750_000_600,
      cancelled_at: null,
      failed_at: null,
      completed_at: null,
      required_action: null,
      last_error: null,
      model: 'gpt-4o',
      instructions: 'Be kind.',
      tools: [{ type: 'code_interpreter' }],
      tool_resources: {},
      metadata: {},
      temperature: 0.2,
      top_p: 1,
      max_completion_tokens: null,
      max_prompt_tokens: null,
      truncation_strategy: { type: 'auto', last_messages: null },
      incomplete_details: null,
      usage: null,
      response_format: 'auto',
      tool_choice: 'auto',
      parallel_tool_calls: true,
    });
  });

  test('what a run says itself counts for this run alone', async () => {
    const said = {
      model: 'gpt-4.1',
      tools: [],
      temperature: 1.5,
      top_p: 0.1,
      max_prompt_tokens: 300,
      max_completion_tokens: 400,
      truncation_strategy: { type: 'last_messages', last_messages: 3 },
      tool_choice: { type: 'function', function: { name: 'f' } },
      parallel_tool_calls: false,
      response_format: { type: 'json_object' },
      reasoning_effort: 'high',
      metadata: { a: 'b' },
    };
    const run = await begin({ ...said, instructions: 'Be short.', additional_instructions: 'And kind.' });
    assert.equal(run.instructions, 'Be short.\n\nAnd kind.');
    for (const [name, value] of Object.entries(said)) assert.deepEqual(run[name], value, name);
    assert.equal((await desk.ok('GET', `/assistants/${assistant}`)).model, 'gpt-4o');
  });

  test('a later change of the assistant does not reach the run', async () => {
    const { id } = await begin();
    await desk.ok('POST', `/assistants/${assistant}`, { instructions: 'Be rude.' });
    assert.equal((await desk.ok('GET', `/threads/${thread}/runs/${id}`)).instructions, 'Be kind.');
  });

  test('additional messages enter the thread before the run', async () => {
    await begin({
      additional_messages: [
        { role: 'user', content: 'two' },
        { role: 'assistant', content: 'three' },
      ],
    });
    const { data } = await desk.ok('GET', `/threads/${thread}/messages?order=asc`);
    assert.deepEqual(
      data.map((message: { role: string }) => message.role),
      ['user', 'user', 'assistant'],
    );
  });

  test('while a run is active its thread takes no message and no other run, and says whose fault it is', async () => {
    const { id } = await begin();
    const message = await desk.ask('POST', `/threads/${thread}/messages`, { role: 'user', content: 'more' });
    assert.deepEqual(
      [message.status, message.json.error],
      [
        400,
        {
          message: `Can't add messages to ${thread} while a run ${id} is active.`,
          type: 'invalid_request_error',
          param: null,
          code: null,
        },
      ],
    );
    const second = await desk.ask('POST', `/threads/${thread}/runs`, {
      assistant_id: assistant,
      additional_messages: [{ role: 'user', content: 'x' }],
    });
    assert.deepEqual(
      [second.status, second.json.error],
      [
        400,
        {
          message: `Thread ${thread} already has an active run ${id}.`,
          type: 'invalid_request_error',
          param: null,
          code: null,
        },
      ],
    );
    assert.equal((await desk.ok('GET', `/threads/${thread}/messages`)).data.length, 1);
    await desk.ok('POST', `/threads/${thread}`, { metadata: { still: 'open' } });
  });

  test('nothing is asked of the upstream for a message that a run keeps out', async () => {
    await begin();
    const attachments = [{ file_id: 'file-1', tools: [{ type: 'file_search' }] }];
    await desk.ask('POST', `/threads/${thread}/messages`, { role: 'user', content: 'x', attachments });
    await desk.ask('POST', `/threads/${thread}/runs`, {
      assistant_id: assistant,
      additional_messages: [{ role: 'user', content: 'x', attachments }],
    });
    assert.deepEqual(desk.upstream, []);
  });

  test('a cancelled run is answered as cancelling, ends as cancelled, and frees its thread', async () => {
    const { id } = await begin();
    const cancelling = await desk.ok('POST', `/threads/${thread}/runs/${id}/cancel`);
    assert.equal(cancelling.status, 'cancelling');
    const ended = await desk.ok('GET', `/threads/${thread}/runs/${id}`);
    assert.deepEqual([ended.status, ended.cancelled_at, ended.expires_at], ['cancelled', 1_750_000_000, null]);
    const late = await desk.ask('POST', `/threads/${thread}/runs/${id}/cancel`);
    assert.deepEqual([late.status, late.json.error.message], [400, "Cannot cancel run with status 'cancelled'."]);
    await begin();
  });

  test('a run that waits for outputs says for which, and takes all of them at once', async () => {
    const { id } = await begin();
    await askForOutputs(id, 'call_a', 'call_b');
    const waiting = await desk.ok('GET', `/threads/${thread}/runs/${id}`);
    assert.equal(waiting.status, 'requires_action');
    assert.deepEqual(waiting.required_action, {
      type: 'submit_tool_outputs',
      submit_tool_outputs: {
        tool_calls: ['call_a', 'call_b'].map((callId) => ({
          id: callId,
          type: 'function',
          function: { name: 'f', arguments: '{}' },
        })),
      },
    });
    assert.equal(waiting.usage, null);

    const submit = (...callIds: string[]) =>
      desk.ask('POST', `/threads/${thread}/runs/${id}/submit_tool_outputs`, {
        tool_outputs: callIds.map((tool_call_id) => ({ tool_call_id, output: 'done' })),
      });
    assert.equal(
      (await submit('call_a')).json.error.message,
      "Expected tool outputs for call_ids ['call_a', 'call_b'], got ['call_a']",
    );
    assert.equal(
      (await submit()).json.error.message,
      "Expected tool outputs for call_ids ['call_a', 'call_b'], got []",
    );
    const queued = await submit('call_b', 'call_a');
    assert.deepEqual([queued.status, queued.json.status, queued.json.required_action], [200, 'queued', null]);
    assert.equal(
      (await submit('call_a', 'call_b')).json.error.message,
      'Runs in status "queued" do not accept tool outputs.',
    );

    const { data } = await desk.ok('GET', `/threads/${thread}/runs/${id}/steps`);
    assert.equal(data[0].status, 'completed');
    assert.deepEqual(
      data[0].step_details.tool_calls.map((call: { function: { output: string } }) => call.function.output),
      ['done', 'done'],
    );
    assert.deepEqual(await desk.ok('GET', `/threads/${thread}/runs/${id}/steps/${data[0].id}`), data[0]);
  });

  test('an output that is left out is an empty one', async () => {
    const { id } = await begin();
    await askForOutputs(id, 'call_a');
    await desk.ok('POST', `/threads/${thread}/runs/${id}/submit_tool_outputs`, {
      tool_outputs: [{ tool_call_id: 'call_a' }],
    });
    const { data } = await desk.ok('GET', `/threads/${thread}/runs/${id}/steps`);
    assert.equal(data[0].step_details.tool_calls[0].function.output, '');
  });

  test('handing in outputs gives no more time, unless the operator wants it', async () => {
    const first = await begin();
    await askForOutputs(first.id, 'call_a');
    desk.clock.turn(100_000);
    const outputs = { tool_outputs: [{ tool_call_id: 'call_a', output: '' }] };
    assert.equal(
      (await desk.ok('POST', `/threads/${thread}/runs/${first.id}/submit_tool_outputs`, outputs)).expires_at,
      1_750_000_600,
    );
    await desk.close();
    await open({ extendOnSubmit: true, runTtlSeconds: 60 });
    const second = await begin();
    assert.equal(second.expires_at, second.created_at + 60);
    await askForOutputs(second.id, 'call_a');
    desk.clock.turn(10_000);
    assert.equal(
      (await desk.ok('POST', `/threads/${thread}/runs/${second.id}/submit_tool_outputs`, outputs)).expires_at,
      second.created_at + 70,
    );
  });

  test('a run whose time is over is expired, says so, and frees its thread', async () => {
    const { id } = await begin();
    desk.clock.turn(600_000);
    await desk.store.sweepRuns(10);
    const ended = await desk.ok('GET', `/threads/${thread}/runs/${id}`);
    assert.deepEqual([ended.status, ended.expires_at], ['expired', 1_750_000_600]);
    const late = await desk.ask('POST', `/threads/${thread}/runs/${id}/submit_tool_outputs`, { tool_outputs: [] });
    assert.equal(late.json.error.message, 'Runs in status "expired" do not accept tool outputs.');
    await desk.ok('POST', `/threads/${thread}/messages`, { role: 'user', content: 'again' });
  });

  test('only the metadata of a run may be changed', async () => {
    const run = await begin();
    const changed = await desk.ok('POST', `/threads/${thread}/runs/${run.id}`, { metadata: { a: 'b' } });
    assert.deepEqual(changed, { ...run, metadata: { a: 'b' } });
    assert.equal(
      (await desk.ask('POST', `/threads/${thread}/runs/${run.id}`, { status: 'completed' })).json.error.message,
      "Unknown parameter: 'status'.",
    );
  });

  test('thread and run are made in one call, with resources for both', async () => {
    const run = await desk.ok('POST', '/threads/runs', {
      assistant_id: assistant,
      thread: {
        messages: [{ role: 'user', content: 'hi' }],
        metadata: { of: 'thread' },
        tool_resources: { file_search: { vector_store_ids: ['vs_t'] } },
      },
      tool_resources: { code_interpreter: { file_ids: ['file-1'] } },
      metadata: { of: 'run' },
    });
    assert.equal(run.status, 'queued');
    assert.deepEqual(run.metadata, { of: 'run' });
    assert.deepEqual(run.tool_resources, { code_interpreter: { file_ids: ['file-1'] } });
    const made = await desk.ok('GET', `/threads/${run.thread_id}`);
    assert.deepEqual(
      [made.metadata, made.tool_resources],
      [{ of: 'thread' }, { file_search: { vector_store_ids: ['vs_t'] } }],
    );
    await desk.ok('POST', '/threads/runs', { assistant_id: assistant });
  });

  test('a run of an unknown assistant, or on an unknown thread, is not begun', async () => {
    const missing = await desk.ask('POST', `/threads/${thread}/runs`, { assistant_id: 'asst_none' });
    assert.deepEqual([missing.status, missing.json.error.message], [404, "No assistant found with id 'asst_none'."]);
    const nowhere = await desk.ask('POST', '/threads/thread_none/runs', { assistant_id: assistant });
    assert.deepEqual([nowhere.status, nowhere.json.error.message], [404, "No thread found with id 'thread_none'."]);
    await desk.ok('POST', `/threads/${thread}/messages`, { role: 'user', content: 'still open' });
  });

  test('a run outlives its assistant', async () => {
    const { id } = await begin();
    await desk.ok('DELETE', `/assistants/${assistant}`);
    assert.equal((await desk.ok('GET', `/threads/${thread}/runs/${id}`)).assistant_id, assistant);
  });

  test('whoever polls is told when to ask again: soon while the run is young, then less often', async () => {
    const { id } = await begin();
    const after = async () =>
      (await desk.ask('GET', `/threads/${thread}/runs/${id}`)).headers.get('openai-poll-after-ms');
    assert.equal(await after(), '250');
    desk.clock.turn(10_000);
    assert.equal(await after(), '500');
    desk.clock.turn(60_000);
    assert.equal(await after(), '1000');
  });

  test('a poll of an SDK is held until the run changes', async () => {
    const { id } = await begin();
    const held = desk.ask('GET', `/threads/${thread}/runs/${id}`, undefined, {
      headers: ['X-Stainless-Poll-Helper', 'true'],
    });
    await new Promise((resolve) => setImmediate(resolve));
    await desk.ok('POST', `/threads/${thread}/runs/${id}/cancel`);
    const { json, headers } = await held;
    assert.equal(json.status, 'cancelled');
    assert.equal(headers.get('openai-poll-after-ms'), '200');
  });

  test('another model than the one that was named is told in a header, and in no object', async () => {
    await desk.close();
    await open({ modelAliases: { 'gpt-4o*': 'gpt-6-luna' } });
    const { headers, json } = await desk.ask('POST', `/threads/${thread}/runs`, { assistant_id: assistant });
    assert.equal(headers.get('x-throughway-upstream-model'), 'gpt-6-luna');
    assert.equal(json.model, 'gpt-4o');
  });

  test('runs over the operator’s bound are refused before anything is written', async (t) => {
    await desk.close();
    await open({ queuedRunsMax: 1 });
    await begin();
    const other = await desk.ok('POST', '/threads');
    // The bound is looked at once a second.
    const deadline = performance.now() + 5000;
    let refused = await desk.ask('GET', `/threads/${other.id}`);
    while (refused.status !== 429 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      refused = await desk.ask('POST', '/threads/runs', { assistant_id: assistant });
    }
    assert.equal(refused.status, 429);
    assert.equal(refused.json.error.code, 'rate_limit_exceeded');
    assert.equal(refused.headers.get('retry-after-ms'), '1000');
    t.diagnostic(refused.json.error.message);
  });

  test('a stream tells the run from its creation to its end', async () => {
    const { reply } = await desk.ask('POST', `/threads/${thread}/runs`, { assistant_id: assistant, stream: true });
    assert.ok(reply.headers.includes('text/event-stream; charset=utf-8'));
    const frames: Frame[] = [];
    for await (const frame of framesOf(reply)) {
      frames.push(frame);
      if (frame.event === 'thread.run.queued') await desk.ok('POST', `/threads/${thread}/runs/${frame.data.id}/cancel`);
    }
    assert.deepEqual(
      frames.map(({ event }) => event),
      ['thread.run.created', 'thread.run.queued', 'thread.run.cancelling', 'thread.run.cancelled', 'done'],
    );
    const last = frames.at(-2)?.data;
    assert.deepEqual(last, await desk.ok('GET', `/threads/${thread}/runs/${last.id}`));
  });

  test('a stream of thread and run begins with the thread', async () => {
    const { reply } = await desk.ask('POST', '/threads/runs', { assistant_id: assistant, stream: true });
    const seen: string[] = [];
    for await (const { event, data } of framesOf(reply)) {
      seen.push(event);
      if (event === 'thread.run.queued') await desk.ok('POST', `/threads/${data.thread_id}/runs/${data.id}/cancel`);
    }
    assert.equal(seen[0], 'thread.created');
    assert.equal(seen.at(-1), 'done');
  });

  test('a stream of outputs begins with the step that they complete', async () => {
    const { id } = await begin();
    await askForOutputs(id, 'call_a');
    const body = { tool_outputs: [{ tool_call_id: 'call_a', output: 'x' }], stream: true };
    const { reply } = await desk.ask('POST', `/threads/${thread}/runs/${id}/submit_tool_outputs`, body);
    const seen: string[] = [];
    for await (const { event } of framesOf(reply)) {
      seen.push(event);
      if (event === 'thread.run.queued') await desk.ok('POST', `/threads/${thread}/runs/${id}/cancel`);
    }
    assert.deepEqual(seen.slice(0, 2), ['thread.run.step.completed', 'thread.run.queued']);
  });

  test('the events of a run can be read again from any place', async () => {
    const { id } = await begin();
    await desk.ok('POST', `/threads/${thread}/runs/${id}/cancel`);
    const { reply } = await desk.ask('GET', `/threads/${thread}/runs/${id}/events?after=2`);
    const text: string[] = [];
    for await (const piece of reply.body as AsyncIterable<string>) text.push(piece);
    assert.match(text[0] ?? '', /^event: thread\.run\.cancelling\ndata: \{"seq":3,"data":\{"id":"run_/);
    assert.equal(text.length, 3);
    assert.equal(text.at(-1), 'event: done\ndata: [DONE]\n\n');
  });

  test('what a search found is shown with its text only to who asks for it', async () => {
    const { id } = await begin();
    const run = await desk.store.findRun('team_red', thread as `thread_${string}`, id);
    const claim = await desk.store.claim({ owner: 'w', leaseMs: 1000, run: run!.ref });
    const results = [
      { file_id: 'file-1', file_name: 'a.txt', score: 0.9, content: [{ type: 'text' as const, text: 'found' }] },
    ];
    const step = aStep(run!, {
      status: 'completed',
      details: {
        type: 'tool_calls',
        tool_calls: [
          {
            id: 'call_s',
            type: 'file_search',
            file_search: { ranking_options: { ranker: 'auto', score_threshold: 0 }, results },
          },
        ],
      },
    });
    await desk.store.commit(claim!.lease, { steps: [step] });
    const found = (json: { step_details: { tool_calls: { file_search: { results: object[] } }[] } }) =>
      json.step_details.tool_calls[0]?.file_search.results[0];
    const path = `/threads/${thread}/runs/${id}/steps`;
    const include = 'include[]=step_details.tool_calls[*].file_search.results[*].content';
    assert.deepEqual(found(await desk.ok('GET', `${path}/${step.id}`)), {
      file_id: 'file-1',
      file_name: 'a.txt',
      score: 0.9,
    });
    assert.deepEqual(found(await desk.ok('GET', `${path}/${step.id}?${include}`)), results[0]);
    assert.deepEqual(found((await desk.ok('GET', `${path}?${include}`)).data[0]), results[0]);
    assert.match(
      (await desk.ask('GET', `${path}?include[]=everything`)).json.error.message,
      /^Invalid value: 'everything'/,
    );
  });

  test('a thread may be deleted while its run is active, and both are gone', async () => {
    const { id } = await begin();
    await desk.ok('DELETE', `/threads/${thread}`);
    assert.equal((await desk.ask('GET', `/threads/${thread}/runs/${id}`)).status, 404);
  });
});
