// The bodies that the 23 operations take.
import { z } from 'zod';

import type { AssistantsSettings } from '../config/assistants.ts';
import {
  assistantId,
  description,
  instructions,
  integer,
  message,
  metadata,
  model,
  name,
  reasoningEffort,
  resources,
  resourcesWithShorthand,
  responseFormat,
  temperature,
  text,
  toolChoice,
  tools,
  topP,
  truncationStrategy,
} from './fields.ts';

/** Tools of an assistant, and those that a run may name in their place. */
const ASSISTANT_TOOLS_MAX = 128;
const RUN_TOOLS_MAX = 20;
/** The smallest budget of tokens that a run takes. */
const RUN_TOKENS_MIN = 256;

const flag = z.boolean().nullish();

const assistantFields = {
  name,
  description,
  instructions,
  tools: tools(ASSISTANT_TOOLS_MAX),
  metadata,
  temperature,
  top_p: topP,
  response_format: responseFormat,
  reasoning_effort: reasoningEffort,
};

/** What a run may say other than its assistant does. */
const runFields = {
  assistant_id: assistantId,
  model: model.nullish(),
  instructions,
  tools: tools(RUN_TOOLS_MAX),
  metadata,
  temperature,
  top_p: topP,
  stream: flag,
  max_prompt_tokens: integer(RUN_TOKENS_MIN).nullish(),
  max_completion_tokens: integer(RUN_TOKENS_MIN).nullish(),
  truncation_strategy: truncationStrategy,
  tool_choice: toolChoice,
  parallel_tool_calls: z
    .boolean()
    .nullish()
    .transform((isParallel) => isParallel ?? true),
  response_format: responseFormat,
};

export function requestSchemas({ initialMessagesMax }: Pick<AssistantsSettings, 'initialMessagesMax'>) {
  const thread = z.strictObject({
    messages: z.array(message).max(initialMessagesMax).nullish(),
    tool_resources: resourcesWithShorthand,
    metadata,
  });
  return {
    createAssistant: z.strictObject({ model, ...assistantFields, tool_resources: resourcesWithShorthand }),
    modifyAssistant: z.strictObject({ model: model.exactOptional(), ...assistantFields, tool_resources: resources }),
    createThread: thread,
    modifyThread: z.strictObject({ tool_resources: resources, metadata }),
    createMessage: message,
    modifyMetadata: z.strictObject({ metadata }),
    createRun: z.strictObject({
      ...runFields,
      additional_instructions: text(256_000).nullish(),
      additional_messages: z.array(message).nullish(),
      reasoning_effort: reasoningEffort,
    }),
    createThreadAndRun: z.strictObject({
      ...runFields,
      thread: thread.nullish(),
      tool_resources: resourcesWithShorthand,
    }),
    submitToolOutputs: z.strictObject({
      tool_outputs: z.array(z.strictObject({ tool_call_id: z.string(), output: z.string().nullish() })),
      stream: flag,
    }),
    empty: z.strictObject({}),
  };
}

export type RequestSchemas = ReturnType<typeof requestSchemas>;
export type Body<K extends keyof RequestSchemas> = z.output<RequestSchemas[K]>;
