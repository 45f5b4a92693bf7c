// Whose an object of the upstream account is: told by records at once, and by the store as soon as it knows.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { ExchangeRecord } from '../src/domain/exchange-record.ts';
import type { TeamId } from '../src/domain/id.ts';
import { ownedBy } from '../src/domain/ownership.ts';
import { openOwnership } from '../src/ownership/ownership.ts';

/** A store that another replica writes, and that counts who asks. */
function aStore() {
  const owners = new Map<string, TeamId>();
  const asked: string[] = [];
  return {
    owners,
    asked,
    findOwner: async (kind: string, id: string) => {
      asked.push(id);
      return owners.get(`${kind} ${id}`) ?? null;
    },
  };
}

// Of a record nothing else is looked at.
const aRecord = (team: TeamId | null, ...objects: ExchangeRecord['objects']) =>
  ({
    id: 'exc_1',
    at: '2026-11-24T00:00:00.000Z',
    team_id: team,
    key_id: 'key_one',
    objects,
  }) as Partial<ExchangeRecord> as ExchangeRecord;

describe('the owner of an object', () => {
  test('is known from the record on, without a look into the store', async () => {
    const store = aStore();
    const ownership = openOwnership(store);
    ownership.see(aRecord('team_red', { kind: 'file', id: 'file-1' }, { kind: 'container', id: 'cntr_1' }));
    assert.equal(await ownership.ownerOf('file', 'file-1'), 'team_red');
    assert.equal(await ownership.ownerOf('container', 'cntr_1'), 'team_red');
    assert.deepEqual(store.asked, []);
  });

  test('that another replica records is known as soon as the store knows it, although it was asked for before', async () => {
    const store = aStore();
    const ownership = openOwnership(store);
    assert.equal(await ownership.ownerOf('file', 'file-1'), null);
    store.owners.set('file file-1', 'team_blue');
    assert.equal(await ownership.ownerOf('file', 'file-1'), 'team_blue');
    assert.equal(await ownership.ownerOf('file', 'file-1'), 'team_blue');
    assert.equal(store.asked.length, 2);
  });

  test('stays whoever was first', async () => {
    const ownership = openOwnership(aStore());
    ownership.see(aRecord('team_red', { kind: 'file', id: 'file-1' }));
    ownership.see(aRecord('team_blue', { kind: 'file', id: 'file-1' }));
    assert.equal(await ownership.ownerOf('file', 'file-1'), 'team_red');
  });

  test('is remembered of so many objects and no more: the one used longest ago is asked for again', async () => {
    const store = aStore();
    const ownership = openOwnership(store, 2);
    for (const id of ['file-1', 'file-2']) ownership.see(aRecord('team_red', { kind: 'file', id }));
    await ownership.ownerOf('file', 'file-1');
    ownership.see(aRecord('team_red', { kind: 'file', id: 'file-3' }));
    assert.equal(await ownership.ownerOf('file', 'file-1'), 'team_red');
    assert.equal(await ownership.ownerOf('file', 'file-3'), 'team_red');
    assert.equal(await ownership.ownerOf('file', 'file-2'), null);
    assert.deepEqual(store.asked, ['file-2']);
  });

  test('is told by a record of somebody’s, and only of kinds that are looked after', () => {
    assert.deepEqual(ownedBy(aRecord(null, { kind: 'file', id: 'file-1' })), []);
    const kinds = ownedBy(aRecord('team_red', { kind: 'batch', id: 'b' }, { kind: 'vector_store', id: 'vs_1' }));
    assert.deepEqual(
      kinds.map(({ kind, upstreamId, teamId }) => [kind, upstreamId, teamId]),
      [['vector_store', 'vs_1', 'team_red']],
    );
  });
});
