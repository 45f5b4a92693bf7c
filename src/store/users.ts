// Users in the shared store.
import { sql } from 'kysely';

import type { UserStore } from '../domain/stores.ts';
import { auditedUser } from '../domain/user.ts';
import { appendAudit } from './audit.ts';
import { refuseTaken, toPage } from './changes.ts';
import type { Engine } from './engine.ts';
import { toUser, userRow } from './key-rows.ts';

const FREE_NAME = 'another user has that name; choose one that is free';

export function userStore(engine: Engine): UserStore {
  const { db } = engine;
  return {
    insertUser: (user, deed) =>
      db.transaction().execute(async (tx) => {
        await refuseTaken(tx.insertInto('users').values(userRow(user)).execute(), 'name', user.name, FREE_NAME);
        await appendAudit(tx, engine, { ...deed, kind: 'user', id: user.id, before: null, after: auditedUser(user) });
      }),
    updateUser: (id, change, deed) =>
      db.transaction().execute(async (tx) => {
        const query = tx.selectFrom('users').selectAll().where('id', '=', id);
        const row = await engine.lockRows(query).executeTakeFirst();
        if (row === undefined) return null;
        const before = toUser(row);
        const after = change(before);
        if (after === before) return before;
        const writing = tx.updateTable('users').set(userRow(after)).where('id', '=', id).execute();
        await refuseTaken(writing, 'name', after.name, FREE_NAME);
        const digested = { before: auditedUser(before), after: auditedUser(after) };
        await appendAudit(tx, engine, { ...deed, kind: 'user', id, ...digested });
        return after;
      }),
    async findUser(id) {
      const row = await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst();
      return row ? toUser(row) : null;
    },
    async findUserByName(name) {
      const query = db.selectFrom('users').selectAll().where('name', '=', name);
      const row = await query.where('status', '<>', sql.lit('deleted')).executeTakeFirst();
      return row ? toUser(row) : null;
    },
    async findUserByTokenHash(tokenHash) {
      const row = await db.selectFrom('users').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst();
      return row ? toUser(row) : null;
    },
    async listUsers({ limit, cursor }, { teamId, status }) {
      let query = db
        .selectFrom('users')
        .selectAll()
        .orderBy('id', 'desc')
        .limit(limit + 1);
      if (cursor !== null) query = query.where('id', '<', cursor);
      if (teamId !== undefined) query = query.where('team_id', '=', teamId);
      query = status === undefined ? query.where('status', '<>', 'deleted') : query.where('status', '=', status);
      return toPage((await query.execute()).map(toUser), limit);
    },
  };
}
