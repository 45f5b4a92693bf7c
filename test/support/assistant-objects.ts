// Plain objects of the Assistants API, as the store keeps them, for tests that need some.
import type { NewRun } from '../../src/domain/assistant-store.ts';
import type { Assistant, Message, Thread, ThreadId } from '../../src/domain/assistants.ts';
import { type TeamId, newObjectId } from '../../src/domain/id.ts';
import type { RunSpec, RunStep } from '../../src/domain/run.ts';

export const RED: TeamId = 'team_red';
export const BLUE: TeamId = 'team_blue';

export function anAssistant(over: Partial<Assistant> = {}): Assistant {
  return {
    teamId: RED,
    id: newObjectId('asst_'),
    createdAt: 1_750_000_000,
    name: 'Math Tutor',
    description: null,
    model: 'gpt-4o',
    instructions: 'You are a math tutor.',
    tools: [],
    toolResources: {},
    metadata: {},
    temperature: null,
    topP: null,
    responseFormat: 'auto',
    reasoningEffort: null,
    extra: {},
    ...over,
  };
}

export function aThread(over: Partial<Thread> = {}): Thread {
  return {
    teamId: RED,
    id: newObjectId('thread_'),
    createdAt: 1_750_000_000,
    toolResources: {},
    metadata: {},
    container: null,
    containerFiles: [],
    extra: {},
    ...over,
  };
}

export function aMessage(
  thread: { readonly id: ThreadId; readonly teamId: TeamId },
  text: string,
  over: Partial<Message> = {},
): Message {
  const createdAt = over.createdAt ?? 1_750_000_000;
  return {
    teamId: thread.teamId,
    threadId: thread.id,
    id: newObjectId('msg_'),
    createdAt,
    status: 'completed',
    incompleteReason: null,
    completedAt: createdAt,
    incompleteAt: null,
    role: 'user',
    content: [{ type: 'text', text: { value: text, annotations: [] } }],
    attachments: [],
    metadata: {},
    assistantId: null,
    runId: null,
    origin: null,
    markers: [],
    extra: {},
    ...over,
  };
}

export const SPEC: RunSpec = {
  model: 'gpt-4o',
  instructions: 'You are a math tutor.',
  tools: [],
  toolResources: {},
  temperature: null,
  topP: null,
  responseFormat: 'auto',
  reasoningEffort: null,
  maxPromptTokens: null,
  maxCompletionTokens: null,
  truncationStrategy: { type: 'auto' },
  toolChoice: 'auto',
  parallelToolCalls: true,
};

export function aRun(thread: { readonly id: ThreadId; readonly teamId: TeamId }, over: Partial<NewRun> = {}): NewRun {
  return {
    teamId: thread.teamId,
    keyId: 'key_mine',
    thread: thread.id,
    id: newObjectId('run_'),
    assistantId: 'asst_tutor',
    createdAt: 1_750_000_000,
    expiresAt: 1_750_000_600,
    spec: SPEC,
    metadata: {},
    include: [],
    additionalMessages: [],
    ...over,
  };
}

export function aStep(
  run: Pick<RunStep, 'teamId' | 'threadId' | 'assistantId'> & { readonly id: RunStep['runId'] },
  over: Partial<RunStep> = {},
): RunStep {
  return {
    teamId: run.teamId,
    threadId: run.threadId,
    runId: run.id,
    assistantId: run.assistantId,
    id: newObjectId('step_'),
    createdAt: 1_750_000_000,
    status: 'in_progress',
    details: { type: 'tool_calls', tool_calls: [] },
    lastError: null,
    expiredAt: null,
    cancelledAt: null,
    failedAt: null,
    completedAt: null,
    metadata: {},
    usage: null,
    origin: { turn: 1, outIx: 0 },
    extra: {},
    ...over,
  };
}
