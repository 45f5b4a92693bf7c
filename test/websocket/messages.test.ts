// What goes by once a WebSocket is open: each message, control frame and ending arrives as it was sent, both ways.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import * as fc from 'fast-check';
import type { WebSocket } from 'ws';

import { eventually } from '../support/eventually.ts';
import { RawConnection } from '../support/raw-client.ts';
import { acceptance, frame, openSocketStand, type Client, type Message, type SocketStand } from '../support/sockets.ts';
import { headBytes } from '../support/wire.ts';

let stand: SocketStand;
before(async () => {
  stand = await openSocketStand();
});
after(() => stand.close());
beforeEach(() => stand.clear());
afterEach(() => stand.check());

/** All that an upstream's end was told. */
function listen(far: WebSocket) {
  const heard = {
    messages: [] as Message[],
    pings: [] as Buffer[],
    pongs: [] as Buffer[],
    closed: null as { code: number; reason: string } | null,
  };
  far.on('message', (bytes: Buffer, isBinary) => heard.messages.push({ bytes, isBinary }));
  far.on('ping', (bytes) => heard.pings.push(bytes));
  far.on('pong', (bytes) => heard.pongs.push(bytes));
  far.on('close', (code, reason) => (heard.closed = { code, reason: reason.toString() }));
  return heard;
}

describe('messages', () => {
  const cases: readonly [string, Buffer, boolean][] = [
    ['an empty text', Buffer.alloc(0), false],
    ['an empty binary', Buffer.alloc(0), true],
    ['text of more than one plane', Buffer.from('žluťoučký 馬 🐎 \u0000'), false],
    ['70 kB of binary', Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7) & 255)), true],
    ['5 MB of text', Buffer.from('ab'.repeat(2_500_000)), false],
  ];
  for (const [what, bytes, isBinary] of cases) {
    test(`of ${what} are the same both ways`, async () => {
      const { client, far } = await stand.open('/openai/realtime');
      const heard = listen(far);
      client.socket.send(bytes, { binary: isBinary });
      await eventually('the echo is back', () => client.messages.length === 1);
      for (const [message] of [heard.messages, client.messages]) {
        assert.equal(message!.isBinary, isBinary);
        assert.ok(message!.bytes.equals(bytes));
      }
    });
  }

  test('that the upstream glues to its 101 are not lost', async () => {
    stand.upstream.reception = {
      answer: (connection, handshake) =>
        connection.write(
          Buffer.concat([
            acceptance(handshake),
            frame(1, 'glued'),
            frame(2, Buffer.alloc(70_000, 1)),
            frame(1, 'and more'),
          ]),
        ),
    };
    const client = await stand.dial('/openai/realtime').opened();
    await eventually('all three are there', () => client.messages.length === 3);
    assert.deepEqual(
      client.messages.map(({ bytes }) => bytes.length),
      [5, 70_000, 8],
    );
  });

  test('that come along with the client’s handshake are not lost', async () => {
    const heard: string[] = [];
    stand.upstream.reception = { meet: (far) => far.on('message', (bytes: Buffer) => heard.push(bytes.toString())) };
    const connection = await RawConnection.open(stand.gateway.api);
    const head = headBytes('GET /openai/realtime HTTP/1.1', [
      ['Host', 'gateway.example'],
      ['Connection', 'Upgrade'],
      ['Upgrade', 'websocket'],
      ['Sec-WebSocket-Version', '13'],
      ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
      ['Authorization', `Bearer ${stand.gateway.token}`],
    ]);
    const early = Array.from({ length: 50 }, (_, i) => `early ${i} ${'x'.repeat(2000)}`);
    await connection.write(Buffer.concat([head, ...early.map((text) => frame(1, text, { masked: true }))]));
    await eventually('all are upstream', () => heard.length === early.length);
    assert.deepEqual(heard, early);
    connection.close();
  });

  test('pass at once, one by one, while others wait for nobody', async () => {
    const { client, far } = await stand.open('/openai/realtime');
    for (let i = 0; i < 20; i++) {
      far.send(`event ${i}`);
      await eventually(`event ${i} is there`, () => client.messages.length === i + 1, 1000);
    }
  });

  test('that an error frame and a close end the retired beta with are passed as they are', async () => {
    const error = '{"type":"error","error":{"code":"beta_api_shape_disabled"}}';
    stand.upstream.reception = {
      meet(far) {
        far.send(error);
        far.close(4000, 'invalid_request_error.beta_api_shape_disabled');
      },
    };
    const client = await stand.dial('/openai/realtime', { headers: { 'OpenAI-Beta': 'realtime=v1' } }).opened();
    assert.deepEqual(await client.ended(), {
      code: 4000,
      reason: 'invalid_request_error.beta_api_shape_disabled',
    });
    assert.deepEqual(client.texts(), [error]);
    const [record] = await stand.recorded(1);
    assert.equal(record!.status, 101);
    assert.equal(record!.ending, 'complete');
    assert.equal(record!.error!.code, 'close_4000');
  });

  test('in any number, of any kind and size, in any fragments, arrive in order, both ways', async () => {
    const { client, far } = await stand.open('/openai/realtime');
    far.removeAllListeners('message');
    const heard = listen(far);
    const message = fc.record({
      isBinary: fc.boolean(),
      // Around the borders of the three ways to write a length.
      size: fc.oneof(fc.nat(300), fc.integer({ min: 65_500, max: 65_600 }), fc.nat(200_000)),
      fragments: fc.integer({ min: 1, max: 5 }),
      fill: fc.integer({ min: 32, max: 126 }),
    });
    const messages = fc.array(message, { maxLength: 12 });
    type Spoken = { isBinary: boolean; size: number; fragments: number; fill: number };

    function say(socket: WebSocket, { isBinary, size, fragments, fill }: Spoken): void {
      const bytes = Buffer.alloc(size, fill);
      const step = Math.ceil(size / fragments);
      for (let i = 0; i < fragments; i++) {
        socket.send(bytes.subarray(i * step, (i + 1) * step), { binary: isBinary, fin: i === fragments - 1 });
      }
    }
    const shapeOf = ({ bytes, isBinary }: Message) => ({ isBinary, size: bytes.length, fill: new Set(bytes) });
    const meant = ({ isBinary, size, fill }: Spoken) => ({ isBinary, size, fill: new Set(size > 0 ? [fill] : []) });

    await fc.assert(
      fc.asyncProperty(messages, messages, async (up, down) => {
        heard.messages.length = 0;
        client.messages.length = 0;
        for (const each of up) say(client.socket, each);
        for (const each of down) say(far, each);
        await eventually(
          'all are there',
          () => heard.messages.length >= up.length && client.messages.length >= down.length,
        );
        assert.deepEqual(heard.messages.map(shapeOf), up.map(meant));
        assert.deepEqual(client.messages.map(shapeOf), down.map(meant));
      }),
      { numRuns: 60 },
    );
  });
});

describe('pings and pongs', () => {
  test('pass with their payload, and are answered by the far end alone', async () => {
    const { client, far } = await stand.open('/openai/realtime');
    const heard = listen(far);
    client.socket.ping('from the client');
    await eventually('the pong is back', () => client.pongs.length === 1);
    assert.deepEqual(heard.pings.map(String), ['from the client']);
    assert.deepEqual(client.pongs.map(String), ['from the client']);

    far.ping('from the upstream');
    await eventually('the pong is back', () => heard.pongs.length === 1);
    assert.deepEqual(client.pings.map(String), ['from the upstream']);
    assert.deepEqual(heard.pongs.map(String), ['from the upstream']);
  });

  test('pass between the fragments of a message', async () => {
    const { client, far } = await stand.open('/openai/realtime');
    const heard = listen(far);
    client.socket.send('first half, ', { fin: false });
    client.socket.ping('in between');
    client.socket.send('second half', { fin: true });
    await eventually('the echo is back', () => client.messages.length === 1);
    assert.deepEqual(client.texts(), ['first half, second half']);
    assert.deepEqual(heard.pings.map(String), ['in between']);
  });

  test('that nobody asked for pass too', async () => {
    const { client, far } = await stand.open('/openai/realtime');
    const heard = listen(far);
    client.socket.pong('unasked');
    await eventually('the pong is there', () => heard.pongs.length === 1);
    assert.deepEqual(heard.pongs.map(String), ['unasked']);
  });
});

describe('an ending', () => {
  const closes: readonly [string, number | undefined, string, { code: number; reason: string }][] = [
    ['with 1000', 1000, '', { code: 1000, reason: '' }],
    ['with 1000 and a reason', 1000, 'all said', { code: 1000, reason: 'all said' }],
    ['with 1011 and a long reason', 1011, 'é'.repeat(61), { code: 1011, reason: 'é'.repeat(61) }],
    ['with 4000', 4000, 'own code', { code: 4000, reason: 'own code' }],
    ['without a code', undefined, '', { code: 1005, reason: '' }],
  ];
  for (const [how, code, reason, expected] of closes) {
    test(`${how} by the client reaches the upstream`, async () => {
      const { client, far } = await stand.open('/openai/realtime');
      const heard = listen(far);
      if (code === undefined) client.socket.close();
      else client.socket.close(code, reason);
      await eventually('the upstream is closed', () => heard.closed !== null, 1000);
      assert.deepEqual(heard.closed, expected);
      assert.deepEqual(await client.ended(), expected);
      const [record] = await stand.recorded(1);
      assert.equal(record!.ending, 'complete');
      assert.equal(record!.status, 101);
      assert.equal(record!.transport, 'ws');
    });

    test(`${how} by the upstream reaches the client`, async () => {
      const { client, far } = await stand.open('/openai/realtime');
      if (code === undefined) far.close();
      else far.close(code, reason);
      assert.deepEqual(await client.ended(1000), expected);
      const [record] = await stand.recorded(1);
      assert.equal(record!.ending, 'complete');
    });
  }

  test('comes after all messages that were sent before it', async () => {
    const { client, far } = await stand.open('/openai/realtime');
    for (let i = 0; i < 30; i++) far.send(Buffer.alloc(100_000, i));
    far.close(1000, 'after thirty');
    assert.deepEqual(await client.ended(), { code: 1000, reason: 'after thirty' });
    assert.deepEqual(
      client.messages.map(({ bytes }) => bytes[0]),
      Array.from({ length: 30 }, (_, i) => i),
    );
  });

  test('without a close frame by the upstream, whether it resets or just ends, is one for the client within a second', async () => {
    for (const loss of ['resetAndDestroy', 'end', 'destroy'] as const) {
      const { client, far } = await stand.open('/openai/realtime');
      const connection = stand.upstream.seen.at(-1)!.connection;
      far.removeAllListeners('close');
      connection[loss]();
      assert.deepEqual(await client.ended(1000), { code: 1006, reason: '' }, loss);
    }
    const records = await stand.recorded(3);
    for (const record of records) {
      assert.equal(record.ending, 'upstream_broke');
      assert.equal(record.error!.origin, 'upstream');
    }
  });

  test('without a close frame by the client is one for the upstream within a second', async () => {
    for (const loss of ['terminate', 'reset'] as const) {
      const { client, far } = await stand.open('/openai/realtime');
      const heard = listen(far);
      if (loss === 'terminate') client.socket.terminate();
      else resetOf(client);
      await eventually('the upstream is closed', () => heard.closed !== null, 1000);
      assert.equal(heard.closed!.code, 1006, loss);
    }
    const records = await stand.recorded(2);
    for (const record of records) {
      assert.equal(record.ending, 'downstream_left');
      assert.equal(record.status, 101);
    }
  });
});

/** A crash of the client's machine rather than of its program. */
function resetOf(client: Client): void {
  // The answer to its handshake came on the connection that it now has.
  client.handshake!.socket.resetAndDestroy();
}
