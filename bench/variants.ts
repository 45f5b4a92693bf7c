// What is measured, side by side: nothing in between, nginx, the Portkey gateway, and Throughway. Each is started afresh
// for every section, so that one section's memory is not the next one's.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Headers } from './fixtures.ts';
import type { Upstream } from './native.ts';
import { GATEWAY_CORE, freePort, processTree, start } from './processes.ts';
import type { Started } from './processes.ts';

export interface Running {
  readonly port: number;
  /** Path prefix and headers that a client of this variant uses. */
  readonly prefix: string;
  readonly headers: Headers;
  /** Every process of the variant; empty where there is none. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

export interface Variant {
  readonly name: string;
  /** Whether reply bodies come back byte for byte; a gateway that parses and writes them anew says no. */
  readonly keepsBytes: boolean;
  /** Whether a request without a key must be answered with 401. */
  readonly asksForKey: boolean;
  /** Whether it ends the upstream's reply when its client leaves. */
  readonly endsWithClient: boolean;
  /** Makes ready what `start` needs. Answers why it cannot be measured here, or nothing. */
  prepare(): string | undefined;
  start(upstream: Upstream): Promise<Running>;
}

const READY_TIMEOUT_MS = 30_000;
const CONNECT_RETRY_MS = 25;
const upstreamKey = 'sk-bench';
const peersDir = join(import.meta.dirname, 'peers');
const portkeyMain = join(peersDir, 'node_modules', '@portkey-ai', 'gateway', 'build', 'start-server.js');
const throughwayMain = join(import.meta.dirname, '..', 'src', 'main.ts');

async function untilItAccepts(port: number, started: Started): Promise<void> {
  const died = started.ended().then(
    () => Promise.reject(new Error('the process ended before it listened')),
    (error: unknown) => Promise.reject(error),
  );
  const accepts = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = createConnection(port, '127.0.0.1', () => resolve(true));
      socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
    });
  const listening = (async () => {
    const deadline = performance.now() + READY_TIMEOUT_MS;
    while (!(await accepts())) {
      if (performance.now() > deadline) throw new Error(`nothing accepted on port ${port} in ${READY_TIMEOUT_MS} ms`);
      await new Promise((resolve) => setTimeout(resolve, CONNECT_RETRY_MS));
    }
  })();
  await Promise.race([listening, died]);
  died.catch(() => {}); // It ends when we stop it; only an end before it listens matters.
}

const direct: Variant = {
  name: 'direct',
  keepsBytes: true,
  asksForKey: false,
  endsWithClient: true,
  prepare: () => undefined,
  start: (upstream) =>
    Promise.resolve({
      port: upstream.port,
      prefix: '/v1',
      headers: [['authorization', `Bearer ${upstreamKey}`]],
      pids: [],
      stop: () => Promise.resolve(),
    }),
};

function nginxConfig(dir: string, port: number, upstreamPort: number): string {
  return `
    ${process.getuid?.() === 0 ? 'user root;' : ''}
    worker_processes 1;
    worker_rlimit_nofile 16384;
    daemon off;
    pid ${dir}/nginx.pid;
    error_log stderr error;
    events { worker_connections 8192; }
    http {
      access_log off;
      client_body_temp_path ${dir}/body;
      proxy_temp_path ${dir}/proxy;
      fastcgi_temp_path ${dir}/fastcgi;
      uwsgi_temp_path ${dir}/uwsgi;
      scgi_temp_path ${dir}/scgi;
      client_max_body_size 0;
      keepalive_requests 1000000000;
      tcp_nodelay on;
      upstream openai {
        server 127.0.0.1:${upstreamPort};
        keepalive 2048;
        keepalive_requests 1000000000;
      }
      server {
        listen 127.0.0.1:${port} backlog=4096;
        location /openai/ {
          proxy_pass http://openai/;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header Authorization "Bearer ${upstreamKey}";
          proxy_buffering off;
          proxy_request_buffering off;
          proxy_read_timeout 600s;
        }
      }
    }`;
}

const nginxPath = ['/usr/sbin/nginx', 'nginx'].find((path) => spawnSync(path, ['-v']).error === undefined);

const nginx: Variant = {
  name: 'nginx',
  keepsBytes: true,
  asksForKey: false,
  endsWithClient: true,
  prepare: () => (nginxPath === undefined ? 'nginx is not installed: apt-get install nginx-light' : undefined),
  async start(upstream) {
    const dir = mkdtempSync(join(tmpdir(), 'throughway-bench-nginx-'));
    const port = await freePort();
    writeFileSync(join(dir, 'nginx.conf'), nginxConfig(dir, port, upstream.port));
    const args = ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', 'stderr'];
    const started = start(nginxPath ?? 'nginx', args, { core: GATEWAY_CORE });
    await untilItAccepts(port, started);
    return {
      port,
      prefix: '/openai/v1',
      headers: [['authorization', 'Bearer sk-client']],
      pids: processTree(started.pid),
      async stop() {
        await started.stop();
        rmSync(dir, { recursive: true, force: true });
      },
    };
  },
};

const portkey: Variant = {
  name: 'portkey',
  keepsBytes: false,
  asksForKey: false,
  endsWithClient: false,
  prepare() {
    if (existsSync(portkeyMain)) return undefined;
    console.error('portkey: installing the pinned packages of bench/peers (npm ci --ignore-scripts)');
    const installed = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
      cwd: peersDir,
      encoding: 'utf8',
    });
    return installed.status === 0 ? undefined : `npm ci failed in bench/peers: ${installed.stderr.slice(-500)}`;
  },
  async start(upstream) {
    const port = await freePort();
    const started = start(process.execPath, [portkeyMain, `--port=${port}`, '--headless'], {
      core: GATEWAY_CORE,
      env: { NODE_ENV: 'production' },
    });
    await untilItAccepts(port, started);
    return {
      port,
      prefix: '/v1',
      headers: [
        ['authorization', `Bearer ${upstreamKey}`],
        ['x-portkey-provider', 'openai'],
        ['x-portkey-custom-host', `http://127.0.0.1:${upstream.port}/v1`],
      ],
      pids: processTree(started.pid),
      stop: () => started.stop(),
    };
  },
};

async function createKey(adminUrl: string, adminToken: string): Promise<string> {
  const reply = await fetch(`${adminUrl}/admin/v1/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'bench' }),
  });
  if (!reply.ok) throw new Error(`the admin API answered ${reply.status} to a new key: ${await reply.text()}`);
  const { token } = (await reply.json()) as { token: string };
  return token;
}

/** `main` is the `src/main.ts` of a checkout: this one, or another to hold a change against. */
export const throughwayFrom = (name: string, main: string): Variant => ({
  name,
  keepsBytes: true,
  asksForKey: true,
  endsWithClient: true,
  prepare: () => (existsSync(main) ? undefined : `${main} is not there`),
  async start(upstream) {
    const dataDir = mkdtempSync(join(tmpdir(), 'throughway-bench-data-'));
    const adminToken = 'bench-admin-token-0123456789abcdefghijkl';
    const args = ['serve', '--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--data-dir', dataDir];
    const upstreamUrl = `http://127.0.0.1:${upstream.port}/v1`;
    const started = start(process.execPath, [main, ...args, '--upstream', upstreamUrl], {
      core: GATEWAY_CORE,
      env: { OPENAI_API_KEY: upstreamKey, THROUGHWAY_ADMIN_TOKEN: adminToken },
    });
    const ready = await started.line((line) => line.includes('"listening"'), READY_TIMEOUT_MS);
    const { api, admin } = JSON.parse(ready) as { api: string; admin: string };
    const token = await createKey(admin, adminToken);
    return {
      port: Number(new URL(api).port),
      prefix: '/openai/v1',
      headers: [['authorization', `Bearer ${token}`]],
      pids: processTree(started.pid),
      async stop() {
        await started.stop();
        rmSync(dataDir, { recursive: true, force: true });
      },
    };
  },
});

export const variants: readonly Variant[] = [direct, nginx, portkey, throughwayFrom('throughway', throughwayMain)];

export function nginxVersion(): string {
  if (nginxPath === undefined) return 'no nginx';
  return spawnSync(nginxPath, ['-v'], { encoding: 'utf8' }).stderr.trim().replace('nginx version: ', '');
}
