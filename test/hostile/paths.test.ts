// Whatever a request says, the upstream is the one of the settings, and its administration stays out of reach (S of the
// reference on security; K1 of the surface). How ordinary paths are joined is told in ../conformance/paths.test.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import fc from 'fast-check';

import { openStand, type Stand } from '../support/stand.ts';
import type { Header } from '../support/wire.ts';

let stand: Stand;
/** Where no connection may ever arrive. */
let evil: { readonly authority: string; readonly visits: () => number; close(): void };
before(async () => {
  stand = await openStand();
  let visits = 0;
  const server = createServer((socket) => {
    visits++;
    socket.destroy();
  });
  server.listen(0, '127.0.0.2');
  await once(server, 'listening');
  const authority = `127.0.0.2:${(server.address() as AddressInfo).port}`;
  evil = { authority, visits: () => visits, close: () => server.close() };
});
beforeEach(() => stand.clear());
afterEach(async () => {
  await stand.holdInvariants();
  assert.equal(evil.visits(), 0, 'the gateway called another host than its upstream');
});
after(async () => {
  evil.close();
  await stand.close();
});

const MOUNTS = ['/openai', '/openai/v1', '/openai_passthrough', '/v1', ''];

test('a target that names another host is refused, or an inert path of the one upstream', async () => {
  const host = evil.authority;
  const targets = MOUNTS.flatMap((mount) => [
    `${mount}//${host}/v1`,
    `${mount}/\\\\${host}/`,
    `${mount}/\\${host}`,
    `${mount}/http://${host}/`,
    `${mount}/http:/${host}/`,
    `${mount}/https:%2f%2f${host}/`,
    `${mount}@${host}/`,
    `${mount}/@${host}/`,
    `${mount}:80@${host}/`,
    `${mount}/%40${host}/`,
    `${mount}?@${host}/`,
    `${mount}#@${host}/`,
    `${mount};@${host}/`,
    `${mount}.${host}/`,
    `${mount}/..//${host}/`,
    `${mount}/%0d%0aHost:%20${host}/`,
    `${mount}/\thttp://${host}/`,
    `${mount}/models?url=http://${host}/`,
  ]);
  for (const target of targets) {
    const reply = await stand.ask({ target: target === '' || target[0] === '/' ? target : `/${target}` });
    assert.ok([200, 400, 404].includes(reply.status), `${target}: ${reply.status}`);
  }
  for (const { target, headers } of stand.upstream.requests) {
    assert.match(target, /^\/v1(\/|\?|$)/);
    assert.ok(!headers.some(([name, value]) => name.toLowerCase() === 'host' && value.includes(host)));
  }
});

/** The ways in which other gateways let a caller choose the upstream. */
const OVERRIDES = [
  'api_base',
  'base_url',
  'api_url',
  'target',
  'host',
  'provider',
  'custom_host',
  'upstream',
  'azure_endpoint',
];

test('an override in a header, a query or a body chooses nothing', async () => {
  const url = `http://${evil.authority}/v1`;
  const overrides: Header[] = [
    ...OVERRIDES.flatMap((name): Header[] => [
      [name.replaceAll('_', '-'), url],
      [`X-${name.replaceAll('_', '-')}`, url],
      [`x-portkey-${name.replaceAll('_', '-')}`, url],
      [`x-litellm-${name.replaceAll('_', '-')}`, url],
    ]),
    ['X-Forwarded-Host', evil.authority],
    ['X-Forwarded-Proto', 'https'],
    ['X-Forwarded-Prefix', '/admin'],
    ['X-Original-URL', '/v1/organization/users'],
    ['X-Rewrite-URL', '/v1/organization/users'],
    ['Forwarded', `host=${evil.authority};proto=https`],
    ['X-HTTP-Method-Override', 'DELETE'],
    ['Proxy-Connection', 'keep-alive'],
    ['Destination', url],
  ];
  const headers = overrides.filter(([name]) => name.toLowerCase() !== 'host');
  const body = JSON.stringify(Object.fromEntries(OVERRIDES.map((name) => [name, url])));
  const query = OVERRIDES.map((name) => `${name}=${encodeURIComponent(url)}`).join('&');
  for (const mount of MOUNTS.slice(0, 4)) {
    stand.upstream.requests.length = 0;
    const reply = await stand.ask({ method: 'POST', target: `${mount}/responses?${query}`, headers, body });
    assert.equal(reply.status, 200);
    const seen = await stand.upstream.only();
    assert.equal(seen.method, 'POST');
    assert.equal(seen.target, `/v1/responses?${query}`);
    assert.equal((await seen.whole()).toString(), body);
    assert.ok(
      seen.headers.some(([name, value]) => name.toLowerCase() === 'host' && value === new URL(stand.upstream.url).host),
    );
    assert.ok(!seen.headers.some(([name]) => /^(x-forwarded|forwarded)/i.test(name)));
  }
});

// ---- The administration, before an upstream that normalises as hard as it can.

function normalise(target: string): string {
  let path = target.split(/[?#]/, 1)[0]!;
  for (let i = 0; i < 4; i++) {
    path = path
      .replaceAll(/%c0%ae/gi, '.')
      .replaceAll(/%c0%af/gi, '/')
      .replaceAll(/%c1%9c/gi, '\\');
    path = Buffer.from(
      path.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      'latin1',
    ).toString('utf8');
  }
  const segments: string[] = [];
  for (const raw of path
    .normalize('NFKC')
    .toLowerCase()
    .split(/[/\\]+/)) {
    const segment = raw.replace(/[;?#].*$/s, '').replaceAll(/[\s\u0000-\u0020\u007f\u00ad\u200b-\u200f\ufeff]/g, '');
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}

const DENIED = /^\/(v1\/)*(organization|projects)(\/|$)/;

const PER_CENT = fc.integer({ min: 0, max: 3 });
/** One character, encoded so many times, in either case. */
const SPELLED = (character: string) =>
  fc.tuple(PER_CENT, fc.boolean(), fc.boolean()).map(([layers, isUpper, isUpperHex]) => {
    let text = isUpper ? character.toUpperCase() : character;
    if (layers === 0) return text;
    const hex = text.charCodeAt(0).toString(16);
    text = `%${isUpperHex ? hex.toUpperCase() : hex}`;
    for (let i = 1; i < layers; i++) text = text.replace('%', '%25');
    return text;
  });
const WORD = fc
  .constantFrom('organization', 'projects')
  .chain((word) =>
    fc.tuple(
      ...[...word].map((character) => fc.oneof({ weight: 4, arbitrary: fc.constant(character) }, SPELLED(character))),
    ),
  )
  .map((characters) => characters.join(''));
const SLASH = fc.constantFrom(
  '/',
  '//',
  '/./',
  '%2f',
  '%2F',
  '%252f',
  '\\',
  '%5c',
  '/;a=b/',
  '/x/../',
  '/x/%2e%2e/',
  '/.;/',
  '%c0%af',
  '/%20',
  '/\u00ad',
);
const BEHIND = fc.constantFrom(
  '',
  '/',
  '/users',
  '%2fusers',
  '?limit=1',
  ';a=b',
  '%3b',
  '%00',
  '%20',
  '/.',
  '%23',
  '#x',
  '%3f',
  '.',
);

test('no spelling of the administration reaches an upstream that normalises as hard as it can', async () => {
  const hits: string[] = [];
  stand.script((request) => {
    if (DENIED.test(normalise(request.target))) hits.push(request.target);
    return { body: '{}' };
  });
  const spelled = fc.tuple(fc.constantFrom(...MOUNTS.slice(0, 4)), SLASH, WORD, BEHIND).map((parts) => parts.join(''));
  const property = fc.asyncProperty(spelled, async (target) => {
    const connection = await stand.connect();
    await connection.write(
      Buffer.from(
        `GET ${target} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer ${stand.gateway.token}\r\n\r\n`,
        'latin1',
      ),
    );
    const reply = await connection.reply();
    connection.close();
    // Refused, or a path that means something else to the most zealous of servers.
    assert.deepEqual(hits, [], target);
    assert.ok([200, 400, 403, 404].includes(reply.status), `${target}: ${reply.status}`);
  });
  await fc.assert(property, { numRuns: 600 });
});

test('the plainest spellings are refused with 403, on every mount and with every method', async () => {
  for (const mount of MOUNTS.slice(0, 4)) {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']) {
      for (const path of ['/organization/users', '/projects', '/organization', '/organization/admin_api_keys']) {
        const reply = await stand.ask({ method, target: mount + path });
        assert.equal(reply.status, 403, `${method} ${mount}${path}`);
      }
    }
  }
  assert.equal(stand.upstream.requests.length, 0);
});

test('a target of 16 KiB or ten thousand segments is judged without delay', async () => {
  const targets = [
    `/openai/v1/${'a'.repeat(16 * 1024)}`,
    `/openai/v1${'/a'.repeat(10_000)}`,
    `/openai/v1${'/%25252e'.repeat(2000)}`,
    `/openai/v1/${'%25'.repeat(5000)}`,
    `/openai/v1/${'..%2f'.repeat(3000)}`,
    `/openai/v1${'/;a=b'.repeat(3000)}`,
    `/openai/v1/models?model=${'&model'.repeat(2500)}`,
    `/openai/v1/x?${'key='.repeat(4000)}`,
  ];
  for (const target of targets) {
    let tookMs = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 3; i++) {
      const startedMs = performance.now();
      const reply = await stand.ask({ target });
      tookMs = Math.min(tookMs, performance.now() - startedMs);
      assert.ok([200, 400, 403, 414, 431].includes(reply.status), `${target.slice(0, 40)}: ${reply.status}`);
    }
    assert.ok(tookMs < 50, `${target.slice(0, 40)} took ${tookMs} ms`);
  }
});
