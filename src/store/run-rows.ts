// How the row of a run changes, together with what is open under it and the events that tell of it. Always within a
// transaction that holds the row.
import type { Kysely, Selectable } from 'kysely';

import type { MessageIncompleteReason } from '../domain/assistants.ts';
import {
  type Run,
  type RunError,
  type RunEvent,
  type RunStatus,
  type RunStep,
  type StepStatus,
  type TerminalStatus,
  RUN_TRANSITIONS,
  brokenOff,
  eventsOf,
  isTerminal,
} from '../domain/run.ts';
import { inRun, messageRow, runColumns, stepRow, toMessage, toRun, toStep } from './assistant-rows.ts';
import type { Engine } from './engine.ts';
import { writeEvents } from './run-events.ts';
import type { Schema } from './schema.ts';

export type RunRow = Selectable<Schema['runs']>;

/** Who holds the run: unchanged where it is not named. */
export interface Hold {
  readonly lease_owner: string | null;
  readonly lease_until: number;
  readonly next_try_ms: number;
}

export const NOBODY: Hold = { lease_owner: null, lease_until: 0, next_try_ms: 0 };

/** @throws Error where a state is not one that may follow: a bug, for callers look first. */
export async function writeRun(
  tx: Kysely<Schema>,
  { now }: Engine,
  row: RunRow,
  change: Partial<Omit<Run, 'ref' | 'spec'>>,
  hold: Partial<Hold> = {},
): Promise<{ readonly run: Run; readonly row: RunRow }> {
  const before = toRun(row);
  const run: Run = { ...before, ...change };
  if (run.status !== before.status && !(RUN_TRANSITIONS[before.status] as readonly RunStatus[]).includes(run.status)) {
    throw new Error(`the run ${run.id} cannot go from ${before.status} to ${run.status}`);
  }
  const ended = isTerminal(run.status) ? { ...NOBODY, ended_ms: now() } : {};
  const columns = { ...runColumns(run), ...hold, ...ended };
  await tx.updateTable('runs').set(columns).where('pk', '=', row.pk).execute();
  return { run, row: { ...row, ...columns } };
}

/** What becomes of messages and steps that are still open when their run ends so. */
const CLOSING: Readonly<
  Record<TerminalStatus, { readonly message: MessageIncompleteReason; readonly step: StepStatus }>
> = {
  cancelled: { message: 'run_cancelled', step: 'cancelled' },
  expired: { message: 'run_expired', step: 'expired' },
  failed: { message: 'run_failed', step: 'failed' },
  incomplete: { message: 'max_tokens', step: 'completed' },
  completed: { message: 'run_failed', step: 'completed' },
};

export interface RunEnd {
  readonly status: TerminalStatus;
  readonly error?: RunError;
  readonly change?: Partial<Pick<Run, 'usage' | 'incompleteReason'>>;
}

/** Ends a run: first what is open under it, then the run itself, each with its event. */
export async function endRun(tx: Kysely<Schema>, engine: Engine, row: RunRow, end: RunEnd): Promise<Run> {
  const at = Math.floor(engine.now() / 1000);
  const events: RunEvent[] = [
    ...(await closeMessages(tx, row, CLOSING[end.status].message, at)),
    ...(await closeSteps(tx, row, CLOSING[end.status].step, at, end.error)),
    // A worker that brings its run to an end has told everything; whoever else ends it finds what waited for outputs.
    ...(end.status === 'cancelled' || end.status === 'expired' ? await untold(tx, row) : []),
  ];
  const { run } = await writeRun(tx, engine, row, {
    ...end.change,
    status: end.status,
    pendingCalls: null,
    lastError: end.error ?? null,
    ...(end.status === 'cancelled' && { cancelledAt: at }),
    ...(end.status === 'failed' && { failedAt: at }),
    ...(end.status === 'completed' && { completedAt: at }),
  });
  await writeEvents(tx, run.ref, [...events, { event: `thread.run.${end.status}`, run }]);
  return run;
}

async function closeMessages(
  tx: Kysely<Schema>,
  row: RunRow,
  reason: MessageIncompleteReason,
  at: number,
): Promise<RunEvent[]> {
  const open = await tx
    .selectFrom('messages')
    .selectAll()
    .where('thread_pk', '=', row.thread_pk)
    .where('run_id', '=', row.id)
    .where('status', '=', 'in_progress')
    .orderBy('pk')
    .execute();
  const events: RunEvent[] = [];
  for (const found of open) {
    const message = brokenOff(toMessage(found, inRun(row)), reason, at);
    await tx.updateTable('messages').set(messageRow(message, row.thread_pk)).where('pk', '=', found.pk).execute();
    events.push({ event: 'thread.message.incomplete', message });
  }
  return events;
}

async function closeSteps(
  tx: Kysely<Schema>,
  row: RunRow,
  status: StepStatus,
  at: number,
  error: RunError | undefined,
): Promise<RunEvent[]> {
  const open = await openSteps(tx, row).execute();
  const events: RunEvent[] = [];
  for (const found of open) {
    const step: RunStep = {
      ...toStep(found, inRun(row)),
      status,
      ...(status === 'cancelled' && { cancelledAt: at }),
      ...(status === 'expired' && { expiredAt: at }),
      ...(status === 'completed' && { completedAt: at }),
      ...(status === 'failed' && { failedAt: at, lastError: stepError(error) }),
    };
    await tx.updateTable('steps').set(stepRow(step, row.pk)).where('pk', '=', found.pk).execute();
    events.push({ event: `thread.run.step.${status}`, step });
  }
  return events;
}

/** The events of what is complete, and was to be told behind the outputs of a function. */
async function untold(tx: Kysely<Schema>, row: RunRow): Promise<RunEvent[]> {
  const steps = await tx
    .selectFrom('steps')
    .selectAll()
    .where('run_pk', '=', row.pk)
    .where('status', '=', 'completed')
    .orderBy('turn')
    .orderBy('out_ix')
    .execute();
  if (steps.length === 0) return [];
  const begun = await tx
    .selectFrom('run_events')
    .select('data')
    .where('run_pk', '=', row.pk)
    .where('event', '=', 'thread.run.step.created')
    .execute();
  const told = new Set(begun.map(({ data }) => (JSON.parse(data) as { step: RunStep }).step.id));
  const events: RunEvent[] = [];
  for (const found of steps) {
    const step = toStep(found, inRun(row));
    if (told.has(step.id)) continue;
    const { details } = step;
    const message =
      details.type === 'message_creation'
        ? await tx
            .selectFrom('messages')
            .selectAll()
            .where('thread_pk', '=', row.thread_pk)
            .where('id', '=', details.message_creation.message_id)
            .executeTakeFirst()
        : undefined;
    events.push(...eventsOf(step, message && toMessage(message, inRun(row))));
  }
  return events;
}

export function openSteps(tx: Kysely<Schema>, row: RunRow) {
  return tx
    .selectFrom('steps')
    .selectAll()
    .where('run_pk', '=', row.pk)
    .where('status', '=', 'in_progress')
    .orderBy('pk');
}

/** Steps know two codes only. */
function stepError(error: RunError | undefined): RunStep['lastError'] {
  if (error === undefined) return null;
  const code = error.code === 'rate_limit_exceeded' ? error.code : 'server_error';
  return { code, message: error.message };
}
