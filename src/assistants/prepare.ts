// What a turn asks of the model: budgets looked at, history chosen, files and containers found, and all of it put into a request.
import type { AssistantStore } from '../domain/assistant-store.ts';
import type { HistoryItem, Thread } from '../domain/assistants.ts';
import type { Run, TurnEnd, Usage } from '../domain/run.ts';
import { chatRequest, toChatMessages } from './chat-request.ts';
import { type ContainerChoice, chooseContainer, filesSince, generatedFilesIn, mountFiles } from './containers.ts';
import { readContext } from './context.ts';
import type { EngineSettings } from './engine-settings.ts';
import { storesOf } from './file-search.ts';
import { toInput } from './input.ts';
import { resolveModel } from './models.ts';
import { responsesRequest } from './responses-request.ts';
import { readBytes, type RunCalls } from './run-calls.ts';
import { Searches } from './searches.ts';
import { estimateTokens, promptTokensMax } from './tokens.ts';
import type { Traits } from './traits.ts';
import type { JsonObject } from './upstream-json.ts';

/** Below these nothing useful fits any more: the run ends as incomplete. */
const PROMPT_TOKENS_MIN = 256;
const COMPLETION_TOKENS_MIN = 16;
/** Of an image that a chat takes only whole, bytes. */
const IMAGE_BYTES_MAX = 20 * 1024 * 1024;

export type Prepared =
  | { readonly kind: 'end'; readonly end: TurnEnd }
  | {
      readonly kind: 'ready';
      readonly model: string;
      readonly isChat: boolean;
      readonly path: string;
      readonly body: JsonObject;
      readonly vectorStoreIds: readonly string[];
      /** Of the container that is used again; null where there is none. */
      readonly containerId: string | null;
      readonly searches: Searches;
      /** Estimated, of the history. */
      readonly contextTokens: number;
      /** Nothing more could be left out. */
      readonly isLeastContext: boolean;
      /** Estimated, of the whole request. */
      readonly promptTokens: number;
    };

export interface PrepareParts {
  readonly store: Pick<AssistantStore, 'readHistory' | 'findGeneratedFile' | 'readGeneratedFile' | 'now'>;
  readonly traits: Traits;
  readonly settings: EngineSettings;
}

export interface PrepareTries {
  readonly contextTokensMax: number | null;
  readonly isFreshContainer: boolean;
}

export async function prepareTurn(
  parts: PrepareParts,
  { run, usage }: { readonly run: Run; readonly usage: Usage },
  thread: Thread,
  calls: RunCalls,
  tries: PrepareTries,
): Promise<Prepared> {
  const { spec } = run;
  const model = resolveModel(spec.model, parts.settings.modelAliases);
  const isChat = chatsOnly(parts, model);
  const unserved = isChat ? unservedTool(run.spec.tools) : null;
  if (unserved !== null) return failed(unserved);

  const promptLeft = spec.maxPromptTokens === null ? null : spec.maxPromptTokens - usage.prompt_tokens;
  const completionLeft = spec.maxCompletionTokens === null ? null : spec.maxCompletionTokens - usage.completion_tokens;
  if (promptLeft !== null && promptLeft < PROMPT_TOKENS_MIN) return incomplete('max_prompt_tokens');
  if (completionLeft !== null && completionLeft < COMPLETION_TOKENS_MIN) return incomplete('max_completion_tokens');

  const fixedTokens = estimateTokens(spec.instructions) + estimateTokens(JSON.stringify(spec.tools));
  const roomMax = Math.max(0, Math.min(promptTokensMax(model), promptLeft ?? Infinity) - fixedTokens);
  const context = await readContext(parts.store, run, Math.min(roomMax, tries.contextTokensMax ?? Infinity));
  const isOverBudget = promptLeft !== null && context.tokens + fixedTokens > promptLeft;
  if (!context.fits && isOverBudget) return incomplete('max_prompt_tokens');

  const history = context.items;
  const vectorStoreIds = storesOf(spec, thread);
  const withReasoning = !parts.traits.has(model, 'without_reasoning');
  const upstreamFiles = await upstreamIdsOf(parts, run, history);
  const shared = {
    model,
    spec,
    vectorStoreIds,
    isFirstTurn: !history.some(
      (item) => item.kind === 'call' && item.runId === run.id && item.payload.type !== 'reasoning',
    ),
    outputTokensMax: completionLeft,
    withSampling: !parts.traits.has(model, 'without_sampling'),
  };
  const told = {
    kind: 'ready',
    model,
    isChat,
    vectorStoreIds,
    searches: Searches.of(history),
    contextTokens: context.tokens,
    isLeastContext: !context.fits,
    promptTokens: context.tokens + fixedTokens,
  } as const;

  if (isChat) {
    const images = await imagesFor(parts, run, history, calls);
    if (typeof images === 'string') return failed(images);
    const scene = {
      runId: run.id,
      containerId: null,
      withReasoning: false,
      upstreamFiles,
      instructions: spec.instructions,
      images,
    };
    const messages = toChatMessages(history, scene);
    const body = chatRequest({ ...shared, messages, knowsCompletionTokens: !parts.traits.has(model, 'old_limit') });
    return { ...told, path: '/v1/chat/completions', body, containerId: null };
  }
  const choice = await containerFor(parts, run, thread, history, calls, tries.isFreshContainer, upstreamFiles);
  const input = toInput(history, { runId: run.id, containerId: choice.id, withReasoning, upstreamFiles });
  const body = responsesRequest({
    ...shared,
    threadId: run.threadId,
    input,
    container: choice.container,
    withReasoning,
  });
  return { ...told, path: '/v1/responses', body, containerId: choice.id };
}

export function chatsOnly({ settings, traits }: Pick<PrepareParts, 'settings' | 'traits'>, model: string): boolean {
  return settings.engine === 'chat' || (settings.engine === 'auto' && traits.has(model, 'chat'));
}

/** What callers are told of a tool that an upstream which only chats cannot run; null where there is none. */
export function unservedTool(tools: Run['spec']['tools']): string | null {
  const at = tools.findIndex((tool) => tool.type === 'code_interpreter');
  return at === -1
    ? null
    : `Invalid value for 'tools[${at}]': 'code_interpreter' is not supported by this upstream, which only chats.`;
}

function incomplete(reason: 'max_prompt_tokens' | 'max_completion_tokens'): Prepared {
  return { kind: 'end', end: { status: 'incomplete', reason, usage: null } };
}

function failed(message: string): Prepared {
  return { kind: 'end', end: { status: 'failed', error: { code: 'invalid_prompt', message }, usage: null } };
}

/** Files that we serve are known upstream by another id, where they are known there at all. */
async function upstreamIdsOf(
  { store }: PrepareParts,
  run: Run,
  history: readonly HistoryItem[],
): Promise<ReadonlyMap<string, string>> {
  const found = await Promise.all(generatedFilesIn(history).map((id) => store.findGeneratedFile(run.teamId, id)));
  return new Map(found.flatMap((file) => (file?.upstreamId ? [[file.id, file.upstreamId]] : [])));
}

async function containerFor(
  { store }: PrepareParts,
  run: Run,
  thread: Thread,
  history: readonly HistoryItem[],
  calls: RunCalls,
  isFresh: boolean,
  upstreamFiles: ReadonlyMap<string, string>,
): Promise<ContainerChoice> {
  if (!run.spec.tools.some((tool) => tool.type === 'code_interpreter')) return NO_CONTAINER;
  const own = run.spec.toolResources.code_interpreter?.file_ids ?? [];
  const threads = thread.toolResources.code_interpreter?.file_ids ?? [];
  const fileIds = [...own, ...threads].map((id) => upstreamFiles.get(id) ?? id);
  const choice = chooseContainer(thread, fileIds, store.now(), isFresh);
  if (choice.id === null || thread.container === null) return choice;
  const more = filesSince(history, thread.container).map((id) => upstreamFiles.get(id) ?? id);
  if (more.length === 0 || (await mountFiles(calls, choice.id, more))) return choice;
  return chooseContainer(thread, fileIds, store.now(), true);
}

const NO_CONTAINER: ContainerChoice = { container: '', id: null };

/** A chat takes images only whole. @returns a text where one cannot be had */
async function imagesFor(
  { store }: PrepareParts,
  run: Run,
  history: readonly HistoryItem[],
  calls: RunCalls,
): Promise<ReadonlyMap<string, string> | string> {
  const images = new Map<string, string>();
  for (const item of history) {
    if (item.kind !== 'message' || item.message.role !== 'user') continue;
    for (const part of item.message.content) {
      if (part.type !== 'image_file' || images.has(part.image_file.file_id)) continue;
      const id = part.image_file.file_id;
      const content = await imageContent(store, run, id, calls);
      if (typeof content === 'string') return `The image ${id} could not be read: ${content}`;
      images.set(id, `data:${imageType(content)};base64,${content.toString('base64')}`);
    }
  }
  return images;
}

async function imageContent(
  store: PrepareParts['store'],
  run: Run,
  id: string,
  calls: RunCalls,
): Promise<Buffer | string> {
  const own = id.startsWith('file-') ? await store.findGeneratedFile(run.teamId, id as `file-${string}`) : null;
  if (own !== null) return readBytes(store.readGeneratedFile(run.teamId, own.id), IMAGE_BYTES_MAX).catch(String);
  const called = await calls.bytes(`/v1/files/${id}/content`, IMAGE_BYTES_MAX);
  return called.kind === 'ok'
    ? called.value
    : called.failure.message || `the upstream answered ${called.failure.status}`;
}

/** By the first bytes, for names and types of files are not to be relied on. */
function imageType(content: Buffer): string {
  if (content.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff]))) return 'image/jpeg';
  const start = content.toString('latin1', 0, 12);
  if (start.startsWith('GIF8')) return 'image/gif';
  return start.startsWith('RIFF') && start.endsWith('WEBP') ? 'image/webp' : 'image/png';
}
