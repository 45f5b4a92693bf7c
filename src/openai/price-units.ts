// What a page says an amount is for, in units of the meter that it is the rate of.
import { METERS, type Meter } from '../domain/usage.ts';
import { USUAL_PER } from './price-book.ts';

export interface Amount {
  readonly amount: string | null;
  /** Units of the meter that it is for. */
  readonly per: string;
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, sec: 1, second: 1, min: 60, minute: 60, h: 3600, hour: 3600 };

/**
 * @param price null for a dash
 * @param label of its column, which may name the unit of all its cells
 * @returns null where the unit is not that of the meter
 */
export function inUnitsOf(
  meter: Meter,
  price: { readonly amount: string; readonly unit: string } | null,
  label: string,
): Amount | null {
  const { unit: counted } = METERS[meter];
  const usual = USUAL_PER[counted];
  if (price === null) return { amount: null, per: usual };
  const amount = shortest(price.amount);
  const words = price.unit.replaceAll(/[()*/,.-]|\bper\b|\bof\b|\beach\b|\bsessions?\b/g, ' ').trim();
  const told = words === '' ? unitIn(label) : words;
  if (told === '') return { amount, per: usual };
  if (counted === 'second') return inSeconds(amount, told);
  const match =
    /^(1\s?m|1 ?000 ?000|1\s?k|1 ?000|1|million)?\s*(tokens?|characters?|calls?|gb[ -]?day|gb|images?)?\b/.exec(told);
  if (match === null || (match[1] === undefined && match[2] === undefined)) return null;
  const count = (match[1] ?? '1')
    .replaceAll(/\s/g, '')
    .replace('million', '1000000')
    .replace('1m', '1000000')
    .replace('1k', '1000');
  const noun = match[2] ?? '';
  if (noun !== '' && !noun.startsWith(counted === 'byte_day' ? 'gb' : counted)) return null;
  const per = counted === 'byte_day' ? usual : count;
  return per === usual ? { amount, per } : null;
}

/** `price per second`, in a header above amounts alone. */
function unitIn(label: string): string {
  return /\b(?:per|\/)\s*((?:\d+\s*)?(?:seconds?|minutes?|hours?))\b/i.exec(label)?.[1]?.toLowerCase() ?? '';
}

function inSeconds(amount: string, told: string): Amount | null {
  const match = /^(\d{1,4})?\s*(s|sec|second|min|minute|h|hour)s?\b/.exec(told);
  const seconds = SECONDS[match?.[2] ?? ''];
  return match === null || seconds === undefined ? null : { amount, per: String(Number(match[1] ?? 1) * seconds) };
}

/** `2.50` and `2.5` are the same rate. */
function shortest(amount: string): string {
  return amount.includes('.') ? amount.replace(/\.?0+$/, '') : amount;
}
