// What a worker tells of its run, for those who read along in this process: a ring of the latest events, deltas between them.
import type { Clock } from '../domain/clock.ts';
import type { PlacedEvent, RunEvent } from '../domain/run.ts';
import { type Delta, joinDeltas } from './deltas.ts';
import { baseOf, deltasAt, placeOfDelta } from './places.ts';

/** Deltas that come within this are told as one. */
const COALESCE_MS = 50;
/** What may wait for the slowest reader, and be read again by one that lost its connection; characters of JSON, roughly. */
export const RING_CHARACTERS_MAX = 1024 * 1024;
export const PAGE = 100;

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

export interface ChannelParts {
  readonly clock: Clock;
  readonly isRead: () => boolean;
  readonly wake: () => void;
  /** There are deltas that nobody was told yet. */
  readonly added: () => void;
  readonly closed: () => void;
}

export class RunChannel implements Channel {
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
    // Rows alone take no place: deltas go on behind the same event.
    if (events.length === 0 && lastSeq === this.#lastSeq) return;
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
    this.flushUntold();
    if (this.#from === null) return undefined;
    if (place < this.#from) return baseOf(place) === baseOf(this.#from) ? 'lost' : undefined;
    const start = this.#entries.findLastIndex(({ seq }) => seq <= place) + 1;
    return this.#entries.slice(start, start + PAGE);
  }

  /** What waited because nobody read. */
  flushUntold(): void {
    if (this.#waiting !== null && this.#timer === null) this.#flush();
  }

  /** The deltas between a place and the stored event before it; null where they are not all known. */
  told(place: number): readonly Delta[] | null {
    return this.#deltasOf(baseOf(place), 0, deltasAt(place));
  }

  /** Deltas behind the last stored event, from a number on; null where there are none, or not all of them. */
  latest(from: number): { readonly base: number; readonly deltas: readonly Delta[] } | null {
    if (from >= this.#deltas) return null;
    const deltas = this.#deltasOf(this.#lastSeq, from, this.#deltas);
    return deltas === null ? null : { base: this.#lastSeq, deltas };
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  #deltasOf(base: number, from: number, to: number): readonly Delta[] | null {
    const [start, end] = [placeOfDelta(base, from), placeOfDelta(base, to)];
    const deltas: Delta[] = [];
    for (const { seq, event } of this.#entries) if (seq > start && seq <= end && 'delta' in event) deltas.push(event);
    return deltas.length === to - from ? deltas : null;
  }

  #flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const delta = this.#waiting;
    if (delta === null || this.#from === null) return;
    this.#waiting = null;
    this.#flushedMs = this.#parts.clock.elapsedMs();
    this.#push({ seq: placeOfDelta(this.#lastSeq, ++this.#deltas), event: delta });
    this.#parts.wake();
    this.#parts.added();
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
