// Token counts of one usage object as disjoint readings. OpenAI's counts nest: cached and written tokens are inside the input,
// reasoning and rejected predictions inside the output, and the parts by modality inside both (reference: cost 4).
import type { Meter, Reading } from '../domain/usage.ts';

/** How the tokens of an endpoint are to be read. */
export interface TokenShape {
  /** What input is that no detail names, and what output is. */
  readonly input: 'text' | 'audio';
  readonly output: 'text' | 'audio' | 'image';
  /** Images that are looked at have a rate of their own; elsewhere they are text. */
  readonly hasImageInput: boolean;
}

export interface Metered {
  /** Null where nothing could be made of it. */
  readonly readings: readonly Reading[] | null;
  readonly problems: readonly string[];
}

/**
 * What usage objects have been seen to tell. Named one by one, and not looked up by names that are handed about, because this is
 * read for every exchange: so an engine can foresee where they stand.
 */
interface Told {
  readonly input_tokens?: unknown;
  readonly prompt_tokens?: unknown;
  readonly output_tokens?: unknown;
  readonly completion_tokens?: unknown;
  readonly total_tokens?: unknown;
  readonly cached_tokens?: unknown;
  readonly input_tokens_details?: unknown;
  readonly prompt_tokens_details?: unknown;
  readonly input_token_details?: unknown;
  readonly output_tokens_details?: unknown;
  readonly completion_tokens_details?: unknown;
  readonly output_token_details?: unknown;
}

interface ToldDetails {
  readonly text_tokens?: unknown;
  readonly audio_tokens?: unknown;
  readonly image_tokens?: unknown;
  readonly cached_tokens?: unknown;
  readonly cached_tokens_details?: unknown;
  readonly cache_write_tokens?: unknown;
  readonly cache_write_tokens_details?: unknown;
  readonly reasoning_tokens?: unknown;
  readonly rejected_prediction_tokens?: unknown;
}

interface ToldLifetimes {
  readonly ttl_12h_tokens?: unknown;
  readonly ttl_30m_tokens?: unknown;
}

const NOTHING = {};

/** Any object may have, or lack, any of these. */
function toldIn<T extends object>(value: unknown): T {
  return (typeof value === 'object' && value !== null ? value : NOTHING) as T;
}

/** @param isWrittenFor12h where the usage does not say for how long the cache was written */
export function readTokens(usage: unknown, shape: TokenShape, isWrittenFor12h: boolean): Metered {
  const counts = new Counts();
  const told = toldIn<Told>(usage);
  const input = counts.of('input_tokens', told.input_tokens) ?? counts.of('prompt_tokens', told.prompt_tokens);
  const output =
    counts.of('output_tokens', told.output_tokens) ?? counts.of('completion_tokens', told.completion_tokens);
  if (input === null && output === null) {
    return { readings: null, problems: [...counts.problems, 'The usage names neither input nor output tokens.'] };
  }
  counts.sum('total_tokens', counts.of('total_tokens', told.total_tokens), (input ?? 0) + (output ?? 0));
  readInput(counts, told, input ?? 0, shape, isWrittenFor12h);
  readOutput(counts, told, output ?? 0, shape);
  return { readings: counts.readings, problems: counts.problems };
}

const INPUT_EXCEEDED = 'The parts of the input are more than the input';
const OUTPUT_EXCEEDED = 'The parts of the output are more than the output';

function readInput(counts: Counts, told: Told, input: number, shape: TokenShape, isWrittenFor12h: boolean): void {
  const details = toldIn<ToldDetails>(
    told.input_tokens_details ?? told.prompt_tokens_details ?? told.input_token_details,
  );
  const textPart = counts.of('text_tokens', details.text_tokens);
  const audioPart = counts.of('audio_tokens', details.audio_tokens);
  const imagePart = counts.of('image_tokens', details.image_tokens);
  let audio = audioPart ?? 0;
  if (shape.input === 'audio' && audioPart === null) {
    audio = counts.rest(INPUT_EXCEEDED, input, textPart ?? 0);
    if (textPart === null && input > 0) counts.problems.push('The usage does not say how much of the input is audio.');
  } else if (textPart !== null) counts.sum('input', input, textPart + audio + (imagePart ?? 0));
  const image = shape.hasImageInput ? (imagePart ?? 0) : 0;
  const text = counts.rest(INPUT_EXCEEDED, input, audio + image);

  const cached = readCached(counts, told, details, { text, audio, image }, shape);
  const written = counts.of('cache_write_tokens', details.cache_write_tokens) ?? 0;
  const lifetimes = toldIn<ToldLifetimes>(details.cache_write_tokens_details);
  const written12h = counts.of('ttl_12h_tokens', lifetimes.ttl_12h_tokens);
  const written30m = counts.of('ttl_30m_tokens', lifetimes.ttl_30m_tokens);
  if (written12h !== null || written30m !== null)
    counts.sum('cache_write_tokens', written, (written12h ?? 0) + (written30m ?? 0));
  const long = written12h ?? (written30m === null && isWrittenFor12h ? written : 0);

  counts.add('input_text', counts.rest('More text is cached or written than there is', text, cached.text + written));
  counts.add('input_text_cached', cached.text);
  counts.add('input_text_written', counts.rest('More is written for 12 hours than at all', written, long));
  counts.add('input_text_written_12h', long);
  counts.add('input_audio', counts.rest('More audio is cached or written than there is', audio, cached.audio));
  counts.add('input_audio_cached', cached.audio);
  counts.add('input_image', counts.rest('More image input is cached or written than there is', image, cached.image));
  counts.add('input_image_cached', cached.image);
}

interface Parts {
  readonly text: number;
  readonly audio: number;
  readonly image: number;
}

const NO_PARTS: Parts = { text: 0, audio: 0, image: 0 };

function readCached(counts: Counts, told: Told, details: ToldDetails, parts: Parts, shape: TokenShape): Parts {
  const total = counts.of('cached_tokens', details.cached_tokens) ?? counts.of('cached_tokens', told.cached_tokens);
  const split = toldIn<ToldDetails>(details.cached_tokens_details);
  const text = counts.of('text_tokens', split.text_tokens);
  const audio = counts.of('audio_tokens', split.audio_tokens);
  const image = counts.of('image_tokens', split.image_tokens);
  if (text !== null || audio !== null || image !== null) {
    counts.sum('cached_tokens', total, (text ?? 0) + (audio ?? 0) + (image ?? 0));
    const [own, folded] = shape.hasImageInput ? [image ?? 0, 0] : [0, image ?? 0];
    return { text: (text ?? 0) + folded, audio: audio ?? 0, image: own };
  }
  const cached = total ?? 0;
  if (cached === 0) return NO_PARTS;
  if (parts.audio === 0 && parts.image === 0) return { text: cached, audio: 0, image: 0 };
  // All of it, or text before anything else.
  const ofText = Math.min(cached, parts.text);
  const ofAudio = Math.min(cached - ofText, parts.audio);
  const isSure = cached === parts.text + parts.audio + parts.image || (parts.text === 0 && parts.image === 0);
  if (!isSure) counts.problems.push('The usage does not say whether cached input is text, audio or image.');
  return { text: ofText, audio: ofAudio, image: cached - ofText - ofAudio };
}

function readOutput(counts: Counts, told: Told, output: number, shape: TokenShape): void {
  const details = toldIn<ToldDetails>(
    told.output_tokens_details ?? told.completion_tokens_details ?? told.output_token_details,
  );
  const text = counts.of('text_tokens', details.text_tokens);
  const audio = counts.of('audio_tokens', details.audio_tokens) ?? 0;
  const image = counts.of('image_tokens', details.image_tokens) ?? 0;
  if (text !== null) counts.sum('output', output, text + audio + image);
  counts.checkInside('reasoning_tokens', details.reasoning_tokens, output);
  counts.checkInside('rejected_prediction_tokens', details.rejected_prediction_tokens, output);
  const rest = counts.rest(OUTPUT_EXCEEDED, output, audio + image);
  // Without a split, what an image model gives is image, and what a speech model gives is audio.
  const isSplit = text !== null || audio > 0 || image > 0;
  const restIs = isSplit ? 'text' : shape.output;
  counts.add('output_text', restIs === 'text' ? rest : 0);
  counts.add('output_audio', restIs === 'audio' ? audio + rest : audio);
  counts.add('output_image', restIs === 'image' ? image + rest : image);
}

/** A thousand million million: the sums of a few such counts are still exact. */
const COUNT_MAX = 1e15;

/** Counts as they are read, and what is wrong with them. */
class Counts {
  readonly readings: Reading[] = [];
  readonly problems: string[] = [];

  /** Null where it is not told. */
  of(name: string, value: unknown): number | null {
    if (value === undefined || value === null) return null;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= COUNT_MAX) return value;
    this.problems.push(`${name} is ${String(JSON.stringify(value)).slice(0, 40)}, which is no count.`);
    return null;
  }

  /** What is left of a whole; nothing, and a problem, where its parts are more. */
  rest(problem: string, whole: number, parts: number): number {
    if (parts <= whole) return whole - parts;
    this.problems.push(`${problem}: ${parts} of ${whole}.`);
    return 0;
  }

  sum(name: string, whole: number | null, parts: number): void {
    if (whole !== null && parts !== whole)
      this.problems.push(`The parts of ${name} add up to ${parts}, not to ${whole}.`);
  }

  checkInside(name: string, value: unknown, output: number): void {
    if ((this.of(name, value) ?? 0) > output) this.problems.push(`${name} are inside the output and more than it.`);
  }

  add(meter: Meter, quantity: number): void {
    if (quantity > 0) this.readings.push({ meter, quantity: BigInt(quantity) });
  }
}
