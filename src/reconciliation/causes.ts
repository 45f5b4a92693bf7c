// Why the upstream billed something else than the ledger says: the likely reasons, from what both sides tell of the same day and thing.
import { type Money, divideHalfEven } from '../domain/money.ts';
import { DAY_MS, type Pair } from './sides.ts';

/**
 * - `rounding`: too little to mean anything.
 * - `unpriced`: exchanges that nobody has a price for here.
 * - `pending`: work that has not ended, or that nobody learnt the cost of yet.
 * - `early_endings`: amounts that were estimated here, as of streams that clients left.
 * - `off_path`: the upstream counted more than went through this gateway.
 * - `fewer_upstream`: the upstream counted less than went through: late data, or tokens that it gives away.
 * - `storage`, `hidden_containers`: billed for keeping something, or for containers that no reply told of.
 * - `unknown_tier`: billed in a service tier that no reply named.
 * - `contract_discount`: everything differs by one factor.
 * - `price_change`: the same tokens at another price.
 * - `other_day`: the day before or after has the opposite difference.
 */
export type CauseCode =
  | 'rounding'
  | 'unpriced'
  | 'pending'
  | 'early_endings'
  | 'off_path'
  | 'fewer_upstream'
  | 'storage'
  | 'hidden_containers'
  | 'unknown_tier'
  | 'contract_discount'
  | 'price_change'
  | 'other_day'
  | 'unknown';

export interface Cause {
  readonly code: CauseCode;
  /** What speaks for it, and what to do. */
  readonly why: string;
  /** By which prices here would give what is billed; null where it is no matter of price. */
  readonly factor: string | null;
}

export interface Compared extends Pair {
  /** What the upstream billed more than the ledger says. */
  readonly drift: Money;
  readonly causes: readonly Cause[];
}

export interface Comparison {
  readonly rows: readonly Compared[];
  /** One for all prices, where all that can be compared differs by it; null otherwise. */
  readonly suggestedFactor: string | null;
}

/** A millionth of a dollar. */
const ROUNDING = 1_000_000n;
const FACTOR_DIGITS = 4;

export function compare(pairs: readonly Pair[]): Comparison {
  const driftOf = ({ upstream, ledger }: Pair) => upstream.billed - ledger.measured - ledger.estimated;
  const byName = new Map(pairs.map((pair) => [nameOf(pair.subject, pair.day), pair]));
  const common = commonFactor(pairs.filter((pair) => isSameUse(pair)));
  const rows = pairs.map((pair): Compared => {
    const drift = driftOf(pair);
    if (drift === 0n) return { ...pair, drift, causes: [] };
    const neighbours = [pair.day - DAY_MS, pair.day + DAY_MS].flatMap(
      (day) => byName.get(nameOf(pair.subject, day)) ?? [],
    );
    const isMoved = neighbours.some((other) => cancels(drift, driftOf(other)));
    return { ...pair, drift, causes: causesOf(pair, drift, { common, isMoved }) };
  });
  return { rows, suggestedFactor: common?.isOfAll === true ? common.factor : null };
}

function nameOf(subject: string, day: number): string {
  return `${day}\n${subject}`;
}

interface Around {
  readonly common: CommonFactor | null;
  readonly isMoved: boolean;
}

function causesOf(pair: Pair, drift: Money, { common, isMoved }: Around): readonly Cause[] {
  const { subject, ledger, upstream } = pair;
  const causes: Cause[] = [];
  const tell = (code: CauseCode, why: string, factor: string | null = null) => causes.push({ code, why, factor });
  const size = drift < 0n ? -drift : drift;
  if (size <= ROUNDING || size * 100_000n < upstream.billed) {
    tell('rounding', 'Too little to mean anything.');
    return causes;
  }
  if (isMoved)
    tell(
      'other_day',
      'The day before or after differs by the same the other way round: it was counted on another day.',
    );
  const isMore = drift > 0n;
  const open = ledger.unpriced + ledger.partial;
  if (isMore && open > 0)
    tell(
      'unpriced',
      `${open} exchanges have no whole price here; see throughway prices unpriced, and set prices.overrides.`,
    );
  if (isMore && ledger.pending > 0) tell('pending', `${ledger.pending} exchanges wait for work that goes on.`);
  if (ledger.estimated !== 0n)
    tell('early_endings', 'A part was estimated here, where replies ended without telling their usage.');
  if (isMore && subject === 'storage')
    tell('storage', 'Stores that are kept are billed by the day, also those that nobody uses.');
  if (isMore && subject === 'code interpreter')
    tell('hidden_containers', 'Containers are billed that no reply told of.');
  const unknownTiers = [...upstream.tiers].filter((tier) => !ledger.tiers.has(tier));
  if (
    upstream.tokens !== null &&
    upstream.tokens > ledger.tokens &&
    !isNear(upstream.tokens, ledger.tokens) &&
    isMore
  ) {
    const more = upstream.tokens - ledger.tokens;
    tell(
      'off_path',
      `The upstream counted ${more} tokens more than went through this gateway: somebody else uses the account.`,
    );
  } else if (isMore && isNothing(pair) && causes.length === 0) {
    tell('off_path', 'Nothing of this went through this gateway: somebody else uses the account.');
  } else if (
    upstream.tokens !== null &&
    ledger.tokens > upstream.tokens &&
    !isNear(upstream.tokens, ledger.tokens) &&
    !isMore
  ) {
    tell(
      'fewer_upstream',
      'The upstream counted fewer tokens than went through: its data is late, or it gives some away.',
    );
  } else if (isSameUse(pair)) {
    const factor = ratio(upstream.billed, ledger.measured + ledger.estimated);
    if (unknownTiers.length > 0 && ledger.tiers.size > 0)
      tell('unknown_tier', `Billed in the service tier ${unknownTiers.join(', ')}, which no reply named.`, factor);
    else if (common?.isOfAll === true)
      tell(
        'contract_discount',
        `All that can be compared differs by one factor: set prices.contracts to ${common.factor}.`,
        common.factor,
      );
    else tell('price_change', 'The same tokens were billed at another price; see throughway prices refresh.', factor);
  }
  if (causes.length === 0) tell('unknown', 'Nothing that both sides tell explains it.');
  return causes;
}

function isNothing({ ledger }: Pair): boolean {
  return ledger.measured === 0n && ledger.estimated === 0n && ledger.requests === 0;
}

/** Both sides tell of the same tokens, so that what differs is the price. */
function isSameUse({ ledger, upstream }: Pair): boolean {
  const isOpen = ledger.unpriced + ledger.partial + ledger.pending > 0;
  if (isOpen || upstream.tokens === null || upstream.tokens === 0) return false;
  return ledger.measured + ledger.estimated > 0n && isNear(upstream.tokens, ledger.tokens);
}

/** Within two thousandths. */
function isNear(one: number, other: number): boolean {
  return Math.abs(one - other) <= 0.002 * Math.max(one, other);
}

function cancels(drift: Money, other: Money): boolean {
  const sum = drift + other;
  const isOpposite = drift > 0n !== other > 0n && other !== 0n;
  return isOpposite && (sum < 0n ? -sum : sum) * 50n <= (drift < 0n ? -drift : drift);
}

interface CommonFactor {
  readonly factor: string;
  /** Of several things, each of which differs by it. */
  readonly isOfAll: boolean;
}

function commonFactor(pairs: readonly Pair[]): CommonFactor | null {
  const factors = pairs.map(({ upstream, ledger }) =>
    Number(ratio(upstream.billed, ledger.measured + ledger.estimated)),
  );
  if (factors.length === 0) return null;
  const [least, most] = [Math.min(...factors), Math.max(...factors)];
  const isOfAll =
    new Set(pairs.map(({ subject }) => subject)).size > 1 && most - least <= 0.005 && (most < 0.998 || least > 1.002);
  let [billed, known] = [0n, 0n];
  for (const { upstream, ledger } of pairs) {
    billed += upstream.billed;
    known += ledger.measured + ledger.estimated;
  }
  return { factor: ratio(billed, known), isOfAll };
}

/** Decimal text, as price books write factors. @param of greater than 0 */
function ratio(part: Money, of: Money): string {
  const scaled = divideHalfEven(part * 10n ** BigInt(FACTOR_DIGITS), of);
  const digits = scaled.toString().padStart(FACTOR_DIGITS + 1, '0');
  const fraction = digits.slice(-FACTOR_DIGITS).replace(/0+$/, '');
  return `${digits.slice(0, -FACTOR_DIGITS)}${fraction === '' ? '' : `.${fraction}`}`;
}
