// What applications of the Assistants API do with the helpers of the official SDK, run by every major that has them.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { OpenAI } from 'openai';
import type { AssistantStream } from 'openai/lib/AssistantStream';

import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { startGateway } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';
import type { Json, ScriptItem } from '../support/responses-script.ts';
import { ResponsesUpstream, answer, failure, items } from '../support/responses-upstream.ts';
import type { Calls, Message, Run, RunStep } from './calls.ts';
import { heldBefore } from './held-script.ts';

/** The members of the package that the scenarios use. */
export interface AssistantsSdk {
  readonly OpenAI: typeof import('openai').OpenAI;
  readonly AssistantStream: typeof import('openai/lib/AssistantStream').AssistantStream;
  callsOf(client: OpenAI): Calls;
  /** 4.x does not count `thread.run.incomplete` among the ends of a run. */
  readonly knowsIncompleteRuns: boolean;
}

const tutor = {
  name: 'Math Tutor',
  instructions: 'You are a math tutor. Help solve equations.',
  model: 'gpt-4o',
};
const equation = { role: 'user' as const, content: 'Solve 3x + 11 = 14' };
const solved = /The solution is x = 1\.$/;

const weather = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
      additionalProperties: false,
    },
  },
};

/** What every plain run tells; a run of deltas counts as one. */
const plainEvents = [
  'thread.run.created',
  'thread.run.queued',
  'thread.run.in_progress',
  'thread.run.step.created',
  'thread.run.step.in_progress',
  'thread.message.created',
  'thread.message.in_progress',
  'thread.message.delta',
  'thread.message.completed',
  'thread.run.step.completed',
  'thread.run.completed',
];

export function describeAssistants(name: string, mount: string, sdk: AssistantsSdk): void {
  describe(`the Assistants API by ${name}`, () => {
    describe('on the sandbox', () => onSandbox(sdk, mount));
    describe('with a model that plays a script', () => onScript(sdk, mount));
  });
}

function onSandbox(sdk: AssistantsSdk, mount: string): void {
  let sandbox: Sandbox;
  let gateway: TestGateway;
  let client: OpenAI;
  let beta: OpenAI.Beta;
  let calls: Calls;
  let assistant: OpenAI.Beta.Assistant;

  before(async () => {
    sandbox = await startSandbox({ port: 0 });
    gateway = await startGateway({ upstream: sandbox.url });
    client = new sdk.OpenAI({ baseURL: gateway.api + mount, apiKey: gateway.token, maxRetries: 0 });
    ({ beta } = client);
    calls = sdk.callsOf(client);
    assistant = await beta.assistants.create(tutor);
  });
  after(async () => {
    await gateway.close();
    await sandbox.close();
  });

  test('an assistant is made, read, changed, listed and deleted', async () => {
    const made = await beta.assistants.create({ ...tutor, tools: [weather], metadata: { course: 'algebra' } });
    assert.match(made.id, /^asst_/);
    assert.equal(made.object, 'assistant');
    assert.equal(made.name, tutor.name);
    assert.equal(made.temperature, 1);
    assert.equal(made.response_format, 'auto');
    assert.deepEqual(await beta.assistants.retrieve(made.id), made);

    const changed = await beta.assistants.update(made.id, { name: 'Tutor', metadata: {} });
    assert.deepEqual(changed, { ...made, name: 'Tutor', metadata: {} });
    const listed = [];
    for await (const each of beta.assistants.list({ limit: 1 })) listed.push(each.id);
    assert.deepEqual(listed, [made.id, assistant.id]);

    const gone = await calls.deleteAssistant(made.id);
    assert.deepEqual({ ...gone }, { id: made.id, object: 'assistant.deleted', deleted: true });
    await assert.rejects(beta.assistants.retrieve(made.id), (error) => {
      assert.ok(error instanceof sdk.OpenAI.NotFoundError);
      assert.match(error.message, new RegExp(`No assistant found with id '${made.id}'\\.`));
      return true;
    });
  });

  test('a thread is made with messages, read, changed and deleted', async () => {
    const thread = await beta.threads.create({ messages: [equation], metadata: { of: 'Ada' } });
    assert.match(thread.id, /^thread_/);
    assert.deepEqual(await beta.threads.retrieve(thread.id), thread);
    const changed = await beta.threads.update(thread.id, { metadata: { of: 'Emmy' } });
    assert.deepEqual(changed, { ...thread, metadata: { of: 'Emmy' } });
    assert.deepEqual(
      { ...(await calls.deleteThread(thread.id)) },
      {
        id: thread.id,
        object: 'thread.deleted',
        deleted: true,
      },
    );
    await assert.rejects(beta.threads.retrieve(thread.id), sdk.OpenAI.NotFoundError);
    await assert.rejects(beta.threads.messages.list(thread.id), sdk.OpenAI.NotFoundError);
  });

  test('a message is added, read, changed and deleted', async () => {
    const thread = await beta.threads.create();
    const message = await beta.threads.messages.create(thread.id, {
      role: 'user',
      content: [
        { type: 'text', text: 'What is this?' },
        { type: 'image_url', image_url: { url: 'https://example.com/cat.png', detail: 'low' } },
      ],
    });
    assert.match(message.id, /^msg_/);
    assert.deepEqual(message.content, [
      { type: 'text', text: { value: 'What is this?', annotations: [] } },
      { type: 'image_url', image_url: { url: 'https://example.com/cat.png', detail: 'low' } },
    ]);
    assert.deepEqual(await calls.retrieveMessage(thread.id, message.id), message);
    const changed = await calls.updateMessage(thread.id, message.id, { seen: 'yes' });
    assert.deepEqual(changed, { ...message, metadata: { seen: 'yes' } });
    assert.equal((await calls.deleteMessage(thread.id, message.id)).deleted, true);
    await assert.rejects(calls.retrieveMessage(thread.id, message.id), sdk.OpenAI.NotFoundError);
  });

  test('messages are paged through in either order, each exactly once', async () => {
    const thread = await beta.threads.create({
      messages: Array.from({ length: 25 }, (_, index) => ({ role: 'user', content: `message ${index}` })),
    });
    const texts = async (order: 'asc' | 'desc') => {
      const found = [];
      for await (const message of beta.threads.messages.list(thread.id, { order, limit: 10 }))
        found.push(textOf(message));
      return found;
    };
    const written = Array.from({ length: 25 }, (_, index) => `message ${index}`);
    assert.deepEqual(await texts('asc'), written);
    assert.deepEqual(await texts('desc'), written.toReversed());

    const first = await beta.threads.messages.list(thread.id, { limit: 10 });
    assert.equal(first.has_more, true);
    assert.equal(first.hasNextPage(), true);
    const second = await first.getNextPage();
    assert.deepEqual(second.data.map(textOf), written.toReversed().slice(10, 20));
    const last = await second.getNextPage();
    assert.equal(last.data.length, 5);
    assert.equal(last.hasNextPage(), false);

    const back = await beta.threads.messages.list(thread.id, { limit: 10, before: last.data[0]?.id ?? '' });
    assert.deepEqual(back.data, second.data);
  });

  test('createAndPoll answers a question, and the answer is the newest message', async () => {
    const thread = await beta.threads.create();
    await beta.threads.messages.create(thread.id, equation);
    const run = await beta.threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
    assert.equal(run.status, 'completed');
    assert.equal(run.model, tutor.model);
    assert.equal(run.instructions, tutor.instructions);
    assert.ok((run.usage?.completion_tokens ?? 0) > 0);

    const { data } = await beta.threads.messages.list(thread.id);
    assert.deepEqual(
      data.map(({ role, status }) => [role, status]),
      [
        ['assistant', 'completed'],
        ['user', 'completed'],
      ],
    );
    assert.match(textOf(data[0]), solved);
    assert.equal(data[0]?.run_id, run.id);
    assert.equal(data[0]?.assistant_id, assistant.id);

    const [step] = (await calls.listSteps(thread.id, run.id)).data;
    assert.ok(step?.step_details.type === 'message_creation');
    assert.equal(step.step_details.message_creation.message_id, data[0]?.id);
    assert.deepEqual(step.usage, run.usage);
    assert.deepEqual(await calls.retrieveStep(thread.id, run.id, step.id), step);

    const listed = await beta.threads.runs.list(thread.id);
    assert.deepEqual(
      listed.data.map(({ id }) => id),
      [run.id],
    );
    const changed = await calls.updateRun(thread.id, run.id, { seen: 'yes' });
    assert.deepEqual(changed, { ...run, metadata: { seen: 'yes' } });
  });

  test('a run is created first and polled later, at the pace that the gateway names', async () => {
    const thread = await beta.threads.create({ messages: [equation] });
    const { data: created, response } = await beta.threads.runs
      .create(thread.id, { assistant_id: assistant.id })
      .withResponse();
    assert.equal(created.status, 'queued');
    assert.ok(Number(response.headers.get('openai-poll-after-ms')) > 0);
    const run = await calls.pollRun(thread.id, created.id);
    assert.equal(run.status, 'completed');
    assert.deepEqual(await calls.retrieveRun(thread.id, created.id), run);
  });

  test('createAndRunPoll makes thread and run at once', async () => {
    const run = await beta.threads.createAndRunPoll({ assistant_id: assistant.id, thread: { messages: [equation] } });
    assert.equal(run.status, 'completed');
    assert.match(textOf((await beta.threads.messages.list(run.thread_id)).data[0]), solved);
  });

  test('a stream calls its handlers in order, and its end is what is read afterwards', async () => {
    const thread = await beta.threads.create({ messages: [equation] });
    const stream = beta.threads.runs.stream(thread.id, { assistant_id: assistant.id });
    const told = listen(stream);
    const run = await stream.finalRun();
    assert.equal(run.status, 'completed');
    assert.deepEqual(told.events, plainEvents);
    assert.deepEqual(told.handlers, [
      'runStepCreated',
      'messageCreated',
      'textCreated',
      'messageDelta',
      'textDelta',
      'textDone',
      'messageDone',
      'runStepDone',
    ]);
    assert.match(told.text, solved);

    const [message, ...others] = await stream.finalMessages();
    assert.equal(others.length, 0);
    assert.equal(textOf(message), told.text);
    const stored = await calls.retrieveMessage(thread.id, message?.id ?? '');
    assert.equal(textOf(stored), told.text);
    assert.deepEqual(await calls.retrieveRun(thread.id, run.id), run);
    const steps = await stream.finalRunSteps();
    assert.deepEqual(
      steps.map(({ id, type }) => [id, type]),
      (await calls.listSteps(thread.id, run.id)).data.map(({ id, type }) => [id, type]),
    );
  });

  test('createAndRunStream tells of the thread first', async () => {
    const stream = beta.threads.createAndRunStream({ assistant_id: assistant.id, thread: { messages: [equation] } });
    const told = listen(stream);
    const run = await stream.finalRun();
    assert.deepEqual(told.events, ['thread.created', ...plainEvents]);
    assert.equal((await beta.threads.retrieve(run.thread_id)).id, run.thread_id);
  });

  test('createAndRun and runs.create are read event by event where stream is set', async () => {
    const together = await beta.threads.createAndRun({
      assistant_id: assistant.id,
      thread: { messages: [equation] },
      stream: true,
    });
    const events = [];
    for await (const event of together) events.push(event);
    assert.deepEqual(names(events), ['thread.created', ...plainEvents]);
    const thread = events[0]?.event === 'thread.created' ? events[0].data.id : '';

    const again = await beta.threads.runs.create(thread, {
      assistant_id: assistant.id,
      additional_messages: [{ role: 'user', content: 'Solve 2y = 8' }],
      stream: true,
    });
    const answer = [];
    for await (const event of again) {
      if (event.event === 'thread.message.completed') answer.push(textOf(event.data));
    }
    assert.match(answer.join(''), /y = 4\.$/);
    assert.equal((await beta.threads.messages.list(thread)).data.length, 4);
  });

  test('a stream is handed to another runtime and read there', async () => {
    const thread = await beta.threads.create({ messages: [equation] });
    const here = beta.threads.runs.stream(thread.id, { assistant_id: assistant.id });
    const there = sdk.AssistantStream.fromReadableStream(here.toReadableStream() as never);
    const told = listen(there);
    assert.equal((await there.finalRun()).status, 'completed');
    assert.deepEqual(told.events, plainEvents);
    assert.match(told.text, solved);
  });

  test('a function is called, and its output handed in while polling', async () => {
    const run = await beta.threads.createAndRunPoll({
      assistant_id: assistant.id,
      thread: { messages: [{ role: 'user', content: 'How is the weather in Rome?' }] },
      tools: [weather],
    });
    assert.equal(run.status, 'requires_action');
    const pending = run.required_action?.submit_tool_outputs.tool_calls ?? [];
    assert.deepEqual(
      pending.map((call) => [call.type, call.function.name, JSON.parse(call.function.arguments)]),
      [['function', 'get_weather', { city: 'sandbox city' }]],
    );
    assert.equal(run.usage, null);

    const done = await calls.submitAndPoll(run.thread_id, run.id, [
      { tool_call_id: pending[0]?.id ?? '', output: '21 degrees' },
    ]);
    assert.equal(done.status, 'completed');
    assert.equal(done.required_action, null);
    assert.match(textOf((await beta.threads.messages.list(run.thread_id)).data[0]), /21 degrees/);
    const steps = (await calls.listSteps(run.thread_id, run.id)).data;
    assert.deepEqual(
      steps.map(({ type }) => type),
      ['message_creation', 'tool_calls'],
    );
    assert.equal(outputsOf(steps[1])[0], '21 degrees');
  });

  test('a file that came with a message is searched, and what was found is cited', async () => {
    const text = 'The wreck lies at forty metres.';
    const file = await client.files.create({ purpose: 'assistants', file: new File([text], 'depth.md') });
    const run = await beta.threads.createAndRunPoll({
      assistant_id: assistant.id,
      thread: {
        messages: [
          {
            role: 'user',
            content: 'How deep is the wreck?',
            attachments: [{ file_id: file.id, tools: [{ type: 'file_search' }] }],
          },
        ],
      },
      tools: [{ type: 'file_search' }],
    });
    assert.equal(run.status, 'completed');
    const [message] = (await beta.threads.messages.list(run.thread_id)).data;
    const [part] = message?.content ?? [];
    assert.ok(part?.type === 'text');
    assert.match(part.text.value, /The search found depth\.md: "The wreck lies at forty metres\."/);
    const [annotation] = part.text.annotations;
    assert.ok(annotation?.type === 'file_citation');
    assert.equal(annotation.file_citation.file_id, file.id);
    assert.match(part.text.value.replace(annotation.text, ''), /forty metres\."$/);
    const { tool_resources: resources } = await beta.threads.retrieve(run.thread_id);
    const [store = ''] = resources?.file_search?.vector_store_ids ?? [];
    assert.equal((await client.vectorStores.retrieve(store)).file_counts.completed, 1);
  });

  test('a picture that code drew is read by its id, and is gone once deleted', async () => {
    const run = await beta.threads.createAndRunPoll({
      assistant_id: assistant.id,
      thread: { messages: [{ role: 'user', content: 'Draw a red dot.' }] },
      tools: [{ type: 'code_interpreter' }],
    });
    assert.equal(run.status, 'completed');
    const [message] = (await beta.threads.messages.list(run.thread_id)).data;
    const picture = message?.content.find((part) => part.type === 'image_file');
    assert.ok(picture?.type === 'image_file');
    const id = picture.image_file.file_id;
    assert.match(id, /^file-/);
    assert.equal((await client.files.retrieve(id)).purpose, 'assistants_output');
    const bytes = Buffer.from(await (await client.files.content(id)).arrayBuffer());
    assert.equal(bytes.subarray(1, 4).toString(), 'PNG');
    await client.delete(`/files/${id}`);
    await assert.rejects(client.files.retrieve(id), sdk.OpenAI.NotFoundError);
  });

  test('a conversation goes on in its thread, run after run', async () => {
    const thread = await beta.threads.create();
    for (const [question, answer] of [
      ['Solve 3x + 11 = 14', solved],
      ['Solve 2y = 8', /y = 4\.$/],
    ] as const) {
      await beta.threads.messages.create(thread.id, { role: 'user', content: question });
      const run = await beta.threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
      assert.equal(run.status, 'completed');
      const { data } = await beta.threads.messages.list(thread.id, { run_id: run.id });
      assert.equal(data.length, 1);
      assert.match(textOf(data[0]), answer);
    }
    assert.equal((await beta.threads.messages.list(thread.id)).data.length, 4);
  });
}

function onScript(sdk: AssistantsSdk, mount: string): void {
  const model = new ResponsesUpstream();
  let upstream: Awaited<ReturnType<ResponsesUpstream['listen']>>;
  let gateway: TestGateway;
  let beta: OpenAI.Beta;
  let calls: Calls;
  let assistant: OpenAI.Beta.Assistant;

  before(async () => {
    upstream = await model.listen();
    gateway = await startGateway({ upstream: upstream.url });
    const client = new sdk.OpenAI({ baseURL: gateway.api + mount, apiKey: gateway.token, maxRetries: 0 });
    ({ beta } = client);
    calls = sdk.callsOf(client);
    assistant = await beta.assistants.create({ ...tutor, tools: [weather] });
  });
  after(async () => {
    await gateway.close();
    await upstream.close();
  });

  /** How the model call of a run ended, as its record says. */
  async function endingOf(run: string): Promise<string | null | undefined> {
    const deadline = performance.now() + 5000;
    for (;;) {
      const page = await (await gateway.adminFetch('/admin/v1/exchanges?endpoint=/v1/responses')).json();
      const found = (page as { data: ExchangeRecord[] }).data.find((record) => record.run?.id === run);
      if (found) return found.ending;
      assert.ok(performance.now() < deadline, `there is no record of ${run}`);
      await delay(10);
    }
  }

  const newThread = async () => (await beta.threads.create({ messages: [equation] })).id;

  test('two functions are called at once, their outputs streamed back, and a second round follows', async () => {
    const rome = functionCall('call_rome', { city: 'Rome' });
    const oslo = functionCall('call_oslo', { city: 'Oslo' });
    const bonn = functionCall('call_bonn', { city: 'Bonn' });
    model.calls.length = 0;
    model.script(items([rome, oslo]), items([bonn]), answer('All is fair.'));

    const thread = await newThread();
    const first = beta.threads.runs.stream(thread, { assistant_id: assistant.id });
    const told = listen(first);
    const asked = await first.finalRun();
    assert.equal(asked.status, 'requires_action');
    assert.deepEqual(told.events, [...plainEvents.slice(0, 5), 'thread.run.step.delta', 'thread.run.requires_action']);
    assert.deepEqual(told.toolCalls, [
      ['call_rome', '{"city":"Rome"}'],
      ['call_oslo', '{"city":"Oslo"}'],
    ]);
    assert.deepEqual(pendingIds(asked), ['call_rome', 'call_oslo']);

    const second = calls.submitAndStream(thread, asked.id, [
      { tool_call_id: 'call_oslo', output: 'snow' },
      { tool_call_id: 'call_rome', output: 'sun' },
    ]);
    const toldNext = listen(second);
    const askedAgain = await second.finalRun();
    assert.equal(askedAgain.status, 'requires_action');
    assert.deepEqual(toldNext.events, [
      'thread.run.step.completed',
      'thread.run.queued',
      'thread.run.in_progress',
      'thread.run.step.created',
      'thread.run.step.in_progress',
      'thread.run.step.delta',
      'thread.run.requires_action',
    ]);
    assert.deepEqual(pendingIds(askedAgain), ['call_bonn']);

    const third = calls.submitAndStream(thread, asked.id, [{ tool_call_id: 'call_bonn', output: 'rain' }]);
    const toldLast = listen(third);
    const done = await third.finalRun();
    assert.equal(done.status, 'completed');
    assert.equal(done.id, asked.id);
    assert.deepEqual(toldLast.events, ['thread.run.step.completed', 'thread.run.queued', ...plainEvents.slice(2)]);
    assert.equal(toldLast.text, 'All is fair.');

    assert.deepEqual(
      model.modelCalls.map(({ body }) => (body.input as Json[]).slice(1).map(callAndOutput)),
      [
        [],
        [
          ['function_call', 'call_rome', '{"city":"Rome"}'],
          ['function_call', 'call_oslo', '{"city":"Oslo"}'],
          ['function_call_output', 'call_rome', 'sun'],
          ['function_call_output', 'call_oslo', 'snow'],
        ],
        [
          ['function_call', 'call_rome', '{"city":"Rome"}'],
          ['function_call', 'call_oslo', '{"city":"Oslo"}'],
          ['function_call_output', 'call_rome', 'sun'],
          ['function_call_output', 'call_oslo', 'snow'],
          ['function_call', 'call_bonn', '{"city":"Bonn"}'],
          ['function_call_output', 'call_bonn', 'rain'],
        ],
      ],
    );
    const steps = (await calls.listSteps(thread, asked.id)).data.toReversed();
    assert.deepEqual(steps.map(outputsOf), [['sun', 'snow'], ['rain'], []]);
  });

  test('outputs for half of the calls are refused, and the run goes on waiting', async () => {
    model.script(
      items([functionCall('call_a', { city: 'Rome' }), functionCall('call_b', { city: 'Oslo' })]),
      answer('Fair.'),
    );
    const thread = await newThread();
    const run = await beta.threads.runs.createAndPoll(thread, { assistant_id: assistant.id });
    await assert.rejects(calls.submitAndPoll(thread, run.id, [{ tool_call_id: 'call_a', output: 'sun' }]), (error) => {
      assert.ok(error instanceof sdk.OpenAI.BadRequestError);
      assert.match(error.message, /Expected tool outputs for call_ids \['call_a', 'call_b'\], got \['call_a'\]/);
      return true;
    });
    assert.equal((await calls.retrieveRun(thread, run.id)).status, 'requires_action');
    const done = await calls.submitAndPoll(thread, run.id, [
      { tool_call_id: 'call_a', output: 'sun' },
      { tool_call_id: 'call_b', output: 'snow' },
    ]);
    assert.equal(done.status, 'completed');
  });

  test('a cancel in the middle of an answer ends the stream, and the upstream is left', async () => {
    const held = heldBefore('response.output_text.done', [{ kind: 'message', text: 'A long answer, cut short.' }]);
    model.script(held.model);
    const thread = await newThread();
    const stream = beta.threads.runs.stream(thread, { assistant_id: assistant.id });
    const told = listen(stream);
    await new Promise<void>((resolve) => stream.once('textDelta', () => resolve()));
    const cancelled = await calls.cancelRun(thread, stream.currentRun()?.id ?? '');
    assert.equal(cancelled.status, 'cancelling');
    const run = await stream.finalRun();
    assert.equal(run.status, 'cancelled');
    // What was said before the cancel may still be told behind it.
    assert.deepEqual(told.events.filter((event) => event !== 'thread.message.delta').slice(-4), [
      'thread.run.cancelling',
      'thread.message.incomplete',
      'thread.run.step.cancelled',
      'thread.run.cancelled',
    ]);
    const [message] = (await beta.threads.messages.list(thread)).data;
    assert.equal(message?.status, 'incomplete');
    assert.equal(message.incomplete_details?.reason, 'run_cancelled');
    assert.equal(await endingOf(run.id), 'downstream_left');
  });

  test('a cancel ends a poll, and the thread takes messages again', async () => {
    const held = heldBefore('response.output_item.added', [{ kind: 'message', text: 'Never.' }]);
    model.script(held.model);
    const thread = await newThread();
    const polled = beta.threads.runs.createAndPoll(thread, { assistant_id: assistant.id });
    await held.asked;
    const [running] = (await beta.threads.runs.list(thread)).data;
    assert.equal(running?.status, 'in_progress');
    await assert.rejects(beta.threads.messages.create(thread, equation), (error) => {
      assert.ok(error instanceof sdk.OpenAI.BadRequestError);
      assert.match(error.message, /Can't add messages to thread_\w+ while a run run_\w+ is active\./);
      return true;
    });
    await assert.rejects(beta.threads.runs.create(thread, { assistant_id: assistant.id }), (error) => {
      assert.ok(error instanceof sdk.OpenAI.BadRequestError);
      assert.match(error.message, /Thread thread_\w+ already has an active run run_\w+\./);
      return true;
    });

    assert.equal((await calls.cancelRun(thread, running.id)).status, 'cancelling');
    const run = await polled;
    assert.equal(run.status, 'cancelled');
    assert.ok(run.cancelled_at);
    await assert.rejects(calls.cancelRun(thread, run.id), /Cannot cancel run with status 'cancelled'/);
    await beta.threads.messages.create(thread, equation);
  });

  test('a run that waits for outputs is cancelled at once, and takes none any more', async () => {
    model.script(items([functionCall('call_late', { city: 'Rome' })]));
    const thread = await newThread();
    const run = await beta.threads.runs.createAndPoll(thread, { assistant_id: assistant.id });
    await calls.cancelRun(thread, run.id);
    assert.equal((await calls.pollRun(thread, run.id)).status, 'cancelled');
    await assert.rejects(
      calls.submitAndPoll(thread, run.id, [{ tool_call_id: 'call_late', output: 'sun' }]),
      /Runs in status "cancelled" do not accept tool outputs\./,
    );
  });

  test('who leaves a stream leaves the run alone', async () => {
    const held = heldBefore('response.output_text.done', [{ kind: 'message', text: 'Said to the end.' }]);
    model.script(held.model);
    const thread = await newThread();
    const stream = beta.threads.runs.stream(thread, { assistant_id: assistant.id });
    await new Promise<void>((resolve) => stream.once('textDelta', () => resolve()));
    const id = stream.currentRun()?.id ?? '';
    stream.abort();
    await assert.rejects(stream.done(), sdk.OpenAI.APIUserAbortError);
    held.release();
    assert.equal((await calls.pollRun(thread, id)).status, 'completed');
    assert.equal(textOf((await beta.threads.messages.list(thread)).data[0]), 'Said to the end.');
  });

  test('an answer that reaches the limit of tokens is incomplete', async () => {
    model.script(items([{ kind: 'message', text: 'Once upon a', isCut: true }], { end: 'max_output_tokens' }));
    const thread = await newThread();
    const stream = beta.threads.runs.stream(thread, { assistant_id: assistant.id, max_completion_tokens: 256 });
    const told = listen(stream);
    if (sdk.knowsIncompleteRuns) {
      const run = await stream.finalRun();
      assert.equal(run.status, 'incomplete');
      assert.deepEqual(run.incomplete_details, { reason: 'max_completion_tokens' });
    } else {
      await assert.rejects(stream.finalRun(), /Final run has not been received/);
    }
    assert.deepEqual(told.events.slice(-3), [
      'thread.message.incomplete',
      'thread.run.step.completed',
      'thread.run.incomplete',
    ]);
    const [run] = (await beta.threads.runs.list(thread)).data;
    assert.equal(run?.status, 'incomplete');
    const [message] = (await beta.threads.messages.list(thread)).data;
    assert.equal(message?.incomplete_details?.reason, 'max_tokens');
  });

  test("a model's no ends the run as failed, and says why", async () => {
    const error = { message: 'Your prompt is not allowed.', code: 'invalid_prompt' };
    model.script(failure(400, error));
    const stream = beta.threads.runs.stream(await newThread(), { assistant_id: assistant.id });
    const told = listen(stream);
    const run = await stream.finalRun();
    assert.equal(run.status, 'failed');
    assert.deepEqual(run.last_error, { code: 'invalid_prompt', message: error.message });
    assert.equal(told.events.at(-1), 'thread.run.failed');
  });

  test('a refusal of the model is a message with a refusal in it', async () => {
    model.script(items([{ kind: 'refusal', refusal: 'I will not do that.' }]));
    const stream = beta.threads.runs.stream(await newThread(), { assistant_id: assistant.id });
    const run = await stream.finalRun();
    assert.equal(run.status, 'completed');
    const [streamed] = await stream.finalMessages();
    assert.ok(streamed?.content[0]?.type === 'refusal');
    assert.equal(streamed.content[0].refusal, 'I will not do that.');
    const stored = await calls.retrieveMessage(run.thread_id, streamed.id);
    assert.deepEqual(stored.content, [{ type: 'refusal', refusal: 'I will not do that.' }]);
  });

  test('code that was run is told of as it was written, with what it printed', async () => {
    model.script(
      items([
        { kind: 'code', code: 'print(6 * 7)', container: 'cntr_1', outputs: [{ type: 'logs', logs: '42\n' }] },
        { kind: 'message', text: 'It is 42.' },
      ]),
    );
    const stream = beta.threads.runs.stream(await newThread(), {
      assistant_id: assistant.id,
      tools: [{ type: 'code_interpreter' }],
    });
    const told = listen(stream);
    const run = await stream.finalRun();
    assert.equal(run.status, 'completed');
    assert.deepEqual(
      told.handlers.filter((handler) => handler.startsWith('toolCall')),
      ['toolCallCreated', 'toolCallDelta', 'toolCallDone'],
    );
    const [step] = (await calls.listSteps(run.thread_id, run.id)).data.toReversed();
    assert.ok(step?.step_details.type === 'tool_calls');
    const [call] = step.step_details.tool_calls;
    assert.ok(call?.type === 'code_interpreter');
    assert.deepEqual(call.code_interpreter, { input: 'print(6 * 7)', outputs: [{ type: 'logs', logs: '42\n' }] });
    assert.equal(told.text, 'It is 42.');
  });

  test('what was found in files is cited by markers that can be cut out of the text', async () => {
    const citation = { type: 'file_citation', file_id: 'file-guide', filename: 'guide.md', index: 10 };
    model.script(
      items([
        {
          kind: 'search',
          queries: ['depth'],
          results: [{ file_id: 'file-guide', filename: 'guide.md', score: 0.9, text: 'Forty metres.', attributes: {} }],
        },
        { kind: 'message', text: '40 metres.', annotations: [{ annotation: citation }] },
      ]),
    );
    const stream = beta.threads.runs.stream(await newThread(), {
      assistant_id: assistant.id,
      tools: [{ type: 'file_search' }],
    });
    const run = await stream.finalRun();
    assert.equal(run.status, 'completed');
    const [message] = (await beta.threads.messages.list(run.thread_id)).data;
    const [part] = message?.content ?? [];
    assert.ok(part?.type === 'text');
    const [annotation] = part.text.annotations;
    assert.ok(annotation?.type === 'file_citation');
    assert.equal(annotation.file_citation.file_id, 'file-guide');
    assert.match(annotation.text, /^【.+†.+】$/);
    assert.equal(part.text.value.replace(annotation.text, ''), '40 metres.');
    assert.equal(part.text.value.slice(annotation.start_index, annotation.end_index), annotation.text);

    const [step] = (await calls.listSteps(run.thread_id, run.id)).data.toReversed();
    assert.ok(step?.step_details.type === 'tool_calls');
    const [call] = step.step_details.tool_calls;
    assert.ok(call?.type === 'file_search');
    assert.deepEqual(call.file_search.results, [{ file_id: 'file-guide', file_name: 'guide.md', score: 0.9 }]);
  });
}

interface Told {
  /** Names of the events; those that follow themselves count once. */
  readonly events: string[];
  /** Handlers in the order of their first call. */
  readonly handlers: string[];
  /** Ids and whole arguments of functions, as `toolCallDone` told them. */
  readonly toolCalls: [id: string, args: string][];
  /** The deltas of all texts, added up. */
  readonly text: string;
}

/** Listens to everything that the SDK tells of a stream. */
function listen(stream: AssistantStream): Told {
  const events: string[] = [];
  const handlers: string[] = [];
  const toolCalls: Told['toolCalls'] = [];
  let text = '';
  stream.on('event', ({ event }) => {
    if (events.at(-1) !== event) events.push(event);
  });
  for (const handler of [
    'messageCreated',
    'messageDelta',
    'messageDone',
    'runStepCreated',
    'runStepDelta',
    'runStepDone',
    'toolCallCreated',
    'toolCallDelta',
    'toolCallDone',
    'textCreated',
    'textDelta',
    'textDone',
    'imageFileDone',
  ] as const) {
    stream.on(handler, () => {
      if (!handlers.includes(handler)) handlers.push(handler);
    });
  }
  stream.on('textDelta', (delta) => (text += delta.value ?? ''));
  stream.on('toolCallDone', (call) => {
    if (call.type === 'function') toolCalls.push([call.id, call.function.arguments]);
  });
  // A rejection belongs to whoever awaits the end; a test that expects one awaits it.
  stream.on('error', () => {});
  return {
    events,
    handlers,
    toolCalls,
    get text() {
      return text;
    },
  };
}

function names(events: readonly { readonly event: string }[]): string[] {
  return events.map(({ event }) => event).filter((event, index, all) => event !== all[index - 1]);
}

function textOf(message: Message | undefined): string {
  return (message?.content ?? []).map((part) => (part.type === 'text' ? part.text.value : '')).join('');
}

function pendingIds(run: Run): string[] {
  return (run.required_action?.submit_tool_outputs.tool_calls ?? []).map(({ id }) => id);
}

function outputsOf(step: RunStep | undefined): (string | null)[] {
  if (step?.step_details.type !== 'tool_calls') return [];
  return step.step_details.tool_calls.flatMap((call) => (call.type === 'function' ? [call.function.output] : []));
}

function functionCall(callId: string, args: Json): ScriptItem {
  return { kind: 'function', name: 'get_weather', args: JSON.stringify(args), callId };
}

function callAndOutput(item: Json): unknown[] {
  return [item['type'], item['call_id'], item['arguments'] ?? item['output']];
}
