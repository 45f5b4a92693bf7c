// Runs in the store: the thread lock, leases and fences, and what each transition leaves behind.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import type { AssistantStore, Claim } from '../../src/domain/assistant-store.ts';
import type { Message, Thread } from '../../src/domain/assistants.ts';
import { newObjectId } from '../../src/domain/id.ts';
import type { PendingCall, Run, RunRef, Usage } from '../../src/domain/run.ts';
import { assistantStore } from '../../src/store/assistants.ts';
import type { Engine } from '../../src/store/engine.ts';
import { BLUE, RED, aMessage, aRun, aStep, aThread } from '../support/assistant-objects.ts';
import { handClock, onBothEngines } from '../support/engines.ts';

const USAGE: Usage = { prompt_tokens: 20, completion_tokens: 5, total_tokens: 25 };
const CALL: PendingCall = { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{}' } };

onBothEngines('runs', (open) => {
  let engine: Engine;
  let store: AssistantStore;
  let clock: ReturnType<typeof handClock>;
  let thread: Thread;

  beforeEach(async () => {
    clock = handClock();
    engine = await open(clock);
    store = assistantStore(engine);
    thread = aThread();
    await store.insertThread(thread, [aMessage(thread, 'Solve 3x + 11 = 14')]);
  });
  afterEach(() => engine.close());

  async function created(over: Parameters<typeof aRun>[1] = {}): Promise<Run> {
    const outcome = await store.createRun(aRun(thread, over));
    assert.equal(outcome.kind, 'created');
    return (outcome as { run: Run }).run;
  }

  async function claimed(run: Run, leaseMs = 20_000): Promise<Claim> {
    const claim = await store.claim({ owner: 'me', leaseMs, run: run.ref });
    assert.ok(claim);
    return claim;
  }

  async function waiting(): Promise<{ run: Run; claim: Claim }> {
    const run = await created();
    const claim = await claimed(run);
    const turn = await store.beginTurn(claim.lease);
    assert.equal(turn, 1);
    const step = aStep(run, {
      details: { type: 'tool_calls', tool_calls: [{ ...CALL, function: { ...CALL.function, output: null } }] },
    });
    const payload = { type: 'function_call', call_id: 'call_a', name: 'weather', arguments: '{}' };
    const ended = await store.endTurn(
      claim.lease,
      { status: 'requires_action', pendingCalls: [CALL], usage: USAGE },
      {
        steps: [step],
        items: [{ kind: 'call', turn: 1, outIx: 0, payload }],
        events: [{ event: 'thread.run.step.created', step }],
      },
    );
    assert.equal(ended?.status, 'requires_action');
    return { run, claim };
  }

  const names = async (ref: RunRef, after = 0) =>
    (await store.readEvents(ref, after, 100)).map(({ event }) => event.event);

  test('a new run is queued, told, and found again as it was made', async () => {
    const run = await created({ metadata: { a: 'b' }, include: ['x'] });
    assert.equal(run.status, 'queued');
    assert.deepEqual(await store.findRun(RED, thread.id, run.id), run);
    assert.deepEqual(await names(run.ref), ['thread.run.created', 'thread.run.queued']);
    const [first] = await store.readEvents(run.ref, 0, 1);
    assert.deepEqual(first, { seq: 1, event: { event: 'thread.run.created', run } });
  });

  test('a thread has one active run, and while it has, it takes no message and no other run', async () => {
    const run = await created();
    const locked = { kind: 'locked', runId: run.id };
    assert.deepEqual(await store.createRun(aRun(thread, { additionalMessages: [aMessage(thread, 'more')] })), locked);
    assert.deepEqual(await store.addMessage(aMessage(thread, 'more')), locked);
    const page = await store.listMessages(RED, thread.id, { limit: 10, order: 'asc' }, {});
    assert.equal(page?.kind === 'page' && page.data.length, 1, 'the refused run left no message behind');
  });

  test('of many runs begun at once on one thread, exactly one is created', async () => {
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => store.createRun(aRun(thread))));
    assert.equal(outcomes.filter(({ kind }) => kind === 'created').length, 1);
    assert.equal(outcomes.filter(({ kind }) => kind === 'locked').length, 7);
  });

  test('a run and its new thread, with messages and events, are made in one go', async () => {
    const fresh = aThread();
    const outcome = await store.createRun(
      aRun(fresh, { thread: { thread: fresh, messages: [aMessage(fresh, 'hi')] } }),
    );
    assert.equal(outcome.kind, 'created');
    const { run } = outcome as { run: Run };
    assert.deepEqual(await names(run.ref), ['thread.created', 'thread.run.created', 'thread.run.queued']);
    assert.deepEqual(await store.findThread(RED, fresh.id), fresh);
  });

  test('no run is created on an unknown thread, nor on that of another team', async () => {
    assert.deepEqual(await store.createRun(aRun({ id: 'thread_none', teamId: RED })), { kind: 'no_thread' });
    assert.deepEqual(await store.createRun(aRun({ id: thread.id, teamId: BLUE })), { kind: 'no_thread' });
  });

  test('eight claimers, one run: one of them gets it', async () => {
    const run = await created();
    const claims = await Promise.all(
      Array.from({ length: 8 }, (_, i) => store.claim({ owner: `w${i}`, leaseMs: 1000 })),
    );
    const won = claims.filter((claim) => claim !== null);
    assert.equal(won.length, 1);
    assert.equal(won[0]?.run.id, run.id);
    assert.equal(won[0]?.run.status, 'in_progress');
    assert.equal(won[0]?.from, 'queued');
  });

  test('the oldest run is claimed first, and teams that run enough are passed over', async () => {
    const first = await created();
    const other = aThread({ teamId: BLUE });
    await store.insertThread(other, []);
    const second = (await store.createRun(aRun(other))) as { run: Run };
    assert.equal((await store.claim({ owner: 'w', leaseMs: 1000, exceptTeams: [RED] }))?.run.id, second.run.id);
    assert.equal((await store.claim({ owner: 'w', leaseMs: 1000 }))?.run.id, first.id);
    assert.equal(await store.claim({ owner: 'w', leaseMs: 1000 }), null);
  });

  test('a lapsed lease is taken over, a rerun counted, and the old holder writes nothing any more', async () => {
    const run = await created();
    const old = await claimed(run, 20_000);
    clock.turn(20_001);
    const taken = await claimed(run);
    assert.equal(taken.from, 'lapsed');
    assert.equal(taken.run.reruns, 1);
    assert.equal(await store.heartbeat(old.lease, 20_000), null);
    assert.equal(await store.commit(old.lease, { messages: [aMessage(thread, 'late')] }), null);
    assert.equal(await store.endTurn(old.lease, { status: 'completed', usage: USAGE }, {}), null);
    assert.equal((await store.findRun(RED, thread.id, run.id))?.status, 'in_progress');
  });

  test('a released run is taken over at once and no rerun is counted', async () => {
    const run = await created();
    const { lease } = await claimed(run);
    await store.release(lease);
    const taken = await claimed(run);
    assert.equal(taken.from, 'released');
    assert.equal(taken.run.reruns, 0);
  });

  test('a run released until later is not claimed before', async () => {
    const run = await created();
    const { lease } = await claimed(run);
    await store.release(lease, store.now() + 5000);
    assert.equal(await store.claim({ owner: 'w', leaseMs: 1000 }), null);
    clock.turn(5000);
    assert.equal((await store.claim({ owner: 'w', leaseMs: 1000 }))?.run.id, run.id);
  });

  test('a turn that ends without calls completes the run, frees the thread, and tells it', async () => {
    const run = await created();
    const { lease } = await claimed(run);
    await store.beginTurn(lease);
    const message: Message = aMessage(thread, 'x = 1', {
      role: 'assistant',
      runId: run.id,
      assistantId: run.assistantId,
      origin: { turn: 1, outIx: 0 },
    });
    const step = aStep(run, {
      details: { type: 'message_creation', message_creation: { message_id: message.id } },
      status: 'completed',
    });
    const change = {
      messages: [message],
      steps: [step],
      items: [{ kind: 'message', messageId: message.id, turn: 1, outIx: 0 }],
    } as const;
    const ended = await store.endTurn(lease, { status: 'completed', usage: USAGE }, change);
    assert.equal(ended?.status, 'completed');
    assert.deepEqual(ended?.usage, USAGE);
    assert.equal((await names(run.ref)).at(-1), 'thread.run.completed');
    assert.deepEqual(await store.findMessage(RED, thread.id, message.id), message);
    assert.deepEqual(await store.findStep(RED, thread.id, run.id, step.id), step);
    assert.deepEqual(await store.addMessage(aMessage(thread, 'thanks')), { kind: 'added' });
    const history = await store.readHistory(RED, thread.id, { order: 'asc', from: null, limit: 10 });
    const texts = history.map(({ item }) => item.kind === 'message' && item.message.content[0]);
    assert.deepEqual(
      texts.map((part) => part && part.type === 'text' && part.text.value),
      ['Solve 3x + 11 = 14', 'x = 1', 'thanks'],
    );
  });

  test('an output item written twice leaves one message', async () => {
    const run = await created();
    const { lease } = await claimed(run);
    await store.beginTurn(lease);
    const made = {
      role: 'assistant',
      runId: run.id,
      assistantId: run.assistantId,
      origin: { turn: 1, outIx: 0 },
    } as const;
    const first = aMessage(thread, 'first', made);
    await store.commit(lease, {
      messages: [first],
      items: [{ kind: 'message', messageId: first.id, turn: 1, outIx: 0 }],
    });
    await store.commit(lease, { messages: [aMessage(thread, 'second', made)] });
    await store.commit(lease, { messages: [{ ...first, metadata: { mended: 'yes' } }] });
    const page = await store.listMessages(RED, thread.id, { limit: 10, order: 'asc' }, { runId: run.id });
    assert.deepEqual(page?.kind === 'page' && page.data.map(({ id, metadata }) => [id, metadata]), [
      [first.id, { mended: 'yes' }],
    ]);
  });

  test('outputs complete the waiting step, enter the history behind their calls, and queue the run again', async () => {
    const { run } = await waiting();
    const before = await names(run.ref);
    const outcome = await store.submitOutputs(RED, thread.id, run.id, [{ callId: 'call_a', output: 'sunny' }], null);
    assert.equal(outcome.kind, 'submitted');
    const { run: queued, afterSeq } = outcome as { run: Run; afterSeq: number };
    assert.equal(queued.status, 'queued');
    assert.equal(queued.pendingCalls, null);
    assert.equal(afterSeq, before.length);
    assert.deepEqual(await names(run.ref, afterSeq), ['thread.run.step.completed', 'thread.run.queued']);
    const history = await store.readHistory(RED, thread.id, { order: 'asc', from: null, limit: 10 });
    assert.deepEqual(
      history.map(({ item }) => (item.kind === 'call' ? item.payload : item.kind)),
      [
        'message',
        { type: 'function_call', call_id: 'call_a', name: 'weather', arguments: '{}' },
        { type: 'function_call_output', call_id: 'call_a', output: 'sunny' },
      ],
    );
    const steps = await store.listSteps(RED, thread.id, run.id, { limit: 10, order: 'asc' });
    const [step] = steps?.kind === 'page' ? steps.data : [];
    assert.equal(step?.status, 'completed');
    assert.equal(
      step?.details.type === 'tool_calls' &&
        step.details.tool_calls[0]?.type === 'function' &&
        step.details.tool_calls[0].function.output,
      'sunny',
    );
  });

  test('outputs must answer every pending call, and no other', async () => {
    const { run } = await waiting();
    const expected = { kind: 'mismatch', expected: ['call_a'] };
    assert.deepEqual(await store.submitOutputs(RED, thread.id, run.id, [], null), expected);
    const twice = [
      { callId: 'call_a', output: '' },
      { callId: 'call_b', output: '' },
    ];
    assert.deepEqual(await store.submitOutputs(RED, thread.id, run.id, twice, null), expected);
    assert.deepEqual(await store.submitOutputs(BLUE, thread.id, run.id, [], null), { kind: 'no_run' });
  });

  test('a run that waits for nothing takes no outputs', async () => {
    const run = await created();
    assert.deepEqual(await store.submitOutputs(RED, thread.id, run.id, [], null), {
      kind: 'wrong_state',
      status: 'queued',
    });
  });

  test('a run that nobody works on is cancelled at once, and still answered as cancelling', async () => {
    const { run } = await waiting();
    const outcome = await store.cancelRun(RED, thread.id, run.id);
    assert.equal(outcome.kind === 'cancelling' && outcome.run.status, 'cancelling');
    assert.equal(outcome.kind === 'cancelling' && outcome.isEnded, true);
    const after = await store.findRun(RED, thread.id, run.id);
    assert.equal(after?.status, 'cancelled');
    assert.equal(after?.cancelledAt, 1_750_000_000);
    assert.equal(after?.pendingCalls, null);
    assert.deepEqual((await names(run.ref)).slice(-3), [
      'thread.run.cancelling',
      'thread.run.step.cancelled',
      'thread.run.cancelled',
    ]);
    assert.deepEqual(await store.cancelRun(RED, thread.id, run.id), { kind: 'wrong_state', status: 'cancelled' });
  });

  test('a run that is worked on is cancelling until its worker ends it', async () => {
    const run = await created();
    const { lease } = await claimed(run);
    await store.beginTurn(lease);
    const message = aMessage(thread, 'x =', {
      status: 'in_progress',
      role: 'assistant',
      runId: run.id,
      origin: { turn: 1, outIx: 0 },
      completedAt: null,
    });
    const step = aStep(run, { details: { type: 'message_creation', message_creation: { message_id: message.id } } });
    await store.commit(lease, { messages: [message], steps: [step] });
    const outcome = await store.cancelRun(RED, thread.id, run.id);
    assert.equal(outcome.kind === 'cancelling' && outcome.isEnded, false);
    assert.equal(await store.heartbeat(lease, 20_000), 'cancelling');
    assert.equal(await store.endTurn(lease, { status: 'completed', usage: USAGE }, {}), null);
    const ended = await store.finishCancel(lease);
    assert.equal(ended?.status, 'cancelled');
    assert.deepEqual((await names(run.ref)).slice(-4), [
      'thread.run.cancelling',
      'thread.message.incomplete',
      'thread.run.step.cancelled',
      'thread.run.cancelled',
    ]);
    const cut = await store.findMessage(RED, thread.id, message.id);
    assert.equal(cut?.status, 'incomplete');
    assert.equal(cut?.incompleteReason, 'run_cancelled');
  });

  test('a completion that commits first makes the cancel come too late', async () => {
    const run = await created();
    const { lease } = await claimed(run);
    await store.endTurn(lease, { status: 'completed', usage: USAGE }, {});
    assert.deepEqual(await store.cancelRun(RED, thread.id, run.id), { kind: 'wrong_state', status: 'completed' });
  });

  test('the sweep expires every run whose time is over, whoever holds it, and frees the thread', async () => {
    const run = await created();
    const { lease } = await claimed(run, 10_000_000);
    assert.deepEqual(await store.sweepRuns(10), []);
    clock.turn(600_000);
    const swept = await store.sweepRuns(10);
    assert.deepEqual(
      swept.map(({ id, status }) => [id, status]),
      [[run.id, 'expired']],
    );
    assert.equal(await store.heartbeat(lease, 1000), null);
    assert.equal(await store.claim({ owner: 'w', leaseMs: 1 }), null);
    assert.equal((await store.addMessage(aMessage(thread, 'next'))).kind, 'added');
  });

  test('the sweep ends a cancelling run whose worker was lost', async () => {
    const run = await created();
    await claimed(run, 20_000);
    await store.cancelRun(RED, thread.id, run.id);
    assert.deepEqual(await store.sweepRuns(10), []);
    clock.turn(20_000);
    assert.deepEqual(
      (await store.sweepRuns(10)).map(({ status }) => status),
      ['cancelled'],
    );
  });

  test('a failed turn closes what is open and says why', async () => {
    const run = await created();
    const { lease } = await claimed(run);
    await store.beginTurn(lease);
    const step = aStep(run);
    const error = { code: 'rate_limit_exceeded', message: 'Too much.' } as const;
    const ended = await store.endTurn(lease, { status: 'failed', error, usage: null }, { steps: [step] });
    assert.deepEqual(ended?.lastError, error);
    assert.equal(ended?.failedAt, 1_750_000_000);
    const failed = await store.findStep(RED, thread.id, run.id, step.id);
    assert.equal(failed?.status, 'failed');
    assert.deepEqual(failed?.lastError, error);
    assert.deepEqual((await names(run.ref)).slice(-2), ['thread.run.step.failed', 'thread.run.failed']);
  });

  test('deleting a thread takes its run along, and the worker learns that it lost it', async () => {
    const run = await created();
    const { lease } = await claimed(run);
    const gone = await store.deleteThread(RED, thread.id);
    assert.equal(gone?.active?.id, run.id);
    assert.equal(await store.heartbeat(lease, 1000), null);
    assert.equal(await store.commit(lease, { messages: [aMessage(thread, 'late')] }), null);
    assert.equal(await store.findRun(RED, thread.id, run.id), null);
    assert.equal(await store.readRunRows(run.ref), null);
    assert.equal(await store.deleteThread(RED, thread.id), null);
  });

  test('rows of a broken turn can be taken away', async () => {
    const run = await created();
    const { lease } = await claimed(run);
    const message = aMessage(thread, '', { runId: run.id, origin: { turn: 1, outIx: 0 }, role: 'assistant' });
    const step = aStep(run);
    await store.commit(lease, { messages: [message], steps: [step] });
    const rows = await store.readRunRows(run.ref);
    assert.deepEqual([rows?.messages.length, rows?.steps.length], [1, 1]);
    await store.dropRows(lease, { messages: [message.id], steps: [step.id] });
    const after = await store.readRunRows(run.ref);
    assert.deepEqual([after?.messages.length, after?.steps.length], [0, 0]);
  });

  test('events of runs that ended long ago go, those of active runs stay', async () => {
    const { run } = await waiting();
    assert.equal(await store.purgeEvents(store.now() + 1, 10), 0);
    await store.cancelRun(RED, thread.id, run.id);
    clock.turn(3_600_001);
    assert.ok((await store.purgeEvents(store.now() - 3_600_000, 10)) > 0);
    assert.deepEqual(await names(run.ref), []);
  });

  test('the runs in each active state are counted', async () => {
    await waiting();
    assert.deepEqual([...(await store.countRuns())], [['requires_action', 1]]);
  });

  test('events may be added beside the rows, each in a place of its own', async () => {
    const run = await created();
    const delta = {
      event: 'thread.message.delta',
      id: newObjectId('msg_'),
      delta: { content: [{ index: 0 }] },
    } as const;
    await Promise.all(Array.from({ length: 10 }, () => store.appendEvents(run.ref, [delta, delta])));
    const places = (await store.readEvents(run.ref, 0, 100)).map(({ seq }) => seq);
    assert.deepEqual(
      places,
      Array.from({ length: 22 }, (_, i) => i + 1),
    );
  });
});
