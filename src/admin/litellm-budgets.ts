// LiteLLM writes budgets into what they bind; here each is a thing of its own. From the one to the other, and back. Pure.
import { WINDOWS_WIDEST_FIRST } from '../domain/budget.ts';
import { formatUsd, parseUsd } from '../domain/money.ts';
import type { Answer, BodyOf } from './contract.ts';
import { durationOf, windowOf } from './litellm-durations.ts';

type Budget = Answer<'findBudget'>;
type Owner = 'key' | 'team' | 'user';
export type NewBudget = NonNullable<BodyOf<'createKey'>['budgets']>[number];

interface Asked {
  readonly max_budget?: number | null | undefined;
  readonly soft_budget?: number | null | undefined;
  readonly budget_duration?: string | null | undefined;
  readonly budget_limits?:
    | readonly { readonly max_budget: number; readonly budget_duration: string }[]
    | null
    | undefined;
  readonly model_max_budget?: Readonly<Record<string, OfModel>> | null | undefined;
  readonly temp_budget_increase?: number | null | undefined;
}

type OfModel =
  | number
  | { readonly budget_limit: number; readonly time_period?: string | null | undefined }
  | { readonly max_budget: number; readonly budget_duration?: string | null | undefined };

export interface BudgetChanges {
  readonly made: readonly NewBudget[];
  readonly changed: readonly { readonly id: string; readonly body: BodyOf<'updateBudget'> }[];
  readonly removed: readonly string[];
}

/** The budget that LiteLLM calls `max_budget`: the hard one of the widest window. */
export function mainBudget(budgets: readonly Budget[], owner: Owner): Budget | undefined {
  const hard = budgets.filter((each) => each.scope === owner && each.kind === 'hard' && each.limit_usd !== null);
  return hard.toSorted((a, b) => WINDOWS_WIDEST_FIRST.indexOf(a.window) - WINDOWS_WIDEST_FIRST.indexOf(b.window))[0];
}

function softBudget(budgets: readonly Budget[], owner: Owner): Budget | undefined {
  return budgets.find((each) => each.scope === owner && each.kind === 'soft' && each.limit_usd !== null);
}

function modelBudgets(budgets: readonly Budget[]): Budget[] {
  return budgets.filter((each) => each.scope === 'model' && each.kind === 'hard' && each.limit_usd !== null);
}

export function newBudgets(asked: Asked): NewBudget[] {
  const { max_budget, soft_budget, budget_duration, budget_limits, model_max_budget } = asked;
  return [
    ...(isGiven(max_budget) ? [budgetOf(max_budget, budget_duration)] : []),
    ...(isGiven(soft_budget) ? [{ ...budgetOf(soft_budget, budget_duration), kind: 'soft' as const }] : []),
    ...(budget_limits ?? []).map((each) => budgetOf(each.max_budget, each.budget_duration)),
    ...budgetsOfModels(model_max_budget ?? {}),
  ];
}

/**
 * What a change of what they bind makes of its budgets. A budget keeps its window for life: for another one it is replaced.
 * @param there those that name what they bind
 */
export function changedBudgets(
  asked: Asked,
  owner: Owner,
  there: readonly Budget[],
  increaseUntil: string | null,
): BudgetChanges {
  const main = mainBudget(there, owner);
  const soft = softBudget(there, owner);
  const duration = asked.budget_duration;
  const plans = [
    planOf(main, asked.max_budget, duration, 'hard'),
    planOf(soft, asked.soft_budget, duration, 'soft'),
    asked.model_max_budget === undefined
      ? NOTHING
      : {
          made: budgetsOfModels(asked.model_max_budget ?? {}),
          changed: [],
          removed: modelBudgets(there).map(({ id }) => id),
        },
  ];
  const increase =
    isGiven(asked.temp_budget_increase) && increaseUntil !== null
      ? { usd: usdText(asked.temp_budget_increase), until: increaseUntil }
      : undefined;
  const whole = {
    made: plans.flatMap(({ made }) => made),
    changed: plans.flatMap(({ changed }) => changed),
    removed: plans.flatMap(({ removed }) => removed),
  };
  return increase === undefined ? whole : raised(whole, main, increase);
}

const NOTHING: BudgetChanges = { made: [], changed: [], removed: [] };

function planOf(
  there: Budget | undefined,
  limit: number | null | undefined,
  duration: string | null | undefined,
  kind: 'hard' | 'soft',
): BudgetChanges {
  if (limit === null) return there === undefined ? NOTHING : { ...NOTHING, removed: [there.id] };
  if (there === undefined)
    return isGiven(limit) ? { ...NOTHING, made: [{ ...budgetOf(limit, duration), kind }] } : NOTHING;
  if (duration !== undefined && windowFor(duration) !== there.window) {
    const limit_usd = isGiven(limit) ? usdText(limit) : there.limit_usd;
    const { thresholds, counts_estimates, time_zone, increase } = there;
    const kept = {
      thresholds: [...thresholds],
      counts_estimates,
      time_zone,
      ...(increase && { increase: { ...increase } }),
    };
    return { made: [{ ...kept, limit_usd, window: windowFor(duration), kind }], changed: [], removed: [there.id] };
  }
  return isGiven(limit) ? { ...NOTHING, changed: [{ id: there.id, body: { limit_usd: usdText(limit) } }] } : NOTHING;
}

/** The increase goes where the limit goes. */
function raised(
  changes: BudgetChanges,
  main: Budget | undefined,
  increase: { usd: string; until: string },
): BudgetChanges {
  const at = changes.made.findIndex(({ kind, model }) => kind === 'hard' && model === undefined);
  if (at !== -1) return { ...changes, made: changes.made.map((each, i) => (i === at ? { ...each, increase } : each)) };
  if (main === undefined) return changes;
  const others = changes.changed.filter(({ id }) => id !== main.id);
  const body = changes.changed.find(({ id }) => id === main.id)?.body ?? {};
  return { ...changes, changed: [...others, { id: main.id, body: { ...body, increase } }] };
}

function budgetsOfModels(asked: Readonly<Record<string, OfModel>>): NewBudget[] {
  return Object.entries(asked).map(([model, limit]) => {
    const name = withoutPrefix(model);
    if (typeof limit === 'number') return { ...budgetOf(limit, null), model: name };
    return 'budget_limit' in limit
      ? { ...budgetOf(limit.budget_limit, limit.time_period), model: name }
      : { ...budgetOf(limit.max_budget, limit.budget_duration), model: name };
  });
}

function budgetOf(limit: number, duration: string | null | undefined) {
  return { limit_usd: usdText(limit), window: windowFor(duration), kind: 'hard' as const };
}

function windowFor(duration: string | null | undefined) {
  return duration === null || duration === undefined ? 'total' : (windowOf(duration) ?? 'total');
}

/** A number as the shortest text that says it, or as near as whole pico-dollars come. */
export function usdText(usd: number): string {
  const text = String(usd);
  return /^\d+(\.\d{1,12})?$/.test(text) ? text : usd.toFixed(12);
}

/** LiteLLM's own name for OpenAI's models; requests name them without it. */
export function withoutPrefix(model: string): string {
  return model.startsWith('openai/') ? model.slice('openai/'.length) : model;
}

function isGiven(limit: number | null | undefined): limit is number {
  return limit !== null && limit !== undefined;
}

/** What LiteLLM's answers tell of the budgets of a key, team or user. */
export function budgetFacts(budgets: readonly Budget[], owner: Owner) {
  const main = mainBudget(budgets, owner);
  const soft = softBudget(budgets, owner);
  const others = budgets.filter(
    (each) => each.scope === owner && each.kind === 'hard' && each.limit_usd !== null && each !== main,
  );
  const models = modelBudgets(budgets).map((each) => [
    each.model ?? '',
    { budget_limit: Number(each.limit_usd), time_period: durationOf(each.window) },
  ]);
  return {
    max_budget: numberOf(main?.limit_usd),
    soft_budget: numberOf(soft?.limit_usd),
    budget_duration: main === undefined ? null : durationOf(main.window),
    budget_reset_at: main?.resets_at ?? null,
    budget_limits: others.map((each) => ({
      max_budget: numberOf(each.limit_usd),
      budget_duration: durationOf(each.window),
      reset_at: each.resets_at,
    })),
    model_max_budget: Object.fromEntries(models) as Record<string, unknown>,
    temp_budget_increase: numberOf(main?.increase?.usd),
    temp_budget_expiry: main?.increase?.until ?? null,
  };
}

export function numberOf(usd: string | null | undefined): number | null {
  return usd === null || usd === undefined ? null : Number(usd);
}

/** Measured and estimated together. */
export function sumOf({
  measured_usd,
  estimated_usd,
}: {
  readonly measured_usd: string;
  readonly estimated_usd: string;
}): number {
  return Number(formatUsd(parseUsd(measured_usd) + parseUsd(estimated_usd)));
}
