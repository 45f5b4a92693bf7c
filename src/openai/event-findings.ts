// What the events of a stream tell, put together. Chat streams have no names for their events; all others have.
import { NOTHING_SEEN, type ReplyFacts } from '../domain/facts.ts';
import {
  Findings,
  FindingsPlan,
  TextSample,
  type ToolItem,
  USAGE_BYTES_MAX,
  factsOf,
  factsOfTools,
  toolItem,
  toolItems,
  wantsOfReply,
} from './findings.ts';
import { JsonReader, type Want } from './json-reader.ts';
import { type EventListener, EventReader, LEADING_EVENTS } from './sse.ts';
import { reportsOn } from './usage-reports.ts';

const REPORTS = reportsOn('http');
/** Kept of events that were skimmed, to reckon what the model wrote. */
const SAMPLE_BYTES_MAX = 4 * 1024;
/** Output items whose end was told one by one. */
const ITEMS_MAX = 4096;

const TEXTS: readonly Want[] = [
  'choices[].delta.content',
  'choices[].delta.refusal',
  'choices[].delta.tool_calls[].function.arguments',
  'choices[].text',
  'delta',
].map((path) => ({ path, as: 'text' }));

const ITEM = ['id', 'type', 'action.type', 'container_id', 'environment.container_id'];

/** The `delta` of any other event is no text that the model wrote. */
const TEXT_DELTAS = new Set([
  'response.output_text.delta',
  'response.refusal.delta',
  'response.reasoning_text.delta',
  'response.reasoning_summary_text.delta',
  'response.function_call_arguments.delta',
  'response.custom_tool_call_input.delta',
  'response.code_interpreter_call_code.delta',
  'response.mcp_call_arguments.delta',
  'transcript.text.delta',
]);

const PLAN = new FindingsPlan([
  { path: 'type', as: 'value' },
  ...wantsOfReply('').filter(({ path }) => !path.includes('[]')),
  ...wantsOfReply('response.'),
  { path: 'usage', as: 'value', bytesMax: USAGE_BYTES_MAX },
  { path: 'response.usage', as: 'value', bytesMax: USAGE_BYTES_MAX },
  ...ITEM.map((name): Want => ({ path: `item.${name}`, as: 'value' })),
  ...TEXTS,
]);

const TEXT_PLAN = new FindingsPlan([...['type', 'object'].map((path): Want => ({ path, as: 'value' })), ...TEXTS]);

/** What the key `"usage"` ends with is seldom in streams, so that a search for it passes quickly. */
const USAGE_END = Buffer.from('ge"');
/** `"usa`, read as a number. */
const USAGE_BEGINNING = 0x22757361;
const USAGE_BEGINNING_BYTES = 4;
/** The types of output items that are calls. */
const CALL = Buffer.from('_call"');
/** Tools that are not run by the upstream. */
const CLIENT_TOOLS = new Set(['function', 'custom']);
const COLON = 0x3a;
const LF = 0x0a;
const LETTER_N = 0x6e;

/** Any of them is enough to know that an event tells of a response. */
const RESPONSE_MEMBERS = ['response.id', 'response.model', 'response.usage'];
const OUTPUT_ITEM_DONE = 'response.output_item.done';

export class EventFindings implements EventListener {
  #found = new Findings(PLAN);
  readonly #reader = new JsonReader(PLAN.json, {
    onValue: (slot, value) => this.#found.onValue(slot, value),
    onElement: (slot) => this.#found.onElement(slot),
    onText: (chunk, from, to) => this.#found.onText(chunk, from, to),
  });

  /** Whether its events have names; null while none has told. */
  #isNamed: boolean | null = null;
  #events = 0;
  #facts: ReplyFacts = NOTHING_SEEN;
  /** By the object they belong to, so that one which is told twice counts once. */
  readonly #usages = new Map<string, unknown>();
  readonly #items: ToolItem[] = [];
  /** Of the terminal event, which lists all items. */
  #hasWholeOutput = false;
  /** As the reply repeats them from the request. */
  #tools: readonly Record<string, unknown>[] = [];

  /** Hosted tools are offered, or it is not known what is. */
  #mayCallTools = true;

  readonly #text = new TextSample();
  readonly #sample: Buffer[] = [];
  #sampledBytes = 0;
  #skimmedBytes = 0;

  get isKnown(): boolean {
    return this.#facts.model !== null;
  }

  onData(chunk: Buffer, from: number, to: number): void {
    this.#reader.feed(chunk, from, to);
  }

  onEvent(name: string): void {
    const found = this.#found;
    this.#reader.reset();
    this.#found = new Findings(PLAN);
    const type = typeOf(found, name);
    const isLeading = this.#events++ < LEADING_EVENTS && !this.isKnown;
    if (type !== '') this.#isNamed ??= true;
    else if (found.string('model') !== null) this.#isNamed ??= false;

    if (isWritten(type)) this.#text.addAll(found.text);
    if (type === '') this.#mergeUnnamed(found, isLeading);
    else if (type === OUTPUT_ITEM_DONE) this.#mergeItem(found);
    else this.#mergeNamed(type, found, isLeading);
  }

  #mergeUnnamed(found: Findings, isLeading: boolean): void {
    const usage = asUsage(found.value('usage'));
    if (!isLeading && usage === null) return;
    // One for the whole stream: should a server repeat it with each chunk, the last one counts.
    if (usage !== null) this.#usages.set('', usage);
    this.#facts = merged(this.#facts, factsOf(found, '', []));
    if (this.#isNamed === false) this.#mayCallTools = false;
  }

  #mergeItem(found: Findings): void {
    const item = toolItem((name) => found.value(`item.${name}`));
    if (item !== null && this.#items.length < ITEMS_MAX) this.#items.push(item);
  }

  #mergeNamed(type: string, found: Findings, isLeading: boolean): void {
    const report = REPORTS.get(type);
    // Skimming finds the events where usage stands, if only as null: others tell nothing, even if they were read.
    const isTold = found.value('usage') !== undefined || found.value('response.usage') !== undefined;
    if (!isLeading && !isTold) return;
    const prefix = RESPONSE_MEMBERS.some((path) => found.value(path) !== undefined) ? 'response.' : '';
    const facts = factsOf(found, prefix, []);
    if (report !== undefined) {
      const usage = asUsage(found.value(report.path));
      if (usage !== null) this.#usages.set(facts.id ?? `${type} ${this.#usages.size}`, usage);
      if (toolItems(found.elements(`${prefix}output[]`)).length > 0) this.#hasWholeOutput = true;
    } else if (!isLeading && prefix === '') return;
    this.#facts = merged(this.#facts, facts);
    this.#tools = found.elements(`${prefix}tools[]`) ?? this.#tools;
    if (prefix !== '') this.#mayCallTools = this.#tools.some(({ type }) => !CLIENT_TOOLS.has(String(type)));
  }

  find(events: Buffer, from: number): number {
    const usage = this.#findUsage(events, from);
    if (!this.#mayCallTools) return usage;
    const call = events.indexOf(CALL, from);
    return usage === -1 || (call !== -1 && call < usage) ? call : usage;
  }

  /** The key, and not a text that speaks of it: within a string, a quote has a backslash before it. */
  #findUsage(events: Buffer, from: number): number {
    for (let at = events.indexOf(USAGE_END, from); at !== -1; at = events.indexOf(USAGE_END, at)) {
      const key = at - USAGE_BEGINNING_BYTES;
      at += USAGE_END.length;
      if (key < from || events.readUInt32BE(key) !== USAGE_BEGINNING) continue;
      if (this.#isNamed !== false) return key;
      const colon = skipSpace(events, at);
      if (events[colon] === COLON && events[skipSpace(events, colon + 1)] !== LETTER_N) return key;
    }
    return -1;
  }

  onSkimmed(chunk: Buffer, from: number, to: number): void {
    this.#skimmedBytes += to - from;
    const room = SAMPLE_BYTES_MAX - this.#sampledBytes;
    if (room <= 0) return;
    const part = Buffer.from(chunk.subarray(from, Math.min(to, from + room)));
    this.#sample.push(part);
    this.#sampledBytes += part.length;
  }

  facts(): ReplyFacts {
    const usages = [...this.#usages.values()];
    const tools = this.#hasWholeOutput ? {} : factsOfTools(this.#items, this.#tools, undefined);
    const facts = { ...this.#facts, ...(this.#items.length > 0 ? tools : {}), usages };
    return usages.length > 0 ? facts : { ...facts, ...this.#readText() };
  }

  textBytes(): number {
    return this.#readText().outputTextBytes;
  }

  #readText(): Pick<ReplyFacts, 'outputText' | 'outputTextBytes'> {
    const read = this.#text.read(true);
    if (this.#sampledBytes === 0) return read;
    const sample = Buffer.concat(this.#sample);
    // The last event may be cut off.
    const end = this.#skimmedBytes > sample.length ? sample.lastIndexOf(LF) + 1 : sample.length;
    const sampled = textIn(sample, end).read(true);
    const bytes = sampled.outputTextBytes * (this.#skimmedBytes / Math.max(1, end));
    return {
      outputText: read.outputText + sampled.outputText,
      outputTextBytes: read.outputTextBytes + Math.round(bytes),
    };
  }
}

/** What the model wrote in these events. */
function textIn(events: Buffer, end: number): TextSample {
  const text = new TextSample();
  let found = new Findings(TEXT_PLAN);
  const json = new JsonReader(TEXT_PLAN.json, {
    onValue: (slot, value) => found.onValue(slot, value),
    onElement: () => {},
    onText: (chunk, from, to) => found.onText(chunk, from, to),
  });
  const reader = new EventReader({
    onData: (chunk, from, to) => json.feed(chunk, from, to),
    onEvent(name) {
      if (isWritten(typeOf(found, name))) text.addAll(found.text);
      found = new Findings(TEXT_PLAN);
      json.reset();
    },
  });
  for (let at = 0; at < end;) at = reader.feed(events, at, end);
  reader.end();
  return text;
}

/** Servers that name the events of chats give all of them one name, which tells nothing. */
const CHUNKS = new Set(['chat.completion.chunk', 'text_completion']);
/** What an event is that has no name. */
const NAMELESS = 'message';

/** Empty for the chunk of a chat. */
function typeOf(found: Findings, name: string): string {
  const type = found.string('type');
  if (type !== null) return type;
  return name === NAMELESS || CHUNKS.has(found.string('object') ?? '') ? '' : name;
}

/** Whether the text of such an event is what the model wrote. */
function isWritten(type: string): boolean {
  return type === '' || TEXT_DELTAS.has(type);
}

/** What later events tell replaces what earlier ones told; what they leave out stays. */
function merged(told: ReplyFacts, facts: ReplyFacts): ReplyFacts {
  return {
    ...facts,
    model: facts.model ?? told.model,
    serviceTier: facts.serviceTier ?? told.serviceTier,
    id: facts.id ?? told.id,
    object: facts.object ?? told.object,
    status: facts.status ?? told.status,
    imageTool: facts.imageTool ?? told.imageTool,
    size: facts.size ?? told.size,
    quality: facts.quality ?? told.quality,
    cacheTtl: facts.cacheTtl ?? told.cacheTtl,
  };
}

function asUsage(value: unknown): object | null {
  return typeof value === 'object' ? value : null;
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x09 || bytes[at] === 0x0a || bytes[at] === 0x0d) at++;
  return at;
}
