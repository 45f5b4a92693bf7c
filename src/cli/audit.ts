// `throughway audit`: who changed what, and whether that list is still what was written.
import type { Command } from 'commander';

import { type AdminFlags, ConfigError } from '../config/load.ts';
import { openAdminClient, withAdminFlags } from './admin-client.ts';
import { printJson, printText } from './print.ts';
import { table } from './table.ts';

interface Flags extends AdminFlags {
  readonly json?: boolean;
}
interface ListFlags extends Flags {
  readonly lines: string;
  readonly id?: string;
  readonly actor?: string;
}

export function addAudit(program: Command): void {
  const audit = program.command('audit').description('Who changed which team, key, user or budget.');
  withAdminFlags(audit.command('list'))
    .description('The newest changes first.')
    .option('-n, --lines <count>', 'how many', '50')
    .option('--id <id>', 'of one team, key, user or budget')
    .option('--actor <actor>', 'by one user’s id, by owner or by system')
    .action(list);
  withAdminFlags(audit.command('verify'))
    .description('Walk the whole chain of hashes. Ends with 1 where a row was edited, deleted, moved or added.')
    .action(verify);
}

async function list({ lines, id, actor, ...flags }: ListFlags): Promise<void> {
  if (!/^\d{1,4}$/.test(lines)) throw new ConfigError(`--lines is "${lines}"; write a whole number, such as 50`);
  const page = await openAdminClient(flags).ask('listAudit', { query: { limit: lines, id, actor } });
  if (flags.json) return printJson(page);
  if (page.data.length === 0) return printText('Nothing was changed.\n');
  const rows = page.data.map((row) => [
    String(row.seq),
    row.at,
    row.actor,
    row.address ?? '-',
    row.action,
    row.kind,
    row.id,
  ]);
  printText(table([['SEQ', 'AT', 'WHO', 'FROM', 'ACTION', 'KIND', 'ID'], ...rows]));
}

async function verify(flags: Flags): Promise<void> {
  const { whole, rows, head, faults } = await openAdminClient(flags).ask('verifyAudit', {});
  if (flags.json) printJson({ whole, rows, head, faults });
  else if (whole) printText(`${rows} rows, all as they were written. The last one is ${head.seq}, ${head.hash}.\n`);
  else
    printText(
      table([['SEQ', 'WHAT', 'MEANS'], ...faults.map((fault) => [String(fault.seq), fault.what, fault.message])]),
    );
  if (!whole) throw new Error(`the audit is not what was written: ${faults.length} of ${rows} rows are wrong`);
}
