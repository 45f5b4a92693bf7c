// Connections to one origin, one exchange on each at a time. The freshest is taken first, so that none is used near the end of its
// life.
import { Connection } from './connection.ts';
import { dialer } from './dialer.ts';

export interface Connections {
  take(): Connection;
  close(): Promise<void>;
}

export interface ConnectionsOptions {
  readonly connectMs: number;
  /** How long an idle connection is kept. */
  readonly keepAliveMs: number;
  readonly headBytesMax: number;
  /** Monotonic. */
  readonly elapsedMs: () => number;
}

/** Idle connections beyond this are closed at once. */
const IDLE_MAX = 1024;
/** An upstream that tells how long it keeps a connection may count from earlier than we do. */
const KEEP_ALIVE_MARGIN_MS = 2000;
const SWEEP_EVERY_MS = 1000;

export function openConnections(origin: URL, options: ConnectionsOptions): Connections {
  const { keepAliveMs, headBytesMax, elapsedMs } = options;
  const open = dialer(origin, options);
  const all = new Set<Connection>();
  /** Oldest first. */
  const idle: Connection[] = [];
  const sweeper = setInterval(sweep, SWEEP_EVERY_MS).unref();
  const connectionOptions = { host: origin.host, headBytesMax, onFree, onGone: (gone: Connection) => all.delete(gone) };

  function onFree(connection: Connection, told: number | null): void {
    const ms = told === null ? keepAliveMs : Math.min(keepAliveMs, told - KEEP_ALIVE_MARGIN_MS);
    if (ms <= 0 || idle.length >= IDLE_MAX) {
      connection.drop();
      return;
    }
    connection.idleUntilMs = elapsedMs() + ms;
    idle.push(connection);
  }

  function sweep(): void {
    const now = elapsedMs();
    let kept = 0;
    for (const connection of idle) {
      if (connection.isGone) continue;
      if (connection.idleUntilMs > now) idle[kept++] = connection;
      else connection.drop();
    }
    idle.length = kept;
  }

  return {
    take() {
      for (let connection = idle.pop(); connection !== undefined; connection = idle.pop()) {
        if (connection.isGone) continue;
        if (connection.idleUntilMs > elapsedMs()) return connection;
        connection.drop();
      }
      const connection = new Connection(open, connectionOptions);
      all.add(connection);
      return connection;
    },
    async close() {
      clearInterval(sweeper);
      for (const connection of all) connection.drop();
      idle.length = 0;
    },
  };
}
