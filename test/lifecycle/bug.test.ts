// A bug of ours ends the request that met it, tells its client nothing, and leaves the gateway serving (X16 of the reference
// on security). What one does to the process as a whole is told in ../cli/serve.test.ts.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { type Clock, systemClock } from '../../src/domain/clock.ts';
import { openStand, type Stand } from '../support/stand.ts';
import { valueOf } from '../support/wire.ts';

/** A clock that breaks when an arrival next asks it; others ask it too, at times of their own. */
let isBroken = false;
const clock: Clock = {
  ...systemClock,
  now() {
    const error = isBroken ? new Error('injected at /some/secret/place') : null;
    if (!error?.stack?.includes('arrive')) return systemClock.now();
    isBroken = false;
    throw error;
  },
};

let stand: Stand;
before(async () => {
  stand = await openStand({ clock, settings: { logging: { retentionDays: 0 } } });
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

test('a bug is a 500 in the shape of OpenAI, told to the operator and to nobody else', async () => {
  for (const request of [
    { target: '/openai/v1/models' },
    { method: 'POST', target: '/openai/v1/responses', body: '{}' },
  ]) {
    isBroken = true;
    const reply = await stand.ask(request);
    assert.equal(reply.status, 500);
    assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'internal_error');
    assert.equal(JSON.parse(reply.body.toString()).error.code, 'internal_error');
    assert.ok(!reply.body.includes('injected') && !reply.body.includes('/some/secret/place'));
  }
  assert.equal(stand.upstream.requests.length, 0);
  assert.equal(stand.gateway.logLines.filter((line) => line.includes('injected')).length, 2);
});
