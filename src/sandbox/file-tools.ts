// Calls of file_search and code_interpreter in responses, which aimock's fixtures cannot make: put before the message that it
// writes, whose text then tells what was found and cites it.
import { solveEquation } from './equation.ts';
import { redDot } from './fixtures.ts';
import { countTokens } from './tokens.ts';
import type { FoundFile, VectorStores } from './vector-stores.ts';

type Json = Readonly<Record<string, unknown>>;

/** A reply of aimock's to one request, with what its tools did. */
export interface FileToolUse {
  /** What is sent in place of one event. */
  events(event: Json): readonly Json[];
  /** What is sent in place of a response in one piece. */
  whole(response: Json): Json;
}

interface Asked {
  readonly input?: string | readonly { readonly type?: string; readonly role?: string; readonly content?: unknown }[];
  readonly tools?: readonly FileTool[];
  readonly tool_choice?: 'none' | 'auto' | 'required' | { readonly type?: string };
  readonly include?: readonly string[];
}

interface FileTool {
  readonly type: string;
  readonly vector_store_ids?: readonly string[];
  readonly max_num_results?: number;
  readonly container?: unknown;
}

/** What a tool did: the output item of its call, and what the answer says of it. */
interface ToolResult {
  readonly call: Json;
  readonly remark: string;
  readonly annotations: readonly Json[];
}

/** Characters of a file that the answer repeats. */
const QUOTE_CHARACTERS_MAX = 200;
const RESULTS_DEFAULT = 10;

let made = 0;

/** Null for a request that is answered without such a tool. */
export function useFileTool(asked: Asked, stores: Pick<VectorStores, 'search'>): FileToolUse | null {
  const question = questionOf(asked.input);
  const tool = toolToUse(asked, question);
  if (tool === undefined) return null;
  const result =
    tool.type === 'file_search' ? searchFiles(tool, question, asked, stores) : runCode(tool, question, asked);
  return addedTo(result);
}

/** The first one offered, or the one that is named, as with functions: not for an equation, and not when outputs came in. */
function toolToUse({ tools = [], tool_choice: choice = 'auto', input }: Asked, question: string): FileTool | undefined {
  const last = typeof input === 'object' ? input.at(-1) : undefined;
  if (choice === 'none' || last?.type === 'function_call_output') return undefined;
  const fileTools = tools.filter(({ type }) => type === 'file_search' || type === 'code_interpreter');
  if (typeof choice === 'object') return fileTools.find(({ type }) => type === choice.type);
  return choice === 'required' || solveEquation(question) === undefined ? fileTools[0] : undefined;
}

function questionOf(input: Asked['input']): string {
  if (typeof input !== 'object') return input ?? '';
  const content = input.findLast(({ role }) => role === 'user')?.content;
  if (!Array.isArray(content)) return typeof content === 'string' ? content : '';
  return content.map((part: { text?: string }) => part.text ?? '').join('');
}

function searchFiles(
  tool: FileTool,
  question: string,
  { include }: Asked,
  stores: Pick<VectorStores, 'search'>,
): ToolResult {
  const found = stores.search(tool.vector_store_ids ?? [], question).slice(0, tool.max_num_results ?? RESULTS_DEFAULT);
  const results = found.map(({ id, filename, score, text }) => ({
    file_id: id,
    filename,
    score,
    attributes: {},
    text,
  }));
  const [best] = found;
  return {
    call: {
      type: 'file_search_call',
      id: nextId('fs'),
      status: 'completed',
      queries: [question],
      results: include?.includes('file_search_call.results') ? results : null,
    },
    remark: best === undefined ? ' The search found no file.' : ` The search found ${quoted(best)}`,
    annotations: best === undefined ? [] : [{ type: 'file_citation', file_id: best.id, filename: best.filename }],
  };
}

function quoted({ filename, text }: FoundFile): string {
  return `${filename}: "${text.trim().slice(0, QUOTE_CHARACTERS_MAX)}"`;
}

function runCode({ container }: FileTool, question: string, { include }: Asked): ToolResult {
  const printed = 'This is the Throughway sandbox.';
  const wantsImage = /\b(plot|chart|graph|draw|image|picture)\b/i.test(question);
  const outputs = [
    { type: 'logs', logs: `${printed}\n` },
    ...(wantsImage ? [{ type: 'image', url: `data:image/png;base64,${redDot()}` }] : []),
  ];
  return {
    call: {
      type: 'code_interpreter_call',
      id: nextId('ci'),
      status: 'completed',
      code: `print("${printed}")`,
      container_id: typeof container === 'string' ? container : 'cntr_sandbox',
      outputs: include?.includes('code_interpreter_call.outputs') ? outputs : null,
    },
    remark: ` The code printed: ${printed}`,
    annotations: [],
  };
}

function nextId(prefix: string): string {
  return `${prefix}_sandbox${(made += 1)}`;
}

function addedTo(result: ToolResult): FileToolUse {
  /** Where the message stands in aimock's own reply; the call takes its place. */
  let messageIndex: number | null = null;
  return {
    events(event) {
      const item = event['item'] as Json | undefined;
      const index = event['output_index'];
      if (messageIndex === null && event['type'] === 'response.output_item.added' && item?.['type'] === 'message') {
        messageIndex = Number(index);
        return [...callEvents(result.call, messageIndex), moved(event)];
      }
      if (event['type'] === 'response.completed') {
        return [{ ...event, response: completed(event['response'] as Json, result) }];
      }
      if (messageIndex === null || Number(index) < messageIndex) return [event];
      if (event['type'] === 'response.output_text.done') return textEnd(moved(event), result);
      const part = event['part'] as Json | undefined;
      if (event['type'] === 'response.content_part.done')
        return [{ ...moved(event), part: toldPart(part ?? {}, result) }];
      if (event['type'] === 'response.output_item.done')
        return [{ ...moved(event), item: toldItem(item ?? {}, result) }];
      return [moved(event)];
    },
    whole: (response) => completed(response, result),
  };
}

function moved(event: Json): Json {
  return { ...event, output_index: Number(event['output_index']) + 1 };
}

function callEvents(call: Json, index: number): Json[] {
  const at = { output_index: index, item_id: call['id'] };
  const isSearch = call['type'] === 'file_search_call';
  const begun = isSearch ? { results: null } : { code: '', outputs: null };
  const kind = String(call['type']);
  return [
    { type: 'response.output_item.added', output_index: index, item: { ...call, ...begun, status: 'in_progress' } },
    { type: `response.${kind}.in_progress`, ...at },
    ...(isSearch
      ? [{ type: `response.${kind}.searching`, ...at }]
      : [
          { type: `response.${kind}_code.delta`, ...at, delta: call['code'] },
          { type: `response.${kind}_code.done`, ...at, code: call['code'] },
          { type: `response.${kind}.interpreting`, ...at },
        ]),
    { type: `response.${kind}.completed`, ...at },
    { type: 'response.output_item.done', output_index: index, item: call },
  ];
}

/** The remark as a last delta, its citations, and the end of the text that now has it. */
function textEnd(event: Json, { remark, annotations }: ToolResult): Json[] {
  const { item_id, output_index, content_index } = event;
  const at = { item_id, output_index, content_index };
  const text = `${String(event['text'])}${remark}`;
  return [
    { type: 'response.output_text.delta', ...at, delta: remark },
    ...annotations.map((annotation, annotation_index) => ({
      type: 'response.output_text.annotation.added',
      ...at,
      annotation_index,
      annotation: { ...annotation, index: text.length },
    })),
    { ...event, text },
  ];
}

function toldPart(part: Json, { remark, annotations }: ToolResult): Json {
  if (part['type'] !== 'output_text') return part;
  const text = `${String(part['text'])}${remark}`;
  return { ...part, text, annotations: annotations.map((annotation) => ({ ...annotation, index: text.length })) };
}

function toldItem(item: Json, result: ToolResult): Json {
  if (item['type'] !== 'message') return item;
  return { ...item, content: (item['content'] as Json[]).map((part) => toldPart(part, result)) };
}

/** Unchanged where no message came: a function is called first. */
function completed(response: Json, result: ToolResult): Json {
  const output = (response['output'] as Json[] | undefined) ?? [];
  const at = output.findIndex(({ type }) => type === 'message');
  if (at < 0) return response;
  const usage = response['usage'] as Record<'input_tokens' | 'output_tokens' | 'total_tokens', number>;
  const tokens = countTokens(result.remark);
  return {
    ...response,
    output: [...output.slice(0, at), result.call, ...output.slice(at).map((item) => toldItem(item, result))],
    usage: { ...usage, output_tokens: usage.output_tokens + tokens, total_tokens: usage.total_tokens + tokens },
  };
}
