// Teams and virtual keys in the shared store.
import type { Kysely, Selectable } from 'kysely';

import type { KeyId, TeamId } from '../domain/id.ts';
import { KEY_DEFAULTS, type VirtualKey } from '../domain/key.ts';
import type { KeyStore, Listed, TeamStore } from '../domain/stores.ts';
import { TEAM_DEFAULTS, type Team } from '../domain/team.ts';
import type { Schema } from './schema.ts';

export function teamStore(db: Kysely<Schema>): TeamStore {
  return {
    async insertTeam(team) {
      await db.insertInto('teams').values({ id: team.id, name: team.name, created_at: team.createdAt }).execute();
    },
    async findTeam(id) {
      const row = await db.selectFrom('teams').selectAll().where('id', '=', id).executeTakeFirst();
      return row ? toTeam(row) : null;
    },
    async findTeamByName(name) {
      const row = await db.selectFrom('teams').selectAll().where('name', '=', name).executeTakeFirst();
      return row ? toTeam(row) : null;
    },
    async listTeams({ limit, cursor }) {
      let query = db
        .selectFrom('teams')
        .selectAll()
        .orderBy('id', 'desc')
        .limit(limit + 1);
      if (cursor !== null) query = query.where('id', '<', cursor);
      return toPage((await query.execute()).map(toTeam), limit);
    },
  };
}

export function keyStore(db: Kysely<Schema>): KeyStore {
  const findKey = async (id: KeyId) => {
    const row = await db.selectFrom('keys').selectAll().where('id', '=', id).executeTakeFirst();
    return row ? toKey(row) : null;
  };
  return {
    async insertKey(key) {
      const row = {
        id: key.id,
        team_id: key.teamId,
        name: key.name,
        token_hash: key.tokenHash,
        token_hint: key.tokenHint,
        endpoints: JSON.stringify(key.endpoints),
        status: key.status,
        expires_at: key.expiresAt,
        created_at: key.createdAt,
      };
      await db.insertInto('keys').values(row).execute();
    },
    findKey,
    async findKeyByTokenHash(tokenHash) {
      const row = await db.selectFrom('keys').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst();
      return row ? toKey(row) : null;
    },
    async revokeKey(id) {
      await db.updateTable('keys').set({ status: 'revoked' }).where('id', '=', id).execute();
      return findKey(id);
    },
    async listKeys({ limit, cursor }, { teamId }) {
      let query = db
        .selectFrom('keys')
        .selectAll()
        .orderBy('id', 'desc')
        .limit(limit + 1);
      if (teamId !== undefined) query = query.where('team_id', '=', teamId);
      if (cursor !== null) query = query.where('id', '<', cursor);
      return toPage((await query.execute()).map(toKey), limit);
    },
    async countKeys() {
      const row = await db
        .selectFrom('keys')
        .select((eb) => eb.fn.countAll<number | bigint>().as('n'))
        .executeTakeFirstOrThrow();
      return Number(row.n);
    },
  };
}

/** One row more than asked for was read, to know whether there is a next page. */
function toPage<T extends { readonly id: string }>(rows: readonly T[], limit: number): Listed<T> {
  const data = rows.slice(0, limit);
  return { data, nextCursor: rows.length > limit ? (data.at(-1)?.id ?? null) : null };
}

function toTeam(row: Selectable<Schema['teams']>): Team {
  // Ids were branded when they were written.
  return { ...TEAM_DEFAULTS, id: row.id as TeamId, name: row.name, createdAt: Number(row.created_at) };
}

function toKey(row: Selectable<Schema['keys']>): VirtualKey {
  return {
    ...KEY_DEFAULTS,
    id: row.id as KeyId,
    teamId: row.team_id as TeamId,
    name: row.name,
    tokenHash: row.token_hash,
    tokenHint: row.token_hint,
    endpoints: JSON.parse(row.endpoints) as string[],
    status: row.status === 'active' ? 'active' : 'revoked',
    expiresAt: row.expires_at === null ? null : Number(row.expires_at),
    createdAt: Number(row.created_at),
  };
}
