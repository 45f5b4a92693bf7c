// A process that executes a run dies, at twelve points that a turn has, or at whatever call of the store. Another one goes on: every
// run ends, no message is given twice, none is lost, and no thread stays locked.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { EngineTimes } from '../../src/assistants/engine-settings.ts';
import type { RunId, ThreadId } from '../../src/domain/assistants.ts';
import { assistantStore } from '../../src/store/assistants.ts';
import type { Frame } from '../support/desk.ts';
import { handClock } from '../support/engines.ts';
import { eventually } from '../support/eventually.ts';
import {
  type Databases,
  type Death,
  type MortalStore,
  type OpenDatabases,
  assertFold,
  assertWhole,
  idleStore,
  mortalStore,
  onSharedStores,
  readWhole,
} from '../support/replicas.ts';
import { type Json, type ScriptItem, responseEvents } from '../support/responses-script.ts';
import { ResponsesUpstream, type Script, answer, items } from '../support/responses-upstream.ts';
import { type Any, type Replica, beginRun, listed, openReplica } from '../support/runs.ts';

const LEASE_MS = 400;
const LEASE: Partial<EngineTimes> = { leaseMs: LEASE_MS, heartbeatMs: 100, claimMs: 40 };

const textOf = (message: Any) => message.content.map((part: Any) => part.text?.value ?? part.type).join('|');

interface Story {
  readonly upstream: ResponsesUpstream;
  /** The one that dies. */
  readonly first: Replica;
  readonly mortal: MortalStore;
  readonly databases: Databases;
  /** Comes up; from then on the run is its. */
  takeOver(): Replica;
  /** Comes up too, answers and tells, and never takes up a run. */
  lookOn(): Replica;
}

async function tell(open: OpenDatabases, death: Death | null, story: (story: Story) => Promise<void>): Promise<void> {
  const databases = await open();
  const upstream = new ResponsesUpstream();
  const mortal = mortalStore(databases.first, death);
  const first = openReplica({ upstream, database: databases.first, store: mortal.store, times: LEASE });
  const replicas: Replica[] = [];
  const beside = (store = assistantStore(databases.second)): Replica => {
    const replica = openReplica({ upstream, database: databases.second, store, times: LEASE });
    replicas.push(replica);
    return replica;
  };
  try {
    await story({
      upstream,
      first,
      mortal,
      databases,
      // Of the dead process nothing is heard any more; its desk is not asked either.
      takeOver: () => beside(),
      lookOn: () => beside(idleStore(databases.second)),
    });
  } finally {
    for (const replica of replicas) await replica.close();
    // A dead one closes nothing: what it waits for never comes.
    if (!mortal.isDead()) await first.close();
    await databases.close();
  }
}

/** Reads a run along, so that what it begins is told at once. */
function readAlong(replica: Replica, thread: string): AbortController {
  const leave = new AbortController();
  void (async () => {
    const run = await replica.store.findActiveRun('team_red', thread as ThreadId);
    if (run === null) return;
    for await (const _placed of replica.engine.events(run, 0, leave.signal));
  })().catch(() => {});
  return leave;
}

/** Waits for what must come true of what is answered. */
async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 5000; !(await isTrue());) {
    assert.ok(performance.now() < deadline, `did not come true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const never = new Promise<void>(() => {});
/** The stream of some items that stops for ever before its last events. */
function stuck(list: readonly ScriptItem[], left: number): Script {
  const events: (Json | Promise<unknown>)[] = responseEvents(list, { end: 'none' });
  return { events: [...events.slice(0, events.length - left), never] };
}

const QUESTION: ScriptItem = { kind: 'function', name: 'ask', args: '{"q":"?"}', callId: 'call_a' };
const FUNCTION = { tools: [{ type: 'function', function: { name: 'ask' } }] };
const OUTPUTS = { tool_outputs: [{ tool_call_id: 'call_a', output: 'yes' }] };

onSharedStores('a process that dies', (open) => {
  describe('at one of the twelve points of a turn', () => twelvePoints(open));
  describe('at any moment', () => anyMoment(open));
  describe('in its own way', () => otherDeaths(open));
});

function twelvePoints(open: OpenDatabases): void {
  // Nothing of the turn is written: it is made again, and nobody can tell.
  for (const [where, death, reruns] of [
    ['1, before it took up the run', { at: 'before', call: 'claim' }, [false]],
    ['2, right after it took up the run', { at: 'after', call: 'claim' }, [false]],
    ['3, after the turn was counted', { at: 'after', call: 'beginTurn' }, [true]],
    ['4, before the end was written', { at: 'before', call: 'endTurn' }, [false, true]],
  ] as const satisfies readonly (readonly [string, Death, readonly boolean[]])[]) {
    test(`${where}: another one answers, once`, async () => {
      await tell(open, death, async ({ upstream, mortal, lookOn, takeOver }) => {
        upstream.script(answer('It is 4.'));
        // Not on the one that dies: it looks for runs from its start, and may be dead before this one is there.
        const { thread, run } = await beginRun(lookOn());
        await eventually('the process is dead', mortal.isDead);
        const second = takeOver();
        const done = await second.settled(thread.id, run.id);
        assert.equal(done.status, 'completed', JSON.stringify(done.last_error));
        const { messages, steps } = await assertWhole(second, thread.id, run.id);
        assert.deepEqual([messages.map(textOf), steps.length], [['It is 4.'], 1]);
        assert.deepEqual(
          upstream.modelCalls.map((call) => call.run?.isRerun),
          reruns,
        );
      });
    });
  }

  test('5, after the end was written: there is nothing left to do', async () => {
    await tell(open, { at: 'after', call: 'endTurn' }, async ({ upstream, first, mortal, takeOver }) => {
      upstream.script(answer('It is 4.'));
      const { thread, run } = await beginRun(first);
      await eventually('the process is dead', mortal.isDead);
      const second = takeOver();
      assert.equal((await second.settled(thread.id, run.id)).status, 'completed');
      await assertWhole(second, thread.id, run.id);
      assert.equal(upstream.modelCalls.length, 1);
    });
  });

  test('6, in the middle of a message that somebody read: it stays incomplete, and another one is given', async () => {
    await tell(open, null, async ({ upstream, first, mortal, takeOver }) => {
      upstream.script(stuck([{ kind: 'message', text: 'It is per' }], 3), answer('It is 4.'));
      const { thread, run } = await beginRun(first);
      const leave = readAlong(first, thread.id);
      await until(
        'something is begun',
        async () => (await listed(first, `/threads/${thread.id}/messages?run_id=${run.id}`)).length > 0,
      );
      mortal.die();
      leave.abort();
      const second = takeOver();
      assert.equal((await second.settled(thread.id, run.id)).status, 'completed');
      const { messages, steps } = await assertWhole(second, thread.id, run.id);
      assert.deepEqual(
        messages.map(({ status, incomplete_details: details }) => [status, details?.reason ?? null]),
        [
          ['incomplete', 'run_failed'],
          ['completed', null],
        ],
      );
      // The reader was told words: openai-python looks for the part that they stood in.
      assert.equal(messages[0].content.length, 1);
      assert.deepEqual(
        steps.map(({ status }) => status),
        ['failed', 'completed'],
      );
      assert.deepEqual(
        upstream.modelCalls.map((call) => call.run?.isRerun),
        [false, true],
      );
      assert.equal(upstream.modelCalls[1]!.body.input.length, 1);
    });
  });

  test('6, in the middle of a message of several parts: each part that a reader was told of has its place', async () => {
    await tell(open, null, async ({ upstream, first, mortal, takeOver }) => {
      const events = responseEvents([{ kind: 'message', text: 'It is' }], { end: 'none' });
      const said = events.findIndex(({ type }) => type === 'response.output_text.done');
      const delta = events.findLast(({ type }) => type === 'response.output_text.delta')!;
      const second = { ...delta, content_index: 1, delta: 'And more' };
      const refused = { ...delta, type: 'response.refusal.delta', content_index: 2, delta: 'But no' };
      upstream.script({ events: [...events.slice(0, said), second, refused, never] }, answer('It is 4.'));
      const { thread, run } = await beginRun(first);
      const told: Any[] = [];
      const leave = new AbortController();
      void (async () => {
        const active = await first.store.findActiveRun('team_red', thread.id as ThreadId);
        for await (const { event } of first.engine.events(active!, 0, leave.signal))
          if (event.event === 'thread.message.delta') told.push((event.delta as Any).content[0]);
      })().catch(() => {});
      await eventually('the third part is told', () => told.some(({ index }) => index === 2));
      mortal.die();
      leave.abort();
      assert.deepEqual([...new Set(told.map(({ index }) => index))], [0, 1, 2]);
      const next = takeOver();
      assert.equal((await next.settled(thread.id, run.id)).status, 'completed');
      const { messages } = await assertWhole(next, thread.id, run.id);
      assert.deepEqual(
        messages[0].content.map((part: Any) => [part.type, part.text?.value ?? part.refusal]),
        [
          ['text', ''],
          ['text', ''],
          ['refusal', ''],
        ],
      );
      assert.deepEqual(textOf(messages[1]), 'It is 4.');
    });
  });

  test('7, behind a message that can be read: the message is the answer, and is not given twice', async () => {
    await tell(open, null, async ({ upstream, first, mortal, takeOver }) => {
      upstream.script(stuck([{ kind: 'message', text: 'It is 4.' }], 0), answer('Again.'));
      const { thread, run } = await beginRun(first);
      await until(
        'the message is complete',
        async () => (await listed(first, `/threads/${thread.id}/messages?run_id=${run.id}`))[0]?.status === 'completed',
      );
      mortal.die();
      const second = takeOver();
      const done = await second.settled(thread.id, run.id);
      assert.equal(done.status, 'completed');
      assert.ok(done.usage.completion_tokens > 0);
      const { messages, steps } = await assertWhole(second, thread.id, run.id);
      assert.deepEqual([messages.map(textOf), steps.map(({ status }) => status)], [['It is 4.'], ['completed']]);
      assert.equal(upstream.modelCalls.length, 1);
    });
  });

  test('8, behind code that has run: the code is kept, and shown to the model', async () => {
    await tell(open, null, async ({ upstream, first, mortal, takeOver }) => {
      upstream.containers.set('cntr_1', { files: new Map() });
      const code: ScriptItem = {
        kind: 'code',
        code: 'print(4)',
        container: 'cntr_1',
        outputs: [{ type: 'logs', logs: '4' }],
      };
      upstream.script(stuck([code], 0), answer('It is 4.'));
      const { thread, run } = await beginRun(first, { assistant: { tools: [{ type: 'code_interpreter' }] } });
      await until(
        'the code has run',
        async () =>
          (await listed(first, `/threads/${thread.id}/runs/${run.id}/steps`))[0]?.step_details.tool_calls.length === 1,
      );
      mortal.die();
      const second = takeOver();
      assert.equal((await second.settled(thread.id, run.id)).status, 'completed');
      const { messages, steps } = await assertWhole(second, thread.id, run.id);
      assert.deepEqual(
        [messages.map(textOf), steps.map(({ status, type }) => [status, type])],
        [
          ['It is 4.'],
          [
            ['completed', 'tool_calls'],
            ['completed', 'message_creation'],
          ],
        ],
      );
      assert.match(JSON.stringify(upstream.modelCalls[1]!.body.input), /print\(4\)/);
    });
  });

  test('9, while a function was called: the call is made again, under another step', async () => {
    await tell(open, null, async ({ upstream, first, mortal, takeOver }) => {
      upstream.script(stuck([QUESTION], 2), items([QUESTION]), answer('Yes.'));
      const { thread, run } = await beginRun(first, { assistant: FUNCTION });
      const leave = readAlong(first, thread.id);
      await until(
        'something is begun',
        async () => (await listed(first, `/threads/${thread.id}/runs/${run.id}/steps`)).length > 0,
      );
      mortal.die();
      leave.abort();
      const second = takeOver();
      assert.equal((await second.settled(thread.id, run.id)).status, 'requires_action');
      await second.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, OUTPUTS);
      assert.equal((await second.settled(thread.id, run.id)).status, 'completed');
      const { messages, steps } = await assertWhole(second, thread.id, run.id);
      assert.deepEqual(
        [messages.map(textOf), steps.map(({ status }) => status)],
        [['Yes.'], ['failed', 'completed', 'completed']],
      );
    });
  });

  test('10, while the run waits for outputs: any other takes them, and goes on', async () => {
    await tell(open, { at: 'after', call: 'endTurn' }, async ({ upstream, first, mortal, takeOver }) => {
      upstream.script(items([QUESTION, { kind: 'message', text: 'One moment.' }]), answer('Yes.'));
      const { thread, run } = await beginRun(first, { assistant: FUNCTION });
      await eventually('the process is dead', mortal.isDead);
      const second = takeOver();
      assert.equal((await second.settled(thread.id, run.id)).status, 'requires_action');
      await second.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, OUTPUTS);
      assert.equal((await second.settled(thread.id, run.id)).status, 'completed');
      const { messages } = await assertWhole(second, thread.id, run.id);
      assert.deepEqual(messages.map(textOf), ['One moment.', 'Yes.']);
    });
  });

  test('11, right after outputs were handed in: another one goes on with them, and tells what had to wait, once', async () => {
    for (const death of [
      { at: 'after', call: 'claim', n: 2 },
      { at: 'before', call: 'beginTurn', n: 2 },
      { at: 'after', call: 'beginTurn', n: 2 },
    ] as const) {
      await tell(open, death, async ({ upstream, first, mortal, takeOver, lookOn }) => {
        upstream.script(items([QUESTION, { kind: 'message', text: 'One moment.' }]), answer('Yes.'));
        const { thread, run } = await beginRun(first, { assistant: FUNCTION });
        await until(
          'the run waits',
          async () => (await first.ok('GET', `/threads/${thread.id}/runs/${run.id}`)).status === 'requires_action',
        );
        // Asked elsewhere, for who dies answers nothing.
        const desk = lookOn();
        await desk.ok('POST', `/threads/${thread.id}/runs/${run.id}/submit_tool_outputs`, OUTPUTS);
        await eventually('the process is dead', mortal.isDead);
        const second = takeOver();
        assert.equal((await second.settled(thread.id, run.id)).status, 'completed', JSON.stringify(death));
        const { messages } = await assertWhole(second, thread.id, run.id);
        assert.deepEqual(messages.map(textOf), ['One moment.', 'Yes.']);
      });
    }
  });

  test('12, with a cancel that it never heard of: the run ends as cancelled', async () => {
    await tell(open, null, async ({ upstream, first, mortal, takeOver }) => {
      upstream.script(stuck([{ kind: 'message', text: 'It is per' }], 3));
      const { thread, run } = await beginRun(first);
      await eventually('the model is asked', () => upstream.modelCalls.length === 1);
      mortal.die();
      const second = takeOver();
      const { json, status } = await second.ask('POST', `/threads/${thread.id}/runs/${run.id}/cancel`, {});
      assert.deepEqual([status, json.status], [200, 'cancelling']);
      assert.equal((await second.settled(thread.id, run.id)).status, 'cancelled');
      await assertWhole(second, thread.id, run.id);
    });
  });
}

function anyMoment(open: OpenDatabases): void {
  for (const at of ['before', 'after'] as const) {
    test(`${at} whatever call of the store: it is answered once, and who reads along is told all of it`, async () => {
      const clock = handClock();
      const databases = await open(clock);
      const upstream = new ResponsesUpstream();
      upstream.script(({ body }) =>
        JSON.stringify(body.input).includes('function_call_output')
          ? answer('Yes.')
          : items([QUESTION, { kind: 'message', text: 'One moment.' }]),
      );
      const desk = openReplica({ upstream, database: databases.second, store: idleStore(databases.second), clock });
      try {
        let deaths = 0;
        for (let n = 1, wasKilled = true; wasKilled; n++) {
          const mortal = mortalStore(databases.first, { at, call: 'any of a worker', n });
          wasKilled = await answeredOnce({ upstream, databases, desk, clock }, mortal, `${at} call ${n}`);
          deaths = n - 1;
        }
        // Two claims, two turns begun, histories read, ends written, and what the second turn goes on from.
        assert.ok(deaths >= 9, `only ${deaths} calls to die at`);
      } finally {
        await desk.close();
        await databases.close();
      }
    });
  }
}

interface Scene {
  readonly upstream: ResponsesUpstream;
  readonly databases: Databases;
  /** Where runs are begun, read and asked for. */
  readonly desk: Replica;
  readonly clock: ReturnType<typeof handClock>;
}

/** @returns whether the process died on the way */
async function answeredOnce(scene: Scene, mortal: MortalStore, when: string): Promise<boolean> {
  const { upstream, databases, desk, clock } = scene;
  // Takes up only what it is told to, so that its calls are the same ones each time.
  const times = { ...LEASE, claimMs: 3_600_000 };
  const first = openReplica({ upstream, database: databases.first, store: mortal.store, clock, times });
  const heirs: Replica[] = [];
  const { thread, run } = await beginRun(desk, { assistant: FUNCTION });
  const path = `/threads/${thread.id}/runs/${run.id}`;
  const goOn = async () => {
    const found = await desk.store.findRun('team_red', thread.id as ThreadId, run.id as RunId);
    first.engine.start(found!);
  };
  const reading = readWhole(desk, thread.id, run.id);
  try {
    await goOn();
    let isSubmitted = false;
    await until(`the run is answered, ${when}`, async () => {
      if (mortal.isDead() && heirs.length === 0) {
        heirs.push(openReplica({ upstream, database: databases.second, clock, times: LEASE }));
        clock.turn(LEASE_MS);
      }
      const { status, last_error: error } = await desk.ok('GET', path);
      assert.equal(error, null, when);
      if (status === 'requires_action' && !isSubmitted) {
        await desk.ok('POST', `${path}/submit_tool_outputs`, OUTPUTS);
        isSubmitted = true;
        await goOn();
      }
      return status === 'completed';
    });
    const frames = await reading;
    const { messages } = await assertFold(desk, thread.id, run.id, frames);
    const said = messages.filter(({ status }) => status === 'completed').map(textOf);
    assert.deepEqual(said, ['One moment.', 'Yes.'], when);
    assert.deepEqual(await readWhole(desk, thread.id, run.id).then(withoutDeltas), withoutDeltas(frames), when);
  } finally {
    for (const heir of heirs) await heir.close();
    if (!mortal.isDead()) await first.close();
  }
  return mortal.isDead();
}

/** Where words are cut differs from reader to reader; what they add up to does not. */
function withoutDeltas(frames: readonly Frame[]): readonly Frame[] {
  return frames.filter(({ event }) => !event.endsWith('.delta'));
}

function otherDeaths(open: OpenDatabases): void {
  test('and takes its run’s time along: the run expires all the same', async () => {
    await tell(open, null, async ({ upstream, mortal, databases, takeOver }) => {
      const short = openReplica({
        upstream,
        database: databases.first,
        store: mortal.store,
        times: { ...LEASE, leaseMs: 60_000 },
        settings: { runTtlSeconds: 2 },
      });
      upstream.script(stuck([{ kind: 'message', text: 'It is per' }], 3));
      const { thread, run } = await beginRun(short);
      await eventually('the model is asked', () => upstream.modelCalls.length === 1);
      mortal.die();
      const second = takeOver();
      const done = await second.settled(thread.id, run.id);
      assert.equal(done.status, 'expired');
      assert.ok(second.store.now() / 1000 - run.expires_at < 2, 'within two seconds of its time');
      await assertWhole(second, thread.id, run.id);
    });
  });

  test('again and again ends the run as failed, for it is the run that kills', async () => {
    await tell(open, null, async ({ upstream, first, databases, takeOver }) => {
      first.engine.stopClaiming();
      upstream.script(stuck([{ kind: 'message', text: 'It is per' }], 3));
      const upfront = openReplica({ upstream, database: databases.first, times: LEASE });
      upfront.engine.stopClaiming();
      const { thread, run } = await beginRun(upfront);
      for (let i = 1; i <= 3; i++) {
        const mortal = mortalStore(databases.first);
        openReplica({ upstream, database: databases.first, store: mortal.store, times: LEASE });
        await eventually(`the model is asked for the ${i}. time`, () => upstream.modelCalls.length === i);
        mortal.die();
      }
      const last = takeOver();
      const done = await last.settled(thread.id, run.id);
      assert.deepEqual([done.status, done.last_error.code], ['failed', 'server_error']);
      assert.equal(upstream.modelCalls.length, 3);
      await assertWhole(last, thread.id, run.id);
      await upfront.close();
    });
  });

  test('in order gives its run back: another one goes on at once, and no rerun is counted', async () => {
    await tell(open, null, async ({ upstream, first, databases, takeOver }) => {
      first.engine.stopClaiming();
      upstream.script(stuck([{ kind: 'message', text: 'It is per' }], 3), answer('It is 4.'));
      const leaving = openReplica({ upstream, database: databases.first, times: { ...LEASE, leaseMs: 60_000 } });
      const { thread, run } = await beginRun(leaving);
      const leave = readAlong(leaving, thread.id);
      await until(
        'something is begun',
        async () => (await listed(leaving, `/threads/${thread.id}/messages?run_id=${run.id}`)).length > 0,
      );
      leave.abort();
      await leaving.close();
      const second = takeOver();
      assert.equal((await second.settled(thread.id, run.id)).status, 'completed');
      const { messages } = await assertWhole(second, thread.id, run.id);
      assert.deepEqual(messages.map(textOf).slice(-1), ['It is 4.']);
      const found = await second.store.findRun('team_red', thread.id, run.id);
      assert.equal(found?.reruns, 0);
    });
  });

  test('not at all, but falls silent: what it writes afterwards is not taken', async () => {
    const gate = Promise.withResolvers<void>();
    await tell(open, null, async ({ upstream, first, databases, takeOver }) => {
      first.engine.stopClaiming();
      // It is told that it lost the run while it waits for more.
      const events = responseEvents([{ kind: 'message', text: 'Too late.' }]).slice(0, -3);
      upstream.script({ events: [gate.promise, ...events, never] }, answer('It is 4.'));
      // Never renews its lease, and does not know that it lost it.
      const silent = openReplica({
        upstream,
        database: databases.first,
        times: { ...LEASE, leaseMs: 100, heartbeatMs: 60_000 },
      });
      const { thread, run } = await beginRun(silent);
      await eventually('the model is asked', () => upstream.modelCalls.length === 1);
      const leave = readAlong(silent, thread.id);
      silent.engine.stopClaiming();
      const second = takeOver();
      assert.equal((await second.settled(thread.id, run.id)).status, 'completed');
      gate.resolve();
      await eventually('the silent one gave up', () => silent.engine.active() === 0);
      leave.abort();
      const { messages } = await assertWhole(second, thread.id, run.id);
      assert.deepEqual(messages.map(textOf), ['It is 4.']);
      await silent.close();
    });
  });

  test('not at all hears of a cancel on another replica', async () => {
    await tell(open, null, async ({ upstream, first, lookOn }) => {
      upstream.script(stuck([{ kind: 'message', text: 'It is per' }], 3));
      const { thread, run } = await beginRun(first);
      await eventually('the model is asked', () => upstream.modelCalls.length === 1);
      const second = lookOn();
      const began = performance.now();
      await second.ok('POST', `/threads/${thread.id}/runs/${run.id}/cancel`, {});
      assert.equal((await second.settled(thread.id, run.id)).status, 'cancelled');
      assert.ok(performance.now() - began < 5000);
      await assertWhole(second, thread.id, run.id);
    });
  });

  test('not at all is read along elsewhere, and all of it adds up', async () => {
    await tell(open, null, async ({ upstream, first, lookOn }) => {
      const second = lookOn();
      const gate = Promise.withResolvers<void>();
      upstream.script({ events: [gate.promise, ...responseEvents([{ kind: 'message', text: 'one two three' }])] });
      const { thread, run } = await beginRun(first);
      const reading = readWhole(second, thread.id, run.id);
      gate.resolve();
      const { messages } = await assertFold(second, thread.id, run.id, await reading);
      assert.deepEqual(messages.map(textOf), ['one two three']);
    });
  });
}
