// Reads HTTP/1.1 messages for tests as they are on the wire: nothing is merged, lower-cased or decoded but the framing.
import type { Socket } from 'node:net';

/** A header line: name and value as sent, each byte a latin1 character. */
export type Header = readonly [name: string, value: string];

export interface Head {
  readonly startLine: string;
  readonly headers: readonly Header[];
}

/** How a message tells where its body ends. */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

const HEAD_BYTES_MAX = 1024 * 1024;

/** How many pieces may wait for a reader before the other side is made to wait. */
const PIECES_MAX = 64;

export class WireReader {
  readonly trailers: Header[] = [];
  /** Sizes of the chunks of the chunked bodies read so far. */
  readonly chunkSizes: number[] = [];
  /** Why the connection ended; null while it is open and after a clean end. */
  error: Error | null = null;
  readonly #socket: Socket;
  readonly #arrived: Buffer[] = [];
  #buffer: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    // Listened to and not iterated, so that an end is noticed even while nobody reads.
    socket.on('data', (piece: Buffer) => {
      if (this.#arrived.push(piece) > PIECES_MAX) socket.pause();
      this.#wake();
    });
    socket.on('error', (error) => (this.error = error));
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  /** The next head; null where the connection ended instead. */
  async head(): Promise<Head | null> {
    for (;;) {
      const end = this.#buffer.indexOf('\r\n\r\n');
      if (end !== -1) return parseHead(this.#take(end + 4).subarray(0, end));
      if (this.#buffer.length > HEAD_BYTES_MAX) throw new Error(`no end of head within ${HEAD_BYTES_MAX} bytes`);
      if (!(await this.#more())) return null;
    }
  }

  /** The body, piece by piece as it arrives. Returns whether it ended as its framing says. */
  async *body(framing: Framing, lengthBytes: number): AsyncGenerator<Buffer, boolean> {
    switch (framing) {
      case 'none':
        return true;
      case 'length':
        return yield* this.#exactly(lengthBytes);
      case 'chunked':
        return yield* this.#chunked();
      case 'close':
        while (this.#buffer.length > 0 || (await this.#more())) yield this.#take(this.#buffer.length);
        return this.error === null;
    }
  }

  /** Whatever comes next, however short; null at the end of the connection. */
  async bytes(): Promise<Buffer | null> {
    if (this.#buffer.length === 0 && !(await this.#more())) return null;
    return this.#take(this.#buffer.length);
  }

  async *#exactly(lengthBytes: number): AsyncGenerator<Buffer, boolean> {
    for (let left = lengthBytes; left > 0;) {
      if (this.#buffer.length === 0 && !(await this.#more())) return false;
      const piece = this.#take(Math.min(left, this.#buffer.length));
      left -= piece.length;
      yield piece;
    }
    return true;
  }

  async *#chunked(): AsyncGenerator<Buffer, boolean> {
    for (;;) {
      const line = await this.#line();
      if (line === null) return false;
      if (!/^[0-9a-f]+$/i.test(line.split(';')[0]!)) throw new Error(`no chunk size: ${JSON.stringify(line)}`);
      const size = Number.parseInt(line, 16);
      if (size === 0) return await this.#readTrailers();
      this.chunkSizes.push(size);
      if (!(yield* this.#exactly(size))) return false;
      if ((await this.#line()) === null) return false;
    }
  }

  async #readTrailers(): Promise<boolean> {
    for (;;) {
      const line = await this.#line();
      if (line === null) return false;
      if (line === '') return true;
      this.trailers.push(parseHeader(line));
    }
  }

  async #line(): Promise<string | null> {
    for (;;) {
      const end = this.#buffer.indexOf('\r\n');
      if (end !== -1) return this.#take(end + 2).toString('latin1', 0, end);
      if (!(await this.#more())) return null;
    }
  }

  #take(count: number): Buffer {
    const taken = this.#buffer.subarray(0, count);
    this.#buffer = this.#buffer.subarray(count);
    return taken;
  }

  async #more(): Promise<boolean> {
    while (this.#arrived.length === 0) {
      if (this.#ended) return false;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const pieces = this.#arrived.splice(0);
    if (this.#socket.isPaused()) this.#socket.resume();
    this.#buffer =
      this.#buffer.length === 0 && pieces.length === 1 ? pieces[0]! : Buffer.concat([this.#buffer, ...pieces]);
    return true;
  }
}

function parseHead(bytes: Buffer): Head {
  const [startLine, ...lines] = bytes.toString('latin1').split('\r\n');
  return { startLine: startLine!, headers: lines.map(parseHeader) };
}

/** Only the one space after the colon that everyone writes is taken off. */
function parseHeader(line: string): Header {
  const colon = line.indexOf(':');
  if (colon === -1) throw new Error(`no header: ${JSON.stringify(line)}`);
  const value = line.slice(colon + 1);
  return [line.slice(0, colon), value.startsWith(' ') ? value.slice(1) : value];
}

/** The values of one header, in the order of its lines. */
export function valuesOf(headers: readonly Header[], name: string): string[] {
  return headers.filter(([each]) => each.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
}

export function valueOf(headers: readonly Header[], name: string): string | undefined {
  return valuesOf(headers, name)[0];
}

/** How the body of a request ends, and its length where it says one. */
export function requestFraming(headers: readonly Header[]): { framing: Framing; lengthBytes: number } {
  if (valueOf(headers, 'transfer-encoding') !== undefined) return { framing: 'chunked', lengthBytes: 0 };
  const length = valueOf(headers, 'content-length');
  return length === undefined
    ? { framing: 'none', lengthBytes: 0 }
    : { framing: 'length', lengthBytes: Number(length) };
}

/** How the body of a reply to this method ends (RFC 9112 6.3). */
export function replyFraming(
  method: string,
  status: number,
  headers: readonly Header[],
): { framing: Framing; lengthBytes: number } {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { framing: 'none', lengthBytes: 0 };
  const framed = requestFraming(headers);
  return framed.framing === 'none' ? { framing: 'close', lengthBytes: 0 } : framed;
}

/** Header lines as they go on the wire, with the empty line that ends them. */
export function headBytes(startLine: string, headers: readonly Header[]): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${startLine}\r\n${lines.join('')}\r\n`, 'latin1');
}
