// Readers who lose what they were sent: words between replicas that get lost, connections that break in the middle of a call.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { PlacedEvent } from '../../src/domain/run.ts';
import type { WakeupChannel, Wakeups } from '../../src/domain/wakeups.ts';
import type { Frame } from '../support/desk.ts';
import { eventually } from '../support/eventually.ts';
import { type Json, type ScriptItem, responseEvents } from '../support/responses-script.ts';
import { ResponsesUpstream, answer } from '../support/responses-upstream.ts';
import { foldFrames } from '../support/run-fold.ts';
import { type Any, type Replica, beginRun, listed, openMemory, openReplica } from '../support/runs.ts';

/** Of the first nine words on deltas every third never comes. */
function lossy(wakeups: Wakeups): Wakeups {
  let heard = 0;
  const isLost = (channel: WakeupChannel) => channel === 'deltas' && heard < 9 && heard++ % 3 === 0;
  return {
    ...wakeups,
    subscribe: (channel, listener) => wakeups.subscribe(channel, (said) => void (isLost(channel) || listener(said))),
  };
}

/** A stream that goes on a few characters at a time, as its gates are opened. */
function gatedEvents(items: readonly ScriptItem[]): {
  readonly events: readonly (Json | Promise<unknown>)[];
  readonly gates: readonly PromiseWithResolvers<void>[];
} {
  const gates: PromiseWithResolvers<void>[] = [];
  const events = responseEvents(items, { chunk: 4 }).flatMap((event): (Json | Promise<unknown>)[] => {
    if (!String(event['type']).endsWith('.delta')) return [event];
    const gate = Promise.withResolvers<void>();
    gates.push(gate);
    return [gate.promise, event];
  });
  return { events, gates };
}

test('words that get lost between replicas come all the same, before their message ends', async () => {
  const upstream = new ResponsesUpstream();
  const database = await openMemory();
  const worker = openReplica({ upstream, database: { ...database, wakeups: lossy(database.wakeups) } });
  const other = openReplica({ upstream, database: { ...database, wakeups: lossy(database.wakeups) } });
  other.engine.stopClaiming();
  try {
    const text = 'one two three four five six seven eight nine ten';
    const { events, gates } = gatedEvents([{ kind: 'message', text }]);
    const end = Promise.withResolvers<void>();
    const done = events.findIndex((event) => 'type' in event && event.type === 'response.output_text.done');
    upstream.script({ events: [...events.slice(0, done), end.promise, ...events.slice(done)] });
    const { thread, run } = await beginRun(worker);
    const found = await other.store.findRun('team_red', thread.id, run.id);
    const read: PlacedEvent[] = [];
    const reading = (async () => {
      for await (const placed of other.engine.events(found!, 0, new AbortController().signal)) read.push(placed);
    })();
    const said = () =>
      read.map(({ event }) => (event.event === 'thread.message.delta' ? textOf(event.delta.content[0]) : '')).join('');
    for (const gate of gates) {
      gate.resolve();
      // Apart, so that each is a packet of its own.
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    await eventually('all words are read', () => said() === text, 15_000);
    assert.ok(!read.some(({ event }) => event.event === 'thread.message.completed'));
    end.resolve();
    await reading;
    assert.equal(said(), text);
    assert.equal(read.at(-1)?.event.event, 'thread.run.completed');
  } finally {
    await Promise.all([worker.close(), other.close()]);
    await database.close();
  }
});

test('a reader who comes back in the middle of a call or of code is told what adds up, while it goes on and afterwards', async () => {
  const upstream = new ResponsesUpstream();
  const database = await openMemory();
  const runs = openReplica({ upstream, database });
  try {
    const { events, gates } = gatedEvents([
      { kind: 'code', code: 'print("one two three")', container: 'cntr_1', outputs: [{ type: 'logs', logs: 'one' }] },
      { kind: 'function', name: 'ask', args: '{"q":"one two"}', callId: 'call_a' },
      { kind: 'function', name: 'ask', args: '{"q":"three"}', callId: 'call_b' },
    ]);
    upstream.script({ events }, answer('Thanks for both.'));
    const tools = [{ type: 'code_interpreter' }, { type: 'function', function: { name: 'ask' } }];
    const { thread, run } = await beginRun(runs, { assistant: { tools } });
    const path = `/threads/${thread.id}/runs/${run.id}`;
    const first = runs.frames('GET', `${path}/events`);
    for (const gate of gates) {
      await new Promise((resolve) => setTimeout(resolve, 55));
      gate.resolve();
    }
    const waits = (await first).slice(0, -1);
    assert.equal(waits.at(-1)?.event, 'thread.run.requires_action');
    assert.ok(waits.filter(({ data }) => !Number.isInteger(data.seq)).length > 10, 'there are places inside');
    const outputs = ['call_a', 'call_b'].map((id) => ({ tool_call_id: id, output: 'yes' }));
    await runs.ok('POST', `${path}/submit_tool_outputs`, { tool_outputs: outputs });
    await runs.settled(thread.id, run.id);
    const rest = await runs.frames('GET', `${path}/events?after=${waits.at(-1)!.data.seq}`);
    const all = [...waits, ...rest.slice(0, -1)];
    for (const [i, { data }] of all.entries()) {
      let frames = all.slice(0, i + 1);
      for (let after = data.seq, isOver = false; !isOver;) {
        const more = (await runs.frames('GET', `${path}/events?after=${after}`)).slice(0, -1);
        frames = [...frames, ...more];
        after = frames.at(-1)!.data.seq;
        isOver = frames.at(-1)!.event !== 'thread.run.requires_action';
      }
      await assertFold(runs, thread.id, run.id, frames);
    }
  } finally {
    await runs.close();
    await database.close();
  }
});

/** Folds as the documentation says: what is created again begins anew. */
async function assertFold(runs: Replica, thread: string, run: string, frames: readonly Frame[]): Promise<void> {
  let plain: Frame[] = [];
  for (const { event, data } of frames) {
    const { id } = data.data;
    if (/^thread\.(message|run\.step)\.created$/.test(event)) plain = plain.filter((frame) => frame.data.id !== id);
    plain.push({ event, data: data.data });
  }
  const folded = foldFrames([...plain, { event: 'done', data: '[DONE]' }] as Parameters<typeof foldFrames>[0]);
  const byId = (a: Any, b: Any) => (a.id < b.id ? -1 : 1);
  assert.deepEqual(folded.run, await runs.ok('GET', `/threads/${thread}/runs/${run}`));
  const steps = await listed(runs, `/threads/${thread}/runs/${run}/steps`);
  assert.deepEqual(folded.steps.toSorted(byId), steps.toSorted(byId));
  const messages = await listed(runs, `/threads/${thread}/messages?run_id=${run}`);
  assert.deepEqual(folded.messages.toSorted(byId), messages.toSorted(byId));
}

function textOf(part: unknown): string {
  return (part as Any).text?.value ?? '';
}

test('a reader whose replica closes while the run goes on is broken off: what it was told does not look like the end', async () => {
  const upstream = new ResponsesUpstream();
  const database = await openMemory();
  const replica = openReplica({ upstream, database });
  const { events, gates } = gatedEvents([{ kind: 'message', text: 'It is 4, and more.' }]);
  upstream.script({ events });
  const { thread, run } = await beginRun(replica);
  const active = await replica.store.findActiveRun('team_red', thread.id);
  assert.equal(active?.id, run.id);
  const told: string[] = [];
  const reading = (async () => {
    for await (const { event } of replica.engine.events(active!, 0, new AbortController().signal))
      told.push(event.event);
  })();
  reading.catch(() => {});
  gates[0]!.resolve();
  await eventually('the reader is told words', () => told.includes('thread.message.delta'));
  await replica.close();
  await assert.rejects(reading, /the gateway stops/);
  assert.ok(!told.includes('thread.run.completed'));
  await database.close();
});
