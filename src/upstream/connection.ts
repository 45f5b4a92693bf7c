// One connection to the upstream, which serves one exchange at a time. Whatever happens to it, its exchange hears of one end.
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';

import type { OpenConnection } from './dialer.ts';
import type { ReplyStart } from './reply-head.ts';
import { ReplyParser, type ReplySink } from './reply-parser.ts';
import { type RequestFraming, announcedLength, hasBodyByMethod, requestHead } from './request-head.ts';

export interface OutgoingRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
  readonly body: Buffer | Readable | null;
}

/** Whom a connection serves. Hears of one end: `onComplete` or `onFailure`, and nothing after it. */
export interface Served {
  /** The connection stands; the request is written right after. */
  onConnect(isReused: boolean): void;
  onHead(start: ReplyStart): void;
  /** @returns false to be given no more until `resume` */
  onBody(piece: Buffer): boolean;
  onComplete(): void;
  onFailure(error: NodeJS.ErrnoException): void;
}

export interface ConnectionOptions {
  /** The value of `host`. */
  readonly host: string;
  readonly headBytesMax: number;
  /** Told when it may serve again. */
  readonly onFree: (connection: Connection, keepAliveMs: number | null) => void;
  /** Told once, when it can serve no more. */
  readonly onGone: (connection: Connection) => void;
}

/** Head and body of so many bytes are written as one text, in one piece. */
const JOINED_BYTES_MAX = 12 * 1024;
const LAST_CHUNK = '0\r\n\r\n';

export class Connection implements ReplySink {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #parser: ReplyParser;
  #served: Served | null = null;
  /** Until it is written: a long reply does not keep what asked for it. */
  #request: OutgoingRequest | null = null;
  /** That is being sent, until its exchange is over. */
  #body: Readable | null = null;
  #isOpen = false;
  #isGone = false;
  #isPaused = false;
  /** Did it serve before? Then its end may cross the next request. */
  #isReused = false;
  /** Of the request that is on its way. */
  #isWritten = false;
  #isLast = false;
  /** The head that came, until its body has ended. */
  #start: ReplyStart | null = null;
  /** While idle: until when it may be taken; monotonic milliseconds. */
  idleUntilMs = 0;

  constructor(open: OpenConnection, options: ConnectionOptions) {
    this.#options = options;
    this.#parser = new ReplyParser(this, options.headBytesMax);
    this.#socket = open((error) => {
      if (error !== null) this.#fail(error);
      else this.#onOpen();
    });
    this.#socket
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .on('drain', () => this.#onDrain())
      .on('end', () => this.#onEnd())
      .on('error', (error) => this.#fail(error))
      .on('close', () => this.#fail(closed()));
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Nothing is told before it has returned. */
  serve(served: Served, request: OutgoingRequest): void {
    this.#served = served;
    this.#isWritten = false;
    if (this.#isOpen) this.#write(request);
    else this.#request = request;
  }

  /** The exchange is over, and so is the connection; nobody hears of it. */
  drop(): void {
    this.#served = null;
    this.#go();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  onHead(start: ReplyStart): void {
    this.#start = start;
    this.#served?.onHead(start);
  }

  onBody(piece: Buffer): void {
    if (this.#served === null || this.#served.onBody(piece) || this.#isGone) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  onComplete(isClean: boolean): void {
    const served = this.#served;
    const { keepsAlive, keepAliveMs } = this.#start!;
    this.#served = null;
    this.#start = null;
    if (isClean && keepsAlive && this.#isWritten && !this.#isLast && !this.#isGone) {
      this.#body = null;
      this.#isReused = true;
      this.resume();
      this.#options.onFree(this, keepAliveMs);
    } else this.#go();
    served?.onComplete();
  }

  #onOpen(): void {
    this.#isOpen = true;
    if (this.#request !== null) this.#write(this.#request);
  }

  #write({ method, target, headers, body }: OutgoingRequest): void {
    this.#request = null;
    const isBuffer = Buffer.isBuffer(body);
    const framing: RequestFraming = isBuffer
      ? body.length
      : body === null
        ? null
        : (announcedLength(headers) ?? 'chunked');
    // Some servers send a body to a HEAD, or take that of a GET for the next request.
    this.#isLast = method === 'HEAD' || (framing !== null && !hasBodyByMethod(method));
    const connection = `host: ${this.#options.host}\r\nconnection: ${this.#isLast ? 'close' : 'keep-alive'}\r\n`;
    let head: string;
    try {
      head = requestHead(method, target, headers, connection, framing);
    } catch (error) {
      // Not at once: who is served has not yet been told that it is.
      process.nextTick(() => this.#fail(error as Error));
      return;
    }
    this.#served?.onConnect(this.#isReused);
    if (this.#served === null) return;
    this.#parser.begin(method === 'HEAD');
    if (body === null) this.#socket.write(head, 'latin1');
    else if (!isBuffer) {
      this.#socket.write(head, 'latin1');
      this.#writeBody(body, framing);
      return;
    } else if (head.length + body.length <= JOINED_BYTES_MAX)
      this.#socket.write(head + body.toString('latin1'), 'latin1');
    else {
      this.#socket.cork();
      this.#socket.write(head, 'latin1');
      this.#socket.write(body);
      this.#socket.uncork();
    }
    this.#isWritten = true;
  }

  #writeBody(body: Readable, framing: RequestFraming): void {
    let left = framing === 'chunked' ? Infinity : framing!;
    this.#body = body;
    body.on('data', (chunk: Buffer) => {
      if (this.#body !== body || chunk.length === 0) return;
      left -= chunk.length;
      if (left < 0) this.#fail(new Error('The request body is longer than it was said to be.'));
      else if (!this.#writeChunk(chunk, framing)) body.pause();
    });
    body.on('end', () => {
      if (this.#body !== body) return;
      if (framing === 'chunked') this.#socket.write(LAST_CHUNK, 'latin1');
      else if (left > 0) {
        this.#fail(new Error('The request body is shorter than it was said to be.'));
        return;
      }
      this.#isWritten = true;
    });
    body.on('error', (error) => {
      if (this.#body === body) this.#fail(error);
    });
  }

  #writeChunk(chunk: Buffer, framing: RequestFraming): boolean {
    if (framing !== 'chunked') return this.#socket.write(chunk);
    this.#socket.cork();
    this.#socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1');
    this.#socket.write(chunk);
    const canTakeMore = this.#socket.write('\r\n', 'latin1');
    this.#socket.uncork();
    return canTakeMore;
  }

  #onDrain(): void {
    this.#body?.resume();
  }

  #onData(chunk: Buffer): void {
    // What nobody asked for is told to nobody.
    if (this.#served === null) {
      this.#go();
      return;
    }
    try {
      this.#parser.feed(chunk);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #onEnd(): void {
    if (this.#served === null) this.#go();
    else if (!this.#parser.end()) this.#fail(closed());
  }

  #fail(error: NodeJS.ErrnoException): void {
    const served = this.#served;
    this.#served = null;
    this.#go();
    served?.onFailure(error);
  }

  #go(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#parser.stop();
    const body = this.#body ?? this.#request?.body;
    this.#request = null;
    this.#body = null;
    if (body && !Buffer.isBuffer(body)) body.destroy();
    this.#socket.destroy();
    this.#options.onGone(this);
  }
}

function closed(): NodeJS.ErrnoException {
  return Object.assign(new Error('The upstream closed the connection.'), { code: 'connection_closed' });
}
