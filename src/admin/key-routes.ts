// Virtual keys, in the words of the contract.
import { z } from 'zod';

import { budgetSchema, inlineBudget } from './budget-routes.ts';
import {
  at,
  capture,
  changes,
  cursorIs,
  deleted,
  endpoints,
  filter,
  limits,
  metadata,
  models,
  moment,
  name,
  named,
  networks,
  page,
  pageOf,
  tags,
  writtenLimits,
} from './fields.ts';
import type { Route } from './route.ts';

const GRACE_SECONDS_MAX = 366 * 24 * 3600;

const onDisconnect = z.enum(['abort', 'drain'], 'write abort, drain, or null for what the gateway does');
const onUnpriced = z.enum(['allow', 'deny'], 'write allow or deny');
const onUnbounded = z.enum(['assume_max', 'learned', 'refuse'], 'write assume_max, learned or refuse');
const onOverrun = z.enum(['finish', 'cut'], 'write finish or cut');
const streamUsage = z.enum(['inject', 'estimate'], 'write inject or estimate');

export const keySchema = z.object({
  id: z.string(),
  name: z.string(),
  team_id: z.string(),
  user_id: z.string().nullable().describe('The person it was given to.'),
  models: z.array(z.string()),
  endpoints: z.array(z.string()),
  limits,
  budgets: z.array(budgetSchema).describe('Those that name the key.'),
  allowed_cidrs: z.array(z.string()).describe('Empty is anywhere.'),
  capture: z.string(),
  on_disconnect: onDisconnect.nullable().describe('Null: as the gateway is set.'),
  on_unpriced: onUnpriced,
  on_unbounded: onUnbounded,
  on_overrun: onOverrun,
  stream_usage: streamUsage,
  tags: z.array(z.string()),
  metadata: z.record(z.string(), z.unknown()),
  status: z.enum(['active', 'suspended', 'revoked', 'expired', 'deleted']),
  token_hint: z.string().describe('How the token begins, where it was made here, and its last four characters.'),
  former_token_until: z.string().nullable().describe('Until when the token before the last rotation opens too.'),
  expires_at: z.string().nullable().describe('RFC 3339; null never expires.'),
  created_at: moment,
});

const settable = {
  models: models
    .optional()
    .describe('Models or patterns, such as `gpt-*`; `*`, the default, is all that the team allows.'),
  endpoints: endpoints
    .optional()
    .describe(
      'Groups of endpoints such as `chat`, or paths such as `POST /v1/files`; `*`, the default, is all that the team allows but `admin`, the administration of the upstream account.',
    ),
  limits: writtenLimits.optional().describe('What is left out is unlimited, or stays.'),
  allowed_cidrs: networks.optional().describe('Networks or addresses that it may be used from; empty is anywhere.'),
  capture: capture.optional(),
  on_disconnect: onDisconnect.nullable().optional().describe('What happens upstream when the client leaves.'),
  on_unpriced: onUnpriced.optional().describe('Whether it may call what has no price.'),
  on_unbounded: onUnbounded.optional().describe('What is set aside for a reply whose length nobody bounds.'),
  on_overrun: onOverrun.optional().describe('What becomes of an exchange that costs more than was set aside.'),
  stream_usage: streamUsage.optional().describe('Whether usage is asked for in streams, or estimated.'),
  tags: tags.optional(),
  metadata: metadata.optional(),
  user: named('a user’s id or name').nullable().optional().describe('Id or name of the person it is given to.'),
  user_id: named('a user’s id').nullable().optional().describe('The same, by id.'),
  expires_at: at.nullable().optional().describe('RFC 3339 with an offset; null, the default, never expires.'),
};

const token = z
  .string('write 16 to 256 visible characters')
  .optional()
  .describe('In place of a new one: 16 to 256 visible characters that nobody else knows. Not for a team_admin.');

const newKeySchema = z.strictObject(
  {
    name: name.describe('What lists call the key. Need not be unique.'),
    team: named('a team’s id or name').optional().describe('Id or name; without it the team `default`.'),
    team_id: named('a team’s id').optional().describe('The same, by id.'),
    ...settable,
    budgets: z
      .array(inlineBudget, 'write a list of budgets, such as [{"limit_usd":"5","window":"day"}]')
      .max(20, 'give at most 20')
      .optional()
      .describe('Made together with the key, or nothing is.'),
    token,
  },
  'write a JSON object, such as {"name":"web"}',
);

const createdKeySchema = z.object({
  key: keySchema,
  token: z.string().describe('The secret text. It is shown this once and kept nowhere.'),
});

const rotation = z.strictObject(
  {
    grace_seconds: z
      .number('write a number of seconds, such as 3600')
      .min(0, 'write a number of seconds from 0 on')
      .max(GRACE_SECONDS_MAX, `write at most ${GRACE_SECONDS_MAX}`)
      .optional()
      .describe('How long the token before opens too; 0, the default, is not at all.'),
    token,
  },
  'write a JSON object, such as {"grace_seconds":3600}',
);

const keyQuery = z.strictObject({
  ...page,
  cursor: cursorIs(/^key_\w{1,40}$/),
  team_id: filter('a team by its id').describe('Keys of this team.'),
  user_id: filter('a user by its id').describe('Keys given to this user.'),
  status: z
    .enum(
      ['active', 'suspended', 'revoked', 'expired', 'deleted'],
      'write active, suspended, revoked, expired or deleted',
    )
    .optional()
    .describe('Without it, all that were not deleted.'),
});

const PATH = '/admin/v1/keys';

export const keyRoutes = {
  createKey: {
    method: 'POST',
    path: PATH,
    summary: 'Makes a virtual key; its token is shown this once.',
    access: 'change_team',
    body: newKeySchema,
    status: 201,
    answer: createdKeySchema,
  },
  listKeys: {
    method: 'GET',
    path: PATH,
    summary: 'Virtual keys, newest first.',
    access: 'see_team',
    query: keyQuery,
    status: 200,
    answer: pageOf(keySchema),
  },
  findKey: {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'One virtual key.',
    access: 'see_team',
    status: 200,
    answer: keySchema,
  },
  updateKey: {
    method: 'PATCH',
    path: `${PATH}/{id}`,
    summary: 'Changes a virtual key. What is left out stays.',
    access: 'change_team',
    body: changes({ name: name.optional(), ...settable }),
    status: 200,
    answer: keySchema,
  },
  deleteKey: {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'Deletes a virtual key. Its history stays.',
    access: 'change_team',
    status: 200,
    answer: deleted,
  },
  rotateKey: {
    method: 'POST',
    path: `${PATH}/{id}/rotate`,
    summary: 'Gives a virtual key a new token, shown this once. The one before opens until the grace is over.',
    access: 'change_team',
    body: rotation,
    bodyOptional: true,
    status: 200,
    answer: createdKeySchema,
  },
  suspendKey: {
    method: 'POST',
    path: `${PATH}/{id}/suspend`,
    summary: 'A virtual key opens nothing until it is resumed. Its running exchanges are cut.',
    access: 'change_team',
    status: 200,
    answer: keySchema,
  },
  resumeKey: {
    method: 'POST',
    path: `${PATH}/{id}/resume`,
    summary: 'A suspended virtual key opens again.',
    access: 'change_team',
    status: 200,
    answer: keySchema,
  },
  revokeKey: {
    method: 'POST',
    path: `${PATH}/{id}/revoke`,
    summary: 'Ends a virtual key, at once and for good. Its running exchanges are cut.',
    access: 'change_team',
    status: 200,
    answer: keySchema,
  },
} as const satisfies Record<string, Route>;
