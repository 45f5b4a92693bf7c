// Replies on one connection to the upstream, cut anywhere, and the request lines that go out on it. What is broken is tried on the
// wire in test/faults.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { BrokenReply, type ReplyStart } from '../src/upstream/reply-head.ts';
import { ReplyParser } from '../src/upstream/reply-parser.ts';
import { announcedLength, requestHead } from '../src/upstream/request-head.ts';
import { chunk } from './support/chunked.ts';

const HEAD_BYTES_MAX = 64 * 1024;

interface Told {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly string[];
  readonly body: string;
  readonly isComplete: boolean;
}

/** Reads as many replies as there are methods, each begun when the one before it has ended cleanly. */
function read(pieces: readonly Buffer[], methods: readonly string[], endsByClosing = false): Told[] {
  const told: Told[] = [];
  let start: ReplyStart | null = null;
  let body: Buffer[] = [];
  let isComplete = false;
  const tell = () => {
    if (start === null) return;
    const { status, reason, rawHeaders } = start;
    told.push({ status, reason, headers: rawHeaders, body: Buffer.concat(body).toString('latin1'), isComplete });
    [start, body, isComplete] = [null, [], false];
  };
  const parser = new ReplyParser(
    {
      onHead: (head) => (start = head),
      onBody: (piece) => body.push(piece),
      onComplete: () => (isComplete = true),
    },
    HEAD_BYTES_MAX,
  );
  let next = 0;
  parser.begin(methods[next++] === 'HEAD');
  for (const piece of pieces) {
    parser.feed(piece);
    if (!isComplete) continue;
    tell();
    if (next < methods.length) parser.begin(methods[next++] === 'HEAD');
  }
  if (endsByClosing) parser.end();
  tell();
  return told;
}

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((at) => at % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places]
    .map((from, i) => bytes.subarray(from, places[i] ?? bytes.length))
    .filter(({ length }) => length > 0);
}

const NAME = fc.constantFrom('X-A', 'content-type', 'Set-Cookie', 'x~!#$%&', 'Content-Lengthy', 'Server');
const VALUE = fc.string({ unit: fc.constantFrom('a', 'Z', '0', ':', ',', '"', '\xe9', '\xff'), maxLength: 30 });
const HEADERS = fc.array(fc.tuple(NAME, VALUE), { maxLength: 12 });
const REASON = fc.string({ unit: fc.constantFrom('O', 'K', ' ', '\t', '\xe9'), maxLength: 12 });
const BODY = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const EXTENSION = fc.constantFrom('', ';name', ';name=value', '; name="a;b"');
const TRAILERS = fc.constantFrom('', 'X-Trailer: 1\r\n', 'A: b\r\nC: d\r\n');
const INTERIM = fc.constantFrom('', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');

const REPLY = fc.record({
  interim: INTERIM,
  status: fc.constantFrom(200, 201, 404, 429, 500, 999),
  reason: REASON,
  headers: HEADERS,
  parts: fc.array(BODY, { maxLength: 6 }),
  framing: fc.constantFrom('length', 'chunked', 'Chunked', 'close'),
  extension: EXTENSION,
  trailers: TRAILERS,
  blank: fc.constantFrom('', ' ', '\t ', '  '),
});

type Reply = typeof REPLY extends fc.Arbitrary<infer Of> ? Of : never;

/** As it is on the wire, and as it is to be told. */
function written({
  interim,
  status,
  reason,
  headers,
  parts,
  framing,
  extension,
  trailers,
  blank,
}: Reply): [Buffer, Told] {
  const body = Buffer.concat(parts);
  const isChunked = framing.toLowerCase() === 'chunked';
  const told: [string, string][] = [...headers];
  if (isChunked) told.push(['Transfer-Encoding', framing]);
  else if (framing === 'length') told.push(['Content-Length', String(body.length)]);
  const lines = told.map(([name, value]) => `${name}:${blank}${value}${blank}\r\n`).join('');
  const head = Buffer.from(`${interim}HTTP/1.1 ${status} ${reason}\r\n${lines}\r\n`, 'latin1');
  const chunks = parts.filter((part) => part.length > 0).map(chunk);
  if (extension !== '')
    chunks.forEach((bytes, i) => {
      const end = bytes.indexOf('\r\n');
      chunks[i] = Buffer.concat([bytes.subarray(0, end), Buffer.from(extension), bytes.subarray(end)]);
    });
  const wire = isChunked ? [head, ...chunks, Buffer.from(`0\r\n${trailers}\r\n`)] : [head, body];
  return [
    Buffer.concat(wire),
    { status, reason, headers: told.flat(), body: body.toString('latin1'), isComplete: true },
  ];
}

test('any reply, cut anywhere, is told with its head, its body and its end', () => {
  const property = fc.property(REPLY, fc.array(fc.nat(), { maxLength: 12 }), (reply, cuts) => {
    const [wire, told] = written(reply);
    assert.deepEqual(read(cut(wire, cuts), ['GET'], reply.framing === 'close'), [told]);
  });
  fc.assert(property, { numRuns: 400 });
});

test('a reply that comes byte by byte is told the same', () => {
  const property = fc.property(REPLY, (reply) => {
    const [wire, told] = written(reply);
    const bytes = [...wire].map((byte) => Buffer.of(byte));
    assert.deepEqual(read(bytes, ['GET'], reply.framing === 'close'), [told]);
  });
  fc.assert(property, { numRuns: 100 });
});

test('replies behind one another are told apart by their requests', () => {
  const property = fc.property(fc.array(REPLY, { minLength: 2, maxLength: 5 }), (replies) => {
    const kept = replies.filter(({ framing }) => framing !== 'close').map(written);
    const told = read(
      kept.map(([wire]) => wire),
      kept.map(() => 'POST'),
    );
    assert.deepEqual(
      told,
      kept.map(([, each]) => each),
    );
  });
  fc.assert(property, { numRuns: 200 });
});

test('a reply that ends before its end is not told as complete, wherever it is cut off', () => {
  const property = fc.property(REPLY, fc.nat(), (reply, place) => {
    const [wire] = written(reply);
    fc.pre(reply.framing !== 'close');
    const [told] = read([wire.subarray(0, place % wire.length)], ['GET']);
    assert.notEqual(told?.isComplete, true);
  });
  fc.assert(property, { numRuns: 300 });
});

test('no bytes whatever bring more than a broken reply', () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(REPLY, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 8 })).map(([reply, place, bytes]) => {
      const [wire] = written(reply);
      const at = place % wire.length;
      return Buffer.concat([wire.subarray(0, at), bytes, wire.subarray(at)]);
    }),
  );
  const property = fc.property(noise, fc.array(fc.nat(), { maxLength: 5 }), (bytes, cuts) => {
    try {
      read(cut(bytes, cuts), ['GET']);
    } catch (error) {
      assert.ok(error instanceof BrokenReply, String(error));
    }
  });
  fc.assert(property, { numRuns: 500 });
});

test('a request line or header that would break out of its line is not written', () => {
  const bad: readonly (readonly [method: string, target: string, headers: readonly string[]])[] = [
    ['GET\r\nX: y', '/v1/models', []],
    ['GET', '/v1/models HTTP/1.1\r\nX: y', []],
    ['GET', '/v1/mo dels', []],
    ['GET', '/v1/models', ['X-A', 'b\r\nX-B: c']],
    ['GET', '/v1/models', ['X-A', 'b\nX-B: c']],
    ['GET', '/v1/models', ['X-A', 'b\0']],
    ['GET', '/v1/models', ['X-A: b\r\nX-B', 'c']],
    ['GET', '/v1/models', ['', 'c']],
    ['GET', '/v1/models', ['X-A', '\u{1f642}']],
  ];
  for (const [method, target, headers] of bad)
    assert.throws(() => requestHead(method, target, headers, 'host: upstream\r\n', null), TypeError);
});

test('a request says once how its body ends', () => {
  const headers = ['content-type', 'application/json', 'Content-Length', '9'];
  const lines = (framing: Parameters<typeof requestHead>[4], method = 'POST') =>
    requestHead(method, '/v1/x', headers, 'host: upstream\r\n', framing);
  const head = 'POST /v1/x HTTP/1.1\r\nhost: upstream\r\ncontent-type: application/json\r\n';
  assert.equal(lines(2), `${head}content-length: 2\r\n\r\n`);
  assert.equal(lines('chunked'), `${head}transfer-encoding: chunked\r\n\r\n`);
  assert.equal(lines(null), `${head}content-length: 0\r\n\r\n`);
  assert.equal(lines(null, 'GET'), `${head.replace('POST', 'GET')}\r\n`);
  assert.equal(announcedLength(headers), 9);
  assert.equal(announcedLength(['content-length', '9, 9']), null);
});
