// How the gateway fares, in numbers, for Prometheus. An exchange costs a few map look-ups; text is made when somebody asks.
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';

import { CostTally } from '../domain/cost-tally.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import { formatUsd } from '../domain/money.ts';
import { codeOf } from '../domain/price.ts';

export interface Metrics {
  /** Counts an arrival by its record, whether it was let through or refused. */
  observe(record: ExchangeRecord): void;
  /** Counts what was entered in the ledger. */
  enter(tally: CostTally): void;
  /** Counts what has no price: an exchange, or one turn of a socket. */
  observeUnpriced(record: ExchangeRecord): void;
  /** What Prometheus reads. */
  text(): Promise<string>;
}

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Read when somebody asks. */
export interface Gauges {
  readonly activeExchanges: () => number;
  readonly refusedWrites: () => number;
  /** The last comparison of what the upstream bills with the ledger; null before the first. */
  readonly reconciled?: () => { readonly driftUsd: number; readonly alert: 0 | 1; readonly atSeconds: number } | null;
  /** The last look at what the upstream counted, likewise. */
  readonly counted?: () => { readonly driftTokens: number; readonly alert: 0 | 1; readonly atSeconds: number } | null;
  /** Work that is paid for later, by kind and state. */
  readonly lateWork?: () => Promise<
    readonly { readonly kind: string; readonly state: string; readonly count: number }[]
  >;
}

/** Exchanges that share all labels. */
interface Series {
  readonly labels: { readonly endpoint: string; readonly status: string; readonly ending: string };
  count: number;
}

export function openMetrics({ activeExchanges, refusedWrites, reconciled, counted, lateWork }: Gauges): Metrics {
  // By endpoint, status and ending: nested, because joining them to one name would cost more than all the rest.
  const exchanges = new Map<string, Map<number, Map<string, Series>>>();
  const refusals = new Map<string, number>();
  /** By reason, then by endpoint: both are few. */
  const unpriced = new Map<string, Map<string, number>>();
  const costs = new CostTally();
  const registry = new Registry();
  const registers = [registry];

  new Counter({
    name: 'throughway_exchanges_total',
    help: 'Exchanges that were let through, by endpoint (the row of OpenAI’s API, "unknown" for a path that no row knows), HTTP status and ending.',
    labelNames: ['endpoint', 'status', 'ending'],
    registers,
    collect() {
      this.reset();
      for (const byStatus of exchanges.values()) {
        for (const byEnding of byStatus.values()) {
          for (const { labels, count } of byEnding.values()) this.inc(labels, count);
        }
      }
    },
  });
  new Counter({
    name: 'throughway_refusals_total',
    help: 'Arrivals that the gateway refused, by the code that the client was told.',
    labelNames: ['code'],
    registers,
    collect() {
      this.reset();
      for (const [code, count] of refusals) this.inc({ code }, count);
    },
  });
  new Counter({
    name: 'throughway_cost_usd_total',
    help: 'US dollars that this process entered in the ledger, by state: "priced" and "partial" are measured, "estimated" was counted here.',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset();
      for (const [state, { amount }] of costs.byState) if (amount > 0n) this.inc({ state }, Number(formatUsd(amount)));
    },
  });
  new Counter({
    name: 'throughway_costs_total',
    help: 'Costs that this process entered in the ledger, by state. "unpriced" is unknown, which is not zero; what was "pending" is entered once more when it is known.',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset();
      for (const [state, { entries }] of costs.byState) this.inc({ state }, entries);
    },
  });
  new Counter({
    name: 'throughway_cost_corrections_usd_total',
    help: 'US dollars by which this process corrected earlier costs, "up" or "down".',
    labelNames: ['direction'],
    registers,
    collect() {
      this.reset();
      this.inc({ direction: 'up' }, Number(formatUsd(costs.raised)));
      this.inc({ direction: 'down' }, Number(formatUsd(costs.lowered)));
    },
  });
  new Counter({
    name: 'throughway_unpriced_total',
    help: 'Exchanges and turns of sockets that have no price, which is not zero, by reason and endpoint.',
    labelNames: ['reason', 'endpoint'],
    registers,
    collect() {
      this.reset();
      for (const [reason, byEndpoint] of unpriced) {
        for (const [endpoint, count] of byEndpoint) this.inc({ reason, endpoint }, count);
      }
    },
  });
  new Gauge({
    name: 'throughway_active_exchanges',
    help: 'Exchanges that were let through and have not ended.',
    registers,
    collect() {
      this.set(activeExchanges());
    },
  });
  new Counter({
    name: 'throughway_spool_refused_writes_total',
    help: 'Intents and records that the disk of the data dir did not take.',
    registers,
    collect() {
      this.reset();
      this.inc(refusedWrites());
    },
  });

  /** Nothing is said before the first comparison: no drift is not a drift of 0. */
  function gaugesOfLast<Told extends object>(
    last: (() => Told | null) | undefined,
    gauges: readonly (readonly [name: string, help: string, value: (told: Told) => number])[],
  ): void {
    if (last === undefined) return;
    for (const [name, help, value] of gauges) {
      new Gauge({
        name: `throughway_reconciliation_${name}`,
        help,
        registers,
        collect() {
          const told = last();
          if (told === null) this.remove({});
          else this.set(value(told));
        },
      });
    }
  }

  gaugesOfLast(reconciled, [
    [
      'drift_usd',
      'US dollars that the upstream billed more than the ledger says, at the last comparison.',
      (told) => told.driftUsd,
    ],
    ['alert', 'Whether that was above one of the thresholds.', (told) => told.alert],
    ['timestamp_seconds', 'When that was.', (told) => told.atSeconds],
  ]);
  gaugesOfLast(counted, [
    [
      'usage_drift_tokens',
      'Tokens that the upstream counted more than went through, in a day.',
      (told) => told.driftTokens,
    ],
    ['usage_alert', 'Whether a model differed by more than the threshold.', (told) => told.alert],
    ['usage_timestamp_seconds', 'When that was.', (told) => told.atSeconds],
  ]);
  if (lateWork !== undefined) {
    new Gauge({
      name: 'throughway_late_work',
      help: 'Work that exchanges started and that is paid for later, by its kind and state; "unsettled" is what nobody learnt the cost of in its time.',
      labelNames: ['kind', 'state'],
      registers,
      async collect() {
        this.reset();
        // Without the store all other numbers are wanted the more.
        for (const { kind, state, count } of await lateWork().catch(() => [])) this.set({ kind, state }, count);
      },
    });
  }

  return {
    observe({ endpoint, status, ending, refusal }) {
      if (refusal !== null) refusals.set(refusal, (refusals.get(refusal) ?? 0) + 1);
      else seriesOf(exchanges, endpoint ?? 'unknown', status ?? 0, ending ?? 'unknown').count++;
    },
    enter: (tally) => costs.addAll(tally),
    observeUnpriced({ cost, endpoint }) {
      if (cost.state !== 'unpriced') return;
      const reason = codeOf(cost.why);
      const byEndpoint = unpriced.get(reason) ?? added(unpriced, reason, new Map<string, number>());
      byEndpoint.set(endpoint ?? 'unknown', (byEndpoint.get(endpoint ?? 'unknown') ?? 0) + 1);
    },
    text: async () => `${await registry.metrics()}${await processRegistry().metrics()}`,
  };
}

function seriesOf(
  exchanges: Map<string, Map<number, Map<string, Series>>>,
  endpoint: string,
  status: number,
  ending: string,
): Series {
  const byStatus = exchanges.get(endpoint) ?? added(exchanges, endpoint, new Map<number, Map<string, Series>>());
  const byEnding = byStatus.get(status) ?? added(byStatus, status, new Map<string, Series>());
  return byEnding.get(ending) ?? added(byEnding, ending, newSeries(endpoint, status, ending));
}

function newSeries(endpoint: string, status: number, ending: string): Series {
  return { labels: { endpoint, status: status === 0 ? 'none' : String(status), ending }, count: 0 };
}

function added<K, V>(map: Map<K, V>, key: K, value: V): V {
  map.set(key, value);
  return value;
}

let ofProcess: Registry | null = null;

/** Process, event loop and collector: one for all gateways of a process, and measured from the first time somebody asks. */
function processRegistry(): Registry {
  if (ofProcess === null) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
  }
  return ofProcess;
}
