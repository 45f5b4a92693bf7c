// What dumps of OpenAI's objects look like, read as leniently as their sense allows: what is missing has its default.
import { z } from 'zod';

import {
  type Annotation,
  GENERATED_FILE_PREFIX,
  type HistoryPayload,
  type MessageContent,
  type ReasoningEffort,
  type ResponseFormat,
  type Tool,
  type ToolResources,
} from '../domain/assistants.ts';
import type { Usage } from '../domain/run.ts';

const seconds = z.int().min(0);
const time = seconds.nullish().transform((at) => at ?? null);
const textOrNull = z
  .string()
  .nullish()
  .transform((text) => text ?? null);
const metadata = z
  .record(z.string(), z.string())
  .nullish()
  .transform((map) => map ?? {});
export const record = z.record(z.string(), z.unknown());
const id = <P extends string>(prefix: P) =>
  z
    .string()
    .startsWith(prefix)
    .transform((text) => text as `${P}${string}`);

/** Dumps of the first version call the search for files by its old name. */
const tools = z
  .array(z.looseObject({ type: z.string() }))
  .nullish()
  .transform(
    (list) =>
      (list ?? []).map((tool) =>
        tool.type === 'retrieval' ? { type: 'file_search' } : tool,
      ) as unknown as readonly Tool[],
  );
const resources = record.nullish().transform((given): ToolResources => given ?? {});
const responseFormat = z
  .union([z.literal('auto'), z.looseObject({ type: z.string() })])
  .nullish()
  .transform((format) => (format ?? 'auto') as ResponseFormat);
/** 1 is what OpenAI showed where nothing was set, and what a model does anyway. */
const sampling = z
  .number()
  .nullish()
  .transform((value) => (value === 1 ? null : (value ?? null)));

export const assistantShape = z.looseObject({
  id: id('asst_'),
  object: z.literal('assistant').optional(),
  created_at: seconds,
  name: textOrNull,
  description: textOrNull,
  model: z.string().min(1),
  instructions: textOrNull,
  tools,
  tool_resources: resources,
  metadata,
  temperature: sampling,
  top_p: sampling,
  response_format: responseFormat,
  reasoning_effort: z
    .string()
    .nullish()
    .transform((effort) => (effort ?? null) as ReasoningEffort | null),
});

export const threadShape = z.looseObject({
  id: id('thread_'),
  object: z.literal('thread').optional(),
  created_at: seconds,
  tool_resources: resources,
  metadata,
});

const part = z
  .union([z.string(), z.looseObject({ type: z.string(), text: z.unknown().optional() })])
  .transform((given): MessageContent => {
    if (typeof given === 'string') return textPart(given, []);
    if (given.type !== 'text') return given as unknown as MessageContent;
    if (typeof given.text === 'string') return textPart(given.text, []);
    const { value = '', annotations = [] } = (given.text ?? {}) as { value?: string; annotations?: Annotation[] };
    return textPart(value, annotations);
  });

function textPart(value: string, annotations: readonly Annotation[]): MessageContent {
  return { type: 'text', text: { value, annotations } };
}

const content = z.union([z.string().transform((text) => [textPart(text, [])]), z.array(part)]);
const role = z.enum(['user', 'assistant']);

export const messageShape = z.looseObject({
  id: id('msg_'),
  object: z.literal('thread.message').optional(),
  created_at: seconds,
  thread_id: id('thread_'),
  status: z.enum(['in_progress', 'incomplete', 'completed']).nullish(),
  incomplete_details: z.looseObject({ reason: z.string() }).nullish(),
  completed_at: time,
  incomplete_at: time,
  role,
  content,
  attachments: z
    .array(
      z.looseObject({
        file_id: z.string(),
        tools: z.array(z.looseObject({ type: z.enum(['code_interpreter', 'file_search']) })).optional(),
      }),
    )
    .nullish(),
  metadata,
  assistant_id: id('asst_')
    .nullish()
    .transform((text) => text ?? null),
  run_id: id('run_')
    .nullish()
    .transform((text) => text ?? null),
});

const usage = z
  .looseObject({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() })
  .nullish()
  .transform((given) => (given ?? null) as Usage | null);

const STATUSES = [
  'queued',
  'in_progress',
  'requires_action',
  'cancelling',
  'cancelled',
  'failed',
  'completed',
  'incomplete',
  'expired',
] as const;

export const runShape = z.looseObject({
  id: id('run_'),
  object: z.literal('thread.run').optional(),
  created_at: seconds,
  thread_id: id('thread_'),
  assistant_id: id('asst_'),
  status: z.enum(STATUSES),
  required_action: z.unknown().optional(),
  last_error: z.looseObject({ code: z.string(), message: z.string() }).nullish(),
  expires_at: time,
  started_at: time,
  cancelled_at: time,
  failed_at: time,
  completed_at: time,
  incomplete_details: z.looseObject({ reason: z.string() }).nullish(),
  model: z.string(),
  instructions: textOrNull,
  tools,
  tool_resources: resources,
  metadata,
  usage,
  temperature: sampling,
  top_p: sampling,
  max_prompt_tokens: z
    .int()
    .nullish()
    .transform((value) => value ?? null),
  max_completion_tokens: z
    .int()
    .nullish()
    .transform((value) => value ?? null),
  truncation_strategy: z.looseObject({ type: z.string() }).nullish(),
  tool_choice: z.unknown().optional(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: responseFormat,
  reasoning_effort: z
    .string()
    .nullish()
    .transform((effort) => (effort ?? null) as ReasoningEffort | null),
});

export const stepShape = z.looseObject({
  id: id('step_'),
  object: z.literal('thread.run.step').optional(),
  created_at: seconds,
  thread_id: id('thread_'),
  run_id: id('run_'),
  assistant_id: id('asst_'),
  type: z.string().optional(),
  status: z.enum(['in_progress', 'cancelled', 'failed', 'completed', 'expired']),
  step_details: z.looseObject({ type: z.enum(['message_creation', 'tool_calls']) }),
  last_error: z.looseObject({ code: z.string(), message: z.string() }).nullish(),
  expired_at: time,
  cancelled_at: time,
  failed_at: time,
  completed_at: time,
  metadata,
  usage,
});

/** What stands between messages in the history that a model is shown; whatever the model said is passed on as it is. */
export const itemShape = z.object({
  thread_id: id('thread_'),
  run_id: id('run_').nullable(),
  ord: z.int().min(0),
  turn: z.int().nullable(),
  out_ix: z.int().nullable(),
  payload: z.custom<HistoryPayload>((given) => typeof (given as HistoryPayload | null)?.type === 'string', {
    error: 'expected an object with a "type"',
  }),
});

export const fileShape = z.object({
  id: id(GENERATED_FILE_PREFIX),
  bytes: z.int().min(0),
  created_at: seconds,
  filename: z.string(),
  thread_id: id('thread_'),
  run_id: id('run_'),
  upstream_id: z.string().nullish(),
});

/** Bytes of a part; an export makes none that is larger. */
const PART_BYTES_MAX = 1024 * 1024;
export const filePartShape = z.object({
  file_id: id(GENERATED_FILE_PREFIX),
  part: z.int().min(0),
  content: z.base64().max(4 * Math.ceil(PART_BYTES_MAX / 3), 'a part of a file has at most 1 MiB'),
});

/** What only this gateway knows of an object: beside it in lines of its own exports, in no other dump. */
export const keptShape = z
  .object({
    ord: z.int().min(0).nullish(),
    origin: z.object({ turn: z.int(), out_ix: z.int() }),
    markers: z.array(z.tuple([z.int(), z.int(), z.int()])),
    phase: z.string(),
    container_files: z.array(z.string()),
    thread_id: z.string(),
    run_id: z.string(),
    upstream_id: z.string().nullable(),
    is_shared: z.boolean(),
  })
  .partial()
  .default({});
export type Kept = z.output<typeof keptShape>;

/** What an application kept of a thread that it only showed. */
export const bareThreadShape = z.object({
  thread_id: id('thread_'),
  created_at: seconds.optional(),
  metadata,
  messages: z.array(z.object({ id: id('msg_').optional(), role, content, created_at: seconds.optional(), metadata })),
});
