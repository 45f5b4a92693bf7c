// What a run asks of an upstream that only chats: the history as chat messages, the tools as functions. File search becomes a
// function that the gateway answers itself; code cannot be run there, and runs that need it are refused before they begin.
import type { HistoryItem, Message, ResponseFormat } from '../domain/assistants.ts';
import type { RunSpec, ToolChoice } from '../domain/run.ts';
import { withoutMarkers } from './citations.ts';
import { withoutHalves } from './context.ts';
import { type InputScene, codeAsWords, imagePlaceholder } from './input.ts';
import type { TurnRequest } from './responses-request.ts';
import { type JsonObject, numberIn, objectsIn, stringIn, stringsIn } from './upstream-json.ts';

/** The name by which the model asks for the gateway's own search. */
export const SEARCH_FUNCTION = 'file_search';

const SEARCH_TOOL: JsonObject = {
  type: 'function',
  function: {
    name: SEARCH_FUNCTION,
    description:
      'Searches the files of this conversation. Cite what you use by writing the marker of its result, such as 【0:1†name】, right behind it.',
    parameters: {
      type: 'object',
      properties: {
        queries: { type: 'array', items: { type: 'string' }, minItems: 1, description: 'What to look for.' },
      },
      required: ['queries'],
      additionalProperties: false,
    },
  },
};

export interface ChatRequest extends Omit<TurnRequest, 'input' | 'container' | 'threadId' | 'withReasoning'> {
  readonly messages: readonly JsonObject[];
  /** False for servers that know the older name only. */
  readonly knowsCompletionTokens: boolean;
}

export function chatRequest(request: ChatRequest): JsonObject {
  const { model, spec, messages, outputTokensMax, withSampling, isFirstTurn, vectorStoreIds } = request;
  const tools = chatTools(spec, vectorStoreIds);
  const choice = tools.length === 0 ? null : toolChoice(spec.toolChoice, isFirstTurn, tools);
  const format = responseFormat(spec.responseFormat);
  return {
    model,
    ...(tools.length > 0 && { tools }),
    ...(choice !== null && { tool_choice: choice }),
    // Told only where it is not the default: not every server knows it.
    ...(tools.length > 0 && !spec.parallelToolCalls && { parallel_tool_calls: false }),
    ...(format !== null && { response_format: format }),
    ...(withSampling && spec.temperature !== null && { temperature: spec.temperature }),
    ...(withSampling && spec.topP !== null && { top_p: spec.topP }),
    ...(spec.reasoningEffort !== null && { reasoning_effort: spec.reasoningEffort }),
    ...(outputTokensMax !== null && {
      [request.knowsCompletionTokens ? 'max_completion_tokens' : 'max_tokens']: outputTokensMax,
    }),
    stream: true,
    stream_options: { include_usage: true },
    messages,
  };
}

function chatTools(spec: RunSpec, stores: readonly string[]): readonly JsonObject[] {
  const tools: JsonObject[] = [];
  for (const tool of spec.tools) {
    if (tool.type === 'file_search' && stores.length > 0) tools.push(SEARCH_TOOL);
    if (tool.type !== 'function') continue;
    const { name, description, parameters, strict } = tool.function;
    const told = {
      name,
      ...(description !== undefined && { description }),
      parameters: parameters ?? { type: 'object', properties: {} },
    };
    tools.push({ type: 'function', function: strict === true ? { ...told, strict } : told });
  }
  return tools;
}

function toolChoice(choice: ToolChoice, isFirstTurn: boolean, tools: readonly JsonObject[]): unknown {
  if (choice === 'auto' || (choice !== 'none' && !isFirstTurn)) return null;
  if (choice === 'none' || choice === 'required') return choice;
  if (choice.type === 'function') return choice;
  return choice.type === 'file_search' && tools.includes(SEARCH_TOOL)
    ? { type: 'function', function: { name: SEARCH_FUNCTION } }
    : null;
}

function responseFormat(format: ResponseFormat): JsonObject | null {
  return format === 'auto' || format.type === 'text' ? null : { ...format };
}

export interface ChatScene extends InputScene {
  readonly instructions: string;
  /** Images by the id of their file: a chat takes none by id. */
  readonly images: ReadonlyMap<string, string>;
}

interface AssistantTurn extends Record<string, unknown> {
  role: 'assistant';
  content: string | null;
  tool_calls?: JsonObject[];
}

export function toChatMessages(history: readonly HistoryItem[], scene: ChatScene): readonly JsonObject[] {
  const messages: JsonObject[] = scene.instructions === '' ? [] : [{ role: 'system', content: scene.instructions }];
  /** The model's last turn of speech, while what follows may belong to it. */
  let speech: { readonly turn: number | null; readonly told: AssistantTurn } | null = null;
  /** Answers that are known already. They stand behind all calls of their turn, before anything else. */
  let answers: JsonObject[] = [];
  const answer = () => {
    messages.push(...answers);
    answers = [];
  };

  const speak = (turn: number | null, text: string | null, call: JsonObject | null) => {
    const goesOn = speech !== null && turn !== null && speech.turn === turn && messages.at(-1) === speech.told;
    if (!goesOn || speech === null) {
      answer();
      speech = { turn, told: { role: 'assistant', content: null } };
      messages.push(speech.told);
    }
    const { told } = speech;
    if (text !== null) told.content = told.content === null ? text : `${told.content}\n${text}`;
    if (call !== null) told.tool_calls = [...(told.tool_calls ?? []), call];
  };

  for (const item of withoutHalves(history)) {
    if (item.kind === 'message') {
      const told = item.message.role === 'user' ? userMessage(item.message, scene) : null;
      answer();
      if (told !== null) messages.push(told);
      if (item.message.role === 'user') continue;
      const text = assistantText(item.message);
      // A word behind a call belongs before its answers: chats take those right behind the calls alone.
      if (text !== '') speak(item.turn, text, null);
      continue;
    }
    const { payload } = item;
    const isOwn = item.runId === scene.runId;
    if (payload.type === 'function_call') {
      const call = { name: stringIn(payload, 'name') ?? '', arguments: stringIn(payload, 'arguments') ?? '' };
      speak(item.turn, null, { id: payload['call_id'], type: 'function', function: call });
    } else if (payload.type === 'function_call_output') {
      answer();
      messages.push({ role: 'tool', tool_call_id: payload['call_id'], content: stringIn(payload, 'output') ?? '' });
    } else if (payload.type === 'file_search_call' && isOwn) {
      const asked = { name: SEARCH_FUNCTION, arguments: JSON.stringify({ queries: stringsIn(payload, 'queries') }) };
      speak(item.turn, null, { id: payload['id'], type: 'function', function: asked });
      answers.push({ role: 'tool', tool_call_id: payload['id'], content: foundText(payload) });
    } else if (payload.type === 'code_interpreter_call' && isOwn) {
      answer();
      messages.push({ ...codeAsWords(payload), role: 'system' });
    }
  }
  answer();
  return messages.some(({ role }) => role !== 'system') ? messages : [...messages, EMPTY_THREAD];
}

const EMPTY_THREAD: JsonObject = { role: 'user', content: '(The thread has no messages yet.)' };

function userMessage({ content }: Message, { images }: ChatScene): JsonObject | null {
  const parts: JsonObject[] = [];
  for (const part of content) {
    if (part.type === 'text') parts.push({ type: 'text', text: part.text.value });
    if (part.type === 'image_url') parts.push({ type: 'image_url', image_url: part.image_url });
    if (part.type !== 'image_file') continue;
    const { file_id: id, detail = 'auto' } = part.image_file;
    parts.push({ type: 'image_url', image_url: { url: images.get(id) ?? '', detail } });
  }
  if (parts.length === 0) return null;
  // Servers that know only text take only a string.
  const isPlain = parts.every(({ type }) => type === 'text');
  return { role: 'user', content: isPlain ? parts.map((part) => stringIn(part, 'text')).join('\n') : parts };
}

function assistantText({ content, markers }: Message): string {
  const texts = content.map((part, i) => {
    switch (part.type) {
      case 'text':
        return withoutMarkers(
          part.text.value,
          markers.filter(([of]) => of === i).map(([, start, end]) => [start, end] as const),
        );
      case 'refusal':
        return part.refusal;
      case 'image_file':
        return imagePlaceholder(part.image_file.file_id);
      case 'image_url':
        return imagePlaceholder(part.image_url.url);
    }
  });
  return texts.filter((text) => text !== '').join('\n');
}

function foundText(payload: JsonObject): string {
  const results = objectsIn(payload, 'results').map((result) => {
    const score = numberIn(result, 'score') ?? 0;
    return `${stringIn(result, 'marker') ?? ''} (score ${score.toFixed(2)})\n${stringIn(result, 'text') ?? ''}`;
  });
  return results.length === 0 ? 'Nothing was found.' : results.join('\n\n');
}
