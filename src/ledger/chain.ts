// Entries that answer one thing, one after the other. Their settle keys are places in a chain: of two that answer at once, one finds its
// place taken.
import type { Entry } from '../domain/entry.ts';
import type { LedgerStore } from '../domain/ledger-store.ts';

const LINKS_MAX = 1000;
const PLACE_DIGITS = 4;

/** Those whose settle keys begin so, the oldest first. */
export async function chainOf(store: LedgerStore, prefix: string): Promise<readonly Entry[]> {
  const found = await store.entriesAfter(prefix, LINKS_MAX);
  return found
    .filter(({ settleKey }) => settleKey.startsWith(prefix))
    .toSorted((a, b) => (a.settleKey < b.settleKey ? -1 : 1));
}

/** @param before how many stand there already */
export function nextPlace(prefix: string, before: number): string {
  return prefix + String(before + 1).padStart(PLACE_DIGITS, '0');
}
