// Objects brought in from dumps and taken out again, through the admin API and the command line.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { judgeAnswer } from '../support/assistants-judge.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import { type Recorder, startRecorder } from '../support/recorder.ts';

const THREAD = 'thread_old1';
const text = (value: string) => [{ type: 'text', text: { value, annotations: [] } }];
const message = (id: string, created_at: number, value: string, more: object = {}) => ({
  type: 'message',
  object: {
    id,
    object: 'thread.message',
    created_at,
    thread_id: THREAD,
    role: 'user',
    content: text(value),
    assistant_id: null,
    run_id: null,
    attachments: [],
    metadata: {},
    ...more,
  },
});
const run = (id: string, status: string) => ({
  type: 'run',
  object: {
    id,
    object: 'thread.run',
    created_at: 1_700_000_100,
    thread_id: THREAD,
    assistant_id: 'asst_old1',
    status,
    model: 'gpt-4-turbo',
    instructions: 'Be kind.',
    tools: [{ type: 'retrieval' }],
    metadata: {},
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
    temperature: 1,
    top_p: 1,
  },
});

const DUMP = [
  // As lists gave them: newest first, two of one second.
  message('msg_c', 1_700_000_200, 'three'),
  message('msg_b', 1_700_000_100, 'two', { role: 'assistant', assistant_id: 'asst_old1', run_id: 'run_old1' }),
  message('msg_a', 1_700_000_100, 'one'),
  {
    type: 'step',
    object: {
      id: 'step_old1',
      object: 'thread.run.step',
      created_at: 1_700_000_101,
      thread_id: THREAD,
      run_id: 'run_old1',
      assistant_id: 'asst_old1',
      type: 'message_creation',
      status: 'completed',
      step_details: { type: 'message_creation', message_creation: { message_id: 'msg_b' } },
      completed_at: 1_700_000_102,
      metadata: null,
      usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
    },
  },
  run('run_old1', 'completed'),
  run('run_stuck', 'requires_action'),
  {
    type: 'thread',
    object: { id: THREAD, object: 'thread', created_at: 1_700_000_000, metadata: { user: '7' }, tool_resources: null },
  },
  {
    type: 'assistant',
    object: {
      id: 'asst_old1',
      object: 'assistant',
      created_at: 1_690_000_000,
      name: 'Old',
      description: null,
      model: 'gpt-4-turbo',
      instructions: 'Be kind.',
      tools: [{ type: 'retrieval' }, { type: 'code_interpreter' }],
      file_ids: ['file-old'],
      metadata: {},
      temperature: 1,
      top_p: 0.5,
      response_format: 'auto',
    },
  },
];
const lines = (objects: readonly unknown[]) => objects.map((object) => JSON.stringify(object)).join('\n');
const COUNTS = { assistants: 1, threads: 1, messages: 3, items: 0, runs: 2, steps: 1, files: 0 };
const NONE = { assistants: 0, threads: 0, messages: 0, items: 0, runs: 0, steps: 0, files: 0 };

describe('import and export', () => {
  let upstream: Recorder;
  let gateway: TestGateway;
  let directory: string;
  before(async () => {
    upstream = await startRecorder();
    gateway = await startGateway({ upstream: `${upstream.url}/v1` });
    directory = await mkdtemp(join(tmpdir(), 'throughway-import-'));
  });
  after(async () => {
    await gateway.close();
    await upstream.close();
    await rm(directory, { recursive: true, force: true });
  });

  const bringIn = async (body: string, query = '') => {
    const reply = await gateway.adminFetch(`/admin/v1/assistants/import${query}`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/jsonl' },
    });
    // oxlint-disable-next-line typescript/no-explicit-any
    return { status: reply.status, report: (await reply.json()) as any };
  };
  const takeOut = async (query = '') => (await gateway.adminFetch(`/admin/v1/assistants/export${query}`)).text();
  const read = async (path: string) => {
    const reply = await fetch(`${gateway.api}/openai${path}`, {
      headers: { authorization: `Bearer ${gateway.token}` },
    });
    // oxlint-disable-next-line typescript/no-explicit-any
    return { status: reply.status, json: (await reply.json()) as any };
  };

  test('a dry run says what would happen, and nothing does', async () => {
    const { status, report } = await bringIn(lines(DUMP), '?dry_run=true');
    assert.equal(status, 200);
    assert.deepEqual(report, {
      dry_run: true,
      lines: 8,
      created: COUNTS,
      updated: NONE,
      unchanged: NONE,
      problems: [],
      problem_count: 0,
    });
    assert.equal((await read(`/threads/${THREAD}`)).status, 404);
  });

  test('a dump comes in with its ids, times and order; what was active has ended', async () => {
    const { report } = await bringIn(lines(DUMP));
    assert.deepEqual([report.created, report.problem_count], [COUNTS, 0]);
    const thread = await read(`/threads/${THREAD}`);
    judgeAnswer('GET', `/threads/${THREAD}`, 200, thread.json);
    assert.deepEqual([thread.json.created_at, thread.json.metadata], [1_700_000_000, { user: '7' }]);

    const { json } = await read(`/threads/${THREAD}/messages?order=asc`);
    judgeAnswer('GET', `/threads/${THREAD}/messages`, 200, json);
    assert.deepEqual(
      json.data.map((one: { id: string }) => one.id),
      ['msg_a', 'msg_b', 'msg_c'],
    );
    assert.deepEqual(json.data[1], {
      ...DUMP[1]?.object,
      status: 'completed',
      incomplete_details: null,
      completed_at: 1_700_000_100,
      incomplete_at: null,
    });

    const runs = (await read(`/threads/${THREAD}/runs?order=asc`)).json;
    judgeAnswer('GET', `/threads/${THREAD}/runs`, 200, runs);
    assert.deepEqual(runs.data.map((one: { status: string }) => one.status).toSorted(), ['completed', 'expired']);
    const steps = (await read(`/threads/${THREAD}/runs/run_old1/steps`)).json;
    judgeAnswer('GET', `/threads/${THREAD}/runs/run_old1/steps`, 200, steps);

    const assistant = (await read('/assistants/asst_old1')).json;
    assert.deepEqual(assistant.tools, [{ type: 'file_search' }, { type: 'code_interpreter' }]);
    assert.deepEqual([assistant.created_at, assistant.top_p, assistant.file_ids], [1_690_000_000, 0.5, ['file-old']]);
  });

  test('a second import changes nothing, and what changed in between is put back', async () => {
    const again = await bringIn(lines(DUMP));
    assert.deepEqual([again.report.created, again.report.updated, again.report.unchanged], [NONE, NONE, COUNTS]);
    await fetch(`${gateway.api}/openai/assistants/asst_old1`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.token}`, 'content-type': 'application/json' },
      body: '{"name":"New"}',
    });
    const third = await bringIn(lines(DUMP));
    assert.deepEqual(third.report.updated, { ...NONE, assistants: 1 });
    assert.equal((await read('/assistants/asst_old1')).json.name, 'Old');
  });

  test('an imported thread goes on: messages and runs are added behind the old ones', async () => {
    const headers = { authorization: `Bearer ${gateway.token}`, 'content-type': 'application/json' };
    const added = await fetch(`${gateway.api}/openai/threads/${THREAD}/messages`, {
      method: 'POST',
      headers,
      body: '{"role":"user","content":"four"}',
    });
    assert.equal(added.status, 200);
    const { json } = await read(`/threads/${THREAD}/messages`);
    assert.equal(json.data[0].content[0].text.value, 'four');
    await fetch(`${gateway.api}/openai/threads/${THREAD}/messages/${json.data[0].id}`, { method: 'DELETE', headers });
  });

  test('what is taken out can be brought in elsewhere, and is the same there', async (t) => {
    const dump = await takeOut();
    const other = await startGateway({ upstream: `${upstream.url}/v1` });
    t.after(() => other.close());
    const report = await other.adminFetch('/admin/v1/assistants/import', { method: 'POST', body: dump });
    assert.equal(((await report.json()) as { problem_count: number }).problem_count, 0);
    assert.equal(await (await other.adminFetch('/admin/v1/assistants/export')).text(), dump);
  });

  test('threads of which an application kept only who said what come in, twice alike', async () => {
    const bare = {
      thread_id: 'thread_bare',
      messages: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'hello', created_at: 1_710_000_000 },
      ],
    };
    const first = await bringIn(lines([bare]));
    assert.deepEqual(first.report.created, { ...NONE, threads: 1, messages: 2 });
    const { json } = await read('/threads/thread_bare/messages?order=asc');
    assert.deepEqual(
      json.data.map((one: { role: string; content: { text: { value: string } }[] }) => [
        one.role,
        one.content[0]?.text.value,
      ]),
      [
        ['user', 'hi'],
        ['assistant', 'hello'],
      ],
    );
    assert.deepEqual((await bringIn(lines([bare]))).report.unchanged, { ...NONE, threads: 1, messages: 2 });
  });

  test('messages whose thread the dump lacks bring it along, and leave one that stands as it is', async () => {
    const lost = message('msg_l', 1_700_000_300, 'x', { thread_id: 'thread_lost' });
    assert.deepEqual((await bringIn(lines([lost]))).report.created, { ...NONE, threads: 1, messages: 1 });
    const { report } = await bringIn(lines([message('msg_m', 1_700_000_400, 'y')]));
    assert.deepEqual([report.created, report.updated], [{ ...NONE, messages: 1 }, NONE]);
    assert.deepEqual((await read(`/threads/${THREAD}`)).json.metadata, { user: '7' });
  });

  test('objects of OpenAI’s without any wrapper are taken too', async () => {
    const { report } = await bringIn(lines([{ id: 'asst_bare', object: 'assistant', created_at: 1, model: 'gpt-4o' }]));
    assert.deepEqual(report.created, { ...NONE, assistants: 1 });
  });

  test('a line that cannot be read is named, and stops no other', async () => {
    const { report } = await bringIn(
      [
        '{"type":',
        '{"type":"lamp","object":{}}',
        '{"type":"thread","object":{"id":"t"}}',
        '{"type":"thread","object":{"id":"thread_ok","created_at":1},"team":"nobody"}',
        '',
        JSON.stringify({ type: 'assistant', object: { id: 'asst_ok', created_at: 1, model: 'm' } }),
        JSON.stringify({ ...DUMP[3], object: { ...(DUMP[3]?.object as object), id: 'step_x', run_id: 'run_none' } }),
      ].join('\n'),
    );
    assert.equal(report.problem_count, 5);
    assert.deepEqual(
      report.problems.map(({ line }: { line: number }) => line),
      [1, 2, 3, 4, 7],
    );
    assert.match(report.problems[3].message, /no team "nobody"/);
    assert.match(report.problems[4].message, /no run run_none/);
    assert.deepEqual(report.created, { ...NONE, assistants: 1 });
  });

  test('lines of a team go to it and to no other, and its export holds nothing else', async () => {
    const unknown = await bringIn(lines(DUMP), '?team=nobody');
    assert.deepEqual([unknown.status, unknown.report.error.param], [404, 'team']);
    assert.equal((await takeOut('?team=default')).split('\n').length, (await takeOut()).split('\n').length);
    assert.equal((await gateway.adminFetch('/admin/v1/assistants/export?team=nobody')).status, 404);
  });

  test('the command line brings in and takes out the same', async (t) => {
    const file = join(directory, 'dump.jsonl');
    const out = join(directory, 'out.jsonl');
    const other = await startGateway({ upstream: `${upstream.url}/v1` });
    t.after(() => other.close());
    const cli = (...args: string[]) => runCli(other, args);
    await writeFile(file, `${lines(DUMP)}\n`);
    const dry = await cli('import', file, '--dry-run');
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, /WOULD BE +CREATED +UPDATED +UNCHANGED/);
    assert.match(dry.stdout, /messages +3 +0 +0/);
    assert.equal((await cli('export')).stdout, '');
    const done = await cli('import', file, '--json');
    assert.deepEqual((JSON.parse(done.stdout) as { created: unknown }).created, COUNTS);
    assert.equal((await cli('export', '--out', out)).code, 0);
    assert.equal(await readFile(out, 'utf8'), (await cli('export')).stdout);
    await writeFile(file, 'nonsense\n');
    const bad = await cli('import', file);
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /line 1: /);
  });
});

async function runCli(
  gateway: TestGateway,
  args: readonly string[],
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const flags = ['--admin-url', gateway.admin];
  const main = new URL('../../src/main.ts', import.meta.url).pathname;
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', main, 'assistants', ...args, ...flags],
    {
      env: { ...process.env, THROUGHWAY_ADMIN_TOKEN: gateway.adminToken },
      cwd: gateway.dataDir,
    },
  );
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString('utf8')));
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString('utf8')));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}
