// `throughway serve`: the gateway, in the foreground, until a signal.
import type { Command } from 'commander';

import { type Config, ConfigError, type Flags, ignoredProxies, loadConfig } from '../config/load.ts';
import { Secret } from '../config/secret.ts';
import type { Gateway, GatewayOptions } from '../gateway.ts';
import { type Sandbox, startSandbox } from '../sandbox/sandbox.ts';
import { type Log, openLog } from '../telemetry/log.ts';
import { endWithProcess } from './lifetime.ts';
import { welcome } from './welcome.ts';

export interface ServeFlags extends Flags {
  readonly sandbox?: boolean;
}

export function addServe(program: Command): void {
  withServeFlags(program.command('serve'))
    .description('Serve the API and the admin API until a signal. Needs a credential for the upstream, or --sandbox.')
    .action((flags: ServeFlags) => serve(flags, 'asked for with --sandbox'));
}

export function withServeFlags(command: Command): Command {
  return command
    .option('--config <file>', 'settings file (default: throughway.yaml, where there is one)')
    .option('--listen <host:port>', 'where clients reach the API; port 0 picks a free one')
    .option('--admin-listen <host:port>', 'where the admin API is reached')
    .option('--data-dir <dir>', 'where the databases live')
    .option('--upstream <url>', 'the upstream, with its /v1')
    .option('--sandbox', 'serve the built-in upstream instead: no key, no network, no bill');
}

/** @param whySandbox said where the sandbox is served */
export async function serve(flags: ServeFlags, whySandbox: string): Promise<void> {
  const config = loadConfig(flags);
  checkUpstream(flags, config);
  outliveReaders();
  const log = openLog(config.logging.level);
  const { gateway, close } = flags.sandbox ? await serveSandbox(config, log) : await serveUpstream(config, log);
  endWithProcess({ stop: gateway.stop, stopNow: gateway.stopNow, close, log });

  const upstream = flags.sandbox ? null : new URL(config.upstream.baseUrl).origin;
  process.stderr.write(welcome({ gateway, config, upstream, whySandbox, proxies: ignoredProxies() }));
  process.stdout.write(`${JSON.stringify({ event: 'listening', api: gateway.api, admin: gateway.admin })}\n`);
}

interface Served {
  readonly gateway: Gateway;
  /** Ends what the gateway does not know of. */
  close(): Promise<void>;
}

async function serveUpstream(config: Config, log: Log): Promise<Served> {
  return { gateway: await startGateway(config, { log }), close: async () => {} };
}

/** Loaded only here: the other commands answer at once, without half the house. */
async function startGateway(config: Config, options: GatewayOptions): Promise<Gateway> {
  const gateway = await import('../gateway.ts');
  return gateway.startGateway(config, options);
}

async function serveSandbox(config: Config, log: Log): Promise<Served> {
  const sandbox = await startSandbox({ host: '127.0.0.1', port: 0 });
  const close = () => sandbox.close();
  try {
    return { gateway: await startGateway(pointedAt(sandbox, config), { log, isSandbox: true }), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The sandbox takes any credential, and none of the operator's goes there. */
function pointedAt(sandbox: Sandbox, config: Config): Config {
  const credential = { name: 'sandbox', apiKey: new Secret('sandbox'), weight: 1, organization: null, project: null };
  return { ...config, upstream: { ...config.upstream, baseUrl: sandbox.url, credentials: [credential] } };
}

/** @throws ConfigError */
function checkUpstream(flags: ServeFlags, config: Config): void {
  if (flags.sandbox && flags.upstream !== undefined) {
    throw new ConfigError('--sandbox and --upstream exclude each other; give one of them');
  }
  if (flags.sandbox || config.upstream.credentials.length > 0) return;
  throw new ConfigError(
    'upstream.credentials is empty, so nothing opens the upstream; set OPENAI_API_KEY, or name credentials in throughway.yaml, or try without any: serve --sandbox',
  );
}

/** Whoever read our words may leave; the gateway goes on. */
function outliveReaders(): void {
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
}
