// `onDisconnect: drain`: the upstream is read to its end for the true usage, within bounds (design 3.2, E14).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { Settings } from '../../src/config/config.ts';
import { chunk, EVENT_STREAM, LAST_CHUNK } from '../support/chunked.ts';
import { eventually } from '../support/eventually.ts';
import type { ReplyWire } from '../support/recorder.ts';
import { openStand, type Stand } from '../support/stand.ts';

const USAGE =
  'data: {"type":"response.completed","response":{"model":"gpt-6","usage":{"input_tokens":9,"output_tokens":12}}}\n\n';

/** A drain shows nowhere until it ends: this long the gateway is given to notice that its client left. */
const NOTICED_MS = 150;

let stand: Stand;

function standWith(drain: NonNullable<Settings['drain']>): void {
  before(async () => {
    stand = await openStand({ settings: { onDisconnect: 'drain', drain } });
  });
  beforeEach(() => stand.clear());
  afterEach(() => stand.holdInvariants());
  after(() => stand.close());
}

/** Asks for a stream, reads its beginning and leaves. Gives the upstream's side of it. */
async function leaveMidStream(): Promise<ReplyWire> {
  const began = Promise.withResolvers<ReplyWire>();
  stand.script(async (_request, wire) => {
    await wire.head(200, 'OK', EVENT_STREAM);
    await wire.write(chunk('data: 1\n\n'));
    began.resolve(wire);
    await new Promise((resolve) => wire.socket.once('close', resolve));
  });
  const connection = await stand.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/responses',
    headers: stand.keyed(),
    body: '{"stream":true}',
  });
  await connection.head();
  await connection.bytes();
  connection.close();
  await delay(NOTICED_MS);
  return await began.promise;
}

describe('an upstream that goes on after its client left', () => {
  standWith({ seconds: 30, bytesMax: 100_000, exchangesMax: 1 });

  test('is read to its end, and its usage counts as drained', async () => {
    const wire = await leaveMidStream();
    await wire.write(chunk('data: 2\n\n'));
    await delay(NOTICED_MS);
    assert.equal(wire.socket.destroyed, false);
    await wire.write(Buffer.concat([chunk(USAGE), Buffer.from(LAST_CHUNK)]));
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'downstream_left');
    assert.equal(record!.usage.source, 'drained');
    assert.deepEqual(record!.usage.raw, { input_tokens: 9, output_tokens: 12 });
    assert.equal(record!.model_served, 'gpt-6');
    wire.socket.destroy();
  });

  test('is read to its end where the client left before the head', async () => {
    const asked = Promise.withResolvers<ReplyWire>();
    stand.script(async (_request, wire) => {
      asked.resolve(wire);
      await new Promise((resolve) => wire.socket.once('close', resolve));
    });
    const connection = await stand.connect();
    await connection.send({
      method: 'POST',
      target: '/openai/v1/responses',
      headers: stand.keyed(),
      body: '{"stream":true}',
    });
    const wire = await asked.promise;
    connection.close();
    await delay(NOTICED_MS);
    await wire.head(200, 'OK', EVENT_STREAM);
    await wire.write(Buffer.concat([chunk(USAGE), Buffer.from(LAST_CHUNK)]));
    const [record] = await stand.recorded(1);
    assert.equal(record!.usage.source, 'drained');
    assert.equal(record!.status, null);
    wire.socket.destroy();
  });

  test('is cut when it sends more than drain.bytesMax', async () => {
    const wire = await leaveMidStream();
    for (let i = 0; i < 40 && !wire.socket.destroyed; i++) await wire.write(chunk(`data: ${'x'.repeat(10_000)}\n\n`));
    await eventually('the upstream is aborted', () => stand.upstream.requests[0]!.closed, 1000);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'downstream_left');
    assert.equal(record!.usage.raw, null);
  });

  test('is aborted at once when as many are drained already as drain.exchangesMax', async () => {
    const first = await leaveMidStream();
    await leaveMidStream();
    await eventually('the second is aborted', () => stand.upstream.requests[1]!.closed, 1000);
    assert.equal(first.socket.destroyed, false);
    await first.write(Buffer.concat([chunk(USAGE), Buffer.from(LAST_CHUNK)]));
    assert.deepEqual((await stand.recorded(2)).map((record) => record.usage.source).sort(), ['absent', 'drained']);
    first.socket.destroy();

    // The place is free again.
    stand.clear();
    const third = await leaveMidStream();
    await third.write(Buffer.concat([chunk(USAGE), Buffer.from(LAST_CHUNK)]));
    assert.equal((await stand.recorded(1))[0]!.usage.source, 'drained');
    third.socket.destroy();
  });

  test('that breaks off is on record as left, once', async () => {
    const wire = await leaveMidStream();
    wire.socket.resetAndDestroy();
    assert.deepEqual(
      (await stand.recorded(1)).map((record) => record.ending),
      ['downstream_left'],
    );
  });

  test('is aborted where the client left in the middle of its upload', async () => {
    stand.script(async (_request, wire) => {
      await new Promise((resolve) => wire.socket.once('close', resolve));
    });
    const connection = await stand.connect();
    await connection.send({
      method: 'POST',
      target: '/openai/v1/files',
      headers: stand.keyed(['Content-Length', '1000000']),
    });
    await connection.write(Buffer.alloc(200_000));
    await eventually('the upstream has the request', () => stand.upstream.requests.length === 1);
    connection.close();
    await eventually('the upstream is aborted', () => stand.upstream.requests[0]!.closed, 1000);
    assert.equal((await stand.recorded(1))[0]!.ending, 'downstream_left');
  });
});

describe('a drain', () => {
  standWith({ seconds: 0.6 });

  test('ends after drain.seconds, even while events come', async () => {
    const wire = await leaveMidStream();
    const startedMs = performance.now();
    const events = setInterval(() => wire.socket.write(chunk('data: more\n\n')), 20);
    await eventually('the upstream is aborted', () => stand.upstream.requests[0]!.closed, 2000);
    clearInterval(events);
    assert.ok(performance.now() - startedMs > 200);
    assert.equal((await stand.recorded(1))[0]!.ending, 'downstream_left');
  });
});
