// Reads the deciding members of a JSON object at any chunking, in one pass and without a stack: depth is a number. Strings are
// skipped by native search, nested values by their brackets. Strict at the levels it reads: what it cannot follow is unreadable.
import type { RequestFacts } from '../domain/facts.ts';
import {
  INPUT,
  Members,
  type MemberValue,
  NO_SLOT,
  PROMPT,
  PROMPT_CACHE_OPTIONS,
  SESSION,
  SLOTS,
  STREAM_OPTIONS,
  type Slot,
  TEXT_CHARACTERS_MAX,
  TOOLS,
} from './request-members.ts';
import type { RequestScan, RequestScanOptions, UsagePlace } from './request-scan.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** What comes next. */
const START = 0;
const KEY_OR_END = 1;
const KEY = 2;
const IN_KEY = 3;
const AFTER_KEY = 4;
const VALUE = 5;
const IN_TEXT = 6;
const IN_SCALAR = 7;
const AFTER_VALUE = 8;
const IN_NESTED = 9;
const IN_NESTED_TEXT = 10;
const END = 11;
const BROKEN = 12;

/** The object whose members are read. */
const TOP = 0;
const IN_OPTIONS = 1;
/** Between the elements of `tools`. */
const IN_TOOLS = 2;
const IN_TOOL = 3;
const IN_SESSION = 4;
/** Between the elements of `prompt`. */
const IN_PROMPTS = 5;
const IN_CACHE_OPTIONS = 6;

/** The one member of such an object that is read. */
const WANTED: Readonly<Record<number, string>> = {
  [IN_OPTIONS]: 'include_usage',
  [IN_TOOL]: 'type',
  [IN_SESSION]: 'model',
  [IN_CACHE_OPTIONS]: 'ttl',
};

/** Six characters for each of a name, where all are escaped. */
const KEY_CHARACTERS_MAX = 256;
/** Six for each of a text. */
const RAW_CHARACTERS_MAX = 6 * TEXT_CHARACTERS_MAX;
/** A speech's `input` has 4096 characters at most; twelve for each outside the basic plane. */
const INPUT_CHARACTERS_MAX = 64 * 1024;
const SCALAR_CHARACTERS_MAX = 64;

const INCLUDE_USAGE = '"include_usage":true';

/** Members that name files and pictures, or a letter of one that is disguised as an escape. In a text their quotes are escaped. */
const FILE = /"(?:image_url|file_id|file_url|file_data)"|\\u00(?:[46][1-9a-f]|5[0-9af]|7[0-9a])/i;
const FILE_CHARACTERS_MAX = 12;

export class JsonScan implements RequestScan {
  readonly #members = new Members();
  readonly #announcedBytes: number | null;
  readonly #countsInput: boolean;
  /** The end of what was looked through for files so far; null where none is looked for, or one was found. */
  #looked: string | null;
  #state = START;
  #depth = 0;
  #place = TOP;
  /** Depth of the members that are read. */
  #level = 1;
  #slot: Slot = NO_SLOT;
  /** In the place's object: whether the wanted member is being read, and was read before. */
  #isInnerKey = false;
  #hasInnerKey = false;
  #isEscaped = false;
  /** What earlier chunks had of the text being read; null where it is not wanted or too long. */
  #kept: string | null = null;
  #bytes = 0;
  #isWhole = false;

  /** Where things stand, in bytes from the body's beginning; -1 where they do not. */
  #closeAt = -1;
  #optionsAt = -1;
  #isEmptyOptions = true;
  /** Of the scalar being read. */
  #literalStart = -1;
  /** Of a literal in place of `stream_options` or of its `include_usage`. */
  #literalAt = -1;
  #literalBytes = 0;
  /** `stream_options` is something that nobody can add to. */
  #isOddOptions = false;

  constructor({ announcedBytes, countsInput, looksForFiles = false }: RequestScanOptions) {
    this.#announcedBytes = announcedBytes;
    this.#countsInput = countsInput;
    this.#looked = looksForFiles ? '' : null;
  }

  get model(): string | null {
    return this.#members.model ?? this.#members.sessionModel;
  }

  feed(chunk: Buffer): void {
    const before = this.#bytes;
    this.#bytes += chunk.length;
    if (this.#looked !== null) this.#lookForFiles(this.#looked, chunk);
    if (this.#state === BROKEN || chunk.length === 0) return;
    if (this.#passesText(chunk)) return;
    this.#read(chunk.toString('latin1'), before);
  }

  end(): void {
    this.#isWhole = true;
    if (this.#state !== END) this.#state = BROKEN;
  }

  facts(): RequestFacts {
    return this.#members.facts({
      isWhole: this.#isWhole,
      isReadable: this.#state !== BROKEN,
      hasDuplicates: this.#members.hasDuplicates,
      bodyBytes: this.#announcedBytes ?? this.#bytes,
    });
  }

  usagePlace(): UsagePlace | null {
    const { isStream, wantsUsage, hasDuplicates } = this.#members;
    if (!this.#isWhole || this.#state !== END || hasDuplicates || !isStream || wantsUsage) return null;
    if (this.#isOddOptions) return null;
    if (this.#literalAt !== -1) {
      const text = this.#optionsAt === -1 ? `{${INCLUDE_USAGE}}` : 'true';
      return { at: this.#literalAt, removed: this.#literalBytes, text };
    }
    if (this.#optionsAt !== -1) {
      return { at: this.#optionsAt, removed: 0, text: this.#isEmptyOptions ? INCLUDE_USAGE : `${INCLUDE_USAGE},` };
    }
    return { at: this.#closeAt, removed: 0, text: `,"stream_options":{${INCLUDE_USAGE}}` };
  }

  #lookForFiles(before: string, chunk: Buffer): void {
    const text = before + chunk.toString('latin1');
    const isFound = FILE.test(text);
    if (isFound) this.#members.noteInputElsewhere();
    this.#looked = isFound ? null : text.slice(-FILE_CHARACTERS_MAX);
  }

  /** A chunk from the middle of a long text that nobody wants, such as an image, is not even made a string. */
  #passesText(chunk: Buffer): boolean {
    if (this.#state !== IN_NESTED_TEXT && (this.#state !== IN_TEXT || this.#kept !== null)) return false;
    if (chunk.indexOf(QUOTE) !== -1) return false;
    let run = 0;
    while (run < chunk.length && chunk[chunk.length - run - 1] === BACKSLASH) run++;
    this.#isEscaped = run === chunk.length ? this.#isEscaped !== (run % 2 === 1) : run % 2 === 1;
    return true;
  }

  #read(text: string, before: number): void {
    const { length } = text;
    let at = 0;
    let state = this.#state;
    while (at < length) {
      switch (state) {
        case IN_NESTED: {
          let depth = this.#depth;
          for (; at < length; at++) {
            // The brackets of objects and arrays differ from each other in one bit.
            const code = text.charCodeAt(at) | 0x20;
            if (code === OPEN_OBJECT) {
              depth++;
              // A prompt of its own where it is one of tokens; all of them are one where they stand there bare.
              if (this.#place === IN_PROMPTS && depth === 3) this.#members.addPrompt();
              if (this.#place === IN_TOOLS && depth === 3 && text.charCodeAt(at) === OPEN_OBJECT) {
                this.#enter(IN_TOOL, 3);
                state = KEY_OR_END;
                at++;
                break;
              }
            } else if (code === CLOSE_OBJECT) {
              if (--depth > this.#level) continue;
              if (this.#place === IN_TOOLS || this.#place === IN_PROMPTS) this.#place = TOP;
              state = AFTER_VALUE;
              at++;
              break;
            } else if (text.charCodeAt(at) === QUOTE) {
              if (this.#place === IN_PROMPTS && depth === 2) this.#members.addPrompt();
              const quote = closingQuote(text, at + 1);
              if (quote === -1) {
                this.#isEscaped = endsEscaped(text, at + 1);
                state = IN_NESTED_TEXT;
                at = length;
                break;
              }
              at = quote;
            }
          }
          this.#depth = depth;
          continue;
        }
        case IN_NESTED_TEXT: {
          const from = this.#isEscaped ? 1 : 0;
          const quote = closingQuote(text, from);
          if (quote === -1) {
            this.#isEscaped = endsEscaped(text, from);
            at = length;
          } else {
            this.#isEscaped = false;
            state = IN_NESTED;
            at = quote + 1;
          }
          continue;
        }
        case IN_KEY:
        case IN_TEXT: {
          const from = this.#isEscaped ? at + 1 : at;
          const quote = closingQuote(text, from);
          const stop = quote === -1 ? length : quote;
          const kept = this.#kept;
          if (quote === -1) {
            this.#isEscaped = endsEscaped(text, from);
            const isShort = kept !== null && kept.length + stop - at <= this.#charactersMax(state);
            this.#kept = isShort ? kept + text.slice(at, stop) : null;
            at = length;
            continue;
          }
          this.#isEscaped = false;
          const isShort = kept !== null && kept.length + stop - at <= this.#charactersMax(state);
          const raw = !isShort ? null : kept === '' ? text.slice(at, stop) : kept + text.slice(at, stop);
          state = state === IN_KEY ? this.#endKey(raw) : this.#endText(raw);
          at = quote + 1;
          continue;
        }
        case IN_SCALAR: {
          let stop = at;
          while (stop < length && isScalar(text.charCodeAt(stop))) stop++;
          this.#kept += text.slice(at, stop);
          if (this.#kept!.length > SCALAR_CHARACTERS_MAX) state = BROKEN;
          else if (stop < length) {
            this.#endScalar(this.#kept!, before + stop);
            state = AFTER_VALUE;
          }
          at = stop;
          continue;
        }
        case BROKEN:
          at = length;
          continue;
      }

      const code = text.charCodeAt(at++);
      if (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) continue;
      switch (state) {
        case START:
          if (code === OPEN_OBJECT) {
            this.#depth = 1;
            state = KEY_OR_END;
          } else if (!isByteOrderMark(code, before + at)) state = BROKEN;
          break;
        case KEY_OR_END:
        case KEY:
          if (code === QUOTE) {
            this.#kept = '';
            state = IN_KEY;
          } else state = code === CLOSE_OBJECT && state === KEY_OR_END ? this.#leave(before + at - 1) : BROKEN;
          break;
        case AFTER_KEY:
          state = code === COLON ? VALUE : BROKEN;
          break;
        case VALUE:
          state = this.#beginValue(code, before + at);
          if (state === IN_SCALAR) at--;
          break;
        case AFTER_VALUE:
          state = code === COMMA ? KEY : code === CLOSE_OBJECT ? this.#leave(before + at - 1) : BROKEN;
          break;
        default:
          // Something follows the end.
          state = BROKEN;
      }
    }
    this.#state = state;
  }

  #charactersMax(state: number): number {
    if (state === IN_KEY) return KEY_CHARACTERS_MAX;
    return this.#slot === INPUT ? INPUT_CHARACTERS_MAX : RAW_CHARACTERS_MAX;
  }

  #endKey(raw: string | null): number {
    const key = raw === null || raw.indexOf('\\') === -1 ? raw : decode(raw);
    if (key === undefined) return BROKEN;
    if (this.#place === TOP) {
      this.#slot = key === null ? NO_SLOT : (SLOTS.get(key) ?? NO_SLOT);
      // Of all but a speech it may be of any length, and is anybody's.
      if (this.#slot === INPUT && !this.#countsInput) this.#slot = NO_SLOT;
      if (this.#slot !== NO_SLOT) this.#members.begin(this.#slot);
      if (this.#slot === STREAM_OPTIONS) this.#forgetOptions();
      return AFTER_KEY;
    }
    this.#isEmptyOptions = this.#isEmptyOptions && this.#place !== IN_OPTIONS;
    this.#isInnerKey = key === WANTED[this.#place];
    if (this.#isInnerKey && this.#hasInnerKey) this.#members.hasDuplicates = true;
    this.#hasInnerKey ||= this.#isInnerKey;
    return AFTER_KEY;
  }

  /** @param after where the byte behind the first one stands */
  #beginValue(code: number, after: number): number {
    const isWanted = this.#place === TOP ? this.#slot !== NO_SLOT : this.#isInnerKey;
    if (code === QUOTE) {
      this.#kept = isWanted ? '' : null;
      if (isWanted && (this.#slot === STREAM_OPTIONS || this.#place === IN_OPTIONS)) this.#isOddOptions = true;
      return IN_TEXT;
    }
    if ((code | 0x20) === OPEN_OBJECT) {
      this.#depth++;
      return isWanted ? this.#beginNested(code === OPEN_OBJECT, after) : IN_NESTED;
    }
    if (!isScalar(code)) return BROKEN;
    this.#kept = '';
    if (isWanted) this.#literalStart = after - 1;
    return IN_SCALAR;
  }

  #beginNested(isObject: boolean, after: number): number {
    if (this.#place !== TOP) {
      this.#takeInner(null);
      if (this.#place === IN_OPTIONS) this.#isOddOptions = true;
      return IN_NESTED;
    }
    if (this.#slot === STREAM_OPTIONS) {
      if (!isObject) {
        this.#isOddOptions = true;
        return IN_NESTED;
      }
      this.#optionsAt = after;
      this.#enter(IN_OPTIONS, 2);
      return KEY_OR_END;
    }
    if (this.#slot === TOOLS && !isObject) {
      this.#place = IN_TOOLS;
      return IN_NESTED;
    }
    if (this.#slot === PROMPT && !isObject) this.#place = IN_PROMPTS;
    if (isObject && (this.#slot === SESSION || this.#slot === PROMPT_CACHE_OPTIONS)) {
      this.#enter(this.#slot === SESSION ? IN_SESSION : IN_CACHE_OPTIONS, 2);
      return KEY_OR_END;
    }
    this.#members.takeNested(this.#slot, isObject);
    return IN_NESTED;
  }

  #enter(place: number, level: number): void {
    this.#place = place;
    this.#level = level;
    this.#hasInnerKey = false;
  }

  /** The object whose members are read is over. */
  #leave(at: number): number {
    this.#depth--;
    const place = this.#place;
    this.#level = 1;
    if (place === TOP) {
      this.#closeAt = at;
      return END;
    }
    if (place === IN_TOOL) {
      this.#place = IN_TOOLS;
      return IN_NESTED;
    }
    this.#place = TOP;
    return AFTER_VALUE;
  }

  #endText(raw: string | null): number {
    const isWanted = this.#place === TOP ? this.#slot !== NO_SLOT : this.#isInnerKey;
    if (!isWanted) return AFTER_VALUE;
    const value = raw === null ? null : decode(raw);
    if (value === undefined) return BROKEN;
    if (this.#place === TOP) this.#members.take(this.#slot, value);
    else this.#takeInner(value);
    return AFTER_VALUE;
  }

  #endScalar(literal: string, end: number): void {
    const isWanted = this.#place === TOP ? this.#slot !== NO_SLOT : this.#isInnerKey;
    if (!isWanted) return;
    const value = scalar(literal);
    if (this.#place !== TOP) {
      this.#takeInner(value);
      if (this.#place === IN_OPTIONS) this.#noteLiteral(value === false || literal === 'null', end);
    } else if (this.#slot === STREAM_OPTIONS) this.#noteLiteral(literal === 'null', end);
    else this.#members.take(this.#slot, value);
  }

  #noteLiteral(isReplaceable: boolean, end: number): void {
    if (!isReplaceable) {
      this.#isOddOptions = true;
      return;
    }
    this.#literalAt = this.#literalStart;
    this.#literalBytes = end - this.#literalStart;
  }

  #takeInner(value: MemberValue): void {
    if (this.#place === IN_TOOL) this.#members.takeTool(value);
    else if (this.#place === IN_OPTIONS) this.#members.wantsUsage = value === true;
    else {
      const text = typeof value === 'string' && value.length <= TEXT_CHARACTERS_MAX ? value : null;
      if (this.#place === IN_SESSION) this.#members.sessionModel = text;
      else this.#members.cacheTtl = text;
    }
  }

  #forgetOptions(): void {
    this.#optionsAt = -1;
    this.#literalAt = -1;
    this.#isEmptyOptions = true;
    this.#isOddOptions = false;
  }
}

/** Where the string that is open at `from` closes; -1 where it goes on. */
function closingQuote(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at !== -1; at = text.indexOf('"', at + 1)) {
    let first = at;
    while (first > from && text.charCodeAt(first - 1) === BACKSLASH) first--;
    if (((at - first) & 1) === 0) return at;
  }
  return -1;
}

function endsEscaped(text: string, from: number): boolean {
  let first = text.length;
  while (first > from && text.charCodeAt(first - 1) === BACKSLASH) first--;
  return ((text.length - first) & 1) === 1;
}

/** Letters, digits, sign and dot: of numbers, `true`, `false`, `null`, and of what some parsers take for numbers. */
function isScalar(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x2b && code <= 0x39 && code !== COMMA && code !== 0x2f) ||
    (code >= 0x41 && code <= 0x5a)
  );
}

function isByteOrderMark(code: number, position: number): boolean {
  return code === (position === 1 ? 0xef : position === 2 ? 0xbb : position === 3 ? 0xbf : -1);
}

function scalar(literal: string): MemberValue {
  if (literal === 'true') return true;
  if (literal === 'false') return false;
  const number = Number(literal);
  return Number.isNaN(number) ? null : number;
}

/** Neither escapes nor bytes above ASCII: as it stands. */
// oxlint-disable-next-line no-control-regex -- These are the characters that a JSON string has unescaped.
const PLAIN = /^[\x20-\x5b\x5d-\x7f]*$/;

/** @returns undefined for what is no JSON string */
function decode(latin1: string): string | undefined {
  if (PLAIN.test(latin1)) return latin1;
  try {
    return JSON.parse(`"${Buffer.from(latin1, 'latin1').toString('utf8')}"`) as string;
  } catch {
    return undefined;
  }
}
