// The commands that speak to a running gateway, and the sandbox: what they print, for people and for programs, and how they fail.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { resolveConfig, startGateway as startAsHost } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { CANARY, startGateway, type TestGateway } from '../support/gateway.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';
import { ANY_PORTS, newDir, run, start, startListening } from './programs.ts';

let upstream: Recorder;
let gateway: TestGateway;
let access: Record<string, string>;
before(async () => {
  upstream = await startRecorder();
  gateway = await startGateway({ upstream: `${upstream.url}/v1` });
  access = { THROUGHWAY_ADMIN_TOKEN: gateway.adminToken, THROUGHWAY_ADMIN_LISTEN: new URL(gateway.admin).host };
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

const throughway = (...args: string[]) => run(args, { env: access });

async function printed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await throughway(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}
// Each test says what it expects of it.
// oxlint-disable-next-line typescript/no-explicit-any
const json = async (...args: string[]): Promise<any> => JSON.parse(await printed(...args, '--json'));

async function assertFails(args: string[], code: number, says: RegExp, env = access): Promise<void> {
  const ended = await run(args, { env });
  assert.equal(ended.code, code, ended.stderr);
  assert.match(ended.stderr, says);
  assert.equal(ended.stderr.trimEnd().split('\n').length, 1, ended.stderr);
  assert.equal(ended.stdout, '');
}

/** A request through the gateway. @returns the id of its exchange */
async function relay(path: string, token: string, body?: object): Promise<string> {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const reply = await fetch(`${gateway.api}/openai${path}`, { ...init, headers });
  await reply.arrayBuffer();
  return reply.headers.get('x-throughway-exchange-id') ?? '';
}

describe('keys', () => {
  test('are made, listed, shown and revoked, for programs', async () => {
    const { key, token } = await json(
      'keys',
      'create',
      'web',
      '--endpoints',
      'chat, embeddings',
      '--expires-at',
      '2999-01-01T00:00:00Z',
      '--team',
      'default',
    );
    assert.deepEqual([key.name, key.endpoints, key.status], ['web', ['chat', 'embeddings'], 'active']);
    assert.match(token, /^sk-tw-/);
    assert.deepEqual(await json('keys', 'show', key.id), key);
    assert.deepEqual((await json('keys', 'list')).data[0], key);
    assert.deepEqual((await json('keys', 'list', '--team', 'default')).data[0], key);
    assert.equal((await json('keys', 'revoke', key.id)).status, 'revoked');
    const named = await json('keys', 'create', '--name', 'by option');
    assert.equal(named.key.name, 'by option');
  });

  test('are tables for people, the token shown this once', async () => {
    const { stdout, stderr } = await throughway('keys', 'create', 'for people');
    const [head, row, , token] = stdout.split('\n');
    assert.match(head ?? '', /^ID +NAME +STATUS +TOKEN +MODELS +ENDPOINTS +TEAM +EXPIRES +CREATED$/);
    assert.match(row ?? '', /^key_\w+ +for people +active +sk-tw-\.\.\.\w{4} +\* +\* +team_\w+ +never +\d{4}-/);
    assert.match(token ?? '', /^token +sk-tw-\w{28}-\w{6}$/);
    assert.match(stderr, /shown this once/);
    const id = row?.split(' ')[0] ?? '';
    for (const again of [await printed('keys', 'show', id), await printed('keys', 'list')]) {
      assert.ok(again.includes(id));
      assert.ok(!/sk-tw-\w{28}/.test(again));
    }
    const [first, second, third] = (await printed('keys', 'list')).split('\n');
    const columns = ['STATUS', 'ENDPOINTS', 'CREATED'].map((name) => first?.indexOf(name) ?? -1);
    for (const at of columns) assert.ok([second, third].every((line) => line?.[at - 1] === ' ' && line[at] !== ' '));
  });

  test('fail with what the gateway says', async () => {
    await assertFails(
      ['keys', 'create', 'x', '--endpoints', 'embedings'],
      1,
      /^throughway: endpoints is embedings.*did you mean embeddings\?/,
    );
    await assertFails(['keys', 'create', 'x', '--team', 'nobody'], 1, /no team "nobody"/);
    await assertFails(['keys', 'show', 'key_x'], 1, /^throughway: There is no key "key_x"\.$/m);
    await assertFails(['keys', 'create'], 2, /a key needs a name/);
  });
});

describe('logs', () => {
  test('tail shows the newest last, as many as asked for, and those that its filters keep', async () => {
    const { key, token } = await gateway.createKey({ name: 'logged' });
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push(await relay('/models', token));
    ids.push(await relay('/chat/completions', token, { model: 'gpt-4o-mini', messages: [] }));
    const tail = async (...args: string[]) =>
      (await printed('logs', 'tail', '--key', key.id, '--json', ...args))
        .trimEnd()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { id: string }).id);

    assert.deepEqual(await tail(), ids);
    assert.deepEqual(await tail('-n', '2'), ids.slice(-2));
    assert.deepEqual(await tail('-n', '0'), []);
    assert.deepEqual(await tail('--endpoint', '/v1/models'), ids.slice(0, 3));
    assert.deepEqual(await tail('--model', 'gpt-4o-mini', '--team', 'default', '--status', '200'), ids.slice(3));
    assert.deepEqual(await tail('--status', '500'), []);

    const lines = (await printed('logs', 'tail', '--key', key.id)).split('\n');
    assert.match(lines[0] ?? '', /^AT +STATUS +ENDING +METHOD +PATH +MODEL +MS +ID$/);
    assert.match(lines[4] ?? '', /200 +complete +POST +\/v1\/chat\/completions +gpt-4o-mini +[\d.]+ +exc_/);
    await assertFails(['logs', 'tail', '-n', 'all'], 2, /--lines is "all"; write a whole number/);
    await assertFails(['logs', 'tail', '--status', 'ok'], 1, /status is "ok"; write an HTTP status/);
  });

  test('tail --follow goes on with what comes, each once', async () => {
    const { key, token } = await gateway.createKey({ name: 'followed' });
    const ids = [await relay('/models', token)];
    const program = start(['logs', 'tail', '--follow', '--json', '--key', key.id], { env: access });
    const seen = () =>
      program
        .stdout()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { id: string }).id);
    await eventually('it shows what was there', () => seen().length === 1, 10_000);
    await relay('/models', gateway.token);
    for (let i = 0; i < 3; i++) ids.push(await relay('/models', token));
    await eventually('it shows what came', () => seen().length >= 4, 10_000);
    ids.push(await relay('/models', token));
    await eventually('it goes on', () => seen().length >= 5, 10_000);
    assert.deepEqual(seen(), ids);
    program.child.kill('SIGKILL');
    await program.ended;
  });

  test('show tells the whole of one record', async () => {
    const id = await relay('/models', gateway.token);
    const record = await json('logs', 'show', id);
    assert.equal(record.id, id);
    assert.equal(record.cost.state, 'free');
    const facts = await printed('logs', 'show', id);
    assert.match(facts, new RegExp(`^id +${id}$`, 'm'));
    assert.match(facts, /^timings_us\.total +\d+$/m);
    assert.match(facts, /^attempts\.0\.credential +OPENAI_API_KEY$/m);
    await assertFails(['logs', 'show', 'exc_x'], 1, /There is no exchange "exc_x"/);
  });

  test('hand nothing to the terminal that it would obey', async () => {
    const { key, token } = await gateway.createKey({ name: 'hostile' });
    const id = await relay('/chat/completions', token, { model: 'gpt\u001b[2J\u202e-4o\n', messages: [] });
    for (const text of [await printed('logs', 'tail', '--key', key.id), await printed('logs', 'show', id)]) {
      assert.ok(text.includes('\\u{1b}[2J\\u{202e}-4o\\u{a}'), text);
      assert.ok(!/[\u001b\u202e]/.test(text));
    }
  });
});

describe('the gateway', () => {
  test('is found by flags, by the environment, and by what it left in its data dir', async () => {
    const tokenFile = join(newDir(), 'token');
    writeFileSync(tokenFile, `${gateway.adminToken}\n`);
    const byFlags = await run([
      'keys',
      'list',
      '--json',
      '--admin-url',
      gateway.admin,
      '--admin-token-file',
      tokenFile,
    ]);
    assert.equal(byFlags.code, 0, byFlags.stderr);
    const flagsWin = await run(
      ['keys', 'list', '--json', '--admin-url', gateway.admin, '--admin-token-file', tokenFile],
      {
        env: { THROUGHWAY_ADMIN_TOKEN: 'x'.repeat(40), THROUGHWAY_ADMIN_LISTEN: '127.0.0.1:1' },
      },
    );
    assert.equal(flagsWin.stdout, byFlags.stdout);
    assert.equal(await printed('keys', 'list', '--json'), byFlags.stdout);

    const dir = newDir();
    const serving = await startListening(['serve', '--sandbox', ...ANY_PORTS], { dir });
    const byDataDir = await run(['keys', 'list', '--json'], { dir });
    assert.equal(byDataDir.code, 0, byDataDir.stderr);
    const elsewhere = await run(['keys', 'list', '--json', '--data-dir', join(dir, 'data')]);
    assert.equal(elsewhere.stdout, byDataDir.stdout);
    writeFileSync(
      join(dir, 'throughway.yaml'),
      `dataDir: ${join(dir, 'data')}\nupstream: { credentials: [{ name: a, apiKey: env:ONLY_FOR_SERVE }] }\n`,
    );
    const bySettings = await run(['keys', 'list', '--json', '--config', join(dir, 'throughway.yaml')]);
    assert.equal(bySettings.stdout, byDataDir.stdout);

    serving.child.kill('SIGKILL');
    await serving.ended;
    const { code, stderr } = await run(['keys', 'list', '--data-dir', join(dir, 'data')]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^throughway: no gateway runs with the data dir [^\n]*; start one with "[^\n]* serve"[^\n]*\n$/,
    );
  });

  test('that does not run, has another token or is something else: one line that says what to do', async () => {
    await assertFails(['keys', 'list'], 1, /no gateway runs with the data dir \.\/data; start one with/, {});
    await assertFails(['keys', 'list'], 1, /no gateway answers at http:\/\/127\.0\.0\.1:1; start it with/, {
      ...access,
      THROUGHWAY_ADMIN_LISTEN: '127.0.0.1:1',
    });
    await assertFails(['keys', 'list'], 1, /The admin API needs a token of its own/, {
      ...access,
      THROUGHWAY_ADMIN_TOKEN: 'x'.repeat(40),
    });
    await assertFails(
      ['keys', 'list', '--admin-url', gateway.admin],
      1,
      /there is no admin token; set THROUGHWAY_ADMIN_TOKEN/,
      {},
    );
    await assertFails(['keys', 'list', '--admin-url', 'not a url'], 2, /the admin URL is "not a url"/);
    await assertFails(
      ['keys', 'list', '--admin-token-file', '/nowhere'],
      2,
      /--admin-token-file: the file \/nowhere cannot be read/,
    );

    const other = createServer((_, reply) => reply.end('<html>'));
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    await assertFails(['keys', 'list', '--admin-url', url], 1, /is not the admin API of Throughway/);
    other.closeAllConnections();
    other.close();
  });
});

test('sandbox serves the built-in upstream alone', async () => {
  const sandbox = await startListening(['sandbox', '--listen', '127.0.0.1:0']);
  assert.match(sandbox.api, /^http:\/\/127\.0\.0\.1:\d+\/v1$/);
  const reply = await fetch(`${sandbox.api}/models`, { headers: { authorization: 'Bearer anything' } });
  assert.equal(reply.headers.get('x-throughway-sandbox'), 'true');
  await reply.arrayBuffer();
  sandbox.child.kill('SIGTERM');
  assert.equal(await sandbox.ended, 0);
  await assertFails(['sandbox', '--listen', 'nowhere'], 2, /--listen is "nowhere"; write HOST:PORT/);
});

test('help names every command, and a mistyped one is told its nearest', async () => {
  const help = await printed('--help');
  for (const command of ['serve', 'start', 'keys', 'logs', 'sandbox'])
    assert.match(help, new RegExp(`^  ${command} `, 'm'));
  assert.match(await printed('--version'), /^\d+\.\d+\.\d+\n$/);
  const { code, stderr } = await throughway('serv');
  assert.equal(code, 2);
  assert.match(stderr, /unknown command 'serv'[^]*Did you mean serve\?/);
});

test('a host program starts and stops a gateway of its own', async () => {
  const dataDir = newDir();
  const config = resolveConfig(
    { listen: '127.0.0.1:0', adminListen: '127.0.0.1:0', dataDir, upstream: { baseUrl: `${upstream.url}/v1` } },
    { OPENAI_API_KEY: CANARY },
  );
  const own = await startAsHost(config);
  const reply = await fetch(`${own.api}/openai/models`, {
    headers: { authorization: `Bearer ${own.firstToken?.reveal()}` },
  });
  assert.equal(reply.status, 200);
  await reply.arrayBuffer();
  await own.stop();
  rmSync(dataDir, { recursive: true });
});
