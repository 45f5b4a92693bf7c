// Keys that close while their exchanges run: nothing more is let in, and what runs ends, is told and is recorded.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { chunk, EVENT_STREAM } from '../support/chunked.ts';
import { eventually } from '../support/eventually.ts';
import type { ReplyWire, Script } from '../support/recorder.ts';
import { Client, type SocketUpstream, startSocketUpstream } from '../support/sockets.ts';
import { CHAT, JSON_BODY, type Scene, openScene } from './scene.ts';

/** A08 of the reference on security. */
const CLOSED_WITHIN_MS = 1000;
const LANES = 8;
const PACE_MS = (LANES * 1000) / 250;
const GRACE_SECONDS = 2;

const wires: ReplyWire[] = [];
const script: Script = async (request, wire) => {
  await request.whole();
  if (!request.target.includes('chat')) return { body: '{}', headers: [['Content-Type', 'application/json']] };
  await wire.head(200, 'OK', EVENT_STREAM);
  await wire.write(chunk('data: {"choices":[]}\n\n'));
  wires.push(wire);
  // It goes on until somebody ends it.
  return new Promise(() => {});
};

type Name = 'busy' | 'streaming' | 'other' | 'uploading' | 'rotated';
let scene: Scene<Name>;
before(async () => {
  scene = await openScene<Name>({ keys: { busy: {}, streaming: {}, other: {}, uploading: {}, rotated: {} }, script });
});
after(() => scene.close());
beforeEach(() => {
  wires.length = 0;
});

const administer = async (path: string, body: unknown = {}) => {
  const reply = await scene.gateway.adminFetch(`/admin/v1/keys/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  assert.ok(reply.ok, await reply.clone().text());
  return (await reply.json()) as { token: string };
};

/** Resolves with how it ended, and when. */
function stream(
  token: string,
): Promise<{ reply: Response; ended: Promise<{ how: 'whole' | 'broken'; atMs: number }> }> {
  const body = JSON.stringify({ model: 'gpt-4o-mini', stream: true, messages: [] });
  return fetch(scene.gateway.api + CHAT, {
    method: 'POST',
    body,
    headers: { ...JSON_BODY, authorization: `Bearer ${token}` },
  }).then((reply) => ({
    reply,
    ended: reply.text().then(
      () => ({ how: 'whole' as const, atMs: performance.now() }),
      () => ({ how: 'broken' as const, atMs: performance.now() }),
    ),
  }));
}

test('a key that is revoked under load opens nothing a second later (A08)', async () => {
  const { token, key } = scene.keys.busy;
  let isOver = false;
  let lastOk = 0;
  let refused = 0;
  const strange: number[] = [];
  const lanes = Array.from({ length: LANES }, async () => {
    while (!isOver) {
      const reply = await fetch(`${scene.gateway.api}/openai/v1/models`, {
        headers: { authorization: `Bearer ${token}` },
      });
      await reply.arrayBuffer();
      if (reply.status === 200) lastOk = performance.now();
      else if (reply.status === 401 || reply.status === 429) refused++;
      else strange.push(reply.status);
      await delay(PACE_MS);
    }
  });
  await eventually('it is under load', () => scene.upstream.requests.length > 50);
  await administer(`${key.id}/revoke`);
  const revokedMs = performance.now();
  await eventually('all are refused', () => refused > 100);
  isOver = true;
  await Promise.all(lanes);
  assert.deepEqual(strange, []);
  assert.ok(lastOk - revokedMs <= CLOSED_WITHIN_MS, `opened for ${lastOk - revokedMs} ms`);
});

test('its streams and sockets end at once and are recorded, and those of other keys go on', async () => {
  const sockets: SocketUpstream = await startSocketUpstream();
  const other = await openScene({ keys: { closing: {}, staying: {} }, elsewhere: sockets.url });
  try {
    const dial = (key: 'closing' | 'staying') =>
      new Client(`${other.gateway.api.replace('http', 'ws')}/openai/v1/responses`, [], {
        headers: { authorization: `Bearer ${other.keys[key].token}` },
      }).opened();
    const [closing, staying] = [await dial('closing'), await dial('staying')];
    await other.gateway.adminFetch(`/admin/v1/keys/${other.keys.closing.key.id}/revoke`, {
      method: 'POST',
      body: '{}',
    });
    assert.deepEqual(await closing.ended(), { code: 1008, reason: 'invalid_api_key' });
    await eventually('it is recorded', () => other.records().length === 1);
    assert.deepEqual(
      other.records().map(({ ending, error, transport }) => [ending, error?.code, transport]),
      [['gateway_cut', 'invalid_api_key', 'ws']],
    );
    assert.equal(staying.closed, null);
    staying.socket.close();
  } finally {
    await other.close();
    await sockets.close();
  }

  const [mine, theirs] = [await stream(scene.keys.streaming.token), await stream(scene.keys.other.token)];
  await eventually('both run', () => wires.length === 2);
  let isTheirsOver = false;
  void theirs.ended.then(() => (isTheirsOver = true));
  await administer(`${scene.keys.streaming.key.id}/revoke`);
  assert.equal((await mine.ended).how, 'broken');
  const own = () => scene.records().filter((record) => record.key_id === scene.keys.streaming.key.id);
  await eventually('it is recorded', () => own().length === 1);
  assert.deepEqual([own()[0]?.ending, own()[0]?.error?.code], ['gateway_cut', 'invalid_api_key']);
  assert.equal(isTheirsOver, false);
  for (const wire of wires) wire.socket.destroy();
  await theirs.ended;
});

test('a request whose body still comes when its key is closed is refused, and nothing goes upstream', async () => {
  const { token, key } = scene.keys.uploading;
  const before = scene.upstream.requests.length;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(Buffer.from('{"model":"gpt-4o-mini",'));
    },
  });
  const headers = { ...JSON_BODY, authorization: `Bearer ${token}` };
  const asked = fetch(scene.gateway.api + CHAT, { method: 'POST', body, headers, duplex: 'half' });
  const active = async () =>
    ((await (await scene.gateway.adminFetch('/admin/v1/health')).json()) as { active_exchanges: number })
      .active_exchanges;
  for (let tries = 0; (await active()) === 0; tries++) {
    assert.ok(tries < 500, 'it is let in');
    await delay(5);
  }
  await administer(`${key.id}/revoke`);
  const reply = await asked;
  assert.deepEqual([reply.status, reply.headers.get('x-throughway-refusal')], [401, 'invalid_api_key']);
  assert.equal(scene.upstream.requests.length, before);
  const own = () => scene.records().filter((record) => record.key_id === key.id);
  await eventually('it is recorded', () => own().length === 1);
  assert.equal(own()[0]?.refusal, 'invalid_api_key');
});

test('after a rotation a stream that the old token opened goes on until the grace ends, one of the new token beyond it', async () => {
  const { token, key } = scene.keys.rotated;
  const old = await stream(token);
  const rotatedMs = performance.now();
  const rotated = await administer(`${key.id}/rotate`, { grace_seconds: GRACE_SECONDS });
  const fresh = await stream(rotated.token);
  let isFreshOver = false;
  void fresh.ended.then(() => (isFreshOver = true));
  const { how, atMs } = await old.ended;
  assert.equal(how, 'broken');
  const tookMs = atMs - rotatedMs;
  assert.ok(tookMs >= GRACE_SECONDS * 1000 - 50, `ended ${tookMs} ms after the rotation`);
  assert.ok(tookMs < GRACE_SECONDS * 1000 + 5000, `ended ${tookMs} ms after the rotation`);
  assert.equal(isFreshOver, false);
  for (const wire of wires) wire.socket.destroy();
  await fresh.ended;
});
