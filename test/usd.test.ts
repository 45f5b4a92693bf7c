// Amounts as people read them: never zero for what is not zero, and never a number for what is unknown.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { exactUsd, shownUsd } from '../src/cli/usd.ts';
import { formatUsd } from '../src/domain/money.ts';

for (const [usd, shown] of [
  ['0', '$0.00'],
  [null, '—'],
  ['0.000000000001', '$0.000000000001'],
  ['0.0000072', '$0.0000072'],
  ['0.00001234567', '$0.0000123'],
  ['0.000019996', '$0.00002'],
  ['0.005', '$0.005'],
  ['0.1', '$0.10'],
  ['0.12345', '$0.123'],
  ['0.9996', '$1.00'],
  ['1.005', '$1.01'],
  ['12.3', '$12.30'],
  ['-0.0025', '-$0.0025'],
] as const) {
  test(`${usd ?? 'an unknown amount'} is shown as ${shown}`, () => assert.equal(shownUsd(usd), shown));
}

test('any amount but zero shows a digit that is not zero, and three digits of what it is', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 10n ** 20n }), (pico) => {
      const shown = Number(shownUsd(formatUsd(pico)).slice(1));
      const exact = Number(pico) / 1e12;
      assert.ok(shown > 0);
      assert.ok(Math.abs(shown - exact) <= Math.max(exact * 0.00501, 1e-12), `${shown} for ${exact}`);
    }),
  );
});

test('what is to be seen to add up has all of its digits', () => {
  const shown = ['0.008709', '-0.0025', '12.3', '1.005000000001', '0', null].map(exactUsd);
  assert.deepEqual(shown, ['$0.008709', '-$0.0025', '$12.30', '$1.005000000001', '$0.00', '—']);
});
