// What must be established before an exchange is let in: for a key that may not call all models, which one it calls; for a key with
// a hard budget, what it may cost. Where that cannot be told it is refused with the reason, and what can be told late passes.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { eventually } from '../support/eventually.ts';
import { Client, startSocketUpstream } from '../support/sockets.ts';
import { CHAT, JSON_BODY, type Scene, openScene } from './scene.ts';

type Body = NonNullable<RequestInit['body']>;

const MIB = 1024 * 1024;
const FORM = { 'content-type': 'multipart/form-data; boundary=edge' };

const filler = (bytes: number) => `[{"role":"user","content":"${'x'.repeat(bytes)}"}]`;
const field = (name: string, value: string) =>
  `--edge\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const file = (bytes: number) =>
  `--edge\r\ncontent-disposition: form-data; name="file"; filename="a.mp3"\r\ncontent-type: audio/mpeg\r\n\r\n${'x'.repeat(bytes)}\r\n`;

/** In pieces and without a length, so that nobody is told how long it is. */
function streamed(text: string): ReadableStream<Uint8Array> {
  const bytes = Buffer.from(text);
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) controller.close();
      else controller.enqueue(bytes.subarray(at, (at += 256 * 1024)));
    },
  });
}

describe('a key that may call some models only', () => {
  let scene: Scene<'few' | 'all'>;
  before(async () => {
    scene = await openScene({
      keys: { few: { models: ['gpt-4o-mini', 'whisper-*'] }, all: {} },
      settings: { http: { keptBodiesBytesMax: 40 * MIB } },
    });
  });
  after(() => scene.close());
  beforeEach(() => scene.upstream.clear());

  const post = (path: string, body: Body, headers: Record<string, string> = JSON_BODY, key: 'few' | 'all' = 'few') =>
    scene.ask(key, `/openai/v1/${path}`, { method: 'POST', body, headers, duplex: 'half' });

  const REFUSED: readonly (readonly [
    what: string,
    why: RegExp,
    path: string,
    body: string | Buffer,
    headers?: Record<string, string>,
  ])[] = [
    ['names none', /names no model/, 'chat/completions', '{"messages":[]}'],
    ['names one twice', /a member twice/, 'chat/completions', '{"model":"gpt-4o-mini","model":"o3"}'],
    [
      'names one twice, spelled otherwise',
      /a member twice/,
      'chat/completions',
      String.raw`{"mod\u0065l":"gpt-4o-mini","model":"gpt-4o-mini"}`,
    ],
    [
      'is compressed',
      /compressed/,
      'chat/completions',
      gzipSync('{"model":"gpt-4o-mini"}'),
      { ...JSON_BODY, 'content-encoding': 'gzip' },
    ],
    ['is no JSON object', /compressed or of a form/, 'chat/completions', '["model","gpt-4o-mini"]'],
    [
      'is of another type',
      /compressed or of a form/,
      'chat/completions',
      'model=gpt-4o-mini',
      { 'content-type': 'text/plain' },
    ],
    [
      'names it as a file',
      /compressed or of a form/,
      'audio/transcriptions',
      `--edge\r\ncontent-disposition: form-data; name="model"; filename="m"\r\n\r\nwhisper-1\r\n--edge--\r\n`,
      FORM,
    ],
    ['names no model but a text that is none', /names no model/, 'chat/completions', '{"model":["gpt-4o-mini"]}'],
    ['goes to a path that nobody knows', /names no model/, 'brand/new/thing', '{"input":"x"}'],
    ['starts a batch', /does not name/, 'batches', '{"input_file_id":"file-1","endpoint":"/v1/chat/completions"}'],
    ['runs an eval', /does not name/, 'evals/eval_1/runs', '{"data_source":{}}'],
    ['starts an agent', /does not name/, 'agents/sessions', '{"agent_id":"agent_1"}'],
    ['edits a video', /does not name/, 'videos/edits', '{"video_id":"v"}'],
  ];
  for (const [what, why, path, body, headers = JSON_BODY] of REFUSED) {
    test(`is refused where its request ${what}`, async () => {
      const reply = await post(path, body, headers);
      const { error } = (await reply.json()) as { error: { code: string; message: string } };
      assert.deepEqual([reply.status, error.code], [403, 'model_not_allowed']);
      assert.match(error.message, why);
      assert.equal(scene.upstream.requests.length, 0);
      assert.equal((await post(path, body, headers, 'all')).status, 200, 'a key that may call all models goes on');
    });
  }

  test('is refused where the model may stand behind all that is read, and nothing is kept of that', async () => {
    for (let i = 0; i < 2; i++) {
      const reply = await post('chat/completions', streamed(`{"messages":${filler(33 * MIB)},"model":"gpt-4o-mini"}`));
      const { error } = (await reply.json()) as { error: { code: string; message: string } };
      assert.deepEqual([reply.status, error.code], [403, 'model_not_allowed']);
      assert.match(error.message, /too large to look for its model/);
    }
    assert.equal(scene.upstream.requests.length, 0);
  });

  test('is let through where the model stands behind 5 MB, byte for byte, with and without a length', async () => {
    const body = `{"messages":${filler(5 * MIB)},"model":"gpt-4o-mini"}`;
    for (const sent of [body, streamed(body)]) {
      scene.upstream.clear();
      assert.equal((await post('chat/completions', sent)).status, 200);
      const seen = await scene.upstream.only();
      assert.ok((await seen.whole()).equals(Buffer.from(body)));
    }
    assert.equal((await post('chat/completions', body.replace('gpt-4o-mini', 'o3'))).status, 403);
  });

  test('is let through where the model stands behind a file, and refused by what it is', async () => {
    const form = (model: string) => file(3 * MIB) + field('model', model) + '--edge--\r\n';
    assert.equal((await post('audio/transcriptions', form('whisper-1'), FORM)).status, 200);
    const seen = await scene.upstream.only();
    assert.ok((await seen.whole()).equals(Buffer.from(form('whisper-1'))));
    assert.equal((await post('audio/transcriptions', form('gpt-4o-transcribe'), FORM)).status, 403);
    assert.equal((await post('audio/transcriptions', file(1000) + '--edge--\r\n', FORM)).status, 403);
    assert.equal(scene.upstream.requests.length, 1);
  });

  test('is refused where a query names two models', async () => {
    const reply = await scene.ask('few', '/openai/v1/brand/new?model=gpt-4o-mini&model=o3', { method: 'POST' });
    assert.equal(reply.status, 403);
    const one = await scene.ask('few', '/openai/v1/brand/new?model=gpt-4o-mini', { method: 'POST' });
    assert.equal(one.status, 200);
  });

  test('waits for no more bodies than there is room for', async () => {
    const half = `{"messages":${filler(16 * MIB)}`;
    const opened: { end(): void; reply: Promise<Response> }[] = [];
    const begin = () => {
      let end = () => {};
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(Buffer.from(half));
          end = () => {
            controller.enqueue(Buffer.from(',"model":"gpt-4o-mini"}'));
            controller.close();
          };
        },
      });
      const reply = post('chat/completions', body);
      opened.push({ reply, end: () => end() });
      return reply;
    };
    // Two fit. Which of three finds no room is a matter of whose bytes come first.
    const replies = [begin(), begin(), begin()];
    const [refused, which] = await Promise.race(replies.map(async (reply, i) => [await reply, i] as const));
    assert.deepEqual([refused.status, refused.headers.get('x-throughway-refusal')], [503, 'overloaded']);
    assert.equal(refused.headers.get('retry-after'), '1');
    for (const [i, each] of opened.entries()) {
      if (i === which) continue;
      each.end();
      assert.equal((await each.reply).status, 200);
    }
    assert.equal((await post('chat/completions', `${half},"model":"gpt-4o-mini"}`)).status, 200, 'there is room again');
  });
});

describe('a socket of a key that may call some models only', () => {
  let upstream: Awaited<ReturnType<typeof startSocketUpstream>>;
  let scene: Scene<'few'>;
  before(async () => {
    upstream = await startSocketUpstream();
    scene = await openScene({ keys: { few: { models: ['gpt-4o-mini'] } }, elsewhere: upstream.url });
  });
  after(async () => {
    await scene.close();
    await upstream.close();
  });
  const dial = (path: string) =>
    new Client(scene.gateway.api.replace('http', 'ws') + path, [], {
      headers: { authorization: `Bearer ${scene.keys.few.token}` },
    });

  const CLOSED: readonly (readonly [what: string, frame: string])[] = [
    ['another model', '{"type":"response.create","model":"o3"}'],
    ['no model', '{"type":"response.create","input":"Hello"}'],
    ['two models', String.raw`{"type":"response.create","model":"gpt-4o-mini","mod\u0065l":"o3"}`],
    ['a model within a response', '{"type":"response.create","response":{"model":"o3"}}'],
  ];
  for (const [what, frame] of CLOSED) {
    test(`is closed at a frame that names ${what}, and the frame stays here`, async () => {
      const before = upstream.sockets.length;
      const client = await dial('/openai/v1/responses').opened();
      await eventually('the upstream has its end', () => upstream.sockets.length > before);
      let seen = 0;
      upstream.sockets.at(-1)!.on('message', () => seen++);
      client.socket.send('{"type":"response.create","model":"gpt-4o-mini"}');
      await eventually('the good one goes through', () => seen === 1);
      client.socket.send(frame);
      assert.deepEqual(await client.ended(), { code: 1008, reason: 'model_not_allowed' });
      const told = JSON.parse(client.texts().at(-1)!) as { type: string; error: { code: string } };
      assert.deepEqual([told.type, told.error.code], ['error', 'model_not_allowed']);
      assert.equal(seen, 1);
    });
  }

  test('is refused at its handshake where that names two models or another one', async () => {
    assert.equal((await dial('/openai/v1/realtime?model=gpt-4o-mini&model=o3').refused()).status, 403);
    assert.equal((await dial('/openai/v1/realtime?model=o3').refused()).status, 403);
    const good = await dial('/openai/v1/realtime?model=gpt-4o-mini').opened();
    good.socket.close();
  });
});

describe('a key with a hard budget', () => {
  /** 30 replies of a thousand tokens, gpt-4o-mini: 0.60 USD a million. */
  const LIMIT = 30n * 1000n * 600_000n;
  let scene: Scene<'strict' | 'soft' | 'unbounded'>;
  before(async () => {
    scene = await openScene({
      keys: { strict: {}, soft: {}, unbounded: { onUnbounded: 'refuse' } },
      budgets: {
        strict: { limitMoney: LIMIT },
        soft: { limitMoney: LIMIT, kind: 'soft' },
        unbounded: { limitMoney: LIMIT },
      },
    });
  });
  after(() => scene.close());
  beforeEach(() => scene.upstream.clear());

  const raw = (key: 'strict' | 'soft' | 'unbounded', body: Body, path = CHAT) =>
    scene.ask(key, path, { method: 'POST', body, headers: JSON_BODY, duplex: 'half' });
  const long = filler(2 * MIB).replaceAll('x', ' ');

  test('is held to what stands at the end of a long body', async () => {
    for (const body of [
      `{"model":"gpt-4o-mini","max_tokens":1000,"messages":${filler(70_000)},"n":128}`,
      `{"model":"gpt-4o-mini","messages":${filler(70_000)},"max_tokens":1000,"n":128}`,
    ]) {
      for (const sent of [body, streamed(body)]) {
        const reply = await raw('strict', sent);
        assert.deepEqual([reply.status, reply.headers.get('x-throughway-refusal')], [429, 'insufficient_quota']);
      }
    }
    assert.equal(scene.upstream.requests.length, 0);
    assert.equal((await raw('strict', '{"model":"gpt-4o-mini","max_tokens":1000,"n":2,"messages":[]}')).status, 200);
  });

  test('is held to all that the model reads, where that stands elsewhere', async () => {
    const bounded = '"model":"gpt-4o-mini","max_output_tokens":10';
    const elsewhere = [
      `{${bounded},"previous_response_id":"resp_1","input":"x"}`,
      `{${bounded},"conversation":"conv_1","input":"x"}`,
      `{${bounded},"conversation":{"id":"conv_1"},"input":"x"}`,
      `{${bounded},"prompt":{"id":"pmpt_1"}}`,
      `{${bounded},"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]}`,
      `{${bounded},"input":[{"role":"user","content":[{"type":"input_file","file_url":"https://example.com/a.pdf"}]}]}`,
      `{${bounded},"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://example.com/a.png"}]}]}`,
      String.raw`{${bounded},"input":[{"role":"user","content":[{"type":"input_image","image\u005furl":"https://example.com/a.png"}]}]}`,
    ];
    for (const body of elsewhere) {
      const reply = await raw('strict', body, '/openai/v1/responses');
      assert.deepEqual([reply.status, reply.headers.get('x-throughway-refusal')], [429, 'insufficient_quota'], body);
    }
    assert.equal(scene.upstream.requests.length, 0);
    for (const body of [
      `{${bounded},"input":"speak of \\"image_url\\" and file_id","previous_response_id":null,"conversation":null}`,
      `{${bounded},"input":"x","tools":[{"type":"function","name":"f"}]}`,
    ]) {
      assert.equal((await raw('strict', body, '/openai/v1/responses')).status, 200, body);
    }
    assert.equal((await raw('soft', elsewhere[0]!, '/openai/v1/responses')).status, 200, 'a soft one only counts');
  });

  test('is refused where a member that costs stands twice', async () => {
    const reply = await raw('strict', '{"model":"gpt-4o-mini","max_tokens":9000000,"max_tokens":1}');
    assert.deepEqual([reply.status, reply.headers.get('x-throughway-refusal')], [400, 'bad_request']);
    assert.equal((await raw('soft', '{"model":"gpt-4o-mini","max_tokens":2,"max_tokens":1}')).status, 200);
  });

  test('may have to bound its replies, and is told how', async () => {
    const reply = await raw('unbounded', '{"model":"gpt-4o-mini","messages":[]}');
    const { error } = (await reply.json()) as { error: { message: string; param: string } };
    assert.deepEqual([reply.status, error.param], [400, 'max_completion_tokens']);
    assert.equal((await raw('unbounded', '{"model":"gpt-4o-mini","messages":[],"max_tokens":5}')).status, 200);
  });

  test('streams a long body by, as any other, where its budget is soft', async () => {
    assert.equal((await raw('soft', `{"model":"gpt-4o-mini","messages":${long}}`)).status, 200);
  });
});
