// The worked examples of the reference (cost 11) that one exchange can show, through the gateway and on the day they are for; and the
// complaints of its chapter 12 that are about more than a price.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { parseUsd } from '../../src/domain/money.ts';
import { eventually } from '../support/eventually.ts';
import { type SocketStand, openSocketStand } from '../support/sockets.ts';
import { valueOf } from '../support/wire.ts';
import { chatTokens, tokens } from './priced-operations.ts';
import {
  type CostStand,
  type Totals,
  asEvents,
  asJson,
  form,
  json,
  named,
  openCostStand,
  readingsOf,
  unnamed,
} from './stand.ts';

const TODAY = '2026-11-22T10:00:00Z';

interface Example {
  readonly id: string;
  readonly at?: string;
  readonly path: string;
  readonly asked: ReturnType<typeof json>;
  readonly reply: object;
  readonly usd: string;
}

const chat = (model: string, usage: object, more = {}): Pick<Example, 'path' | 'asked' | 'reply'> => ({
  path: '/chat/completions',
  asked: json({ model, messages: [], ...more }),
  reply: { id: 'c', object: 'chat.completion', model, choices: [], usage },
});
const respond = (model: string, usage: object, more = {}, asked = {}): Pick<Example, 'path' | 'asked' | 'reply'> => ({
  path: '/responses',
  asked: json({ model, input: 'x', ...asked }),
  reply: { id: 'resp_1', object: 'response', status: 'completed', model, usage, ...more },
});
const embed = (count: number): Pick<Example, 'path' | 'asked' | 'reply'> => ({
  path: '/embeddings',
  asked: json({ model: 'text-embedding-3-small', input: 'x' }),
  reply: { model: 'text-embedding-3-small', data: [], usage: { prompt_tokens: count, total_tokens: count } },
});

const E6 = chatTokens(17, 482, {}, { reasoning_tokens: 448 });
const E14 = tokens(10_000, 500, { cached_tokens: 8000, cache_write_tokens: 1000 });
const SEARCHES = [
  { id: 'ws_1', type: 'web_search_call', status: 'completed', action: { type: 'search', query: 'x' } },
  { id: 'ws_2', type: 'web_search_call', status: 'completed', action: { type: 'open_page', url: 'x' } },
  { id: 'ws_3', type: 'web_search_call', status: 'completed', action: { type: 'search', query: 'y' } },
  { id: 'ws_4', type: 'web_search_call', status: 'completed', action: { type: 'find', pattern: 'y' } },
];
const FILE_SEARCHES = [1, 2, 3].map((n) => ({ id: `fs_${n}`, type: 'file_search_call', status: 'completed' }));

const EXAMPLES: readonly Example[] = [
  { id: 'E1', ...chat('gpt-5.4-nano', chatTokens(11, 4)), usd: '0.0000072' },
  { id: 'E2, 14 tokens', ...embed(14), usd: '0.00000028' },
  { id: 'E2, 12 tokens', ...embed(12), usd: '0.00000024' },
  { id: 'E2, 6 tokens', ...embed(6), usd: '0.00000012' },
  {
    id: 'E3',
    at: '2026-08-01',
    ...respond('gpt-5.6-sol', tokens(4020, 5, { cache_write_tokens: 4012 })),
    usd: '0.025265',
  },
  { id: 'E4', at: '2026-08-01', ...respond('gpt-5.6-sol', tokens(4020, 5, { cached_tokens: 4012 })), usd: '0.002196' },
  { id: 'E5', ...chat('gpt-5', chatTokens(9703, 638, { cached_tokens: 8576 })), usd: '0.00886075' },
  { id: 'E6', ...chat('gpt-5-nano', E6), usd: '0.00019365' },
  {
    id: 'E7',
    path: '/chat/completions',
    asked: json({ model: 'gpt-5-nano', messages: [], service_tier: 'flex' }),
    reply: { model: 'gpt-5-nano', service_tier: 'flex', usage: E6 },
    usd: '0.000096825',
  },
  { id: 'E8', ...chat('gpt-4o', chatTokens(2006, 300, { cached_tokens: 1920 })), usd: '0.005615' },
  {
    id: 'E9',
    at: '2026-09-01',
    ...respond('gpt-5.6-luna', tokens(1000, 10, { cached_tokens: 200, cache_write_tokens: 100 })),
    usd: '0.000181',
  },
  { id: 'E10, at the threshold', at: '2026-09-01', ...respond('gpt-5.6-luna', tokens(272_000, 0)), usd: '0.0544' },
  { id: 'E10, above it', at: '2026-09-01', ...respond('gpt-5.6-luna', tokens(272_001, 0)), usd: '0.1088004' },
  { id: 'E11, at the threshold', ...respond('gpt-5.5', tokens(272_000, 1000)), usd: '1.39' },
  { id: 'E11, above it', ...respond('gpt-5.5', tokens(272_001, 1000)), usd: '2.76501' },
  { id: 'E12, before', at: '2026-08-01', ...respond('gpt-5.6-sol', tokens(1000, 1000)), usd: '0.035' },
  { id: 'E12, after', at: '2026-08-22', ...respond('gpt-5.6-sol', tokens(1000, 1000)), usd: '0.024' },
  { id: 'E13', ...respond('gpt-6-astra', tokens(300_000, 1000)), usd: '6.075' },
  { id: 'E14', ...respond('gpt-6.1-sol', E14), usd: '0.0103' },
  { id: 'E15', ...respond('gpt-6.1-sol', E14, { service_tier: 'fast' }), usd: '0.0206' },
  {
    id: 'E17, asked for fast',
    ...respond('gpt-6.1-sol', E14, { service_tier: 'default' }, { service_tier: 'fast' }),
    usd: '0.0103',
  },
  { id: 'E18', ...respond('gpt-5.5', tokens(1000, 1000), { service_tier: 'priority' }), usd: '0.0875' },
  { id: 'E20, ultrafast', ...respond('gpt-6.2-sol', tokens(10_000, 2000), { service_tier: 'ultrafast' }), usd: '0.12' },
  { id: 'E21, gpt-5', ...chat('gpt-5', chatTokens(45, 1719)), usd: '0.01724625' },
  { id: 'E21, gpt-4.1', ...chat('gpt-4.1', chatTokens(329, 12)), usd: '0.000754' },
  { id: 'E21, o3-mini', ...chat('o3-mini', chatTokens(13, 2241)), usd: '0.0098747' },
  { id: 'E21, gpt-5-mini', ...chat('gpt-5-mini', chatTokens(156, 561)), usd: '0.001161' },
  { id: 'E22', ...chat('gpt-4o', chatTokens(100, 250, {}, { rejected_prediction_tokens: 60 })), usd: '0.00275' },
  {
    id: 'E23',
    path: '/images/generations',
    asked: json({ model: 'gpt-image-1.5', prompt: 'x' }),
    reply: { data: [{}], usage: tokens(23, 1056, { text_tokens: 23, image_tokens: 0 }) },
    usd: '0.033907',
  },
  {
    id: 'E24',
    path: '/images/edits',
    asked: form({ model: 'gpt-image-2', prompt: 'x' }),
    reply: {
      data: [{}],
      usage: tokens(1050, 1056, {
        text_tokens: 50,
        image_tokens: 1000,
        cached_tokens: 200,
        cached_tokens_details: { image_tokens: 200, text_tokens: 0 },
      }),
    },
    usd: '0.03873',
  },
  {
    id: 'E26, file',
    path: '/audio/transcriptions',
    asked: form({ model: 'whisper-1' }),
    reply: { text: 'x', usage: { type: 'duration', seconds: 60 } },
    usd: '0.006',
  },
  {
    id: 'E27, characters',
    path: '/audio/speech',
    asked: json({ model: 'tts-1', input: '\u{1f600}'.repeat(1000) }),
    reply: {},
    usd: '0.015',
  },
  { id: 'E29', ...respond('gpt-6.1-sol', tokens(9000, 800), { output: SEARCHES }), usd: '0.046' },
  { id: 'E30, beside no tokens', ...respond('gpt-6.1-sol', tokens(0, 0), { output: FILE_SEARCHES }), usd: '0.0075' },
  {
    id: 'E35',
    ...chat('gpt-5-nano', chatTokens(1000, 0, { cached_tokens: 1000 })),
    reply: { model: 'gpt-5-nano', service_tier: 'flex', usage: chatTokens(1000, 0, { cached_tokens: 1000 }) },
    usd: '0.0000025',
  },
];

describe('one exchange', () => {
  let cost: CostStand;
  before(async () => {
    cost = await openCostStand();
  });
  after(() => cost.close());

  const post = (path: string, asked: ReturnType<typeof json>, reply: object, status = 200) =>
    cost.exchange({ method: 'POST', target: `/openai/v1${path}`, ...asked }, asJson(reply, status));

  for (const { id, at, path, asked, reply: told, usd } of EXAMPLES) {
    test(`${id}: ${usd}`, async () => {
      cost.clock.set(at ?? TODAY);
      const { reply, record } = await post(path, asked, told);
      assert.deepEqual([record.cost.usd, record.cost.state], [usd, 'priced']);
      assert.equal(record.cost.pico_usd, parseUsd(usd).toString());
      assert.equal(valueOf(reply.headers, 'x-throughway-cost-usd'), usd);
    });
  }

  test('E27, tokens of a stream of speech: 0.006018', async () => {
    cost.clock.set(TODAY);
    const asked = json({ model: 'gpt-4o-mini-tts', input: 'x', stream_format: 'sse' });
    const events = asEvents(named({ type: 'speech.audio.done', usage: tokens(30, 500) }));
    const { record } = await cost.exchange({ method: 'POST', target: '/openai/v1/audio/speech', ...asked }, events);
    assert.deepEqual([record.cost.usd, record.cost.state], ['0.006018', 'priced']);
  });

  test('E36: what is free costs 0 and says so, and nothing is told in a header', async () => {
    cost.clock.set(TODAY);
    const get = (target: string, body: object) => cost.exchange({ target: `/openai/v1${target}` }, asJson(body));
    const batch = { id: 'batch_1', object: 'batch', status: 'in_progress', usage: tokens(1000, 1000) };
    const all = [
      await post('/moderations', json({ input: 'x' }), { id: 'm', model: 'omni-moderation-latest', results: [] }),
      await get('/files', { data: [] }),
      ...(await inTurn(10, () => get('/batches/batch_1', batch))),
      await post('/chat/completions', json({ model: 'gpt-5', messages: [] }), { error: {} }, 429),
      await post('/responses', json({ model: 'gpt-5', input: 'x' }), { error: {} }, 400),
    ];
    for (const { reply, record } of all) {
      assert.deepEqual([record.cost.state, record.cost.pico_usd, record.cost.why], ['free', '0', null]);
      assert.equal(valueOf(reply.headers, 'x-throughway-cost-usd'), undefined);
    }
  });

  test('E38, L06: an unknown model is unpriced, loudly, and never 0', async () => {
    cost.clock.set(TODAY);
    const { reply, record } = await post('/chat/completions', json({ model: 'gpt-9', messages: [] }), {
      model: 'gpt-9',
      usage: chatTokens(10, 10),
    });
    assert.deepEqual([record.cost.state, record.cost.pico_usd, record.cost.usd], ['unpriced', null, null]);
    assert.equal(record.cost.why, 'unknown_model');
    assert.deepEqual(readingsOf(record), { input_text: '10', output_text: '10' });
    assert.equal(valueOf(reply.headers, 'x-throughway-cost-usd'), undefined);
    assert.ok(
      cost.stand.gateway.logLines.some((line) => line.includes('gpt-9')),
      'the operator is told',
    );
  });

  test('L06: a reply without usage is not free', async () => {
    const { record } = await post('/images/generations', json({ model: 'gpt-image-2', prompt: 'x' }), { data: [{}] });
    assert.deepEqual([record.cost.state, record.cost.pico_usd, record.cost.why], ['unpriced', null, 'no_usage']);
  });

  test('C1: a tier that was asked for and that the reply does not name makes the cost a part of the truth', async () => {
    cost.clock.set(TODAY);
    const { record } = await post('/responses', json({ model: 'gpt-6.1-sol', input: 'x', service_tier: 'priority' }), {
      model: 'gpt-6.1-sol',
      usage: E14,
    });
    assert.deepEqual([record.cost.state, record.cost.why], ['partial', 'no_served_tier:fast']);
  });

  test('C2, C5: figures that contradict each other are kept, charged as far as they go, and told', async () => {
    cost.clock.set(TODAY);
    const usage = { ...chatTokens(10, 5, { cached_tokens: 20 }), total_tokens: 99 };
    const { record } = await post('/chat/completions', json({ model: 'gpt-5', messages: [] }), {
      model: 'gpt-5',
      usage,
    });
    assert.deepEqual([record.cost.state, record.cost.why], ['partial', 'usage_does_not_add_up']);
    assert.deepEqual(record.usage.raw, usage);
  });

  test('C18: a reply that names a snapshot is priced by what it names, whatever was asked for', async () => {
    cost.clock.set(TODAY);
    const { record } = await post('/chat/completions', json({ model: 'my-best-model', messages: [] }), {
      model: 'gpt-4o-2024-11-20',
      usage: chatTokens(1000, 0),
    });
    assert.deepEqual([record.model_requested, record.model_served], ['my-best-model', 'gpt-4o-2024-11-20']);
    assert.equal(record.cost.usd, '0.0025');
  });

  test('C13, C14: ten reads of a response that is finished charge nothing, and none is lost', async () => {
    const response = { id: 'resp_9', object: 'response', status: 'completed', model: 'gpt-6.1-sol', usage: E14 };
    const before = await cost.totals();
    await inTurn(10, () => cost.exchange({ target: '/openai/v1/responses/resp_9' }, asJson(response)));
    const now = await cost.totals();
    assert.deepEqual([now.measured_usd, now.free - before.free], [before.measured_usd, 10]);
  });

  test('C8: a chat stream whose client did not ask for usage is measured, and its bytes are the client’s own', async () => {
    cost.clock.set(TODAY);
    const chunks = unnamed(
      { id: 'c', model: 'gpt-5-nano', choices: [{ index: 0, delta: { content: 'Hi' } }], usage: null },
      { id: 'c', model: 'gpt-5-nano', choices: [], usage: E6 },
    );
    const asked = json({ model: 'gpt-5-nano', messages: [], stream: true });
    const { reply, record } = await cost.exchange(
      { method: 'POST', target: '/openai/v1/chat/completions', ...asked },
      asEvents(chunks),
    );
    assert.equal(record.cost.usd, '0.00019365');
    assert.equal(
      reply.body.toString(),
      'data: {"id":"c","model":"gpt-5-nano","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n',
    );
  });

  const drawn = (tools: object[], toolUsage: object) => ({
    model: 'gpt-5',
    usage: tokens(45, 1719),
    tools,
    output: [{ id: 'ig_1', type: 'image_generation_call', status: 'completed', result: 'aGVsbG8=' }],
    ...toolUsage,
  });
  const IMAGE_TOOL = { type: 'image_generation', model: 'gpt-image-1.5' };
  const imageUsage = tokens(23, 1056, { text_tokens: 23, image_tokens: 0 });

  test('E21 and E23: an image that a response drew by tool costs what its own model does, beside the tokens', async () => {
    cost.clock.set(TODAY);
    const asked = json({ model: 'gpt-5', input: 'x', tools: [IMAGE_TOOL] });
    const { record } = await post('/responses', asked, drawn([IMAGE_TOOL], { tool_usage: { image_gen: imageUsage } }));
    assert.deepEqual([record.cost.usd, record.cost.state], ['0.05115325', 'priced']);
  });

  test('C6: an image whose usage nobody tells makes the cost a part of the truth', async () => {
    const asked = json({ model: 'gpt-5', input: 'x', tools: [IMAGE_TOOL] });
    const { record } = await post('/responses', asked, drawn([IMAGE_TOOL], {}));
    assert.deepEqual([record.cost.usd, record.cost.state], ['0.01724625', 'partial']);
  });

  const item = (each: object) => ({ type: 'response.output_item.done', item: each });

  test('E29, streamed: searches are counted whether their items come one by one or with the end', async () => {
    cost.clock.set(TODAY);
    const created = {
      type: 'response.created',
      response: { id: 'r', model: 'gpt-6.1-sol', tools: [{ type: 'web_search' }], usage: null },
    };
    const ended = (output: readonly object[]) => ({
      type: 'response.completed',
      response: { id: 'r', model: 'gpt-6.1-sol', status: 'completed', output, usage: tokens(9000, 800) },
    });
    const asked = json({ model: 'gpt-6.1-sol', input: 'x', tools: [{ type: 'web_search' }], stream: true });
    for (const events of [
      named(created, ...SEARCHES.map(item), ended(SEARCHES)),
      named(created, ...SEARCHES.map(item), ended([])),
      named(created, ended(SEARCHES)),
    ]) {
      const { record } = await cost.exchange(
        { method: 'POST', target: '/openai/v1/responses', ...asked },
        asEvents(events),
      );
      assert.deepEqual([record.cost.usd, record.cost.state], ['0.046', 'priced']);
    }
  });

  test('C9: searches of a stream that broke off are known, and stand beside the estimate', async () => {
    const asked = json({ model: 'gpt-6.1-sol', input: 'Find it.', tools: [{ type: 'web_search' }], stream: true });
    const created = {
      type: 'response.created',
      response: { id: 'r', model: 'gpt-6.1-sol', tools: [{ type: 'web_search' }], usage: null },
    };
    const { record } = await cost.exchange(
      { method: 'POST', target: '/openai/v1/responses', ...asked },
      { ...asEvents(named(created, ...SEARCHES.map(item))), ending: 'reset' },
    );
    assert.equal(record.cost.state, 'estimated');
    assert.equal(readingsOf(record)?.['web_search_calls'], '2');
    assert.ok(BigInt(record.cost.pico_usd!) > parseUsd('0.02'));
  });

  test('L03: exchanges with one client request id, and replies without an id, are all there', async () => {
    cost.clock.set(TODAY);
    const before = await cost.totals();
    const ids = new Set<string>();
    for (let i = 0; i < 5; i++) {
      const asked = json({ model: 'gpt-5', messages: [] });
      const { record } = await cost.exchange(
        {
          method: 'POST',
          target: '/openai/v1/chat/completions',
          headers: [...asked.headers, ['X-Client-Request-Id', 'always-the-same']],
          body: asked.body,
        },
        asJson({ id: '', model: 'gpt-5', usage: chatTokens(8, 1) }),
      );
      assert.equal(record.client_request_id, 'always-the-same');
      ids.add(record.id);
    }
    const now = await cost.totals();
    assert.deepEqual([ids.size, now.exchanges - before.exchanges], [5, 5]);
    assert.equal(parseUsd(now.measured_usd) - parseUsd(before.measured_usd), 5n * 20_000_000n);
  });

  test('L18: a clock that goes back makes no duration negative, and records keep their order', async () => {
    cost.clock.set('2026-11-22T10:00:00Z');
    const first = await post('/chat/completions', json({ model: 'gpt-5', messages: [] }), {
      model: 'gpt-5',
      usage: chatTokens(1, 1),
    });
    cost.clock.set('2026-11-22T09:00:00Z');
    const second = await post('/chat/completions', json({ model: 'gpt-5', messages: [] }), {
      model: 'gpt-5',
      usage: chatTokens(1, 1),
    });
    assert.ok(second.record.at < first.record.at);
    for (const { record } of [first, second]) {
      const { admitted, connected, first_byte, total } = record.timings_us;
      for (const time of [admitted, connected, first_byte, total]) assert.ok((time ?? 0) >= 0);
    }
    const page = (await (await cost.stand.gateway.adminFetch('/admin/v1/exchanges?limit=2')).json()) as {
      data: { id: string }[];
    };
    assert.deepEqual(
      page.data.map(({ id }) => id),
      [second.record.id, first.record.id],
    );
  });
});

describe('a socket', () => {
  let stand: SocketStand;
  before(async () => {
    stand = await openSocketStand();
  });
  after(() => stand.close());

  const totals = async () =>
    (
      (await (await stand.gateway.adminFetch('/admin/v1/spend?from=2025-01-01&to=2040-01-01')).json()) as {
        totals: Totals;
      }
    ).totals;

  /** What the upstream says on a socket, and then it ends. */
  async function said(path: string, ...events: readonly object[]) {
    stand.clear();
    const before = await totals();
    const { far } = await stand.open(`/openai/v1${path}`);
    for (const event of events) far.send(JSON.stringify(event));
    far.close(1000);
    const [socket] = await stand.recorded(1);
    const turns = stand.records().filter(({ kind }) => kind === 'turn');
    const now = await totals();
    const charged = [...turns, socket!].reduce((sum, { cost }) => sum + BigInt(cost.pico_usd ?? '0'), 0n);
    const moved = (field: 'measured_usd' | 'estimated_usd') => parseUsd(now[field]) - parseUsd(before[field]);
    assert.equal(moved('measured_usd') + moved('estimated_usd'), charged);
    assert.equal(now.exchanges - before.exchanges, 1);
    return { socket: socket!, turns };
  }
  const done = (id: string, usage: object, model = 'gpt-realtime') => ({
    type: 'response.done',
    response: { id, model, usage },
  });
  const realtime = (input: object, output: object, inputTokens: number, outputTokens: number) => ({
    total_tokens: inputTokens + outputTokens,
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    input_token_details: input,
    output_token_details: output,
  });

  test('E14, of the Responses API: each turn is charged, and the socket beside them is free', async () => {
    const { socket, turns } = await said(
      '/responses',
      { type: 'response.completed', response: { id: 'resp_1', model: 'gpt-5.5', usage: tokens(1000, 1000) } },
      { type: 'response.completed', response: { id: 'resp_2', model: 'gpt-5', usage: tokens(45, 1719) } },
    );
    assert.deepEqual(
      turns.map(({ cost }) => cost.usd),
      ['0.035', '0.01724625'],
    );
    assert.deepEqual([socket.cost.state, socket.cost.pico_usd], ['free', '0']);
  });

  test('a turn tells for how long it wrote to the cache', async () => {
    const usage = tokens(1000, 10, { cache_write_tokens: 1000 });
    const response = { id: 'resp_1', model: 'gpt-6.2-sol', usage, prompt_cache_options: { ttl: '12h' } };
    const { turns } = await said('/responses', { type: 'response.completed', response });
    assert.deepEqual(
      turns.map(({ cost }) => cost.usd),
      ['0.0051'],
    );
  });

  test('E25: 1,000 tokens of an image, 200 of them cached: 0.0041', async () => {
    const usage = realtime(
      {
        text_tokens: 0,
        audio_tokens: 0,
        image_tokens: 1000,
        cached_tokens: 200,
        cached_tokens_details: { image_tokens: 200 },
      },
      { text_tokens: 0, audio_tokens: 0 },
      1000,
      0,
    );
    const { turns } = await said('/realtime?model=gpt-realtime', done('resp_1', usage));
    assert.deepEqual(
      turns.map(({ cost }) => cost.usd),
      ['0.0041'],
    );
  });

  test('E26, C11: 90 seconds that another model transcribed, told after the response: 0.0255 beside it', async () => {
    const { turns } = await said(
      '/realtime?model=gpt-realtime',
      {
        type: 'session.updated',
        session: { model: 'gpt-realtime', audio: { input: { transcription: { model: 'gpt-realtime-whisper' } } } },
      },
      done('resp_1', realtime({ text_tokens: 1000 }, { text_tokens: 0 }, 1000, 0)),
      {
        type: 'conversation.item.input_audio_transcription.completed',
        item_id: 'item_1',
        content_index: 0,
        usage: { type: 'duration', seconds: 90 },
      },
    );
    assert.deepEqual(
      turns.map(({ cost, model_served }) => [model_served, cost.usd]),
      [
        ['gpt-realtime', '0.004'],
        ['gpt-realtime-whisper', '0.0255'],
      ],
    );
  });

  test('C4: reasoning within the text of a turn with text and audio both ways is charged once', async () => {
    const usage = realtime(
      { text_tokens: 119, audio_tokens: 200 },
      { text_tokens: 60, audio_tokens: 150, reasoning_tokens: 40 },
      319,
      210,
    );
    const { turns } = await said('/realtime?model=gpt-realtime-2', done('resp_1', usage, 'gpt-realtime-2'));
    assert.deepEqual(
      turns.map(({ cost }) => cost.usd),
      ['0.017916'],
    );
  });

  test('C12: cached text and cached audio have each their own rate', async () => {
    const usage = realtime(
      {
        text_tokens: 1000,
        audio_tokens: 2000,
        cached_tokens: 2000,
        cached_tokens_details: { text_tokens: 1000, audio_tokens: 1000 },
      },
      {},
      3000,
      0,
    );
    const { turns } = await said('/realtime?model=gpt-realtime-mini', done('resp_1', usage, 'gpt-realtime-mini'));
    assert.deepEqual(
      turns.map(({ cost }) => cost.usd),
      ['0.01036'],
    );
  });

  test('E28: 90 seconds of GPT-Live: 0.075, and its last word is its total', async () => {
    for (const path of ['/live/sessions', '/live/sessions/session_1/fork']) {
      const { socket } = await said(
        path,
        { type: 'session.usage.updated', usage: { seconds: 40 } },
        { type: 'session.usage.updated', usage: { seconds: 80 } },
        { type: 'session.closed', usage: { seconds: 90 } },
      );
      assert.deepEqual([socket.cost.usd, socket.cost.state], ['0.075', 'priced'], path);
    }
  });

  test('a socket that watches a live session tells its usage again, and is not charged', async () => {
    const { socket } = await said('/live/sessions/session_1/attach', {
      type: 'session.closed',
      usage: { seconds: 90 },
    });
    assert.deepEqual([socket.cost.state, socket.cost.pico_usd], ['free', '0']);
  });

  test('a session of translations is estimated by how far it came', async () => {
    const { socket } = await said('/realtime/translations?model=gpt-realtime-translate', {
      type: 'session.output_audio.delta',
      elapsed_ms: 60_000,
    });
    assert.deepEqual([socket.cost.usd, socket.cost.state, socket.usage.source], ['0.034', 'estimated', 'estimated']);
  });

  test('C9, C11: a response that was under way when its socket ended is not free: nobody knows what it cost', async () => {
    const created = (id: string) => ({ type: 'response.created', response: { id, model: 'gpt-realtime' } });
    const delta = { type: 'response.output_audio.delta', response_id: 'resp_1', delta: 'aGVsbG8=' };
    const usage = realtime({ text_tokens: 1000 }, {}, 1000, 0);
    const path = '/realtime?model=gpt-realtime';

    const { socket: lost } = await said(path, created('resp_1'), delta);
    assert.deepEqual([lost.cost.state, lost.cost.pico_usd, lost.cost.why], ['unpriced', null, 'response_unfinished']);
    const { socket: half, turns } = await said(
      path,
      created('resp_1'),
      done('resp_1', usage),
      created('resp_2'),
      delta,
    );
    assert.deepEqual([half.cost.state, half.cost.why, turns.length], ['partial', 'response_unfinished', 1]);
    const cancelled = { type: 'response.cancelled', response: { id: 'resp_1', status: 'cancelled', usage: null } };
    const { socket: stopped, turns: cut } = await said('/responses', created('resp_1'), cancelled);
    // It is kept, and a record of its own until it is read.
    assert.deepEqual(
      [...cut, stopped].map(({ cost }) => [cost.state, cost.why]),
      [
        ['unpriced', 'response_unfinished'],
        ['free', null],
      ],
    );
    const { socket: whole } = await said(path, created('resp_1'), delta, done('resp_1', usage));
    assert.deepEqual([whole.cost.state, whole.cost.why], ['free', null]);
  });

  test('a live session that tells no usage is unpriced', async () => {
    const { socket } = await said('/live/sessions', { type: 'session.created', session: { id: 'session_1' } });
    assert.deepEqual([socket.cost.state, socket.cost.pico_usd, socket.cost.why], ['unpriced', null, 'no_usage']);
  });

  test('a client that leaves has paid for the turns that ended, and an upstream that says no is free', async () => {
    stand.clear();
    const { client, far } = await stand.open('/openai/v1/realtime?model=gpt-realtime');
    far.send(JSON.stringify(done('resp_1', realtime({ text_tokens: 1000 }, {}, 1000, 0))));
    await eventually('the turn is on record', () => stand.records().length === 1);
    client.socket.terminate();
    const [socket] = await stand.recorded(1);
    assert.deepEqual([socket!.ending, socket!.cost.state], ['downstream_left', 'free']);
    assert.equal(stand.records().find(({ kind }) => kind === 'turn')!.cost.usd, '0.004');

    stand.clear();
    stand.upstream.reception = {
      answer: (connection) =>
        connection.end('HTTP/1.1 429 Too Many\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}'),
    };
    await stand.dial('/openai/v1/realtime?model=gpt-realtime').refused();
    const [refused] = await stand.recorded(1);
    assert.deepEqual([refused!.status, refused!.cost.state, refused!.cost.pico_usd], [429, 'free', '0']);
  });
});

describe('work that is paid for later', () => {
  let cost: CostStand;
  before(async () => {
    cost = await openCostStand();
  });
  after(() => cost.close());

  interface Late {
    readonly id: string;
    readonly path: string;
    readonly asked: object;
    readonly started: object;
    readonly read: string;
    readonly ended: object;
    readonly files?: Readonly<Record<string, string>>;
    readonly usd: string;
  }
  const line = (n: number, model: string, usage: object) =>
    `${JSON.stringify({ custom_id: `${n}`, response: { status_code: 200, body: { id: `r${n}`, model, usage } }, error: null })}\n`;

  const LATE: readonly Late[] = [
    {
      id: 'E14, in the background',
      path: '/responses',
      asked: { model: 'gpt-6.1-sol', input: 'x', background: true },
      started: { id: 'resp_1', object: 'response', status: 'queued', model: 'gpt-6.1-sol', usage: null },
      read: '/responses/resp_1',
      ended: { id: 'resp_1', object: 'response', status: 'completed', model: 'gpt-6.1-sol', usage: E14 },
      usd: '0.0103',
    },
    {
      id: 'E16',
      path: '/batches',
      asked: { input_file_id: 'file-1', endpoint: '/v1/responses', completion_window: '24h' },
      started: { id: 'batch_1', object: 'batch', status: 'validating', endpoint: '/v1/responses' },
      read: '/batches/batch_1',
      ended: {
        id: 'batch_1',
        object: 'batch',
        status: 'completed',
        endpoint: '/v1/responses',
        output_file_id: 'file-2',
      },
      files: { '/v1/files/file-2/content': line(1, 'gpt-6.1-sol', E14) },
      usd: '0.00515',
    },
    {
      id: 'E33',
      path: '/batches',
      asked: { input_file_id: 'file-1', endpoint: '/v1/responses', completion_window: '24h' },
      started: { id: 'batch_2', object: 'batch', status: 'validating', endpoint: '/v1/responses' },
      read: '/batches/batch_2',
      ended: { id: 'batch_2', object: 'batch', status: 'expired', endpoint: '/v1/responses', output_file_id: 'file-3' },
      files: {
        '/v1/files/file-3/content': [1, 2, 3, 4].map((n) => line(n, 'gpt-6.1-terra', tokens(250_000, 50_000))).join(''),
      },
      usd: '1',
    },
    {
      id: 'E32',
      path: '/fine_tuning/jobs',
      asked: { model: 'gpt-4o-mini-2024-07-18', training_file: 'file-1' },
      started: {
        id: 'ftjob-1',
        object: 'fine_tuning.job',
        status: 'queued',
        model: 'gpt-4o-mini-2024-07-18',
        trained_tokens: null,
      },
      read: '/fine_tuning/jobs/ftjob-1',
      ended: {
        id: 'ftjob-1',
        object: 'fine_tuning.job',
        status: 'succeeded',
        model: 'gpt-4o-mini-2024-07-18',
        trained_tokens: 1_200_000,
      },
      usd: '3.6',
    },
    ...['/videos', '/videos/edits', '/videos/extensions', '/videos/video_0/remix'].map((path, n): Late => ({
      id: `E34, ${path}`,
      path,
      asked: { model: 'sora-2', prompt: 'x', seconds: '4' },
      started: {
        id: `video_${n + 1}`,
        object: 'video',
        status: 'queued',
        model: 'sora-2',
        seconds: '4',
        size: '720x1280',
      },
      read: `/videos/video_${n + 1}`,
      ended: {
        id: `video_${n + 1}`,
        object: 'video',
        status: 'completed',
        model: 'sora-2',
        seconds: '4',
        size: '720x1280',
      },
      usd: '0.4',
    })),
    {
      id: 'a run of an eval',
      path: '/evals/eval_1/runs',
      asked: { name: 'x', data_source: { type: 'responses' } },
      started: { id: 'evalrun_1', object: 'eval.run', status: 'queued', per_model_usage: null },
      read: '/evals/eval_1/runs/evalrun_1',
      ended: {
        id: 'evalrun_1',
        object: 'eval.run',
        status: 'completed',
        per_model_usage: [
          {
            model_name: 'gpt-4.1',
            invocation_count: 1,
            prompt_tokens: 329,
            completion_tokens: 12,
            cached_tokens: 0,
            total_tokens: 341,
          },
        ],
      },
      usd: '0.000754',
    },
  ];

  for (const { id, path, asked, started, read, ended, files = {}, usd } of LATE) {
    test(`${id}: pending when it starts, ${usd} when a read tells of its end, and reads are free`, async () => {
      const request = { method: 'POST', target: `/openai/v1${path}`, ...json(asked) };
      const { reply, record } = await cost.exchange(request, asJson(started));
      assert.deepEqual([record.cost.state, record.cost.pico_usd, record.cost.why], ['pending', null, 'in_progress']);
      assert.equal(record.objects[0]?.id, (started as { id: string }).id);
      assert.equal(valueOf(reply.headers, 'x-throughway-cost-usd'), undefined);

      const before = await cost.totals();
      for (let i = 0; i < 3; i++) {
        cost.stand.script((seen) => {
          const file = files[seen.target];
          return file === undefined
            ? asJson(ended)
            : { headers: [['Content-Type', 'application/octet-stream']], body: file };
        });
        const answer = await cost.stand.ask({ target: `/openai/v1${read}` });
        assert.equal(valueOf(answer.headers, 'x-throughway-cost-usd'), undefined);
      }
      let now = await cost.totals();
      const deadline = performance.now() + 5000;
      while (now.pending === before.pending && performance.now() < deadline) now = await cost.totals();
      assert.equal(parseUsd(now.measured_usd) - parseUsd(before.measured_usd), parseUsd(usd));
      assert.equal(now.pending - before.pending, -1);
    });

    test(`${id}: an upstream that turns it down is free, and one that is left before it says so is not known`, async () => {
      const request = { method: 'POST', target: `/openai/v1${path}`, ...json(asked) };
      for (const status of [400, 500]) {
        const { record } = await cost.exchange(request, asJson({ error: {} }, status));
        assert.deepEqual([record.cost.state, record.cost.pico_usd, record.objects], ['free', '0', []]);
      }
      const record = await cost.entered(async () => {
        let isAsked = false;
        cost.stand.script(async (seen) => {
          await seen.whole();
          isAsked = true;
        });
        const connection = await cost.stand.connect();
        await connection.send({ ...request, headers: cost.stand.keyed(...request.headers) });
        await eventually('the upstream is asked', () => isAsked);
        connection.close();
        await cost.stand.recorded(1);
      });
      assert.equal(record.ending, 'downstream_left');
      assert.ok(['unpriced', 'estimated'].includes(record.cost.state), record.cost.state);
      assert.notEqual(record.cost.pico_usd, '0');
    });
  }

  for (const [path, asked, started] of [
    ['/vector_stores', { name: 'x' }, { id: 'vs_1', object: 'vector_store', usage_bytes: 0 }],
    ['/containers', { name: 'x', memory_limit: '4g' }, { id: 'cntr_1', object: 'container', memory_limit: '4g' }],
  ] as const) {
    test(`${path}: pending from the moment it is there`, async () => {
      const request = { method: 'POST', target: `/openai/v1${path}`, ...json(asked) };
      const { record } = await cost.exchange(request, asJson(started));
      assert.deepEqual([record.cost.state, record.cost.pico_usd], ['pending', null]);
      const { record: refused } = await cost.exchange(request, asJson({ error: {} }, 400));
      assert.deepEqual([refused.cost.state, refused.cost.pico_usd], ['free', '0']);
    });
  }
});

async function inTurn<T>(times: number, act: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (let i = 0; i < times; i++) all.push(await act());
  return all;
}
