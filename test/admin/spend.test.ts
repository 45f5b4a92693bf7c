// What was spent, asked for in every way; and the sums that say so, compared with their entries.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';

import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';

let upstream: Recorder;
let gateway: TestGateway;
const red = { key: '', token: '', team: '' };
const blue = { key: '', token: '', team: '' };
let user = '';

/** 10 tokens in and 5 out of gpt-4o-mini: 10 x 0.15 + 5 x 0.60 USD for a million. */
const EACH_USD = '0.0000045';
/** A model of a name that a spreadsheet would compute, and that no price is known for. */
const FORMULA = '=HYPERLINK("x")';

before(async () => {
  upstream = await startRecorder(async (request) => {
    const { model } = JSON.parse((await request.whole()).toString()) as { model: string };
    const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
    const body = JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', model, choices: [], usage });
    return { status: 200, headers: [['Content-Type', 'application/json']], body };
  });
  gateway = await startGateway({ upstream: `${upstream.url}/v1` });
  user = (await ask('POST', '/users', { name: 'ann', role: 'viewer' })).id;
  for (const [team, name] of [
    [red, 'red'],
    [blue, 'blue'],
  ] as const) {
    team.team = (await ask('POST', '/teams', { name })).id;
    const { key, token } = await gateway.createKey({ name, team: name, ...(team === red ? { user: 'ann' } : {}) });
    Object.assign(team, { key: key.id, token });
  }
  await chat(red.token, 'gpt-4o-mini', 'nightly,web');
  await chat(red.token, 'gpt-4o-mini');
  await chat(blue.token, 'gpt-4o-mini', 'web');
  await chat(blue.token, FORMULA);
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

// Each test says what it expects of it.
// oxlint-disable-next-line typescript/no-explicit-any
async function ask(method: string, path: string, body?: unknown): Promise<any> {
  const reply = await gateway.adminFetch(`/admin/v1${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  assert.ok(reply.ok, `${method} ${path}: ${text}`);
  return reply.headers.get('content-type') === 'application/json' ? JSON.parse(text) : text;
}

async function chat(token: string, model: string, tags?: string): Promise<void> {
  const reply = await fetch(`${gateway.api}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      ...(tags === undefined ? {} : { 'x-throughway-tags': tags }),
    },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
  });
  assert.equal(reply.status, 200, await reply.text());
}

describe('spend', () => {
  test('is grouped by key and model, with what is unknown kept apart', async () => {
    const { data, totals } = await ask('GET', '/spend?group_by=key,model');
    assert.deepEqual(data, [
      { key_id: red.key, model: 'gpt-4o-mini', ...sums({ exchanges: 2, measured_usd: '0.000009' }) },
      { key_id: blue.key, model: 'gpt-4o-mini', ...sums({ exchanges: 1, measured_usd: EACH_USD }) },
      { key_id: blue.key, model: FORMULA, ...sums({ exchanges: 1, measured_usd: '0', unpriced: 1 }) },
    ]);
    assert.deepEqual(totals, sums({ exchanges: 4, measured_usd: '0.0000135', unpriced: 1 }));
  });

  test('is grouped by team, user, endpoint, tag, day and hour', async () => {
    const rows = async (group: string) => (await ask('GET', `/spend?group_by=${group}`)).data;
    const named = async (group: string, field: string) =>
      (await rows(group)).map((row: Record<string, unknown>) => [row[field], row['exchanges']]);
    assert.deepEqual(await named('team', 'team_id'), [
      [red.team, 2],
      [blue.team, 2],
    ]);
    assert.deepEqual(await named('user', 'user_id'), [
      [user, 2],
      [null, 2],
    ]);
    assert.deepEqual(await named('endpoint', 'endpoint'), [['/v1/chat/completions', 4]]);
    assert.deepEqual((await named('tag', 'tag')).toSorted(), [
      ['nightly', 1],
      ['web', 2],
    ]);
    assert.equal((await ask('GET', '/spend?group_by=tag')).totals.exchanges, 4, 'each exchange once');
    for (const [day] of await named('day', 'day')) assert.match(day, /^\d{4}-\d\d-\d\d$/);
    for (const [hour] of await named('hour', 'hour')) assert.match(hour, /^\d{4}-\d\d-\d\dT\d\d:00:00Z$/);
  });

  test('is filtered by what it can be grouped by, and by time', async () => {
    const exchanges = async (query: string) => (await ask('GET', `/spend?${query}`)).totals.exchanges;
    assert.equal(await exchanges(''), 4);
    assert.equal(await exchanges(`team_id=${red.team}`), 2);
    assert.equal(await exchanges(`key_id=${blue.key}&model=gpt-4o-mini`), 1);
    assert.equal(await exchanges(`user_id=${user}`), 2);
    assert.equal(await exchanges('tag=web'), 2);
    assert.equal(await exchanges('endpoint=/v1/embeddings'), 0);
    assert.equal(await exchanges('to=2020-01-01'), 0);
    assert.equal(await exchanges('from=2020-01-01'), 4);
  });

  test('comes as CSV with a header row, and no name in it is a formula', async () => {
    const csv: string = await ask('GET', '/spend?group_by=key,model&format=csv');
    const lines = csv.split('\r\n');
    assert.deepEqual(lines, [
      'key_id,model,exchanges,measured_usd,estimated_usd,partial,pending,unpriced,free,tokens_in,tokens_out',
      `${red.key},gpt-4o-mini,2,0.000009,0,0,0,0,0,20,10`,
      `${blue.key},gpt-4o-mini,1,${EACH_USD},0,0,0,0,0,10,5`,
      `${blue.key},"'=HYPERLINK(""x"")",1,0,0,0,0,1,0,10,5`,
      '',
    ]);
    const reply = await gateway.adminFetch('/admin/v1/spend?format=csv');
    assert.equal(reply.headers.get('content-type'), 'text/csv; charset=utf-8');
    assert.equal(reply.headers.get('cache-control'), 'no-store');
    await reply.arrayBuffer();
  });

  test('refuses groups and times that are none', async () => {
    for (const [query, says] of [
      ['group_by=keys', /write one or more of key,team/],
      ['group_by=', /write one or more/],
      ['from=2026-02-02&to=2026-02-01', /which is after/],
      ['form=csv', /did you mean (format|from)\?/],
    ] as const) {
      const reply = await gateway.adminFetch(`/admin/v1/spend?${query}`);
      assert.equal(reply.status, 400);
      assert.match(await reply.text(), says);
    }
  });

  function sums({ exchanges, ...more }: { exchanges: number } & Record<string, unknown>) {
    return {
      exchanges,
      measured_usd: '0',
      estimated_usd: '0',
      partial: 0,
      pending: 0,
      unpriced: 0,
      free: 0,
      tokens_in: exchanges * 10,
      tokens_out: exchanges * 5,
      ...more,
    };
  }
});

test('records are found by user, tag and the state of their cost, in both orders', async () => {
  for (const order of ['desc', 'asc']) {
    const count = async (query: string) => (await ask('GET', `/exchanges?order=${order}&${query}`)).data.length;
    assert.equal(await count(`user_id=${user}`), 2);
    assert.equal(await count('tag=web'), 2);
    assert.equal(await count('tag=web&cost_state=priced'), 2);
    assert.equal(await count('cost_state=unpriced'), 1);
    assert.equal(await count('user_id=user_nobody'), 0);
  }
});

test('sums that do not agree with their entries are told, mended, and told to the audit', async () => {
  const whole = await ask('GET', '/ledger/drift');
  assert.deepEqual([whole.entries, whole.window_count, whole.rollup_count], [4, 0, 0]);
  assert.equal((await ask('POST', '/ledger/mend')).rollup_count, 0);
  assert.deepEqual((await ask('GET', '/audit?kind=ledger')).data, []);

  const database = new DatabaseSync(join(gateway.dataDir, 'throughway.db'));
  database.exec(
    `UPDATE rollups SET exchanges = exchanges + 5 WHERE key_id = '${red.key}' AND tag = '' AND grain = 'hour'`,
  );
  database.close();
  assert.equal((await ask('GET', '/spend')).totals.exchanges, 9);
  const drift = await ask('GET', '/ledger/drift');
  assert.ok(drift.rollup_count > 0);
  assert.equal(drift.rollups[0].exchanges, -5);
  assert.equal(drift.rollups[0].key_id, red.key);
  assert.deepEqual(await ask('POST', '/ledger/mend'), drift);
  assert.equal((await ask('GET', '/ledger/drift')).rollup_count, 0);
  assert.equal((await ask('GET', '/spend')).totals.exchanges, 4);
  const [row] = (await ask('GET', '/audit?kind=ledger')).data;
  assert.equal(row.action, 'mended');
});
