// Deltas: joined where they may be, and made up for where a reader missed some. All of it pure.
import type { Message, MessageContent } from '../domain/assistants.ts';
import type { PendingCall, RunEvent, RunStep, ToolCall } from '../domain/run.ts';
import { type JsonObject, asObject, numberIn, objectIn, objectsIn, stringIn } from './upstream-json.ts';

export type Delta = Extract<RunEvent, { delta: unknown }>;

/** One delta that says what both say; null where they do not go on from one another. */
export function joinDeltas(first: Delta, second: Delta): Delta | null {
  if (first.id !== second.id) return null;
  if (first.event === 'thread.message.delta') {
    if (second.event !== first.event) return null;
    const joined = joinParts(only(first.delta.content), only(second.delta.content));
    return joined === null ? null : { ...first, delta: { ...first.delta, content: [joined] } };
  }
  const [a, b] = [callsOf(first), callsOf(second)];
  const joined = joinParts(only(a), only(b));
  if (joined === null) return null;
  return {
    event: 'thread.run.step.delta',
    id: first.id,
    delta: { step_details: { type: 'tool_calls', tool_calls: [joined] } },
  };
}

function only(list: readonly unknown[]): JsonObject | null {
  return list.length === 1 ? asObject(list[0]) : null;
}

function callsOf(delta: Delta): readonly JsonObject[] {
  return 'step_details' in delta.delta ? objectsIn(asObject(delta.delta.step_details), 'tool_calls') : [];
}

/** Where in each kind of part or call a text grows. */
const GROWING: Readonly<Record<string, string>> = {
  text: 'value',
  refusal: 'refusal',
  function: 'arguments',
  code_interpreter: 'input',
};

/** The second may bring nothing but more of the one text. */
function joinParts(a: JsonObject | null, b: JsonObject | null): JsonObject | null {
  const type = stringIn(a, 'type') ?? '';
  const member = GROWING[type];
  if (a === null || b === null || member === undefined || b['type'] !== type || a['index'] !== b['index']) return null;
  if (type === 'refusal') {
    const [before, more] = [stringIn(a, member), stringIn(b, member)];
    return before === null || more === null ? null : { ...a, refusal: before + more };
  }
  const [into, from] = [objectIn(a, type), objectIn(b, type)];
  const [before, more] = [stringIn(into, member), stringIn(from, member)];
  if (into === null || from === null || before === null || more === null || Object.keys(from).length !== 1) return null;
  if ('id' in b || hasItems(into)) return null;
  return { ...a, [type]: { ...into, [member]: before + more } };
}

/** A citation is told after the text that it stands in: text that comes later must not go before it. */
function hasItems(part: JsonObject): boolean {
  return [part['annotations'], part['outputs']].some((list) => Array.isArray(list) && list.length > 0);
}

interface ShownPart {
  readonly type: string;
  text: string;
  annotations: number;
}

interface ShownCall {
  text: string;
  outputs: number;
}

/**
 * What one reader was told of the message and of the step that are open. From that it can be said what he still lacks when one
 * of them ends: for deltas are told to who listens, and are kept nowhere.
 */
export class Shown {
  #message: { readonly id: string; readonly parts: ShownPart[] } | null = null;
  #step: { readonly id: string; readonly calls: ShownCall[] } | null = null;

  note(event: RunEvent): void {
    switch (event.event) {
      case 'thread.message.created':
        this.#message = { id: event.message.id, parts: [] };
        break;
      case 'thread.run.step.created':
        this.#step = { id: event.step.id, calls: [] };
        break;
      case 'thread.message.delta':
        if (event.id === this.#message?.id)
          for (const part of event.delta.content) notePart(this.#message.parts, asObject(part));
        break;
      case 'thread.run.step.delta':
        if (event.id === this.#step?.id) for (const call of callsOf(event)) noteCall(this.#step.calls, call);
        break;
      case 'thread.message.completed':
      case 'thread.message.incomplete':
        this.#message = null;
        break;
      case 'thread.run.requires_action':
        this.#step = null;
        break;
      default:
        if ('step' in event && event.event !== 'thread.run.step.in_progress') this.#step = null;
    }
  }

  /** Forgets what is open: who does not know what was told makes up for nothing. */
  forget(): void {
    this.#message = null;
    this.#step = null;
  }

  get isOpen(): boolean {
    return this.#message !== null || this.#step !== null;
  }

  /** Deltas that belong before this event, so that deltas add up to what it tells. */
  lacking(event: RunEvent): readonly Delta[] {
    const message = this.#message;
    const step = this.#step;
    if (
      (event.event === 'thread.message.completed' || event.event === 'thread.message.incomplete') &&
      message?.id === event.message.id
    ) {
      return lackingParts(event.message, message.parts);
    }
    if (event.event === 'thread.run.requires_action' && step !== null) {
      return lackingCalls(step.id as RunStep['id'], (event.run.pendingCalls ?? []).map(withoutOutput), step.calls);
    }
    const isStepEnd =
      'step' in event && event.event !== 'thread.run.step.created' && event.event !== 'thread.run.step.in_progress';
    if (isStepEnd && step?.id === event.step.id && event.step.details.type === 'tool_calls') {
      return lackingCalls(event.step.id, event.step.details.tool_calls, step.calls);
    }
    return [];
  }
}

function notePart(parts: ShownPart[], part: JsonObject | null): void {
  const type = stringIn(part, 'type') ?? '';
  const shown = (parts[numberIn(part, 'index') ?? 0] ??= { type, text: '', annotations: 0 });
  const text = objectIn(part, 'text');
  shown.text += stringIn(text, 'value') ?? stringIn(part, 'refusal') ?? '';
  shown.annotations += objectsIn(text, 'annotations').length;
}

function noteCall(calls: ShownCall[], call: JsonObject): void {
  const shown = (calls[numberIn(call, 'index') ?? 0] ??= { text: '', outputs: 0 });
  const type = stringIn(call, 'type') ?? '';
  const told = objectIn(call, type);
  shown.text += stringIn(told, GROWING[type] ?? '') ?? '';
  shown.outputs += objectsIn(told, 'outputs').length;
}

function lackingParts(message: Message, shown: readonly ShownPart[]): readonly Delta[] {
  const deltas: Delta[] = [];
  const tell = (content: unknown) =>
    deltas.push({ event: 'thread.message.delta', id: message.id, delta: { content: [content] } });
  for (const [index, part] of message.content.entries()) {
    const before = shown[index];
    const lacking = lackingPart(part, index, before);
    if (lacking !== null) tell(lacking);
    if (part.type !== 'text') continue;
    const annotations = part.text.annotations.slice(before?.annotations ?? 0);
    for (const [i, annotation] of annotations.entries()) {
      const at = (before?.annotations ?? 0) + i;
      tell({ index, type: 'text', text: { annotations: [{ index: at, ...annotation }] } });
    }
  }
  return deltas;
}

function lackingPart(part: MessageContent, index: number, before: ShownPart | undefined): unknown {
  switch (part.type) {
    case 'text': {
      const rest = restOf(part.text.value, before?.text);
      if (before === undefined) return { index, type: 'text', text: { value: rest, annotations: [] } };
      return rest === '' ? null : { index, type: 'text', text: { value: rest } };
    }
    case 'refusal': {
      const rest = restOf(part.refusal, before?.text);
      return before !== undefined && rest === '' ? null : { index, type: 'refusal', refusal: rest };
    }
    case 'image_file':
    case 'image_url':
      return before === undefined ? { index, ...part } : null;
  }
}

/** Nothing where the end does not go on from what was told. */
function restOf(whole: string, told: string | undefined): string {
  return told === undefined || whole.startsWith(told) ? whole.slice(told?.length ?? 0) : '';
}

function withoutOutput({ id, type, function: called }: PendingCall): ToolCall {
  return { id, type, function: { ...called, output: null } };
}

function lackingCalls(
  stepId: RunStep['id'],
  calls: readonly ToolCall[],
  shown: readonly ShownCall[],
): readonly Delta[] {
  return calls.flatMap((call, index) =>
    lackingOf(call, shown[index]).map((lacking): Delta => {
      const delta = { step_details: { type: 'tool_calls', tool_calls: [{ index, ...lacking }] } };
      return { event: 'thread.run.step.delta', id: stepId, delta };
    }),
  );
}

/** In pieces, as the live API told them: an array that grows begins empty. */
function lackingOf(call: ToolCall, before: ShownCall | undefined): readonly JsonObject[] {
  const { id, type } = call;
  switch (call.type) {
    case 'function': {
      if (before === undefined) return [{ id, type, function: { ...call.function, output: null } }];
      const rest = restOf(call.function.arguments, before.text);
      return rest === '' ? [] : [{ type, function: { arguments: rest } }];
    }
    case 'code_interpreter': {
      const code = call.code_interpreter;
      const begun = before === undefined ? [{ id, type, code_interpreter: { input: '', outputs: [] } }] : [];
      const rest = restOf(code.input, before?.text);
      const outputs = code.outputs.map((output, index) => ({ index, ...output })).slice(before?.outputs ?? 0);
      return [
        ...begun,
        ...(rest === '' ? [] : [{ type, code_interpreter: { input: rest } }]),
        ...(outputs.length === 0 ? [] : [{ type, code_interpreter: { outputs } }]),
      ];
    }
    case 'file_search':
      return before === undefined ? [{ id, type, file_search: {} }] : [];
  }
}
