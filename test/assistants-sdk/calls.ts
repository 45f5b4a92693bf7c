// The calls whose arguments differ between the majors of the SDK, under one order: the thread, the object, the rest.
import type { OpenAI } from 'openai';
import type { OpenAI as OpenAI4 } from 'openai-v4';
import type { AssistantStream } from 'openai/lib/AssistantStream';

export type Run = OpenAI.Beta.Threads.Run;
export type Message = OpenAI.Beta.Threads.Message;
export type RunStep = OpenAI.Beta.Threads.Runs.RunStep;
export type ToolOutput = { readonly tool_call_id: string; readonly output: string };

export interface Calls {
  deleteAssistant(id: string): Promise<OpenAI.Beta.AssistantDeleted>;
  deleteThread(id: string): Promise<OpenAI.Beta.ThreadDeleted>;
  retrieveMessage(thread: string, id: string): Promise<Message>;
  updateMessage(thread: string, id: string, metadata: Record<string, string>): Promise<Message>;
  deleteMessage(thread: string, id: string): Promise<OpenAI.Beta.Threads.MessageDeleted>;
  retrieveRun(thread: string, id: string): Promise<Run>;
  updateRun(thread: string, id: string, metadata: Record<string, string>): Promise<Run>;
  cancelRun(thread: string, id: string): Promise<Run>;
  pollRun(thread: string, id: string): Promise<Run>;
  submitAndPoll(thread: string, run: string, outputs: ToolOutput[]): Promise<Run>;
  submitAndStream(thread: string, run: string, outputs: ToolOutput[]): AssistantStream;
  listSteps(thread: string, run: string): Promise<{ data: RunStep[] }>;
  retrieveStep(thread: string, run: string, id: string): Promise<RunStep>;
}

/** openai 5 and every later one. */
export function callsOf(client: OpenAI): Calls {
  const { assistants, threads } = client.beta;
  const { messages, runs } = threads;
  return {
    deleteAssistant: (id) => assistants.delete(id),
    deleteThread: (id) => threads.delete(id),
    retrieveMessage: (thread_id, id) => messages.retrieve(id, { thread_id }),
    updateMessage: (thread_id, id, metadata) => messages.update(id, { thread_id, metadata }),
    deleteMessage: (thread_id, id) => messages.delete(id, { thread_id }),
    retrieveRun: (thread_id, id) => runs.retrieve(id, { thread_id }),
    updateRun: (thread_id, id, metadata) => runs.update(id, { thread_id, metadata }),
    cancelRun: (thread_id, id) => runs.cancel(id, { thread_id }),
    pollRun: (thread_id, id) => runs.poll(id, { thread_id }),
    submitAndPoll: (thread_id, run, tool_outputs) => runs.submitToolOutputsAndPoll(run, { thread_id, tool_outputs }),
    submitAndStream: (thread_id, run, tool_outputs) => runs.submitToolOutputsStream(run, { thread_id, tool_outputs }),
    listSteps: (thread_id, run) => runs.steps.list(run, { thread_id }),
    retrieveStep: (thread_id, run_id, id) => runs.steps.retrieve(id, { thread_id, run_id }),
  };
}

export function callsOf4(client: OpenAI4): Calls {
  const { assistants, threads } = client.beta;
  const { messages, runs } = threads;
  const calls = {
    deleteAssistant: (id: string) => assistants.del(id),
    deleteThread: (id: string) => threads.del(id),
    retrieveMessage: (thread: string, id: string) => messages.retrieve(thread, id),
    updateMessage: (thread: string, id: string, metadata: Record<string, string>) =>
      messages.update(thread, id, { metadata }),
    deleteMessage: (thread: string, id: string) => messages.del(thread, id),
    retrieveRun: (thread: string, id: string) => runs.retrieve(thread, id),
    updateRun: (thread: string, id: string, metadata: Record<string, string>) => runs.update(thread, id, { metadata }),
    cancelRun: (thread: string, id: string) => runs.cancel(thread, id),
    pollRun: (thread: string, id: string) => runs.poll(thread, id),
    submitAndPoll: (thread: string, run: string, tool_outputs: ToolOutput[]) =>
      runs.submitToolOutputsAndPoll(thread, run, { tool_outputs }),
    submitAndStream: (thread: string, run: string, tool_outputs: ToolOutput[]) =>
      runs.submitToolOutputsStream(thread, run, { tool_outputs }),
    listSteps: (thread: string, run: string) => runs.steps.list(thread, run),
    retrieveStep: (thread: string, run: string, id: string) => runs.steps.retrieve(thread, run, id),
  };
  // The objects of two majors are never the same types; the members that the scenarios read are the same in both.
  return calls as unknown as Calls;
}
