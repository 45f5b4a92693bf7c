// Amounts for people: at least three digits that say something, a dash for what is unknown, and $0.00 for nothing else than zero.
import { parseUsd } from '../domain/money.ts';

const DIGITS_MIN = 3;
const DECIMALS_MIN = 2;
const DECIMALS = 12;

/** @param usd exact decimal text; null where it is unknown */
export function shownUsd(usd: string | null): string {
  if (usd === null) return '\u2014';
  const pico = parseUsd(usd);
  const sign = pico < 0n ? '-' : '';
  const digits = (pico < 0n ? -pico : pico).toString().padStart(DECIMALS + 1, '0');
  const [whole, fraction] = [digits.slice(0, -DECIMALS), digits.slice(-DECIMALS)];
  const zeros = /^0*/.exec(fraction)![0].length;
  // Of less than a dollar the zeros behind the point say nothing yet.
  const decimals =
    whole === '0' && pico !== 0n ? Math.min(DECIMALS, Math.max(DECIMALS_MIN, zeros + DIGITS_MIN)) : DECIMALS_MIN;
  const cut = fraction.slice(0, decimals);
  const isRoundedUp = Number(fraction[decimals] ?? '0') >= 5;
  const rounded = (BigInt(whole + cut) + (isRoundedUp ? 1n : 0n)).toString().padStart(decimals + 1, '0');
  const behind = rounded.slice(-decimals);
  const shortest = behind.slice(0, DECIMALS_MIN) + behind.slice(DECIMALS_MIN).replace(/0+$/, '');
  return `${sign}$${rounded.slice(0, -decimals)}.${shortest}`;
}

/** All of its digits, where amounts are to be seen to add up. */
export function exactUsd(usd: string | null): string {
  if (usd === null) return shownUsd(usd);
  const [whole = '', fraction = ''] = usd.replace('-', '').split('.');
  return `${usd.startsWith('-') ? '-' : ''}$${whole}.${fraction.padEnd(DECIMALS_MIN, '0')}`;
}
