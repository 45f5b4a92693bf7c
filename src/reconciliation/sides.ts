// The two sides that are compared: what the ledger says of a day and a thing, and what the upstream says of it. Pure sums.
import type { Entry } from '../domain/entry.ts';
import { type Money, divideHalfEven } from '../domain/money.ts';
import { Refusal } from '../domain/refusal.ts';
import { isTokenMeter, subjectOfModel, thingOfLineItem, thingOfMeter, tierOf } from '../openai/organization.ts';
import type { Bucket } from './organization-reads.ts';

export const DAY_MS = 86_400_000;

export interface LedgerSide {
  measured: Money;
  estimated: Money;
  /** By the parts of the bill; what no part is known of is in none. */
  readonly parts: Map<string, Money>;
  requests: number;
  unpriced: number;
  partial: number;
  pending: number;
  tokens: number;
  readonly tiers: Set<string>;
}

export interface UpstreamSide {
  billed: Money;
  readonly items: Map<string, { readonly part: string | null; amount: Money }>;
  requests: number;
  /** Null where its usage was not told. */
  tokens: number | null;
  readonly tiers: Set<string>;
}

export interface Pair {
  readonly day: number;
  readonly subject: string;
  readonly ledger: LedgerSide;
  readonly upstream: UpstreamSide;
}

/** Both sides by day and thing. */
export class Sides {
  readonly #pairs = new Map<string, Pair>();

  pairs(): readonly Pair[] {
    return [...this.#pairs.values()].toSorted((a, b) => a.day - b.day || (a.subject < b.subject ? -1 : 1));
  }

  addEntry(entry: Entry, day: number): void {
    const { amount, state, model, lines, kind } = entry;
    const own = this.#of(day, subjectOfModel(model)).ledger;
    const isEstimated = state === 'estimated';
    let rest = amount ?? 0n;
    // The lines of an adjustment are those of the whole, of which it is the difference.
    for (const line of kind === 'charge' ? lines : []) {
      const money = BigInt(line.pico_usd);
      const { subject, part } = thingOfMeter(line.meter, line.model ?? model);
      const side = this.#of(day, subject).ledger;
      add(side, money, isEstimated, part);
      if (part === null) side.requests += 1;
      if (isTokenMeter(line.meter)) side.tokens += Number(line.quantity);
      rest -= money;
    }
    if (rest !== 0n) add(own, rest, isEstimated, null);
    if (kind === 'adjustment') return;
    // What the upstream turned away is no request to it, and costs nothing.
    if (state !== 'free') own.requests++;
    if (state === 'unpriced') own.unpriced++;
    if (state === 'partial') own.partial++;
    if (state === 'pending') own.pending++;
    for (const { service_tier } of entry.basis ?? []) own.tiers.add(tierOf(service_tier));
    if (lines.length === 0) own.tokens += entry.tokensIn + entry.tokensOut;
  }

  /** What answered a pending one: it is pending no more. */
  resolve(entry: Entry, day: number): void {
    const side = this.#of(day, subjectOfModel(entry.resolves?.model ?? entry.model)).ledger;
    const { state } = entry.resolves ?? {};
    if (state === 'pending' || state === 'unpriced' || state === 'partial') side[state]--;
  }

  addCosts({ day, results }: Bucket): void {
    for (const { line_item, amount } of results) {
      const item = typeof line_item === 'string' && line_item !== '' ? line_item : 'no line item';
      const { subject, part } = thingOfLineItem(item);
      const money = moneyOf((amount as { value?: unknown } | null | undefined)?.value);
      const side = this.#of(day, subject).upstream;
      side.billed += money;
      const before = side.items.get(item);
      if (before === undefined) side.items.set(item, { part, amount: money });
      else before.amount += money;
    }
  }

  addUsage({ day, results }: Bucket, subject: string | null): void {
    for (const row of results) {
      const names = subject === null ? ['num_model_requests'] : ['num_requests', 'num_sessions'];
      const requests = names.map((name) => numberIn(row, name)).find((count) => count !== null) ?? 0;
      const tokens = numberIn(row, 'input_tokens');
      if (subject === null && typeof row['model'] !== 'string') continue;
      const side = this.#of(day, subject ?? subjectOfModel(String(row['model']))).upstream;
      side.requests += requests;
      if (tokens !== null) side.tokens = (side.tokens ?? 0) + tokens + (numberIn(row, 'output_tokens') ?? 0);
      if (requests > 0 && typeof row['service_tier'] === 'string') side.tiers.add(tierOf(row['service_tier']));
    }
  }

  #of(day: number, subject: string): Pair {
    const name = `${day}\n${subject}`;
    let pair = this.#pairs.get(name);
    if (pair === undefined) {
      const ledger: LedgerSide = {
        measured: 0n,
        estimated: 0n,
        parts: new Map(),
        requests: 0,
        unpriced: 0,
        partial: 0,
        pending: 0,
        tokens: 0,
        tiers: new Set(),
      };
      const upstream: UpstreamSide = { billed: 0n, items: new Map(), requests: 0, tokens: null, tiers: new Set() };
      this.#pairs.set(name, (pair = { day, subject, ledger, upstream }));
    }
    return pair;
  }
}

function add(side: LedgerSide, money: Money, isEstimated: boolean, part: string | null): void {
  if (isEstimated) side.estimated += money;
  else side.measured += money;
  if (part !== null) side.parts.set(part, (side.parts.get(part) ?? 0n) + money);
}

function numberIn(row: Readonly<Record<string, unknown>>, name: string): number | null {
  const value = row[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

const DIGITS = 12;

function written(value: unknown): string {
  return typeof value === 'number' || typeof value === 'string' ? String(value) : '';
}

/** A JSON number or its text in US dollars, by its shortest digits, to the nearest pico-dollar. @throws Refusal for anything else */
function moneyOf(value: unknown): Money {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d{1,3}))?$/i.exec(written(value).trim());
  if (match === null) throw new Refusal('upstream_unreachable', 'The upstream told an amount that is no number.');
  const [, sign, whole = '0', fraction = '', exponent = '0'] = match;
  const shift = DIGITS - fraction.length + Number(exponent);
  const digits = BigInt(whole + fraction);
  const size = shift >= 0 ? digits * 10n ** BigInt(shift) : divideHalfEven(digits, 10n ** BigInt(-shift));
  return sign === '-' ? -size : size;
}
