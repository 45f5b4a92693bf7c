// The way of one admitted WebSocket: the upstream is dialled first, the client is answered with what it said, and then
// messages go by in both directions. Never throws: whatever happens becomes an ending, and the ending is told exactly once.
import type { Readable } from 'node:stream';

import type { Config } from '../config/load.ts';
import type { Clock } from '../domain/clock.ts';
import type { Admission, Attempt, Ending, ExchangeError, Observation } from '../domain/exchange.ts';
import { NOTHING_SEEN } from '../domain/facts.ts';
import type { Caller } from '../domain/key.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { OpenSocket } from '../domain/socket.ts';
import {
  OVERHEAD_HEADER,
  type ReplyHead,
  downstreamHead,
  headerValue,
  upstreamHeaders,
  withoutHandshake,
} from '../http/headers.ts';
import type { Handshake } from '../http/websocket.ts';
import { keepsTurns } from '../openai/objects.ts';
import { type Turn, type TurnReader, openTurnReader } from '../openai/turns.ts';
import type { DialFailure, DialListener, Dialing, PooledCredential, Upstream } from '../upstream/upstream.ts';
import { KEY_SUBPROTOCOL } from './authenticate.ts';
import { type Carried, type Observed, leftError, overheadMs, refusalFor } from './carry.ts';
import { credentialRefusal, restsUntil } from './credential-reply.ts';
import { transportOf } from './observe.ts';
import { PlainAnswer } from './plain-answer.ts';
import { type Farewell, Side, isKeepAlive } from './side.ts';
import type { Watch, Watched } from './watch.ts';

export interface TunnelOptions {
  /** Of the handshake's answer. */
  readonly headersMs: number;
  /** Without a byte of a plain answer. */
  readonly answerIdleMs: number;
  readonly totalMs: number;
  /** Without a message in either direction. */
  readonly idleMs: number;
  readonly pingMs: number;
  readonly messageBytesMax: number;
  readonly restMs: number;
  readonly identity: 'pass' | 'hide';
}

export function tunnelOptions({
  upstream,
  webSocket,
  upstreamIdentity,
}: Pick<Config, 'upstream' | 'webSocket' | 'upstreamIdentity'>): TunnelParts['options'] {
  return {
    headersMs: upstream.headersSeconds * 1000,
    answerIdleMs: upstream.idleSeconds * 1000,
    totalMs: upstream.totalSeconds * 1000,
    idleMs: webSocket.idleSeconds * 1000,
    pingMs: webSocket.pingSeconds * 1000,
    messageBytesMax: webSocket.messageBytesMax,
    restMs: upstream.restSeconds * 1000,
    identity: upstreamIdentity,
  };
}

export interface TunnelParts {
  readonly upstream: Upstream;
  readonly clock: Clock;
  readonly watch: Watch;
  readonly options: TunnelOptions;
}

export interface TunnelDownstream {
  readonly handshake: Handshake;
  /** The subprotocols that the client offered, its key among them. */
  readonly subprotocols: readonly string[];
  readonly ownHeaders: readonly string[];
  /** Looks at each frame of a client whose key may not call all models; null where there is nothing to look for. */
  readonly refuseFrame: ((frame: Buffer) => Refusal | null) | null;
}

export interface TunnelTold {
  /** A response within the socket is complete, or was cut with it. */
  turn(turn: Turn): void;
  /** Once, when nothing more can change. The client is told of the end when `release` is called. */
  observed: Observed;
  /** Once, after `observed`: both connections have ended. */
  closed(): void;
}

export function tunnel(
  parts: TunnelParts,
  admission: Admission,
  downstream: TunnelDownstream,
  told: TunnelTold,
): Carried {
  return new Tunnel(parts, admission, downstream, told);
}

/** Intervals of our pings that a side may stay silent. */
const SILENT_PINGS_MAX = 3;
/** As long may a side make no progress with what still waits for it when the exchange is over, where pings are off. */
const FAREWELL_MS = 60_000;
/** As long is the upstream heard out whose client said goodbye: what was used is told late, and must be paid for all the same. */
const HEARD_OUT_MS = 5000;
const TOO_LARGE = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
const GOING_AWAY = 1001;
const POLICY = 1008;
const UNEXPECTED = 1011;
const NO_CODE = 1005;
const ABNORMAL = 1006;
const CLEAN_CODES = new Set([1000, GOING_AWAY, NO_CODE]);

/** An end in the making: what is recorded, and what each side is told. Null for a side that is ending by itself. */
interface End {
  readonly ending: Ending;
  readonly error: ExchangeError | null;
  readonly upstream: Farewell | null;
  readonly downstream: Farewell | null;
}

class Tunnel implements DialListener, Watched, Carried {
  readonly #parts: TunnelParts;
  readonly #admission: Admission;
  readonly #downstream: TunnelDownstream;
  readonly #told: TunnelTold;
  readonly #attempts: Attempt[] = [];
  readonly #turns: TurnReader;
  #credential: PooledCredential | null = null;
  #dialing: Dialing | null = null;
  /** Both from the 101 on. */
  #upstreamSide: Side | null = null;
  #downstreamSide: Side | null = null;

  #head: ReplyHead | null = null;
  #status: number | null = null;
  /** In place of a 101. */
  #answer: PlainAnswer | null = null;

  #bytesIn = 0;
  #bytesOut = 0;
  /** Monotonic milliseconds, as is the next; when a message last came by. */
  #movedMs: number;
  #pingedMs: number;
  /** The client closed, the upstream was told so, and has not closed yet. */
  #goodbye: { readonly error: ExchangeError | null; readonly saidMs: number } | null = null;
  #isOver = false;
  #isReleased = false;

  constructor(parts: TunnelParts, admission: Admission, downstream: TunnelDownstream, told: TunnelTold) {
    this.#parts = parts;
    this.#admission = admission;
    this.#downstream = downstream;
    this.#told = told;
    this.#turns = openTurnReader(keepsTurns(admission.arrival.endpoint));
    this.#movedMs = parts.clock.elapsedMs();
    this.#pingedMs = this.#movedMs;
  }

  get caller(): Caller {
    return this.#admission.caller;
  }

  start(): void {
    const { handshake } = this.#downstream;
    if (handshake.isGone) {
      this.#leave();
      return;
    }
    handshake.onGone(() => this.#leave());
    this.#parts.watch.add(this);
    this.#dial();
  }

  cut(): void {
    const error: ExchangeError = {
      origin: 'gateway',
      code: 'draining',
      message: 'The gateway is stopping and the time to finish is over.',
    };
    // One that is over already, and waits for a slow side to take what was meant for it, waits no more.
    if (this.#isReleased) this.#cutSides();
    else if (this.#goodbye !== null) this.#endAfterGoodbye();
    else this.#fail('gateway_cut', error, { code: GOING_AWAY, reason: 'the gateway is stopping' });
  }

  stop(refusal: Refusal): void {
    if (this.#isOver) return;
    if (this.#goodbye !== null) {
      this.#endAfterGoodbye();
      return;
    }
    const { code, message } = refusal;
    const error: ExchangeError = { origin: 'gateway', code, message };
    if (this.#downstreamSide === null) {
      if (this.#isAnswered()) this.#fail('gateway_cut', error);
      else this.#refuse('gateway_cut', refusal, error);
      return;
    }
    this.#downstreamSide.send(Buffer.from(refusalEvent(refusal)), false);
    this.#end({
      ending: 'gateway_cut',
      error,
      upstream: { code: GOING_AWAY, reason: '' },
      downstream: { code: POLICY, reason: code },
    });
  }

  // ---- The handshake goes upstream, and its answer comes back.

  #dial(): void {
    const { upstream, clock, options } = this.#parts;
    const { arrival } = this.#admission;
    const credential = upstream.credentials.choose();
    this.#credential = credential;
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
      target: arrival.target,
      headers: withoutHandshake(upstreamHeaders(arrival.rawHeaders, credential)),
      subprotocols: upstreamSubprotocols(this.#downstream.subprotocols, credential),
      messageBytesMax: options.messageBytesMax,
      headersMs: options.headersMs,
    };
    this.#dialing = upstream.dial(request, attempt, this);
  }

  onOpen(socket: OpenSocket, rawHeaders: readonly string[], subprotocol: string | null): void {
    const { clock, options } = this.#parts;
    const head = this.#readHead(rawHeaders);
    const now = clock.elapsedMs();
    const upstreamSide = new Side(socket, now, () => this.#finish());
    this.#upstreamSide = upstreamSide;
    const { handshake } = this.#downstream;
    const accepted = handshake.accept(subprotocol, withoutHandshake(head.headers), options.messageBytesMax);
    if (accepted === null) {
      this.#leave();
      return;
    }
    this.#status = 101;
    this.#movedMs = now;
    const downstreamSide = new Side(accepted, now, () => this.#finish());
    this.#downstreamSide = downstreamSide;
    this.#relay(upstreamSide, downstreamSide);
    this.#relay(downstreamSide, upstreamSide);
  }

  onRefused(status: number, reason: string, rawHeaders: readonly string[], body: Readable): void {
    const { upstream, clock, options } = this.#parts;
    const head = this.#readHead(rawHeaders);
    this.#status = status;
    if (status === 401 || status === 403 || status === 429) {
      upstream.credentials.rest(this.#credential!, restsUntil(status, head.retryAfterMs, clock.now(), options.restMs));
    }
    this.#answer = new PlainAnswer(this.#downstream.handshake, { status, reason, head }, body, clock, (how) => {
      if (how === 'whole') this.#end({ ending: 'complete', error: null, upstream: null, downstream: null });
      else if (how === 'credential') this.#refuseCredential();
      else this.#fail('upstream_broke', upstreamError(how.code ?? how.name, how.message));
    });
  }

  /** What goes downstream of the answer's head, whatever the answer is. */
  #readHead(rawHeaders: readonly string[]): ReplyHead {
    const { clock, options } = this.#parts;
    const { arrival } = this.#admission;
    const head = downstreamHead(rawHeaders, this.#downstream.ownHeaders, options.identity);
    if (headerValue(arrival.rawHeaders, OVERHEAD_HEADER) !== null) {
      head.headers.push(OVERHEAD_HEADER, overheadMs(arrival, this.#attempts.at(-1)!, clock.elapsedMs()));
    }
    this.#head = head;
    return head;
  }

  onFailure(failure: DialFailure): void {
    const ending = failure.isTimeout ? 'timed_out' : failure.wasSent ? 'upstream_broke' : 'unreachable';
    this.#fail(ending, upstreamError(failure.code, failure.message));
  }

  #refuseCredential(): void {
    const { upstream } = this.#parts;
    const upstreamStatus = this.#status!;
    const retry = upstream.credentials.hasOtherAwake(this.#credential!);
    const refusal = credentialRefusal(this.#credential!.name, upstreamStatus, retry);
    this.#head = null;
    this.#refuse('complete', refusal, {
      origin: 'gateway',
      code: refusal.code,
      message: `upstream status ${upstreamStatus}`,
    });
  }

  // ---- Messages go by.

  #relay(from: Side, to: Side): void {
    to.takeFrom(from);
    const isFromUpstream = from === this.#upstreamSide;
    from.socket.on('message', (bytes, isBinary) => {
      if (this.#isOver) return;
      if (this.#goodbye !== null) {
        if (!isBinary) this.#look(bytes);
        return;
      }
      this.#movedMs = this.#parts.clock.elapsedMs();
      if (!isFromUpstream) {
        const refusal = this.#downstream.refuseFrame?.(bytes) ?? null;
        if (refusal !== null) {
          this.stop(refusal);
          return;
        }
        this.#bytesIn += bytes.length;
        if (!isBinary) this.#turns.hear(bytes);
      }
      to.send(bytes, isBinary);
      if (!isFromUpstream) return;
      this.#bytesOut += bytes.length;
      if (!isBinary) this.#look(bytes);
    });
    from.socket.on('ping', (bytes) => {
      if (!this.#isOver) to.ping(bytes);
    });
    from.socket.on('pong', (bytes) => {
      if (!this.#isOver && !isKeepAlive(bytes)) to.pong(bytes);
    });
    from.socket.on('error', (error) => this.#endByBreach(isFromUpstream, error));
    from.socket.on('close', (code, reason) => this.#endByClose(isFromUpstream, code, reason));
  }

  #look(frame: Buffer): void {
    const turn = this.#turns.read(frame);
    if (turn !== null) this.#told.turn(turn);
  }

  /** One side closed or vanished: the other is told just that. */
  #endByClose(isUpstream: boolean, code: number, reason: Buffer): void {
    const farewell: Farewell = code === ABNORMAL ? 'cut' : { code: code === NO_CODE ? null : code, reason };
    const farewells = isUpstream ? { upstream: null, downstream: farewell } : { upstream: farewell, downstream: null };
    if (this.#goodbye !== null) this.#endAfterGoodbye();
    else if (code === ABNORMAL) this.#end({ ...lossOf(isUpstream), ...farewells });
    else if (!isUpstream && this.#upstreamSide?.isClosed === false) this.#sayGoodbye(closeError(false, code), farewell);
    else this.#end({ ending: 'complete', error: closeError(isUpstream, code), ...farewells });
  }

  #sayGoodbye(error: ExchangeError | null, farewell: Farewell): void {
    if (this.#isOver) return;
    this.#goodbye = { error, saidMs: this.#parts.clock.elapsedMs() };
    this.#upstreamSide!.sayFarewell(farewell);
  }

  #endAfterGoodbye(): void {
    this.#end({ ending: 'complete', error: this.#goodbye!.error, upstream: 'cut', downstream: null });
  }

  /** One side broke the protocol or a limit, and is being told so: the other one hears that it is not to blame. */
  #endByBreach(isUpstream: boolean, error: NodeJS.ErrnoException): void {
    if (this.#goodbye !== null) {
      this.#endAfterGoodbye();
      return;
    }
    const code = error.code ?? error.name;
    const who = isUpstream ? 'upstream' : 'downstream';
    const setting = code === TOO_LARGE ? ' (webSocket.messageBytesMax)' : '';
    const innocent: Farewell = {
      code: UNEXPECTED,
      reason: `the ${isUpstream ? 'upstream' : 'client'} broke the protocol: ${code}`,
    };
    this.#end({
      ending: isUpstream && code !== TOO_LARGE ? 'upstream_broke' : 'gateway_cut',
      error: { origin: who, code, message: `${error.message}${setting}`.slice(0, 1024) },
      upstream: isUpstream ? null : innocent,
      downstream: isUpstream ? innocent : null,
    });
  }

  // ---- Time.

  check(nowMs: number): void {
    const { totalMs, pingMs } = this.#parts.options;
    if (this.#isOver) {
      this.#checkFarewells(nowMs, pingMs > 0 ? pingMs * SILENT_PINGS_MAX : FAREWELL_MS);
    } else if (this.#goodbye !== null) {
      if (nowMs - this.#goodbye.saidMs >= HEARD_OUT_MS) this.#endAfterGoodbye();
    } else if (totalMs > 0 && nowMs - this.#admission.arrival.startedMs >= totalMs) {
      this.#timeOut(`The exchange lasted the ${totalMs / 1000} s of upstream.totalSeconds.`);
    } else if (this.#answer !== null) {
      this.#checkAnswer(this.#answer, nowMs);
    } else if (this.#downstreamSide !== null) {
      this.#checkSides(nowMs, pingMs);
    }
  }

  #checkAnswer({ movedMs }: PlainAnswer, nowMs: number): void {
    const { answerIdleMs } = this.#parts.options;
    if (answerIdleMs === 0 || nowMs - movedMs < answerIdleMs) return;
    this.#timeOut(`No byte moved within the ${answerIdleMs / 1000} s of upstream.idleSeconds.`);
  }

  #checkSides(nowMs: number, pingMs: number): void {
    const { idleMs } = this.#parts.options;
    if (idleMs > 0 && nowMs - this.#movedMs >= idleMs) {
      this.#timeOut(`No message within the ${idleMs / 1000} s of webSocket.idleSeconds.`);
    } else if (pingMs > 0) {
      this.#keepAlive(nowMs, pingMs);
    }
  }

  #keepAlive(nowMs: number, pingMs: number): void {
    const upstreamSilentMs = this.#upstreamSide!.silentMs(nowMs);
    const downstreamSilentMs = this.#downstreamSide!.silentMs(nowMs);
    if (Math.max(upstreamSilentMs, downstreamSilentMs) >= pingMs * SILENT_PINGS_MAX) {
      const isUpstream = upstreamSilentMs > downstreamSilentMs;
      const message = `Nothing was heard for ${SILENT_PINGS_MAX} pings, ${pingMs / 1000} s of webSocket.pingSeconds apart.`;
      this.#end({
        ending: isUpstream ? 'upstream_broke' : 'downstream_left',
        error: { origin: isUpstream ? 'upstream' : 'downstream', code: 'ping_timeout', message },
        upstream: 'cut',
        downstream: 'cut',
      });
    } else if (nowMs - this.#pingedMs >= pingMs) {
      this.#pingedMs = nowMs;
      this.#upstreamSide!.keepAlive();
      this.#downstreamSide!.keepAlive();
    }
  }

  /** The exchange is over, and a side still takes what waits for it. */
  #checkFarewells(nowMs: number, silentMsMax: number): void {
    for (const side of [this.#upstreamSide, this.#downstreamSide]) {
      if (side !== null && !side.isClosed && side.silentMs(nowMs) >= silentMsMax) side.sayFarewell('cut');
    }
  }

  #timeOut(message: string): void {
    const error: ExchangeError = { origin: 'gateway', code: 'gateway_timeout', message };
    this.#fail('timed_out', error, { code: GOING_AWAY, reason: 'the connection was open or idle for too long' });
  }

  // ---- Endings.

  #leave(): void {
    this.#end({ ending: 'downstream_left', error: leftError(), upstream: 'cut', downstream: 'cut' });
  }

  /** Tells the client what can still be told: a refusal, a broken answer, or a close frame. */
  #fail(ending: Ending, error: ExchangeError, farewell: Farewell = 'cut'): void {
    if (this.#isOver) return;
    if (this.#isAnswered()) this.#end({ ending, error, upstream: farewell, downstream: farewell });
    else this.#refuse(ending, refusalFor(ending, error, this.#parts.upstream.origin), error);
  }

  #refuse(ending: Ending, refusal: Refusal, error: ExchangeError): void {
    const { handshake, ownHeaders } = this.#downstream;
    this.#status = refusal.status;
    this.#end({ ending, error, upstream: 'cut', downstream: null }, () => handshake.refuse(refusal, ownHeaders));
  }

  /** Everything that ends an exchange comes through here, and only the first does anything. */
  #end(end: End, refuse: (() => void) | null = null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const attempt = this.#attempts.at(-1);
    if (attempt !== undefined) attempt.endedMs = this.#parts.clock.elapsedMs();
    if (end.upstream !== null) this.#upstreamSide?.sayFarewell(end.upstream);
    if (this.#upstreamSide === null) this.#dialing?.abort();
    for (const turn of this.#turns.cut({ ending: endingOfTurn(end), attempts: this.#attempts })) this.#told.turn(turn);
    this.#told.observed(this.#observation(end), () => {
      if (refuse !== null) refuse();
      else if (this.#downstreamSide === null) this.#endAnswer(end.ending);
      else if (end.downstream !== null) this.#downstreamSide.sayFarewell(end.downstream);
      this.#isReleased = true;
      this.#finish();
    });
  }

  /** What the client was told cannot be taken back. */
  #isAnswered(): boolean {
    return this.#downstreamSide !== null || this.#answer?.isHeadSent === true;
  }

  #endAnswer(ending: Ending): void {
    if (ending === 'complete') this.#answer?.release();
    else this.#downstream.handshake.cut();
  }

  #finish(): void {
    if (!this.#isReleased || this.#upstreamSide?.isClosed === false || this.#downstreamSide?.isClosed === false) return;
    this.#isReleased = false;
    this.#parts.watch.delete(this);
    this.#told.closed();
  }

  #cutSides(): void {
    this.#upstreamSide?.sayFarewell('cut');
    this.#downstreamSide?.sayFarewell('cut');
  }

  #observation({ ending, error }: End): Observation {
    const { usage, model, translatedSeconds, unfinished } = this.#turns;
    const isTold = ending !== 'downstream_left' || this.#isAnswered();
    return {
      attempts: this.#attempts,
      status: isTold ? this.#status : null,
      ending,
      transport: this.#downstreamSide === null ? transportOf(this.#head?.contentType ?? '', '') : 'ws',
      bytesIn: this.#bytesIn,
      bytesOut: this.#answer?.bytesOut ?? this.#bytesOut,
      facts: {
        ...NOTHING_SEEN,
        usages: usage === undefined ? [] : [usage],
        model,
        status: unfinished === null ? null : unfinished === 'all' ? 'in_progress' : 'incomplete',
        durationSeconds: translatedSeconds,
      },
      isDrained: false,
      upstreamRequestId: this.#head?.requestId ?? null,
      error,
      endedMs: this.#parts.clock.elapsedMs(),
    };
  }
}

/** Of a response that was under way: it did not come to its end, though its socket was closed as it should be. */
function endingOfTurn({ ending, upstream }: End): Ending {
  if (ending !== 'complete') return ending;
  return upstream === null ? 'upstream_broke' : 'downstream_left';
}

/** As OpenAI tells of errors on its sockets. */
function refusalEvent({ type, code, message, param }: Refusal): string {
  return JSON.stringify({ type: 'error', error: { type, code, message, param } });
}

function upstreamError(code: string, message: string): ExchangeError {
  return { origin: 'upstream', code, message: message.slice(0, 1024) };
}

/** The end of a side that sent no close frame. */
function lossOf(isUpstream: boolean): Pick<End, 'ending' | 'error'> {
  if (!isUpstream) return { ending: 'downstream_left', error: leftError() };
  const message = 'The upstream’s connection ended without a close frame.';
  return { ending: 'upstream_broke', error: upstreamError('ECONNRESET', message) };
}

/** A close frame that tells of trouble is worth a line in the record; its reason is the business of the two sides. */
function closeError(isUpstream: boolean, code: number): ExchangeError | null {
  if (CLEAN_CODES.has(code)) return null;
  const [origin, who] = isUpstream ? (['upstream', 'The upstream'] as const) : (['downstream', 'The client'] as const);
  return { origin, code: `close_${code}`, message: `${who} closed the WebSocket with code ${code}.` };
}

/** Without the client's key; the rule for organization and project is that of the headers of the same name. */
function upstreamSubprotocols(offered: readonly string[], credential: PooledCredential): string[] {
  return offered.filter(
    (each) =>
      !each.startsWith(KEY_SUBPROTOCOL) &&
      !(credential.organization !== null && each.startsWith('openai-organization.')) &&
      !(credential.project !== null && each.startsWith('openai-project.')),
  );
}
