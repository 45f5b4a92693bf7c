// What is told of runs, kept for whoever reads on after a lost connection.
import type { Kysely } from 'kysely';

import type { RunEventLog } from '../domain/assistant-store.ts';
import type { PlacedEvent, Run, RunEvent, RunRef } from '../domain/run.ts';
import { toRun } from './assistant-rows.ts';
import type { Engine } from './engine.ts';
import type { Schema } from './schema.ts';

export function runEventLog({ db, lockRows }: Engine): RunEventLog {
  return {
    appendEvents: (run, events) =>
      db.transaction().execute(async (tx) => {
        // Whoever writes events holds the run's row, so that no place is given twice.
        await lockRows(tx.selectFrom('runs').select('pk').where('pk', '=', run)).execute();
        return writeEvents(tx, run, events);
      }),

    async readEvents(run, afterSeq, limit) {
      const row = await db.selectFrom('runs').selectAll().where('pk', '=', run).executeTakeFirst();
      if (row === undefined) return [];
      const { spec } = toRun(row);
      const rows = await db
        .selectFrom('run_events')
        .select(['seq', 'data'])
        .where('run_pk', '=', run)
        .where('seq', '>', afterSeq)
        .orderBy('seq')
        .limit(limit)
        .execute();
      return rows.map(({ seq, data }): PlacedEvent => ({ seq, event: withSpec(JSON.parse(data) as KeptEvent, spec) }));
    },

    async purgeEvents(endedBefore, rowsMax) {
      const { numDeletedRows } = await db
        .deleteFrom('run_events')
        .where('run_pk', 'in', (eb) =>
          eb
            .selectFrom('runs')
            .select('pk')
            .where('ended_ms', '<', endedBefore)
            .where((run) =>
              run.exists(
                run.selectFrom('run_events as kept').select('kept.seq').whereRef('kept.run_pk', '=', 'runs.pk'),
              ),
            )
            .orderBy('ended_ms')
            .limit(rowsMax),
        )
        .executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}

/** Within a transaction that holds the run's row. @returns the place of the last event */
export async function writeEvents(tx: Kysely<Schema>, run: RunRef, events: readonly RunEvent[]): Promise<number> {
  const last = await tx
    .selectFrom('run_events')
    .select('seq')
    .where('run_pk', '=', run)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  const from = last?.seq ?? 0;
  if (events.length === 0) return from;
  const rows = events.map((event, i) => ({
    run_pk: run,
    seq: from + 1 + i,
    event: event.event,
    data: JSON.stringify(withoutSpec(event)),
  }));
  await tx.insertInto('run_events').values(rows).execute();
  return from + rows.length;
}

/** The spec of a run never changes and may be large: it stands in the run's row alone. */
type KeptEvent =
  | Exclude<RunEvent, { run: Run }>
  | { readonly event: RunEvent['event']; readonly run: Omit<Run, 'spec'> };

function withoutSpec(event: RunEvent): KeptEvent {
  if (!('run' in event)) return event;
  const { spec: _spec, ...run } = event.run;
  return { event: event.event, run };
}

function withSpec(event: KeptEvent, spec: Run['spec']): RunEvent {
  // The name and the object of an event were kept together, as they came.
  return 'run' in event ? ({ event: event.event, run: { ...event.run, spec } } as RunEvent) : event;
}
