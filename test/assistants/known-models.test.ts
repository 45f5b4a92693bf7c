// A model that does not exist is refused when it is named, as far as that can be known; where it cannot, nothing is in the way.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import type { Settings } from '../../src/config/config.ts';
import { type Clock, systemClock } from '../../src/domain/clock.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import { ResponsesUpstream } from '../support/responses-upstream.ts';
import type { Any } from '../support/runs.ts';

describe('models', () => {
  let upstream: ResponsesUpstream;
  let listening: Awaited<ReturnType<ResponsesUpstream['listen']>>;
  let gateway: TestGateway;
  let passedMs: number;
  /** The real one, which a test may put forward. */
  const clock: Clock = { now: () => systemClock.now() + passedMs, elapsedMs: () => systemClock.elapsedMs() };

  beforeEach(async () => {
    passedMs = 0;
    upstream = new ResponsesUpstream();
    upstream.models = ['gpt-4o', 'gpt-6-luna'];
    listening = await upstream.listen();
  });
  afterEach(async () => {
    await gateway.close();
    await listening.close();
  });

  const start = async (assistants: NonNullable<Settings['assistants']> = {}) => {
    gateway = await startGateway({ upstream: listening.url, clock, settings: { assistants } });
  };
  const ask = async (path: string, body: unknown): Promise<{ readonly status: number; readonly json: Any }> => {
    const reply = await fetch(`${gateway.api}/openai${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: reply.status, json: await reply.json() };
  };
  const create = async (model: string) => (await ask('/assistants', { model })).status;
  const asked = () => upstream.calls.filter(({ path }) => path === '/v1/models').length;

  test('that the upstream does not list are refused wherever they are named, in OpenAI’s words', async () => {
    await start();
    const { json: assistant } = await ask('/assistants', { model: 'gpt-4o' });
    const { json: thread } = await ask('/threads', {});
    const refusal = {
      error: {
        message: "The requested model 'gpt-9' does not exist.",
        type: 'invalid_request_error',
        param: 'model',
        code: 'model_not_found',
      },
    };
    const places: readonly (readonly [string, object])[] = [
      ['/assistants', {}],
      [`/assistants/${assistant.id}`, {}],
      [`/threads/${thread.id}/runs`, { assistant_id: assistant.id }],
      ['/threads/runs', { assistant_id: assistant.id }],
    ];
    for (const [path, body] of places) {
      assert.deepEqual(await ask(path, { ...body, model: 'gpt-9' }), { status: 400, json: refusal }, path);
      assert.equal((await ask(path, { ...body, model: 'gpt-6-luna' })).status, 200, path);
    }
    assert.equal(asked(), 1, 'the list is asked for once');
  });

  test('that an alias, a tuning or the operator stands for are taken', async () => {
    await start({ modelAliases: { 'gpt-4*': 'gpt-6-luna', old: 'gone' }, unlistedModels: ['house-*', 'other'] });
    for (const model of ['gpt-4-0613', 'ft:gpt-4o:org::1', 'house-7b', 'other']) {
      assert.equal(await create(model), 200, model);
    }
    for (const model of ['other-1', 'old']) assert.equal(await create(model), 400, model);
  });

  test('that came up since are taken once the list is a minute old', async () => {
    await start();
    assert.equal(await create('gpt-9'), 400);
    upstream.models = ['gpt-4o', 'gpt-9'];
    assert.equal(await create('gpt-9'), 400);
    passedMs += 61_000;
    assert.equal(await create('gpt-9'), 200);
    // One that is gone is refused by then.
    assert.equal(await create('gpt-6-luna'), 400);
    assert.equal(asked(), 2);
  });

  test('are all taken where the upstream has no list, and it is not asked for one each time', async () => {
    upstream.models = [];
    await start();
    for (const model of ['gpt-9', 'gpt-4o', 'llama']) assert.equal(await create(model), 200);
    assert.equal(asked(), 1);
    upstream.models = ['llama'];
    passedMs += 61_000;
    assert.equal(await create('gpt-9'), 400);
  });

  test('are all taken when a list that was there cannot be had any more', async () => {
    await start();
    assert.equal(await create('gpt-9'), 400);
    upstream.models = [];
    passedMs += 61_000;
    assert.equal(await create('gpt-9'), 200);
  });

  test('are taken when the list does not come in time, and nobody after waits for it', async () => {
    const late = Promise.withResolvers<readonly string[]>();
    upstream.models = late.promise;
    await start();
    const begun = performance.now();
    assert.equal(await create('gpt-9'), 200);
    for (let i = 0; i < 20; i++) assert.equal(await create('gpt-9'), 200);
    assert.ok(performance.now() - begun < 10_000, 'the wait was not paid twenty times');
    late.resolve([]);
  });

  test('are taken unseen where the operator says so', async () => {
    await start({ checkModels: false });
    assert.equal(await create('gpt-9'), 200);
    assert.equal(asked(), 0);
  });
});
