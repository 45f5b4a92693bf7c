// The door of reconciliation: what the upstream bills is compared with what the ledger says, by day and thing. It changes nothing.
import type { Money } from '../domain/money.ts';
import { formatUsd } from '../domain/money.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { COSTS_PATH, USAGE_PATHS } from '../openai/organization.ts';
import type { Log } from '../telemetry/log.ts';
import type { PooledCredential } from '../upstream/upstream.ts';
import { type CauseCode, type Comparison, compare } from './causes.ts';
import { type Bucket, type OrganizationReadParts, openOrganizationReads } from './organization-reads.ts';
import { DAY_MS, Sides } from './sides.ts';
import { checkUsage } from './usage-check.ts';

export type { Compared } from './causes.ts';

export interface ReconciliationParts extends OrganizationReadParts {
  readonly ledger: Pick<Ledger, 'catchUp' | 'entriesBetween' | 'enterDrift'>;
  readonly log: Log;
}

export interface ReconciliationSettings {
  /** Null: nothing can be compared. */
  readonly credential: PooledCredential | null;
  /** 0: only when somebody asks. */
  readonly everyMs: number;
  /** Between two looks at what the upstream counted; 0: none. */
  readonly usageEveryMs: number;
  readonly thresholdPercent: number;
  readonly thresholdUsd: number;
  /** Empty is all. */
  readonly projects: readonly string[];
}

export interface Reconciled extends Comparison {
  /** Whole days, milliseconds since 1970, [from, to). */
  readonly from: number;
  readonly to: number;
  readonly at: number;
  readonly ledger: Money;
  readonly upstream: Money;
  readonly drift: Money;
  /** Above one of the thresholds. */
  readonly isAlert: boolean;
  /** By project, all that the organization bills: also those that are not compared. */
  readonly projects: readonly {
    readonly project: string | null;
    readonly isCompared: boolean;
    readonly billed: Money;
  }[];
  /** Paths that the upstream would not tell of. */
  readonly untold: readonly string[];
}

export interface Reconciliation {
  /** @param span days are compared whole. @throws Refusal */
  compare(span: { readonly from: number; readonly to: number }): Promise<Reconciled>;
  /**
   * Compares, and enters each drift of a day that is over for three days, on nobody's account: what is pending, moved to another day or
   * rounded is left. @returns the comparison before, and how many entries were made
   */
  adjust(span: { readonly from: number; readonly to: number }): Promise<{
    readonly compared: Reconciled;
    readonly entered: number;
  }>;
  /** Of the last comparison that was made by the clock, for metrics; null where there was none. */
  told(): { readonly driftUsd: number; readonly alert: 0 | 1; readonly atSeconds: number } | null;
  /** Of the last look at what the upstream counted. */
  counted(): { readonly driftTokens: number; readonly alert: 0 | 1; readonly atSeconds: number } | null;
  close(): Promise<void>;
}

const DAYS_MAX = 31;
/** The upstream's data of a day is whole by then. */
const LOOK_BACK_DAYS = 3;
const FIRST_MS = 60_000;
/** What time sets right, or means nothing. */
const LEFT_ALONE: ReadonlySet<CauseCode> = new Set(['pending', 'other_day', 'rounding']);

export function openReconciliation(parts: ReconciliationParts, settings: ReconciliationSettings): Reconciliation {
  const { ledger, clock, log } = parts;
  const { credential } = settings;
  const reads = credential === null ? null : openOrganizationReads(parts, credential);
  let last: Reconciled | null = null;
  let lastCounted: ReturnType<Reconciliation['counted']> = null;
  let miscounted = '';
  let isClosed = false;
  let running: Promise<unknown> = Promise.resolve();

  async function run(span: { readonly from: number; readonly to: number }): Promise<Reconciled> {
    if (reads === null) {
      const message =
        'There is no admin key of the upstream account; set reconciliation.adminKey (env:NAME or file:/path).';
      throw new Refusal('conflict', message);
    }
    const from = span.from - (span.from % DAY_MS);
    const to = Math.ceil(span.to / DAY_MS) * DAY_MS;
    if (to <= from || to - from > DAYS_MAX * DAY_MS)
      throw new Refusal('bad_request', `At least one day and at most ${DAYS_MAX} are compared at once.`, {
        param: 'from',
      });
    const sides = new Sides();
    const costs = await reads.days(COSTS_PATH, ['project_id', 'line_item', 'api_key_id'], from, to);
    const untold: string[] = [];
    for (const { path, subject, groups } of USAGE_PATHS) {
      try {
        for (const bucket of await reads.days(path, groups, from, to)) sides.addUsage(compared(bucket), subject);
      } catch (error) {
        // What is billed can be compared without it; causes are then less sure.
        if (!(error instanceof Refusal)) throw error;
        untold.push(path);
      }
    }
    const projects = new Map<string | null, Money>();
    for (const bucket of costs) {
      sides.addCosts(compared(bucket));
      for (const row of bucket.results) {
        const project = typeof row['project_id'] === 'string' ? row['project_id'] : null;
        const only = new Sides();
        only.addCosts({ day: bucket.day, results: [row] });
        projects.set(
          project,
          (projects.get(project) ?? 0n) + only.pairs().reduce((sum, { upstream }) => sum + upstream.billed, 0n),
        );
      }
    }
    await ledger.catchUp();
    const isIn = (at: number) => from <= at && at < to;
    for await (const page of ledger.entriesBetween({ from, to, withLater: true })) {
      for (const entry of page) {
        // What prices were set right later belongs to the day of the exchange.
        const at = entry.kind === 'adjustment' ? (entry.servicePeriod?.from ?? entry.at) : entry.at;
        if (isIn(at)) sides.addEntry(entry, at - (at % DAY_MS));
        const { resolves } = entry;
        if (resolves !== null && isIn(resolves.at)) sides.resolve(entry, resolves.at - (resolves.at % DAY_MS));
      }
    }
    const comparison = compare(sides.pairs());
    let [known, billed] = [0n, 0n];
    for (const row of comparison.rows) {
      known += row.ledger.measured + row.ledger.estimated;
      billed += row.upstream.billed;
    }
    const drift = billed - known;
    return {
      ...comparison,
      from,
      to,
      at: clock.now(),
      ledger: known,
      upstream: billed,
      drift,
      isAlert: isOver(drift, billed),
      projects: [...projects].map(([project, money]) => ({ project, isCompared: isOurs(project), billed: money })),
      untold,
    };
  }

  function isOurs(project: unknown): boolean {
    return settings.projects.length === 0 || (typeof project === 'string' && settings.projects.includes(project));
  }

  function compared({ day, results }: Bucket): Bucket {
    return { day, results: results.filter((row) => isOurs(row['project_id'])) };
  }

  function isOver(drift: Money, billed: Money): boolean {
    const size = Math.abs(Number(drift)) / 1e12;
    return size > settings.thresholdUsd || size > (Math.abs(Number(billed)) / 1e12) * (settings.thresholdPercent / 100);
  }

  async function adjust(span: { readonly from: number; readonly to: number }) {
    const compared = await run(span);
    const today = clock.now() - (clock.now() % DAY_MS);
    const drifts = compared.rows
      .filter(({ day, drift }) => drift !== 0n && day + LOOK_BACK_DAYS * DAY_MS <= today)
      .filter(({ causes }) => !causes.some(({ code }) => LEFT_ALONE.has(code)))
      .map(({ day, subject, drift }) => ({ day, subject, amount: drift }));
    return { compared, entered: await ledger.enterDrift(drifts) };
  }

  async function look(): Promise<void> {
    const today = clock.now() - (clock.now() % DAY_MS);
    try {
      last = await run({ from: today - LOOK_BACK_DAYS * DAY_MS, to: today });
    } catch (error) {
      if (isClosed) return;
      log.warn('reconciliation failed', { why: error instanceof Error ? error.message : String(error) });
      return;
    }
    const { drift, upstream, ledger: known, isAlert, suggestedFactor, rows } = last;
    const figures = { upstream_usd: formatUsd(upstream), ledger_usd: formatUsd(known), drift_usd: formatUsd(drift) };
    if (!isAlert) {
      log.info('reconciled with the upstream', figures);
      return;
    }
    const causes = [...new Set(rows.flatMap((row) => row.causes.map(({ code }) => code)))].join(', ');
    const factor = suggestedFactor === null ? {} : { suggested_factor: suggestedFactor };
    log.warn('the upstream bills something else than the ledger says', { ...figures, causes, ...factor });
  }

  async function lookAtUsage(): Promise<void> {
    if (reads === null) return;
    try {
      const now = clock.now();
      const { models, driftTokens } = await checkUsage(
        { reads, ledger, ours: compared },
        now,
        settings.thresholdPercent,
      );
      lastCounted = { driftTokens, alert: models.length > 0 ? 1 : 0, atSeconds: Math.floor(now / 1000) };
      const names = models.map(({ model }) => model).join(', ');
      // Once for the same models: they are looked at again each hour.
      for (const each of names === miscounted ? [] : models)
        log.warn('the upstream counted other tokens than went through', {
          model: each.model,
          upstream_tokens: each.upstreamTokens,
          ledger_tokens: each.ledgerTokens,
          upstream_requests: each.upstreamRequests,
          ledger_requests: each.ledgerRequests,
        });
      miscounted = names;
    } catch (error) {
      if (isClosed) return;
      log.warn('what the upstream counted was not read', {
        why: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** One after the other: each reads much. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = running.then(work, work);
    running = done.catch(() => {});
    return done;
  }

  const timers: NodeJS.Timeout[] = [];
  for (const [work, everyMs] of [
    [look, settings.everyMs],
    [lookAtUsage, settings.usageEveryMs],
  ] as const) {
    if (reads === null || everyMs <= 0) continue;
    timers.push(setTimeout(() => void inTurn(work), Math.min(FIRST_MS, everyMs)));
    timers.push(setInterval(() => void inTurn(work), everyMs));
  }
  for (const timer of timers) timer.unref();
  return {
    compare: (span) => inTurn(() => run(span)),
    adjust: (span) => inTurn(() => adjust(span)),
    told() {
      if (last === null) return null;
      return {
        driftUsd: Number(formatUsd(last.drift)),
        alert: last.isAlert ? 1 : 0,
        atSeconds: Math.floor(last.at / 1000),
      };
    },
    counted: () => lastCounted,
    async close() {
      isClosed = true;
      for (const timer of timers) clearTimeout(timer);
      reads?.close();
      await running;
    },
  };
}
