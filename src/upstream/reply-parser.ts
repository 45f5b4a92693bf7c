// Finds head, body and end of each reply on one connection, however its bytes are cut. Holds no more than one head.
import { BrokenReply, type ReplyStart, parseReplyHead } from './reply-head.ts';

/** What is found, in this order; none of these may throw. */
export interface ReplySink {
  onHead(start: ReplyStart): void;
  onBody(piece: Buffer): void;
  /** @param isClean nothing came behind it, so that what comes next may be the next reply */
  onComplete(isClean: boolean): void;
}

/** Interim replies (1xx) that one exchange may bring. */
const INTERIM_MAX = 64;
const SWITCHING_PROTOCOLS = 101;
const HEAD_END = Buffer.from('\r\n\r\n');
const HEAD_BEGINNING = Buffer.from('HTTP/1.');
const LF = 10;
const CR = 13;
const SEMICOLON = 59;

/** Where in a reply the next byte stands. */
const NOWHERE = 0;
const IN_HEAD = 1;
const IN_BODY = 2;
const UNTIL_CLOSE = 3;
const IN_SIZE = 4;
const IN_EXTENSION = 5;
const BEHIND_SIZE = 6;
const IN_CHUNK = 7;
const BEHIND_CHUNK = 8;
const BEFORE_CHUNK_LF = 9;
const IN_TRAILER = 10;

export class ReplyParser {
  readonly #sink: ReplySink;
  readonly #headBytesMax: number;
  #place = NOWHERE;
  #isHeadRequest = false;
  #interim = 0;
  /** Of the body or the chunk; of a size that is being read, what it says so far. */
  #left = 0;
  #digits = 0;
  /** What came of a head that is not complete, or null. */
  #begun: Buffer | null = null;
  /** Bytes of extensions and trailers, which are passed over. */
  #passedOver = 0;
  /** Of a line of the trailers: its bytes so far, and whether a CR was the last. */
  #lineBytes = 0;
  #isBehindCr = false;

  constructor(sink: ReplySink, headBytesMax: number) {
    this.#sink = sink;
    this.#headBytesMax = headBytesMax;
  }

  /** A request goes out: what comes next is its reply. */
  begin(isHeadRequest: boolean): void {
    this.#place = IN_HEAD;
    this.#isHeadRequest = isHeadRequest;
    this.#interim = 0;
    this.#begun = null;
  }

  /** Nobody waits for the rest. */
  stop(): void {
    this.#place = NOWHERE;
    this.#begun = null;
  }

  /** @throws {BrokenReply} */
  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      switch (this.#place) {
        case IN_HEAD:
          at = this.#readHead(chunk, at);
          break;
        case IN_BODY:
        case IN_CHUNK:
          at = this.#readPiece(chunk, at);
          break;
        case UNTIL_CLOSE:
          this.#sink.onBody(at === 0 ? chunk : chunk.subarray(at));
          return;
        case NOWHERE:
          return;
        default:
          at = this.#readFraming(chunk, at);
      }
    }
  }

  /** The connection has ended. @returns whether the reply has too */
  end(): boolean {
    if (this.#place !== UNTIL_CLOSE) return false;
    this.#complete(false);
    return true;
  }

  #readHead(chunk: Buffer, at: number): number {
    const begun = this.#begun;
    if (begun === null) {
      const end = chunk.indexOf(HEAD_END, at);
      if (end === -1) {
        this.#keep(chunk.subarray(at));
        return chunk.length;
      }
      this.#take(this.#parseHead(chunk, at, end + 2), end + 4 === chunk.length);
      return end + 4;
    }
    const joined = Buffer.concat([begun, chunk.subarray(at, at + this.#headBytesMax)]);
    const end = joined.indexOf(HEAD_END, Math.max(0, begun.length - 3));
    if (end === -1) {
      this.#keep(joined);
      return chunk.length;
    }
    this.#begun = null;
    const behind = at + end + 4 - begun.length;
    this.#take(this.#parseHead(joined, 0, end + 2), behind === chunk.length);
    return behind;
  }

  #parseHead(bytes: Buffer, from: number, to: number): ReplyStart {
    if (to - from > this.#headBytesMax) throw new BrokenReply(TOO_LARGE);
    return parseReplyHead(bytes, from, to);
  }

  #keep(bytes: Buffer): void {
    if (bytes.length > this.#headBytesMax) throw new BrokenReply(TOO_LARGE);
    const known = Math.min(bytes.length, HEAD_BEGINNING.length);
    // What is no HTTP at all is not waited for.
    if (bytes.compare(HEAD_BEGINNING, 0, known, 0, known) !== 0) throw new BrokenReply('The reply is not HTTP/1.1.');
    this.#begun = bytes;
  }

  #take(start: ReplyStart, isLastOfChunk: boolean): void {
    const { status, framing } = start;
    if (status < 200) {
      if (status === SWITCHING_PROTOCOLS) throw new BrokenReply('The upstream changed protocols unasked.');
      if (++this.#interim > INTERIM_MAX)
        throw new BrokenReply(`The upstream sent more than ${INTERIM_MAX} interim replies.`);
      return;
    }
    const hasNoBody = this.#isHeadRequest || status === 204 || status === 304 || framing === 0;
    if (framing === 'chunked') this.#startSize();
    else if (framing === 'until_close') this.#place = UNTIL_CLOSE;
    else {
      this.#place = IN_BODY;
      this.#left = framing;
    }
    this.#passedOver = 0;
    this.#sink.onHead(start);
    if (!hasNoBody || this.#place === NOWHERE) return;
    // A body that is not allowed may come all the same, and is not to be the next reply.
    const isHarmless = status !== 204 || framing === 0 || framing === 'until_close';
    this.#complete(isLastOfChunk && isHarmless);
  }

  #readPiece(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#left -= end - at;
    const isEnd = this.#left === 0;
    const isBody = this.#place === IN_BODY;
    if (isEnd && !isBody) this.#place = BEHIND_CHUNK;
    this.#sink.onBody(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end));
    if (isEnd && isBody && this.#place === IN_BODY) this.#complete(end === chunk.length);
    return end;
  }

  /** What stands between the chunks of a body, and behind the last. */
  #readFraming(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at]!;
      switch (this.#place) {
        case IN_SIZE:
          this.#readSize(byte);
          break;
        case IN_EXTENSION:
          if (byte === CR) this.#place = BEHIND_SIZE;
          else this.#passOver(byte !== LF);
          break;
        case BEHIND_SIZE:
          if (byte !== LF) throw new BrokenReply(BAD_CHUNK);
          if (this.#left > 0) {
            this.#place = IN_CHUNK;
            return at + 1;
          }
          this.#place = IN_TRAILER;
          this.#lineBytes = 0;
          this.#isBehindCr = false;
          break;
        case BEHIND_CHUNK:
          if (byte !== CR) throw new BrokenReply(BAD_CHUNK);
          this.#place = BEFORE_CHUNK_LF;
          break;
        case BEFORE_CHUNK_LF:
          if (byte !== LF) throw new BrokenReply(BAD_CHUNK);
          this.#startSize();
          break;
        default:
          if (this.#endsTrailers(byte)) {
            this.#complete(at + 1 === chunk.length);
            return at + 1;
          }
      }
    }
    return chunk.length;
  }

  #startSize(): void {
    this.#place = IN_SIZE;
    this.#left = 0;
    this.#digits = 0;
  }

  #readSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#left = this.#left * 16 + digit;
      // Thirteen digits are 52 bits, which a number holds exactly.
      if (++this.#digits > 13) throw new BrokenReply(BAD_CHUNK);
      return;
    }
    if (this.#digits === 0) throw new BrokenReply(BAD_CHUNK);
    if (byte === CR) this.#place = BEHIND_SIZE;
    else if (byte === SEMICOLON) this.#place = IN_EXTENSION;
    else throw new BrokenReply(BAD_CHUNK);
  }

  /** Trailers are not handed on: a client that did not say that it takes them would not miss them. */
  #endsTrailers(byte: number): boolean {
    if (this.#isBehindCr) {
      if (byte !== LF) throw new BrokenReply(BAD_CHUNK);
      if (this.#lineBytes === 0) return true;
      this.#isBehindCr = false;
      this.#lineBytes = 0;
    } else if (byte === CR) this.#isBehindCr = true;
    else {
      this.#lineBytes++;
      this.#passOver(byte !== LF);
    }
    return false;
  }

  #passOver(isAllowed: boolean): void {
    if (!isAllowed || ++this.#passedOver > this.#headBytesMax) throw new BrokenReply(BAD_CHUNK);
  }

  #complete(isClean: boolean): void {
    this.#place = NOWHERE;
    this.#sink.onComplete(isClean);
  }
}

const TOO_LARGE = 'The head of the reply is too large.';
const BAD_CHUNK = 'The chunks of the reply are broken.';

/** @returns -1 for what is none */
function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
