// Money: whole pico-dollars (10^-12 USD) as bigint, and the only arithmetic on it. Floats never touch it.

/** Whole pico-dollars. The smallest rate there is, a cached token of a small model at a discount, is a whole number of them. */
export type Money = bigint;

const DIGITS = 12;
const ZERO = 0x30;
const PICO_PER_USD = 10n ** BigInt(DIGITS);

/**
 * @param text decimal US dollars, such as `0.50` or `-3`; at most 12 digits behind the point
 * @throws RangeError for any other text: money is never rounded on the way in
 */
export function parseUsd(text: string): Money {
  const match = /^(-?)(\d{1,30})(?:\.(\d{1,12}))?$/.exec(text);
  if (match === null) {
    throw new RangeError(
      `"${text.slice(0, 60)}" is no amount: write US dollars with at most 12 decimals, such as 0.50`,
    );
  }
  const [, sign, whole = '0', fraction = ''] = match;
  const pico = BigInt(whole) * PICO_PER_USD + BigInt(fraction.padEnd(DIGITS, '0'));
  return sign === '-' ? -pico : pico;
}

/** The exact amount in as few digits as it takes: `0.0000072`, `12`, `-0.5`. */
export function formatUsd(money: Money): string {
  const sign = money < 0n ? '-' : '';
  const digits = (money < 0n ? -money : money).toString().padStart(DIGITS + 1, '0');
  const point = digits.length - DIGITS;
  let end = digits.length;
  while (end > point && digits.charCodeAt(end - 1) === ZERO) end--;
  const whole = sign + digits.slice(0, point);
  return end === point ? whole : `${whole}.${digits.slice(point, end)}`;
}

/**
 * A fraction as a whole number: the nearest, and the even one of two that are equally near.
 * @param divisor greater than 0
 */
export function divideHalfEven(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  const rest = dividend % divisor;
  const twice = (rest < 0n ? -rest : rest) * 2n;
  if (twice < divisor || (twice === divisor && quotient % 2n === 0n)) return quotient;
  return dividend < 0n ? quotient - 1n : quotient + 1n;
}

/** A fraction as the next whole number that is not below it. @param divisor greater than 0 */
export function divideUp(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  return dividend % divisor > 0n ? quotient + 1n : quotient;
}
