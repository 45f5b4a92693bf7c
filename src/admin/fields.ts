// Members that several routes share: what may be written, and what is said where it may not.
import { z } from 'zod';

import { parseUsd } from '../domain/money.ts';

export const LIST_LIMIT_MAX = 1000;
export const LIST_LIMIT_DEFAULT = 100;

const NAME_CHARACTERS_MAX = 200;
const TAG_CHARACTERS_MAX = 100;
const TAGS_MAX = 50;
const RULES_MAX = 500;
const METADATA_CHARACTERS_MAX = 16_384;

export const name = z
  .string('write a text, such as "web"')
  .trim()
  .min(1, 'write at least one character')
  .max(NAME_CHARACTERS_MAX, `write at most ${NAME_CHARACTERS_MAX} characters`)
  .regex(/^\P{C}*$/u, 'write it without control characters');

/** What names a thing that is there, or not. */
export const named = (what: string) =>
  z
    .string(`write ${what}`)
    .min(1, `write ${what}`)
    .max(NAME_CHARACTERS_MAX, `write ${what}`)
    .regex(/^\P{C}*$/u, 'write it without control characters');

const instant = 'write a time with its offset, such as 2027-01-31T00:00:00Z';
export const at = z.iso.datetime({ offset: true, error: instant });
/** As answered: RFC 3339 with milliseconds, UTC. */
export const moment = z.string().describe('RFC 3339, UTC.');

const rules = (what: string, example: string) =>
  z
    .array(z.string(`write ${what}, such as ${example}`), `write a list, such as [${example}]`)
    .min(1, 'name at least one, or leave it out for all')
    .max(RULES_MAX, `name at most ${RULES_MAX}`);
export const models = rules('a model or a pattern', '"gpt-*"');
export const endpoints = rules('a group or a path of endpoints', '"chat"');
export const networks = z
  .array(z.string('write a network, such as "10.0.0.0/8"'), 'write a list, such as ["10.0.0.0/8"]')
  .max(RULES_MAX, `name at most ${RULES_MAX}`);

const tag = `write 1 to ${TAG_CHARACTERS_MAX} characters without commas and control characters`;
export const tags = z
  .array(
    z
      .string(tag)
      .max(TAG_CHARACTERS_MAX, tag)
      .regex(/^[^\p{C},]+$/u, tag),
    'write a list of texts, such as ["web"]',
  )
  .max(TAGS_MAX, `give at most ${TAGS_MAX}`);

const object = 'write a JSON object, such as {"cost_center":"4711"}';
export const metadata = z
  .record(z.string(), z.unknown(), object)
  .refine(
    (value) => JSON.stringify(value).length <= METADATA_CHARACTERS_MAX,
    `write at most ${METADATA_CHARACTERS_MAX} characters of JSON`,
  );

export const capture = z.literal('metadata', 'write "metadata": records are kept, and no bodies');

const most = z
  .int('write a whole number above 0, or null for unlimited')
  .min(1, 'write a whole number above 0, or null');
const limit = most.nullable().optional();
/** What is left out stays as it is; at first it is unlimited. */
export const writtenLimits = z.strictObject(
  {
    requests_per_minute: limit,
    tokens_per_minute: limit,
    concurrent_exchanges: limit,
    concurrent_streams: limit,
    concurrent_sockets: limit,
  },
  'write an object, such as {"requests_per_minute":600}',
);
const shownLimit = z.number().nullable();
export const limits = z
  .object({
    requests_per_minute: shownLimit,
    tokens_per_minute: shownLimit,
    concurrent_exchanges: shownLimit,
    concurrent_streams: shownLimit,
    concurrent_sockets: shownLimit,
  })
  .describe('Null is unlimited.');

/** Text, because a number in JSON is a float to most who read it; a number is taken by its shortest digits. */
export const usd = z
  .union([z.string(), z.number()], 'write US dollars as text, such as "0.50"')
  .transform((written, context) => {
    try {
      return parseUsd(String(written));
    } catch {
      context.addIssue({ code: 'custom', message: 'write US dollars with at most 12 decimals, such as "0.50"' });
      return z.NEVER;
    }
  });
/** As answered: decimal text, exact. */
export const shownUsd = z.string().describe('US dollars, exact decimal text.');

export const deleted = z.object({ id: z.string(), deleted: z.literal(true) });

/** A change says at least one thing. */
export const changes = <T extends z.ZodRawShape>(shape: T) =>
  z
    .strictObject(shape, 'write a JSON object, such as {"name":"web"}')
    .refine((body) => Object.keys(body).length > 0, 'write at least one field that shall change');

/** A number in a query: text that is one, told to programs as an integer. */
export const wholeNumber = (message: string, pattern = /^-?\d{1,9}$/) =>
  z.string().regex(pattern, message).transform(Number).meta({ type: 'integer' });
export const filter = (what: string) => named(what).optional();

export const page = {
  limit: wholeNumber('write a whole number, such as 100')
    .optional()
    .describe(`How many at most: ${LIST_LIMIT_DEFAULT}, and never more than ${LIST_LIMIT_MAX}.`),
  cursor: z.string().optional().describe('The `next_cursor` of the page before.'),
};
export const cursorIs = (pattern: RegExp) =>
  page.cursor.refine(
    (cursor) => cursor === undefined || pattern.test(cursor),
    'give the next_cursor of the page before',
  );

/** A day or a time in a query. */
export const dayOrTime = z
  .string()
  .refine(
    (text) => z.iso.datetime({ offset: true }).or(z.iso.date()).safeParse(text).success,
    'write a day or a time with its offset, such as 2026-11-22 or 2026-11-22T08:00:00Z',
  )
  .optional();
export const span = {
  from: dayOrTime.describe('A day or a time, inclusive.'),
  to: dayOrTime.describe('A day or a time, exclusive.'),
};

export const pageOf = <T extends z.ZodType>(row: T) =>
  z.object({ data: z.array(row), next_cursor: z.string().nullable().describe('Null on the last page.') });
