// Prices for tests: the shipped book with what a test lays over it, and queries in the words of the reference.
import { formatUsd } from '../../src/domain/money.ts';
import type { PriceQuery } from '../../src/domain/price.ts';
import type { Meter, Reading } from '../../src/domain/usage.ts';
import { parsePriceBook } from '../../src/openai/price-book.ts';
import type { PriceLayers } from '../../src/openai/price-layers.ts';
import { type OpenPrices, buildPrices } from '../../src/openai/prices.ts';
import { shippedPrices } from '../../src/openai/shipped-prices.ts';

export const shipped = shippedPrices();

/** @param written books as a person writes them */
export function pricesWith(written: Partial<Record<keyof PriceLayers, unknown>> = {}): OpenPrices {
  const layer = (book: unknown) => (book === undefined ? null : parsePriceBook(book));
  return buildPrices({
    shipped: layer(written.shipped) ?? shipped,
    refreshed: layer(written.refreshed),
    overrides: layer(written.overrides),
    contracts: layer(written.contracts),
  });
}

export const NOW = Date.UTC(2026, 10, 22);

/** @param counts by meter; seconds as whole milliseconds */
export function query(
  model: string | null,
  counts: Partial<Record<Meter, number>>,
  rest: Partial<PriceQuery> = {},
): PriceQuery {
  return {
    model,
    at: NOW,
    serviceTier: null,
    mode: 'standard',
    host: 'api.openai.com',
    teamId: null,
    keyId: null,
    readings: readings(counts),
    ...rest,
  };
}

export function readings(counts: Partial<Record<Meter, number>>): Reading[] {
  return Object.entries(counts).map(([meter, count]) => ({ meter: meter as Meter, quantity: BigInt(count) }));
}

/** The amount in US dollars; the state and the reason where it is not simply priced. */
export function usd(prices: OpenPrices, asked: PriceQuery): string {
  const { state, amount, why } = prices.price(asked);
  if (state === 'priced' && amount !== null) return formatUsd(amount);
  return `${state} ${amount === null ? 'null' : formatUsd(amount)} ${why}`;
}
