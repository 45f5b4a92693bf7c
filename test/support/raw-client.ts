// The client of tests that care about single bytes: it sends what it is told and shows what came back, untouched.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { headBytes, replyFraming, valueOf, WireReader, type Framing, type Head, type Header } from './wire.ts';

export interface RawRequest {
  readonly method?: string;
  /** The request target, byte for byte. */
  readonly target: string;
  /** `Host` is put before them where they lack it, and `Content-Length` behind them where a body needs it. */
  readonly headers?: readonly Header[];
  readonly body?: Buffer | string;
  readonly version?: '1.1' | '1.0';
}

export interface RawReply {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly Header[];
  readonly framing: Framing;
  readonly body: Buffer;
  /** Whether the body ended as its framing says. */
  readonly isWhole: boolean;
  /** The heads with a status below 200 that came before. */
  readonly interim: readonly Head[];
  readonly trailers: readonly Header[];
}

/** A reply that is silent for longer has failed its test. */
const SILENCE_MS_MAX = 15_000;

/** One connection to a server, to write on and read replies from at will. */
export class RawConnection {
  readonly socket: Socket;
  readonly authority: string;
  readonly #reader: WireReader;

  private constructor(socket: Socket, authority: string) {
    this.socket = socket;
    this.authority = authority;
    this.#reader = new WireReader(socket);
    socket.on('error', () => {});
    socket.setTimeout(SILENCE_MS_MAX, () => {
      socket.destroy(new Error(`nothing moved on the connection for ${SILENCE_MS_MAX} ms`));
    });
  }

  static async open(base: string): Promise<RawConnection> {
    const { hostname, port, host } = new URL(base);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    return new RawConnection(socket, host);
  }

  async write(bytes: Buffer | string): Promise<void> {
    const chunk = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    if (this.socket.destroyed) return;
    if (!this.socket.write(chunk)) await Promise.race([once(this.socket, 'drain'), once(this.socket, 'close')]);
  }

  async send(request: RawRequest): Promise<void> {
    const { method = 'GET', target, headers = [], body, version = '1.1' } = request;
    const lines: Header[] = [...headers];
    if (valueOf(lines, 'host') === undefined) lines.unshift(['Host', this.authority]);
    const isFramed = ['content-length', 'transfer-encoding'].some((name) => valueOf(lines, name) !== undefined);
    if (body !== undefined && !isFramed) lines.push(['Content-Length', String(Buffer.byteLength(body))]);
    const head = headBytes(`${method} ${target} HTTP/${version}`, lines);
    await this.write(body === undefined ? head : Buffer.concat([head, Buffer.from(body as string)]));
  }

  async head(): Promise<Head> {
    const head = await this.#reader.head();
    if (head === null) throw this.#reader.error ?? new Error('the connection ended before a reply came');
    return head;
  }

  /** @param onHead is called when the head is here, before the body is read. */
  async reply(method = 'GET', onHead: (head: Head) => void = () => {}): Promise<RawReply> {
    const interim: Head[] = [];
    let head = await this.head();
    for (; statusOf(head) < 200 && statusOf(head) !== 101; head = await this.head()) interim.push(head);
    onHead(head);

    const status = statusOf(head);
    const { framing, lengthBytes } = replyFraming(method, status, head.headers);
    const pieces: Buffer[] = [];
    const body = this.#reader.body(framing, lengthBytes);
    let next = await body.next();
    for (; next.done !== true; next = await body.next()) pieces.push(next.value);

    return {
      status,
      reason: head.startLine.split(' ').slice(2).join(' '),
      headers: head.headers,
      framing,
      body: Buffer.concat(pieces),
      isWhole: next.value,
      interim,
      trailers: this.#reader.trailers,
    };
  }

  /** Whatever comes next, however short; null at the end of the connection. */
  async bytes(): Promise<Buffer | null> {
    return await this.#reader.bytes();
  }

  close(): void {
    this.socket.destroy();
  }
}

/** One request on a connection of its own. */
export async function exchange(base: string, request: RawRequest): Promise<RawReply> {
  const connection = await RawConnection.open(base);
  try {
    await connection.send(request);
    return await connection.reply(request.method);
  } finally {
    connection.close();
  }
}

function statusOf(head: Head): number {
  return Number(head.startLine.split(' ')[1]);
}
