// kill -9 under load, again and again: whatever the upstream was asked is on record, once (X01 of the reference on
// security, in a size for every day). The oracle is what the upstream saw.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { ANY_PORTS, firstToken, newDir, startListening, type Serving } from '../cli/programs.ts';
import { chunk, EVENT_STREAM, LAST_CHUNK } from '../support/chunked.ts';
import { eventually } from '../support/eventually.ts';
import { CANARY } from '../support/gateway.ts';
import { assertNoSecret, assertRequestIsClean, readSpool } from '../support/invariants.ts';
import { exchange, RawConnection, type RawRequest } from '../support/raw-client.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';
import type { Header } from '../support/wire.ts';

const KILLS = 5;
const LANES = 30;
const READY_MS = 5000;

let upstream: Recorder;
before(async () => {
  upstream = await startRecorder(async (request, wire) => {
    if (!request.target.includes('/streams/')) {
      const { length } = await request.whole();
      return { headers: [['Content-Type', 'application/json']], body: `{"id":"x","received":${length}}` };
    }
    await wire.head(200, 'OK', EVENT_STREAM);
    for (let i = 0; i < 5; i++) {
      await wire.write(chunk(`data: {"sequence_number":${i}}\n\n`));
      await delay(2);
    }
    await wire.write(LAST_CHUNK);
    return undefined;
  });
});
after(() => upstream.close());

interface Load {
  /** Paths of exchanges that a client saw to their end. */
  readonly finished: Set<string>;
  sent: number;
}

/** Requests of all kinds, one after the other on one connection, until the gateway is gone. */
async function runLane(serving: Serving, token: string, load: Load): Promise<void> {
  const connection = await RawConnection.open(serving.api);
  try {
    for (;;) {
      const number = load.sent++;
      const request = requestOf(number, [['Authorization', `Bearer ${token}`]]);
      await connection.send(request);
      const reply = await connection.reply(request.method);
      if (reply.status === 200 && reply.isWhole) load.finished.add(request.target.replace('/openai', ''));
      else return;
    }
  } catch {
    // The gateway was killed; what became of the last request is the question.
  } finally {
    connection.close();
  }
}

function requestOf(number: number, headers: Header[]): RawRequest {
  switch (number % 4) {
    case 0:
      return { target: `/openai/v1/gets/${number}`, headers };
    case 1:
      return { method: 'POST', target: `/openai/v1/posts/${number}`, headers, body: '{"model":"gpt-6"}' };
    case 2:
      return { method: 'POST', target: `/openai/v1/streams/${number}`, headers, body: '{"stream":true}' };
    default:
      return { method: 'POST', target: `/openai/v1/uploads/${number}`, headers, body: Buffer.alloc(200_000, 'x') };
  }
}

test(`after ${KILLS} kills under load all that the upstream saw is on record once, and nothing finished is lost`, async () => {
  const dir = newDir();
  const env = { OPENAI_API_KEY: CANARY, OPENAI_BASE_URL: `${upstream.url}/v1` };
  const load: Load = { finished: new Set(), sent: 0 };
  const said: string[] = [];
  let token = '';

  for (let round = 0; round < KILLS; round++) {
    const serving = await serve(dir, env);
    token ||= firstToken(serving);
    const sentBefore = load.sent;
    const lanes = Array.from({ length: LANES }, () => runLane(serving, token, load));
    // Until all kinds are under way, and then a while that is never the same.
    await eventually('the gateway is under load', () => load.sent - sentBefore > 4 * LANES, 20_000);
    await delay((round * 337) % 500);
    serving.child.kill('SIGKILL');
    await Promise.all([...lanes, serving.ended]);
    said.push(serving.stdout(), serving.stderr().replaceAll(token, ''));
  }

  // What was left open is closed by the next start, and a quiet stop adds nothing.
  const last = await serve(dir, env);
  last.child.kill('SIGTERM');
  assert.equal(await last.ended, 0);
  said.push(last.stdout(), last.stderr());

  const { records, openIntents } = readSpool(join(dir, 'data'), 0);
  const byPath = new Map(records.map((record) => [record.path, record]));
  assert.equal(byPath.size, records.length, 'a request has two records');
  assert.equal(openIntents, 0);
  const unseen = upstream.requests.filter(({ target }) => !byPath.has(target)).map(({ target }) => target);
  assert.deepEqual(unseen, [], 'the upstream saw what no record tells of');
  const lost = [...load.finished].filter((path) => byPath.get(path)?.ending !== 'complete');
  assert.deepEqual(lost, [], 'a client saw the end of what no record calls complete');
  const cut = records.filter((record) => record.ending === 'gateway_cut');
  assert.ok(cut.length > 0, 'no kill hit anything');
  assert.deepEqual(new Set(cut.map((record) => record.error?.code)), new Set(['process_died']));
  // No request was sent upstream a second time by whoever came after.
  const executed = upstream.requests.filter(({ method }) => method === 'POST').map(({ target }) => target);
  assert.equal(new Set(executed).size, executed.length);

  assertNoSecret(join(dir, 'data'), said);
  for (const request of upstream.requests) assertRequestIsClean(request, token);
});

async function serve(dir: string, env: Readonly<Record<string, string>>): Promise<Serving> {
  const startedMs = performance.now();
  const serving = await startListening(['serve', ...ANY_PORTS], { dir, env });
  assert.equal((await exchange(serving.api, { target: '/health/ready' })).status, 200);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < READY_MS, `ready after ${Math.round(tookMs)} ms`);
  return serving;
}
