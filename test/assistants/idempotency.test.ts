// A request that comes twice is answered once: with a key of its own, or sent again by an SDK that never got its answer.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { type Answered, BLUE_CALLER, type TestDesk, openDesk } from '../support/desk.ts';

const KEY = ['Idempotency-Key', 'abc'];
const AGAIN = ['X-Stainless-Retry-Count', '1'];
const HELLO = { role: 'user', content: 'hello' };

describe('requests that come twice', () => {
  let desk: TestDesk;
  let path: string;
  beforeEach(async () => {
    desk = await openDesk();
    path = `/threads/${(await desk.ok('POST', '/threads')).id}/messages`;
  });
  afterEach(() => desk.close());

  const messages = async () => (await desk.ok('GET', path)).data.length;

  /** The answer got lost on its way to the client. */
  const lose = async ({ reply }: Answered) => {
    reply.ended?.(false);
    await new Promise((resolve) => setTimeout(resolve, 20));
  };

  test('with the same key and body the first answer is given again, and nothing is done twice', async () => {
    const first = await desk.ask('POST', path, HELLO, { headers: KEY });
    const second = await desk.ask('POST', path, HELLO, { headers: KEY });
    assert.equal(second.text, first.text);
    assert.equal(await messages(), 1);
  });

  test('a key that stands for one request does not stand for another', async () => {
    await desk.ask('POST', path, HELLO, { headers: KEY });
    const other = await desk.ask('POST', path, { ...HELLO, content: 'bye' }, { headers: KEY });
    assert.deepEqual([other.status, other.json.error.code], [400, 'idempotency_key_reused']);
    const elsewhere = await desk.ask('POST', '/threads', {}, { headers: KEY });
    assert.equal(elsewhere.status, 400);
    assert.equal(await messages(), 1);
  });

  test('two teams may use one key', async () => {
    const first = await desk.ok('POST', '/threads', {}, { headers: KEY });
    const second = await desk.ok('POST', '/threads', {}, { headers: KEY, as: BLUE_CALLER });
    assert.notEqual(first.id, second.id);
  });

  test('a request that was refused may be made again under its key', async () => {
    const refused = await desk.ask('POST', '/threads/thread_none/messages', HELLO, { headers: KEY });
    assert.equal(refused.status, 404);
    assert.equal((await desk.ask('POST', '/threads/thread_none/messages', HELLO, { headers: KEY })).status, 404);
  });

  test('while the first is being answered the second is told to come back', async () => {
    const [first, second] = await Promise.all([
      desk.ask('POST', path, HELLO, { headers: KEY }),
      desk.ask('POST', path, HELLO, { headers: KEY }),
    ]);
    const late = first.status === 200 ? second : first;
    assert.deepEqual([late.status, late.headers.get('x-should-retry')], [409, 'true']);
    assert.equal(await messages(), 1);
  });

  test('an SDK that sends again what was answered, but never reached it, gets that answer', async () => {
    const first = await desk.ask('POST', path, HELLO);
    await lose(first);
    const second = await desk.ask('POST', path, HELLO, { headers: AGAIN });
    assert.equal(second.text, first.text);
    assert.equal(await messages(), 1);
    // Given once: whoever then sends the same anew means it.
    await desk.ask('POST', path, HELLO, { headers: AGAIN });
    assert.equal(await messages(), 2);
  });

  test('an SDK that sends again while the first is still being answered gets the same answer', async () => {
    const answers = await Promise.all([
      desk.ask('POST', path, HELLO),
      desk.ask('POST', path, HELLO, { headers: AGAIN }),
    ]);
    assert.equal(answers[0].text, answers[1].text);
    assert.equal(await messages(), 1);
  });

  test('what reached its client is done anew, and so is what was lost more than a minute ago', async () => {
    const first = await desk.ask('POST', path, HELLO);
    first.reply.ended?.(true);
    await desk.ask('POST', path, HELLO, { headers: AGAIN });
    assert.equal(await messages(), 2);
    await lose(await desk.ask('POST', path, HELLO));
    desk.clock.turn(60_001);
    await desk.ask('POST', path, HELLO, { headers: AGAIN });
    assert.equal(await messages(), 4);
  });

  test('the run that an SDK began, but was not told of, is given to it when it asks again', async () => {
    const assistant = await desk.ok('POST', '/assistants', { model: 'gpt-4o' });
    const runs = path.replace('/messages', '/runs');
    const first = await desk.ask('POST', runs, { assistant_id: assistant.id });
    await lose(first);
    const second = await desk.ask('POST', runs, { assistant_id: assistant.id }, { headers: AGAIN });
    assert.equal(second.json.id, first.json.id);
  });

  test('a stream is not kept: asked for again while it is opened, it meets the run that it began', async () => {
    const assistant = await desk.ok('POST', '/assistants', { model: 'gpt-4o' });
    const body = { assistant_id: assistant.id, stream: true };
    const runs = path.replace('/messages', '/runs');
    const [first, second] = await Promise.all([
      desk.ask('POST', runs, body),
      desk.ask('POST', runs, body, { headers: AGAIN }),
    ]);
    assert.deepEqual([first.status, second.status], [200, 400]);
    assert.match(second.json.error.message, /already has an active run/);
  });
});
