// What objects replies make, and of which work requests tell, as far as the rows of endpoints say.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { resolveConfig } from '../src/config/load.ts';
import { ENDPOINTS } from '../src/openai/endpoint-rows.ts';
import { findEndpoint } from '../src/openai/endpoints.ts';
import { kindMadeBy, pathOfWork, workOfEvent, workStartedBy, workToldBy } from '../src/openai/objects.ts';

const made = (path: string) => kindMadeBy(findEndpoint('POST', path));

test('a reply makes the kind of object that paths below its endpoint name', () => {
  const kinds = ['/v1/files', '/v1/batches', '/v1/evals/e/runs', '/v1/videos/v/remix', '/v1/containers/c/files'].map(
    made,
  );
  assert.deepEqual(kinds, ['file', 'batch', 'eval_run', 'video', 'container_file']);
});

test('what only attaches, answers or administers makes none', () => {
  for (const path of [
    '/v1/vector_stores/v/files',
    '/v1/chat/completions',
    '/v1/embeddings',
    '/v1/organization/projects',
  ])
    assert.equal(made(path), null, path);
  for (const endpoint of ENDPOINTS)
    if (endpoint.method !== 'POST' && endpoint.transport === 'http') assert.equal(kindMadeBy(endpoint), null);
});

test('work is told of by its own path, by what changes its course, and by nothing below it', () => {
  const told = (method: string, path: string) => workToldBy(findEndpoint(method, path), path);
  assert.deepEqual(told('GET', '/v1/batches/batch_1'), { kind: 'batch', id: 'batch_1' });
  assert.deepEqual(told('POST', '/v1/responses/resp_1/cancel'), { kind: 'response', id: 'resp_1' });
  assert.deepEqual(told('GET', '/v1/evals/eval_1/runs/run_1'), { kind: 'eval_run', id: 'run_1' });
  assert.deepEqual(told('DELETE', '/v1/containers/c'), { kind: 'container', id: 'c' });
  assert.equal(told('GET', '/v1/responses/resp_1/input_items'), null);
  assert.equal(told('GET', '/v1/vector_stores/vs_1/files/file_1'), null);
  assert.equal(told('POST', '/v1/videos/video_1/remix'), null);
});

test('an id in a reply never leads to another path', () => {
  assert.equal(
    pathOfWork('batch', '../organization/users?x', '/v1/batches'),
    '/v1/batches/..%2Forganization%2Fusers%3Fx',
  );
});

test('each kind of work that webhooks tell of is known by how their type begins', () => {
  const types = [
    'response.completed',
    'batch.expired',
    'fine_tuning.job.succeeded',
    'eval.run.failed',
    'realtime.call.incoming',
  ];
  assert.deepEqual(types.map(workOfEvent), ['response', 'batch', 'fine_tuning_job', 'eval_run', null]);
});

test('an exchange leaves work behind only where something tells later what it cost', () => {
  assert.equal(workStartedBy(findEndpoint('POST', '/v1/vector_stores')), 'vector_store');
  assert.equal(workStartedBy(findEndpoint('POST', '/v1/vector_stores/v/file_batches')), null);
  assert.equal(workStartedBy(findEndpoint('POST', '/v1/agents/sessions')), null);
});

test('the secret of webhooks is a setting by reference', () => {
  const { webhooks } = resolveConfig(
    { webhooks: { openaiSecret: 'env:HOOKS' } },
    { OPENAI_API_KEY: 'k', HOOKS: 'whsec_a' },
  );
  assert.equal(webhooks.openaiSecret?.reveal(), 'whsec_a');
});
