// `npm run demo`: an assistant that answers through a gateway, a few relayed requests, and what the gateway knows of each.
import { styleText, parseArgs } from 'node:util';

import OpenAI from 'openai';

import { showAssistant } from './demo/assistant.ts';
import { showRelay } from './demo/relay.ts';
import { type Admin, dim, print } from './demo/tell.ts';
import { createKey, startLocalGateway } from './local-gateway.ts';

const usage = `Usage: npm run demo -- [options]

  --base-url URL     a running gateway's base URL, such as http://127.0.0.1:4000/openai
  --key TOKEN        a virtual key of it
  --admin-url URL    its admin API (default http://127.0.0.1:4001)
  --admin-token T    opens the admin API, to show the records (default: THROUGHWAY_ADMIN_TOKEN)
  --model NAME       the model of the assistant and the chats (default gpt-4o)

Without --key it uses the gateway at http://127.0.0.1:4000 where one runs and an admin token is given;
else it starts one of its own on the sandbox and throws it away at the end.
`;

interface Gateway {
  readonly baseUrl: string;
  readonly token: string;
  /** Absent where nobody gave a token for it; records are then not shown. */
  readonly admin: Admin;
  readonly remark: string;
  close(): Promise<void>;
}

interface Options {
  readonly baseUrl: string | undefined;
  readonly key: string | undefined;
  readonly adminUrl: string;
  readonly adminToken: string | undefined;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      'base-url': { type: 'string' },
      key: { type: 'string' },
      'admin-url': { type: 'string', default: 'http://127.0.0.1:4001' },
      'admin-token': { type: 'string' },
      model: { type: 'string', default: 'gpt-4o' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(usage);

  const gateway = await findGateway({
    baseUrl: values['base-url'],
    key: values.key,
    adminUrl: values['admin-url'],
    adminToken: values['admin-token'] ?? process.env.THROUGHWAY_ADMIN_TOKEN,
  });
  try {
    print(styleText('bold', `Throughway at ${gateway.baseUrl}`), dim(gateway.remark));
    const client = new OpenAI({ baseURL: gateway.baseUrl, apiKey: gateway.token });
    await showAssistant(client, gateway.admin, values.model);
    await showRelay(client, gateway.admin, values.model);
  } finally {
    await gateway.close();
  }
}

async function findGateway({ baseUrl, key, adminUrl, adminToken }: Options): Promise<Gateway> {
  const admin = adminToken === undefined ? undefined : { url: adminUrl, token: adminToken };
  const usual = 'http://127.0.0.1:4000';
  const running = { baseUrl: baseUrl ?? `${usual}/openai`, admin, close: async () => {} };
  if (key !== undefined) return { ...running, token: key, remark: 'with the key you gave' };
  if (adminToken !== undefined && (baseUrl !== undefined || (await isAlive(usual)))) {
    return { ...running, token: await createKey(adminUrl, adminToken), remark: 'with a key made for this demo' };
  }
  if (baseUrl !== undefined)
    throw new Error('Give a virtual key of that gateway with --key, or --admin-token to make one.');

  const own = await startLocalGateway();
  return {
    baseUrl: `${own.api}/openai`,
    token: own.token,
    admin: { url: own.admin, token: own.adminToken },
    remark: 'started for this demo, on the sandbox: no model is asked',
    close: () => own.close(),
  };
}

async function isAlive(origin: string): Promise<boolean> {
  try {
    return (await fetch(`${origin}/health/live`, { signal: AbortSignal.timeout(1000) })).ok;
  } catch {
    return false;
  }
}

// Whoever reads the output, such as `head`, has seen enough.
process.stdout.once('error', () => process.exit());

try {
  await main();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
