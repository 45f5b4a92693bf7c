// Deltas between replicas. Who reads a run that another replica executes says so, again and again; while he does, its worker sends
// him the deltas, in packets. Word may be lost: then it is asked for again, or made up for when the object ends.
import { setTimeout as delay } from 'node:timers/promises';

import type { Clock } from '../domain/clock.ts';
import type { PlacedEvent, RunRef } from '../domain/run.ts';
import type { Wakeups } from '../domain/wakeups.ts';
import { type DeltaPacket, PacketReader, piecesOf, runOfPiece } from './delta-packets.ts';
import type { Delta } from './deltas.ts';
import { baseOf, deltasAt, placeOfDelta } from './places.ts';
import { PAGE, RING_CHARACTERS_MAX, type RunChannel } from './run-channel.ts';

/** Between two packets of a run: the same as deltas are joined for. */
const SEND_EVERY_MS = 50;
/** A reader says so this often... */
const SAY_EVERY_MS = 5_000;
/** ... and is believed to be gone after as long as this without word. */
const AUDIENCE_MS = 15_000;
/** Between two requests for what was lost. */
const ASK_AGAIN_MS = 250;
/** Deltas that are sent at once, as long as there are more than one; characters of JSON, roughly. */
const PACKET_CHARACTERS = 64 * 1024;
/** Expired entries are looked for when there are more than this. */
const AUDIENCE_KEPT = 100;

export interface DeltaRelayParts {
  /** What this replica calls itself. */
  readonly self: string;
  readonly wakeups: Pick<Wakeups, 'subscribe' | 'onGap' | 'publish' | 'publishAll'>;
  readonly clock: Clock;
  /** Somebody elsewhere begins to read a run, or lacks something of it. */
  readonly onAudience: (run: RunRef) => void;
  /** Deltas came of a run that is read here. */
  readonly onDeltas: (run: RunRef) => void;
}

export interface DeltaRelay {
  /** Does anybody read this run on another replica? */
  hasAudience(run: RunRef): boolean;
  /** The sending side of a run that is executed here. */
  send(run: RunRef, channel: RunChannel): DeltaSender;
  /** Says that a run is read here, which another replica executes; to be called while it is. */
  follow(run: RunRef): void;
  /** What came of a run that is followed. */
  mirror(run: RunRef): Mirror | undefined;
  leave(run: RunRef): void;
  close(): void;
}

export interface DeltaSender {
  /** There is more to send, perhaps. */
  poke(): void;
  close(): void;
}

interface Followed {
  readonly mirror: Mirror;
  readonly packets: PacketReader;
  saidMs: number;
  /** Something before the last packet did not come. */
  isLacking: boolean;
}

export function openDeltaRelay({ self, wakeups, clock, onAudience, onDeltas }: DeltaRelayParts): DeltaRelay {
  /** Until when each run is believed to be read elsewhere. */
  const audience = new Map<RunRef, number>();
  const senders = new Map<RunRef, Sender>();
  const followed = new Map<RunRef, Followed>();

  const hasAudience = (run: RunRef) => (audience.get(run) ?? -Infinity) > clock.elapsedMs();

  function heardReader(payload: string): void {
    const [from, run = 0, base = 0, count = 0] = readerFrom(payload);
    if (from === self) return;
    const now = clock.elapsedMs();
    if (audience.size > AUDIENCE_KEPT) for (const [ref, until] of audience) if (until <= now) audience.delete(ref);
    audience.set(run as RunRef, now + AUDIENCE_MS);
    senders.get(run as RunRef)?.sendFrom(base, count);
    onAudience(run as RunRef);
  }

  function heardDeltas(piece: string): void {
    const run = runOfPiece(piece);
    const mine = followed.get(run);
    const packet = mine?.packets.take(piece) ?? null;
    if (mine === undefined || packet === null) return;
    const took = mine.mirror.take(packet);
    if (took !== 'known') mine.isLacking = took === 'lacks';
    sayIfDue(run, mine);
    if (took === 'taken') onDeltas(run);
  }

  function say(run: RunRef, mine: Followed): void {
    mine.saidMs = clock.elapsedMs();
    wakeups.publish('reading', `${self} ${run} ${mine.mirror.base} ${mine.mirror.count}`);
  }

  function sayIfDue(run: RunRef, mine: Followed): void {
    const waitMs = mine.isLacking ? ASK_AGAIN_MS : SAY_EVERY_MS;
    if (clock.elapsedMs() - mine.saidMs >= waitMs) say(run, mine);
  }

  const sayAll = () => {
    for (const [run, mine] of followed) say(run, mine);
  };

  const forget = [
    wakeups.subscribe('reading', heardReader),
    wakeups.subscribe('deltas', heardDeltas),
    wakeups.onGap(sayAll),
  ];
  return {
    hasAudience,
    send(run, channel) {
      const sender = new Sender(run, channel, () => hasAudience(run), wakeups);
      senders.set(run, sender);
      return {
        poke: () => sender.poke(),
        close() {
          sender.close();
          if (senders.get(run) === sender) senders.delete(run);
        },
      };
    },
    follow(run) {
      let mine = followed.get(run);
      if (mine === undefined)
        followed.set(
          run,
          (mine = { mirror: new Mirror(), packets: new PacketReader(), saidMs: -Infinity, isLacking: false }),
        );
      sayIfDue(run, mine);
    },
    mirror: (run) => followed.get(run)?.mirror,
    leave: (run) => void followed.delete(run),
    close() {
      for (const end of forget) end();
      for (const sender of senders.values()) sender.close();
    },
  };
}

function readerFrom(payload: string): [string, ...number[]] {
  const [from = '', ...numbers] = payload.split(' ');
  return [from, ...numbers.map(Number)];
}

/** One packet at a time: what comes while one is under way goes with the next. */
class Sender {
  readonly #run: RunRef;
  readonly #channel: RunChannel;
  readonly #isWanted: () => boolean;
  readonly #wakeups: Pick<Wakeups, 'publishAll'>;
  /** Sent so far: this many deltas behind this stored event. */
  #base = 0;
  #count = 0;
  #isSending = false;
  #isClosed = false;

  constructor(run: RunRef, channel: RunChannel, isWanted: () => boolean, wakeups: Pick<Wakeups, 'publishAll'>) {
    this.#run = run;
    this.#channel = channel;
    this.#isWanted = isWanted;
    this.#wakeups = wakeups;
  }

  /** For one who has this much, and may lack what was sent to others. */
  sendFrom(base: number, count: number): void {
    if (base !== this.#base) this.#count = 0;
    else this.#count = Math.min(this.#count, count);
    this.#channel.flushUntold();
    this.poke();
  }

  poke(): void {
    if (!this.#isSending && this.#isWanted()) void this.#send();
  }

  close(): void {
    this.#isClosed = true;
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    while (!this.#isClosed && this.#isWanted()) {
      if (this.#base !== this.#channel.lastSeq) [this.#base, this.#count] = [this.#channel.lastSeq, 0];
      const found = this.#channel.latest(this.#count);
      if (found === null) break;
      const deltas = upTo(found.deltas, PACKET_CHARACTERS);
      const packet = { run: this.#run, base: found.base, first: this.#count + 1, deltas };
      this.#count += deltas.length;
      await this.#wakeups.publishAll('deltas', piecesOf(packet));
      await delay(SEND_EVERY_MS, undefined, { ref: false });
    }
    this.#isSending = false;
  }
}

function upTo(deltas: readonly Delta[], charactersMax: number): readonly Delta[] {
  let characters = 0;
  const end = deltas.findIndex(({ delta: said }) => (characters += JSON.stringify(said).length) > charactersMax);
  return end === -1 ? deltas : deltas.slice(0, Math.max(1, end));
}

/** What came of a run from its worker's replica: deltas behind one stored event. */
export class Mirror {
  #base = 0;
  #deltas: Delta[] = [];
  /** How many of them are gone. */
  #gone = 0;
  #sizes: number[] = [];
  #characters = 0;

  get base(): number {
    return this.#base;
  }

  /** How many are known, from the first on. */
  get count(): number {
    return this.#gone + this.#deltas.length;
  }

  take({ base, first, deltas }: DeltaPacket): 'taken' | 'lacks' | 'known' {
    if (base < this.#base) return 'known';
    if (base > this.#base) this.#begin(base);
    if (first > this.count + 1) return 'lacks';
    const more = deltas.slice(this.count + 1 - first);
    for (const delta of more) this.#push(delta);
    return more.length > 0 ? 'taken' : 'known';
  }

  after(place: number): readonly PlacedEvent[] {
    const start = deltasAt(place) - this.#gone;
    // One who read too slowly goes on when the object ends.
    if (baseOf(place) !== this.#base || start < 0) return [];
    return this.#deltas
      .slice(start, start + PAGE)
      .map((event, i) => ({ seq: placeOfDelta(this.#base, this.#gone + start + i + 1), event }));
  }

  /** The deltas between a place and the stored event before it; null where they are not all known. */
  told(place: number): readonly Delta[] | null {
    const count = deltasAt(place);
    return baseOf(place) === this.#base && this.#gone === 0 && count <= this.count
      ? this.#deltas.slice(0, count)
      : null;
  }

  #begin(base: number): void {
    this.#base = base;
    this.#deltas = [];
    this.#sizes = [];
    this.#gone = 0;
    this.#characters = 0;
  }

  #push(delta: Delta): void {
    const size = JSON.stringify(delta.delta).length;
    this.#deltas.push(delta);
    this.#sizes.push(size);
    this.#characters += size;
    let gone = 0;
    while (this.#characters > RING_CHARACTERS_MAX && gone < this.#deltas.length - 1)
      this.#characters -= this.#sizes[gone++]!;
    if (gone === 0) return;
    this.#deltas = this.#deltas.slice(gone);
    this.#sizes = this.#sizes.slice(gone);
    this.#gone += gone;
  }
}
