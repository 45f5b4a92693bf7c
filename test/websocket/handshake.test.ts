// How a WebSocket begins: who may open one, what of the handshake goes upstream, and what of the answer comes back.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';

import { startTlsFront } from '../sdk/tls-front.ts';
import { eventually } from '../support/eventually.ts';
import { CANARY, startGateway } from '../support/gateway.ts';
import { exchange, RawConnection } from '../support/raw-client.ts';
import { startRecorder } from '../support/recorder.ts';
import { acceptance, openSocketStand, startSocketUpstream, type SocketStand } from '../support/sockets.ts';
import { headBytes, valueOf, type Header } from '../support/wire.ts';

let stand: SocketStand;
before(async () => {
  stand = await openSocketStand({
    // Idle connections of plain exchanges are gone before anybody counts them.
    upstream: { headersSeconds: 1, keepAliveSeconds: 0.1 },
  });
});
after(() => stand.close());
beforeEach(() => stand.clear());
afterEach(() => stand.check());

/** The lines of a handshake as a client of its own making sends them. */
function handshakeLines(...changes: readonly Header[]): Header[] {
  const lines = new Map<string, string>([
    ['Host', 'gateway.example'],
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Version', '13'],
    ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['Authorization', `Bearer ${stand.gateway.token}`],
  ]);
  for (const [name, value] of changes) {
    if (value === '') lines.delete(name);
    else lines.set(name, value);
  }
  return [...lines];
}

describe('the key', () => {
  const presentations: readonly [
    string,
    (token: string) => { headers?: Record<string, string>; subprotocols?: string[] },
  ][] = [
    ['Authorization', (token) => ({ headers: { authorization: `Bearer ${token}` } })],
    ['x-api-key', (token) => ({ headers: { 'x-api-key': token } })],
    ['api-key', (token) => ({ headers: { 'api-key': token } })],
    ['a subprotocol', (token) => ({ subprotocols: ['realtime', `openai-insecure-api-key.${token}`] })],
    [
      'a subprotocol in front of the others',
      (token) => ({ subprotocols: [`openai-insecure-api-key.${token}`, 'realtime'] }),
    ],
  ];
  for (const [where, present] of presentations) {
    test(`is taken from ${where}, and upstream sees the credential alone`, async () => {
      const { client } = await stand.open('/openai/realtime?model=gpt-realtime', {
        key: null,
        ...present(stand.gateway.token),
      });
      client.socket.send('hello');
      await eventually('the echo is back', () => client.texts().includes('hello'));
      const [handshake] = stand.upstream.seen;
      assert.equal(handshake!.headers.authorization, `Bearer ${CANARY}`);
      assert.equal(handshake!.headers['x-api-key'], undefined);
      assert.equal(handshake!.headers['api-key'], undefined);
      // `check` looks for the key in all that the upstream saw, in records and in logs.
    });
  }

  test('is never echoed as the selected subprotocol', async () => {
    const { client } = await stand.open('/openai/realtime', {
      key: null,
      subprotocols: [`openai-insecure-api-key.${stand.gateway.token}`, 'realtime'],
    });
    assert.equal(client.socket.protocol, 'realtime');
    assert.ok(!JSON.stringify(client.handshake!.rawHeaders).includes(stand.gateway.token));
  });

  for (const [what, key] of [
    ['no', null],
    ['an unknown', 'sk-tw-0000000000000000000000000000000000'],
  ] as const) {
    test(`is asked for with a 401 before anything is dialled, where a client brings ${what} key`, async () => {
      const { status, headers, body } = await stand.dial('/openai/realtime', { key }).refused();
      assert.equal(status, 401);
      assert.equal(headers['x-throughway-refusal'], 'invalid_api_key');
      assert.equal((JSON.parse(body) as { error: { code: string } }).error.code, 'invalid_api_key');
      assert.match(String(headers['x-throughway-exchange-id']), /^exc_/);
      assert.equal(stand.upstream.seen.length, 0);
      const [record] = await stand.recorded(1);
      assert.equal(record!.refusal, 'invalid_api_key');
      assert.equal(record!.id, headers['x-throughway-exchange-id']);
    });
  }

  test('of a wrong subprotocol is not shown in the refusal', async () => {
    const wrong = 'openai-insecure-api-key.wrong-key-of-a-client';
    const { status, body, headers } = await stand
      .dial('/openai/realtime', { key: null, subprotocols: ['realtime', wrong] })
      .refused();
    assert.equal(status, 401);
    assert.ok(!(body + JSON.stringify(headers)).includes('wrong-key-of-a-client'));
    await stand.recorded(1);
    assert.ok(!JSON.stringify([stand.records(), stand.gateway.logLines]).includes('wrong-key-of-a-client'));
  });

  test('in the query is refused', async () => {
    const { status } = await stand.dial(`/openai/realtime?api_key=sk-1234`, { key: null }).refused();
    assert.equal(status, 401);
    assert.equal(stand.upstream.seen.length, 0);
  });

  test('given twice in Authorization is refused', async () => {
    const lines = [...handshakeLines(), ['Authorization', 'Bearer sk-tw-other'] as const];
    const reply = await exchange(stand.gateway.api, { target: '/openai/realtime', headers: lines });
    assert.equal(reply.status, 400);
    assert.equal(stand.upstream.seen.length, 0);
  });

  test('of the wrong group opens no administration socket', async () => {
    const { status, headers } = await stand.dial('/openai/organization/realtime').refused();
    assert.equal(status, 403);
    assert.equal(headers['x-throughway-refusal'], 'endpoint_not_allowed');
    assert.equal(stand.upstream.seen.length, 0);
  });

  test('that may not call an endpoint may not open its socket', async () => {
    const { token } = await stand.gateway.createKey({ name: 'chat only', endpoints: ['chat'] });
    const { status, headers } = await stand.dial('/openai/realtime', { key: token }).refused();
    assert.equal(status, 403);
    assert.equal(headers['x-throughway-refusal'], 'endpoint_not_allowed');
    const [record] = await stand.recorded(1);
    assert.equal(record!.refusal, 'endpoint_not_allowed');
    assert.notEqual(record!.key_id, null);
  });
});

describe('subprotocols', () => {
  test('go upstream in their order, without the key', async () => {
    await stand.open('/openai/realtime', {
      key: null,
      subprotocols: [
        'zeta',
        `openai-insecure-api-key.${stand.gateway.token}`,
        'openai-organization.org-client',
        'realtime',
        'openai-project.proj-client',
        'alpha',
      ],
    });
    assert.equal(
      stand.upstream.seen[0]!.headers['sec-websocket-protocol'],
      'zeta, openai-organization.org-client, realtime, openai-project.proj-client, alpha',
    );
  });

  test('are selected by the upstream, not by their order', async () => {
    stand.upstream.reception = { select: () => 'second' };
    const { client } = await stand.open('/openai/realtime', { subprotocols: ['first', 'second', 'third'] });
    assert.equal(client.socket.protocol, 'second');
  });

  test('stay unselected where the upstream selects none', async () => {
    stand.upstream.reception = { select: () => false };
    const connection = await RawConnection.open(stand.gateway.api);
    await connection.send({
      target: '/openai/realtime',
      headers: handshakeLines(['Sec-WebSocket-Protocol', 'one, two']),
    });
    const head = await connection.head();
    assert.match(head.startLine, / 101 /);
    assert.equal(valueOf(head.headers, 'sec-websocket-protocol'), undefined);
    connection.close();
  });

  test('that nobody offered are not believed', async () => {
    stand.upstream.reception = { select: () => 'invented' };
    const { status, headers } = await stand.dial('/openai/realtime', { subprotocols: ['one'] }).refused();
    assert.equal(status, 502);
    assert.equal(headers['x-throughway-refusal'], 'upstream_unreachable');
  });

  test('of a client that offered only its key are none upstream, and none is selected', async () => {
    const connection = await RawConnection.open(stand.gateway.api);
    const key = `openai-insecure-api-key.${stand.gateway.token}`;
    await connection.send({
      target: '/openai/realtime',
      headers: handshakeLines(['Authorization', ''], ['Sec-WebSocket-Protocol', key]),
    });
    const head = await connection.head();
    assert.match(head.startLine, / 101 /);
    assert.equal(valueOf(head.headers, 'sec-websocket-protocol'), undefined);
    assert.equal(stand.upstream.seen[0]!.headers['sec-websocket-protocol'], undefined);
    connection.close();
  });

  test('of a browser must hold one beside the key, because it hangs up on a 101 that selects none', async () => {
    const { status, body } = await stand
      .dial('/openai/realtime', {
        key: null,
        subprotocols: [`openai-insecure-api-key.${stand.gateway.token}`],
        origin: 'https://app.example',
      })
      .refused();
    assert.equal(status, 400);
    assert.match(body, /such as realtime/);
    assert.equal(stand.upstream.seen.length, 0);
  });

  for (const offered of ['one, one', 'one,, two', 'one, t(w)o', ',']) {
    test(`as ${JSON.stringify(offered)} are refused`, async () => {
      const headers = handshakeLines(['Sec-WebSocket-Protocol', offered]);
      const reply = await exchange(stand.gateway.api, { target: '/openai/realtime', headers });
      assert.equal(reply.status, 400);
      assert.equal(stand.upstream.seen.length, 0);
    });
  }
});

describe('the handshake upstream', () => {
  const targets: readonly [string, string][] = [
    ['/openai/realtime', '/v1/realtime'],
    ['/openai/v1/realtime?model=gpt-realtime', '/v1/realtime?model=gpt-realtime'],
    ['/v1/realtime?call_id=rtc_1', '/v1/realtime?call_id=rtc_1'],
    ['/openai_passthrough/v1/responses', '/v1/responses'],
    ['/openai/live/sessions/sess_%2F1/attach', '/v1/live/sessions/sess_%2F1/attach'],
    ['/openai/unheard/of?x', '/v1/unheard/of?x'],
    ['/openai/a//b/?', '/v1/a//b/?'],
    ["/openai/%41%2f%2F;p=1,2/~!$&'()*+:@", "/v1/%41%2f%2F;p=1,2/~!$&'()*+:@"],
    [
      '/openai/realtime?a=%2f&b=%2F&c=+%20&&=x&d[]={}|^"<>`\'&e=\\',
      '/v1/realtime?a=%2f&b=%2F&c=+%20&&=x&d[]={}|^"<>`\'&e=\\',
    ],
    ['/openai/realtime?q=caf%C3%a9%ff%00', '/v1/realtime?q=caf%C3%a9%ff%00'],
    ['/openai/realtime?u=http://elsewhere.example/../x', '/v1/realtime?u=http://elsewhere.example/../x'],
    ['/openai/v1beta/realtime', '/v1/v1beta/realtime'],
  ];
  for (const [target, upstreamTarget] of targets) {
    test(`has the target ${upstreamTarget} byte for byte`, async () => {
      const connection = await RawConnection.open(stand.gateway.api);
      await connection.send({ target, headers: handshakeLines() });
      assert.match((await connection.head()).startLine, / 101 /);
      assert.equal(stand.upstream.seen[0]!.target, upstreamTarget);
      connection.close();
    });
  }

  test('carries the end-to-end headers with their duplicates, and those of the hop anew', async () => {
    const connection = await RawConnection.open(stand.gateway.api);
    const sent: Header[] = [
      ...handshakeLines(['Connection', 'keep-alive, Upgrade, X-Local']),
      ['Sec-WebSocket-Extensions', 'permessage-deflate; client_max_window_bits'],
      ['Origin', 'https://app.example'],
      ['OpenAI-Beta', 'realtime=v1'],
      ['User-Agent', 'tester/1.0 (caf\u00e9)'],
      ['X-Twice', 'one'],
      ['X-Stainless-Lang', 'js'],
      ['X-Twice', 'two'],
      ['X-Local', 'stays'],
      ['Cookie', 'stays=1'],
      ['X-Forwarded-For', '10.0.0.1'],
      ['X-Throughway-Trick', 'stays'],
      ['OpenAI-Organization', 'org-client'],
      ['Accept-Language', '*'],
    ];
    await connection.send({ target: '/openai/realtime', headers: sent });
    assert.match((await connection.head()).startLine, / 101 /);
    connection.close();

    const { rawHeaders } = stand.upstream.seen[0]!;
    const lines = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), rawHeaders[i + 1]!]] : []));
    const own = new Set(['host', 'connection', 'upgrade', 'sec-websocket-key', 'sec-websocket-version']);
    assert.deepEqual(
      lines.filter(([name]) => !own.has(name!)),
      [
        ['authorization', `Bearer ${CANARY}`],
        ['origin', 'https://app.example'],
        ['openai-beta', 'realtime=v1'],
        ['user-agent', 'tester/1.0 (caf\u00e9)'],
        ['x-twice', 'one'],
        ['x-twice', 'two'],
        ['x-stainless-lang', 'js'],
        ['openai-organization', 'org-client'],
        ['accept-language', '*'],
      ],
    );
    const { headers } = stand.upstream.seen[0]!;
    assert.equal(headers.host, new URL(stand.upstream.url).host);
    assert.equal(headers['sec-websocket-version'], '13');
    assert.notEqual(headers['sec-websocket-key'], 'dGhlIHNhbXBsZSBub25jZQ==');
  });

  test('offers no compression, and none is negotiated with the client', async () => {
    const { client, far } = await stand.open('/openai/realtime', { perMessageDeflate: true });
    assert.equal(stand.upstream.seen[0]!.headers['sec-websocket-extensions'], undefined);
    assert.equal(far.extensions, '');
    assert.equal(client.socket.extensions, '');
    assert.equal(client.handshake!.headers['sec-websocket-extensions'], undefined);
  });

  test('is accepted in the way Firefox asks', async () => {
    const connection = await RawConnection.open(stand.gateway.api);
    await connection.send({
      target: '/openai/realtime',
      headers: handshakeLines(['Connection', 'keep-alive, Upgrade']),
    });
    assert.match((await connection.head()).startLine, / 101 /);
    connection.close();
  });

  test('is accepted where other protocols are offered beside', async () => {
    const connection = await RawConnection.open(stand.gateway.api);
    await connection.send({ target: '/openai/realtime', headers: handshakeLines(['Upgrade', 'h2c, WebSocket']) });
    assert.match((await connection.head()).startLine, / 101 /);
    connection.close();
  });
});

describe('the 101', () => {
  test('brings the upstream’s end-to-end headers and the exchange’s id', async () => {
    stand.upstream.reception = {
      headers: [
        'x-request-id: req_socket_1',
        'openai-version: 2020-10-01',
        'x-twice: one',
        'x-twice: two',
        'Set-Cookie: __cf_bm=1',
        'alt-svc: h3=":443"',
        'x-throughway-trick: no',
      ],
    };
    const { client } = await stand.open('/openai/realtime');
    const { rawHeaders, headers } = client.handshake!;
    const lines = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), rawHeaders[i + 1]!]] : []));
    const own = new Set(['connection', 'upgrade', 'sec-websocket-accept', 'x-throughway-exchange-id']);
    assert.deepEqual(
      lines.filter(([name]) => !own.has(name!)),
      [
        ['x-request-id', 'req_socket_1'],
        ['openai-version', '2020-10-01'],
        ['x-twice', 'one'],
        ['x-twice', 'two'],
      ],
    );
    client.socket.close();
    const [record] = await stand.recorded(1);
    assert.equal(record!.id, headers['x-throughway-exchange-id']);
    assert.equal(record!.upstream_request_id, 'req_socket_1');
  });

  test('tells the gateway’s own share of the time where it is asked for', async () => {
    const { client } = await stand.open('/openai/realtime', { headers: { 'x-throughway-overhead-ms': '1' } });
    assert.match(String(client.handshake!.headers['x-throughway-overhead-ms']), /^\d+\.\d{3}$/);
  });

  test('keeps header bytes beyond ASCII', async () => {
    stand.upstream.reception = {
      answer: (connection, handshake) => connection.write(acceptance(handshake, ['x-name', 'caf\u00e9 \u00c3\u00a9'])),
    };
    const connection = await RawConnection.open(stand.gateway.api);
    await connection.send({ target: '/openai/realtime', headers: handshakeLines() });
    assert.equal(valueOf((await connection.head()).headers, 'x-name'), 'caf\u00e9 \u00c3\u00a9');
    connection.close();
  });

  test('that is no WebSocket’s is a broken upstream', async () => {
    stand.upstream.reception = {
      answer: (connection) =>
        connection.end(
          'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n',
        ),
    };
    const { status, headers } = await stand.dial('/openai/realtime').refused();
    assert.equal(status, 502);
    assert.equal(headers['x-throughway-refusal'], 'upstream_unreachable');
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'upstream_broke');
  });

  test('that selects an extension which nobody asked for is a broken upstream', async () => {
    stand.upstream.reception = { headers: ['Sec-WebSocket-Extensions: permessage-deflate'] };
    const { status } = await stand.dial('/openai/realtime').refused();
    assert.equal(status, 502);
  });
});

describe('a handshake that the upstream refuses', () => {
  const body = JSON.stringify({
    error: { message: 'no', type: 'invalid_request_error', param: null, code: 'some_code' },
  });
  for (const [status, reason, code] of [
    [400, 'Bad Request', 'some_code'],
    [403, 'Forbidden', 'model_not_found'],
    [404, 'Not Found', 'some_code'],
    [426, 'Upgrade Required', 'some_code'],
    [429, 'Slow Down, Please', 'rate_limit_exceeded'],
    [500, 'Oh', 'some_code'],
    [200, 'OK', 'some_code'],
  ] as const) {
    test(`with ${status} is handed on as HTTP, with status, headers and body`, async () => {
      const answer = body.replace('some_code', code);
      stand.upstream.reception = {
        answer: (connection) =>
          connection.end(
            `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\nx-request-id: req_no\r\nretry-after: 7\r\nx-twice: a\r\nx-twice: b\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`,
          ),
      };
      const reply = await exchange(stand.gateway.api, { target: '/openai/realtime', headers: handshakeLines() });
      assert.equal(reply.status, status);
      assert.equal(reply.reason, reason);
      assert.equal(reply.body.toString(), answer);
      assert.ok(reply.isWhole);
      assert.deepEqual(
        reply.headers.filter(([name]) => name !== 'x-throughway-exchange-id'),
        [
          ['content-type', 'application/json'],
          ['x-request-id', 'req_no'],
          ['retry-after', '7'],
          ['x-twice', 'a'],
          ['x-twice', 'b'],
          ['content-length', String(answer.length)],
          ['connection', 'close'],
        ],
      );
      const [record] = await stand.recorded(1);
      assert.equal(record!.status, status);
      assert.equal(record!.ending, 'complete');
      assert.equal(record!.transport, 'json');
      assert.equal(record!.refusal, null);
      assert.equal(record!.bytes.out, answer.length);
      assert.equal(record!.attempts[0]!.status, status);
      assert.equal(record!.upstream_request_id, 'req_no');
    });
  }

  for (const [what, status, code] of [
    ['a 401', 401, 'whatever'],
    ['a 403 about the key', 403, 'ip_not_authorized'],
  ] as const) {
    test(`with ${what} is the gateway's own trouble, and shows nothing of it`, async () => {
      const answer = JSON.stringify({ error: { message: `Incorrect API key ${CANARY}`, code } });
      stand.upstream.reception = {
        answer: (connection) =>
          connection.end(
            `HTTP/1.1 ${status} No\r\nx-request-id: req_secret\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`,
          ),
      };
      const refusal = await stand.dial('/openai/realtime').refused();
      assert.equal(refusal.status, 502);
      assert.equal(refusal.headers['x-throughway-refusal'], 'upstream_credential');
      assert.equal(refusal.headers['x-request-id'], undefined);
      assert.ok(!refusal.body.includes(CANARY));
      const [record] = await stand.recorded(1);
      assert.equal(record!.status, 502);
      assert.equal(record!.error!.code, 'upstream_credential');
      assert.equal(record!.attempts[0]!.status, status);
    });
  }

  test('with a long body of no announced length is handed on whole', async () => {
    const long = 'x'.repeat(3_000_000);
    stand.upstream.reception = {
      answer: (connection) => connection.end(`HTTP/1.1 500 Oh\r\nconnection: close\r\n\r\n${long}`),
    };
    const reply = await exchange(stand.gateway.api, { target: '/openai/realtime', headers: handshakeLines() });
    assert.equal(reply.status, 500);
    assert.equal(reply.body.length, long.length);
    assert.ok(reply.isWhole);
  });

  for (const framing of ['content-length: 1000', 'transfer-encoding: chunked', 'connection: close']) {
    test(`and breaks off (${framing}) is broken for the client too`, async () => {
      stand.upstream.reception = {
        answer(connection) {
          const piece = framing.endsWith('chunked') ? '4\r\nhalf\r\n' : 'half';
          connection.write(`HTTP/1.1 500 Oh\r\n${framing}\r\n\r\n${piece}`);
          setTimeout(() => connection.resetAndDestroy(), 50);
        },
      };
      const reply = await exchange(stand.gateway.api, { target: '/openai/realtime', headers: handshakeLines() });
      assert.equal(reply.status, 500);
      assert.ok(!reply.isWhole);
      const [record] = await stand.recorded(1);
      assert.equal(record!.ending, 'upstream_broke');
    });
  }

  test('without a body keeps its length of nothing', async () => {
    stand.upstream.reception = {
      answer: (connection) => connection.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n'),
    };
    const reply = await exchange(stand.gateway.api, { target: '/openai/realtime', headers: handshakeLines() });
    assert.equal(reply.status, 404);
    assert.equal(valueOf(reply.headers, 'content-length'), '0');
  });
});

describe('an upstream that cannot be dialled', () => {
  test('gives 502 where nobody listens', async () => {
    const upstream = await startSocketUpstream();
    await upstream.close();
    const gateway = await startGateway({ upstream: upstream.url });
    try {
      const headers = handshakeLines(['Authorization', `Bearer ${gateway.token}`]);
      const reply = await exchange(gateway.api, { target: '/openai/realtime', headers });
      assert.equal(reply.status, 502);
      assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'upstream_unreachable');
      assert.equal(valueOf(reply.headers, 'x-should-retry'), 'true');
    } finally {
      await gateway.close();
    }
  });

  test('gives 504 where the connection does not come to stand, TLS included', async () => {
    const silent = createServer((socket) => socket.on('error', () => {}).resume());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const gateway = await startGateway({
      upstream: `https://127.0.0.1:${port}/v1`,
      settings: { upstream: { connectSeconds: 0.2 } },
    });
    try {
      const headers = handshakeLines(['Authorization', `Bearer ${gateway.token}`]);
      const reply = await exchange(gateway.api, { target: '/openai/realtime', headers });
      assert.equal(reply.status, 504);
      assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'upstream_timeout');
      assert.match(reply.body.toString(), /upstream\.connectSeconds/);
    } finally {
      await gateway.close();
      silent.close();
    }
  });

  test('gives 504 where it does not answer the handshake', async () => {
    stand.upstream.reception = { answer: () => {} };
    const { status, headers, body } = await stand.dial('/openai/realtime').refused();
    assert.equal(status, 504);
    assert.equal(headers['x-throughway-refusal'], 'upstream_timeout');
    assert.match(body, /upstream\.headersSeconds/);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'timed_out');
  });

  test('gives 502 where it hangs up on the handshake', async () => {
    stand.upstream.reception = { answer: (connection) => connection.resetAndDestroy() };
    const { status } = await stand.dial('/openai/realtime').refused();
    assert.equal(status, 502);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'upstream_broke');
    assert.equal(record!.error!.code, 'ECONNRESET');
  });
});

test('an upstream behind TLS is dialled through TLS, and one that nobody vouches for is not', async (t) => {
  const front = await startTlsFront(Number(new URL(stand.upstream.url).port));
  if (front === undefined) {
    t.skip('there is no openssl to make a certificate with');
    return;
  }
  const trusted = getCACertificates('default');
  const gateway = await startGateway({ upstream: `https://127.0.0.1:${front.port}/v1` });
  const dial = async () => {
    const connection = await RawConnection.open(gateway.api);
    const headers = handshakeLines(['Authorization', `Bearer ${gateway.token}`]);
    await connection.send({ target: '/openai/realtime?x=%2f', headers });
    const { startLine } = await connection.head();
    connection.close();
    return startLine;
  };
  try {
    assert.match(await dial(), / 502 /);
    assert.equal(stand.upstream.seen.length, 0);
    setDefaultCACertificates([...trusted, front.certificate]);
    assert.match(await dial(), / 101 /);
    assert.equal(stand.upstream.seen[0]!.target, '/v1/realtime?x=%2f');
    assert.equal(stand.upstream.seen[0]!.headers.host, `127.0.0.1:${front.port}`);
  } finally {
    setDefaultCACertificates(trusted);
    await gateway.close();
    await front.close();
  }
});

describe('what is no handshake', () => {
  const wrong: readonly [string, Header, number, string][] = [
    ['version 12', ['Sec-WebSocket-Version', '12'], 426, 'upgrade_required'],
    ['version 8', ['Sec-WebSocket-Version', '8'], 426, 'upgrade_required'],
    ['no version', ['Sec-WebSocket-Version', ''], 426, 'upgrade_required'],
    ['a short key', ['Sec-WebSocket-Key', 'c2hvcnQ='], 400, 'bad_request'],
    ['no key', ['Sec-WebSocket-Key', ''], 400, 'bad_request'],
    ['a body', ['Content-Length', '5'], 400, 'bad_request'],
    ['a body of unknown length', ['Transfer-Encoding', 'chunked'], 400, 'bad_request'],
  ];
  for (const [what, line, status, code] of wrong) {
    test(`with ${what} is refused with ${status}`, async () => {
      const reply = await exchange(stand.gateway.api, { target: '/openai/realtime', headers: handshakeLines(line) });
      assert.equal(reply.status, status);
      assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), code);
      if (status === 426) assert.equal(valueOf(reply.headers, 'sec-websocket-version'), '13');
      assert.equal(stand.upstream.seen.length, 0);
      const [record] = await stand.recorded(1);
      assert.equal(record!.refusal, code);
    });
  }

  for (const target of ['/', '/realtime', '/openaiX/realtime', '/health/ready', '/admin/v1/keys']) {
    test(`at ${target}, outside the mounts, is 404`, async () => {
      const reply = await exchange(stand.gateway.api, { target, headers: handshakeLines() });
      assert.equal(reply.status, 404);
      assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'not_found');
      assert.equal(stand.upstream.seen.length, 0);
    });
  }

  test('at a path with dot segments is 400', async () => {
    const reply = await exchange(stand.gateway.api, { target: '/openai/%2e%2e/x', headers: handshakeLines() });
    assert.equal(reply.status, 400);
    assert.equal(stand.upstream.seen.length, 0);
  });

  test('on the admin listener is a plain request', async () => {
    const reply = await exchange(stand.gateway.admin, { target: '/admin/v1/health', headers: handshakeLines() });
    assert.equal(reply.status, 401);
  });

  test('pipelined behind a request that is still being answered ends the connection', async () => {
    stand.upstream.reception = { answer: () => {} };
    const connection = await RawConnection.open(stand.gateway.api);
    const plain = headBytes('GET /openai/slow HTTP/1.1', handshakeLines(['Connection', ''], ['Upgrade', '']));
    const upgrade = headBytes('GET /openai/realtime HTTP/1.1', handshakeLines());
    await connection.write(Buffer.concat([plain, upgrade]));
    assert.equal(await connection.bytes(), null);
    assert.equal(stand.upstream.seen.length, 0);
    connection.close();
  });
});

describe('where the operator names browser origins', () => {
  let named: SocketStand;
  before(async () => {
    named = await openSocketStand({ cors: { origins: ['https://app.example'] } });
  });
  after(() => named.close());
  beforeEach(() => named.clear());
  afterEach(() => named.check());

  for (const origin of ['https://app.example.evil', 'http://app.example', 'null']) {
    test(`${origin} is turned away`, async () => {
      const { status, headers } = await named.dial('/openai/realtime', { origin }).refused();
      assert.equal(status, 403);
      assert.equal(headers['x-throughway-refusal'], 'origin_not_allowed');
      assert.equal(named.upstream.seen.length, 0);
      const [record] = await named.recorded(1);
      assert.equal(record!.refusal, 'origin_not_allowed');
    });
  }

  test('the named one is served, and so is a client without an origin', async () => {
    await named.open('/openai/realtime', { origin: 'https://app.example' });
    assert.equal(named.upstream.seen.at(-1)!.headers.origin, 'https://app.example');
    await named.open('/openai/realtime');
  });
});

describe('several credentials', () => {
  test('an organization or project of the credential wins over a subprotocol that names one', async () => {
    const pair = await openSocketStand({
      upstream: { credentials: [{ name: 'ours', apiKey: 'env:OPENAI_API_KEY', organization: 'org-ours' }] },
    });
    try {
      await pair.open('/openai/realtime', {
        subprotocols: ['realtime', 'openai-organization.org-client', 'openai-project.proj-client'],
        headers: { 'OpenAI-Organization': 'org-client' },
      });
      const { headers } = pair.upstream.seen[0]!;
      assert.equal(headers['sec-websocket-protocol'], 'realtime, openai-project.proj-client');
      assert.equal(headers['openai-organization'], 'org-ours');
      await pair.check();
    } finally {
      await pair.close();
    }
  });

  test('one that a handshake was refused for rests, and the other opens the next', async () => {
    const pair = await openSocketStand({
      upstream: {
        credentials: [
          { name: 'first', apiKey: 'env:OPENAI_API_KEY', project: 'proj-first' },
          { name: 'second', apiKey: 'env:OPENAI_API_KEY', project: 'proj-second' },
        ],
      },
    });
    try {
      pair.upstream.reception = {
        answer: (connection) => connection.end('HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n'),
      };
      const { status, headers } = await pair.dial('/openai/realtime').refused();
      assert.equal(status, 502);
      assert.equal(headers['x-should-retry'], 'true');
      pair.upstream.reception = {};
      const refused = pair.upstream.seen[0]!.headers['openai-project'];
      for (let i = 0; i < 4; i++) {
        await pair.open('/openai/realtime');
        assert.notEqual(pair.upstream.seen.at(-1)!.headers['openai-project'], refused);
      }
      await pair.check();
    } finally {
      await pair.close();
    }
  });
});

describe('a request that merely names an upgrade', () => {
  test('to h2c is served as the plain request that it is', async () => {
    const plain = await plainStand();
    try {
      const reply = await exchange(plain.gateway.api, {
        method: 'POST',
        target: '/openai/chat/completions',
        headers: [
          ['Authorization', `Bearer ${plain.gateway.token}`],
          ['Connection', 'Upgrade, HTTP2-Settings'],
          ['Upgrade', 'h2c'],
          ['HTTP2-Settings', 'AAMAAABkAARAAAAAAAIAAAAA'],
          ['Content-Type', 'application/json'],
        ],
        body: '{"model":"gpt-5"}',
      });
      assert.equal(reply.status, 200);
      const request = await plain.upstream.only();
      assert.equal(valueOf(request.headers, 'upgrade'), undefined);
      assert.equal(Buffer.concat(request.pieces).toString(), '{"model":"gpt-5"}');
    } finally {
      await plain.close();
    }
  });

  for (const [what, method, version] of [
    ['by POST', 'POST', '1.1'],
    ['in HTTP/1.0', 'GET', '1.0'],
  ] as const) {
    test(`to a WebSocket ${what} is served as a plain request`, async () => {
      const plain = await plainStand();
      try {
        const headers = handshakeLines(['Authorization', `Bearer ${plain.gateway.token}`]);
        const reply = await exchange(plain.gateway.api, { method, version, target: '/openai/realtime', headers });
        assert.equal(reply.status, 200);
        const request = await plain.upstream.only();
        assert.equal(request.method, method);
        assert.equal(valueOf(request.headers, 'upgrade'), undefined);
      } finally {
        await plain.close();
      }
    });
  }
});

async function plainStand() {
  const upstream = await startRecorder(async (request) => {
    await request.whole();
    return { status: 200, body: '{}' };
  });
  const gateway = await startGateway({ upstream: `${upstream.url}/v1` });
  return {
    gateway,
    upstream,
    async close() {
      await gateway.close();
      await upstream.close();
    },
  };
}
