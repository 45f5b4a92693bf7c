// What may be relied on of work that is paid for later, whichever engine keeps it.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import type { LedgerStore } from '../../src/domain/ledger-store.ts';
import { type NewWork, SETTLED_KEPT_MS, type WorkStore } from '../../src/domain/pending-work.ts';
import type { Engine } from '../../src/store/engine.ts';
import { ledgerStore } from '../../src/store/ledger.ts';
import { workStore } from '../../src/store/pending-work.ts';
import { handClock, onBothEngines } from '../support/engines.ts';

const AT = Date.UTC(2026, 10, 22);

const aWork = (name: string, more: Partial<NewWork> = {}): NewWork => ({
  settleKey: `batch:${name}`,
  kind: 'batch',
  upstreamId: name,
  startPath: '/v1/batches',
  exchangeId: 'exc_1',
  teamId: 'team_red',
  keyId: 'key_one',
  model: null,
  credential: 'first',
  startedAt: AT,
  firstLookAt: AT + 100,
  isResolving: true,
  asked: null,
  ...more,
});

onBothEngines('pending work', (open) => {
  let engine: Engine;
  let clock: ReturnType<typeof handClock>;
  let ledger: LedgerStore;
  let work: WorkStore;
  beforeEach(async () => {
    clock = handClock(AT);
    engine = await open(clock);
    ledger = ledgerStore(engine);
    work = workStore(engine);
  });
  afterEach(() => engine.close());

  const mine = { owner: 'replica_1', leaseMs: 1000 };
  const others = { owner: 'replica_2', leaseMs: 1000 };
  const keysOf = (works: readonly { readonly settleKey: string }[]) => works.map(({ settleKey }) => settleKey);

  test('work is kept as it began, and what is known already stays as it is', async () => {
    const asked = { seconds: 4, size: '1280x720', serviceTier: null, cacheRetention: null, memoryLimit: null };
    await ledger.post([], [aWork('a', { asked, isResolving: false })]);
    await ledger.post([], [aWork('a', { keyId: 'key_two' }), aWork('b')]);
    const { firstLookAt, ...begun } = aWork('a', { asked, isResolving: false });
    const expected = { ...begun, state: 'open', looks: 0, nextLookAt: firstLookAt, progress: {} };
    assert.deepEqual(await work.find('batch:a'), expected);
    assert.equal((await work.find('batch:b'))?.keyId, 'key_one');
    assert.equal(await work.find('batch:c'), null);
  });

  test('work that is due is claimed by one, the longest due first, until its lease is over', async () => {
    await ledger.post(
      [],
      [aWork('late', { firstLookAt: AT + 50 }), aWork('later'), aWork('never', { firstLookAt: AT + 1e9 })],
    );
    assert.deepEqual(await work.claimDue({ ...mine, limit: 5 }), []);
    clock.turn(100);
    assert.deepEqual(keysOf(await work.claimDue({ ...mine, limit: 1 })), ['batch:late']);
    assert.deepEqual(keysOf(await work.claimDue({ ...others, limit: 5 })), ['batch:later']);
    assert.equal(await work.claim('batch:late', others), null);
    clock.turn(1000);
    assert.deepEqual(keysOf(await work.claimDue({ ...others, limit: 5 })).toSorted(), ['batch:late', 'batch:later']);
    assert.equal((await work.claim('batch:never', mine))?.settleKey, 'batch:never');
  });

  test('of many who claim at once each piece of work has one', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `n${i}`);
    await ledger.post(
      [],
      names.map((name) => aWork(name)),
    );
    clock.turn(100);
    const claims = await Promise.all(
      Array.from({ length: 10 }, (_, i) => work.claimDue({ owner: `replica_${i}`, leaseMs: 1000, limit: 4 })),
    );
    const keys = keysOf(claims.flat());
    assert.equal(new Set(keys).size, keys.length);
    // Whoever found all that it looked at held by others comes again.
    const rest = await work.claimDue({ ...mine, limit: 100 });
    assert.equal(keys.length + rest.length, 20);
  });

  test('what is put off is given back, with what was seen; whoever lost the lease writes nothing', async () => {
    await ledger.post([], [aWork('a')]);
    clock.turn(100);
    await work.claimDue({ ...mine, limit: 1 });
    const next = { nextLookAt: AT + 500, progress: { createdAt: 5, bytes: 7 } };
    assert.equal(await work.putOff('batch:a', 'replica_2', next), false);
    assert.equal(await work.putOff('batch:a', 'replica_1', next), true);
    assert.equal(await work.putOff('batch:a', 'replica_1', next), false);
    const found = await work.find('batch:a');
    assert.deepEqual([found?.looks, found?.nextLookAt, found?.progress], [1, AT + 500, next.progress]);
    assert.deepEqual(await work.claimDue({ ...others, limit: 1 }), []);
    clock.turn(400);
    assert.deepEqual(keysOf(await work.claimDue({ ...others, limit: 1 })), ['batch:a']);
  });

  test('what is settled is never claimed again, and what is unsettled only by name', async () => {
    await ledger.post([], [aWork('a'), aWork('b'), aWork('c')]);
    await work.end('batch:a', 'settled');
    await work.end('batch:b', 'unsettled');
    await work.end('batch:a', 'unsettled');
    clock.turn(100);
    assert.deepEqual(keysOf(await work.claimDue({ ...mine, limit: 9 })), ['batch:c']);
    assert.equal(await work.claim('batch:a', mine), null);
    assert.equal((await work.claim('batch:b', mine))?.state, 'unsettled');
    const counts = (await work.count()).toSorted((one, two) => (one.state < two.state ? -1 : 1));
    assert.deepEqual(counts, [
      { kind: 'batch', state: 'open', count: 1 },
      { kind: 'batch', state: 'settled', count: 1 },
      { kind: 'batch', state: 'unsettled', count: 1 },
    ]);
  });

  test('what is settled is forgotten in the end, what is not never, and a record that is read again does not begin it anew', async () => {
    await ledger.post(
      [],
      ['open', 'unsettled', 'old', 'young'].map((name) => aWork(name)),
    );
    await work.end('batch:unsettled', 'unsettled');
    await work.end('batch:old', 'settled');
    clock.turn(1000);
    await work.end('batch:young', 'settled');
    assert.equal(await work.forgetSettled(AT + 1), 1);
    assert.equal(await work.forgetSettled(AT + 1), 0);
    for (const [name, isThere] of [
      ['open', true],
      ['unsettled', true],
      ['old', false],
      ['young', true],
    ] as const)
      assert.equal((await work.find(`batch:${name}`)) !== null, isThere, name);
    await ledger.post([], [aWork('old')]);
    assert.notEqual(await work.find('batch:old'), null);
    await work.end('batch:old', 'settled');
    clock.turn(SETTLED_KEPT_MS + 1);
    assert.equal(await work.forgetSettled(clock.now() - SETTLED_KEPT_MS), 2);
    await ledger.post([], [aWork('old')]);
    assert.equal(await work.find('batch:old'), null);
  });

  test('all stores together hold the sum of what each held at its last look, beyond 32 bits, and nothing when they are gone', async () => {
    assert.equal(await work.storedBytes(), 0n);
    const names = ['vs:1', 'vs:2'];
    await ledger.post(
      [],
      names.map((settleKey) => aWork(settleKey, { settleKey, kind: 'vector_store' })),
    );
    clock.turn(100);
    await work.claimDue({ ...mine, limit: 2 });
    for (const name of names) await work.putOff(name, mine.owner, { nextLookAt: AT, progress: { bytes: 5e12 } });
    assert.equal(await work.storedBytes(), 10n ** 13n);
    await work.end('vs:1', 'settled');
    assert.equal(await work.storedBytes(), 5n * 10n ** 12n);
  });
});
