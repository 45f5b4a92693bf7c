// What the upstream account tells of itself: where its costs and its usage are read, and what its line items mean.
import { METERS, type Meter } from '../domain/usage.ts';
import { withoutSnapshot } from './model-names.ts';

export const COSTS_PATH = '/v1/organization/costs';

const USAGE = '/v1/organization/usage';
/** Each with what tells how much there was. */
export const USAGE_PATHS: readonly {
  readonly path: string;
  readonly subject: string | null;
  readonly groups: readonly string[];
}[] = [
  { path: `${USAGE}/completions`, subject: null, groups: ['project_id', 'model', 'service_tier'] },
  { path: `${USAGE}/embeddings`, subject: null, groups: ['project_id', 'model'] },
  { path: `${USAGE}/moderations`, subject: null, groups: ['project_id', 'model'] },
  { path: `${USAGE}/images`, subject: null, groups: ['project_id', 'model'] },
  { path: `${USAGE}/audio_speeches`, subject: null, groups: ['project_id', 'model'] },
  { path: `${USAGE}/audio_transcriptions`, subject: null, groups: ['project_id', 'model'] },
  { path: `${USAGE}/vector_stores`, subject: 'storage', groups: ['project_id'] },
  { path: `${USAGE}/code_interpreter_sessions`, subject: 'code interpreter', groups: ['project_id'] },
  { path: `${USAGE}/file_search_calls`, subject: 'file search', groups: ['project_id'] },
  { path: `${USAGE}/web_search_calls`, subject: 'web search', groups: ['project_id'] },
];

/** What both sides are compared by: a model without its snapshot, or a tool; and the part of its bill where that is known. */
export interface BilledThing {
  readonly subject: string;
  /** Such as `input`, `cached input` or `output`; null where it is not told. */
  readonly part: string | null;
}

/** Of a tool, whichever model used it. */
const TOOLS: readonly (readonly [pattern: RegExp, subject: string])[] = [
  [/storage|vector[\s_-]?store/, 'storage'],
  [/web[\s_-]?search/, 'web search'],
  [/file[\s_-]?search/, 'file search'],
  [/code[\s_-]?interpreter|container/, 'code interpreter'],
];

/** OpenAI does not document how line items are spelled: `gpt-4o-2024-08-06, cached input` is what they look like. */
export function thingOfLineItem(lineItem: string): BilledThing {
  const text = lineItem.trim().toLowerCase();
  const tool = TOOLS.find(([pattern]) => pattern.test(text));
  if (tool !== undefined) return { subject: tool[1], part: null };
  const comma = text.indexOf(',');
  if (comma === -1) return { subject: subjectOfModel(text), part: null };
  return { subject: subjectOfModel(text.slice(0, comma).trim()), part: text.slice(comma + 1).trim() || null };
}

export function thingOfMeter(meter: string, model: string | null): BilledThing {
  const tool = TOOLS.find(([pattern]) => pattern.test(meter));
  if (tool !== undefined) return { subject: tool[1], part: null };
  const part = Object.hasOwn(PARTS, meter) ? PARTS[meter as Meter] : undefined;
  return { subject: subjectOfModel(model ?? NO_MODEL), part: part ?? meter.replaceAll('_', ' ') };
}

/** How much of a meter counts as tokens that OpenAI's usage tells. */
export function isTokenMeter(meter: string): boolean {
  return Object.hasOwn(METERS, meter) && METERS[meter as Meter].unit === 'token';
}

const NO_MODEL = 'no model';
const PARTS: Readonly<Partial<Record<Meter, string>>> = {
  input_text: 'input',
  input_text_cached: 'cached input',
  input_text_written: 'cache write',
  input_text_written_12h: 'cache write',
  output_text: 'output',
  input_audio: 'audio input',
  input_audio_cached: 'cached audio input',
  output_audio: 'audio output',
  input_image: 'image input',
  input_image_cached: 'cached image input',
  output_image: 'image output',
};

/** `gpt-4o` for each of its snapshots, `ft:gpt-4o` for all that was fine-tuned from it. */
export function subjectOfModel(model: string | null): string {
  const name = (model ?? NO_MODEL).toLowerCase().replace(/-v\d$/, '');
  const tuned = /^ft[-:]([^:]+)/.exec(name);
  if (tuned !== null) return `ft:${withoutSnapshot(tuned[1]!) ?? tuned[1]!}`;
  return withoutSnapshot(name) ?? name;
}

/** The tier that is billed where none is named. */
export function tierOf(told: string | null | undefined): string {
  return told === null || told === undefined || told === 'auto' || told === 'standard' ? 'default' : told;
}
