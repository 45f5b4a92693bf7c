// The built-in upstream, called directly: what it answers, that it says who it is, and that it never changes its mind.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import OpenAI, { toFile } from 'openai';
import { WebSocket } from 'ws';

import { solveEquation } from '../src/sandbox/equation.ts';
import { exampleOf } from '../src/sandbox/example.ts';
import { startSandbox } from '../src/sandbox/sandbox.ts';
import type { Sandbox } from '../src/sandbox/sandbox.ts';

const question = [{ role: 'user' as const, content: 'Solve 3x + 11 = 14' }];
const weather = {
  name: 'get_weather',
  description: 'The weather of a city',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' }, unit: { type: 'string', enum: ['celsius', 'fahrenheit'] } },
    required: ['city', 'unit'],
  },
};

describe('the sandbox', () => {
  let sandbox: Sandbox;
  let client: OpenAI;

  before(async () => {
    sandbox = await startSandbox({ port: 0 });
    client = new OpenAI({ baseURL: sandbox.url, apiKey: 'any-key-will-do', maxRetries: 0 });
  });
  after(() => sandbox.close());

  test('its url is the base URL of the API on loopback', () => {
    assert.match(sandbox.url, /^http:\/\/127\.0\.0\.1:\d+\/v1$/);
  });

  test('every reply names the sandbox, the refused and the unknown included', async () => {
    const replies = await Promise.all([
      fetch(`${sandbox.url}/models`),
      fetch(`${sandbox.url}/chat/completions`, { method: 'POST', body: '{broken' }),
      fetch(`${sandbox.url}/vector_stores`),
      fetch(`${sandbox.url}/chat/completions`, { method: 'OPTIONS' }),
    ]);
    assert.deepEqual(
      replies.map((reply) => reply.headers.get('x-throughway-sandbox')),
      ['true', 'true', 'true', 'true'],
    );
  });

  test('a WebSocket handshake names it too, accepted or refused', async () => {
    const accepted = new WebSocket(`${sandbox.url.replace('http', 'ws')}/realtime?model=gpt-realtime`);
    const [reply] = await once(accepted, 'upgrade');
    assert.equal(reply.headers['x-throughway-sandbox'], 'true');
    accepted.terminate();

    const refused = new WebSocket(`${sandbox.url.replace('http', 'ws')}/no-such-socket`);
    refused.on('error', () => {});
    const [, refusal] = await once(refused, 'unexpected-response');
    assert.equal(refusal.statusCode, 404);
    assert.equal(refusal.headers['x-throughway-sandbox'], 'true');
  });

  test('an equation is solved step by step on chat completions, with usage', async () => {
    const reply = await client.chat.completions.create({ model: 'gpt-4o', messages: question });
    assert.equal(
      reply.choices[0]?.message.content,
      'To solve 3x + 11 = 14:\n\n1. Subtract 11 from both sides: 3x = 3\n2. Divide both sides by 3: x = 1\n\n' +
        'The solution is x = 1.',
    );
    assert.deepEqual(reply.usage, { prompt_tokens: 5, completion_tokens: 30, total_tokens: 35 });
  });

  test('the same equation gets the same words and counts on responses', async () => {
    const reply = await client.responses.create({ model: 'gpt-5.1', input: 'Solve 3x + 11 = 14' });
    assert.match(reply.output_text, /The solution is x = 1\.$/);
    assert.deepEqual(
      { input: reply.usage?.input_tokens, output: reply.usage?.output_tokens, total: reply.usage?.total_tokens },
      { input: 5, output: 30, total: 35 },
    );
  });

  test('a stream says what the whole reply says, and ends with usage when asked', async () => {
    const whole = await client.chat.completions.create({ model: 'gpt-4o', messages: question });
    const stream = await client.chat.completions.create({
      model: 'gpt-4o',
      messages: question,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);

    assert.ok(chunks.length > 4, `${chunks.length} chunks`);
    assert.equal(
      chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''),
      whole.choices[0]?.message.content,
    );
    assert.deepEqual(chunks.at(-1)?.choices, []);
    assert.deepEqual(chunks.at(-1)?.usage, whole.usage);
  });

  test('a streamed response ends with response.completed and its usage', async () => {
    const stream = await client.responses.create({ model: 'gpt-5.1', input: 'Solve 3x + 11 = 14', stream: true });
    const events = [];
    for await (const event of stream) events.push(event);

    const last = events.at(-1);
    assert.equal(last?.type, 'response.completed');
    assert.equal(last.response.usage?.total_tokens, 35);
    const text = events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('');
    assert.match(text, /The solution is x = 1\.$/);
  });

  test('anything else gets a friendly answer that says it is the sandbox, twice the same', async () => {
    const ask = () =>
      client.chat.completions.create({ model: 'gpt-4o', messages: [{ role: 'user', content: 'How are you?' }] });
    const [first, second] = [await ask(), await ask()];
    assert.match(first.choices[0]?.message.content ?? '', /Throughway sandbox.*How are you\?/);
    assert.equal(first.choices[0]?.message.content, second.choices[0]?.message.content);
    assert.deepEqual(first.usage, second.usage);
    assert.notEqual(first.id, second.id, 'ids stay unique, as with OpenAI');
  });

  test('a function tool is called with arguments that fit its schema, and its result is taken up', async () => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'How is the weather in Rome?' }];
    const tools: OpenAI.ChatCompletionTool[] = [{ type: 'function', function: weather }];
    const first = await client.chat.completions.create({ model: 'gpt-4o', messages, tools });
    const message = first.choices[0]?.message;
    const call = message?.tool_calls?.[0];
    assert.equal(first.choices[0]?.finish_reason, 'tool_calls');
    assert.ok(message && call?.type === 'function');
    assert.equal(call.function.name, 'get_weather');
    assert.deepEqual(JSON.parse(call.function.arguments), { city: 'sandbox city', unit: 'celsius' });
    assert.ok((first.usage?.completion_tokens ?? 0) > 0);

    messages.push(message, { role: 'tool', tool_call_id: call.id, content: '21 degrees' });
    const second = await client.chat.completions.create({ model: 'gpt-4o', messages, tools });
    assert.match(second.choices[0]?.message.content ?? '', /21 degrees/);
  });

  test('responses call function tools as well, and tool_choice none forbids it', async () => {
    const tools: OpenAI.Responses.Tool[] = [{ type: 'function', strict: true, ...weather }];
    const called = await client.responses.create({ model: 'gpt-5.1', input: 'The weather?', tools });
    assert.equal(called.output[0]?.type, 'function_call');
    const forbidden = await client.responses.create({
      model: 'gpt-5.1',
      input: 'The weather?',
      tools,
      tool_choice: 'none',
    });
    assert.equal(forbidden.output[0]?.type, 'message');
  });

  test('a vector store takes files, is searched, and is gone once deleted', async () => {
    const upload = async (name: string, text: string) =>
      (await client.files.create({ purpose: 'assistants', file: await toFile(Buffer.from(text), name) })).id;
    const depth = await upload('depth.md', 'The wreck lies at forty metres.');
    const store = await client.vectorStores.create({ name: 'guides', file_ids: [depth] });
    assert.equal(store.status, 'completed');
    const second = await client.vectorStores.files.createAndPoll(store.id, {
      file_id: await upload('air.md', 'Two tanks.'),
    });
    assert.equal(second.status, 'completed');
    assert.equal((await client.vectorStores.retrieve(store.id)).file_counts.completed, 2);
    const found = await client.vectorStores.search(store.id, { query: 'How deep is the wreck?' });
    assert.deepEqual(
      found.data.map(({ filename, content }) => [filename, content[0]?.text]),
      [
        ['depth.md', 'The wreck lies at forty metres.'],
        ['air.md', 'Two tanks.'],
      ],
    );
    await assert.rejects(client.vectorStores.create({ file_ids: ['file-nobody'] }), /No such File object: file-nobody/);
    assert.equal((await client.vectorStores.delete(store.id)).deleted, true);
    await assert.rejects(client.vectorStores.retrieve(store.id), OpenAI.NotFoundError);
  });

  test('a file search is called, told in its stream, and its best file quoted and cited', async () => {
    const file = await client.files.create({
      purpose: 'assistants',
      file: await toFile(Buffer.from('The wreck lies at forty metres.'), 'depth.md'),
    });
    const store = await client.vectorStores.create({ file_ids: [file.id] });
    const asked: OpenAI.Responses.ResponseCreateParams = {
      model: 'gpt-5.1',
      input: 'How deep is the wreck?',
      tools: [{ type: 'file_search', vector_store_ids: [store.id] }],
      include: ['file_search_call.results'],
    };
    const types: string[] = [];
    let streamed: OpenAI.Responses.Response | undefined;
    let text = '';
    for await (const event of await client.responses.create({ ...asked, stream: true })) {
      if (types.at(-1) !== event.type) types.push(event.type);
      if (event.type === 'response.output_text.delta') text += event.delta;
      if (event.type === 'response.completed') streamed = event.response;
    }
    assert.deepEqual(types.slice(2), [
      'response.output_item.added',
      'response.file_search_call.in_progress',
      'response.file_search_call.searching',
      'response.file_search_call.completed',
      'response.output_item.done',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.annotation.added',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    const whole = await client.responses.create({ ...asked, stream: false });
    for (const { output, output_text } of [streamed ?? whole, whole]) {
      const [call, message] = output;
      assert.ok(call?.type === 'file_search_call' && message?.type === 'message');
      assert.deepEqual(
        call.results?.map(({ file_id, filename }) => [file_id, filename]),
        [[file.id, 'depth.md']],
      );
      const [part] = message.content;
      assert.ok(part?.type === 'output_text');
      assert.match(part.text, /The search found depth\.md: "The wreck lies at forty metres\."$/);
      assert.deepEqual(part.annotations, [
        { type: 'file_citation', file_id: file.id, filename: 'depth.md', index: part.text.length },
      ]);
      if (output_text !== undefined) assert.equal(output_text, part.text);
      assert.equal(part.text, text);
    }
    assert.deepEqual(streamed?.usage, whole.usage);
  });

  test('code is run in name only, and draws a picture where one is asked for', async () => {
    const run = async (input: string) => {
      const { output } = await client.responses.create({
        model: 'gpt-5.1',
        input,
        tools: [{ type: 'code_interpreter', container: { type: 'auto' } }],
        include: ['code_interpreter_call.outputs'],
      });
      const call = output.find(({ type }) => type === 'code_interpreter_call');
      return call?.type === 'code_interpreter_call' ? call.outputs?.map(({ type }) => type) : undefined;
    };
    assert.deepEqual(await run('Count the words.'), ['logs']);
    assert.deepEqual(await run('Draw the words.'), ['logs', 'image']);
    assert.equal(await run('Solve 3x + 11 = 14'), undefined);
  });

  test('a function comes before a file tool, and its output ends the turn', async () => {
    const tools: OpenAI.Responses.Tool[] = [
      { type: 'code_interpreter', container: { type: 'auto' } },
      { type: 'function', strict: true, ...weather },
    ];
    const asked = { role: 'user' as const, content: 'The weather?' };
    const first = await client.responses.create({ model: 'gpt-5.1', input: [asked], tools });
    const [call] = first.output;
    assert.ok(call?.type === 'function_call');
    const output = { type: 'function_call_output' as const, call_id: call.call_id, output: '21 degrees' };
    const second = await client.responses.create({ model: 'gpt-5.1', input: [asked, call, output], tools });
    assert.deepEqual(
      second.output.map(({ type }) => type),
      ['message'],
    );
  });

  test('an equation is solved without the tools on offer, unless the caller insists on one', async () => {
    const tools: OpenAI.ChatCompletionTool[] = [{ type: 'function', function: weather }];
    const solved = await client.chat.completions.create({ model: 'gpt-4o', messages: question, tools });
    assert.match(solved.choices[0]?.message.content ?? '', /x = 1/);
    const insisted = await client.chat.completions.create({
      model: 'gpt-4o',
      messages: question,
      tools,
      tool_choice: { type: 'function', function: { name: 'get_weather' } },
    });
    assert.equal(insisted.choices[0]?.message.tool_calls?.length, 1);
  });

  test('a structured answer fits the schema that was asked for', async () => {
    const step = {
      type: 'object',
      properties: { explanation: { type: 'string' }, output: { type: 'string' } },
    };
    const reply = await client.chat.completions.create({
      model: 'gpt-4o',
      messages: question,
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'math',
          schema: {
            type: 'object',
            properties: { steps: { type: 'array', items: { $ref: '#/$defs/step' } }, final_answer: { type: 'string' } },
            $defs: { step },
          },
        },
      },
    });
    assert.deepEqual(JSON.parse(reply.choices[0]?.message.content ?? ''), {
      steps: [{ explanation: 'Subtract 11 from both sides; Divide both sides by 3', output: 'x = 1' }],
      final_answer: 'x = 1',
    });
  });

  test('embeddings are the same for the same text, one for each input, with usage', async () => {
    const reply = await client.embeddings.create({
      model: 'text-embedding-3-small',
      input: ['one text', 'another text', 'one text'],
      dimensions: 8,
    });
    const [first, second, third] = reply.data.map((entry) => entry.embedding);
    assert.equal(first?.length, 8);
    assert.deepEqual(first, third);
    assert.notDeepEqual(first, second);
    assert.deepEqual(reply.usage, { prompt_tokens: 8, total_tokens: 8 });
  });

  test('an embedding is the same vector in both encodings', async () => {
    const embed = async (encoding_format: string) => {
      const body = JSON.stringify({
        model: 'text-embedding-3-small',
        input: 'one text',
        dimensions: 4,
        encoding_format,
      });
      const reply = await fetch(`${sandbox.url}/embeddings`, { method: 'POST', body });
      return ((await reply.json()) as { data: { embedding: unknown }[] }).data[0]?.embedding;
    };
    const [floats, base64] = [await embed('float'), await embed('base64')];
    assert.ok(Array.isArray(floats) && typeof base64 === 'string');
    const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
    assert.deepEqual(new Float32Array(bytes.buffer), Float32Array.from(floats));
  });

  test('a file comes back byte for byte, is listed, and is gone once deleted', async () => {
    const bytes = Buffer.from(Array.from({ length: 1024 }, (_, index) => index % 256));
    const file = await client.files.create({ purpose: 'user_data', file: await toFile(bytes, 'bytes.bin') });
    assert.equal((await client.files.retrieve(file.id)).bytes, bytes.length);
    const content = await client.files.content(file.id);
    assert.deepEqual(Buffer.from(await content.arrayBuffer()), bytes);
    assert.ok((await client.files.list()).data.some((entry) => entry.id === file.id));
    assert.equal((await client.files.delete(file.id)).deleted, true);
    await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
  });

  test('an image is a PNG, drawn or edited, with usage', async () => {
    const drawn = await client.images.generate({ model: 'gpt-image-1', prompt: 'a red dot' });
    const edited = await client.images.edit({
      model: 'gpt-image-1',
      prompt: 'redder',
      image: await toFile(Buffer.from(drawn.data?.[0]?.b64_json ?? '', 'base64'), 'dot.png', { type: 'image/png' }),
    });
    for (const reply of [drawn, edited]) {
      const png = Buffer.from(reply.data?.[0]?.b64_json ?? '', 'base64');
      assert.equal(png.subarray(1, 4).toString(), 'PNG');
      assert.equal(reply.usage?.output_tokens, 272);
      assert.equal(reply.usage.total_tokens, reply.usage.input_tokens + 272);
    }
  });

  test('speech is MP3, and a transcription counts as its model counts: tokens or seconds', async () => {
    const speech = await client.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'Hello' });
    const sound = Buffer.from(await speech.arrayBuffer());
    assert.equal(speech.headers.get('content-type'), 'audio/mpeg');
    assert.deepEqual([...sound.subarray(0, 2)], [0xff, 0xfb]);

    const transcribe = async (model: string) =>
      client.audio.transcriptions.create({ model, file: await toFile(sound, 'hello.mp3') });
    const byToken = await transcribe('gpt-4o-transcribe');
    const bySecond = await transcribe('whisper-1');
    assert.match(byToken.text, /sandbox/);
    assert.equal(byToken.usage?.type, 'tokens');
    assert.deepEqual(bySecond.usage, { type: 'duration', seconds: 2 });
  });

  test('moderation flags a text that speaks of killing, and no other', async () => {
    const reply = async (input: string) => (await client.moderations.create({ input })).results[0];
    assert.equal((await reply('I will kill the process'))?.categories.violence, true);
    assert.equal((await reply('I will end the process'))?.flagged, false);
  });

  test('a batch completes on its second retrieval and leaves an output file with usage', async () => {
    const line = { custom_id: 'one', method: 'POST', url: '/v1/chat/completions', body: { model: 'gpt-4o' } };
    const input = await client.files.create({
      purpose: 'batch',
      file: await toFile(Buffer.from(`${JSON.stringify(line)}\n`), 'batch.jsonl'),
    });
    const batch = await client.batches.create({
      input_file_id: input.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    assert.equal((await client.batches.retrieve(batch.id)).status, 'in_progress');
    const completed = await client.batches.retrieve(batch.id);
    assert.equal(completed.status, 'completed');
    const output = await (await client.files.content(completed.output_file_id ?? '')).text();
    const result = JSON.parse(output);
    assert.equal(result.custom_id, 'one');
    assert.equal(result.response.body.usage.total_tokens, 2);
  });

  test('a realtime conversation is answered with usage that grows with what was said', async () => {
    const socket = new WebSocket(`${sandbox.url.replace('http', 'ws')}/realtime?model=gpt-realtime`);
    const events = eventsOf(socket);
    await once(socket, 'open');
    const item = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Solve 3x + 11 = 14' }] };

    const totals = [];
    for (const turn of [1, 2]) {
      socket.send(JSON.stringify({ type: 'conversation.item.create', item }));
      socket.send(JSON.stringify({ type: 'response.create' }));
      const done = await events('response.done');
      assert.match(done.response.output[0].content[0].text, /x = 1/, `turn ${turn}`);
      totals.push([done.response.usage.input_tokens, done.response.usage.output_tokens]);
    }
    assert.deepEqual(totals, [
      [5, 30],
      [39, 30],
    ]);
    socket.close();
    await once(socket, 'close');
  });

  test('one socket of the Responses API answers several responses, each with usage', async () => {
    const socket = new WebSocket(`${sandbox.url.replace('http', 'ws')}/responses`);
    const events = eventsOf(socket);
    await once(socket, 'open');
    for (const input of ['Solve 3x + 11 = 14', 'Solve 2y = 8']) {
      socket.send(JSON.stringify({ type: 'response.create', model: 'gpt-5.1', input }));
      const completed = await events('response.completed');
      assert.ok(completed.response.usage.output_tokens > 0);
    }
    socket.close();
    await once(socket, 'close');
  });

  test('the list of models names those it speaks for, and any other name works as well', async () => {
    const ids = (await client.models.list()).data.map((model) => model.id);
    assert.ok(ids.includes('gpt-4o') && ids.includes('text-embedding-3-small'), ids.join(', '));
    const reply = await client.chat.completions.create({ model: 'a-model-of-2031', messages: question });
    assert.equal(reply.model, 'a-model-of-2031');
  });

  test('what docs/sandbox.md calls a 404 is one, not a made-up success', async () => {
    const doc = await readFile(new URL('../docs/sandbox.md', import.meta.url), 'utf8');
    const rows = doc.split('\n').filter((line) => line.includes('| 404 |'));
    const named = rows.flatMap((line) => [...line.matchAll(/`(?:(GET|POST) )?(\/[^`]+)`/g)]);
    assert.ok(named.length > 15, `${named.length} paths`);

    const body = JSON.stringify({ model: 'gpt-4o', prompt: 'x', input: 'x' });
    for (const [, only, path = ''] of named) {
      for (const method of only ? [only] : ['GET', 'POST']) {
        const url = sandbox.url + path.replace('{id}', 'x').replace('*', 'x');
        const reply = await fetch(url, method === 'POST' ? { method, body } : {});
        assert.equal(reply.status, 404, `${method} ${path}`);
        await reply.body?.cancel();
      }
    }
  });

  test('it closes at once although a socket is open', async () => {
    const other = await startSandbox({ port: 0 });
    const socket = new WebSocket(`${other.url.replace('http', 'ws')}/realtime?model=gpt-realtime`);
    await once(socket, 'open');
    const closed = once(socket, 'close');
    await other.close();
    await closed;
    await assert.rejects(fetch(`${other.url}/models`));
  });

  test('where aimock is not installed, the error says what to install', async () => {
    const hooks = `
      import { registerHooks } from 'node:module';
      registerHooks({
        resolve(name, context, next) {
          if (name !== '@copilotkit/aimock') return next(name, context);
          throw Object.assign(new Error('Cannot find it'), { code: 'ERR_MODULE_NOT_FOUND' });
        },
      });
    `;
    const start = `
      const { startSandbox } = await import('${new URL('../src/sandbox/sandbox.ts', import.meta.url).href}');
      await startSandbox({ port: 0 }).catch((error) => console.log(error.message));
    `;
    const { stdout } = await promisify(execFile)(process.execPath, [
      `--import=data:text/javascript,${encodeURIComponent(hooks)}`,
      '--input-type=module',
      `--eval=${start}`,
    ]);
    assert.match(stdout, /npm install @copilotkit\/aimock/);
  });

  test('a taken port is an error, not a second sandbox', async () => {
    await assert.rejects(startSandbox({ port: Number(new URL(sandbox.url).port) }), { code: 'EADDRINUSE' });
  });
});

describe('equations', () => {
  const cases: [text: string, solution: string | undefined][] = [
    ['Solve 3x + 11 = 14', 'x = 1'],
    ['I need to solve the equation `3x + 11 = 14`. Can you help me?', 'x = 1'],
    ['solve 8x + 7 = -23', 'x = -15/4'],
    ['2y = 8', 'y = 4'],
    ['-x + 4 = 4', 'x = 0'],
    ['-6z - 3 = 9', 'z = -2'],
    ['x + 5 = 2', 'x = -3'],
    ['7n \u2212 7 = 0', 'n = 1'],
    ['const x = 5', undefined],
    ['0x + 1 = 2', undefined],
    ['3.5x + 1 = 8', undefined],
    ['x + 1 = 2.5', undefined],
    ['3x + 1 = 2x + 4', undefined],
    ['What is the weather?', undefined],
  ];
  for (const [text, solution] of cases) {
    test(`${text} -> ${solution ?? 'no equation'}`, () => assert.equal(solveEquation(text)?.solution, solution));
  }
});

describe('examples of a JSON schema', () => {
  test('the plainest value of each type is chosen, named texts first', () => {
    const schema = {
      type: 'object',
      properties: {
        name: { type: 'string' },
        age: { type: 'integer', minimum: 18 },
        tags: { type: 'array', items: { type: 'string' }, minItems: 2 },
        kind: { enum: ['b', 'a'] },
        fixed: { const: 7 },
        nullable: { anyOf: [{ type: 'number' }, { type: 'null' }] },
        on: { type: ['boolean', 'null'] },
      },
    };
    assert.deepEqual(exampleOf(schema, { name: 'Ada' }), {
      name: 'Ada',
      age: 18,
      tags: ['sandbox tags', 'sandbox tags'],
      kind: 'b',
      fixed: 7,
      nullable: 1,
      on: true,
    });
  });

  test('a schema that contains itself comes to an end', () => {
    const schema = { type: 'object', properties: { next: { $ref: '#' } } };
    assert.ok(JSON.stringify(exampleOf(schema)).endsWith('null}}}}}'));
  });
});

/** Waits for the next event of a type among those the socket brings. */
function eventsOf(socket: WebSocket) {
  // Events are JSON of many shapes; each test reads the members it asserts on.
  // oxlint-disable-next-line typescript/no-explicit-any
  type Event = any;
  const arrived: Event[] = [];
  let wake = () => {};
  socket.on('message', (message) => {
    // oxlint-disable-next-line typescript/no-base-to-string
    arrived.push(JSON.parse(String(message)));
    wake();
  });
  return async (type: string): Promise<Event> => {
    for (;;) {
      const at = arrived.findIndex((event) => event.type === type);
      if (at >= 0) return arrived.splice(0, at + 1).at(-1);
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
}
