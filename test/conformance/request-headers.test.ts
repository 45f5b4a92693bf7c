// C1 to C6, C10, C12 and C13 of the reference on the surface: what the upstream learns from the headers of a request.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import fc from 'fast-check';

import type { RecordedRequest } from '../support/recorder.ts';
import { valueOf, valuesOf, type Header } from '../support/wire.ts';
import { startPair, type Pair } from './pair.ts';

let pair: Pair;
before(async () => {
  pair = await startPair();
});
beforeEach(() => pair.recorder.clear());
after(() => pair.close());

async function seenWith(headers: readonly Header[], target = '/openai/v1/models'): Promise<RecordedRequest> {
  pair.recorder.clear();
  const reply = await pair.ask({ target, headers });
  assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), undefined, reply.body.toString());
  return await pair.recorder.only();
}

/** All that went upstream, to look for what must not be there. */
async function textOf(request: RecordedRequest): Promise<string> {
  const body = await request.whole();
  return [request.target, ...request.headers.flat(), body.toString('latin1')].join('\n');
}

test('C1: end-to-end headers arrive with the very bytes of their values', async () => {
  const sent: Header[] = [
    ['Accept', 'text/event-stream;q=0.9 , */*'],
    ['Accept-Language', '*'],
    ['Origin', 'https://app.example'],
    ['Referer', 'https://app.example/a?b=c'],
    ['Range', 'bytes=0-99,200-'],
    ['If-None-Match', 'W/"abc", "def"'],
    ['User-Agent', 'OpenAI/Python 3.6.0'],
    ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
    ['X-Stainless-Runtime-Version', 'v24.21.0'],
    ['X-Stainless-Helper-Method', 'stream'],
    ['Idempotency-Key', 'stainless-node-retry-1'],
    ['sec-fetch-mode', 'cors'],
    ['X-Inner', 'a \t  b'],
    ['X-Empty', ''],
    ['X-Latin', 'caf\u00e9 \u00ff'],
    ['X-Utf8', Buffer.from('Gr\u00fc\u00dfe \u2603').toString('latin1')],
    ['X-Quotes', '"a,b";c=\'d\''],
    ['x-client-request-id', '5b9c1d7e'],
    ['OpenAI-Beta', 'chatkit_beta=v1'],
    ['Cache-Control', 'no-cache'],
    ['Pragma', 'no-cache'],
    ['Prefer', 'return=minimal'],
    ['DNT', '1'],
  ];
  const seen = await seenWith(sent);
  for (const [name, value] of sent) assert.deepEqual(valuesOf(seen.headers, name), [value], name);
});

for (const place of ['Authorization', 'authorization', 'x-api-key', 'api-key']) {
  test(`C2: a virtual key in ${place} goes no further; upstream sees one Authorization, and it is the credential`, async () => {
    const value = place.toLowerCase() === 'authorization' ? `Bearer ${pair.gateway.token}` : pair.gateway.token;
    const seen = await seenWith([[place, value]]);
    assert.deepEqual(valuesOf(seen.headers, 'authorization'), [`Bearer ${pair.credential}`]);
    assert.deepEqual([...valuesOf(seen.headers, 'x-api-key'), ...valuesOf(seen.headers, 'api-key')], []);
    assert.ok(!(await textOf(seen)).includes(pair.gateway.token));
  });
}

test('C2: keys in several places are all taken away', async () => {
  const { token } = pair.gateway;
  const seen = await seenWith([
    ['Authorization', `Bearer ${token}`],
    ['api-key', token],
    ['X-Api-Key', token],
  ]);
  assert.ok(!(await textOf(seen)).includes(token));
});

test('HD04: two Authorization headers are refused, in whichever order', async () => {
  for (const other of ['Bearer sk-other', `Bearer ${pair.gateway.token}`]) {
    const reply = await pair.ask({
      target: '/openai/v1/models',
      headers: [
        ['Authorization', `Bearer ${pair.gateway.token}`],
        ['authorization', other],
      ],
    });
    assert.equal(reply.status, 400);
  }
  assert.equal(pair.recorder.requests.length, 0);
});

test('C2: a key in the query string is refused, wherever else one stands', async () => {
  const { token } = pair.gateway;
  for (const query of [
    `?api_key=${token}`,
    `?x=1&api-key=${token}`,
    `?key=${token}`,
    `?access_token=${token}`,
    `?token=${token}`,
  ]) {
    for (const headers of [pair.keyed(), [['x-nothing', '']] as Header[]]) {
      const connection = await pair.connect();
      await connection.send({ target: `/openai/v1/models${query}`, headers });
      const reply = await connection.reply();
      connection.close();
      assert.equal(reply.status, 401, query);
      assert.ok(!reply.body.toString().includes(token));
    }
  }
  assert.equal(pair.recorder.requests.length, 0);
});

test('C3: Host is the upstream\u2019s, whatever the client wrote', async () => {
  for (const host of ['gateway.example', 'api.openai.com', 'evil.example:1']) {
    assert.deepEqual(valuesOf((await seenWith([['Host', host]])).headers, 'host'), [pair.upstreamAuthority]);
  }
});

test('C4: duplicates stay apart and in order, and so do headers of other names', async () => {
  const sent: Header[] = [
    ['X-First', '1'],
    ['X-Many', 'a'],
    ['Accept', 'application/json'],
    ['x-many', 'b'],
    ['X-MANY', 'a'],
    ['Accept', 'text/plain'],
    ['OpenAI-Beta', 'one=v1'],
    ['OpenAI-Beta', 'two=v1'],
    ['X-Last', ''],
  ];
  const seen = await seenWith(sent);
  const names = new Set(sent.map(([name]) => name.toLowerCase()));
  const arrived = seen.headers.map(([name, value]) => [name.toLowerCase(), value]);
  assert.deepEqual(
    arrived.filter(([name]) => names.has(name!)),
    sent.map(([name, value]) => [name.toLowerCase(), value]),
  );
});

test('C5: nothing is added but Host and the credential', async () => {
  const seen = await seenWith([['Accept', 'application/json']]);
  const names = seen.headers.map(([name]) => name.toLowerCase()).filter((name) => name !== 'connection');
  assert.deepEqual(names.sort(), ['accept', 'authorization', 'host']);
});

test('C5: organization and project of the caller pass where the credential names none', async () => {
  const seen = await seenWith([
    ['OpenAI-Organization', 'org-caller'],
    ['OpenAI-Project', 'proj_caller'],
  ]);
  assert.deepEqual(valuesOf(seen.headers, 'openai-organization'), ['org-caller']);
  assert.deepEqual(valuesOf(seen.headers, 'openai-project'), ['proj_caller']);
});

test('C5: assistants=v2 is added on assistants paths, and only where the caller says nothing of betas', async () => {
  const beta = async (target: string, headers: Header[]) =>
    valuesOf((await seenWith(headers, target)).headers, 'openai-beta');
  for (const path of [
    '/assistants',
    '/assistants/asst_1',
    '/threads/thread_1/runs/run_1',
    '/threads/runs',
    '/threads?x=1',
  ]) {
    assert.deepEqual(await beta(`/openai/v1${path}`, []), ['assistants=v2'], path);
    assert.deepEqual(await beta(`/openai${path}`, [['openai-beta', 'assistants=v1']]), ['assistants=v1'], path);
  }
  for (const path of ['/models', '/vector_stores', '/chatkit/threads', '/assistantsx', '/x/threads']) {
    assert.deepEqual(await beta(`/openai/v1${path}`, []), [], path);
  }
});

test('C6: hop-by-hop headers and those that Connection names go no further', async () => {
  const hopByHop: Header[] = [
    ['Keep-Alive', 'timeout=5'],
    ['Proxy-Authorization', 'Basic dTpw'],
    ['Proxy-Connection', 'keep-alive'],
    ['TE', 'trailers'],
    ['Trailer', 'X-Checksum'],
    ['X-Local', 'for the gateway alone'],
    ['X-Other-Local', '1'],
  ];
  const seen = await seenWith([
    ...hopByHop,
    ['Connection', 'keep-alive, X-Local'],
    ['Connection', 'x-other-local'],
    ['X-Stays', '1'],
  ]);
  for (const [name] of hopByHop) assert.deepEqual(valuesOf(seen.headers, name), [], name);
  assert.deepEqual(valuesOf(seen.headers, 'x-stays'), ['1']);
});

test('C6: Connection cannot take away the credential, the host or the framing', async () => {
  pair.recorder.clear();
  await pair.ask({
    method: 'POST',
    target: '/openai/v1/embeddings',
    headers: [
      ['Connection', 'close, Authorization, Host, Content-Length, Content-Type'],
      ['Content-Type', 'application/json'],
    ],
    body: '{}',
  });
  const seen = await pair.recorder.only();
  assert.deepEqual(valuesOf(seen.headers, 'authorization'), [`Bearer ${pair.credential}`]);
  assert.deepEqual(valuesOf(seen.headers, 'host'), [pair.upstreamAuthority]);
  assert.equal((await seen.whole()).toString(), '{}');
});

test('G13: an upgrade to anything but a WebSocket is a plain request, and upstream hears nothing of it', async () => {
  const seen = await seenWith([
    ['Connection', 'Upgrade, HTTP2-Settings'],
    ['Upgrade', 'h2c'],
    ['HTTP2-Settings', 'AAMAAABkAAQCAAAAAAIAAAAA'],
  ]);
  assert.deepEqual([...valuesOf(seen.headers, 'upgrade'), ...valuesOf(seen.headers, 'http2-settings')], []);
});

test('C10: 60 KiB of request headers pass', async () => {
  const sent: Header[] = Array.from({ length: 60 }, (_, at) => [`X-Large-${at}`, String(at % 10).repeat(1000)]);
  const seen = await seenWith(sent);
  for (const [name, value] of sent) assert.deepEqual(valuesOf(seen.headers, name), [value], name);
});

test('C10: a larger header block is refused with 431 and words, not by a reset', async () => {
  const reply = await pair.ask({
    target: '/openai/v1/models',
    headers: pair.keyed(['X-Large', 'x'.repeat(70 * 1024)]),
  });
  assert.equal(reply.status, 431);
  assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'headers_too_large');
  assert.equal(JSON.parse(reply.body.toString()).error.code, 'headers_too_large');
  assert.equal(pair.recorder.requests.length, 0);
});

test('HD06: thousands of small header lines are refused, never cut short in silence', async () => {
  const lines: Header[] = Array.from({ length: 2100 }, (_, at) => [`x${at}`, '']);
  const reply = await pair.ask({ target: '/openai/v1/models', headers: pair.keyed(...lines) });
  assert.equal(reply.status, 431);
  assert.equal(pair.recorder.requests.length, 0);
});

test('C12: the names of headers keep the case they were written in', async () => {
  const seen = await seenWith([
    ['X-MiXeD-CaSe', '1'],
    ['x-lower', '1'],
  ]);
  const names = seen.headers.map(([name]) => name);
  assert.ok(names.includes('X-MiXeD-CaSe') && names.includes('x-lower'), names.join(', '));
});

test('C13: cookies, where a request has been, and words for the gateway do not reach the upstream', async () => {
  const dropped: Header[] = [
    ['Cookie', 'session=1; __cf_bm=2'],
    ['Forwarded', 'for=192.0.2.7;proto=https'],
    ['X-Forwarded-For', '192.0.2.7'],
    ['x-forwarded-host', 'evil.example'],
    ['X-Forwarded-Proto', 'https'],
    ['X-Forwarded-Anything', '1'],
    ['Via', '1.1 proxy'],
    ['X-Real-IP', '192.0.2.7'],
    ['CF-Connecting-IP', '192.0.2.7'],
    ['CF-RAY', '8c1d'],
    ['cf-anything', '1'],
    ['x-throughway-tags', 'a'],
    ['X-Throughway-Exchange-Id', 'exc_forged'],
    ['X_Forwarded_For', '192.0.2.7'],
    ['Content_Length', '7'],
  ];
  const seen = await seenWith(dropped);
  for (const [name] of dropped) assert.deepEqual(valuesOf(seen.headers, name), [], name);
  assert.ok(!(await textOf(seen)).includes('192.0.2.7'));
});

test('S05: no header chooses another upstream', async () => {
  const seen = await seenWith([
    ['X-Original-URL', '/v1/organization/users'],
    ['X-Rewrite-URL', '/v1/organization/users'],
    ['x-portkey-custom-host', 'http://evil.example'],
    ['x-base-url', 'http://evil.example'],
  ]);
  assert.equal(seen.target, '/v1/models');
});

test('any end-to-end headers arrive, in their order', async () => {
  const name = fc
    .stringMatching(/^[Xx]-[A-Za-z0-9!#$%&'*+.^`|~-]{1,20}$/)
    .filter((each) => !/^x-(forwarded-|throughway-|real-ip$|api-key$)/i.test(each));
  const value = fc.stringMatching(/^([\x21-\x7e\x80-\xff]([\x20-\x7e\x80-\xff\t]{0,30}[\x21-\x7e\x80-\xff])?)?$/);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 20 }), async (sent) => {
      const seen = await seenWith(sent);
      const names = new Set(sent.map(([each]) => each.toLowerCase()));
      assert.deepEqual(
        seen.headers.filter(([each]) => names.has(each.toLowerCase())),
        sent,
      );
    }),
    { numRuns: 100 },
  );
});
