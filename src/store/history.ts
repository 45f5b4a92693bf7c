// The history of a thread, as a model is shown it: messages, and between them what runs asked of tools and were answered.
import type { Insertable, Kysely } from 'kysely';

import type { RunWork } from '../domain/assistant-store.ts';
import type { HistoryItem, HistoryPayload, RunId } from '../domain/assistants.ts';
import { toMessage } from './assistant-rows.ts';
import type { Engine } from './engine.ts';
import type { Schema } from './schema.ts';

type NewEntry = Omit<Insertable<Schema['history']>, 'thread_pk' | 'ord'>;

/**
 * Behind everything that stands, whatever the clock says. Within a transaction that holds the thread, or its active run.
 * An entry of a turn that stands already is left as it is.
 */
export async function appendHistory(
  tx: Kysely<Schema>,
  threadPk: number,
  nowMs: number,
  entries: readonly NewEntry[],
): Promise<void> {
  if (entries.length === 0) return;
  const last = await tx
    .selectFrom('history')
    .select('ord')
    .where('thread_pk', '=', threadPk)
    .orderBy('ord', 'desc')
    .limit(1)
    .executeTakeFirst();
  const from = Math.max(nowMs, (last?.ord ?? 0) + 1);
  const rows = entries.map((entry, i) => ({ ...entry, thread_pk: threadPk, ord: from + i }));
  await tx
    .insertInto('history')
    .values(rows)
    .onConflict((on) => on.doNothing())
    .execute();
}

export function historyReader({ db }: Engine): Pick<RunWork, 'readHistory'> {
  return {
    async readHistory(team, thread, { order, from, limit }) {
      let query = db
        .selectFrom('history')
        .innerJoin('threads', 'threads.pk', 'history.thread_pk')
        .select([
          'history.ord',
          'history.message_pk',
          'history.run_id',
          'history.turn',
          'history.out_ix',
          'history.payload',
        ])
        .where('threads.team_id', '=', team)
        .where('threads.id', '=', thread)
        .orderBy('history.ord', order)
        .orderBy('history.pk', order)
        .limit(limit);
      if (from !== null) query = query.where('history.ord', order === 'asc' ? '>' : '<', from);
      const rows = await query.execute();

      const pks = rows.map((row) => row.message_pk).filter((pk) => pk !== null);
      const messages =
        pks.length === 0 ? [] : await db.selectFrom('messages').selectAll().where('pk', 'in', pks).execute();
      const byPk = new Map(messages.map((row) => [row.pk, toMessage(row, { teamId: team, threadId: thread })]));

      const items: { readonly ord: number; readonly item: HistoryItem }[] = [];
      for (const { ord, message_pk, run_id, turn, out_ix, payload } of rows) {
        const where = { turn, outIx: out_ix, runId: run_id as RunId | null };
        if (message_pk === null) {
          items.push({ ord, item: { ...where, kind: 'call', payload: JSON.parse(payload ?? '') as HistoryPayload } });
          continue;
        }
        // One that was deleted between the two queries is shown no more.
        const message = byPk.get(message_pk);
        if (message !== undefined) items.push({ ord, item: { ...where, kind: 'message', message } });
      }
      return items;
    },
  };
}
