// What others are told of an exchange: one record per arrival, in the shape that scripts rely on. Grows by addition only.
import type { ExchangeError, Ending, Transport } from './exchange.ts';
import type { ExchangeId, KeyId, TeamId } from './id.ts';

export interface ExchangeRecord {
  readonly v: 1;
  readonly id: ExchangeId;
  /** `turn`: one response within a WebSocket; its `parent_id` names the exchange. */
  readonly kind: 'exchange' | 'turn';
  readonly parent_id: ExchangeId | null;
  /** RFC 3339 with milliseconds, UTC. */
  readonly at: string;
  readonly method: string;
  /** Below `/v1`, raw, without its query. */
  readonly path: string;
  /** The row's path template; null for a path that no row knows. */
  readonly endpoint: string | null;
  readonly team_id: TeamId | null;
  readonly key_id: KeyId | null;
  readonly model_requested: string | null;
  readonly model_served: string | null;
  readonly transport: Transport | null;
  readonly status: number | null;
  /** Null where a refusal answered. */
  readonly ending: Ending | null;
  /** The refusal's code, where our own no answered. */
  readonly refusal: string | null;
  /** Microseconds since the arrival; null for what did not happen. */
  readonly timings_us: {
    readonly admitted: number | null;
    readonly connected: number | null;
    readonly first_byte: number | null;
    readonly total: number;
  };
  readonly bytes: { readonly in: number; readonly out: number };
  readonly usage: {
    readonly source: 'reported' | 'drained' | 'absent';
    /** Null until meters exist, never 0. */
    readonly readings: null;
    readonly raw: unknown;
  };
  readonly cost: { readonly state: 'free' | 'unpriced'; readonly pico_usd: string | null; readonly usd: string | null };
  readonly attempts: readonly AttemptRecord[];
  readonly objects: readonly never[];
  readonly error: ExchangeError | null;
  readonly tags: readonly string[];
  readonly upstream_request_id: string | null;
  readonly client_request_id: string | null;
  /** What a run of the Assistants API made this exchange for; absent in all others. */
  readonly run?: RunRecord;
}

export interface RunRecord {
  readonly id: string;
  readonly assistant_id: string;
  readonly thread_id: string;
  /** Counted from 1. */
  readonly turn: number;
  /** The turn was made before and broke. */
  readonly rerun: boolean;
}

export interface AttemptRecord {
  readonly origin: string;
  readonly credential: string;
  readonly status: number | null;
  readonly error: string | null;
  readonly total_us: number | null;
}

/** The first word on an exchange, written before the upstream is called: what is left of it if the process dies. */
export interface Intent {
  readonly id: ExchangeId;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly teamId: TeamId;
  readonly keyId: KeyId;
  readonly method: string;
  readonly path: string;
  readonly endpoint: string | null;
  readonly model: string | null;
}
