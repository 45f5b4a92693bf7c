// The spool's own thread: waits for the disk and moves the write-ahead log into the database file, so that the event loop never does.
import { closeSync, existsSync, fdatasyncSync, fstatSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

/** Makes what is committed safe against power failure. `commits` comes back, to tell which ones. */
interface SyncRequest {
  readonly kind: 'sync';
  readonly commits: number;
}
/** Empties the write-ahead log. The writer stands still until the answer. */
interface TruncateRequest {
  readonly kind: 'truncate';
}
interface CloseRequest {
  readonly kind: 'close';
}
export type KeeperRequest = SyncRequest | TruncateRequest | CloseRequest;
export type KeeperReply =
  | { readonly kind: 'synced'; readonly commits: number; readonly walBytes: number }
  | { readonly kind: 'truncated' }
  | { readonly kind: 'closed' }
  | { readonly kind: 'failed'; readonly message: string };

/** Commits between two checkpoints: each costs the disk a sync of the whole database file. */
const CHECKPOINT_COMMITS = 1000;

if (parentPort) serve(parentPort, (workerData as { file: string }).file);

function serve(port: NonNullable<typeof parentPort>, file: string): void {
  const database = new DatabaseSync(file, { timeout: 5000 });
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0');
  let wal: number | null = null;
  let checkpointedAt = 0;

  const answer = (request: KeeperRequest): KeeperReply => {
    switch (request.kind) {
      case 'sync': {
        if (wal === null && existsSync(`${file}-wal`)) wal = openSync(`${file}-wal`, 'r+');
        if (wal === null) return { kind: 'synced', commits: request.commits, walBytes: 0 };
        fdatasyncSync(wal);
        const walBytes = fstatSync(wal).size;
        if (request.commits - checkpointedAt >= CHECKPOINT_COMMITS) {
          database.exec('PRAGMA wal_checkpoint(PASSIVE)');
          checkpointedAt = request.commits;
        }
        return { kind: 'synced', commits: request.commits, walBytes };
      }
      case 'truncate':
        database.exec('PRAGMA wal_checkpoint(PASSIVE)');
        database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
        return { kind: 'truncated' };
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
