// What a run will do: what its assistant says, and what the request says in its place.
import type { Assistant, ToolResources } from '../domain/assistants.ts';
import type { RunSpec } from '../domain/run.ts';
import { modelProblem } from './models.ts';
import type { Body } from './requests.ts';

type AskedRun = Body<'createRun'> | Body<'createThreadAndRun'>;

/** @throws ApiError for what can be seen to fail before it is tried */
export function runSpec(assistant: Assistant, asked: AskedRun, resources: ToolResources | null): RunSpec {
  const additional = 'additional_instructions' in asked ? asked.additional_instructions : null;
  const instructions = [asked.instructions ?? assistant.instructions, additional].filter((text) => text);
  const spec: RunSpec = {
    model: asked.model ?? assistant.model,
    instructions: instructions.join('\n\n'),
    tools: asked.tools ?? assistant.tools,
    toolResources: resources ?? assistant.toolResources,
    temperature: asked.temperature ?? assistant.temperature,
    topP: asked.top_p ?? assistant.topP,
    responseFormat: asked.response_format ?? assistant.responseFormat,
    reasoningEffort: ('reasoning_effort' in asked ? asked.reasoning_effort : null) ?? assistant.reasoningEffort,
    maxPromptTokens: asked.max_prompt_tokens ?? null,
    maxCompletionTokens: asked.max_completion_tokens ?? null,
    truncationStrategy: asked.truncation_strategy,
    toolChoice: asked.tool_choice,
    parallelToolCalls: asked.parallel_tool_calls,
  };
  const problem = modelProblem(spec.model, spec);
  if (problem !== null) throw problem;
  return spec;
}
