// The tables of docs/litellm.md: routes, fields and settings of LiteLLM's, from what the code does with them.
import type { z } from 'zod';

import { litellmRoutes } from '../src/admin/contract.ts';
import { HONOURED, type Kind, NOT_HONOURED } from '../src/admin/litellm-fields.ts';
import { LEFT, NO_SINK, PROMETHEUS, SINK_SETTINGS, TAKEN } from '../src/cli/litellm-settings.ts';

const KINDS: Readonly<Record<Kind, string>> = { key: 'Keys', team: 'Teams', user: 'Users', budget: 'Budgets' };
const WORDS = { by_hand: 'by hand', not_needed: 'not needed', not_supported: 'not supported' } as const;

export function litellmTables(): string {
  const parts = [
    '## Routes',
    table(
      ['route', 'answers'],
      Object.values(litellmRoutes).map(({ method, path, summary }) => [`\`${method} ${path}\``, summary]),
    ),
    '## Fields that are honoured',
    ...Object.entries(KINDS).flatMap(([kind, title]) => [`### ${title}`, honoured(HONOURED[kind as Kind])]),
    '## Fields that are not',
    'They are named in `unsupported_fields`, as is any field that stands in no table here. What is null, false or empty asks for nothing.',
    table(
      ['field', 'of', 'why'],
      NOT_HONOURED.map(({ names, of, why }) => [names.map(code).join(', '), of.join(', '), why]),
    ),
    '## Settings',
    'What `throughway import litellm` writes, in whichever section it stands:',
    table(
      ['setting', 'becomes', 'how'],
      [
        ...TAKEN.map(({ names, to, note }) => [names.map(code).join(', '), to.split(', ').map(code).join(', '), note]),
        [
          '`litellm_params.api_key`',
          '`upstream.credentials`',
          'Of entries with `use_in_pass_through: true`, where there are any; by reference.',
        ],
        ['`litellm_params.api_base`', '`upstream.baseUrl`', 'Where all entries name the same.'],
        ['`litellm_params.rpm`, `litellm_params.tpm`', '`limits.models`', 'Those of one model are added.'],
      ],
    ),
    'And what it does not:',
    table(
      ['setting', '', 'why'],
      [
        ...LEFT.map(({ names, outcome, why }) => [names.map(code).join(', '), WORDS[outcome], why]),
        [
          SINK_SETTINGS.map(code).join(', '),
          WORDS.not_supported,
          `${NO_SINK}. \`prometheus\` is not needed: ${PROMETHEUS}`,
        ],
      ],
    ),
  ];
  return `${parts.join('\n\n')}\n`;
}

function honoured(fields: Readonly<Record<string, z.ZodType>>): string {
  return table(
    ['field', 'does'],
    Object.entries(fields).map(([name, schema]) => [code(name), schema.description ?? '']),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

function code(text: string): string {
  return `\`${text}\``;
}
