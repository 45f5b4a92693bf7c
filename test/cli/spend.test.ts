// `throughway spend`: a table for people, exact figures for programs.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { startGateway, type TestGateway } from '../support/gateway.ts';
import { ADMIN_KEY, chatBody, type Organization, startOrganization } from '../support/organization.ts';
import { run } from './programs.ts';

let dir: string;
let upstream: Organization;
let gateway: TestGateway;
let access: Record<string, string>;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'throughway-spend-'));
  writeFileSync(join(dir, 'admin-key'), ADMIN_KEY);
  upstream = await startOrganization();
  gateway = await startGateway({
    upstream: upstream.url,
    settings: { reconciliation: { everyHours: 0, adminKey: `file:${join(dir, 'admin-key')}` } },
  });
  access = { THROUGHWAY_ADMIN_TOKEN: gateway.adminToken, THROUGHWAY_ADMIN_LISTEN: new URL(gateway.admin).host };
  for (const [model, input] of [
    ['gpt-4o', 3],
    ['gpt-4o', 1234],
    ['gpt-4o-mini', 1],
    ['gpt-nobody-knows', 10],
  ] as const) {
    const headers = { authorization: `Bearer ${gateway.token}`, 'content-type': 'application/json' };
    const body = chatBody(model, input, 0, 0);
    const reply = await fetch(`${gateway.api}/openai/chat/completions`, { method: 'POST', headers, body });
    assert.equal(reply.status, 200);
  }
});
after(async () => {
  await gateway.close();
  await upstream.close();
  rmSync(dir, { recursive: true, force: true });
});

async function printed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args, { env: access });
  assert.equal(code, 0, `${args.join(' ')}\n${stderr}`);
  return stdout;
}

const row = (text: string, name: string) =>
  text
    .split('\n')
    .find((line) => line.startsWith(name))
    ?.split(/ {2,}/);

test('a table for people: three digits at least, a dash for what is unknown, and a total', async () => {
  const text = await printed('spend', '--by', 'model');
  assert.deepEqual(row(text, 'gpt-4o '), ['gpt-4o', '2', '$0.00309', '$0.00', '0', '0', '0', '0', '1237', '0']);
  assert.deepEqual(row(text, 'gpt-4o-mini')?.slice(0, 3), ['gpt-4o-mini', '1', '$0.00000015']);
  assert.deepEqual(row(text, 'gpt-nobody')?.slice(0, 5), ['gpt-nobody-knows', '1', '\u2014', '$0.00', '1']);
  assert.deepEqual(row(text, 'TOTAL')?.slice(0, 5), ['TOTAL', '4', '$0.00309', '$0.00', '1']);
  assert.match(await printed('spend'), /TEAM +MODEL[^]*default +gpt-4o/);
});

test('what it says by filters, as JSON, CSV and FOCUS', async () => {
  const all = JSON.parse(await printed('spend', '--by', 'model', '--json'));
  assert.equal(all.totals.measured_usd, '0.00309265');
  const one = JSON.parse(
    await printed('spend', 'report', '--by', 'team', '--team', 'default', '--model', 'gpt-4o', '--json'),
  );
  assert.deepEqual([one.data.length, one.totals.measured_usd], [1, '0.0030925']);
  const csv = await printed('spend', '--by', 'model,key', '--csv');
  assert.match(csv, /^key_id,key_name,model,exchanges,measured_usd/);
  assert.match(csv, /,test,gpt-4o,2,0\.0030925,/);
  assert.match(await printed('spend', '--focus'), /^BilledCost,EffectiveCost,/);
  const wrong = await run(['spend', '--csv', '--json'], { env: access });
  assert.equal(wrong.code, 2);
  const unknown = await run(['spend', '--by', 'colour'], { env: access });
  assert.match(unknown.stderr, /colour/);
});

test('reconcile shows drift with its causes, and fails above a threshold', async () => {
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  const calm = await printed('spend', 'reconcile', '--to', tomorrow);
  assert.deepEqual(row(calm, 'TOTAL')?.slice(1, 4), ['$0.00309', '$0.00309', '$0.00']);
  upstream.bill('web search tool calls', 5_000_000_000_000n);
  const { code, stdout } = await run(['spend', 'reconcile', '--to', tomorrow], { env: access });
  assert.equal(code, 1);
  assert.match(stdout, /web search +\$0\.00 +\$5\.00 +\$5\.00 +100 % +off_path/);
  assert.match(stdout, /above a threshold/);
});
