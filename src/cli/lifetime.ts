// How a serving process ends: by a signal after the drain, by a second one at once, by a bug after what is known was written.
import type { Log } from '../telemetry/log.ts';

export interface Life {
  /** May take as long as the drain. */
  stop(): Promise<void>;
  /** Makes a stop that is under way a quick one. */
  stopNow(): Promise<void>;
  /** What is left after either. */
  close(): Promise<void>;
  readonly log: Log;
}

/** After a second signal the process is gone within two seconds, whatever hangs. */
const STOP_NOW_MS = 1800;
/** A process that met a bug is never left half alive. */
const CRASH_MS = 900;

export function endWithProcess({ stop, stopNow, close, log }: Life): void {
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (isStopping) {
      log.warn('a second signal: what still runs is cut', { signal });
      exitWithin(STOP_NOW_MS, stopNow().then(close), 0);
      return;
    }
    isStopping = true;
    log.info('stopping: what runs may finish; a second signal cuts it', { signal });
    stop()
      .then(close)
      .then(() => process.exit(0), onBug);
  };
  const onBug = (error: unknown) => {
    log.error('a bug ends the gateway', {
      why: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    exitWithin(CRASH_MS, stopNow().then(close), 1);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('uncaughtException', onBug);
  process.on('unhandledRejection', onBug);
}

/** @param code where the ending succeeds; 1 where it fails or takes too long */
function exitWithin(ms: number, ending: Promise<void>, code: number): void {
  setTimeout(() => process.exit(1), ms);
  ending.then(
    () => process.exit(code),
    () => process.exit(1),
  );
}
