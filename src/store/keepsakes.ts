// What is kept beside the objects of the Assistants API: files that runs made, and answers to requests that may come twice.
import type { Kysely } from 'kysely';

import type { IdempotencyEntry, Keepsakes } from '../domain/assistant-store.ts';
import type { FileId } from '../domain/assistants.ts';
import type { TeamId } from '../domain/id.ts';
import { objectsOut } from './assistant-export.ts';
import { objectsIn } from './assistant-import.ts';
import { threadOf } from './assistant-objects.ts';
import { generatedFileRow, toGeneratedFile } from './assistant-rows.ts';
import type { Engine } from './engine.ts';
import type { Schema } from './schema.ts';

/** Largest piece of a file in one row, bytes: small enough to pass through memory many at a time. */
const PART_BYTES_MAX = 1024 * 1024;

export function keepsakes(engine: Engine): Keepsakes {
  const { db, now } = engine;
  return {
    ...objectsIn(engine),
    ...objectsOut(engine),

    async insertGeneratedFile(file, content) {
      const parts: Buffer[] = [];
      // Read before the transaction begins, for on SQLite everybody else would wait for the slowest upstream.
      for await (const chunk of content)
        for (let at = 0; at < chunk.length; at += PART_BYTES_MAX) parts.push(chunk.subarray(at, at + PART_BYTES_MAX));
      return db.transaction().execute(async (tx) => {
        // Held, so that it does not go in between and leave the file to nobody.
        const thread = await engine.lockRows(threadOf(tx, file.teamId, file.threadId).select('pk')).executeTakeFirst();
        if (thread === undefined) return false;
        const { pk } = await tx
          .insertInto('generated_files')
          .values(generatedFileRow(file))
          .returning('pk')
          .executeTakeFirstOrThrow();
        for (const [part, bytes] of parts.entries()) {
          await tx.insertInto('generated_file_parts').values({ file_pk: pk, part, content: bytes }).execute();
        }
        return true;
      });
    },
    async findGeneratedFile(team, id) {
      const row = await fileOf(db, team, id).selectAll().executeTakeFirst();
      return row ? toGeneratedFile(row) : null;
    },
    async *readGeneratedFile(team, id) {
      const file = await fileOf(db, team, id).select('pk').executeTakeFirst();
      if (file === undefined) return;
      for (let part = 0; ; part++) {
        const row = await db
          .selectFrom('generated_file_parts')
          .select('content')
          .where('file_pk', '=', file.pk)
          .where('part', '=', part)
          .executeTakeFirst();
        if (row === undefined) return;
        yield Buffer.from(row.content.buffer, row.content.byteOffset, row.content.byteLength);
      }
    },
    async deleteGeneratedFile(team, id) {
      const query = db.deleteFrom('generated_files').where('team_id', '=', team).where('id', '=', id);
      return (await query.executeTakeFirst()).numDeletedRows === 1n;
    },

    async reserveIdempotency(entry) {
      const { teamId, key, route, bodyHash } = entry;
      const row = { team_id: teamId, key, route, body_hash: bodyHash, reply: null, reserved_ms: now() };
      const inserted = await db
        .insertInto('idempotency')
        .values(row)
        .onConflict((on) => on.doNothing())
        .executeTakeFirst();
      if (inserted.numInsertedOrUpdatedRows === 1n) return { kind: 'new' };
      const kept = await idempotent(db, entry).executeTakeFirst();
      if (kept === undefined) return { kind: 'new' };
      if (kept.route !== route || kept.body_hash !== bodyHash) return { kind: 'other' };
      return { kind: 'same', reply: kept.reply, reservedMs: kept.reserved_ms };
    },
    async settleIdempotency(entry, reply) {
      const { teamId, key } = entry;
      if (reply === null)
        await db.deleteFrom('idempotency').where('team_id', '=', teamId).where('key', '=', key).execute();
      else
        await db
          .updateTable('idempotency')
          .set({ reply })
          .where('team_id', '=', teamId)
          .where('key', '=', key)
          .execute();
    },
    async purgeIdempotency(reservedBefore, rowsMax) {
      const keys = await db
        .selectFrom('idempotency')
        .select(['team_id', 'key'])
        .where('reserved_ms', '<', reservedBefore)
        .orderBy('reserved_ms')
        .limit(rowsMax)
        .execute();
      for (const { team_id, key } of keys) {
        await db.deleteFrom('idempotency').where('team_id', '=', team_id).where('key', '=', key).execute();
      }
      return keys.length;
    },
  };
}

function fileOf(db: Kysely<Schema>, team: TeamId, id: FileId) {
  return db.selectFrom('generated_files').where('team_id', '=', team).where('id', '=', id);
}

function idempotent(db: Kysely<Schema>, { teamId, key }: IdempotencyEntry) {
  return db.selectFrom('idempotency').selectAll().where('team_id', '=', teamId).where('key', '=', key);
}
