import { type PriceBook, parsePriceBook } from './price-book.ts';
// The price book that comes with this version.
import written from './prices.json' with { type: 'json' };

/** A new copy each time: read it once. */
export function shippedPrices(): PriceBook {
  return parsePriceBook(written);
}
