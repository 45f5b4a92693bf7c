// `throughway keys`: virtual keys, through the admin API.
import type { Command } from 'commander';
import type { z } from 'zod';

import type { BodyOf, keySchema } from '../admin/contract.ts';
import { ConfigError, type AdminFlags } from '../config/load.ts';
import { openAdminClient, withAdminFlags } from './admin-client.ts';
import { readAll } from './pages.ts';
import { printJson, printText } from './print.ts';
import { table } from './table.ts';
import {
  type ScopeFlags,
  budgetOf,
  changesOf,
  listOf,
  orNull,
  repeated,
  scopesOf,
  withScopeOptions,
} from './written.ts';

type Key = z.output<typeof keySchema>;
type Changes = BodyOf<'updateKey'>;

interface Flags extends AdminFlags {
  readonly json?: boolean;
}
interface ChangeFlags extends Flags, ScopeFlags {
  readonly name?: string;
  readonly user?: string;
  readonly cidrs?: string;
  readonly onDisconnect?: string;
  readonly onUnpriced?: string;
  readonly onUnbounded?: string;
  readonly onOverrun?: string;
  readonly streamUsage?: string;
  readonly expiresAt?: string;
}
interface CreateFlags extends ChangeFlags {
  readonly team?: string;
  readonly budget?: readonly string[];
}

const ID = 'such as key_01...';

export function addKeys(program: Command): void {
  const keys = program.command('keys').description('Virtual keys: what clients present in place of an OpenAI key.');
  withKeyOptions(withAdminFlags(keys.command('create')))
    .description('Make a key. Its token is shown this once.')
    .argument('[name]', 'what lists call the key')
    .option('--name <name>', 'the same, as an option')
    .option('--team <team>', 'its team, by id or name (default: the team "default")')
    .option('--budget <amount>', 'such as 5/day (US dollars) or 100000tokens/month; hard; may be given again', repeated)
    .action(create);
  withAdminFlags(keys.command('list'))
    .description('All keys that were not deleted, newest first.')
    .option('--team <team>', 'of one team, by id or name')
    .option('--user <user>', 'of one user, by id or name')
    .option('--status <status>', 'active, suspended, revoked, expired or deleted')
    .action(list);
  withAdminFlags(keys.command('show')).description('One key.').argument('<id>', ID).action(show);
  withKeyOptions(withAdminFlags(keys.command('update')))
    .description('Change a key. What is left out stays.')
    .argument('<id>', ID)
    .option('--name <name>', 'what lists call it')
    .action(update);
  withAdminFlags(keys.command('rotate'))
    .description('Give a key a new token, shown this once.')
    .argument('<id>', ID)
    .option('--grace <seconds>', 'how long the token before opens too', '0')
    .action(rotate);
  for (const [verb, route, what] of [
    ['suspend', 'suspendKey', 'A key opens nothing until it is resumed. Its running exchanges are cut.'],
    ['resume', 'resumeKey', 'A suspended key opens again.'],
    ['revoke', 'revokeKey', 'End a key, at once and for good. Its running exchanges are cut.'],
  ] as const) {
    withAdminFlags(keys.command(verb))
      .description(what)
      .argument('<id>', ID)
      .action(async (id: string, flags: Flags) => printKey(await openAdminClient(flags).ask(route, { id }), flags));
  }
  withAdminFlags(keys.command('delete'))
    .description('Delete a key. Its history stays.')
    .argument('<id>', ID)
    .action(remove);
}

function withKeyOptions(command: Command): Command {
  return withScopeOptions(command)
    .option('--user <user>', 'the person it is given to, by id or name; none takes it away')
    .option('--cidrs <networks>', 'networks that it may be used from, such as 10.0.0.0/8 (default: anywhere)')
    .option(
      '--on-disconnect <how>',
      'abort or drain the upstream when the client leaves; default as the gateway is set',
    )
    .option('--on-unpriced <how>', 'allow or deny what has no price')
    .option('--on-unbounded <how>', 'assume_max, learned or refuse, for replies whose length nobody bounds')
    .option('--on-overrun <how>', 'finish or cut what costs more than was set aside')
    .option('--stream-usage <how>', 'inject the question for usage into streams, or estimate')
    .option('--expires-at <time>', 'when it ends, such as 2027-01-31T00:00:00Z, or never');
}

/** The gateway knows which words it takes, and says so. */
function changesIn(flags: ChangeFlags): Changes {
  return {
    ...scopesOf(flags),
    name: flags.name,
    user: orNull(flags.user, 'none'),
    allowed_cidrs: listOf(flags.cidrs),
    on_disconnect: orNull(flags.onDisconnect, 'default') as Changes['on_disconnect'],
    on_unpriced: flags.onUnpriced as Changes['on_unpriced'],
    on_unbounded: flags.onUnbounded as Changes['on_unbounded'],
    on_overrun: flags.onOverrun as Changes['on_overrun'],
    stream_usage: flags.streamUsage as Changes['stream_usage'],
    expires_at: orNull(flags.expiresAt, 'never'),
  };
}

async function create(argument: string | undefined, flags: CreateFlags): Promise<void> {
  const name = argument ?? flags.name;
  if (name === undefined) throw new ConfigError('a key needs a name: keys create NAME');
  const budgets = flags.budget?.map(budgetOf);
  const body = { ...changesIn(flags), name, team: flags.team, budgets };
  printToken(await openAdminClient(flags).ask('createKey', { body }), flags);
}

async function list(flags: Flags & { team?: string; user?: string; status?: string }): Promise<void> {
  const client = openAdminClient(flags);
  const team_id = flags.team === undefined ? undefined : (await client.ask('findTeam', { id: flags.team })).id;
  const user_id = flags.user === undefined ? undefined : (await client.ask('findUser', { id: flags.user })).id;
  // The gateway knows which words it takes, and says so.
  const status = flags.status as Key['status'] | undefined;
  const data = await readAll((page) => client.ask('listKeys', { query: { ...page, team_id, user_id, status } }));
  if (flags.json) return printJson({ data, next_cursor: null });
  printText(data.length === 0 ? 'There are no keys.\n' : keyTable(data));
}

async function show(id: string, flags: Flags): Promise<void> {
  printKey(await openAdminClient(flags).ask('findKey', { id }), flags);
}

async function update(id: string, flags: ChangeFlags): Promise<void> {
  printKey(await openAdminClient(flags).ask('updateKey', { id, body: changesOf(changesIn(flags)) }), flags);
}

async function rotate(id: string, flags: Flags & { grace: string }): Promise<void> {
  if (!/^\d{1,9}$/.test(flags.grace)) {
    throw new ConfigError(`--grace is "${flags.grace}"; write a number of seconds, such as 3600`);
  }
  const body = { grace_seconds: Number(flags.grace) };
  printToken(await openAdminClient(flags).ask('rotateKey', { id, body }), flags);
}

async function remove(id: string, flags: Flags): Promise<void> {
  const deleted = await openAdminClient(flags).ask('deleteKey', { id });
  if (flags.json) printJson(deleted);
  else printText(`${deleted.id} is deleted.\n`);
}

function printToken({ key, token }: { readonly key: Key; readonly token: string }, flags: Flags): void {
  if (flags.json) return printJson({ key, token });
  printText(`${keyTable([key])}\ntoken  ${token}\n`);
  process.stderr.write('The token is shown this once and kept nowhere.\n');
}

function printKey(key: Key, flags: Flags): void {
  if (flags.json) printJson(key);
  else printText(keyTable([key]));
}

function keyTable(keys: readonly Key[]): string {
  const rows = keys.map((key) => [
    key.id,
    key.name,
    key.status,
    key.token_hint,
    key.models.join(','),
    key.endpoints.join(','),
    key.team_id,
    key.expires_at ?? 'never',
    key.created_at,
  ]);
  return table([['ID', 'NAME', 'STATUS', 'TOKEN', 'MODELS', 'ENDPOINTS', 'TEAM', 'EXPIRES', 'CREATED'], ...rows]);
}
