// Two replicas over one store, one of which can die: on SQLite in one process, on PostgreSQL each with connections of its own.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';

import type { AssistantStore } from '../../src/domain/assistant-store.ts';
import { type Clock, systemClock } from '../../src/domain/clock.ts';
import { assistantStore } from '../../src/store/assistants.ts';
import type { Engine } from '../../src/store/engine.ts';
import { migrateToLatest } from '../../src/store/migrate.ts';
import { openPostgres } from '../../src/store/postgres.ts';
import type { Frame } from './desk.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from './postgres.ts';
import { foldFrames } from './run-fold.ts';
import { type Any, type Replica, listed, openMemory } from './runs.ts';

export interface Databases {
  readonly first: Engine;
  readonly second: Engine;
  close(): Promise<void>;
}

export type OpenDatabases = (clock?: Clock) => Promise<Databases>;

/** A suite that comes to no end is ended here. */
const SUITE_MS = 300_000;

export function onSharedStores(name: string, suite: (open: OpenDatabases) => void): void {
  describe(`${name}, on SQLite`, { timeout: SUITE_MS }, () => {
    suite(async (clock = systemClock) => {
      const database = await openMemory(clock);
      return { first: database, second: database, close: () => database.close() };
    });
  });
  describe(`${name}, on PostgreSQL`, { skip: skipWithoutPostgres(), timeout: SUITE_MS }, () => {
    let server: TestPostgres;
    before(async () => {
      server = await startPostgres();
    });
    after(() => server.close());
    suite(async (clock = systemClock) => {
      const url = await server.makeDatabase();
      const first = await openPostgres(url, clock);
      await migrateToLatest(first);
      const second = await openPostgres(url, clock);
      return {
        first,
        second,
        async close() {
          await first.close();
          await second.close();
        },
      };
    });
  });
}

/** What a worker asks of the store for the run that it holds. */
const CALLS_OF_A_WORKER = [
  'claim',
  'readRunRows',
  'findThread',
  'beginTurn',
  'readHistory',
  'commit',
  'endTurn',
  'finishCancel',
  'release',
] as const satisfies readonly (keyof AssistantStore)[];

/** When the process behind a store dies: right before the n-th call of a function, or right after the n-th that brought something. */
export interface Death {
  readonly at: 'before' | 'after';
  readonly call: keyof AssistantStore | 'any of a worker';
  readonly n?: number;
}

export interface MortalStore {
  readonly store: AssistantStore;
  readonly isDead: () => boolean;
  /** At once, or at a moment that is still to come. */
  die(death?: Death): void;
  /** Stands still from then on: what it asks is asked when it goes on, which may be too late. */
  stall(at?: Death): void;
  /** Whatever was to befall it does not any more. */
  goOn(): void;
}

/** From its death on nothing that the process asks of the store is ever answered. */
export function mortalStore(database: Engine, fate: Death | null = null): MortalStore {
  const real = assistantStore(database);
  let death = fate;
  let left = fate?.n ?? 1;
  let isDead = false;
  let stalled: PromiseWithResolvers<void> | null = null;
  const die = () => {
    isDead = true;
  };
  const stall = () => {
    stalled ??= Promise.withResolvers();
  };
  let befall = die;
  const expect = (what: () => void, at: Death | undefined) => {
    if (at === undefined) what();
    else [befall, death, left] = [what, at, at.n ?? 1];
  };
  const never = () => new Promise<never>(() => {});
  const look = (at: Death['at'], name: string): void => {
    if (death?.at !== at) return;
    const isMeant = death.call === 'any of a worker' ? isOfWorker(name) : death.call === name;
    if (isMeant && --left === 0) befall();
  };
  const store = new Proxy(real, {
    get(target, name: string) {
      const member: unknown = Reflect.get(target, name);
      // Telling the time needs no store.
      if (typeof member !== 'function' || name === 'now') return member;
      return async (...asked: readonly unknown[]) => {
        look('before', name);
        if (isDead) return never();
        if (stalled !== null) await stalled.promise;
        const answered: unknown = await (member as (...asked: readonly unknown[]) => unknown)(...asked);
        if (answered !== null) look('after', name);
        return isDead ? never() : answered;
      };
    },
  });
  return {
    store,
    isDead: () => isDead,
    die: (at) => expect(die, at),
    stall: (at) => expect(stall, at),
    goOn: () => {
      death = null;
      stalled?.resolve();
      stalled = null;
    },
  };
}

function isOfWorker(name: string): boolean {
  return CALLS_OF_A_WORKER.some((call) => call === name);
}

/** For a replica that answers and tells, and never takes up a run. */
export function idleStore(database: Engine): AssistantStore {
  return { ...assistantStore(database), claim: async () => null };
}

/** Every event of a run from its first to its last, read as a client would that comes back after each wait for outputs. */
export async function readWhole(replica: Replica, thread: string, run: string): Promise<Frame[]> {
  const whole: Frame[] = [];
  const path = `/threads/${thread}/runs/${run}`;
  for (let after = 0; ;) {
    const frames = await replica.frames('GET', `${path}/events?after=${after}`);
    for (const { event, data } of frames.slice(0, -1)) whole.push({ event, data: data.data });
    after = frames.at(-2)?.data.seq ?? after;
    // While a run waits for outputs nothing is told of it.
    if (whole.at(-1)?.event === 'thread.run.requires_action') await replica.acted(thread, run);
    else return [...whole, frames.at(-1)!];
  }
}

/** What is answered of a run is what the events of a stream add up to. @param frames from its first to its last */
export async function assertFold(
  replica: Replica,
  thread: string,
  run: string,
  frames: readonly Frame[],
): Promise<{ readonly run: Any; readonly steps: Any[]; readonly messages: Any[] }> {
  const folded = foldFrames(frames);
  const found = {
    run: await replica.ok('GET', `/threads/${thread}/runs/${run}`),
    steps: await listed(replica, `/threads/${thread}/runs/${run}/steps`),
    messages: await listed(replica, `/threads/${thread}/messages?run_id=${run}`),
  };
  assert.deepEqual(folded.run, found.run);
  const byId = (a: Any, b: Any) => (a.id < b.id ? -1 : 1);
  assert.deepEqual(folded.messages.toSorted(byId), found.messages.toSorted(byId));
  assert.deepEqual(folded.steps.toSorted(byId), found.steps.toSorted(byId));
  return found;
}

/** The run is whole, however often it changed hands, and its thread is free again. */
export async function assertWhole(
  replica: Replica,
  thread: string,
  run: string,
): Promise<{ readonly run: Any; readonly steps: Any[]; readonly messages: Any[] }> {
  const found = await assertFold(replica, thread, run, await readWhole(replica, thread, run));
  await replica.ok('POST', `/threads/${thread}/messages`, { role: 'user', content: 'And now?' });
  return found;
}
