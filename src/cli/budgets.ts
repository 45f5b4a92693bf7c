// `throughway budgets`: how much in a window of time, through the admin API.
import type { Command } from 'commander';
import type { z } from 'zod';

import type { BodyOf, budgetSchema } from '../admin/contract.ts';
import { type AdminFlags, ConfigError } from '../config/load.ts';
import { type AdminClient, openAdminClient, withAdminFlags } from './admin-client.ts';
import { readAll } from './pages.ts';
import { printJson, printText } from './print.ts';
import { table } from './table.ts';
import { budgetOf, changesOf, listOf } from './written.ts';

type Budget = z.output<typeof budgetSchema>;

interface Flags extends AdminFlags {
  readonly json?: boolean;
}
interface BoundFlags extends Flags {
  readonly key?: string;
  readonly team?: string;
  readonly user?: string;
  readonly scope?: string;
}
interface CreateFlags extends BoundFlags, ChangeFlags {
  readonly model?: string;
  readonly tag?: string;
  readonly rolling?: boolean;
  readonly timeZone?: string;
}
interface ChangeFlags extends Flags {
  readonly soft?: boolean;
  readonly hard?: boolean;
  readonly thresholds?: string;
  readonly usd?: string;
  readonly tokens?: string;
  readonly increase?: string;
  readonly until?: string;
}

export function addBudgets(program: Command): void {
  const budgets = program
    .command('budgets')
    .description('Budgets: how much may be spent in a window of time. Hard ones refuse before the upstream is called.');
  withChangeOptions(withBoundOptions(withAdminFlags(budgets.command('create'))))
    .description('Make a budget, such as: budgets create 50/month --team web')
    .argument('<amount>', 'such as 5/day or 50/month (US dollars), or 100000tokens/hour; without a window for all time')
    .option('--model <pattern>', 'of one model or pattern')
    .option('--tag <tag>', 'of one tag')
    .option('--rolling', 'the window reaches back from now, instead of beginning with the hour, day, Monday or first')
    .option('--time-zone <name>', 'where calendar windows begin, such as Europe/Berlin (default: UTC)')
    .action(create);
  withBoundOptions(withAdminFlags(budgets.command('list')))
    .description('Budgets with what is spent and set aside, newest first.')
    .action(list);
  withAdminFlags(budgets.command('show')).description('One budget.').argument('<id>').action(show);
  withChangeOptions(withAdminFlags(budgets.command('update')))
    .description('Change a budget: what it binds, its window and its unit stay.')
    .argument('<id>')
    .option('--usd <amount>', 'another limit, US dollars')
    .option('--tokens <count>', 'another limit, tokens')
    .action(update);
  withAdminFlags(budgets.command('delete'))
    .description('Delete a budget: it binds nothing more.')
    .argument('<id>')
    .action(remove);
}

function withBoundOptions(command: Command): Command {
  return command
    .option('--key <id>', 'of one key')
    .option('--team <team>', 'of one team, by id or name')
    .option('--user <user>', 'of one user, by id or name')
    .option('--scope <scope>', 'key, team, user, end_user (each end user has an account), model, tag or global');
}

function withChangeOptions(command: Command): Command {
  return command
    .option('--soft', 'it only tells')
    .option('--hard', 'it refuses (default)')
    .option('--thresholds <percentages>', 'at which it tells (default: 50,80,100)')
    .option('--increase <amount>', 'on top of the limit for a while, in its unit; none takes it away')
    .option('--until <time>', 'when the increase ends, such as 2027-01-31T00:00:00Z');
}

async function boundOf(client: AdminClient, { key, team, user, scope }: BoundFlags) {
  return {
    key_id: key,
    team_id: team === undefined ? undefined : (await client.ask('findTeam', { id: team })).id,
    user_id: user === undefined ? undefined : (await client.ask('findUser', { id: user })).id,
    // The gateway knows which words it takes, and says so.
    scope: scope as Budget['scope'] | undefined,
  };
}

function kindOf({ soft, hard }: ChangeFlags): Budget['kind'] | undefined {
  if (soft && hard) throw new ConfigError('a budget is --soft or --hard, not both');
  if (soft) return 'soft';
  return hard ? 'hard' : undefined;
}

function increaseOf({ increase, until }: ChangeFlags, isTokens: boolean): BodyOf<'updateBudget'>['increase'] {
  if (increase === undefined) return undefined;
  if (increase === 'none') return null;
  if (until === undefined) throw new ConfigError('--increase needs --until, such as 2027-01-31T00:00:00Z');
  return isTokens ? { tokens: Number(increase), until } : { usd: increase, until };
}

async function create(amount: string, flags: CreateFlags): Promise<void> {
  const client = openAdminClient(flags);
  const written = budgetOf(amount);
  const body = {
    ...written,
    ...(await boundOf(client, flags)),
    model: flags.model,
    tag: flags.tag,
    rolling: flags.rolling,
    time_zone: flags.timeZone,
    kind: kindOf(flags),
    thresholds: listOf(flags.thresholds)?.map(Number),
    increase: increaseOf(flags, written.limit_tokens !== undefined),
  };
  printBudget(await client.ask('createBudget', { body }), flags);
}

async function list(flags: BoundFlags): Promise<void> {
  const client = openAdminClient(flags);
  const bound = await boundOf(client, flags);
  const data = await readAll((page) => client.ask('listBudgets', { query: { ...page, ...bound } }));
  if (flags.json) return printJson({ data, next_cursor: null });
  printText(data.length === 0 ? 'There are no budgets.\n' : budgetTable(data));
}

async function show(id: string, flags: Flags): Promise<void> {
  printBudget(await openAdminClient(flags).ask('findBudget', { id }), flags);
}

async function update(id: string, flags: ChangeFlags): Promise<void> {
  const client = openAdminClient(flags);
  const isTokens = flags.increase !== undefined && (await client.ask('findBudget', { id })).limit_tokens !== null;
  const body = changesOf({
    limit_usd: flags.usd,
    limit_tokens: flags.tokens === undefined ? undefined : Number(flags.tokens),
    kind: kindOf(flags),
    thresholds: listOf(flags.thresholds)?.map(Number),
    increase: increaseOf(flags, isTokens),
  });
  printBudget(await client.ask('updateBudget', { id, body }), flags);
}

async function remove(id: string, flags: Flags): Promise<void> {
  const deleted = await openAdminClient(flags).ask('deleteBudget', { id });
  if (flags.json) printJson(deleted);
  else printText(`${deleted.id} is deleted.\n`);
}

function printBudget(budget: Budget, flags: Flags): void {
  if (flags.json) printJson(budget);
  else printText(budgetTable([budget]));
}

function budgetTable(budgets: readonly Budget[]): string {
  const rows = budgets.map((budget) => [
    budget.id,
    budget.scope,
    budget.key_id ?? budget.team_id ?? budget.user_id ?? budget.model ?? budget.tag ?? 'all',
    budget.kind,
    amountOf(budget.limit_usd, budget.limit_tokens),
    budget.rolling ? `${budget.window}, rolling` : budget.window,
    amountOf(budget.spent_usd, budget.spent_tokens),
    amountOf(budget.held_usd, budget.held_tokens),
    budget.resets_at ?? '-',
  ]);
  return table([['ID', 'SCOPE', 'OF', 'KIND', 'LIMIT', 'WINDOW', 'SPENT', 'HELD', 'RESETS'], ...rows]);
}

function amountOf(usd: string | null, tokens: number | null): string {
  return usd === null ? `${tokens ?? 0} tokens` : `${usd} USD`;
}
