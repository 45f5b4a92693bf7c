// Tools that the model does not leave to its user: code and its files, searches and their citations, images.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { BLUE_CALLER } from '../support/desk.ts';
import type { ScriptItem } from '../support/responses-script.ts';
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

const PLOT = Buffer.from('89504e470d0a1a0a', 'hex');
const CSV = Buffer.from('a,b\n1,2\n');
const CODE = { tools: [{ type: 'code_interpreter' }] };

const textOf = (message: Any) => message.content.map((part: Any) => part.text?.value ?? part.type).join('|');
const answersOf = async (thread: string) =>
  (await listed(runs, `/threads/${thread}/messages`)).filter((message) => message.role === 'assistant');

async function bytesOf(path: string, as?: typeof BLUE_CALLER): Promise<{ status: number; bytes: Buffer }> {
  const { reply } = await runs.ask('GET', path, undefined, as);
  if (typeof reply.body === 'string') return { status: reply.status, bytes: Buffer.from(reply.body) };
  const parts: Buffer[] = [];
  for await (const part of reply.body) parts.push(Buffer.from(part));
  return { status: reply.status, bytes: Buffer.concat(parts) };
}

function container(id: string, files: Record<string, { path: string; source?: string; content: Buffer }>): void {
  runs.upstream.containers.set(id, {
    files: new Map(Object.entries(files).map(([name, file]) => [name, { source: 'assistant', ...file }])),
  });
}

const ran = (id: string, more: Partial<Extract<ScriptItem, { kind: 'code' }>> = {}): ScriptItem => ({
  kind: 'code',
  code: 'plot()',
  container: id,
  outputs: [{ type: 'logs', logs: 'done' }],
  ...more,
});

describe('code', () => {
  const link = 'sandbox:/mnt/data/out.csv';
  const said = `Here is the plot. [Download](${link})`;
  const cited: ScriptItem = {
    kind: 'message',
    text: said,
    annotations: [
      {
        annotation: {
          type: 'container_file_citation',
          container_id: 'cntr_1',
          file_id: 'cfile_csv',
          filename: 'out.csv',
          start_index: said.indexOf(link),
          end_index: said.indexOf(link) + link.length,
        },
      },
    ],
  };
  const files = {
    cfile_plot: { path: '/mnt/data/plot.png', content: PLOT },
    cfile_csv: { path: '/mnt/data/out.csv', content: CSV },
    cfile_in: { path: '/mnt/data/in.csv', source: 'user', content: Buffer.from('in') },
  };

  test('leaves files that are still there when its container is gone', async () => {
    container('cntr_1', files);
    runs.upstream.script(items([ran('cntr_1'), cited]));
    const { thread, run } = await beginRun(runs, { assistant: CODE });
    assert.equal((await runs.settled(thread.id, run.id)).status, 'completed');
    runs.upstream.containers.clear();

    const [message] = await answersOf(thread.id);
    assert.deepEqual(
      message.content.map(({ type }: Any) => type),
      ['image_file', 'text'],
    );
    const image = message.content[0].image_file.file_id;
    const [path] = message.content[1].text.annotations;
    assert.equal(path.type, 'file_path');
    assert.equal(path.text, link);
    const [step] = await listed(runs, `/threads/${thread.id}/runs/${run.id}/steps`);
    assert.deepEqual(step.step_details.tool_calls[0].code_interpreter, {
      input: 'plot()',
      outputs: [
        { type: 'logs', logs: 'done' },
        { type: 'image', image: { file_id: image } },
      ],
    });

    assert.deepEqual((await bytesOf(`/files/${image}/content`)).bytes, PLOT);
    assert.deepEqual((await bytesOf(`/files/${path.file_path.file_id}/content`)).bytes, CSV);
    const file = await runs.ok('GET', `/files/${path.file_path.file_id}`);
    assert.deepEqual([file.filename, file.bytes, file.purpose], ['out.csv', CSV.length, 'assistants_output']);
    assert.equal((await bytesOf(`/files/${image}/content`, BLUE_CALLER)).status, 404);
    await runs.ok('DELETE', `/files/${image}`);
    assert.equal((await bytesOf(`/files/${image}/content`)).status, 404);
    // What was put into the container is no product.
    assert.equal([...runs.upstream.files.values()].map(({ filename }) => filename).includes('in.csv'), false);
    assert.deepEqual(
      [...runs.upstream.files.values()].map(({ filename, purpose }) => [filename, purpose]),
      [
        ['plot.png', 'vision'],
        ['out.csv', 'user_data'],
      ],
    );
  });

  test('is streamed as it is written, its outputs behind it', async () => {
    container('cntr_1', files);
    runs.upstream.script(items([ran('cntr_1'), cited]));
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o', ...CODE });
    const frames = await runs.frames('POST', '/threads/runs', {
      assistant_id: assistant.id,
      stream: true,
      thread: { messages: [{ role: 'user', content: 'Plot.' }] },
    });
    const run = frames.at(-2)!.data;
    const folded = foldFrames(frames);
    assert.deepEqual(folded.messages, await answersOf(run.thread_id));
    assert.deepEqual(folded.steps, await listed(runs, `/threads/${run.thread_id}/runs/${run.id}/steps`));
  });

  test('runs in the same container while that lives, and shows no product twice', async () => {
    container('cntr_1', files);
    runs.upstream.script(
      items([ran('cntr_1'), cited]),
      items([ran('cntr_1', { code: 'again()' }), { kind: 'message', text: 'Again.' }]),
    );
    const { assistant, thread, run } = await beginRun(runs, { assistant: CODE });
    await runs.settled(thread.id, run.id);
    const second = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    await runs.settled(thread.id, second.id);
    const containers = runs.upstream.modelCalls.map(({ body }) => body.tools[0].container);
    assert.deepEqual(containers, [{ type: 'auto', file_ids: [] }, 'cntr_1']);
    assert.deepEqual((await answersOf(thread.id)).map(textOf), [`image_file|${said}`, 'Again.']);
  });

  test('whose container has expired runs in a new one, with what it had written', async () => {
    container('cntr_1', files);
    runs.upstream.script(
      items([ran('cntr_1'), cited]),
      failure(404, { message: "Container with id 'cntr_1' not found." }),
      items([ran('cntr_2'), { kind: 'message', text: 'Again.' }]),
    );
    const { assistant, thread, run } = await beginRun(runs, { assistant: CODE });
    await runs.settled(thread.id, run.id);
    container('cntr_2', {});
    const second = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    assert.equal((await runs.settled(thread.id, second.id)).status, 'completed');
    const containers = runs.upstream.modelCalls.map(({ body }) => body.tools[0].container);
    assert.deepEqual(containers, [
      { type: 'auto', file_ids: [] },
      'cntr_1',
      { type: 'auto', file_ids: ['file-up1', 'file-up2'] },
    ]);
  });

  test('gets the files of its assistant, its thread and its messages, also in a container that stands', async () => {
    for (const id of ['file-of-assistant', 'file-first', 'file-second']) {
      runs.upstream.files.set(id, { filename: id, purpose: 'assistants', content: CSV });
    }
    container('cntr_1', {});
    runs.upstream.script(items([ran('cntr_1'), { kind: 'message', text: 'Ok.' }]));
    const assistant = await runs.ok('POST', '/assistants', {
      model: 'gpt-4o',
      ...CODE,
      tool_resources: { code_interpreter: { file_ids: ['file-of-assistant'] } },
    });
    const attach = (id: string) => ({
      role: 'user',
      content: 'Look.',
      attachments: [{ file_id: id, tools: [{ type: 'code_interpreter' }] }],
    });
    const thread = await runs.ok('POST', '/threads', { messages: [attach('file-first')] });
    const first = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    await runs.settled(thread.id, first.id);
    assert.deepEqual(runs.upstream.modelCalls[0]!.body.tools[0].container, {
      type: 'auto',
      file_ids: ['file-of-assistant', 'file-first'],
    });
    assert.match(runs.upstream.modelCalls[0]!.body.input[0].content[0].text, /file-first/);

    await runs.ok('POST', `/threads/${thread.id}/messages`, attach('file-second'));
    const second = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    await runs.settled(thread.id, second.id);
    assert.equal(runs.upstream.modelCalls[1]!.body.tools[0].container, 'cntr_1');
    assert.deepEqual(
      [...runs.upstream.containers.get('cntr_1')!.files.values()].map(({ path }) => path),
      ['/mnt/data/file-second'],
    );
  });

  test('that ran before its function was answered is shown again, as a call or, in another container, in words', async () => {
    container('cntr_1', {});
    const call: ScriptItem = { kind: 'function', name: 'ask', args: '{}', callId: 'call_a' };
    const asked = async (more: Script) => {
      runs.upstream.script(
        items([{ kind: 'reasoning', encrypted: 'sealed' }, ran('cntr_1'), call]),
        more,
        answer('Done.'),
      );
      const { thread, run } = await beginRun(runs, {
        assistant: { tools: [...CODE.tools, { type: 'function', function: { name: 'ask' } }] },
      });
      await runs.settled(thread.id, run.id);
      await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, {
        tool_outputs: [{ tool_call_id: 'call_a', output: 'x' }],
      });
      assert.equal((await runs.settled(thread.id, run.id)).status, 'completed');
      return runs.upstream.modelCalls.at(-1)!.body.input.map((item: Any) => item.type ?? item.role);
    };
    assert.deepEqual(await asked(answer('Done.')), [
      'user',
      'reasoning',
      'code_interpreter_call',
      'function_call',
      'function_call_output',
    ]);
    assert.deepEqual(await asked(failure(404, { message: 'Container is expired.' })), [
      'user',
      'developer',
      'function_call',
      'function_call_output',
    ]);
  });

  test('whose files cannot be had is told without them', async () => {
    runs.upstream.script(items([ran('cntr_gone'), cited]));
    const { thread, run } = await beginRun(runs, { assistant: CODE });
    assert.equal((await runs.settled(thread.id, run.id)).status, 'completed');
    const [message] = await answersOf(thread.id);
    assert.equal(textOf(message), said);
  });
});

describe('searching files', () => {
  const SEARCH = {
    tools: [{ type: 'file_search', file_search: { max_num_results: 7, ranking_options: { score_threshold: 0.4 } } }],
    tool_resources: { file_search: { vector_store_ids: ['vs_a'] } },
  };
  const results = [
    { file_id: 'file-a', filename: 'a.md', score: 0.9, text: 'alpha' },
    { file_id: 'file-b', filename: 'b.md', score: 0.5, text: 'beta' },
  ];
  const found: ScriptItem[] = [
    { kind: 'search', queries: ['x'], results },
    {
      kind: 'message',
      text: 'Beta 🙂.',
      annotations: [{ after: 4, annotation: { type: 'file_citation', index: 6, file_id: 'file-b', filename: 'b.md' } }],
    },
  ];
  beforeEach(() => {
    for (const id of ['vs_a', 'vs_t'])
      runs.upstream.vectorStores.set(id, { id, status: 'completed', file_counts: { in_progress: 0 } });
  });

  async function searched(): Promise<{ thread: Any; run: Any }> {
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o', ...SEARCH });
    const thread = await runs.ok('POST', '/threads', {
      messages: [{ role: 'user', content: 'x?' }],
      tool_resources: { file_search: { vector_store_ids: ['vs_t'] } },
    });
    const run = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    return { thread, run: await runs.settled(thread.id, run.id) };
  }

  test('searches the assistant’s store and the thread’s together, and cites what it found', async () => {
    runs.upstream.script(items(found));
    const { thread, run } = await searched();
    assert.equal(run.status, 'completed');
    const { tools, include } = runs.upstream.modelCalls[0]!.body;
    assert.deepEqual(tools[0], {
      type: 'file_search',
      vector_store_ids: ['vs_a', 'vs_t'],
      max_num_results: 7,
      ranking_options: { ranker: 'auto', score_threshold: 0.4 },
    });
    assert.ok(include.includes('file_search_call.results'));
    const [message] = await answersOf(thread.id);
    assert.equal(textOf(message), 'Beta 🙂【0:1†b.md】.');
    const [annotation] = message.content[0].text.annotations;
    assert.deepEqual([annotation.text, annotation.start_index, annotation.end_index], ['【0:1†b.md】', 6, 16]);
    const steps = `/threads/${thread.id}/runs/${run.id}/steps`;
    const [plain] = await listed(runs, steps);
    assert.deepEqual(plain.step_details.tool_calls[0].file_search, {
      ranking_options: { ranker: 'default_2024_08_21', score_threshold: 0.4 },
      results: [
        { file_id: 'file-a', file_name: 'a.md', score: 0.9 },
        { file_id: 'file-b', file_name: 'b.md', score: 0.5 },
      ],
    });
    const [whole] = await listed(runs, `${steps}?include[]=step_details.tool_calls[*].file_search.results[*].content`);
    assert.equal(whole.step_details.tool_calls[0].file_search.results[1].content[0].text, 'beta');
  });

  test('without any store is no tool at all', async () => {
    const { thread, run } = await beginRun(runs, {
      assistant: { tools: [{ type: 'file_search' }] },
      run: { tool_choice: { type: 'file_search' } },
    });
    await runs.settled(thread.id, run.id);
    const { tools, tool_choice: choice } = runs.upstream.modelCalls[0]!.body;
    assert.deepEqual([tools, choice], [undefined, undefined]);
  });

  test('waits for files of the thread that are still read in', async () => {
    runs.upstream.vectorStores.set('vs_t', { id: 'vs_t', status: 'in_progress', file_counts: { in_progress: 1 } });
    setTimeout(
      () =>
        runs.upstream.vectorStores.set('vs_t', { id: 'vs_t', status: 'completed', file_counts: { in_progress: 0 } }),
      300,
    );
    const { run } = await searched();
    assert.equal(run.status, 'completed');
    assert.ok(runs.upstream.calls.filter(({ path }) => path === '/v1/vector_stores/vs_t').length >= 2);
  });

  test('does not wait for those of the assistant', async () => {
    runs.upstream.vectorStores.set('vs_a', { id: 'vs_a', status: 'in_progress', file_counts: { in_progress: 1 } });
    const { run } = await searched();
    assert.equal(run.status, 'completed');
    assert.equal(
      runs.upstream.calls.filter(({ path }) => path === '/v1/vector_stores/vs_a').length,
      2,
      'when it is named, and by the run',
    );
  });

  test('in a store that has expired fails the run, and says which', async () => {
    runs.upstream.vectorStores.set('vs_t', { id: 'vs_t', status: 'expired' });
    const { run } = await searched();
    assert.deepEqual([run.status, run.last_error.code], ['failed', 'server_error']);
    assert.match(run.last_error.message, /vs_t has expired/);
    assert.equal(runs.upstream.modelCalls.length, 0);
  });
});

describe('images', () => {
  test('of a user reach the model, by file and by URL', async () => {
    runs.upstream.files.set('file-photo', { filename: 'a.png', purpose: 'vision', content: PLOT });
    const content = [
      { type: 'text', text: 'What is it?' },
      { type: 'image_file', image_file: { file_id: 'file-photo', detail: 'low' } },
      { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
    ];
    const { thread, run } = await beginRun(runs, { content });
    await runs.settled(thread.id, run.id);
    assert.deepEqual(runs.upstream.modelCalls[0]!.body.input[0].content, [
      { type: 'input_text', text: 'What is it?' },
      { type: 'input_image', file_id: 'file-photo', detail: 'low' },
      { type: 'input_image', image_url: 'https://example.com/a.png', detail: 'auto' },
    ]);
  });

  test('that code made are shown to the model again when their user asks about them', async () => {
    container('cntr_1', { cfile_plot: { path: '/mnt/data/plot.png', content: PLOT } });
    runs.upstream.script(items([ran('cntr_1'), { kind: 'message', text: 'Here.' }]), answer('A plot.'));
    const { assistant, thread, run } = await beginRun(runs, { assistant: CODE });
    await runs.settled(thread.id, run.id);
    const [message] = await answersOf(thread.id);
    const image = message.content[0].image_file.file_id;
    await runs.ok('POST', `/threads/${thread.id}/messages`, {
      role: 'user',
      content: [{ type: 'image_file', image_file: { file_id: image } }],
    });
    const second = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    await runs.settled(thread.id, second.id);
    const { input } = runs.upstream.modelCalls[1]!.body;
    assert.deepEqual(input.at(-1).content, [{ type: 'input_image', file_id: 'file-up1', detail: 'auto' }]);
    assert.deepEqual(input.at(-2).content[0].text, `[image ${image} shown to the user]`);
  });
});

describe('an upstream that only chats', () => {
  const missing: Script = { status: 404, body: { detail: 'Not Found' } };

  test('is found out once, and remembered', async () => {
    runs.upstream.script(missing, chat([{ role: 'assistant', content: '' }, { content: 'It ' }, { content: 'is 4.' }]));
    for (let i = 0; i < 2; i++) {
      const { thread, run } = await beginRun(runs, {
        assistant: { instructions: 'Be brief.', temperature: 0.1 },
        run: { max_completion_tokens: 256 },
      });
      const done = await runs.settled(thread.id, run.id);
      assert.deepEqual([done.status, done.usage.prompt_tokens, done.usage.completion_tokens], ['completed', 12, 5]);
      assert.deepEqual((await answersOf(thread.id)).map(textOf), ['It is 4.']);
    }
    assert.deepEqual(
      runs.upstream.modelCalls.map(({ path }) => path),
      ['/v1/responses', '/v1/chat/completions', '/v1/chat/completions'],
    );
    assert.deepEqual(runs.upstream.modelCalls[1]!.body, {
      model: 'gpt-4o',
      temperature: 0.1,
      max_completion_tokens: 256,
      stream: true,
      stream_options: { include_usage: true },
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'What is 2 + 2?' },
      ],
    });
  });

  test('that does not know a model is not taken for one', async () => {
    runs.upstream.script(failure(404, { message: "The model 'gpt-4o' does not exist", code: 'model_not_found' }));
    const { thread, run } = await beginRun(runs);
    assert.equal((await runs.settled(thread.id, run.id)).status, 'failed');
    assert.equal(runs.upstream.modelCalls.length, 1);
  });

  test('is never asked another way where the operator says so', async () => {
    await open({ settings: { engine: 'responses' } });
    runs.upstream.script(missing);
    const { thread, run } = await beginRun(runs);
    assert.equal((await runs.settled(thread.id, run.id)).status, 'failed');
    assert.equal(runs.upstream.modelCalls.length, 1);
  });

  test('gets no code to run: a run that needs it is refused before it begins', async () => {
    await open({ settings: { engine: 'chat' } });
    const assistant = await runs.ok('POST', '/assistants', { model: 'gpt-4o', ...CODE });
    const thread = await runs.ok('POST', '/threads', {});
    const { status, json } = await runs.ask('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    assert.equal(status, 400);
    assert.match(json.error.message, /tools\[0\].*not supported by this upstream/);
  });

  const stopped = (calls: readonly object[]): Script => chat([{ tool_calls: calls }], 'stop');
  for (const [what, first] of [
    [
      'as OpenAI sends them',
      chat(
        [
          { tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name: 'weather', arguments: '' } }] },
          { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
          { tool_calls: [{ index: 0, function: { arguments: '"Rome"}' } }] },
          { tool_calls: [{ index: 1, id: 'call_b', type: 'function', function: { name: 'time', arguments: '{}' } }] },
        ],
        'tool_calls',
      ),
    ],
    [
      'whole, with a `stop`',
      stopped([
        { index: 0, id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
        { index: 1, id: 'call_b', type: 'function', function: { name: 'time', arguments: '{}' } },
      ]),
    ],
    [
      'without ids',
      stopped([
        { index: 0, function: { name: 'weather', arguments: '{"city":"Rome"}' } },
        { index: 1, function: { name: 'time', arguments: '{}' } },
      ]),
    ],
    [
      'with one id for all',
      stopped([
        { index: 0, id: 'x', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
        { index: 1, id: 'x', function: { name: 'time', arguments: '{}' } },
      ]),
    ],
    [
      'without indexes',
      stopped([
        { id: 'a', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
        { id: 'b', function: { name: 'time', arguments: '{}' } },
      ]),
    ],
  ] as const) {
    test(`calls functions ${what}`, async () => {
      await open({ settings: { engine: 'chat' } });
      runs.upstream.script(first, chat([{ content: 'Sunny.' }]));
      const functions = ['weather', 'time'].map((name) => ({ type: 'function', function: { name } }));
      const { thread, run } = await beginRun(runs, {
        assistant: { tools: functions },
        run: { tool_choice: 'required', parallel_tool_calls: false },
      });
      const waiting = await runs.settled(thread.id, run.id);
      assert.equal(waiting.status, 'requires_action', JSON.stringify(waiting.last_error));
      const calls = waiting.required_action.submit_tool_outputs.tool_calls;
      assert.deepEqual(
        calls.map((call: Any) => [call.function.name, call.function.arguments]),
        [
          ['weather', '{"city":"Rome"}'],
          ['time', '{}'],
        ],
      );
      assert.equal(new Set(calls.map(({ id }: Any) => id)).size, 2);
      await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, {
        tool_outputs: calls.map(({ id }: Any, i: number) => ({ tool_call_id: id, output: `o${i}` })),
      });
      assert.equal((await runs.settled(thread.id, run.id)).status, 'completed');
      const [one, two] = runs.upstream.modelCalls;
      assert.equal(one!.body.tool_choice, 'required');
      assert.equal(one!.body.parallel_tool_calls, false);
      assert.equal(two!.body.tool_choice, undefined);
      assert.deepEqual(
        two!.body.messages
          .slice(1)
          .map((message: Any) => [message.role, message.tool_calls?.length ?? message.content]),
        [
          ['assistant', 2],
          ['tool', 'o0'],
          ['tool', 'o1'],
        ],
      );
    });
  }

  test('ends as it says: by length, by filter, by refusal, by error', async () => {
    await open({ settings: { engine: 'chat' } });
    const endOf = async (script: Script) => {
      runs.upstream.script(script);
      const { thread, run } = await beginRun(runs);
      const done = await runs.settled(thread.id, run.id);
      const [message] = await answersOf(thread.id);
      return [done.status, message?.incomplete_details?.reason ?? message?.content[0].type ?? null];
    };
    assert.deepEqual(await endOf(chat([{ content: 'Once' }], 'length')), ['incomplete', 'max_tokens']);
    assert.deepEqual(await endOf(chat([{ content: 'How' }], 'content_filter')), ['failed', 'content_filter']);
    assert.deepEqual(await endOf(chat([{ refusal: 'No.' }])), ['completed', 'refusal']);
    assert.deepEqual(await endOf({ events: [{ error: { message: 'Broken.', code: 'server_error' } }] }), [
      'failed',
      null,
    ]);
  });

  test('that does not count is counted for', async () => {
    await open({ settings: { engine: 'chat' } });
    runs.upstream.script(chat([{ content: 'It is 4.' }], 'stop', null));
    const { thread, run } = await beginRun(runs);
    const { usage } = await runs.settled(thread.id, run.id);
    assert.ok(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
  });

  test('and knows the older name of the limit is asked by that', async () => {
    await open({ settings: { engine: 'chat' } });
    runs.upstream.script(
      failure(400, { message: "Unknown field 'max_completion_tokens'." }),
      chat([{ content: '4.' }]),
    );
    const { thread, run } = await beginRun(runs, { run: { max_completion_tokens: 256 } });
    const done = await runs.settled(thread.id, run.id);
    assert.equal(done.status, 'completed', JSON.stringify(done.last_error));
    assert.equal(runs.upstream.modelCalls[1]!.body.max_tokens, 256);
  });

  test('is given images whole', async () => {
    await open({ settings: { engine: 'chat' } });
    runs.upstream.files.set('file-photo', { filename: 'a.png', purpose: 'vision', content: PLOT });
    runs.upstream.script(chat([{ content: 'A dot.' }]));
    const { assistant, thread, run } = await beginRun(runs, {
      content: [{ type: 'image_file', image_file: { file_id: 'file-photo' } }],
    });
    assert.equal((await runs.settled(thread.id, run.id)).status, 'completed');
    assert.deepEqual(runs.upstream.modelCalls[0]!.body.messages[0].content, [
      { type: 'image_url', image_url: { url: `data:image/png;base64,${PLOT.toString('base64')}`, detail: 'auto' } },
    ]);
    runs.upstream.files.delete('file-photo');
    const gone = await runs.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    const done = await runs.settled(thread.id, gone.id);
    assert.deepEqual([done.status, done.last_error.code], ['failed', 'invalid_prompt']);
  });

  test('has its searches made for it, step and citations as anywhere', async () => {
    await open({ settings: { engine: 'chat' } });
    runs.upstream.vectorStores.set('vs_a', { id: 'vs_a', status: 'completed' });
    runs.upstream.found = [
      { file_id: 'file-b', filename: 'b.md', score: 0.5, content: [{ type: 'text', text: 'beta' }] },
      { file_id: 'file-a', filename: 'a.md', score: 0.9, content: [{ type: 'text', text: 'alpha' }] },
    ];
    runs.upstream.script(
      chat(
        [
          {
            tool_calls: [
              {
                index: 0,
                id: 'call_s',
                type: 'function',
                function: { name: 'file_search', arguments: '{"queries":["x","y"]}' },
              },
            ],
          },
        ],
        'tool_calls',
      ),
      chat([{ content: 'Beta 🙂【0:1†' }, { content: 'b.md】.' }]),
    );
    const assistant = await runs.ok('POST', '/assistants', {
      model: 'local',
      tools: [{ type: 'file_search' }],
      tool_resources: { file_search: { vector_store_ids: ['vs_a'] } },
    });
    const frames = await runs.frames('POST', '/threads/runs', {
      assistant_id: assistant.id,
      stream: true,
      thread: { messages: [{ role: 'user', content: 'x?' }] },
    });
    const run = frames.at(-2)!.data;
    assert.equal(run.status, 'completed');
    assert.equal(run.usage.total_tokens, 34);
    const folded = foldFrames(frames);
    assert.deepEqual(folded.messages, await answersOf(run.thread_id));
    assert.deepEqual(folded.steps, await listed(runs, `/threads/${run.thread_id}/runs/${run.id}/steps`));
    const [message] = await answersOf(run.thread_id);
    assert.deepEqual(message.content[0].text.annotations, [
      {
        type: 'file_citation',
        text: '【0:1†b.md】',
        start_index: 6,
        end_index: 16,
        file_citation: { file_id: 'file-b' },
      },
    ]);
    const search = runs.upstream.calls.find(({ path }) => path === '/v1/vector_stores/vs_a/search');
    assert.deepEqual(search?.body, { query: ['x', 'y'], max_num_results: 20 });
    const told = runs.upstream.modelCalls[1]!.body.messages;
    assert.deepEqual(
      told.map(({ role }: Any) => role),
      ['user', 'assistant', 'tool'],
    );
    assert.match(told[2].content, /【0:0†a.md】 \(score 0.90\)\nalpha\n\n【0:1†b.md】/);
    assert.equal(told[1].tool_calls[0].id, told[2].tool_call_id);
  });

  test('may search and call a function at once', async () => {
    await open({ settings: { engine: 'chat' } });
    runs.upstream.vectorStores.set('vs_a', { id: 'vs_a', status: 'completed' });
    runs.upstream.script(
      chat(
        [
          {
            tool_calls: [
              { index: 0, id: 'call_f', type: 'function', function: { name: 'time', arguments: '{}' } },
              {
                index: 1,
                id: 'call_s',
                type: 'function',
                function: { name: 'file_search', arguments: '{"queries":["x"]}' },
              },
            ],
          },
        ],
        'tool_calls',
      ),
      chat([{ content: 'Noon.' }]),
    );
    const { thread, run } = await beginRun(runs, {
      assistant: {
        tools: [{ type: 'file_search' }, { type: 'function', function: { name: 'time' } }],
        tool_resources: { file_search: { vector_store_ids: ['vs_a'] } },
      },
    });
    const waiting = await runs.settled(thread.id, run.id);
    assert.deepEqual(
      waiting.required_action.submit_tool_outputs.tool_calls.map(({ id }: Any) => id),
      ['call_f'],
    );
    await runs.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, {
      tool_outputs: [{ tool_call_id: 'call_f', output: 'noon' }],
    });
    assert.equal((await runs.settled(thread.id, run.id)).status, 'completed');
    const told = runs.upstream.modelCalls[1]!.body.messages;
    assert.deepEqual(
      told.map((message: Any) => [message.role, message.tool_calls?.length ?? message.content]),
      [
        ['user', 'What is 2 + 2?'],
        ['assistant', 2],
        ['tool', 'Nothing was found.'],
        ['tool', 'noon'],
      ],
    );
  });
});
