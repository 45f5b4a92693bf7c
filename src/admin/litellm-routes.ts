// LiteLLM's management API, as far as its names stand for something here: paths, fields and shapes that scripts rely on. Fields that
// are unknown are let in, because answers name them.
import { z } from 'zod';

import { filter, named, wholeNumber } from './fields.ts';
import {
  aKey,
  budgetFields,
  gracePeriod,
  newKeyFields,
  newUserFields,
  teamFields,
  updatedKeyFields,
  userFields,
} from './litellm-fields.ts';
import type { Route } from './route.ts';

const object = 'write a JSON object, such as {"key_alias":"web"}';
const aTeam = named('a team’s id or name');
const aUser = named('a user’s id or name');
const aBudget = named('a budget’s id');
const list = (each: z.ZodType<string>, example: string) =>
  z.array(each, `write a list, such as [${example}]`).min(1, 'name at least one').max(1000, 'name at most 1000');

const regeneration = {
  ...updatedKeyFields,
  key: aKey.nullable().optional(),
  new_key: newKeyFields.key.describe('The token, in place of a new one.'),
  grace_period: gracePeriod.describe('How long the token before opens too; without it, not at all.'),
};

const day = z
  .string()
  .refine(
    (text) =>
      z.iso
        .date()
        .or(z.iso.datetime({ offset: true, local: true }))
        .safeParse(text.replace(' ', 'T')).success,
    {
      error: 'write a day, such as 2026-11-22',
    },
  )
  .optional();
const flag = z
  .string()
  .regex(/^(true|false)$/i, 'write true or false')
  .optional();
const paging = {
  page: wholeNumber('write a page from 1 on', /^[1-9]\d{0,5}$/).optional(),
  size: wholeNumber('write a number from 1 to 1000', /^([1-9]\d{0,2}|1000)$/).optional(),
};

/** Fields that no answer leaves out; it may have more. */
const told = {
  unsupported_fields: z
    .array(z.string())
    .describe(
      'Fields of the request that do nothing here. The reply header x-throughway-unsupported-fields names them too.',
    ),
};
const keyAnswer = z.looseObject({ key: z.string(), ...told });
const rows = z.array(z.looseObject({}));

export const litellmRoutes = {
  litellmGenerateKey: {
    method: 'POST',
    path: '/key/generate',
    summary: 'Makes a virtual key.',
    access: 'change_team',
    body: z.looseObject(newKeyFields, object),
    bodyOptional: true,
    status: 200,
    answer: keyAnswer.extend({ token: z.string().describe('The key’s id.'), token_id: z.string() }),
  },
  litellmUpdateKey: {
    method: 'POST',
    path: '/key/update',
    summary: 'Changes a virtual key. What is left out stays.',
    access: 'change_team',
    body: z.looseObject(updatedKeyFields, object),
    status: 200,
    answer: keyAnswer,
  },
  litellmFindKey: {
    method: 'GET',
    path: '/key/info',
    summary: 'One virtual key.',
    access: 'see_team',
    query: z.looseObject({ key: aKey.describe('Its token, its hash or its id.') }),
    status: 200,
    answer: z.looseObject({ key: z.string(), info: z.looseObject({}), ...told }),
  },
  litellmListKeys: {
    method: 'GET',
    path: '/key/list',
    summary: 'Virtual keys by pages.',
    access: 'see_team',
    query: z.looseObject({
      ...paging,
      user_id: filter('a user by its id or name'),
      team_id: filter('a team by its id or name'),
      key_alias: filter('a key by its name'),
      key_hash: aKey.optional(),
      return_full_object: flag,
      include_team_keys: flag.describe('Nothing is left out either way.'),
    }),
    status: 200,
    answer: z.looseObject({
      keys: z.array(z.union([z.string(), z.looseObject({})])),
      total_count: z.number(),
      current_page: z.number(),
      total_pages: z.number(),
      ...told,
    }),
  },
  litellmBlockKey: {
    method: 'POST',
    path: '/key/block',
    summary: 'A virtual key opens nothing until it is unblocked.',
    access: 'change_team',
    body: z.looseObject({ key: aKey }, object),
    status: 200,
    answer: z.looseObject(told),
  },
  litellmUnblockKey: {
    method: 'POST',
    path: '/key/unblock',
    summary: 'A blocked virtual key opens again.',
    access: 'change_team',
    body: z.looseObject({ key: aKey }, object),
    status: 200,
    answer: z.looseObject(told),
  },
  litellmDeleteKeys: {
    method: 'POST',
    path: '/key/delete',
    summary: 'Deletes virtual keys: all that are named, or none.',
    access: 'change_team',
    body: z
      .looseObject(
        { keys: list(aKey, '"sk-tw-..."').optional(), key_aliases: list(named('a key’s name'), '"web"').optional() },
        object,
      )
      .refine(({ keys, key_aliases }) => (keys === undefined) !== (key_aliases === undefined), {
        path: ['keys'],
        error: 'give one of keys and key_aliases',
      }),
    status: 200,
    answer: z.looseObject({ deleted_keys: z.array(z.string()), ...told }),
  },
  litellmRegenerateKey: {
    method: 'POST',
    path: '/key/regenerate',
    summary: 'Gives a virtual key a new token.',
    access: 'change_team',
    body: z.looseObject(regeneration, object),
    status: 200,
    answer: keyAnswer,
  },
  litellmRegenerateNamedKey: {
    method: 'POST',
    path: '/key/{id}/regenerate',
    summary: 'The same; the key is named in the path.',
    access: 'change_team',
    body: z.looseObject(regeneration, object),
    bodyOptional: true,
    status: 200,
    answer: keyAnswer,
  },
  litellmNewTeam: {
    method: 'POST',
    path: '/team/new',
    summary: 'Makes a team.',
    access: 'change',
    body: z
      .looseObject(teamFields, 'write a JSON object, such as {"team_alias":"web"}')
      .refine(({ team_alias, team_id }) => Boolean(team_alias ?? team_id), {
        path: ['team_alias'],
        error: 'name the team: give team_alias or team_id',
      }),
    status: 200,
    answer: z.looseObject({ team_id: z.string(), ...told }),
  },
  litellmUpdateTeam: {
    method: 'POST',
    path: '/team/update',
    summary: 'Changes a team. What is left out stays.',
    access: 'change_team',
    body: z.looseObject({ ...teamFields, team_id: aTeam }, object),
    status: 200,
    answer: z.looseObject({ team_id: z.string(), data: z.looseObject({}), ...told }),
  },
  litellmFindTeam: {
    method: 'GET',
    path: '/team/info',
    summary: 'One team with its keys.',
    access: 'see_team',
    query: z.looseObject({ team_id: aTeam }),
    status: 200,
    answer: z.looseObject({ team_id: z.string(), team_info: z.looseObject({}), keys: rows, ...told }),
  },
  litellmListTeams: {
    method: 'GET',
    path: '/team/list',
    summary: 'All teams.',
    access: 'see_team',
    query: z.looseObject({ user_id: filter('a user by its id or name').describe('The teams of a user.') }),
    status: 200,
    answer: rows,
  },
  litellmDeleteTeams: {
    method: 'POST',
    path: '/team/delete',
    summary: 'Deletes teams: all that are named, or none.',
    access: 'change',
    body: z.looseObject({ team_ids: list(aTeam, '"team_..."') }, object),
    status: 200,
    answer: z.looseObject({ deleted_teams: z.array(z.string()), ...told }),
  },
  litellmBlockTeam: {
    method: 'POST',
    path: '/team/block',
    summary: 'The keys of a team open nothing until it is unblocked.',
    access: 'change',
    body: z.looseObject({ team_id: aTeam }, object),
    status: 200,
    answer: z.looseObject(told),
  },
  litellmUnblockTeam: {
    method: 'POST',
    path: '/team/unblock',
    summary: 'The keys of a blocked team open again.',
    access: 'change',
    body: z.looseObject({ team_id: aTeam }, object),
    status: 200,
    answer: z.looseObject(told),
  },
  litellmNewUser: {
    method: 'POST',
    path: '/user/new',
    summary: 'Makes a user, and a key for it.',
    access: 'change_team',
    body: z
      .looseObject(newUserFields, 'write a JSON object, such as {"user_id":"ann@example.com"}')
      .refine(({ user_id, user_email, user_alias }) => Boolean(user_id ?? user_email ?? user_alias), {
        path: ['user_id'],
        error: 'name the user: give user_id, user_email or user_alias',
      }),
    status: 200,
    answer: z.looseObject({ user_id: z.string(), key: z.string().nullable(), ...told }),
  },
  litellmFindUser: {
    method: 'GET',
    path: '/user/info',
    summary: 'One user with its keys.',
    access: 'see_team',
    query: z.looseObject({ user_id: aUser }),
    status: 200,
    answer: z.looseObject({ user_id: z.string(), user_info: z.looseObject({}), keys: rows, teams: rows, ...told }),
  },
  litellmUpdateUser: {
    method: 'POST',
    path: '/user/update',
    summary: 'Changes a user. What is left out stays.',
    access: 'change_team',
    body: z.looseObject(userFields, object).refine(({ user_id, user_email }) => Boolean(user_id ?? user_email), {
      path: ['user_id'],
      error: 'name the user: give user_id or user_email',
    }),
    status: 200,
    answer: z.looseObject({ user_id: z.string(), data: z.looseObject({}), ...told }),
  },
  litellmListUsers: {
    method: 'GET',
    path: '/user/list',
    summary: 'Users by pages.',
    access: 'see_team',
    query: z.looseObject({ page: paging.page, page_size: paging.size }),
    status: 200,
    answer: z.looseObject({
      users: rows,
      total: z.number(),
      page: z.number(),
      page_size: z.number(),
      total_pages: z.number(),
      ...told,
    }),
  },
  litellmNewBudget: {
    method: 'POST',
    path: '/budget/new',
    summary: 'Makes a budget of what it names: a key, a team, a user, a model or a tag.',
    access: 'change_team',
    body: z.looseObject(budgetFields, 'write a JSON object, such as {"team_id":"web","max_budget":10}'),
    status: 200,
    answer: z.looseObject({ budget_id: z.string(), ...told }),
  },
  litellmUpdateBudget: {
    method: 'POST',
    path: '/budget/update',
    summary: 'Changes how much a budget is.',
    access: 'change_team',
    body: z.looseObject(
      { budget_id: aBudget, max_budget: budgetFields.max_budget, soft_budget: budgetFields.soft_budget },
      object,
    ),
    status: 200,
    answer: z.looseObject({ budget_id: z.string(), ...told }),
  },
  litellmFindBudgets: {
    method: 'POST',
    path: '/budget/info',
    summary: 'Some budgets.',
    access: 'see_team',
    body: z.looseObject({ budgets: list(aBudget, '"budget_..."') }, object),
    status: 200,
    answer: rows,
  },
  litellmListBudgets: {
    method: 'GET',
    path: '/budget/list',
    summary: 'All budgets.',
    access: 'see_team',
    query: z.looseObject({}),
    status: 200,
    answer: rows,
  },
  litellmDeleteBudget: {
    method: 'POST',
    path: '/budget/delete',
    summary: 'Deletes a budget: it binds nothing more.',
    access: 'change_team',
    body: z.looseObject({ id: aBudget }, object),
    status: 200,
    answer: z.looseObject({ budget_id: z.string(), ...told }),
  },
  litellmSpendLogs: {
    method: 'GET',
    path: '/spend/logs',
    summary: 'Sums of days where both dates are given, else the newest records: a thousand at most.',
    access: 'see_team',
    query: z.looseObject({
      api_key: aKey.optional(),
      user_id: filter('a user by its id or name'),
      request_id: filter('an exchange by its id'),
      start_date: day.describe('A day, inclusive.'),
      end_date: day.describe('A day, inclusive.'),
      summarize: flag.describe('`false`: records, also where both dates are given.'),
    }),
    status: 200,
    answer: rows,
  },
  litellmSpendReport: {
    method: 'GET',
    path: '/global/spend/report',
    summary: 'What was spent, by days and teams, or by keys. Without dates, of the last thirty days.',
    access: 'see_team',
    query: z.looseObject({
      start_date: day.describe('A day, inclusive.'),
      end_date: day.describe('A day, inclusive.'),
      group_by: z
        .enum(['team', 'api_key'], 'write team or api_key; end users are in /spend/logs')
        .optional()
        .describe('`team` by default.'),
      api_key: aKey.optional(),
      internal_user_id: filter('a user by its id or name'),
      team_id: filter('a team by its id or name'),
    }),
    status: 200,
    answer: rows,
  },
} as const satisfies Record<string, Route>;

export type LitellmRoutes = typeof litellmRoutes;
export type LitellmName = keyof LitellmRoutes;
