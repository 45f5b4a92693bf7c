// What is set aside before the upstream is called: as much as the exchange may cost, for each kind of endpoint.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { NOTHING_ASKED, type RequestFacts } from '../src/domain/facts.ts';
import type { VirtualKey } from '../src/domain/key.ts';
import { divideHalfEven } from '../src/domain/money.ts';
import type { Cost, PriceQuery, Prices } from '../src/domain/price.ts';
import type { Meter } from '../src/domain/usage.ts';
import { findEndpoint } from '../src/openai/endpoints.ts';
import { handClock } from './support/engines.ts';
import { type Opened, aCaller, aCost, makeDir, open, run, told } from './support/ledger.ts';

const AT = Date.UTC(2026, 10, 22);
const FACTS: RequestFacts = { ...NOTHING_ASKED, model: 'm', bodyBytes: 1000 };

/** Pico-dollars for a unit. Long context doubles all of it, `priority` trebles it, and `flex` halves it. */
const RATES: Partial<Record<Meter, bigint>> = {
  input_text: 100n,
  input_text_written: 125n,
  output_text: 1000n,
  web_search_calls: 7_000_000n,
  container_1g_seconds: 9n,
};
const SPEECH: Partial<Record<Meter, bigint>> = { speech_characters: 30n };
const TALK: Partial<Record<Meter, bigint>> = { input_text: 2n, output_text: 10n, input_audio: 32n, output_audio: 64n };
const SIGHT: Partial<Record<Meter, bigint>> = { input_text: 10n, input_image: 20n, output_image: 50n };
const MODELS: Readonly<Record<string, Partial<Record<Meter, bigint>>>> = {
  m: RATES,
  tts: SPEECH,
  image: SIGHT,
  sora: { video_seconds: 9n },
  talk: TALK,
  embed: { input_text: 3n },
  heard: { transcribed_seconds: 2n },
  'gpt-search-preview': { ...RATES, web_search_preview_calls: 5_000_000n },
  'gpt-image-1': { output_image: 40n },
  'gpt-image-2': { output_image: 30n },
};

const prices: Prices = {
  version: 'test',
  maxInputTokens: (model) => (model === 'm' ? 450_000 : null),
  maxOutputTokens: (model) => (model === 'm' ? 5000 : null),
  price({ model, serviceTier, readings }: PriceQuery): Cost {
    const input = readings
      .filter(({ meter }) => meter.startsWith('input'))
      .reduce((sum, { quantity }) => sum + quantity, 0n);
    const [more, less] = [{ priority: 3n }[serviceTier ?? ''] ?? 1n, { flex: 2n }[serviceTier ?? ''] ?? 1n];
    let amount = 0n;
    for (const { meter, quantity } of readings) {
      const rate = MODELS[model ?? '']?.[meter];
      if (rate === undefined) return aCost(null);
      amount += quantity * rate * (input > 272_000n ? 2n : 1n);
    }
    return aCost(divideHalfEven(amount * more, less));
  },
};

let opened: Opened;
let dir: ReturnType<typeof makeDir>;
before(async () => {
  dir = makeDir();
  opened = await open(dir.path, handClock(AT));
  await opened.ledger.budgets.create({ scope: 'global', limitMoney: 10n ** 15n });
});
after(async () => {
  await opened.close();
  dir.remove();
});

function worst(path: string, facts: Partial<RequestFacts>, model: string | null = 'm', key: Partial<VirtualKey> = {}) {
  const caller = aCaller();
  return opened.ledger.worstCase({
    caller: { ...caller, key: { ...caller.key, ...key } },
    endpoint: findEndpoint('POST', path),
    facts: { ...FACTS, ...facts },
    model,
    at: AT,
    host: 'api.openai.com',
    prices,
  });
}
const CHAT = '/v1/chat/completions';

test('input is what its bytes may be, at the dearer of plain and written to the cache; output is what is asked for, times n', () => {
  const expected = { money: 400n * 125n + 30n * 1000n, tokens: 430 };
  assert.deepEqual(worst(CHAT, { maxOutputTokens: 10, count: 3 }), expected);
});

test('output is at most what the model gives, also where nobody bounds it', () => {
  assert.deepEqual(worst(CHAT, { maxOutputTokens: 10 ** 9 }), { money: 400n * 125n + 5000n * 1000n, tokens: 5400 });
  assert.deepEqual(worst(CHAT, {}), { money: 400n * 125n + 5000n * 1000n, tokens: 5400 });
});

test('a key may have to bound its replies', () => {
  const answer = worst(CHAT, {}, 'm', { onUnbounded: 'refuse' });
  assert.ok('refusal' in answer);
  assert.deepEqual([answer.refusal.status, answer.refusal.param], [400, 'max_completion_tokens']);
  assert.ok(!('refusal' in worst(CHAT, { maxOutputTokens: 1 }, 'm', { onUnbounded: 'refuse' })));
});

test('what is learnt of a model takes the place of its maximum', async () => {
  const learned = () => worst(CHAT, {}, 'm', { onUnbounded: 'learned' });
  assert.deepEqual(learned(), worst(CHAT, {}));
  const line = { meter: 'output_text', quantity: 100n, rate: '1', per: '1', factors: [], amount: 1n } as const;
  for (let i = 0; i < 60; i++)
    await run(opened, told(AT, aCaller(), { model: 'm' }), 1n, { ...aCost(1n), lines: [line] });
  const after60 = learned();
  assert.ok(!('refusal' in after60) && after60.tokens !== null);
  assert.ok(after60.tokens >= 400 + 150 && after60.tokens < 400 + 200, String(after60.tokens));
});

test('C5: the long row counts where it may be reached, the dearer tier where it is asked for, and a cheaper one never', () => {
  const long = worst(CHAT, { bodyBytes: 1_000_000, maxOutputTokens: 10 });
  assert.deepEqual(long, { money: 2n * (400_000n * 125n + 10n * 1000n), tokens: 400_010 });
  const plain = worst(CHAT, { maxOutputTokens: 10 });
  assert.ok(!('refusal' in plain));
  assert.deepEqual(worst(CHAT, { maxOutputTokens: 10, serviceTier: 'priority' }), {
    ...plain,
    money: plain.money! * 3n,
  });
  assert.deepEqual(worst(CHAT, { maxOutputTokens: 10, serviceTier: 'flex' }), plain);
});

test('hosted tools cost their fee and what they bring, as often as they may be called', () => {
  const twice = worst('/v1/responses', { maxOutputTokens: 10, tools: ['web_search', 'function'], maxToolCalls: 2 });
  assert.deepEqual(twice, { money: 16_400n * 125n + 10n * 1000n + 14_000_000n, tokens: 16_410 });
  const own = worst('/v1/responses', { maxOutputTokens: 10, tools: ['function'] });
  assert.deepEqual(own, worst('/v1/responses', { maxOutputTokens: 10 }));
});

test('each of several prompts has its replies, and as much as the model reads; tokens sent as numbers take two bytes each', () => {
  // Three prompts, of which the best of four is wanted.
  const several = worst('/v1/completions', { count: 12, maxOutputTokens: 10, bodyBytes: 1000 });
  assert.deepEqual(several, { money: 500n * 125n + 120n * 1000n, tokens: 620 });
  const long = worst('/v1/completions', { maxOutputTokens: 10, bodyBytes: 10_000_000 });
  assert.ok(!('refusal' in long));
  assert.equal(long.tokens, 450_010);
  const longs = worst('/v1/completions', { count: 3, maxOutputTokens: 10, bodyBytes: 10_000_000 });
  assert.ok(!('refusal' in longs));
  assert.equal(longs.tokens, 3 * 450_000 + 30);
  assert.deepEqual(worst('/v1/completions', { count: 2 }), { money: 500n * 125n + 10_000n * 1000n, tokens: 10_500 });
});

test('embeddings are held by what they read, however many texts or lists of tokens that are', () => {
  assert.deepEqual(worst('/v1/embeddings', { bodyBytes: 2000 }, 'embed'), { money: 1000n * 3n, tokens: 1000 });
});

test('a reply that may be sound is held at the price of sound, and so is what is read', () => {
  const spoken = worst(CHAT, { maxOutputTokens: 10, count: 2 }, 'talk');
  assert.deepEqual(spoken, { money: 400n * 32n + 20n * 64n, tokens: 420 });
});

test('a recording is held by its bytes, or by how long it says it lasts where that is more', () => {
  const heard = (facts: Partial<RequestFacts>) => worst('/v1/audio/transcriptions', facts, 'heard');
  assert.deepEqual(heard({ bodyBytes: 60_000 }), { money: 120_000n, tokens: 0 });
  assert.deepEqual(heard({ bodyBytes: 60_000, audioSeconds: 5 }), { money: 120_000n, tokens: 0 });
  assert.deepEqual(heard({ bodyBytes: 60_000, audioSeconds: 600.5 }), { money: 1_202_000n, tokens: 0 });
});

test('a picture drawn by tool is held at the dearest image model, code at its container, and a search model at its search', () => {
  const bounded = { maxOutputTokens: 10, maxToolCalls: 2 };
  const plain = 16_400n * 125n + 10n * 1000n;
  const withTool = (tool: string) => {
    const held = worst('/v1/responses', { ...bounded, tools: [tool] });
    assert.ok(!('refusal' in held) && held.money !== null);
    return held.money - plain;
  };
  assert.equal(withTool('image_generation'), 2n * 6540n * 40n);
  assert.equal(withTool('code_interpreter'), 1_200_000n * 9n);
  assert.equal(withTool('shell'), 1_200_000n * 9n);
  assert.equal(withTool('web_search_2025_08_26'), 14_000_000n);
  const searching = worst(CHAT, { maxOutputTokens: 10 }, 'gpt-search-preview');
  assert.deepEqual(searching, { money: 8400n * 125n + 10n * 1000n + 5_000_000n, tokens: 8410 });
});

test('pictures larger than usual are held by their pixels, and those on the way to one beside it', () => {
  const images = (facts: Partial<RequestFacts>) => worst('/v1/images/generations', facts, 'image');
  const input = 400n * 20n;
  assert.deepEqual(images({ size: '1536x1024' }), { money: input + 6240n * 50n, tokens: 6640 });
  assert.deepEqual(images({ size: '3072x2048' }), { money: input + 24_960n * 50n, tokens: 25_360 });
  assert.deepEqual(images({ isStream: true, count: 2 }), { money: input + 2n * 6540n * 50n, tokens: 13_480 });
});

test('speech is held by its characters, images by their number and quality, videos by their seconds', () => {
  assert.deepEqual(worst('/v1/audio/speech', { inputCharacters: 7 }, 'tts'), { money: 210n, tokens: 0 });
  const low = worst('/v1/images/generations', { count: 2, quality: 'low' }, 'image');
  assert.deepEqual(low, { money: 400n * 20n + 816n * 50n, tokens: 1216 });
  assert.deepEqual(worst('/v1/videos', { seconds: 4 }, 'sora'), { money: 36_000n, tokens: 0 });
});

test('what is free holds nothing; what has no price is let through or refused, as its key says', () => {
  assert.deepEqual(worst('/v1/moderations', {}), { money: 0n, tokens: 0 });
  assert.deepEqual(worst(CHAT, { maxOutputTokens: 10 }, 'gpt-9'), { money: null, tokens: 410 });
  const denied = worst(CHAT, { maxOutputTokens: 10 }, 'gpt-9', { onUnpriced: 'deny' });
  assert.ok('refusal' in denied);
  assert.deepEqual([denied.refusal.status, denied.refusal.code], [403, 'model_not_priced']);
});

test('what is read from elsewhere may be all that the model reads, and no body is more than that', () => {
  const bounded = { maxOutputTokens: 10, hasInputElsewhere: true };
  const all = { money: 2n * (450_000n * 125n + 10n * 1000n), tokens: 450_010 };
  assert.deepEqual(worst('/v1/responses', bounded), all);
  assert.deepEqual(worst(CHAT, { bodyBytes: 10_000_000, maxOutputTokens: 10 }), all);
  const unknown = worst('/v1/responses', bounded, 'gpt-9');
  assert.deepEqual(unknown, { money: null, tokens: 1_050_010 });
  const refused = worst('/v1/responses', bounded, 'gpt-9', { onUnbounded: 'refuse' });
  assert.ok('refusal' in refused);
  assert.deepEqual([refused.refusal.status, refused.refusal.code], [400, 'bad_request']);
  assert.deepEqual(worst('/v1/responses', bounded, 'm', { onUnbounded: 'refuse' }), all);
});

test('what stands behind the part that was read is unknown, and what stands there twice is refused', () => {
  assert.deepEqual(worst(CHAT, { maxOutputTokens: 10, isWhole: false }), { money: null, tokens: null });
  const twice = worst(CHAT, { maxOutputTokens: 10, hasDuplicates: true });
  assert.ok('refusal' in twice);
  assert.equal(twice.refusal.code, 'bad_request');
});

test('where no budget binds, nothing is looked at', async () => {
  const other = makeDir();
  const none = await open(other.path, handClock(AT));
  const trap = { ...prices, price: () => assert.fail('nobody asks for a price') };
  const endpoint = findEndpoint('POST', CHAT);
  const asked = { caller: aCaller(), endpoint, facts: FACTS, model: 'm', at: AT, host: 'h', prices: trap };
  assert.deepEqual(none.ledger.worstCase(asked), { money: 0n, tokens: 0 });
  await none.close();
  other.remove();
});
