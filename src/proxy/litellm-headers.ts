// What LiteLLM's clients read from replies, where `compatibility.litellm` is on: the cost, and what the key has spent.
import { WINDOWS_WIDEST_FIRST, limitAt } from '../domain/budget.ts';
import type { Clock } from '../domain/clock.ts';
import type { Settlement } from '../domain/exchange.ts';
import type { VirtualKey } from '../domain/key.ts';
import { type Money, formatUsd } from '../domain/money.ts';
import { LITELLM_COST_HEADER, LITELLM_MAX_BUDGET_HEADER, LITELLM_SPEND_HEADER } from '../http/headers.ts';
import type { Ledger } from '../ledger/ledger.ts';

export interface LitellmHeaders {
  /** For a reply whose cost is known. At once, but where the key's spend must be looked up. */
  of(settlement: Settlement, usd: string): readonly string[] | Promise<readonly string[]>;
}

/** What a key has spent in its budget's window, or, without a budget, ever. */
interface KeySpend {
  readonly spent: Money;
  readonly maxBudget: Money | null;
}

interface Known extends KeySpend {
  readonly at: number;
}

/** Other replicas spend too: after this long it is looked up again. Meanwhile what this process charges is added. */
const BELIEVED_MS = 10_000;
const KEYS_MAX = 10_000;
const HOUR_MS = 3_600_000;
const BUDGETS_MAX = 100;

export function openLitellmHeaders(
  ledger: Pick<Ledger, 'budgets' | 'report' | 'catchUp'>,
  clock: Clock,
): LitellmHeaders {
  const known = new Map<string, Known>();
  const asked = new Map<string, Promise<KeySpend>>();

  async function lookUp(key: VirtualKey): Promise<KeySpend> {
    const { data } = await ledger.budgets.list({ limit: BUDGETS_MAX, cursor: null }, { scope: 'key', keyId: key.id });
    const [widest] = data
      .filter(({ budget }) => budget.kind === 'hard' && budget.limitMoney !== null)
      .toSorted(
        (a, b) => WINDOWS_WIDEST_FIRST.indexOf(a.budget.window) - WINDOWS_WIDEST_FIRST.indexOf(b.budget.window),
      );
    if (widest !== undefined) return { spent: widest.spent, maxBudget: limitAt(widest.budget, clock.now()) };
    // What has ended is told, whether or not it was entered yet.
    await ledger.catchUp();
    const from = key.createdAt - (key.createdAt % HOUR_MS);
    const { totals } = await ledger.report({
      groupBy: [],
      from,
      to: clock.now() + HOUR_MS,
      where: { team: key.teamId, key: key.id },
    });
    return { spent: totals.measured + totals.estimated, maxBudget: null };
  }

  function remember(key: VirtualKey): Promise<KeySpend> {
    let running = asked.get(key.id);
    if (running === undefined) {
      if (known.size >= KEYS_MAX) known.clear();
      running = lookUp(key)
        .then((spend) => {
          known.set(key.id, { ...spend, at: clock.elapsedMs() });
          return spend;
        })
        .finally(() => asked.delete(key.id));
      asked.set(key.id, running);
    }
    return running;
  }

  return {
    of({ admission, cost }, usd) {
      const { key } = admission.caller;
      const before = known.get(key.id);
      if (before !== undefined && clock.elapsedMs() - before.at < BELIEVED_MS) {
        const now = { ...before, spent: before.spent + (cost.amount ?? 0n) };
        known.set(key.id, now);
        return headersOf(usd, now);
      }
      // A store that is away keeps no reply back.
      return remember(key).then(
        (spend) => headersOf(usd, spend),
        () => [LITELLM_COST_HEADER, usd],
      );
    },
  };
}

function headersOf(usd: string, { spent, maxBudget }: KeySpend): string[] {
  const headers = [LITELLM_COST_HEADER, usd, LITELLM_SPEND_HEADER, formatUsd(spent)];
  if (maxBudget !== null) headers.push(LITELLM_MAX_BUDGET_HEADER, formatUsd(maxBudget));
  return headers;
}
