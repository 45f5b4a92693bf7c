// Starts the thread for long reads of one SQLite file when the first is asked for, and ends it when none was for a while.
import type { SQLInputValue } from 'node:sqlite';
import { Worker } from 'node:worker_threads';

import type { AsideRead, AsideReply } from './aside-reader.ts';

export interface Aside {
  /** @param onRows in order, some at a time */
  read(sql: string, parameters: readonly unknown[], onRows: (rows: readonly unknown[]) => void): Promise<void>;
  close(): Promise<void>;
}

/** Its memory is given back when nobody asked for so long. */
const IDLE_MS = 60_000;

interface Waiting {
  onRows(rows: readonly unknown[]): void;
  done(error: Error | null): void;
}

export function openAside(file: string): Aside {
  const script = new URL(import.meta.url.endsWith('.ts') ? './aside-reader.ts' : './aside-reader.js', import.meta.url);
  const waiting = new Map<number, Waiting>();
  let worker: Worker | null = null;
  let idle: NodeJS.Timeout | null = null;
  let lastId = 0;

  function start(): Worker {
    const started = new Worker(script, { workerData: { file } });
    started.on('message', (reply: AsideReply) => {
      const of = waiting.get(reply.id);
      if (reply.kind === 'rows') of?.onRows(reply.rows);
      else of?.done(reply.kind === 'failed' ? new Error(reply.message) : null);
    });
    // Whoever waits is told, and the next read starts another one.
    started.on('error', (error) => end(started, error instanceof Error ? error : new Error(String(error))));
    started.on('exit', () => end(started, new Error('the thread that reads reports has ended')));
    return started;
  }

  function end(ended: Worker, error: Error): void {
    if (worker !== ended) return;
    worker = null;
    for (const each of waiting.values()) each.done(error);
  }

  async function stop(): Promise<void> {
    const stopped = worker;
    if (stopped === null) return;
    end(stopped, new Error('the store is closed'));
    await stopped.terminate();
  }

  return {
    read(sql, parameters, onRows) {
      const id = ++lastId;
      if (idle !== null) clearTimeout(idle);
      worker ??= start();
      const reader = worker;
      return new Promise((resolve, reject) => {
        waiting.set(id, {
          onRows,
          done(error) {
            waiting.delete(id);
            if (waiting.size === 0 && worker !== null) idle = setTimeout(() => void stop(), IDLE_MS).unref();
            if (error === null) resolve();
            else reject(error);
          },
        });
        // What the queries of the store hold is text and numbers.
        reader.postMessage({ id, sql, parameters: parameters as readonly SQLInputValue[] } satisfies AsideRead);
      });
    },
    async close() {
      if (idle !== null) clearTimeout(idle);
      await stop();
    },
  };
}
