// What a store that was lost, or set back to a backup, has not of the entries that no record makes.
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { LedgerStore } from '../domain/ledger-store.ts';
import type { KeptEntries } from '../domain/stores.ts';

const PAGE_ROWS = 100;

/** From the newest back to those that the store knows: what is older it knows too, unless all are asked for. */
export async function restoreEntries(store: LedgerStore, kept: KeptEntries, which?: 'all'): Promise<void> {
  for (let before = Number.MAX_SAFE_INTEGER; ; await nextTurn()) {
    const page = kept.before(before, PAGE_ROWS);
    if (page.length === 0) return;
    const { settleKeys } = await store.post(page.map(({ entry }) => entry));
    if (settleKeys.size === 0 && which !== 'all') return;
    before = page.at(-1)!.seq;
  }
}
