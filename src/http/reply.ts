// Our own replies on the API listener.
import type { ServerResponse } from 'node:http';

import { type Refusal, refusalBody } from '../domain/refusal.ts';
import { announcedLength } from './body.ts';
import { EXCHANGE_ID_HEADER } from './headers.ts';
import { refusalHeaders } from './server.ts';

/** How long a client that still sends may take to read our no, before the connection is cut. */
const LINGER_MS = 1000;

export function sendRefusal(reply: ServerResponse, refusal: Refusal, exchangeId: string | null, extra: readonly string[] = []): void {
  const headers = [...refusalHeaders(refusal), ...extra];
  if (exchangeId !== null) headers.push(EXCHANGE_ID_HEADER, exchangeId);
  sendWhole(reply, refusal.status, headers, refusalBody(refusal));
}

export function sendJson(reply: ServerResponse, status: number, body: unknown): void {
  sendWhole(reply, status, ['content-type', 'application/json', 'cache-control', 'no-store'], JSON.stringify(body));
}

export function sendNothing(reply: ServerResponse, status: 204, headers: string[]): void {
  reply.sendDate = false;
  reply.writeHead(status, headers);
  reply.end();
}

function sendWhole(reply: ServerResponse, status: number, headers: string[], body: string): void {
  reply.sendDate = false;
  const bytes = Buffer.from(body);
  headers.push('content-length', String(bytes.length));
  // A request without a body is only marked complete after it was handed over, which is perhaps now.
  if (!reply.req.complete && announcedLength(reply.req)) endEarly(reply, headers);
  reply.writeHead(status, headers);
  reply.end(reply.req.method === 'HEAD' ? undefined : bytes);
}

/**
 * For a reply that ends before its request has: nothing more is read, the reply goes out, and only after a while is the
 * connection cut. Cut at once, the reset would overtake the reply.
 * @param head the headers that are about to be sent; null when they are gone already
 */
export function endEarly(reply: ServerResponse, head: string[] | null): void {
  const socket = reply.socket;
  if (!socket) return;
  reply.req.pause();
  const linger = () => {
    socket.end();
    const cut = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(cut));
  };
  if (head === null) {
    reply.once('finish', linger);
    return;
  }
  head.push('connection', 'close');
  // node:http calls this when a reply that ends its connection is written.
  socket.destroySoon = linger;
}
