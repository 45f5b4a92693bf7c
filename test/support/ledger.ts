import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Hold } from '../../src/domain/budget.ts';
import type { Clock } from '../../src/domain/clock.ts';
import type { Endpoint } from '../../src/domain/endpoint.ts';
import type { ExchangeRecord, Intent } from '../../src/domain/exchange-record.ts';
import { type ExchangeId, type KeyId, type TeamId, newId } from '../../src/domain/id.ts';
import { type Caller, KEY_DEFAULTS } from '../../src/domain/key.ts';
import { formatUsd } from '../../src/domain/money.ts';
import type { Cost, CostState } from '../../src/domain/price.ts';
import type { Spool } from '../../src/domain/stores.ts';
import { TEAM_DEFAULTS } from '../../src/domain/team.ts';
// A ledger over a data dir of its own, and exchanges that end in records without any HTTP around them.
import type { NewBudget } from '../../src/ledger/budgets.ts';
import { type Ledger, type LedgerParts, openLedger } from '../../src/ledger/ledger.ts';
import { findEndpoint } from '../../src/openai/endpoints.ts';
import { type Store, openStore } from '../../src/store/store.ts';
import type { Log } from '../../src/telemetry/log.ts';

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
export const everybody = { hasTeam: async () => true, hasKey: async () => true, hasUser: async () => true };
export const chat: Endpoint = findEndpoint('POST', '/v1/chat/completions')!;

export function makeDir(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'throughway-ledger-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface Opened {
  readonly store: Store;
  readonly ledger: Ledger;
  close(): Promise<void>;
}

export async function open(
  dataDir: string,
  clock: Clock,
  more: Partial<LedgerParts> = {},
  url?: string,
): Promise<Opened> {
  const store = await openStore({ dataDir, durability: 'group', databaseUrl: url ?? null, clock });
  const ledger = await openLedger({
    store: store.ledger,
    spool: store.spool,
    owners: everybody,
    clock,
    log: silent,
    ...more,
  });
  return {
    store,
    ledger,
    async close() {
      await ledger.close();
      await store.close();
    },
  };
}

export function aCaller(name = 'one', team = 'red'): Caller {
  const teamId: TeamId = `team_${team}`;
  const keyId: KeyId = `key_${name}`;
  const key = { ...KEY_DEFAULTS, id: keyId, teamId, name, tokenHash: name, tokenHint: name, createdAt: 1 };
  return { team: { ...TEAM_DEFAULTS, id: teamId, name: team, createdAt: 1 }, key, user: null };
}

export function aCost(amount: bigint | null, state: CostState = amount === null ? 'unpriced' : 'priced'): Cost {
  const why = state === 'priced' || state === 'free' ? null : 'a test says so';
  return { state, amount, lines: [], priceVersion: 'test', confidence: 'first_party', why };
}

/** One exchange, as far as the ledger hears of it. */
export interface Told {
  readonly id: ExchangeId;
  readonly caller: Caller;
  readonly at: number;
  readonly model: string;
  readonly tags: readonly string[];
  readonly endUser: string | null;
}

export function told(at: number, caller = aCaller(), more: Partial<Told> = {}): Told {
  return { id: newId('exc', at), caller, at, model: 'gpt-test', tags: [], endUser: null, ...more };
}

export function ask(exchange: Told, money: bigint | null, tokens: number | null = 10) {
  const { id: exchangeId, caller, model, tags, endUser, at } = exchange;
  return { exchangeId, caller, endpoint: chat, model, tags, endUser, worst: { money, tokens }, at };
}

export async function hold(
  ledger: Ledger,
  exchange: Told,
  money: bigint | null,
  tokens?: number,
): Promise<Hold | null> {
  const held = await ledger.hold(ask(exchange, money, tokens));
  return held.kind === 'held' ? held.hold : null;
}

export function intent({ id, caller, at, model, tags, endUser }: Told, held: Hold | null): Intent {
  return {
    id,
    at,
    teamId: caller.team.id,
    keyId: caller.key.id,
    userId: caller.key.userId,
    endUser,
    method: 'POST',
    path: chat.path,
    endpoint: chat.path,
    model,
    tags,
    hold: held,
  };
}

export function record(exchange: Told, cost: Cost, tokens: number | null = 10): ExchangeRecord {
  const { id, caller, at, model, endUser } = exchange;
  return {
    v: 1,
    id,
    kind: 'exchange',
    parent_id: null,
    at: new Date(at).toISOString(),
    method: 'POST',
    path: chat.path,
    endpoint: chat.path,
    team_id: caller.team.id,
    key_id: caller.key.id,
    user_id: caller.key.userId,
    end_user: endUser,
    model_requested: model,
    model_served: model,
    transport: 'json',
    status: 200,
    ending: 'complete',
    refusal: null,
    timings_us: { admitted: 1, connected: 1, first_byte: 1, total: 1 },
    bytes: { in: 1, out: 1 },
    usage: {
      source: tokens === null ? 'absent' : 'reported',
      readings: tokens === null ? null : [{ meter: 'input_text', quantity: String(tokens) }],
      raw: null,
    },
    cost: {
      state: cost.state,
      pico_usd: cost.amount?.toString() ?? null,
      usd: cost.amount === null ? null : formatUsd(cost.amount),
      lines: [],
      price_version: cost.priceVersion,
      confidence: cost.confidence,
      why: cost.why,
    },
    attempts: [],
    objects: [],
    error: null,
    tags: exchange.tags,
    upstream_request_id: null,
    client_request_id: null,
  };
}

export function writeIntent(spool: Spool, of: Intent): Promise<void> {
  return new Promise((resolve, reject) => spool.writeIntent(of, (error) => (error ? reject(error) : resolve())));
}

export function writeRecord(spool: Spool, of: ExchangeRecord): Promise<void> {
  return new Promise((resolve, reject) => spool.writeRecord(of, (error) => (error ? reject(error) : resolve())));
}

/** From admission to record. */
export async function run(
  opened: Opened,
  exchange: Told,
  worst: bigint,
  cost: Cost,
  tokens: number | null = 10,
): Promise<boolean> {
  const held = await hold(opened.ledger, exchange, worst, tokens ?? 10);
  if (held === null) return false;
  await writeIntent(opened.store.spool, intent(exchange, held));
  opened.ledger.charge(held, { cost, tokens: cost.state === 'free' ? 0 : tokens });
  await writeRecord(opened.store.spool, record(exchange, cost, tokens));
  return true;
}

export const keyBudget = (limitMoney: bigint, more: Partial<NewBudget> = {}): NewBudget => ({
  scope: 'key',
  keyId: 'key_one',
  limitMoney,
  ...more,
});
