// `throughway spend`: who spent what, and whether the upstream bills the same, through the admin API.
import type { Command } from 'commander';
import type { z } from 'zod';

import type { QueryOf, Routes } from '../admin/contract.ts';
import { type AdminFlags, ConfigError } from '../config/load.ts';
import { type AdminClient, openAdminClient, withAdminFlags } from './admin-client.ts';
import { printJson, printText } from './print.ts';
import { table } from './table.ts';
import { shownUsd } from './usd.ts';

type Spend = z.output<Routes['spend']['answer']>;
type Row = Spend['data'][number];
type Sums = Spend['totals'];
type Reconciled = z.output<Routes['reconcile']['answer']>;

interface Flags extends AdminFlags {
  readonly json?: boolean;
  readonly from?: string;
  readonly to?: string;
}
interface ReportFlags extends Flags {
  readonly by: string;
  readonly team?: string;
  readonly key?: string;
  readonly user?: string;
  readonly model?: string;
  readonly endpoint?: string;
  readonly tag?: string;
  readonly csv?: boolean;
  readonly focus?: boolean;
}

const DEFAULT_GROUPS = 'team,model';

export function addSpend(program: Command): void {
  const spend = program.command('spend').description('Who spent what, and whether the upstream bills the same.');
  withAdminFlags(spend.command('report', { isDefault: true }))
    .description(
      'Who spent what. What was estimated, and what nobody knows the cost of, stands apart. `throughway spend` alone means this.',
    )
    .option(
      '--by <groups>',
      'one or more of key,team,user,model,endpoint,tag,day,hour, divided by commas',
      DEFAULT_GROUPS,
    )
    .option('--from <time>', 'a day or a time, inclusive (default: thirty days before --to)')
    .option('--to <time>', 'a day or a time, exclusive (default: now)')
    .option('--team <team>', 'of one team, by id or name')
    .option('--key <id>', 'of one key')
    .option('--user <user>', 'of one user, by id or name')
    .option('--model <model>', 'of one model')
    .option('--endpoint <template>', 'of one endpoint, such as /v1/chat/completions')
    .option('--tag <tag>', 'of one tag')
    .option('--csv', 'print CSV: all rows, exact, without totals')
    .option('--focus', 'print CSV in the columns of FOCUS 1.2, by days')
    .action(report);
  withAdminFlags(spend.command('reconcile'))
    .description(
      'What the upstream bills beside what the ledger says, with likely causes. Needs reconciliation.adminKey. Exits with 1 above a threshold.',
    )
    .option('--from <day>', 'inclusive, UTC (default: seven days before --to)')
    .option('--to <day>', 'exclusive, UTC (default: today)')
    .option('--enter', 'enter what is billed otherwise, on nobody’s account; needs --from and --to')
    .action(reconcile);
}

async function report(flags: ReportFlags, command: Command): Promise<void> {
  const formats = [flags.json, flags.csv, flags.focus].filter((each) => each === true);
  if (formats.length > 1)
    throw new ConfigError('--json, --csv and --focus are three forms of one answer; give one of them');
  const client = openAdminClient(flags);
  const query = {
    from: flags.from,
    to: flags.to,
    team_id: flags.team === undefined ? undefined : (await client.ask('findTeam', { id: flags.team })).id,
    key_id: flags.key,
    user_id: flags.user === undefined ? undefined : (await client.ask('findUser', { id: flags.user })).id,
    model: flags.model,
    endpoint: flags.endpoint,
    tag: flags.tag,
  };
  if (flags.focus === true) {
    const isAsked = command.getOptionValueSource('by') !== 'default';
    return printLines(client, { ...query, group_by: isAsked ? flags.by : undefined, format: 'focus' });
  }
  const grouped = { ...query, group_by: flags.by };
  if (flags.csv === true) return printLines(client, { ...grouped, format: 'csv' });
  const answer = await client.ask('spend', { query: grouped });
  if (flags.json === true) printJson(answer);
  else printText(spendTable(answer, flags.by.split(',')));
}

async function printLines(client: AdminClient, query: QueryOf<'spend'>): Promise<void> {
  const decoder = new TextDecoder();
  for await (const piece of await client.read('spend', { query })) printText(decoder.decode(piece, { stream: true }));
}

function spendTable({ from, to, data, totals }: Spend, groups: readonly string[]): string {
  const header = [...groups.map((group) => group.toUpperCase()), ...SUMS];
  const rows = data.map((row) => [...groups.map((group) => nameIn(row, group)), ...sumCells(row)]);
  const total = [...groups.map((_, i) => (i === 0 ? 'TOTAL' : '')), ...sumCells(totals)];
  return `${from} to ${to}\n${table([header, ...rows, total])}`;
}

const SUMS = ['REQUESTS', 'MEASURED', 'ESTIMATED', 'UNPRICED', 'PENDING', 'PARTIAL', 'FREE', 'TOKENS IN', 'TOKENS OUT'];

function sumCells(sums: Sums): string[] {
  const { exchanges, measured_usd, estimated_usd, unpriced, pending, partial, free, tokens_in, tokens_out } = sums;
  // Of what has no price, or none yet, nothing is known: that is no zero.
  const isUnknown = Number(measured_usd) === 0 && unpriced + pending + partial > 0 && free === 0;
  return [
    String(exchanges),
    shownUsd(isUnknown ? null : measured_usd),
    shownUsd(estimated_usd),
    ...[unpriced, pending, partial, free, tokens_in, tokens_out].map(String),
  ];
}

/** What it is called; its id where nobody knows a name. */
function nameIn(row: Row, group: string): string {
  const of = row as Readonly<Record<string, unknown>>;
  const named = [`${group}_name`, `${group}_id`, group]
    .map((field) => of[field])
    .find((value) => typeof value === 'string');
  return String(named ?? '(none)');
}

async function reconcile(flags: Flags & { readonly enter?: boolean }): Promise<void> {
  const { from, to } = flags;
  const client = openAdminClient(flags);
  if (flags.enter === true) {
    if (from === undefined || to === undefined)
      throw new ConfigError('--enter needs --from and --to, days of UTC such as 2026-11-01');
    const { entered, compared } = await client.ask('adjustToBill', { body: { from, to } });
    if (flags.json === true) printJson({ entered, compared });
    else printText(`${driftTable(compared)}${entered} entries were made.\n`);
    return;
  }
  const answer = await client.ask('reconcile', { query: { from, to } });
  if (flags.json === true) printJson(answer);
  else printText(driftTable(answer));
  if (answer.alert)
    throw new Error('the upstream bills something else than the ledger says, above a threshold of reconciliation');
}

function driftTable(answer: Reconciled): string {
  const percent = (value: number | null) => (value === null ? '\u2014' : `${value} %`);
  const rows = answer.rows.map((row) => [
    row.day,
    row.subject,
    shownUsd(row.ledger_usd),
    shownUsd(row.upstream_usd),
    shownUsd(row.drift_usd),
    percent(row.drift_percent),
    row.causes.map(({ code, factor }) => (factor === null ? code : `${code} x${factor}`)).join(', '),
  ]);
  const total = ['TOTAL', '', answer.ledger_usd, answer.upstream_usd, answer.drift_usd].map((cell, i) =>
    i < 2 ? cell : shownUsd(cell),
  );
  const header = ['DAY', 'WHAT', 'LEDGER', 'UPSTREAM', 'DRIFT', 'PERCENT', 'LIKELY CAUSES'];
  const lines = [
    table([header, ...rows, [...total, percent(answer.drift_percent), answer.alert ? 'above a threshold' : '']]),
  ];
  const whys = new Map(answer.rows.flatMap(({ causes }) => causes.map(({ code, why }) => [code, why] as const)));
  for (const [code, why] of whys) lines.push(`${code}: ${why}\n`);
  if (answer.suggested_factor !== null)
    lines.push(`All prices differ by one factor: ${answer.suggested_factor}. Set it in prices.contracts.\n`);
  for (const { project_id, compared, upstream_usd } of answer.projects)
    if (!compared) lines.push(`Not compared: ${shownUsd(upstream_usd)} of ${project_id ?? 'no project'}.\n`);
  if (answer.untold.length > 0) lines.push(`The upstream did not tell: ${answer.untold.join(', ')}.\n`);
  return lines.join('');
}
