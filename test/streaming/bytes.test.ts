// Bytes of a stream are the upstream's, however they were cut on their way (E3 and E4 of the surface, E01 of security).
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';

import fc from 'fast-check';

import { chunk, EVENT_STREAM, LAST_CHUNK } from '../support/chunked.ts';
import { openStand, type Stand } from '../support/stand.ts';

let stand: Stand;
before(async () => {
  stand = await openStand();
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

const LINE_END = fc.constantFrom('\n', '\r\n', '\r');
const TEXT = fc.string({
  unit: fc.constantFrom('a', ' ', ':', '{', '"', 'é', '語', '🙂', '\u2028', '\0'),
  maxLength: 40,
});
const LINE = fc.oneof(
  TEXT.map((text) => `data: ${text}`),
  TEXT.map((text) => `: ${text}`),
  TEXT.map((text) => `event: unheard.of.${text}`),
  fc.constantFrom('id: 7', 'retry: 3000', 'data', 'data:', 'data: [DONE]', ': keep-alive', 'unknown: field', ''),
);
/** Lines with any line ends, and now and then without one at the end. */
const STREAM = fc
  .array(fc.tuple(LINE, LINE_END), { minLength: 1, maxLength: 60 })
  .chain((lines) =>
    fc.tuple(fc.constant(lines.map(([line, end]) => line + end).join('')), fc.constantFrom('', 'data: cut off')),
  )
  .map(([text, rest]) => Buffer.from(text + rest));

test('any event stream, cut anywhere, arrives as the bytes that were sent', async () => {
  const property = fc.asyncProperty(
    STREAM,
    fc.array(fc.nat(), { maxLength: 12 }),
    fc.boolean(),
    async (body, cuts, isChunked) => {
      stand.script(async (request, wire) => {
        await wire.head(
          200,
          'OK',
          isChunked
            ? EVENT_STREAM
            : [
                ['Content-Type', 'text/event-stream'],
                ['Content-Length', String(body.length)],
              ],
        );
        for (const piece of cutAt(body, cuts)) {
          await wire.write(isChunked ? chunk(piece) : piece);
          await nextTurn();
        }
        if (isChunked) await wire.write(LAST_CHUNK);
        await request.whole();
      });
      const reply = await stand.ask({ method: 'POST', target: '/openai/v1/responses', body: '{"stream":true}' });
      assert.deepEqual(reply.body, body);
      assert.equal(reply.isWhole, true);
    },
  );
  await fc.assert(property, { numRuns: 150 });
});

test('comments, CRLF, data of several lines, unheard-of events and a missing [DONE] are kept', async () => {
  const body = [
    ': OPENAI PROCESSING\n\n',
    'event: response.never_heard_of\r\ndata: {"a":1}\r\n\r\n',
    'data: first\ndata: second\n\n',
    'id: 1\nretry: 10\n\n',
    'data:{"choices":[{"delta":{"content":"\u00e9"}}]}\n\n',
  ].join('');
  stand.script(() => ({ headers: [['Content-Type', 'text/event-stream']], body, framing: 'chunked' }));
  const reply = await stand.ask({ target: '/openai/v1/responses/resp_1?stream=true' });
  assert.equal(reply.body.toString(), body);
});

test('a character cut in two between chunks is neither mended nor delayed', async () => {
  const [first, second] = [Buffer.from('data: \u8a9e').subarray(0, 7), Buffer.from('data: \u8a9e\n\n').subarray(7)];
  const firstCame = Promise.withResolvers<void>();
  stand.script(async (_request, wire) => {
    await wire.head(200, 'OK', EVENT_STREAM);
    await wire.write(chunk(first));
    await firstCame.promise;
    await wire.write(Buffer.concat([chunk(second), Buffer.from(LAST_CHUNK)]));
  });
  const connection = await stand.connect();
  await connection.send({ target: '/openai/v1/x', headers: stand.keyed() });
  await connection.head();
  assert.deepEqual(await connection.bytes(), chunk(first));
  firstCame.resolve();
  assert.deepEqual(await connection.bytes(), Buffer.concat([chunk(second), Buffer.from(LAST_CHUNK)]));
  connection.close();
});

test('a stream of audio has the same digest on both sides', async () => {
  const audio = randomBytes(3 * 1024 * 1024);
  stand.script(() => ({
    headers: [['Content-Type', 'audio/mpeg']],
    body: cutAt(audio, [1, 70_000, 70_001, 500_000, 2_000_000]),
    framing: 'chunked',
  }));
  const reply = await stand.ask({ method: 'POST', target: '/openai/v1/audio/speech', body: '{}' });
  assert.equal(digest(reply.body), digest(audio));
});

test('a client of HTTP/1.0 gets the stream without chunks, ended by the connection', async () => {
  stand.script(() => ({
    headers: [['Content-Type', 'text/event-stream']],
    body: ['data: 1\n\n', 'data: 2\n\n'],
    framing: 'chunked',
  }));
  const connection = await stand.connect();
  await connection.send({ target: '/openai/v1/x', headers: stand.keyed(), version: '1.0' });
  const reply = await connection.reply();
  assert.equal(reply.framing, 'close');
  assert.equal(reply.body.toString(), 'data: 1\n\ndata: 2\n\n');
  assert.equal(reply.isWhole, true);
});

function cutAt(body: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (body.length + 1)))].sort((a, b) => a - b);
  return [0, ...at]
    .map((from, index) => body.subarray(from, at[index] ?? body.length))
    .filter((piece) => piece.length > 0);
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
