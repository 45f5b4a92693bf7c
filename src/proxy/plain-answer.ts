// An upstream's answer to a WebSocket handshake that is no 101: handed on as the plain HTTP that it is, unless it is about
// our credential. Its last piece waits until the exchange is on record.
import type { Readable } from 'node:stream';

import type { Clock } from '../domain/clock.ts';
import type { ReplyHead } from '../http/headers.ts';
import type { Handshake } from '../http/websocket.ts';
import { type CredentialVerdict, judgeCredentialReply } from './credential-reply.ts';

export interface AnswerHead {
  readonly status: number;
  readonly reason: string;
  readonly head: ReplyHead;
}

/** Told once: all of it came, it is about our credential and nothing of it was handed on, or it broke off. */
export type AnswerEnded = (how: 'whole' | 'credential' | NodeJS.ErrnoException) => void;

const EMPTY = Buffer.alloc(0);

export class PlainAnswer {
  readonly #handshake: Handshake;
  readonly #answer: AnswerHead;
  readonly #body: Readable;
  readonly #clock: Clock;
  readonly #ended: AnswerEnded;
  /** A 401 or 403: its body is read before it is decided whose fault it was. */
  #verdict: CredentialVerdict | null;
  #last: Buffer = EMPTY;
  #isOver = false;
  bytesOut = 0;
  isHeadSent = false;
  /** Monotonic milliseconds; when a byte last came. */
  movedMs: number;

  constructor(handshake: Handshake, answer: AnswerHead, body: Readable, clock: Clock, ended: AnswerEnded) {
    const { status } = answer;
    this.#handshake = handshake;
    this.#answer = answer;
    this.#body = body;
    this.#clock = clock;
    this.#ended = (how) => {
      if (this.#isOver) return;
      this.#isOver = true;
      ended(how);
    };
    this.#verdict = status === 401 || status === 403 ? judgeCredentialReply(status) : null;
    this.movedMs = clock.elapsedMs();
    body.on('data', this.#take);
    body.on('end', () => this.#finish());
    body.on('error', this.#ended);
  }

  /** The client's last byte. */
  release(): void {
    this.#sendHead();
    this.#handshake.end(this.#last);
  }

  readonly #take = (chunk: Buffer): void => {
    if (this.#isOver) return;
    this.movedMs = this.#clock.elapsedMs();
    const verdict = this.#verdict?.feed(chunk) ?? null;
    if (verdict === null) this.#pass(chunk);
    else if (verdict === 'passes') this.#passVerdict();
    else if (verdict === 'ours') this.#ended('credential');
  };

  #finish(): void {
    if (this.#verdict?.isOurCredential() === true) {
      this.#ended('credential');
      return;
    }
    if (this.#verdict !== null) this.#passVerdict();
    this.#ended('whole');
  }

  #passVerdict(): void {
    const { chunks } = this.#verdict!;
    this.#verdict = null;
    for (const chunk of chunks) this.#pass(chunk);
  }

  #pass(chunk: Buffer): void {
    const { contentLength } = this.#answer.head;
    this.#sendHead();
    this.bytesOut += chunk.length;
    if (contentLength !== null && this.bytesOut >= contentLength) this.#last = chunk;
    else if (!this.#handshake.write(chunk, () => this.#body.resume())) this.#body.pause();
  }

  #sendHead(): void {
    if (this.isHeadSent) return;
    this.isHeadSent = true;
    const { status, reason, head } = this.#answer;
    this.#handshake.sendHead(status, reason, head.headers);
  }
}
