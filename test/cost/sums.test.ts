// What is summed is what was charged: an oracle that reads records alone, a ledger that is made again from them, and the metrics.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CostTally } from '../../src/domain/cost-tally.ts';
import type { Endpoint } from '../../src/domain/endpoint.ts';
import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import type { Admission, Observation } from '../../src/domain/exchange.ts';
import { NOTHING_SEEN } from '../../src/domain/facts.ts';
import { newId } from '../../src/domain/id.ts';
import { NO_PERMITS } from '../../src/domain/limits.ts';
import { formatUsd, parseUsd } from '../../src/domain/money.ts';
import type { Meter, Usage } from '../../src/domain/usage.ts';
import { findEndpoint } from '../../src/openai/endpoints.ts';
import { recordOf, settle } from '../../src/proxy/settle.ts';
import { handClock } from '../support/engines.ts';
import {
  aCaller,
  aCost,
  intent,
  makeDir,
  open,
  record as recordWith,
  told,
  writeIntent,
  writeRecord,
} from '../support/ledger.ts';
import { pricesWith } from '../support/prices.ts';
import { chatTokens } from './priced-operations.ts';
import { type CostStand, asJson, json, openCostStand } from './stand.ts';

const DAY = 86_400_000;
const AT = Date.UTC(2026, 10, 22);
/** A hundred thousand go over HTTP in hundred-thousand.test.ts. */
const EXCHANGES = 10_000;
const ALL = { groupBy: [], from: 0, to: AT + 400 * DAY, where: {} } as const;
const prices = pricesWith();

/** By hand, in pico-dollars for one token, second or call: the oracle knows nothing of the price book. */
const RATES: Readonly<Record<string, Readonly<Partial<Record<Meter, bigint>>>>> = {
  'gpt-5.4-nano': { input_text: 200_000n, output_text: 1_250_000n },
  'gpt-5': { input_text: 1_250_000n, input_text_cached: 125_000n, output_text: 10_000_000n },
  'gpt-6.1-sol': {
    input_text: 2_000_000n,
    input_text_cached: 100_000n,
    input_text_written: 2_500_000n,
    output_text: 10_000_000n,
    file_search_calls: 2_500_000_000n,
  },
  'text-embedding-3-small': { input_text: 20_000n },
  // Thousandths of a second.
  'whisper-1': { transcribed_seconds: 100_000n },
};
const MODELS = Object.keys(RATES);
const PATHS: Readonly<Record<string, string>> = {
  'text-embedding-3-small': '/v1/embeddings',
  'whisper-1': '/v1/audio/transcriptions',
};

let seed = 20_261_122;
const next = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;

interface Made {
  readonly record: ExchangeRecord;
  readonly state: 'measured' | 'estimated' | 'unpriced' | 'free';
  readonly amount: bigint;
}

/** An exchange of any kind and outcome, through what settles those of the relay. */
function make(admissionOf: (endpoint: Endpoint, model: string) => Admission): Made {
  const model = MODELS[next(MODELS.length)]!;
  const endpoint = findEndpoint('POST', PATHS[model] ?? '/v1/responses')!;
  const outcome = next(20);
  const state = outcome === 0 ? 'unpriced' : outcome === 1 ? 'free' : outcome < 5 ? 'estimated' : 'measured';
  let amount = 0n;
  const readings = Object.entries(RATES[model]!).map(([meter, rate]) => {
    const quantity = BigInt(next(meter.endsWith('calls') ? 4 : 50_000));
    amount += quantity * rate;
    return { meter: meter as Meter, quantity };
  });
  const source = state === 'unpriced' ? 'absent' : state === 'estimated' ? 'estimated' : 'reported';
  const isKnown = state === 'measured' || state === 'estimated';
  const usage: Usage = {
    source: isKnown ? source : 'absent',
    readings: isKnown ? readings : null,
    raw: null,
    problems: [],
  };
  const status = state === 'free' ? 429 : 200;
  const admission = admissionOf(endpoint, model);
  const record = recordOf(settle(admission, observation(status), usage, { prices, host: 'api.openai.com' }));
  return { record, state, amount: isKnown ? amount : 0n };
}

function observation(status: number): Observation {
  const attempt = {
    origin: 'u',
    credential: 'c',
    startedMs: 0,
    connectedMs: 0,
    firstByteMs: 0,
    endedMs: 0,
    status,
    error: null,
  };
  return {
    attempts: [attempt],
    status,
    ending: 'complete',
    transport: 'json',
    bytesIn: 1,
    bytesOut: 1,
    facts: { ...NOTHING_SEEN, id: 'resp_1' },
    isDrained: false,
    upstreamRequestId: null,
    error: null,
    endedMs: 1,
  };
}

test(
  'L01: ten thousand mixed exchanges sum up to what an oracle says, and so they do from their records alone',
  { timeout: 120_000 },
  async () => {
    const dir = makeDir();
    const clock = handClock(AT + 2 * DAY);
    const entered = new CostTally();
    const opened = await open(dir.path, clock, { onEntered: (tally) => entered.addAll(tally) });
    const callers = ['a', 'b', 'c'].map((name) => aCaller(name, name));
    const oracle = { measured: 0n, estimated: 0n, unpriced: 0, free: 0 };
    const byKey = new Map<string, bigint>();
    const ids = new Set<string>();
    try {
      for (let i = 0; i < EXCHANGES; i += 1000) {
        const writes: Promise<void>[] = [];
        for (let each = 0; each < 1000; each++) {
          const caller = callers[next(3)]!;
          const at = AT + next(2 * DAY);
          const one = told(at, caller, { id: newId('exc', at) });
          const { record, state, amount } = make((endpoint, model) => ({
            arrival: {
              id: one.id,
              receivedAt: at,
              startedMs: 0,
              method: 'POST',
              target: endpoint.path,
              path: endpoint.path,
              endpoint,
              rawHeaders: [],
              clientAddress: '',
            },
            caller,
            model,
            facts: null,
            tags: [],
            hold: null,
            permits: NO_PERMITS,
            prices,
            admittedMs: 0,
          }));
          ids.add(record.id);
          if (state === 'measured' || state === 'estimated') oracle[state] += amount;
          else oracle[state]++;
          byKey.set(caller.key.id, (byKey.get(caller.key.id) ?? 0n) + amount);
          writes.push(writeIntent(opened.store.spool, intent(one, null)), writeRecord(opened.store.spool, record));
        }
        await Promise.all(writes);
      }
      await opened.ledger.catchUp();
      await agrees(opened.ledger);
      assert.equal(ids.size, EXCHANGES);
      const amounts = (states: readonly ('priced' | 'partial' | 'estimated')[]) =>
        states.reduce((sum, state) => sum + (entered.byState.get(state)?.amount ?? 0n), 0n);
      assert.equal(amounts(['priced', 'partial']), oracle.measured);
      assert.equal(amounts(['estimated']), oracle.estimated);
      assert.equal(entered.byState.get('unpriced')?.entries, oracle.unpriced);
    } finally {
      await opened.close();
    }

    // The same records, and an empty ledger.
    const other = makeDir();
    const again = await open(other.path, clock);
    const records = await open(dir.path, clock);
    try {
      for (let seq = 0; ;) {
        const rows = records.store.spool.recordsAfter(seq, 1000);
        if (rows.length === 0) break;
        await Promise.all(rows.flatMap(({ record }) => writeRecord(again.store.spool, record)));
        seq = rows.at(-1)!.seq;
      }
      await again.ledger.catchUp();
      await agrees(again.ledger);
    } finally {
      await again.close();
      await records.close();
      other.remove();
      dir.remove();
    }

    async function agrees(ledger: typeof opened.ledger): Promise<void> {
      const { totals } = await ledger.report(ALL);
      assert.deepEqual(
        [totals.exchanges, totals.measured, totals.estimated, totals.unpriced, totals.free],
        [EXCHANGES, oracle.measured, oracle.estimated, oracle.unpriced, oracle.free],
      );
      const { rows } = await ledger.report({ ...ALL, groupBy: ['key'] });
      assert.deepEqual(new Map(rows.map((row) => [row.group.key, row.measured + row.estimated])), new Map(byKey));
    }
  },
);

test('C17: what a page of rows adds up to is what the totals say, down to a pico-dollar', async () => {
  const dir = makeDir();
  const { ledger, store, close } = await open(dir.path, handClock(AT));
  try {
    await writeRecord(store.spool, recordWith(told(AT - 1), aCost(1n)));
    await ledger.catchUp();
    const { rows, totals } = await ledger.report({ ...ALL, groupBy: ['model'] });
    assert.equal(formatUsd(totals.measured), '0.000000000001');
    assert.equal(
      rows.reduce((sum, row) => sum + row.measured, 0n),
      totals.measured,
    );
  } finally {
    await close();
    dir.remove();
  }
});

test('L14: the metrics of a run are what the ledger says it moved by', async () => {
  const cost = await openCostStand();
  try {
    const chat = (model: string, body: object, status = 200) =>
      cost.exchange(
        { method: 'POST', target: '/openai/v1/chat/completions', ...json({ model, messages: [] }) },
        asJson(body, status),
      );
    // Of a gateway that entered something already.
    await chat('gpt-5', { model: 'gpt-5', usage: chatTokens(100, 1) });
    const [before, metricsBefore] = [await cost.totals(), await metricsOf(cost)];
    for (let i = 1; i <= 20; i++) {
      await chat('gpt-5', { model: 'gpt-5', usage: chatTokens(i * 7, i) });
      await chat('gpt-9', { model: 'gpt-9', usage: chatTokens(i, i) });
      await chat('gpt-5', { error: {} }, 429);
      await chat('gpt-5', { model: 'gpt-5', usage: chatTokens(5, 5, { cached_tokens: 9 }) });
      await chat('gpt-5', { model: 'gpt-5', choices: [{ message: { content: 'No usage here.' } }] });
    }
    const [after, metrics] = [await cost.totals(), await metricsOf(cost)];
    const moved = (name: string) => (metrics.get(name) ?? 0) - (metricsBefore.get(name) ?? 0);
    const movedUsd = (name: string) =>
      formatUsd(parseUsd(moved(`throughway_cost_usd_total{state="${name}"}`).toFixed(12)));
    const sum = (field: 'measured_usd' | 'estimated_usd') =>
      formatUsd(parseUsd(after[field]) - parseUsd(before[field]));
    assert.equal(formatUsd(parseUsd(movedUsd('priced')) + parseUsd(movedUsd('partial'))), sum('measured_usd'));
    assert.equal(movedUsd('estimated'), sum('estimated_usd'));
    for (const state of ['partial', 'unpriced', 'free'] as const)
      assert.deepEqual(
        [state, moved(`throughway_costs_total{state="${state}"}`)],
        [state, after[state] - before[state]],
      );
    assert.deepEqual([after.unpriced - before.unpriced, after.free - before.free], [20, 20]);
    const exchanges = [...metrics].filter(([name]) => name.startsWith('throughway_costs_total'));
    assert.equal(
      exchanges.reduce((total, [, count]) => total + count, 0),
      after.exchanges,
    );
  } finally {
    await cost.close();
  }
});

async function metricsOf({ stand }: CostStand): Promise<Map<string, number>> {
  const text = await (await stand.gateway.adminFetch('/metrics')).text();
  return new Map([...text.matchAll(/^(\w+\{[^}]*\}) (\S+)$/gm)].map(([, name, value]) => [name!, Number(value)]));
}

test('a tally keeps corrections apart, up and down', () => {
  const tally = new CostTally();
  tally.add({ kind: 'charge', state: 'priced', amount: 5n });
  tally.add({ kind: 'charge', state: 'unpriced', amount: null });
  tally.add({ kind: 'adjustment', state: 'priced', amount: 3n });
  tally.add({ kind: 'adjustment', state: 'priced', amount: -1n });
  const twice = new CostTally();
  twice.addAll(tally);
  twice.addAll(tally);
  assert.deepEqual(
    [...twice.byState],
    [
      ['priced', { entries: 2, amount: 10n }],
      ['unpriced', { entries: 2, amount: 0n }],
    ],
  );
  assert.deepEqual([twice.raised, twice.lowered], [6n, 2n]);
});
