// The upstream of tests: a server that keeps each request as it was on the wire and answers with exactly the bytes that
// its script says. It adds no header of its own and corrects nothing.
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { exampleReply } from './example-replies.ts';
import { headBytes, requestFraming, valueOf, WireReader, type Framing, type Header } from './wire.ts';

export interface RecordedRequest {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly headers: readonly Header[];
  readonly framing: Framing;
  /** The number of the connection it came on, from 0. */
  readonly connection: number;
  /** What has arrived of the body so far. */
  readonly pieces: Buffer[];
  readonly trailers: readonly Header[];
  /** Resolves to the whole body; rejects where the connection ended before it did. */
  whole(): Promise<Buffer>;
  /** Becomes true when the gateway closes the connection, in whatever way. */
  closed: boolean;
}

/** Waits between pieces of a body. */
interface Pause {
  readonly pauseMs: number;
}

export interface ScriptedReply {
  readonly status?: number;
  readonly reason?: string;
  /** Sent as they are; the framing is added behind them. */
  readonly headers?: readonly Header[];
  readonly body?: Buffer | string | readonly (Buffer | string | Pause)[];
  /** Default `length`. With `none` nothing is added, and `headers` say how it ends. */
  readonly framing?: Framing;
  /** `reset` and `cut` break off where the body as scripted ends; default `complete`. */
  readonly ending?: 'complete' | 'reset' | 'cut';
}

export type Script = (
  request: RecordedRequest,
  wire: ReplyWire,
) => ScriptedReply | void | Promise<ScriptedReply | void>;

/** The reply side of a connection, for scripts that need more than a reply. */
export class ReplyWire {
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  async write(bytes: Buffer | string): Promise<void> {
    const chunk = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    if (this.socket.destroyed || chunk.length === 0) return;
    if (!this.socket.write(chunk)) await Promise.race([once(this.socket, 'drain'), once(this.socket, 'close')]);
  }

  async head(status: number, reason: string, headers: readonly Header[]): Promise<void> {
    await this.write(headBytes(`HTTP/1.1 ${status} ${reason}`, headers));
  }

  async reply(reply: ScriptedReply, method: string): Promise<void> {
    const status = reply.status ?? 200;
    const pieces = Array.isArray(reply.body) ? reply.body : [reply.body ?? ''];
    const framing = reply.framing ?? (status < 200 || status === 204 || status === 304 ? 'none' : 'length');
    await this.head(status, reply.reason ?? 'OK', [...(reply.headers ?? []), ...framingHeaders(framing, pieces)]);
    if (method !== 'HEAD') await this.#body(pieces, framing);
    if (reply.ending === 'reset') this.socket.resetAndDestroy();
    else if (reply.ending === 'cut' || framing === 'close') this.socket.end();
    else if (framing === 'chunked' && method !== 'HEAD') await this.write('0\r\n\r\n');
  }

  async #body(pieces: readonly (Buffer | string | Pause)[], framing: Framing): Promise<void> {
    for (const piece of pieces) {
      if (typeof piece === 'object' && 'pauseMs' in piece) {
        await delay(piece.pauseMs);
        continue;
      }
      const bytes = Buffer.from(piece as string);
      if (bytes.length === 0) continue;
      const chunk = framing === 'chunked' ? [`${bytes.length.toString(16)}\r\n`, bytes, '\r\n'] : [bytes];
      await this.write(Buffer.concat(chunk.map((part) => Buffer.from(part as string))));
    }
  }
}

function framingHeaders(framing: Framing, pieces: readonly (Buffer | string | Pause)[]): Header[] {
  switch (framing) {
    case 'length': {
      const sizes = pieces.map((piece) =>
        typeof piece === 'object' && 'pauseMs' in piece ? 0 : Buffer.byteLength(piece as string),
      );
      return [['Content-Length', String(sizes.reduce((sum, size) => sum + size, 0))]];
    }
    case 'chunked':
      return [['Transfer-Encoding', 'chunked']];
    case 'close':
      return [['Connection', 'close']];
    case 'none':
      return [];
  }
}

export interface Recorder {
  /** `http://127.0.0.1:PORT`; the gateway's upstream is this with `/v1`. */
  readonly url: string;
  readonly requests: RecordedRequest[];
  /** Connections accepted so far. */
  readonly connections: number;
  script: Script;
  /** The only request since the last `clear`, once its body is whole. */
  only(): Promise<RecordedRequest>;
  clear(): void;
  close(): Promise<void>;
}

/** Answers as OpenAI might, once the whole request is here. */
export const answerPlausibly: Script = async (request, wire) => {
  if (valueOf(request.headers, 'expect') !== undefined) await wire.write('HTTP/1.1 100 Continue\r\n\r\n');
  const body = await request.whole();
  return exampleReply(request.method, request.target, body);
};

export async function startRecorder(script: Script = answerPlausibly): Promise<Recorder> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    const connection = recorder.connections++;
    void serve(socket, connection, recorder).catch(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const recorder = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [] as RecordedRequest[],
    connections: 0,
    script,
    async only(): Promise<RecordedRequest> {
      if (recorder.requests.length !== 1)
        throw new Error(`the upstream saw ${recorder.requests.length} requests, not 1`);
      await recorder.requests[0]!.whole();
      return recorder.requests[0]!;
    },
    clear(): void {
      recorder.requests.length = 0;
      recorder.script = script;
    },
    async close(): Promise<void> {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return recorder;
}

async function serve(socket: Socket, connection: number, recorder: Recorder): Promise<void> {
  const reader = new WireReader(socket);
  const wire = new ReplyWire(socket);
  // One listener for each request that the connection brings.
  socket.setMaxListeners(0);
  for (let head = await reader.head(); head !== null; head = await reader.head()) {
    const [method, target, version] = head.startLine.split(' ') as [string, string, string];
    const { framing, lengthBytes } = requestFraming(head.headers);
    const pieces: Buffer[] = [];
    const whole = receive(reader.body(framing, lengthBytes), pieces);
    // A script that answers early never asks for the body, and its loss is then nobody's concern.
    whole.catch(() => {});
    const request: RecordedRequest = {
      method,
      target,
      version,
      headers: head.headers,
      framing,
      connection,
      pieces,
      trailers: reader.trailers,
      whole: () => whole,
      closed: false,
    };
    socket.once('close', () => (request.closed = true));
    recorder.requests.push(request);

    const reply = await recorder.script(request, wire);
    if (reply !== undefined) await wire.reply(reply, method);
    await whole;
  }
}

async function receive(body: AsyncGenerator<Buffer, boolean>, pieces: Buffer[]): Promise<Buffer> {
  for (;;) {
    const next = await body.next();
    if (next.done !== true) pieces.push(next.value);
    else if (next.value) return Buffer.concat(pieces);
    else throw new Error(`the body broke off after ${Buffer.concat(pieces).length} bytes`);
  }
}
