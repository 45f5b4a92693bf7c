// Which budgets bind an exchange. Asked for each one, so that the answer is kept by key and model until a budget changes.
import type { Budget } from '../domain/budget.ts';
import type { BudgetId, KeyId, UserId } from '../domain/id.ts';
import type { Caller } from '../domain/key.ts';
import { type Span, spanAt } from './windows.ts';

/** Keys, and models of one of them, whose plans are kept; the oldest goes. */
const KEYS_MAX = 20_000;
const MODELS_MAX = 64;

/** A budget in force. The object stays the same for as long as there is the budget. */
export interface Bound {
  budget: Budget;
  isDeleted: boolean;
  /** The window, or the piece of one, that was asked for last. */
  span: Span;
  readonly matchesModel: ((model: string) => boolean) | null;
}

/** What binds exchanges of one key with one model. */
export interface Plan {
  /** Whatever else an exchange says of itself. */
  readonly always: readonly Bound[];
  /** Those that name a tag. */
  readonly byTag: readonly Bound[];
  /** With an account for each end user. */
  readonly byEndUser: readonly Bound[];
  /** One of them may refuse. */
  readonly isHard: boolean;
}

export const NO_PLAN: Plan = { always: [], byTag: [], byEndUser: [], isHard: false };

export interface Bounds {
  /** @param model null where the request names none; `unknown` where it may name one that could not be read: then all may be meant */
  planFor(caller: Caller, model: string | null | typeof UNKNOWN_MODEL): Plan;
  find(id: BudgetId): Bound | undefined;
  /** Takes in what was made or changed. */
  put(budget: Budget, isDeleted: boolean): Bound;
  all(): Iterable<Bound>;
}

export const UNKNOWN_MODEL = Symbol('unknown model');

interface Plans {
  readonly userId: UserId | null;
  readonly byModel: Map<string | null | typeof UNKNOWN_MODEL, Plan>;
}

export function openBounds(): Bounds {
  const bounds = new Map<BudgetId, Bound>();
  const plans = new Map<KeyId, Plans>();
  /** By the one id that all of its exchanges share: so that a thousand keys' budgets are not looked through for each of them. */
  let byOwner: Map<string | null, Bound[]> | null = null;

  function owners(): Map<string | null, Bound[]> {
    if (byOwner !== null) return byOwner;
    byOwner = new Map();
    for (const bound of bounds.values()) {
      if (bound.isDeleted) continue;
      const { keyId, userId, teamId } = bound.budget;
      const owner = keyId ?? userId ?? teamId;
      const others = byOwner.get(owner);
      if (others === undefined) byOwner.set(owner, [bound]);
      else others.push(bound);
    }
    return byOwner;
  }

  function makePlan({ key, team }: Caller, model: string | null | typeof UNKNOWN_MODEL): Plan {
    const owned = owners();
    const near = [null, team.id, key.userId, key.id].flatMap((owner, i) =>
      i > 0 && owner === null ? [] : (owned.get(owner) ?? []),
    );
    const binding = near.filter(({ budget, matchesModel }) => {
      const { keyId, teamId, userId } = budget;
      const isOwned =
        (keyId === null || keyId === key.id) &&
        (teamId === null || teamId === team.id) &&
        (userId === null || userId === key.userId);
      return isOwned && (matchesModel === null || model === UNKNOWN_MODEL || (model !== null && matchesModel(model)));
    });
    if (binding.length === 0) return NO_PLAN;
    return {
      always: binding.filter(({ budget }) => budget.scope !== 'tag' && budget.scope !== 'end_user'),
      byTag: binding.filter(({ budget }) => budget.scope === 'tag'),
      byEndUser: binding.filter(({ budget }) => budget.scope === 'end_user'),
      isHard: binding.some(({ budget }) => budget.kind === 'hard'),
    };
  }

  return {
    planFor(caller, model) {
      const { id, userId } = caller.key;
      let known = plans.get(id);
      if (known === undefined || known.userId !== userId) {
        if (plans.size >= KEYS_MAX) plans.delete(plans.keys().next().value!);
        known = { userId, byModel: new Map() };
        plans.set(id, known);
      }
      let plan = known.byModel.get(model);
      if (plan === undefined) {
        if (known.byModel.size >= MODELS_MAX) known.byModel.clear();
        plan = makePlan(caller, model);
        known.byModel.set(model, plan);
      }
      return plan;
    },
    find: (id) => bounds.get(id),
    put(budget, isDeleted) {
      plans.clear();
      byOwner = null;
      const known = bounds.get(budget.id);
      if (known !== undefined) {
        known.budget = budget;
        known.isDeleted = isDeleted;
        return known;
      }
      const matchesModel = budget.model === null ? null : modelMatcher(budget.model);
      const bound: Bound = { budget, isDeleted, span: spanAt(budget, budget.createdAt), matchesModel };
      bounds.set(budget.id, bound);
      return bound;
    },
    all: () => bounds.values(),
  };
}

/** The window of a bound at a moment, found anew only when the last one is over. A clock that goes back stays in it. */
export function currentSpan(bound: Bound, at: number): Span {
  if (at >= bound.span.end) bound.span = spanAt(bound.budget, at);
  return bound.span;
}

/** @param pattern in which `*` stands for any characters */
function modelMatcher(pattern: string): (model: string) => boolean {
  if (!pattern.includes('*')) return (model) => model === pattern;
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`));
  const regExp = new RegExp(`^${parts.join('.*')}$`, 's');
  return (model) => regExp.test(model);
}
