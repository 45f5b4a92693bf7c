// Prices that are corrected late are corrected for late work too: batches of several models, responses, runs of evals.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import type { Settings } from '../src/config/config.ts';
import { eventually } from './support/eventually.ts';
import { type TestGateway, startGateway } from './support/gateway.ts';
import { type LateUpstream, startLateUpstream } from './support/late-work.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from './support/postgres.ts';

const HOUR = 3_600_000;
const always = { from: new Date(Date.now() - HOUR).toISOString(), to: new Date(Date.now() + HOUR).toISOString() };
const SOL = 'gpt-6.1-sol';
const TERRA = 'gpt-6.1-terra';

/** Dollars for a million of input; three times as much for output; twice and one and a half times as much for long exchanges. */
const book = (sol: number, terra: number): Settings => ({
  prices: {
    overrides: {
      models: [[SOL, sol] as const, [TERRA, terra] as const, ...(terra === 5 ? [['gpt-own', 7] as const] : [])].map(
        ([model, usd]) => ({
          model,
          rates: { input_text: String(usd), output_text: String(3 * usd) },
          long: { aboveInputTokens: 272_000, inputFactor: '2', outputFactor: '1.5' },
        }),
      ),
    },
  },
});

const usage = (input: number, output: number) => ({
  input_tokens: input,
  output_tokens: output,
  total_tokens: input + output,
});
const line = (model: string, input: number, output: number) =>
  JSON.stringify({ response: { status_code: 200, body: { status: 'completed', model, usage: usage(input, output) } } });

let upstream: LateUpstream;
let dataDir: string;
let gateway: TestGateway;
before(async () => {
  upstream = await startLateUpstream();
});
after(() => upstream.close());

function tests(databaseUrl: () => Promise<string | null>): void {
  let url: string | null;
  beforeEach(async () => {
    upstream.answers.clear();
    dataDir = mkdtempSync(join(tmpdir(), 'throughway-late-prices-'));
    url = await databaseUrl();
  });
  afterEach(async () => {
    await gateway.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  async function begin(settings: Settings): Promise<void> {
    const more = url === null ? {} : { databaseUrl: url };
    gateway = await startGateway({ upstream: upstream.url, dataDir, settings, ...more });
  }

  // Each test says what it expects of an answer.
  // oxlint-disable-next-line typescript/no-explicit-any
  async function ask(path: string, body?: object): Promise<any> {
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    const reply = await gateway.adminFetch(`/admin/v1${path}`, init);
    const text = await reply.text();
    assert.ok(reply.ok, text);
    return JSON.parse(text);
  }
  const totals = async () => (await ask('/spend')).totals;

  async function call(method: string, path: string, token: string, body?: object): Promise<string> {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    const reply = await fetch(`${gateway.api}/openai/v1${path}`, init);
    assert.equal(reply.status, 200, await reply.clone().text());
    await reply.arrayBuffer();
    return reply.headers.get('x-throughway-exchange-id') ?? '';
  }

  /** @returns the id of the exchange that started it */
  async function startAndRead(path: string, name: string, ended: object, token = gateway.token): Promise<string> {
    upstream.answers.set(`POST /v1${path}`, { body: { id: name, status: 'queued', model: SOL } });
    upstream.answers.set(`GET /v1${path}/${name}`, { body: { id: name, ...ended } });
    const id = await call('POST', path, token, { model: SOL, input: 'x', background: true, max_output_tokens: 9 });
    await call('GET', `${path}/${name}`, token);
    await eventually('it is settled', () =>
      gateway.logLines.some((each) => each.includes('was settled') && each.includes(id)),
    );
    return id;
  }

  const batch = { object: 'batch', status: 'completed', endpoint: '/v1/responses', output_file_id: 'file-o' };

  test('a batch of several models is repriced line by line, long ones as long ones, again and back', async () => {
    await begin(book(1, 2));
    const lines = [
      line(SOL, 200_000, 0),
      line(TERRA, 1_000_000, 100_000),
      line(SOL, 200_000, 100_000),
      line(TERRA, 0, 100_000),
      line(SOL, 400_000, 0),
      line(SOL, 300_000, 0),
    ];
    upstream.answers.set('GET /v1/files/file-o/content', { body: lines.join('\n') });
    const id = await startAndRead('/batches', 'batch_1', batch);
    // Half of 0.4 + 0.3 + 2 x 0.7 of sol at 1, and of 2 x 1 + 1.5 x 0.3 + 0.3 of terra at 2.
    assert.equal((await totals()).measured_usd, '3.8');
    const explained = await ask(`/exchanges/${id}/cost`);
    assert.equal(explained.total_usd, '3.8');

    await gateway.close();
    await begin(book(2, 5));
    const dry = await ask('/prices/reprice', { ...always, dry_run: true });
    assert.deepEqual([dry.changed, dry.left, dry.before_usd, dry.after_usd], [1, 0, '3.8', '8.975']);
    for (const changed of [1, 0]) assert.equal((await ask('/prices/reprice', always)).changed, changed);
    assert.equal((await totals()).measured_usd, '8.975');
    assert.equal((await ask(`/exchanges/${id}/cost`)).total_usd, '8.975');
    await gateway.close();
    await begin(book(1, 2));
    assert.equal((await ask('/prices/reprice', always)).changed, 1);
    assert.deepEqual([(await totals()).measured_usd, (await totals()).exchanges], ['3.8', 2]);
    const { windows, rollups } = await ask('/ledger/drift');
    assert.deepEqual([windows, rollups], [[], []]);
  });

  test('a response moves the budgets that its hold was taken from by the difference alone', async () => {
    await begin(book(1, 2));
    const { key, token } = await gateway.createKey({ name: 'bound' });
    const limits = [{ limit_usd: '100', kind: 'hard' }, { limit_tokens: 1_000_000 }];
    const budgets: string[] = [];
    for (const limit of limits)
      budgets.push((await ask('/budgets', { key_id: key.id, scope: 'key', window: 'total', ...limit })).id);
    const spent = async () => {
      const answers = [];
      for (const id of budgets) answers.push(await ask(`/budgets/${id}`));
      return [answers[0].spent_usd, answers[1].spent_tokens];
    };
    const ended = {
      object: 'response',
      status: 'completed',
      model: SOL,
      service_tier: 'default',
      usage: usage(1000, 100),
    };
    await startAndRead('/responses', 'resp_1', ended, token);
    assert.deepEqual(await spent(), ['0.0013', 1100]);
    await gateway.close();
    await begin(book(2, 2));
    assert.equal((await ask('/prices/reprice', always)).changed, 1);
    assert.deepEqual(await spent(), ['0.0026', 1100]);
    assert.equal((await totals()).measured_usd, '0.0026');
    const { windows, rollups } = await ask('/ledger/drift');
    assert.deepEqual([windows, rollups], [[], []]);
  });

  test('what lacks usage of a part stays partial at better prices, and what had no price gets one', async () => {
    await begin(book(1, 2));
    const silent = JSON.stringify({ response: { status_code: 200, body: { status: 'completed', model: SOL } } });
    const lines = [line('gpt-own', 1_000_000, 0), line(SOL, 100_000, 0), line(SOL, 100_000, 0), silent];
    upstream.answers.set('GET /v1/files/file-o/content', { body: lines.join('\n') });
    await startAndRead('/batches', 'batch_1', batch);
    assert.deepEqual([(await totals()).measured_usd, (await totals()).partial], ['0.1', 1]);
    await gateway.close();
    await begin(book(1, 5));
    assert.equal((await ask('/prices/reprice', always)).changed, 1);
    // A million tokens in one exchange: twice seven dollars, halved.
    assert.deepEqual([(await totals()).measured_usd, (await totals()).partial], ['7.1', 1]);
    assert.equal((await ask('/prices/reprice', always)).changed, 0);
  });

  test('the sum of a batch without its file, and a run of an eval, are repriced as sums: no exchange of them was long', async () => {
    await begin(book(1, 2));
    const total = { ...batch, output_file_id: null, model: TERRA, usage: usage(1_000_000, 0) };
    await startAndRead('/batches', 'batch_1', total);
    const per_model_usage = [SOL, TERRA].map((model_name) => ({
      model_name,
      prompt_tokens: 1_000_000,
      completion_tokens: 0,
      total_tokens: 1_000_000,
    }));
    await startAndRead('/evals/eval_1/runs', 'evalrun_1', { status: 'completed', model: SOL, per_model_usage });
    assert.equal((await totals()).measured_usd, '4');
    await gateway.close();
    await begin(book(3, 5));
    const { changed, left } = await ask('/prices/reprice', always);
    assert.deepEqual([changed, left, (await totals()).measured_usd], [2, 0, '10.5']);
  });
}

describe('late work on SQLite', () => tests(() => Promise.resolve(null)));

describe('late work on PostgreSQL', { skip: skipWithoutPostgres() }, () => {
  let server: TestPostgres;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server.close());
  tests(() => server.makeDatabase());
});
