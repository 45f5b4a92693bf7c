// The two C programs: compiled once per version of their source, then run. They are in C because an upstream or a load
// generator on Node would cost more than the gateway between them.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { LOAD_CORE, hasCommand, start } from './processes.ts';

const here = import.meta.dirname;
const buildDir = join(here, '..', 'node_modules', '.cache', 'throughway-bench');

export const hasCompiler = hasCommand('gcc');

function build(name: 'upstream' | 'load'): string {
  const source = join(here, `${name}.c`);
  const version = createHash('sha256')
    .update(readFileSync(join(here, 'http.h')))
    .update(readFileSync(source))
    .digest('hex');
  const binary = join(buildDir, `${name}-${version.slice(0, 12)}`);
  if (existsSync(binary)) return binary;
  mkdirSync(buildDir, { recursive: true });
  const compiled = spawnSync('gcc', ['-O2', '-Wall', '-Wextra', '-o', `${binary}.${process.pid}`, source], {
    encoding: 'utf8',
  });
  if (compiled.status !== 0) throw new Error(`gcc could not compile ${source}\n${compiled.stderr}`);
  renameSync(`${binary}.${process.pid}`, binary);
  return binary;
}

export interface Upstream {
  readonly port: number;
  set(knobs: { events?: number; interval_us?: number; download_bytes?: number }): Promise<void>;
  stats(): Promise<{ requests: number; connections: number; aborted: number }>;
  stop(): Promise<void>;
}

function get(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port, path, agent: false }, (reply) => {
      let text = '';
      reply.on('data', (chunk: Buffer) => (text += chunk.toString()));
      reply.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}

export async function startUpstream(): Promise<Upstream> {
  const started = start(build('upstream'), [], { core: LOAD_CORE });
  const { port } = JSON.parse(await started.line((line) => line.startsWith('{'), 5_000)) as { port: number };
  return {
    port,
    async set(knobs) {
      const query = new URLSearchParams(
        Object.entries(knobs).map(([name, value]): [string, string] => [name, String(value)]),
      );
      await get(port, `/bench/set?${query.toString()}`);
    },
    async stats() {
      return JSON.parse(await get(port, '/bench/stats')) as { requests: number; connections: number; aborted: number };
    },
    stop: () => started.stop(),
  };
}

export interface Distribution {
  readonly samples: number;
  readonly p50_us?: number;
  readonly p90_us?: number;
  readonly p99_us?: number;
  readonly max_us?: number;
}

/** What load.c prints: counts and times of the replies that fell into the window. */
export interface LoadResult {
  readonly seconds: number;
  readonly requests: number;
  readonly errors: number;
  readonly first_error: string;
  readonly unfinished: number;
  readonly bytes: number;
  readonly events: number;
  /** Of the processes named by `pids`, over the window. */
  readonly cpu_us: number;
  readonly latency: Distribution;
  readonly first_byte: Distribution;
  readonly delay: Distribution;
}

export interface LoadOptions {
  readonly port: number;
  readonly request: Buffer;
  readonly conns?: number;
  readonly seconds?: number;
  readonly warm?: number;
  readonly rate?: number;
  readonly count?: number;
  readonly 'expect-bytes'?: number;
  readonly 'expect-events'?: number;
  readonly 'bytes-per-second'?: number;
  readonly pids?: readonly number[];
}

let loads = 0;

export async function load(mode: 'closed' | 'open' | 'stream' | 'slow', options: LoadOptions): Promise<LoadResult> {
  const { request, ...rest } = options;
  const requestFile = join(tmpdir(), `throughway-bench-${process.pid}-${loads++}.request`);
  writeFileSync(requestFile, request);
  const args = Object.entries(rest).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const started = start(build('load'), [mode, '--request', requestFile, ...args], { core: LOAD_CORE });
  const result = await started.ended().finally(() => rmSync(requestFile));
  return JSON.parse(result) as LoadResult;
}
