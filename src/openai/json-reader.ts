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

/** Wants as a tree. */
export interface Plan {
  /** By the length of their names: most keys are passed over by a look at how long they are. */
  readonly members: readonly (readonly Member[] | undefined)[];
  readonly elements: Plan | null;
  /** Its path, as wanted. */
  readonly path: string;
  /** 0 where the value is not wanted. */
  readonly bytesMax: number;
  readonly isElement: boolean;
  readonly isText: boolean;
}

interface Member {
  readonly name: Buffer;
  readonly plan: Plan;
}

export interface JsonListener {
  onValue(path: string, value: unknown): void;
  onElement(path: string): void;
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
  const root = emptyDraft('');
  for (const want of wants) {
    const draft = draftAt(root, want.path);
    if (want.as === 'element') draft.isElement = true;
    else if (want.as === 'text') draft.isText = true;
    else draft.bytesMax = want.bytesMax ?? VALUE_BYTES_MAX;
  }
  return planFrom(root);
}

interface Draft {
  readonly members: Map<string, Draft>;
  elements: Draft | null;
  readonly path: string;
  bytesMax: number;
  isElement: boolean;
  isText: boolean;
}

function emptyDraft(path: string): Draft {
  return { members: new Map(), elements: null, path, bytesMax: 0, isElement: false, isText: false };
}

function draftAt(root: Draft, path: string): Draft {
  let draft = root;
  for (const step of path.split('.')) {
    const name = step.replaceAll('[]', '');
    const below = draft.path === '' ? name : `${draft.path}.${name}`;
    let next = draft.members.get(name);
    if (next === undefined) draft.members.set(name, (next = emptyDraft(below)));
    draft = next;
    for (let arrays = (step.length - name.length) / 2; arrays > 0; arrays--)
      draft = draft.elements ??= emptyDraft(`${draft.path}[]`);
  }
  return draft;
}

function planFrom({ members, elements, ...draft }: Draft): Plan {
  const byLength: Member[][] = [];
  for (const [text, member] of members) {
    const name = Buffer.from(text);
    while (byLength.length <= name.length) byLength.push([]);
    byLength[name.length]!.push({ name, plan: planFrom(member) });
  }
  return { ...draft, members: byLength, elements: elements === null ? null : planFrom(elements) };
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
  readonly #plan: Plan;
  readonly #listener: JsonListener;
  #state = BEFORE_VALUE;
  /** Of the value that comes next, or is being read. */
  #next: Plan | null;
  /** Plans of the open containers; those of others are not opened but skipped, so that this is no deeper than the plan. */
  readonly #open: Plan[] = [];
  readonly #arrays: boolean[] = [];
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

  constructor(plan: Plan, listener: JsonListener) {
    this.#plan = plan;
    this.#listener = listener;
    this.#next = plan;
  }

  /** The text came to its end. What was told of another may be right as well, as far as it went. */
  get isWhole(): boolean {
    return this.#state === OVER;
  }

  /** Makes ready for another text. */
  reset(): void {
    this.#state = BEFORE_VALUE;
    this.#next = this.#plan;
    this.#open.length = 0;
    this.#arrays.length = 0;
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
          at = this.#beginValue(chunk, at);
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

  #beginValue(chunk: Buffer, at: number): number {
    const byte = chunk[at]!;
    if (byte === CLOSE_ARRAY && this.#arrays.at(-1) === true) {
      this.#closeContainer();
      return at + 1;
    }
    const plan = this.#next;
    if (plan !== null) {
      if (plan.isElement) this.#listener.onElement(plan.path);
      if (plan.bytesMax > 0) this.#takenFrom = at;
    }
    switch (byte) {
      case QUOTE:
        this.#state = IN_STRING;
        this.#hasEscapes = false;
        return at + 1;
      case OPEN:
        if (plan === null || plan.members.length === 0) return this.#beginSkipped(at);
        this.#openContainer(plan, false);
        this.#state = BEFORE_KEY;
        return at + 1;
      case OPEN_ARRAY:
        if (plan === null || plan.elements === null) return this.#beginSkipped(at);
        this.#openContainer(plan, true);
        this.#next = plan.elements;
        return at + 1;
      default:
        this.#state = IN_SCALAR;
        return at;
    }
  }

  #beginSkipped(at: number): number {
    this.#state = IN_SKIPPED;
    this.#depth = 1;
    return at + 1;
  }

  #openContainer(plan: Plan, isArray: boolean): void {
    // Its members are wanted one by one, and not the whole of it.
    this.#takenFrom = -1;
    this.#open.push(plan);
    this.#arrays.push(isArray);
  }

  #closeContainer(): void {
    this.#open.pop();
    this.#arrays.pop();
    this.#state = this.#open.length === 0 ? OVER : AFTER_VALUE;
  }

  #endValue(chunk: Buffer, end: number): void {
    if (this.#takenFrom !== -1) this.#tellTaken(chunk, end);
    this.#state = this.#open.length === 0 ? OVER : AFTER_VALUE;
  }

  #readString(chunk: Buffer, at: number, to: number): number {
    const end = this.#endOfString(chunk, at, to);
    const isClosed = end !== -1;
    if (this.#next?.isText === true) this.#listener.onText(chunk, at, isClosed ? end - 1 : to);
    if (!isClosed) return to;
    this.#endValue(chunk, end);
    return end;
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
    if (i === to) return to;
    this.#endValue(chunk, i);
    return i;
  }

  /** Goes to the end of a container of which nothing is wanted but, perhaps, all its bytes. */
  #skip(chunk: Buffer, at: number, to: number): number {
    let i = at;
    if (this.#isInSkippedString) {
      i = this.#endOfString(chunk, i, to);
      if (i === -1) return to;
      this.#isInSkippedString = false;
    }
    while (i < to) {
      if (IS_STRUCTURE[chunk[i]!] === 0) {
        i++;
        continue;
      }
      switch (chunk[i++]) {
        case QUOTE: {
          const end = this.#endOfString(chunk, i, to);
          if (end === -1) {
            this.#isInSkippedString = true;
            return to;
          }
          i = end;
          break;
        }
        case OPEN:
        case OPEN_ARRAY:
          this.#depth++;
          break;
        case CLOSE:
        case CLOSE_ARRAY:
          if (--this.#depth === 0) {
            this.#endValue(chunk, i);
            return i;
          }
      }
    }
    return to;
  }

  #readAfterValue(chunk: Buffer, at: number): number {
    const byte = chunk[at]!;
    const isArray = this.#arrays.at(-1)!;
    if (byte === COMMA) {
      if (isArray) {
        this.#state = BEFORE_VALUE;
        this.#next = this.#open.at(-1)!.elements;
      } else this.#state = BEFORE_KEY;
    } else if (byte === (isArray ? CLOSE_ARRAY : CLOSE)) this.#closeContainer();
    else this.#state = BROKEN;
    return at + 1;
  }

  #readBeforeKey(chunk: Buffer, at: number): number {
    const byte = chunk[at]!;
    if (byte === QUOTE) {
      this.#state = IN_KEY;
      this.#keyFrom = at + 1;
      this.#key = null;
      this.#hasEscapes = false;
    } else if (byte === CLOSE) this.#closeContainer();
    else this.#state = BROKEN;
    return at + 1;
  }

  #readKey(chunk: Buffer, at: number, to: number): number {
    const end = this.#endOfString(chunk, at, to);
    if (end === -1) return to;
    const plan = this.#open.at(-1)!;
    this.#next =
      this.#key === null && !this.#hasEscapes
        ? memberNamed(plan, chunk, this.#keyFrom, end - 1)
        : this.#memberOfJoined(plan, joined(this.#key, chunk, this.#keyFrom, end - 1, KEY_BYTES_MAX + 1));
    this.#key = null;
    this.#state = AFTER_KEY;
    return end;
  }

  #memberOfJoined(plan: Plan, key: Buffer): Plan | null {
    if (key.length > KEY_BYTES_MAX) return null;
    if (!this.#hasEscapes) return memberNamed(plan, key, 0, key.length);
    const name = parse(Buffer.from(`"${key.toString('utf8')}"`));
    if (typeof name !== 'string') return null;
    const plain = Buffer.from(name);
    return memberNamed(plan, plain, 0, plain.length);
  }

  #carryTaken(chunk: Buffer, to: number): void {
    const { bytesMax } = this.#next!;
    if (this.#isTooLong) return;
    this.#taken = joined(this.#taken, chunk, this.#takenFrom, to, bytesMax + 1);
    this.#isTooLong = this.#taken.length > bytesMax;
    if (this.#isTooLong) this.#taken = null;
  }

  #tellTaken(chunk: Buffer, end: number): void {
    const { path, bytesMax } = this.#next!;
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
    if (value !== undefined) this.#listener.onValue(path, value);
  }
}

function memberNamed({ members }: Plan, key: Buffer, from: number, to: number): Plan | null {
  const alike = members[to - from];
  if (alike === undefined) return null;
  for (let m = 0; m < alike.length; m++) {
    const { name, plan } = alike[m]!;
    let i = 0;
    while (i < name.length && name[i] === key[from + i]) i++;
    if (i === name.length) return plan;
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
