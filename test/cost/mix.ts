// One hundred thousand exchanges of all kinds, each made of its number alone: what is asked, what the upstream answers, and what
// that costs by rates that are typed here. Knows nothing of the house: this is what its sums are held to.

export const KEYS = ['web', 'app', 'batchers', 'research'] as const;
/** The team of each key; the first of them pays a third by contract. */
export const TEAM_OF = [0, 0, 1, 1] as const;
export const KEY_TAGS: readonly (readonly string[])[] = [['nightly'], [], ['nightly', 'eu'], []];
const CONTRACT = [fraction('0.3333'), null] as const;

/** Times are those at which each part of the exchanges arrives: a price changes between the first and the second. */
export const PARTS = ['2026-07-29T20:00:00Z', '2026-07-30T03:00:00Z', '2026-07-30T18:00:00Z', '2026-08-01T10:00:00Z'];

export interface Owed {
  readonly state: 'priced' | 'partial' | 'estimated' | 'unpriced' | 'free';
  readonly pico: bigint;
}

export interface MixedExchange {
  readonly key: number;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
  /** What the upstream answers to the body as the client sent it, and to one that was made to ask for usage. */
  readonly status: number;
  readonly replyType: string;
  readonly reply: string;
  readonly amended: string | null;
  /** The client leaves when this much of the reply is here. */
  readonly leavesAfter: string | null;
  /** Sums are kept by these. */
  readonly endpoint: string;
  readonly model: string;
  readonly owed: Owed;
}

// ---- Money, in fractions of whole numbers.

interface Fraction {
  readonly over: bigint;
  readonly under: bigint;
}

function fraction(text: string): Fraction {
  const [whole = '0', decimals = ''] = text.split('.');
  return { over: BigInt(whole + decimals), under: 10n ** BigInt(decimals.length) };
}

/** What so much costs at a rate of dollars for so many, in pico-dollars, half to even. */
function lineOf(quantity: number, dollars: string, per: bigint, factors: readonly (Fraction | null)[]): bigint {
  let { over, under } = fraction(dollars);
  over *= BigInt(quantity) * 10n ** 12n;
  under *= per;
  for (const factor of factors) {
    over *= factor?.over ?? 1n;
    under *= factor?.under ?? 1n;
  }
  const [floor, rest] = [over / under, (over % under) * 2n];
  return rest > under || (rest === under && floor % 2n === 1n) ? floor + 1n : floor;
}

const MILLION = 1_000_000n;

interface TextRates {
  readonly input: string;
  readonly cached: string;
  readonly written: string;
  readonly output: string;
}

/** US dollars for a million tokens. What is written to the cache of older models costs what their input costs. */
const TEXT_RATES: Readonly<Record<string, TextRates>> = {
  'gpt-5': { input: '1.25', cached: '0.125', written: '1.25', output: '10' },
  'gpt-5-nano': { input: '0.05', cached: '0.005', written: '0.05', output: '0.40' },
  'gpt-4.1': { input: '2', cached: '0.50', written: '2', output: '8' },
  'gpt-4o': { input: '2.5', cached: '1.25', written: '2.5', output: '10' },
  'gpt-5.5': { input: '5', cached: '0.5', written: '5', output: '30' },
  'gpt-5.6-sol': { input: '5', cached: '0.5', written: '6.25', output: '30' },
};
/** It became cheaper on 30 July 2026. */
const LUNA = [
  { input: '1', cached: '0.1', written: '1.25', output: '6' },
  { input: '0.2', cached: '0.02', written: '0.25', output: '1.2' },
] as const;
const MINI: TextRates = { input: '0.15', cached: '0.075', written: '0.15', output: '0.60' };
const LONG_5_5: TextRates = { input: '10', cached: '1', written: '10', output: '45' };
const TEXT_MODELS = [...Object.keys(TEXT_RATES), 'gpt-5.6-luna'];
const FAST_4_1: TextRates = { input: '3.5', cached: '0.875', written: '3.5', output: '14' };
const TIERS: Readonly<Record<string, Fraction>> = { flex: fraction('0.5'), default: fraction('1') };

interface Tokens {
  readonly input: number;
  readonly cached: number;
  readonly written: number;
  readonly output: number;
}

function ratesOf(model: string, part: number): TextRates {
  return model === 'gpt-5.6-luna' ? LUNA[part === 0 ? 0 : 1] : TEXT_RATES[model]!;
}

function costOfText(rates: TextRates, tokens: Tokens, factors: readonly (Fraction | null)[]): bigint {
  const { input, cached, written, output } = tokens;
  return (
    lineOf(Math.max(0, input - cached - written), rates.input, MILLION, factors) +
    lineOf(cached, rates.cached, MILLION, factors) +
    lineOf(written, rates.written, MILLION, factors) +
    lineOf(output, rates.output, MILLION, factors)
  );
}

// ---- Exchanges.

/** The same numbers for the same exchange, wherever it is made. */
function dice(seed: number): (below: number) => number {
  let state = (seed * 0x9e3779b1) >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Made = Omit<MixedExchange, 'key'>;
interface Throw {
  readonly next: (below: number) => number;
  readonly part: number;
  readonly contract: Fraction | null;
}
type Kind = (thrown: Throw) => Made;

const JSON_TYPE = 'application/json';
const EVENTS_TYPE = 'text/event-stream';
const FREE: Owed = { state: 'free', pico: 0n };
const UNPRICED: Owed = { state: 'unpriced', pico: 0n };
const priced = (pico: bigint): Owed => ({ state: 'priced', pico });

const CHAT = { method: 'POST', path: '/chat/completions', endpoint: '/v1/chat/completions' } as const;
const RESPONSES = { method: 'POST', path: '/responses', endpoint: '/v1/responses' } as const;
const PLAIN = { contentType: JSON_TYPE, status: 200, replyType: JSON_TYPE, amended: null, leavesAfter: null } as const;
const STREAM = { ...PLAIN, replyType: EVENTS_TYPE } as const;

const MESSAGES = [{ role: 'user', content: 'one two three' }];
const asked = (model: string, more: object = {}) => JSON.stringify({ model, messages: MESSAGES, ...more });
const events = (...each: readonly (object | string)[]) =>
  each.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('');
const named = (...each: readonly { readonly type: string; readonly [member: string]: unknown }[]) =>
  each.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');

function tokensOf(next: Throw['next']): Tokens {
  const input = next(60_000);
  const cached = next(2) === 0 ? 0 : next(input + 1);
  const written = next(3) === 0 ? next(input - cached + 1) : 0;
  return { input, cached, written, output: next(8000) };
}

/** As OpenAI writes it, as other servers do, and as little as there must be. */
function chatUsage({ input, cached, written, output }: Tokens, next: Throw['next']): object {
  const counts = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
  if (cached === 0 && written === 0) {
    const details = [
      {},
      { prompt_tokens_details: null, completion_tokens_details: null },
      { prompt_tokens_details: { cached_tokens: null }, completion_tokens_details: {} },
    ];
    return { ...counts, ...details[next(details.length)] };
  }
  return {
    ...counts,
    prompt_tokens_details: { cached_tokens: cached, cache_write_tokens: written, audio_tokens: 0, of_the_future: 7 },
    completion_tokens_details: { reasoning_tokens: next(output + 1), rejected_prediction_tokens: 0 },
  };
}

function responseUsage({ input, cached, written, output }: Tokens, next: Throw['next']): object {
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: cached, cache_write_tokens: written },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: next(output + 1) },
    total_tokens: input + output,
  };
}

const chat: Kind = ({ next, part, contract }) => {
  const model = TEXT_MODELS[next(TEXT_MODELS.length)]!;
  const tokens = tokensOf(next);
  const choice = { index: 0, message: { role: 'assistant', content: '"usage":{"total_tokens":1}' } };
  const choices = Array.from({ length: 1 + next(3) }, (_, index) => ({ ...choice, index }));
  // What answers is a snapshot of what was asked for.
  const served = model === 'gpt-4o' ? 'gpt-4o-2024-08-06' : model;
  return {
    ...CHAT,
    ...PLAIN,
    body: asked(model, { n: choices.length }),
    reply: JSON.stringify({ id: 'c', model: served, choices, usage: chatUsage(tokens, next), service_tier: 'default' }),
    model: served,
    owed: priced(costOfText(ratesOf(model, part), tokens, [contract])),
  };
};

/** Whether the client asks for usage itself is thrown too: then nothing may be taken out. */
const chatStream: Kind = ({ next, part, contract }) => {
  const model = TEXT_MODELS[next(TEXT_MODELS.length)]!;
  const tokens = tokensOf(next);
  const isAsking = next(2) === 0;
  const padding = next(2) === 0 ? {} : { obfuscation: 'x'.repeat(next(12)) };
  const chunk = (content: string) => ({ id: 'c', model, choices: [{ index: 0, delta: { content } }] });
  const texts = Array.from({ length: 1 + next(4) }, (_, i) => (i % 2 === 0 ? 'na ' : ',"usage":null é'));
  const usage = chatUsage(tokens, next);
  const plain = events(...texts.map((text) => ({ ...chunk(text), ...padding })), '[DONE]');
  const withUsage = events(
    ...texts.map((text) => ({ ...chunk(text), usage: null, ...padding })),
    { id: 'c', model, choices: [], usage, ...padding },
    '[DONE]',
  );
  return {
    ...CHAT,
    ...STREAM,
    body: asked(model, { stream: true, ...(isAsking && { stream_options: { include_usage: true } }) }),
    reply: isAsking ? withUsage : plain,
    amended: withUsage,
    model,
    owed: priced(costOfText(ratesOf(model, part), tokens, [contract])),
  };
};

/** The reply's tier counts, whatever was asked for. */
const tiered: Kind = ({ next, part, contract }) => {
  const model = ['gpt-5', 'gpt-5-nano', 'gpt-5.6-luna', 'gpt-5.6-sol'][next(4)]!;
  const tokens = tokensOf(next);
  const service_tier = next(3) === 0 ? 'default' : 'flex';
  return {
    ...RESPONSES,
    ...PLAIN,
    body: JSON.stringify({ model, input: 'one two three', service_tier: next(2) === 0 ? 'flex' : 'auto' }),
    reply: JSON.stringify({ id: 'resp', model, service_tier, output: [], usage: responseUsage(tokens, next) }),
    model,
    owed: priced(costOfText(ratesOf(model, part), tokens, [TIERS[service_tier]!, contract])),
  };
};

/** An old model has a row of its own for the tier, and no factor. */
const priority: Kind = ({ next, contract }) => {
  const tokens = { ...tokensOf(next), written: 0 };
  const isServed = next(2) === 0;
  return {
    ...CHAT,
    ...PLAIN,
    body: asked('gpt-4.1', { service_tier: 'priority' }),
    reply: JSON.stringify({
      model: 'gpt-4.1',
      choices: [],
      usage: chatUsage(tokens, next),
      service_tier: isServed ? 'priority' : 'default',
    }),
    model: 'gpt-4.1',
    owed: priced(costOfText(isServed ? FAST_4_1 : TEXT_RATES['gpt-4.1']!, tokens, [contract])),
  };
};

const long: Kind = ({ next, contract }) => {
  const input = 271_998 + next(5);
  const tokens = { input, cached: next(2) * next(input), written: 0, output: next(4000) };
  return {
    ...RESPONSES,
    ...PLAIN,
    body: JSON.stringify({ model: 'gpt-5.5', input: 'one two three' }),
    reply: JSON.stringify({ id: 'resp', model: 'gpt-5.5', output: [], usage: responseUsage(tokens, next) }),
    model: 'gpt-5.5',
    owed: priced(costOfText(input > 272_000 ? LONG_5_5 : TEXT_RATES['gpt-5.5']!, tokens, [contract])),
  };
};

/** Fees of tools are beside tokens, and no contract is about them. */
const tools: Kind = ({ next, part, contract }) => {
  const tokens = tokensOf(next);
  const searches = next(4);
  const files = next(4);
  const output = [
    ...Array.from({ length: searches }, () => ({ type: 'web_search_call', action: { type: 'search' } })),
    { type: 'web_search_call', action: { type: 'open_page' } },
    ...Array.from({ length: files }, () => ({ type: 'file_search_call', queries: ['"usage":{}'] })),
    { type: 'message', content: [{ type: 'output_text', text: 'web_search_call' }] },
  ];
  const offered = [{ type: 'web_search' }, { type: 'file_search' }, { type: 'function', name: 'f' }];
  const response = {
    id: 'resp',
    model: 'gpt-5',
    status: next(2) === 0 ? 'completed' : 'incomplete',
    tools: offered,
    output,
    usage: responseUsage(tokens, next),
  };
  const isStream = next(2) === 0;
  return {
    ...RESPONSES,
    ...(isStream ? STREAM : PLAIN),
    body: JSON.stringify({ model: 'gpt-5', input: 'one two three', tools: offered, stream: isStream }),
    reply: isStream
      ? named(
          { type: 'response.created', response: { ...response, output: [], status: 'in_progress', usage: null } },
          { type: 'response.output_text.delta', delta: 'na' },
          { type: `response.${response.status}`, response },
        )
      : JSON.stringify(response),
    model: 'gpt-5',
    owed: priced(
      costOfText(ratesOf('gpt-5', part), tokens, [contract]) +
        lineOf(searches, '10', 1000n, []) +
        lineOf(files, '2.50', 1000n, []),
    ),
  };
};

const embeddings: Kind = ({ next, contract }) => {
  const input = 1 + next(8000);
  return {
    method: 'POST',
    path: '/embeddings',
    endpoint: '/v1/embeddings',
    ...PLAIN,
    body: JSON.stringify({ model: 'text-embedding-3-small', input: 'one', encoding_format: 'base64' }),
    reply: JSON.stringify({
      data: [{ index: 0, embedding: 'zczMPQAA' }],
      model: 'text-embedding-3-small',
      usage: { prompt_tokens: input, total_tokens: input },
    }),
    model: 'text-embedding-3-small',
    owed: priced(lineOf(input, '0.02', MILLION, [contract])),
  };
};

const images: Kind = ({ next, contract }) => {
  const isStream = next(2) === 0;
  const count = isStream ? 1 + next(2) : 1;
  const usages = Array.from({ length: count }, () => {
    const [text, image, output] = [next(100), next(1000), next(4000)];
    const details = { text_tokens: text, image_tokens: image };
    return {
      input_tokens: text + image,
      input_tokens_details: details,
      output_tokens: output,
      total_tokens: text + image + output,
    };
  });
  const sum = (meter: 'text' | 'image' | 'output') =>
    usages.reduce(
      (all, { input_tokens_details: { text_tokens, image_tokens }, output_tokens }) =>
        all + { text: text_tokens, image: image_tokens, output: output_tokens }[meter],
      0,
    );
  return {
    method: 'POST',
    path: '/images/generations',
    endpoint: '/v1/images/generations',
    ...(isStream ? STREAM : PLAIN),
    body: JSON.stringify({ model: 'gpt-image-1.5', prompt: 'a river', n: count, stream: isStream }),
    reply: isStream
      ? named(
          { type: 'image_generation.partial_image', b64_json: 'aGVsbG8=' },
          ...usages.map((usage) => ({ type: 'image_generation.completed', b64_json: 'aGVsbG8=', usage })),
        )
      : JSON.stringify({ created: 1, data: [{ b64_json: 'aGVsbG8=' }], usage: usages[0] }),
    model: 'gpt-image-1.5',
    owed: priced(
      lineOf(sum('text'), '5', MILLION, [contract]) +
        lineOf(sum('image'), '8', MILLION, [contract]) +
        lineOf(sum('output'), '32', MILLION, [contract]),
    ),
  };
};

/** Characters, and not bytes: the last of them has four. */
const speech: Kind = ({ next }) => {
  const characters = 1 + next(500);
  return {
    method: 'POST',
    path: '/audio/speech',
    endpoint: '/v1/audio/speech',
    ...PLAIN,
    body: JSON.stringify({ model: 'tts-1', voice: 'alloy', input: `${'x'.repeat(characters - 1)}😀` }),
    replyType: 'audio/mpeg',
    reply: 'some sound',
    model: 'tts-1',
    owed: priced(lineOf(characters, '15', MILLION, [])),
  };
};

const FORM = 'multipart/form-data; boundary=mix';

const transcription: Kind = ({ next }) => {
  const seconds = 1 + next(3600);
  const part = (name: string, value: string) => `--mix\r\nContent-Disposition: form-data; ${name}\r\n\r\n${value}\r\n`;
  return {
    method: 'POST',
    path: '/audio/transcriptions',
    endpoint: '/v1/audio/transcriptions',
    ...PLAIN,
    contentType: FORM,
    body: `${part('name="model"', 'whisper-1')}${part('name="file"; filename="a.ogg"', 'OggS')}--mix--\r\n`,
    reply: JSON.stringify({ text: 'na', usage: { type: 'duration', seconds } }),
    model: 'whisper-1',
    owed: priced(lineOf(seconds, '0.006', 60n, [])),
  };
};

const moderation: Kind = () => ({
  method: 'POST',
  path: '/moderations',
  endpoint: '/v1/moderations',
  ...PLAIN,
  body: JSON.stringify({ model: 'omni-moderation-latest', input: 'one' }),
  reply: JSON.stringify({ id: 'm', model: 'omni-moderation-latest', results: [] }),
  model: 'omni-moderation-latest',
  owed: FREE,
});

const models: Kind = () => ({
  method: 'GET',
  path: '/models',
  endpoint: '/v1/models',
  ...PLAIN,
  body: '',
  reply: '{"object":"list","data":[]}',
  model: '',
  owed: FREE,
});

const error: Kind = ({ next }) => ({
  ...CHAT,
  ...PLAIN,
  body: asked('gpt-5', { stream: next(2) === 0 }),
  status: [400, 401, 404, 429, 500, 503][next(6)]!,
  reply: '{"error":{"message":"no","type":"some_error","param":null,"code":null}}',
  model: 'gpt-5',
  owed: FREE,
});

/** One that nobody knows, and one that was not sold yet. */
const unknown: Kind = ({ next }) => {
  const model = ['gpt-9', 'gpt-6.1-sol'][next(2)]!;
  return {
    ...CHAT,
    ...PLAIN,
    body: asked(model),
    reply: JSON.stringify({ model, choices: [], usage: chatUsage(tokensOf(next), next) }),
    model,
    owed: UNPRICED,
  };
};

/** More is cached than there is: what is told is charged, and said to be wrong. */
const wrong: Kind = ({ next, part, contract }) => {
  const tokens = { input: next(100), cached: 101 + next(100), written: 0, output: next(100) };
  return {
    ...CHAT,
    ...PLAIN,
    body: asked('gpt-5'),
    reply: JSON.stringify({ model: 'gpt-5', choices: [], usage: chatUsage(tokens, next) }),
    model: 'gpt-5',
    owed: { state: 'partial', pico: costOfText(ratesOf('gpt-5', part), tokens, [contract]) },
  };
};

/** A tier was asked for, and the reply is silent: standard, and said to be a guess. */
const silentTier: Kind = ({ next, part, contract }) => {
  const tokens = tokensOf(next);
  return {
    ...CHAT,
    ...PLAIN,
    body: asked('gpt-5', { service_tier: 'flex' }),
    reply: JSON.stringify({ model: 'gpt-5', choices: [], usage: chatUsage(tokens, next) }),
    model: 'gpt-5',
    owed: { state: 'partial', pico: costOfText(ratesOf('gpt-5', part), tokens, [contract]) },
  };
};

/** Of a chat, three tokens of text, three that frame them and three that prime the reply went in, and five came; nothing ever tells that this model reasons. */
const leftChat: Kind = ({ contract }) => {
  const chunk = {
    id: 'c',
    model: 'gpt-4o-mini',
    choices: [{ index: 0, delta: { content: 'one two three four five' } }],
  };
  const seen = events(chunk);
  return {
    ...CHAT,
    ...STREAM,
    body: asked('gpt-4o-mini', { stream: true }),
    reply: seen,
    amended: events({ ...chunk, usage: null }),
    leavesAfter: seen,
    model: 'gpt-4o-mini',
    owed: {
      state: 'estimated',
      pico: costOfText(MINI, { input: 9, cached: 0, written: 0, output: 5 }, [contract]),
    },
  };
};

/** What an image would have cost nobody can tell. */
const leftImage: Kind = () => {
  const seen = named({ type: 'image_generation.partial_image', b64_json: 'aGVsbG8=' });
  return {
    method: 'POST',
    path: '/images/generations',
    endpoint: '/v1/images/generations',
    ...STREAM,
    body: JSON.stringify({ model: 'gpt-image-1.5', prompt: 'a river', stream: true }),
    reply: seen,
    leavesAfter: seen,
    model: 'gpt-image-1.5',
    owed: UNPRICED,
  };
};

/** How many of a hundred are of a kind. */
const KINDS: readonly (readonly [share: number, kind: Kind])[] = [
  [18, chat],
  [20, chatStream],
  [8, tiered],
  [4, priority],
  [4, long],
  [12, tools],
  [8, embeddings],
  [4, images],
  [3, speech],
  [3, transcription],
  [2, moderation],
  [2, models],
  [4, error],
  [2, unknown],
  [2, wrong],
  [2, silentTier],
  [1, leftChat],
  [1, leftImage],
];
const BY_SHARE = KINDS.flatMap(([share, kind]) => Array.from({ length: share }, () => kind));

/** @param part of the exchanges, see PARTS */
export function exchangeOf(number: number, part: number): MixedExchange {
  const next = dice(number);
  const key = next(KEYS.length);
  const kind = BY_SHARE[next(BY_SHARE.length)]!;
  return { key, ...kind({ next, part, contract: CONTRACT[TEAM_OF[key]!]! }) };
}
