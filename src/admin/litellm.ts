// LiteLLM's management API in front of our own: the same objects, roles and audit rows under other names. What a request says that
// does nothing here is named in the answer, never left out in silence.
import type { z } from 'zod';

import type { AnswerParts, Answers } from './answers.ts';
import { litellmBudgets } from './litellm-budget-answers.ts';
import { litellmKeys } from './litellm-keys.ts';
import { type Lookup, openLookup } from './litellm-lookup.ts';
import { LitellmReply } from './litellm-reply.ts';
import { type LitellmName, type LitellmRoutes, litellmRoutes } from './litellm-routes.ts';
import { litellmSpend } from './litellm-spend.ts';
import { litellmTeams } from './litellm-teams.ts';
import { litellmUsers } from './litellm-users.ts';
import type { Route } from './route.ts';
import type { Visitor } from './visitor.ts';

type Member<R, K extends string> = R extends { readonly [key in K]: infer S extends z.ZodType }
  ? z.output<S>
  : undefined;

/** A request to one of these routes, checked. */
export interface LitellmCall<N extends LitellmName> {
  readonly id: string;
  readonly query: Member<LitellmRoutes[N], 'query'>;
  readonly body: Member<LitellmRoutes[N], 'body'>;
}
export type LitellmAnswers = {
  readonly [N in LitellmName]: (call: LitellmCall<N>, look: Lookup) => Promise<LitellmReply>;
};

interface AnyCall {
  readonly id: string;
  readonly query: unknown;
  readonly body: unknown;
}

export function openLitellm(
  native: Answers,
  parts: AnswerParts,
): (name: LitellmName, call: AnyCall, visitor: Visitor) => Promise<LitellmReply> {
  const { clock } = parts;
  const answers: LitellmAnswers = {
    ...litellmKeys(clock),
    ...litellmTeams(),
    ...litellmUsers(clock),
    ...litellmBudgets(),
    ...litellmSpend(clock),
  };
  return async (name, call, visitor) => {
    // The compiler cannot see that a route and its answer bear one name; the type LitellmAnswers has checked each pair.
    const answer = answers[name] as (call: AnyCall, look: Lookup) => Promise<LitellmReply>;
    const route: Route = litellmRoutes[name];
    // What the schema does not know was not checked: no answer sees it.
    const known = { ...call, query: knownTo(route.query, call.query), body: knownTo(route.body, call.body) };
    const reply = await answer(known, openLookup(native, parts, visitor));
    const unsupported = [
      ...new Set([...unknownTo(route.query, call.query), ...unknownTo(route.body, call.body), ...reply.unsupported]),
    ];
    const told = Array.isArray(reply.answer)
      ? reply.answer
      : { ...(reply.answer as object), unsupported_fields: unsupported };
    return new LitellmReply(told, unsupported);
  };
}

function fieldsOf(schema: z.ZodType): readonly string[] {
  // All bodies and queries of these routes are objects.
  return Object.keys((schema as z.ZodObject).shape);
}

function knownTo(schema: z.ZodType | undefined, written: unknown): unknown {
  if (schema === undefined || typeof written !== 'object' || written === null) return written;
  const known = fieldsOf(schema);
  return Object.fromEntries(Object.entries(written).filter(([name]) => known.includes(name)));
}

/** Fields that were given a value and have no place in the schema. */
function unknownTo(schema: z.ZodType | undefined, written: unknown): string[] {
  if (schema === undefined || typeof written !== 'object' || written === null) return [];
  const known = fieldsOf(schema);
  return Object.entries(written)
    .filter(([name, value]) => !known.includes(name) && !isNothing(value))
    .map(([name]) => name);
}

/** Scripts write out what they do not want as well: `"aliases": {}`. */
function isNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
