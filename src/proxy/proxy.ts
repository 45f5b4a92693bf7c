// The door of the relay: the way of one exchange, from its arrival to its record.
import type { Config } from '../config/load.ts';
import type { Clock } from '../domain/clock.ts';
import type { Emulation } from '../domain/emulation.ts';
import type { EndpointGroup } from '../domain/endpoint.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import type { Admission, Arrival, Settlement } from '../domain/exchange.ts';
import { newId } from '../domain/id.ts';
import type { Caller } from '../domain/key.ts';
import { NO_PERMITS } from '../domain/limits.ts';
import { Refusal } from '../domain/refusal.ts';
import { type BodyPart, NO_BODY, announcedLength } from '../http/body.ts';
import { type Cors, corsRules } from '../http/cors.ts';
import { EXCHANGE_ID_HEADER, headerValue } from '../http/headers.ts';
import { sendNothing, sendRefusal } from '../http/reply.ts';
import type { DownstreamReply, DownstreamRequest } from '../http/server.ts';
import type { Handshake } from '../http/websocket.ts';
import type { Keys } from '../keys/keys.ts';
import type { RequestScan } from '../openai/request.ts';
import type { Log } from '../telemetry/log.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { admit } from './admit.ts';
import { Objections, firstPartReach } from './amend.ts';
import { arrive, modelOf, scanBody } from './arrive.ts';
import { KEY_SUBPROTOCOL, authenticate } from './authenticate.ts';
import { type CarryParts, carry, carryOptions } from './carry.ts';
import { EMULATED_BODY_BYTES_MAX, emulate } from './emulate.ts';
import { FirstPartWait } from './first-part.ts';
import { type Records, intentOf } from './records.ts';
import { recordOf, refusalRecord, settle, settleFree, turnRecord } from './settle.ts';
import { type TunnelParts, tunnel, tunnelOptions } from './tunnel.ts';
import { type Watch, openWatch } from './watch.ts';
import { WholeBodyWait } from './whole-body.ts';

export { openGenerate } from './generate.ts';
export type { Records } from './records.ts';

export interface ProxyParts {
  readonly keys: Keys;
  readonly upstream: Upstream;
  readonly records: Records;
  /** Answers what this gateway serves itself; null where everything goes upstream. */
  readonly emulation?: Emulation | null;
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
  close(): void;
}

export function openProxy(parts: ProxyParts, settings: ProxySettings): Proxy {
  const { keys, records, clock, log } = parts;
  const cors = corsRules(settings.cors.origins);
  const running = new Set<{ cut(): void }>();
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
      ownHeaders: [EXCHANGE_ID_HEADER, arrival.id, ...cors.headersFor(origin)],
    };
    try {
      const caller = authenticate(keys, arrival.target, arrival.rawHeaders);
      if (caller instanceof Promise) {
        caller.then(
          (known) => admitAndRead(exchange, known, expectsContinue),
          (error: unknown) => refuse(exchange, null, error),
        );
      } else admitAndRead(exchange, caller, expectsContinue);
    } catch (error) {
      refuse(exchange, null, error);
    }
    return true;
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
    const exchange: BegunSocket = { arrival, handshake, ownHeaders: [EXCHANGE_ID_HEADER, arrival.id] };
    try {
      const subprotocols = handshake.subprotocols();
      refuseForeignOrigin(arrival, subprotocols);
      const caller = authenticate(keys, arrival.target, arrival.rawHeaders, subprotocols);
      if (caller instanceof Promise) {
        caller.then(
          (known) => admitAndDial(exchange, known, subprotocols),
          (error: unknown) => refuseSocket(exchange, null, error),
        );
      } else admitAndDial(exchange, caller, subprotocols);
    } catch (error) {
      refuseSocket(exchange, null, error);
    }
    return true;
  }

  function admitAndDial(exchange: BegunSocket, caller: Caller, subprotocols: readonly string[]): void {
    const { arrival, handshake, ownHeaders } = exchange;
    try {
      admit(arrival, caller, arrival.endpoint?.group);
      refuseOverload();
    } catch (error) {
      refuseSocket(exchange, caller, error);
      return;
    }
    active++;
    const admission: Admission = {
      arrival,
      caller,
      model: modelOf(arrival, null),
      facts: null,
      tags: caller.key.tags,
      hold: null,
      permits: NO_PERMITS,
      admittedMs: clock.elapsedMs(),
    };
    records.writeIntent(intentOf(admission), (error) => {
      if (error) {
        active--;
        refuseSocket(exchange, caller, unrecorded(arrival, error));
        return;
      }
      const carried = tunnel(
        tunnelParts,
        admission,
        { handshake, subprotocols, ownHeaders },
        {
          turn(turn) {
            const endedAt = clock.now();
            const record = turnRecord(admission, turn, newId('exc', endedAt), endedAt, clock.elapsedMs());
            records.writeRecord(record, (why) => logUnwritten(record, why));
          },
          observed(observation, release) {
            const record = recordOf(settle(admission, observation));
            records.writeRecord(record, (why) => {
              logUnwritten(record, why);
              release();
            });
          },
          closed() {
            running.delete(carried);
            active--;
          },
        },
      );
      running.add(carried);
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

  function refuseSocket({ arrival, handshake, ownHeaders }: BegunSocket, caller: Caller | null, error: unknown): void {
    const refusal = asRefusal(error, log);
    records.writeRecord(refusalRecord(arrival, caller, refusal, clock.elapsedMs()), () => {});
    handshake.refuse(refusal, ownHeaders);
  }

  /** Of what this gateway answers itself; null for what goes upstream. */
  function ownGroup({ path, endpoint }: Arrival): EndpointGroup | null {
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
    if (expectsContinue) reply.writeContinue();
    if (length === null || length === 0) {
      begin(exchange, caller, NO_BODY);
      return;
    }
    const wait = new FirstPartWait(watch, carryParts.options.idleMs, clock, (first) => {
      running.delete(wait);
      if (first === 'stalled' || first === 'cut') refuseUnsent(exchange, caller, first);
      // The client left before its body came: nothing will be sent upstream, and the record says so.
      else begin(exchange, caller, first ?? NO_BODY);
    });
    running.add(wait);
    wait.start(request, length, firstPartReach(arrival, caller));
  }

  function begin(exchange: Begun, caller: Caller, first: BodyPart): void {
    const { arrival } = exchange;
    const emulation = ownGroup(arrival) === null ? null : (parts.emulation ?? null);
    if (emulation !== null && !first.isWhole) {
      readRest(exchange, caller, first, (whole) => begin(exchange, caller, whole));
      return;
    }
    const scan = scanBody(arrival, first);
    const admission: Admission = {
      arrival,
      caller,
      model: modelOf(arrival, scan),
      facts: null,
      tags: caller.key.tags,
      hold: null,
      permits: NO_PERMITS,
      admittedMs: clock.elapsedMs(),
    };
    records.writeIntent(intentOf(admission), (error) => {
      if (error) refuseUnrecorded(exchange, caller, error);
      else if (emulation !== null) answerHere(emulation, exchange, admission, first.bytes);
      else go(exchange, admission, first, scan);
    });
  }

  /** What this gateway answers itself it must read whole. */
  function readRest(exchange: Begun, caller: Caller, first: BodyPart, read: (whole: BodyPart) => void): void {
    const wait = new WholeBodyWait(watch, carryParts.options.idleMs, clock, (body) => {
      running.delete(wait);
      if (body === 'stalled' || body === 'cut') refuseUnsent(exchange, caller, body);
      else if (body === 'too_large') refuseLargeEmulated(exchange, caller);
      // The client left: nothing will be done, and the record says so.
      else read({ bytes: body ?? NO_BODY.bytes, isWhole: true });
    });
    running.add(wait);
    wait.start(exchange.request, first.bytes, EMULATED_BODY_BYTES_MAX);
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
        running.delete(emulated);
        finish(settleFree(admission, observation), release);
      },
    );
    running.add(emulated);
    emulated.start();
  }

  /** After admission, endings are returned: this is the way of every exchange that goes upstream. */
  function go(exchange: Begun, admission: Admission, first: BodyPart, scan: RequestScan | null): void {
    const { request, reply, ownHeaders } = exchange;
    const carried = carry(
      carryParts,
      admission,
      { request, reply, first, scan, ownHeaders },
      (observation, release) => {
        running.delete(carried);
        const settled = admission.model === null && scan?.model ? { ...admission, model: scan.model } : admission;
        finish(settle(settled, observation), release);
      },
    );
    running.add(carried);
    carried.start();
  }

  function finish(settlement: Settlement, release: () => void): void {
    const record = recordOf(settlement);
    records.writeRecord(record, (error) => {
      logUnwritten(record, error);
      active--;
      release();
    });
  }

  function logUnwritten({ id }: ExchangeRecord, error: Error | null): void {
    if (error) log.error('record not written', { exchange: id, why: error.message });
  }

  function refuse({ arrival, reply, ownHeaders }: Begun, caller: Caller | null, error: unknown): void {
    const refusal = asRefusal(error, log);
    records.writeRecord(refusalRecord(arrival, caller, refusal, clock.elapsedMs()), () => {});
    sendRefusal(reply, refusal, null, ownHeaders);
  }

  /** A body that stopped coming before anything went upstream. */
  function refuseUnsent(exchange: Begun, caller: Caller, why: 'stalled' | 'cut'): void {
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
    close: () => watch.close(),
  };
}

/** An arrival with what it takes to answer it. */
interface Begun {
  readonly arrival: Arrival;
  readonly request: DownstreamRequest;
  readonly reply: DownstreamReply;
  readonly ownHeaders: readonly string[];
}

interface BegunSocket {
  readonly arrival: Arrival;
  readonly handshake: Handshake;
  readonly ownHeaders: readonly string[];
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
