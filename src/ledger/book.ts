// The balances of this process, where it is the only one: in memory, decided at once. They are made from what the store has posted,
// and are never ahead of what the spool can tell again.
import type { HeldAmount, Hold } from '../domain/budget.ts';
import { limitAt, unitOf } from '../domain/budget.ts';
import { type Charge, type Entry, type Outcome, chargesOf, turnChargesOf } from '../domain/entry.ts';
import type { ExchangeId } from '../domain/id.ts';
import type { Balance, LedgerStore } from '../domain/ledger-store.ts';
import { type Bound, currentSpan } from './bounds.ts';
import { countsFrom } from './windows.ts';

/** Accounts of end users kept in memory, for each budget. Those that nothing waits for are read again when they come back. */
const ACCOUNTS_MAX = 10_000;
/** How many of the oldest are looked at for one that may go. */
const EVICTION_TRIES = 16;

/** What an exchange wants from one account of one budget. */
export interface Want {
  readonly bound: Bound;
  /** The end user; empty in all other budgets. */
  readonly account: string;
  readonly amount: bigint;
  /** It may cost something, but nobody knows what. */
  readonly isUnknown: boolean;
}

/** The budget that has not enough left. */
export interface Shortage extends Balance {
  readonly want: Want;
}

export type Placed = { readonly hold: Hold } | { readonly shortage: Shortage };

/** Where holds are decided. In memory all of it happens at once; where replicas share budgets, in the store. */
export interface Book {
  place(exchangeId: ExchangeId, wants: readonly Want[], at: number, details: () => string): Placed | Promise<Placed>;
  charge(hold: Hold, outcome: Outcome): void;
  chargeTurn(hold: Hold, outcome: Outcome): Fit | Promise<Fit>;
  extend(hold: Hold, more: Extension): Fit | Promise<Fit>;
  release(hold: Hold): void;
  /** Entries that the store has now. */
  posted(entries: readonly Entry[]): void;
  /** Charges that no hold stood for. */
  adjust(charges: readonly Charge[]): void;
  balanceOf(bound: Bound, at: number): Balance | Promise<Balance>;
  openHolds(): number;
  close(): Promise<void>;
}

export type Fit = 'ok' | 'over';

export interface Extension {
  readonly money: bigint | null;
  readonly tokens: number | null;
}

interface Piece {
  readonly start: number;
  spent: bigint;
  held: bigint;
  /** It belongs to what the account's sums are of. */
  isCounted: boolean;
  readonly account: Account;
}

interface Account {
  readonly bound: Bound;
  readonly name: string;
  spent: bigint;
  held: bigint;
  current: Piece;
  currentEnd: number;
  /** The current one last. One, but for rolling budgets. */
  pieces: Piece[];
  /** Open holds and charges that the store does not have yet. */
  busy: number;
}

interface Part {
  readonly piece: Piece;
  held: bigint;
}

export async function openBook(store: LedgerStore, bounds: Iterable<Bound>, at: number): Promise<Book> {
  const plain = new Map<Bound, Account>();
  const ofEndUsers = new Map<Bound, Map<string, Account>>();
  const loading = new Map<string, Promise<void>>();
  const open = new Map<ExchangeId, readonly Part[]>();
  /** Accounts of end users that must stay until their charges are posted. */
  const unposted = new Map<string, readonly Account[]>();
  await load();

  async function load(): Promise<void> {
    const bound = [...bounds].filter(({ isDeleted, budget }) => !isDeleted && budget.scope !== 'end_user');
    const from = bound.map((each) => countsFrom(each.budget, currentSpan(each, at)));
    const earliest = from.reduce((least, each) => (each > 0 && each < least ? each : least), at);
    const windows = new Map(bound.map((each) => [each.budget.id, [] as WindowSum[]]));
    for (const window of await store.windowsSince(earliest)) windows.get(window.budgetId)?.push(window);
    for (const each of bound) plain.set(each, makeAccount(each, '', at, windows.get(each.budget.id) ?? []));
  }

  function accountOf({ bound, account: name }: Pick<Want, 'bound' | 'account'>, moment: number): Account | null {
    let account: Account | undefined;
    if (bound.budget.scope === 'end_user') {
      const accounts = ofEndUsers.get(bound);
      account = accounts?.get(name);
      if (account === undefined || accounts === undefined) return null;
      accounts.delete(name);
      accounts.set(name, account);
    } else {
      account = plain.get(bound);
      // A budget that was made while this process runs begins with nothing.
      if (account === undefined) {
        account = makeAccount(bound, '', moment, []);
        plain.set(bound, account);
      }
    }
    if (moment >= account.currentEnd) roll(account, moment);
    return account;
  }

  async function loadAccount(bound: Bound, name: string, moment: number): Promise<void> {
    const key = `${bound.budget.id}\n${name}`;
    const begun = loading.get(key);
    if (begun !== undefined) return begun;
    const loaded = (async () => {
      const from = countsFrom(bound.budget, currentSpan(bound, moment));
      const windows = await store.windowsOf(bound.budget.id, name, from);
      let accounts = ofEndUsers.get(bound);
      if (accounts === undefined) ofEndUsers.set(bound, (accounts = new Map()));
      accounts.set(name, makeAccount(bound, name, moment, windows));
      if (accounts.size > ACCOUNTS_MAX) evict(accounts);
    })().finally(() => loading.delete(key));
    loading.set(key, loaded);
    return loaded;
  }

  function place(exchangeId: ExchangeId, wants: readonly Want[], moment: number): Placed | Promise<Placed> {
    const accounts: Account[] = [];
    for (const want of wants) {
      const account = accountOf(want, moment);
      if (account === null) return placeLater(exchangeId, wants, moment);
      accounts.push(account);
    }
    for (const [i, want] of wants.entries()) {
      const { spent, held } = accounts[i]!;
      if (!fits(want, spent + held, moment)) return { shortage: { want, spent, held } };
    }
    const amounts: HeldAmount[] = [];
    const parts: Part[] = [];
    for (const [i, { bound, account: name, amount }] of wants.entries()) {
      const account = accounts[i]!;
      const { current } = account;
      move(current, 0n, amount);
      account.busy++;
      parts.push({ piece: current, held: amount });
      amounts.push(heldAmount(bound, name, current.start, amount));
    }
    open.set(exchangeId, parts);
    return { hold: { exchangeId, amounts } };
  }

  /** Accounts that are not in memory are read first; then it is decided at once like any other. */
  async function placeLater(exchangeId: ExchangeId, wants: readonly Want[], moment: number): Promise<Placed> {
    for (;;) {
      const cold = wants.filter((want) => accountOf(want, moment) === null);
      if (cold.length === 0) return place(exchangeId, wants, moment);
      await Promise.all(cold.map(({ bound, account }) => loadAccount(bound, account, moment)));
    }
  }

  function settle(exchangeId: ExchangeId, charges: readonly Charge[]): void {
    const parts = open.get(exchangeId);
    if (parts === undefined) return;
    open.delete(exchangeId);
    const waiting: Account[] = [];
    for (const [i, { piece, held }] of parts.entries()) {
      move(piece, charges[i]?.amount ?? 0n, -held);
      if (piece.account.name === '') piece.account.busy--;
      else waiting.push(piece.account);
    }
    if (waiting.length > 0) unposted.set(exchangeId, waiting);
  }

  return {
    place,
    charge: (hold, outcome) => settle(hold.exchangeId, chargesOf(hold, outcome)),
    chargeTurn(hold, outcome) {
      const parts = open.get(hold.exchangeId) ?? [];
      let fit: Fit = 'ok';
      for (const [i, { amount }] of turnChargesOf(hold, outcome).entries()) {
        const part = parts[i];
        if (part === undefined) continue;
        move(part.piece, amount, 0n);
        const { bound, spent, held } = part.piece.account;
        if (
          bound.budget.kind === 'hard' &&
          part.piece.isCounted &&
          spent + held > limitAt(bound.budget, part.piece.start)
        )
          fit = 'over';
      }
      return fit;
    },
    extend(hold, { money, tokens }) {
      const parts = open.get(hold.exchangeId) ?? [];
      const more = parts.map(({ piece }) =>
        unitOf(piece.account.bound.budget) === 'money' ? (money ?? 0n) : BigInt(tokens ?? 0),
      );
      const isOver = parts.some(({ piece }, i) => {
        const { bound, spent, held } = piece.account;
        const isBinding = bound.budget.kind === 'hard' && piece.isCounted && !bound.isDeleted;
        return isBinding && spent + held + more[i]! > limitAt(bound.budget, piece.start);
      });
      if (isOver) return 'over';
      for (const [i, part] of parts.entries()) {
        move(part.piece, 0n, more[i]!);
        part.held += more[i]!;
      }
      return 'ok';
    },
    release(hold) {
      settle(hold.exchangeId, []);
      leave(hold.exchangeId);
    },
    posted(entries) {
      for (const { exchangeId, settleKey, charges } of entries) {
        if (exchangeId === null || settleKey !== exchangeId) continue;
        settle(exchangeId, charges);
        leave(exchangeId);
      }
    },
    adjust(charges) {
      for (const { budgetId, account: name, windowStart, amount } of charges) {
        for (const [bound, account] of plain) if (bound.budget.id === budgetId && name === '') adjustIn(account);
        for (const [bound, accounts] of ofEndUsers) {
          const account = bound.budget.id === budgetId ? accounts.get(name) : undefined;
          if (account !== undefined) adjustIn(account);
        }
        function adjustIn(account: Account): void {
          const piece = account.pieces.find(({ start }) => start === windowStart);
          if (piece !== undefined) move(piece, amount, 0n);
        }
      }
    },
    balanceOf(bound, moment) {
      if (bound.budget.scope !== 'end_user') {
        const account = accountOf({ bound, account: '' }, moment)!;
        return { spent: account.spent, held: account.held };
      }
      let held = 0n;
      for (const account of ofEndUsers.get(bound)?.values() ?? []) held += account.held;
      const from = countsFrom(bound.budget, currentSpan(bound, moment));
      return store.sumOf(bound.budget.id, from).then(({ spent }) => ({ spent, held }));
    },
    openHolds: () => open.size,
    close: async () => {},
  };

  function leave(exchangeId: string): void {
    for (const account of unposted.get(exchangeId) ?? []) account.busy--;
    unposted.delete(exchangeId);
  }
}

/** Whether a budget has enough left for what is wanted of it, on top of what is spent and held. */
export function fits({ bound, amount, isUnknown }: Want, taken: bigint, at: number): boolean {
  const { budget, isDeleted } = bound;
  if (budget.kind !== 'hard' || isDeleted) return true;
  const limit = limitAt(budget, at);
  return isUnknown ? taken < limit : taken + amount <= limit;
}

export function heldAmount({ budget }: Bound, account: string, windowStart: number, amount: bigint): HeldAmount {
  const { id: budgetId, countsEstimates } = budget;
  return { budgetId, account, windowStart, unit: unitOf(budget), countsEstimates, amount };
}

type WindowSum = { readonly windowStart: number; readonly spent: bigint };

function makeAccount(bound: Bound, name: string, at: number, windows: readonly WindowSum[]): Account {
  const span = currentSpan(bound, at);
  const from = countsFrom(bound.budget, span);
  const account: Omit<Account, 'current'> & { current?: Piece } = {
    bound,
    name,
    spent: 0n,
    held: 0n,
    currentEnd: span.end,
    pieces: [],
    busy: 0,
  };
  const made = account as Account; // Whole once it has its current piece, three lines below.
  const past = windows.filter(({ windowStart }) => windowStart >= from && windowStart < span.start);
  const now = windows.find(({ windowStart }) => windowStart === span.start) ?? { windowStart: span.start, spent: 0n };
  for (const { windowStart, spent } of [...past.toSorted((a, b) => a.windowStart - b.windowStart), now]) {
    made.current = { start: windowStart, spent: 0n, held: 0n, isCounted: true, account: made };
    made.pieces.push(made.current);
    move(made.current, spent, 0n);
  }
  return made;
}

/** Begins the window, or the piece of one, that a moment belongs to, and leaves what no longer counts. */
function roll(account: Account, at: number): void {
  const { bound } = account;
  const span = currentSpan(bound, at);
  const from = countsFrom(bound.budget, span);
  for (const piece of account.pieces) {
    if (piece.start >= from) continue;
    piece.isCounted = false;
    account.spent -= piece.spent;
    account.held -= piece.held;
  }
  account.pieces = account.pieces.filter(({ isCounted }) => isCounted);
  account.current = { start: span.start, spent: 0n, held: 0n, isCounted: true, account };
  account.currentEnd = span.end;
  account.pieces.push(account.current);
}

function move(piece: Piece, spent: bigint, held: bigint): void {
  piece.spent += spent;
  piece.held += held;
  if (!piece.isCounted) return;
  piece.account.spent += spent;
  piece.account.held += held;
}

function evict(accounts: Map<string, Account>): void {
  let tries = 0;
  for (const [name, { busy }] of accounts) {
    if (busy === 0) {
      accounts.delete(name);
      return;
    }
    if (++tries === EVICTION_TRIES) return;
  }
}
