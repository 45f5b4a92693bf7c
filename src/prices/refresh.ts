// A refresh of the price book: what pages say against what is in force, and the layer that would make them agree. Nothing is put in
// force here, and nothing is fetched.
import { type Money, formatUsd, parseUsd } from '../domain/money.ts';
import type { PriceQuery } from '../domain/price.ts';
import { METERS } from '../domain/usage.ts';
import {
  type PriceBook,
  type PriceRow,
  type Rates,
  USUAL_PER,
  endOf,
  instantMs,
  parsePriceBook,
  startOf,
} from '../openai/price-book.ts';
import { readGenai, readLitellm } from '../openai/price-collections.ts';
import { type Page, type RatePlace, type ReadRate, readPricePages } from '../openai/price-pages.ts';
import { type OpenPrices, buildPrices } from '../openai/prices.ts';

export type PriceDocument = Page;

export interface RefreshPlan {
  readonly source: 'openai' | 'litellm' | 'genai';
  readonly rates: number;
  readonly models: number;
  readonly differences: readonly RateDifference[];
  /** What looks like a price and was not understood. */
  readonly unread: readonly string[];
  /** Models that have a price from OpenAI's pages and do not stand on these. */
  readonly missing: readonly string[];
  /** Why it is not applied unless it is forced; empty where nothing speaks against it. */
  readonly doubts: readonly string[];
  /** The whole refreshed layer; null where there is none to make: collections are only compared with. */
  readonly book: PriceBook | null;
}

export interface RateDifference {
  /** A model, or `tools`. */
  readonly of: string;
  /** Such as `input_text_cached`, `long output_text`, `tier fast input_text` or `batch output_text`. */
  readonly what: string;
  /** US dollars for `per` units; null where there is none. */
  readonly before: string | null;
  readonly after: string | null;
  readonly per: string;
  /** Null where there is nothing to compare with. */
  readonly changePercent: number | null;
}

/** A change this large is more often a page read wrongly than a price. */
const CHANGE_PERCENT_MAX = 50;
const HOST = 'api.openai.com';
const SOURCE = 'openai';
const LONG_ABOVE = 272_000;

export interface PlanParts {
  readonly documents: readonly PriceDocument[];
  /** Where they were read, for the book. */
  readonly url: string;
  /** OpenAI's prices in force, without the operator's own. */
  readonly listed: OpenPrices;
  /** Wall clock, milliseconds: the new prices are in force from then on. */
  readonly now: number;
}

/** @throws Error where a document is no page and no collection */
export function planRefresh({ documents, url, listed, now }: PlanParts): RefreshPlan {
  const collection = collectionIn(documents);
  if (collection !== null) {
    const known = collection.rates.filter(({ model }) => listed.rowInForce({ ...QUERY, model, at: now }) !== null);
    const differences = known.flatMap((rate) => differenceOf(rate, listed, now) ?? []);
    const doubts = [`${collection.source} is compared with only: its rates are not OpenAI's own word`];
    return { ...collection, ...counted(known), differences, unread: [], missing: [], doubts, book: null };
  }
  const { rates, unread } = readPricePages(documents);
  const differences = rates.flatMap((rate) => differenceOf(rate, listed, now) ?? []);
  const missing = missingFrom(rates, listed, now);
  const { book, doubts } = refreshedBook(rates, listed, { now, url });
  return {
    source: 'openai',
    ...counted(rates),
    differences,
    unread,
    missing,
    doubts: [...readingDoubts(rates, unread, missing), ...differences.flatMap(largeChange), ...doubts],
    book,
  };
}

function collectionIn(documents: readonly PriceDocument[]): {
  readonly source: 'litellm' | 'genai';
  readonly rates: readonly ReadRate[];
} | null {
  const [document] = documents;
  if (document === undefined || documents.length > 1 || !/^\s*[[{]/.test(document.text)) return null;
  let written: unknown;
  try {
    written = JSON.parse(document.text);
  } catch {
    // A page may begin with a bracket too.
    return null;
  }
  const litellm = readLitellm(written);
  if (litellm !== null) return { source: 'litellm', rates: litellm };
  const genai = readGenai(written);
  if (genai !== null) return { source: 'genai', rates: genai };
  throw new Error(`${document.name} is JSON, but neither LiteLLM's collection of prices nor that of genai-prices`);
}

function counted(rates: readonly ReadRate[]) {
  return { rates: rates.length, models: new Set(rates.flatMap(({ model }) => model ?? [])).size };
}

const QUERY = { serviceTier: null, mode: 'standard', host: HOST, teamId: null, keyId: null } as const;

/** What is billed by begun minutes and five at least shows its rate when there is much of it. */
const MUCH = 1000n;

/** What a place costs in pico-dollars for so many units; null where the book has no rate of its own for it. */
function amountAt(
  prices: OpenPrices,
  { model, tier, mode, isLong, meter, variant, per }: RatePlace & { readonly per: string },
  at: number,
): Money | null {
  const query = { ...QUERY, model, at, serviceTier: tier, mode };
  const row = prices.rowInForce(query)?.row;
  const isOfRow = model !== null;
  if (isOfRow && (row === undefined || row.rates[meter] === undefined)) return null;
  if (isLong && row?.long === undefined) return null;
  const { unit, scale } = METERS[meter];
  const times = unit === 'second' ? MUCH : 1n;
  const quantity = BigInt(per) * 10n ** BigInt(scale) * times;
  const usual = variant === null ? { meter, quantity } : { meter, quantity, variant };
  // Input beside it brings an exchange above the threshold of long context.
  const readings =
    isLong && meter !== 'input_text' ? [{ meter: 'input_text' as const, quantity: 1_000_000n }, usual] : [usual];
  const priced: PriceQuery = { ...query, readings, isSum: !isLong };
  const amount = prices.price(priced).lines.find((line) => line.meter === meter)?.amount ?? null;
  return amount === null ? null : amount / times;
}

function differenceOf(rate: ReadRate, prices: OpenPrices, at: number): RateDifference | null {
  const before = amountAt(prices, rate, at);
  const after = rate.amount === null ? null : parseUsd(rate.amount);
  if (before === after) return null;
  const isComparable = before !== null && after !== null && before > 0n;
  return {
    of: rate.model ?? 'tools',
    what: whatOf(rate),
    before: before === null ? null : formatUsd(before),
    after: after === null ? null : formatUsd(after),
    per: rate.per,
    changePercent: isComparable ? Number(((after - before) * 1000n) / before) / 10 : null,
  };
}

function whatOf({ tier, mode, isLong, meter, variant }: RatePlace): string {
  const prefix = `${tier === null ? '' : `tier ${tier} `}${mode === 'batch' ? 'batch ' : ''}${isLong ? 'long ' : ''}`;
  return `${prefix}${meter}${variant === null ? '' : ` ${variant}`}`;
}

/** Models whose price in force was read on OpenAI's pages, and that are answered still. */
function missingFrom(rates: readonly ReadRate[], listed: OpenPrices, now: number): readonly string[] {
  const read = new Set(rates.map(({ model }) => model));
  const { shipped, refreshed } = listed.layers;
  const names = new Set([...shipped.models, ...(refreshed?.models ?? [])].map(({ model }) => model));
  return [...names].filter((model) => {
    if (/[*:]/.test(model) || read.has(model)) return false;
    const retiresOn = listed.retiresOn(model);
    if (retiresOn !== null && instantMs(retiresOn) <= now) return false;
    const row = listed.rowInForce({ ...QUERY, model, at: now })?.row;
    return row?.source === SOURCE && row.confidence === 'first_party';
  });
}

function readingDoubts(
  rates: readonly ReadRate[],
  unread: readonly string[],
  missing: readonly string[],
): readonly string[] {
  const doubts: string[] = [];
  if (rates.length === 0) doubts.push('no rate was found: this is another page, or its layout has changed');
  if (unread.length > 0) doubts.push(`${unread.length} prices on the pages were not understood`);
  if (missing.length > 0)
    doubts.push(`${missing.length} models that have a price are not on the pages: ${missing.join(', ')}`);
  return doubts;
}

function largeChange({ of, what, before, after, changePercent }: RateDifference): readonly string[] {
  const isTaken = before !== null && after === null;
  const isLarge = changePercent !== null && Math.abs(changePercent) >= CHANGE_PERCENT_MAX;
  if (!isTaken && !isLarge) return [];
  return [`${what} of ${of} changes from ${before} to ${after ?? 'none'}${isLarge ? `, by ${changePercent} %` : ''}`];
}

/** Rows are added, and none is changed: what was in force stays so for all exchanges before now. */
function refreshedBook(
  rates: readonly ReadRate[],
  listed: OpenPrices,
  { now, url }: { readonly now: number; readonly url: string },
): { readonly book: PriceBook; readonly doubts: readonly string[] } {
  const { shipped, refreshed } = listed.layers;
  const effectiveFrom = `${new Date(now).toISOString().slice(0, 19)}Z`;
  const doubts: string[] = [];
  const start: PriceBook = refreshed ?? parsePriceBook({});
  const checked = { url, checkedOn: effectiveFrom.slice(0, 10) };
  let book: PriceBook = { ...start, sources: { ...shipped.sources, ...start.sources, [SOURCE]: checked } };
  const at = instantMs(effectiveFrom);
  const inForce = () => buildPrices({ shipped, refreshed: book, overrides: null, contracts: null });
  const differing = (those: readonly ReadRate[], prices: OpenPrices) =>
    those.filter((rate) => differenceOf(rate, prices, at) !== null);
  const add = (row: PriceRow): void => {
    const isSame = (each: PriceRow) =>
      each.model === row.model &&
      each.tier === row.tier &&
      each.host === row.host &&
      each.effectiveFrom === row.effectiveFrom;
    book = { ...book, models: [...book.models.filter((each) => !isSame(each)), row] };
  };

  /** A row of this layer hides all of the layer below: those for tiers and hosts come along. */
  const bringAlong = (model: string): void => {
    const layers = [book.models, shipped.models];
    const rows = layers.find((models) => models.some((each) => each.model === model)) ?? [];
    for (const row of rows) {
      const isForSome = row.model === model && (row.tier !== undefined || row.host !== undefined);
      if (isForSome && startOf(row) <= at && at < endOf(row)) add({ ...row, effectiveFrom });
    }
  };

  // Standard rates first: long context, tiers and batches are mostly factors on them.
  const tools = rates.filter((rate) => rate.model === null && rate.amount !== null);
  const otherTools = differing(tools, inForce());
  if (otherTools.length > 0) {
    const row = {
      effectiveFrom,
      source: SOURCE,
      confidence: 'first_party' as const,
      rates: withRates(toolRates(listed, otherTools, at), otherTools),
    };
    book = { ...book, tools: [...book.tools, row] };
  }
  const byModel = Map.groupBy(
    rates.filter((rate) => rate.model !== null),
    ({ model }) => model!,
  );
  for (const [model, those] of byModel) {
    const found = inForce().rowInForce({ ...QUERY, model, at })?.row;
    const standard = those.filter(({ tier, mode, isLong }) => tier === null && mode === 'standard' && !isLong);
    if (found === undefined && standard.every(({ amount }) => amount === null)) continue;
    const { effectiveTo: _, ...kept }: PriceRow = found ?? { model, rates: {}, confidence: 'first_party' };
    const row: PriceRow = { ...kept, model, effectiveFrom, source: SOURCE };
    if (differing(standard, inForce()).length > 0) {
      bringAlong(model);
      add({ ...row, rates: withRates(row.rates, standard) });
    }

    const long = those.filter(({ tier, mode, isLong }) => tier === null && mode === 'standard' && isLong);
    if (differing(long, inForce()).length > 0) {
      bringAlong(model);
      const base = inForce().rowInForce({ ...QUERY, model, at })?.row ?? row;
      const aboveInputTokens = base.long?.aboveInputTokens ?? LONG_ABOVE;
      const read = { aboveInputTokens, rates: withRates(longRates(inForce(), base, at), long), source: SOURCE };
      add({ ...row, rates: base.rates, long: { ...read, confidence: 'first_party' } });
    }

    for (const tier of new Set(those.flatMap((each) => each.tier ?? []))) {
      const ofTier = those.filter((each) => each.tier === tier && !each.isLong && each.amount !== null);
      if (differing(ofTier, inForce()).length === 0) continue;
      const { long: _long, ...base } = inForce().rowInForce({ ...QUERY, model, at })?.row ?? row;
      add({
        ...base,
        model,
        tier,
        effectiveFrom,
        source: SOURCE,
        confidence: 'first_party',
        rates: withRates({}, ofTier),
      });
    }

    const batch = those.filter(({ mode, amount }) => mode === 'batch' && amount !== null);
    const batchDiffers = differing(batch, inForce()).map(({ meter }) => meter);
    if (batchDiffers.length > 0)
      doubts.push(
        `batches of ${model} are not at the factor of the book (${batchDiffers.join(', ')}): write it with prices.overrides`,
      );
  }
  return { book: parsePriceBook(book), doubts };
}

/** @param read a dash takes a rate away */
function withRates(rates: Rates, read: readonly ReadRate[]): Rates {
  const next: Rates = { ...rates };
  const origin = { source: SOURCE, confidence: 'first_party' } as const;
  for (const { meter, variant, amount, per } of read) {
    if (amount === null) {
      delete next[meter];
      continue;
    }
    const usual = USUAL_PER[METERS[meter].unit];
    // Steps and least amounts stand in words on the pages: they stay. Amounts for another number of units do not.
    const { per: perBefore = usual, variants = {}, amount: amountBefore, ...before } = next[meter] ?? {};
    const isSame = perBefore === per;
    const others = isSame ? variants : {};
    next[meter] = {
      ...before,
      ...(isSame && amountBefore !== undefined && { amount: amountBefore }),
      ...(variant === null && { ...origin, amount }),
      ...(per !== usual && { per }),
      variants: variant === null ? others : { ...others, [variant]: { ...origin, amount } },
    };
    if (Object.keys(next[meter]?.variants ?? {}).length === 0) delete next[meter]?.variants;
  }
  return next;
}

/** As they are in force, for what a page does not say of them. */
function toolRates({ layers }: OpenPrices, read: readonly ReadRate[], at: number): Rates {
  const rates: Rates = {};
  const rows = (layers.refreshed?.tools ?? []).toReversed().concat(layers.shipped.tools.toReversed());
  for (const { meter } of read) {
    const row = rows.find((each) => each.rates[meter] !== undefined && startOf(each) <= at && at < endOf(each));
    const rate = row?.rates[meter];
    if (rate !== undefined) rates[meter] = rate;
  }
  return rates;
}

/** The rates that a row has above its threshold, written out. */
function longRates(prices: OpenPrices, { model, rates, long }: PriceRow, at: number): Rates {
  if (long === undefined) return {};
  const next: Rates = {};
  for (const meter of Object.keys(rates) as (keyof Rates)[]) {
    if (METERS[meter].unit !== 'token') continue;
    const amount = amountAt(
      prices,
      { model, tier: null, mode: 'standard', isLong: true, meter, variant: null, per: USUAL_PER.token },
      at,
    );
    if (amount !== null) next[meter] = { amount: formatUsd(amount), confidence: long.confidence };
  }
  return next;
}
