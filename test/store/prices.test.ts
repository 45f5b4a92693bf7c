// What prices may rely on in the store, whichever engine keeps it.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import type { PriceStore, Unpriced } from '../../src/domain/price-store.ts';
import type { Engine } from '../../src/store/engine.ts';
import { priceStore } from '../../src/store/prices.ts';
import { handClock, onBothEngines } from '../support/engines.ts';

const seen = (model: string, count = 1, at = 1): Unpriced => ({
  model,
  endpoint: '/v1/embeddings',
  reason: 'unknown_model',
  count,
  firstSeenAt: at,
  lastSeenAt: at,
});

onBothEngines('prices in the store', (open) => {
  let engine: Engine;
  let prices: PriceStore;
  const clock = handClock();
  beforeEach(async () => {
    engine = await open(clock);
    prices = priceStore(engine);
  });
  afterEach(() => engine.close());

  test('a version is kept once, as it was first', async () => {
    assert.equal(await prices.findVersion('prices_a'), null);
    await prices.keepVersion('prices_a', '{"a":1}');
    await prices.keepVersion('prices_a', '{"a":2}');
    assert.equal(await prices.findVersion('prices_a'), '{"a":1}');
  });

  test('of two refreshes with one number the first one stands', async () => {
    assert.equal(await prices.lastRefresh(), null);
    const both = await Promise.all([
      prices.addRefresh({ seq: 1, book: '{"of":"one"}' }),
      prices.addRefresh({ seq: 1, book: '{"of":"other"}' }),
    ]);
    assert.notEqual(both[0], both[1]);
    const stands = both[0] ? 'one' : 'other';
    const last = await prices.lastRefresh();
    assert.deepEqual([last?.seq, last?.book], [1, `{"of":"${stands}"}`]);
    assert.equal(await prices.addRefresh({ seq: 2, book: '{}' }), true);
    assert.equal((await prices.lastRefresh())?.seq, 2);
  });

  test('what is seen again adds up, from the first time to the last', async () => {
    await prices.addUnpriced([seen('a', 2, 10), seen('b', 1, 20)]);
    await prices.addUnpriced([seen('a', 3, 30)]);
    assert.deepEqual(await prices.listUnpriced(), [{ ...seen('a', 5, 10), lastSeenAt: 30 }, seen('b', 1, 20)]);
  });

  test('names that clients invent do not fill the store', async () => {
    await prices.addUnpriced([seen('first', 1, 1)]);
    for (let from = 0; from < 1200; from += 400) {
      await prices.addUnpriced(Array.from({ length: 400 }, (_, i) => seen(`invented-${from + i}`, 1, 2)));
    }
    await prices.addUnpriced([seen('first', 1, 3)]);
    const rows = await prices.listUnpriced();
    assert.ok(rows.length <= 1001, `${rows.length} rows`);
    assert.equal(rows.find(({ model }) => model === 'first')?.count, 2);
    const all = rows.reduce((sum, { count }) => sum + count, 0);
    assert.equal(all, 1202, 'each is counted, under its own name or with all others');
  });
});
