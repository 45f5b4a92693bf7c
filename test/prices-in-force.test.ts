// Prices in force at a running gateway: an operator's own, versions of the past, refreshes, corrections, and what has no price.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import type { Settings } from '../src/config/config.ts';
import type { ExchangeRecord } from '../src/domain/exchange-record.ts';
import { run } from './cli/programs.ts';
import { eventually } from './support/eventually.ts';
import { type TestGateway, startGateway } from './support/gateway.ts';
import { type Recorder, startRecorder } from './support/recorder.ts';

const pricing = readFileSync(new URL('fixtures/openai-pricing.md', import.meta.url), 'utf8');
const HOUR = 3_600_000;

let upstream: Recorder;
let dataDir: string;
let gateway: TestGateway;
before(async () => {
  upstream = await startRecorder(async (request) => {
    const asked = JSON.parse((await request.whole()).toString()) as { readonly model: string };
    const usage = { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 };
    const body = {
      id: 'c',
      object: 'chat.completion',
      model: asked.model,
      choices: [],
      service_tier: 'default',
      usage,
    };
    return { headers: [['Content-Type', 'application/json']], body: JSON.stringify(body) };
  });
});
after(() => upstream.close());
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'throughway-prices-'));
});
afterEach(async () => {
  await gateway.close();
  rmSync(dataDir, { recursive: true, force: true });
});

async function begin(settings: Settings = {}): Promise<void> {
  gateway = await startGateway({ upstream: `${upstream.url}/v1`, settings, dataDir });
}

async function beginAgain(settings: Settings): Promise<void> {
  await gateway.close();
  await begin(settings);
}

/** @returns the id of the exchange */
async function chat(model: string, token = gateway.token): Promise<string> {
  const reply = await fetch(`${gateway.api}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
  });
  await reply.arrayBuffer();
  assert.equal(reply.status, 200);
  return reply.headers.get('x-throughway-exchange-id') ?? '';
}

// Each test says what it expects of an answer.
// oxlint-disable-next-line typescript/no-explicit-any
async function ask(path: string, body?: object): Promise<any> {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const reply = await gateway.adminFetch(`/admin/v1${path}`, init);
  const text = await reply.text();
  assert.equal(reply.status, 200, text);
  return JSON.parse(text);
}

const recordOf = (id: string): Promise<ExchangeRecord> => ask(`/exchanges/${id}`);
const spent = async () => (await ask('/spend')).totals;
const always = { from: new Date(Date.now() - HOUR).toISOString(), to: new Date(Date.now() + HOUR).toISOString() };
const book = (input: string, output: string) => ({
  overrides: { models: [{ model: 'gpt-4o', rates: { input_text: input, output_text: output } }] },
});

describe("an operator's own prices", () => {
  test('stand in the settings, or in a file that they name', async () => {
    await begin({ prices: book('1', '2') });
    assert.equal((await recordOf(await chat('gpt-4o'))).cost.usd, '0.002');
    const file = join(dataDir, 'prices.yaml');
    writeFileSync(file, 'models:\n  - model: gpt-4o\n    rates: { input_text: "4", output_text: "6" }\n');
    await beginAgain({ prices: { overrides: file } });
    const { cost } = await recordOf(await chat('gpt-4o'));
    assert.deepEqual([cost.usd, cost.confidence], ['0.007', 'operator']);
  });

  test('are multiplied by what was agreed for a team or a key', async () => {
    await begin();
    await gateway.adminFetch('/admin/v1/teams', { method: 'POST', body: JSON.stringify({ name: 'web' }) });
    const { token } = await gateway.createKey({ name: 'of web', team: 'web' });
    await beginAgain({ prices: { ...book('1', '2'), contracts: [{ team: 'web', factor: '0.93' }] } });
    assert.equal((await recordOf(await chat('gpt-4o', token))).cost.usd, '0.00186');
    assert.equal((await recordOf(await chat('gpt-4o'))).cost.usd, '0.002');
  });

  for (const [story, prices, says] of [
    [
      'an unknown field',
      { overrides: { modles: [] } },
      /^prices\.overrides\.modles is not a price book field; did you mean models\?$/,
    ],
    [
      'a number in place of text',
      { overrides: { models: [{ model: 'a', rates: { input_text: 2.5 } }] } },
      /prices\.overrides\.models\[0\]\.rates\.input_text\.amount is 2\.5; .*quotes/,
    ],
    ['no book at all', { overrides: 7 }, /prices\.overrides is 7/],
    [
      'a file that is not there',
      { overrides: './nowhere.yaml' },
      /prices\.overrides is "\.\/nowhere\.yaml", which cannot be read/,
    ],
    [
      'a team that nobody made',
      { contracts: [{ team: 'nobody', factor: '0.9' }] },
      /prices\.contracts\[0\]\.team is "nobody", and there is no team/,
    ],
    [
      'a factor that is wrong',
      { contracts: [{ team: 'team_1', factor: 0.9 }] },
      /prices\.contracts\[0\]\.factor is 0\.9/,
    ],
    [
      'a contract with nobody',
      { contracts: [{ factor: '0.9' }] },
      /prices\.contracts\[0\] names neither a team nor a key/,
    ],
    ['contracts that are no list', { contracts: { team: 'x' } }, /prices\.contracts is no list/],
  ] as const) {
    test(`with ${story} keep the gateway from starting, and say where`, async () => {
      await begin();
      const other = mkdtempSync(join(tmpdir(), 'throughway-prices-'));
      await assert.rejects(
        startGateway({ upstream: `${upstream.url}/v1`, settings: { prices }, dataDir: other }),
        (error: Error) => {
          assert.match(error.message, says);
          return true;
        },
      );
      rmSync(other, { recursive: true, force: true });
    });
  }
});

describe('prices of the past', () => {
  test('price an exchange to the same amount for ever, and a correction stands beside it', async () => {
    await begin({ prices: book('1', '2') });
    const id = await chat('gpt-4o');
    const then = (await recordOf(id)).cost;
    await beginAgain({ prices: book('3', '4') });

    const explained = await ask(`/exchanges/${id}/cost`);
    assert.deepEqual(
      [explained.usd, explained.reproduced, explained.price_version],
      ['0.002', true, then.price_version],
    );
    assert.equal(explained.now.usd, '0.005');
    assert.notEqual(explained.now.price_version, then.price_version);
    assert.equal(explained.lines[0].text, '1000 tokens x $1 / 1000000 = $0.001');
    assert.equal(explained.lines[0].layer, 'overrides');

    const dry = await ask('/prices/reprice', { ...always, dry_run: true });
    assert.deepEqual([dry.changed, dry.before_usd, dry.after_usd], [1, '0.002', '0.005']);
    assert.equal((await spent()).measured_usd, '0.002');
    const done = await ask('/prices/reprice', always);
    assert.equal(done.changed, 1);
    assert.deepEqual((await recordOf(id)).cost, then, 'history is never changed');
    const totals = await spent();
    assert.deepEqual([totals.measured_usd, totals.exchanges], ['0.005', 1]);

    const again = await ask('/prices/reprice', always);
    assert.deepEqual([again.changed, again.unchanged], [0, 1]);
    const later = await ask(`/exchanges/${id}/cost`);
    assert.deepEqual([later.usd, later.total_usd, later.entries.length], ['0.002', '0.005', 1]);
    assert.deepEqual(await ask('/ledger/drift').then(({ windows, rollups }) => [windows, rollups]), [[], []]);

    // Back and forth: each correction answers the one before.
    await beginAgain({ prices: book('1', '2') });
    await ask('/prices/reprice', always);
    assert.equal((await spent()).measured_usd, '0.002');
  });

  test('where there was none, a later one is entered, and the exchange is unpriced no more', async () => {
    await begin();
    const id = await chat('gpt-99');
    assert.equal((await spent()).unpriced, 1);
    await beginAgain({
      prices: { overrides: { models: [{ model: 'gpt-99', rates: { input_text: '1', output_text: '2' } }] } },
    });
    const { changed, changes } = await ask('/prices/reprice', always);
    assert.deepEqual([changed, changes[0].before_usd, changes[0].after_usd], [1, null, '0.002']);
    const totals = await spent();
    assert.deepEqual([totals.unpriced, totals.measured_usd, totals.exchanges], [0, '0.002', 1]);
    assert.equal((await ask(`/exchanges/${id}/cost`)).total_usd, '0.002');
    assert.deepEqual(await ask('/ledger/drift').then(({ windows, rollups }) => [windows, rollups]), [[], []]);
  });

  test('a correction moves the budgets that the exchange was charged to', async () => {
    await begin({ prices: book('1', '2') });
    const { key, token } = await gateway.createKey({ name: 'bound' });
    const made = await gateway.adminFetch('/admin/v1/budgets', {
      method: 'POST',
      body: JSON.stringify({ key_id: key.id, scope: 'key', limit_usd: '1', window: 'total' }),
    });
    const budget = (await made.json()) as { readonly id: string };
    await chat('gpt-4o', token);
    await ask('/spend');
    await beginAgain({ prices: book('3', '4') });
    await ask('/prices/reprice', always);
    assert.equal((await ask(`/budgets/${budget.id}`)).spent_usd, '0.005');
  });
});

describe('a refresh', () => {
  const changed = pricing.replace('| gpt-6-sol | $2.00', '| gpt-6-sol | $1.60');
  const documents = (text: string) => ({ documents: [{ name: 'pricing.md', text }] });

  test('shows what differs, is applied at once, and is in force after the next start', async () => {
    await begin();
    const before = await recordOf(await chat('gpt-6-sol'));
    assert.equal(before.cost.usd, '0.007');
    const shown = await ask('/prices/diff', documents(changed));
    assert.deepEqual(
      shown.differences.map((each: { of: string; what: string; after_usd: string }) => [
        each.of,
        each.what,
        each.after_usd,
      ]),
      [['gpt-6-sol', 'input_text', '1.6']],
    );
    assert.equal((await recordOf(await chat('gpt-6-sol'))).cost.usd, '0.007');
    const done = await ask('/prices/refresh', documents(changed));
    assert.equal(done.applied, true);
    // In force from the second in which it was applied.
    const cost = (await recordOf(await chat('gpt-6-sol'))).cost;
    assert.deepEqual([cost.usd, cost.price_version], ['0.0066', done.price_version]);
    await beginAgain({});
    assert.equal((await ask('/prices/gpt-6-sol')).in_force.layer, 'refreshed');
    assert.equal((await ask(`/exchanges/${before.id}/cost`)).reproduced, true);
    const { data } = await ask('/audit?kind=prices');
    assert.deepEqual(
      data.map((row: { action: string }) => row.action),
      ['refreshed'],
    );
  });

  test('that is doubtful is applied by force alone', async () => {
    await begin();
    const halved = pricing.replace('| gpt-6-sol | $2.00', '| gpt-6-sol | $0.90');
    const kept = await ask('/prices/refresh', documents(halved));
    assert.equal(kept.applied, false);
    assert.match(kept.doubts[0], /by -55 %/);
    assert.equal((await ask('/prices/gpt-6-sol')).in_force.rates.input_text.usd, '2');
    assert.equal((await ask('/prices/refresh', { ...documents(halved), force: true })).applied, true);
    assert.equal((await ask('/prices/gpt-6-sol')).in_force.rates.input_text.usd, '0.9');
  });
});

describe('what has no price', () => {
  test('is listed, counted, and told once a day', async () => {
    await begin();
    for (const model of ['gpt-99', 'gpt-99', 'gpt-98']) await chat(model);
    const { data } = await ask('/prices/unpriced');
    const rows = data.map((row: { model: string; endpoint: string; reason: string; exchanges: number }) => [
      row.model,
      row.endpoint,
      row.reason,
      row.exchanges,
    ]);
    assert.deepEqual(rows.toSorted(), [
      ['gpt-98', '/v1/chat/completions', 'unknown_model', 1],
      ['gpt-99', '/v1/chat/completions', 'unknown_model', 2],
    ]);
    const metrics = await (await gateway.adminFetch('/metrics')).text();
    assert.match(metrics, /throughway_unpriced_total\{reason="unknown_model",endpoint="\/v1\/chat\/completions"\} 3/);
    const warnings = gateway.logLines.filter((line) => line.includes('has no price'));
    assert.deepEqual(warnings.map((line) => (JSON.parse(line) as { model: string }).model).toSorted(), [
      'gpt-98',
      'gpt-99',
    ]);
    await beginAgain({});
    await chat('gpt-99');
    assert.equal((await ask('/prices/unpriced')).data[0].exchanges, 3);
  });

  test('is denied to a key that may not call it, before anything reaches the upstream', async () => {
    await begin();
    const { token } = await gateway.createKey({ name: 'strict', on_unpriced: 'deny' });
    const seen = upstream.requests.length;
    const reply = await fetch(`${gateway.api}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-99', messages: [] }),
    });
    assert.equal(reply.status, 403);
    assert.match(await reply.text(), /gpt-99.*has no price/);
    assert.equal(upstream.requests.length, seen);
    await chat('gpt-4o', token);
  });
});

describe('the commands', () => {
  const throughway = async (...args: string[]) => {
    const env = { THROUGHWAY_ADMIN_TOKEN: gateway.adminToken, THROUGHWAY_ADMIN_LISTEN: new URL(gateway.admin).host };
    return run(['prices', ...args], { env });
  };

  test('list, show, explain, diff, refresh, verify and reprice', async () => {
    await begin({ prices: book('1', '2') });
    const id = await chat('gpt-4o');
    await eventually('the record is there', () => id !== '');
    const file = join(dataDir, 'pricing.md');
    writeFileSync(file, pricing.replace('| gpt-6-sol | $2.00', '| gpt-6-sol | $0.80'));
    const said = async (code: number, ...args: string[]) => {
      const { stdout, stderr, code: ended } = await throughway(...args);
      assert.equal(ended, code, stderr);
      return stdout + stderr;
    };
    assert.match(await said(0, 'list', '--model', 'gpt-4o'), /gpt-4o +standard +\$1\.00 +— +— +\$2\.00 .*overrides/);
    assert.match(await said(0, 'show', 'gpt-5-nano'), /input_text_cached +\$0\.005 +1000000/);
    assert.match(await said(0, 'explain', id), /cost +\$0\.002 \(priced\)[^]*1000 tokens x \$1 \/ 1000000 = \$0\.001/);
    assert.match(await said(0, 'diff', '--from', file), /gpt-6-sol +input_text +\$2\.00 +\$0\.80 +1000000 +-60 %/);
    assert.match(await said(1, 'refresh', '--from', file, '--apply'), /not applied: .*--force/);
    assert.match(await said(0, 'refresh', '--from', file, '--apply', '--force'), /In force now: prices_/);
    assert.match((await throughway('verify', '--json')).stdout, /"findings"/);
    assert.match(await said(0, 'reprice', '--from', '2026-01-01', '--to', '2100-01-01', '--dry-run'), /0 would change/);
    assert.match(await said(0, 'unpriced'), /Nothing was seen/);
    assert.match(await said(1, 'diff', '--from', join(dataDir, 'absent.md')), /absent\.md cannot be read; name a file/);
  });

  test('a refresh shows where other collections disagree, and reads nothing but what was looked at', async () => {
    await begin();
    const said = async (code: number, ...args: string[]) => {
      const { stdout, stderr, code: ended } = await throughway('refresh', ...args);
      assert.equal(ended, code, stderr);
      return stdout + stderr;
    };
    const pages = join(dataDir, 'pages');
    mkdirSync(pages);
    writeFileSync(join(pages, 'pricing.md'), pricing);
    writeFileSync(join(pages, 'more.md'), '# Nothing\n');
    const [litellm, genai] = ['litellm', 'genai'].map((name) => join(dataDir, `${name}.json`)) as [string, string];
    const row = { litellm_provider: 'openai', input_cost_per_token: 3e-6 };
    writeFileSync(litellm, JSON.stringify({ 'gpt-6-sol': row }));
    const prices = { input_mtok: 2, output_mtok: 11 };
    writeFileSync(genai, JSON.stringify([{ id: 'openai', models: [{ id: 'gpt-6-sol', prices }] }]));

    const compared = await said(0, '--from', pages, '--compare', litellm, genai);
    assert.match(compared, /litellm\.json: 1 rates[^]*gpt-6-sol +input_text +\$2\.00 +\$3\.00/);
    assert.match(compared, /genai\.json: 2 rates[^]*gpt-6-sol +output_text +\$10\.00 +\$11\.00/);
    const { stdout } = await throughway('refresh', '--from', pages, '--compare', litellm, genai, '--json');
    const told = JSON.parse(stdout) as { rates: number; compared: { from: string; rates: number }[] };
    assert.ok(told.rates > 2);
    assert.deepEqual(
      told.compared.map(({ from, rates }) => [from, rates]),
      [
        [litellm, 1],
        [genai, 2],
      ],
    );
    const digest = (text: string) => createHash('sha256').update(text).digest('hex');
    const lines = ['more.md', 'pricing.md'].map(
      (name) => `${digest(readFileSync(join(pages, name), 'utf8'))}  ${name}\n`,
    );
    assert.match(await said(0, '--from', pages, '--sha256', digest(lines.join('')).toUpperCase()), /rates of/);
    assert.match(await said(0, '--from', litellm, '--sha256', digest(readFileSync(litellm, 'utf8'))), /1 rates/);
    const other = await said(1, '--from', pages, '--sha256', digest(pricing), '--apply', '--force');
    assert.match(other, new RegExp(`has the SHA-256 ${digest(lines.join(''))}`));
    assert.equal((await ask('/prices/gpt-6-sol')).in_force.layer, 'shipped');
  });

  test('what opens a page is neither kept nor told: the key of a signed link, a password', async () => {
    await begin();
    const cheaper = pricing.replace('| gpt-6-sol | $2.00', '| gpt-6-sol | $1.90');
    const site = await startRecorder(({ target }) =>
      Promise.resolve(target.startsWith('/pricing.md') ? { body: cheaper } : { status: 404 }),
    );
    try {
      const refresh = (path: string) =>
        throughway('refresh', '--from', `${site.url}${path}?sig=opens-it`, '--apply', '--force');
      const { code, stdout, stderr } = await refresh('/pricing.md');
      assert.equal(code, 0, stderr);
      const { in_force: row } = await ask('/prices/gpt-6-sol');
      assert.equal(row.layer, 'refreshed');
      assert.match(JSON.stringify(row), new RegExp(`"${site.url}/pricing.md"`));
      const absent = await refresh('/absent.md');
      const [scheme, rest] = site.url.split('//') as [string, string];
      const locked = await throughway('diff', '--from', `${scheme}//me:opens-it@${rest}/pricing.md`);
      for (const { stderr: error } of [absent, locked])
        assert.match(error, /\.md cannot be read: .*; save it to a file/);
      const all = [stdout, stderr, absent.stderr, locked.stderr, JSON.stringify(row)].join('\n');
      assert.ok(!all.includes('opens-it'), all);
      assert.ok(!JSON.stringify(await ask('/audit')).includes('opens-it'));
    } finally {
      await site.close();
    }
  });
});
