// The price book: its format and layers, what stays true of any price, and how a book is looked over.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import type { PriceQuery } from '../src/domain/price.ts';
import { METERS, type Meter } from '../src/domain/usage.ts';
import { PriceBookError, parsePriceBook } from '../src/openai/price-book.ts';
import type { PriceLayers } from '../src/openai/price-layers.ts';
import { diffBooks, verifyBook } from '../src/openai/price-review.ts';
import { buildPrices } from '../src/openai/prices.ts';
import { NOW, pricesWith, query, shipped, usd } from './support/prices.ts';

const THOUSANDS = { input_text: 1000, output_text: 1000 };
const day = (text: string) => ({ at: Date.parse(text) });

describe('the format of a price book', () => {
  const problemsOf = (written: unknown): readonly string[] => {
    try {
      parsePriceBook(written);
    } catch (error) {
      if (error instanceof PriceBookError) return error.problems;
      throw error;
    }
    return [];
  };
  const row = (fields: object) => ({ models: [{ model: 'm', rates: { input_text: '1' }, ...fields }] });

  const WRONG: readonly (readonly [story: string, written: unknown, problem: RegExp])[] = [
    ['a section that is none', { model: [] }, /^model is not a price book field; did you mean models\?$/],
    [
      'a field of a row that is none',
      row({ effectiveForm: '2026-01-01' }),
      /^models\[0\]\.effectiveForm .* effectiveFrom\?$/,
    ],
    [
      'a meter that is none',
      row({ rates: { input_txt: '1' } }),
      /^models\[0\]\.rates\.input_txt .* did you mean input_text\?$/,
    ],
    [
      'a rate as a number',
      row({ rates: { input_text: 2.5 } }),
      /^models\[0\]\.rates\.input_text\.amount is 2\.5; .* in quotes/,
    ],
    ['a rate with an exponent', row({ rates: { input_text: '1e-6' } }), /is "1e-6"; write US dollars/],
    ['a negative rate', row({ rates: { input_text: '-1' } }), /is "-1"; write US dollars/],
    ['a rate without an amount', row({ rates: { images: { per: '1' } } }), /^models\[0\]\.rates\.images has no amount/],
    [
      'a rate per nothing',
      row({ rates: { input_text: { amount: '1', per: '0' } } }),
      /per is "0"; write a whole number/,
    ],
    ['a day that is on no calendar', row({ effectiveFrom: '2026-02-30' }), /of the calendar/],
    ['an hour that is on no clock', row({ effectiveFrom: '2026-02-20T25:00:00Z' }), /write a day/],
    ['a time in words', row({ effectiveFrom: 'yesterday' }), /write a day/],
    [
      'an end before its start',
      row({ effectiveFrom: '2026-02-02', effectiveTo: '2026-02-02' }),
      /effectiveTo .* later/,
    ],
    ['a source that is not told', row({ source: 'hearsay' }), /^models\[0\]\.source is "hearsay"/],
    ['half of a long-context rule', row({ long: { aboveInputTokens: 5, inputFactor: '2' } }), /long is not clear/],
    ['a multiplier for nothing', { multipliers: [{ factor: '1' }] }, /needs exactly one of tier/],
    [
      'a multiplier for two things',
      { multipliers: [{ factor: '1', tier: 'flex', mode: 'batch' }] },
      /needs exactly one of tier/,
    ],
    [
      'two rows that begin together',
      { models: [...row({ tier: 'fast' }).models, ...row({ tier: 'priority' }).models] },
      /begins when/,
    ],
    ['no book at all', [], /./],
  ];
  for (const [story, written, problem] of WRONG) {
    test(`refuses ${story}`, () => {
      const problems = problemsOf(written);
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', problem);
    });
  }

  test('reads what it has written, and an empty file', () => {
    assert.deepEqual(parsePriceBook(JSON.parse(JSON.stringify(shipped))), shipped);
    assert.equal(parsePriceBook(null).models.length, 0);
  });
});

describe('layers', () => {
  const one = (amount: string) => ({
    models: [{ model: 'gpt-4o', rates: { input_text: amount, output_text: amount } }],
  });

  test('a later layer wins over an earlier one', () => {
    const asked = query('gpt-4o', THOUSANDS);
    assert.equal(usd(pricesWith({ refreshed: one('1') }), asked), '0.002');
    assert.equal(usd(pricesWith({ refreshed: one('1'), overrides: one('3') }), asked), '0.006');
  });

  test("an operator's row is the whole price of its model: earlier rows for tiers do not shine through", () => {
    const prices = pricesWith({
      overrides: { models: [{ model: 'gpt-4.1', rates: { input_text: '1', output_text: '1' } }] },
    });
    assert.equal(usd(prices, query('gpt-4.1', { input_text_cached: 1000 })), '0.001');
    assert.equal(usd(prices, query('gpt-4.1', THOUSANDS, { serviceTier: 'priority' })), '0.004');
  });

  test('a row for one tier leaves the others to earlier layers', () => {
    const scale = { models: [{ model: 'gpt-4.1', tier: 'scale', rates: { input_text: '0.10', output_text: '0.20' } }] };
    const prices = pricesWith({ overrides: scale });
    assert.equal(usd(prices, query('gpt-4.1', THOUSANDS, { serviceTier: 'scale' })), '0.0003');
    assert.equal(usd(prices, query('gpt-4.1', THOUSANDS)), '0.01');
  });

  test('a row for a host goes before a row for a tier, and no region is put on top', () => {
    const models = [
      { model: 'gpt-5.5', host: '*.api.openai.com', rates: { input_text: '7', output_text: '7' } },
      { model: 'gpt-5.5', tier: 'fast', rates: { input_text: '9', output_text: '9' } },
    ];
    const prices = pricesWith({ overrides: { models } });
    assert.equal(usd(prices, query('gpt-5.5', THOUSANDS, { host: 'eu.api.openai.com' })), '0.014');
    assert.equal(usd(prices, query('gpt-5.5', THOUSANDS, { host: 'eu.api.openai.com', serviceTier: 'fast' })), '0.035');
    assert.equal(usd(prices, query('gpt-5.5', THOUSANDS, { serviceTier: 'fast' })), '0.018');
  });

  test('aliases and patterns are for names that no row has; the longest pattern says most', () => {
    const overrides = {
      aliases: { 'chat-prod': 'gpt-4o', loop: 'loop' },
      models: [
        { model: 'acme-*', rates: { input_text: '1', output_text: '1' } },
        { model: 'acme-large-*', rates: { input_text: '2', output_text: '2' } },
        { model: 'gpt-4o*', rates: { input_text: '9', output_text: '9' } },
      ],
    };
    const prices = pricesWith({ overrides });
    const cost = (name: string) => usd(prices, query(name, THOUSANDS));
    assert.equal(cost('chat-prod'), '0.0125');
    assert.deepEqual([cost('acme-small'), cost('acme-large-2')], ['0.002', '0.004']);
    assert.deepEqual([cost('gpt-4o'), cost('gpt-4o-next')], ['0.0125', '0.018']);
    assert.equal(cost('loop'), 'unpriced null unknown_model');
    assert.equal(prices.price(query('acme-small', THOUSANDS)).confidence, 'operator');
  });

  test("a contract multiplies what its team's tokens cost, and one for a key goes before it", () => {
    const contracts = {
      multipliers: [
        { team: 'team_a', factor: '0.93' },
        { key: 'key_b', factor: '0.5', appliesTo: 'all' },
        { team: 'team_c', factor: '1.2', models: ['gpt-4o*'], effectiveFrom: '2026-11-01' },
      ],
    };
    const prices = pricesWith({ contracts });
    const counts = { ...THOUSANDS, file_search_calls: 2 };
    const cost = (rest: Partial<PriceQuery>) => usd(prices, query('gpt-4o', counts, rest));
    assert.equal(cost({ teamId: 'team_z' }), '0.0175');
    assert.equal(cost({ teamId: 'team_a', keyId: 'key_a' }), '0.016625');
    assert.equal(cost({ teamId: 'team_a', keyId: 'key_b' }), '0.00875');
    assert.equal(cost({ teamId: 'team_c' }), '0.02');
    assert.equal(cost({ teamId: 'team_c', ...day('2026-10-31') }), '0.0175');
    assert.equal(usd(prices, query(null, { file_search_calls: 2 }, { keyId: 'key_b' })), '0.0025');
  });

  test('a multiplier of a later layer goes before one of an earlier, however exact', () => {
    const prices = pricesWith({ overrides: { multipliers: [{ tier: 'priority', factor: '3' }] } });
    assert.equal(usd(prices, query('gpt-5.5', THOUSANDS, { serviceTier: 'fast' })), '0.105');
  });

  test('a row that ends gives way to the one before it', () => {
    const models = [
      { model: 'm', rates: { input_text: '4' } },
      { model: 'm', effectiveFrom: '2026-01-01', effectiveTo: '2026-02-01', rates: { input_text: '1' } },
    ];
    const prices = pricesWith({ overrides: { models } });
    const on = (text: string) => usd(prices, query('m', { input_text: 1000 }, day(text)));
    assert.deepEqual([on('2025-12-31'), on('2026-01-31'), on('2026-02-01')], ['0.004', '0.001', '0.004']);
  });

  test('most output tokens and the last day of a model are found by any of its names', () => {
    const prices = pricesWith({
      overrides: { facts: { 'gpt-4o': { maxOutputTokens: 9 } }, aliases: { prod: 'gpt-4o' } },
    });
    assert.deepEqual(
      ['gpt-4o-2024-08-06', 'ft:gpt-4o-2024-08-06:org::x', 'prod', 'gpt-6.1-sol', 'gpt-9', 'tts-1'].map(
        prices.maxOutputTokens,
      ),
      [9, 9, 9, 128_000, null, null],
    );
    assert.equal(prices.retiresOn('gpt-4o-2024-08-06'), '2027-01-14');
  });

  test('the row in force is told with its layer', () => {
    const prices = pricesWith({ overrides: one('3') });
    const found = prices.rowInForce(query('gpt-4o', {}));
    assert.deepEqual([found?.layer, found?.row.rates.input_text?.amount], ['overrides', '3']);
    assert.equal(prices.rowInForce(query('gpt-5', {}))?.layer, 'shipped');
    assert.equal(prices.rowInForce(query('gpt-9', {})), null);
  });
});

describe('a version of prices', () => {
  test('is the same for the same content, in whatever order it was written, and another for any other', () => {
    const [a, b] = [
      { factor: '0.5', team: 'team_a' },
      { team: 'team_a', factor: '0.5' },
    ];
    const version = (multiplier: object) => pricesWith({ contracts: { multipliers: [multiplier] } }).version;
    assert.equal(version(a), version(b));
    assert.notEqual(version(a), version({ ...a, factor: '0.50' }));
    assert.notEqual(version(a), pricesWith().version);
  });

  test('can be built again from its layers as kept JSON', () => {
    const prices = pricesWith({ overrides: { aliases: { x: 'gpt-5' } } });
    const kept = JSON.parse(JSON.stringify(prices.layers)) as PriceLayers;
    const again = buildPrices(kept);
    assert.equal(again.version, prices.version);
    assert.deepEqual(again.price(query('x', THOUSANDS)), prices.price(query('x', THOUSANDS)));
    assert.equal(prices.price(query('x', THOUSANDS)).priceVersion, prices.version);
  });
});

describe('any price', () => {
  const prices = pricesWith({ contracts: { multipliers: [{ team: 'team_a', factor: '0.937' }] } });
  const names = [...new Set(shipped.models.map(({ model }) => model)), 'gpt-9'];
  const queries: fc.Arbitrary<PriceQuery> = fc.record({
    model: fc.constantFrom(null, ...names),
    at: fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2027, 11) }),
    serviceTier: fc.constantFrom(null, 'default', 'flex', 'fast', 'priority', 'ultrafast', 'scale'),
    mode: fc.constantFrom('standard', 'batch', 'background_2h', 'background_8h'),
    host: fc.constantFrom('api.openai.com', 'eu.api.openai.com'),
    teamId: fc.constantFrom(null, 'team_a'),
    keyId: fc.constant(null),
    readings: fc.array(
      fc.record({
        meter: fc.constantFrom(...(Object.keys(METERS) as Meter[])),
        quantity: fc.bigInt({ min: 0n, max: 10n ** 13n }),
      }),
      { maxLength: 8 },
    ),
  });

  test('is the sum of its lines, and each line is what its own figures say', () => {
    fc.assert(
      fc.property(queries, (asked) => {
        const { state, amount, lines, why } = prices.price(asked);
        if (state === 'unpriced') {
          assert.deepEqual([amount, lines.length], [null, 0]);
          assert.notEqual(why, null);
          return;
        }
        assert.equal(
          amount,
          lines.reduce((sum, line) => sum + line.amount, 0n),
        );
        for (const line of lines) assert.equal(line.amount, oracle(line));
      }),
    );
  });

  test('is the same whenever it is asked for', () => {
    const fresh = buildPrices(prices.layers);
    fc.assert(fc.property(queries, (asked) => assert.deepEqual(fresh.price(asked), prices.price(asked))));
  });

  test('is not changed by a row or multiplier that begins later', () => {
    const later = '2027-12-31';
    const models = names.map((model) => ({ model, effectiveFrom: later, rates: { input_text: '999' } }));
    const multipliers = [{ tier: 'flex', factor: '9', effectiveFrom: later }];
    const tools = [{ effectiveFrom: later, rates: { web_search_calls: '999' } }];
    const grown = pricesWith({
      shipped: {
        ...shipped,
        models: [...shipped.models, ...models],
        multipliers: [...shipped.multipliers, ...multipliers],
        tools: [...shipped.tools, ...tools],
      },
      contracts: prices.layers.contracts,
    });
    const known = queries.filter(({ model }) => model !== 'gpt-9');
    fc.assert(
      fc.property(known, (asked) => {
        const [before, after] = [prices.price(asked), grown.price(asked)];
        assert.deepEqual({ ...after, priceVersion: null }, { ...before, priceVersion: null });
      }),
    );
  });

  /** The line's amount by long division of decimal text, with nothing of the code under test. */
  function oracle({
    meter,
    quantity,
    billed,
    rate,
    per,
    factors,
  }: ReturnType<typeof prices.price>['lines'][number]): bigint {
    let dividend = billed ?? quantity;
    let divisor = BigInt(per) * 10n ** BigInt(METERS[meter].scale);
    for (const decimal of [rate, ...factors.map(({ factor }) => factor)]) {
      const [whole = '', fraction = ''] = decimal.split('.');
      dividend *= BigInt(whole + fraction);
      divisor *= 10n ** BigInt(fraction.length);
    }
    dividend *= 10n ** 12n;
    const [down, rest] = [dividend / divisor, (dividend % divisor) * 2n];
    return rest > divisor || (rest === divisor && down % 2n === 1n) ? down + 1n : down;
  }
});

describe('looking a book over', () => {
  test('C21: a source that was read more than 30 days ago is listed', () => {
    const stale = (now: number) => verifyBook(shipped, now).filter(({ kind }) => kind === 'stale');
    assert.deepEqual(stale(Date.UTC(2026, 11, 22)), []);
    const [first] = stale(Date.UTC(2026, 11, 23));
    assert.equal(first?.of, 'openai');
    assert.match(first?.message ?? '', /developers\.openai\.com.* was read 31 days ago, on 2026-11-22; \d+ models/);
  });

  test('every shipped meter and model has a price now, and what is not confirmed is listed', () => {
    const findings = verifyBook(shipped, NOW);
    assert.deepEqual(
      findings.filter(({ kind }) => kind === 'gap'),
      [],
    );
    const unconfirmed = findings.filter(({ kind }) => kind === 'unconfirmed').map(({ of }) => of);
    for (const name of ['gpt-6.2-astra', 'gpt-4o-transcribe', 'dall-e-3', 'multipliers'])
      assert.ok(unconfirmed.includes(name), name);
    assert.ok(!unconfirmed.includes('gpt-6.2-sol'));
    const retired = findings.filter(({ kind }) => kind === 'retired').map(({ of }) => of);
    assert.deepEqual(retired, ['sora-2', 'sora-2-pro']);
  });

  test('gaps are told: models without a row now, a standard row or an output rate, aliases of nothing', () => {
    const book = parsePriceBook({
      aliases: { nick: 'nobody' },
      models: [
        { model: 'ended', effectiveTo: '2026-01-01', rates: { input_text: '1' } },
        { model: 'tiered', tier: 'fast', rates: { input_text: '1' } },
        { model: 'half', rates: { input_text: '1', input_text_cached: '1' } },
      ],
    });
    const gaps = verifyBook(book, NOW).filter(({ kind }) => kind === 'gap');
    const told = gaps.filter(({ of }) => !(of in METERS)).map(({ of }) => of);
    assert.deepEqual([...new Set(told)], ['ended', 'tiered', 'half', 'nick']);
  });

  test('two books differ in what was added, removed and changed, and not in how it is written', () => {
    const book = (models: unknown[], rest = {}) => parsePriceBook({ models, ...rest });
    const before = book([
      { model: 'a', rates: { input_text: '2.50', output_text: '10' } },
      { model: 'b', rates: { input_text: '1' }, long: { aboveInputTokens: 5, inputFactor: '2', outputFactor: '1.5' } },
    ]);
    const after = book(
      [
        {
          model: 'a',
          rates: { input_text: { amount: '2.5', per: '1000000' }, output_text: '8' },
          confidence: 'operator',
        },
        { model: 'a', effectiveFrom: '2026-12-01', rates: { input_text: '2' } },
        { model: 'b', rates: { input_text: '1' } },
      ],
      { multipliers: [{ tier: 'flex', factor: '0.5' }] },
    );
    const changes = diffBooks(before, after).map(
      ({ kind, of, what, effectiveFrom, before: old, after: young }) =>
        `${kind} ${of} ${what} ${effectiveFrom ?? '-'}: ${old ?? '-'} > ${young ?? '-'}`,
    );
    assert.deepEqual(changes, [
      'changed a output_text -: 10 per 1000000 > 8 per 1000000',
      'removed b long -: above 5 > -',
      'removed b long input factor -: 2 > -',
      'removed b long output factor -: 1.5 > -',
      'added a input_text 2026-12-01: - > 2 per 1000000',
      'added multipliers tier flex -: - > 0.5',
    ]);
    assert.deepEqual(diffBooks(shipped, shipped), []);
  });
});
