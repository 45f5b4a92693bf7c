// What callers ask of runs: to begin one, to hand in outputs, to stop one. Each is one transaction.
import type { Kysely } from 'kysely';

import type { NewRun, RunRequests } from '../domain/assistant-store.ts';
import type { RunId, ThreadId } from '../domain/assistants.ts';
import type { TeamId } from '../domain/id.ts';
import { type Run, type RunEvent, type RunStep, CANCELLABLE_STATUSES } from '../domain/run.ts';
import { changeResources, openThread, overfull, runsOf, writeMessages, writeThread } from './assistant-objects.ts';
import { inRun, runRow, stepRow, toRun, toStep } from './assistant-rows.ts';
import type { Engine } from './engine.ts';
import { appendHistory } from './history.ts';
import { writeEvents } from './run-events.ts';
import { type RunRow, NOBODY, endRun, openSteps, writeRun } from './run-rows.ts';
import type { Schema } from './schema.ts';

export function runRequests(engine: Engine): RunRequests {
  const { db } = engine;

  return {
    createRun: (request) =>
      db.transaction().execute(async (tx) => {
        const { teamId, thread, resources } = request;
        if (typeof thread !== 'string') {
          const threadPk = await writeThread(tx, engine, thread.thread, thread.messages);
          if (threadPk === null) throw new Error(`the new thread ${thread.thread.id} has the id of another`);
          const told: RunEvent[] = [{ event: 'thread.created', thread: thread.thread }];
          return { kind: 'created', run: await insertRun(tx, threadPk, request, told) };
        }
        const open = await openThread(tx, engine, teamId, thread);
        if ('kind' in open) return open;
        const full = overfull(open, request.additionalMessages.length);
        if (full !== null) return full;
        await writeMessages(tx, engine, open.pk, request.additionalMessages);
        if (resources) await changeResources(tx, open, resources);
        return { kind: 'created', run: await insertRun(tx, open.pk, request, []) };
      }),

    submitOutputs: (team, thread, id, outputs, expiresAt) =>
      db.transaction().execute(async (tx) => {
        const row = await lockRun(tx, engine, team, thread, id);
        if (row === undefined) return { kind: 'no_run' };
        const before = toRun(row);
        if (before.status !== 'requires_action') return { kind: 'wrong_state', status: before.status };
        const expected = (before.pendingCalls ?? []).map((call) => call.id);
        const byCall = new Map(outputs.map(({ callId, output }) => [callId, output]));
        const isWhole =
          byCall.size === outputs.length &&
          byCall.size === expected.length &&
          expected.every((call) => byCall.has(call));
        if (!isWhole) return { kind: 'mismatch', expected };

        const steps = await fillOutputs(tx, engine, row, byCall);
        await appendHistory(tx, row.thread_pk, engine.now(), await answerEntries(tx, row, expected, byCall));
        const change = { status: 'queued', pendingCalls: null, ...(expiresAt !== null && { expiresAt }) } as const;
        const { run } = await writeRun(tx, engine, row, change, NOBODY);
        const events: RunEvent[] = steps.map((step) => ({ event: 'thread.run.step.completed', step }));
        const last = await writeEvents(tx, run.ref, [...events, { event: 'thread.run.queued', run }]);
        return { kind: 'submitted', run, afterSeq: last - events.length - 1 };
      }),

    cancelRun: (team, thread, id) =>
      db.transaction().execute(async (tx) => {
        const row = await lockRun(tx, engine, team, thread, id);
        if (row === undefined) return { kind: 'no_run' };
        const before = toRun(row);
        if (!CANCELLABLE_STATUSES.some((status) => status === before.status))
          return { kind: 'wrong_state', status: before.status };
        const isHeld = before.status === 'in_progress' && row.lease_until > engine.now();
        const { run, row: cancelling } = await writeRun(tx, engine, row, { status: 'cancelling', pendingCalls: null });
        await writeEvents(tx, run.ref, [{ event: 'thread.run.cancelling', run }]);
        if (!isHeld) await endRun(tx, engine, cancelling, { status: 'cancelled' });
        return { kind: 'cancelling', run, isEnded: !isHeld };
      }),
  };
}

async function insertRun(
  tx: Kysely<Schema>,
  threadPk: number,
  request: NewRun,
  told: readonly RunEvent[],
): Promise<Run> {
  const { thread, additionalMessages: _messages, resources: _resources, ...asked } = request;
  const row = runRow(
    {
      ...asked,
      threadId: typeof thread === 'string' ? thread : thread.thread.id,
      status: 'queued',
      pendingCalls: null,
      lastError: null,
      incompleteReason: null,
      usage: null,
      startedAt: null,
      cancelledAt: null,
      failedAt: null,
      completedAt: null,
      turn: 0,
      reruns: 0,
      fence: 0,
      extra: {},
    },
    threadPk,
  );
  const inserted = await tx.insertInto('runs').values(row).returningAll().executeTakeFirstOrThrow();
  const run = toRun(inserted);
  await writeEvents(tx, run.ref, [...told, { event: 'thread.run.created', run }, { event: 'thread.run.queued', run }]);
  return run;
}

function lockRun(
  tx: Kysely<Schema>,
  { lockRows }: Engine,
  team: TeamId,
  thread: ThreadId,
  id: RunId,
): Promise<RunRow | undefined> {
  return lockRows(runsOf(tx, team, thread).selectAll('runs').where('runs.id', '=', id)).executeTakeFirst();
}

/** The steps that waited are complete now, with the outputs of their calls. */
async function fillOutputs(
  tx: Kysely<Schema>,
  engine: Engine,
  row: RunRow,
  byCall: ReadonlyMap<string, string>,
): Promise<readonly RunStep[]> {
  const filled: RunStep[] = [];
  for (const found of await openSteps(tx, row).execute()) {
    const open = toStep(found, inRun(row));
    if (open.details.type !== 'tool_calls') continue;
    const calls = open.details.tool_calls.map((call) =>
      call.type === 'function'
        ? { ...call, function: { ...call.function, output: byCall.get(call.id) ?? call.function.output } }
        : call,
    );
    const step: RunStep = {
      ...open,
      status: 'completed',
      completedAt: Math.floor(engine.now() / 1000),
      details: { type: 'tool_calls', tool_calls: calls },
    };
    await tx.updateTable('steps').set(stepRow(step, row.pk)).where('pk', '=', found.pk).execute();
    filled.push(step);
  }
  return filled;
}

/** Each answer stands in the history under the origin of its call, so that it is written once. */
async function answerEntries(
  tx: Kysely<Schema>,
  row: RunRow,
  callIds: readonly string[],
  byCall: ReadonlyMap<string, string>,
) {
  const calls = await tx
    .selectFrom('history')
    .select(['turn', 'out_ix', 'payload'])
    .where('thread_pk', '=', row.thread_pk)
    .where('run_id', '=', row.id)
    .where('turn', '=', row.turn)
    .where('kind', '=', 'function_call')
    .execute();
  return callIds.map((callId) => {
    const call = calls.find(({ payload }) => (JSON.parse(payload ?? '{}') as { call_id?: string }).call_id === callId);
    const payload = { type: 'function_call_output', call_id: callId, output: byCall.get(callId) ?? '' };
    return {
      kind: payload.type,
      message_pk: null,
      run_id: row.id,
      turn: call?.turn ?? null,
      out_ix: call?.out_ix ?? null,
      payload: JSON.stringify(payload),
    };
  });
}
