// What the tools may rely on when they keep teams and keys, whichever engine keeps them.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { newId } from '../../src/domain/id.ts';
import { KEY_DEFAULTS, type VirtualKey } from '../../src/domain/key.ts';
import { TEAM_DEFAULTS, type Team } from '../../src/domain/team.ts';
import type { Engine } from '../../src/store/engine.ts';
import { keyStore, teamStore } from '../../src/store/keys.ts';
import { onBothEngines } from '../support/engines.ts';

const team = (name: string, at = 1): Team => ({ ...TEAM_DEFAULTS, id: newId('team', at), name, createdAt: at });

const key = (owner: Team, name: string, at = 1): VirtualKey => ({
  ...KEY_DEFAULTS,
  id: newId('key', at),
  teamId: owner.id,
  name,
  tokenHash: `hash of ${name}`,
  tokenHint: 'sk-tw-...abcd',
  endpoints: ['chat', 'files'],
  status: 'active',
  expiresAt: 1_900_000_000_000,
  createdAt: at,
});

onBothEngines('teams and keys', (open) => {
  let engine: Engine;
  beforeEach(async () => {
    engine = await open();
  });
  afterEach(() => engine.close());

  test('a team is found by its id and by its name, as it was written', async () => {
    const teams = teamStore(engine.db);
    const red = team('red', 1_750_000_000_123);
    await teams.insertTeam(red);
    assert.deepEqual(await teams.findTeam(red.id), red);
    assert.deepEqual(await teams.findTeamByName('red'), red);
    assert.equal(await teams.findTeamByName('blue'), null);
  });

  test('two teams never bear one name', async () => {
    const teams = teamStore(engine.db);
    await teams.insertTeam(team('red'));
    await assert.rejects(teams.insertTeam(team('red')));
  });

  test('a key is found by the digest of its token, and is as it was written', async () => {
    const [teams, keys] = [teamStore(engine.db), keyStore(engine.db)];
    const red = team('red');
    await teams.insertTeam(red);
    const mine = key(red, 'mine');
    await keys.insertKey(mine);
    assert.deepEqual(await keys.findKeyByTokenHash('hash of mine'), mine);
    assert.equal(await keys.findKeyByTokenHash('hash of another'), null);
    assert.equal(await keys.countKeys(), 1);
  });

  test('a revoked key stays, and says so', async () => {
    const [teams, keys] = [teamStore(engine.db), keyStore(engine.db)];
    const red = team('red');
    await teams.insertTeam(red);
    const mine = key(red, 'mine');
    await keys.insertKey(mine);
    assert.equal((await keys.revokeKey(mine.id))?.status, 'revoked');
    assert.equal((await keys.findKey(mine.id))?.status, 'revoked');
    assert.equal(await keys.revokeKey('key_of_nobody'), null);
  });

  test('pages of keys, newest first, hold each key of the team once', async () => {
    const [teams, keys] = [teamStore(engine.db), keyStore(engine.db)];
    const [red, blue] = [team('red'), team('blue')];
    await teams.insertTeam(red);
    await teams.insertTeam(blue);
    for (let i = 1; i <= 7; i++) await keys.insertKey(key(i % 7 === 0 ? blue : red, `key ${i}`, i));
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await keys.listKeys({ limit: 4, cursor }, { teamId: red.id });
      seen.push(...page.data.map(({ name }) => name));
      cursor = page.nextCursor;
    } while (cursor !== null);
    assert.deepEqual(seen, ['key 6', 'key 5', 'key 4', 'key 3', 'key 2', 'key 1']);
  });

  test('bringing a store to the newest schema a second time changes nothing', async () => {
    const { migrateToLatest } = await import('../../src/store/migrate.ts');
    await migrateToLatest(engine);
  });
});
