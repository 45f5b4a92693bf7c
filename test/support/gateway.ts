// A whole gateway on free ports with a data dir of its own, for one test.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Settings } from '../../src/config/config.ts';
import { resolveConfig } from '../../src/config/load.ts';
import type { Clock } from '../../src/domain/clock.ts';
import { type Gateway, startGateway as start } from '../../src/gateway.ts';
import { openLog } from '../../src/telemetry/log.ts';

/** The credential that the gateway uses upstream: if it shows anywhere else, a test has found a leak. */
export const CANARY = 'sk-canary-7f3a9c5e1b8d2046';

export interface TestGateway {
  readonly api: string;
  readonly admin: string;
  readonly adminToken: string;
  /** The token of a virtual key in the default team. */
  readonly token: string;
  readonly dataDir: string;
  readonly gateway: Gateway;
  /** Lines of the operational log. */
  readonly logLines: readonly string[];
  createKey(body: Record<string, unknown>): Promise<{ readonly key: { readonly id: string }; readonly token: string }>;
  adminFetch(path: string, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

export interface TestGatewayOptions {
  /** The upstream's base URL, ending in `/v1`. */
  readonly upstream: string;
  /** Settings as in throughway.yaml. */
  readonly settings?: Settings;
  readonly clock?: Clock;
  /** `postgres://...` of the shared store. */
  readonly databaseUrl?: string;
  /** What `env:WEBHOOK_SECRET` of the settings stands for. */
  readonly webhookSecret?: string;
  /** Kept after close where given; else a temporary one. */
  readonly dataDir?: string;
}

const ADMIN_TOKEN = 'test-admin-token-0123456789abcdef0123456789';

export async function startGateway({
  upstream,
  settings = {},
  clock,
  databaseUrl,
  webhookSecret,
  dataDir,
}: TestGatewayOptions): Promise<TestGateway> {
  const directory = dataDir ?? (await mkdtemp(join(tmpdir(), 'throughway-test-')));
  const config = resolveConfig(
    {
      listen: '127.0.0.1:0',
      adminListen: '127.0.0.1:0',
      adminToken: 'env:ADMIN_TOKEN',
      dataDir: directory,
      ...(databaseUrl === undefined ? {} : { databaseUrl: 'env:DATABASE_URL' }),
      // Scripted upstreams see what their test sends, and nothing else.
      settlement: { poll: false },
      ...settings,
      upstream: { baseUrl: upstream, ...settings.upstream },
    },
    { OPENAI_API_KEY: CANARY, ADMIN_TOKEN, DATABASE_URL: databaseUrl, WEBHOOK_SECRET: webhookSecret },
  );
  const logLines: string[] = [];
  const log = openLog('debug', (line) => logLines.push(line));
  const gateway = await start(config, { log, ...(clock === undefined ? {} : { clock }) });

  const adminFetch = (path: string, init: RequestInit = {}) =>
    fetch(gateway.admin + path, {
      ...init,
      headers: {
        authorization: `Bearer ${ADMIN_TOKEN}`,
        'content-type': 'application/json',
        ...(init.headers as Record<string, string>),
      },
    });
  const createKey: TestGateway['createKey'] = async (body) => {
    const reply = await adminFetch('/admin/v1/keys', { method: 'POST', body: JSON.stringify(body) });
    if (!reply.ok) throw new Error(`no key was made: ${reply.status} ${await reply.text()}`);
    return (await reply.json()) as Awaited<ReturnType<TestGateway['createKey']>>;
  };
  const { token } = await createKey({ name: 'test' });
  return {
    api: gateway.api,
    admin: gateway.admin,
    adminToken: ADMIN_TOKEN,
    token,
    dataDir: directory,
    gateway,
    logLines,
    createKey,
    adminFetch,
    async close() {
      await gateway.stopNow();
      if (dataDir === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
}
