// Starts the command line as its users do: as a process of its own, in a directory of its own.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

import { eventually } from '../support/eventually.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const LISTENS_MS = 20_000;

export interface Program {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** What it wrote so far. */
  stdout(): string;
  stderr(): string;
  /** Its exit code, once it is gone; null where a signal killed it. */
  readonly ended: Promise<number | null>;
}

export interface Options {
  /** In place of a new one that is thrown away at the end. */
  readonly dir?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments for Node itself. */
  readonly node?: readonly string[];
}

const programs = new Set<Program['child']>();
const dirs: string[] = [];

after(() => {
  for (const child of programs) child.kill('SIGKILL');
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

export function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'throughway-cli-'));
  dirs.push(dir);
  return dir;
}

/** What is set for a gateway on this machine must not reach the one under test. */
const FOREIGN = /^(OPENAI_|THROUGHWAY_|DATABASE_URL$|REDIS_URL$|OTEL_|NODE_OPTIONS$|(https?|all|no)_proxy$)/i;

export function start(args: readonly string[], { dir = newDir(), env = {}, node = [] }: Options = {}): Program {
  const kept = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...node, MAIN, ...args], {
    cwd: dir,
    env: { ...Object.fromEntries(kept), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  programs.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = once(child, 'close').then(([code]) => {
    programs.delete(child);
    return code as number | null;
  });
  return { child, stdout: () => stdout, stderr: () => stderr, ended };
}

/** Runs it to its end. */
export async function run(
  args: readonly string[],
  options: Options = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const program = start(args, options);
  const code = await program.ended;
  return { code, stdout: program.stdout(), stderr: program.stderr() };
}

export interface Serving extends Program {
  readonly api: string;
  readonly admin: string;
}

export const ANY_PORTS = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'];

/** `serve`, or whatever else prints a line when it listens. */
export async function startListening(args: readonly string[], options: Options = {}): Promise<Serving> {
  const program = start(args, options);
  let isOver = false;
  void program.ended.then(() => (isOver = true));
  await eventually('it listens', () => isOver || program.stdout().includes('\n'), LISTENS_MS);
  if (isOver) throw new Error(`it ended before it listened:\n${program.stderr()}`);
  const { api, admin } = JSON.parse(program.stdout()) as { api: string; admin: string };
  return { ...program, api, admin };
}

/** The first virtual key, as people are shown it. */
export function firstToken({ stderr }: Program): string {
  const [token] = /sk-tw-[0-9A-Za-z]{28}-[0-9A-Za-z]{6}/.exec(stderr()) ?? [];
  if (token === undefined) throw new Error(`there is no virtual key in:\n${stderr()}`);
  return token;
}
