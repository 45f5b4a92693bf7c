// Virtual keys in the shared store.
import type { KeyId } from '../domain/id.ts';
import { auditedKey } from '../domain/key.ts';
import type { KeyStore } from '../domain/stores.ts';
import { appendAudit } from './audit.ts';
import { refuseTaken, toPage } from './changes.ts';
import type { Engine } from './engine.ts';
import { keyRow, toKey, toTeam } from './key-rows.ts';

const NEW_TOKEN = 'another key has that token; give one that is used nowhere else';

export function keyStore(engine: Engine): KeyStore {
  const { db } = engine;
  const byId = (id: KeyId) => db.selectFrom('keys').selectAll().where('id', '=', id);
  return {
    insertKey: (key, deed) =>
      db.transaction().execute(async (tx) => {
        const inserting = tx.insertInto('keys').values(keyRow(key)).execute();
        await refuseTaken(inserting, 'token', key.tokenHint, NEW_TOKEN);
        await appendAudit(tx, engine, { ...deed, kind: 'key', id: key.id, before: null, after: auditedKey(key) });
      }),
    updateKey: (id, change, deed) =>
      db.transaction().execute(async (tx) => {
        const query = tx.selectFrom('keys').selectAll().where('id', '=', id);
        const row = await engine.lockRows(query).executeTakeFirst();
        if (row === undefined) return null;
        const before = toKey(row);
        const teams = tx.selectFrom('teams').selectAll().where('id', '=', row.team_id);
        const after = change(before, toTeam(await teams.executeTakeFirstOrThrow()));
        if (after === before) return before;
        const writing = tx.updateTable('keys').set(keyRow(after)).where('id', '=', id).execute();
        await refuseTaken(writing, 'token', after.tokenHint, NEW_TOKEN);
        const digested = { before: auditedKey(before), after: auditedKey(after) };
        await appendAudit(tx, engine, { ...deed, kind: 'key', id, ...digested });
        return after;
      }),
    async findKey(id) {
      const row = await byId(id).executeTakeFirst();
      return row ? toKey(row) : null;
    },
    async findKeyByTokenHash(tokenHash) {
      const query = db
        .selectFrom('keys')
        .selectAll()
        .where((eb) => eb.or([eb('token_hash', '=', tokenHash), eb('former_hash', '=', tokenHash)]));
      // One that was given up by a rotation may have been given to another key since.
      const found = (await query.execute()).map(toKey);
      return found.find((key) => key.tokenHash === tokenHash) ?? found[0] ?? null;
    },
    async listKeys({ limit, cursor }, { teamId, userId, status, at }) {
      let query = db
        .selectFrom('keys')
        .selectAll()
        .orderBy('id', 'desc')
        .limit(limit + 1);
      if (cursor !== null) query = query.where('id', '<', cursor);
      if (teamId !== undefined) query = query.where('team_id', '=', teamId);
      if (userId !== undefined) query = query.where('user_id', '=', userId);
      if (status === undefined) query = query.where('status', '<>', 'deleted');
      else query = query.where('status', '=', status === 'expired' ? 'active' : status);
      if (status === 'expired') query = query.where('expires_at', '<=', at);
      if (status === 'active') {
        query = query.where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', at)]));
      }
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
