// What an entry adds to the sums that reports are made of. Pure: sums can be made again from the entries at any time.
import type { Entry } from './entry.ts';
import type { Grain, Rollup, RollupSums } from './ledger-store.ts';
import { formatUsd } from './money.ts';
import type { CostState } from './price.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

interface GrainRow {
  readonly ms: number;
  /** What its sums do not tell apart; empty text stands in its place. */
  readonly drops: Readonly<Partial<Pick<Rollup, 'team' | 'key' | 'user' | 'model' | 'endpoint'>>>;
}

const NO_KEYS = { key: '', user: '' };
const NO_TEAMS = { ...NO_KEYS, team: '' };
const NO_MODELS = { model: '', endpoint: '' };
const GRAINS: Readonly<Record<Grain, GrainRow>> = {
  hour: { ms: HOUR_MS, drops: {} },
  day: { ms: DAY_MS, drops: {} },
  thirty_days: { ms: 30 * DAY_MS, drops: {} },
  day_of_keys: { ms: DAY_MS, drops: NO_MODELS },
  thirty_days_of_keys: { ms: 30 * DAY_MS, drops: NO_MODELS },
  day_of_teams: { ms: DAY_MS, drops: NO_KEYS },
  thirty_days_of_teams: { ms: 30 * DAY_MS, drops: NO_KEYS },
  day_of_whole_teams: { ms: DAY_MS, drops: { ...NO_KEYS, ...NO_MODELS } },
  hour_of_models: { ms: HOUR_MS, drops: NO_TEAMS },
  day_of_models: { ms: DAY_MS, drops: NO_TEAMS },
};

export const ALL_GRAINS = Object.keys(GRAINS) as readonly Grain[];

export const NO_SUMS: RollupSums = {
  exchanges: 0,
  measured: 0n,
  estimated: 0n,
  partial: 0,
  pending: 0,
  unpriced: 0,
  free: 0,
  tokensIn: 0,
  tokensOut: 0,
};

/** As JSON tells them. */
export function sumsAsJson(sums: RollupSums) {
  return {
    exchanges: sums.exchanges,
    measured_usd: formatUsd(sums.measured),
    estimated_usd: formatUsd(sums.estimated),
    partial: sums.partial,
    pending: sums.pending,
    unpriced: sums.unpriced,
    free: sums.free,
    tokens_in: sums.tokensIn,
    tokens_out: sums.tokensOut,
  };
}

export function grainStart(grain: Grain, at: number): number {
  return at - (at % GRAINS[grain].ms);
}

export function grainMs(grain: Grain): number {
  return GRAINS[grain].ms;
}

type Sums = { -readonly [K in keyof Rollup]: Rollup[K] };

const NO_TAGS = [''];
/** No tag of a client can be this one: it counts each exchange that has any once, so that all but these have none. */
export const ANY_TAG = '\u0001';

/** Sums by their dimensions: what is added falls together. */
export class Rollups {
  /** What entries added, by hours alone: the longer grains are made of them when all are asked for. */
  readonly #hours = new Map<string, Sums>();
  readonly #others = new Map<string, Sums>();
  /** The hour that was added to last: mostly the next entry belongs there too, and needs no name to be found by. */
  #last: Sums | null = null;

  addEntry(entry: Entry): void {
    const { kind, state, amount, isExchange, resolves, tokensIn, tokensOut } = entry;
    const isMeasured = state === 'priced' || state === 'partial';
    // Turns of sockets among them: what an adjustment takes back later was counted.
    const isCounted = kind === 'charge' || resolves !== null;
    for (const tag of entry.tags.length === 0 ? NO_TAGS : new Set(['', ANY_TAG, ...entry.tags])) {
      const sums = this.#hourOf(entry, entry.at, tag);
      if (isExchange) sums.exchanges++;
      if (amount !== null && isMeasured) sums.measured += amount;
      if (amount !== null && !isMeasured) sums.estimated += amount;
      if (isCounted) count(sums, state, 1);
      sums.tokensIn += tokensIn;
      sums.tokensOut += tokensOut;
      // What was left open is open no more, in the hour in which it was counted.
      if (resolves !== null) {
        const counted = { ...entry, model: resolves.model === undefined ? entry.model : resolves.model };
        count(this.#hourOf(counted, resolves.at, tag), resolves.state, -1);
      }
    }
  }

  add(rollup: Rollup): void {
    addTo(this.#others, rollup);
  }

  /** In one order wherever they are made: writers of the same rows never wait for each other in a circle. */
  list(): Rollup[] {
    const all = new Map<string, Sums>();
    for (const other of this.#others.values()) addTo(all, other);
    for (const hour of this.#hours.values())
      for (const grain of ALL_GRAINS)
        addTo(all, { ...hour, ...GRAINS[grain].drops, grain, at: grainStart(grain, hour.at) });
    return [...all].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, rollup]) => rollup);
  }

  #hourOf(entry: Pick<Entry, 'teamId' | 'keyId' | 'userId' | 'model' | 'endpoint'>, moment: number, tag: string): Sums {
    const at = grainStart('hour', moment);
    const { teamId, keyId, userId, model, endpoint } = entry;
    const last = this.#last;
    if (
      last !== null &&
      last.at === at &&
      last.tag === tag &&
      last.team === (teamId ?? '') &&
      last.key === (keyId ?? '') &&
      last.user === (userId ?? '') &&
      last.model === (model ?? '') &&
      last.endpoint === (endpoint ?? '')
    )
      return last;
    const name = `${at}\n${tag}\n${teamId}\n${keyId}\n${userId}\n${model}\n${endpoint}`;
    let sums = this.#hours.get(name);
    if (sums === undefined) {
      sums = {
        ...NO_SUMS,
        grain: 'hour',
        at,
        tag,
        team: teamId ?? '',
        key: keyId ?? '',
        user: userId ?? '',
        model: model ?? '',
        endpoint: endpoint ?? '',
      };
      this.#hours.set(name, sums);
    }
    this.#last = sums;
    return sums;
  }
}

function addTo(all: Map<string, Sums>, rollup: Rollup): void {
  const { grain, at, tag, team, key, user, model, endpoint } = rollup;
  const name = `${grain}\n${at}\n${tag}\n${team}\n${key}\n${user}\n${model}\n${endpoint}`;
  const sums = all.get(name);
  if (sums === undefined) {
    all.set(name, { ...rollup });
    return;
  }
  sums.exchanges += rollup.exchanges;
  sums.measured += rollup.measured;
  sums.estimated += rollup.estimated;
  sums.partial += rollup.partial;
  sums.pending += rollup.pending;
  sums.unpriced += rollup.unpriced;
  sums.free += rollup.free;
  sums.tokensIn += rollup.tokensIn;
  sums.tokensOut += rollup.tokensOut;
}

function count(sums: Sums, state: CostState, by: 1 | -1): void {
  if (state !== 'priced' && state !== 'estimated') sums[state] += by;
}

export function negated(rollup: Rollup): Rollup {
  const { measured, estimated } = rollup;
  return {
    ...rollup,
    exchanges: -rollup.exchanges,
    measured: -measured,
    estimated: -estimated,
    partial: -rollup.partial,
    pending: -rollup.pending,
    unpriced: -rollup.unpriced,
    free: -rollup.free,
    tokensIn: -rollup.tokensIn,
    tokensOut: -rollup.tokensOut,
  };
}

export function isNothing(rollup: RollupSums): boolean {
  const { exchanges, measured, estimated, partial, pending, unpriced, free, tokensIn, tokensOut } = rollup;
  return (
    measured === 0n &&
    estimated === 0n &&
    [exchanges, partial, pending, unpriced, free, tokensIn, tokensOut].every((n) => n === 0)
  );
}
