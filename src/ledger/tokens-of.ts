// Tokens among readings: what limits, budgets of tokens, and reports count.
import type { ReadingRecord } from '../domain/exchange-record.ts';
import { METERS } from '../domain/usage.ts';

export function tokensOf(readings: readonly ReadingRecord[]): { readonly in: number; readonly out: number } {
  let [sumIn, sumOut] = [0, 0];
  for (const { meter, quantity } of readings) {
    const unit = Object.hasOwn(METERS, meter) ? METERS[meter as keyof typeof METERS].unit : null;
    if (unit !== 'token') continue;
    if (meter.startsWith('output')) sumOut += Number(quantity);
    else sumIn += Number(quantity);
  }
  return { in: sumIn, out: sumOut };
}
