// Takes out of an amended stream what the question for usage put in, and nothing else: the last chunk with its usage and no
// choices, and the member `"usage":null` of the others. What is left is byte for byte the stream of a request that did not ask.

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const EMPTY = Buffer.alloc(0);

/** A longer line passes as it is: the last chunk has some hundred bytes. */
const LINE_BYTES_MAX = 256 * 1024;
/** An event with more lines in front of its data passes as it is. */
const AHEAD_LINES_MAX = 16;
const USAGE = '"usage"';
/** Of lines of data, which are gathered with their ends. */
const BETWEEN_LINES = /(?:\r\n|\r|\n)data:/g;
const EMPTY_CHOICES = /"choices"[ \t]*:[ \t]*\[[ \t]*\]/;

/** Of one line, in bytes from its beginning. */
interface Cut {
  readonly from: number;
  readonly to: number;
}

export class UsageStrip {
  /** A line whose end has not come yet. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** The line that is being read is longer than any is held. */
  #isLongLine = false;
  /** Lines of an event in front of its data: they go where the data goes. */
  #ahead: Buffer[] = [];
  /** Lines of data that may not be all of their event's: they are judged together. */
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  /** The line that is being read is followed by an empty one. */
  #isLastOfEvent = false;
  /** The event's data was passed on, or dropped. */
  #event: 'open' | 'passed' | 'dropped' = 'open';
  /** The last line ended in CR, at a chunk's end: a LF that comes next belongs to it. */
  #isAfterCr = false;
  #lastLine: 'passed' | 'dropped' | 'ahead' | 'gathered' = 'passed';

  /** What goes on of what is here so far. */
  #out: Buffer[] = [];
  #chunk: Buffer = EMPTY;
  /** Of the chunk, in one piece. */
  #from = 0;
  #to = 0;

  /** @returns what goes downstream now; a chunk with nothing to take out comes back as it is */
  feed(chunk: Buffer): Buffer {
    this.#chunk = chunk;
    this.#from = this.#to = 0;
    let at = 0;
    if (this.#isAfterCr && chunk.length > 0) {
      this.#isAfterCr = false;
      if (chunk[0] === LF) {
        if (this.#lastLine === 'passed') this.#pass(0, 1);
        else if (this.#lastLine === 'ahead') this.#ahead.push(chunk.subarray(0, 1));
        else if (this.#lastLine === 'gathered') this.#gathered.push(chunk.subarray(0, 1));
        at = 1;
      }
    }
    let cr = chunk.indexOf(CR, at);
    while (at < chunk.length) {
      if (cr !== -1 && cr < at) cr = chunk.indexOf(CR, at);
      const lf = chunk.indexOf(LF, at);
      let end = lf;
      let next = lf + 1;
      if (cr !== -1 && (lf === -1 || cr < lf)) {
        end = cr;
        next = lf === cr + 1 ? lf + 1 : cr + 1;
        this.#isAfterCr = next === chunk.length && lf === -1;
      }
      if (end === -1) {
        this.#hold(at);
        break;
      }
      this.#endLine(at, end, next);
      at = next;
    }
    return this.#taken();
  }

  /** The stream ended as it should. @returns what was held */
  end(): Buffer {
    this.#chunk = EMPTY;
    this.#from = this.#to = 0;
    const held = this.#join(0, 0);
    this.#isLastOfEvent = true;
    if (held !== null) this.#readLine(held, held.length, 0, 0);
    this.#judgeGathered();
    this.#passAhead();
    return this.#taken();
  }

  #hold(at: number): void {
    if (this.#isLongLine) {
      this.#pass(at, this.#chunk.length);
      return;
    }
    const piece = this.#chunk.subarray(at);
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes <= LINE_BYTES_MAX) return;
    this.#isLongLine = true;
    this.#passAhead();
    this.#passGathered();
    this.#event = 'passed';
    for (const held of this.#held) this.#passBuffer(held);
    this.#held = [];
    this.#heldBytes = 0;
  }

  #endLine(at: number, end: number, next: number): void {
    if (this.#isLongLine) {
      this.#isLongLine = false;
      this.#lastLine = 'passed';
      this.#pass(at, next);
      return;
    }
    const joined = this.#join(at, next);
    const following = this.#chunk[next];
    this.#isLastOfEvent = following === LF || following === CR;
    if (joined === null) this.#readLine(this.#chunk, end - at, at, next);
    else this.#readLine(joined, joined.length - (next - end), 0, 0);
  }

  /** The line that began in an earlier chunk, with its end from this one. */
  #join(at: number, next: number): Buffer | null {
    if (this.#heldBytes === 0) return null;
    const joined = Buffer.concat([...this.#held, this.#chunk.subarray(at, next)]);
    this.#held = [];
    this.#heldBytes = 0;
    return joined;
  }

  /**
   * @param line this chunk, where the line stands from `at` to `next`; or a line of its own, where both are 0
   * @param length of the line without its end
   */
  #readLine(line: Buffer, length: number, at: number, next: number): void {
    this.#lastLine = 'passed';
    const isOfData = length > 0 && isData(line, at);
    if (!isOfData) this.#judgeGathered();
    if (length === 0) {
      this.#passAhead();
      if (this.#event === 'dropped') this.#lastLine = 'dropped';
      else this.#passLine(line, at, next);
      this.#event = 'open';
    } else if (line[at] === COLON) {
      if (this.#ahead.length > 0) this.#holdAhead(line, at, next);
      else this.#passLine(line, at, next);
    } else if (isOfData) {
      if (this.#gathered.length === 0 && this.#isLastOfEvent) this.#readData(line, length, at, next);
      else this.#gather(next === 0 ? line : line.subarray(at, next));
    } else if (this.#event === 'dropped') this.#lastLine = 'dropped';
    else if (this.#event === 'passed') this.#passLine(line, at, next);
    else this.#holdAhead(line, at, next);
  }

  #holdAhead(line: Buffer, at: number, next: number): void {
    this.#lastLine = 'ahead';
    this.#ahead.push(next === 0 ? line : line.subarray(at, next));
    if (this.#ahead.length < AHEAD_LINES_MAX) return;
    this.#passAhead();
    this.#event = 'passed';
    this.#lastLine = 'passed';
  }

  #gather(line: Buffer): void {
    if (this.#event === 'passed' && this.#gathered.length === 0) {
      this.#passBuffer(line);
      return;
    }
    this.#lastLine = 'gathered';
    this.#gathered.push(line);
    this.#gatheredBytes += line.length;
    if (this.#gatheredBytes <= LINE_BYTES_MAX) return;
    this.#passAhead();
    this.#passGathered();
    this.#event = 'passed';
    this.#lastLine = 'passed';
  }

  #passGathered(): void {
    for (const each of this.#gathered) this.#passBuffer(each);
    this.#gathered = [];
    this.#gatheredBytes = 0;
  }

  #judgeGathered(): void {
    if (this.#gathered.length === 0) return;
    const lines = Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    const text = lines.toString('latin1');
    // What is between the lines of one event's data is white space to a parser of JSON.
    const found = judge(text.replaceAll(BETWEEN_LINES, (between) => ' '.repeat(between.length)));
    this.#apply(found, lines, 0, 0);
  }

  #readData(line: Buffer, length: number, at: number, next: number): void {
    const found = judgeTail(line, at, at + length) ?? judge(line.toString('latin1', at, at + length));
    this.#apply(found, line, at, next);
  }

  #apply(found: Cut | 'drop' | 'pass', line: Buffer, at: number, next: number): void {
    if (found === 'drop') {
      this.#lastLine = 'dropped';
      this.#event = 'dropped';
      const ahead = this.#ahead;
      this.#ahead = [];
      let isComment = false;
      for (const each of ahead) {
        // A line's end may have come by itself.
        if (each[0] !== LF) isComment = each[0] === COLON;
        if (isComment) this.#passBuffer(each);
      }
      return;
    }
    this.#passAhead();
    this.#event = 'passed';
    if (found === 'pass') this.#passLine(line, at, next);
    else if (next === 0) {
      this.#passBuffer(line.subarray(0, found.from));
      this.#passBuffer(line.subarray(found.to));
    } else {
      this.#pass(at, at + found.from);
      this.#pass(at + found.to, next);
    }
  }

  #passAhead(): void {
    for (const each of this.#ahead) this.#passBuffer(each);
    if (this.#ahead.length > 0) this.#ahead = [];
  }

  #passLine(line: Buffer, at: number, next: number): void {
    if (next === 0) this.#passBuffer(line);
    else this.#pass(at, next);
  }

  #pass(from: number, to: number): void {
    if (from === this.#to) {
      this.#to = to;
      return;
    }
    this.#settle();
    this.#from = from;
    this.#to = to;
  }

  #passBuffer(bytes: Buffer): void {
    this.#settle();
    this.#from = this.#to;
    this.#out.push(bytes);
  }

  #settle(): void {
    if (this.#from < this.#to) this.#out.push(this.#chunk.subarray(this.#from, this.#to));
  }

  #taken(): Buffer {
    const chunk = this.#chunk;
    this.#chunk = EMPTY;
    if (this.#out.length === 0) {
      if (this.#from === 0 && this.#to === chunk.length) return chunk;
      return chunk.subarray(this.#from, this.#to);
    }
    if (this.#from < this.#to) this.#out.push(chunk.subarray(this.#from, this.#to));
    const out = this.#out;
    this.#out = [];
    return out.length === 1 ? out[0]! : Buffer.concat(out);
  }
}

function isData(line: Buffer, at: number): boolean {
  return (
    line[at] === 0x64 &&
    line[at + 1] === 0x61 &&
    line[at + 2] === 0x74 &&
    line[at + 3] === 0x61 &&
    line[at + 4] === COLON
  );
}

/** What the chunks of most upstreams end in: `,"usage":null,"obfuscation":"..."}`. */
const TAIL_BYTES = 96;

/** Looks at the line's end alone; null where that does not tell. */
function judgeTail(line: Buffer, from: number, to: number): Cut | null {
  const start = Math.max(from, to - TAIL_BYTES);
  const tail = line.toString('latin1', start, to);
  const at = tail.indexOf(',"usage":null');
  if (at === -1 || closingsBehind(tail, at + 13) !== 1) return null;
  return { from: start - from + at, to: start - from + at + 13 };
}

/**
 * A quote inside a string is escaped, so `"usage"` with a comma or bracket before it and a colon behind it is a member's name
 * wherever it stands. How deep it stands is told by the brackets that close behind it.
 */
function judge(text: string): Cut | 'drop' | 'pass' {
  for (let at = text.indexOf(USAGE); at !== -1; at = text.indexOf(USAGE, at + 1)) {
    const colon = skipSpace(text, at + USAGE.length);
    if (text.charCodeAt(colon) !== COLON || !isMember(text, at)) continue;
    const value = skipSpace(text, colon + 1);
    if (text.startsWith('null', value)) {
      if (closingsBehind(text, value + 4) === 1) return cutOf(text, at, value + 4);
    } else if (text.charCodeAt(value) === 0x7b && EMPTY_CHOICES.test(text)) {
      return isLastChunk(text.slice('data:'.length)) ? 'drop' : 'pass';
    }
  }
  return 'pass';
}

function isMember(text: string, key: number): boolean {
  let before = key - 1;
  while (isSpace(text.charCodeAt(before))) before--;
  return text.charAt(before) === ',' || text.charAt(before) === '{';
}

/** With the comma that joins the member to the others. */
function cutOf(text: string, key: number, end: number): Cut {
  let from = key;
  while (isSpace(text.charCodeAt(from - 1))) from--;
  if (text.charAt(from - 1) === ',') return { from: from - 1, to: end };
  const comma = skipSpace(text, end);
  return { from: key, to: text.charAt(comma) === ',' ? skipSpace(text, comma + 1) : end };
}

function isLastChunk(json: string): boolean {
  try {
    const { choices, usage } = JSON.parse(json) as { choices?: unknown; usage?: unknown };
    return Array.isArray(choices) && choices.length === 0 && typeof usage === 'object' && usage !== null;
  } catch {
    return false;
  }
}

/** How many more brackets close than open from here on. */
function closingsBehind(text: string, from: number): number {
  let closings = 0;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = closingQuote(text, at + 1);
      if (at === -1) return -1;
    } else if ((code | 0x20) === 0x7b) closings--;
    else if ((code | 0x20) === 0x7d) closings++;
  }
  return closings;
}

function closingQuote(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) return at;
  }
  return -1;
}

function skipSpace(text: string, at: number): number {
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
