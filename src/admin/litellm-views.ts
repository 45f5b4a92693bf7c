// Keys, teams, users and budgets as LiteLLM's answers tell of them. Money is a number here, because scripts calculate with it.
import type { Answer } from './contract.ts';
import { budgetFacts, mainBudget, numberOf, sumOf } from './litellm-budgets.ts';
import { durationOf } from './litellm-durations.ts';
import {
  KEPT,
  type KeyView,
  type Lookup,
  type TeamView,
  type UserView,
  keptOf,
  teamIdOf,
  userIdOf,
} from './litellm-lookup.ts';

export const UNNAMED = 'unnamed';

/** What was spent in the window that runs, where there is a budget; else all that was ever spent. */
export type Spent = (id: string) => number;

const DAY_CHARACTERS = 10;

export async function spentBy(
  look: Lookup,
  kind: 'key' | 'team' | 'user',
  things: readonly { readonly id: string; readonly budgets: KeyView['budgets']; readonly created_at: string }[],
): Promise<Spent> {
  const unbound = things.filter(({ budgets }) => mainBudget(budgets, kind) === undefined);
  const sums = new Map<string, number>();
  if (unbound.length > 0) {
    const from = unbound.map(({ created_at }) => created_at).toSorted()[0]!;
    const only = unbound.length === 1 ? { [`${kind}_id`]: unbound[0]!.id } : {};
    const { data } = await look.ask('spend', {
      query: { group_by: kind, from: from.slice(0, DAY_CHARACTERS), ...only },
    });
    for (const row of data) {
      const id = row[`${kind}_id`];
      if (typeof id === 'string') sums.set(id, sumOf(row));
    }
  }
  const bound = new Map(things.map(({ id, budgets }) => [id, mainBudget(budgets, kind)?.spent_usd]));
  return (id) => numberOf(bound.get(id)) ?? sums.get(id) ?? 0;
}

export async function keyInfo(key: KeyView, look: Lookup, spent: Spent) {
  const { id, name, models, limits, metadata, tags } = key;
  return {
    token: id,
    token_id: id,
    key_name: key.token_hint,
    key_alias: name === UNNAMED ? null : name,
    spend: spent(id),
    ...budgetFacts(key.budgets, 'key'),
    expires: key.expires_at,
    models: shownModels(models),
    allowed_routes: key.endpoints.includes('*') ? [] : key.endpoints,
    user_id: key.user_id === null ? null : await look.userName(key.user_id),
    team_id: await look.teamName(key.team_id),
    ...shownLimits(limits),
    metadata: shownMetadata(metadata),
    tags,
    blocked: key.status === 'suspended',
    status: key.status,
    created_at: key.created_at,
  };
}

export function teamInfo(team: TeamView, spent: Spent) {
  const { id, name, models, limits, metadata, tags } = team;
  const { team_id, team_alias = null } = keptOf(team);
  return {
    team_id: teamIdOf(team),
    team_alias: team_id === undefined ? name : team_alias,
    spend: spent(id),
    ...budgetFacts(team.budgets, 'team'),
    models: shownModels(models),
    ...shownLimits(limits),
    metadata: shownMetadata(metadata),
    tags,
    blocked: team.status === 'suspended',
    created_at: team.created_at,
  };
}

const ROLES = {
  owner: 'proxy_admin',
  admin: 'proxy_admin',
  viewer: 'proxy_admin_viewer',
  team_admin: 'internal_user',
  team_member: 'internal_user_viewer',
} as const satisfies Record<UserView['role'], string>;

export async function userInfo(user: UserView, look: Lookup, spent: Spent) {
  const { id, limits, metadata } = user;
  const { user_email = null, user_alias = null } = keptOf(user);
  const { budget_limits: _limits, model_max_budget: _models, ...facts } = budgetFacts(user.budgets, 'user');
  return {
    user_id: userIdOf(user),
    user_email,
    user_alias,
    user_role: ROLES[user.role],
    teams: user.team_id === null ? [] : [await look.teamName(user.team_id)],
    spend: spent(id),
    ...facts,
    ...shownLimits(limits),
    metadata: shownMetadata(metadata),
    created_at: user.created_at,
  };
}

export async function budgetInfo(budget: Answer<'findBudget'>, look: Lookup) {
  const limit = numberOf(budget.limit_usd);
  return {
    budget_id: budget.id,
    max_budget: budget.kind === 'hard' ? limit : null,
    soft_budget: budget.kind === 'soft' ? limit : null,
    budget_duration: durationOf(budget.window),
    budget_reset_at: budget.resets_at,
    spend: numberOf(budget.spent_usd),
    key: budget.key_id,
    team_id: budget.team_id === null ? null : await look.teamName(budget.team_id),
    user_id: budget.user_id === null ? null : await look.userName(budget.user_id),
    model: budget.model,
    tag: budget.tag,
    created_at: budget.created_at,
  };
}

function shownModels(models: readonly string[]): readonly string[] {
  return models.includes('*') ? [] : models;
}

function shownLimits({ tokens_per_minute, requests_per_minute, concurrent_exchanges }: KeyView['limits']) {
  return { tpm_limit: tokens_per_minute, rpm_limit: requests_per_minute, max_parallel_requests: concurrent_exchanges };
}

function shownMetadata({ [KEPT]: _kept, ...metadata }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return metadata;
}
