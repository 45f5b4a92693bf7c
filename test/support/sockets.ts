// WebSockets through a gateway: a scripted upstream that keeps each handshake as it came, and clients that keep what they
// were told.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { WebSocket, WebSocketServer, type ClientOptions } from 'ws';

import type { Settings } from '../../src/config/config.ts';
import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { eventually } from './eventually.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { assertNoSecret, readSpool } from './invariants.ts';
import { headBytes, type Header } from './wire.ts';

/** A handshake that the upstream saw. */
export interface SeenHandshake {
  readonly target: string;
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage['headers'];
  readonly connection: Socket;
}

/** What an upstream does with a handshake. */
export interface Reception {
  /** Selects a subprotocol; the first by default, none where it answers false. */
  readonly select?: (offered: ReadonlySet<string>) => string | false;
  /** Added to the 101. */
  readonly headers?: readonly string[];
  /** Whether it answers pings; it does by default. */
  readonly autoPong?: boolean;
  /** With the socket that was opened. */
  readonly meet?: (socket: WebSocket) => void;
  /** In place of a 101: writes what it likes. */
  readonly answer?: (connection: Socket, handshake: IncomingMessage) => void;
}

export interface SocketUpstream {
  /** Base URL with its `/v1`. */
  readonly url: string;
  readonly seen: SeenHandshake[];
  /** Sockets opened, newest last. */
  readonly sockets: WebSocket[];
  /** Connections open now. */
  readonly connections: ReadonlySet<Socket>;
  reception: Reception;
  close(): Promise<void>;
}

/** Sends every message back as it came. */
export const ECHO: Reception = {
  meet: (socket) => socket.on('message', (bytes, isBinary) => socket.send(bytes, { binary: isBinary })),
};

export async function startSocketUpstream(): Promise<SocketUpstream> {
  const connections = new Set<Socket>();
  const server = createServer();
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.on('error', () => {}).on('close', () => connections.delete(socket));
  });
  server.on('upgrade', (request: IncomingMessage, duplex: Duplex, head: Buffer) => {
    const connection = duplex as Socket;
    upstream.seen.push({
      target: request.url!,
      rawHeaders: request.rawHeaders,
      headers: request.headers,
      connection,
    });
    const { answer, select, headers = [], autoPong = true, meet } = upstream.reception;
    if (answer !== undefined) {
      answer(connection, request);
      // Read, so that its end is noticed; a server's sockets outlive it unless they are told.
      connection.resume().on('end', () => connection.end());
      return;
    }
    const acceptor = new WebSocketServer({
      noServer: true,
      // It would compress if it were asked to.
      perMessageDeflate: true,
      maxPayload: 0,
      autoPong,
      ...(select === undefined ? {} : { handleProtocols: (offered) => select(offered) }),
    });
    acceptor.on('headers', (lines) => lines.push(...headers));
    acceptor.handleUpgrade(request, connection, head, (socket) => {
      socket.on('error', () => {});
      upstream.sockets.push(socket);
      meet?.(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const upstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    seen: [] as SeenHandshake[],
    sockets: [] as WebSocket[],
    connections,
    reception: ECHO,
    async close() {
      for (const connection of connections) connection.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return upstream;
}

/** A 101 made by hand, for upstreams that go on in ways which no library would. */
export function acceptance({ headers }: IncomingMessage, ...more: readonly Header[]): Buffer {
  const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const accept = createHash('sha1')
    .update(headers['sec-websocket-key']! + guid)
    .digest('base64');
  return headBytes('HTTP/1.1 101 Switching Protocols', [
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Accept', accept],
    ...more,
  ]);
}

/** One frame made by hand. */
export function frame(opcode: number, payload: Buffer | string, { fin = true, rsv = 0, masked = false } = {}): Buffer {
  const bytes = Buffer.from(payload as string);
  const length =
    bytes.length < 126
      ? Buffer.from([bytes.length])
      : bytes.length < 65_536
        ? Buffer.from([126, bytes.length >> 8, bytes.length & 255])
        : Buffer.concat([Buffer.from([127, 0, 0, 0, 0]), uint32(bytes.length)]);
  if (masked) length[0]! |= 0x80;
  const first = Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode]);
  // A mask of zeros changes nothing.
  return Buffer.concat([first, length, Buffer.alloc(masked ? 4 : 0), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export interface Message {
  readonly bytes: Buffer;
  readonly isBinary: boolean;
}

/** A client's WebSocket and all that it was told. */
export class Client {
  readonly socket: WebSocket;
  readonly messages: Message[] = [];
  readonly pings: Buffer[] = [];
  readonly pongs: Buffer[] = [];
  /** The answer to its handshake, whichever it was. */
  handshake: IncomingMessage | null = null;
  refusal: { readonly status: number; readonly headers: IncomingMessage['headers']; readonly body: string } | null =
    null;
  closed: { readonly code: number; readonly reason: string } | null = null;
  error: Error | null = null;

  constructor(url: string, subprotocols: readonly string[], options: ClientOptions) {
    this.socket = new WebSocket(url, [...subprotocols], { perMessageDeflate: false, maxPayload: 0, ...options });
    this.socket.on('message', (bytes: Buffer, isBinary) => this.messages.push({ bytes, isBinary }));
    this.socket.on('ping', (bytes) => this.pings.push(bytes));
    this.socket.on('pong', (bytes) => this.pongs.push(bytes));
    this.socket.on('upgrade', (answer) => (this.handshake = answer));
    this.socket.on('error', (error) => (this.error = error));
    this.socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
    this.socket.on('unexpected-response', (_request, answer) => {
      this.handshake = answer;
      const pieces: Buffer[] = [];
      answer.on('data', (piece: Buffer) => pieces.push(piece));
      answer.on('error', (error) => (this.error = error));
      answer.on('end', () => {
        this.refusal = {
          status: answer.statusCode!,
          headers: answer.headers,
          body: Buffer.concat(pieces).toString('latin1'),
        };
      });
    });
  }

  texts(): string[] {
    return this.messages.map((message) => message.bytes.toString());
  }

  async opened(): Promise<this> {
    await eventually('the socket opens', () => this.handshake?.statusCode === 101 || this.hasFailed());
    if (this.hasFailed()) throw this.error ?? new Error(`refused: ${JSON.stringify(this.refusal)}`);
    return this;
  }

  /** @returns how it was refused, in plain HTTP */
  async refused(): Promise<NonNullable<Client['refusal']>> {
    await eventually('the handshake is refused', () => this.refusal !== null);
    return this.refusal!;
  }

  async ended(deadlineMs?: number): Promise<NonNullable<Client['closed']>> {
    await eventually('the socket is closed', () => this.closed !== null, deadlineMs);
    return this.closed!;
  }

  hasFailed(): boolean {
    return this.error !== null || this.refusal !== null;
  }
}

export interface SocketStand {
  readonly gateway: TestGateway;
  readonly upstream: SocketUpstream;
  /** Dials through the gateway with the virtual key in `Authorization`, unless the options bring another. */
  dial(path: string, options?: DialOptions): Client;
  /** Opens, and waits until the upstream's end is there as well. */
  open(path: string, options?: DialOptions): Promise<{ client: Client; far: WebSocket }>;
  records(): ExchangeRecord[];
  /** Waits for so many records of exchanges since the last test, and gives them; turns are not counted. */
  recorded(count: number): Promise<ExchangeRecord[]>;
  /** Goes before each test. */
  clear(): void;
  /** Goes after each test: the key and the credential are nowhere, and nothing is left open. */
  check(): Promise<void>;
  close(): Promise<void>;
}

export interface DialOptions extends Omit<ClientOptions, 'key'> {
  readonly subprotocols?: readonly string[];
  /** Default: `Authorization` with the virtual key. Null sends none. */
  readonly key?: string | null;
}

export async function openSocketStand(settings: Settings = {}): Promise<SocketStand> {
  const upstream = await startSocketUpstream();
  const gateway = await startGateway({ upstream: upstream.url, settings });
  const clients: Client[] = [];
  let seenSeq = 0;

  function dial(
    path: string,
    { subprotocols = [], key = gateway.token, headers, ...options }: DialOptions = {},
  ): Client {
    const client = new Client(gateway.api.replace('http', 'ws') + path, subprotocols, {
      ...options,
      headers: { ...headers, ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
    });
    clients.push(client);
    return client;
  }

  const records = () => readSpool(gateway.dataDir, seenSeq).records;
  return {
    gateway,
    upstream,
    dial,
    async open(path, options) {
      const before = upstream.sockets.length;
      const client = await dial(path, options).opened();
      await eventually('the upstream has its end', () => upstream.sockets.length > before);
      return { client, far: upstream.sockets.at(-1)! };
    },
    records,
    async recorded(count) {
      const exchanges = () => records().filter((record) => record.kind === 'exchange');
      await eventually(`${count} records are written`, () => exchanges().length >= count);
      return exchanges();
    },
    clear() {
      upstream.seen.length = 0;
      upstream.sockets.length = 0;
      upstream.reception = ECHO;
      seenSeq = readSpool(gateway.dataDir, seenSeq).lastSeq;
    },
    async check() {
      for (const client of clients.splice(0)) client.socket.terminate();
      await eventually('no exchange is left open', () => readSpool(gateway.dataDir, seenSeq).openIntents === 0);
      await eventually('no connection to the upstream is left open', () => upstream.connections.size === 0);
      const ids = records().map((record) => record.id);
      if (new Set(ids).size < ids.length) throw new Error('an exchange has two records');
      assertNoSecret(gateway.dataDir, gateway.logLines);
      assertKeyIsNowhere(gateway, records(), upstream.seen);
    },
    async close() {
      await gateway.close();
      await upstream.close();
    },
  };
}

/** The virtual key is known to the client alone. */
function assertKeyIsNowhere(
  gateway: TestGateway,
  records: readonly ExchangeRecord[],
  seen: readonly SeenHandshake[],
): void {
  const told = JSON.stringify([gateway.logLines, records, seen.map(({ target, rawHeaders }) => [target, rawHeaders])]);
  if (told.includes(gateway.token) || /sk-tw-[0-9A-Za-z]/.test(told))
    throw new Error(`the virtual key was told: ${told}`);
}
