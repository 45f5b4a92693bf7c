// Our own replies on the API listener.
import type { IncomingMessage, ServerResponse } from 'node:http';

import { type Refusal, refusalBody } from '../domain/refusal.ts';
import { WHOLE_BODY_BYTES_MAX, announcedLength } from './body.ts';
import { EXCHANGE_ID_HEADER } from './headers.ts';
import { endsWithReply, markLastReply, refusalHeaders } from './server.ts';

/** How long a client that still sends may take to read our no, before the connection is cut. */
const LINGER_MS = 1000;

export function sendRefusal(
  reply: ServerResponse,
  refusal: Refusal,
  exchangeId: string | null,
  extra: readonly string[] = [],
): void {
  const headers = [...refusalHeaders(refusal), ...extra];
  if (exchangeId !== null) headers.push(EXCHANGE_ID_HEADER, exchangeId);
  // What follows a request of doubtful form might be anything; what follows one that stopped, its rest.
  const isLast = refusal.code === 'bad_request' || refusal.code === 'request_timeout';
  if (isLast) endEarly(reply, headers);
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

/** A whole reply in one piece. */
export function sendWhole(reply: ServerResponse, status: number, headers: string[], body: string): void {
  reply.sendDate = false;
  const bytes = Buffer.from(body);
  headers.push('content-length', String(bytes.length));
  if (!reply.req.complete) {
    const rest = restOf(reply.req);
    if (rest === 'long' && !endsWithReply(reply.req.socket)) endEarly(reply, headers);
    else if (rest === 'short') takeRest(reply);
  }
  reply.writeHead(status, headers);
  reply.end(reply.req.method === 'HEAD' ? undefined : bytes);
}

/** What is still to come of a request that is answered now. */
function restOf(request: IncomingMessage): 'nothing' | 'short' | 'long' {
  const length = announcedLength(request);
  // A request without a body is only marked complete after it was handed over, which is perhaps now.
  if (length === null || length === 0) return 'nothing';
  // A client that waits for 100 and is answered otherwise may send its body, or the next request: nobody can tell.
  if (length === 'chunked' || request.headers.expect !== undefined) return 'long';
  return length <= WHOLE_BODY_BYTES_MAX ? 'short' : 'long';
}

/** Reads and forgets the rest, so that the connection can be kept. */
function takeRest(reply: ServerResponse): void {
  const request = reply.req;
  request.resume();
  reply.once('finish', () => {
    if (request.complete) return;
    const cut = setTimeout(() => request.destroy(), LINGER_MS);
    request.once('end', () => clearTimeout(cut)).once('close', () => clearTimeout(cut));
  });
}

/**
 * For a reply that ends before its request has: nothing more is read, the reply goes out, and only after a while is the
 * connection cut. Cut at once, the reset would overtake the reply.
 * @param head the headers that are about to be sent; null when they are gone already
 */
export function endEarly(reply: ServerResponse, head: string[] | null): void {
  markLastReply(reply.req.socket);
  reply.req.pause();
  const { socket } = reply;
  if (socket === null) {
    // Its turn has not come: others on this connection are answered first.
    head?.push('connection', 'close');
    return;
  }
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
