// Intents and records of this process, in a SQLite file of its own. Hot: statements are prepared by hand, and what comes
// in one turn of the event loop shares one transaction. Commits survive kill -9 at once; the keeper thread waits for the disk.
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Hold } from '../domain/budget.ts';
import { type ExchangeRecord, type Intent, recordMs } from '../domain/exchange-record.ts';
import type { Spool, SpooledRecord, Written } from '../domain/stores.ts';
import { startKeeper } from './keeper.ts';
import { openKeptEntries } from './spool-entries.ts';
import type { KeeperReply } from './spool-keeper.ts';

/** How long after a commit the disk is asked, at the latest. */
const SYNC_AFTER_MS = 40;
/** Above this the log begins anew; writes wait in memory meanwhile, the event loop goes on. */
const WAL_BYTES_MAX = 64 * 1024 * 1024;
const RETRY_AFTER_MS = 100;
/** Writes that wait in memory for a disk that takes none; one more is refused at once. */
const WAITING_MAX = 50_000;
/** Rows looked at between two turns of the event loop. */
const SCAN_ROWS = 2000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS intents (
    slot INTEGER PRIMARY KEY, id TEXT NOT NULL, at INTEGER NOT NULL, team_id TEXT NOT NULL, key_id TEXT NOT NULL,
    method TEXT NOT NULL, path TEXT NOT NULL, endpoint TEXT, model TEXT, details TEXT
  );
  CREATE TABLE IF NOT EXISTS exchanges (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, team_id TEXT, key_id TEXT,
    endpoint TEXT, model TEXT, status INTEGER, record TEXT NOT NULL, hold TEXT
  );
  CREATE TABLE IF NOT EXISTS cursors (reader TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
`;

/** What files of earlier versions lack. */
const ADDED_COLUMNS = [
  ['intents', 'details'],
  ['exchanges', 'hold'],
] as const;

/** Where the intent of an open exchange stands, and what it set aside: copied beside its record. */
interface Slot {
  readonly number: number;
  readonly hold: Hold | null;
}

interface Waiting {
  readonly intent: Intent | null;
  readonly record: ExchangeRecord | null;
  readonly written: Written;
}

export interface OpenSpool extends Spool {
  /** Writes that a failing disk refused so far. */
  readonly refusedWrites: () => number;
  close(): Promise<void>;
}

/** @param file made where there is none */
export function openSpool(file: string, durability: 'group' | 'strict'): OpenSpool {
  const database = new DatabaseSync(file, { timeout: 5000 });
  database.exec(
    'PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-16384',
  );
  database.exec(SCHEMA);
  for (const [table, column] of ADDED_COLUMNS) {
    const columns = database.prepare('SELECT name FROM pragma_table_info(?)').all(table);
    if (!columns.some(({ name }) => name === column)) database.exec(`ALTER TABLE ${table} ADD COLUMN ${column} TEXT`);
  }
  const entries = openKeptEntries(database);
  const statements = prepare(database);
  const keeper = startKeeper(file, onKeeperReply);

  let waiting: Waiting[] = [];
  let isFlushPlanned = false;
  let isStandingStill = false;
  let commits = 0;
  let syncedCommits = 0;
  let isSyncAsked = false;
  let refusedWrites = 0;
  /** An intent keeps its row until another takes the place: one write less per exchange, and the table stays small. */
  const slots = new Map<string, Slot>();
  const freeSlots: number[] = [];
  let slotsMade = statements.lastSlot();
  let lastSeq = Number(statements.lastSeq.get()?.['seq'] ?? 0);
  let tellRecords: (records: readonly SpooledRecord[]) => void = () => {};
  /** Strict: committed, but not yet safe on disk. */
  let unsynced: { readonly commits: number; readonly batch: readonly Waiting[] }[] = [];

  function write(entry: Waiting): void {
    if (waiting.length >= WAITING_MAX) {
      refusedWrites++;
      entry.written(new Error('the record store takes no writes; look at the disk of the data dir'));
      return;
    }
    waiting.push(entry);
    planFlush();
  }

  function planFlush(): void {
    if (isFlushPlanned || isStandingStill) return;
    isFlushPlanned = true;
    setImmediate(flush);
  }

  function flush(): void {
    isFlushPlanned = false;
    if (isStandingStill || waiting.length === 0) return;
    const batch = waiting;
    waiting = [];
    try {
      commit(batch);
    } catch (error) {
      refuse(batch, error instanceof Error ? error : new Error(String(error)));
      return;
    }
    commits++;
    if (durability === 'strict') {
      unsynced.push({ commits, batch });
      askForSync(0);
      return;
    }
    askForSync(SYNC_AFTER_MS);
    for (const entry of batch) entry.written(null);
  }

  function commit(batch: readonly Waiting[]): void {
    const seqBefore = lastSeq;
    const spooled: SpooledRecord[] = [];
    statements.begin.run();
    try {
      for (const { intent, record } of batch) {
        if (intent) {
          const slot = freeSlots.pop() ?? ++slotsMade;
          slots.set(intent.id, { number: slot, hold: intent.hold });
          putIntent(statements.putIntent, slot, intent);
        }
        // A turn takes from what its socket set aside.
        if (record) {
          const holder = record.kind === 'turn' ? record.parent_id : record.id;
          const hold = (holder === null ? undefined : slots.get(holder))?.hold ?? null;
          if (insertRecord(statements.insertRecord, lastSeq + 1, record, hold))
            spooled.push({ seq: ++lastSeq, record, hold });
        }
      }
      statements.commit.run();
      for (const { record } of batch) if (record) freeSlot(record.id);
    } catch (error) {
      lastSeq = seqBefore;
      if (database.isTransaction) statements.rollback.run();
      throw error;
    }
    if (spooled.length > 0) tellRecords(spooled);
  }

  function freeSlot(id: string): void {
    const slot = slots.get(id);
    if (slot === undefined) return;
    slots.delete(id);
    freeSlots.push(slot.number);
  }

  /** An intent that cannot be written is refused at once, so that nothing goes upstream unseen; a record is tried again. */
  function refuse(batch: readonly Waiting[], error: Error): void {
    const records = batch.filter((entry) => entry.record !== null);
    for (const entry of batch) {
      if (entry.intent !== null) {
        freeSlot(entry.intent.id);
        refusedWrites++;
        entry.written(error);
      }
    }
    waiting = [...records, ...waiting];
    if (waiting.length > 0) setTimeout(planFlush, RETRY_AFTER_MS);
  }

  function askForSync(afterMs: number): void {
    if (isSyncAsked) return;
    isSyncAsked = true;
    const ask = () => keeper.ask({ kind: 'sync', commits });
    if (afterMs === 0) ask();
    else setTimeout(ask, afterMs);
  }

  function onKeeperReply(reply: KeeperReply): void {
    if (reply.kind === 'restarted' || (reply.kind === 'failed' && isStandingStill)) {
      isStandingStill = false;
      if (waiting.length > 0) planFlush();
      return;
    }
    isSyncAsked = false;
    if (reply.kind === 'synced') {
      syncedCommits = reply.commits;
      const safe = unsynced.filter((entry) => entry.commits <= syncedCommits);
      unsynced = unsynced.filter((entry) => entry.commits > syncedCommits);
      for (const { batch } of safe) for (const entry of batch) entry.written(null);
      if (reply.walBytes > WAL_BYTES_MAX && !isStandingStill) {
        isStandingStill = true;
        keeper.ask({ kind: 'restart' });
      }
    }
    if (commits > syncedCommits) askForSync(durability === 'strict' && reply.kind === 'synced' ? 0 : SYNC_AFTER_MS);
  }

  return {
    writeIntent: (intent, written) => write({ intent, record: null, written }),
    writeRecord: (record, written) => write({ intent: null, record, written }),
    findRecord(id) {
      const row = statements.findRecord.get(id);
      return row ? (JSON.parse(String(row['record'])) as ExchangeRecord) : null;
    },
    async listRecords({ limit, cursor }, filter) {
      const data: ExchangeRecord[] = [];
      let before = cursor === null ? Number.MAX_SAFE_INTEGER : Number(cursor);
      let last = before;
      for (;;) {
        const window = statements.window.all(before, SCAN_ROWS);
        for (const row of window) {
          before = Number(row['seq']);
          if (!matches(row, filter)) continue;
          if (data.length === limit) return { data, nextCursor: String(last) };
          data.push(JSON.parse(String(row['record'])) as ExchangeRecord);
          last = before;
        }
        if (window.length < SCAN_ROWS) return { data, nextCursor: null };
        await nextTurn();
      }
    },
    readAfter: (seq, limit) =>
      statements.readAfter.all(seq, limit).map((row) => ({
        seq: Number(row['seq']),
        record: String(row['record']),
      })),
    recordsAfter: (seq, limit) => statements.recordsAfter.all(seq, limit).map(toSpooled),
    recordsById: (afterId, from, to, limit) => statements.recordsById.all(afterId, from, to, limit).map(toSpooled),
    recordWithId(id, from, to) {
      const row = statements.recordWithId.get(id, from, to);
      return row === undefined ? null : toSpooled(row);
    },
    countRecords: (from, to) => Number(statements.countRecords.get(from, to)?.['count']),
    onRecords(listener) {
      tellRecords = listener;
    },
    goBehind(seq) {
      lastSeq = Math.max(lastSeq, seq);
    },
    readCursor(reader) {
      const row = statements.readCursor.get(reader);
      return row ? Number(row['seq']) : null;
    },
    writeCursor: (reader, seq) => void statements.writeCursor.run(reader, seq),
    lastSeq: () => lastSeq,
    purgeBefore(atMs, rowsMax) {
      // An intent whose place nobody took since must not outlive its record: it would look like one that has none.
      for (const row of statements.oldIntents.all(atMs)) {
        if (!slots.has(String(row['id']))) statements.deleteIntent.run(Number(row['slot']));
      }
      entries.purgeBefore(atMs);
      return Number(statements.purge.run(atMs, rowsMax).changes);
    },
    orphanedIntents: () =>
      statements.orphans.all().map((row) => {
        const intent = toIntent(row);
        slots.set(intent.id, { number: Number(row['slot']), hold: intent.hold });
        return intent;
      }),
    entries,
    refusedWrites: () => refusedWrites,
    async close() {
      isStandingStill = false;
      flush();
      if (durability === 'strict') while (unsynced.length > 0) await nextTurn();
      // Every intent has its record: the next start need not look.
      if (slots.size === 0) statements.clearIntents.run();
      database.close();
      await keeper.close();
    },
  };
}

function prepare(database: DatabaseSync) {
  return {
    begin: database.prepare('BEGIN IMMEDIATE'),
    commit: database.prepare('COMMIT'),
    rollback: database.prepare('ROLLBACK'),
    putIntent: database.prepare('INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    lastSlot: () => Number(database.prepare('SELECT max(slot) AS slot FROM intents').get()?.['slot'] ?? 0),
    insertRecord: database.prepare(
      `INSERT INTO exchanges (seq, id, at, team_id, key_id, endpoint, model, status, record, hold) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO NOTHING`,
    ),
    findRecord: database.prepare('SELECT record FROM exchanges WHERE id = ?'),
    window: database.prepare('SELECT * FROM exchanges WHERE seq < ? ORDER BY seq DESC LIMIT ?'),
    readAfter: database.prepare('SELECT seq, record FROM exchanges WHERE seq > ? ORDER BY seq LIMIT ?'),
    recordsAfter: database.prepare('SELECT seq, record, hold FROM exchanges WHERE seq > ? ORDER BY seq LIMIT ?'),
    recordsById: database.prepare(
      'SELECT seq, record, hold FROM exchanges WHERE id > ? AND seq > ? AND seq <= ? ORDER BY id LIMIT ?',
    ),
    recordWithId: database.prepare('SELECT seq, record, hold FROM exchanges WHERE id = ? AND seq > ? AND seq <= ?'),
    countRecords: database.prepare('SELECT count(*) AS count FROM exchanges WHERE seq > ? AND seq <= ?'),
    readCursor: database.prepare('SELECT seq FROM cursors WHERE reader = ?'),
    writeCursor: database.prepare(
      'INSERT INTO cursors VALUES (?, ?) ON CONFLICT (reader) DO UPDATE SET seq = excluded.seq',
    ),
    lastSeq: database.prepare('SELECT max(seq) AS seq FROM exchanges'),
    // The newest row stays, so that no place in the order is ever given twice; and so does what the ledger has not entered.
    purge: database.prepare(
      // Only the oldest rows are looked at, however many there are.
      `DELETE FROM exchanges WHERE seq < (SELECT max(seq) FROM exchanges) AND at < ?
         AND seq <= coalesce((SELECT seq FROM cursors WHERE reader = 'ledger'), seq)
         AND seq IN (SELECT seq FROM exchanges ORDER BY seq LIMIT ?)`,
    ),
    orphans: database.prepare('SELECT * FROM intents WHERE id NOT IN (SELECT id FROM exchanges) ORDER BY id'),
    oldIntents: database.prepare('SELECT slot, id FROM intents WHERE at < ?'),
    deleteIntent: database.prepare('DELETE FROM intents WHERE slot = ?'),
    clearIntents: database.prepare('DELETE FROM intents'),
  };
}

function putIntent(statement: StatementSync, slot: number, intent: Intent): void {
  const { id, at, teamId, keyId, method, path, endpoint, model, userId, endUser, tags, hold } = intent;
  const details =
    userId === null && endUser === null && hold === null && tags.length === 0
      ? null
      : JSON.stringify({ userId, endUser, tags, hold: storedHold(hold) });
  statement.run(slot, id, at, teamId, keyId, method, path, endpoint, model, details);
}

/** @returns whether it was not there before */
function insertRecord(statement: StatementSync, seq: number, record: ExchangeRecord, hold: Hold | null): boolean {
  const { changes } = statement.run(
    seq,
    record.id,
    recordMs(record.at),
    record.team_id,
    record.key_id,
    record.endpoint,
    record.model_requested,
    record.status,
    JSON.stringify(record),
    hold === null ? null : JSON.stringify(storedHold(hold)),
  );
  return changes !== 0;
}

/** JSON has no integers of any size: amounts are kept as text. */
function storedHold(hold: Hold | null) {
  return hold && { ...hold, amounts: hold.amounts.map((held) => ({ ...held, amount: held.amount.toString() })) };
}

type StoredHold = ReturnType<typeof storedHold>;

function toHold(stored: StoredHold): Hold | null {
  return stored && { ...stored, amounts: stored.amounts.map((held) => ({ ...held, amount: BigInt(held.amount) })) };
}

type Row = Record<string, unknown>;

function toIntent(row: Row): Intent {
  // Written by putIntent in this very shape.
  const details =
    typeof row['details'] === 'string'
      ? (JSON.parse(row['details']) as Pick<Intent, 'userId' | 'endUser' | 'tags'> & { hold: StoredHold })
      : null;
  return {
    id: row['id'] as Intent['id'],
    at: Number(row['at']),
    teamId: row['team_id'] as Intent['teamId'],
    keyId: row['key_id'] as Intent['keyId'],
    method: String(row['method']),
    path: String(row['path']),
    endpoint: row['endpoint'] as string | null,
    model: row['model'] as string | null,
    userId: details?.userId ?? null,
    endUser: details?.endUser ?? null,
    tags: details?.tags ?? [],
    hold: toHold(details?.hold ?? null),
  };
}

function toSpooled(row: Row): SpooledRecord {
  // Written by insertRecord in this very shape.
  const record = JSON.parse(String(row['record'])) as ExchangeRecord;
  return {
    seq: Number(row['seq']),
    record,
    hold: typeof row['hold'] === 'string' ? toHold(JSON.parse(row['hold'])) : null,
  };
}

function matches(row: Row, filter: Parameters<Spool['listRecords']>[1]): boolean {
  return (
    (filter.teamId === undefined || row['team_id'] === filter.teamId) &&
    (filter.keyId === undefined || row['key_id'] === filter.keyId) &&
    (filter.endpoint === undefined || row['endpoint'] === filter.endpoint) &&
    (filter.model === undefined || row['model'] === filter.model) &&
    (filter.status === undefined || row['status'] === filter.status) &&
    (filter.from === undefined || Number(row['at']) >= filter.from) &&
    (filter.to === undefined || Number(row['at']) < filter.to) &&
    matchesWhole(row, filter)
  );
}

/** What has no column of its own: the record is read for it, and only then. */
function matchesWhole(row: Row, { userId, tag, costState }: Parameters<Spool['listRecords']>[1]): boolean {
  if (userId === undefined && tag === undefined && costState === undefined) return true;
  const record = JSON.parse(String(row['record'])) as ExchangeRecord;
  return (
    (userId === undefined || record.user_id === userId) &&
    (tag === undefined || record.tags.includes(tag)) &&
    (costState === undefined || record.cost.state === costState)
  );
}
