// `throughway sandbox`: the built-in upstream alone.
import type { Command } from 'commander';

import { ConfigError } from '../config/load.ts';
import { startSandbox } from '../sandbox/sandbox.ts';
import { openLog } from '../telemetry/log.ts';
import { endWithProcess } from './lifetime.ts';

const DEFAULT_LISTEN = '127.0.0.1:4010';

export function addSandbox(program: Command): void {
  program
    .command('sandbox')
    .description('Serve the built-in upstream alone, for a gateway or client elsewhere.')
    .option('--listen <host:port>', 'where it is reached; port 0 picks a free one', DEFAULT_LISTEN)
    .action(async ({ listen }: { listen: string }) => {
      const sandbox = await startSandbox(parseListen(listen));
      const stop = () => sandbox.close();
      endWithProcess({ stop, stopNow: stop, close: async () => {}, log: openLog('warn') });
      process.stderr.write(`The sandbox answers at ${sandbox.url}: any key, no model. End it with Ctrl-C.\n`);
      process.stdout.write(`${JSON.stringify({ event: 'listening', api: sandbox.url })}\n`);
    });
}

function parseListen(listen: string): { host: string; port: number } {
  const [, host, port] = /^(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5})$/.exec(listen) ?? [];
  if (host === undefined || Number(port) > 65_535)
    throw new ConfigError(`--listen is "${listen}"; write HOST:PORT, such as ${DEFAULT_LISTEN}`);
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}
