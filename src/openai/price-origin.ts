// Where a rate stands in the price book: which layer and row, read where and when, and how sure it is.
import type { Confidence, PriceQuery } from '../domain/price.ts';
import type { Meter } from '../domain/usage.ts';
import { type PriceBook, type Rate, type Rates, endOf, startOf } from './price-book.ts';
import { LAYER_NAMES, type LayerName, WITHOUT_DISCOUNT, trustIn } from './price-layers.ts';
import type { OpenPrices } from './prices.ts';

export interface PriceOrigin {
  readonly layer: LayerName;
  /** The name or pattern of the row; null for what costs the same with every model. */
  readonly row: string | null;
  readonly effectiveFrom: string | null;
  readonly confidence: Confidence;
  /** Null where the row does not say. */
  readonly source: { readonly name: string; readonly url: string; readonly checkedOn: string } | null;
}

/** Null where the rate stands nowhere. */
export function originOf(
  prices: OpenPrices,
  query: PriceQuery,
  {
    meter,
    isLong,
    variant,
  }: { readonly meter: Meter; readonly isLong: boolean; readonly variant?: string | undefined },
): PriceOrigin | null {
  const { layers } = prices;
  const found = prices.rowInForce(query);
  if (found !== null) {
    const { layer, row } = found;
    const rates = (isLong ? row.long?.rates : undefined) ?? row.rates;
    const rate = rateOf(rates, meter);
    if (rate !== undefined) {
      const origins = [rate.variants?.[variant ?? ''], rate, rates === row.rates ? undefined : row.long, row];
      return { row: row.model, effectiveFrom: row.effectiveFrom ?? null, ...told(layer, layers[layer], origins) };
    }
  }
  for (const layer of LAYER_NAMES) {
    const rows = (layers[layer]?.tools ?? [])
      .filter((each) => each.rates[meter] !== undefined && startOf(each) <= query.at && query.at < endOf(each))
      .toSorted((a, b) => startOf(b) - startOf(a));
    const row = rows[0];
    const rate = row?.rates[meter];
    if (row === undefined || rate === undefined) continue;
    const origins = [rate.variants?.[variant ?? ''], rate, row];
    return { row: null, effectiveFrom: row.effectiveFrom ?? null, ...told(layer, layers[layer], origins) };
  }
  return null;
}

function rateOf(rates: Rates, meter: Meter): Rate | undefined {
  const full = WITHOUT_DISCOUNT[meter];
  return rates[meter] ?? (full === undefined ? undefined : rates[full]);
}

type Origin = { readonly source?: string | undefined; readonly confidence?: Confidence | undefined } | undefined;

/** @param origins the closest first */
function told(layer: LayerName, book: PriceBook | null, origins: readonly Origin[]) {
  const name = origins.find((each) => each?.source !== undefined)?.source;
  const source = name === undefined ? undefined : book?.sources[name];
  const confidence = origins.find((each) => each?.confidence !== undefined)?.confidence ?? trustIn(layer);
  return { layer, confidence, source: name === undefined || source === undefined ? null : { name, ...source } };
}
