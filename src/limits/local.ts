// Limits as this process counts them: everything here happens at once, so a check and what it takes are never torn apart.
import type { Clock } from '../domain/clock.ts';
import type { Limits, Permits } from '../domain/limits.ts';
import type { Gate } from './gates.ts';
import type { Take } from './minute-log.ts';
import { PLACE_WAIT_MS, type Shortfall, type Standing, rateHeaders, tighter } from './tell.ts';

export type AskKind = 'exchange' | 'stream' | 'socket';

/** The limit that needs the longest wait; null where the ask passes all of them. Takes nothing. */
export function findShortfall(gates: readonly Gate[], kind: AskKind, tokens: number, nowMs: number): Shortfall | null {
  let worst: Shortfall | null = null;
  const note = (gate: Gate, name: keyof Limits, used: number, asked: number, waitMs: number) => {
    if (worst === null || waitMs > worst.waitMs) worst = { gate, name, used, asked, waitMs };
  };
  for (const gate of gates) {
    const { limits, counter } = gate;
    if (limits.requestsPerMinute !== null) {
      const waitMs = counter.requests.waitMs(nowMs, 1, limits.requestsPerMinute);
      if (waitMs > 0) note(gate, 'requestsPerMinute', counter.requests.used(nowMs), 1, waitMs);
    }
    // What uses no tokens is not kept out by those who used too many.
    if (limits.tokensPerMinute !== null && tokens > 0) {
      const waitMs = counter.tokens.waitMs(nowMs, tokens, limits.tokensPerMinute);
      if (waitMs > 0) note(gate, 'tokensPerMinute', counter.tokens.used(nowMs), tokens, waitMs);
    }
    if (limits.concurrentExchanges !== null && counter.exchanges >= limits.concurrentExchanges)
      note(gate, 'concurrentExchanges', counter.exchanges, 1, PLACE_WAIT_MS);
    if (kind === 'stream' && limits.concurrentStreams !== null && counter.streams >= limits.concurrentStreams)
      note(gate, 'concurrentStreams', counter.streams, 1, PLACE_WAIT_MS);
    if (kind === 'socket' && limits.concurrentSockets !== null && counter.sockets >= limits.concurrentSockets)
      note(gate, 'concurrentSockets', counter.sockets, 1, PLACE_WAIT_MS);
  }
  return worst;
}

/** How the caller stands with the tightest of his own limits of a rate, as reply headers. */
export function localHeaders(gates: readonly Gate[], nowMs: number): readonly string[] {
  let requests: Standing | null = null;
  let tokens: Standing | null = null;
  for (const { isOwn, limits, counter } of gates) {
    if (!isOwn) continue;
    if (limits.requestsPerMinute !== null) {
      const [used, resetMs] = [counter.requests.used(nowMs), counter.requests.resetMs(nowMs)];
      requests = tighter(requests, { limit: limits.requestsPerMinute, used, resetMs });
    }
    if (limits.tokensPerMinute !== null) {
      const [used, resetMs] = [counter.tokens.used(nowMs), counter.tokens.resetMs(nowMs)];
      tokens = tighter(tokens, { limit: limits.tokensPerMinute, used, resetMs });
    }
  }
  return rateHeaders(requests, tokens);
}

/** Takes what an ask needs, whether it fits or not: whoever makes one has looked, or has asked Redis. */
export class LocalPermits implements Permits {
  readonly #gates: readonly Gate[];
  readonly #tokens: number;
  readonly #clock: Clock;
  /** By gate, for those that count tokens. */
  #tokenTakes: (Take | null)[] | null = null;
  #kind: AskKind;
  #isReleased = false;
  #isCorrected = false;

  constructor(gates: readonly Gate[], kind: AskKind, tokens: number, nowMs: number, clock: Clock) {
    this.#gates = gates;
    this.#kind = kind;
    this.#tokens = tokens;
    this.#clock = clock;
    for (let i = 0; i < gates.length; i++) {
      const { limits, counter } = gates[i]!;
      counter.exchanges++;
      if (kind === 'stream') counter.streams++;
      if (kind === 'socket') counter.sockets++;
      if (limits.requestsPerMinute !== null) counter.requests.take(nowMs, 1);
      if (limits.tokensPerMinute !== null && tokens > 0)
        (this.#tokenTakes ??= gates.map(() => null))[i] = counter.tokens.take(nowMs, tokens);
    }
  }

  /** As it stands when somebody asks, which is when a reply begins. */
  get headers(): readonly string[] {
    return localHeaders(this.#gates, this.#clock.elapsedMs());
  }

  /** Too much is given back to the minute that it was taken from; what was more counts from now on. */
  correct(tokens: number): void {
    if (this.#isCorrected) return;
    this.#isCorrected = true;
    const more = tokens - this.#tokens;
    if (more === 0) return;
    for (let i = 0; i < this.#gates.length; i++) {
      const { limits, counter } = this.#gates[i]!;
      if (limits.tokensPerMinute === null) continue;
      const take = this.#tokenTakes?.[i];
      if (more > 0) counter.tokens.take(this.#clock.elapsedMs(), more);
      else if (take) counter.tokens.giveBack(take, -more);
    }
  }

  /** Whether a place was taken: not for what is a stream already, or over. */
  asStream(): boolean {
    if (this.#kind !== 'exchange' || this.#isReleased) return false;
    this.#kind = 'stream';
    for (const { counter } of this.#gates) counter.streams++;
    return true;
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    for (const { counter } of this.#gates) {
      counter.exchanges--;
      if (this.#kind === 'stream') counter.streams--;
      if (this.#kind === 'socket') counter.sockets--;
    }
  }
}
