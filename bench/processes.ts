// Starts what is measured, pins it to a core, reads its memory, and ends it: nothing outlives the benchmark.
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';

/** The gateway has a core of its own, so that its figure per request is a figure per core; all else shares the other. */
export const GATEWAY_CORE = 0;
export const LOAD_CORE = 1;

export interface Started {
  readonly pid: number;
  /** The first line of stdout that `isWanted` accepts. Rejects when the process ends or the time is up. */
  line(isWanted: (line: string) => boolean, timeoutMs: number): Promise<string>;
  /** Resolves to the whole of stdout when the process ends well, rejects with its stderr when not. */
  ended(): Promise<string>;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly core?: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const OUTPUT_CHARS_MAX = 65_536;
const STOP_TIMEOUT_MS = 10_000;
const running = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

export function hasCommand(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** Whether both cores and `taskset` are there. Without them figures per core mean little, and the report says so. */
export const canPin = availableParallelism() >= 2 && hasCommand('taskset');

export function start(command: string, args: readonly string[], options: StartOptions = {}): Started {
  const pinned = canPin && options.core !== undefined;
  const [file, argv] = pinned ? ['taskset', ['-c', String(options.core), command, ...args]] : [command, [...args]];
  const child = spawn(file, argv, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  const seen: (() => void)[] = [];
  const notify = (): void => {
    for (const look of seen) look();
  };
  child.stdout.on('data', (chunk: Buffer) => {
    stdout = (stdout + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    notify();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
  });
  const exit = new Promise<number | null>((resolve) => {
    child.on('error', (error) => {
      stderr += error.message;
      resolve(null);
    });
    child.on('close', (code) => resolve(code));
  }).then((code) => {
    running.delete(child);
    return code;
  });
  const failure = (what: string): Error => new Error(`${command} ${what}\n${stderr.slice(-2000)}`);

  return {
    pid: child.pid ?? -1,
    line(isWanted, timeoutMs) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(failure(`printed nothing that was waited for in ${timeoutMs} ms`)),
          timeoutMs,
        );
        const look = (): void => {
          const found = stdout.split('\n').slice(0, -1).find(isWanted);
          if (found === undefined) return;
          clearTimeout(timer);
          resolve(found);
        };
        seen.push(look);
        look();
        void exit.then((code) => {
          clearTimeout(timer);
          reject(failure(`ended with ${code} before it was ready`));
        });
      });
    },
    async ended() {
      const code = await exit;
      if (code !== 0) throw failure(`ended with ${code}`);
      return stdout;
    },
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exit;
      clearTimeout(timer);
    },
  };
}

/** A process and all its descendants: nginx answers in a worker, not in the process we started. */
export function processTree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(processTree)];
}

function statusKiB(pid: number, field: string): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((candidate) => candidate.startsWith(`${field}:`));
  return Number.parseInt(line?.slice(field.length + 1) ?? '0', 10);
}

/** Resident memory now, in MB (10^6 bytes), over the processes. */
export function residentMb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + statusKiB(pid, 'VmRSS'), 0) * 0.001024;
}

/** The kernel keeps the peak itself, so nothing between two samples is missed. */
export function peakResidentMb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + statusKiB(pid, 'VmHWM'), 0) * 0.001024;
}

export function resetPeakResident(pids: readonly number[]): void {
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
