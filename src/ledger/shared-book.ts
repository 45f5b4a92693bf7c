// Holds where replicas share budgets: decided in the store, all of one turn of the event loop in one round trip. A hold has an owner
// and a lease; whoever finds one whose owner is gone settles it.
import type { Hold } from '../domain/budget.ts';
import { unitOf } from '../domain/budget.ts';
import type { Entry } from '../domain/entry.ts';
import type { ExchangeId } from '../domain/id.ts';
import type {
  ExpiredHold,
  LedgerStore,
  SharedAmount,
  SharedAnswer,
  SharedAsk,
  SharedHolds,
} from '../domain/ledger-store.ts';
import type { Log } from '../telemetry/log.ts';
import { type Book, type Extension, type Fit, type Placed, type Want, heldAmount } from './book.ts';
import { type Bounds, currentSpan } from './bounds.ts';
import { countsFrom } from './windows.ts';

const LEASE_MS = 30_000;
const RENEW_EVERY_MS = 10_000;
/** Asks of one round trip, and how long one may take before the store counts as away. */
const ASKS_MAX = 200;
const ANSWER_MS = 3000;
const EXPIRED_MAX = 100;
const RENEW_MAX = 1000;

export interface SharedBookParts {
  readonly store: LedgerStore;
  readonly bounds: Bounds;
  readonly log: Log;
  /** This replica. */
  readonly owner: string;
  /** Posts what this replica has settled. @returns whether there was anything */
  readonly settleFirst: () => Promise<boolean>;
  readonly entryOfExpired: (hold: ExpiredHold) => Entry;
  /** What was entered for them. */
  readonly onExpired: (entries: readonly Entry[]) => void;
}

/** The store did not decide. */
export class StoreAway extends Error {
  override readonly name = 'StoreAway';
}

interface Waiting {
  readonly ask: SharedAsk;
  readonly resolve: (answer: SharedAnswer) => void;
  readonly reject: (error: Error) => void;
}

export function openSharedBook(holds: SharedHolds, parts: SharedBookParts): Book {
  const { store, bounds, log, owner, settleFirst } = parts;
  const waiting: Waiting[] = [];
  /** Held here: their leases are renewed until the store has their entries. */
  const open = new Set<ExchangeId>();
  const settled = new Set<ExchangeId>();
  let released: ExchangeId[] = [];
  let isTending = false;

  function decide(ask: SharedAsk): Promise<SharedAnswer> {
    return new Promise((resolve, reject) => {
      if (waiting.length === 0) setImmediate(send);
      waiting.push({ ask, resolve, reject });
    });
  }

  function send(): void {
    while (waiting.length > 0) void sendSome(waiting.splice(0, ASKS_MAX));
  }

  async function sendSome(some: readonly Waiting[]): Promise<void> {
    // Answered in time or refused: one that is held later after all is given back.
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      for (const { reject } of some) reject(new StoreAway('the store does not answer'));
    }, ANSWER_MS);
    try {
      const asks = some.map(({ ask }) => ask);
      const answers = await holds.place(asks, owner, store.now() + LEASE_MS);
      for (const [i, { ask, resolve }] of some.entries()) {
        const answer = answers[i] ?? null;
        if (answer === null && isLate) giveBack(ask.exchangeId);
        else resolve(answer);
      }
    } catch (cause) {
      for (const { reject } of some) reject(new StoreAway('the store does not decide', { cause }));
    } finally {
      clearTimeout(timer);
    }
  }

  async function place(exchangeId: ExchangeId, wants: readonly Want[], details: () => string): Promise<Placed> {
    const at = store.now();
    const amounts = wants.map((want) => sharedAmount(want, at));
    const ask = { exchangeId, amounts, details: details() };
    let answer = await decide(ask);
    // What this replica has settled may not be posted yet: then more is held than is true.
    if (answer !== null && (await settleFirst())) answer = await decide(ask);
    if (answer !== null) {
      const { budgetId, spent, held } = answer;
      const want = wants.find(({ bound }) => bound.budget.id === budgetId)!;
      return { shortage: { want, spent, held } };
    }
    open.add(exchangeId);
    return {
      hold: { exchangeId, amounts: amounts.map(({ countsFrom: _from, isUnknown: _unknown, ...held }) => held) },
    };
  }

  function giveBack(exchangeId: ExchangeId): void {
    open.delete(exchangeId);
    if (released.length === 0) setImmediate(() => void sendBack());
    released.push(exchangeId);
  }

  async function sendBack(): Promise<void> {
    const some = released;
    released = [];
    try {
      await holds.release(some);
    } catch {
      // They run out by themselves, and cost until then; better that than to free what may be running.
      log.warn('holds not given back, they will expire', { holds: some.length });
    }
  }

  /** Renews what is held here, and settles what nobody renews. */
  async function tend(): Promise<void> {
    if (isTending) return;
    isTending = true;
    try {
      const ids = [...open];
      for (let at = 0; at < ids.length; at += RENEW_MAX)
        await holds.renew(ids.slice(at, at + RENEW_MAX), store.now() + LEASE_MS);
      const entries = await holds.settleExpired(EXPIRED_MAX, parts.entryOfExpired);
      if (entries.length === 0) return;
      parts.onExpired(entries);
      log.error('holds of a replica that is gone were charged as estimated', {
        holds: entries.length,
        first: entries[0]?.settleKey ?? null,
      });
    } catch (error) {
      log.warn('holds not renewed, will try again', { why: error instanceof Error ? error.message : String(error) });
    } finally {
      isTending = false;
    }
  }
  const timer = setInterval(() => void tend(), RENEW_EVERY_MS);
  timer.unref();

  async function fitsMore(hold: Hold, more: Extension): Promise<Fit> {
    const at = store.now();
    const amounts: SharedAmount[] = hold.amounts.flatMap((held) => {
      const bound = bounds.find(held.budgetId);
      if (bound === undefined) return [];
      const amount = unitOf(bound.budget) === 'money' ? (more.money ?? 0n) : BigInt(more.tokens ?? 0);
      const from = countsFrom(bound.budget, currentSpan(bound, at));
      return [{ ...held, amount, countsFrom: Math.min(from, held.windowStart), isUnknown: false }];
    });
    try {
      return (await holds.extend(hold.exchangeId, amounts)) ? 'ok' : 'over';
    } catch {
      // What runs goes on: it is charged in full however it ends.
      return 'ok';
    }
  }

  return {
    place: (exchangeId, wants, _at, details) => place(exchangeId, wants, details),
    charge: ({ exchangeId }) => void settled.add(exchangeId),
    chargeTurn: (hold) => fitsMore(hold, { money: null, tokens: null }),
    extend: fitsMore,
    release: ({ exchangeId }) => giveBack(exchangeId),
    posted(entries) {
      for (const { exchangeId, settleKey } of entries) {
        if (exchangeId === null || settleKey !== exchangeId) continue;
        open.delete(exchangeId);
        settled.delete(exchangeId);
      }
    },
    adjust() {},
    balanceOf: (bound, at) => store.sumOf(bound.budget.id, countsFrom(bound.budget, currentSpan(bound, at))),
    openHolds: () => open.size - settled.size,
    async close() {
      clearInterval(timer);
      await sendBack();
    },
  };
}

function sharedAmount({ bound, account, amount, isUnknown }: Want, at: number): SharedAmount {
  const span = currentSpan(bound, at);
  return {
    ...heldAmount(bound, account, span.start, amount),
    countsFrom: countsFrom(bound.budget, span),
    isUnknown,
  };
}
