// `serve` and `start` as whoever operates them meets them: a process, its words, its files and its end.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';

import { eventually } from '../support/eventually.ts';
import { CANARY } from '../support/gateway.ts';
import { assertNoSecret, findSecret, readSpool } from '../support/invariants.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';
import { ANY_PORTS, firstToken, newDir, run, type Serving, start, startListening } from './programs.ts';

const ADMIN_TOKEN = 'operator-admin-token-0123456789abcdef';
const SERVE = ['serve', ...ANY_PORTS];

let upstream: Recorder;
let credentialed: Record<string, string>;
before(async () => {
  upstream = await startRecorder();
  credentialed = { OPENAI_API_KEY: CANARY, OPENAI_BASE_URL: `${upstream.url}/v1` };
});
beforeEach(() => upstream.clear());
after(() => upstream.close());

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

/** A stream whose upstream sends one event, and the others when told to. */
async function openStream({ api }: Serving, token: string) {
  let finish = () => {};
  const told = new Promise<void>((resolve) => (finish = resolve));
  upstream.script = async (_, wire) => {
    await wire.head(200, 'OK', [
      ['Content-Type', 'text/event-stream'],
      ['Transfer-Encoding', 'chunked'],
    ]);
    await wire.write('b\r\ndata: one\n\n\r\n');
    await told;
    await wire.write('b\r\ndata: two\n\n\r\n0\r\n\r\n');
  };
  const reply = await fetch(`${api}/openai/chat/completions`, {
    ...bearer(token),
    method: 'POST',
    body: '{"model":"gpt-4o-mini","stream":true}',
  });
  assert.equal(reply.status, 200);
  return { text: reply.text().catch((error: Error) => error), finish };
}

describe('a start', () => {
  test('prints one line of JSON on stdout when both listeners accept, and nothing more', async () => {
    const serving = await startListening(SERVE, { env: credentialed });
    const { api, admin } = serving;
    assert.equal(serving.stdout(), `${JSON.stringify({ event: 'listening', api, admin })}\n`);
    assert.match(api, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
    assert.match(admin, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
    assert.equal((await fetch(`${api}/openai/models`, bearer(firstToken(serving)))).status, 200);
    assert.equal((await fetch(`${api}/health/ready`)).status, 200);
    assert.equal((await fetch(`${admin}/admin/v1/health`)).status, 401);
    assert.equal(serving.stdout().split('\n').length, 2);
    serving.child.kill('SIGTERM');
    assert.equal(await serving.ended, 0);
  });

  test('shows the first key once, and the admin token that it made for itself', async () => {
    const dir = newDir();
    const first = await startListening(SERVE, { dir, env: credentialed });
    const adminToken = readFileSync(join(dir, 'data', 'admin-token'), 'utf8').trim();
    assert.ok(first.stderr().includes(`${first.api}/openai`));
    assert.ok(first.stderr().includes(first.admin));
    assert.ok(first.stderr().includes(adminToken));
    assert.equal((await fetch(`${first.admin}/admin/v1/keys`, bearer(adminToken))).status, 200);
    const token = firstToken(first);
    first.child.kill('SIGTERM');
    await first.ended;

    const second = await startListening(SERVE, { dir, env: credentialed });
    assert.ok(!second.stderr().includes('sk-tw-'));
    assert.match(second.stderr(), /keys create NAME/);
    assert.equal((await fetch(`${second.api}/openai/models`, bearer(token))).status, 200);
    second.child.kill('SIGTERM');
    await second.ended;
  });

  test('leaves where it listens in the data dir, for its owner alone, until it ends', async () => {
    const dir = newDir();
    const serving = await startListening(SERVE, { dir, env: credentialed });
    const { api, admin, child } = serving;
    const file = join(dir, 'data', 'gateway.json');
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { api, admin, pid: child.pid });
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(join(dir, 'data', 'admin-token')).mode & 0o777, 0o600);
    assert.equal(statSync(join(dir, 'data')).mode & 0o777, 0o700);
    child.kill('SIGINT');
    assert.equal(await serving.ended, 0);
    assert.ok(!existsSync(file));
  });

  test('says that HTTPS_PROXY is ignored, not what it holds, and reaches the upstream all the same', async () => {
    const proxies = { HTTPS_PROXY: 'http://user:hunter2@127.0.0.1:1', HTTP_PROXY: 'http://127.0.0.1:1' };
    const serving = await startListening(SERVE, { env: { ...credentialed, ...proxies } });
    assert.match(serving.stderr(), /HTTPS_PROXY is set and not used/);
    assert.ok(!serving.stderr().includes('hunter2'));
    assert.equal((await fetch(`${serving.api}/openai/models`, bearer(firstToken(serving)))).status, 200);
    serving.child.kill('SIGTERM');
    await serving.ended;
  });

  test('outlives whoever read its words', async () => {
    const serving = await startListening(SERVE, { env: { ...credentialed, THROUGHWAY_ADMIN_TOKEN: ADMIN_TOKEN } });
    const token = firstToken(serving);
    serving.child.stderr.destroy();
    serving.child.stdout.destroy();
    upstream.script = () => ({ status: 200, ending: 'reset' });
    for (let i = 0; i < 3; i++)
      await fetch(`${serving.api}/openai/models`, bearer(token))
        .then((reply) => reply.text())
        .catch(() => {});
    serving.child.kill('SIGTERM');
    assert.equal(await serving.ended, 0);
  });
});

describe('a start without a credential', () => {
  test('is refused by serve, which says what to set and makes nothing', async () => {
    const dir = newDir();
    const { code, stdout, stderr } = await run(SERVE, { dir });
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /^throughway: [^\n]*OPENAI_API_KEY[^\n]*--sandbox\n$/);
    assert.ok(!existsSync(join(dir, 'data')));
  });

  test('serves the sandbox where that is asked for, never the credential nor the upstream of the settings', async () => {
    const serving = await startListening([...SERVE, '--sandbox'], {
      env: { ...credentialed, THROUGHWAY_ADMIN_TOKEN: ADMIN_TOKEN },
    });
    const reply = await fetch(`${serving.api}/openai/models`, bearer(firstToken(serving)));
    assert.equal(reply.headers.get('x-throughway-sandbox'), 'true');
    assert.match(serving.stderr(), /SANDBOX \(asked for with --sandbox\)/);
    const health = (await (await fetch(`${serving.admin}/admin/v1/health`, bearer(ADMIN_TOKEN))).json()) as {
      sandbox: boolean;
    };
    assert.equal(health.sandbox, true);
    assert.equal(upstream.requests.length, 0);
    serving.child.kill('SIGTERM');
    assert.equal(await serving.ended, 0);
  });

  test('serves the sandbox where `npm start` does it, and says so loudly, with a request that can be pasted', async (context) => {
    const serving = await startListening(['start', ...ANY_PORTS]);
    assert.match(serving.stderr(), /SANDBOX \(OPENAI_API_KEY is not set\): nothing reaches OpenAI/);
    assert.match(serving.stderr(), /x-throughway-sandbox: true/);
    const [command] = /^ {2}curl [^]*?'$/m.exec(serving.stderr()) ?? [];
    assert.ok(command);
    if (spawnSync('curl', ['--version']).status !== 0) context.diagnostic('there is no curl to paste it to');
    else assert.match(spawnSync('sh', ['-c', command], { encoding: 'utf8' }).stdout, /The solution is x = 1\./);
    serving.child.kill('SIGTERM');
    assert.equal(await serving.ended, 0);
  });

  test('is none where `npm start` finds one: it serves the upstream', async () => {
    const serving = await startListening(['start', ...ANY_PORTS], { env: credentialed });
    assert.ok(!serving.stderr().includes('SANDBOX'));
    const reply = await fetch(`${serving.api}/openai/models`, bearer(firstToken(serving)));
    assert.equal(reply.headers.get('x-throughway-sandbox'), null);
    assert.equal(upstream.requests.length, 1);
    serving.child.kill('SIGTERM');
    await serving.ended;
  });

  test('does not fall back to the sandbox for whoever names an upstream', async () => {
    const { code, stderr } = await run(['start', ...ANY_PORTS, '--upstream', `${upstream.url}/v1`]);
    assert.equal(code, 2);
    assert.match(stderr, /OPENAI_API_KEY/);
    assert.equal((await run([...SERVE, '--sandbox', '--upstream', `${upstream.url}/v1`])).code, 2);
  });
});

describe('a start that cannot be', () => {
  test('ends with 2 and a line for each wrong setting', async () => {
    const dir = newDir();
    writeFileSync(join(dir, 'throughway.yaml'), 'lisen: 127.0.0.1:1\ndrainSeconds: long\n');
    const { code, stdout, stderr } = await run(SERVE, { dir, env: credentialed });
    assert.equal(code, 2);
    assert.equal(stdout, '');
    const lines = stderr.trimEnd().split('\n');
    assert.equal(lines.length, 2);
    assert.ok(
      lines.some((line) => line === 'throughway: lisen is not a setting; did you mean listen?'),
      stderr,
    );
    assert.ok(
      lines.some((line) => line.startsWith('throughway: drainSeconds is "long"; ')),
      stderr,
    );
  });

  test('ends with 2 for arguments that do not exist, and names the nearest', async () => {
    const { code, stderr } = await run(['serve', '--lisen', '127.0.0.1:0'], { env: credentialed });
    assert.equal(code, 2);
    assert.match(stderr, /--lisen[^]*Did you mean --listen\?/);
  });

  test('ends with 1 and one line where the port is taken, and loses no first key by it', async () => {
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
    const taken = `127.0.0.1:${(squatter.address() as AddressInfo).port}`;
    const dir = newDir();
    for (const flags of [
      ['--listen', taken, '--admin-listen', '127.0.0.1:0'],
      ['--listen', '127.0.0.1:0', '--admin-listen', taken],
    ]) {
      const { code, stdout, stderr } = await run(['serve', ...flags], { dir, env: credentialed });
      assert.equal(code, 1);
      assert.equal(stdout, '');
      assert.equal(
        stderr,
        `throughway: cannot listen on ${taken}: it is in use; stop the other program, or choose another port\n`,
      );
    }
    squatter.close();
    const serving = await startListening(SERVE, { dir, env: credentialed });
    assert.ok(firstToken(serving));
    serving.child.kill('SIGTERM');
    await serving.ended;
  });

  test('ends with 1 and one line where another process holds the data dir, which serves on', async () => {
    const dir = newDir();
    const serving = await startListening(SERVE, { dir, env: credentialed });
    const { code, stderr } = await run(SERVE, { dir, env: credentialed });
    assert.equal(code, 1);
    assert.match(stderr, /^throughway: the data dir [^\n]* is held by another Throughway; [^\n]*--data-dir\n$/);
    assert.equal((await fetch(`${serving.api}/openai/models`, bearer(firstToken(serving)))).status, 200);
    assert.ok(existsSync(join(dir, 'data', 'gateway.json')));
    serving.child.kill('SIGKILL');
    await serving.ended;
    const heir = await startListening(SERVE, { dir, env: credentialed });
    heir.child.kill('SIGTERM');
    assert.equal(await heir.ended, 0);
  });
});

describe('an end', () => {
  test('by SIGTERM lets a running stream finish, while readiness and new requests are turned away at once', async () => {
    const dir = newDir();
    const serving = await startListening(SERVE, { dir, env: credentialed });
    const token = firstToken(serving);
    const stream = await openStream(serving, token);

    serving.child.kill('SIGTERM');
    await eventually('it stops', () => serving.stderr().includes('"stopping'));
    assert.equal((await fetch(`${serving.api}/health/ready`)).status, 503);
    assert.equal((await fetch(`${serving.api}/health/live`)).status, 200);
    const refused = await fetch(`${serving.api}/openai/models`, bearer(token));
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get('x-throughway-refusal'), 'overloaded');
    assert.equal(serving.child.exitCode, null);

    stream.finish();
    assert.equal(await stream.text, 'data: one\n\ndata: two\n\n');
    assert.equal(await serving.ended, 0);
    const { records, openIntents } = readSpool(join(dir, 'data'), 0);
    assert.deepEqual(records.map(({ ending, refusal }) => String(ending ?? refusal)).toSorted(), [
      'complete',
      'overloaded',
    ]);
    assert.equal(openIntents, 0);
  });

  for (const [first, second] of [
    ['SIGTERM', 'SIGTERM'],
    ['SIGINT', 'SIGTERM'],
  ] as const) {
    test(`by ${first} and then ${second} cuts what runs, writes what is known of it, and comes within two seconds`, async () => {
      const dir = newDir();
      const serving = await startListening(SERVE, { dir, env: credentialed });
      const stream = await openStream(serving, firstToken(serving));
      serving.child.kill(first);
      await eventually('it stops', () => serving.stderr().includes('"stopping'));
      const startedAt = performance.now();
      serving.child.kill(second);
      assert.equal(await serving.ended, 0);
      assert.ok(performance.now() - startedAt < 2000);
      assert.ok((await stream.text) instanceof Error, 'the client sees a broken stream, never a clean end');
      assert.deepEqual(
        readSpool(join(dir, 'data'), 0).records.map(({ ending }) => ending),
        ['gateway_cut'],
      );
    });
  }

  const bugs: Record<string, string> = {
    'an exception that nobody caught': `process.on('SIGUSR2', () => { throw new Error('injected'); });`,
    'a rejection that nobody awaited': `process.on('SIGUSR2', () => { Promise.reject(new Error('injected')); });`,
  };
  for (const [what, code] of Object.entries(bugs)) {
    test(`by ${what} is logged, written down, and comes within a second`, async () => {
      const dir = newDir();
      const bug = ['--import', `data:text/javascript,${encodeURIComponent(code)}`];
      const serving = await startListening(SERVE, { dir, env: credentialed, node: bug });
      const stream = await openStream(serving, firstToken(serving));
      const startedAt = performance.now();
      serving.child.kill('SIGUSR2');
      assert.equal(await serving.ended, 1);
      assert.ok(performance.now() - startedAt < 1500);
      assert.ok((await stream.text) instanceof Error);
      assert.match(serving.stderr(), /"level":"error","event":"a bug ends the gateway","why":"Error: injected/);
      assert.deepEqual(
        readSpool(join(dir, 'data'), 0).records.map(({ ending }) => ending),
        ['gateway_cut'],
      );
    });
  }
});

test('the credential and the admin token of the operator show in no word, file or argument of the process (I1)', async () => {
  const dir = newDir();
  writeFileSync(join(dir, 'throughway.yaml'), 'logging: { stdout: true, file: records.jsonl, level: debug }\n');
  const serving = await startListening(SERVE, { dir, env: { ...credentialed, THROUGHWAY_ADMIN_TOKEN: ADMIN_TOKEN } });
  const token = firstToken(serving);
  const scripts: Recorder['script'][] = [
    () => ({ status: 200, body: '{}' }),
    () => ({ status: 401, body: `{"error":{"message":"Incorrect API key provided: ${CANARY}"}}` }),
    () => ({ status: 200, headers: [['X-Echo', CANARY.slice(0, 4)]], body: 'x', ending: 'reset' }),
  ];
  const told: string[] = [];
  for (const script of scripts) {
    upstream.script = script;
    for (const key of [token, 'sk-tw-wrong']) {
      const reply = await fetch(`${serving.api}/openai/models`, bearer(key));
      told.push(await reply.text().catch(String), JSON.stringify([...reply.headers]));
    }
  }
  for (const path of ['/', '/metrics', '/admin/v1/health', '/admin/v1/keys', '/admin/v1/exchanges']) {
    told.push(await (await fetch(`${serving.admin}${path}`, bearer(ADMIN_TOKEN))).text());
  }
  assert.ok(upstream.requests.length >= scripts.length, 'the credential was in use');
  const pid = String(serving.child.pid);
  if (existsSync('/proc/self/cmdline')) {
    for (const file of ['cmdline', 'comm', 'status']) told.push(readFileSync(join('/proc', pid, file), 'latin1'));
  }
  serving.child.kill('SIGTERM');
  assert.equal(await serving.ended, 0);

  told.push(serving.stdout(), serving.stderr());
  for (const text of told) {
    assert.equal(findSecret(text), undefined, text);
    assert.ok(!text.includes(ADMIN_TOKEN), text);
  }
  assertNoSecret(dir, []);
  assert.ok(serving.stdout().split('\n').length > scripts.length, 'records went to stdout');
});

test('records on stdout follow the line that says where it listens', async () => {
  const dir = newDir();
  writeFileSync(join(dir, 'throughway.yaml'), 'logging: { stdout: true }\n');
  const serving = start(SERVE, { dir, env: credentialed });
  await eventually('it listens', () => serving.stdout().includes('\n'), 20_000);
  const { api } = JSON.parse(serving.stdout()) as { api: string };
  await (await fetch(`${api}/openai/models`, bearer(firstToken(serving)))).arrayBuffer();
  await eventually('the record is written', () => serving.stdout().split('\n').length === 3);
  const [, record] = serving.stdout().split('\n');
  assert.equal((JSON.parse(record ?? '') as { endpoint: string }).endpoint, '/v1/models');
  serving.child.kill('SIGTERM');
  assert.equal(await serving.ended, 0);
});
