// Limits as one process counts them, with a clock that is turned by hand.
// The letters in brackets are the acceptance tests of the security reference.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import type { LimitsSettings } from '../src/config/limits.ts';
import { resolveConfig } from '../src/config/load.ts';
import type { Caller } from '../src/domain/key.ts';
import type { Permits } from '../src/domain/limits.ts';
import type { Refusal } from '../src/domain/refusal.ts';
import { refusalHeaders } from '../src/http/server.ts';
import { type Ask, type Limiter, openLimits } from '../src/limits/limits.ts';
import { openLog } from '../src/telemetry/log.ts';
import { aCaller } from './support/callers.ts';
import { handClock } from './support/engines.ts';

const MINUTE = 60_000;

async function aLimiter(settings: Partial<LimitsSettings> = {}) {
  const clock = handClock();
  const config = resolveConfig({ limits: settings }, {});
  return { clock, limiter: await openLimits(config, clock, openLog('error')) };
}

interface Taken {
  readonly permits: Permits | null;
  readonly refusal: Refusal | null;
}

function ask(limiter: Limiter, caller: Caller, rest: Partial<Omit<Ask, 'caller'>> = {}): Taken {
  const answer = limiter.acquire({ caller, model: 'gpt-4o', kind: 'exchange', tokens: 10, ...rest });
  assert.ok(!(answer instanceof Promise), 'a process that counts for itself answers at once');
  return 'refusal' in answer ? { permits: null, refusal: answer.refusal } : { permits: answer, refusal: null };
}

function admitted(limiter: Limiter, caller: Caller, rest: Partial<Omit<Ask, 'caller'>> = {}): Permits {
  const { permits, refusal } = ask(limiter, caller, rest);
  assert.ok(permits, refusal?.message);
  return permits;
}

function refused(limiter: Limiter, caller: Caller, rest: Partial<Omit<Ask, 'caller'>> = {}): Refusal {
  const { refusal } = ask(limiter, caller, rest);
  assert.ok(refusal, 'it was admitted');
  return refusal;
}

const headersOf = (headers: readonly string[]): Record<string, string> =>
  Object.fromEntries(headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]!]] : [])));

describe('requests per minute', () => {
  test('exactly as many as the limit are admitted within a minute, and not one more (O07)', async () => {
    const { clock, limiter } = await aLimiter();
    const caller = aCaller({ key: { requestsPerMinute: 600 } });
    let count = 0;
    for (let i = 0; i < 2000; i++) {
      if (ask(limiter, caller).permits !== null) count++;
      clock.turn(29);
    }
    assert.equal(count, 600);
  });

  test('any interleaving of asks, waits and ends holds no more than the limit in any minute, wherever it begins', async () => {
    const step = fc.record({ waitMs: fc.integer({ min: 0, max: 25_000 }), burst: fc.integer({ min: 1, max: 8 }) });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 60 }), async (limit, steps) => {
        const { clock, limiter } = await aLimiter();
        const caller = aCaller({ key: { requestsPerMinute: limit } });
        const at: number[] = [];
        for (const { waitMs, burst } of steps) {
          clock.turn(waitMs);
          for (let i = 0; i < burst; i++) {
            const before = at.filter((time) => time > clock.now() - MINUTE).length;
            const isAdmitted = ask(limiter, caller).permits !== null;
            assert.equal(isAdmitted, before < limit, `${before} of ${limit} within the last minute`);
            if (isAdmitted) at.push(clock.now());
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test('large limits hold too, and all of a minute is there again at most a slot later', async () => {
    const { clock, limiter } = await aLimiter();
    const caller = aCaller({ key: { requestsPerMinute: 5000 } });
    const at: number[] = [];
    for (let i = 0; i < 30_000; i++) {
      if (ask(limiter, caller).permits !== null) at.push(clock.now());
      clock.turn(7);
    }
    for (const [i, time] of at.entries()) {
      const after = at[i + 5000];
      assert.ok(after === undefined || after - time >= MINUTE, `${after} follows ${time} too early`);
    }
    assert.ok(at.length >= 17_000, `${at.length} in three and a half minutes`);
  });

  test('who comes back after retry-after-ms is admitted, and who comes a millisecond earlier is not', async () => {
    const { clock, limiter } = await aLimiter();
    const caller = aCaller({ key: { requestsPerMinute: 2 } });
    admitted(limiter, caller);
    clock.turn(1234);
    admitted(limiter, caller);
    clock.turn(100);
    const { retryAfterMs } = refused(limiter, caller);
    assert.equal(retryAfterMs, MINUTE - 1334);
    clock.turn(retryAfterMs - 1);
    refused(limiter, caller);
    clock.turn(1);
    admitted(limiter, caller);
  });

  test('the wait is that of the slowest limit: whoever waits so long passes all of them', async () => {
    const { clock, limiter } = await aLimiter();
    const caller = aCaller({ key: { requestsPerMinute: 1 }, team: { tokensPerMinute: 100 } });
    admitted(limiter, caller, { tokens: 10 });
    clock.turn(30_000);
    const mate = aCaller({ keyName: 'two', team: { tokensPerMinute: 100 } });
    admitted(limiter, mate, { tokens: 90 });
    const refusal = refused(limiter, caller, { tokens: 50 });
    assert.equal(refusal.type, 'tokens');
    assert.equal(refusal.retryAfterMs, MINUTE);
  });
});

describe('a refusal', () => {
  test('is a 429 in OpenAI’s shape that names scope, limit, use and when to come back', async () => {
    const { clock, limiter } = await aLimiter();
    const caller = aCaller({ team: { requestsPerMinute: 1 } });
    admitted(limiter, caller);
    clock.turn(51_500);
    const refusal = refused(limiter, caller);
    assert.equal(refusal.status, 429);
    assert.equal(refusal.code, 'rate_limit_exceeded');
    assert.equal(refusal.type, 'requests');
    assert.equal(
      refusal.message,
      "Rate limit reached for this key's team on requests per minute: limit 1, used 1, requested 1. Please try again in 8.5s. The operator raises it in the limits of the team.",
    );
    const headers = headersOf(refusalHeaders(refusal));
    assert.equal(headers['retry-after-ms'], '8500');
    assert.equal(headers['retry-after'], '9');
    assert.equal(headers['x-should-retry'], 'true');
    assert.equal(headers['x-ratelimit-limit-requests'], '1');
    assert.equal(headers['x-ratelimit-remaining-requests'], '0');
    assert.equal(headers['x-ratelimit-reset-requests'], '8.5s');
  });

  test('takes no place in any other limit: nothing is held of what was not admitted', async () => {
    const { limiter } = await aLimiter();
    const full = { concurrentExchanges: 1 };
    const caller = aCaller({ key: { requestsPerMinute: 10, tokensPerMinute: 1000 }, team: full });
    const first = admitted(limiter, caller);
    for (let i = 0; i < 20; i++) assert.equal(refused(limiter, caller).type, 'requests');
    assert.equal(headersOf(first.headers)['x-ratelimit-remaining-requests'], '9');
    assert.equal(headersOf(first.headers)['x-ratelimit-remaining-tokens'], '990');
    first.release();
    admitted(limiter, caller);
  });

  test('of what can never pass says so, and asks nobody to try again', async () => {
    const { limiter } = await aLimiter();
    const refusal = refused(limiter, aCaller({ key: { tokensPerMinute: 1000 } }), { tokens: 1001 });
    assert.equal(refusal.type, 'tokens');
    assert.equal(refusal.retry, false);
    assert.equal(refusal.retryAfterMs, null);
    assert.match(refusal.message, /limit 1000, used 0, requested 1001\. It can never pass/);
  });
});

describe('tokens per minute', () => {
  const caller = aCaller({ key: { tokensPerMinute: 1000 } });

  test('what was estimated too high is given back, to the minute that it was taken from', async () => {
    const { clock, limiter } = await aLimiter();
    const permits = admitted(limiter, caller, { tokens: 900 });
    refused(limiter, caller, { tokens: 200 });
    permits.correct(100);
    permits.correct(0);
    const other = admitted(limiter, caller, { tokens: 900 });
    refused(limiter, caller, { tokens: 1 });
    clock.turn(MINUTE);
    assert.equal(headersOf(other.headers)['x-ratelimit-remaining-tokens'], '1000');
  });

  test('what was estimated too low counts from when it is known, and keeps others out', async () => {
    const { clock, limiter } = await aLimiter();
    const permits = admitted(limiter, caller, { tokens: 10 });
    clock.turn(2 * MINUTE);
    permits.correct(5000);
    assert.equal(headersOf(permits.headers)['x-ratelimit-remaining-tokens'], '0');
    assert.equal(refused(limiter, caller, { tokens: 1 }).retryAfterMs, MINUTE);
    clock.turn(MINUTE);
    admitted(limiter, caller, { tokens: 1000 });
  });

  test('what uses no tokens is not kept out by those who used too many', async () => {
    const { limiter } = await aLimiter();
    admitted(limiter, caller, { tokens: 1000 }).correct(4000);
    admitted(limiter, caller, { tokens: 0 });
  });

  test('a correction that comes after its minute gives nothing back twice', async () => {
    const { clock, limiter } = await aLimiter();
    const permits = admitted(limiter, caller, { tokens: 1000 });
    clock.turn(MINUTE);
    const next = admitted(limiter, caller, { tokens: 1000 });
    permits.correct(0);
    assert.equal(headersOf(next.headers)['x-ratelimit-remaining-tokens'], '0');
  });
});

describe('how much at once', () => {
  test('a key that opens a thousand is held at its limit, and another key notices nothing (O05)', async () => {
    const { limiter } = await aLimiter();
    const greedy = aCaller({ key: { concurrentExchanges: 50 } });
    const other = aCaller({ keyName: 'two', key: { concurrentExchanges: 50 } });
    const all = Array.from({ length: 1000 }, () => ask(limiter, greedy));
    assert.equal(all.filter(({ permits }) => permits !== null).length, 50);
    assert.equal(all.at(-1)!.refusal!.retryAfterMs, 1000);
    for (let i = 0; i < 50; i++) admitted(limiter, other);
  });

  test('a place is given back once, however often its exchange ends', async () => {
    const { limiter } = await aLimiter();
    const caller = aCaller({ key: { concurrentExchanges: 2 } });
    const [first] = [admitted(limiter, caller), admitted(limiter, caller)];
    first.release();
    first.release();
    admitted(limiter, caller);
    refused(limiter, caller);
  });

  test('a reply that turns out to be a stream is never cut, and takes the place of the next one', async () => {
    const { limiter } = await aLimiter();
    const caller = aCaller({ key: { concurrentStreams: 1 } });
    const asked = admitted(limiter, caller, { kind: 'stream' });
    const turned = admitted(limiter, caller);
    turned.asStream();
    turned.asStream();
    asked.release();
    assert.match(refused(limiter, caller, { kind: 'stream' }).message, /on streams at once: limit 1, used 1/);
    turned.release();
    turned.asStream();
    admitted(limiter, caller, { kind: 'stream' });
  });

  test('WebSockets have places of their own, and are exchanges too', async () => {
    const { limiter } = await aLimiter();
    const caller = aCaller({ key: { concurrentSockets: 1, concurrentExchanges: 2 } });
    admitted(limiter, caller, { kind: 'socket' });
    assert.match(refused(limiter, caller, { kind: 'socket' }).message, /WebSockets at once/);
    admitted(limiter, caller);
    assert.match(refused(limiter, caller).message, /requests at once: limit 2, used 2/);
  });

  test('whatever comes and goes, in any order, places are neither lost nor given twice', async () => {
    const limits = { concurrentExchanges: 5, concurrentStreams: 3, concurrentSockets: 2, requestsPerMinute: 1000 };
    const deed = fc.oneof(
      fc.record({ do: fc.constant('ask' as const), kind: fc.constantFrom('exchange', 'stream', 'socket') }),
      fc.record({ do: fc.constantFrom('release', 'asStream', 'wait'), which: fc.nat(30) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(deed, { maxLength: 80 }), async (deeds) => {
        const { clock, limiter } = await aLimiter();
        const caller = aCaller({ key: limits, team: { concurrentExchanges: 4 } });
        const all: { permits: Permits; kind: string; isOver: boolean }[] = [];
        const running = (kind?: string) => all.filter((one) => !one.isOver && (kind ?? one.kind) === one.kind).length;
        for (const one of deeds) {
          if ('kind' in one) {
            const fits =
              running() < 4 &&
              (one.kind !== 'stream' || running('stream') < 3) &&
              (one.kind !== 'socket' || running('socket') < 2);
            const { permits } = ask(limiter, caller, { kind: one.kind });
            assert.equal(permits !== null, fits, `${one.kind} with ${running()} running`);
            if (permits !== null) all.push({ permits, kind: one.kind, isOver: false });
            continue;
          }
          const held = all[one.which];
          if (one.do === 'wait') clock.turn(1000);
          else if (held === undefined) continue;
          else if (one.do === 'asStream') {
            held.permits.asStream();
            if (held.kind === 'exchange') held.kind = 'stream';
          } else {
            held.permits.release();
            held.isOver = true;
          }
        }
        for (const { permits } of all) permits.release();
        for (let i = 0; i < 3; i++) admitted(limiter, caller, { kind: 'stream' });
      }),
      { numRuns: 100 },
    );
  });
});

describe('whose limit it is', () => {
  test('keys of one team share its limit, and the user’s follows the user', async () => {
    const { limiter } = await aLimiter();
    const team = { requestsPerMinute: 3 };
    const [one, two] = [aCaller({ team, user: { requestsPerMinute: 1 } }), aCaller({ keyName: 'two', team })];
    admitted(limiter, one);
    assert.match(refused(limiter, one).message, /this key's user/);
    admitted(limiter, two);
    admitted(limiter, two);
    assert.match(refused(limiter, two).message, /this key's team/);
    admitted(limiter, aCaller({ keyName: 'three', teamName: 'b', team }));
  });

  test('a key that was changed goes on from what it used, under its new limit', async () => {
    const { limiter } = await aLimiter();
    for (let i = 0; i < 5; i++) admitted(limiter, aCaller({ key: { requestsPerMinute: 5 } }));
    refused(limiter, aCaller({ key: { requestsPerMinute: 5 } }));
    admitted(limiter, aCaller({ key: { requestsPerMinute: 6 } }));
    refused(limiter, aCaller({ key: { requestsPerMinute: 3 } }));
  });

  test('a model’s limit is one for all callers; a name wins over patterns, a longer pattern over a shorter', async () => {
    const { limiter } = await aLimiter({
      models: {
        '*': { concurrentExchanges: 100 },
        'gpt-4*': { requestsPerMinute: 2 },
        'gpt-4o*': { requestsPerMinute: 1 },
        'gpt-4o': { requestsPerMinute: 3 },
      },
    });
    const count = (model: string) => {
      let n = 0;
      while (n < 5 && ask(limiter, aCaller({ keyName: `${model}${n}` }), { model }).permits !== null) n++;
      return n;
    };
    assert.equal(count('gpt-4o'), 3);
    assert.equal(count('gpt-4o-mini'), 1);
    assert.equal(count('gpt-4o-2024-08-06'), 0);
    assert.equal(count('gpt-4.1'), 2);
    assert.equal(count('o3'), 5);
    assert.match(refused(limiter, aCaller({}), { model: 'gpt-4o-mini' }).message, /the models "gpt-4o\*"/);
  });

  test('the gateway’s limit counts everybody, whatever they ask for', async () => {
    const { limiter } = await aLimiter({ gateway: { concurrentExchanges: 2 } });
    admitted(limiter, aCaller({}), { model: null });
    admitted(limiter, aCaller({ keyName: 'two' }));
    const refusal = refused(limiter, aCaller({ keyName: 'three' }));
    assert.match(refusal.message, /this gateway on requests at once.*setting limits\.gateway/);
  });

  test('a caller without limits is told none, and leaves nothing behind', async () => {
    const { limiter } = await aLimiter();
    const permits = admitted(limiter, aCaller({}));
    assert.deepEqual(permits.headers, []);
    assert.equal(limiter.size(), 0);
  });

  test('the headers are those of the tightest of the caller’s own limits, in OpenAI’s form', async () => {
    const { clock, limiter } = await aLimiter({ gateway: { requestsPerMinute: 2 } });
    const key = { requestsPerMinute: 100, tokensPerMinute: 500 };
    const team = { requestsPerMinute: 50, tokensPerMinute: 100_000 };
    admitted(limiter, aCaller({ key, team }), { tokens: 120 });
    clock.turn(20);
    const { headers } = admitted(limiter, aCaller({ key, team }), { tokens: 30 });
    assert.deepEqual(headers, [
      'x-ratelimit-limit-requests',
      '50',
      'x-ratelimit-remaining-requests',
      '48',
      'x-ratelimit-reset-requests',
      '1m0s',
      'x-ratelimit-limit-tokens',
      '500',
      'x-ratelimit-remaining-tokens',
      '350',
      'x-ratelimit-reset-tokens',
      '1m0s',
    ]);
  });
});

describe('memory', () => {
  test('who rests is forgotten: a million keys, one after the other, leave few behind (O12)', async () => {
    const { clock, limiter } = await aLimiter();
    let largest = 0;
    for (let i = 0; i < 1_000_000; i++) {
      admitted(limiter, aCaller({ keyName: String(i), key: { requestsPerMinute: 10 } })).release();
      clock.turn(30);
      if (i % 1000 === 0) largest = Math.max(largest, limiter.size());
    }
    assert.ok(largest <= 3 * (MINUTE / 30), `${largest} counters for ${MINUTE / 30} keys a minute`);
  });

  test('who still runs is not forgotten, however long it lasts', async () => {
    const { clock, limiter } = await aLimiter();
    const caller = aCaller({ key: { concurrentExchanges: 1 } });
    const permits = admitted(limiter, caller);
    for (let i = 0; i < 1000; i++) {
      clock.turn(MINUTE);
      admitted(limiter, aCaller({ keyName: String(i), key: { requestsPerMinute: 1 } })).release();
    }
    refused(limiter, caller);
    permits.release();
    admitted(limiter, caller);
  });

  test('a caller that was forgotten and is met again is counted in one place', async () => {
    const { clock, limiter } = await aLimiter();
    const limits = { requestsPerMinute: 1 };
    const [before, after] = [aCaller({ key: limits }), aCaller({ key: limits })];
    admitted(limiter, before).release();
    for (let i = 0; i < 10; i++) {
      clock.turn(MINUTE);
      admitted(limiter, aCaller({ keyName: String(i), key: limits })).release();
    }
    admitted(limiter, after);
    refused(limiter, before);
  });
});

describe('keys that open nothing (A17)', () => {
  test('a thousand a second from one address are 429 beyond the threshold, and other addresses are not', async () => {
    const { clock, limiter } = await aLimiter({ badKeysPerMinute: 60 });
    let through = 0;
    for (let i = 0; i < 10_000; i++) {
      if (limiter.badKey('192.0.2.1') === null) through++;
      clock.turn(1);
    }
    assert.ok(through >= 60 && through <= 70, `${through} in ten seconds`);
    assert.equal(limiter.badKey('192.0.2.2'), null);
    limiter.badKey('192.0.2.1');
    const refusal = limiter.badKey('192.0.2.1')!;
    assert.equal(refusal.status, 429);
    assert.equal(refusal.retry, false);
    clock.turn(refusal.retryAfterMs!);
    assert.equal(limiter.badKey('192.0.2.1'), null);
  });

  test('one network of IPv6 is one address, however it is written', async () => {
    const { limiter } = await aLimiter({ badKeysPerMinute: 4 });
    for (const address of ['2001:db8::1', '2001:0db8:0:0:ffff::9', '2001:db8:0:0:1:2:3:4', '2001:db8::%eth0'])
      assert.equal(limiter.badKey(address), null, address);
    assert.equal(limiter.badKey('2001:db8::5')?.status, 429);
    assert.equal(limiter.badKey('2001:db8:0:1::1'), null);
    for (let i = 0; i < 4; i++) assert.equal(limiter.badKey('::ffff:192.0.2.1'), null);
    assert.equal(limiter.badKey('192.0.2.1')?.status, 429);
  });

  test('0 turns it off', async () => {
    const { limiter } = await aLimiter({ badKeysPerMinute: 0 });
    for (let i = 0; i < 1000; i++) assert.equal(limiter.badKey('192.0.2.1'), null);
  });

  test('a million addresses take no more memory than ten thousand (O12)', async () => {
    const { limiter } = await aLimiter({ badKeysPerMinute: 1 });
    limiter.badKey('192.0.2.1');
    assert.equal(limiter.badKey('192.0.2.1')?.status, 429);
    for (let i = 0; i < 10_000; i++) limiter.badKey(`198.51.${i >> 8}.${i & 255}`);
    assert.equal(limiter.badKey('192.0.2.1'), null, 'the address that was longest silent is forgotten');
  });
});
