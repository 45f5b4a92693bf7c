// Carries one admitted exchange to the upstream and back. Never throws: whatever happens becomes an ending, and the ending
// is told exactly once. The client's last byte waits until what was observed is on record.
import type { Config } from '../config/load.ts';
import type { Clock } from '../domain/clock.ts';
import type { Admission, Arrival, Attempt, Ending, ExchangeError, Observation } from '../domain/exchange.ts';
import { NOTHING_SEEN, type ReplyFacts } from '../domain/facts.ts';
import type { Caller } from '../domain/key.ts';
import { Refusal } from '../domain/refusal.ts';
import { type BodyPart, NO_BODY, RelayedBody, WHOLE_BODY_BYTES_MAX } from '../http/body.ts';
import { OVERHEAD_HEADER, type ReplyHead, downstreamHead, headerValue, upstreamHeaders } from '../http/headers.ts';
import { countPassed } from '../http/passed-bytes.ts';
import { endEarly, sendRefusal } from '../http/reply.ts';
import type { DownstreamReply, DownstreamRequest } from '../http/server.ts';
import type { RequestScan } from '../openai/request.ts';
import type { PooledCredential, ReplyListener, Sending, Upstream, UpstreamFailure } from '../upstream/upstream.ts';
import {
  ObjectionVerdict,
  type Objections,
  amendBody,
  amendHeaders,
  headOfStripped,
  headersOfAmended,
  isStrippable,
  mayObject,
} from './amend.ts';
import { type CredentialVerdict, credentialRefusal, judgeCredentialReply, restsUntil } from './credential-reply.ts';
import { type ReplyObserver, observeReply, transportOf } from './observe.ts';
import { UsageStrip } from './usage-strip.ts';
import type { Watch, Watched } from './watch.ts';

export interface CarryOptions {
  readonly headersMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
  readonly bodyBytesMax: number;
  readonly onDisconnect: 'abort' | 'drain';
  readonly drainMs: number;
  readonly drainBytesMax: number;
  readonly drainsMax: number;
  readonly restMs: number;
  readonly identity: 'pass' | 'hide';
}

export function carryOptions(
  settings: Pick<Config, 'upstream' | 'http' | 'drain' | 'onDisconnect' | 'upstreamIdentity'>,
): CarryOptions {
  const { upstream, http, drain } = settings;
  return {
    headersMs: upstream.headersSeconds * 1000,
    idleMs: upstream.idleSeconds * 1000,
    totalMs: upstream.totalSeconds * 1000,
    bodyBytesMax: http.bodyBytesMax,
    onDisconnect: settings.onDisconnect,
    drainMs: drain.seconds * 1000,
    drainBytesMax: drain.bytesMax,
    drainsMax: drain.exchangesMax,
    restMs: upstream.restSeconds * 1000,
    identity: settings.upstreamIdentity,
  };
}

/** What an exchange needs of the house while it is carried. */
export interface CarryParts {
  readonly upstream: Upstream;
  readonly clock: Clock;
  readonly watch: Watch;
  readonly options: CarryOptions;
  readonly objections: Objections;
  /** Exchanges being read to their end after their client left. */
  drains: number;
}

export interface Downstream {
  readonly request: DownstreamRequest;
  readonly reply: DownstreamReply;
  /** Let go of as soon as it cannot be sent again. */
  first: BodyPart;
  readonly scan: RequestScan | null;
  /** Added to the reply: ours, and CORS. */
  readonly ownHeaders: readonly string[];
  /** Its request is kept no longer. May be called again. */
  readonly letGo: () => void;
  /** Asked as a stream goes on; null for one that nobody cuts. */
  readonly overrun: Overrun | null;
}

/** @param textBytes that the model has written so far. @returns what to end the stream with, where more than is set aside cannot be had */
export type Overrun = (textBytes: number) => Refusal | null | Promise<Refusal | null>;

/**
 * Told once, when nothing more can change. The last byte goes downstream when `release` is called, with headers that belong to
 * the reply where its head waits too.
 */
export type Observed = (observation: Observation, release: (headers?: readonly string[]) => void) => void;

export interface Carried {
  readonly caller: Caller;
  /** Sends it. May be told as observed before it returns. */
  start(): void;
  /** Ends it now: a drain ran out. */
  cut(): void;
  /** Ends it now with our own no: its key opens no more, or its budget is used up. */
  stop(refusal: Refusal): void;
}

export function carry(parts: CarryParts, admission: Admission, downstream: Downstream, observed: Observed): Carried {
  return new Carriage(parts, admission, downstream, observed);
}

/** Errors of a connection that says nothing of whether the upstream can be reached: worth one more try. */
const DROPPED = new Set(['ECONNRESET', 'EPIPE', 'connection_closed']);
const TIMED_OUT = new Set(['ETIMEDOUT', 'gateway_timeout']);
const TRIES_MAX = 2;
const EMPTY = Buffer.alloc(0);
const JOINED_BYTES_MAX = 16 * 1024;
/** Between looks at how much the model has written, where it may be cut. */
const OVERRUN_LOOK_BYTES = 8 * 1024;

class Carriage implements ReplyListener, Watched, Carried {
  readonly #parts: CarryParts;
  readonly #admission: Admission;
  readonly #downstream: Downstream;
  readonly #observed: Observed;
  readonly #attempts: Attempt[] = [];
  /** What the client sent, until the upstream begins to answer: then it will not be sent again. */
  #first: BodyPart;
  /** The body with the question for usage; null where the client's own goes upstream. */
  #amended: Buffer | null = null;
  #sending: Sending | null = null;
  #credential: PooledCredential | null = null;
  #body: RelayedBody | null = null;

  #bytesIn: number;
  #bytesOut = 0;
  #head: ReplyHead | null = null;
  #status = 0;
  #reason = '';
  #isHeadSent = false;
  /** Data that came before the head could go, and the last piece of a body whose end is known. */
  #held: Buffer[] = [];
  /** A 401 or 403: its body is read before it is decided whose fault it was. */
  #verdict: CredentialVerdict | null = null;
  /** The reply to an amended request turns it down: perhaps for what was added. */
  #objection: ObjectionVerdict | null = null;
  #observer: ReplyObserver | null = null;
  #strip: UsageStrip | null = null;
  #isWaitingForDrain = false;
  /** Bytes of the reply until it is looked at next. */
  #untilLook = OVERRUN_LOOK_BYTES;

  /** The client is gone, and the rest is read for the record alone. */
  #isDraining = false;
  #drainedBytes = 0;
  #drainEndsMs = 0;
  #isOver = false;
  /** Monotonic; when a byte last moved. */
  #movedMs: number;

  constructor(parts: CarryParts, admission: Admission, downstream: Downstream, observed: Observed) {
    this.#parts = parts;
    this.#admission = admission;
    this.#downstream = downstream;
    this.#observed = observed;
    this.#first = downstream.first;
    this.#bytesIn = downstream.first.bytes.length;
    this.#movedMs = parts.clock.elapsedMs();
  }

  get caller(): Caller {
    return this.#admission.caller;
  }

  start(): void {
    const { reply } = this.#downstream;
    if (reply.closed || reply.destroyed) {
      // Not at once: nobody is told of an ending before carry() has returned.
      process.nextTick(() => this.#end('downstream_left', leftError()));
      return;
    }
    reply.on('close', this.#onDownstreamClose);
    this.#parts.watch.add(this);
    const { bodyBytesMax } = this.#parts.options;
    if (bodyBytesMax > 0 && this.#bytesIn > bodyBytesMax) this.#refuseLargeBody(bodyBytesMax);
    else {
      const { objections, upstream } = this.#parts;
      if (!objections.has(upstream.origin))
        this.#amended = amendBody(this.#admission, this.#first, this.#downstream.scan);
      this.#send();
    }
  }

  cut(): void {
    this.#fail('gateway_cut', {
      origin: 'gateway',
      code: 'draining',
      message: 'The gateway is stopping and the time to finish is over.',
    });
  }

  stop(refusal: Refusal): void {
    if (this.#isOver) return;
    this.#sending?.abort();
    if (this.#isDraining) {
      this.#endDrain();
      return;
    }
    const { code, message } = refusal;
    this.#endWithRefusal('gateway_cut', refusal, { origin: 'gateway', code, message });
  }

  // ---- The request goes upstream.

  #send(): void {
    const { upstream, clock } = this.#parts;
    const { arrival } = this.#admission;
    const credential = upstream.credentials.choose();
    this.#credential = credential;
    const headers = upstreamHeaders(arrival.rawHeaders, credential);
    amendHeaders(arrival.path, headers);
    const amended = this.#amended;
    const attempt: Attempt = {
      origin: upstream.origin,
      credential: credential.name,
      startedMs: clock.elapsedMs(),
      connectedMs: null,
      firstByteMs: null,
      endedMs: null,
      status: null,
      error: null,
    };
    this.#attempts.push(attempt);
    const request = {
      method: arrival.method,
      target: arrival.target,
      headers: amended === null ? headers : headersOfAmended(headers, amended),
      body: amended ?? this.#requestBody(),
    };
    this.#sending = upstream.send(request, attempt, this);
  }

  #requestBody(): Buffer | RelayedBody | null {
    const { request, scan } = this.#downstream;
    const first = this.#first;
    if (first.isWhole) return first.bytes.length === 0 ? null : first.bytes;
    this.#body = new RelayedBody(request, first.bytes, (chunk) => {
      this.#bytesIn += chunk.length;
      this.#movedMs = this.#parts.clock.elapsedMs();
      scan?.feed(chunk);
      const { bodyBytesMax } = this.#parts.options;
      if (bodyBytesMax > 0 && this.#bytesIn > bodyBytesMax) this.#refuseLargeBody(bodyBytesMax);
    });
    this.#body.once('end', () => scan?.end());
    return this.#body;
  }

  #refuseLargeBody(bodyBytesMax: number): void {
    if (this.#isOver) return;
    const refusal = new Refusal(
      'body_too_large',
      `The request body is larger than ${bodyBytesMax} bytes, the operator's http.bodyBytesMax.`,
    );
    this.#sending?.abort();
    this.#endWithRefusal('gateway_cut', refusal, {
      origin: 'downstream',
      code: refusal.code,
      message: refusal.message,
    });
  }

  // ---- The reply comes back.

  onHead(status: number, reason: string, rawHeaders: readonly string[]): void {
    const { options, clock } = this.#parts;
    const { request, ownHeaders } = this.#downstream;
    this.#movedMs = clock.elapsedMs();
    this.#status = status;
    this.#reason = reason;
    let head = downstreamHead(rawHeaders, ownHeaders, options.identity);
    if (this.#amended !== null) {
      if (mayObject(status)) this.#objection = new ObjectionVerdict();
      else if (isStrippable(status, head)) {
        head = headOfStripped(head);
        this.#strip = new UsageStrip();
      }
    }
    if (this.#objection === null) this.#letGoOfRequest();
    this.#head = head;
    if (headerValue(request.rawHeaders, OVERHEAD_HEADER) !== null)
      head.headers.push(OVERHEAD_HEADER, overheadMs(this.#admission.arrival, this.#attempts.at(-1)!, this.#movedMs));
    if (status === 401 || status === 403 || status === 429) this.#restCredential(status, head);
    if (status === 401 || status === 403) this.#verdict = judgeCredentialReply(status);
    this.#observer = observeReply(head.contentType, head.contentEncoding, this.#admission.arrival.endpoint);
    // Without a body the end comes with the head; with a length that contradicts it, a failure.
    const isBodiless = status === 204 || status === 304 || request.method === 'HEAD';
    if (this.#verdict !== null || this.#objection !== null || this.#isDraining || isBodiless) return;
    // A small body is likely here in the same read: head and body then go out in one piece. Any other head goes at once.
    if (head.contentLength === null) process.nextTick(this.#flush);
    else setImmediate(this.#flush);
  }

  onData(chunk: Buffer): boolean {
    this.#movedMs = this.#parts.clock.elapsedMs();
    countPassed(chunk.length);
    this.#observer?.feed(chunk);
    if (this.#downstream.overrun !== null) {
      this.#lookForOverrun(this.#downstream.overrun, chunk.length);
      if (this.#isOver) return false;
    }
    if (this.#isDraining) return this.#drain(chunk);
    if (this.#verdict !== null) {
      const verdict = this.#verdict.feed(chunk);
      if (verdict === 'passes') this.#passVerdict();
      else if (verdict === 'ours') {
        this.#sending?.abort();
        this.#endWithCredentialRefusal();
      }
      return verdict !== 'ours';
    }
    if (this.#objection !== null) {
      if (!this.#objection.feed(chunk)) this.#passObjection();
      return !this.#isWaitingForDrain;
    }
    return this.#pass(this.#strip === null ? chunk : this.#strip.feed(chunk));
  }

  #lookForOverrun(overrun: Overrun, bytes: number): void {
    this.#untilLook -= bytes;
    if (this.#untilLook > 0 || this.#observer === null) return;
    this.#untilLook = OVERRUN_LOOK_BYTES;
    const refusal = overrun(this.#observer.textBytes());
    if (refusal instanceof Promise) void refusal.then((found) => found !== null && this.stop(found));
    else if (refusal !== null) this.stop(refusal);
  }

  #pass(chunk: Buffer): boolean {
    if (chunk.length === 0) return !this.#isWaitingForDrain;
    if (!this.#isHeadSent || this.#isLastPiece(chunk)) {
      this.#held.push(chunk);
      // More than a socket's read before the head could go: send it now.
      if (!this.#isHeadSent && chunk.length >= WHOLE_BODY_BYTES_MAX) this.#flush();
      return !this.#isWaitingForDrain;
    }
    return this.#write(chunk);
  }

  onEnd(): void {
    if (this.#isOver) return;
    if (this.#isDraining) {
      this.#endDrain();
      return;
    }
    if (this.#verdict !== null) {
      if (this.#verdict.isOurCredential()) {
        this.#endWithCredentialRefusal();
        return;
      }
      this.#passVerdict();
    }
    if (this.#objection !== null) {
      if (this.#objection.isObjection()) {
        this.#sendUnamended();
        return;
      }
      this.#passObjection();
    }
    const stripped = this.#strip?.end() ?? EMPTY;
    if (stripped.length > 0) this.#held.push(stripped);
    this.#end('complete', null);
  }

  onFailure(failure: UpstreamFailure): void {
    if (this.#isOver) return;
    if (this.#isDraining) {
      this.#endDrain();
      return;
    }
    if (this.#mayTryAgain(failure)) {
      this.#body = null;
      this.#send();
      return;
    }
    const isTimeout = TIMED_OUT.has(failure.code);
    const error: ExchangeError = { origin: 'upstream', code: failure.code, message: failure.message.slice(0, 1024) };
    this.#fail(isTimeout ? 'timed_out' : failure.wasSent ? 'upstream_broke' : 'unreachable', error);
  }

  /**
   * Only while nothing has come back, and only what cannot have been done already: a request of which nothing was sent, or a
   * GET or HEAD whose kept connection was closed as it went out. A POST is never repeated.
   */
  #mayTryAgain(failure: UpstreamFailure): boolean {
    if (this.#head !== null || this.#attempts.length >= TRIES_MAX || !DROPPED.has(failure.code)) return false;
    if (!this.#first.isWhole) return false;
    const { method } = this.#admission.arrival;
    return !failure.wasSent || (failure.wasReused && (method === 'GET' || method === 'HEAD'));
  }

  /** The upstream does not know what was added: the client's own request goes out, of which it knows nothing else. */
  #sendUnamended(): void {
    const { objections, upstream, clock } = this.#parts;
    objections.note(upstream.origin);
    this.#amended = null;
    this.#objection = null;
    this.#observer = null;
    this.#head = null;
    this.#status = 0;
    this.#movedMs = clock.elapsedMs();
    this.#send();
  }

  #passObjection(): void {
    const objection = this.#objection!;
    this.#objection = null;
    this.#letGoOfRequest();
    this.#held.push(...objection.chunks);
    if (this.#head!.contentLength === null) this.#flush();
    else setImmediate(this.#flush);
  }

  /** A long stream does not keep what asked for it. */
  #letGoOfRequest(): void {
    if (!this.#first.isWhole) return;
    this.#first = NO_BODY;
    this.#downstream.first = NO_BODY;
    this.#downstream.letGo();
    if (this.#amended !== null) this.#amended = EMPTY;
  }

  // ---- Downstream.

  readonly #flush = (): void => {
    if (this.#isHeadSent || this.#isOver || this.#head === null) return;
    if (this.#verdict !== null || this.#objection !== null) return;
    this.#sendHead();
    const held = this.#held;
    this.#held = [];
    let canTakeMore = true;
    for (const chunk of held) {
      if (this.#isLastPiece(chunk)) this.#held.push(chunk);
      else canTakeMore = this.#write(chunk);
    }
    // An empty write sends the head alone, byte for byte; flushHeaders() would spoil its latin1.
    if (held.length === 0 || this.#held.length > 0) this.#downstream.reply.write(EMPTY);
    if (!canTakeMore) this.#waitForDrain();
  };

  #sendHead(): void {
    const { reply } = this.#downstream;
    this.#isHeadSent = true;
    reply.sendDate = false;
    reply.writeHead(this.#status, this.#reason, this.#head!.headers);
  }

  /** The piece that completes a body of known length: held back until the record is written. */
  #isLastPiece(chunk: Buffer): boolean {
    const contentLength = this.#head!.contentLength;
    return contentLength !== null && this.#bytesOut + chunk.length >= contentLength;
  }

  #write(chunk: Buffer): boolean {
    this.#bytesOut += chunk.length;
    const canTakeMore = this.#downstream.reply.write(chunk);
    if (!canTakeMore) this.#waitForDrain();
    return canTakeMore;
  }

  #waitForDrain(): void {
    if (this.#isWaitingForDrain) return;
    this.#isWaitingForDrain = true;
    this.#downstream.reply.once('drain', () => {
      this.#isWaitingForDrain = false;
      this.#movedMs = this.#parts.clock.elapsedMs();
      this.#sending?.resume();
    });
  }

  readonly #onDownstreamClose = (): void => {
    if (this.#isOver || this.#isDraining) return;
    const { parts, sending } = { parts: this.#parts, sending: this.#sending };
    const { key } = this.#admission.caller;
    if (
      (key.onDisconnect ?? parts.options.onDisconnect) === 'drain' &&
      this.#downstream.request.complete &&
      parts.drains < parts.options.drainsMax
    ) {
      parts.drains++;
      this.#isDraining = true;
      this.#drainEndsMs = parts.clock.elapsedMs() + parts.options.drainMs;
      this.#held = [];
      this.#sending?.resume();
      return;
    }
    sending?.abort();
    this.#end('downstream_left', leftError());
  };

  #drain(chunk: Buffer): boolean {
    this.#drainedBytes += chunk.length;
    if (this.#drainedBytes <= this.#parts.options.drainBytesMax) return true;
    this.#sending?.abort();
    this.#endDrain();
    return false;
  }

  #endDrain(): void {
    this.#parts.drains--;
    this.#end('downstream_left', leftError());
  }

  // ---- Time.

  check(nowMs: number): void {
    const { headersMs, idleMs, totalMs } = this.#parts.options;
    if (this.#isDraining) {
      if (nowMs < this.#drainEndsMs) return;
      this.#sending?.abort();
      this.#endDrain();
      return;
    }
    const quietMs = nowMs - this.#movedMs;
    if (totalMs > 0 && nowMs - this.#admission.arrival.startedMs >= totalMs) {
      this.#timeOut('gateway', 'upstream.totalSeconds', totalMs);
    } else if (this.#isUploading()) {
      if (idleMs > 0 && quietMs >= idleMs)
        this.#timeOut(this.#body!.isFull ? 'upstream' : 'downstream', 'upstream.idleSeconds', idleMs);
    } else if (this.#head === null) {
      if (headersMs > 0 && quietMs >= headersMs) this.#timeOut('upstream', 'upstream.headersSeconds', headersMs);
    } else if (idleMs > 0 && quietMs >= idleMs) {
      this.#timeOut(this.#isWaitingForDrain ? 'downstream' : 'upstream', 'upstream.idleSeconds', idleMs);
    }
  }

  #isUploading(): boolean {
    return this.#body !== null && !this.#body.readableEnded && !this.#body.destroyed;
  }

  #timeOut(origin: ExchangeError['origin'], setting: string, ms: number): void {
    const message = `No byte moved within the ${ms / 1000} s of ${setting}.`;
    this.#fail('timed_out', { origin, code: 'gateway_timeout', message });
  }

  // ---- Endings.

  /** Tells the client what can still be told: a refusal before the head, a broken stream after it. */
  #fail(ending: Ending, error: ExchangeError): void {
    if (this.#isOver) return;
    this.#sending?.abort();
    if (this.#isDraining) {
      this.#endDrain();
      return;
    }
    if (this.#isHeadSent) {
      this.#end(ending, error);
      return;
    }
    this.#endWithRefusal(ending, refusalFor(ending, error, this.#parts.upstream.origin), error);
  }

  #endWithRefusal(ending: Ending, refusal: Refusal, error: ExchangeError): void {
    const { reply, ownHeaders } = this.#downstream;
    if (this.#isHeadSent) {
      this.#end(ending, error);
      return;
    }
    this.#status = refusal.status;
    this.#end(ending, error, () => sendRefusal(reply, refusal, null, ownHeaders));
  }

  #endWithCredentialRefusal(): void {
    const { upstream } = this.#parts;
    const upstreamStatus = this.#status;
    const retry = upstream.credentials.hasOtherAwake(this.#credential!);
    const refusal = credentialRefusal(this.#credential!.name, upstreamStatus, retry);
    this.#head = null;
    this.#endWithRefusal('complete', refusal, {
      origin: 'gateway',
      code: refusal.code,
      message: `upstream status ${upstreamStatus}`,
    });
  }

  #passVerdict(): void {
    const verdict = this.#verdict!;
    this.#verdict = null;
    this.#held.push(...verdict.chunks);
    if (this.#head!.contentLength === null) this.#flush();
    else setImmediate(this.#flush);
  }

  #restCredential(status: number, head: ReplyHead): void {
    const { upstream, clock, options } = this.#parts;
    upstream.credentials.rest(this.#credential!, restsUntil(status, head.retryAfterMs, clock.now(), options.restMs));
  }

  #watchDeparture(): void {
    const { watch, clock, options } = this.#parts;
    if (options.idleMs === 0) return;
    const { reply } = this.#downstream;
    const departure = new Departure(reply, clock.elapsedMs() + options.idleMs);
    watch.add(departure);
    reply.once('close', () => watch.delete(departure));
  }

  /** Everything that ends an exchange comes through here, and only the first does anything. */
  #end(ending: Ending, error: ExchangeError | null, tell: (() => void) | null = null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.watch.delete(this);
    this.#downstream.reply.off('close', this.#onDownstreamClose);
    const observer = this.#observer;
    const finish = (facts: ReplyFacts) =>
      this.#observed(this.#observation(ending, error, facts), tell ?? this.#releaseFor(ending));
    if (observer === null) finish(NOTHING_SEEN);
    else observer.finish(finish);
  }

  #observation(ending: Ending, error: ExchangeError | null, facts: ReplyFacts): Observation {
    const { arrival } = this.#admission;
    const held = ending === 'complete' ? this.#held.reduce((sum, chunk) => sum + chunk.length, 0) : 0;
    const isTold = this.#isHeadSent || this.#status !== 0;
    return {
      attempts: this.#attempts,
      status: isTold && (ending !== 'downstream_left' || this.#isHeadSent) ? this.#status : null,
      ending,
      transport: transportOf(this.#head?.contentType ?? '', headerValue(arrival.rawHeaders, 'content-type') ?? ''),
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut + held,
      facts,
      isDrained: this.#drainedBytes > 0,
      upstreamRequestId: this.#head?.requestId ?? null,
      error,
      endedMs: this.#parts.clock.elapsedMs(),
    };
  }

  #releaseFor(ending: Ending): (headers?: readonly string[]) => void {
    const { reply } = this.#downstream;
    if (ending !== 'complete') {
      // A clean end would make half a reply look like a whole one.
      return () => breakReply(reply, this.#head?.contentLength ?? null);
    }
    return (headers = []) => {
      if (reply.destroyed) return;
      if (!this.#isHeadSent) this.#head!.headers.push(...headers);
      if (!reply.req.complete) endEarly(reply, this.#isHeadSent ? null : this.#head!.headers);
      const held = this.#held;
      const body = held.length === 1 ? held[0]! : Buffer.concat(held);
      if (this.#isHeadSent) reply.end(body.length === 0 ? undefined : body);
      else {
        this.#sendHead();
        // As latin1 text the body is joined to the head, byte for byte, and both leave in one write.
        if (body.length <= JOINED_BYTES_MAX) reply.end(body.toString('latin1'), 'latin1');
        else reply.end(body);
      }
      if (reply.socket !== null && reply.socket.writableLength > 0) this.#watchDeparture();
    };
  }
}

/** The exchange is over, but its last bytes wait for a client that does not read: not longer than any other client may rest. */
class Departure implements Watched {
  readonly #reply: DownstreamReply;
  readonly #endsMs: number;

  constructor(reply: DownstreamReply, endsMs: number) {
    this.#reply = reply;
    this.#endsMs = endsMs;
  }

  check(nowMs: number): void {
    if (nowMs >= this.#endsMs) this.#reply.destroy();
  }
}

function breakReply(reply: DownstreamReply, contentLength: number | null): void {
  const endsByClosing = contentLength === null && !reply.chunkedEncoding;
  if (endsByClosing && reply.socket) reply.socket.resetAndDestroy();
  else reply.destroy();
}

/** Our own share of the time until the reply's head goes downstream. */
export function overheadMs(arrival: Arrival, attempt: Attempt, nowMs: number): string {
  const upstreamMs = (attempt.firstByteMs ?? nowMs) - attempt.startedMs;
  return Math.max(0, nowMs - arrival.startedMs - upstreamMs).toFixed(3);
}

export function leftError(): ExchangeError {
  return {
    origin: 'downstream',
    code: 'downstream_left',
    message: 'The client closed its connection before the reply was complete.',
  };
}

export function refusalFor(ending: Ending, error: ExchangeError, origin: string): Refusal {
  if (ending === 'timed_out') {
    if (error.origin === 'downstream')
      return new Refusal('request_timeout', `${error.message} The request body stopped arriving.`);
    return new Refusal(
      'upstream_timeout',
      `The upstream ${origin} did not answer in time (${error.code}). ${error.message}`,
    );
  }
  if (ending === 'gateway_cut') return new Refusal('overloaded', error.message, { retryAfterMs: 1000 });
  const what = ending === 'unreachable' ? 'could not be reached' : 'closed the connection before it answered';
  return new Refusal(
    'upstream_unreachable',
    `The upstream ${origin} ${what} (${error.code}). Try again; if it persists, the operator should look at upstream.baseUrl.`,
  );
}
