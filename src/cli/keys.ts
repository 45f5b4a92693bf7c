// `throughway keys`: virtual keys, through the admin API.
import type { Command } from 'commander';
import type { z } from 'zod';

import { LIST_LIMIT_MAX, type keySchema } from '../admin/contract.ts';
import { ConfigError, type AdminFlags } from '../config/load.ts';
import { type AdminClient, openAdminClient, withAdminFlags } from './admin-client.ts';
import { printJson, printText } from './print.ts';
import { table } from './table.ts';

type Key = z.output<typeof keySchema>;

interface Flags extends AdminFlags {
  readonly json?: boolean;
}
interface CreateFlags extends Flags {
  readonly name?: string;
  readonly team?: string;
  readonly endpoints?: string;
  readonly expiresAt?: string;
}

export function addKeys(program: Command): void {
  const keys = program.command('keys').description('Virtual keys: what clients present in place of an OpenAI key.');
  withAdminFlags(keys.command('create'))
    .description('Make a key. Its token is shown this once.')
    .argument('[name]', 'what lists call the key')
    .option('--name <name>', 'the same, as an option')
    .option('--team <team>', 'its team, by id or name (default: the team "default")')
    .option(
      '--endpoints <groups>',
      'groups of endpoints that it may call, such as chat,embeddings (default: *, all but admin)',
    )
    .option('--expires-at <time>', 'when it ends, such as 2027-01-31T00:00:00Z (default: never)')
    .action(create);
  withAdminFlags(keys.command('list'))
    .description('All keys, newest first.')
    .option('--team <team>', 'of one team, by id or name')
    .action(list);
  withAdminFlags(keys.command('show')).description('One key.').argument('<id>', 'such as key_01...').action(show);
  withAdminFlags(keys.command('revoke'))
    .description('End a key, at once and for good. Running exchanges go on.')
    .argument('<id>', 'such as key_01...')
    .action(revoke);
}

async function create(argument: string | undefined, flags: CreateFlags): Promise<void> {
  const name = argument ?? flags.name;
  if (name === undefined) throw new ConfigError('a key needs a name: keys create NAME');
  const { key, token } = await openAdminClient(flags).ask('createKey', {
    body: {
      name,
      team: flags.team,
      endpoints: flags.endpoints?.split(',').map((group) => group.trim()),
      expires_at: flags.expiresAt,
    },
  });
  if (flags.json) return printJson({ key, token });
  printText(`${keyTable([key])}\ntoken  ${token}\n`);
  process.stderr.write('The token is shown this once and kept nowhere.\n');
}

async function list(flags: Flags & { readonly team?: string }): Promise<void> {
  const client = openAdminClient(flags);
  const team_id = flags.team === undefined ? undefined : (await client.ask('findTeam', { id: flags.team })).id;
  const data = await listAll(client, team_id);
  if (flags.json) return printJson({ data, next_cursor: null });
  printText(data.length === 0 ? 'There are no keys.\n' : keyTable(data));
}

async function show(id: string, flags: Flags): Promise<void> {
  printKey(await openAdminClient(flags).ask('findKey', { id }), flags);
}

async function revoke(id: string, flags: Flags): Promise<void> {
  printKey(await openAdminClient(flags).ask('revokeKey', { id }), flags);
}

function printKey(key: Key, flags: Flags): void {
  if (flags.json) printJson(key);
  else printText(keyTable([key]));
}

async function listAll(client: AdminClient, team_id: string | undefined): Promise<Key[]> {
  const all: Key[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.ask('listKeys', { query: { limit: String(LIST_LIMIT_MAX), cursor, team_id } });
    all.push(...page.data);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return all;
}

function keyTable(keys: readonly Key[]): string {
  const rows = keys.map((key) => [
    key.id,
    key.name,
    key.status,
    key.token_hint,
    key.endpoints.join(','),
    key.team_id,
    key.expires_at ?? 'never',
    key.created_at,
  ]);
  return table([['ID', 'NAME', 'STATUS', 'TOKEN', 'ENDPOINTS', 'TEAM', 'EXPIRES', 'CREATED'], ...rows]);
}
