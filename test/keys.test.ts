// Virtual keys as their holders and their finders meet them: what opens, what does not, and from when on.
// The letters in brackets are the acceptance tests of the security reference.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync, StatementSync } from 'node:sqlite';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from 'node:zlib';

import { newId } from '../src/domain/id.ts';
import { hashToken, newToken, tokenHint } from '../src/keys/token.ts';
import { startGateway } from './support/gateway.ts';
import type { RawReply } from './support/raw-client.ts';
import { startRecorder } from './support/recorder.ts';
import { openStand, type Stand } from './support/stand.ts';
import { valueOf, type Header } from './support/wire.ts';

const MODELS = { target: '/openai/models' };
const CHAT = { method: 'POST', target: '/openai/chat/completions', body: '{"model":"gpt-4o-mini","messages":[]}' };

let stand: Stand;
// This file tries more bad keys from one address than any client would.
before(async () => (stand = await openStand({ settings: { limits: { badKeysPerMinute: 0 } } })));
after(() => stand.close());
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());

const bearer = (token: string): Header[] => [['Authorization', `Bearer ${token}`]];
const ask = (headers: readonly Header[], what: { target: string } = MODELS) => stand.ask({ ...what, headers });
/** Requests of the test, without the one that the invariants send. */
const upstreamSaw = () => stand.upstream.requests.length;

function assertUnknown(reply: RawReply, what: string): void {
  assert.equal(reply.status, 401, what);
  const { error } = JSON.parse(reply.body.toString()) as { error: Record<string, unknown> };
  assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code'], what);
  assert.equal(error['code'], 'invalid_api_key', what);
  assert.equal(error['type'], 'invalid_request_error', what);
  assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'invalid_api_key', what);
}

describe('a token', () => {
  test('opens whatever the case of the scheme (A02)', async () => {
    for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
      const reply = await ask([['Authorization', `${scheme} ${stand.gateway.token}`]]);
      assert.equal(reply.status, 200, scheme);
    }
  });

  test('that is not exactly there opens nothing, and the upstream hears nothing of it (A01, A02)', async () => {
    const { token } = stand.gateway;
    const values = [
      'Bearer',
      'Bearer ',
      `Bearer  ${token}`,
      `Bearer\t${token}`,
      `Basic ${token}`,
      token,
      `Bearer ${token},`,
    ];
    const inside = [
      `Bearer ${token}\tx`,
      `Bearer ${token} x`,
      `Bearer x ${token}`,
      `Bearer "${token}"`,
      `Token ${token}`,
      '',
    ];
    for (const value of [...values, ...inside]) assertUnknown(await ask([['Authorization', value]]), value);
    const keyless = await stand.connect();
    await keyless.send(MODELS);
    assertUnknown(await keyless.reply(), 'no header at all');
    keyless.close();
    assert.equal(upstreamSaw(), 0);
  });

  test('with a NUL in it, or of a megabyte, is refused before anyone looks it up (A02)', async () => {
    const nul = await ask([['Authorization', `Bearer ${stand.gateway.token}\0`]]);
    assert.equal(nul.status, 400);
    const long = await ask(bearer('x'.repeat(1 << 20)));
    assert.equal(long.status, 431);
    assert.equal(upstreamSaw(), 0);
  });

  test('given twice is refused, were both right', async () => {
    const reply = await ask([...bearer(stand.gateway.token), ...bearer(stand.gateway.token)]);
    assert.equal(reply.status, 400);
    assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'duplicate_authorization');
  });

  test('that shares its beginning with a real one opens nothing, right after the real one was used (A05)', async () => {
    const { token } = stand.gateway;
    const prefixes = Array.from({ length: token.length - 1 }, (_, i) => token.slice(0, i + 1));
    const forged = [12, 20, 26, 32].map((shared) => forge(token.slice(0, shared)));
    assert.equal((await ask(bearer(token))).status, 200);
    for (const wrong of [...prefixes, `${token}0`, `${token}=`, token.toUpperCase(), token.toLowerCase(), ...forged]) {
      assertUnknown(await ask(bearer(wrong)), wrong);
    }
    assert.equal(upstreamSaw(), 1);
  });

  test('with a wrong checksum is refused without a word to the database (A03)', async () => {
    const { token } = stand.gateway;
    const statements = watchStatements();
    try {
      assertUnknown(await ask(bearer(`${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`)), 'wrong checksum');
      assert.deepEqual(statements.about('keys'), []);
      assertUnknown(await ask(bearer(newToken())), 'right checksum');
      assert.equal(
        statements.about('keys').length,
        1,
        'a well-formed token is looked up, so that this test sees a look-up',
      );
    } finally {
      statements.stop();
    }
  });

  test('that nobody had made opens as soon as it is made, for its refusal is not remembered (A06)', async () => {
    const token = newToken();
    assertUnknown(await ask(bearer(token)), 'not made yet');
    insertKeyAsAnotherProcess(token);
    assert.equal((await ask(bearer(token))).status, 200);
  });

  test('in x-api-key or api-key has the same rights and the same bounds as in Authorization (A14)', async () => {
    const { key, token } = await stand.gateway.createKey({ name: 'chat only', endpoints: ['chat'] });
    const places = (secret: string): Header[] => [
      ['Authorization', `Bearer ${secret}`],
      ['x-api-key', secret],
      ['api-key', secret],
      ['X-API-KEY', secret],
    ];
    const allowed = [CHAT];
    const forbidden = [MODELS, { target: '/openai/organization/projects' }, { target: '/openai/an-unknown-path' }];
    for (const header of places(token)) {
      for (const what of allowed)
        assert.equal((await stand.ask({ ...what, headers: [header] })).status, 200, header[0]);
      for (const what of forbidden) {
        const reply = await ask([header], what);
        assert.equal(reply.status, 403, `${header[0]} ${what.target}`);
        assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'endpoint_not_allowed');
      }
    }
    assert.equal(upstreamSaw(), places(token).length);

    await stand.gateway.adminFetch(`/admin/v1/keys/${key.id}/revoke`, { method: 'POST' });
    for (const header of places(token)) assertUnknown(await stand.ask({ ...CHAT, headers: [header] }), header[0]);
  });

  test('in x-api-key does not save a request whose Authorization is wrong', async () => {
    assertUnknown(await ask([...bearer(newToken()), ['x-api-key', stand.gateway.token]]), 'Authorization decides');
  });

  test('in the query or in a cookie is refused, for both end up in logs and in other hands (A14)', async () => {
    const { token } = stand.gateway;
    for (const name of ['api_key', 'api-key', 'key', 'access_token']) {
      const connection = await stand.connect();
      await connection.send({ target: `/openai/models?${name}=${token}` });
      assertUnknown(await connection.reply(), name);
      connection.close();
    }
    assertUnknown(
      await ask([
        ['Cookie', `api_key=${token}`],
        ['x-api-key', ''],
      ]),
      'cookie',
    );
    assert.equal(upstreamSaw(), 0);
  });

  test('stands in no file of the data dir, and no answer shows it or its digest again (A15, A16)', async () => {
    const { key, token } = await stand.gateway.createKey({ name: 'secretive' });
    assert.equal((await ask(bearer(token))).status, 200);
    assertUnknown(await ask(bearer(`${token}x`)), 'almost');

    for (const path of [
      '/admin/v1/keys',
      `/admin/v1/keys/${key.id}`,
      '/admin/v1/exchanges',
      '/admin/v1/teams',
      '/metrics',
    ]) {
      const text = await (await stand.gateway.adminFetch(path)).text();
      assert.ok(!text.includes(token), path);
      assert.ok(!text.includes(hashToken(token)), path);
    }
    const shown = await (await stand.gateway.adminFetch(`/admin/v1/keys/${key.id}`)).json();
    assert.equal((shown as { token_hint: string }).token_hint, `sk-tw-...${token.slice(-4)}`);

    const files = readdirSync(stand.gateway.dataDir);
    assert.ok(files.some((file) => file.endsWith('.db-wal')));
    for (const file of files) {
      const bytes = readFileSync(join(stand.gateway.dataDir, file));
      assert.ok(!bytes.includes(token) && !bytes.includes(stand.gateway.token), file);
    }
  });
});

test('a revoked key opens nothing from the moment that this is answered, under load and on kept connections (A08)', async () => {
  const { key, token } = await stand.gateway.createKey({ name: 'to be revoked' });
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const results: { readonly startedAt: number; readonly status: number; readonly isReused: boolean }[] = [];
  const running: Promise<void>[] = [];
  const fire = () =>
    new Promise<void>((resolve, reject) => {
      const startedAt = performance.now();
      const headers = { authorization: `Bearer ${token}` };
      const sent = request(`${stand.gateway.api}/openai/models`, { agent, headers }, (reply) => {
        results.push({ startedAt, status: reply.statusCode ?? 0, isReused: sent.reusedSocket });
        reply.resume().on('end', resolve).on('error', reject);
      });
      sent.on('error', reject).end();
    });
  const fireMany = async (count: number) => {
    for (let i = 0; i < count; i++) {
      running.push(fire());
      await delay(5);
    }
  };

  await fireMany(50);
  const load = fireMany(100);
  const revoked = await stand.gateway.adminFetch(`/admin/v1/keys/${key.id}/revoke`, { method: 'POST' });
  const revokedAt = performance.now();
  assert.equal(((await revoked.json()) as { status: string }).status, 'revoked');
  await load;
  await Promise.all(running);
  agent.destroy();

  const earlier = results.filter(({ startedAt }) => startedAt < revokedAt);
  const later = results.filter(({ startedAt }) => startedAt >= revokedAt);
  assert.ok(earlier.filter(({ status }) => status === 200).length >= 50);
  assert.deepEqual([...new Set(later.map(({ status }) => status))], [401]);
  assert.ok(
    later.filter(({ isReused }) => isReused).length > 10,
    'connections that were open before bring nothing more',
  );
});

test('a key opens until its very last second, and not at the one it ends at (A09)', async () => {
  const upstream = await startRecorder();
  let now = Date.parse('2026-11-22T08:00:00Z');
  const clock = { now: () => now, elapsedMs: () => performance.now() };
  const gateway = await startGateway({ upstream: `${upstream.url}/v1`, clock });
  try {
    const { key, token } = await gateway.createKey({ name: 'short-lived', expires_at: '2026-11-22T09:00:00+00:00' });
    const status = async () => {
      const reply = await fetch(`${gateway.api}/openai/models`, { headers: { authorization: `Bearer ${token}` } });
      await reply.arrayBuffer();
      return reply.status;
    };
    const shownStatus = async () =>
      ((await (await gateway.adminFetch(`/admin/v1/keys/${key.id}`)).json()) as { status: string }).status;

    assert.equal(await status(), 200);
    now = Date.parse('2026-11-22T08:59:59Z');
    assert.equal(await status(), 200);
    assert.equal(await shownStatus(), 'active');
    now = Date.parse('2026-11-22T09:00:00Z');
    assert.equal(await status(), 401);
    assert.equal(await shownStatus(), 'expired');
  } finally {
    await gateway.close();
    await upstream.close();
  }
});

test('the admin token opens nothing on the API listener, and a virtual key nothing on the admin one (A13)', async () => {
  const admin = await stand.gateway.adminFetch('/admin/v1/keys', {
    headers: { authorization: `Bearer ${stand.gateway.token}` },
  });
  assert.equal(admin.status, 401);
  for (const header of [
    ['Authorization', `Bearer ${stand.gateway.adminToken}`] as const,
    ['x-api-key', stand.gateway.adminToken] as const,
  ]) {
    assertUnknown(await ask([header]), header[0]);
  }
  const misplaced = await ask(bearer(stand.gateway.adminToken), { target: '/admin/v1/keys' });
  assert.equal(misplaced.status, 404);
});

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** A token with a right checksum that nobody was ever given. */
function forge(beginning: string): string {
  const random = beginning.slice('sk-tw-'.length).padEnd(28, '0');
  let rest = crc32(random);
  let checksum = '';
  for (let i = 0; i < 6; i++) {
    checksum = DIGITS[rest % 62] + checksum;
    rest = Math.floor(rest / 62);
  }
  return `sk-tw-${random}-${checksum}`;
}

/** Statements that this process prepares from now on. What the spool writes was prepared when it was opened. */
function watchStatements() {
  const seen: string[] = [];
  const { all } = StatementSync.prototype;
  StatementSync.prototype.all = function (...parameters) {
    seen.push(this.sourceSQL);
    // Of its two forms the types follow one; what was given is handed on as it is.
    return Reflect.apply(all, this, parameters) as ReturnType<typeof all>;
  };
  return {
    about: (table: string) => seen.filter((sql) => sql.includes(`"${table}"`)),
    stop: () => {
      StatementSync.prototype.all = all;
    },
  };
}

function insertKeyAsAnotherProcess(token: string): void {
  const database = new DatabaseSync(join(stand.gateway.dataDir, 'throughway.db'), { timeout: 5000 });
  const { id: team } = database.prepare('SELECT id FROM teams').get() as { id: string };
  const row = {
    id: newId('key', Date.now()),
    team_id: team,
    name: 'made elsewhere',
    token_hash: hashToken(token),
    token_hint: tokenHint(token),
    endpoints: '["*"]',
    status: 'active',
    created_at: Date.now(),
  };
  const columns = Object.keys(row);
  database
    .prepare(`INSERT INTO keys (${columns.join()}) VALUES (${columns.map(() => '?').join()})`)
    .run(...Object.values(row));
  database.close();
}
