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
