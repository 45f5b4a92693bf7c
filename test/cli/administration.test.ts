// Commands for teams, users, keys, budgets and the audit: what they change, what they print, and how they fail.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';
import { run } from './programs.ts';

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

async function printed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args, { env: access });
  assert.equal(code, 0, `${args.join(' ')}\n${stderr}`);
  return stdout;
}
// Each test says what it expects of it.
// oxlint-disable-next-line typescript/no-explicit-any
const json = async (...args: string[]): Promise<any> => JSON.parse(await printed(...args, '--json'));

async function assertFails(args: string[], code: number, says: RegExp): Promise<void> {
  const ended = await run(args, { env: access });
  assert.equal(ended.code, code, ended.stderr);
  assert.match(ended.stderr, says);
}

async function statusOf(token: string): Promise<number> {
  const reply = await fetch(`${gateway.api}/openai/models`, { headers: { authorization: `Bearer ${token}` } });
  await reply.arrayBuffer();
  return reply.status;
}

describe('teams', () => {
  test('are made with all that they allow, changed, suspended, resumed and deleted', async () => {
    const team = await json(
      'teams',
      'create',
      'web',
      '--models',
      'gpt-*, o4-mini',
      '--endpoints',
      'chat,models',
      '--limit',
      'requests_per_minute=600',
      '--limit',
      'concurrent_streams=5',
      '--tags',
      'a,b',
      '--metadata',
      '{"cost_center":"4711"}',
      '--budget',
      '50/month',
      '--budget',
      '1000000tokens/day',
    );
    assert.deepEqual(team.models, ['gpt-*', 'o4-mini']);
    assert.deepEqual(team.endpoints, ['chat', 'models']);
    assert.equal(team.limits.requests_per_minute, 600);
    assert.equal(team.limits.concurrent_streams, 5);
    assert.deepEqual(team.tags, ['a', 'b']);
    assert.deepEqual(team.metadata, { cost_center: '4711' });
    assert.deepEqual(
      new Map(
        team.budgets.map((each: Record<string, unknown>) => [
          each['window'],
          [each['limit_usd'], each['limit_tokens']],
        ]),
      ),
      new Map<string, unknown>([
        ['month', ['50', null]],
        ['day', [null, 1_000_000]],
      ]),
    );
    assert.deepEqual(await json('teams', 'show', 'web'), team);

    const { token } = await json('keys', 'create', 'of web', '--team', 'web');
    assert.equal(await statusOf(token), 200);
    assert.equal((await json('teams', 'suspend', 'web')).status, 'suspended');
    assert.equal(await statusOf(token), 401);
    assert.equal((await json('teams', 'resume', 'web')).status, 'active');
    assert.equal(await statusOf(token), 200);

    const changed = await json(
      'teams',
      'update',
      'web',
      '--limit',
      'requests_per_minute=none',
      '--tags',
      '',
      '--name',
      'site',
    );
    assert.equal(changed.limits.requests_per_minute, null);
    assert.equal(changed.limits.concurrent_streams, 5);
    assert.deepEqual([changed.name, changed.tags], ['site', []]);
    const [head, ...rows] = (await printed('teams', 'list')).trimEnd().split('\n');
    assert.match(head ?? '', /^ID +NAME +STATUS +MODELS +ENDPOINTS +TAGS +CREATED$/);
    assert.ok(rows.some((row) => row.includes('site') && row.includes('gpt-*,o4-mini')));
    assert.match(await printed('teams', 'delete', 'site'), /^team_\w+ is deleted\.\n$/);
    assert.equal(await statusOf(token), 401);
    assert.ok(!(await json('teams', 'list')).data.some(({ name }: { name: string }) => name === 'site'));
  });

  test('fail with what the gateway says, or with what the command line lacks', async () => {
    await assertFails(['teams', 'create', 'x', '--endpoints', 'embedings'], 1, /did you mean embeddings\?|embeddings/);
    await assertFails(['teams', 'create', 'x', '--limit', 'fast'], 2, /--limit is "fast"; write a name and a count/);
    await assertFails(['teams', 'create', 'x', '--limit', 'fast=3'], 1, /fast/);
    await assertFails(['teams', 'create', 'x', '--metadata', '[1]'], 2, /write a JSON object/);
    await assertFails(
      ['teams', 'create', 'x', '--budget', 'much'],
      2,
      /--budget is "much"; write US dollars and a window/,
    );
    await assertFails(['teams', 'update', 'default'], 2, /nothing was given to change/);
    await assertFails(['teams', 'show', 'nobody'], 1, /nobody/);
  });
});

describe('keys', () => {
  test('are changed, rotated with a grace, suspended, resumed and deleted', async () => {
    const { key, token } = await json('keys', 'create', 'worker', '--budget', '0.50/day', '--cidrs', '127.0.0.0/8,::1');
    assert.deepEqual(key.allowed_cidrs, ['127.0.0.0/8', '::1']);
    assert.equal(key.budgets[0].limit_usd, '0.5');
    const changed = await json(
      'keys',
      'update',
      key.id,
      '--models',
      'gpt-5*',
      '--on-unpriced',
      'deny',
      '--on-overrun',
      'cut',
      '--stream-usage',
      'estimate',
      '--expires-at',
      '2999-01-01T00:00:00Z',
    );
    assert.deepEqual(
      [changed.models, changed.on_unpriced, changed.on_overrun, changed.stream_usage],
      [['gpt-5*'], 'deny', 'cut', 'estimate'],
    );
    assert.equal((await json('keys', 'update', key.id, '--expires-at', 'never')).expires_at, null);

    const rotated = await json('keys', 'rotate', key.id, '--grace', '3600');
    assert.notEqual(rotated.token, token);
    assert.deepEqual([await statusOf(token), await statusOf(rotated.token)], [200, 200]);
    assert.equal((await json('keys', 'suspend', key.id)).status, 'suspended');
    assert.equal(await statusOf(rotated.token), 401);
    assert.equal((await json('keys', 'resume', key.id)).status, 'active');
    assert.equal(await statusOf(rotated.token), 200);
    assert.match(await printed('keys', 'delete', key.id), /is deleted/);
    assert.equal(await statusOf(rotated.token), 401);
    assert.equal((await json('keys', 'list', '--status', 'deleted')).data[0].id, key.id);
  });

  test('fail where they would be wider than their team', async () => {
    await json('teams', 'create', 'narrow', '--models', 'gpt-4o');
    await assertFails(['keys', 'create', 'wide', '--team', 'narrow', '--models', 'o3'], 1, /o3.*gpt-4o/s);
    await assertFails(['keys', 'rotate', 'key_x', '--grace', 'soon'], 2, /write a number of seconds/);
  });
});

describe('users', () => {
  test('are made, hold a token of the admin API with their role, and lose it', async () => {
    const team = await json('teams', 'create', 'crew');
    const user = await json('users', 'create', 'member@crew.example', '--role', 'team_member', '--team', 'crew');
    assert.deepEqual([user.role, user.team_id], ['team_member', team.id]);
    const { token } = await json('users', 'token', 'member@crew.example');
    const as = (path: string) => fetch(`${gateway.admin}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const me = (await (await as('/admin/v1/me')).json()) as { role: string; team_id: string };
    assert.deepEqual([me.role, me.team_id], ['team_member', team.id]);
    assert.equal((await as('/admin/v1/audit')).status, 403);
    assert.equal((await json('users', 'suspend', user.id)).status, 'suspended');
    assert.equal((await as('/admin/v1/me')).status, 401);
    assert.equal((await json('users', 'resume', user.id)).status, 'active');
    assert.equal((await json('users', 'revoke-token', user.id)).token_hint, null);
    assert.equal((await as('/admin/v1/me')).status, 401);
    assert.match(await printed('users', 'list', '--team', 'crew'), /member@crew\.example +team_member +active/);
    assert.match(await printed('users', 'delete', user.id), /is deleted/);
    await assertFails(['users', 'create', 'x', '--role', 'king'], 1, /write one of owner, admin/);
  });
});

describe('budgets', () => {
  test('are made for what they name, listed with what is spent, changed and deleted', async () => {
    await json('teams', 'create', 'spenders');
    const budget = await json(
      'budgets',
      'create',
      '25/month',
      '--team',
      'spenders',
      '--time-zone',
      'Europe/Berlin',
      '--thresholds',
      '80,100',
    );
    assert.deepEqual(
      [budget.scope, budget.limit_usd, budget.window, budget.time_zone, budget.thresholds, budget.kind],
      ['team', '25', 'month', 'Europe/Berlin', [80, 100], 'hard'],
    );
    const changed = await json(
      'budgets',
      'update',
      budget.id,
      '--usd',
      '30',
      '--soft',
      '--increase',
      '5',
      '--until',
      '2999-01-01T00:00:00Z',
    );
    assert.deepEqual([changed.limit_usd, changed.kind, changed.increase.usd], ['30', 'soft', '5']);
    assert.equal((await json('budgets', 'update', budget.id, '--increase', 'none')).increase, null);
    const [head, row] = (await printed('budgets', 'list', '--team', 'spenders')).split('\n');
    assert.match(head ?? '', /^ID +SCOPE +OF +KIND +LIMIT +WINDOW +SPENT +HELD +RESETS$/);
    assert.match(row ?? '', /^budget_\w+ +team +team_\w+ +soft +30 USD +month +0 USD +0 USD +\d{4}-/);
    assert.match(await printed('budgets', 'delete', budget.id), /is deleted/);
    const tokens = await json('budgets', 'create', '100000tokens/hour', '--scope', 'global', '--rolling');
    assert.deepEqual([tokens.limit_tokens, tokens.rolling, tokens.scope], [100_000, true, 'global']);
    await json('budgets', 'delete', tokens.id);
    await assertFails(
      ['budgets', 'create', '5/day', '--increase', '3', '--team', 'spenders'],
      2,
      /--increase needs --until/,
    );
    await assertFails(
      ['budgets', 'create', '5/day', '--time-zone', 'Mars/Base', '--team', 'spenders'],
      1,
      /Mars\/Base/,
    );
  });
});

describe('audit', () => {
  test('lists who changed what, and verifies the chain', async () => {
    const { key } = await json('keys', 'create', 'watched');
    await printed('keys', 'revoke', key.id);
    const { data } = await json('audit', 'list', '--id', key.id);
    assert.deepEqual(
      data.map(({ actor, kind }: { actor: string; kind: string }) => [actor, kind]),
      [
        ['owner', 'key'],
        ['owner', 'key'],
      ],
    );
    assert.match(await printed('audit', 'list', '--lines', '1'), /^SEQ +AT +WHO +FROM +ACTION +KIND +ID\n\d+ /);
    assert.match(await printed('audit', 'verify'), /^\d+ rows, all as they were written\./);
    assert.equal((await json('audit', 'verify')).whole, true);
  });
});
