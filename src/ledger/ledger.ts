// The door to money: what an exchange may take is set aside before the upstream is called, the truth is charged after, and all of it
// is entered once. Nobody else writes money.
import { type Budget, type Hold, limitAt } from '../domain/budget.ts';
import type { Clock } from '../domain/clock.ts';
import type { CostTally } from '../domain/cost-tally.ts';
import type { Endpoint } from '../domain/endpoint.ts';
import type { Charge, Entry, Outcome } from '../domain/entry.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import { type ExchangeId, newId } from '../domain/id.ts';
import type { Caller } from '../domain/key.ts';
import type { LedgerStore, Posted } from '../domain/ledger-store.ts';
import type { Cost } from '../domain/price.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Spool } from '../domain/stores.ts';
import type { Log } from '../telemetry/log.ts';
import { type Book, type Extension, type Fit, type Placed, type Want, openBook } from './book.ts';
import { type Bound, type Bounds, NO_PLAN, UNKNOWN_MODEL, openBounds } from './bounds.ts';
import { type Budgets, type Owners, openBudgets } from './budgets.ts';
import { chainOf } from './chain.ts';
import { type Correction, type Standing, correctionEntries, standingOf } from './corrections.ts';
import { type BilledDrift, driftEntry, driftPrefix } from './drift-entry.ts';
import { type EntriesSpan, entriesBetween } from './entries-between.ts';
import { openEntries } from './entries.ts';
import { type HoldDetails, entryOfExpired, nameOf } from './entry-of.ts';
import { openInputFiles } from './input-files.ts';
import { type LateCharge, lateEntry } from './late-entry.ts';
import { openLocalPosting } from './local-posting.ts';
import { restoreEntries } from './lost-entries.ts';
import { type PostingParts, openPosting, tallyOf } from './posting.ts';
import { type Drift, findDrift } from './rebuild.ts';
import { openReplyLengths } from './reply-lengths.ts';
import { type SpendPage, type SpendQuery, type SpendReport, type SpendRow, openReport } from './report.ts';
import { openSharedBook } from './shared-book.ts';
import { refusalOf, undecidedRefusal } from './shortage.ts';
import { countsFrom, keptMs, spanAt } from './windows.ts';
import { NOTHING_TO_PAY, type Worst, type WorstCaseAsk, openWorstCases } from './worst-case.ts';

export type { Fit } from './book.ts';
export type { BudgetChange, BudgetStatus, Budgets, NewBudget, Owners } from './budgets.ts';
export type { Standing } from './corrections.ts';
export type { BilledDrift } from './drift-entry.ts';
export type { LateCharge } from './late-entry.ts';
export type { Drift } from './rebuild.ts';
export type { SpendGroup, SpendQuery, SpendReport, SpendRow } from './report.ts';

export interface HoldAsk {
  readonly exchangeId: ExchangeId;
  readonly caller: Caller;
  /** Undefined for a path that no row knows. */
  readonly endpoint: Endpoint | undefined;
  readonly model: string | null;
  readonly tags: readonly string[];
  readonly endUser: string | null;
  readonly worst: Worst;
  /** Wall clock, milliseconds. */
  readonly at: number;
}

export type Held =
  | { readonly kind: 'held'; readonly hold: Hold }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export interface Ledger {
  /** Whether a budget may refuse what this caller asks there: then what decides about its cost must be read first. */
  mayRefuse(caller: Caller, endpoint: Endpoint | undefined, model: string | null): boolean;
  /** A record is about to be written, or was long ago: what it tells of an uploaded file counts when work on that begins. */
  seeFile(record: ExchangeRecord): void;
  /** What this exchange may cost at most: what `hold` wants to know. Nothing where no budget binds it. */
  worstCase(ask: WorstCaseAsk): Worst | { readonly refusal: Refusal };
  /** Sets aside in all budgets that bind the exchange, or in none. At once, but where budgets are shared or an end user is new. */
  hold(ask: HoldAsk): Held | Promise<Held>;
  /** The truth: it is charged, and what is left of the hold is given back. Once for each hold; another time does nothing. */
  charge(hold: Hold, outcome: { readonly cost: Cost; readonly tokens: number | null }): void;
  /** The same for one turn of a socket, whose hold stands for the next. `over`: a hard budget has no more left than that. */
  chargeTurn(
    hold: Hold,
    outcome: { readonly cost: Cost; readonly tokens: number | null; readonly isCut?: boolean },
  ): Fit | Promise<Fit>;
  /** Sets more aside for what runs longer than was thought. `over`: there is no more, and nothing was set aside. */
  extend(hold: Hold, more: Extension): Fit | Promise<Fit>;
  /** Nothing came of it: the upstream was never called. */
  release(hold: Hold): void;
  /** Enters what was left open, or guessed at, by the exchange that started it. @returns false where it is entered already, or nothing was left open: also while that exchange still runs */
  settleLate(late: LateCharge): Promise<boolean>;
  readonly budgets: Budgets;
  report(query: SpendQuery, page?: SpendPage): Promise<SpendReport>;
  /** The rows of a report in pieces, however many they are. */
  spendRows(query: SpendQuery): AsyncIterable<readonly SpendRow[]>;
  findEntry(settleKey: string): Promise<Entry | null>;
  /** An entry with what answered it since. */
  standingOf(entry: Entry): Promise<Standing>;
  /** Entries that were made in [from, to), milliseconds since 1970, in pages. */
  entriesBetween(span: EntriesSpan): AsyncIterable<readonly Entry[]>;
  /** Enters what entries should have cost beside what they did. @returns how many of them were new */
  correct(corrections: readonly Correction[]): Promise<number>;
  /** Enters what the upstream billed otherwise, on nobody's account. @returns how many of them were new */
  enterDrift(drifts: readonly BilledDrift[]): Promise<number>;
  /** Enters all that the spool tells and the store has not. */
  catchUp(): Promise<void>;
  /** The same from the spool's first record on, where replicas share the store: for one that was set back while nobody noticed. */
  replay(): Promise<void>;
  findDrift(): Promise<Drift>;
  /** Moves windows and rollups to where entries say they are. */
  mend(drift: Drift): Promise<void>;
  openHolds(): number;
  close(): Promise<void>;
}

export interface Threshold {
  readonly budget: Budget;
  /** The end user; empty in all other budgets. */
  readonly account: string;
  readonly percent: number;
  readonly spent: bigint;
  readonly at: number;
}

export interface LedgerParts {
  readonly store: LedgerStore;
  readonly spool: Spool;
  readonly owners: Owners;
  readonly clock: Clock;
  readonly log: Log;
  /** Once for each threshold in each window, as what is spent passes it. */
  readonly onThreshold?: (threshold: Threshold) => void;
  /** What this process has entered since the last time. */
  readonly onEntered?: (tally: CostTally) => void;
  /** Until work that an exchange started is looked at for the first time. */
  readonly firstLookMs?: number;
  /** How long records stay in the spool; null for ever. */
  readonly recordsKeptMs?: number | null;
  /** Where replicas share budgets and their store is away: exchanges under a hard budget are refused, or go on. */
  readonly whenStoreIsAway?: 'closed' | 'open';
}

/** How often a replica looks for budgets that others changed, and how far back: clocks and commits are not quite in step. */
const REFRESH_MS = 1000;
const REFRESH_BACK_MS = 10_000;
const FIRST_LOOK_MS = 15_000;
const FORGET_EVERY_MS = 10 * 60_000;

/** What the spool tells and the store has not is entered before this resolves. */
export async function openLedger(parts: LedgerParts): Promise<Ledger> {
  const { store, spool, owners, clock, log, onThreshold, onEntered = () => {} } = parts;
  const bounds = openBounds();
  let seenAt = 0;
  const refresh = async () => {
    for (const { budget, isDeleted, changedAt } of await store.budgetsChangedSince(seenAt - REFRESH_BACK_MS)) {
      const known = bounds.find(budget.id);
      const isNews = known === undefined || known.isDeleted !== isDeleted || !isSame(known.budget, budget);
      if (isNews) bounds.put(budget, isDeleted);
      seenAt = Math.max(seenAt, changedAt);
    }
  };
  await refresh();

  let book: Book | null = null;
  const postingParts: PostingParts = {
    spool,
    store,
    clock,
    log,
    firstLookMs: parts.firstLookMs ?? FIRST_LOOK_MS,
    onEntered,
    onPosted(entries, posted) {
      book?.posted(entries);
      if (onThreshold === undefined) return;
      const fresh = entries.filter(({ settleKey }) => posted.settleKeys.has(settleKey));
      void tellThresholds(parts, bounds, fresh, posted).catch((error: unknown) => {
        log.warn('thresholds not looked at', { why: error instanceof Error ? error.message : String(error) });
      });
    },
  };
  const { local } = store;
  // Before the records: work that they began is over where its entry is there. Where replicas share the store, posting sees to it.
  if (local !== null) await restoreEntries(store, spool.entries);
  const posting =
    local === null
      ? openPosting(postingParts)
      : await openLocalPosting(postingParts, local, parts.recordsKeptMs ?? null);
  const entries = openEntries(store, spool);
  await posting.catchUp();
  const balances: Book =
    store.holds === null
      ? await openBook(store, bounds.all(), clock.now())
      : openSharedBook(store.holds, {
          store,
          bounds,
          log,
          owner: newId('replica', clock.now()),
          settleFirst: () => posting.catchUp().catch(() => false),
          entryOfExpired,
          onExpired: (entries) => onEntered(tallyOf(entries)),
        });
  book = balances;
  posting.start();
  const timers = [
    ...(store.isShared ? [setInterval(() => void refresh().catch(() => {}), REFRESH_MS)] : []),
    setInterval(() => void forgetOldWindows(store, bounds, clock).catch(() => {}), FORGET_EVERY_MS),
  ];
  for (const timer of timers) timer.unref();

  const lengths = openReplyLengths();
  const spending = openReport(store, clock);
  const files = openInputFiles();
  const worstCases = openWorstCases({ outputOf: lengths.of, fileOf: files.find });
  /** Of exchanges that are held: whose replies are learnt from. */
  const models = new Map<ExchangeId, string>();

  const planFor = (caller: Caller, endpoint: Endpoint | undefined, model: string | null) =>
    bounds.planFor(caller, model ?? (mayNameModel(endpoint) ? UNKNOWN_MODEL : null));

  function hold(ask: HoldAsk): Held | Promise<Held> {
    const { exchangeId, worst } = ask;
    const wants = wantsOf(ask);
    if (wants.length === 0) return { kind: 'held', hold: { exchangeId, amounts: [] } };
    const details = () => JSON.stringify(detailsOf(ask));
    const placed = balances.place(exchangeId, wants, ask.at, details);
    if (ask.model !== null && worst.money !== null) models.set(exchangeId, ask.model);
    if (!(placed instanceof Promise)) return answered(placed, ask);
    return placed.then(
      (answer) => answered(answer, ask),
      (error: unknown) => undecided(error, ask, wants),
    );
  }

  function wantsOf({ caller, endpoint, model, tags, endUser, worst }: HoldAsk): readonly Want[] {
    if (worst.money === 0n && worst.tokens === 0) return [];
    const plan = planFor(caller, endpoint, model);
    if (plan === NO_PLAN) return [];
    const wants = plan.always.map((bound) => wantOf(bound, '', worst));
    for (const bound of plan.byTag) if (tags.includes(bound.budget.tag ?? '')) wants.push(wantOf(bound, '', worst));
    const account = nameOf(endUser);
    if (account !== null && account !== '')
      for (const bound of plan.byEndUser) wants.push(wantOf(bound, account, worst));
    return wants;
  }

  function answered(placed: Placed, { exchangeId, at }: HoldAsk): Held {
    if ('hold' in placed) return { kind: 'held', hold: placed.hold };
    models.delete(exchangeId);
    return { kind: 'refused', refusal: refusalOf(placed.shortage, at) };
  }

  function undecided(cause: unknown, { exchangeId, at }: HoldAsk, wants: readonly Want[]): Held {
    const isHard = wants.some(({ bound }) => bound.budget.kind === 'hard');
    if (isHard && parts.whenStoreIsAway !== 'open') {
      models.delete(exchangeId);
      return { kind: 'refused', refusal: undecidedRefusal(cause) };
    }
    // Nothing is set aside; what it costs is charged when the store is back.
    const amounts = wants.map(({ bound, account, amount }) => {
      const { budget } = bound;
      const unit = budget.limitMoney === null ? ('tokens' as const) : ('money' as const);
      const { countsEstimates, id: budgetId } = budget;
      return { budgetId, account, windowStart: spanAt(budget, at).start, unit, countsEstimates, amount };
    });
    return { kind: 'held', hold: { exchangeId, amounts } };
  }

  function learn({ exchangeId }: Hold, { lines }: Cost): void {
    const model = models.get(exchangeId);
    if (model === undefined) return;
    models.delete(exchangeId);
    let output = 0n;
    for (const { meter, quantity } of lines) if (meter === 'output_text') output += quantity;
    if (output > 0n) lengths.learn(model, Number(output));
  }

  /** All of them or none. @returns false where one of their keys is taken */
  async function enterTogether(entries: readonly Entry[]): Promise<boolean> {
    const posted = entries.length === 0 ? null : await store.postTogether(entries);
    if (posted === null) return false;
    await told(entries, posted);
    return true;
  }

  async function told(entries: readonly Entry[], posted: Posted): Promise<void> {
    keep(entries);
    balances.adjust(entries.flatMap(({ charges }) => charges));
    onEntered(tallyOf(entries));
    if (onThreshold !== undefined) await tellThresholds(parts, bounds, entries, posted);
  }

  function keep(entries: readonly Entry[]): void {
    try {
      spool.entries.keep(entries);
    } catch (error) {
      // They stand in the store, which is what counts.
      log.warn('late entries are not in the spool', { why: error instanceof Error ? error.message : String(error) });
    }
  }

  async function settleLate(late: LateCharge): Promise<boolean> {
    await posting.catchUp();
    const started = await entries.find(late.startedBy);
    if (started === null) return false;
    // Another replica may have made a budget a moment ago.
    if (started.charges.some(({ budgetId }) => bounds.find(budgetId) === undefined)) await refresh();
    if (late.part === 'corrects') return correctGuess(late, started);
    // What has an amount was not left open; a hold that ran out stands for one.
    if (late.part === 'resolves' && started.amount !== null)
      return started.state === 'estimated' && correctGuess(late, started);
    const entry = lateEntry(late, started, bounds);
    const posted = await store.post([entry]);
    if (!posted.settleKeys.has(entry.settleKey)) return false;
    await told([entry], posted);
    return true;
  }

  async function correctGuess({ cost, readings, servicePeriod }: LateCharge, started: Entry): Promise<boolean> {
    for (;;) {
      const standing = await standingOf(store, entries, started);
      if (cost.amount === null || (standing.state !== 'estimated' && standing.state !== 'unpriced')) return false;
      const learnt = { readings, servicePeriod };
      const answer = correctionEntries({ standing, cost, learnt }, clock.now(), bounds);
      if (answer.length === 0) return false;
      if (await enterTogether(answer)) return true;
      // Somebody else answered it a moment ago: what they said is looked at anew.
    }
  }

  return {
    mayRefuse: (caller, endpoint, model) => planFor(caller, endpoint, model).isHard,
    seeFile: files.see,
    worstCase(ask) {
      const plan = planFor(ask.caller, ask.endpoint, ask.model);
      const isAsked = plan !== NO_PLAN || ask.caller.key.onUnpriced !== 'allow';
      return isAsked ? worstCases.of(ask, plan.isHard) : NOTHING_TO_PAY;
    },
    hold,
    charge(held, { cost, tokens }) {
      if (held.amounts.length === 0) return;
      learn(held, cost);
      balances.charge(held, outcomeOf(cost, tokens));
    },
    chargeTurn: (held, { cost, tokens, isCut = false }) =>
      held.amounts.length === 0 ? 'ok' : balances.chargeTurn(held, { ...outcomeOf(cost, tokens), isCut }),
    extend: (held, more) => (held.amounts.length === 0 ? 'ok' : balances.extend(held, more)),
    release(held) {
      models.delete(held.exchangeId);
      if (held.amounts.length > 0) balances.release(held);
    },
    settleLate,
    budgets: openBudgets(store, bounds, balances, owners, clock),
    report: spending.report,
    spendRows: spending.rows,
    findEntry: entries.find,
    standingOf: (entry) => standingOf(store, entries, entry),
    entriesBetween: (span) => entriesBetween(entries, span),
    async correct(corrections) {
      const at = clock.now();
      const all = corrections.map((each) => correctionEntries(each, at, bounds)).filter(({ length }) => length > 0);
      // What another one corrected meanwhile is left to the next time, alone.
      const posted = await enterTogether(all.flat());
      if (posted) return all.length;
      let count = 0;
      for (const each of all) if (await enterTogether(each)) count++;
      return count;
    },
    async enterDrift(drifts) {
      let count = 0;
      for (const drift of drifts) {
        const { length: before } = await chainOf(store, driftPrefix(drift));
        if (await enterTogether([driftEntry(drift, before, clock.now())])) count++;
      }
      return count;
    },
    catchUp: async () => void (await posting.catchUp()),
    replay: () => posting.replay(),
    async findDrift() {
      await posting.catchUp();
      const at = clock.now();
      return findDrift(store, entries, ({ budgetId, windowStart }) => {
        const bound = bounds.find(budgetId);
        const kept = bound === undefined ? 0 : keptMs(bound.budget);
        return kept === null || windowStart >= at - kept;
      });
    },
    async mend({ windows, rollups }) {
      await store.correct(windows, rollups);
      // The balances of this process were taken from the same windows.
      balances.adjust(windows);
    },
    openHolds: () => balances.openHolds(),
    async close() {
      for (const timer of timers) clearInterval(timer);
      await posting.close();
      await balances.close();
    },
  };
}

function mayNameModel(endpoint: Endpoint | undefined): boolean {
  return endpoint === undefined || endpoint.modelIn !== null;
}

function wantOf(bound: Bound, account: string, { money, tokens }: Worst): Want {
  if (bound.budget.limitMoney !== null) return { bound, account, amount: money ?? 0n, isUnknown: money === null };
  return { bound, account, amount: BigInt(tokens ?? 0), isUnknown: tokens === null };
}

function detailsOf({ caller, endpoint, model, tags, at }: HoldAsk): HoldDetails {
  const { key, team } = caller;
  const path = endpoint?.path ?? null;
  return { teamId: team.id, keyId: key.id, userId: key.userId, endpoint: path, model: nameOf(model), tags, at };
}

function outcomeOf({ state, amount }: Cost, tokens: number | null): Outcome {
  return { state, amount, tokens };
}

/** What was spent before and after is known from the store's own answer: each passing is seen once, by whoever posted it. */
async function tellThresholds(
  { store, clock, onThreshold }: LedgerParts,
  bounds: Bounds,
  entries: readonly Entry[],
  { windows }: Posted,
): Promise<void> {
  const moved = new Map<string, bigint>();
  const nameOf = ({ budgetId, account, windowStart }: Omit<Charge, 'amount'>) =>
    `${budgetId}\n${windowStart}\n${account}`;
  for (const charge of entries.flatMap(({ charges }) => charges))
    moved.set(nameOf(charge), (moved.get(nameOf(charge)) ?? 0n) + charge.amount);
  const at = clock.now();
  for (const window of windows) {
    const bound = bounds.find(window.budgetId);
    const more = moved.get(nameOf(window)) ?? 0n;
    if (bound === undefined || bound.isDeleted || more <= 0n || bound.budget.thresholds.length === 0) continue;
    const { budget } = bound;
    const spent = budget.isRolling ? await spentNow(store, budget, window.account, at) : window.spent;
    const limit = limitAt(budget, at);
    for (const percent of budget.thresholds) {
      const mark = limit * BigInt(Math.round(percent * 1000));
      const isPassed = spent * 100_000n >= mark && (spent - more) * 100_000n < mark;
      if (isPassed) onThreshold?.({ budget, account: window.account, percent, spent, at });
    }
  }
}

async function spentNow(store: LedgerStore, budget: Budget, account: string, at: number): Promise<bigint> {
  const windows = await store.windowsOf(budget.id, account, countsFrom(budget, spanAt(budget, at)));
  return windows.reduce((sum, { spent }) => sum + spent, 0n);
}

async function forgetOldWindows(store: LedgerStore, bounds: Bounds, clock: Clock): Promise<void> {
  for (const { budget } of bounds.all()) {
    const kept = keptMs(budget);
    if (kept !== null) await store.forgetWindows(budget.id, clock.now() - kept);
  }
}

function isSame(a: Budget, b: Budget): boolean {
  return text(a) === text(b);
}

function text(budget: Budget): string {
  return JSON.stringify(budget, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
}
