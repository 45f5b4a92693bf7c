// Writes records as lines of JSON to stdout or a file, reading along behind the spool: a slow reader slows nothing, and a
// restart goes on where the last line was written (the lines of the last moment may come twice).
import { closeSync, openSync, write } from 'node:fs';

import type { Spool } from '../domain/stores.ts';
import type { Log } from '../telemetry/log.ts';

const BATCH_ROWS = 200;
const LOOK_EVERY_MS = 100;
const RETRY_AFTER_MS = 1000;
const STDOUT = 1;

export interface Lines {
  /** Writes what is left, as far as the reader takes it, and stops. */
  close(): Promise<void>;
}

/** @param file null writes to stdout */
export function startLines(spool: Spool, file: string | null, log: Log): Lines {
  const reader = file === null ? 'stdout' : `file:${file}`;
  const descriptor = file === null ? STDOUT : openSync(file, 'a', 0o600);
  // What was recorded before anyone asked for lines is not told now.
  let seq = spool.readCursor(reader) ?? spool.lastSeq();
  let isClosing = false;
  let wake: (() => void) | null = null;

  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      wake = resolve;
      setTimeout(resolve, ms).unref();
    });

  async function readAlong(): Promise<void> {
    for (;;) {
      const rows = spool.readAfter(seq, BATCH_ROWS);
      const last = rows.at(-1);
      if (last === undefined) {
        if (isClosing) return;
        await pause(LOOK_EVERY_MS);
        continue;
      }
      try {
        await writeAll(descriptor, Buffer.from(rows.map((row) => `${row.record}\n`).join('')));
      } catch (error) {
        log.warn('records not written as lines, will try again', {
          reader,
          why: error instanceof Error ? error.message : String(error),
        });
        if (isClosing) return;
        await pause(RETRY_AFTER_MS);
        continue;
      }
      seq = last.seq;
      spool.writeCursor(reader, seq);
    }
  }

  const done = readAlong();
  return {
    async close() {
      isClosing = true;
      wake?.();
      await done;
      if (file !== null) closeSync(descriptor);
    },
  };
}

/** In the thread pool: a pipe that nobody empties holds a thread there, never the event loop. */
async function writeAll(descriptor: number, bytes: Buffer): Promise<void> {
  let rest = bytes;
  while (rest.length > 0) {
    const written = await new Promise<number>((resolve, reject) => {
      write(descriptor, rest, 0, rest.length, null, (error, count) => {
        if (error === null) resolve(count);
        else if (error.code === 'EAGAIN') setTimeout(() => resolve(0), 10);
        else reject(error);
      });
    });
    rest = rest.subarray(written);
  }
}
