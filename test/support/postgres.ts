// A private PostgreSQL for one test file, on a socket in a directory of its own. It ends with this process, however that ends.
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import pg from 'pg';

const VERSIONS = ['18', '17', '16', '15'];
const START_MS = 30_000;

export interface TestPostgres {
  /** Makes an empty database and gives its URL. */
  makeDatabase(): Promise<string>;
  /** As kill -9 on the whole server would; `start` brings it back. */
  kill(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Why no server can be had here; null where one can. */
export const missingPostgres: string | null = findMissing();

/** What `skip` of a test or suite takes: in CI a missing server is a failure, anywhere else it is said aloud. */
export function skipWithoutPostgres(): string | false {
  if (missingPostgres === null) return false;
  if (process.env['CI'] === 'true') throw new Error(`CI must test PostgreSQL, but ${missingPostgres}`);
  process.stderr.write(`\n*** SKIPPED: tests on PostgreSQL: ${missingPostgres}\n\n`);
  return missingPostgres;
}

export async function startPostgres(): Promise<TestPostgres> {
  if (missingPostgres !== null) throw new Error(missingPostgres);
  const bin = binaries()!;
  const user = otherUser();
  const owner = user === null ? {} : { uid: user.uid, gid: user.gid };
  const directory = mkdtempSync(join(tmpdir(), 'throughway-pg-'));
  if (user !== null) chownSync(directory, user.uid, user.gid);
  const data = join(directory, 'data');
  const settings = ['--auth=trust', '--username=test', '--no-sync', '--encoding=UTF8', '--locale=C'];
  execFileSync(join(bin, 'initdb'), ['-D', data, ...settings], {
    ...owner,
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
  });

  const url = (database: string) => `postgres://test@localhost/${database}?host=${encodeURIComponent(directory)}`;
  let stop: () => Promise<void> = async () => {};
  let made = 0;

  async function start(): Promise<void> {
    const flags = [
      '-D',
      data,
      '-k',
      directory,
      '-c',
      'listen_addresses=',
      '-c',
      'fsync=off',
      '-c',
      'max_connections=200',
    ];
    // The shell waits on its standard input, which closes with this process: then it stops the server.
    const script = `"$@" & server=$!; read -r line; kill -INT $server; wait $server`;
    const shell = spawn('/bin/sh', ['-c', script, 'sh', join(bin, 'postgres'), ...flags], {
      ...owner,
      cwd: directory,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const ended = new Promise<void>((resolve) => {
      shell.once('exit', () => resolve());
    });
    stop = async () => {
      shell.ref();
      shell.stdin.end('\n');
      await ended;
    };
    shell.unref();
    for (const deadline = performance.now() + START_MS; ; await delay(50)) {
      try {
        await query(url('postgres'), 'SELECT 1');
        return;
      } catch (cause) {
        if (performance.now() > deadline) throw new Error('PostgreSQL did not start', { cause });
      }
    }
  }

  await start();
  return {
    async makeDatabase() {
      const name = `test_${++made}`;
      await query(url('postgres'), `CREATE DATABASE ${name}`);
      return url(name);
    },
    kill: () => stop(),
    start,
    async close() {
      await stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function query(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function binaries(): string | undefined {
  return VERSIONS.map((version) => `/usr/lib/postgresql/${version}/bin`).find((path) =>
    existsSync(join(path, 'initdb')),
  );
}

/** The server refuses to run as root: then it runs as Debian's own user for it. Null where this process is not root. */
function otherUser(): { readonly uid: number; readonly gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const id = (flag: string) =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  return { uid: id('-u'), gid: id('-g') };
}

function findMissing(): string | null {
  if (binaries() === undefined)
    return "no server's binaries are in /usr/lib/postgresql (Debian: apt-get install postgresql)";
  try {
    otherUser();
  } catch {
    return 'the server refuses to run as root, and there is no user "postgres" to run it as';
  }
  return null;
}
