// Budgets as they are asked for, alone and with what they bind.
import type { Budget, BudgetScope } from '../domain/budget.ts';
import { ChangeRefused } from '../domain/change-refused.ts';
import type { BudgetId, KeyId, TeamId, UserId } from '../domain/id.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Keys } from '../keys/keys.ts';
import type { BudgetChange, BudgetStatus, Budgets, NewBudget } from '../ledger/ledger.ts';
import type { AnswerParts, Answers } from './answers.ts';
import type { Call } from './contract.ts';
import { pageAsked } from './input.ts';
import { type BudgetView, saidOf, viewBudget } from './views.ts';
import { type Visitor, missing, sees } from './visitor.ts';

type Owner = 'keyId' | 'teamId' | 'userId';
type Inline = NonNullable<Call<'createKey'>['body']['budgets']>[number];

const ALL = { limit: Number.MAX_SAFE_INTEGER, cursor: null };

export function budgetAnswers({
  keys,
  ledger: { budgets },
}: AnswerParts): Pick<Answers, 'createBudget' | 'listBudgets' | 'findBudget' | 'updateBudget' | 'deleteBudget'> {
  async function find(id: string, visitor: Visitor): Promise<BudgetStatus> {
    const found = await budgets.find(id as BudgetId);
    if (found === null || !(await isSeen(keys, visitor, found.budget))) missing('budget', id);
    return found;
  }

  async function findToChange(id: string, visitor: Visitor): Promise<void> {
    const { budget } = await find(id, visitor);
    if (visitor.teamId === null || (budget.keyId !== null && budget.teamId === null && budget.userId === null)) return;
    refuseTeams(visitor, 'id');
  }

  return {
    async createBudget({ body }, visitor) {
      const wanted = { ...budgetOf(body), ...ownersOf(body), scope: body.scope ?? scopeOf(body) };
      if (visitor.teamId !== null && (wanted.keyId === null || wanted.teamId !== null || wanted.userId !== null)) {
        refuseTeams(visitor, 'key_id');
      }
      await checkOwners(keys, visitor, wanted);
      const { id } = await budgets.create(wanted, visitor.actor);
      return viewBudget((await budgets.find(id)) ?? missing('budget', id));
    },
    async listBudgets({ query }, visitor) {
      const { scope, key_id: keyId, team_id: teamId, user_id: userId } = query;
      const isWanted = await seenBy(keys, visitor);
      const { data, nextCursor } = await budgets.list(pageAsked(query), { scope, keyId, teamId, userId, isWanted });
      return { data: data.map(viewBudget), next_cursor: nextCursor };
    },
    findBudget: async ({ id }, visitor) => viewBudget(await find(id, visitor)),
    async updateBudget({ id, body }, visitor) {
      await findToChange(id, visitor);
      await budgets.update(id as BudgetId, changeOf(body), visitor.actor);
      return viewBudget(await find(id, visitor));
    },
    async deleteBudget({ id }, visitor) {
      await findToChange(id, visitor);
      if (!(await budgets.delete(id as BudgetId, visitor.actor))) missing('budget', id);
      return { id, deleted: true };
    },
  };
}

/** Budgets by the ids of what they name. */
export async function budgetsByOwner(
  budgets: Budgets,
  owner: Owner,
  ids: readonly string[],
): Promise<(id: string) => readonly BudgetView[]> {
  const wanted = new Set(ids);
  const isWanted = (budget: Budget) => budget[owner] !== null && wanted.has(budget[owner]);
  const { data } = await budgets.list(ALL, { isWanted });
  const byOwner = Map.groupBy(data.toReversed(), ({ budget }) => budget[owner]);
  return (id) => (byOwner.get(id as Budget[Owner]) ?? []).map(viewBudget);
}

/** Those that shall be made together with a team or key, checked before anything is written. @throws ChangeRefused */
export function inlineBudgets(
  budgets: Budgets,
  written: readonly Inline[] | undefined,
  scope: 'key' | 'team',
): ((owner: { readonly keyId: KeyId } | { readonly teamId: TeamId }) => NewBudget)[] {
  return (written ?? []).map((each, i) => {
    const wanted = { ...budgetOf(each), scope: each.scope ?? (each.model ? 'model' : each.tag ? 'tag' : scope) };
    try {
      // What it will name has no id yet.
      budgets.check({ ...wanted, ...(scope === 'key' ? { keyId: 'key_' } : { teamId: 'team_' }) });
    } catch (error) {
      if (!(error instanceof ChangeRefused)) throw error;
      throw new ChangeRefused(error.code, `budgets[${i}].${error.field}`, error.value, error.allowed);
    }
    return (owner) => ({ ...wanted, ...owner });
  });
}

type Written = Omit<Inline, 'scope'>;

function budgetOf(written: Written): Omit<NewBudget, 'scope'> {
  const { window, rolling: isRolling, time_zone: timeZone, model = null, tag = null } = written;
  return { ...changeOf(written), ...saidOf({ window, isRolling, timeZone }), model, tag };
}

function changeOf(written: Call<'updateBudget'>['body']): BudgetChange {
  const { limit_usd, limit_tokens, kind, counts_estimates, thresholds, increase } = written;
  const raised = increase && {
    money: increase.usd ?? null,
    tokens: increase.tokens ?? null,
    until: Date.parse(increase.until),
  };
  return saidOf({
    limitMoney: limit_usd,
    limitTokens: limit_tokens,
    kind,
    countsEstimates: counts_estimates,
    thresholds,
    increase: raised,
  });
}

function ownersOf({ key_id, team_id, user_id }: Call<'createBudget'>['body']) {
  // Ids were branded when they were written; one that nobody wrote is unknown.
  return {
    keyId: (key_id ?? null) as KeyId | null,
    teamId: (team_id ?? null) as TeamId | null,
    userId: (user_id ?? null) as UserId | null,
  };
}

/** What is named tells the scope. @throws ChangeRefused */
function scopeOf({ model, tag, key_id, user_id, team_id }: Call<'createBudget'>['body']): BudgetScope {
  if (model) return 'model';
  if (tag) return 'tag';
  if (key_id) return 'key';
  if (user_id) return 'user';
  if (team_id) return 'team';
  throw new ChangeRefused(
    'invalid',
    'scope',
    'missing',
    'name what it binds as key_id, team_id, user_id, model or tag, or write the scope end_user or global',
  );
}

/** @throws ChangeRefused for a key, team or user that is not there, or not for the visitor's eyes */
async function checkOwners(
  keys: Keys,
  visitor: Visitor,
  { keyId, teamId, userId }: Pick<Budget, Owner>,
): Promise<void> {
  const unknown = (field: string, id: string) => new ChangeRefused('unknown', field, id, 'give the id of one');
  const isThere = (found: { readonly status: string } | null) => found !== null && found.status !== 'deleted';
  if (keyId !== null) {
    const key = await keys.find(keyId);
    if (!isThere(key) || !sees(visitor, key?.teamId ?? null)) throw unknown('key_id', keyId);
  }
  if (teamId !== null) {
    const team = await keys.teams.find(teamId);
    if (!isThere(team) || team?.id !== teamId) throw unknown('team_id', teamId);
  }
  if (userId !== null) {
    const user = await keys.users.find(userId);
    if (!isThere(user) || user?.id !== userId) throw unknown('user_id', userId);
  }
}

/** @throws Refusal */
function refuseTeams({ role }: Visitor, param: string): never {
  throw new Refusal(
    'role_not_allowed',
    `The role ${role} makes and changes budgets of its team’s keys only; name one as key_id, and no team or user.`,
    { param },
  );
}

async function isSeen(keys: Keys, visitor: Visitor, { keyId, teamId, userId }: Budget): Promise<boolean> {
  if (visitor.teamId === null || visitor.teamId === teamId) return true;
  if (keyId !== null && (await keys.find(keyId))?.teamId === visitor.teamId) return true;
  return userId !== null && (await keys.users.find(userId))?.teamId === visitor.teamId;
}

/** Undefined for whoever sees all. */
async function seenBy(keys: Keys, { teamId }: Visitor): Promise<((budget: Budget) => boolean) | undefined> {
  if (teamId === null) return undefined;
  const { data: itsKeys } = await keys.list(ALL_OF_A_TEAM, { teamId });
  const { data: itsUsers } = await keys.users.list(ALL_OF_A_TEAM, { teamId });
  const ids = new Set<string>([teamId, ...itsKeys.map(({ id }) => id), ...itsUsers.map(({ id }) => id)]);
  return (budget) => [budget.teamId, budget.keyId, budget.userId].some((id) => id !== null && ids.has(id));
}

/** Deleted ones are not among them, nor are their budgets. */
const ALL_OF_A_TEAM = { limit: 100_000, cursor: null };
