// What a stream of the Responses API says, as signals: of one output item, or of the response as a whole. Tolerant: servers
// that speak almost the same leave out `added` events, indexes or deltas.
import type { Usage } from '../domain/run.ts';
import { type JsonObject, asObject, numberIn, objectIn, objectsIn, stringIn } from './upstream-json.ts';

export type ItemKind =
  | 'message'
  | 'function_call'
  | 'code_interpreter_call'
  | 'file_search_call'
  | 'reasoning'
  /** Nothing that the Assistants API could show. */
  | 'other';

/** Something about one output item. */
export interface ItemSignal {
  readonly outIx: number;
  readonly kind: ItemKind;
  readonly op: ItemOp;
}

export type ItemOp =
  | { readonly type: 'begun'; readonly item: JsonObject | null }
  | { readonly type: 'text'; readonly part: number; readonly delta: string }
  | { readonly type: 'refusal'; readonly part: number; readonly delta: string }
  | { readonly type: 'annotation'; readonly part: number; readonly annotation: JsonObject }
  /** A part as it is in the end: what deltas left out is taken from here. */
  | { readonly type: 'part_done'; readonly part: number; readonly content: JsonObject }
  | { readonly type: 'arguments'; readonly delta: string }
  | { readonly type: 'code'; readonly delta: string }
  | { readonly type: 'done'; readonly item: JsonObject };

/** How the response as a whole ended. */
export interface ResponseEnd {
  readonly status: 'completed' | 'incomplete' | 'failed';
  /** Every output item, where the upstream repeats them. */
  readonly output: readonly JsonObject[];
  readonly usage: Usage | null;
  readonly incompleteReason: string | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  /** The model asked only for what the gateway serves itself, and waits for its answer. */
  readonly continues: boolean;
}

export type Signal =
  | { readonly type: 'item'; readonly signal: ItemSignal }
  | { readonly type: 'end'; readonly end: ResponseEnd };

const KINDS: ReadonlyMap<string, ItemKind> = new Map<string, ItemKind>([
  ['message', 'message'],
  ['function_call', 'function_call'],
  ['code_interpreter_call', 'code_interpreter_call'],
  ['file_search_call', 'file_search_call'],
  ['reasoning', 'reasoning'],
]);

export function itemKind(item: JsonObject | null): ItemKind {
  return KINDS.get(stringIn(item, 'type') ?? '') ?? 'other';
}

/** Reads one stream, event by event. Null for an event that says nothing new. */
export function readResponsesStream(): (event: JsonObject) => Signal | null {
  const placeOf = itemPlaces();
  return (event) => {
    const type = stringIn(event, 'type') ?? '';
    const end = responseEnd(type, event);
    if (end !== null) return { type: 'end', end };
    const read = readItemEvent(type, event);
    if (read === null) return null;
    const item = objectIn(event, 'item');
    const outIx = placeOf(numberIn(event, 'output_index'), stringIn(event, 'item_id') ?? stringIn(item, 'id'));
    return { type: 'item', signal: { outIx, ...read } };
  };
}

/** Where an item stands, also for servers that give no index, or name the item only by its id. */
function itemPlaces(): (index: number | null, id: string | null) => number {
  const byId = new Map<string, number>();
  let last = -1;
  return (index, id) => {
    const place = index ?? (id === null ? Math.max(0, last) : (byId.get(id) ?? last + 1));
    if (id !== null) byId.set(id, place);
    last = Math.max(last, place);
    return place;
  };
}

function readItemEvent(type: string, event: JsonObject): Pick<ItemSignal, 'kind' | 'op'> | null {
  const delta = stringIn(event, 'delta') ?? '';
  const part = numberIn(event, 'content_index') ?? 0;
  const item = objectIn(event, 'item');
  switch (type) {
    case 'response.output_item.added':
      return { kind: itemKind(item), op: { type: 'begun', item } };
    case 'response.output_item.done':
      return item === null ? null : { kind: itemKind(item), op: { type: 'done', item } };
    case 'response.output_text.delta':
      return { kind: 'message', op: { type: 'text', part, delta } };
    case 'response.refusal.delta':
      return { kind: 'message', op: { type: 'refusal', part, delta } };
    case 'response.output_text.annotation.added': {
      const annotation = objectIn(event, 'annotation');
      return annotation === null ? null : { kind: 'message', op: { type: 'annotation', part, annotation } };
    }
    case 'response.content_part.done': {
      const content = objectIn(event, 'part');
      const isShown = content?.['type'] === 'output_text' || content?.['type'] === 'refusal';
      return content !== null && isShown ? { kind: 'message', op: { type: 'part_done', part, content } } : null;
    }
    case 'response.function_call_arguments.delta':
      return { kind: 'function_call', op: { type: 'arguments', delta } };
    case 'response.code_interpreter_call.in_progress':
      return { kind: 'code_interpreter_call', op: { type: 'begun', item: null } };
    case 'response.code_interpreter_call_code.delta':
      return { kind: 'code_interpreter_call', op: { type: 'code', delta } };
    case 'response.file_search_call.in_progress':
    case 'response.file_search_call.searching':
      return { kind: 'file_search_call', op: { type: 'begun', item: null } };
    default:
      return null;
  }
}

function responseEnd(type: string, event: JsonObject): ResponseEnd | null {
  const response = objectIn(event, 'response');
  switch (type) {
    case 'response.completed':
    case 'response.incomplete':
    case 'response.failed':
    case 'response.done':
      return endOfResponse(response, type.slice('response.'.length));
    case 'error': {
      // Described as flat; some servers nest it.
      const error = objectIn(event, 'error') ?? event;
      return { ...NOTHING_MORE, status: 'failed', error: errorOf(error) };
    }
    default:
      return null;
  }
}

const NOTHING_MORE: ResponseEnd = {
  status: 'completed',
  output: [],
  usage: null,
  incompleteReason: null,
  error: null,
  continues: false,
};

/** A whole response, as it ends a stream or stands alone where the upstream does not stream. */
export function endOfResponse(response: JsonObject | null, event = 'completed'): ResponseEnd {
  const named = stringIn(response, 'status');
  const status = [named, event].find((word) => word === 'failed' || word === 'incomplete') ?? 'completed';
  const error = objectIn(response, 'error');
  return {
    status: status === 'failed' || status === 'incomplete' ? status : 'completed',
    output: objectsIn(response, 'output'),
    usage: usageOf(objectIn(response, 'usage')),
    incompleteReason: stringIn(objectIn(response, 'incomplete_details'), 'reason'),
    error: status === 'failed' ? errorOf(error) : null,
    continues: false,
  };
}

function errorOf(error: JsonObject | null): { readonly code: string; readonly message: string } {
  return {
    code: stringIn(error, 'code') ?? 'server_error',
    message: stringIn(error, 'message') ?? 'The model failed without a word of explanation.',
  };
}

/** In the words of the Assistants API; null where the upstream reported none. */
export function usageOf(usage: JsonObject | null): Usage | null {
  const prompt = numberIn(usage, 'input_tokens') ?? numberIn(usage, 'prompt_tokens');
  const completion = numberIn(usage, 'output_tokens') ?? numberIn(usage, 'completion_tokens');
  if (prompt === null && completion === null) return null;
  const input = asObject(usage?.['input_tokens_details'] ?? usage?.['prompt_tokens_details']);
  const output = asObject(usage?.['output_tokens_details'] ?? usage?.['completion_tokens_details']);
  return {
    prompt_tokens: prompt ?? 0,
    completion_tokens: completion ?? 0,
    total_tokens: numberIn(usage, 'total_tokens') ?? (prompt ?? 0) + (completion ?? 0),
    prompt_token_details: { cached_tokens: numberIn(input, 'cached_tokens') ?? 0 },
    completion_tokens_details: { reasoning_tokens: numberIn(output, 'reasoning_tokens') ?? 0 },
  };
}
