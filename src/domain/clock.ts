// The only reader of the time. Tests hand in a clock of their own and turn it by hand.

export interface Clock {
  /** Wall clock, milliseconds since 1970, whole. */
  now(): number;
  /** Monotonic clock, milliseconds with a fraction; only differences mean something. */
  elapsedMs(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsedMs: () => performance.now(),
};
