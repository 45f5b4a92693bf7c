// The listeners. With the other files of this shelf the only user of node:http.
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES, createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { Refusal, type RefusalCode, refusalBody } from '../domain/refusal.ts';
import { REFUSAL_HEADER } from './headers.ts';

/** OpenAI's own budget for a header block. */
const HEADER_BYTES_MAX = 64 * 1024;
/** How late a connection that sends its header too slowly may be noticed. */
const HEADER_CHECK_MS = 1000;
/** How long replies may take to leave when a listener closes. */
const CLOSE_MS = 500;
const END_IDLE_EVERY_MS = 10;

export type { IncomingMessage as DownstreamRequest, ServerResponse as DownstreamReply } from 'node:http';

export interface ListenerOptions {
  /** `HOST:PORT`; port 0 picks a free one. */
  readonly listen: string;
  readonly headerMs: number;
  readonly keepAliveMs: number;
  /** 0 is no limit. */
  readonly connectionsMax: number;
  /** @param expectsContinue the client waits for a `100 Continue` before it sends its body */
  onRequest(request: IncomingMessage, reply: ServerResponse, expectsContinue: boolean): void;
  /** Without it an upgrade is served as the plain request that it also is. */
  onUpgrade?(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export interface Listener {
  /** `http://HOST:PORT`, with a host that a client on this machine can use. */
  readonly url: string;
  /** Takes no more connections; those there are may send what is left of their replies, and then end. */
  close(): Promise<void>;
}

/** @throws Error that names the address, when it cannot be listened on. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const server = createServer({
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: options.headerMs,
    // An upload may take as long as it progresses; the relay has timeouts of its own.
    requestTimeout: 0,
    keepAliveTimeout: options.keepAliveMs,
    connectionsCheckingInterval: HEADER_CHECK_MS,
    // Without this every request that merely names an upgrade (h2c, say) would leave the HTTP path.
    shouldUpgradeCallback: (request) => options.onUpgrade !== undefined && isWebSocketUpgrade(request),
    noDelay: true,
    // checkArrival looks at it, and says no in OpenAI's shape.
    requireHostHeader: false,
  });
  // Node would drop the 2,001st header in silence; checkArrival says no aloud instead.
  server.maxHeadersCount = 0;
  if (options.connectionsMax > 0) server.maxConnections = options.connectionsMax;
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const serve = (expectsContinue: boolean) => (request: IncomingMessage, reply: ServerResponse) => {
    if (endsWithReply(request.socket)) return;
    options.onRequest(request, reply, expectsContinue);
  };
  server.on('request', serve(false));
  server.on('checkContinue', serve(true));
  const { onUpgrade } = options;
  if (onUpgrade) {
    server.on('upgrade', (request, socket: Duplex, head: Buffer) => {
      // It was pipelined behind a request whose reply is still under way: an answer now would run into that one.
      if (replyInFlight(socket) !== undefined) socket.destroy();
      else onUpgrade(request, socket, head);
    });
  }
  server.on('clientError', answerMalformed);
  const url = await listen(server, options.listen);
  return {
    url,
    async close() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      // A connection counts as idle only when its reply has left.
      const endIdle = setInterval(() => server.closeIdleConnections(), END_IDLE_EVERY_MS);
      const endAll = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, CLOSE_MS);
      server.closeIdleConnections();
      await closed;
      clearInterval(endIdle);
      clearTimeout(endAll);
    },
  };
}

/** Connections that end with a reply under way. */
const ending = new WeakSet<Socket>();

/** What was pipelined behind this reply is not served (RFC 9112 9.6): nobody could be told of it. */
export function markLastReply(socket: Socket): void {
  ending.add(socket);
}

export function endsWithReply(socket: Socket): boolean {
  return ending.has(socket);
}

/** RFC 6455 4.1 and RFC 9110 7.8: only a GET, and never in HTTP/1.0. Any other request merely names the protocol. */
function isWebSocketUpgrade({ method, httpVersionMinor, headers: { upgrade } }: IncomingMessage): boolean {
  if (upgrade === undefined || method !== 'GET' || httpVersionMinor === 0) return false;
  return upgrade.split(',').some((protocol) => protocol.trim().toLowerCase() === 'websocket');
}

function listen(server: Server, address: string): Promise<string> {
  const split = address.lastIndexOf(':');
  const host = address.slice(0, split).replace(/^\[|\]$/g, '');
  const port = Number(address.slice(split + 1));
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === 'EADDRINUSE' ? 'it is in use; stop the other program, or choose another port' : cause.message;
      reject(new Error(`cannot listen on ${address}: ${why}`, { cause }));
    });
    server.listen({ host, port }, () => {
      const bound = server.address() as AddressInfo;
      const reachable =
        host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
      resolve(`http://${reachable}:${bound.port}`);
    });
  });
}

const MALFORMED: Readonly<Record<string, { readonly code: RefusalCode; readonly message: string }>> = {
  HPE_HEADER_OVERFLOW: {
    code: 'headers_too_large',
    message: `The header block is larger than ${HEADER_BYTES_MAX} bytes.`,
  },
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'request_timeout', message: 'The header block did not arrive in time.' },
  HPE_INVALID_METHOD: { code: 'method_not_implemented', message: 'The method is not one of HTTP’s.' },
};

/** What the parser refuses never becomes a request: answered in OpenAI's shape, and the connection ends. */
function answerMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  // The client is gone, or has been told something already.
  if (!socket.writable || error.code === 'ECONNRESET' || hasAnswered(socket)) {
    socket.destroy();
    return;
  }
  const { code, message } = MALFORMED[error.code ?? ''] ?? {
    code: 'bad_request' as const,
    message: 'The request is not well-formed HTTP/1.1.',
  };
  const refusal = new Refusal(code, message);
  socket.end(rawReply(refusal.status, refusalHeaders(refusal), refusalBody(refusal)), () => socket.destroy());
}

function hasAnswered(socket: Duplex): boolean {
  return replyInFlight(socket)?.headersSent === true;
}

/** node:http keeps it under this name and reads it for the same purpose. */
function replyInFlight(socket: Duplex): ServerResponse | undefined {
  const { _httpMessage: reply } = socket as Duplex & { _httpMessage?: ServerResponse | null };
  return reply ?? undefined;
}

/** The headers of our own no, without those that frame it. */
export function refusalHeaders(refusal: Refusal): string[] {
  const headers = [
    'content-type',
    'application/json',
    REFUSAL_HEADER,
    refusal.code,
    'x-should-retry',
    String(refusal.retry),
    'cache-control',
    'no-store',
    'x-content-type-options',
    'nosniff',
    ...refusal.headers,
  ];
  if (refusal.retryAfterMs !== null) {
    headers.push(
      'retry-after-ms',
      String(refusal.retryAfterMs),
      'retry-after',
      String(Math.ceil(refusal.retryAfterMs / 1000)),
    );
  }
  return headers;
}

/** A whole reply as bytes, for a connection that has no ServerResponse: after it the connection ends. */
export function rawReply(status: number, headers: readonly string[], body: string | Buffer): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return Buffer.concat([
    rawHead(status, STATUS_CODES[status] ?? '', [...headers, 'content-length', String(bytes.length)]),
    bytes,
  ]);
}

/** The head alone; where it names no length, the body lasts until the connection ends. */
export function rawHead(status: number, reason: string, headers: readonly string[]): Buffer {
  let head = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return Buffer.from(`${head}connection: close\r\n\r\n`, 'latin1');
}
