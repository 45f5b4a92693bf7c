// What `serve` tells the person who started it. In colours on a terminal, plain elsewhere.
import { join } from 'node:path';
import { styleText } from 'node:util';

import { ADMIN_TOKEN_FILE } from '../config/data-dir.ts';
import type { Config } from '../config/load.ts';
import type { Gateway } from '../gateway.ts';
import { VERSION } from '../telemetry/version.ts';
import { COMMAND } from './command-name.ts';

export interface Started {
  readonly gateway: Gateway;
  readonly config: Config;
  /** Null where the sandbox answers. */
  readonly upstream: string | null;
  readonly whySandbox: string;
  /** Names of proxy variables that are set. */
  readonly proxies: readonly string[];
}

export function welcome({ gateway, config, upstream, whySandbox, proxies }: Started): string {
  const { api, admin, firstToken } = gateway;
  const key = firstToken?.reveal() ?? null;
  const lines = [
    '',
    styled('bold', `Throughway ${VERSION} serves ${upstream ?? 'the sandbox'}`),
    ...(upstream === null ? sandboxNotice(whySandbox) : []),
    '',
    row('base URL', `${api}/openai`),
    row('key', key ?? `one of yours; another: ${COMMAND} keys create NAME`, key === null ? '' : 'shown this once'),
    row('admin', admin),
    ...(config.adminToken === null
      ? [
          row(
            'token',
            gateway.adminToken.reveal(),
            `opens the admin API; kept in ${join(config.dataDir, ADMIN_TOKEN_FILE)}`,
          ),
        ]
      : []),
    '',
    ...curl(api, key),
    '',
  ];
  for (const name of proxies)
    lines.push(`${name} is set and not used: Throughway connects to the upstream directly.`, '');
  return `${lines.join('\n')}\n`;
}

function sandboxNotice(why: string): string[] {
  return [
    styled('yellow', `SANDBOX (${why}): nothing reaches OpenAI, no model is asked. The built-in stand-in answers,`),
    styled(
      'yellow',
      'and says so in each reply: x-throughway-sandbox: true. To serve OpenAI, set OPENAI_API_KEY and start again.',
    ),
  ];
}

function curl(api: string, key: string | null): string[] {
  const body = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Solve 3x + 11 = 14' }] };
  return [
    `  curl ${api}/openai/chat/completions \\`,
    `    -H "Authorization: Bearer ${key ?? 'YOUR_KEY'}" \\`,
    `    -H "Content-Type: application/json" \\`,
    `    -d '${JSON.stringify(body)}'`,
  ];
}

function row(name: string, text: string, remark = ''): string {
  return `  ${styled('green', name.padEnd(10))}${text}${remark === '' ? '' : styled('dim', `   ${remark}`)}`;
}

function styled(style: Parameters<typeof styleText>[0], text: string): string {
  return styleText(style, text, { stream: process.stderr });
}
