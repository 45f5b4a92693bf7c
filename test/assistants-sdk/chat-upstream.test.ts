// The same helpers where the upstream knows no /responses and only chats.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { OpenAI } from 'openai';

import { startSandbox } from '../../src/sandbox/sandbox.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { startGateway } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';

const question = (content: string) => ({ messages: [{ role: 'user' as const, content }] });

describe('with an upstream that only chats', () => {
  let sandbox: Sandbox;
  let gateway: TestGateway;
  let client: OpenAI;
  let beta: OpenAI.Beta;
  let assistant_id: string;

  before(async () => {
    sandbox = await startSandbox({ port: 0 });
    gateway = await startGateway({ upstream: sandbox.url, settings: { assistants: { engine: 'chat' } } });
    client = new OpenAI({ baseURL: `${gateway.api}/openai`, apiKey: gateway.token, maxRetries: 0 });
    ({ beta } = client);
    assistant_id = (await beta.assistants.create({ model: 'gpt-4o', instructions: 'Help.' })).id;
  });
  after(async () => {
    await gateway.close();
    await sandbox.close();
  });

  const answerOf = async (thread: string) => {
    const [part] = (await beta.threads.messages.list(thread)).data[0]?.content ?? [];
    assert.ok(part?.type === 'text');
    return part.text;
  };

  test('a run answers, polled and streamed', async () => {
    const thread = question('Solve 3x + 11 = 14');
    const polled = await beta.threads.createAndRunPoll({ assistant_id, thread });
    const streamed = await beta.threads.createAndRunStream({ assistant_id, thread }).finalRun();
    for (const run of [polled, streamed]) {
      assert.equal(run.status, 'completed');
      assert.match((await answerOf(run.thread_id)).value, /The solution is x = 1\.$/);
      assert.ok((run.usage?.total_tokens ?? 0) > 0);
    }
  });

  test('a function is called, and its output taken up in a stream', async () => {
    const tools = [{ type: 'function' as const, function: { name: 'get_weather' } }];
    const asked = beta.threads.createAndRunStream({ assistant_id, thread: question('The weather?'), tools });
    const { id, thread_id, required_action: action } = await asked.finalRun();
    const [call] = action?.submit_tool_outputs.tool_calls ?? [];
    assert.equal(call?.function.name, 'get_weather');
    const tool_outputs = [{ tool_call_id: call.id, output: '21 degrees' }];
    const answered = await beta.threads.runs.submitToolOutputsStream(id, { thread_id, tool_outputs }).finalRun();
    assert.equal(answered.status, 'completed');
    assert.match((await answerOf(thread_id)).value, /21 degrees/);
  });

  test('files are searched by the gateway, which shows the search as a step and keeps the citation', async () => {
    const file = await client.files.create({ purpose: 'assistants', file: new File(['Forty metres.'], 'depth.md') });
    const store = await client.vectorStores.create({ file_ids: [file.id] });
    const run = await beta.threads.createAndRunPoll({
      assistant_id,
      thread: question('How deep is the wreck?'),
      tools: [{ type: 'file_search' }],
      tool_resources: { file_search: { vector_store_ids: [store.id] } },
    });
    assert.equal(run.status, 'completed');
    const [search, message] = (await beta.threads.runs.steps.list(run.id, { thread_id: run.thread_id, order: 'asc' }))
      .data;
    assert.equal(message?.type, 'message_creation');
    assert.ok(search?.step_details.type === 'tool_calls');
    const [call] = search.step_details.tool_calls;
    assert.ok(call?.type === 'file_search');
    assert.equal(call.file_search.results?.[0]?.file_name, 'depth.md');
    const text = await answerOf(run.thread_id);
    const [annotation] = text.annotations;
    assert.ok(annotation?.type === 'file_citation');
    assert.equal(annotation.file_citation.file_id, file.id);
    assert.match(text.value.replace(annotation.text, ''), /Forty metres\./);
  });

  test('code is refused before a run begins', async () => {
    const tools = [{ type: 'code_interpreter' as const }];
    await assert.rejects(
      beta.threads.createAndRunPoll({ assistant_id, thread: question('Count.'), tools }),
      (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.match(error.message, /'tools\[0\]': 'code_interpreter' is not supported by this upstream/);
        return true;
      },
    );
  });
});
