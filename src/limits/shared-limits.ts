// Limits counted in Redis for all replicas. Places are leases, so that those of a replica that died come back by themselves.
// Whatever Redis was told is counted in this process too: when Redis is away, the local limits know what runs.
import type { Redis } from 'ioredis';

import type { Clock } from '../domain/clock.ts';
import { newId } from '../domain/id.ts';
import type { Limits, Permits } from '../domain/limits.ts';
import type { Log } from '../telemetry/log.ts';
import type { Gate } from './gates.ts';
import type { AskKind, LocalPermits } from './local.ts';
import { ACQUIRE, CORRECT, LEASE, RELEASE } from './scripts.ts';
import { type Shortfall, type Standing, rateHeaders, tighter } from './tell.ts';

/** How long Redis may take to answer, connected; then it counts as away. */
const ANSWER_MS = 100;
/** How long a start waits for Redis before it goes on without. */
const START_MS = 2000;
const RETRY_MAX_MS = 1000;
/** A connection on which nothing comes back is given up. */
const SILENCE_MS = 5000;
/** Between looks whether Redis is back. */
const LOOK_MS = 500;
/** Places of a replica that died come back after this. */
const LEASE_MS = 10_000;
const RENEW_MS = 3000;
const RENEWED_AT_ONCE_MAX = 1000;

/** All keys in one slot of a cluster: one script touches several of them. */
const PREFIX = 'throughway:{limits}:';
const PROBE_KEY = `${PREFIX}probe`;

export interface Shared {
  isAway(): boolean;
  /** Null where Redis does not answer: then it is away. */
  acquire(gates: readonly Gate[], kind: AskKind, tokens: number): Promise<Told | Shortage | null>;
  /** @param told null for what was admitted while Redis is away: it hears of its places when it is back */
  hold(gates: readonly Gate[], kind: AskKind, local: LocalPermits, told: Told | null): SharedPermits;
  close(): Promise<void>;
}

/** What Redis says when it admits. */
export interface Told {
  /** Whose the places are. */
  readonly id: string;
  readonly headers: readonly string[];
  readonly tokens: number;
  readonly takes: readonly TokenTake[];
}

interface TokenTake {
  readonly key: string;
  readonly number: number;
  readonly endsMs: number;
}

export interface Shortage {
  readonly shortfall: Shortfall;
  readonly headers: readonly string[];
}

interface Scripts {
  acquireLimits(keys: number, ...rest: (string | number)[]): Promise<number[]>;
  correctTokens(keys: number, ...rest: (string | number)[]): Promise<unknown>;
  leasePlaces(keys: number, ...rest: (string | number)[]): Promise<unknown>;
  releasePlaces(keys: number, ...rest: (string | number)[]): Promise<unknown>;
}

/** A row per key of a script: what it counts, of whom. */
interface Row {
  readonly gate: Gate;
  readonly name: keyof Limits;
  readonly key: string;
  readonly kind: 'rate' | 'places';
  readonly amount: number;
}

/** @param url `redis://`, `rediss://` or `unix:/path` */
export async function openShared(url: string, clock: Clock, log: Log): Promise<Shared> {
  // Loaded where it is wanted only: most gateways are alone.
  const { Redis } = await import('ioredis');
  const client = new Redis(url.replace(/^unix:(\/\/)?(?=\/)/, ''), {
    scripts: {
      acquireLimits: { lua: ACQUIRE },
      correctTokens: { lua: CORRECT },
      leasePlaces: { lua: LEASE },
      releasePlaces: { lua: RELEASE },
    },
    connectionName: 'throughway',
    connectTimeout: START_MS,
    retryStrategy: (attempt) => Math.min(attempt * 100, RETRY_MAX_MS),
    // An ask is answered now or by the local limits: nothing waits for a connection, and nothing is sent twice.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    socketTimeout: SILENCE_MS,
    // After a failover the address may lead to what has become a replica.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
  // ioredis gives a client these methods by the names of its scripts, which its types cannot know.
  return new SharedLimits(client as Redis & Scripts, clock, log).start();
}

class SharedLimits implements Shared {
  readonly #redis: Redis & Scripts;
  readonly #log: Log;
  /** Tells the permits of this process from those of all others. */
  readonly #replica: string;
  readonly #held = new Set<SharedPermits>();
  #taken = 0;
  #state: 'starting' | 'shared' | 'away' | 'closed' = 'starting';
  #why = 'no connection';
  #isLooking = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(redis: Redis & Scripts, clock: Clock, log: Log) {
    this.#redis = redis;
    this.#log = log;
    this.#replica = newId('replica', clock.now());
  }

  async start(): Promise<this> {
    const redis = this.#redis;
    redis.on('error', (error: Error) => (this.#why = error.message));
    redis.on('close', () => this.#goAway(this.#why));
    const started = new Promise<void>((resolve) => {
      setTimeout(resolve, START_MS).unref();
      redis.once('close', resolve);
      redis.on('ready', () => void this.#look().then(resolve));
    });
    await started;
    if (this.#state !== 'shared') this.#goAway(this.#why);
    this.#timers = [
      setInterval(() => void this.#look(), LOOK_MS).unref(),
      setInterval(() => void this.#renew().catch((error: unknown) => this.#goAway(error)), RENEW_MS).unref(),
    ];
    return this;
  }

  isAway(): boolean {
    return this.#state !== 'shared';
  }

  async acquire(gates: readonly Gate[], kind: AskKind, tokens: number): Promise<Told | Shortage | null> {
    const rows = rowsOf(gates, kind, tokens);
    const id = this.#newId();
    const asked = rows.flatMap((row) => [row.kind, row.gate.limits[row.name]!, row.amount]);
    let answer: number[];
    try {
      answer = await within(
        this.#redis.acquireLimits(rows.length, ...rows.map((row) => row.key), id, LEASE_MS, ...asked),
      );
    } catch (error) {
      this.#goAway(error);
      return null;
    }
    const headers = headersOf(rows, answer);
    const worst = rows[answer[0]! - 1];
    if (worst !== undefined) {
      const wait = answer[1]!;
      const used = answer[answer[0]! * 4 - 2]!;
      const { gate, name, amount } = worst;
      const waitMs = wait < 0 ? Number.POSITIVE_INFINITY : wait;
      return { shortfall: { gate, name, used, asked: amount, waitMs }, headers };
    }
    const takes = rows.flatMap(({ name, key }, i): TokenTake[] =>
      name === 'tokensPerMinute' ? [{ key, number: answer[i * 4 + 4]!, endsMs: answer[i * 4 + 5]! }] : [],
    );
    return { id, headers, tokens, takes };
  }

  hold(gates: readonly Gate[], kind: AskKind, local: LocalPermits, told: Told | null): SharedPermits {
    const id = told?.id ?? this.#newId();
    const permits = new SharedPermits(this, id, placesIn(rowsOf(gates, kind, 0)), local, gates, told);
    if (permits.places.length > 0) this.#held.add(permits);
    return permits;
  }

  #newId(): string {
    return `${this.#replica}:${++this.#taken}`;
  }

  correct(takes: readonly TokenTake[], counted: number, tokens: number): void {
    const places = takes.flatMap(({ number, endsMs }) => [number, endsMs]);
    this.#tell(() =>
      this.#redis.correctTokens(takes.length, ...takes.map(({ key }) => key), counted, tokens, ...places),
    );
  }

  keep(permits: SharedPermits, keys: readonly string[]): void {
    this.#held.add(permits);
    this.#tell(() => this.#redis.leasePlaces(keys.length, ...keys, LEASE_MS, permits.id));
  }

  release(permits: SharedPermits): void {
    if (!this.#held.delete(permits)) return;
    const { id, places } = permits;
    this.#tell(() => this.#redis.releasePlaces(places.length, ...places, id));
  }

  /** What Redis does not hear falls by itself: a lease ends, a take comes back. */
  #tell(say: () => Promise<unknown>): void {
    if (this.#state === 'shared') void within(say()).catch((error: unknown) => this.#goAway(error));
  }

  /** Everything that is held, key by key: also what Redis lost, and what was admitted while it was away. */
  async #renew(): Promise<void> {
    if (this.#held.size === 0 || this.#redis.status !== 'ready') return;
    const holders = new Map<string, string[]>();
    for (const { id, places } of this.#held) {
      for (const key of places) {
        const ids = holders.get(key);
        if (ids === undefined) holders.set(key, [id]);
        else ids.push(id);
      }
    }
    const said: Promise<unknown>[] = [];
    for (const [key, ids] of holders) {
      for (let i = 0; i < ids.length; i += RENEWED_AT_ONCE_MAX)
        said.push(this.#redis.leasePlaces(1, key, LEASE_MS, ...ids.slice(i, i + RENEWED_AT_ONCE_MAX)));
    }
    await Promise.all(said);
  }

  /** Whether Redis is back: it must answer in time, and take what is written. */
  async #look(): Promise<void> {
    if (this.#state === 'shared' || this.#state === 'closed' || this.#isLooking) return;
    if (this.#redis.status !== 'ready') return;
    this.#isLooking = true;
    const asked = this.#redis.set(PROBE_KEY, 1, 'PX', LEASE_MS);
    // The next look waits for this answer, however late: a Redis that stands still is not asked again and again.
    const done = () => (this.#isLooking = false);
    asked.then(done, done);
    try {
      await within(asked);
      await this.#renew();
    } catch (error) {
      this.#why = messageOf(error);
      return;
    }
    this.#comeBack();
  }

  #comeBack(): void {
    const wasAway = this.#state === 'away';
    this.#state = 'shared';
    if (wasAway) this.#log.info('redis answers again, limits are shared by all replicas');
  }

  #goAway(why: unknown): void {
    if (this.#state === 'away' || this.#state === 'closed') return;
    this.#state = 'away';
    this.#log.warn('redis does not answer, limits are not shared (limits.onRedisAway)', { why: messageOf(why) });
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    for (const timer of this.#timers) clearInterval(timer);
    // What was told last is on its way before the connection ends.
    if (this.#redis.status === 'ready') await within(this.#redis.quit()).catch(() => {});
    this.#redis.disconnect();
  }
}

export class SharedPermits implements Permits {
  readonly id: string;
  readonly #shared: SharedLimits;
  readonly #local: LocalPermits;
  readonly #gates: readonly Gate[];
  /** Null where Redis was away. */
  readonly #told: Told | null;
  #places: readonly string[];
  #isCorrected = false;

  constructor(
    shared: SharedLimits,
    id: string,
    places: readonly string[],
    local: LocalPermits,
    gates: readonly Gate[],
    told: Told | null,
  ) {
    this.#shared = shared;
    this.id = id;
    this.#places = places;
    this.#local = local;
    this.#gates = gates;
    this.#told = told;
  }

  /** Keys of the leases that it has. */
  get places(): readonly string[] {
    return this.#places;
  }

  get headers(): readonly string[] {
    return this.#told?.headers ?? this.#local.headers;
  }

  correct(tokens: number): void {
    this.#local.correct(tokens);
    if (this.#isCorrected || this.#told === null) return;
    this.#isCorrected = true;
    const { takes, tokens: counted } = this.#told;
    if (takes.length > 0 && tokens !== counted) this.#shared.correct(takes, counted, tokens);
  }

  asStream(): void {
    if (!this.#local.asStream()) return;
    const more = this.#gates
      .filter(({ limits }) => limits.concurrentStreams !== null)
      .map((gate) => keyOf('concurrentStreams', gate));
    if (more.length === 0) return;
    this.#places = [...this.#places, ...more];
    this.#shared.keep(this, more);
  }

  release(): void {
    this.#local.release();
    this.#shared.release(this);
  }
}

function keyOf(name: keyof Limits, { id }: Gate): string {
  return `${PREFIX}${name}:${id}`;
}

function rowsOf(gates: readonly Gate[], kind: AskKind, tokens: number): readonly Row[] {
  const rows: Row[] = [];
  for (const gate of gates) {
    const add = (name: keyof Limits, rowKind: Row['kind'], amount: number) => {
      if (gate.limits[name] !== null) rows.push({ gate, name, key: keyOf(name, gate), kind: rowKind, amount });
    };
    add('requestsPerMinute', 'rate', 1);
    add('tokensPerMinute', 'rate', tokens);
    add('concurrentExchanges', 'places', 1);
    if (kind === 'stream') add('concurrentStreams', 'places', 1);
    if (kind === 'socket') add('concurrentSockets', 'places', 1);
  }
  return rows;
}

function placesIn(rows: readonly Row[]): readonly string[] {
  return rows.filter((row) => row.kind === 'places').map((row) => row.key);
}

function headersOf(rows: readonly Row[], answer: readonly number[]): readonly string[] {
  let requests: Standing | null = null;
  let tokens: Standing | null = null;
  for (const [i, { gate, name, kind }] of rows.entries()) {
    if (!gate.isOwn || kind !== 'rate') continue;
    const standing = { limit: gate.limits[name]!, used: answer[i * 4 + 2]!, resetMs: answer[i * 4 + 3]! };
    if (name === 'requestsPerMinute') requests = tighter(requests, standing);
    else tokens = tighter(tokens, standing);
  }
  return rateHeaders(requests, tokens);
}

/** @throws Error where no answer came in time */
function within<T>(answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`no answer within ${ANSWER_MS} ms`));
    // After a pause of this process the timer is first, and the answer may lie in the socket already: that is read before `late`.
    const timer = setTimeout(() => setImmediate(late), ANSWER_MS);
    answer.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
