// Writes what is listed twice: the settings, the command line's help, the admin API's routes, the cost of each operation and the names
// of LiteLLM's into their pages in docs/. Run it with `node scripts/reference-docs.ts` after a change of any of them; a test compares.
import { readFileSync, writeFileSync } from 'node:fs';

import type { Command } from 'commander';
import { z } from 'zod';

import { type Access, type Route, routes } from '../src/admin/contract.ts';
import { buildProgram } from '../src/cli/cli.ts';
import { settingsSchema } from '../src/config/config.ts';
import { costTable } from './cost-table.ts';
import { litellmTables } from './litellm-tables.ts';

/** Page to the part of it that is made here, between `<!-- made by ... -->` and `<!-- end -->`. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'docs/configuration.md': settings,
  'docs/cli.md': commands,
  'docs/admin-api.md': adminRoutes,
  'docs/cost.md': costTable,
  'docs/litellm.md': litellmTables,
};

const PART = /(<!-- made by scripts\/reference-docs.ts -->\n)[^]*(<!-- end -->)/;

/** The page as it should be. */
export function remade(page: string, make: () => string): string {
  const text = readFileSync(new URL(`../${page}`, import.meta.url), 'utf8');
  if (!PART.test(text)) throw new Error(`${page} has no place for what is made`);
  return text.replace(PART, (_, begin: string, end: string) => `${begin}\n${make()}\n${end}`);
}

interface Node {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly items?: Node;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: unknown;
}

function settings(): string {
  const root = z.toJSONSchema(settingsSchema, { io: 'input' }) as Node;
  const isGroup = ([, node]: [string, Node]) => node.properties !== undefined;
  const entries = Object.entries(root.properties ?? {});
  const parts = [
    settingsTable(
      entries.filter((entry) => !isGroup(entry)),
      '',
    ),
  ];
  for (const [name, node] of entries.filter(isGroup)) {
    parts.push(
      `### \`${name}\``,
      ...(node.description === undefined ? [] : [node.description]),
      settingsTable(Object.entries(node.properties ?? {}), `${name}.`),
    );
  }
  return `${parts.join('\n\n')}\n`;
}

function settingsTable(entries: readonly [string, Node][], prefix: string): string {
  const rows = entries.flatMap(([name, node]) => settingRows(`${prefix}${name}`, node));
  return [
    '| setting | type | default | what it does, and what happens at its limit |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n');
}

function settingRows(name: string, node: Node, isNeeded = false): string[] {
  const own = `| \`${name}\` | ${typeOf(name, node)} | ${isNeeded ? 'none; it is needed' : defaultOf(node)} | ${cell(node.description ?? '')} |`;
  const { properties: inner = {}, required = [] } = node.items ?? node;
  const prefix = node.items?.properties === undefined ? `${name}.` : `${name}[].`;
  return [
    own,
    ...Object.entries(inner).flatMap(([member, child]) =>
      settingRows(`${prefix}${member}`, child, required.includes(member)),
    ),
  ];
}

function typeOf(name: string, node: Node): string {
  if (node.enum !== undefined) return node.enum.map((value) => `\`${String(value)}\``).join(', ');
  switch (node.type) {
    case 'boolean':
      return '`true`, `false`';
    case 'number':
    case 'integer':
      return [node.type === 'integer' ? 'whole number' : 'number', unitOf(name), rangeOf(node)]
        .filter((part) => part !== '')
        .join(', ');
    case 'array':
      return node.items?.properties === undefined && node.items?.type === 'string' ? 'list of texts' : 'list';
    case 'object':
      return 'map';
    default:
      if (node.pattern?.startsWith('^(env|file)')) return 'secret: `env:NAME` or `file:/path`';
      return node.pattern?.includes('\\d{1,5}') ? '`HOST:PORT`' : 'text';
  }
}

/** The unit stands at the end of a name. */
function unitOf(name: string): string {
  return /(seconds|days|bytes)(Max)?$/i.exec(name)?.[1]?.toLowerCase() ?? '';
}

/** Zod bounds every whole number by what a double holds exactly; that tells nobody anything. */
function rangeOf({ minimum, maximum, exclusiveMinimum }: Node): string {
  const least = exclusiveMinimum === undefined ? minimum : `above ${exclusiveMinimum}`;
  const most = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (most !== undefined) return `${least} to ${most}`;
  return least === undefined ? '' : typeof least === 'string' ? least : `at least ${least}`;
}

function defaultOf(node: Node): string {
  if (node.default === undefined) return 'none';
  return node.type === 'array' && Array.isArray(node.default) && node.default.length === 0
    ? 'empty'
    : `\`${cell(typeof node.default === 'string' ? node.default : JSON.stringify(node.default))}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function commands(): string {
  const program = buildProgram();
  return leaves(program)
    .map((command) => `## \`${fullName(command)}\`\n\n\`\`\`\n${helpOf(command)}\`\`\`\n`)
    .join('\n');
}

function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

/** As `--help` prints it on a wide terminal. */
export function helpOf(command: Command): string {
  return command.configureHelp({ helpWidth: 120 }).helpInformation();
}

function adminRoutes(): string {
  const rows = Object.values<Route>(routes).map(
    ({ method, path, summary, access, query, body }) =>
      `| \`${method} ${path}\` | ${cell(summary)} | ${ACCESS_TEXTS[access]} | ${fieldsOf(query)} | ${fieldsOf(body)} |`,
  );
  return [`| route | answers | roles | query | body |`, '|---|---|---|---|---|', ...rows, ''].join('\n');
}

const ACCESS_TEXTS: Readonly<Record<Access, string>> = {
  any: 'all',
  see: 'owner, admin, viewer',
  see_team: 'all, a team’s within it',
  change: 'owner, admin',
  change_team: 'owner, admin; team_admin within its team',
  own: 'owner',
};

function fieldsOf(schema: z.ZodType | undefined): string {
  if (schema === undefined) return '';
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input' }) as {
    properties?: object;
    required?: string[];
  };
  return Object.keys(properties)
    .map((name) => `\`${name}\`${required.includes(name) ? ' (needed)' : ''}`)
    .join(', ');
}

if (import.meta.main) {
  for (const [page, make] of Object.entries(PAGES))
    writeFileSync(new URL(`../${page}`, import.meta.url), remade(page, make));
}
