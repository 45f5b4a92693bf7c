// Assistants, threads, messages, generated files, kept answers and imports in the store, on both engines.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import type { AssistantStore, ExportCursor, ImportedObject, ObjectList } from '../../src/domain/assistant-store.ts';
import type { GeneratedFile } from '../../src/domain/assistants.ts';
import { assistantStore } from '../../src/store/assistants.ts';
import type { Engine } from '../../src/store/engine.ts';
import { BLUE, RED, aMessage, aRun, aStep, aThread, anAssistant } from '../support/assistant-objects.ts';
import { handClock, onBothEngines } from '../support/engines.ts';

const ALL = { limit: 100, order: 'asc' } as const;

function dataOf<T>(list: ObjectList<T> | null): readonly T[] {
  assert.ok(list?.kind === 'page');
  return list.data;
}

onBothEngines('assistants, threads and messages', (open) => {
  let engine: Engine;
  let store: AssistantStore;
  const clock = handClock();
  beforeEach(async () => {
    engine = await open(clock);
    store = assistantStore(engine);
  });
  afterEach(() => engine.close());

  test('an assistant is read as it was written, changed as it was told, and deleted once', async () => {
    const made = anAssistant({ metadata: { a: 'ü' }, temperature: 0.1, extra: { unknown: [1] } });
    assert.equal(await store.insertAssistant(made), true);
    assert.equal(await store.insertAssistant(made), false);
    assert.deepEqual(await store.findAssistant(RED, made.id), made);
    const changed = await store.updateAssistant(RED, made.id, (stored) => ({ ...stored, name: 'B' }));
    assert.deepEqual(changed, { ...made, name: 'B' });
    assert.deepEqual(await store.findAssistant(RED, made.id), changed);
    assert.equal(await store.deleteAssistant(RED, made.id), true);
    assert.equal(await store.deleteAssistant(RED, made.id), false);
  });

  test('changes that come at once are made one after the other', async () => {
    const made = anAssistant({ description: '' });
    await store.insertAssistant(made);
    const add = () =>
      store.updateAssistant(RED, made.id, (stored) => ({ ...stored, description: `${stored.description}x` }));
    await Promise.all(Array.from({ length: 8 }, add));
    assert.equal((await store.findAssistant(RED, made.id))?.description, 'xxxxxxxx');
  });

  test('every query names the team', async () => {
    const [assistant, thread] = [anAssistant(), aThread()];
    const message = aMessage(thread, 'hi');
    await store.insertAssistant(assistant);
    await store.insertThread(thread, [message]);
    assert.equal(await store.findAssistant(BLUE, assistant.id), null);
    assert.equal(await store.updateAssistant(BLUE, assistant.id, (stored) => stored), null);
    assert.equal(await store.deleteAssistant(BLUE, assistant.id), false);
    assert.deepEqual(dataOf(await store.listAssistants(BLUE, ALL)), []);
    assert.equal(await store.findThread(BLUE, thread.id), null);
    assert.equal(await store.updateThread(BLUE, thread.id, (stored) => stored), null);
    assert.equal(await store.deleteThread(BLUE, thread.id), null);
    assert.deepEqual(await store.addMessage({ ...message, teamId: BLUE }), { kind: 'no_thread' });
    assert.equal(await store.findMessage(BLUE, thread.id, message.id), null);
    assert.equal(await store.updateMessage(BLUE, thread.id, message.id, {}), null);
    assert.equal(await store.deleteMessage(BLUE, thread.id, message.id), null);
    assert.equal(await store.listMessages(BLUE, thread.id, ALL, {}), null);
    assert.deepEqual(dataOf(await store.listThreads(BLUE, ALL)), []);
    assert.deepEqual(await store.readHistory(BLUE, thread.id, { order: 'asc', from: null, limit: 10 }), []);
  });

  test('rows of one second are listed in the order in which they were written', async () => {
    const thread = aThread();
    await store.insertThread(thread, []);
    const made = Array.from({ length: 9 }, (_, i) => aMessage(thread, `${i}`, { createdAt: 1_750_000_000 + (i >> 2) }));
    for (const message of made) await store.addMessage(message);
    const ids = made.map(({ id }) => id);
    assert.deepEqual(
      dataOf(await store.listMessages(RED, thread.id, ALL, {})).map(({ id }) => id),
      ids,
    );
    const page = await store.listMessages(RED, thread.id, { limit: 3, order: 'desc', after: ids[5] }, {});
    assert.deepEqual(
      dataOf(page).map(({ id }) => id),
      [ids[4], ids[3], ids[2]],
    );
    const before = await store.listMessages(RED, thread.id, { limit: 2, order: 'asc', before: ids[5] }, {});
    assert.deepEqual(
      dataOf(before).map(({ id }) => id),
      [ids[3], ids[4]],
    );
    assert.deepEqual(await store.listMessages(RED, thread.id, { ...ALL, after: 'msg_none' }, {}), {
      kind: 'unknown_cursor',
      cursor: 'after',
    });
  });

  test('a message and the resources of its thread change together or not at all', async () => {
    const thread = aThread();
    await store.insertThread(thread, []);
    const add = (file: string) =>
      store.addMessage(aMessage(thread, file), (stored) => ({
        code_interpreter: { file_ids: [...(stored.code_interpreter?.file_ids ?? []), file] },
      }));
    await Promise.all(['a', 'b', 'c'].map(add));
    const files = (await store.findThread(RED, thread.id))?.toolResources.code_interpreter?.file_ids;
    assert.deepEqual(files?.toSorted(), ['a', 'b', 'c']);
    await store.createRun(aRun(thread));
    await add('d');
    assert.equal((await store.findThread(RED, thread.id))?.toolResources.code_interpreter?.file_ids.length, 3);
  });

  test('the history holds the messages in order, and a deleted one no more', async () => {
    const thread = aThread();
    const messages = ['one', 'two', 'three'].map((text) => aMessage(thread, text));
    await store.insertThread(thread, messages);
    await store.deleteMessage(RED, thread.id, messages[1]!.id);
    const forwards = await store.readHistory(RED, thread.id, { order: 'asc', from: null, limit: 10 });
    assert.deepEqual(
      forwards.map(({ item }) => item.kind === 'message' && item.message.id),
      [messages[0]?.id, messages[2]?.id],
    );
    const [last] = await store.readHistory(RED, thread.id, { order: 'desc', from: null, limit: 1 });
    assert.equal(last?.item.kind === 'message' && last.item.message.id, messages[2]?.id);
    const [rest] = await store.readHistory(RED, thread.id, { order: 'desc', from: last?.ord ?? null, limit: 10 });
    assert.equal(rest?.item.kind === 'message' && rest.item.message.id, messages[0]?.id);
  });

  test('a generated file is read back byte for byte, by its team alone', async () => {
    const content = Buffer.alloc(2_500_000, 'throughway');
    const thread = aThread();
    const file: GeneratedFile = {
      teamId: RED,
      id: 'file-tw-1',
      filename: 'täble.csv',
      bytes: content.length,
      createdAt: 5,
      threadId: thread.id,
      runId: 'run_1',
      upstreamId: 'file-up',
    };
    const pieces = async function* () {
      yield content.subarray(0, 2_000_000);
      yield content.subarray(2_000_000);
    };
    assert.equal(await store.insertGeneratedFile(file, pieces()), false, 'its thread is not there');
    assert.equal(await store.findGeneratedFile(RED, file.id), null);
    await store.insertThread(thread, []);
    assert.equal(await store.insertGeneratedFile(file, pieces()), true);
    assert.deepEqual(await store.findGeneratedFile(RED, file.id), file);
    assert.equal(await store.findGeneratedFile(BLUE, file.id), null);
    const read = async (team: typeof RED) => {
      const parts: Buffer[] = [];
      for await (const part of store.readGeneratedFile(team, file.id)) parts.push(part);
      return Buffer.concat(parts);
    };
    assert.ok((await read(RED)).equals(content));
    assert.equal((await read(BLUE)).length, 0);
    assert.equal(await store.deleteGeneratedFile(BLUE, file.id), false);
    assert.equal(await store.deleteGeneratedFile(RED, file.id), true);
    assert.equal((await read(RED)).length, 0);
  });

  test('a reserved answer is one’s own until it is settled, then everybody’s who asks the same', async () => {
    const entry = { teamId: RED, key: 'k', route: 'POST /x', bodyHash: 'h' };
    const first = await Promise.all(Array.from({ length: 5 }, () => store.reserveIdempotency(entry)));
    assert.equal(first.filter(({ kind }) => kind === 'new').length, 1);
    assert.equal(first.filter((found) => found.kind === 'same' && found.reply === null).length, 4);
    await store.settleIdempotency(entry, 'answer');
    assert.deepEqual(await store.reserveIdempotency(entry), { kind: 'same', reply: 'answer', reservedMs: clock.now() });
    assert.deepEqual(await store.reserveIdempotency({ ...entry, bodyHash: 'other' }), { kind: 'other' });
    assert.deepEqual(await store.reserveIdempotency({ ...entry, teamId: BLUE }), { kind: 'new' });
    assert.equal(await store.purgeIdempotency(clock.now() + 1, 10), 2);
    assert.deepEqual(await store.reserveIdempotency(entry), { kind: 'new' });
  });

  test('what is imported is exported again as it came, and a second import changes nothing', async () => {
    const thread = aThread({ createdAt: 1_700_000_000, extra: { note: 'kept' } });
    const { additionalMessages: _messages, thread: _thread, ...asked } = aRun(thread, { createdAt: 1_700_000_001 });
    const run = {
      ...asked,
      threadId: thread.id,
      status: 'completed' as const,
      pendingCalls: null,
      lastError: null,
      incompleteReason: null,
      usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
      startedAt: 1_700_000_001,
      cancelledAt: null,
      failedAt: null,
      completedAt: 1_700_000_002,
      turn: 0,
      reruns: 0,
      fence: 0,
      extra: {},
    };
    const late = aMessage(thread, 'late', { createdAt: 1_700_000_009 });
    const early = aMessage(thread, 'early', { createdAt: 1_700_000_003, runId: run.id, role: 'assistant' });
    const step = aStep({ ...run, assistantId: run.assistantId }, { status: 'completed', origin: null });
    const said = aMessage(thread, 'said', {
      createdAt: 1_700_000_004,
      runId: run.id,
      role: 'assistant',
      origin: { turn: 1, outIx: 2 },
      markers: [[0, 1, 3]],
      phase: 'final_answer',
    });
    const call = { type: 'function_call', name: 'ask', call_id: 'call_1', arguments: '{}' };
    const file: GeneratedFile = {
      teamId: RED,
      id: 'file-tw-exported',
      filename: 'a.csv',
      bytes: 3,
      createdAt: 1_700_000_005,
      threadId: thread.id,
      runId: run.id,
      upstreamId: null,
    };
    const objects: ImportedObject[] = [
      { kind: 'assistant', object: anAssistant({ createdAt: 1_600_000_000 }) },
      { kind: 'thread', object: thread },
      { kind: 'message', object: late },
      { kind: 'message', object: early },
      { kind: 'message', object: said, ord: 1_700_000_004_777 },
      {
        kind: 'item',
        object: {
          teamId: RED,
          threadId: thread.id,
          ord: 1_700_000_004_776,
          runId: run.id,
          turn: 1,
          outIx: 1,
          payload: call,
        },
      },
      { kind: 'run', object: run },
      { kind: 'step', object: step },
      { kind: 'file', object: file, isShared: true },
    ];
    const part: ImportedObject = {
      kind: 'file_part',
      object: { teamId: RED, fileId: file.id, part: 0, content: Buffer.from('a,b') },
    };
    assert.equal(await store.importObject(part, false), 'no_file');
    for (const object of objects.slice(0, 2)) assert.equal(await store.importObject(object, true), 'created');
    assert.equal(await store.importObject(objects[2]!, true), 'no_thread', 'a dry run writes nothing');
    for (const object of objects) assert.equal(await store.importObject(object, false), 'created');
    for (const object of objects) assert.equal(await store.importObject(object, false), 'unchanged');
    for (const outcome of ['created', 'unchanged']) assert.equal(await store.importObject(part, false), outcome);
    assert.equal(
      await store.importObject({ kind: 'message', object: { ...late, metadata: { a: 'b' } } }, false),
      'updated',
    );
    assert.equal(await store.importObject({ kind: 'message', object: late }, false), 'updated');

    const history = await store.readHistory(RED, thread.id, { order: 'asc', from: null, limit: 10 });
    assert.deepEqual(
      history.map(({ item }) => (item.kind === 'message' ? item.message.id : item.payload.type)),
      [early.id, 'function_call', said.id, late.id],
    );

    const exported: ImportedObject[] = [];
    assert.deepEqual(await store.exportTeams(), [RED]);
    for (const kind of ['assistant', 'thread', 'message', 'item', 'run', 'step', 'file'] as const) {
      const of = kind === 'assistant' || kind === 'thread' ? null : thread.id;
      for (let cursor: ExportCursor | null = null; ;) {
        const page: Awaited<ReturnType<typeof store.exportObjects>> = await store.exportObjects(kind, RED, of, {
          cursor,
          limit: 1,
        });
        exported.push(...page.data);
        cursor = page.cursor;
        if (cursor === null) break;
      }
      assert.deepEqual((await store.exportObjects(kind, BLUE, of, { cursor: null, limit: 10 })).data, []);
    }
    const withoutRef = exported.map((found) => {
      if (found.kind !== 'run') return found;
      const { ref: _ref, ...object } = found.object as typeof found.object & { ref: number };
      return { kind: found.kind, object };
    });
    const places = new Map([
      [early.id, 1_700_000_003_000],
      [late.id, 1_700_000_009_000],
    ]);
    const placed = objects.map((found) =>
      found.kind === 'message' && found.ord === undefined ? { ...found, ord: places.get(found.object.id) } : found,
    );
    const timeOf = ({ object }: ImportedObject) => ('createdAt' in object ? object.createdAt : 0);
    assert.deepEqual(
      withoutRef,
      placed.toSorted((a, b) => (a.kind === 'message' && b.kind === 'message' ? timeOf(a) - timeOf(b) : 0)),
    );
  });
});
