// Kept connections die at the worst moment: what may have been done is never sent twice (U15, U18; F4, F5 of the surface).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { openStand, type Stand } from '../support/stand.ts';
import { valueOf } from '../support/wire.ts';

let stand: Stand;
before(async () => {
  stand = await openStand({ settings: { upstream: { keepAliveSeconds: 0.2 } } });
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

const JOB = 'X-Job';

/** How often the upstream was asked to do each job. */
function executions(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const request of stand.upstream.requests) {
    const job = valueOf(request.headers, JOB);
    if (job !== undefined) counts.set(job, (counts.get(job) ?? 0) + 1);
  }
  return counts;
}

function post(job: string) {
  return stand.ask({ method: 'POST', target: '/openai/v1/responses', headers: [[JOB, job]], body: '{}' });
}

test('POSTs at any distance before an upstream that closes idle connections all succeed, each done once', async () => {
  // The upstream keeps an idle connection for 400 ms, give or take; the gateway has been told to keep it for less.
  const timers = new Map<number, NodeJS.Timeout>();
  stand.script((request, wire) => {
    clearTimeout(timers.get(request.connection));
    timers.set(
      request.connection,
      setTimeout(() => wire.socket.destroy(), 395 + Math.floor(timers.size % 11)),
    );
    return { body: 'done' };
  });
  const lanes = 16;
  const each = 15;
  const statuses: number[] = [];
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let i = 0; i < each; i++) {
        statuses.push((await post(`${lane}/${i}`)).status);
        await delay((lane * 53 + i * 29) % 430);
      }
    }),
  );
  assert.deepEqual(new Set(statuses), new Set([200]));
  assert.equal(executions().size, lanes * each);
  assert.deepEqual(new Set(executions().values()), new Set([1]));
});

test('a POST that crosses the end of its connection is done at most once, and a lost one says that it may be tried again', async () => {
  // The upstream ends each connection right after a reply, without a word: the next POST goes out as it does.
  stand.script((request, wire) => {
    const isEarly = Number(valueOf(request.headers, JOB)) % 2 === 0;
    if (isEarly) setImmediate(() => wire.socket.end());
    else setTimeout(() => wire.socket.destroy(), 2);
    return { body: 'done' };
  });
  const posts = 300;
  let lost = 0;
  for (let i = 0; i < posts; i++) {
    const reply = await post(String(i));
    if (reply.status === 200) continue;
    lost++;
    assert.equal(reply.status, 502);
    assert.equal(valueOf(reply.headers, 'x-should-retry'), 'true');
  }
  assert.ok([...executions().values()].every((count) => count === 1));
  // How many cross depends on the machine; a gateway that never looks before it sends would lose half of them.
  assert.ok(lost < posts / 5, `${lost} of ${posts} were lost`);
});

test('a POST whose kept connection is reset as it arrives is a 502, and is not sent again', async () => {
  let isKept = false;
  stand.script((_request, wire) => {
    if (isKept) wire.socket.resetAndDestroy();
    else return { body: 'done' };
    return undefined;
  });
  for (let i = 0; i < 50; i++) {
    isKept = false;
    assert.equal((await post(`warm ${i}`)).status, 200);
    isKept = true;
    const reply = await post(`lost ${i}`);
    assert.equal(reply.status, 502);
    assert.equal(valueOf(reply.headers, 'x-throughway-refusal'), 'upstream_unreachable');
    assert.equal(valueOf(reply.headers, 'x-should-retry'), 'true');
  }
  assert.deepEqual(new Set(executions().values()), new Set([1]));
  const lost = (await stand.recorded(100)).filter((record) => record.status === 502);
  assert.ok(lost.every((record) => record.attempts.length === 1));
});

test('a GET or HEAD whose kept connection is reset before any byte of the reply is asked once more, and succeeds', async () => {
  for (const method of ['GET', 'HEAD']) {
    stand.clear();
    const used = new Set<number>();
    stand.script((request, wire) => {
      if (used.has(request.connection)) {
        wire.socket.resetAndDestroy();
        return undefined;
      }
      used.add(request.connection);
      return { body: 'done' };
    });
    const replies = 60;
    for (let i = 0; i < replies; i++) {
      const reply = await stand.ask({ method, target: '/openai/v1/models', headers: [[JOB, String(i)]] });
      assert.equal(reply.status, 200);
    }
    const counts = [...executions().values()];
    assert.ok(counts.every((count) => count <= 2));
    if (method === 'GET')
      assert.ok(
        counts.some((count) => count === 2),
        'no connection was kept, so nothing was tried',
      );
    const records = await stand.recorded(replies);
    assert.ok(records.every((record) => record.attempts.length <= 2));
    assert.equal(
      records.reduce((sum, record) => sum + record.attempts.length, 0),
      stand.upstream.requests.length,
    );
  }
});

test('a GET is not asked again on a fresh connection, nor a third time, nor once a byte of the reply is here', async () => {
  // Longer than any connection is kept.
  await delay(300);
  stand.script((_request, wire) => {
    wire.socket.resetAndDestroy();
  });
  assert.equal((await stand.ask({ target: '/openai/v1/models', headers: [[JOB, 'fresh']] })).status, 502);
  assert.equal(executions().get('fresh'), 1);

  let count = 0;
  stand.script(async (_request, wire) => {
    if (++count === 1) return { body: 'done' };
    await wire.head(200, 'OK', [['Content-Length', '10']]);
    wire.socket.resetAndDestroy();
    return undefined;
  });
  await stand.ask({ target: '/openai/v1/models' });
  const reply = await stand.ask({ target: '/openai/v1/models', headers: [[JOB, 'begun']] });
  assert.ok(reply.status === 502 || !reply.isWhole);
  assert.equal(executions().get('begun'), 1);
});

test('an upload of more than its first part is never sent again, whatever its method', async () => {
  let count = 0;
  stand.script(async (request, wire) => {
    if (++count === 1) return { body: 'done' };
    while (request.pieces.length === 0) await new Promise((resolve) => setImmediate(resolve));
    wire.socket.resetAndDestroy();
    return undefined;
  });
  await stand.ask({ target: '/openai/v1/models' });
  const body = Buffer.alloc(300_000);
  const reply = await stand.ask({ method: 'GET', target: '/openai/v1/x', headers: [[JOB, 'large']], body });
  assert.equal(reply.status, 502);
  assert.equal(executions().get('large'), 1);
});

test('what the upstream says of how long it keeps a connection is believed', async () => {
  stand.script(() => ({ headers: [['Keep-Alive', 'timeout=1']], body: 'done' }));
  for (let i = 0; i < 5; i++) assert.equal((await post(String(i))).status, 200);
  const connections = stand.upstream.requests.map((request) => request.connection);
  assert.equal(new Set(connections).size, 5, 'a connection was used again that its server is about to close');

  stand.clear();
  stand.script(() => ({ headers: [['Connection', 'close']], body: 'done' }));
  for (let i = 0; i < 5; i++) assert.equal((await post(String(i))).status, 200);
  assert.equal(new Set(stand.upstream.requests.map((request) => request.connection)).size, 5);
});

test('at steady load connections are used again', async () => {
  stand.script(() => ({ body: 'done' }));
  for (let i = 0; i < 50; i++) await post(String(i));
  assert.ok(new Set(stand.upstream.requests.map((request) => request.connection)).size <= 2);
});
