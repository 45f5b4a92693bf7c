// What is to be said of a cost where the reply does not name the service tier that served it.
import type { Cost } from '../domain/price.ts';
import { canonicalTier } from './price-book.ts';

/**
 * Prices go by the reply's tier. Where the request asked for another than the standard one and the reply is silent, the
 * standard price is a guess: the cost is marked `partial`.
 * @param requested `service_tier` of the request; null where it named none
 * @param served `service_tier` of the reply; null where it named none
 */
export function markUnreportedTier(cost: Cost, requested: string | null, served: string | null): Cost {
  const asked = canonicalTier(requested);
  if (asked === null || (served !== null && served !== '') || cost.state !== 'priced') return cost;
  return { ...cost, state: 'partial', why: `no_served_tier:${asked}` };
}
