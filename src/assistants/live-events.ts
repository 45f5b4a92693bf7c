// What is told of runs, as it happens. Whole objects come out of the store, in the places that it gave them; deltas go by in
// memory between two of those, to who listens, here or on another replica. Whoever missed some is told the rest in one piece
// before the object ends.
import type { RunEventLog } from '../domain/assistant-store.ts';
import type { Clock } from '../domain/clock.ts';
import { type PlacedEvent, type Run, type RunEvent, type RunRef, isTerminal } from '../domain/run.ts';
import type { Wakeups } from '../domain/wakeups.ts';
import { openDeltaRelay } from './delta-relay.ts';
import type { Delta, Shown } from './deltas.ts';
import { baseOf, placeOfMadeUp } from './places.ts';
import { readBefore, resumeAt } from './resume.ts';
import { type Channel, PAGE, RunChannel } from './run-channel.ts';

/** Word from other replicas may be lost: the store is looked at this often, whatever was heard. */
const LOOK_EVERY_MS = 1000;
/** How long a reader who comes back waits for another replica to say what he was told. */
const TOLD_WAIT_MS = 500;

export interface LiveEvents {
  open(run: RunRef): Channel;
  /** Called when a run begins to be read, here or elsewhere, or is again after a while. */
  onReader(listener: (run: RunRef) => void): void;
  /** Something of this run may stand in the store that nobody here wrote. */
  look(run: RunRef): void;
  read(run: Run, after: number, signal: AbortSignal): AsyncIterable<PlacedEvent>;
  /** Breaks off those who read what is not executed here: this process is about to stop, and others tell of it as well. */
  stopFollowing(): void;
  close(): void;
}

export interface LiveEventsParts {
  /** What this replica calls itself. */
  readonly self: string;
  readonly store: Pick<RunEventLog, 'readEvents'>;
  /** How the run stands; null where it is no more. */
  readonly findRun: (run: Run) => Promise<Run | null>;
  readonly wakeups: Pick<Wakeups, 'subscribe' | 'onGap' | 'publish' | 'publishAll'>;
  readonly clock: Clock;
}

/** - `look`: the store may have more · `deltas`: what came needs no look into it */
type News = 'look' | 'deltas';

export function openLiveEvents({ self, store, findRun, wakeups, clock }: LiveEventsParts): LiveEvents {
  const channels = new Map<RunRef, RunChannel>();
  const readers = new Map<RunRef, Set<(news: News) => void>>();
  const listeners: ((run: RunRef) => void)[] = [];
  let isFollowing = true;
  let isClosed = false;

  const wake = (run: RunRef, news: News = 'look') => {
    for (const reader of readers.get(run) ?? []) reader(news);
  };
  const wakeAll = () => {
    for (const run of readers.keys()) wake(run);
  };
  const tellListeners = (run: RunRef) => {
    for (const listener of listeners) listener(run);
  };
  const relay = openDeltaRelay({
    self,
    wakeups,
    clock,
    onAudience: tellListeners,
    onDeltas: (run) => wake(run, 'deltas'),
  });
  const forgetWakeups = [wakeups.subscribe('events', (ref) => wake(Number(ref) as RunRef)), wakeups.onGap(wakeAll)];

  /** Stands from the call on, so that nothing is missed before the first read. */
  function listen(run: RunRef): { heard(signal: AbortSignal, waitMs?: number): Promise<News>; leave(): void } {
    let news: News | null = null;
    let resume: (() => void) | null = null;
    const onWake = (woken: News) => {
      if (news !== 'look') news = woken;
      resume?.();
    };
    const all = readers.get(run) ?? new Set();
    readers.set(run, all.add(onWake));
    tellListeners(run);
    return {
      async heard(signal, waitMs = LOOK_EVERY_MS) {
        if (news === null && !signal.aborted) {
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, waitMs);
            resume = () => {
              clearTimeout(timer);
              resolve();
            };
            signal.addEventListener('abort', resume, { once: true });
          });
          if (resume) signal.removeEventListener('abort', resume);
          resume = null;
        }
        const heard = news ?? 'look';
        news = null;
        return heard;
      },
      leave() {
        all.delete(onWake);
        if (all.size > 0 || readers.get(run) !== all) return;
        readers.delete(run);
        relay.leave(run);
      },
    };
  }

  function read(run: Run, after: number, signal: AbortSignal): AsyncIterable<PlacedEvent> {
    const listener = listen(run.ref);
    const leave = () => listener.leave();
    signal.addEventListener('abort', leave, { once: true });
    return iterate(run, after, signal, listener, leave);
  }

  async function* iterate(
    run: Run,
    after: number,
    signal: AbortSignal,
    listener: ReturnType<typeof listen>,
    leave: () => void,
  ): AsyncGenerator<PlacedEvent> {
    try {
      const begun = await resumed(run, after, signal, listener);
      const { shown } = begun;
      let { place } = begun;
      let mustLook = true;
      while (!signal.aborted && !isClosed) {
        const live = channels.get(run.ref)?.after(place);
        // An end that looks like one would be a lie: the connection breaks, and the run goes on.
        if (live === 'lost') throw new Error(`a reader of the run ${run.id} fell too far behind`);
        const mirror = live === undefined ? relay.mirror(run.ref) : undefined;
        const mirrored = mirror?.after(place) ?? [];
        if (mirrored.length > 0) relay.follow(run.ref);
        // What is said by now follows an event that was not seen here.
        mustLook ||= mirror !== undefined && mirror.base > baseOf(place);
        const found = live ?? (mirrored.length > 0 || !mustLook ? mirrored : await stored(run.ref, place));
        for (const placed of found) {
          for (const [i, delta] of shown.lacking(placed.event).entries())
            yield { seq: placeOfMadeUp(baseOf(place), i + 1), event: delta };
          shown.note(placed.event);
          place = placed.seq;
          yield placed;
          if (endsStream(placed.event)) return;
        }
        if (found.length > 0) continue;
        if (mustLook && !channels.has(run.ref)) {
          const stand = await standOf(run, place);
          if (stand === 'over') return;
          if (!isFollowing) throw stopped(run);
          if (stand === 'worked') relay.follow(run.ref);
        }
        mustLook = (await listener.heard(signal)) === 'look';
      }
      if (!signal.aborted) throw stopped(run);
    } finally {
      signal.removeEventListener('abort', leave);
      leave();
    }
  }

  function stored(run: RunRef, place: number): Promise<readonly PlacedEvent[]> {
    return store.readEvents(run, baseOf(place), PAGE);
  }

  /** Where a reader that comes back goes on, and what he was told by then of what is open. */
  async function resumed(
    run: Run,
    after: number,
    signal: AbortSignal,
    listener: ReturnType<typeof listen>,
  ): Promise<{ readonly place: number; readonly shown: Shown }> {
    const events: PlacedEvent[] = [];
    for (let isAll = after === 0, from = 0; !isAll;) {
      const part = await stored(run.ref, from);
      events.push(...part.filter(({ seq }) => seq <= after));
      from = part.at(-1)?.seq ?? after;
      isAll = from >= baseOf(after);
    }
    const before = readBefore(events);
    const isKnown = before.open === null || after === before.open.quietUntil;
    return resumeAt(after, events, before, isKnown ? [] : await toldUpTo(run, after, signal, listener));
  }

  /** The deltas up to a place; null where nobody knows them any more. */
  async function toldUpTo(
    run: Run,
    after: number,
    signal: AbortSignal,
    listener: ReturnType<typeof listen>,
  ): Promise<readonly Delta[] | null> {
    const deadlineMs = clock.elapsedMs() + TOLD_WAIT_MS;
    for (;;) {
      const channel = channels.get(run.ref);
      if (channel !== undefined) return channel.told(after);
      const told = relay.mirror(run.ref)?.told(after) ?? null;
      const leftMs = deadlineMs - clock.elapsedMs();
      if (told !== null || run.status !== 'in_progress' || leftMs <= 0 || signal.aborted || !isFollowing) return told;
      relay.follow(run.ref);
      await listener.heard(signal, leftMs);
    }
  }

  /**
   * - `over`: nothing more will come, although no event said so: the events were purged, or the thread was deleted
   * - `worked`: another replica executes it
   */
  async function standOf(run: Run, place: number): Promise<'over' | 'worked' | 'waits'> {
    const now = await findRun(run);
    if (now === null) return 'over';
    if (now.status === 'in_progress') return 'worked';
    if (!isTerminal(now.status) && now.status !== 'requires_action') return 'waits';
    return (await stored(run.ref, place)).length === 0 ? 'over' : 'waits';
  }

  return {
    open(run) {
      const channel: RunChannel = new RunChannel({
        clock,
        isRead: () => readers.has(run) || relay.hasAudience(run),
        wake: () => wake(run),
        added: () => sender.poke(),
        closed: () => {
          sender.close();
          if (channels.get(run) === channel) channels.delete(run);
        },
      });
      const sender = relay.send(run, channel);
      channels.set(run, channel);
      return channel;
    },
    onReader: (listener) => void listeners.push(listener),
    look: (run) => wake(run),
    read,
    stopFollowing() {
      isFollowing = false;
      wakeAll();
    },
    close() {
      isClosed = true;
      for (const forget of forgetWakeups) forget();
      relay.close();
      for (const channel of channels.values()) channel.close();
      wakeAll();
    },
  };
}

/** Breaks off a reader to whom not all was told. */
function stopped(run: Run): Error {
  return new Error(`the gateway stops: what is told of the run ${run.id} can be read on at another replica`);
}

/** Where a run's stream ends: for good, or until outputs are handed in. */
function endsStream(event: RunEvent): boolean {
  return 'run' in event && (isTerminal(event.run.status) || event.event === 'thread.run.requires_action');
}
