// A cost in full: every line as quantity x rate x factors, with the row of the price book that the rate stands in.
import type { BasisRecord } from '../domain/basis.ts';
import type { Entry } from '../domain/entry.ts';
import type { CostLineRecord, CostRecord, ReadingRecord } from '../domain/exchange-record.ts';
import type { KeyId, TeamId } from '../domain/id.ts';
import { type Money, formatUsd } from '../domain/money.ts';
import type { CostBasis } from '../domain/price.ts';
import { METERS, type Meter } from '../domain/usage.ts';
import { type PriceOrigin, originOf } from '../openai/price-origin.ts';
import type { OpenPrices } from '../openai/prices.ts';
import { basisOf, priceAgain } from './price-again.ts';
import type { PricesInForce } from './prices.ts';

export interface ExplainedLine {
  readonly line: CostLineRecord;
  /** Such as `2006 tokens x $2.5 / 1000000 x 0.5 (tier:flex) = $0.0025075`. */
  readonly text: string;
  /** Null where the prices of then are not known any more. */
  readonly origin: PriceOrigin | null;
}

export interface ExplainedCost {
  readonly lines: readonly ExplainedLine[];
  /** Whether the prices of then give the same amount today; null where there is nothing to try it with. */
  readonly isReproduced: boolean | null;
  /** At the prices in force now; null where what it was worked out from is not known. */
  readonly now: { readonly priceVersion: string; readonly state: string; readonly amount: Money | null } | null;
}

/** What is known of a cost, from a record or from an entry. */
export interface CostToExplain extends Pick<CostRecord, 'lines' | 'price_version' | 'why'> {
  readonly amount: Money | null;
  readonly basis: readonly BasisRecord[] | undefined;
  readonly readings: readonly ReadingRecord[];
  readonly teamId: TeamId | null;
  readonly keyId: KeyId | null;
}

export function costToExplain(entry: Entry): CostToExplain {
  const { lines, priceVersion, why, amount, basis, readings, teamId, keyId } = entry;
  return { lines, price_version: priceVersion, why, amount, basis, readings, teamId, keyId };
}

export async function explainCost(cost: CostToExplain, prices: PricesInForce): Promise<ExplainedCost> {
  const then = cost.price_version === null ? null : await prices.at(cost.price_version);
  const queries = basisOf(cost);
  const again = then === null ? null : priceAgain(cost, then);
  const current = prices.current();
  const now = priceAgain(cost, current);
  return {
    lines: cost.lines.map((line) => ({ line, text: textOf(line), origin: originOfLine(line, queries, then) })),
    isReproduced: again === null ? null : again.amount === cost.amount,
    now: now === null ? null : { priceVersion: current.version, state: now.state, amount: now.amount },
  };
}

function originOfLine(
  { meter: name, factors, rate, model }: CostLineRecord,
  queries: readonly CostBasis[] | null,
  prices: OpenPrices | null,
): PriceOrigin | null {
  if (prices === null || queries === null || !Object.hasOwn(METERS, name)) return null;
  const meter = name as Meter;
  for (const query of queries) {
    if (model !== undefined && model !== query.model) continue;
    const reading = query.readings.find((each) => each.meter === meter);
    if (reading === undefined) continue;
    // The same question gives the same line, which says whether long-context rates were taken.
    const line = prices.price(query).lines.find((each) => each.meter === meter && each.rate === rate);
    if (line === undefined) continue;
    const longRates = prices.rowInForce(query)?.row.long?.rates;
    const isLong = longRates?.[meter]?.amount === rate && factors.every(({ reason }) => reason !== 'long_context');
    return originOf(prices, query, { meter, isLong, variant: reading.variant });
  }
  return null;
}

const PLURALS = {
  token: 'tokens',
  character: 'characters',
  second: 'seconds',
  call: 'calls',
  image: 'images',
  byte_day: 'byte-days',
} as const satisfies Record<(typeof METERS)[Meter]['unit'], string>;

function textOf({ meter, quantity, rate, per, factors, pico_usd }: CostLineRecord): string {
  const unit = Object.hasOwn(METERS, meter) ? PLURALS[METERS[meter as Meter].unit] : meter;
  const parts = factors.map(({ factor, reason }) => ` x ${factor} (${reason})`).join('');
  return `${quantity} ${unit} x $${rate}${per === '1' ? '' : ` / ${per}`}${parts} = $${formatUsd(BigInt(pico_usd))}`;
}
