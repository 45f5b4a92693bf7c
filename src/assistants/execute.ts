// The worker of one claimed run: turn after turn until the run waits for outputs or is over, or until it must stop. Whatever
// happens, the store knows what was told, and the next worker can go on from there.
import type { Claim } from '../domain/assistant-store.ts';
import type { Run, TurnEnd, Usage } from '../domain/run.ts';
import type { Wakeups } from '../domain/wakeups.ts';
import { TURNS_MAX } from './engine-settings.ts';
import type { LiveEvents } from './live-events.ts';
import { LeaseLost, Outbox } from './outbox.ts';
import { deferred, recover } from './recover.ts';
import type { Translation } from './translate.ts';
import { NO_USAGE, type TurnStop } from './turn-items.ts';
import { type HeldRun, type TurnParts, makeTurn } from './turn.ts';

/** - `lost`: the run is another worker's, or is no more · `shutdown`: this process stops, another one may go on */
export type StopReason = 'cancelled' | 'expired' | 'lost' | 'shutdown';

/** Why a run must stop here. */
export class RunStop extends Error {
  override readonly name = 'RunStop';
  readonly why: StopReason;

  constructor(why: StopReason) {
    super(`the run stops: ${why}`);
    this.why = why;
  }
}

export interface ExecuteParts extends TurnParts {
  readonly live: LiveEvents;
  readonly wakeups: Pick<Wakeups, 'publish'>;
}

/** How often in a row a turn is made again after its worker was lost; then something about the run itself loses them. */
const RERUNS_MAX = 2;

export interface Execution {
  /** Somebody begins to read along. */
  poke(): void;
  /** Never rejects. */
  readonly done: Promise<void>;
}

/** @param signal aborted with a RunStop */
export function executeRun(parts: ExecuteParts, claim: Claim, signal: AbortSignal): Execution {
  const worker = new Worker(parts, claim, signal);
  return { poke: () => worker.poke(), done: worker.work() };
}

class Worker {
  readonly #parts: ExecuteParts;
  readonly #claim: Claim;
  readonly #signal: AbortSignal;
  /** Ends calls that are under way when the worker gives up of itself. */
  readonly #calls = new AbortController();
  readonly #outbox: Outbox;
  readonly #close: () => void;
  #usage: Usage | null;
  #translation: Translation | null = null;
  #poked: { readonly promise: Promise<void>; resolve(): void } | null = null;

  constructor(parts: ExecuteParts, claim: Claim, signal: AbortSignal) {
    this.#parts = parts;
    this.#claim = claim;
    this.#signal = AbortSignal.any([signal, this.#calls.signal]);
    this.#usage = claim.run.usage;
    const channel = parts.live.open(claim.run.ref);
    this.#close = () => channel.close();
    this.#outbox = new Outbox(parts.store, claim.lease, channel, () => this.#publish());
  }

  poke(): void {
    this.#poked?.resolve();
    this.#poked = null;
  }

  async work(): Promise<void> {
    try {
      // It is no longer queued, and who waits for that is told before anything else is done.
      this.#publish();
      await this.#goOn();
    } catch (error) {
      await this.#stop(error).catch((cause: unknown) => this.#log('run left for another worker', cause));
    } finally {
      this.#close();
      this.#publish();
    }
  }

  async #goOn(): Promise<void> {
    const { run } = this.#claim;
    const begun = await this.#takeUp();
    if (begun.end !== null) {
      await this.#finish(begun.end);
      return;
    }
    let { isRerun } = begun;
    let breaks = 0;
    for (let made = 0; ; made++) {
      const turn = await this.#parts.store.beginTurn(this.#claim.lease);
      if (turn === null) throw await this.#whyNoTurn();
      if (made >= TURNS_MAX) {
        const message = `The model did not come to an end within ${TURNS_MAX} turns.`;
        await this.#finish({ status: 'failed', error: { code: 'server_error', message }, usage: null });
        return;
      }
      const result = await makeTurn(this.#parts, this.#held(run, made === 0, isRerun, breaks), turn);
      this.#usage = addUsage(this.#usage, result.usage);
      if (result.kind === 'end') {
        await this.#finish(result.end);
        return;
      }
      // The next turn reads the history from the store.
      await this.#outbox.flush();
      breaks = result.isRerun ? breaks + 1 : 0;
      isRerun = result.isRerun;
    }
  }

  /** Says that the run goes on, and what its last worker could not say. */
  async #takeUp(): Promise<{ readonly end: TurnEnd | null; readonly isRerun: boolean }> {
    const { store, log } = this.#parts;
    const { run, from } = this.#claim;
    const isResumed = run.turn > 0 || from !== 'queued';
    const rows = isResumed ? await store.readRunRows(run.ref) : null;
    if (rows === null) {
      if (isResumed) throw new LeaseLost(`the run ${run.id} is gone`);
      this.#outbox.tell({ event: 'thread.run.in_progress', run });
      return { end: null, isRerun: false };
    }
    if (from === 'queued' || !(await this.#wasBegun())) {
      this.#outbox.tell({ event: 'thread.run.in_progress', run });
      this.#outbox.add(deferred(rows));
    }
    if (from === 'queued') return { end: null, isRerun: false };

    const { told, answer, isBroken } = recover(rows, Math.floor(store.now() / 1000));
    this.#outbox.add(told);
    log.info('run taken over', { run: run.id, from, reruns: run.reruns, turn: run.turn });
    if (answer !== null) {
      log.warn('usage of a run estimated: the worker that knew it was lost', { run: run.id });
      this.#usage = addUsage(this.#usage, answer);
      return { end: { status: 'completed', usage: answer }, isRerun: false };
    }
    if (run.reruns <= RERUNS_MAX) return { end: null, isRerun: isBroken };
    const error = {
      code: 'server_error',
      message: 'The processes that executed this run were lost again and again.',
    } as const;
    return { end: { status: 'failed', error, usage: null }, isRerun: false };
  }

  /** Did the last worker say that it took the run up? */
  async #wasBegun(): Promise<boolean> {
    const { store } = this.#parts;
    let last: string | null = null;
    for (let after = 0; ;) {
      const events = await store.readEvents(this.#claim.run.ref, after, 500);
      for (const { event } of events) if ('run' in event) last = event.event;
      if (events.length === 0) return last === 'thread.run.in_progress';
      after = events.at(-1)!.seq;
    }
  }

  #held(run: Run, isFirstHere: boolean, isRerun: boolean, breaks: number): HeldRun {
    return {
      run,
      usage: this.#usage ?? NO_USAGE,
      isFirstHere,
      isRerun,
      breaks,
      outbox: this.#outbox,
      signal: this.#signal,
      poked: () => (this.#poked ??= Promise.withResolvers<void>()).promise,
      translating: (translation) => {
        this.#translation = translation;
      },
    };
  }

  async #finish(end: TurnEnd): Promise<void> {
    const { store, times } = this.#parts;
    const { lease } = this.#claim;
    const change = this.#outbox.drain();
    const ended = await store.endTurn(lease, summed(end, this.#usage), change);
    if (ended !== null) return;
    // Somebody asked for a cancel before the end was written: what was said stands, the run ends as cancelled.
    if ((await store.heartbeat(lease, times.leaseMs)) === 'cancelling') await store.finishCancel(lease, change);
  }

  async #whyNoTurn(): Promise<Error> {
    const status = await this.#parts.store.heartbeat(this.#claim.lease, this.#parts.times.leaseMs);
    return new RunStop(status === 'cancelling' ? 'cancelled' : 'lost');
  }

  async #stop(error: unknown): Promise<void> {
    const { store, log } = this.#parts;
    const { lease, run } = this.#claim;
    const reason: unknown = this.#signal.aborted ? this.#signal.reason : error;
    const why = reason instanceof LeaseLost ? 'lost' : reason instanceof RunStop ? reason.why : null;
    this.#calls.abort(new RunStop('lost'));
    switch (why) {
      case 'lost':
        log.info('run stopped here: it is no longer ours', { run: run.id });
        return;
      case 'cancelled':
        this.#closeOpen({ message: 'run_cancelled', step: 'cancelled', error: null });
        await store.finishCancel(lease, this.#outbox.drain());
        return;
      case 'expired':
        // The sweep ends the run, here or on another replica, when its time is over; until then it stays ours.
        this.#closeOpen({ message: 'run_expired', step: 'expired', error: null });
        await this.#outbox.flush();
        return;
      case 'shutdown':
        if (this.#outbox.isDurable) await this.#outbox.flush();
        await store.release(lease);
        return;
      case null: {
        this.#log('run failed', error);
        const fault = { code: 'server_error', message: 'The gateway failed. Its log says why.' } as const;
        this.#closeOpen({ message: 'run_failed', step: 'failed', error: fault });
        await this.#finish({ status: 'failed', error: fault, usage: null });
      }
    }
  }

  #closeOpen(stop: TurnStop): void {
    if (this.#translation !== null) this.#outbox.add(this.#translation.stop(stop));
    this.#translation = null;
  }

  #publish(): void {
    this.#parts.wakeups.publish('events', String(this.#claim.run.ref));
  }

  #log(event: string, error: unknown): void {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#parts.log.error(event, { run: this.#claim.run.id, why });
  }
}

/** The end as the run knows it: with the usage of all its turns. */
function summed(end: TurnEnd, usage: Usage | null): TurnEnd {
  if (end.status === 'completed' || end.status === 'requires_action') return { ...end, usage: usage ?? end.usage };
  return { ...end, usage };
}

export function addUsage(sum: Usage | null, more: Usage | null): Usage | null {
  if (sum === null || more === null) return sum ?? more;
  return {
    prompt_tokens: sum.prompt_tokens + more.prompt_tokens,
    completion_tokens: sum.completion_tokens + more.completion_tokens,
    total_tokens: sum.total_tokens + more.total_tokens,
    prompt_token_details: {
      cached_tokens: (sum.prompt_token_details?.cached_tokens ?? 0) + (more.prompt_token_details?.cached_tokens ?? 0),
    },
    completion_tokens_details: {
      reasoning_tokens:
        (sum.completion_tokens_details?.reasoning_tokens ?? 0) +
        (more.completion_tokens_details?.reasoning_tokens ?? 0),
    },
  };
}
