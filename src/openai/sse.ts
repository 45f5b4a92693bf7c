// Finds, in a copy of an event stream as it goes by, the few events that tell something. The others are skimmed: whole chunks
// are searched for a word or two, and nothing in them is split, decoded or kept. Memory is bounded, whatever the stream is.

/** What is told of the events that are read. */
export interface EventListener {
  /** A piece of the event's data, cut anywhere. The bytes are only lent. */
  onData(chunk: Buffer, from: number, to: number): void;
  /** @param name of its `event` field; empty where it has none */
  onEvent(name: string): void;
  /** It is known what is streamed: no more of the leading events need be read for that. */
  readonly isKnown: boolean;
  /** Whole events that were not read. The bytes are only lent. */
  onSkimmed(chunk: Buffer, from: number, to: number): void;
  /** Where in these whole events something stands that an event should be read for; -1 for nowhere. */
  find(events: Buffer, from: number): number;
}

/** Small events are joined to as much before they are skimmed: a search costs much the same for one event and for twenty. */
const JOINED_BYTES = 4 * 1024;
/** So many of the first events are read at most: they name the model, and what is streamed. */
export const LEADING_EVENTS = 2;
const NAME_BYTES_MAX = 128;

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;

export class EventStreamScan {
  readonly #listener: EventListener;
  readonly #reader: EventReader;
  /** Events that wait to be skimmed, the last of them perhaps not yet whole. */
  #joined: Buffer | null = null;
  #length = 0;
  /** In the middle of an event that is too long to be held: it is read to its end as it comes. */
  #isReading = false;

  constructor(listener: EventListener) {
    this.#listener = listener;
    this.#reader = new EventReader(listener);
  }

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#isReading) at = this.#read(chunk, at, chunk.length);
      else if (this.#length === 0 && chunk.length - at >= JOINED_BYTES) at = this.#skimWhole(chunk, at);
      else at = this.#join(chunk, at);
    }
  }

  /** Ends the stream, wherever it is. */
  end(): void {
    const joined = this.#joined;
    if (joined !== null && this.#length > 0) {
      let at = this.#skimWhole(joined.subarray(0, this.#length), 0);
      while (at < this.#length) at = this.#read(joined, at, this.#length);
    }
    this.#length = 0;
    this.#reader.end();
  }

  #join(chunk: Buffer, at: number): number {
    // Not of the pool that others take small buffers from: it is kept as long as the stream lasts.
    this.#joined ??= Buffer.allocUnsafeSlow(JOINED_BYTES);
    const end = Math.min(chunk.length, at + JOINED_BYTES - this.#length);
    this.#joined.set(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end), this.#length);
    this.#length += end - at;
    if (this.#length === JOINED_BYTES) {
      const skimmed = this.#skimWhole(this.#joined, 0);
      this.#joined.copyWithin(0, skimmed);
      this.#length -= skimmed;
    }
    return end;
  }

  /** @returns up to where the chunk was dealt with: what is left is the beginning of an event */
  #skimWhole(chunk: Buffer, at: number): number {
    const end = endOfLastEvent(chunk, at);
    if (end === -1) return chunk.length - at < JOINED_BYTES ? at : this.#read(chunk, at, chunk.length);
    this.#skim(end === chunk.length ? chunk : chunk.subarray(0, end), at);
    return end;
  }

  /** @param events ends with an event */
  #skim(events: Buffer, from: number): void {
    let at = from;
    while (!this.#listener.isKnown && this.#reader.told < LEADING_EVENTS && at < events.length)
      at = this.#read(events, at, events.length);
    while (at < events.length) {
      const found = this.#listener.find(events, at);
      if (found === -1) break;
      const start = startOfEvent(events, at, found);
      if (start > at) this.#listener.onSkimmed(events, at, start);
      at = this.#read(events, start, events.length);
    }
    if (at < events.length) this.#listener.onSkimmed(events, at, events.length);
  }

  /** Reads to the end of the event, or of what there is. */
  #read(chunk: Buffer, from: number, to: number): number {
    const end = this.#reader.feed(chunk, from, to);
    this.#isReading = !this.#reader.isBetweenEvents;
    return end;
  }
}

/** Behind the last empty line, which ends an event; -1 where there is none. A stream whose lines end with CR alone has none here, and is read. */
function endOfLastEvent(chunk: Buffer, from: number): number {
  for (let at = chunk.length - 1; at > from; at--) {
    if (chunk[at] !== LF) continue;
    if (chunk[at - 1] === LF || (chunk[at - 1] === CR && at - 2 >= from && chunk[at - 2] === LF)) return at + 1;
  }
  return -1;
}

/** Where the event begins in which `at` stands. */
function startOfEvent(events: Buffer, from: number, at: number): number {
  const before = endOfLastEvent(events.subarray(0, at), from);
  return before === -1 ? from : before;
}

const AT_LINE = 0;
const IN_NAME = 1;
const IN_DATA = 2;
const IN_OTHER = 3;

/** Reads event streams line by line, in pieces cut anywhere. */
export class EventReader {
  readonly #listener: Pick<EventListener, 'onData' | 'onEvent'>;
  #state = AT_LINE;
  /** The line so far, while it is not known which field it is. */
  #field = '';
  #name = '';
  #hasData = false;
  #hasCr = false;
  isBetweenEvents = true;
  /** Events so far. */
  told = 0;

  constructor(listener: Pick<EventListener, 'onData' | 'onEvent'>) {
    this.#listener = listener;
  }

  /** @returns behind the event that ended, or `to` where none did */
  feed(chunk: Buffer, from: number, to: number): number {
    let at = from;
    if (this.#hasCr && at < to) {
      this.#hasCr = false;
      if (chunk[at] === LF) at++;
    }
    let nextCr = -1;
    while (at < to) {
      this.isBetweenEvents = false;
      if (this.#state === AT_LINE) {
        const byte = chunk[at]!;
        if (byte === LF || byte === CR) {
          at = this.#passLineEnd(chunk, at, to);
          if (this.#endLine()) return at;
        } else {
          at++;
          this.#readField(byte);
        }
        continue;
      }
      if (nextCr < at) nextCr = indexOf(chunk, CR, at, to);
      const end = Math.min(indexOf(chunk, LF, at, nextCr), nextCr);
      if (this.#state === IN_DATA) this.#listener.onData(chunk, at, end);
      else if (this.#state === IN_NAME && this.#name.length < NAME_BYTES_MAX)
        this.#name += chunk.toString('latin1', at, Math.min(end, at + NAME_BYTES_MAX));
      at = end;
      if (at === to) break;
      at = this.#passLineEnd(chunk, at, to);
      this.#endLine();
    }
    return to;
  }

  /** The stream ended here: its last event counts, though it may lack the empty line. */
  end(): void {
    if (this.#hasData) this.#tell();
  }

  #readField(byte: number): void {
    if (byte !== COLON) {
      // The longest name that means something is `event`.
      if (this.#field.length < 6) this.#field += String.fromCharCode(byte);
      return;
    }
    if (this.#field === 'data') {
      // Lines of one event are joined by a line end, which is white space in JSON as well.
      this.#state = IN_DATA;
      this.#hasData = true;
    } else if (this.#field === 'event') {
      this.#state = IN_NAME;
      this.#name = '';
    } else this.#state = IN_OTHER;
    this.#field = '';
  }

  /** Whether the line was empty, and so ended an event. */
  #endLine(): boolean {
    const isEmpty = this.#state === AT_LINE && this.#field === '';
    this.#state = AT_LINE;
    this.#field = '';
    if (!isEmpty) return false;
    if (this.#hasData) this.#tell();
    this.#name = '';
    this.isBetweenEvents = true;
    return true;
  }

  #tell(): void {
    this.#hasData = false;
    this.told++;
    const name = this.#name.charCodeAt(0) === SPACE ? this.#name.slice(1) : this.#name;
    this.#name = '';
    this.#listener.onEvent(name);
  }

  #passLineEnd(chunk: Buffer, at: number, to: number): number {
    if (chunk[at] === LF) return at + 1;
    if (at + 1 < to) return chunk[at + 1] === LF ? at + 2 : at + 1;
    this.#hasCr = true;
    return at + 1;
  }
}

/** As `Buffer.indexOf`, but `to` where there is none before it. */
function indexOf(chunk: Buffer, byte: number, from: number, to: number): number {
  if (to === chunk.length) {
    const found = chunk.indexOf(byte, from);
    return found === -1 ? to : found;
  }
  const found = chunk.subarray(from, to).indexOf(byte);
  return found === -1 ? to : from + found;
}
