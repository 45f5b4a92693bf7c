// The admin API as data: every route with the shapes that go in and out, and who may call it. The server, the CLI and openapi.json
// share it. JSON is snake_case; shapes grow by addition only.
import { z } from 'zod';

import { assistantRoutes } from './assistant-routes.ts';
import { auditRoutes } from './audit-routes.ts';
import { budgetRoutes } from './budget-routes.ts';
import { exchangeRoutes } from './exchange-routes.ts';
import { keyRoutes } from './key-routes.ts';
import { ledgerRoutes } from './ledger-routes.ts';
import { priceRoutes } from './price-routes.ts';
import { reconciliationRoutes } from './reconciliation-routes.ts';
import type { Route } from './route.ts';
import { teamRoutes } from './team-routes.ts';
import { userRoutes } from './user-routes.ts';

export { budgetSchema } from './budget-routes.ts';
export { exchangeSchema } from './exchange-routes.ts';
export { LIST_LIMIT_MAX } from './fields.ts';
export { keySchema } from './key-routes.ts';
export { litellmRoutes } from './litellm-routes.ts';
export { ACCESS, type Access, JSON_LINES, type Route } from './route.ts';
export { teamSchema } from './team-routes.ts';
export { userSchema } from './user-routes.ts';

const healthSchema = z.object({
  version: z.string(),
  uptime_seconds: z.number(),
  active_exchanges: z.number(),
  upstream_origin: z.string(),
  sandbox: z.boolean().describe('Whether the built-in upstream answers instead of OpenAI.'),
  open_holds: z.number().describe('Exchanges that have something set aside in a budget.'),
  limits: z
    .enum(['alone', 'shared', 'away'])
    .describe('Who counts limits: this process, Redis for all replicas, or this process while Redis is away.'),
  refused_writes: z.number().describe('Intents and records that the disk of the data dir did not take.'),
});

/** What is refused, in OpenAI's shape. */
export const errorSchema = z.object({
  error: z.object({ message: z.string(), type: z.string(), param: z.string().nullable(), code: z.string().nullable() }),
});

export const routes = {
  index: {
    method: 'GET',
    path: '/',
    summary: 'What is served here.',
    access: 'any',
    status: 200,
    answer: z.object({ name: z.string(), version: z.string(), routes: z.array(z.string()) }),
  },
  whoAmI: {
    method: 'GET',
    path: '/admin/v1/me',
    summary: 'Whom the token belongs to, and what it may.',
    access: 'any',
    status: 200,
    answer: z.object({
      actor: z.string().describe('A user’s id; `owner` holds the operator’s token.'),
      role: z.string(),
      team_id: z.string().nullable().describe('The team that it sees alone; null sees all.'),
    }),
  },
  ...keyRoutes,
  ...teamRoutes,
  ...userRoutes,
  ...budgetRoutes,
  ...exchangeRoutes,
  ...ledgerRoutes,
  ...reconciliationRoutes,
  ...priceRoutes,
  ...auditRoutes,
  ...assistantRoutes,
  health: {
    method: 'GET',
    path: '/admin/v1/health',
    summary: 'How the gateway fares.',
    access: 'see',
    status: 200,
    answer: healthSchema,
  },
  openapi: {
    method: 'GET',
    path: '/admin/v1/openapi.json',
    summary: 'This API in OpenAPI 3.1.',
    access: 'any',
    status: 200,
    answer: z.record(z.string(), z.unknown()),
  },
  metrics: {
    method: 'GET',
    path: '/metrics',
    summary: 'Numbers for Prometheus.',
    access: 'see',
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
