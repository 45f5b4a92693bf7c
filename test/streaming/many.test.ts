// Many streams at once: each client gets its own events, all of them, in order (security E10; F9 of the surface).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { chunk, EVENT_STREAM, LAST_CHUNK } from '../support/chunked.ts';
import { openStand, type Stand } from '../support/stand.ts';

const STREAMS = 1000;
const EVENTS = 100;

let stand: Stand;
before(async () => {
  stand = await openStand();
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

test(`${STREAMS} streams of ${EVENTS} events at once lose, merge and reorder nothing`, async () => {
  let open = 0;
  const allOpen = Promise.withResolvers<void>();
  stand.script(async (request, wire) => {
    const stream = Number(request.target.split('/').at(-1));
    await wire.head(200, 'OK', EVENT_STREAM);
    if (++open === STREAMS) allOpen.resolve();
    await allOpen.promise;
    for (let event = 0; event < EVENTS; event++) {
      await wire.write(chunk(eventOf(stream, event)));
      await nextTurn();
    }
    await wire.write(LAST_CHUNK);
  });
  const wrong: number[] = [];
  await Promise.all(
    Array.from({ length: STREAMS }, async (_, stream) => {
      const reply = await stand.ask({
        method: 'POST',
        target: `/openai/v1/streams/${stream}`,
        body: '{"stream":true}',
      });
      const expected = Array.from({ length: EVENTS }, (_each, event) => eventOf(stream, event)).join('');
      if (reply.body.toString() !== expected || !reply.isWhole) wrong.push(stream);
    }),
  );
  assert.deepEqual(wrong, []);
  const records = await stand.recorded(STREAMS);
  assert.equal(records.length, STREAMS);
  assert.ok(records.every((record) => record.ending === 'complete'));
});

function eventOf(stream: number, event: number): string {
  return `data: {"stream":${stream},"sequence_number":${event},"delta":"${'x'.repeat((stream + event) % 50)}"}\n\n`;
}
