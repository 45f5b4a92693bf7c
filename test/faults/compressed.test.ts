// Compressed replies pass as they are; only a copy is opened, and only so far (U17, B05, B06).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';

import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { openStand, type Stand } from '../support/stand.ts';
import type { Header } from '../support/wire.ts';

const MIB = 1024 * 1024;
const QUICKLY = { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } };
const ENCODINGS = {
  gzip: gzipSync,
  br: (bytes: Buffer) => brotliCompressSync(bytes, QUICKLY),
  zstd: zstdCompressSync,
  deflate: deflateSync,
};

let stand: Stand;
before(async () => {
  stand = await openStand();
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

/** A JSON reply of about so many bytes, its usage at the end. */
function jsonOf(bytes: number): Buffer {
  return Buffer.from(`{"model":"gpt-6","filler":"${' '.repeat(bytes)}","usage":{"total_tokens":21}}`);
}

/** Asserts that the client gets these bytes, and gives what was recorded. */
async function passes(body: Buffer, encoding: string): Promise<ExchangeRecord> {
  stand.clear();
  const headers: Header[] = [
    ['Content-Type', 'application/json'],
    ['Content-Encoding', encoding],
  ];
  stand.script(() => ({ headers, body, framing: 'chunked' }));
  const reply = await stand.ask({ method: 'POST', target: '/openai/v1/responses', body: '{}' });
  assert.equal(reply.status, 200);
  assert.ok(reply.body.equals(body), 'the bytes were changed');
  return (await stand.recorded(1))[0]!;
}

test('usage is read from each encoding, and the bytes pass untouched', async () => {
  for (const [encoding, compress] of Object.entries(ENCODINGS)) {
    const record = await passes(compress(jsonOf(MIB)), encoding);
    assert.deepEqual(record.usage, { source: 'reported', readings: null, raw: { total_tokens: 21 } }, encoding);
  }
});

test('a body that is not what its encoding says passes all the same, without usage', async () => {
  for (const [encoding, compress] of Object.entries(ENCODINGS)) {
    const good = compress(jsonOf(10_000));
    const flipped = Buffer.from(good);
    for (let at = 5; at < flipped.length; at += 7) flipped[at] = flipped[at]! ^ 0x5a;
    const bad = {
      'no such thing': Buffer.from('not compressed at all'),
      'cut short': good.subarray(0, Math.floor(good.length / 2)),
      'bits flipped': flipped,
      'nothing at all': Buffer.alloc(0),
      'more behind its end': Buffer.concat([good, Buffer.from('trailing garbage')]),
    };
    for (const [what, body] of Object.entries(bad)) {
      const record = await passes(body, encoding);
      assert.equal(record.ending, 'complete', `${encoding}: ${what}`);
      if (what !== 'more behind its end') assert.equal(record.usage.raw, null, `${encoding}: ${what}`);
    }
  }
});

test('a bomb passes as its few bytes, and is opened to 32 MiB and no further', async () => {
  for (const [encoding, compress] of Object.entries(ENCODINGS)) {
    const under = await passes(compress(jsonOf(31 * MIB)), encoding);
    assert.equal(under.usage.source, 'reported', encoding);
    const over = await passes(compress(jsonOf(33 * MIB)), encoding);
    assert.equal(over.usage.source, 'absent', encoding);
  }
});

test('an encoding within an encoding, a thousand of them and one unheard of are not opened', async () => {
  const body = gzipSync(gzipSync(jsonOf(1000)));
  for (const encoding of ['gzip, gzip', Array.from({ length: 1000 }, () => 'gzip').join(', '), 'rot13', '', ' ,']) {
    const record = await passes(body, encoding);
    assert.equal(record.usage.raw, null, encoding.slice(0, 40));
  }
});
