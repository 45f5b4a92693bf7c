// Reads the deciding fields of a multipart form as it goes by, in front of files of any size and behind them.
import type { RequestFacts } from '../domain/facts.ts';
import { AudioLength } from './audio-length.ts';
import { JsonScan } from './request-json.ts';
import {
  BACKGROUND,
  BEST_OF,
  CONVERSATION,
  INPUT,
  Members,
  type MemberValue,
  NO_SLOT,
  PREVIOUS_RESPONSE,
  PROMPT,
  SECONDS,
  SESSION,
  SLOTS,
  STREAM,
  STREAM_OPTIONS,
  type Slot,
  TEXT_CHARACTERS_MAX,
  TOOLS,
} from './request-members.ts';
import type { RequestScan, RequestScanOptions } from './request-scan.ts';
import { UploadedLines } from './uploaded-lines.ts';

const NOTHING = Buffer.alloc(0);
const HEAD_BYTES_MAX = 16 * 1024;
/** UTF-8 of a text that is believed, or a session's JSON. */
const VALUE_BYTES_MAX = 4 * TEXT_CHARACTERS_MAX;
const SESSION_BYTES_MAX = 64 * 1024;
const BLANK_LINE = Buffer.from('\r\n\r\n');
const CR = 0x0d;
const LF = 0x0a;
const DASH = 0x2d;

const DISPOSITION = /^content-disposition[ \t]*:(.*)$/gim;
const PARAMETER = /;[ \t]*([\w*-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]*))/g;
/** A header that goes on in the next line, or a value in an encoding of its own. */
const ODD_HEAD = /\r\n[ \t]|^content-transfer-encoding[ \t]*:[ \t]*(?!7bit|8bit|binary)/im;
const RECORDINGS_MAX = 2;
const WHOLE_NUMBER = /^\d{1,15}$/;

/** A part's head, its value up to the next delimiter, or what follows the last one. */
type State = 'head' | 'value' | 'end' | 'broken';

export class FormScan implements RequestScan {
  readonly #members = new Members();
  readonly #options: RequestScanOptions;
  readonly #delimiter: Buffer;
  #state: State = 'value';
  /** The end of the last chunk that may be the beginning of a delimiter, or an unfinished head. The first delimiter lacks its line end. */
  #rest: Buffer = Buffer.from('\r\n');
  #slot: Slot = NO_SLOT;
  #value: Buffer[] = [];
  #valueBytes = 0;
  /** Of the recording that goes by, and of the one that did. */
  #recording: AudioLength | null = null;
  #recordings: AudioLength[] = [];
  /** Of the file of lines that goes by, and of the one that did. */
  #lines: UploadedLines | null = null;
  #linesOfFile: UploadedLines | null = null;
  #bytes = 0;
  #isWhole = false;

  constructor(boundary: string, options: RequestScanOptions) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
    this.#options = options;
  }

  get model(): string | null {
    return this.#members.model ?? this.#members.sessionModel;
  }

  feed(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#state === 'end' || this.#state === 'broken') return;
    const seen = this.#join(chunk);
    this.#rest = NOTHING;
    let at = 0;
    while (at !== -1)
      at = this.#state === 'head' ? this.#readHead(seen, at) : this.#state === 'value' ? this.#readValue(seen, at) : -1;
  }

  end(): void {
    this.#isWhole = true;
    if (this.#state !== 'end') this.#state = 'broken';
  }

  facts(): RequestFacts {
    // Which of several is meant is anybody's guess.
    const [recording, ...others] = this.#recordings;
    const isMeasured = this.#state === 'end' && recording !== undefined && others.length === 0;
    this.#members.audioSeconds = isMeasured ? recording.seconds() : null;
    const facts = this.#members.facts({
      isWhole: this.#isWhole,
      isReadable: this.#state !== 'broken',
      hasDuplicates: this.#members.hasDuplicates,
      bodyBytes: this.#options.announcedBytes ?? this.#bytes,
    });
    const lines = this.#state === 'end' ? this.#linesOfFile : null;
    return lines === null ? facts : { ...facts, inputFile: lines.told() };
  }

  usagePlace(): null {
    return null;
  }

  /** In the middle of a file only the seam is joined, not the whole chunk. */
  #join(chunk: Buffer): Buffer {
    const rest = this.#rest;
    if (rest.length === 0) return chunk;
    if (this.#state === 'value' && chunk.length >= this.#delimiter.length) {
      const seam = Buffer.concat([rest, chunk.subarray(0, this.#delimiter.length)]);
      if (!seam.includes(this.#delimiter)) {
        this.#keep(rest);
        return chunk;
      }
    }
    return Buffer.concat([rest, chunk]);
  }

  #readValue(seen: Buffer, from: number): number {
    const at = seen.indexOf(this.#delimiter, from);
    if (at === -1) {
      const settled = Math.max(from, seen.length - this.#delimiter.length + 1);
      this.#keep(seen.subarray(from, settled));
      this.#rest = Buffer.from(seen.subarray(settled));
      return -1;
    }
    this.#keep(seen.subarray(from, at));
    if (this.#slot !== NO_SLOT) this.#endField();
    this.#recording = this.#lines = null;
    this.#state = 'head';
    return at + this.#delimiter.length;
  }

  /** @param from right behind a delimiter */
  #readHead(seen: Buffer, from: number): number {
    if (seen.length - from >= 2) {
      if (seen[from] === DASH && seen[from + 1] === DASH) {
        this.#state = 'end';
        return -1;
      }
      // What only begins like the boundary is read differently by different parsers.
      if (seen[from] !== CR || seen[from + 1] !== LF) {
        this.#state = 'broken';
        return -1;
      }
      const end = seen.indexOf(BLANK_LINE, from);
      if (end !== -1) {
        this.#beginField(seen.toString('latin1', from + 2, end + 2));
        if (this.#state === 'broken') return -1;
        this.#state = 'value';
        return end + 4;
      }
    }
    if (seen.length - from > HEAD_BYTES_MAX) this.#state = 'broken';
    else this.#rest = Buffer.from(seen.subarray(from));
    return -1;
  }

  #beginField(head: string): void {
    const dispositions = [...head.matchAll(DISPOSITION)];
    const parameters = new Map<string, string>();
    let isTwice = dispositions.length > 1;
    for (const [, name, quoted, plain] of (dispositions[0]?.[1] ?? '').matchAll(PARAMETER)) {
      const key = name!.toLowerCase();
      isTwice ||= parameters.has(key);
      parameters.set(key, quoted ?? plain ?? '');
    }
    const slot = SLOTS.get(parameters.get('name') ?? '') ?? NO_SLOT;
    const isFile = parameters.has('filename') || parameters.has('filename*');
    this.#slot = isFile || JSON_ONLY.has(slot) ? NO_SLOT : slot;
    // A field that decides, sent as a file or under two names: who reads it as what is anybody's guess.
    if (isTwice || (slot !== NO_SLOT && !JSON_ONLY.has(slot) && (isFile || ODD_HEAD.test(head))))
      this.#state = 'broken';
    if (isFile && this.#options.measuresAudio === true && this.#recordings.length < RECORDINGS_MAX)
      this.#recordings.push((this.#recording = new AudioLength('')));
    if (isFile && this.#options.readsLines === true) this.#linesOfFile ??= this.#lines = new UploadedLines();
    if (this.#slot === NO_SLOT) return;
    this.#members.begin(this.#slot);
    this.#value = [];
    this.#valueBytes = 0;
  }

  #keep(bytes: Buffer): void {
    this.#recording?.feed(bytes);
    this.#lines?.feed(bytes);
    if (this.#slot === NO_SLOT || bytes.length === 0) return;
    this.#valueBytes += bytes.length;
    if (this.#valueBytes <= this.#bytesMax()) this.#value.push(Buffer.from(bytes));
    else this.#value = [];
  }

  #bytesMax(): number {
    return this.#slot === SESSION ? SESSION_BYTES_MAX : VALUE_BYTES_MAX;
  }

  #endField(): void {
    const slot = this.#slot;
    this.#slot = NO_SLOT;
    const value = this.#valueBytes > this.#bytesMax() ? null : Buffer.concat(this.#value);
    this.#value = [];
    if (slot === SESSION) this.#members.sessionModel = value === null ? null : modelOfSession(value);
    else this.#members.take(slot, value === null ? null : typed(slot, value.toString('utf8')));
  }
}

/** Fields that decide nothing in a form. */
const JSON_ONLY: ReadonlySet<Slot> = new Set([INPUT, PREVIOUS_RESPONSE, CONVERSATION, PROMPT, BEST_OF]);

/** What JSON would have in its place. */
function typed(slot: Slot, text: string): MemberValue {
  if (slot === STREAM || slot === BACKGROUND) return text.toLowerCase() === 'true' || text === '1';
  if (slot === TOOLS || slot === STREAM_OPTIONS) return null;
  return WHOLE_NUMBER.test(text) && slot !== SECONDS && NUMERIC.has(slot) ? Number(text) : text;
}

/** Fields that JSON has numbers for. */
const NUMERIC = new Set(
  ['n', 'max_tokens', 'max_completion_tokens', 'max_output_tokens', 'max_tool_calls'].map((name) => SLOTS.get(name)!),
);

function modelOfSession(json: Buffer): string | null {
  const scan = new JsonScan({ announcedBytes: null, countsInput: false });
  scan.feed(json);
  scan.end();
  const { isReadable, hasDuplicates, model } = scan.facts();
  return isReadable && !hasDuplicates ? model : null;
}
