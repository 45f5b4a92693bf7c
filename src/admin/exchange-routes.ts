// Records of exchanges, in the words of the contract.
import { z } from 'zod';

import { cursorIs, filter, page, pageOf, span, wholeNumber } from './fields.ts';
import type { Route } from './route.ts';

const COST_STATES = ['priced', 'free', 'estimated', 'partial', 'pending', 'unpriced'] as const;

/** A record as any sink gets it: domain/exchange-record.ts tells what each field means. */
export const exchangeSchema = z.object({
  v: z.literal(1),
  id: z.string(),
  kind: z.enum(['exchange', 'turn']),
  parent_id: z.string().nullable(),
  at: z.string(),
  method: z.string(),
  path: z.string(),
  endpoint: z.string().nullable(),
  team_id: z.string().nullable(),
  key_id: z.string().nullable(),
  user_id: z.string().nullable().describe('Whom the key was given to.'),
  end_user: z.string().nullable().describe('As the client names the person it serves.'),
  model_requested: z.string().nullable(),
  model_served: z.string().nullable(),
  transport: z.enum(['json', 'sse', 'ws', 'multipart', 'binary']).nullable(),
  status: z.number().nullable(),
  ending: z.string().nullable().describe('How it stopped; null where the gateway refused it.'),
  refusal: z.string().nullable().describe('The code of the gateway’s own no.'),
  timings_us: z.object({
    admitted: z.number().nullable(),
    connected: z.number().nullable(),
    first_byte: z.number().nullable(),
    total: z.number(),
  }),
  bytes: z.object({ in: z.number(), out: z.number() }),
  usage: z.object({
    source: z.string(),
    readings: z.unknown(),
    raw: z.unknown(),
    reasoning_margin: z.number().optional(),
  }),
  cost: z.object({
    state: z.string(),
    pico_usd: z.string().nullable().describe('Whole pico-dollars; null where the cost is unknown, or not known yet.'),
    usd: z.string().nullable(),
    lines: z.array(z.unknown()),
    price_version: z.string().nullable(),
    confidence: z.string().nullable(),
    why: z.string().nullable(),
  }),
  attempts: z.array(
    z.object({
      origin: z.string(),
      credential: z.string(),
      status: z.number().nullable(),
      error: z.string().nullable(),
      total_us: z.number().nullable(),
    }),
  ),
  objects: z.array(z.unknown()),
  error: z.object({ origin: z.string(), code: z.string(), message: z.string() }).nullable(),
  tags: z.array(z.string()),
  upstream_request_id: z.string().nullable(),
  client_request_id: z.string().nullable(),
  run: z
    .object({
      id: z.string(),
      assistant_id: z.string(),
      thread_id: z.string(),
      turn: z.number().describe('From 1.'),
      rerun: z.boolean().describe('Whether the turn was made before and broke.'),
    })
    .optional()
    .describe('What a run of the Assistants API made the exchange for; absent in all others.'),
});

const exchangeQuery = z.strictObject({
  ...page,
  cursor: cursorIs(/^\d{1,15}$/),
  order: z
    .enum(['desc', 'asc'], 'write desc for the newest first, or asc for the oldest')
    .optional()
    .describe(
      '`desc`, the default: newest first. `asc`: in the order of writing, after the cursor; its `next_cursor` is never null, so that a reader can come again.',
    ),
  team_id: filter('a team by its id'),
  key_id: filter('a key by its id'),
  user_id: filter('a user by its id'),
  tag: filter('a tag'),
  cost_state: z
    .enum(COST_STATES, `write one of ${COST_STATES.join(', ')}`)
    .optional()
    .describe('Such as `unpriced`.'),
  endpoint: filter('a path template, such as /v1/chat/completions').describe(
    'A path template, such as `/v1/chat/completions`.',
  ),
  model: filter('a model').describe('The model as the client asked for it.'),
  status: wholeNumber('write an HTTP status, such as 200', /^[1-5]\d\d$/).optional(),
  ...span,
});

const exchangePage = pageOf(exchangeSchema).extend({
  latest_cursor: z
    .string()
    .describe('The place of the newest record: with `order=asc` and this cursor come those written later.'),
});

export const exchangeRoutes = {
  listExchanges: {
    method: 'GET',
    path: '/admin/v1/exchanges',
    summary: 'Records of exchanges.',
    access: 'see_team',
    query: exchangeQuery,
    status: 200,
    answer: exchangePage,
  },
  findExchange: {
    method: 'GET',
    path: '/admin/v1/exchanges/{id}',
    summary: 'The record of one exchange.',
    access: 'see_team',
    status: 200,
    answer: exchangeSchema,
  },
} as const satisfies Record<string, Route>;
