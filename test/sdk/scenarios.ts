// What an application does with the official SDK, run by every major we promise, through the gateway, on both base URLs.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';

import type { OpenAI } from 'openai';
import { WebSocket } from 'ws';

import { startSandbox } from '../../src/sandbox/sandbox.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { CANARY, startGateway } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';
import { sendJson, startScriptedUpstream } from './scripted-upstream.ts';
import type { ScriptedUpstream } from './scripted-upstream.ts';
import { startTlsFront } from './tls-front.ts';

/** The members of the package that the scenarios use. */
export interface Sdk {
  readonly OpenAI: typeof import('openai').OpenAI;
  readonly toFile: typeof import('openai').toFile;
  readonly ResponsesWS: typeof import('openai/resources/responses/ws').ResponsesWS;
  readonly OpenAIRealtimeWS: typeof import('openai/realtime/ws').OpenAIRealtimeWS;
}

const solve = [{ role: 'user' as const, content: 'Solve 3x + 11 = 14' }];
const weather = {
  name: 'get_weather',
  description: 'The weather of a city',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
};

export function describeSdk(name: string, sdk: Sdk): void {
  for (const mount of ['/openai', '/openai/v1']) {
    describe(`${name} with base URL ${mount}`, () => {
      describe('on the sandbox', () => onSandbox(sdk, mount));
      describe('on a scripted upstream', () => onScript(sdk, mount));
    });
  }
}

function onSandbox({ OpenAI, toFile, ResponsesWS, OpenAIRealtimeWS }: Sdk, mount: string): void {
  let sandbox: Sandbox;
  let gateway: TestGateway;
  let client: OpenAI;

  before(async () => {
    sandbox = await startSandbox({ port: 0 });
    gateway = await startGateway({ upstream: sandbox.url });
    client = new OpenAI({ baseURL: gateway.api + mount, apiKey: gateway.token, maxRetries: 0 });
  });
  after(async () => {
    await gateway.close();
    await sandbox.close();
  });

  test('a chat completion arrives whole, with its usage and the id of its exchange', async () => {
    const { data, response, request_id } = await client.chat.completions
      .create({ model: 'gpt-4o', messages: solve })
      .withResponse();
    assert.match(data.choices[0]?.message.content ?? '', /The solution is x = 1\.$/);
    assert.deepEqual(data.usage, { prompt_tokens: 5, completion_tokens: 30, total_tokens: 35 });
    assert.match(response.headers.get('x-throughway-exchange-id') ?? '', /^exc_/);
    assert.equal(response.headers.get('x-throughway-sandbox'), 'true');
    assert.equal(request_id, response.headers.get('x-request-id'));
  });

  test('a streamed chat completion says the same, in many chunks', async () => {
    const stream = await client.chat.completions.create({
      model: 'gpt-4o',
      messages: solve,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
    assert.ok(chunks.length > 4, `${chunks.length} chunks`);
    assert.match(text, /The solution is x = 1\.$/);
    assert.equal(chunks.at(-1)?.usage?.total_tokens, 35);
  });

  test('the stream helper gathers the final completion', async () => {
    const stream = client.chat.completions.stream({ model: 'gpt-4o', messages: solve });
    assert.match((await stream.finalContent()) ?? '', /The solution is x = 1\.$/);
  });

  test('a structured answer is parsed by the SDK', async () => {
    const completion = await client.chat.completions.parse({
      model: 'gpt-4o',
      messages: solve,
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'answer',
          strict: true,
          schema: {
            type: 'object',
            properties: { final_answer: { type: 'string' } },
            required: ['final_answer'],
            additionalProperties: false,
          },
        },
      },
    });
    assert.deepEqual(JSON.parse(completion.choices[0]?.message.content ?? ''), { final_answer: 'x = 1' });
  });

  test('the tool runner calls the function and hands back its result', async () => {
    const called: string[] = [];
    const runner = client.chat.completions.runTools({
      model: 'gpt-4o',
      messages: [{ role: 'user', content: 'How is the weather in Rome?' }],
      tools: [
        {
          type: 'function',
          function: {
            ...weather,
            parse: JSON.parse,
            function: ({ city }: { city: string }) => {
              called.push(city);
              return '21 degrees';
            },
          },
        },
      ],
    });
    assert.match((await runner.finalContent()) ?? '', /21 degrees/);
    assert.deepEqual(called, ['sandbox city']);
  });

  test('a streamed tool call arrives in pieces that make valid JSON', async () => {
    const stream = await client.chat.completions.create({
      model: 'gpt-4o',
      messages: [{ role: 'user', content: 'How is the weather in Rome?' }],
      tools: [{ type: 'function', function: weather }],
      stream: true,
    });
    let args = '';
    for await (const chunk of stream) args += chunk.choices[0]?.delta.tool_calls?.[0]?.function?.arguments ?? '';
    assert.deepEqual(JSON.parse(args), { city: 'sandbox city' });
  });

  test('a response arrives whole, with its usage', async () => {
    const reply = await client.responses.create({ model: 'gpt-5.1', input: 'Solve 3x + 11 = 14' });
    assert.match(reply.output_text, /The solution is x = 1\.$/);
    assert.equal(reply.usage?.total_tokens, 35);
  });

  test('a streamed response ends with response.completed', async () => {
    const stream = await client.responses.create({ model: 'gpt-5.1', input: 'Solve 3x + 11 = 14', stream: true });
    const events = [];
    for await (const event of stream) events.push(event);
    const last = events.at(-1);
    assert.equal(events[0]?.type, 'response.created');
    assert.equal(last?.type, 'response.completed');
    assert.equal(last.response.usage?.total_tokens, 35);
  });

  test('a response calls a function tool and goes on with its output', async () => {
    const tools: OpenAI.Responses.Tool[] = [{ type: 'function', strict: true, ...weather }];
    const asked = { role: 'user' as const, content: 'How is the weather in Rome?' };
    const first = await client.responses.create({ model: 'gpt-5.1', input: [asked], tools });
    const call = first.output[0];
    assert.ok(call?.type === 'function_call');
    const second = await client.responses.create({
      model: 'gpt-5.1',
      input: [asked, call, { type: 'function_call_output', call_id: call.call_id, output: '21 degrees' }],
      tools,
    });
    assert.match(second.output_text, /21 degrees/);
  });

  test('embeddings come one for each input', async () => {
    const reply = await client.embeddings.create({
      model: 'text-embedding-3-small',
      input: ['one text', 'another text'],
      dimensions: 16,
    });
    assert.deepEqual(
      reply.data.map((entry) => entry.embedding.length),
      [16, 16],
    );
    assert.ok(reply.usage.prompt_tokens > 0);
  });

  test('a binary file of 5 MiB is uploaded and read back byte for byte', async () => {
    const bytes = Buffer.alloc(5 * 1024 * 1024, Buffer.from(Array.from({ length: 251 }, (_, index) => index)));
    const file = await client.files.create({ purpose: 'user_data', file: await toFile(bytes, 'bytes.bin') });
    assert.equal(file.bytes, bytes.length);
    const content = await client.files.content(file.id);
    assert.ok(bytes.equals(Buffer.from(await content.arrayBuffer())));
    const ids = [];
    for await (const listed of client.files.list()) ids.push(listed.id);
    assert.ok(ids.includes(file.id));
    assert.equal((await client.files.delete(file.id)).deleted, true);
  });

  test('images are drawn and edited', async () => {
    const drawn = await client.images.generate({ model: 'gpt-image-1', prompt: 'a red dot' });
    const png = Buffer.from(drawn.data?.[0]?.b64_json ?? '', 'base64');
    const edited = await client.images.edit({
      model: 'gpt-image-1',
      prompt: 'redder',
      image: await toFile(png, 'dot.png', { type: 'image/png' }),
    });
    assert.equal(png.subarray(1, 4).toString(), 'PNG');
    assert.ok((edited.usage?.total_tokens ?? 0) > 0);
  });

  test('speech is spoken and transcribed', async () => {
    const speech = await client.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'Hello' });
    const sound = Buffer.from(await speech.arrayBuffer());
    assert.deepEqual([...sound.subarray(0, 2)], [0xff, 0xfb]);
    const heard = await client.audio.transcriptions.create({
      model: 'gpt-4o-transcribe',
      file: await toFile(sound, 'hello.mp3'),
    });
    assert.match(heard.text, /sandbox/);
    assert.equal(heard.usage?.type, 'tokens');
  });

  test('a transcription is streamed', async () => {
    const stream = await client.audio.transcriptions.create({
      model: 'gpt-4o-transcribe',
      file: await toFile(Buffer.from('sound'), 'hello.mp3'),
      stream: true,
    });
    const types = [];
    for await (const event of stream) types.push(event.type);
    assert.equal(types.at(-1), 'transcript.text.done');
  });

  test('a text is moderated', async () => {
    const reply = await client.moderations.create({ input: 'I will kill the process' });
    assert.equal(reply.results[0]?.flagged, true);
  });

  test('a batch is created, waited for and read', async () => {
    const line = { custom_id: 'one', method: 'POST', url: '/v1/chat/completions', body: { model: 'gpt-4o' } };
    const input = await client.files.create({
      purpose: 'batch',
      file: await toFile(Buffer.from(`${JSON.stringify(line)}\n`), 'batch.jsonl'),
    });
    const { id } = await client.batches.create({
      input_file_id: input.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    await client.batches.retrieve(id);
    const batch = await client.batches.retrieve(id);
    assert.equal(batch.status, 'completed');
    const output = await client.files.content(batch.output_file_id ?? '');
    assert.equal(JSON.parse(await output.text()).custom_id, 'one');
  });

  test('the models are listed', async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids.includes('gpt-4o'));
  });

  test('the realtime client converses through TLS in front of the gateway', async (context) => {
    const front = await startTlsFront(Number(new URL(gateway.api).port));
    if (!front) return context.skip('there is no openssl command to make a certificate with');
    try {
      const secure = new OpenAI({ baseURL: `https://127.0.0.1:${front.port}${mount}`, apiKey: gateway.token });
      const realtime = new OpenAIRealtimeWS({ model: 'gpt-realtime', options: { ca: front.certificate } }, secure);
      const done = new Promise<{ response: { usage?: { total_tokens?: number }; status?: string } }>(
        (resolve, reject) => {
          realtime.on('response.done', resolve);
          realtime.on('error', reject);
        },
      );
      await once(realtime.socket, 'open');
      realtime.send({
        type: 'conversation.item.create',
        item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Solve 3x + 11 = 14' }] },
      });
      realtime.send({ type: 'response.create' });
      const { response } = await done;
      assert.equal(response.status, 'completed');
      assert.equal(response.usage?.total_tokens, 35);
      realtime.close();
      const [code] = await once(realtime.socket, 'close');
      assert.equal(code, 1000);
    } finally {
      await front.close();
    }
  });

  test("a browser's realtime socket brings its key as a subprotocol", async () => {
    const socket = new WebSocket(`${gateway.api.replace('http', 'ws')}${mount}/realtime?model=gpt-realtime`, [
      'realtime',
      `openai-insecure-api-key.${gateway.token}`,
    ]);
    const [[message]] = await Promise.all([once(socket, 'message'), once(socket, 'open')]);
    assert.equal(JSON.parse(String(message)).type, 'session.created');
    assert.equal(socket.protocol, 'realtime');
    socket.close();
    await once(socket, 'close');
  });

  test('the WebSocket mode of responses answers one response after another', async () => {
    const socket = new ResponsesWS(client);
    const texts: string[] = [];
    const finished = new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('response.output_text.done', (event) => texts.push(event.text));
      socket.on('response.completed', () => {
        if (texts.length === 2) resolve();
        else socket.send({ type: 'response.create', model: 'gpt-5.1', input: 'Solve 2y = 8' });
      });
    });
    socket.send({ type: 'response.create', model: 'gpt-5.1', input: 'Solve 3x + 11 = 14' });
    await finished;
    socket.close();
    assert.match(texts[0] ?? '', /x = 1\.$/);
    assert.match(texts[1] ?? '', /y = 4\.$/);
  });

  test('a wrong key is an AuthenticationError with the code invalid_api_key', async () => {
    const stranger = new OpenAI({ baseURL: gateway.api + mount, apiKey: 'sk-tw-not-a-key', maxRetries: 0 });
    await assert.rejects(stranger.chat.completions.create({ model: 'gpt-4o', messages: solve }), (error) => {
      assert.ok(error instanceof OpenAI.AuthenticationError);
      assert.equal(error.status, 401);
      assert.equal(error.code, 'invalid_api_key');
      assert.equal(error.headers.get('x-throughway-refusal'), 'invalid_api_key');
      return true;
    });
  });

  test('a wrong key opens no socket either', async () => {
    const stranger = new WebSocket(`${gateway.api.replace('http', 'ws')}${mount}/realtime?model=gpt-realtime`, {
      headers: { authorization: 'Bearer sk-tw-not-a-key' },
    });
    stranger.on('error', () => {});
    const [, refusal] = await once(stranger, 'unexpected-response');
    assert.equal(refusal.statusCode, 401);
    stranger.terminate();
  });

  test("the upstream's own 404 is a NotFoundError, not a refusal", async () => {
    await assert.rejects(client.models.retrieve('no-such-model'), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.headers.get('x-throughway-refusal'), null);
      assert.equal(error.headers.get('x-throughway-sandbox'), 'true');
      return true;
    });
  });
}

function onScript({ OpenAI, toFile }: Sdk, mount: string): void {
  let upstream: ScriptedUpstream;
  let gateway: TestGateway;
  let client: OpenAI;

  before(async () => {
    upstream = await startScriptedUpstream();
    gateway = await startGateway({ upstream: upstream.url });
    client = new OpenAI({ baseURL: gateway.api + mount, apiKey: gateway.token, maxRetries: 0 });
  });
  after(async () => {
    await gateway.close();
    await upstream.close();
  });

  test('a vector store is made, filled, searched, listed and deleted', async () => {
    const store = { id: 'vs_1', object: 'vector_store', name: 'notes', usage_bytes: 12, status: 'completed' };
    const file = { id: 'file-1', object: 'vector_store.file', vector_store_id: 'vs_1', status: 'completed' };
    const found = { file_id: 'file-1', filename: 'a.txt', score: 0.9, attributes: {}, content: [] };
    upstream.on('POST /v1/files', (reply) => sendJson(reply, 200, { id: 'file-1', object: 'file' }));
    upstream.on('POST /v1/vector_stores', (reply) => sendJson(reply, 200, store));
    upstream.on('POST /v1/vector_stores/vs_1/files', (reply) => sendJson(reply, 200, file));
    upstream.on('GET /v1/vector_stores/vs_1/files/file-1', (reply) => sendJson(reply, 200, file));
    upstream.on('POST /v1/vector_stores/vs_1/search', (reply) =>
      sendJson(reply, 200, { object: 'vector_store.search_results.page', data: [found], has_more: false }),
    );
    upstream.on('GET /v1/vector_stores', (reply, { target }) => {
      const first = !target.includes('after=');
      sendJson(reply, 200, { object: 'list', data: [{ ...store, id: first ? 'vs_1' : 'vs_2' }], has_more: first });
    });
    upstream.on('DELETE /v1/vector_stores/vs_1', (reply) => sendJson(reply, 200, { id: 'vs_1', deleted: true }));

    const made = await client.vectorStores.create({ name: 'notes' });
    const filled = await client.vectorStores.files.uploadAndPoll(made.id, await toFile(Buffer.from('a note'), 'a.txt'));
    const results = [];
    for await (const result of client.vectorStores.search(made.id, { query: 'note' })) results.push(result);
    const ids = [];
    for await (const listed of client.vectorStores.list({ limit: 1 })) ids.push(listed.id);
    const deleted = await client.vectorStores.delete(made.id);

    assert.equal(filled.status, 'completed');
    assert.equal(results[0]?.file_id, 'file-1');
    assert.deepEqual(ids, ['vs_1', 'vs_2']);
    assert.equal(deleted.deleted, true);
    assert.deepEqual(
      upstream.requests.map(({ method, target }) => `${method} ${target}`).filter((line) => line.startsWith('GET')),
      [
        'GET /v1/vector_stores/vs_1/files/file-1',
        'GET /v1/vector_stores?limit=1',
        'GET /v1/vector_stores?limit=1&after=vs_1',
      ],
    );
    assert.equal(upstream.requests[0]?.headers['openai-beta'], 'assistants=v2');
  });

  test('the upstream gets a credential, never the virtual key', async () => {
    upstream.on('GET /v1/models', (reply) => sendJson(reply, 200, { object: 'list', data: [] }));
    await client.models.list();
    const { headers } = upstream.requests.at(-1) ?? {};
    assert.equal(headers?.authorization, `Bearer ${CANARY}`);
    assert.ok(!JSON.stringify(headers).includes(gateway.token));
  });

  test("the upstream's 429 is a RateLimitError with the upstream's headers and body", async () => {
    upstream.on('POST /v1/chat/completions', (reply) =>
      sendJson(
        reply,
        429,
        { error: { message: 'Slow down.', type: 'requests', param: null, code: 'rate_limit_exceeded' } },
        {
          'retry-after': '7',
          'retry-after-ms': '6543',
          'x-ratelimit-remaining-requests': '0',
          'x-request-id': 'req_429',
        },
      ),
    );
    await assert.rejects(client.chat.completions.create({ model: 'gpt-4o', messages: solve }), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError);
      assert.match(error.message, /Slow down\./);
      assert.equal(error.code, 'rate_limit_exceeded');
      assert.equal(error.requestID, 'req_429');
      assert.equal(error.headers.get('retry-after'), '7');
      assert.equal(error.headers.get('retry-after-ms'), '6543');
      assert.equal(error.headers.get('x-ratelimit-remaining-requests'), '0');
      assert.equal(error.headers.get('x-throughway-refusal'), null);
      return true;
    });
  });

  test('the SDK retries what the upstream says to retry, as often as it would without us', async () => {
    const completion = { id: 'chatcmpl-1', object: 'chat.completion', choices: [], model: 'gpt-4o' };
    let attempts = 0;
    upstream.on('POST /v1/chat/completions', (reply) => {
      attempts += 1;
      if (attempts < 3) sendJson(reply, 500, { error: { message: 'Oh.' } }, { 'retry-after-ms': '1' });
      else sendJson(reply, 200, completion);
    });
    const patient = client.withOptions({ maxRetries: 2 });
    const reply = await patient.chat.completions.create({ model: 'gpt-4o', messages: solve });
    assert.equal(reply.id, 'chatcmpl-1');
    assert.equal(attempts, 3);
    assert.deepEqual(
      upstream.requests.slice(-3).map(({ headers }) => headers['x-stainless-retry-count']),
      ['0', '1', '2'],
    );
  });

  test("the request id the SDK shows is the upstream's x-request-id", async () => {
    upstream.on('POST /v1/responses', (reply) =>
      sendJson(reply, 200, { id: 'resp_1', object: 'response', output: [] }, { 'x-request-id': 'req_of_upstream' }),
    );
    const reply = await client.responses.create({ model: 'gpt-5.1', input: 'Hello' });
    assert.equal(reply._request_id, 'req_of_upstream');
  });

  test('a caller who breaks out of a stream frees the upstream', async () => {
    const left = new Promise<void>((resolve) =>
      upstream.on('POST /v1/chat/completions', (reply) => {
        reply.on('close', resolve);
        reply.writeHead(200, { 'content-type': 'text/event-stream' });
        reply.write('data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n');
      }),
    );
    const stream = await client.chat.completions.create({ model: 'gpt-4o', messages: solve, stream: true });
    for await (const chunk of stream) {
      assert.equal(chunk.choices[0]?.delta.content, 'a');
      break;
    }
    await left;
  });

  test('an upstream that dies in the middle of a stream is an error, never a short answer', async () => {
    upstream.on('POST /v1/chat/completions', (reply) => {
      reply.writeHead(200, { 'content-type': 'text/event-stream' });
      reply.write('data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', () =>
        reply.socket?.destroy(),
      );
    });
    const stream = await client.chat.completions.create({ model: 'gpt-4o', messages: solve, stream: true });
    await assert.rejects(async () => {
      for await (const chunk of stream) assert.equal(chunk.choices[0]?.delta.content, 'a');
    });
  });
}
