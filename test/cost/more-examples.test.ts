// Worked examples of the same kind as those of the reference (cost 11): other models, tiers, sizes and tools. What each costs is worked out
// here, in exact fractions, from rates typed by hand from the reference (cost 1 and 2): the price book is never asked.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { formatUsd, parseUsd } from '../../src/domain/money.ts';
import { pricesWith, query } from '../support/prices.ts';
import { openSocketStand, type SocketStand } from '../support/sockets.ts';
import { chatTokens, tokens } from './priced-operations.ts';
import { asEvents, asJson, type CostStand, form, json, named, openCostStand, readingsOf, unnamed } from './stand.ts';

const TODAY = '2026-11-22T10:00:00Z';

/** So many units at a rate for `per` of them, times each factor. */
interface Line {
  readonly quantity: bigint;
  readonly rate: string;
  readonly per: bigint;
  readonly factors: readonly string[];
}

const MILLION = 1_000_000n;
const line = (quantity: number, rate: string, per: bigint, factors: readonly string[]): Line => ({
  quantity: BigInt(quantity),
  rate,
  per,
  factors,
});
const tok = (quantity: number, rate: string, ...factors: string[]) => line(quantity, rate, MILLION, factors);
const calls = (quantity: number, rate: string, ...factors: string[]) => line(quantity, rate, 1000n, factors);
const seconds = (quantity: number, perMinute: string, ...factors: string[]) => line(quantity, perMinute, 60n, factors);
const each = (quantity: number, rate: string, ...factors: string[]) => line(quantity, rate, 1n, factors);

interface Fraction {
  readonly over: bigint;
  readonly under: bigint;
}

function decimal(text: string): Fraction {
  const [whole = '', fraction = ''] = text.split('.');
  return { over: BigInt(whole + fraction), under: 10n ** BigInt(fraction.length) };
}

const PICO = 10n ** 12n;

/** Pico-dollars of each line to the nearest, a half to the even one, and then their sum. */
function picoOf(lines: readonly Line[]): bigint {
  return lines.reduce((sum, { quantity, rate, per, factors }) => {
    let over = quantity * PICO;
    let under = per;
    for (const factor of [rate, ...factors].map(decimal)) {
      over *= factor.over;
      under *= factor.under;
    }
    const floor = over / under;
    const twice = (over % under) * 2n;
    const isUp = twice > under || (twice === under && floor % 2n === 1n);
    return sum + (isUp ? floor + 1n : floor);
  }, 0n);
}

interface Example {
  readonly story: string;
  readonly at?: string;
  readonly path: string;
  readonly asked: ReturnType<typeof json>;
  readonly reply: object | readonly string[];
  readonly lines: readonly Line[];
}

const chat = (model: string, usage: object, more = {}, asked = {}) => ({
  path: '/chat/completions',
  asked: json({ model, messages: [], ...asked }),
  reply: { id: 'c', object: 'chat.completion', model, choices: [], usage, ...more },
});
const respond = (model: string, usage: object, more = {}, asked = {}) => ({
  path: '/responses',
  asked: json({ model, input: 'x', ...asked }),
  reply: { id: 'r', object: 'response', status: 'completed', model, usage, ...more },
});
const embed = (model: string, count: number) => ({
  path: '/embeddings',
  asked: json({ model, input: 'x' }),
  reply: { model, data: [], usage: { prompt_tokens: count, total_tokens: count } },
});
const CACHED = chatTokens(1700, 333, { cached_tokens: 1024 }, { reasoning_tokens: 128 });
/** What CACHED costs. */
const cachedLines = (input: string, cached: string, output: string, ...factors: string[]) => [
  tok(676, input, ...factors),
  tok(1024, cached, ...factors),
  tok(333, output, ...factors),
];
const WRITTEN = tokens(9000, 777, { cached_tokens: 4096, cache_write_tokens: 2048 }, { reasoning_tokens: 500 });
const writtenLines = (input: string, cached: string, written: string, output: string, ...factors: string[]) => [
  tok(2856, input, ...factors),
  tok(4096, cached, ...factors),
  tok(2048, written, ...factors),
  tok(777, output, ...factors),
];
const LONG = tokens(300_001, 2001, { cached_tokens: 200_000, cache_write_tokens: 50_000 });
const longLines = (input: string, cached: string, written: string, output: string, ...factors: string[]) => [
  tok(50_001, input, ...factors),
  tok(200_000, cached, ...factors),
  tok(50_000, written, ...factors),
  tok(2001, output, ...factors),
];
const search = (n: number) => ({
  id: `ws_${n}`,
  type: 'web_search_call',
  status: 'completed',
  action: { type: 'search', query: 'x' },
});
const fileSearch = (n: number) => ({ id: `fs_${n}`, type: 'file_search_call', status: 'completed' });

/** Of chapter 2: input, cached input, output; a dash among the cached rates is the input rate. */
const PLAIN: readonly (readonly [model: string, input: string, cached: string, output: string])[] = [
  ['gpt-5.5', '5', '0.5', '30'],
  ['gpt-5.5-pro', '30', '30', '180'],
  ['gpt-5.4', '2.5', '0.25', '15'],
  ['gpt-5.4-pro', '30', '30', '180'],
  ['gpt-5.4-mini', '0.75', '0.075', '4.5'],
  ['gpt-5.4-nano', '0.20', '0.02', '1.25'],
  ['gpt-5.3-codex', '1.75', '0.175', '14'],
  ['gpt-5.2', '1.75', '0.175', '14'],
  ['gpt-5.1', '1.25', '0.125', '10'],
  ['gpt-5', '1.25', '0.125', '10'],
  ['gpt-5-mini', '0.25', '0.025', '2'],
  ['gpt-5-nano', '0.05', '0.005', '0.40'],
  ['gpt-5-pro', '15', '15', '120'],
  ['gpt-4.1', '2', '0.50', '8'],
  ['gpt-4.1-mini', '0.40', '0.10', '1.60'],
  ['gpt-4.1-nano', '0.10', '0.025', '0.40'],
  ['gpt-4o', '2.5', '1.25', '10'],
  ['gpt-4o-mini', '0.15', '0.075', '0.60'],
  ['o1', '15', '7.5', '60'],
  ['o1-pro', '150', '150', '600'],
  ['o3', '2', '0.5', '8'],
  ['o3-pro', '20', '20', '80'],
  ['o3-mini', '1.1', '0.55', '4.4'],
  ['o4-mini', '1.1', '0.275', '4.4'],
  ['o3-deep-research', '10', '2.5', '40'],
  ['o4-mini-deep-research', '2', '0.5', '8'],
  ['gpt-4-turbo', '10', '10', '30'],
];
/** Those that charge for writing to the cache, on a day on which the rates are in force. */
const WRITING: readonly (readonly [model: string, day: string, ...rates: [string, string, string, string]])[] = [
  ['gpt-6.2-astra', TODAY, '8', '0.40', '10', '40'],
  ['gpt-6.2-sol', TODAY, '2', '0.10', '2.50', '10'],
  ['gpt-6.1-sol', TODAY, '2', '0.10', '2.50', '10'],
  ['gpt-6.1-terra', TODAY, '1', '0.05', '1.25', '5'],
  ['gpt-6-astra', TODAY, '10', '1', '12.5', '50'],
  ['gpt-6-sol', TODAY, '2', '0.20', '2.50', '10'],
  ['gpt-6-luna', TODAY, '0.10', '0.01', '0.125', '0.50'],
  ['gpt-5.6-sol', TODAY, '4', '0.4', '5', '20'],
  ['gpt-5.6-sol', '2026-08-20T23:59:00Z', '5', '0.5', '6.25', '30'],
  ['gpt-5.6-terra', TODAY, '2', '0.2', '2.5', '12'],
  ['gpt-5.6-terra', '2026-07-29T23:59:00Z', '2.5', '0.25', '3.125', '15'],
  ['gpt-5.6-luna', TODAY, '0.2', '0.02', '0.25', '1.2'],
  ['gpt-5.6-luna', '2026-07-29T23:59:00Z', '1', '0.1', '1.25', '6'],
];

const EXAMPLES: readonly Example[] = [
  ...PLAIN.map(([model, input, cached, output]): Example => ({
    story: `${model}, with cached input`,
    ...chat(model, CACHED),
    lines: cachedLines(input, cached, output),
  })),
  ...WRITING.map(([model, at, ...rates]): Example => ({
    story: `${model} at ${at}, with cached and written input`,
    at,
    ...respond(model, WRITTEN),
    lines: writtenLines(...rates),
  })),
  {
    story: 'gpt-4 by its old endpoint of completions',
    path: '/completions',
    asked: json({ model: 'gpt-4', prompt: 'x' }),
    reply: { model: 'gpt-4-0613', usage: chatTokens(500, 41) },
    lines: [tok(500, '30'), tok(41, '60')],
  },
  {
    story: 'gpt-3.5-turbo by the name that Azure gives it',
    ...chat('gpt-35-turbo', chatTokens(1001, 99)),
    lines: [tok(1001, '0.5'), tok(99, '1.5')],
  },
  {
    story: 'a dated snapshot of gpt-5-mini, asked for by the name of a deployment',
    ...chat('gpt-5-mini-2025-08-07', CACHED, {}, { model: 'prod-small' }),
    lines: cachedLines('0.25', '0.025', '2'),
  },
  {
    story: 'gpt-6.2-sol, written for 12 hours as the request asks',
    ...respond(
      'gpt-6.2-sol',
      tokens(20_000, 1500, { cached_tokens: 12_000, cache_write_tokens: 4000 }),
      {},
      { prompt_cache_retention: '12h' },
    ),
    lines: [tok(4000, '2'), tok(12_000, '0.10'), tok(4000, '5'), tok(1500, '10')],
  },
  {
    story: 'gpt-6.2-sol, written for both lifetimes as the reply tells',
    ...respond(
      'gpt-6.2-sol',
      tokens(5000, 10, {
        cache_write_tokens: 3000,
        cache_write_tokens_details: { ttl_30m_tokens: 2000, ttl_12h_tokens: 1000 },
      }),
    ),
    lines: [tok(2000, '2'), tok(2000, '2.50'), tok(1000, '5'), tok(10, '10')],
  },
  {
    story: 'gpt-5, written to a cache that costs nothing beside the input',
    ...respond('gpt-5', WRITTEN),
    lines: writtenLines('1.25', '0.125', '1.25', '10'),
  },

  { story: 'gpt-6.1-sol, long', ...respond('gpt-6.1-sol', LONG), lines: longLines('4', '0.2', '5', '15') },
  {
    story: 'gpt-6.1-sol, long and fast',
    ...respond('gpt-6.1-sol', LONG, { service_tier: 'fast' }),
    lines: longLines('4', '0.2', '5', '15', '2'),
  },
  {
    story: 'gpt-6-astra, long, by its own row, and flex',
    ...respond('gpt-6-astra', LONG, { service_tier: 'flex' }),
    lines: longLines('20', '2', '25', '75', '0.5'),
  },
  {
    story: 'gpt-6.2-sol, long, ultrafast, and two searches that are not multiplied',
    ...respond('gpt-6.2-sol', LONG, { service_tier: 'ultrafast', output: [search(1), search(2)] }),
    lines: [...longLines('4', '0.2', '5', '15', '3'), calls(2, '10')],
  },
  {
    story: 'gpt-5.5, long, at priority',
    ...respond('gpt-5.5', tokens(272_001, 1000, { cached_tokens: 272_000 }), { service_tier: 'priority' }),
    lines: [tok(1, '10', '2.5'), tok(272_000, '1', '2.5'), tok(1000, '45', '2.5')],
  },
  {
    story: 'gpt-5.6-terra, one token below the long rates, cached and written ones counted',
    ...respond('gpt-5.6-terra', tokens(272_000, 9, { cached_tokens: 100_000, cache_write_tokens: 100_000 })),
    lines: [tok(72_000, '2'), tok(100_000, '0.2'), tok(100_000, '2.5'), tok(9, '12')],
  },
  {
    story: 'gpt-5.6-sol, long and flex, before its price fell',
    at: '2026-08-20T23:59:00Z',
    ...respond('gpt-5.6-sol', LONG, { service_tier: 'flex' }),
    lines: longLines('10', '1', '12.5', '45', '0.5'),
  },
  {
    story: 'gpt-4.1, which has no long rates, with a million tokens at priority',
    ...chat('gpt-4.1-2025-04-14', chatTokens(1_000_000, 500, { cached_tokens: 600_000 }), { service_tier: 'priority' }),
    lines: [tok(400_000, '3.5'), tok(600_000, '0.875'), tok(500, '14')],
  },

  {
    story: 'gpt-4o at priority',
    ...chat('gpt-4o', CACHED, { service_tier: 'priority' }),
    lines: cachedLines('2.5', '1.25', '10', '1.7'),
  },
  {
    story: 'gpt-5-nano at flex, to the pico-dollar',
    ...chat('gpt-5-nano', chatTokens(1001, 7, { cached_tokens: 999 }), { service_tier: 'flex' }),
    lines: [tok(2, '0.05', '0.5'), tok(999, '0.005', '0.5'), tok(7, '0.40', '0.5')],
  },
  {
    story: 'gpt-6-luna, ultrafast',
    ...respond('gpt-6-luna', WRITTEN, { service_tier: 'ultrafast' }),
    lines: writtenLines('0.10', '0.01', '0.125', '0.50', '6'),
  },
  {
    story: 'gpt-6.2-sol, ultrafast, when its three months are over',
    at: '2027-03-01T00:00:00Z',
    ...respond('gpt-6.2-sol', WRITTEN, { service_tier: 'ultrafast' }),
    lines: writtenLines('2', '0.10', '2.50', '10', '6'),
  },
  {
    story: 'gpt-6.1-terra, asked for fast and served as standard',
    ...respond('gpt-6.1-terra', WRITTEN, { service_tier: 'default' }, { service_tier: 'fast' }),
    lines: writtenLines('1', '0.05', '1.25', '5'),
  },
  {
    story: 'gpt-6.1-terra, asked for nothing and served fast',
    ...respond('gpt-6.1-terra', WRITTEN, { service_tier: 'fast' }, { service_tier: 'auto' }),
    lines: writtenLines('1', '0.05', '1.25', '5', '2'),
  },

  { story: 'text-embedding-3-large', ...embed('text-embedding-3-large', 8191), lines: [tok(8191, '0.13')] },
  { story: 'text-embedding-ada-002', ...embed('text-embedding-ada-002', 333), lines: [tok(333, '0.10')] },

  {
    story: 'a response that searches the web and files',
    ...respond('gpt-6-sol', tokens(1000, 100), {
      output: [search(1), fileSearch(1), fileSearch(2), { type: 'message' }],
    }),
    lines: [tok(1000, '2'), tok(100, '10'), calls(1, '10'), calls(2, '2.50')],
  },
  {
    story: 'a search by the preview tool',
    ...respond(
      'gpt-4.1',
      tokens(1000, 100),
      { output: [search(1)], tools: [{ type: 'web_search_preview' }] },
      { tools: [{ type: 'web_search_preview' }] },
    ),
    lines: [tok(1000, '2'), tok(100, '8'), calls(1, '25')],
  },
  {
    story: 'searches of a batch tier that is flex: fees are not halved',
    ...respond('gpt-5', tokens(1000, 100), { service_tier: 'flex', output: [search(1), fileSearch(1)] }),
    lines: [tok(1000, '1.25', '0.5'), tok(100, '10', '0.5'), calls(1, '10'), calls(1, '2.50')],
  },

  {
    story: 'an image of gpt-image-1',
    path: '/images/generations',
    asked: json({ model: 'gpt-image-1', prompt: 'x' }),
    reply: { data: [{}], usage: tokens(50, 4160, { text_tokens: 50, image_tokens: 0 }) },
    lines: [tok(50, '5'), tok(4160, '40')],
  },
  {
    story: 'an edit by gpt-image-1-mini, whose cached input has no discount',
    path: '/images/edits',
    asked: form({ model: 'gpt-image-1-mini', prompt: 'x' }),
    reply: {
      data: [{}],
      usage: tokens(700, 272, {
        text_tokens: 100,
        image_tokens: 600,
        cached_tokens: 300,
        cached_tokens_details: { text_tokens: 0, image_tokens: 300 },
      }),
    },
    lines: [tok(100, '2'), tok(300, '2.5'), tok(300, '2.5'), tok(272, '8')],
  },
  {
    story: 'an edit by gpt-image-2.6 with cached text and cached images',
    path: '/images/edits',
    asked: form({ model: 'gpt-image-2.6', prompt: 'x' }),
    reply: {
      data: [{}, {}],
      usage: tokens(2200, 2112, {
        text_tokens: 200,
        image_tokens: 2000,
        cached_tokens: 1150,
        cached_tokens_details: { text_tokens: 150, image_tokens: 1000 },
      }),
    },
    lines: [tok(50, '5'), tok(150, '1.25'), tok(1000, '8'), tok(1000, '2'), tok(2112, '30')],
  },
  {
    story: 'gpt-image-1.5, which also wrote',
    path: '/images/generations',
    asked: json({ model: 'gpt-image-1.5', prompt: 'x' }),
    reply: { data: [{}], usage: tokens(23, 1100, { text_tokens: 23 }, { text_tokens: 44, image_tokens: 1056 }) },
    lines: [tok(23, '5'), tok(44, '10'), tok(1056, '32')],
  },
  {
    story: 'an image of gpt-image-2.5 that comes as a stream',
    path: '/images/generations',
    asked: json({ model: 'gpt-image-2.5', prompt: 'x', stream: true, partial_images: 1 }),
    reply: named(
      { type: 'image_generation.partial_image', b64_json: 'aGVsbG8=', partial_image_index: 0 },
      {
        type: 'image_generation.completed',
        b64_json: 'aGVsbG8=',
        usage: tokens(30, 1156, { text_tokens: 30, image_tokens: 0 }),
      },
    ),
    lines: [tok(30, '5'), tok(1156, '30')],
  },
  {
    story: 'two of dall-e-3 in high definition',
    path: '/images/generations',
    asked: json({ model: 'dall-e-3', prompt: 'x', size: '1792x1024', quality: 'hd', n: 2 }),
    reply: { data: [{}, {}] },
    lines: [each(2, '0.12')],
  },
  {
    story: 'three of dall-e-2, of which two came',
    path: '/images/generations',
    asked: json({ model: 'dall-e-2', prompt: 'x', size: '512x512', n: 3 }),
    reply: { data: [{}, {}] },
    lines: [each(2, '0.018')],
  },
  {
    story: 'an image drawn by a tool, whose input was cached in part',
    path: '/responses',
    asked: json({ model: 'gpt-5.5', input: 'x', tools: [{ type: 'image_generation', model: 'gpt-image-2' }] }),
    reply: {
      model: 'gpt-5.5',
      status: 'completed',
      usage: tokens(90, 60, { cached_tokens: 0 }),
      tools: [{ type: 'image_generation', model: 'gpt-image-2' }],
      output: [{ id: 'ig_1', type: 'image_generation_call', status: 'completed', result: 'aGVsbG8=' }],
      tool_usage: {
        image_gen: tokens(1300, 1056, {
          text_tokens: 300,
          image_tokens: 1000,
          cached_tokens: 500,
          cached_tokens_details: { text_tokens: 100, image_tokens: 400 },
        }),
      },
    },
    lines: [
      tok(90, '5'),
      tok(60, '30'),
      tok(200, '5'),
      tok(100, '1.25'),
      tok(600, '8'),
      tok(400, '2'),
      tok(1056, '30'),
    ],
  },

  {
    story: 'a chat that is heard and spoken by gpt-audio',
    ...chat(
      'gpt-audio',
      chatTokens(1200, 620, { text_tokens: 200, audio_tokens: 1000 }, { text_tokens: 120, audio_tokens: 500 }),
    ),
    lines: [tok(200, '2.5'), tok(1000, '32'), tok(120, '10'), tok(500, '64')],
  },
  {
    story: 'a chat that is heard by gpt-audio-mini and answered in text, cached without a discount',
    ...chat(
      'gpt-audio-mini',
      chatTokens(900, 55, {
        text_tokens: 100,
        audio_tokens: 800,
        cached_tokens: 400,
        cached_tokens_details: { text_tokens: 0, audio_tokens: 400 },
      }),
    ),
    lines: [tok(100, '0.6'), tok(400, '10'), tok(400, '10'), tok(55, '2.4')],
  },
  {
    story: 'speech of tts-1-hd',
    path: '/audio/speech',
    asked: json({ model: 'tts-1-hd', input: 'a'.repeat(4096) }),
    reply: {},
    lines: [line(4096, '30', MILLION, [])],
  },
  {
    story: 'speech of gpt-4o-mini-tts, streamed',
    path: '/audio/speech',
    asked: json({ model: 'gpt-4o-mini-tts', input: 'x', stream_format: 'sse' }),
    reply: named(
      { type: 'speech.audio.delta', audio: 'aGVsbG8=' },
      { type: 'speech.audio.done', usage: tokens(13, 1201) },
    ),
    lines: [tok(13, '0.60'), tok(1201, '12')],
  },
  {
    story: 'a recording of 97 seconds, by whisper-1',
    path: '/audio/transcriptions',
    asked: form({ model: 'whisper-1' }),
    reply: { text: 'x', usage: { type: 'duration', seconds: 97 } },
    lines: [seconds(97, '0.006')],
  },
  {
    story: 'a recording of 8.47 seconds, translated, of which nine are billed',
    path: '/audio/translations',
    asked: form({ model: 'whisper-1', response_format: 'verbose_json' }),
    reply: { text: 'x', language: 'english', duration: 8.47, segments: [] },
    lines: [seconds(9, '0.006')],
  },
  {
    story: 'a recording by gpt-4o-transcribe, in tokens',
    path: '/audio/transcriptions',
    asked: form({ model: 'gpt-4o-transcribe' }),
    reply: {
      text: 'x',
      usage: {
        type: 'tokens',
        input_tokens: 614,
        input_token_details: { text_tokens: 14, audio_tokens: 600 },
        output_tokens: 145,
        total_tokens: 759,
      },
    },
    lines: [tok(14, '2.5'), tok(600, '2.5'), tok(145, '10')],
  },
  {
    story: 'a recording by gpt-4o-mini-transcribe, streamed',
    path: '/audio/transcriptions',
    asked: form({ model: 'gpt-4o-mini-transcribe', stream: 'true' }),
    reply: named(
      { type: 'transcript.text.delta', delta: 'x' },
      {
        type: 'transcript.text.done',
        text: 'x',
        usage: {
          type: 'tokens',
          input_tokens: 220,
          input_token_details: { text_tokens: 20, audio_tokens: 200 },
          output_tokens: 31,
          total_tokens: 251,
        },
      },
    ),
    lines: [tok(20, '1.25'), tok(200, '1.25'), tok(31, '5')],
  },
  {
    story: 'a stream of chat in which nobody asked for usage, with prediction and cached input',
    path: '/chat/completions',
    asked: json({ model: 'gpt-4.1', messages: [], stream: true }),
    reply: unnamed(
      { id: 'c', model: 'gpt-4.1-2025-04-14', choices: [{ index: 0, delta: { content: 'x' } }], usage: null },
      {
        id: 'c',
        model: 'gpt-4.1-2025-04-14',
        choices: [],
        usage: chatTokens(
          3000,
          400,
          { cached_tokens: 2048 },
          { accepted_prediction_tokens: 90, rejected_prediction_tokens: 110 },
        ),
      },
    ),
    lines: [tok(952, '2'), tok(2048, '0.50'), tok(400, '8')],
  },
  {
    story: 'a stream of a response, long and fast, with a search told by its items',
    path: '/responses',
    asked: json({ model: 'gpt-6-sol', input: 'x', stream: true, service_tier: 'fast' }),
    reply: named(
      { type: 'response.created', response: { id: 'r', model: 'gpt-6-sol', usage: null } },
      { type: 'response.output_item.done', item: search(1) },
      {
        type: 'response.completed',
        response: {
          id: 'r',
          model: 'gpt-6-sol',
          status: 'completed',
          service_tier: 'fast',
          output: [search(1)],
          usage: LONG,
        },
      },
    ),
    lines: [...longLines('4', '0.4', '5', '15', '2'), calls(1, '10')],
  },
  {
    story: 'a response that was cut short by its bound',
    path: '/responses',
    asked: json({ model: 'gpt-6.1-terra', input: 'x', max_output_tokens: 16, stream: true }),
    reply: named({
      type: 'response.incomplete',
      response: { id: 'r', model: 'gpt-6.1-terra', status: 'incomplete', usage: tokens(100, 16) },
    }),
    lines: [tok(100, '1'), tok(16, '5')],
  },
];

describe('one exchange', () => {
  let cost: CostStand;
  before(async () => {
    cost = await openCostStand();
  });
  after(() => cost.close());

  for (const { story, at, path, asked, reply: told, lines } of EXAMPLES) {
    const pico = picoOf(lines);
    test(`${story}: ${formatUsd(pico)}`, async () => {
      cost.clock.set(at ?? TODAY);
      const answer = Array.isArray(told) ? asEvents(told as readonly string[]) : asJson(told);
      const { record } = await cost.exchange({ method: 'POST', target: `/openai/v1${path}`, ...asked }, answer);
      assert.deepEqual([record.cost.state, record.cost.usd, record.cost.why], ['priced', formatUsd(pico), null]);
    });
  }

  test('all of them together are what the ledger says, and its sums agree with its entries', async () => {
    const all = EXAMPLES.reduce((sum, { lines }) => sum + picoOf(lines), 0n);
    assert.equal((await cost.totals()).measured_usd, formatUsd(all));
    assert.equal(await cost.drift(), 0);
  });
});

describe('what was agreed, and what the operator writes', () => {
  let cost: CostStand;
  before(async () => {
    cost = await openCostStand(TODAY, {
      prices: {
        overrides: {
          aliases: { 'my-deployment': 'gpt-4o' },
          models: [
            { model: 'ft:gpt-5-mini', rates: { input_text: '0.50', input_text_cached: '0.05', output_text: '4' } },
            {
              model: 'gpt-6-sol',
              effectiveFrom: '2026-12-01T12:00:00Z',
              rates: { input_text: '1.9', output_text: '9' },
            },
          ],
        },
        contracts: [
          { team: 'default', factor: '0.93' },
          { team: 'default', factor: '0.333333333', models: ['gpt-5-nano'] },
        ],
      },
    });
  });
  after(() => cost.close());

  const AGREED: readonly Example[] = [
    {
      story: 'C20: a contract is on all tokens, and on no fee of a tool',
      ...respond('gpt-6.1-sol', WRITTEN, { service_tier: 'fast', output: [search(1)] }),
      lines: [...writtenLines('2', '0.10', '2.50', '10', '2', '0.93'), calls(1, '10')],
    },
    {
      story: 'a contract on a long exchange of a tier',
      ...respond('gpt-5.5', LONG, { service_tier: 'flex' }),
      lines: longLines('10', '1', '10', '45', '0.5', '0.93'),
    },
    {
      story: 'a factor with nine digits: each line is rounded to the pico-dollar, half to even',
      ...chat('gpt-5-nano', chatTokens(3, 1, { cached_tokens: 1 })),
      lines: [tok(2, '0.05', '0.333333333'), tok(1, '0.005', '0.333333333'), tok(1, '0.40', '0.333333333')],
    },
    {
      story: 'a model fine-tuned from one that has a row',
      ...chat('ft:gpt-5-mini-2025-08-07:acme:support:Ab12', CACHED),
      lines: cachedLines('0.50', '0.05', '4', '0.93'),
    },
    {
      story: 'the name of a deployment',
      ...chat('my-deployment', CACHED),
      lines: cachedLines('2.5', '1.25', '10', '0.93'),
    },
    {
      story: 'a price that the operator knows of, before it is in force',
      at: '2026-12-01T11:59:00Z',
      ...respond('gpt-6-sol', tokens(1000, 100)),
      lines: [tok(1000, '2', '0.93'), tok(100, '10', '0.93')],
    },
    {
      story: 'and after',
      at: '2026-12-01T12:00:00Z',
      ...respond('gpt-6-sol', tokens(1000, 100)),
      lines: [tok(1000, '1.9', '0.93'), tok(100, '9', '0.93')],
    },
  ];
  for (const { story, at, path, asked, reply, lines } of AGREED) {
    const pico = picoOf(lines);
    test(`${story}: ${formatUsd(pico)}`, async () => {
      cost.clock.set(at ?? TODAY);
      const { record } = await cost.exchange({ method: 'POST', target: `/openai/v1${path}`, ...asked }, asJson(reply));
      assert.deepEqual([record.cost.state, record.cost.usd], ['priced', formatUsd(pico)]);
    });
  }
});

describe('a turn of a socket', () => {
  let stand: SocketStand;
  before(async () => {
    stand = await openSocketStand();
  });
  after(() => stand.close());

  async function turnsOf(path: string, ...events: readonly object[]) {
    stand.clear();
    const { far } = await stand.open(`/openai/v1${path}`);
    for (const event of events) far.send(JSON.stringify(event));
    far.close(1000);
    const [socket] = await stand.recorded(1);
    return { socket: socket!, turns: stand.records().filter(({ kind }) => kind === 'turn') };
  }
  const MIXED = {
    total_tokens: 7000,
    input_tokens: 6000,
    input_token_details: {
      text_tokens: 1500,
      audio_tokens: 3500,
      image_tokens: 1000,
      cached_tokens: 3300,
      cached_tokens_details: { text_tokens: 1000, audio_tokens: 2000, image_tokens: 300 },
    },
    output_tokens: 1000,
    output_token_details: { text_tokens: 300, audio_tokens: 700, reasoning_tokens: 250 },
  };
  const mixed = (
    text: string,
    textCached: string,
    audio: string,
    audioCached: string,
    image: string,
    imageCached: string,
    out: string,
    spoken: string,
  ) => [
    tok(500, text),
    tok(1000, textCached),
    tok(1500, audio),
    tok(2000, audioCached),
    tok(700, image),
    tok(300, imageCached),
    tok(300, out),
    tok(700, spoken),
  ];
  const MODELS = [
    ['gpt-realtime', mixed('4', '0.4', '32', '0.4', '5', '0.5', '16', '64')],
    ['gpt-realtime-2025-08-28', mixed('4', '0.4', '32', '0.4', '5', '0.5', '16', '64')],
    ['gpt-realtime-2', mixed('4', '0.4', '32', '0.4', '5', '0.5', '24', '64')],
    ['gpt-realtime-2.1', mixed('4', '0.4', '32', '0.4', '5', '0.5', '24', '64')],
    ['gpt-realtime-mini', mixed('0.6', '0.06', '10', '0.3', '0.8', '0.08', '2.4', '20')],
  ] as const;
  for (const [model, lines] of MODELS) {
    test(`of ${model}, text, audio and images, each in part cached: ${formatUsd(picoOf(lines))}`, async () => {
      const done = { type: 'response.done', response: { id: 'resp_1', model, usage: MIXED } };
      // Told twice, billed once.
      const { turns } = await turnsOf(`/realtime?model=${model}`, done, done);
      assert.deepEqual(
        turns.map(({ cost }) => [cost.state, cost.usd]),
        [['priced', formatUsd(picoOf(lines))]],
      );
    });
  }

  test('what is transcribed beside it is billed at the rates of the model that transcribes, by tokens or by time', async () => {
    for (const [model, usage, lines] of [
      [
        'gpt-4o-mini-transcribe',
        {
          type: 'tokens',
          total_tokens: 130,
          input_tokens: 100,
          input_token_details: { text_tokens: 10, audio_tokens: 90 },
          output_tokens: 30,
        },
        [tok(10, '1.25'), tok(90, '1.25'), tok(30, '5')],
      ],
      ['gpt-live-transcribe', { type: 'duration', seconds: 12 }, [seconds(12, '0.017')]],
      ['whisper-1', { type: 'duration', seconds: 7 }, [seconds(7, '0.006')]],
    ] as const) {
      const { turns } = await turnsOf(
        '/realtime?model=gpt-realtime',
        { type: 'session.updated', session: { model: 'gpt-realtime', audio: { input: { transcription: { model } } } } },
        { type: 'conversation.item.input_audio_transcription.completed', item_id: 'item_1', content_index: 0, usage },
      );
      assert.deepEqual(
        turns.map(({ cost, model_served }) => [model_served, cost.usd]),
        [[model, formatUsd(picoOf(lines))]],
      );
    }
  });

  test('of the Responses API, long and with a tier of its own', async () => {
    const response = { id: 'resp_1', model: 'gpt-6.1-sol', service_tier: 'fast', usage: LONG };
    const { turns } = await turnsOf('/responses', { type: 'response.completed', response });
    assert.deepEqual(
      turns.map(({ cost }) => cost.usd),
      [formatUsd(picoOf(longLines('4', '0.2', '5', '15', '2')))],
    );
  });

  test('a live session is billed by the second, active and on standby', async () => {
    const usage = { active_seconds: 61, standby_seconds: 599 };
    const { socket } = await turnsOf('/live/sessions', { type: 'session.closed', usage });
    assert.deepEqual(readingsOf(socket), { live_active_seconds: '61', live_standby_seconds: '599' });
    assert.equal(socket.cost.usd, formatUsd(picoOf([seconds(61, '0.05'), seconds(599, '0.02')])));
  });
});

describe('a batch of many models', () => {
  let cost: CostStand;
  before(async () => {
    cost = await openCostStand();
  });
  after(() => cost.close());

  test('each line is priced by what it names, at half of its own tier, and what failed costs nothing', async () => {
    cost.clock.set(TODAY);
    const written = (n: number, body: object, status = 200) =>
      `${JSON.stringify({ custom_id: `${n}`, response: { status_code: status, body }, error: null })}\n`;
    const output = [
      written(1, { model: 'gpt-6.1-sol', usage: WRITTEN }),
      written(2, { model: 'gpt-5-nano-2025-08-07', usage: CACHED }),
      written(3, { model: 'gpt-6-astra', usage: LONG }),
      written(4, { model: 'gpt-5', service_tier: 'flex', usage: CACHED }),
      written(5, { model: 'text-embedding-3-small', usage: { prompt_tokens: 700, total_tokens: 700 } }),
      written(6, { model: 'gpt-6.1-sol', error: { message: 'no' } }, 400),
    ].join('');
    const lines = [
      ...writtenLines('2', '0.10', '2.50', '10', '0.5'),
      ...cachedLines('0.05', '0.005', '0.40', '0.5'),
      ...longLines('20', '2', '25', '75', '0.5'),
      ...cachedLines('1.25', '0.125', '10', '0.5', '0.5'),
      tok(700, '0.02', '0.5'),
    ];
    const asked = json({ input_file_id: 'file-1', endpoint: '/v1/responses', completion_window: '24h' });
    const batch = { id: 'batch_1', object: 'batch', endpoint: '/v1/responses' };
    await cost.exchange(
      { method: 'POST', target: '/openai/v1/batches', ...asked },
      asJson({ ...batch, status: 'validating' }),
    );
    cost.stand.script((seen) =>
      seen.target === '/v1/files/file-2/content'
        ? { body: output }
        : asJson({ ...batch, status: 'completed', output_file_id: 'file-2' }),
    );
    await cost.stand.ask({ target: '/openai/v1/batches/batch_1' });
    const deadline = performance.now() + 5000;
    let totals = await cost.totals();
    while (totals.pending > 0 && performance.now() < deadline) totals = await cost.totals();
    assert.equal(totals.measured_usd, formatUsd(picoOf(lines)));
  });
});

describe('at a host, for a time, at an instant', () => {
  const prices = pricesWith();
  const of = (...[model, counts, rest]: Parameters<typeof query>) => prices.price(query(model, counts, rest)).amount;
  const MINUTES = 60_000;

  for (const host of ['us', 'eu', 'au', 'in', 'jp', 'ae']) {
    test(`${host}.api.openai.com: a tenth more for tokens of new models, and for nothing else`, () => {
      const rest = { host: `${host}.api.openai.com`, serviceTier: 'fast' } as const;
      const counts = { input_text: 676, input_text_cached: 1024, output_text: 333, web_search_calls: 3 };
      const newer = [...cachedLines('2', '0.20', '10', '2', '1.10'), calls(3, '10')];
      assert.equal(of('gpt-6-sol', counts, rest), picoOf(newer));
      const older = [...cachedLines('3.5', '0.875', '14'), calls(3, '10')];
      assert.equal(of('gpt-4.1', counts, rest), picoOf(older));
    });
  }

  for (const [size, rate] of [
    ['1g', '0.03'],
    ['4g', '0.12'],
    ['16g', '0.48'],
    ['64g', '1.92'],
  ] as const) {
    test(`a container of ${size}: by begun minutes, five at least`, () => {
      const minutes = (count: number) => picoOf([line(count, rate, 20n, [])]);
      const cost = (ms: number) => of(null, { [`container_${size}_seconds`]: ms });
      assert.deepEqual(
        [1, 5 * MINUTES, 5 * MINUTES + 1, 19.5 * MINUTES, 45 * MINUTES].map(cost),
        [5, 5, 6, 20, 45].map(minutes),
      );
    });
  }

  test('a store of 5 GiB and one byte, of which the first is free, for a day and for an hour', () => {
    const GIB = 1_073_741_824;
    const paid = 4 * GIB + 1;
    assert.equal(prices.freeVectorStoreBytes, BigInt(GIB));
    assert.equal(of(null, { vector_store_byte_days: paid }), picoOf([line(paid, '0.10', BigInt(GIB), [])]));
  });

  test('training and reinforcement', () => {
    for (const [model, rate] of [
      ['gpt-4o-2024-08-06', '25'],
      ['gpt-4o-mini-2024-07-18', '3'],
      ['gpt-4.1-2025-04-14', '25'],
      ['gpt-4.1-mini-2025-04-14', '5'],
      ['gpt-4.1-nano-2025-04-14', '1.5'],
    ] as const)
      assert.equal(of(model, { training: 123_457 }), picoOf([tok(123_457, rate)]), model);
    const ms = 4_321_987;
    assert.equal(of('o4-mini-2025-04-16', { reinforcement_seconds: ms }), picoOf([line(ms, '100', 3_600_000n, [])]));
  });

  test('videos by the second and the size', () => {
    const video = (model: string, variant: string) =>
      prices.price(query(model, {}, { readings: [{ meter: 'video_seconds', quantity: 12_000n, variant }] })).amount;
    assert.equal(video('sora-2', '1280x720'), parseUsd('1.2'));
    assert.equal(video('sora-2-pro', '1280x720'), parseUsd('3.6'));
    assert.equal(video('sora-2-pro', '1792x1024'), parseUsd('6'));
    assert.equal(video('sora-2-pro', '1920x1080'), parseUsd('8.4'));
  });

  type Three = readonly [input: string, cached: string, output: string];
  const CHANGES: readonly (readonly [model: string, day: string, earlier: Three, later: Three])[] = [
    ['gpt-5.6-luna', '2026-07-30', ['1', '0.1', '6'], ['0.2', '0.02', '1.2']],
    ['gpt-5.6-terra', '2026-07-30', ['2.5', '0.25', '15'], ['2', '0.2', '12']],
    ['gpt-5.6-sol', '2026-08-21', ['5', '0.5', '30'], ['4', '0.4', '20']],
  ];
  for (const [model, day, earlier, later] of CHANGES) {
    test(`${model}: the last millisecond of the old price, and the first of the new one`, () => {
      const instant = Date.parse(`${day}T00:00:00Z`);
      const counts = { input_text: 676, input_text_cached: 1024, output_text: 333 };
      assert.equal(of(model, counts, { at: instant - 1 }), picoOf(cachedLines(...earlier)));
      assert.equal(of(model, counts, { at: instant }), picoOf(cachedLines(...later)));
    });
  }

  for (const [model, day] of [
    ['gpt-6.2-sol', '2026-11-17'],
    ['gpt-6.1-sol', '2026-09-29'],
    ['gpt-6.1-terra', '2026-10-26'],
    ['gpt-6-luna', '2026-09-22'],
  ] as const) {
    test(`${model} has no price before the day on which it came`, () => {
      const instant = Date.parse(`${day}T00:00:00Z`);
      assert.equal(of(model, { input_text: 1 }, { at: instant - 1 }), null);
      assert.notEqual(of(model, { input_text: 1 }, { at: instant }), null);
    });
  }
});
