// What the tools may rely on when they keep teams, keys and users, whichever engine keeps them.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { sql } from 'kysely';

import type { Deed } from '../../src/domain/audit.ts';
import { ChangeRefused } from '../../src/domain/change-refused.ts';
import { newId } from '../../src/domain/id.ts';
import { KEY_DEFAULTS, type VirtualKey } from '../../src/domain/key.ts';
import { UNLIMITED } from '../../src/domain/limits.ts';
import type { AuditStore, KeyStore, TeamStore, UserStore } from '../../src/domain/stores.ts';
import { TEAM_DEFAULTS, type Team } from '../../src/domain/team.ts';
import type { User } from '../../src/domain/user.ts';
import { auditStore } from '../../src/store/audit.ts';
import type { Engine } from '../../src/store/engine.ts';
import { keyStore } from '../../src/store/keys.ts';
import { migrateToLatest } from '../../src/store/migrate.ts';
import { teamStore } from '../../src/store/teams.ts';
import { userStore } from '../../src/store/users.ts';
import { onBothEngines } from '../support/engines.ts';

const CREATED: Deed = { actor: { id: 'owner', address: '127.0.0.1' }, action: 'created' };
const UPDATED: Deed = { ...CREATED, action: 'updated' };

const team = (name: string, at = 1): Team => ({ ...TEAM_DEFAULTS, id: newId('team', at), name, createdAt: at });

const key = (owner: Team, name: string, at = 1): VirtualKey => ({
  ...KEY_DEFAULTS,
  id: newId('key', at),
  teamId: owner.id,
  name,
  tokenHash: `hash of ${name}`,
  tokenHint: 'sk-tw-...abcd',
  endpoints: ['chat', 'files'],
  expiresAt: 1_900_000_000_000,
  createdAt: at,
});

const user = (name: string, at = 1): User => ({
  id: newId('user', at),
  name,
  role: 'admin',
  teamId: null,
  tokenHash: null,
  tokenHint: null,
  limits: UNLIMITED,
  metadata: {},
  status: 'active',
  createdAt: at,
});

const isTaken = (error: unknown) => error instanceof ChangeRefused && error.code === 'taken';

onBothEngines('teams, keys and users', (open) => {
  let engine: Engine;
  let teams: TeamStore;
  let keys: KeyStore;
  let users: UserStore;
  let audit: AuditStore;
  beforeEach(async () => {
    engine = await open();
    [teams, keys] = [teamStore(engine), keyStore(engine)];
    [users, audit] = [userStore(engine), auditStore(engine)];
  });
  afterEach(() => engine.close());

  const insertTeam = async (name: string, at?: number) => {
    const inserted = team(name, at);
    await teams.insertTeam(inserted, CREATED);
    return inserted;
  };

  test('a team is found by its id and by its name, as it was written', async () => {
    const red: Team = {
      ...team('red', 1_750_000_000_123),
      models: ['gpt-*', 'o3'],
      endpoints: ['chat', 'POST /v1/files'],
      limits: { ...UNLIMITED, requestsPerMinute: 600, concurrentSockets: 3 },
      tags: ['a', 'ü'],
      metadata: { cost_center: 12, nested: { deep: [null, true] } },
    };
    await teams.insertTeam(red, CREATED);
    assert.deepEqual(await teams.findTeam(red.id), red);
    assert.deepEqual(await teams.findTeamByName('red'), red);
    assert.equal(await teams.findTeamByName('blue'), null);
  });

  test('a key is as it was written, whatever it says, and is found by the digest of its token', async () => {
    const red = await insertTeam('red');
    const ann = user('ann');
    await users.insertUser(ann, CREATED);
    const mine: VirtualKey = {
      ...key(red, 'mine'),
      userId: ann.id,
      formerToken: { hash: 'hash of former', until: 1_800_000_000_000 },
      models: ['gpt-5*'],
      allowedCidrs: ['10.0.0.0/8', '::1'],
      limits: { ...UNLIMITED, tokensPerMinute: 9_000_000_000 },
      onDisconnect: 'drain',
      onUnpriced: 'deny',
      onUnbounded: 'learned',
      onOverrun: 'cut',
      streamUsage: 'estimate',
      tags: ['x'],
      metadata: { '"': "'; drop table keys; --" },
    };
    await keys.insertKey(mine, CREATED);
    assert.deepEqual(await keys.findKey(mine.id), mine);
    assert.deepEqual(await keys.findKeyByTokenHash('hash of mine'), mine);
    assert.deepEqual(await keys.findKeyByTokenHash('hash of former'), mine);
    assert.equal(await keys.findKeyByTokenHash('hash of another'), null);
    assert.equal(await keys.countKeys(), 1);
  });

  test('a token that one key gave up and another has is the other’s', async () => {
    const red = await insertTeam('red');
    await keys.insertKey({ ...key(red, 'old'), formerToken: { hash: 'hash of new', until: 5 } }, CREATED);
    await keys.insertKey(key(red, 'new'), CREATED);
    assert.equal((await keys.findKeyByTokenHash('hash of new'))?.name, 'new');
  });

  test('no two teams, users or tokens are the same, and a refusal leaves nothing behind', async () => {
    const red = await insertTeam('red');
    const blue = await insertTeam('blue');
    await users.insertUser(user('ann'), CREATED);
    await keys.insertKey(key(red, 'mine'), CREATED);
    const { seq } = await audit.head();
    await assert.rejects(teams.insertTeam(team('red'), CREATED), isTaken);
    await assert.rejects(
      teams.updateTeam(blue.id, (before) => ({ ...before, name: 'red' }), UPDATED),
      isTaken,
    );
    await assert.rejects(users.insertUser(user('ann'), CREATED), isTaken);
    await assert.rejects(keys.insertKey(key(blue, 'mine'), CREATED), isTaken);
    assert.equal((await teams.findTeam(blue.id))?.name, 'blue');
    assert.equal(await keys.countKeys(), 1);
    assert.equal((await audit.head()).seq, seq);
  });

  test('the name of what was deleted is free again, and its history stays', async () => {
    const gone = await insertTeam('red');
    await teams.updateTeam(gone.id, (before) => ({ ...before, status: 'deleted' }), UPDATED);
    assert.equal(await teams.findTeamByName('red'), null);
    assert.equal((await teams.findTeam(gone.id))?.status, 'deleted');
    const next = await insertTeam('red', 2);
    assert.equal((await teams.findTeamByName('red'))?.id, next.id);
    const ids = async (status?: 'deleted') =>
      (await teams.listTeams({ limit: 10, cursor: null }, { status })).data.map(({ id }) => id);
    assert.deepEqual([await ids(), await ids('deleted')], [[next.id], [gone.id]]);

    await keys.insertKey(key(next, 'mine'), CREATED);
    const mine = (await keys.findKeyByTokenHash('hash of mine'))!;
    await keys.updateKey(mine.id, (before) => ({ ...before, status: 'deleted', tokenHash: '' }), UPDATED);
    assert.equal(await keys.findKeyByTokenHash('hash of mine'), null);
    assert.equal(await keys.findKeyByTokenHash(''), null);
    await keys.insertKey({ ...key(next, 'mine'), id: newId('key', 3) }, CREATED);
    assert.equal(await keys.countKeys(), 2);
  });

  test('a change that is thrown out or changes nothing leaves no trace, and nobody is changed by an unknown id', async () => {
    const red = await insertTeam('red');
    const { seq } = await audit.head();
    await assert.rejects(
      teams.updateTeam(
        red.id,
        () => {
          throw new Error('on second thoughts');
        },
        UPDATED,
      ),
      /second thoughts/,
    );
    assert.deepEqual(await teams.updateTeam(red.id, (before) => before, UPDATED), red);
    assert.equal(await teams.updateTeam('team_of_nobody', (before) => ({ ...before }), UPDATED), null);
    assert.equal(await keys.updateKey('key_of_nobody', (before) => ({ ...before }), UPDATED), null);
    assert.equal(await users.updateUser('user_of_nobody', (before) => ({ ...before }), UPDATED), null);
    assert.equal((await audit.head()).seq, seq);
  });

  test('changes of one key that are made at once are made one after the other', async () => {
    const red = await insertTeam('red');
    await keys.insertKey(key(red, 'mine'), CREATED);
    const { id } = (await keys.findKeyByTokenHash('hash of mine'))!;
    const add = (tag: string) => keys.updateKey(id, (before) => ({ ...before, tags: [...before.tags, tag] }), UPDATED);
    await Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map(add));
    assert.deepEqual((await keys.findKey(id))?.tags.toSorted(), ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
    assert.equal((await audit.head()).seq, 10);
  });

  test('a change of a key is shown its team as it is', async () => {
    const red = await insertTeam('red');
    await keys.insertKey(key(red, 'mine'), CREATED);
    await teams.updateTeam(red.id, (before) => ({ ...before, models: ['o3'] }), UPDATED);
    const { id } = (await keys.findKeyByTokenHash('hash of mine'))!;
    const changed = await keys.updateKey(id, (before, { models }) => ({ ...before, models }), UPDATED);
    assert.deepEqual(changed?.models, ['o3']);
  });

  test('pages of keys, newest first, hold each key that the filter keeps once', async () => {
    const [red, blue] = [await insertTeam('red'), await insertTeam('blue')];
    for (let i = 1; i <= 7; i++) {
      await keys.insertKey(
        { ...key(i % 7 === 0 ? blue : red, `key ${i}`, i), expiresAt: i === 3 ? 100 : null },
        CREATED,
      );
    }
    const nameOf = async (filter: Parameters<KeyStore['listKeys']>[1]) => {
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page = await keys.listKeys({ limit: 4, cursor }, filter);
        seen.push(...page.data.map(({ name }) => name));
        cursor = page.nextCursor;
      } while (cursor !== null);
      return seen.map((name) => name.slice(4)).join('');
    };
    const { id } = (await keys.findKeyByTokenHash('hash of key 5'))!;
    await keys.updateKey(id, (before) => ({ ...before, status: 'suspended' }), UPDATED);
    assert.equal(await nameOf({ teamId: red.id, at: 50 }), '654321');
    assert.equal(await nameOf({ at: 50 }), '7654321');
    assert.equal(await nameOf({ status: 'active', at: 99 }), '764321');
    assert.equal(await nameOf({ status: 'active', at: 100 }), '76421');
    assert.equal(await nameOf({ status: 'expired', at: 100 }), '3');
    assert.equal(await nameOf({ status: 'suspended', at: 100 }), '5');
    assert.equal(await nameOf({ userId: 'user_of_nobody', at: 100 }), '');
  });

  test('a user is found by id, by name and by the digest of the token, until that is taken away', async () => {
    const red = await insertTeam('red');
    const ann: User = { ...user('ann@example.com'), role: 'team_admin', teamId: red.id, tokenHash: 'digest' };
    await users.insertUser(ann, CREATED);
    assert.deepEqual(await users.findUser(ann.id), ann);
    assert.deepEqual(await users.findUserByName(ann.name), ann);
    assert.deepEqual(await users.findUserByTokenHash('digest'), ann);
    await users.updateUser(ann.id, (before) => ({ ...before, tokenHash: null }), UPDATED);
    assert.equal(await users.findUserByTokenHash('digest'), null);
    const names = async (filter: Parameters<UserStore['listUsers']>[1]) =>
      (await users.listUsers({ limit: 10, cursor: null }, filter)).data.map(({ name }) => name);
    assert.deepEqual(await names({ teamId: red.id }), [ann.name]);
    assert.deepEqual(await names({ status: 'suspended' }), []);
  });

  test('bringing a store to the newest schema a second time changes nothing', async () => {
    await migrateToLatest(engine);
  });
});

onBothEngines(
  'a store of the first version',
  (open) => {
    test('keeps its teams and keys, which may go on with what they could', async () => {
      const engine = await open();
      try {
        await migrateToLatest(engine, '0002_assistants');
        await sql`insert into teams (id, name, created_at) values ('team_1', 'default', 7)`.execute(engine.db);
        await sql`insert into keys (id, team_id, name, token_hash, token_hint, endpoints, status, expires_at, created_at)
          values ('key_1', 'team_1', 'web', 'digest', 'sk-tw-...abcd', '["chat","admin"]', 'active', 99, 8),
            ('key_2', 'team_1', 'gone', 'digest 2', 'sk-tw-...efgh', '["*"]', 'revoked', null, 9)`.execute(engine.db);
        await migrateToLatest(engine);

        const [teams, keys] = [teamStore(engine), keyStore(engine)];
        const owner = { ...TEAM_DEFAULTS, endpoints: ['*', 'admin'], id: 'team_1', name: 'default', createdAt: 7 };
        assert.deepEqual(await teams.findTeam('team_1'), owner);
        const web = { tokenHash: 'digest', tokenHint: 'sk-tw-...abcd', endpoints: ['chat', 'admin'], expiresAt: 99 };
        const expected = { ...KEY_DEFAULTS, ...web, id: 'key_1', teamId: 'team_1', name: 'web', createdAt: 8 };
        assert.deepEqual(await keys.findKeyByTokenHash('digest'), expected);
        assert.equal((await keys.findKey('key_2'))?.status, 'revoked');
        await keys.updateKey('key_1', (before) => ({ ...before, name: 'renamed' }), UPDATED);
        assert.equal((await auditStore(engine).head()).seq, 1);
        await assert.rejects(keys.insertKey(key(team('nobody'), 'of no team'), CREATED), /foreign key/i);
      } finally {
        await engine.close();
      }
    });
  },
  'empty',
);
