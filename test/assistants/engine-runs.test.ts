// What a run becomes of what its model says: the same for who polls and for who reads along.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import type { ThreadId } from '../../src/domain/assistants.ts';
import { Refusal } from '../../src/domain/refusal.ts';
import type { Frame } from '../support/desk.ts';
import { itemEvents, responseEvents, type Json, type ScriptItem, withFrame } from '../support/responses-script.ts';
import { type Script, answer, chat, failure, items } from '../support/responses-upstream.ts';
import { foldFrames } from '../support/run-fold.ts';
import { type Any, type TestRuns, beginRun, listed, openRuns } from '../support/runs.ts';

let runs: TestRuns;
const open = async (options: Parameters<typeof openRuns>[0] = {}) => {
  await runs?.close();
  runs = await openRuns(options);
};
beforeEach(() => open());
afterEach(() => runs.close());

const textOf = (message: Any) =>
  message.content.map((part: Any) => part.text?.value ?? part.refusal ?? part.type).join('|');
const names = (frames: readonly Frame[]) => frames.map(({ event }) => event.replace('thread.', ''));

interface Ended {
  readonly run: Any;
  readonly steps: Any[];
  readonly messages: Any[];
  readonly frames: readonly Frame[] | null;
}

/** Polled once and streamed once, each on a thread of its own: both must come to the same. */
async function bothWays(
  scripts: readonly Script[],
  check: (ended: Ended) => void | Promise<void>,
  asked: Parameters<typeof beginRun>[1] = {},
): Promise<void> {
  runs.upstream.script(...scripts);
  const polled = await beginRun(runs, asked);
  await runs.settled(polled.thread.id, polled.run.id);
  await check(await ended(polled.thread.id, polled.run.id, null));

  runs.upstream.script(...scripts);
  const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o', ...asked.assistant });
  const thread = await runs.ok('POST', '/threads', {
    messages: [{ role: 'user', content: asked.content ?? 'What is 2 + 2?' }],
  });
  const frames = await runs.frames('POST', `/threads/${thread.id}/runs`, {
    assistant_id: assistant.id,
    stream: true,
    ...asked.run,
  });
  const streamed = await ended(thread.id, frames[0]!.data.id, frames);
  await check(streamed);
  assertFold(streamed);
}

async function ended(thread: string, run: string, frames: readonly Frame[] | null): Promise<Ended> {
  return {
    run: await runs.ok('GET', `/threads/${thread}/runs/${run}`),
    steps: await listed(runs, `/threads/${thread}/runs/${run}/steps`),
    messages: (await listed(runs, `/threads/${thread}/messages`)).filter((message) => message.run_id === run),
    frames,
  };
}

/** What the stream added up to is what is answered afterwards. */
function assertFold({ run, steps, messages, frames }: Ended): void {
  const folded = foldFrames(frames!);
  assert.deepEqual(folded.run, run);
  assert.deepEqual(folded.messages, messages);
  assert.deepEqual(
    folded.steps.map((step) => (step['status'] === 'in_progress' ? step['id'] : step)),
    steps.map((step) => (step.status === 'in_progress' ? step.id : step)),
  );
}

const FUNCTIONS = [
  {
    type: 'function',
    function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  },
  { type: 'function', function: { name: 'time' } },
];

describe('a plain answer', () => {
  test('completes the run, in the order of the live API', async () => {
    await bothWays([answer('It is 4.')], ({ run, steps, messages, frames }) => {
      assert.equal(run.status, 'completed');
      assert.equal(run.usage.total_tokens, 30);
      assert.equal(run.expires_at, null);
      assert.deepEqual(messages.map(textOf), ['It is 4.']);
      assert.equal(messages[0].status, 'completed');
      assert.equal(messages[0].assistant_id, run.assistant_id);
      assert.deepEqual(
        steps.map(({ type, status, usage }) => [type, status, usage.total_tokens]),
        [['message_creation', 'completed', 30]],
      );
      if (frames === null) return;
      assert.deepEqual(
        names(frames).filter((name) => name !== 'message.delta'),
        [
          'run.created',
          'run.queued',
          'run.in_progress',
          'run.step.created',
          'run.step.in_progress',
          'message.created',
          'message.in_progress',
          'message.completed',
          'run.step.completed',
          'run.completed',
          'done',
        ],
      );
    });
  });

  test('asks the model as the run says, and stores nothing upstream', async () => {
    await runs.close();
    await open({ settings: { modelAliases: { 'gpt-4': 'gpt-4.1' } } });
    const { thread, run } = await beginRun(runs, {
      assistant: { model: 'gpt-4', instructions: 'Be brief.', temperature: 0.2 },
      run: {
        additional_instructions: 'In French.',
        top_p: 0.5,
        max_completion_tokens: 300,
        response_format: { type: 'json_object' },
      },
    });
    assert.equal((await runs.settled(thread.id, run.id)).model, 'gpt-4');
    const { body } = runs.upstream.modelCalls[0]!;
    assert.deepEqual(body, {
      model: 'gpt-4.1',
      instructions: 'Be brief.\n\nIn French.',
      text: { format: { type: 'json_object' } },
      temperature: 0.2,
      top_p: 0.5,
      max_output_tokens: 300,
      prompt_cache_key: thread.id,
      store: false,
      stream: true,
      stream_options: { include_obfuscation: false },
      include: ['reasoning.encrypted_content'],
      input: [{ role: 'user', content: [{ type: 'input_text', text: 'What is 2 + 2?' }] }],
    });
  });

  test('of a second run shows the model the first one, without ids and without markers', async () => {
    const cited: ScriptItem = {
      kind: 'message',
      text: 'It is 4.',
      annotations: [{ annotation: { type: 'file_citation', index: 8, file_id: 'file-a', filename: 'a.md' } }],
    };
    runs.upstream.script(items([cited]), answer('Yes.'));
    const { assistant, thread, run } = await beginRun(runs);
    await runs.settled(thread.id, run.id);
    await runs.ok('POST', `/threads/${thread.id}/messages`, { role: 'user', content: 'Sure?' });
    await runs.ok('POST', `/threads/${thread.id}/messages`, { role: 'assistant', content: 'I was told so.' });
    const second = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    await runs.settled(thread.id, second.id);
    assert.deepEqual(runs.upstream.modelCalls[1]!.body.input, [
      { role: 'user', content: [{ type: 'input_text', text: 'What is 2 + 2?' }] },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'It is 4.', annotations: [] }] },
      { role: 'user', content: [{ type: 'input_text', text: 'Sure?' }] },
      { role: 'assistant', content: 'I was told so.' },
    ]);
  });

  test('of an upstream that does not stream, or says only how things end, is the same', async () => {
    const whole = {
      status: 200,
      body: {
        status: 'completed',
        output: [
          { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'It is 4.', annotations: [] }] },
        ],
        usage: null,
      },
    };
    const onlyDone = items([{ kind: 'message', text: 'It is 4.' }], {
      without: ['added', 'deltas', 'parts', 'indexes', 'numbers'],
    });
    for (const script of [
      whole,
      onlyDone,
      items([{ kind: 'message', text: 'It is 4.' }], { without: ['item_done'] }),
    ]) {
      await bothWays([script], ({ run, messages }) => {
        assert.equal(run.status, 'completed');
        assert.ok(run.usage.total_tokens > 0);
        assert.deepEqual(messages.map(textOf), ['It is 4.']);
      });
    }
  });

  test('in any cutting of its bytes is the same', async () => {
    for (const chunk of [1, 7, 64, 0]) {
      await bothWays(
        [{ events: responseEvents([{ kind: 'message', text: 'Grüße 🙂 漢' }]), chunk }],
        ({ messages }) => {
          assert.deepEqual(messages.map(textOf), ['Grüße 🙂 漢']);
        },
      );
    }
  });
});

describe('functions', () => {
  const calls: ScriptItem[] = [
    { kind: 'reasoning', encrypted: 'sealed' },
    { kind: 'function', name: 'weather', args: '{"city":"Rome"}', callId: 'call_a' },
    { kind: 'function', name: 'time', args: '{}', callId: 'call_b' },
  ];
  const outputs = {
    tool_outputs: [
      { tool_call_id: 'call_a', output: 'sunny' },
      { tool_call_id: 'call_b', output: 'noon' },
    ],
  };

  test('wait for their outputs, and the run goes on with them', async () => {
    runs.upstream.script(items(calls), answer('Sunny at noon.'));
    const { thread, run } = await beginRun(runs, { assistant: { tools: FUNCTIONS } });
    const waiting = await runs.settled(thread.id, run.id);
    assert.equal(waiting.status, 'requires_action');
    assert.deepEqual(
      waiting.required_action.submit_tool_outputs.tool_calls.map(({ id }: Any) => id),
      ['call_a', 'call_b'],
    );
    assert.equal(
      (await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, outputs)).status,
      'queued',
    );
    const done = await runs.settled(thread.id, run.id);
    assert.equal(done.status, 'completed');
    assert.equal(done.usage.total_tokens, 60);
    const [functionStep, messageStep] = await listed(runs, `/threads/${thread.id}/runs/${run.id}/steps`);
    assert.deepEqual(
      functionStep.step_details.tool_calls.map((call: Any) => call.function.output),
      ['sunny', 'noon'],
    );
    assert.equal(functionStep.usage.total_tokens, 30);
    assert.equal(messageStep.type, 'message_creation');
    assert.deepEqual(runs.upstream.modelCalls[1]!.body.input.slice(1), [
      {
        type: 'reasoning',
        id: runs.upstream.modelCalls[1]!.body.input[1].id,
        summary: [],
        encrypted_content: 'sealed',
      },
      { type: 'function_call', call_id: 'call_a', name: 'weather', arguments: '{"city":"Rome"}' },
      { type: 'function_call', call_id: 'call_b', name: 'time', arguments: '{}' },
      { type: 'function_call_output', call_id: 'call_a', output: 'sunny' },
      { type: 'function_call_output', call_id: 'call_b', output: 'noon' },
    ]);
  });

  test('are streamed in two streams, each in its order', async () => {
    runs.upstream.script(items(calls), answer('Sunny at noon.'));
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o', tools: FUNCTIONS });
    const frames = await runs.frames('POST', '/threads/runs', {
      assistant_id: assistant.id,
      stream: true,
      thread: { messages: [{ role: 'user', content: 'Weather?' }] },
    });
    assert.deepEqual(names(frames).slice(0, 6), [
      'created',
      'run.created',
      'run.queued',
      'run.in_progress',
      'run.step.created',
      'run.step.in_progress',
    ]);
    assert.deepEqual(names(frames).slice(-2), ['run.requires_action', 'done']);
    const run = frames.at(-2)!.data;
    const more = await runs.frames('POST', `/threads/${run.thread_id}/runs/${run.id}/submit_tool_outputs`, {
      ...outputs,
      stream: true,
    });
    assert.deepEqual(names(more).slice(0, 3), ['run.step.completed', 'run.queued', 'run.in_progress']);
    assert.equal(names(more).at(-2), 'run.completed');
    assertFold({ ...(await ended(run.thread_id, run.id, null)), frames: [...frames.slice(0, -1), ...more] });
  });

  test('leave reasoning and their calls out of what a later run shows, but for the pairs', async () => {
    runs.upstream.script(items(calls), answer('Sunny.'), answer('Still sunny.'));
    const { assistant, thread, run } = await beginRun(runs, { assistant: { tools: FUNCTIONS } });
    await runs.settled(thread.id, run.id);
    await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, outputs);
    await runs.settled(thread.id, run.id);
    const second = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    await runs.settled(thread.id, second.id);
    assert.deepEqual(
      runs.upstream.modelCalls[2]!.body.input.map((item: Any) => item.type ?? item.role),
      ['user', 'function_call', 'function_call', 'function_call_output', 'function_call_output', 'message'],
    );
  });

  test('that a cancelled run never got outputs for are not shown again', async () => {
    runs.upstream.script(items(calls), answer('Hello.'));
    const { assistant, thread, run } = await beginRun(runs, { assistant: { tools: FUNCTIONS } });
    await runs.settled(thread.id, run.id);
    await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/cancel`, {});
    assert.equal((await runs.settled(thread.id, run.id)).status, 'cancelled');
    const second = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    await runs.settled(thread.id, second.id);
    assert.deepEqual(
      runs.upstream.modelCalls[1]!.body.input.map((item: Any) => item.type ?? item.role),
      ['user'],
    );
  });

  test('that are forced are forced once, or the run would never end', async () => {
    for (const [choice, sent] of [
      ['required', 'required'],
      [
        { type: 'function', function: { name: 'weather' } },
        { type: 'function', name: 'weather' },
      ],
    ] as const) {
      runs.upstream.script(items(calls), answer('Done.'));
      const { thread, run } = await beginRun(runs, { assistant: { tools: FUNCTIONS }, run: { tool_choice: choice } });
      await runs.settled(thread.id, run.id);
      await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, outputs);
      assert.equal((await runs.settled(thread.id, run.id)).status, 'completed');
      const [first, second] = runs.upstream.modelCalls.slice(-2);
      assert.deepEqual(first!.body.tool_choice, sent);
      assert.equal(second!.body.tool_choice, undefined);
    }
  });

  test('are told to the model in full, strict only where their user says so', async () => {
    const { thread, run } = await beginRun(runs, {
      assistant: { tools: FUNCTIONS },
      run: { parallel_tool_calls: false },
    });
    await runs.settled(thread.id, run.id);
    const { tools, parallel_tool_calls: parallel } = runs.upstream.modelCalls[0]!.body;
    assert.equal(parallel, false);
    assert.deepEqual(tools[1], {
      type: 'function',
      name: 'time',
      parameters: { type: 'object', properties: {} },
      strict: false,
    });
  });

  test('whose arguments come mixed are told one after the other', async () => {
    const pair = calls.slice(1);
    const [first, second] = pair.map((item, i) => itemEvents(item, i));
    const mixed = first!.flatMap((event, i) => [event, ...(second![i] === undefined ? [] : [second![i]])]);
    await bothWays(
      [{ events: withFrame([...mixed, ...second!.slice(first!.length)], pair) }],
      ({ run }) => {
        assert.deepEqual(
          run.required_action.submit_tool_outputs.tool_calls.map((call: Any) => call.function.arguments),
          ['{"city":"Rome"}', '{}'],
        );
      },
      { assistant: { tools: FUNCTIONS } },
    );
  });

  test('are called before a word that was said behind them: it is told when their outputs are in', async () => {
    runs.upstream.script(items([...calls, { kind: 'message', text: 'One moment.' }]), answer('Sunny.'));
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o', tools: FUNCTIONS });
    const frames = await runs.frames('POST', '/threads/runs', {
      assistant_id: assistant.id,
      stream: true,
      thread: { messages: [{ role: 'user', content: 'Weather?' }] },
    });
    assert.ok(!names(frames).some((name) => name.startsWith('message')));
    const run = frames.at(-2)!.data;
    const more = await runs.frames('POST', `/threads/${run.thread_id}/runs/${run.id}/submit_tool_outputs`, {
      ...outputs,
      stream: true,
    });
    const done = await ended(run.thread_id, run.id, [...frames.slice(0, -1), ...more]);
    assert.deepEqual(done.messages.map(textOf), ['One moment.', 'Sunny.']);
    assertFold(done);
    assert.deepEqual(
      runs.upstream.modelCalls[1]!.body.input.map((item: Any) => item.type ?? item.role),
      [
        'user',
        'reasoning',
        'function_call',
        'function_call',
        'message',
        'function_call_output',
        'function_call_output',
      ],
    );
  });
});

describe('ends that are not the model’s wish', () => {
  test('a refusal is an answer', async () => {
    await bothWays([items([{ kind: 'refusal', refusal: 'I will not.' }])], ({ run, messages }) => {
      assert.equal(run.status, 'completed');
      assert.deepEqual(messages[0].content, [{ type: 'refusal', refusal: 'I will not.' }]);
    });
  });

  test('the limit of the answer ends the run as incomplete', async () => {
    await bothWays(
      [items([{ kind: 'message', text: 'Once upon', isCut: true }], { end: 'max_output_tokens' })],
      ({ run, messages, steps, frames }) => {
        assert.equal(run.status, 'incomplete');
        assert.deepEqual(run.incomplete_details, { reason: 'max_completion_tokens' });
        assert.deepEqual(
          messages.map(({ status, incomplete_details: details }) => [status, details.reason]),
          [['incomplete', 'max_tokens']],
        );
        assert.equal(steps[0].status, 'completed');
        if (frames !== null)
          assert.deepEqual(names(frames).slice(-4), [
            'message.incomplete',
            'run.step.completed',
            'run.incomplete',
            'done',
          ]);
      },
    );
  });

  test('the content filter fails the run', async () => {
    await bothWays(
      [items([{ kind: 'message', text: 'How to', isCut: true }], { end: 'content_filter' })],
      ({ run, messages, steps }) => {
        assert.equal(run.status, 'failed');
        assert.equal(run.last_error.code, 'server_error');
        assert.match(run.last_error.message, /content filter/);
        assert.equal(messages[0].incomplete_details.reason, 'content_filter');
        assert.equal(steps[0].status, 'failed');
      },
    );
  });

  const failed = (code: string, message = 'Sorry.'): Script => ({
    events: [
      ...responseEvents([{ kind: 'message', text: 'Half' }], { end: 'none' }).slice(0, 6),
      { type: 'response.failed', response: { status: 'failed', error: { code, message }, usage: null } },
    ],
  });
  for (const [code, becomes] of [
    ['server_error', 'server_error'],
    ['rate_limit_exceeded', 'rate_limit_exceeded'],
    ['invalid_prompt', 'invalid_prompt'],
    ['vector_store_timeout', 'server_error'],
    ['image_too_large', 'invalid_prompt'],
    ['failed_to_download_image', 'invalid_prompt'],
    ['something_new', 'server_error'],
  ] as const) {
    test(`a response that fails with ${code} fails the run with ${becomes}`, async () => {
      await bothWays([failed(code)], ({ run, messages, steps, frames }) => {
        assert.deepEqual([run.status, run.last_error], ['failed', { code: becomes, message: 'Sorry.' }]);
        assert.deepEqual(
          messages.map(({ status, incomplete_details: details }) => [status, details.reason]),
          [['incomplete', 'run_failed']],
        );
        assert.equal(steps[0].status, 'failed');
        if (frames !== null)
          assert.deepEqual(names(frames).slice(-4), ['message.incomplete', 'run.step.failed', 'run.failed', 'done']);
      });
    });
  }

  test('an error event, flat or nested, fails the run', async () => {
    for (const event of [
      { type: 'error', code: 'server_error', message: 'Sorry.' },
      { type: 'error', error: { code: 'server_error', message: 'Sorry.' } },
    ]) {
      await bothWays([{ events: [event] }], ({ run }) =>
        assert.deepEqual(run.last_error, { code: 'server_error', message: 'Sorry.' }),
      );
    }
  });

  for (const [status, error, becomes] of [
    [400, { message: 'Bad schema.', code: 'invalid_request' }, { code: 'invalid_prompt', message: 'Bad schema.' }],
    [400, { message: 'Policy.', code: 'invalid_prompt' }, { code: 'invalid_prompt', message: 'Policy.' }],
    [
      404,
      { message: "The model 'x' does not exist.", code: 'model_not_found' },
      { code: 'invalid_prompt', message: "The model 'x' does not exist." },
    ],
    [429, { message: 'No money.', code: 'insufficient_quota' }, { code: 'rate_limit_exceeded', message: 'No money.' }],
    [422, { message: 'Unprocessable.' }, { code: 'invalid_prompt', message: 'Unprocessable.' }],
  ] as const) {
    test(`${status} ${JSON.stringify(error)} fails the run at once with its own words`, async () => {
      await bothWays([failure(status, error)], ({ run }) =>
        assert.deepEqual([run.status, run.last_error], ['failed', becomes]),
      );
      assert.equal(runs.upstream.modelCalls.length, 2);
    });
  }

  for (const status of [401, 403]) {
    test(`${status} fails the run without a word of the credential`, async () => {
      await bothWays([failure(status, { message: 'Incorrect API key provided: sk-secret1234.' })], ({ run }) => {
        assert.equal(run.last_error.code, 'server_error');
        assert.doesNotMatch(run.last_error.message, /secret/);
      });
    });
  }

  test('our own no fails the run with its text, and nothing is tried again', async () => {
    await bothWays([new Refusal('overloaded', 'The budget is spent.')], ({ run }) => {
      assert.deepEqual(run.last_error, { code: 'rate_limit_exceeded', message: 'The budget is spent.' });
    });
    assert.equal(runs.upstream.modelCalls.length, 2);
    await bothWays([new Refusal('invalid_api_key', 'The key was revoked.')], ({ run }) => {
      assert.deepEqual(run.last_error, { code: 'server_error', message: 'The key was revoked.' });
    });
  });

  test('our own no at a later turn fails the run too', async () => {
    runs.upstream.script(
      items([{ kind: 'function', name: 'time', args: '{}', callId: 'call_a' }]),
      new Refusal('overloaded', 'The budget is spent.'),
    );
    const { thread, run } = await beginRun(runs, { assistant: { tools: FUNCTIONS } });
    await runs.settled(thread.id, run.id);
    await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, {
      tool_outputs: [{ tool_call_id: 'call_a', output: '' }],
    });
    const done = await runs.settled(thread.id, run.id);
    assert.deepEqual(
      [done.status, done.last_error.message, done.usage.total_tokens],
      ['failed', 'The budget is spent.', 30],
    );
  });
});

describe('an upstream that fails and comes back', () => {
  const busy = failure(429, { message: 'Slow down.', code: 'rate_limit_exceeded' }, { 'retry-after-ms': '20' });
  for (const [what, script] of [
    ['a 429 with its time', busy],
    ['a 429 without', failure(429, { message: 'Slow down.' })],
    ['a 500', failure(500, { message: 'Oops.' })],
    ['a 503', { status: 503, body: 'busy' } as Script],
    ['no connection', 'unreachable'],
    ['a break before the first word', { events: [{ type: 'response.created', response: {} }], breaks: true } as Script],
  ] as const) {
    test(`${what} is asked again, and nobody sees it`, async () => {
      await bothWays([script, script, answer('It is 4.')], ({ run, steps, messages }) => {
        assert.equal(run.status, 'completed');
        assert.deepEqual([steps.length, messages.map(textOf)], [1, ['It is 4.']]);
      });
      assert.equal(runs.upstream.modelCalls.length, 6);
    });
  }

  test('is asked five times in all, then the run fails with its words', async () => {
    await bothWays([failure(500, { message: 'Oops.' })], ({ run }) =>
      assert.deepEqual(run.last_error, { code: 'server_error', message: 'Oops.' }),
    );
    assert.equal(runs.upstream.modelCalls.length, 10);
    await bothWays([busy], ({ run }) =>
      assert.deepEqual(run.last_error, { code: 'rate_limit_exceeded', message: 'Slow down.' }),
    );
  });

  test('and wants to be asked after the run has expired is not asked again', async () => {
    await bothWays([failure(429, { message: 'Tomorrow.' }, { 'retry-after': '86400' })], ({ run }) => {
      assert.deepEqual(run.last_error, { code: 'rate_limit_exceeded', message: 'Tomorrow.' });
    });
    assert.equal(runs.upstream.modelCalls.length, 2);
  });

  const half: Script = {
    events: responseEvents([{ kind: 'message', text: 'It is per' }], { end: 'none' }).slice(0, -2),
    breaks: true,
  };
  test('breaks in mid-message: who reads along sees both tries, who polls sees the one that came through', async () => {
    await bothWays([half, answer('It is 4.')], ({ run, steps, messages, frames }) => {
      assert.equal(run.status, 'completed');
      if (frames === null) {
        assert.deepEqual(messages.map(textOf), ['It is 4.']);
        return;
      }
      assert.deepEqual(
        messages.map((message) => [message.status, textOf(message)]),
        [
          ['incomplete', 'It is per'],
          ['completed', 'It is 4.'],
        ],
      );
      assert.deepEqual(
        steps.map(({ status }) => status),
        ['failed', 'completed'],
      );
    });
    const reruns = runs.upstream.modelCalls.map((call) => call.run?.isRerun);
    assert.deepEqual(reruns, [false, true, false, true]);
    // What was half said is not said to the model again.
    assert.equal(runs.upstream.modelCalls[3]!.body.input.length, 1);
  });

  test('breaks twice in mid-message: the run fails', async () => {
    await bothWays([half, half], ({ run }) => {
      assert.deepEqual([run.status, run.last_error.code], ['failed', 'server_error']);
    });
  });

  test('breaks behind a whole answer: the answer stands, and is not given twice', async () => {
    const unended: Script = {
      events: responseEvents([{ kind: 'message', text: 'It is 4.' }], { end: 'none' }),
      breaks: true,
    };
    await bothWays([unended], ({ run, messages, steps }) => {
      assert.equal(run.status, 'completed');
      assert.ok(run.usage.total_tokens > 0);
      assert.deepEqual([messages.map(textOf), steps.map(({ status }) => status)], [['It is 4.'], ['completed']]);
    });
    assert.equal(runs.upstream.modelCalls.length, 2);
  });

  test('breaks behind a comment: the model goes on from it', async () => {
    const comment: ScriptItem = { kind: 'message', text: 'Let me see.', phase: 'commentary' };
    const unended: Script = { events: responseEvents([comment], { end: 'none' }), breaks: true };
    await bothWays([unended, answer('It is 4.')], ({ run, messages }) => {
      assert.equal(run.status, 'completed');
      assert.deepEqual(messages.map(textOf), ['Let me see.', 'It is 4.']);
    });
    assert.equal(runs.upstream.modelCalls[1]!.body.input[1].phase, 'commentary');
  });
});

describe('what a model does not take is taken away', () => {
  test('sampling, and the next run knows', async () => {
    const no = failure(400, {
      message: "Unsupported parameter: 'temperature' is not supported with this model.",
      code: 'unsupported_parameter',
      param: 'temperature',
    });
    runs.upstream.script(no, answer('4.'), answer('4.'));
    for (let i = 0; i < 2; i++) {
      const { thread, run } = await beginRun(runs, { assistant: { model: 'gpt-5', temperature: 0.5 } });
      assert.equal((await runs.settled(thread.id, run.id)).status, 'completed');
    }
    assert.deepEqual(
      runs.upstream.modelCalls.map(({ body }) => body.temperature),
      [0.5, undefined, undefined],
    );
  });

  test('encrypted reasoning', async () => {
    runs.upstream.script(
      failure(400, { message: 'Encrypted content is not supported with this model.' }),
      answer('4.'),
    );
    const { thread, run } = await beginRun(runs);
    assert.equal((await runs.settled(thread.id, run.id)).status, 'completed');
    assert.deepEqual(
      runs.upstream.modelCalls.map(({ body }) => body.include),
      [['reasoning.encrypted_content'], []],
    );
  });

  test('history that is too long, by halves, but for the newest question', async () => {
    const no = failure(400, { message: 'Too long.', code: 'context_length_exceeded' });
    runs.upstream.script(no, no, answer('4.'));
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o' });
    const messages = Array.from({ length: 20 }, (_unused, i) => ({ role: 'user', content: `${i} ${'x'.repeat(360)}` }));
    const thread = await runs.ok('POST', '/threads', { messages });
    const run = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    assert.equal((await runs.settled(thread.id, run.id)).status, 'completed');
    const lengths = runs.upstream.modelCalls.map(({ body }) => body.input.length);
    assert.equal(lengths[0], 20);
    assert.ok(lengths[1]! <= 10 && lengths[2]! <= 5 && lengths[2]! >= 1, String(lengths));
    assert.match(runs.upstream.modelCalls[2]!.body.input.at(-1).content[0].text, /^19 /);
  });
});

describe('budgets of tokens', () => {
  const call: ScriptItem = { kind: 'function', name: 'time', args: '{}', callId: 'call_a' };
  test('of the prompt are cumulative over the turns', async () => {
    runs.upstream.script(
      items([call], { usage: { input_tokens: 200, output_tokens: 5, total_tokens: 205 } }),
      answer('4.'),
    );
    const { thread, run } = await beginRun(runs, { assistant: { tools: FUNCTIONS }, run: { max_prompt_tokens: 400 } });
    await runs.settled(thread.id, run.id);
    await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, {
      tool_outputs: [{ tool_call_id: 'call_a', output: 'x' }],
    });
    const done = await runs.settled(thread.id, run.id);
    assert.deepEqual([done.status, done.incomplete_details], ['incomplete', { reason: 'max_prompt_tokens' }]);
    assert.equal(runs.upstream.modelCalls.length, 1);
  });

  test('of the answer are what is left of them', async () => {
    runs.upstream.script(
      items([call], { usage: { input_tokens: 20, output_tokens: 240, total_tokens: 260 } }),
      items([{ ...call, callId: 'call_b' }], { usage: { input_tokens: 20, output_tokens: 10, total_tokens: 30 } }),
      answer('4.'),
    );
    const { thread, run } = await beginRun(runs, {
      assistant: { tools: FUNCTIONS },
      run: { max_completion_tokens: 260 },
    });
    for (const id of ['call_a', 'call_b']) {
      assert.equal((await runs.settled(thread.id, run.id)).status, 'requires_action');
      await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, {
        tool_outputs: [{ tool_call_id: id, output: 'x' }],
      });
    }
    const done = await runs.settled(thread.id, run.id);
    assert.deepEqual([done.status, done.incomplete_details], ['incomplete', { reason: 'max_completion_tokens' }]);
    assert.deepEqual(
      runs.upstream.modelCalls.map(({ body }) => body.max_output_tokens),
      [260, 20],
    );
  });

  test('a question that does not fit ends the run as incomplete, unasked', async () => {
    const { thread, run } = await beginRun(runs, { run: { max_prompt_tokens: 256 }, content: 'x'.repeat(2000) });
    const done = await runs.settled(thread.id, run.id);
    assert.deepEqual([done.status, done.incomplete_details], ['incomplete', { reason: 'max_prompt_tokens' }]);
    assert.equal(runs.upstream.modelCalls.length, 0);
  });

  test('last_messages shows the newest ones alone', async () => {
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o' });
    const messages = ['a', 'b', 'c', 'd'].map((content) => ({ role: 'user', content }));
    const thread = await runs.ok('POST', '/threads', { messages });
    const run = await runs.ok('POST', `/threads/${thread.id}/runs`, {
      assistant_id: assistant.id,
      truncation_strategy: { type: 'last_messages', last_messages: 2 },
    });
    await runs.settled(thread.id, run.id);
    assert.deepEqual(
      runs.upstream.modelCalls[0]!.body.input.map((item: Any) => item.content[0].text),
      ['c', 'd'],
    );
  });

  test('a run on an empty thread asks all the same', async () => {
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o' });
    const run = await runs.ok('POST', '/threads/runs', { assistant_id: assistant.id });
    assert.equal((await runs.settled(run.thread_id, run.id)).status, 'completed');
    assert.equal(runs.upstream.modelCalls[0]!.body.input.length, 1);
  });
});

/** The active run of a thread, once its model has said something. */
async function firstWord(thread: string): Promise<Any> {
  for (;;) {
    const run = await runs.store.findActiveRun('team_red', thread as ThreadId);
    if (run === null) continue;
    for await (const { event } of runs.engine.events(run, 0, new AbortController().signal)) {
      if (event.event === 'thread.message.delta') return run;
    }
  }
}

describe('stopping', () => {
  test('a cancel ends a run that is under way at once, with what was said', async () => {
    const never = new Promise<void>(() => {});
    runs.upstream.script({
      events: [...responseEvents([{ kind: 'message', text: 'It is per' }], { end: 'none' }).slice(0, -3), never],
    });
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o' });
    const thread = await runs.ok('POST', '/threads', { messages: [{ role: 'user', content: 'Hi' }] });
    const reading = runs.frames('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id, stream: true });
    const run = await firstWord(thread.id);
    const [message] = await listed(runs, `/threads/${thread.id}/messages?run_id=${run.id}`);
    assert.equal(message.status, 'in_progress');
    const began = performance.now();
    assert.equal((await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/cancel`, {})).status, 'cancelling');
    const frames = await reading;
    assert.ok(performance.now() - began < 1000);
    assert.deepEqual(names(frames.filter(({ event }) => !event.endsWith('.delta'))).slice(-5), [
      'run.cancelling',
      'message.incomplete',
      'run.step.cancelled',
      'run.cancelled',
      'done',
    ]);
    const done = await ended(thread.id, run.id, frames);
    assertFold(done);
    assert.equal(done.messages[0].incomplete_details.reason, 'run_cancelled');
    assert.match(textOf(done.messages[0]), /^It i/);
    const second = await runs.ok('POST', `/threads/${thread.id}/messages`, { role: 'user', content: 'Again.' });
    assert.equal(second.role, 'user');
  });

  test('a run that reaches its time expires, with what was said, and the thread is free', async () => {
    await open({ settings: { runTtlSeconds: 2 } });
    const never = new Promise<void>(() => {});
    runs.upstream.script({
      events: [...responseEvents([{ kind: 'message', text: 'It is per' }], { end: 'none' }).slice(0, -3), never],
    });
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o' });
    const frames = await runs.frames('POST', '/threads/runs', {
      assistant_id: assistant.id,
      stream: true,
      thread: { messages: [{ role: 'user', content: 'Hi' }] },
    });
    assert.deepEqual(names(frames).slice(-4), ['message.incomplete', 'run.step.expired', 'run.expired', 'done']);
    const run = frames.at(-2)!.data;
    const done = await ended(run.thread_id, run.id, frames.slice(1));
    assertFold(done);
    assert.equal(done.messages[0].incomplete_details.reason, 'run_expired');
    assert.match(textOf(done.messages[0]), /^It i/);
  });

  test('a run whose thread is deleted is left alone, and its reader told the end', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    runs.upstream.script({ events: [held, ...responseEvents([{ kind: 'message', text: 'Hi' }])] });
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o' });
    const thread = await runs.ok('POST', '/threads', { messages: [{ role: 'user', content: 'Hi' }] });
    const reading = runs.frames('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id, stream: true });
    while (runs.upstream.modelCalls.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await runs.ok('DELETE', `/threads/${thread.id}`);
    const frames = await reading;
    assert.equal(frames.at(-1)!.event, 'done');
    release();
  });

  test('a model that never ends is stopped after so many turns', { timeout: 60_000 }, async () => {
    await open({ settings: { engine: 'chat' } });
    runs.upstream.script((): Script =>
      chat(
        [
          {
            tool_calls: [
              {
                index: 0,
                id: 'call_s',
                type: 'function',
                function: { name: 'file_search', arguments: '{"queries":["x"]}' },
              },
            ],
          },
        ],
        'tool_calls',
      ),
    );
    runs.upstream.vectorStores.set('vs_1', { id: 'vs_1', status: 'completed', file_counts: { in_progress: 0 } });
    const { thread, run } = await beginRun(runs, {
      assistant: { tools: [{ type: 'file_search' }], tool_resources: { file_search: { vector_store_ids: ['vs_1'] } } },
    });
    const done = await runs.settled(thread.id, run.id);
    assert.deepEqual([done.status, done.last_error.code], ['failed', 'server_error']);
    assert.match(done.last_error.message, /50 turns/);
  });
});

describe('reading on', () => {
  test('from any place of a run’s events gives the rest, so that both parts make the whole', async () => {
    const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
    const script = (): Script => {
      const events: (Json | Promise<unknown>)[] = [
        ...responseEvents([{ kind: 'message', text: 'one two three four' }], { chunk: 4 }),
      ];
      void events.splice(6, 0, gates[0]!.promise);
      void events.splice(8, 0, gates[1]!.promise);
      void events.splice(10, 0, gates[2]!.promise);
      return { events };
    };
    runs.upstream.script(script);
    const { thread, run } = await beginRun(runs);
    const path = `/threads/${thread.id}/runs/${run.id}/events`;
    const whole = runs.frames('GET', path);
    for (const gate of gates) {
      await new Promise((resolve) => setTimeout(resolve, 80));
      gate.resolve();
    }
    const all = await whole;
    const numbered = all.slice(0, -1);
    for (let i = 1; i < numbered.length; i++)
      assert.ok(numbered[i]!.data.seq > numbered[i - 1]!.data.seq, 'places grow');
    const plain = (frames: readonly Frame[]) =>
      frames.map(({ event, data }) => (event === 'done' ? { event, data } : { event, data: data.data }));
    assertFold(await ended(thread.id, run.id, plain(all)));
    for (const [i, frame] of numbered.entries()) {
      if (frame.event.endsWith('.delta')) continue;
      const rest = await runs.frames('GET', `${path}?after=${frame.data.seq}`);
      const folded = [...plain(numbered.slice(0, i + 1)), ...plain(rest)];
      assert.deepEqual(foldFramesLoosely(folded), foldFramesLoosely(plain(all)), `after ${frame.data.seq}`);
    }
  });

  test('in the middle of a message goes on behind the last word', async () => {
    const gate = Promise.withResolvers<void>();
    const events: (Json | Promise<unknown>)[] = [
      ...responseEvents([{ kind: 'message', text: 'one two three four' }], { chunk: 4 }),
    ];
    void events.splice(8, 0, gate.promise);
    runs.upstream.script({ events });
    const { thread, run } = await beginRun(runs);
    const found = await runs.store.findRun('team_red', thread.id, run.id);
    const first: Frame[] = [];
    const leave = new AbortController();
    for await (const { seq, event } of runs.engine.events(found!, 0, leave.signal)) {
      first.push({ event: event.event, data: { seq, event } });
      const said = first
        .map((frame) => frame.data.event)
        .filter((one) => one.event === 'thread.message.delta')
        .map((one) => one.delta.content[0].text.value)
        .join('');
      if (said.length >= 12) break;
    }
    const rest: Any[] = [];
    gate.resolve();
    for await (const { event } of runs.engine.events(found!, first.at(-1)!.data.seq, leave.signal)) rest.push(event);
    const words = [...first.map((frame) => frame.data.event), ...rest]
      .filter((one) => one.event === 'thread.message.delta')
      .map((one) => one.delta.content[0].text.value);
    assert.equal(words.join(''), 'one two three four');
    assert.equal(rest.at(-1).event, 'thread.run.completed');
  });

  test('a run that is over ends at once', async () => {
    const { thread, run } = await beginRun(runs);
    await runs.settled(thread.id, run.id);
    const frames = await runs.frames('GET', `/threads/${thread.id}/runs/${run.id}/events`);
    assertFold(
      await ended(
        thread.id,
        run.id,
        frames.map(({ event, data }) => (event === 'done' ? { event, data } : { event, data: data.data })),
      ),
    );
    const last = frames.at(-2)!.data.seq;
    assert.deepEqual(names(await runs.frames('GET', `/threads/${thread.id}/runs/${run.id}/events?after=${last}`)), [
      'done',
    ]);
  });
});

/** Objects alone: who comes back may not know all deltas. */
function foldFramesLoosely(frames: readonly Frame[]): unknown {
  const objects = new Map<string, unknown>();
  for (const { event, data } of frames) if (event !== 'done' && !event.endsWith('.delta')) objects.set(data.id, data);
  return Object.fromEntries(objects);
}
