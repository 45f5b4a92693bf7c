// Single pieces of the hot path, in CPU time of this thread. A new case is one entry of `cases`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { resolveConfig } from '../src/config/load.ts';
import { SYSTEM } from '../src/domain/audit.ts';
import { systemClock } from '../src/domain/clock.ts';
import type { Admission, Arrival, Observation } from '../src/domain/exchange.ts';
import { NOTHING_SEEN } from '../src/domain/facts.ts';
import { newId } from '../src/domain/id.ts';
import type { Caller } from '../src/domain/key.ts';
import { NO_PERMITS, UNLIMITED } from '../src/domain/limits.ts';
import type { PriceQuery } from '../src/domain/price.ts';
import { downstreamHead, upstreamHeaders } from '../src/http/headers.ts';
import { upstreamTarget } from '../src/http/target.ts';
import { openKeys } from '../src/keys/keys.ts';
import { openLimits } from '../src/limits/limits.ts';
import { ENDPOINTS } from '../src/openai/endpoint-rows.ts';
import { findEndpoint } from '../src/openai/endpoints.ts';
import { buildPrices } from '../src/openai/prices.ts';
import { scanRequest } from '../src/openai/request.ts';
import { shippedPrices } from '../src/openai/shipped-prices.ts';
import { readUsage } from '../src/openai/usage.ts';
import { observeReply } from '../src/proxy/observe.ts';
import { intentOf } from '../src/proxy/records.ts';
import { recordOf, settle, usageOf } from '../src/proxy/settle.ts';
import { UsageStrip } from '../src/proxy/usage-strip.ts';
import { openStore } from '../src/store/store.ts';
import { openLog } from '../src/telemetry/log.ts';
import { chatRequest } from './fixtures.ts';
import { formatTable } from './report.ts';
import { median } from './statistics.ts';

type Operation = (turn: number) => unknown;

interface Case {
  readonly name: string;
  /** Operations that one call stands for. */
  readonly batch?: number;
  readonly operation: Operation;
}

export interface MicroResult {
  readonly name: string;
  readonly us: number;
}

const ENDPOINT = '/v1/chat/completions';
const BATCH = 16;
const SAMPLES = 5;
const SAMPLE_US = 100_000;
const nothingReturnsThis = Symbol('nothing returns this');

function rawRequestHeaders(token: string): string[] {
  const request = chatRequest('/openai/v1', [['authorization', `Bearer ${token}`]]).toString('latin1');
  const lines = request.slice(0, request.indexOf('\r\n\r\n')).split('\r\n').slice(1);
  return lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]);
}

const requestBody = ((request) => request.subarray(request.indexOf('\r\n\r\n') + 4))(chatRequest('/v1', []));

/** As long as the upstream's: 19 headers. */
const replyHeaders = [
  'date: Sun, 22 Nov 2026 10:00:00 GMT',
  'content-type: application/json',
  'content-length: 1058',
  'openai-organization: org-bench',
  'openai-processing-ms: 421',
  'openai-version: 2020-10-01',
  'set-cookie: __cf_bm=bench; path=/; HttpOnly',
  'x-request-id: req_0123456789abcdef0123456789',
  ...Array.from({ length: 11 }, (_, i) => `x-ratelimit-remaining-${i}: 149999967`),
].flatMap((line) => line.split(': '));

const replyBody = Buffer.from(
  JSON.stringify(
    {
      id: 'chatcmpl-Bench0123456789abcdefghijklm',
      model: 'gpt-4o-mini-2024-07-18',
      choices: [{ index: 0, message: { role: 'assistant', content: 'a word of an answer '.repeat(25) } }],
      usage: { prompt_tokens: 200, completion_tokens: 40, total_tokens: 240 },
    },
    null,
    2,
  ),
);

const replyEvents = Array.from({ length: 100 }, (_, i) =>
  Buffer.from(
    `data: ${JSON.stringify({
      id: 'chatcmpl-Bench0123456789a',
      model: 'gpt-4o-mini-2024-07-18',
      choices: [{ index: 0, delta: { content: 'a word of an answer '.repeat(9) } }],
      usage: i === 99 ? { prompt_tokens: 200, completion_tokens: 98, total_tokens: 298 } : null,
    })}\n\n`,
  ),
);

const deltaEvent = Buffer.from(
  `event: response.output_text.delta\ndata: ${JSON.stringify({
    type: 'response.output_text.delta',
    sequence_number: 12,
    item_id: 'msg_0123456789abcdef0123456789abcdef',
    output_index: 0,
    content_index: 0,
    delta: ' word',
    logprobs: [],
    obfuscation: 'abcdefgh',
  })}\n\n`,
);
const responseUsage = { input_tokens: 200, output_tokens: 300, total_tokens: 500 };
const responseEvent = (type: string, text: string, usage: unknown) => {
  const response = { id: 'resp_1', model: 'gpt-6-luna', output: [{ content: [{ type: 'output_text', text }] }], usage };
  return Buffer.from(`event: ${type}\ndata: ${JSON.stringify({ type, response })}\n\n`);
};
const responseEvents = [
  responseEvent('response.created', '', null),
  ...Array.from({ length: 300 }, () => deltaEvent),
  responseEvent('response.completed', ' word'.repeat(300), responseUsage),
];
const kilobytes = (chunks: readonly Buffer[]) => chunks.reduce((sum, { length }) => sum + length, 0) / 1024;
const chatFacts = {
  ...NOTHING_SEEN,
  usages: [
    { prompt_tokens: 200, prompt_tokens_details: { cached_tokens: 128 }, completion_tokens: 40, total_tokens: 240 },
  ],
};

function observe(contentType: string, chunks: readonly Buffer[]): unknown {
  const observer = observeReply(contentType, '');
  for (const chunk of chunks) observer?.feed(chunk);
  let facts: unknown;
  observer?.finish((found) => (facts = found));
  return facts;
}

function lookAt(body: Buffer): unknown {
  const scan = scanRequest('application/json', '');
  scan.feed(body);
  scan.end();
  return scan.facts();
}

function strip(chunks: readonly Buffer[]): unknown {
  const usage = new UsageStrip();
  for (const chunk of chunks) usage.feed(chunk);
  return usage.end();
}

function anArrival(rawHeaders: readonly string[]): Arrival {
  const receivedAt = systemClock.now();
  return {
    id: newId('exc', receivedAt),
    receivedAt,
    startedMs: systemClock.elapsedMs(),
    method: 'POST',
    target: ENDPOINT,
    path: ENDPOINT,
    endpoint: findEndpoint('POST', ENDPOINT),
    rawHeaders,
    clientAddress: '127.0.0.1',
  };
}

function anObservation(): Observation {
  const now = systemClock.elapsedMs();
  const attempt = { origin: '127.0.0.1:8080', credential: 'OPENAI_API_KEY', status: 200, error: null };
  return {
    attempts: [{ ...attempt, startedMs: now, connectedMs: now, firstByteMs: now, endedMs: now }],
    status: 200,
    ending: 'complete',
    transport: 'json',
    bytesIn: 1024,
    bytesOut: 1058,
    facts: {
      ...NOTHING_SEEN,
      usages: [{ prompt_tokens: 200, completion_tokens: 40, total_tokens: 240 }],
      model: 'gpt-4o-mini-2024-07-18',
    },
    isDrained: false,
    upstreamRequestId: 'req_0123456789abcdef0123456789',
    error: null,
    endedMs: now,
  };
}

const prices = buildPrices({ shipped: shippedPrices(), refreshed: null, overrides: null, contracts: null });
const pricedExchange: PriceQuery = {
  model: 'gpt-6.1-sol-2026-09-29',
  at: Date.UTC(2026, 10, 22),
  serviceTier: 'fast',
  mode: 'standard',
  host: 'eu.api.openai.com',
  teamId: null,
  keyId: null,
  readings: [
    { meter: 'input_text', quantity: 1000n },
    { meter: 'input_text_cached', quantity: 8000n },
    { meter: 'input_text_written', quantity: 1000n },
    { meter: 'output_text', quantity: 500n },
  ],
};

async function timeUs(operation: Operation, calls: number): Promise<number> {
  const before = process.threadCpuUsage();
  for (let call = 0; call < calls; call++) {
    const result = operation(call);
    if (result instanceof Promise) await result;
    // Looked at, so that the work cannot be optimised away.
    else if (result === nothingReturnsThis) break;
  }
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}

async function costUs(operation: Operation): Promise<number> {
  let calls = 50;
  while ((await timeUs(operation, calls)) < SAMPLE_US / 4) calls *= 2; // This warms up as well.
  calls *= 4;
  const samples: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) samples.push((await timeUs(operation, calls)) / calls);
  return median(samples);
}

export async function measureMicro(): Promise<MicroResult[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'throughway-bench-micro-'));
  const store = await openStore({ dataDir, durability: 'group', databaseUrl: null, clock: systemClock });
  try {
    const keys = await openKeys(store, ENDPOINTS, systemClock, null);
    const { token } = await keys.create({ name: 'bench' }, SYSTEM);
    const caller = (await keys.findCaller(token)) as Caller;
    const rawHeaders = rawRequestHeaders(token);
    const credential = { authorization: 'Bearer sk-bench', organization: null, project: null };
    const admission = (): Admission => ({
      arrival: anArrival(rawHeaders),
      caller,
      model: 'gpt-4o-mini',
      facts: null,
      tags: [],
      hold: null,
      permits: NO_PERMITS,
      prices,
      admittedMs: systemClock.elapsedMs(),
    });
    const first = admission();
    const spoolBatch = (): Promise<void> =>
      new Promise((resolve) => {
        let left = BATCH;
        for (let i = 0; i < BATCH; i++) {
          const admitted = admission();
          store.spool.writeIntent(intentOf(admitted), () => {
            const record = recordOf(settled(admitted));
            store.spool.writeRecord(record, () => {
              if (--left === 0) resolve();
            });
          });
        }
      });

    const settled = (admitted: Admission) => {
      const observation = anObservation();
      const usage = usageOf(admitted, observation);
      return settle(admitted, observation, usage, { prices, host: 'api.openai.com' });
    };
    const limiter = await openLimits(resolveConfig({}, {}), systemClock, openLog('error'));
    const rates = { ...UNLIMITED, requestsPerMinute: 1_000_000_000, tokensPerMinute: 1_000_000_000 };
    const places = { ...UNLIMITED, concurrentExchanges: 100 };
    const limited: Caller = {
      ...caller,
      key: { ...caller.key, limits: rates },
      team: { ...caller.team, limits: places },
    };
    const takePlaces = () => {
      const answer = limiter.acquire({ caller: limited, model: 'gpt-4o-mini', kind: 'exchange', tokens: 300 });
      if (answer instanceof Promise || 'refusal' in answer) throw new Error('a caller within his limits was refused');
      const { headers } = answer;
      answer.correct(240);
      answer.release();
      return headers;
    };

    const cases: readonly Case[] = [
      { name: 'key: token to caller', operation: () => keys.findCaller(token) },
      { name: 'target: join below the mount', operation: () => upstreamTarget(`/openai${ENDPOINT}`) },
      { name: 'endpoint: by whole path', operation: () => findEndpoint('POST', ENDPOINT) },
      { name: 'endpoint: by segments', operation: () => findEndpoint('GET', '/v1/threads/thread_1/runs/run_1/steps') },
      { name: 'exchange id', operation: () => newId('exc', systemClock.now()) },
      { name: 'limits: three, told, corrected, given back', operation: takePlaces },
      { name: 'headers: 13 upstream', operation: () => upstreamHeaders(rawHeaders, credential) },
      { name: 'headers: 19 downstream', operation: () => downstreamHead(replyHeaders, [], 'pass') },
      { name: 'facts of a 1 KB request', operation: () => lookAt(requestBody) },
      { name: 'usage of a JSON reply', operation: () => observe('application/json', [replyBody]) },
      { name: 'usage taken out of a stream, per event of 100', batch: 100, operation: () => strip(replyEvents) },
      {
        name: 'usage of a stream, per event of 100',
        batch: 100,
        operation: () => observe('text/event-stream', replyEvents),
      },
      {
        name: 'scan of a chat stream, per KB',
        batch: kilobytes(replyEvents),
        operation: () => observe('text/event-stream', replyEvents),
      },
      {
        name: 'scan of a Responses stream, per KB',
        batch: kilobytes(responseEvents),
        operation: () => observe('text/event-stream', responseEvents),
      },
      { name: 'readings of a usage object', operation: () => readUsage(first.arrival.endpoint, chatFacts, null) },
      { name: 'price: 4 readings, tier and region', operation: () => prices.price(pricedExchange) },
      { name: 'record: build', operation: () => recordOf(settled(first)) },
      {
        name: 'record: build and write as JSON',
        operation: () => JSON.stringify(recordOf(settled(first))),
      },
      { name: 'spool: intent and record, 16 a turn', batch: BATCH, operation: spoolBatch },
    ];
    const results: MicroResult[] = [];
    for (const { name, batch, operation } of cases)
      results.push({ name, us: (await costUs(operation)) / (batch ?? 1) });
    return results;
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

export function formatMicro(results: readonly MicroResult[]): string {
  const lines = results.map(({ name, us }) => [name, us.toFixed(3)]);
  return `### Pieces of the hot path\n\n${formatTable(['operation', 'CPU µs'], lines)}\n`;
}
