// Prices in force, what they make of an exchange, and how they change, in the words of the contract.
import { z } from 'zod';

import { at, dayOrTime, filter, shownUsd } from './fields.ts';
import type { Route } from './route.ts';

/** LiteLLM's collection has 1.6 MB. */
const DOCUMENTS_BYTES_MAX = 16 * 1024 * 1024;
const DOCUMENTS_MAX = 200;

const confidence = z.string().describe('`first_party`, `two_secondary`, `unconfirmed` or `operator`.');
const source = z
  .object({ name: z.string(), url: z.string(), checked_on: z.string() })
  .nullable()
  .describe('Where it was read and when; null where the row does not say.');
const rates = z.record(
  z.string(),
  z.object({
    usd: z.string().nullable(),
    per: z.string(),
    confidence,
    variants: z.record(z.string(), z.string()).optional(),
  }),
);

export const priceRow = z.object({
  model: z.string(),
  row: z.string().describe('The name or pattern in the price book that the model was found under.'),
  layer: z.enum(['shipped', 'refreshed', 'overrides', 'contracts']),
  tier: z.string().nullable(),
  host: z.string().nullable(),
  effective_from: z.string().nullable(),
  effective_to: z.string().nullable(),
  rates,
  long: z
    .object({
      above_input_tokens: z.number(),
      rates: rates.nullable(),
      input_factor: z.string().nullable(),
      output_factor: z.string().nullable(),
    })
    .nullable(),
  confidence,
  source,
  retires_on: z.string().nullable().describe('The day from which OpenAI answers it no more.'),
});

const finding = z.object({
  layer: z.string(),
  kind: z.string().describe('`stale`, `unconfirmed`, `gap`, `retired` or `shadowed`.'),
  of: z.string(),
  message: z.string(),
});

const documents = z
  .array(
    z.strictObject({
      name: z.string('write a name').min(1, 'write its file or URL').max(1000, 'write at most 1000 characters'),
      text: z.string('write the text of the page'),
    }),
    'write a list, such as [{"name":"pricing.md","text":"..."}]',
  )
  .min(1, 'give at least one page')
  .max(DOCUMENTS_MAX, `give at most ${DOCUMENTS_MAX}`)
  .describe(
    'OpenAI’s pages in Markdown, or one collection: LiteLLM’s JSON or that of genai-prices. The gateway itself fetches nothing.',
  );
const url = z.string().max(1000).optional().describe('Where the pages stand; kept as the source of what is read.');

const plan = z.object({
  source: z.enum(['openai', 'litellm', 'genai']),
  price_version: z.string().describe('In force now, after what was applied.'),
  rates: z.number().describe('How many were read.'),
  models: z.number(),
  differences: z.array(
    z.object({
      of: z.string().describe('A model, or `tools`.'),
      what: z.string(),
      before_usd: z.string().nullable(),
      after_usd: z.string().nullable(),
      per: z.string(),
      change_percent: z.number().nullable(),
    }),
  ),
  unread: z.array(z.string()).describe('What looks like a price and was not understood.'),
  missing: z.array(z.string()).describe('Models that have a price and do not stand on the pages.'),
  doubts: z.array(z.string()).describe('Why it is applied by force alone; empty where nothing speaks against it.'),
  applied: z.boolean(),
});

const line = z.object({
  model: z.string().optional(),
  meter: z.string(),
  quantity: z.string(),
  billed: z.string().optional(),
  rate: z.string(),
  per: z.string(),
  factors: z.array(z.object({ reason: z.string(), factor: z.string() })),
  pico_usd: z.string(),
});
const explained = z.object({
  state: z.string(),
  why: z.string().nullable(),
  pico_usd: z.string().nullable(),
  usd: z.string().nullable(),
  price_version: z.string().nullable(),
  lines: z.array(
    line.extend({
      usd: z.string(),
      text: z.string().describe('The line as a sum.'),
      layer: z.string().nullable(),
      row: z.string().nullable(),
      effective_from: z.string().nullable(),
      confidence: z.string().nullable(),
      source,
    }),
  ),
  reproduced: z
    .boolean()
    .nullable()
    .describe('Whether the prices of then give the same amount again; null where there is nothing to try it with.'),
  now: z
    .object({
      price_version: z.string(),
      state: z.string(),
      pico_usd: z.string().nullable(),
      usd: z.string().nullable(),
    })
    .nullable()
    .describe('What it would cost at the prices in force now.'),
});

export const priceRoutes = {
  listPrices: {
    method: 'GET',
    path: '/admin/v1/prices',
    summary: 'Prices in force, a row for each model.',
    access: 'any',
    query: z.strictObject({
      model: filter('a model, or a pattern with *').describe('A name, or a pattern with `*`.'),
      at: dayOrTime.describe('A day or a time; without it, now.'),
    }),
    status: 200,
    answer: z.object({ price_version: z.string(), at: z.string(), data: z.array(priceRow) }),
  },
  verifyPrices: {
    method: 'GET',
    path: '/admin/v1/prices/verify',
    summary: 'What is old, unconfirmed, missing or about to end in the price book.',
    access: 'see',
    status: 200,
    answer: z.object({
      price_version: z.string(),
      sound: z.boolean().describe('Nothing is stale, missing or shadowed.'),
      findings: z.array(finding),
    }),
  },
  listUnpriced: {
    method: 'GET',
    path: '/admin/v1/prices/unpriced',
    summary: 'Models and endpoints that were seen without a price, the last one first.',
    access: 'see',
    status: 200,
    answer: z.object({
      data: z.array(
        z.object({
          model: z.string().nullable(),
          endpoint: z.string(),
          reason: z.string(),
          exchanges: z.number(),
          first_seen_at: z.string(),
          last_seen_at: z.string(),
        }),
      ),
    }),
  },
  findPrice: {
    method: 'GET',
    path: '/admin/v1/prices/{id}',
    summary: 'All about the price of one model: what is in force, and every row that was and will be.',
    access: 'any',
    query: z.strictObject({ at: dayOrTime.describe('A day or a time; without it, now.') }),
    status: 200,
    answer: z.object({
      model: z.string(),
      price_version: z.string(),
      in_force: priceRow.nullable(),
      rows: z.array(priceRow).describe('Of all layers, the strongest first; within it, the latest.'),
      max_output_tokens: z.number().nullable(),
      retires_on: z.string().nullable(),
    }),
  },
  diffPrices: {
    method: 'POST',
    path: '/admin/v1/prices/diff',
    summary: 'Compares pages or a collection with the prices in force, rate by rate, and changes nothing.',
    access: 'see',
    body: z.strictObject({ documents, url }),
    bodyBytesMax: DOCUMENTS_BYTES_MAX,
    status: 200,
    answer: plan,
  },
  refreshPrices: {
    method: 'POST',
    path: '/admin/v1/prices/refresh',
    summary:
      'The same for OpenAI’s pages, and puts what differs in force from now on. What is incomplete or changes by 50 % and more is applied by force alone.',
    access: 'change',
    body: z.strictObject({ documents, url, force: z.boolean('write true or false').optional() }),
    bodyBytesMax: DOCUMENTS_BYTES_MAX,
    status: 200,
    answer: plan,
  },
  repriceEntries: {
    method: 'POST',
    path: '/admin/v1/prices/reprice',
    summary:
      'Works out what was entered in a span of time again at the prices in force now. Differences are entered beside it; nothing that stands is changed.',
    access: 'own',
    body: z.strictObject({
      from: at.describe('Inclusive.'),
      to: at.describe('Exclusive.'),
      dry_run: z
        .boolean('write true or false')
        .optional()
        .describe('`true`: says what would change, and enters nothing.'),
    }),
    status: 200,
    answer: z.object({
      dry_run: z.boolean(),
      price_version: z.string(),
      entries: z.number(),
      changed: z.number(),
      unchanged: z.number(),
      without_price: z.number().describe('Free, or not known yet.'),
      unpriced: z.number().describe('Without a price now as well.'),
      left: z.number().describe('Not worked out again, because what they were made from is not known.'),
      before_usd: shownUsd,
      after_usd: shownUsd,
      changes: z
        .array(
          z.object({
            settle_key: z.string(),
            exchange_id: z.string().nullable(),
            model: z.string().nullable(),
            at: z.string(),
            before_usd: z.string().nullable(),
            after_usd: z.string(),
          }),
        )
        .describe('The first hundred.'),
    }),
  },
  explainCost: {
    method: 'GET',
    path: '/admin/v1/exchanges/{id}/cost',
    summary: 'What an exchange cost and why: every line with its rate, and where that was read.',
    access: 'see_team',
    status: 200,
    answer: explained.extend({
      exchange_id: z.string(),
      at: z.string(),
      model: z.string().nullable(),
      endpoint: z.string().nullable(),
      total_usd: z.string().nullable().describe('With all that was entered for it later.'),
      entries: z
        .array(
          explained
            .omit({ reproduced: true, now: true, lines: true })
            .extend({ settle_key: z.string(), at: z.string() }),
        )
        .describe('What was entered for it later: work that it started, and corrections.'),
    }),
  },
} as const satisfies Record<string, Route>;
