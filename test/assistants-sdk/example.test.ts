// The best known example of the Assistants API, on every spelling of the base URL and in every way to wait for its run.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { OpenAI } from 'openai';

import { startSandbox } from '../../src/sandbox/sandbox.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { startGateway } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';

type Runs = OpenAI['beta']['threads']['runs'];

const WAYS: Record<string, (runs: Runs, thread: string, assistant_id: string) => Promise<OpenAI.Beta.Threads.Run>> = {
  async 'created and retrieved'(runs, thread_id, assistant_id) {
    let run = await runs.create(thread_id, { assistant_id });
    while (run.status === 'queued' || run.status === 'in_progress') run = await runs.retrieve(run.id, { thread_id });
    return run;
  },
  'created and polled': (runs, thread, assistant_id) => runs.createAndPoll(thread, { assistant_id }),
  streamed: (runs, thread, assistant_id) => runs.stream(thread, { assistant_id }).finalRun(),
};

describe('an assistant solves an equation', () => {
  let sandbox: Sandbox;
  let gateway: TestGateway;

  before(async () => {
    sandbox = await startSandbox({ port: 0 });
    gateway = await startGateway({ upstream: sandbox.url });
  });
  after(async () => {
    await gateway.close();
    await sandbox.close();
  });

  for (const base of ['/openai', '/openai/', '/openai/v1', '/openai/v1/', '/openai_passthrough', '/v1']) {
    for (const [way, waitFor] of Object.entries(WAYS)) {
      test(`with the base URL ${base}, its run ${way}`, async () => {
        const { beta } = new OpenAI({ baseURL: gateway.api + base, apiKey: gateway.token });
        const assistant = await beta.assistants.create({
          name: 'Math Tutor',
          instructions: 'You are a math tutor. Help solve equations.',
          model: 'gpt-4o',
        });
        const thread = await beta.threads.create();
        await beta.threads.messages.create(thread.id, { role: 'user', content: 'Solve 3x + 11 = 14' });
        const run = await waitFor(beta.threads.runs, thread.id, assistant.id);
        assert.equal(run.status, 'completed');
        const [answer, question] = (await beta.threads.messages.list(thread.id)).data;
        assert.equal(question?.role, 'user');
        assert.ok(answer?.role === 'assistant' && answer.content[0]?.type === 'text');
        assert.match(answer.content[0].text.value, /The solution is x = 1\.$/);
        assert.equal((await beta.assistants.delete(assistant.id)).deleted, true);
      });
    }
  }
});
