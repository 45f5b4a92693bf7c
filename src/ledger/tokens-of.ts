// Tokens among readings: what limits, budgets of tokens, and reports count.
import type { ReadingRecord } from '../domain/exchange-record.ts';
import { METERS } from '../domain/usage.ts';

const TOKEN_METERS: ReadonlySet<string> = new Set(
  Object.entries(METERS).flatMap(([meter, { unit }]) => (unit === 'token' ? [meter] : [])),
);

export function tokensOf(readings: readonly ReadingRecord[]): { readonly in: number; readonly out: number } {
  let [sumIn, sumOut] = [0, 0];
  for (const { meter, quantity } of readings) {
    if (!TOKEN_METERS.has(meter)) continue;
    if (meter.startsWith('output')) sumOut += Number(quantity);
    else sumIn += Number(quantity);
  }
  return { in: sumIn, out: sumOut };
}
