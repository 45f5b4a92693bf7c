// Builds every part from the settings, and starts and stops them in order. The only file that knows all of them.
import type { Duplex } from 'node:stream';

import { openAdmin } from './admin/admin.ts';
import { openAssistants, openBackup } from './assistants/assistants.ts';
import { openAudit } from './audit/audit.ts';
import { keptAdminToken, leaveWhereabouts, removeWhereabouts } from './config/data-dir.ts';
import type { Config } from './config/load.ts';
import { Secret } from './config/secret.ts';
import { SYSTEM } from './domain/audit.ts';
import { type Clock, systemClock } from './domain/clock.ts';
import { Refusal } from './domain/refusal.ts';
import { openEstimates } from './estimates/estimates.ts';
import { LITELLM_TAGS_HEADERS, TAGS_HEADER } from './http/headers.ts';
import { sendJson, sendRefusal } from './http/reply.ts';
import { type DownstreamReply, type DownstreamRequest, openListener } from './http/server.ts';
import { Handshake } from './http/websocket.ts';
import { equalHashes, hashToken, newAdminToken, openKeys } from './keys/keys.ts';
import { type Owners, openLedger } from './ledger/ledger.ts';
import { openLimits } from './limits/limits.ts';
import { startLogging } from './logging/logging.ts';
import { ENDPOINTS } from './openai/endpoint-rows.ts';
import { shippedPrices } from './openai/shipped-prices.ts';
import { openOwnership } from './ownership/ownership.ts';
import { openPrices, openUnpricedWatch } from './prices/prices.ts';
import { type Records, openGate, openGenerate, openLitellmHeaders, openProxy } from './proxy/proxy.ts';
import { openReconciliation } from './reconciliation/reconciliation.ts';
import { openSelfService } from './self-service/self-service.ts';
import { openSettlement } from './settlement/settlement.ts';
import { openStore } from './store/store.ts';
import { type Log, openLog } from './telemetry/log.ts';
import { openMetrics } from './telemetry/metrics.ts';
import { VERSION } from './telemetry/version.ts';
import { openUpstream } from './upstream/upstream.ts';

export interface Gateway {
  /** `http://HOST:PORT` of each listener. */
  readonly api: string;
  readonly admin: string;
  readonly adminToken: Secret;
  /** The first virtual key's token, where this start made one: shown once, kept nowhere. */
  readonly firstToken: Secret | null;
  /** Readiness off; running exchanges may finish within the drain; then everything closes. */
  stop(): Promise<void>;
  /** Cuts what runs, writes what is known of it, and closes. */
  stopNow(): Promise<void>;
}

export interface GatewayOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  /** The upstream is the built-in one, and the admin API says so. */
  readonly isSandbox?: boolean;
}

/** How long a key revoked by another replica may still open anything here. */
const SHARED_KEY_MS = 2000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The newest, from which a process learns what the one before it knew. */
const RECALLED_RECORDS = 1000;
/** How long cut exchanges may take to be recorded. */
const CUT_MS = 1500;
const LOOK_EVERY_MS = 20;
/** How long the upstream may be silent when it is asked how work stands. */
const LATE_READ_IDLE_MS = 60_000;

/** @throws Error that names what is wrong and the setting to change; nothing stays open then */
export async function startGateway(config: Config, options: GatewayOptions = {}): Promise<Gateway> {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? openLog(config.logging.level);
  const startedMs = clock.elapsedMs();
  const opened: (() => Promise<void> | void)[] = [];
  const closeAll = async () => {
    for (const close of opened.splice(0).reverse()) await close();
  };
  try {
    const store = await openStore({
      dataDir: config.dataDir,
      durability: config.durability,
      databaseUrl: config.databaseUrl?.reveal() ?? null,
      clock,
    });
    opened.push(() => store.close());
    const keys = await openKeys(store, ENDPOINTS, clock, config.databaseUrl === null ? null : SHARED_KEY_MS);
    opened.push(() => keys.close());
    const adminToken = config.adminToken ?? keptAdminToken(config.dataDir, newAdminToken);
    const logging = await startLogging(store.spool, config.logging, clock, log);
    opened.push(() => logging.close());
    const upstream = openUpstream(config.upstream, clock, config.reconciliation.adminKey);
    opened.push(() => upstream.close());
    const { refusedWrites } = store.spool;
    const metrics = openMetrics({
      activeExchanges: () => proxy.active(),
      refusedWrites,
      lateWork: () => store.work.count(),
      reconciled: () => reconciliation.told(),
      counted: () => reconciliation.counted(),
    });
    const unpriced = openUnpricedWatch({ store: store.prices, clock, log });
    opened.push(() => unpriced.close());
    const ownership = openOwnership(store.owners);
    const records: Records = {
      ...store.spool,
      writeRecord(record, written) {
        ownership.see(record);
        ledger.seeFile(record);
        unpriced.see(record);
        metrics.observeUnpriced(record);
        // A turn is a part of an exchange that is counted as a whole.
        if (record.kind === 'exchange') metrics.observe(record);
        store.spool.writeRecord(record, written);
      },
    };
    const owners: Owners = {
      hasTeam: async (id) => (await keys.teams.find(id)) !== null,
      hasKey: async (id) => (await keys.find(id)) !== null,
      hasUser: async (id) => (await keys.users.find(id)) !== null,
    };
    const { retentionDays } = config.logging;
    const ledger = await openLedger({
      store: store.ledger,
      firstLookMs: config.settlement.firstLookSeconds * 1000,
      spool: store.spool,
      onEntered: metrics.enter,
      recordsKeptMs: retentionDays === 0 ? null : retentionDays * DAY_MS,
      owners,
      clock,
      log,
      whenStoreIsAway: config.ledger.whenStoreIsAway,
    });
    opened.push(() => ledger.close());
    const { data: newestFirst } = await store.spool.listRecords({ limit: RECALLED_RECORDS, cursor: null }, {});
    const recalled = newestFirst.toReversed();
    for (const record of recalled) ledger.seeFile(record);
    const limiter = await openLimits(config, clock, log);
    opened.push(() => limiter.close());
    const estimates = openEstimates();
    opened.push(() => estimates.close());
    estimates.recall(recalled);
    const prices = await openPrices({
      store: store.prices,
      shipped: shippedPrices(),
      settings: config.prices,
      teamId: async (idOrName) => (await keys.teams.find(idOrName))?.id ?? null,
      log,
    });
    opened.push(() => prices.close());
    const isLitellm = config.compatibility.litellm === 'on';
    const gate = openGate({
      limiter,
      ledger,
      estimates,
      prices: () => prices.current(),
      tagHeaders: isLitellm ? [TAGS_HEADER, ...LITELLM_TAGS_HEADERS] : [TAGS_HEADER],
      host: new URL(config.upstream.baseUrl).host,
      elapsedMs: clock.elapsedMs,
      onWorkTold: (told) => settlement.told(told),
    });
    const settlement = openSettlement(
      {
        store: store.work,
        ledger,
        upstream,
        writeRecord: records.writeRecord,
        prices: () => prices.current(),
        host: new URL(config.upstream.baseUrl).host,
        clock,
        log,
      },
      {
        poll: config.settlement.poll,
        firstLookMs: config.settlement.firstLookSeconds * 1000,
        lookMsMax: config.settlement.lookSecondsMax * 1000,
        storageMs: config.settlement.storageSeconds * 1000,
        idleMs: LATE_READ_IDLE_MS,
        webhookSecret: config.webhooks.openaiSecret?.reveal() ?? null,
      },
    );
    opened.push(() => settlement.close());
    const reconciliation = openReconciliation(
      { upstream, ledger, writeRecord: records.writeRecord, clock, log },
      {
        credential: upstream.adminCredential,
        everyMs: config.reconciliation.everyHours * HOUR_MS,
        usageEveryMs: config.reconciliation.usageEveryHours * HOUR_MS,
        thresholdPercent: config.reconciliation.thresholdPercent,
        thresholdUsd: config.reconciliation.thresholdUsd,
        projects: config.reconciliation.projects,
      },
    );
    opened.push(() => reconciliation.close());
    const generator = openGenerate({ keys, gate, upstream, records, clock, log }, config);
    opened.push(() => generator.close());
    const assistants = openAssistants(
      { store: store.assistants, wakeups: store.wakeups, generate: generator.generate, ownership, clock, log },
      config.assistants,
    );
    opened.push(() => assistants.close());
    const others = config.assistants.mode === 'emulate' ? assistants.emulation : null;
    const emulation = openSelfService({ ledger, clock, others });
    const litellm = isLitellm ? openLitellmHeaders(ledger, clock) : null;
    const proxy = openProxy(
      { keys, gate, badKey: limiter.badKey, upstream, records, emulation, litellm, clock, log },
      config,
    );
    opened.push(() => proxy.close());
    opened.push(keys.onClosed(({ covers }) => proxy.stop(covers)));
    const active = () => proxy.active() + generator.active() + assistants.active();
    const adminHash = hashToken(adminToken.reveal());
    const isAdminToken = (token: string) => equalHashes(hashToken(token), adminHash);
    const health = () => ({
      version: VERSION,
      uptime_seconds: Math.round((clock.elapsedMs() - startedMs) / 1000),
      active_exchanges: proxy.active(),
      upstream_origin: new URL(config.upstream.baseUrl).origin,
      sandbox: options.isSandbox === true,
      open_holds: ledger.openHolds(),
      limits: limiter.counting(),
      refused_writes: refusedWrites(),
    });
    const backup = openBackup({ store: store.assistants, owners: store.owners, findTeam: keys.teams.find });
    const admin = openAdmin({
      keys,
      ledger,
      reconciliation,
      prices,
      unpriced,
      audit: openAudit(store.audit),
      spool: store.spool,
      metrics,
      backup,
      health,
      isAdminToken,
      badToken: limiter.badKey,
      clock,
      log,
    });

    let isReady = true;
    const serveApi = (request: DownstreamRequest, reply: DownstreamReply, expectsContinue: boolean) => {
      if (answerHealth(request, reply, isReady) || proxy.serve(request, reply, expectsContinue)) return;
      sendRefusal(reply, notFound(request), null);
    };
    const upgradeApi = (request: DownstreamRequest, socket: Duplex, head: Buffer) => {
      const handshake = new Handshake(request, socket, head);
      if (!proxy.upgrade(handshake)) handshake.refuse(notFound(request));
    };
    const { http } = config;
    const shared = { headerMs: http.headerSeconds * 1000, keepAliveMs: http.keepAliveSeconds * 1000 };
    const adminListener = await openListener({
      ...shared,
      listen: config.adminListen,
      connectionsMax: 0,
      onRequest(request, reply, expectsContinue) {
        if (!settlement.serve(request, reply)) admin.serve(request, reply, expectsContinue);
      },
    });
    opened.push(() => adminListener.close());
    const apiListener = await openListener({
      ...shared,
      listen: config.listen,
      connectionsMax: http.connectionsMax,
      onRequest: serveApi,
      onUpgrade: upgradeApi,
    });
    opened.push(() => apiListener.close());
    // Last, so that a start that fails takes no key along that nobody was shown.
    const firstToken =
      (await keys.count()) === 0 ? new Secret((await keys.create({ name: 'first' }, SYSTEM)).token) : null;
    leaveWhereabouts(config.dataDir, { api: apiListener.url, admin: adminListener.url, pid: process.pid });
    opened.push(() => removeWhereabouts(config.dataDir));

    let stopping: Promise<void> | null = null;
    let isCut = false;
    const drain = async () => {
      isReady = false;
      proxy.stopAdmitting();
      assistants.stopClaiming();
      const deadline = clock.elapsedMs() + config.drainSeconds * 1000;
      while (active() > 0 && !isCut && clock.elapsedMs() < deadline) await pause();
      proxy.cutAll();
      const cutDeadline = clock.elapsedMs() + CUT_MS;
      while (proxy.active() > 0 && clock.elapsedMs() < cutDeadline) await pause();
      await assistants.close();
      while (generator.active() > 0 && clock.elapsedMs() < cutDeadline) await pause();
      await closeAll();
    };
    return {
      api: apiListener.url,
      admin: adminListener.url,
      adminToken,
      firstToken,
      stop: () => (stopping ??= drain()),
      stopNow: () => {
        isCut = true;
        return (stopping ??= drain());
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function notFound({ method, url }: DownstreamRequest): Refusal {
  const message = `There is nothing at ${method} ${url?.slice(0, 200)}. The API is served below /openai, such as /openai/v1/models.`;
  return new Refusal('not_found', message, { param: 'path' });
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, LOOK_EVERY_MS);
  });
}

function answerHealth(request: DownstreamRequest, reply: DownstreamReply, isReady: boolean): boolean {
  if (request.url === '/health/live') sendJson(reply, 200, { status: 'live' });
  else if (request.url === '/health/ready')
    sendJson(reply, isReady ? 200 : 503, { status: isReady ? 'ready' : 'stopping' });
  else return false;
  return true;
}
