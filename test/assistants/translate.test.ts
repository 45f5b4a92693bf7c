// What a model streams, as steps and messages: in one order, with nothing lost, however the upstream cuts and mixes its events.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { sliceCodePoints } from '../../src/assistants/code-points.ts';
import { readResponsesStream } from '../../src/assistants/responses-events.ts';
import { Searches } from '../../src/assistants/searches.ts';
import { Told } from '../../src/assistants/told.ts';
import { Translation, type TurnOutcome } from '../../src/assistants/translate.ts';
import type { TurnProducts } from '../../src/assistants/turn-items.ts';
import type { RunId, ThreadId, AssistantId } from '../../src/domain/assistants.ts';
import type { KeyId, TeamId } from '../../src/domain/id.ts';
import type { Run, RunEvent, RunRef } from '../../src/domain/run.ts';
import {
  type Json,
  type ScriptItem,
  type ScriptOptions,
  itemEvents,
  responseEvents,
  withFrame,
} from '../support/responses-script.ts';
import { foldEvents } from '../support/run-fold.ts';

const run = {
  ref: 1 as RunRef,
  teamId: 'team_1' as TeamId,
  keyId: 'key_1' as KeyId,
  threadId: 'thread_1' as ThreadId,
  assistantId: 'asst_1' as AssistantId,
  id: 'run_1' as RunId,
  createdAt: 1_750_000_000,
  status: 'in_progress',
  spec: {
    model: 'gpt-4o',
    instructions: '',
    tools: [],
    toolResources: {},
    temperature: null,
    topP: null,
    responseFormat: 'auto',
    reasoningEffort: null,
    maxPromptTokens: null,
    maxCompletionTokens: null,
    truncationStrategy: { type: 'auto' },
    toolChoice: 'auto',
    parallelToolCalls: true,
  },
  pendingCalls: null,
  lastError: null,
  incompleteReason: null,
  usage: null,
  startedAt: 1_750_000_000,
  expiresAt: 1_750_000_600,
  cancelledAt: null,
  failedAt: null,
  completedAt: null,
  metadata: {},
  include: [],
  turn: 1,
  reruns: 0,
  fence: 1,
  extra: {},
} as const satisfies Run;

const NO_PRODUCTS: TurnProducts = { keptFile: () => null, imagesOf: () => [], takeImages: () => [] };

interface Translated {
  readonly told: Told;
  readonly outcome: TurnOutcome | null;
  readonly events: readonly RunEvent[];
}

function open(products: TurnProducts = NO_PRODUCTS): Translation {
  let ids = 0;
  return new Translation({
    run,
    turn: 1,
    now: () => 1_750_000_001,
    newId: (prefix) => `${prefix}${String(++ids).padStart(4, '0')}`,
    searches: new Searches(0),
    products,
  });
}

function translate(events: readonly Json[], products?: TurnProducts): Translated {
  const translation = open(products);
  const read = readResponsesStream();
  const told = new Told();
  let outcome: TurnOutcome | null = null;
  for (const event of events) {
    const signal = read(event);
    if (signal?.type === 'item') told.add(translation.feed(signal.signal));
    if (signal?.type === 'end') told.add((outcome = translation.end(signal.end)).told);
  }
  return { told, outcome, events: told.events };
}

const names = ({ events }: Translated) => events.map(({ event }) => event.replace('thread.', ''));
const textOf = ({ told }: Translated) =>
  told.messages.map(({ content }) =>
    content.map((part) => (part.type === 'text' ? part.text.value : part.type)).join('|'),
  );

describe('the order of one turn', () => {
  test('a plain answer is told as the live API told it', () => {
    const plain = translate(responseEvents([{ kind: 'message', text: 'Hello you' }], { chunk: 5 }));
    assert.deepEqual(names(plain), [
      'run.step.created',
      'run.step.in_progress',
      'message.created',
      'message.in_progress',
      'message.delta',
      'message.delta',
      'message.completed',
      'run.step.completed',
    ]);
    assert.equal(plain.outcome?.status, 'completed');
    assert.equal(plain.outcome.usage?.total_tokens, 30);
    assert.equal(plain.told.steps[0]?.usage?.prompt_tokens, 20);
    foldEvents(plain.events);
  });

  test('parallel calls stand in one step, which stays open', () => {
    const items: ScriptItem[] = [
      { kind: 'function', name: 'weather', args: '{"city":"Rome"}', callId: 'call_a' },
      { kind: 'function', name: 'time', args: '{}', callId: 'call_b' },
    ];
    const calls = translate(responseEvents(items));
    assert.equal(calls.outcome?.status, 'requires_action');
    assert.deepEqual(calls.outcome.pendingCalls, [
      { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
      { id: 'call_b', type: 'function', function: { name: 'time', arguments: '{}' } },
    ]);
    const [step] = calls.told.steps;
    assert.equal(step?.status, 'in_progress');
    assert.equal(step.details.type === 'tool_calls' && step.details.tool_calls.length, 2);
    assert.equal(names(calls).at(-1), 'run.step.delta');
    assert.deepEqual(
      calls.told.items.map((item) => item.kind === 'call' && item.payload['call_id']),
      ['call_a', 'call_b'],
    );
    foldEvents(calls.events);
  });

  test('arguments that come mixed are told one call after the other', () => {
    const items: ScriptItem[] = [
      { kind: 'function', name: 'weather', args: '{"city":"Rome"}', callId: 'call_a' },
      { kind: 'function', name: 'time', args: '{"zone":"CET"}', callId: 'call_b' },
    ];
    const [first, second] = items.map((item, i) => itemEvents(item, i));
    const mixed = first!.flatMap((event, i) => [event, ...(second![i] === undefined ? [] : [second![i]])]);
    const apart = translate(responseEvents(items));
    const together = translate(withFrame([...mixed, ...second!.slice(first!.length)], items));
    assert.deepEqual(together.told.steps, apart.told.steps);
    assert.deepEqual(together.outcome?.pendingCalls, apart.outcome?.pendingCalls);
    foldEvents(together.events);
  });

  test('a message behind a function call is kept, but not told before its outputs are in', () => {
    const late = translate(
      responseEvents([
        { kind: 'function', name: 'weather', args: '{}', callId: 'call_a' },
        { kind: 'message', text: 'One moment.' },
      ]),
    );
    assert.equal(late.outcome?.status, 'requires_action');
    assert.ok(!names(late).some((name) => name.startsWith('message')));
    assert.equal(late.told.messages[0]?.status, 'completed');
    assert.deepEqual(
      late.told.items.map(({ kind }) => kind),
      ['call', 'message'],
    );
    assert.deepEqual(
      late.told.steps.map(({ status, usage }) => [status, usage?.total_tokens]),
      [
        ['in_progress', 30],
        ['completed', 0],
      ],
    );
  });

  test('the usage of a response is its last step’s, and the others’ is zero', () => {
    const two = translate(
      responseEvents([
        { kind: 'reasoning', encrypted: 'abc' },
        { kind: 'message', text: 'Let me see.', phase: 'commentary' },
        { kind: 'message', text: 'Done.', phase: 'final_answer' },
      ]),
    );
    assert.deepEqual(
      two.told.steps.map(({ usage }) => usage?.total_tokens),
      [0, 30],
    );
    assert.deepEqual(
      two.told.items.map(({ outIx, kind }) => [outIx, kind]),
      [
        [0, 'call'],
        [1, 'message'],
        [2, 'message'],
      ],
    );
    foldEvents(two.events);
  });

  test('reasoning without encrypted content leaves nothing behind', () => {
    const silent = translate(responseEvents([{ kind: 'reasoning' }, { kind: 'message', text: 'Yes.' }]));
    assert.deepEqual(
      silent.told.items.map(({ kind }) => kind),
      ['message'],
    );
  });

  test('a refusal is a part of its own', () => {
    const refused = translate(responseEvents([{ kind: 'refusal', refusal: 'I will not.' }]));
    assert.deepEqual(refused.told.messages[0]?.content, [{ type: 'refusal', refusal: 'I will not.' }]);
    assert.equal(refused.outcome?.status, 'completed');
    foldEvents(refused.events);
  });

  test('an answer cut by the limit is incomplete, its step complete, and the model sees it again', () => {
    const cut = translate(
      responseEvents([{ kind: 'message', text: 'Once upon', isCut: true }], { end: 'max_output_tokens' }),
    );
    assert.equal(cut.outcome?.status, 'cut');
    assert.equal(cut.told.messages[0]?.incompleteReason, 'max_tokens');
    assert.deepEqual(names(cut).slice(-2), ['message.incomplete', 'run.step.completed']);
    assert.equal(cut.told.steps[0]?.usage?.total_tokens, 30);
    assert.equal(cut.told.items.length, 1);
    foldEvents(cut.events);
  });

  test('an answer stopped by the content filter fails its step, and the model does not see it again', () => {
    const filtered = translate(
      responseEvents([{ kind: 'message', text: 'How to', isCut: true }], { end: 'content_filter' }),
    );
    assert.equal(filtered.outcome?.status, 'filtered');
    assert.equal(filtered.told.messages[0]?.incompleteReason, 'content_filter');
    assert.deepEqual(names(filtered).slice(-2), ['message.incomplete', 'run.step.failed']);
    assert.equal(filtered.told.items.length, 0);
  });

  test('code, its logs and its images are told in one step, and the images before the words', () => {
    const products: TurnProducts = {
      keptFile: () => null,
      imagesOf: () => ['file-plot'],
      takeImages: takeOnce(['file-plot']),
    };
    const code = translate(
      responseEvents([
        { kind: 'code', code: 'print(1)', container: 'cntr_1', outputs: [{ type: 'logs', logs: '1' }] },
        { kind: 'message', text: 'Here.' },
      ]),
      products,
    );
    const [step] = code.told.steps;
    assert.deepEqual(
      step?.details.type === 'tool_calls' &&
        step.details.tool_calls[0]?.type === 'code_interpreter' &&
        step.details.tool_calls[0].code_interpreter,
      {
        input: 'print(1)',
        outputs: [
          { type: 'logs', logs: '1' },
          { type: 'image', image: { file_id: 'file-plot' } },
        ],
      },
    );
    assert.deepEqual(
      code.told.messages[0]?.content.map(({ type }) => type),
      ['image_file', 'text'],
    );
    foldEvents(code.events);
  });

  test('an image that was kept late stands behind the words', () => {
    let isKept = false;
    const take = takeOnce(['file-plot']);
    const products: TurnProducts = {
      keptFile: () => null,
      imagesOf: () => [],
      takeImages: () => (isKept ? take() : []),
    };
    const translation = open(products);
    const read = readResponsesStream();
    const told = new Told();
    for (const event of responseEvents([{ kind: 'message', text: 'Here.' }])) {
      const signal = read(event);
      if (signal?.type === 'item' && signal.signal.op.type === 'done') isKept = true;
      if (signal?.type === 'item') told.add(translation.feed(signal.signal));
      if (signal?.type === 'end') told.add(translation.end(signal.end).told);
    }
    assert.deepEqual(
      told.messages[0]?.content.map(({ type }) => type),
      ['text', 'image_file'],
    );
    foldEvents(told.events);
  });

  test('a search shows what it found, and a citation which result it is', () => {
    const results = [
      { file_id: 'file-a', filename: 'a.md', score: 0.9, text: 'alpha' },
      { file_id: 'file-b', filename: 'b.md', score: 0.5, text: 'beta' },
    ];
    const found = translate(
      responseEvents([
        { kind: 'search', queries: ['x'], results },
        {
          kind: 'message',
          text: 'It is beta.',
          annotations: [{ annotation: { type: 'file_citation', index: 11, file_id: 'file-b', filename: 'b.md' } }],
        },
      ]),
    );
    assert.deepEqual(textOf(found), ['It is beta.【0:1†b.md】']);
    const [step] = found.told.steps;
    const call = step?.details.type === 'tool_calls' ? step.details.tool_calls[0] : undefined;
    assert.equal(call?.type === 'file_search' && call.file_search.results?.[1]?.content?.[0]?.text, 'beta');
    foldEvents(found.events);
  });

  test('a turn that stops closes what is open, and nothing else', () => {
    for (const [message, step] of [
      ['run_failed', 'failed'],
      ['run_cancelled', 'cancelled'],
      ['run_expired', 'expired'],
    ] as const) {
      const translation = open();
      const read = readResponsesStream();
      const told = new Told();
      for (const event of responseEvents([{ kind: 'message', text: 'Hello you' }], { chunk: 5 }).slice(0, 5)) {
        const signal = read(event);
        if (signal?.type === 'item') told.add(translation.feed(signal.signal));
      }
      told.add(translation.stop({ message, step, error: null }));
      assert.deepEqual(
        told.events.slice(-2).map(({ event }) => event),
        ['thread.message.incomplete', `thread.run.step.${step}`],
      );
      assert.deepEqual(told.messages[0]?.content, [{ type: 'text', text: { value: 'Hello', annotations: [] } }]);
      assert.equal(told.items.length, message === 'run_failed' ? 0 : 1);
      foldEvents(told.events);
    }
  });
});

describe('what compatible servers leave out', () => {
  const items: ScriptItem[] = [
    { kind: 'reasoning', encrypted: 'abc' },
    { kind: 'message', text: 'I look it up. 🙂', phase: 'commentary' },
    { kind: 'code', code: 'print("🙂")', container: 'cntr_1', outputs: [{ type: 'logs', logs: '🙂' }] },
    { kind: 'function', name: 'weather', args: '{"city":"Rome"}', callId: 'call_a' },
    { kind: 'function', name: 'time', args: '', callId: 'call_b' },
  ];
  const whole = translate(responseEvents(items));

  const left: readonly (readonly [string, ScriptOptions])[] = [
    ['no `added` events', { without: ['added'] }],
    ['no deltas', { without: ['deltas'] }],
    ['only `done` events', { without: ['added', 'deltas', 'parts'] }],
    ['nothing but the end', { without: ['item_done'] }],
    ['no indexes', { without: ['indexes'] }],
    ['no sequence numbers', { without: ['numbers'] }],
  ];
  for (const [what, options] of left) {
    test(`${what}: the same objects`, () => {
      const { told, outcome, events } = translate(responseEvents(items, options));
      assert.deepEqual(shapeOf(told), shapeOf(whole.told));
      assert.deepEqual(outcome?.pendingCalls, whole.outcome?.pendingCalls);
      foldEvents(events);
    });
  }
});

test('any cutting of any turn gives the same objects, and one that strict clients take', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'é', '漢', '🙂', ' ', '\n'), maxLength: 30 });
  const item: fc.Arbitrary<ScriptItem> = fc.oneof(
    fc.record({ kind: fc.constant('message' as const), text }),
    fc.record({ kind: fc.constant('refusal' as const), refusal: text.filter((refusal) => refusal !== '') }),
    fc.record({
      kind: fc.constant('function' as const),
      name: fc.constantFrom('f', 'g'),
      args: text,
      callId: fc.uuid(),
    }),
    fc.record({ kind: fc.constant('code' as const), code: text, container: fc.constant('cntr_1') }),
    fc.record({ kind: fc.constant('reasoning' as const), encrypted: fc.constant('abc') }),
    fc.record({ kind: fc.constant('search' as const), queries: fc.constant(['q']), results: fc.constant([]) }),
  );
  fc.assert(
    fc.property(
      fc.array(item, { maxLength: 6 }),
      fc.integer({ min: 1, max: 9 }),
      fc.infiniteStream(fc.nat()),
      (items, chunk, picks) => {
        const calm = translate(responseEvents(items, { chunk: 1000 }));
        const mixed = translate(
          withFrame(
            mix(
              items.map((one, i) => itemEvents(one, i, { chunk })),
              picks,
            ),
            items,
          ),
        );
        assert.deepEqual(shapeOf(mixed.told), shapeOf(calm.told));
        assert.deepEqual(mixed.outcome?.pendingCalls, calm.outcome?.pendingCalls);
        foldEvents(mixed.events);
        foldEvents(calm.events);
      },
    ),
    { numRuns: 300 },
  );
});

describe('citations', () => {
  const cited = (text: string, annotations: readonly { after?: number; annotation: Json }[], chunk = 3) =>
    translate(responseEvents([{ kind: 'message', text, annotations }], { chunk }));
  const citation = (index: number, file = 'file-a') => ({
    type: 'file_citation',
    index,
    file_id: file,
    filename: `${file}.md`,
  });

  test('each annotation is the slice of the text that it says it is, in code points', () => {
    const both = cited('Grüße 🙂 an 漢字. Ende 🙂.', [
      { after: 9, annotation: citation(7) },
      { after: 20, annotation: citation(13, 'file-b') },
      { annotation: citation(21) },
    ]);
    const part = both.told.messages[0]?.content[0];
    assert.ok(part?.type === 'text');
    assert.equal(part.text.annotations.length, 3);
    for (const { text, start_index, end_index } of part.text.annotations) {
      assert.equal(sliceCodePoints(part.text.value, start_index, end_index), text);
    }
    foldEvents(both.events);
  });

  test('one that comes late stands where the text then ends', () => {
    assert.deepEqual(textOf(cited('one two three', [{ after: 6, annotation: citation(3) }])), [
      'one tw【0:0†file-a.md】o three',
    ]);
  });

  test('one that comes before its text waits for it', () => {
    assert.deepEqual(textOf(cited('one two three', [{ after: 3, annotation: citation(7) }])), [
      'one two【0:0†file-a.md】 three',
    ]);
  });

  test('the same file at the same place is marked once, another file beside it', () => {
    const twice = cited('one two', [
      { annotation: citation(7) },
      { annotation: citation(7) },
      { annotation: citation(7, 'file-b') },
    ]);
    assert.deepEqual(textOf(twice), ['one two【0:0†file-a.md】【0:0†file-b.md】']);
  });

  test('a link to a kept file becomes a file path, wherever markers stand before it', () => {
    const text = 'See [it](sandbox:/mnt/data/out.csv) 🙂';
    const link = {
      type: 'container_file_citation',
      container_id: 'cntr_1',
      file_id: 'cfile_1',
      filename: 'out.csv',
      start_index: 9,
      end_index: 34,
    };
    const kept: TurnProducts = { ...NO_PRODUCTS, keptFile: (id) => (id === 'cfile_1' ? 'file-out' : null) };
    const events = responseEvents([
      { kind: 'message', text, annotations: [{ after: 3, annotation: citation(3) }, { annotation: link }] },
    ]);
    const part = translate(events, kept).told.messages[0]?.content[0];
    assert.ok(part?.type === 'text');
    const path = part.text.annotations[1];
    assert.ok(path?.type === 'file_path');
    assert.equal(path.text, 'sandbox:/mnt/data/out.csv');
    assert.equal(sliceCodePoints(part.text.value, path.start_index, path.end_index), path.text);
    assert.equal(path.file_path.file_id, 'file-out');
  });

  test('a kept file that the text does not name goes along as an attachment', () => {
    const link = {
      type: 'container_file_citation',
      container_id: 'cntr_1',
      file_id: 'cfile_1',
      filename: 'out.csv',
      start_index: 0,
      end_index: 0,
    };
    const kept: TurnProducts = { ...NO_PRODUCTS, keptFile: () => 'file-out' };
    const { told } = translate(
      responseEvents([{ kind: 'message', text: 'Done.', annotations: [{ annotation: link }] }]),
      kept,
    );
    assert.deepEqual(told.messages[0]?.attachments, [{ file_id: 'file-out', tools: [{ type: 'code_interpreter' }] }]);
  });

  test('replacing each annotation by its text leaves clean prose, whatever was cited where', () => {
    const place = fc.record({
      after: fc.integer({ min: 0, max: 40 }),
      index: fc.integer({ min: 0, max: 40 }),
      file: fc.constantFrom('file-a', 'file-b'),
    });
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', '漢', '🙂'), minLength: 1, maxLength: 30 }),
        fc.array(place, { maxLength: 4 }),
        fc.integer({ min: 1, max: 5 }),
        (text, places, chunk) => {
          const done = cited(
            text,
            places.map(({ after, index, file }) => ({ after, annotation: citation(index, file) })),
            chunk,
          );
          const part = done.told.messages[0]?.content[0];
          assert.ok(part?.type === 'text');
          for (const { text: marker, start_index, end_index } of part.text.annotations) {
            assert.equal(sliceCodePoints(part.text.value, start_index, end_index), marker);
          }
          const clean = part.text.annotations.reduce(
            (left, { text: marker }) => left.replace(marker, ''),
            part.text.value,
          );
          assert.equal(clean, text);
          foldEvents(done.events);
        },
      ),
    );
  });
});

function takeOnce(ids: readonly string[]): () => readonly string[] {
  const left = [...ids];
  return () => left.splice(0);
}

/** What remains when ids, which are made in the order of the telling, are left aside. */
function shapeOf(told: Told): unknown {
  const withoutIds = (value: unknown) =>
    JSON.parse(
      JSON.stringify(value, (key, inner: unknown) =>
        key === 'id' || key === 'message_id' || key === 'messageId' ? undefined : inner,
      ),
    ) as unknown;
  const byPlace = <T extends { origin: { outIx: number } | null }>(rows: readonly T[]) =>
    rows.toSorted((a, b) => (a.origin?.outIx ?? 0) - (b.origin?.outIx ?? 0));
  return withoutIds({
    messages: byPlace(told.messages),
    steps: byPlace(told.steps),
    items: told.items.map((item) => ({ ...item, payload: undefined })),
  });
}

/** Events of several items in one stream, each item's own in their order. An item begins only after those before it have. */
function mix(perItem: readonly (readonly Json[])[], picks: Iterable<number>): Json[] {
  const rest = perItem.map((events) => [...events]);
  const mixed: Json[] = [];
  let begun = 0;
  for (const pick of picks) {
    const ready = rest.map((events, i) => ({ events, i })).filter(({ events, i }) => events.length > 0 && i <= begun);
    const chosen = ready[pick % Math.max(1, ready.length)];
    if (chosen === undefined) break;
    mixed.push(chosen.events.shift()!);
    begun = Math.max(begun, chosen.i + 1);
  }
  return mixed;
}
