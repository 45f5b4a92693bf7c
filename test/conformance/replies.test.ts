// D1 to D11 of the reference on the surface: what comes back is what the upstream said, and our own no can be told apart.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';

import { valueOf, valuesOf, type Header } from '../support/wire.ts';
import { startPair, type Pair } from './pair.ts';

const JSON_TYPE: Header = ['Content-Type', 'application/json'];

let pair: Pair;
before(async () => {
  pair = await startPair();
});
beforeEach(() => pair.recorder.clear());
after(() => pair.close());

const STATUSES = [
  200, 201, 202, 203, 206, 300, 400, 402, 404, 405, 406, 408, 409, 410, 413, 415, 418, 422, 451, 500, 501, 502, 503,
  504, 520, 529, 599,
];

test(`D1: ${STATUSES.length} statuses come back with their reason phrase and their body`, async () => {
  for (const status of STATUSES) {
    const reason = `It is ${status} ("quoted"; ${Buffer.from('na\u00efve').toString('latin1')})`;
    const body = `{"error":{"message":"status ${status}","code":null}}`;
    pair.recorder.script = () => ({ status, reason, headers: [JSON_TYPE], body });
    const reply = await pair.ask({ method: 'POST', target: '/openai/v1/responses', headers: [JSON_TYPE], body: '{}' });
    assert.equal(reply.status, status);
    assert.equal(reply.reason, reason);
    assert.equal(reply.body.toString(), body);
    assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), undefined);
  }
});

test('D1: an empty reason phrase stays empty', async () => {
  pair.recorder.script = () => ({ status: 200, reason: '', body: 'ok' });
  assert.equal((await pair.ask({ target: '/openai/v1/models' })).reason, '');
});

test('D1: a reason phrase passes byte for byte, and what HTTP forbids in it is left out', async () => {
  const phrases = {
    'caf\u00e9': 'caf\u00e9',
    'a\u0001b\u007fc': 'abc',
    '\u00ff\u00fe': '\u00ff\u00fe',
    'a\tb': 'a\tb',
  };
  for (const [reason, told] of Object.entries(phrases)) {
    pair.recorder.script = () => ({ status: 200, reason, body: 'ok' });
    const reply = await pair.ask({ target: '/openai/v1/models' });
    assert.deepEqual([reply.status, reply.reason, reply.body.toString()], [200, told, 'ok']);
  }
});

test('D1: a 429 comes back as it is, again and again, with all it says about when to return', async () => {
  const headers: Header[] = [
    JSON_TYPE,
    ['retry-after-ms', '20'],
    ['retry-after', '1'],
    ['x-ratelimit-reset-tokens', '20ms'],
  ];
  for (let i = 0; i < 3; i++) {
    pair.recorder.script = () => ({
      status: 429,
      reason: 'Too Many Requests',
      headers,
      body: '{"error":{"code":"rate_limit_exceeded"}}',
    });
    const reply = await pair.ask({ target: '/openai/v1/models' });
    assert.equal(reply.status, 429);
    for (const [name, value] of headers) assert.deepEqual(valuesOf(reply.headers, name), [value]);
    assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), undefined);
  }
});

test('D1: a 401 is about the gateway\u2019s credential, so the caller is told that, and none of what upstream said', async () => {
  const body = `{"error":{"message":"Incorrect API key provided: ${pair.credential}.","code":"invalid_api_key"}}`;
  pair.recorder.script = () => ({
    status: 401,
    reason: 'Unauthorized',
    headers: [JSON_TYPE, ['WWW-Authenticate', 'Bearer']],
    body,
  });
  const reply = await pair.ask({ target: '/openai/v1/models' });
  assert.equal(reply.status, 502);
  assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'upstream_credential');
  assert.equal(JSON.parse(reply.body.toString()).error.code, 'upstream_credential');
  assert.ok(!reply.body.toString().includes(pair.credential));
  assert.ok(!reply.body.toString().includes('Incorrect'));
  assert.deepEqual(valuesOf(reply.headers, 'www-authenticate'), []);
});

test('D1: a 403 about what was asked comes back as it is', async () => {
  const body = '{"error":{"message":"Your request was rejected by our safety system.","code":"content_policy"}}';
  pair.recorder.script = () => ({ status: 403, reason: 'Forbidden', headers: [JSON_TYPE], body });
  const reply = await pair.ask({ target: '/openai/v1/models' });
  assert.equal(reply.status, 403);
  assert.equal(reply.body.toString(), body);
});

test('D2: 204 and 304 have no body and gain no framing', async () => {
  for (const status of [204, 304]) {
    pair.recorder.script = () => ({ status, reason: 'Nothing', headers: [['ETag', '"1"']] });
    const connection = await pair.connect();
    await connection.send({ target: '/openai/v1/files/file-1/content', headers: pair.keyed() });
    const reply = await connection.reply();
    assert.equal(reply.status, status);
    assert.deepEqual(
      [...valuesOf(reply.headers, 'content-length'), ...valuesOf(reply.headers, 'transfer-encoding')],
      [],
    );
    assert.deepEqual(valuesOf(reply.headers, 'etag'), ['"1"']);

    pair.recorder.script = () => ({ body: 'next' });
    await connection.send({ target: '/openai/v1/models', headers: pair.keyed() });
    assert.equal((await connection.reply()).body.toString(), 'next');
    connection.close();
  }
});

test('D2: a 304 may say how long the body is that it does not have', async () => {
  pair.recorder.script = () => ({
    status: 304,
    reason: 'Not Modified',
    headers: [
      ['ETag', '"1"'],
      ['Content-Length', '1234'],
    ],
  });
  const connection = await pair.connect();
  await connection.send({ target: '/openai/v1/files/file-1/content', headers: pair.keyed() });
  const reply = await connection.reply();
  assert.deepEqual([reply.status, valueOf(reply.headers, 'etag'), reply.body.length], [304, '"1"', 0]);
  assert.deepEqual(valuesOf(reply.headers, 'content-length'), ['1234']);

  pair.recorder.script = () => ({ body: 'next' });
  await connection.send({ target: '/openai/v1/models', headers: pair.keyed() });
  assert.equal((await connection.reply()).body.toString(), 'next');
  connection.close();
});

test('D3: a redirect is handed on, not followed', async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    pair.recorder.clear();
    const location = `${pair.recorder.url}/v1/elsewhere?a=%2F`;
    pair.recorder.script = () => ({ status, reason: 'Elsewhere', headers: [['Location', location]], body: 'moved' });
    const reply = await pair.ask({ method: 'POST', target: '/openai/v1/files', body: 'x' });
    assert.equal(reply.status, status);
    assert.deepEqual(valuesOf(reply.headers, 'location'), [location]);
    assert.equal(pair.recorder.requests.length, 1);
  }
});

test('D4: compressed bodies come back compressed, and say so', async () => {
  const text = Buffer.from(
    JSON.stringify({ object: 'list', data: Array.from({ length: 500 }, (_, at) => ({ id: `m-${at}` })) }),
  );
  const encodings = {
    gzip: gzipSync(text),
    br: brotliCompressSync(text),
    zstd: zstdCompressSync(text),
    'x-own, gzip': gzipSync(text),
  };
  for (const [encoding, body] of Object.entries(encodings)) {
    for (const framing of ['length', 'chunked'] as const) {
      pair.recorder.clear();
      pair.recorder.script = () => ({ headers: [JSON_TYPE, ['Content-Encoding', encoding]], body, framing });
      const reply = await pair.ask({ target: '/openai/v1/models', headers: [['Accept-Encoding', 'gzip, br, zstd']] });
      assert.deepEqual(valuesOf(reply.headers, 'content-encoding'), [encoding]);
      assert.deepEqual(reply.body, body);
      assert.deepEqual(valuesOf((await pair.recorder.only()).headers, 'accept-encoding'), ['gzip, br, zstd']);
    }
  }
});

test('D4: a body that is not what its content-encoding says comes back all the same', async () => {
  pair.recorder.script = () => ({ headers: [JSON_TYPE, ['Content-Encoding', 'gzip']], body: 'not gzip at all' });
  assert.equal((await pair.ask({ target: '/openai/v1/models' })).body.toString(), 'not gzip at all');
});

test('D5: a body of known length keeps its length, a chunked one stays chunked', async () => {
  pair.recorder.script = () => ({ headers: [JSON_TYPE], body: ['{"a":', { pauseMs: 20 }, '1}'] });
  const known = await pair.ask({ target: '/openai/v1/models' });
  assert.deepEqual(
    [known.framing, valueOf(known.headers, 'content-length'), known.body.toString()],
    ['length', '7', '{"a":1}'],
  );

  pair.recorder.script = () => ({ headers: [JSON_TYPE], body: ['{"a":', { pauseMs: 20 }, '1}'], framing: 'chunked' });
  const chunked = await pair.ask({ target: '/openai/v1/models' });
  assert.deepEqual([chunked.framing, chunked.body.toString(), chunked.isWhole], ['chunked', '{"a":1}', true]);

  pair.recorder.script = () => ({ headers: [JSON_TYPE], body: '' });
  const empty = await pair.ask({ method: 'DELETE', target: '/openai/v1/responses/resp_1' });
  assert.deepEqual([empty.framing, valueOf(empty.headers, 'content-length')], ['length', '0']);
});

test('D6: a body that ends with its connection arrives whole', async () => {
  const body = randomBytes(300_000);
  pair.recorder.script = () => ({
    headers: [['Content-Type', 'audio/mpeg']],
    body: [body.subarray(0, 9), { pauseMs: 20 }, body.subarray(9)],
    framing: 'close',
  });
  const reply = await pair.ask({ method: 'POST', target: '/openai/v1/audio/speech', headers: [JSON_TYPE], body: '{}' });
  assert.equal(reply.isWhole, true);
  assert.ok(reply.body.equals(body));
});

test('D7: interim replies before the final one do no harm', async () => {
  pair.recorder.script = async (_request, wire) => {
    await wire.head(103, 'Early Hints', [['Link', '</style.css>; rel=preload']]);
    await wire.head(102, 'Processing', []);
    return { headers: [JSON_TYPE], body: '{"final":true}' };
  };
  const reply = await pair.ask({ target: '/openai/v1/models' });
  assert.equal(reply.status, 200);
  assert.equal(reply.body.toString(), '{"final":true}');
});

test('D8: trailers of a reply are dropped; the body before them arrives whole', async () => {
  pair.recorder.script = async (_request, wire) => {
    await wire.head(200, 'OK', [
      ['Trailer', 'X-Checksum'],
      ['Transfer-Encoding', 'chunked'],
    ]);
    await wire.write('4\r\nbody\r\n0\r\nX-Checksum: 1234\r\n\r\n');
  };
  const reply = await pair.ask({ target: '/openai/v1/models' });
  assert.equal(reply.body.toString(), 'body');
  assert.equal(reply.isWhole, true);
  assert.deepEqual([...reply.trailers, ...valuesOf(reply.headers, 'trailer')], []);
});

test('D9: 5 MiB of binary come back as they were sent, framed in either way', async () => {
  const body = randomBytes(5 * 1024 * 1024);
  for (const framing of ['length', 'chunked', 'close'] as const) {
    pair.recorder.script = () => ({ headers: [['Content-Type', 'application/octet-stream']], body, framing });
    const reply = await pair.ask({ target: '/openai/v1/files/file-1/content' });
    assert.ok(reply.body.equals(body), framing);
    assert.equal(reply.isWhole, true, framing);
  }
});

test('D10: ranges and conditions are the upstream\u2019s to answer', async () => {
  pair.recorder.script = () => ({
    status: 206,
    reason: 'Partial Content',
    headers: [
      ['Content-Range', 'bytes 2-4/10'],
      ['ETag', '"v1"'],
    ],
    body: '234',
  });
  const asked: Header[] = [
    ['Range', 'bytes=2-4'],
    ['If-Range', '"v1"'],
  ];
  const part = await pair.ask({ target: '/openai/v1/files/file-1/content', headers: asked });
  assert.deepEqual(
    [part.status, part.body.toString(), valueOf(part.headers, 'content-range')],
    [206, '234', 'bytes 2-4/10'],
  );
  for (const [name, value] of asked) assert.deepEqual(valuesOf(pair.recorder.requests[0]!.headers, name), [value]);

  pair.recorder.clear();
  pair.recorder.script = () => ({ status: 304, reason: 'Not Modified', headers: [['ETag', '"v1"']] });
  const same = await pair.ask({ target: '/openai/v1/files/file-1/content', headers: [['If-None-Match', '"v1"']] });
  assert.equal(same.status, 304);
  assert.deepEqual(valuesOf(pair.recorder.requests[0]!.headers, 'if-none-match'), ['"v1"']);
});

test('D11: a refusal names itself, has OpenAI\u2019s shape, and tells an SDK whether to try again', async () => {
  const refusals: [status: number, code: string, target: string, headers: Header[]][] = [
    [401, 'invalid_api_key', '/openai/v1/models', [['Authorization', 'Bearer sk-tw-wrong']]],
    [403, 'endpoint_not_allowed', '/openai/v1/organization/users', []],
    [404, 'not_found', '/nowhere', []],
    [400, 'invalid_target', '/openai/v1/../x', []],
  ];
  for (const [status, code, target, headers] of refusals) {
    const reply = await pair.ask({ target, headers });
    assert.equal(reply.status, status, target);
    assert.deepEqual(valuesOf(reply.headers, 'x-throughway-refusal'), [code]);
    assert.deepEqual(valuesOf(reply.headers, 'content-type'), ['application/json']);
    assert.deepEqual(valuesOf(reply.headers, 'x-should-retry'), ['false']);
    const { error } = JSON.parse(reply.body.toString()) as { error: Record<string, unknown> };
    assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
    assert.equal(error['code'], code);
    assert.ok((error['message'] as string).length > 20);
  }
  assert.equal(pair.recorder.requests.length, 0);
});

test('F3: a refusal of a request without a body leaves the connection open for the next one', async () => {
  const connection = await pair.connect();
  for (const target of ['/openai/v1/organization/users', '/openai/v1/../x', '/nowhere', '/openai/v1/models']) {
    await connection.send({ target, headers: pair.keyed() });
    const reply = await connection.reply();
    assert.ok(!valuesOf(reply.headers, 'connection').includes('close'), target);
  }
  connection.close();
});

test('D11: an upstream\u2019s own no cannot be mistaken for ours', async () => {
  pair.recorder.script = () => ({
    status: 404,
    reason: 'Not Found',
    headers: [JSON_TYPE, ['x-throughway-refusal', 'not_found']],
    body: '{"error":{}}',
  });
  assert.deepEqual(valuesOf((await pair.ask({ target: '/openai/v1/files/x' })).headers, 'x-throughway-refusal'), []);
});
