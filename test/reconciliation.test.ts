// What the upstream bills is what the ledger says, to the pico-dollar; where it is not, the likely cause is told, and the admin key never.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { Settings } from '../src/config/config.ts';
import { type Clock, systemClock } from '../src/domain/clock.ts';
import { formatUsd, parseUsd } from '../src/domain/money.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { ADMIN_KEY, chatBody, type Organization, startOrganization } from './support/organization.ts';
import { valueOf } from './support/wire.ts';

// Each test says what it expects of it.
// oxlint-disable-next-line typescript/no-explicit-any
type Json = any;

const DAY = 86_400_000;
/** Noon, so that no test runs over a midnight. */
const AT = Date.UTC(2026, 10, 22, 12);
const AROUND = 'from=2026-11-20&to=2026-11-25';

let dir: string;
let upstream: Organization;
let gateway: TestGateway;
let shiftMs: number;
const clock: Clock = { now: () => AT + shiftMs, elapsedMs: () => systemClock.elapsedMs() };

beforeEach(async () => {
  shiftMs = 0;
  dir = mkdtempSync(join(tmpdir(), 'throughway-reconciliation-'));
  writeFileSync(join(dir, 'admin-key'), ADMIN_KEY);
  upstream = await startOrganization();
  upstream.now = () => clock.now() / 1000;
});
afterEach(async () => {
  await gateway.close();
  await upstream.close();
  rmSync(dir, { recursive: true, force: true });
});

async function start(more: Settings['reconciliation'] = {}, settings: Settings = {}): Promise<void> {
  const adminKey = `file:${join(dir, 'admin-key')}`;
  gateway = await startGateway({
    upstream: upstream.url,
    clock,
    dataDir: join(dir, 'data'),
    settings: { ...settings, reconciliation: { everyHours: 0, usageEveryHours: 0, adminKey, ...more } },
  });
}

async function post(path: string, body: string, token = gateway.token): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const reply = await fetch(`${gateway.api}/openai/v1${path}`, { method: 'POST', headers, body });
  const text = await reply.text();
  assert.equal(reply.status, 200, text);
}
const chat = (model: string, input: number, cached = 0, output = 0, more: object = {}) =>
  post('/chat/completions', chatBody(model, input, cached, output, more));

async function reconcile(query = AROUND): Promise<Json> {
  const reply = await gateway.adminFetch(`/admin/v1/reconciliation?${query}`);
  const text = await reply.text();
  assert.equal(reply.status, 200, text);
  return JSON.parse(text);
}

/** The codes of the causes of each thing that differs. */
function causes(told: Json): Record<string, string[]> {
  const drifting = told.rows.filter((row: Json) => row.drift_usd !== '0');
  return Object.fromEntries(
    drifting.map((row: Json) => [`${row.day} ${row.subject}`, row.causes.map((each: Json) => each.code)]),
  );
}

async function traffic(): Promise<void> {
  for (let i = 0; i < 12; i++) {
    await chat(i % 3 === 0 ? 'gpt-4o' : 'gpt-4o-mini', 1000 + i * 7, i * 10, 20 + i, { stream: i % 2 === 0 });
    await post('/embeddings', JSON.stringify({ model: 'text-embedding-3-small', input: String(500 + i) }));
  }
}

test('over traffic of several days the upstream bills what the ledger says, within 0', async () => {
  await start();
  for (const day of [-1, 0, 1]) {
    shiftMs = day * DAY;
    await traffic();
  }
  shiftMs = 2 * DAY;
  const told = await reconcile();
  assert.equal(told.upstream_usd, formatUsd(upstream.totalPico()));
  assert.deepEqual([told.drift_usd, told.drift_percent, told.alert, told.suggested_factor], ['0', 0, false, null]);
  assert.deepEqual([causes(told), told.untold], [{}, []]);
  assert.equal(told.rows.length, 9, 'three things on three days');
  for (const row of told.rows) {
    assert.equal(row.ledger_usd, row.upstream_usd);
    assert.deepEqual([row.ledger_tokens, row.ledger_requests], [row.upstream_tokens, row.upstream_requests]);
    for (const item of row.line_items) assert.equal(item.ledger_usd, item.upstream_usd, item.line_item);
  }
});

test('what is billed is read in pages, by the admin key alone, and each read leaves a record that is free', async () => {
  await start();
  await chat('gpt-4o', 1000);
  const told = await reconcile('from=2026-11-01&to=2026-12-01');
  assert.equal(told.drift_usd, '0');
  const asked = upstream.recorder.requests.filter(({ target }) => target.startsWith('/v1/organization/'));
  assert.ok(asked.length >= 11);
  for (const { method, headers, target } of upstream.recorder.requests) {
    const isAdmin = target.startsWith('/v1/organization/');
    assert.equal(valueOf(headers, 'authorization') === `Bearer ${ADMIN_KEY}`, isAdmin, `${method} ${target}`);
  }
  let page: Json = { data: [] };
  for (let tries = 0; tries < 500 && page.data.length < 12; tries++) {
    page = await (await gateway.adminFetch('/admin/v1/exchanges')).json();
    await delay(5);
  }
  const reads = page.data.filter((row: Json) => row.path.startsWith('/v1/organization/'));
  assert.equal(reads.length, asked.length);
  assert.ok(reads.every((row: Json) => row.cost.state === 'free' && row.team_id === null));
});

test('what somebody else used is told as such', async () => {
  await start();
  await traffic();
  upstream.use('gpt-4o', { input: 900_000, output: 1000 });
  upstream.use('gpt-9-unheard-of', { input: 5, output: 5 });
  upstream.bill('gpt-9-unheard-of, input', parseUsd('3'));
  const told = await reconcile();
  assert.deepEqual(causes(told), { '2026-11-22 gpt-4o': ['off_path'], '2026-11-22 gpt-9-unheard-of': ['off_path'] });
  assert.equal(told.drift_usd, formatUsd(900_000n * 2_500_000n + 10_000n * 1_000_000n + parseUsd('3')));
  assert.equal(told.alert, true);
});

test('C20: a contract’s discount is found, with the factor that would set it right', async () => {
  upstream.discount = [93n, 100n];
  await start();
  await traffic();
  const told = await reconcile();
  assert.equal(told.suggested_factor, '0.93');
  assert.ok(Object.values(causes(told)).every((codes) => codes.join() === 'contract_discount'));
  assert.equal(told.alert, true, 'seven percent');
});

test('one model at another price is a change of price, and a tier that no reply named is told', async () => {
  await start();
  await traffic();
  shiftMs = DAY;
  upstream.prices['gpt-4o-mini'] = [200_000n, 100_000n, 800_000n];
  await traffic();
  const told = await reconcile();
  assert.deepEqual(causes(told), { '2026-11-23 gpt-4o-mini': ['price_change'] });
  const [row] = told.rows.filter((each: Json) => each.drift_usd !== '0');
  assert.equal(row.causes[0].factor, '1.3333');
  assert.equal(told.suggested_factor, null);
});

test('storage, containers and exchanges without a price explain what else is billed', async () => {
  await start();
  await chat('gpt-nobody-knows', 100, 0, 10);
  upstream.bill('gpt-nobody-knows, output', parseUsd('0.5'));
  upstream.bill('assistants api | file search storage', parseUsd('0.2'));
  upstream.bill('code interpreter sessions', parseUsd('0.03'));
  const told = causes(await reconcile());
  assert.deepEqual(told, {
    '2026-11-22 gpt-nobody-knows': ['unpriced'],
    '2026-11-22 storage': ['storage'],
    '2026-11-22 code interpreter': ['hidden_containers'],
  });
});

test('work that goes on is pending here and billed there, until it has ended', async () => {
  await start();
  const body = JSON.stringify({ model: 'gpt-4o', input: 'Think.', background: true });
  await post('/responses', body);
  upstream.bill('gpt-4o, output', parseUsd('0.25'));
  const told = await reconcile();
  assert.deepEqual(causes(told), { '2026-11-22 gpt-4o': ['pending'] });
  assert.deepEqual([told.rows[0].pending, told.rows[0].ledger_usd], [1, '0']);
});

test('what was estimated here is told as the part that may differ', async () => {
  await start();
  // Its reply tells no usage: it is counted by its text.
  const silent = {
    headers: [['Content-Type', 'application/json'] as const],
    body: '{"id":"c","model":"gpt-4o","choices":[]}',
  };
  upstream.silence = silent;
  await chat('gpt-4o', 1000);
  upstream.silence = null;
  upstream.use('gpt-4o', { input: 1000, output: 700 });
  const told = await reconcile();
  const [row] = told.rows;
  assert.ok(Number(row.estimated_usd) > 0, row.estimated_usd);
  assert.ok(row.causes.some(({ code }: Json) => code === 'early_endings'));
});

test('a drift may be entered on nobody’s account: then the ledger says what is billed, and no key’s history has changed', async () => {
  await start();
  await traffic();
  upstream.use('gpt-4o', { input: 900_000, output: 1000 });
  upstream.bill('web search tool calls', parseUsd('0.3'));
  const ofKeys = async () =>
    (await (await gateway.adminFetch('/admin/v1/spend?group_by=key&from=2026-11-01&to=2026-12-31')).json()) as Json;
  const before = await ofKeys();
  const enter = async () => {
    const body = JSON.stringify({ from: '2026-11-20', to: '2026-11-25' });
    const reply = await gateway.adminFetch('/admin/v1/reconciliation/adjustments', { method: 'POST', body });
    assert.equal(reply.status, 200);
    return (await reply.json()) as Json;
  };
  assert.equal((await enter()).entered, 0, 'the bill of today is not known yet');
  shiftMs = 3 * DAY;
  const { entered, compared } = await enter();
  assert.deepEqual([entered, compared.drift_usd], [2, formatUsd(parseUsd('2.56'))]);
  const now = await reconcile();
  assert.deepEqual([now.drift_usd, now.alert, causes(now)], ['0', false, {}]);
  assert.equal((await enter()).entered, 0);

  const after = await ofKeys();
  const nobody = after.data.filter(({ key_id }: Json) => key_id === null);
  assert.deepEqual(
    nobody.map(({ measured_usd, exchanges }: Json) => [measured_usd, exchanges]),
    [['2.56', 0]],
  );
  assert.deepEqual(
    after.data.filter(({ key_id }: Json) => key_id !== null),
    before.data,
  );
  // It is taken back where the upstream gives money back.
  upstream.bill('web search tool calls', -parseUsd('0.1'), 3);
  assert.equal((await enter()).entered, 1);
  assert.equal((await reconcile()).drift_usd, '0');
  const drift = (await (await gateway.adminFetch('/admin/v1/ledger/drift')).json()) as Json;
  assert.deepEqual([drift.rollup_count, drift.window_count], [0, 0]);
});

test('fewer tokens than went through are told, as where OpenAI is late or gives them away', async () => {
  await start();
  await chat('gpt-4o', 400_000);
  upstream.hide('gpt-4o', 100_000);
  const told = await reconcile();
  assert.deepEqual(causes(told), { '2026-11-22 gpt-4o': ['fewer_upstream'] });
  assert.deepEqual([told.drift_usd, told.alert], ['-0.25', true]);
});

test('the same tokens in a service tier that no reply named are told with the factor of that tier', async () => {
  await start();
  await chat('gpt-4o', 400_000);
  upstream.hide('gpt-4o', 400_000);
  upstream.prices['gpt-4o'] = [4_250_000n, 2_125_000n, 17_000_000n];
  upstream.use('gpt-4o', { input: 400_000, output: 0 }, 0, 'priority');
  const [row] = (await reconcile()).rows;
  assert.deepEqual(
    row.causes.map(({ code, factor }: Json) => [code, factor]),
    [['unknown_tier', '1.7']],
  );
});

test('a day is looked at on each of the three days after it, as data comes late', async () => {
  await start({ everyHours: 0.0001 });
  await chat('gpt-4o', 400_000);
  const looked = () =>
    upstream.recorder.requests
      .filter(({ target }) => target.startsWith('/v1/organization/costs'))
      .map(({ target }) => new URL(target, 'http://x').searchParams);
  for (const day of [1, 2, 3]) {
    shiftMs = day * DAY;
    const before = looked().length;
    const deadline = performance.now() + 10_000;
    // The second look began after the clock was turned.
    while (looked().length < before + 2 && performance.now() < deadline) await delay(5);
    const last = looked().at(-1)!;
    const [from, to] = [Number(last.get('start_time')) * 1000, Number(last.get('end_time')) * 1000];
    const today = Date.UTC(2026, 10, 22);
    assert.ok(from <= today && today + DAY <= to, `D+${day}`);
  }
});

test('a drift is told above one percent, or above one dollar, and not at them', async () => {
  await start();
  await chat('gpt-4o', 396_000);
  upstream.bill('gpt-4o, input', parseUsd('0.01'));
  const one = await reconcile();
  assert.deepEqual([one.upstream_usd, one.drift_usd, one.alert], ['1', '0.01', false], 'one percent of one dollar');
  upstream.bill('gpt-4o, input', 1_000_000n);
  assert.equal((await reconcile()).alert, true);
  // A dollar is less than one percent of what is billed from here on.
  for (let i = 0; i < 3; i++) await chat('gpt-4o', 40_000_000);
  upstream.bill('gpt-4o, input', parseUsd('0.99') - 1_000_000n);
  const dollar = await reconcile();
  assert.deepEqual([dollar.drift_usd, dollar.alert], ['1', false]);
  upstream.bill('gpt-4o, input', 1n);
  assert.equal((await reconcile()).alert, true);
});

test('what the upstream counts on another day is told as such, and what is too little as rounding', async () => {
  await start();
  await chat('gpt-4o', 400_000);
  upstream.bill('gpt-4o, input', -parseUsd('1'));
  upstream.bill('gpt-4o, input', parseUsd('1'), -1);
  upstream.bill('gpt-4o-mini, input', 1000n);
  const told = causes(await reconcile());
  assert.ok(told['2026-11-22 gpt-4o']?.includes('other_day'));
  assert.ok(told['2026-11-23 gpt-4o']?.includes('other_day'));
  assert.deepEqual(told['2026-11-22 gpt-4o-mini'], ['rounding']);
});

test('only the projects that are named are compared, and what others cost is told beside', async () => {
  await start({ projects: ['proj_of_nobody'] });
  await chat('gpt-4o', 1000);
  const told = await reconcile();
  assert.deepEqual(told.projects, [{ project_id: 'proj_gateway', compared: false, upstream_usd: '0.0025' }]);
  assert.equal(told.upstream_usd, '0');
});

test('without an admin key nothing is compared, and what to set is told', async () => {
  gateway = await startGateway({ upstream: upstream.url, clock });
  const reply = await gateway.adminFetch(`/admin/v1/reconciliation?${AROUND}`);
  assert.equal(reply.status, 409);
  assert.match(await reply.text(), /reconciliation\.adminKey/);
});

test('too many days, or none, are refused', async () => {
  await start();
  for (const query of ['from=2026-01-01&to=2026-03-01', 'from=2026-11-22&to=2026-11-22'])
    assert.equal((await gateway.adminFetch(`/admin/v1/reconciliation?${query}`)).status, 400);
});

test('drift above a threshold is told by the clock in the log and in the metrics, and other drift is not', async () => {
  shiftMs = -DAY;
  await start({ everyHours: 0.0001 });
  await chat('gpt-4o', 400_000);
  upstream.bill('gpt-4o, input', parseUsd('0.005'));
  shiftMs = 0;
  const seen = async (pattern: RegExp) => {
    for (let tries = 0; tries < 1000; tries++) {
      const metrics = await (await gateway.adminFetch('/metrics')).text();
      if (pattern.test(metrics)) return gateway.logLines.join('\n');
      await delay(10);
    }
    throw new Error(`no metrics like ${pattern}`);
  };
  assert.doesNotMatch(await seen(/throughway_reconciliation_drift_usd 0\.005\n/), /bills something else/);
  upstream.bill('gpt-4o, input', parseUsd('2'), 1);
  const log = await seen(/throughway_reconciliation_drift_usd 2\.005\n[^]*throughway_reconciliation_alert 1\n/);
  assert.match(log, /bills something else/);
});

test('each hour it is looked whether the upstream counted what went through, long before it bills', async () => {
  shiftMs = -3 * 3_600_000;
  await start({ usageEveryHours: 0.0001 });
  await traffic();
  await chat('gpt-4o', 900_000);
  shiftMs = 0;
  const seen = async (pattern: RegExp) => {
    const deadline = performance.now() + 10_000;
    let metrics = '';
    while (!pattern.test(metrics) && performance.now() < deadline) {
      metrics = await (await gateway.adminFetch('/metrics')).text();
      await delay(5);
    }
    assert.match(metrics, pattern);
  };
  const warnings = () => gateway.logLines.filter((line) => line.includes('counted other tokens'));
  await seen(/reconciliation_usage_drift_tokens 0\n[^]*reconciliation_usage_alert 0\n/);
  assert.deepEqual(warnings(), []);
  // Three hours ago somebody used the account without this gateway.
  shiftMs = -3 * 3_600_000;
  upstream.use('gpt-4o', { input: 50_000, output: 0 });
  upstream.use('gpt-4o-mini', { input: 9000, output: 0 });
  shiftMs = 0;
  await seen(/reconciliation_usage_drift_tokens 59000\n[^]*reconciliation_usage_alert 1\n/);
  const [warning, ...others] = warnings();
  assert.equal(others.length, 0, 'told once');
  const { model, upstream_tokens, ledger_tokens } = JSON.parse(warning!);
  assert.deepEqual([model, upstream_tokens - ledger_tokens], ['gpt-4o', 50_000]);
});

test('the admin key is in no log, error, reply, metric or file, whatever the upstream says of it', async () => {
  await start();
  await chat('gpt-4o', 1000);
  await reconcile();
  const told: string[] = [];
  const outages = [
    { status: 401, body: JSON.stringify({ error: { message: `Incorrect API key provided: ${ADMIN_KEY}` } }) },
    { status: 500, body: ADMIN_KEY },
    { status: 200, body: `{"data":"${ADMIN_KEY}"}` },
    { status: 200, body: ADMIN_KEY },
    { status: 200, body: `{"data":[{"start_time":1,"results":[{"amount":{"value":"${ADMIN_KEY}"}}]}]}` },
  ];
  for (const outage of outages) {
    upstream.outage = outage;
    const reply = await gateway.adminFetch(`/admin/v1/reconciliation?${AROUND}`);
    const text = await reply.text();
    assert.equal(reply.status, 502, text);
    told.push(text, JSON.stringify([...reply.headers]));
  }
  for (const path of ['/metrics', '/admin/v1/exchanges', '/admin/v1/health', '/admin/v1/audit'])
    told.push(await (await gateway.adminFetch(path)).text());
  told.push(gateway.logLines.join('\n'));
  await gateway.gateway.stopNow();
  for (const file of readdirSync(join(dir, 'data'), { recursive: true, withFileTypes: true }))
    if (file.isFile()) told.push(readFileSync(join(file.parentPath, file.name), 'latin1'));
  assert.ok(told.length > 15);
  for (const text of told) assert.doesNotMatch(text, /sk-admin-canary/);
});
