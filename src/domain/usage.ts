// What is counted for billing. Readings are disjoint: no unit is in two of them, so each can be multiplied by its own rate.

/** How a meter counts. `scale`: a quantity is a whole number of 10^-scale units. */
interface MeterUnit {
  readonly unit: 'token' | 'character' | 'second' | 'call' | 'image' | 'byte_day';
  readonly scale: 0 | 3;
}

const TOKENS = { unit: 'token', scale: 0 } as const;
const CALLS = { unit: 'call', scale: 0 } as const;
const SECONDS = { unit: 'second', scale: 3 } as const;

export const METERS = {
  input_text: TOKENS,
  input_text_cached: TOKENS,
  /** Written to the prompt cache for the usual 30 minutes, and for 12 hours. */
  input_text_written: TOKENS,
  input_text_written_12h: TOKENS,
  /** Reasoning and rejected predictions are inside, as OpenAI counts them. */
  output_text: TOKENS,
  input_audio: TOKENS,
  input_audio_cached: TOKENS,
  output_audio: TOKENS,
  input_image: TOKENS,
  input_image_cached: TOKENS,
  output_image: TOKENS,
  training: TOKENS,
  speech_characters: { unit: 'character', scale: 0 },
  transcribed_seconds: SECONDS,
  live_active_seconds: SECONDS,
  live_standby_seconds: SECONDS,
  reinforcement_seconds: SECONDS,
  video_seconds: SECONDS,
  container_1g_seconds: SECONDS,
  container_4g_seconds: SECONDS,
  container_16g_seconds: SECONDS,
  container_64g_seconds: SECONDS,
  images: { unit: 'image', scale: 0 },
  web_search_calls: CALLS,
  web_search_preview_calls: CALLS,
  file_search_calls: CALLS,
  /** One byte kept for one day of 86,400 seconds. */
  vector_store_byte_days: { unit: 'byte_day', scale: 0 },
} as const satisfies Record<string, MeterUnit>;

export type Meter = keyof typeof METERS;

/** One meter's quantity in one exchange. */
export interface Reading {
  readonly meter: Meter;
  /** Whole number of the meter's units, each divided by 10^scale. Never negative. */
  readonly quantity: bigint;
  /** What the rate depends on beside the model, such as `1024x1024/hd` of an image; absent where nothing does. */
  readonly variant?: string;
}

/**
 * - `reported`: by the upstream, in the reply that the client got.
 * - `drained`: by the upstream, after the client had left.
 * - `estimated`: counted here from what was sent and seen.
 * - `absent`: unknown, which is not zero.
 */
export type UsageSource = 'reported' | 'drained' | 'estimated' | 'absent';

export interface Usage {
  readonly source: UsageSource;
  /** Null where unknown, empty where nothing was used. */
  readonly readings: readonly Reading[] | null;
  /** The upstream's own usage object, as parsed; null where it sent none. */
  readonly raw: unknown;
  /** What does not add up in the upstream's figures, one short sentence each: then the readings are a part of the truth. */
  readonly problems: readonly string[];
  /** Of the `output_text` of an estimate: tokens of reasoning that nobody saw, as the model's other replies have them. */
  readonly reasoningMargin?: number;
}

/** A quantity as decimal text, such as `11` tokens or `90.5` seconds. */
export function formatQuantity({ meter, quantity }: Pick<Reading, 'meter' | 'quantity'>): string {
  if (METERS[meter].scale === 0) return quantity.toString();
  const text = quantity.toString().padStart(4, '0');
  const fraction = text.slice(-3).replace(/0+$/, '');
  return fraction === '' ? text.slice(0, -3) : `${text.slice(0, -3)}.${fraction}`;
}

/** What `formatQuantity` wrote. */
export function parseQuantity(meter: Meter, text: string): bigint {
  const { scale } = METERS[meter];
  const [whole = '0', fraction = ''] = text.split('.');
  return BigInt(whole + fraction.padEnd(scale, '0').slice(0, scale));
}

/** Tokens of all kinds, for limits and budgets that count tokens. */
export function tokensIn(readings: readonly Reading[]): number {
  let tokens = 0n;
  for (const { meter, quantity } of readings) if (METERS[meter].unit === 'token') tokens += quantity;
  return Number(tokens);
}
