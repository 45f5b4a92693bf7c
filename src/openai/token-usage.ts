// Token counts of one usage object as disjoint readings. OpenAI's counts nest: cached and written tokens are inside the input,
// reasoning and rejected predictions inside the output, and the parts by modality inside both (reference: cost 4).
import type { Meter, Reading } from '../domain/usage.ts';
import { member } from './findings.ts';

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

/** @param isWrittenFor12h where the usage does not say for how long the cache was written */
export function readTokens(usage: unknown, shape: TokenShape, isWrittenFor12h: boolean): Metered {
  const counts = new Counts();
  const input = counts.first(usage, ['input_tokens', 'prompt_tokens']);
  const output = counts.first(usage, ['output_tokens', 'completion_tokens']);
  if (input === null && output === null) {
    return { readings: null, problems: [...counts.problems, 'The usage names neither input nor output tokens.'] };
  }
  counts.sum('total_tokens', counts.at(usage, 'total_tokens'), [input ?? 0n, output ?? 0n]);
  readInput(counts, usage, input ?? 0n, shape, isWrittenFor12h);
  readOutput(counts, usage, output ?? 0n, shape);
  return { readings: counts.readings, problems: counts.problems };
}

function readInput(counts: Counts, usage: unknown, input: bigint, shape: TokenShape, isWrittenFor12h: boolean): void {
  const details = anyOf(usage, ['input_tokens_details', 'prompt_tokens_details', 'input_token_details']);
  const parts = {
    text: counts.at(details, 'text_tokens'),
    audio: counts.at(details, 'audio_tokens'),
    image: counts.at(details, 'image_tokens'),
  };
  const named = (parts.audio ?? 0n) + (parts.image ?? 0n);
  let audio = parts.audio ?? 0n;
  if (shape.input === 'audio' && parts.audio === null) {
    audio = counts.rest('The parts of the input are more than the input', input, [parts.text ?? 0n]);
    if (parts.text === null && input > 0n)
      counts.problems.push('The usage does not say how much of the input is audio.');
  } else if (parts.text !== null) counts.sum('input', input, [parts.text, named]);
  const image = shape.hasImageInput ? (parts.image ?? 0n) : 0n;
  const text = counts.rest('The parts of the input are more than the input', input, [audio, image]);

  const cached = readCached(counts, usage, details, { text, audio, image }, shape);
  const written = counts.at(details, 'cache_write_tokens') ?? 0n;
  const lifetimes = member(details, 'cache_write_tokens_details');
  const written12h = counts.at(lifetimes, 'ttl_12h_tokens');
  const written30m = counts.at(lifetimes, 'ttl_30m_tokens');
  if (written12h !== null || written30m !== null)
    counts.sum('cache_write_tokens', written, [written12h ?? 0n, written30m ?? 0n]);
  const long = written12h ?? (written30m === null && isWrittenFor12h ? written : 0n);

  const more = (what: string) => `More ${what} is cached or written than there is`;
  counts.add('input_text', counts.rest(more('text'), text, [cached.text, written]));
  counts.add('input_text_cached', cached.text);
  counts.add('input_text_written', counts.rest('More is written for 12 hours than at all', written, [long]));
  counts.add('input_text_written_12h', long);
  counts.add('input_audio', counts.rest(more('audio'), audio, [cached.audio]));
  counts.add('input_audio_cached', cached.audio);
  counts.add('input_image', counts.rest(more('image input'), image, [cached.image]));
  counts.add('input_image_cached', cached.image);
}

interface Parts {
  readonly text: bigint;
  readonly audio: bigint;
  readonly image: bigint;
}

function readCached(counts: Counts, usage: unknown, details: unknown, parts: Parts, shape: TokenShape): Parts {
  const total = counts.at(details, 'cached_tokens') ?? counts.at(usage, 'cached_tokens');
  const split = member(details, 'cached_tokens_details');
  const text = counts.at(split, 'text_tokens');
  const audio = counts.at(split, 'audio_tokens');
  const image = counts.at(split, 'image_tokens');
  if (text !== null || audio !== null || image !== null) {
    counts.sum('cached_tokens', total, [text ?? 0n, audio ?? 0n, image ?? 0n]);
    const [own, folded] = shape.hasImageInput ? [image ?? 0n, 0n] : [0n, image ?? 0n];
    return { text: (text ?? 0n) + folded, audio: audio ?? 0n, image: own };
  }
  const cached = total ?? 0n;
  if (cached === 0n) return { text: 0n, audio: 0n, image: 0n };
  if (parts.audio === 0n && parts.image === 0n) return { text: cached, audio: 0n, image: 0n };
  // All of it, or text before anything else.
  const ofText = least(cached, parts.text);
  const ofAudio = least(cached - ofText, parts.audio);
  const isSure = cached === parts.text + parts.audio + parts.image || (parts.text === 0n && parts.image === 0n);
  if (!isSure) counts.problems.push('The usage does not say whether cached input is text, audio or image.');
  return { text: ofText, audio: ofAudio, image: cached - ofText - ofAudio };
}

function readOutput(counts: Counts, usage: unknown, output: bigint, shape: TokenShape): void {
  const details = anyOf(usage, ['output_tokens_details', 'completion_tokens_details', 'output_token_details']);
  const text = counts.at(details, 'text_tokens');
  const audio = counts.at(details, 'audio_tokens') ?? 0n;
  const image = counts.at(details, 'image_tokens') ?? 0n;
  if (text !== null) counts.sum('output', output, [text, audio, image]);
  for (const inside of ['reasoning_tokens', 'rejected_prediction_tokens']) {
    if ((counts.at(details, inside) ?? 0n) > output)
      counts.problems.push(`${inside} are inside the output and more than it.`);
  }
  const rest = counts.rest('The parts of the output are more than the output', output, [audio, image]);
  // Without a split, what an image model gives is image, and what a speech model gives is audio.
  const isSplit = text !== null || audio > 0n || image > 0n;
  const restIs = isSplit ? 'text' : shape.output;
  counts.add('output_text', restIs === 'text' ? rest : 0n);
  counts.add('output_audio', restIs === 'audio' ? audio + rest : audio);
  counts.add('output_image', restIs === 'image' ? image + rest : image);
}

/** Counts as they are read, and what is wrong with them. */
class Counts {
  readonly readings: Reading[] = [];
  readonly problems: string[] = [];

  /** Null where it is not told. */
  at(object: unknown, name: string): bigint | null {
    const value = member(object, name);
    if (value === undefined || value === null) return null;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
    this.problems.push(`${name} is ${String(JSON.stringify(value)).slice(0, 40)}, which is no count.`);
    return null;
  }

  first(object: unknown, names: readonly string[]): bigint | null {
    for (const name of names) {
      const count = this.at(object, name);
      if (count !== null) return count;
    }
    return null;
  }

  /** What is left of a whole; nothing, and a problem, where the parts are more. */
  rest(problem: string, whole: bigint, parts: readonly bigint[]): bigint {
    const sum = sumOf(parts);
    if (sum <= whole) return whole - sum;
    this.problems.push(`${problem}: ${sum} of ${whole}.`);
    return 0n;
  }

  sum(name: string, whole: bigint | null, parts: readonly bigint[]): void {
    const sum = sumOf(parts);
    if (whole !== null && sum !== whole) this.problems.push(`The parts of ${name} add up to ${sum}, not to ${whole}.`);
  }

  add(meter: Meter, quantity: bigint): void {
    if (quantity > 0n) this.readings.push({ meter, quantity });
  }
}

function anyOf(object: unknown, names: readonly string[]): unknown {
  for (const name of names) {
    const found = member(object, name);
    if (found !== undefined && found !== null) return found;
  }
  return undefined;
}

function sumOf(parts: readonly bigint[]): bigint {
  return parts.reduce((sum, part) => sum + part, 0n);
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
