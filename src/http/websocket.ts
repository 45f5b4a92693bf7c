// WebSocket handshakes of clients: checked, and answered with what the upstream said, or with a no in plain HTTP. With
// upstream/socket.ts the only user of ws.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { type ServerOptions, WebSocketServer } from 'ws';

import { Refusal, refusalBody } from '../domain/refusal.ts';
import { CLOSE_MS, type OpenSocket } from '../domain/socket.ts';
import { announcedLength } from './body.ts';
import { rawHead, rawReply, refusalHeaders } from './server.ts';

/** How long a client that was told all may take to hang up. */
const LINGER_MS = 1000;
/** How long a client may take nothing of an answer. */
const STALLED_MS = 30_000;
const VERSION = '13';
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const SUBPROTOCOL = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** A client that asked for a WebSocket and waits for the answer. Exactly one of `accept`, `refuse` and `sendHead` answers it. */
export class Handshake {
  readonly request: IncomingMessage;
  readonly #socket: Socket;
  /** Bytes that came along with the request. */
  readonly #head: Buffer;
  #isGone = false;
  #onGone: () => void = () => {};

  constructor(request: IncomingMessage, socket: Duplex, head: Buffer) {
    this.request = request;
    // The listeners speak plain TCP: what an upgrade hands over is its socket.
    this.#socket = socket as Socket;
    this.#head = head;
    // A reset is an error and then a close; from here on nobody else listens to either.
    socket.on('error', () => {});
    socket.on('close', this.#leave).on('end', this.#leave);
  }

  /** The client left before it was answered in full. */
  get isGone(): boolean {
    return this.#isGone;
  }

  onGone(listener: () => void): void {
    this.#onGone = listener;
  }

  /**
   * The subprotocols that the client offers, in its order.
   * @throws Refusal for what is no handshake of RFC 6455
   */
  subprotocols(): string[] {
    const { headers } = this.request;
    if (headers['sec-websocket-version'] !== VERSION) {
      throw new Refusal(
        'upgrade_required',
        `WebSockets are served in version ${VERSION} only: send Sec-WebSocket-Version: ${VERSION}.`,
      );
    }
    if (!KEY.test(headers['sec-websocket-key'] ?? '')) {
      throw new Refusal('bad_request', 'Sec-WebSocket-Key must hold 16 bytes in base 64.', {
        param: 'sec-websocket-key',
      });
    }
    // Its bytes would be read as frames.
    if (announcedLength(this.request)) throw new Refusal('bad_request', 'A WebSocket handshake has no body.');
    const offered = headers['sec-websocket-protocol'];
    if (offered === undefined) return [];
    const subprotocols = offered.split(',').map((each) => each.trim());
    if (!subprotocols.every((each) => SUBPROTOCOL.test(each)) || new Set(subprotocols).size < subprotocols.length) {
      // Named, not shown: it may hold a key.
      throw new Refusal('bad_request', 'Sec-WebSocket-Protocol must list different tokens, separated by commas.', {
        param: 'sec-websocket-protocol',
      });
    }
    return subprotocols;
  }

  /**
   * Answers 101.
   * @param subprotocol the one that is selected; null selects none
   * @returns null when the client is gone
   */
  accept(subprotocol: string | null, headers: readonly string[], messageBytesMax: number): OpenSocket | null {
    const { request } = this;
    const socket = this.#socket;
    socket.off('close', this.#leave).off('end', this.#leave);
    const options: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      // Pings are relayed, and so are the pongs that answer them.
      autoPong: false,
      maxPayload: messageBytesMax,
      closeTimeout: CLOSE_MS,
      handleProtocols: () => subprotocol ?? false,
    };
    const server = new WebSocketServer(options);
    server.on('headers', (lines) => {
      for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`);
    });
    // The client may have offered other protocols beside; ws wants to see this one alone.
    request.headers.upgrade = 'websocket';
    let opened: OpenSocket | null = null;
    // ws writes the head as text: header bytes are latin1, as they came.
    socket.setDefaultEncoding('latin1');
    server.handleUpgrade(request, socket, this.#head, (messages) => {
      opened = { messages, bytesRead: () => socket.bytesRead };
    });
    socket.setDefaultEncoding('utf8');
    return opened;
  }

  refuse(refusal: Refusal, own: readonly string[] = []): void {
    const headers = [...refusalHeaders(refusal), ...own];
    if (refusal.code === 'upgrade_required') {
      headers.push('sec-websocket-version', VERSION, 'upgrade', 'websocket', 'connection', 'upgrade');
    }
    this.end(rawReply(refusal.status, headers, refusalBody(refusal)));
  }

  /** Begins an answer in plain HTTP; what follows are its body and `end`. */
  sendHead(status: number, reason: string, headers: readonly string[]): void {
    this.#socket.write(rawHead(status, reason, headers));
  }

  /** @param drained called when more can be taken, where the answer is false */
  write(bytes: Buffer, drained: () => void): boolean {
    const canTakeMore = this.#socket.write(bytes);
    if (!canTakeMore) this.#socket.once('drain', drained);
    return canTakeMore;
  }

  end(bytes: Buffer): void {
    const socket = this.#socket;
    socket.off('close', this.#leave).off('end', this.#leave);
    socket.setTimeout(STALLED_MS, () => socket.destroy());
    socket.end(bytes, () => {
      const cut = setTimeout(() => socket.destroy(), LINGER_MS);
      socket.once('close', () => clearTimeout(cut));
    });
    // What it still sends is read and forgotten: left unread, it would turn the end into a reset that overtakes the answer.
    socket.resume();
  }

  /** An answer that is not whole must not look so. */
  cut(): void {
    this.#socket.off('close', this.#leave).off('end', this.#leave);
    this.#socket.resetAndDestroy();
  }

  readonly #leave = (): void => {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#onGone();
  };
}
