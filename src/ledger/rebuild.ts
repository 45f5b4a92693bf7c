// Windows and rollups are sums of entries, and nothing else. Here they are made again from all entries and compared.
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Charge } from '../domain/entry.ts';
import type { LedgerStore, Rollup, Window } from '../domain/ledger-store.ts';
import { ALL_GRAINS, Rollups, grainMs, grainStart, isNothing, negated } from '../domain/rollup.ts';
import type { Entries } from './entries.ts';

const PAGE_ROWS = 500;
/** Rollups are compared this much at a time. */
const STRETCH_MS = grainMs('thirty_days');

export interface Drift {
  readonly entries: number;
  /** Exchanges whose records are lost, while the sums still have them: the sums are right then, not the entries. */
  readonly lost: number;
  /** What the sums of entries have more than the windows and rollups that are kept; empty where they agree. */
  readonly windows: readonly Charge[];
  readonly rollups: readonly Rollup[];
}

/** @param isKept whether a window is among those that are not forgotten yet */
export async function findDrift(
  store: LedgerStore,
  all: Pick<Entries, 'after' | 'countLost'>,
  isKept: (window: Charge) => boolean,
): Promise<Drift> {
  const sums = new Map<string, Charge>();
  const nameOf = ({ budgetId, account, windowStart }: Pick<Charge, 'budgetId' | 'account' | 'windowStart'>) =>
    `${budgetId}\n${windowStart}\n${account}`;
  const rollups = new Rollups();
  let entries = 0;
  let [earliest, latest] = [Number.POSITIVE_INFINITY, 0];
  for (let after = ''; ; await nextTurn()) {
    const page = await all.after(after, PAGE_ROWS);
    for (const entry of page) {
      rollups.addEntry(entry);
      earliest = Math.min(earliest, entry.at, entry.resolves?.at ?? entry.at);
      latest = Math.max(latest, entry.at);
      for (const charge of entry.charges) {
        const { amount } = sums.get(nameOf(charge)) ?? { amount: 0n };
        sums.set(nameOf(charge), { ...charge, amount: amount + charge.amount });
      }
    }
    entries += page.length;
    after = page.at(-1)?.settleKey ?? after;
    if (page.length === 0) break;
  }

  const windows: Charge[] = [];
  for (let after: Window | null = null; ; await nextTurn()) {
    const page: readonly Window[] = await store.allWindows(after, PAGE_ROWS);
    for (const window of page) {
      const amount = (sums.get(nameOf(window))?.amount ?? 0n) - window.spent;
      sums.delete(nameOf(window));
      const { budgetId, account, windowStart } = window;
      if (amount !== 0n) windows.push({ budgetId, account, windowStart, amount });
    }
    after = page.at(-1) ?? after;
    if (page.length < PAGE_ROWS) break;
  }

  for (const missing of sums.values()) if (missing.amount !== 0n && isKept(missing)) windows.push(missing);

  for (let from = entries === 0 ? 0 : grainStart('thirty_days', earliest); from <= latest; from += STRETCH_MS) {
    for (const grain of ALL_GRAINS) {
      for (const kept of await store.readRollups(grain, from, from + STRETCH_MS)) rollups.add(negated(kept));
      await nextTurn();
    }
  }
  return {
    entries,
    lost: await all.countLost(),
    windows,
    rollups: rollups.list().filter((rollup) => !isNothing(rollup)),
  };
}
