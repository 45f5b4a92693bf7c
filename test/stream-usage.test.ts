// Usage is asked for in streams that do not ask for it, and what that adds is taken out again: the client's bytes are those of a
// stream that nobody touched. The scripted upstream honours `include_usage` as OpenAI does.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import fc from 'fast-check';

import type { Admission } from '../src/domain/exchange.ts';
import { KEY_DEFAULTS } from '../src/domain/key.ts';
import { findEndpoint } from '../src/openai/endpoints.ts';
import { scanRequest } from '../src/openai/request.ts';
import { amendBody } from '../src/proxy/amend.ts';
import { UsageStrip } from '../src/proxy/usage-strip.ts';
import { EVENT_STREAM } from './support/chunked.ts';
import { eventually } from './support/eventually.ts';
import type { RecordedRequest, ScriptedReply } from './support/recorder.ts';
import { openStand, type Stand } from './support/stand.ts';
import { type Header, valueOf, valuesOf } from './support/wire.ts';

const CHAT = '/openai/v1/chat/completions';
const USAGE = { prompt_tokens: 9, completion_tokens: 12, total_tokens: 21 };

/** How an upstream writes its events. */
interface Manner {
  readonly lineEnd: '\n' | '\r\n' | '\r';
  /** Python's separators have a space behind them. */
  readonly isSpaced: boolean;
  readonly isNamed: boolean;
  readonly hasObfuscation: boolean;
  readonly hasComments: boolean;
  readonly isDone: boolean;
  readonly usageFirst: boolean;
  /** An event's data stands on several lines. */
  readonly isManyLined: boolean;
}

const manner = fc.record<Manner>({
  lineEnd: fc.constantFrom('\n', '\n', '\r\n', '\r'),
  isSpaced: fc.boolean(),
  isNamed: fc.boolean(),
  hasObfuscation: fc.boolean(),
  hasComments: fc.boolean(),
  isDone: fc.boolean(),
  usageFirst: fc.boolean(),
  isManyLined: fc.boolean(),
});
const PLAIN: Manner = {
  lineEnd: '\n',
  isSpaced: false,
  isNamed: false,
  hasObfuscation: true,
  hasComments: false,
  isDone: true,
  usageFirst: false,
  isManyLined: false,
};

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    ',"usage":null',
    '"usage":{"total_tokens":1}',
    '"choices":[]',
    '\r\n\r\ndata: x',
    '{[',
    '\\"',
    '"}',
    'é😀',
  ),
);
const delta = fc.oneof(
  fc.record({ content: text }),
  fc.record({ role: fc.constant('assistant'), content: fc.constant(''), refusal: fc.constant(null) }),
  fc.record({
    tool_calls: fc.array(fc.record({ index: fc.nat(3), function: fc.record({ arguments: text }) }), { maxLength: 2 }),
  }),
  // Nobody's usage but the model's own words.
  fc.record({ usage: fc.constant(null), content: text }),
);
const choices = fc.array(
  fc.record({ index: fc.nat(3), delta, logprobs: fc.constant(null), finish_reason: fc.constantFrom(null, 'stop') }),
  { minLength: 1, maxLength: 3 },
);
/** Azure's first chunk has no choices and no usage either. */
const events = fc.array(fc.oneof({ weight: 6, arbitrary: choices }, { weight: 1, arbitrary: fc.constant([]) }), {
  maxLength: 6,
});

/** The stream that an upstream sends: with usage where it was asked for. */
function streamOf(list: readonly (readonly object[])[], asked: boolean, how: Manner): Buffer {
  const { lineEnd, isSpaced, isNamed, hasObfuscation, hasComments, isDone, usageFirst, isManyLined } = how;
  const lines: string[] = [];
  const write = (value: object): string => {
    if (isManyLined) return JSON.stringify(value, null, isSpaced ? 2 : 1);
    const json = JSON.stringify(value);
    // Only between members of the chunk itself, so that no text is touched.
    return isSpaced
      ? json
          .replace(/^\{"id":"c",/, '{"id": "c", ')
          .replace(/,"usage":/g, (_, at: number) => (isChunkMember(json, at) ? ', "usage": ' : ',"usage":'))
      : json;
  };
  const event = (json: string) => {
    if (hasComments) lines.push(': keep-alive', '');
    if (isNamed) lines.push('event: chunk', 'id: 7');
    if (hasComments) lines.push(':');
    // A parser of event streams puts a line end between them, and takes one space away.
    lines.push(...json.split('\n').map((line) => `data:${isSpaced ? ' ' : ''}${line}`), '');
  };
  const usage = (value: object | null) => (asked ? { usage: value } : {});
  list.forEach((each, i) => {
    const member = { choices: each };
    event(
      write({
        id: 'c',
        object: 'chat.completion.chunk',
        ...(usageFirst ? { ...usage(null), ...member } : { ...member, ...usage(null) }),
        ...(hasObfuscation ? { obfuscation: 'x'.repeat(i) } : {}),
      }),
    );
  });
  if (asked) {
    event(
      write({
        id: 'c',
        object: 'chat.completion.chunk',
        choices: [],
        usage: USAGE,
        ...(hasObfuscation ? { obfuscation: '' } : {}),
      }),
    );
  } else if (hasComments) {
    lines.push(': keep-alive', '', ':');
  }
  if (isDone) lines.push('data: [DONE]', '');
  return Buffer.from(lines.map((line) => line + lineEnd).join(''));
}

function isChunkMember(json: string, at: number): boolean {
  try {
    // What stands before a member of the chunk itself is an object when it is closed.
    JSON.parse(`${json.slice(0, at)}}`);
    return true;
  } catch {
    return false;
  }
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 100, max: 900 })), {
  minLength: 1,
  maxLength: 6,
});

describe('what the question for usage put into a stream', () => {
  test('is taken out at any chunking, and nothing else is', () => {
    fc.assert(
      fc.property(events, manner, sizes, (list, how, cuts) => {
        const strip = new UsageStrip();
        const passed = cut(streamOf(list, true, how), cuts).map((chunk) => strip.feed(chunk));
        assert.equal(Buffer.concat([...passed, strip.end()]).toString(), streamOf(list, false, how).toString());
      }),
      { numRuns: 2000 },
    );
  });

  test('an event is passed on with its last byte, and what has gone is never more than the client would have had', () => {
    fc.assert(
      fc.property(events, manner, sizes, (list, how, cuts) => {
        const strip = new UsageStrip();
        const plain = streamOf(list, false, how);
        const amended = streamOf(list, true, how);
        const blank = how.lineEnd + how.lineEnd;
        let came = 0;
        let gone = Buffer.alloc(0);
        for (const chunk of cut(amended, cuts)) {
          came += chunk.length;
          gone = Buffer.concat([gone, strip.feed(chunk)]);
          assert.ok(plain.subarray(0, gone.length).equals(gone), 'not the beginning of the stream');
          const whole = amended.subarray(0, came).toString().split(blank).length - 1;
          // The last chunk, and with it one blank line, is the client's no more.
          const due = plain
            .toString()
            .split(blank)
            .slice(0, Math.max(0, whole - 1))
            .join(blank);
          assert.ok(gone.length >= Buffer.byteLength(due), 'an event is held back');
        }
      }),
      { numRuns: 500 },
    );
  });

  test('a stream without usage comes back as the same chunks, and a line of any length passes', () => {
    const strip = new UsageStrip();
    const chunk = Buffer.from('data: {"choices":[{"delta":{"content":"usage"}}]}\n\n');
    assert.equal(strip.feed(chunk), chunk);
    const long = [
      Buffer.from('data: {"audio":"'),
      ...Array.from({ length: 64 }, () => Buffer.alloc(16 * 1024, 'A')),
      Buffer.from('","usage":null}\n\n'),
    ];
    const passed = long.map((each) => strip.feed(each));
    assert.ok(Buffer.concat(passed).equals(Buffer.concat(long)));
    assert.equal(
      strip.feed(Buffer.from('data: {"choices":[{}],"usage":null}\n\n')).toString(),
      'data: {"choices":[{}]}\n\n',
    );
  });
});

describe('the question for usage', () => {
  const admission = (streamUsage: 'inject' | 'estimate', ...headers: string[]) =>
    ({
      arrival: {
        endpoint: findEndpoint('POST', '/v1/chat/completions'),
        rawHeaders: ['Content-Type', 'application/json', ...headers],
      },
      caller: { key: { ...KEY_DEFAULTS, streamUsage } },
      // Nothing else of an admission is looked at.
    }) as unknown as Admission;
  const amend = (body: string, admitted = admission('inject')) => {
    const bytes = Buffer.from(body);
    const scan = scanRequest('application/json', '');
    scan.feed(bytes);
    scan.end();
    return amendBody(admitted, { bytes, isWhole: true }, scan)?.toString() ?? null;
  };

  const CASES: readonly (readonly [body: string, amended: string | null])[] = [
    ['{"stream":true}', '{"stream":true,"stream_options":{"include_usage":true}}'],
    ['\n{ "n": 1e0, "stream" :true\n}\n', '\n{ "n": 1e0, "stream" :true\n,"stream_options":{"include_usage":true}}\n'],
    ['{"stream_options":{},"stream":true}', '{"stream_options":{"include_usage":true},"stream":true}'],
    [
      '{"stream":true,"stream_options": { "include_obfuscation":false } }',
      '{"stream":true,"stream_options": {"include_usage":true, "include_obfuscation":false } }',
    ],
    ['{"stream":true,"stream_options":null}', '{"stream":true,"stream_options":{"include_usage":true}}'],
    [
      '{"stream_options":{"include_usage": false},"stream":true}',
      '{"stream_options":{"include_usage": true},"stream":true}',
    ],
    [
      '{"stream_options":{"include_usage":null ,"a":{}},"stream":true}',
      '{"stream_options":{"include_usage":true ,"a":{}},"stream":true}',
    ],
    ['{"é":"\\u0022}","stream":true}', '{"é":"\\u0022}","stream":true,"stream_options":{"include_usage":true}}'],
    ['{"stream":true,"stream_options":{"include_usage":true}}', null],
    ['{"stream":true,"stream_options":{"include_usage":"yes"}}', null],
    ['{"stream":true,"stream_options":[]}', null],
    ['{"stream":true,"stream_options":{},"stream_options":{}}', null],
    ['{"stream":false}', null],
    ['{"stream":true', null],
    ['{}', null],
  ];
  for (const [body, expected] of CASES) {
    test(`${JSON.stringify(body)} becomes ${expected === null ? 'nothing else' : JSON.stringify(expected)}`, () => {
      assert.equal(amend(body), expected);
    });
  }

  test('is not put by a key that has usage estimated, nor where the body is signed or the reply must be compressed', () => {
    const body = '{"stream":true}';
    assert.equal(amend(body, admission('estimate')), null);
    assert.equal(amend(body, admission('inject', 'Content-Digest', 'sha-256=:x:')), null);
    assert.equal(amend(body, admission('inject', 'Accept-Encoding', 'gzip, identity;q=0')), null);
    assert.notEqual(amend(body, admission('inject', 'Accept-Encoding', 'gzip;q=1.0, *;q=0.5')), null);
  });
});

describe('through the gateway', () => {
  let stand: Stand;
  before(async () => {
    stand = await openStand();
  });
  beforeEach(() => stand.clear());
  afterEach(() => stand.holdInvariants());
  after(() => stand.close());

  const JSON_HEADERS: readonly Header[] = [
    ['Content-Type', 'application/json'],
    ['Accept-Encoding', 'gzip, br'],
  ];
  const ask = (body: string, target = CHAT, headers = JSON_HEADERS) =>
    stand.ask({ method: 'POST', target, headers, body });

  /** Honours the option, as OpenAI does. */
  async function honour(
    request: RecordedRequest,
    list: readonly (readonly object[])[],
    how: Manner,
    cuts: readonly number[],
  ) {
    const body = JSON.parse((await request.whole()).toString()) as { stream_options?: { include_usage?: boolean } };
    const stream = streamOf(list, body.stream_options?.include_usage === true, how);
    return {
      headers: EVENT_STREAM,
      framing: 'none',
      body: cut(stream, cuts)
        .map(asChunk)
        .concat(['0\r\n\r\n'] as never),
    } as ScriptedReply;
  }
  const asChunk = (bytes: Buffer) =>
    Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);

  const WORDS = [
    [{ index: 0, delta: { content: 'one' } }],
    [{ index: 0, delta: { content: ',"usage":null' }, finish_reason: 'stop' }],
  ];

  test('the client gets the stream it asked for, and the record has its usage', async () => {
    await fc.assert(
      fc.asyncProperty(
        events,
        manner,
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 4 }),
        fc.constantFrom(
          {},
          { stream_options: { include_obfuscation: false } },
          { stream_options: { include_usage: false } },
          { n: 2 },
        ),
        async (list, how, cuts, extra) => {
          stand.clear();
          stand.script((request) => honour(request, list, how, cuts));
          const reply = await ask(JSON.stringify({ model: 'gpt-6', messages: [], stream: true, ...extra }));
          assert.ok(reply.isWhole);
          assert.equal(reply.body.toString(), streamOf(list, false, how).toString());
          const [record] = await stand.recorded(1);
          // OpenAI's chunks are unnamed, and that is how they are known.
          if (how.lineEnd !== '\r' && !how.isNamed) assert.deepEqual(record!.usage.raw, USAGE);
          assert.equal(record!.bytes.out, reply.body.length);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('upstream sees the client’s bytes with the question put in, their length, and no wish for compression', async () => {
    stand.script((request) => honour(request, WORDS, PLAIN, [1000]));
    await ask('{"model":"gpt-6","stream":true}');
    const request = await stand.upstream.only();
    assert.equal(
      (await request.whole()).toString(),
      '{"model":"gpt-6","stream":true,"stream_options":{"include_usage":true}}',
    );
    assert.deepEqual(valuesOf(request.headers, 'accept-encoding'), ['identity']);
    assert.equal(valueOf(request.headers, 'content-length'), String((await request.whole()).length));
  });

  test('a request that asks itself, or asks for no stream, goes as it came, and its reply comes as it was sent', async () => {
    for (const body of [
      '{"stream":true,"stream_options":{"include_usage":true}}',
      '{"stream":false}',
      '{"model":"gpt-6"}',
    ]) {
      stand.clear();
      stand.script((request) => honour(request, WORDS, PLAIN, [50]));
      const reply = await ask(body);
      const request = await stand.upstream.only();
      assert.equal((await request.whole()).toString(), body);
      assert.deepEqual(valuesOf(request.headers, 'accept-encoding'), ['gzip, br']);
      assert.equal(reply.body.toString(), streamOf(WORDS, body.includes('include_usage'), PLAIN).toString());
    }
  });

  test('streams that report by themselves are not asked', async () => {
    stand.script(() => ({ headers: EVENT_STREAM, framing: 'none', body: ['0\r\n\r\n'] }));
    await ask('{"model":"gpt-6","stream":true}', '/openai/v1/responses');
    assert.equal((await (await stand.upstream.only()).whole()).toString(), '{"model":"gpt-6","stream":true}');
  });

  test('a body of 900 KB is asked too, announced or not; one of 2 MB streams by untouched', async () => {
    for (const [kib, isChunked, isAsked] of [
      [900, false, true],
      [900, true, true],
      [2048, false, false],
      [2048, true, false],
    ] as const) {
      stand.clear();
      stand.script((request) => honour(request, WORDS, PLAIN, [70]));
      const body = `{"messages":["${'word '.repeat((kib * 1024) / 5)}"],"stream":true}`;
      const reply = isChunked
        ? await ask(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`, CHAT, [
            ...JSON_HEADERS,
            ['Transfer-Encoding', 'chunked'],
          ])
        : await ask(body);
      const sent = (await (await stand.upstream.only()).whole()).toString();
      assert.equal(sent, isAsked ? `${body.slice(0, -1)},"stream_options":{"include_usage":true}}` : body);
      assert.equal(reply.body.toString(), streamOf(WORDS, false, PLAIN).toString());
    }
  });

  test('an error or a plain answer to an amended request passes untouched', async () => {
    const json = { headers: [['Content-Type', 'application/json']] as const, body: '{"choices":[],"usage":null}' };
    for (const status of [200, 400, 429, 500]) {
      stand.clear();
      stand.script(() => ({ ...json, status }));
      const reply = await ask('{"stream":true}');
      assert.deepEqual([reply.status, reply.body.toString()], [status, json.body]);
      assert.equal(stand.upstream.requests.length, 1);
    }
  });

  test('a stream that breaks off midway was the client’s own up to there, and breaks off for it too', async () => {
    const amended = streamOf(WORDS, true, PLAIN);
    stand.script(() => ({
      headers: EVENT_STREAM,
      framing: 'none',
      body: [asChunk(amended.subarray(0, 150))],
      ending: 'reset',
    }));
    const reply = await ask('{"stream":true}');
    assert.equal(reply.isWhole, false);
    assert.ok(streamOf(WORDS, false, PLAIN).toString().startsWith(reply.body.toString()));
  });

  test('a client that leaves midway ends the upstream’s stream', async () => {
    const [first] = cut(streamOf(WORDS, true, PLAIN), [150]);
    stand.script(async (request, wire) => {
      await request.whole();
      await wire.head(200, 'OK', EVENT_STREAM);
      await wire.write(asChunk(first!));
    });
    const connection = await stand.connect();
    await connection.send({
      method: 'POST',
      target: CHAT,
      headers: stand.keyed(...JSON_HEADERS),
      body: '{"stream":true}',
    });
    await connection.head();
    connection.close();
    await eventually('the upstream is let go of', () => stand.upstream.requests[0]?.closed === true);
    const [record] = await stand.recorded(1);
    assert.equal(record!.ending, 'downstream_left');
    assert.notEqual(record!.usage.source, 'reported');
  });
});

describe('an upstream that does not know the question', () => {
  const objection = {
    error: { message: 'Unrecognized request argument supplied: stream_options', type: 'invalid_request_error' },
  };

  test('is sent the client’s own request instead, and is not asked again', async () => {
    const stand = await openStand();
    try {
      stand.script(async (request): Promise<ScriptedReply> => {
        const body = (await request.whole()).toString();
        if (body.includes('stream_options')) {
          return { status: 400, headers: [['Content-Type', 'application/json']], body: JSON.stringify(objection) };
        }
        return { headers: [['Content-Type', 'text/event-stream']], body: streamOf([], false, PLAIN) };
      });
      const request = {
        method: 'POST',
        target: CHAT,
        headers: [['Content-Type', 'application/json']] as const,
        body: '{"stream":true}',
      };
      const reply = await stand.ask(request);
      assert.deepEqual([reply.status, reply.body.toString()], [200, 'data: [DONE]\n\n']);
      const bodies = await Promise.all(stand.upstream.requests.map(async (each) => (await each.whole()).toString()));
      assert.deepEqual(bodies, ['{"stream":true,"stream_options":{"include_usage":true}}', '{"stream":true}']);
      const [record] = await stand.recorded(1);
      assert.deepEqual(
        record!.attempts.map(({ status }) => status),
        [400, 200],
      );

      await stand.ask(request);
      assert.equal(stand.upstream.requests.length, 3);
      await stand.holdInvariants();
    } finally {
      await stand.close();
    }
  });
});
