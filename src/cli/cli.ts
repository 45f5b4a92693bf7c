// The command line: which commands there are, and what a failure looks like. Results go to stdout, words to stderr.
import { Command, CommanderError } from 'commander';

import { ConfigError } from '../config/load.ts';
import { VERSION } from '../telemetry/version.ts';
import { addAssistants } from './assistants.ts';
import { addAudit } from './audit.ts';
import { addBudgets } from './budgets.ts';
import { addImport } from './import.ts';
import { addKeys } from './keys.ts';
import { addLogs } from './logs.ts';
import { addPrices } from './prices.ts';
import { addSandbox } from './sandbox.ts';
import { addServe } from './serve.ts';
import { addSpend } from './spend.ts';
import { addStart } from './start.ts';
import { addTeams } from './teams.ts';
import { addUsers } from './users.ts';

const FAILED = 1;
/** The command line or the settings are wrong: the same again will fail the same way. */
const MISUSED = 2;

/** @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await buildProgram().parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : MISUSED;
    const message = error instanceof Error ? error.message : String(error);
    for (const line of message.split('\n')) process.stderr.write(`throughway: ${line}\n`);
    return error instanceof ConfigError ? MISUSED : FAILED;
  }
}

export function buildProgram(): Command {
  const program = new Command('throughway')
    .description(
      'An OpenAI pass-through gateway: every endpoint, byte for byte, with virtual keys and a record of each exchange.',
    )
    .version(VERSION)
    .exitOverride();
  for (const add of [
    addServe,
    addStart,
    addTeams,
    addUsers,
    addKeys,
    addBudgets,
    addAudit,
    addLogs,
    addPrices,
    addSpend,
    addAssistants,
    addImport,
    addSandbox,
  ])
    add(program);
  return program;
}
