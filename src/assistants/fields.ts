// The parts that bodies of requests share, each with its limits, parsed into what is kept.
import { z } from 'zod';

import type { Attachment, MessageContent, Metadata, ResponseFormat, Tool } from '../domain/assistants.ts';
import type { ToolChoice, TruncationStrategy } from '../domain/run.ts';
import * as errors from './api-error.ts';
import type { OwnFinding } from './validate.ts';

const INSTRUCTIONS_MAX = 256_000;
const CONTENT_MAX = 256_000;
const METADATA_MAX = 16;
const METADATA_KEY_MAX = 64;
const METADATA_VALUE_MAX = 512;
const TOOL_FILES_MAX = 20;
const NAME = /^[a-zA-Z0-9_-]+$/;

/** A check of ours, told in the API's own words. */
function check<T>(find: (value: T) => OwnFinding['toError'] | null) {
  return (context: z.core.ParsePayload<T>) => {
    const toError = find(context.value);
    if (toError !== null)
      context.issues.push({ code: 'custom', input: context.value, params: { toError } satisfies OwnFinding });
  };
}

/** Lengths are told in characters, not in the halves of which some consist. */
export function text(max: number) {
  return z.string().check(
    check((value) => {
      if (value.length <= max) return null;
      const length = [...value].length;
      return length <= max ? null : (path) => errors.stringTooLong(path, max, length);
    }),
  );
}

function nonEmpty(max: number) {
  return text(max).check(check((value) => (value === '' ? errors.stringEmpty : null)));
}

function id(kind: errors.Kind) {
  const { prefix } = errors.KINDS[kind];
  return z
    .string()
    .check(check((value) => (value.startsWith(prefix) ? null : (path) => errors.wrongPrefix(path, value, kind))));
}

/** The message is what validate.ts reads the kind of a number from. */
export const integer = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z.int('integer').min(min, 'integer').max(max, 'integer');
const decimal = (min: number, max: number) => z.number('decimal').min(min, 'decimal').max(max, 'decimal');

/** An object that says by its `type` which of several it is. A type that is none of them is told with their names. */
function typed<T extends readonly [z.core.$ZodTypeDiscriminable, ...z.core.$ZodTypeDiscriminable[]]>(
  names: readonly string[],
  options: T,
) {
  // Zod does not see that whatever has one of these names as its type is an input of the union.
  const union = z.discriminatedUnion('type', options) as unknown as z.ZodType<z.output<T[number]>, { type: string }>;
  return z.looseObject({ type: z.enum(names) }).pipe(union);
}

const metadataMap = z.record(z.string(), text(METADATA_VALUE_MAX)).check(
  check((map) => {
    const keys = Object.keys(map);
    if (keys.length > METADATA_MAX) return (path) => errors.tooManyProperties(path, METADATA_MAX, keys.length);
    const long = keys.find((key) => key.length > METADATA_KEY_MAX);
    return long === undefined ? null : (path) => errors.nameTooLong(path, METADATA_KEY_MAX, long.length);
  }),
);
/** Undefined where none was given: a creation takes none for `{}`, a change leaves what stands. */
export const metadata = metadataMap.nullish().transform((map): Metadata | undefined => map ?? undefined);

export const model = nonEmpty(256);
export const name = text(256).nullish();
export const description = text(512).nullish();
export const instructions = text(INSTRUCTIONS_MAX).nullish();
export const temperature = decimal(0, 2).nullish();
export const topP = decimal(0, 1).nullish();
export const reasoningEffort = z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']).nullish();
export const assistantId = id('assistant');

const jsonSchema = z.record(z.string(), z.unknown());

const codeInterpreterTool = z.strictObject({ type: z.literal('code_interpreter') });
const fileSearchTool = z.strictObject({
  type: z.literal('file_search'),
  file_search: z
    .strictObject({
      max_num_results: integer(1, 50).exactOptional(),
      ranking_options: z
        .strictObject({
          ranker: z.enum(['auto', 'default_2024_08_21']).exactOptional(),
          score_threshold: decimal(0, 1),
        })
        .exactOptional(),
    })
    .exactOptional(),
});
const functionTool = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject({
    name: nonEmpty(64).regex(NAME),
    description: z.string().exactOptional(),
    parameters: jsonSchema.exactOptional(),
    strict: z
      .boolean()
      .nullish()
      .transform((strict) => strict ?? false),
  }),
});
const tool = typed(
  ['code_interpreter', 'file_search', 'function'],
  [codeInterpreterTool, fileSearchTool, functionTool],
);

export const tools = (max: number) =>
  z
    .array(tool)
    .max(max)
    .nullish()
    .transform((list): readonly Tool[] | undefined => list ?? undefined);

const chunkingStrategy = typed(
  ['auto', 'static'],
  [
    z.strictObject({ type: z.literal('auto') }),
    z.strictObject({
      type: z.literal('static'),
      static: z
        .strictObject({ max_chunk_size_tokens: integer(100, 4096), chunk_overlap_tokens: integer(0) })
        .check(
          check((sizes) =>
            sizes.chunk_overlap_tokens * 2 <= sizes.max_chunk_size_tokens
              ? null
              : (path) =>
                  errors.invalid(
                    `${path}.chunk_overlap_tokens`,
                    'The overlap must not exceed half of max_chunk_size_tokens.',
                  ),
          ),
        ),
    }),
  ],
);

const newVectorStore = z.strictObject({
  file_ids: z.array(z.string()).max(10_000).exactOptional(),
  chunking_strategy: chunkingStrategy.exactOptional(),
  metadata: metadataMap.nullish(),
});
export type NewVectorStore = z.output<typeof newVectorStore>;

const codeInterpreterFiles = z.strictObject({ file_ids: z.array(z.string()).max(TOOL_FILES_MAX).default([]) });
const vectorStoreIds = z.array(z.string()).max(1);

const newResources = z.strictObject({
  code_interpreter: codeInterpreterFiles.nullish(),
  file_search: z
    .strictObject({
      vector_store_ids: vectorStoreIds.exactOptional(),
      vector_stores: z.array(newVectorStore).max(1).exactOptional(),
    })
    .check(
      check((search) =>
        search.vector_store_ids !== undefined && search.vector_stores !== undefined
          ? (path) => errors.invalid(path, "Only one of 'vector_store_ids' and 'vector_stores' can be given.")
          : null,
      ),
    )
    .nullish(),
});
export type NewResources = z.output<typeof newResources>;

/** For the creation of assistants and threads, where a vector store may be made on the way. */
export const resourcesWithShorthand = newResources.nullish();
/** For changes: each member that is given replaces the one that stands. */
export const resources = z
  .strictObject({
    code_interpreter: codeInterpreterFiles.nullish(),
    file_search: z.strictObject({ vector_store_ids: vectorStoreIds.exactOptional() }).nullish(),
  })
  .nullish();

export const responseFormat = z
  .union([
    z.enum(['auto']),
    typed(
      ['text', 'json_object', 'json_schema'],
      [
        z.strictObject({ type: z.literal('text') }),
        z.strictObject({ type: z.literal('json_object') }),
        z.strictObject({
          type: z.literal('json_schema'),
          json_schema: z.strictObject({
            name: nonEmpty(64).regex(NAME),
            description: z.string().exactOptional(),
            schema: jsonSchema.exactOptional(),
            strict: z.boolean().nullable().exactOptional(),
          }),
        }),
      ],
    ),
  ])
  .nullish()
  .transform((format): ResponseFormat | undefined => format ?? undefined);

export const toolChoice = z
  .union([
    z.enum(['none', 'auto', 'required']),
    typed(
      ['function', 'code_interpreter', 'file_search'],
      [
        z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: z.string() }) }),
        z.strictObject({ type: z.literal('code_interpreter') }),
        z.strictObject({ type: z.literal('file_search') }),
      ],
    ),
  ])
  .nullish()
  .transform((choice): ToolChoice => choice ?? 'auto');

export const truncationStrategy = typed(
  ['auto', 'last_messages'],
  [
    z.strictObject({ type: z.literal('auto'), last_messages: z.null().optional() }),
    z.strictObject({ type: z.literal('last_messages'), last_messages: integer(1) }),
  ],
)
  .nullish()
  .transform((strategy): TruncationStrategy =>
    strategy?.type === 'last_messages'
      ? { type: 'last_messages', last_messages: strategy.last_messages }
      : { type: 'auto' },
  );

const detail = z.enum(['auto', 'low', 'high']).default('auto');
const contentPart = typed(
  ['text', 'image_file', 'image_url'],
  [
    z.strictObject({ type: z.literal('text'), text: text(CONTENT_MAX) }),
    z.strictObject({ type: z.literal('image_file'), image_file: z.strictObject({ file_id: z.string(), detail }) }),
    z.strictObject({ type: z.literal('image_url'), image_url: z.strictObject({ url: z.string(), detail }) }),
  ],
);

const content = z
  .union([
    text(CONTENT_MAX).check(check((value) => (value === '' ? errors.emptyContent : null))),
    z.array(contentPart).min(1),
  ])
  .transform((given): readonly MessageContent[] =>
    (typeof given === 'string' ? [{ type: 'text' as const, text: given }] : given).map((part) =>
      part.type === 'text' ? { type: 'text', text: { value: part.text, annotations: [] } } : part,
    ),
  );

const attachment = z.strictObject({
  file_id: z.string(),
  tools: z.array(z.strictObject({ type: z.enum(['code_interpreter', 'file_search']) })),
});

export const message = z.strictObject({
  role: z.enum(['user', 'assistant']),
  content,
  attachments: z
    .array(attachment)
    .nullish()
    .transform((list): readonly Attachment[] => list ?? []),
  metadata,
});
export type NewMessage = z.output<typeof message>;
