// Starts a gateway of one's own for as long as a script runs: on the sandbox, on free ports, with a data dir that is thrown away.
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export interface LocalGateway {
  /** Such as `http://127.0.0.1:41234`. */
  readonly api: string;
  readonly admin: string;
  readonly adminToken: string;
  /** Of a virtual key made for this run. */
  readonly token: string;
  close(): Promise<void>;
}

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A signal by itself ends a process without its `exit` event. */
function exitAfterSignal(signal: NodeJS.Signals): void {
  process.exit(128 + constants.signals[signal]);
}

export async function startLocalGateway(): Promise<LocalGateway> {
  const dataDir = await mkdtemp(join(tmpdir(), 'throughway-'));
  const adminToken = randomBytes(32).toString('hex');
  const serve = 'serve --sandbox --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --data-dir';
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', main, ...serve.split(' '), dataDir],
    // In the data dir it finds no throughway.yaml of somebody else.
    { cwd: dataDir, env: environmentWith(adminToken), stdio: ['ignore', 'pipe', 'pipe'] },
  );
  // However the script ends, its gateway does not outlive it. Nothing in its data dir is worth a drain.
  const abandon = () => {
    child.kill('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  };
  process.once('exit', abandon);
  for (const signal of signals) process.once(signal, exitAfterSignal);

  const close = async () => {
    process.off('exit', abandon);
    for (const signal of signals) process.off(signal, exitAfterSignal);
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    await rm(dataDir, { recursive: true, force: true });
  };

  try {
    const { api, admin } = await listening(child);
    const token = await createKey(admin, adminToken);
    return { api, admin, adminToken, token, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export async function createKey(admin: string, adminToken: string): Promise<string> {
  const reply = await fetch(`${admin}/admin/v1/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'local' }),
  });
  if (!reply.ok) throw new Error(`The admin API answered ${reply.status} to a new key: ${await reply.text()}`);
  const { token } = (await reply.json()) as { token: string };
  return token;
}

/** What is set for a gateway in production must not reach this one. */
function environmentWith(adminToken: string): NodeJS.ProcessEnv {
  const foreign = /^(OPENAI_|THROUGHWAY_|DATABASE_URL$|REDIS_URL$|OTEL_)/;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return { ...Object.fromEntries(kept), THROUGHWAY_ADMIN_TOKEN: adminToken };
}

/** The addresses in the line of JSON that `serve` prints once both listeners accept. */
function listening(child: ChildProcessByStdio<null, Readable, Readable>): Promise<{ api: string; admin: string }> {
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`The gateway ended with ${code} before it listened.\n${said}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = parseLine(line);
      if (found?.event === 'listening') resolve(found);
    });
  });
}

function parseLine(line: string): { event: string; api: string; admin: string } | undefined {
  try {
    return JSON.parse(line);
  } catch {
    // A line for people.
    return undefined;
  }
}
