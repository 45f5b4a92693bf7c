// Replies and sockets that cost more than was set aside for them: they may finish, which is recorded and charged in full, or are cut.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { chunk, EVENT_STREAM, LAST_CHUNK } from '../support/chunked.ts';
import { eventually } from '../support/eventually.ts';
import type { Script } from '../support/recorder.ts';
import { Client, type SocketUpstream, startSocketUpstream } from '../support/sockets.ts';
import { type Scene, openScene } from './scene.ts';

/** What one chat of these tests holds: gpt-4o-mini at 0.15 and 0.60 USD a million, 10 tokens of output, a body of some 100 bytes. */
const SOME = 100_000_000n;
const EVENTS = 100;
const EVENT_TOKENS = 250;
/** 25,000 tokens of output. */
const WHOLE_REPLY = BigInt(EVENTS * EVENT_TOKENS) * 600_000n;

/** An upstream that writes far more than it was asked for. */
const longStream: Script = async (request, wire) => {
  await request.whole();
  await wire.head(200, 'OK', EVENT_STREAM);
  for (let i = 0; i < EVENTS; i++) {
    const delta = { content: 'word'.repeat(EVENT_TOKENS) };
    await wire.write(
      chunk(`data: ${JSON.stringify({ id: 'c', model: 'gpt-4o-mini', choices: [{ index: 0, delta }] })}\n\n`),
    );
    await new Promise((resolve) => setImmediate(resolve));
  }
  const usage = {
    prompt_tokens: 30,
    completion_tokens: EVENTS * EVENT_TOKENS,
    total_tokens: 30 + EVENTS * EVENT_TOKENS,
  };
  await wire.write(chunk(`data: ${JSON.stringify({ id: 'c', model: 'gpt-4o-mini', choices: [], usage })}\n\n`));
  await wire.write(chunk('data: [DONE]\n\n'));
  await wire.write(LAST_CHUNK);
};

const ASKED = { model: 'gpt-4o-mini', max_tokens: 10, stream: true, messages: [{ role: 'user', content: 'Hello' }] };

describe('a stream that costs more than was set aside', () => {
  let scene: Scene<'finish' | 'cut' | 'roomy' | 'tokens'>;
  before(async () => {
    scene = await openScene({
      keys: { finish: {}, cut: { onOverrun: 'cut' }, roomy: { onOverrun: 'cut' }, tokens: { onOverrun: 'cut' } },
      budgets: {
        finish: { limitMoney: SOME },
        cut: { limitMoney: SOME },
        roomy: { limitMoney: 2n * WHOLE_REPLY },
        tokens: { limitTokens: 2000 },
      },
      script: longStream,
    });
  });
  after(() => scene.close());

  const read = async (reply: Response): Promise<string | null> => {
    try {
      return await reply.text();
    } catch {
      return null;
    }
  };
  const recordOf = async (key: keyof typeof scene.keys) => {
    const own = () => scene.records().filter((record) => record.key_id === scene.keys[key].key.id);
    await eventually('it is recorded', () => own().length > 0);
    return own().at(-1)!;
  };

  test('finishes by default: the truth is charged, and the next request is refused', async () => {
    const text = await read(await scene.chat('finish', ASKED));
    assert.ok(text?.includes('[DONE]'));
    const record = await recordOf('finish');
    assert.equal(record.ending, 'complete');
    assert.ok(BigInt(record.cost.pico_usd!) >= WHOLE_REPLY);
    const next = await scene.chat('finish', ASKED);
    assert.deepEqual([next.status, next.headers.get('x-throughway-refusal')], [429, 'insufficient_quota']);
  });

  for (const key of ['cut', 'tokens'] as const) {
    test(`is broken off where its key says so and the budget has no more (${key === 'cut' ? 'money' : 'tokens'})`, async () => {
      const reply = await scene.chat(key, ASKED);
      assert.equal(reply.status, 200);
      assert.equal(await read(reply), null, 'half a reply does not look like a whole one');
      const record = await recordOf(key);
      assert.deepEqual([record.ending, record.error?.code], ['gateway_cut', 'insufficient_quota']);
      assert.equal(record.cost.state, 'estimated');
      const charged = BigInt(record.cost.pico_usd!);
      assert.ok(charged > 0n && charged < WHOLE_REPLY / 2n, `${charged} of ${WHOLE_REPLY}`);
      const request = scene.upstream.requests.at(-1)!;
      await eventually('the upstream is let go', () => request.closed);
    });
  }

  test('goes on where its budget has more, which is set aside as it goes', async () => {
    const text = await read(await scene.chat('roomy', ASKED));
    assert.ok(text?.includes('[DONE]'));
    assert.equal((await recordOf('roomy')).ending, 'complete');
  });

  test('leaves nothing held, and spends what its records tell', async () => {
    const records = scene.records();
    await scene.after(async ({ ledger }) => {
      const { data } = await ledger.budgets.list({ limit: 10, cursor: null }, {});
      for (const { budget, spent, held } of data) {
        assert.equal(held, 0n);
        if (budget.limitMoney === null) continue;
        const own = records.filter((record) => record.key_id === budget.keyId);
        assert.equal(
          spent,
          own.reduce((sum, { cost }) => sum + BigInt(cost.pico_usd ?? 0), 0n),
        );
      }
    });
  });
});

describe('a socket whose turns use up its budget', () => {
  let upstream: SocketUpstream;
  let scene: Scene<'few' | 'many'>;
  before(async () => {
    upstream = await startSocketUpstream();
    scene = await openScene({
      keys: { few: {}, many: {} },
      budgets: { few: { limitMoney: 4n * SOME }, many: { limitMoney: 1000n * SOME } },
      elsewhere: upstream.url,
    });
  });
  after(async () => {
    await scene.close();
    await upstream.close();
  });

  /** Costs a quarter of what the budget of `few` is for, and a little more. */
  const turn = JSON.stringify({
    type: 'response.completed',
    response: {
      id: 'resp_1',
      object: 'response',
      status: 'completed',
      model: 'gpt-4o-mini',
      output: [],
      usage: { input_tokens: 1, output_tokens: 170, total_tokens: 171 },
    },
  });

  async function open(key: 'few' | 'many') {
    const before = upstream.sockets.length;
    const headers = { authorization: `Bearer ${scene.keys[key].token}` };
    const url = `${scene.gateway.api.replace('http', 'ws')}/openai/v1/responses`;
    const client = await new Client(url, [], { headers }).opened();
    await eventually('the upstream has its end', () => upstream.sockets.length > before);
    return { client, far: upstream.sockets.at(-1)! };
  }

  test('is told so by an error event and closed with 1008; all its turns are charged; another key’s goes on', async () => {
    const [few, many] = [await open('few'), await open('many')];
    for (let i = 0; i < 4; i++) {
      few.far.send(turn.replace('resp_1', `resp_${i}`));
      many.far.send(turn.replace('resp_1', `resp_${i}`));
    }
    assert.deepEqual(await few.client.ended(), { code: 1008, reason: 'insufficient_quota' });
    const said = few.client.texts().map((text) => JSON.parse(text) as { type: string; error?: { code: string } });
    assert.equal(said.filter(({ type }) => type === 'response.completed').length, 4);
    assert.deepEqual([said.at(-1)?.type, said.at(-1)?.error?.code], ['error', 'insufficient_quota']);
    await eventually('the other has all of its turns', () => many.client.messages.length === 4);
    assert.equal(many.client.closed, null);

    const again = new Client(`${scene.gateway.api.replace('http', 'ws')}/openai/v1/responses`, [], {
      headers: { authorization: `Bearer ${scene.keys.few.token}` },
    });
    assert.equal((await again.refused()).status, 429);
    many.client.socket.close();
    const records = await scene.settled(11);
    const own = records.filter(({ key_id, kind }) => key_id === scene.keys.few.key.id && kind === 'turn');
    await scene.after(async ({ ledger }) => {
      const { data } = await ledger.budgets.list({ limit: 10, cursor: null }, { keyId: scene.keys.few.key.id });
      const spent = own.reduce((sum, { cost }) => sum + BigInt(cost.pico_usd!), 0n);
      assert.deepEqual([data[0]?.spent, data[0]?.held], [spent, 0n]);
    });
  });
});
