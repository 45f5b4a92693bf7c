// The format of a price book, the same for what is shipped, what is refreshed and what an operator writes: read and checked.
// docs/prices.md explains it to operators.
import { z } from 'zod';

import { describeIssues } from '../config/issues.ts';
import { METERS, type Meter } from '../domain/usage.ts';

export const METER_NAMES = Object.keys(METERS) as Meter[];

/** A rate without `per` is for this many units, as OpenAI's price page has it. */
export const USUAL_PER: Readonly<Record<(typeof METERS)[Meter]['unit'], string>> = {
  token: '1000000',
  character: '1000000',
  second: '60',
  call: '1000',
  image: '1',
  // A GiB kept for a day.
  byte_day: '1073741824',
};

const amountSchema = z
  .string({ error: 'write it as text in quotes, such as "2.50": a number would be rounded' })
  .regex(/^\d{1,12}(\.\d{1,12})?$/, 'write US dollars with at most 12 decimals, such as "2.50"');
const countSchema = z
  .string({ error: 'write a whole number as text in quotes, such as "1000000"' })
  .regex(/^[1-9]\d{0,17}$/, 'write a whole number greater than 0, such as "1000000"');
const factorSchema = z
  .string({ error: 'write it as text in quotes, such as "0.93": a number would be rounded' })
  .regex(/^\d{1,6}(\.\d{1,9})?$/, 'write a decimal with at most 9 digits behind the point, such as "0.93"');
const A_DAY = 'write a day of the calendar, such as "2026-11-17"';
const AN_INSTANT = `${A_DAY}, or a time, such as "2026-11-17T18:00:00Z"`;
/** A day begins at midnight UTC. */
const instantSchema = z.string({ error: AN_INSTANT }).refine(isInstant, AN_INSTANT);
const daySchema = z.string({ error: A_DAY }).refine((text) => text.length === 10 && isInstant(text), A_DAY);
const nameSchema = z.string({ error: 'write a name' }).min(1, 'write a name').max(256, 'write at most 256 characters');
const confidenceSchema = z.enum(['first_party', 'two_secondary', 'unconfirmed', 'operator'], {
  error: 'write first_party, two_secondary, unconfirmed or operator',
});

const origin = {
  /** Name of a source below. */
  source: nameSchema.optional(),
  confidence: confidenceSchema.optional(),
};
const validity = {
  /** From when on; without it, since ever. */
  effectiveFrom: instantSchema.optional(),
  /** Until when, itself excluded: then what was in force before it is so again. Without it, until a later row begins. */
  effectiveTo: instantSchema.optional(),
};

const variantSchema = z.strictObject({ amount: amountSchema, ...origin });

const rateSchema = z.strictObject({
  amount: amountSchema.optional(),
  per: countSchema.optional(),
  /** By what the reading calls its variant, such as `1024x1024/hd`; `amount` stands for all others. */
  variants: z.record(nameSchema, variantSchema).optional(),
  /** What is begun of so many units is billed whole. */
  step: countSchema.optional(),
  /** The least number of units that is billed. */
  minimum: countSchema.optional(),
  ...origin,
});

const optionalRate = rateSchema.optional();
const ratesSchema = z.strictObject(
  Object.fromEntries(METER_NAMES.map((meter) => [meter, optionalRate])) as Record<Meter, typeof optionalRate>,
);

const longSchema = z.strictObject({
  /** An exchange with more input tokens than this, cached and written ones included, has these rates for all its tokens. */
  aboveInputTokens: z.int('write a whole number').positive('write a number greater than 0'),
  /** Rates, or factors on the row's own. */
  rates: ratesSchema.optional(),
  inputFactor: factorSchema.optional(),
  outputFactor: factorSchema.optional(),
  ...origin,
});

const TIERS = 'write the tier as replies name it, such as flex, fast or scale';

const rowSchema = z.strictObject({
  /** A name, `ft:` and the name of a model for those fine-tuned from it, or a pattern with `*`. */
  model: nameSchema,
  /** For replies of this service tier alone. `priority` and `fast` are one. */
  tier: z.string({ error: TIERS }).min(1, TIERS).optional(),
  /** For this host of the upstream alone; may hold `*`. */
  host: nameSchema.optional(),
  ...validity,
  rates: ratesSchema,
  long: longSchema.optional(),
  ...origin,
});

const toolsSchema = z.strictObject({ ...validity, rates: ratesSchema, ...origin });

const modesSchema = z.enum(['batch', 'background_2h', 'background_8h'], {
  error: 'write batch, background_2h or background_8h',
});

const multiplierSchema = z.strictObject({
  /** Exactly one of these four says what it is for; `team` and `key` are ids, and make it a contract. */
  tier: z.string({ error: TIERS }).min(1, TIERS).optional(),
  mode: modesSchema.optional(),
  host: nameSchema.optional(),
  team: z.string().startsWith('team_', 'write the id of a team').optional(),
  key: z.string().startsWith('key_', 'write the id of a key').optional(),
  factor: factorSchema,
  /** Names or patterns with `*`; without it, all. */
  models: z.array(nameSchema).optional(),
  exceptModels: z.array(nameSchema).optional(),
  /** `tokens` where nothing is said: fees of tools, storage and minutes are not multiplied. */
  appliesTo: z.enum(['tokens', 'all'], { error: 'write tokens or all' }).optional(),
  ...validity,
  ...origin,
});

const factsSchema = z.strictObject({
  /** Of one request, whatever it reads from elsewhere. */
  maxInputTokens: z.int('write a whole number').positive('write a number greater than 0').optional(),
  maxOutputTokens: z.int('write a whole number').positive('write a number greater than 0').optional(),
  /** The day from which OpenAI answers it no more. */
  retiresOn: daySchema.optional(),
});

const sourceSchema = z.strictObject({
  url: z.string({ error: 'write where the rates were read' }).min(1, 'write where the rates were read'),
  checkedOn: daySchema,
});

const bookSchema = z.strictObject({
  sources: z.record(nameSchema, sourceSchema).default({}),
  /** Other names of a model, such as that of a deployment. */
  aliases: z.record(nameSchema, nameSchema).default({}),
  models: z.array(rowSchema).default([]),
  /** What costs the same with every model. */
  tools: z.array(toolsSchema).default([]),
  multipliers: z.array(multiplierSchema).default([]),
  facts: z.record(nameSchema, factsSchema).default({}),
  /** Bytes of vector stores that cost nothing, for all stores of the account together. */
  freeVectorStoreBytes: countSchema.optional(),
});

export type PriceBook = z.output<typeof bookSchema>;
export type PriceRow = PriceBook['models'][number];
export type Multiplier = PriceBook['multipliers'][number];
export type Rate = z.output<typeof rateSchema>;
export type Rates = z.output<typeof ratesSchema>;

export class PriceBookError extends Error {
  override readonly name = 'PriceBookError';
  /** A sentence each: where, which value, what to write instead. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/**
 * @param written a parsed JSON or YAML document; a rate may be its amount alone
 * @throws PriceBookError
 */
export function parsePriceBook(written: unknown): PriceBook {
  const spelledOut = spellOut(written ?? {});
  const parsed = bookSchema.safeParse(spelledOut);
  if (!parsed.success)
    throw new PriceBookError(describeIssues(parsed.error, bookSchema, spelledOut, 'price book field'));
  const problems = contradictions(parsed.data);
  if (problems.length > 0) throw new PriceBookError(problems);
  return parsed.data;
}

/** Milliseconds of a checked `effectiveFrom` or `effectiveTo`. */
export function instantMs(text: string): number {
  return Date.parse(text);
}

function isInstant(text: string): boolean {
  const ms = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$/.test(text) ? Date.parse(text) : Number.NaN;
  // 30 February would be read as 2 March.
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text.slice(0, 10));
}

/** Every rate that is only its amount as an object, so that there is one shape to check, at the path where it was written. */
function spellOut(written: unknown): unknown {
  if (!isObject(written)) return written;
  const rows = (list: unknown): unknown => (Array.isArray(list) ? list.map(withRates) : list);
  return {
    ...written,
    ...('models' in written && { models: rows(written.models) }),
    ...('tools' in written && { tools: rows(written.tools) }),
  };
}

function withRates(row: unknown): unknown {
  if (!isObject(row)) return row;
  return {
    ...row,
    ...(isObject(row.rates) && { rates: withAmounts(row.rates) }),
    ...(isObject(row.long) && { long: withRates(row.long) }),
  };
}

function withAmounts(rates: Record<string, unknown>): Record<string, unknown> {
  const spelledOut = Object.entries(rates).map(([name, rate]) => {
    if (!isObject(rate)) return [name, { amount: rate }] as const;
    return [name, isObject(rate.variants) ? { ...rate, variants: withAmounts(rate.variants) } : rate] as const;
  });
  return Object.fromEntries(spelledOut);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What each field allows and all together do not. */
function contradictions(book: PriceBook): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  const checkOrigin = (where: string, { source }: { source?: string | undefined }): void => {
    if (source !== undefined && !Object.hasOwn(book.sources, source)) {
      problems.push(`${where}.source is "${source}"; name one of sources, or add it there`);
    }
  };
  const checkValidity = (
    where: string,
    row: { effectiveFrom?: string | undefined; effectiveTo?: string | undefined },
  ) => {
    if (row.effectiveTo !== undefined && startOf(row) >= instantMs(row.effectiveTo)) {
      problems.push(`${where}.effectiveTo is "${row.effectiveTo}"; write a later time than effectiveFrom`);
    }
  };
  const checkRates = (where: string, rates: Rates): void => {
    for (const [meter, rate] of ratesOf(rates)) {
      checkOrigin(`${where}.${meter}`, rate);
      for (const [variant, each] of Object.entries(rate.variants ?? {})) {
        checkOrigin(`${where}.${meter}.variants.${variant}`, each);
      }
      if (rate.amount === undefined && Object.keys(rate.variants ?? {}).length === 0) {
        problems.push(`${where}.${meter} has no amount; write one, such as "2.50"`);
      }
    }
  };

  for (const [i, row] of book.models.entries()) {
    const where = `models[${i}]`;
    checkOrigin(where, row);
    checkValidity(where, row);
    checkRates(`${where}.rates`, row.rates);
    if (row.long !== undefined) {
      const { rates, inputFactor, outputFactor } = row.long;
      checkOrigin(`${where}.long`, row.long);
      checkRates(`${where}.long.rates`, rates ?? {});
      const hasFactors = inputFactor !== undefined && outputFactor !== undefined;
      if ((rates === undefined) !== hasFactors || (!hasFactors && (inputFactor ?? outputFactor) !== undefined)) {
        problems.push(`${where}.long is not clear; write either rates, or inputFactor and outputFactor`);
      }
    }
    const same = JSON.stringify([row.model, canonicalTier(row.tier ?? null), row.host ?? null, startOf(row)]);
    if (seen.has(same)) {
      problems.push(`${where} begins when another row of ${row.model} does; give it an effectiveFrom of its own`);
    }
    seen.add(same);
  }
  for (const [i, row] of book.tools.entries()) {
    const where = `tools[${i}]`;
    checkOrigin(where, row);
    checkValidity(where, row);
    checkRates(`${where}.rates`, row.rates);
    for (const [meter] of ratesOf(row.rates)) {
      const same = JSON.stringify([meter, startOf(row)]);
      if (seen.has(same)) problems.push(`${where}.rates.${meter} begins when another rate of ${meter} does`);
      seen.add(same);
    }
  }
  for (const [i, rule] of book.multipliers.entries()) {
    const where = `multipliers[${i}]`;
    checkOrigin(where, rule);
    checkValidity(where, rule);
    const purposes = [rule.tier, rule.mode, rule.host, rule.team, rule.key].filter((purpose) => purpose !== undefined);
    if (purposes.length !== 1) problems.push(`${where} needs exactly one of tier, mode, host, team, key`);
  }
  return problems;
}

/** When a row begins, milliseconds; `-Infinity` where it was always there. */
export function startOf({ effectiveFrom }: { effectiveFrom?: string | undefined }): number {
  return effectiveFrom === undefined ? Number.NEGATIVE_INFINITY : instantMs(effectiveFrom);
}

/** When a row ends, milliseconds, itself excluded. */
export function endOf({ effectiveTo }: { effectiveTo?: string | undefined }): number {
  return effectiveTo === undefined ? Number.POSITIVE_INFINITY : instantMs(effectiveTo);
}

export function ratesOf(rates: Rates): [Meter, Rate][] {
  return Object.entries(rates).filter(([, rate]) => rate !== undefined) as [Meter, Rate][];
}

export function perOf(meter: Meter, rate: Rate): string {
  return rate.per ?? USUAL_PER[METERS[meter].unit];
}

/** One word for what OpenAI calls by several; null for the standard tier. */
export function canonicalTier(tier: string | null): string | null {
  switch (tier) {
    case null:
    case '':
    case 'auto':
    case 'default':
    case 'standard':
      return null;
    case 'priority':
      return 'fast';
    default:
      return tier;
  }
}
