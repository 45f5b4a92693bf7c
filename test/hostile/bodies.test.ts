// Bodies that mean harm, or that only a parser would mind: relayed byte for byte, or refused, and never at the cost of
// others (B of the reference on security; what is no JSON is relayed by B9 of the surface).
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Settings } from '../../src/config/config.ts';
import { chunk, LAST_CHUNK } from '../support/chunked.ts';
import { eventually } from '../support/eventually.ts';
import type { RawConnection } from '../support/raw-client.ts';
import { openStand, type Stand } from '../support/stand.ts';
import { valueOf, type Header } from '../support/wire.ts';

const JSON_TYPE: Header = ['Content-Type', 'application/json'];
const MIB = 1024 * 1024;
/** So long nothing may hold up the others. */
const HELD_UP_MS = 100;

let stand: Stand;

function standWith(settings: Settings): void {
  before(async () => {
    stand = await openStand({ settings });
  });
  beforeEach(() => stand.clear());
  afterEach(() => stand.holdInvariants());
  after(() => stand.close());
}

const digest = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

/** The upstream tells the digest of what it got. */
function tellDigest(): void {
  stand.script(async (request) => ({ body: digest(await request.whole()) }));
}

describe('a limit on bodies', () => {
  const limit = MIB;
  standWith({ http: { bodyBytesMax: limit } });

  test('refuses a body that announces more before it is read', async () => {
    const connection = await stand.connect();
    await connection.send({
      method: 'POST',
      target: '/openai/v1/files',
      headers: stand.keyed(['Content-Length', String(10 * 1024 * MIB)]),
    });
    const reply = await connection.reply();
    assert.equal(reply.status, 413);
    assert.match(reply.body.toString(), /http\.bodyBytesMax/);
    assert.equal(valueOf(reply.headers, 'connection'), 'close');
    assert.equal(stand.upstream.requests.length, 0);
    connection.close();
  });

  test('takes little of it from a client that sends all the same', async () => {
    const connection = await stand.connect();
    await connection.send({
      method: 'POST',
      target: '/openai/v1/files',
      headers: stand.keyed(['Content-Length', String(300 * MIB)]),
    });
    let sent = 0;
    const sending = (async () => {
      for (; sent < 300 * MIB && !connection.socket.destroyed; sent += 65_536)
        await connection.write(Buffer.alloc(65_536));
    })().catch(() => {});
    assert.equal((await connection.reply()).status, 413);
    await sending;
    // What the system holds for a connection, not what the gateway took.
    assert.ok(sent < 32 * MIB, `${sent} bytes`);
    connection.close();
  });

  test('refuses a body in chunks when the limit is passed, and aborts it upstream', async () => {
    stand.script(async (_request, wire) => {
      await new Promise((resolve) => wire.socket.once('close', resolve));
    });
    const connection = await stand.connect();
    await connection.send({
      method: 'POST',
      target: '/openai/v1/files',
      headers: stand.keyed(['Transfer-Encoding', 'chunked']),
    });
    const sending = (async () => {
      for (let i = 0; i < 64; i++) await connection.write(chunk(Buffer.alloc(65_536)));
    })().catch(() => {});
    const reply = await connection.reply();
    assert.equal(reply.status, 413);
    assert.equal(valueOf(reply.headers, 'connection'), 'close');
    await sending;
    await eventually('the upstream is aborted', () => stand.upstream.requests.every((request) => request.closed), 1000);
    for (const request of stand.upstream.requests) await assert.rejects(request.whole());
    connection.close();
  });

  test('counts the first chunk too, and lets a body pass that just fits', async () => {
    tellDigest();
    const fits = Buffer.alloc(limit, 'x');
    for (const headers of [[] as Header[], [['Transfer-Encoding', 'chunked'] as const]]) {
      const body = headers.length === 0 ? fits : Buffer.concat([chunk(fits), Buffer.from(LAST_CHUNK)]);
      const reply = await stand.ask({ method: 'POST', target: '/openai/v1/files', headers, body });
      assert.equal(reply.body.toString(), digest(fits));
    }
    const oneMore = await stand.ask({ method: 'POST', target: '/openai/v1/files', body: Buffer.alloc(limit + 1) });
    assert.equal(oneMore.status, 413);
  });
});

describe('a small limit on bodies', () => {
  standWith({ http: { bodyBytesMax: 1000 } });

  test('counts a body whose only chunk is too long', async () => {
    const body = Buffer.concat([chunk(Buffer.alloc(2000)), Buffer.from(LAST_CHUNK)]);
    const reply = await stand.ask({
      method: 'POST',
      target: '/openai/v1/files',
      headers: [['Transfer-Encoding', 'chunked']],
      body,
    });
    assert.equal(reply.status, 413);
    assert.equal(stand.upstream.requests.length, 0);
  });
});

describe('bodies without a limit', () => {
  standWith({ upstream: { idleSeconds: 1 } });

  test('ten thousand of any bytes arrive as they were sent', async () => {
    tellDigest();
    const connections = 8;
    const each = 1250;
    await Promise.all(
      Array.from({ length: connections }, async (_, lane) => {
        const connection = await stand.connect();
        for (let i = 0; i < each; i++) {
          const body = bodyOf(lane * each + i);
          await connection.send({
            method: 'POST',
            target: '/openai/v1/responses',
            headers: stand.keyed(JSON_TYPE),
            body,
          });
          assert.equal((await connection.reply()).body.toString(), digest(body), body.toString('base64'));
        }
        connection.close();
      }),
    );
    assert.equal((await stand.recorded(connections * each)).length, connections * each);
  });

  test('forms of many kinds arrive as they were sent, at once', async () => {
    tellDigest();
    const part = (head: string, body: string) => `--b\r\nContent-Disposition: form-data; ${head}\r\n\r\n${body}\r\n`;
    const forms: Record<string, [boundary: string, body: string]> = {
      'a boundary of 10 kB': ['b'.repeat(10_000), `--${'b'.repeat(10_000)}\r\n\r\n--${'b'.repeat(10_000)}--`],
      'a million dashes': ['b', '-'.repeat(1_000_000)],
      'no final boundary': ['b', part('name="model"', 'gpt-6')],
      'ten thousand parts': ['b', part('name="x"', 'y').repeat(10_000)],
      'the model twice': ['b', `${part('name="model"', 'gpt-6')}${part('name="model"', 'gpt-5')}--b--`],
      'line ends in a name': ['b', part('name="a\r\nb"; filename="c\r\n\r\nd"', 'x')],
      'a path for a name': ['b', part('name="file"; filename="../../../etc/passwd"', 'x')],
      'quotes in a name': ['b', part('name="a\\"b"; filename="\\"', 'x')],
      'names of the language': [
        'b',
        part('name="__proto__"', 'x') + part('name="constructor.prototype.x"', 'polluted'),
      ],
      'lines that look like the field': ['b', 'content-disposition:form-data;name=model\r\n'.repeat(25_000)],
      'delimiters and nothing else': ['b', '\r\n--b'.repeat(100_000)],
      'an empty boundary': ['', '--\r\n\r\n----'],
    };
    for (const [what, [boundary, body]] of Object.entries(forms)) {
      const type: Header = ['Content-Type', `multipart/form-data; boundary=${boundary}`];
      const { reply, blockedMs } = await askMeasured(type, body);
      assert.equal(reply, digest(body), what);
      assert.ok(blockedMs < HELD_UP_MS, `${what} held the others up for ${Math.round(blockedMs)} ms`);
    }
  });

  test('texts that are hard on a careless reader are relayed, and hold nobody up', async () => {
    tellDigest();
    const texts: Record<string, string> = {
      'deep nesting': '['.repeat(5_000_000),
      'deep nesting of objects': '{"a":'.repeat(1_000_000),
      'a million tiny objects': `[${'{},'.repeat(1_000_000)}{}]`,
      'fifty thousand keys like numbers': `{${Array.from({ length: 50_000 }, (_, i) => `"${i}":${i}`).join(',')}}`,
      'quotes and backslashes': `{"a":"${'\\"'.repeat(500_000)}`,
      backslashes: `{"a":"${'\\'.repeat(1_000_000)}`,
      'a model of a megabyte': `{"model":"${'m'.repeat(MIB)}"}`,
      'a million models': `{${'"model":"x",'.repeat(80_000)}"model":"y"}`,
      'spaces before the model': `{${' '.repeat(MIB)}"model":"gpt-6"}`,
      'half a surrogate': '{"model":"\\ud800"}',
      'no JSON at all': '\ufeff NaN, undefined, {"a":1}}}}',
      'a model that is no text': '{"model":{"model":["model"]}}',
      'a model of null': '{"model":null}',
    };
    for (const [what, text] of Object.entries(texts)) {
      const { reply, blockedMs } = await askMeasured(JSON_TYPE, text);
      assert.equal(reply, digest(text), what);
      assert.ok(blockedMs < HELD_UP_MS, `${what} held the others up for ${Math.round(blockedMs)} ms`);
    }
  });

  test('what would pollute a careless reader pollutes nothing', async () => {
    const payloads = [
      '{"__proto__":{"x":1}}',
      '{"constructor":{"prototype":{"x":1}}}',
      '{"model":"__proto__","metadata":{"__proto__":{"x":1}}}',
    ];
    for (const body of payloads) {
      stand.script(() => ({
        headers: [JSON_TYPE],
        body: body.replace('}}', '}},"usage":{"__proto__":{"x":1}},"model":"__proto__"'),
      }));
      assert.equal(
        (await stand.ask({ method: 'POST', target: '/openai/v1/responses', headers: [JSON_TYPE], body })).status,
        200,
      );
    }
    assert.equal(({} as Record<string, unknown>)['x'], undefined);
    assert.deepEqual(Object.keys(Object.prototype), []);
  });

  test('an empty POST is relayed as it is', async () => {
    for (const headers of [[['Content-Length', '0']], [['Transfer-Encoding', 'chunked']]] as Header[][]) {
      stand.upstream.requests.length = 0;
      const body = headers[0]![0] === 'Transfer-Encoding' ? LAST_CHUNK : '';
      assert.equal(
        (await stand.ask({ method: 'POST', target: '/openai/v1/batches/b/cancel', headers, body })).status,
        200,
      );
      assert.equal((await (await stand.upstream.only()).whole()).length, 0);
    }
  });

  test('fifty clients that send a byte now and then hold nobody up, and those that stop are let go', async () => {
    tellDigest();
    const open = async (length: number) => {
      const connection = await stand.connect();
      await connection.send({
        method: 'POST',
        target: '/openai/v1/responses',
        headers: stand.keyed(['Content-Length', String(length)]),
      });
      await connection.write('x');
      return connection;
    };
    const slow = await Promise.all(Array.from({ length: 25 }, () => open(8)));
    const stopped = await Promise.all(Array.from({ length: 25 }, (_, i) => open(i % 2 === 0 ? 100 : 1_000_000)));
    const dripping = Promise.all(slow.map((connection) => drip(connection, 7)));
    const told = await Promise.all(stopped.map((connection) => connection.reply()));
    assert.deepEqual(new Set(told.map((reply) => reply.status)), new Set([408]));
    await dripping;
    for (const reply of await Promise.all(slow.map((connection) => connection.reply()))) {
      assert.equal(reply.body.toString(), digest('xxxxxxxx'));
    }
    for (const connection of [...slow, ...stopped]) connection.close();
  });
});

async function drip(connection: RawConnection, bytes: number): Promise<void> {
  for (let i = 0; i < bytes; i++) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    await connection.write('x');
  }
}

/** Of many forms, most of them small; the same for the same number. */
function bodyOf(number: number): Buffer {
  const random = createHash('sha512').update(String(number)).digest();
  const length = number % 100 === 0 ? 70_000 + random.readUInt16LE(0) : random.readUInt16LE(0) % 2000;
  switch (number % 4) {
    case 0:
      return randomBytes(length);
    case 1:
      return Buffer.from(
        `{"n":${random.readBigUInt64LE(2)},"f":1.0,"z":-0,"e":1E400,"s":"a\\/b\\u00e9\\ud83d\\ude42",  "n":2}`,
      );
    case 2:
      return Buffer.from(`{"model":"gpt-6","input":"${random.toString('latin1')}"}`, 'latin1');
    default:
      return Buffer.from(random.toString('hex').repeat(Math.ceil(length / 128)));
  }
}

/**
 * One POST, and the longest time for which nothing else in this process had its turn: the shortest of a few tries, so that
 * what the machine does besides does not count.
 */
async function askMeasured(type: Header, body: string): Promise<{ reply: string; blockedMs: number }> {
  const bytes = Buffer.from(body);
  let shortestMs = Number.POSITIVE_INFINITY;
  let reply = '';
  for (let i = 0; i < 4 && shortestMs >= HELD_UP_MS; i++) {
    let longestMs = 0;
    let isOver = false;
    const watching = (async () => {
      for (let last = performance.now(); !isOver;) {
        await nextTurn();
        const now = performance.now();
        longestMs = Math.max(longestMs, now - last);
        last = now;
      }
    })();
    const request = { method: 'POST', target: '/openai/v1/responses', headers: [type], body: bytes };
    reply = (await stand.ask(request)).body.toString();
    isOver = true;
    await watching;
    shortestMs = Math.min(shortestMs, longestMs);
  }
  return { reply, blockedMs: shortestMs };
}
