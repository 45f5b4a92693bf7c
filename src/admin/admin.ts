// The admin API: its own listener, its own token, no route of it on the API listener.
import { type HttpBindings, getRequestListener } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';

import { ChangeRefused, type ChangeRefusedCode } from '../domain/change-refused.ts';
import { Refusal, type RefusalCode } from '../domain/refusal.ts';
import { UNSUPPORTED_HEADER, headerValues } from '../http/headers.ts';
import { sendRefusal } from '../http/reply.ts';
import type { DownstreamReply, DownstreamRequest } from '../http/server.ts';
import type { Log } from '../telemetry/log.ts';
import { METRICS_CONTENT_TYPE } from '../telemetry/metrics.ts';
import { type AnswerParts, openAnswers } from './answers.ts';
import { type Call, JSON_LINES, type Route, type RouteName, litellmRoutes, routes } from './contract.ts';
import { readBody, readLines, readQuery } from './input.ts';
import { LitellmReply } from './litellm-reply.ts';
import type { LitellmName } from './litellm-routes.ts';
import { openLitellm } from './litellm.ts';
import { OtherAnswer } from './route.ts';
import { type Visitor, checkMayCall } from './visitor.ts';

export interface AdminParts extends AnswerParts {
  /** Counts a token that opens nothing. A refusal takes the place of the 401 where there were too many from one address. */
  readonly badToken: (address: string) => Refusal | null;
  readonly log: Log;
}

export interface Admin {
  serve(request: DownstreamRequest, reply: DownstreamReply, expectsContinue: boolean): void;
}

export function openAdmin(parts: AdminParts): Admin {
  const answers = openAnswers(parts);
  const visitors = new WeakMap<DownstreamRequest, Visitor>();
  const app = new Hono<{ Bindings: HttpBindings }>();
  const serve = (route: Route, answer: (call: Call<never>, visitor: Visitor) => unknown) => {
    app.on(route.method, pattern(route.path), async (c) => {
      const visitor = visitors.get(c.env.incoming);
      if (visitor === undefined) throw new Error('a route was reached by nobody who was let in');
      checkMayCall(visitor, route.access);
      const id = c.req.param('id') ?? '';
      checkId(id);
      const query = route.query === undefined ? undefined : readQuery(c.req.url, route.query);
      const body = await bodyOf(c.req.raw.body, route);
      return send(await answer({ id, query, body } as Call<never>, visitor), route);
    });
  };
  // The compiler cannot see that a route and its answer bear one name; the type Answers has checked each pair.
  for (const [name, route] of Object.entries(routes) as [RouteName, Route][]) serve(route, answers[name] as never);
  const litellm = openLitellm(answers, parts);
  for (const [name, route] of Object.entries(litellmRoutes) as [LitellmName, Route][]) {
    serve(route, (call, visitor) => litellm(name, call, visitor));
  }
  for (const [path, methods] of methodsByPath()) {
    app.all(pattern(path), (c) => {
      throw new Refusal('method_not_allowed', `${c.req.method} is not served here, but ${methods.join(' and ')}.`);
    });
  }
  app.notFound((c) => {
    throw new Refusal(
      'not_found',
      `There is nothing at ${c.req.method} ${c.req.path.slice(0, 200)}. GET / lists what there is.`,
    );
  });
  app.onError((error, c) => {
    const refusal = asRefusal(error, parts.log);
    // A client that left is told nothing.
    if (!c.env.outgoing.destroyed) sendRefusal(c.env.outgoing, refusal, null);
    return RESPONSE_ALREADY_SENT;
  });

  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false, autoCleanupIncoming: false });
  return {
    serve(request, reply, expectsContinue) {
      void letIn(request, parts).then(
        (visitor) => {
          visitors.set(request, visitor);
          if (expectsContinue) reply.writeContinue();
          void listener(request, reply);
        },
        // A client that left is told nothing.
        (error: unknown) => void (reply.destroyed || sendRefusal(reply, asRefusal(error, parts.log), null)),
      );
    },
  };
}

/** @throws Refusal */
async function letIn(request: DownstreamRequest, { keys, isAdminToken, badToken }: AdminParts): Promise<Visitor> {
  refuseForeignOrigin(request);
  const address = addressOf(request);
  const [authorization, ...others] = headerValues(request.rawHeaders, 'authorization');
  const token = /^Bearer ([^\s]+)$/i.exec(authorization ?? '')?.[1];
  if (token === undefined || others.length > 0) refuseStranger();
  if (isAdminToken(token)) return { actor: { id: 'owner', address }, role: 'owner', teamId: null };
  const user = await keys.users.findAdmin(token).catch((cause: unknown) => {
    const message = 'The gateway cannot look up users now; its store does not answer.';
    throw new Refusal('overloaded', message, { retryAfterMs: 1000, cause });
  });
  if (user === null) throw badToken(address) ?? stranger();
  if (user.teamId !== null && (await keys.teams.find(user.teamId))?.status === 'deleted') refuseStranger();
  return { actor: { id: user.id, address }, role: user.role, teamId: user.teamId };
}

function addressOf({ socket }: DownstreamRequest): string {
  return (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '');
}

/** A page of another site must not reach this API through the operator's browser. */
function refuseForeignOrigin({ headers, rawHeaders }: DownstreamRequest): void {
  const foreign = headerValues(rawHeaders, 'origin').find(
    (origin) => !URL.canParse(origin) || new URL(origin).host !== headers.host,
  );
  if (foreign === undefined) return;
  throw new Refusal(
    'origin_not_allowed',
    `The admin API answers no page of another origin (${foreign.slice(0, 200)}).`,
  );
}

function refuseStranger(): never {
  throw stranger();
}

function stranger(): Refusal {
  return new Refusal(
    'invalid_api_key',
    'The admin API needs a token of its own: "Authorization: Bearer <admin token>". It is THROUGHWAY_ADMIN_TOKEN, or in the file admin-token of the data dir, or one that was made for a user.',
  );
}

/** What no id or name can be is not even looked for. @throws Refusal */
function checkId(id: string): void {
  if (/\p{C}/u.test(id)) throw new Refusal('not_found', 'There is nothing of that id.', { param: 'id' });
}

function methodsByPath(): Map<string, readonly string[]> {
  const rows = Map.groupBy(Object.values<Route>({ ...routes, ...litellmRoutes }), (route) => route.path);
  return new Map(rows.entries().map(([path, those]) => [path, those.map((route) => route.method)]));
}

function pattern(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

function bodyOf(
  stream: ReadableStream<Uint8Array> | null,
  { body, bodyType, bodyOptional, bodyBytesMax: bytesMax }: Route,
): Promise<unknown> | undefined {
  if (body === undefined) return undefined;
  return bodyType === JSON_LINES
    ? readLines(stream)
    : readBody(stream, body, { isOptional: bodyOptional === true, bytesMax });
}

function send(given: unknown, { status, contentType }: Route): Response {
  const [answer, unsupported] = given instanceof LitellmReply ? [given.answer, given.unsupported] : [given, []];
  const [body, type] =
    answer instanceof OtherAnswer
      ? [asStream(answer.pieces), `${answer.type}; charset=utf-8`]
      : contentType === undefined
        ? [JSON.stringify(answer), 'application/json']
        : // Lines may be many: they leave as they are read.
          contentType === JSON_LINES
          ? [asStream(answer as AsyncIterable<string>), JSON_LINES]
          : [String(answer), METRICS_CONTENT_TYPE];
  return new Response(body, {
    status,
    headers: {
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      // Names may hold anything that a header may not.
      ...(unsupported.length > 0 && { [UNSUPPORTED_HEADER]: unsupported.map(encodeURIComponent).join(', ') }),
    },
  });
}

function asStream(lines: AsyncIterable<string>): ReadableStream<Uint8Array> {
  return ReadableStream.from(lines).pipeThrough(new TextEncoderStream());
}

/** A bug is told to the operator alone. */
function asRefusal(error: unknown, log: Log): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof ChangeRefused) {
    return new Refusal(REFUSED[error.code], `${error.message}.`, { param: error.field, cause: error });
  }
  log.error('admin request failed', { why: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  return new Refusal('internal_error', 'The gateway failed. Its log says why.');
}

const REFUSED = {
  unknown: 'not_found',
  taken: 'conflict',
  state: 'conflict',
  wider: 'bad_request',
  invalid: 'bad_request',
} as const satisfies Record<ChangeRefusedCode, RefusalCode>;
