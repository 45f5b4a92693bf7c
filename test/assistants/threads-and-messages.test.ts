// Threads and messages through the desk: fields, defaults, changes, deletion, and what attachments do upstream.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { type TestDesk, openDesk } from '../support/desk.ts';

const user = (content: unknown, more: object = {}) => ({ role: 'user', content, ...more });
const search = (file_id: string) => ({ file_id, tools: [{ type: 'file_search' }] });
const code = (file_id: string) => ({ file_id, tools: [{ type: 'code_interpreter' }] });

describe('threads', () => {
  let desk: TestDesk;
  beforeEach(async () => {
    desk = await openDesk();
  });
  afterEach(() => desk.close());

  test('an empty body, an empty object and no body at all make an empty thread', async () => {
    for (const body of [undefined, {}, '']) {
      const { id, ...rest } = await desk.ok('POST', '/threads', body);
      assert.match(id, /^thread_[A-Za-z0-9]{24}$/);
      assert.deepEqual(rest, { object: 'thread', created_at: 1_750_000_000, tool_resources: {}, metadata: {} });
    }
  });

  test('initial messages stand in the thread in their order', async () => {
    const { id } = await desk.ok('POST', '/threads', {
      messages: [user('one'), { role: 'assistant', content: 'two' }, user('three')],
    });
    const { data } = await desk.ok('GET', `/threads/${id}/messages?order=asc`);
    assert.deepEqual(
      data.map((message: { role: string; content: { text: { value: string } }[] }) => [
        message.role,
        message.content[0]?.text.value,
      ]),
      [
        ['user', 'one'],
        ['assistant', 'two'],
        ['user', 'three'],
      ],
    );
  });

  test('32 initial messages are taken, 33 are one too many, and the operator may allow more', async () => {
    const messages = Array.from({ length: 33 }, (_, i) => user(`${i}`));
    await desk.ok('POST', '/threads', { messages: messages.slice(1) });
    const { json } = await desk.ask('POST', '/threads', { messages });
    assert.equal(
      json.error.message,
      "Invalid 'messages': array too long. Expected an array with maximum length 32, but got an array with length 33 instead.",
    );
    await desk.close();
    desk = await openDesk({ initialMessagesMax: 1000 });
    await desk.ok('POST', '/threads', { messages });
  });

  test('a change touches metadata and resources, and nothing else', async () => {
    const made = await desk.ok('POST', '/threads', {
      metadata: { a: '1' },
      tool_resources: { code_interpreter: { file_ids: ['file-1'] } },
    });
    const changed = await desk.ok('POST', `/threads/${made.id}`, { metadata: { b: '2' } });
    assert.deepEqual(changed, { ...made, metadata: { b: '2' } });
    assert.deepEqual(await desk.ok('POST', `/threads/${made.id}`, {}), changed);
    assert.deepEqual(await desk.ok('GET', `/threads/${made.id}`), changed);
  });

  test('a deleted thread takes its messages along', async () => {
    const { id } = await desk.ok('POST', '/threads', { messages: [user('hi')] });
    assert.deepEqual(await desk.ok('DELETE', `/threads/${id}`), { id, object: 'thread.deleted', deleted: true });
    for (const path of [`/threads/${id}`, `/threads/${id}/messages`, `/threads/${id}/runs`]) {
      const { status, json } = await desk.ask('GET', path);
      assert.equal(status, 404);
      assert.equal(json.error.message, `No thread found with id '${id}'.`);
    }
  });

  test('threads are not listed, as they never were, unless the operator wants it', async () => {
    await desk.ok('POST', '/threads', {});
    const refused = await desk.ask('GET', '/threads');
    assert.equal(refused.status, 401);
    assert.match(refused.json.error.message, /^Your request to GET \/v1\/threads must be made with a session key/);
    await desk.close();
    desk = await openDesk({ listThreads: true });
    const { id } = await desk.ok('POST', '/threads', {});
    const { json } = await desk.ask('GET', '/threads');
    assert.deepEqual([json.first_id, json.last_id, json.has_more], [id, id, false]);
  });

  test('a store that is made for a thread goes when nobody used it for a week', async () => {
    await desk.ok('POST', '/threads', {
      tool_resources: { file_search: { vector_stores: [{ file_ids: ['file-1'] }] } },
    });
    assert.deepEqual(desk.upstream[0]?.body, {
      file_ids: ['file-1'],
      expires_after: { anchor: 'last_active_at', days: 7 },
    });
  });
});

describe('messages', () => {
  let desk: TestDesk;
  let thread: string;
  beforeEach(async () => {
    desk = await openDesk();
    thread = (await desk.ok('POST', '/threads')).id;
  });
  afterEach(() => desk.close());

  test('a text is one part, complete at once, by nobody but its user', async () => {
    const { id, ...rest } = await desk.ok('POST', `/threads/${thread}/messages`, user('Solve 3x + 11 = 14'));
    assert.match(id, /^msg_[A-Za-z0-9]{24}$/);
    assert.deepEqual(rest, {
      object: 'thread.message',
      created_at: 1_750_000_000,
      thread_id: thread,
      status: 'completed',
      incomplete_details: null,
      completed_at: 1_750_000_000,
      incomplete_at: null,
      role: 'user',
      content: [{ type: 'text', text: { value: 'Solve 3x + 11 = 14', annotations: [] } }],
      assistant_id: null,
      run_id: null,
      attachments: [],
      metadata: {},
    });
  });

  test('parts keep their order, and images say how closely to look', async () => {
    const parts = [
      { type: 'text', text: 'Look:' },
      { type: 'image_file', image_file: { file_id: 'file-1' } },
      { type: 'image_url', image_url: { url: 'https://example.com/a.png', detail: 'low' } },
    ];
    const made = await desk.ok('POST', `/threads/${thread}/messages`, user(parts, { metadata: { a: 'b' } }));
    assert.deepEqual(made.content, [
      { type: 'text', text: { value: 'Look:', annotations: [] } },
      { type: 'image_file', image_file: { file_id: 'file-1', detail: 'auto' } },
      { type: 'image_url', image_url: { url: 'https://example.com/a.png', detail: 'low' } },
    ]);
    assert.deepEqual(await desk.ok('GET', `/threads/${thread}/messages/${made.id}`), made);
  });

  test('only the metadata of a message may be changed', async () => {
    const made = await desk.ok('POST', `/threads/${thread}/messages`, user('hi'));
    const changed = await desk.ok('POST', `/threads/${thread}/messages/${made.id}`, { metadata: { seen: 'yes' } });
    assert.deepEqual(changed, { ...made, metadata: { seen: 'yes' } });
    const { json } = await desk.ask('POST', `/threads/${thread}/messages/${made.id}`, { content: 'bye' });
    assert.equal(json.error.message, "Unknown parameter: 'content'.");
  });

  test('a deleted message is gone from the thread', async () => {
    const { id } = await desk.ok('POST', `/threads/${thread}/messages`, user('hi'));
    assert.deepEqual(await desk.ok('DELETE', `/threads/${thread}/messages/${id}`), {
      id,
      object: 'thread.message.deleted',
      deleted: true,
    });
    const { json } = await desk.ask('GET', `/threads/${thread}/messages/${id}`);
    assert.equal(json.error.message, `No message found with id '${id}'.`);
    assert.deepEqual((await desk.ok('GET', `/threads/${thread}/messages`)).data, []);
  });

  test('a message is not found through another thread', async () => {
    const { id } = await desk.ok('POST', `/threads/${thread}/messages`, user('hi'));
    const other = await desk.ok('POST', '/threads');
    assert.equal(
      (await desk.ask('GET', `/threads/${other.id}/messages/${id}`)).json.error.message,
      `No message found with id '${id}'.`,
    );
    assert.equal(
      (await desk.ask('GET', `/threads/thread_none/messages/${id}`)).json.error.message,
      "No thread found with id 'thread_none'.",
    );
  });

  test('a file for searching goes into the store of the thread, which is made where there is none', async () => {
    await desk.ok(
      'POST',
      `/threads/${thread}/messages`,
      user('a', { attachments: [search('file-1'), search('file-2')] }),
    );
    await desk.ok('POST', `/threads/${thread}/messages`, user('b', { attachments: [search('file-3')] }));
    await desk.ok(
      'POST',
      `/threads/${thread}/messages`,
      user('c', { attachments: [search('file-4'), search('file-5')] }),
    );
    assert.deepEqual(
      desk.upstream.map(({ path, body }) => [path, body]),
      [
        ['/v1/vector_stores', { file_ids: ['file-1', 'file-2'], expires_after: { anchor: 'last_active_at', days: 7 } }],
        ['/v1/vector_stores/vs_1/files', { file_id: 'file-3' }],
        ['/v1/vector_stores/vs_1/file_batches', { file_ids: ['file-4', 'file-5'] }],
      ],
    );
    assert.deepEqual((await desk.ok('GET', `/threads/${thread}`)).tool_resources, {
      file_search: { vector_store_ids: ['vs_1'] },
    });
  });

  test('two messages with files at once still make one store', async () => {
    await Promise.all(
      ['file-1', 'file-2', 'file-3'].map((file) =>
        desk.ok('POST', `/threads/${thread}/messages`, user('a', { attachments: [search(file)] })),
      ),
    );
    assert.equal(desk.upstream.filter(({ path }) => path === '/v1/vector_stores').length, 1);
    assert.equal(desk.upstream.filter(({ path }) => path === '/v1/vector_stores/vs_1/files').length, 2);
  });

  test('a file for the code interpreter is added to the files of the thread, 20 at most', async () => {
    desk.play(() => ({ status: 200, body: { id: 'file' } }));
    await desk.ok('POST', `/threads/${thread}/messages`, user('a', { attachments: [code('file-1'), code('file-1')] }));
    const many = Array.from({ length: 19 }, (_, i) => code(`file-${i + 2}`));
    await desk.ok('POST', `/threads/${thread}/messages`, user('b', { attachments: many }));
    assert.equal((await desk.ok('GET', `/threads/${thread}`)).tool_resources.code_interpreter.file_ids.length, 20);
    const { json } = await desk.ask(
      'POST',
      `/threads/${thread}/messages`,
      user('c', { attachments: [code('file-99')] }),
    );
    assert.match(json.error.message, /^Invalid 'tool_resources\.code_interpreter\.file_ids': array too long/);
  });

  test('a file that is not there is refused, and no message is added', async () => {
    desk.play(() => ({
      status: 404,
      body: {
        error: { message: 'No such File object: file-x', type: 'invalid_request_error', param: 'id', code: null },
      },
    }));
    for (const attachment of [code('file-x'), search('file-x')]) {
      const refused = await desk.ask('POST', `/threads/${thread}/messages`, user('a', { attachments: [attachment] }));
      assert.equal(refused.json.error.message, 'No such File object: file-x');
    }
    assert.deepEqual((await desk.ok('GET', `/threads/${thread}/messages`)).data, []);
  });

  test('attachments of initial messages do what those of later ones do', async () => {
    const made = await desk.ok('POST', '/threads', {
      messages: [user('a', { attachments: [search('file-1')] }), user('b', { attachments: [search('file-2')] })],
    });
    assert.deepEqual(made.tool_resources, { file_search: { vector_store_ids: ['vs_1'] } });
    assert.equal(desk.upstream.length, 1);
  });
});
