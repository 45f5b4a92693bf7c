// Whoever does not read is waited for, not stored: memory is bounded in both directions (E10, E11; security E06, E07, O02).
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';

import { chunk, EVENT_STREAM, LAST_CHUNK } from '../support/chunked.ts';
import { eventually } from '../support/eventually.ts';
import { openStand, type Stand } from '../support/stand.ts';

const WHOLE_BYTES = 300 * 1024 * 1024;
const TAKEN_BYTES_MAX = 32 * 1024 * 1024;
const PIECE = Buffer.alloc(64 * 1024, 'x');

let stand: Stand;
before(async () => {
  stand = await openStand({ settings: { upstream: { idleSeconds: 1 } } });
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

/** Writes until the other side takes no more, or all is written. @returns the bytes that left this process */
async function writeUntilRefused(socket: Socket): Promise<number> {
  const startedAt = socket.bytesWritten;
  const taken = () => socket.bytesWritten - startedAt - socket.writableLength;
  while (!socket.destroyed && taken() < WHOLE_BYTES) {
    if (socket.write(PIECE)) continue;
    const drained = once(socket, 'drain').then(
      () => true,
      () => false,
    );
    if (!(await Promise.race([drained, delay(250).then(() => false)]))) break;
  }
  return taken();
}

/** A client that never reads, and the gateway's end of its connection. */
async function connectWithoutReading(): Promise<{ client: Socket; accepted: Socket }> {
  const { hostname, port } = new URL(stand.gateway.api);
  const client = connect({ host: hostname, port: Number(port) });
  client.on('error', () => {});
  const accepted = await new Promise<Socket>((resolve) => {
    const look = (message: unknown) => {
      const { socket } = message as { socket: Socket };
      if (socket.localPort !== Number(port)) return;
      unsubscribe('net.server.socket', look);
      resolve(socket);
    };
    subscribe('net.server.socket', look);
  });
  return { client, accepted };
}

function ask(target: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer ${stand.gateway.token}\r\n\r\n`;
}

for (const framing of ['of known length', 'in chunks'] as const) {
  test(`of 300 MiB ${framing} for a client that does not read, less than 32 MiB are taken; it is cut when idle`, async () => {
    const taken = Promise.withResolvers<number>();
    stand.script(async (_request, wire) => {
      if (framing === 'in chunks') {
        await wire.head(200, 'OK', EVENT_STREAM);
        // One chunk as long as the whole, so that what is written is what is counted.
        await wire.write(`${WHOLE_BYTES.toString(16)}\r\n`);
      } else await wire.head(200, 'OK', [['Content-Length', String(WHOLE_BYTES)]]);
      taken.resolve(await writeUntilRefused(wire.socket));
      await new Promise((resolve) => wire.socket.once('close', resolve));
    });
    const { client } = await connectWithoutReading();
    client.write(ask('/openai/v1/files/file-1/content'));
    const bytes = await taken.promise;
    assert.ok(bytes > 0 && bytes < TAKEN_BYTES_MAX, `${bytes} bytes were taken`);

    await eventually('the upstream is aborted', () => stand.upstream.requests[0]!.closed);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'timed_out');
    assert.equal(record!.error?.origin, 'downstream');
    client.destroy();
  });
}

test('of 300 MiB for an upstream that does not read, less than 32 MiB are accepted; the upstream is blamed', async () => {
  stand.script(async (_request, wire) => {
    wire.socket.pause();
    await new Promise((resolve) => wire.socket.once('close', resolve));
  });
  const connection = await stand.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/files',
    headers: stand.keyed(['Content-Length', String(WHOLE_BYTES)]),
  });
  const bytes = await writeUntilRefused(connection.socket);
  assert.ok(bytes > 0 && bytes < TAKEN_BYTES_MAX, `${bytes} bytes were accepted`);

  const reply = await connection.reply();
  assert.equal(reply.status, 504);
  const [record] = await stand.recorded(1);
  assert.equal(record!.ending, 'timed_out');
  assert.equal(record!.error?.origin, 'upstream');
  connection.close();
});

test('a client that stops reading right before the end is cut when idle, though nothing is left to come', async () => {
  const { client, accepted } = await connectWithoutReading();
  stand.script(async (_request, wire) => {
    await wire.head(200, 'OK', EVENT_STREAM);
    // Until a little of it waits in the gateway, and not yet so much that the upstream would have to wait too.
    while (accepted.writableLength === 0) {
      await wire.write(chunk(Buffer.alloc(8 * 1024, 'x')));
      await nextTurn();
    }
    await wire.write(LAST_CHUNK);
  });
  client.write(ask('/openai/v1/audio/speech'));
  const [record] = await stand.recorded(1);
  assert.equal(record!.ending, 'complete');
  assert.ok(accepted.writableLength > 0);
  await eventually('the connection is closed', () => accepted.destroyed);
  client.destroy();
});

test('an upload that is slow but moves is not cut, small or large', async () => {
  stand.script(async (request) => ({ body: String((await request.whole()).length) }));
  const upload = async (length: number) => {
    const connection = await stand.connect();
    await connection.send({
      method: 'POST',
      target: '/openai/v1/files',
      headers: stand.keyed(['Content-Length', String(length)]),
    });
    await connection.write(Buffer.alloc(length - 6));
    for (let i = 0; i < 6; i++) {
      await delay(300);
      await connection.write('x');
    }
    const reply = await connection.reply();
    connection.close();
    return reply.body.toString();
  };
  assert.deepEqual(await Promise.all([upload(12), upload(100_000)]), ['12', '100000']);
});

test('an upload that stops is given up, small or large, with a 408 that says why', async () => {
  stand.script(async (request) => ({ body: String((await request.whole()).length) }));
  const upload = (length: number) =>
    stand.ask({
      method: 'POST',
      target: '/openai/v1/files',
      headers: [['Content-Length', String(length)]],
      body: 'only this',
    });
  for (const reply of await Promise.all([upload(100), upload(1_000_000)])) {
    assert.equal(reply.status, 408);
    assert.match(reply.body.toString(), /upstream\.idleSeconds/);
  }
  assert.equal((await stand.recorded(2)).length, 2);
});

test('a stream that drips is not cut while it moves', async () => {
  stand.script(async (_request, wire) => {
    await wire.head(200, 'OK', EVENT_STREAM);
    for (let i = 0; i < 5; i++) {
      await delay(300);
      await wire.write(chunk('.'));
    }
    await wire.write(LAST_CHUNK);
  });
  const reply = await stand.ask({ target: '/openai/v1/x' });
  assert.equal(reply.body.toString(), '.....');
  assert.equal(reply.isWhole, true);
});

test('a request for which nothing comes back is refused with 504, and not before its time', async () => {
  const { url, close } = await listenSilently();
  const other = await openStand({ elsewhere: `${url}/v1`, settings: { upstream: { headersSeconds: 0.6 } } });
  const startedMs = performance.now();
  const reply = await other.ask({ target: '/openai/v1/models' });
  const tookMs = performance.now() - startedMs;
  assert.equal(reply.status, 504);
  assert.ok(tookMs >= 600 && tookMs < 2000, `${tookMs} ms`);
  await other.holdInvariants();
  await other.close();
  await close();
});

async function listenSilently(): Promise<{ url: string; close: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on('error', () => {}).resume()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
