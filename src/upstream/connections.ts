// Connections to one origin, one exchange on each at a time. The freshest is taken first, so that none is used near the
// end of its life, and each knows whether it has served before: that decides what may be tried again.
import { Client } from 'undici';

export interface Connection {
  readonly client: Client;
  /** Exchanges begun on the socket that is open now; 0 on a fresh one. */
  served: number;
  isIdle: boolean;
}

export interface Connections {
  take(): Connection;
  giveBack(connection: Connection): void;
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
      connect: { timeout: options.connectMs },
    });
    const connection: Connection = { client, served: 0, isIdle: false };
    client.on('connect', () => {
      connection.served = 0;
    });
    client.on('disconnect', () => {
      // A dead one that nobody holds is dropped; take() passes over it.
      if (connection.isIdle) discard(connection);
    });
    all.add(connection);
    return connection;
  }

  function discard(connection: Connection): void {
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
        discard(connection);
        return;
      }
      connection.isIdle = true;
      idle.push(connection);
    },
    async close() {
      await Promise.all([...all].map((connection) => connection.client.destroy()));
      all.clear();
      idle.length = 0;
    },
  };
}
