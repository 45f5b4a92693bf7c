// Teams in the shared store.
import { sql } from 'kysely';

import type { TeamStore } from '../domain/stores.ts';
import { appendAudit } from './audit.ts';
import { refuseTaken, toPage } from './changes.ts';
import type { Engine } from './engine.ts';
import { teamRow, toTeam } from './key-rows.ts';

const FREE_NAME = 'another team has that name; choose one that is free';

export function teamStore(engine: Engine): TeamStore {
  const { db } = engine;
  return {
    insertTeam: (team, deed) =>
      db.transaction().execute(async (tx) => {
        await refuseTaken(tx.insertInto('teams').values(teamRow(team)).execute(), 'name', team.name, FREE_NAME);
        await appendAudit(tx, engine, { ...deed, kind: 'team', id: team.id, before: null, after: team });
      }),
    updateTeam: (id, change, deed) =>
      db.transaction().execute(async (tx) => {
        const query = tx.selectFrom('teams').selectAll().where('id', '=', id);
        const row = await engine.lockRows(query).executeTakeFirst();
        if (row === undefined) return null;
        const before = toTeam(row);
        const after = change(before);
        if (after === before) return before;
        const writing = tx.updateTable('teams').set(teamRow(after)).where('id', '=', id).execute();
        await refuseTaken(writing, 'name', after.name, FREE_NAME);
        await appendAudit(tx, engine, { ...deed, kind: 'team', id, before, after });
        return after;
      }),
    async findTeam(id) {
      const row = await db.selectFrom('teams').selectAll().where('id', '=', id).executeTakeFirst();
      return row ? toTeam(row) : null;
    },
    async findTeamByName(name) {
      const query = db.selectFrom('teams').selectAll().where('name', '=', name);
      // Spelled out, because only then the index of names is used.
      const row = await query.where('status', '<>', sql.lit('deleted')).executeTakeFirst();
      return row ? toTeam(row) : null;
    },
    async listTeams({ limit, cursor }, { status }) {
      let query = db
        .selectFrom('teams')
        .selectAll()
        .orderBy('id', 'desc')
        .limit(limit + 1);
      if (cursor !== null) query = query.where('id', '<', cursor);
      query = status === undefined ? query.where('status', '<>', 'deleted') : query.where('status', '=', status);
      return toPage((await query.execute()).map(toTeam), limit);
    },
  };
}
