// However a reply is cut into chunks, what is read of it is the same; and whatever it is, little memory is used.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

import fc from 'fast-check';

import type { ReplyFacts } from '../src/domain/facts.ts';
import { findEndpoint } from '../src/openai/endpoints.ts';
import { observeReply } from '../src/proxy/observe.ts';

const SSE = 'text/event-stream; charset=utf-8';
const JSON_TYPE = 'application/json';

function factsOf(chunks: Iterable<Buffer>, type = SSE, path = '/v1/chat/completions', method = 'POST'): ReplyFacts {
  const observer = observeReply(type, '', findEndpoint(method, path));
  assert.ok(observer);
  for (const chunk of chunks) observer.feed(chunk);
  let facts: ReplyFacts | null = null;
  observer.finish((told) => {
    facts = told;
  });
  assert.ok(facts);
  return facts;
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    chunks.push(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  return chunks;
}

const named = (event: Record<string, unknown>) => `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`;
const unnamed = (event: unknown) => `data: ${JSON.stringify(event)}\n\n`;

const chunk = (content: string, usage: unknown = null) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  model: 'gpt-4o-2024-08-06',
  service_tier: 'default',
  choices: usage === null ? [{ index: 0, delta: { content } }] : [],
  usage,
});
const CHAT_USAGE = { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 };
const TEXT_OF_USAGE = 'it says "usage":{"prompt_tokens":1} and \\"usage": {"total_tokens":2}\n\ndata: {"usage":{}}';
const CHAT = [
  unnamed(chunk('')),
  unnamed(chunk('Hello ')),
  ': keep-alive\n\n',
  unnamed(chunk(TEXT_OF_USAGE)),
  unnamed(chunk('grüße 🌍')),
  unnamed(chunk('', CHAT_USAGE)),
  'data: [DONE]\n\n',
].join('');

const RESPONSE = {
  id: 'resp_1',
  object: 'response',
  model: 'gpt-6-luna-2026-09-22',
  service_tier: 'flex',
  tools: [{ type: 'web_search' }, { type: 'image_generation', model: 'gpt-image-2' }, { type: 'code_interpreter' }],
  metadata: { usage: 'of a client', type: 'response.failed' },
};
const ITEMS = [
  { id: 'ws_1', type: 'web_search_call', status: 'completed', action: { type: 'search', query: '"usage":{}' } },
  { id: 'ws_2', type: 'web_search_call', status: 'completed', action: { type: 'open_page', url: 'https://x' } },
  { id: 'fs_1', type: 'file_search_call', queries: ['a'], results: null },
  {
    id: 'ci_1',
    type: 'code_interpreter_call',
    container_id: 'cntr_1',
    code: 'print("usage")',
    outputs: [{ logs: '{}' }],
  },
  { id: 'sh_1', type: 'shell_call', environment: { type: 'container_reference', container_id: 'cntr_2' } },
  { id: 'ig_1', type: 'image_generation_call', result: 'A'.repeat(9000) },
  { id: 'fc_1', type: 'function_call', arguments: '{"usage":{"total_tokens":99}}' },
  { id: 'msg_1', type: 'message', content: [{ type: 'output_text', text: 'web_search_call' }] },
];
const RESPONSE_USAGE = { input_tokens: 10, output_tokens: 300, total_tokens: 310 };
const TOOL_USAGE = {
  image_gen: { input_tokens: 5, output_tokens: 7, total_tokens: 12 },
  web_search: { num_requests: 1 },
};
const RESPONSES = [
  named({ type: 'response.created', response: { ...RESPONSE, status: 'in_progress', output: [], usage: null } }),
  named({ type: 'response.in_progress', response: { ...RESPONSE, status: 'in_progress', output: [], usage: null } }),
  ...ITEMS.flatMap((item) => [
    named({ type: 'response.output_item.added', item }),
    named({ type: 'response.output_text.delta', delta: 'a "usage": {} of it ' }),
    named({ type: 'response.output_item.done', item }),
  ]),
  named({
    type: 'response.completed',
    response: { ...RESPONSE, status: 'completed', output: ITEMS, usage: RESPONSE_USAGE, tool_usage: TOOL_USAGE },
  }),
].join('');
const TOOL_CALLS = { web_search: 1, file_search: 1, code_interpreter: 1, image_generation: 1 };

const image = (type: string, usage?: unknown) => ({ type, b64_json: 'A'.repeat(6000), size: '1024x1024', usage });
const IMAGES = [
  named(image('image_generation.partial_image')),
  named(image('image_generation.completed', { total_tokens: 1 })),
  named(image('image_generation.partial_image')),
  named(image('image_generation.completed', { total_tokens: 2 })),
].join('');

const RUN = [
  named({ type: 'x' }),
  'event: thread.run.step.completed\ndata: {"id":"step_1","usage":{"total_tokens":1}}\n\n',
  'event: thread.run.completed\ndata: {"id":"run_1","object":"thread.run","status":"completed","usage":{"total_tokens":2}}\n\n',
  'event: done\ndata: [DONE]\n\n',
].join('');

test('every cut of a stream in two, and one byte at a time, give the same facts', () => {
  for (const text of [
    CHAT,
    RESPONSES.replaceAll('A'.repeat(9000), 'AAA'),
    RUN,
    CHAT.replaceAll('\n', '\r\n'),
    CHAT.replaceAll('\n', '\r'),
  ]) {
    const stream = Buffer.from(text);
    const whole = factsOf([stream]);
    assert.equal(whole.usages.length, 1);
    for (let at = 0; at <= stream.length; at++) {
      assert.deepEqual(factsOf([stream.subarray(0, at), stream.subarray(at)]), whole, `cut at ${at}`);
    }
    assert.deepEqual(factsOf(cut(stream, [1])), whole);
  }
});

test('any chunking of streams of any length gives the same facts', () => {
  const streams = [CHAT, RESPONSES, IMAGES, RUN];
  fc.assert(
    fc.property(
      fc.constantFrom(...streams),
      fc.integer({ min: 0, max: 300 }),
      fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 12 }),
      (text, extra, sizes) => {
        const events = text.split(/(?<=\n\n)/);
        const filler =
          text === CHAT ? unnamed(chunk('word')) : named({ type: 'response.output_text.delta', delta: 'word' });
        const middle = Math.min(2, events.length - 1);
        const stream = Buffer.from(
          events.slice(0, middle).join('') + filler.repeat(extra) + events.slice(middle).join(''),
        );
        assert.deepEqual(factsOf(cut(stream, sizes)), factsOf([stream]));
      },
    ),
    { numRuns: 80 },
  );
});

test('a chat stream tells its model, tier and usage, and text that speaks of usage fools nobody', () => {
  const facts = factsOf([Buffer.from(CHAT)]);
  assert.deepEqual(facts.usages, [CHAT_USAGE]);
  assert.equal(facts.model, 'gpt-4o-2024-08-06');
  assert.equal(facts.serviceTier, 'default');
  assert.equal(facts.id, 'chatcmpl-1');
  assert.equal(facts.outputText, '');
});

test('usage is found however its JSON is spaced', () => {
  for (const usage of [
    '"usage" : { "total_tokens" : 13 }',
    '"usage":\t{"total_tokens":13}',
    '"usage":{"total_tokens":13}',
  ]) {
    const stream = `${unnamed(chunk('a'))}${unnamed(chunk('b'))}${unnamed(chunk('c'))}data: {"choices": [], ${usage}}\n\n`;
    assert.deepEqual(factsOf([Buffer.from(stream)]).usages, [{ total_tokens: 13 }]);
  }
});

test('a Responses stream tells tier, usage, tool calls and containers by its last event', () => {
  const facts = factsOf([Buffer.from(RESPONSES)]);
  assert.deepEqual(facts.usages, [RESPONSE_USAGE]);
  assert.equal(facts.model, 'gpt-6-luna-2026-09-22');
  assert.equal(facts.serviceTier, 'flex');
  assert.equal(facts.status, 'completed');
  assert.deepEqual(facts.toolCalls, TOOL_CALLS);
  assert.deepEqual(facts.containers, ['cntr_1', 'cntr_2']);
  assert.deepEqual(facts.imageTool, { model: 'gpt-image-2', usage: TOOL_USAGE.image_gen });
});

test('tool calls of a Responses stream that broke off are those whose end was told', () => {
  const whole = RESPONSES.indexOf('event: response.completed');
  const facts = factsOf([Buffer.from(RESPONSES.slice(0, whole))]);
  assert.deepEqual(facts.usages, []);
  assert.equal(facts.id, 'resp_1');
  assert.equal(facts.status, 'in_progress');
  assert.deepEqual(facts.toolCalls, TOOL_CALLS);
  assert.deepEqual(facts.containers, ['cntr_1', 'cntr_2']);
  assert.equal(facts.outputText, 'a "usage": {} of it '.repeat(ITEMS.length));
  const half = factsOf([Buffer.from(RESPONSES.slice(0, RESPONSES.indexOf('"type":"file_search_call"')))]);
  assert.deepEqual(half.toolCalls, { web_search: 1 });
});

test('each image of a stream has its own usage', () => {
  assert.deepEqual(factsOf([Buffer.from(IMAGES)]).usages, [{ total_tokens: 1 }, { total_tokens: 2 }]);
});

test('every kind of stream that reports usage is read, and each report counts', () => {
  const report = { input_tokens: 14, output_tokens: 101, total_tokens: 115 };
  const streams: readonly (readonly [name: string, events: readonly Record<string, unknown>[], reports: number])[] = [
    [
      'speech',
      [
        { type: 'speech.audio.delta', audio: 'A'.repeat(9000) },
        { type: 'speech.audio.delta', audio: 'A'.repeat(9) },
        { type: 'speech.audio.done', usage: report },
      ],
      1,
    ],
    [
      'transcription',
      [
        { type: 'transcript.text.delta', delta: 'I' },
        { type: 'transcript.text.delta', delta: ' see' },
        { type: 'transcript.text.done', text: 'I see', usage: report },
      ],
      1,
    ],
    [
      'incomplete',
      [{ type: 'response.incomplete', response: { id: 'resp_1', status: 'incomplete', usage: report } }],
      1,
    ],
    ['told twice', Array(2).fill({ type: 'response.failed', response: { id: 'resp_1', usage: report } }), 1],
    [
      'turns of an agent',
      [1, 2].map((turn) => ({ type: 'agent.session.turn.completed', id: `turn_${turn}`, usage: report })),
      2,
    ],
    ['without an id', [{ type: 'response.completed', response: { model: 'gpt-6', usage: report } }], 1],
    ['of no known name', [{ type: 'x' }, { type: 'y' }, { type: 'some.thing.done', usage: report }], 0],
  ];
  for (const [name, events, reports] of streams) {
    const facts = factsOf([Buffer.from(events.map(named).join(''))]);
    assert.deepEqual(facts.usages, Array(reports).fill(report), name);
  }
});

test('a stream that begins with what is no JSON object is read from there on', () => {
  for (const beginning of [
    'data: 1\n\n',
    'data: [DONE]\n\n',
    ': hello\n\n',
    'data: {}\n\n',
    'data:\n\n',
    '\n\n',
    'data\n\n',
  ]) {
    for (const [stream, usage] of [
      [CHAT, CHAT_USAGE],
      [RESPONSES, RESPONSE_USAGE],
    ] as const) {
      const facts = factsOf([Buffer.from(beginning + stream)]);
      assert.deepEqual(facts.usages, [usage], beginning);
      assert.ok(facts.model?.startsWith('gpt-'), beginning);
    }
  }
});

test('the steps of a run are not counted beside the run', () => {
  const facts = factsOf([Buffer.from(RUN)]);
  assert.deepEqual(facts.usages, [{ total_tokens: 2 }]);
  assert.equal(facts.id, 'run_1');
});

test('a stream that tells no usage gives its text, exact while it is short and near when it is long', () => {
  const text = (events: number) =>
    Array.from({ length: events }, () => unnamed({ choices: [{ delta: { content: 'größe ' } }] }));
  const short = factsOf([Buffer.from(text(50).join(''))]);
  assert.equal(short.outputText, 'größe '.repeat(50));
  assert.equal(short.outputTextBytes, Buffer.byteLength('größe '.repeat(50)));
  const long = factsOf(text(5000).map((event) => Buffer.from(event)));
  assert.ok(
    Math.abs(long.outputTextBytes / Buffer.byteLength('größe '.repeat(5000)) - 1) < 0.05,
    String(long.outputTextBytes),
  );
});

test('a JSON reply tells the same at every cut, whatever its spacing', () => {
  const reply = {
    ...RESPONSE,
    status: 'completed',
    duration: '8.5',
    output: ITEMS,
    note: 'backslashes \\\\" and "usage":{"total_tokens":1}',
    usage: RESPONSE_USAGE,
    tool_usage: TOOL_USAGE,
    data: [{ usage: 1 }, [], 'text'],
  };
  for (const text of [JSON.stringify(reply), JSON.stringify(reply, null, 2)].map((each) =>
    each.replaceAll('A'.repeat(9000), 'A'.repeat(99)),
  )) {
    const bytes = Buffer.from(text);
    const whole = factsOf([bytes], JSON_TYPE, '/v1/responses');
    assert.deepEqual(whole.usages, [RESPONSE_USAGE]);
    assert.deepEqual(whole.toolCalls, TOOL_CALLS);
    assert.equal(whole.dataCount, 3);
    assert.equal(whole.durationSeconds, 8.5);
    for (let at = 0; at <= bytes.length; at++) {
      assert.deepEqual(
        factsOf([bytes.subarray(0, at), bytes.subarray(at)], JSON_TYPE, '/v1/responses'),
        whole,
        `cut at ${at}`,
      );
    }
    assert.deepEqual(factsOf(cut(bytes, [1]), JSON_TYPE, '/v1/responses'), whole);
  }
});

test('any JSON gives the members that a parser gives', () => {
  const scalar = fc.oneof(
    fc.string(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
  );
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom('usage', 'model', 'us"age', 'a\\', 'id', 'nested', 'x'),
        fc.oneof(scalar, fc.jsonValue()),
        { maxKeys: 6 },
      ),
      fc.jsonValue(),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
      fc.constantFrom(undefined, 1),
      (members, junk, sizes, indent) => {
        const reply: Record<string, unknown> = { first: junk, ...members, last: [junk] };
        const facts = factsOf(cut(Buffer.from(JSON.stringify(reply, null, indent)), sizes), JSON_TYPE);
        const model = reply['model'];
        assert.equal(facts.model, typeof model === 'string' && model !== '' ? model : null);
        const usage = reply['usage'];
        const expected = typeof usage === 'object' ? usage : { usage };
        assert.deepEqual(
          facts.usages,
          usage === null || usage === undefined ? [] : [JSON.parse(JSON.stringify(expected))],
        );
      },
    ),
    { numRuns: 300 },
  );
});

test('usage is found where the row of the endpoint has it', () => {
  const cases = [
    [
      'POST',
      '/v1/fine_tuning/jobs',
      { object: 'fine_tuning.job', trained_tokens: 7, usage: 1 },
      [{ trained_tokens: 7 }],
    ],
    ['GET', '/v1/videos/video_1', { id: 'video_1', seconds: '4', size: '720x1280' }, [{ seconds: '4' }]],
    ['POST', '/v1/vector_stores', { id: 'vs_1', usage_bytes: 0 }, [{ usage_bytes: 0 }]],
    [
      'GET',
      '/v1/evals/e/runs',
      { data: [{ per_model_usage: [{ n: 1 }, { n: 2 }] }, { per_model_usage: [{ n: 3 }] }] },
      [{ n: 1 }, { n: 2 }, { n: 3 }],
    ],
    [
      'GET',
      '/v1/chat/completions',
      { data: [{ usage: { n: 1 } }, { usage: null }, { usage: { n: 2 } }] },
      [{ n: 1 }, { n: 2 }],
    ],
    ['POST', '/v1/some/new/thing', { usage: { n: 1 } }, [{ n: 1 }]],
    ['POST', '/v1/responses', { usage: null, status: 'queued' }, []],
  ] as const;
  for (const [method, path, reply, usages] of cases) {
    assert.deepEqual(factsOf([Buffer.from(JSON.stringify(reply))], JSON_TYPE, path, method).usages, usages, path);
  }
});

test('a usage object larger than any upstream sends is not believed', () => {
  const reply = { usage: { filler: 'x'.repeat(20_000) }, model: 'm' };
  const bytes = Buffer.from(JSON.stringify(reply));
  for (const chunks of [[bytes], cut(bytes, [999])]) {
    assert.deepEqual(factsOf(chunks, JSON_TYPE).usages, []);
    assert.equal(factsOf(chunks, JSON_TYPE).model, 'm');
  }
});

test('what is no JSON breaks nothing', () => {
  for (const text of [
    '',
    '{',
    '}',
    ']',
    '{"usage"',
    '{"usage":',
    '{"usage":}',
    '{"usage":{',
    '[[[[',
    'null',
    '{"a":1,}',
    '{"\\ud800":1',
    '\0\0',
  ]) {
    for (const type of [JSON_TYPE, SSE]) {
      const body = type === SSE ? `data: ${text}\n\n` : text;
      assert.deepEqual(factsOf([Buffer.from(body)], type).usages, [], text);
    }
  }
  assert.deepEqual(factsOf([Buffer.from('['.repeat(100_000))], JSON_TYPE).usages, []);
});

test('speech lasts as long as its bytes say', () => {
  const seconds = (type: string, head: Buffer, bytes: number) =>
    factsOf([head, Buffer.alloc(bytes - head.length)], type, '/v1/audio/speech').durationSeconds;
  const wav = Buffer.alloc(44);
  wav.write('RIFF....WAVEfmt \x10', 'latin1');
  wav.writeUInt32LE(48_000, 28);
  wav.write('data', 36);
  assert.equal(seconds('audio/wav', wav, 44 + 96_000), 2);
  assert.equal(seconds('audio/pcm', Buffer.alloc(0), 72_000), 1.5);
  // MPEG 2 layer III at 64 kbit/s, behind a tag of 10 bytes.
  const mp3 = Buffer.concat([
    Buffer.from('ID3\x03\0\0\0\0\0\x0a', 'latin1'),
    Buffer.alloc(10),
    Buffer.from([0xff, 0xf3, 0x84, 0xc4]),
  ]);
  assert.equal(seconds('audio/mpeg', mp3, 20 + 16_000), 2);
  assert.equal(seconds('audio/aac', Buffer.alloc(4), 16_000), null);
});

test('a compressed reply that comes faster than it can be opened is read all the same', async () => {
  // Random, so that it stays as large as it is.
  const filler = randomBytes(3 * 1024 * 1024).toString('base64');
  const body = gzipSync(Buffer.from(`{"data":[{"b64_json":"${filler}"}],"usage":{"total_tokens":5}}`));
  const observer = observeReply(JSON_TYPE, 'gzip', findEndpoint('POST', '/v1/images/generations'));
  assert.ok(observer);
  for (const piece of cut(body, [64 * 1024])) observer.feed(piece);
  const facts = await new Promise<ReplyFacts>((resolve) => observer.finish(resolve));
  assert.deepEqual(facts.usages, [{ total_tokens: 5 }]);
  assert.equal(facts.dataCount, 1);
});

/** Bytes that stay, at most, while these chunks go by. */
function growth(chunks: Iterable<Buffer>, type: string): number {
  const before = process.memoryUsage();
  let most = 0;
  function* watched() {
    let i = 0;
    for (const each of chunks) {
      yield each;
      if (i++ % 64 !== 0) continue;
      const { heapUsed, external, arrayBuffers } = process.memoryUsage();
      most = Math.max(
        most,
        heapUsed - before.heapUsed + external - before.external + arrayBuffers - before.arrayBuffers,
      );
    }
  }
  factsOf(watched(), type);
  return most;
}

function* repeat(piece: Buffer, times: number, head = Buffer.alloc(0), tail = Buffer.alloc(0)): Generator<Buffer> {
  yield head;
  for (let i = 0; i < times; i++) yield piece;
  yield tail;
}

test('a line of 100 MB, a million comments and an event of many megabytes stay within 32 MB', () => {
  const MIB = 1024 * 1024;
  const letters = Buffer.alloc(64 * 1024, 'a');
  const escapes = Buffer.from('\\"'.repeat(32 * 1024));
  const usage = Buffer.from('"},"usage":{"total_tokens":5}}\n\n');
  for (const piece of [letters, escapes]) {
    for (const [head, type] of [
      [Buffer.from('data: {"x":{"y":"'), SSE],
      [Buffer.from('{"x":{"y":"'), JSON_TYPE],
    ] as const) {
      assert.ok(growth(repeat(piece, 1600, head, usage), type) < 32 * MIB);
      assert.deepEqual(factsOf(repeat(piece, 160, head, usage), type).usages, [{ total_tokens: 5 }]);
    }
  }
  const comments = Buffer.from(': keep-alive\n'.repeat(1000));
  assert.ok(growth(repeat(comments, 1000), SSE) < 32 * MIB);
  assert.deepEqual(factsOf(repeat(comments, 1000, letters, Buffer.from(`\n\n${CHAT}`))).usages, [CHAT_USAGE]);
});

test('a thousand streams under way hold a few KB each', () => {
  const event = Buffer.from(unnamed(chunk('word')));
  const before = process.memoryUsage();
  const observers = Array.from({ length: 1000 }, () => {
    const observer = observeReply(SSE, '', undefined)!;
    for (let i = 0; i < 100; i++) observer.feed(event);
    return observer;
  });
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  const each = (heapUsed - before.heapUsed + arrayBuffers - before.arrayBuffers) / observers.length;
  assert.ok(each < 32 * 1024, `${Math.round(each)} bytes`);
});
