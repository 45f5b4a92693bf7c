// An upstream that cannot be reached: a clear no in OpenAI's shape, in time, and never an insecure way around (U01 to U05, U08).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { Settings } from '../../src/config/config.ts';
import type { RawReply } from '../support/raw-client.ts';
import { openStand, type Stand } from '../support/stand.ts';
import { valueOf } from '../support/wire.ts';

const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing) await close();
});

/** A gateway whose upstream is somewhere else than at the scripted one. */
async function standBefore(elsewhere: string, upstream: Settings['upstream'] = {}): Promise<Stand> {
  return await openStand({ elsewhere, settings: { upstream: { connectSeconds: 1, ...upstream } } });
}

async function listen(onSocket: (socket: Socket) => void): Promise<Server & { readonly port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

function assertRefused(reply: RawReply, status: number, code: string): void {
  assert.equal(reply.status, status, reply.body.toString());
  assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), code);
  assert.equal(valueOf(reply.headers, 'x-should-retry'), 'true');
  assert.equal(JSON.parse(reply.body.toString()).error.code, code);
}

test('an upstream that refuses the connection is a 502 at once, and the gateway finds it again when it is back', async () => {
  const server = await listen(() => {});
  const { port } = server;
  server.close();
  await once(server, 'close');

  const stand = await standBefore(`http://127.0.0.1:${port}/v1`);
  const startedMs = performance.now();
  const reply = await stand.ask({ method: 'POST', target: '/openai/v1/responses', body: '{}' });
  assertRefused(reply, 502, 'upstream_unreachable');
  assert.ok(performance.now() - startedMs < 1000);
  const [record] = await stand.recorded(1);
  assert.equal(record!.ending, 'unreachable');
  assert.equal(record!.error?.code, 'ECONNREFUSED');

  const back = createServer((socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback'));
  });
  back.listen(port, '127.0.0.1');
  await once(back, 'listening');
  assert.equal((await stand.ask({ target: '/openai/v1/models' })).body.toString(), 'back');
  await stand.holdInvariants();
  await stand.close();
  back.close();
});

test('a name that is not found is a 502', async () => {
  const stand = await standBefore('https://nowhere.localhost:1/v1');
  assertRefused(await stand.ask({ target: '/openai/v1/models' }), 502, 'upstream_unreachable');
  assert.equal((await stand.recorded(1))[0]!.ending, 'unreachable');
  await stand.holdInvariants();
  await stand.close();
});

test('an upstream that swallows connections is a 504 at the connect timeout, for each of many requests', async () => {
  const port = await swallowConnections();
  const stand = await standBefore(`http://127.0.0.1:${port}/v1`);
  const startedMs = performance.now();
  const replies = await Promise.all([1, 2, 3, 4].map((i) => stand.ask({ target: `/openai/v1/x/${i}` })));
  const tookMs = performance.now() - startedMs;
  for (const reply of replies) assertRefused(reply, 504, 'upstream_timeout');
  assert.ok(tookMs >= 900 && tookMs < 3000, `${tookMs} ms`);
  const records = await stand.recorded(4);
  assert.deepEqual(new Set(records.map((record) => record.ending)), new Set(['timed_out']));
  await stand.holdInvariants();
  await stand.close();
});

test('a client that leaves while the connection is made is on record, and is not waited for', async () => {
  const port = await swallowConnections();
  const stand = await standBefore(`http://127.0.0.1:${port}/v1`, { connectSeconds: 60 });
  const connection = await stand.connect();
  await connection.send({ method: 'POST', target: '/openai/v1/responses', headers: stand.keyed(), body: '{}' });
  await delay(50);
  connection.close();
  assert.equal((await stand.recorded(1))[0]!.ending, 'downstream_left');
  await stand.close();
});

test('an upstream that hangs in the TLS handshake is a 504, and sees no byte of the request', async () => {
  let received = Buffer.alloc(0);
  const { port } = await listen((socket) =>
    socket.on('data', (piece) => (received = Buffer.concat([received, piece]))),
  );
  const stand = await standBefore(`https://localhost:${port}/v1`);
  assertRefused(await stand.ask({ target: '/openai/v1/models' }), 504, 'upstream_timeout');
  assert.ok(received.length > 0);
  assert.ok(!received.includes('GET ') && !received.includes('canary'));
  await stand.holdInvariants();
  await stand.close();
});

test('an upstream that speaks plain HTTP where TLS was meant is a 502, and sees no byte of the request', async () => {
  let received = Buffer.alloc(0);
  const { port } = await listen((socket) =>
    socket.on('data', (piece) => {
      received = Buffer.concat([received, piece]);
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
    }),
  );
  const stand = await standBefore(`https://localhost:${port}/v1`);
  assertRefused(await stand.ask({ target: '/openai/v1/models' }), 502, 'upstream_unreachable');
  assert.ok(!received.includes('GET '));
  await stand.holdInvariants();
  await stand.close();
});

test('an upstream that closes each connection as soon as it stands is a 502 after a second try', async () => {
  let connections = 0;
  const { port } = await listen((socket) => {
    connections++;
    socket.end();
  });
  const stand = await standBefore(`http://127.0.0.1:${port}/v1`);
  assertRefused(
    await stand.ask({ method: 'POST', target: '/openai/v1/responses', body: '{}' }),
    502,
    'upstream_unreachable',
  );
  assert.ok(connections <= 2, `${connections} connections`);
  await stand.holdInvariants();
  await stand.close();
});

test('an upstream that hangs before its head is a 504 at headersSeconds, not at connectSeconds', async () => {
  const { port } = await listen((socket) => socket.resume());
  const stand = await standBefore(`http://127.0.0.1:${port}/v1`, { connectSeconds: 0.2, headersSeconds: 1 });
  const startedMs = performance.now();
  const reply = await stand.ask({ method: 'POST', target: '/openai/v1/responses', body: '{}' });
  const tookMs = performance.now() - startedMs;
  assertRefused(reply, 504, 'upstream_timeout');
  assert.match(reply.body.toString(), /upstream\.headersSeconds/);
  assert.ok(tookMs >= 1000 && tookMs < 2500, `${tookMs} ms`);
  await stand.holdInvariants();
  await stand.close();
});

test('an exchange that takes longer than totalSeconds is cut, though it moves', async () => {
  const { port } = await listen((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      const timer = setInterval(() => socket.write('1\r\n.\r\n'), 20);
      socket.once('close', () => clearInterval(timer));
    });
  });
  const stand = await standBefore(`http://127.0.0.1:${port}/v1`, { totalSeconds: 0.5 });
  const reply = await stand.ask({ target: '/openai/v1/x' });
  assert.equal(reply.status, 200);
  assert.equal(reply.isWhole, false);
  assert.equal((await stand.recorded(1))[0]!.ending, 'timed_out');
  await stand.holdInvariants();
  await stand.close();
});

/**
 * A port where connections neither stand nor are refused: the process behind it is halted and its queue is full, so that
 * the system drops what comes.
 */
async function swallowConnections(): Promise<number> {
  const listener = `
    const server = require('node:net').createServer();
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(server.address().port));`;
  const child = spawn(process.execPath, ['-e', listener], { stdio: ['ignore', 'pipe', 'inherit'] });
  closing.push(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(line.toString());
  child.kill('SIGSTOP');
  for (;;) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    closing.push(() => socket.destroy());
    const stands = await Promise.race([once(socket, 'connect').then(() => true), delay(200).then(() => false)]);
    if (!stands) return port;
  }
}
