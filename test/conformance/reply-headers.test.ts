// C7, C8, C9 and C11 of the reference on the surface: which headers of a reply come back, and that none is invented.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import fc from 'fast-check';

import type { RawReply } from '../support/raw-client.ts';
import { valueOf, valuesOf, type Header } from '../support/wire.ts';
import { startPair, type Pair } from './pair.ts';

let pair: Pair;
before(async () => {
  pair = await startPair();
});
beforeEach(() => pair.recorder.clear());
after(() => pair.close());

async function replyWith(headers: readonly Header[]): Promise<RawReply> {
  pair.recorder.clear();
  pair.recorder.script = () => ({ headers, body: 'ok' });
  const reply = await pair.ask({ target: '/openai/v1/models' });
  assert.equal(reply.body.toString(), 'ok');
  return reply;
}

test('C7: each header line comes back once, with the very bytes of its value', async () => {
  const sent: Header[] = [
    ['Date', 'Mon, 23 Nov 2026 12:00:00 GMT'],
    ['Content-Type', 'application/json; charset="utf-8"'],
    ['Server', 'cloudflare'],
    ['x-request-id', 'req_5f0c0d9e8b7a'],
    ['openai-processing-ms', '412'],
    ['openai-version', '2020-10-01'],
    ['openai-organization', 'acme-corp'],
    ['openai-project', 'proj_1a2b3c'],
    ['x-ratelimit-limit-requests', '10000'],
    ['x-ratelimit-remaining-tokens', '29999'],
    ['x-ratelimit-reset-requests', '6ms'],
    ['retry-after', '3'],
    ['retry-after-ms', '2850'],
    ['x-should-retry', 'true'],
    ['openai-poll-after-ms', '500'],
    ['CF-RAY', '8c1d2e3f4a5b6c7d-FRA'],
    ['cf-cache-status', 'DYNAMIC'],
    ['strict-transport-security', 'max-age=31536000; includeSubDomains; preload'],
    ['access-control-allow-origin', '*'],
    ['access-control-expose-headers', 'X-Request-ID'],
    ['ETag', 'W/"9f8e7d"'],
    ['Last-Modified', 'Mon, 23 Nov 2026 11:00:00 GMT'],
    ['Link', '</v1/files?after=x>; rel="next"'],
    ['Location', '/v1/realtime/calls/rtc_u1_9c65'],
    ['Via', '1.1 upstream'],
    ['X-Empty', ''],
    ['X-Inner', 'a \t b'],
    ['Content-Disposition', 'attachment; filename="caf\u00e9.txt"'],
    ['X-Utf8', Buffer.from('Gr\u00fc\u00dfe \u2603').toString('latin1')],
  ];
  const reply = await replyWith(sent);
  for (const [name, value] of sent) assert.deepEqual(valuesOf(reply.headers, name), [value], name);
});

test('C7: nothing is added but the name of the exchange', async () => {
  const reply = await replyWith([['Content-Type', 'text/plain']]);
  const names = reply.headers
    .map(([name]) => name.toLowerCase())
    .filter((name) => name !== 'connection' && name !== 'keep-alive');
  assert.deepEqual(names.sort(), ['content-length', 'content-type', 'x-throughway-exchange-id']);
  assert.match(valueOf(reply.headers, 'x-throughway-exchange-id')!, /^exc_[0-9a-z]{26}$/);
});

test('C7: two exchanges never bear one name', async () => {
  const ids = [];
  for (let i = 0; i < 20; i++) ids.push(valueOf((await replyWith([])).headers, 'x-throughway-exchange-id'));
  assert.equal(new Set(ids).size, 20);
});

test('C7: Set-Cookie, Alt-Svc and what belongs to the upstream connection stay behind', async () => {
  const dropped: Header[] = [
    ['Set-Cookie', '__cf_bm=1; path=/'],
    ['set-cookie', '_cfuvid=2'],
    ['Alt-Svc', 'h3=":443"; ma=86400'],
    ['Keep-Alive', 'timeout=71'],
    ['Proxy-Authenticate', 'Basic'],
    ['Trailer', 'X-Checksum'],
    ['X-Local', '1'],
    ['x-throughway-cost-usd', '0.01'],
  ];
  const reply = await replyWith([...dropped, ['Connection', 'keep-alive, X-Local']]);
  for (const [name, value] of dropped) assert.ok(!valuesOf(reply.headers, name).includes(value), name);
});

test('C8: two lines of one name stay two lines, in their order', async () => {
  const sent: Header[] = [
    ['Vary', 'Origin'],
    ['X-Many', 'b'],
    ['vary', 'Accept-Encoding'],
    ['x-many', 'a'],
    ['X-Many', 'b'],
    ['WWW-Authenticate', 'Bearer'],
    ['WWW-Authenticate', 'Basic, Digest'],
  ];
  const reply = await replyWith(sent);
  const names = new Set(sent.map(([name]) => name.toLowerCase()));
  assert.deepEqual(
    reply.headers.filter(([name]) => names.has(name.toLowerCase())),
    sent,
  );
});

test('C9: no Date, Server or X-Powered-By is invented, on replies of any kind', async () => {
  const replies = [
    await replyWith([]),
    await pair.ask({ target: '/openai/v1/models', headers: [['Authorization', 'Bearer sk-tw-wrong']] }),
    await pair.ask({ target: '/nowhere' }),
    await pair.ask({ target: '/openai/v1/../x' }),
    await pair.ask({ target: '/health/live' }),
  ];
  for (const reply of replies) {
    for (const name of ['date', 'server', 'x-powered-by'])
      assert.deepEqual(valuesOf(reply.headers, name), [], `${name} at ${reply.status}`);
  }
});

test('C11: 60 KiB of reply headers pass', async () => {
  const sent: Header[] = Array.from({ length: 60 }, (_, at) => [`X-Large-${at}`, String(at % 10).repeat(1000)]);
  const reply = await replyWith(sent);
  for (const [name, value] of sent) assert.deepEqual(valuesOf(reply.headers, name), [value], name);
});

test('HD11: any bytes that a header value may hold come back', async () => {
  const value = fc.stringMatching(/^([\x21-\x7e\x80-\xff]([\x20-\x7e\x80-\xff\t]{0,30}[\x21-\x7e\x80-\xff])?)?$/);
  await fc.assert(
    fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 10 }), async (values) => {
      const sent = values.map((each): Header => ['X-Any', each]);
      assert.deepEqual(valuesOf((await replyWith(sent)).headers, 'x-any'), values);
    }),
    { numRuns: 100 },
  );
});
