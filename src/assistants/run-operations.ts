// Runs and their steps: begun, read, answered, stopped. What a run does after it is queued is the engine's.
import type { NewRun } from '../domain/assistant-store.ts';
import type { RunId, StepId, ThreadId } from '../domain/assistants.ts';
import { type TeamId, newObjectId } from '../domain/id.ts';
import { type Run, type RunSpec, isTerminal } from '../domain/run.ts';
import { POLL_AFTER_HEADER, POLL_HELPER_HEADER, UPSTREAM_MODEL_HEADER } from '../http/headers.ts';
import * as errors from './api-error.ts';
import { knownAssistant } from './assistant-operations.ts';
import { type Answer, type Asked, type Desk, type Operation, object, secondsNow } from './desk.ts';
import { includeOf, listOf, pageOf } from './lists.ts';
import { resolveModel } from './models.ts';
import { imagesIn } from './named-objects.ts';
import { attach, makeResources } from './resources.ts';
import { runSpec } from './run-spec.ts';
import { knownThread, newMessage, newThread } from './thread-operations.ts';
import { parseBody } from './validate.ts';
import { runObject, stepObject } from './wire.ts';

/** How long a poll of an SDK's helper is held while the run does not change. */
const HOLD_MS = 1000;
/** What an SDK's helper is told to wait: it was held already. */
const POLL_AFTER_HOLD_MS = 200;

export const createRun: Operation = async (desk, asked) => {
  const include = includeOf(asked.query);
  const { caller, ids, body, calls, named } = asked;
  const wanted = parseBody(desk.schemas.createRun, body);
  const thread = await knownThread(desk, caller.team.id, ids.thread_id);
  const assistant = await knownAssistant(desk, caller.team.id, wanted.assistant_id as `asst_${string}`);
  const active = await desk.store.findActiveRun(caller.team.id, thread.id);
  if (active !== null) throw errors.lockedForRuns(thread.id, active.id);
  refuseOverload(desk);

  const run = newRun(desk, asked, {
    assistantId: assistant.id,
    spec: await servedSpec(desk, runSpec(assistant, wanted, null), calls),
    metadata: wanted.metadata ?? {},
    include,
  });
  const messages = (wanted.additional_messages ?? []).map((message) =>
    newMessage(message, caller.team.id, thread.id, run.createdAt),
  );
  const attachments = messages.flatMap((message) => message.attachments);
  await named.images(imagesIn(messages));
  const create = async () => {
    const { toolResources } = attachments.length === 0 ? thread : await knownThread(desk, caller.team.id, thread.id);
    const resources = await attach(attachments, toolResources, { calls, named });
    return desk.store.createRun({ ...run, thread: thread.id, additionalMessages: messages, resources });
  };
  const outcome = await (attachments.length === 0 ? create() : desk.inTurn(thread.id, create));
  return begun(desk, outcome, thread.id, wanted.stream === true);
};

export const createThreadAndRun: Operation = async (desk, asked) => {
  const include = includeOf(asked.query);
  const { caller, body, calls, named } = asked;
  const wanted = parseBody(desk.schemas.createThreadAndRun, body);
  const assistant = await knownAssistant(desk, caller.team.id, wanted.assistant_id as `asst_${string}`);
  refuseOverload(desk);
  // Looked at before the upstream makes anything.
  const spec = await servedSpec(desk, runSpec(assistant, wanted, null), calls);
  const made = await newThread(desk, asked, wanted.thread ?? { metadata: undefined });
  const toolResources = wanted.tool_resources
    ? await makeResources(wanted.tool_resources, 'assistant', { calls, named })
    : spec.toolResources;
  const run = newRun(desk, asked, {
    assistantId: assistant.id,
    spec: { ...spec, toolResources },
    metadata: wanted.metadata ?? {},
    include,
  });
  const outcome = await desk.store.createRun({ ...run, thread: made, additionalMessages: [] });
  return begun(desk, outcome, made.thread.id, wanted.stream === true);
};

/** @throws ApiError early, rather than let the run fail later */
async function servedSpec({ engine, models }: Desk, spec: RunSpec, calls: Asked['calls']): Promise<RunSpec> {
  const unserved = engine.unserved(spec);
  if (unserved !== null) throw errors.toolUnsupported(unserved);
  await models.check(spec.model, calls);
  return spec;
}

function newRun(
  desk: Desk,
  { caller }: Asked,
  run: Pick<NewRun, 'assistantId' | 'spec' | 'metadata' | 'include'>,
): Omit<NewRun, 'thread' | 'additionalMessages'> {
  const createdAt = secondsNow(desk);
  return {
    ...run,
    teamId: caller.team.id,
    keyId: caller.key.id,
    id: newObjectId('run_'),
    createdAt,
    expiresAt: createdAt + desk.settings.runTtlSeconds,
  };
}

function refuseOverload({ settings, queuedRuns }: Desk): void {
  if (queuedRuns() >= settings.queuedRunsMax) throw errors.tooManyQueued(settings.queuedRunsMax);
}

function begun(
  desk: Desk,
  outcome: Awaited<ReturnType<Desk['store']['createRun']>>,
  thread: ThreadId,
  isStreamed: boolean,
): Answer {
  if (outcome.kind === 'no_thread') throw errors.noSuch('thread', thread);
  if (outcome.kind === 'locked') throw errors.lockedForRuns(thread, outcome.runId);
  if (outcome.kind === 'full') throw errors.tooManyMessages(outcome.messages);
  return started(desk, outcome.run, 0, isStreamed);
}

function started(desk: Desk, run: Run, afterSeq: number, isStreamed: boolean): Answer {
  if (isStreamed)
    return { kind: 'stream', run, afterSeq, isNumbered: false, startsRun: true, headers: modelHeader(desk, run.spec) };
  desk.engine.start(run);
  return object(runObject(run), runHeaders(desk, run));
}

export const retrieveRun: Operation = async (desk, { caller, ids, header, signal }) => {
  const run = await knownRun(desk, caller.team.id, ids.thread_id, ids.run_id);
  if (isTerminal(run.status) || run.status === 'requires_action' || header(POLL_HELPER_HEADER) !== 'true') {
    return object(runObject(run), runHeaders(desk, run));
  }
  await changed(desk, run, signal);
  const now = await knownRun(desk, caller.team.id, ids.thread_id, ids.run_id);
  return object(runObject(now), [POLL_AFTER_HEADER, String(POLL_AFTER_HOLD_MS), ...modelHeader(desk, now.spec)]);
};

/** Until the run has something new to tell, or its caller has waited long enough. */
function changed({ onRunChange }: Desk, run: Run, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      forget();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, HOLD_MS);
    const forget = onRunChange(run.ref, done);
    signal.addEventListener('abort', done);
  });
}

export const modifyRun: Operation = async (desk, { caller, ids, body }) => {
  const { metadata } = parseBody(desk.schemas.modifyMetadata, body);
  const run = await knownRun(desk, caller.team.id, ids.thread_id, ids.run_id);
  const changed =
    metadata === undefined ? run : await desk.store.updateRun(caller.team.id, ids.thread_id, ids.run_id, metadata);
  if (changed === null) throw errors.noSuch('run', ids.run_id);
  return object(runObject(changed), runHeaders(desk, changed));
};

export const listRuns: Operation = async ({ store }, { caller, ids, query }) => {
  const page = pageOf<RunId>(query, 'run');
  const list = await store.listRuns(caller.team.id, ids.thread_id, page);
  if (list === null) throw errors.noSuch('thread', ids.thread_id);
  return object(listOf(page, list, runObject));
};

export const cancelRun: Operation = async (desk, { caller, ids, body }) => {
  parseBody(desk.schemas.empty, body);
  const outcome = await desk.store.cancelRun(caller.team.id, ids.thread_id, ids.run_id);
  if (outcome.kind === 'no_run') throw await missingRun(desk, caller.team.id, ids.thread_id, ids.run_id);
  if (outcome.kind === 'wrong_state') throw errors.notCancellable(outcome.status);
  if (outcome.isEnded) desk.wakeups.publish('events', String(outcome.run.ref));
  else desk.engine.cancelRequested(outcome.run);
  return object(runObject(outcome.run), runHeaders(desk, outcome.run));
};

export const submitToolOutputs: Operation = async (desk, { caller, ids, body }) => {
  const asked = parseBody(desk.schemas.submitToolOutputs, body);
  const outputs = asked.tool_outputs.map(({ tool_call_id: callId, output }) => ({ callId, output: output ?? '' }));
  const expiresAt = desk.settings.extendOnSubmit ? secondsNow(desk) + desk.settings.runTtlSeconds : null;
  const outcome = await desk.store.submitOutputs(caller.team.id, ids.thread_id, ids.run_id, outputs, expiresAt);
  if (outcome.kind === 'no_run') throw await missingRun(desk, caller.team.id, ids.thread_id, ids.run_id);
  if (outcome.kind === 'wrong_state') throw errors.takesNoOutputs(outcome.status);
  if (outcome.kind === 'mismatch')
    throw errors.outputsMismatch(
      outcome.expected,
      outputs.map(({ callId }) => callId),
    );
  return started(desk, outcome.run, outcome.afterSeq, asked.stream === true);
};

/** Our own: the events of a run from any place on, for clients that lost their connection. */
export const readRunEvents: Operation = async (desk, { caller, ids, query }) => {
  const run = await knownRun(desk, caller.team.id, ids.thread_id, ids.run_id);
  const after = Number(query.get('after') ?? '0');
  // The place of a delta is a fraction.
  if (!Number.isFinite(after) || after < 0) throw errors.invalidType('after', 'a number', 'a string');
  return {
    kind: 'stream',
    run,
    afterSeq: after,
    isNumbered: true,
    startsRun: false,
    headers: modelHeader(desk, run.spec),
  };
};

export const listSteps: Operation = async (desk, { caller, ids, query }) => {
  const page = pageOf<StepId>(query, 'step');
  const include = includeOf(query);
  const list = await desk.store.listSteps(caller.team.id, ids.thread_id, ids.run_id, page);
  if (list === null) throw await missingRun(desk, caller.team.id, ids.thread_id, ids.run_id);
  return object(listOf(page, list, (step) => stepObject(step, include)));
};

export const retrieveStep: Operation = async (desk, { caller, ids, query }) => {
  const include = includeOf(query);
  const step = await desk.store.findStep(caller.team.id, ids.thread_id, ids.run_id, ids.step_id);
  if (step !== null) return object(stepObject(step, include));
  await knownRun(desk, caller.team.id, ids.thread_id, ids.run_id);
  throw errors.noSuch('step', ids.step_id);
};

/** @throws ApiError */
async function knownRun(desk: Desk, team: TeamId, thread: ThreadId, id: RunId): Promise<Run> {
  const run = await desk.store.findRun(team, thread, id);
  if (run === null) throw await missingRun(desk, team, thread, id);
  return run;
}

/** Which of the two ids is unknown. */
async function missingRun({ store }: Desk, team: TeamId, thread: ThreadId, run: RunId) {
  return (await store.findThread(team, thread)) === null ? errors.noSuch('thread', thread) : errors.noSuch('run', run);
}

function runHeaders(desk: Desk, run: Run): string[] {
  return [POLL_AFTER_HEADER, String(pollAfterMs(secondsNow(desk) - run.createdAt)), ...modelHeader(desk, run.spec)];
}

/** Soon while a run is young, for then it most often ends. */
function pollAfterMs(ageSeconds: number): number {
  if (ageSeconds < 5) return 250;
  return ageSeconds < 30 ? 500 : 1000;
}

/** Tells who looks that another model answers than the one that the user named. */
function modelHeader({ settings }: Desk, { model }: RunSpec): string[] {
  const called = resolveModel(model, settings.modelAliases);
  return called === model ? [] : [UPSTREAM_MODEL_HEADER, called];
}
