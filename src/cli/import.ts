// `throughway import`: settings of other gateways as ours. It needs no gateway that runs.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

import type { Command } from 'commander';
import { parse, stringify } from 'yaml';

import { ConfigError } from '../config/load.ts';
import { type Line, type Translation, translate } from './litellm-config.ts';
import type { Outcome } from './litellm-settings.ts';
import { printJson, printText } from './print.ts';
import { table } from './table.ts';

interface Flags {
  readonly out?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function addImport(program: Command): void {
  const imports = program.command('import').description('Settings of other gateways, as settings of this one.');
  imports
    .command('litellm')
    .description('Read a config of LiteLLM’s proxy: say what becomes which setting, what does not and why.')
    .argument('<file>', 'LiteLLM’s config, YAML')
    .option('--out <file>', 'write the settings to this file, such as throughway.yaml')
    .option('--force', 'also over a file that is there')
    .option('--dry-run', 'write no file, whatever --out says')
    .option('--json', 'print JSON, for programs')
    .action(importLitellm);
}

function importLitellm(file: string, flags: Flags): void {
  const translation = translate(readYaml(file));
  const isWritten = flags.out !== undefined && flags.dryRun !== true;
  if (isWritten) write(flags.out, translation, flags.force === true);
  if (flags.json) {
    printJson({ lines: translation.lines, settings: translation.settings, written_to: isWritten ? flags.out : null });
    return;
  }
  printText(table([['LITELLM', '', 'THROUGHWAY', 'VALUE', 'NOTE'], ...translation.lines.toSorted(byOutcome).map(row)]));
  printText(`\n${stringify(translation.settings)}`);
  if (isWritten) process.stderr.write(`Written to ${flags.out}.\n`);
  else if (flags.dryRun !== true) process.stderr.write('Nothing was written; --out throughway.yaml does.\n');
}

/** @throws ConfigError */
function readYaml(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError(`${file} cannot be read; check its name and who may read it`, { cause });
  }
  try {
    return parse(text);
  } catch (cause) {
    // The lines after the first one quote the file, which may hold secrets.
    const why = cause instanceof Error ? cause.message.split('\n', 1)[0]!.replace(/:$/, '') : 'it cannot be parsed';
    throw new ConfigError(`${file} is not YAML: ${why}`);
  }
}

function write(file: string, { settings }: Translation, isForced: boolean): void {
  if (existsSync(file) && !isForced)
    throw new ConfigError(`${file} is there already; name another file, or add --force`);
  try {
    // `wx` where it was not there a moment ago: nobody else's file is lost.
    writeFileSync(file, stringify(settings), { mode: 0o600, flag: isForced ? 'w' : 'wx' });
  } catch (cause) {
    throw new ConfigError(`${file} cannot be written; check its folder and who may write there`, { cause });
  }
}

const WORDS: Readonly<Record<Outcome, string>> = {
  written: 'becomes',
  by_hand: 'by hand',
  not_needed: 'not needed',
  not_supported: 'not supported',
  unknown: 'unknown',
};

function byOutcome(a: Line, b: Line): number {
  const order = Object.keys(WORDS);
  return order.indexOf(a.outcome) - order.indexOf(b.outcome);
}

function row({ from, outcome, to, value, why }: Line): string[] {
  const shown = value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value);
  return [from, WORDS[outcome], to ?? '', shown, why ?? ''];
}
