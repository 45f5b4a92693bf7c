// Threads with all that hangs on them: taken out whole and brought in whole, deleted with what is theirs alone, and never too long.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { eventually } from '../support/eventually.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import type { ScriptItem } from '../support/responses-script.ts';
import { ResponsesUpstream, answer, items } from '../support/responses-upstream.ts';
import type { Any } from '../support/runs.ts';

/** More than one part, and no text. */
const BYTES = Buffer.from(Array.from({ length: 2_500_000 }, (_, i) => (i * 7919) % 251));
const LINK = 'sandbox:/mnt/data/out.bin';
const SAID = `As found, [here](${LINK}).`;
const CALL: ScriptItem = { kind: 'function', name: 'ask', args: '{"q":"🦊?"}', callId: 'call_a' };
const CODE: ScriptItem = {
  kind: 'code',
  code: 'write()',
  container: 'cntr_1',
  outputs: [{ type: 'logs', logs: 'done' }],
};
const SEARCH: ScriptItem = {
  kind: 'search',
  queries: ['x'],
  results: [{ file_id: 'file-b', filename: 'b.md', score: 0.5, text: 'found' }],
};
const MESSAGE: ScriptItem = {
  kind: 'message',
  text: SAID,
  phase: 'final_answer',
  annotations: [
    { after: 8, annotation: { type: 'file_citation', index: 8, file_id: 'file-b', filename: 'b.md' } },
    {
      annotation: {
        type: 'container_file_citation',
        container_id: 'cntr_1',
        file_id: 'cfile_out',
        filename: 'out.bin',
        start_index: SAID.indexOf(LINK),
        end_index: SAID.indexOf(LINK) + LINK.length,
      },
    },
  ],
};
const TOOLS = [{ type: 'code_interpreter' }, { type: 'file_search' }, { type: 'function', function: { name: 'ask' } }];

describe('a thread with all that hangs on it', () => {
  let upstream: ResponsesUpstream;
  let listening: Awaited<ReturnType<ResponsesUpstream['listen']>>;
  let gateways: TestGateway[];

  beforeEach(async () => {
    upstream = new ResponsesUpstream();
    listening = await upstream.listen();
    gateways = [];
    upstream.vectorStores.set('vs_1', { id: 'vs_1', status: 'completed', file_counts: { in_progress: 0 } });
    const file = { path: '/mnt/data/out.bin', source: 'assistant', content: BYTES };
    upstream.containers.set('cntr_1', { files: new Map([['cfile_out', file]]) });
  });
  afterEach(async () => {
    await Promise.all(gateways.map((gateway) => gateway.close()));
    await listening.close();
  });

  const start = async (): Promise<TestGateway> => {
    const gateway = await startGateway({ upstream: listening.url });
    gateways.push(gateway);
    return gateway;
  };

  /** Code, a search, a question to the caller, an answer: everything that a history can hold. */
  const makeThread = async (gateway: TestGateway): Promise<{ readonly thread: string; readonly file: string }> => {
    upstream.script(
      items([{ kind: 'reasoning', encrypted: 'sealed' }, CODE, SEARCH, CALL]),
      items([{ kind: 'reasoning', encrypted: 'sealed too' }, MESSAGE]),
    );
    const assistant = await ok(gateway, 'POST', '/assistants', {
      model: 'gpt-4o',
      tools: TOOLS,
      tool_resources: { file_search: { vector_store_ids: ['vs_1'] } },
    });
    const thread = await ok(gateway, 'POST', '/threads', {
      messages: [{ role: 'user', content: 'Find it — schnell!' }],
    });
    const run = await ok(gateway, 'POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id });
    await settled(gateway, run, 'requires_action');
    await ok(gateway, 'POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, {
      tool_outputs: [{ tool_call_id: 'call_a', output: 'yes' }],
    });
    await settled(gateway, run, 'completed');
    const { data } = await ok(gateway, 'GET', `/threads/${thread.id}/messages?run_id=${run.id}`);
    const { annotations } = data[0].content[0].text;
    const [file] = annotations.filter((one: Any) => one.type === 'file_path').map((one: Any) => one.file_path.file_id);
    assert.deepEqual(
      annotations.map((one: Any) => one.type),
      ['file_citation', 'file_path'],
    );
    assert.match(file, /^file-tw-/);
    return { thread: thread.id, file };
  };

  test('is the same in a store that it was brought into, byte for byte, and goes on there', async () => {
    const from = await start();
    // Two threads at a time, so that their rows stand among each other.
    const made = [await makeThread(from), await makeThread(from)];
    await ok(from, 'POST', `/threads/${made[0]!.thread}/messages`, { role: 'user', content: 'later' });
    const dump = await exported(from);

    const into = await start();
    const reply = await into.adminFetch('/admin/v1/assistants/import', { method: 'POST', body: dump });
    const report = (await reply.json()) as Any;
    assert.equal(report.problem_count, 0, JSON.stringify(report.problems));
    assert.deepEqual([report.created.messages, report.created.files], [5, filesIn(dump)]);
    assert.ok(report.created.items >= 8, `reasoning, calls and outputs: ${report.created.items}`);
    assert.equal(await exported(into), dump);
    const again = await into.adminFetch('/admin/v1/assistants/import', { method: 'POST', body: dump });
    assert.deepEqual(((await again.json()) as Any).unchanged, report.created);

    for (const { thread, file } of made) {
      const content = await fetch(`${into.api}/openai/files/${file}/content`, { headers: bearer(into) });
      assert.ok(Buffer.from(await content.arrayBuffer()).equals(BYTES));
      // What a model is shown of the thread is what it would have been shown where it came from.
      const shown = [await inputOf(from, thread), await inputOf(into, thread)];
      assert.deepEqual(shown[1], shown[0]);
      const kinds = (shown[1] as Any[]).map((item) => item.type ?? item.role);
      assert.ok(kinds.includes('function_call') && kinds.includes('function_call_output'), kinds.join(' '));
      assert.ok(!JSON.stringify(shown[1]).includes('【'), 'no marker is shown that the gateway put in');
    }
  });

  test('goes out and in by the command line too, through a file or a pipe', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'throughway-whole-'));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const from = await start();
    await makeThread(from);
    const out = join(directory, 'out.jsonl');
    assert.equal((await runCli(from, ['export', '--out', out])).code, 0);
    const dump = await readFile(out, 'utf8');
    assert.equal(dump, await exported(from));
    assert.ok(Math.max(...dump.split('\n').map((line) => line.length)) < 1_500_000, 'no line holds a whole file');
    const [byFile, byPipe] = [await start(), await start()];
    const dry = await runCli(byFile, ['import', out, '--dry-run', '--json']);
    assert.equal(dry.code, 0, dry.stderr);
    assert.equal(JSON.parse(dry.stdout).created.files, filesIn(dump));
    const done = await runCli(byFile, ['import', out]);
    assert.equal(done.code, 0, done.stderr);
    assert.equal((await runCli(byPipe, ['import', '-'], dump)).code, 0);
    for (const gateway of [byFile, byPipe]) assert.equal(await exported(gateway), dump);
  });

  test('takes the files that its code made along when it is deleted, and the upstream’s copies', async () => {
    const gateway = await start();
    const { thread, file } = await makeThread(gateway);
    const copies = upstream.files.size;
    assert.ok(copies > 0, 'the file was uploaded, for later code');
    upstream.files.set('file-of-the-user', { filename: 'u', purpose: 'assistants', content: BYTES });
    await ok(gateway, 'GET', `/files/${file}`);
    await ok(gateway, 'DELETE', `/threads/${thread}`);
    const gone = await fetch(`${gateway.api}/openai/files/${file}/content`, { headers: bearer(gateway) });
    assert.equal(gone.status, 404);
    await eventually('the copies are gone', () => upstream.files.size === 1);
    assert.ok(upstream.files.has('file-of-the-user'), 'what a user uploaded stays');
    assert.ok(upstream.vectorStores.has('vs_1'));
  });

  test('leaves the files that something else names as well', async () => {
    const gateway = await start();
    const [named, used] = [await makeThread(gateway), await makeThread(gateway)];
    await ok(gateway, 'POST', '/threads', {
      messages: [
        {
          role: 'user',
          content: 'Go on with this.',
          attachments: [{ file_id: named.file, tools: [{ type: 'code_interpreter' }] }],
        },
      ],
    });
    await ok(gateway, 'POST', '/assistants', {
      model: 'gpt-4o',
      tools: [{ type: 'code_interpreter' }],
      tool_resources: { code_interpreter: { file_ids: [used.file] } },
    });
    for (const { thread, file } of [named, used]) {
      await ok(gateway, 'DELETE', `/threads/${thread}`);
      assert.equal((await ok(gateway, 'GET', `/files/${file}`)).id, file);
      await ok(gateway, 'DELETE', `/files/${file}`);
    }
  });

  test('takes no more than 100,000 messages, and a deleted one makes room', async () => {
    const gateway = await start();
    const thread = (await ok(gateway, 'POST', '/threads', { messages: [{ role: 'user', content: 'one' }] })).id;
    const path = `/threads/${thread}/messages`;
    const two = await ok(gateway, 'POST', path, { role: 'user', content: 'two' });
    const database = new DatabaseSync(join(gateway.dataDir, 'throughway.db'));
    const counted = () =>
      (database.prepare('SELECT message_count AS n FROM threads WHERE id = ?').get(thread) as { n: number }).n;
    assert.equal(counted(), 2);
    // As if so many had been written.
    database.prepare('UPDATE threads SET message_count = 99999 WHERE id = ?').run(thread);
    await ok(gateway, 'POST', path, { role: 'user', content: 'the last' });
    const refusal = {
      error: {
        message:
          "Invalid 'messages': array too long. Expected an array with maximum length 100000, but got an array with length 100001 instead.",
        type: 'invalid_request_error',
        param: 'messages',
        code: 'array_above_max_length',
      },
    };
    const refused = await ask(gateway, 'POST', path, { role: 'user', content: 'one more' });
    assert.deepEqual([refused.status, await refused.json()], [400, refusal]);
    const assistant = await ok(gateway, 'POST', '/assistants', { model: 'gpt-4o' });
    const more = await ask(gateway, 'POST', `/threads/${thread}/runs`, {
      assistant_id: assistant.id,
      additional_messages: [{ role: 'user', content: 'one more' }],
    });
    assert.deepEqual([more.status, await more.json()], [400, refusal]);
    await ok(gateway, 'DELETE', `${path}/${two.id}`);
    await ok(gateway, 'POST', path, { role: 'user', content: 'there is room' });
    assert.equal((await ask(gateway, 'POST', path, { role: 'user', content: 'x' })).status, 400);

    // What is said to it is kept in any case, and counted.
    upstream.script(answer('Still here.'));
    const run = await ok(gateway, 'POST', `/threads/${thread}/runs`, { assistant_id: assistant.id });
    await settled(gateway, run, 'completed');
    assert.equal(counted(), 100_001);
    database.close();
  });

  /** What the model is shown when the thread goes on. */
  async function inputOf(gateway: TestGateway, thread: string): Promise<unknown> {
    upstream.script(answer('Again.'));
    const { data } = await ok(gateway, 'GET', '/assistants');
    const run = await ok(gateway, 'POST', `/threads/${thread}/runs`, { assistant_id: data[0].id });
    await settled(gateway, run, 'completed');
    return upstream.modelCalls.at(-1)?.body.input;
  }
});

const bearer = (gateway: TestGateway) => ({ authorization: `Bearer ${gateway.token}` });

function ask(gateway: TestGateway, method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`${gateway.api}/openai${path}`, {
    method,
    headers: { ...bearer(gateway), 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

async function ok(gateway: TestGateway, method: string, path: string, body?: unknown): Promise<Any> {
  const reply = await ask(gateway, method, path, body);
  const text = await reply.text();
  assert.equal(reply.status, 200, `${method} ${path}: ${text}`);
  return JSON.parse(text);
}

async function settled(gateway: TestGateway, run: Any, status: string): Promise<void> {
  for (const deadline = performance.now() + 10_000; ;) {
    const found = await ok(gateway, 'GET', `/threads/${run.thread_id}/runs/${run.id}`);
    if (found.status === status) return;
    assert.ok(performance.now() < deadline, `the run is ${found.status}: ${JSON.stringify(found.last_error)}`);
  }
}

const filesIn = (dump: string) => dump.split('\n').filter((line) => line.startsWith('{"type":"file",')).length;

async function exported(gateway: TestGateway): Promise<string> {
  const reply = await gateway.adminFetch('/admin/v1/assistants/export');
  assert.equal(reply.status, 200);
  return reply.text();
}

async function runCli(
  gateway: TestGateway,
  args: readonly string[],
  input = '',
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const main = new URL('../../src/main.ts', import.meta.url).pathname;
  const all = ['--disable-warning=ExperimentalWarning', main, 'assistants', ...args, '--admin-url', gateway.admin];
  const child = spawn(process.execPath, all, {
    env: { ...process.env, THROUGHWAY_ADMIN_TOKEN: gateway.adminToken },
    cwd: gateway.dataDir,
  });
  child.stdin.end(input);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString('utf8')));
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString('utf8')));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}
