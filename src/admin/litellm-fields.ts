// LiteLLM's names for what keys, teams, users and budgets are given: those that are honoured, as a schema, and those that are not, with
// the reason. docs/litellm.md is made from here, and so is what an answer names as unsupported.
import { z } from 'zod';

import { metadata, named, tags } from './fields.ts';
import { BUDGET_DURATIONS, after, windowOf } from './litellm-durations.ts';

const USD_MAX = 1e12;

const usd = z
  .number('write US dollars as a number, such as 10.5, or null for none')
  .min(0, 'write 0 or more')
  .max(USD_MAX, `write at most ${USD_MAX}`);
const most = z
  .int('write a whole number above 0, or null for unlimited')
  .min(1, 'write a whole number above 0, or null for unlimited')
  .nullable()
  .optional();
const budgetDuration = z
  .string(`write one of ${BUDGET_DURATIONS}`)
  .refine((text) => windowOf(text) !== null, `write one of ${BUDGET_DURATIONS}`);
const period = z
  .string('write a period, such as 30s, 30m, 30h, 30d or 1mo')
  .refine((text) => after(text, 0) !== null, 'write a period, such as 30s, 30m, 30h, 30d or 1mo');
const GRACE_MS_MAX = 366 * 24 * 3_600_000;
export const gracePeriod = period
  .refine((text) => (after(text, 0) ?? 0) <= GRACE_MS_MAX, 'write at most 366d')
  .nullable()
  .optional();
const TOKEN_CHARACTERS_MAX = 256;
export const aKey = z
  .string('write a key, by its token, its hash or its id')
  .min(1, 'write a key, by its token, its hash or its id')
  .max(TOKEN_CHARACTERS_MAX, `write at most ${TOKEN_CHARACTERS_MAX} characters`);
const token = z.string('write 16 to 256 visible characters').nullable().optional();
/** As long as a budget takes it. */
const MODEL_CHARACTERS_MAX = 100;
const boundModel = named('a model').max(MODEL_CHARACTERS_MAX, `write at most ${MODEL_CHARACTERS_MAX} characters`);
const text = (what: string) => named(what).nullable().optional();
const flag = z.boolean('write true or false').nullable().optional();

const ofModel = z.union(
  [
    usd,
    z.strictObject({ budget_limit: usd, time_period: budgetDuration.nullable().optional() }),
    z.strictObject({ max_budget: usd, budget_duration: budgetDuration.nullable().optional() }),
  ],
  `write US dollars, or {"budget_limit":10,"time_period":"1d"}; a period is one of ${BUDGET_DURATIONS}`,
);
const ofWindow = z.strictObject(
  { max_budget: usd, budget_duration: budgetDuration },
  `write {"max_budget":10,"budget_duration":"1d"}; a period is one of ${BUDGET_DURATIONS}`,
);

const money = {
  max_budget: usd.nullable().optional().describe('A hard budget in US dollars; null takes it away.'),
  soft_budget: usd.nullable().optional().describe('A soft budget: it tells, and refuses nothing.'),
  budget_duration: budgetDuration
    .nullable()
    .optional()
    .describe(
      `When the budgets begin anew: one of ${BUDGET_DURATIONS}. As in LiteLLM days end at midnight, weeks on Monday, months on the first (UTC). Other periods are refused. A new period makes new budgets, which begin at 0.`,
    ),
};
const rate = {
  tpm_limit: most.describe('Tokens per minute.'),
  rpm_limit: most.describe('Requests per minute.'),
  max_parallel_requests: most.describe('Exchanges at once.'),
};
const modelBudgets = z
  .record(boundModel, ofModel, 'write an object, such as {"gpt-4o":{"budget_limit":10,"time_period":"1d"}}')
  .nullable()
  .optional()
  .describe('A hard budget for each model. What is given stands in place of all that were.');
const models = z
  .array(named('a model or a pattern'), 'write a list, such as ["gpt-4o"]')
  .nullable()
  .optional()
  .describe(
    'Models or patterns. Empty, `all-team-models` and `all-proxy-models` are all; `openai/` before a name is left away, for requests name models without it.',
  );
const blocked = flag.describe('Suspended: it opens nothing until it is unblocked.');
const common = {
  metadata: metadata.nullable().optional().describe('Kept and given back; its `tags` become tags.'),
  tags: tags.nullable().optional().describe('The same.'),
  ...rate,
};

export const keyFields = {
  key_alias: text('a name').describe('The name. It need not be unique.'),
  team_id: text('a team’s id or name').describe(
    'Id or name; without it the team `default`. A key stays with its team.',
  ),
  user_id: text('a user’s id or name').describe('Id or name of a user that was made before.'),
  models,
  ...common,
  ...money,
  budget_limits: z
    .array(ofWindow, 'write a list, such as [{"max_budget":10,"budget_duration":"1d"}]')
    .max(10, 'give at most 10')
    .nullable()
    .optional()
    .describe('Hard budgets besides `max_budget`, each with a period. For new keys only.'),
  model_max_budget: modelBudgets,
  blocked,
  duration: z
    .union([period, z.literal('-1')], 'write a period, such as 30d, or "-1" for never')
    .nullable()
    .optional()
    .describe('When the key expires, from now; null or `-1` is never.'),
  allowed_routes: z
    .array(named('a route'), 'write a list, such as ["/chat/completions"]')
    .nullable()
    .optional()
    .describe(
      'Paths such as `/chat/completions` or `/v1/files*`, or `llm_api_routes`, `openai_routes`, which are all. What stands for routes of LiteLLM’s own is refused.',
    ),
  key_type: z
    .enum(['default', 'llm_api'], 'write default or llm_api: a virtual key never opens the admin API')
    .nullable()
    .optional()
    .describe('`default` and `llm_api` are what every key here is; others are refused.'),
};

export const newKeyFields = {
  ...keyFields,
  key: token.describe('The token, in place of a new one: 16 to 256 visible characters.'),
};

export const updatedKeyFields = {
  ...keyFields,
  key: aKey,
  temp_budget_increase: usd.nullable().optional().describe('On top of `max_budget` until `temp_budget_expiry`.'),
  temp_budget_expiry: z
    .string('write a day, a time or a period, such as 2027-01-31 or 10d')
    .refine(
      (written) =>
        after(written, 0) !== null ||
        z.iso
          .date()
          .or(z.iso.datetime({ offset: true, local: true }))
          .safeParse(written).success,
      'write a day, a time or a period, such as 2027-01-31 or 10d',
    )
    .nullable()
    .optional()
    .describe('A day, a time, or a period from now. Both or neither are given.'),
};

export const teamFields = {
  team_alias: text('a name').describe('The name, where no `team_id` is given.'),
  team_id: text('an id').describe('An id of your own: it becomes the team’s name here, and must be unique.'),
  models,
  ...common,
  ...money,
  model_max_budget: modelBudgets,
  blocked,
};

export const userFields = {
  user_id: text('an id').describe('An id of your own: it becomes the user’s name here, and must be unique.'),
  user_email: text('an address').describe('Kept and given back; the name, where no `user_id` is given.'),
  user_alias: text('a name').describe('Kept and given back; the name, where neither of those is given.'),
  user_role: z
    .enum(
      ['proxy_admin', 'proxy_admin_viewer', 'internal_user', 'internal_user_viewer'],
      'write proxy_admin, proxy_admin_viewer, internal_user or internal_user_viewer',
    )
    .nullable()
    .optional()
    .describe(
      '`proxy_admin` is our `admin`, `proxy_admin_viewer` our `viewer`. The internal ones are `team_member` of their team; without a team they are `viewer`, which matters only once somebody gives them a token for the admin API.',
    ),
  team_id: text('a team’s id or name').describe('The one team that an internal user belongs to.'),
  teams: z
    .array(named('a team’s id or name'), 'write a list, such as ["web"]')
    .max(1, 'name at most one: a user belongs to one team here')
    .nullable()
    .optional()
    .describe('The same as a list of one.'),
  metadata: common.metadata,
  ...rate,
  ...money,
};

export const newUserFields = {
  ...userFields,
  models: models.describe(
    'Of the key that is made along. Users have none: they are named as unsupported, because later keys are free of them.',
  ),
  auto_create_key: flag.describe('`true`, the default: a key for the user is made too, and answered.'),
  key_alias: text('a name').describe('The name of that key.'),
  duration: keyFields.duration.describe('When that key expires.'),
};

export const budgetFields = {
  ...money,
  key: aKey.nullable().optional().describe('Whom it binds: a budget here binds what it names.'),
  team_id: text('a team’s id or name').describe('The same.'),
  user_id: text('a user’s id or name').describe('The same.'),
  model: text('a model or a pattern').describe('The same, alone or besides one of those.'),
  tag: text('a tag').describe('The same.'),
};

/** What of LiteLLM's fields does something here, by what they are given to. */
export const HONOURED: Readonly<Record<Kind, Readonly<Record<string, z.ZodType>>>> = {
  key: { ...newKeyFields, ...updatedKeyFields, key: newKeyFields.key },
  team: teamFields,
  user: newUserFields,
  budget: budgetFields,
};

interface NotHonoured {
  readonly of: readonly Kind[];
  readonly names: readonly string[];
  readonly why: string;
}
export type Kind = 'key' | 'team' | 'user' | 'budget';

/** Names of LiteLLM that are known to do nothing here. A name in none of the tables is unsupported too. */
export const NOT_HONOURED: readonly NotHonoured[] = [
  { of: ['key', 'team', 'user'], names: ['spend'], why: 'spend is the sum of ledger entries, which nobody sets' },
  {
    of: ['key', 'team', 'user', 'budget'],
    names: ['budget_id', 'budget_reset_at'],
    why: 'a budget has an id of this gateway’s making, binds what it names, and begins anew by the calendar',
  },
  {
    of: ['key', 'team', 'user'],
    names: ['organization_id', 'organizations', 'project_id', 'agent_id', 'access_group_ids'],
    why: 'there are teams, and nothing above or beside them',
  },
  {
    of: ['key', 'team', 'user'],
    names: ['model_rpm_limit', 'model_tpm_limit', 'tag_rpm_limit', 'mcp_rpm_limit', 'rpm_limit_type', 'tpm_limit_type'],
    why: 'limits of models are settings (`limits.models`) of the whole gateway',
  },
  {
    of: ['key', 'team'],
    names: ['aliases', 'model_aliases', 'config', 'router_settings', 'budget_fallbacks'],
    why: 'the gateway changes no byte of a request, so that no model stands for another',
  },
  {
    of: ['key', 'team'],
    names: [
      'guardrails',
      'policies',
      'prompts',
      'disable_global_guardrails',
      'enforced_params',
      'allowed_cache_controls',
    ],
    why: 'bodies are passed on as they are',
  },
  {
    of: ['key', 'team', 'user'],
    names: ['permissions', 'object_permission', 'allowed_vector_store_indexes', 'allowed_passthrough_routes'],
    why: 'endpoints and models are what a key is narrowed by',
  },
  {
    of: ['key'],
    names: ['auto_rotate', 'rotation_interval'],
    why: 'keys are rotated by `/key/regenerate`, with a grace',
  },
  {
    of: ['key', 'team'],
    names: [
      'throttle_on_budget_exceeded',
      'default_estimated_output_tokens',
      'default_estimated_output_tokens_per_model',
      'enable_prompt_caching',
    ],
    why: 'a hard budget refuses; the worst case of a request is set aside by the price book',
  },
  { of: ['key', 'user'], names: ['send_invite_email', 'invite_link'], why: 'the gateway sends no mail' },
  {
    of: ['team'],
    names: [
      'admins',
      'members',
      'members_with_roles',
      'team_member_budget',
      'team_member_rpm_limit',
      'team_member_tpm_limit',
    ],
    why: 'a user names its team, not the team its users',
  },
  {
    of: ['user'],
    names: ['model_max_budget', 'tags', 'blocked', 'max_parallel_requests_per_model', 'sso_user_id', 'password'],
    why: 'keys and teams have these',
  },
  {
    of: ['budget'],
    names: ['tpm_limit', 'rpm_limit', 'max_parallel_requests'],
    why: 'limits are of keys, teams and users',
  },
  { of: ['budget'], names: ['model_max_budget'], why: 'make a budget for each model' },
];
