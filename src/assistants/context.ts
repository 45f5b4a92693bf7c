// Which part of a thread's history a model is shown. What does not fit is dropped from the middle, in big steps, so that the
// beginning of the prompt stays the same from run to run and the upstream's cache knows it.
import type { RunWork } from '../domain/assistant-store.ts';
import type { HistoryItem } from '../domain/assistants.ts';
import type { Run } from '../domain/run.ts';
import { estimateItem } from './tokens.ts';

export interface PlacedItem {
  readonly ord: number;
  readonly item: HistoryItem;
}

export interface Context {
  /** In the thread's order. */
  readonly items: readonly HistoryItem[];
  readonly tokens: number;
  /** False where not even the newest message of the user fits: it is here all the same. */
  readonly fits: boolean;
}

const PAGE = 200;
/** Of the budget: the most that the thread's first message may take when what follows it is dropped. */
const FIRST_SHARE_MAX = 0.1;
/** Of the budget: the least that is kept, so that the next runs can add to it before anything is dropped again. */
const KEPT_SHARE_MIN = 0.75;

type Strategy = Run['spec']['truncationStrategy'];

/** @param tokensMax for the history alone */
export async function readContext(store: Pick<RunWork, 'readHistory'>, run: Run, tokensMax: number): Promise<Context> {
  const strategy = run.spec.truncationStrategy;
  const newest: PlacedItem[] = [];
  let tokens = 0;
  let messages = 0;
  let from: number | null = null;
  let isWhole = false;
  while (!isWhole) {
    const part = await store.readHistory(run.teamId, run.threadId, { order: 'desc', from, limit: PAGE });
    for (const placed of part) {
      newest.push(placed);
      tokens += estimateItem(placed.item);
      if (isEarlierMessage(placed.item, run)) messages++;
    }
    from = part.at(-1)?.ord ?? null;
    isWhole = part.length < PAGE;
    if (strategy.type === 'last_messages' && messages > strategy.last_messages) break;
    if (strategy.type === 'auto' && tokens > tokensMax) break;
  }
  const oldest = isWhole || strategy.type === 'last_messages' ? [] : await readOldest(store, run);
  return chooseHistory(newest.reverse(), oldest, run, tokensMax);
}

async function readOldest(store: Pick<RunWork, 'readHistory'>, run: Run): Promise<readonly PlacedItem[]> {
  return store.readHistory(run.teamId, run.threadId, { order: 'asc', from: null, limit: PAGE });
}

/**
 * Pure.
 * @param newest the end of the history, or all of it
 * @param oldest its beginning, where the two do not meet
 */
export function chooseHistory(
  newest: readonly PlacedItem[],
  oldest: readonly PlacedItem[],
  run: Run,
  tokensMax: number,
): Context {
  const kept = newest.slice(startOf(newest, run, run.spec.truncationStrategy));
  const sizes = kept.map(({ item }) => estimateItem(item));
  const tokens = sum(sizes);
  if (tokens <= tokensMax && oldest.length === 0) return { items: kept.map(({ item }) => item), tokens, fits: true };

  const must = newestQuestion(kept, run);
  const firstOf = oldest.length > 0 ? oldest : kept.slice(0, must);
  const first = firstOf.find(({ item }) => isUserMessage(item));
  const firstTokens = first === undefined ? 0 : estimateItem(first.item);
  const isFirstKept = first !== undefined && firstTokens <= tokensMax * FIRST_SHARE_MAX;
  const room = tokensMax - (isFirstKept ? firstTokens : 0);

  const cut = cutAt(kept, sizes, must, room);
  const shown = kept.slice(cut ?? must);
  const isFirstShown = isFirstKept && cut !== null && !shown.includes(first);
  const items = (isFirstShown ? [first, ...shown] : shown).map(({ item }) => item);
  return { items, tokens: sum(items.map(estimateItem)), fits: cut !== null };
}

/** Where the newest N messages begin. What the run itself has said so far is not among those that are counted. */
function startOf(history: readonly PlacedItem[], run: Run, strategy: Strategy): number {
  if (strategy.type === 'auto') return 0;
  let left = strategy.last_messages;
  for (let i = history.length - 1; i >= 0; i--) {
    if (isEarlierMessage(history[i]!.item, run) && --left === 0) return i;
  }
  return 0;
}

/** From here on nothing may be dropped: the newest message of the user, and what the run has done about it. */
function newestQuestion(history: readonly PlacedItem[], run: Run): number {
  const question = history.findLastIndex(({ item }) => isUserMessage(item));
  const own = history.findIndex(({ item }) => item.runId === run.id);
  const last = Math.max(0, history.length - 1);
  return Math.min(question === -1 ? last : question, own === -1 ? last : own);
}

/**
 * Before which message the history begins: always one of the user, so that no call is cut from its answer. Among the places
 * that would do, the one with the roundest number, for it stays that until it is dropped itself. Null where nothing fits.
 */
function cutAt(history: readonly PlacedItem[], sizes: readonly number[], must: number, room: number): number | null {
  let rest = sum(sizes);
  let first: number | null = null;
  let best: number | null = null;
  for (const [i, { ord, item }] of history.entries()) {
    if (i > must) break;
    if (rest <= room && (isUserMessage(item) || i === must)) {
      first ??= i;
      const isAmple = rest >= room * KEPT_SHARE_MIN;
      if (isAmple && (best === null || roundness(ord) > roundness(history[best]!.ord))) best = i;
    }
    rest -= sizes[i]!;
  }
  return best ?? first;
}

/** How often a number can be halved. */
function roundness(ord: number): number {
  let halvings = 0;
  for (let rest = ord; rest !== 0 && rest % 2 === 0; rest /= 2) halvings++;
  return halvings;
}

function isUserMessage(item: HistoryItem): boolean {
  return item.kind === 'message' && item.message.role === 'user';
}

function isEarlierMessage(item: HistoryItem, run: Run): boolean {
  return item.kind === 'message' && item.runId !== run.id;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** Calls and their outputs in pairs: a call without its output, and an output without its call, are left out. */
export function withoutHalves(items: readonly HistoryItem[]): readonly HistoryItem[] {
  const waiting = new Map<unknown, number>();
  const halves = new Set<number>();
  for (const [i, item] of items.entries()) {
    if (item.kind !== 'call') continue;
    const { type, call_id: callId } = item.payload;
    if (type === 'function_call') {
      // Some servers number the calls of each turn anew: an id that comes again is another call.
      const before = waiting.get(callId);
      if (before !== undefined) halves.add(before);
      waiting.set(callId, i);
    }
    if (type === 'function_call_output' && !waiting.delete(callId)) halves.add(i);
  }
  for (const i of waiting.values()) halves.add(i);
  return halves.size === 0 ? items : items.filter((_item, i) => !halves.has(i));
}
