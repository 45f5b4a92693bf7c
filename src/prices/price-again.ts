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
  const cost = queries.map((query): Cost => ({ ...prices.price(query), basis: [query] })).reduce(together);
  return markAsBefore(cost, queries, told.why?.split(';') ?? []);
}

/** What is said of usage that lacks or contradicts itself. */
const OF_USAGE = new Set(['no_usage', 'usage_does_not_add_up']);

/** Better prices make no better usage: what was counted here, did not add up, or was not told of a part, stays so. */
function markAsBefore(cost: Cost, queries: readonly CostBasis[], codes: readonly string[]): Cost {
  if (cost.amount === null) return cost;
  const lacks = codes.filter((code) => OF_USAGE.has(code));
  if (lacks.length > 0) return { ...cost, state: 'partial', why: lacks.join(';') };
  if (queries.some(({ isEstimated }) => isEstimated === true))
    return { ...cost, state: 'estimated', why: 'usage_not_reported' };
  const why = codes.find((code) => code.startsWith('no_served_tier:'));
  return cost.state === 'priced' && why !== undefined ? { ...cost, state: 'partial', why } : cost;
}
