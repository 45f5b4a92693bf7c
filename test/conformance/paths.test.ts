// A1 to A14 of the reference on the surface, and S of the one on security: where a request goes, byte for byte.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';

import fc from 'fast-check';

import { valueOf } from '../support/wire.ts';
import { startPair, type Pair } from './pair.ts';

let pair: Pair;
before(async () => {
  pair = await startPair();
});
beforeEach(() => pair.recorder.clear());
after(() => pair.close());

async function targetUpstream(target: string): Promise<string> {
  pair.recorder.clear();
  const reply = await pair.ask({ target });
  assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), undefined, `${target}: ${reply.body.toString()}`);
  return (await pair.recorder.only()).target;
}

test('A1, A2: with and without /v1 in the base URL a path is the same', async () => {
  for (const mount of ['/openai', '/openai/v1', '/openai_passthrough', '/openai_passthrough/v1', '/v1']) {
    assert.equal(await targetUpstream(`${mount}/models`), '/v1/models', mount);
    assert.equal(await targetUpstream(`${mount}/chat/completions?x=1`), '/v1/chat/completions?x=1', mount);
  }
});

test('A1, A2: only the first /v1 is taken for the base URL, a second one belongs to the path', async () => {
  assert.equal(await targetUpstream('/openai/v1/v1/models'), '/v1/v1/models');
});

test('A3: the query goes on untouched: letter case of escapes, plus, brackets, empty and repeated parameters', async () => {
  const queries = [
    '?a=%2f&b=%2F',
    '?q=a+b%20c',
    '?include[]=x&include%5B%5D=y',
    '?a=1&&=x&b&c=',
    "?it='s",
    '?after=obj_1&after=obj_2&limit=20',
    '?url=https://example.com/a/../b?c=d',
    '?path=/../..//etc',
    '?%00=%0d%0a',
    '?a=%',
    '?bytes=%FF%C3%28',
    '?;semicolon;=1',
    '??twice??',
  ];
  for (const query of queries) assert.equal(await targetUpstream(`/openai/v1/files${query}`), `/v1/files${query}`);
});

test('A4: percent-encoding in the path is neither taken off nor put on nor changed in case', async () => {
  const paths = [
    '/models/ft%3Agpt-4.1-nano%3Aacme%3A%3A1a2b3c',
    '/models/ft%3agpt-4.1-nano:acme::1a2b3c',
    '/files/a%2Fb/content',
    '/files/a%2fb/content',
    '/files/%E2%98%83',
    '/files/%C3%28',
    '/files/%41',
    '/files/a%20b%2Bc',
    '/files/%3F%3d%26',
  ];
  for (const path of paths) assert.equal(await targetUpstream(`/openai${path}`), `/v1${path}`);
});

test('A5, A6, A7: a trailing slash, an empty segment, sub-delimiters, colon and at-sign are kept', async () => {
  for (const path of ['/files/', '/files//', '/files//content', '//files', "/x/!$&'()*+,;=:@/y", '/a;b=1/c~d_e-f.g']) {
    assert.equal(await targetUpstream(`/openai/v1${path}`), `/v1${path}`);
    assert.equal(await targetUpstream(`/openai${path}`), `/v1${path}`);
  }
});

test('A8: a dot segment, plain or encoded in any way, is refused and reaches no upstream', async () => {
  const tricks = [
    '/..',
    '/.',
    '/../admin',
    '/./models',
    '/models/..',
    '/models/../../x',
    '/models/%2e%2e/x',
    '/models/%2E%2e',
    '/models/.%2e/x',
    '/models/..%2fx',
    '/models/%2e%2e%2fx',
    '/models/%252e%252e/x',
    '/models/%25252e%25252e/x',
    '/models/..;/x',
    '/models/..;a=b/x',
    '/models/%2e%2e;/x',
    '/models/..%3b/x',
    '/models\\..\\x',
    '/models/..\\x',
    '/models/..%5cx',
    '/models/%5c..%5cx',
    '/models/%c0%ae%c0%ae/x',
    '/models/%00',
    '/models/a%0d%0aHost:%20evil',
    '/models/%250d%250a',
  ];
  for (const trick of tricks) {
    for (const mount of ['/openai', '/openai/v1', '/v1', '/openai_passthrough']) {
      const reply = await pair.ask({ target: mount + trick });
      assert.equal(reply.status, 400, mount + trick);
      assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'invalid_target', mount + trick);
    }
  }
  assert.equal(pair.recorder.requests.length, 0);
});

test('A8: dots that are no segment of their own pass', async () => {
  for (const path of [
    '/models/gpt-4.1',
    '/files/...',
    '/files/..a',
    '/files/a..',
    '/files/.a',
    '/files/a.b/c.',
    '/files/%2ea',
  ]) {
    assert.equal(await targetUpstream(`/openai/v1${path}`), `/v1${path}`);
  }
});

test('A9: a bare question mark is kept', async () => {
  assert.equal(await targetUpstream('/openai/v1/models?'), '/v1/models?');
  assert.equal(await targetUpstream('/openai/models?'), '/v1/models?');
});

test('A10: what only begins like /v1 is not taken for it', async () => {
  assert.equal(await targetUpstream('/openai/v1beta/models'), '/v1/v1beta/models');
  assert.equal(await targetUpstream('/openai/v10/models'), '/v1/v10/models');
  assert.equal(await targetUpstream('/openai/%76%31/models'), '/v1/%76%31/models');
});

test('A11: what only begins like a mount is not found, and reaches no upstream', async () => {
  const strangers = [
    '/openaiX/models',
    '/openai-v1/models',
    '/openai_passthroughs/x',
    '/OpenAI/v1/models',
    '/v1beta/models',
  ];
  for (const target of [
    ...strangers,
    '/',
    '/models',
    '/%6fpenai/models',
    '//openai/models',
    '/admin/v1/keys',
    '/metrics',
  ]) {
    const reply = await pair.ask({ target });
    assert.equal(reply.status, 404, target);
    assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'not_found', target);
  }
  assert.equal(pair.recorder.requests.length, 0);
});

test('S04: the mount alone is the root of the API, with and without its slash', async () => {
  assert.equal(await targetUpstream('/openai'), '/v1');
  assert.equal(await targetUpstream('/openai/'), '/v1/');
  assert.equal(await targetUpstream('/openai/v1'), '/v1');
  assert.equal(await targetUpstream('/openai/v1/'), '/v1/');
  assert.equal(await targetUpstream('/openai?x=1'), '/v1?x=1');
});

test('A12: a query of 8 KiB passes', async () => {
  const query = `?q=${'0123456789abcdef'.repeat(512)}`;
  assert.equal(await targetUpstream(`/openai/v1/files${query}`), `/v1/files${query}`);
});

test('S11: a target beyond any reason is refused in words, not by a closed connection', async () => {
  const reply = await pair.ask({ target: `/openai/v1/${'deep/'.repeat(10_000)}` });
  assert.equal(reply.status, 414);
  assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'target_too_long');
  assert.equal(pair.recorder.requests.length, 0);
});

test('A13: a path that nobody knows is relayed', async () => {
  assert.equal(await targetUpstream('/openai/v1/newthing/of/tomorrow?x=1'), '/v1/newthing/of/tomorrow?x=1');
});

test('A14, K1: neither an absolute target nor one that looks like an authority chooses the upstream', async () => {
  let strangers = 0;
  const evil = createServer((socket) => {
    strangers++;
    socket.destroy();
  });
  evil.listen(0, '127.0.0.1');
  await once(evil, 'listening');
  const host = `127.0.0.1:${(evil.address() as AddressInfo).port}`;
  try {
    const targets = [
      `http://${host}/openai/v1/models`,
      `http://${host}/v1/models`,
      `https://${host}/`,
      `//${host}/openai/v1/models`,
      `//${host}/v1`,
      `@${host}/v1/models`,
      `${host}`,
      '*',
    ];
    for (const target of targets) {
      for (const method of ['GET', 'POST', 'OPTIONS']) {
        const reply = await pair.ask({ method, target });
        assert.ok(reply.status === 400 || reply.status === 404, `${method} ${target}: ${reply.status}`);
      }
    }
    assert.equal(pair.recorder.requests.length, 0);

    // Below a mount an authority is but a path of the one upstream.
    assert.equal(await targetUpstream(`/openai//${host}/v1`), `/v1//${host}/v1`);
    assert.equal(await targetUpstream(`/openai/http://${host}/v1`), `/v1/http://${host}/v1`);
    assert.equal(await targetUpstream(`/openai/v1/@${host}`), `/v1/@${host}`);
    assert.equal(strangers, 0);
  } finally {
    evil.close();
  }
});

test('P10: a Host header that is missing, doubled or not a host is refused', async () => {
  const connection = await pair.connect();
  await connection.write(`GET /openai/v1/models HTTP/1.1\r\nAuthorization: Bearer ${pair.gateway.token}\r\n\r\n`);
  assert.equal((await connection.reply()).status, 400);
  connection.close();
  for (const host of ['a/b', 'a?b', 'a#b', 'user@a', 'a\\b', 'a b']) {
    const reply = await pair.ask({ target: '/openai/v1/models', headers: [['Host', host]] });
    assert.equal(reply.status, 400, host);
  }
  const doubled = await pair.ask({
    target: '/openai/v1/models',
    headers: [
      ['Host', 'a.example'],
      ['Host', 'b.example'],
    ],
  });
  assert.equal(doubled.status, 400);
  assert.equal(pair.recorder.requests.length, 0);
});

test('any target below a mount either arrives as it is or is refused', async () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '/',
      '//',
      '/v1',
      '/v1/',
      '%2f',
      '%2e',
      '%25',
      '?',
      '??',
      '&',
      '=',
      ';',
      ':',
      '@',
      '.',
      '..',
      '\\',
      '%5C',
    ),
    fc.stringMatching(/^[A-Za-z0-9!$'()*+,_~-]{1,8}$/),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      const rest = `/${pieces.join('')}`;
      pair.recorder.clear();
      const reply = await pair.ask({ target: `/openai${rest}` });
      if (valueOf(reply.headers, 'x-throughway-refusal') !== undefined) {
        assert.ok([400, 403].includes(reply.status), `${rest}: ${reply.status}`);
        assert.equal(pair.recorder.requests.length, 0);
        return;
      }
      const { target } = await pair.recorder.only();
      assert.equal(target, /^\/v1(?=[/?]|$)/.test(rest) ? rest : `/v1${rest}`);
    }),
    { numRuns: 300 },
  );
});
