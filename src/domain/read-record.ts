// The record of what the gateway itself read upstream: it belongs to no team and costs nothing.
import { ABSENT_USAGE, type ExchangeRecord, FREE } from './exchange-record.ts';
import type { Attempt } from './exchange.ts';
import { type ExchangeId, newId } from './id.ts';

export interface OwnRead {
  /** The exchange that it was made for; null for one that the gateway made of its own accord. */
  readonly parentId: ExchangeId | null;
  /** Raw, without its query. */
  readonly path: string;
  /** The row's path template; null for a path that no row knows. */
  readonly endpoint: string | null;
  readonly attempt: Attempt;
  /** Wall clock. */
  readonly at: number;
  /** As the attempt's times. */
  readonly endedMs: number;
  readonly status: number | null;
  readonly bytes: number;
  /** A short code of what went wrong; null where nothing did. */
  readonly failure: string | null;
  /** Says so in words. */
  readonly failureMessage: string;
}

export function recordOfRead(read: OwnRead): ExchangeRecord {
  const { attempt, at, status, failure } = read;
  const since = (ms: number | null) => (ms === null ? null : Math.round((ms - attempt.startedMs) * 1000));
  const total = since(read.endedMs) ?? 0;
  const { origin, credential, status: attemptStatus, error } = attempt;
  return {
    v: 1,
    id: newId('exc', at),
    kind: 'exchange',
    parent_id: read.parentId,
    at: new Date(at).toISOString(),
    method: 'GET',
    path: read.path,
    endpoint: read.endpoint,
    team_id: null,
    key_id: null,
    user_id: null,
    end_user: null,
    model_requested: null,
    model_served: null,
    transport: 'json',
    status,
    ending: failure === null ? 'complete' : status === null ? 'unreachable' : 'upstream_broke',
    refusal: null,
    timings_us: { admitted: 0, connected: since(attempt.connectedMs), first_byte: since(attempt.firstByteMs), total },
    bytes: { in: 0, out: read.bytes },
    usage: ABSENT_USAGE,
    cost: FREE,
    attempts: [{ origin, credential, status: attemptStatus, error, total_us: total }],
    objects: [],
    error: failure === null ? null : { origin: 'upstream', code: failure, message: read.failureMessage },
    tags: [],
    upstream_request_id: null,
    client_request_id: null,
  };
}
