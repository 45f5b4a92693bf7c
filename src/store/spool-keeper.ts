// The spool's own thread: waits for the disk and moves the write-ahead log into the database file, so that the event loop never does.
import { closeSync, existsSync, fdatasyncSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

/** Makes what is committed safe against power failure. `commits` comes back, to tell which ones. */
interface SyncRequest {
  readonly kind: 'sync';
  readonly commits: number;
}
/** Begins the write-ahead log anew, in the file that it has. The writer stands still until the answer. */
interface RestartRequest {
  readonly kind: 'restart';
}
interface CloseRequest {
  readonly kind: 'close';
}
export type KeeperRequest = SyncRequest | RestartRequest | CloseRequest;
export type KeeperReply =
  | { readonly kind: 'synced'; readonly commits: number; readonly walBytes: number }
  | { readonly kind: 'restarted' }
  | { readonly kind: 'closed' }
  | { readonly kind: 'failed'; readonly message: string };

/** Commits between two checkpoints: each costs the disk a sync of the whole database file. */
const CHECKPOINT_COMMITS = 1000;
/** The log's file keeps its length, so that the system need not find and clear its pages for each lap; but not more than this. */
const WAL_FILE_BYTES_MAX = 64 * 1024 * 1024;
const FRAME_HEAD_BYTES = 24;

if (parentPort) serve(parentPort, (workerData as { file: string }).file);

function serve(port: NonNullable<typeof parentPort>, file: string): void {
  const database = new DatabaseSync(file, { timeout: 5000 });
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0');
  database.exec(`PRAGMA journal_size_limit=${WAL_FILE_BYTES_MAX}`);
  const frameBytes = Number(database.prepare('PRAGMA page_size').get()?.['page_size']) + FRAME_HEAD_BYTES;
  // Without this word, before SQLite 3.51, it is a passive checkpoint, which tells the same.
  const lookAtLog = database.prepare('PRAGMA wal_checkpoint(NOOP)');
  let wal: number | null = null;
  let checkpointedAt = 0;

  const answer = (request: KeeperRequest): KeeperReply => {
    switch (request.kind) {
      case 'sync': {
        if (wal === null && existsSync(`${file}-wal`)) wal = openSync(`${file}-wal`, 'r+');
        if (wal === null) return { kind: 'synced', commits: request.commits, walBytes: 0 };
        fdatasyncSync(wal);
        const walBytes = Number(lookAtLog.get()?.['log'] ?? 0) * frameBytes;
        if (request.commits - checkpointedAt >= CHECKPOINT_COMMITS) {
          database.exec('PRAGMA wal_checkpoint(PASSIVE)');
          checkpointedAt = request.commits;
        }
        return { kind: 'synced', commits: request.commits, walBytes };
      }
      case 'restart':
        database.exec('PRAGMA wal_checkpoint(PASSIVE)');
        database.exec('PRAGMA wal_checkpoint(RESTART)');
        beginLog(database);
        return { kind: 'restarted' };
      case 'close':
        if (wal !== null) closeSync(wal);
        database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
        database.close();
        return { kind: 'closed' };
    }
  };

  port.on('message', (request: KeeperRequest) => {
    let reply: KeeperReply;
    try {
      reply = answer(request);
    } catch (error) {
      reply = { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
    port.postMessage(reply);
    if (request.kind === 'close') port.close();
  });
}

/**
 * The first write after a restart begins the log's file from its start. It is made here, where writes wait for the disk: old frames
 * behind a new beginning that a power failure kept back would be taken for the newest.
 */
function beginLog(database: DatabaseSync): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  database.exec(`PRAGMA user_version=${version}`);
}
