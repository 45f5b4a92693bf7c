// A run that another worker began: what its last turn left behind, and how it goes on. Pure.
import type { Message } from '../domain/assistants.ts';
import { type Run, type RunError, type RunStep, type Usage, brokenOff, eventsOf } from '../domain/run.ts';
import { estimateMessage } from './tokens.ts';
import { Told } from './told.ts';
import { NO_USAGE, completedStep, isCommentary, stoppedStep } from './turn-items.ts';

export interface RunRows {
  readonly run: Run;
  readonly messages: readonly Message[];
  readonly steps: readonly RunStep[];
}

export interface Recovery {
  /** Closes what was left open. */
  readonly told: Told;
  /** The answer is there and can be read: it must not be given again. Its usage was lost, and is estimated. */
  readonly answer: Usage | null;
  /** A turn was begun that did not end. */
  readonly isBroken: boolean;
}

const LOST: RunError = { code: 'server_error', message: 'The process that executed this run was lost.' };

/** @param at whole seconds */
export function recover({ run, messages, steps }: RunRows, at: number): Recovery {
  const ofTurn = steps.filter(({ origin }) => origin?.turn === run.turn).toSorted((a, b) => place(a) - place(b));
  const isAnsweredByTools = ofTurn.some((step) => isFunctionStep(step) && step.status === 'completed');
  const last = ofTurn.at(-1);
  const said = last === undefined ? undefined : messageOf(last, messages);
  const isAnswer = !isAnsweredByTools && said?.status === 'completed' && !isCommentary(said);

  const told = new Told();
  const answer = isAnswer ? estimatedUsage(messages.filter(({ origin }) => origin?.turn === run.turn)) : null;
  for (const step of steps) {
    if (step.status !== 'in_progress') continue;
    const message = messageOf(step, messages);
    if (message?.status === 'completed' || (message === undefined && isHostedDone(step))) {
      told.step('completed', completedStep(step, step === last && answer !== null ? answer : NO_USAGE, at));
      continue;
    }
    if (message?.status === 'in_progress') told.message('incomplete', brokenOff(message, 'run_failed', at));
    const error = { code: 'server_error', message: LOST.message } as const;
    told.step('failed', stoppedStep(step, { message: 'run_failed', step: 'failed', error }, at));
  }
  return { told, answer, isBroken: run.turn > 0 && !isAnsweredByTools };
}

/** What came behind the last function call, and waited for its outputs: told now, when its step is complete. */
export function deferred({ messages, steps }: RunRows): Told {
  const told = new Told();
  const call = steps.filter((step) => isFunctionStep(step) && step.status === 'completed').at(-1);
  if (call === undefined) return told;
  const later = steps.filter(
    (step) => step.origin?.turn === call.origin?.turn && place(step) > place(call) && step.status === 'completed',
  );
  for (const step of later.toSorted((a, b) => place(a) - place(b)))
    told.events.push(...eventsOf(step, messageOf(step, messages)));
  return told;
}

function place(step: RunStep): number {
  return step.origin?.outIx ?? -1;
}

function isFunctionStep({ details }: RunStep): boolean {
  return details.type === 'tool_calls' && details.tool_calls.some(({ type }) => type === 'function');
}

/** Its call is written only when it is done, so a call in the step means that nothing but its usage is missing. */
function isHostedDone({ details }: RunStep): boolean {
  return (
    details.type === 'tool_calls' &&
    details.tool_calls.length > 0 &&
    details.tool_calls.every(({ type }) => type !== 'function')
  );
}

function messageOf({ details }: RunStep, messages: readonly Message[]): Message | undefined {
  if (details.type !== 'message_creation') return undefined;
  return messages.find(({ id }) => id === details.message_creation.message_id);
}

function estimatedUsage(said: readonly Message[]): Usage {
  const tokens = said.reduce((sum, message) => sum + estimateMessage(message), 0);
  return { ...NO_USAGE, completion_tokens: tokens, total_tokens: tokens };
}
