// What may be relied on of the owners of the upstream's objects, whichever engine keeps them.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import type { LedgerStore } from '../../src/domain/ledger-store.ts';
import type { OwnedObject, OwnerStore } from '../../src/domain/ownership.ts';
import type { Engine } from '../../src/store/engine.ts';
import { ledgerStore } from '../../src/store/ledger.ts';
import { ownerStore } from '../../src/store/owned-objects.ts';
import { onBothEngines } from '../support/engines.ts';

const anObject = (upstreamId: string, more: Partial<OwnedObject> = {}): OwnedObject => ({
  kind: 'file',
  upstreamId,
  teamId: 'team_red',
  keyId: 'key_one',
  exchangeId: 'exc_1',
  createdAt: 1,
  ...more,
});

onBothEngines('owned objects', (open) => {
  let engine: Engine;
  let ledger: LedgerStore;
  let owners: OwnerStore;
  beforeEach(async () => {
    engine = await open();
    ledger = ledgerStore(engine);
    owners = ownerStore(engine);
  });
  afterEach(() => engine.close());

  test('an object belongs to the team whose exchange made it, and one that nobody recorded to none', async () => {
    await ledger.post([], [], [anObject('file-1'), anObject('vs_1', { kind: 'vector_store', teamId: 'team_blue' })]);
    assert.equal(await owners.findOwner('file', 'file-1'), 'team_red');
    assert.equal(await owners.findOwner('vector_store', 'vs_1'), 'team_blue');
    assert.equal(await owners.findOwner('file', 'vs_1'), null);
    assert.equal(await owners.findOwner('file', 'file-2'), null);
  });

  test('whoever was first stays the owner, however the object is recorded again', async () => {
    await owners.own([
      anObject('file-1', { keyId: null, exchangeId: null }),
      anObject('file-1', { teamId: 'team_blue' }),
    ]);
    await ledger.post([], [], [anObject('file-1', { teamId: 'team_blue' }), anObject('file-2')]);
    await owners.own([anObject('file-2', { teamId: 'team_blue' })]);
    assert.equal(await owners.findOwner('file', 'file-1'), 'team_red');
    assert.equal(await owners.findOwner('file', 'file-2'), 'team_red');
  });

  test('many are recorded at once', async () => {
    const names = Array.from({ length: 200 }, (_, i) => `file-${i}`);
    await owners.own(names.map((name) => anObject(name)));
    for (const name of names) assert.equal(await owners.findOwner('file', name), 'team_red');
  });

  test('the sums of a process that writes the ledger alone bring what their exchanges made', async () => {
    if (ledger.local === null) return;
    await ledger.local.add({ charges: [], rollups: [], works: [], owned: [anObject('file-1')], place: 1 });
    assert.equal(await owners.findOwner('file', 'file-1'), 'team_red');
  });
});
