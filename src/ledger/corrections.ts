// Entries that answer earlier ones whose price was wrong. What stands is never changed: the difference is entered beside it.
import { lineRecord } from '../domain/basis.ts';
import type { Charge, Entry } from '../domain/entry.ts';
import type { LedgerStore } from '../domain/ledger-store.ts';
import type { Money } from '../domain/money.ts';
import type { Cost, CostState } from '../domain/price.ts';
import type { Bounds } from './bounds.ts';

export interface Correction {
  readonly standing: Standing;
  /** What it should have been. */
  readonly cost: Cost;
}

/** An entry with all that answered it. */
export interface Standing {
  readonly entry: Entry;
  /** The oldest first. */
  readonly adjustments: readonly Entry[];
  /** As of now: of the last word on it. */
  readonly state: CostState;
  readonly amount: Money | null;
  readonly priceVersion: string | null;
}

const ADJUSTMENTS_MAX = 500;
const COUNTER_DIGITS = 4;
/** Behind the key of an entry that takes back what was counted as something else. */
const BACK = ':back';

export async function standingOf(store: LedgerStore, entry: Entry): Promise<Standing> {
  const prefix = prefixOf(entry.settleKey);
  const found = await store.entriesAfter(prefix, ADJUSTMENTS_MAX);
  const adjustments = found
    .filter(({ settleKey }) => settleKey.startsWith(prefix))
    .toSorted((a, b) => (a.settleKey < b.settleKey ? -1 : 1));
  const { state, priceVersion } = lastWord(entry, adjustments);
  const amounts = [entry, ...adjustments].flatMap(({ amount }) => amount ?? []);
  const amount = amounts.length === 0 ? null : amounts.reduce((sum, each) => sum + each, 0n);
  return { entry, adjustments, state, amount, priceVersion };
}

/** One entry of the difference; two where it is counted among other sums than before, such as measured ones. */
export function correctionEntries({ standing, cost }: Correction, at: number, bounds: Bounds): readonly Entry[] {
  const { entry, adjustments, state, amount } = standing;
  if (cost.amount === null || (cost.amount === amount && cost.state === state)) return [];
  const last = lastWord(entry, adjustments);
  const count = adjustments.filter(({ settleKey }) => !settleKey.endsWith(BACK)).length + 1;
  const settleKey = prefixOf(entry.settleKey) + String(count).padStart(COUNTER_DIGITS, '0');
  const adjustment: Entry = {
    ...entry,
    settleKey,
    kind: 'adjustment',
    isExchange: false,
    state: cost.state,
    amount: cost.amount - (amount ?? 0n),
    why: cost.why,
    // Counted with the entry that it answers.
    tokensIn: 0,
    tokensOut: 0,
    priceVersion: cost.priceVersion,
    lines: cost.lines.map(lineRecord),
    charges: chargesOf(standing, cost, bounds),
    at,
    resolves: cost.state === state ? null : { settleKey: entry.settleKey, at: last.at, state },
    servicePeriod: entry.servicePeriod ?? { from: entry.at, to: entry.at },
  };
  if (amount === null || isMeasured(state) === isMeasured(cost.state)) return [adjustment];
  const back: Entry = {
    ...adjustment,
    settleKey: settleKey + BACK,
    state,
    amount: -amount,
    why: last.why,
    priceVersion: last.priceVersion,
    lines: [],
    charges: [],
    resolves: null,
  };
  return [{ ...adjustment, amount: cost.amount }, back];
}

function prefixOf(settleKey: string): string {
  return `adjust:${settleKey}:`;
}

function lastWord(entry: Entry, adjustments: readonly Entry[]): Entry {
  return adjustments.findLast(({ settleKey }) => !settleKey.endsWith(BACK)) ?? entry;
}

function isMeasured(state: CostState): boolean {
  return state === 'priced' || state === 'partial';
}

/** The difference goes into the windows that the exchange was charged to. */
function chargesOf({ entry, adjustments }: Standing, cost: Cost, bounds: Bounds): readonly Charge[] {
  return entry.charges.flatMap((charged): Charge | [] => {
    const budget = bounds.find(charged.budgetId)?.budget;
    if (budget === undefined || budget.limitMoney === null) return [];
    let before = charged.amount;
    for (const charge of adjustments.flatMap(({ charges }) => charges)) {
      if (isSameWindow(charge, charged)) before += charge.amount;
    }
    const after = budget.countsEstimates || cost.state !== 'estimated' ? (cost.amount ?? 0n) : 0n;
    return after === before ? [] : { ...charged, amount: after - before };
  });
}

function isSameWindow(a: Charge, b: Charge): boolean {
  return a.budgetId === b.budgetId && a.account === b.account && a.windowStart === b.windowStart;
}
