// What an exchange may cost at most, as far as its request tells: what is set aside for it. Never called where no budget binds.
import type { Endpoint } from '../domain/endpoint.ts';
import type { RequestFacts } from '../domain/facts.ts';
import type { InputFile } from '../domain/input-file.ts';
import { type Money, divideUp } from '../domain/money.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Meter, Reading } from '../domain/usage.ts';
import { INPUTS, OUTPUTS, type PriceAsk, dearest, priceOf } from './dearest.ts';

export interface WorstCaseAsk extends PriceAsk {
  readonly endpoint: Endpoint | undefined;
}

/** Each is null where nobody knows, and 0 where there is nothing to pay. */
export interface Worst {
  readonly money: Money | null;
  readonly tokens: number | null;
}

export const NOTHING_TO_PAY: Worst = { money: 0n, tokens: 0 };
const UNKNOWN: Worst = { money: null, tokens: null };

/** A token is hardly ever less than this many bytes of JSON; of those that are sent as numbers each takes two at least. */
const TOKENS_PER_5_BYTES = 2;
const BYTES_PER_TOKEN_NUMBER = 2;
/** For a model that nobody knows the longest reply of. */
const OUTPUT_TOKENS_MAX = 128_000;
/** For a model that reads from elsewhere, and that nobody knows how much it reads. */
const INPUT_TOKENS_MAX = 1_050_000;
/** A hosted tool without a bound on its calls, and what one call may bring into the context. */
const TOOL_CALLS = 10;
const TOOL_CALL_TOKENS = 8000;
/** A rolling hold of a socket: one minute of sound each way, and what is written meanwhile. */
const SOCKET_SECONDS = 60;
const SOUND_TOKENS_PER_SECOND = 20;
const SOCKET_TEXT_TOKENS = 4000;
/** No codec in use needs fewer bytes for a second. */
const SOUND_BYTES_PER_SECOND = 1000;
const SPEECH_TOKENS_PER_CHARACTER = 4;
/** Of pictures of 1536 x 1024 at most, in the best quality; larger ones by their pixels. */
const IMAGE_TOKENS_MAX = 6240;
/** The same by quality. */
const IMAGE_TOKENS: Readonly<Record<string, number>> = { low: 408, medium: 1584, high: IMAGE_TOKENS_MAX };
const IMAGE_PIXELS = 1536 * 1024;
/** Three pictures on the way to one, in a stream. */
const PARTIAL_IMAGES_TOKENS = 3 * 100;
/** What the image tool may draw with; the dearest of them counts. */
const IMAGE_TOOL_MODELS = ['gpt-image-1', 'gpt-image-1.5', 'gpt-image-2'];
/** Chat models that search once for each request, whatever it asks. */
const SEARCHING: readonly (readonly [name: string, meter: Meter])[] = [
  ['-search-preview', 'web_search_preview_calls'],
  ['-search-api', 'web_search_calls'],
];
/** Where the upstream is to choose how often it trains with a file: thrice, and more with few examples. */
const EPOCHS = 3;
const EPOCHS_MAX = 25;
const EXAMPLES_MIN = 100;

/** Below this no model's rates depend on how much is sent, so that rates found once are good for all; above, it is priced as it is. */
const FLAT_TOKENS_MAX = 100_000;
const RATES_MAX = 5000;
const RATE_MS = 60_000;
const MILLION = 1_000_000n;

export interface WorstCases {
  /** @param isBinding a budget may refuse by this: then what cannot be established is not guessed */
  of(ask: WorstCaseAsk, isBinding: boolean): Worst | { readonly refusal: Refusal };
}

export interface WorstCaseParts {
  /** What a model's replies were long so far, with a margin; null while too few were seen. */
  readonly outputOf: (model: string) => number | null;
  /** What an uploaded file asks for; null where nobody knows. */
  readonly fileOf: (id: string) => InputFile | null;
}

export function openWorstCases({ outputOf, fileOf }: WorstCaseParts): WorstCases {
  const rates = new Map<string, { readonly rates: Rates; readonly untilMs: number }>();

  function of(ask: WorstCaseAsk, isBinding: boolean): Worst | { readonly refusal: Refusal } {
    const { endpoint, caller } = ask;
    if (endpoint?.billing === 'free' || endpoint?.billing === 'repeated') return NOTHING_TO_PAY;
    if (isBinding && ask.facts?.hasDuplicates) return { refusal: twiceRefusal() };
    const isPricedHere =
      endpoint !== undefined && endpoint.billing !== 'unpriced' && !(isBinding && isHidden(ask, endpoint));
    const worst = isPricedHere ? metered(ask, endpoint) : UNKNOWN;
    if ('refusal' in worst || worst.money !== null || caller.key.onUnpriced === 'allow') return worst;
    // Work that is settled when it ends has a price, though not one that its request tells.
    if (endpoint?.billing === 'deferred' && isPriced(ask)) return worst;
    const what = ask.model === null ? 'What is called' : `The model ${ask.model.slice(0, 100)}`;
    const message = `${what} has no price that is known here, and this key may not call what has none. The operator sets a price with prices.overrides, or the key's on_unpriced to "allow".`;
    return { refusal: new Refusal('model_not_priced', message, { param: 'model' }) };
  }

  function metered(ask: WorstCaseAsk, endpoint: Endpoint): Worst | { readonly refusal: Refusal } {
    const { facts, model } = ask;
    if (endpoint.group === 'batches') return batch(ask);
    if (model === null) return UNKNOWN;
    if (endpoint.transport === 'websocket') return socket(ask, model);
    switch (endpoint.group) {
      case 'audio':
        return sound(ask, model);
      case 'images':
        return images(ask, model);
      case 'videos':
        return videos(ask);
      case 'fine_tuning':
        return training(ask);
      case 'vector_stores':
      case 'containers':
        return UNKNOWN;
      case 'embeddings':
        return tokens(ask, model, numbersIn(facts), 0);
      case 'completions': {
        // Tokens may be sent as numbers, and each of several prompts may be as long as the model reads.
        const most = ask.prices.maxInputTokens(model);
        const input = numbersIn(facts);
        const output = outputTokens(ask, model);
        if (typeof output !== 'number') return output;
        return tokens(ask, model, most === null ? input : Math.min(input, most * repliesOf(facts)), output);
      }
      default: {
        const input = inputTokens(ask, model);
        if (typeof input !== 'number') return input;
        const output = outputTokens(ask, model);
        if (typeof output !== 'number') return output;
        return withTools(ask, model, input, output);
      }
    }
  }

  /** No more than the model reads at all; just that, where what it will read is not in the body. */
  function inputTokens({ caller, facts, prices }: WorstCaseAsk, model: string): number | { refusal: Refusal } {
    const most = prices.maxInputTokens(model);
    const inBody = inputOf(facts);
    if (facts?.hasInputElsewhere !== true) return most === null ? inBody : Math.min(inBody, most);
    if (most !== null) return most;
    if (caller.key.onUnbounded !== 'refuse') return Math.max(inBody, INPUT_TOKENS_MAX);
    const message =
      "This key may only send requests of a bounded length, and how much this model reads of an earlier response, a file or a picture is not known: send all of it as text, or let the operator set the model's maxInputTokens in prices.overrides, or the key's on_unbounded.";
    return { refusal: new Refusal('bad_request', message) };
  }

  function outputTokens(ask: WorstCaseAsk, model: string): number | { refusal: Refusal } {
    const { facts, prices } = ask;
    const count = repliesOf(facts);
    const most = prices.maxOutputTokens(model);
    const asked = facts?.maxOutputTokens ?? null;
    if (asked !== null) return (most === null ? asked : Math.min(asked, most)) * count;
    const each = unboundedTokens(ask, model);
    return typeof each === 'number' ? each * count : each;
  }

  /** Of a reply that its request does not bound. */
  function unboundedTokens({ caller, prices }: WorstCaseAsk, model: string): number | { refusal: Refusal } {
    const most = prices.maxOutputTokens(model) ?? OUTPUT_TOKENS_MAX;
    switch (caller.key.onUnbounded) {
      case 'refuse': {
        const message =
          "This key may only ask for replies of a bounded length: set max_completion_tokens (max_output_tokens for responses), in a batch on each of its lines, or let the operator set the key's on_unbounded.";
        return { refusal: new Refusal('bad_request', message, { param: 'max_completion_tokens' }) };
      }
      case 'learned':
        return outputOf(model) ?? most;
      case 'assume_max':
        return most;
    }
  }

  function withTools(ask: WorstCaseAsk, model: string, input: number, output: number): Worst {
    const { facts } = ask;
    const hosted = (facts?.tools ?? []).filter((tool) => !OWN_TOOLS.has(tool));
    const searching = SEARCHING.find(([name]) => model.includes(name));
    if (hosted.length === 0 && searching !== undefined) {
      const fee = priceOf(ask, [{ meter: searching[1], quantity: 1n }]) ?? 0n;
      const worst = tokens(ask, model, input + TOOL_CALL_TOKENS, output);
      return { ...worst, money: worst.money === null ? null : worst.money + fee };
    }
    if (hosted.length === 0) return tokens(ask, model, input, output);
    const calls = facts?.maxToolCalls ?? TOOL_CALLS;
    const worst = tokens(ask, model, input + calls * TOOL_CALL_TOKENS, output);
    let fee = 0n;
    for (const tool of hosted) {
      const cost = tool === 'image_generation' ? drawn(ask, calls) : feeOf(ask, tool, calls);
      // The dearest of the tools may be the one that is called each time.
      if (cost !== null && cost > fee) fee = cost;
    }
    return { ...worst, money: worst.money === null ? null : worst.money + fee };
  }

  function feeOf(ask: WorstCaseAsk, tool: string, calls: number): Money | null {
    const meter = TOOL_METERS[tool.replace(/_\d{4}_\d\d_\d\d$/, '')];
    return meter === undefined ? null : priceOf(ask, [{ meter, quantity: quantityOf(meter, calls) }]);
  }

  /** By a model of its own, which the tool may name. */
  function drawn(ask: WorstCaseAsk, calls: number): Money | null {
    const quantity = BigInt(calls * (IMAGE_TOKENS_MAX + PARTIAL_IMAGES_TOKENS));
    const amounts = IMAGE_TOOL_MODELS.map((model) => priceOf({ ...ask, model }, [{ meter: 'output_image', quantity }]));
    return amounts.reduce((most, each) => (each !== null && (most === null || each > most) ? each : most), null);
  }

  function fileIn({ facts }: WorstCaseAsk): InputFile | null {
    const work = facts?.work ?? null;
    return work === null ? null : fileOf(work.fileId);
  }

  /** All lines of its file, at the price of batches. */
  function batch(ask: WorstCaseAsk): Worst | { readonly refusal: Refusal } {
    const file = fileIn(ask);
    if (file === null || file.model === null) return UNKNOWN;
    const { model } = file;
    const of: WorstCaseAsk = { ...ask, model };
    const mostRead = ask.prices.maxInputTokens(model) ?? INPUT_TOKENS_MAX;
    const input = tokensOfBytes(file.bytes) + file.linesReadingElsewhere * mostRead;
    const { makes, unboundedReplies } = file;
    const each = unboundedReplies === 0 ? 0 : makes === 'text' ? unboundedTokens(of, model) : IMAGE_TOKENS_MAX;
    if (typeof each !== 'number') return each;
    const output = makes === 'nothing' ? 0 : file.outputTokens + unboundedReplies * each;
    // A sum of many says nothing of how long each of them is: but where one alone may be long.
    const isSum = file.linesReadingElsewhere === 0 && tokensOfBytes(file.lineBytesMax) <= FLAT_TOKENS_MAX;
    const how = { mode: 'batch', isSum } as const;
    const given = dearest(of, INPUTS, input, [], how);
    const both = given && output > 0 ? dearest(of, OUTPUTS, output, [given.reading], how) : given;
    return { money: both?.money ?? given?.money ?? null, tokens: input + output };
  }

  /** The tokens of its file as often as it is trained with. */
  function training(ask: WorstCaseAsk): Worst {
    const { epochs: asked = null, isTimed = false } = ask.facts?.work ?? {};
    const file = fileIn(ask);
    if (file === null || isTimed) return UNKNOWN;
    const few = Math.min(EPOCHS_MAX, Math.ceil(EXAMPLES_MIN / file.lines));
    const epochs = asked ?? Math.max(EPOCHS, few);
    const trained = tokensOfBytes(file.bytes) * Math.max(1, Math.ceil(epochs));
    if (!Number.isSafeInteger(trained)) return UNKNOWN;
    return { money: priceOf(ask, [{ meter: 'training', quantity: BigInt(trained) }]), tokens: trained };
  }

  function tokens(ask: WorstCaseAsk, model: string, input: number, output: number): Worst {
    const sum = input + output;
    if (input > FLAT_TOKENS_MAX) {
      const given = dearest(ask, INPUTS, input, []);
      const both = given && dearest(ask, output === 0 ? [] : OUTPUTS, output, [given.reading]);
      return { money: both?.money ?? given?.money ?? null, tokens: sum };
    }
    const known = ratesOf(ask, model);
    if (known.input === null && known.output === null) return { money: null, tokens: sum };
    const money = BigInt(input) * (known.input ?? 0n) + BigInt(output) * (known.output ?? 0n);
    return { money: divideUp(money, MILLION), tokens: sum };
  }

  function ratesOf(ask: WorstCaseAsk, model: string): Rates {
    const { prices, host, facts, caller, at } = ask;
    const name = `${prices.version}\n${model}\n${facts?.serviceTier ?? ''}\n${host}\n${caller.key.id}`;
    const known = rates.get(name);
    if (known !== undefined && at < known.untilMs && at >= known.untilMs - RATE_MS) return known.rates;
    if (rates.size >= RATES_MAX) rates.delete(rates.keys().next().value!);
    const input = dearest(ask, INPUTS, FLAT_TOKENS_MAX, []);
    const output = dearest(ask, OUTPUTS, Number(MILLION), []);
    const found = {
      input: input && divideUp(input.money * MILLION, BigInt(FLAT_TOKENS_MAX)),
      output: output && output.money,
    };
    rates.set(name, { rates: found, untilMs: at + RATE_MS });
    return found;
  }

  function sound(ask: WorstCaseAsk, model: string): Worst {
    const { facts } = ask;
    const characters = facts?.inputCharacters ?? null;
    if (characters !== null) {
      const spoken = priceOf(ask, [{ meter: 'speech_characters', quantity: BigInt(characters) }]);
      if (spoken !== null) return { money: spoken, tokens: 0 };
      return tokens(ask, model, characters, characters * SPEECH_TOKENS_PER_CHARACTER);
    }
    // What a container tells may be too little, and is no bound: it counts where it is more.
    const seconds = Math.ceil(Math.max((facts?.bodyBytes ?? 0) / SOUND_BYTES_PER_SECOND, facts?.audioSeconds ?? 0));
    const heard = priceOf(ask, [{ meter: 'transcribed_seconds', quantity: BigInt(seconds) * 1000n }]);
    if (heard !== null) return { money: heard, tokens: 0 };
    return tokens(ask, model, seconds * SOUND_TOKENS_PER_SECOND, seconds * SOUND_TOKENS_PER_SECOND);
  }

  function images(ask: WorstCaseAsk, model: string): Worst {
    const { facts } = ask;
    const count = repliesOf(facts);
    const quality = facts?.quality ?? null;
    const variant = `${facts?.size ?? '1024x1024'}/${quality ?? 'standard'}`;
    const whole = priceOf(ask, [{ meter: 'images', quantity: BigInt(count), variant }]);
    if (whole !== null) return { money: whole, tokens: 0 };
    const each = (IMAGE_TOKENS[quality ?? 'high'] ?? IMAGE_TOKENS_MAX) * timesUsual(facts?.size ?? null);
    const partial = facts?.isStream === true ? PARTIAL_IMAGES_TOKENS : 0;
    return tokens(ask, model, inputOf(facts), count * (Math.ceil(each) + partial));
  }

  function videos(ask: WorstCaseAsk): Worst {
    const { facts } = ask;
    const seconds = facts?.seconds ?? null;
    if (seconds === null) return UNKNOWN;
    const reading: Reading = { meter: 'video_seconds', quantity: BigInt(Math.ceil(seconds * 1000)) };
    const variant = facts?.size ?? null;
    const money = (variant === null ? null : priceOf(ask, [{ ...reading, variant }])) ?? priceOf(ask, [reading]);
    return { money, tokens: 0 };
  }

  function socket(ask: WorstCaseAsk, model: string): Worst {
    const active = priceOf(ask, [{ meter: 'live_active_seconds', quantity: BigInt(SOCKET_SECONDS) * 1000n }]);
    if (active !== null) return { money: active, tokens: 0 };
    const heard = priceOf(ask, [{ meter: 'transcribed_seconds', quantity: BigInt(SOCKET_SECONDS) * 1000n }]);
    if (heard !== null) return { money: heard, tokens: 0 };
    const each = SOCKET_SECONDS * SOUND_TOKENS_PER_SECOND;
    return tokens(ask, model, each + SOCKET_TEXT_TOKENS, each);
  }

  return { of };
}

interface Rates {
  /** Pico-dollars for a million tokens; null where there is no rate. */
  readonly input: Money | null;
  readonly output: Money | null;
}

/** Those that the caller runs. */
const OWN_TOOLS = new Set(['function', 'custom', 'mcp', 'local_shell', 'apply_patch']);
const TOOL_METERS: Readonly<Record<string, Meter>> = {
  web_search: 'web_search_calls',
  web_search_preview: 'web_search_preview_calls',
  file_search: 'file_search_calls',
  code_interpreter: 'container_1g_seconds',
  shell: 'container_1g_seconds',
};
/** A container is billed for twenty minutes, whatever runs in it. */
const CONTAINER_MS = 20n * 60n * 1000n;

function quantityOf(meter: Meter, calls: number): bigint {
  return meter === 'container_1g_seconds' ? CONTAINER_MS : BigInt(calls);
}

/** What decides about its cost may stand where nobody looked: behind the part of a body that is read. */
function isHidden({ facts }: WorstCaseAsk, { modelIn }: Endpoint): boolean {
  return facts !== null && !facts.isWhole && modelIn === 'body';
}

function twiceRefusal(): Refusal {
  const message =
    'This key has a budget, and the request names a member twice that decides what it costs. Name it once; nothing was sent upstream.';
  return new Refusal('bad_request', message);
}

function inputOf(facts: RequestFacts | null): number {
  return tokensOfBytes(facts?.bodyBytes ?? 0);
}

function tokensOfBytes(bytes: number): number {
  return Math.ceil((bytes * TOKENS_PER_5_BYTES) / 5);
}

function numbersIn(facts: RequestFacts | null): number {
  return Math.ceil((facts?.bodyBytes ?? 0) / BYTES_PER_TOKEN_NUMBER);
}

function repliesOf(facts: RequestFacts | null): number {
  return Math.max(1, facts?.count ?? 1);
}

/** How many times as many pixels a picture has as the largest of the usual sizes. */
function timesUsual(size: string | null): number {
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(size ?? '') ?? [];
  return width === undefined ? 1 : Math.max(1, (Number(width) * Number(height)) / IMAGE_PIXELS);
}

function isPriced(ask: WorstCaseAsk): boolean {
  return ask.model === null || dearest(ask, [...INPUTS, ...OUTPUTS], 1000, []) !== null;
}
