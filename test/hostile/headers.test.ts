// Headers that mean harm (HD of the reference on security; K2, K3 of the surface). What passes and what does not in good
// faith is told in ../conformance/request-headers.test.ts and ../conformance/reply-headers.test.ts.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import type { Settings } from '../../src/config/config.ts';
import { openStand, type Stand } from '../support/stand.ts';
import { valueOf, valuesOf, type Header } from '../support/wire.ts';

let stand: Stand;

function standWith(settings: Settings): void {
  before(async () => {
    stand = await openStand({ settings });
  });
  beforeEach(() => stand.clear());
  afterEach(() => stand.holdInvariants());
  after(() => stand.close());
}

describe('headers of a request', () => {
  standWith({});

  test('names that some servers read as others do not pass', async () => {
    const lookAlikes: Header[] = [
      ['content_length', '0'],
      ['Content_Length', '0'],
      ['content_type', 'text/html'],
      ['transfer_encoding', 'chunked'],
      ['x_forwarded_for', '10.0.0.1'],
      ['X-Forwarded_For', '10.0.0.1'],
      ['x_real_ip', '10.0.0.1'],
      ['proxy_authorization', 'Basic x'],
      ['x_throughway_secret', '1'],
      ['cf_connecting_ip', '10.0.0.1'],
      ['X_API_KEY', 'sk-tw-stranger'],
    ];
    const fine: Header[] = [
      ['x_custom', 'kept'],
      ['openai_anything', 'kept'],
    ];
    const reply = await stand.ask({ target: '/openai/v1/models', headers: [...lookAlikes, ...fine] });
    assert.equal(reply.status, 200);
    const { headers } = await stand.upstream.only();
    for (const [name] of lookAlikes) assert.deepEqual(valuesOf(headers, name), [], name);
    for (const [name, value] of fine) assert.deepEqual(valuesOf(headers, name), [value], name);
  });

  test('words for the gateway itself go no further, in either direction', async () => {
    stand.script(() => ({
      headers: [
        ['x-throughway-exchange-id', 'exc_forged'],
        ['X-Throughway-Refusal', 'not_found'],
      ],
      body: 'ok',
    }));
    const reply = await stand.ask({
      target: '/openai/v1/models',
      headers: [
        ['x-throughway-exchange-id', 'exc_forged'],
        ['X-Throughway-Anything', '1'],
      ],
    });
    assert.ok(!(await stand.upstream.only()).headers.some(([name]) => /throughway/i.test(name)));
    assert.equal(valuesOf(reply.headers, 'x-throughway-exchange-id').length, 1);
    assert.match(valueOf(reply.headers, 'x-throughway-exchange-id')!, /^exc_[0-9a-z]{26}$/);
    assert.deepEqual(valuesOf(reply.headers, 'x-throughway-refusal'), []);
  });

  test('Connection names no header away that the gateway needs, and takes its own along', async () => {
    const reply = await stand.ask({
      method: 'POST',
      target: '/openai/v1/responses',
      headers: [
        ['Connection', 'keep-alive, X-Local, content-length, authorization, host, content-type'],
        ['X-Local', 'stays here'],
        ['Content-Type', 'application/json'],
      ],
      body: '{}',
    });
    assert.equal(reply.status, 200);
    const { headers } = await stand.upstream.only();
    assert.deepEqual(valuesOf(headers, 'x-local'), []);
    assert.deepEqual(valuesOf(headers, 'content-length'), ['2']);
    assert.equal(valuesOf(headers, 'host').length, 1);
  });

  test('names and parameters of the language itself are names and parameters', async () => {
    const headers: Header[] = [
      ['__proto__', 'polluted'],
      ['constructor', 'polluted'],
      ['prototype', 'polluted'],
      ['toString', 'polluted'],
      ['hasOwnProperty', 'polluted'],
    ];
    const query = '__proto__[x]=polluted&constructor[prototype][x]=polluted&constructor=1';
    const body = '{"__proto__":{"x":"polluted"},"constructor":{"prototype":{"x":"polluted"}},"model":"__proto__"}';
    const reply = await stand.ask({ method: 'POST', target: `/openai/v1/responses?${query}`, headers, body });
    assert.equal(reply.status, 200);
    const seen = await stand.upstream.only();
    for (const [name, value] of headers) assert.deepEqual(valuesOf(seen.headers, name), [value], name);
    assert.equal(({} as Record<string, unknown>)['x'], undefined);
    assert.equal((await stand.ask({ target: '/openai/v1/__proto__/constructor' })).status, 200);
    assert.equal((await stand.ask({ target: '/openai/v1/__proto__' })).status, 200);
  });

  test('two thousand lines of one byte, and a block one byte too long, are refused in words; 64 KiB less a little pass', async () => {
    const many = Array.from({ length: 2100 }, (): Header => ['a', 'b']);
    const refused = await stand.ask({ target: '/openai/v1/models', headers: many });
    assert.equal(refused.status, 431);
    const long = await stand.ask({ target: '/openai/v1/models', headers: [['X-Long', 'x'.repeat(64 * 1024)]] });
    assert.equal(long.status, 431);
    for (const reply of [refused, long])
      assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'headers_too_large');
    assert.equal(stand.upstream.requests.length, 0);
    const fits = await stand.ask({ target: '/openai/v1/models', headers: [['X-Long', 'x'.repeat(60 * 1024)]] });
    assert.equal(fits.status, 200);
    assert.equal(valueOf((await stand.upstream.only()).headers, 'x-long')?.length, 60 * 1024);
  });

  test('a key of any form but the right one is refused, and so is any number of them', async () => {
    const { token } = stand.gateway;
    const authorizations = [
      '',
      'Bearer',
      'Bearer ',
      `Bearer  ${token}`,
      `Bearer\t${token}`,
      `Bearer ${token} x`,
      `Bearer ${token},${token}`,
      `Bearer ${token.slice(0, -1)}`,
      `Bearer ${token}x`,
      `Bearer ${token.toUpperCase()}`,
      `Basic ${Buffer.from(`x:${token}`).toString('base64')}`,
      `Token ${token}`,
      token,
      "Bearer sk-tw-' OR 1=1 --",
      'Bearer sk-tw-__proto__',
      `Bearer ${'sk-tw-'.repeat(8000)}`,
      'Bearer null',
      'Bearer undefined',
    ];
    for (const authorization of authorizations) {
      const reply = await stand.ask({ target: '/openai/v1/models', headers: [['Authorization', authorization]] });
      assert.equal(reply.status, 401, authorization.slice(0, 60));
      assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'invalid_api_key');
      assert.ok(!reply.body.includes(token) && !reply.body.includes("' OR"), 'the reply tells the key back');
    }
    assert.equal(stand.upstream.requests.length, 0);
  });

  test('a key, wherever it stands, is in no record and no line of the log', async () => {
    const { token } = stand.gateway;
    const secret = 'ek_6f1d2c3b4a5968778695a4b3c2d1e0f9';
    await stand.ask({ target: '/openai/v1/models', headers: [['x-api-key', token]] });
    await stand.ask({ target: `/openai/v1/models?api_key=${token}`, headers: [['api-key', token]] });
    await stand.ask({
      method: 'POST',
      target: '/openai/v1/realtime/client_secrets',
      headers: [['Cookie', `session=${secret}`]],
      body: JSON.stringify({ client_secret: secret, authorization: `Bearer ${token}` }),
    });
    const told = JSON.stringify([await stand.recorded(3), stand.gateway.logLines]);
    assert.ok(!told.includes(token));
    assert.ok(!told.includes(secret));
  });
});

describe('refusals', () => {
  standWith({});

  test('say what they are, are not to be stored or sniffed, and name no version', async () => {
    const requests = [
      { target: '/openai/v1/models', headers: [['Authorization', 'Bearer wrong']] },
      { target: '/openai/v1/../x' },
      { target: '/nothing/here' },
      { method: 'TRACE', target: '/openai/v1/models' },
      { target: '/openai/v1/organization/users' },
      { target: '/openai/v1/models', headers: [['Host', 'a b']] },
    ] as const;
    for (const request of requests) {
      const reply = await stand.ask(request);
      assert.ok(reply.status >= 400);
      assert.deepEqual(valuesOf(reply.headers, 'x-content-type-options'), ['nosniff']);
      assert.deepEqual(valuesOf(reply.headers, 'cache-control'), ['no-store']);
      assert.deepEqual(valuesOf(reply.headers, 'content-type'), ['application/json']);
      for (const banner of ['server', 'x-powered-by', 'via']) assert.deepEqual(valuesOf(reply.headers, banner), []);
      assert.doesNotMatch(reply.body.toString(), /node|undici|\bat .*\.ts:/i);
    }
  });
});

describe('cross-origin rules without origins named', () => {
  standWith({});

  test('add nothing for any origin', async () => {
    for (const origin of ['https://good.example', 'null', '*']) {
      stand.script(() => ({ body: 'ok' }));
      const reply = await stand.ask({ target: '/openai/v1/models', headers: [['Origin', origin]] });
      assert.ok(!reply.headers.some(([name]) => /^access-control-/i.test(name)), origin);
    }
    const preflight = await stand.ask({
      method: 'OPTIONS',
      target: '/openai/v1/models',
      headers: [
        ['Origin', 'https://good.example'],
        ['Access-Control-Request-Method', 'POST'],
        ['Authorization', ''],
      ],
    });
    assert.equal(preflight.status, 401);
    assert.ok(!preflight.headers.some(([name]) => /^access-control-/i.test(name)));
  });
});

describe('cross-origin rules with one origin named', () => {
  standWith({ cors: { origins: ['https://good.example'] } });

  const strangers = [
    'https://good.example.evil',
    'https://evil-good.example',
    'http://good.example',
    'https://good.example:8443',
    'https://GOOD.example',
    'https://sub.good.example',
    'https://good.example/',
    'null',
    '*',
    '',
  ];

  test('are kept to the letter, and never opened to all', async () => {
    for (const origin of [...strangers, 'https://good.example']) {
      stand.script(() => ({
        headers: [
          ['Access-Control-Allow-Origin', '*'],
          ['Access-Control-Allow-Credentials', 'true'],
        ],
        body: 'ok',
      }));
      const reply = await stand.ask({ target: '/openai/v1/models', headers: [['Origin', origin]] });
      const allowed = valuesOf(reply.headers, 'access-control-allow-origin');
      if (origin === 'https://good.example') {
        assert.deepEqual(allowed, ['https://good.example']);
        assert.deepEqual(valuesOf(reply.headers, 'access-control-allow-credentials'), []);
      } else assert.deepEqual(allowed, [], origin);
      assert.ok(valuesOf(reply.headers, 'vary').includes('Origin'));
    }
  });

  test('answer a preflight for that origin alone', async () => {
    for (const origin of [...strangers, 'https://good.example']) {
      const reply = await stand.ask({
        method: 'OPTIONS',
        target: '/openai/v1/responses',
        headers: [
          ['Origin', origin],
          ['Access-Control-Request-Method', 'POST'],
          ['Access-Control-Request-Headers', 'authorization,x-stainless-os'],
          ['Authorization', ''],
        ],
      });
      if (origin === 'https://good.example') {
        assert.equal(reply.status, 204);
        assert.deepEqual(valuesOf(reply.headers, 'access-control-allow-origin'), [origin]);
        assert.deepEqual(valuesOf(reply.headers, 'access-control-allow-headers'), ['authorization,x-stainless-os']);
      } else {
        assert.equal(reply.status, 401, origin);
        assert.deepEqual(valuesOf(reply.headers, 'access-control-allow-origin'), [], origin);
      }
    }
    assert.equal(stand.upstream.requests.length, 0);
  });
});
