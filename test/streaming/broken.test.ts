// A reply that breaks off upstream breaks off downstream: half of it never looks like the whole (E5, E6; security E04, E09).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { chunk, EVENT_STREAM, LAST_CHUNK } from '../support/chunked.ts';
import type { ReplyWire } from '../support/recorder.ts';
import { openStand, type Stand } from '../support/stand.ts';

let stand: Stand;
before(async () => {
  stand = await openStand({ settings: { upstream: { idleSeconds: 0.4 } } });
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

const BREAKS: Record<string, (wire: ReplyWire) => unknown> = {
  'resets the connection': (wire) => wire.socket.resetAndDestroy(),
  'ends the connection before the last chunk': (wire) => wire.socket.end(),
  'ends the connection within a chunk': async (wire) => {
    await wire.write('20\r\ndata: only a pa');
    wire.socket.end();
  },
  'sends a chunk size that is none': (wire) => wire.write('xyz\r\n'),
  'sends a chunk that is longer than it says': (wire) => wire.write('3\r\nabcdef\r\n'),
  'falls silent': () => {},
};

for (const [what, breakOff] of Object.entries(BREAKS)) {
  test(`when the upstream ${what}, the stream ends without its last chunk`, async () => {
    stand.script(async (_request, wire) => {
      await wire.head(200, 'OK', EVENT_STREAM);
      await wire.write(chunk('data: 1\n\n'));
      await new Promise((resolve) => setTimeout(resolve, 20));
      await breakOff(wire);
      await new Promise((resolve) => wire.socket.once('close', resolve));
    });
    const reply = await stand.ask({ method: 'POST', target: '/openai/v1/responses', body: '{"stream":true}' });
    assert.equal(reply.status, 200);
    assert.equal(reply.isWhole, false);
    assert.ok(reply.body.toString().startsWith('data: 1\n\n'));
    // Nothing of our own is put behind the bytes of the upstream.
    assert.doesNotMatch(reply.body.toString(), /error|gateway|<html/i);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, what === 'falls silent' ? 'timed_out' : 'upstream_broke');
    assert.equal(record!.error?.origin, 'upstream');
    assert.equal(record!.status, 200);
  });
}

test('a body that is shorter than its content-length leaves the client short too', async () => {
  for (const ending of ['cut', 'reset'] as const) {
    stand.clear();
    stand.script(() => ({ headers: [['Content-Length', '100']], framing: 'none', body: 'only this', ending }));
    const reply = await stand.ask({ target: '/openai/v1/files/file-1/content' });
    if (reply.status === 502) continue;
    assert.equal(reply.status, 200);
    assert.equal(reply.isWhole, false);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'upstream_broke');
  }
});

test('a long body that breaks off is cut for the client, whatever had arrived', async () => {
  stand.script(async (_request, wire) => {
    await wire.head(200, 'OK', [['Content-Length', String(10 * 1024 * 1024)]]);
    await wire.write(Buffer.alloc(1024 * 1024, 'x'));
    wire.socket.resetAndDestroy();
  });
  const reply = await stand.ask({ target: '/openai/v1/files/file-1/content' });
  assert.equal(reply.isWhole, false);
  assert.ok(reply.body.length < 10 * 1024 * 1024);
});

test('a body that ends with its connection is reset downstream when the upstream resets it', async () => {
  stand.script(async (_request, wire) => {
    await wire.head(200, 'OK', [['Connection', 'close']]);
    await wire.write('half of it');
    await new Promise((resolve) => setTimeout(resolve, 20));
    wire.socket.resetAndDestroy();
  });
  for (const version of ['1.1', '1.0'] as const) {
    const reply = await stand.ask({ target: '/openai/v1/x', version });
    assert.equal(reply.isWhole, false, version);
  }
});

test('the client is told of a break within 2.5 s, and its connection is not used again', async () => {
  stand.script(async (_request, wire) => {
    await wire.head(200, 'OK', EVENT_STREAM);
    await wire.write(chunk('data: 1\n\n'));
    wire.socket.resetAndDestroy();
  });
  const connection = await stand.connect();
  const startedMs = performance.now();
  await connection.send({ target: '/openai/v1/x', headers: stand.keyed() });
  assert.equal((await connection.reply()).isWhole, false);
  assert.ok(performance.now() - startedMs < 2500);
  await assert.rejects(async () => {
    await connection.send({ target: '/openai/v1/models', headers: stand.keyed() });
    await connection.head();
  });
  connection.close();
});

test('a break that comes with the head, before any of it went downstream, is a plain 502', async () => {
  stand.script(async (_request, wire) => {
    await wire.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n');
    await new Promise((resolve) => wire.socket.once('close', resolve));
  });
  const reply = await stand.ask({ target: '/openai/v1/models' });
  assert.ok(reply.status === 502 || !reply.isWhole);
  assert.ok(!reply.body.toString().includes(LAST_CHUNK));
  assert.equal((await stand.recorded(1))[0]!.ending, 'upstream_broke');
});
