// Money is whole pico-dollars: nothing is lost on the way in, on the way out, or in a sum of any size.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { divideHalfEven, divideUp, formatUsd, parseUsd } from '../src/domain/money.ts';

const amounts = fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n });

describe('money', () => {
  test('any amount is the same after it was written and read', () => {
    fc.assert(fc.property(amounts, (money) => assert.equal(parseUsd(formatUsd(money)), money)));
  });

  test('any text of dollars and decimals is read digit by digit', () => {
    const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), digits, (whole, fraction) => {
        assert.equal(parseUsd(`${whole}.${fraction}`), BigInt(`${whole}${fraction.padEnd(12, '0')}`));
      }),
    );
  });

  for (const [text, pico, shortest] of [
    ['0.0000072', 7_200_000n, '0.0000072'],
    ['0.000000000001', 1n, '0.000000000001'],
    ['0.50', 500_000_000_000n, '0.5'],
    ['12', 12_000_000_000_000n, '12'],
    ['-3', -3_000_000_000_000n, '-3'],
    ['-0.000000000001', -1n, '-0.000000000001'],
    ['0', 0n, '0'],
    ['-0', 0n, '0'],
  ] as const) {
    test(`${text} dollars are ${pico} pico-dollars`, () => {
      assert.equal(parseUsd(text), pico);
      assert.equal(formatUsd(pico), shortest);
    });
  }

  for (const text of [
    '',
    ' 1',
    '1 ',
    '.5',
    '1.',
    '1e3',
    '+1',
    '1,5',
    '0x1',
    '0.0000000000001',
    'NaN',
    '--1',
    '1.5.5',
    '$1',
    '٣',
  ]) {
    test(`"${text}" is refused, for money is never rounded on the way in`, () => {
      assert.throws(() => parseUsd(text), RangeError);
    });
  }

  test('sums far beyond 64 bits are exact', () => {
    const most = 2n ** 63n - 1n;
    assert.equal(formatUsd(most), '9223372.036854775807');
    assert.equal(formatUsd(most + 1n), '9223372.036854775808');
    fc.assert(
      fc.property(fc.array(amounts, { maxLength: 50 }), (each) => {
        const sum = each.reduce((total, money) => total + money, 0n);
        const back = each.reduce((total, money) => total - money, parseUsd(formatUsd(sum)));
        assert.equal(back, 0n);
      }),
    );
  });

  test('a fraction is rounded to the nearest, and to the even one of two as near', () => {
    const halves = [-5n, -3n, -1n, 1n, 3n, 5n].map((dividend) => divideHalfEven(dividend, 2n));
    assert.deepEqual(halves, [-2n, -2n, 0n, 0n, 2n, 2n]);
    fc.assert(
      fc.property(amounts, fc.bigInt({ min: 1n, max: 10n ** 20n }), (dividend, divisor) => {
        const quotient = divideHalfEven(dividend, divisor);
        const rest = dividend - quotient * divisor;
        const twice = 2n * (rest < 0n ? -rest : rest);
        assert.ok(twice < divisor || (twice === divisor && quotient % 2n === 0n));
      }),
    );
  });

  test('a fraction that is rounded up is the least whole number not below it', () => {
    fc.assert(
      fc.property(amounts, fc.bigInt({ min: 1n, max: 10n ** 20n }), (dividend, divisor) => {
        const quotient = divideUp(dividend, divisor);
        assert.ok(quotient * divisor >= dividend && (quotient - 1n) * divisor < dividend);
      }),
    );
  });
});
