// `npm run demo`: four requests through a gateway, and what the gateway knows of each afterwards.
import { styleText, parseArgs } from 'node:util';

import OpenAI, { toFile } from 'openai';

import type { ExchangeRecord } from '../src/domain/exchange-record.ts';
import { createKey, startLocalGateway } from './local-gateway.ts';

const usage = `Usage: npm run demo -- [options]

  --base-url URL     a running gateway's base URL, such as http://127.0.0.1:4000/openai
  --key TOKEN        a virtual key of it
  --admin-url URL    its admin API (default http://127.0.0.1:4001)
  --admin-token T    opens the admin API, to show the records (default: THROUGHWAY_ADMIN_TOKEN)
  --model NAME       the model that chats (default gpt-4o-mini)

Without --key it uses the gateway at http://127.0.0.1:4000 where one runs and an admin token is given;
else it starts one of its own on the sandbox and throws it away at the end.
`;

interface Gateway {
  readonly baseUrl: string;
  readonly token: string;
  /** Absent where nobody gave a token for it; records are then not shown. */
  readonly admin?: { readonly url: string; readonly token: string };
  readonly remark: string;
  close(): Promise<void>;
}

interface Options {
  readonly baseUrl: string | undefined;
  readonly key: string | undefined;
  readonly adminUrl: string;
  readonly adminToken: string | undefined;
}

const question = 'Solve 3x + 11 = 14';

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      'base-url': { type: 'string' },
      key: { type: 'string' },
      'admin-url': { type: 'string', default: 'http://127.0.0.1:4001' },
      'admin-token': { type: 'string' },
      model: { type: 'string', default: 'gpt-4o-mini' },
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
    await tour(gateway, values.model);
  } finally {
    await gateway.close();
  }
}

async function findGateway({ baseUrl, key, adminUrl, adminToken }: Options): Promise<Gateway> {
  const admin = adminToken === undefined ? {} : { admin: { url: adminUrl, token: adminToken } };
  const usual = 'http://127.0.0.1:4000';
  const running = { baseUrl: baseUrl ?? `${usual}/openai`, ...admin, close: async () => {} };
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

async function tour(gateway: Gateway, model: string): Promise<void> {
  const client = new OpenAI({ baseURL: gateway.baseUrl, apiKey: gateway.token });
  const messages = [{ role: 'user' as const, content: question }];

  step(1, `A chat completion: ${question}`);
  const whole = await client.chat.completions.create({ model, messages }).withResponse();
  reply(whole.data.choices[0]?.message.content ?? '');
  await account(gateway, whole.response);

  step(2, 'The same, streamed');
  const streamed = await client.chat.completions
    .create({ model, messages, stream: true, stream_options: { include_usage: true } })
    .withResponse();
  const pieces: string[] = [];
  for await (const chunk of streamed.data) pieces.push(chunk.choices[0]?.delta.content ?? '');
  reply(pieces.join(''));
  print(dim(`   in ${pieces.length} chunks`));
  await account(gateway, streamed.response);

  step(3, 'An embedding of the question');
  const embedded = await client.embeddings
    .create({ model: 'text-embedding-3-small', input: question, encoding_format: 'float' })
    .withResponse();
  const vector = embedded.data.data[0]?.embedding ?? [];
  const start = vector.slice(0, 4).map((value) => value.toFixed(3));
  reply(`${vector.length} numbers: ${start.join(', ')}, ...`);
  await account(gateway, embedded.response);

  step(4, 'A file, uploaded and read back');
  const notes = await toFile(Buffer.from(`${question}\n`), 'notes.txt');
  const uploaded = await client.files.create({ file: notes, purpose: 'user_data' }).withResponse();
  reply(`uploaded as ${uploaded.data.id}, ${uploaded.data.bytes} bytes`);
  await account(gateway, uploaded.response);
  const content = await client.files.content(uploaded.data.id);
  reply(`read back: ${(await content.text()).trim()}`);
  await account(gateway, content);
  await client.files.delete(uploaded.data.id);
}

/** What the exchange cost, and its record as any sink would get it. */
async function account({ admin }: Gateway, response: Response): Promise<void> {
  const id = response.headers.get('x-throughway-exchange-id');
  if (id === null) return print(dim('   no x-throughway-exchange-id: is this Throughway?'));
  if (!admin) return print(dim(`   exchange ${id}; give --admin-token to see its cost and record`));

  const record = await findRecord(admin, id);
  print(`   ${label('cost')}${costOf(record)}`);
  print(`   ${label('record')}${record.id}`);
  const { method, endpoint, path, status, ending, timings_us: timings, bytes } = record;
  const rows: [string, string][] = [
    ['at', record.at],
    ['request', `${method} ${endpoint ?? path} -> ${status ?? 'no reply'}, ${ending ?? 'refused'}`],
    ['key', `${record.key_id ?? 'none'} of ${record.team_id ?? 'no team'}`],
    ['model', record.model_served ?? record.model_requested ?? 'none'],
    ['time', `${milliseconds(timings.first_byte)} to the first byte, ${milliseconds(timings.total)} in all`],
    ['bytes', `${bytes.in} in, ${bytes.out} out`],
    ['usage', record.usage.raw ? JSON.stringify(record.usage.raw) : record.usage.source],
  ];
  for (const [name, text] of rows) print(dim(`     ${name.padEnd(9)}${text}`));
}

function costOf({ cost }: ExchangeRecord): string {
  if (cost.state === 'free') return 'free';
  return cost.usd === null ? 'not priced yet' : `${cost.usd} USD`;
}

/** A record is written when the exchange has ended, which is a moment after the last byte arrived here. */
async function findRecord(admin: { url: string; token: string }, id: string): Promise<ExchangeRecord> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const found = await fetch(`${admin.url}/admin/v1/exchanges/${id}`, {
      headers: { authorization: `Bearer ${admin.token}` },
    });
    // The admin API answers in the shape of the record's own type.
    if (found.ok) return (await found.json()) as ExchangeRecord;
    if (found.status !== 404 || performance.now() > deadline) {
      throw new Error(`The admin API answered ${found.status} for ${id}: ${await found.text()}`);
    }
    await found.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function step(number: number, title: string): void {
  print('', styleText('bold', `${number}  ${title}`));
}

function reply(text: string): void {
  for (const line of text.split('\n')) print(`   ${styleText('cyan', '|')} ${line}`.trimEnd());
}

function label(name: string): string {
  return styleText('green', name.padEnd(9));
}

function dim(text: string): string {
  return styleText('dim', text);
}

function milliseconds(microseconds: number | null): string {
  return microseconds === null ? 'unknown' : `${(microseconds / 1000).toFixed(1)} ms`;
}

function print(...lines: string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

// Whoever reads the output, such as `head`, has seen enough.
process.stdout.once('error', () => process.exit());

try {
  await main();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
