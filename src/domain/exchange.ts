// The types an exchange becomes on its way: Arrival, Caller, Admission, Observation, Settlement. Each step takes the last and gives the next.
import type { Hold } from './budget.ts';
import type { Endpoint } from './endpoint.ts';
import type { ReplyFacts, RequestFacts } from './facts.ts';
import type { ExchangeId } from './id.ts';
import type { Caller } from './key.ts';
import type { Permits } from './limits.ts';
import type { Cost, Prices } from './price.ts';
import type { Usage } from './usage.ts';

/** An exchange as it came in, before anyone is known to stand behind it. */
export interface Arrival {
  readonly id: ExchangeId;
  /** Wall clock, milliseconds. */
  readonly receivedAt: number;
  /** Monotonic clock, milliseconds: the zero of all timings. */
  readonly startedMs: number;
  readonly method: string;
  /** What goes upstream in the request line: raw bytes, never decoded. */
  readonly target: string;
  /** The target without its query. */
  readonly path: string;
  /** The row that knows this path; undefined for a path that no row knows. */
  readonly endpoint: Endpoint | undefined;
  /** Name, value, name, value: as they arrived. */
  readonly rawHeaders: readonly string[];
  readonly clientAddress: string;
}

/** An arrival that was let through. It is settled exactly once. */
export interface Admission {
  readonly arrival: Arrival;
  readonly caller: Caller;
  /** As the request names it; null where it names none or could not be read. */
  readonly model: string | null;
  /** What the beginning of its body tells; null for a body that is not read. */
  readonly facts: RequestFacts | null;
  /** Of the key and its team, and those that the client gave this request. */
  readonly tags: readonly string[];
  /** What it set aside; null where it touches no budget. */
  readonly hold: Hold | null;
  readonly permits: Permits;
  /** In force when it was let in: a change while it runs is not its concern. */
  readonly prices: Prices;
  /** Monotonic clock, milliseconds. */
  readonly admittedMs: number;
}

/** One try at one origin. */
export interface Attempt {
  /** Host and port of the upstream, never a credential. */
  readonly origin: string;
  /** Name of the credential in the settings. */
  readonly credential: string;
  /** Monotonic milliseconds, as are the other times. */
  readonly startedMs: number;
  connectedMs: number | null;
  firstByteMs: number | null;
  endedMs: number | null;
  status: number | null;
  /** A short code of what went wrong, such as `ECONNREFUSED`. */
  error: string | null;
}

/**
 * How an exchange stopped. `gateway_cut`: we ended it ourselves, by a drain that ran out or a process that died.
 * A refused arrival has no ending.
 */
export type Ending = 'complete' | 'downstream_left' | 'upstream_broke' | 'timed_out' | 'unreachable' | 'gateway_cut';

export type Transport = 'json' | 'sse' | 'ws' | 'multipart' | 'binary';

/** What was seen of an exchange, from its first byte to its last. */
export interface Observation {
  readonly attempts: readonly Attempt[];
  /** What the client was told; null if it was told nothing. */
  readonly status: number | null;
  readonly ending: Ending;
  readonly transport: Transport;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** What the reply tells of itself; null where there was none, or none that is read. */
  readonly facts: ReplyFacts | null;
  /** It was read to its end after the client had left. */
  readonly isDrained: boolean;
  readonly upstreamRequestId: string | null;
  readonly error: ExchangeError | null;
  /** Monotonic clock, milliseconds. */
  readonly endedMs: number;
}

export interface ExchangeError {
  /** Whose fault it was. */
  readonly origin: 'downstream' | 'gateway' | 'upstream';
  readonly code: string;
  /** At most 1 KiB, never a secret. */
  readonly message: string;
}

/** The last word on an admitted exchange. */
export interface Settlement {
  readonly admission: Admission;
  readonly observation: Observation;
  readonly usage: Usage;
  readonly cost: Cost;
}
