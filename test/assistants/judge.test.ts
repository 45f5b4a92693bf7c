// The judges of answers are judged: one that lets everything pass would make every other test here worthless.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { judgeAnswer, judgeEvent } from '../support/assistants-judge.ts';
import { readDescription } from '../support/openapi.ts';

const THREAD = { id: 'thread_1', object: 'thread', created_at: 1, tool_resources: {}, metadata: {} };
const description = readDescription();

describe('the judges of answers', () => {
  test('let a right answer pass', () => {
    judgeAnswer('POST', '/threads', 200, THREAD);
    judgeAnswer('GET', '/threads/thread_1/messages', 200, {
      object: 'list',
      data: [],
      first_id: null,
      last_id: null,
      has_more: false,
    });
    judgeEvent('done', '[DONE]');
    judgeEvent('error', { error: { message: 'm', type: 't', param: null, code: null } });
  });

  test('stop a member that is missing, one that is of another type, and one that nobody knows', () => {
    const { metadata: _metadata, ...missing } = THREAD;
    assert.throws(() => judgeAnswer('POST', '/threads', 200, missing));
    assert.throws(() => judgeAnswer('POST', '/threads', 200, { ...THREAD, created_at: 'now' }));
    assert.throws(() => judgeAnswer('POST', '/threads', 200, { ...THREAD, extra: 1 }));
    assert.throws(() => judgeAnswer('POST', '/threads', 400, { error: 'no' }));
    assert.throws(() => judgeEvent('thread.created', { ...THREAD, object: 'threads' }));
  });

  test("OpenAI's description stops them by itself", { skip: description === null }, () => {
    const { metadata: _metadata, ...missing } = THREAD;
    assert.match(description?.judgeReply('POST', '/threads', missing) ?? '', /metadata/);
    assert.match(description?.judgeEvent('thread.created', { ...THREAD, created_at: 'now' }) ?? '', /./);
    assert.equal(description?.judgeReply('POST', '/threads', { ...THREAD, metadata: null }), null);
  });
});
