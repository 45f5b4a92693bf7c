// `throughway prices`: the price book of a running gateway, through the admin API.
import type { Command } from 'commander';
import type { z } from 'zod';

import type { Routes } from '../admin/contract.ts';
import { type AdminFlags, ConfigError } from '../config/load.ts';
import { openAdminClient, withAdminFlags } from './admin-client.ts';
import { checkDigest, readPriceDocuments } from './price-documents.ts';
import { printJson, printText } from './print.ts';
import { table } from './table.ts';
import { exactUsd, shownUsd } from './usd.ts';

interface Flags extends AdminFlags {
  readonly json?: boolean;
}

type Row = z.output<Routes['listPrices']['answer']>['data'][number];
type Plan = z.output<Routes['diffPrices']['answer']>;

const FROM = 'openai, litellm, genai, a URL, a file, or a directory of pages in Markdown';
const SHA256 = 'hex; what is read must have it, as pages do that somebody looked at elsewhere';

export function addPrices(program: Command): void {
  const prices = program
    .command('prices')
    .description('The price book: what models cost, and why an exchange cost what it did.');
  withAdminFlags(prices.command('list'))
    .description('Prices in force, in US dollars.')
    .option('--model <pattern>', 'of one model, or of those that a pattern with * names')
    .option('--at <time>', 'as they were or will be, such as 2026-11-22 (default: now)')
    .action(list);
  withAdminFlags(prices.command('show'))
    .description('Every row of one model.')
    .argument('<model>', 'such as gpt-4o')
    .option('--at <time>', 'the row in force at another time (default: now)')
    .action(show);
  withAdminFlags(prices.command('explain'))
    .description('What an exchange cost and why, line by line.')
    .argument('<exchange>', 'such as exc_01...')
    .action(explain);
  withAdminFlags(prices.command('diff'))
    .description('Compare the prices in force with OpenAI’s pages, or with a public collection. Changes nothing.')
    .option('--from <source>', FROM, 'openai')
    .option('--sha256 <digest>', SHA256)
    .action(diff);
  withAdminFlags(prices.command('refresh'))
    .description('Read OpenAI’s pages and show what differs; with --apply put it in force from now on.')
    .option('--from <source>', FROM, 'openai')
    .option('--sha256 <digest>', SHA256)
    .option('--compare <sources...>', 'also show where other collections disagree: litellm, genai, a URL or a file')
    .option('--apply', 'put what differs in force')
    .option('--force', 'also where pages were not read completely, or a rate changes by 50 % or more')
    .action(refresh);
  withAdminFlags(prices.command('verify'))
    .description(
      'What is old, unconfirmed or missing in the price book. Exits with 1 where something is stale or missing.',
    )
    .action(verify);
  withAdminFlags(prices.command('unpriced'))
    .description('Models and endpoints that were seen without a price.')
    .action(unpriced);
  withAdminFlags(prices.command('reprice'))
    .description('Work out past costs again at the prices in force now, and enter the differences.')
    .requiredOption('--from <time>', 'inclusive, such as 2026-11-01T00:00:00Z')
    .requiredOption('--to <time>', 'exclusive')
    .option('--dry-run', 'say what would change, and enter nothing')
    .action(reprice);
}

async function list(flags: Flags & { readonly model?: string; readonly at?: string }): Promise<void> {
  const answer = await openAdminClient(flags).ask('listPrices', { query: { model: flags.model, at: flags.at } });
  if (flags.json) return printJson(answer);
  printText(answer.data.length === 0 ? 'No price is known for that.\n' : rowTable(answer.data));
}

async function show(model: string, flags: Flags & { readonly at?: string }): Promise<void> {
  const answer = await openAdminClient(flags).ask('findPrice', { id: model, query: { at: flags.at } });
  if (flags.json) return printJson(answer);
  const { in_force, rows, retires_on } = answer;
  const lines = (in_force === null ? [] : [in_force]).flatMap(({ rates }) =>
    Object.entries(rates).map(([meter, { usd, per, confidence }]) => [meter, shownUsd(usd), per, confidence]),
  );
  if (lines.length === 0) printText('No row is in force.\n');
  else printText(table([['METER', 'USD', 'PER', 'CONFIDENCE'], ...lines]));
  printText(`\n${rowTable(rows)}`);
  if (retires_on !== null) printText(`\nretires on ${retires_on}\n`);
}

/** The columns that most models have; all meters stand in `show` and in JSON. */
const COLUMNS = ['input_text', 'input_text_cached', 'input_text_written', 'output_text'] as const;

function rowTable(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const others = Object.keys(row.rates).filter((meter) => !COLUMNS.some((column) => column === meter));
    return [
      row.model,
      row.tier ?? 'standard',
      ...COLUMNS.map((meter) => shownUsd(row.rates[meter]?.usd ?? null)),
      others.length === 0 ? '-' : others.join(','),
      row.effective_from ?? 'ever',
      row.layer,
      row.confidence,
      row.source?.checked_on ?? '-',
    ];
  });
  const head = [
    'MODEL',
    'TIER',
    'INPUT',
    'CACHED',
    'WRITTEN',
    'OUTPUT',
    'OTHERS',
    'FROM',
    'LAYER',
    'CONFIDENCE',
    'CHECKED',
  ];
  return table([head, ...lines]);
}

async function explain(id: string, flags: Flags): Promise<void> {
  const answer = await openAdminClient(flags).ask('explainCost', { id });
  if (flags.json) return printJson(answer);
  const { model, state, why, usd, total_usd, price_version, lines, entries, reproduced, now } = answer;
  const facts = [
    ['exchange', answer.exchange_id],
    ['at', answer.at],
    ['model', model ?? '-'],
    ['endpoint', answer.endpoint ?? '-'],
    ['cost', `${exactUsd(usd)} (${state}${why === null ? '' : `, ${why}`})`],
    ['prices', price_version ?? '-'],
    ['the same again', reproduced === null ? '-' : reproduced ? 'yes' : 'no'],
    ['at prices of now', now === null ? '-' : exactUsd(now.usd)],
  ];
  printText(table(facts));
  if (lines.length > 0) {
    const rows = lines.map((line) => [
      line.meter,
      line.text,
      line.confidence ?? '-',
      line.source === null ? (line.layer ?? '-') : `${line.source.url} (${line.source.checked_on})`,
    ]);
    printText(`\n${table([['METER', 'LINE', 'CONFIDENCE', 'SOURCE'], ...rows])}`);
  }
  if (entries.length === 0) return;
  const later = entries.map((entry) => [entry.at, entry.settle_key, entry.state, exactUsd(entry.usd)]);
  printText(`\n${table([['ENTERED', 'AS', 'STATE', 'USD'], ...later])}total  ${exactUsd(total_usd)}\n`);
}

interface SourceFlags extends Flags {
  readonly from: string;
  readonly sha256?: string;
}

async function diff(flags: SourceFlags): Promise<void> {
  const body = await bodyFrom(flags);
  printPlan(await openAdminClient(flags).ask('diffPrices', { body }), flags);
}

interface RefreshFlags extends SourceFlags {
  readonly compare?: readonly string[];
  readonly apply?: boolean;
  readonly force?: boolean;
}

async function refresh(flags: RefreshFlags): Promise<void> {
  const client = openAdminClient(flags);
  const body = await bodyFrom(flags);
  const others = await Promise.all(
    (flags.compare ?? []).map(async (from) => ({ from, body: await bodyFrom({ from }) })),
  );
  const plan = flags.apply
    ? await client.ask('refreshPrices', { body: { ...body, force: flags.force === true } })
    : await client.ask('diffPrices', { body });
  if (!flags.json) printPlan(plan, flags);
  // After it was applied: what they say of the new prices.
  const compared: (Plan & { readonly from: string })[] = [];
  for (const { from, body: other } of others) {
    const each = { from, ...(await client.ask('diffPrices', { body: other })) };
    compared.push(each);
    if (flags.json) continue;
    printText(`\n${from}: `);
    printPlan(each, flags);
  }
  if (flags.json) printJson(flags.compare === undefined ? plan : { ...plan, compared });
  if (!flags.apply) {
    if (!flags.json) process.stderr.write('Nothing was changed. --apply puts this in force.\n');
    return;
  }
  if (!plan.applied) {
    const way =
      plan.source === 'openai'
        ? 'look at each doubt, then use --force'
        : 'write what you agree with in prices.overrides';
    throw new Error(`not applied: ${plan.doubts.join('; ')}; ${way}`);
  }
}

async function bodyFrom({ from, sha256 }: Pick<SourceFlags, 'from' | 'sha256'>) {
  const read = await readPriceDocuments(from);
  if (sha256 !== undefined) checkDigest(read, sha256);
  return { url: read.url, documents: read.documents.map((each) => ({ ...each })) };
}

function printPlan(plan: Plan, flags: Flags): void {
  if (flags.json) return printJson(plan);
  printText(`${plan.rates} rates of ${plan.models} models were read.\n`);
  const rows = plan.differences.map(({ of, what, before_usd, after_usd, per, change_percent }) => [
    of,
    what,
    shownUsd(before_usd),
    shownUsd(after_usd),
    per,
    change_percent === null ? '-' : `${change_percent} %`,
  ]);
  printText(
    rows.length === 0
      ? 'All of them are as in the price book.\n'
      : table([['OF', 'RATE', 'BEFORE', 'AFTER', 'PER', 'CHANGE'], ...rows]),
  );
  for (const each of plan.unread) printText(`not understood: ${each}\n`);
  for (const each of plan.doubts) printText(`doubt: ${each}\n`);
  if (plan.applied) printText(`In force now: ${plan.price_version}\n`);
}

async function verify(flags: Flags): Promise<void> {
  const answer = await openAdminClient(flags).ask('verifyPrices', {});
  if (flags.json) printJson(answer);
  else if (answer.findings.length === 0) printText('Nothing is to be said against the price book.\n');
  else {
    const rows = answer.findings.map(({ layer, kind, of, message }) => [kind, layer, of, message]);
    printText(table([['KIND', 'LAYER', 'OF', 'WHAT'], ...rows]));
  }
  if (!answer.sound) throw new Error('the price book has stale or missing rates: throughway prices refresh');
}

async function unpriced(flags: Flags): Promise<void> {
  const { data } = await openAdminClient(flags).ask('listUnpriced', {});
  if (flags.json) return printJson({ data });
  if (data.length === 0) return printText('Nothing was seen without a price.\n');
  const rows = data.map((row) => [
    row.model ?? '-',
    row.endpoint,
    row.reason,
    String(row.exchanges),
    row.first_seen_at,
    row.last_seen_at,
  ]);
  printText(table([['MODEL', 'ENDPOINT', 'REASON', 'REQUESTS', 'FIRST SEEN', 'LAST SEEN'], ...rows]));
}

async function reprice(
  flags: Flags & { readonly from: string; readonly to: string; readonly dryRun?: boolean },
): Promise<void> {
  const body = { from: instant('--from', flags.from), to: instant('--to', flags.to), dry_run: flags.dryRun === true };
  const answer = await openAdminClient(flags).ask('repriceEntries', { body });
  if (flags.json) return printJson(answer);
  const { changes, changed, unchanged, unpriced: without, left, before_usd, after_usd } = answer;
  if (changes.length > 0) {
    const rows = changes.map(({ settle_key, model, at, ...amounts }) => [
      settle_key,
      model ?? '-',
      at,
      shownUsd(amounts.before_usd),
      shownUsd(amounts.after_usd),
    ]);
    printText(table([['ENTRY', 'MODEL', 'AT', 'BEFORE', 'AFTER'], ...rows]));
  }
  const verb = body.dry_run ? 'would change' : 'changed';
  printText(
    `${changed} ${verb}, from ${shownUsd(before_usd)} to ${shownUsd(after_usd)}; ${unchanged} stay as they are, ${without} have no price, ${left} cannot be worked out again.\n`,
  );
}

function instant(flag: string, text: string): string {
  const ms = Date.parse(text);
  if (Number.isNaN(ms))
    throw new ConfigError(`${flag} is "${text}"; write a day or a time, such as 2026-11-01T00:00:00Z`);
  return new Date(ms).toISOString();
}
