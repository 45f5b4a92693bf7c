// An engine that executes nothing: runs stay queued until they expire or are cancelled, and their events are told from the store.
import type { RunEngine } from '../../src/assistants/engine.ts';
import type { AssistantStore } from '../../src/domain/assistant-store.ts';
import { type PlacedEvent, type Run, isTerminal } from '../../src/domain/run.ts';
import type { Wakeups } from '../../src/domain/wakeups.ts';

const PAGE = 100;
/** Word of new events may be lost: they are looked for this often, whatever was heard. */
const LOOK_EVERY_MS = 500;

export function restingEngine(store: AssistantStore, wakeups: Wakeups): RunEngine {
  async function* events(run: Run, afterSeq: number, signal: AbortSignal): AsyncGenerator<PlacedEvent> {
    let after = afterSeq;
    for (;;) {
      const found = await store.readEvents(run.ref, after, PAGE);
      for (const placed of found) {
        after = placed.seq;
        yield placed;
        if ('run' in placed.event && isTerminal(placed.event.run.status)) return;
      }
      if (signal.aborted) return;
      if (found.length === 0) await heard(run, signal);
    }
  }

  function heard(run: Run, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        forget();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, LOOK_EVERY_MS);
      const forget = wakeups.subscribe('events', (ref) => {
        if (ref === String(run.ref)) done();
      });
      signal.addEventListener('abort', done);
    });
  }

  const nothing = () => {};
  return {
    start: nothing,
    cancelRequested: nothing,
    abandoned: nothing,
    events,
    unserved: () => null,
    stopClaiming: nothing,
    stopFollowing: nothing,
    active: () => 0,
    close: async () => {},
  };
}
