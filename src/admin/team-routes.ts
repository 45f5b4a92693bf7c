// Teams, in the words of the contract.
import { z } from 'zod';

import { budgetSchema, inlineBudget } from './budget-routes.ts';
import {
  capture,
  changes,
  cursorIs,
  deleted,
  endpoints,
  limits,
  metadata,
  models,
  moment,
  name,
  page,
  pageOf,
  tags,
  writtenLimits,
} from './fields.ts';
import type { Route } from './route.ts';

export const teamSchema = z.object({
  id: z.string(),
  name: z.string(),
  models: z.array(z.string()),
  endpoints: z.array(z.string()),
  limits,
  budgets: z.array(budgetSchema).describe('Those that name the team.'),
  capture: z.string(),
  tags: z.array(z.string()),
  metadata: z.record(z.string(), z.unknown()),
  status: z.enum(['active', 'suspended', 'deleted']),
  created_at: moment,
});

const settable = {
  models: models.optional().describe('Models or patterns that its keys may call; `*`, the default, is all.'),
  endpoints: endpoints
    .optional()
    .describe('Groups or paths of endpoints that its keys may call; `*`, the default, is all but `admin`.'),
  limits: writtenLimits.optional().describe('For all its keys together. What is left out is unlimited, or stays.'),
  capture: capture.optional(),
  tags: tags.optional(),
  metadata: metadata.optional(),
};

const newTeamSchema = z.strictObject(
  {
    name: name.describe('Unique among teams.'),
    ...settable,
    budgets: z
      .array(inlineBudget, 'write a list of budgets, such as [{"limit_usd":"50","window":"month"}]')
      .max(20, 'give at most 20')
      .optional()
      .describe('Made together with the team, or nothing is.'),
  },
  'write a JSON object, such as {"name":"web"}',
);

const PATH = '/admin/v1/teams';

export const teamRoutes = {
  createTeam: {
    method: 'POST',
    path: PATH,
    summary: 'Makes a team.',
    access: 'change',
    body: newTeamSchema,
    status: 201,
    answer: teamSchema,
  },
  listTeams: {
    method: 'GET',
    path: PATH,
    summary: 'Teams, newest first.',
    access: 'see_team',
    query: z.strictObject({
      ...page,
      cursor: cursorIs(/^team_\w{1,40}$/),
      status: z
        .enum(['active', 'suspended', 'deleted'], 'write active, suspended or deleted')
        .optional()
        .describe('Without it, all that were not deleted.'),
    }),
    status: 200,
    answer: pageOf(teamSchema),
  },
  findTeam: {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'One team, by its id or name.',
    access: 'see_team',
    status: 200,
    answer: teamSchema,
  },
  updateTeam: {
    method: 'PATCH',
    path: `${PATH}/{id}`,
    summary: 'Changes a team; what it may no longer, its keys may no longer. A team_admin changes its metadata only.',
    access: 'change_team',
    body: changes({ name: name.optional(), ...settable }),
    status: 200,
    answer: teamSchema,
  },
  deleteTeam: {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'Deletes a team; its keys never open anything again. Its history stays.',
    access: 'change',
    status: 200,
    answer: deleted,
  },
  suspendTeam: {
    method: 'POST',
    path: `${PATH}/{id}/suspend`,
    summary: 'The keys of a team open nothing until it is resumed.',
    access: 'change',
    status: 200,
    answer: teamSchema,
  },
  resumeTeam: {
    method: 'POST',
    path: `${PATH}/{id}/resume`,
    summary: 'The keys of a suspended team open again.',
    access: 'change',
    status: 200,
    answer: teamSchema,
  },
} as const satisfies Record<string, Route>;
