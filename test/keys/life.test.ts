// The life of keys, teams and users behind the door of the room: what opens when, what is refused, who is told. On both engines.
// The letters in brackets are the acceptance tests of the security reference.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { Actor } from '../../src/domain/audit.ts';
import { ChangeRefused } from '../../src/domain/change-refused.ts';
import type { Clock } from '../../src/domain/clock.ts';
import type { Caller } from '../../src/domain/key.ts';
import { Refusal } from '../../src/domain/refusal.ts';
import type { KeyStore } from '../../src/domain/stores.ts';
import type { CallerStores } from '../../src/keys/callers.ts';
import { type Closed, type Keys, openKeys } from '../../src/keys/keys.ts';
import { mayCallModel } from '../../src/keys/scopes.ts';
import { hashToken, newToken } from '../../src/keys/token.ts';
import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';
import { auditStore } from '../../src/store/audit.ts';
import type { Engine } from '../../src/store/engine.ts';
import { keyStore } from '../../src/store/keys.ts';
import { teamStore } from '../../src/store/teams.ts';
import { userStore } from '../../src/store/users.ts';
import { handClock, onBothEngines } from '../support/engines.ts';
import { eventually } from '../support/eventually.ts';

const ANN: Actor = { id: 'user_ann', address: '192.0.2.7' };
const GIVEN = 'sk-from-the-old-gateway';

const storesOf = (engine: Engine): CallerStores => ({
  keys: keyStore(engine),
  teams: teamStore(engine),
  users: userStore(engine),
  audit: auditStore(engine),
});

/** Counts the look-ups of tokens, and can be made to wait or to fail. */
function watched(stores: CallerStores) {
  const seen = { lookups: 0, before: async () => {} };
  const findKeyByTokenHash: KeyStore['findKeyByTokenHash'] = async (tokenHash) => {
    seen.lookups++;
    const found = await stores.keys.findKeyByTokenHash(tokenHash);
    await seen.before();
    return found;
  };
  const findKey: KeyStore['findKey'] = async (id) => {
    await seen.before();
    return stores.keys.findKey(id);
  };
  return { seen, stores: { ...stores, keys: { ...stores.keys, findKeyByTokenHash, findKey } } };
}

const refusedWith = (code: string, field: string, says: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ChangeRefused, String(error));
  assert.deepEqual([error.code, error.field], [code, field]);
  assert.match(error.message, says);
  return true;
};

onBothEngines('keys', (open) => {
  let engine: Engine;
  let clock: Clock & { turn(ms: number): void };
  let keys: Keys;
  let lookups: ReturnType<typeof watched>;
  let closed: Closed[];
  const opened: Keys[] = [];
  const opens = async (token: string, room = keys) => (await room.findCaller(token)) !== null;
  const must = <T>(value: T | null): T => value ?? assert.fail('nothing has that id');

  beforeEach(async () => {
    clock = handClock();
    engine = await open(clock);
    lookups = watched(storesOf(engine));
    keys = await openKeys(lookups.stores, ENDPOINTS, clock, null);
    opened.push(keys);
    closed = [];
    keys.onClosed((each) => closed.push(each));
  });
  afterEach(async () => {
    for (const room of opened.splice(0)) room.close();
    await engine.close();
  });

  const actionsOf = async (id: string) =>
    (await auditStore(engine).list({ limit: 100, cursor: null }, { id })).data
      .map(({ action, actor, address }) => `${action} by ${actor} at ${address}`)
      .toReversed();

  test('a key is made with the defaults of who says nothing, and its token is told this once', async () => {
    const { key, token } = await keys.create({ name: 'web' }, ANN);
    const caller = must(await keys.findCaller(token));
    assert.deepEqual(caller.key, key);
    assert.equal(caller.team.name, 'default');
    assert.equal(caller.user, null);
    assert.equal(key.tokenHash, hashToken(token));
    assert.equal(keys.findCaller(token), caller, 'a caller who is remembered is told at once');
    assert.equal(lookups.seen.lookups, 1);
  });

  test('a token of a wrong form or checksum is told without a look-up (A03)', async () => {
    const { token } = await keys.create({ name: 'web' }, ANN);
    const wrong = `${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`;
    for (const text of [
      wrong,
      '',
      'short',
      'tw-admin-0123456789',
      `${token}\n`,
      'x'.repeat(300),
      'two words of a token',
    ]) {
      assert.equal(keys.findCaller(text), null);
    }
    assert.equal(lookups.seen.lookups, 0);
  });

  test('texts that would be statements find nothing and change nothing (A04)', async () => {
    const hostile = [
      "' OR '1'='1' --xxxx",
      "'; DROP TABLE keys;--",
      '1;select/**/pg_sleep(9)',
      `${GIVEN}'||'`,
      '$1$1$1$1$1$1$1$1$1',
    ];
    for (const text of hostile) assert.equal(await opens(text.replaceAll(' ', '/**/')), false);
    for (const text of hostile) assert.equal(await keys.teams.find(text), null);
    const { key } = await keys.create({ name: hostile[1]!, token: hostile[4] }, ANN);
    assert.equal(must(await keys.find(key.id)).name, hostile[1]);
    assert.equal(await keys.count(), 1);
  });

  test('the beginning of a token, or more than it, opens nothing after it opened (A05)', async () => {
    const { token } = await keys.create({ name: 'web' }, ANN);
    await keys.create({ name: 'old', token: GIVEN }, ANN);
    assert.ok((await opens(token)) && (await opens(GIVEN)));
    for (const real of [token, GIVEN]) {
      for (let length = 0; length < real.length; length++) assert.equal(await opens(real.slice(0, length)), false);
      assert.equal(await opens(`${real}x`), false);
    }
  });

  test('a token that nobody had is refused until it is given to a key, and opens from then on (A06)', async () => {
    assert.equal(await opens(GIVEN), false);
    assert.equal(keys.findCaller(GIVEN), null, 'the second time without a look-up');
    assert.equal(lookups.seen.lookups, 1);
    await keys.create({ name: 'old', token: GIVEN }, ANN);
    assert.ok(await opens(GIVEN));
  });

  test('a token that was refused opens within a second of its making by another process (A06)', async () => {
    const other = await openKeys(storesOf(engine), ENDPOINTS, clock, null);
    opened.push(other);
    assert.equal(await opens(GIVEN), false);
    await other.create({ name: 'old', token: GIVEN }, ANN);
    clock.turn(999);
    assert.equal(await opens(GIVEN), false);
    clock.turn(1);
    assert.ok(await opens(GIVEN));
  });

  test('invented tokens of no known form are looked up a few at a time, and those made here all the same', async () => {
    const { token } = await keys.create({ name: 'web' }, ANN);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    lookups.seen.before = () => held;
    const asked = Array.from({ length: 32 }, (_, i) => opens(`invented-token-${i}`));
    assert.throws(
      () => keys.findCaller('invented-token-one-more'),
      (error) => error instanceof Refusal && error.code === 'overloaded',
    );
    const mine = keys.findCaller(token);
    release();
    assert.notEqual(await mine, null);
    assert.deepEqual([...new Set(await Promise.all(asked))], [false]);
    assert.equal(await opens('invented-token-one-more'), false);
  });

  test('a token may be given by the operator, is kept as a digest only, and belongs to one key', async () => {
    const { key, token } = await keys.create({ name: 'old', token: GIVEN }, ANN);
    assert.equal(token, GIVEN);
    assert.equal(key.tokenHint, '...eway');
    assert.ok(await opens(GIVEN));
    await assert.rejects(keys.create({ name: 'x', token: GIVEN }, ANN), refusedWith('taken', 'token', /not shown/));
    for (const bad of ['fifteen-letters', `sk-tw-${'x'.repeat(30)}`, 'with a space in it', 'tw-admin-abcdefghijklm']) {
      await assert.rejects(keys.create({ name: 'x', token: bad }, ANN), refusedWith('invalid', 'token', /16 to 256/));
    }
    assert.equal(await keys.count(), 1);
    await keys.delete(key.id, ANN);
    assert.equal(await opens(GIVEN), false);
    await keys.create({ name: 'again', token: GIVEN }, ANN);
    assert.equal(must(await keys.findCaller(GIVEN)).key.name, 'again');
  });

  test('what closes a key closes it from the moment that is answered, also for a look-up under way (A08)', async () => {
    for (const close of ['suspend', 'revoke', 'delete'] as const) {
      const { key, token } = await keys.create({ name: close }, ANN);
      assert.ok(await opens(token));
      const stale = await keys.create({ name: `${close}, not yet seen` }, ANN);
      lookups.seen.before = async () => {
        lookups.seen.before = async () => {};
        await keys[close](stale.key.id, ANN);
      };
      assert.equal(await opens(stale.token), false, 'closed between the look-up and its answer');
      await keys[close](key.id, ANN);
      assert.equal(await opens(token), false);
      assert.equal(await keys.callerOf(key.id), null);
    }
  });

  test('a suspended key opens again once it is resumed, a revoked one never', async () => {
    const { key, token } = await keys.create({ name: 'web' }, ANN);
    await keys.suspend(key.id, ANN);
    assert.equal(must(await keys.resume(key.id, ANN)).status, 'active');
    assert.ok(await opens(token));
    await keys.revoke(key.id, ANN);
    const isOver = refusedWith('state', 'status', /revoked/);
    await assert.rejects(keys.resume(key.id, ANN), isOver);
    await assert.rejects(keys.update(key.id, { name: 'x' }, ANN), isOver);
    await assert.rejects(keys.rotate(key.id, { graceMs: 0 }, ANN), isOver);
    assert.equal(must(await keys.revoke(key.id, ANN)).status, 'revoked');
    assert.equal(await keys.revoke('key_of_nobody', ANN), null);
  });

  test('a key opens until its very last millisecond, and its exchanges end then without anybody asking (A09)', async () => {
    const { key, token } = await keys.create({ name: 'web', expiresAt: clock.now() + 1000 }, ANN);
    const caller = must(await keys.findCaller(token));
    clock.turn(999);
    assert.ok(await opens(token));
    clock.turn(1);
    await eventually('the end of the key is told', () => closed.length > 0);
    assert.deepEqual([closed[0]?.keyId, closed[0]?.covers(caller), closed.length], [key.id, true, 1]);
    assert.equal(await opens(token), false);
    await assert.rejects(
      keys.update(key.id, { expiresAt: clock.now() }, ANN),
      refusedWith('invalid', 'expires_at', /past/),
    );
    await keys.update(key.id, { expiresAt: clock.now() + 1 }, ANN);
    assert.ok(await opens(token));
  });

  test('after a rotation both tokens open until the grace ends; then only the new one does (A10)', async () => {
    const { key, token } = await keys.create({ name: 'web' }, ANN);
    const before = must(await keys.findCaller(token));
    const rotated = must(await keys.rotate(key.id, { graceMs: 60_000 }, ANN));
    assert.notEqual(rotated.token, token);
    const after = must(await keys.findCaller(rotated.token));
    assert.ok(await opens(token));
    clock.turn(59_999);
    assert.ok((await opens(token)) && (await opens(rotated.token)));
    clock.turn(1);
    assert.equal(await opens(token), false);
    assert.ok(await opens(rotated.token));
    await eventually('the end of the former token is told', () => closed.length > 0);
    assert.equal(closed.length, 1);
    assert.ok(closed[0]!.covers(before), 'what the former token opened ends');
    assert.ok(!closed[0]!.covers(after), 'what the new one opened goes on');
    const actor = 'by user_ann at 192.0.2.7';
    assert.deepEqual(await actionsOf(key.id), [`created ${actor}`, `rotated ${actor}`]);
  });

  test('a rotation without grace ends the old token at once, and one after another leaves two tokens at most', async () => {
    const { key, token } = await keys.create({ name: 'web' }, ANN);
    assert.ok(await opens(token));
    const second = must(await keys.rotate(key.id, { graceMs: 0 }, ANN));
    assert.equal(await opens(token), false);
    assert.equal(closed.length, 1);
    const third = must(await keys.rotate(key.id, { graceMs: 60_000 }, ANN));
    const fourth = must(await keys.rotate(key.id, { graceMs: 60_000, token: GIVEN }, ANN));
    assert.equal(await opens(second.token), false);
    assert.ok((await opens(third.token)) && (await opens(fourth.token)));
    await assert.rejects(
      keys.rotate(key.id, { graceMs: 0, token: GIVEN }, ANN),
      refusedWith('taken', 'token', /not shown/),
    );
    await assert.rejects(
      keys.rotate(key.id, { graceMs: -1 }, ANN),
      refusedWith('invalid', 'grace_seconds', /from 0 on/),
    );
  });

  test('the two kinds of tokens open nothing of each other (A13)', async () => {
    const { token } = await keys.create({ name: 'web' }, ANN);
    const user = await keys.users.create({ name: 'bob', role: 'admin' }, ANN);
    const admin = must(await keys.users.makeAdminToken(user.id, ANN));
    assert.equal(await keys.users.findAdmin(token), null);
    assert.equal(keys.findCaller(admin.token), null);
    assert.equal((await keys.users.findAdmin(admin.token))?.id, user.id);
  });

  test('a user’s token opens the admin API until it is replaced or taken away, or the user is suspended', async () => {
    const { users } = keys;
    const user = await users.create({ name: 'bob', role: 'viewer' }, ANN);
    const first = must(await users.makeAdminToken(user.id, ANN));
    const second = must(await users.makeAdminToken(user.id, ANN));
    assert.equal(await users.findAdmin(first.token), null);
    assert.equal((await users.findAdmin(second.token))?.role, 'viewer');
    await users.suspend(user.id, ANN);
    assert.equal(await users.findAdmin(second.token), null);
    await users.resume(user.id, ANN);
    assert.ok(await users.findAdmin(second.token));
    await users.revokeAdminToken(user.id, ANN);
    await users.revokeAdminToken(user.id, ANN);
    assert.equal(await users.findAdmin(second.token), null);
    const actions = (await actionsOf(user.id)).map((line) => line.split(' ')[0]);
    assert.deepEqual(actions, ['created', 'token_made', 'token_made', 'suspended', 'resumed', 'token_revoked']);
  });

  test('a user of a team names one that there is, any other names none', async () => {
    const { users, teams } = keys;
    const red = await teams.create({ name: 'red' }, ANN);
    const needsTeam = refusedWith('invalid', 'team_id', /belongs to a team/);
    await assert.rejects(users.create({ name: 'x', role: 'team_admin' }, ANN), needsTeam);
    await assert.rejects(
      users.create({ name: 'x', role: 'owner', teamId: red.id }, ANN),
      refusedWith('invalid', 'team_id', /belongs to no team/),
    );
    await assert.rejects(
      users.create({ name: 'x', role: 'team_member', teamId: 'team_of_nobody' }, ANN),
      refusedWith('unknown', 'team', /there is no team "team_of_nobody"/),
    );
    const bob = await users.create({ name: 'bob', role: 'team_member', teamId: red.id }, ANN);
    await assert.rejects(users.update(bob.id, { role: 'viewer' }, ANN), /no team/);
    assert.equal(must(await users.update(bob.id, { role: 'viewer', teamId: null }, ANN)).role, 'viewer');
  });

  test('the keys of a user who is suspended or gone open nothing', async () => {
    const bob = await keys.users.create({ name: 'bob', role: 'viewer' }, ANN);
    const { key, token } = await keys.create({ name: 'web', user: 'bob' }, ANN);
    assert.equal(must(await keys.findCaller(token)).user?.id, bob.id);
    await keys.users.suspend(bob.id, ANN);
    assert.equal(await opens(token), false);
    assert.deepEqual(
      closed.map(({ keyId }) => keyId),
      [key.id],
    );
    await keys.users.resume(bob.id, ANN);
    assert.ok(await opens(token));
    await keys.users.delete(bob.id, ANN);
    assert.equal(await opens(token), false);
    await assert.rejects(keys.update(key.id, { user: bob.id }, ANN), refusedWith('unknown', 'user', /no user/));
    await keys.update(key.id, { user: null }, ANN);
    assert.ok(await opens(token));
  });

  test('a suspended team’s keys open nothing and end what they opened; those of others go on', async () => {
    const red = await keys.teams.create({ name: 'red' }, ANN);
    const [one, two, other] = await Promise.all([
      keys.create({ name: 'one', team: 'red' }, ANN),
      keys.create({ name: 'two', team: red.id }, ANN),
      keys.create({ name: 'other' }, ANN),
    ]);
    for (const { token } of [one, two, other]) assert.ok(await opens(token));
    await keys.teams.suspend(red.id, ANN);
    assert.deepEqual(closed.map(({ keyId }) => keyId).toSorted(), [one.key.id, two.key.id].toSorted());
    assert.deepEqual([await opens(one.token), await opens(two.token), await opens(other.token)], [false, false, true]);
    await keys.teams.resume(red.id, ANN);
    assert.ok(await opens(one.token));
    await keys.teams.delete(red.id, ANN);
    assert.deepEqual([await opens(one.token), await opens(other.token)], [false, true]);
    await assert.rejects(keys.create({ name: 'x', team: 'red' }, ANN), refusedWith('unknown', 'team', /no team "red"/));
    await assert.rejects(keys.create({ name: 'x', team: red.id }, ANN), refusedWith('unknown', 'team', /no team/));
  });

  test('the default team is neither deleted nor renamed', async () => {
    const { id } = must(await keys.teams.find('default'));
    await assert.rejects(keys.teams.delete(id, ANN), refusedWith('state', 'name', /cannot be deleted/));
    await assert.rejects(keys.teams.update(id, { name: 'x' }, ANN), refusedWith('state', 'name', /cannot be renamed/));
  });

  test('a key that would open more than its team is refused with the field, the value and what is allowed (A12)', async () => {
    const limits = { requestsPerMinute: 100 };
    const scopes = { models: ['gpt-*'], endpoints: ['chat', '/v1/files*'], limits };
    const red = await keys.teams.create({ name: 'red', ...scopes }, ANN);
    const { key } = await keys.create({ name: 'web', team: 'red' }, ANN);
    const wider = [
      [{ models: ['gpt-4o', 'o3'] }, 'models', /o3; the team "red" allows gpt-\*/],
      [{ endpoints: ['embeddings'] }, 'endpoints', /embeddings; the team "red" allows chat, \/v1\/files\*/],
      [{ endpoints: ['admin'] }, 'endpoints', /admin/],
      [{ limits: { requestsPerMinute: 101 } }, 'limits.requests_per_minute', /101; the team "red" allows at most 100/],
    ] as const;
    for (const [changes, field, says] of wider) {
      const create = keys.create({ name: 'x', team: 'red', ...changes }, ANN);
      await assert.rejects(create, refusedWith('wider', field, says));
      await assert.rejects(keys.update(key.id, changes, ANN), refusedWith('wider', field, says));
    }
    const invalid = [
      [{ models: [] }, 'models', /at least one/],
      [{ endpoints: ['chats'] }, 'endpoints', /chats; it is no group/],
      [{ allowedCidrs: ['10.0.0.0/8', '10.0.0.0/99'] }, 'allowed_cidrs', /10.0.0.0\/99/],
      [{ limits: { concurrentStreams: 0 } }, 'limits.concurrent_streams', /above 0/],
      [{ limits: { tokensPerMinute: 1.5 } }, 'limits.tokens_per_minute', /whole number/],
    ] as const;
    for (const [changes, field, says] of invalid) {
      await assert.rejects(keys.update(key.id, changes, ANN), refusedWith('invalid', field, says));
    }
    assert.deepEqual(await keys.find(key.id), key);
    const narrow = { models: ['gpt-4o*'], endpoints: ['POST /v1/files'], limits: { requestsPerMinute: 7 } };
    assert.deepEqual(must(await keys.update(key.id, narrow, ANN)).models, ['gpt-4o*']);
    assert.equal((await keys.list({ limit: 9, cursor: null }, { teamId: red.id })).data.length, 1);
  });

  test('a team that is narrowed narrows the keys that it has, at once', async () => {
    const red = await keys.teams.create({ name: 'red' }, ANN);
    const { key, token } = await keys.create({ name: 'web', team: 'red', models: ['gpt-*', 'o3'] }, ANN);
    assert.ok(mayCallModel(must(await keys.findCaller(token)), 'o3'));
    await keys.teams.update(red.id, { models: ['gpt-*'] }, ANN);
    const caller = must(await keys.findCaller(token));
    assert.deepEqual([mayCallModel(caller, 'o3'), mayCallModel(caller, 'gpt-4o')], [false, true]);
    assert.deepEqual(closed, [], 'what runs goes on');
    assert.equal(must(await keys.update(key.id, { name: 'renamed' }, ANN)).name, 'renamed');
  });

  test('neither a token nor its digest stands in what the store keeps of a change (A15, A16, A20)', async () => {
    const { key, token } = await keys.create({ name: 'web' }, ANN);
    const rotated = must(await keys.rotate(key.id, { graceMs: 1000 }, ANN));
    await keys.suspend(key.id, ANN);
    await keys.suspend(key.id, ANN);
    await keys.resume(key.id, ANN);
    await keys.update(key.id, { name: 'renamed' }, ANN);
    await keys.revoke(key.id, ANN);
    await keys.delete(key.id, ANN);
    const actions = (await actionsOf(key.id)).map((line) => line.split(' ')[0]);
    const life = ['created', 'rotated', 'suspended', 'resumed', 'updated', 'revoked', 'deleted'];
    assert.deepEqual(actions, life, 'each event is one row');
    const { data } = await auditStore(engine).list({ limit: 100, cursor: null }, {});
    for (const row of data) assert.ok(row.after !== null && row.before !== row.after);
    const text = JSON.stringify([data, await keys.find(key.id)]);
    for (const secret of [token, rotated.token]) {
      assert.ok(!text.includes(secret) && !text.includes(hashToken(secret)));
    }
  });

  test('what is told of a closed key is told once, and to nobody who left', async () => {
    const { key, token } = await keys.create({ name: 'web' }, ANN);
    const stranger = must(await keys.findCaller((await keys.create({ name: 'other' }, ANN)).token));
    const caller = must(await keys.findCaller(token));
    const run = must(await keys.callerOf(key.id));
    const heard: string[] = [];
    keys.onClosed(({ keyId }) => heard.push(keyId))();
    await Promise.all([keys.revoke(key.id, ANN), keys.suspend(key.id, ANN).catch(() => null)]);
    assert.equal(await opens(token), false);
    const covered = (who: Caller) => closed.filter((each) => each.covers(who)).length;
    assert.deepEqual([covered(caller), covered(run), covered(stranger)], [1, 1, 0]);
    assert.deepEqual(heard, []);
  });

  test('while the store is away nobody is let in unseen and nobody is told that a good key is bad (A19)', async () => {
    const { token } = await keys.create({ name: 'web' }, ANN);
    lookups.seen.before = async () => {
      throw new Error('away');
    };
    const isAway = (error: unknown) => error instanceof Refusal && error.code === 'overloaded';
    await assert.rejects(async () => keys.findCaller(token), isAway);
    await assert.rejects(async () => keys.findCaller(newToken()), isAway);
    await assert.rejects(async () => keys.findCaller('invented-token-of-no-form'), isAway);
    lookups.seen.before = async () => {};
    assert.ok(await opens(token));
  });

  test('a key that is revoked while the store can no longer be read ends what it opened once it can', async () => {
    const { key, token } = await keys.create({ name: 'web' }, ANN);
    const caller = must(await keys.findCaller(token));
    lookups.seen.before = async () => {
      throw new Error('away');
    };
    assert.equal(must(await keys.revoke(key.id, ANN)).status, 'revoked');
    await assert.rejects(async () => keys.findCaller(token), Refusal);
    assert.equal(closed.length, 0);
    lookups.seen.before = async () => {};
    await eventually('the end of the key is told', () => closed.length > 0);
    assert.ok(closed[0]!.covers(caller));
    assert.equal(await opens(token), false);
  });

  describe('another replica', () => {
    const FOLLOW_MS = 50;
    let other: Keys;
    let heard: Closed[];
    beforeEach(async () => {
      const real: Clock = { now: () => clock.now(), elapsedMs: () => performance.now() };
      other = await openKeys(storesOf(engine), ENDPOINTS, real, FOLLOW_MS);
      opened.push(other);
      heard = [];
      other.onClosed((each) => heard.push(each));
    });

    test('ends what a key opened there soon after it was revoked here, without anybody asking', async () => {
      const { key, token } = await keys.create({ name: 'web' }, ANN);
      const bystander = await keys.create({ name: 'other' }, ANN);
      const caller = must(await other.findCaller(token));
      assert.ok(await opens(bystander.token, other));
      await keys.revoke(key.id, ANN);
      await eventually('the other replica hears of it', () => heard.length > 0);
      assert.ok(heard[0]!.covers(caller));
      assert.equal(await opens(token, other), false);
      await delay(3 * FOLLOW_MS);
      assert.equal(heard.length, 1);
      assert.ok(await opens(bystander.token, other));
    });

    test('hears of teams and users too, and lets in again what is resumed', async () => {
      const red = await keys.teams.create({ name: 'red' }, ANN);
      const bob = await keys.users.create({ name: 'bob', role: 'viewer' }, ANN);
      const { token } = await keys.create({ name: 'web', team: 'red', user: 'bob' }, ANN);
      assert.ok(await opens(token, other));
      await keys.teams.suspend(red.id, ANN);
      await eventually('the team’s end is heard', () => heard.length === 1);
      await keys.teams.resume(red.id, ANN);
      assert.ok(await opens(token, other));
      await keys.users.delete(bob.id, ANN);
      await eventually('the user’s end is heard', () => heard.length === 2);
      assert.equal(await opens(token, other), false);
    });
  });
});
