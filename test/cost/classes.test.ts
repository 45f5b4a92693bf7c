// C7: every operation has a cost or is free, and none is passed over: each is asked for through the gateway, answered and refused.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { classify } from '../../scripts/cost-table.ts';
import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';
import { SAMPLES, type Sample, nameOf } from '../conformance/samples.ts';
import type { ScriptedReply } from '../support/recorder.ts';
import { answerPlausibly } from '../support/recorder.ts';
import { type CostStand, asJson, openCostStand } from './stand.ts';

let cost: CostStand;
let token: string;
before(async () => {
  cost = await openCostStand(undefined, { assistants: { mode: 'relay' } });
  token = (await cost.stand.gateway.createKey({ name: 'administrator', endpoints: ['*', 'admin'] })).token;
});
after(() => cost.close());

const CLASSES = new Map(
  ENDPOINTS.filter(({ transport }) => transport === 'http').map((row) => [nameOf(row), classify(row)]),
);

async function ask({ method, rest, headers, body }: Sample, answer: ScriptedReply | null): Promise<ExchangeRecord> {
  const { stand } = cost;
  stand.clear();
  if (answer === null) stand.script(answerPlausibly);
  else {
    stand.script(async (request) => {
      await request.whole();
      return answer;
    });
  }
  const reply = await stand.ask({
    method,
    target: `/openai/v1${rest}`,
    headers: [['Authorization', `Bearer ${token}`], ...headers],
    ...(body === null ? {} : { body }),
  });
  const [record] = await stand.recorded(1);
  assert.equal(record!.refusal, null, `${method} ${rest}: ${reply.body.toString()}`);
  return record!;
}

const groups = [...new Set(SAMPLES.map(({ group }) => group!))];
for (const group of groups) {
  test(`C7: ${group}: what is answered costs what its class says, and what is refused is free`, async () => {
    for (const sample of SAMPLES.filter((each) => each.group === group)) {
      const { operation } = sample;
      const { class: costClass } = CLASSES.get(operation!.split('?')[0]!)!;
      const { cost: told } = await ask(sample, null);
      if (costClass === 'free' || costClass === 'repeated')
        assert.deepEqual([told.state, told.pico_usd], ['free', '0'], operation!);
      else if (costClass === 'unpriced by decision')
        assert.deepEqual([told.state, told.pico_usd], ['unpriced', null], operation!);
      else {
        assert.notEqual(told.state, 'free', operation!);
        assert.notEqual(told.pico_usd, '0', operation!);
        assert.equal(told.why === null, told.state === 'priced', operation!);
      }
      const { cost: refused } = await ask(sample, asJson({ error: { message: 'no' } }, 429));
      assert.deepEqual([refused.state, refused.pico_usd], ['free', '0'], operation!);
    }
  });
}

test('a path that no row knows is unpriced when it is answered, and free when it is refused', async () => {
  const sample: Sample = {
    operation: null,
    group: null,
    method: 'POST',
    rest: '/tomorrow/things',
    headers: [],
    body: null,
  };
  const { cost: told } = await ask(sample, asJson({ id: 'thing_1', usage: { total_tokens: 5 } }));
  assert.deepEqual([told.state, told.pico_usd, told.why], ['unpriced', null, 'unknown_endpoint']);
  const { cost: refused } = await ask(sample, asJson({ error: {} }, 404));
  assert.deepEqual([refused.state, refused.pico_usd], ['free', '0']);
});
