// A WebSocket as the relay sees it, whichever way it faces: whole messages, control frames, and a say in when to read.

/** What `ws` gives; named here so that whoever relays need not know it. */
export interface MessageSocket {
  /** Bytes that were given to it and wait to be written. */
  readonly bufferedAmount: number;
  on(event: 'message', listener: (bytes: Buffer, isBinary: boolean) => void): unknown;
  on(event: 'ping' | 'pong', listener: (bytes: Buffer) => void): unknown;
  /** The connection is gone. 1005: closed without a code; 1006: without a close frame. */
  on(event: 'close', listener: (code: number, reason: Buffer) => void): unknown;
  /** The other side broke the protocol or a limit. It is told so by a close frame already. */
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): unknown;
  send(bytes: Buffer, options: { readonly binary: boolean }, written: () => void): void;
  ping(bytes: Buffer, mask: undefined, written: () => void): void;
  pong(bytes: Buffer, mask: undefined, written: () => void): void;
  close(code?: number, reason?: Buffer | string): void;
  terminate(): void;
  pause(): void;
  resume(): void;
}

/** A WebSocket whose handshake is done. */
export interface OpenSocket {
  readonly messages: MessageSocket;
  /** All bytes that came so far, parts of messages included: a sign of life. */
  bytesRead(): number;
}

/** How long the other side may take to answer a close frame, before its connection is cut. */
export const CLOSE_MS = 2000;
