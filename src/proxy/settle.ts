// The last word on an exchange: what it cost, and the record that others are told. Called once for each admission.
import { basisRecords, lineRecord, readingRecord } from '../domain/basis.ts';
import {
  ABSENT_USAGE,
  type AttemptRecord,
  type CostRecord,
  type ExchangeRecord,
  FREE,
  type ObjectRecord,
  recordTime,
} from '../domain/exchange-record.ts';
import type { Admission, Arrival, Attempt, Observation, Settlement } from '../domain/exchange.ts';
import type { ReplyFacts, RequestFacts } from '../domain/facts.ts';
import type { ExchangeId } from '../domain/id.ts';
import { inputFileRecord } from '../domain/input-file.ts';
import type { Caller } from '../domain/key.ts';
import { formatUsd } from '../domain/money.ts';
import type { AskedOfWork } from '../domain/pending-work.ts';
import type { Cost } from '../domain/price.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Usage } from '../domain/usage.ts';
import { headerValue } from '../http/headers.ts';
import { kindKeptBy, kindMadeBy } from '../openai/objects.ts';
import type { Turn } from '../openai/turns.ts';
import { readTurnUsage, readUsage } from '../openai/usage.ts';
import { NO_COST, type PricedAt, UNFINISHED, costOf, priceOf } from './cost.ts';

export function settle(admission: Admission, observation: Observation, usage: Usage, pricedAt: PricedAt): Settlement {
  return { admission, observation, usage, cost: costOf(admission, observation, usage, pricedAt) };
}

/** Of what this gateway answered itself. */
export function settleFree(admission: Admission, observation: Observation): Settlement {
  return { admission, observation, usage: NO_USAGE, cost: NO_COST };
}

export const NO_USAGE: Usage = { source: 'absent', readings: null, raw: null, problems: [] };

/** One turn of a socket, with what it used and what that cost. */
export interface SettledTurn {
  readonly turn: Turn;
  readonly usage: Usage;
  readonly cost: Cost;
}

export function settleTurn(admission: Admission, turn: Turn, pricedAt: PricedAt): SettledTurn {
  if (turn.cut !== undefined) return { turn, usage: NO_USAGE, cost: UNFINISHED };
  const usage = readTurnUsage(admission.arrival.endpoint, turn);
  const asked = turn.kind === 'transcription' ? { ...admission, model: turn.model } : admission;
  return { turn, usage, cost: priceOf(asked, usage, { ...turn.facts, model: turn.model }, pricedAt) };
}

/** As the upstream told it. */
export function usageOf({ arrival, facts: asked }: Admission, { facts, isDrained }: Observation): Usage {
  if (facts === null) return NO_USAGE;
  const usage = readUsage(arrival.endpoint, facts, asked);
  return isDrained && usage.source === 'reported' ? { ...usage, source: 'drained' } : usage;
}

export function recordOf({ admission, observation, usage, cost }: Settlement): ExchangeRecord {
  const { arrival, caller } = admission;
  const { attempts } = observation;
  const last = attempts.length === 0 ? null : attempts[attempts.length - 1]!;
  // In one piece, like the parts below: this is written for every exchange.
  return {
    v: 1,
    id: arrival.id,
    kind: 'exchange',
    parent_id: null,
    at: recordTime(arrival.receivedAt),
    method: arrival.method,
    path: arrival.path,
    endpoint: arrival.endpoint?.path ?? null,
    objects: objectsOf(admission, observation, usage, cost),
    client_request_id: headerValue(arrival.rawHeaders, 'x-client-request-id'),
    team_id: caller.team.id,
    key_id: caller.key.id,
    user_id: caller.key.userId,
    end_user: admission.facts?.endUser ?? null,
    tags: admission.tags,
    model_requested: admission.model,
    model_served: observation.facts?.model ?? null,
    transport: observation.transport,
    status: observation.status,
    ending: observation.ending,
    refusal: null,
    timings_us: {
      admitted: since(arrival, admission.admittedMs),
      connected: since(arrival, last === null ? null : last.connectedMs),
      first_byte: since(arrival, last === null ? null : last.firstByteMs),
      total: since(arrival, observation.endedMs) ?? 0,
    },
    bytes: { in: observation.bytesIn, out: observation.bytesOut },
    usage: usageRecord(usage),
    cost: costRecord(cost, usage),
    attempts: attempts.map(attemptRecord),
    error: observation.error,
    upstream_request_id: observation.upstreamRequestId,
  };
}

/** One response within a WebSocket: what it used is told as soon as it is complete, long before the socket ends. */
export function turnRecord(
  admission: Admission,
  { turn, usage, cost }: SettledTurn,
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
    objects: objectsOfTurn(arrival, turn),
    at: recordTime(endedAt),
    ...toldOf(caller),
    end_user: admission.facts?.endUser ?? null,
    tags: admission.tags,
    // What is said to a session is transcribed by another model than the one that answers.
    model_requested: turn.kind === 'transcription' ? turn.model : admission.model,
    model_served: turn.model,
    transport: 'ws',
    status: null,
    ending: turn.cut?.ending ?? 'complete',
    refusal: null,
    timings_us: { admitted: null, connected: null, first_byte: null, total: since(arrival, endedMs) ?? 0 },
    // Counted for the socket as a whole.
    bytes: { in: 0, out: 0 },
    usage: usageRecord(usage),
    cost: costRecord(cost, usage),
    // Counted for the socket too. What is read later is read with the credential that began it.
    attempts: turn.cut?.attempts.map(attemptRecord) ?? [],
    error: null,
    upstream_request_id: null,
  };
}

function objectsOfTurn(arrival: Arrival, { kind, facts, cut }: Turn): readonly ObjectRecord[] {
  const made = madeBy(arrival, kind === 'transcription' ? null : facts);
  // The upstream may tell later what it used.
  if (cut !== undefined) return made.map((each) => ({ ...each, asked: NOTHING_ASKED_OF_WORK }));
  return [...made, ...containersIn(facts)];
}

/** What the reply made, and the containers that code ran in for it. */
function objectsOf(
  { arrival, facts: asked }: Admission,
  { facts, status }: Observation,
  usage: Usage,
  cost: Cost,
): readonly ObjectRecord[] {
  if (facts === null || status === null || status >= 300) return NO_OBJECTS;
  // The upstream may tell later what it used.
  const kept = isGuess(usage, cost) && facts.id !== null ? kindKeptBy(arrival.endpoint, asked) : null;
  const made = kept === null ? madeBy(arrival, facts, asked) : [{ kind: kept, id: facts.id! }];
  const containers = facts.containers.length === 0 ? NO_OBJECTS : containersIn(facts);
  if ((cost.state !== 'pending' && kept === null) || made.length === 0) return [...made, ...containers];
  const [seconds, size] = [asked?.seconds ?? null, asked?.size ?? null];
  const [serviceTier, cacheRetention] = [asked?.serviceTier ?? null, asked?.promptCacheRetention ?? null];
  return [
    { ...made[0]!, asked: { seconds, size, serviceTier, cacheRetention, memoryLimit: facts.memoryLimit } },
    ...containers,
  ];
}

function isGuess({ source }: Usage, { state }: Cost): boolean {
  return source === 'estimated' || (source === 'absent' && state === 'unpriced');
}

function madeBy(
  { endpoint }: Arrival,
  facts: ReplyFacts | null,
  asked: RequestFacts | null = null,
): readonly ObjectRecord[] {
  const kind = facts === null || facts.id === null ? null : kindMadeBy(endpoint);
  if (kind === null) return NO_OBJECTS;
  const file = asked?.inputFile ?? null;
  const made: ObjectRecord = { kind, id: facts!.id! };
  return [file === null ? made : { ...made, input: inputFileRecord(file) }];
}

function containersIn({ containers }: ReplyFacts): readonly ObjectRecord[] {
  return containers.map((id) => ({ kind: 'container', id }));
}

const NOTHING_ASKED_OF_WORK: AskedOfWork = {
  seconds: null,
  size: null,
  serviceTier: null,
  cacheRetention: null,
  memoryLimit: null,
};

const NO_OBJECTS: readonly ObjectRecord[] = [];

/** An arrival that was turned away has a record too: of our own no. */
export function refusalRecord(
  arrival: Arrival,
  caller: Caller | null,
  refusal: Refusal,
  endedMs: number,
): ExchangeRecord {
  return {
    ...told(arrival),
    ...toldOf(caller),
    end_user: null,
    tags: [],
    model_requested: null,
    model_served: null,
    transport: null,
    status: refusal.status,
    ending: null,
    refusal: refusal.code,
    timings_us: { admitted: null, connected: null, first_byte: null, total: since(arrival, endedMs) ?? 0 },
    bytes: { in: 0, out: 0 },
    usage: ABSENT_USAGE,
    cost: FREE,
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
    at: recordTime(arrival.receivedAt),
    method: arrival.method,
    path: arrival.path,
    endpoint: arrival.endpoint?.path ?? null,
    objects: [],
    client_request_id: headerValue(arrival.rawHeaders, 'x-client-request-id'),
  } as const;
}

function toldOf(caller: Caller | null) {
  return { team_id: caller?.team.id ?? null, key_id: caller?.key.id ?? null, user_id: caller?.key.userId ?? null };
}

function usageRecord({ source, readings, raw, reasoningMargin }: Usage): ExchangeRecord['usage'] {
  const told = { source, readings: readings === null ? null : readings.map(readingRecord), raw };
  return reasoningMargin === undefined ? told : { ...told, reasoning_margin: reasoningMargin };
}

function costRecord(cost: Cost, usage: Usage): CostRecord {
  const { state, amount, lines, priceVersion: price_version, confidence, why } = cost;
  if (state === 'free') return FREE;
  const basis = basisRecords(cost.basis, usage.readings);
  const pico_usd = amount === null ? null : amount.toString();
  const usd = amount === null ? null : formatUsd(amount);
  const told = lines.map(lineRecord);
  return basis === undefined
    ? { state, pico_usd, usd, lines: told, price_version, confidence, why }
    : { state, pico_usd, usd, lines: told, price_version, confidence, why, basis };
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
