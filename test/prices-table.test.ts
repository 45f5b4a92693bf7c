// Every shipped row equals a table typed by hand: a slip in the price book needs the same slip here to go unseen.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Meter } from '../src/domain/usage.ts';
import { type PriceRow, type Rates, perOf, ratesOf } from '../src/openai/price-book.ts';
import { shipped } from './support/prices.ts';

// First party, two secondary, unconfirmed; a rate with a question mark is unconfirmed on its own.
const [F, T, U] = ['first_party', 'two_secondary', 'unconfirmed'] as const;
const NONE = '-';
const X2 = 'x2 x1.5';

// model, from, in, cached, written, written for 12 hours, out, long (in / cached / written / 12 hours / out), confidence
const TEXT: readonly (readonly string[])[] = [
  ['gpt-6.2-astra', '2026-11-17', '8', '0.40?', '10?', '20?', '40', `${X2}?`, F],
  ['gpt-6.2-sol', '2026-11-17', '2', '0.10', '2.50', '5', '10', X2, F],
  ['gpt-6.1-sol', '2026-09-29', '2', '0.10', '2.50', '5?', '10', X2, F],
  ['gpt-6.1-terra', '2026-10-26', '1', '0.05', '1.25', '2.50?', '5', X2, F],
  ['gpt-6-astra', NONE, '10', '1', '12.5', '25?', '50', '20/2/25/50?/75', F],
  ['gpt-6-sol', '2026-09-22', '2', '0.20', '2.50', '5?', '10', X2, F],
  ['gpt-6-luna', '2026-09-22', '0.10', '0.01', '0.125', '0.25?', '0.50', X2, F],
  ['gpt-5.6-sol', NONE, '5', '0.5', '6.25', '12.5?', '30', X2, F],
  ['gpt-5.6-sol', '2026-08-21', '4', '0.4', '5', '10?', '20', X2, F],
  ['gpt-5.6-terra', NONE, '2.5', '0.25', '3.125', '6.25?', '15', X2, F],
  ['gpt-5.6-terra', '2026-07-30', '2', '0.2', '2.5', '5?', '12', X2, F],
  ['gpt-5.6-luna', NONE, '1', '0.1', '1.25', '2.5?', '6', X2, F],
  ['gpt-5.6-luna', '2026-07-30', '0.2', '0.02', '0.25', '0.5?', '1.2', X2, F],
  ['gpt-5.5', NONE, '5', '0.5', NONE, NONE, '30', '10/1/-/-/45', F],
  ['gpt-5.5-pro', NONE, '30', NONE, NONE, NONE, '180', `${X2}?`, F],
  ['gpt-5.4', NONE, '2.5', '0.25', NONE, NONE, '15', `${X2}?`, T],
  ['gpt-5.4-pro', NONE, '30', NONE, NONE, NONE, '180', `${X2}?`, T],
  ['gpt-5.4-mini', NONE, '0.75', '0.075', NONE, NONE, '4.5', NONE, T],
  ['gpt-5.4-nano', NONE, '0.20', '0.02', NONE, NONE, '1.25', NONE, T],
  ['gpt-5.2', NONE, '1.75', '0.175', NONE, NONE, '14', NONE, T],
  ['gpt-5.3-codex', NONE, '1.75', '0.175', NONE, NONE, '14', NONE, T],
  ['gpt-5', NONE, '1.25', '0.125', NONE, NONE, '10', NONE, T],
  ['gpt-5.1', NONE, '1.25', '0.125', NONE, NONE, '10', NONE, T],
  ['gpt-5-mini', NONE, '0.25', '0.025', NONE, NONE, '2', NONE, T],
  ['gpt-5-nano', NONE, '0.05', '0.005', NONE, NONE, '0.40', NONE, T],
  ['gpt-5-pro', NONE, '15', NONE, NONE, NONE, '120', NONE, T],
  ['gpt-4.1', NONE, '2', '0.50', NONE, NONE, '8', NONE, T],
  ['gpt-4.1-mini', NONE, '0.40', '0.10', NONE, NONE, '1.60', NONE, T],
  ['gpt-4.1-nano', NONE, '0.10', '0.025', NONE, NONE, '0.40', NONE, T],
  ['gpt-4o', NONE, '2.5', '1.25', NONE, NONE, '10', NONE, T],
  ['gpt-4o-mini', NONE, '0.15', '0.075', NONE, NONE, '0.60', NONE, T],
  ['o1', NONE, '15', '7.5', NONE, NONE, '60', NONE, T],
  ['o1-pro', NONE, '150', NONE, NONE, NONE, '600', NONE, T],
  ['o3', NONE, '2', '0.5', NONE, NONE, '8', NONE, T],
  ['o3-pro', NONE, '20', NONE, NONE, NONE, '80', NONE, T],
  ['o3-mini', NONE, '1.1', '0.55', NONE, NONE, '4.4', NONE, T],
  ['o4-mini', NONE, '1.1', '0.275', NONE, NONE, '4.4', NONE, T],
  ['o3-deep-research', NONE, '10', '2.5', NONE, NONE, '40', NONE, U],
  ['o4-mini-deep-research', NONE, '2', '0.5', NONE, NONE, '8', NONE, U],
  ['gpt-3.5-turbo', NONE, '0.5', NONE, NONE, NONE, '1.5', NONE, T],
  ['gpt-4', NONE, '30', NONE, NONE, NONE, '60', NONE, T],
  ['gpt-4-turbo', NONE, '10', NONE, NONE, NONE, '30', NONE, T],
  // Rows beyond the reference's second chapter: snapshots with prices of their own, fine-tuned models.
  ['gpt-4o-2024-05-13', NONE, '5', NONE, NONE, NONE, '15', NONE, U],
  ['ft:gpt-4.1', NONE, '3', '0.75', NONE, NONE, '12', NONE, U],
  ['ft:gpt-4.1-mini', NONE, '0.80', '0.20', NONE, NONE, '3.20', NONE, U],
  ['ft:gpt-4.1-nano', NONE, '0.20', '0.05', NONE, NONE, '0.80', NONE, U],
  ['ft:gpt-4o', NONE, '3.75', '1.875', NONE, NONE, '15', NONE, U],
  ['ft:gpt-4o-mini', NONE, '0.30', '0.15', NONE, NONE, '1.20', NONE, U],
  ['ft:gpt-3.5-turbo', NONE, '3', NONE, NONE, NONE, '6', NONE, U],
  ['ft:o4-mini', NONE, '4', '1', NONE, NONE, '16', NONE, U],
];

// model, in, cached, out, confidence
const FAST: readonly (readonly string[])[] = [
  ['gpt-4.1', '3.5', '0.875', '14', F],
  ['gpt-4.1-mini', '0.70', '0.175', '2.80', U],
  ['gpt-4.1-nano', '0.20', '0.05', '0.80', U],
  ['gpt-4o-mini', '0.25', '0.125', '1', U],
  ['gpt-4o-2024-05-13', '8.75', NONE, '26.25', U],
  ['gpt-5-mini', '0.45', '0.045', '3.60', U],
  ['o3', '3.5', '0.875', '14', U],
  ['o4-mini', '2', '0.5', '8', U],
];

// model, text in, cached, audio in, cached, image in, cached, text out, audio out, image out, confidence
const MULTIMODAL: readonly (readonly string[])[] = [
  ['gpt-realtime', '4', '0.4', '32', '0.4', '5', '0.5', '16', '64', NONE, F],
  ['gpt-realtime-1.5', '4', '0.4', '32', '0.4', '5', '0.5', '16', '64', NONE, U],
  ['gpt-realtime-2', '4', '0.4', '32', '0.4', '5', '0.5', '24', '64', NONE, F],
  ['gpt-realtime-2.1', '4', '0.4', '32', '0.4', '5', '0.5', '24', '64', NONE, F],
  ['gpt-realtime-mini', '0.6', '0.06', '10', '0.3', '0.8', '0.08', '2.4', '20', NONE, F],
  ['gpt-audio', '2.5', NONE, '32', NONE, NONE, NONE, '10', '64', NONE, F],
  ['gpt-audio-1.5', '2.5', NONE, '32', NONE, NONE, NONE, '10', '64', NONE, F],
  ['gpt-audio-mini', '0.6', NONE, '10', NONE, NONE, NONE, '2.4', '20', NONE, F],
  ['gpt-image-2', '5', '1.25', NONE, NONE, '8', '2', NONE, NONE, '30', F],
  ['gpt-image-2.5', '5', '1.25', NONE, NONE, '8', '2', NONE, NONE, '30', F],
  ['gpt-image-2.6', '5', '1.25', NONE, NONE, '8', '2', NONE, NONE, '30', F],
  ['gpt-image-1.5', '5', '1.25', NONE, NONE, '8', '2', '10', NONE, '32', F],
  ['gpt-image-1', '5', NONE, NONE, NONE, '10', NONE, NONE, NONE, '40', F],
  ['gpt-image-1-mini', '2', NONE, NONE, NONE, '2.5', NONE, NONE, NONE, '8', F],
];

// model, meter, amount, per, confidence
const OTHERS: readonly (readonly string[])[] = [
  ['text-embedding-3-small', 'input_text', '0.02', '1000000', F],
  ['text-embedding-3-large', 'input_text', '0.13', '1000000', F],
  ['text-embedding-ada-002', 'input_text', '0.10', '1000000', T],
  ['tts-1', 'speech_characters', '15', '1000000', F],
  ['tts-1-hd', 'speech_characters', '30', '1000000', F],
  ['gpt-4o-mini-tts', 'input_text', '0.60', '1000000', F],
  ['gpt-4o-mini-tts', 'output_audio', '12', '1000000', F],
  ['whisper-1', 'transcribed_seconds', '0.006', '60', F],
  ['gpt-realtime-whisper', 'transcribed_seconds', '0.017', '60', F],
  ['gpt-live-transcribe', 'transcribed_seconds', '0.017', '60', F],
  ['gpt-realtime-translate', 'transcribed_seconds', '0.034', '60', F],
  ['gpt-4o-transcribe', 'input_text', '2.5', '1000000', U],
  ['gpt-4o-transcribe', 'input_audio', '2.5', '1000000', U],
  ['gpt-4o-transcribe', 'output_text', '10', '1000000', U],
  ['gpt-4o-mini-transcribe', 'input_text', '1.25', '1000000', U],
  ['gpt-4o-mini-transcribe', 'input_audio', '1.25', '1000000', U],
  ['gpt-4o-mini-transcribe', 'output_text', '5', '1000000', U],
  ['gpt-4o', 'training', '25', '1000000', F],
  ['gpt-4o-mini', 'training', '3', '1000000', F],
  ['gpt-4.1', 'training', '25', '1000000', F],
  ['gpt-4.1-mini', 'training', '5', '1000000', F],
  ['gpt-4.1-nano', 'training', '1.5', '1000000', F],
  ['o4-mini', 'reinforcement_seconds', '100', '3600', F],
  ['sora-2', 'video_seconds', '0.10', '1', F],
  ['sora-2-pro', 'video_seconds 720x1280', '0.30', '1', F],
  ['sora-2-pro', 'video_seconds 1280x720', '0.30', '1', F],
  ['sora-2-pro', 'video_seconds 1024x1792', '0.50', '1', U],
  ['sora-2-pro', 'video_seconds 1792x1024', '0.50', '1', U],
  ['sora-2-pro', 'video_seconds 1080x1920', '0.70', '1', U],
  ['sora-2-pro', 'video_seconds 1920x1080', '0.70', '1', U],
  ['dall-e-3', 'images 1024x1024/standard', '0.04', '1', U],
  ['dall-e-3', 'images 1024x1792/standard', '0.08', '1', U],
  ['dall-e-3', 'images 1792x1024/standard', '0.08', '1', U],
  ['dall-e-3', 'images 1024x1024/hd', '0.08', '1', U],
  ['dall-e-3', 'images 1024x1792/hd', '0.12', '1', U],
  ['dall-e-3', 'images 1792x1024/hd', '0.12', '1', U],
  ['dall-e-2', 'images 256x256', '0.016', '1', U],
  ['dall-e-2', 'images 512x512', '0.018', '1', U],
  ['dall-e-2', 'images 1024x1024', '0.020', '1', U],
  ['dall-e-2', 'images 256x256/standard', '0.016', '1', U],
  ['dall-e-2', 'images 512x512/standard', '0.018', '1', U],
  ['dall-e-2', 'images 1024x1024/standard', '0.020', '1', U],
];

// meter, from, amount, per, step, minimum, confidence
const TOOLS: readonly (readonly string[])[] = [
  ['web_search_calls', NONE, '10', '1000', NONE, NONE, F],
  ['web_search_preview_calls', NONE, '25', '1000', NONE, NONE, F],
  ['file_search_calls', NONE, '2.50', '1000', NONE, NONE, F],
  ['vector_store_byte_days', NONE, '0.10', '1073741824', NONE, NONE, F],
  ['live_active_seconds', NONE, '0.05', '60', NONE, NONE, F],
  ['live_standby_seconds', NONE, '0.02', '60', NONE, NONE, F],
  ...[NONE, '2026-06-02'].flatMap((from) => [
    ['container_1g_seconds', from, '0.03', '1200', ...(from === NONE ? ['1200', NONE, U] : ['60', '300', F])],
    ['container_4g_seconds', from, '0.12', '1200', ...(from === NONE ? ['1200', NONE, U] : ['60', '300', F])],
    ['container_16g_seconds', from, '0.48', '1200', ...(from === NONE ? ['1200', NONE, U] : ['60', '300', F])],
    ['container_64g_seconds', from, '1.92', '1200', ...(from === NONE ? ['1200', NONE, U] : ['60', '300', F])],
  ]),
];

// purpose, models, until, factor, confidence
const MULTIPLIERS: readonly (readonly string[])[] = [
  ['flex', 'but gpt-6.2-*', NONE, '0.5', F],
  ['fast', 'gpt-5.6-* gpt-6-* gpt-6.*', NONE, '2', F],
  ['fast', 'gpt-5.5', NONE, '2.5', F],
  ['fast', 'gpt-4o', NONE, '1.7', F],
  ['fast', 'all', NONE, '2', U],
  ['ultrafast', 'gpt-6.2-sol', '2027-03-01', '3', F],
  ['ultrafast', 'all', NONE, '6', F],
  ['batch', 'all', NONE, '0.5', F],
  ['background_2h', 'all', NONE, '0.7', F],
  ['background_8h', 'all', NONE, '0.6', F],
];

const RETIREMENTS: readonly (readonly string[])[] = [
  ['gpt-4.1', '2027-01-14'],
  ['gpt-4o', '2027-01-14'],
  ['gpt-4o-transcribe', '2027-02-26'],
  ['gpt-5', '2026-12-11'],
  ['o3', '2026-12-11'],
  ['sora-2', '2026-09-24'],
  ['sora-2-pro', '2026-09-24'],
  ['whisper-1', '2027-02-26'],
];

/** Rates as `meter amount per confidence`, with the conditions of their row before them. */
function told(row: PriceRow): string[] {
  const { model, tier = NONE, effectiveFrom = NONE, effectiveTo = NONE, host = NONE, confidence, long } = row;
  const place = [model, tier, effectiveFrom, effectiveTo, host].join(' ');
  const lines = rateLines(row.rates, confidence).map((line) => `${place} ${line}`);
  if (long === undefined) return lines;
  const ofLong = long.confidence ?? confidence;
  const factors = long.inputFactor === undefined ? [] : [`x${long.inputFactor} x${long.outputFactor} ${ofLong}`];
  return [
    ...lines,
    ...[...rateLines(long.rates ?? {}, ofLong), ...factors].map((line) => `${place} >${long.aboveInputTokens} ${line}`),
  ];
}

function rateLines(rates: Rates, confidence: string | undefined): string[] {
  return ratesOf(rates).flatMap(([meter, rate]) => [
    ...(rate.amount === undefined
      ? []
      : [`${meter} ${rate.amount} ${perOf(meter, rate)} ${rate.confidence ?? confidence}`]),
    ...Object.entries(rate.variants ?? {}).map(
      ([variant, each]) =>
        `${meter} ${variant} ${each.amount} ${perOf(meter, rate)} ${each.confidence ?? rate.confidence ?? confidence}`,
    ),
  ]);
}

/** What a cell of a table above stands for; nothing where it has a dash. */
function cell(place: string, meter: Meter, written: string | undefined, confidence: string | undefined): string[] {
  if (written === undefined || written === NONE) return [];
  const isUnsure = written.endsWith('?');
  return [`${place} ${meter} ${written.replace('?', '')} 1000000 ${isUnsure ? U : confidence}`];
}

const TEXT_METERS: readonly Meter[] = [
  'input_text',
  'input_text_cached',
  'input_text_written',
  'input_text_written_12h',
  'output_text',
];
const MULTIMODAL_METERS: readonly Meter[] = [
  'input_text',
  'input_text_cached',
  'input_audio',
  'input_audio_cached',
  'input_image',
  'input_image_cached',
  'output_text',
  'output_audio',
  'output_image',
];

const expected = [
  ...TEXT.flatMap(([model, from, ...cells]) => {
    const [long = NONE, confidence] = cells.slice(5);
    const place = `${model} ${NONE} ${from} ${NONE} ${NONE}`;
    const above = `${place} >272000`;
    const lines = TEXT_METERS.flatMap((meter, i) => cell(place, meter, cells[i], confidence));
    if (long === NONE) return lines;
    if (long.startsWith('x'))
      return [...lines, `${above} ${long.replace('?', '')} ${long.endsWith('?') ? U : confidence}`];
    const longCells = long.split('/');
    return [...lines, ...TEXT_METERS.flatMap((meter, i) => cell(above, meter, longCells[i], confidence))];
  }),
  ...FAST.flatMap(([model, input, cached, output, confidence]) => {
    const place = `${model} fast ${NONE} ${NONE} ${NONE}`;
    return [
      ...cell(place, 'input_text', input, confidence),
      ...cell(place, 'input_text_cached', cached, confidence),
      ...cell(place, 'output_text', output, confidence),
    ];
  }),
  ...MULTIMODAL.flatMap(([model, ...cells]) =>
    MULTIMODAL_METERS.flatMap((meter, i) =>
      cell(`${model} ${NONE} ${NONE} ${NONE} ${NONE}`, meter, cells[i], cells[9]),
    ),
  ),
  ...OTHERS.map(([model, ...rest]) => `${model} ${NONE} ${NONE} ${NONE} ${NONE} ${rest.join(' ')}`),
];

describe('the shipped price book', () => {
  test('C16: every rate of a model equals the table typed by hand, and neither has one more', () => {
    assert.deepEqual(shipped.models.flatMap(told).toSorted(), expected.toSorted());
  });

  test('so do tools, storage and minutes', () => {
    const lines = shipped.tools.flatMap(({ effectiveFrom = NONE, effectiveTo, confidence, rates }) => {
      assert.equal(effectiveTo, undefined);
      return ratesOf(rates).map(([meter, rate]) =>
        [
          meter,
          effectiveFrom,
          rate.amount,
          perOf(meter, rate),
          rate.step ?? NONE,
          rate.minimum ?? NONE,
          confidence,
        ].join(' '),
      );
    });
    assert.deepEqual(lines.toSorted(), TOOLS.map((row) => row.join(' ')).toSorted());
    assert.equal(shipped.freeVectorStoreBytes, '1073741824');
  });

  test('so do the multipliers, in tokens alone', () => {
    const regional = shipped.multipliers.filter(({ host }) => host !== undefined);
    assert.deepEqual(
      regional.map(({ host, factor, confidence }) => [host, factor, confidence]),
      [['*.api.openai.com', '1.10', F]],
    );
    const lines = shipped.multipliers
      .filter(({ host }) => host === undefined)
      .map(({ tier, mode, models, exceptModels, effectiveTo = NONE, factor, confidence, appliesTo, effectiveFrom }) => {
        assert.deepEqual([appliesTo, effectiveFrom], [undefined, undefined]);
        const of = models?.join(' ') ?? (exceptModels === undefined ? 'all' : `but ${exceptModels.join(' ')}`);
        return [tier ?? mode, of, effectiveTo, factor, confidence].join(' ');
      });
    assert.deepEqual(lines.toSorted(), MULTIPLIERS.map((row) => row.join(' ')).toSorted());
  });

  test('so do the days from which a model is answered no more', () => {
    const days = Object.entries(shipped.facts).flatMap(([model, { retiresOn }]) =>
      retiresOn === undefined ? [] : [[model, retiresOn]],
    );
    assert.deepEqual(days.map(String).toSorted(), RETIREMENTS.map(String).toSorted());
  });

  test('every row names where it was read', () => {
    for (const row of [...shipped.models, ...shipped.tools, ...shipped.multipliers]) {
      assert.ok(row.source !== undefined && row.confidence !== undefined, JSON.stringify(row));
    }
  });
});
