// The worked examples of the reference (cost 11), to the pico-dollar, and the wrong costs that others were told of (cost 12).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { markUnreportedTier } from '../src/openai/served-tier.ts';
import { pricesWith, query, readings, usd } from './support/prices.ts';

const prices = pricesWith();
const GIB = 1_073_741_824;
const day = (text: string) => ({ at: Date.parse(text) });

const E14 = { input_text: 1000, input_text_cached: 8000, input_text_written: 1000, output_text: 500 };
const THOUSANDS = { input_text: 1000, output_text: 1000 };

const EXAMPLES: readonly (readonly [id: string, asked: ReturnType<typeof query>, expected: string])[] = [
  ['E1', query('gpt-5.4-nano', { input_text: 11, output_text: 4 }), '0.0000072'],
  ['E2, 14 tokens', query('text-embedding-3-small', { input_text: 14 }), '0.00000028'],
  ['E2, 12 tokens', query('text-embedding-3-small', { input_text: 12 }), '0.00000024'],
  ['E2, 6 tokens', query('text-embedding-3-small', { input_text: 6 }), '0.00000012'],
  [
    'E3',
    query('gpt-5.6-sol', { input_text: 8, input_text_written: 4012, output_text: 5 }, day('2026-08-01')),
    '0.025265',
  ],
  [
    'E4',
    query('gpt-5.6-sol', { input_text: 8, input_text_cached: 4012, output_text: 5 }, day('2026-08-01')),
    '0.002196',
  ],
  ['E5', query('gpt-5', { input_text: 1127, input_text_cached: 8576, output_text: 638 }), '0.00886075'],
  ['E6', query('gpt-5-nano', { input_text: 17, output_text: 482 }), '0.00019365'],
  ['E7', query('gpt-5-nano', { input_text: 17, output_text: 482 }, { serviceTier: 'flex' }), '0.000096825'],
  ['E8', query('gpt-4o', { input_text: 86, input_text_cached: 1920, output_text: 300 }), '0.005615'],
  [
    'E9',
    query(
      'gpt-5.6-luna',
      { input_text: 700, input_text_cached: 200, input_text_written: 100, output_text: 10 },
      day('2026-09-01'),
    ),
    '0.000181',
  ],
  ['E10, at the threshold', query('gpt-5.6-luna', { input_text: 272_000 }, day('2026-09-01')), '0.0544'],
  ['E10, above it', query('gpt-5.6-luna', { input_text: 272_001 }, day('2026-09-01')), '0.1088004'],
  ['E11, at the threshold', query('gpt-5.5', { input_text: 272_000, output_text: 1000 }), '1.39'],
  ['E11, above it', query('gpt-5.5', { input_text: 272_001, output_text: 1000 }), '2.76501'],
  ['E12, before', query('gpt-5.6-sol', THOUSANDS, day('2026-08-01')), '0.035'],
  ['E12, the last second before', query('gpt-5.6-sol', THOUSANDS, day('2026-08-20T23:59:59.999Z')), '0.035'],
  ['E12, the first second of the change', query('gpt-5.6-sol', THOUSANDS, day('2026-08-21T00:00:00Z')), '0.024'],
  ['E12, after', query('gpt-5.6-sol', THOUSANDS, day('2026-08-22')), '0.024'],
  ['E13', query('gpt-6-astra', { input_text: 300_000, output_text: 1000 }), '6.075'],
  ['E14', query('gpt-6.1-sol', E14), '0.0103'],
  ['E15', query('gpt-6.1-sol', E14, { serviceTier: 'fast' }), '0.0206'],
  ['E16', query('gpt-6.1-sol', E14, { mode: 'batch' }), '0.00515'],
  ['E17', query('gpt-6.1-sol', E14, { serviceTier: 'default' }), '0.0103'],
  ['E18', query('gpt-5.5', THOUSANDS, { serviceTier: 'priority' }), '0.0875'],
  ['E19', query('gpt-5.5', THOUSANDS, { host: 'eu.api.openai.com' }), '0.0385'],
  [
    'E20, two-hour window',
    query('gpt-6.2-sol', { input_text: 10_000, output_text: 2000 }, { mode: 'background_2h' }),
    '0.028',
  ],
  [
    'E20, ultrafast',
    query('gpt-6.2-sol', { input_text: 10_000, output_text: 2000 }, { serviceTier: 'ultrafast' }),
    '0.12',
  ],
  ['E21, gpt-5', query('gpt-5', { input_text: 45, output_text: 1719 }), '0.01724625'],
  ['E21, gpt-4.1', query('gpt-4.1', { input_text: 329, output_text: 12 }), '0.000754'],
  ['E21, o3-mini', query('o3-mini', { input_text: 13, output_text: 2241 }), '0.0098747'],
  ['E21, gpt-5-mini', query('gpt-5-mini', { input_text: 156, output_text: 561 }), '0.001161'],
  ['E22', query('gpt-4o', { input_text: 100, output_text: 250 }), '0.00275'],
  ['E23', query('gpt-image-1.5', { input_text: 23, output_image: 1056 }), '0.033907'],
  [
    'E24',
    query('gpt-image-2', { input_text: 50, input_image: 800, input_image_cached: 200, output_image: 1056 }),
    '0.03873',
  ],
  ['E25', query('gpt-realtime', { input_image: 800, input_image_cached: 200 }), '0.0041'],
  ['E26, realtime', query('gpt-realtime-whisper', { transcribed_seconds: 90_000 }), '0.0255'],
  ['E26, file', query('whisper-1', { transcribed_seconds: 60_000 }), '0.006'],
  ['E27, tokens', query('gpt-4o-mini-tts', { input_text: 30, output_audio: 500 }), '0.006018'],
  ['E27, characters', query('tts-1', { speech_characters: 1000 }), '0.015'],
  ['E28, 90 seconds active', query('gpt-live', { live_active_seconds: 90_000 }), '0.075'],
  ['E28, an hour active', query(null, { live_active_seconds: 3_600_000 }), '3'],
  ['E28, an hour on standby', query(null, { live_standby_seconds: 3_600_000 }), '1.2'],
  ['E29', query('gpt-6.1-sol', { input_text: 9000, output_text: 800, web_search_calls: 2 }), '0.046'],
  ['E30', query(null, { file_search_calls: 3 }), '0.0075'],
  ['E31', query(null, { vector_store_byte_days: 3 * GIB - Number(prices.freeVectorStoreBytes) }), '0.2'],
  ['E32, supervised', query('gpt-4o-mini-2024-07-18', { training: 1_200_000 }), '3.6'],
  ['E32, reinforcement', query('o4-mini-2025-04-16', { reinforcement_seconds: 5_400_000 }), '150'],
  [
    'E33, in a batch of many lines',
    query('gpt-6.1-terra', { input_text: 1_000_000, output_text: 200_000 }, { mode: 'batch', isSum: true }),
    '1',
  ],
  [
    'E33, as many standard exchanges',
    query('gpt-6.1-terra', { input_text: 1_000_000, output_text: 200_000 }, { isSum: true }),
    '2',
  ],
  ['E34', query('sora-2', { video_seconds: 4000 }), '0.4'],
  ['E35', query('gpt-5-nano', { input_text_cached: 1000 }, { serviceTier: 'flex' }), '0.0000025'],
  ['E38', query('gpt-9', { input_text: 10, output_text: 10 }), 'unpriced null unknown_model'],
];

describe('the worked examples', () => {
  for (const [id, asked, expected] of EXAMPLES) {
    test(`${id}: ${expected}`, () => assert.equal(usd(prices, asked), expected));
  }

  test('E28: the backend model beside 90 seconds of a live session adds its own cost', () => {
    assert.equal(usd(prices, query('gpt-6.1-sol', { live_active_seconds: 90_000, output_text: 2000 })), '0.095');
  });

  test('E35: half of a pico-dollar rate is no reason for a float', () => {
    const one = prices.price(query('gpt-5-nano', { input_text_cached: 1 }, { serviceTier: 'flex' }));
    assert.equal(one.amount, 2500n);
  });

  test('E38: an unknown model is unpriced even where it used nothing, and is never 0', () => {
    assert.equal(prices.price(query('gpt-9', {})).amount, null);
  });
});

describe('the complaints', () => {
  test('C1: an old model with its own priority row has that price, under both names of the tier', () => {
    const counts = { input_text: 1000, input_text_cached: 1000, output_text: 1000 };
    assert.equal(usd(prices, query('gpt-4.1', counts, { serviceTier: 'priority' })), '0.018375');
    assert.equal(usd(prices, query('gpt-4.1-2025-04-14', counts, { serviceTier: 'fast' })), '0.018375');
    assert.equal(usd(prices, query('gpt-4.1', counts)), '0.0105');
    const line = prices.price(query('gpt-4.1', counts, { serviceTier: 'priority' })).lines[0];
    assert.deepEqual([line?.rate, line?.factors], ['3.5', []]);
  });

  test('C1: gpt-4o at priority has a factor of its own', () => {
    assert.equal(usd(prices, query('gpt-4o', THOUSANDS, { serviceTier: 'priority' })), '0.02125');
  });

  test('C1: ultrafast costs three times as much on gpt-6.2-sol until the end of February 2027, then six times', () => {
    const on = (text: string) =>
      usd(prices, query('gpt-6.2-sol', THOUSANDS, { serviceTier: 'ultrafast', ...day(text) }));
    assert.deepEqual([on('2027-02-28T23:59:59Z'), on('2027-03-01T00:00:00Z')], ['0.036', '0.072']);
    assert.equal(usd(prices, query('gpt-6.1-sol', THOUSANDS, { serviceTier: 'ultrafast' })), '0.072');
  });

  for (const [tier, model] of [
    ['scale', 'gpt-5.5'],
    ['flex', 'gpt-6.2-sol'],
    ['warp', 'gpt-5'],
  ] as const) {
    test(`C1: tier ${tier} of ${model} has no known rate, so it is not priced as if it were standard`, () => {
      assert.equal(usd(prices, query(model, THOUSANDS, { serviceTier: tier })), `unpriced null no_tier_rate:${tier}`);
    });
  }

  test('C1: where the reply does not name the tier that was asked for, the cost is a part of the truth', () => {
    const cost = prices.price(query('gpt-5', THOUSANDS));
    assert.deepEqual(markUnreportedTier(cost, 'flex', null), { ...cost, state: 'partial', why: 'no_served_tier:flex' });
    assert.equal(markUnreportedTier(cost, 'priority', null).why, 'no_served_tier:fast');
    for (const [requested, served] of [
      ['flex', 'default'],
      ['auto', null],
      [null, null],
    ] as const) {
      assert.equal(markUnreportedTier(cost, requested, served), cost);
    }
  });

  test('C2: a dash among the cached rates is the full input rate', () => {
    assert.equal(usd(prices, query('gpt-5.5-pro', { input_text_cached: 1000 })), '0.03');
    assert.equal(usd(prices, query('gpt-audio', { input_audio_cached: 1000 })), '0.032');
    assert.equal(usd(prices, query('gpt-image-1', { input_image_cached: 1000 })), '0.01');
  });

  test('C3: what is written for 12 hours has its own rate; older models take it as input, which is not confirmed', () => {
    assert.equal(usd(prices, query('gpt-6.2-sol', { input_text_written_12h: 1000 })), '0.005');
    const older = prices.price(query('gpt-5.5', { input_text_written: 1000 }));
    assert.deepEqual([older.amount, older.confidence], [5_000_000_000n, 'unconfirmed']);
  });

  test('C4: reasoning nested in the text of a realtime turn is billed once', () => {
    const turn = { input_text: 119, input_audio: 200, output_text: 60, output_audio: 150 };
    assert.equal(usd(prices, query('gpt-realtime-2', turn)), '0.017916');
  });

  test('C5: tier, batch and region go on top of the long row, and the threshold is strict', () => {
    const at = (tokens: number, rest: object) =>
      usd(prices, query('gpt-5.5', { input_text: tokens, output_text: 1000 }, rest));
    assert.deepEqual(
      [at(272_000, { serviceTier: 'priority' }), at(272_001, { serviceTier: 'priority' })],
      ['3.475', '6.912525'],
    );
    assert.equal(at(272_001, { mode: 'batch' }), '1.382505');
    assert.equal(at(272_001, { host: 'us.api.openai.com' }), '3.041511');
    const luna = (tokens: number) =>
      usd(prices, query('gpt-5.6-luna', { input_text: tokens }, { serviceTier: 'fast' }));
    assert.deepEqual([luna(272_000), luna(272_001)], ['0.1088', '0.2176008']);
  });

  test('C5: cached and written tokens count for the threshold, and every line is of the long row', () => {
    const counts = { input_text: 1, input_text_cached: 200_000, input_text_written: 72_000, output_text: 1000 };
    assert.equal(usd(prices, query('gpt-6-astra', counts)), '2.27502');
    assert.equal(usd(prices, query('gpt-6.1-sol', counts)), '0.415004');
    const { input_text: _, ...atThreshold } = counts;
    assert.equal(usd(prices, query('gpt-6.1-sol', atThreshold)), '0.21');
    assert.equal(usd(prices, query('gpt-4.1', counts)), usd(prices, query('gpt-4.1', counts, { isSum: true })));
  });

  test('C6: an image that came out is never at the rate of text, and text of the image model has its own', () => {
    assert.equal(usd(prices, query('gpt-image-1-mini', { output_image: 1000 })), '0.008');
    assert.equal(usd(prices, query('gpt-image-1.5', { output_text: 1000, output_image: 1000 })), '0.042');
    assert.equal(usd(prices, query('gpt-image-2', { output_text: 1000 })), 'unpriced null no_rate:output_text');
  });

  test('C6: images of the older models are priced each, by size and quality', () => {
    const images = (variant: string) =>
      usd(prices, query('dall-e-3', {}, { readings: [{ meter: 'images', quantity: 2n, variant }] }));
    assert.deepEqual([images('1024x1024/standard'), images('1792x1024/hd')], ['0.08', '0.24']);
    assert.equal(images('1x1/hd'), 'unpriced null no_rate:images:1x1/hd');
  });

  test('C12: cached text and cached audio of one turn have each their own rate', () => {
    const turn = { input_text_cached: 1000, input_audio: 1000, input_audio_cached: 1000 };
    assert.equal(usd(prices, query('gpt-realtime-mini', turn)), '0.01036');
  });

  test('C18: other names of a model are priced as it is', () => {
    const asKnown = usd(prices, query('gpt-4o', THOUSANDS));
    assert.equal(usd(prices, query('gpt-4o-2024-11-20', THOUSANDS)), asKnown);
    assert.equal(usd(prices, query('gpt-4-0613', THOUSANDS)), '0.09');
    assert.equal(usd(prices, query('gpt-35-turbo', THOUSANDS)), '0.002');
    assert.equal(usd(prices, query('gpt-4o-2024-05-13', THOUSANDS)), '0.02', 'a snapshot with a price of its own');
  });

  test('C18: a fine-tuned model has its own row or none, and never that of its base', () => {
    assert.equal(usd(prices, query('ft:gpt-4o-mini-2024-07-18:org:name:id', THOUSANDS)), '0.0015');
    assert.equal(usd(prices, query('ft:gpt-4o-mini', THOUSANDS)), '0.0015');
    assert.equal(usd(prices, query('ft:gpt-5:org::id', THOUSANDS)), 'unpriced null unknown_model');
  });

  test('C18: no name falls back to another family', () => {
    for (const name of [
      'gpt-4o-new',
      'gpt-6.1-sol-mini',
      'GPT-4O',
      'gpt-4o-2024-1-1',
      'openai/gpt-4o',
      '',
      'ft:',
      '__proto__',
    ]) {
      assert.equal(usd(prices, query(name, THOUSANDS)), 'unpriced null unknown_model', name);
    }
  });

  test('C19: what is not known is never 0, and what is known of it is told', () => {
    const cost = prices.price(
      query('gpt-4o', { input_text: 1000, input_audio: 5, output_audio: 5, file_search_calls: 1 }),
    );
    assert.deepEqual(
      [cost.state, cost.amount, cost.why],
      ['partial', 5_000_000_000n, 'no_rate:input_audio,output_audio'],
    );
    assert.equal(usd(prices, query('gpt-9', { input_text: 5, file_search_calls: 2 })), 'partial 0.005 unknown_model');
    assert.equal(usd(prices, query(null, { input_text: 5 })), 'unpriced null no_model');
    assert.equal(
      usd(prices, query('gpt-6.2-sol', { input_text: 5 }, day('2026-11-01'))),
      'unpriced null no_price_at_date',
    );
    assert.equal(usd(prices, query('gpt-5', { input_text: -1 })), 'unpriced null negative_reading:input_text');
  });
});

describe('what is not counted in tokens', () => {
  test('a container is billed in whole minutes, five at least, since June 2026', () => {
    const cost = (ms: number, text: string) => usd(prices, query(null, { container_1g_seconds: ms }, day(text)));
    assert.deepEqual(
      [cost(1, '2026-06-02'), cost(300_000, '2026-06-02'), cost(300_001, '2026-06-02'), cost(1_200_000, '2026-06-02')],
      ['0.0075', '0.0075', '0.009', '0.03'],
    );
    assert.equal(cost(60_000, '2026-06-01'), '0.03');
    const [line] = prices.price(query(null, { container_64g_seconds: 61_000 })).lines;
    assert.deepEqual([line?.quantity, line?.billed, line?.amount], [61_000n, 300_000n, 480_000_000_000n]);
  });

  test('two containers are two readings, each with its own least time', () => {
    const two = [...readings({ container_4g_seconds: 1000 }), ...readings({ container_4g_seconds: 1000 })];
    assert.equal(usd(prices, query(null, {}, { readings: two })), '0.06');
  });

  test('tier, batch and region leave fees of tools, storage and minutes alone', () => {
    const rest = { serviceTier: 'fast', mode: 'batch', host: 'eu.api.openai.com' } as const;
    const counts = {
      web_search_calls: 1,
      file_search_calls: 1,
      container_1g_seconds: 1_200_000,
      live_active_seconds: 60_000,
    };
    assert.equal(usd(prices, query('gpt-6.1-sol', counts, rest)), '0.0925');
  });

  test('the region is charged by host, and for models since March 2026 alone', () => {
    const at = (model: string, host: string) => usd(prices, query(model, THOUSANDS, { host }));
    assert.equal(at('gpt-6.1-sol', 'AE.api.openai.com:443'), '0.0132');
    assert.equal(at('gpt-6.1-sol', 'api.openai.com'), '0.012');
    assert.equal(at('gpt-6.1-sol', 'eu.api.openai.com.example'), '0.012');
    assert.equal(at('gpt-4.1', 'eu.api.openai.com'), '0.01');
    assert.equal(at('gpt-5-mini', 'eu.api.openai.com'), '0.00225');
    assert.equal(at('gpt-5.4', 'eu.api.openai.com'), '0.01925');
  });

  test('nothing used costs nothing', () => {
    const cost = prices.price(query('gpt-5', { input_text: 0 }));
    assert.deepEqual([cost.state, cost.amount, cost.lines], ['priced', 0n, []]);
  });
});

describe('how sure a cost is', () => {
  const confidence = (model: string, counts: Parameters<typeof query>[1], rest = {}) =>
    prices.price(query(model, counts, rest)).confidence;

  test('as the least sure of its lines', () => {
    assert.equal(confidence('gpt-6.2-astra', THOUSANDS), 'first_party');
    assert.equal(confidence('gpt-6.2-astra', { ...THOUSANDS, input_text_cached: 1 }), 'unconfirmed');
    assert.equal(confidence('gpt-5', { ...THOUSANDS, web_search_calls: 1 }), 'two_secondary');
    assert.equal(confidence('gpt-4o-mini', { training: 1 }), 'first_party');
  });

  test('as the least sure of what they are multiplied by', () => {
    assert.equal(confidence('gpt-5.5-pro', { input_text: 272_000 }), 'first_party');
    assert.equal(confidence('gpt-5.5-pro', { input_text: 272_001 }), 'unconfirmed');
    assert.equal(confidence('gpt-5.1', THOUSANDS, { serviceTier: 'fast' }), 'unconfirmed');
  });

  test('by the variant, where variants are not equally sure', () => {
    const video = (variant: string) =>
      prices.price(query('sora-2-pro', {}, { readings: [{ meter: 'video_seconds', quantity: 4000n, variant }] }));
    assert.deepEqual([video('1280x720').confidence, video('1920x1080').confidence], ['first_party', 'unconfirmed']);
  });
});
