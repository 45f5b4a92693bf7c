// Who may call what: every route by every role, and nothing of another team by any way.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { type Route, type RouteName, litellmRoutes, routes } from '../../src/admin/contract.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { exchange } from '../support/raw-client.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';

type Who = 'operator' | 'owner' | 'admin' | 'viewer' | 'team_admin' | 'team_member';
const ALL: readonly Who[] = ['operator', 'owner', 'admin', 'viewer', 'team_admin', 'team_member'];

/** Written down apart from the contract, so that a route which opens wider by mistake is seen here. */
const SEE = ['operator', 'owner', 'admin', 'viewer'];
const CHANGE = ['operator', 'owner', 'admin'];
const CHANGE_TEAM = [...CHANGE, 'team_admin'];
const OWN = ['operator', 'owner'];
const MAY: Readonly<Record<RouteName | keyof typeof litellmRoutes, readonly string[]>> = {
  index: ALL,
  whoAmI: ALL,
  createKey: CHANGE_TEAM,
  listKeys: ALL,
  findKey: ALL,
  updateKey: CHANGE_TEAM,
  deleteKey: CHANGE_TEAM,
  rotateKey: CHANGE_TEAM,
  suspendKey: CHANGE_TEAM,
  resumeKey: CHANGE_TEAM,
  revokeKey: CHANGE_TEAM,
  createTeam: CHANGE,
  listTeams: ALL,
  findTeam: ALL,
  updateTeam: CHANGE_TEAM,
  deleteTeam: CHANGE,
  suspendTeam: CHANGE,
  resumeTeam: CHANGE,
  createUser: CHANGE_TEAM,
  listUsers: ALL,
  findUser: ALL,
  updateUser: CHANGE_TEAM,
  deleteUser: CHANGE_TEAM,
  suspendUser: CHANGE_TEAM,
  resumeUser: CHANGE_TEAM,
  makeUserToken: CHANGE_TEAM,
  revokeUserToken: CHANGE_TEAM,
  createBudget: CHANGE_TEAM,
  listBudgets: ALL,
  findBudget: ALL,
  updateBudget: CHANGE_TEAM,
  deleteBudget: CHANGE_TEAM,
  listExchanges: ALL,
  findExchange: ALL,
  spend: ALL,
  findDrift: OWN,
  reconcile: SEE,
  mendLedger: OWN,
  listPrices: ALL,
  findPrice: ALL,
  verifyPrices: SEE,
  listUnpriced: SEE,
  diffPrices: SEE,
  refreshPrices: CHANGE,
  repriceEntries: OWN,
  adjustToBill: OWN,
  explainCost: ALL,
  listAudit: SEE,
  verifyAudit: SEE,
  importAssistants: CHANGE,
  exportAssistants: CHANGE,
  health: SEE,
  openapi: ALL,
  metrics: SEE,
  litellmGenerateKey: CHANGE_TEAM,
  litellmUpdateKey: CHANGE_TEAM,
  litellmFindKey: ALL,
  litellmListKeys: ALL,
  litellmBlockKey: CHANGE_TEAM,
  litellmUnblockKey: CHANGE_TEAM,
  litellmDeleteKeys: CHANGE_TEAM,
  litellmRegenerateKey: CHANGE_TEAM,
  litellmRegenerateNamedKey: CHANGE_TEAM,
  litellmNewTeam: CHANGE,
  litellmUpdateTeam: CHANGE_TEAM,
  litellmFindTeam: ALL,
  litellmListTeams: ALL,
  litellmDeleteTeams: CHANGE,
  litellmBlockTeam: CHANGE,
  litellmUnblockTeam: CHANGE,
  litellmNewUser: CHANGE_TEAM,
  litellmFindUser: ALL,
  litellmUpdateUser: CHANGE_TEAM,
  litellmListUsers: ALL,
  litellmNewBudget: CHANGE_TEAM,
  litellmUpdateBudget: CHANGE_TEAM,
  litellmFindBudgets: ALL,
  litellmListBudgets: ALL,
  litellmDeleteBudget: CHANGE_TEAM,
  litellmSpendLogs: ALL,
  litellmSpendReport: ALL,
};

const ROUTES: readonly (readonly [name: string, route: Route])[] = Object.entries({ ...routes, ...litellmRoutes });

interface Answer {
  readonly status: number;
  readonly text: string;
  // Each test says what it expects of it.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any;
}

let upstream: Recorder;
let gateway: TestGateway;
const tokens = {} as Record<Who, string>;
const userIds = {} as Record<Who, string>;

before(async () => {
  upstream = await startRecorder();
  gateway = await startGateway({ upstream: `${upstream.url}/v1`, settings: { limits: { badKeysPerMinute: 0 } } });
  tokens.operator = gateway.adminToken;
  await made('operator', '/teams', { name: 'red', models: ['gpt-*'], endpoints: ['chat', 'models'] });
  await made('operator', '/teams', { name: 'blue' });
  for (const role of ALL.slice(1)) {
    const team = role.startsWith('team_') ? { team: 'red' } : {};
    const user = await made('operator', '/users', { name: role, role, ...team });
    userIds[role] = user.id;
    tokens[role] = (await made('operator', `/users/${user.id}/token`)).token;
  }
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

/** All other paths in this file are below `/admin/v1`. */
const ROOTS = /^\/(admin\/.*|metrics|(key|team|user|budget|spend|global)\/.*)?$/;

async function call(who: Who, method: string, path: string, body?: unknown): Promise<Answer> {
  const headers = { authorization: `Bearer ${tokens[who]}` };
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const reply = await gateway.adminFetch(ROOTS.test(path) ? path : `/admin/v1${path}`, {
    method,
    headers,
    ...(text === undefined ? {} : { body: text }),
  });
  const answer = await reply.text();
  assert.equal(reply.headers.get('cache-control'), 'no-store');
  const isJson = reply.headers.get('content-type') === 'application/json';
  return { status: reply.status, text: answer, json: isJson ? JSON.parse(answer) : null };
}

async function made(who: Who, path: string, body: unknown = {}) {
  const answer = await call(who, 'POST', path, body);
  assert.equal(answer.status, 201, answer.text);
  return answer.json;
}

const newKey = async (who: Who, body: object) => (await made(who, '/keys', body)).key;

/** All that the operator sees, as one text. */
async function everything(): Promise<string> {
  const parts = ['/keys', '/teams', '/users', '/budgets'].map(
    async (path) => (await call('operator', 'GET', path)).text,
  );
  return (await Promise.all(parts)).join('\n');
}

describe('every route by every role (UI07)', () => {
  for (const [name, route] of ROUTES) {
    test(`${route.method} ${route.path}`, async () => {
      const may = MAY[name as keyof typeof MAY];
      assert.ok(may !== undefined, 'a route without a row here');
      for (const who of ALL) {
        // An empty object is refused by its fields, and an id that nobody has by itself: after the role was asked for.
        const path = route.path.replace('{id}', 'key_nobody');
        const body = route.body === undefined ? undefined : '{}';
        const answer = await call(who, route.method, path, body);
        const isLetIn = answer.json?.error?.code !== 'role_not_allowed';
        assert.equal(isLetIn, may.includes(who), `${who}: ${answer.status} ${answer.text.slice(0, 200)}`);
        if (!isLetIn) assert.equal(answer.status, 403);
        assert.notEqual(answer.status, 500, gateway.logLines.at(-1));
        assert.notEqual(answer.status, 401);
      }
    });
  }
});

test('a token says whose it is, and opens nothing once it was taken back, its user suspended, or its team deleted', async () => {
  const me = await call('team_admin', 'GET', '/me');
  const red = (await call('operator', 'GET', '/teams/red')).json;
  assert.deepEqual(me.json, { actor: userIds.team_admin, role: 'team_admin', team_id: red.id });

  const user = await made('operator', '/users', { name: 'short', role: 'viewer' });
  const statusWith = async (token: string) =>
    (await gateway.adminFetch('/admin/v1/me', { headers: { authorization: `Bearer ${token}` } })).status;
  const { token: first } = await made('operator', `/users/${user.id}/token`);
  const { token } = await made('operator', `/users/${user.id}/token`);
  assert.equal(await statusWith(first), 401, 'a new one takes the place of the one before');
  assert.equal(await statusWith(token), 200);
  assert.equal((await call('operator', 'POST', `/users/${user.id}/suspend`)).json.status, 'suspended');
  assert.equal(await statusWith(token), 401);
  await call('operator', 'POST', `/users/${user.id}/resume`);
  assert.equal(await statusWith(token), 200);
  assert.equal((await call('operator', 'DELETE', `/users/${user.id}/token`)).json.token_hint, null);
  assert.equal(await statusWith(token), 401);

  const team = await made('operator', '/teams', { name: 'gone' });
  const member = await made('operator', '/users', { name: 'orphan', role: 'team_member', team_id: team.id });
  const { token: orphan } = await made('operator', `/users/${member.id}/token`);
  assert.equal(await statusWith(orphan), 200);
  await call('operator', 'DELETE', `/teams/${team.id}`);
  assert.equal(await statusWith(orphan), 401);
});

test('a token of the admin API opens nothing on the API listener, and a virtual key nothing here (A13)', async () => {
  for (const who of ALL) {
    const headers = { authorization: `Bearer ${tokens[who]}` };
    const reply = await fetch(`${gateway.api}/openai/v1/models`, { headers });
    assert.equal(reply.status, 401, who);
  }
  const headers = { authorization: `Bearer ${gateway.token}` };
  for (const [, { method, path }] of ROUTES) {
    assert.equal((await gateway.adminFetch(path, { method, headers })).status, 401, path);
  }
  // Nor can one be made the other.
  const refused = await call('operator', 'POST', '/keys', { name: 'both', token: gateway.adminToken });
  assert.equal(refused.status, 409, refused.text);
  assert.equal((await call('operator', 'POST', '/keys', { name: 'both', token: tokens.owner })).status, 400);
});

describe('a team', () => {
  test('is all that its people see, and others’ ids answer as unknown ids do', async () => {
    const mine = await newKey('operator', { name: 'mine', team: 'red', budgets: [{ limit_usd: '1' }] });
    const theirs = await newKey('operator', { name: 'theirs', team: 'blue', budgets: [{ limit_usd: '2' }] });
    const theirUser = await made('operator', '/users', { name: 'blue member', role: 'team_member', team: 'blue' });
    const blue = (await call('operator', 'GET', '/teams/blue')).json;
    const headers = { authorization: `Bearer ${gateway.token}` };
    const foreign = await fetch(`${gateway.api}/openai/v1/models`, { headers });
    await foreign.arrayBuffer();
    const exchangeId = foreign.headers.get('x-throughway-exchange-id') ?? '';

    for (const who of ['team_admin', 'team_member'] as const) {
      const ids = async (path: string) =>
        (await call(who, 'GET', path)).json.data.map((each: { id: string }) => each.id) as string[];
      assert.ok((await ids('/keys')).includes(mine.id));
      assert.ok((await ids('/budgets')).includes(mine.budgets[0].id));
      for (const path of ['/keys', '/teams', '/users', '/budgets', '/exchanges', '/spend?group_by=key,team']) {
        const { text } = await call(who, 'GET', path);
        for (const hidden of [theirs.id, theirs.budgets[0].id, blue.id, theirUser.id, exchangeId]) {
          assert.ok(!text.includes(hidden), `${who} ${path}`);
        }
      }
      for (const path of ['/keys', '/users', '/budgets', '/exchanges']) {
        assert.deepEqual(await ids(`${path}?team_id=${blue.id}`), [], path);
      }
      const hidden = [
        ['keys', theirs.id, 'key_nobody'],
        ['teams', blue.id, 'team_nobody'],
        ['teams', 'blue', 'nobody'],
        ['users', theirUser.id, 'user_nobody'],
        ['users', 'blue member', 'nobody'],
        ['users', userIds.owner, 'user_nobody'],
        ['budgets', theirs.budgets[0].id, 'budget_nobody'],
        ['exchanges', exchangeId, 'exc_nobody'],
      ] as const;
      for (const [kind, theirId, unknown] of hidden) {
        const asked = await call(who, 'GET', `/${kind}/${encodeURIComponent(theirId)}`);
        const control = await call(who, 'GET', `/${kind}/${unknown}`);
        assert.equal(asked.status, 404, kind);
        assert.equal(asked.text.replaceAll(theirId, '<id>'), control.text.replaceAll(unknown, '<id>'));
      }
    }
    // Changes as well.
    const before = await everything();
    const tries: readonly (readonly [method: string, path: string, body?: unknown])[] = [
      ['PATCH', `/keys/${theirs.id}`, { name: 'x' }],
      ['DELETE', `/keys/${theirs.id}`],
      ['POST', `/keys/${theirs.id}/rotate`, {}],
      ['POST', `/keys/${theirs.id}/suspend`],
      ['POST', `/keys/${theirs.id}/revoke`],
      ['PATCH', `/teams/${blue.id}`, { metadata: {} }],
      ['PATCH', `/users/${theirUser.id}`, { name: 'x' }],
      ['POST', `/users/${theirUser.id}/token`],
      ['DELETE', `/users/${theirUser.id}`],
      ['PATCH', `/budgets/${theirs.budgets[0].id}`, { limit_usd: '9' }],
      ['DELETE', `/budgets/${theirs.budgets[0].id}`],
      ['POST', '/keys', { name: 'x', team: 'blue' }],
      ['POST', '/keys', { name: 'x', team_id: blue.id }],
      ['POST', '/keys', { name: 'x', user_id: theirUser.id }],
      ['POST', '/keys', { name: 'x', user: 'owner' }],
      ['POST', '/users', { name: 'x', role: 'team_member', team: 'blue' }],
      ['POST', '/budgets', { key_id: theirs.id, limit_usd: '1' }],
    ];
    for (const [method, path, body] of tries) {
      const answer = await call('team_admin', method, path, body);
      assert.equal(answer.status, 404, `${method} ${path}: ${answer.text}`);
    }
    assert.equal(await everything(), before);
  });

  test('is changed by its admin within what it allows (A12)', async () => {
    const key = await newKey('team_admin', { name: 'own', models: ['gpt-4o*'], budgets: [{ limit_usd: 5 }] });
    const red = (await call('team_admin', 'GET', '/teams/red')).json;
    assert.equal(key.team_id, red.id, 'without a team, the admin’s own');
    for (const wider of [{ models: ['o3'] }, { endpoints: ['files'] }, { endpoints: ['admin'] }]) {
      assert.equal((await call('team_admin', 'PATCH', `/keys/${key.id}`, wider)).status, 400);
      assert.equal((await call('team_admin', 'POST', '/keys', { name: 'x', ...wider })).status, 400);
    }
    const { json: raised } = await call('team_admin', 'PATCH', `/budgets/${key.budgets[0].id}`, { limit_usd: '6' });
    assert.equal(raised.limit_usd, '6');
    assert.equal((await call('team_admin', 'POST', `/keys/${key.id}/rotate`)).status, 200);
    assert.equal((await call('team_admin', 'PATCH', '/teams/red', { metadata: { floor: 3 } })).status, 200);

    const teamBudget = await made('operator', '/budgets', { team_id: red.id, limit_usd: '100' });
    const before = await everything();
    const tries: readonly (readonly [method: string, path: string, body: unknown])[] = [
      ['PATCH', '/teams/red', { models: ['*'] }],
      ['PATCH', '/teams/red', { endpoints: ['*', 'admin'] }],
      ['PATCH', '/teams/red', { limits: { requests_per_minute: null } }],
      ['PATCH', '/teams/red', { tags: [] }],
      ['PATCH', `/budgets/${teamBudget.id}`, { limit_usd: '1000' }],
      ['DELETE', `/budgets/${teamBudget.id}`, undefined],
      ['POST', '/budgets', { team_id: red.id, limit_usd: '1' }],
      ['POST', '/budgets', { scope: 'global', limit_usd: '1' }],
      ['POST', '/users', { name: 'x', role: 'owner' }],
      ['POST', '/users', { name: 'x', role: 'viewer' }],
      ['PATCH', `/users/${userIds.team_admin}`, { role: 'admin', team: null }],
      ['PATCH', `/users/${userIds.team_member}`, { role: 'owner', team_id: null }],
      ['POST', '/keys', { name: 'x', token: 'a-token-of-ones-own-0123' }],
    ];
    for (const [method, path, body] of tries) {
      const answer = await call('team_admin', method, path, body);
      assert.equal(answer.status, 403, `${method} ${path} ${JSON.stringify(body)}: ${answer.text}`);
      assert.equal(answer.json.error.code, 'role_not_allowed');
    }
    assert.equal(await everything(), before);
  });
});

test('only an owner makes, changes, suspends or lends the token of owners and admins', async () => {
  const before = await everything();
  const tries: readonly (readonly [method: string, path: string, body?: unknown])[] = [
    ['POST', '/users', { name: 'x', role: 'owner' }],
    ['POST', '/users', { name: 'x', role: 'admin' }],
    ['PATCH', `/users/${userIds.admin}`, { role: 'owner' }],
    ['PATCH', `/users/${userIds.viewer}`, { role: 'admin' }],
    ['PATCH', `/users/${userIds.owner}`, { role: 'viewer' }],
    ['POST', `/users/${userIds.owner}/token`],
    ['POST', `/users/${userIds.owner}/suspend`],
    ['DELETE', `/users/${userIds.owner}/token`],
    ['DELETE', `/users/${userIds.owner}`],
  ];
  for (const [method, path, body] of tries) {
    const answer = await call('admin', method, path, body);
    assert.equal(answer.status, 403, `${method} ${path}: ${answer.text}`);
  }
  assert.equal(await everything(), before);
  const user = await made('owner', '/users', { name: 'second admin', role: 'admin' });
  assert.equal((await call('owner', 'DELETE', `/users/${user.id}`)).status, 200);
});

describe('what nobody may give themselves (A11, UI08)', () => {
  const extras: Record<string, string> = {
    'a role': '"role":"admin"',
    allowed_routes: '"allowed_routes":["*"]',
    'a budget': '"budget":1e12',
    __proto__: '"__proto__":{"role":"owner","teamId":null}',
    constructor: '"constructor":{"prototype":{"role":"owner"}}',
    'a status': '"status":"active"',
    'an id': '"id":"key_mine"',
    'a token hash': '"token_hash":"00"',
    'a creation': '"created_at":"2020-01-01T00:00:00Z"',
  };
  for (const [what, extra] of Object.entries(extras)) {
    test(`${what} in the body of a key, team or user is refused, and nothing is written`, async () => {
      const key = await newKey('operator', { name: 'assigned', team: 'red' });
      const before = await everything();
      for (const who of ['operator', 'team_admin', 'team_member'] as const) {
        const answers = [
          await call(who, 'POST', '/keys', `{"name":"x",${extra}}`),
          await call(who, 'PATCH', `/keys/${key.id}`, `{"name":"x",${extra}}`),
          await call(who, 'POST', `/keys/${key.id}/rotate`, `{${extra}}`),
          await call(who, 'PATCH', '/teams/red', `{"metadata":{},${extra}}`),
          await call(who, 'POST', '/budgets', `{"key_id":"${key.id}","limit_usd":"1",${extra}}`),
          ...(what === 'a role'
            ? []
            : [await call(who, 'PATCH', `/users/${userIds.team_member}`, `{"name":"x",${extra}}`)]),
        ];
        for (const { status, text } of answers) assert.equal(status, who === 'team_member' ? 403 : 400, text);
      }
      assert.equal(await everything(), before);
      assert.equal(Object.hasOwn(Object.prototype, 'role'), false);
    });
  }
});

test('no spelling of a route is executed for a stranger (UI10)', async () => {
  const before = await everything();
  const spellings = [
    (path: string) => path,
    (path: string) => `/${path}`,
    (path: string) => `//${path}`,
    (path: string) => `${path}/`,
    (path: string) => `${path}//`,
    (path: string) => `${path}/.`,
    (path: string) => `${path}/..`,
    (path: string) => `${path}?`,
    (path: string) => `${path}?token=x`,
    (path: string) => `${path}#x`,
    (path: string) => `${path};x=y`,
    (path: string) => `${path}%00`,
    (path: string) => `${path}%20`,
    (path: string) => `${path}.json`,
    (path: string) => path.toUpperCase(),
    (path: string) => path.replace('/admin', '/Admin'),
    (path: string) => path.replace('/admin', '/%61dmin'),
    (path: string) => path.replace('/admin', '/%2561dmin'),
    (path: string) => path.replace('/admin', '/./admin'),
    (path: string) => path.replace('/admin', '/x/../admin'),
    (path: string) => path.replace('/admin', '/x/%2e%2e/admin'),
    (path: string) => path.replace('/admin', '/%2e/admin'),
    (path: string) => path.replace('/admin', '/health/live/../../admin'),
    (path: string) => path.replace('/admin', '/openai/../admin'),
    (path: string) => path.replace('/admin', '\\admin'),
    (path: string) => path.replace('/admin', '/admin\\'),
    (path: string) => path.replaceAll('/', '//'),
    (path: string) => path.replaceAll('/', '%2f').replace('%2f', '/'),
    (path: string) => path.replaceAll('/', '%2F').replace('%2F', '/'),
    (path: string) => path.replaceAll('/', '%5c').replace('%5c', '/'),
    (path: string) => path.replace('/v1', '/v1/'),
    (path: string) => path.replace('/v1', '/V1'),
    (path: string) => path.replace('/v1', '/v1/.'),
    (path: string) => path.replace('/v1', '/v1/x/..'),
    (path: string) => path.replace('/v1', '/v1%2f'),
    (path: string) => path.replace('/v1', '/%761'),
    (path: string) => `http://127.0.0.1${path}`,
    (path: string) => `http://localhost${path}`,
    (path: string) => `${path}%2e%2e`,
    (path: string) => `${path}/%2e%2e/keys`,
    (path: string) => `${path}%09`,
    (path: string) => `${path}%0d%0a`,
    (path: string) => `${path}%ff`,
    (path: string) => `${path}%c0%af`,
    (path: string) => `${path}%E2%80%AE`,
    (path: string) => `${path}*`,
    (path: string) => `${path},`,
    (path: string) => `${path}'`,
    (path: string) => `${path}&x`,
    (path: string) => `/${path}/?//`,
  ];
  assert.equal(spellings.length, 50);
  for (const [, { method, path }] of ROUTES) {
    const target = path.replace('{id}', userIds.owner);
    // A few at a time: the point is what is answered, not how much at once.
    for (let from = 0; from < spellings.length; from += 10) {
      const replies = await Promise.all(
        spellings.slice(from, from + 10).map(async (spell) => {
          const headers = [['Content-Type', 'application/json'] as const];
          const body = method === 'POST' || method === 'PATCH' ? '{"name":"stranger"}' : '';
          return {
            target: spell(target),
            ...(await exchange(gateway.admin, { method, target: spell(target), headers, body })),
          };
        }),
      );
      for (const reply of replies) {
        // A target that is none is refused before anybody is asked for a token.
        assert.ok([400, 401, 404].includes(reply.status), `${method} ${reply.target}: ${reply.status}`);
      }
    }
  }
  assert.equal(await everything(), before);
});
