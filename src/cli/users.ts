// `throughway users`: people whom keys may name, and who may hold a token of the admin API.
import type { Command } from 'commander';
import type { z } from 'zod';

import type { BodyOf, userSchema } from '../admin/contract.ts';
import type { AdminFlags } from '../config/load.ts';
import { type AdminClient, openAdminClient, withAdminFlags } from './admin-client.ts';
import { readAll } from './pages.ts';
import { printJson, printText } from './print.ts';
import { table } from './table.ts';
import { changesOf, limitsOf, objectOf, orNull, repeated } from './written.ts';

type User = z.output<typeof userSchema>;

interface Flags extends AdminFlags {
  readonly json?: boolean;
}
interface ChangeFlags extends Flags {
  readonly name?: string;
  readonly role?: string;
  readonly team?: string;
  readonly limit?: readonly string[];
  readonly metadata?: string;
}

const WHO = 'the user’s id or name';
const ROLES = 'owner, admin, viewer, team_admin or team_member';

export function addUsers(program: Command): void {
  const users = program.command('users').description('People whom keys may name, and who may use the admin API.');
  withUserOptions(withAdminFlags(users.command('create')))
    .description('Make a user.')
    .argument('<name>', 'unique among users: an address, or any other name')
    .requiredOption('--role <role>', ROLES)
    .action(create);
  withAdminFlags(users.command('list'))
    .description('All users that were not deleted, newest first.')
    .option('--team <team>', 'of one team, by id or name')
    .option('--status <status>', 'active, suspended or deleted')
    .action(list);
  withAdminFlags(users.command('show')).description('One user.').argument('<user>', WHO).action(show);
  withUserOptions(withAdminFlags(users.command('update')))
    .description('Change a user. What is left out stays.')
    .argument('<user>', WHO)
    .option('--name <name>', 'another name')
    .option('--role <role>', ROLES)
    .action(update);
  for (const [verb, route, what] of [
    ['suspend', 'suspendUser', 'Neither the user’s token nor keys that name the user open anything until resumed.'],
    ['resume', 'resumeUser', 'What was suspended with a user opens again.'],
    ['revoke-token', 'revokeUserToken', 'The user’s token opens the admin API no more.'],
  ] as const) {
    withAdminFlags(users.command(verb))
      .description(what)
      .argument('<user>', WHO)
      .action(async (user: string, flags: Flags) => {
        const client = openAdminClient(flags);
        printUser(await client.ask(route, { id: await idOf(client, user) }), flags);
      });
  }
  withAdminFlags(users.command('token'))
    .description('A token of the admin API with the user’s role, in place of any before. It is shown this once.')
    .argument('<user>', WHO)
    .action(makeToken);
  withAdminFlags(users.command('delete'))
    .description('Delete a user; keys that name the user never open anything again.')
    .argument('<user>', WHO)
    .action(remove);
}

function withUserOptions(command: Command): Command {
  return command
    .option('--team <team>', 'for a team_admin or team_member, by id or name; none takes it away')
    .option(
      '--limit <name=count>',
      'for all keys that name the user together, such as requests_per_minute=600; none lifts it; may be given again',
      repeated,
    )
    .option('--metadata <json>', 'a JSON object of your own');
}

function changesIn(flags: ChangeFlags): BodyOf<'updateUser'> {
  return {
    name: flags.name,
    // The gateway knows which words it takes, and says so.
    role: flags.role as User['role'] | undefined,
    team: orNull(flags.team, 'none'),
    limits: limitsOf(flags.limit),
    metadata: objectOf('--metadata', flags.metadata),
  };
}

async function idOf(client: AdminClient, user: string): Promise<string> {
  return (await client.ask('findUser', { id: user })).id;
}

async function create(name: string, flags: ChangeFlags & { role: string }): Promise<void> {
  const { role, ...others } = changesIn(flags);
  const body = { ...others, name, role: role ?? 'team_member' };
  printUser(await openAdminClient(flags).ask('createUser', { body }), flags);
}

async function list(flags: Flags & { team?: string; status?: string }): Promise<void> {
  const client = openAdminClient(flags);
  const team_id = flags.team === undefined ? undefined : (await client.ask('findTeam', { id: flags.team })).id;
  // The gateway knows which words it takes, and says so.
  const status = flags.status as User['status'] | undefined;
  const data = await readAll((page) => client.ask('listUsers', { query: { ...page, team_id, status } }));
  if (flags.json) return printJson({ data, next_cursor: null });
  printText(data.length === 0 ? 'There are no users.\n' : userTable(data));
}

async function show(user: string, flags: Flags): Promise<void> {
  printUser(await openAdminClient(flags).ask('findUser', { id: user }), flags);
}

async function update(user: string, flags: ChangeFlags): Promise<void> {
  const body = changesOf(changesIn(flags));
  const client = openAdminClient(flags);
  printUser(await client.ask('updateUser', { id: await idOf(client, user), body }), flags);
}

async function makeToken(user: string, flags: Flags): Promise<void> {
  const client = openAdminClient(flags);
  const made = await client.ask('makeUserToken', { id: await idOf(client, user) });
  if (flags.json) return printJson(made);
  printText(`${userTable([made.user])}\ntoken  ${made.token}\n`);
  process.stderr.write('The token is shown this once and kept nowhere.\n');
}

async function remove(user: string, flags: Flags): Promise<void> {
  const client = openAdminClient(flags);
  const deleted = await client.ask('deleteUser', { id: await idOf(client, user) });
  if (flags.json) printJson(deleted);
  else printText(`${deleted.id} is deleted.\n`);
}

function printUser(user: User, flags: Flags): void {
  if (flags.json) printJson(user);
  else printText(userTable([user]));
}

function userTable(users: readonly User[]): string {
  const rows = users.map((user) => [
    user.id,
    user.name,
    user.role,
    user.status,
    user.team_id ?? '-',
    user.token_hint ?? '-',
    user.created_at,
  ]);
  return table([['ID', 'NAME', 'ROLE', 'STATUS', 'TEAM', 'TOKEN', 'CREATED'], ...rows]);
}
