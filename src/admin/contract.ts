// The admin API as data: every route with the shapes that go in and out. The server, the CLI and openapi.json share it.
// JSON is snake_case; shapes grow by addition only.
import { z } from 'zod';

const NAME_CHARACTERS_MAX = 200;
export const LIST_LIMIT_MAX = 1000;
export const LIST_LIMIT_DEFAULT = 100;

const name = z
  .string('write a text, such as "web"')
  .trim()
  .min(1, 'write at least one character')
  .max(NAME_CHARACTERS_MAX, `write at most ${NAME_CHARACTERS_MAX} characters`)
  .regex(/^\P{C}*$/u, 'write it without control characters');
const instant = 'write a time with its offset, such as 2027-01-31T00:00:00Z';
const at = z.iso.datetime({ offset: true, error: instant });

export const keySchema = z.object({
  id: z.string(),
  name: z.string(),
  team_id: z.string(),
  endpoints: z.array(z.string()).describe('Groups of endpoints that the key may call; `*` is all of them but `admin`.'),
  status: z.enum(['active', 'revoked', 'expired']),
  token_hint: z.string().describe('Prefix and last four characters of the token.'),
  expires_at: z.string().nullable().describe('RFC 3339; null never expires.'),
  created_at: z.string(),
});

const newKeySchema = z.strictObject(
  {
    name: name.describe('What lists call the key. Need not be unique.'),
    team: z
      .string('write a team’s id or name')
      .min(1, 'write a team’s id or name')
      .optional()
      .describe('Id or name; without it the team `default`.'),
    endpoints: z
      .array(
        z.string('write a group of endpoints, such as "chat"'),
        'write a list of groups, such as ["chat","embeddings"]',
      )
      .min(1, 'name at least one group, or leave it out for all of them')
      .optional()
      .describe(
        'Groups of endpoints that the key may call, such as `chat`. `*`, the default, is all of them but `admin`, the administration of the upstream account.',
      ),
    expires_at: at.nullable().optional().describe('RFC 3339 with an offset; null, the default, never expires.'),
  },
  'write a JSON object, such as {"name":"web"}',
);

const createdKeySchema = z.object({
  key: keySchema,
  token: z.string().describe('The secret text. It is shown this once and kept nowhere.'),
});

export const teamSchema = z.object({ id: z.string(), name: z.string(), created_at: z.string() });

/** A record as any sink gets it: domain/exchange-record.ts tells what each field means. */
export const exchangeSchema = z.object({
  v: z.literal(1),
  id: z.string(),
  kind: z.enum(['exchange', 'turn']),
  parent_id: z.string().nullable(),
  at: z.string(),
  method: z.string(),
  path: z.string(),
  endpoint: z.string().nullable(),
  team_id: z.string().nullable(),
  key_id: z.string().nullable(),
  model_requested: z.string().nullable(),
  model_served: z.string().nullable(),
  transport: z.enum(['json', 'sse', 'ws', 'multipart', 'binary']).nullable(),
  status: z.number().nullable(),
  ending: z.string().nullable().describe('How it stopped; null where the gateway refused it.'),
  refusal: z.string().nullable().describe('The code of the gateway’s own no.'),
  timings_us: z.object({
    admitted: z.number().nullable(),
    connected: z.number().nullable(),
    first_byte: z.number().nullable(),
    total: z.number(),
  }),
  bytes: z.object({ in: z.number(), out: z.number() }),
  usage: z.object({ source: z.string(), readings: z.unknown(), raw: z.unknown() }),
  cost: z.object({ state: z.string(), pico_usd: z.string().nullable(), usd: z.string().nullable() }),
  attempts: z.array(
    z.object({
      origin: z.string(),
      credential: z.string(),
      status: z.number().nullable(),
      error: z.string().nullable(),
      total_us: z.number().nullable(),
    }),
  ),
  objects: z.array(z.unknown()),
  error: z.object({ origin: z.string(), code: z.string(), message: z.string() }).nullable(),
  tags: z.array(z.string()),
  upstream_request_id: z.string().nullable(),
  client_request_id: z.string().nullable(),
  run: z
    .object({
      id: z.string(),
      assistant_id: z.string(),
      thread_id: z.string(),
      turn: z.number().describe('From 1.'),
      rerun: z.boolean().describe('Whether the turn was made before and broke.'),
    })
    .optional()
    .describe('What a run of the Assistants API made the exchange for; absent in all others.'),
});

const healthSchema = z.object({
  version: z.string(),
  uptime_seconds: z.number(),
  active_exchanges: z.number(),
  upstream_origin: z.string(),
  sandbox: z.boolean().describe('Whether the built-in upstream answers instead of OpenAI.'),
  refused_writes: z.number().describe('Intents and records that the disk of the data dir did not take.'),
});

/** What is refused, in OpenAI's shape. */
export const errorSchema = z.object({
  error: z.object({ message: z.string(), type: z.string(), param: z.string().nullable(), code: z.string().nullable() }),
});

/** A number in a query: text that is one, told to programs as an integer. */
const wholeNumber = (message: string, pattern = /^-?\d{1,9}$/) =>
  z.string().regex(pattern, message).transform(Number).meta({ type: 'integer' });
const filter = (what: string) => z.string().min(1, `name ${what}`).optional();
const limit = wholeNumber('write a whole number, such as 100').optional();

const page = {
  limit: limit.describe(`How many at most: ${LIST_LIMIT_DEFAULT}, and never more than ${LIST_LIMIT_MAX}.`),
  cursor: z.string().optional().describe('The `next_cursor` of the page before.'),
};
const cursorIs = (pattern: RegExp) =>
  page.cursor.refine(
    (cursor) => cursor === undefined || pattern.test(cursor),
    'give the next_cursor of the page before',
  );

const keyQuery = z.strictObject({
  ...page,
  cursor: cursorIs(/^key_\w{1,40}$/),
  team_id: filter('a team by its id').describe('Keys of this team.'),
});
const teamQuery = z.strictObject({ ...page, cursor: cursorIs(/^team_\w{1,40}$/) });
const moment = z
  .string()
  .refine(
    (text) => z.iso.datetime({ offset: true }).or(z.iso.date()).safeParse(text).success,
    'write a day or a time with its offset, such as 2026-11-22 or 2026-11-22T08:00:00Z',
  )
  .optional();
const exchangeQuery = z.strictObject({
  ...page,
  cursor: cursorIs(/^\d{1,15}$/),
  order: z
    .enum(['desc', 'asc'], 'write desc for the newest first, or asc for the oldest')
    .optional()
    .describe(
      '`desc`, the default: newest first. `asc`: in the order of writing, after the cursor; its `next_cursor` is never null, so that a reader can come again.',
    ),
  team_id: filter('a team by its id'),
  key_id: filter('a key by its id'),
  endpoint: filter('a path template, such as /v1/chat/completions').describe(
    'A path template, such as `/v1/chat/completions`.',
  ),
  model: filter('a model').describe('The model as the client asked for it.'),
  status: wholeNumber('write an HTTP status, such as 200', /^[1-5]\d\d$/).optional(),
  from: moment.describe('A day or a time, inclusive.'),
  to: moment.describe('A day or a time, exclusive.'),
});

const team = filter('a team by its id or name');
const importQuery = z.strictObject({
  team: team.describe('Whose the objects become whose line names no team; without it the team `default`.'),
  dry_run: z
    .enum(['true', 'false'], 'write true or false')
    .optional()
    .describe('`true`: says what would happen, and writes nothing.'),
});
const exportQuery = z.strictObject({ team: team.describe('Objects of this team; without it, of all.') });

const importCounts = z.object({
  assistants: z.number(),
  threads: z.number(),
  messages: z.number(),
  items: z.number().describe('Calls, their outputs and reasoning between messages.'),
  runs: z.number(),
  steps: z.number(),
  files: z.number().describe('Files that the code interpreter wrote.'),
});
const importReport = z.object({
  dry_run: z.boolean(),
  lines: z.number(),
  created: importCounts,
  updated: importCounts,
  unchanged: importCounts,
  problems: z.array(z.object({ line: z.number(), message: z.string() })).describe('The first hundred.'),
  problem_count: z.number(),
});

const pageOf = <T extends z.ZodType>(row: T) =>
  z.object({ data: z.array(row), next_cursor: z.string().nullable().describe('Null on the last page.') });

const exchangePage = pageOf(exchangeSchema).extend({
  latest_cursor: z
    .string()
    .describe('The place of the newest record: with `order=asc` and this cursor come those written later.'),
});

export const JSON_LINES = 'application/jsonl';

export interface Route {
  readonly method: 'GET' | 'POST';
  /** `{id}` stands for one segment. */
  readonly path: string;
  readonly summary: string;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly status: 200 | 201;
  readonly answer: z.ZodType;
  /** Of the body, where it is no JSON: then it is read as text. */
  readonly bodyType?: typeof JSON_LINES;
  /** Of the answer, where it is no JSON. */
  readonly contentType?: string;
}

export const routes = {
  index: {
    method: 'GET',
    path: '/',
    summary: 'What is served here.',
    status: 200,
    answer: z.object({ name: z.string(), version: z.string(), routes: z.array(z.string()) }),
  },
  createKey: {
    method: 'POST',
    path: '/admin/v1/keys',
    summary: 'Makes a virtual key; its token is shown this once.',
    body: newKeySchema,
    status: 201,
    answer: createdKeySchema,
  },
  listKeys: {
    method: 'GET',
    path: '/admin/v1/keys',
    summary: 'Virtual keys, newest first.',
    query: keyQuery,
    status: 200,
    answer: pageOf(keySchema),
  },
  findKey: { method: 'GET', path: '/admin/v1/keys/{id}', summary: 'One virtual key.', status: 200, answer: keySchema },
  revokeKey: {
    method: 'POST',
    path: '/admin/v1/keys/{id}/revoke',
    summary: 'Ends a virtual key, at once and for good. Running exchanges go on.',
    status: 200,
    answer: keySchema,
  },
  listTeams: {
    method: 'GET',
    path: '/admin/v1/teams',
    summary: 'Teams, newest first.',
    query: teamQuery,
    status: 200,
    answer: pageOf(teamSchema),
  },
  findTeam: {
    method: 'GET',
    path: '/admin/v1/teams/{id}',
    summary: 'One team, by its id or name.',
    status: 200,
    answer: teamSchema,
  },
  listExchanges: {
    method: 'GET',
    path: '/admin/v1/exchanges',
    summary: 'Records of exchanges.',
    query: exchangeQuery,
    status: 200,
    answer: exchangePage,
  },
  findExchange: {
    method: 'GET',
    path: '/admin/v1/exchanges/{id}',
    summary: 'The record of one exchange.',
    status: 200,
    answer: exchangeSchema,
  },
  health: {
    method: 'GET',
    path: '/admin/v1/health',
    summary: 'How the gateway fares.',
    status: 200,
    answer: healthSchema,
  },
  importAssistants: {
    method: 'POST',
    path: '/admin/v1/assistants/import',
    summary:
      'Brings objects of the Assistants API in, a line of JSON for each. Ids and times are kept; a second time changes nothing.',
    query: importQuery,
    body: z.string().describe('Lines such as {"type":"assistant","object":{...},"team":"web"}.'),
    bodyType: JSON_LINES,
    status: 200,
    answer: importReport,
  },
  exportAssistants: {
    method: 'GET',
    path: '/admin/v1/assistants/export',
    summary: 'Every object of the Assistants API, a line of JSON for each, as the import takes them.',
    query: exportQuery,
    status: 200,
    answer: z.string(),
    contentType: JSON_LINES,
  },
  openapi: {
    method: 'GET',
    path: '/admin/v1/openapi.json',
    summary: 'This API in OpenAPI 3.1.',
    status: 200,
    answer: z.record(z.string(), z.unknown()),
  },
  metrics: {
    method: 'GET',
    path: '/metrics',
    summary: 'Numbers for Prometheus.',
    status: 200,
    answer: z.string(),
    contentType: 'text/plain',
  },
} as const satisfies Record<string, Route>;

export type Routes = typeof routes;
export type RouteName = keyof Routes;

type Member<R, K extends string> = R extends { readonly [key in K]: infer S extends z.ZodType }
  ? z.output<S>
  : undefined;
type Written<R, K extends string> = R extends { readonly [key in K]: infer S extends z.ZodType }
  ? z.input<S>
  : undefined;

/** A request to a route, checked. */
export interface Call<N extends RouteName> {
  /** The segment that `{id}` stands for; empty where the path has none. */
  readonly id: string;
  readonly query: Member<Routes[N], 'query'>;
  readonly body: Member<Routes[N], 'body'>;
}
/** What a route answers, as the server gives it: nobody changes it on the way out. */
export type Answer<N extends RouteName> = N extends 'exportAssistants'
  ? AsyncIterable<string>
  : DeepReadonly<z.output<Routes[N]['answer']>>;
/** What a client may send to a route. */
export type QueryOf<N extends RouteName> = Written<Routes[N], 'query'>;
export type BodyOf<N extends RouteName> = Written<Routes[N], 'body'>;

type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;
