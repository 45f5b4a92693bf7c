// Work that goes on, its scripted upstream, and replicas that look after it: store, ledger and settlement, without the relay.
import { once } from 'node:events';
import { type IncomingMessage, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { resolveConfig } from '../../src/config/load.ts';
import type { Clock } from '../../src/domain/clock.ts';
import type { Entry } from '../../src/domain/entry.ts';
import type { ExchangeRecord, ObjectRecord } from '../../src/domain/exchange-record.ts';
import type { WorkKind } from '../../src/domain/pending-work.ts';
import type { Ledger, LedgerParts } from '../../src/ledger/ledger.ts';
import { buildPrices } from '../../src/openai/prices.ts';
import { shippedPrices } from '../../src/openai/shipped-prices.ts';
import { type Settlement, type SettlementSettings, openSettlement } from '../../src/settlement/settlement.ts';
import type { Store } from '../../src/store/store.ts';
import { openUpstream } from '../../src/upstream/upstream.ts';
import { type Told, aCost, hold, intent, open, record, silent, writeIntent, writeRecord } from './ledger.ts';

export const PRICES = buildPrices({ shipped: shippedPrices(), refreshed: null, overrides: null, contracts: null });

export interface Answer {
  readonly status?: number;
  /** JSON, or text as it is. */
  readonly body: unknown;
  /** Breaks off in the middle. */
  readonly isCut?: boolean;
}

export interface LateUpstream {
  readonly url: string;
  /** By path; what is not there is answered with 404. */
  readonly answers: Map<string, Answer | ((request: IncomingMessage) => Answer | Promise<Answer>)>;
  readonly asked: { readonly method: string; readonly path: string; readonly authorization: string }[];
  close(): Promise<void>;
}

export async function startLateUpstream(): Promise<LateUpstream> {
  const answers: LateUpstream['answers'] = new Map();
  const asked: { method: string; path: string; authorization: string }[] = [];
  const server = createServer((request, reply) => {
    void (async () => {
      const path = request.url ?? '';
      asked.push({ method: request.method ?? '', path, authorization: request.headers.authorization ?? '' });
      for await (const chunk of request) void chunk;
      const found = answers.get(`${request.method} ${path}`) ?? answers.get(path);
      const answer = typeof found === 'function' ? await found(request) : found;
      const { status = 200, body, isCut = false } = answer ?? { status: 404, body: { error: { message: 'none' } } };
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const isStream = text.startsWith('event: ');
      const type = isStream ? 'text/event-stream' : typeof body === 'string' ? 'text/plain' : 'application/json';
      reply.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
      if (!isCut) reply.end(text);
      else reply.write(text.slice(0, text.length / 2), () => reply.destroy());
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    answers,
    asked,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export interface Replica {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly settlement: Settlement;
  close(): Promise<void>;
}

export interface ReplicaOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly upstream: LateUpstream;
  readonly databaseUrl?: string;
  readonly settings?: Partial<SettlementSettings>;
  /** What the settlement takes for the ledger. */
  readonly ledgerOf?: (ledger: Ledger) => Pick<Ledger, 'settleLate' | 'catchUp'>;
  readonly log?: LedgerParts['log'];
}

export async function openReplica(options: ReplicaOptions): Promise<Replica> {
  const { dataDir, clock, upstream, databaseUrl, settings = {}, ledgerOf, log = silent } = options;
  const { store, ledger, close } = await open(dataDir, clock, {}, databaseUrl);
  const credentials = ['first', 'second'].map((name) => ({ name, apiKey: `env:${name.toUpperCase()}` }));
  const config = resolveConfig(
    { upstream: { baseUrl: upstream.url, credentials } },
    { FIRST: 'sk-first', SECOND: 'sk-second' },
  );
  const connections = openUpstream(config.upstream, clock);
  const settlement = openSettlement(
    {
      store: store.work,
      ledger: ledgerOf?.(ledger) ?? ledger,
      upstream: connections,
      writeRecord: store.spool.writeRecord,
      prices: () => PRICES,
      host: 'api.openai.com',
      clock,
      log,
    },
    {
      poll: false,
      firstLookMs: 15_000,
      lookMsMax: 900_000,
      storageMs: 3_600_000,
      idleMs: 5000,
      webhookSecret: null,
      ...settings,
    },
  );
  return {
    store,
    ledger,
    settlement,
    async close() {
      await settlement.close();
      await connections.close();
      await close();
    },
  };
}

const PATHS: Readonly<Record<WorkKind, string>> = {
  response: '/v1/responses',
  chat_completion: '/v1/chat/completions',
  batch: '/v1/batches',
  fine_tuning_job: '/v1/fine_tuning/jobs',
  video: '/v1/videos',
  vector_store: '/v1/vector_stores',
  container: '/v1/containers',
  eval_run: '/v1/evals/eval_1/runs',
};

const NOTHING_ASKED = { seconds: null, size: null, serviceTier: null, cacheRetention: null, memoryLimit: null };

/**
 * The exchange that started work, from admission to record, entered.
 * @param worst what it sets aside
 * @param guess what it was estimated to cost, where it did not start work that goes on by itself
 */
export async function startWork(
  { ledger, store }: Replica,
  exchange: Told,
  kind: WorkKind,
  id: string,
  more: {
    readonly asked?: ObjectRecord['asked'];
    readonly credential?: string;
    readonly worst?: bigint;
    readonly guess?: bigint;
  } = {},
): Promise<void> {
  const held = await hold(ledger, exchange, more.worst ?? 0n);
  const { guess } = more;
  const cost = guess === undefined ? aCost(null, 'pending') : aCost(guess, 'estimated');
  const asked = more.asked ?? (guess === undefined ? undefined : NOTHING_ASKED);
  await writeIntent(store.spool, intent(exchange, held));
  if (held !== null) ledger.charge(held, { cost, tokens: null });
  const attempt = { origin: 'upstream', credential: more.credential ?? 'first', status: 200, error: null, total_us: 1 };
  const path = PATHS[kind];
  const written: ExchangeRecord = {
    ...record(exchange, cost, null),
    path,
    endpoint: path.replace('eval_1', '{eval_id}'),
    objects: [{ kind, id, ...(asked !== undefined && { asked }) }],
    attempts: [attempt],
  };
  await writeRecord(store.spool, written);
  await ledger.catchUp();
}

/** All entries that are not exchanges, in the order of their settle keys. */
export async function lateEntries({ store, ledger }: Replica): Promise<readonly Entry[]> {
  await ledger.catchUp();
  const entries = await store.ledger.entriesAfter('', 10_000);
  return entries.filter(({ isExchange }) => !isExchange);
}
