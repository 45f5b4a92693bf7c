// Reads a few chosen members out of JSON of any size, in pieces cut anywhere. Keeps nothing but what was chosen, jumps over
// the rest, and never throws: what is no JSON ends the reading.

/** What is wanted of JSON, by path: `response.usage`, or `output[].type` for each element of an array. */
export interface Want {
  readonly path: string;
  /**
   * - `value`: the value, parsed, if it is not longer than `bytesMax`.
   * - `element`: to be told that an element of the array begins; the path ends in `[]`.
   * - `text`: a string's bytes as they stand there, escapes and all, however long it is.
   */
  readonly as: 'value' | 'element' | 'text';
  readonly bytesMax?: number;
}

/** Wants as a tree, and as a list: what is found is told by its place in it, its slot. */
export interface Plan {
  readonly root: PlanNode;
  /** By path. */
  readonly slots: ReadonlyMap<string, number>;
}

interface PlanNode {
  /** By the length of their names: most keys are passed over by a look at how long they are. */
  readonly members: readonly (readonly Member[] | undefined)[];
  readonly elements: PlanNode | null;
  /** -1 where nothing of this path itself is wanted. */
  readonly slot: number;
  /** 0 where the value is not wanted. */
  readonly bytesMax: number;
  readonly isElement: boolean;
  readonly isText: boolean;
}

interface Member {
  readonly name: Buffer;
  readonly node: PlanNode;
}

export interface JsonListener {
  onValue(slot: number, value: unknown): void;
  onElement(slot: number): void;
  /** May come several times for one string. The bytes are only lent. */
  onText(chunk: Buffer, from: number, to: number): void;
}

const VALUE_BYTES_MAX = 256;
/** A longer key is none that is wanted. */
const KEY_BYTES_MAX = 64;
/** A string that is longer than this is searched for its end natively. */
const LOOKED_AT_BYTES = 48;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** Bytes that matter where nothing is wanted. */
const IS_STRUCTURE = new Uint8Array(256);
for (const byte of [QUOTE, OPEN, OPEN_ARRAY, CLOSE, CLOSE_ARRAY]) IS_STRUCTURE[byte] = 1;

export function planOf(wants: readonly Want[]): Plan {
  const root = emptyDraft();
  const slots = new Map<string, number>();
  for (const { path, as, bytesMax = VALUE_BYTES_MAX } of wants) {
    const draft = draftAt(root, path);
    draft.slot = slots.get(path) ?? slots.size;
    slots.set(path, draft.slot);
    if (as === 'element') draft.isElement = true;
    else if (as === 'text') draft.isText = true;
    else draft.bytesMax = bytesMax;
  }
  return { root: nodeFrom(root), slots };
}

interface Draft {
  readonly members: Map<string, Draft>;
  elements: Draft | null;
  slot: number;
  bytesMax: number;
  isElement: boolean;
  isText: boolean;
}

function emptyDraft(): Draft {
  return { members: new Map(), elements: null, slot: -1, bytesMax: 0, isElement: false, isText: false };
}

function draftAt(root: Draft, path: string): Draft {
  let draft = root;
  for (const step of path.split('.')) {
    const name = step.replaceAll('[]', '');
    let next = draft.members.get(name);
    if (next === undefined) draft.members.set(name, (next = emptyDraft()));
    draft = next;
    for (let arrays = (step.length - name.length) / 2; arrays > 0; arrays--) draft = draft.elements ??= emptyDraft();
  }
  return draft;
}

function nodeFrom({ members, elements, slot, bytesMax, isElement, isText }: Draft): PlanNode {
  const byLength: Member[][] = [];
  for (const [text, member] of members) {
    const name = Buffer.from(text);
    while (byLength.length <= name.length) byLength.push([]);
    byLength[name.length]!.push({ name, node: nodeFrom(member) });
  }
  return {
    members: byLength,
    elements: elements === null ? null : nodeFrom(elements),
    slot,
    bytesMax,
    isElement,
    isText,
  };
}

const IN_STRING = 0;
const IN_SCALAR = 1;
const IN_SKIPPED = 2;
const IN_KEY = 3;
/** In this state and those above it, white space means nothing. */
const BETWEEN = 4;
const BEFORE_VALUE = 4;
const AFTER_VALUE = 5;
const BEFORE_KEY = 6;
const AFTER_KEY = 7;
const OVER = 8;
const BROKEN = 9;

export class JsonReader {
  readonly #root: PlanNode;
  readonly #listener: JsonListener;
  #state = BEFORE_VALUE;
  /** Of the value that comes next, or is being read. */
  #next: PlanNode | null;
  /** Plans of the open containers; those of others are not opened but skipped, so that this is no deeper than the plan. */
  readonly #open: PlanNode[] = [];
  readonly #arrays: boolean[] = [];
  /** The innermost of them. */
  #container: PlanNode | null = null;
  #isInArray = false;
  /** Brackets open in what is skipped. */
  #depth = 0;
  /** Within a string of what is skipped. */
  #isInSkippedString = false;
  /** The last byte was a backslash that escapes what follows. */
  #isEscaped = false;
  /** The string being read has an escape. */
  #hasEscapes = false;
  /** Where in the present chunk the value begins that is taken; -1 where none is. */
  #takenFrom = -1;
  /** What of it came in earlier chunks. */
  #taken: Buffer | null = null;
  #isTooLong = false;
  #keyFrom = 0;
  #key: Buffer | null = null;

  constructor({ root }: Plan, listener: JsonListener) {
    this.#root = root;
    this.#listener = listener;
    this.#next = root;
  }

  /** The text came to its end. What was told of another may be right as well, as far as it went. */
  get isWhole(): boolean {
    return this.#state === OVER;
  }

  /** Makes ready for another text. */
  reset(): void {
    this.#state = BEFORE_VALUE;
    this.#next = this.#root;
    this.#open.length = 0;
    this.#arrays.length = 0;
    this.#container = null;
    this.#isInArray = false;
    this.#depth = 0;
    this.#isInSkippedString = this.#isEscaped = this.#hasEscapes = this.#isTooLong = false;
    this.#takenFrom = -1;
    this.#taken = this.#key = null;
  }

  feed(chunk: Buffer, from: number, to: number): void {
    if (this.#state >= OVER) return;
    if (this.#takenFrom !== -1) this.#takenFrom = from;
    this.#keyFrom = from;
    let at = from;
    while (at < to) {
      const state = this.#state;
      if (state >= BETWEEN) {
        while (at < to && isSpace(chunk[at]!)) at++;
        if (at === to) break;
      }
      switch (state) {
        case BEFORE_VALUE:
          at = this.#beginValue(chunk, at, to);
          break;
        case IN_STRING:
          at = this.#readString(chunk, at, to);
          break;
        case IN_SCALAR:
          at = this.#readScalar(chunk, at, to);
          break;
        case IN_SKIPPED:
          at = this.#skip(chunk, at, to);
          break;
        case AFTER_VALUE:
          at = this.#readAfterValue(chunk, at);
          break;
        case BEFORE_KEY:
          at = this.#readBeforeKey(chunk, at);
          break;
        case IN_KEY:
          at = this.#readKey(chunk, at, to);
          break;
        case AFTER_KEY:
          this.#state = chunk[at] === COLON ? BEFORE_VALUE : BROKEN;
          at++;
          break;
        default:
          return;
      }
    }
    if (this.#takenFrom !== -1) this.#carryTaken(chunk, to);
    if (this.#state === IN_KEY) this.#key = joined(this.#key, chunk, this.#keyFrom, to, KEY_BYTES_MAX + 1);
  }

  #beginValue(chunk: Buffer, at: number, to: number): number {
    const byte = chunk[at]!;
    if (byte === CLOSE_ARRAY && this.#isInArray) {
      this.#closeContainer();
      return at + 1;
    }
    const node = this.#next;
    if (node !== null) {
      if (node.isElement) this.#listener.onElement(node.slot);
      if (node.bytesMax > 0) this.#takenFrom = at;
    }
    switch (byte) {
      case QUOTE:
        this.#state = IN_STRING;
        this.#hasEscapes = false;
        return this.#readString(chunk, at + 1, to);
      case OPEN:
        if (node === null || node.members.length === 0) return this.#beginSkipped(chunk, at, to);
        this.#openContainer(node, false);
        this.#state = BEFORE_KEY;
        return at + 1;
      case OPEN_ARRAY:
        if (node === null || node.elements === null) return this.#beginSkipped(chunk, at, to);
        this.#openContainer(node, true);
        this.#state = BEFORE_VALUE;
        this.#next = node.elements;
        return at + 1;
      default:
        this.#state = IN_SCALAR;
        return this.#readScalar(chunk, at, to);
    }
  }

  #beginSkipped(chunk: Buffer, at: number, to: number): number {
    this.#state = IN_SKIPPED;
    this.#depth = 1;
    return this.#skip(chunk, at + 1, to);
  }

  #openContainer(node: PlanNode, isArray: boolean): void {
    // Its members are wanted one by one, and not the whole of it.
    this.#takenFrom = -1;
    this.#open.push(node);
    this.#arrays.push(isArray);
    this.#container = node;
    this.#isInArray = isArray;
  }

  #closeContainer(): void {
    this.#open.pop();
    this.#arrays.pop();
    const { length } = this.#open;
    this.#container = length === 0 ? null : this.#open[length - 1]!;
    this.#isInArray = length > 0 && this.#arrays[length - 1]!;
    this.#state = length === 0 ? OVER : AFTER_VALUE;
  }

  /** @returns where to read on: within the next key, where that begins right here as it mostly does */
  #endValue(chunk: Buffer, end: number, to: number): number {
    if (this.#takenFrom !== -1) this.#tellTaken(chunk, end);
    if (this.#container === null) {
      this.#state = OVER;
      return end;
    }
    if (end + 1 < to && chunk[end] === COMMA && chunk[end + 1] === QUOTE && !this.#isInArray) {
      this.#beginKey(end + 2);
      return end + 2;
    }
    this.#state = AFTER_VALUE;
    return end;
  }

  #beginKey(at: number): void {
    this.#state = IN_KEY;
    this.#keyFrom = at;
    this.#key = null;
    this.#hasEscapes = false;
  }

  #readString(chunk: Buffer, at: number, to: number): number {
    const end = this.#endOfString(chunk, at, to);
    const isClosed = end !== -1;
    if (this.#next?.isText === true) this.#listener.onText(chunk, at, isClosed ? end - 1 : to);
    return isClosed ? this.#endValue(chunk, end, to) : to;
  }

  /** Behind the quote that closes the string in which `at` stands; -1 where it goes on in the next chunk. */
  #endOfString(chunk: Buffer, at: number, to: number): number {
    let i = at;
    if (this.#isEscaped) {
      this.#isEscaped = false;
      i++;
    }
    let looked = i + LOOKED_AT_BYTES;
    while (i < to) {
      const byte = chunk[i]!;
      if (byte === QUOTE) return i + 1;
      if (byte === BACKSLASH) {
        this.#hasEscapes = true;
        if (i + 1 === to) this.#isEscaped = true;
        i += 2;
        looked = i + LOOKED_AT_BYTES;
      } else if (++i === looked) {
        i = this.#jump(chunk, i, to);
        looked = i + LOOKED_AT_BYTES;
      }
    }
    return -1;
  }

  /** The next quote, or the first of the backslashes before it: whatever is between may be passed over. */
  #jump(chunk: Buffer, at: number, to: number): number {
    const quote = chunk.indexOf(QUOTE, at);
    const stop = quote === -1 || quote > to ? to : quote;
    let first = stop;
    while (first > at && chunk[first - 1] === BACKSLASH) first--;
    // There may be more of them in what was passed over.
    this.#hasEscapes = true;
    return first;
  }

  #readScalar(chunk: Buffer, at: number, to: number): number {
    let i = at;
    while (i < to && !endsScalar(chunk[i]!)) i++;
    return i === to ? to : this.#endValue(chunk, i, to);
  }

  /** Goes to the end of a container of which nothing is wanted but, perhaps, all its bytes. */
  #skip(chunk: Buffer, at: number, to: number): number {
    let i = at;
    if (this.#isInSkippedString) {
      i = this.#endOfString(chunk, i, to);
      if (i === -1) return to;
      this.#isInSkippedString = false;
    }
    let depth = this.#depth;
    while (i < to) {
      const byte = chunk[i++]!;
      if (IS_STRUCTURE[byte] === 0) continue;
      if (byte === QUOTE) {
        // Nearly all strings here are short names: their end is looked for on the spot.
        const near = Math.min(i + LOOKED_AT_BYTES, to);
        let end = i;
        while (end < near && chunk[end] !== QUOTE && chunk[end] !== BACKSLASH) end++;
        if (end < near && chunk[end] === QUOTE) {
          i = end + 1;
          continue;
        }
        i = this.#endOfString(chunk, i, to);
        if (i === -1) {
          this.#isInSkippedString = true;
          break;
        }
      } else if (byte === OPEN || byte === OPEN_ARRAY) depth++;
      else if (--depth === 0) return this.#endValue(chunk, i, to);
    }
    this.#depth = depth;
    return to;
  }

  #readAfterValue(chunk: Buffer, at: number): number {
    const byte = chunk[at]!;
    if (byte === COMMA) {
      if (this.#isInArray) {
        this.#state = BEFORE_VALUE;
        this.#next = this.#container!.elements;
      } else this.#state = BEFORE_KEY;
    } else if (byte === (this.#isInArray ? CLOSE_ARRAY : CLOSE)) this.#closeContainer();
    else this.#state = BROKEN;
    return at + 1;
  }

  #readBeforeKey(chunk: Buffer, at: number): number {
    const byte = chunk[at]!;
    if (byte === QUOTE) this.#beginKey(at + 1);
    else if (byte === CLOSE) this.#closeContainer();
    else this.#state = BROKEN;
    return at + 1;
  }

  #readKey(chunk: Buffer, at: number, to: number): number {
    const end = this.#endOfString(chunk, at, to);
    if (end === -1) return to;
    const node = this.#container!;
    this.#next =
      this.#key === null && !this.#hasEscapes
        ? memberNamed(node, chunk, this.#keyFrom, end - 1)
        : this.#memberOfJoined(node, joined(this.#key, chunk, this.#keyFrom, end - 1, KEY_BYTES_MAX + 1));
    this.#key = null;
    if (end + 1 < to && chunk[end] === COLON && !isSpace(chunk[end + 1]!)) return this.#beginValue(chunk, end + 1, to);
    this.#state = AFTER_KEY;
    return end;
  }

  #memberOfJoined(node: PlanNode, key: Buffer): PlanNode | null {
    if (key.length > KEY_BYTES_MAX) return null;
    if (!this.#hasEscapes) return memberNamed(node, key, 0, key.length);
    const name = parse(Buffer.from(`"${key.toString('utf8')}"`));
    if (typeof name !== 'string') return null;
    const plain = Buffer.from(name);
    return memberNamed(node, plain, 0, plain.length);
  }

  #carryTaken(chunk: Buffer, to: number): void {
    const { bytesMax } = this.#next!;
    if (this.#isTooLong) return;
    this.#taken = joined(this.#taken, chunk, this.#takenFrom, to, bytesMax + 1);
    this.#isTooLong = this.#taken.length > bytesMax;
    if (this.#isTooLong) this.#taken = null;
  }

  #tellTaken(chunk: Buffer, end: number): void {
    const { slot, bytesMax } = this.#next!;
    const from = this.#takenFrom;
    const wasTooLong = this.#isTooLong || (this.#taken?.length ?? 0) + end - from > bytesMax;
    const taken = this.#taken;
    this.#takenFrom = -1;
    this.#taken = null;
    this.#isTooLong = false;
    if (wasTooLong) return;
    const isPlain = taken === null && !this.#hasEscapes && chunk[from] === QUOTE;
    const value = isPlain
      ? chunk.toString('utf8', from + 1, end - 1)
      : parse(taken === null ? chunk.subarray(from, end) : joined(taken, chunk, from, end, bytesMax));
    if (value !== undefined) this.#listener.onValue(slot, value);
  }
}

function memberNamed({ members }: PlanNode, key: Buffer, from: number, to: number): PlanNode | null {
  const alike = members[to - from];
  if (alike === undefined) return null;
  for (let m = 0; m < alike.length; m++) {
    const { name, node } = alike[m]!;
    let i = 0;
    while (i < name.length && name[i] === key[from + i]) i++;
    if (i === name.length) return node;
  }
  return null;
}

function joined(head: Buffer | null, chunk: Buffer, from: number, to: number, bytesMax: number): Buffer {
  const tail = chunk.subarray(from, Math.min(to, from + bytesMax));
  return head === null ? Buffer.from(tail) : Buffer.concat([head, tail]);
}

/** Other control characters stand nowhere in JSON. */
function isSpace(byte: number): boolean {
  return byte <= 0x20;
}

function endsScalar(byte: number): boolean {
  return byte === COMMA || byte === CLOSE || byte === CLOSE_ARRAY || isSpace(byte);
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
