// `throughway logs`: records of exchanges, through the admin API.
import { setTimeout as delay } from 'node:timers/promises';

import type { Command } from 'commander';
import type { z } from 'zod';

import { LIST_LIMIT_MAX, type exchangeSchema } from '../admin/contract.ts';
import { type AdminFlags, ConfigError } from '../config/load.ts';
import { type AdminClient, openAdminClient, withAdminFlags } from './admin-client.ts';
import { printJson, printJsonLine, printText } from './print.ts';
import { alignRow, table } from './table.ts';

type Exchange = z.output<typeof exchangeSchema>;

interface Flags extends AdminFlags {
  readonly json?: boolean;
}
interface TailFlags extends Flags {
  readonly follow?: boolean;
  readonly lines: string;
  readonly team?: string;
  readonly key?: string;
  readonly endpoint?: string;
  readonly model?: string;
  readonly status?: string;
}

/** How often `--follow` looks for new records, and how many it takes at once. */
const FOLLOW_EVERY_MS = 500;
const FOLLOW_ROWS = '200';

export function addLogs(program: Command): void {
  const logs = program.command('logs').description('Records of exchanges.');
  withAdminFlags(logs.command('tail'))
    .description('The newest records, the last one at the end. With --json one record a line.')
    .option('-f, --follow', 'go on with those to come')
    .option('-n, --lines <count>', 'how many', '20')
    .option('--team <team>', 'of one team, by id or name')
    .option('--key <id>', 'of one key')
    .option('--endpoint <template>', 'of one endpoint, such as /v1/chat/completions')
    .option('--model <model>', 'that asked for this model')
    .option('--status <status>', 'that were answered with this HTTP status')
    .action(tail);
  withAdminFlags(logs.command('show'))
    .description('One record, whole.')
    .argument('<id>', 'such as exc_01...')
    .action(show);
}

async function tail(flags: TailFlags): Promise<void> {
  const wanted = Number(flags.lines);
  if (!Number.isInteger(wanted) || wanted < 0)
    throw new ConfigError(`--lines is "${flags.lines}"; write a whole number, such as 20`);
  const client = openAdminClient(flags);
  const filter = {
    team_id: flags.team === undefined ? undefined : (await client.ask('findTeam', { id: flags.team })).id,
    key_id: flags.key,
    endpoint: flags.endpoint,
    model: flags.model,
    status: flags.status,
  };
  const { newest, place } = await readNewest(client, filter, wanted);
  const print = flags.json ? printJsonLine : printRow;
  if (!flags.json) printText(`${alignRow(COLUMNS, WIDTHS)}\n`);
  for (const exchange of newest.toReversed()) print(exchange);
  if (flags.follow) await follow(client, filter, place, print);
}

type Filter = Readonly<Record<'team_id' | 'key_id' | 'endpoint' | 'model' | 'status', string | undefined>>;

/** @returns also the place from which to read on, so that no record is missed between. */
async function readNewest(
  client: AdminClient,
  filter: Filter,
  wanted: number,
): Promise<{ newest: Exchange[]; place: string }> {
  const newest: Exchange[] = [];
  let place: string | undefined;
  let cursor: string | undefined;
  do {
    const limit = String(Math.min(Math.max(wanted - newest.length, 1), LIST_LIMIT_MAX));
    const page = await client.ask('listExchanges', { query: { ...filter, limit, cursor } });
    newest.push(...page.data);
    place ??= page.latest_cursor;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && newest.length < wanted);
  return { newest: newest.slice(0, wanted), place };
}

async function follow(
  client: AdminClient,
  filter: Filter,
  place: string,
  print: (exchange: Exchange) => void,
): Promise<never> {
  for (let cursor = place; ;) {
    const page = await client.ask('listExchanges', { query: { ...filter, order: 'asc', limit: FOLLOW_ROWS, cursor } });
    for (const exchange of page.data) print(exchange);
    if (page.next_cursor === null || page.next_cursor === page.latest_cursor) await delay(FOLLOW_EVERY_MS);
    cursor = page.next_cursor ?? cursor;
  }
}

async function show(id: string, flags: Flags): Promise<void> {
  const exchange = await openAdminClient(flags).ask('findExchange', { id });
  if (flags.json) printJson(exchange);
  else printText(table(facts(exchange)));
}

const COLUMNS = ['AT', 'STATUS', 'ENDING', 'METHOD', 'PATH', 'MODEL', 'MS', 'ID'];
const WIDTHS = [24, 6, 15, 6, 28, 24, 8, 0];

function printRow(exchange: Exchange): void {
  const { at, status, ending, refusal, method, path, model_requested, timings_us, id } = exchange;
  const ms = (timings_us.total / 1000).toFixed(1);
  printText(
    `${alignRow([at, String(status ?? '-'), ending ?? refusal ?? '-', method, path, model_requested ?? '-', ms, id], WIDTHS)}\n`,
  );
}

/** Every member of a record, a line each, under its dotted name. */
function facts(value: unknown, name = ''): string[][] {
  const isTree = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  if (!isTree) return [[name, typeof value === 'string' ? value : JSON.stringify(value)]];
  return Object.entries(value).flatMap(([member, inner]) => facts(inner, name === '' ? member : `${name}.${member}`));
}
