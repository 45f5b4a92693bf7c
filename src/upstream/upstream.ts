// The door to the upstream: one fixed origin, reached with one of the real keys.
import type { Config, Credential } from '../config/load.ts';
import type { Secret } from '../config/secret.ts';
import type { Clock } from '../domain/clock.ts';
import type { Attempt } from '../domain/exchange.ts';
import type { Connection, OutgoingRequest, Served } from './connection.ts';
import { openConnections } from './connections.ts';
import { type CredentialPool, type PooledCredential, credentialPool } from './credentials.ts';
import type { ReplyStart } from './reply-head.ts';
import { type DialListener, type DialRequest, type Dialing, dial } from './socket.ts';

export type { PooledCredential } from './credentials.ts';
export type { DialFailure, DialListener, Dialing } from './socket.ts';

/** Its target begins with `/v1`: raw bytes, as they go into the request line. */
export type UpstreamRequest = OutgoingRequest;

/** What comes back, in this order: one head, data, and then either an end or a failure. Nothing comes before `send` has returned. */
export interface ReplyListener {
  /** @param rawHeaders name, value, name, value; latin1 */
  onHead(status: number, reason: string, rawHeaders: readonly string[]): void;
  /** @returns false to be given no more until `resume`, but for what was read already */
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
  /** Its listener takes data again. */
  resume(): void;
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

const HEAD_BYTES_MAX = 64 * 1024;

export function openUpstream(config: Config['upstream'], clock: Clock, adminKey: Secret | null = null): Upstream {
  const base = new URL(config.baseUrl);
  // What stands before /v1, as some hosts mount the API deeper: "" for OpenAI's own.
  const prefix = base.pathname.replace(/\/v1\/?$/, '');
  const connections = openConnections(base, {
    connectMs: config.connectSeconds * 1000,
    keepAliveMs: config.keepAliveSeconds * 1000,
    headBytesMax: HEAD_BYTES_MAX,
    elapsedMs: clock.elapsedMs,
  });
  return {
    origin: base.host,
    credentials: credentialPool(config.credentials.map(pooled), clock),
    adminCredential: adminKey === null ? null : adminCredential(adminKey),
    send(request, attempt, listener) {
      const connection = connections.take();
      const exchange = new Exchange(connection, attempt, listener, clock);
      connection.serve(exchange, prefix === '' ? request : { ...request, target: prefix + request.target });
      return exchange;
    },
    dial: (request, attempt, listener) =>
      dial({ ...request, target: prefix + request.target }, attempt, listener, clock, {
        origin: `${base.protocol === 'https:' ? 'wss:' : 'ws:'}//${base.host}`,
        connectMs: config.connectSeconds * 1000,
        headerBytesMax: HEAD_BYTES_MAX,
      }),
    close: () => connections.close(),
  };
}

function pooled({ name, weight, apiKey, organization, project }: Credential): PooledCredential {
  return { name, weight, authorization: `Bearer ${apiKey.reveal()}`, organization, project };
}

const ADMIN_CREDENTIAL = 'reconciliation.adminKey';

function adminCredential(apiKey: Secret): PooledCredential {
  return pooled({ name: ADMIN_CREDENTIAL, weight: 1, apiKey, organization: null, project: null });
}

/** One request and its reply, on one connection. */
class Exchange implements Served, Sending {
  readonly #connection: Connection;
  readonly #attempt: Attempt;
  readonly #listener: ReplyListener;
  readonly #clock: Clock;
  #wasSent = false;
  #wasReused = false;
  #isOver = false;

  constructor(connection: Connection, attempt: Attempt, listener: ReplyListener, clock: Clock) {
    this.#connection = connection;
    this.#attempt = attempt;
    this.#listener = listener;
    this.#clock = clock;
  }

  abort(): void {
    if (this.#isOver) return;
    this.#end();
    this.#connection.drop();
  }

  resume(): void {
    if (!this.#isOver) this.#connection.resume();
  }

  onConnect(isReused: boolean): void {
    this.#wasSent = true;
    this.#wasReused = isReused;
    this.#attempt.connectedMs = this.#clock.elapsedMs();
  }

  onHead({ status, reason, rawHeaders }: ReplyStart): void {
    this.#attempt.firstByteMs = this.#clock.elapsedMs();
    this.#attempt.status = status;
    this.#listener.onHead(status, reason, rawHeaders);
  }

  onBody(piece: Buffer): boolean {
    return this.#listener.onData(piece);
  }

  onComplete(): void {
    this.#end();
    this.#listener.onEnd();
  }

  onFailure(error: NodeJS.ErrnoException): void {
    const code = error.code ?? error.name;
    this.#attempt.error = code;
    this.#end();
    const [wasSent, wasReused] = [this.#wasSent, this.#wasReused];
    this.#listener.onFailure({ code, message: error.message, wasSent, wasReused });
  }

  #end(): void {
    this.#isOver = true;
    this.#attempt.endedMs = this.#clock.elapsedMs();
  }
}
