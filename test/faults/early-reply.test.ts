// A final reply while the client still uploads: it is delivered, the upload stops, and both connections end (U14, B12).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { chunk, EVENT_STREAM, LAST_CHUNK } from '../support/chunked.ts';
import { eventually } from '../support/eventually.ts';
import type { RawConnection, RawReply } from '../support/raw-client.ts';
import { openStand, type Stand } from '../support/stand.ts';
import { valueOf, type Header } from '../support/wire.ts';

const WHOLE_BYTES = 50 * 1024 * 1024;

let stand: Stand;
before(async () => {
  stand = await openStand();
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

interface Uploaded {
  readonly reply: RawReply;
  readonly sentBytes: number;
}

/** Writes a large body while it reads the reply, as a browser does. */
async function upload(
  connection: RawConnection,
  ...headers: readonly [framing: Header, ...Header[]]
): Promise<Uploaded> {
  await connection.send({ method: 'POST', target: '/openai/v1/files', headers: stand.keyed(...headers) });
  const piece = Buffer.alloc(64 * 1024, 'x');
  let sentBytes = 0;
  let isAnswered = false;
  const sending = (async () => {
    while (!isAnswered && !connection.socket.destroyed && sentBytes < WHOLE_BYTES) {
      await connection.write(headers[0][1] === 'chunked' ? chunk(piece) : piece);
      sentBytes += piece.length;
    }
    // The gateway may end the connection while a piece is on its way.
  })().catch(() => {});
  const reply = await connection.reply('POST');
  isAnswered = true;
  await sending;
  return { reply, sentBytes };
}

const FRAMINGS: readonly Header[] = [
  ['Content-Length', String(WHOLE_BYTES)],
  ['Transfer-Encoding', 'chunked'],
];

const NO_MORE = '{"error":{"message":"no more of this","type":"invalid_request_error"}}';

test('a final reply that comes before the upload is here reaches the client, and the upload stops', async () => {
  stand.script(async (request, wire) => {
    const status = Number(valueOf(request.headers, 'x-answer'));
    await wire.reply({ status, reason: 'Early', headers: [['retry-after-ms', '20']], body: NO_MORE }, 'POST');
    await new Promise((resolve) => wire.socket.once('close', resolve));
  });
  const statuses = [413, 429, 400, 200];
  await Promise.all(
    statuses.flatMap((status) =>
      FRAMINGS.map(async (framing) => {
        const connection = await stand.connect();
        const { reply, sentBytes } = await upload(connection, framing, ['X-Answer', String(status)]);
        assert.equal(reply.status, status);
        assert.equal(reply.body.toString(), NO_MORE);
        assert.equal(reply.isWhole, true);
        assert.equal(valueOf(reply.headers, 'connection'), 'close');
        assert.ok(sentBytes < WHOLE_BYTES, 'the whole body was taken');
        const isClosed = () => connection.socket.readableEnded || connection.socket.destroyed;
        await eventually('the client connection is closed', isClosed);
        connection.close();
      }),
    ),
  );
  await eventually('the upstream connections are closed', () => stand.upstream.requests.every((each) => each.closed));
  const records = await stand.recorded(statuses.length * FRAMINGS.length);
  assert.deepEqual(new Set(records.map((record) => record.ending)), new Set(['complete']));
  assert.deepEqual(new Set(records.map((record) => record.status)), new Set(statuses));
});

test('an early reply whose body comes after its head is delivered whole', async () => {
  stand.script(async (request, wire) => {
    const framing: Header =
      valueOf(request.headers, 'x-answer') === 'chunked' ? EVENT_STREAM[1]! : ['Content-Length', '9'];
    await wire.head(413, 'Too Large', [framing]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await wire.write(
      framing[1] === 'chunked' ? Buffer.concat([chunk('too large'), Buffer.from(LAST_CHUNK)]) : 'too large',
    );
    await new Promise((resolve) => wire.socket.once('close', resolve));
  });
  await Promise.all(
    FRAMINGS.flatMap((framing) =>
      ['chunked', 'length'].map(async (answer) => {
        const connection = await stand.connect();
        const { reply } = await upload(connection, framing, ['X-Answer', answer]);
        assert.equal(reply.status, 413);
        assert.equal(reply.body.toString(), 'too large');
        assert.equal(reply.isWhole, true);
        await eventually(
          'the connection is closed',
          () => connection.socket.readableEnded || connection.socket.destroyed,
        );
        connection.close();
      }),
    ),
  );
  await eventually('the upstream connections are closed', () => stand.upstream.requests.every((each) => each.closed));
});

test('a 401 that comes before the upload is here is the gateway\u2019s own fault, and tells nothing of the credential', async () => {
  stand.script(async (_request, wire) => {
    await wire.reply(
      { status: 401, reason: 'Unauthorized', body: '{"error":{"message":"Incorrect API key"}}' },
      'POST',
    );
    await new Promise((resolve) => wire.socket.once('close', resolve));
  });
  await Promise.all(
    FRAMINGS.map(async (framing) => {
      const connection = await stand.connect();
      const { reply } = await upload(connection, framing);
      assert.equal(reply.status, 502);
      assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'upstream_credential');
      connection.close();
    }),
  );
});

test('an early reply that the upstream follows with a reset reaches the client', async () => {
  stand.script(async (_request, wire) => {
    await wire.reply({ status: 413, reason: 'Too Large', body: 'too large' }, 'POST');
    await new Promise((resolve) => setTimeout(resolve, 20));
    wire.socket.resetAndDestroy();
  });
  await Promise.all(
    FRAMINGS.map(async (framing) => {
      const connection = await stand.connect();
      const { reply } = await upload(connection, framing);
      assert.equal(reply.status, 413);
      assert.equal(reply.body.toString(), 'too large');
      connection.close();
    }),
  );
});

test('a reply that streams while the client uploads goes on in both directions', async () => {
  stand.script(async (request, wire) => {
    await wire.head(200, 'OK', EVENT_STREAM);
    let told = 0;
    for (let i = 0; i < 5; i++) {
      while (request.pieces.length <= i) await new Promise((resolve) => setImmediate(resolve));
      await wire.write(chunk(`data: ${told++}\n\n`));
    }
    await request.whole();
    await wire.write(LAST_CHUNK);
  });
  const connection = await stand.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/x',
    headers: stand.keyed(['Transfer-Encoding', 'chunked']),
  });
  await connection.write(chunk('piece 0'));
  await connection.head();
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(await connection.bytes(), chunk(`data: ${i}\n\n`));
    if (i < 4) await connection.write(chunk(`piece ${i + 1}`));
  }
  await connection.write(LAST_CHUNK);
  assert.deepEqual(await connection.bytes(), Buffer.from(LAST_CHUNK));
  assert.equal((await stand.recorded(1))[0]!.ending, 'complete');
  connection.close();
});
