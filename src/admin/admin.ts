// The admin API: its own listener, its own token, no route of it on the API listener.
import { type HttpBindings, getRequestListener } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';

import { Refusal } from '../domain/refusal.ts';
import { headerValues } from '../http/headers.ts';
import { sendRefusal } from '../http/reply.ts';
import type { DownstreamReply, DownstreamRequest } from '../http/server.ts';
import type { Log } from '../telemetry/log.ts';
import { METRICS_CONTENT_TYPE } from '../telemetry/metrics.ts';
import { type AnswerParts, openAnswers } from './answers.ts';
import { type Call, JSON_LINES, type Route, type RouteName, routes } from './contract.ts';
import { readBody, readLines, readQuery } from './input.ts';

export interface AdminParts extends AnswerParts {
  /** Compares in constant time. */
  readonly isAdminToken: (token: string) => boolean;
  readonly log: Log;
}

export interface Admin {
  serve(request: DownstreamRequest, reply: DownstreamReply, expectsContinue: boolean): void;
}

export function openAdmin(parts: AdminParts): Admin {
  const answers = openAnswers(parts);
  const app = new Hono<{ Bindings: HttpBindings }>();
  for (const [name, route] of Object.entries(routes) as [RouteName, Route][]) {
    // The compiler cannot see that a route and its answer bear one name; the type Answers has checked each pair.
    const answer = answers[name] as (call: Call<never>) => unknown;
    app.on(route.method, pattern(route.path), async (c) => {
      const query = route.query === undefined ? undefined : readQuery(c.req.url, route.query);
      const body = await bodyOf(c.req.raw.body, route);
      return send(await answer({ id: c.req.param('id') ?? '', query, body } as Call<never>), route);
    });
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
      try {
        refuseForeignOrigin(request);
        refuseStranger(request, parts.isAdminToken);
      } catch (error) {
        sendRefusal(reply, asRefusal(error, parts.log), null);
        return;
      }
      if (expectsContinue) reply.writeContinue();
      void listener(request, reply);
    },
  };
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

function refuseStranger({ rawHeaders }: DownstreamRequest, isAdminToken: (token: string) => boolean): void {
  const [authorization, ...others] = headerValues(rawHeaders, 'authorization');
  const token = /^Bearer ([^\s]+)$/i.exec(authorization ?? '')?.[1];
  if (token !== undefined && others.length === 0 && isAdminToken(token)) return;
  throw new Refusal(
    'invalid_api_key',
    'The admin API needs its own token: "Authorization: Bearer <admin token>". It is THROUGHWAY_ADMIN_TOKEN, or in the file admin-token of the data dir.',
  );
}

function methodsByPath(): Map<string, readonly string[]> {
  const rows = Map.groupBy(Object.values(routes), (route) => route.path);
  return new Map(rows.entries().map(([path, those]) => [path, those.map((route) => route.method)]));
}

function pattern(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

function bodyOf(stream: ReadableStream<Uint8Array> | null, { body, bodyType }: Route): Promise<unknown> | undefined {
  if (body === undefined) return undefined;
  return bodyType === JSON_LINES ? readLines(stream) : readBody(stream, body);
}

function send(answer: unknown, { status, contentType }: Route): Response {
  // Lines may be many: they leave as they are read.
  const lines = contentType === JSON_LINES ? asStream(answer as AsyncIterable<string>) : null;
  const body = lines ?? (contentType === undefined ? JSON.stringify(answer) : String(answer));
  const type = lines ? JSON_LINES : contentType === undefined ? 'application/json' : METRICS_CONTENT_TYPE;
  return new Response(body, {
    status,
    headers: { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' },
  });
}

function asStream(lines: AsyncIterable<string>): ReadableStream<Uint8Array> {
  return ReadableStream.from(lines).pipeThrough(new TextEncoderStream());
}

/** A bug is told to the operator alone. */
function asRefusal(error: unknown, log: Log): Refusal {
  if (error instanceof Refusal) return error;
  log.error('admin request failed', { why: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  return new Refusal('internal_error', 'The gateway failed. Its log says why.');
}
