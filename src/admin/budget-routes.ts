// Budgets, in the words of the contract.
import { z } from 'zod';

import { at, changes, cursorIs, deleted, filter, moment, named, page, pageOf, shownUsd, usd } from './fields.ts';
import type { Route } from './route.ts';

const SCOPES = ['key', 'team', 'user', 'end_user', 'model', 'tag', 'global'] as const;
const scope = z.enum(SCOPES, `write one of ${SCOPES.join(', ')}`);
const WINDOWS = ['total', 'minute', 'hour', 'day', 'week', 'month'] as const;
const window = z.enum(WINDOWS, `write one of ${WINDOWS.join(', ')}`);
const kind = z.enum(['hard', 'soft'], 'write hard or soft');

export const budgetSchema = z.object({
  id: z.string(),
  scope,
  key_id: z.string().nullable(),
  team_id: z.string().nullable(),
  user_id: z.string().nullable(),
  model: z.string().nullable(),
  tag: z.string().nullable(),
  limit_usd: shownUsd.nullable(),
  limit_tokens: z.number().nullable(),
  window,
  rolling: z
    .boolean()
    .describe('The window reaches back from now, instead of beginning with the hour, day, Monday or first.'),
  time_zone: z.string(),
  kind: kind.describe('A hard budget refuses; a soft one only tells.'),
  counts_estimates: z.boolean(),
  thresholds: z.array(z.number()).describe('Percentages at which it tells.'),
  increase: z
    .object({ usd: shownUsd.nullable(), tokens: z.number().nullable(), until: moment })
    .nullable()
    .describe('On top of the limit until then.'),
  spent_usd: shownUsd.nullable().describe('In the window that runs; null in a budget of tokens.'),
  held_usd: shownUsd.nullable().describe('Set aside for exchanges that run.'),
  spent_tokens: z.number().nullable().describe('Null in a budget of money.'),
  held_tokens: z.number().nullable(),
  resets_at: z.string().nullable().describe('Null where it never begins anew, or does little by little.'),
  created_at: moment,
});

const tokens = z.int('write a whole number of tokens').min(0, 'write 0 or more');
const increase = z
  .strictObject(
    { usd: usd.nullable().optional(), tokens: tokens.nullable().optional(), until: at },
    'write an object, such as {"usd":"10","until":"2027-01-31T00:00:00Z"}, or null',
  )
  .nullable()
  .optional()
  .describe('On top of the limit until a time; null takes it away.');

const changeable = {
  limit_usd: usd.nullable().optional().describe('US dollars, such as `"0.50"`.'),
  limit_tokens: tokens.nullable().optional().describe('Tokens, in place of money.'),
  kind: kind.optional().describe('`hard`, the default, refuses; `soft` only tells.'),
  counts_estimates: z
    .boolean('write true or false')
    .optional()
    .describe('Whether estimated cost counts: `true` by default.'),
  thresholds: z
    .array(z.number('write a percentage, such as 80'), 'write a list of percentages, such as [50,80,100]')
    .optional()
    .describe('Percentages at which it tells: 50, 80 and 100 by default.'),
  increase,
};

const fixed = {
  window: window.optional().describe('`total`, the default, never begins anew.'),
  rolling: z.boolean('write true or false').optional(),
  time_zone: named('an IANA name, such as Europe/Berlin')
    .optional()
    .describe('Where calendar windows begin: `UTC` by default.'),
  model: named('a model or a pattern').nullable().optional().describe('In the scope `model`.'),
  tag: named('a tag').nullable().optional().describe('In the scope `tag`.'),
};

/** One that is made together with what it binds. */
export const inlineBudget = z.strictObject(
  {
    scope: z
      .enum(['key', 'team', 'end_user', 'model', 'tag'], 'write end_user, model or tag, or leave it out')
      .optional()
      .describe('What it counts, of what it is made with: all, each end user, a model, or a tag.'),
    ...fixed,
    ...changeable,
  },
  'write a JSON object, such as {"limit_usd":"5","window":"day"}',
);

const newBudgetSchema = z.strictObject(
  {
    scope: scope.optional().describe('Told by what is named, but for `end_user` and `global`.'),
    key_id: named('a key by its id').nullable().optional(),
    team_id: named('a team by its id').nullable().optional(),
    user_id: named('a user by its id').nullable().optional(),
    ...fixed,
    ...changeable,
  },
  'write a JSON object, such as {"key_id":"key_...","limit_usd":"5","window":"day"}',
);

const PATH = '/admin/v1/budgets';

export const budgetRoutes = {
  createBudget: {
    method: 'POST',
    path: PATH,
    summary: 'Makes a budget. A team_admin makes those of its team’s keys.',
    access: 'change_team',
    body: newBudgetSchema,
    status: 201,
    answer: budgetSchema,
  },
  listBudgets: {
    method: 'GET',
    path: PATH,
    summary: 'Budgets with what is spent and set aside, newest first.',
    access: 'see_team',
    query: z.strictObject({
      ...page,
      cursor: cursorIs(/^budget_\w{1,40}$/),
      scope: scope.optional(),
      key_id: filter('a key by its id'),
      team_id: filter('a team by its id').describe('Budgets that name this team.'),
      user_id: filter('a user by its id'),
    }),
    status: 200,
    answer: pageOf(budgetSchema),
  },
  findBudget: {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'One budget.',
    access: 'see_team',
    status: 200,
    answer: budgetSchema,
  },
  updateBudget: {
    method: 'PATCH',
    path: `${PATH}/{id}`,
    summary: 'Changes a budget: what it binds, its window and its unit stay.',
    access: 'change_team',
    body: changes(changeable),
    status: 200,
    answer: budgetSchema,
  },
  deleteBudget: {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'Deletes a budget: it binds nothing more.',
    access: 'change_team',
    status: 200,
    answer: deleted,
  },
} as const satisfies Record<string, Route>;
