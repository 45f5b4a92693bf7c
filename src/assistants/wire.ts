// Objects as callers see them.
import type { Assistant, Message, Thread } from '../domain/assistants.ts';
import { type Run, type RunStep, type ToolCall, isTerminal } from '../domain/run.ts';

/** What `include[]` may name: the text that a file search found. */
export const SEARCH_CONTENT = 'step_details.tool_calls[*].file_search.results[*].content';

export function assistantObject(assistant: Assistant) {
  return {
    ...assistant.extra,
    id: assistant.id,
    object: 'assistant',
    created_at: assistant.createdAt,
    name: assistant.name,
    description: assistant.description,
    model: assistant.model,
    instructions: assistant.instructions,
    tools: assistant.tools,
    tool_resources: assistant.toolResources,
    metadata: assistant.metadata,
    temperature: assistant.temperature ?? 1,
    top_p: assistant.topP ?? 1,
    response_format: assistant.responseFormat,
    ...(assistant.reasoningEffort !== null && { reasoning_effort: assistant.reasoningEffort }),
  };
}

export function threadObject(thread: Thread) {
  return {
    ...thread.extra,
    id: thread.id,
    object: 'thread',
    created_at: thread.createdAt,
    tool_resources: thread.toolResources,
    metadata: thread.metadata,
  };
}

export function messageObject(message: Message) {
  return {
    ...message.extra,
    id: message.id,
    object: 'thread.message',
    created_at: message.createdAt,
    thread_id: message.threadId,
    status: message.status,
    incomplete_details: message.incompleteReason === null ? null : { reason: message.incompleteReason },
    completed_at: message.completedAt,
    incomplete_at: message.incompleteAt,
    role: message.role,
    content: message.content,
    assistant_id: message.assistantId,
    run_id: message.runId,
    attachments: message.attachments,
    metadata: message.metadata,
  };
}

export function runObject(run: Omit<Run, 'ref'>) {
  const { spec } = run;
  return {
    ...run.extra,
    id: run.id,
    object: 'thread.run',
    created_at: run.createdAt,
    assistant_id: run.assistantId,
    thread_id: run.threadId,
    status: run.status,
    started_at: run.startedAt,
    // A run that has ended in time does not expire any more.
    expires_at: isTerminal(run.status) && run.status !== 'expired' ? null : run.expiresAt,
    cancelled_at: run.cancelledAt,
    failed_at: run.failedAt,
    completed_at: run.completedAt,
    required_action:
      run.pendingCalls === null
        ? null
        : { type: 'submit_tool_outputs', submit_tool_outputs: { tool_calls: run.pendingCalls } },
    last_error: run.lastError,
    model: spec.model,
    instructions: spec.instructions,
    tools: spec.tools,
    tool_resources: spec.toolResources,
    metadata: run.metadata,
    temperature: spec.temperature ?? 1,
    top_p: spec.topP ?? 1,
    max_completion_tokens: spec.maxCompletionTokens,
    max_prompt_tokens: spec.maxPromptTokens,
    truncation_strategy: { last_messages: null, ...spec.truncationStrategy },
    incomplete_details: run.incompleteReason === null ? null : { reason: run.incompleteReason },
    usage: isTerminal(run.status) ? run.usage : null,
    response_format: spec.responseFormat,
    tool_choice: spec.toolChoice,
    parallel_tool_calls: spec.parallelToolCalls,
    ...(spec.reasoningEffort !== null && { reasoning_effort: spec.reasoningEffort }),
  };
}

/** @param include what the caller asked for with `include[]` */
export function stepObject(step: RunStep, include: readonly string[]) {
  const hasContent = include.includes(SEARCH_CONTENT);
  const { details } = step;
  return {
    ...step.extra,
    id: step.id,
    object: 'thread.run.step',
    created_at: step.createdAt,
    run_id: step.runId,
    assistant_id: step.assistantId,
    thread_id: step.threadId,
    type: details.type,
    status: step.status,
    cancelled_at: step.cancelledAt,
    completed_at: step.completedAt,
    expired_at: step.expiredAt,
    failed_at: step.failedAt,
    last_error: step.lastError,
    step_details:
      details.type === 'message_creation' || hasContent
        ? details
        : { ...details, tool_calls: details.tool_calls.map(withoutContent) },
    usage: step.status === 'in_progress' ? null : step.usage,
    metadata: step.metadata,
  };
}

function withoutContent(call: ToolCall): ToolCall {
  if (call.type !== 'file_search' || call.file_search.results === undefined) return call;
  const results = call.file_search.results.map(({ content: _content, ...result }) => result);
  return { ...call, file_search: { ...call.file_search, results } };
}

export function listObject<T extends { readonly id: string }>(data: readonly T[], hasMore: boolean) {
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: hasMore };
}

export function deletedObject(id: string, object: 'assistant.deleted' | 'thread.deleted' | 'thread.message.deleted') {
  return { id, object, deleted: true };
}
