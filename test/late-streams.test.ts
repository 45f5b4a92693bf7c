// A reply that the upstream keeps is paid for by what the upstream says of it, though nobody heard it to its end: first it is
// estimated, and when the gateway, its client or a webhook has read it, a correction says what it cost. Once.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import type { Settings } from '../src/config/config.ts';
import { handClock } from './support/engines.ts';
import { eventually } from './support/eventually.ts';
import { type TestGateway, startGateway } from './support/gateway.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from './support/postgres.ts';

const AT = Date.UTC(2026, 10, 22, 12);
const SECRET = `whsec_${Buffer.from('a secret of twenty-four b').toString('base64')}`;
const MODEL = 'gpt-6.1-sol';
const USAGE = { input_tokens: 1000, output_tokens: 500, total_tokens: 1500 };
/** Of USAGE: 2 dollars for a million of input, 10 for output. */
const USD = '0.007';

const object = (status: string, usage: object | null = null) => ({
  id: 'resp_1',
  object: 'response',
  status,
  model: MODEL,
  service_tier: 'default',
  usage,
  output: [],
});
const event = (body: { readonly type: string; readonly [name: string]: unknown }) =>
  `event: ${body.type}\ndata: ${JSON.stringify(body)}\n\n`;
const BEGUN = [
  event({ type: 'response.created', response: object('in_progress') }),
  event({ type: 'response.output_text.delta', delta: 'The Rhine rises in the Alps' }),
].join('');
const CHAT_BEGUN = ['The Rhine', ' rises']
  .map(
    (content) =>
      `data: ${JSON.stringify({ id: 'chatcmpl-1', model: MODEL, choices: [{ index: 0, delta: { content } }] })}\n\n`,
  )
  .join('');
const ASKED = { model: MODEL, input: 'Where does the Rhine rise?', stream: true };

/** What becomes of a stream that has begun. */
type Fate = 'held' | 'reset';
let server: Server;
let url: string;
/** How each reply begins, and goes on. */
let begun = BEGUN;
let fate: Fate;
let held: ServerResponse[];
/** What a GET is answered with; 404 where there is none. */
let kept: object | null;
let reads: string[];
before(async () => {
  server = createServer((request, reply) => {
    void (async () => {
      for await (const chunk of request) void chunk;
      if (request.method === 'GET') {
        reads.push(request.url ?? '');
        reply.writeHead(kept === null ? 404 : 200, { 'content-type': 'application/json' });
        reply.end(JSON.stringify(kept ?? { error: { message: 'none' } }));
        return;
      }
      reply.writeHead(200, { 'content-type': 'text/event-stream' });
      reply.write(begun, () => {
        if (fate === 'reset') reply.destroy();
        else held.push(reply);
      });
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

function tests(databaseUrl: () => Promise<string | null>): void {
  let clock: ReturnType<typeof handClock>;
  let gateway: TestGateway;
  let dataDir: string;
  let database: string | null;
  beforeEach(async () => {
    clock = handClock(AT);
    [begun, fate, held, kept, reads] = [BEGUN, 'held', [], null, []];
    dataDir = mkdtempSync(join(tmpdir(), 'throughway-late-streams-'));
    database = await databaseUrl();
    await begin();
  });
  afterEach(async () => {
    for (const reply of held) reply.destroy();
    await gateway.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  async function begin(settings: Settings = {}): Promise<void> {
    const shared = database === null ? {} : { databaseUrl: database };
    gateway = await startGateway({
      upstream: url,
      clock,
      dataDir,
      settings: { webhooks: { openaiSecret: 'env:WEBHOOK_SECRET' }, ...settings },
      webhookSecret: SECRET,
      ...shared,
    });
  }

  async function beginAgain(settings: Settings): Promise<void> {
    await gateway.close();
    await begin(settings);
  }

  // Each test says what it expects of an answer.
  // oxlint-disable-next-line typescript/no-explicit-any
  async function ask(path: string, body?: object): Promise<any> {
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    const reply = await gateway.adminFetch(`/admin/v1${path}`, init);
    const text = await reply.text();
    assert.ok(reply.ok, text);
    return JSON.parse(text);
  }
  const day = `from=2026-11-22&to=2026-11-24`;
  const totals = async () => (await ask(`/spend?${day}`)).totals;

  async function call(method: string, path: string, body?: object, signal?: AbortSignal, token = gateway.token) {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }), ...(signal && { signal }) };
    return fetch(`${gateway.api}/openai/v1${path}`, init);
  }

  /** A stream whose client leaves behind its first bytes. @returns what it was estimated to cost */
  async function leave(body: object = ASKED, path = '/responses', token?: string): Promise<string> {
    const leaving = new AbortController();
    const reply = await call('POST', path, body, leaving.signal, token);
    await reply.body!.getReader().read();
    leaving.abort();
    return estimated(reply);
  }

  async function estimated(reply: Response): Promise<string> {
    const id = reply.headers.get('x-throughway-exchange-id') ?? '';
    for (const until = performance.now() + 10_000; performance.now() < until;) {
      const found = await gateway.adminFetch(`/admin/v1/exchanges/${id}`);
      const record = (await found.json()) as { cost?: { state: string; pico_usd: string } };
      if (record.cost === undefined) continue;
      assert.equal(record.cost.state, 'estimated');
      assert.ok(BigInt(record.cost.pico_usd) > 0n);
      return id;
    }
    throw new Error('it was not recorded');
  }

  const isSettled = () => gateway.logLines.some((line) => line.includes('late work was settled'));
  /** Nobody looks after it any more, though nothing was entered: what was read is also acted upon. */
  async function forgotten(): Promise<void> {
    for (const until = performance.now() + 10_000; performance.now() < until;) {
      const metrics = await (await gateway.adminFetch('/metrics')).text();
      if (/^throughway_late_work\{kind="response",state="settled"\} 1$/m.test(metrics)) return;
    }
    throw new Error('it is still looked after');
  }
  const assertMeasured = async (exchanges: number) => {
    const { measured_usd, estimated_usd, tokens_in, tokens_out, ...counts } = await totals();
    assert.deepEqual([measured_usd, estimated_usd, tokens_in, tokens_out], [USD, '0', 1000, 500]);
    assert.deepEqual([counts.exchanges, counts.pending, counts.unpriced, counts.partial], [exchanges, 0, 0, 0]);
    const { windows, rollups } = await ask('/ledger/drift');
    assert.deepEqual([windows, rollups], [[], []]);
  };

  async function poll(): Promise<void> {
    await beginAgain({ settlement: { firstLookSeconds: 0.05 } });
  }

  test('a response that its client left is estimated at once, and measured when the gateway has read it', async () => {
    kept = object('completed', USAGE);
    const id = await leave();
    const { measured_usd, estimated_usd } = await totals();
    assert.equal(measured_usd, '0');
    assert.notEqual(estimated_usd, '0');
    assert.deepEqual(reads, []);
    clock.turn(15_000);
    await poll();
    await eventually('it is read', isSettled);
    await assertMeasured(1);
    const { usd, total_usd, entries } = await ask(`/exchanges/${id}/cost`);
    assert.deepEqual([usd === USD, total_usd, entries.length], [false, USD, 2]);
    // However often it is told of again.
    for (let i = 0; i < 3; i++) await (await call('GET', '/responses/resp_1')).text();
    assert.equal((await webhook()).status, 200);
    await beginAgain({});
    await assertMeasured(4);
  });

  test('what its client reads measures it, and so does a webhook, each once', async () => {
    kept = object('completed', USAGE);
    await leave();
    for (let i = 0; i < 5; i++) await (await call('GET', '/responses/resp_1')).text();
    await eventually('it is told', isSettled);
    await beginAgain({});
    await assertMeasured(6);
  });

  test('a webhook has it read', async () => {
    kept = object('completed', USAGE);
    await leave();
    for (let i = 0; i < 3; i++) assert.equal((await webhook(i)).status, 200);
    await eventually('it is read', isSettled);
    await beginAgain({});
    await assertMeasured(1);
  });

  for (const cut of ['reset', 'timed out'] as const) {
    test(`a stream that is ${cut} is measured later as well`, async () => {
      if (cut === 'reset') fate = 'reset';
      else await beginAgain({ upstream: { idleSeconds: 0.2 } });
      const passing = setInterval(() => clock.turn(100), 20);
      const reply = await call('POST', '/responses', ASKED);
      await reply.text().catch(() => {});
      clearInterval(passing);
      await estimated(reply);
      kept = object('incomplete', USAGE);
      await poll();
      clock.turn(60_000);
      await eventually('it is read', isSettled);
      await assertMeasured(1);
    });
  }

  for (const status of ['cancelled', 'failed', 'incomplete']) {
    test(`a response that was ${status} costs what it says it used; where it says nothing, the estimate stands`, async () => {
      await leave();
      kept = object(status);
      const before = await totals();
      clock.turn(60_000);
      await poll();
      await eventually('it is read', () => reads.length === 1);
      await forgotten();
      await beginAgain({});
      assert.deepEqual(await totals(), before);
      // It is not looked at again.
      clock.turn(86_400_000);
      await poll();
      await webhook();
      await beginAgain({});
      assert.deepEqual([await totals(), reads.length], [before, 1]);

      const { token } = await gateway.createKey({ name: status });
      kept = object(status, USAGE);
      begun = BEGUN.replace('resp_1', 'resp_2');
      await leave(ASKED, '/responses', token);
      await poll();
      clock.turn(60_000);
      await eventually('it is read', isSettled);
      const { measured_usd, estimated_usd } = await totals();
      assert.deepEqual([measured_usd, estimated_usd], [USD, before.estimated_usd]);
    });
  }

  test('of what was not kept the estimate stands, and nobody asks for what its client would not have kept', async () => {
    await leave();
    const before = await totals();
    clock.turn(60_000);
    await poll();
    await eventually('it is asked for', () => reads.length === 1);
    await forgotten();
    begun = BEGUN.replace('resp_1', 'resp_2');
    await leave({ ...ASKED, store: false });
    clock.turn(3_600_000);
    await beginAgain({});
    await poll();
    begun = CHAT_BEGUN;
    await leave({ model: MODEL, messages: [{ role: 'user', content: 'Hi' }], stream: true }, '/chat/completions');
    clock.turn(3_600_000);
    await beginAgain({});
    assert.deepEqual(reads, ['/v1/responses/resp_1']);
    assert.equal((await totals()).measured_usd, before.measured_usd);
  });

  test('a chat that is to be stored is read by its id', async () => {
    begun = CHAT_BEGUN;
    const messages = [{ role: 'user', content: 'Hi' }];
    await leave({ model: MODEL, messages, stream: true, store: true }, '/chat/completions');
    const usage = { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 };
    kept = { id: 'chatcmpl-1', object: 'chat.completion', model: MODEL, service_tier: 'default', usage, choices: [] };
    clock.turn(60_000);
    await poll();
    await eventually('it is read', isSettled);
    assert.deepEqual(reads, ['/v1/chat/completions/chatcmpl-1']);
    await assertMeasured(1);
  });

  test('a budget is charged the estimate, and then what it cost', async () => {
    const { key, token } = await gateway.createKey({ name: 'bound' });
    const ids: string[] = [];
    for (const limit of [{ limit_usd: '10', kind: 'hard' }, { limit_tokens: 1_000_000 }])
      ids.push((await ask('/budgets', { key_id: key.id, scope: 'key', window: 'day', ...limit })).id);
    const spent = async () => {
      await totals();
      const [money, tokens] = [await ask(`/budgets/${ids[0]}`), await ask(`/budgets/${ids[1]}`)];
      return [money.spent_usd, tokens.spent_tokens];
    };
    await leave(ASKED, '/responses', token);
    const [usd, tokens] = await spent();
    assert.ok(usd !== '0' && usd !== USD && tokens > 0 && tokens < 1500, `${usd} ${tokens}`);
    kept = object('completed', USAGE);
    await (await call('GET', '/responses/resp_1')).text();
    await eventually('it is told', isSettled);
    assert.deepEqual(await spent(), [USD, 1500]);
    const { windows, rollups } = await ask('/ledger/drift');
    assert.deepEqual([windows, rollups], [[], []]);
  });

  test('it is repriced by what it used: as an estimate before it is measured, as measured after', async () => {
    const prices = (input: string) => ({
      prices: { overrides: { models: [{ model: MODEL, rates: { input_text: input, output_text: '10' } }] } },
    });
    const always = { from: new Date(AT - 1000).toISOString(), to: new Date(AT + 1e9).toISOString() };
    await leave();
    await beginAgain(prices('1000'));
    assert.equal((await ask('/prices/reprice', always)).changed, 1);
    await beginAgain({});
    kept = object('completed', USAGE);
    await (await call('GET', '/responses/resp_1')).text();
    await eventually('it is told', isSettled);
    await assertMeasured(2);
    await beginAgain(prices('4'));
    for (const changed of [1, 0]) assert.equal((await ask('/prices/reprice', always)).changed, changed);
    const { measured_usd, estimated_usd } = await totals();
    assert.deepEqual([measured_usd, estimated_usd], ['0.009', '0']);
    const { windows, rollups } = await ask('/ledger/drift');
    assert.deepEqual([windows, rollups], [[], []]);
  });

  function webhook(n = 0): Promise<Response> {
    const at = Math.floor(clock.now() / 1000);
    const id = `wh_${clock.now()}_${n}`;
    const body = JSON.stringify({ type: 'response.completed', data: { id: 'resp_1' } });
    const secret = Buffer.from(SECRET.slice('whsec_'.length), 'base64');
    const signature = createHmac('sha256', secret).update(`${id}.${at}.${body}`).digest('base64');
    const headers = { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': `v1,${signature}` };
    return fetch(`${gateway.admin}/webhooks/openai`, { method: 'POST', headers, body });
  }
}

describe('streams that are kept, on SQLite', () => tests(() => Promise.resolve(null)));

describe('streams that are kept, on PostgreSQL', { skip: skipWithoutPostgres() }, () => {
  let postgres: TestPostgres;
  before(async () => {
    postgres = await startPostgres();
  });
  after(() => postgres.close());
  tests(() => postgres.makeDatabase());
});
