// The Assistants API with a worker, without sockets: the real store, the real engine, an upstream that is played. Answers and frames
// are judged on their way out.
import assert from 'node:assert/strict';

import { openAssistants } from '../../src/assistants/assistants.ts';
import { ENGINE_TIMES, type EngineTimes } from '../../src/assistants/engine-settings.ts';
import type { RunEngine } from '../../src/assistants/engine.ts';
import { openRunEngine } from '../../src/assistants/run-engine.ts';
import { type AssistantsSettings, assistantsSettings } from '../../src/config/assistants.ts';
import type { AssistantStore } from '../../src/domain/assistant-store.ts';
import { type Clock, systemClock } from '../../src/domain/clock.ts';
import type { EmulatedReply } from '../../src/domain/emulation.ts';
import { newId } from '../../src/domain/id.ts';
import type { Caller } from '../../src/domain/key.ts';
import { openOwnership } from '../../src/ownership/ownership.ts';
import { assistantStore } from '../../src/store/assistants.ts';
import type { Engine } from '../../src/store/engine.ts';
import { migrateToLatest } from '../../src/store/migrate.ts';
import { ownerStore } from '../../src/store/owned-objects.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { openLog } from '../../src/telemetry/log.ts';
import { judgeAnswer, judgeEvent } from './assistants-judge.ts';
import { type Frame, RED_CALLER, framesOf } from './desk.ts';
import { ResponsesUpstream } from './responses-upstream.ts';

/** Everything that waits in the real times, in a few milliseconds. */
export const QUICK: EngineTimes = {
  ...ENGINE_TIMES,
  leaseMs: 2_000,
  heartbeatMs: 200,
  claimMs: 50,
  tickMs: 10,
  backoffMs: 5,
  graceMs: 5,
  untoldMs: 30,
};

/** No stream of a test takes longer than this. */
const STREAM_MS = 30_000;

// A test asserts on what it reads of an answer.
// oxlint-disable-next-line typescript/no-explicit-any
export type Any = any;

export interface Replica {
  readonly store: AssistantStore;
  readonly engine: RunEngine;
  readonly log: readonly string[];
  ask(
    method: string,
    path: string,
    body?: unknown,
    as?: Caller,
  ): Promise<{ readonly status: number; readonly json: Any; readonly reply: EmulatedReply }>;
  /** The answer of a request that must succeed. */
  ok(method: string, path: string, body?: unknown): Promise<Any>;
  /** All frames of a streamed answer, to its end. */
  frames(method: string, path: string, body?: unknown): Promise<Frame[]>;
  /** The run, once it is terminal or waits for outputs. */
  settled(thread: string, run: string): Promise<Any>;
  /** The run, once it waits for outputs no more. */
  acted(thread: string, run: string): Promise<Any>;
  close(): Promise<void>;
}

export interface ReplicaOptions {
  readonly upstream: ResponsesUpstream;
  readonly database: Engine;
  readonly settings?: Partial<AssistantsSettings>;
  readonly times?: Partial<EngineTimes>;
  readonly clock?: Clock;
  /** In place of the database's own: one that dies, for instance. */
  readonly store?: AssistantStore;
}

export function openReplica({
  upstream,
  database,
  settings = {},
  times = {},
  clock = systemClock,
  store = assistantStore(database),
}: ReplicaOptions): Replica {
  const lines: string[] = [];
  const log = openLog('debug', (line) => lines.push(line));
  const resolved = assistantsSettings.parse(settings);
  const { wakeups } = database;
  const { generate } = upstream;
  const engine = openRunEngine({ store, wakeups, generate, clock, log }, resolved, { ...QUICK, ...times });
  const ownership = openOwnership(ownerStore(database));
  const desk = openAssistants({ store, wakeups, generate, ownership, engine, clock, log }, resolved);

  const ask = async (
    method: string,
    path: string,
    body?: unknown,
    as: Caller = RED_CALLER,
    signal: AbortSignal = new AbortController().signal,
  ) => {
    const [bare = '', query = ''] = path.split('?');
    const reply = await desk.emulation.answer({
      exchangeId: newId('exc', clock.now()),
      caller: as,
      method,
      path: `/v1${bare}`,
      query,
      rawHeaders: [],
      limitHeaders: [],
      body: body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body)),
      signal,
    });
    const json: unknown = typeof reply.body === 'string' ? JSON.parse(reply.body) : null;
    if (json !== null) judgeAnswer(method, bare, reply.status, json);
    return { status: reply.status, json, reply };
  };
  const ok: Replica['ok'] = async (method, path, body) => {
    const answered = await ask(method, path, body);
    assert.equal(answered.status, 200, JSON.stringify(answered.json));
    return answered.json;
  };
  const once = async (thread: string, run: string, isSo: (status: string) => boolean): Promise<Any> => {
    const deadline = performance.now() + 10_000;
    for (;;) {
      const found = await ok('GET', `/threads/${thread}/runs/${run}`);
      if (isSo(found.status)) return found;
      assert.ok(performance.now() < deadline, `the run is still ${found.status}: ${lines.join('')}`);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
  };
  return {
    store,
    engine,
    log: lines,
    ask,
    ok,
    async frames(method, path, body) {
      const late = AbortSignal.timeout(STREAM_MS);
      const { reply, json } = await ask(method, path, body, RED_CALLER, late);
      assert.equal(reply.status, 200, JSON.stringify(json));
      const isNumbered = path.split('?')[0]!.endsWith('/events');
      const frames: Frame[] = [];
      for await (const frame of isNumbered ? numberedFrames(reply) : framesOf(reply)) frames.push(frame);
      assert.ok(!late.aborted, `the stream goes on behind ${frames.map(({ event }) => event).join(' ')}`);
      return frames;
    },
    settled: (thread, run) => once(thread, run, (status) => !['queued', 'in_progress', 'cancelling'].includes(status)),
    acted: (thread, run) => once(thread, run, (status) => status !== 'requires_action'),
    close: () => desk.close(),
  };
}

export async function openMemory(clock: Clock = systemClock): Promise<Engine> {
  const database = openSqlite(':memory:', clock, 'strict');
  await migrateToLatest(database);
  return database;
}

export interface TestRuns extends Replica {
  readonly upstream: ResponsesUpstream;
  readonly database: Engine;
}

export async function openRuns(options: Partial<Omit<ReplicaOptions, 'upstream'>> = {}): Promise<TestRuns> {
  const upstream = new ResponsesUpstream();
  const database = options.database ?? (await openMemory(options.clock));
  const replica = openReplica({ ...options, upstream, database });
  return {
    ...replica,
    upstream,
    database,
    async close() {
      await replica.close();
      await database.close();
    },
  };
}

/** Frames of our own reading on: each in a wrapper that tells its place. What is wrapped is judged. */
async function* numberedFrames(reply: EmulatedReply): AsyncGenerator<Frame> {
  for await (const piece of reply.body as AsyncIterable<string>) {
    const [, event = '', raw = ''] = /^event: (.+)\ndata: (.*)\n\n$/.exec(piece) ?? [];
    const data: unknown = raw === '[DONE]' ? raw : JSON.parse(raw);
    if (event !== 'done') judgeEvent(event, (data as { data: unknown }).data);
    yield { event, data };
  }
}

/** An assistant, a thread with a question, and a run that was begun. */
export async function beginRun(
  { ok }: Pick<Replica, 'ok'>,
  {
    assistant = {},
    run = {},
    content = 'What is 2 + 2?',
  }: { assistant?: object; run?: object; content?: unknown } = {},
): Promise<{ readonly assistant: Any; readonly thread: Any; readonly run: Any }> {
  const made = await ok('POST', '/assistants', { model: 'gpt-4o', ...assistant });
  const thread = await ok('POST', '/threads', { messages: [{ role: 'user', content }] });
  const begun = await ok('POST', `/threads/${thread.id}/runs`, { assistant_id: made.id, ...run });
  return { assistant: made, thread, run: begun };
}

/** What a list answers, the oldest first. */
export async function listed({ ok }: Pick<Replica, 'ok'>, path: string): Promise<Any[]> {
  return (await ok('GET', `${path}${path.includes('?') ? '&' : '?'}order=asc&limit=100`)).data;
}
