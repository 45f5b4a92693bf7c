// What no side of a WebSocket may do to the other or to the gateway: too much, too fast, malformed, or nothing at all.
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { CLOSE_MS } from '../../src/domain/socket.ts';
import { eventually } from '../support/eventually.ts';
import { RawConnection } from '../support/raw-client.ts';
import { acceptance, frame, openSocketStand, type SocketStand } from '../support/sockets.ts';

const MESSAGE_BYTES_MAX = 200_000;

let stand: SocketStand;
before(async () => {
  stand = await openSocketStand({ webSocket: { messageBytesMax: MESSAGE_BYTES_MAX } });
});
after(() => stand.close());
beforeEach(() => stand.clear());
afterEach(() => stand.check());

/** A handshake made by hand; what follows are frames made by hand. */
async function openRaw(from: SocketStand): Promise<RawConnection> {
  const connection = await RawConnection.open(from.gateway.api);
  await connection.send({
    target: '/openai/realtime',
    headers: [
      ['Connection', 'Upgrade'],
      ['Upgrade', 'websocket'],
      ['Sec-WebSocket-Version', '13'],
      ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
      ['Authorization', `Bearer ${from.gateway.token}`],
    ],
  });
  assert.match((await connection.head()).startLine, / 101 /);
  return connection;
}

/** The close frame that a connection ends with. */
async function closeCode(connection: RawConnection): Promise<number> {
  let seen = Buffer.alloc(0);
  for (let bytes = await connection.bytes(); bytes !== null; bytes = await connection.bytes()) {
    seen = Buffer.concat([seen, bytes]);
    if (seen.length >= 4 && seen[0] === 0x88) return seen.readUInt16BE(2);
  }
  throw new Error(`the connection ended without a close frame: ${seen.toString('hex')}`);
}

describe('a message', () => {
  test('of just the largest size passes both ways', async () => {
    const { client } = await stand.open('/openai/realtime');
    client.socket.send(Buffer.alloc(MESSAGE_BYTES_MAX, 1));
    await eventually('the echo is back', () => client.messages.length === 1);
    assert.equal(client.messages[0]!.bytes.length, MESSAGE_BYTES_MAX);
  });

  test('of the client that is larger is answered with 1009, and the upstream is told whose fault it was', async () => {
    const { client, far } = await stand.open('/openai/realtime');
    const closed: (number | string)[] = [];
    far.on('close', (code, reason) => closed.push(code, reason.toString()));
    client.socket.send(Buffer.alloc(MESSAGE_BYTES_MAX + 1));
    assert.equal((await client.ended()).code, 1009);
    await eventually('the upstream is closed', () => closed.length > 0);
    assert.equal(closed[0], 1011);
    assert.match(String(closed[1]), /client broke the protocol/);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'gateway_cut');
    assert.equal(record!.error!.origin, 'downstream');
    assert.match(record!.error!.message, /webSocket\.messageBytesMax/);
  });

  test('of the upstream that is larger is answered with 1009, and the client is told whose fault it was', async () => {
    const { client, far } = await stand.open('/openai/realtime');
    const codes: number[] = [];
    far.on('close', (code) => codes.push(code));
    far.send(Buffer.alloc(MESSAGE_BYTES_MAX + 1));
    const closed = await client.ended();
    assert.equal(closed.code, 1011);
    assert.match(closed.reason, /upstream broke the protocol/);
    await eventually('the upstream is closed', () => codes.length > 0);
    assert.equal(codes[0], 1009);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'gateway_cut');
    assert.equal(record!.error!.origin, 'upstream');
  });

  test('whose fragments together are larger is refused before it is whole', async () => {
    const { client } = await stand.open('/openai/realtime');
    for (let i = 0; i < 3; i++) client.socket.send(Buffer.alloc(100_000), { fin: false });
    assert.equal((await client.ended()).code, 1009);
  });
});

describe('a malformed frame', () => {
  const hugeLength = Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
  const frames: readonly [string, Buffer, number][] = [
    ['without a mask', frame(1, 'bare'), 1002],
    ['with a reserved bit', frame(1, 'rsv1', { rsv: 4, masked: true }), 1002],
    ['with the other reserved bits', frame(1, 'rsv3', { rsv: 3, masked: true }), 1002],
    ['of an unknown kind', frame(3, 'what', { masked: true }), 1002],
    ['that continues nothing', frame(0, 'more', { masked: true }), 1002],
    ['that is a ping in fragments', frame(9, 'ping', { fin: false, masked: true }), 1002],
    ['that is a ping of 126 bytes', frame(9, 'x'.repeat(126), { masked: true }), 1002],
    ['of text that is no UTF-8', frame(1, Buffer.from([0xc3, 0x28]), { masked: true }), 1007],
    ['with a length of 2^63 bytes', hugeLength, 1009],
    ['that closes with a code nobody may send', frame(8, Buffer.from([0x03, 0xee]), { masked: true }), 1002],
    [
      'in twenty thousand fragments',
      Buffer.concat(
        Array.from({ length: 20_000 }, (_, i) => frame(i === 0 ? 1 : 0, 'x', { fin: false, masked: true })),
      ),
      1008,
    ],
  ];
  for (const [what, bytes, code] of frames) {
    test(`${what} of the client is answered with ${code}, and the upstream's end closes`, async () => {
      const connection = await openRaw(stand);
      await eventually('the upstream has its end', () => stand.upstream.sockets.length === 1);
      const far = stand.upstream.sockets[0]!;
      const codes: number[] = [];
      far.on('close', (each) => codes.push(each));
      await connection.write(bytes);
      assert.equal(await closeCode(connection), code);
      await eventually('the upstream is closed', () => codes.length === 1);
      assert.equal(codes[0], 1011);
      connection.close();
      const [record] = await stand.recorded(1);
      assert.equal(record!.error!.origin, 'downstream');
    });
  }

  test('of the upstream ends the exchange as broken, and the client hears 1011', async () => {
    stand.upstream.reception = {
      answer: (connection, handshake) =>
        connection.write(Buffer.concat([acceptance(handshake), frame(1, 'masked', { masked: true })])),
    };
    const client = await stand.dial('/openai/realtime').opened();
    assert.equal((await client.ended()).code, 1011);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'upstream_broke');
    assert.equal(record!.error!.origin, 'upstream');
  });
});

describe('a side that does not read', () => {
  /** Sends until the bytes on their way stop growing. @returns how many the gateway took */
  async function fill(send: () => void, waiting: () => number, isSendingMax: number): Promise<number> {
    let sent = 0;
    for (let calm = 0; calm < 20 && sent < isSendingMax;) {
      if (waiting() < 4_000_000) {
        send();
        sent++;
        calm = 0;
      } else {
        await delay(10);
        calm++;
      }
    }
    return sent;
  }

  test('makes the other wait, takes little memory, and gets all when it reads again', async () => {
    const size = 100_000;
    for (const slow of ['client', 'upstream'] as const) {
      const { client, far } = await stand.open('/openai/realtime');
      far.removeAllListeners('message');
      const [from, to] = slow === 'client' ? [far, client.socket] : [client.socket, far];
      let got = 0;
      to.on('message', (bytes: Buffer) => (got += bytes.length));
      to.pause();
      const most = 3000;
      const sent = await fill(
        () => from.send(Buffer.alloc(size)),
        () => from.bufferedAmount,
        most,
      );
      assert.ok(sent < most, `the gateway took ${sent} messages for a ${slow} that reads none`);
      assert.ok(sent * size < 64_000_000, `the gateway took ${sent * size} bytes for a ${slow} that reads none`);
      assert.ok(from.bufferedAmount > 0);
      to.resume();
      await eventually('all has arrived', () => got === sent * size, 20_000);
      client.socket.close();
      await client.ended();
    }
  });

  test('is still told goodbye after all that waits for it', async () => {
    const unlimited = await openSocketStand();
    try {
      const { client, far } = await unlimited.open('/openai/realtime');
      client.socket.pause();
      // More than the system buffers, so that most of it waits in the gateway.
      far.send(Buffer.alloc(40_000_000));
      far.close(4001, 'after all');
      // Longer than the time for an answer to a close frame.
      await delay(CLOSE_MS + 1000);
      client.socket.resume();
      assert.deepEqual(await client.ended(20_000), { code: 4001, reason: 'after all' });
      assert.equal(client.messages[0]!.bytes.length, 40_000_000);
      await unlimited.check();
    } finally {
      await unlimited.close();
    }
  });
});

describe('a side that says nothing', () => {
  let impatient: SocketStand;
  before(async () => {
    impatient = await openSocketStand({ webSocket: { pingSeconds: 0.1 } });
  });
  after(() => impatient.close());
  beforeEach(() => impatient.clear());
  afterEach(() => impatient.check());

  test('but answers pings is left alone, and sees no pong that it did not ask for', async () => {
    const { client, far } = await impatient.open('/openai/realtime');
    const pings: string[] = [];
    const pongs: string[] = [];
    far.on('ping', (bytes) => pings.push(bytes.toString()));
    far.on('pong', (bytes) => pongs.push(bytes.toString()));
    await eventually('several pings were sent', () => client.pings.length > 8 && pings.length > 8);
    assert.equal(client.closed, null);
    assert.deepEqual([client.pongs, pongs], [[], []]);
  });

  test('and answers no ping either is cut, and so is the other side', async () => {
    for (const silent of ['client', 'upstream'] as const) {
      // A machine that is gone neither answers nor ends its connection.
      impatient.upstream.reception = { autoPong: silent !== 'upstream' };
      const { client, far } = await impatient.open('/openai/realtime', { autoPong: silent !== 'client' });
      const codes: number[] = [];
      far.on('close', (code) => codes.push(code));
      assert.equal((await client.ended()).code, 1006);
      await eventually('the upstream is closed', () => codes.length > 0);
      const record = (await impatient.recorded(silent === 'client' ? 1 : 2)).at(-1)!;
      assert.equal(record.ending, silent === 'client' ? 'downstream_left' : 'upstream_broke');
      assert.equal(record.error!.code, 'ping_timeout');
    }
  });

  test('while a large message is on its way is not taken for dead', async () => {
    const connection = await openRaw(impatient);
    await eventually('the upstream has its end', () => impatient.upstream.sockets.length === 1);
    const heard: number[] = [];
    impatient.upstream.sockets[0]!.on('message', (bytes: Buffer) => heard.push(bytes.length));
    const bytes = frame(2, Buffer.alloc(60_000), { masked: true });
    // Longer than three pings, none of which is answered.
    for (let at = 0; at < bytes.length; at += 4000) {
      await connection.write(bytes.subarray(at, at + 4000));
      await delay(50);
    }
    await eventually('the message is there', () => heard.length === 1);
    connection.close();
  });

  test('for the time of webSocket.idleSeconds is closed with 1001, and so is the other', async () => {
    const idle = await openSocketStand({ webSocket: { idleSeconds: 0.4, pingSeconds: 0.1 } });
    try {
      const { client, far } = await idle.open('/openai/realtime');
      const codes: number[] = [];
      far.on('close', (code) => codes.push(code));
      // Each message begins the time anew.
      for (let i = 0; i < 4; i++) {
        await delay(200);
        client.socket.send('still here');
      }
      assert.equal(client.closed, null);
      assert.equal((await client.ended()).code, 1001);
      await eventually('the upstream is closed', () => codes.length > 0);
      assert.equal(codes[0], 1001);
      const [record] = await idle.recorded(1);
      assert.equal(record!.ending, 'timed_out');
      await idle.check();
    } finally {
      await idle.close();
    }
  });

  test('although both are there is closed by neither, where pings and idle time are off', async () => {
    const patient = await openSocketStand({ webSocket: { idleSeconds: 0, pingSeconds: 0 } });
    try {
      const { client } = await patient.open('/openai/realtime', { autoPong: false });
      await delay(500);
      assert.equal(client.closed, null);
      assert.equal(client.pings.length, 0);
    } finally {
      await patient.close();
    }
  });

  test('in answer to a close frame is cut soon', async () => {
    const sockets: Socket[] = [];
    impatient.upstream.reception = {
      answer(connection, handshake) {
        sockets.push(connection);
        connection.write(acceptance(handshake));
      },
    };
    const client = await impatient.dial('/openai/realtime').opened();
    client.socket.close(1000);
    await client.ended();
    await eventually('the gateway lets go of the upstream', () => sockets[0]!.destroyed || sockets[0]!.readableEnded);
  });
});
