// What was found in one JSON text: a reply, or one event of a stream or WebSocket.
import { type HostedTool, NOTHING_SEEN, type ReplyFacts } from '../domain/facts.ts';
import type { JsonListener, Want } from './json-reader.ts';

/** A usage object is a few hundred bytes; a larger one is not believed. */
export const USAGE_BYTES_MAX = 16 * 1024;
/** Of a list that tells of many. */
const USAGES_MAX = 256;
/** Calls and containers that are remembered of one reply. */
const ITEMS_MAX = 4096;
/** Kept of what the model wrote. */
const TEXT_BYTES_MAX = 16 * 1024;

/** The members of a reply that tell something, wherever such an object stands. */
export function wantsOfReply(prefix: string): Want[] {
  const values = ['model', 'service_tier', 'id', 'object', 'status', 'duration', 'size', 'quality', 'memory_limit'];
  const items = ['output[].id', 'output[].type', 'output[].action.type'];
  const containers = ['output[].container_id', 'output[].environment.container_id'];
  const tools = ['tools[].type', 'tools[].model'];
  return [
    ...[...values, ...items, ...containers, ...tools].map((path) => ({ path: prefix + path, as: 'value' }) as const),
    { path: `${prefix}tool_usage`, as: 'value', bytesMax: USAGE_BYTES_MAX },
    { path: `${prefix}output[]`, as: 'element' },
    { path: `${prefix}tools[]`, as: 'element' },
  ];
}

/** A value within an element of an array, as `output[].type` is: by its last name. */
type Element = Record<string, unknown>;

export class Findings implements JsonListener {
  /** By path. Of what stands in an array, see below. */
  readonly values: Record<string, unknown> = {};
  /** Usage objects, where the path leads through an array. */
  usages: unknown[] = [];
  readonly elements: Record<string, Element[]> = {};
  readonly text = new TextSample();
  readonly #usagePath: string | null;

  /** @param usagePath of usage that may stand there many times */
  constructor(usagePath: string | null = null) {
    this.#usagePath = usagePath;
  }

  onValue(path: string, value: unknown): void {
    if (path === this.#usagePath) {
      if (this.usages.length < USAGES_MAX) this.usages.push(value);
      return;
    }
    const array = path.indexOf('[]');
    if (array === -1) {
      this.values[path] = value;
      return;
    }
    const element = this.elements[path.slice(0, array + 2)]?.at(-1);
    if (element !== undefined) element[path.slice(array + 3)] = value;
  }

  onElement(path: string): void {
    const elements = (this.elements[path] ??= []);
    if (elements.length < ITEMS_MAX) elements.push({});
  }

  onText(chunk: Buffer, from: number, to: number): void {
    this.text.add(chunk, from, to);
  }

  string(path: string): string | null {
    const value = this.values[path];
    return typeof value === 'string' && value !== '' ? value : null;
  }
}

/** Bytes of JSON strings that the model wrote: the first of them kept, all of them counted. Decoded only when asked for. */
export class TextSample {
  readonly #parts: Buffer[] = [];
  #kept = 0;
  #bytes = 0;

  add(chunk: Buffer, from: number, to: number): void {
    this.#bytes += to - from;
    if (this.#kept === TEXT_BYTES_MAX || to === from) return;
    // Copied: what is lent is written over.
    const part = Buffer.from(chunk.subarray(from, Math.min(to, from + TEXT_BYTES_MAX - this.#kept)));
    this.#parts.push(part);
    this.#kept += part.length;
  }

  addAll(other: TextSample): void {
    for (const part of other.#parts) this.add(part, 0, part.length);
    this.#bytes += other.#bytes - other.#kept;
  }

  /** @param isEscaped the bytes stood in JSON */
  read(isEscaped: boolean): Pick<ReplyFacts, 'outputText' | 'outputTextBytes'> {
    if (this.#kept === 0) return { outputText: '', outputTextBytes: 0 };
    const raw = Buffer.concat(this.#parts).toString('utf8');
    const outputText = isEscaped ? unescape(raw) : raw;
    const share = this.#bytes / this.#kept;
    const bytes = share === 1 || isEscaped ? Math.round(Buffer.byteLength(outputText) * share) : this.#bytes;
    return { outputText, outputTextBytes: bytes };
  }
}

/** What was cut off may have been half an escape. */
function unescape(raw: string): string {
  for (const text of [raw, raw.slice(0, Math.max(0, raw.lastIndexOf('\\')))]) {
    try {
      return JSON.parse(`"${text}"`) as string;
    } catch {
      continue;
    }
  }
  return raw;
}

/** Output items that cost more than their tokens. */
export interface ToolItem {
  readonly type: string;
  readonly action: string | null;
  readonly container: string | null;
}

export function toolItems(elements: readonly Element[] | undefined): ToolItem[] {
  return (elements ?? []).flatMap((element) => toolItem((name) => element[name]) ?? []);
}

export function toolItem(member: (name: string) => unknown): ToolItem | null {
  const string = (name: string) => {
    const value = member(name);
    return typeof value === 'string' ? value : null;
  };
  const type = string('type');
  if (type === null || !type.endsWith('_call')) return null;
  return {
    type,
    action: string('action.type'),
    container: string('container_id') ?? string('environment.container_id'),
  };
}

/** The facts of the reply whose members have this prefix. */
export function factsOf(found: Findings, prefix: string, usages: readonly unknown[]): ReplyFacts {
  const tools = found.elements[`${prefix}tools[]`];
  const items = found.elements[`${prefix}output[]`];
  const toolUsage = found.values[`${prefix}tool_usage`];
  const hasTools = tools !== undefined || items !== undefined || toolUsage !== undefined;
  const { toolCalls, containers, imageTool } = hasTools
    ? factsOfTools(toolItems(items), tools ?? [], toolUsage)
    : NOTHING_SEEN;
  const duration = found.values[`${prefix}duration`];
  return {
    usages,
    model: found.string(`${prefix}model`),
    serviceTier: found.string(`${prefix}service_tier`),
    id: found.string(`${prefix}id`),
    object: found.string(`${prefix}object`),
    status: found.string(`${prefix}status`),
    toolCalls,
    imageTool,
    containers,
    dataCount: found.elements[`${prefix}data[]`]?.length ?? null,
    durationSeconds: duration === undefined ? null : asSeconds(duration),
    size: found.string(`${prefix}size`),
    quality: found.string(`${prefix}quality`),
    memoryLimit: found.string(`${prefix}memory_limit`),
    outputText: '',
    outputTextBytes: 0,
  };
}

/** A number, or a number as text. */
function asSeconds(value: unknown): number | null {
  const seconds = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
}

type ToolFacts = Pick<ReplyFacts, 'toolCalls' | 'containers' | 'imageTool'>;

/**
 * @param tools as the reply repeats them from the request
 * @param toolUsage its `tool_usage`
 */
export function factsOfTools(items: readonly ToolItem[], tools: readonly Element[], toolUsage: unknown): ToolFacts {
  const isPreview = tools.some(({ type }) => typeof type === 'string' && type.startsWith('web_search_preview'));
  const toolCalls: Partial<Record<HostedTool, number>> = {};
  const count = (tool: HostedTool, calls: number) => {
    if (calls > 0) toolCalls[tool] = (toolCalls[tool] ?? 0) + calls;
  };
  const containers = new Set<string>();
  let searches = 0;
  for (const { type, action, container } of items) {
    if (container !== null) containers.add(container);
    // An older reply does not say what was done: it was a search.
    if (type === 'web_search_call' && (action ?? 'search') === 'search') searches++;
    else if (type === 'file_search_call') count('file_search', 1);
    else if (type === 'code_interpreter_call') count('code_interpreter', 1);
    else if (type === 'image_generation_call') count('image_generation', 1);
  }
  const told = member(member(toolUsage, 'web_search'), 'num_requests');
  if (searches === 0 && items.length === 0 && typeof told === 'number') searches = told;
  count(isPreview ? 'web_search_preview' : 'web_search', searches);

  const usage = member(toolUsage, 'image_gen');
  const model = tools.find(({ type }) => type === 'image_generation')?.['model'];
  const hasImages = toolCalls.image_generation !== undefined || hasTokens(usage);
  const imageTool = hasImages ? { model: typeof model === 'string' ? model : null, usage: usage ?? null } : null;
  return { toolCalls, containers: [...containers], imageTool };
}

function hasTokens(usage: unknown): boolean {
  return Number(member(usage, 'total_tokens') ?? member(usage, 'output_tokens') ?? 0) > 0;
}

export function member(value: unknown, name: string): unknown {
  // Any object can be asked for any name.
  return typeof value === 'object' && value !== null ? (value as Element)[name] : undefined;
}
