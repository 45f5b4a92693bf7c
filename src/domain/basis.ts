// What a cost was worked out from, as it is written down: so that it can be worked out again, at the same prices or at others.
import { type CostLineRecord, type ReadingRecord, recordTime } from './exchange-record.ts';
import type { KeyId, TeamId } from './id.ts';
import type { CostBasis, CostLine, PriceQuery } from './price.ts';
import { METERS, type Meter, type Reading, formatQuantity, parseQuantity } from './usage.ts';

/** One question to the price book. A cost has one, or one for each model that worked on it. */
export interface BasisRecord {
  readonly model: string | null;
  /** RFC 3339: the prices valid then. */
  readonly at: string;
  readonly service_tier: string | null;
  readonly mode: PriceQuery['mode'];
  readonly host: string;
  /** Only where the quantities were counted here. */
  readonly is_estimated?: true;
  /** Only where the readings are those of several exchanges that were not long: see PriceQuery. */
  readonly is_sum?: true;
  /** Absent where they are those of the usage. */
  readonly readings?: readonly ReadingRecord[];
}

/** @param told readings that stand beside the cost already */
export function basisRecords(
  basis: readonly CostBasis[] | undefined,
  told: readonly Reading[] | null,
): readonly BasisRecord[] | undefined {
  return basis?.map((query) => basisRecord(query, told));
}

function basisRecord(query: CostBasis, told: readonly Reading[] | null): BasisRecord {
  const { model, at, serviceTier, mode, host, readings, isEstimated, isSum } = query;
  const record = { model, at: recordTime(at), service_tier: serviceTier, mode, host };
  // What nearly all are is made in one piece.
  if (readings === told && isEstimated !== true && isSum !== true) return record;
  return {
    ...record,
    ...(isEstimated === true && { is_estimated: true as const }),
    ...(isSum === true && { is_sum: true as const }),
    ...(readings !== told && { readings: readings.map(readingRecord) }),
  };
}

/** Null where a reading is of a meter that this version does not know. */
export function queriesOf(
  basis: readonly BasisRecord[],
  beside: {
    readonly readings: readonly ReadingRecord[];
    readonly teamId: TeamId | null;
    readonly keyId: KeyId | null;
  },
): readonly CostBasis[] | null {
  const { teamId, keyId } = beside;
  const queries: CostBasis[] = [];
  for (const { model, at, service_tier: serviceTier, mode, host, is_estimated, is_sum, ...told } of basis) {
    const { readings = beside.readings } = told;
    if (readings.some(({ meter }) => !Object.hasOwn(METERS, meter))) return null;
    queries.push({
      model,
      at: Date.parse(at),
      serviceTier,
      mode,
      host,
      teamId,
      keyId,
      readings: readings.map(readingOf),
      isEstimated: is_estimated === true,
      ...(is_sum === true && { isSum: true }),
    });
  }
  return queries;
}

export function lineRecord(line: CostLine): CostLineRecord {
  const { meter, billed, rate, per, factors, model } = line;
  const quantity = formatQuantity(line);
  const pico_usd = line.amount.toString();
  if (billed === undefined && model === undefined) return { meter, quantity, rate, per, factors, pico_usd };
  return {
    meter,
    quantity,
    ...(billed !== undefined && { billed: formatQuantity({ meter, quantity: billed }) }),
    rate,
    per,
    factors,
    pico_usd,
    ...(model !== undefined && { model }),
  };
}

export function readingRecord(reading: Reading): ReadingRecord {
  const { meter, variant } = reading;
  const quantity = formatQuantity(reading);
  return variant === undefined ? { meter, quantity } : { meter, quantity, variant };
}

function readingOf({ meter: name, quantity: text, variant }: ReadingRecord): Reading {
  // Its caller looked whether there is such a meter.
  const meter = name as Meter;
  const quantity = parseQuantity(meter, text);
  return variant === undefined ? { meter, quantity } : { meter, quantity, variant };
}
