// The price book that comes with this version.
import { type PriceBook, parsePriceBook } from './price-book.ts';
import written from './prices.json' with { type: 'json' };

/** Checked on the way: read it once. */
export function shippedPrices(): PriceBook {
  return parsePriceBook(written);
}
