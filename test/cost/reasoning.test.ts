// Reasoning that nobody saw is billed: where a reply breaks off, what its model's other replies had of it is in the estimate, and told.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { openReasoning } from '../../src/estimates/reasoning.ts';
import { startGateway } from '../support/gateway.ts';
import { type ScriptedReply, startRecorder } from '../support/recorder.ts';
import { chatTokens, tokens } from './priced-operations.ts';
import { type CostStand, asEvents, asJson, json, named, openCostStand, readingsOf, unnamed } from './stand.ts';

const CHAT = '/openai/v1/chat/completions';
const RESPONSES = '/openai/v1/responses';
const REASONS = 'gpt-6.1-sol';
const SNAPSHOT = 'gpt-6.1-sol-2026-09-29';
const PLAIN = 'gpt-4.1';

const toldOf = (model: string, output: number, reasoning: number): ScriptedReply =>
  asJson({ id: 'resp_1', model, usage: tokens(100, output, {}, { reasoning_tokens: reasoning }) });
const brokenOff = (model: string, ...words: readonly string[]): ScriptedReply => ({
  ...asEvents(
    named(
      { type: 'response.created', response: { id: 'resp_1', model, status: 'in_progress' } },
      ...words.map((delta) => ({ type: 'response.output_text.delta', item_id: 'm', delta })),
    ),
  ),
  ending: 'reset',
});
const asked = (model: string, more: object = {}) => ({
  method: 'POST',
  target: RESPONSES,
  ...json({ model, input: 'hello world', stream: true, ...more }),
});

describe('a reply that broke off', () => {
  let cost: CostStand;
  before(async () => {
    cost = await openCostStand();
    for (const [model, output, reasoning] of [
      [SNAPSHOT, 500, 200],
      [SNAPSHOT, 700, 600],
      [PLAIN, 300, 0],
    ] as const) {
      const request = asked(model === SNAPSHOT ? REASONS : model);
      const { record } = await cost.exchange(request, toldOf(model, output, reasoning));
      assert.equal(record.cost.state, 'priced');
      assert.ok(!('reasoning_margin' in record.usage));
    }
  });
  after(() => cost.close());

  const breakOff = async (request: Parameters<CostStand['exchange']>[0], answer: ScriptedReply) =>
    (await cost.exchange(request, answer)).record;

  /** At 10 dollars for a million of output, and 2 of input. */
  function assertMargin(record: ExchangeRecord, seen: number, margin: number): void {
    const { cost: told, usage } = record;
    assert.deepEqual([told.state, told.why, usage.source], ['estimated', 'usage_not_reported', 'estimated']);
    assert.equal(usage.reasoning_margin, margin);
    const { input_text: input, output_text: output } = readingsOf(record)!;
    assert.equal(output, String(seen + margin));
    assert.equal(told.lines.length, 2);
    assert.equal(BigInt(told.pico_usd!), BigInt(input!) * 2_000_000n + BigInt(output) * 10_000_000n);
  }

  test('of a model that reasons costs what was seen and the mean of its reasoning, once, and says how much that is', async () => {
    assertMargin(await breakOff(asked(REASONS), brokenOff(SNAPSHOT, 'hello', ' world')), 2, 400);
  });

  test('is known by the name that was asked for as well as by the one that answered', async () => {
    assertMargin(await breakOff(asked(REASONS), brokenOff(REASONS, 'hello', ' world')), 2, 400);
  });

  test('has no more of it than its request allows, with what was seen', async () => {
    assertMargin(await breakOff(asked(REASONS, { max_output_tokens: 100 }), brokenOff(SNAPSHOT, 'hello world')), 2, 98);
  });

  test('has as much for each of several replies', async () => {
    const request = {
      method: 'POST',
      target: CHAT,
      ...json({ model: REASONS, n: 3, messages: [{ role: 'user', content: 'hello world' }], stream: true }),
    };
    const chunks = unnamed({ id: 'c', model: SNAPSHOT, choices: [{ index: 0, delta: { content: 'hello world' } }] });
    assertMargin(await breakOff(request, { ...asEvents(chunks.slice(0, 1)), ending: 'reset' }), 2, 1200);
  });

  test('has none of a model that was never seen to reason, nor of one that nobody has seen, nor where none was asked for', async () => {
    for (const [model, more] of [
      [PLAIN, {}],
      ['gpt-6-luna', {}],
      [REASONS, { reasoning: { effort: 'none' } }],
    ] as const) {
      const record = await breakOff(asked(model, more), brokenOff(model, 'hello', ' world'));
      assert.deepEqual([record.cost.state, readingsOf(record)!['output_text']], ['estimated', '2']);
      assert.ok(!('reasoning_margin' in record.usage));
    }
  });

  test('has it also where the request alone asks for a text about reasoning that is not wanted', async () => {
    const input = 'Say "reasoning_effort":"none" and no more.';
    const record = await breakOff(asked(REASONS, { input }), brokenOff(SNAPSHOT, 'hello world'));
    assert.equal(record.usage.reasoning_margin, 400);
  });

  test('is no part of what is learnt', async () => {
    assertMargin(await breakOff(asked(REASONS), brokenOff(SNAPSHOT, 'hello world')), 2, 400);
  });
});

test('what was learnt is known after a restart, from the records', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'throughway-test-'));
  const upstream = await startRecorder();
  const askOnce = async (answer: ScriptedReply): Promise<ExchangeRecord> => {
    const gateway = await startGateway({ upstream: `${upstream.url}/v1`, dataDir });
    upstream.script = async (seen) => {
      await seen.whole();
      return answer;
    };
    const { target, body } = asked(REASONS);
    const headers = { authorization: `Bearer ${gateway.token}`, 'content-type': 'application/json' };
    const reply = await fetch(gateway.api + target, { method: 'POST', headers, body: body.toString() });
    await reply.text().catch(() => {});
    const listed = await gateway.adminFetch('/admin/v1/exchanges?limit=1');
    const { data } = (await listed.json()) as { data: ExchangeRecord[] };
    await gateway.close();
    return data[0]!;
  };
  try {
    const told = await askOnce(toldOf(SNAPSHOT, 500, 250));
    assert.equal(told.cost.state, 'priced');
    const broken = await askOnce(brokenOff(SNAPSHOT, 'hello world'));
    assert.deepEqual([broken.ending, broken.usage.reasoning_margin], ['upstream_broke', 250]);
  } finally {
    await upstream.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});

describe('reasoning that is to be expected', () => {
  const told = (reasoning: number, output: number) => tokens(10, output, {}, { reasoning_tokens: reasoning });
  const ask = { model: 'm', replies: 1, hasWritten: true, tookMs: 60_000 };

  test('where nothing was seen yet is no more than the model writes in the time that it had', () => {
    const reasoning = openReasoning();
    reasoning.learn({ models: ['m', 'm'], raw: told(900, 1000), replies: 1, tookMs: 10_000 });
    const early = (tookMs: number) => reasoning.expected({ ...ask, hasWritten: false, tookMs });
    assert.deepEqual([0, 100, 1000, 9000, 60_000].map(early), [0, 10, 100, 900, 900]);
    assert.equal(reasoning.expected({ ...ask, tookMs: 100 }), 900);
  });

  test('follows what a model does of late', () => {
    const reasoning = openReasoning();
    const learn = (count: number, tokensEach: number) => {
      for (let i = 0; i < count; i++)
        reasoning.learn({ models: ['m', 'm'], raw: told(tokensEach, 2000), replies: 1, tookMs: 1 });
    };
    learn(5000, 1000);
    assert.equal(reasoning.expected(ask), 1000);
    learn(5000, 0);
    assert.ok(reasoning.expected(ask) < 20, String(reasoning.expected(ask)));
  });

  test('is learnt of chats and responses, and never from what does not add up', () => {
    const reasoning = openReasoning();
    const chat = chatTokens(10, 100, {}, { reasoning_tokens: 60 });
    const odd = [
      null,
      'x',
      {},
      [chat],
      { output_tokens: 5 },
      told(9, 5),
      told(-1, 5),
      tokens(1, 5, {}, { reasoning_tokens: '3' }),
    ];
    for (const raw of odd) reasoning.learn({ models: ['m', null], raw, replies: 1, tookMs: 1 });
    assert.equal(reasoning.expected(ask), 0);
    reasoning.learn({ models: ['m', null], raw: chat, replies: 2, tookMs: 1 });
    assert.equal(reasoning.expected(ask), 30);
  });

  test('is remembered of so many models and no more', () => {
    const reasoning = openReasoning();
    for (let i = 0; i < 1000; i++) reasoning.learn({ models: [`m${i}`, null], raw: told(5, 9), replies: 1, tookMs: 1 });
    const known = Array.from({ length: 1000 }, (_, i) => reasoning.expected({ ...ask, model: `m${i}` }));
    assert.deepEqual([known.filter((each) => each > 0).length, known.at(-1)], [200, 5]);
  });
});
