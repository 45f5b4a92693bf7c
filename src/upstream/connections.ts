// Connections to one origin, one exchange on each at a time. The freshest is taken first, so that none is used near the
// end of its life, and each knows whether it has served before: that decides what may be tried again.
import { Client, buildConnector } from 'undici';

export interface Connection {
  readonly client: Client;
  /** Exchanges begun on the socket that is open now; 0 on a fresh one. */
  served: number;
  isIdle: boolean;
}

export interface Connections {
  take(): Connection;
  giveBack(connection: Connection): void;
  /** In place of giving it back: it is closed, and nobody meets what is left on it. */
  drop(connection: Connection): void;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  readonly connectMs: number;
  readonly keepAliveMs: number;
  readonly headerBytesMax: number;
}

/** Idle connections beyond this are closed at once when given back. */
const IDLE_MAX = 1024;

export function openConnections(origin: string, options: ConnectionOptions): Connections {
  const connector = buildConnector({ timeout: options.connectMs });
  const connect: buildConnector.connector = (target, done) =>
    connector(target, (...result) => {
      result[1]?.on('error', tellReset);
      done(...result);
    });
  const all = new Set<Connection>();
  const idle: Connection[] = [];

  function open(): Connection {
    const client = new Client(origin, {
      pipelining: 1,
      keepAliveTimeout: options.keepAliveMs,
      keepAliveMaxTimeout: options.keepAliveMs,
      // The relay times exchanges itself: undici would cut an upload that is slow but moves.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: options.headerBytesMax,
      connect,
    });
    const connection: Connection = { client, served: 0, isIdle: false };
    client.on('connect', () => {
      connection.served = 0;
    });
    client.on('disconnect', () => {
      // A dead one that nobody holds is dropped; take() passes over it.
      if (connection.isIdle) drop(connection);
    });
    all.add(connection);
    return connection;
  }

  function drop(connection: Connection): void {
    connection.isIdle = false;
    all.delete(connection);
    // Its socket is closed already or is to be: nobody waits for that.
    void connection.client.destroy();
  }

  return {
    take() {
      for (let connection = idle.pop(); connection; connection = idle.pop()) {
        if (!connection.isIdle) continue;
        connection.isIdle = false;
        return connection;
      }
      return open();
    },
    giveBack(connection) {
      if (connection.isIdle || !all.has(connection)) return;
      if (idle.length >= IDLE_MAX) {
        drop(connection);
        return;
      }
      connection.isIdle = true;
      idle.push(connection);
    },
    drop,
    async close() {
      await Promise.all([...all].map((connection) => connection.client.destroy()));
      all.clear();
      idle.length = 0;
    },
  };
}

/**
 * undici takes a reset for the end of a body that only its connection ends, and half a reply would look whole. It does so
 * by this code alone; under that of a connection which broke, a reset is the failure that it is.
 */
function tellReset(error: NodeJS.ErrnoException): void {
  if (error.code === 'ECONNRESET') error.code = 'UND_ERR_SOCKET';
}
