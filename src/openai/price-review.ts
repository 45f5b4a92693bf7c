// Looking a price book over: what differs between two, and what in one is old, missing or about to end.
import { METERS, type Meter } from '../domain/usage.ts';
import {
  type Multiplier,
  type PriceBook,
  type PriceRow,
  type Rates,
  canonicalTier,
  endOf,
  instantMs,
  perOf,
  ratesOf,
  startOf,
} from './price-book.ts';

const DAY_MS = 86_400_000;
/** Rates whose source was read longer ago than this may have changed unseen. */
export const CHECKED_DAYS_MAX = 30;

/** One rate or multiplier that is not the same in two books. */
export interface PriceChange {
  readonly kind: 'added' | 'removed' | 'changed';
  /** Whose it is: a model, `tools` or `multipliers`. */
  readonly of: string;
  /** Which one, such as `input_text_cached`, `long output_text` or `tier fast`. */
  readonly what: string;
  /** Null where it was always so. */
  readonly effectiveFrom: string | null;
  /** As text such as `2.50 per 1000000`; null where there is none. */
  readonly before: string | null;
  readonly after: string | null;
}

/** Every rate and multiplier that was added, removed or changed. What only says where a rate was read is no change. */
export function diffBooks(before: PriceBook, after: PriceBook): PriceChange[] {
  const [old, young] = [entriesOf(before), entriesOf(after)];
  const changes: PriceChange[] = [];
  for (const [id, entry] of old) {
    const now = young.get(id);
    if (now === undefined) changes.push({ kind: 'removed', ...entry.place, before: entry.text, after: null });
    else if (now.text !== entry.text) {
      changes.push({ kind: 'changed', ...entry.place, before: entry.text, after: now.text });
    }
  }
  for (const [id, entry] of young) {
    if (!old.has(id)) changes.push({ kind: 'added', ...entry.place, before: null, after: entry.text });
  }
  return changes;
}

interface Entry {
  readonly place: Pick<PriceChange, 'of' | 'what' | 'effectiveFrom'>;
  readonly text: string;
}

function entriesOf(book: PriceBook): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  const add = (of: string, what: string, row: Validity, text: string): void => {
    const place = { of, what, effectiveFrom: row.effectiveFrom ?? null };
    const end = row.effectiveTo === undefined ? '' : ` until ${row.effectiveTo}`;
    entries.set(JSON.stringify(place), { place, text: text + end });
  };
  for (const row of book.models) {
    const prefix = conditions(row);
    for (const [what, text] of rateTexts(row.rates)) add(row.model, prefix + what, row, text);
    if (row.long === undefined) continue;
    const { aboveInputTokens, inputFactor, outputFactor, rates } = row.long;
    add(row.model, `${prefix}long`, row, `above ${aboveInputTokens}`);
    for (const [what, text] of rateTexts(rates ?? {})) add(row.model, `${prefix}long ${what}`, row, text);
    if (inputFactor !== undefined) add(row.model, `${prefix}long input factor`, row, inputFactor);
    if (outputFactor !== undefined) add(row.model, `${prefix}long output factor`, row, outputFactor);
  }
  for (const row of book.tools) for (const [what, text] of rateTexts(row.rates)) add('tools', what, row, text);
  for (const rule of book.multipliers) {
    add('multipliers', purposeOf(rule), rule, `${rule.factor}${rule.appliesTo === 'all' ? ' of all' : ''}`);
  }
  return entries;
}

type Validity = Pick<PriceRow, 'effectiveFrom' | 'effectiveTo'>;

function conditions({ tier, host }: PriceRow): string {
  return `${host === undefined ? '' : `host ${host} `}${tier === undefined ? '' : `tier ${canonicalTier(tier) ?? tier} `}`;
}

function rateTexts(rates: Rates): [what: string, text: string][] {
  return ratesOf(rates).flatMap(([meter, rate]) => {
    const rounding = `${rate.step === undefined ? '' : ` in steps of ${rate.step}`}${rate.minimum === undefined ? '' : ` at least ${rate.minimum}`}`;
    const text = (amount: string): string => `${shortest(amount)} per ${perOf(meter, rate)}${rounding}`;
    const all: [string, string][] = rate.amount === undefined ? [] : [[meter, text(rate.amount)]];
    for (const [variant, { amount }] of Object.entries(rate.variants ?? {})) {
      all.push([`${meter} ${variant}`, text(amount)]);
    }
    return all;
  });
}

/** `2.50` and `2.5` are the same rate. */
function shortest(amount: string): string {
  return amount.includes('.') ? amount.replace(/\.?0+$/, '') : amount;
}

function purposeOf({ tier, mode, host, team, key, models, exceptModels }: Multiplier): string {
  const purposes = { tier, mode, host, team, key };
  const named = Object.entries(purposes).flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]));
  const of = models === undefined ? '' : ` of ${models.join(', ')}`;
  return `${named.join(' ')}${of}${exceptModels === undefined ? '' : ` but ${exceptModels.join(', ')}`}`;
}

/** What there is to do about a book. */
export interface BookFinding {
  readonly kind: 'stale' | 'unconfirmed' | 'gap' | 'retired';
  /** A model, a source, `tools` or `multipliers`. */
  readonly of: string;
  /** One sentence. */
  readonly message: string;
}

/** @param now wall clock, milliseconds */
export function verifyBook(book: PriceBook, now: number): BookFinding[] {
  return [...staleSources(book, now), ...unconfirmedRates(book), ...gaps(book, now), ...retirements(book, now)];
}

function staleSources(book: PriceBook, now: number): BookFinding[] {
  return Object.entries(book.sources).flatMap(([source, { url, checkedOn }]) => {
    const days = Math.floor((now - instantMs(checkedOn)) / DAY_MS);
    if (days <= CHECKED_DAYS_MAX) return [];
    const models = new Set(book.models.filter((row) => usesSource(row, source)).map(({ model }) => model));
    const message = `${url} was read ${days} days ago, on ${checkedOn}; ${models.size} models have rates from it`;
    return [{ kind: 'stale' as const, of: source, message }];
  });
}

function usesSource(row: PriceRow, source: string): boolean {
  const rates = [...ratesOf(row.rates), ...ratesOf(row.long?.rates ?? {})].map(([, rate]) => rate);
  return [row, row.long, ...rates].some((each) => each?.source === source);
}

function unconfirmedRates(book: PriceBook): BookFinding[] {
  const found: BookFinding[] = [];
  const look = (
    of: string,
    row: { confidence?: string | undefined; rates?: Rates | undefined },
    what: string,
  ): void => {
    const meters = ratesOf(row.rates ?? {})
      .filter(([, rate]) => (rate.confidence ?? row.confidence) === 'unconfirmed')
      .map(([meter]) => meter);
    if (meters.length === 0) return;
    found.push({ kind: 'unconfirmed', of, message: `${what} not read on a page of OpenAI's: ${meters.join(', ')}` });
  };
  for (const row of book.models) {
    look(row.model, row, `${conditions(row)}rates`);
    const { long, confidence } = row;
    if (long === undefined) continue;
    look(row.model, { rates: long.rates, confidence: long.confidence ?? confidence }, 'long-context rates');
    if (long.rates === undefined && long.confidence === 'unconfirmed') {
      found.push({
        kind: 'unconfirmed',
        of: row.model,
        message: "long-context factors not read on a page of OpenAI's",
      });
    }
  }
  for (const row of book.tools) look('tools', row, 'rates');
  for (const rule of book.multipliers) {
    if (rule.confidence !== 'unconfirmed') continue;
    found.push({
      kind: 'unconfirmed',
      of: 'multipliers',
      message: `${purposeOf(rule)} not read on a page of OpenAI's`,
    });
  }
  return found;
}

/** Models and meters that a reading may name and that then have no price. */
function gaps(book: PriceBook, now: number): BookFinding[] {
  const found: BookFinding[] = [];
  const names = new Set(book.models.map(({ model }) => model));
  const gap = (of: string, message: string): void => void found.push({ kind: 'gap', of, message });
  for (const name of names) {
    const rows = book.models.filter(
      ({ model, tier, host }) => model === name && tier === undefined && host === undefined,
    );
    if (rows.length === 0) gap(name, 'has rows for a tier or host alone, and none for the standard one');
    else if (!rows.some((row) => startOf(row) <= now && now < endOf(row))) gap(name, 'has no row in force now');
    for (const row of rows.filter(({ effectiveTo }) => effectiveTo !== undefined)) {
      const isFollowed = rows.some((each) => startOf(each) <= endOf(row) && endOf(row) < endOf(each));
      if (!isFollowed && endOf(row) <= now) gap(name, `has no row from ${row.effectiveTo} on`);
    }
    for (const row of rows) {
      if (row.rates.input_text !== undefined && isChatModel(row.rates) && row.rates.output_text === undefined) {
        gap(name, 'has rates for text in and none for what comes out');
      }
    }
  }
  for (const [alias, target] of Object.entries(book.aliases)) {
    if (!names.has(target)) gap(alias, `is another name of ${target}, which has no row in this book`);
  }
  const priced = new Set(
    [...book.models, ...book.tools].flatMap(({ rates }) => ratesOf(rates).map(([meter]) => meter)),
  );
  for (const meter of Object.keys(METERS) as Meter[]) if (!priced.has(meter)) gap(meter, 'is a meter without any rate');
  return found;
}

/** Cached or written text is priced for models that answer with text. */
function isChatModel(rates: Rates): boolean {
  return (
    rates.input_text_written !== undefined ||
    (rates.input_text_cached !== undefined && rates.output_image === undefined)
  );
}

function retirements(book: PriceBook, now: number): BookFinding[] {
  return Object.entries(book.facts).flatMap(([model, { retiresOn }]) =>
    retiresOn === undefined || instantMs(retiresOn) > now
      ? []
      : [{ kind: 'retired' as const, of: model, message: `OpenAI answers it no more since ${retiresOn}` }],
  );
}
