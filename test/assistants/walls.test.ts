// Two teams, one gateway: another team's ids are answered exactly as ids that nobody has.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import type { Thread } from '../../src/domain/assistants.ts';
import { aStep } from '../support/assistant-objects.ts';
import { type AskOptions, BLUE_CALLER, RED_CALLER, type TestDesk, caller, openDesk } from '../support/desk.ts';

interface Objects {
  readonly assistant_id: string;
  readonly thread_id: string;
  readonly message_id: string;
  readonly run_id: string;
  readonly step_id: string;
  readonly file_id: string;
}

const UNKNOWN: Objects = {
  assistant_id: 'asst_unknown',
  thread_id: 'thread_unknown',
  message_id: 'msg_unknown',
  run_id: 'run_unknown',
  step_id: 'step_unknown',
  file_id: 'file-tw-unknown',
};

/** Every operation that names an object, and a body that it would take. */
const OPERATIONS: readonly (readonly [method: string, path: string, body?: (objects: Objects) => unknown])[] = [
  ['GET', '/assistants/{assistant_id}'],
  ['POST', '/assistants/{assistant_id}', () => ({ name: 'mine now' })],
  ['DELETE', '/assistants/{assistant_id}'],
  ['POST', '/threads/runs', ({ assistant_id }) => ({ assistant_id })],
  ['GET', '/threads/{thread_id}'],
  ['POST', '/threads/{thread_id}', () => ({ metadata: { whose: 'mine' } })],
  ['DELETE', '/threads/{thread_id}'],
  ['GET', '/threads/{thread_id}/messages'],
  ['POST', '/threads/{thread_id}/messages', () => ({ role: 'user', content: 'hello' })],
  ['GET', '/threads/{thread_id}/messages/{message_id}'],
  ['POST', '/threads/{thread_id}/messages/{message_id}', () => ({ metadata: { whose: 'mine' } })],
  ['DELETE', '/threads/{thread_id}/messages/{message_id}'],
  ['GET', '/threads/{thread_id}/runs'],
  ['POST', '/threads/{thread_id}/runs', ({ assistant_id }) => ({ assistant_id })],
  ['GET', '/threads/{thread_id}/runs/{run_id}'],
  ['POST', '/threads/{thread_id}/runs/{run_id}', () => ({ metadata: { whose: 'mine' } })],
  ['POST', '/threads/{thread_id}/runs/{run_id}/cancel'],
  ['POST', '/threads/{thread_id}/runs/{run_id}/submit_tool_outputs', () => ({ tool_outputs: [] })],
  ['GET', '/threads/{thread_id}/runs/{run_id}/steps'],
  ['GET', '/threads/{thread_id}/runs/{run_id}/steps/{step_id}'],
  ['GET', '/threads/{thread_id}/runs/{run_id}/events'],
  ['GET', '/files/{file_id}'],
  ['GET', '/files/{file_id}/content'],
  ['DELETE', '/files/{file_id}'],
];

const filled = (path: string, objects: Objects) =>
  path.replaceAll(/\{(\w+)\}/g, (_, name: keyof Objects) => objects[name]);

describe('the wall between teams', () => {
  let desk: TestDesk;
  let red: Objects;
  let blue: Objects;

  before(async () => {
    desk = await openDesk({ listThreads: true });
    red = await populate({ as: RED_CALLER });
    blue = await populate({ as: BLUE_CALLER });
  });
  after(() => desk.close());

  async function populate(options: Required<Pick<AskOptions, 'as'>>): Promise<Objects> {
    const { team } = options.as;
    const assistant = await desk.ok('POST', '/assistants', { model: 'gpt-4o', name: team.id }, options);
    const thread = await desk.ok('POST', '/threads', { messages: [{ role: 'user', content: team.id }] }, options);
    const run = await desk.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: assistant.id }, options);
    const stored = await desk.store.findRun(team.id, thread.id, run.id);
    const claim = await desk.store.claim({ owner: 'w', leaseMs: 1e9, run: stored!.ref });
    const step = aStep(stored!);
    await desk.store.commit(claim!.lease, { steps: [step] });
    const file = {
      teamId: team.id,
      id: `file-tw-${team.id}` as const,
      filename: 'a.csv',
      bytes: 3,
      createdAt: 1,
      threadId: thread.id,
      runId: run.id,
      upstreamId: null,
    };
    await desk.store.insertGeneratedFile(
      file,
      (async function* () {
        yield Buffer.from('a,b');
      })(),
    );
    const messages = await desk.ok('GET', `/threads/${thread.id}/messages`, undefined, options);
    return {
      assistant_id: assistant.id,
      thread_id: thread.id,
      message_id: messages.data[0].id,
      run_id: run.id,
      step_id: step.id,
      file_id: file.id,
    };
  }

  for (const [method, path, body] of OPERATIONS) {
    test(`${method} ${path} of another team is answered as one that nobody has`, async () => {
      const foreign = await desk.ask(method, filled(path, red), body?.(red), { as: BLUE_CALLER });
      const unknown = await desk.ask(method, filled(path, UNKNOWN), body?.(UNKNOWN), { as: BLUE_CALLER });
      assert.equal(foreign.status, 404);
      const disguised = Object.entries(red).reduce(
        (text, [name, id]) => text.replaceAll(id, UNKNOWN[name as keyof Objects]),
        foreign.text,
      );
      assert.equal(disguised, unknown.text);
      assert.deepEqual(foreign.reply.headers, unknown.reply.headers);
    });
  }

  test('a team sees all of its own objects, and only those, whichever of its keys asks', async () => {
    for (const key of ['key_one', 'key_two'] as const) {
      const as = caller('team_red', key);
      for (const [method, path] of OPERATIONS.filter(([kind, name]) => kind === 'GET' && !name.endsWith('/events'))) {
        assert.equal((await desk.ask(method, filled(path, red), undefined, { as })).status, 200, path);
      }
      const ids = async (path: string) =>
        (await desk.ask('GET', path, undefined, { as })).json.data.map((object: { id: string }) => object.id);
      assert.deepEqual(await ids('/assistants'), [red.assistant_id]);
      assert.deepEqual(await ids('/threads'), [red.thread_id]);
    }
  });

  test('a cursor of another team is answered as one that nobody has', async () => {
    const foreign = await desk.ask('GET', `/assistants?after=${red.assistant_id}`, undefined, { as: BLUE_CALLER });
    const unknown = await desk.ask('GET', '/assistants?after=asst_unknown', undefined, { as: BLUE_CALLER });
    assert.equal(foreign.text.replaceAll(red.assistant_id, 'asst_unknown'), unknown.text);
  });

  test('two teams may have the same id, each its own object', async () => {
    const store = desk.store;
    const { anAssistant } = await import('../support/assistant-objects.ts');
    for (const teamId of ['team_red', 'team_blue'] as const) {
      assert.equal(await store.insertAssistant(anAssistant({ teamId, id: 'asst_same', name: teamId })), true);
      assert.equal((await desk.ok('GET', '/assistants/asst_same', undefined, { as: caller(teamId) })).name, teamId);
    }
  });

  test('10,000 attempts at objects that are not the caller’s change nothing and tell nothing', async (t) => {
    const seed = 20_260_826;
    t.diagnostic(`seed ${seed}`);
    const next = randomFrom(seed);
    const pick = <T>(all: readonly T[]): T => all[Math.floor(next() * all.length)]!;
    const before = await snapshot();
    const names = Object.keys(red) as (keyof Objects)[];
    for (let i = 0; i < 10_000; i++) {
      const [method, path, body] = pick(OPERATIONS);
      const as = pick([RED_CALLER, BLUE_CALLER]);
      const own = as === RED_CALLER ? red : blue;
      const others = as === RED_CALLER ? blue : red;
      // At least one id of the path is not the caller's; the rest may be.
      const named = names.filter(
        (name) => path.includes(`{${name}}`) || (path === '/threads/runs' && name === 'assistant_id'),
      );
      const stranger = pick(named);
      const objects = Object.fromEntries(
        names.map((name) => [
          name,
          name === stranger ? pick([others[name], UNKNOWN[name]]) : pick([own[name], others[name]]),
        ]),
      ) as unknown as Objects;
      const { status, text } = await desk.ask(method, filled(path, objects), body?.(objects), { as });
      assert.equal(status, 404, `${i}: ${method} ${filled(path, objects)} as ${as.team.id}: ${text}`);
    }
    assert.deepEqual(await snapshot(), before);
  });

  async function snapshot(): Promise<unknown> {
    const all: unknown[] = [];
    const page = { cursor: null, limit: 1000 };
    for (const team of (await desk.store.exportTeams()).toSorted()) {
      const threads = (await desk.store.exportObjects('thread', team, null, page)).data;
      all.push((await desk.store.exportObjects('assistant', team, null, page)).data, threads);
      for (const { object } of threads) {
        for (const kind of ['message', 'item', 'run', 'step', 'file'] as const)
          all.push((await desk.store.exportObjects(kind, team, (object as Thread).id, page)).data);
      }
    }
    return all;
  }
});

/** The same numbers for the same seed: mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
