// What a ledger full of budgets adds to an exchange: hold and charge with four budgets each, and entering it off the hot path.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock } from '../src/domain/clock.ts';
import type { Entry } from '../src/domain/entry.ts';
import { type BudgetId, type KeyId, type TeamId, newId } from '../src/domain/id.ts';
import { type Caller, KEY_DEFAULTS } from '../src/domain/key.ts';
import type { Rollup } from '../src/domain/ledger-store.ts';
import type { Cost } from '../src/domain/price.ts';
import { ALL_GRAINS, NO_SUMS, grainMs, grainStart } from '../src/domain/rollup.ts';
import { TEAM_DEFAULTS } from '../src/domain/team.ts';
import { type SpendGroup, openLedger } from '../src/ledger/ledger.ts';
import { findEndpoint } from '../src/openai/endpoints.ts';
import { openStore } from '../src/store/store.ts';
import { openLog } from '../src/telemetry/log.ts';
import { formatTable } from './report.ts';
import { median } from './statistics.ts';

const KEYS = 5000;
const TEAMS = 500;
const ENTRIES = 1_000_000;
const BATCH = 1000;
const EXCHANGES = 20_000;
const SAMPLES = 5;
const DAY_MS = 86_400_000;

export interface LedgerResult {
  readonly name: string;
  readonly figure: string;
}

/** @param share of the million entries that are written first */
export async function measureLedger(share: number): Promise<LedgerResult[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'throughway-bench-ledger-'));
  const clock = systemClock;
  const store = await openStore({ dataDir, durability: 'group', databaseUrl: null, clock });
  const yes = async () => true;
  const owners = { hasTeam: yes, hasKey: yes, hasUser: yes };
  const ledger = await openLedger({ store: store.ledger, spool: store.spool, owners, clock, log: openLog('error') });
  const callers = Array.from({ length: KEYS }, (_, i) => aCaller(i));
  const results: LedgerResult[] = [];
  const tell = (name: string, figure: number, unit: string) =>
    results.push({ name, figure: `${figure.toFixed(2)} ${unit}` });

  function exchangesUs(): number {
    const samples = Array.from({ length: SAMPLES }, () => {
      const before = process.threadCpuUsage();
      for (let i = 0; i < EXCHANGES; i++) holdAndCharge(callers[i % KEYS]!);
      const { user, system } = process.threadCpuUsage(before);
      return (user + system) / EXCHANGES;
    });
    return median(samples);
  }
  const endpoint = findEndpoint('POST', '/v1/chat/completions');
  const worst = { money: 1000n, tokens: 100 };
  const cost: Cost = {
    state: 'priced',
    amount: 7n,
    lines: [],
    priceVersion: 'bench',
    confidence: 'operator',
    why: null,
  };
  function holdAndCharge(caller: Caller): void {
    const at = clock.now();
    const exchangeId = newId('exc', at);
    const held = ledger.hold({
      exchangeId,
      caller,
      endpoint,
      model: 'gpt-4o-mini',
      tags: [],
      endUser: null,
      worst,
      at,
    });
    if (held instanceof Promise || held.kind === 'refused')
      throw new Error('the budgets of this benchmark are never used up');
    ledger.charge(held.hold, { cost, tokens: 50 });
  }

  try {
    exchangesUs();
    tell('hold and charge, no budget', exchangesUs(), 'µs');
    const limitMoney = 10n ** 18n;
    await ledger.budgets.create({ scope: 'global', limitMoney, window: 'month' });
    await ledger.budgets.create({ scope: 'model', model: 'gpt-*', limitMoney, window: 'hour', isRolling: true });
    for (let i = 0; i < TEAMS; i++)
      await ledger.budgets.create({ scope: 'team', teamId: teamOf(i), limitMoney, window: 'day' });
    const ids: BudgetId[] = [];
    for (const { key } of callers) {
      const budget = await ledger.budgets.create({ scope: 'key', keyId: key.id, limitMoney, window: 'month' });
      ids.push(budget.id);
    }
    exchangesUs();
    tell('hold and charge, four budgets, 5,000 keys', exchangesUs(), 'µs');

    const entries = Math.round(ENTRIES * share);
    const from = clock.now() - 365 * DAY_MS;
    const before = process.threadCpuUsage();
    for (let i = 0; i < entries; i += BATCH) {
      const at = from + Math.floor((i / entries) * 365 * DAY_MS);
      await store.ledger.post(
        Array.from({ length: BATCH }, (_, n) => anEntry(callers[(i + n * 7) % KEYS]!, at, ids[(i + n * 7) % KEYS]!)),
      );
    }
    const { user, system } = process.threadCpuUsage(before);
    tell(`an entry, ${BATCH} at once`, (user + system) / entries, 'µs');
    tell(`hold and charge, four budgets, ${entries} entries`, exchangesUs(), 'µs');

    return results;
  } finally {
    await ledger.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function teamOf(n: number): TeamId {
  return `team_${n % TEAMS}`;
}

function aCaller(n: number): Caller {
  const id: KeyId = `key_${n}`;
  const team = { ...TEAM_DEFAULTS, id: teamOf(n), name: `team ${n}`, createdAt: 1 };
  const key = { ...KEY_DEFAULTS, id, teamId: team.id, name: id, tokenHash: id, tokenHint: id, createdAt: 1 };
  return { team, key, user: null };
}

export function anEntry({ key, team }: Caller, at: number, budgetId: BudgetId): Entry {
  const settleKey = newId('exc', at);
  return {
    settleKey,
    kind: 'charge',
    isExchange: true,
    exchangeId: settleKey,
    teamId: team.id,
    keyId: key.id,
    userId: null,
    endpoint: 'chat',
    model: 'gpt-4o-mini',
    tags: [],
    state: 'priced',
    amount: 7_200_000n,
    why: null,
    tokensIn: 200,
    tokensOut: 40,
    priceVersion: 'bench',
    lines: [],
    readings: [{ meter: 'input_text', quantity: '200' }],
    charges: [{ budgetId, account: '', windowStart: 1, amount: 7_200_000n }],
    at,
    resolves: null,
    servicePeriod: null,
  };
}

const YEAR_DAYS = 365;
const KEYS_OF_TEAM = 10;
const MODELS = 5;
const ROLLUPS_AT_ONCE = 5000;
const REPORTS: readonly (readonly SpendGroup[])[] = [
  ['team'],
  ['model'],
  ['day'],
  ['hour'],
  ['day', 'model'],
  ['day', 'team'],
  ['team', 'model'],
  ['key'],
  ['key', 'team'],
  ['key', 'model'],
  ['user', 'endpoint'],
];

/**
 * Reports over a year in which each of ten keys of 500 teams calls five models every day: 9 million sums of a day, whatever number of
 * exchanges they are of. Sums by days and hours that tell all apart are written where a report reads them, at the year's ends.
 * @param share of the teams
 */
export async function measureReports(share: number): Promise<LedgerResult[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'throughway-bench-reports-'));
  const clock = systemClock;
  const store = await openStore({ dataDir, durability: 'group', databaseUrl: null, clock });
  const yes = async () => true;
  const owners = { hasTeam: yes, hasKey: yes, hasUser: yes };
  const ledger = await openLedger({ store: store.ledger, spool: store.spool, owners, clock, log: openLog('error') });
  const to = grainStart('hour', clock.now());
  const from = to - YEAR_DAYS * DAY_MS;
  const teams = Math.max(1, Math.round(TEAMS * share));
  const results: LedgerResult[] = [];
  let pending: Rollup[] = [];
  let rows = 0;
  const write = async (rollup: Rollup | null) => {
    if (rollup !== null) pending.push(rollup);
    if (pending.length === 0 || (rollup !== null && pending.length < ROLLUPS_AT_ONCE)) return;
    rows += pending.length;
    await store.ledger.correct([], pending);
    pending = [];
  };
  const wholes = { from: grainStart('thirty_days', from) + grainMs('thirty_days'), to: grainStart('thirty_days', to) };
  try {
    for (const grain of ALL_GRAINS) {
      const isOfModels = !grain.includes('keys') && !grain.includes('whole');
      const isOfTeams = !grain.endsWith('of_models');
      const isOfKeys = isOfTeams && !grain.endsWith('teams');
      for (let at = grainStart(grain, from); at < to; at += grainMs(grain)) {
        if ((grain === 'day' || grain === 'hour') && wholes.from <= at && at < wholes.to) continue;
        // One key in so many is at work in any hour of the night.
        const keys = isOfKeys ? (grain === 'hour' ? 1 : KEYS_OF_TEAM) : 1;
        for (let team = 0; team < (isOfTeams ? teams : 1); team++)
          for (let key = 0; key < keys; key++)
            for (let model = 0; model < (isOfModels ? MODELS : 1); model++)
              await write(
                aRollup(grain, at, {
                  ...(isOfTeams && { team }),
                  ...(isOfKeys && { key }),
                  ...(isOfModels && { model }),
                }),
              );
      }
    }
    await write(null);
    results.push({ name: `sums of a year of ${teams * KEYS_OF_TEAM} keys that were written`, figure: `${rows}` });
    for (const groupBy of REPORTS) {
      const samples: number[] = [];
      for (let i = 0; i < SAMPLES; i++) {
        const began = performance.now();
        await ledger.report({ groupBy, from, to, where: {} });
        samples.push(performance.now() - began);
      }
      results.push({ name: `report of a year by ${groupBy.join(', ')}`, figure: `${median(samples).toFixed(0)} ms` });
    }
    const own = { team: teamOf(0), key: 'key_0_0' };
    const began = performance.now();
    await ledger.report({ groupBy: [], from, to, where: own });
    results.push({ name: 'what one key spent in a year', figure: `${(performance.now() - began).toFixed(1)} ms` });
    return results;
  } finally {
    await ledger.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

interface Cell {
  readonly team?: number;
  readonly key?: number;
  readonly model?: number;
}

function aRollup(grain: Rollup['grain'], at: number, { team, key, model }: Cell): Rollup {
  return {
    ...NO_SUMS,
    grain,
    at,
    tag: '',
    team: team === undefined ? '' : teamOf(team),
    key: key === undefined ? '' : `key_${team}_${key}`,
    user: key === undefined ? '' : `user_${team}_${key}`,
    model: model === undefined ? '' : `model-${model}`,
    endpoint: model === undefined ? '' : 'chat',
    exchanges: 100,
    measured: 123_456_789_012n,
    tokensIn: 20_000,
    tokensOut: 4000,
  };
}

export function formatLedger(results: readonly LedgerResult[]): string {
  const rows = results.map(({ name, figure }) => [name, figure]);
  return `### The ledger, CPU of its thread (reports: time)\n\n${formatTable(['what', 'figure'], rows)}\n`;
}
