// Every answer of the Assistants API, member by member: no more and no less may be there.
import { z } from 'zod';

const seconds = z.int();
const nullableSeconds = seconds.nullable();
const metadata = z.record(z.string(), z.string());

const tool = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('code_interpreter') }),
  z.strictObject({ type: z.literal('file_search'), file_search: z.looseObject({}).optional() }),
  z.strictObject({
    type: z.literal('function'),
    function: z.strictObject({
      name: z.string(),
      description: z.string().optional(),
      parameters: z.record(z.string(), z.unknown()).optional(),
      strict: z.boolean(),
    }),
  }),
]);

const toolResources = z.strictObject({
  code_interpreter: z.strictObject({ file_ids: z.array(z.string()) }).optional(),
  file_search: z.strictObject({ vector_store_ids: z.array(z.string()) }).optional(),
});

const responseFormat = z.union([
  z.literal('auto'),
  z.looseObject({ type: z.enum(['text', 'json_object', 'json_schema']) }),
]);
const reasoningEffort = z.string().optional();

export const assistant = z.strictObject({
  id: z.string().startsWith('asst_'),
  object: z.literal('assistant'),
  created_at: seconds,
  name: z.string().nullable(),
  description: z.string().nullable(),
  model: z.string(),
  instructions: z.string().nullable(),
  tools: z.array(tool),
  tool_resources: toolResources,
  metadata,
  temperature: z.number(),
  top_p: z.number(),
  response_format: responseFormat,
  reasoning_effort: reasoningEffort,
});

export const thread = z.strictObject({
  id: z.string().startsWith('thread_'),
  object: z.literal('thread'),
  created_at: seconds,
  tool_resources: toolResources,
  metadata,
});

const offsets = { text: z.string(), start_index: z.int(), end_index: z.int() };
const annotation = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('file_citation'),
    ...offsets,
    file_citation: z.strictObject({ file_id: z.string() }),
  }),
  z.strictObject({ type: z.literal('file_path'), ...offsets, file_path: z.strictObject({ file_id: z.string() }) }),
]);
const detail = z.enum(['auto', 'low', 'high']).optional();
const content = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('text'),
    text: z.strictObject({ value: z.string(), annotations: z.array(annotation) }),
  }),
  z.strictObject({ type: z.literal('image_file'), image_file: z.strictObject({ file_id: z.string(), detail }) }),
  z.strictObject({ type: z.literal('image_url'), image_url: z.strictObject({ url: z.string(), detail }) }),
  z.strictObject({ type: z.literal('refusal'), refusal: z.string() }),
]);

export const message = z.strictObject({
  id: z.string().startsWith('msg_'),
  object: z.literal('thread.message'),
  created_at: seconds,
  thread_id: z.string().startsWith('thread_'),
  status: z.enum(['in_progress', 'incomplete', 'completed']),
  incomplete_details: z
    .strictObject({ reason: z.enum(['content_filter', 'max_tokens', 'run_cancelled', 'run_expired', 'run_failed']) })
    .nullable(),
  completed_at: nullableSeconds,
  incomplete_at: nullableSeconds,
  role: z.enum(['user', 'assistant']),
  content: z.array(content),
  assistant_id: z.string().startsWith('asst_').nullable(),
  run_id: z.string().startsWith('run_').nullable(),
  attachments: z.array(
    z.strictObject({
      file_id: z.string(),
      tools: z.array(z.strictObject({ type: z.enum(['code_interpreter', 'file_search']) })),
    }),
  ),
  metadata,
});

const usage = z.strictObject({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_token_details: z.looseObject({}).optional(),
  completion_tokens_details: z.looseObject({}).optional(),
});

const functionCall = { id: z.string(), type: z.literal('function') };

export const run = z.strictObject({
  id: z.string().startsWith('run_'),
  object: z.literal('thread.run'),
  created_at: seconds,
  assistant_id: z.string().startsWith('asst_'),
  thread_id: z.string().startsWith('thread_'),
  status: z.enum([
    'queued',
    'in_progress',
    'requires_action',
    'cancelling',
    'cancelled',
    'failed',
    'completed',
    'incomplete',
    'expired',
  ]),
  started_at: nullableSeconds,
  expires_at: nullableSeconds,
  cancelled_at: nullableSeconds,
  failed_at: nullableSeconds,
  completed_at: nullableSeconds,
  required_action: z
    .strictObject({
      type: z.literal('submit_tool_outputs'),
      submit_tool_outputs: z.strictObject({
        tool_calls: z.array(
          z.strictObject({ ...functionCall, function: z.strictObject({ name: z.string(), arguments: z.string() }) }),
        ),
      }),
    })
    .nullable(),
  last_error: z
    .strictObject({ code: z.enum(['server_error', 'rate_limit_exceeded', 'invalid_prompt']), message: z.string() })
    .nullable(),
  model: z.string(),
  instructions: z.string(),
  tools: z.array(tool),
  tool_resources: toolResources,
  metadata,
  temperature: z.number(),
  top_p: z.number(),
  max_completion_tokens: z.int().nullable(),
  max_prompt_tokens: z.int().nullable(),
  truncation_strategy: z.strictObject({ type: z.enum(['auto', 'last_messages']), last_messages: z.int().nullable() }),
  incomplete_details: z.strictObject({ reason: z.enum(['max_completion_tokens', 'max_prompt_tokens']) }).nullable(),
  usage: usage.nullable(),
  response_format: responseFormat,
  tool_choice: z.union([z.enum(['none', 'auto', 'required']), z.looseObject({ type: z.string() })]),
  parallel_tool_calls: z.boolean(),
  reasoning_effort: reasoningEffort,
});

const toolCall = z.discriminatedUnion('type', [
  z.strictObject({
    ...functionCall,
    function: z.strictObject({ name: z.string(), arguments: z.string(), output: z.string().nullable() }),
  }),
  z.strictObject({
    id: z.string(),
    type: z.literal('file_search'),
    file_search: z.strictObject({
      ranking_options: z.strictObject({ ranker: z.string(), score_threshold: z.number() }).optional(),
      results: z
        .array(
          z.strictObject({
            file_id: z.string(),
            file_name: z.string(),
            score: z.number(),
            content: z.array(z.strictObject({ type: z.literal('text'), text: z.string() })).optional(),
          }),
        )
        .optional(),
    }),
  }),
  z.strictObject({
    id: z.string(),
    type: z.literal('code_interpreter'),
    code_interpreter: z.strictObject({
      input: z.string(),
      outputs: z.array(
        z.discriminatedUnion('type', [
          z.strictObject({ type: z.literal('logs'), logs: z.string() }),
          z.strictObject({ type: z.literal('image'), image: z.strictObject({ file_id: z.string() }) }),
        ]),
      ),
    }),
  }),
]);

export const step = z.strictObject({
  id: z.string().startsWith('step_'),
  object: z.literal('thread.run.step'),
  created_at: seconds,
  run_id: z.string().startsWith('run_'),
  assistant_id: z.string().startsWith('asst_'),
  thread_id: z.string().startsWith('thread_'),
  type: z.enum(['message_creation', 'tool_calls']),
  status: z.enum(['in_progress', 'cancelled', 'failed', 'completed', 'expired']),
  cancelled_at: nullableSeconds,
  completed_at: nullableSeconds,
  expired_at: nullableSeconds,
  failed_at: nullableSeconds,
  last_error: z.strictObject({ code: z.enum(['server_error', 'rate_limit_exceeded']), message: z.string() }).nullable(),
  step_details: z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('message_creation'),
      message_creation: z.strictObject({ message_id: z.string() }),
    }),
    z.strictObject({ type: z.literal('tool_calls'), tool_calls: z.array(toolCall) }),
  ]),
  usage: usage.nullable(),
  metadata,
});

const list = (item: z.ZodType) =>
  z.strictObject({
    object: z.literal('list'),
    data: z.array(item),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  });
const deletion = (object: string) =>
  z.strictObject({ id: z.string(), object: z.literal(object), deleted: z.literal(true) });

/** By method and path template. */
const ANSWERS: Readonly<Record<string, z.ZodType>> = {
  'POST /assistants': assistant,
  'GET /assistants': list(assistant),
  'POST /assistants/{assistant_id}': assistant,
  'GET /assistants/{assistant_id}': assistant,
  'DELETE /assistants/{assistant_id}': deletion('assistant.deleted'),
  'POST /threads': thread,
  'POST /threads/runs': run,
  'POST /threads/{thread_id}': thread,
  'GET /threads/{thread_id}': thread,
  'DELETE /threads/{thread_id}': deletion('thread.deleted'),
  'POST /threads/{thread_id}/messages': message,
  'GET /threads/{thread_id}/messages': list(message),
  'POST /threads/{thread_id}/messages/{message_id}': message,
  'GET /threads/{thread_id}/messages/{message_id}': message,
  'DELETE /threads/{thread_id}/messages/{message_id}': deletion('thread.message.deleted'),
  'POST /threads/{thread_id}/runs': run,
  'GET /threads/{thread_id}/runs': list(run),
  'POST /threads/{thread_id}/runs/{run_id}': run,
  'GET /threads/{thread_id}/runs/{run_id}': run,
  'POST /threads/{thread_id}/runs/{run_id}/cancel': run,
  'GET /threads/{thread_id}/runs/{run_id}/steps': list(step),
  'GET /threads/{thread_id}/runs/{run_id}/steps/{step_id}': step,
  'POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs': run,
};

const errorBody = z.strictObject({
  error: z.strictObject({
    message: z.string().min(1),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

const delta = (object: string) =>
  z.strictObject({ id: z.string(), object: z.literal(object), delta: z.looseObject({}) });

/** What is wrong with an answer; null where nothing is, or where the operation is none of the 23. */
export function faultOfAnswer(status: number, operation: string, body: unknown): string | null {
  const schema = status === 200 ? ANSWERS[operation] : errorBody;
  return schema === undefined ? null : faultOf(schema, body);
}

export function faultOfEvent(event: string, data: unknown): string | null {
  if (event === 'done') return data === '[DONE]' ? null : `done with ${String(data)}`;
  if (event === 'error') return faultOf(errorBody, data);
  if (event === 'thread.message.delta' || event === 'thread.run.step.delta') return faultOf(delta(event), data);
  if (event === 'thread.created') return faultOf(thread, data);
  if (event.startsWith('thread.run.step.')) return faultOf(step, data);
  return faultOf(event.startsWith('thread.message.') ? message : run, data);
}

function faultOf(schema: z.ZodType, value: unknown): string | null {
  const parsed = schema.safeParse(value);
  return parsed.success ? null : `${z.prettifyError(parsed.error)} in ${JSON.stringify(value).slice(0, 2000)}`;
}
