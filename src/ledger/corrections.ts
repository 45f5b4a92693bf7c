// Entries that answer earlier ones whose price was wrong, or whose usage was a guess. What stands is never changed: the difference is
// entered beside it.
import { basisRecords, lineRecord, readingRecord } from '../domain/basis.ts';
import type { Charge, Entry } from '../domain/entry.ts';
import type { LedgerStore } from '../domain/ledger-store.ts';
import type { Money } from '../domain/money.ts';
import type { Cost, CostState } from '../domain/price.ts';
import type { Reading } from '../domain/usage.ts';
import type { Bounds } from './bounds.ts';
import { chainOf, nextPlace } from './chain.ts';
import type { Entries } from './entries.ts';
import { tokensOf } from './tokens-of.ts';

export interface Correction {
  readonly standing: Standing;
  /** What it should have been. */
  readonly cost: Cost;
  /** Where usage was learnt that was a guess before. */
  readonly learnt?: { readonly readings: readonly Reading[]; readonly servicePeriod: Entry['servicePeriod'] };
}

/** An entry with all that answered it. */
export interface Standing {
  readonly entry: Entry;
  /** The oldest first. */
  readonly adjustments: readonly Entry[];
  /** That with the last word on it: its readings and basis are those of the amount. */
  readonly last: Entry;
  /** As of now. */
  readonly state: CostState;
  readonly amount: Money | null;
  readonly priceVersion: string | null;
  /** What it, all that answered it, and the entry that left it open have taken from budgets. */
  readonly charged: readonly Charge[];
}

/** Behind the key of an entry that takes back what was counted as something else. */
const BACK = ':back';

export async function standingOf(store: LedgerStore, entries: Entries, entry: Entry): Promise<Standing> {
  const adjustments = await chainOf(store, prefixOf(entry.settleKey));
  const last = adjustments.findLast(({ settleKey }) => !settleKey.endsWith(BACK)) ?? entry;
  const all = [entry, ...adjustments];
  const amounts = all.flatMap(({ amount }) => amount ?? []);
  const amount = amounts.length === 0 ? null : amounts.reduce((sum, each) => sum + each, 0n);
  // What was held stays charged by the entry that left it open: the one that says the cost has only the difference.
  const opened = entry.resolves === null ? null : await entries.find(entry.resolves.settleKey);
  const charged = [...all, ...(opened === null ? [] : [opened])].flatMap(({ charges }) => charges);
  const { state, priceVersion } = last;
  return { entry, adjustments, last, state, amount, priceVersion, charged };
}

/** One entry of the difference; two where it is counted among other sums than before, such as measured ones. */
export function correctionEntries(
  { standing, cost, learnt }: Correction,
  at: number,
  bounds: Bounds,
): readonly Entry[] {
  const { entry, adjustments, last, state, amount } = standing;
  if (cost.amount === null || (cost.amount === amount && cost.state === state)) return [];
  const before = adjustments.filter(({ settleKey }) => !settleKey.endsWith(BACK)).length;
  const settleKey = nextPlace(prefixOf(entry.settleKey), before);
  // Counted with the entry that it answers, but for what was a guess there.
  const tokens = learnt === undefined ? null : tokensOf(learnt.readings.map(readingRecord));
  const adjustment: Entry = {
    ...last,
    settleKey,
    kind: 'adjustment',
    isExchange: false,
    state: cost.state,
    amount: cost.amount - (amount ?? 0n),
    why: cost.why,
    tokensIn: tokens === null ? 0 : tokens.in - entry.tokensIn,
    tokensOut: tokens === null ? 0 : tokens.out - entry.tokensOut,
    priceVersion: cost.priceVersion,
    lines: cost.lines.map(lineRecord),
    ...(learnt !== undefined && basisOfLearnt(cost, learnt.readings)),
    charges: chargesOf(standing, cost, tokens, bounds),
    at,
    resolves: cost.state === state ? null : { settleKey: entry.settleKey, at: last.at, state },
    servicePeriod: learnt?.servicePeriod ?? last.servicePeriod ?? { from: entry.at, to: entry.at },
  };
  if (amount === null || isMeasured(state) === isMeasured(cost.state)) return [adjustment];
  const back: Entry = {
    ...adjustment,
    settleKey: settleKey + BACK,
    state,
    amount: -amount,
    why: last.why,
    tokensIn: 0,
    tokensOut: 0,
    priceVersion: last.priceVersion,
    lines: [],
    charges: [],
    resolves: null,
  };
  return [{ ...adjustment, amount: cost.amount }, back];
}

/** What an estimate was worked out from is not what the cost is. */
function basisOfLearnt({ basis }: Cost, readings: readonly Reading[]): Pick<Entry, 'readings' | 'basis'> {
  return { readings: readings.map(readingRecord), basis: basisRecords(basis, readings) ?? [] };
}

function prefixOf(settleKey: string): string {
  return `adjust:${settleKey}:`;
}

function isMeasured(state: CostState): boolean {
  return state === 'priced' || state === 'partial';
}

/** The difference goes into the windows that the exchange was charged to. @param tokens null where they are what they were */
function chargesOf(
  { entry, charged }: Standing,
  cost: Cost,
  tokens: { readonly in: number; readonly out: number } | null,
  bounds: Bounds,
): readonly Charge[] {
  return entry.charges.flatMap((window): Charge | [] => {
    const budget = bounds.find(window.budgetId)?.budget;
    if (budget === undefined) return [];
    let before = 0n;
    for (const charge of charged) if (isSameWindow(charge, window)) before += charge.amount;
    const isCounted = budget.countsEstimates || cost.state !== 'estimated';
    const money = isCounted ? (cost.amount ?? 0n) : 0n;
    const ofTokens = tokens === null ? before : BigInt(tokens.in + tokens.out);
    const after = budget.limitMoney === null ? ofTokens : money;
    return after === before ? [] : { ...window, amount: after - before };
  });
}

function isSameWindow(a: Charge, b: Charge): boolean {
  return a.budgetId === b.budgetId && a.account === b.account && a.windowStart === b.windowStart;
}
