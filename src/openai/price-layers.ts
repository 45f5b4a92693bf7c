// The layers of the price book made ready for looking up: numbers read once, rows by model, multipliers in order of precedence.
import { type Money, parseUsd } from '../domain/money.ts';
import type { Confidence } from '../domain/price.ts';
import { METERS, type Meter } from '../domain/usage.ts';
import { nameWithRows, patternMatcher } from './model-names.ts';
import {
  type Multiplier,
  type PriceBook,
  type PriceRow,
  type Rate,
  type Rates,
  canonicalTier,
  endOf,
  perOf,
  ratesOf,
  startOf,
} from './price-book.ts';

/** Whole books, so that they can be kept as JSON under their version and read again. A later one wins over an earlier. */
export interface PriceLayers {
  readonly shipped: PriceBook;
  readonly refreshed: PriceBook | null;
  readonly overrides: PriceBook | null;
  /** Multipliers agreed for teams and keys. */
  readonly contracts: PriceBook | null;
}

export type LayerName = keyof PriceLayers;
/** The strongest first. */
export const LAYER_NAMES: readonly LayerName[] = ['contracts', 'overrides', 'refreshed', 'shipped'];

interface Valid {
  readonly start: number;
  readonly end: number;
}

interface ReadyAmount {
  readonly written: string;
  readonly pico: Money;
  readonly confidence: Confidence;
}

export interface ReadyRate {
  /** For readings without a variant, and for variants that are not listed; null where there is none. */
  readonly amount: ReadyAmount | null;
  readonly variants: ReadonlyMap<string, ReadyAmount>;
  /** In the smallest parts of the meter's unit, as `step` and `minimum` are. */
  readonly per: bigint;
  readonly writtenPer: string;
  readonly step: bigint | null;
  readonly minimum: bigint | null;
}

export type ReadyRates = ReadonlyMap<Meter, ReadyRate>;

export interface ReadyFactor extends Valid {
  readonly reason: string;
  readonly factor: string;
  readonly numerator: bigint;
  readonly denominator: bigint;
  /** Not for tokens alone. */
  readonly isForAll: boolean;
  readonly confidence: Confidence;
  /** Whether a tier, mode, host, team or key is meant. */
  readonly means: (value: string) => boolean;
}

type Purpose = 'tier' | 'mode' | 'host' | 'team' | 'key';
type Rules = Readonly<Record<Purpose, readonly ReadyFactor[]>>;

export interface ReadyRow extends Valid {
  readonly layer: LayerName;
  readonly written: PriceRow;
  readonly tier: string | null;
  /** Null where the row is for every host. */
  readonly matchesHost: ((host: string) => boolean) | null;
  readonly rates: ReadyRates;
  readonly long: {
    readonly above: bigint;
    /** Null where factors on the row's own rates stand for them. */
    readonly rates: ReadyRates | null;
    readonly input: ReadyFactor;
    readonly output: ReadyFactor;
    readonly confidence: Confidence;
  } | null;
}

/** A model's name with all that may be in force for it. */
export interface Model {
  /** The name or pattern that its rows have; null for a name that has none. */
  readonly key: string | null;
  /** The strongest layer first; within it, the latest first. */
  readonly rows: readonly (readonly ReadyRow[])[];
  readonly rules: Rules;
}

export interface Layer {
  readonly book: PriceBook;
  /** Of what does not say how sure it is. */
  readonly trust: Confidence;
  readonly rows: ReadonlyMap<string, readonly ReadyRow[]>;
  /** The longest first, for it says most. */
  readonly patterns: readonly { readonly pattern: string; readonly matches: (model: string) => boolean }[];
  readonly tools: ReadonlyMap<Meter, readonly (Valid & { readonly rate: ReadyRate })[]>;
}

export function makeReady(layers: PriceLayers): readonly Layer[] {
  return LAYER_NAMES.flatMap((name) => {
    const book = layers[name];
    return book === null ? [] : [readyLayer(name, book, trustIn(name))];
  });
}

/** How sure what does not say it is. What a person of the house wrote, they answer for. */
export function trustIn(layer: LayerName): Confidence {
  return layer === 'overrides' || layer === 'contracts' ? 'operator' : 'unconfirmed';
}

function readyLayer(layer: LayerName, book: PriceBook, trust: Confidence): Layer {
  const rows = book.models.map((row) => readyRow(layer, row, trust)).toSorted(latestFirst);
  const names = [...new Set(book.models.map(({ model }) => model))];
  const tools = new Map<Meter, (Valid & { rate: ReadyRate })[]>();
  for (const row of book.tools.toSorted((a, b) => latestFirst(validity(a), validity(b)))) {
    for (const [meter, rate] of readyRates(row.rates, row.confidence ?? trust)) {
      tools.set(meter, [...(tools.get(meter) ?? []), { ...validity(row), rate }]);
    }
  }
  return {
    book,
    trust,
    rows: new Map(names.map((name) => [name, rows.filter(({ written }) => written.model === name)])),
    patterns: names
      .filter((name) => name.includes('*'))
      .toSorted((a, b) => b.length - a.length)
      .map((pattern) => ({ pattern, matches: patternMatcher(pattern) })),
    tools,
  };
}

function readyRow(layer: LayerName, row: PriceRow, trust: Confidence): ReadyRow {
  const confidence = row.confidence ?? trust;
  const { long } = row;
  const longConfidence = long?.confidence ?? confidence;
  return {
    layer,
    written: row,
    ...validity(row),
    tier: canonicalTier(row.tier ?? null),
    matchesHost: row.host === undefined ? null : patternMatcher(row.host.toLowerCase()),
    rates: readyRates(row.rates, confidence),
    long:
      long === undefined
        ? null
        : {
            above: BigInt(long.aboveInputTokens),
            rates: long.rates === undefined ? null : readyRates(long.rates, longConfidence),
            input: readyFactor('long_context', { factor: long.inputFactor ?? '1' }, longConfidence),
            output: readyFactor('long_context', { factor: long.outputFactor ?? '1' }, longConfidence),
            confidence: longConfidence,
          },
  };
}

function readyRates(rates: Rates, confidence: Confidence): ReadyRates {
  return new Map(ratesOf(rates).map(([meter, rate]) => [meter, readyRate(meter, rate, confidence)]));
}

function readyRate(meter: Meter, rate: Rate, confidence: Confidence): ReadyRate {
  const parts = 10n ** BigInt(METERS[meter].scale);
  const inParts = (count: string | undefined): bigint | null => (count === undefined ? null : BigInt(count) * parts);
  const ready = (written: string, own: Confidence | undefined): ReadyAmount => ({
    written,
    pico: parseUsd(written),
    confidence: own ?? rate.confidence ?? confidence,
  });
  const writtenPer = perOf(meter, rate);
  const variants = Object.entries(rate.variants ?? {});
  return {
    amount: rate.amount === undefined ? null : ready(rate.amount, undefined),
    variants: new Map(variants.map(([variant, each]) => [variant, ready(each.amount, each.confidence)])),
    per: BigInt(writtenPer) * parts,
    writtenPer,
    step: inParts(rate.step),
    minimum: inParts(rate.minimum),
  };
}

function readyFactor(
  reason: string,
  rule: Pick<Multiplier, 'factor' | 'appliesTo' | 'effectiveFrom' | 'effectiveTo'>,
  confidence: Confidence,
  means: (value: string) => boolean = () => true,
): ReadyFactor {
  const [whole = '0', fraction = ''] = rule.factor.split('.');
  return {
    reason,
    factor: rule.factor,
    numerator: BigInt(whole + fraction),
    denominator: 10n ** BigInt(fraction.length),
    isForAll: rule.appliesTo === 'all',
    confidence,
    means,
    ...validity(rule),
  };
}

/** Null where no layer has rows for the name. */
export function findModel(name: string, layers: readonly Layer[]): Model | null {
  const key =
    nameWithRows(
      name,
      (each) => layers.some(({ rows }) => rows.has(each)),
      (each) => layers.find(({ book }) => Object.hasOwn(book.aliases, each))?.book.aliases[each] ?? null,
    ) ??
    layers.flatMap(({ patterns }) => patterns).find(({ matches }) => matches(name))?.pattern ??
    null;
  if (key === null) return null;
  return {
    key,
    rows: layers.map(({ rows }) => rows.get(key) ?? []),
    rules: rulesFor([name, key], layers),
  };
}

/** What is in force for a name without rows, or for no name at all: a multiplier of all models, nothing else. */
export function modelWithoutRows(layers: readonly Layer[]): Model {
  return { key: null, rows: [], rules: rulesFor([], layers) };
}

function rulesFor(names: readonly string[], layers: readonly Layer[]): Rules {
  const isNamed = (patterns: readonly string[]): boolean =>
    patterns.some((pattern) => names.some((name) => patternMatcher(pattern)(name)));
  const of = (purpose: Purpose): ReadyFactor[] =>
    layers.flatMap(({ book, trust }) => {
      const mine = book.multipliers.filter(
        (rule) =>
          rule[purpose] !== undefined &&
          (rule.models === undefined || isNamed(rule.models)) &&
          !isNamed(rule.exceptModels ?? []),
      );
      const named = mine.filter(({ models }) => models !== undefined);
      const general = mine.filter(({ models }) => models === undefined);
      // Within a layer, one that names the model goes before one for all.
      return [named, general].flatMap((rules) =>
        rules.map((rule) => readyRule(purpose, rule, trust)).toSorted(latestFirst),
      );
    });
  return { tier: of('tier'), mode: of('mode'), host: of('host'), team: of('team'), key: of('key') };
}

function readyRule(purpose: Purpose, rule: Multiplier, trust: Confidence): ReadyFactor {
  const value = rule[purpose] ?? '';
  const confidence = rule.confidence ?? trust;
  switch (purpose) {
    case 'tier': {
      const tier = canonicalTier(value) ?? value;
      return readyFactor(`tier:${tier}`, rule, confidence, (each) => each === tier);
    }
    case 'host':
      return readyFactor(`region:${value}`, rule, confidence, patternMatcher(value.toLowerCase()));
    case 'mode':
      return readyFactor(`mode:${value}`, rule, confidence, (each) => each === value);
    case 'team':
    case 'key':
      return readyFactor(`contract:${value}`, rule, confidence, (each) => each === value);
  }
}

/** The first that is in force for what is meant. */
export function factorFor(rules: readonly ReadyFactor[], value: string, at: number): ReadyFactor | null {
  for (const rule of rules) if (isValid(rule, at) && rule.means(value)) return rule;
  return null;
}

/**
 * The row in force: of the strongest layer that has one; within it one for the host before one for every host, then one for
 * the tier before one for every tier, then the latest.
 */
export function rowFor(
  model: Model,
  { at, tier, host }: { at: number; tier: string | null; host: string },
): ReadyRow | null {
  for (const rows of model.rows) {
    let best: ReadyRow | null = null;
    let bestRank = -1;
    for (const row of rows) {
      if (!isValid(row, at) || (row.tier !== null && row.tier !== tier) || row.matchesHost?.(host) === false) continue;
      const rank = (row.matchesHost === null ? 0 : 2) + (row.tier === null ? 0 : 1);
      if (rank > bestRank) [best, bestRank] = [row, rank];
    }
    if (best !== null) return best;
  }
  return null;
}

/** What a dash in OpenAI's table means: what was cached or written costs what all input does. */
export const WITHOUT_DISCOUNT: Partial<Record<Meter, Meter>> = {
  input_text_cached: 'input_text',
  input_audio_cached: 'input_audio',
  input_image_cached: 'input_image',
  input_text_written: 'input_text',
};

export function rateIn(rates: ReadyRates, meter: Meter): ReadyRate | null {
  const rate = rates.get(meter);
  if (rate !== undefined) return rate;
  // Where a model charges for writing, a missing rate for the longer time is unknown and not without charge.
  if (meter === 'input_text_written_12h') {
    return rates.has('input_text_written') ? null : (rates.get('input_text') ?? null);
  }
  const full = WITHOUT_DISCOUNT[meter];
  return full === undefined ? null : (rates.get(full) ?? null);
}

export function toolRate(layers: readonly Layer[], meter: Meter, at: number): ReadyRate | null {
  for (const { tools } of layers) {
    for (const each of tools.get(meter) ?? []) if (isValid(each, at)) return each.rate;
  }
  return null;
}

export function amountOf(rate: ReadyRate, variant: string | undefined): ReadyAmount | null {
  return (variant === undefined ? undefined : rate.variants.get(variant)) ?? rate.amount;
}

let lastHost = '';
let lastHostName = '';

/** A host in the form that patterns have: `EU.api.openai.com:443` is `eu.api.openai.com`. Nearly all prices are of one host. */
export function hostName(host: string): string {
  if (host !== lastHost) {
    lastHostName = host.toLowerCase().replace(/:\d+$/, '');
    lastHost = host;
  }
  return lastHostName;
}

const STRENGTH: Readonly<Record<Confidence, number>> = {
  unconfirmed: 0,
  two_secondary: 1,
  operator: 2,
  first_party: 3,
};

export function weaker(a: Confidence | null, b: Confidence): Confidence {
  return a !== null && STRENGTH[a] < STRENGTH[b] ? a : b;
}

function validity(row: Parameters<typeof startOf>[0] & Parameters<typeof endOf>[0]): Valid {
  return { start: startOf(row), end: endOf(row) };
}

function isValid({ start, end }: Valid, at: number): boolean {
  return start <= at && at < end;
}

function latestFirst(a: Valid, b: Valid): number {
  if (a.start === b.start) return 0;
  return a.start > b.start ? -1 : 1;
}
