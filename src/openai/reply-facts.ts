// What a reply tells of itself, found in a copy of its bytes as they go by, cut anywhere, in constant memory.
import type { Endpoint } from '../domain/endpoint.ts';
import { NOTHING_SEEN, type ReplyFacts } from '../domain/facts.ts';
import { AudioLength } from './audio-length.ts';
import { EventFindings } from './event-findings.ts';
import { Findings, FindingsPlan, TextSample, USAGE_BYTES_MAX, factsOf, wantsOfReply } from './findings.ts';
import { JsonReader, type Want } from './json-reader.ts';
import { EventStreamScan } from './sse.ts';

export interface ReplyScan {
  feed(chunk: Buffer): void;
  /** Of what the model has written so far, about; 0 where only the end tells. */
  textBytes(): number;
  /** Ends the scan. */
  facts(): ReplyFacts;
}

/** Null where there is nothing that could be read. */
export function scanReply(contentType: string, endpoint: Endpoint | undefined): ReplyScan | null {
  const type = contentType.toLowerCase();
  if (type.startsWith('text/event-stream')) return scanEvents();
  if (type.includes('json')) return scanJson(endpoint);
  if (endpoint?.group !== 'audio') return null;
  if (type.startsWith('text/')) return scanText();
  return type.startsWith('audio/') ? scanAudio(type) : null;
}

const TEXTS: readonly Want[] = [
  'choices[].message.content',
  'choices[].message.refusal',
  'choices[].message.tool_calls[].function.arguments',
  'choices[].text',
  'output[].content[].text',
  'output[].arguments',
  'text',
].map((path) => ({ path, as: 'text' }));

interface ReplyPlan {
  readonly plan: FindingsPlan;
  readonly usagePath: string;
  readonly usageSlot: number;
  /** Its path leads through an array. */
  readonly isList: boolean;
}

const PLANS = new Map<string, ReplyPlan>();

/** Endpoints differ in where their usage stands; that of an unknown one is looked for where it stands mostly. */
function planFor(endpoint: Endpoint | undefined): ReplyPlan {
  const usagePath = endpoint?.usage ?? 'usage';
  let found = PLANS.get(usagePath);
  if (found === undefined) {
    const usage: Want = { path: usagePath, as: 'value', bytesMax: USAGE_BYTES_MAX };
    const plan = new FindingsPlan([...wantsOfReply(''), ...TEXTS, { path: 'data[]', as: 'element' }, usage]);
    found = { plan, usagePath, usageSlot: plan.slotOf(usagePath), isList: usagePath.includes('[]') };
    PLANS.set(usagePath, found);
  }
  return found;
}

function scanJson(endpoint: Endpoint | undefined): ReplyScan {
  const { plan, usagePath, usageSlot, isList } = planFor(endpoint);
  const found = new Findings(plan, isList ? usagePath : null);
  const reader = new JsonReader(plan.json, found);
  return {
    feed: (chunk) => reader.feed(chunk, 0, chunk.length),
    textBytes: () => 0,
    facts() {
      const usages: unknown[] = [];
      for (const usage of isList ? found.usages : [found.values[usageSlot]])
        if (usage !== null && usage !== undefined) usages.push(named(usage, usagePath));
      const facts = factsOf(found, '', usages);
      return usages.length > 0 ? facts : { ...facts, ...found.text.read(true) };
    },
  };
}

/** Of a usage that is one bare number, the record shall say what it counts: `trained_tokens`, or `seconds`. */
function named(usage: unknown, path: string): unknown {
  return typeof usage === 'object' ? usage : { [path.slice(path.lastIndexOf('.') + 1)]: usage };
}

function scanEvents(): ReplyScan {
  const found = new EventFindings();
  const stream = new EventStreamScan(found);
  return {
    feed: (chunk) => stream.feed(chunk),
    textBytes: () => found.textBytes(),
    facts() {
      stream.end();
      return found.facts();
    },
  };
}

/** A transcript without any usage: its text is all that there is to reckon by. */
function scanText(): ReplyScan {
  const text = new TextSample();
  return {
    feed: (chunk) => text.add(chunk, 0, chunk.length),
    textBytes: () => 0,
    facts: () => ({ ...NOTHING_SEEN, ...text.read(false) }),
  };
}

/** Speech without any usage: how long it lasts is all that there is to reckon by. */
function scanAudio(contentType: string): ReplyScan {
  const length = new AudioLength(contentType);
  return {
    feed: (chunk) => length.feed(chunk),
    textBytes: () => 0,
    facts: () => ({ ...NOTHING_SEEN, durationSeconds: length.seconds() }),
  };
}
