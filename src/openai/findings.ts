// What was found in one JSON text: a reply, or one event of a stream or WebSocket.
import { type HostedTool, NOTHING_SEEN, type ReplyFacts } from '../domain/facts.ts';
import { type JsonListener, type Plan, type Want, planOf } from './json-reader.ts';

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
  const options = ['prompt_cache_options.ttl'];
  const items = ['output[].id', 'output[].type', 'output[].action.type'];
  const containers = ['output[].container_id', 'output[].environment.container_id'];
  const tools = ['tools[].type', 'tools[].model'];
  return [
    ...[...values, ...options, ...items, ...containers, ...tools].map(
      (path) => ({ path: prefix + path, as: 'value' }) as const,
    ),
    { path: `${prefix}tool_usage`, as: 'value', bytesMax: USAGE_BYTES_MAX },
    { path: `${prefix}output[]`, as: 'element' },
    { path: `${prefix}tools[]`, as: 'element' },
  ];
}

/** A value within an element of an array, as `output[].type` is: by its last name. */
type Element = Record<string, unknown>;

/** Slots of the members of one reply. */
interface ReplySlots {
  readonly model: number;
  readonly serviceTier: number;
  readonly id: number;
  readonly object: number;
  readonly status: number;
  readonly duration: number;
  readonly size: number;
  readonly quality: number;
  readonly memoryLimit: number;
  readonly cacheTtl: number;
  readonly toolUsage: number;
  readonly tools: number;
  readonly output: number;
  readonly data: number;
}

/** A plan of what findings are to be made of, with all that is to be known of its slots. */
export class FindingsPlan {
  readonly json: Plan;
  /** By slot, and one more: nothing is ever found in the last, which stands for what the plan has not. */
  readonly nothing: readonly undefined[];
  /** By slot: where a value belongs that stands in an element of an array; null for all others. */
  readonly inElements: readonly ({ readonly array: number; readonly name: string } | null)[];
  readonly #replies = new Map<string, ReplySlots>();

  constructor(wants: readonly Want[]) {
    this.json = planOf(wants);
    this.nothing = Array.from({ length: this.json.slots.size + 1 }, () => undefined);
    this.inElements = [...this.json.slots.keys()].map((path) => {
      const array = path.indexOf('[]');
      return array === -1 ? null : { array: this.slotOf(path.slice(0, array + 2)), name: path.slice(array + 3) };
    });
  }

  slotOf(path: string): number {
    return this.json.slots.get(path) ?? this.nothing.length - 1;
  }

  replySlots(prefix: string): ReplySlots {
    let slots = this.#replies.get(prefix);
    if (slots === undefined) {
      const at = (name: string) => this.slotOf(prefix + name);
      slots = {
        model: at('model'),
        serviceTier: at('service_tier'),
        id: at('id'),
        object: at('object'),
        status: at('status'),
        duration: at('duration'),
        size: at('size'),
        quality: at('quality'),
        memoryLimit: at('memory_limit'),
        cacheTtl: at('prompt_cache_options.ttl'),
        toolUsage: at('tool_usage'),
        tools: at('tools[]'),
        output: at('output[]'),
        data: at('data[]'),
      };
      this.#replies.set(prefix, slots);
    }
    return slots;
  }
}

const NO_SLOT = -1;

export class Findings implements JsonListener {
  readonly plan: FindingsPlan;
  /** By slot. */
  readonly values: unknown[];
  /** Usage objects, where the path leads through an array. */
  readonly usages: unknown[] = [];
  readonly text = new TextSample();
  /** By the slot of the array. */
  #elements: Map<number, Element[]> | null = null;
  readonly #usageSlot: number;

  /** @param usagePath of usage that may stand there many times */
  constructor(plan: FindingsPlan, usagePath: string | null = null) {
    this.plan = plan;
    this.values = plan.nothing.slice();
    this.#usageSlot = usagePath === null ? NO_SLOT : plan.slotOf(usagePath);
  }

  onValue(slot: number, value: unknown): void {
    if (slot === this.#usageSlot) {
      if (this.usages.length < USAGES_MAX) this.usages.push(value);
      return;
    }
    const place = this.plan.inElements[slot]!;
    if (place === null) {
      this.values[slot] = value;
      return;
    }
    const element = this.#elements?.get(place.array)?.at(-1);
    if (element !== undefined) element[place.name] = value;
  }

  onElement(slot: number): void {
    this.#elements ??= new Map();
    let elements = this.#elements.get(slot);
    if (elements === undefined) this.#elements.set(slot, (elements = []));
    if (elements.length < ITEMS_MAX) elements.push({});
  }

  onText(chunk: Buffer, from: number, to: number): void {
    this.text.add(chunk, from, to);
  }

  /** Undefined where it was not found. */
  value(path: string): unknown {
    return this.values[this.plan.slotOf(path)];
  }

  string(path: string): string | null {
    return this.stringAt(this.plan.slotOf(path));
  }

  stringAt(slot: number): string | null {
    const value = this.values[slot];
    return typeof value === 'string' && value !== '' ? value : null;
  }

  /** Of an array, by its path or slot; undefined where it has none. */
  elements(array: string | number): readonly Element[] | undefined {
    return this.#elements?.get(typeof array === 'string' ? this.plan.slotOf(array) : array);
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
  const slots = found.plan.replySlots(prefix);
  const tools = found.elements(slots.tools);
  const items = found.elements(slots.output);
  const toolUsage = found.values[slots.toolUsage];
  const hasTools = tools !== undefined || items !== undefined || toolUsage !== undefined;
  const { toolCalls, containers, imageTool } = hasTools
    ? factsOfTools(toolItems(items), tools ?? [], toolUsage)
    : NOTHING_SEEN;
  const duration = found.values[slots.duration];
  return {
    usages,
    model: found.stringAt(slots.model),
    serviceTier: found.stringAt(slots.serviceTier),
    id: found.stringAt(slots.id),
    object: found.stringAt(slots.object),
    status: found.stringAt(slots.status),
    toolCalls,
    imageTool,
    containers,
    dataCount: found.elements(slots.data)?.length ?? null,
    durationSeconds: duration === undefined ? null : asSeconds(duration),
    size: found.stringAt(slots.size),
    quality: found.stringAt(slots.quality),
    memoryLimit: found.stringAt(slots.memoryLimit),
    cacheTtl: found.stringAt(slots.cacheTtl),
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
