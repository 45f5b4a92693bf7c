// `throughway start`, which `npm start` runs: OpenAI where there is a credential for it, else the sandbox.
import type { Command } from 'commander';

import { loadConfig } from '../config/load.ts';
import { type ServeFlags, serve, withServeFlags } from './serve.ts';

export function addStart(program: Command): void {
  withServeFlags(program.command('start'))
    .description('Serve OpenAI where a credential is set, and the sandbox where none is. What `npm start` runs.')
    .action(start);
}

async function start(flags: ServeFlags): Promise<void> {
  // Who names an upstream does not want the sandbox: serve then says what is missing.
  const isSandbox = flags.upstream === undefined && loadConfig(flags).upstream.credentials.length === 0;
  await serve(
    isSandbox ? { ...flags, sandbox: true } : flags,
    flags.sandbox ? 'asked for with --sandbox' : 'OPENAI_API_KEY is not set',
  );
}
