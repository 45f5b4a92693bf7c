// The door to the upstream: one fixed origin, reached with one of the real keys. The only user of undici.
import type { Readable } from 'node:stream';

import type { Config, Credential } from '../config/load.ts';
import type { Secret } from '../config/secret.ts';
import type { Clock } from '../domain/clock.ts';
import type { Attempt } from '../domain/exchange.ts';
import { type Connection, type Connections, openConnections } from './connections.ts';
import { type CredentialPool, type PooledCredential, credentialPool } from './credentials.ts';
import { type DialListener, type DialRequest, type Dialing, dial } from './socket.ts';

export type { PooledCredential } from './credentials.ts';
export type { DialFailure, DialListener, Dialing } from './socket.ts';

export interface UpstreamRequest {
  readonly method: string;
  /** Begins with `/v1`; raw bytes, as they go into the request line. */
  readonly target: string;
  /** Name, value, name, value. */
  readonly headers: string[];
  readonly body: Buffer | Readable | null;
}

/** What comes back, in this order: interim heads, one head, data, and then either an end or a failure. */
export interface ReplyListener {
  /** @returns false to be given no data until `resume` */
  onHead(status: number, reason: string, rawHeaders: readonly Buffer[], resume: () => void): boolean;
  onData(chunk: Buffer): boolean;
  onEnd(): void;
  onFailure(failure: UpstreamFailure): void;
}

export interface UpstreamFailure {
  /** A short code such as `ECONNREFUSED`. */
  readonly code: string;
  readonly message: string;
  /** Did no byte of the request leave this machine? Then it may be tried again, whatever it is. */
  readonly wasSent: boolean;
  /** Had the connection served before? Then its end may have crossed the request. */
  readonly wasReused: boolean;
}

/** A request on its way. */
export interface Sending {
  /** Ends it: the connection is closed and never used again. The listener hears nothing more. */
  abort(): void;
}

export interface Upstream {
  /** Host and port, as records name it. */
  readonly origin: string;
  readonly credentials: CredentialPool;
  /** Opens the administration of the upstream account, and no exchange; null where the settings have none. */
  readonly adminCredential: PooledCredential | null;
  send(request: UpstreamRequest, attempt: Attempt, listener: ReplyListener): Sending;
  /** Opens a WebSocket, each on a connection of its own. */
  dial(request: DialRequest, attempt: Attempt, listener: DialListener): Dialing;
  close(): Promise<void>;
}

const HEADER_BYTES_MAX = 64 * 1024;
/** Interim replies (1xx) that one exchange may bring. */
const INTERIM_MAX = 64;

export function openUpstream(config: Config['upstream'], clock: Clock, adminKey: Secret | null = null): Upstream {
  const base = new URL(config.baseUrl);
  // What stands before /v1, as some hosts mount the API deeper: "" for OpenAI's own.
  const prefix = base.pathname.replace(/\/v1\/?$/, '');
  const connections = openConnections(base.origin, {
    connectMs: config.connectSeconds * 1000,
    keepAliveMs: config.keepAliveSeconds * 1000,
    headerBytesMax: HEADER_BYTES_MAX,
  });
  return {
    origin: base.host,
    credentials: credentialPool(config.credentials.map(pooled), clock),
    adminCredential: adminKey === null ? null : adminCredential(adminKey),
    send(request, attempt, listener) {
      const connection = connections.take();
      const handler = new SendingHandler(connections, connection, attempt, listener, clock);
      connection.client.dispatch(
        {
          path: prefix + request.target,
          method: request.method,
          headers: request.headers,
          body: request.body,
        },
        handler,
      );
      return handler;
    },
    dial: (request, attempt, listener) =>
      dial({ ...request, target: prefix + request.target }, attempt, listener, clock, {
        origin: `${base.protocol === 'https:' ? 'wss:' : 'ws:'}//${base.host}`,
        connectMs: config.connectSeconds * 1000,
        headerBytesMax: HEADER_BYTES_MAX,
      }),
    close: () => connections.close(),
  };
}

const PLAIN_REASON = /^[\t\x20-\x7e]*$/;

/**
 * undici reads the reason phrase as UTF-8. Here it is what goes into a status line: those bytes as latin1, without what
 * HTTP forbids there. Bytes that were no UTF-8 are lost to it, and stand as question marks.
 */
function reasonPhrase(reason: string): string {
  if (PLAIN_REASON.test(reason)) return reason;
  const bytes = Buffer.from(reason.replaceAll('\ufffd', '?')).toString('latin1');
  return bytes.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, '');
}

function pooled({ name, weight, apiKey, organization, project }: Credential): PooledCredential {
  return { name, weight, authorization: `Bearer ${apiKey.reveal()}`, organization, project };
}

const ADMIN_CREDENTIAL = 'reconciliation.adminKey';

function adminCredential(apiKey: Secret): PooledCredential {
  return pooled({ name: ADMIN_CREDENTIAL, weight: 1, apiKey, organization: null, project: null });
}

/** undici's raw handler: headers as bytes, no objects in between. */
class SendingHandler implements Sending {
  readonly #connections: Connections;
  readonly #connection: Connection;
  readonly #attempt: Attempt;
  readonly #listener: ReplyListener;
  readonly #clock: Clock;
  #abort: ((error?: Error) => void) | null = null;
  #isAborted = false;
  #isOver = false;
  #wasReused = false;
  #interim = 0;

  constructor(
    connections: Connections,
    connection: Connection,
    attempt: Attempt,
    listener: ReplyListener,
    clock: Clock,
  ) {
    this.#connections = connections;
    this.#connection = connection;
    this.#attempt = attempt;
    this.#listener = listener;
    this.#clock = clock;
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isAborted = true;
    this.#end();
    this.#abort?.(new Error('aborted'));
    this.#connections.drop(this.#connection);
  }

  /** Called when the connection stands, right before the request is written. */
  onConnect(abort: (error?: Error) => void): void {
    if (this.#isAborted) {
      abort();
      return;
    }
    this.#abort = abort;
    this.#wasReused = this.#connection.served > 0;
    this.#connection.served++;
    this.#attempt.connectedMs = this.#clock.elapsedMs();
  }

  onHeaders(status: number, rawHeaders: Buffer[], resume: () => void, reason: string): boolean {
    if (status < 200) {
      if (++this.#interim > INTERIM_MAX)
        this.onError(new Error(`the upstream sent more than ${INTERIM_MAX} interim replies`));
      return true;
    }
    this.#attempt.firstByteMs = this.#clock.elapsedMs();
    this.#attempt.status = status;
    return this.#listener.onHead(status, reasonPhrase(reason), rawHeaders, resume);
  }

  onData(chunk: Buffer): boolean {
    return this.#isAborted ? false : this.#listener.onData(chunk);
  }

  onComplete(): void {
    if (this.#isOver) return;
    this.#end();
    this.#connections.giveBack(this.#connection);
    this.#listener.onEnd();
  }

  onError(error: Error & { code?: string }): void {
    if (this.#isOver) return;
    // A 304 may say how long the body is that it does not have (RFC 9110 8.6); undici misses that body.
    if (this.#attempt.status === 304 && error.code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') {
      this.onComplete();
      return;
    }
    const wasSent = this.#abort !== null;
    const code = error.code ?? error.name;
    this.#attempt.error = code;
    this.#end();
    this.#abort?.(error);
    this.#connections.drop(this.#connection);
    this.#listener.onFailure({ code, message: error.message, wasSent, wasReused: this.#wasReused });
  }

  /** An upgrade that nobody asked for (101 to a plain request) is a broken reply. */
  onUpgrade(): void {
    this.onError(new Error('the upstream changed protocols unasked'));
  }

  #end(): void {
    this.#isOver = true;
    this.#attempt.endedMs = this.#clock.elapsedMs();
  }
}
