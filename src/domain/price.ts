// What a reading costs, and what an exchange costs. The prices themselves stand in openai/prices.json; openai/price-book.ts reads them.
import type { TeamId, KeyId } from './id.ts';
import type { Money } from './money.ts';
import type { Meter, Reading } from './usage.ts';

/** How sure a rate is (reference: cost 1). A cost is as sure as the least sure of its lines. */
export type Confidence = 'first_party' | 'two_secondary' | 'unconfirmed' | 'operator';

/**
 * - `priced`: from what the upstream reported, at rates that are known.
 * - `free`: OpenAI charges nothing for it.
 * - `estimated`: the quantities were counted here.
 * - `partial`: a part of what it cost; what is missing is told in `why`.
 * - `pending`: known later, when the work it started has ended.
 * - `unpriced`: unknown, which is not zero.
 */
export type CostState = 'priced' | 'free' | 'estimated' | 'partial' | 'pending' | 'unpriced';

/** What an exchange cost. */
export interface Cost {
  readonly state: CostState;
  /** Null where it is unknown; 0 only where it is really nothing. */
  readonly amount: Money | null;
  readonly lines: readonly CostLine[];
  /** Names the prices in force, so that the same exchange can be priced again to the same amount; null where none were used. */
  readonly priceVersion: string | null;
  readonly confidence: Confidence | null;
  /** One short code where the state is not `priced` or `free`, such as `unknown_model` or `no_usage`. */
  readonly why: string | null;
  /** The questions that it answers; absent where no price was looked up, or where it is a sum of many. */
  readonly basis?: readonly CostBasis[];
}

/** The first code of `why` without what it is about, such as `no_rate`: there are few of these. */
export function codeOf(why: string | null): string {
  return /^[a-z_]+/.exec(why ?? '')?.[0] ?? 'unknown';
}

/** One meter's part of a cost: amount = quantity x rate / per, times all factors, rounded half-even. */
export interface CostLine {
  readonly meter: Meter;
  /** Where one cost has the lines of several models. */
  readonly model?: string;
  /** As in the reading it comes from. */
  readonly quantity: bigint;
  /** What is multiplied in its place, where begun minutes or a least quantity are billed. */
  readonly billed?: bigint;
  /** Decimal US dollars for `per` units. */
  readonly rate: string;
  readonly per: string;
  /** What the rate was multiplied by, each with its reason, such as `{reason:"tier:flex",factor:"0.5"}`. */
  readonly factors: readonly { readonly reason: string; readonly factor: string }[];
  readonly amount: Money;
}

/** All that a price may depend on. */
export interface PriceQuery {
  /** As the upstream named it in its reply; as the client asked for it where the reply named none. Null where nobody did. */
  readonly model: string | null;
  /** Wall clock at which the upstream was called, milliseconds: the prices valid then. */
  readonly at: number;
  /** As the reply names it; null where it named none. */
  readonly serviceTier: string | null;
  /** Multiplies all token lines: what is run in a batch, or in a window of the background mode. */
  readonly mode: 'standard' | 'batch' | 'background_2h' | 'background_8h';
  /** Host of the upstream, which may stand for a region. */
  readonly host: string;
  readonly teamId: TeamId | null;
  readonly keyId: KeyId | null;
  readonly readings: readonly Reading[];
  /** The readings of several exchanges in one sum, such as a batch's total: long-context rates go by each of them, so none apply. */
  readonly isSum?: boolean;
}

/** A question that a cost answers. */
export interface CostBasis extends PriceQuery {
  /** The quantities were counted here. */
  readonly isEstimated?: boolean;
}

/** Prices with all layers applied: what is shipped, refreshed, overridden by the operator, and agreed for a team or key. */
export interface Prices {
  readonly version: string;
  /** State `priced`, or `partial` or `unpriced` with the reason. Pure: the same query gets the same answer for ever. */
  price(query: PriceQuery): Cost;
  /** Most input tokens a model reads for one reply; null where unknown. */
  maxInputTokens(model: string): number | null;
  /** Most output tokens a model gives in one reply; null where unknown. */
  maxOutputTokens(model: string): number | null;
}
