// A run of an assistant on a thread: its states as data, what it was asked to do, its steps, and the events that tell of it.
import type {
  AssistantId,
  HistoryPayload,
  Message,
  MessageIncompleteReason,
  Metadata,
  Origin,
  ReasoningEffort,
  ResponseFormat,
  RunId,
  StepId,
  Thread,
  ThreadId,
  Tool,
  ToolResources,
  UnixSeconds,
} from './assistants.ts';
import type { KeyId, TeamId } from './id.ts';

/** From each state to the states that may follow it. A state that nothing follows is terminal. */
export const RUN_TRANSITIONS = {
  queued: ['in_progress', 'cancelling', 'expired', 'failed'],
  in_progress: ['requires_action', 'cancelling', 'completed', 'incomplete', 'failed', 'expired'],
  requires_action: ['queued', 'cancelling', 'expired'],
  cancelling: ['cancelled', 'expired'],
  completed: [],
  incomplete: [],
  failed: [],
  cancelled: [],
  expired: [],
} as const satisfies Record<string, readonly string[]>;

export type RunStatus = keyof typeof RUN_TRANSITIONS;
export type ActiveStatus = 'queued' | 'in_progress' | 'requires_action' | 'cancelling';
export type TerminalStatus = Exclude<RunStatus, ActiveStatus>;

/** While a run is in one of these, its thread takes no message and no other run. The store's unique index names the same. */
export const ACTIVE_STATUSES = ['queued', 'in_progress', 'requires_action', 'cancelling'] as const;
/** Those from which a caller may ask for a cancel. */
export const CANCELLABLE_STATUSES = ['queued', 'in_progress', 'requires_action'] as const;

export function isTerminal(status: RunStatus): status is TerminalStatus {
  return RUN_TRANSITIONS[status].length === 0;
}

/**
 * A message whose last words nobody knows any more. Its readers may have been told some that were never written, and openai-python
 * then looks for the part that they stood in: where nothing was written, an empty text takes that place.
 */
export function brokenOff(message: Message, reason: MessageIncompleteReason, at: UnixSeconds): Message {
  const content =
    message.content.length > 0 ? message.content : [{ type: 'text', text: { value: '', annotations: [] } } as const];
  return { ...message, content, status: 'incomplete', incompleteReason: reason, incompleteAt: at };
}

/** What is told of a step that is over before anything was: all of it at once, as if it happened now. */
export function eventsOf(step: RunStep, message: Message | undefined): readonly RunEvent[] {
  const begun: RunStep = { ...step, status: 'in_progress', completedAt: null, usage: null };
  const empty: RunStep =
    step.details.type === 'tool_calls' ? { ...begun, details: { type: 'tool_calls', tool_calls: [] } } : begun;
  const events: RunEvent[] = [
    { event: 'thread.run.step.created', step: empty },
    { event: 'thread.run.step.in_progress', step: empty },
  ];
  if (message !== undefined) {
    const unsaid: Message = {
      ...message,
      status: 'in_progress',
      content: [],
      completedAt: null,
      attachments: [],
      markers: [],
    };
    events.push(
      { event: 'thread.message.created', message: unsaid },
      { event: 'thread.message.in_progress', message: unsaid },
      { event: 'thread.message.completed', message },
    );
  }
  return [...events, { event: 'thread.run.step.completed', step }];
}

export type TruncationStrategy =
  | { readonly type: 'auto' }
  | { readonly type: 'last_messages'; readonly last_messages: number };

export type ToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | { readonly type: 'function'; readonly function: { readonly name: string } }
  | { readonly type: 'code_interpreter' }
  | { readonly type: 'file_search' };

/** What the run does, fixed at its creation: a later change of the assistant does not reach it. */
export interface RunSpec {
  readonly model: string;
  /** The assistant's or the override, with the additional instructions behind a blank line; '' where there are none. */
  readonly instructions: string;
  readonly tools: readonly Tool[];
  /** The assistant's, or those that creating thread and run together named. The thread's own are read at each turn. */
  readonly toolResources: ToolResources;
  /** Null: set by neither assistant nor run, so not to be sent to a model. */
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly responseFormat: ResponseFormat;
  readonly reasoningEffort: ReasoningEffort | null;
  readonly maxPromptTokens: number | null;
  readonly maxCompletionTokens: number | null;
  readonly truncationStrategy: TruncationStrategy;
  readonly toolChoice: ToolChoice;
  readonly parallelToolCalls: boolean;
}

/** In the words of the wire. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_token_details?: { readonly cached_tokens: number };
  readonly completion_tokens_details?: { readonly reasoning_tokens: number };
}

export interface RunError {
  readonly code: 'server_error' | 'rate_limit_exceeded' | 'invalid_prompt';
  readonly message: string;
}

export interface PendingCall {
  /** The upstream's call id: what the outputs are submitted under. */
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** The store's own name of a run; nothing outside reads a meaning into it. */
export type RunRef = number & { readonly brand: 'RunRef' };

export interface Run {
  readonly ref: RunRef;
  readonly teamId: TeamId;
  /** The virtual key that created it: every model call of the run is its exchange. */
  readonly keyId: KeyId;
  readonly threadId: ThreadId;
  readonly assistantId: AssistantId;
  readonly id: RunId;
  readonly createdAt: UnixSeconds;
  readonly status: RunStatus;
  readonly spec: RunSpec;
  /** The calls that wait for outputs; null in every state but requires_action. */
  readonly pendingCalls: readonly PendingCall[] | null;
  readonly lastError: RunError | null;
  readonly incompleteReason: 'max_completion_tokens' | 'max_prompt_tokens' | null;
  /** Summed over the turns so far. Callers are shown it only when the run is terminal. */
  readonly usage: Usage | null;
  readonly startedAt: UnixSeconds | null;
  readonly expiresAt: UnixSeconds;
  readonly cancelledAt: UnixSeconds | null;
  readonly failedAt: UnixSeconds | null;
  readonly completedAt: UnixSeconds | null;
  readonly metadata: Metadata;
  /** `include[]` of its creation. */
  readonly include: readonly string[];
  /** Turns begun so far, broken ones included; 0 before the first. */
  readonly turn: number;
  /** How often in a row a turn was begun again after its worker was lost. */
  readonly reruns: number;
  /** Grows with every claim: whoever holds an older one writes nothing any more. */
  readonly fence: number;
  readonly extra: Readonly<Record<string, unknown>>;
}

/** The right to write to a run, as given by a claim. */
export interface Lease {
  readonly run: RunRef;
  readonly fence: number;
}

export type StepStatus = 'in_progress' | 'cancelled' | 'failed' | 'completed' | 'expired';

/** In the words of the wire. */
export type StepDetails =
  | { readonly type: 'message_creation'; readonly message_creation: { readonly message_id: string } }
  | { readonly type: 'tool_calls'; readonly tool_calls: readonly ToolCall[] };

export interface FunctionCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string; readonly output: string | null };
}

export interface FileSearchCall {
  readonly id: string;
  readonly type: 'file_search';
  readonly file_search: {
    readonly ranking_options?: { readonly ranker: string; readonly score_threshold: number };
    readonly results?: readonly FileSearchResult[];
  };
}

export interface FileSearchResult {
  readonly file_id: string;
  readonly file_name: string;
  readonly score: number;
  /** Kept always, shown only to who asks with `include[]`. */
  readonly content?: readonly { readonly type: 'text'; readonly text: string }[];
}

export interface CodeInterpreterCall {
  readonly id: string;
  readonly type: 'code_interpreter';
  readonly code_interpreter: {
    readonly input: string;
    readonly outputs: readonly (
      | { readonly type: 'logs'; readonly logs: string }
      | { readonly type: 'image'; readonly image: { readonly file_id: string } }
    )[];
  };
}

export type ToolCall = FunctionCall | FileSearchCall | CodeInterpreterCall;

export interface RunStep {
  readonly teamId: TeamId;
  readonly threadId: ThreadId;
  readonly runId: RunId;
  readonly assistantId: AssistantId;
  readonly id: StepId;
  readonly createdAt: UnixSeconds;
  readonly status: StepStatus;
  readonly details: StepDetails;
  readonly lastError: { readonly code: 'server_error' | 'rate_limit_exceeded'; readonly message: string } | null;
  readonly expiredAt: UnixSeconds | null;
  readonly cancelledAt: UnixSeconds | null;
  readonly failedAt: UnixSeconds | null;
  readonly completedAt: UnixSeconds | null;
  readonly metadata: Metadata;
  /** Known from the end of its turn on; callers are shown it only when the step is no longer in progress. */
  readonly usage: Usage | null;
  /** Its place among the output items of its turn; null in imported steps. */
  readonly origin: Origin | null;
  readonly extra: Readonly<Record<string, unknown>>;
}

/** What is told of a run, in order. Objects are whole, as they were at that moment; deltas are in the words of the wire. */
export type RunEvent =
  | { readonly event: 'thread.created'; readonly thread: Thread }
  | { readonly event: `thread.run.${RunStatus | 'created'}`; readonly run: Run }
  | { readonly event: `thread.run.step.${StepStatus | 'created'}`; readonly step: RunStep }
  | { readonly event: `thread.message.${MessageEventName}`; readonly message: Message }
  | { readonly event: 'thread.run.step.delta'; readonly id: StepId; readonly delta: { readonly step_details: unknown } }
  | {
      readonly event: 'thread.message.delta';
      readonly id: Message['id'];
      readonly delta: { readonly role?: 'assistant'; readonly content: readonly unknown[] };
    }
  | { readonly event: 'error'; readonly error: RunEventError };

type MessageEventName = 'created' | 'in_progress' | 'completed' | 'incomplete';

export interface RunEventError {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

/** An event in its place. Places grow by one or more, and a place is never given twice. */
export interface PlacedEvent {
  readonly seq: number;
  readonly event: RunEvent;
}

/** Rows that a turn leaves behind, to be written in one transaction with the events that tell of them. */
export interface RunChange {
  /** Written whole; a message or step that stands already under its id or its origin is mended, never doubled. */
  readonly messages?: readonly Message[];
  readonly steps?: readonly RunStep[];
  /** Appended to the thread's history in this order. `messageId` names a message of this thread. */
  readonly items?: readonly NewHistoryItem[];
  readonly events?: readonly RunEvent[];
  /** The container that the turn used, and the files that it left. */
  readonly container?: Thread['container'];
  readonly containerFiles?: readonly string[];
}

export type NewHistoryItem = Origin &
  (
    | { readonly kind: 'message'; readonly messageId: Message['id'] }
    | { readonly kind: 'call'; readonly payload: HistoryPayload }
  );

/** How a turn stopped. */
export type TurnEnd =
  | { readonly status: 'completed'; readonly usage: Usage }
  | { readonly status: 'requires_action'; readonly pendingCalls: readonly PendingCall[]; readonly usage: Usage }
  | {
      readonly status: 'incomplete';
      readonly reason: NonNullable<Run['incompleteReason']>;
      readonly usage: Usage | null;
    }
  | { readonly status: 'failed'; readonly error: RunError; readonly usage: Usage | null };
