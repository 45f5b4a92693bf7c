// What was spent, and whether the sums agree with the entries, in the words of the contract.
import { z } from 'zod';

import { cursorIs, filter, page, shownUsd, span } from './fields.ts';
import { CSV, type Route } from './route.ts';

export const SPEND_GROUPS = ['key', 'team', 'user', 'model', 'endpoint', 'tag', 'day', 'hour'] as const;

const sums = {
  exchanges: z.number(),
  measured_usd: shownUsd.describe('What the upstream reported, at known prices.'),
  estimated_usd: shownUsd.describe('What was counted here, where the upstream reported nothing.'),
  partial: z.number().describe('Exchanges of which a part of the cost is unknown.'),
  pending: z.number().describe('Exchanges whose cost is known later.'),
  unpriced: z.number().describe('Exchanges whose cost is unknown, which is not 0.'),
  free: z.number(),
  tokens_in: z.number(),
  tokens_out: z.number(),
};
const group = z.string().nullable().optional();

export const spendRow = z.object({
  key_id: group.describe('Groups that were asked for; null is none.'),
  key_name: group.describe('Beside each id what it is called, also where it was deleted.'),
  team_id: group,
  team_name: group,
  user_id: group,
  user_name: group,
  model: group,
  endpoint: group,
  tag: group.describe('Null is the row of what has no tag; what has several is in the row of each.'),
  day: group.describe('Such as `2026-11-24`, UTC.'),
  hour: group.describe('Its beginning, such as `2026-11-24T10:00:00Z`.'),
  ...sums,
});

const spendQuery = z.strictObject({
  group_by: z
    .string()
    .refine(
      (text) => text.split(',').every((each) => SPEND_GROUPS.some((group) => group === each)),
      `write one or more of ${SPEND_GROUPS.join(',')}, divided by commas`,
    )
    .optional()
    .describe(`One or more of ${SPEND_GROUPS.map((each) => `\`${each}\``).join(', ')}, divided by commas.`),
  from: span.from.describe('A day or a time, inclusive; without it, thirty days before `to`. Whole hours are counted.'),
  to: span.to.describe('A day or a time, exclusive; without it, now.'),
  key_id: filter('a key by its id'),
  team_id: filter('a team by its id'),
  user_id: filter('a user by its id'),
  model: filter('a model'),
  endpoint: filter('a path template, such as /v1/chat/completions'),
  tag: filter('a tag'),
  limit: page.limit.describe(
    'How many rows at most; without it all, where they are no more than 100,000. The totals are those of all rows.',
  ),
  cursor: cursorIs(/^\d{1,9}$/),
  format: z
    .enum(['json', 'csv', 'focus'], 'write json, csv or focus')
    .optional()
    .describe(
      '`csv`: all rows with a header, and no totals. `focus`: the same in the columns of FOCUS 1.2, by days; or by hours, where `group_by` is `hour`.',
    ),
});

const COUNT = 'whole pico-dollars, or tokens';
const drift = z.object({
  entries: z.number().describe('How many were summed.'),
  lost: z
    .number()
    .describe(
      'Exchanges whose records the data dir has lost. The sums still have them, and nothing is set right then.',
    ),
  window_count: z.number(),
  rollup_count: z.number(),
  windows: z
    .array(
      z.object({
        budget_id: z.string(),
        account: z.string(),
        window_start: z.string(),
        amount: z.string().describe(`What the entries say more than the window: ${COUNT}.`),
      }),
    )
    .describe('Windows of budgets that are not the sums of their entries: the first hundred.'),
  rollups: z
    .array(
      z.object({
        grain: z.string(),
        at: z.string(),
        team_id: z.string(),
        key_id: z.string(),
        user_id: z.string(),
        model: z.string(),
        endpoint: z.string(),
        tag: z.string(),
        ...sums,
      }),
    )
    .describe('The same of the sums that reports are made of.'),
});

export const ledgerRoutes = {
  spend: {
    method: 'GET',
    path: '/admin/v1/spend',
    summary: 'Who spent what: measured, estimated, pending and unpriced are kept apart.',
    access: 'see_team',
    query: spendQuery,
    status: 200,
    answer: z.object({
      from: z.string(),
      to: z.string(),
      data: z.array(spendRow),
      next_cursor: z.string().nullable().describe('Null on the last page.'),
      totals: z.object(sums).describe('Each exchange once, also where tags are asked for.'),
    }),
    otherType: CSV,
  },
  findDrift: {
    method: 'GET',
    path: '/admin/v1/ledger/drift',
    summary: 'Sums all entries, and says where budgets and reports do not agree with them.',
    access: 'own',
    status: 200,
    answer: drift,
  },
  mendLedger: {
    method: 'POST',
    path: '/admin/v1/ledger/mend',
    summary:
      'The same, and sets right what does not agree. On PostgreSQL it first enters again what this replica had entered and the database has lost.',
    access: 'own',
    status: 200,
    answer: drift,
  },
} as const satisfies Record<string, Route>;
