// The engine's and the desk's way upstream: a call made in this process is an ordinary exchange from admission on, with an intent,
// a credential, an observation and one record. It is sent once; whether to try again is its caller's to say.
import type { Config } from '../config/load.ts';
import type { Clock } from '../domain/clock.ts';
import type { Endpoint } from '../domain/endpoint.ts';
import type { RunRecord } from '../domain/exchange-record.ts';
import type { Admission, Arrival, Attempt, Ending, ExchangeError, Observation } from '../domain/exchange.ts';
import { NOTHING_SEEN, type ReplyFacts } from '../domain/facts.ts';
import type { Generate, GenerateCall, GenerateOrigin, GenerateReply } from '../domain/generate.ts';
import { newId } from '../domain/id.ts';
import type { Caller } from '../domain/key.ts';
import { Refusal } from '../domain/refusal.ts';
import { downstreamHead, upstreamHeaders } from '../http/headers.ts';
import { pathOf } from '../http/target.ts';
import type { Keys } from '../keys/keys.ts';
import { findEndpoint } from '../openai/endpoints.ts';
import type { Log } from '../telemetry/log.ts';
import type { PooledCredential, ReplyListener, Sending, Upstream, UpstreamFailure } from '../upstream/upstream.ts';
import { admitModel } from './admit.ts';
import { requestFacts, scanBody } from './arrive.ts';
import { restsUntil } from './credential-reply.ts';
import type { Gate } from './gate.ts';
import { type ReplyObserver, observeReply, transportOf } from './observe.ts';
import { type Records, intentOf } from './records.ts';
import { recordOf, refusalRecord } from './settle.ts';
import { type Watch, type Watched, openWatch } from './watch.ts';

export interface GenerateParts {
  readonly keys: Keys;
  readonly gate: Gate;
  readonly upstream: Upstream;
  readonly records: Records;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Generator {
  readonly generate: Generate;
  /** Calls that have not ended. */
  active(): number;
  close(): void;
}

/** Bytes that wait for whoever reads the reply; above it the upstream waits too. */
const WAITING_BYTES_MAX = 256 * 1024;
const TIMED_OUT = 'ETIMEDOUT';

export function openGenerate(parts: GenerateParts, settings: Pick<Config, 'upstream'>): Generator {
  const { keys, gate, records, clock, log } = parts;
  const times = {
    headersMs: settings.upstream.headersSeconds * 1000,
    idleMs: settings.upstream.idleSeconds * 1000,
    restMs: settings.upstream.restSeconds * 1000,
  };
  const watch = openWatch(Math.min(60_000, times.headersMs || 60_000, times.idleMs || 60_000), clock.elapsedMs);
  let active = 0;

  async function generate(call: GenerateCall): Promise<GenerateReply> {
    const arrival = arrive(call, clock);
    const caller = await findCaller(keys, call);
    if (caller instanceof Refusal) return refuse(arrival, call, null, caller);
    const scan =
      call.body === null
        ? null
        : scanBody(arrival, { bytes: call.body, isWhole: true }, gate.mustKnowCost(arrival, caller, null));
    const facts = requestFacts(arrival, scan);
    const { model } = facts;
    let admission: Admission;
    try {
      admitModel(arrival, caller, model, facts);
      const kind = facts.isStream ? 'stream' : 'exchange';
      admission = await gate.enter({ arrival, caller, model, facts, kind, isFree: false });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return refuse(arrival, call, caller, error);
    }
    const failed = await new Promise<Error | null>((resolve) => records.writeIntent(intentOf(admission), resolve));
    if (failed) {
      log.error('intent not written, call of a run refused', { exchange: arrival.id, why: failed.message });
      gate.turnBack(admission);
      return refuse(
        arrival,
        call,
        caller,
        new Refusal('overloaded', 'The gateway cannot write its records now, and sends nothing upstream unrecorded.'),
      );
    }
    active++;
    return new Promise((answer) => {
      const sample = call.body === null ? null : { head: call.body, bodyBytes: call.body.length };
      const ended = async (observation: Observation) => {
        const settlement = await gate.leave(admission, observation, sample);
        const record = { ...recordOf(settlement), ...runRecord(call.run) };
        records.writeRecord(record, (error) => {
          if (error) log.error('record not written', { exchange: arrival.id, why: error.message });
          active--;
        });
      };
      new Exchange({ ...parts, watch, times }, call, answer, (observation) => void ended(observation)).start(arrival);
    });
  }

  function refuse(arrival: Arrival, call: GenerateCall, caller: Caller | null, refusal: Refusal): GenerateReply {
    const record = refusalRecord(arrival, caller, refusal, clock.elapsedMs());
    records.writeRecord({ ...record, ...runRecord(call.run) }, () => {});
    return { kind: 'refused', refusal };
  }

  return { generate, active: () => active, close: () => watch.close() };
}

function arrive({ method, path, headers }: GenerateCall, clock: Clock): Arrival {
  const receivedAt = clock.now();
  return {
    id: newId('exc', receivedAt),
    receivedAt,
    startedMs: clock.elapsedMs(),
    method,
    target: path,
    path: pathOf(path),
    endpoint: findEndpoint(method, pathOf(path)),
    rawHeaders: headers,
    clientAddress: '',
  };
}

/** Which endpoints a key may call was asked when its client did: what a run does after that is the gateway's own doing. */
async function findCaller(keys: Keys, { keyId, teamId }: GenerateCall): Promise<Caller | Refusal> {
  try {
    const caller = await keys.callerOf(keyId);
    if (caller?.team.id === teamId) return caller;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  return new Refusal('invalid_api_key', 'The virtual key that began this was revoked or no longer exists.');
}

function runRecord(run: GenerateOrigin | null): { run?: RunRecord } {
  if (run === null) return {};
  const { runId, assistantId, threadId, turn, isRerun } = run;
  return { run: { id: runId, assistant_id: assistantId, thread_id: threadId, turn, rerun: isRerun } };
}

interface ExchangeParts extends GenerateParts {
  readonly watch: Watch;
  readonly times: { readonly headersMs: number; readonly idleMs: number; readonly restMs: number };
}

/** One call on its way. Ends once, in one observation. */
class Exchange implements ReplyListener, Watched {
  readonly #parts: ExchangeParts;
  readonly #call: GenerateCall;
  readonly #answer: (reply: GenerateReply) => void;
  readonly #ended: (observation: Observation) => void;
  #sending: Sending | null = null;
  #credential: PooledCredential | null = null;
  #attempt: Attempt | null = null;
  #observer: ReplyObserver | null = null;
  #endpoint: Endpoint | undefined;
  #status: number | null = null;
  #contentType = '';
  #requestId: string | null = null;
  #bytesOut = 0;
  #movedMs = 0;
  #isOver = false;
  /** What came and was not read yet. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #reader: (() => void) | null = null;
  #failure: Error | null = null;

  constructor(
    parts: ExchangeParts,
    call: GenerateCall,
    answer: (reply: GenerateReply) => void,
    ended: (observation: Observation) => void,
  ) {
    this.#parts = parts;
    this.#call = call;
    this.#answer = answer;
    this.#ended = ended;
  }

  start(arrival: Arrival): void {
    this.#endpoint = arrival.endpoint;
    const { upstream, clock, watch } = this.#parts;
    const { signal, body } = this.#call;
    const credential = upstream.credentials.choose();
    this.#credential = credential;
    this.#movedMs = clock.elapsedMs();
    this.#attempt = {
      origin: upstream.origin,
      credential: credential.name,
      startedMs: this.#movedMs,
      connectedMs: null,
      firstByteMs: null,
      endedMs: null,
      status: null,
      error: null,
    };
    if (signal.aborted) {
      this.#leave();
      return;
    }
    signal.addEventListener('abort', this.#leave);
    watch.add(this);
    const headers = upstreamHeaders(arrival.rawHeaders, credential);
    this.#sending = upstream.send(
      { method: arrival.method, target: arrival.target, headers, body },
      this.#attempt,
      this,
    );
  }

  onHead(status: number, _reason: string, rawHeaders: readonly string[]): void {
    const { clock, upstream, times } = this.#parts;
    this.#movedMs = clock.elapsedMs();
    this.#status = status;
    const head = downstreamHead(rawHeaders, [], 'pass');
    this.#contentType = head.contentType;
    this.#requestId = head.requestId;
    this.#observer = observeReply(head.contentType, head.contentEncoding, this.#endpoint);
    if (status === 401 || status === 403 || status === 429) {
      upstream.credentials.rest(this.#credential!, restsUntil(status, head.retryAfterMs, clock.now(), times.restMs));
    }
    const headers = new Map<string, string>();
    for (let i = 0; i < head.headers.length; i += 2) headers.set(head.headers[i]!.toLowerCase(), head.headers[i + 1]!);
    this.#answer({ kind: 'answered', status, headers, body: this.#read() });
  }

  onData(chunk: Buffer): boolean {
    this.#movedMs = this.#parts.clock.elapsedMs();
    this.#bytesOut += chunk.length;
    this.#observer?.feed(chunk);
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    this.#reader?.();
    return this.#waitingBytes < WAITING_BYTES_MAX;
  }

  onEnd(): void {
    this.#end('complete', null);
  }

  onFailure({ code, message, wasSent }: UpstreamFailure): void {
    const error: ExchangeError = { origin: 'upstream', code, message: message.slice(0, 1024) };
    this.#end(code === TIMED_OUT ? 'timed_out' : wasSent ? 'upstream_broke' : 'unreachable', error);
  }

  check(nowMs: number): void {
    const { headersMs, idleMs } = this.#parts.times;
    const quietMs = nowMs - this.#movedMs;
    // What waits for its reader is not the upstream's silence.
    const limitMs = this.#status === null ? headersMs : this.#waiting.length > 0 ? 0 : idleMs;
    if (limitMs === 0 || quietMs < limitMs) return;
    this.#sending?.abort();
    const message = `The upstream sent nothing for ${Math.round(quietMs / 1000)} s.`;
    this.#end('timed_out', { origin: 'upstream', code: 'upstream_timeout', message });
  }

  readonly #leave = (): void => {
    if (this.#isOver) return;
    this.#sending?.abort();
    this.#end('downstream_left', {
      origin: 'downstream',
      code: 'client_left',
      message: 'The run or its client ended the call.',
    });
  };

  /** Whoever stops reading before the end ends the call. */
  async *#read(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        const chunk = this.#waiting.shift();
        if (chunk !== undefined) {
          this.#waitingBytes -= chunk.length;
          if (this.#waitingBytes < WAITING_BYTES_MAX / 2) this.#sending?.resume();
          yield chunk;
        } else if (this.#failure !== null) throw this.#failure;
        else if (this.#isOver) return;
        else {
          await new Promise<void>((resolve) => {
            this.#reader = resolve;
          });
          this.#reader = null;
        }
      }
    } finally {
      this.#leave();
    }
  }

  #end(ending: Ending, error: ExchangeError | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.watch.delete(this);
    this.#call.signal.removeEventListener('abort', this.#leave);
    if (this.#status === null) {
      const { code, message } = error ?? { code: 'no_reply', message: 'The upstream ended without a reply.' };
      this.#answer({ kind: 'unreachable', code, message });
    } else if (error !== null) this.#failure = Object.assign(new Error(error.message), { code: error.code });
    this.#reader?.();
    const endedMs = this.#parts.clock.elapsedMs();
    const tell = (facts: ReplyFacts) => this.#ended(this.#observation(ending, error, facts, endedMs));
    if (this.#observer === null) tell(NOTHING_SEEN);
    else this.#observer.finish(tell);
  }

  #observation(ending: Ending, error: ExchangeError | null, facts: ReplyFacts, endedMs: number): Observation {
    return {
      attempts: this.#attempt === null ? [] : [this.#attempt],
      status: this.#status,
      ending,
      transport: transportOf(this.#contentType, ''),
      bytesIn: this.#call.body?.length ?? 0,
      bytesOut: this.#bytesOut,
      facts,
      isDrained: false,
      upstreamRequestId: this.#requestId,
      error,
      endedMs,
    };
  }
}
