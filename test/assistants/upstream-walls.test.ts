// Two teams, one upstream account: a file or vector store that another team made is answered exactly as one that is not there,
// wherever a request names it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import type { OwnedKind } from '../../src/domain/ownership.ts';
import { BLUE_CALLER, RED_CALLER, type TestDesk, openDesk } from '../support/desk.ts';
import { startGateway } from '../support/gateway.ts';
import { ResponsesUpstream } from '../support/responses-upstream.ts';

interface Scene {
  readonly assistant: string;
  readonly thread: string;
}

const code = (id: string) => ({ code_interpreter: { file_ids: [id] } });
const search = (id: string) => ({ file_search: { vector_store_ids: [id] } });
const shorthand = (id: string) => ({ file_search: { vector_stores: [{ file_ids: [id] }] } });
const attached = (id: string, type: string) => ({
  role: 'user',
  content: 'Read it.',
  attachments: [{ file_id: id, tools: [{ type }] }],
});
const shown = (id: string) => ({ role: 'user', content: [{ type: 'image_file', image_file: { file_id: id } }] });
const assistant = (tool_resources: unknown) => ({ model: 'gpt-4o', tool_resources });

/** Every place of a request that an id of the upstream may stand in. */
const PLACES: readonly (readonly [
  where: string,
  kind: OwnedKind,
  path: (scene: Scene) => string,
  body: (id: string, scene: Scene) => unknown,
])[] = [
  ['code of a new assistant', 'file', () => '/assistants', (id) => assistant(code(id))],
  ['the store of a new assistant', 'vector_store', () => '/assistants', (id) => assistant(search(id))],
  ['a store that is made for an assistant', 'file', () => '/assistants', (id) => assistant(shorthand(id))],
  ['code of an assistant', 'file', (s) => `/assistants/${s.assistant}`, (id) => ({ tool_resources: code(id) })],
  [
    'the store of an assistant',
    'vector_store',
    (s) => `/assistants/${s.assistant}`,
    (id) => ({ tool_resources: search(id) }),
  ],
  ['code of a new thread', 'file', () => '/threads', (id) => ({ tool_resources: code(id) })],
  ['the store of a new thread', 'vector_store', () => '/threads', (id) => ({ tool_resources: search(id) })],
  ['a store that is made for a thread', 'file', () => '/threads', (id) => ({ tool_resources: shorthand(id) })],
  ['a first message, for code', 'file', () => '/threads', (id) => ({ messages: [attached(id, 'code_interpreter')] })],
  ['a first message, for searches', 'file', () => '/threads', (id) => ({ messages: [attached(id, 'file_search')] })],
  ['an image of a first message', 'file', () => '/threads', (id) => ({ messages: [shown(id)] })],
  ['code of a thread', 'file', (s) => `/threads/${s.thread}`, (id) => ({ tool_resources: code(id) })],
  ['the store of a thread', 'vector_store', (s) => `/threads/${s.thread}`, (id) => ({ tool_resources: search(id) })],
  ['a message, for code', 'file', (s) => `/threads/${s.thread}/messages`, (id) => attached(id, 'code_interpreter')],
  ['a message, for searches', 'file', (s) => `/threads/${s.thread}/messages`, (id) => attached(id, 'file_search')],
  ['an image of a message', 'file', (s) => `/threads/${s.thread}/messages`, shown],
  [
    'a message that comes with a run',
    'file',
    (s) => `/threads/${s.thread}/runs`,
    (id, s) => ({ assistant_id: s.assistant, additional_messages: [attached(id, 'file_search')] }),
  ],
  [
    'an image that comes with a run',
    'file',
    (s) => `/threads/${s.thread}/runs`,
    (id, s) => ({ assistant_id: s.assistant, additional_messages: [shown(id)] }),
  ],
  [
    'a thread that is made with its run',
    'file',
    () => '/threads/runs',
    (id, s) => ({ assistant_id: s.assistant, thread: { messages: [shown(id)] } }),
  ],
  [
    'resources of a run that makes its thread',
    'vector_store',
    () => '/threads/runs',
    (id, s) => ({ assistant_id: s.assistant, tool_resources: search(id) }),
  ],
];

const THERE = { file: 'file-red', vector_store: 'vs_red', container: '', upload: '' } as const;
const NOWHERE = { file: 'file-not', vector_store: 'vs_not', container: '', upload: '' } as const;

describe('an object of the upstream that another team made', () => {
  let desk: TestDesk;

  before(async () => {
    desk = await openDesk();
    // As the upstream does: what is not there is refused, whoever made the rest.
    desk.play(({ path }, body) => {
      const file = /file-not/.exec(`${path} ${JSON.stringify(body) ?? ''}`)?.[0];
      const message = file === undefined ? 'No vector store found.' : `No such File object: ${file}`;
      const isMissing = file !== undefined || path.includes('vs_not');
      return isMissing ? { status: 404, body: { error: { message, type: 'invalid_request_error' } } } : undefined;
    });
    const made = { keyId: 'key_one', exchangeId: 'exc_1', createdAt: 1, teamId: 'team_red' } as const;
    await desk.owners.own([
      { ...made, kind: 'file', upstreamId: THERE.file },
      { ...made, kind: 'vector_store', upstreamId: THERE.vector_store },
    ]);
  });
  after(() => desk.close());

  async function scene(as: typeof RED_CALLER): Promise<Scene> {
    const { id } = await desk.ok('POST', '/assistants', { model: 'gpt-4o' }, { as });
    return { assistant: id, thread: (await desk.ok('POST', '/threads', {}, { as })).id };
  }

  for (const [where, kind, path, body] of PLACES) {
    test(`named in ${where} is answered as one that is not there, and its own team may name it`, async () => {
      const blue = await scene(BLUE_CALLER);
      const foreign = await desk.ask('POST', path(blue), body(THERE[kind], blue), { as: BLUE_CALLER });
      const unknown = await desk.ask('POST', path(blue), body(NOWHERE[kind], blue), { as: BLUE_CALLER });
      assert.equal(foreign.status, kind === 'file' ? 400 : 404, foreign.text);
      assert.equal(foreign.status, unknown.status);
      assert.equal(foreign.text.replaceAll(THERE[kind], NOWHERE[kind]), unknown.text);
      assert.deepEqual(foreign.reply.headers, unknown.reply.headers);
      const red = await scene(RED_CALLER);
      await desk.ok('POST', path(red), body(THERE[kind], red), { as: RED_CALLER });
      // Made before anybody recorded it, or elsewhere.
      const again = await scene(BLUE_CALLER);
      const old = kind === 'file' ? 'file-old' : 'vs_old';
      await desk.ok('POST', path(again), body(old, again), { as: BLUE_CALLER });
    });
  }
});

test('what a team makes through the relay or by the engine is another team’s to nobody, at once and after a restart', async () => {
  const upstream = new ResponsesUpstream();
  const listening = await upstream.listen();
  let gateway = await startGateway({ upstream: listening.url });
  const { dataDir } = gateway;
  try {
    await gateway.adminFetch('/admin/v1/teams', { method: 'POST', body: JSON.stringify({ name: 'blue' }) });
    const { token: blue } = await gateway.createKey({ name: 'blue', team: 'blue' });
    const red = gateway.token;
    const post = async (token: string, path: string, body: FormData | object) => {
      const isForm = body instanceof FormData;
      const reply = await fetch(`${gateway.api}/openai/v1${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, ...(!isForm && { 'content-type': 'application/json' }) },
        body: isForm ? body : JSON.stringify(body),
      });
      return { status: reply.status, json: (await reply.json()) as { id: string; error?: { message: string } } };
    };
    const form = new FormData();
    form.set('purpose', 'assistants');
    form.set('file', new Blob(['a,b']), 'a.csv');
    const { id: file } = (await post(red, '/files', form)).json;
    const naming = { messages: [attached(file, 'code_interpreter')] };
    const made = await post(red, '/threads', { messages: [attached(file, 'file_search')] });
    assert.equal(made.status, 200);
    const [store] = (made.json as unknown as { tool_resources: { file_search: { vector_store_ids: string[] } } })
      .tool_resources.file_search.vector_store_ids;

    const refusals = async () => {
      const files = await post(blue, '/threads', naming);
      const stores = await post(blue, '/threads', { tool_resources: search(store!) });
      assert.deepEqual([files.status, files.json.error?.message], [400, `No such File object: ${file}`]);
      assert.deepEqual([stores.status, stores.json.error?.message], [404, `No vector store found with id '${store}'.`]);
      assert.equal((await post(red, '/threads', naming)).status, 200);
    };
    await refusals();
    const dump = {
      id: 'asst_old',
      object: 'assistant',
      created_at: 1,
      model: 'gpt-4o',
      tool_resources: search('vs_old'),
    };
    const imported = await gateway.adminFetch('/admin/v1/assistants/import?team=blue', {
      method: 'POST',
      headers: { 'content-type': 'application/jsonl' },
      body: JSON.stringify(dump),
    });
    assert.equal(imported.status, 200, await imported.text());
    const old = await post(red, '/threads', { tool_resources: search('vs_old') });
    assert.deepEqual([old.status, old.json.error?.message], [404, "No vector store found with id 'vs_old'."]);
    assert.equal((await post(blue, '/threads', { tool_resources: search('vs_old') })).status, 200);
    await gateway.gateway.stop();
    gateway = await startGateway({ upstream: listening.url, dataDir });
    await refusals();
  } finally {
    await gateway.close();
    await listening.close();
  }
});
