// From objects as OpenAI gave them, in whatever state of completeness a dump kept them, to what is kept here.
import { createHash } from 'node:crypto';

import type { z } from 'zod';

import type { FilePart, ImportedItem, ImportedObject } from '../domain/assistant-store.ts';
import type { Assistant, GeneratedFile, Message, Origin, Thread } from '../domain/assistants.ts';
import type { TeamId } from '../domain/id.ts';
import { type Run, type RunStatus, type RunStep, type StepDetails, isTerminal } from '../domain/run.ts';
import {
  type Kept,
  assistantShape,
  bareThreadShape,
  filePartShape,
  fileShape,
  itemShape,
  keptShape,
  messageShape,
  record,
  runShape,
  stepShape,
  threadShape,
} from './import-shapes.ts';

/** What an imported run is counted against: nothing is ever called for it. */
const NO_KEY = 'key_imported';

/** By what a line calls its object, and by what the object calls itself. */
const READERS: Readonly<Record<string, (object: unknown, team: TeamId, kept: Kept) => ImportedObject>> = {
  assistant: (object, team) => ({ kind: 'assistant', object: toAssistant(assistantShape.parse(object), team) }),
  thread: (object, team, kept) => ({ kind: 'thread', object: toThread(threadShape.parse(object), team, kept) }),
  message: (object, team, kept) => ({
    kind: 'message',
    object: toMessage(messageShape.parse(object), team, kept),
    ord: kept.ord,
  }),
  item: (object, team) => ({ kind: 'item', object: toItem(itemShape.parse(object), team) }),
  run: (object, team) => ({ kind: 'run', object: toRun(runShape.parse(object), team) }),
  step: (object, team, kept) => ({ kind: 'step', object: toStep(stepShape.parse(object), team, kept) }),
  file: (object, team, kept) => ({
    kind: 'file',
    object: toFile(fileShape.parse({ ...record.parse(object), ...kept }), team),
    isShared: kept.is_shared ?? false,
  }),
  file_part: (object, team) => ({ kind: 'file_part', object: toFilePart(filePartShape.parse(object), team) }),
};
const KIND_OF_OBJECT: Readonly<Record<string, string>> = {
  assistant: 'assistant',
  thread: 'thread',
  'thread.message': 'message',
  'thread.run': 'run',
  'thread.run.step': 'step',
};

export interface ImportLine {
  /** As the line names it; undefined where it names none. */
  readonly team: string | undefined;
  /** @throws Error that says what is wrong with the object */
  read(team: TeamId, nowSeconds: number): readonly ImportedObject[];
}

/** @throws Error for what is no line of an import */
export function parseLine(text: string): ImportLine {
  const line = record.parse(JSON.parse(text));
  const team = typeof line['team'] === 'string' ? line['team'] : undefined;
  if (Array.isArray(line['messages']))
    return { team, read: (owner, now) => bareThread(bareThreadShape.parse(line), owner, now) };
  const kind = typeof line['type'] === 'string' ? line['type'] : KIND_OF_OBJECT[String(line['object'])];
  const reader = kind === undefined ? undefined : READERS[kind];
  if (reader === undefined) {
    throw new Error(
      'the line is none of {"type":"assistant|thread|message|item|run|step|file|file_part","object":{...}}, an object of OpenAI’s, or {"thread_id","messages":[...]}',
    );
  }
  const object = typeof line['object'] === 'object' ? line['object'] : line;
  return { team, read: (owner) => [reader(object, owner, keptShape.parse(line['kept']))] };
}

function toAssistant(given: z.output<typeof assistantShape>, teamId: TeamId): Assistant {
  const {
    id: own,
    created_at,
    tool_resources,
    top_p,
    response_format,
    reasoning_effort,
    object: _object,
    ...rest
  } = given;
  const { name, description, model, instructions, tools: toolList, metadata: map, temperature, ...extra } = rest;
  return {
    teamId,
    id: own,
    createdAt: created_at,
    name,
    description,
    model,
    instructions,
    tools: toolList,
    toolResources: tool_resources,
    metadata: map,
    temperature,
    topP: top_p,
    responseFormat: response_format,
    reasoningEffort: reasoning_effort,
    extra,
  };
}

function toThread(given: z.output<typeof threadShape>, teamId: TeamId, kept: Kept): Thread {
  const { id: own, created_at, tool_resources, metadata: map, object: _object, ...extra } = given;
  return {
    teamId,
    id: own,
    createdAt: created_at,
    toolResources: tool_resources,
    metadata: map,
    container: null,
    containerFiles: kept.container_files ?? [],
    extra,
  };
}

function toMessage(given: z.output<typeof messageShape>, teamId: TeamId, kept: Kept): Message {
  const { id: own, created_at, thread_id, status, incomplete_details, completed_at, incomplete_at, ...rest } = given;
  const {
    role: by,
    content: parts,
    attachments,
    metadata: map,
    assistant_id,
    run_id,
    object: _object,
    ...extra
  } = rest;
  // What was being written when the dump was made will never be complete.
  const isCut = status === 'in_progress' || status === 'incomplete';
  return {
    teamId,
    threadId: thread_id,
    id: own,
    createdAt: created_at,
    status: isCut ? 'incomplete' : 'completed',
    incompleteReason: isCut ? ((incomplete_details?.reason ?? 'run_expired') as Message['incompleteReason']) : null,
    completedAt: isCut ? null : (completed_at ?? created_at),
    incompleteAt: isCut ? (incomplete_at ?? created_at) : null,
    role: by,
    content: parts,
    attachments: (attachments ?? []).map((attachment) => ({ ...attachment, tools: attachment.tools ?? [] })),
    metadata: map,
    assistantId: assistant_id,
    runId: run_id,
    origin: toOrigin(kept),
    markers: kept.markers ?? [],
    ...(kept.phase !== undefined && { phase: kept.phase }),
    extra,
  };
}

function toOrigin({ origin }: Kept): Origin | null {
  return origin === undefined ? null : { turn: origin.turn, outIx: origin.out_ix };
}

function toItem(given: z.output<typeof itemShape>, teamId: TeamId): ImportedItem {
  const { thread_id, run_id, ord, turn, out_ix, payload } = given;
  return { teamId, threadId: thread_id, runId: run_id, ord, turn, outIx: out_ix, payload };
}

function toFile(given: z.output<typeof fileShape>, teamId: TeamId): GeneratedFile {
  const { id: own, bytes, created_at, filename, thread_id, run_id, upstream_id } = given;
  return {
    teamId,
    id: own,
    filename,
    bytes,
    createdAt: created_at,
    threadId: thread_id,
    runId: run_id,
    upstreamId: upstream_id ?? null,
  };
}

function toFilePart({ file_id, part, content }: z.output<typeof filePartShape>, teamId: TeamId): FilePart {
  return { teamId, fileId: file_id, part, content: Buffer.from(content, 'base64') };
}

function toRun(given: z.output<typeof runShape>, teamId: TeamId): Omit<Run, 'ref'> {
  const {
    id: own,
    created_at,
    thread_id,
    assistant_id,
    last_error,
    expires_at,
    started_at,
    cancelled_at,
    ...rest
  } = given;
  const {
    failed_at,
    completed_at,
    incomplete_details,
    model,
    instructions,
    tools: toolList,
    tool_resources,
    ...spec
  } = rest;
  const { temperature, top_p, max_prompt_tokens, max_completion_tokens, truncation_strategy, tool_choice, ...more } =
    spec;
  const {
    parallel_tool_calls,
    response_format,
    reasoning_effort,
    status,
    usage: used,
    metadata: map,
    ...others
  } = more;
  const { required_action: _action, object: _object, ...extra } = others;
  const ended = endedStatus(status);
  return {
    teamId,
    keyId: NO_KEY,
    threadId: thread_id,
    assistantId: assistant_id,
    id: own,
    createdAt: created_at,
    status: ended,
    spec: {
      model,
      instructions: instructions ?? '',
      tools: toolList,
      toolResources: tool_resources,
      temperature,
      topP: top_p,
      responseFormat: response_format,
      reasoningEffort: reasoning_effort,
      maxPromptTokens: max_prompt_tokens,
      maxCompletionTokens: max_completion_tokens,
      truncationStrategy: (truncation_strategy ?? { type: 'auto' }) as Run['spec']['truncationStrategy'],
      toolChoice: (tool_choice ?? 'auto') as Run['spec']['toolChoice'],
      parallelToolCalls: parallel_tool_calls ?? true,
    },
    pendingCalls: null,
    lastError: (last_error ?? null) as Run['lastError'],
    incompleteReason: (incomplete_details?.reason ?? null) as Run['incompleteReason'],
    usage: used,
    startedAt: started_at,
    expiresAt: expires_at ?? created_at + 600,
    cancelledAt: ended === 'cancelled' ? (cancelled_at ?? created_at) : null,
    failedAt: failed_at,
    completedAt: completed_at,
    metadata: map,
    include: [],
    turn: 0,
    reruns: 0,
    fence: 0,
    extra,
  };
}

/** A run that was active when the dump was made has no worker any more. */
function endedStatus(status: RunStatus): RunStatus {
  if (isTerminal(status)) return status;
  return status === 'cancelling' ? 'cancelled' : 'expired';
}

function toStep(given: z.output<typeof stepShape>, teamId: TeamId, kept: Kept): RunStep {
  const { id: own, created_at, thread_id, run_id, assistant_id, status, step_details, last_error, ...rest } = given;
  const {
    expired_at,
    cancelled_at,
    failed_at,
    completed_at,
    metadata: map,
    usage: used,
    type: _type,
    object: _object,
    ...extra
  } = rest;
  const isOpen = status === 'in_progress';
  return {
    teamId,
    threadId: thread_id,
    runId: run_id,
    assistantId: assistant_id,
    id: own,
    createdAt: created_at,
    status: isOpen ? 'expired' : status,
    details: step_details as unknown as StepDetails,
    lastError: (last_error ?? null) as RunStep['lastError'],
    expiredAt: isOpen ? created_at : expired_at,
    cancelledAt: cancelled_at,
    failedAt: failed_at,
    completedAt: completed_at,
    metadata: map,
    usage: used,
    origin: toOrigin(kept),
    extra,
  };
}

/** Its messages get ids that depend on nothing but themselves, so that a second import finds them again. */
function bareThread(
  { thread_id, created_at, metadata: map, messages }: z.output<typeof bareThreadShape>,
  teamId: TeamId,
  now: number,
): ImportedObject[] {
  const createdAt = created_at ?? messages.find((message) => message.created_at !== undefined)?.created_at ?? now;
  const thread = threadShape.parse({ id: thread_id, created_at: createdAt, metadata: map });
  let last = createdAt;
  const objects: ImportedObject[] = messages.map((message, i) => {
    last = message.created_at ?? last;
    const digest = createHash('sha256')
      .update(JSON.stringify([thread_id, i, message.role, message.content]))
      .digest('base64url');
    const own = message.id ?? `msg_${digest.replaceAll(/[-_]/g, '0').slice(0, 24)}`;
    const shape = { ...message, id: own, thread_id, created_at: last };
    return { kind: 'message', object: toMessage(messageShape.parse(shape), teamId, {}) };
  });
  return [{ kind: 'thread', object: toThread(thread, teamId, {}) }, ...objects];
}
