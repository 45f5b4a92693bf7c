// The door to prices in force: all layers together, swapped as a whole when one of them changes, and every version that was ever
// in force, so that what was priced can be priced again to the same amount. Nothing is fetched here.
import type { PriceStore } from '../domain/price-store.ts';
import { type PriceBook, parsePriceBook } from '../openai/price-book.ts';
import type { PriceLayers } from '../openai/price-layers.ts';
import { type OpenPrices, buildPrices } from '../openai/prices.ts';
import type { Log } from '../telemetry/log.ts';
import { type FindTeamId, type PriceSettings, readOwnPrices } from './own-prices.ts';

export { type CostToExplain, type ExplainedCost, costToExplain, explainCost } from './explain.ts';
export { type RefreshPlan, planRefresh } from './refresh.ts';
export { reprice } from './reprice.ts';
export { type UnpricedWatch, openUnpricedWatch } from './unpriced-watch.ts';
export { verifyPrices } from './verify.ts';

export interface PricesInForce {
  current(): OpenPrices;
  /** What OpenAI asks of everybody: without what the operator wrote or agreed. */
  listed(): OpenPrices;
  /** As they were under a version; null where nobody used it here, or where this Throughway would price otherwise. */
  at(version: string): Promise<OpenPrices | null>;
  /** The refreshed layer with its number, 0 for none: what a new one is made from. */
  refreshed(): { readonly seq: number; readonly book: PriceBook | null };
  /**
   * Puts another refreshed layer in force: here at once, on all replicas within seconds, and again after each start.
   * @param after the number of the layer that it was made from
   * @returns false where another one came first: then nothing is changed
   */
  refresh(book: PriceBook, after: number): Promise<boolean>;
  close(): void;
}

export interface PricesParts {
  readonly store: PriceStore;
  readonly shipped: PriceBook;
  readonly settings: PriceSettings;
  readonly teamId: FindTeamId;
  readonly log: Log;
}

/** How often a replica looks for what another one refreshed. */
const LOOK_EVERY_MS = 1000;
/** Prices of the past are kept ready while somebody asks for them. */
const VERSIONS_READY_MAX = 8;

/** @throws ConfigError where the operator's own prices cannot be read */
export async function openPrices({ store, shipped, settings, teamId, log }: PricesParts): Promise<PricesInForce> {
  const own = await readOwnPrices(settings, teamId);
  const past = new Map<string, OpenPrices>();
  let seq = 0;
  let current: OpenPrices;
  let listed: OpenPrices | null = null;

  async function putInForce(refreshed: PriceBook | null, number: number): Promise<void> {
    const next = buildPrices({ shipped, refreshed, ...own });
    // Kept before the first exchange is priced by it: no cost names a version that nobody can look up.
    await store.keepVersion(next.version, JSON.stringify(next.layers));
    current = next;
    listed = null;
    seq = number;
  }

  async function takeIn(): Promise<void> {
    const last = await store.lastRefresh();
    if (last === null || last.seq === seq) return;
    await putInForce(parsePriceBook(JSON.parse(last.book)), last.seq);
    log.info('prices were refreshed', { version: current.version });
  }

  const kept = await store.lastRefresh();
  if (kept === null) await putInForce(null, 0);
  else await putInForce(parsePriceBook(JSON.parse(kept.book)), kept.seq);
  const timer = store.isShared
    ? setInterval(() => {
        takeIn().catch((error: unknown) => {
          log.warn('refreshed prices not looked for, will try again', {
            why: error instanceof Error ? error.message : String(error),
          });
        });
      }, LOOK_EVERY_MS)
    : null;
  timer?.unref();

  return {
    current: () => current,
    listed: () =>
      (listed ??= buildPrices({ shipped, refreshed: current.layers.refreshed, overrides: null, contracts: null })),
    async at(version) {
      if (version === current.version) return current;
      const ready = past.get(version);
      if (ready !== undefined) return ready;
      const kept = await store.findVersion(version);
      if (kept === null) return null;
      // Written by putInForce, from checked books.
      const prices = buildPrices(JSON.parse(kept) as PriceLayers);
      if (prices.version !== version) return null;
      if (past.size >= VERSIONS_READY_MAX) past.clear();
      past.set(version, prices);
      return prices;
    },
    refreshed: () => ({ seq, book: current.layers.refreshed }),
    async refresh(book, after) {
      if (after !== seq) return false;
      if (!(await store.addRefresh({ seq: after + 1, book: JSON.stringify(book) }))) return false;
      await takeIn();
      return true;
    },
    close() {
      if (timer !== null) clearInterval(timer);
    },
  };
}
