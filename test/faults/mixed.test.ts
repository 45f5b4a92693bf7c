// Clients and upstreams of all manners at once: however they meet, each exchange ends, is on record once, and leaves nothing
// open (promises 1 and 4 of the architecture; I3 to I7 of the reference on security).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import fc from 'fast-check';

import type { Ending } from '../../src/domain/exchange.ts';
import { chunk, EVENT_STREAM, LAST_CHUNK } from '../support/chunked.ts';
import { eventually } from '../support/eventually.ts';
import type { RawConnection } from '../support/raw-client.ts';
import type { RecordedRequest, ReplyWire, ScriptedReply } from '../support/recorder.ts';
import { openStand, type Stand } from '../support/stand.ts';
import { valueOf, type Header } from '../support/wire.ts';

let stand: Stand;
before(async () => {
  stand = await openStand({
    settings: {
      onDisconnect: 'drain',
      drain: { seconds: 0.5, bytesMax: 200_000, exchangesMax: 5 },
      upstream: { keepAliveSeconds: 0.3, headersSeconds: 0.6, idleSeconds: 0.6 },
    },
  });
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

type Upstream = (request: RecordedRequest, wire: ReplyWire) => Promise<ScriptedReply | void>;

const whenClosed = (wire: ReplyWire) => new Promise<void>((resolve) => void wire.socket.once('close', () => resolve()));

/** How an upstream may behave, by name. */
const UPSTREAMS: Record<string, Upstream> = {
  answers: async (request) => ({
    headers: [['Content-Type', 'application/json']],
    body: `{"bytes":${(await request.whole()).length}}`,
  }),
  async streams(_request, wire) {
    await wire.head(200, 'OK', EVENT_STREAM);
    for (let i = 0; i < 10; i++) {
      await wire.write(chunk(`data: ${i}\n\n`));
      await delay(5);
    }
    await wire.write(LAST_CHUNK);
  },
  large: async () => ({ body: Buffer.alloc(1_000_000, 'x') }),
  async breaks(_request, wire) {
    await wire.head(200, 'OK', EVENT_STREAM);
    await wire.write(chunk('data: 1\n\n'));
    await delay(10);
    wire.socket.resetAndDestroy();
  },
  async resets(_request, wire) {
    wire.socket.resetAndDestroy();
  },
  async ends(_request, wire) {
    wire.socket.end();
  },
  async refuses() {
    return { status: 401, reason: 'Unauthorized', body: '{"error":{"message":"Incorrect API key provided"}}' };
  },
  async garbles(_request, wire) {
    await wire.write('garbage\r\n\r\n');
    await whenClosed(wire);
  },
  async hangs(_request, wire) {
    await whenClosed(wire);
  },
  async stalls(_request, wire) {
    await wire.head(200, 'OK', EVENT_STREAM);
    await wire.write(chunk('data: 1\n\n'));
    await whenClosed(wire);
  },
  async hurries() {
    return { status: 413, reason: 'Too Large', body: 'too large' };
  },
};

type Client = (connection: RawConnection, headers: Header[], target: string) => Promise<void>;

const BODY = Buffer.alloc(150_000, 'x');

/** How a client may behave, by name. */
const CLIENTS: Record<string, Client> = {
  async reads(connection, headers, target) {
    await connection.send({ method: 'POST', target, headers, body: '{"stream":true}' });
    await connection.reply('POST');
  },
  async gets(connection, headers, target) {
    await connection.send({ target, headers });
    await connection.reply();
  },
  async uploads(connection, headers, target) {
    await connection.send({ method: 'POST', target, headers: [...headers, ['Transfer-Encoding', 'chunked']] });
    await Promise.all([
      connection.write(chunk(BODY)).then(() => connection.write(LAST_CHUNK)),
      connection.reply('POST'),
    ]);
  },
  async leavesAtOnce(connection, headers, target) {
    await connection.send({ method: 'POST', target, headers, body: '{}' });
  },
  async leavesSoon(connection, headers, target) {
    await connection.send({ method: 'POST', target, headers, body: '{}' });
    await delay(15);
  },
  async leavesInItsUpload(connection, headers, target) {
    await connection.send({ method: 'POST', target, headers: [...headers, ['Content-Length', '150000']] });
    await connection.write(BODY.subarray(0, 100_000));
    await delay(10);
  },
  async leavesInItsSmallBody(connection, headers, target) {
    await connection.send({ method: 'POST', target, headers: [...headers, ['Content-Length', '100']] });
    await connection.write('{');
    await delay(5);
  },
  async stopsReading(connection, headers, target) {
    connection.socket.pause();
    await connection.send({ target, headers });
    await delay(100);
  },
  async resets(connection, headers, target) {
    await connection.send({ target, headers });
    await delay(5);
    connection.socket.resetAndDestroy();
  },
  async asksThrice(connection, headers, target) {
    for (let i = 0; i < 3; i++) await connection.send({ target, headers });
    await connection.reply();
  },
};

const ENDINGS = new Set<Ending | null>([
  'complete',
  'downstream_left',
  'upstream_broke',
  'timed_out',
  'unreachable',
  // A refusal before anything was sent has no ending.
  null,
]);

test('clients and upstreams of all manners leave one record each, and nothing open', async () => {
  stand.script((request, wire) => UPSTREAMS[valueOf(request.headers, 'x-upstream')!]!(request, wire));
  const socketsBefore = openSockets();
  const meeting = fc.record({
    client: fc.constantFrom(...Object.keys(CLIENTS)),
    upstream: fc.constantFrom(...Object.keys(UPSTREAMS)),
    afterMs: fc.nat({ max: 60 }),
  });
  const crowd = fc.array(meeting, { minLength: 40, maxLength: 60 });
  const property = fc.asyncProperty(crowd, async (meetings) => {
    stand.clear();
    stand.script((request, wire) => UPSTREAMS[valueOf(request.headers, 'x-upstream')!]!(request, wire));
    const told = await Promise.all(
      meetings.map(async ({ client, upstream, afterMs }, number) => {
        await delay(afterMs);
        const connection = await stand.connect();
        const headers = stand.keyed(['X-Upstream', upstream]);
        // What a client meets is the subject of other tests; here it only must not last.
        await CLIENTS[client]!(connection, headers, `/openai/v1/meetings/${number}`).catch(() => {});
        connection.close();
      }),
    );
    assert.equal(told.length, meetings.length);
    await stand.holdInvariants();
    const records = stand.records();
    for (const record of records) assert.ok(ENDINGS.has(record.ending), `${record.path}: ${record.ending}`);
    const recorded = new Set(records.map((record) => record.path));
    const missing = meetings.flatMap(({ client }, number) =>
      // One who resets at once may never have been heard.
      recorded.has(`/v1/meetings/${number}`) || client === 'resets' ? [] : [`${client} ${number}`],
    );
    assert.deepEqual(missing, []);
  });
  await fc.assert(property, { numRuns: 6, endOnFailure: true });
  await eventually('all connections to the upstream are closed', () =>
    stand.upstream.requests.every(({ closed }) => closed),
  );
  await eventually('all sockets are closed', () => openSockets() <= socketsBefore + 2);
});

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'TCPSocketWrap').length;
}
