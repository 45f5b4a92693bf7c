// LiteLLM's management API as the scripts of its users meet it: what they write is honoured or named, and is seen under /admin/v1.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { Ajv2020, type AnySchema } from 'ajv/dist/2020.js';

import { litellmRoutes } from '../../src/admin/contract.ts';
import { HONOURED, type Kind, NOT_HONOURED } from '../../src/admin/litellm-fields.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';

const UNSUPPORTED = 'x-throughway-unsupported-fields';

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // Each test says what it expects of it.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any;
}

let upstream: Recorder;
let gateway: TestGateway;
before(async () => {
  upstream = await startRecorder(() => ({
    headers: [['content-type', 'application/json']],
    body: JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      model: 'gpt-4o',
      choices: [{ index: 0, message: { role: 'assistant', content: 'x = 1' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 },
    }),
  }));
  gateway = await startGateway({ upstream: `${upstream.url}/v1` });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

async function call(method: string, path: string, body?: unknown, token?: string): Promise<Answer> {
  const reply = await gateway.adminFetch(path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
  });
  return { status: reply.status, headers: reply.headers, json: await reply.json() };
}
const get = (path: string, token?: string) => call('GET', path, undefined, token);
const post = (path: string, body: unknown = {}, token?: string) => call('POST', path, body, token);

/** One that must go well. @returns its JSON */
async function ok(answer: Promise<Answer>): Promise<Answer['json']> {
  const { status, json } = await answer;
  assert.equal(status, 200, JSON.stringify(json));
  return json;
}

async function assertRefused(answer: Promise<Answer>, status: number, param: string, says: RegExp): Promise<void> {
  const { status: told, json } = await answer;
  assert.equal(told, status, JSON.stringify(json));
  assert.equal(json.error.param, param, json.error.message);
  assert.match(json.error.message, says);
}

async function chat(token: string): Promise<Response> {
  const reply = await fetch(`${gateway.api}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o', max_tokens: 500, messages: [{ role: 'user', content: '3x = 3' }] }),
  });
  await reply.arrayBuffer();
  return reply;
}
/** A record is readable a moment after its reply. */
async function recorded(id: string | null): Promise<Answer> {
  for (const deadline = performance.now() + 5000; ; await delay(5)) {
    const answer = await get(`/spend/logs?request_id=${id}`);
    if (answer.status === 200 || performance.now() > deadline) return answer;
  }
}

/** 1000 tokens in at 2.50 and 500 out at 10 dollars a million. */
const CHAT_USD = 0.0075;

const total = async () => (await ok(get('/key/list'))).total_count as number;

describe('keys in LiteLLM’s names', () => {
  test('are made with budgets, limits and models, and are keys like any other', async () => {
    await ok(post('/team/new', { team_alias: 'mobile' }));
    const made = await ok(
      post('/key/generate', {
        key_alias: 'web',
        team_id: 'mobile',
        models: ['gpt-4o', 'openai/gpt-4.1-mini'],
        max_budget: 10.5,
        soft_budget: 8,
        budget_duration: '30d',
        model_max_budget: { 'gpt-4o': { budget_limit: 5, time_period: '1d' }, 'gpt-4.1-mini': 1 },
        tpm_limit: 1000,
        rpm_limit: 60,
        max_parallel_requests: 3,
        duration: '30d',
        metadata: { owner: 'ann', tags: ['from-metadata'] },
        tags: ['shop'],
        aliases: {},
        config: {},
      }),
    );
    assert.match(made.key, /^sk-tw-/);
    assert.match(made.token_id, /^key_/);
    assert.equal(made.token, made.token_id);
    assert.equal(made.max_budget, 10.5);
    assert.equal(made.soft_budget, 8);
    assert.equal(made.budget_duration, '1mo');
    assert.equal(made.spend, 0);
    assert.deepEqual(made.models, ['gpt-4o', 'gpt-4.1-mini']);
    assert.deepEqual(made.model_max_budget, {
      'gpt-4o': { budget_limit: 5, time_period: '1d' },
      'gpt-4.1-mini': { budget_limit: 1, time_period: null },
    });
    assert.deepEqual([made.tpm_limit, made.rpm_limit, made.max_parallel_requests], [1000, 60, 3]);
    assert.deepEqual(made.unsupported_fields, []);

    const { json: key } = await get(`/admin/v1/keys/${made.token_id}`);
    assert.equal(key.name, 'web');
    assert.deepEqual(key.tags, ['shop', 'from-metadata']);
    assert.equal(key.limits.requests_per_minute, 60);
    assert.equal(key.budgets.length, 4);
    const main = key.budgets.find(
      (each: { scope: string; kind: string }) => each.scope === 'key' && each.kind === 'hard',
    );
    assert.deepEqual([main.limit_usd, main.window, main.rolling], ['10.5', 'month', false]);
    assert.equal(Math.round((Date.parse(key.expires_at) - Date.parse(key.created_at)) / 86_400_000), 30);
    assert.equal((await chat(made.key)).status, 200);
  });

  test('say what they cannot honour, in the answer and in a header', async () => {
    const answer = await post('/key/generate', {
      guardrails: ['pii'],
      aliases: { a: 'b' },
      invented: 1,
      permissions: {},
    });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json.unsupported_fields, ['guardrails', 'aliases', 'invented']);
    assert.equal(answer.headers.get(UNSUPPORTED), 'guardrails, aliases, invented');
    assert.equal(answer.json.key_alias, null);
    const listed = await get('/team/list?organization_id=org-1');
    assert.ok(Array.isArray(listed.json));
    assert.equal(listed.headers.get(UNSUPPORTED), 'organization_id');
    assert.deepEqual((await ok(post('/key/generate', { budget_duration: '1d' }))).unsupported_fields, [
      'budget_duration',
    ]);
  });

  test('are found by token, hash and id', async () => {
    const { key, token_id } = await ok(post('/key/generate', { key_alias: 'found' }));
    const hash = createHash('sha256').update(key).digest('hex');
    for (const named of [key, hash, token_id]) {
      const found = await ok(get(`/key/info?key=${encodeURIComponent(named)}`));
      assert.equal(found.key, token_id);
      assert.equal(found.info.key_alias, 'found');
      assert.ok(!JSON.stringify(found).includes(key), 'a token is shown once');
      assert.ok(!JSON.stringify(found).includes(hash), 'a hash is as good as a token to whoever can guess');
    }
    const secret = 'sk-1234-not-a-key-of-ours';
    const { status, json } = await get(`/key/info?key=${secret}`);
    assert.equal(status, 404);
    assert.ok(!JSON.stringify(json).includes(secret));
  });

  test('are changed: what is left out stays, and null takes away', async () => {
    const { key } = await ok(post('/key/generate', { key_alias: 'before', max_budget: 1, rpm_limit: 5 }));
    const changed = await ok(post('/key/update', { key, key_alias: 'after', max_budget: 2 }));
    assert.deepEqual([changed.key_alias, changed.max_budget, changed.rpm_limit], ['after', 2, 5]);
    const windowed = await ok(post('/key/update', { key, budget_duration: '1d' }));
    assert.deepEqual([windowed.max_budget, windowed.budget_duration], [2, '1d']);
    const raised = await ok(post('/key/update', { key, temp_budget_increase: 3, temp_budget_expiry: '10d' }));
    assert.equal(raised.temp_budget_increase, 3);
    assert.ok(Date.parse(raised.temp_budget_expiry) > Date.now() + 9 * 86_400_000);
    const freed = await ok(post('/key/update', { key, max_budget: null, rpm_limit: null, spend: 0 }));
    assert.deepEqual([freed.max_budget, freed.rpm_limit], [null, null]);
    assert.deepEqual(freed.unsupported_fields, ['spend']);
  });

  test('are blocked, unblocked and deleted, and open accordingly', async () => {
    const { key, token_id } = await ok(post('/key/generate', { blocked: true }));
    assert.equal((await chat(key)).status, 401);
    assert.equal((await ok(post('/key/unblock', { key }))).blocked, false);
    assert.equal((await chat(key)).status, 200);
    assert.equal((await ok(post('/key/block', { key: token_id }))).blocked, true);
    assert.equal((await chat(key)).status, 401);
    await assertRefused(post('/key/delete', { keys: [token_id, 'sk-of-nobody-at-all'] }), 404, 'key', /no such key/);
    assert.equal((await ok(get(`/key/info?key=${token_id}`))).info.blocked, true, 'nothing was deleted');
    assert.deepEqual((await ok(post('/key/delete', { keys: [key] }))).deleted_keys, [token_id]);
    assert.equal((await get(`/key/info?key=${token_id}`)).status, 404);
  });

  test('are deleted by their names', async () => {
    const { token_id } = await ok(post('/key/generate', { key_alias: 'to go' }));
    await assertRefused(post('/key/delete', { key_aliases: ['to go', 'nobody'] }), 404, 'key_aliases', /"nobody"/);
    assert.deepEqual((await ok(post('/key/delete', { key_aliases: ['to go'] }))).deleted_keys, [token_id]);
  });

  test('are given new tokens, with a grace and with one of the script’s own', async () => {
    const { key, token_id } = await ok(post('/key/generate', { max_budget: 1 }));
    const next = await ok(post('/key/regenerate', { key, grace_period: '1h', max_budget: 4 }));
    assert.equal(next.token_id, token_id);
    assert.equal(next.max_budget, 4);
    assert.equal((await chat(next.key)).status, 200);
    assert.equal((await chat(key)).status, 200, 'within the grace');
    const own = 'sk-my-own-token-0123456789';
    const last = await ok(post(`/key/${encodeURIComponent(next.key)}/regenerate`, { new_key: own }));
    assert.equal(last.key, own);
    assert.equal((await chat(own)).status, 200);
    assert.equal((await chat(next.key)).status, 401);
    const { key: other } = await ok(post('/key/generate'));
    await assertRefused(
      post('/key/regenerate', { key: other, new_key: own, max_budget: 9 }),
      409,
      'new_key',
      /used nowhere else/,
    );
    await assertRefused(
      post('/key/regenerate', { key: other, new_key: 'short', max_budget: 9 }),
      400,
      'new_key',
      /16 to 256/,
    );
    await assertRefused(
      post('/key/regenerate', { key: other, grace_period: '9999d', max_budget: 9 }),
      400,
      'grace_period',
      /366d/,
    );
    assert.equal((await ok(get(`/key/info?key=${other}`))).info.max_budget, null, 'nothing was half-written');
  });

  test('are listed by pages, as ids or whole', async () => {
    await ok(post('/team/new', { team_id: 'paged' }));
    for (const key_alias of ['a', 'b', 'c']) await ok(post('/key/generate', { key_alias, team_id: 'paged' }));
    const first = await ok(get('/key/list?team_id=paged&size=2'));
    assert.deepEqual([first.total_count, first.current_page, first.total_pages, first.keys.length], [3, 1, 2, 2]);
    assert.match(first.keys[0], /^key_/);
    const second = await ok(get('/key/list?team_id=paged&size=2&page=2&return_full_object=true'));
    assert.deepEqual([second.keys.length, second.keys[0].key_alias, second.keys[0].team_id], [1, 'a', 'paged']);
    assert.equal((await ok(get('/key/list?key_alias=b'))).total_count, 1);
  });

  test('hold to their budget, and tell what they spent', async () => {
    const { key, token_id } = await ok(post('/key/generate', { max_budget: 0.02 }));
    assert.equal((await chat(key)).status, 200);
    assert.equal((await ok(get(`/key/info?key=${token_id}`))).info.spend, CHAT_USD);
    await ok(post('/key/update', { key, max_budget: CHAT_USD }));
    const refused = await chat(key);
    assert.equal(refused.status, 429);
    const free = await ok(post('/key/generate'));
    await chat(free.key);
    assert.equal(
      (await ok(get(`/key/info?key=${free.token_id}`))).info.spend,
      CHAT_USD,
      'without a budget: all it ever spent',
    );
  });

  const BAD: readonly (readonly [body: Record<string, unknown>, param: string, says: RegExp])[] = [
    [{ max_budget: -1 }, 'max_budget', /max_budget is -1; write 0 or more/],
    [{ max_budget: '10' }, 'max_budget', /max_budget is "10"; write US dollars as a number/],
    [{ max_budget: 1, budget_duration: '30h' }, 'budget_duration', /budget_duration is "30h"; write one of 60s, 1m/],
    [{ rpm_limit: 0 }, 'rpm_limit', /rpm_limit is 0; write a whole number above 0/],
    [{ tpm_limit: 1.5 }, 'tpm_limit', /tpm_limit is 1.5/],
    [{ duration: 'soon' }, 'duration', /duration is "soon"; write a period/],
    [{ key_type: 'read_only' }, 'key_type', /never opens the admin API/],
    [{ allowed_routes: ['management_routes'] }, 'allowed_routes', /management_routes; write paths/],
    [{ models: ['no-default-models'] }, 'models', /no-default-models/],
    [{ models: 'gpt-4o' }, 'models', /write a list/],
    [{ model_max_budget: { 'gpt-4o': { budget_limit: 1, time_period: '5h' } } }, 'model_max_budget', /one of 60s/],
    [{ team_id: 'nowhere' }, 'team_id', /nowhere/],
    [{ user_id: 'nobody' }, 'user_id', /nobody|There is no user/],
    [{ key: 'short' }, 'key', /16 to 256/],
    [{ metadata: ['x'] }, 'metadata', /write a JSON object/],
  ];
  for (const [body, param, says] of BAD) {
    test(`are refused where ${param} is ${JSON.stringify(body[param])}, and nothing is written`, async () => {
      const before = await total();
      const { status, json } = await post('/key/generate', body);
      assert.ok(status === 400 || status === 404, String(status));
      assert.match(json.error.message, says);
      assert.equal(json.error.param.split('.')[0], param);
      assert.equal(await total(), before);
    });
  }

  test('are not half-changed by a change that is refused', async () => {
    await ok(post('/team/new', { team_alias: 'narrow', models: ['gpt-4o'] }));
    const { key } = await ok(post('/key/generate', { team_id: 'narrow', max_budget: 1 }));
    await assertRefused(
      post('/key/update', { key, models: ['o3'], max_budget: 5 }),
      400,
      'models',
      /"narrow" allows gpt-4o/,
    );
    await assertRefused(
      post('/key/update', { key, team_id: 'default', max_budget: 5 }),
      400,
      'team_id',
      /stays with its team/,
    );
    await assertRefused(post('/key/update', { key, temp_budget_increase: 5 }), 400, 'temp_budget_expiry', /missing/);
    assert.equal((await ok(get(`/key/info?key=${key}`))).info.max_budget, 1);
  });

  test('open only the paths of allowed_routes', async () => {
    const { key, token_id } = await ok(post('/key/generate', { allowed_routes: ['/openai/v1/files*', '/embeddings'] }));
    assert.deepEqual((await get(`/admin/v1/keys/${token_id}`)).json.endpoints, ['/v1/files*', '/v1/embeddings']);
    assert.equal((await chat(key)).status, 403);
    const all = await ok(post('/key/generate', { allowed_routes: ['/openai/*'] }));
    assert.equal((await chat(all.key)).status, 200);
  });
});

describe('teams in LiteLLM’s names', () => {
  test('are made, shown, changed, blocked, listed and deleted', async () => {
    const made = await ok(
      post('/team/new', {
        team_alias: 'search',
        max_budget: 100,
        budget_duration: '7d',
        tpm_limit: 10,
        members_with_roles: [{}],
      }),
    );
    assert.match(made.team_id, /^team_/);
    assert.deepEqual([made.team_alias, made.max_budget, made.budget_duration], ['search', 100, '7d']);
    assert.deepEqual(made.unsupported_fields, ['members_with_roles']);
    const { key } = await ok(post('/key/generate', { team_id: made.team_id }));
    const shown = await ok(get(`/team/info?team_id=${made.team_id}`));
    assert.equal(shown.team_info.tpm_limit, 10);
    assert.equal(shown.keys.length, 1);
    const changed = await ok(
      post('/team/update', { team_id: made.team_id, team_alias: 'find', max_budget: 50, tpm_limit: null }),
    );
    assert.deepEqual([changed.data.team_alias, changed.data.max_budget, changed.data.tpm_limit], ['find', 50, null]);
    await ok(post('/team/block', { team_id: made.team_id }));
    assert.equal((await chat(key)).status, 401);
    await ok(post('/team/unblock', { team_id: made.team_id }));
    assert.equal((await chat(key)).status, 200);
    const listed = await ok(get('/team/list'));
    assert.ok(listed.some((team: { team_id: string }) => team.team_id === made.team_id));
    await assertRefused(post('/team/delete', { team_ids: [made.team_id, 'nowhere'] }), 404, 'team_id', /nowhere/);
    assert.deepEqual((await ok(post('/team/delete', { team_ids: [made.team_id] }))).deleted_teams, [made.team_id]);
    assert.equal((await get(`/team/info?team_id=${made.team_id}`)).status, 404);
  });

  test('are called by the id that a script gave them', async () => {
    const made = await ok(post('/team/new', { team_id: 'my-team-1', team_alias: 'My Team', metadata: { a: 1 } }));
    assert.deepEqual([made.team_id, made.team_alias, made.metadata], ['my-team-1', 'My Team', { a: 1 }]);
    assert.equal((await ok(post('/key/generate', { team_id: 'my-team-1' }))).team_id, 'my-team-1');
    const changed = await ok(post('/team/update', { team_id: 'my-team-1', team_alias: 'Ours' }));
    assert.deepEqual(
      [changed.team_id, changed.data.team_alias, changed.data.metadata],
      ['my-team-1', 'Ours', { a: 1 }],
    );
    assert.equal((await get('/admin/v1/teams/my-team-1')).json.name, 'my-team-1');
    assert.equal((await post('/team/new', { team_id: 'my-team-1' })).status, 409);
    await assertRefused(post('/team/new', { max_budget: 1 }), 400, 'team_alias', /give team_alias or team_id/);
  });
});

describe('users in LiteLLM’s names', () => {
  test('are made with a key and a budget, shown, changed and listed', async () => {
    const made = await ok(
      post('/user/new', {
        user_id: 'ann',
        user_email: 'ann@example.com',
        max_budget: 20,
        budget_duration: '1mo',
        models: ['gpt-4o'],
      }),
    );
    assert.equal(made.user_id, 'ann');
    assert.equal(made.max_budget, 20);
    assert.deepEqual(made.unsupported_fields, ['models']);
    assert.equal((await chat(made.key)).status, 200);
    const shown = await ok(get('/user/info?user_id=ann'));
    assert.equal(shown.user_info.user_email, 'ann@example.com');
    assert.deepEqual([shown.keys.length, shown.keys[0].user_id, shown.keys[0].models], [1, 'ann', ['gpt-4o']]);
    const changed = await ok(post('/user/update', { user_id: 'ann', max_budget: 5, user_alias: 'Ann', rpm_limit: 9 }));
    assert.deepEqual([changed.data.max_budget, changed.data.user_alias, changed.data.rpm_limit], [5, 'Ann', 9]);
    const { json: user } = await get('/admin/v1/users/ann');
    assert.deepEqual([user.role, user.limits.requests_per_minute, user.budgets[0].limit_usd], ['viewer', 9, '5']);
    const listed = await ok(get('/user/list?page_size=1'));
    assert.deepEqual([listed.users.length, listed.page_size], [1, 1]);
  });

  test('belong to a team, or administer', async () => {
    await ok(post('/team/new', { team_id: 'crew' }));
    const member = await ok(post('/user/new', { user_id: 'bob', teams: ['crew'], auto_create_key: false }));
    assert.deepEqual([member.teams, member.key, member.user_role], [['crew'], null, 'internal_user_viewer']);
    assert.equal((await get('/admin/v1/users/bob')).json.role, 'team_member');
    await ok(post('/user/new', { user_id: 'eve', user_role: 'proxy_admin', auto_create_key: false }));
    assert.equal((await get('/admin/v1/users/eve')).json.role, 'admin');
    await assertRefused(post('/user/new', { user_id: 'x', teams: ['crew', 'default'] }), 400, 'teams', /at most one/);
    await assertRefused(post('/user/new', { user_id: 'x', user_role: 'team' }), 400, 'user_role', /proxy_admin/);
  });

  test('are not there where their key was refused', async () => {
    await ok(post('/team/new', { team_id: 'tight', models: ['gpt-4o'] }));
    const refused = await post('/user/new', { user_id: 'zoe', team_id: 'tight', models: ['o3'] });
    assert.equal(refused.status, 400);
    assert.equal((await get('/user/info?user_id=zoe')).status, 404);
  });
});

describe('budgets in LiteLLM’s names', () => {
  test('bind what they name', async () => {
    const made = await ok(
      post('/budget/new', { team_id: 'default', tag: 'nightly', max_budget: 3, budget_duration: '1d' }),
    );
    assert.deepEqual([made.max_budget, made.budget_duration, made.tag], [3, '1d', 'nightly']);
    assert.equal((await ok(post('/budget/update', { budget_id: made.budget_id, max_budget: 4 }))).max_budget, 4);
    assert.equal((await ok(post('/budget/info', { budgets: [made.budget_id] })))[0].max_budget, 4);
    const listed = await ok(get('/budget/list'));
    assert.ok(listed.some((budget: { budget_id: string }) => budget.budget_id === made.budget_id));
    await ok(post('/budget/delete', { id: made.budget_id }));
    assert.equal((await post('/budget/info', { budgets: [made.budget_id] })).status, 404);
    await assertRefused(post('/budget/new', { max_budget: 3 }), 400, 'key', /name what the budget binds/);
    await assertRefused(post('/budget/new', { tag: 'x' }), 400, 'max_budget', /missing/);
  });
});

describe('spend in LiteLLM’s names', () => {
  test('is told by record, by day, by team and by key', async () => {
    const made = await ok(post('/team/new', { team_id: 'spenders' }));
    const { key, token_id } = await ok(post('/key/generate', { team_id: made.team_id, tags: ['t1'] }));
    const reply = await chat(key);
    const id = reply.headers.get('x-throughway-exchange-id');
    const [row] = await ok(recorded(id));
    assert.deepEqual(
      [
        row.request_id,
        row.api_key,
        row.team_id,
        row.spend,
        row.prompt_tokens,
        row.completion_tokens,
        row.total_tokens,
        row.model,
      ],
      [id, token_id, 'spenders', CHAT_USD, 1000, 500, 1500, 'gpt-4o'],
    );
    assert.deepEqual([row.status, row.request_tags], ['success', ['t1']]);
    assert.equal((await ok(get(`/spend/logs?api_key=${key}`))).length, 1);

    const today = new Date().toISOString().slice(0, 10);
    const days = await ok(get(`/spend/logs?api_key=${token_id}&start_date=${today}&end_date=${today}`));
    assert.deepEqual(days, [
      { startTime: today, spend: CHAT_USD, users: { '': CHAT_USD }, models: { 'gpt-4o': CHAT_USD }, unpriced: 0 },
    ]);
    const rows = await ok(get(`/spend/logs?api_key=${token_id}&start_date=${today}&end_date=${today}&summarize=false`));
    assert.equal(rows[0].request_id, id);

    const report = await ok(get(`/global/spend/report?start_date=${today}&end_date=${today}&team_id=spenders`));
    assert.deepEqual(report, [
      {
        group_by_day: `${today}T00:00:00+00:00`,
        teams: [
          {
            team_name: 'spenders',
            total_spend: CHAT_USD,
            metadata: [{ model: 'gpt-4o', spend: CHAT_USD, total_tokens: 1500, api_key: token_id }],
          },
        ],
      },
    ]);
    const byKey = await ok(get(`/global/spend/report?group_by=api_key&api_key=${token_id}`));
    assert.deepEqual([byKey.length, byKey[0].total_cost, byKey[0].total_input_tokens], [1, CHAT_USD, 1000]);
    await assertRefused(get('/global/spend/report?group_by=customer'), 400, 'group_by', /write team or api_key/);
    await assertRefused(get('/spend/logs?start_date=yesterday'), 400, 'start_date', /write a day/);
  });
});

describe('who may', () => {
  test('is as under /admin/v1: those of a team see and change nothing beyond it', async () => {
    await ok(post('/team/new', { team_id: 'ours' }));
    await ok(post('/team/new', { team_id: 'theirs' }));
    const { key: foreign } = await ok(post('/key/generate', { team_id: 'theirs', key_alias: 'foreign' }));
    const { id: team } = (await get('/admin/v1/teams/ours')).json;
    const user = (await post('/admin/v1/users', { name: 'lead', role: 'team_admin', team_id: team })).json;
    const { token } = (await post(`/admin/v1/users/${user.id}/token`)).json;
    const made = await ok(post('/key/generate', { key_alias: 'mine' }, token));
    assert.equal(made.team_id, 'ours');
    assert.equal((await get(`/key/info?key=${foreign}`, token)).status, 404);
    assert.equal((await post('/key/delete', { keys: [foreign] }, token)).status, 404);
    assert.deepEqual(
      (await ok(get('/team/list', token))).map((each: { team_id: string }) => each.team_id),
      ['ours'],
    );
    assert.equal((await ok(get('/key/list', token))).total_count, 1);
    assert.equal((await post('/team/new', { team_id: 'more' }, token)).status, 403);
    assert.equal((await post('/key/generate', { key: 'sk-of-my-own-choice-1' }, token)).status, 403);
    const both = { team_id: 'ours', metadata: { half: 'written' } };
    assert.equal((await post('/team/update', { ...both, max_budget: 1000 }, token)).status, 403);
    assert.equal((await post('/team/update', { ...both, blocked: true }, token)).status, 403);
    assert.equal(
      (await post('/key/regenerate', { key: made.key, new_key: 'sk-of-my-own-choice-1' }, token)).status,
      403,
    );
    assert.deepEqual((await ok(get('/team/info?team_id=ours', token))).team_info.metadata, {});
    const { json: audit } = await get(`/admin/v1/audit?id=${made.token_id}`);
    assert.deepEqual([audit.data[0].actor, audit.data[0].action], [user.id, 'created']);
  });

  test('nobody without a token, and a virtual key is none', async () => {
    for (const { method, path } of Object.values(litellmRoutes)) {
      const refused = await call(method, path.replace('{id}', 'x'), method === 'GET' ? undefined : {}, gateway.token);
      assert.equal(refused.status, 401, path);
    }
  });
});

describe('the description', () => {
  test('tells each route under the tag litellm, and answers are as it says', async () => {
    const document = await ok(get('/admin/v1/openapi.json'));
    for (const { method, path } of Object.values(litellmRoutes)) {
      assert.deepEqual(document.paths[path][method.toLowerCase()].tags, ['litellm'], path);
    }
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const today = new Date().toISOString().slice(0, 10);
    const samples: readonly (readonly [string, string, unknown?])[] = [
      ['post', '/key/generate', { max_budget: 1 }],
      ['get', '/key/list?return_full_object=true'],
      ['get', '/team/list'],
      ['get', '/user/list'],
      ['get', '/budget/list'],
      ['get', '/spend/logs'],
      ['get', `/global/spend/report?start_date=${today}`],
    ];
    for (const [method, path, body] of samples) {
      const { json } = await call(method.toUpperCase(), path, body);
      const schema = document.paths[path.split('?')[0]!][method].responses['200'].content['application/json']
        .schema as AnySchema;
      assert.ok(ajv.validate(schema, json), `${path}: ${ajv.errorsText()}`);
    }
  });

  test('names no field both as honoured and as not', () => {
    for (const { names, of } of NOT_HONOURED) {
      for (const kind of of) {
        const both = names.filter((name) => Object.hasOwn(HONOURED[kind], name));
        assert.deepEqual(both, [], `${kind}: ${both.join()}`);
      }
    }
  });

  test('names as unsupported what it says is not honoured, of each kind', async () => {
    await ok(post('/team/new', { team_id: 'kinds' }));
    const routes: Readonly<Record<Kind, readonly [path: string, body: Record<string, unknown>]>> = {
      key: ['/key/generate', {}],
      team: ['/team/update', { team_id: 'kinds' }],
      user: ['/user/new', { user_id: 'kinds', auto_create_key: false }],
      budget: ['/budget/new', { tag: 'kinds', max_budget: 1 }],
    };
    for (const [kind, [path, body]] of Object.entries(routes)) {
      const names = NOT_HONOURED.filter(({ of }) => of.some((each) => each === kind)).flatMap((row) => row.names);
      const written = Object.fromEntries(names.map((name) => [name, ['x']]));
      const answer = await ok(post(path, { ...written, ...body }));
      assert.deepEqual(answer.unsupported_fields.toSorted(), names.toSorted(), kind);
    }
  });

  test('says what a route answers to another method', async () => {
    const answer = await get('/key/generate');
    assert.equal(answer.status, 405);
  });
});
