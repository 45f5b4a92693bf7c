// What others are told of an exchange: one record per arrival, in the shape that scripts rely on. Grows by addition only.
import type { BasisRecord } from './basis.ts';
import type { Hold } from './budget.ts';
import type { ExchangeError, Ending, Transport } from './exchange.ts';
import type { ExchangeId, KeyId, TeamId, UserId } from './id.ts';
import type { InputFileRecord } from './input-file.ts';
import type { AskedOfWork } from './pending-work.ts';
import type { Confidence, CostState } from './price.ts';
import type { UsageSource } from './usage.ts';

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
  /** Whom the key was given to. */
  readonly user_id: UserId | null;
  /** As the client names the person it serves: `safety_identifier` or `user` in its body. */
  readonly end_user: string | null;
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
    readonly source: UsageSource;
    /** Null where unknown, which is not the same as none. */
    readonly readings: readonly ReadingRecord[] | null;
    /** The upstream's own usage object; a list where the reply told of several. */
    readonly raw: unknown;
    /** Tokens of the estimated `output_text` that stand for reasoning which nobody saw; absent where there are none. */
    readonly reasoning_margin?: number;
  };
  readonly cost: CostRecord;
  readonly attempts: readonly AttemptRecord[];
  /** What the exchange made upstream, such as a batch or a response that goes on in the background. */
  readonly objects: readonly ObjectRecord[];
  readonly error: ExchangeError | null;
  readonly tags: readonly string[];
  readonly upstream_request_id: string | null;
  readonly client_request_id: string | null;
  /** What a run of the Assistants API made this exchange for; absent in all others. */
  readonly run?: RunRecord;
}

let lastMs = -1;
let lastText = '';

/** A moment as records tell it. Many exchanges arrive in one millisecond: its text is made once. */
export function recordTime(ms: number): string {
  if (ms !== lastMs) {
    lastText = new Date(ms).toISOString();
    lastMs = ms;
  }
  return lastText;
}

const RECORD_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const DATE_CHARACTERS = 11;
let lastDate = '';
let lastDateMs = 0;

/** The milliseconds of what `recordTime` wrote: its date is worked out once a day. */
export function recordMs(at: string): number {
  if (!RECORD_TIME.test(at)) return Date.parse(at);
  if (lastDate === '' || !at.startsWith(lastDate)) {
    lastDateMs = Date.parse(`${at.slice(0, DATE_CHARACTERS)}00:00:00.000Z`);
    lastDate = at.slice(0, DATE_CHARACTERS);
  }
  const two = (from: number) => at.charCodeAt(from) * 10 + at.charCodeAt(from + 1) - 11 * 0x30;
  const minutes = two(11) * 60 + two(14);
  return lastDateMs + (minutes * 60 + two(17)) * 1000 + (at.charCodeAt(20) - 0x30) * 100 + two(21);
}

export interface ReadingRecord {
  readonly meter: string;
  /** Decimal text in the meter's unit. */
  readonly quantity: string;
  readonly variant?: string;
}

export interface CostRecord {
  readonly state: CostState;
  /** Whole pico-dollars; null where the cost is unknown, or not known yet. */
  readonly pico_usd: string | null;
  readonly usd: string | null;
  readonly lines: readonly CostLineRecord[];
  /** The prices in force; null where none were needed. */
  readonly price_version: string | null;
  /** How sure the least sure of the rates is; null where none were needed. */
  readonly confidence: Confidence | null;
  /** Why it is not simply priced or free; null where it is. */
  readonly why: string | null;
  /** What it was worked out from; absent where no price was looked up. */
  readonly basis?: readonly BasisRecord[];
}

export interface CostLineRecord {
  readonly meter: string;
  /** Where one cost has the lines of several models, as that of a batch may; absent otherwise. */
  readonly model?: string;
  readonly quantity: string;
  /** What was multiplied in its place, where begun minutes or a least quantity are billed; absent otherwise. */
  readonly billed?: string;
  /** US dollars for `per` units. */
  readonly rate: string;
  readonly per: string;
  readonly factors: readonly { readonly reason: string; readonly factor: string }[];
  readonly pico_usd: string;
}

/** Of what is not known, not of nothing. */
export const ABSENT_USAGE: ExchangeRecord['usage'] = { source: 'absent', readings: null, raw: null };

export const FREE: CostRecord = {
  state: 'free',
  pico_usd: '0',
  usd: '0',
  lines: [],
  price_version: null,
  confidence: null,
  why: null,
};

export function unpriced(why: string): CostRecord {
  return { ...FREE, state: 'unpriced', pico_usd: null, usd: null, why };
}

export interface ObjectRecord {
  readonly kind: string;
  readonly id: string;
  /** What the price of work that goes on may depend on, as its request asked for it; absent in all others. */
  readonly asked?: AskedOfWork;
  /** What the lines of an uploaded file ask for; absent in all others. */
  readonly input?: InputFileRecord;
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
  readonly userId: UserId | null;
  readonly endUser: string | null;
  readonly method: string;
  readonly path: string;
  readonly endpoint: string | null;
  readonly model: string | null;
  readonly tags: readonly string[];
  /** What it set aside in budgets; null where it touches none. */
  readonly hold: Hold | null;
}
