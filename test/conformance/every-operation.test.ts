// Each operation that OpenAI has, and paths that it may have tomorrow: the same bytes at both ends, direct or through.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';
import { ADMINISTRATION_SPELLINGS } from '../support/administration-spellings.ts';
import { exchange, type RawReply } from '../support/raw-client.ts';
import type { RecordedRequest } from '../support/recorder.ts';
import { valueOf, valuesOf, type Header } from '../support/wire.ts';
import { comparable, expectedDownstream, expectedUpstream, withoutAdded } from './differences.ts';
import { startPair, type Pair } from './pair.ts';
import { MADE_UP, nameOf, SAMPLES, type Sample } from './samples.ts';

const MOUNTS = ['/openai', '/openai/v1'];
const ALIASES = ['/openai_passthrough', '/openai_passthrough/v1', '/v1'];
/** Small enough to try again through each alias. */
const ALIAS_GROUPS = ['chat', 'responses', 'files', 'audio'];

/** What an SDK sends beside what the operation needs, with duplicates, and with what must not reach the upstream. */
const SDK_HEADERS: readonly Header[] = [
  ['User-Agent', 'OpenAI/JS 7.57.0'],
  ['Accept', 'application/json'],
  ['Accept-Encoding', 'gzip, deflate, br'],
  ['X-Stainless-Lang', 'js'],
  ['X-Stainless-Retry-Count', '0'],
  ['x-client-request-id', '5b9c1d7e'],
  ['X-Trace', 'first'],
  ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
  ['x-trace', 'second'],
  ['Cookie', 'session=1'],
  ['X-Forwarded-For', '192.0.2.7'],
  ['Connection', 'keep-alive'],
];

let pair: Pair;
let adminToken: string;
before(async () => {
  pair = await startPair();
  adminToken = (await pair.gateway.createKey({ name: 'administrator', endpoints: ['*', 'admin'] })).token;
});
after(() => pair.close());

const groups = [...new Set(SAMPLES.map((sample) => sample.group!))];
for (const group of groups) {
  const samples = SAMPLES.filter((sample) => sample.group === group);
  test(`${group}: ${samples.length} requests are the same direct and through ${MOUNTS.join(' and ')}`, async () => {
    const token = group === 'admin' ? adminToken : pair.gateway.token;
    for (const sample of samples) await assertSame(sample, MOUNTS, token);
  });
}

test(`aliases: the requests of ${ALIAS_GROUPS.join(', ')} are the same through ${ALIASES.join(', ')}`, async () => {
  const samples = SAMPLES.filter((sample) => ALIAS_GROUPS.includes(sample.group!));
  for (const sample of samples) await assertSame(sample, ALIASES, pair.gateway.token);
});

test(`${MADE_UP.length} paths that nobody knows are relayed like any other`, async () => {
  assert.ok(MADE_UP.length >= 30);
  for (const sample of MADE_UP) await assertSame(sample, [...MOUNTS, ...ALIASES], pair.gateway.token);
});

test('administration of the account is refused to a key that does not name it, and nothing goes upstream', async () => {
  for (const sample of SAMPLES.filter((each) => each.group === 'admin')) {
    for (const mount of [...MOUNTS, ...ALIASES]) {
      pair.recorder.clear();
      const reply = await ask(pair.gateway.api, mount + sample.rest, sample, pair.gateway.token);
      const where = `${sample.operation} at ${mount}`;
      assert.equal(reply.status, 403, where);
      assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'endpoint_not_allowed', where);
      assert.equal(JSON.parse(reply.body.toString()).error.code, 'endpoint_not_allowed', where);
      assert.equal(pair.recorder.requests.length, 0, where);
    }
  }
});

test(`S09, T13: ${ADMINISTRATION_SPELLINGS.length} spellings of administration reach no upstream, through any mount`, async () => {
  pair.recorder.clear();
  const connection = await pair.connect();
  for (const path of ADMINISTRATION_SPELLINGS) {
    for (const target of [`/openai${path}`, `/openai${path.slice('/v1'.length)}`, `/openai_passthrough${path}`, path]) {
      await connection.send({ target, headers: pair.keyed() });
      const reply = await connection.reply();
      // 404 where what is no mount to us might be one to others, such as /V1.
      assert.ok([400, 403, 404].includes(reply.status), `${target}: ${reply.status}`);
    }
  }
  connection.close();
  assert.deepEqual(pair.recorder.requests, []);
});

test('a key that names nothing but administration may call nothing else', async () => {
  const { token } = await pair.gateway.createKey({ name: 'only administration', endpoints: ['admin'] });
  pair.recorder.clear();
  for (const sample of [...SAMPLES.filter((each) => each.group === 'models'), MADE_UP[0]!]) {
    const reply = await ask(pair.gateway.api, `/openai${sample.rest}`, sample, token);
    assert.equal(reply.status, 403, sample.rest);
  }
  assert.equal(pair.recorder.requests.length, 0);
});

test('each operation has a sample, or is a WebSocket with a row of its own', (t) => {
  const sockets = ENDPOINTS.filter((row) => row.transport === 'websocket');
  assert.deepEqual(sockets.map((row) => row.path).sort(), [
    '/v1/live/sessions',
    '/v1/live/sessions/{session_id}/attach',
    '/v1/live/sessions/{session_id}/fork',
    '/v1/realtime',
    '/v1/realtime/translations',
    '/v1/responses',
  ]);
  const sampled = new Set(SAMPLES.map((sample) => sample.operation!));
  const unsampled = ENDPOINTS.filter((row) => row.transport === 'http' && !sampled.has(nameOf(row)));
  assert.deepEqual(unsampled, []);

  const description = new URL('../../../shared/data/operations.json', import.meta.url);
  if (!existsSync(description)) {
    t.diagnostic('NOT RUN: the samples were not held against ../shared/data/operations.json, which is absent.');
    return;
  }
  const { operations } = JSON.parse(readFileSync(description, 'utf8')) as {
    operations: { method: string; path: string; streaming: string | null }[];
  };
  const shapes = new Set([...sampled].map((name) => name.replaceAll(/\{\w+\}/g, '{}')));
  const missing = operations
    .filter((operation) => operation.streaming !== 'websocket')
    .map((operation) => `${operation.method} ${operation.path}`)
    .filter((name) => !shapes.has(name.replaceAll(/\{\w+\}/g, '{}')));
  assert.deepEqual(missing, []);
});

async function assertSame(sample: Sample, mounts: readonly string[], token: string): Promise<void> {
  pair.recorder.clear();
  const direct = await ask(pair.recorder.url, `/v1${sample.rest}`, sample, 'sk-direct');
  const seenDirect = await pair.recorder.only();

  for (const mount of mounts) {
    const where = `${sample.method} ${mount}${sample.rest.slice(0, 100)}`;
    pair.recorder.clear();
    const through = await ask(pair.gateway.api, mount + sample.rest, sample, token);
    assert.equal(valueOf(through.headers, 'x-throughway-refusal'), undefined, `${where}: ${through.body.toString()}`);
    const seenThrough = await pair.recorder.only();
    await assertSameUpstream(seenThrough, seenDirect, sample, where);
    assertSameDownstream(through, direct, where);
  }
}

async function assertSameUpstream(
  through: RecordedRequest,
  direct: RecordedRequest,
  sample: Sample,
  where: string,
): Promise<void> {
  assert.equal(through.method, direct.method, where);
  assert.equal(through.target, direct.target, where);
  assert.equal(through.framing, direct.framing, `${where}: how the body is framed`);
  assert.deepEqual(await through.whole(), await direct.whole(), `${where}: the body upstream`);
  const expected = expectedUpstream(direct.headers, {
    credential: pair.credential,
    upstreamAuthority: pair.upstreamAuthority,
    isAssistants: sample.group === 'assistants',
  });
  assert.deepEqual(comparable(through.headers), comparable(expected), `${where}: the headers upstream`);
}

function assertSameDownstream(through: RawReply, direct: RawReply, where: string): void {
  assert.equal(through.status, direct.status, where);
  assert.equal(through.reason, direct.reason, `${where}: the reason phrase`);
  assert.equal(through.framing, direct.framing, `${where}: how the body is framed`);
  assert.deepEqual(through.body, direct.body, `${where}: the body downstream`);
  assert.deepEqual([through.isWhole, direct.isWhole], [true, true], where);
  assert.equal(valuesOf(through.headers, 'x-throughway-exchange-id').length, 1, where);
  const expected = comparable(expectedDownstream(direct.headers));
  assert.deepEqual(comparable(withoutAdded(through.headers)), expected, `${where}: the headers downstream`);
}

async function ask(base: string, target: string, sample: Sample, token: string): Promise<RawReply> {
  return await exchange(base, {
    method: sample.method,
    target,
    headers: [['Authorization', `Bearer ${token}`], ...SDK_HEADERS, ...sample.headers],
    ...(sample.body === null ? {} : { body: sample.body }),
  });
}
