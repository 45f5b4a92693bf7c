// Limits that replicas share through a real Redis: exact over all of them, and what happens when it goes away.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import type { LimitsSettings } from '../src/config/limits.ts';
import { resolveConfig } from '../src/config/load.ts';
import { systemClock } from '../src/domain/clock.ts';
import type { Caller } from '../src/domain/key.ts';
import type { Permits } from '../src/domain/limits.ts';
import type { Refusal } from '../src/domain/refusal.ts';
import { type Ask, type Limiter, openLimits } from '../src/limits/limits.ts';
import { openLog } from '../src/telemetry/log.ts';
import { aCaller } from './support/callers.ts';
import { eventually } from './support/eventually.ts';
import { type TestRedis, skipWithoutRedis, startRedis } from './support/redis.ts';

const skip = skipWithoutRedis();

describe('limits over replicas', { skip }, () => {
  let redis: TestRedis;
  const opened: Limiter[] = [];
  /** Events that the replicas logged. */
  let said: string[] = [];

  before(async () => (redis = await startRedis()));
  after(() => redis.close());
  beforeEach(async () => {
    said = [];
    await redis.client.flushall();
  });
  afterEach(async () => {
    for (const limiter of opened.splice(0)) await limiter.close();
  });

  async function aReplica(settings: Partial<LimitsSettings> = {}): Promise<Limiter> {
    const config = resolveConfig({ redisUrl: 'env:REDIS_URL', limits: settings }, { REDIS_URL: redis.url });
    const log = openLog('info', (line) => said.push((JSON.parse(line) as { event: string }).event));
    const limiter = await openLimits(config, systemClock, log);
    opened.push(limiter);
    return limiter;
  }

  interface Taken {
    readonly permits: Permits | null;
    readonly refusal: Refusal | null;
  }

  async function ask(limiter: Limiter, caller: Caller, rest: Partial<Omit<Ask, 'caller'>> = {}): Promise<Taken> {
    const answer = await limiter.acquire({ caller, model: 'gpt-4o', kind: 'exchange', tokens: 10, ...rest });
    return 'refusal' in answer ? { permits: null, refusal: answer.refusal } : { permits: answer, refusal: null };
  }

  async function admitted(...asked: Parameters<typeof ask>): Promise<Permits> {
    const { permits, refusal } = await ask(...asked);
    assert.ok(permits, refusal?.message);
    return permits;
  }

  async function refused(...asked: Parameters<typeof ask>): Promise<Refusal> {
    const { refusal } = await ask(...asked);
    assert.ok(refusal, 'it was admitted');
    return refusal;
  }

  const shared = (limiter: Limiter) => eventually('Redis is back', () => limiter.counting() === 'shared');
  const remaining = ({ headers }: Permits | Refusal, what: string) =>
    headers[headers.indexOf(`x-ratelimit-remaining-${what}`) + 1];

  test('two replicas admit together exactly as many as the limit (O07)', async () => {
    const replicas = [await aReplica(), await aReplica()];
    const caller = aCaller({ key: { requestsPerMinute: 100 }, team: { concurrentExchanges: 500 } });
    const all = await Promise.all(Array.from({ length: 400 }, (_, i) => ask(replicas[i % 2]!, caller)));
    assert.equal(all.filter(({ permits }) => permits !== null).length, 100);
    const { refusal } = all.at(-1)!;
    assert.equal(refusal!.code, 'rate_limit_exceeded');
    assert.match(refusal!.message, /this key on requests per minute: limit 100, used 100, requested 1/);
    assert.equal(remaining(refusal!, 'requests'), '0');
    assert.ok(refusal!.retryAfterMs! > 50_000 && refusal!.retryAfterMs! <= 60_000);
    assert.deepEqual(said, []);
  });

  test('beyond a thousand takes they share slots, and the count stays exact', async () => {
    const replicas = [await aReplica(), await aReplica()];
    const caller = aCaller({ key: { requestsPerMinute: 2500 } });
    let count = 0;
    for (let i = 0; i < 30; i++) {
      const all = await Promise.all(Array.from({ length: 100 }, (_, j) => ask(replicas[j % 2]!, caller)));
      count += all.filter(({ permits }) => permits !== null).length;
    }
    assert.equal(count, 2500);
    const [key] = await redis.client.keys('*requestsPerMinute*');
    assert.equal(await redis.client.hget(key!, 'used'), '2500');
    assert.ok((await redis.client.hlen(key!)) <= 2 * 2001 + 4);
  });

  test('a refusal by one limit takes no place in the others', async () => {
    const [one, two] = [await aReplica(), await aReplica()];
    const caller = aCaller({ key: { tokensPerMinute: 1000 }, team: { concurrentExchanges: 1 } });
    const first = await admitted(one, caller);
    assert.equal(remaining(first, 'tokens'), '990');
    for (let i = 0; i < 10; i++) assert.match((await refused(two, caller)).message, /requests at once/);
    first.release();
    assert.equal(remaining(await admitted(two, caller), 'tokens'), '980');
  });

  test('true tokens take the place of those that were counted, on every replica', async () => {
    const [one, two] = [await aReplica(), await aReplica()];
    const caller = aCaller({ key: { tokensPerMinute: 1000 } });
    const high = await admitted(one, caller, { tokens: 900 });
    await refused(two, caller, { tokens: 200 });
    high.correct(100);
    high.correct(0);
    const low = await admitted(one, caller, { tokens: 200 });
    low.correct(850);
    assert.equal((await refused(one, caller, { tokens: 51 })).type, 'tokens');
    await admitted(two, caller, { tokens: 50 });
    const never = await refused(two, caller, { tokens: 1001 });
    assert.equal(never.retry, false);
  });

  test('streams that were not asked for count on every replica, and leave with their exchange', async () => {
    const [one, two] = [await aReplica(), await aReplica()];
    const caller = aCaller({ key: { concurrentStreams: 1 } });
    const permits = await admitted(one, caller);
    await admitted(two, caller, { kind: 'stream' }).then((other) => other.release());
    permits.asStream();
    // Asked by the same connection, so after it.
    await refused(one, caller, { kind: 'stream' });
    assert.match((await refused(two, caller, { kind: 'stream' })).message, /streams at once: limit 1, used 1/);
    permits.release();
    await admitted(one, caller, { kind: 'stream' });
  });

  test('keys expire by themselves, and all lie in one slot of a cluster', async () => {
    const limiter = await aReplica();
    const key = { requestsPerMinute: 10, tokensPerMinute: 100, concurrentExchanges: 5, concurrentSockets: 1 };
    await admitted(limiter, aCaller({ key, team: key }), { kind: 'socket' });
    const kept = (await redis.client.keys('*')).filter((name) => !name.endsWith('probe'));
    assert.equal(kept.length, 8);
    for (const name of kept) {
      const ttl = await redis.client.pttl(name);
      assert.ok(ttl > 0 && ttl <= 61_000, `${name} expires in ${ttl} ms`);
      // A cluster hashes what stands in braces alone.
      assert.match(name, /^throughway:\{limits\}:/);
    }
  });

  test('the places of a replica that was killed come back, and those of the living stay', async () => {
    const survivor = await aReplica();
    const caller = aCaller({ key: { concurrentExchanges: 5 } });
    const program = fileURLToPath(new URL('support/limits-replica.ts', import.meta.url));
    const replica = spawn(process.execPath, [program, redis.url, '4'], { stdio: ['ignore', 'pipe', 'inherit'] });
    assert.equal(String((await once(replica.stdout, 'data'))[0]).trim(), 'shared');
    const own = await admitted(survivor, caller);
    await refused(survivor, caller);
    replica.kill('SIGKILL');
    const deadline = performance.now() + 20_000;
    const more: Permits[] = [];
    while (more.length < 4 && performance.now() < deadline) {
      const { permits } = await ask(survivor, caller);
      if (permits !== null) more.push(permits);
      else await once(AbortSignal.timeout(200), 'abort');
    }
    assert.equal(more.length, 4, 'the four places of the dead');
    await refused(survivor, caller);
    own.release();
    await admitted(survivor, caller);
  });

  test('Redis stopped: local limits go on at once, knowing what runs; started: they are shared again, without a restart', async () => {
    const [one, two] = [await aReplica(), await aReplica()];
    const caller = aCaller({ key: { concurrentExchanges: 2 } });
    const first = await admitted(one, caller);
    await redis.stop();
    await eventually('both noticed', () => one.counting() === 'away' && two.counting() === 'away');
    const second = await admitted(one, caller);
    assert.match((await refused(one, caller)).message, /limit 2, used 2/);
    assert.deepEqual(said, Array(2).fill('redis does not answer, limits are not shared (limits.onRedisAway)'));

    await redis.start();
    await Promise.all([shared(one), shared(two)]);
    // What was admitted before and while it was away, Redis hears of: it was empty.
    await refused(two, caller);
    first.release();
    second.release();
    await admitted(one, caller);
    assert.equal(said.filter((event) => event.startsWith('redis answers again')).length, 2);
    assert.equal(said.length, 4);
  });

  test('Redis stands still: nobody waits longer than the bound, and only the first ones wait at all', async () => {
    const limiter = await aReplica();
    const caller = aCaller({ key: { requestsPerMinute: 1000 } });
    await admitted(limiter, caller);
    redis.pause();
    try {
      const before = performance.now();
      await Promise.all(Array.from({ length: 20 }, () => admitted(limiter, caller)));
      assert.ok(performance.now() - before < 2000);
      assert.equal(limiter.counting(), 'away');
      assert.ok(!(limiter.acquire({ caller, model: null, kind: 'exchange', tokens: 1 }) instanceof Promise));
    } finally {
      redis.resume();
    }
    await shared(limiter);
    assert.equal(said.length, 2);
  });

  test('closed: what has limits is refused while Redis is away, what has none goes on', async () => {
    const limiter = await aReplica({ onRedisAway: 'closed' });
    const caller = aCaller({ key: { requestsPerMinute: 1000 } });
    await redis.stop();
    try {
      await eventually('it noticed', () => limiter.counting() === 'away');
      const refusal = await refused(limiter, caller);
      assert.equal(refusal.status, 503);
      assert.equal(refusal.code, 'overloaded');
      assert.equal(refusal.retryAfterMs, 1000);
      await admitted(limiter, aCaller({}));
    } finally {
      await redis.start();
    }
    await shared(limiter);
    await admitted(limiter, caller);
  });

  test('a start without Redis goes on alone, and shares as soon as it is there', async () => {
    await redis.stop();
    const limiter = await aReplica();
    assert.equal(limiter.counting(), 'away');
    await admitted(limiter, aCaller({ key: { requestsPerMinute: 1 } }));
    await redis.start();
    await shared(limiter);
  });

  test('a Redis that was emptied or takes no writes harms nobody', async () => {
    const limiter = await aReplica();
    const caller = aCaller({ key: { requestsPerMinute: 1000, concurrentExchanges: 10 } });
    await admitted(limiter, caller);
    await redis.client.flushall();
    await redis.client.script('FLUSH');
    await admitted(limiter, caller);
    assert.equal(limiter.counting(), 'shared');
    await redis.client.config('SET', 'maxmemory', '1');
    await admitted(limiter, aCaller({ key: { requestsPerMinute: 1000 } }));
    assert.equal(limiter.counting(), 'away');
    await redis.client.config('SET', 'maxmemory', '0');
    await shared(limiter);
  });
});
