// Teams, keys, users and budgets: made, changed, closed; each change told to the audit once; nothing half-written.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';

interface Answer {
  readonly status: number;
  readonly text: string;
  // Each test says what it expects of it.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any;
}

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

async function call(method: string, path: string, body?: unknown): Promise<Answer> {
  const reply = await gateway.adminFetch(`/admin/v1${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  const isJson = reply.headers.get('content-type') === 'application/json';
  return { status: reply.status, text, json: isJson ? JSON.parse(text) : null };
}

async function ok(method: string, path: string, body?: unknown) {
  const answer = await call(method, path, body);
  assert.ok(answer.status === 200 || answer.status === 201, `${method} ${path}: ${answer.text}`);
  return answer.json;
}

async function statusWith(token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const reply = await fetch(`${gateway.api}/openai/v1/models`, { headers });
  await reply.arrayBuffer();
  return reply.status;
}

async function auditOf(id: string): Promise<string[]> {
  const { data } = await ok('GET', `/audit?id=${id}`);
  return data.map((row: { action: string }) => row.action).toReversed();
}

const everything = async () =>
  (await Promise.all(['/keys', '/teams', '/users', '/budgets', '/audit'].map((path) => call('GET', path))))
    .map(({ text }) => text)
    .join('\n');

const NO_LIMITS = {
  requests_per_minute: null,
  tokens_per_minute: null,
  concurrent_exchanges: null,
  concurrent_streams: null,
  concurrent_sockets: null,
};

describe('teams', () => {
  test('are made with all they may, shown by id and name, changed and deleted', async () => {
    const team = await ok('POST', '/teams', {
      name: 'web',
      models: ['gpt-*'],
      endpoints: ['chat', 'models'],
      limits: { requests_per_minute: 600 },
      budgets: [
        { limit_usd: '50', window: 'month', time_zone: 'Europe/Berlin' },
        { limit_tokens: 1000, kind: 'soft' },
      ],
      tags: ['production'],
      metadata: { cost_center: '4711' },
    });
    assert.match(team.id, /^team_/);
    const { id, budgets, created_at, ...rest } = team;
    assert.deepEqual(rest, {
      name: 'web',
      models: ['gpt-*'],
      endpoints: ['chat', 'models'],
      limits: { ...NO_LIMITS, requests_per_minute: 600 },
      capture: 'metadata',
      tags: ['production'],
      metadata: { cost_center: '4711' },
      status: 'active',
    });
    assert.ok(Date.parse(created_at) > 0);
    const shown = budgets.map(
      ({ scope, team_id, limit_usd, limit_tokens, window, kind, spent_usd }: Answer['json']) => [
        scope,
        team_id,
        limit_usd,
        limit_tokens,
        window,
        kind,
        spent_usd,
      ],
    );
    assert.deepEqual(
      shown.toSorted((a: unknown[], b: unknown[]) => (String(a[4]) < String(b[4]) ? -1 : 1)),
      [
        ['team', id, '50', null, 'month', 'hard', '0'],
        ['team', id, null, 1000, 'total', 'soft', null],
      ],
    );
    assert.deepEqual(await ok('GET', `/teams/${id}`), team);
    assert.deepEqual(await ok('GET', '/teams/web'), team);

    const changed = await ok('PATCH', `/teams/${id}`, { name: 'web2', limits: { concurrent_streams: 5 } });
    assert.deepEqual(changed, { ...team, name: 'web2', limits: { ...team.limits, concurrent_streams: 5 } });
    assert.equal((await ok('POST', `/teams/${id}/suspend`)).status, 'suspended');
    assert.equal((await ok('POST', `/teams/${id}/resume`)).status, 'active');
    assert.deepEqual(await ok('DELETE', `/teams/${id}`), { id, deleted: true });
    assert.equal((await call('GET', `/teams/${id}`)).status, 404);
    assert.equal((await call('DELETE', `/teams/${id}`)).status, 404);
    assert.deepEqual(await auditOf(id), ['created', 'updated', 'suspended', 'resumed', 'deleted']);
    await ok('POST', '/teams', { name: 'web2' });
  });

  test('close their keys while they are suspended', async () => {
    await ok('POST', '/teams', { name: 'night' });
    const { token } = await gateway.createKey({ name: 'k', team: 'night' });
    assert.equal(await statusWith(token), 200);
    await ok('POST', '/teams/night/suspend');
    assert.equal(await statusWith(token), 401);
    await ok('POST', '/teams/night/resume');
    assert.equal(await statusWith(token), 200);
  });
});

describe('virtual keys', () => {
  test('are made with all they may, and changed field by field', async () => {
    const user = await ok('POST', '/users', { name: 'ann', role: 'viewer' });
    const { key, token } = await ok('POST', '/keys', {
      name: 'full',
      team_id: (await ok('GET', '/teams/default')).id,
      user: 'ann',
      models: ['gpt-4o*'],
      endpoints: ['chat'],
      limits: { requests_per_minute: 10, concurrent_sockets: 2 },
      budgets: [
        { limit_usd: '0.50', window: 'day', rolling: true },
        { scope: 'end_user', limit_usd: 1 },
      ],
      allowed_cidrs: ['127.0.0.0/8'],
      on_disconnect: 'drain',
      on_unpriced: 'deny',
      on_unbounded: 'refuse',
      on_overrun: 'cut',
      stream_usage: 'estimate',
      tags: ['a'],
      metadata: { x: { y: [1] } },
    });
    assert.equal(key.user_id, user.id);
    assert.deepEqual(
      key.budgets.map((each: Answer['json']) => each.key_id),
      [key.id, key.id],
    );
    assert.deepEqual(key.limits, { ...NO_LIMITS, requests_per_minute: 10, concurrent_sockets: 2 });
    assert.equal(key.token_hint, `sk-tw-...${token.slice(-4)}`);

    const changes = {
      name: 'fuller',
      models: ['*'],
      endpoints: ['chat', 'models'],
      allowed_cidrs: [],
      on_disconnect: null,
      on_unpriced: 'allow',
      on_unbounded: 'learned',
      on_overrun: 'finish',
      stream_usage: 'inject',
      tags: [],
      metadata: {},
      user_id: null,
      expires_at: '2999-01-01T00:00:00.000Z',
    };
    const changed = await ok('PATCH', `/keys/${key.id}`, { ...changes, limits: { requests_per_minute: null } });
    assert.deepEqual(changed, { ...key, ...changes, limits: { ...NO_LIMITS, concurrent_sockets: 2 } });
    assert.deepEqual(await ok('GET', `/keys/${key.id}`), changed);
    assert.equal((await call('PATCH', `/keys/${key.id}`, {})).status, 400);
  });

  test('are rotated with a grace: both tokens open until it is over, and each step is one audit row (A10, A20)', async () => {
    const { key, token: first } = await gateway.createKey({ name: 'turning' });
    const rotated = await ok('POST', `/keys/${key.id}/rotate`, { grace_seconds: 3600 });
    assert.notEqual(rotated.token, first);
    assert.ok(Date.parse(rotated.key.former_token_until) > Date.parse(rotated.key.created_at));
    assert.deepEqual([await statusWith(first), await statusWith(rotated.token)], [200, 200]);
    const again = await ok('POST', `/keys/${key.id}/rotate`);
    assert.equal(again.key.former_token_until, null);
    assert.deepEqual(
      [await statusWith(first), await statusWith(rotated.token), await statusWith(again.token)],
      [401, 401, 200],
    );
    assert.equal((await ok('POST', `/keys/${key.id}/suspend`)).status, 'suspended');
    assert.equal(await statusWith(again.token), 401);
    await ok('POST', `/keys/${key.id}/resume`);
    assert.equal(await statusWith(again.token), 200);
    await ok('PATCH', `/keys/${key.id}`, { tags: ['x'] });
    await ok('POST', `/keys/${key.id}/revoke`);
    assert.equal((await call('POST', `/keys/${key.id}/resume`)).status, 409, 'for good');
    assert.equal((await call('PATCH', `/keys/${key.id}`, { tags: [] })).status, 409);
    await ok('DELETE', `/keys/${key.id}`);
    assert.equal((await call('GET', `/keys/${key.id}`)).status, 404);
    const deleted = (await ok('GET', '/keys?status=deleted')).data;
    assert.ok(deleted.some(({ id, status }: Answer['json']) => id === key.id && status === 'deleted'));

    const { data: rows } = await ok('GET', `/audit?id=${key.id}&kind=key`);
    assert.deepEqual(
      rows.toReversed().map(({ action, actor, address }: Answer['json']) => `${action} ${actor} ${address}`),
      ['created', 'rotated', 'rotated', 'suspended', 'resumed', 'updated', 'revoked', 'deleted'].map(
        (action) => `${action} owner 127.0.0.1`,
      ),
    );
    const [last, ...earlier] = rows;
    assert.equal(earlier.at(-1).before, null);
    assert.equal(last.before, earlier[0].after);
    assert.ok(!JSON.stringify(rows).includes(first));
  });

  test('may bring a token of their own, which nobody else may have', async () => {
    const token = 'sk-litellm-old-key-0123456789';
    const { key, token: given } = await ok('POST', '/keys', { name: 'old', token });
    assert.equal(given, token);
    assert.equal(key.token_hint, '...6789');
    assert.equal(await statusWith(token), 200);
    const refused = await call('POST', '/keys', { name: 'thief', token });
    assert.equal(refused.status, 409);
    assert.ok(!refused.text.includes(token));
    for (const bad of ['short', `sk-tw-${'x'.repeat(30)}`, 7]) {
      const { status, text } = await call('POST', '/keys', { name: 'x', token: bad });
      assert.equal(status, 400);
      assert.ok(!text.includes(`"${bad}"`), text);
    }
  });

  test('are found by team, user and status', async () => {
    const team = await ok('POST', '/teams', { name: 'filters' });
    const user = await ok('POST', '/users', { name: 'filtered', role: 'team_member', team: 'filters' });
    const one = (await ok('POST', '/keys', { name: 'one', team: 'filters', user: 'filtered' })).key;
    const two = (await ok('POST', '/keys', { name: 'two', team: 'filters' })).key;
    await ok('POST', `/keys/${two.id}/suspend`);
    const found = async (query: string) =>
      (await ok('GET', `/keys?team_id=${team.id}&${query}`)).data.map(({ name }: Answer['json']) => name);
    assert.deepEqual(await found(''), ['two', 'one']);
    assert.deepEqual(await found(`user_id=${user.id}`), ['one']);
    assert.deepEqual(await found('status=active'), ['one']);
    assert.deepEqual(await found('status=suspended'), ['two']);
    assert.deepEqual(await found('status=expired'), []);
    assert.ok(one.id < two.id);
  });
});

describe('budgets', () => {
  test('tell their scope from what they name, and are changed, raised for a while and deleted', async () => {
    const { key } = await gateway.createKey({ name: 'spender' });
    const { id: team } = await ok('GET', '/teams/default');
    const user = await ok('POST', '/users', { name: 'payer', role: 'viewer' });
    const scopes = {
      key: { key_id: key.id },
      team: { team_id: team },
      user: { user_id: user.id },
      model: { model: 'gpt-5*', key_id: key.id },
      tag: { tag: 'nightly' },
      end_user: { scope: 'end_user', team_id: team },
      global: { scope: 'global' },
    };
    for (const [scope, named] of Object.entries(scopes)) {
      const budget = await ok('POST', '/budgets', { ...named, limit_usd: '1000000' });
      assert.equal(budget.scope, scope);
      assert.deepEqual(await ok('GET', `/budgets/${budget.id}`), budget);
      const listed = (await ok('GET', `/budgets?scope=${scope}`)).data.map(({ id }: Answer['json']) => id);
      assert.ok(listed.includes(budget.id));
      if (scope !== 'key') await ok('DELETE', `/budgets/${budget.id}`);
    }
    const [budget] = (await ok('GET', `/keys/${key.id}`)).budgets;
    const until = '2999-01-01T00:00:00.000Z';
    const raised = await ok('PATCH', `/budgets/${budget.id}`, {
      limit_usd: '0.000000000001',
      kind: 'soft',
      thresholds: [90, 10],
      increase: { usd: '5', until },
    });
    assert.deepEqual(raised, {
      ...budget,
      limit_usd: '0.000000000001',
      kind: 'soft',
      thresholds: [10, 90],
      increase: { usd: '5', tokens: null, until },
    });
    assert.equal((await ok('PATCH', `/budgets/${budget.id}`, { increase: null })).increase, null);
    assert.deepEqual(await ok('DELETE', `/budgets/${budget.id}`), { id: budget.id, deleted: true });
    assert.equal((await call('GET', `/budgets/${budget.id}`)).status, 404);
    assert.deepEqual(await auditOf(budget.id), ['created', 'updated', 'updated', 'deleted']);
  });

  test('are listed page by page, each once', async () => {
    for (let i = 0; i < 5; i++) await ok('POST', '/budgets', { tag: `page-${i}`, limit_usd: '1' });
    const all = (await ok('GET', '/budgets')).data.map(({ id }: Answer['json']) => id);
    const seen: string[] = [];
    for (let cursor = ''; ;) {
      const page = await ok('GET', `/budgets?limit=2${cursor}`);
      seen.push(...page.data.map(({ id }: Answer['json']) => id));
      if (page.next_cursor === null) break;
      cursor = `&cursor=${page.next_cursor}`;
    }
    assert.deepEqual(seen, all);
  });
});

describe('what is wrong names its field, and leaves everything as it was', () => {
  const wrong: Record<
    string,
    readonly [method: string, path: string, body: unknown, status: number, param: string, says: RegExp]
  > = {
    'a limit below 1': [
      'POST',
      '/keys',
      { name: 'x', limits: { requests_per_minute: 0 } },
      400,
      'limits.requests_per_minute',
      /limits\.requests_per_minute is 0/,
    ],
    'a limit in words': [
      'POST',
      '/teams',
      { name: 'x', limits: { tokens_per_minute: '10k' } },
      400,
      'limits.tokens_per_minute',
      /write a whole number/,
    ],
    'a limit that is none': [
      'PATCH',
      '/teams/default',
      { limits: { request_per_minute: 5 } },
      400,
      'limits.request_per_minute',
      /limits\.request_per_minute is not a field; did you mean requests_per_minute/,
    ],
    'a team that has a name already': ['POST', '/teams', { name: 'default' }, 409, 'name', /choose one that is free/],
    'the default team renamed': ['PATCH', '/teams/default', { name: 'x' }, 409, 'name', /cannot be renamed/],
    'the default team deleted': ['DELETE', '/teams/default', undefined, 409, 'name', /cannot be deleted/],
    'a network that is none': [
      'POST',
      '/keys',
      { name: 'x', allowed_cidrs: ['10.0.0.0/99'] },
      400,
      'allowed_cidrs',
      /10\.0\.0\.0\/99/,
    ],
    'a user that nobody is': ['POST', '/keys', { name: 'x', user: 'nobody' }, 404, 'user', /no user "nobody"/],
    'a team twice': [
      'POST',
      '/keys',
      { name: 'x', team: 'default', team_id: 'team_x' },
      400,
      'team',
      /write one of the two/,
    ],
    'a tag with a comma': ['POST', '/keys', { name: 'x', tags: ['a,b'] }, 400, 'tags[0]', /without commas/],
    'a capture of bodies': ['POST', '/keys', { name: 'x', capture: 'full' }, 400, 'capture', /write "metadata"/],
    'a key moved to another team': ['PATCH', '/keys/KEY', { team: 'default' }, 400, 'team', /is not a field/],
    'an inline budget of two units': [
      'POST',
      '/keys',
      { name: 'x', budgets: [{ limit_usd: '1' }, { limit_usd: '1', limit_tokens: 5 }] },
      400,
      'budgets[1].limit_usd',
      /give one of/,
    ],
    'an inline budget of a team, in a zone of nowhere': [
      'POST',
      '/teams',
      { name: 'half', budgets: [{ limit_usd: '1' }, { limit_usd: '1', time_zone: 'Mars/Base' }] },
      400,
      'budgets[1].time_zone',
      /Mars\/Base/,
    ],
    'an inline budget of somebody else': [
      'POST',
      '/keys',
      { name: 'x', budgets: [{ limit_usd: '1', key_id: 'key_x' }] },
      400,
      'budgets[0].key_id',
      /budgets\[0\]\.key_id is not a field/,
    ],
    'a budget of nothing': ['POST', '/budgets', { limit_usd: '1' }, 400, 'scope', /name what it binds/],
    'a budget without a limit': ['POST', '/budgets', { tag: 'x' }, 400, 'limit_usd', /give one of/],
    'a budget of a key that nobody has': [
      'POST',
      '/budgets',
      { key_id: 'key_x', limit_usd: '1' },
      404,
      'key_id',
      /there is no key_id "key_x"/,
    ],
    'money of too many decimals': [
      'POST',
      '/budgets',
      { tag: 'x', limit_usd: '0.0000000000001' },
      400,
      'limit_usd',
      /at most 12 decimals/,
    ],
    'money in words': ['POST', '/budgets', { tag: 'x', limit_usd: 'ten' }, 400, 'limit_usd', /limit_usd is "ten"/],
    'money below 0': ['POST', '/budgets', { tag: 'x', limit_usd: -1 }, 400, 'limit_usd', /write 0 or more/],
    'a window of a year': [
      'POST',
      '/budgets',
      { tag: 'x', limit_usd: '1', window: 'year' },
      400,
      'window',
      /write one of total, minute/,
    ],
    'a role of nobody': ['POST', '/users', { name: 'x', role: 'root' }, 400, 'role', /write one of owner, admin/],
    'a member of no team': ['POST', '/users', { name: 'x', role: 'team_member' }, 400, 'team_id', /belongs to a team/],
    'an owner of a team': [
      'POST',
      '/users',
      { name: 'x', role: 'owner', team: 'default' },
      400,
      'team_id',
      /belongs to no team/,
    ],
    'a grace of years': ['POST', '/keys/KEY/rotate', { grace_seconds: 1e12 }, 400, 'grace_seconds', /at most/],
    'metadata without end': [
      'POST',
      '/keys',
      { name: 'x', metadata: { x: 'y'.repeat(20_000) } },
      400,
      'metadata',
      /at most 16384/,
    ],
    'too many rules': [
      'POST',
      '/keys',
      { name: 'x', models: Array.from({ length: 501 }, () => 'gpt-4o') },
      400,
      'models',
      /at most 500/,
    ],
  };
  for (const [what, [method, path, body, status, param, says]] of Object.entries(wrong)) {
    test(what, async () => {
      const { key } = await gateway.createKey({ name: 'there' });
      const before = await everything();
      const answer = await call(method, path.replace('KEY', key.id), body);
      assert.equal(answer.status, status, answer.text);
      assert.deepEqual(Object.keys(answer.json.error), ['message', 'type', 'param', 'code']);
      assert.equal(answer.json.error.param, param, answer.text);
      assert.match(answer.json.error.message, says);
      assert.equal(await everything(), before);
    });
  }
});

describe('the audit', () => {
  test('is read by kind, actor and time, page by page, and holds as a chain', async () => {
    const since = new Date().toISOString();
    await ok('POST', '/teams', { name: 'audited' });
    const rows = (await ok('GET', `/audit?kind=team&actor=owner&from=${since}`)).data;
    assert.equal(rows[0].action, 'created');
    assert.deepEqual((await ok('GET', '/audit?actor=user_nobody')).data, []);
    assert.deepEqual((await ok('GET', '/audit?to=2020-01-01')).data, []);
    const all = (await ok('GET', '/audit?limit=1000')).data.map(({ seq }: Answer['json']) => seq);
    assert.deepEqual(
      all,
      Array.from(all, (_, i) => all.length - i),
      'from 1 on, without gaps',
    );
    const page = await ok('GET', '/audit?limit=2');
    assert.deepEqual((await ok('GET', `/audit?limit=2&cursor=${page.next_cursor}`)).data[0].seq, all[2]);

    const report = await ok('GET', '/audit/verify');
    assert.deepEqual([report.whole, report.rows, report.head.seq, report.faults], [true, all.length, all[0], []]);
  });
});

test('lists take any limit, and give at most a thousand (O14)', async () => {
  for (const path of ['keys', 'teams', 'users', 'budgets', 'audit', 'exchanges']) {
    assert.equal((await call('GET', `/${path}?limit=999999999`)).status, 200, path);
    assert.equal((await ok('GET', `/${path}?limit=0`)).data.length <= 1, true, path);
    // What looks like a pattern is a name like any other (O13).
    if (path !== 'teams' && path !== 'audit') {
      assert.deepEqual((await ok('GET', `/${path}?team_id=${encodeURIComponent('%%%_%(a+)+$')}`)).data, []);
    }
  }
});

test('who guesses admin tokens is told to wait, and whoever has one is not (UI05)', async () => {
  const guess = (i: number) =>
    gateway.adminFetch('/admin/v1/me', {
      headers: { authorization: `Bearer tw-admin-${String(i).padStart(43, 'x')}` },
    });
  let status = 0;
  for (let i = 0; i < 1000 && status !== 429; i++) {
    const reply = await guess(i);
    ({ status } = reply);
    assert.ok(status === 401 || status === 429);
    if (status === 429) assert.ok(Number(reply.headers.get('retry-after')) > 0);
    await reply.arrayBuffer();
  }
  assert.equal(status, 429);
  assert.equal((await call('GET', '/me')).status, 200);
});
