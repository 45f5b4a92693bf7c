// Reads the events of a run as a strict client would: folds them to objects, and holds them to the orders that clients accept.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';

import type { Message, MessageContent } from '../../src/domain/assistants.ts';
import { type Run, type RunEvent, type RunStep, isTerminal } from '../../src/domain/run.ts';

export interface Folded {
  readonly messages: ReadonlyMap<string, Message>;
  readonly steps: ReadonlyMap<string, RunStep>;
  readonly run: Run | null;
}

type Loose = Record<string, unknown>;

const LOST_WORDS = { type: 'text', text: { value: '', annotations: [] } };

/** @throws AssertionError at the first event that a strict client would not take */
export function foldEvents(events: readonly RunEvent[]): Folded {
  const messages = new Map<string, Message>();
  const steps = new Map<string, RunStep>();
  /** What the deltas alone add up to. */
  const content = new Map<string, Loose[]>();
  const calls = new Map<string, Loose[]>();
  let run: Run | null = null;
  let openStep: string | null = null;
  let openMessage: string | null = null;

  for (const event of events) {
    assert.ok(run === null || !isTerminal(run.status), `${event.event} comes after the end`);
    if (event.event === 'error') continue;
    if (event.event === 'thread.message.delta') {
      assert.equal(event.id, openMessage, 'a delta of a message that is not open');
      for (const part of event.delta.content) addPart(content.get(event.id)!, part as Loose);
    } else if (event.event === 'thread.run.step.delta') {
      assert.equal(event.id, openStep, 'a delta of a step that is not open');
      const details = event.delta.step_details as { tool_calls: Loose[] };
      for (const call of details.tool_calls) addCall(calls.get(event.id)!, call);
    } else if ('message' in event) {
      const { message } = event;
      const state = event.event.slice('thread.message.'.length);
      if (state === 'created') {
        assert.equal(openMessage, null, 'a message is created while another is open');
        assert.ok(!messages.has(message.id), 'a message is created twice');
        const step = steps.get(openStep ?? '');
        assert.deepEqual(step?.details, { type: 'message_creation', message_creation: { message_id: message.id } });
        openMessage = message.id;
        content.set(message.id, []);
        assert.deepEqual(message.content, []);
      } else assert.equal(message.id, openMessage, `${event.event} of a message that is not open`);
      if (state === 'completed' || state === 'incomplete') {
        const told: readonly Loose[] = content.get(message.id)!;
        const ended = message.content.map(plain);
        // Words that nobody wrote before their process died are known to their readers alone; a client still looks for their part.
        if (state === 'incomplete' && isDeepStrictEqual(ended, [LOST_WORDS])) assert.equal(told.length, 1);
        else assert.deepEqual(told, ended, `the deltas of ${message.id} add up to its content`);
        openMessage = null;
      }
      assert.equal(message.status, state === 'created' ? 'in_progress' : state);
      messages.set(message.id, message);
    } else if ('step' in event) {
      const { step } = event;
      const state = event.event.slice('thread.run.step.'.length);
      if (state === 'created') {
        assert.equal(openStep, null, 'a step is created while another is open');
        assert.ok(!steps.has(step.id), 'a step is created twice');
        openStep = step.id;
        calls.set(step.id, []);
      } else if (state === 'in_progress' || openStep !== null) {
        assert.equal(step.id, openStep, `${event.event} of a step that is not open`);
      }
      if (state !== 'created' && state !== 'in_progress') {
        assert.equal(openMessage, null, 'a step ends while its message is open');
        if (step.details.type === 'tool_calls' && calls.has(step.id) && step.status === 'completed')
          assertCalls(calls.get(step.id)!, step);
        openStep = null;
      }
      assert.equal(step.status, state === 'created' ? 'in_progress' : state);
      steps.set(step.id, step);
    } else if ('run' in event) {
      const state = event.event.slice('thread.run.'.length);
      assert.equal(event.run.status, state === 'created' ? 'queued' : state);
      if (isTerminal(event.run.status))
        assert.equal(openStep ?? openMessage, null, 'the run ends while something is open');
      run = event.run;
    }
  }
  return { messages, steps, run };
}

function addPart(parts: Loose[], delta: Loose): void {
  const { index, ...rest } = delta as Loose & { index: number };
  assert.ok(index <= parts.length, 'indexes of content ascend');
  if (index === parts.length) {
    const text = rest['text'] as { value?: string; annotations?: unknown[] } | undefined;
    if (text !== undefined)
      assert.deepEqual(text.annotations, [], 'the first delta of a text brings its empty annotations');
    parts.push(structuredClone(rest));
    return;
  }
  const part = parts[index]!;
  assert.equal(part['type'], rest['type']);
  if (typeof rest['refusal'] === 'string') part['refusal'] = `${String(part['refusal'])}${rest['refusal']}`;
  const text = part['text'] as { value: string; annotations: Loose[] } | undefined;
  const more = rest['text'] as { value?: string; annotations?: (Loose & { index: number })[] } | undefined;
  if (text === undefined || more === undefined) return;
  text.value += more.value ?? '';
  for (const { index: at, ...annotation } of more.annotations ?? []) {
    assert.equal(at, text.annotations.length, 'annotations come in their order');
    text.annotations.push(annotation);
  }
}

function addCall(calls: Loose[], delta: Loose): void {
  const { index, ...rest } = delta as Loose & { index: number };
  assert.equal(typeof index, 'number');
  assert.ok(index <= calls.length && index >= calls.length - 1, 'calls come one after the other');
  if (index === calls.length) {
    calls.push(structuredClone(rest));
    return;
  }
  const call = calls[index]!;
  const kind = String(rest['type']);
  assert.equal(call['type'], kind);
  const whole = call[kind] as Loose;
  for (const [name, value] of Object.entries(rest[kind] as Loose)) {
    if (typeof value === 'string') whole[name] = `${String(whole[name])}${value}`;
    else if (Array.isArray(value))
      whole[name] = [...(whole[name] as unknown[]), ...value.map(({ index: _index, ...output }: Loose) => output)];
  }
}

/** What the deltas brought of calls is what stands in the step; results of a search and outputs of functions come later. */
function assertCalls(folded: readonly Loose[], step: RunStep): void {
  assert.ok(step.details.type === 'tool_calls');
  const told = step.details.tool_calls.map((call) => {
    if (call.type === 'function') return { ...call, function: { ...call.function, output: null } };
    return call.type === 'file_search' ? { ...call, file_search: {} } : call;
  });
  assert.deepEqual(folded, told, `the deltas of ${step.id} add up to its calls`);
}

function plain(part: MessageContent): unknown {
  return JSON.parse(JSON.stringify(part));
}

/** The same for frames as they go out to clients. The objects are those of the wire. @param frames to their end */
export function foldFrames(frames: readonly { readonly event: string; readonly data: Loose }[]): {
  readonly messages: readonly Loose[];
  readonly steps: readonly Loose[];
  readonly run: Loose | null;
} {
  assert.deepEqual(frames.at(-1), { event: 'done', data: '[DONE]' });
  const events = frames.slice(0, -1).map(({ event, data }) => asRunEvent(event, data));
  const { messages, steps, run } = foldEvents(events.filter((event) => event !== null));
  const wire = (object: unknown) => {
    const { details: _details, ...rest } = object as Loose;
    return rest;
  };
  return {
    messages: [...messages.values()].map(wire),
    steps: [...steps.values()].map(wire),
    run: run === null ? null : wire(run),
  };
}

function asRunEvent(event: string, data: Loose): RunEvent | null {
  if (event === 'thread.created') return null;
  if (event.endsWith('.delta')) return { event, id: data['id'], delta: data['delta'] } as unknown as RunEvent;
  if (event.startsWith('thread.message.')) return { event, message: data } as unknown as RunEvent;
  if (event.startsWith('thread.run.step.'))
    return { event, step: { ...data, details: data['step_details'] } } as unknown as RunEvent;
  return { event, run: data } as unknown as RunEvent;
}
