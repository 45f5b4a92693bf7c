// Lists against a model: every combination of limit, order, after and before over 250 messages, several to a second.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { type TestDesk, openDesk } from '../support/desk.ts';

const MESSAGES = 250;

describe('lists', () => {
  let desk: TestDesk;
  let path: string;
  /** Ids, oldest first. */
  const ids: string[] = [];

  before(async () => {
    desk = await openDesk();
    path = `/threads/${(await desk.ok('POST', '/threads')).id}/messages`;
    for (let i = 0; i < MESSAGES; i++) {
      ids.push((await desk.ok('POST', path, { role: 'user', content: `${i}` })).id);
      if (i % 7 === 0) desk.clock.turn(1000);
    }
  });
  after(() => desk.close());

  /** What a list is, in the plainest words. */
  function model(limit: number, order: 'asc' | 'desc', afterId?: string, beforeId?: string) {
    const all = order === 'asc' ? ids : ids.toReversed();
    const from = afterId === undefined ? 0 : all.indexOf(afterId) + 1;
    const to = beforeId === undefined ? all.length : all.indexOf(beforeId);
    const between = all.slice(from, Math.max(from, to));
    // Without `after`, the page ends right before `before`.
    const data = beforeId !== undefined && afterId === undefined ? between.slice(-limit) : between.slice(0, limit);
    return { data, first_id: data[0] ?? null, last_id: data.at(-1) ?? null, has_more: between.length > data.length };
  }

  test('each page is what the model says', async () => {
    const places = [undefined, 0, 1, 99, 100, 124, 248, 249];
    for (const order of ['asc', 'desc'] as const) {
      for (const limit of [1, 20, 99, 100]) {
        for (const from of places) {
          for (const to of places) {
            const [afterId, beforeId] = [
              from === undefined ? undefined : ids[from],
              to === undefined ? undefined : ids[to],
            ];
            const query = new URLSearchParams({
              limit: String(limit),
              order,
              ...(afterId && { after: afterId }),
              ...(beforeId && { before: beforeId }),
            });
            const { object, data, ...rest } = await desk.ok('GET', `${path}?${query.toString()}`);
            assert.equal(object, 'list');
            assert.deepEqual(
              { data: data.map((message: { id: string }) => message.id), ...rest },
              model(limit, order, afterId, beforeId),
              String(query),
            );
          }
        }
      }
    }
  });

  test('20 at a time, newest first, where nothing is said', async () => {
    const { data } = await desk.ok('GET', path);
    assert.deepEqual(
      data.map((message: { id: string }) => message.id),
      ids.slice(-20).toReversed(),
    );
  });

  test('whoever pages as the SDKs do sees each message once', async () => {
    for (const order of ['asc', 'desc'] as const) {
      const seen: string[] = [];
      for (let cursor: string | null = null; ;) {
        const page = await desk.ok(
          'GET',
          `${path}?limit=33&order=${order}${cursor === null ? '' : `&after=${cursor}`}`,
        );
        seen.push(...page.data.map((message: { id: string }) => message.id));
        if (!page.has_more) break;
        cursor = page.data.at(-1).id;
      }
      assert.deepEqual(seen, order === 'asc' ? ids : ids.toReversed());
    }
  });

  test('messages of one run are listed by its id, and a cursor may be any message of the thread', async () => {
    const page = await desk.ok('GET', `${path}?run_id=run_none&after=${ids[3]}`);
    assert.deepEqual([page.data, page.first_id, page.has_more], [[], null, false]);
    assert.match((await desk.ask('GET', `${path}?run_id=x`)).json.error.message, /^Invalid 'run_id': 'x'/);
  });

  test('assistants and runs are paged alike', async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i++) made.push((await desk.ok('POST', '/assistants', { model: `m${i}` })).id);
    const page = await desk.ok('GET', `/assistants?limit=2&order=asc&after=${made[1]}`);
    assert.deepEqual(
      page.data.map((assistant: { id: string }) => assistant.id),
      [made[2], made[3]],
    );
    assert.equal(page.has_more, true);
  });
});
