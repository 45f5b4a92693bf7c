// Whatever is done to a key and its team, in whatever order: it opens exactly when it should, each change is one audit row, and
// what a token let in is told to end as soon as the token opens no more.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { openAudit } from '../../src/audit/audit.ts';
import { type Actor, SYSTEM } from '../../src/domain/audit.ts';
import { ChangeRefused } from '../../src/domain/change-refused.ts';
import type { Caller } from '../../src/domain/key.ts';
import { type Keys, openKeys } from '../../src/keys/keys.ts';
import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';
import { auditStore } from '../../src/store/audit.ts';
import { keyStore } from '../../src/store/keys.ts';
import { migrateToLatest } from '../../src/store/migrate.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { teamStore } from '../../src/store/teams.ts';
import { userStore } from '../../src/store/users.ts';
import { handClock } from '../support/engines.ts';

const ANN: Actor = { id: 'user_ann', address: '192.0.2.7' };

const step = fc.oneof(
  fc.constantFrom('suspend', 'resume', 'suspend team', 'resume team').map((what) => ({ what, ms: 0 })),
  // Seldom, for after these little is left to see.
  { arbitrary: fc.constantFrom('revoke', 'delete').map((what) => ({ what, ms: 0 })), weight: 1 },
  { arbitrary: fc.record({ what: fc.constant('rotate'), ms: fc.constantFrom(0, 300, 1000) }), weight: 2 },
  { arbitrary: fc.record({ what: fc.constant('expire in'), ms: fc.constantFrom(200, 900) }), weight: 1 },
  { arbitrary: fc.record({ what: fc.constant('wait'), ms: fc.integer({ min: 1, max: 600 }) }), weight: 4 },
);
type Step = { readonly what: string; readonly ms: number };

/** The same life in a few lines, without stores, caches or digests. */
interface Expected {
  key: 'active' | 'suspended' | 'revoked' | 'deleted';
  team: 'active' | 'suspended';
  expiresAt: number;
  /** Each with the moment from which it opens nothing; the last one is in force. */
  tokens: { readonly token: string; until: number }[];
  changes: number;
}

const MOVES: Record<string, readonly [from: readonly Expected['key'][], to: Expected['key']]> = {
  suspend: [['active'], 'suspended'],
  resume: [['suspended'], 'active'],
  revoke: [['active', 'suspended'], 'revoked'],
  delete: [['active', 'suspended', 'revoked'], 'deleted'],
};

test('a key opens exactly when its life says so', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), live), { numRuns: 40 });
});

async function live(steps: readonly Step[]): Promise<void> {
  const clock = handClock();
  const engine = openSqlite(':memory:', clock, 'strict');
  await migrateToLatest(engine);
  const audit = auditStore(engine);
  const stores = { keys: keyStore(engine), teams: teamStore(engine), users: userStore(engine), audit };
  const keys = await openKeys(stores, ENDPOINTS, clock, null);
  try {
    const team = await keys.teams.create({ name: 'red' }, SYSTEM);
    const { key, token } = await keys.create({ name: 'web', team: team.id }, ANN);
    const forever = Number.POSITIVE_INFINITY;
    const life: Expected = {
      key: 'active',
      team: 'active',
      expiresAt: forever,
      tokens: [{ token, until: forever }],
      changes: (await audit.head()).seq,
    };
    /** Callers let in and not yet told to end, with their tokens. */
    const inside = new Map<Caller, string>();
    keys.onClosed((closed) => {
      for (const caller of inside.keys()) if (closed.covers(caller)) inside.delete(caller);
    });

    for (const { what, ms } of steps) {
      if (what === 'wait') clock.turn(ms);
      else await change(keys, life, { what, ms }, key.id, team.id, clock.now());
      const isOpen = life.key === 'active' && life.team === 'active' && clock.now() < life.expiresAt;
      for (const { token: each, until } of life.tokens) {
        const caller = await keys.findCaller(each);
        assert.equal(caller !== null, isOpen && clock.now() < until, `after ${what}`);
        if (caller !== null) inside.set(caller, each);
        else assert.ok(![...inside.values()].includes(each), 'what it let in was told to end');
      }
      assert.equal((await audit.head()).seq, life.changes, `rows after ${what}`);
    }
    assert.ok((await openAudit(audit).verify()).isWhole);
  } finally {
    keys.close();
    await engine.close();
  }
}

/** Does it and foretells it. */
async function change(
  keys: Keys,
  life: Expected,
  { what, ms }: Step,
  id: `key_${string}`,
  teamId: `team_${string}`,
  now: number,
): Promise<void> {
  if (what === 'suspend team' || what === 'resume team') {
    const to = what === 'suspend team' ? 'suspended' : 'active';
    if (life.team !== to) life.changes++;
    life.team = to;
    await (what === 'suspend team' ? keys.teams.suspend(teamId, ANN) : keys.teams.resume(teamId, ANN));
    return;
  }
  const isAlive = life.key === 'active' || life.key === 'suspended';
  if (what === 'rotate') {
    const rotating = keys.rotate(id, { graceMs: ms }, ANN);
    if (!isAlive) return assert.rejects(rotating, ChangeRefused);
    const former = life.tokens.at(-1)!;
    for (const each of life.tokens) each.until = Math.min(each.until, now);
    former.until = now + ms;
    life.tokens.push({ token: (await rotating)!.token, until: Number.POSITIVE_INFINITY });
    life.changes++;
    return;
  }
  if (what === 'expire in') {
    const updating = keys.update(id, { expiresAt: now + ms }, ANN);
    if (!isAlive) return assert.rejects(updating, ChangeRefused);
    await updating;
    life.expiresAt = now + ms;
    life.changes++;
    return;
  }
  const moving = keys[what as 'suspend' | 'resume' | 'revoke' | 'delete'](id, ANN);
  const [from, to] = MOVES[what]!;
  if (life.key === to) await moving;
  else if (from.includes(life.key)) {
    await moving;
    life.key = to;
    life.changes++;
  } else await assert.rejects(moving, ChangeRefused);
}
