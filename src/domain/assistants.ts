// The objects of the Assistants API as they are kept: assistants, threads, messages, and the history that a model is shown.
// Top-level members are ours; what hangs below them (tools, content, formats) stays in the words of the wire.
import type { TeamId } from './id.ts';

export type AssistantId = `asst_${string}`;
export type ThreadId = `thread_${string}`;
export type MessageId = `msg_${string}`;
export type RunId = `run_${string}`;
export type StepId = `step_${string}`;
export type FileId = `file-${string}`;

/** Whole seconds since 1970, as the API tells its times. */
export type UnixSeconds = number;

export type Metadata = Readonly<Record<string, string>>;

export interface FunctionTool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string;
    readonly parameters?: Readonly<Record<string, unknown>>;
    readonly strict?: boolean | null;
  };
}

export interface FileSearchTool {
  readonly type: 'file_search';
  readonly file_search?: {
    readonly max_num_results?: number;
    readonly ranking_options?: { readonly ranker?: string; readonly score_threshold: number };
  };
}

export type Tool = { readonly type: 'code_interpreter' } | FileSearchTool | FunctionTool;

/** Absent where none were given; shorthands for vector stores never get here, only the id of the store that was made. */
export interface ToolResources {
  readonly code_interpreter?: { readonly file_ids: readonly string[] };
  readonly file_search?: { readonly vector_store_ids: readonly string[] };
}

export type ResponseFormat =
  | 'auto'
  | { readonly type: 'text' }
  | { readonly type: 'json_object' }
  | {
      readonly type: 'json_schema';
      readonly json_schema: {
        readonly name: string;
        readonly description?: string;
        readonly schema?: Readonly<Record<string, unknown>>;
        readonly strict?: boolean | null;
      };
    };

export type ReasoningEffort = 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max';

export interface Assistant {
  readonly teamId: TeamId;
  readonly id: AssistantId;
  readonly createdAt: UnixSeconds;
  readonly name: string | null;
  readonly description: string | null;
  /** As the user named it; an alias is resolved when a run calls the model. */
  readonly model: string;
  readonly instructions: string | null;
  readonly tools: readonly Tool[];
  readonly toolResources: ToolResources;
  readonly metadata: Metadata;
  /** Null: the user never set it. Shown as 1, but never sent to a model. */
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly responseFormat: ResponseFormat;
  readonly reasoningEffort: ReasoningEffort | null;
  /** Members of an imported object that nobody here knows: kept for its export. */
  readonly extra: Readonly<Record<string, unknown>>;
}

export interface Thread {
  readonly teamId: TeamId;
  readonly id: ThreadId;
  readonly createdAt: UnixSeconds;
  readonly toolResources: ToolResources;
  readonly metadata: Metadata;
  /** The code interpreter's container and when a run last used it, milliseconds; null where there is none. */
  readonly container: { readonly id: string; readonly usedAt: number } | null;
  /** Upstream ids of files that the code interpreter wrote, newest last: mounted again in the next container. */
  readonly containerFiles: readonly string[];
  readonly extra: Readonly<Record<string, unknown>>;
}

export interface ImageFile {
  readonly file_id: string;
  readonly detail?: 'auto' | 'low' | 'high';
}

export interface ImageUrl {
  readonly url: string;
  readonly detail?: 'auto' | 'low' | 'high';
}

/** Offsets are code points of the text's value, the marker included. */
export type Annotation =
  | {
      readonly type: 'file_citation';
      readonly text: string;
      readonly start_index: number;
      readonly end_index: number;
      readonly file_citation: { readonly file_id: string };
    }
  | {
      readonly type: 'file_path';
      readonly text: string;
      readonly start_index: number;
      readonly end_index: number;
      readonly file_path: { readonly file_id: string };
    };

export type MessageContent =
  | { readonly type: 'text'; readonly text: { readonly value: string; readonly annotations: readonly Annotation[] } }
  | { readonly type: 'image_file'; readonly image_file: ImageFile }
  | { readonly type: 'image_url'; readonly image_url: ImageUrl }
  | { readonly type: 'refusal'; readonly refusal: string };

export interface Attachment {
  readonly file_id: string;
  readonly tools: readonly { readonly type: 'code_interpreter' | 'file_search' }[];
}

/** A thread has no more of them. */
export const MESSAGES_MAX = 100_000;

export type MessageStatus = 'in_progress' | 'incomplete' | 'completed';
export type MessageIncompleteReason = 'content_filter' | 'max_tokens' | 'run_cancelled' | 'run_expired' | 'run_failed';

export interface Message {
  readonly teamId: TeamId;
  readonly threadId: ThreadId;
  readonly id: MessageId;
  readonly createdAt: UnixSeconds;
  readonly status: MessageStatus;
  readonly incompleteReason: MessageIncompleteReason | null;
  readonly completedAt: UnixSeconds | null;
  readonly incompleteAt: UnixSeconds | null;
  readonly role: 'user' | 'assistant';
  readonly content: readonly MessageContent[];
  readonly attachments: readonly Attachment[];
  readonly metadata: Metadata;
  /** Both null in messages that a user inserted. */
  readonly assistantId: AssistantId | null;
  readonly runId: RunId | null;
  /** Which output item of which turn of the run it is; null in messages that no run here made. */
  readonly origin: Origin | null;
  /** Citation markers that we put into the text, to be taken out of what the model is shown: [content index, start, end]. */
  readonly markers: readonly (readonly [number, number, number])[];
  /** `commentary` or `final_answer`, where the model said so: it must be shown its own messages with it. Callers never see it. */
  readonly phase?: string;
  readonly extra: Readonly<Record<string, unknown>>;
}

/** One output item of one turn: at most one message or step comes of it. */
export interface Origin {
  readonly turn: number;
  readonly outIx: number;
}

/**
 * One entry of the history that a model is shown, in the thread's order. A `message` stands for the message row, so that
 * what was deleted is shown no more; anything else is an input item of the Responses API as it came, or as it was answered.
 */
export type HistoryItem = {
  readonly turn: number | null;
  readonly outIx: number | null;
  readonly runId: RunId | null;
} & (
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'call'; readonly payload: HistoryPayload }
);

/** Has a `type` such as function_call, function_call_output, file_search_call, code_interpreter_call or reasoning. */
export type HistoryPayload = Readonly<Record<string, unknown>> & { readonly type: string };

/** What an id of such a file begins with: no id of the upstream's does. */
export const GENERATED_FILE_PREFIX = 'file-tw-';

/** A file that a run produced: served by its id to its team, in place of the upstream. */
export interface GeneratedFile {
  readonly teamId: TeamId;
  readonly id: FileId;
  readonly filename: string;
  readonly bytes: number;
  readonly createdAt: UnixSeconds;
  readonly threadId: ThreadId;
  readonly runId: RunId;
  /** The same bytes as a file of the upstream account, for mounting again; null where they were not uploaded. */
  readonly upstreamId: string | null;
}
