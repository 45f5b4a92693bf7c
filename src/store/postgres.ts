// The shared store in PostgreSQL: many replicas, their meeting point. What one of them changes the others hear by NOTIFY.
import { setImmediate as nextTurn } from 'node:timers/promises';

import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';

import { type Clock, systemClock } from '../domain/clock.ts';
import { newId } from '../domain/id.ts';
import type { WakeupChannel, Wakeups } from '../domain/wakeups.ts';
import type { Engine } from './engine.ts';
import type { Schema } from './schema.ts';
import { type LocalWakeups, localWakeups } from './wakeups.ts';

const CONNECTIONS_MAX = 10;
/** How long a query may wait for one of them; then it fails, and says so. */
const CONNECT_MS = 10_000;
const RECONNECT_MS = 1000;
/** Between looks at the database's clock. */
const CLOCK_MS = 60_000;
/** Of a long read: what is done with so many hardly holds the event loop. */
const ROWS_AT_ONCE = 500;
const NOTIFY_CHANNEL = 'throughway';

/** A `bigint` is a number here: times and counters stay far below 2^53. */
const INT8 = 20;
const types = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/** @throws Error that names the setting, when the database cannot be reached */
export async function openPostgres(url: string, clock: Clock): Promise<Engine> {
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_MS,
    application_name: 'throughway',
    types,
  });
  // A connection that breaks while it is idle is replaced by the next query; without a listener it would end the process.
  pool.on('error', () => {});
  // The same for one that breaks while it is used: whoever uses it hears of that from his query.
  pool.on('connect', (client) => client.on('error', () => {}));
  const time = sharedTime(pool, clock);
  try {
    await time.look();
  } catch (cause) {
    await pool.end();
    throw new Error(`databaseUrl (DATABASE_URL): ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  const wakeups = postgresWakeups(url, pool);
  return {
    name: 'postgres',
    db,
    types: {
      identity: { type: 'bigint', define: (column) => column.generatedByDefaultAsIdentity() },
      bytes: 'bytea',
    },
    now: time.now,
    // Weak enough that rows which refer to the locked one may still be added.
    lockRows: (query) => query.forNoKeyUpdate() as typeof query,
    lockFreeRows: (query) => query.forNoKeyUpdate().skipLocked() as typeof query,
    async readAside(query, onRows) {
      const { rows } = await db.executeQuery(query);
      for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
        onRows(rows.slice(at, at + ROWS_AT_ONCE));
        await nextTurn();
      }
    },
    wakeups,
    async close() {
      time.close();
      await wakeups.close();
      await db.destroy();
    },
  };
}

/**
 * The database's clock, kept by how far this machine's clock is from it. A clock that a test turns by hand is believed as it is:
 * whoever hands one in shares it among all replicas.
 */
function sharedTime(pool: pg.Pool, clock: Clock) {
  let aheadMs = 0;
  const look = async () => {
    const before = clock.now();
    const { rows } = await pool.query<{ ms: string }>('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms');
    const after = clock.now();
    if (clock === systemClock) aheadMs = Number(rows[0]?.ms) - (before + after) / 2;
  };
  // A look that fails leaves the last one in force; whoever needs the database hears of it from his own query.
  const timer = setInterval(() => void look().catch(() => {}), CLOCK_MS);
  timer.unref();
  return { look, now: () => Math.round(clock.now() + aheadMs), close: () => clearInterval(timer) };
}

/** Publishes through the pool, listens on a connection of its own. What this process publishes it hears at once. */
function postgresWakeups(url: string, pool: pg.Pool): Wakeups {
  const local: LocalWakeups = localWakeups();
  const self = newId('replica', systemClock.now());
  let listener: pg.Client | null = null;
  let retry: NodeJS.Timeout | null = null;
  let isClosed = false;
  let wasListening = false;

  const listen = async () => {
    const client = new pg.Client({ connectionString: url, application_name: 'throughway wakeups', keepAlive: true });
    listener = client;
    client.on('error', () => {});
    client.on('end', again);
    client.on('notification', ({ payload = '' }) => {
      const [from, channel, ...rest] = payload.split(' ');
      if (from !== self) local.deliver(channel as WakeupChannel, rest.join(' '));
    });
    await client.connect();
    await client.query(`LISTEN ${NOTIFY_CHANNEL}`);
    // What was published while nobody listened is lost.
    if (wasListening) local.tellGap();
    wasListening = true;
  };
  function again(): void {
    if (isClosed || retry !== null) return;
    retry = setTimeout(() => {
      retry = null;
      void listen().catch(again);
    }, RECONNECT_MS);
    retry.unref();
  }
  void listen().catch(again);

  const publishAll = async (channel: WakeupChannel, payloads: readonly string[]) => {
    for (const payload of payloads) local.deliver(channel, payload);
    const notices = payloads.map((payload) => `${self} ${channel} ${payload}`);
    // In one statement, for only then they are heard in their order. Lost word costs waiting, never truth.
    await pool
      .query('SELECT pg_notify($1, notice) FROM unnest($2::text[]) AS notice', [NOTIFY_CHANNEL, notices])
      .catch(() => {});
  };

  return {
    subscribe: local.subscribe,
    onGap: local.onGap,
    publish: (channel, payload) => void publishAll(channel, [payload]),
    publishAll,
    async close() {
      isClosed = true;
      if (retry !== null) clearTimeout(retry);
      await local.close();
      await listener?.end().catch(() => {});
    },
  };
}
