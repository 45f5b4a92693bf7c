// A response that was under way when its Responses WebSocket ended is kept by the upstream as any other is: what it used is read by
// its id later, and takes the place of what was not known. Once.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { type WebSocket, WebSocketServer } from 'ws';

import type { Settings } from '../../src/config/config.ts';
import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { handClock } from '../support/engines.ts';
import { eventually } from '../support/eventually.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import { readSpool } from '../support/invariants.ts';
import { type TestPostgres, skipWithoutPostgres, startPostgres } from '../support/postgres.ts';
import { Client } from '../support/sockets.ts';

const AT = Date.UTC(2026, 10, 22, 12);
const SECRET = `whsec_${Buffer.from('a secret of twenty-four b').toString('base64')}`;
const MODEL = 'gpt-6.1-sol';
const USAGE = { input_tokens: 1000, output_tokens: 500, total_tokens: 1500 };
/** Of USAGE: 2 dollars for a million of input, 10 for output. */
const USD = '0.007';

const object = (id: string, status: string, usage: object | null = null) => ({
  id,
  object: 'response',
  status,
  model: MODEL,
  service_tier: 'default',
  usage,
  output: [],
});

let server: Server;
let url: string;
let sockets: WebSocket[];
/** By id, what a GET is answered with; 404 where there is none. */
let kept: Map<string, object>;
let reads: string[];
before(async () => {
  server = createServer((request, reply) => {
    reads.push(request.url ?? '');
    const found = kept.get(request.url?.split('/').at(-1) ?? '');
    reply.writeHead(found === undefined ? 404 : 200, { 'content-type': 'application/json' });
    reply.end(JSON.stringify(found ?? { error: { message: 'none' } }));
  });
  const acceptor = new WebSocketServer({ server });
  acceptor.on('connection', (socket) => sockets.push(socket));
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
    [sockets, kept, reads] = [[], new Map(), []];
    dataDir = mkdtempSync(join(tmpdir(), 'throughway-cut-turns-'));
    database = await databaseUrl();
    await begin();
  });
  afterEach(async () => {
    for (const socket of sockets) socket.terminate();
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

  async function poll(): Promise<void> {
    await beginAgain({ settlement: { firstLookSeconds: 0.05 } });
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
  const totals = async () => (await ask('/spend?from=2026-11-22&to=2026-11-24')).totals;
  const records = (): readonly ExchangeRecord[] => readSpool(dataDir, 0).records;
  const turns = () => records().filter(({ kind }) => kind === 'turn');
  const settled = () => gateway.logLines.filter((line) => line.includes('late work was settled')).length;

  async function open(path = '/responses', token = gateway.token): Promise<{ client: Client; far: WebSocket }> {
    const before = sockets.length;
    const headers = { authorization: `Bearer ${token}` };
    const client = await new Client(`${gateway.api.replace('http', 'ws')}/openai/v1${path}`, [], { headers }).opened();
    await eventually('the upstream has it', () => sockets.length > before);
    return { client, far: sockets.at(-1)! };
  }

  /** The client asks, and the upstream begins. */
  async function beginResponse(
    { client, far }: { client: Client; far: WebSocket },
    { id, lane, store, echo }: { id: string; lane?: string; store?: boolean; echo?: boolean },
  ): Promise<void> {
    const stream = lane === undefined ? {} : { stream_id: lane };
    const asked = {
      type: 'response.create',
      ...stream,
      model: MODEL,
      ...(store !== undefined && { store }),
      input: 'Hi',
    };
    const heard = once(far, 'message');
    client.socket.send(JSON.stringify(asked));
    await heard;
    const response = { ...object(id, 'in_progress'), ...(echo !== undefined && { store: echo }) };
    const before = client.messages.length;
    far.send(JSON.stringify({ type: 'response.created', ...stream, response }));
    far.send(JSON.stringify({ type: 'response.output_text.delta', ...stream, delta: 'The Rhine' }));
    await eventually('it has begun', () => client.messages.length === before + 2);
  }

  async function finish({ client, far }: { client: Client; far: WebSocket }, id: string): Promise<void> {
    const before = client.messages.length;
    far.send(JSON.stringify({ type: 'response.completed', response: object(id, 'completed', USAGE) }));
    await eventually('it has ended', () => client.messages.length === before + 1);
  }

  async function ended(): Promise<ExchangeRecord> {
    const socket = () => records().find(({ transport, kind }) => transport === 'ws' && kind === 'exchange');
    await eventually('the socket is on record', () => socket() !== undefined);
    return socket()!;
  }

  /** Nobody looks after it any more. */
  async function forgotten(): Promise<void> {
    for (const until = performance.now() + 10_000; performance.now() < until;) {
      const metrics = await (await gateway.adminFetch('/metrics')).text();
      if (/^throughway_late_work\{kind="response",state="settled"\} 1$/m.test(metrics)) return;
    }
    throw new Error('it is still looked after');
  }

  async function assertTotals(usd: string, exchanges: number, more: object = {}): Promise<void> {
    const { measured_usd, estimated_usd, ...counts } = await totals();
    assert.deepEqual([measured_usd, estimated_usd, counts.exchanges], [usd, '0', exchanges]);
    const { pending, unpriced, partial } = counts;
    assert.deepEqual({ pending, unpriced, partial }, { pending: 0, unpriced: 0, partial: 0, ...more });
    const { windows, rollups } = await ask('/ledger/drift');
    assert.deepEqual([windows, rollups], [[], []]);
  }

  const cuts = {
    'its client vanishes': ['downstream_left', (client: Client) => client.socket.terminate()],
    'its client closes, and the upstream says no more': ['downstream_left', (client: Client) => client.socket.close()],
    'the upstream vanishes': ['upstream_broke', (_: Client, far: WebSocket) => far.terminate()],
    'the upstream closes': ['upstream_broke', (_: Client, far: WebSocket) => far.close(1011)],
  } as const;
  for (const [how, [ending, cut]] of Object.entries(cuts)) {
    test(`a response under way when ${how} is not known at first, and measured when the gateway has read it`, async () => {
      const socket = await open();
      await beginResponse(socket, { id: 'resp_1' });
      cut(socket.client, socket.far);
      const record = await ended();
      const [turn, ...others] = turns();
      assert.deepEqual(others, []);
      assert.deepEqual([turn!.parent_id, turn!.ending, turn!.model_served], [record.id, ending, MODEL]);
      assert.deepEqual([turn!.cost.state, turn!.cost.why, turn!.cost.usd], ['unpriced', 'response_unfinished', null]);
      assert.equal(turn!.attempts[0]!.credential, record.attempts[0]!.credential);
      assert.equal(record.cost.state, 'free');
      await assertTotals('0', 1, { unpriced: 1 });
      kept.set('resp_1', object('resp_1', 'completed', USAGE));
      clock.turn(15_000);
      await poll();
      await eventually('it is read', () => settled() === 1);
      assert.deepEqual(reads, ['/v1/responses/resp_1']);
      await assertTotals(USD, 1);
      const { total_usd } = await ask(`/exchanges/${turn!.id}/cost`);
      assert.equal(total_usd, USD);
      const { data } = await ask('/spend?from=2026-11-22&to=2026-11-24&group_by=model');
      const ofModel = data.find(({ model }: { model: string }) => model === MODEL);
      assert.equal(ofModel.measured_usd, USD);
      // However often it is told of again.
      await read('resp_1');
      assert.equal((await webhook('resp_1')).status, 200);
      await poll();
      await assertTotals(USD, 2);
    });
  }

  test('what its client reads measures it, and so does a webhook, each once', async () => {
    for (const [id, tell] of [
      ['resp_1', read],
      ['resp_2', webhook],
    ] as const) {
      const socket = await open();
      await beginResponse(socket, { id });
      socket.client.socket.terminate();
      kept.set(id, object(id, 'completed', USAGE));
      await eventually('it is on record', () => turns().some(({ objects }) => objects[0]?.id === id));
      const before = settled();
      for (let i = 0; i < 3; i++) await tell(id);
      await eventually('it is told', () => settled() === before + 1);
    }
    await beginAgain({});
    await assertTotals('0.014', 5);
  });

  test('responses on several lanes are measured each, beside those that were complete', async () => {
    const socket = await open();
    await beginResponse(socket, { id: 'resp_0' });
    await finish(socket, 'resp_0');
    for (const id of ['resp_1', 'resp_2']) await beginResponse(socket, { id, lane: `lane_${id}` });
    for (const id of ['resp_1', 'resp_2']) kept.set(id, object(id, 'incomplete', USAGE));
    socket.client.socket.terminate();
    await ended();
    assert.deepEqual(
      turns()
        .map(({ ending }) => ending)
        .toSorted((a, b) => (String(a) < String(b) ? -1 : 1)),
      ['complete', 'downstream_left', 'downstream_left'],
    );
    await assertTotals(USD, 1, { unpriced: 2 });
    clock.turn(15_000);
    await poll();
    await eventually('they are read', () => settled() === 2);
    await assertTotals('0.021', 1);
  });

  test('nobody asks for what its client would not have kept, nor for a session of realtime', async () => {
    const unkept = [
      { id: 'resp_1', store: false },
      { id: 'resp_2', echo: false },
    ];
    for (const each of unkept) {
      const socket = await open();
      await beginResponse(socket, each);
      socket.client.socket.terminate();
    }
    const session = await open('/realtime?model=gpt-realtime');
    await beginResponse(session, { id: 'resp_3' });
    session.client.socket.terminate();
    await eventually('all are on record', () => records().length === 3);
    assert.deepEqual(turns(), []);
    assert.deepEqual(
      records().map(({ cost }) => [cost.state, cost.why]),
      [1, 2, 3].map(() => ['unpriced', 'response_unfinished']),
    );
    clock.turn(3_600_000);
    await poll();
    await assertTotals('0', 3, { unpriced: 3 });
    assert.deepEqual(reads, []);
  });

  test('of one lane that is not kept another one may be, and what is asked later on it', async () => {
    const socket = await open();
    await beginResponse(socket, { id: 'resp_1', lane: 'a', store: false });
    await beginResponse(socket, { id: 'resp_2', lane: 'b' });
    await finish(socket, 'resp_1');
    await beginResponse(socket, { id: 'resp_3', lane: 'a' });
    // What the upstream says goes before what was asked.
    await beginResponse(socket, { id: 'resp_4', lane: 'c', store: false, echo: true });
    socket.client.socket.terminate();
    await ended();
    const cut = turns().filter(({ ending }) => ending !== 'complete');
    assert.deepEqual(
      cut.map(({ objects }) => objects[0]?.id),
      ['resp_2', 'resp_3', 'resp_4'],
    );
  });

  test('one that is not there stays unknown, and is not asked for again', async () => {
    const socket = await open();
    await beginResponse(socket, { id: 'resp_1' });
    socket.client.socket.terminate();
    await ended();
    clock.turn(15_000);
    await poll();
    await eventually('it is asked for', () => reads.length === 1);
    await forgotten();
    clock.turn(86_400_000);
    await poll();
    await webhook('resp_1');
    await beginAgain({});
    await assertTotals('0', 1, { unpriced: 1 });
    assert.equal(reads.length, 1);
  });

  test('a budget is charged what was set aside, and then what it cost', async () => {
    const { key, token } = await gateway.createKey({ name: 'bound' });
    const bounds = { key_id: key.id, scope: 'key', window: 'day' };
    const { id } = await ask('/budgets', { ...bounds, limit_usd: '100', kind: 'hard' });
    const spent = async () => {
      await totals();
      const { spent_usd, held_usd } = await ask(`/budgets/${id}`);
      return [spent_usd, held_usd];
    };
    const socket = await open(`/responses?model=${MODEL}`, token);
    const [, held] = await spent();
    assert.notEqual(held, '0');
    await beginResponse(socket, { id: 'resp_1' });
    socket.client.socket.terminate();
    const { id: exchange } = await ended();
    assert.deepEqual(await spent(), [held, '0'], exchange);
    kept.set('resp_1', object('resp_1', 'completed', USAGE));
    await read('resp_1', token);
    await eventually('it is told', () => settled() === 1);
    assert.deepEqual(await spent(), [USD, '0']);
    await beginAgain({});
    assert.deepEqual(await spent(), [USD, '0']);
    await assertTotals(USD, 2);
  });

  async function read(id: string, token = gateway.token): Promise<void> {
    const headers = { authorization: `Bearer ${token}` };
    await (await fetch(`${gateway.api}/openai/v1/responses/${id}`, { headers })).text();
  }

  let webhooks = 0;
  function webhook(id: string): Promise<Response> {
    const at = Math.floor(clock.now() / 1000);
    const name = `wh_${++webhooks}`;
    const body = JSON.stringify({ type: 'response.completed', data: { id } });
    const secret = Buffer.from(SECRET.slice('whsec_'.length), 'base64');
    const signature = createHmac('sha256', secret).update(`${name}.${at}.${body}`).digest('base64');
    const headers = { 'webhook-id': name, 'webhook-timestamp': String(at), 'webhook-signature': `v1,${signature}` };
    return fetch(`${gateway.admin}/webhooks/openai`, { method: 'POST', headers, body });
  }
}

describe('turns that were cut, on SQLite', () => tests(() => Promise.resolve(null)));

describe('turns that were cut, on PostgreSQL', { skip: skipWithoutPostgres() }, () => {
  let postgres: TestPostgres;
  before(async () => {
    postgres = await startPostgres();
  });
  after(() => postgres.close());
  tests(() => postgres.makeDatabase());
});
