// Who spent what: sums of rollups, of the coarsest grain that answers. What is asked for by time is read in slices, all else at once
// and aside, so that a long report never holds the event loop.
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Clock } from '../domain/clock.ts';
import type {
  Grain,
  LedgerStore,
  RollupDimension,
  RollupSum,
  RollupSums,
  SignedStretch,
  Stretch,
} from '../domain/ledger-store.ts';
import { NO_SUMS, grainMs, grainStart, isNothing } from '../domain/rollup.ts';

/** What one slice shall take of the event loop: it grows and shrinks with what the last one took. */
const SLICE_MS = 8;

export type SpendGroup = 'key' | 'team' | 'user' | 'model' | 'endpoint' | 'tag' | 'day' | 'hour';

export interface SpendQuery {
  readonly groupBy: readonly SpendGroup[];
  /** Milliseconds since 1970, [from, to): whole hours (UTC) that begin in it. */
  readonly from: number;
  readonly to: number;
  readonly where: Readonly<Partial<Record<Exclude<SpendGroup, 'day' | 'hour'>, string>>>;
}

/** Measured, estimated, unpriced and pending are kept apart: what is unknown is never 0. */
export interface SpendRow extends RollupSums {
  /** Empty text stands for none; `day` and `hour` are milliseconds since 1970. */
  readonly group: Readonly<Partial<Record<SpendGroup, string | number>>>;
}

export interface SpendReport {
  /** By what was spent, the most first; where days or hours are asked for, those in order first. */
  readonly rows: readonly SpendRow[];
  /** Of all rows, and of each exchange once, also where tags are asked for. */
  readonly totals: RollupSums;
  /** There are rows behind these. */
  readonly hasMore: boolean;
}

/** All rows where nothing is said. No row behind these is kept. */
export interface SpendPage {
  readonly first?: number;
  readonly most?: number;
}

export interface Spending {
  report(query: SpendQuery, page?: SpendPage): Promise<SpendReport>;
  /**
   * The same rows in the same order, in pieces: where days or hours are asked for, no more of them is kept at once than was read
   * in one slice.
   */
  rows(query: SpendQuery): AsyncIterable<readonly SpendRow[]>;
}

export function openReport(store: LedgerStore, clock: Clock): Spending {
  async function* rowsOf(query: SpendQuery): AsyncGenerator<readonly SpendRow[]> {
    const byTime = timeOf(query);
    if (byTime !== undefined) {
      yield* rowsByTime(query, byTime);
      return;
    }
    const { groupBy, where, from, to } = query;
    const rows: SpendRow[] = [];
    const by = [...new Set(groupBy)] as readonly Exclude<SpendGroup, 'day' | 'hour'>[];
    const stretches = signedStretches({ from, to, sign: 1 }, grainsFor(query), clock.now());
    await store.sumStretches({ stretches, by, where }, (sums) => {
      // Those that come to nothing were added and taken away.
      for (const sum of sums) if (!isNothing(sum)) rows.push(sum);
    });
    if (rows.length > 0) yield rows.toSorted(order);
  }

  async function* rowsByTime(query: SpendQuery, byTime: 'day' | 'hour'): AsyncGenerator<readonly SpendRow[]> {
    const { groupBy, where } = query;
    const by = [
      ...new Set(groupBy.map((group): RollupDimension => (group === 'day' || group === 'hour' ? 'at' : group))),
    ];
    const rows = new Map<string, SpendRow>();
    const rowOf = (found: RollupSum): SpendRow => {
      const { at, ...group } = found.group;
      const moment = byTime === 'day' ? { day: grainStart('day', Number(at)) } : { hour: Number(at) };
      return { ...found, group: { ...group, ...moment } };
    };
    const add = (row: SpendRow) => {
      const name = groupBy.map((each) => row.group[each]).join('\n');
      const before = rows.get(name);
      rows.set(name, before === undefined ? row : { ...plus(before, row), group: row.group });
    };
    for (const { grain, from, to } of stretches(query.from, query.to, grainsFor(query))) {
      let width = grainMs(grain);
      for (let start = from; start < to;) {
        const end = Math.min(to, start + width);
        const before = clock.elapsedMs();
        const found = (await store.sumRollups({ grain, from: start, to: end, by, where })).map(rowOf);
        // Sums of that very grain are whole rows each.
        const isWhole = grainMs(grain) === grainMs(byTime) && rows.size === 0;
        if (!isWhole) for (const row of found) add(row);
        const tookMs = clock.elapsedMs() - before;
        if (tookMs < SLICE_MS / 2) width *= 2;
        else if (tookMs > SLICE_MS) width = Math.max(grainMs(grain), grainStart(grain, width / 2));
        start = end;
        await nextTurn();
        if (isWhole && found.length > 0) yield found.toSorted(order);
        // What comes after belongs to other rows.
        if (end === grainStart(byTime, end) && rows.size > 0) {
          yield [...rows.values()].toSorted(order);
          rows.clear();
        }
      }
    }
    if (rows.size > 0) yield [...rows.values()].toSorted(order);
  }

  return {
    rows: rowsOf,
    async report(query, { first = 0, most = Number.POSITIVE_INFINITY } = {}) {
      const rows: SpendRow[] = [];
      let seen = 0;
      let sum = NO_SUMS;
      let hasMore = false;
      reading: for await (const piece of rowsOf(query)) {
        for (const row of piece) {
          hasMore = seen >= first + most;
          if (hasMore) break reading;
          if (seen >= first) rows.push(row);
          sum = plus(sum, row);
          seen++;
        }
      }
      // Rows that were not read are in the totals too; and rows of tags count an exchange for each of its tags.
      if (!hasMore && !query.groupBy.includes('tag')) return { rows, totals: sum, hasMore };
      let totals = NO_SUMS;
      for await (const piece of rowsOf({ ...query, groupBy: [] })) for (const row of piece) totals = plus(totals, row);
      return { rows, totals, hasMore };
    },
  };
}

function timeOf({ groupBy }: SpendQuery): 'day' | 'hour' | undefined {
  return groupBy.find((group) => group === 'day' || group === 'hour');
}

/** Grains as coarse as the question allows, and finer ones before and after them. */
function stretches(from: number, to: number, grains: readonly Grain[]): readonly Stretch[] {
  const [grain, ...finer] = grains;
  if (grain === undefined) return [];
  const first = Math.ceil(from / grainMs(grain)) * grainMs(grain);
  // The finest takes what begins before the end.
  const last = finer.length === 0 ? to : grainStart(grain, to);
  if (first >= last) return stretches(from, to, finer);
  return [...stretches(from, first, finer), { grain, from: first, to: last }, ...stretches(last, to, finer)];
}

/**
 * The same as a sum of stretches that may go beyond the span: what they have too much is taken away again. Grains that are not over
 * have nothing too much.
 */
function signedStretches(
  { from, to, sign }: Pick<SignedStretch, 'from' | 'to' | 'sign'>,
  grains: readonly Grain[],
  now: number,
): readonly SignedStretch[] {
  const [grain, ...finer] = grains;
  if (grain === undefined || from >= to) return [];
  if (finer.length === 0) return [{ grain, from, to, sign }];
  const ms = grainMs(grain);
  const first = Math.round(from / ms) * ms;
  const up = Math.ceil(to / ms) * ms;
  const last = up > now ? up : Math.round(to / ms) * ms;
  if (first >= last) return signedStretches({ from, to, sign }, finer, now);
  const within = (one: number, other: number, of: 1 | -1) =>
    signedStretches({ from: one, to: other, sign: of }, finer, now);
  const [more, less] = [sign, -sign as 1 | -1];
  return [
    { grain, from: first, to: last, sign },
    ...(from < first ? within(from, first, more) : within(first, from, less)),
    ...(last < to ? within(last, to, more) : within(to, last, less)),
  ];
}

/** Of sums that tell apart what is asked for, those that tell the least else: the coarsest first. */
function grainsFor(query: SpendQuery): readonly Grain[] {
  const byTime = timeOf(query);
  const asked = new Set<string>([...query.groupBy, ...Object.keys(query.where)]);
  const isOfModels = asked.has('model') || asked.has('endpoint');
  const isOfKeys = asked.has('key') || asked.has('user');
  const isOfTeams = asked.has('team');
  if (byTime === 'hour') return [isOfKeys || isOfTeams ? 'hour' : 'hour_of_models'];
  if (!isOfKeys && !isOfTeams) return ['day_of_models', 'hour_of_models'];
  const [month, day] = isOfKeys
    ? isOfModels
      ? (['thirty_days', 'day'] as const)
      : (['thirty_days_of_keys', 'day_of_keys'] as const)
    : (['thirty_days_of_teams', isOfModels ? 'day_of_teams' : 'day_of_whole_teams'] as const);
  return byTime === 'day' ? [day, 'hour'] : [month, day, 'hour'];
}

function plus(a: RollupSums, b: RollupSums): RollupSums {
  return {
    exchanges: a.exchanges + b.exchanges,
    measured: a.measured + b.measured,
    estimated: a.estimated + b.estimated,
    partial: a.partial + b.partial,
    pending: a.pending + b.pending,
    unpriced: a.unpriced + b.unpriced,
    free: a.free + b.free,
    tokensIn: a.tokensIn + b.tokensIn,
    tokensOut: a.tokensOut + b.tokensOut,
  };
}

function order(a: SpendRow, b: SpendRow): number {
  const [atA, atB] = [Number(a.group.day ?? a.group.hour ?? 0), Number(b.group.day ?? b.group.hour ?? 0)];
  if (atA !== atB) return atA - atB;
  const [sumA, sumB] = [a.measured + a.estimated, b.measured + b.estimated];
  if (sumA !== sumB) return sumA < sumB ? 1 : -1;
  // One order whatever the database gives first: pages are cut from it.
  return b.exchanges - a.exchanges || (nameOf(a) < nameOf(b) ? -1 : 1);
}

function nameOf({ group }: SpendRow): string {
  return `${group.team}\n${group.key}\n${group.user}\n${group.model}\n${group.endpoint}\n${group.tag}`;
}
