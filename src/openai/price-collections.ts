// Rates of two public collections, to compare with: never to price by. Their numbers are floats per token.
import { METERS, type Meter } from '../domain/usage.ts';
import { USUAL_PER } from './price-book.ts';
import type { ReadRate } from './price-pages.ts';

/** LiteLLM's model_prices_and_context_window.json: dollars for one unit. */
const LITELLM: Readonly<Record<string, Meter>> = {
  input_cost_per_token: 'input_text',
  cache_read_input_token_cost: 'input_text_cached',
  cache_creation_input_token_cost: 'input_text_written',
  output_cost_per_token: 'output_text',
  input_cost_per_audio_token: 'input_audio',
  cache_read_input_audio_token_cost: 'input_audio_cached',
  output_cost_per_audio_token: 'output_audio',
  input_cost_per_image_token: 'input_image',
  output_cost_per_image_token: 'output_image',
  input_cost_per_character: 'speech_characters',
};
const LITELLM_SUFFIXES = [
  ['', { tier: null, mode: 'standard', isLong: false }],
  ['_flex', { tier: 'flex', mode: 'standard', isLong: false }],
  ['_priority', { tier: 'fast', mode: 'standard', isLong: false }],
  ['_batches', { tier: null, mode: 'batch', isLong: false }],
  ['_above_272k_tokens', { tier: null, mode: 'standard', isLong: true }],
] as const;

/** Null where it is not of that form. */
export function readLitellm(written: unknown): readonly ReadRate[] | null {
  if (!isObject(written)) return null;
  const rows = Object.entries(written).filter(
    (entry): entry is [string, Record<string, unknown>] => isObject(entry[1]) && 'litellm_provider' in entry[1],
  );
  if (rows.length === 0) return null;
  return rows
    .filter(([model, row]) => row['litellm_provider'] === 'openai' && !model.includes('/'))
    .flatMap(([model, row]) =>
      Object.entries(LITELLM).flatMap(([field, meter]) =>
        LITELLM_SUFFIXES.flatMap(([suffix, place]): ReadRate | [] => {
          const amount = perMillion(row[field + suffix], 1_000_000);
          return amount === null ? [] : { model, ...place, meter, variant: null, amount, per: usualPer(meter) };
        }),
      ),
    );
}

/** genai-prices' data.json: dollars for a million units, and several of these by date or by size. */
const GENAI: Readonly<Record<string, Meter>> = {
  input_mtok: 'input_text',
  cache_read_mtok: 'input_text_cached',
  cache_write_mtok: 'input_text_written',
  output_mtok: 'output_text',
  input_audio_mtok: 'input_audio',
  cache_audio_read_mtok: 'input_audio_cached',
  output_audio_mtok: 'output_audio',
};

/** Null where it is not of that form. */
export function readGenai(written: unknown): readonly ReadRate[] | null {
  const all = isObject(written) ? written['providers'] : written;
  if (!Array.isArray(all)) return null;
  const openai: unknown = all.find((each: unknown) => isObject(each) && each['id'] === 'openai');
  if (!isObject(openai) || !Array.isArray(openai['models'])) return null;
  return openai['models'].flatMap((model: unknown) => {
    if (!isObject(model) || typeof model['id'] !== 'string') return [];
    const { id, prices } = model as { readonly id: string; readonly prices?: unknown };
    const latest: unknown = Array.isArray(prices)
      ? prices.findLast((each: unknown) => isObject(each) && isObject(each['prices']))
      : { prices };
    const rates = isObject(latest) && isObject(latest['prices']) ? latest['prices'] : {};
    return Object.entries(GENAI).flatMap(([field, meter]): ReadRate | [] => {
      const value = rates[field];
      const amount = perMillion(isObject(value) ? value['base'] : value, 1);
      if (amount === null) return [];
      const place = { model: id, tier: null, mode: 'standard', isLong: false, variant: null } as const;
      return { ...place, meter, amount, per: usualPer(meter) };
    });
  });
}

function usualPer(meter: Meter): string {
  return USUAL_PER[METERS[meter].unit];
}

/** Floats carry noise at their end: six digits behind the point are more than any rate has. */
function perMillion(value: unknown, times: number): string | null {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return null;
  const text = (value * times).toFixed(6);
  return text.replace(/\.?0+$/, '');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
