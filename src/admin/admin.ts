// The admin API: its own listener, its own token, no route of it on the API listener.
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';

import type { Spool } from '../domain/stores.ts';
import { type Keys } from '../keys/keys.ts';
import type { DownstreamReply, DownstreamRequest } from '../http/server.ts';

export interface AdminParts {
  readonly keys: Keys;
  readonly spool: Spool;
  /** SHA-256 of the admin token, hex. */
  readonly tokenHash: string;
}

export interface Admin {
  serve(request: DownstreamRequest, reply: DownstreamReply): void;
}

export function openAdmin(parts: AdminParts): Admin {
  const app = new Hono();
  app.post('/admin/v1/keys', async (c) => c.json(await parts.keys.create(await c.req.json()), 201));
  const listener = getRequestListener(app.fetch);
  return {
    serve: (request, reply) => void listener(request, reply),
  };
}
