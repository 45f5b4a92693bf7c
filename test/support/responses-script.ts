// Streams of the Responses API as scripts: output items in the order in which they stand, and in the events that OpenAI sends for
// them. What compatible servers leave out can be left out here.

export type Json = Record<string, unknown>;

export type ScriptItem =
  | {
      readonly kind: 'message';
      readonly text: string;
      readonly phase?: string;
      /** Each is sent when this many characters (UTF-16) of the text have been; the whole text by default. */
      readonly annotations?: readonly { readonly after?: number; readonly annotation: Json }[];
      readonly isCut?: boolean;
    }
  | { readonly kind: 'refusal'; readonly refusal: string }
  | {
      readonly kind: 'function';
      readonly name: string;
      readonly args: string;
      readonly callId: string;
      readonly isCut?: boolean;
    }
  | { readonly kind: 'reasoning'; readonly encrypted?: string }
  | { readonly kind: 'code'; readonly code: string; readonly container: string; readonly outputs?: readonly Json[] }
  | { readonly kind: 'search'; readonly queries: readonly string[]; readonly results: readonly Json[] };

export interface ScriptOptions {
  /** Characters a delta. */
  readonly chunk?: number;
  /** Kinds of events that are never sent; without `item_done` nothing of an item comes before the end. */
  readonly without?: readonly ('added' | 'deltas' | 'parts' | 'item_done' | 'indexes' | 'numbers')[];
  readonly usage?: Json | null;
  readonly end?: 'completed' | 'max_output_tokens' | 'content_filter' | 'none';
  readonly responseId?: string;
  readonly model?: string;
}

export const USAGE: Json = {
  input_tokens: 20,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens: 10,
  output_tokens_details: { reasoning_tokens: 2 },
  total_tokens: 30,
};

let made = 0;

/** The events of each item, apart: a test may interleave them. */
export function itemEvents(item: ScriptItem, outputIndex: number, options: ScriptOptions = {}): Json[] {
  const { chunk = 4, without = [] } = options;
  const whole = wholeItem(item);
  const at = without.includes('indexes')
    ? { item_id: whole['id'] }
    : { output_index: outputIndex, item_id: whole['id'] };
  const events: Json[] = [];
  if (!without.includes('added') && !without.includes('item_done'))
    events.push({ type: 'response.output_item.added', ...at, item: begun(whole) });
  if (!without.includes('item_done')) events.push(...middleEvents(item, whole, at, chunk, without));
  if (!without.includes('item_done')) events.push({ type: 'response.output_item.done', ...at, item: whole });
  return events;
}

export function responseEvents(items: readonly ScriptItem[], options: ScriptOptions = {}): Json[] {
  const perItem = items.map((item, i) => itemEvents(item, i, options));
  return withFrame(perItem.flat(), items, options);
}

/** `created` and `in_progress` before, the end behind. */
export function withFrame(events: readonly Json[], items: readonly ScriptItem[], options: ScriptOptions = {}): Json[] {
  const {
    end = 'completed',
    usage = USAGE,
    without = [],
    responseId = 'resp_1',
    model = 'gpt-4o-2024-08-06',
  } = options;
  const response = { id: responseId, object: 'response', model, status: 'in_progress', output: [], usage: null };
  const framed: Json[] = [
    { type: 'response.created', response },
    { type: 'response.in_progress', response },
    ...events,
  ];
  const output = items.map(wholeItem);
  if (end === 'completed')
    framed.push({ type: 'response.completed', response: { ...response, status: end, output, usage } });
  else if (end !== 'none') {
    const incomplete = { ...response, status: 'incomplete', output, usage, incomplete_details: { reason: end } };
    framed.push({ type: 'response.incomplete', response: incomplete });
  }
  return without.includes('numbers') ? framed : framed.map((event, i) => ({ ...event, sequence_number: i }));
}

const ids = new WeakMap<ScriptItem, string>();

function idOf(item: ScriptItem, prefix: string): string {
  let id = ids.get(item);
  if (id === undefined) ids.set(item, (id = `${prefix}_${++made}`));
  return id;
}

function wholeItem(item: ScriptItem): Json {
  switch (item.kind) {
    case 'message': {
      const annotations = (item.annotations ?? []).map(({ annotation }) => annotation);
      return {
        id: idOf(item, 'msg'),
        type: 'message',
        status: item.isCut === true ? 'incomplete' : 'completed',
        role: 'assistant',
        ...(item.phase !== undefined && { phase: item.phase }),
        content: [{ type: 'output_text', text: item.text, annotations }],
      };
    }
    case 'refusal':
      return {
        id: idOf(item, 'msg'),
        type: 'message',
        status: 'completed',
        role: 'assistant',
        content: [{ type: 'refusal', refusal: item.refusal }],
      };
    case 'function':
      return {
        id: idOf(item, 'fc'),
        type: 'function_call',
        status: item.isCut === true ? 'incomplete' : 'completed',
        call_id: item.callId,
        name: item.name,
        arguments: item.args,
      };
    case 'reasoning':
      return {
        id: idOf(item, 'rs'),
        type: 'reasoning',
        summary: [],
        ...(item.encrypted !== undefined && { encrypted_content: item.encrypted }),
      };
    case 'code':
      return {
        id: idOf(item, 'ci'),
        type: 'code_interpreter_call',
        status: 'completed',
        code: item.code,
        container_id: item.container,
        outputs: item.outputs ?? [],
      };
    case 'search':
      return {
        id: idOf(item, 'fs'),
        type: 'file_search_call',
        status: 'completed',
        queries: item.queries,
        results: item.results,
      };
  }
}

function begun(whole: Json): Json {
  const { type } = whole;
  const empty = { ...whole, status: 'in_progress' };
  if (type === 'message') return { ...empty, content: [] };
  if (type === 'function_call') return { ...empty, arguments: '' };
  if (type === 'code_interpreter_call') return { ...empty, code: '', outputs: null };
  if (type === 'file_search_call') return { ...empty, results: null };
  return empty;
}

function middleEvents(item: ScriptItem, whole: Json, at: Json, chunk: number, without: readonly string[]): Json[] {
  const hasDeltas = !without.includes('deltas');
  switch (item.kind) {
    case 'message':
      return messageEvents(item, whole, at, hasDeltas ? chunk : 0, !without.includes('parts'));
    case 'refusal': {
      const part = { ...at, content_index: 0 };
      const deltas = hasDeltas ? pieces(item.refusal, chunk) : [];
      return [
        ...deltas.map((delta) => ({ type: 'response.refusal.delta', ...part, delta })),
        { type: 'response.refusal.done', ...part, refusal: item.refusal },
      ];
    }
    case 'function': {
      const deltas = hasDeltas ? pieces(item.args, chunk) : [];
      return [
        ...deltas.map((delta) => ({ type: 'response.function_call_arguments.delta', ...at, delta })),
        { type: 'response.function_call_arguments.done', ...at, name: item.name, arguments: item.args },
      ];
    }
    case 'code': {
      const deltas = hasDeltas ? pieces(item.code, chunk) : [];
      return [
        { type: 'response.code_interpreter_call.in_progress', ...at },
        ...deltas.map((delta) => ({ type: 'response.code_interpreter_call_code.delta', ...at, delta })),
        { type: 'response.code_interpreter_call_code.done', ...at, code: item.code },
        { type: 'response.code_interpreter_call.interpreting', ...at },
        { type: 'response.code_interpreter_call.completed', ...at },
      ];
    }
    case 'search':
      return ['in_progress', 'searching', 'completed'].map((state) => ({
        type: `response.file_search_call.${state}`,
        ...at,
      }));
    case 'reasoning':
      return hasDeltas
        ? [{ type: 'response.reasoning_summary_text.delta', ...at, summary_index: 0, delta: 'Hmm.' }]
        : [];
  }
}

function messageEvents(
  item: Extract<ScriptItem, { kind: 'message' }>,
  whole: Json,
  at: Json,
  chunk: number,
  hasParts: boolean,
): Json[] {
  const part = { ...at, content_index: 0 };
  const content = (whole['content'] as Json[])[0]!;
  const events: Json[] = [];
  if (hasParts)
    events.push({ type: 'response.content_part.added', ...part, part: { ...content, text: '', annotations: [] } });
  if (chunk > 0) {
    const due = [...(item.annotations ?? [])].map(({ after, annotation }) => ({
      after: after ?? item.text.length,
      annotation,
    }));
    let sent = 0;
    const cite = () => {
      for (const { annotation } of due.filter(({ after }) => after <= sent)) {
        events.push({ type: 'response.output_text.annotation.added', ...part, annotation_index: 0, annotation });
      }
      for (let i = due.length - 1; i >= 0; i--) if (due[i]!.after <= sent) due.splice(i, 1);
    };
    for (const delta of pieces(item.text, chunk)) {
      sent += delta.length;
      events.push({ type: 'response.output_text.delta', ...part, delta });
      cite();
    }
  }
  events.push({ type: 'response.output_text.done', ...part, text: item.text });
  if (hasParts) events.push({ type: 'response.content_part.done', ...part, part: content });
  return events;
}

export function pieces(text: string, size: number): string[] {
  const found: string[] = [];
  for (let at = 0; at < text.length; at += size) found.push(text.slice(at, at + size));
  return found;
}
