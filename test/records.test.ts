// What a record says, that it survives, and that it reaches whoever reads along.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';

import fc from 'fast-check';

import { systemClock } from '../src/domain/clock.ts';
import { type ExchangeRecord, recordMs, recordTime } from '../src/domain/exchange-record.ts';
import { openStore } from '../src/store/store.ts';
import { CANARY, startGateway, type TestGateway } from './support/gateway.ts';
import { type Recorder, startRecorder } from './support/recorder.ts';

let upstream: Recorder;
let gateway: TestGateway;

before(async () => {
  upstream = await startRecorder();
  gateway = await startGateway({ upstream: `${upstream.url}/v1` });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});
afterEach(() => upstream.clear());

const USAGE = {
  prompt_tokens: 11,
  completion_tokens: 4,
  total_tokens: 15,
  prompt_tokens_details: { cached_tokens: 3, note: 'a } in a string "and a quote"' },
};
const COMPLETION = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'gpt-4o-2024-08-06',
  choices: [{ index: 0, message: { role: 'assistant', content: 'a text that says "usage":{"prompt_tokens":999}' } }],
  usage: USAGE,
});

async function askChat(of: TestGateway, headers: Record<string, string> = {}): Promise<ExchangeRecord> {
  const reply = await fetch(`${of.api}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${of.token}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ messages: [{ role: 'user', content: '{"model":"not this one"}' }], model: 'gpt-4o' }),
  });
  await reply.arrayBuffer();
  return recordOf(of, reply.headers.get('x-throughway-exchange-id')!);
}

async function recordOf(of: TestGateway, id: string): Promise<ExchangeRecord> {
  const reply = await of.adminFetch(`/admin/v1/exchanges/${id}`);
  assert.equal(reply.status, 200, 'the record stands when the client has its last byte');
  return (await reply.json()) as ExchangeRecord;
}

test('the time of a record is read as it was written, on any day', () => {
  const moments = fc.integer({ min: 0, max: Date.UTC(2200, 0) });
  fc.assert(fc.property(moments, (ms) => assert.equal(recordMs(recordTime(ms)), ms)));
  for (const day of ['2026-02-28', '2028-02-29', '2026-12-31']) {
    const last = Date.parse(`${day}T23:59:59.999Z`);
    assert.deepEqual([recordMs(recordTime(last)), recordMs(recordTime(last + 1))], [last, last + 1]);
    assert.equal(recordMs(`${day}T23:59:59Z`), last - 999);
  }
});

test('a record tells who, what, how it ended, how long it took and what was used', async () => {
  upstream.script = () => ({
    headers: [
      ['content-type', 'application/json'],
      ['x-request-id', 'req_1'],
    ],
    body: COMPLETION,
  });
  const record = await askChat(gateway, { 'x-client-request-id': 'mine-1' });
  assert.equal(record.v, 1);
  assert.equal(record.method, 'POST');
  assert.equal(record.path, '/v1/chat/completions');
  assert.equal(record.endpoint, '/v1/chat/completions');
  assert.equal(record.model_requested, 'gpt-4o');
  assert.equal(record.model_served, 'gpt-4o-2024-08-06');
  assert.equal(record.transport, 'json');
  assert.equal(record.status, 200);
  assert.equal(record.ending, 'complete');
  assert.equal(record.usage.source, 'reported');
  assert.deepEqual(record.usage.raw, USAGE);
  const used = Object.fromEntries(record.usage.readings?.map(({ meter, quantity }) => [meter, quantity]) ?? []);
  assert.deepEqual(used, { input_text: '8', input_text_cached: '3', output_text: '4' });
  // 8 x 2.50, 3 x 1.25 and 4 x 10 dollars a million.
  assert.equal(record.cost.state, 'priced');
  assert.equal(record.cost.usd, '0.00006375');
  assert.equal(record.cost.lines.length, 3);
  assert.equal(record.bytes.out, Buffer.byteLength(COMPLETION));
  assert.equal(record.upstream_request_id, 'req_1');
  assert.equal(record.client_request_id, 'mine-1');
  assert.equal(record.attempts.length, 1);
  const { admitted, connected, first_byte, total } = record.timings_us;
  assert.ok(admitted! <= connected! && connected! <= first_byte! && first_byte! <= total);
});

test('the usage of a stream is that of its last event', async () => {
  const events = [
    `data: {"id":"c","model":"gpt-4o-mini-2024","choices":[{"delta":{"content":"\\"usage\\":{\\"x\\":1}"}}],"usage":null}\n\n`,
    `data: {"id":"c","model":"gpt-4o-mini-2024","choices":[],"usage":${JSON.stringify(USAGE)}}\n\n`,
    'data: [DONE]\n\n',
  ];
  upstream.script = () => ({ headers: [['content-type', 'text/event-stream']], framing: 'chunked', body: events });
  const record = await askChat(gateway);
  assert.equal(record.transport, 'sse');
  assert.equal(record.model_served, 'gpt-4o-mini-2024');
  assert.deepEqual(record.usage.raw, USAGE);
});

for (const [encoding, compress] of [
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
  ['zstd', zstdCompressSync],
] as const) {
  test(`usage is read from a copy of a reply in ${encoding}, and the bytes go by untouched`, async () => {
    const body = compress(Buffer.from(COMPLETION));
    upstream.script = () => ({
      headers: [
        ['content-type', 'application/json'],
        ['content-encoding', encoding],
      ],
      body,
    });
    const record = await askChat(gateway);
    assert.deepEqual(record.usage.raw, USAGE);
    assert.equal(record.bytes.out, body.length);
  });
}

test('a reply that reports no usage is estimated and says so, never zero', async () => {
  upstream.script = () => ({
    headers: [['content-type', 'application/json']],
    body: '{"usage":null,"model":"gpt-4o"}',
  });
  const record = await askChat(gateway);
  assert.equal(record.usage.source, 'estimated');
  assert.equal(record.usage.raw, null);
  assert.equal(record.cost.state, 'estimated');
  assert.ok(Number(record.cost.usd) > 0);
});

test('an endpoint that costs nothing is free, a path that no row knows is unpriced', async () => {
  upstream.script = () => ({ body: '{}' });
  const ask = async (path: string) => {
    const reply = await fetch(gateway.api + path, { headers: { authorization: `Bearer ${gateway.token}` } });
    await reply.arrayBuffer();
    return recordOf(gateway, reply.headers.get('x-throughway-exchange-id')!);
  };
  assert.equal((await ask('/openai/v1/models')).cost.state, 'free');
  const unknown = await ask('/openai/v1/tomorrow/things');
  assert.equal(unknown.endpoint, null);
  assert.equal(unknown.cost.state, 'unpriced');
});

test('a refused arrival leaves one record that names the refusal', async () => {
  const reply = await fetch(`${gateway.api}/openai/v1/models`, { headers: { authorization: 'Bearer nonsense' } });
  const id = reply.headers.get('x-throughway-exchange-id')!;
  await reply.arrayBuffer();
  const record = await recordOf(gateway, id);
  assert.equal(record.refusal, 'invalid_api_key');
  assert.equal(record.ending, null);
  assert.equal(record.key_id, null);
  assert.doesNotMatch(JSON.stringify(record), /nonsense/);
});

test('a reader of lines gets each record once, and goes on after a restart where it stopped', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'throughway-test-'));
  const file = join(dataDir, 'records.jsonl');
  upstream.script = () => ({ body: '{}' });
  const lines = async () => {
    const text = await readFile(file, 'utf8').catch(() => '');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as ExchangeRecord).id);
  };
  const ids: string[] = [];
  for (const round of [1, 2]) {
    const of = await startGateway({ upstream: `${upstream.url}/v1`, dataDir, settings: { logging: { file } } });
    for (let i = 0; i < 20; i++) ids.push((await askChat(of)).id);
    await of.close();
    assert.deepEqual(await lines(), ids, `after round ${round}`);
  }
  await rm(dataDir, { recursive: true, force: true });
});

test('with strict durability an exchange is answered only after the disk has its record', async () => {
  upstream.script = () => ({ headers: [['content-type', 'application/json']], body: COMPLETION });
  const strict = await startGateway({ upstream: `${upstream.url}/v1`, settings: { durability: 'strict' } });
  try {
    const records = await Promise.all(Array.from({ length: 20 }, () => askChat(strict)));
    assert.equal(new Set(records.map((record) => record.id)).size, 20);
  } finally {
    await strict.close();
  }
});

test('an intent whose process died gets its record at the next start, once', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'throughway-test-'));
  const intent = {
    id: 'exc_orphan',
    at: 1_700_000_000_000,
    teamId: 'team_1',
    keyId: 'key_1',
    method: 'POST',
    path: '/v1/chat/completions',
    endpoint: '/v1/chat/completions',
    model: 'gpt-4o',
    userId: null,
    endUser: null,
    tags: [],
    hold: null,
  } as const;
  const store = await openStore({ dataDir, durability: 'group', databaseUrl: null, clock: systemClock });
  await new Promise<void>((resolve, reject) => {
    store.spool.writeIntent(intent, (error) => (error ? reject(error) : resolve()));
  });
  await store.close();

  for (const start of [1, 2]) {
    const of = await startGateway({ upstream: `${upstream.url}/v1`, dataDir });
    const record = await recordOf(of, intent.id);
    assert.equal(record.ending, 'gateway_cut', `start ${start}`);
    assert.equal(record.error?.code, 'process_died');
    assert.equal(record.model_requested, 'gpt-4o');
    await of.close();
  }
  await rm(dataDir, { recursive: true, force: true });
});

test('records older than their retention go, the newest stays', async () => {
  let now = systemClock.now();
  const clock = { now: () => now, elapsedMs: systemClock.elapsedMs };
  upstream.script = () => ({ body: '{}' });
  const of = await startGateway({ upstream: `${upstream.url}/v1`, clock, settings: { logging: { retentionDays: 1 } } });
  try {
    for (let i = 0; i < 5; i++) await askChat(of);
    now += 2 * 86_400_000;
    const young = (await askChat(of)).id;
    const listed = async () => {
      const reply = await of.adminFetch('/admin/v1/exchanges?limit=100');
      return ((await reply.json()) as { data: ExchangeRecord[] }).data.map((record) => record.id);
    };
    let ids = await listed();
    const deadline = performance.now() + 10_000;
    while (ids.length > 1 && performance.now() < deadline) ids = await listed();
    assert.deepEqual(ids, [young]);
  } finally {
    await of.close();
  }
});

test('a record that is old and was written behind a younger one leaves the ledger whole when it goes', async () => {
  const [start, hour] = [systemClock.now(), 3_600_000];
  let now = start;
  const clock = { now: () => now, elapsedMs: systemClock.elapsedMs };
  upstream.script = () => ({ body: '{}' });
  const of = await startGateway({ upstream: `${upstream.url}/v1`, clock, settings: { logging: { retentionDays: 1 } } });
  try {
    await askChat(of);
    // As of a socket that was open for three hours.
    now = start - 3 * hour;
    const old = (await askChat(of)).id;
    now = start + 23 * hour;
    await askChat(of);
    const isThere = async () => (await of.adminFetch(`/admin/v1/exchanges/${old}`)).status === 200;
    const deadline = performance.now() + 10_000;
    while ((await isThere()) && performance.now() < deadline);
    assert.equal(await isThere(), false);
    const drift = (await (await of.adminFetch('/admin/v1/ledger/drift')).json()) as Record<string, number>;
    assert.deepEqual([drift['entries'], drift['rollup_count']], [3, 0]);
  } finally {
    await of.close();
  }
});

test('no record, and no file of the data dir, holds a body, a header or a secret', async () => {
  upstream.script = () => ({ headers: [['x-secret-reply', 'reply-sentinel']], body: '{"content":"body-sentinel"}' });
  await askChat(gateway, { 'x-secret-request': 'request-sentinel' });
  const kept = [await (await gateway.adminFetch('/admin/v1/exchanges?limit=1000')).text()];
  for (const name of await readdir(gateway.dataDir)) kept.push(await readFile(join(gateway.dataDir, name), 'latin1'));
  for (const secret of ['sentinel', 'not this one', gateway.token, CANARY]) {
    assert.ok(!kept.some((text) => text.includes(secret)), `"${secret.slice(0, 8)}..." is kept nowhere`);
  }
});
