// How the other commands speak to a running gateway: through its admin API, in the words of the contract.
import type { Command } from 'commander';
import type { z } from 'zod';

import {
  type BodyOf,
  type QueryOf,
  type Route,
  type RouteName,
  type Routes,
  errorSchema,
  routes,
} from '../admin/contract.ts';
import { findAdminToken, findWhereabouts } from '../config/data-dir.ts';
import { type AdminFlags, loadAdminAccess } from '../config/load.ts';
import { COMMAND } from './command-name.ts';

export interface Ask<N extends RouteName> {
  /** What `{id}` in the path stands for. */
  readonly id?: string;
  readonly query?: QueryOf<N>;
  readonly body?: BodyOf<N>;
}

export interface AdminClient {
  /** The answer, with members that this version does not know yet. @throws Error that says what to do */
  ask<N extends RouteName>(name: N, ask: Ask<N>): Promise<z.output<Routes[N]['answer']>>;
  /** The lines of an answer that is lines, in pieces as they come. @throws Error that says what to do */
  read<N extends RouteName>(name: N, ask: Ask<N>): Promise<AsyncIterable<Uint8Array>>;
}

export function withAdminFlags(command: Command): Command {
  return command
    .option('--admin-url <url>', 'the admin API (default: where the gateway of the data dir listens)')
    .option(
      '--admin-token-file <file>',
      'file that holds the admin token (default: THROUGHWAY_ADMIN_TOKEN, or the data dir’s)',
    )
    .option('--data-dir <dir>', 'data dir of a gateway on this machine')
    .option('--config <file>', 'its settings file')
    .option('--json', 'print JSON, for programs');
}

export function openAdminClient(flags: AdminFlags): AdminClient {
  const { url: named, token: given, dataDir } = loadAdminAccess(flags);
  const url = named ?? findWhereabouts(dataDir)?.admin;
  if (url === undefined) {
    throw new Error(
      `no gateway runs with the data dir ${dataDir}; start one with "${COMMAND} serve", or name another with --data-dir or --admin-url`,
    );
  }
  const token = given ?? findAdminToken(dataDir);
  if (token === null) {
    throw new Error(
      'there is no admin token; set THROUGHWAY_ADMIN_TOKEN, or name a file that holds it with --admin-token-file',
    );
  }
  const send = (route: Route, { id, query, body }: Ask<RouteName>): Promise<Response> => {
    const target = new URL(route.path.replace('{id}', encodeURIComponent(id ?? '')), url);
    for (const [field, value] of Object.entries(query ?? {}))
      if (value !== undefined) target.searchParams.set(field, String(value));
    const headers = {
      authorization: `Bearer ${token.reveal()}`,
      'content-type': route.bodyType ?? 'application/json',
    };
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return dial(target, { method: route.method, headers, body: body === undefined ? null : text });
  };
  return {
    async ask(name, ask) {
      const route: Route = routes[name];
      return read(await send(route, ask), route, url);
    },
    async read(name, ask) {
      const route: Route = routes[name];
      const reply = await send(route, ask);
      return reply.ok && reply.body !== null ? reply.body : read(reply, route, url);
    },
  };
}

async function dial(target: URL, request: RequestInit): Promise<Response> {
  try {
    return await fetch(target, { ...request, redirect: 'error' });
  } catch (cause) {
    throw new Error(
      `no gateway answers at ${target.origin}; start it with "${COMMAND} serve", or name another with --admin-url`,
      { cause },
    );
  }
}

async function read<T>(reply: Response, route: Route, url: string): Promise<T> {
  const text = await reply.text();
  const answer = parseJson(text);
  if (reply.ok && route.answer.safeParse(answer).success) return answer as T;
  const refused = errorSchema.safeParse(answer);
  if (!refused.success)
    throw new Error(
      `what answers at ${url} is not the admin API of Throughway; check --admin-url and THROUGHWAY_ADMIN_LISTEN`,
    );
  throw new Error(refused.data.error.message);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is not the admin API, which the caller says.
    return undefined;
  }
}
