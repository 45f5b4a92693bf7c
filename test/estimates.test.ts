// Tokens are counted in a thread of their own, where nobody reported them; whatever the text, an estimate comes, and soon.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';

import { type Estimates, openEstimates, sampleOf } from '../src/estimates/estimates.ts';

let estimates: Estimates;
before(() => {
  estimates = openEstimates();
});
after(() => estimates.close());

const tokens = (text: string, model = 'gpt-5') => estimates.estimateTokens(text, Buffer.byteLength(text), model);

async function usageOf(body: object, replyText = '', model = 'gpt-5'): Promise<Record<string, number>> {
  const bytes = Buffer.from(JSON.stringify(body));
  const readings = await estimates.estimateUsage({
    request: sampleOf(bytes, bytes.length),
    replyText,
    replyTextBytes: Buffer.byteLength(replyText),
    model,
  });
  return Object.fromEntries(readings.map(({ meter, quantity }) => [meter, Number(quantity)]));
}

function assertNear(actual: number, expected: number, percent: number): void {
  assert.ok(
    Math.abs(actual - expected) <= (expected * percent) / 100,
    `${actual} is not within ${percent} % of ${expected}`,
  );
}

describe('an estimate of tokens', () => {
  test('is the count of the model’s encoding; unknown models count like those of today', async () => {
    assert.equal(await tokens('hello world'), 2);
    assert.equal(await tokens('', 'gpt-5'), 0);
    const german = 'Donaudampfschifffahrtsgesellschaft';
    const [today, older, unknown] = await Promise.all([
      tokens(german, 'gpt-4o'),
      tokens(german, 'gpt-4-0613'),
      tokens(german, 'gpt-9-nova'),
    ]);
    assert.notEqual(today, older);
    assert.equal(unknown, today);
    assert.equal(await tokens('<|endoftext|>'), 7);
  });

  test('of a longer text than was kept is taken from its beginning', async () => {
    const sentence = 'The quick brown fox jumps over the lazy dog. ';
    assert.equal(
      await estimates.estimateTokens(sentence, 1000 * sentence.length, 'gpt-5'),
      1000 * (await tokens(sentence)),
    );
    assertNear(await tokens(sentence.repeat(20_000)), 20_000 * 10, 1);
  });

  test('comes for texts that would hold a tokenizer up', async () => {
    const letters = Array.from({ length: 50_000 }, (_, i) => 'abcdefghijklmnopqrstuvwxyz'[(i * i * 7) % 26]).join('');
    for (const text of [
      'a'.repeat(50_000),
      ' '.repeat(50_000),
      '漢字仮名交じり文'.repeat(6000),
      letters,
      '=\n'.repeat(20_000),
    ]) {
      const startedMs = performance.now();
      assert.ok((await tokens(text)) > 0);
      assert.ok(performance.now() - startedMs < 5000, `${text.slice(0, 9)}... took too long`);
    }
    assert.equal(estimates.rough(), 0);
  });
});

describe('an estimate of usage', () => {
  test('counts messages with what frames them, tools, and the reply that was seen', async () => {
    const messages = [
      { role: 'system', content: 'hello world' },
      { role: 'user', content: [{ type: 'text', text: 'hello world' }] },
    ];
    assert.deepEqual(await usageOf({ model: 'gpt-5', messages, stream: true }, 'hello world'), {
      input_text: 2 * (3 + 2) + 3,
      output_text: 2,
    });
    const tools = [{ type: 'function', function: { name: 'look', parameters: { type: 'object' } } }];
    assert.deepEqual(await usageOf({ messages, tools }), { input_text: 13 + (await tokens(JSON.stringify(tools))) });
  });

  test('knows prompts, inputs and instructions', async () => {
    assert.deepEqual(await usageOf({ prompt: 'hello world' }), { input_text: 2 });
    assert.deepEqual(await usageOf({ prompt: [1, 2, 3] }), { input_text: 3 });
    assert.deepEqual(await usageOf({ instructions: 'hello world', input: 'hello world' }), { input_text: 4 });
    assert.deepEqual(
      await usageOf({ input: [{ role: 'user', content: [{ type: 'input_text', text: 'hello world' }] }] }),
      { input_text: 8 },
    );
  });

  test('counts an image by rule and never its bytes', async () => {
    const url = `data:image/png;base64,${'iVBORw0KGgo'.repeat(20_000)}`;
    const content = [
      { type: 'text', text: 'hello world' },
      { type: 'image_url', image_url: { url } },
    ];
    const { input_text: input } = await usageOf({ messages: [{ role: 'user', content }] });
    assertNear(input!, 765 + 2 + 6, 2);
  });

  test('of a body that was not kept whole is near the truth', async () => {
    const message = {
      role: 'user',
      content: 'The quick brown fox jumps over the lazy dog, "again" and again.\n'.repeat(10),
    };
    const messages = Array.from({ length: 1000 }, () => message);
    const each = (await tokens(message.content)) + 3;
    const { input_text: input } = await usageOf({ model: 'gpt-5', messages });
    assertNear(input!, 1000 * each, 5);
  });

  test('comes for a body that is hard on a careless reader', async () => {
    for (const json of [`{"a":"${'\\"'.repeat(32_000)}`, `${'"'.repeat(65_000)}`, `${'["a",'.repeat(13_000)}`]) {
      const startedMs = performance.now();
      const bytes = Buffer.from(json);
      const request = sampleOf(bytes, 2 * bytes.length);
      assert.equal(
        (await estimates.estimateUsage({ request, replyText: '', replyTextBytes: 0, model: 'm' })).length <= 1,
        true,
      );
      assert.ok(performance.now() - startedMs < 2000, `${json.slice(0, 9)}... took too long`);
    }
    assert.equal(estimates.rough(), 0);
  });

  test('is silent about what was not seen', async () => {
    assert.deepEqual(
      await estimates.estimateUsage({ request: null, replyText: '', replyTextBytes: 0, model: 'gpt-5' }),
      [],
    );
  });
});

describe('the thread', () => {
  test('has a bounded queue: what does not fit is estimated by its bytes', async () => {
    const own = openEstimates();
    try {
      const counts = await Promise.all(
        Array.from({ length: 300 }, () => own.estimateTokens('hello world', 11, 'gpt-5')),
      );
      assert.deepEqual(
        [counts.filter((count) => count === 2).length, counts.filter((count) => count === 3).length],
        [256, 44],
      );
      assert.equal(own.rough(), 44);
    } finally {
      await own.close();
    }
  });

  test('closes with estimates under way, which come all the same', async () => {
    const own = openEstimates();
    const under = own.estimateTokens('hello world, and more', 21, 'gpt-5');
    await own.close();
    assert.equal(await under, 6);
    assert.equal(await own.estimateTokens('12345678', 8, 'gpt-5'), 2);
  });

  test('does not hold the process when it is idle', () => {
    const script = `
      import { openEstimates } from ${JSON.stringify(new URL('../src/estimates/estimates.ts', import.meta.url).href)};
      console.log(await openEstimates().estimateTokens('hello world', 11, 'gpt-5'));`;
    const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 20_000,
      encoding: 'utf8',
    });
    assert.deepEqual([status, stdout.trim()], [0, '2']);
  });
});
