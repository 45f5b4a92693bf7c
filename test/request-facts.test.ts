// What is told of a request is what a parser would tell, at any chunking; and what two parsers could read differently is marked.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import type { RequestFacts } from '../src/domain/facts.ts';
import { findModelsInFrame } from '../src/openai/frames.ts';
import { scanRequest } from '../src/openai/request.ts';

const JSON_TYPE = 'application/json';

function scan(chunks: readonly Buffer[], contentType = JSON_TYPE, countsInput = false) {
  const looking = scanRequest(contentType, '', { announcedBytes: null, countsInput });
  for (const chunk of chunks) looking.feed(chunk);
  looking.end();
  return looking;
}

const factsOf = (body: string, contentType = JSON_TYPE) => scan([Buffer.from(body)], contentType).facts();

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });

const DECIDING = [
  'model',
  'stream',
  'stream_options',
  'max_completion_tokens',
  'max_output_tokens',
  'max_tokens',
  'n',
  'service_tier',
  'safety_identifier',
  'user',
  'background',
  'max_tool_calls',
  'tools',
  'prompt_cache_retention',
  'prompt_cache_options',
  'store',
  'size',
  'quality',
  'seconds',
  'stream_format',
  'input',
  'session',
];

const hard = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('\\', '"', '\\"', ']}', '{"model":"x"}', '😀é', '\\u006d', 'sse', 'gpt-5'),
);
const leaf = fc.oneof(
  hard,
  fc.boolean(),
  fc.constant(null),
  fc.integer({ min: -5, max: 5000 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const nested = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(hard, fc.constantFrom('model', 'type', 'include_usage')), tie('any'), { maxKeys: 3 }),
  ),
})).any;
const value = fc.oneof(
  leaf,
  nested,
  fc.dictionary(fc.constantFrom('include_usage', 'include_obfuscation', 'model', 'ttl'), leaf, { maxKeys: 3 }),
  fc.array(
    fc.oneof(fc.record({ type: fc.constantFrom('function', 'web_search', 'code_interpreter'), name: hard }), nested),
    {
      maxLength: 4,
    },
  ),
);
const entries = fc.uniqueArray(fc.tuple(fc.oneof(fc.constantFrom(...DECIDING), hard), value), {
  selector: ([name]) => name,
  maxLength: 8,
});

/** As JSON.parse reads it. */
function told(parsed: Record<string, unknown>): Partial<RequestFacts> {
  const text = (name: string) => (typeof parsed[name] === 'string' ? parsed[name] : null);
  const whole = (name: string) => {
    const found = parsed[name];
    return typeof found === 'number' && Number.isSafeInteger(found) && found >= 0 ? found : null;
  };
  const inner = (name: string, member: string): unknown => {
    const found = parsed[name];
    if (typeof found !== 'object' || found === null || Array.isArray(found)) return undefined;
    return (found as Record<string, unknown>)[member];
  };
  const sessionModel = inner('session', 'model');
  const session = typeof sessionModel === 'string' ? sessionModel : null;
  const ttl = inner('prompt_cache_options', 'ttl');
  const types = (Array.isArray(parsed['tools']) ? parsed['tools'] : []).map((tool: unknown) =>
    typeof tool === 'object' && tool !== null && !Array.isArray(tool) && 'type' in tool ? tool.type : undefined,
  );
  return {
    model: text('model') ?? session,
    hasDuplicates: text('model') !== null && session !== null && text('model') !== session,
    isStream: parsed['stream'] === true || parsed['stream_format'] === 'sse',
    wantsUsage: inner('stream_options', 'include_usage') === true,
    isBackground: parsed['background'] === true,
    isStored: typeof parsed['store'] === 'boolean' ? parsed['store'] : null,
    maxOutputTokens: whole('max_completion_tokens') ?? whole('max_output_tokens') ?? whole('max_tokens'),
    count: whole('n'),
    serviceTier: text('service_tier'),
    endUser: text('safety_identifier') ?? text('user'),
    maxToolCalls: whole('max_tool_calls'),
    tools: [...new Set(types)].filter(
      (type): type is string => typeof type === 'string' && type !== 'function' && type !== 'custom',
    ),
    promptCacheRetention: typeof ttl === 'string' ? ttl : text('prompt_cache_retention'),
    size: text('size'),
    quality: text('quality'),
    inputCharacters: text('input') === null ? null : [...text('input')!].length,
    audioSeconds: null,
  };
}

/** Every character as an escape, so that only a parser sees the name. */
const disguised = (name: string) =>
  `"${[...Array(name.length).keys()].map((i) => `\\u${name.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`;

function assertTold(facts: RequestFacts, expected: Partial<RequestFacts>): void {
  for (const [name, fact] of Object.entries(expected)) {
    assert.deepEqual(facts[name as keyof RequestFacts], fact, name);
  }
}

describe('the facts of a JSON request', () => {
  test('are what JSON.parse reads, however it is spelled and cut', () => {
    fc.assert(
      fc.property(entries, fc.boolean(), fc.constantFrom('', ' ', '\n\t'), sizes, (list, isDisguised, space, cuts) => {
        const members = list.map(
          ([name, member]) =>
            `${space}${isDisguised ? disguised(name) : JSON.stringify(name)}${space}:${space}${JSON.stringify(member, null, space)}`,
        );
        const body = `${space}{${members.join(`${space},`)}${space}}${space}`;
        const facts = scan(cut(Buffer.from(body), cuts), JSON_TYPE, true).facts();
        assert.deepEqual([facts.isReadable, facts.isWhole, facts.bodyBytes], [true, true, Buffer.byteLength(body)]);
        assertTold(facts, told(JSON.parse(body) as Record<string, unknown>));
      }),
      { numRuns: 1500 },
    );
  });

  test('of two members with one name, however spelled, the last counts and the doubt is marked', () => {
    fc.assert(
      fc.property(entries, fc.constantFrom(...DECIDING), value, value, sizes, (list, name, one, other, cuts) => {
        const rest = list
          .filter(([each]) => each !== name)
          .map(([n, v]) => `${JSON.stringify(n)}:${JSON.stringify(v)}`);
        const body = `{${[`${JSON.stringify(name)}:${JSON.stringify(one)}`, ...rest, `${disguised(name)}:${JSON.stringify(other)}`].join(',')}}`;
        const facts = scan(cut(Buffer.from(body), cuts), JSON_TYPE, true).facts();
        assertTold(facts, { ...told(JSON.parse(body) as Record<string, unknown>), hasDuplicates: true });
      }),
      { numRuns: 300 },
    );
  });

  test('any JSON at all is followed to its end', () => {
    fc.assert(
      fc.property(fc.json(), sizes, (json, cuts) => {
        const parsed: unknown = JSON.parse(json);
        const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
        assert.equal(scan(cut(Buffer.from(json), cuts)).facts().isReadable, isObject);
      }),
      { numRuns: 500 },
    );
  });

  test('members within options, tools and sessions may not stand twice either', () => {
    for (const body of [
      '{"stream_options":{"include_usage":true,"include_usage":false}}',
      '{"tools":[{"type":"function","typ\\u0065":"web_search"}]}',
      '{"session":{"model":"a","model":"b"}}',
      '{"model":"a","session":{"model":"b"}}',
    ]) {
      assert.equal(factsOf(body).hasDuplicates, true, body);
    }
    assert.equal(
      factsOf('{"tools":[{"type":"a"},{"type":"b"}],"metadata":{"model":"x"},"model":"y"}').hasDuplicates,
      false,
    );
  });

  test('what is no JSON object, or more than one, is unreadable', () => {
    for (const body of [
      '',
      '[]',
      '"model"',
      '{"model":"a"',
      '{"model":"a"}{}',
      '{"model":"a",}',
      '{"model" "a"}',
      '{"a":1]',
      'model=a',
      '{/**/"model":"a"}',
      '{"mod\\xel":1}',
    ]) {
      assert.equal(factsOf(body).isReadable, false, body);
    }
    assert.equal(factsOf('\ufeff{"model":"a"}').model, 'a');
  });

  test('input that stands elsewhere is told at any chunking, files and pictures where they are looked for', () => {
    const looked = (body: string, cuts: readonly number[], looksForFiles: boolean) => {
      const looking = scanRequest(JSON_TYPE, '', { announcedBytes: null, countsInput: false, looksForFiles });
      for (const chunk of cut(Buffer.from(body), cuts)) looking.feed(chunk);
      looking.end();
      return looking.facts().hasInputElsewhere;
    };
    const stored = [
      '{"previous_response_id":"resp_1"}',
      '{"conversation":"conv_1"}',
      '{"conversation":{"id":"conv_1"}}',
      '{"prompt":{"id":"pmpt_1"}}',
    ];
    const files = [
      '{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}',
      '{"input":[{"content":[{"type":"input_file","file_id":"file-1"}]}]}',
      '{"input":[{"content":[{"type":"input_file","file_url":"https://example.com/a"}]}]}',
      String.raw`{"input":[{"content":[{"type":"input_file","file\u005Fdata":"AA"}]}]}`,
      String.raw`{"input":[{"content":[{"type":"input_file","\u0066ile_id":"file-1"}]}]}`,
    ];
    const none = [
      '{"previous_response_id":null,"conversation":null,"prompt":null}',
      '{"prompt":"a cat","input":"of conversation and \\"image_url\\""}',
      String.raw`{"messages":[{"content":"caf\u00e9 \u003cb\u003e \u0026"}],"metadata":{"prompt":{"id":"x"}}}`,
    ];
    fc.assert(
      fc.property(sizes, fc.boolean(), (cuts, looksForFiles) => {
        for (const body of stored) assert.equal(looked(body, cuts, looksForFiles), true, body);
        for (const body of files) assert.equal(looked(body, cuts, looksForFiles), looksForFiles, body);
        for (const body of none) assert.equal(looked(body, cuts, looksForFiles), false, body);
      }),
      { numRuns: 100 },
    );
  });

  test('of n and best_of the greater counts, for all of them are paid', () => {
    assert.equal(factsOf('{"n":2,"best_of":5}').count, 5);
    assert.equal(factsOf('{"n":5,"best_of":2}').count, 5);
    assert.equal(factsOf('{"best_of":3}').count, 3);
    assert.equal(factsOf('{"best_of":1}').count, null);
  });

  test('each of several prompts has its replies: texts, and tokens in lists of their own', () => {
    const prompts = [
      ['"one"', null],
      ['["one"]', null],
      ['["one","two \\" [","three"]', 3],
      ['[1,2,3]', null],
      ['[[1,2,3],[4,5]]', 2],
      ['[]', null],
      ['{"id":"pmpt_1"}', null],
    ] as const;
    for (const [prompt, count] of prompts) {
      assert.equal(factsOf(`{"prompt":${prompt},"model":"m"}`).count, count, prompt);
      assert.equal(factsOf(`{"n":2,"prompt":${prompt},"best_of":4}`).count, 4 * (count ?? 1), prompt);
    }
    assert.equal(factsOf('{"messages":["one","two"],"tools":[["prompt"],"x"],"n":2}').count, 2);
    const body = Buffer.from('{"best_of":2,"prompt":["one","two","three"],"n":1,"model":"m"}');
    fc.assert(
      fc.property(sizes, (by) => {
        const { count, model, hasDuplicates } = scan(cut(body, by)).facts();
        assert.deepEqual([count, model, hasDuplicates], [6, 'm', false]);
      }),
    );
  });

  test('while the body is not whole, what was seen is told and nothing is denied', () => {
    const looking = scanRequest(JSON_TYPE, '');
    looking.feed(Buffer.from('{"messages":[{"content":"'));
    assert.deepEqual([looking.facts().isWhole, looking.facts().isReadable, looking.model], [false, true, null]);
    looking.feed(Buffer.from('"}],"model":"gpt-5"'));
    assert.deepEqual([looking.facts().isWhole, looking.model], [false, 'gpt-5']);
  });

  test('a compressed body is unreadable, and so is one of an unknown form', () => {
    for (const [type, encoding] of [
      [JSON_TYPE, 'gzip'],
      ['text/plain', ''],
      ['application/x-www-form-urlencoded', ''],
      ['multipart/form-data', ''],
    ] as const) {
      const looking = scanRequest(type, encoding, { announcedBytes: 7, countsInput: false });
      looking.feed(Buffer.from('{"model":"a"}'));
      looking.end();
      const { isReadable, isWhole, model, bodyBytes } = looking.facts();
      assert.deepEqual(
        { isReadable, isWhole, model, bodyBytes },
        { isReadable: false, isWhole: true, model: null, bodyBytes: 7 },
      );
    }
  });

  test('a model in front of what cannot be read is not believed', () => {
    assert.equal(factsOf('{"model":"a"}{"model":"b"}').model, null);
    const looking = scanRequest('application/sdp', '');
    looking.feed(Buffer.from('v=0'));
    looking.end();
    assert.deepEqual([looking.facts().isReadable, looking.facts().model], [true, null]);
  });

  test('a member behind a text of 40 MB is found', () => {
    const looking = scanRequest(JSON_TYPE, '');
    looking.feed(Buffer.from('{"image":"'));
    const filler = Buffer.alloc(1024 * 1024, 'QUJD');
    for (let i = 0; i < 40; i++) looking.feed(filler);
    looking.feed(Buffer.from('\\\\","model":"m"}'));
    looking.end();
    assert.deepEqual([looking.model, looking.facts().isReadable], ['m', true]);
  });
});

describe('the facts of a form', () => {
  const TYPE = 'multipart/form-data; boundary=----b0undary';
  const field = (name: string, text: string) =>
    `------b0undary\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;
  const file = (bytes: string) =>
    `------b0undary\r\nContent-Disposition: form-data; name="file"; filename="model"\r\nContent-Type: audio/wav\r\n\r\n${bytes}\r\n`;
  const END = '------b0undary--\r\n';

  test('are found in front of a file and behind it, at any chunking', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('\r\n', '-', '\r\n------b0undar', 'name="model"', 'x'), maxLength: 60 }),
        sizes,
        (bytes, cuts) => {
          const body = `${field('n', '2')}${file(bytes)}${field('model', 'gpt-image-2')}${field('stream', 'true')}${field('size', '1024x1024')}${field('empty', '')}${END}`;
          const facts = scan(cut(Buffer.from(body), cuts), TYPE).facts();
          const { model, count, isStream, size, isReadable, hasDuplicates } = facts;
          assert.deepEqual(
            { model, count, isStream, size, isReadable, hasDuplicates },
            {
              model: 'gpt-image-2',
              count: 2,
              isStream: true,
              size: '1024x1024',
              isReadable: true,
              hasDuplicates: false,
            },
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a field that stands twice is marked; one that is a file, or encoded, or unfinished, makes the form unreadable', () => {
    assert.equal(factsOf(field('model', 'a') + field('model', 'b') + END, TYPE).hasDuplicates, true);
    const disposition = '------b0undary\r\nContent-Disposition: form-data; name="model"';
    for (const body of [
      `${disposition}; filename="x"\r\n\r\na\r\n${END}`,
      `${disposition}; name="other"\r\n\r\na\r\n${END}`,
      `${disposition}\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n${END}`,
      `------b0undaryX\r\n\r\n${END}`,
      field('model', 'a'),
      '',
    ]) {
      assert.equal(factsOf(body, TYPE).isReadable, false, body);
    }
  });

  test('the model of a session stands in its JSON', () => {
    assert.equal(
      factsOf(field('session', '{"type":"realtime","model":"gpt-realtime"}') + END, TYPE).model,
      'gpt-realtime',
    );
  });
});

describe('the models that a client names in a frame', () => {
  const CASES: readonly (readonly [frame: string, expected: readonly string[] | 'unreadable'])[] = [
    ['{"type":"response.create","model":"gpt-5","input":"say \\"model\\""}', ['gpt-5']],
    ['{"type":"response.create","mod\\u0065l":"gpt-5"}', ['gpt-5']],
    [
      '{"type":"session.update","session":{"model":"gpt-realtime","audio":{"input":{"transcription":{"model":"whisper-1"}}}}}',
      ['gpt-realtime', 'whisper-1'],
    ],
    ['{"type":"input_audio_buffer.append","audio":"UklGRg=="}', []],
    ['{"type":"response.create","tools":[{"parameters":{"model":{}}},{"parameters":{"model":{}}}]}', []],
    ['{"type":"response.create","model":"a","mod\\u0065l" : "b"}', 'unreadable'],
    ['{"type":"session.update","session":{"model":"a"},"session":{"model":"b"}}', 'unreadable'],
    ['{"type":"response.create","model":["a"]}', 'unreadable'],
    ['{"model":', 'unreadable'],
  ];
  for (const [frame, expected] of CASES) {
    test(`${frame.slice(0, 72)} names ${String(expected)}`, () => {
      assert.deepEqual(findModelsInFrame(Buffer.from(frame)), expected);
    });
  }
});
