// Work that is started on an uploaded file is set aside for before it begins: batches by all of their lines, training by the file.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import fc from 'fast-check';

import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { formatUsd } from '../../src/domain/money.ts';
import { scanRequest } from '../../src/openai/request.ts';
import { UploadedLines } from '../../src/openai/uploaded-lines.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import { startRecorder } from '../support/recorder.ts';
import type { Header } from '../support/wire.ts';
import { type CostStand, asJson, form, json, openCostStand } from './stand.ts';

const MODEL = 'gpt-6.1-terra';
const line = (body: object, url = '/v1/chat/completions', more = {}) =>
  `${JSON.stringify({ custom_id: 'a', method: 'POST', url, body: { model: MODEL, ...body }, ...more })}\n`;
const ask = (content: unknown, more: object = {}) => line({ messages: [{ role: 'user', content }], ...more });

function toldOf(text: string, sizes: readonly number[] = [text.length + 1]) {
  const [lines, bytes] = [new UploadedLines(), Buffer.from(text)];
  for (let at = 0, i = 0; at < bytes.length; at += sizes[i++ % sizes.length]!)
    lines.feed(bytes.subarray(at, at + sizes[i % sizes.length]!));
  return lines.told();
}

describe('an uploaded file of lines', () => {
  const TEXT = [
    ask('one', { max_completion_tokens: 100 }),
    ask('two', { max_tokens: 50, n: 3 }),
    ask('three, without a bound'),
    line({ prompt: ['a', 'b'], max_tokens: 10, best_of: 4 }, '/v1/completions'),
    ask([{ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }], { n: 2 }),
    ask('Say "image_url" and "max_tokens": 9, and no more.', { max_tokens: 1 }),
    line({ input: 'x', previous_response_id: 'resp_1', max_output_tokens: 7 }, '/v1/responses'),
    '\n',
    'no line of JSON\n',
  ].join('');

  test('tells how many there are and what they ask for at most, however it is cut', () => {
    const expected = {
      bytes: Buffer.byteLength(TEXT),
      lines: 7,
      lineBytesMax: Math.max(...TEXT.split('\n').map((each) => each.length)),
      model: MODEL,
      makes: 'text',
      outputTokens: 100 + 150 + 80 + 1 + 7,
      unboundedReplies: 1 + 2,
      linesReadingElsewhere: 2,
    };
    assert.deepEqual(toldOf(TEXT), expected);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 6 }), (sizes) => {
        const [lines, bytes] = [new UploadedLines(), Buffer.from(TEXT)];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          lines.feed(bytes.subarray(at, at + sizes[i % sizes.length]!));
          at += sizes[i % sizes.length]!;
        }
        assert.deepEqual(lines.told(), expected);
      }),
    );
  });

  test('may lack its last line end, name several models, or be something else', () => {
    assert.equal(toldOf(ask('one').trimEnd())?.lines, 1);
    assert.equal(toldOf(ask('one') + line({ model: 'other' }))?.model, null);
    assert.equal(toldOf(line({ input: 'x' }, '/v1/embeddings'))?.makes, 'nothing');
    assert.equal(toldOf(line({ prompt: 'x' }, '/v1/images/generations'))?.makes, 'images');
    assert.equal(toldOf(` \r\n\n ${ask('one')}`)?.lines, 1);
    assert.equal(toldOf('%PDF-1.7 and so on\n{"body":{}}\n'), null);
    assert.equal(toldOf(''), null);
  });

  test('is found in an upload that is cut anywhere, and only when that is whole', () => {
    const { headers, body } = form({ purpose: 'batch' }, { name: 'in.jsonl', bytes: Buffer.from(TEXT) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), (size) => {
        const scan = scanRequest(headers[0]![1], '', { announcedBytes: null, countsInput: false, readsLines: true });
        for (let at = 0; at < body.length; at += size) {
          if (at < TEXT.length) assert.equal(scan.facts().inputFile ?? null, null);
          scan.feed(body.subarray(at, at + size));
        }
        assert.deepEqual(scan.facts().inputFile, toldOf(TEXT));
      }),
      { numRuns: 20 },
    );
  });
});

test('what an uploaded file asks for is known after a restart, from the records', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'throughway-test-'));
  const upstream = await startRecorder();
  const answered = { id: 'file-1', object: 'file' };
  upstream.script = async (seen) => {
    await seen.whole();
    return asJson(answered);
  };
  const text = ask('one', { max_tokens: 100 });
  const during = async (act: (gateway: TestGateway) => Promise<void>) => {
    const gateway = await startGateway({ upstream: `${upstream.url}/v1`, dataDir });
    await act(gateway);
    await gateway.close();
  };
  const post = async ({ api, token }: TestGateway, target: string, { headers, body }: ReturnType<typeof json>) => {
    const [[, type]] = headers as [Header];
    const reply = await fetch(api + target, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': type },
      body: new Uint8Array(body),
    });
    await reply.arrayBuffer();
    return reply.status;
  };
  try {
    const file = form({ purpose: 'batch' }, { name: 'in.jsonl', bytes: Buffer.from(text) });
    await during(async (gateway) => assert.equal(await post(gateway, '/openai/v1/files', file), 200));
    await during(async (gateway) => {
      const body = JSON.stringify({ scope: 'global', limit_usd: '0.0001' });
      await gateway.adminFetch('/admin/v1/budgets', { method: 'POST', body });
      const batch = (id: string) => json({ input_file_id: id, completion_window: '24h' });
      assert.equal(await post(gateway, '/openai/v1/batches', batch('file-1')), 429);
      assert.equal(await post(gateway, '/openai/v1/batches', batch('file-2')), 200);
    });
  } finally {
    await upstream.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});

describe('work on a file', () => {
  let cost: CostStand;
  let files = 0;
  before(async () => {
    cost = await openCostStand();
  });
  after(() => cost.close());

  const upload = async (text: string): Promise<{ id: string; record: ExchangeRecord }> => {
    const id = `file-${++files}`;
    const { record } = await cost.exchange(
      {
        method: 'POST',
        target: '/openai/v1/files',
        ...form({ purpose: 'batch' }, { name: 'in.jsonl', bytes: Buffer.from(text) }),
      },
      asJson({ id, object: 'file', bytes: text.length }),
    );
    return { id, record };
  };
  const batchOn = (id: string, answer = asJson({ id: `batch_${id}`, object: 'batch', status: 'validating' })) =>
    cost.exchange({ method: 'POST', target: '/openai/v1/batches', ...asked(id) }, answer);
  const asked = (id: string) => json({ input_file_id: id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  const trainOn = (id: string, more: object) =>
    cost.exchange(
      {
        method: 'POST',
        target: '/openai/v1/fine_tuning/jobs',
        ...json({ model: 'gpt-4o-mini', training_file: id, ...more }),
      },
      asJson({
        id: `ftjob-${id}-${JSON.stringify(more).length}`,
        object: 'fine_tuning.job',
        status: 'queued',
        trained_tokens: null,
      }),
    );

  /** A budget, and what it says is spent and held after `act`. */
  async function budgeted(limitUsd: string, act: () => Promise<unknown>): Promise<string> {
    const { adminFetch } = cost.stand.gateway;
    const made = await adminFetch('/admin/v1/budgets', {
      method: 'POST',
      body: JSON.stringify({ scope: 'global', limit_usd: limitUsd }),
    });
    const { id } = (await made.json()) as { id: string };
    try {
      await act();
      const read = await adminFetch(`/admin/v1/budgets/${id}`);
      const { spent_usd, held_usd } = (await read.json()) as { spent_usd: string; held_usd: string };
      assert.equal(held_usd, '0');
      return spent_usd;
    } finally {
      await adminFetch(`/admin/v1/budgets/${id}`, { method: 'DELETE' });
    }
  }

  /** A million of input is 2.50 dollars where it is written to the cache for long, and of output 5. Batches pay half. */
  const batchPrice = (bytes: number, output: number) =>
    formatUsd(BigInt(Math.ceil((bytes * 2) / 5)) * 1_250_000n + BigInt(output) * 2_500_000n);

  test('the record of the upload tells what was counted', async () => {
    const { record } = await upload(ask('one', { max_tokens: 5 }));
    assert.deepEqual(
      record.objects.map(({ kind, input }) => [kind, input?.lines, input?.output_tokens]),
      [['file', 1, 5]],
    );
    assert.equal(record.cost.state, 'free');
    const { record: other } = await upload('no lines of JSON');
    assert.deepEqual(other.objects, [{ kind: 'file', id: `file-${files}` }]);
  });

  test('a batch sets all of its lines aside, which stands until it is settled', async () => {
    const text = ask('one', { max_tokens: 100 }).repeat(50);
    const { id } = await upload(text);
    const spent = await budgeted('1', async () => {
      const { record } = await batchOn(id);
      assert.equal(record.cost.state, 'pending');
    });
    assert.equal(spent, batchPrice(text.length, 5000));
  });

  test('a batch that its budget has no room for is refused before anything goes upstream', async () => {
    const { id } = await upload(ask('one', { max_tokens: 100_000 }).repeat(50));
    await budgeted('0.10', async () => {
      cost.stand.clear();
      const reply = await cost.stand.ask({ method: 'POST', target: '/openai/v1/batches', ...asked(id) });
      assert.equal(reply.status, 429);
      assert.match(reply.body.toString(), /insufficient_quota/);
      assert.equal(cost.stand.upstream.requests.length, 0);
      await cost.stand.recorded(1);
    });
  });

  test('a batch that the upstream turns down, or on a file that nobody saw, takes nothing', async () => {
    const { id } = await upload(ask('one', { max_tokens: 100 }));
    const spent = await budgeted('1', async () => {
      await batchOn(id, asJson({ error: { message: 'no' } }, 400));
      await batchOn('file-elsewhere');
    });
    assert.equal(spent, '0');
  });

  test('a key that must bound its replies must do so on each line', async () => {
    const { token } = await cost.stand.gateway.createKey({ name: 'bounded', on_unbounded: 'refuse' });
    const { id: open } = await upload(ask('one'));
    const { id: bounded } = await upload(ask('one', { max_tokens: 9 }));
    await budgeted('1', async () => {
      for (const [id, status] of [
        [open, 400],
        [bounded, 200],
      ] as const) {
        cost.stand.clear();
        cost.stand.script(async (seen) => {
          await seen.whole();
          return asJson({ id: `batch_${id}`, object: 'batch', status: 'validating' });
        });
        const { headers, body } = asked(id);
        const reply = await cost.stand.ask({
          method: 'POST',
          target: '/openai/v1/batches',
          headers: [['Authorization', `Bearer ${token}`], ...headers],
          body,
        });
        assert.equal(reply.status, status);
        await cost.stand.recorded(1);
      }
    });
  });

  test('training sets the tokens of its file aside, as often as it is trained with', async () => {
    const text = '{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}\n'.repeat(200);
    const { id } = await upload(text);
    // 3 dollars for a million.
    const price = (epochs: number) => formatUsd(BigInt(Math.ceil((text.length * 2) / 5) * epochs) * 3_000_000n);
    const cases: readonly (readonly [more: object, epochs: number])[] = [
      [{ hyperparameters: { n_epochs: 2 } }, 2],
      [{ method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 4 } } } }, 4],
      [{ hyperparameters: { n_epochs: 'auto' } }, 3],
      [{}, 3],
    ];
    for (const [more, epochs] of cases) assert.equal(await budgeted('1', () => trainOn(id, more)), price(epochs));
    const { id: few } = await upload(text.slice(0, text.length / 20));
    const spent = await budgeted('1', () => trainOn(few, {}));
    assert.equal(spent, formatUsd(BigInt(Math.ceil(((text.length / 20) * 2) / 5) * 10) * 3_000_000n));
  });
});
