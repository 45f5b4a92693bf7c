// LiteLLM's /budget/*. There a budget is a template that keys refer to; here each binds what it names.
import { Refusal } from '../domain/refusal.ts';
import type { Answer } from './contract.ts';
import { newBudgets, usdText } from './litellm-budgets.ts';
import type { Lookup } from './litellm-lookup.ts';
import { LitellmReply } from './litellm-reply.ts';
import { budgetInfo } from './litellm-views.ts';
import type { LitellmAnswers } from './litellm.ts';
import { saidOf } from './views.ts';

type BudgetNames =
  | 'litellmNewBudget'
  | 'litellmUpdateBudget'
  | 'litellmFindBudgets'
  | 'litellmListBudgets'
  | 'litellmDeleteBudget';

export function litellmBudgets(): Pick<LitellmAnswers, BudgetNames> {
  return {
    async litellmNewBudget({ body }, look) {
      const [wanted, ...others] = newBudgets(body);
      if (wanted === undefined || others.length > 0) {
        const said = wanted === undefined ? 'missing' : 'beside soft_budget';
        throw new Refusal('bad_request', `max_budget is ${said}; give one of max_budget and soft_budget.`, {
          param: 'max_budget',
        });
      }
      const names = {
        key_id: body.key ? (await look.key(body.key)).id : undefined,
        team_id: body.team_id ? (await look.team(body.team_id)).id : undefined,
        user_id: body.user_id ? (await look.user(body.user_id)).id : undefined,
        model: body.model ?? undefined,
        tag: body.tag ?? undefined,
      };
      if (Object.values(names).every((name) => name === undefined)) {
        const message =
          'key is missing; name what the budget binds: key, team_id, user_id, model or tag. Or give max_budget to a key, team or user.';
        throw new Refusal('bad_request', message, { param: 'key' });
      }
      const made = await look.ask('createBudget', { body: { ...wanted, ...saidOf(names) } });
      return new LitellmReply(await budgetInfo(made, look));
    },
    async litellmUpdateBudget({ body: { budget_id, max_budget, soft_budget } }, look) {
      const budget = await look.ask('findBudget', { id: budget_id });
      const [field, limit, other] =
        budget.kind === 'hard'
          ? (['max_budget', max_budget, soft_budget] as const)
          : (['soft_budget', soft_budget, max_budget] as const);
      if (typeof limit !== 'number' || typeof other === 'number') {
        throw new Refusal('bad_request', `${field} is missing; this budget is ${budget.kind}: give ${field} alone.`, {
          param: field,
        });
      }
      const changed = await look.ask('updateBudget', { id: budget_id, body: { limit_usd: usdText(limit) } });
      return new LitellmReply(await budgetInfo(changed, look));
    },
    async litellmFindBudgets({ body }, look) {
      const found = await Promise.all(body.budgets.map((id) => look.ask('findBudget', { id })));
      return new LitellmReply(await Promise.all(found.map((budget) => budgetInfo(budget, look))));
    },
    async litellmListBudgets(_call, look) {
      // Those of tokens have no name in LiteLLM.
      const money = (await allBudgets(look)).filter(({ limit_usd }) => limit_usd !== null);
      return new LitellmReply(await Promise.all(money.map((budget) => budgetInfo(budget, look))));
    },
    async litellmDeleteBudget({ body: { id } }, look) {
      await look.ask('deleteBudget', { id });
      return new LitellmReply({ budget_id: id });
    },
  };
}

async function allBudgets(look: Lookup): Promise<Answer<'findBudget'>[]> {
  const all: Answer<'findBudget'>[] = [];
  let cursor: string | null | undefined;
  do {
    const page = await look.ask('listBudgets', { query: { limit: '1000', ...(cursor && { cursor }) } });
    all.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return all;
}
