// Prices in force, and the one order in which a price is made (reference: cost 3).
// Pure: the same layers give the same prices for ever.
import { createHash } from 'node:crypto';

import { type Money, divideHalfEven, divideUp } from '../domain/money.ts';
import type { Confidence, Cost, CostLine, PriceQuery, Prices } from '../domain/price.ts';
import { METERS, type Meter, type Reading } from '../domain/usage.ts';
import { fineTunedFrom, withoutSnapshot } from './model-names.ts';
import { type PriceBook, type PriceRow, canonicalTier } from './price-book.ts';
import {
  type Layer,
  type LayerName,
  type Model,
  type PriceLayers,
  type ReadyFactor,
  type ReadyRate,
  type ReadyRow,
  amountOf,
  factorFor,
  findModel,
  hostName,
  makeReady,
  modelWithoutRows,
  rateIn,
  rowFor,
  toolRate,
  weaker,
} from './price-layers.ts';

/** Prices that can also be looked into. */
export interface OpenPrices extends Prices {
  readonly layers: PriceLayers;
  /** The row that a query would be priced by; null where there is none. */
  rowInForce(query: RowQuery): { readonly layer: LayerName; readonly row: PriceRow } | null;
  /** The day from which a model is answered no more; null where none is known. */
  retiresOn(model: string): string | null;
  /** Bytes of vector stores that cost nothing, for all stores of the account together. */
  readonly freeVectorStoreBytes: bigint;
}

type RowQuery = Pick<PriceQuery, 'model' | 'at' | 'serviceTier' | 'host'>;

/** Grows when the order or the rounding below changes, for then the same layers give other amounts. */
const ALGORITHM = 1;
/** Names come from requests and replies, so what is remembered of them has a bound. */
const NAMES_REMEMBERED_MAX = 2000;

export function buildPrices(layers: PriceLayers): OpenPrices {
  const ready = makeReady(layers);
  const version = versionOf(layers);
  const nameless = modelWithoutRows(ready);
  const remembered = new Map<string, Model>();

  const modelOf = (name: string | null): Model => {
    if (name === null) return nameless;
    let model = remembered.get(name);
    if (model === undefined) {
      model = findModel(name, ready) ?? nameless;
      if (remembered.size >= NAMES_REMEMBERED_MAX) remembered.clear();
      remembered.set(name, model);
    }
    return model;
  };
  const inForce = ({ model, at, serviceTier, host }: RowQuery): ReadyRow | null =>
    rowFor(modelOf(model), { at, tier: canonicalTier(serviceTier), host: hostName(host) });
  const fact = <F extends keyof Facts>(name: string, field: F): Facts[F] | null => {
    const base = fineTunedFrom(name) ?? name;
    for (const each of [name, modelOf(name).key, base, modelOf(base).key, withoutSnapshot(base)]) {
      for (const { book } of ready) {
        const found = each === null || !Object.hasOwn(book.facts, each) ? undefined : book.facts[each]?.[field];
        if (found !== undefined) return found;
      }
    }
    return null;
  };

  return {
    version,
    layers,
    price: (query) => priceOf(query, modelOf(query.model), inForce(query), { ready, version }),
    maxInputTokens: (model) => fact(model, 'maxInputTokens') ?? null,
    maxOutputTokens: (model) => fact(model, 'maxOutputTokens') ?? null,
    retiresOn: (model) => fact(model, 'retiresOn') ?? null,
    rowInForce(query) {
      const row = inForce(query);
      return row === null ? null : { layer: row.layer, row: row.written };
    },
    freeVectorStoreBytes: BigInt(
      ready.find(({ book }) => book.freeVectorStoreBytes !== undefined)?.book.freeVectorStoreBytes ?? '0',
    ),
  };
}

type Facts = PriceBook['facts'][string];

function versionOf(layers: PriceLayers): string {
  const content = JSON.stringify(inOrder({ algorithm: ALGORITHM, layers }));
  return `prices_${createHash('sha256').update(content).digest('hex').slice(0, 20)}`;
}

/** The same content is the same text, in whatever order its fields were written. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, each]) => [name, inOrder(each)]));
}

function priceOf(
  query: PriceQuery,
  model: Model,
  row: ReadyRow | null,
  { ready, version }: { ready: readonly Layer[]; version: string },
): Cost {
  const long = longOf(query, row);
  const factors = factorsFor(query, model, row);
  const lines: CostLine[] = [];
  const lacks: Lack[] = [];
  let amount: Money = 0n;
  let confidence: Confidence | null = null;

  // A model that nobody knows is told even where it used nothing.
  if (query.readings.length === 0 && query.model !== null && model.key === null) lacks.push(['unknown_model', null]);
  for (const reading of query.readings) {
    const { meter, quantity, variant } = reading;
    if (quantity === 0n) continue;
    if (quantity < 0n) {
      lacks.push(['negative_reading', meter]);
      continue;
    }
    const isToken = METERS[meter].unit === 'token';
    const ofRow = row === null ? null : rateIn((isToken && long?.rates) || row.rates, meter);
    const rate = ofRow ?? toolRate(ready, meter, query.at);
    const rateAmount = rate === null ? null : amountOf(rate, variant);
    if (rate === null || rateAmount === null) {
      lacks.push(lackOf(query, model, row, rate === null || variant === undefined ? meter : `${meter}:${variant}`));
      continue;
    }
    if (isToken && factors.lack !== null) {
      lacks.push(factors.lack);
      continue;
    }

    const used = isToken ? factors.ofTokens : factors.ofAll;
    const longFactor =
      isToken && long?.rates === null ? (meter.startsWith('output_') ? long.output : long.input) : null;
    const line = lineOf(reading, rate, rateAmount, longFactor === null ? used : [longFactor, ...used]);
    lines.push(line);
    amount += line.amount;
    confidence = weaker(confidence, rateAmount.confidence);
    // Without a rate for writing it is taken to cost nothing beside the input, which OpenAI does not say.
    if (meter.startsWith('input_text_written') && !row?.rates.has('input_text_written')) confidence = 'unconfirmed';
    if (isToken && long !== null) confidence = weaker(confidence, long.confidence);
    for (const factor of used) confidence = weaker(confidence, factor.confidence);
  }

  const why = whyOf(lacks);
  if (why !== null && lines.length === 0) {
    return { state: 'unpriced', amount: null, lines, priceVersion: null, confidence: null, why };
  }
  return { state: why === null ? 'priced' : 'partial', amount, lines, priceVersion: version, confidence, why };
}

/** The long-context rates, where the whole exchange has them: by its input of all kinds, cached and written included. */
function longOf({ readings, isSum }: PriceQuery, row: ReadyRow | null): ReadyRow['long'] {
  if (row === null || row.long === null || isSum === true) return null;
  let tokens = 0n;
  for (const { meter, quantity } of readings) if (meter.startsWith('input_')) tokens += quantity;
  return tokens > row.long.above ? row.long : null;
}

/** A code, and what lacks. */
type Lack = readonly [code: string, what: string | null];

interface Factors {
  readonly ofTokens: readonly ReadyFactor[];
  /** Of what is not counted in tokens. */
  readonly ofAll: readonly ReadyFactor[];
  /** What stands in the way of pricing tokens. */
  readonly lack: Lack | null;
}

const NO_FACTORS: Factors = { ofTokens: [], ofAll: [], lack: null };

/** Tier, batch or window, region, contract: one of each at most. A row for the tier or the host has them in its rates. */
function factorsFor(query: PriceQuery, { rules }: Model, row: ReadyRow | null): Factors {
  const { at, mode, teamId, keyId } = query;
  const all: ReadyFactor[] = [];
  let lack: Lack | null = null;
  const tier = canonicalTier(query.serviceTier);
  if (tier !== null && (row === null || row.tier === null)) {
    const factor = factorFor(rules.tier, tier, at);
    if (factor === null) lack = ['no_tier_rate', tier];
    else all.push(factor);
  }
  if (mode !== 'standard') {
    const factor = factorFor(rules.mode, mode, at);
    if (factor === null) lack ??= ['no_mode_rate', mode];
    else all.push(factor);
  }
  const isForHost = row !== null && row.matchesHost !== null;
  const region = isForHost ? null : factorFor(rules.host, hostName(query.host), at);
  if (region !== null) all.push(region);
  const contract =
    (keyId === null ? null : factorFor(rules.key, keyId, at)) ??
    (teamId === null ? null : factorFor(rules.team, teamId, at));
  if (contract !== null) all.push(contract);
  if (all.length === 0) return lack === null ? NO_FACTORS : { ...NO_FACTORS, lack };
  return { ofTokens: all, ofAll: all.filter(({ isForAll }) => isForAll), lack };
}

function lineOf(
  { meter, quantity }: Reading,
  rate: ReadyRate,
  { written, pico }: { written: string; pico: Money },
  used: readonly ReadyFactor[],
): CostLine {
  const billed = billedOf(quantity, rate);
  let dividend = billed * pico;
  let divisor = rate.per;
  for (const { numerator, denominator } of used) {
    dividend *= numerator;
    divisor *= denominator;
  }
  const per = rate.writtenPer;
  const factors = used.length === 0 ? [] : used.map(({ reason, factor }) => ({ reason, factor }));
  const amount = divideHalfEven(dividend, divisor);
  return billed === quantity
    ? { meter, quantity, rate: written, per, factors, amount }
    : { meter, quantity, billed, rate: written, per, factors, amount };
}

function billedOf(quantity: bigint, { step, minimum }: ReadyRate): bigint {
  const stepped = step === null ? quantity : divideUp(quantity, step) * step;
  return minimum !== null && stepped < minimum ? minimum : stepped;
}

function lackOf(
  { model }: PriceQuery,
  { key }: Model,
  row: ReadyRow | null,
  meter: Meter | `${Meter}:${string}`,
): Lack {
  if (model === null) return ['no_model', null];
  if (key === null) return ['unknown_model', null];
  return row === null ? ['no_price_at_date', null] : ['no_rate', meter];
}

/** `no_rate:input_audio,output_audio`; several codes have a semicolon between them. */
function whyOf(lacks: readonly Lack[]): string | null {
  if (lacks.length === 0) return null;
  const codes = [...new Set(lacks.map(([code]) => code))];
  return codes
    .map((code) => {
      const what = [...new Set(lacks.filter((lack) => lack[0] === code).flatMap(([, each]) => each ?? []))];
      return what.length === 0 ? code : `${code}:${what.join(',')}`;
    })
    .join(';');
}
