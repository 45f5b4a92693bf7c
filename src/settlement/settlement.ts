// The door to what is paid for later: work that exchanges started is looked after until what it cost is entered, on the key that
// started it. Whoever tells that it has ended, a client's read, a webhook or our own looking, it is entered once: by its settle key.
import type { Clock } from '../domain/clock.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import { newId } from '../domain/id.ts';
import {
  type PendingWork,
  type WorkKind,
  type WorkStore,
  type WorkProgress,
  type WorkTold,
  SETTLED_KEPT_MS,
  settleKeyOf,
} from '../domain/pending-work.ts';
import type { Prices } from '../domain/price.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Written } from '../domain/stores.ts';
import { sendJson, sendRefusal } from '../http/reply.ts';
import type { DownstreamReply, DownstreamRequest } from '../http/server.ts';
import type { LateCharge, Ledger } from '../ledger/ledger.ts';
import { workOfEvent } from '../openai/objects.ts';
import type { Log } from '../telemetry/log.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type Charge, type LookParts, type Sight, endOfContainer, endOfStore, lookAt, sightOfFacts } from './looks.ts';
import { hasEnded } from './reckon.ts';
import { nextSample } from './storage.ts';
import { openUpstreamReads } from './upstream-reads.ts';
import { type WebhookInbox, openInbox } from './webhook.ts';

export interface SettlementParts {
  readonly store: WorkStore;
  readonly ledger: Pick<Ledger, 'settleLate' | 'catchUp'>;
  readonly upstream: Upstream;
  readonly writeRecord: (record: ExchangeRecord, written: Written) => void;
  readonly prices: () => Prices & { readonly freeVectorStoreBytes: bigint };
  /** Of the upstream, on which prices may depend. */
  readonly host: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface SettlementSettings {
  /** Whether to look after work by itself. */
  readonly poll: boolean;
  readonly firstLookMs: number;
  readonly lookMsMax: number;
  /** Between looks at a vector store. */
  readonly storageMs: number;
  /** Without a byte of a reply. */
  readonly idleMs: number;
  /** Null: webhooks are not taken. */
  readonly webhookSecret: string | null;
}

export interface Settlement {
  /** Looks at all that is due now. */
  look(): Promise<void>;
  /** A client's own exchange told of work. Whoever tells does not wait. */
  told(told: WorkTold): void;
  /** Serves OpenAI's webhooks; false for any other path, which is then somebody else's. */
  serve(request: DownstreamRequest, reply: DownstreamReply): boolean;
  /** Resolves when nothing that was told is being looked into. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

const HOUR_MS = 3_600_000;
/** How long after its start work may go without anybody learning what it cost; null for what stands until it is taken away. */
const DEADLINES_MS: Readonly<Record<WorkKind, number | null>> = {
  response: 24 * HOUR_MS,
  chat_completion: 24 * HOUR_MS,
  // A batch has 24 hours, and two days more until its end is known.
  batch: 72 * HOUR_MS,
  fine_tuning_job: 7 * 24 * HOUR_MS,
  video: 24 * HOUR_MS,
  eval_run: 72 * HOUR_MS,
  container: 7 * 24 * HOUR_MS,
  vector_store: null,
};
const LEASE_MS = 120_000;
const FORGET_EVERY_MS = HOUR_MS;
/** Looked at together. */
const LOOKS_MAX = 8;
const TICK_MS = 1000;
const WEBHOOK_PATH = '/webhooks/openai';
const WEBHOOK_BYTES_MAX = 256 * 1024;
/** Work whose end was told and entered; a client that goes on reading it is not looked up each time. */
const SETTLED_REMEMBERED_MAX = 10_000;

export function openSettlement(parts: SettlementParts, settings: SettlementSettings): Settlement {
  const { store, ledger, upstream, writeRecord, prices, host, clock, log } = parts;
  const owner = newId('replica', clock.now());
  const reads = openUpstreamReads({ upstream, writeRecord, clock, idleMs: settings.idleMs });
  const inbox: WebhookInbox | null = settings.webhookSecret === null ? null : openInbox(settings.webhookSecret);
  const lookParts: LookParts = {
    read: reads.read,
    pricedAt: () => ({ prices: prices(), host }),
    freeBytes: () => prices().freeVectorStoreBytes,
    storedBytes: () => store.storedBytes(),
    now: () => clock.now(),
  };
  const settled = new Set<string>();
  const underWay = new Set<Promise<void>>();
  let looking: Promise<void> | null = null;
  let timer: NodeJS.Timeout | null = null;
  let isClosed = false;
  let forgetAt = 0;

  async function lookAtAllDue(): Promise<void> {
    while (!isClosed) {
      const due = await store.claimDue({ owner, leaseMs: LEASE_MS, limit: LOOKS_MAX });
      if (due.length === 0) break;
      await Promise.all(due.map((work) => lookAfter(work)));
    }
    await forgetSettled();
  }

  async function forgetSettled(): Promise<void> {
    const at = clock.now();
    if (isClosed || at < forgetAt) return;
    while ((await store.forgetSettled(at - SETTLED_KEPT_MS)) > 0) if (isClosed) return;
    forgetAt = at + FORGET_EVERY_MS;
  }

  /** The work is ours by its lease. */
  async function lookAfter(work: PendingWork): Promise<void> {
    await follow(work, await lookAt(work, lookParts));
  }

  async function follow(work: PendingWork, sight: Sight): Promise<void> {
    const { settleKey } = work;
    if (sight.kind === 'unknown' && isClosed) {
      // We broke off ourselves: it is as due as it was.
      await store.putOff(settleKey, owner, { nextLookAt: work.nextLookAt, progress: work.progress });
      return;
    }
    if (sight.kind === 'unknown') {
      await putOff(work, work.progress, sight.why);
      return;
    }
    let isResolved = work.progress.isResolved === true;
    for (const charge of sight.charges) {
      await enter(work, charge, work.isGuessed ? 'corrects' : work.isResolving && !isResolved ? 'resolves' : 'adds');
      isResolved = true;
    }
    if (sight.kind === 'ended') await finish(settleKey);
    else await putOff(work, isResolved ? { ...sight.progress, isResolved } : sight.progress, null);
  }

  async function enter(work: PendingWork, charge: Charge, part: LateCharge['part']): Promise<void> {
    const { settleKey, servicePeriod } = charge;
    const { cost, readings, model } = charge.bill;
    const isNews = await ledger.settleLate({
      part,
      settleKey,
      startedBy: work.exchangeId,
      cost,
      readings,
      model,
      at: clock.now(),
      servicePeriod,
    });
    if (!isNews) return;
    log.info('late work was settled', { settleKey, exchange: work.exchangeId, state: cost.state });
  }

  async function finish(settleKey: string): Promise<void> {
    await store.end(settleKey, 'settled');
    if (settled.size >= SETTLED_REMEMBERED_MAX) settled.clear();
    settled.add(settleKey);
  }

  async function putOff(work: PendingWork, progress: WorkProgress, why: string | null): Promise<void> {
    const { settleKey, kind, startedAt, looks, state, isGuessed } = work;
    const now = clock.now();
    const deadlineMs = DEADLINES_MS[kind];
    if (deadlineMs !== null && now >= startedAt + deadlineMs) {
      // The estimate stands.
      if (isGuessed === true) return finish(settleKey);
      if (state === 'open') {
        const facts = { settleKey, exchange: work.exchangeId, key: work.keyId, last: why ?? 'in_progress' };
        log.error('late work was not settled in its time: what it cost is not known', facts);
      }
      await store.end(settleKey, 'unsettled');
      return;
    }
    const waitMs = Math.min(settings.firstLookMs * 2 ** Math.min(looks, 30), settings.lookMsMax);
    const isStored = kind === 'vector_store' && why === null;
    const nextLookAt = isStored ? nextSample(now, settings.storageMs) : now + waitMs;
    await store.putOff(settleKey, owner, { nextLookAt, progress });
  }

  async function lookIntoTold({ kind, id, isDeleted, facts }: WorkTold): Promise<void> {
    const work = await find(settleKeyOf(kind, id));
    if (work === null || work.state === 'settled') return;
    const sight = isDeleted ? null : sightOfFacts(work, facts, lookParts);
    if (sight !== null) await follow(work, sight);
    else if (isDeleted) await followEnd(work);
    else await lookNow(work.settleKey);
  }

  /** What was taken away at a client's word is paid for until now. */
  async function followEnd({ settleKey, kind }: PendingWork): Promise<void> {
    if (kind !== 'container' && kind !== 'vector_store') return;
    const work = await store.claim(settleKey, { owner, leaseMs: LEASE_MS });
    if (work === null) return;
    const goneAt = clock.now();
    const isStore = kind === 'vector_store';
    await follow(
      work,
      isStore ? await endOfStore(work, lookParts, goneAt) : endOfContainer(work, work.progress, lookParts, goneAt),
    );
  }

  async function lookNow(settleKey: string): Promise<void> {
    const work = await store.claim(settleKey, { owner, leaseMs: LEASE_MS });
    if (work !== null) await lookAfter(work);
  }

  /** The exchange that started it may have ended a moment ago. */
  async function find(settleKey: string): Promise<PendingWork | null> {
    const work = await store.find(settleKey);
    if (work !== null) return work;
    await ledger.catchUp();
    return store.find(settleKey);
  }

  function begin(step: () => Promise<void>): void {
    const running = step().catch((error: unknown) => {
      // It is looked at again when it is due.
      log.warn('late work was not looked at', { why: error instanceof Error ? error.message : String(error) });
    });
    underWay.add(running);
    void running.then(() => underWay.delete(running));
  }

  function look(): Promise<void> {
    looking ??= lookAtAllDue().finally(() => {
      looking = null;
    });
    return looking;
  }

  async function tick(): Promise<void> {
    try {
      await (settings.poll ? look() : forgetSettled());
    } catch (error) {
      log.warn('late work is not looked at, will try again', {
        why: error instanceof Error ? error.message : String(error),
      });
    }
    if (!isClosed) plan();
  }

  function plan(): void {
    const everyMs = settings.poll ? Math.min(TICK_MS, Math.max(20, settings.firstLookMs)) : FORGET_EVERY_MS;
    timer = setTimeout(() => void tick(), everyMs);
    timer.unref();
  }
  plan();

  async function receive(request: DownstreamRequest, reply: DownstreamReply): Promise<void> {
    if (inbox === null) {
      const message = 'Webhooks are taken where webhooks.openaiSecret (OPENAI_WEBHOOK_SECRET) is set.';
      throw new Refusal('not_found', message);
    }
    if (request.method !== 'POST') throw new Refusal('method_not_allowed', 'A webhook is a POST.');
    const body = await readBody(request);
    const event = inbox.open(request.rawHeaders, body, clock.now());
    const kind = event === null ? null : workOfEvent(event.type);
    const id = event?.objectId ?? null;
    // It need not wait: should this process die now, the work is looked at when it is due.
    if (kind !== null && id !== null) begin(() => lookIntoEvent(kind, id));
    sendJson(reply, 200, { received: true });
  }

  async function lookIntoEvent(kind: WorkKind, id: string): Promise<void> {
    const work = await find(settleKeyOf(kind, id));
    if (work !== null && work.state !== 'settled') await lookNow(work.settleKey);
  }

  return {
    look,
    told(told) {
      const key = settleKeyOf(told.kind, told.id);
      if (isClosed || settled.has(key) || !isNews(told)) return;
      begin(() => lookIntoTold(told));
    },
    serve(request, reply) {
      if (request.url !== WEBHOOK_PATH) return false;
      receive(request, reply).catch((error: unknown) => {
        if (!(error instanceof Refusal))
          log.error('webhook failed', { why: error instanceof Error ? (error.stack ?? error.message) : String(error) });
        const refusal =
          error instanceof Refusal ? error : new Refusal('internal_error', 'The gateway failed. Its log says why.');
        if (!reply.destroyed) sendRefusal(reply, refusal, null);
      });
      return true;
    },
    async idle() {
      while (underWay.size > 0) await Promise.all(underWay);
    },
    async close() {
      isClosed = true;
      if (timer !== null) clearTimeout(timer);
      reads.close();
      await Promise.all([...underWay, looking?.catch(() => {})]);
    },
  };
}

/** Most of what clients read while they wait says that the work goes on. */
function isNews({ kind, isDeleted, facts }: WorkTold): boolean {
  if (isDeleted) return kind === 'container' || kind === 'vector_store';
  if (kind === 'chat_completion') return facts.usages.length > 0;
  return kind !== 'container' && kind !== 'vector_store' && hasEnded(kind, facts.status);
}

async function readBody(request: DownstreamRequest): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > WEBHOOK_BYTES_MAX)
      throw new Refusal('body_too_large', `A webhook has at most ${WEBHOOK_BYTES_MAX} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
