// A request is what its bytes say, in whatever pieces they come (P14 of the reference on security).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';

import fc from 'fast-check';

import type { RawConnection, RawReply } from '../support/raw-client.ts';
import { openStand, type Stand } from '../support/stand.ts';

let stand: Stand;
before(async () => {
  stand = await openStand();
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

const BODY = '{"model":"gpt-6","input":"na\u00efve \u8a9e"}';
const LENGTH = Buffer.byteLength(BODY);

function requests(): Record<string, Buffer> {
  const head = `Host: gateway\r\nAuthorization: Bearer ${stand.gateway.token}\r\nContent-Type: application/json\r\n`;
  const chunks = [BODY.slice(0, 5), BODY.slice(5)].map(
    (part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`,
  );
  const texts = {
    'without a body': `GET /openai/v1/models?limit=2 HTTP/1.1\r\n${head}\r\n`,
    'of known length': `POST /openai/v1/responses HTTP/1.1\r\n${head}Content-Length: ${LENGTH}\r\n\r\n${BODY}`,
    'in chunks': `POST /openai/v1/responses HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n${chunks.join('')}0\r\n\r\n`,
    refused: `POST /openai/v1/../x HTTP/1.1\r\n${head}Content-Length: ${LENGTH}\r\n\r\n${BODY}`,
  };
  return Object.fromEntries(Object.entries(texts).map(([what, text]) => [what, Buffer.from(text)]));
}

async function writeInPieces(connection: RawConnection, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    await connection.write(piece);
    await nextTurn();
  }
}

/** What the client was told and the upstream was sent, without what differs from one exchange to the next. */
async function outcomeOf(reply: RawReply): Promise<unknown> {
  const seen = await Promise.all(
    stand.upstream.requests.map(async ({ method, target, headers, whole }) => ({
      method,
      target,
      headers,
      body: (await whole()).toString('base64'),
    })),
  );
  const headers = reply.headers.filter(([name]) => name.toLowerCase() !== 'x-throughway-exchange-id');
  return { status: reply.status, headers, body: reply.body.toString('base64'), isWhole: reply.isWhole, seen };
}

async function outcome(pieces: readonly Buffer[]): Promise<unknown> {
  stand.upstream.requests.length = 0;
  const connection = await stand.connect();
  await writeInPieces(connection, pieces);
  const reply = await connection.reply();
  connection.close();
  return await outcomeOf(reply);
}

test('a request that comes byte by byte has the outcome of one that comes whole', async () => {
  for (const [what, bytes] of Object.entries(requests())) {
    const whole = await outcome([bytes]);
    const split = await outcome([...bytes].map((byte) => Buffer.from([byte])));
    assert.deepEqual(split, whole, what);
  }
});

test('a request that is cut anywhere has the outcome of one that comes whole', async () => {
  for (const [what, bytes] of Object.entries(requests())) {
    const whole = await outcome([bytes]);
    const cuts = fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { minLength: 1, maxLength: 6 });
    const property = fc.asyncProperty(cuts, async (at) => {
      const ends = [...new Set(at), bytes.length].sort((a, b) => a - b);
      const pieces = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
      assert.deepEqual(await outcome(pieces), whole, what);
    });
    await fc.assert(property, { numRuns: 60 });
  }
});

test('requests that follow each other on one connection are told apart wherever their bytes are cut', async () => {
  const { 'of known length': length, 'in chunks': chunked, 'without a body': bodiless } = requests();
  const all = Buffer.concat([length!, bodiless!, chunked!, length!]);
  const cuts = fc.array(fc.integer({ min: 1, max: all.length - 1 }), { minLength: 1, maxLength: 8 });
  const property = fc.asyncProperty(cuts, async (at) => {
    stand.upstream.requests.length = 0;
    const ends = [...new Set(at), all.length].sort((a, b) => a - b);
    const connection = await stand.connect();
    const writing = writeInPieces(
      connection,
      ends.map((end, index) => all.subarray(ends[index - 1] ?? 0, end)),
    );
    for (let i = 0; i < 4; i++) assert.equal((await connection.reply()).status, 200);
    await writing;
    connection.close();
    assert.equal(stand.upstream.requests.length, 4);
    const bodies = await Promise.all(stand.upstream.requests.map((each) => each.whole()));
    assert.deepEqual(
      bodies.map(String).filter((body) => body !== ''),
      [BODY, BODY, BODY],
    );
  });
  await fc.assert(property, { numRuns: 60 });
});
