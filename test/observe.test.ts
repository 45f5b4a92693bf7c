// However a reply is cut into chunks, what is read from its ends is the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import type { ReplyFacts } from '../src/domain/facts.ts';
import { observeReply } from '../src/proxy/observe.ts';

function factsOf(chunks: readonly Buffer[]): ReplyFacts | null {
  const observer = observeReply('text/event-stream', '');
  assert.ok(observer);
  for (const chunk of chunks) observer.feed(chunk);
  let facts: ReplyFacts | null = null;
  observer.finish((told) => {
    facts = told;
  });
  return facts;
}

test('any chunking of a stream of any length gives the same usage and model', () => {
  const filler =
    'data: {"id":"c","model":"gpt-4o-2024-08-06","choices":[{"delta":{"content":"text"}}],"usage":null}\n\n';
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1500 }),
      fc.integer({ min: 0, max: 5000 }),
      fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 12 }),
      (events, total, sizes) => {
        const last = `data: {"id":"c","model":"gpt-4o-2024-08-06","choices":[],"usage":{"total_tokens":${total}}}\n\ndata: [DONE]\n\n`;
        const stream = Buffer.from(filler.repeat(events) + last);
        const chunks: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length]!;
          chunks.push(stream.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(factsOf(chunks), { usage: { total_tokens: total }, model: 'gpt-4o-2024-08-06' });
      },
    ),
    { numRuns: 60 },
  );
});

test('one byte at a time is read like one piece', () => {
  const stream = Buffer.from('data: {"model":"m-1","usage":{"input_tokens":3}}\n\n');
  assert.deepEqual(factsOf([...stream].map((byte) => Buffer.from([byte]))), factsOf([stream]));
});
