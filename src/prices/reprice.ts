// Prices that were corrected late: what was entered is worked out again, and the difference entered beside it. History stays.
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Entry } from '../domain/entry.ts';
import type { Money } from '../domain/money.ts';
import type { Cost } from '../domain/price.ts';
import type { Ledger, Standing } from '../ledger/ledger.ts';
import { type ToldCost, priceAgain } from './price-again.ts';
import type { PricesInForce } from './prices.ts';

export interface RepriceReport {
  readonly priceVersion: string;
  readonly entries: number;
  readonly changed: number;
  readonly unchanged: number;
  /** Free, or not known yet. */
  readonly without: number;
  /** Without a price now as well. */
  readonly unpriced: number;
  /** What they were worked out from is not known, or gives another amount than was entered: these stay as they are. */
  readonly left: number;
  /** Of those that changed. */
  readonly before: Money;
  readonly after: Money;
  /** The first hundred. */
  readonly changes: readonly Repriced[];
}

export interface Repriced {
  readonly entry: Entry;
  readonly before: Money | null;
  readonly after: Money;
}

const CHANGES_MAX = 100;

/** @param ask [from, to) in milliseconds since 1970; a dry run enters nothing */
export async function reprice(
  ledger: Ledger,
  prices: PricesInForce,
  ask: { readonly from: number; readonly to: number; readonly isDryRun: boolean },
): Promise<RepriceReport> {
  const inForce = prices.current();
  const counts = { entries: 0, changed: 0, unchanged: 0, without: 0, unpriced: 0, left: 0 };
  const sums = { before: 0n, after: 0n };
  const changes: Repriced[] = [];
  await ledger.catchUp();
  for await (const page of ledger.entriesBetween(ask)) {
    const corrections: { readonly standing: Standing; readonly cost: Cost }[] = [];
    for (const entry of page) {
      if (entry.kind !== 'charge') continue;
      counts.entries++;
      if (entry.state === 'free' || entry.state === 'pending') {
        counts.without++;
        continue;
      }
      const standing = await ledger.standingOf(entry);
      const told = toldOf(standing.last);
      const cost = priceAgain(told, inForce);
      if (cost === null || !(await isAsEntered(standing, told, prices))) {
        counts.left++;
        continue;
      }
      if (cost.amount === null) {
        counts.unpriced++;
        continue;
      }
      if (standing.amount === cost.amount && standing.state === cost.state) {
        counts.unchanged++;
        continue;
      }
      counts.changed++;
      sums.before += standing.amount ?? 0n;
      sums.after += cost.amount;
      if (changes.length < CHANGES_MAX) changes.push({ entry, before: standing.amount, after: cost.amount });
      corrections.push({ standing, cost });
    }
    if (!ask.isDryRun) await ledger.correct(corrections);
    await nextTurn();
  }
  return { priceVersion: inForce.version, ...counts, ...sums, changes };
}

function toldOf({ basis, readings, teamId, keyId, why }: Entry): ToldCost {
  return { basis, readings, teamId, keyId, why };
}

/** Whatever cannot be worked out as it was then must not be worked out anew. */
async function isAsEntered(
  { priceVersion, amount }: Standing,
  told: ToldCost,
  prices: PricesInForce,
): Promise<boolean> {
  // Nothing had a price: what a budget set aside stands in its place, or nothing.
  if (priceVersion === null) return true;
  const then = await prices.at(priceVersion);
  return then !== null && priceAgain(told, then)?.amount === amount;
}
