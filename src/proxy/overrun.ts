// A stream that costs more than was set aside for it, of a key whose streams are cut then: more is set aside as it goes on, and where
// there is no more it ends.
import type { Admission } from '../domain/exchange.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Overrun } from './carry.ts';

/** Of text, about; the truth is charged at the end. */
const BYTES_PER_TOKEN = 4;
/** So many tokens more are set aside at once, so that the budgets are not asked for each. */
const STEP_TOKENS = 1000;

export interface OverrunParts {
  readonly ledger: Pick<Ledger, 'extend'>;
  readonly host: string;
}

export function mayBeCut({ hold, caller, facts }: Admission): boolean {
  return hold !== null && caller.key.onOverrun === 'cut' && facts?.isStream === true;
}

export function openOverrun({ ledger, host }: OverrunParts, admission: Admission): Overrun {
  const { arrival, caller, model, facts, hold, prices } = admission;
  const input = Math.ceil((facts?.bodyBytes ?? 0) / BYTES_PER_TOKEN);
  const amounts = hold?.amounts ?? [];
  // What is set aside is the same in all budgets of one unit.
  let money = amounts.find(({ unit }) => unit === 'money')?.amount ?? null;
  let tokens = amounts.find(({ unit }) => unit === 'tokens')?.amount ?? null;

  return (textBytes) => {
    const output = Math.ceil(textBytes / BYTES_PER_TOKEN);
    const needs = (more: number) => ({ money: costOf(output + more), tokens: BigInt(input + output + more) });
    const now = needs(0);
    const isWithin = (money === null || now.money <= money) && (tokens === null || now.tokens <= tokens);
    if (hold === null || isWithin) return null;
    const next = needs(STEP_TOKENS);
    const more = {
      money: money !== null && next.money > money ? next.money - money : 0n,
      tokens: tokens !== null && next.tokens > tokens ? Number(next.tokens - tokens) : 0,
    };
    const fit = ledger.extend(hold, more);
    if (money !== null) money += more.money;
    if (tokens !== null) tokens += BigInt(more.tokens);
    if (fit instanceof Promise) return fit.then((answer) => (answer === 'over' ? usedUp() : null));
    return fit === 'over' ? usedUp() : null;
  };

  function costOf(outputTokens: number): bigint {
    const { state, amount } = prices.price({
      model,
      at: arrival.receivedAt,
      serviceTier: facts?.serviceTier ?? null,
      mode: 'standard',
      host,
      teamId: caller.team.id,
      keyId: caller.key.id,
      readings: [
        { meter: 'input_text', quantity: BigInt(input) },
        { meter: 'output_text', quantity: BigInt(outputTokens) },
      ],
    });
    // What has no price is not cut for it.
    return state === 'priced' && amount !== null ? amount : 0n;
  }
}

function usedUp(): Refusal {
  const message =
    'This reply costs more than was set aside for it, and its budget has no more left. The key is set to cut such replies (on_overrun); the operator sets budgets.';
  return new Refusal('insufficient_quota', message);
}
