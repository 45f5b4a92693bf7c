// What has to be looked at now and then, whether or not anybody asks: runs whose time is over, and rows that are no longer needed.
import type { AssistantStore } from '../domain/assistant-store.ts';
import type { Wakeups } from '../domain/wakeups.ts';
import type { Log } from '../telemetry/log.ts';

const EVERY_MS = 1000;
const RUNS_MAX = 500;
/** Looks between two that also remove old rows. */
const PURGE_EVERY = 60;
const PURGE_ROWS = 200;
const EVENTS_KEPT_MS = 3_600_000;
const IDEMPOTENCY_KEPT_MS = 86_400_000;

export interface Sweep {
  /** Runs that waited for a worker at the last look. */
  queuedRuns(): number;
  close(): Promise<void>;
}

export function startSweep(store: AssistantStore, wakeups: Wakeups, log: Log): Sweep {
  let queued = 0;
  let looks = 0;
  let running: Promise<void> | null = null;

  const look = async (): Promise<void> => {
    for (const run of await store.sweepRuns(RUNS_MAX)) {
      // A worker may still hold it, and whoever reads along waits for its end.
      wakeups.publish('cancel', String(run.ref));
      wakeups.publish('events', String(run.ref));
    }
    queued = (await store.countRuns()).get('queued') ?? 0;
    if (looks++ % PURGE_EVERY !== 0) return;
    await store.purgeEvents(store.now() - EVENTS_KEPT_MS, PURGE_ROWS);
    await store.purgeIdempotency(store.now() - IDEMPOTENCY_KEPT_MS, PURGE_ROWS);
  };

  const timer = setInterval(() => {
    running ??= look()
      .catch((error: unknown) =>
        log.warn('runs not swept, will try again', { why: error instanceof Error ? error.message : String(error) }),
      )
      .finally(() => {
        running = null;
      });
  }, EVERY_MS);
  timer.unref();
  return {
    queuedRuns: () => queued,
    async close() {
      clearInterval(timer);
      await running;
    },
  };
}
