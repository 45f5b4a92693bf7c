// Opens connections to one origin: TCP, and TLS over it where the origin asks for it.
import { type Socket, connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface DialerOptions {
  /** 0 is off. */
  readonly connectMs: number;
}

/** @param done called once: with null when the connection stands, TLS included */
export type OpenConnection = (done: (error: NodeJS.ErrnoException | null) => void) => Socket;

/** An idle connection is probed, so that one which a middlebox forgot is found out. */
const PROBE_AFTER_MS = 60_000;

export function dialer(origin: URL, { connectMs }: DialerOptions): OpenConnection {
  const isTls = origin.protocol === 'https:';
  const host = origin.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(origin.port || (isTls ? 443 : 80));
  /** The last session: the next handshake is shorter with it. */
  let session: Buffer | undefined;

  function openTls(): Socket {
    const socket = connectTls({ host, port, ALPNProtocols: ['http/1.1'], ...(session !== undefined && { session }) });
    socket.on('session', (fresh: Buffer) => {
      session = fresh;
    });
    return socket;
  }

  return (done) => {
    const socket = isTls ? openTls() : connectTcp({ host, port });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, PROBE_AFTER_MS);
    const timer = connectMs > 0 ? setTimeout(onTimeout, connectMs) : undefined;
    let isOpen = false;

    function onTimeout(): void {
      const message = `No connection within the ${connectMs / 1000} s of upstream.connectSeconds.`;
      socket.destroy(Object.assign(new Error(message), { code: 'ETIMEDOUT' }));
    }

    socket.once(isTls ? 'secureConnect' : 'connect', () => {
      isOpen = true;
      clearTimeout(timer);
      done(null);
    });
    socket.once('error', (error) => {
      if (!isOpen) done(told(error));
    });
    socket.once('close', () => {
      clearTimeout(timer);
    });
    return socket;
  };
}

/** Where each of several addresses failed, there is an error of errors, which says nothing itself. */
function told(error: NodeJS.ErrnoException): NodeJS.ErrnoException {
  const [first] = error instanceof AggregateError ? (error.errors as NodeJS.ErrnoException[]) : [];
  return first === undefined || error.message !== '' ? error : first;
}
