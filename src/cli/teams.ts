// `throughway teams`: who pays and who owns, through the admin API.
import type { Command } from 'commander';
import type { z } from 'zod';

import type { teamSchema } from '../admin/contract.ts';
import type { AdminFlags } from '../config/load.ts';
import { openAdminClient, withAdminFlags } from './admin-client.ts';
import { readAll } from './pages.ts';
import { printJson, printText } from './print.ts';
import { table } from './table.ts';
import { type ScopeFlags, budgetOf, changesOf, repeated, scopesOf, withScopeOptions } from './written.ts';

type Team = z.output<typeof teamSchema>;

interface Flags extends AdminFlags {
  readonly json?: boolean;
}
interface ChangeFlags extends Flags, ScopeFlags {
  readonly name?: string;
  readonly budget?: readonly string[];
}

const WHO = 'its id or name';

export function addTeams(program: Command): void {
  const teams = program.command('teams').description('Teams: who pays and who owns. A key only narrows its team.');
  withScopeOptions(withAdminFlags(teams.command('create')))
    .description('Make a team.')
    .argument('<name>', 'unique among teams')
    .option(
      '--budget <amount>',
      'for all its keys together, such as 50/month (US dollars) or 100000tokens/day; hard; may be given again',
      repeated,
    )
    .action(create);
  withAdminFlags(teams.command('list'))
    .description('All teams that were not deleted, newest first.')
    .option('--status <status>', 'active, suspended or deleted')
    .action(list);
  withAdminFlags(teams.command('show')).description('One team.').argument('<team>', WHO).action(show);
  withScopeOptions(withAdminFlags(teams.command('update')))
    .description('Change a team. What is left out stays; what it may no longer, its keys may no longer.')
    .argument('<team>', WHO)
    .option('--name <name>', 'another name')
    .action(update);
  for (const [verb, route, what] of [
    ['suspend', 'suspendTeam', 'The keys of a team open nothing until it is resumed.'],
    ['resume', 'resumeTeam', 'The keys of a suspended team open again.'],
  ] as const) {
    withAdminFlags(teams.command(verb))
      .description(what)
      .argument('<team>', WHO)
      .action(async (team: string, flags: Flags) => {
        const client = openAdminClient(flags);
        const { id } = await client.ask('findTeam', { id: team });
        printTeam(await client.ask(route, { id }), flags);
      });
  }
  withAdminFlags(teams.command('delete'))
    .description('Delete a team; its keys never open anything again. Its history stays.')
    .argument('<team>', WHO)
    .action(remove);
}

async function create(name: string, flags: ChangeFlags): Promise<void> {
  const body = { ...scopesOf(flags), name, budgets: flags.budget?.map(budgetOf) };
  printTeam(await openAdminClient(flags).ask('createTeam', { body }), flags);
}

async function list(flags: Flags & { status?: string }): Promise<void> {
  const client = openAdminClient(flags);
  // The gateway knows which words it takes, and says so.
  const status = flags.status as Team['status'] | undefined;
  const data = await readAll((page) => client.ask('listTeams', { query: { ...page, status } }));
  if (flags.json) return printJson({ data, next_cursor: null });
  printText(data.length === 0 ? 'There are no teams.\n' : teamTable(data));
}

async function show(team: string, flags: Flags): Promise<void> {
  printTeam(await openAdminClient(flags).ask('findTeam', { id: team }), flags);
}

async function update(team: string, flags: ChangeFlags): Promise<void> {
  const body = changesOf({ ...scopesOf(flags), name: flags.name });
  const client = openAdminClient(flags);
  const { id } = await client.ask('findTeam', { id: team });
  printTeam(await client.ask('updateTeam', { id, body }), flags);
}

async function remove(team: string, flags: Flags): Promise<void> {
  const client = openAdminClient(flags);
  const { id } = await client.ask('findTeam', { id: team });
  const deleted = await client.ask('deleteTeam', { id });
  if (flags.json) printJson(deleted);
  else printText(`${deleted.id} is deleted.\n`);
}

function printTeam(team: Team, flags: Flags): void {
  if (flags.json) printJson(team);
  else printText(teamTable([team]));
}

function teamTable(teams: readonly Team[]): string {
  const rows = teams.map((team) => [
    team.id,
    team.name,
    team.status,
    team.models.join(','),
    team.endpoints.join(','),
    team.tags.join(','),
    team.created_at,
  ]);
  return table([['ID', 'NAME', 'STATUS', 'MODELS', 'ENDPOINTS', 'TAGS', 'CREATED'], ...rows]);
}
