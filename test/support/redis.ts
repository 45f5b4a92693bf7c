// A private Redis for one test file, on a socket in a directory of its own. It ends with this process, however that ends.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Redis } from 'ioredis';

const START_MS = 15_000;

export interface TestRedis {
  readonly url: string;
  /** To look at what is kept, and to stand in the way. */
  readonly client: Redis;
  /** It stands still: connections stay, and nothing is answered. */
  pause(): void;
  resume(): void;
  /** It keeps nothing: `start` brings back an empty one. */
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Why no server can be had here; null where one can. */
const missingRedis: string | null = findMissing();

/** What `skip` of a test or suite takes: in CI a missing server is a failure, anywhere else it is said aloud. */
export function skipWithoutRedis(): string | false {
  if (missingRedis === null) return false;
  if (process.env['CI'] === 'true') throw new Error(`CI must test Redis, but ${missingRedis}`);
  process.stderr.write(`\n*** SKIPPED: tests on Redis: ${missingRedis}\n\n`);
  return missingRedis;
}

export async function startRedis(): Promise<TestRedis> {
  if (missingRedis !== null) throw new Error(missingRedis);
  const directory = mkdtempSync(join(tmpdir(), 'throughway-redis-'));
  const socket = join(directory, 'redis.sock');
  const flags = ['--port', '0', '--unixsocket', socket, '--dir', directory, '--save', '', '--appendonly', 'no'];
  const client = new Redis(socket, { lazyConnect: true, retryStrategy: () => 50 });
  client.on('error', () => {});
  let stop: () => Promise<void> = async () => {};
  let pid = 0;

  async function start(): Promise<void> {
    // The shell waits on its standard input, which closes with this process: then it stops the server.
    const script = `"$@" >/dev/null 2>&1 & server=$!; echo $server; read -r line; kill -KILL $server; wait $server`;
    const shell = spawn('/bin/sh', ['-c', script, 'sh', 'redis-server', ...flags], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const ended = new Promise<void>((resolve) => {
      shell.once('exit', () => resolve());
    });
    stop = async () => {
      shell.ref();
      shell.stdin.end('\n');
      await ended;
    };
    pid = await new Promise<number>((resolve) => {
      shell.stdout.once('data', (data: Buffer) => resolve(Number(data.toString())));
    });
    shell.stdout.destroy();
    shell.unref();
    const late = setTimeout(() => client.disconnect(), START_MS);
    if (client.status === 'wait') await client.connect().catch(() => {});
    // Waits in the client's queue until the server takes connections.
    await client.ping();
    clearTimeout(late);
  }

  await start();
  return {
    url: `unix:${socket}`,
    client,
    pause: () => process.kill(pid, 'SIGSTOP'),
    resume: () => process.kill(pid, 'SIGCONT'),
    stop: () => stop(),
    start,
    async close() {
      client.disconnect();
      await stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function findMissing(): string | null {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return null;
  } catch {
    return 'there is no redis-server (Debian: apt-get install redis-server)';
  }
}
