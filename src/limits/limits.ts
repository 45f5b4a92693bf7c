// The door to limits: how fast a caller may ask, and how much at once. Counted here, or in Redis for all replicas together.
import type { Config } from '../config/load.ts';
import type { Clock } from '../domain/clock.ts';
import type { Caller } from '../domain/key.ts';
import { NO_PERMITS, type Permits } from '../domain/limits.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Log } from '../telemetry/log.ts';
import { openBadKeys } from './bad-keys.ts';
import { Counters } from './counters.ts';
import { type Gate, openGates } from './gates.ts';
import { type AskKind, LocalPermits, findShortfall, localHeaders } from './local.ts';
import { type Shared, openShared } from './shared-limits.ts';
import { refusalOf } from './tell.ts';

export type LimiterSettings = Pick<Config, 'limits' | 'redisUrl'>;

export interface Ask {
  readonly caller: Caller;
  /** Null where the request names none. */
  readonly model: string | null;
  readonly kind: AskKind;
  /** As many as it is thought to use, to be corrected; 0 for what uses none, which no limit of tokens keeps out. */
  readonly tokens: number;
}

export interface Refused {
  readonly refusal: Refusal;
}

export interface Limiter {
  /** All that an ask needs, or nothing of it. At once, but where Redis counts. */
  acquire(ask: Ask): Permits | Refused | Promise<Permits | Refused>;
  /** Counts a request whose key opens nothing. A refusal takes the place of the 401 where there were too many. */
  badKey(address: string): Refusal | null;
  /** Keys, teams and users that are counted now. */
  size(): number;
  /** Who counts: this process alone, or Redis for all; `away` while Redis does not answer. */
  counting(): 'alone' | 'shared' | 'away';
  close(): Promise<void>;
}

/** Redis may be away at the start: it is looked for until it is there. */
export async function openLimits(settings: LimiterSettings, clock: Clock, log: Log): Promise<Limiter> {
  const { limits, redisUrl } = settings;
  const counters = new Counters();
  const gates = openGates(limits, counters, clock);
  const badKeys = openBadKeys(limits.badKeysPerMinute, clock);
  const shared = redisUrl === null ? null : await openShared(redisUrl.reveal(), clock, log);

  function acquire(ask: Ask): Permits | Refused | Promise<Permits | Refused> {
    const before = gates.before(ask.caller, ask.model);
    if (before.length === 0) return NO_PERMITS;
    if (shared === null) return acquireHere(before, ask);
    return shared.isAway() ? acquireAway(shared, before, ask) : acquireShared(shared, before, ask);
  }

  function acquireHere(before: readonly Gate[], { kind, tokens }: Ask): LocalPermits | Refused {
    const nowMs = clock.elapsedMs();
    const shortfall = findShortfall(before, kind, tokens, nowMs);
    if (shortfall !== null) return { refusal: refusalOf(shortfall, localHeaders(before, nowMs)) };
    return new LocalPermits(before, kind, tokens, nowMs, clock);
  }

  async function acquireShared(redis: Shared, before: readonly Gate[], ask: Ask): Promise<Permits | Refused> {
    const { caller, model, kind, tokens } = ask;
    const answer = await redis.acquire(before, kind, tokens);
    // Looked up again: counters that rested may have been dropped while Redis was asked.
    const gatesNow = gates.before(caller, model);
    if (answer === null) return acquireAway(redis, gatesNow, ask);
    if ('shortfall' in answer) return { refusal: refusalOf(answer.shortfall, answer.headers) };
    return redis.hold(gatesNow, kind, new LocalPermits(gatesNow, kind, tokens, clock.elapsedMs(), clock), answer);
  }

  function acquireAway(redis: Shared, before: readonly Gate[], ask: Ask): Permits | Refused {
    if (limits.onRedisAway === 'closed') {
      const message =
        'The gateway cannot count limits now: its Redis does not answer, and limits.onRedisAway is closed.';
      return { refusal: new Refusal('overloaded', message, { retryAfterMs: 1000 }) };
    }
    const local = acquireHere(before, ask);
    return local instanceof LocalPermits ? redis.hold(before, ask.kind, local, null) : local;
  }

  return {
    acquire,
    badKey: badKeys.note,
    size: () => counters.size,
    counting: () => (shared === null ? 'alone' : shared.isAway() ? 'away' : 'shared'),
    close: async () => shared?.close(),
  };
}
