// Users and their tokens for this API, in the words of the contract.
import { z } from 'zod';

import { budgetSchema } from './budget-routes.ts';
import {
  changes,
  cursorIs,
  deleted,
  filter,
  limits,
  metadata,
  moment,
  name,
  named,
  page,
  pageOf,
  writtenLimits,
} from './fields.ts';
import type { Route } from './route.ts';

const ROLES = ['owner', 'admin', 'viewer', 'team_admin', 'team_member'] as const;
const role = z.enum(ROLES, `write one of ${ROLES.join(', ')}`);

export const userSchema = z.object({
  id: z.string(),
  name: z.string(),
  role,
  team_id: z.string().nullable().describe('Of a team_admin or team_member; null for the others.'),
  limits: limits.describe('For all keys that name the user together. Null is unlimited.'),
  budgets: z.array(budgetSchema).describe('Those that name the user.'),
  metadata: z.record(z.string(), z.unknown()),
  status: z.enum(['active', 'suspended', 'deleted']),
  token_hint: z.string().nullable().describe('The last four characters of the token for this API; null without one.'),
  created_at: moment,
});

const settable = {
  team: named('a team’s id or name').nullable().optional().describe('Id or name, for a team_admin or team_member.'),
  team_id: named('a team’s id').nullable().optional().describe('The same, by id.'),
  limits: writtenLimits.optional(),
  metadata: metadata.optional(),
};

const PATH = '/admin/v1/users';

export const userRoutes = {
  createUser: {
    method: 'POST',
    path: PATH,
    summary: 'Makes a user. Nobody gives a role above their own; only an owner makes owners and admins.',
    access: 'change_team',
    body: z.strictObject(
      { name: name.describe('Unique among users: an address, or any other name.'), role, ...settable },
      'write a JSON object, such as {"name":"ann@example.com","role":"viewer"}',
    ),
    status: 201,
    answer: userSchema,
  },
  listUsers: {
    method: 'GET',
    path: PATH,
    summary: 'Users, newest first.',
    access: 'see_team',
    query: z.strictObject({
      ...page,
      cursor: cursorIs(/^user_\w{1,40}$/),
      team_id: filter('a team by its id'),
      status: z
        .enum(['active', 'suspended', 'deleted'], 'write active, suspended or deleted')
        .optional()
        .describe('Without it, all that were not deleted.'),
    }),
    status: 200,
    answer: pageOf(userSchema),
  },
  findUser: {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'One user, by id or name.',
    access: 'see_team',
    status: 200,
    answer: userSchema,
  },
  updateUser: {
    method: 'PATCH',
    path: `${PATH}/{id}`,
    summary: 'Changes a user whose role is not above what the caller may give.',
    access: 'change_team',
    body: changes({ name: name.optional(), role: role.optional(), ...settable }),
    status: 200,
    answer: userSchema,
  },
  deleteUser: {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'Deletes a user; keys that name the user never open anything again.',
    access: 'change_team',
    status: 200,
    answer: deleted,
  },
  suspendUser: {
    method: 'POST',
    path: `${PATH}/{id}/suspend`,
    summary: 'Neither the user’s token nor keys that name the user open anything until the user is resumed.',
    access: 'change_team',
    status: 200,
    answer: userSchema,
  },
  resumeUser: {
    method: 'POST',
    path: `${PATH}/{id}/resume`,
    summary: 'What was suspended with a user opens again.',
    access: 'change_team',
    status: 200,
    answer: userSchema,
  },
  makeUserToken: {
    method: 'POST',
    path: `${PATH}/{id}/token`,
    summary: 'A token for this API, which acts with the user’s role, in place of any before; shown this once.',
    access: 'change_team',
    status: 201,
    answer: z.object({ user: userSchema, token: z.string().describe('It is shown this once and kept nowhere.') }),
  },
  revokeUserToken: {
    method: 'DELETE',
    path: `${PATH}/{id}/token`,
    summary: 'The user’s token opens this API no more.',
    access: 'change_team',
    status: 200,
    answer: userSchema,
  },
} as const satisfies Record<string, Route>;
