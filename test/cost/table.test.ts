// Every operation has a place in the table of docs/cost.md, and no operation that costs money is passed over in silence.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { classify } from '../../scripts/cost-table.ts';
import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';

const page = readFileSync(new URL('../../docs/cost.md', import.meta.url), 'utf8');
const OPERATIONS = new URL('../../../shared/data/operations.json', import.meta.url);

const told = new Map(
  [...page.matchAll(/^\| `((?:GET|POST|DELETE|WebSocket) [^`]+)` \| ([a-z: ]+) \| (.*) \|$/gm)].map(
    ([, operation, costClass, how]) => [shape(operation!), { costClass: costClass!, how: how! }],
  ),
);

test('every row is in the table once, with the class that the code gives it', () => {
  assert.equal(told.size, ENDPOINTS.length);
  for (const endpoint of ENDPOINTS) {
    const { operation, class: costClass, how } = classify(endpoint);
    assert.deepEqual(told.get(shape(operation)), { costClass, how }, operation);
  }
});

test('what costs money and is not priced says why, and what is priced says how it is known', () => {
  for (const [operation, { costClass, how }] of told) {
    if (costClass !== 'free' && costClass !== 'repeated') assert.ok(how.length > 5, operation);
  }
});

test('every operation of the description is priced, free, repeated or unpriced by decision', (t) => {
  if (!existsSync(OPERATIONS)) {
    t.diagnostic('NOT RUN: the description of the operations lies outside this repository, in ../shared/data.');
    t.skip('../shared/data/operations.json is absent, so the table could not be held against it');
    return;
  }
  const { operations } = JSON.parse(readFileSync(OPERATIONS, 'utf8')) as {
    operations: { method: string; path: string; streaming: string | null }[];
  };
  assert.ok(operations.length >= 393);
  const missing = operations
    .map(({ method, path, streaming }) => `${streaming === 'websocket' ? 'WebSocket' : method} ${path.split('?')[0]}`)
    .filter((operation) => !told.has(shape(operation)));
  assert.deepEqual(missing, []);
});

function shape(operation: string): string {
  return operation.replaceAll(/\{\w+\}/g, '{}');
}
