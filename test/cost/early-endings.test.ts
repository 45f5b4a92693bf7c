// What is left early, broken off, or not told is never 0: it is estimated from what was seen and says so, or it is unpriced.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';

import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { eventually } from '../support/eventually.ts';
import type { ScriptedReply } from '../support/recorder.ts';
import { type Header, valueOf } from '../support/wire.ts';
import { chatTokens, tokens } from './priced-operations.ts';
import {
  type CostStand,
  EVENTS_TYPE,
  JSON_TYPE,
  asChunk,
  asEvents,
  asJson,
  json,
  named,
  openCostStand,
  readingsOf,
  unnamed,
} from './stand.ts';

const CHAT = '/openai/v1/chat/completions';
const RESPONSES = '/openai/v1/responses';
const MODEL = 'gpt-6-luna';
const WORDS = [
  'The Rhine',
  ' rises in the Alps',
  ' and reaches the sea',
  ' near Rotterdam,',
  ' after some',
  ' 1,200 kilometres.',
];
const QUESTION = 'Where does the longest river of Germany rise, and where does it reach the sea?';

const CHATS = unnamed(
  ...WORDS.map((content) => ({ id: 'c', model: MODEL, choices: [{ index: 0, delta: { content } }], usage: null })),
  { id: 'c', model: MODEL, choices: [], usage: chatTokens(25, 30) },
);
const RESPONSE = { id: 'resp_1', model: MODEL, status: 'in_progress', usage: null };
const EVENTS = named(
  { type: 'response.created', response: RESPONSE },
  ...WORDS.map((delta) => ({ type: 'response.output_text.delta', item_id: 'm', delta })),
  { type: 'response.completed', response: { ...RESPONSE, status: 'completed', usage: tokens(25, 30) } },
);
const STREAMS = [
  {
    name: 'chat',
    target: CHAT,
    asked: { model: MODEL, messages: [{ role: 'user', content: QUESTION }], stream: true },
    events: CHATS.slice(0, WORDS.length),
  },
  {
    name: 'responses',
    target: RESPONSES,
    asked: { model: MODEL, input: QUESTION, stream: true },
    events: EVENTS.slice(0, WORDS.length + 1),
  },
] as const;

let cost: CostStand;
before(async () => {
  cost = await openCostStand(undefined, { drain: { bytesMax: 4096 } });
});
after(() => cost.close());

interface Leaving {
  readonly target: string;
  readonly asked: object;
  readonly token?: string;
  /** Sent before the client leaves, which has all of them by then. */
  readonly events: readonly string[];
  /** Sent when it is gone. */
  readonly rest?: readonly string[];
}

function leave({ target, asked, token, events, rest }: Leaving): Promise<ExchangeRecord> {
  const { stand } = cost;
  return cost.entered(async () => {
    let hasLeft = false;
    stand.script(async (request, wire) => {
      await request.whole();
      await wire.head(200, 'OK', [EVENTS_TYPE, ['Transfer-Encoding', 'chunked']]);
      for (const event of events) await wire.write(asChunk(event));
      if (rest === undefined) return;
      await eventually('the client is gone', () => hasLeft);
      for (const event of rest) await wire.write(asChunk(event));
      await wire.write('0\r\n\r\n');
    });
    const connection = await stand.connect();
    const headers: Header[] = token === undefined ? stand.keyed() : [['Authorization', `Bearer ${token}`]];
    await connection.send({ method: 'POST', target, headers: [...headers, JSON_TYPE], body: JSON.stringify(asked) });
    await connection.head();
    const count = (text: string) => text.split('\ndata:').length - 1 + (text.startsWith('data:') ? 1 : 0);
    const wanted = events.length;
    for (let text = ''; wanted > 0 && count(text.replaceAll('\r\n', '\n')) < wanted;) {
      const bytes = await connection.bytes();
      assert.notEqual(bytes, null);
      text += bytes!.toString();
    }
    connection.close();
    if (rest !== undefined) await (await fetch(`${stand.gateway.api}/health/live`)).text();
    hasLeft = true;
    await stand.recorded(1);
  });
}

const keyWith = async (body: object) => (await cost.stand.gateway.createKey({ name: 'other', ...body })).token;

function assertEstimated({ cost: told, usage }: ExchangeRecord): bigint {
  assert.deepEqual([told.state, told.why, usage.source], ['estimated', 'usage_not_reported', 'estimated']);
  const amount = BigInt(told.pico_usd ?? '0');
  assert.ok(amount > 0n);
  return amount;
}

describe('a client that leaves', () => {
  for (const { name, target, asked, events } of STREAMS) {
    test(`C9: ${name}: behind any event it is estimated, more with each that wrote something, and never 0`, async () => {
      let last = 0n;
      for (let count = 0; count <= events.length; count++) {
        const record = await leave({ target, asked, events: events.slice(0, count) });
        assert.deepEqual([record.ending, record.status], ['downstream_left', 200]);
        const amount = assertEstimated(record);
        const hasWritten = events[count - 1]?.includes('delta') === true;
        assert.ok(hasWritten ? amount > last : amount >= last, `${amount} behind ${count} events, ${last} before`);
        assert.ok(Number(readingsOf(record)?.['input_text']) > 10);
        last = amount;
      }
    });
  }

  test('E37: of gpt-6-luna leaves estimated money behind, and what is measured stays as it was', async () => {
    const before = await cost.totals();
    const record = await leave({ ...STREAMS[0], events: CHATS.slice(0, 3) });
    assertEstimated(record);
    const now = await cost.totals();
    assert.equal(now.measured_usd, before.measured_usd);
    assert.notEqual(now.estimated_usd, before.estimated_usd);
  });

  test('L04: before the first byte, in the middle, and behind the last are three things', async () => {
    const { stand } = cost;
    const early = await cost.entered(async () => {
      let isAsked = false;
      stand.script(async (request) => {
        await request.whole();
        isAsked = true;
      });
      const connection = await stand.connect();
      await connection.send({
        method: 'POST',
        target: CHAT,
        headers: stand.keyed(JSON_TYPE),
        body: JSON.stringify(STREAMS[0].asked),
      });
      await eventually('the upstream is asked', () => isAsked);
      connection.close();
      await stand.recorded(1);
    });
    const midway = await leave({ ...STREAMS[0], events: CHATS.slice(0, 3) });
    const { record: whole } = await cost.exchange(
      { method: 'POST', target: CHAT, ...json(STREAMS[0].asked) },
      asEvents(CHATS),
    );
    assert.deepEqual(
      [early, midway, whole].map(({ ending, status, cost: told }) => [ending, status, told.state]),
      [
        ['downstream_left', null, 'estimated'],
        ['downstream_left', 200, 'estimated'],
        ['complete', 200, 'priced'],
      ],
    );
    assert.deepEqual(Object.keys(readingsOf(early)!), ['input_text']);
    assert.deepEqual(Object.keys(readingsOf(midway)!), ['input_text', 'output_text']);
    assert.deepEqual(readingsOf(whole), { input_text: '25', output_text: '30' });
  });

  test('of a key that says drain: the rest is read, and its true usage is charged', async () => {
    const token = await keyWith({ on_disconnect: 'drain' });
    const record = await leave({ ...STREAMS[1], token, events: EVENTS.slice(0, 2), rest: EVENTS.slice(2) });
    assert.deepEqual([record.ending, record.usage.source, record.cost.state], ['downstream_left', 'drained', 'priced']);
    assert.deepEqual(readingsOf(record), { input_text: '25', output_text: '30' });
  });

  test('and a rest that is longer than a drain may be is estimated', async () => {
    const token = await keyWith({ on_disconnect: 'drain' });
    const long = named({ type: 'response.output_text.delta', delta: 'word '.repeat(2000) });
    const record = await leave({
      ...STREAMS[1],
      token,
      events: EVENTS.slice(0, 2),
      rest: [...long, ...EVENTS.slice(2)],
    });
    assertEstimated(record);
  });
});

describe('an upstream', () => {
  const cutOff = (events: readonly string[]): ScriptedReply => ({ ...asEvents(events), ending: 'reset' });

  test('that breaks off has its reply estimated from what was seen', async () => {
    const { record } = await cost.exchange(
      { method: 'POST', target: RESPONSES, ...json(STREAMS[1].asked) },
      cutOff(EVENTS.slice(0, 4)),
    );
    assert.equal(record.ending, 'upstream_broke');
    assertEstimated(record);
  });

  test('that breaks off behind its usage has told it', async () => {
    const { record } = await cost.exchange(
      { method: 'POST', target: RESPONSES, ...json(STREAMS[1].asked) },
      cutOff(EVENTS),
    );
    assert.deepEqual([record.ending, record.usage.source, record.cost.state], ['upstream_broke', 'reported', 'priced']);
  });

  test('that reports usage with an error is billed for it', async () => {
    const failed = { error: { message: 'x' }, model: MODEL, usage: tokens(1000, 100) };
    const { record } = await cost.exchange(
      { method: 'POST', target: RESPONSES, ...json(STREAMS[1].asked) },
      asJson(failed, 500),
    );
    assert.deepEqual([record.cost.state, record.cost.usd], ['priced', '0.00015']);
  });

  test('C10: that takes too long is estimated, for nobody knows what it had done by then', async () => {
    const hasty = await openCostStand(undefined, { upstream: { headersSeconds: 0.2, idleSeconds: 0.2 } });
    try {
      for (const events of [[], EVENTS.slice(0, 4)]) {
        const record = await hasty.entered(async () => {
          hasty.stand.script(async (request, wire) => {
            await request.whole();
            if (events.length === 0) return;
            await wire.head(200, 'OK', [EVENTS_TYPE, ['Transfer-Encoding', 'chunked']]);
            for (const event of events) await wire.write(asChunk(event));
          });
          await hasty.stand.ask({ method: 'POST', target: RESPONSES, ...json(STREAMS[1].asked) });
        });
        assert.equal(record.ending, 'timed_out');
        assertEstimated(record);
        assert.equal(Object.keys(readingsOf(record)!).includes('output_text'), events.length > 0);
      }
    } finally {
      await hasty.close();
    }
  });

  test('that stops at its content filter, or in the middle by its limit, has told what it used', async () => {
    const incomplete = named({
      type: 'response.incomplete',
      response: { ...RESPONSE, status: 'incomplete', usage: tokens(1000, 100) },
    });
    const { record } = await cost.exchange(
      { method: 'POST', target: RESPONSES, ...json(STREAMS[1].asked) },
      asEvents(incomplete),
    );
    assert.deepEqual([record.cost.state, record.cost.usd], ['priced', '0.00015']);
  });
});

describe('a stream', () => {
  test('of a key that has usage estimated: the request goes as it came, and the estimate says what it is', async () => {
    const token = await keyWith({ stream_usage: 'estimate' });
    const body = JSON.stringify(STREAMS[0].asked);
    const unasked = unnamed(
      ...WORDS.map((content) => ({ id: 'c', model: MODEL, choices: [{ index: 0, delta: { content } }] })),
    );
    const { reply, record } = await cost.exchange(
      {
        method: 'POST',
        target: CHAT,
        headers: [['Authorization', `Bearer ${token}`], JSON_TYPE, ['Accept-Encoding', 'gzip']],
        body,
      },
      asEvents(unasked),
    );
    const [seen] = cost.stand.upstream.requests;
    assert.equal((await seen!.whole()).toString(), body);
    assert.equal(valueOf(seen!.headers, 'accept-encoding'), 'gzip');
    assert.equal(reply.body.toString(), unasked.join(''));
    assertEstimated(record);
    const { input_text, output_text } = readingsOf(record)!;
    assert.ok(Number(input_text) > 15 && Number(output_text) > 15, `${input_text} ${output_text}`);
  });

  test('of a client that takes compressed replies only is not amended, and estimated', async () => {
    const headers: Header[] = [JSON_TYPE, ['Accept-Encoding', 'gzip, identity;q=0']];
    const { record } = await cost.exchange(
      { method: 'POST', target: CHAT, headers, body: JSON.stringify(STREAMS[0].asked) },
      { headers: [EVENTS_TYPE, ['Content-Encoding', 'gzip']], body: gzipSync(CHATS.slice(0, WORDS.length).join('')) },
    );
    assertEstimated(record);
  });

  for (const [encoding, compress] of [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ] as const) {
    test(`compressed with ${encoding} is read, and so is a reply in one piece`, async () => {
      const bytes = compress(EVENTS.join(''));
      const stream = await cost.exchange(
        { method: 'POST', target: RESPONSES, ...json(STREAMS[1].asked) },
        {
          headers: [EVENTS_TYPE, ['Content-Encoding', encoding]],
          body: [bytes.subarray(0, 20), bytes.subarray(20)],
          framing: 'chunked',
        },
      );
      const whole = await cost.exchange(
        { method: 'POST', target: RESPONSES, ...json({ model: MODEL, input: 'x' }) },
        {
          headers: [JSON_TYPE, ['Content-Encoding', encoding]],
          body: compress(JSON.stringify({ model: MODEL, usage: tokens(25, 30) })),
        },
      );
      assert.deepEqual(stream.reply.body, bytes);
      for (const { record } of [stream, whole]) {
        assert.deepEqual(readingsOf(record), { input_text: '25', output_text: '30' });
        assert.equal(record.cost.state, 'priced');
      }
    });
  }

  test('in an encoding that is not read is estimated, and images in it are unpriced', async () => {
    const odd = (type: Header, text: string): ScriptedReply => ({
      headers: [type, ['Content-Encoding', 'snappy']],
      body: text,
    });
    const { record } = await cost.exchange(
      { method: 'POST', target: RESPONSES, ...json(STREAMS[1].asked) },
      odd(EVENTS_TYPE, EVENTS.join('')),
    );
    assertEstimated(record);
    const images = await cost.exchange(
      { method: 'POST', target: '/openai/v1/images/generations', ...json({ model: 'gpt-image-2', prompt: 'x' }) },
      odd(JSON_TYPE, JSON.stringify({ usage: tokens(1, 1) })),
    );
    assert.deepEqual([images.record.cost.state, images.record.cost.pico_usd], ['unpriced', null]);
  });

  test('whose last event is longer than anything that is kept is measured all the same', async () => {
    const output = [{ id: 'm', type: 'message', content: [{ type: 'output_text', text: 'word '.repeat(600_000) }] }];
    const events = named(
      { type: 'response.created', response: RESPONSE },
      { type: 'response.completed', response: { ...RESPONSE, status: 'completed', output, usage: tokens(25, 30) } },
    );
    const { reply, record } = await cost.exchange(
      { method: 'POST', target: RESPONSES, ...json(STREAMS[1].asked) },
      asEvents(events),
    );
    assert.equal(reply.body.length, events.join('').length);
    assert.deepEqual(readingsOf(record), { input_text: '25', output_text: '30' });
    assert.equal(record.cost.state, 'priced');
  });

  test('whose usage is larger than any is believed is estimated, and what it said is not kept', async () => {
    const usage = { ...tokens(25, 30), padding: 'x'.repeat(20_000) };
    const events = named(
      { type: 'response.created', response: RESPONSE },
      { type: 'response.output_text.delta', delta: WORDS.join('') },
      { type: 'response.completed', response: { ...RESPONSE, status: 'completed', usage } },
    );
    const { record } = await cost.exchange(
      { method: 'POST', target: RESPONSES, ...json(STREAMS[1].asked) },
      asEvents(events),
    );
    assertEstimated(record);
    assert.equal(record.usage.raw, null);
  });
});

test('L05: prices that change while an exchange runs are not its concern, and are the next one’s', async () => {
  const { stand } = cost;
  const page = [
    '# Pricing',
    '',
    '| Model | Input | Cached input | Output |',
    '|---|---|---|---|',
    `| ${MODEL} | $0.20 | $0.02 | $1.00 |`,
    '',
  ].join('\n');
  const refresh = async () => {
    const reply = await stand.gateway.adminFetch('/admin/v1/prices/refresh', {
      method: 'POST',
      body: JSON.stringify({ documents: [{ name: 'pricing.md', text: page }], force: true }),
    });
    assert.equal(reply.status, 200, await reply.clone().text());
    return (await reply.json()) as { price_version: string; applied: boolean };
  };
  const usage = { model: MODEL, usage: tokens(1000, 100) };
  const ask = { method: 'POST', target: RESPONSES, ...json({ model: MODEL, input: 'x' }) };
  let version = '';
  const running = await cost.entered(async () => {
    stand.script(async (request) => {
      await request.whole();
      const { price_version, applied } = await refresh();
      assert.ok(applied);
      version = price_version;
      return asJson(usage);
    });
    await stand.ask(ask);
  });
  const { record: next } = await cost.exchange(ask, asJson(usage));
  assert.deepEqual([running.cost.usd, next.cost.usd], ['0.00015', '0.0003']);
  assert.notEqual(running.cost.price_version, version);
  assert.equal(next.cost.price_version, version);
});
