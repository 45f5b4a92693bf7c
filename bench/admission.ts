// What it costs to let an exchange in: the key found by its token, its scopes, three limits, four budgets with money set aside. With
// one key, and with thousands of keys, hundreds of teams and a year of entries.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { resolveConfig } from '../src/config/load.ts';
import { SYSTEM } from '../src/domain/audit.ts';
import { systemClock } from '../src/domain/clock.ts';
import type { Admission, Arrival } from '../src/domain/exchange.ts';
import { type BudgetId, newId } from '../src/domain/id.ts';
import type { Caller } from '../src/domain/key.ts';
import { TAGS_HEADER } from '../src/http/headers.ts';
import { type KeyAndToken, openKeys } from '../src/keys/keys.ts';
import { openLedger } from '../src/ledger/ledger.ts';
import { openLimits } from '../src/limits/limits.ts';
import { ENDPOINTS } from '../src/openai/endpoint-rows.ts';
import { findEndpoint } from '../src/openai/endpoints.ts';
import { buildPrices } from '../src/openai/prices.ts';
import { shippedPrices } from '../src/openai/shipped-prices.ts';
import { admit, admitModel } from '../src/proxy/admit.ts';
import { requestFacts, scanBody } from '../src/proxy/arrive.ts';
import { openGate } from '../src/proxy/gate.ts';
import { openStore } from '../src/store/store.ts';
import { openLog } from '../src/telemetry/log.ts';
import { type LedgerResult, anEntry } from './ledger.ts';
import { formatTable } from './report.ts';
import { median } from './statistics.ts';

const KEYS = 5000;
const TEAMS = 500;
const ENTRIES = 1_000_000;
const BATCH = 1000;
const ROUNDS = 20;
const SAMPLES = 5;
const DAY_MS = 86_400_000;
const PATH = '/v1/chat/completions';
const NEVER_USED_UP = 1_000_000_000;

/** @param share of the million entries that are written first */
export async function measureAdmission(share: number): Promise<LedgerResult[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'throughway-bench-admission-'));
  const clock = systemClock;
  const log = openLog('error');
  const store = await openStore({ dataDir, durability: 'group', databaseUrl: null, clock });
  const keys = await openKeys(store, ENDPOINTS, clock, null);
  const yes = async () => true;
  const owners = { hasTeam: yes, hasKey: yes, hasUser: yes };
  const ledger = await openLedger({ store: store.ledger, spool: store.spool, owners, clock, log });
  const limiter = await openLimits(resolveConfig({}, { OPENAI_API_KEY: 'sk-bench' }), clock, log);
  const prices = buildPrices({ shipped: shippedPrices(), refreshed: null, overrides: null, contracts: null });
  const gate = openGate({
    limiter,
    ledger,
    estimates: { estimateUsage: async () => [], learnReasoning: () => {}, reasoningMargin: () => 0 },
    prices: () => prices,
    tagHeaders: [TAGS_HEADER],
    host: 'api.openai.com',
    elapsedMs: clock.elapsedMs,
  });
  const results: LedgerResult[] = [];
  const tell = (name: string, us: number) => results.push({ name, figure: `${us.toFixed(2)} µs` });

  const body = Buffer.from(
    JSON.stringify({ model: 'gpt-4o-mini', max_tokens: 200, messages: [{ role: 'user', content: 'x'.repeat(900) }] }),
  );
  const rawHeaders = ['Content-Type', 'application/json', 'Content-Length', String(body.length)];
  const endpoint = findEndpoint('POST', PATH);
  function anArrival(): Arrival {
    const receivedAt = clock.now();
    return {
      id: newId('exc', receivedAt),
      receivedAt,
      startedMs: clock.elapsedMs(),
      method: 'POST',
      target: PATH,
      path: PATH,
      endpoint,
      rawHeaders,
      clientAddress: '127.0.0.1',
    };
  }
  const facts = requestFacts(anArrival(), scanBody(anArrival(), { bytes: body, isWhole: true }, true));

  function letIn(arrival: Arrival, token: string): Admission {
    const caller = keys.findCaller(token);
    if (caller instanceof Promise || caller === null) throw new Error('the keys of this benchmark are known');
    admit(arrival, caller, endpoint?.group);
    admitModel(arrival, caller, facts.model, facts);
    const { model } = facts;
    const admission = gate.enter({ arrival, caller, model, facts, kind: 'exchange', isFree: false });
    if (admission instanceof Promise) throw new Error('one process decides at once');
    return admission;
  }

  function admissionUs(made: readonly KeyAndToken[]): number {
    const round = (): number => {
      let us = 0;
      for (let n = 0; n < ROUNDS; n++) {
        const arrivals = Array.from({ length: BATCH }, anArrival);
        const admissions: Admission[] = [];
        const before = process.threadCpuUsage();
        for (let i = 0; i < BATCH; i++)
          admissions.push(letIn(arrivals[i]!, made[(n * BATCH + i) % made.length]!.token));
        const { user, system } = process.threadCpuUsage(before);
        us += user + system;
        for (const admission of admissions) gate.turnBack(admission);
      }
      return us / (ROUNDS * BATCH);
    };
    round();
    return median(Array.from({ length: SAMPLES }, round));
  }

  try {
    const limitMoney = 10n ** 24n;
    await ledger.budgets.create({ scope: 'global', limitMoney, window: 'month' });
    await ledger.budgets.create({ scope: 'model', model: 'gpt-*', limitMoney, window: 'hour', isRolling: true });
    const teams = [];
    for (let i = 0; i < TEAMS; i++) {
      const team = await keys.teams.create(
        { name: `team ${i}`, models: ['gpt-*', 'o3'], limits: { tokensPerMinute: NEVER_USED_UP } },
        SYSTEM,
      );
      await ledger.budgets.create({ scope: 'team', teamId: team.id, limitMoney, window: 'day' });
      teams.push(team);
    }
    const made: KeyAndToken[] = [];
    const ids: BudgetId[] = [];
    for (let i = 0; i < KEYS; i++) {
      const one = await keys.create(
        {
          name: `key ${i}`,
          team: teams[i % TEAMS]!.id,
          models: ['gpt-4o*'],
          endpoints: ['chat', 'embeddings'],
          allowedCidrs: ['127.0.0.0/8'],
          limits: { requestsPerMinute: NEVER_USED_UP, concurrentExchanges: NEVER_USED_UP },
        },
        SYSTEM,
      );
      const budget = await ledger.budgets.create({ scope: 'key', keyId: one.key.id, limitMoney, window: 'month' });
      made.push(one);
      ids.push(budget.id);
    }
    const callers: Caller[] = [];
    for (const { token } of made) callers.push((await keys.findCaller(token))!);

    tell('let in, one key', admissionUs(made.slice(0, 1)));
    tell(`let in, ${KEYS} keys of ${TEAMS} teams in turn`, admissionUs(made));
    const entries = Math.round(ENTRIES * share);
    const from = clock.now() - 365 * DAY_MS;
    for (let i = 0; i < entries; i += BATCH) {
      const at = from + Math.floor((i / entries) * 365 * DAY_MS);
      await store.ledger.post(
        Array.from({ length: BATCH }, (_, n) => anEntry(callers[(i + n * 7) % KEYS]!, at, ids[(i + n * 7) % KEYS]!)),
      );
    }
    tell(`let in, ${KEYS} keys, ${entries} entries`, admissionUs(made));
    return results;
  } finally {
    await limiter.close();
    await ledger.close();
    keys.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

export function formatAdmission(results: readonly LedgerResult[]): string {
  const rows = results.map(({ name, figure }) => [name, figure]);
  return `### Admission: key, scopes, three limits, four budgets; CPU of its thread\n\n${formatTable(['what', 'an exchange'], rows)}\n`;
}
