// The history as input items of the Responses API. Nothing is stored upstream, so every item stands for itself: no ids of
// messages, reasoning only with its encrypted content, calls only with their answers.
import type { HistoryItem, Message, MessageContent, RunId } from '../domain/assistants.ts';
import { withoutMarkers } from './citations.ts';
import { withoutHalves } from './context.ts';
import { estimateTokens } from './tokens.ts';
import { type JsonObject, objectsIn, stringIn } from './upstream-json.ts';

export interface InputScene {
  /** Hosted calls and reasoning of other runs are not shown again. */
  readonly runId: RunId;
  /** Calls made in another container cannot be shown as calls: the model is told of them instead. */
  readonly containerId: string | null;
  readonly withReasoning: boolean;
  /** From ids of files that we serve to the same files upstream. */
  readonly upstreamFiles: ReadonlyMap<string, string>;
}

/** Results of a search above this are not sent again. */
const RESULTS_TOKENS_MAX = 8_000;
/** The upstream takes no empty input. */
const EMPTY_THREAD: JsonObject = { role: 'developer', content: 'The thread has no messages yet.' };

export function toInput(history: readonly HistoryItem[], scene: InputScene): readonly JsonObject[] {
  const input: JsonObject[] = [];
  let reasoning: { readonly turn: number | null; readonly items: JsonObject[] } = { turn: null, items: [] };
  for (const item of withoutHalves(history)) {
    if (item.kind === 'call' && item.payload.type === 'reasoning') {
      if (!scene.withReasoning || item.runId !== scene.runId) continue;
      if (reasoning.turn !== item.turn) reasoning = { turn: item.turn, items: [] };
      reasoning.items.push(item.payload);
      continue;
    }
    const shown = item.kind === 'message' ? messageItem(item.message, scene) : callItem(item, scene);
    if (shown === null) continue;
    // Reasoning stands before what it led to, or not at all.
    const isLedTo = item.runId === scene.runId && reasoning.turn === item.turn && !isTold(item, shown);
    if (isLedTo) input.push(...reasoning.items);
    if (isLedTo || item.turn !== null) reasoning = { turn: null, items: [] };
    input.push(shown);
  }
  return input.length === 0 ? [EMPTY_THREAD] : input;
}

/** Is this a call that the model is told of in words? */
function isTold(item: HistoryItem, shown: JsonObject): boolean {
  return item.kind === 'call' && shown['type'] !== item.payload.type;
}

function messageItem(message: Message, scene: InputScene): JsonObject | null {
  if (message.role === 'user') {
    const content = message.content.map((part) => userPart(part, scene)).filter((part) => part !== null);
    const files = message.attachments.filter(({ tools }) => tools.some(({ type }) => type === 'code_interpreter'));
    if (files.length > 0)
      content.unshift({ type: 'input_text', text: attachedFiles(files.map((file) => file.file_id)) });
    return content.length === 0 ? null : { role: 'user', content };
  }
  if (message.runId === null) {
    const text = message.content.map((part) => (part.type === 'text' ? part.text.value : '')).join('\n');
    return text === '' ? null : { role: 'assistant', content: text };
  }
  const content = message.content.map((part, i) => assistantPart(part, i, message)).filter((part) => part !== null);
  if (content.length === 0) return null;
  const { phase } = message;
  return { type: 'message', role: 'assistant', content, ...(phase !== undefined && { phase }) };
}

/** The model sees the files in its container; this tells it that they belong to this message. */
function attachedFiles(ids: readonly string[]): string {
  return `[Files attached to this message: ${ids.join(', ')}]`;
}

function userPart(part: MessageContent, { upstreamFiles }: InputScene): JsonObject | null {
  switch (part.type) {
    case 'text':
      return { type: 'input_text', text: part.text.value };
    case 'image_file': {
      const { file_id: id, detail = 'auto' } = part.image_file;
      return { type: 'input_image', file_id: upstreamFiles.get(id) ?? id, detail };
    }
    case 'image_url':
      return { type: 'input_image', image_url: part.image_url.url, detail: part.image_url.detail ?? 'auto' };
    case 'refusal':
      return null;
  }
}

function assistantPart(part: MessageContent, index: number, { markers }: Message): JsonObject | null {
  switch (part.type) {
    case 'text': {
      const own = markers.filter(([of]) => of === index).map(([, start, end]) => [start, end] as const);
      const text = withoutMarkers(part.text.value, own);
      return text === '' ? null : { type: 'output_text', text, annotations: [] };
    }
    case 'image_file':
      return { type: 'output_text', text: imagePlaceholder(part.image_file.file_id), annotations: [] };
    case 'image_url':
      return { type: 'output_text', text: imagePlaceholder(part.image_url.url), annotations: [] };
    case 'refusal':
      return { type: 'refusal', refusal: part.refusal };
  }
}

/** No model takes images in what it said itself. */
export function imagePlaceholder(name: string): string {
  return `[image ${name} shown to the user]`;
}

function callItem(item: Extract<HistoryItem, { kind: 'call' }>, scene: InputScene): JsonObject | null {
  const { payload } = item;
  switch (payload.type) {
    case 'function_call':
    case 'function_call_output':
      return payload;
    case 'file_search_call':
      return item.runId === scene.runId ? searchCall(payload) : null;
    case 'code_interpreter_call':
      if (item.runId !== scene.runId) return null;
      return payload['container_id'] === scene.containerId ? payload : codeAsWords(payload);
    default:
      return null;
  }
}

function searchCall(payload: JsonObject): JsonObject {
  const { results, ...call } = payload;
  const isShort = estimateTokens(JSON.stringify(results ?? null)) <= RESULTS_TOKENS_MAX;
  return isShort ? payload : call;
}

/** What code did in a container that is gone. */
export function codeAsWords(payload: JsonObject): JsonObject {
  const logs = objectsIn(payload, 'outputs').map((output) => stringIn(output, 'logs') ?? '');
  const content = `Earlier in this run you ran this code, in a container that has expired:\n${stringIn(payload, 'code') ?? ''}\n\nIts output:\n${logs.join('\n')}`;
  return { role: 'developer', content };
}
