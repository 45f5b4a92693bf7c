// A hundred thousand exchanges of all kinds over HTTP: what reports say is what an oracle says that knows nothing of the house, by
// whatever they are grouped; and so they do when the ledger is made again from the records alone.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { type TestGateway, startGateway } from '../support/gateway.ts';
import { KEYS, KEY_TAGS, type Owed, PARTS, TEAM_OF, exchangeOf } from './mix.ts';
import type { Order, Report } from './mixed-traffic.ts';
import { datedClock } from './stand.ts';

const EXCHANGES = 100_000;
const IN_A_PART = EXCHANGES / PARTS.length;
const SPAN = 'from=2026-07-01&to=2026-09-01';
const GROUPS = ['key', 'team', 'model', 'endpoint', 'day', 'tag', 'day,key,model,endpoint'] as const;

interface Sums {
  exchanges: number;
  measured: bigint;
  estimated: bigint;
  partial: number;
  unpriced: number;
  free: number;
  pending: number;
}

const traffic = new Worker(new URL('./mixed-traffic.ts', import.meta.url));
const dirs = [mkdtempSync(join(tmpdir(), 'throughway-mix-')), mkdtempSync(join(tmpdir(), 'throughway-mix-again-'))];
let gateway: TestGateway | null = null;
let upstream = '';
before(async () => {
  const [report] = (await once(traffic, 'message')) as [{ readonly upstream: string }];
  upstream = report.upstream;
});
after(async () => {
  await gateway?.close();
  await traffic.terminate();
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

test(`L01: ${EXCHANGES} exchanges over HTTP sum up to what an oracle says, and again from their records alone`, async () => {
  const clock = datedClock(PARTS[0]!);
  gateway = await startGateway({ upstream, clock, dataDir: dirs[0]! });
  const teams = [await made('teams', { name: 'product' }), await made('teams', { name: 'science' })];
  await gateway.close();
  // A contract names a team that is there.
  const contracts = [{ team: 'product', factor: '0.3333' }];
  gateway = await startGateway({ upstream, clock, dataDir: dirs[0]!, settings: { prices: { contracts } } });
  const keys: { readonly id: string; readonly token: string }[] = [];
  for (const [i, name] of KEYS.entries()) {
    const { key, token } = await gateway.createKey({ name, team: teams[TEAM_OF[i]!]!.id, tags: KEY_TAGS[i] });
    keys.push({ id: key.id, token });
  }

  const told = new Map<string, Map<string, Sums>>(GROUPS.map((groupBy) => [groupBy, new Map()]));
  for (const [part, at] of PARTS.entries()) {
    clock.set(at);
    const from = part * IN_A_PART;
    const order = { api: gateway.api, tokens: keys.map(({ token }) => token), part, from, to: from + IN_A_PART };
    traffic.postMessage(order satisfies Order);
    const [report] = (await once(traffic, 'message')) as [Extract<Report, { wrong: number }>];
    assert.deepEqual(report, { sent: IN_A_PART, wrong: 0, first: null });
    for (let number = from; number < order.to; number++) {
      const exchange = exchangeOf(number, part);
      const { key } = exchange;
      const dimensions = { ...exchange, key: keys[key]!.id, team: teams[TEAM_OF[key]!]!.id, day: at.slice(0, 10) };
      for (const [groupBy, sums] of told) {
        // Each exchange counts once; by tags, once for each that it has, or once as one that has none.
        const tags = groupBy === 'tag' ? KEY_TAGS[key]! : [];
        for (const tag of tags.length === 0 ? [''] : tags)
          add(sums, nameOf(groupBy, { ...dimensions, tag }), exchange.owed);
      }
    }
  }

  for (const groupBy of GROUPS) assert.deepEqual(await reported(groupBy), told.get(groupBy), groupBy);

  // Its records, and nothing else of it.
  await gateway.close();
  gateway = null;
  copyFileSync(join(dirs[0]!, 'spool.db'), join(dirs[1]!, 'spool.db'));
  gateway = await startGateway({ upstream, clock, dataDir: dirs[1]! });
  for (const groupBy of GROUPS) assert.deepEqual(await reported(groupBy), told.get(groupBy), `again by ${groupBy}`);
});

function nameOf(groupBy: string, dimensions: object): string {
  const of = dimensions as Readonly<Record<string, string>>;
  return groupBy
    .split(',')
    .map((group) => of[group])
    .join(' ');
}

function add(all: Map<string, Sums>, name: string, { state, pico }: Owed): void {
  let sums = all.get(name);
  if (sums === undefined) {
    sums = { exchanges: 0, measured: 0n, estimated: 0n, partial: 0, unpriced: 0, free: 0, pending: 0 };
    all.set(name, sums);
  }
  sums.exchanges++;
  sums[state === 'estimated' ? 'estimated' : 'measured'] += pico;
  if (state !== 'priced' && state !== 'estimated') sums[state]++;
}

async function made(resource: string, body: object): Promise<{ readonly id: string }> {
  const reply = await gateway!.adminFetch(`/admin/v1/${resource}`, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(reply.status, 201);
  return (await reply.json()) as { id: string };
}

async function asked(path: string): Promise<unknown> {
  const reply = await gateway!.adminFetch(path);
  assert.equal(reply.status, 200);
  return await reply.json();
}

type Row = Readonly<Record<string, string | number | null>>;

async function reported(groupBy: string): Promise<Map<string, Sums>> {
  const { data } = (await asked(`/admin/v1/spend?group_by=${groupBy}&${SPAN}`)) as { readonly data: readonly Row[] };
  const names = groupBy.split(',').map((group) => (group === 'key' || group === 'team' ? `${group}_id` : group));
  return new Map(
    data.map((row) => [
      names.map((name) => row[name] ?? '').join(' '),
      {
        exchanges: Number(row['exchanges']),
        measured: picoOf(row['measured_usd']),
        estimated: picoOf(row['estimated_usd']),
        partial: Number(row['partial']),
        unpriced: Number(row['unpriced']),
        free: Number(row['free']),
        pending: Number(row['pending']),
      },
    ]),
  );
}

function picoOf(usd: string | number | null | undefined): bigint {
  const [whole = '', decimals = ''] = String(usd).split('.');
  return BigInt(whole + decimals.padEnd(12, '0'));
}
