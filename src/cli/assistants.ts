// `throughway assistants`: objects of the Assistants API in and out, through the admin API.
import { createReadStream, createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import type { Command } from 'commander';
import type { z } from 'zod';

import type { routes } from '../admin/contract.ts';
import { type AdminFlags, ConfigError } from '../config/load.ts';
import { type AdminClient, openAdminClient, withAdminFlags } from './admin-client.ts';
import { printJson, printText } from './print.ts';
import { table } from './table.ts';

type Report = z.output<(typeof routes)['importAssistants']['answer']>;

interface Flags extends AdminFlags {
  readonly json?: boolean;
  readonly team?: string;
}

/** What is sent at once, bytes: far below what the admin API takes. */
const PART_BYTES_MAX = 8 * 1024 * 1024;
const OUTCOMES = ['created', 'updated', 'unchanged'] as const;
const KINDS = ['assistants', 'threads', 'messages', 'items', 'runs', 'steps', 'files'] as const;

export function addAssistants(program: Command): void {
  const assistants = program.command('assistants').description('Objects of the Assistants API: backups in and out.');
  withAdminFlags(assistants.command('import'))
    .description('Bring objects in from lines of JSON. Ids and times are kept; a second time changes nothing.')
    .argument('<file>', 'lines of JSON; - reads standard input')
    .option(
      '--team <team>',
      'whose they become where a line names no team, by id or name (default: the team "default")',
    )
    .option('--dry-run', 'say what would happen, and write nothing')
    .action(importFile);
  withAdminFlags(assistants.command('export'))
    .description('Write every object as a line of JSON, as the import takes them.')
    .option('--team <team>', 'of one team, by id or name (default: of all)')
    .option('--out <file>', 'where to (default: standard output)')
    .action(exportLines);
}

async function importFile(file: string, flags: Flags & { readonly dryRun?: boolean }): Promise<void> {
  const client = openAdminClient(flags);
  const query = { team: flags.team, dry_run: flags.dryRun ? ('true' as const) : undefined };
  let whole = emptyReport(flags.dryRun === true);
  for await (const part of partsOf(batchesOf(linesOf(file)))) {
    const report = await client.ask('importAssistants', { query, body: part.map(({ text }) => text).join('\n') });
    const problems = report.problems.map(({ line, message }) => ({ line: part[line - 1]?.number ?? line, message }));
    whole = add(whole, { ...report, problems });
  }
  if (flags.json) printJson(whole);
  else printReport(whole);
  if (whole.problem_count > 0) throw new Error(`${whole.problem_count} of ${whole.lines} lines were not brought in`);
}

interface Line {
  /** From 1, as the file counts them. */
  readonly number: number;
  readonly text: string;
  /** Place among its kin: owners before what they own. */
  readonly rank: number;
}

/**
 * Ordered over the whole file, for a step may stand far above its run, and each part is brought in by itself. Only the bytes of
 * files are not waited with: an export has them behind all that they belong to, and they may be large.
 */
async function* batchesOf(texts: AsyncIterable<string>): AsyncGenerator<readonly Line[]> {
  let held: Line[] = [];
  let number = 0;
  for await (const text of texts) {
    number++;
    if (text.trim() === '') continue;
    const line = { number, text, rank: rankOf(text) };
    if (line.rank < FILE_PART) {
      held.push(line);
      continue;
    }
    yield inOrder(held);
    yield [line];
    held = [];
  }
  yield inOrder(held);
}

function inOrder(lines: readonly Line[]): readonly Line[] {
  return lines.toSorted((a, b) => a.rank - b.rank);
}

const FILE_PART = 5;

/** By what a line calls its object, or the object calls itself. */
const RANKS: Readonly<Record<string, number>> = {
  assistant: 0,
  thread: 0,
  run: 2,
  'thread.run': 2,
  step: 3,
  'thread.run.step': 3,
  file: 4,
  file_part: FILE_PART,
};

function rankOf(text: string): number {
  try {
    const { type, object } = JSON.parse(text) as { type?: unknown; object?: unknown };
    return RANKS[String(type ?? object)] ?? 1;
  } catch {
    // The gateway says what is wrong with it.
    return 0;
  }
}

async function* partsOf(batches: AsyncIterable<readonly Line[]>): AsyncGenerator<readonly Line[]> {
  let part: Line[] = [];
  let bytes = 0;
  for await (const lines of batches) {
    for (const line of lines) {
      part.push(line);
      bytes += Buffer.byteLength(line.text) + 1;
      if (bytes < PART_BYTES_MAX) continue;
      yield part;
      part = [];
      bytes = 0;
    }
  }
  if (part.length > 0) yield part;
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  const reader = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  const failed = new Promise<never>((_resolve, reject) => {
    input.once('error', (cause: Error) =>
      reject(new ConfigError(`${file} cannot be read: ${cause.message}`, { cause })),
    );
  });
  const iterator = reader[Symbol.asyncIterator]();
  failed.catch(() => {});
  for (;;) {
    const next = await Promise.race([iterator.next(), failed]);
    if (next.done) return;
    yield next.value;
  }
}

async function exportLines(flags: Flags & { readonly out?: string }): Promise<void> {
  const client: AdminClient = openAdminClient(flags);
  const lines = Readable.from(await client.read('exportAssistants', { query: { team: flags.team } }));
  if (flags.out !== undefined) {
    // What was exported may be confidential: for its owner's eyes only.
    await pipeline(lines, createWriteStream(flags.out, { mode: 0o600 }));
    return;
  }
  const decoder = new TextDecoder();
  for await (const piece of lines) printText(decoder.decode(piece as Uint8Array, { stream: true }));
}

function emptyReport(isDryRun: boolean): Report {
  const counts = { assistants: 0, threads: 0, messages: 0, items: 0, runs: 0, steps: 0, files: 0 };
  return {
    dry_run: isDryRun,
    lines: 0,
    created: counts,
    updated: counts,
    unchanged: counts,
    problems: [],
    problem_count: 0,
  };
}

function add(a: Report, b: Report): Report {
  const sum = (outcome: (typeof OUTCOMES)[number]) =>
    Object.fromEntries(KINDS.map((kind) => [kind, a[outcome][kind] + b[outcome][kind]])) as Report['created'];
  return {
    dry_run: a.dry_run,
    lines: a.lines + b.lines,
    created: sum('created'),
    updated: sum('updated'),
    unchanged: sum('unchanged'),
    problems: [...a.problems, ...b.problems],
    problem_count: a.problem_count + b.problem_count,
  };
}

function printReport(report: Report): void {
  const rows = KINDS.map((kind) => [kind, ...OUTCOMES.map((outcome) => String(report[outcome][kind]))]);
  printText(table([[report.dry_run ? 'WOULD BE' : '', ...OUTCOMES.map((outcome) => outcome.toUpperCase())], ...rows]));
  for (const { line, message } of report.problems) process.stderr.write(`line ${line}: ${message}\n`);
}
