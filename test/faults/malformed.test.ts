// Replies that no client should be made to read: refused or cut, never guessed at, and the connection is not used again
// (P15, P16, U12, U13, U16, U20).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { openStand, type Stand } from '../support/stand.ts';
import { valueOf, valuesOf } from '../support/wire.ts';

let stand: Stand;
before(async () => {
  stand = await openStand({ settings: { upstream: { idleSeconds: 2, headersSeconds: 2 } } });
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

const OK = 'HTTP/1.1 200 OK\r\n';

/** What an upstream might say in place of a reply. */
const BROKEN: Record<string, string | Buffer> = {
  nothing: '',
  'an empty line': '\r\n\r\n\r\n',
  garbage: '\x00\x01\x02garbage\xff\xfe\r\n\r\n',
  'a TLS alert': Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46]),
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'a reply of HTTP/0.9': '<html>hello</html>',
  'the status line of another protocol': 'ICY 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'a request': 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
  'a status of 099': 'HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\nok',
  'a status of two digits': 'HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok',
  'a status that is no number': 'HTTP/1.1 two OK\r\nContent-Length: 2\r\n\r\nok',
  'a status of four digits': 'HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok',
  'a control character in a value': `${OK}X-A: a\x01b\r\nContent-Length: 2\r\n\r\nok`,
  'a NUL in a value': `${OK}X-A: a\0b\r\nContent-Length: 2\r\n\r\nok`,
  'a bare CR in a value': `${OK}X-A: a\rX-B: b\r\nContent-Length: 2\r\n\r\nok`,
  'a space in a name': `${OK}X A: b\r\nContent-Length: 2\r\n\r\nok`,
  'a space before the colon': `${OK}Content-Length : 2\r\n\r\nok`,
  'a line without a colon': `${OK}nonsense\r\nContent-Length: 2\r\n\r\nok`,
  'an empty name': `${OK}: b\r\nContent-Length: 2\r\n\r\nok`,
  'two lengths': `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk`,
  'a list of lengths': `${OK}Content-Length: 2, 3\r\n\r\nokk`,
  'a negative length': `${OK}Content-Length: -2\r\n\r\nok`,
  'a signed length': `${OK}Content-Length: +2\r\n\r\nok`,
  'a length in hexadecimal': `${OK}Content-Length: 0x2\r\n\r\nok`,
  'a length of 2^64': `${OK}Content-Length: 18446744073709551616\r\n\r\nok`,
  'a length with a chunked body': `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
  'a chunked body with a length': `${OK}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
  'chunks of no size': `${OK}Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n`,
  'chunks of a negative size': `${OK}Transfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n`,
  'chunks larger than 64 bits can say': `${OK}Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\nok\r\n0\r\n\r\n`,
  'chunks longer than they say': `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nokok\r\n0\r\n\r\n`,
  'chunks without an end of line': `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok2\r\nok\r\n0\r\n\r\n`,
  'chunks with line feeds alone': `${OK}Transfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n`,
  'an endless extension of a chunk': `${OK}Transfer-Encoding: chunked\r\n\r\n2;${'a'.repeat(100_000)}\r\nok\r\n0\r\n\r\n`,
  'endless trailers': `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${'X-A: b\r\n'.repeat(20_000)}\r\n`,
  'a body in another transfer coding': `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
  'two transfer codings': `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
  'a header in two lines': `${OK}X-A: one\r\n two\r\nContent-Length: 2\r\n\r\nok`,
  'lines that end in LF alone': 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok',
  'a chunk cut short': `${OK}Transfer-Encoding: chunked\r\n\r\n20\r\nok`,
  'a body cut short': `${OK}Content-Length: 20\r\n\r\nok`,
  'half a head': `${OK}Content-Le`,
  'a head of 1 MB': `${OK}X-A: ${'a'.repeat(1024 * 1024)}\r\nContent-Length: 2\r\n\r\nok`,
  'a name of 100 kB': `${OK}${'a'.repeat(100_000)}: b\r\nContent-Length: 2\r\n\r\nok`,
  'a reason of 1 MB without an end': `HTTP/1.1 200 ${'a'.repeat(1024 * 1024)}`,
  '5,000 headers': `${OK}${'X-Header-Name: and its value\r\n'.repeat(5000)}Content-Length: 2\r\n\r\nok`,
  'an upgrade that nobody asked for':
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello',
  '10,000 interim replies': `${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(10_000)}${OK}Content-Length: 2\r\n\r\nok`,
};

for (const [what, bytes] of Object.entries(BROKEN)) {
  test(`an upstream that sends ${what} is a 502 or a stream that breaks, and its connection is not used again`, async () => {
    stand.script(async (request, wire) => {
      await wire.write(bytes);
      wire.socket.end();
      await request.whole();
    });
    for (const method of ['POST', 'GET']) {
      const reply = await stand.ask({
        method,
        target: '/openai/v1/responses',
        ...(method === 'POST' ? { body: '{}' } : {}),
      });
      if (reply.status === 502) {
        assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'upstream_unreachable');
        assert.equal(JSON.parse(reply.body.toString()).error.code, 'upstream_unreachable');
      } else {
        assert.equal(reply.status, 200);
        assert.equal(reply.isWhole, false, 'a broken reply looks whole');
      }
    }
    const endings = (await stand.recorded(2)).map((record) => record.ending);
    assert.deepEqual(endings, ['upstream_broke', 'upstream_broke']);
    // A POST is never sent twice, and no connection that broke was used for what came after.
    const posts = stand.upstream.requests.filter((request) => request.method === 'POST');
    assert.equal(posts.length, 1);
    const connections = stand.upstream.requests.map((request) => request.connection);
    assert.equal(new Set(connections).size, connections.length);
  });
}

test('a status of 999 and an empty header block are odd, and pass', async () => {
  stand.script(async (_request, wire) => {
    await wire.write('HTTP/1.1 999 Denied\r\n\r\nbody');
    wire.socket.end();
  });
  const reply = await stand.ask({ target: '/openai/v1/models' });
  assert.deepEqual([reply.status, reply.reason, reply.body.toString(), reply.isWhole], [999, 'Denied', 'body', true]);
});

test('a 100 Continue that nobody waits for is passed over, and so are trailers', async () => {
  stand.script(async (request, wire) => {
    await wire.write('HTTP/1.1 100 Continue\r\n\r\n');
    await wire.write(`${OK}Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n`);
    await request.whole();
  });
  for (let i = 0; i < 3; i++) {
    const reply = await stand.ask({ method: 'POST', target: '/openai/v1/responses', body: '{}' });
    assert.deepEqual([reply.status, reply.body.toString(), reply.isWhole], [200, 'ok', true]);
    assert.equal(valueOf(reply.headers, 'x-trailer'), undefined);
  }
  assert.equal(new Set(stand.upstream.requests.map((request) => request.connection)).size, 1);
});

test('a body that only the end of its connection ends is whole when it is closed, and broken when it is reset', async () => {
  for (const isReset of [false, true]) {
    stand.script(async (_request, wire) => {
      await wire.write(`${OK}Content-Type: text/plain\r\n\r\nas far as it goes`);
      // What was sent arrives before the reset.
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (isReset) wire.socket.resetAndDestroy();
      else wire.socket.end();
    });
    const reply = await stand.ask({ target: '/openai/v1/files/file-1/content' });
    assert.deepEqual([reply.status, reply.isWhole], [200, !isReset]);
  }
  const endings = (await stand.recorded(2)).map((record) => record.ending);
  assert.deepEqual(endings, ['complete', 'upstream_broke']);
});

test('50 interim replies are passed over, and the final one is delivered', async () => {
  stand.script(async (_request, wire) => {
    for (let i = 0; i < 50; i++) await wire.head(103, 'Early Hints', [['Link', '</a>']]);
    return { body: 'final' };
  });
  assert.equal((await stand.ask({ target: '/openai/v1/models' })).body.toString(), 'final');
});

test('a second reply to one request is told to nobody', async () => {
  for (const poison of ['HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison', 'poison', '\r\n']) {
    for (const isLate of [false, true]) {
      stand.clear();
      let count = 0;
      stand.script(async (request, wire) => {
        if (++count > 1) return { body: `own ${count}` };
        await wire.write(`${OK}Content-Length: 2\r\n\r\nok${isLate ? '' : poison}`);
        if (isLate) setTimeout(() => wire.socket.write(poison), 20);
        await request.whole();
      });
      assert.equal((await stand.ask({ target: '/openai/v1/models' })).body.toString(), 'ok');
      if (isLate) await new Promise((resolve) => setTimeout(resolve, 30));
      const next = await stand.ask({ method: 'POST', target: '/openai/v1/responses', body: '{}' });
      assert.equal(next.body.toString(), 'own 2');
    }
  }
});

const BODILESS: readonly (readonly [method: string, reply: string])[] = [
  ['GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison'],
  ['GET', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n'],
  ['GET', 'HTTP/1.1 204 No Content\r\n\r\npoison'],
  ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison'],
  ['GET', 'HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'],
  ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'],
  ['HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n'],
];

for (const [method, bytes] of BODILESS) {
  test(`a body behind ${method} and ${JSON.stringify(bytes.split('\r\n', 2))} puts no reply out of step`, async () => {
    let isFirst = true;
    stand.script(async (request, wire) => {
      if (!isFirst) return { body: 'own' };
      isFirst = false;
      await wire.write(bytes);
      await request.whole();
    });
    // Both on one connection of the client, and the second perhaps on one connection to the upstream.
    const connection = await stand.connect();
    await connection.send({ method, target: '/openai/v1/models', headers: stand.keyed() });
    const reply = await connection.reply(method);
    assert.ok([200, 204, 304, 502].includes(reply.status));
    assert.ok(!reply.body.includes('poison'));
    await connection.send({ target: '/openai/v1/models', headers: stand.keyed() });
    assert.equal((await connection.reply()).body.toString(), 'own');
    connection.close();
  });
}

test('headers in bytes beyond ASCII are delivered as they are', async () => {
  const name = 'caf\u00e9';
  const utf8 = Buffer.from('na\u00efve \u8a9e').toString('latin1');
  stand.script(() => ({
    headers: [
      ['Content-Disposition', `attachment; filename="${name}"`],
      ['X-Utf8', utf8],
    ],
    body: 'ok',
  }));
  const reply = await stand.ask({ target: '/openai/v1/files/file-1/content' });
  assert.deepEqual(valuesOf(reply.headers, 'content-disposition'), [`attachment; filename="${name}"`]);
  assert.deepEqual(valuesOf(reply.headers, 'x-utf8'), [utf8]);
});

test('an endless 401 is taken for what it is, and not read for ever', async () => {
  stand.script(async (_request, wire) => {
    await wire.head(401, 'Unauthorized', [['Transfer-Encoding', 'chunked']]);
    while (!wire.socket.destroyed) {
      await wire.write('8\r\npadding.\r\n');
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  const reply = await stand.ask({ target: '/openai/v1/models' });
  assert.equal(reply.status, 502);
  assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'upstream_credential');
});
