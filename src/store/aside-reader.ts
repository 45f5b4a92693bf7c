// The thread that long reads run in, with a connection of its own that cannot write: the event loop goes on meanwhile.
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

export interface AsideRead {
  readonly id: number;
  readonly sql: string;
  readonly parameters: readonly SQLInputValue[];
}
/** Rows come in pieces, for each is taken in within one turn of the event loop. */
export type AsideReply =
  | { readonly id: number; readonly kind: 'rows'; readonly rows: readonly unknown[] }
  | { readonly id: number; readonly kind: 'read' }
  | { readonly id: number; readonly kind: 'failed'; readonly message: string };

const ROWS_AT_ONCE = 500;

if (parentPort) serve(parentPort, (workerData as { file: string }).file);

function serve(port: NonNullable<typeof parentPort>, file: string): void {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
  database.exec('PRAGMA cache_size=-16384');
  const answer = (reply: AsideReply) => port.postMessage(reply);
  port.on('message', ({ id, sql, parameters }: AsideRead) => {
    try {
      // All of them before the first is sent: the log cannot begin anew while a read goes on.
      const rows = database.prepare(sql).all(...parameters);
      for (let at = 0; at < rows.length; at += ROWS_AT_ONCE)
        answer({ id, kind: 'rows', rows: rows.slice(at, at + ROWS_AT_ONCE) });
      answer({ id, kind: 'read' });
    } catch (error) {
      answer({ id, kind: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  });
}
