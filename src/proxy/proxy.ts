// The door of the relay: the way of one exchange, from its arrival to its record.
import type { Config } from '../config/load.ts';
import type { Clock } from '../domain/clock.ts';
import type { Emulation } from '../domain/emulation.ts';
import type { EndpointGroup } from '../domain/endpoint.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import type { Admission, Arrival, Settlement } from '../domain/exchange.ts';
import { newId } from '../domain/id.ts';
import type { Caller } from '../domain/key.ts';
import { Refusal } from '../domain/refusal.ts';
import { Roster } from '../domain/roster.ts';
import { type RequestSample, sampleOf } from '../estimates/estimates.ts';
import { type BodyPart, NO_BODY, announcedLength } from '../http/body.ts';
import { type Cors, corsRules } from '../http/cors.ts';
import { COST_HEADER, EXCHANGE_ID_HEADER, LITELLM_CALL_ID_HEADER, headerValue } from '../http/headers.ts';
import { sendNothing, sendRefusal } from '../http/reply.ts';
import type { DownstreamReply, DownstreamRequest } from '../http/server.ts';
import type { Handshake } from '../http/websocket.ts';
import type { Keys } from '../keys/keys.ts';
import type { Fit } from '../ledger/ledger.ts';
import type { RequestScan } from '../openai/request.ts';
import type { Log } from '../telemetry/log.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { admit, admitModel, admitSocketModel, frameCheck, mustBeRead } from './admit.ts';
import { Objections, firstPartReach } from './amend.ts';
import { arrive, requestFacts, scanBody } from './arrive.ts';
import { KEY_SUBPROTOCOL, authenticate } from './authenticate.ts';
import { type Carried, type CarryParts, carry, carryOptions } from './carry.ts';
import { EMULATED_BODY_BYTES_MAX, emulate } from './emulate.ts';
import { FirstPartWait } from './first-part.ts';
import type { Entrant, Gate } from './gate.ts';
import type { LitellmHeaders } from './litellm-headers.ts';
import { type Records, intentOf } from './records.ts';
import { recordOf, refusalRecord, turnRecord } from './settle.ts';
import { type TunnelParts, tunnel, tunnelOptions } from './tunnel.ts';
import { type Watch, openWatch } from './watch.ts';
import { WholeBodyWait } from './whole-body.ts';

export { openGate } from './gate.ts';
export { openGenerate } from './generate.ts';
export { openLitellmHeaders } from './litellm-headers.ts';
export type { Records } from './records.ts';

export interface ProxyParts {
  readonly keys: Keys;
  readonly gate: Gate;
  /** Counts a request whose key opens nothing. @returns what to answer in place of that, where there were too many */
  readonly badKey: (address: string) => Refusal | null;
  readonly upstream: Upstream;
  readonly records: Records;
  /** Answers what this gateway serves itself; null where everything goes upstream. */
  readonly emulation?: Emulation | null;
  /** What LiteLLM's clients read; null where nobody asked for it. */
  readonly litellm?: LitellmHeaders | null;
  readonly clock: Clock;
  readonly log: Log;
}

export type ProxySettings = Pick<
  Config,
  'upstream' | 'http' | 'onDisconnect' | 'drain' | 'upstreamIdentity' | 'cors' | 'webSocket'
>;

export interface Proxy {
  /** Serves a request below a mount; false for any other path, which is then somebody else's. */
  serve(request: DownstreamRequest, reply: DownstreamReply, expectsContinue: boolean): boolean;
  /** The same for a request that asks for a WebSocket. */
  upgrade(handshake: Handshake): boolean;
  /** Exchanges that were admitted and have not ended. */
  active(): number;
  /** From now on every arrival is refused; running exchanges go on. */
  stopAdmitting(): void;
  /** Ends what still runs. */
  cutAll(): void;
  /** Ends what runs for callers whose key opens no more. */
  stop(covers: (caller: Caller) => boolean): void;
  close(): void;
}

export function openProxy(parts: ProxyParts, settings: ProxySettings): Proxy {
  const { keys, gate, records, litellm = null, clock, log } = parts;
  const cors = corsRules(settings.cors.origins);
  const running = new Roster<{ cut(): void }>();
  /** Those of them that a key which opens no more takes along, and those that it let in and that are not carried yet. */
  const carriedNow = new Roster<Carried>();
  const waitingNow = new Roster<Begun | BegunSocket>();
  let keptBytes = 0;
  let active = 0;
  let isStopping = false;

  const times = [
    settings.upstream.headersSeconds,
    settings.upstream.idleSeconds,
    settings.upstream.totalSeconds,
    settings.drain.seconds,
    settings.webSocket.idleSeconds,
    settings.webSocket.pingSeconds,
  ];
  const shortestMs = Math.min(...times.filter((time) => time > 0).map((time) => time * 1000), 60_000);
  const watch: Watch = openWatch(shortestMs, clock.elapsedMs);
  const carryParts: CarryParts = {
    upstream: parts.upstream,
    clock,
    watch,
    options: carryOptions(settings),
    objections: new Objections(clock),
    drains: 0,
  };
  const tunnelParts: TunnelParts = { upstream: parts.upstream, clock, watch, options: tunnelOptions(settings) };

  function serve(request: DownstreamRequest, reply: DownstreamReply, expectsContinue: boolean): boolean {
    let arrival: Arrival | null;
    try {
      arrival = arrive(request, clock);
    } catch (error) {
      sendRefusal(reply, asRefusal(error, log), null);
      return true;
    }
    if (arrival === null) return false;
    const origin = cors.isConfigured ? headerValue(arrival.rawHeaders, 'origin') : null;
    if (origin !== null && answerPreflight(cors, origin, arrival, reply)) return true;

    const exchange: Begun = {
      arrival,
      request,
      reply,
      ownHeaders: [...ownHeadersOf(arrival), ...cors.headersFor(origin)],
      keptBytes: 0,
      wait: null,
      isClosed: false,
      caller: null,
    };
    try {
      const caller = authenticate(keys, arrival.target, arrival.rawHeaders);
      if (caller instanceof Promise) {
        caller.then(
          (known) => admitAndRead(exchange, known, expectsContinue),
          (error: unknown) => refuse(exchange, null, ofStranger(arrival, error)),
        );
      } else admitAndRead(exchange, caller, expectsContinue);
    } catch (error) {
      refuse(exchange, null, ofStranger(arrival, error));
    }
    return true;
  }

  function ownHeadersOf({ id }: Arrival): string[] {
    return litellm === null ? [EXCHANGE_ID_HEADER, id] : [EXCHANGE_ID_HEADER, id, LITELLM_CALL_ID_HEADER, id];
  }

  function upgrade(handshake: Handshake): boolean {
    let arrival: Arrival | null;
    try {
      arrival = arrive(handshake.request, clock, true);
    } catch (error) {
      handshake.refuse(asRefusal(error, log));
      return true;
    }
    if (arrival === null) return false;
    const ownHeaders = ownHeadersOf(arrival);
    const exchange: BegunSocket = { arrival, handshake, ownHeaders, wait: null, isClosed: false, caller: null };
    try {
      const subprotocols = handshake.subprotocols();
      refuseForeignOrigin(arrival, subprotocols);
      const caller = authenticate(keys, arrival.target, arrival.rawHeaders, subprotocols);
      if (caller instanceof Promise) {
        caller.then(
          (known) => admitAndDial(exchange, known, subprotocols),
          (error: unknown) => refuseSocket(exchange, null, ofStranger(arrival, error)),
        );
      } else admitAndDial(exchange, caller, subprotocols);
    } catch (error) {
      refuseSocket(exchange, null, ofStranger(arrival, error));
    }
    return true;
  }

  function admitAndDial(exchange: BegunSocket, caller: Caller, subprotocols: readonly string[]): void {
    const { arrival } = exchange;
    const facts = requestFacts(arrival, null);
    const { model } = facts;
    try {
      admit(arrival, caller, arrival.endpoint?.group);
      if (ownGroup(arrival) === 'everybody') throw new Refusal('bad_request', 'There is no WebSocket at this path.');
      admitSocketModel(arrival, caller, facts);
      refuseOverload();
    } catch (error) {
      refuseSocket(exchange, caller, error);
      return;
    }
    active++;
    exchange.caller = caller;
    waitingNow.add(exchange);
    const refuseEntry = (error: unknown) => {
      active--;
      refuseSocket(exchange, caller, error);
    };
    const entrant: Entrant = { arrival, caller, model, facts, kind: 'socket', isFree: false };
    enter(entrant, refuseEntry, (admission) => dial(exchange, admission, subprotocols));
  }

  function dial(exchange: BegunSocket, admission: Admission, subprotocols: readonly string[]): void {
    const { arrival, handshake, ownHeaders } = exchange;
    const { caller } = admission;
    records.writeIntent(intentOf(admission), (error) => {
      if (error || exchange.isClosed) {
        active--;
        gate.turnBack(admission);
        refuseSocket(exchange, caller, error ? unrecorded(arrival, error) : closedRefusal());
        return;
      }
      waitingNow.delete(exchange);
      const carried = tunnel(
        tunnelParts,
        admission,
        { handshake, subprotocols, ownHeaders, refuseFrame: frameCheck(arrival, caller) },
        {
          turn(turn) {
            const endedAt = clock.now();
            const settled = gate.turn(admission, turn);
            const record = turnRecord(admission, settled, newId('exc', endedAt), endedAt, clock.elapsedMs());
            records.writeRecord(record, (why) => logUnwritten(record, why));
            void overBudget(settled.fit).then((refusal) => refusal !== null && carried.stop(refusal));
          },
          observed(observation, release) {
            whenSettled(gate.leave(admission, observation, null), (settlement) => {
              const record = recordOf(settlement);
              records.writeRecord(record, (why) => {
                logUnwritten(record, why);
                release();
              });
            });
          },
          closed() {
            forget(carried);
            active--;
          },
        },
      );
      keep(carried);
      carried.start();
    });
  }

  /** Browsers ask no leave for a WebSocket: where the operator names origins, the others are turned away here. */
  function refuseForeignOrigin(arrival: Arrival, subprotocols: readonly string[]): void {
    const origin = headerValue(arrival.rawHeaders, 'origin');
    if (origin === null) return;
    if (cors.isConfigured && !cors.allows(origin)) {
      throw new Refusal('origin_not_allowed', "This browser origin is not one of the operator's cors.origins.", {
        param: 'origin',
      });
    }
    // It would hang up on a 101 that selects none of what it offered, and a key is never sent back.
    if (subprotocols.length > 0 && subprotocols.every((each) => each.startsWith(KEY_SUBPROTOCOL))) {
      const message =
        'A browser needs a subprotocol that can be selected: offer another one beside the key, such as realtime.';
      throw new Refusal('bad_request', message, { param: 'sec-websocket-protocol' });
    }
  }

  /** Where one address tries too many keys that open nothing, it is told to wait instead. */
  function ofStranger({ clientAddress }: Arrival, error: unknown): unknown {
    const isBadKey = error instanceof Refusal && error.code === 'invalid_api_key';
    return (isBadKey ? parts.badKey(clientAddress) : null) ?? error;
  }

  function refuseSocket(exchange: BegunSocket, caller: Caller | null, error: unknown): void {
    const { arrival, handshake, ownHeaders } = exchange;
    waitingNow.delete(exchange);
    const refusal = asRefusal(error, log);
    records.writeRecord(refusalRecord(arrival, caller, refusal, clock.elapsedMs()), () => {});
    handshake.refuse(refusal, ownHeaders);
  }

  /** Of what this gateway answers itself; null for what goes upstream. */
  function ownGroup({ path, endpoint }: Arrival): EndpointGroup | 'everybody' | null {
    return parts.emulation?.claims(path, endpoint) ?? null;
  }

  /** Before admission, refusals are thrown and caught here. */
  function admitAndRead(exchange: Begun, caller: Caller, expectsContinue: boolean): void {
    const { arrival, request, reply } = exchange;
    const length = announcedLength(request);
    try {
      admit(arrival, caller, ownGroup(arrival) ?? arrival.endpoint?.group);
      refuseOverload();
      refuseLargeBody(length, settings.http.bodyBytesMax);
    } catch (error) {
      refuse(exchange, caller, error);
      return;
    }
    active++;
    exchange.caller = caller;
    waitingNow.add(exchange);
    if (expectsContinue) reply.writeContinue();
    if (length === null || length === 0) {
      begin(exchange, caller, NO_BODY);
      return;
    }
    const wait = new FirstPartWait(watch, carryParts.options.idleMs, clock, (first) => {
      running.delete(wait);
      exchange.wait = null;
      if (first === 'stalled' || first === 'cut') refuseUnsent(exchange, caller, first);
      // The client left before its body came: nothing will be sent upstream, and the record says so.
      else begin(exchange, caller, first ?? NO_BODY);
    });
    running.add(wait);
    exchange.wait = wait;
    wait.start(request, length, firstPartReach(arrival, caller));
  }

  /** @param isReadOn what can be kept of the body was waited for already */
  function begin(exchange: Begun, caller: Caller, first: BodyPart, isReadOn = false): void {
    const { arrival } = exchange;
    const emulation = ownGroup(arrival) === null ? null : (parts.emulation ?? null);
    if (emulation !== null && !first.isWhole) {
      if (isReadOn) refuseLargeEmulated(exchange, caller);
      else readOn(exchange, caller, first, EMULATED_BODY_BYTES_MAX);
      return;
    }
    const scan = scanBody(arrival, first, emulation === null && gate.mustKnowCost(arrival, caller, null));
    const facts = requestFacts(arrival, scan);
    const { model } = facts;
    const isWanted =
      mustBeRead(arrival, caller, facts) ||
      (!facts.isWhole && facts.isReadable && gate.mustKnowCost(arrival, caller, model));
    if (isWanted && !isReadOn) {
      readOn(exchange, caller, first, READ_BODY_BYTES_MAX);
      return;
    }
    const refuseEntry = (error: unknown) => {
      active--;
      refuse(exchange, caller, error);
    };
    try {
      // The model calls of what is answered here are exchanges of their own.
      if (emulation === null) admitModel(arrival, caller, model, facts);
    } catch (error) {
      refuseEntry(error);
      return;
    }
    const kind = facts.isStream ? 'stream' : 'exchange';
    const entrant: Entrant = { arrival, caller, model, facts, kind, isFree: emulation !== null };
    enter(entrant, refuseEntry, (admission) => proceed(exchange, admission, first, scan, emulation));
  }

  /** Places in limits and money set aside: at once, or when those who share them have answered. */
  function enter(entrant: Entrant, refused: (error: unknown) => void, entered: (admission: Admission) => void): void {
    let admission: Admission | Promise<Admission>;
    try {
      admission = gate.enter(entrant);
    } catch (error) {
      refused(error);
      return;
    }
    if (admission instanceof Promise) admission.then(entered, refused);
    else entered(admission);
  }

  function proceed(
    exchange: Begun,
    admission: Admission,
    first: BodyPart,
    scan: RequestScan | null,
    emulation: Emulation | null,
  ): void {
    records.writeIntent(intentOf(admission), (error) => {
      if (error || exchange.isClosed) {
        gate.turnBack(admission);
        if (error) refuseUnrecorded(exchange, admission.caller, error);
        else refuseClosed(exchange, admission.caller);
        return;
      }
      waitingNow.delete(exchange);
      if (emulation !== null) answerHere(emulation, exchange, admission, first.bytes);
      else go(exchange, admission, first, scan);
    });
  }

  /** Waits for the whole body, or as much of it as is kept, and begins again. */
  function readOn(exchange: Begun, caller: Caller, first: BodyPart, bytesMax: number): void {
    const wait = new WholeBodyWait(watch, carryParts.options.idleMs, clock, (body) => {
      running.delete(wait);
      exchange.wait = null;
      if (body === 'stalled' || body === 'cut') refuseUnsent(exchange, caller, body);
      else if (body === 'no_room') refuseRoom(exchange, caller);
      // The client left: nothing will be done, and the record says so.
      else begin(exchange, caller, body ?? NO_BODY, true);
    });
    running.add(wait);
    exchange.wait = wait;
    const takeRoom = (bytes: number) => {
      if (keptBytes + bytes > settings.http.keptBodiesBytesMax) return false;
      keptBytes += bytes;
      exchange.keptBytes += bytes;
      return true;
    };
    wait.start(exchange.request, first.bytes, { bytesMax, takeRoom });
  }

  /** Its body is kept no longer. */
  function letGo(exchange: Begun): void {
    keptBytes -= exchange.keptBytes;
    exchange.keptBytes = 0;
  }

  /** It costs nothing: the model calls of a run are exchanges of their own. */
  function answerHere(emulation: Emulation, exchange: Begun, admission: Admission, body: Buffer): void {
    const { request, reply, ownHeaders } = exchange;
    const hasLeft = request.destroyed && !request.complete;
    const emulated = emulate(
      { emulation, clock, log },
      admission,
      { reply, body: hasLeft ? null : body, ownHeaders },
      (observation, release) => {
        forget(emulated);
        letGo(exchange);
        finish(gate.leaveFree(admission, observation), release, reply);
      },
    );
    keep(emulated);
    emulated.start();
  }

  /** After admission, endings are returned: this is the way of every exchange that goes upstream. */
  function go(exchange: Begun, admission: Admission, first: BodyPart, scan: RequestScan | null): void {
    const { arrival, request, reply, ownHeaders } = exchange;
    const sample = keptSample(first, admission);
    const carried = carry(
      carryParts,
      admission,
      {
        request,
        reply,
        first,
        scan,
        ownHeaders: [...ownHeaders, ...admission.permits.headers],
        letGo: () => letGo(exchange),
        overrun: gate.overrun(admission),
      },
      (observation, release) => {
        forget(carried);
        letGo(exchange);
        // What stood behind the first part of the body was seen as it went by.
        const seen = first.isWhole ? admission : { ...admission, ...seenOf(arrival, scan) };
        whenSettled(gate.leave(seen, observation, sample), (settlement) => finish(settlement, release, reply));
      },
    );
    keep(carried);
    carried.start();
  }

  function keep(carried: Carried): void {
    running.add(carried);
    carriedNow.add(carried);
  }

  function forget(carried: Carried): void {
    running.delete(carried);
    carriedNow.delete(carried);
  }

  function finish(
    settlement: Settlement,
    release: (headers?: readonly string[]) => void,
    reply: DownstreamReply,
  ): void {
    const record = recordOf(settlement);
    records.writeRecord(record, (error) => {
      logUnwritten(record, error);
      active--;
      const { usd, state } = record.cost;
      // Of what is free there is nothing to tell; and a stream may be over before its head goes, but none can rely on that.
      if (usd === null || state === 'free' || record.transport === 'sse') release();
      else if (litellm === null || reply.headersSent) release([COST_HEADER, usd]);
      else tellLitellm(litellm.of(settlement, usd), (headers) => release([COST_HEADER, usd, ...headers]));
    });
  }

  function logUnwritten({ id }: ExchangeRecord, error: Error | null): void {
    if (error) log.error('record not written', { exchange: id, why: error.message });
  }

  function refuse(exchange: Begun, caller: Caller | null, error: unknown): void {
    const { arrival, reply, ownHeaders } = exchange;
    waitingNow.delete(exchange);
    letGo(exchange);
    const refusal = asRefusal(error, log);
    records.writeRecord(refusalRecord(arrival, caller, refusal, clock.elapsedMs()), () => {});
    sendRefusal(reply, refusal, null, ownHeaders);
  }

  /** A body that stopped coming before anything went upstream. */
  function refuseUnsent(exchange: Begun, caller: Caller, why: 'stalled' | 'cut'): void {
    if (exchange.isClosed) {
      refuseClosed(exchange, caller);
      return;
    }
    active--;
    const { idleSeconds } = settings.upstream;
    const refusal =
      why === 'cut'
        ? new Refusal('overloaded', 'The gateway is stopping and the time to finish is over.', { retryAfterMs: 1000 })
        : new Refusal(
            'request_timeout',
            `The request body stopped arriving for the ${idleSeconds} s of upstream.idleSeconds.`,
          );
    refuse(exchange, caller, refusal);
  }

  function refuseLargeEmulated(exchange: Begun, caller: Caller): void {
    active--;
    const message = `The request body is larger than ${EMULATED_BODY_BYTES_MAX} bytes, the most that this endpoint takes.`;
    refuse(exchange, caller, new Refusal('body_too_large', message));
  }

  function refuseRoom(exchange: Begun, caller: Caller): void {
    active--;
    const message = `The gateway keeps as many bytes of request bodies as the operator's http.keptBodiesBytesMax allows, ${settings.http.keptBodiesBytesMax}. Try again in a moment.`;
    refuse(exchange, caller, new Refusal('overloaded', message, { retryAfterMs: 1000 }));
  }

  function refuseClosed(exchange: Begun, caller: Caller): void {
    active--;
    refuse(exchange, caller, closedRefusal());
  }

  function refuseUnrecorded(exchange: Begun, caller: Caller, error: Error): void {
    active--;
    refuse(exchange, caller, unrecorded(exchange.arrival, error));
  }

  function unrecorded({ id }: Arrival, cause: Error): Refusal {
    log.error('intent not written, exchange refused', { exchange: id, why: cause.message });
    const message = 'The gateway cannot write its records now, and sends nothing upstream unrecorded.';
    return new Refusal('overloaded', message, { retryAfterMs: 1000, cause });
  }

  function refuseOverload(): void {
    if (isStopping)
      throw new Refusal('overloaded', 'The gateway is stopping; try again, another one may answer.', {
        retryAfterMs: 1000,
      });
    const { exchangesMax } = settings.http;
    if (active < exchangesMax) return;
    throw new Refusal(
      'overloaded',
      `The gateway carries ${exchangesMax} exchanges already, the operator's http.exchangesMax.`,
      {
        retryAfterMs: 1000,
      },
    );
  }

  return {
    serve,
    upgrade,
    active: () => active,
    stopAdmitting: () => {
      isStopping = true;
    },
    cutAll: () => {
      for (const carried of running) carried.cut();
    },
    stop(covers) {
      for (const carried of carriedNow) if (covers(carried.caller)) carried.stop(closedRefusal());
      for (const exchange of waitingNow) {
        if (exchange.caller === null || !covers(exchange.caller)) continue;
        exchange.isClosed = true;
        exchange.wait?.cut();
      }
    },
    close: () => watch.close(),
  };
}

/** A longer body is not read for what it may cost, or which model it calls: that is then unknown. */
const READ_BODY_BYTES_MAX = 32 * 1024 * 1024;

function closedRefusal(): Refusal {
  return new Refusal('invalid_api_key', 'The virtual key of this exchange was closed while it ran.');
}

function tellLitellm(
  headers: readonly string[] | Promise<readonly string[]>,
  tell: (headers: readonly string[]) => void,
) {
  if (headers instanceof Promise) void headers.then(tell);
  else tell(headers);
}

function whenSettled(settled: Settlement | Promise<Settlement>, next: (settlement: Settlement) => void): void {
  if (settled instanceof Promise) void settled.then(next);
  else next(settled);
}

/** Up to this the body is kept as it is, for as long as it is anyway. */
const KEPT_BYTES_MAX = 16 * 1024;

/** Of requests whose reply may end without telling what was used. */
function keptSample({ bytes }: BodyPart, { arrival, facts }: Admission): RequestSample | null {
  if (arrival.endpoint?.billing !== 'metered' || bytes.length === 0) return null;
  const bodyBytes = facts?.bodyBytes ?? bytes.length;
  return bytes.length <= KEPT_BYTES_MAX ? { head: bytes, bodyBytes } : sampleOf(bytes, bodyBytes);
}

/** Null where it is within its budgets. */
async function overBudget(fit: Fit | Promise<Fit>): Promise<Refusal | null> {
  if ((await fit) === 'ok') return null;
  const message = 'The budget that this session is held in is used up. It was ended; the operator sets budgets.';
  return new Refusal('insufficient_quota', message);
}

/** What the whole of a request told, behind what its first part did. */
function seenOf(arrival: Arrival, scan: RequestScan | null): Pick<Admission, 'facts' | 'model'> {
  const facts = requestFacts(arrival, scan);
  return { facts, model: facts.model };
}

/** An arrival with what it takes to answer it. */
interface Begun {
  readonly arrival: Arrival;
  readonly request: DownstreamRequest;
  readonly reply: DownstreamReply;
  readonly ownHeaders: readonly string[];
  /** Bytes of its body that count among those that are kept. */
  keptBytes: number;
  /** What is waited for now. */
  wait: { cut(): void } | null;
  /** Its key was closed before it was carried. */
  isClosed: boolean;
  /** Whose it is, as soon as that is known. */
  caller: Caller | null;
}

interface BegunSocket {
  readonly arrival: Arrival;
  readonly handshake: Handshake;
  readonly ownHeaders: readonly string[];
  readonly wait: null;
  isClosed: boolean;
  /** Whose it is, as soon as that is known. */
  caller: Caller | null;
}

/** A bug is ours: it ends this exchange, is told to the operator, and tells the client nothing. */
function asRefusal(error: unknown, log: Log): Refusal {
  if (error instanceof Refusal) return error;
  log.error('exchange failed before admission', {
    why: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  return new Refusal('internal_error', 'The gateway failed. Its log says why.');
}

function answerPreflight(cors: Cors, origin: string, arrival: Arrival, reply: DownstreamReply): boolean {
  const isPreflight =
    arrival.method === 'OPTIONS' && headerValue(arrival.rawHeaders, 'access-control-request-method') !== null;
  if (!isPreflight || !cors.allows(origin)) return false;
  sendNothing(
    reply,
    204,
    cors.preflightHeaders(origin, headerValue(arrival.rawHeaders, 'access-control-request-headers')),
  );
  return true;
}

function refuseLargeBody(length: number | 'chunked' | null, bodyBytesMax: number): void {
  if (bodyBytesMax === 0 || typeof length !== 'number' || length <= bodyBytesMax) return;
  throw new Refusal(
    'body_too_large',
    `The request body has ${length} bytes; the operator's http.bodyBytesMax is ${bodyBytesMax}.`,
  );
}
