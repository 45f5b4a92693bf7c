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

/** Finds the form field `model` in the first 64 KiB; a file in front of it may hide it. */
class FormScan implements RequestScan {
  model: string | null = null;
  readonly #delimiter: string;
  #seen = '';
  #lookAt = 0;

  constructor(boundary: string) {
    this.#delimiter = `\r\n--${boundary}`;
  }

  feed(chunk: Buffer): void {
    if (this.model !== null || this.#seen.length >= FORM_BYTES_MAX) return;
    this.#seen += chunk.toString('latin1', 0, FORM_BYTES_MAX - this.#seen.length);
    // Looked at again only when twice as long, so that many small chunks cost no more than one large.
    if (this.#seen.length < this.#lookAt) return;
    this.#lookAt = Math.min(FORM_BYTES_MAX, this.#seen.length * 2);
    const field = /content-disposition: *form-data; *name="?model"?\r\n(?:[^\r\n]+\r\n)*\r\n/i.exec(this.#seen);
    if (!field) return;
    const start = field.index + field[0].length;
    const end = this.#seen.indexOf(this.#delimiter, start);
    if (end === -1 || end - start > MODEL_BYTES_MAX) return;
    this.model = Buffer.from(this.#seen.slice(start, end), 'latin1').toString('utf8');
    this.#seen = '';
  }
}
