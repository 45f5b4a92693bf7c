// The last word on an exchange: what it cost, and the record that others are told. Called once for each admission.
import type { AttemptRecord, ExchangeRecord } from '../domain/exchange-record.ts';
import type { Admission, Arrival, Attempt, Observation, Settlement } from '../domain/exchange.ts';
import type { ExchangeId } from '../domain/id.ts';
import type { Caller } from '../domain/key.ts';
import type { Refusal } from '../domain/refusal.ts';
import { headerValue } from '../http/headers.ts';
import type { Turn } from '../openai/turns.ts';

export function settle(admission: Admission, observation: Observation): Settlement {
  const isFree = admission.arrival.endpoint?.billing === 'free';
  return { admission, observation, cost: isFree ? 'free' : 'unpriced' };
}

export function recordOf({ admission, observation, cost }: Settlement): ExchangeRecord {
  const { arrival, caller } = admission;
  const last = observation.attempts.at(-1);
  return {
    ...told(arrival),
    team_id: caller.team.id,
    key_id: caller.key.id,
    model_requested: admission.model,
    model_served: observation.modelServed,
    transport: observation.transport,
    status: observation.status,
    ending: observation.ending,
    refusal: null,
    timings_us: {
      admitted: since(arrival, admission.admittedMs),
      connected: since(arrival, last?.connectedMs ?? null),
      first_byte: since(arrival, last?.firstByteMs ?? null),
      total: since(arrival, observation.endedMs) ?? 0,
    },
    bytes: { in: observation.bytesIn, out: observation.bytesOut },
    usage: { source: observation.usage.source, readings: null, raw: observation.usage.raw },
    cost:
      cost === 'free' ? { state: 'free', pico_usd: '0', usd: '0' } : { state: 'unpriced', pico_usd: null, usd: null },
    attempts: observation.attempts.map(attemptRecord),
    error: observation.error,
    upstream_request_id: observation.upstreamRequestId,
  };
}

/** One response within a WebSocket: what it used is told as soon as it is complete, long before the socket ends. */
export function turnRecord(
  admission: Admission,
  turn: Turn,
  id: ExchangeId,
  endedAt: number,
  endedMs: number,
): ExchangeRecord {
  const { arrival, caller } = admission;
  return {
    ...told(arrival),
    id,
    kind: 'turn',
    parent_id: arrival.id,
    at: isoTime(endedAt),
    team_id: caller.team.id,
    key_id: caller.key.id,
    // What is said to a session is transcribed by another model than the one that answers.
    model_requested: turn.kind === 'transcription' ? turn.model : admission.model,
    model_served: turn.model,
    transport: 'ws',
    status: null,
    ending: 'complete',
    refusal: null,
    timings_us: { admitted: null, connected: null, first_byte: null, total: since(arrival, endedMs) ?? 0 },
    // Counted for the socket as a whole.
    bytes: { in: 0, out: 0 },
    usage:
      turn.usage === undefined
        ? { source: 'absent', readings: null, raw: null }
        : { source: 'reported', readings: null, raw: turn.usage },
    cost: { state: 'unpriced', pico_usd: null, usd: null },
    attempts: [],
    error: null,
    upstream_request_id: null,
  };
}

/** An arrival that was turned away has a record too: of our own no. */
export function refusalRecord(
  arrival: Arrival,
  caller: Caller | null,
  refusal: Refusal,
  endedMs: number,
): ExchangeRecord {
  return {
    ...told(arrival),
    team_id: caller?.team.id ?? null,
    key_id: caller?.key.id ?? null,
    model_requested: null,
    model_served: null,
    transport: null,
    status: refusal.status,
    ending: null,
    refusal: refusal.code,
    timings_us: { admitted: null, connected: null, first_byte: null, total: since(arrival, endedMs) ?? 0 },
    bytes: { in: 0, out: 0 },
    usage: { source: 'absent', readings: null, raw: null },
    cost: { state: 'free', pico_usd: '0', usd: '0' },
    attempts: [],
    error: { origin: 'gateway', code: refusal.code, message: refusal.message },
    upstream_request_id: null,
  };
}

function told(arrival: Arrival) {
  return {
    v: 1,
    id: arrival.id,
    kind: 'exchange',
    parent_id: null,
    at: isoTime(arrival.receivedAt),
    method: arrival.method,
    path: arrival.path,
    endpoint: arrival.endpoint?.path ?? null,
    objects: [],
    tags: [],
    client_request_id: headerValue(arrival.rawHeaders, 'x-client-request-id'),
  } as const;
}

let lastMs = -1;
let lastText = '';

/** Many exchanges arrive in one millisecond: its text is made once. */
function isoTime(ms: number): string {
  if (ms !== lastMs) {
    lastMs = ms;
    lastText = new Date(ms).toISOString();
  }
  return lastText;
}

function attemptRecord(attempt: Attempt): AttemptRecord {
  return {
    origin: attempt.origin,
    credential: attempt.credential,
    status: attempt.status,
    error: attempt.error,
    total_us: attempt.endedMs === null ? null : Math.round((attempt.endedMs - attempt.startedMs) * 1000),
  };
}

function since(arrival: Arrival, ms: number | null): number | null {
  return ms === null ? null : Math.round((ms - arrival.startedMs) * 1000);
}
