// What a run asks of the Responses API: the run's own words, turned into the request that a model takes. Stable in the order of
// its members, so that the upstream's cache knows the beginning of the prompt again.
import type { ResponseFormat, ThreadId, Tool } from '../domain/assistants.ts';
import type { RunSpec, ToolChoice } from '../domain/run.ts';
import type { JsonObject } from './upstream-json.ts';

export interface TurnRequest {
  /** The one to call, behind aliases. */
  readonly model: string;
  readonly spec: RunSpec;
  readonly threadId: ThreadId;
  readonly input: readonly JsonObject[];
  /** The assistant's and the thread's. */
  readonly vectorStoreIds: readonly string[];
  readonly container: string | JsonObject;
  /** A choice that forces a tool holds for the first turn alone: else the run would never come to an end. */
  readonly isFirstTurn: boolean;
  /** Null: no limit was set. */
  readonly outputTokensMax: number | null;
  /** False where the model refused to be told how to sample. */
  readonly withSampling: boolean;
  /** False where the model knows no encrypted reasoning, or took none back. */
  readonly withReasoning: boolean;
}

export function responsesRequest(request: TurnRequest): JsonObject {
  const { model, spec, threadId, input, isFirstTurn, outputTokensMax, withSampling, withReasoning } = request;
  const tools = spec.tools.map((tool) => toolItem(tool, request)).filter((tool) => tool !== null);
  const choice = toolChoice(spec.toolChoice, isFirstTurn, tools);
  const format = textFormat(spec.responseFormat);
  return {
    model,
    ...(spec.instructions !== '' && { instructions: spec.instructions }),
    ...(tools.length > 0 && { tools, parallel_tool_calls: spec.parallelToolCalls }),
    ...(choice !== null && { tool_choice: choice }),
    ...(format !== null && { text: { format } }),
    ...(withSampling && spec.temperature !== null && { temperature: spec.temperature }),
    ...(withSampling && spec.topP !== null && { top_p: spec.topP }),
    ...(spec.reasoningEffort !== null && { reasoning: { effort: spec.reasoningEffort } }),
    ...(outputTokensMax !== null && { max_output_tokens: outputTokensMax }),
    prompt_cache_key: threadId.slice(0, 64),
    store: false,
    stream: true,
    stream_options: { include_obfuscation: false },
    include: includes(tools, withReasoning),
    input,
  };
}

function toolItem(tool: Tool, { vectorStoreIds, container }: TurnRequest): JsonObject | null {
  switch (tool.type) {
    case 'function': {
      const { name, description, parameters, strict } = tool.function;
      return {
        type: 'function',
        name,
        ...(description !== undefined && { description }),
        parameters: parameters ?? { type: 'object', properties: {} },
        // The defaults differ: the Assistants API is lax unless asked, Responses strict unless asked.
        strict: strict ?? false,
      };
    }
    case 'file_search': {
      if (vectorStoreIds.length === 0) return null;
      const ranking = tool.file_search?.ranking_options;
      return {
        type: 'file_search',
        vector_store_ids: vectorStoreIds,
        max_num_results: tool.file_search?.max_num_results ?? SEARCH_RESULTS_DEFAULT,
        ...(ranking !== undefined && {
          ranking_options: { ranker: upstreamRanker(ranking.ranker), score_threshold: ranking.score_threshold },
        }),
      };
    }
    case 'code_interpreter':
      return { type: 'code_interpreter', container };
  }
}

/** What the live API took for models of our day. */
export const SEARCH_RESULTS_DEFAULT = 20;

export function upstreamRanker(ranker: string | undefined): string {
  return ranker === undefined || ranker === 'default_2024_08_21' ? 'auto' : ranker;
}

/** Null for a choice that need not be told. */
function toolChoice(choice: ToolChoice, isFirstTurn: boolean, tools: readonly JsonObject[]): unknown {
  if (tools.length === 0 || choice === 'auto') return null;
  if (choice === 'none') return choice;
  if (!isFirstTurn) return null;
  if (choice === 'required') return choice;
  const wanted = choice.type === 'function' ? { type: 'function', name: choice.function.name } : { type: choice.type };
  // A search without a store is not among the tools, and a choice of what is not there would be refused.
  return tools.some((tool) => tool['type'] === wanted.type) ? wanted : null;
}

function textFormat(format: ResponseFormat): JsonObject | null {
  if (format === 'auto') return null;
  if (format.type !== 'json_schema') return { type: format.type };
  const { name, description, schema, strict } = format.json_schema;
  return {
    type: 'json_schema',
    name,
    ...(description !== undefined && { description }),
    schema: schema ?? { type: 'object' },
    strict: strict ?? false,
  };
}

function includes(tools: readonly JsonObject[], withReasoning: boolean): readonly string[] {
  const has = (type: string) => tools.some((tool) => tool['type'] === type);
  return [
    ...(withReasoning ? ['reasoning.encrypted_content'] : []),
    ...(has('code_interpreter') ? ['code_interpreter_call.outputs'] : []),
    ...(has('file_search') ? ['file_search_call.results'] : []),
  ];
}
