// A key asks about itself: what it spent, what is left to it. It learns nothing of others, and nothing of it goes upstream.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { startGateway, type TestGateway } from './support/gateway.ts';
import { chatBody, type Organization, startOrganization } from './support/organization.ts';
import { exchange } from './support/raw-client.ts';

// Each test says what it expects of it.
// oxlint-disable-next-line typescript/no-explicit-any
type Json = any;

let upstream: Organization;
let gateway: TestGateway;

before(async () => {
  upstream = await startOrganization();
  gateway = await startGateway({ upstream: upstream.url });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});
beforeEach(() => upstream.recorder.requests.splice(0));

const ask = (token: string, path = '/openai/throughway/usage', init: RequestInit = {}) =>
  fetch(gateway.api + path, { ...init, headers: { authorization: `Bearer ${token}` } });

async function usage(token: string): Promise<Json> {
  const reply = await ask(token);
  assert.equal(reply.status, 200);
  return reply.json();
}

async function chat(token: string, input: number): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const body = chatBody('gpt-4o', input, 0, 0);
  const reply = await fetch(`${gateway.api}/openai/v1/chat/completions`, { method: 'POST', headers, body });
  assert.equal(reply.status, 200, await reply.text());
}

async function admin(path: string, body: unknown): Promise<Json> {
  const reply = await gateway.adminFetch(path, { method: 'POST', body: JSON.stringify(body) });
  assert.ok(reply.ok, `${reply.status}`);
  return reply.json();
}

test('a key sees what it spent today, this month and in all', async () => {
  const { key, token } = await gateway.createKey({ name: 'mine', expires_at: '2099-01-01T00:00:00Z' });
  const { token: other } = await gateway.createKey({ name: 'theirs' });
  await chat(token, 1000);
  await chat(token, 1000);
  await chat(other, 70_000);
  const told = await usage(token);
  for (const span of ['today', 'this_month', 'total'])
    assert.deepEqual([told.spend[span].measured_usd, told.spend[span].exchanges], ['0.005', 2]);
  assert.deepEqual([told.key.id, told.key.expires_at], [key.id, '2099-01-01T00:00:00.000Z']);
  assert.doesNotMatch(JSON.stringify(told), /theirs|0\.175/);
  const again = await usage(token);
  assert.deepEqual(
    [again.spend.total.exchanges, again.spend.total.free],
    [3, 1],
    'the question before was one, and free',
  );
});

test('every alias answers the same, and HEAD and GET alone', async () => {
  const { token } = await gateway.createKey({ name: 'aliases' });
  for (const path of ['/openai', '/openai/v1', '/openai_passthrough', '/v1'])
    assert.equal(((await (await ask(token, `${path}/throughway/usage`)).json()) as Json).object, 'throughway.usage');
  assert.equal((await ask(token, '/openai/throughway/usage?x=1')).status, 200);
  assert.equal((await ask(token, '/openai/throughway/usage', { method: 'HEAD' })).status, 200);
  const posted = await ask(token, '/openai/throughway/usage', { method: 'POST', body: '{}' });
  assert.deepEqual([posted.status, posted.headers.get('x-throughway-refusal')], [405, 'method_not_allowed']);
  assert.equal(upstream.recorder.requests.length, 0);
});

test('nothing below it goes upstream, served or not', async () => {
  const { token } = await gateway.createKey({ name: 'wanderer' });
  for (const path of [
    '/openai/throughway',
    '/openai/v1/throughway/',
    '/openai/throughway/usage/key_1',
    '/v1/throughway/keys',
  ])
    assert.equal((await ask(token, path)).status, 404, path);
  const headers = [
    ['Host', 'gateway'],
    ['Authorization', `Bearer ${token}`],
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Version', '13'],
    ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
  ] as const;
  const socket = await exchange(gateway.api, { target: '/openai/throughway/usage', headers });
  assert.equal(socket.status, 400);
  assert.equal(upstream.recorder.requests.length, 0);
});

test('nobody asks without a key, and any key may ask, whatever it may call', async () => {
  assert.equal((await fetch(`${gateway.api}/openai/throughway/usage`)).status, 401);
  assert.equal((await ask('sk-tw-nobody')).status, 401);
  const { token } = await gateway.createKey({ name: 'narrow', endpoints: ['embeddings'], models: ['text-*'] });
  const told = await usage(token);
  assert.deepEqual([told.endpoints.key, told.models.key], [['embeddings'], ['text-*']]);
  assert.equal((await ask(token, '/openai/v1/models')).status, 403);
});

test('its budgets tell what is spent and left, and those of others are not among them', async () => {
  const team = await admin('/admin/v1/teams', { name: 'budgeted' });
  const { key, token } = await gateway.createKey({ name: 'held', team: 'budgeted' });
  const { key: other } = await gateway.createKey({ name: 'other', team: 'budgeted' });
  const mine = await admin('/admin/v1/budgets', { scope: 'key', key_id: key.id, limit_usd: '0.01', window: 'month' });
  const shared = await admin('/admin/v1/budgets', { scope: 'team', team_id: team.id, limit_usd: '5', window: 'total' });
  await admin('/admin/v1/budgets', { scope: 'key', key_id: other.id, limit_usd: '7' });
  await admin('/admin/v1/budgets', { scope: 'model', model: 'gpt-9', limit_usd: '9', window: 'day' });
  const before = await usage(token);
  assert.deepEqual(new Set(before.budgets.map((each: Json) => each.id)), new Set([mine.id, shared.id]));
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const body = chatBody('gpt-4o', 1000, 0, 10, { max_tokens: 10 });
  assert.equal(
    (await fetch(`${gateway.api}/openai/v1/chat/completions`, { method: 'POST', headers, body })).status,
    200,
  );
  const [told] = (await usage(token)).budgets.filter((each: Json) => each.id === mine.id);
  assert.deepEqual([told.limit_usd, told.spent_usd, told.held_usd, told.left_usd], ['0.01', '0.0026', '0', '0.0074']);
  assert.match(told.resets_at, /-01T00:00:00.000Z$/);
  const [whole] = (await usage(token)).budgets.filter((each: Json) => each.id === shared.id);
  assert.deepEqual([whole.left_usd, whole.resets_at], ['4.9974', null]);
});

test('a key whose budget is used up may still ask', async () => {
  const { key, token } = await gateway.createKey({ name: 'broke' });
  await admin('/admin/v1/budgets', { scope: 'key', key_id: key.id, limit_usd: '0', window: 'total' });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const body = chatBody('gpt-4o', 1000, 0, 10);
  assert.equal(
    (await fetch(`${gateway.api}/openai/v1/chat/completions`, { method: 'POST', headers, body })).status,
    429,
  );
  assert.equal((await usage(token)).budgets[0].left_usd, '0');
});

test('its limits tell what is left of them', async () => {
  const { token } = await gateway.createKey({
    name: 'limited',
    limits: { requests_per_minute: 5, concurrent_streams: 2 },
  });
  await usage(token);
  const told = await usage(token);
  assert.deepEqual([told.limits.key.requests_per_minute, told.limits.key.concurrent_streams], [5, 2]);
  assert.deepEqual([told.limits.left.requests.limit, told.limits.left.requests.left], [5, 3]);
  assert.equal(told.limits.left.tokens, null);
});

describe('the record of such a question', () => {
  test('is one, free, of the key that asked', async () => {
    const { key, token } = await gateway.createKey({ name: 'recorded' });
    const reply = await ask(token);
    const id = reply.headers.get('x-throughway-exchange-id');
    assert.equal(reply.headers.get('x-throughway-cost-usd'), null);
    let record: Json;
    for (let tries = 0; tries < 500 && record?.id !== id; tries++) {
      record = await (await gateway.adminFetch(`/admin/v1/exchanges/${id}`)).json();
      if (record.id !== id) await delay(10);
    }
    assert.deepEqual(
      [record.key_id, record.cost.state, record.cost.usd, record.status, record.attempts, record.path],
      [key.id, 'free', '0', 200, [], '/v1/throughway/usage'],
    );
    const page = (await (await gateway.adminFetch(`/admin/v1/exchanges?key_id=${key.id}`)).json()) as Json;
    assert.equal(page.data.length, 1);
  });
});
