// One caller asks for too much: it is held to its limits, told when to come back, and nobody else feels it.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { after, before, test } from 'node:test';

import { handClock } from '../support/engines.ts';
import { eventually } from '../support/eventually.ts';
import type { Script } from '../support/recorder.ts';
import { CHAT, JSON_BODY, type Scene, openScene } from './scene.ts';

const AT_ONCE = 20;
const ASKED = 1000;
const PER_MINUTE = 25;
const BAD_KEYS = 40;

let letGo: () => void = () => {};
let waiting = 0;
/** Answers at once, but what is asked to wait. */
const script: Script = async (asked) => {
  await asked.whole();
  if (asked.target.includes('/slow')) {
    waiting++;
    await new Promise<void>((resolve) => {
      const before = letGo;
      letGo = () => {
        before();
        resolve();
      };
    });
  }
  return {
    body: '{"choices":[],"model":"gpt-4o-mini","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}',
    headers: [
      ['Content-Type', 'application/json'],
      ['x-ratelimit-limit-requests', '10000'],
      ['x-ratelimit-remaining-requests', '9999'],
      ['x-ratelimit-limit-tokens', '2000000'],
    ],
  };
};

type Name = 'greedy' | 'good' | 'counted' | 'tokens';
const clock = handClock(Date.UTC(2026, 10, 22));
let scene: Scene<Name>;
before(async () => {
  scene = await openScene<Name>({
    keys: {
      greedy: { limits: { concurrentExchanges: AT_ONCE } },
      good: {},
      counted: { limits: { requestsPerMinute: PER_MINUTE } },
      tokens: { limits: { tokensPerMinute: 1000 } },
    },
    settings: { limits: { badKeysPerMinute: BAD_KEYS } },
    clock,
    script,
  });
});
after(() => scene.close());

/** With an agent of its own, so that nobody waits for a free connection. */
function get(agent: Agent, path: string, token: string): Promise<{ status: number; told: string | undefined }> {
  return new Promise((resolve, reject) => {
    const sent = request(scene.gateway.api + path, { agent, headers: { authorization: `Bearer ${token}` } });
    sent.on('error', reject);
    sent.on('response', (reply) => {
      reply
        .resume()
        .on('end', () =>
          resolve({ status: reply.statusCode!, told: reply.headers['x-throughway-refusal'] as string | undefined }),
        );
    });
    sent.end();
  });
}

test(`${ASKED} parallel exchanges of one key are held to its ${AT_ONCE}, and another key goes on (O05)`, async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: ASKED });
  const answers: { status: number; told: string | undefined }[] = [];
  const asked = Array.from({ length: ASKED }, () =>
    get(agent, '/openai/v1/slow', scene.keys.greedy.token).then((answer) => answers.push(answer)),
  );
  await eventually('all but those that run are refused', () => answers.length === ASKED - AT_ONCE, 20_000);
  assert.equal(waiting, AT_ONCE);
  assert.ok(answers.every(({ status, told }) => status === 429 && told === 'rate_limit_exceeded'));
  assert.equal((await scene.ask('good', '/openai/v1/models')).status, 200);
  letGo();
  await Promise.all(asked);
  assert.equal(answers.filter(({ status }) => status === 200).length, AT_ONCE);
  assert.equal((await scene.ask('greedy', '/openai/v1/models')).status, 200, 'places come back');
  agent.destroy();
});

test('exactly as many requests pass in a minute as the limit says, and the next minute as many again (O07)', async () => {
  for (let minute = 0; minute < 3; minute++) {
    const replies = await Promise.all(Array.from({ length: 60 }, () => scene.ask('counted', '/openai/v1/models')));
    const statuses = replies.map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 200).length, PER_MINUTE);
    assert.equal(statuses.filter((status) => status === 429).length, 60 - PER_MINUTE);
    const refused = replies.find(({ status }) => status === 429)!;
    assert.equal(refused.headers.get('x-should-retry'), 'true');
    const waitMs = Number(refused.headers.get('retry-after-ms'));
    assert.ok(waitMs > 0 && waitMs <= 61_000, String(waitMs));
    assert.equal(Number(refused.headers.get('retry-after')), Math.ceil(waitMs / 1000));
    clock.turn(waitMs);
  }
});

test('tokens are counted as they are estimated, and given back once the truth is known', async () => {
  const body = JSON.stringify({ model: 'gpt-4o-mini', max_tokens: 600, messages: [] });
  const chat = () => scene.ask('tokens', CHAT, { method: 'POST', body, headers: JSON_BODY });
  // Each is thought to use more than 600 and uses 15: one after the other they pass, two at once do not.
  for (let i = 0; i < 10; i++) assert.equal((await chat()).status, 200);
  const two = await Promise.all([chat(), chat()]);
  assert.deepEqual(new Set(two.map(({ status }) => status)), new Set([200, 429]));
  const tooMuch = JSON.stringify({ model: 'gpt-4o-mini', max_tokens: 5000, messages: [] });
  const never = await scene.ask('tokens', CHAT, { method: 'POST', body: tooMuch, headers: JSON_BODY });
  assert.deepEqual([never.status, never.headers.get('x-should-retry')], [429, 'false']);
});

test('a caller with limits sees its own standing in place of the upstream’s, any other sees the upstream’s', async () => {
  clock.turn(120_000);
  const own = (await scene.ask('counted', '/openai/v1/models')).headers;
  assert.equal(own.get('x-ratelimit-limit-requests'), String(PER_MINUTE));
  assert.equal(own.get('x-ratelimit-remaining-requests'), String(PER_MINUTE - 1));
  assert.equal(own.get('x-ratelimit-limit-tokens'), null, 'the upstream’s is not its own');
  const other = (await scene.ask('good', '/openai/v1/models')).headers;
  assert.equal(other.get('x-ratelimit-limit-requests'), '10000');
  assert.equal(other.get('x-ratelimit-limit-tokens'), '2000000');
});

test('an address that tries many bad keys is told to wait, and a good key from there opens all the same (A17)', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const tries = await Promise.all(
    Array.from({ length: 200 }, (_, i) =>
      get(agent, '/openai/v1/models', `sk-tw-${String(i).padStart(28, '0')}-abcdef`),
    ),
  );
  const statuses = tries.map(({ status }) => status);
  assert.equal(statuses.filter((status) => status === 401).length, BAD_KEYS);
  assert.equal(statuses.filter((status) => status === 429).length, 200 - BAD_KEYS);
  assert.equal((await scene.ask('good', '/openai/v1/models')).status, 200);
  assert.equal((await get(agent, '/openai/v1/models', 'sk-tw-again')).status, 429);
  clock.turn(61_000);
  assert.equal((await get(agent, '/openai/v1/models', 'sk-tw-again')).status, 401);
  agent.destroy();
});
