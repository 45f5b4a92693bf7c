// What has no price is told aloud: a warning for each model and day, and a list that stays.
import type { Clock } from '../domain/clock.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import type { PriceStore, Unpriced } from '../domain/price-store.ts';
import { codeOf } from '../domain/price.ts';
import type { Log } from '../telemetry/log.ts';

export interface UnpricedWatch {
  /** Looks at a record. */
  see(record: ExchangeRecord): void;
  /** What was seen on all replicas, the last first. */
  list(): Promise<readonly Unpriced[]>;
  close(): Promise<void>;
}

export interface WatchParts {
  readonly store: PriceStore;
  readonly clock: Clock;
  readonly log: Log;
}

/** Seen and not written yet: written once a second. */
const WRITE_EVERY_MS = 1000;
/** Names come from clients: what is remembered of them has a bound. */
const NAMES_MAX = 1000;
const NAME_CHARACTERS_MAX = 100;
const DAY_MS = 86_400_000;

export function openUnpricedWatch({ store, clock, log }: WatchParts): UnpricedWatch {
  let waiting = new Map<string, Unpriced>();
  const warned = new Set<string>();
  let today = 0;
  let writing: Promise<void> = Promise.resolve();

  function warn({ model, endpoint, reason }: Unpriced, at: number): void {
    const day = Math.floor(at / DAY_MS);
    if (day !== today) warned.clear();
    today = day;
    const name = model === '' ? `\n${endpoint}` : model;
    if (warned.has(name) || warned.size >= NAMES_MAX) return;
    warned.add(name);
    log.warn('an exchange has no price: it is not counted as free, and its budgets do not know what it cost', {
      model: model === '' ? null : model,
      endpoint,
      reason,
      way_out: 'set a price with prices.overrides, or deny such calls with on_unpriced of the key',
    });
  }

  function add(seen: Unpriced): void {
    const name = `${seen.model}\n${seen.endpoint}\n${seen.reason}`;
    const before = waiting.get(name);
    if (before === undefined && waiting.size >= NAMES_MAX) return;
    const { count = 0, firstSeenAt = seen.firstSeenAt } = before ?? {};
    waiting.set(name, { ...seen, count: count + seen.count, firstSeenAt });
  }

  async function writeAll(): Promise<void> {
    if (waiting.size === 0) return;
    const those = [...waiting.values()];
    waiting = new Map();
    try {
      await store.addUnpriced(those);
    } catch (error) {
      for (const each of those) add(each);
      log.warn('exchanges without a price not written down, will try again', {
        why: error instanceof Error ? error.message : String(error),
      });
    }
  }

  const write = (): Promise<void> => (writing = writing.then(writeAll));
  const timer = setInterval(() => void write(), WRITE_EVERY_MS);
  timer.unref();

  return {
    see({ cost, model_served, model_requested, endpoint }) {
      if (cost.state !== 'unpriced') return;
      const at = clock.now();
      const seen: Unpriced = {
        model: nameOf(model_served ?? model_requested),
        endpoint: endpoint ?? 'unknown',
        reason: codeOf(cost.why),
        count: 1,
        firstSeenAt: at,
        lastSeenAt: at,
      };
      warn(seen, at);
      add(seen);
    },
    async list() {
      await write();
      return store.listUnpriced();
    },
    async close() {
      clearInterval(timer);
      await write();
    },
  };
}

function nameOf(model: string | null): string {
  return (model ?? '').replaceAll(/[\u0000-\u001f\u007f]/g, '').slice(0, NAME_CHARACTERS_MAX);
}
