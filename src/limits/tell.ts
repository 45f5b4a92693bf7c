// What callers are told of limits: the refusal, and the x-ratelimit headers in OpenAI's form.
import type { Limits } from '../domain/limits.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Gate } from './gates.ts';

/** How far a limit of a rate is used. */
export interface Standing {
  readonly limit: number;
  readonly used: number;
  /** Until all of it is there again. */
  readonly resetMs: number;
}

/** What an ask lacks. */
export interface Shortfall {
  readonly gate: Gate;
  readonly name: keyof Limits;
  readonly used: number;
  readonly asked: number;
  /** Until the ask would pass; Infinity where it never will. */
  readonly waitMs: number;
}

/** When to ask again for a place that comes back when somebody leaves: nobody knows when. */
export const PLACE_WAIT_MS = 1000;

const TOLD: Readonly<Record<keyof Limits, { readonly what: string; readonly type: 'requests' | 'tokens' }>> = {
  requestsPerMinute: { what: 'requests per minute', type: 'requests' },
  tokensPerMinute: { what: 'tokens per minute', type: 'tokens' },
  concurrentExchanges: { what: 'requests at once', type: 'requests' },
  concurrentStreams: { what: 'streams at once', type: 'requests' },
  concurrentSockets: { what: 'WebSockets at once', type: 'requests' },
};

export function refusalOf({ gate, name, used, asked, waitMs }: Shortfall, headers: readonly string[]): Refusal {
  const { what, type } = TOLD[name];
  const limit = gate.limits[name];
  const reached = `Rate limit reached for ${gate.told} on ${what}: limit ${limit}, used ${used}, requested ${asked}.`;
  const raise = `The operator raises it in the ${gate.setting}.`;
  if (waitMs === Number.POSITIVE_INFINITY) {
    const message = `${reached} It can never pass: ask for less, such as fewer max_tokens. ${raise}`;
    return new Refusal('rate_limit_exceeded', message, { type, headers, retry: false });
  }
  const retryAfterMs = Math.ceil(waitMs);
  const when = name.startsWith('concurrent')
    ? 'Please try again when one of them has ended.'
    : `Please try again in ${duration(retryAfterMs)}.`;
  return new Refusal('rate_limit_exceeded', `${reached} ${when} ${raise}`, { type, headers, retryAfterMs });
}

/** The one of which less is left. */
export function tighter(a: Standing | null, b: Standing): Standing {
  return a === null || b.limit - b.used < a.limit - a.used ? b : a;
}

export function rateHeaders(requests: Standing | null, tokens: Standing | null): readonly string[] {
  const headers: string[] = [];
  if (requests !== null) tell(headers, 'requests', requests);
  if (tokens !== null) tell(headers, 'tokens', tokens);
  return headers;
}

function tell(headers: string[], what: 'requests' | 'tokens', { limit, used, resetMs }: Standing): void {
  headers.push(
    `x-ratelimit-limit-${what}`,
    String(limit),
    `x-ratelimit-remaining-${what}`,
    // Corrected tokens can be more than the limit.
    String(Math.max(0, limit - used)),
    `x-ratelimit-reset-${what}`,
    duration(resetMs),
  );
}

/** As OpenAI writes it: `17ms`, `8.64s`, `6m0s`. */
export function duration(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole === 0) return '0s';
  if (whole < 1000) return `${whole}ms`;
  const minutes = Math.floor(whole / 60_000);
  const seconds = (whole % 60_000) / 1000;
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds}s`;
}
