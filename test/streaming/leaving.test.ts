// A client that leaves: the upstream hears of it within a second, and the record says so (E7 to E9; security E03, B14).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { chunk, EVENT_STREAM } from '../support/chunked.ts';
import { eventually } from '../support/eventually.ts';
import type { RawConnection } from '../support/raw-client.ts';
import type { RecordedRequest, ReplyWire } from '../support/recorder.ts';
import { openStand, type Stand } from '../support/stand.ts';

const ABORTED_MS = 1000;

let stand: Stand;
before(async () => {
  stand = await openStand();
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

/** How a client may go. */
const WAYS: Record<string, (connection: RawConnection) => unknown> = {
  'closes its connection': (connection) => connection.socket.end(),
  'is gone': (connection) => connection.socket.destroy(),
  'resets its connection': (connection) => connection.socket.resetAndDestroy(),
};

async function endlessStream(_request: RecordedRequest, wire: ReplyWire): Promise<void> {
  await wire.head(200, 'OK', EVENT_STREAM);
  for (let i = 0; !wire.socket.destroyed; i++) {
    await wire.write(chunk(`data: ${i}\n\n`));
    await delay(2);
  }
}

async function silence(_request: RecordedRequest, wire: ReplyWire): Promise<void> {
  await new Promise((resolve) => wire.socket.once('close', resolve));
}

for (const [way, leave] of Object.entries(WAYS)) {
  test(`a client that ${way} in the middle of a stream ends it upstream within a second`, async () => {
    stand.script(endlessStream);
    const connection = await stand.connect();
    await connection.send({
      method: 'POST',
      target: '/openai/v1/responses',
      headers: stand.keyed(),
      body: '{"stream":true}',
    });
    await connection.head();
    for (let i = 0; i < 3; i++) await connection.bytes();
    leave(connection);
    await eventually('the upstream is aborted', () => stand.upstream.requests[0]!.closed, ABORTED_MS);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'downstream_left');
    assert.equal(record!.status, 200);
    assert.equal(record!.error?.origin, 'downstream');
    assert.ok(record!.bytes.out > 0);
    connection.close();
  });

  test(`a client that ${way} before the reply begins ends it upstream within a second`, async () => {
    stand.script(silence);
    const connection = await stand.connect();
    await connection.send({ method: 'POST', target: '/openai/v1/responses', headers: stand.keyed(), body: '{}' });
    await eventually('the upstream has the request', () => stand.upstream.requests.length === 1);
    leave(connection);
    await eventually('the upstream is aborted', () => stand.upstream.requests[0]!.closed, ABORTED_MS);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'downstream_left');
    assert.equal(record!.status, null);
    connection.close();
  });

  test(`a client that ${way} in the middle of an upload ends it upstream within a second`, async () => {
    stand.script(silence);
    for (const framing of [
      ['Content-Length', '1000000'],
      ['Transfer-Encoding', 'chunked'],
    ] as const) {
      stand.clear();
      stand.script(silence);
      const connection = await stand.connect();
      await connection.send({ method: 'POST', target: '/openai/v1/files', headers: stand.keyed(framing) });
      await connection.write(framing[1] === 'chunked' ? chunk(Buffer.alloc(100_000)) : Buffer.alloc(100_000));
      await eventually('the upstream has part of the body', () => (stand.upstream.requests[0]?.pieces.length ?? 0) > 0);
      leave(connection);
      await eventually('the upstream is aborted', () => stand.upstream.requests[0]!.closed, ABORTED_MS);
      // A body that ended early never looks whole to the upstream.
      await assert.rejects(stand.upstream.requests[0]!.whole());
      assert.equal((await stand.recorded(1))[0]!.ending, 'downstream_left');
      connection.close();
    }
  });
}

test('a client that leaves before its small body is here reaches nobody, and is on record', async () => {
  const connection = await stand.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/responses',
    headers: stand.keyed(['Content-Length', '100']),
  });
  await connection.write('{"model":');
  await delay(20);
  connection.close();
  const [record] = await stand.recorded(1);
  assert.equal(record!.ending, 'downstream_left');
  assert.deepEqual(record!.attempts, []);
  assert.equal(stand.upstream.requests.length, 0);
});

test('a client that leaves while its key is looked up is on record, and holds no place', async () => {
  const keys = await Promise.all([1, 2, 3].map((i) => stand.gateway.createKey({ name: `cold ${i}` })));
  for (const { token } of keys) {
    const connection = await stand.connect();
    await connection.send({
      method: 'POST',
      target: '/openai/v1/responses',
      headers: [
        ['Authorization', `Bearer ${token}`],
        ['Content-Length', '100'],
      ],
    });
    connection.close();
  }
  const records = await stand.recorded(keys.length);
  assert.deepEqual(new Set(records.map((record) => record.ending)), new Set(['downstream_left']));
  assert.equal(stand.upstream.requests.length, 0);
});

test('clients that leave at any moment are each on record once, and the upstream keeps none of them', async () => {
  stand.script(endlessStream);
  const clients = 100;
  await Promise.all(
    Array.from({ length: clients }, async (_, i) => {
      const connection = await stand.connect();
      await connection.send({
        method: 'POST',
        target: `/openai/v1/x/${i}`,
        headers: stand.keyed(),
        body: '{"stream":true}',
      });
      await delay((i * 37) % 60);
      connection.socket.resetAndDestroy();
    }),
  );
  const records = await stand.recorded(clients);
  assert.equal(records.length, clients);
  assert.deepEqual(new Set(records.map((record) => record.ending)), new Set(['downstream_left']));
  await eventually('all are aborted', () => stand.upstream.requests.every((request) => request.closed), ABORTED_MS);
});

test('uploads cut off at any byte are aborted upstream and leave nothing behind', async () => {
  stand.script(silence);
  const uploads = 100;
  const size = 300_000;
  await Promise.all(
    Array.from({ length: uploads }, async (_, i) => {
      const connection = await stand.connect();
      await connection.send({
        method: 'POST',
        target: `/openai/v1/files/${i}`,
        headers: stand.keyed(['Content-Length', String(size)]),
      });
      await connection.write(Buffer.alloc(Math.floor((size * i) / uploads)));
      await delay((i * 13) % 40);
      connection.socket.resetAndDestroy();
    }),
  );
  const records = await stand.recorded(uploads);
  assert.equal(records.length, uploads);
  assert.deepEqual(new Set(records.map((record) => record.ending)), new Set(['downstream_left']));
  await eventually('all are aborted', () => stand.upstream.requests.every((request) => request.closed), ABORTED_MS);
});

test('pipelined requests whose client leaves are all aborted', async () => {
  stand.script(silence);
  const connection = await stand.connect();
  for (let i = 0; i < 3; i++) await connection.send({ target: `/openai/v1/x/${i}`, headers: stand.keyed() });
  await eventually('the upstream has the first', () => stand.upstream.requests.length > 0);
  await delay(20);
  connection.close();
  const seen = stand.upstream.requests;
  await eventually('all are aborted', () => seen.every((request) => request.closed), ABORTED_MS);
  const records = await stand.recorded(seen.length);
  assert.deepEqual(new Set(records.map((record) => record.ending)), new Set(['downstream_left']));
});
