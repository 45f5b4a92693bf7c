// The admin API as its callers meet it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { Ajv2020, type AnySchema } from 'ajv/dist/2020.js';

import { routes } from '../../src/admin/contract.ts';
import { CANARY, startGateway, type TestGateway } from '../support/gateway.ts';
import { exchange, RawConnection } from '../support/raw-client.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';
import { valueOf } from '../support/wire.ts';

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // Each test says what it expects of it.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any;
}

let upstream: Recorder;
let gateway: TestGateway;

before(async () => {
  upstream = await startRecorder();
  // Strangers are many here, and of one address.
  gateway = await startGateway({ upstream: `${upstream.url}/v1`, settings: { limits: { badKeysPerMinute: 0 } } });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

async function call(path: string, init: RequestInit = {}): Promise<Answer> {
  const reply = await gateway.adminFetch(path, init);
  const text = await reply.text();
  const isJson = reply.headers.get('content-type') === 'application/json';
  return { status: reply.status, headers: reply.headers, text, json: isJson ? JSON.parse(text) : null };
}
const get = (path: string) => call(path);
const post = (path: string, body: unknown = {}) =>
  call(path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });

async function relay(path: string, token = gateway.token): Promise<string> {
  const reply = await fetch(`${gateway.api}/openai${path}`, { headers: { authorization: `Bearer ${token}` } });
  await reply.arrayBuffer();
  return reply.headers.get('x-throughway-exchange-id') ?? '';
}

/** A record is readable a moment after its reply. */
async function recorded(id: string): Promise<Answer> {
  for (const deadline = performance.now() + 5000; ;) {
    const answer = await get(`/admin/v1/exchanges/${id}`);
    if (answer.status === 200 || performance.now() > deadline) return answer;
    await delay(5);
  }
}

function assertRefused(answer: Answer, status: number, code: string): string {
  assert.equal(answer.status, status, answer.text);
  assert.deepEqual(Object.keys(answer.json.error), ['message', 'type', 'param', 'code']);
  assert.equal(answer.json.error.code, code);
  assert.equal(answer.headers.get('x-throughway-refusal'), code);
  return answer.json.error.message;
}

describe('who may ask', () => {
  const strangers: Record<string, string> = {
    'no token': '',
    'another scheme': 'Basic dGVzdA==',
    'a wrong token': 'Bearer test-admin-token-0123456789abcdef012345678X',
    'a token cut short': 'Bearer test-admin-token-0123456789abcdef012345678',
    'a longer token': 'Bearer test-admin-token-0123456789abcdef01234567890',
  };
  for (const [who, authorization] of Object.entries(strangers)) {
    test(`${who} opens no route`, async () => {
      for (const { method, path } of Object.values(routes)) {
        const answer = await call(path, { method, headers: { authorization } });
        assertRefused(answer, 401, 'invalid_api_key');
      }
      assertRefused(await call('/nowhere', { headers: { authorization } }), 401, 'invalid_api_key');
    });
  }

  test('a virtual key opens no route (A13)', async () => {
    for (const { method, path } of Object.values(routes)) {
      const answer = await call(path, { method, headers: { authorization: `Bearer ${gateway.token}` } });
      assertRefused(answer, 401, 'invalid_api_key');
    }
  });

  test('two Authorization headers open nothing, were one of them right', async () => {
    const right = `Bearer ${gateway.adminToken}`;
    const headers = [['Authorization', right] as const, ['Authorization', right] as const];
    const reply = await exchange(gateway.admin, { target: '/admin/v1/keys', headers });
    assert.equal(reply.status, 401);
  });

  test('a page of another origin is turned away, its own is not', async () => {
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1', 'not a url']) {
      assertRefused(await call('/admin/v1/keys', { headers: { origin } }), 403, 'origin_not_allowed');
    }
    assert.equal((await call('/admin/v1/keys', { headers: { origin: gateway.admin } })).status, 200);
  });

  test('none of its routes is on the API listener', async () => {
    for (const { method, path } of Object.values(routes)) {
      const headers = { authorization: `Bearer ${gateway.adminToken}` };
      const reply = await fetch(gateway.api + path, { method, headers });
      assert.equal(reply.status, 404, path);
      await reply.arrayBuffer();
    }
  });
});

describe('virtual keys', () => {
  test('are made, shown, listed and revoked', async () => {
    const made = await post('/admin/v1/keys', {
      name: 'web',
      team: 'default',
      endpoints: ['chat', 'embeddings'],
      expires_at: '2999-01-31T12:00:00+02:00',
    });
    assert.equal(made.status, 201);
    const { key, token } = made.json;
    assert.match(token, /^sk-tw-[0-9A-Za-z]{28}-[0-9A-Za-z]{6}$/);
    assert.deepEqual(Object.keys(key), [
      'id',
      'name',
      'team_id',
      'user_id',
      'models',
      'endpoints',
      'limits',
      'budgets',
      'allowed_cidrs',
      'capture',
      'on_disconnect',
      'on_unpriced',
      'on_unbounded',
      'on_overrun',
      'stream_usage',
      'tags',
      'metadata',
      'status',
      'token_hint',
      'former_token_until',
      'expires_at',
      'created_at',
    ]);
    assert.equal(key.status, 'active');
    assert.deepEqual(key.endpoints, ['chat', 'embeddings']);
    assert.equal(key.expires_at, '2999-01-31T10:00:00.000Z');
    assert.equal(key.token_hint, `sk-tw-...${token.slice(-4)}`);

    assert.deepEqual((await get(`/admin/v1/keys/${key.id}`)).json, key);
    const listed = await get('/admin/v1/keys?limit=1');
    assert.deepEqual(listed.json.data, [key]);
    assert.ok(!listed.text.includes(token));

    const revoked = await post(`/admin/v1/keys/${key.id}/revoke`);
    assert.deepEqual(revoked.json, { ...key, status: 'revoked' });
    assert.deepEqual((await post(`/admin/v1/keys/${key.id}/revoke`)).json, revoked.json, 'twice is the same as once');
  });

  test('may share a name, and need nothing else', async () => {
    const [one, two] = [await post('/admin/v1/keys', { name: 'twin' }), await post('/admin/v1/keys', { name: 'twin' })];
    assert.notEqual(one.json.key.id, two.json.key.id);
    assert.deepEqual(one.json.key.endpoints, ['*']);
    assert.equal(one.json.key.expires_at, null);
  });

  test('are listed newest first, page by page, each once', async () => {
    for (let i = 0; i < 5; i++) await post('/admin/v1/keys', { name: `page ${i}` });
    const all = (await get('/admin/v1/keys')).json.data.map(({ id }: { id: string }) => id);
    const seen: string[] = [];
    for (let cursor = ''; ;) {
      const { json } = await get(`/admin/v1/keys?limit=2${cursor}`);
      seen.push(...json.data.map(({ id }: { id: string }) => id));
      if (json.next_cursor === null) break;
      cursor = `&cursor=${json.next_cursor}`;
    }
    assert.deepEqual(seen, all);
    assert.deepEqual(all, all.toSorted().toReversed());
  });

  test('are those of a team where one is named', async () => {
    const team = (await get('/admin/v1/teams/default')).json;
    assert.deepEqual((await get(`/admin/v1/teams/${team.id}`)).json, team);
    assert.ok((await get('/admin/v1/teams')).json.data.some(({ id }: { id: string }) => id === team.id));
    const all = (await get('/admin/v1/keys')).json;
    assert.deepEqual((await get(`/admin/v1/keys?team_id=${team.id}`)).json, all);
    assert.deepEqual((await get('/admin/v1/keys?team_id=team_other')).json.data, []);
  });
});

describe('what is wrong is said with its field, its value and what is allowed', () => {
  const wrongKeys: Record<string, { readonly body: unknown; readonly param: string; readonly says: RegExp }> = {
    'an unknown field': {
      body: { name: 'x', endpoint: ['chat'] },
      param: 'endpoint',
      says: /endpoint is not a field; did you mean endpoints\?/,
    },
    'a field of the prototype': {
      body: '{"name":"x","__proto__":{"role":"admin"}}',
      param: '__proto__',
      says: /is not a field/,
    },
    'rights that nobody gives here': {
      body: { name: 'x', budget: 1e12, role: 'admin' },
      param: 'budget',
      says: /budget is not a field.*\n.*role is not a field/,
    },
    'no name': { body: {}, param: 'name', says: /^name is missing; write a text/ },
    'an empty name': { body: { name: '  ' }, param: 'name', says: /name is " {2}"; write at least one character/ },
    'a name that a terminal would obey': {
      body: { name: 'a\u001b[2Jb' },
      param: 'name',
      says: /without control characters/,
    },
    'a long name': { body: { name: 'x'.repeat(201) }, param: 'name', says: /at most 200 characters/ },
    'a number for a name': { body: { name: 7 }, param: 'name', says: /name is 7; write a text/ },
    'an unknown group': {
      body: { name: 'x', endpoints: ['embedings'] },
      param: 'endpoints',
      says: /endpoints is embedings; it is no group of endpoints; .*embeddings/,
    },
    'no group': { body: { name: 'x', endpoints: [] }, param: 'endpoints', says: /at least one/ },
    'a text for groups': { body: { name: 'x', endpoints: 'chat' }, param: 'endpoints', says: /write a list/ },
    'a time without its offset': {
      body: { name: 'x', expires_at: '2999-01-01T00:00:00' },
      param: 'expires_at',
      says: /2027-01-31T00:00:00Z/,
    },
    'a time that is past': {
      body: { name: 'x', expires_at: '2020-01-01T00:00:00Z' },
      param: 'expires_at',
      says: /that is past/,
    },
  };
  for (const [what, { body, param, says }] of Object.entries(wrongKeys)) {
    test(`a key with ${what}`, async () => {
      const before = (await get('/admin/v1/keys')).text;
      const answer = await post('/admin/v1/keys', body);
      assert.match(assertRefused(answer, 400, 'bad_request'), says);
      assert.equal(answer.json.error.param, param);
      assert.equal((await get('/admin/v1/keys')).text, before);
    });
  }

  test('a key for a team that does not exist', async () => {
    assert.match(
      assertRefused(await post('/admin/v1/keys', { name: 'x', team: 'nobody' }), 404, 'not_found'),
      /no team "nobody"/,
    );
  });

  const wrongBodies: Record<string, string | Uint8Array<ArrayBuffer>> = {
    nothing: '',
    'half an object': '{"name":',
    'a list': '[]',
    null: 'null',
    'bytes that are not UTF-8': Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x7d]),
  };
  for (const [what, body] of Object.entries(wrongBodies)) {
    test(`a body that is ${what}`, async () => {
      assertRefused(await call('/admin/v1/keys', { method: 'POST', body }), 400, 'bad_request');
    });
  }

  test('a body above a megabyte, announced or not', async () => {
    const body = JSON.stringify({ name: 'x'.repeat(1 << 20) });
    assertRefused(await post('/admin/v1/keys', body), 413, 'body_too_large');
    const headers = [
      ['Authorization', `Bearer ${gateway.adminToken}`] as const,
      ['Transfer-Encoding', 'chunked'] as const,
    ];
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    const reply = await exchange(gateway.admin, {
      method: 'POST',
      target: '/admin/v1/keys',
      headers,
      body: chunk.repeat(20),
    });
    assert.equal(reply.status, 413);
    assert.equal((await get('/admin/v1/health')).status, 200);
  });

  test('a client that leaves in the middle of its body is no failure of the gateway', async () => {
    const connection = await RawConnection.open(gateway.admin);
    const headers = [['Authorization', `Bearer ${gateway.adminToken}`] as const, ['Content-Length', '100'] as const];
    await connection.send({ method: 'POST', target: '/admin/v1/keys', headers, body: '{"name":' });
    assert.equal((await get('/admin/v1/health')).status, 200);
    connection.close();
    for (let i = 0; i < 5; i++) assert.equal((await get('/admin/v1/health')).status, 200);
    assert.deepEqual(
      gateway.logLines.filter((line) => line.includes('"level":"error"')),
      [],
    );
  });

  const wrongQueries: Record<string, { readonly path: string; readonly says: RegExp }> = {
    'an unknown name': {
      path: '/admin/v1/exchanges?modle=gpt-4o',
      says: /modle is not a query parameter; did you mean model\?/,
    },
    'a name twice': { path: '/admin/v1/exchanges?model=a&model=b', says: /model is given twice/ },
    'a limit in words': { path: '/admin/v1/keys?limit=many', says: /limit is "many"; write a whole number/ },
    'a cursor of somebody else': {
      path: '/admin/v1/exchanges?cursor=key_1',
      says: /cursor is "key_1"; give the next_cursor/,
    },
    'no HTTP status': { path: '/admin/v1/exchanges?status=99', says: /write an HTTP status/ },
    'a day that is none': { path: '/admin/v1/exchanges?from=2026-02-30', says: /from is "2026-02-30"; write a day/ },
    'an order': { path: '/admin/v1/exchanges?order=up', says: /order is "up"; write desc/ },
  };
  for (const [what, { path, says }] of Object.entries(wrongQueries)) {
    test(`a query with ${what}`, async () => {
      assert.match(assertRefused(await get(path), 400, 'bad_request'), says);
    });
  }

  test('an id, a path or a method that does not exist', async () => {
    for (const path of [
      'keys/key_x',
      'teams/team_x',
      'exchanges/exc_x',
      'keys/%00',
      'keys/%2e%2e',
      'nothing',
      'keys/',
    ]) {
      assertRefused(await get(`/admin/v1/${path}`), 404, 'not_found');
    }
    assertRefused(await post('/admin/v1/keys/key_x/revoke'), 404, 'not_found');
    for (const method of ['DELETE', 'PUT', 'PATCH']) {
      assert.match(assertRefused(await call('/admin/v1/keys', { method }), 405, 'method_not_allowed'), /POST and GET/);
    }
  });
});

describe('records', () => {
  test('are found by id, and by each of their filters', async () => {
    const { key, token } = await gateway.createKey({ name: 'filtered' });
    const since = new Date().toISOString();
    const id = await relay('/models', token);
    await relay('/files?limit=1', token);
    const { json: record, status } = await recorded(id);
    assert.equal(status, 200);
    assert.equal(record.endpoint, '/v1/models');

    const found = async (query: string) =>
      (await get(`/admin/v1/exchanges?key_id=${key.id}&${query}`)).json.data.map((row: { id: string }) => row.id);
    assert.equal((await found('')).length, 2);
    for (const fits of [
      'endpoint=/v1/models',
      'endpoint=/v1/models&status=200',
      `endpoint=/v1/models&team_id=${record.team_id}`,
      `endpoint=/v1/models&from=${since}`,
    ]) {
      assert.deepEqual(await found(fits), [id], fits);
    }
    for (const fitsNot of [
      'status=500',
      'model=gpt-4o',
      'team_id=team_x',
      'from=2999-01-01',
      `to=${since}`,
      'endpoint=/v1/batches',
    ]) {
      assert.deepEqual(await found(fitsNot), [], fitsNot);
    }
  });

  test('are read along in the order of writing, none missed and none twice', async () => {
    const { latest_cursor: place } = (await get('/admin/v1/exchanges?limit=1')).json;
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(await relay('/models'));
    await recorded(ids.at(-1)!);

    const seen: string[] = [];
    let page = { next_cursor: place as string, latest_cursor: '' };
    do {
      const answer = await get(`/admin/v1/exchanges?order=asc&limit=2&cursor=${page.next_cursor}`);
      seen.push(...answer.json.data.map((row: { id: string }) => row.id));
      page = answer.json;
    } while (page.next_cursor !== page.latest_cursor);
    assert.deepEqual(seen, ids);

    const { next_cursor, latest_cursor } = page;
    const nothingNew = (await get(`/admin/v1/exchanges?order=asc&cursor=${next_cursor}`)).json;
    assert.deepEqual(nothingNew, { data: [], next_cursor, latest_cursor });
  });

  test('come in pages of 1 to 1000, whatever is asked for', async () => {
    assert.equal((await get('/admin/v1/exchanges?limit=0')).json.data.length, 1);
    assert.equal((await get('/admin/v1/exchanges?limit=-5')).json.data.length, 1);
    assert.equal((await get('/admin/v1/exchanges?limit=999999')).status, 200);
  });
});

test('health tells version, upstream and what runs, and no secret', async () => {
  const { json, text } = await get('/admin/v1/health');
  assert.equal(json.upstream_origin, upstream.url);
  assert.equal(json.active_exchanges, 0);
  assert.equal(json.sandbox, false);
  assert.equal(json.refused_writes, 0);
  assert.equal(json.open_holds, 0);
  assert.equal(json.limits, 'alone');
  assert.match(json.version, /^\d+\.\d+\.\d+/);
  assert.ok(json.uptime_seconds >= 0);
  assert.ok(!text.includes(CANARY));
});

test('metrics count exchanges and refusals under a bounded set of labels', async () => {
  const count = async (series: string) => {
    const { text } = await get('/metrics');
    const line = text.split('\n').find((each) => each.startsWith(`${series} `));
    return line === undefined ? 0 : Number(line.split(' ').at(-1));
  };
  const models = 'throughway_exchanges_total{endpoint="/v1/models",status="200",ending="complete"}';
  const unknown = 'throughway_exchanges_total{endpoint="unknown",status="200",ending="complete"}';
  const refused = 'throughway_refusals_total{code="invalid_api_key"}';
  const before = { models: await count(models), unknown: await count(unknown), refused: await count(refused) };

  await relay('/models');
  for (let i = 0; i < 3; i++) await relay(`/made-up-${i}/${'x'.repeat(50)}`);
  const last = await relay('/models', 'sk-tw-wrong');
  await recorded(last);
  assert.equal(await count(models), before.models + 1);
  assert.equal(await count(unknown), before.unknown + 3);
  assert.equal(await count(refused), before.refused + 1);
  assert.equal(await count('throughway_active_exchanges'), 0);
  assert.equal(await count('throughway_spool_refused_writes_total'), 0);

  const { text, headers } = await get('/metrics');
  assert.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  assert.ok(!text.includes('made-up'));
  assert.match(text, /^process_cpu_seconds_total /m);
  assert.match(text, /^nodejs_eventloop_lag_p99_seconds /m);
});

test('every answer forbids to store it and to guess at its type', async () => {
  const answers = [
    await get('/'),
    await get('/metrics'),
    await get('/nowhere'),
    await post('/admin/v1/keys', '{'),
    await call('/', { headers: { authorization: '' } }),
  ];
  for (const { headers, status } of answers) {
    assert.equal(headers.get('cache-control'), 'no-store', String(status));
    assert.equal(headers.get('x-content-type-options'), 'nosniff', String(status));
  }
});

describe('openapi.json', () => {
  test('knows every route that is served, and serves every route that it knows', async () => {
    const { json } = await get('/admin/v1/openapi.json');
    const described = Object.entries<object>(json.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.deepEqual(described.toSorted(), (await get('/')).json.routes.toSorted());
    for (const route of described) {
      const [method = '', path = ''] = route.split(' ');
      // Without a body or with an id that nobody has: refused, but by the route itself.
      const answer = await call(path.replace('{id}', 'key_x'), { method });
      assert.ok(
        [200, 400].includes(answer.status) ||
          (path.includes('{id}') && answer.status === 404) ||
          // This gateway has no admin key of the upstream account, and says so.
          (path === routes.reconcile.path && answer.status === 409),
        `${route}: ${answer.status}`,
      );
    }
  });

  test('describes what is answered', async () => {
    const { json: document } = await get('/admin/v1/openapi.json');
    const made = await post('/admin/v1/keys', { name: 'described', expires_at: null });
    const exchangeId = await relay('/models');
    await recorded(exchangeId);
    const user = await post('/admin/v1/users', { name: 'described', role: 'viewer' });
    const budget = await post('/admin/v1/budgets', { user_id: user.json.id, limit_usd: '5', window: 'day' });
    const ids: Record<string, string> = {
      keys: made.json.key.id,
      teams: made.json.key.team_id,
      users: user.json.id,
      budgets: budget.json.id,
      exchanges: exchangeId,
    };

    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
    const fits = (answer: Answer, method: string, path: string) => {
      const { content } =
        document.paths[path][method].responses[answer.status] ?? document.paths[path][method].responses.default;
      const validate = ajv.compile(content['application/json'].schema as AnySchema);
      assert.ok(validate(answer.json), `${method} ${path}: ${ajv.errorsText(validate.errors)}\n${answer.text}`);
    };
    fits(made, 'post', '/admin/v1/keys');
    fits(user, 'post', '/admin/v1/users');
    fits(budget, 'post', '/admin/v1/budgets');
    for (const route of Object.values(routes)) {
      const { method, path } = route;
      if (method !== 'GET' || 'contentType' in route) continue;
      const kind = path.split('/')[3] ?? '';
      fits(await get(path.replace('{id}', ids[kind] ?? '')), 'get', path);
      fits(await call(path, { headers: { authorization: '' } }), 'get', path);
    }
    fits(await post(`/admin/v1/keys/${ids['keys']}/revoke`), 'post', '/admin/v1/keys/{id}/revoke');

    const limit = document.paths['/admin/v1/keys'].get.parameters.find(
      (parameter: { name: string }) => parameter.name === 'limit',
    );
    assert.equal(limit.schema.type, 'integer');
  });
});

test('a client that waits for 100 Continue gets it, and its answer', async () => {
  const headers = [['Authorization', `Bearer ${gateway.adminToken}`] as const, ['Expect', '100-continue'] as const];
  const reply = await exchange(gateway.admin, {
    method: 'POST',
    target: '/admin/v1/keys',
    headers,
    body: '{"name":"patient"}',
  });
  assert.equal(reply.status, 201);
  assert.equal(reply.interim.length, 1);
  assert.equal(valueOf(reply.headers, 'content-type'), 'application/json');
});
