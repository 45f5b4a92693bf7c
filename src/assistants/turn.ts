// One turn of a run: one upstream call that goes through, after as many that did not as it takes. Says how the turn ended; what
// there is to tell of it goes to the run's outbox on the way.
import type { AssistantStore } from '../domain/assistant-store.ts';
import type { Thread } from '../domain/assistants.ts';
import type { Clock } from '../domain/clock.ts';
import type { Generate, GenerateReply } from '../domain/generate.ts';
import { newObjectId } from '../domain/id.ts';
import type { Run, RunError, TurnEnd, Usage } from '../domain/run.ts';
import type { Log } from '../telemetry/log.ts';
import { readChatStream, type StreamReader } from './chat-events.ts';
import { Products } from './containers.ts';
import type { EngineSettings, EngineTimes } from './engine-settings.ts';
import { eventBatches } from './event-stream.ts';
import { type Verdict, judge, judgeRefusal, judgeResponse, judgeUnreachable, type Remedy } from './failures.ts';
import { searchStores, storesReady } from './file-search.ts';
import { LeaseLost, type Outbox } from './outbox.ts';
import { type Prepared, prepareTurn } from './prepare.ts';
import {
  type ItemSignal,
  type ResponseEnd,
  type Signal,
  endOfResponse,
  readResponsesStream,
} from './responses-events.ts';
import { failureOf, originOf, readBytes, type RunCalls, runCalls } from './run-calls.ts';
import { estimateMessage, estimateTokens } from './tokens.ts';
import type { Told } from './told.ts';
import type { Traits } from './traits.ts';
import { CONTENT_FILTERED, Translation } from './translate.ts';
import { NO_USAGE } from './turn-items.ts';
import { type JsonObject, objectsIn, parseObject, stringsIn } from './upstream-json.ts';

export interface TurnParts {
  readonly store: AssistantStore;
  readonly generate: Generate;
  readonly traits: Traits;
  readonly settings: EngineSettings;
  readonly times: EngineTimes;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a worker knows of the run that it holds. */
export interface HeldRun {
  readonly run: Run;
  /** Summed over the turns so far. */
  readonly usage: Usage;
  /** This is the first turn that the run makes here: files of its thread may still be read in. */
  readonly isFirstHere: boolean;
  /** The turn was begun before, and broke. */
  readonly isRerun: boolean;
  /** Turns that broke in the middle, one after the other. */
  readonly breaks: number;
  readonly outbox: Outbox;
  /** Fires when the run must stop; its reason says why. */
  readonly signal: AbortSignal;
  /** Resolves when somebody begins to read along. */
  poked(): Promise<void>;
  /** What is under way, so that it can be closed when the run must stop. */
  translating(translation: Translation | null): void;
}

export type TurnResult =
  | { readonly kind: 'end'; readonly end: TurnEnd; readonly usage: Usage | null }
  /** The turn is made again, or another one follows without anybody's doing. */
  | { readonly kind: 'again'; readonly usage: Usage | null; readonly isRerun: boolean };

/** A turn that breaks in the middle is made again this often. */
const BREAKS_MAX = 1;
const LESS_CONTEXT_MAX = 3;
/** Longest reply of an upstream that does not stream, bytes. */
const WHOLE_REPLY_BYTES_MAX = 32 * 1024 * 1024;
/** How long the rest of a reply is read after its end was told, for the sake of the exchange's record. */
const REST_MS = 2_000;

/** What has been tried in this turn. */
interface Tries {
  waits: number;
  readonly changes: Map<Remedy, number>;
  contextTokensMax: number | null;
  isFreshContainer: boolean;
  /** The upstream began to answer and broke off: what comes next is the same turn again. */
  wasAnswered: boolean;
}

/** @throws LeaseLost, or the signal's reason */
export async function makeTurn(parts: TurnParts, held: HeldRun, turn: number): Promise<TurnResult> {
  const { store, clock } = parts;
  const { run, signal } = held;
  const thread = await store.findThread(run.teamId, run.threadId);
  if (thread === null) throw new LeaseLost(`the thread ${run.threadId} is gone`);
  const calls = runCalls(parts.generate, run, turn, signal);
  if (held.isFirstHere && run.spec.tools.some((tool) => tool.type === 'file_search')) {
    const error = await whileTelling(parts.times, held, storesReady(calls, run.spec, thread, clock, signal));
    if (error !== null) return failed(error, null);
  }

  const tries: Tries = {
    waits: 0,
    changes: new Map(),
    contextTokensMax: null,
    isFreshContainer: false,
    wasAnswered: false,
  };
  for (;;) {
    signal.throwIfAborted();
    const prepared = await prepareTurn(parts, held, thread, calls, tries);
    if (prepared.kind === 'end') return { kind: 'end', end: prepared.end, usage: null };
    const leave = new AbortController();
    const reply = await whileTelling(parts.times, held, callModel(parts, held, prepared, turn, tries, leave.signal));
    const verdict = await judgeReply(reply);
    if (verdict === null && reply.kind === 'answered') {
      const followed = await follow(parts, held, {
        thread,
        turn,
        prepared,
        calls,
        body: reply.body,
        headers: reply.headers,
        leave: () => leave.abort(),
      });
      if (followed.kind !== 'verdict') return followed;
      tries.wasAnswered = true;
      const error = await nextTry(parts, held, tries, prepared, followed.verdict);
      if (error !== null) return failed(error, followed.usage);
      continue;
    }
    signal.throwIfAborted();
    const error = await nextTry(parts, held, tries, prepared, verdict!);
    if (error !== null) return failed(error, null);
  }
}

function failed(error: RunError, usage: Usage | null): TurnResult {
  return { kind: 'end', end: { status: 'failed', error, usage: null }, usage };
}

function callModel(
  parts: TurnParts,
  { run, signal, isRerun }: HeldRun,
  prepared: Ready,
  turn: number,
  tries: Tries,
  left: AbortSignal,
): Promise<GenerateReply> {
  return parts.generate({
    teamId: run.teamId,
    keyId: run.keyId,
    run: originOf(run, turn, isRerun || tries.wasAnswered),
    method: 'POST',
    path: prepared.path,
    headers: ['content-type', 'application/json', 'accept', 'text/event-stream', 'accept-encoding', 'identity'],
    body: Buffer.from(JSON.stringify(prepared.body)),
    signal: AbortSignal.any([signal, left]),
  });
}

type Ready = Extract<Prepared, { kind: 'ready' }>;

/** Null for a reply that is worth reading. */
async function judgeReply(reply: GenerateReply): Promise<Verdict | null> {
  if (reply.kind === 'refused') return judgeRefusal(reply.refusal);
  if (reply.kind === 'unreachable') return judgeUnreachable(reply.code);
  const failure = await failureOf(reply);
  return failure === null ? null : judge(failure);
}

/** Waits, or changes something about the next try. @returns what the run fails with where there is no use in another */
async function nextTry(
  parts: TurnParts,
  held: HeldRun,
  tries: Tries,
  prepared: Ready,
  verdict: Verdict,
): Promise<RunError | null> {
  switch (verdict.do) {
    case 'fail':
      return verdict.error;
    case 'wait': {
      if (tries.waits >= parts.settings.upstreamRetriesMax) return verdict.error;
      const waitMs = verdict.afterMs ?? parts.times.backoffMs * 2 ** tries.waits;
      tries.waits++;
      // A wait that outlasts the run would end it as expired, and its caller would not learn why.
      if (parts.store.now() + waitMs >= held.run.expiresAt * 1000) return verdict.error;
      await whileTelling(parts.times, held, pause(waitMs, held.signal));
      held.signal.throwIfAborted();
      return null;
    }
    case 'change': {
      const { remedy, error } = verdict;
      const times = (tries.changes.get(remedy) ?? 0) + 1;
      tries.changes.set(remedy, times);
      if (times > (remedy === 'less_context' ? LESS_CONTEXT_MAX : 1)) return error;
      return change(parts, tries, prepared, remedy) ? null : error;
    }
  }
}

/** @returns false where the change would change nothing */
function change({ traits, settings }: TurnParts, tries: Tries, prepared: Ready, remedy: Remedy): boolean {
  switch (remedy) {
    case 'less_context':
      if (prepared.isLeastContext) return false;
      tries.contextTokensMax = Math.floor(prepared.contextTokens / 2);
      return true;
    case 'new_container':
      tries.isFreshContainer = true;
      return prepared.containerId !== null;
    case 'chat':
      if (settings.engine !== 'auto' || prepared.isChat) return false;
      traits.learn(prepared.model, remedy);
      return true;
    case 'without_sampling':
    case 'without_reasoning':
    case 'old_limit':
      traits.learn(prepared.model, remedy);
      return true;
  }
}

/** Until the time is over, or the run must stop. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** Waits for the upstream, and meanwhile tells what somebody waits for, or what has waited long enough. */
async function whileTelling<T>(times: EngineTimes, held: HeldRun, awaited: Promise<T>): Promise<T> {
  const { outbox } = held;
  // Nobody waits for it any more where telling fails; then its failure is no news.
  awaited.catch(() => {});
  while (!outbox.isEmpty) {
    if (outbox.isUrgent) await outbox.flush();
    else if ((await orQuiet(times, held, awaited)) !== QUIET) break;
    else await outbox.flush();
  }
  return awaited;
}

const QUIET = Symbol('quiet');

/** QUIET when what waits to be told must wait no longer: its time is over, or somebody begins to read along. */
async function orQuiet<T>(
  times: EngineTimes,
  { outbox, poked }: HeldRun,
  awaited: Promise<T>,
): Promise<T | typeof QUIET> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof QUIET>((resolve) => {
    timer = setTimeout(resolve, outbox.isDurable ? times.graceMs : times.untoldMs, QUIET);
  });
  const read = poked().then((): typeof QUIET => QUIET);
  try {
    return await Promise.race([awaited, late, read]);
  } finally {
    clearTimeout(timer);
  }
}

interface Followed {
  readonly thread: Thread;
  readonly turn: number;
  readonly prepared: Ready;
  readonly calls: RunCalls;
  readonly body: AsyncIterable<Buffer>;
  readonly headers: ReadonlyMap<string, string>;
  /** Ends the call, whatever is still to come. */
  readonly leave: () => void;
}

type FollowResult = TurnResult | { readonly kind: 'verdict'; readonly verdict: Verdict; readonly usage: Usage | null };

/** Reads the reply of the model as it comes, and tells it. */
async function follow(parts: TurnParts, held: HeldRun, followed: Followed): Promise<FollowResult> {
  const { outbox, signal } = held;
  const { prepared, calls } = followed;
  const products = new Products({ store: parts.store, run: held.run, calls, log: parts.log }, prepared.containerId);
  const translation = new Translation({
    run: held.run,
    turn: followed.turn,
    now: () => Math.floor(parts.store.now() / 1000),
    newId: newObjectId,
    searches: prepared.searches,
    products,
  });
  held.translating(translation);
  const told = new ToldTokens();

  const take = async (signals: readonly Signal[]): Promise<ResponseEnd | null> => {
    for (const one of signals) {
      if (one.type === 'end') return one.end;
      const ready = await beforeItem(held, followed, products, one.signal);
      const more = translation.feed(ready);
      told.add(more);
      outbox.add(more);
    }
    return null;
  };

  let end: ResponseEnd | null;
  try {
    end = await readReply(parts, held, followed, take);
  } catch (error) {
    if (signal.aborted || !(error instanceof BrokenReply)) throw error;
    end = null;
  }
  await products.settle();
  if (products.containerId !== null) {
    const files = [...followed.thread.containerFiles, ...products.upstreamIds].slice(-CONTAINER_FILES_MAX);
    outbox.keepContainer({ id: products.containerId, usedAt: parts.store.now() }, files);
  }
  if (end === null) return broken(held, translation, prepared, told);
  if (end.status === 'failed') return responseFailed(held, translation, end);

  const outcome = translation.end(end);
  told.add(outcome.told);
  outbox.add(outcome.told);
  const usage = outcome.usage ?? told.estimate(prepared.promptTokens);
  switch (outcome.status) {
    case 'completed':
      return { kind: 'end', end: { status: 'completed', usage }, usage };
    case 'requires_action':
      return { kind: 'end', end: { status: 'requires_action', pendingCalls: outcome.pendingCalls, usage }, usage };
    case 'continues':
      return { kind: 'again', usage, isRerun: false };
    case 'cut':
      return { kind: 'end', end: { status: 'incomplete', reason: 'max_completion_tokens', usage }, usage };
    case 'filtered':
      return failed({ code: 'server_error', message: CONTENT_FILTERED }, usage);
  }
}

/** Upstream ids of what code left, that a thread remembers. */
const CONTAINER_FILES_MAX = 20;

/** The upstream left before the end, or the reply could not be read on. */
class BrokenReply extends Error {
  override readonly name = 'BrokenReply';
}

/** What has to be had from elsewhere before an item can be told. */
async function beforeItem(
  held: HeldRun,
  { prepared, calls }: Followed,
  products: Products,
  signal: ItemSignal,
): Promise<ItemSignal> {
  const { op, kind } = signal;
  switch (op.type) {
    case 'annotation':
      products.cited(op.annotation);
      return signal;
    case 'part_done':
      for (const annotation of objectsIn(op.content, 'annotations')) products.cited(annotation);
      return signal;
    case 'done':
      if (kind === 'message') {
        for (const part of objectsIn(op.item, 'content'))
          for (const annotation of objectsIn(part, 'annotations')) products.cited(annotation);
        await products.settle();
      }
      if (kind === 'code_interpreter_call') {
        // Copies may take seconds: what was said before is told first.
        if (held.outbox.isUrgent) await held.outbox.flush();
        await products.collect(op.item);
      }
      if (kind === 'file_search_call' && prepared.isChat) {
        const { spec } = held.run;
        const results = await searchStores(
          calls,
          spec,
          prepared.vectorStoreIds,
          stringsIn(op.item, 'queries'),
          prepared.searches,
        );
        return { ...signal, op: { type: 'done', item: { ...op.item, results } } };
      }
      return signal;
    default:
      return signal;
  }
}

type Take = (signals: readonly Signal[]) => Promise<ResponseEnd | null>;

/** @returns null where the reply ended without saying so @throws BrokenReply */
async function readReply(parts: TurnParts, held: HeldRun, followed: Followed, take: Take): Promise<ResponseEnd | null> {
  const { body, headers, prepared, leave } = followed;
  const reader: StreamReader = prepared.isChat ? readChatStream() : responsesReader();
  const isStream = (headers.get('content-type') ?? '').startsWith('text/event-stream');
  if (!isStream) return take(await readWhole(body, prepared.isChat, reader));

  const batches = eventBatches(body)[Symbol.asyncIterator]();
  let next = batches.next();
  for (;;) {
    const came = await whileTelling(parts.times, held, orBroken(next, held.signal));
    if (came.done === true) return take(reader.finish());
    next = batches.next();
    // Looked at only when it is its turn.
    next.catch(() => {});
    for (const event of came.value) {
      const end = await take(reader.read(event));
      if (end === null) continue;
      readRest(next, batches, leave);
      return end;
    }
    held.outbox.tellDeltas();
  }
}

async function orBroken<T>(next: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await next;
  } catch (cause) {
    signal.throwIfAborted();
    throw new BrokenReply(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Behind the end come a few bytes that say nothing: read, so that the exchange counts as complete. */
function readRest<T>(next: Promise<IteratorResult<T>>, batches: AsyncIterator<T>, leave: () => void): void {
  const read = async () => {
    for (let came = await next; came.done !== true; came = await batches.next());
  };
  const timer = setTimeout(leave, REST_MS);
  timer.unref();
  void read()
    .catch(() => {})
    .finally(() => clearTimeout(timer));
}

async function readWhole(
  body: AsyncIterable<Buffer>,
  isChat: boolean,
  reader: StreamReader,
): Promise<readonly Signal[]> {
  let json: JsonObject | null;
  try {
    json = parseObject((await readBytes(body, WHOLE_REPLY_BYTES_MAX)).toString('utf8'));
  } catch (cause) {
    throw new BrokenReply('the reply broke off', { cause });
  }
  if (json === null) throw new BrokenReply('the reply is neither a stream nor JSON');
  if (isChat) return [...reader.read(json), ...reader.finish()];
  return [{ type: 'end', end: endOfResponse(json) }];
}

function responsesReader(): StreamReader {
  const read = readResponsesStream();
  return {
    read(event) {
      const signal = read(event);
      return signal === null ? [] : [signal];
    },
    finish: () => [],
  };
}

/** The stream ended before the response did. */
function broken(held: HeldRun, translation: Translation, prepared: Ready, told: ToldTokens): FollowResult {
  const error: RunError = { code: 'server_error', message: 'The upstream broke off in the middle of its answer.' };
  if (!translation.hasBegun) return { kind: 'verdict', verdict: { do: 'wait', afterMs: null, error }, usage: null };
  if (translation.isAnswered) {
    // The caller can read the answer already: it is not to be given a second time.
    const outcome = translation.end({
      status: 'completed',
      output: [],
      usage: null,
      incompleteReason: null,
      error: null,
      continues: false,
    });
    held.outbox.add(outcome.told);
    const usage = told.estimate(prepared.promptTokens);
    return { kind: 'end', end: { status: 'completed', usage }, usage };
  }
  const isSilent = translation.isOpen && held.outbox.takeBackOpen();
  if (!isSilent) held.outbox.add(translation.stop({ message: 'run_failed', step: 'failed', error: stepError(error) }));
  held.translating(null);
  return held.breaks < BREAKS_MAX ? { kind: 'again', usage: null, isRerun: true } : failed(error, null);
}

function responseFailed(held: HeldRun, translation: Translation, { error, usage }: ResponseEnd): FollowResult {
  const verdict = judgeResponse(error ?? { code: 'server_error', message: 'The model failed.' });
  if (!translation.hasBegun) return { kind: 'verdict', verdict, usage };
  held.outbox.add(translation.stop({ message: 'run_failed', step: 'failed', error: stepError(verdict.error) }));
  held.translating(null);
  return failed(verdict.error, usage);
}

/** Steps know two codes only. */
export function stepError({ code, message }: RunError): {
  readonly code: 'server_error' | 'rate_limit_exceeded';
  readonly message: string;
} {
  return { code: code === 'rate_limit_exceeded' ? code : 'server_error', message };
}

/** How much the model has said, for upstreams that do not count. */
class ToldTokens {
  #tokens = 0;

  add(told: Told): void {
    for (const event of told.events) {
      if (event.event === 'thread.message.completed') this.#tokens += estimateMessage(event.message);
      if (event.event === 'thread.run.step.delta') this.#tokens += estimateTokens(JSON.stringify(event.delta));
    }
  }

  estimate(promptTokens: number): Usage {
    return {
      ...NO_USAGE,
      prompt_tokens: promptTokens,
      completion_tokens: this.#tokens,
      total_tokens: promptTokens + this.#tokens,
    };
  }
}
