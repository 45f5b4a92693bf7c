// Starts the thread that waits for the disk in place of the event loop, for one SQLite file.
import { Worker } from 'node:worker_threads';

import type { KeeperReply, KeeperRequest } from './spool-keeper.ts';

export interface Keeper {
  ask(request: KeeperRequest): void;
  close(): Promise<void>;
}

export function startKeeper(file: string, onReply: (reply: KeeperReply) => void): Keeper {
  const script = new URL(import.meta.url.endsWith('.ts') ? './spool-keeper.ts' : './spool-keeper.js', import.meta.url);
  const worker = new Worker(script, { workerData: { file } });
  let closed: (() => void) | null = null;
  worker.on('message', (reply: KeeperReply) => {
    if (reply.kind === 'closed') closed?.();
    else onReply(reply);
  });
  return {
    ask: (request: KeeperRequest) => worker.postMessage(request),
    async close() {
      const done = new Promise<void>((resolve) => {
        closed = resolve;
        worker.on('exit', () => resolve());
      });
      worker.postMessage({ kind: 'close' } satisfies KeeperRequest);
      await done;
      await worker.terminate();
    },
  };
}
