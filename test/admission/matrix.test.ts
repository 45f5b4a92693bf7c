// Every endpoint row for every reason to say no: the right refusal, nothing upstream, one record. And one case where all is allowed.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, type IncomingMessage, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';

import { SYSTEM } from '../../src/domain/audit.ts';
import { systemClock } from '../../src/domain/clock.ts';
import type { Endpoint } from '../../src/domain/endpoint.ts';
import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import type { KeyAndToken } from '../../src/keys/keys.ts';
import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';
import { eventually } from '../support/eventually.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import { readSpool } from '../support/invariants.ts';
import { makeDir } from '../support/ledger.ts';
import { acceptance } from '../support/sockets.ts';
import { onStores } from './prepared.ts';

const MODEL = 'gpt-4o-mini';
const AT_ONCE = 8;
const DAY_MS = 86_400_000;

type Case =
  | 'allowed'
  | 'model not allowed'
  | 'endpoint not allowed'
  | 'over the request limit'
  | 'over budget'
  | 'expired'
  | 'revoked'
  | 'suspended'
  | 'of a suspended team'
  | 'from the wrong address';

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

interface Expected {
  readonly status: number;
  readonly code: string;
  readonly retry: 'true' | 'false';
}

const FORBIDDEN = (code: string): Expected => ({ status: 403, code, retry: 'false' });
const UNKNOWN_KEY: Expected = { status: 401, code: 'invalid_api_key', retry: 'false' };
const NO_QUOTA: Expected = { status: 429, code: 'insufficient_quota', retry: 'false' };
const TOO_FAST: Expected = { status: 429, code: 'rate_limit_exceeded', retry: 'true' };

/** Groups whose work is done by models that another object names: a file, a session, what was made before. */
const INDIRECT = new Set([
  'agents',
  'batches',
  'chatkit',
  'evals',
  'fine_tuning',
  'live',
  'realtime',
  'responses',
  'videos',
]);
const costsMoney = ({ billing }: Endpoint) => billing !== 'free' && billing !== 'repeated';

/** What each row must answer; null where it goes upstream. */
const EXPECTED: Readonly<Record<Case, (row: Endpoint) => Expected | null>> = {
  allowed: () => null,
  'model not allowed': (row) => {
    const isNamed = row.modelIn !== null || row.transport === 'websocket' || namesModelAnyway(row);
    const isSetToWork = costsMoney(row) && INDIRECT.has(row.group);
    return isNamed || isSetToWork ? FORBIDDEN('model_not_allowed') : null;
  },
  'endpoint not allowed': () => FORBIDDEN('endpoint_not_allowed'),
  'over the request limit': () => TOO_FAST,
  'over budget': (row) => (costsMoney(row) ? NO_QUOTA : null),
  expired: () => UNKNOWN_KEY,
  revoked: () => UNKNOWN_KEY,
  suspended: () => UNKNOWN_KEY,
  'of a suspended team': () => UNKNOWN_KEY,
  'from the wrong address': () => FORBIDDEN('address_not_allowed'),
};

/** The bodies of this test name a model wherever there is a body. */
function namesModelAnyway({ method, transport }: Endpoint): boolean {
  return method === 'POST' && transport === 'http';
}

describe('every endpoint row', () => {
  const dir = makeDir();
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  /** What the client called each request that reached the upstream. */
  const reached = new Set<string>();
  const upstream = createServer((asked, reply) => {
    reached.add(String(asked.headers['x-client-request-id']));
    asked.resume().on('end', () => reply.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  });
  upstream.on('upgrade', (asked: IncomingMessage, socket) => {
    reached.add(String(asked.headers['x-client-request-id']));
    socket.on('error', () => {}).end(acceptance(asked));
  });
  let gateway: TestGateway;
  let keys: Readonly<Record<Case | 'endpoint not allowed, chat', KeyAndToken>>;

  before(async () => {
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    keys = await prepare();
    gateway = await startGateway({
      upstream: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`,
      dataDir: dir.path,
      settings: { assistants: { mode: 'relay' }, limits: { badKeysPerMinute: 0 } },
    });
    // The one request that its limit is for.
    assert.equal((await ask('/openai/v1/models', 'GET', keys['over the request limit'].token, 'first')).status, 200);
  });
  after(async () => {
    agent.destroy();
    await gateway.close();
    upstream.close();
    dir.remove();
  });

  async function prepare() {
    const yesterday = systemClock.now() - DAY_MS;
    const past = { ...systemClock, now: () => yesterday };
    const expired = await onStores(
      dir.path,
      ({ key }) => key({ name: 'expired', expiresAt: yesterday + 1000, endpoints: ['*', 'admin'] }),
      { clock: past },
    );
    return onStores(dir.path, async ({ keys: all, key, exhaust }) => {
      const endpoints = ['*', 'admin'];
      const team = await all.teams.create({ name: 'resting', endpoints }, SYSTEM);
      const made = {
        allowed: await key({ name: 'allowed', endpoints }),
        'model not allowed': await key({ name: 'model', endpoints, models: ['o3', 'gpt-5*'] }),
        'endpoint not allowed': await key({ name: 'endpoint', endpoints: ['webhooks'] }),
        'endpoint not allowed, chat': await key({ name: 'chat', endpoints: ['chat'] }),
        'over the request limit': await key({ name: 'limit', endpoints, limits: { requestsPerMinute: 1 } }),
        'over budget': await key({ name: 'budget', endpoints }),
        expired,
        revoked: await key({ name: 'revoked', endpoints }),
        suspended: await key({ name: 'suspended', endpoints }),
        'of a suspended team': await key({ name: 'team', endpoints, team: team.id }),
        'from the wrong address': await key({
          name: 'address',
          endpoints,
          allowedCidrs: ['10.0.0.0/8', '2001:db8::/32'],
        }),
      };
      await exhaust(made['over budget']);
      await all.revoke(made.revoked.key.id, SYSTEM);
      await all.suspend(made.suspended.key.id, SYSTEM);
      await all.teams.suspend(team.id, SYSTEM);
      return made;
    });
  }

  function ask(path: string, method: string, token: string, id: string, isSocket = false): Promise<Answer> {
    const body = method === 'POST' ? JSON.stringify({ model: MODEL, input: 'Hello', max_tokens: 5 }) : undefined;
    const headers = {
      authorization: `Bearer ${token}`,
      'x-client-request-id': id,
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': String(body.length) }),
      ...(isSocket && {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      }),
    };
    return new Promise((resolve, reject) => {
      const sent = request(gateway.api + path, { method, headers, agent: isSocket ? false : agent });
      sent.on('error', reject);
      sent.on('upgrade', (answer, socket) => {
        socket.destroy();
        resolve({ status: 101, headers: answer.headers, body: '' });
      });
      sent.on('response', (answer) => {
        const pieces: Buffer[] = [];
        answer.on('data', (piece: Buffer) => pieces.push(piece));
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({ status: answer.statusCode!, headers: answer.headers, body: Buffer.concat(pieces).toString() }),
        );
      });
      sent.end(body);
    });
  }

  function pathOf({ path, transport }: Endpoint): string {
    const filled = path.replace('{model}', MODEL).replaceAll(/\{\w+\}/g, 'x_1');
    return `/openai${filled}${transport === 'websocket' ? `?model=${MODEL}` : ''}`;
  }

  for (const reason of Object.keys(EXPECTED) as Case[]) {
    test(`${reason}: ${ENDPOINTS.length} rows`, async () => {
      const { lastSeq } = readSpool(gateway.dataDir, 0);
      const asked = new Map<string, { row: Endpoint; key: KeyAndToken; answer: Answer }>();
      const rows = ENDPOINTS.map((row, i) => ({ row, id: `${reason.replaceAll(' ', '-')}-${i}` }));
      const walk = rows.values();
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          for (const { row, id } of walk) {
            const isWebhooks = reason === 'endpoint not allowed' && row.group === 'webhooks';
            const key = keys[isWebhooks ? 'endpoint not allowed, chat' : reason];
            const isSocket = row.transport === 'websocket';
            asked.set(id, { row, key, answer: await ask(pathOf(row), row.method, key.token, id, isSocket) });
          }
        }),
      );
      let records: readonly ExchangeRecord[] = [];
      await eventually('each has its record', () => {
        const spool = readSpool(gateway.dataDir, lastSeq);
        records = spool.records;
        return records.length >= rows.length && spool.openIntents === 0;
      });
      assert.equal(records.length, rows.length);
      const byId = new Map(records.map((record) => [record.client_request_id, record]));
      for (const [id, { row, key, answer }] of asked) {
        const what = `${reason}: ${row.method} ${row.path} (${row.transport})`;
        const expected = EXPECTED[reason](row);
        const record = byId.get(id);
        assert.ok(record !== undefined, `${what} has a record`);
        const isKnown = expected !== UNKNOWN_KEY;
        assert.equal(record.key_id, isKnown ? key.key.id : null, what);
        assert.equal(record.team_id, isKnown ? key.key.teamId : null, what);
        assert.equal(reached.has(id), expected === null, `${what}: ${answer.body}`);
        if (expected === null) {
          assert.equal(answer.status, row.transport === 'websocket' ? 101 : 200, `${what}: ${answer.body}`);
          assert.equal(record.refusal, null, what);
          continue;
        }
        const { error } = JSON.parse(answer.body) as { error: { code: string; message: string } };
        assert.deepEqual(
          {
            status: answer.status,
            code: error.code,
            told: answer.headers['x-throughway-refusal'],
            retry: answer.headers['x-should-retry'],
            recorded: record.refusal,
            attempts: record.attempts.length,
          },
          {
            status: expected.status,
            code: expected.code,
            told: expected.code,
            retry: expected.retry,
            recorded: expected.code,
            attempts: 0,
          },
          `${what}: ${answer.body}`,
        );
        if (expected === TOO_FAST) assert.ok(Number(answer.headers['retry-after-ms']) > 0, what);
      }
    });
  }
});
