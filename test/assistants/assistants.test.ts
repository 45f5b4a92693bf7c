// Assistants through the desk: every field, default and limit of their creation and change.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { type TestDesk, openDesk } from '../support/desk.ts';

describe('assistants', () => {
  let desk: TestDesk;
  beforeEach(async () => {
    desk = await openDesk();
  });
  afterEach(() => desk.close());

  test('one that names only its model has the defaults of all else', async () => {
    const made = await desk.ok('POST', '/assistants', { model: 'gpt-4o' });
    const { id, ...rest } = made;
    assert.match(id, /^asst_[A-Za-z0-9]{24}$/);
    assert.deepEqual(rest, {
      object: 'assistant',
      created_at: 1_750_000_000,
      name: null,
      description: null,
      model: 'gpt-4o',
      instructions: null,
      tools: [],
      tool_resources: {},
      metadata: {},
      temperature: 1,
      top_p: 1,
      response_format: 'auto',
    });
  });

  test('one that names everything is answered, and read again, as it was written', async () => {
    const asked = {
      model: 'gpt-4o',
      name: 'Tutor',
      description: 'Helps.',
      instructions: 'Be kind.',
      tools: [
        { type: 'code_interpreter' },
        {
          type: 'file_search',
          file_search: { max_num_results: 7, ranking_options: { ranker: 'auto', score_threshold: 0.5 } },
        },
        {
          type: 'function',
          function: {
            name: 'get_weather',
            description: 'Weather.',
            parameters: { type: 'object', properties: {} },
            strict: true,
          },
        },
      ],
      tool_resources: { code_interpreter: { file_ids: ['file-1'] }, file_search: { vector_store_ids: ['vs_1'] } },
      metadata: { team: 'red' },
      temperature: 0.2,
      top_p: 0.9,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'answer', schema: { type: 'object' }, strict: true },
      },
      reasoning_effort: 'low',
    };
    const made = await desk.ok('POST', '/assistants', asked);
    const { id, object, created_at, ...rest } = made;
    assert.equal(object, 'assistant');
    assert.equal(created_at, 1_750_000_000);
    assert.deepEqual(rest, asked);
    assert.deepEqual(await desk.ok('GET', `/assistants/${id}`), made);
  });

  test('a function whose strictness is not said is not strict', async () => {
    const made = await desk.ok('POST', '/assistants', {
      model: 'm',
      tools: [{ type: 'function', function: { name: 'f', strict: null } }],
    });
    assert.deepEqual(made.tools, [{ type: 'function', function: { name: 'f', strict: false } }]);
  });

  test('null stands for the default wherever it may be given', async () => {
    const nothing = {
      name: null,
      description: null,
      instructions: null,
      tools: null,
      tool_resources: null,
      metadata: null,
      temperature: null,
      top_p: null,
      response_format: null,
      reasoning_effort: null,
    };
    const made = await desk.ok('POST', '/assistants', { model: 'gpt-4o', ...nothing });
    const plain = await desk.ok('POST', '/assistants', { model: 'gpt-4o' });
    assert.deepEqual({ ...made, id: '' }, { ...plain, id: '' });
  });

  test('a change touches what it names and leaves the rest', async () => {
    const { id } = await desk.ok('POST', '/assistants', {
      model: 'gpt-4o',
      name: 'A',
      instructions: 'I',
      metadata: { a: '1' },
      temperature: 0.5,
    });
    const changed = await desk.ok('POST', `/assistants/${id}`, { name: 'B', metadata: { b: '2' }, instructions: null });
    assert.equal(changed.name, 'B');
    assert.equal(changed.instructions, null);
    assert.equal(changed.temperature, 0.5);
    assert.deepEqual(changed.metadata, { b: '2' });
    assert.deepEqual(await desk.ok('GET', `/assistants/${id}`), changed);
  });

  test('changed tool resources replace the member that is given, and leave the other', async () => {
    const { id } = await desk.ok('POST', '/assistants', {
      model: 'gpt-4o',
      tool_resources: { code_interpreter: { file_ids: ['file-1'] }, file_search: { vector_store_ids: ['vs_1'] } },
    });
    const changed = await desk.ok('POST', `/assistants/${id}`, {
      tool_resources: { file_search: { vector_store_ids: ['vs_2'] } },
    });
    assert.deepEqual(changed.tool_resources, {
      code_interpreter: { file_ids: ['file-1'] },
      file_search: { vector_store_ids: ['vs_2'] },
    });
  });

  test('a deleted one is gone, for reading, changing and deleting', async () => {
    const { id } = await desk.ok('POST', '/assistants', { model: 'gpt-4o' });
    assert.deepEqual(await desk.ok('DELETE', `/assistants/${id}`), { id, object: 'assistant.deleted', deleted: true });
    for (const method of ['GET', 'POST', 'DELETE']) {
      const { status, json } = await desk.ask(method, `/assistants/${id}`, method === 'POST' ? {} : undefined);
      assert.equal(status, 404);
      assert.equal(json.error.message, `No assistant found with id '${id}'.`);
    }
  });

  test('128 tools are taken, 256 characters of a name, and 256,000 of instructions', async () => {
    const tools = Array.from({ length: 128 }, (_, i) => ({ type: 'function', function: { name: `f${i}` } }));
    const made = await desk.ok('POST', '/assistants', {
      model: 'gpt-4o',
      tools,
      name: '😀'.repeat(256),
      instructions: 'x'.repeat(256_000),
    });
    assert.equal(made.tools.length, 128);
  });

  test('a vector store that is asked for is made upstream, and its id stands in its place', async () => {
    const made = await desk.ok('POST', '/assistants', {
      model: 'gpt-4o',
      tools: [{ type: 'file_search' }],
      tool_resources: {
        file_search: {
          vector_stores: [{ file_ids: ['file-1'], metadata: { a: 'b' }, chunking_strategy: { type: 'auto' } }],
        },
      },
    });
    assert.deepEqual(made.tool_resources, { file_search: { vector_store_ids: ['vs_1'] } });
    assert.deepEqual(desk.upstream, [
      {
        method: 'POST',
        path: '/v1/vector_stores',
        body: { file_ids: ['file-1'], chunking_strategy: { type: 'auto' }, metadata: { a: 'b' } },
        keyId: 'key_of_team_red',
      },
    ]);
  });

  test('more files than a store takes at its creation follow in batches', async () => {
    const fileIds = Array.from({ length: 1201 }, (_, i) => `file-${i}`);
    await desk.ok('POST', '/assistants', {
      model: 'gpt-4o',
      tool_resources: { file_search: { vector_stores: [{ file_ids: fileIds }] } },
    });
    assert.deepEqual(
      desk.upstream.map(({ path, body }) => [path, (body as { file_ids: string[] }).file_ids.length]),
      [
        ['/v1/vector_stores', 500],
        ['/v1/vector_stores/vs_1/file_batches', 500],
        ['/v1/vector_stores/vs_1/file_batches', 201],
      ],
    );
  });

  test('where the store cannot be made nothing is, and the caller hears what the upstream says', async () => {
    desk.play(() => ({
      status: 400,
      body: { error: { message: 'No such file', type: 'invalid_request_error', param: 'file_ids', code: 'x' } },
    }));
    const asked = { model: 'gpt-4o', tool_resources: { file_search: { vector_stores: [{ file_ids: ['file-1'] }] } } };
    const refused = await desk.ask('POST', '/assistants', asked);
    assert.equal(refused.status, 400);
    assert.deepEqual(refused.json.error, {
      message: 'No such file',
      type: 'invalid_request_error',
      param: 'file_ids',
      code: 'x',
    });
    desk.play(() => 'unreachable');
    assert.equal((await desk.ask('POST', '/assistants', asked)).status, 502);
    desk.play(() => 'refused');
    assert.equal((await desk.ask('POST', '/assistants', asked)).status, 403);
    desk.play(() => ({ status: 401, body: { error: { message: 'Incorrect API key provided: sk-abc' } } }));
    const ours = await desk.ask('POST', '/assistants', asked);
    assert.equal(ours.status, 502);
    assert.doesNotMatch(ours.text, /sk-abc/);
    assert.equal((await desk.ok('GET', '/assistants')).data.length, 0);
  });

  test('a template answers for its id, and becomes an assistant of the team that first uses it', async () => {
    await desk.close();
    desk = await openDesk({
      templates: {
        asst_deployed: { model: 'gpt-4o', instructions: 'Be brief.', tools: [{ type: 'file_search' }], topP: 0.3 },
      },
    });
    const adopted = await desk.ok('GET', '/assistants/asst_deployed');
    assert.equal(adopted.instructions, 'Be brief.');
    assert.equal(adopted.top_p, 0.3);
    await desk.ok('POST', '/assistants/asst_deployed', { name: 'Mine' });
    assert.equal((await desk.ok('GET', '/assistants/asst_deployed')).name, 'Mine');
    assert.equal((await desk.ask('GET', '/assistants/asst_other')).status, 404);
  });

  test('a template that no assistant could be made of stops the start, and says which', async () => {
    await assert.rejects(
      openDesk({ templates: { asst_x: { model: 'gpt-4o', tools: [{ type: 'retrieval' }] } } }),
      /assistants\.templates\.asst_x: Invalid value: 'retrieval'/,
    );
  });
});
