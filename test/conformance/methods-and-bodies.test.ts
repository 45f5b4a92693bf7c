// B1 to B14 of the reference on the surface: what is asked and what is sent along.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { eventually } from '../support/eventually.ts';
import { valueOf, valuesOf, type Header } from '../support/wire.ts';
import { IMPLIED_LENGTH } from './differences.ts';
import { startPair, type Pair } from './pair.ts';

const JSON_TYPE: Header = ['Content-Type', 'application/json'];

let pair: Pair;
before(async () => {
  pair = await startPair();
});
beforeEach(() => pair.recorder.clear());
after(() => pair.close());

test('B1: GET, POST, PUT, PATCH, DELETE, OPTIONS and HEAD are relayed as such', async () => {
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']) {
    pair.recorder.clear();
    const reply = await pair.ask({ method, target: '/openai/v1/newthing' });
    assert.equal(reply.status, 200, method);
    assert.equal((await pair.recorder.only()).method, method);
  }
});

test('P11, P12: other methods are refused, and no header turns one method into another', async () => {
  for (const method of ['TRACE', 'PROPFIND', 'PURGE', 'get', 'FOO']) {
    const reply = await pair.ask({ method, target: '/openai/v1/models' });
    assert.ok([400, 405, 501].includes(reply.status), `${method}: ${reply.status}`);
  }
  assert.equal(pair.recorder.requests.length, 0);

  await pair.ask({ method: 'POST', target: '/openai/v1/x', headers: [['X-HTTP-Method-Override', 'DELETE']] });
  assert.equal((await pair.recorder.only()).method, 'POST');
});

test('P11: CONNECT opens no tunnel', async () => {
  const connection = await pair.connect();
  await connection.send({ method: 'CONNECT', target: pair.upstreamAuthority, headers: pair.keyed() });
  const answer = (await connection.bytes())?.toString('latin1') ?? '';
  connection.close();
  assert.doesNotMatch(answer, /^HTTP\/1\.1 2/);
  assert.equal(pair.recorder.requests.length, 0);
});

test('B2: HEAD keeps the content-length of what GET would send, and has no body', async () => {
  pair.recorder.script = () => ({ framing: 'none', headers: [JSON_TYPE, ['Content-Length', '1234']] });
  const connection = await pair.connect();
  await connection.send({ method: 'HEAD', target: '/openai/v1/models', headers: pair.keyed() });
  const reply = await connection.reply('HEAD');
  assert.equal(valueOf(reply.headers, 'content-length'), '1234');
  assert.equal(reply.body.length, 0);

  // The connection is still in step: the next reply is read from its first byte.
  pair.recorder.script = () => ({ body: 'next' });
  await connection.send({ target: '/openai/v1/models', headers: pair.keyed() });
  assert.equal((await connection.reply()).body.toString(), 'next');
  connection.close();
});

test('B3: an explicit content-length of 0 stays explicit', async () => {
  for (const method of ['POST', 'PUT', 'PATCH']) {
    pair.recorder.clear();
    await pair.ask({ method, target: '/openai/v1/batches/batch_1/cancel', headers: [['Content-Length', '0']] });
    assert.deepEqual(valuesOf((await pair.recorder.only()).headers, 'content-length'), ['0'], method);
  }
});

test('B3: a POST, PUT or PATCH that frames nothing is sent on with the content-length of 0 that it means', async () => {
  for (const method of ['POST', 'PUT', 'PATCH']) {
    pair.recorder.clear();
    await pair.ask({ method, target: '/openai/v1/batches/batch_1/cancel' });
    assert.deepEqual(valuesOf((await pair.recorder.only()).headers, 'content-length'), [IMPLIED_LENGTH[1]], method);
  }
});

test('B4: a GET, HEAD, DELETE or OPTIONS without a body gains no framing', async () => {
  for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS']) {
    pair.recorder.clear();
    await pair.ask({ method, target: '/openai/v1/files/file-1' });
    const { headers, framing } = await pair.recorder.only();
    assert.equal(framing, 'none', method);
    assert.deepEqual([...valuesOf(headers, 'content-length'), ...valuesOf(headers, 'transfer-encoding')], [], method);
  }
});

test('B5: a GET or a DELETE with a body keeps it', async () => {
  for (const method of ['GET', 'DELETE', 'OPTIONS']) {
    pair.recorder.clear();
    await pair.ask({ method, target: '/openai/v1/newthing', headers: [JSON_TYPE], body: '{"a": 1}' });
    const seen = await pair.recorder.only();
    assert.equal((await seen.whole()).toString(), '{"a": 1}', method);
    assert.deepEqual(valuesOf(seen.headers, 'content-length'), ['8'], method);
  }
});

test('B6: 5 MiB of binary arrive as they were sent, with their length', async () => {
  const body = randomBytes(5 * 1024 * 1024);
  await pair.ask({
    method: 'POST',
    target: '/openai/v1/files',
    headers: [['Content-Type', 'application/octet-stream']],
    body,
  });
  const seen = await pair.recorder.only();
  assert.equal(seen.framing, 'length');
  assert.deepEqual(valuesOf(seen.headers, 'content-length'), [String(body.length)]);
  assert.ok(body.equals(await seen.whole()));
});

test('B7: a chunked upload streams: its first chunk is upstream before the last one is sent', async () => {
  const connection = await pair.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/uploads/upload_1/parts',
    headers: pair.keyed(['Content-Type', 'application/octet-stream'], ['Transfer-Encoding', 'chunked']),
  });
  await connection.write('5\r\nfirst\r\n');
  await eventually('the first chunk is upstream', () => received() === 'first');
  await connection.write('6\r\nsecond\r\n');
  await eventually('the second chunk is upstream', () => received() === 'firstsecond');
  await connection.write('0\r\n\r\n');
  const reply = await connection.reply('POST');
  connection.close();
  assert.equal(reply.status, 200);
  const seen = await pair.recorder.only();
  assert.equal(seen.framing, 'chunked');
  assert.equal((await seen.whole()).toString(), 'firstsecond');

  function received(): string {
    return Buffer.concat(pair.recorder.requests[0]?.pieces ?? []).toString();
  }
});

test('B7: so does an upload of known length', async () => {
  const connection = await pair.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/files',
    headers: pair.keyed(['Content-Length', '200000']),
  });
  const half = Buffer.alloc(100_000, 'a');
  await connection.write(half);
  await eventually('the first half is upstream', () =>
    Buffer.concat(pair.recorder.requests[0]?.pieces ?? []).equals(half),
  );
  await connection.write(half);
  assert.equal((await connection.reply('POST')).status, 200);
  connection.close();
});

test('B8: an encoded body goes on encoded, and says so', async () => {
  const body = gzipSync('{"model":"gpt-6-luna","messages":[]}');
  const headers: Header[] = [JSON_TYPE, ['Content-Encoding', 'gzip']];
  await pair.ask({ method: 'POST', target: '/openai/v1/chat/completions', headers, body });
  const seen = await pair.recorder.only();
  assert.deepEqual(await seen.whole(), body);
  assert.deepEqual(valuesOf(seen.headers, 'content-encoding'), ['gzip']);
});

test('B9: what is no JSON is relayed, and upstream says what is wrong with it', async () => {
  const error = '{"error":{"message":"We could not parse the JSON body of your request."}}';
  pair.recorder.script = async (request) => {
    await request.whole();
    return { status: 400, reason: 'Bad Request', headers: [JSON_TYPE], body: error };
  };
  for (const body of [
    '{"model":',
    '',
    'null',
    '[]',
    '\ufeff{}',
    '{"model":NaN}',
    '{} {}',
    Buffer.from([0xff, 0xfe, 0x7b, 0]),
  ]) {
    pair.recorder.requests.length = 0;
    const reply = await pair.ask({ method: 'POST', target: '/openai/v1/chat/completions', headers: [JSON_TYPE], body });
    assert.deepEqual(await (await pair.recorder.only()).whole(), Buffer.from(body as string));
    assert.equal(reply.status, 400);
    assert.equal(reply.body.toString(), error);
  }
});

test('B10: JSON is never printed anew: doubled keys, huge numbers, escapes and spaces stay', async () => {
  const bodies = [
    '{"model":"a","model":"b"}',
    '{"n":1e400,"m":-0,"o":1.0,"p":9007199254740993,"q":0.1e-7}',
    '{"u":"\\u00e9\\/\\u2028","s":"\u2028"}',
    '\n{ "model" :\t"gpt-6-luna" ,\r\n "messages":[ ] }\n\n',
    '{"__proto__":{"x":1},"constructor":null,"":0}',
    `{"model":"gpt-6-luna","deep":${'['.repeat(3000)}${']'.repeat(3000)}}`,
  ];
  for (const target of ['/openai/v1/chat/completions', '/openai/v1/responses', '/openai/v1/newthing']) {
    for (const body of bodies) {
      pair.recorder.clear();
      await pair.ask({ method: 'POST', target, headers: [JSON_TYPE], body });
      assert.equal((await (await pair.recorder.only()).whole()).toString(), body);
    }
  }
});

test('B11: a client that waits for 100 Continue is answered without having sent its body', async () => {
  const connection = await pair.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/files',
    headers: pair.keyed(['Content-Length', '4'], ['Expect', '100-continue']),
  });
  assert.match((await connection.head()).startLine, /^HTTP\/1\.1 100 /);
  await connection.write('body');
  assert.equal((await connection.reply('POST')).status, 200);
  connection.close();
  assert.equal((await (await pair.recorder.only()).whole()).toString(), 'body');
});

test('B11: a client that waits for 100 Continue with a wrong key is told so, and sends nothing', async () => {
  const connection = await pair.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/files',
    headers: [
      ['Authorization', 'Bearer sk-tw-wrong'],
      ['Content-Length', '4000000'],
      ['Expect', '100-continue'],
    ],
  });
  const reply = await connection.reply('POST');
  connection.close();
  assert.equal(reply.status, 401);
  assert.deepEqual(reply.interim, []);
  assert.equal(pair.recorder.requests.length, 0);
});

for (const status of [413, 401, 429, 404]) {
  const what = status === 401 ? 'a refusal about the credential' : `a final ${status}`;
  test(`B12: ${what} that comes early reaches a client that is still uploading`, async () => {
    pair.recorder.script = () => ({
      status,
      reason: 'Early',
      headers: [JSON_TYPE],
      body: '{"error":{"message":"no"}}',
    });
    const connection = await pair.connect();
    await connection.send({
      method: 'POST',
      target: '/openai/v1/files',
      headers: pair.keyed(
        ['Content-Type', 'multipart/form-data; boundary=x'],
        ['Content-Length', String(64 * 1024 * 1024)],
      ),
    });
    await connection.write(Buffer.alloc(200_000, 'x'));
    const reply = await connection.reply('POST');
    connection.close();
    assert.equal(reply.status, status === 401 ? 502 : status);
    assert.equal(reply.isWhole, true);
  });
}

test('B13: trailers of a request are dropped; the body before them arrives whole', async () => {
  const connection = await pair.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/files',
    headers: pair.keyed(['Transfer-Encoding', 'chunked'], ['Trailer', 'X-Checksum']),
  });
  await connection.write('4\r\nbody\r\n0\r\nX-Checksum: 1234\r\n\r\n');
  assert.equal((await connection.reply('POST')).status, 200);
  connection.close();
  const seen = await pair.recorder.only();
  assert.equal((await seen.whole()).toString(), 'body');
  assert.deepEqual(
    [...seen.trailers, ...valuesOf(seen.headers, 'trailer'), ...valuesOf(seen.headers, 'x-checksum')],
    [],
  );
});

test('B14: a multipart body keeps its boundary and each byte of its parts', async () => {
  const boundary = `--=_${'-'.repeat(50)}'()+,./:=?`;
  const body = Buffer.concat([
    Buffer.from(
      `preamble\r\n--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="Gr\u00fc\u00dfe\\"..".bin"\r\n\r\n`,
    ),
    randomBytes(70_000),
    Buffer.from(
      `\r\n--${boundary}\r\ncontent-disposition:form-data;name=model\n\nwhisper-1\r\n--${boundary}--\r\nepilogue`,
    ),
  ]);
  const type = `multipart/form-data; charset=utf-8; boundary="${boundary}"`;
  await pair.ask({
    method: 'POST',
    target: '/openai/v1/audio/transcriptions',
    headers: [['content-type', type]],
    body,
  });
  const seen = await pair.recorder.only();
  assert.deepEqual(await seen.whole(), body);
  assert.deepEqual(valuesOf(seen.headers, 'content-type'), [type]);
});
