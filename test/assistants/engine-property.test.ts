// Whatever callers ask and whenever processes die, in any order: a thread has one active run at most, nothing is told of a run after
// its end, no output of a model becomes two messages, and every run ends in its time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate, setTimeout } from 'node:timers/promises';

import fc from 'fast-check';

import type { RunId, ThreadId } from '../../src/domain/assistants.ts';
import { type RunStep, isTerminal } from '../../src/domain/run.ts';
import type { Frame } from '../support/desk.ts';
import { handClock } from '../support/engines.ts';
import {
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
import { ResponsesUpstream, type Script, items } from '../support/responses-upstream.ts';
import { type Any, type Replica, beginRun, openReplica } from '../support/runs.ts';

type Step =
  | { readonly do: 'create' | 'cancel' | 'submit' | 'read'; readonly thread: number; readonly on: number }
  | { readonly do: 'turn'; readonly ms: number }
  /**
   * After some more calls of its store, or at once, it dies and another one comes up; or stands still, until the next one does or
   * the story ends. Its leases may be over by the time the next step comes.
   */
  | { readonly do: 'kill' | 'stall'; readonly on: number; readonly calls: number; readonly lapses: boolean }
  /** Turns of the event loop, in which words come. */
  | { readonly do: 'wait'; readonly ticks: number }
  /** Long enough for a replica to look for runs, or to write what nobody waits for. */
  | { readonly do: 'rest'; readonly ms: number };

/** How a model call goes. */
const PLAYS = ['answer', 'answer', 'call', 'late', 'break', 'stuck', 'unended', 'unended', 'fail'] as const;
type Play = (typeof PLAYS)[number];

const TTL_SECONDS = 600;
const LEASE_MS = 2_000;
const FUNCTION = { tools: [{ type: 'function', function: { name: 'ask' } }] };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('create' as const), thread: fc.nat(1), on: fc.nat(1) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('cancel' as const, 'submit' as const, 'read' as const),
      thread: fc.nat(1),
      on: fc.nat(1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('turn' as const), ms: fc.constantFrom(500, 3_000, 400_000) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('kill' as const, 'stall' as const),
      on: fc.nat(1),
      calls: fc.constantFrom(0, 0, 0, 1, 2, 3, 4, 5, 6),
      lapses: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ticks: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('rest' as const), ms: fc.constantFrom(5, 20, 60) }) },
);
const story = fc.record({
  steps: fc.array(step, { minLength: 3, maxLength: 18 }),
  plays: fc.array(fc.constantFrom(...PLAYS), { minLength: 1, maxLength: 8 }),
});
/** Told at the same time, each on stores of its own: what takes long is to wait for the sweep. */
const STORIES = 5;

onSharedStores('any order of things', (open) => {
  test('keeps to the rules of runs', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(story, { minLength: STORIES, maxLength: STORIES }), async (stories) => {
        const told = await Promise.allSettled(stories.map(({ steps, plays }) => tellStory(open, steps, plays)));
        for (const [i, outcome] of told.entries())
          if (outcome.status === 'rejected') throw new Error(`in story ${i}`, { cause: outcome.reason });
      }),
      { numRuns: 12, endOnFailure: true },
    );
  });

  for (const end of ['cancelled', 'expired'] as const) {
    test(`what waited for outputs is told of a run that is ${end} before they came`, async () => {
      const clock = handClock();
      const databases = await open(clock);
      const upstream = new ResponsesUpstream();
      upstream.script(scriptOf('late', 0));
      const replica = openReplica({ upstream, database: databases.first, clock });
      try {
        const { thread, run } = await beginRun(replica, { assistant: FUNCTION });
        assert.equal((await replica.settled(thread.id, run.id)).status, 'requires_action');
        if (end === 'expired') clock.turn(601_000);
        else await replica.ok('POST', `/threads/${thread.id}/runs/${run.id}/cancel`, {});
        assert.equal((await replica.acted(thread.id, run.id)).status, end);
        const { messages, steps } = await assertWhole(replica, thread.id, run.id);
        assert.deepEqual(
          [messages.map(({ status }) => status), steps.map(({ status }) => status)],
          [['completed'], [end, 'completed']],
        );
      } finally {
        await replica.close();
        await databases.close();
      }
    });
  }
});

async function tellStory(open: OpenDatabases, steps: readonly Step[], plays: readonly Play[]): Promise<void> {
  const clock = handClock();
  const databases = await open(clock);
  const upstream = new ResponsesUpstream();
  let calls = 0;
  upstream.script(() => scriptOf(plays[calls % plays.length]!, calls++));

  const alive: { replica: Replica; mortal: MortalStore }[] = [];
  const doomed: MortalStore[] = [];
  const start = (i: number) => {
    const database = i === 0 ? databases.first : databases.second;
    const mortal = mortalStore(database);
    const replica = openReplica({
      upstream,
      database,
      store: mortal.store,
      clock,
      times: { leaseMs: LEASE_MS, heartbeatMs: 200, claimMs: 5 },
      settings: { runTtlSeconds: TTL_SECONDS },
    });
    alive[i] = { replica, mortal };
  };
  // The one that asks and looks never dies, and executes nothing.
  const observer = openReplica({
    upstream,
    database: databases.second,
    store: idleStore(databases.second),
    clock,
    settings: { runTtlSeconds: TTL_SECONDS },
  });
  start(0);
  start(1);

  const readers = new AbortController();
  const begun = new Map<string, { thread: string; run: string; reading: Promise<Frame[]> }>();
  try {
    const assistant = await observer.ok('POST', '/assistants', { model: 'gpt-4o', ...FUNCTION });
    const threads: string[] = [];
    for (let i = 0; i < 2; i++)
      threads.push((await observer.ok('POST', '/threads', { messages: [{ role: 'user', content: 'Hi' }] })).id);

    for (const one of steps) {
      if ('thread' in one) await ask(one, threads[one.thread]!, assistant.id);
      else if (one.do === 'turn') clock.turn(one.ms);
      else if (one.do === 'wait') for (let i = 0; i < one.ticks; i++) await setImmediate();
      else if (one.do === 'rest') await setTimeout(one.ms);
      else {
        const { mortal } = alive[one.on]!;
        const at = one.calls % 2 === 0 ? 'before' : 'after';
        const when: Death | undefined = one.calls === 0 ? undefined : { at, call: 'any of a worker', n: one.calls };
        if (one.do === 'kill') {
          mortal.die(when);
          doomed.push(mortal);
          start(one.on);
        } else {
          for (const other of alive) other.mortal.goOn();
          mortal.stall(when);
        }
        if (one.lapses) clock.turn(LEASE_MS);
      }
      await assertOneActive(threads);
    }

    // What was lost is taken over, and who stood still finds that it is too late.
    clock.turn(LEASE_MS);
    await setTimeout(50);
    for (const { mortal } of alive) mortal.goOn();
    await setTimeout(10);

    // Every run ends within two seconds of its time: the sweep looks every second, by the wall.
    clock.turn(TTL_SECONDS * 1000 + 2_000);
    const deadline = performance.now() + 5_000;
    for (const { thread, run } of begun.values()) {
      for (;;) {
        const found = await observer.ok('GET', `/threads/${thread}/runs/${run}`);
        if (isTerminal(found.status)) break;
        assert.ok(performance.now() < deadline, `the run is ${found.status} two seconds after its time`);
        await setTimeout(20);
      }
    }
    for (const { thread, run, reading } of begun.values()) await assertStory(thread, run, await reading);
    await assertOneMessageEach(threads);
    for (const thread of threads)
      await observer.ok('POST', `/threads/${thread}/messages`, { role: 'user', content: 'Free?' });
  } finally {
    readers.abort();
    for (const mortal of doomed) mortal.die();
    for (const { mortal } of alive) mortal.goOn();
    for (const { replica } of alive) await replica.close();
    await observer.close();
    await databases.close();
  }

  async function ask(one: Extract<Step, { thread: number }>, thread: string, assistantId: string): Promise<void> {
    if (one.do === 'create') {
      const { status, json } = await observer.ask('POST', `/threads/${thread}/runs`, { assistant_id: assistantId });
      if (status === 200) {
        const reading = readWhole(observer, thread, json.id);
        // Looked at in the end.
        reading.catch(() => {});
        begun.set(json.id, { thread, run: json.id, reading });
      } else assert.match(json.error.message, /already has an active run/);
      return;
    }
    const active = await activeOf(thread);
    if (active === undefined) return;
    if (one.do === 'cancel') {
      const { status, json } = await observer.ask('POST', `/threads/${thread}/runs/${active.id}/cancel`, {});
      if (status !== 200) assert.match(json.error.message, /Cannot cancel run/);
    } else if (one.do === 'submit') {
      const pending: Any[] = active.required_action?.submit_tool_outputs.tool_calls ?? [];
      const outputs = pending.map(({ id }) => ({ tool_call_id: id, output: 'yes' }));
      const { status, json } = await observer.ask('POST', `/threads/${thread}/runs/${active.id}/submit_tool_outputs`, {
        tool_outputs: outputs.length > 0 ? outputs : [{ tool_call_id: 'none' }],
      });
      if (status !== 200) assert.match(json.error.message, /do not accept tool outputs|Expected tool outputs/);
    } else {
      const found = await observer.store.findRun('team_red', thread as ThreadId, active.id);
      const { engine } = alive[one.on]!.replica;
      if (found === null) return;
      const events = engine.events(found, 0, readers.signal);
      // One that reads at a process that dies is never told so.
      void (async () => {
        for await (const _event of events);
      })().catch(() => {});
    }
  }

  async function activeOf(thread: string): Promise<Any> {
    const { data } = await observer.ok('GET', `/threads/${thread}/runs?limit=1`);
    return data.find((run: Any) => !isTerminal(run.status));
  }

  async function assertOneActive(threads: readonly string[]): Promise<void> {
    for (const thread of threads) {
      const { data } = await observer.ok('GET', `/threads/${thread}/runs?limit=100`);
      assert.ok(data.filter((run: Any) => !isTerminal(run.status)).length <= 1, 'one active run a thread');
    }
  }

  /** Both who read along and who reads afterwards is told what a strict client takes, and what adds up to the answers. */
  async function assertStory(thread: string, run: string, frames: readonly Frame[]): Promise<void> {
    await assertFold(observer, thread, run, frames);
    const { messages, steps, ...found } = await assertFold(
      observer,
      thread,
      run,
      await readWhole(observer, thread, run),
    );
    for (const { status } of [...messages, ...steps]) assert.notEqual(status, 'in_progress');
    const row = await observer.store.findRun('team_red', thread as ThreadId, run as RunId);
    const rows = await observer.store.readRunRows(row!.ref);
    const places = rows!.messages.map(({ origin }) => `${origin?.turn}.${origin?.outIx}`);
    assert.equal(new Set(places).size, places.length, `one message an output: ${places.join(' ')}`);
    // Of turns that called no function one message at most is the answer.
    const acted = new Set(rows!.steps.filter(isOfFunctions).map(({ origin }) => origin?.turn));
    const answers = rows!.messages.filter(({ status, origin }) => status === 'completed' && !acted.has(origin?.turn));
    assert.ok(answers.length <= 1, `answered twice: ${JSON.stringify(answers)}`);
    if (found.run.status === 'completed') assert.equal(answers.length, 1, 'a run that is completed has an answer');
  }

  /** Every model call says something of its own: what is said twice was made twice of one output. */
  async function assertOneMessageEach(threads: readonly string[]): Promise<void> {
    const said: string[] = [];
    for (const thread of threads) {
      const { data } = await observer.ok('GET', `/threads/${thread}/messages?limit=100`);
      for (const message of data)
        if (message.role === 'assistant' && message.status === 'completed') said.push(message.content[0].text.value);
    }
    assert.equal(new Set(said).size, said.length, `said twice: ${said.join(' | ')}`);
  }
}

function isOfFunctions({ details }: RunStep): boolean {
  return details.type === 'tool_calls' && details.tool_calls.some(({ type }) => type === 'function');
}

const never = new Promise<void>(() => {});

function scriptOf(one: Play, n: number): Script {
  const message: ScriptItem = { kind: 'message', text: `Answer number ${n}.` };
  const call: ScriptItem = { kind: 'function', name: 'ask', args: '{"q":"?"}', callId: `call_${n}` };
  switch (one) {
    case 'answer':
      return items([message]);
    case 'call':
      return items([{ kind: 'reasoning', encrypted: 'sealed' }, call]);
    case 'late':
      return items([call, message]);
    case 'break':
      return { events: responseEvents([message], { end: 'none' }).slice(0, -2), breaks: true };
    case 'stuck': {
      const events: (Json | Promise<unknown>)[] = responseEvents([message], { end: 'none' });
      return { events: [...events.slice(0, -3), never] };
    }
    case 'unended':
      return { events: [...responseEvents([message], { end: 'none' }), never] };
    case 'fail':
      return { status: 400, body: { error: { message: 'No.', code: 'invalid_prompt' } } };
  }
}
