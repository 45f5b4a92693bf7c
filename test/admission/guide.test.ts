// What docs/limits-and-budgets.md says that no other test holds it to: its examples, and what OpenAI's SDK does with each refusal.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import OpenAI, { APIError } from 'openai';

import { eventually } from '../support/eventually.ts';
import { type Scene, openScene } from './scene.ts';

const guide = readFileSync(new URL('../../docs/limits-and-budgets.md', import.meta.url), 'utf8');

type Name = 'spent' | 'fast' | 'narrow' | 'bounded' | 'unpriced' | 'elsewhere';
let scene: Scene<Name>;
before(async () => {
  scene = await openScene<Name>({
    keys: {
      spent: {},
      fast: { limits: { concurrentExchanges: 1 } },
      narrow: { models: ['o3'], endpoints: ['chat'] },
      bounded: { onUnbounded: 'refuse' },
      unpriced: { onUnpriced: 'deny' },
      elsewhere: { allowedCidrs: ['10.0.0.0/8'] },
    },
    budgets: { spent: { limitMoney: 1n, window: 'month' }, bounded: { limitMoney: 10n ** 12n } },
  });
});
after(() => scene.close());

/** What the SDK throws, and how many requests it made of it. */
async function askedBy(name: Name | null, model = 'gpt-4o-mini'): Promise<{ error: unknown; requests: number }> {
  let requests = 0;
  const client = new OpenAI({
    baseURL: `${scene.gateway.api}/openai`,
    apiKey: name === null ? 'sk-tw-nobody' : scene.keys[name].token,
    fetch: (url, init) => {
      requests++;
      return fetch(url, init);
    },
  });
  try {
    await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'Hello' }] });
    return { error: null, requests };
  } catch (error) {
    return { error, requests };
  }
}

const REFUSALS: readonly (readonly [
  name: Name | null,
  status: number,
  code: string,
  thrown: string,
  model?: string,
])[] = [
  ['spent', 429, 'insufficient_quota', 'RateLimitError'],
  ['narrow', 403, 'model_not_allowed', 'PermissionDeniedError'],
  ['elsewhere', 403, 'address_not_allowed', 'PermissionDeniedError'],
  ['unpriced', 403, 'model_not_priced', 'PermissionDeniedError', 'brand-new-model'],
  ['bounded', 400, 'bad_request', 'BadRequestError'],
  [null, 401, 'invalid_api_key', 'AuthenticationError'],
];
for (const [name, status, code, thrown, model] of REFUSALS) {
  test(`${code}: the SDK raises ${thrown} at its first request`, async () => {
    const { error, requests } = await askedBy(name, model);
    assert.ok(error instanceof APIError);
    assert.deepEqual([error.status, error.code, error.constructor.name, requests], [status, code, thrown, 1]);
    assert.match(guide, new RegExp(`${status} .*\`${code}\`.*\`${thrown}\``));
    if (code !== 'insufficient_quota') return;
    assert.match(error.message, /budget budget_\w+ of the key .* are spent .* begins anew at \d{4}-/);
  });
}

test('rate_limit_exceeded: the SDK waits and tries again by itself', async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  scene.upstream.script = async (request) => {
    await request.whole();
    await held;
    return { body: '{}', headers: [['Content-Type', 'application/json']] };
  };
  const running = scene.ask('fast', '/openai/v1/models');
  await eventually('it runs', () => scene.upstream.requests.length > 0);
  const asked = askedBy('fast');
  setTimeout(release, 300);
  assert.equal((await running).status, 200);
  const { error, requests } = await asked;
  assert.equal(error, null);
  assert.ok(requests > 1);
  scene.upstream.clear();
});

test('its examples are taken as they stand', async () => {
  const examples = [...guide.matchAll(/^curl -H "\$ADMIN" http:\/\/127\.0\.0\.1:4001(\S+) -d '(.*)'$/gm)];
  assert.equal(examples.length, 3);
  for (const [, path, body] of examples) {
    const reply = await scene.gateway.adminFetch(path!, { method: 'POST', body: body! });
    assert.ok(reply.ok, `${path}: ${await reply.clone().text()}`);
  }
});

test('the settings that it names are there', () => {
  const configuration = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  for (const name of [
    'limits.badKeysPerMinute',
    'limits.onRedisAway',
    'ledger.whenStoreIsAway',
    'http.keptBodiesBytesMax',
  ]) {
    assert.ok(guide.includes(`\`${name}\``), name);
    assert.ok(configuration.includes(`\`${name}\``), name);
  }
});
