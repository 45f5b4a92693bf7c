// Tokens are counted in a thread of their own, where nobody reported them; whatever the text, an estimate comes, and soon.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';

import { type Estimates, openEstimates, sampleOf } from '../src/estimates/estimates.ts';
import { tokensOfImage } from '../src/estimates/image-tokens.ts';

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
    assertNear(input!, 630 + 2 + 6, 2);
  });

  test('counts an image as its model reads it: in tiles or patches, by the size that its own bytes tell', async () => {
    const png = (width: number, height: number) => {
      const bytes = Buffer.alloc(3000);
      bytes.write('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 0, 'latin1');
      bytes.writeUInt32BE(width, 16);
      bytes.writeUInt32BE(height, 20);
      return `data:image/png;base64,${bytes.toString('base64')}`;
    };
    // As OpenAI works them out: 4 tiles; 6 tiles; 1024 patches; 1452 of 1536 patches.
    const cases = [
      ['gpt-4o', 1024, 1024, 'high', 85 + 4 * 170],
      ['gpt-4o', 2048, 4096, null, 85 + 6 * 170],
      ['gpt-4o', 4096, 8192, 'low', 85],
      ['gpt-4o-mini', 512, 512, 'auto', 2833 + 5667],
      ['o3', 512, 512, 'high', 75 + 150],
      ['gpt-4.1-mini', 1024, 1024, 'high', Math.ceil(1024 * 1.62)],
      ['o4-mini', 1800, 2400, 'high', Math.ceil(1452 * 1.72)],
      ['gpt-6-luna', 1024, 1024, 'high', Math.ceil(1024 * 1.2)],
      ['gpt-6-luna', 3200, 3200, 'original', 12_000],
      ['gpt-6-luna', 3200, 3200, 'low', Math.ceil(256 * 1.2)],
    ] as const;
    for (const [model, width, height, detail, expected] of cases) {
      const url = png(width, height);
      const told = detail === null ? {} : { detail };
      const chat = { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url, ...told } }] }] };
      const response = { input: [{ role: 'user', content: [{ type: 'input_image', image_url: url, ...told }] }] };
      for (const body of [chat, response])
        assert.equal((await usageOf(body, '', model))['input_text'], expected + 6, `${model} ${width} x ${height}`);
    }
  });

  test('finds the size of an image in any format, and takes a usual one where there is none', () => {
    const url = (bytes: Buffer) => `data:image/any;base64,${bytes.toString('base64')}`;
    const gif = Buffer.from('GIF89a\0\x08\0\x10\0\0\0\0', 'latin1');
    const jpeg = Buffer.alloc(5000);
    jpeg.set([0xff, 0xd8, 0xff, 0xe1, 0x0f, 0xfe]);
    jpeg.set([0xff, 0xc2, 0, 17, 8, 0x10, 0, 0x08, 0], 2 + 2 + 0x0ffe);
    const webp = (kind: string, at: number, ...bytes: readonly number[]) => {
      const file = Buffer.alloc(64);
      file.write(`RIFF\0\0\0\0WEBP${kind}`, 0, 'latin1');
      file.set(bytes, at);
      return file;
    };
    // All of them 2048 x 4096.
    const images = [
      gif,
      jpeg,
      webp('VP8 ', 26, 0, 0x08, 0, 0x10),
      webp('VP8L', 21, 0xff, 0xc7, 0xff, 0x03),
      webp('VP8X', 24, 0xff, 0x07, 0, 0xff, 0x0f, 0),
    ];
    for (const bytes of images)
      assert.equal(tokensOfImage({ dataUrl: url(bytes), detail: null }, 'gpt-4o'), 85 + 6 * 170);
    for (const dataUrl of [null, 'data:image/svg+xml,<svg/>', url(Buffer.alloc(9)), url(jpeg.subarray(0, 2000))])
      assert.equal(tokensOfImage({ dataUrl, detail: null }, 'gpt-4o'), 765);
  });

  test('counts images of a body that was not kept whole by what is there of them', async () => {
    const bytes = Buffer.alloc(90_000);
    bytes.write('\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x08\0\0\0\x10\0', 0, 'latin1');
    const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${bytes.toString('base64')}` } };
    const { input_text: input } = await usageOf({ messages: [{ role: 'user', content: [image] }] }, '', 'gpt-4o');
    assertNear(input!, 85 + 6 * 170 + 6, 1);
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
