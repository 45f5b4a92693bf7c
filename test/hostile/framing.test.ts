// Requests that two servers might read differently: refused before anything goes upstream, and the connection ends (P of the
// reference on security; F6, F7 of the surface).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { eventually } from '../support/eventually.ts';
import { openStand, type Stand } from '../support/stand.ts';
import { valueOf } from '../support/wire.ts';

let stand: Stand;
before(async () => {
  stand = await openStand({ settings: { upstream: { idleSeconds: 3 } } });
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

/** A request as it is on the wire, with the virtual key. */
function request(lines: string, body = '', startLine = 'POST /openai/v1/responses HTTP/1.1'): string {
  const host = /^host\s*:/im.test(lines) ? '' : 'Host: gateway\r\n';
  return `${startLine}\r\n${host}Authorization: Bearer ${stand.gateway.token}\r\n${lines}\r\n${body}`;
}

interface Answer {
  readonly status: number;
  /** Everything until the gateway closed the connection. */
  readonly text: string;
}

/** Sends bytes and waits for the gateway to close the connection. */
async function sendAndBeClosed(bytes: string): Promise<Answer> {
  const connection = await stand.connect();
  await connection.write(bytes);
  let text = '';
  for (let piece = await connection.bytes(); piece !== null; piece = await connection.bytes())
    text += piece.toString('latin1');
  connection.close();
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0), text };
}

function assertRefused({ status, text }: Answer, what: string): void {
  assert.ok([400, 405, 414, 431, 501].includes(status), `${what}: ${text.slice(0, 200)}`);
  assert.match(text, /x-throughway-refusal: /i, what);
  const body = text.slice(text.indexOf('\r\n\r\n') + 4);
  const { error } = JSON.parse(body) as { error: Record<string, unknown> };
  assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type'], what);
  // One answer, and nothing behind it.
  assert.equal(text.match(/HTTP\/1\.1 /g)?.length, 1, what);
}

const CHUNKED_BODY = '2\r\n{}\r\n0\r\n\r\n';

const HEADS: Record<string, [lines: string, body?: string]> = {
  'two lengths that differ': ['Content-Length: 2\r\nContent-Length: 3\r\n', '{}x'],
  'two lengths that agree': ['Content-Length: 2\r\nContent-Length: 2\r\n', '{}'],
  'two lengths in different letter case': ['Content-Length: 2\r\ncontent-length: 2\r\n', '{}'],
  'a list of lengths': ['Content-Length: 2,2\r\n', '{}'],
  'a list of lengths with a space': ['Content-Length: 2, 2\r\n', '{}'],
  'a signed length': ['Content-Length: +2\r\n', '{}'],
  'a negative length': ['Content-Length: -2\r\n', '{}'],
  'a length in hexadecimal': ['Content-Length: 0x2\r\n', '{}'],
  'a length with a fraction': ['Content-Length: 2.0\r\n', '{}'],
  'a length with an exponent': ['Content-Length: 2e0\r\n', '{}'],
  'a length of two words': ['Content-Length: 2 2\r\n', '{}'],
  'a length with a vertical tab': ['Content-Length: \x0b2\r\n', '{}'],
  'a length in full-width digits': ['Content-Length: \xef\xbc\x92\r\n', '{}'],
  'a length of 2^64': ['Content-Length: 18446744073709551616\r\n', '{}'],
  'a length of 2^64 + 2': ['Content-Length: 18446744073709551618\r\n', '{}'],
  'an empty length': ['Content-Length:\r\n', '{}'],
  'a length and chunks': ['Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', CHUNKED_BODY],
  'chunks and a length': ['Transfer-Encoding: chunked\r\nContent-Length: 2\r\n', CHUNKED_BODY],
  'a length and an empty transfer-encoding': ['Content-Length: 2\r\nTransfer-Encoding:\r\n', '{}'],
  'identity, chunked': ['Transfer-Encoding: identity, chunked\r\n', CHUNKED_BODY],
  'gzip, chunked': ['Transfer-Encoding: gzip, chunked\r\n', CHUNKED_BODY],
  'chunked, gzip': ['Transfer-Encoding: chunked, gzip\r\n', CHUNKED_BODY],
  'chunked, chunked': ['Transfer-Encoding: chunked, chunked\r\n', CHUNKED_BODY],
  'chunked twice': ['Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', CHUNKED_BODY],
  'gzip and then chunked in a line of its own': [
    'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n',
    CHUNKED_BODY,
  ],
  xchunked: ['Transfer-Encoding: xchunked\r\n', CHUNKED_BODY],
  'chunked;q=1': ['Transfer-Encoding: chunked;q=1\r\n', CHUNKED_BODY],
  '"chunked" in quotes': ['Transfer-Encoding: "chunked"\r\n', CHUNKED_BODY],
  'chunked behind a vertical tab': ['Transfer-Encoding: \x0bchunked\r\n', CHUNKED_BODY],
  'chunked with a NUL behind': ['Transfer-Encoding: chunked\0\r\n', CHUNKED_BODY],
  'chunked with a comma behind': ['Transfer-Encoding: chunked,\r\n', CHUNKED_BODY],
  'a transfer-encoding of identity': ['Transfer-Encoding: identity\r\nContent-Length: 2\r\n', '{}'],
  'a header in two lines': ['X-A: one\r\n two\r\nContent-Length: 2\r\n', '{}'],
  'a transfer-encoding in two lines': ['Transfer-Encoding:\r\n chunked\r\n', CHUNKED_BODY],
  'an empty name': [': x\r\nContent-Length: 2\r\n', '{}'],
  'a space before the colon': ['Content-Length : 2\r\n', '{}'],
  'a space before the name': [' Content-Length: 2\r\n', '{}'],
  'a tab before the colon': ['Transfer-Encoding\t: chunked\r\n', CHUNKED_BODY],
  'a name with a space': ['X A: b\r\nContent-Length: 2\r\n', '{}'],
  'a name with a NUL': ['X\0A: b\r\nContent-Length: 2\r\n', '{}'],
  'a name in other letters': ['X-\xe9: b\r\nContent-Length: 2\r\n', '{}'],
  'a value with a NUL': ['X-A: a\0b\r\nContent-Length: 2\r\n', '{}'],
  'a value with a bare CR': ['X-A: a\rb\r\nContent-Length: 2\r\n', '{}'],
  'a value with a bare LF': ['X-A: a\nX-B: b\r\nContent-Length: 2\r\n', '{}'],
  'a value with another control character': ['X-A: a\x07b\r\nContent-Length: 2\r\n', '{}'],
  'a line without a colon': ['nonsense\r\nContent-Length: 2\r\n', '{}'],
  'lines that end in LF alone': ['X-A: b\nContent-Length: 2\n\n', '{}'],
  'no host but an empty one': ['Host:\r\nContent-Length: 2\r\n', '{}'],
  'two hosts': ['Host: gateway\r\nHost: elsewhere\r\nContent-Length: 2\r\n', '{}'],
  'two equal hosts': ['Host: gateway\r\nHost: gateway\r\nContent-Length: 2\r\n', '{}'],
  'a host with a path': ['Host: gateway/x\r\nContent-Length: 2\r\n', '{}'],
  'a host with a query': ['Host: gateway?x\r\nContent-Length: 2\r\n', '{}'],
  'a host with a fragment': ['Host: gateway#x\r\nContent-Length: 2\r\n', '{}'],
  'a host with a user': ['Host: someone@gateway\r\nContent-Length: 2\r\n', '{}'],
  'a host with a backslash': ['Host: gateway\\x\r\nContent-Length: 2\r\n', '{}'],
  'a host with a space': ['Host: gate way\r\nContent-Length: 2\r\n', '{}'],
  'a list of hosts': ['Host: gateway, elsewhere\r\nContent-Length: 2\r\n', '{}'],
};

for (const [what, [lines, body]] of Object.entries(HEADS)) {
  test(`a request with ${what} is refused, and the connection ends`, async () => {
    // What follows would be taken for a second request by whoever reads the first one otherwise.
    const smuggled = request('', '', 'GET /openai/v1/smuggled HTTP/1.1');
    assertRefused(await sendAndBeClosed(request(lines, body) + smuggled), what);
    assert.equal(stand.upstream.requests.length, 0);
  });
}

const START_LINES: Record<string, string> = {
  'no version': 'POST /openai/v1/responses',
  'version 0.9': 'POST /openai/v1/responses HTTP/0.9',
  'version 2.0': 'POST /openai/v1/responses HTTP/2.0',
  'version 1.2': 'POST /openai/v1/responses HTTP/1.2',
  'a tab': 'POST\t/openai/v1/responses\tHTTP/1.1',
  'a space in the target': 'POST /openai/v1/re sponses HTTP/1.1',
  'a NUL in the target': 'POST /openai/v1/re\0sponses HTTP/1.1',
  'no target': 'POST HTTP/1.1',
  'a method in lower case': 'post /openai/v1/responses HTTP/1.1',
  'a method unheard of': 'FETCH /openai/v1/responses HTTP/1.1',
  'the method of WebDAV': 'PROPFIND /openai/v1/responses HTTP/1.1',
  TRACE: 'TRACE /openai/v1/responses HTTP/1.1',
  'a whole URL for the upstream': 'POST http://api.openai.com/v1/responses HTTP/1.1',
  'a whole URL for this host': 'POST http://gateway/openai/v1/responses HTTP/1.1',
  'an asterisk': 'OPTIONS * HTTP/1.1',
  'an authority': 'POST gateway:80 HTTP/1.1',
  'a target without a slash': 'POST openai/v1/responses HTTP/1.1',
};

for (const [what, startLine] of Object.entries(START_LINES)) {
  test(`a request line with ${what} is refused`, async () => {
    const answer = await sendAndBeClosed(request('Content-Length: 2\r\nConnection: close\r\n', '{}', startLine));
    assertRefused(answer, what);
    assert.equal(stand.upstream.requests.length, 0);
  });
}

test('CONNECT is closed or refused, and opens nothing', async () => {
  const { status } = await sendAndBeClosed(request('', '', 'CONNECT 127.0.0.1:80 HTTP/1.1'));
  assert.ok([0, 400, 405, 501].includes(status), String(status));
  assert.equal(stand.upstream.requests.length, 0);
});

test('HTTP/1.1 without a host is refused, HTTP/1.0 without one is served', async () => {
  const keyed = `Authorization: Bearer ${stand.gateway.token}\r\n\r\n`;
  assertRefused(await sendAndBeClosed(`GET /openai/v1/models HTTP/1.1\r\n${keyed}`), 'no host');
  assert.equal((await sendAndBeClosed(`GET /openai/v1/models HTTP/1.0\r\n${keyed}`)).status, 200);
});

test('a chunked request of HTTP/1.0 is refused', async () => {
  const answer = await sendAndBeClosed(
    request('Transfer-Encoding: chunked\r\n', CHUNKED_BODY, 'POST /openai/v1/responses HTTP/1.0'),
  );
  assertRefused(answer, 'chunks in HTTP/1.0');
  assert.equal(stand.upstream.requests.length, 0);
});

const BAD_CHUNKS: Record<string, string> = {
  'a size that is none': 'zz\r\n{}\r\n0\r\n\r\n',
  'a size with a sign': '+2\r\n{}\r\n0\r\n\r\n',
  'a negative size': '-2\r\n{}\r\n0\r\n\r\n',
  'a size with 0x before it': '0x2\r\n{}\r\n0\r\n\r\n',
  'a size behind a space': ' 2\r\n{}\r\n0\r\n\r\n',
  'a size with an underscore': '1_0\r\n0123456789abcdef\r\n0\r\n\r\n',
  'a size beyond 64 bits': '10000000000000002\r\n{}\r\n0\r\n\r\n',
  'an extension of 20 kB': `2;${'x'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`,
  'a NUL in an extension': '2;a\0b\r\n{}\r\n0\r\n\r\n',
  'a bare LF behind the size': '2\n{}\r\n0\r\n\r\n',
  'a bare CR behind the size': '2\r{}\r\n0\r\n\r\n',
  'a bare LF in an extension': '2;a\nb\r\n{}\r\n0\r\n\r\n',
  'no line end behind its bytes': '2\r\n{}0\r\n\r\n',
  'a bare LF behind its bytes': '2\r\n{}\n0\r\n\r\n',
  'more bytes than it says': '2\r\n{}{}\r\n0\r\n\r\n',
  'an empty size': '\r\n{}\r\n0\r\n\r\n',
  'a trailer with a space in its name': '2\r\n{}\r\n0\r\nX A: b\r\n\r\n',
  'a trailer without a colon': '2\r\n{}\r\n0\r\nnonsense\r\n\r\n',
};

for (const [what, body] of Object.entries(BAD_CHUNKS)) {
  test(`a chunk with ${what} ends the exchange on both sides`, async () => {
    stand.script(async (_request, wire) => {
      await new Promise((resolve) => wire.socket.once('close', resolve));
    });
    const smuggled = request('', '', 'GET /openai/v1/smuggled HTTP/1.1');
    // A whole chunk first, so that the exchange is on its way upstream when the bad one comes.
    const bytes = request('Transfer-Encoding: chunked\r\n', `4\r\nbody\r\n${body}`) + smuggled;
    const { status } = await sendAndBeClosed(bytes);
    assert.ok([0, 400].includes(status), `${what}: ${status}`);
    const seen = stand.upstream.requests;
    assert.ok(seen.length <= 1);
    await eventually('the upstream connection is closed, not kept', () => seen.every((each) => each.closed), 1000);
    for (const each of seen) {
      assert.equal(each.target, '/v1/responses');
      await assert.rejects(each.whole(), 'the upstream took the body for whole');
    }
  });
}

test('a chunk extension and a trailer that are well-formed do no harm', async () => {
  const bytes = request('Transfer-Encoding: chunked\r\nConnection: close\r\n', '2;a=b\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n');
  assert.equal((await sendAndBeClosed(bytes)).status, 200);
  assert.equal((await (await stand.upstream.only()).whole()).toString(), '{}');
});

test('pipelined requests with a good, a bad and a good key are answered in that order', async () => {
  const good = request('', '', 'GET /openai/v1/models HTTP/1.1');
  const bad = good.replace(stand.gateway.token, 'sk-tw-nobody');
  const goodPost = request('Content-Length: 2\r\n', '{}');
  const badPost = goodPost.replace(stand.gateway.token, 'sk-tw-nobody');
  for (const three of [
    [good, bad, good],
    [goodPost, badPost, goodPost],
  ]) {
    stand.upstream.requests.length = 0;
    const connection = await stand.connect();
    await connection.write(three.join(''));
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await connection.reply()).status);
    assert.deepEqual(statuses, [200, 401, 200]);
    assert.equal(stand.upstream.requests.length, 2);
    connection.close();
  }
});

test('a hundred pipelined requests are answered in order, whatever order the upstream answers them in', async () => {
  stand.script(async ({ target }) => {
    const number = Number(target.split('/').at(-1));
    await new Promise((resolve) => setTimeout(resolve, (number * 7) % 20));
    return { body: String(number) };
  });
  const connection = await stand.connect();
  const count = 100;
  await connection.write(
    Array.from({ length: count }, (_, i) => request('', '', `GET /openai/v1/x/${i} HTTP/1.1`)).join(''),
  );
  for (let i = 0; i < count; i++) assert.equal((await connection.reply()).body.toString(), String(i));
  connection.close();
});

test('what comes behind a body is the next request, and must bring a key of its own', async () => {
  const connection = await stand.connect();
  await connection.write(
    `${request('Content-Length: 2\r\n', '{}')}GET /openai/v1/models HTTP/1.1\r\nHost: gateway\r\n\r\n`,
  );
  assert.equal((await connection.reply()).status, 200);
  const second = await connection.reply();
  assert.equal(second.status, 401);
  assert.equal(stand.upstream.requests.length, 1);
  connection.close();
});

test('a body of a GET is framed upstream as it came, and is not taken for a request', async () => {
  const smuggled = 'GET /v1/organization/users HTTP/1.1\r\nHost: x\r\n\r\n';
  const connection = await stand.connect();
  await connection.write(
    request(`Content-Length: ${smuggled.length}\r\nConnection: close\r\n`, smuggled, 'GET /openai/v1/models HTTP/1.1'),
  );
  assert.equal((await connection.reply()).status, 200);
  const seen = await stand.upstream.only();
  assert.equal(valueOf(seen.headers, 'content-length'), String(smuggled.length));
  assert.equal((await seen.whole()).toString(), smuggled);
  connection.close();
});
