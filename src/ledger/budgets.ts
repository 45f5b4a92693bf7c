// Budgets as the operator makes and changes them. What is written here binds in this process at once, on other replicas soon after.
import { type Actor, SYSTEM } from '../domain/audit.ts';
import type { Budget, BudgetScope, BudgetWindow } from '../domain/budget.ts';
import { ChangeRefused } from '../domain/change-refused.ts';
import type { Clock } from '../domain/clock.ts';
import { type BudgetId, type KeyId, type TeamId, type UserId, newId } from '../domain/id.ts';
import type { Balance, LedgerStore } from '../domain/ledger-store.ts';
import type { Money } from '../domain/money.ts';
import type { Listed, Page } from '../domain/stores.ts';
import type { Book } from './book.ts';
import type { Bound, Bounds } from './bounds.ts';
import { isTimeZone, resetsAt } from './windows.ts';

export interface NewBudget {
  readonly scope: BudgetScope;
  readonly keyId?: KeyId | null;
  readonly teamId?: TeamId | null;
  readonly userId?: UserId | null;
  readonly model?: string | null;
  readonly tag?: string | null;
  /** Money or tokens, never both. */
  readonly limitMoney?: Money | null;
  readonly limitTokens?: number | null;
  readonly window?: BudgetWindow;
  readonly isRolling?: boolean;
  readonly timeZone?: string;
  readonly kind?: Budget['kind'];
  readonly countsEstimates?: boolean;
  readonly thresholds?: readonly number[];
  readonly increase?: Budget['increase'];
}

/** What it binds, its window and its unit stay what they are: another budget is made for another. */
export type BudgetChange = Pick<
  NewBudget,
  'limitMoney' | 'limitTokens' | 'kind' | 'countsEstimates' | 'thresholds' | 'increase'
>;

export interface BudgetFilter {
  readonly scope?: BudgetScope | undefined;
  readonly keyId?: string | undefined;
  readonly teamId?: string | undefined;
  readonly userId?: string | undefined;
  /** What else it must be. */
  readonly isWanted?: ((budget: Budget) => boolean) | undefined;
}

/** A budget as it stands: all accounts together in the scope `end_user`. */
export interface BudgetStatus extends Balance {
  readonly budget: Budget;
  /** Milliseconds since 1970; null where it never begins anew, or does little by little. */
  readonly resetsAt: number | null;
}

export interface Budgets {
  /** What `create` would refuse, but for whom it names. @throws ChangeRefused */
  check(budget: NewBudget): void;
  /** @param actor the gateway itself where nobody is named. @throws ChangeRefused */
  create(budget: NewBudget, actor?: Actor): Promise<Budget>;
  /** Null for an unknown id. @throws ChangeRefused */
  update(id: BudgetId, change: BudgetChange, actor?: Actor): Promise<Budget | null>;
  /** Exchanges that run go on; what they cost is entered all the same. @returns whether there was one */
  delete(id: BudgetId, actor?: Actor): Promise<boolean>;
  find(id: BudgetId): Promise<BudgetStatus | null>;
  /** Newest first. */
  list(page: Page, filter: BudgetFilter): Promise<Listed<BudgetStatus>>;
}

/** Whom a budget may name. Deleted ones are not there. */
export interface Owners {
  hasTeam(id: TeamId): Promise<boolean>;
  hasKey(id: KeyId): Promise<boolean>;
  hasUser(id: UserId): Promise<boolean>;
}

const THRESHOLDS = [50, 80, 100] as const;
const THRESHOLDS_MAX = 10;
const PERCENT_MAX = 1000;
const NAME_CHARACTERS_MAX = 100;

export function openBudgets(store: LedgerStore, bounds: Bounds, book: Book, owners: Owners, clock: Clock): Budgets {
  async function statusOf(bound: Bound): Promise<BudgetStatus> {
    const at = clock.now();
    const { spent, held } = await book.balanceOf(bound, at);
    return { budget: bound.budget, spent, held, resetsAt: resetsAt(bound.budget, at) };
  }

  return {
    check: (wanted) => void budgetOf(wanted, clock.now()),
    async create(wanted, actor = SYSTEM) {
      const budget = budgetOf(wanted, clock.now());
      await checkOwners(budget, owners);
      await store.insertBudget(budget, { actor, action: 'created' });
      bounds.put(budget, false);
      return budget;
    },
    async update(id, change, actor = SYSTEM) {
      const budget = await store.updateBudget(id, (before) => changed(before, change), { actor, action: 'updated' });
      if (budget !== null) bounds.put(budget, false);
      return budget;
    },
    async delete(id, actor = SYSTEM) {
      const isDeleted = await store.deleteBudget(id, { actor, action: 'deleted' });
      const bound = bounds.find(id);
      if (isDeleted && bound !== undefined) bounds.put(bound.budget, true);
      return isDeleted;
    },
    async find(id) {
      const bound = bounds.find(id);
      return bound === undefined || bound.isDeleted ? null : statusOf(bound);
    },
    async list({ limit, cursor }, { scope, keyId, teamId, userId, isWanted }) {
      const matching = [...bounds.all()]
        .filter(
          ({ budget, isDeleted }) =>
            !isDeleted &&
            (scope === undefined || budget.scope === scope) &&
            (keyId === undefined || budget.keyId === keyId) &&
            (teamId === undefined || budget.teamId === teamId) &&
            (userId === undefined || budget.userId === userId) &&
            (isWanted === undefined || isWanted(budget)) &&
            (cursor === null || budget.id < cursor),
        )
        .toSorted((a, b) => (a.budget.id < b.budget.id ? 1 : -1));
      const data = await Promise.all(matching.slice(0, limit).map(statusOf));
      return { data, nextCursor: matching.length > limit ? (data.at(-1)?.budget.id ?? null) : null };
    },
  };
}

/** What each scope must name, and what it may name besides: then it binds only exchanges of those. */
const NAMES: Readonly<Record<BudgetScope, { readonly must: Named | null; readonly may: readonly Named[] }>> = {
  key: { must: 'keyId', may: [] },
  team: { must: 'teamId', may: [] },
  user: { must: 'userId', may: ['teamId'] },
  end_user: { must: null, may: ['keyId', 'teamId'] },
  model: { must: 'model', may: ['keyId', 'teamId', 'userId'] },
  tag: { must: 'tag', may: ['keyId', 'teamId', 'userId'] },
  global: { must: null, may: [] },
};
type Named = 'keyId' | 'teamId' | 'userId' | 'model' | 'tag';
const FIELDS: Readonly<Record<Named, string>> = {
  keyId: 'key_id',
  teamId: 'team_id',
  userId: 'user_id',
  model: 'model',
  tag: 'tag',
};

function budgetOf(wanted: NewBudget, at: number): Budget {
  const { must, may } = NAMES[wanted.scope];
  for (const name of Object.keys(FIELDS) as Named[]) {
    const value = wanted[name] ?? null;
    if (name === must && value === null)
      throw new ChangeRefused(
        'invalid',
        FIELDS[name],
        'absent',
        `name what a budget of the scope "${wanted.scope}" binds`,
      );
    if (value !== null && name !== must && !may.includes(name))
      throw new ChangeRefused('invalid', FIELDS[name], value, `a budget of the scope "${wanted.scope}" names none`);
    if (value !== null && (value === '' || value.length > NAME_CHARACTERS_MAX))
      throw new ChangeRefused('invalid', FIELDS[name], value, `write 1 to ${NAME_CHARACTERS_MAX} characters`);
  }
  const { limitMoney = null, limitTokens = null, window = 'total', isRolling = false, timeZone = 'UTC' } = wanted;
  if ((limitMoney === null) === (limitTokens === null))
    throw new ChangeRefused(
      'invalid',
      'limit_usd',
      'absent or beside limit_tokens',
      'give one of limit_usd and limit_tokens',
    );
  if (isRolling && window === 'total')
    throw new ChangeRefused(
      'invalid',
      'rolling',
      'true',
      'a budget without an end does not roll: give it another window',
    );
  if (!isTimeZone(timeZone))
    throw new ChangeRefused('invalid', 'time_zone', timeZone, 'write an IANA name, such as Europe/Berlin');
  const budget: Budget = {
    id: newId('budget', at),
    scope: wanted.scope,
    keyId: wanted.keyId ?? null,
    teamId: wanted.teamId ?? null,
    userId: wanted.userId ?? null,
    model: wanted.model ?? null,
    tag: wanted.tag ?? null,
    limitMoney,
    limitTokens,
    window,
    isRolling,
    timeZone,
    kind: wanted.kind ?? 'hard',
    countsEstimates: wanted.countsEstimates ?? true,
    thresholds: [...(wanted.thresholds ?? THRESHOLDS)].toSorted((a, b) => a - b),
    increase: wanted.increase ?? null,
    createdAt: at,
  };
  check(budget);
  return budget;
}

function changed(before: Budget, change: BudgetChange): Budget {
  const { limitMoney, limitTokens, kind, countsEstimates, thresholds, increase } = change;
  const given = before.limitMoney === null ? limitMoney : limitTokens;
  if (given !== undefined && given !== null) {
    const [field, other] = before.limitMoney === null ? ['limit_usd', 'tokens'] : ['limit_tokens', 'money'];
    throw new ChangeRefused('invalid', field, String(given), `this budget counts ${other}; make another for this`);
  }
  const budget: Budget = {
    ...before,
    limitMoney: limitMoney ?? before.limitMoney,
    limitTokens: limitTokens ?? before.limitTokens,
    kind: kind ?? before.kind,
    countsEstimates: countsEstimates ?? before.countsEstimates,
    thresholds: thresholds === undefined ? before.thresholds : [...thresholds].toSorted((a, b) => a - b),
    increase: increase === undefined ? before.increase : increase,
  };
  check(budget);
  return budget;
}

function check({ limitMoney, limitTokens, thresholds, increase }: Budget): void {
  if (limitMoney !== null && limitMoney < 0n)
    throw new ChangeRefused('invalid', 'limit_usd', 'below 0', 'write 0 or more, such as 0.50');
  if (limitTokens !== null && (!Number.isSafeInteger(limitTokens) || limitTokens < 0))
    throw new ChangeRefused('invalid', 'limit_tokens', String(limitTokens), 'write a whole number, 0 or more');
  const isPercentage = (each: number) => Number.isFinite(each) && each > 0 && each <= PERCENT_MAX;
  if (thresholds.length > THRESHOLDS_MAX || !thresholds.every(isPercentage))
    throw new ChangeRefused(
      'invalid',
      'thresholds',
      thresholds.join(', '),
      `write at most ${THRESHOLDS_MAX} percentages above 0 and up to ${PERCENT_MAX}`,
    );
  if (increase === null) return;
  const more = limitMoney === null ? increase.tokens : increase.money;
  const other = limitMoney === null ? increase.money : increase.tokens;
  if (more === null || more < 0 || other !== null || !Number.isSafeInteger(increase.until))
    throw new ChangeRefused(
      'invalid',
      'increase',
      'of another unit, or below 0',
      "raise what the budget's limit counts, by 0 or more",
    );
}

async function checkOwners({ keyId, teamId, userId }: Budget, owners: Owners): Promise<void> {
  if (keyId !== null && !(await owners.hasKey(keyId))) throw unknown('key_id', keyId, 'key');
  if (teamId !== null && !(await owners.hasTeam(teamId))) throw unknown('team_id', teamId, 'team');
  if (userId !== null && !(await owners.hasUser(userId))) throw unknown('user_id', userId, 'user');
}

function unknown(field: string, id: string, what: string): ChangeRefused {
  return new ChangeRefused('unknown', field, id, `there is no such ${what}`);
}
