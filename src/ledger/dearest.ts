// What a quantity costs at most: whoever sets money aside does not know which of several rates will be asked for.
import type { RequestFacts } from '../domain/facts.ts';
import type { Caller } from '../domain/key.ts';
import type { Money } from '../domain/money.ts';
import type { PriceQuery, Prices } from '../domain/price.ts';
import type { Meter, Reading } from '../domain/usage.ts';

/** What a price may depend on, before anything was used. */
export interface PriceAsk {
  readonly caller: Caller;
  /** Null for a body that is not read. */
  readonly facts: RequestFacts | null;
  readonly model: string | null;
  /** Wall clock, milliseconds. */
  readonly at: number;
  /** Of the upstream, on which prices may depend. */
  readonly host: string;
  readonly prices: Prices;
}

/** What is sent may be any of these: the dearest is set aside. */
export const INPUTS: readonly Meter[] = [
  'input_text',
  'input_text_written',
  'input_text_written_12h',
  'input_audio',
  'input_image',
];
export const OUTPUTS: readonly Meter[] = ['output_text', 'output_audio', 'output_image'];

type How = Pick<PriceQuery, 'mode' | 'isSum'>;
const USUALLY: How = { mode: 'standard' };

export function dearest(
  ask: PriceAsk,
  meters: readonly Meter[],
  quantity: number,
  beside: readonly Reading[],
  how: How = USUALLY,
): { readonly money: Money; readonly reading: Reading } | null {
  let most: { readonly money: Money; readonly reading: Reading } | null = null;
  for (const meter of meters) {
    const reading: Reading = { meter, quantity: BigInt(quantity) };
    const money = priceOf(ask, [...beside, reading], how);
    if (money !== null && (most === null || money > most.money)) most = { money, reading };
  }
  return most;
}

/** At the tier that is asked for, or at the usual one where that is dearer: a cheaper one is not always given. */
export function priceOf(
  { prices, model, at, host, facts, caller }: PriceAsk,
  readings: readonly Reading[],
  how: How = USUALLY,
): Money | null {
  const query: PriceQuery = {
    model,
    at,
    serviceTier: null,
    ...how,
    host,
    teamId: caller.team.id,
    keyId: caller.key.id,
    readings,
  };
  const usual = prices.price(query);
  const tier = facts?.serviceTier ?? null;
  const asked = tier === null ? usual : prices.price({ ...query, serviceTier: tier });
  const amounts = [usual, asked].map(({ state, amount }) => (state === 'priced' ? amount : null));
  return amounts.reduce((most, amount) => (most === null || (amount !== null && amount > most) ? amount : most), null);
}
