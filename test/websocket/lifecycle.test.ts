// A WebSocket that is broken off at any moment, and a gateway that stops while some are open: nothing crashes, nothing
// stays open, and each arrival has its one record.
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { eventually } from '../support/eventually.ts';
import { readSpool } from '../support/invariants.ts';
import { RawConnection } from '../support/raw-client.ts';
import { acceptance, frame, openSocketStand, type SocketStand } from '../support/sockets.ts';
import { headBytes } from '../support/wire.ts';

const RESETS = 50;

function handshakeBytes(stand: SocketStand): Buffer {
  return headBytes('GET /openai/realtime HTTP/1.1', [
    ['Host', 'gateway.example'],
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Version', '13'],
    ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['Authorization', `Bearer ${stand.gateway.token}`],
  ]);
}

describe('a client that resets', () => {
  let stand: SocketStand;
  before(async () => {
    stand = await openSocketStand();
  });
  after(() => stand.close());
  beforeEach(() => stand.clear());
  afterEach(async () => {
    await stand.check();
    // The gateway serves on.
    const { client } = await stand.open('/openai/realtime');
    client.socket.send('well-meant');
    await eventually('the echo is back', () => client.messages.length === 1, 1000);
    client.socket.close();
    await client.ended();
    await eventually('nothing is active', () => readSpool(stand.gateway.dataDir, 0).openIntents === 0);
  });

  test('amid its handshake leaves nothing behind', async () => {
    const bytes = handshakeBytes(stand);
    for (let i = 0; i < RESETS; i++) {
      const connection = await RawConnection.open(stand.gateway.api);
      await connection.write(bytes.subarray(0, Math.floor((bytes.length * i) / RESETS)));
      connection.socket.resetAndDestroy();
    }
    assert.equal(stand.records().length, 0);
  });

  test('right after its handshake is recorded once each time, and its upstream is let go', async () => {
    for (let i = 0; i < RESETS; i++) {
      const connection = await RawConnection.open(stand.gateway.api);
      await connection.write(handshakeBytes(stand));
      // At once, or when the gateway is somewhere on its way upstream.
      if (i % 2 === 1) await delay(i % 5);
      connection.socket.resetAndDestroy();
    }
    await eventually('nothing is open', () => readSpool(stand.gateway.dataDir, 0).openIntents === 0);
    for (const record of stand.records()) assert.equal(record.ending, 'downstream_left');
  });

  test('or ends while its upstream is being dialled is recorded, and the dialling is given up within a second', async () => {
    const connections: Socket[] = [];
    stand.upstream.reception = { answer: (connection) => connections.push(connection) };
    for (let i = 0; i < 10; i++) {
      const connection = await RawConnection.open(stand.gateway.api);
      await connection.write(handshakeBytes(stand));
      await eventually('the upstream sees the handshake', () => connections.length === i + 1);
      if (i % 2 === 0) connection.socket.resetAndDestroy();
      else connection.socket.end();
      await eventually(
        'the upstream is let go',
        () => connections[i]!.readableEnded || connections[i]!.destroyed,
        1000,
      );
      connection.close();
    }
    for (const record of await stand.recorded(10)) {
      assert.equal(record.ending, 'downstream_left');
      assert.equal(record.status, null);
    }
    stand.upstream.reception = { meet: (far) => far.on('message', (bytes) => far.send(bytes)) };
  });

  test('once it is open, in whatever is going on, is recorded once each time', async () => {
    stand.upstream.reception = {
      meet: (far) => {
        for (let i = 0; i < 5; i++) far.send('x'.repeat(50_000));
        far.on('message', (bytes) => far.send(bytes));
      },
    };
    for (let i = 0; i < RESETS; i++) {
      const connection = await RawConnection.open(stand.gateway.api);
      const frames = [frame(1, 'one', { masked: true }), frame(1, 'two', { masked: true, fin: false })];
      await connection.write(Buffer.concat([handshakeBytes(stand), ...frames]));
      await connection.head();
      if (i % 3 === 0) await connection.write(frame(8, '', { masked: true }).subarray(0, 3));
      connection.socket.resetAndDestroy();
    }
    const records = await stand.recorded(RESETS);
    assert.equal(records.length, RESETS);
    for (const record of records) assert.equal(record.ending, 'downstream_left');
    stand.upstream.reception = { meet: (far) => far.on('message', (bytes) => far.send(bytes)) };
  });
});

describe('an upstream that resets', () => {
  let stand: SocketStand;
  before(async () => {
    stand = await openSocketStand();
  });
  after(() => stand.close());
  beforeEach(() => stand.clear());
  afterEach(() => stand.check());

  test('amid its answer to the handshake gives 502 each time', async () => {
    stand.upstream.reception = {
      answer(connection, handshake) {
        const bytes = acceptance(handshake);
        const cut = stand.upstream.seen.length % bytes.length;
        connection.write(bytes.subarray(0, cut), () => connection.resetAndDestroy());
      },
    };
    for (let i = 0; i < RESETS; i++) {
      const { status } = await stand.dial('/openai/realtime').refused();
      assert.equal(status, 502);
    }
    for (const record of await stand.recorded(RESETS)) assert.equal(record.ending, 'upstream_broke');
  });

  test('right after its 101, or amid a frame, is a lost connection for the client each time', async () => {
    stand.upstream.reception = {
      answer(connection, handshake) {
        const bytes = Buffer.concat([acceptance(handshake), frame(1, 'x'.repeat(300))]);
        const headBytesCount = acceptance(handshake).length;
        const cut = headBytesCount + (stand.upstream.seen.length % (bytes.length - headBytesCount));
        connection.write(bytes.subarray(0, cut), () => connection.resetAndDestroy());
      },
    };
    for (let i = 0; i < RESETS; i++) {
      const client = stand.dial('/openai/realtime');
      await eventually('it is over', () => client.closed !== null || client.refusal !== null, 2000);
      // The reset may overtake the 101.
      if (client.refusal === null) assert.equal(client.closed!.code, 1006);
      else assert.equal(client.refusal.status, 502);
    }
    for (const record of await stand.recorded(RESETS)) assert.equal(record.ending, 'upstream_broke');
  });
});

describe('a gateway that stops', () => {
  test('lets open sockets go on, takes no new ones, and closes with 1001 on both sides when the time is over', async () => {
    const stand = await openSocketStand({ drainSeconds: 0.5 });
    const { client, far } = await stand.open('/openai/realtime');
    const codes: number[] = [];
    far.on('close', (code) => codes.push(code));
    const stopped = stand.gateway.gateway.stop();

    const refused = await stand.dial('/openai/realtime').refused();
    assert.equal(refused.status, 503);
    assert.equal(refused.headers['x-throughway-refusal'], 'overloaded');
    client.socket.send('still served');
    await eventually('the echo is back', () => client.messages.length === 1);

    assert.equal((await client.ended()).code, 1001);
    await eventually('the upstream is closed', () => codes.length > 0);
    assert.equal(codes[0], 1001);
    await stopped;
    const socket = readSpool(stand.gateway.dataDir, 0).records.find((record) => record.status === 101);
    assert.equal(socket!.ending, 'gateway_cut');
    await stand.close();
  });

  test('waits no longer than its last socket', async () => {
    const stand = await openSocketStand({ drainSeconds: 60 });
    const { client } = await stand.open('/openai/realtime');
    const stopped = stand.gateway.gateway.stop();
    await delay(100);
    client.socket.close(1000, 'done');
    assert.deepEqual(await client.ended(), { code: 1000, reason: 'done' });
    await stopped;
    const [record] = readSpool(stand.gateway.dataDir, 0).records;
    assert.equal(record!.ending, 'complete');
    await stand.close();
  });

  test('cuts at once what is being dialled when it must', async () => {
    const stand = await openSocketStand();
    stand.upstream.reception = { answer: () => {} };
    const client = stand.dial('/openai/realtime');
    await eventually('the upstream is being dialled', () => stand.upstream.seen.length === 1);
    const stopped = stand.gateway.gateway.stopNow();
    const { status, headers } = await client.refused();
    assert.equal(status, 503);
    assert.equal(headers['x-throughway-refusal'], 'overloaded');
    await stopped;
    const [record] = readSpool(stand.gateway.dataDir, 0).records;
    assert.equal(record!.ending, 'gateway_cut');
    await stand.close();
  });

  test('at once still tells both sides with 1001', async () => {
    const stand = await openSocketStand();
    const { client, far } = await stand.open('/openai/realtime');
    const codes: number[] = [];
    far.on('close', (code) => codes.push(code));
    const stopped = stand.gateway.gateway.stopNow();
    assert.equal((await client.ended()).code, 1001);
    await eventually('the upstream is closed', () => codes.length > 0);
    assert.equal(codes[0], 1001);
    await stopped;
    await stand.close();
  });
});

test('sockets count as exchanges that are active, and one too many is refused', async () => {
  const stand = await openSocketStand({ http: { exchangesMax: 2 } });
  try {
    const first = await stand.open('/openai/realtime');
    await stand.open('/openai/realtime');
    const refused = await stand.dial('/openai/realtime').refused();
    assert.equal(refused.status, 503);
    assert.equal(refused.headers['x-throughway-refusal'], 'overloaded');
    first.client.socket.close();
    await first.client.ended();
    await stand.recorded(2);
    await stand.open('/openai/realtime');
  } finally {
    await stand.close();
  }
});

test('a hundred sockets at once mix up nothing', async () => {
  const stand = await openSocketStand();
  try {
    const open = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => ({
        i,
        client: await stand.dial(`/openai/realtime?i=${i}`).opened(),
      })),
    );
    for (let round = 0; round < 10; round++) for (const { i, client } of open) client.socket.send(`${i}:${round}`);
    await eventually('all echoes are back', () => open.every(({ client }) => client.messages.length === 10), 15_000);
    for (const { i, client } of open) {
      assert.deepEqual(
        client.texts(),
        Array.from({ length: 10 }, (_, round) => `${i}:${round}`),
      );
      client.socket.close();
    }
    const records = await stand.recorded(100);
    assert.equal(new Set(records.map(({ id }) => id)).size, 100);
    await stand.check();
  } finally {
    await stand.close();
  }
});
