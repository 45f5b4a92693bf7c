// Late work through the whole gateway: what clients start, read, cancel and delete, and what OpenAI's webhooks tell.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import type { ExchangeRecord } from '../src/domain/exchange-record.ts';
import { handClock } from './support/engines.ts';
import { eventually } from './support/eventually.ts';
import { type TestGateway, startGateway } from './support/gateway.ts';
import { type LateUpstream, startLateUpstream } from './support/late-work.ts';

const AT = Date.UTC(2026, 10, 22, 12);
const SECRET = `whsec_${Buffer.from('a secret of twenty-four b').toString('base64')}`;
const USAGE = {
  input_tokens: 10_000,
  input_tokens_details: { cached_tokens: 8000, cache_write_tokens: 1000 },
  output_tokens: 500,
  total_tokens: 10_500,
};

let upstream: LateUpstream;
let gateway: TestGateway;
const clock = handClock(AT);
before(async () => {
  upstream = await startLateUpstream();
});
after(() => upstream.close());
beforeEach(async () => {
  upstream.answers.clear();
  upstream.asked.length = 0;
  gateway = await startGateway({ upstream: upstream.url, clock, settings: { settlement: { firstLookSeconds: 0.05 } } });
});
afterEach(() => gateway.close());

interface Entered {
  readonly settle_key: string;
  readonly amount: string | null;
  readonly key_id: string;
}

/** Entries of late work, as the store has them. */
function lateEntries(): Entered[] {
  const database = new DatabaseSync(join(gateway.dataDir, 'throughway.db'), { readOnly: true });
  const rows = database.prepare(
    "SELECT settle_key, amount, key_id FROM entries WHERE settle_key LIKE '%:%' ORDER BY 1",
  );
  const entries = rows.all() as unknown as Entered[];
  database.close();
  return entries;
}

const settledAs = (...expected: readonly (readonly [string, string])[]) =>
  eventually('late work is entered', () => {
    const found = lateEntries().map(({ settle_key, amount }) => [settle_key, amount]);
    return JSON.stringify(found) === JSON.stringify(expected);
  });

function call(method: string, path: string, body?: object, token = gateway.token): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return fetch(`${gateway.api}/openai/v1${path}`, {
    method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
  });
}

async function ok(method: string, path: string, body?: object, token?: string): Promise<void> {
  const reply = await call(method, path, body, token);
  assert.equal(reply.status, 200, await reply.text());
  await reply.text().catch(() => {});
}

/** Newest first. */
async function records(): Promise<readonly ExchangeRecord[]> {
  const reply = await gateway.adminFetch('/admin/v1/exchanges');
  return ((await reply.json()) as { data: ExchangeRecord[] }).data;
}

const response = (id: string, status: string, usage: object | null = null) => ({
  body: { id, object: 'response', status, model: 'gpt-6.1-sol', service_tier: 'default', usage, output: [] },
});
const IN_BACKGROUND = { model: 'gpt-6.1-sol', input: 'Hi', background: true };

test('a response in the background is pending, names itself in its record, and is charged when its client reads its end', async () => {
  upstream.answers.set('POST /v1/responses', response('resp_1', 'queued'));
  upstream.answers.set('GET /v1/responses/resp_1', response('resp_1', 'in_progress'));
  await ok('POST', '/responses', IN_BACKGROUND);
  for (let i = 0; i < 5; i++) await ok('GET', '/responses/resp_1');
  const data = await records();
  const started = data.at(-1)!;
  assert.equal(started.cost.state, 'pending');
  assert.deepEqual([started.objects[0]?.kind, started.objects[0]?.id], ['response', 'resp_1']);
  assert.deepEqual(lateEntries(), []);
  upstream.answers.set('GET /v1/responses/resp_1', response('resp_1', 'completed', USAGE));
  for (let i = 0; i < 10; i++) await ok('GET', '/responses/resp_1');
  await settledAs(['resp:resp_1', '10300000000']);
});

test('a stream of a response that is read again settles it, and so does the reply to its cancelling', async () => {
  const done = `event: response.completed\ndata: ${JSON.stringify({ type: 'response.completed', response: response('resp_2', 'completed', USAGE).body })}\n\n`;
  for (const id of ['resp_2', 'resp_3']) {
    upstream.answers.set('POST /v1/responses', response(id, 'queued'));
    await ok('POST', '/responses', IN_BACKGROUND);
  }
  upstream.answers.set('GET /v1/responses/resp_2?stream=true', { body: done });
  upstream.answers.set('POST /v1/responses/resp_3/cancel', response('resp_3', 'cancelled', USAGE));
  await ok('GET', '/responses/resp_2?stream=true');
  await ok('POST', '/responses/resp_3/cancel', {});
  await settledAs(['resp:resp_2', '10300000000'], ['resp:resp_3', '10300000000']);
});

test('a read that breaks off between status and usage settles nothing: a whole one does', async () => {
  upstream.answers.set('POST /v1/responses', response('resp_5', 'queued'));
  await ok('POST', '/responses', IN_BACKGROUND);
  const { body } = response('resp_5', 'completed', USAGE);
  upstream.answers.set('GET /v1/responses/resp_5', {
    body: { ...body, usage: null, padding: 'x'.repeat(50_000) },
    isCut: true,
  });
  await assert.rejects(async () => (await call('GET', '/responses/resp_5')).text());
  upstream.answers.set('GET /v1/responses/resp_5', { body });
  await ok('GET', '/responses/resp_5');
  await settledAs(['resp:resp_5', '10300000000']);
});

test('of a key that was deleted the work is charged all the same, to it', async () => {
  const { key, token } = await gateway.createKey({ name: 'short' });
  upstream.answers.set('POST /v1/responses', response('resp_4', 'queued'));
  await ok('POST', '/responses', IN_BACKGROUND, token);
  const deleted = await gateway.adminFetch(`/admin/v1/keys/${key.id}`, { method: 'DELETE' });
  // Where keys cannot be deleted yet, revoking ends them as well.
  if (!deleted.ok) await gateway.adminFetch(`/admin/v1/keys/${key.id}/revoke`, { method: 'POST' });
  upstream.answers.set('GET /v1/responses/resp_4', response('resp_4', 'completed', USAGE));
  await ok('GET', '/responses/resp_4');
  await settledAs(['resp:resp_4', '10300000000']);
  assert.equal(lateEntries()[0]?.key_id, key.id);
});

test('work is charged to the tags that its key had when it was started, and each kind of it by its own id', async () => {
  const { key, token } = await gateway.createKey({ name: 'tagged', tags: ['night'] });
  const video = (id: string) => ({ id, object: 'video', model: 'sora-2', seconds: '4', size: '1280x720' });
  upstream.answers.set('POST /v1/videos', { body: { ...video('video_1'), status: 'queued' } });
  upstream.answers.set('POST /v1/videos/video_1/remix', {
    body: { ...video('video_2'), status: 'queued', remixed_from_video_id: 'video_1' },
  });
  clock.turn(Date.UTC(2026, 7, 1) - clock.now());
  await ok('POST', '/videos', { model: 'sora-2', prompt: 'The Rhine' }, token);
  await ok('POST', '/videos/video_1/remix', { prompt: 'In winter' }, token);
  const changed = await gateway.adminFetch(`/admin/v1/keys/${key.id}`, {
    method: 'PATCH',
    body: JSON.stringify({ tags: ['day'] }),
  });
  assert.ok(changed.ok, await changed.text());
  for (const id of ['video_1', 'video_2']) {
    upstream.answers.set(`GET /v1/videos/${id}`, { body: { ...video(id), status: 'completed' } });
    await ok('GET', `/videos/${id}`, undefined, token);
  }
  await settledAs(['video:video_1', '400000000000'], ['video:video_2', '400000000000']);
  const reply = await gateway.adminFetch('/admin/v1/spend?group_by=tag&from=2026-07-01&to=2026-09-01');
  const { data } = (await reply.json()) as { data: { tag: string; measured_usd: string }[] };
  const spent = data
    .filter(({ measured_usd }) => measured_usd !== '0')
    .map(({ tag, measured_usd }) => [tag, measured_usd]);
  assert.deepEqual(spent, [['night', '0.8']]);
  clock.turn(AT - clock.now());
});

test('a container is charged to its end when its client deletes it', async () => {
  upstream.answers.set('POST /v1/containers', { body: { id: 'cntr_1', object: 'container', memory_limit: '4g' } });
  upstream.answers.set('DELETE /v1/containers/cntr_1', {
    body: { id: 'cntr_1', object: 'container.deleted', deleted: true },
  });
  await ok('POST', '/containers', { name: 'box', memory_limit: '4g' });
  const from = clock.now() / 1000;
  clock.turn(600_000);
  await ok('DELETE', '/containers/cntr_1');
  // Ten minutes at 0.12 for twenty.
  await eventually('it is entered', () => lateEntries().length === 1);
  const [entry] = lateEntries();
  assert.deepEqual([entry?.settle_key, entry?.amount], [`cntr:cntr_1:${Math.floor(from)}`, '60000000000']);
});

test('a file put into a vector store is free: the store is what is paid for', async () => {
  upstream.answers.set('POST /v1/vector_stores/vs_1/files', {
    body: { id: 'file-1', object: 'vector_store.file', usage_bytes: 5 },
  });
  await ok('POST', '/vector_stores/vs_1/files', { file_id: 'file-1' });
  const data = await records();
  assert.deepEqual([data[0]?.cost.state, data[0]?.objects], ['free', []]);
});

test('where records were lost the ledger is not set right by what is left of it', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'throughway-late-work-'));
  const begin = () => startGateway({ upstream: upstream.url, clock, dataDir });
  const spent = async () => {
    const reply = await gateway.adminFetch('/admin/v1/spend?from=2026-11-22&to=2026-11-24');
    return ((await reply.json()) as { totals: object }).totals;
  };
  await gateway.close();
  gateway = await begin();
  upstream.answers.set('POST /v1/responses', response('resp_6', 'completed', USAGE));
  await ok('POST', '/responses', { model: 'gpt-6.1-sol', input: 'Hi' });
  const before = await spent();
  await gateway.close();
  for (const file of ['spool.db', 'spool.db-wal', 'spool.db-shm']) rmSync(join(dataDir, file), { force: true });
  gateway = await begin();
  await ok('POST', '/responses', { model: 'gpt-6.1-sol', input: 'Hi' });
  const after = await spent();
  assert.notDeepEqual(after, before);
  const drift = await gateway.adminFetch('/admin/v1/ledger/drift');
  assert.equal(((await drift.json()) as { lost: number }).lost, 1);
  const mended = await gateway.adminFetch('/admin/v1/ledger/mend', { method: 'POST' });
  assert.equal(mended.status, 409);
  assert.match(await mended.text(), /records of 1 exchanges are lost/);
  assert.deepEqual(await spent(), after);
  rmSync(dataDir, { recursive: true, force: true });
});

function webhook(event: object, more: { id?: string; at?: number; secret?: string } = {}): Promise<Response> {
  const { id = 'wh_1', at = Math.floor(clock.now() / 1000), secret = SECRET } = more;
  const body = JSON.stringify(event);
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64');
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': String(at),
    'webhook-signature': `v1,AAAA v1,${signature}`,
    'content-type': 'application/json',
  };
  return fetch(`${gateway.admin}/webhooks/openai`, { method: 'POST', headers, body });
}

test('webhooks are taken where a secret is set, only if it signed them, only of now, and each settles once', async () => {
  assert.equal((await webhook({ type: 'batch.completed', data: { id: 'batch_1' } })).status, 404);
  await gateway.close();
  gateway = await startGateway({
    upstream: upstream.url,
    clock,
    settings: { settlement: { poll: false }, webhooks: { openaiSecret: 'env:WEBHOOK_SECRET' } },
    webhookSecret: SECRET,
  });
  upstream.answers.set('POST /v1/batches', { body: { id: 'batch_1', object: 'batch', status: 'validating' } });
  await ok('POST', '/batches', { input_file_id: 'file-i', endpoint: '/v1/responses', completion_window: '24h' });
  const line = { custom_id: 'a', response: { status_code: 200, body: response('resp_9', 'completed', USAGE).body } };
  upstream.answers.set('GET /v1/batches/batch_1', {
    body: { id: 'batch_1', object: 'batch', status: 'completed', endpoint: '/v1/responses', output_file_id: 'file-o' },
  });
  upstream.answers.set('GET /v1/files/file-o/content', { body: JSON.stringify(line) });
  const event = { id: 'evt_1', object: 'event', type: 'batch.completed', data: { id: 'batch_1' } };
  const other = `whsec_${Buffer.from('another secret, as long..').toString('base64')}`;
  assert.equal((await webhook(event, { secret: other })).status, 401);
  assert.equal((await webhook(event, { at: Math.floor(clock.now() / 1000) - 301 })).status, 400);
  assert.equal((await webhook(event, { at: Math.floor(clock.now() / 1000) + 301 })).status, 400);
  assert.equal((await fetch(`${gateway.admin}/webhooks/openai`, { method: 'POST', body: '{}' })).status, 400);
  assert.deepEqual(lateEntries(), []);
  for (const id of ['wh_1', 'wh_1', 'wh_2', 'wh_3']) assert.equal((await webhook(event, { id })).status, 200);
  await settledAs(['batch:batch_1', '5150000000']);
  const reads = upstream.asked.filter(({ path }) => path === '/v1/files/file-o/content');
  assert.equal(reads.length, 1);
  assert.equal((await webhook({ type: 'something.new', data: {} }, { id: 'wh_4' })).status, 200);
});
