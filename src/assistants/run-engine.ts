// Executes runs: takes up what is queued, and what another worker lost; keeps its leases alive; stops what must stop. Any replica
// may take up any run, for all that is true of one stands in the store.
import type { AssistantStore, Claim, ClaimRequest } from '../domain/assistant-store.ts';
import type { Clock } from '../domain/clock.ts';
import type { Generate } from '../domain/generate.ts';
import { type TeamId, newId } from '../domain/id.ts';
import type { Run, RunRef } from '../domain/run.ts';
import type { Wakeups } from '../domain/wakeups.ts';
import type { Log } from '../telemetry/log.ts';
import { ENGINE_TIMES, type EngineSettings, type EngineTimes } from './engine-settings.ts';
import type { RunEngine } from './engine.ts';
import { type ExecuteParts, type Execution, RunStop, type StopReason, executeRun } from './execute.ts';
import { openLiveEvents } from './live-events.ts';
import { resolveModel } from './models.ts';
import { chatsOnly, unservedTool } from './prepare.ts';
import { openTraits } from './traits.ts';

export interface RunEngineParts {
  readonly store: AssistantStore;
  readonly wakeups: Wakeups;
  readonly generate: Generate;
  readonly clock: Clock;
  readonly log: Log;
}

interface Held {
  readonly claim: Claim;
  readonly stop: AbortController;
  readonly execution: Execution;
  /** By the store's clock, as is the lease. */
  heldUntil: number;
  heartbeatAt: number;
  isBeating: boolean;
}

export function openRunEngine(
  parts: RunEngineParts,
  settings: EngineSettings,
  times: EngineTimes = ENGINE_TIMES,
): RunEngine {
  const { store, wakeups, clock, log } = parts;
  const owner = newId('replica', clock.now());
  const held = new Map<RunRef, Held>();
  const perTeam = new Map<TeamId, number>();
  const traits = openTraits(clock);
  const live = openLiveEvents({
    self: owner,
    store,
    findRun: (run) => store.findRun(run.teamId, run.threadId, run.id),
    wakeups,
    clock,
  });
  const executeParts: ExecuteParts = { ...parts, settings, times, traits, live };
  let claims = 0;
  let isStopping = false;
  /** Runs wait here that could not be taken up when they came. */
  let isBacklog = false;
  let looking: Promise<void> | null = null;

  live.onReader((run) => held.get(run)?.execution.poke());

  function start(run: Run): void {
    if (isFull() || isTeamFull(run.teamId)) {
      isBacklog = true;
      wakeups.publish('run', String(run.ref));
      return;
    }
    void claim({ run: run.ref });
  }

  /** @returns whether a run was taken up */
  async function claim(which: Pick<ClaimRequest, 'run' | 'exceptTeams'>): Promise<boolean> {
    claims++;
    try {
      const claimed = await store.claim({ owner, leaseMs: times.leaseMs, ...which });
      if (claimed === null) return false;
      if (isStopping) await store.release(claimed.lease);
      else hold(claimed);
      return true;
    } catch (error) {
      log.warn('no run claimed, will try again', { why: whyOf(error) });
      return false;
    } finally {
      claims--;
    }
  }

  function hold(claimed: Claim): void {
    const { ref, teamId } = claimed.run;
    const stop = new AbortController();
    const now = store.now();
    perTeam.set(teamId, (perTeam.get(teamId) ?? 0) + 1);
    const execution = executeRun(executeParts, claimed, stop.signal);
    const mine: Held = {
      claim: claimed,
      stop,
      execution,
      heldUntil: now + times.leaseMs,
      heartbeatAt: now,
      isBeating: false,
    };
    held.set(ref, mine);
    void execution.done.then(() => {
      if (held.get(ref) === mine) held.delete(ref);
      const left = (perTeam.get(teamId) ?? 1) - 1;
      if (left === 0) perTeam.delete(teamId);
      else perTeam.set(teamId, left);
      if (isBacklog) void lookForRuns();
    });
  }

  function isFull(): boolean {
    return isStopping || held.size + claims >= settings.runsMax;
  }

  function isTeamFull(team: TeamId): boolean {
    return settings.runsPerTeamMax > 0 && (perTeam.get(team) ?? 0) >= settings.runsPerTeamMax;
  }

  /** Takes up what is there, as long as there is room. */
  function lookForRuns(): Promise<void> {
    looking ??= look().finally(() => {
      looking = null;
    });
    return looking;
  }

  async function look(): Promise<void> {
    while (!isFull()) {
      const exceptTeams = [...perTeam.keys()].filter(isTeamFull);
      if (await claim(exceptTeams.length > 0 ? { exceptTeams } : {})) continue;
      isBacklog = exceptTeams.length > 0;
      return;
    }
    isBacklog = true;
  }

  function tick(): void {
    const now = store.now();
    for (const mine of held.values()) {
      if (now >= mine.claim.run.expiresAt * 1000 - times.expiryLeadMs) stopRun(mine, 'expired');
      else if (now - mine.heartbeatAt >= times.heartbeatMs) void beat(mine);
    }
  }

  async function beat(mine: Held): Promise<void> {
    if (mine.isBeating || mine.stop.signal.aborted) return;
    mine.isBeating = true;
    const now = store.now();
    mine.heartbeatAt = now;
    try {
      const status = await store.heartbeat(mine.claim.lease, times.leaseMs);
      if (status === 'in_progress') mine.heldUntil = now + times.leaseMs;
      else stopRun(mine, status === 'cancelling' ? 'cancelled' : 'lost');
    } catch (error) {
      log.warn('lease of a run not renewed', { run: mine.claim.run.id, why: whyOf(error) });
      // By now another worker may have it.
      if (store.now() >= mine.heldUntil) stopRun(mine, 'lost');
    } finally {
      mine.isBeating = false;
    }
  }

  function stopRun(mine: Held, why: StopReason): void {
    if (!mine.stop.signal.aborted) mine.stop.abort(new RunStop(why));
  }

  const timers = [setInterval(tick, times.tickMs), setInterval(() => void lookForRuns(), times.claimMs)];
  for (const timer of timers) timer.unref();
  const forget = [
    wakeups.subscribe('run', () => void lookForRuns()),
    wakeups.subscribe('cancel', (ref) => {
      const mine = held.get(Number(ref) as RunRef);
      if (mine !== undefined) void beat(mine);
    }),
    wakeups.onGap(() => {
      for (const mine of held.values()) void beat(mine);
      void lookForRuns();
    }),
  ];

  return {
    start,
    cancelRequested(run) {
      const mine = held.get(run.ref);
      if (mine === undefined) wakeups.publish('cancel', String(run.ref));
      else stopRun(mine, 'cancelled');
    },
    abandoned(run) {
      const mine = held.get(run.ref);
      if (mine === undefined) wakeups.publish('cancel', String(run.ref));
      else stopRun(mine, 'lost');
      live.look(run.ref);
    },
    events: (run, afterSeq, signal) => live.read(run, afterSeq, signal),
    unserved: ({ model, tools }) =>
      chatsOnly({ settings, traits }, resolveModel(model, settings.modelAliases)) ? unservedTool(tools) : null,
    stopClaiming() {
      isStopping = true;
    },
    stopFollowing: () => live.stopFollowing(),
    active: () => held.size,
    async close() {
      isStopping = true;
      for (const timer of timers) clearInterval(timer);
      for (const end of forget) end();
      await looking;
      for (const mine of held.values()) stopRun(mine, 'shutdown');
      await Promise.all([...held.values()].map(({ execution }) => execution.done));
      live.close();
    },
  };
}

function whyOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
