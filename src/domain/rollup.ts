// What an entry adds to the sums that reports are made of. Pure: sums can be made again from the entries at any time.
import type { Entry } from './entry.ts';
import type { Grain, Rollup, RollupSums } from './ledger-store.ts';
import type { CostState } from './price.ts';

const HOUR_MS = 3_600_000;
const GRAINS: Readonly<Record<Grain, number>> = { hour: HOUR_MS, day: 24 * HOUR_MS, thirty_days: 720 * HOUR_MS };

export const ALL_GRAINS = ['hour', 'day', 'thirty_days'] as const satisfies readonly Grain[];

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

export function grainStart(grain: Grain, at: number): number {
  return at - (at % GRAINS[grain]);
}

export function grainMs(grain: Grain): number {
  return GRAINS[grain];
}

/** Sums by their dimensions: what is added falls together. */
export class Rollups {
  readonly #sums = new Map<string, { -readonly [K in keyof Rollup]: Rollup[K] }>();

  addEntry(entry: Entry): void {
    const { state, amount, isExchange, tokensIn, tokensOut } = entry;
    const isMeasured = state === 'priced' || state === 'partial';
    this.#addAll(entry, entry.at, {
      ...NO_SUMS,
      ...counted(state, isExchange || entry.resolves !== null ? 1 : 0),
      exchanges: isExchange ? 1 : 0,
      measured: isMeasured ? (amount ?? 0n) : 0n,
      estimated: isMeasured ? 0n : (amount ?? 0n),
      tokensIn,
      tokensOut,
    });
    // What was left open is open no more, in the hour in which it was counted.
    const { resolves } = entry;
    if (resolves === null) return;
    const { model = entry.model } = resolves;
    this.#addAll({ ...entry, model }, resolves.at, { ...NO_SUMS, ...counted(resolves.state, -1) });
  }

  add(rollup: Rollup): void {
    const { grain, at, tag, team, key, user, model, endpoint } = rollup;
    const name = `${grain}\n${at}\n${tag}\n${team}\n${key}\n${user}\n${model}\n${endpoint}`;
    const sums = this.#sums.get(name);
    if (sums === undefined) {
      this.#sums.set(name, { ...rollup });
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

  /** In one order wherever they are made: writers of the same rows never wait for each other in a circle. */
  list(): Rollup[] {
    return [...this.#sums].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, rollup]) => rollup);
  }

  #addAll(entry: Entry, at: number, sums: RollupSums): void {
    for (const grain of ALL_GRAINS) {
      for (const tag of ['', ...new Set(entry.tags)]) {
        this.add({
          ...sums,
          grain,
          at: grainStart(grain, at),
          tag,
          team: entry.teamId ?? '',
          key: entry.keyId ?? '',
          user: entry.userId ?? '',
          model: entry.model ?? '',
          endpoint: entry.endpoint ?? '',
        });
      }
    }
  }
}

function counted(state: CostState, by: number): Partial<RollupSums> {
  switch (state) {
    case 'partial':
      return { partial: by };
    case 'pending':
      return { pending: by };
    case 'unpriced':
      return { unpriced: by };
    case 'free':
      return { free: by };
    case 'priced':
    case 'estimated':
      return {};
  }
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

export function isNothing(rollup: Rollup): boolean {
  const { exchanges, measured, estimated, partial, pending, unpriced, free, tokensIn, tokensOut } = rollup;
  return (
    measured === 0n &&
    estimated === 0n &&
    [exchanges, partial, pending, unpriced, free, tokensIn, tokensOut].every((n) => n === 0)
  );
}
