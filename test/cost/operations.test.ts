// Each operation that is priced when its exchange ends, through the gateway: answered, streamed, refused by the upstream and left by
// its client. What the record says is what the ledger has.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { classify } from '../../scripts/cost-table.ts';
import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';
import { eventually } from '../support/eventually.ts';
import type { Script } from '../support/recorder.ts';
import { valueOf } from '../support/wire.ts';
import { PRICED, type PricedOperation } from './priced-operations.ts';
import {
  type CostStand,
  EVENTS_TYPE,
  asChunk,
  asEvents,
  asJson,
  assertLines,
  openCostStand,
  readingsOf,
} from './stand.ts';

const COST = 'x-throughway-cost-usd';
/** Those that OpenAI switched off go upstream, as any other operation does. */
const RELAYED = { assistants: { mode: 'relay' } } as const;

let cost: CostStand;
let drained: CostStand;
before(async () => {
  cost = await openCostStand(undefined, RELAYED);
  drained = await openCostStand(undefined, { ...RELAYED, onDisconnect: 'drain' });
});
after(async () => {
  const drifts = await Promise.all([cost.drift(), drained.drift()]);
  await cost.close();
  await drained.close();
  assert.deepEqual(drifts, [0, 0]);
});

const target = ({ path }: PricedOperation) => `/openai/v1${path}`;

test('every operation that is priced when its exchange ends is tried here', () => {
  const metered = ENDPOINTS.filter(({ transport }) => transport === 'http')
    .map(classify)
    .filter((each) => each.class === 'priced: metered')
    .map(({ operation }) => operation);
  assert.deepEqual(PRICED.map(({ operation }) => operation).toSorted(), metered.toSorted());
});

test('every operation that is priced and can stream is tried as a stream', () => {
  for (const { operation, stream } of PRICED) {
    const row = ENDPOINTS.find(({ method, path }) => `${method} ${path}` === operation);
    assert.equal(stream !== undefined, row!.streamUsage !== null, operation);
  }
});

for (const priced of PRICED) {
  const { operation, asked, answer, stream } = priced;
  describe(operation, () => {
    test(`answered: ${priced.usd}`, async () => {
      const { reply, record } = await cost.exchange({ method: 'POST', target: target(priced), ...asked }, answer);
      assert.equal(reply.status, 200);
      assert.deepEqual(readingsOf(record), priced.readings);
      assert.deepEqual([record.usage.source, record.cost.state, record.cost.usd], ['reported', 'priced', priced.usd]);
      assertLines(record);
      assert.equal(valueOf(reply.headers, COST), priced.usd);
    });

    for (const status of [400, 404, 429, 500, 503]) {
      test(`answered with ${status}: free`, async () => {
        const error = asJson({ error: { message: 'no', type: 'some_error' } }, status);
        const { reply, record } = await cost.exchange({ method: 'POST', target: target(priced), ...asked }, error);
        assert.equal(reply.status, status);
        assert.deepEqual([record.cost.state, record.cost.pico_usd, record.cost.lines], ['free', '0', []]);
        assert.equal(valueOf(reply.headers, COST), undefined);
      });
    }

    const expected = priced.whenLeft ?? 'unpriced';
    test(`left before a byte came: ${expected}, never 0`, async () => {
      const record = await cost.entered(() => leave(cost, priced, asked.body, asked.headers, []));
      assert.equal(record.ending, 'downstream_left');
      assertLeft(record, expected);
    });

    test('left while the upstream says no: free', async () => {
      const record = await cost.entered(() => leave(cost, priced, asked.body, asked.headers, ['{"error":'], 400));
      assert.equal(record.ending, 'downstream_left');
      assert.deepEqual([record.cost.state, record.cost.pico_usd], ['free', '0']);
    });

    test('the upstream cannot be asked all of it: free', async () => {
      const record = await cost.entered(() => leaveHalfway(cost, priced));
      assert.deepEqual([record.cost.state, record.cost.pico_usd], ['free', '0']);
    });

    if (stream === undefined) return;
    test(`streamed: ${stream.usd}`, async () => {
      const request = { method: 'POST', target: target(priced), ...stream.asked };
      const { reply, record } = await cost.exchange(request, asEvents(stream.events));
      assert.ok(reply.isWhole);
      assert.deepEqual(readingsOf(record), stream.readings);
      assert.deepEqual([record.usage.source, record.cost.state, record.cost.usd], ['reported', 'priced', stream.usd]);
      assertLines(record);
      assert.equal(valueOf(reply.headers, COST), undefined, 'its cost was not known when its head went');
    });

    test(`left in the middle of its stream: ${stream.whenLeft}, never 0`, async () => {
      const { body, headers } = stream.asked;
      const record = await cost.entered(() => leave(cost, priced, body, headers, stream.events.slice(0, 1)));
      assert.equal(record.ending, 'downstream_left');
      assertLeft(record, stream.whenLeft);
    });

    test(`left in the middle of its stream, and read to its end: ${stream.usd}`, async () => {
      const { body, headers } = stream.asked;
      const record = await drained.entered(() => leave(drained, priced, body, headers, stream.events, 200, true));
      assert.equal(record.ending, 'downstream_left');
      assert.deepEqual(readingsOf(record), stream.readings);
      assert.deepEqual([record.usage.source, record.cost.state, record.cost.usd], ['drained', 'priced', stream.usd]);
    });
  });
}

function assertLeft({ usage, cost: told }: Awaited<ReturnType<CostStand['entered']>>, state: string): void {
  assert.equal(told.state, state);
  if (state === 'unpriced') {
    assert.deepEqual([told.pico_usd, told.why, usage.source], [null, 'no_usage', 'absent']);
    return;
  }
  assert.ok(BigInt(told.pico_usd ?? '0') > 0n);
  if (state === 'estimated') assert.deepEqual([told.why, usage.source], ['usage_not_reported', 'estimated']);
}

/**
 * The client leaves when the first of these pieces is here; without any, when the upstream has the request.
 * @param goesOn the upstream sends the others when the client is gone
 */
async function leave(
  { stand }: CostStand,
  priced: PricedOperation,
  body: Buffer,
  headers: PricedOperation['asked']['headers'],
  pieces: readonly string[],
  status = 200,
  goesOn = false,
): Promise<void> {
  let hasAsked = false;
  let hasLeft = false;
  const script: Script = async (request, wire) => {
    await request.whole();
    const [first, ...others] = pieces;
    if (first !== undefined) {
      const type = status === 200 ? EVENTS_TYPE : (['Content-Type', 'application/json'] as const);
      await wire.head(status, 'OK', [type, ['Transfer-Encoding', 'chunked']]);
      await wire.write(asChunk(first));
    }
    hasAsked = true;
    if (!goesOn) return;
    await eventually('the client is gone', () => hasLeft);
    for (const piece of others) await wire.write(asChunk(piece));
    await wire.write('0\r\n\r\n');
  };
  stand.script(script);
  const connection = await stand.connect();
  await connection.send({ method: 'POST', target: target(priced), headers: stand.keyed(...headers), body });
  await eventually('the upstream is asked', () => hasAsked);
  if (pieces.length > 0) {
    await connection.head();
    await connection.bytes();
  }
  connection.close();
  // A gateway that answers this has seen the other connection's end.
  if (goesOn) await (await fetch(`${stand.gateway.api}/health/live`)).text();
  hasLeft = true;
  await stand.recorded(1);
}

/** The client announces more than it sends before it leaves. */
async function leaveHalfway({ stand }: CostStand, priced: PricedOperation): Promise<void> {
  stand.script(async (request) => {
    await request.whole();
  });
  const connection = await stand.connect();
  const { headers, body } = priced.asked;
  await connection.send({
    method: 'POST',
    target: target(priced),
    headers: stand.keyed(...headers, ['Content-Length', String(body.length + 2_000_000)]),
  });
  await connection.write(Buffer.concat([body.subarray(0, -1), Buffer.alloc(1_500_000, 0x20)]));
  await eventually('the upstream is being asked', () => (stand.upstream.requests[0]?.pieces.length ?? 0) > 0);
  connection.close();
  await stand.recorded(1);
}
