// What is told of runs, as it happens. Whole objects come out of the store, in the places that it gave them; deltas go by in
// memory between two of those, to who listens here. Whoever missed some is told the rest in one piece before the object ends.
import type { RunEventLog } from '../domain/assistant-store.ts';
import type { Clock } from '../domain/clock.ts';
import { type PlacedEvent, type Run, type RunEvent, type RunRef, isTerminal } from '../domain/run.ts';
import type { Wakeups } from '../domain/wakeups.ts';
import { type Delta, Shown, joinDeltas } from './deltas.ts';

/** Deltas that come within this are told as one. */
const COALESCE_MS = 50;
/** What may wait for the slowest reader, and be read again by one that lost its connection; characters of JSON, roughly. */
const RING_CHARACTERS_MAX = 1024 * 1024;
/** Word from other replicas may be lost: the store is looked at this often, whatever was heard. */
const LOOK_EVERY_MS = 1000;
const PAGE = 100;
/** The place of a delta: this much behind that of the event before it, times its number. */
const DELTA_PLACE = 1e-6;

/** The telling side of a run, for the worker that holds it. */
export interface Channel {
  /** Does anybody listen? If not, deltas need not be told in time. */
  readonly isRead: boolean;
  /** The store has these now, the last one in this place. */
  wrote(events: readonly RunEvent[], lastSeq: number): void;
  tell(deltas: readonly Delta[]): void;
  /** What comes from now on is in the store alone. */
  close(): void;
}

export interface LiveEvents {
  open(run: RunRef): Channel;
  /** Called once when a run begins to be read, or is again after a while. */
  onReader(listener: (run: RunRef) => void): void;
  /** Something of this run may stand in the store that nobody here wrote. */
  look(run: RunRef): void;
  read(run: Run, after: number, signal: AbortSignal): AsyncIterable<PlacedEvent>;
  close(): void;
}

export interface LiveEventsParts {
  readonly store: Pick<RunEventLog, 'readEvents'>;
  /** How the run stands; null where it is no more. */
  readonly findRun: (run: Run) => Promise<Run | null>;
  readonly wakeups: Pick<Wakeups, 'subscribe' | 'onGap'>;
  readonly clock: Clock;
}

export function openLiveEvents({ store, findRun, wakeups, clock }: LiveEventsParts): LiveEvents {
  const channels = new Map<RunRef, RunChannel>();
  const readers = new Map<RunRef, Set<() => void>>();
  const listeners: ((run: RunRef) => void)[] = [];
  let isClosed = false;

  const wake = (run: RunRef) => {
    for (const reader of readers.get(run) ?? []) reader();
  };
  const wakeAll = () => {
    for (const run of readers.keys()) wake(run);
  };
  const forgetWakeups = [wakeups.subscribe('events', (ref) => wake(Number(ref) as RunRef)), wakeups.onGap(wakeAll)];

  /** Stands from the call on, so that nothing is missed before the first read. */
  function listen(run: RunRef): { heard(signal: AbortSignal): Promise<void>; leave(): void } {
    let isWoken = false;
    let resume: (() => void) | null = null;
    const onWake = () => {
      isWoken = true;
      resume?.();
    };
    const all = readers.get(run) ?? new Set();
    readers.set(run, all.add(onWake));
    for (const listener of listeners) listener(run);
    return {
      async heard(signal) {
        if (!isWoken && !signal.aborted) {
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, LOOK_EVERY_MS);
            resume = () => {
              clearTimeout(timer);
              resolve();
            };
            signal.addEventListener('abort', resume, { once: true });
          });
          if (resume) signal.removeEventListener('abort', resume);
          resume = null;
        }
        isWoken = false;
      },
      leave() {
        all.delete(onWake);
        if (all.size === 0) readers.delete(run);
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
      const shown = await shownBefore(run, after);
      let place = after;
      while (!signal.aborted && !isClosed) {
        const found = channels.get(run.ref)?.after(place) ?? (await stored(run.ref, place));
        // An end that looks like one would be a lie: the connection breaks, and the run goes on.
        if (found === 'lost') throw new Error(`a reader of the run ${run.id} fell too far behind`);
        for (const placed of found) {
          for (const delta of shown.lacking(placed.event)) {
            place += DELTA_PLACE;
            yield { seq: place, event: delta };
          }
          shown.note(placed.event);
          place = placed.seq;
          yield placed;
          if (endsStream(placed.event)) return;
        }
        if (found.length === 0 && (await isOver(run, place))) return;
        if (found.length === 0) await listener.heard(signal);
      }
    } finally {
      signal.removeEventListener('abort', leave);
      leave();
    }
  }

  function stored(run: RunRef, place: number): Promise<readonly PlacedEvent[]> {
    return store.readEvents(run, Math.floor(place), PAGE);
  }

  /** What a reader that comes back has been told of what is open. Where that cannot be known, nothing is made up for. */
  async function shownBefore(run: Run, after: number): Promise<Shown> {
    const shown = new Shown();
    if (after === 0) return shown;
    const whole = Math.floor(after);
    for (let from = 0; from < whole;) {
      const part = await stored(run.ref, from);
      for (const { seq, event } of part) if (seq <= whole) shown.note(event);
      if (part.length === 0) break;
      from = part.at(-1)!.seq;
    }
    if (!shown.isOpen) return shown;
    const deltas = channels.get(run.ref)?.deltasUpTo(after);
    if (deltas === undefined || deltas === 'lost') shown.forget();
    else for (const delta of deltas) shown.note(delta);
    return shown;
  }

  /** Nothing more will come, although no event said so: the events were purged, or the thread was deleted. */
  async function isOver(run: Run, place: number): Promise<boolean> {
    if (channels.has(run.ref)) return false;
    const now = await findRun(run);
    if (now === null) return true;
    if (!isTerminal(now.status) && now.status !== 'requires_action') return false;
    return (await stored(run.ref, place)).length === 0;
  }

  return {
    open(run) {
      const channel = new RunChannel({
        clock,
        isRead: () => readers.has(run),
        wake: () => wake(run),
        closed: () => {
          if (channels.get(run) === channel) channels.delete(run);
        },
      });
      channels.set(run, channel);
      return channel;
    },
    onReader: (listener) => void listeners.push(listener),
    look: wake,
    read,
    close() {
      isClosed = true;
      for (const forget of forgetWakeups) forget();
      for (const channel of channels.values()) channel.close();
      wakeAll();
    },
  };
}

/** Where a run's stream ends: for good, or until outputs are handed in. */
function endsStream(event: RunEvent): boolean {
  return 'run' in event && (isTerminal(event.run.status) || event.event === 'thread.run.requires_action');
}

interface ChannelParts {
  readonly clock: Clock;
  readonly isRead: () => boolean;
  readonly wake: () => void;
  readonly closed: () => void;
}

class RunChannel implements Channel {
  readonly #parts: ChannelParts;
  /** Everything behind `#from`, in order. */
  #entries: PlacedEvent[] = [];
  #sizes: number[] = [];
  #characters = 0;
  /** Unknown until something was written. */
  #from: number | null = null;
  #lastSeq = 0;
  #deltas = 0;
  /** Joined, and not told yet. */
  #waiting: Delta | null = null;
  #timer: NodeJS.Timeout | null = null;
  #flushedMs = -Infinity;

  constructor(parts: ChannelParts) {
    this.#parts = parts;
  }

  get isRead(): boolean {
    return this.#parts.isRead();
  }

  wrote(events: readonly RunEvent[], lastSeq: number): void {
    this.#flush();
    const first = lastSeq - events.length + 1;
    const isGap = this.#from === null || first !== this.#lastSeq + 1;
    // Nobody waits for what came before; or somebody else wrote between, and readers must look into the store.
    if (isGap || !this.isRead) this.#clear(first - 1);
    for (const [i, event] of events.entries()) this.#push({ seq: first + i, event });
    this.#lastSeq = lastSeq;
    this.#deltas = 0;
    this.#parts.wake();
  }

  tell(deltas: readonly Delta[]): void {
    for (const delta of deltas) {
      const joined = this.#waiting === null ? delta : joinDeltas(this.#waiting, delta);
      if (joined === null) this.#flush();
      this.#waiting = joined ?? delta;
    }
    if (this.#waiting === null || !this.isRead || this.#timer !== null) return;
    const dueMs = this.#flushedMs + COALESCE_MS - this.#parts.clock.elapsedMs();
    if (dueMs <= 0) this.#flush();
    else this.#timer = setTimeout(() => this.#flush(), dueMs);
  }

  close(): void {
    this.#flush();
    this.#parts.closed();
    this.#parts.wake();
  }

  /** Everything behind a place; undefined where that is the store's to say; lost for one who read too slowly. */
  after(place: number): readonly PlacedEvent[] | 'lost' | undefined {
    if (this.#waiting !== null && this.#timer === null) this.#flush();
    if (this.#from === null) return undefined;
    if (place < this.#from) return Math.floor(place) === Math.floor(this.#from) ? 'lost' : undefined;
    const start = this.#entries.findLastIndex(({ seq }) => seq <= place) + 1;
    return this.#entries.slice(start, start + PAGE);
  }

  deltasUpTo(place: number): readonly Delta[] | 'lost' {
    if (this.#from === null || !Number.isInteger(this.#from)) return 'lost';
    const deltas: Delta[] = [];
    for (const { seq, event } of this.#entries) if (seq <= place && 'delta' in event) deltas.push(event);
    return deltas;
  }

  #flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const delta = this.#waiting;
    if (delta === null || this.#from === null) return;
    this.#waiting = null;
    this.#flushedMs = this.#parts.clock.elapsedMs();
    this.#push({ seq: this.#lastSeq + ++this.#deltas * DELTA_PLACE, event: delta });
    this.#parts.wake();
  }

  #push(placed: PlacedEvent): void {
    const size = 'delta' in placed.event ? JSON.stringify(placed.event.delta).length : 0;
    this.#entries.push(placed);
    this.#sizes.push(size);
    this.#characters += size;
    let gone = 0;
    while (this.#characters > RING_CHARACTERS_MAX && gone < this.#entries.length - 1) {
      this.#characters -= this.#sizes[gone]!;
      this.#from = this.#entries[gone]!.seq;
      gone++;
    }
    if (gone > 0) {
      this.#entries = this.#entries.slice(gone);
      this.#sizes = this.#sizes.slice(gone);
    }
  }

  #clear(from: number): void {
    this.#entries = [];
    this.#sizes = [];
    this.#characters = 0;
    this.#from = from;
  }
}
