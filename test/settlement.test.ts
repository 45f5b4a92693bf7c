// Work that is paid for later is entered once, on the key that started it, at the prices of the moment when it was started: whoever
// tells that it has ended, and however often.
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { NOTHING_SEEN, type ReplyFacts } from '../src/domain/facts.ts';
import { formatUsd } from '../src/domain/money.ts';
import type { WorkKind } from '../src/domain/pending-work.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { handClock } from './support/engines.ts';
import { eventually } from './support/eventually.ts';
import {
  type LateUpstream,
  type Replica,
  lateEntries,
  openReplica,
  startLateUpstream,
  startWork,
} from './support/late-work.ts';
import { aCaller, aCost, keyBudget, makeDir, record, told, writeRecord } from './support/ledger.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from './support/postgres.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const AT = Date.UTC(2026, 10, 22);
const GIB = 1024 ** 3;

let dir: ReturnType<typeof makeDir>;
let clock: ReturnType<typeof handClock>;
let upstream: LateUpstream;
let replica: Replica;
beforeEach(async () => {
  dir = makeDir();
  clock = handClock(AT);
  upstream = await startLateUpstream();
  replica = await openReplica({ dataDir: dir.path, clock, upstream });
});
afterEach(async () => {
  await replica.close();
  await upstream.close();
  dir.remove();
});

const E14_USAGE = {
  input_tokens: 10_000,
  input_tokens_details: { cached_tokens: 8000, cache_write_tokens: 1000 },
  output_tokens: 500,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 10_500,
};

function responseObject(id: string, status: string, more: object = {}): object {
  return { id, object: 'response', status, model: 'gpt-6.1-sol', usage: null, output: [], ...more };
}

function batchObject(id: string, status: string, more: object = {}): object {
  return { id, object: 'batch', endpoint: '/v1/responses', status, ...more };
}

function outputLine(n: number, model: string, usage: object, status = 200): string {
  const body = { id: `resp_${n}`, object: 'response', status: 'completed', model, usage };
  return `${JSON.stringify({ id: `line_${n}`, custom_id: `c${n}`, response: { status_code: status, body }, error: null })}\n`;
}

const tokens = (input: number, output: number) => ({
  input_tokens: input,
  output_tokens: output,
  total_tokens: input + output,
});

async function usdOf(of: Replica = replica): Promise<(string | null)[]> {
  return (await lateEntries(of)).map(({ amount }) => (amount === null ? null : formatUsd(amount)));
}

/** Turns the clock to the next look, and looks. */
async function lookAfter(ms: number): Promise<void> {
  clock.turn(ms);
  await replica.settlement.look();
}

async function assertNoDrift(): Promise<void> {
  const drift = await replica.ledger.findDrift();
  assert.deepEqual([drift.windows, drift.rollups], [[], []]);
}

const ALL = { groupBy: [], from: 0, to: AT + 400 * DAY, where: {} } as const;

test('a response in the background is charged when the poller finds it completed, and what was held for it is given back', async () => {
  const { id: budget } = await replica.ledger.budgets.create(keyBudget(10n ** 12n));
  const spent = async () => (await replica.ledger.budgets.find(budget))?.spent;
  const started = told(AT, aCaller(), { model: 'gpt-6.1-sol', tags: ['night'] });
  await startWork(replica, started, 'response', 'resp_1', { worst: 10n ** 11n, credential: 'second' });
  upstream.answers.set('/v1/responses/resp_1', { body: responseObject('resp_1', 'in_progress') });
  await lookAfter(14_999);
  assert.equal(upstream.asked.length, 0);
  await lookAfter(1);
  assert.equal(upstream.asked.length, 1);
  assert.deepEqual([await usdOf(), await spent()], [[], 10n ** 11n]);

  upstream.answers.set('/v1/responses/resp_1', { body: responseObject('resp_1', 'completed', { usage: E14_USAGE }) });
  await lookAfter(14_999);
  assert.equal(upstream.asked.length, 1);
  await lookAfter(1);
  assert.deepEqual(upstream.asked[1], {
    method: 'GET',
    path: '/v1/responses/resp_1',
    authorization: 'Bearer sk-second',
  });
  const [entry, ...others] = await lateEntries(replica);
  assert.equal(others.length, 0);
  assert.equal(formatUsd(entry!.amount!), '0.0103');
  assert.deepEqual(
    [entry!.settleKey, entry!.keyId, entry!.tags, entry!.state, entry!.exchangeId, entry!.model],
    ['resp:resp_1', 'key_one', ['night'], 'priced', started.id, 'gpt-6.1-sol'],
  );
  assert.equal(await spent(), entry!.amount);
  const { totals } = await replica.ledger.report(ALL);
  assert.deepEqual([totals.exchanges, totals.pending, totals.measured], [1, 0, entry!.amount]);
  await lookAfter(DAY);
  assert.equal(upstream.asked.length, 2);
  await assertNoDrift();
});

test('looks become rarer, from 15 seconds to 15 minutes', async () => {
  await startWork(replica, told(AT), 'response', 'resp_1');
  upstream.answers.set('/v1/responses/resp_1', { body: responseObject('resp_1', 'queued') });
  const waits: number[] = [];
  for (let last = 0, at = 0; waits.length < 10; at += 5000, clock.turn(5000)) {
    await replica.settlement.look();
    if (upstream.asked.length > waits.length) {
      waits.push((at - last) / 1000);
      last = at;
    }
  }
  assert.deepEqual(waits, [15, 15, 30, 60, 120, 240, 480, 900, 900, 900]);
});

test('what a client reads settles at once, ten reads settle once, and a late webhook or look adds nothing', async () => {
  await startWork(replica, told(AT), 'response', 'resp_1');
  upstream.answers.set('/v1/responses/resp_1', { body: responseObject('resp_1', 'completed', { usage: E14_USAGE }) });
  const facts: ReplyFacts = {
    ...NOTHING_SEEN,
    id: 'resp_1',
    status: 'completed',
    model: 'gpt-6.1-sol',
    usages: [E14_USAGE],
  };
  const tell = (more: Partial<ReplyFacts> = {}) =>
    replica.settlement.told({ kind: 'response', id: 'resp_1', isDeleted: false, facts: { ...facts, ...more } });
  tell({ status: 'in_progress', usages: [] });
  await replica.settlement.idle();
  assert.deepEqual(await usdOf(), []);
  for (let i = 0; i < 10; i++) tell();
  await Promise.all([replica.settlement.idle(), lookAfter(MINUTE)]);
  await lookAfter(HOUR);
  tell();
  await replica.settlement.idle();
  assert.deepEqual(await usdOf(), ['0.0103']);
  await assertNoDrift();
});

test('a client that reads a response which nobody started in the background causes nothing', async () => {
  const facts = { ...NOTHING_SEEN, id: 'resp_x', status: 'completed', model: 'gpt-6.1-sol', usages: [E14_USAGE] };
  replica.settlement.told({ kind: 'response', id: 'resp_x', isDeleted: false, facts });
  await replica.settlement.idle();
  assert.deepEqual([await usdOf(), upstream.asked], [[], []]);
});

test('a response that was cancelled without a word on usage is unpriced, never free, and its hold stands', async () => {
  const { id: budget } = await replica.ledger.budgets.create(keyBudget(10n ** 12n));
  await startWork(replica, told(AT), 'response', 'resp_1', { worst: 777n });
  upstream.answers.set('/v1/responses/resp_1', { body: responseObject('resp_1', 'cancelled') });
  await lookAfter(MINUTE);
  const [entry] = await lateEntries(replica);
  assert.deepEqual([entry?.state, entry?.amount, entry?.why], ['unpriced', null, 'no_usage']);
  assert.equal((await replica.ledger.budgets.find(budget))?.spent, 777n);
  const { totals } = await replica.ledger.report(ALL);
  assert.deepEqual([totals.pending, totals.unpriced], [0, 1]);
});

test('a batch is charged by the lines of its output file, at half price: example E16', async () => {
  await startWork(replica, told(AT), 'batch', 'batch_1');
  upstream.answers.set('/v1/batches/batch_1', {
    body: batchObject('batch_1', 'completed', { output_file_id: 'file-o' }),
  });
  upstream.answers.set('/v1/files/file-o/content', { body: outputLine(1, 'gpt-6.1-sol', E14_USAGE) });
  await lookAfter(MINUTE);
  const [entry] = await lateEntries(replica);
  assert.equal(formatUsd(entry!.amount!), '0.00515');
  assert.equal(entry!.settleKey, 'batch:batch_1');
  assert.deepEqual(
    entry!.lines[0]?.factors.map(({ reason }) => reason),
    ['mode:batch'],
  );
});

test('without its output file a batch is charged by its total: example E33', async () => {
  await startWork(replica, told(AT), 'batch', 'batch_1');
  const usage = tokens(1_000_000, 200_000);
  const more = { output_file_id: 'file-gone', model: 'gpt-6.1-terra', usage };
  upstream.answers.set('/v1/batches/batch_1', { body: batchObject('batch_1', 'completed', more) });
  await lookAfter(MINUTE);
  assert.deepEqual(await usdOf(), ['1']);
});

test('the lines of a batch are priced each by itself: models are told apart, long ones are long, failed ones cost nothing', async () => {
  await startWork(replica, told(AT), 'batch', 'batch_1');
  const more = { output_file_id: 'file-o', error_file_id: 'file-e' };
  upstream.answers.set('/v1/batches/batch_1', { body: batchObject('batch_1', 'completed', more) });
  const lines = [
    outputLine(1, 'gpt-6.1-sol', tokens(1000, 100)),
    outputLine(2, 'gpt-6.1-terra', tokens(2000, 200)),
    outputLine(3, 'gpt-6.1-sol', tokens(3000, 300)),
    outputLine(4, 'gpt-6.1-sol', tokens(272_001, 0)),
    outputLine(5, 'gpt-6.1-sol', tokens(9999, 9999), 500),
  ];
  upstream.answers.set('/v1/files/file-o/content', { body: lines.join('').trimEnd() });
  await lookAfter(MINUTE);
  const [entry] = await lateEntries(replica);
  // Sol is 2 and 10 for a million, terra 1 and 5, a long input twice as much; all of it halved.
  const pico =
    (4000n * 2_000_000n + 400n * 10_000_000n + 2000n * 1_000_000n + 200n * 5_000_000n + 272_001n * 4_000_000n) / 2n;
  assert.equal(entry!.amount, pico);
  assert.deepEqual(new Set(entry!.lines.map(({ model }) => model)), new Set(['gpt-6.1-sol', 'gpt-6.1-terra']));
  assert.deepEqual([entry!.tokensIn, entry!.tokensOut], [278_001, 600]);
  const { totals } = await replica.ledger.report(ALL);
  assert.deepEqual([totals.pending, totals.measured], [0, pico]);
  assert.ok(!upstream.asked.some(({ path }) => path.includes('file-e')));
});

for (const status of ['cancelled', 'expired']) {
  test(`a batch that ${status} is charged for the part that was done`, async () => {
    await startWork(replica, told(AT), 'batch', 'batch_1');
    upstream.answers.set('/v1/batches/batch_1', { body: batchObject('batch_1', status, { output_file_id: 'file-o' }) });
    upstream.answers.set('/v1/files/file-o/content', { body: outputLine(1, 'gpt-6.1-sol', tokens(1000, 0)) });
    await lookAfter(MINUTE);
    assert.deepEqual(await usdOf(), ['0.001']);
  });
}

test('a batch that failed before it began cost nothing', async () => {
  await startWork(replica, told(AT), 'batch', 'batch_1');
  upstream.answers.set('/v1/batches/batch_1', { body: batchObject('batch_1', 'failed', { output_file_id: null }) });
  await lookAfter(MINUTE);
  const [entry] = await lateEntries(replica);
  assert.deepEqual([entry?.state, entry?.amount], ['free', 0n]);
});

test('an output file that breaks off is no bill: it is read again from its beginning', async () => {
  await startWork(replica, told(AT), 'batch', 'batch_1');
  const body = Array.from({ length: 50 }, (_, i) => outputLine(i, 'gpt-6.1-sol', tokens(1000, 0))).join('');
  upstream.answers.set('/v1/batches/batch_1', {
    body: batchObject('batch_1', 'completed', { output_file_id: 'file-o' }),
  });
  upstream.answers.set('/v1/files/file-o/content', { body, isCut: true });
  await lookAfter(MINUTE);
  assert.deepEqual(await usdOf(), []);
  upstream.answers.set('/v1/files/file-o/content', { body });
  await lookAfter(MINUTE);
  assert.deepEqual(await usdOf(), ['0.05']);
});

test('fine-tuning is charged by trained tokens, and by seconds where it was reinforcement: example E32', async () => {
  await startWork(replica, told(AT), 'fine_tuning_job', 'ftjob_1');
  await startWork(replica, told(AT), 'fine_tuning_job', 'ftjob_2');
  await startWork(replica, told(AT), 'fine_tuning_job', 'ftjob_3');
  const job = { object: 'fine_tuning.job', status: 'succeeded' };
  upstream.answers.set('/v1/fine_tuning/jobs/ftjob_1', {
    body: { ...job, id: 'ftjob_1', model: 'gpt-4o-mini-2024-07-18', trained_tokens: 1_200_000 },
  });
  const reinforced = { method: { type: 'reinforcement' }, created_at: 1000, finished_at: 10_000, trained_tokens: 5 };
  upstream.answers.set('/v1/fine_tuning/jobs/ftjob_2', {
    body: { ...job, ...reinforced, id: 'ftjob_2', model: 'o4-mini-2025-04-16' },
  });
  upstream.answers.set('/v1/fine_tuning/jobs/ftjob_2/events?limit=100', {
    body: {
      data: [
        { message: 'The job has successfully completed', created_at: 10_000 },
        { message: 'Fine-tuning job started', created_at: 4600 },
      ],
    },
  });
  upstream.answers.set('/v1/fine_tuning/jobs/ftjob_3', {
    body: { ...job, id: 'ftjob_3', model: 'gpt-4o-mini', status: 'running', trained_tokens: null },
  });
  await lookAfter(MINUTE);
  assert.deepEqual(await usdOf(), ['3.6', '150']);
});

test('a fine-tuning job that was cancelled is charged for what it had trained; of one that tells of nothing nothing is known', async () => {
  const job = (id: string, trained_tokens: number | null) => ({
    id,
    object: 'fine_tuning.job',
    status: 'cancelled',
    model: 'gpt-4o-mini-2024-07-18',
    trained_tokens,
  });
  for (const [id, trained] of [
    ['ftjob_1', 100_000],
    ['ftjob_2', null],
  ] as const) {
    await startWork(replica, told(AT), 'fine_tuning_job', id);
    upstream.answers.set(`/v1/fine_tuning/jobs/${id}`, { body: job(id, trained) });
  }
  await lookAfter(MINUTE);
  const entries = await lateEntries(replica);
  assert.deepEqual(
    entries.map(({ state, amount, why }) => [state, amount === null ? null : formatUsd(amount), why]),
    [
      ['priced', '0.3', null],
      ['unpriced', null, 'no_usage'],
    ],
  );
});

test('what work cost is dated to the day on which it was learnt, and says when the work was done', async () => {
  await startWork(replica, told(AT + 10 * HOUR), 'batch', 'batch_1');
  upstream.answers.set('/v1/batches/batch_1', { body: batchObject('batch_1', 'in_progress') });
  await lookAfter(DAY);
  const ended = { output_file_id: 'file-o' };
  upstream.answers.set('/v1/batches/batch_1', { body: batchObject('batch_1', 'completed', ended) });
  upstream.answers.set('/v1/files/file-o/content', { body: outputLine(1, 'gpt-6.1-sol', E14_USAGE) });
  await lookAfter(DAY);
  const [entry] = await lateEntries(replica);
  assert.deepEqual([entry?.at, entry?.servicePeriod], [AT + 2 * DAY, { from: AT + 10 * HOUR, to: AT + 2 * DAY }]);
  const { rows } = await replica.ledger.report({ ...ALL, groupBy: ['day'] });
  assert.deepEqual(
    rows.map(({ exchanges, measured, pending }) => [exchanges, formatUsd(measured), pending]),
    [
      [1, '0', 0],
      [0, '0.00515', 0],
    ],
  );
});

test('a video is charged by its seconds: example E34', async () => {
  const started = told(Date.UTC(2026, 7, 1), aCaller(), { model: 'sora-2' });
  await startWork(replica, started, 'video', 'video_1');
  const body = { id: 'video_1', object: 'video', status: 'completed', model: 'sora-2', seconds: '4', size: '1280x720' };
  upstream.answers.set('/v1/videos/video_1', { body });
  await lookAfter(0);
  assert.deepEqual(await usdOf(), ['0.4']);
});

test('a run of an eval is charged by each of its models', async () => {
  await startWork(replica, told(AT), 'eval_run', 'evalrun_1');
  const used = (model_name: string, prompt_tokens: number, completion_tokens: number) => ({
    model_name,
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
  });
  const per_model_usage = [used('gpt-6.1-sol', 1_000_000, 0), used('gpt-6.1-terra', 0, 1_000_000)];
  const body = { id: 'evalrun_1', object: 'eval.run', status: 'completed', model: 'gpt-6.1-sol', per_model_usage };
  upstream.answers.set('/v1/evals/eval_1/runs/evalrun_1', { body });
  await lookAfter(MINUTE);
  assert.deepEqual(await usdOf(), ['7']);
});

test('a vector store of 3 GiB costs 0.20 for a day, whoever else stores nothing: example E31', async () => {
  await startWork(replica, told(AT), 'vector_store', 'vs_1');
  const body = { id: 'vs_1', object: 'vector_store', status: 'completed', usage_bytes: 3 * GIB };
  upstream.answers.set('/v1/vector_stores/vs_1', { body });
  await lookAfter(15_000);
  for (let hour = 1; hour <= 24; hour++) await lookAfter(hour === 1 ? HOUR - 15_000 : HOUR);
  const [entry, ...others] = await lateEntries(replica);
  assert.equal(others.length, 0);
  assert.deepEqual([entry!.settleKey, formatUsd(entry!.amount!)], ['vs:vs_1:2026-11-22', '0.2']);
  assert.deepEqual(entry!.servicePeriod, { from: AT, to: AT + DAY });
  // Half a day more, then the client takes it away.
  for (let hour = 0; hour < 12; hour++) await lookAfter(HOUR);
  replica.settlement.told({ kind: 'vector_store', id: 'vs_1', isDeleted: true, facts: NOTHING_SEEN });
  await replica.settlement.idle();
  await lookAfter(10 * DAY);
  assert.deepEqual(await usdOf(), ['0.2', '0.1']);
  const { totals } = await replica.ledger.report(ALL);
  assert.deepEqual([totals.exchanges, totals.pending], [1, 0]);
  await assertNoDrift();
});

test('what is free of storage is shared by all stores of the account, by their size', async () => {
  await startWork(replica, told(AT), 'vector_store', 'vs_1');
  await startWork(replica, told(AT, aCaller('two', 'blue')), 'vector_store', 'vs_2');
  const store = (id: string, gib: number) => ({
    id,
    object: 'vector_store',
    status: 'completed',
    usage_bytes: gib * GIB,
  });
  upstream.answers.set('/v1/vector_stores/vs_1', { body: store('vs_1', 3) });
  upstream.answers.set('/v1/vector_stores/vs_2', { body: store('vs_2', 1) });
  await lookAfter(15_000);
  for (let hour = 1; hour <= 24; hour++) await lookAfter(hour === 1 ? HOUR - 15_000 : HOUR);
  const entries = await lateEntries(replica);
  const sum = entries.reduce((all, { amount }) => all + (amount ?? 0n), 0n);
  // Until both were looked at, each had all that is free: 15 seconds.
  assert.ok(sum > 299_000_000_000n && sum <= 300_000_000_000n, formatUsd(sum));
  assert.deepEqual(
    entries.map(({ teamId }) => teamId),
    ['team_red', 'team_blue'],
  );
});

test('a store within what is free costs nothing, and is pending no more when its first day is over', async () => {
  await startWork(replica, told(AT), 'vector_store', 'vs_1');
  const body = { id: 'vs_1', object: 'vector_store', status: 'completed', usage_bytes: GIB };
  upstream.answers.set('/v1/vector_stores/vs_1', { body });
  for (let hour = 0; hour < 72; hour++) await lookAfter(HOUR);
  assert.deepEqual(await usdOf(), ['0']);
  assert.equal((await replica.ledger.report(ALL)).totals.pending, 0);
});

test('a store that expired is counted to the moment at which it did, and no further', async () => {
  await startWork(replica, told(AT), 'vector_store', 'vs_1');
  const store = { id: 'vs_1', object: 'vector_store', status: 'completed', usage_bytes: 3 * GIB, expires_at: null };
  upstream.answers.set('/v1/vector_stores/vs_1', { body: store });
  await lookAfter(15_000);
  for (let hour = 1; hour <= 24; hour++) await lookAfter(hour === 1 ? HOUR - 15_000 : HOUR);
  const expires_at = (AT + 36 * HOUR) / 1000;
  upstream.answers.set('/v1/vector_stores/vs_1', { body: { ...store, status: 'expired', expires_at } });
  await lookAfter(20 * HOUR);
  await lookAfter(30 * DAY);
  const entries = await lateEntries(replica);
  assert.deepEqual(
    entries.map(({ settleKey, amount }) => [settleKey, formatUsd(amount!)]),
    [
      ['vs:vs_1:2026-11-22', '0.2'],
      ['vs:vs_1:2026-11-23', '0.1'],
    ],
  );
  assert.deepEqual(entries[1]?.servicePeriod, { from: AT + DAY, to: AT + 36 * HOUR });
});

test('a container that went before anybody saw it costs the least that one is billed, and says that this is an estimate', async () => {
  await startWork(replica, told(AT), 'container', 'cntr_1');
  await lookAfter(3 * DAY);
  const [entry] = await lateEntries(replica);
  assert.deepEqual([entry?.state, formatUsd(entry!.amount!)], ['estimated', '0.0075']);
});

test('a container is charged once for its session, five minutes at least', async () => {
  await startWork(replica, told(AT), 'container', 'cntr_1');
  await startWork(replica, told(AT), 'container', 'cntr_2');
  const at = AT / 1000;
  const box = (id: string, status: string, activeSeconds: number, memory_limit: string) => ({
    id,
    object: 'container',
    status,
    created_at: at,
    last_active_at: at + activeSeconds,
    expires_after: { anchor: 'last_active_at', minutes: 20 },
    memory_limit,
  });
  upstream.answers.set('/v1/containers/cntr_1', { body: box('cntr_1', 'running', 10, '4g') });
  upstream.answers.set('/v1/containers/cntr_2', { body: box('cntr_2', 'running', 60, '1g') });
  await lookAfter(15_000);
  assert.deepEqual(await usdOf(), []);
  upstream.answers.set('/v1/containers/cntr_1', { body: box('cntr_1', 'expired', 600, '4g') });
  // What is gone is charged by what was seen of it last.
  upstream.answers.delete('/v1/containers/cntr_2');
  await lookAfter(HOUR);
  const entries = await lateEntries(replica);
  assert.deepEqual(
    entries.map(({ settleKey }) => settleKey),
    [`cntr:cntr_1:${at}`, `cntr:cntr_2:${at}`],
  );
  assert.deepEqual(await usdOf(), ['0.06', '0.0075']);
});

test('a container that a reply tells of is charged beside that reply, once however many replies tell of it', async () => {
  const first = told(AT, aCaller());
  const objects = [
    { kind: 'response', id: 'resp_1' },
    { kind: 'container', id: 'cntr_1' },
  ];
  const { id: budget } = await replica.ledger.budgets.create(keyBudget(10n ** 13n, { window: 'day' }));
  await writeRecord(replica.store.spool, { ...record(first, aCost(500n)), objects });
  await writeRecord(replica.store.spool, { ...record(told(AT, aCaller('two')), aCost(500n)), objects });
  await replica.ledger.catchUp();
  const created_at = AT / 1000;
  const body = { id: 'cntr_1', status: 'expired', created_at, last_active_at: created_at + 1200, memory_limit: '1g' };
  upstream.answers.set('/v1/containers/cntr_1', { body });
  await lookAfter(MINUTE);
  const [entry, ...others] = await lateEntries(replica);
  assert.equal(others.length, 0);
  assert.deepEqual([formatUsd(entry!.amount!), entry!.keyId, entry!.resolves], ['0.03', 'key_one', null]);
  assert.ok(await replica.ledger.budgets.find(budget));
  await assertNoDrift();
});

test('work is priced as of its start, though prices changed before it ended', async () => {
  const before = told(Date.UTC(2026, 6, 29), aCaller(), { model: 'gpt-5.6-luna' });
  await startWork(replica, before, 'response', 'resp_1');
  const usage = tokens(1_000_000, 0);
  const body = responseObject('resp_1', 'completed', { model: 'gpt-5.6-luna', usage });
  upstream.answers.set('/v1/responses/resp_1', { body });
  await lookAfter(0);
  // Long context doubles it; it was 1 dollar for a million before the cut of 30 July, and 0.2 after.
  assert.deepEqual(await usdOf(), ['2']);
});

test('work that nobody learns the cost of in its time is unsettled, loudly, and a client that reads it later still settles it', async () => {
  const errors: string[] = [];
  await replica.close();
  const log = { debug() {}, info() {}, warn() {}, error: (event: string) => errors.push(event) };
  replica = await openReplica({ dataDir: dir.path, clock, upstream, log });
  await startWork(replica, told(AT), 'response', 'resp_1');
  upstream.answers.set('/v1/responses/resp_1', { status: 500, body: {} });
  for (let at = 0; at <= DAY; at += 15 * MINUTE) await lookAfter(15 * MINUTE);
  assert.equal(errors.length, 1);
  assert.deepEqual(await replica.store.work.count(), [{ kind: 'response', state: 'unsettled', count: 1 }]);
  assert.deepEqual([await usdOf(), (await replica.ledger.report(ALL)).totals.pending], [[], 1]);
  const facts = { ...NOTHING_SEEN, status: 'completed', model: 'gpt-6.1-sol', usages: [E14_USAGE] };
  replica.settlement.told({ kind: 'response', id: 'resp_1', isDeleted: false, facts });
  await replica.settlement.idle();
  assert.deepEqual(await usdOf(), ['0.0103']);
  assert.deepEqual(await replica.store.work.count(), [{ kind: 'response', state: 'settled', count: 1 }]);
});

test('a process that dies between reading and entering leaves work that the next one settles, once', async () => {
  for (const dies of ['before', 'after'] as const) {
    const id = `batch_${dies}`;
    upstream.answers.set(`/v1/batches/${id}`, { body: batchObject(id, 'completed', { output_file_id: 'file-o' }) });
    upstream.answers.set('/v1/files/file-o/content', { body: outputLine(1, 'gpt-6.1-sol', E14_USAGE) });
    await replica.close();
    let reached = () => {};
    const isReached = new Promise<void>((resolve) => (reached = resolve));
    const ledgerOf = (ledger: Ledger) => ({
      catchUp: () => ledger.catchUp(),
      async settleLate(late: Parameters<Ledger['settleLate']>[0]) {
        if (dies === 'after') await ledger.settleLate(late);
        reached();
        throw new Error('dead');
      },
    });
    replica = await openReplica({ dataDir: dir.path, clock, upstream, ledgerOf });
    await startWork(replica, told(clock.now()), 'batch', id);
    await lookAfter(MINUTE).catch(() => {});
    await isReached;
    await replica.close();
    replica = await openReplica({ dataDir: dir.path, clock, upstream });
    // Its lease stands for a while.
    await lookAfter(1000);
    await lookAfter(2 * MINUTE);
    await lookAfter(HOUR);
    const mine = (await lateEntries(replica)).filter(({ settleKey }) => settleKey === `batch:${id}`);
    assert.deepEqual(
      mine.map(({ amount }) => formatUsd(amount!)),
      ['0.00515'],
    );
  }
  const counts = await replica.store.work.count();
  assert.deepEqual(counts, [{ kind: 'batch', state: 'settled', count: 2 }]);
  await assertNoDrift();
});

test('a month after work was settled it is forgotten, and whoever tells of it then causes nothing', async () => {
  await startWork(replica, told(AT), 'response', 'resp_1');
  await startWork(replica, told(AT), 'container', 'cntr_1');
  upstream.answers.set('/v1/responses/resp_1', { body: responseObject('resp_1', 'completed', { usage: E14_USAGE }) });
  const at = AT / 1000;
  const box = { id: 'cntr_1', status: 'expired', created_at: at, last_active_at: at + 60, memory_limit: '1g' };
  upstream.answers.set('/v1/containers/cntr_1', { body: box });
  await lookAfter(MINUTE);
  const settled = await usdOf();
  assert.equal(settled.length, 2);
  await lookAfter(30 * DAY - 1);
  assert.equal((await replica.store.work.count()).length, 2);
  await lookAfter(HOUR);
  assert.deepEqual(await replica.store.work.count(), []);
  const facts = { ...NOTHING_SEEN, status: 'completed', model: 'gpt-6.1-sol', usages: [E14_USAGE] };
  const asked = upstream.asked.length;
  await replica.close();
  replica = await openReplica({ dataDir: dir.path, clock, upstream });
  replica.settlement.told({ kind: 'response', id: 'resp_1', isDeleted: false, facts });
  replica.settlement.told({ kind: 'container', id: 'cntr_1', isDeleted: true, facts: NOTHING_SEEN });
  await replica.settlement.idle();
  await replica.ledger.replay();
  await lookAfter(HOUR);
  assert.deepEqual([await usdOf(), upstream.asked.length], [settled, asked]);
});

test('an estimate that the upstream corrects is corrected once, by whichever process lives to do it', async () => {
  const { id: budget } = await replica.ledger.budgets.create(keyBudget(10n ** 12n));
  await startWork(replica, told(AT), 'response', 'resp_1', { worst: 10n ** 11n, guess: 10n ** 9n });
  assert.equal((await replica.ledger.report(ALL)).totals.estimated, 10n ** 9n);
  upstream.answers.set('/v1/responses/resp_1', { body: responseObject('resp_1', 'completed', { usage: E14_USAGE }) });
  for (const dies of ['before', 'after'] as const) {
    await replica.close();
    let reached = () => {};
    const isReached = new Promise<void>((resolve) => (reached = resolve));
    const ledgerOf = (ledger: Ledger) => ({
      catchUp: () => ledger.catchUp(),
      async settleLate(late: Parameters<Ledger['settleLate']>[0]) {
        if (dies === 'after') await ledger.settleLate(late);
        reached();
        throw new Error('dead');
      },
    });
    replica = await openReplica({ dataDir: dir.path, clock, upstream, ledgerOf });
    await lookAfter(HOUR).catch(() => {});
    await isReached;
  }
  await replica.close();
  replica = await openReplica({ dataDir: dir.path, clock, upstream });
  await lookAfter(HOUR);
  const { totals } = await replica.ledger.report(ALL);
  assert.deepEqual(
    [totals.exchanges, totals.estimated, formatUsd(totals.measured), (await lateEntries(replica)).length],
    [1, 0n, '0.0103', 2],
  );
  assert.equal((await replica.ledger.budgets.find(budget))?.spent, totals.measured);
  assert.deepEqual(await replica.store.work.count(), [{ kind: 'response', state: 'settled', count: 1 }]);
  await assertNoDrift();
});

test('an estimate whose end nobody learns stands, and is no failure', async () => {
  const errors: string[] = [];
  await replica.close();
  const log = { debug() {}, info() {}, warn() {}, error: (event: string) => errors.push(event) };
  replica = await openReplica({ dataDir: dir.path, clock, upstream, log });
  await startWork(replica, told(AT), 'response', 'resp_1', { guess: 5n });
  upstream.answers.set('/v1/responses/resp_1', { body: responseObject('resp_1', 'in_progress') });
  for (let at = 0; at <= DAY; at += 15 * MINUTE) await lookAfter(15 * MINUTE);
  const { totals } = await replica.ledger.report(ALL);
  assert.deepEqual([totals.estimated, totals.measured, errors], [5n, 0n, []]);
  assert.deepEqual(await replica.store.work.count(), [{ kind: 'response', state: 'settled', count: 1 }]);
});

test('a store that was lost is made again from the spool with all that was entered late, and nothing is charged twice', async () => {
  const { id: budget } = await replica.ledger.budgets.create(keyBudget(10n ** 13n));
  await startWork(replica, told(AT), 'response', 'resp_1', { worst: 10n ** 11n });
  await startWork(replica, told(AT), 'response', 'resp_2', { worst: 10n ** 11n, guess: 10n ** 9n });
  await startWork(replica, told(AT), 'batch', 'batch_1');
  await startWork(replica, told(AT), 'container', 'cntr_1');
  await startWork(replica, told(AT), 'vector_store', 'vs_1');
  for (const id of ['resp_1', 'resp_2'])
    upstream.answers.set(`/v1/responses/${id}`, { body: responseObject(id, 'completed', { usage: E14_USAGE }) });
  const ended = { output_file_id: 'file-o' };
  upstream.answers.set('/v1/batches/batch_1', { body: batchObject('batch_1', 'completed', ended) });
  upstream.answers.set('/v1/files/file-o/content', { body: outputLine(1, 'gpt-6.1-sol', E14_USAGE) });
  const created_at = AT / 1000 + 1;
  const box = { id: 'cntr_1', status: 'expired', created_at, last_active_at: created_at + 600, memory_limit: '1g' };
  upstream.answers.set('/v1/containers/cntr_1', { body: box });
  const shelf = { id: 'vs_1', object: 'vector_store', status: 'completed', usage_bytes: 3 * GIB };
  upstream.answers.set('/v1/vector_stores/vs_1', { body: shelf });
  for (let hour = 0; hour < 25; hour++) await lookAfter(HOUR);
  await startWork(replica, told(clock.now()), 'response', 'resp_3');
  const entry = await replica.ledger.findEntry('batch:batch_1');
  const standing = await replica.ledger.standingOf(entry!);
  assert.equal(await replica.ledger.correct([{ standing, cost: aCost(10n ** 9n) }]), 1);
  const report = { ...ALL, groupBy: ['key', 'day'] } as const;
  const before = await replica.ledger.report(report);
  const [entries, windows] = [await lateEntries(replica), await replica.store.ledger.windowsOf(budget, '', 0)];
  assert.ok(entries.length >= 7, String(entries.length));
  await replica.close();

  const other = makeDir();
  cpSync(join(dir.path, 'spool.db'), join(other.path, 'spool.db'));
  dir.remove();
  dir = other;
  // What is gone by now must not be charged by what nobody sees.
  upstream.answers.clear();
  upstream.answers.set('/v1/vector_stores/vs_1', { body: shelf });
  replica = await openReplica({ dataDir: dir.path, clock, upstream });
  const hasAll = async () => {
    assert.deepEqual(await replica.ledger.report(report), before);
    assert.deepEqual(await lateEntries(replica), entries);
    assert.deepEqual(await replica.store.ledger.windowsOf(budget, '', 0), windows);
    await assertNoDrift();
  };
  await hasAll();
  await lookAfter(MINUTE);
  await hasAll();
  upstream.answers.set('/v1/responses/resp_3', { body: responseObject('resp_3', 'completed', { usage: E14_USAGE }) });
  await lookAfter(MINUTE);
  assert.equal((await lateEntries(replica)).length, entries.length + 1);
});

test('the reads of the gateway itself leave records that belong to nobody and cost nothing', async () => {
  const started = told(AT);
  await startWork(replica, started, 'response', 'resp_1');
  upstream.answers.set('/v1/responses/resp_1', { body: responseObject('resp_1', 'queued') });
  await lookAfter(MINUTE);
  await eventually('the read has its record', () => replica.store.spool.lastSeq() === 2);
  const { data } = await replica.store.spool.listRecords({ limit: 10, cursor: null }, {});
  const [read] = data;
  assert.deepEqual(
    [data.length, read?.team_id, read?.key_id, read?.path, read?.endpoint, read?.parent_id, read?.cost.state],
    [2, null, null, '/v1/responses/resp_1', '/v1/responses/{response_id}', started.id, 'free'],
  );
  await replica.ledger.catchUp();
  assert.equal((await replica.ledger.report(ALL)).totals.exchanges, 1);
});

test('of work of every kind nothing is looked up again once it is settled', async () => {
  const kinds: WorkKind[] = ['response', 'batch', 'fine_tuning_job', 'video', 'eval_run'];
  for (const kind of kinds) await startWork(replica, told(AT), kind, `${kind}_1`);
  const failed = { status: 'failed', model: 'gpt-6.1-sol' };
  upstream.answers.set('/v1/responses/response_1', { body: failed });
  upstream.answers.set('/v1/batches/batch_1', { body: failed });
  upstream.answers.set('/v1/fine_tuning/jobs/fine_tuning_job_1', { body: failed });
  upstream.answers.set('/v1/videos/video_1', { body: failed });
  upstream.answers.set('/v1/evals/eval_1/runs/eval_run_1', { body: failed });
  for (let i = 0; i < 5; i++) await lookAfter(HOUR);
  assert.equal(upstream.asked.length, kinds.length);
  assert.equal((await replica.ledger.report(ALL)).totals.pending, 0);
});

describe('replicas on one PostgreSQL', { skip: skipWithoutPostgres() }, () => {
  let server: TestPostgres;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server.close());
  let dirs: ReturnType<typeof makeDir>[];
  let replicas: Replica[];
  afterEach(async () => {
    for (const each of replicas) await each.close();
    for (const each of dirs) each.remove();
  });

  test('a database that was lost has late work again from the replicas that entered it', async () => {
    dirs = [makeDir()];
    const openOne = async () =>
      openReplica({ dataDir: dirs[0]!.path, clock, upstream, databaseUrl: await server.makeDatabase() });
    let one = await openOne();
    replicas = [one];
    await startWork(one, told(AT), 'response', 'resp_1');
    await startWork(one, told(AT), 'response', 'resp_2', { guess: 10n ** 9n });
    for (const id of ['resp_1', 'resp_2'])
      upstream.answers.set(`/v1/responses/${id}`, { body: responseObject(id, 'completed', { usage: E14_USAGE }) });
    clock.turn(MINUTE);
    await one.settlement.look();
    const entries = await lateEntries(one);
    assert.equal(entries.length, 3);
    await one.close();
    one = await openOne();
    replicas = [one];
    assert.deepEqual(await lateEntries(one), entries);
    await one.ledger.replay();
    clock.turn(HOUR);
    await one.settlement.look();
    assert.deepEqual(await lateEntries(one), entries);
    const { totals } = await one.ledger.report(ALL);
    assert.deepEqual(
      [totals.exchanges, totals.pending, totals.estimated, formatUsd(totals.measured)],
      [2, 0, 0n, '0.0206'],
    );
  });

  test('whoever of them hears of an end first, and however many hear of it at once, work is entered once', async () => {
    const databaseUrl = await server.makeDatabase();
    dirs = [makeDir(), makeDir()];
    const guesses = 4;
    const openOne = (dir: (typeof dirs)[number]) => openReplica({ dataDir: dir.path, clock, upstream, databaseUrl });
    const one = await openOne(dirs[0]!);
    const { id: budget } = await one.ledger.budgets.create(keyBudget(10n ** 13n));
    replicas = [one, await openOne(dirs[1]!)];
    const works = 12;
    for (let i = 0; i < works; i++) {
      const kind = i % 2 === 0 ? 'batch' : 'response';
      const id = `${kind}_${i}`;
      await startWork(replicas[i % 3 === 0 ? 1 : 0]!, told(AT), kind, id, { worst: 10n ** 11n });
      upstream.answers.set(`/v1/batches/${id}`, { body: batchObject(id, 'completed', { output_file_id: 'file-o' }) });
      upstream.answers.set(`/v1/responses/${id}`, { body: responseObject(id, 'completed', { usage: E14_USAGE }) });
    }
    upstream.answers.set('/v1/files/file-o/content', { body: outputLine(1, 'gpt-6.1-sol', E14_USAGE) });
    for (let i = 0; i < guesses; i++) {
      const id = `guess_${i}`;
      await startWork(replicas[i % 2]!, told(AT), 'response', id, { worst: 10n ** 11n, guess: 10n ** 9n });
      upstream.answers.set(`/v1/responses/${id}`, { body: responseObject(id, 'completed', { usage: E14_USAGE }) });
    }
    clock.turn(MINUTE);
    const facts = { ...NOTHING_SEEN, status: 'completed', model: 'gpt-6.1-sol', usages: [E14_USAGE] };
    for (const { settlement } of replicas) {
      for (let i = 0; i < guesses; i++)
        settlement.told({ kind: 'response', id: `guess_${i}`, isDeleted: false, facts });
      for (let i = 0; i < works; i++) {
        const kind = i % 2 === 0 ? 'batch' : 'response';
        for (let n = 0; n < 3; n++) settlement.told({ kind, id: `${kind}_${i}`, isDeleted: false, facts });
      }
    }
    await Promise.all(replicas.flatMap(({ settlement }) => [settlement.look(), settlement.look(), settlement.idle()]));
    clock.turn(HOUR);
    await Promise.all(replicas.map(({ settlement }) => settlement.look()));
    const entries = await lateEntries(one);
    // Of each estimate one entry that says better, and one that takes it back.
    assert.equal(entries.length, works + 2 * guesses);
    const sum = entries.reduce((all, { amount, state }) => (state === 'estimated' ? all : all + amount!), 0n);
    assert.equal(formatUsd(sum), '0.1339');
    assert.equal((await one.ledger.budgets.find(budget))?.spent, sum);
    const { totals } = await one.ledger.report(ALL);
    assert.deepEqual(
      [totals.exchanges, totals.pending, totals.measured, totals.estimated],
      [works + guesses, 0, sum, 0n],
    );
    const drift = await one.ledger.findDrift();
    assert.deepEqual([drift.windows, drift.rollups], [[], []]);
    const counts = await one.store.work.count();
    assert.deepEqual(new Set(counts.map(({ state }) => state)), new Set(['settled']));
  });
});
