// Several real keys behind one gateway: their shares, their rest, and that none of them ever shows.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import type { Settings } from '../src/config/config.ts';
import { resolveConfig } from '../src/config/load.ts';
import { startGateway as start } from '../src/gateway.ts';
import { openLog } from '../src/telemetry/log.ts';
import { type Recorder, type Script, startRecorder } from './support/recorder.ts';
import { valueOf } from './support/wire.ts';

const KEYS = { KEY_A: 'sk-real-aaaa1111bbbb2222', KEY_B: 'sk-real-cccc3333dddd4444', ADMIN: 'a'.repeat(40) };

interface Pooled {
  readonly upstream: Recorder;
  ask(): Promise<{ readonly status: number; readonly headers: Headers; readonly text: string }>;
  /** Which of the real keys opened each request so far, in order. */
  used(): string[];
  now: number;
  close(): Promise<void>;
}

const open: Pooled[] = [];
after(async () => {
  for (const pooled of open) await pooled.close();
});

async function openPool(
  credentials: NonNullable<Settings['upstream']>['credentials'],
  script: Script,
): Promise<Pooled> {
  const upstream = await startRecorder(script);
  const dataDir = await mkdtemp(join(tmpdir(), 'throughway-test-'));
  const config = resolveConfig(
    {
      listen: '127.0.0.1:0',
      adminListen: '127.0.0.1:0',
      adminToken: 'env:ADMIN',
      dataDir,
      upstream: { baseUrl: `${upstream.url}/v1`, credentials, restSeconds: 30 },
    },
    KEYS,
  );
  const clock = { now: () => pooled.now, elapsedMs: () => performance.now() };
  const pooled: Pooled = {
    upstream,
    now: 1_700_000_000_000,
    async ask() {
      const reply = await fetch(`${gateway.api}/openai/v1/models`, { headers: { authorization: `Bearer ${token}` } });
      return { status: reply.status, headers: reply.headers, text: await reply.text() };
    },
    used: () =>
      upstream.requests.map((request) => valueOf(request.headers, 'authorization')?.replace('Bearer ', '') ?? ''),
    async close() {
      await gateway.stopNow();
      await upstream.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  const gateway = await start(config, { clock, log: openLog('error', () => {}) });
  const token = gateway.firstToken!.reveal();
  open.push(pooled);
  return pooled;
}

const ok: Script = () => ({ status: 200, body: '{}' });
const two = [
  { name: 'a', apiKey: 'env:KEY_A', weight: 3 },
  { name: 'b', apiKey: 'env:KEY_B', weight: 1 },
];

test('credentials share the exchanges by their weights', async () => {
  const pooled = await openPool(two, ok);
  for (let i = 0; i < 8; i++) await pooled.ask();
  const used = pooled.used();
  assert.equal(used.filter((key) => key === KEYS.KEY_A).length, 6);
  assert.equal(used.filter((key) => key === KEYS.KEY_B).length, 2);
});

for (const status of [401, 403, 429]) {
  test(`a credential that the upstream answers ${status} rests while another is awake, and comes back`, async () => {
    const refused = JSON.stringify({ error: { message: 'x', code: status === 403 ? 'invalid_api_key' : 'y' } });
    const pooled = await openPool(two, (request) =>
      valueOf(request.headers, 'authorization') === `Bearer ${KEYS.KEY_A}`
        ? { status, body: refused }
        : { status: 200, body: '{}' },
    );
    await pooled.ask();
    assert.deepEqual(pooled.used(), [KEYS.KEY_A]);
    for (let i = 0; i < 5; i++) assert.equal((await pooled.ask()).status, 200);
    assert.deepEqual(pooled.used().slice(1), Array(5).fill(KEYS.KEY_B));
    pooled.now += 31_000;
    for (let i = 0; i < 4; i++) await pooled.ask();
    assert.ok(pooled.used().slice(6).includes(KEYS.KEY_A), 'it is tried again after its rest');
  });
}

test('a 429 that names its own time is believed', async () => {
  const pooled = await openPool(two, (request) =>
    valueOf(request.headers, 'authorization') === `Bearer ${KEYS.KEY_A}`
      ? { status: 429, headers: [['retry-after-ms', '5000']], body: '{}' }
      : { status: 200, body: '{}' },
  );
  const first = await pooled.ask();
  assert.equal(first.status, 429, 'the client sees the upstream’s own 429');
  pooled.now += 4000;
  await pooled.ask();
  assert.equal(pooled.used().at(-1), KEYS.KEY_B);
  pooled.now += 1001;
  for (let i = 0; i < 4; i++) await pooled.ask();
  assert.ok(pooled.used().slice(2).includes(KEYS.KEY_A));
});

test('where every credential rests the one that wakes first is used, so that the upstream’s own answer is seen', async () => {
  const pooled = await openPool(two, () => ({ status: 429, headers: [['retry-after', '7']], body: '{"error":{}}' }));
  for (let i = 0; i < 3; i++) {
    const reply = await pooled.ask();
    assert.equal(reply.status, 429);
    assert.equal(reply.headers.get('retry-after'), '7');
  }
});

test('a refused credential is told as 502 without a word of it, and retried only where another is awake', async () => {
  const body = JSON.stringify({
    error: { message: `Incorrect API key provided: ${KEYS.KEY_A}`, code: 'invalid_api_key' },
  });
  const single = await openPool([two[0]!], () => ({ status: 401, body }));
  const alone = await single.ask();
  assert.equal(alone.status, 502);
  assert.equal(alone.headers.get('x-throughway-refusal'), 'upstream_credential');
  assert.equal(alone.headers.get('x-should-retry'), 'false');
  assert.doesNotMatch(alone.text, /sk-real|aaaa1111|2222/);
  assert.match(
    (JSON.parse(alone.text) as { error: { message: string } }).error.message,
    /"a"/,
    'the operator is told which one, by its name',
  );

  const pair = await openPool(two, () => ({ status: 401, body }));
  assert.equal((await pair.ask()).headers.get('x-should-retry'), 'true');
});

test('a 403 about what was asked passes unchanged', async () => {
  const body = JSON.stringify({
    error: { message: 'Your request was rejected by our safety system.', code: 'content_policy_violation' },
  });
  const pooled = await openPool([two[0]!], () => ({ status: 403, body }));
  const reply = await pooled.ask();
  assert.equal(reply.status, 403);
  assert.equal(reply.text, body);
});

test('organization and project are the credential’s where it names them', async () => {
  const pooled = await openPool([{ ...two[0]!, organization: 'org-ours', project: 'proj_ours' }], ok);
  await pooled.ask();
  const request = await pooled.upstream.only();
  assert.equal(valueOf(request.headers, 'openai-organization'), 'org-ours');
  assert.equal(valueOf(request.headers, 'openai-project'), 'proj_ours');
});
