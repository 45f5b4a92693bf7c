// What the desk asks of whoever executes runs. All truth is in the store: each call here only saves waiting.
import type { PlacedEvent, Run, RunSpec } from '../domain/run.ts';

export interface RunEngine {
  /** A run was committed as queued, by its creation or by outputs: take it up soon. */
  start(run: Run): void;
  /** A run was committed as cancelling while a worker held it. */
  cancelRequested(run: Run): void;
  /** The thread of an active run was deleted: there is nothing left to write to. */
  abandoned(run: Run): void;
  /**
   * The events of a run after a place, as they come, up to the one that ends a stream: terminal, or requires_action.
   * Subscribed when called, so that what is started afterwards is not missed; left by ending the iteration or by the signal.
   */
  events(run: Run, afterSeq: number, signal: AbortSignal): AsyncIterable<PlacedEvent>;
  /** What of a run the upstream is known not to serve, in words for its caller; null where nothing is known against it. */
  unserved(spec: RunSpec): string | null;
  /** Takes up no more runs; the turns that run go on. */
  stopClaiming(): void;
  /** Breaks off who reads runs that another replica executes, or nobody yet: they can be read on there. */
  stopFollowing(): void;
  /** Turns that run here now. */
  active(): number;
  /** Breaks off what still runs, and gives it back for another replica to take over. */
  close(): Promise<void>;
}
