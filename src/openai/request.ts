// What can be told of a request by looking at a copy of its bytes: the model. Nothing is parsed in order to forward.

export interface RequestScan {
  /** Looks at the next chunk. Cheap once the model is found. */
  feed(chunk: Buffer): void;
  /** As the request names it; null while, or if, none was seen. */
  readonly model: string | null;
}

/** Null for a content type that carries no model that could be read. */
export function scanRequest(contentType: string, contentEncoding: string): RequestScan | null {
  if (contentEncoding !== '' && contentEncoding !== 'identity') return null;
  if (contentType.includes('json')) return new JsonScan();
  const boundary = /^multipart\/form-data.*?boundary="?([^";]+)/i.exec(contentType)?.[1];
  return boundary === undefined ? null : new FormScan(boundary);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MODEL_BYTES_MAX = 256;
/** Where JSON names its model later than this, it goes unseen. */
const JSON_BYTES_MAX = 32 * 1024 * 1024;

/** Finds the string under the top-level key "model" in JSON of any size at any chunking, without a stack: depth is a number. */
class JsonScan implements RequestScan {
  model: string | null = null;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** Text of the string being read, while it may matter: a key or a value at depth 1. */
  #text: string | null = null;
  /** The last string read at depth 1, until a colon or comma tells what it was. */
  #last = '';
  #isAfterModelKey = false;
  #bytes = 0;

  feed(chunk: Buffer): void {
    if (this.model !== null || this.#bytes > JSON_BYTES_MAX) return;
    this.#bytes += chunk.length;
    let at = 0;
    while (at < chunk.length && this.model === null) {
      at = this.#isInString ? this.#readString(chunk, at) : this.#readStructure(chunk, at);
    }
  }

  #readString(chunk: Buffer, at: number): number {
    if (this.#isEscaped) {
      this.#isEscaped = false;
      this.#keep(chunk, at, at + 1);
      return at + 1;
    }
    let end = at;
    for (;;) {
      const quote = chunk.indexOf(QUOTE, end);
      const stop = quote === -1 ? chunk.length : quote;
      let backslashes = 0;
      while (stop - backslashes > at && chunk[stop - backslashes - 1] === BACKSLASH) backslashes++;
      if (quote === -1) {
        this.#keep(chunk, at, stop);
        this.#isEscaped = backslashes % 2 === 1;
        return stop;
      }
      if (backslashes % 2 === 0) {
        this.#keep(chunk, at, stop);
        this.#endString();
        return stop + 1;
      }
      end = stop + 1;
    }
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    if (this.#text === null) return;
    if (this.#text.length + to - from > MODEL_BYTES_MAX) this.#text = null;
    else this.#text += chunk.toString('latin1', from, to);
  }

  #endString(): void {
    this.#isInString = false;
    if (this.#depth !== 1) return;
    if (this.#isAfterModelKey && this.#text !== null) this.model = unescape(this.#text);
    else this.#last = this.#text ?? '';
    this.#text = null;
  }

  #readStructure(chunk: Buffer, at: number): number {
    switch (chunk[at]) {
      case QUOTE:
        this.#isInString = true;
        if (this.#depth === 1) this.#text = '';
        break;
      case 0x7b: // {
      case 0x5b: // [
        this.#depth++;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        this.#depth--;
        break;
      case 0x3a: // :
        if (this.#depth === 1) this.#isAfterModelKey = this.#last === 'model';
        break;
      case 0x2c: // ,
        if (this.#depth === 1) {
          this.#isAfterModelKey = false;
          this.#last = '';
        }
        break;
    }
    return at + 1;
  }
}

function unescape(latin1: string): string | null {
  try {
    return JSON.parse(`"${Buffer.from(latin1, 'latin1').toString('utf8')}"`) as string;
  } catch {
    return null;
  }
}

const FORM_BYTES_MAX = 64 * 1024;

/** The whole of a line, so that a file which is called like it is not taken for it. */
const MODEL_FIELD = /^content-disposition: *form-data; *name="?model"?$/im;

/** Finds the form field `model` in the first 64 KiB; a file in front of it may hide it. */
class FormScan implements RequestScan {
  model: string | null = null;
  readonly #delimiter: Buffer;
  #seen: Buffer | null = null;
  #bytes = 0;
  /** Where the part begins that is being read; -1 before the first delimiter. */
  #partAt = -1;
  /** Up to here there is no delimiter that was not seen: no byte is looked at for one twice. */
  #from = 0;

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  }

  feed(chunk: Buffer): void {
    if (this.model !== null || this.#bytes === FORM_BYTES_MAX) return;
    if (this.#seen === null) {
      this.#seen = Buffer.allocUnsafe(FORM_BYTES_MAX);
      // The line end that the first delimiter lacks.
      this.#bytes = this.#seen.write('\r\n', 'latin1');
    }
    this.#bytes += chunk.copy(this.#seen, this.#bytes);
    this.#readParts(this.#seen.subarray(0, this.#bytes));
    if (this.model !== null || this.#bytes === FORM_BYTES_MAX) this.#seen = null;
  }

  #readParts(seen: Buffer): void {
    for (;;) {
      const at = seen.indexOf(this.#delimiter, this.#from);
      if (at === -1) {
        this.#from = Math.max(this.#from, seen.length - this.#delimiter.length + 1);
        return;
      }
      if (this.#partAt !== -1) this.model = modelOf(seen.toString('latin1', this.#partAt, at));
      if (this.model !== null) return;
      this.#partAt = this.#from = at + this.#delimiter.length;
    }
  }
}

/** @param part its header lines, an empty line and its value */
function modelOf(part: string): string | null {
  const headEnd = part.indexOf('\r\n\r\n');
  if (headEnd === -1 || !MODEL_FIELD.test(part.slice(0, headEnd))) return null;
  const value = part.slice(headEnd + 4);
  return value.length > MODEL_BYTES_MAX ? null : Buffer.from(value, 'latin1').toString('utf8');
}
