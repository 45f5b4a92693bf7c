// A cost worked out again from what it was worked out from: the same prices give the same amount.
import { type BasisRecord, queriesOf } from '../domain/basis.ts';
import type { ReadingRecord } from '../domain/exchange-record.ts';
import type { KeyId, TeamId } from '../domain/id.ts';
import type { Cost, CostBasis, Prices } from '../domain/price.ts';
import { together } from '../openai/cost-sum.ts';

/** What was told of a cost. */
export interface ToldCost {
  readonly basis: readonly BasisRecord[] | undefined;
  readonly readings: readonly ReadingRecord[];
  readonly teamId: TeamId | null;
  readonly keyId: KeyId | null;
  readonly why: string | null;
}

/** Null where it does not say what it was worked out from. */
export function basisOf({ basis = [], ...beside }: ToldCost): readonly CostBasis[] | null {
  const queries = queriesOf(basis, beside);
  return queries === null || queries.length === 0 ? null : queries;
}

/** Null where it does not say what it was worked out from. */
export function priceAgain(told: ToldCost, prices: Prices): Cost | null {
  const queries = basisOf(told);
  if (queries === null) return null;
  const cost = queries
    .map((query) => markAsBefore({ ...prices.price(query), basis: [query] }, query, told.why))
    .reduce(together);
  return cost;
}

/** Better prices make no better usage: what was counted here, or did not add up, stays so. */
function markAsBefore(cost: Cost, { isEstimated }: CostBasis, why: string | null): Cost {
  if (cost.amount === null) return cost;
  if (why === 'usage_does_not_add_up') return { ...cost, state: 'partial', why };
  if (isEstimated === true) return { ...cost, state: 'estimated', why: 'usage_not_reported' };
  if (cost.state === 'priced' && why?.startsWith('no_served_tier:')) return { ...cost, state: 'partial', why };
  return cost;
}
