// How the demo shows a step, its reply, and what the gateway knows of an exchange.
import { styleText } from 'node:util';

import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';

/** Where records are read; absent where nobody gave a token for it. */
export type Admin = { readonly url: string; readonly token: string } | undefined;

/** A record is written when the exchange has ended, which is a moment after the last byte arrived here. */
const RECORD_MS = 10_000;

/** What the exchange of this reply cost, and its record as any sink would get it. */
export async function account(admin: Admin, response: Response): Promise<void> {
  const id = response.headers.get('x-throughway-exchange-id');
  if (id === null) return print(dim('   no x-throughway-exchange-id: is this Throughway?'));
  if (!admin) return print(dim(`   exchange ${id}; give --admin-token to see its cost and record`));
  const record = await awaited(`the record of ${id}`, () => readAdmin<ExchangeRecord>(admin, `/exchanges/${id}`));
  showRecord(record);
}

/** The same for the model calls of a run, oldest first. */
export async function accountForRun(admin: Admin, runId: string): Promise<void> {
  if (!admin) return print(dim(`   give --admin-token to see the cost and the records of ${runId}`));
  const records = await awaited(`a record of ${runId}`, async () => {
    const page = await readAdmin<{ data: ExchangeRecord[] }>(admin, '/exchanges?endpoint=/v1/responses&limit=100');
    const found = page?.data.filter(({ run }) => run?.id === runId).toReversed() ?? [];
    return found.length > 0 ? found : undefined;
  });
  records.forEach(showRecord);
}

function showRecord(record: ExchangeRecord): void {
  print(`   ${label('cost')}${costOf(record)}`);
  print(`   ${label('record')}${record.id}`);
  const { method, endpoint, path, status, ending, timings_us: timings, bytes, run } = record;
  const rows: [string, string][] = [
    ['at', record.at],
    ['request', `${method} ${endpoint ?? path} -> ${status ?? 'no reply'}, ${ending ?? 'refused'}`],
    ...(run === undefined
      ? []
      : ([['run', `turn ${run.turn} of ${run.id} on ${run.thread_id}`]] as [string, string][])),
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
  return cost.usd === null ? `unknown (${cost.why ?? cost.state})` : `${cost.usd} USD`;
}

/** Undefined for what is not there yet. */
async function readAdmin<T>(admin: NonNullable<Admin>, path: string): Promise<T | undefined> {
  const reply = await fetch(`${admin.url}/admin/v1${path}`, { headers: { authorization: `Bearer ${admin.token}` } });
  // The admin API answers in the shapes of the house's own types.
  if (reply.ok) return (await reply.json()) as T;
  if (reply.status !== 404) throw new Error(`The admin API answered ${reply.status} to ${path}: ${await reply.text()}`);
  await reply.body?.cancel();
  return undefined;
}

async function awaited<T>(what: string, find: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + RECORD_MS;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`The admin API does not show ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function part(title: string): void {
  print('', styleText(['bold', 'underline'], title));
}

export function step(number: number, title: string): void {
  print('', styleText('bold', `${number}  ${title}`));
}

export function reply(text: string): void {
  for (const line of text.split('\n')) print(`   ${styleText('cyan', '|')} ${line}`.trimEnd());
}

export function dim(text: string): string {
  return styleText('dim', text);
}

export function print(...lines: string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

function label(name: string): string {
  return styleText('green', name.padEnd(9));
}

function milliseconds(microseconds: number | null): string {
  return microseconds === null ? 'unknown' : `${(microseconds / 1000).toFixed(1)} ms`;
}
