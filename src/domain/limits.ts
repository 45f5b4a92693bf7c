// How fast, and how many at once. Null is unlimited.

export interface Limits {
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  readonly concurrentExchanges: number | null;
  readonly concurrentStreams: number | null;
  readonly concurrentSockets: number | null;
}

export const UNLIMITED: Limits = {
  requestsPerMinute: null,
  tokensPerMinute: null,
  concurrentExchanges: null,
  concurrentStreams: null,
  concurrentSockets: null,
};

/** Taken places in limits. */
export interface Permits {
  /** The caller's own limits as reply headers: name, value, ... Empty for a caller without limits of a rate. */
  readonly headers: readonly string[];
  /** The true tokens, in place of what was counted at first. */
  correct(tokens: number): void;
  /** The reply turned out to be a stream. */
  asStream(): void;
  /** Gives the places of concurrency back. May be called again. */
  release(): void;
}

/** Of an exchange that no limit counts. */
export const NO_PERMITS: Permits = { headers: [], correct() {}, asStream() {}, release() {} };
