// What the sandbox says to a conversation. The same request always gets the same words, tool calls and counts.
import type { ChatCompletionRequest, FixtureResponse, ToolDefinition } from '@copilotkit/aimock';

import { solveEquation } from './equation.ts';
import type { SolvedEquation } from './equation.ts';
import { exampleOf } from './example.ts';
import { countTokens } from './tokens.ts';

/** Characters of the caller's own words that the friendly answer repeats. */
const quoteCharactersMax = 200;

export function answerConversation(request: ChatCompletionRequest): FixtureResponse {
  const inputTokens = countTokens(request.messages.map((message) => textOf(message.content)).join('\n'));
  const tool = toolToCall(request);
  if (tool !== undefined) {
    const call = { name: tool.function.name, arguments: JSON.stringify(exampleOf(tool.function.parameters)) };
    return { toolCalls: [call], usage: usage(inputTokens, countTokens(call.name + call.arguments)) };
  }
  const content = answerText(request);
  return { content, usage: usage(inputTokens, countTokens(content)) };
}

function answerText(request: ChatCompletionRequest): string {
  const last = request.messages.at(-1);
  const question = textOf(request.messages.findLast((message) => message.role === 'user')?.content ?? null);
  const solved = solveEquation(question);

  if (request.response_format?.type === 'json_schema' || request.response_format?.type === 'json_object') {
    return JSON.stringify(structuredAnswer(request.response_format, solved));
  }
  if (last?.role === 'tool') return `The Throughway sandbox got this from the tool: ${textOf(last.content)}`;
  if (solved !== undefined) return explain(solved);
  return (
    'This is the Throughway sandbox: no model was asked, and this answer is always the same. ' +
    `You wrote: "${question.slice(0, quoteCharactersMax)}". Ask it to solve 3x + 11 = 14.`
  );
}

function explain(solved: SolvedEquation): string {
  const steps = solved.steps.map((step, index) => `${index + 1}. ${step.explanation}: ${step.output}`);
  return [`To solve ${solved.equation}:`, '', ...steps, '', `The solution is ${solved.solution}.`].join('\n');
}

function structuredAnswer(
  format: NonNullable<ChatCompletionRequest['response_format']>,
  solved?: SolvedEquation,
): unknown {
  if (format.type === 'json_object') {
    return solved ? { steps: solved.steps, answer: solved.solution } : { answer: 'This is the Throughway sandbox.' };
  }
  const texts = solved && {
    explanation: solved.steps.map((step) => step.explanation).join('; '),
    output: solved.solution,
    answer: solved.solution,
    final_answer: solved.solution,
  };
  // aimock leaves the members of response_format open; a missing schema gives the plainest value.
  return exampleOf((format.json_schema as { schema?: unknown } | undefined)?.schema, texts);
}

/**
 * A tool the caller insists on, else the first one offered, unless the turn already has its result
 * or the question is one that the sandbox can answer by itself.
 */
function toolToCall(request: ChatCompletionRequest): ToolDefinition | undefined {
  const tools = (request.tools ?? []).filter((tool) => tool.type === 'function');
  const choice = request.tool_choice;
  if (choice === 'none' || request.messages.at(-1)?.role === 'tool') return undefined;
  if (typeof choice === 'object') {
    // Chat completions nest the name in `function`, responses do not.
    const chosen = choice as { name?: string; function?: { name?: string } };
    const name = chosen.function?.name ?? chosen.name;
    return tools.find((tool) => tool.function.name === name);
  }
  const question = textOf(request.messages.findLast((message) => message.role === 'user')?.content ?? null);
  return choice === 'required' || solveEquation(question) === undefined ? tools[0] : undefined;
}

function textOf(content: ChatCompletionRequest['messages'][number]['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => part.text ?? '').join('');
}

/** Under both sets of names: chat completions read the first two, responses the others. */
function usage(inputTokens: number, outputTokens: number) {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  };
}
