// Who spent what, as the admin API tells it: rows, pages, CSV and FOCUS, all of them the sums of the ledger.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { formatUsd, parseUsd } from '../../src/domain/money.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { chatBody, type Organization, startOrganization } from '../support/organization.ts';

let upstream: Organization;
let gateway: TestGateway;
const keys: { readonly id: string; readonly token: string; readonly name: string }[] = [];

before(async () => {
  upstream = await startOrganization();
  gateway = await startGateway({ upstream: upstream.url });
  for (const name of ['web', 'ops'])
    await gateway.adminFetch('/admin/v1/teams', {
      method: 'POST',
      body: JSON.stringify({ name, tags: [`of-${name}`] }),
    });
  for (const name of ['=1+1', 'two', 'three']) {
    const team = name === 'three' ? 'ops' : 'web';
    const made = await gateway.createKey({ name, team, tags: ['batch'] });
    keys.push({ id: made.key.id, token: made.token, name });
  }
  for (const [i, { token }] of keys.entries()) {
    for (let n = 0; n <= i; n++) await chat(token, chatBody(n === 0 ? 'gpt-4o' : 'gpt-4o-mini', 1000 + i, 200, 7));
  }
  await chat(keys[1]!.token, chatBody('gpt-nobody-knows', 10, 0, 1));
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

async function chat(token: string, body: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const reply = await fetch(`${gateway.api}/openai/v1/chat/completions`, { method: 'POST', headers, body });
  assert.equal(reply.status, 200, await reply.text());
}

// Each test says what it expects of it.
// oxlint-disable-next-line typescript/no-explicit-any
async function spend(query: string): Promise<any> {
  const reply = await gateway.adminFetch(`/admin/v1/spend?${query}`);
  const text = await reply.text();
  assert.equal(reply.status, 200, text);
  return reply.headers.get('content-type') === 'application/json' ? JSON.parse(text) : text;
}

/** Cells of lines without quotes in them; a quoted one is taken whole. */
function parseCsv(text: string): Record<string, string>[] {
  const lines = text.split('\r\n').filter((line) => line !== '');
  const cells = lines.map((line) =>
    [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)]
      .map(([, cell = '']) => (cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell))
      .slice(0, -1),
  );
  const [columns = [], ...rows] = cells;
  return rows.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i] ?? ''])));
}

const sum = (rows: readonly Record<string, string>[], column: string) =>
  formatUsd(rows.reduce((total, row) => total + parseUsd(row[column] || '0'), 0n));

test('what was spent is what the upstream billed, and what nobody has a price for is told apart', async () => {
  const { totals, data } = await spend('group_by=model');
  assert.equal(totals.measured_usd, formatUsd(upstream.totalPico()));
  assert.deepEqual([totals.exchanges, totals.unpriced, totals.estimated_usd], [7, 1, '0']);
  const unknown = data.find((row: { model: string }) => row.model === 'gpt-nobody-knows');
  assert.deepEqual([unknown.measured_usd, unknown.unpriced, unknown.exchanges], ['0', 1, 1]);
});

test('names stand beside ids, also of what was deleted', async () => {
  const [, two] = keys;
  const reply = await gateway.adminFetch(`/admin/v1/keys/${two!.id}`, { method: 'DELETE' });
  assert.equal(reply.status, 200);
  const { data } = await spend('group_by=key,team,user');
  assert.deepEqual(
    data
      .map((row: Record<string, string>) => [row['key_name'], row['team_name'], row['user_id'], row['user_name']])
      .toSorted(),
    [
      ['=1+1', 'web', null, null],
      ['three', 'ops', null, null],
      ['two', 'web', null, null],
    ],
  );
});

test('totals are those of all rows, whichever page is asked for, and the pages are the rows', async () => {
  const all = await spend('group_by=key,model');
  assert.equal(all.next_cursor, null);
  const paged: unknown[] = [];
  let cursor: string | null = '0';
  while (cursor !== null) {
    const page = await spend(`group_by=key,model&limit=2&cursor=${cursor}`);
    assert.ok(page.data.length <= 2);
    assert.deepEqual(page.totals, all.totals);
    paged.push(...page.data);
    cursor = page.next_cursor;
  }
  assert.deepEqual(paged, all.data);
  assert.ok(paged.length > 2);
});

test('a filter by a key finds what that key spent', async () => {
  const all = await spend('group_by=key,model');
  const [one] = keys;
  const { data } = await spend(`group_by=key,model&key_id=${one!.id}`);
  assert.deepEqual(
    data,
    all.data.filter((row: { key_id: string }) => row.key_id === one!.id),
  );
  assert.equal((await spend('group_by=key&key_id=key_nobody')).data.length, 0);
});

test('CSV has the same rows, with a header, and no name in it is a formula', async () => {
  const all = await spend('group_by=key,day');
  const text: string = await spend('group_by=key,day&format=csv');
  const rows = parseCsv(text);
  assert.deepEqual(
    rows.map((row) => [row['key_id'], row['day'], row['measured_usd'], row['unpriced']]),
    all.data.map((row: Record<string, unknown>) => [
      row['key_id'],
      row['day'],
      row['measured_usd'],
      String(row['unpriced']),
    ]),
  );
  assert.deepEqual(new Set(rows.map((row) => row['key_name'])), new Set(["'=1+1", 'three', 'two']));
});

test('FOCUS rows add up to the same, each with its period, its key, its team and its tags', async () => {
  const { totals } = await spend('');
  const rows = parseCsv(await spend('format=focus'));
  for (const column of ['BilledCost', 'EffectiveCost', 'ListCost', 'ContractedCost'])
    assert.equal(sum(rows, column), totals.measured_usd);
  const counted = rows.reduce((count, row) => count + Number(row['x_Exchanges']), 0);
  assert.equal(counted, totals.exchanges);
  const [third] = rows.filter((row) => row['ResourceName'] === 'three' && row['SkuId'] === 'gpt-4o');
  const today = new Date().toISOString().slice(0, 10);
  assert.deepEqual(
    [
      'SubAccountName',
      'BillingCurrency',
      'ChargeCategory',
      'ServiceCategory',
      'ProviderName',
      'ConsumedQuantity',
      'x_CostState',
    ].map((column) => third![column]),
    ['ops', 'USD', 'Usage', 'AI and Machine Learning', 'OpenAI', '1009', 'measured'],
  );
  assert.equal(third!['ChargePeriodStart'], `${today}T00:00:00Z`);
  assert.equal(third!['BillingPeriodStart'], `${today.slice(0, 8)}01T00:00:00Z`);
  assert.ok(Date.parse(third!['BillingPeriodEnd']!) > Date.parse(third!['ChargePeriodStart']));
  assert.deepEqual(JSON.parse(third!['Tags']!), { 'of-ops': true, batch: true });
  const [unknown] = rows.filter((row) => row['SkuId'] === 'gpt-nobody-knows');
  assert.deepEqual(
    [unknown!['BilledCost'], unknown!['x_CostState'], unknown!['x_UnpricedExchanges']],
    ['', 'unknown', '1'],
  );
  // What FOCUS 1.2 says of its columns: none of these is null, and only words that it allows stand in them.
  const [INSTANT, MONEY] = [/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, /^-?\d+(\.\d+)?$/];
  const columns: Readonly<Record<string, RegExp>> = {
    BilledCost: MONEY,
    EffectiveCost: MONEY,
    ListCost: MONEY,
    ContractedCost: MONEY,
    BillingCurrency: /^USD$/,
    BillingAccountId: /./,
    BillingAccountName: /./,
    BillingPeriodStart: INSTANT,
    BillingPeriodEnd: INSTANT,
    ChargePeriodStart: INSTANT,
    ChargePeriodEnd: INSTANT,
    ChargeCategory: /^Usage$/,
    ChargeClass: /^$/,
    ChargeDescription: /./,
    ChargeFrequency: /^Usage-Based$/,
    InvoiceIssuerName: /./,
    PricingCategory: /^Standard$/,
    PricingQuantity: MONEY,
    PricingUnit: /^(Tokens|Requests)$/,
    ConsumedQuantity: MONEY,
    ConsumedUnit: /^(Tokens|Requests)$/,
    ProviderName: /./,
    PublisherName: /./,
    ServiceCategory: /^AI and Machine Learning$/,
    ServiceName: /./,
    ServiceSubcategory: /^Generative AI$/,
    SkuId: /./,
    SkuPriceId: /./,
  };
  for (const row of rows) {
    const isUnknown = row['x_CostState'] === 'unknown';
    for (const [column, form] of Object.entries(columns))
      if (!isUnknown || !column.endsWith('Cost')) assert.match(row[column] ?? 'absent', form, column);
    assert.equal(row['SkuId'], row['SkuPriceId']);
  }
  const names = Object.keys(rows[0]!);
  assert.ok(
    names.findIndex((name) => name.startsWith('x_')) === names.findLastIndex((name) => !name.startsWith('x_')) + 1,
  );

  const reply = await gateway.adminFetch('/admin/v1/spend?format=focus&group_by=key');
  assert.equal(reply.status, 400);
});

test('rows by tag have one of what has no tag: null, and empty in CSV', async () => {
  const { token } = await gateway.createKey({ name: 'untagged' });
  const before = await spend('group_by=tag');
  assert.ok(before.data.every(({ tag }: { tag: string | null }) => tag !== null));
  await chat(token, chatBody('gpt-4o', 100, 20, 3));
  const { data, totals } = await spend('group_by=tag');
  const [untagged, ...others] = data.filter(({ tag }: { tag: string | null }) => tag === null);
  assert.deepEqual([untagged.exchanges, others], [1, []]);
  // Here each other exchange has two tags, that of its team and that of its key.
  const usd = (rows: { measured_usd: string }[]) =>
    rows.reduce((total, { measured_usd }) => total + parseUsd(measured_usd), 0n);
  assert.equal(usd(data) - usd([untagged]), 2n * (usd([totals]) - usd([untagged])));
  const rows = parseCsv(await spend('group_by=tag&format=csv'));
  assert.deepEqual(
    rows.filter(({ tag }) => tag === '').map(({ exchanges, measured_usd }) => [exchanges, measured_usd]),
    [['1', untagged.measured_usd]],
  );
});
