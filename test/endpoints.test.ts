import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import fc from 'fast-check';

import { ENDPOINTS } from '../src/openai/endpoint-rows.ts';
import { findEndpoint, isAdministration } from '../src/openai/endpoints.ts';
import { ADMINISTRATION_SPELLINGS } from './support/administration-spellings.ts';

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly streaming: string | null;
  readonly usagePath: string | null;
}

const OPERATIONS = new URL('../../shared/data/operations.json', import.meta.url);

test('every operation of the description has its row', (t) => {
  if (!existsSync(OPERATIONS)) {
    t.diagnostic('NOT RUN: the description of the operations lies outside this repository, in ../shared/data.');
    t.skip('../shared/data/operations.json is absent, so the rows could not be held against it');
    return;
  }
  const { operations } = JSON.parse(readFileSync(OPERATIONS, 'utf8')) as { operations: Operation[] };
  const missing: string[] = [];
  for (const operation of operations) {
    // The variants with `?beta=true` share the row of the plain path.
    const path = operation.path.split('?')[0]!.replaceAll(/\{\w+\}/g, 'id-1');
    const row = findEndpoint(operation.method, path, operation.streaming === 'websocket');
    if (row === undefined || shape(row.path) !== shape(operation.path.split('?')[0]!)) {
      missing.push(`${operation.method} ${operation.path}${operation.streaming === 'websocket' ? ' (WebSocket)' : ''}`);
    } else if (operation.usagePath !== null && row.usage === null) {
      missing.push(`usage of ${operation.method} ${operation.path}: ${operation.usagePath}`);
    }
  }
  assert.ok(operations.length >= 393);
  assert.deepEqual(missing, [], 'add these to src/openai/endpoint-rows.ts');
});

test('no operation has two rows', () => {
  const rows = ENDPOINTS.map(({ method, path, transport }) => `${method} ${shape(path)} ${transport}`);
  assert.deepEqual(
    rows.filter((row, at) => rows.indexOf(row) !== at),
    [],
  );
});

test('a row is found by its path, whatever stands for its parameters', () => {
  const segment = fc.stringMatching(/^[!$&'()*+,:;=@A-Za-z0-9._~%-]{1,40}$/).map((text) => `~${text}`);
  fc.assert(
    fc.property(fc.constantFrom(...ENDPOINTS), fc.array(segment, { minLength: 5, maxLength: 5 }), (row, segments) => {
      let next = 0;
      const path = row.path.replaceAll(/\{\w+\}/g, () => segments[next++]!);
      assert.equal(findEndpoint(row.method, path, row.transport === 'websocket'), row);
    }),
    { numRuns: 5000 },
  );
});

test('a literal segment wins over a parameter, and a parameter takes what no literal completes', () => {
  const found = (method: string, path: string) => findEndpoint(method, path)?.path;
  assert.equal(found('GET', '/v1/agents/automations'), '/v1/agents/automations');
  assert.equal(found('GET', '/v1/agents/automations/x'), '/v1/agents/automations/{automation_id}');
  assert.equal(found('GET', '/v1/agents/ag_1'), '/v1/agents/{agent_id}');
  assert.equal(found('GET', '/v1/agents/environments/templates/t'), '/v1/agents/environments/templates/{template_id}');
  assert.equal(found('GET', '/v1/agents/environments/t/files'), '/v1/agents/environments/{environment_id}/files');
  assert.equal(found('POST', '/v1/threads/runs'), '/v1/threads/runs');
  assert.equal(found('POST', '/v1/threads/thread_1/runs'), '/v1/threads/{thread_id}/runs');
  assert.equal(found('POST', '/v1/responses/compact'), '/v1/responses/compact');
  // No GET bears that name, so it can only be the id of a response.
  assert.equal(found('GET', '/v1/responses/compact'), '/v1/responses/{response_id}');
  assert.equal(found('GET', '/v1/videos/characters'), '/v1/videos/{video_id}');
});

test('an upgrade finds the WebSocket row and nothing else does', () => {
  assert.equal(findEndpoint('GET', '/v1/responses', true)?.transport, 'websocket');
  assert.equal(findEndpoint('GET', '/v1/responses'), undefined);
  assert.equal(findEndpoint('GET', '/v1/live/sessions/s_1/fork', true)?.transport, 'websocket');
  assert.equal(findEndpoint('POST', '/v1/live/sessions/s_1/fork')?.transport, 'http');
  assert.equal(findEndpoint('GET', '/v1/models', true), undefined);
  assert.equal(ENDPOINTS.filter((row) => row.transport === 'websocket').length, 6);
});

test('a path that is not exactly a row finds none', () => {
  const strangers: [method: string, path: string][] = [
    ['POST', '/v1/chat/completions/'],
    ['GET', '/v1/files/'],
    ['GET', '/v1/files//content'],
    ['GET', '/v1//files'],
    ['GET', '//v1/files'],
    ['GET', '/v1/files/file-1/content/'],
    ['GET', '/v1/files/file-1/content/more'],
    ['GET', '/v1/Files'],
    ['GET', '/v1/%66iles'],
    ['get', '/v1/files'],
    ['PUT', '/v1/files'],
    ['websocket', '/v1/files'],
    ['GET', '/v1/constructor'],
    ['GET', '/v1/__proto__'],
    ['constructor', '/v1/files'],
    ['GET', '/v1'],
    ['GET', '/'],
    ['GET', ''],
  ];
  for (const [method, path] of strangers) assert.equal(findEndpoint(method, path), undefined, `${method} ${path}`);
});

test('rows say what they claim: the columns of a few that much hangs on', () => {
  const row = (method: string, path: string, isUpgrade = false) => findEndpoint(method, path, isUpgrade)!;
  const chat = row('POST', '/v1/chat/completions');
  assert.deepEqual(chat.streamUsage, [{ event: null, path: 'usage', cumulative: false }]);
  assert.deepEqual([chat.group, chat.modelIn, chat.billing, chat.retrySafe], ['chat', 'body', 'metered', false]);
  assert.equal(row('POST', '/v1/moderations').billing, 'free');
  assert.equal(row('GET', '/v1/responses/resp_1').billing, 'repeated');
  assert.equal(row('POST', '/v1/batches').billing, 'deferred');
  assert.equal(row('POST', '/v1/realtime/client_secrets').billing, 'unpriced');
  assert.equal(row('GET', '/v1/realtime', true).modelIn, 'query');
  assert.ok(row('GET', '/v1/live/sessions', true).streamUsage?.every((usage) => usage.cumulative));
  assert.deepEqual(row('GET', '/v1/containers/c/files/f').idsIn, {
    container_id: 'container',
    file_id: 'container_file',
  });
  assert.deepEqual(row('GET', '/v1/vector_stores/v/files/f').idsIn, {
    vector_store_id: 'vector_store',
    file_id: 'file',
  });
  assert.deepEqual(row('GET', '/v1/chatkit/threads/t').idsIn, { thread_id: 'chatkit_thread' });
  assert.deepEqual(row('GET', '/v1/organization/projects/p').idsIn, {});
});

test('columns follow from each other', () => {
  for (const row of ENDPOINTS) {
    const name = `${row.method} ${row.path}`;
    assert.equal(row.retrySafe, row.method === 'GET' && row.transport === 'http', name);
    assert.equal(row.emulated, row.group === 'assistants', name);
    assert.equal(row.streamedBy === 'websocket', row.transport === 'websocket', name);
    assert.equal(row.group === 'admin', isAdministration(row.path), name);
    assert.equal(row.modelIn === 'path', row.path.includes('{model}'), name);
    if (row.group === 'admin') assert.equal(row.billing, 'free', name);
    if (row.streamUsage !== null) assert.notEqual(row.streamedBy, null, name);
    if (row.group !== 'admin') assert.equal(Object.keys(row.idsIn).length, row.path.split('{').length - 1, name);
  }
  assert.equal(ENDPOINTS.filter((row) => row.emulated).length, 23);
});

test(`${ADMINISTRATION_SPELLINGS.length} spellings of the administration are known as such`, () => {
  assert.ok(ADMINISTRATION_SPELLINGS.length > 200);
  const missed = ADMINISTRATION_SPELLINGS.filter((path) => !isAdministration(path));
  assert.deepEqual(missed, []);
});

test('what only looks like administration is not', () => {
  const others = [
    ...ENDPOINTS.filter((row) => row.group !== 'admin').map((row) => row.path),
    '/v1/chat/completions',
    '/v1/files/organization',
    '/v1/files/projects/content',
    '/v1/organizational',
    '/v1/myprojects',
    '/v1/chat/organization',
    '/v1/models/ft%3Agpt-4o-mini%3Aorganization%3A%3Aabc',
    '/v1/models/organization%2Fprojects',
    '/v1/vector_stores/vs_projects/files',
    '/v1beta/organization',
    '/v1/%',
    '/v1/%zz/%e0%80',
    '/v1/',
    '/v1',
    '',
  ];
  assert.deepEqual(
    others.filter((path) => isAdministration(path)),
    [],
  );
});

test('a long path full of escapes is judged without delay', () => {
  const path = `/v1/${'%2525252f'.repeat(2000)}${';'.repeat(8000)}${'/..'.repeat(2000)}`;
  const started = performance.now();
  isAdministration(path);
  findEndpoint('GET', '/v1/' + 'threads/'.repeat(4000));
  assert.ok(performance.now() - started < 500);
});

function shape(path: string): string {
  return path.replaceAll(/\{\w+\}/g, '{}');
}
