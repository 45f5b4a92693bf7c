// One record for the socket, and one for each response within it, as soon as that is complete.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { eventually } from '../support/eventually.ts';
import { type SocketStand, acceptance, frame, openSocketStand } from '../support/sockets.ts';

let stand: SocketStand;
before(async () => {
  stand = await openSocketStand();
});
after(() => stand.close());
beforeEach(() => stand.clear());
afterEach(() => stand.check());

const turns = (): ExchangeRecord[] => stand.records().filter((record) => record.kind === 'turn');

const usageOf = (inputTokens: number) => ({
  total_tokens: inputTokens + 5,
  input_tokens: inputTokens,
  output_tokens: 5,
  input_token_details: { text_tokens: inputTokens, audio_tokens: 0, cached_tokens: 0 },
});
const responseDone = (id: string, inputTokens: number) => ({
  type: 'response.done',
  event_id: `event_${id}`,
  response: { object: 'realtime.response', id, status: 'completed', output: [], usage: usageOf(inputTokens) },
});

test('a realtime socket is one record, and each of its responses another that names it', async () => {
  const { client, far } = await stand.open('/openai/realtime?model=gpt-realtime');
  const say = (event: unknown) => far.send(JSON.stringify(event));
  say({ type: 'session.created', session: { type: 'realtime', model: 'gpt-realtime-2026-01-01' } });
  for (let i = 1; i <= 3; i++) {
    say({ type: 'response.created', response: { id: `resp_${i}`, usage: null } });
    say({ type: 'response.output_text.delta', delta: 'it says "usage" and "response.done"' });
    say(responseDone(`resp_${i}`, i * 100));
  }
  await eventually('each response is on record before the socket ends', () => turns().length === 3);
  assert.equal(stand.records().length, 3);
  client.socket.close();
  const [socket] = await stand.recorded(1);

  for (const [i, turn] of turns().entries()) {
    assert.equal(turn.parent_id, socket!.id);
    assert.notEqual(turn.id, socket!.id);
    assert.equal(turn.usage.source, 'reported');
    assert.deepEqual(turn.usage.raw, usageOf((i + 1) * 100));
    assert.equal(turn.model_requested, 'gpt-realtime');
    assert.equal(turn.model_served, 'gpt-realtime-2026-01-01');
    assert.equal(turn.endpoint, '/v1/realtime');
    assert.equal(turn.transport, 'ws');
    assert.equal(turn.ending, 'complete');
    assert.equal(turn.team_id, socket!.team_id);
    assert.equal(turn.key_id, socket!.key_id);
    assert.ok(turn.at >= socket!.at);
  }
  assert.equal(socket!.kind, 'exchange');
  assert.equal(socket!.parent_id, null);
  assert.equal(socket!.model_requested, 'gpt-realtime');
  assert.equal(socket!.model_served, 'gpt-realtime-2026-01-01');
  // What it used is told by its turns.
  assert.deepEqual(socket!.usage, { source: 'absent', readings: null, raw: null });
  assert.ok(socket!.bytes.out > 1000);
});

test('a response that is told twice is one turn', async () => {
  const { far } = await stand.open('/openai/realtime');
  for (const id of ['resp_1', 'resp_1', 'resp_2', 'resp_1']) far.send(JSON.stringify(responseDone(id, 1)));
  far.send(JSON.stringify({ type: 'error', last: true }));
  far.close(1000);
  await stand.recorded(1);
  assert.equal(turns().length, 2);
});

test('the lanes of a Responses socket each report their own model and usage, complete or not', async () => {
  const { far } = await stand.open('/openai/v1/responses');
  const events = [
    ['response.completed', 'resp_a', 'gpt-5.1-2025-11-13', { input_tokens: 1, output_tokens: 2, total_tokens: 3 }],
    ['response.incomplete', 'resp_b', 'gpt-5-mini', { input_tokens: 4, output_tokens: 5, total_tokens: 9 }],
    ['response.failed', 'resp_c', 'gpt-5-mini', null],
  ] as const;
  for (const [type, id, model, usage] of events) {
    far.send(
      JSON.stringify({ type: 'response.created', stream_id: `lane_${id}`, response: { id, model, usage: null } }),
    );
    far.send(JSON.stringify({ type, stream_id: `lane_${id}`, response: { id, model, usage } }));
  }
  far.close(1000);
  const [socket] = await stand.recorded(1);
  assert.deepEqual(
    turns().map(({ model_served, usage, parent_id }) => [model_served, usage.source, usage.raw, parent_id]),
    events.map(([, , model, usage]) => [model, usage === null ? 'absent' : 'reported', usage, socket!.id]),
  );
});

test('a transcription is a turn of the model that transcribes', async () => {
  const { far } = await stand.open('/openai/realtime?model=gpt-realtime');
  const completed = (item: string, usage: unknown) =>
    JSON.stringify({
      type: 'conversation.item.input_audio_transcription.completed',
      item_id: item,
      content_index: 0,
      transcript: 'hello',
      usage,
    });
  const duration = { type: 'duration', seconds: 3 };
  const tokens = { type: 'tokens', total_tokens: 30, input_tokens: 20, output_tokens: 10 };
  // Before it is named, the model is not known.
  far.send(completed('item_0', duration));
  far.send(
    JSON.stringify({
      type: 'session.updated',
      session: { model: 'gpt-realtime', audio: { input: { transcription: { model: 'gpt-4o-transcribe' } } } },
    }),
  );
  far.send(completed('item_1', tokens));
  far.close(1000);
  await stand.recorded(1);
  assert.deepEqual(
    turns().map(({ model_requested, model_served, usage }) => [model_requested, model_served, usage.raw]),
    [
      [null, null, duration],
      ['gpt-4o-transcribe', 'gpt-4o-transcribe', tokens],
    ],
  );
});

test('what an upstream tells in answer to its client’s goodbye is a turn all the same', async () => {
  const session = { model: 'gpt-realtime', audio: { input: { transcription: { model: 'gpt-realtime-whisper' } } } };
  const usage = { type: 'duration', seconds: 90 };
  stand.upstream.reception = {
    answer(connection, handshake) {
      connection.write(acceptance(handshake));
      connection.write(frame(0x1, JSON.stringify({ type: 'session.updated', session })));
      connection.on('data', (bytes: Buffer) => {
        // A close frame of the other side.
        if ((bytes[0]! & 0x0f) !== 0x8) return;
        const type = 'conversation.item.input_audio_transcription.completed';
        connection.write(frame(0x1, JSON.stringify({ type, item_id: 'item_1', content_index: 0, usage })));
        connection.end(frame(0x8, Buffer.from([0x03, 0xe8])));
      });
    },
  };
  const client = await stand.dial('/openai/realtime?model=gpt-realtime').opened();
  await eventually('the session is told', () => client.messages.length === 1);
  client.socket.close(1000);
  const [socket] = await stand.recorded(1);
  assert.deepEqual([socket!.ending, socket!.error], ['complete', null]);
  assert.deepEqual(
    turns().map(({ parent_id, model_served, cost }) => [parent_id, model_served, cost.usd]),
    [[socket!.id, 'gpt-realtime-whisper', '0.0255']],
  );
});

test('an upstream that does not answer its client’s goodbye is let go of when the gateway stops', async () => {
  const { gateway, upstream, dial } = await openSocketStand();
  upstream.reception = {
    answer(connection, handshake) {
      connection.write(acceptance(handshake));
      connection.resume();
    },
  };
  const client = await dial('/openai/realtime?model=gpt-realtime').opened();
  client.socket.close(1000);
  await client.ended();
  assert.equal(upstream.connections.size, 1);
  let isStopped = false;
  const stopped = gateway.close().then(() => (isStopped = true));
  await eventually('the gateway stops', () => isStopped && upstream.connections.size === 0);
  await stopped;
  await upstream.close();
});

test('usage that grows with a live session belongs to the socket, and the last telling counts', async () => {
  const { far } = await stand.open('/openai/live/sessions');
  for (const seconds of [10, 20, 31.5]) {
    far.send(JSON.stringify({ type: 'session.usage.updated', usage: { seconds } }));
  }
  far.send(JSON.stringify({ type: 'session.closed', usage: { seconds: 32 } }));
  far.close(1000);
  const [socket] = await stand.recorded(1);
  assert.equal(socket!.usage.source, 'reported');
  assert.deepEqual(socket!.usage.raw, { seconds: 32 });
  assert.deepEqual(socket!.usage.readings, [{ meter: 'live_active_seconds', quantity: '32' }]);
  assert.equal(turns().length, 0);
});

test('a path that no row knows is read in the same way', async () => {
  const { far } = await stand.open('/openai/some/new/socket');
  far.send(JSON.stringify(responseDone('resp_1', 7)));
  far.close(1000);
  const [socket] = await stand.recorded(1);
  assert.equal(socket!.endpoint, null);
  assert.deepEqual(turns()[0]!.usage.raw, usageOf(7));
});

test('usage at the end of an event of many megabytes is found', async () => {
  const { far, client } = await stand.open('/openai/responses');
  const image = 'A'.repeat(3_000_000);
  const response = {
    id: 'resp_1',
    model: 'gpt-5',
    output: [{ type: 'image_generation_call', result: image }],
    usage: usageOf(50),
  };
  far.send(JSON.stringify({ type: 'response.completed', response }));
  far.close(1000);
  await client.ended();
  assert.equal(client.messages.length, 1);
  await stand.recorded(1);
  assert.deepEqual(
    turns().map(({ usage, model_served }) => [usage.raw, model_served]),
    [[usageOf(50), 'gpt-5']],
  );
});

test('what only looks like usage passes, breaks nothing, and is no turn', async () => {
  const { far, client } = await stand.open('/openai/realtime');
  const frames = [
    '{"type":"response.done","usage"',
    'response.done "usage"',
    '{"usage":{},"type":"response.done.not"}',
    '"usage" "response.done"',
    '[{"type":"response.done","usage":1}]',
    'null',
    '{"type":"response.output_text.delta","delta":"\\"usage\\" \\"response.done\\""}',
    '{"type":"session.created","session":null}',
    '{"type":"session.updated","session":{"model":5,"audio":{"input":"x"}}}',
    '{"type":["response.done"],"usage":{}}',
    `{"__proto__":{"type":"response.done"},"usage":${'['.repeat(5000)}`,
  ];
  for (const text of frames) far.send(text);
  // Binary is never looked into.
  far.send(Buffer.from(JSON.stringify(responseDone('resp_1', 1))));
  far.close(1000);
  await client.ended();
  assert.deepEqual(client.texts().slice(0, -1), frames);
  await stand.recorded(1);
  assert.deepEqual(turns(), []);
});

test('usage that a client makes up is no turn', async () => {
  stand.upstream.reception = {};
  const { client } = await stand.open('/openai/realtime');
  client.socket.send(JSON.stringify(responseDone('resp_1', 1)));
  client.socket.close();
  await client.ended();
  await stand.recorded(1);
  assert.deepEqual(turns(), []);
});

test('metrics count the socket once, whatever its turns', async () => {
  const text = async () => (await stand.gateway.adminFetch('/metrics')).text();
  const countOf = (metrics: string) =>
    Number(
      /^throughway_exchanges_total\{endpoint="\/v1\/realtime",status="101",ending="complete"\} (\d+)/m.exec(
        metrics,
      )?.[1] ?? 0,
    );
  const before = countOf(await text());
  const { far } = await stand.open('/openai/realtime');
  for (const id of ['resp_1', 'resp_2']) far.send(JSON.stringify(responseDone(id, 1)));
  far.close(1000);
  await stand.recorded(1);
  assert.equal(countOf(await text()), before + 1);
});
