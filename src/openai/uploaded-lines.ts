// An uploaded file of lines as it goes by: how many there are, and what they ask for at most. Lines may be of any length; nothing of
// them is kept. Of a file that is anything else nothing is read.
import type { InputFile } from '../domain/input-file.ts';
import { JsonReader, planOf } from './json-reader.ts';

const LF = 0x0a;
const SPACE = 0x20;
const OPEN_OBJECT = 0x7b;
/** Found by their places in this list. The first bound of a reply that stands in a line counts, as in any request. */
const [URL, MODEL, COUNT, BEST_OF, PREVIOUS, COMPLETION_MAX, OUTPUT_MAX, TOKENS_MAX] = [0, 1, 2, 3, 4, 5, 6, 7];
const OUTPUT_BOUNDS = [COMPLETION_MAX, OUTPUT_MAX, TOKENS_MAX];
const VALUES = [
  'url',
  'body.model',
  'body.n',
  'body.best_of',
  'body.previous_response_id',
  'body.max_completion_tokens',
  'body.max_output_tokens',
  'body.max_tokens',
];
const PLAN = planOf([
  ...VALUES.map((path) => ({ path, as: 'value' }) as const),
  { path: 'body.prompt[]', as: 'element' },
]);
/** As in a request: in a text, their quotes are escaped. */
const ELSEWHERE = /"(?:image_url|file_id|file_url|file_data)"/;
const ELSEWHERE_CHARACTERS_MAX = 12;

export class UploadedLines {
  readonly #reader: JsonReader;
  #values: unknown[] = [];
  #prompts = 0;
  /** Null until something stands in this line, and in the file. */
  #isObject: boolean | null = null;
  #isElsewhere = false;
  /** The end of what was looked through of this line. */
  #looked = '';
  #lineBytes = 0;
  #isLines: boolean | null = null;

  #bytes = 0;
  #lines = 0;
  #lineBytesMax = 0;
  readonly #models = new Set<string | null>();
  readonly #makes = new Set<InputFile['makes']>();
  #outputTokens = 0;
  #unboundedReplies = 0;
  #linesReadingElsewhere = 0;

  constructor() {
    this.#reader = new JsonReader(PLAN, {
      onValue: (slot, value) => {
        this.#values[slot] = value;
      },
      onElement: () => {
        this.#prompts++;
      },
      onText: () => {},
    });
  }

  feed(bytes: Buffer): void {
    if (this.#isLines === false) return;
    this.#bytes += bytes.length;
    for (let at = 0; at < bytes.length;) {
      const lineEnd = bytes.indexOf(LF, at);
      const end = lineEnd === -1 ? bytes.length : lineEnd;
      this.#isObject ??= beginsObject(bytes, at, end);
      this.#isLines ??= this.#isObject;
      if (this.#isLines === false) return;
      this.#reader.feed(bytes, at, end);
      this.#look(bytes, at, end);
      this.#lineBytes += end - at;
      if (lineEnd !== -1) this.#endLine();
      at = end + 1;
    }
  }

  /** Ends it. Null where it has no lines of JSON. */
  told(): InputFile | null {
    this.#endLine();
    if (this.#lines === 0) return null;
    const [model = null, ...otherModels] = this.#models;
    const [makes = 'text', ...others] = this.#makes;
    return {
      bytes: this.#bytes,
      lines: this.#lines,
      lineBytesMax: this.#lineBytesMax,
      model: otherModels.length === 0 ? model : null,
      makes: others.length === 0 ? makes : 'text',
      outputTokens: this.#outputTokens,
      unboundedReplies: this.#unboundedReplies,
      linesReadingElsewhere: this.#linesReadingElsewhere,
    };
  }

  #look(bytes: Buffer, from: number, to: number): void {
    if (this.#isElsewhere) return;
    const text = this.#looked + bytes.toString('latin1', from, to);
    this.#isElsewhere = ELSEWHERE.test(text);
    this.#looked = text.slice(-ELSEWHERE_CHARACTERS_MAX);
  }

  #endLine(): void {
    const values = this.#values;
    if (this.#isObject === true && this.#reader.isWhole) {
      this.#lines++;
      this.#lineBytesMax = Math.max(this.#lineBytesMax, this.#lineBytes);
      const model = values[MODEL];
      // Two are as many as need to be told apart.
      if (this.#models.size < 2) this.#models.add(typeof model === 'string' ? model : null);
      this.#makes.add(madeAt(values[URL]));
      const replies = Math.max(1, wholeOf(values[COUNT]), wholeOf(values[BEST_OF])) * Math.max(1, this.#prompts);
      const bound = OUTPUT_BOUNDS.map((slot) => values[slot]).find((value) => typeof value === 'number');
      if (bound === undefined) this.#unboundedReplies += replies;
      else this.#outputTokens += wholeOf(bound) * replies;
      if (this.#isElsewhere || typeof values[PREVIOUS] === 'string') this.#linesReadingElsewhere++;
    }
    this.#reader.reset();
    this.#values = [];
    this.#prompts = 0;
    this.#isObject = null;
    this.#isElsewhere = false;
    this.#looked = '';
    this.#lineBytes = 0;
  }
}

/** Null where there is nothing but space. */
function beginsObject(bytes: Buffer, from: number, to: number): boolean | null {
  for (let at = from; at < to; at++) if (bytes[at]! > SPACE) return bytes[at] === OPEN_OBJECT;
  return null;
}

function wholeOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

function madeAt(url: unknown): InputFile['makes'] {
  if (typeof url !== 'string') return 'text';
  if (/embeddings|moderations/.test(url)) return 'nothing';
  return url.includes('images') ? 'images' : 'text';
}
