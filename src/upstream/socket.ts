// Dials a WebSocket of the upstream. With http/websocket.ts the only user of ws.
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';

import { type ClientOptions, WebSocket } from 'ws';

import type { Clock } from '../domain/clock.ts';
import type { Attempt } from '../domain/exchange.ts';
import { CLOSE_MS, type OpenSocket } from '../domain/socket.ts';

export interface DialRequest {
  /** Begins with `/v1`; raw bytes, as they go into the request line. */
  readonly target: string;
  /** Name, value, name, value; without those of the handshake itself. */
  readonly headers: readonly string[];
  readonly subprotocols: readonly string[];
  /** A larger message is refused with 1009. 0 is no limit. */
  readonly messageBytesMax: number;
  /** How long the upstream may take to answer the handshake. 0 is off. */
  readonly headersMs: number;
}

/** How the handshake ended; exactly one of these is called, and never before `dial` has returned. */
export interface DialListener {
  /** @param subprotocol the one that the upstream selected */
  onOpen(socket: OpenSocket, rawHeaders: readonly string[], subprotocol: string | null): void;
  /** The upstream answered in plain HTTP. */
  onRefused(status: number, reason: string, rawHeaders: readonly string[], body: Readable): void;
  onFailure(failure: DialFailure): void;
}

export interface DialFailure {
  readonly code: string;
  readonly message: string;
  /** Did the connection stand? Then the upstream may have seen the handshake. */
  readonly wasSent: boolean;
  readonly isTimeout: boolean;
}

/** A handshake on its way. */
export interface Dialing {
  /** Ends it, and the reading of a plain answer. The listener hears nothing more. */
  abort(): void;
}

export interface DialOptions {
  /** `ws://` or `wss://` and the authority. */
  readonly origin: string;
  /** 0 is off. */
  readonly connectMs: number;
  readonly headerBytesMax: number;
}

export function dial(
  request: DialRequest,
  attempt: Attempt,
  listener: DialListener,
  clock: Clock,
  options: DialOptions,
): Dialing {
  const { connectMs, origin } = options;
  const { headersMs, subprotocols } = request;
  let isOver = false;
  let isConnected = false;
  let connection: Socket | null = null;
  let timer: NodeJS.Timeout | undefined;
  let reply: { readonly rawHeaders: readonly string[]; readonly subprotocol: string | null } | null = null;

  const handshakeOptions: ClientOptions & { closeTimeout: number; maxHeaderSize: number } = {
    perMessageDeflate: false,
    // Pings are relayed, and so are the pongs that answer them.
    autoPong: false,
    maxPayload: request.messageBytesMax,
    closeTimeout: CLOSE_MS,
    followRedirects: false,
    maxHeaderSize: options.headerBytesMax,
    finishRequest(handshake) {
      try {
        // ws would send what a URL parser makes of the target.
        handshake.path = request.target;
        for (let i = 0; i < request.headers.length; i += 2)
          handshake.appendHeader(request.headers[i]!, request.headers[i + 1]!);
        if (subprotocols.length > 0) handshake.setHeader('sec-websocket-protocol', subprotocols.join(', '));
      } catch (error) {
        handshake.destroy(error as Error);
        return;
      }
      handshake.once('socket', (opening: Socket) => {
        connection = opening;
        opening.once(origin.startsWith('wss:') ? 'secureConnect' : 'connect', onConnect);
      });
      handshake.end();
    },
  };
  const socket = new WebSocket(origin, handshakeOptions);
  allow(connectMs, 'ETIMEDOUT', 'No connection', 'upstream.connectSeconds');

  socket.on('upgrade', (answer) => {
    attempt.firstByteMs = clock.elapsedMs();
    attempt.status = answer.statusCode ?? null;
    const subprotocol = answer.headers['sec-websocket-protocol'] ?? null;
    reply = { rawHeaders: answer.rawHeaders, subprotocol };
    if (subprotocol !== null && !subprotocols.includes(subprotocol)) {
      fail('bad_handshake', 'The upstream selected a subprotocol that nobody offered.', false);
      return;
    }
    // ws was told of no subprotocols, because it insists that one is selected. That is for the client to judge.
    delete answer.headers['sec-websocket-protocol'];
  });
  socket.on('open', () => {
    if (isOver || reply === null) return;
    end();
    listener.onOpen(
      { messages: socket, bytesRead: () => connection?.bytesRead ?? 0 },
      reply.rawHeaders,
      reply.subprotocol,
    );
  });
  socket.on('unexpected-response', (_handshake, answer) => {
    if (isOver) {
      answer.destroy();
      return;
    }
    end();
    // Where only the connection ends the body, node:http takes a reset for that end, and half an answer would look whole.
    connection?.once('error', (error) => answer.destroy(error));
    attempt.firstByteMs = clock.elapsedMs();
    attempt.status = answer.statusCode ?? null;
    listener.onRefused(answer.statusCode ?? 0, answer.statusMessage ?? '', answer.rawHeaders, answer);
  });
  // Once open, whoever took the socket listens too.
  socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? 'bad_handshake', error.message, false));
  socket.on('close', () => fail('ECONNRESET', 'The connection was closed before the handshake was answered.', false));

  function onConnect(): void {
    if (isOver) return;
    isConnected = true;
    attempt.connectedMs = clock.elapsedMs();
    allow(headersMs, 'gateway_timeout', 'No answer to the handshake', 'upstream.headersSeconds');
  }

  function allow(ms: number, code: string, what: string, setting: string): void {
    clearTimeout(timer);
    if (ms > 0) timer = setTimeout(() => fail(code, `${what} within the ${ms / 1000} s of ${setting}.`, true), ms);
  }

  function end(): void {
    isOver = true;
    clearTimeout(timer);
  }

  function fail(code: string, message: string, isTimeout: boolean): void {
    if (isOver) return;
    end();
    attempt.error = code;
    socket.terminate();
    listener.onFailure({ code, message, wasSent: isConnected, isTimeout });
  }

  return {
    abort() {
      end();
      socket.terminate();
    },
  };
}
