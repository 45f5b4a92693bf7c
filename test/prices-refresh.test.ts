// Reading prices from pages, whatever they look like: what is read, what is told, and what is not applied.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { buildPrices } from '../src/openai/prices.ts';
import { planRefresh } from '../src/prices/prices.ts';
import { NOW, pricesWith, query, shipped, usd } from './support/prices.ts';

const page = readFileSync(new URL('fixtures/openai-pricing.md', import.meta.url), 'utf8');
const listed = pricesWith();

const plan = (text: string, name = 'pricing.md', prices = listed) =>
  planRefresh({ documents: [{ name, text }], url: 'https://example.com/pricing', listed: prices, now: NOW });

const told = (text: string, name?: string) =>
  plan(text, name).differences.map(({ of, what, before, after }) => `${of} ${what} ${before} ${after}`);

/** The prices that a plan would put in force. */
function after({ book }: ReturnType<typeof plan>) {
  assert.ok(book);
  return buildPrices({ shipped, refreshed: book, overrides: null, contracts: null });
}

describe("OpenAI's pages", () => {
  test('say what the shipped book says, and nothing is left unread', () => {
    const { differences, unread, missing, doubts, models, rates } = plan(page);
    assert.deepEqual([differences, unread, missing, doubts], [[], [], [], []]);
    assert.ok(models > 30 && rates > 150, `${models} models, ${rates} rates`);
  });

  test('bring a new rate in force from now on, and never before', () => {
    const planned = plan(page.replace('| gpt-6-sol | $2.00', '| gpt-6-sol | $1.60'));
    assert.deepEqual(
      planned.differences.map(({ of, what, changePercent }) => [of, what, changePercent]),
      [['gpt-6-sol', 'input_text', -20]],
    );
    assert.deepEqual(planned.doubts, []);
    const prices = after(planned);
    assert.equal(usd(prices, query('gpt-6-sol', { input_text: 1_000_000 }, { isSum: true })), '1.6');
    assert.equal(usd(prices, query('gpt-6-sol', { input_text: 1_000_000 }, { isSum: true, at: NOW - 1 })), '2');
    // Long context stays a factor on the new rate.
    assert.equal(usd(prices, query('gpt-6-sol', { input_text: 1_000_000 })), '3.2');
    assert.deepEqual(
      plan(page.replace('| gpt-6-sol | $2.00', '| gpt-6-sol | $1.60'), 'pricing.md', prices).differences,
      [],
    );
  });

  test('a new standard rate leaves the rates of a tier as they were', () => {
    const planned = plan(`# Pricing\n\n| Model | Input | Output |\n|---|---|---|\n| gpt-4.1 | $1.90 | $8.00 |\n`);
    const prices = after(planned);
    assert.equal(usd(prices, query('gpt-4.1', { input_text: 1_000_000 })), '1.9');
    assert.equal(usd(prices, query('gpt-4.1', { input_text: 1_000_000 }, { serviceTier: 'priority' })), '3.5');
  });

  test('bring rates of long context, of a tier and of a tool', () => {
    const planned = plan(
      page
        .replace('(>272K input tokens) | $10.00', '(>272K input tokens) | $11.00')
        .replace('| $12.50 | $1.25 | $75.00', '| $12.00 | $1.25 | $75.00')
        .replace('$10.00 / 1k calls', '$12.00 / 1k calls'),
    );
    const prices = after(planned);
    assert.equal(usd(prices, query('gpt-5.5', { input_text: 1_000_000 })), '11');
    assert.equal(usd(prices, query('gpt-5.5', { input_text: 300_000, input_text_cached: 1_000_000 })), '4.3');
    assert.equal(usd(prices, query('gpt-5.5', { input_text: 100_000 }, { serviceTier: 'fast' })), '1.2');
    assert.equal(usd(prices, query('gpt-5.5', { web_search_calls: 1000 })), '12');
  });

  test('bring rates of containers by begun minutes, five at least, as before', () => {
    const planned = plan(page.replace('$0.12 / 20 minutes', '$0.16 / 20 minutes'));
    assert.deepEqual(
      planned.differences.map(({ of, what, before, after, per }) => [of, what, before, after, per]),
      [['tools', 'container_4g_seconds', '0.12', '0.16', '1200']],
    );
    assert.deepEqual(planned.doubts, []);
    const prices = after(planned);
    const cost = (ms: number) => usd(prices, query(null, { container_4g_seconds: ms }));
    assert.deepEqual([cost(1), cost(361_000), cost(1_200_000)], ['0.04', '0.056', '0.16']);
    assert.equal(usd(prices, query(null, { container_1g_seconds: 1_200_000 })), '0.03');
    assert.equal(usd(prices, query(null, { container_4g_seconds: 1_200_000 }, { at: NOW - 1 })), '0.12');
  });

  test('bring rates of live sessions, active and on standby, for whatever model', () => {
    const planned = plan(page.replace('$0.05 / minute | $0.02 / minute', '$0.06 / minute | $0.015 / minute'));
    const prices = after(planned);
    assert.deepEqual(planned.doubts, []);
    const minutes = { live_active_seconds: 60_000, live_standby_seconds: 120_000 };
    assert.equal(usd(prices, query('gpt-live', minutes)), '0.09');
  });

  test('bring rates of videos by the second, each size for itself', () => {
    const planned = plan(
      page.replace('1792x1024 | $0.50', '1792x1024 | $0.60').replace('1280x720 | $0.10', '1280x720 | $0.08'),
    );
    assert.deepEqual(
      planned.differences.map(({ of, what, changePercent }) => [of, what, changePercent]),
      [
        ['sora-2', 'video_seconds 720x1280', -20],
        ['sora-2', 'video_seconds 1280x720', -20],
        ['sora-2-pro', 'video_seconds 1024x1792', 20],
        ['sora-2-pro', 'video_seconds 1792x1024', 20],
      ],
    );
    const prices = after(planned);
    const four = (model: string, variant: string) =>
      usd(prices, query(model, {}, { readings: [{ meter: 'video_seconds', quantity: 4000n, variant }] }));
    assert.deepEqual([four('sora-2', '1280x720'), four('sora-2', '1x1')], ['0.32', '0.4']);
    assert.deepEqual([four('sora-2-pro', '1792x1024'), four('sora-2-pro', '1280x720')], ['2.4', '1.2']);
    assert.equal(four('sora-2-pro', '1920x1080'), '2.8', 'what the page does not say stays');
  });

  test('bring rates of training, and of what was trained, which are not those of the model itself', () => {
    const planned = plan(
      page
        .replace('| gpt-4.1-2025-04-14 | $25.00 | $3.00', '| gpt-4.1-2025-04-14 | $20.00 | $2.80')
        .replace('$100.00 / hour', '$120.00 / hour'),
    );
    assert.deepEqual(
      planned.differences.map(({ of, what, before, after }) => `${of} ${what} ${before} ${after}`),
      ['gpt-4.1 training 25 20', 'ft:gpt-4.1 input_text 3 2.8', 'o4-mini reinforcement_seconds 100 120'],
    );
    const prices = after(planned);
    const MILLION = 1_000_000;
    assert.equal(usd(prices, query('gpt-4.1', { training: MILLION, input_text: MILLION })), '22');
    assert.equal(
      usd(prices, query('ft:gpt-4.1-2025-04-14:org::id', { input_text: MILLION, output_text: MILLION })),
      '14.8',
    );
    assert.equal(usd(prices, query('o4-mini-2025-04-16', { reinforcement_seconds: 5_400_000 })), '180');
    assert.equal(usd(prices, query('gpt-4.1', { input_text: MILLION }, { serviceTier: 'priority' })), '3.5');
  });

  test('bring a model that nobody knew', () => {
    const planned = plan(page.replace('| gpt-6-astra |', '| gpt-7 | $3.00 | $0.30 | — | — | $9.00 |\n| gpt-6-astra |'));
    assert.deepEqual(planned.doubts, []);
    assert.equal(usd(listed, query('gpt-7', { input_text: 1 })), 'unpriced null unknown_model');
    assert.equal(usd(after(planned), query('gpt-7', { input_text: 1_000_000, output_text: 1_000_000 })), '12');
  });

  test('a batch that is not at its factor is told, and left to the operator', () => {
    const { doubts } = plan(page.replace('| $0.50 | $2.50 |', '| $0.50 | $3.00 |'));
    assert.match(doubts.join('\n'), /batches of gpt-6.1-terra .*prices\.overrides/);
  });

  for (const [story, from, to, doubt] of [
    [
      'a change of 50 % and more',
      '| gpt-6-sol | $2.00',
      '| gpt-6-sol | $1.00',
      /input_text of gpt-6-sol changes from 2 to 1, by -50 %/,
    ],
    [
      'a rate ten times as high',
      '$0.125 | $0.25 | $0.50',
      '$0.125 | $0.25 | $5.00',
      /output_text of gpt-6-luna .* by 900 %/,
    ],
    [
      'a rate that is gone',
      '| gpt-6-sol | $2.00 | $0.20 |',
      '| gpt-6-sol | $2.00 | — |',
      /input_text_cached of gpt-6-sol changes from 0.2 to none/,
    ],
    ['a model that is gone', /\| gpt-6-sol .*\n/, '', /not on the pages: gpt-6-sol/],
    ['a price in words', '| gpt-6-sol | $2.00', '| gpt-6-sol | from $2.00 on', /not understood/],
    ['an unknown unit', '$0.006 / minute', '$0.006 / megapixel', /not understood/],
    ['a column that says nothing', '| Model | Input | Output |', '| Model | Alpha | Output |', /not understood/],
    [
      'two rates for one thing',
      '| gpt-6-sol | $2.00',
      '| gpt-6-sol | $1.90 | | | | |\n| gpt-6-sol | $2.00',
      /not understood/,
    ],
    ['rows without models', '| gpt-6-sol | $2.00', '| The small one! | $2.00', /not understood/],
  ] as const) {
    test(`are not applied without force where they have ${story}`, () => {
      const changed = page.replace(from, to);
      assert.notEqual(changed, page);
      assert.match(plan(changed).doubts.join('\n'), doubt);
    });
  }

  for (const [story, text] of [
    ['an empty page', ''],
    ['a page of something else', '# Not found\n\nTry again later.\n'],
    ['a page cut off in the middle', page.slice(0, 900)],
    ['HTML without tables', '<html><body><p>Sign in</p></body></html>'],
  ] as const) {
    test(`nothing is applied from ${story}`, () => assert.notDeepEqual(plan(text).doubts, []));
  }
});

describe('other layouts', () => {
  const SOL = 'gpt-6-sol input_text 2 1.5';
  for (const [story, text, name] of [
    ['tables without outer bars', 'Model | Input | Output\n--- | --- | ---\ngpt-6-sol | $1.50 | $10.00\n'],
    ['tables without a divider', '| Model | Input | Output |\n| gpt-6-sol | 1.50 | 10.00 |\n'],
    [
      'columns in another order',
      '| Output price | Notes | Model name | Input price |\n|--|--|--|--|\n| $10 | new | **gpt-6-sol** | $1.5 |\n',
    ],
    [
      'a header in two rows',
      '| | Short context | | Long context | |\n|--|--|--|--|--|\n| Model | Input | Output | Input | Output |\n| gpt-6-sol | $1.50 | $10 | $4 | $15 |\n',
    ],
    [
      'tables of HTML',
      '<table><tr><th>Model</th><th>Input</th></tr><tr><td><a href="x">gpt-6-sol</a></td><td>$1.50 <sup>1</sup></td></tr></table>',
    ],
    ['amounts with their unit', '| Model | Input |\n|--|--|\n| gpt-6-sol | $1.50 / 1M tokens |\n'],
    ['CRLF at the ends of lines', '| Model | Input |\r\n|--|--|\r\n| gpt-6-sol | $1.50 |\r\n'],
    [
      'the page of one model, as a table',
      '# gpt-6-sol\n\n| Tokens | Price |\n|--|--|\n| Input | $1.50 |\n| Output | $10.00 |\n',
      'https://x/api/docs/models/gpt-6-sol.md',
    ],
    [
      'the page of one model, as lines',
      '# gpt-6-sol\n\n- **Input**: $1.50\n- **Output**: $10.00\n',
      'models/gpt-6-sol.md',
    ],
    [
      'tabs in place of headings',
      '**Batch**\n\n| Model | Input |\n|--|--|\n| gpt-6-sol | $1.00 |\n\n<Tab label="Standard">\n\n| Model | Input |\n|--|--|\n| gpt-6-sol | $1.50 |\n',
    ],
  ] as readonly (readonly [string, string, string?])[]) {
    test(`are read: ${story}`, () => {
      const found = told(text, name).filter((each) => !each.includes(' batch '));
      assert.ok(found.includes(SOL), found.join('\n'));
      assert.deepEqual(plan(text, name).unread, []);
    });
  }

  test('long context, batches and tiers keep their own places', () => {
    const text =
      '| | Short context | | Long context | |\n|--|--|--|--|--|\n| Model | Input | Output | Input | Output |\n| gpt-6-sol | $2 | $10 | $5 | $15 |\n';
    assert.deepEqual(told(text), ['gpt-6-sol long input_text 4 5']);
    assert.deepEqual(told(`## Flex\n\n| Model | Input |\n|--|--|\n| gpt-6-sol | $1.10 |\n`), [
      'gpt-6-sol tier flex input_text 1 1.1',
    ]);
  });
});

describe('collections of others', () => {
  const litellm = JSON.stringify({
    sample_spec: { litellm_provider: 'one of', input_cost_per_token: 0 },
    'gpt-6-sol': {
      litellm_provider: 'openai',
      input_cost_per_token: 2e-6,
      output_cost_per_token: 1.1e-5,
      cache_read_input_token_cost: 2.0000000000000002e-7,
      input_cost_per_token_above_272k_tokens: 4e-6,
    },
    'azure/gpt-6-sol': { litellm_provider: 'azure', input_cost_per_token: 1 },
    'gpt-unheard-of': { litellm_provider: 'openai', input_cost_per_token: 1e-6 },
  });
  const genai = JSON.stringify([
    {
      id: 'openai',
      models: [
        {
          id: 'gpt-6-sol',
          prices: [
            { prices: { input_mtok: 9 } },
            { prices: { input_mtok: { base: 2, tiers: [] }, output_mtok: 10.5 } },
          ],
        },
      ],
    },
  ]);

  test("LiteLLM's is compared with, rate by rate, and never applied", () => {
    const planned = plan(litellm, 'model_prices.json');
    assert.equal(planned.source, 'litellm');
    assert.deepEqual(told(litellm), ['gpt-6-sol output_text 10 11']);
    assert.equal(planned.book, null);
  });

  test("so is genai-prices', at its latest rates", () => {
    assert.equal(plan(genai).source, 'genai');
    assert.deepEqual(told(genai), ['gpt-6-sol output_text 10 10.5']);
  });

  test('JSON of another kind is refused', () => {
    assert.throws(() => plan('{"hello":"world"}', 'x.json'), /x\.json is JSON, but neither/);
  });
});
