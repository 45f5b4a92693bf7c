// What upstreams report becomes readings that are disjoint: nothing is counted twice, nothing is left out, and what does not add
// up is said. The letters name the complaints and examples of the reference (cost 11, 12).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { NOTHING_ASKED, NOTHING_SEEN, type ReplyFacts, type RequestFacts } from '../src/domain/facts.ts';
import { type Reading, type Usage, formatQuantity } from '../src/domain/usage.ts';
import { openBatchOutput } from '../src/openai/batch-output.ts';
import { findEndpoint } from '../src/openai/endpoints.ts';
import { containerReading, reinforcementReading, storageReading } from '../src/openai/kept-usage.ts';
import { openTurnReader } from '../src/openai/turns.ts';
import { readImageTool, readTurnUsage, readUsage, toolReadings } from '../src/openai/usage.ts';

/** Each meter with its quantity, its variant behind a slash: `video_seconds/720x1280`. */
function told(readings: readonly Reading[] | null): Record<string, string> | null {
  if (readings === null) return null;
  const pairs = readings.map((reading): [string, string] => [
    reading.variant === undefined ? reading.meter : `${reading.meter}/${reading.variant}`,
    formatQuantity(reading),
  ]);
  assert.equal(new Set(pairs.map(([meter]) => meter)).size, pairs.length, 'a meter stands twice');
  return Object.fromEntries(pairs);
}

interface Sample {
  readonly story: string;
  readonly path: string;
  readonly method?: string;
  readonly usage?: unknown;
  readonly facts?: Partial<ReplyFacts>;
  readonly request?: Partial<RequestFacts>;
  readonly readings: Record<string, string> | null;
  readonly source?: Usage['source'];
}

function read({ path, method = 'POST', usage, facts, request }: Omit<Sample, 'story' | 'readings'>): Usage {
  const usages = usage === undefined ? [] : [usage];
  return readUsage(findEndpoint(method, path), { ...NOTHING_SEEN, usages, ...facts }, { ...NOTHING_ASKED, ...request });
}

const CHAT = '/v1/chat/completions';
const RESPONSES = '/v1/responses';
const tokens = (input: number, output: number, inputDetails = {}, outputDetails = {}) => ({
  input_tokens: input,
  input_tokens_details: inputDetails,
  output_tokens: output,
  output_tokens_details: outputDetails,
  total_tokens: input + output,
});
const chatTokens = (input: number, output: number, inputDetails = {}, outputDetails = {}) => ({
  prompt_tokens: input,
  completion_tokens: output,
  total_tokens: input + output,
  prompt_tokens_details: inputDetails,
  completion_tokens_details: outputDetails,
});

const SAMPLES: readonly Sample[] = [
  { story: 'chat (E1)', path: CHAT, usage: chatTokens(11, 4), readings: { input_text: '11', output_text: '4' } },
  {
    story: 'cached tokens are inside the input (C2, E8)',
    path: CHAT,
    usage: chatTokens(2006, 300, { cached_tokens: 1920, audio_tokens: 0 }, { reasoning_tokens: 0, audio_tokens: 0 }),
    readings: { input_text: '86', input_text_cached: '1920', output_text: '300' },
  },
  {
    story: 'written tokens are inside the input (C3, E3)',
    path: RESPONSES,
    usage: tokens(4020, 5, { cached_tokens: 0, cache_write_tokens: 4012 }, { reasoning_tokens: 0 }),
    readings: { input_text: '8', input_text_written: '4012', output_text: '5' },
  },
  {
    story: 'cached and written at once (C3, E9)',
    path: RESPONSES,
    usage: tokens(1000, 10, { cached_tokens: 200, cache_write_tokens: 100 }),
    readings: { input_text: '700', input_text_cached: '200', input_text_written: '100', output_text: '10' },
  },
  {
    story: 'written for 12 hours, as the request has it',
    path: RESPONSES,
    usage: tokens(1000, 10, { cached_tokens: 0, cache_write_tokens: 100 }),
    request: { promptCacheRetention: '12h' },
    readings: { input_text: '900', input_text_written_12h: '100', output_text: '10' },
  },
  {
    story: 'written for both lifetimes, as the reply has it',
    path: RESPONSES,
    usage: tokens(1000, 10, {
      cached_tokens: 0,
      cache_write_tokens: 100,
      cache_write_tokens_details: { ttl_30m_tokens: 60, ttl_12h_tokens: 40 },
    }),
    request: { promptCacheRetention: '12h' },
    readings: { input_text: '900', input_text_written: '60', input_text_written_12h: '40', output_text: '10' },
  },
  {
    story: 'reasoning is inside the output (C4, E6)',
    path: CHAT,
    usage: chatTokens(17, 482, {}, { reasoning_tokens: 448 }),
    readings: { input_text: '17', output_text: '482' },
  },
  {
    story: 'rejected predictions are inside the output (E22)',
    path: CHAT,
    usage: chatTokens(100, 250, {}, { accepted_prediction_tokens: 100, rejected_prediction_tokens: 60 }),
    readings: { input_text: '100', output_text: '250' },
  },
  {
    story: 'audio in chat',
    path: CHAT,
    usage: chatTokens(120, 90, { audio_tokens: 100, text_tokens: 20 }, { audio_tokens: 70, text_tokens: 20 }),
    readings: { input_text: '20', input_audio: '100', output_text: '20', output_audio: '70' },
  },
  {
    story: 'images that a chat model looks at are text',
    path: CHAT,
    usage: chatTokens(1000, 9, { image_tokens: 900, text_tokens: 100, cached_tokens: 500 }),
    readings: { input_text: '500', input_text_cached: '500', output_text: '9' },
  },
  {
    story: 'completions',
    path: '/v1/completions',
    usage: chatTokens(5, 7),
    readings: { input_text: '5', output_text: '7' },
  },
  {
    story: 'embeddings (E2)',
    path: '/v1/embeddings',
    usage: { prompt_tokens: 14, total_tokens: 14 },
    readings: { input_text: '14' },
  },
  {
    story: 'compaction',
    path: '/v1/responses/compact',
    usage: tokens(9, 2),
    readings: { input_text: '9', output_text: '2' },
  },
  { story: 'a count of tokens is free', path: '/v1/responses/input_tokens', usage: { input_tokens: 9 }, readings: {} },
  { story: 'moderation is free (E36)', path: '/v1/moderations', readings: {} },
  { story: 'a background response is not known yet', path: RESPONSES, facts: { status: 'queued' }, readings: null },
  {
    story: 'tool calls (E29, E30)',
    path: RESPONSES,
    usage: tokens(9000, 800),
    facts: { toolCalls: { web_search: 2, file_search: 3, code_interpreter: 1 } },
    readings: { input_text: '9000', output_text: '800', web_search_calls: '2', file_search_calls: '3' },
  },
  {
    story: 'preview web searches',
    path: RESPONSES,
    usage: tokens(1, 1),
    facts: { toolCalls: { web_search: 2 } },
    request: { tools: ['web_search_preview_2025_03_11'] },
    readings: { input_text: '1', output_text: '1', web_search_preview_calls: '2' },
  },
  {
    story: 'a search model searches once',
    path: CHAT,
    usage: chatTokens(1, 1),
    facts: { model: 'gpt-4o-search-preview-2025-03-11' },
    readings: { input_text: '1', output_text: '1', web_search_preview_calls: '1' },
  },
  {
    story: 'an image without a split of its output is all image (C6, E23)',
    path: '/v1/images/generations',
    usage: tokens(23, 1056, { text_tokens: 23, image_tokens: 0 }, undefined),
    readings: { input_text: '23', output_image: '1056' },
  },
  {
    story: 'an image with a split',
    path: '/v1/images/generations',
    usage: tokens(23, 1100, { text_tokens: 23, image_tokens: 0 }, { image_tokens: 1056, text_tokens: 44 }),
    readings: { input_text: '23', output_image: '1056', output_text: '44' },
  },
  {
    story: 'an edit with cached images (E24)',
    path: '/v1/images/edits',
    usage: tokens(1050, 1056, {
      text_tokens: 50,
      image_tokens: 1000,
      cached_tokens: 200,
      cached_tokens_details: { text_tokens: 0, image_tokens: 200 },
    }),
    readings: { input_text: '50', input_image: '800', input_image_cached: '200', output_image: '1056' },
  },
  {
    story: 'a stream of images is their sum',
    path: '/v1/images/generations',
    facts: { usages: [tokens(10, 100, { text_tokens: 10 }), tokens(0, 200, { text_tokens: 0 })] },
    readings: { input_text: '10', output_image: '300' },
  },
  {
    story: 'dall-e by images, size and quality',
    path: '/v1/images/generations',
    facts: { dataCount: 3 },
    request: { model: 'dall-e-3', size: '1024x1792', quality: 'hd' },
    readings: { 'images/1024x1792/hd': '3' },
  },
  {
    story: 'dall-e with all defaults',
    path: '/v1/images/variations',
    facts: { dataCount: 1 },
    readings: { 'images/1024x1024/standard': '1' },
  },
  {
    story: 'gpt-image without usage is unknown',
    path: '/v1/images/edits',
    facts: { dataCount: 1 },
    request: { model: 'gpt-image-2' },
    readings: null,
  },
  {
    story: 'speech by its event (E27)',
    path: '/v1/audio/speech',
    usage: { input_tokens: 30, output_tokens: 500, total_tokens: 530 },
    readings: { input_text: '30', output_audio: '500' },
  },
  {
    story: 'speech by its characters (E27)',
    path: '/v1/audio/speech',
    request: { model: 'tts-1-hd', inputCharacters: 1000 },
    readings: { speech_characters: '1000' },
  },
  {
    story: 'speech by its length',
    path: '/v1/audio/speech',
    facts: { durationSeconds: 25 },
    request: { model: 'gpt-4o-mini-tts', inputCharacters: 120 },
    readings: { input_text: '30', output_audio: '500' },
    source: 'estimated',
  },
  {
    story: 'speech of unknown length',
    path: '/v1/audio/speech',
    request: { model: 'gpt-4o-mini-tts' },
    readings: null,
  },
  {
    story: 'a transcription by tokens',
    path: '/v1/audio/transcriptions',
    usage: {
      type: 'tokens',
      input_tokens: 14,
      input_token_details: { text_tokens: 4, audio_tokens: 10 },
      output_tokens: 45,
      total_tokens: 59,
    },
    readings: { input_text: '4', input_audio: '10', output_text: '45' },
  },
  {
    story: 'a transcription by duration (E26)',
    path: '/v1/audio/transcriptions',
    usage: { type: 'duration', seconds: 90 },
    facts: { durationSeconds: 89.2 },
    readings: { transcribed_seconds: '90' },
  },
  {
    story: 'a verbose transcription',
    path: '/v1/audio/transcriptions',
    facts: { durationSeconds: 8.470000267028809 },
    readings: { transcribed_seconds: '9' },
  },
  {
    story: 'a verbose translation',
    path: '/v1/audio/translations',
    usage: { duration: 59.5 },
    readings: { transcribed_seconds: '60' },
  },
  {
    story: 'subtitles tell nothing',
    path: '/v1/audio/transcriptions',
    facts: { outputText: '1\n00:00' },
    readings: null,
  },
  {
    story: 'a finished training (E32)',
    path: '/v1/fine_tuning/jobs/ftjob-1',
    method: 'GET',
    usage: { trained_tokens: 1_200_000 },
    facts: { status: 'succeeded' },
    readings: { training: '1200000' },
  },
  {
    story: 'a cancelled training owes what was trained',
    path: '/v1/fine_tuning/jobs/ftjob-1/cancel',
    usage: { trained_tokens: 5 },
    facts: { status: 'cancelled' },
    readings: { training: '5' },
  },
  { story: 'a training that runs', path: '/v1/fine_tuning/jobs', facts: { status: 'running' }, readings: null },
  { story: 'a training that failed', path: '/v1/fine_tuning/jobs', facts: { status: 'failed' }, readings: {} },
  {
    story: 'a video (E34)',
    path: '/v1/videos/video_1',
    method: 'GET',
    usage: { seconds: '4' },
    facts: { status: 'completed', size: '720x1280' },
    readings: { 'video_seconds/720x1280': '4' },
  },
  {
    story: 'an extension of a video is billed without what it extends',
    path: '/v1/videos/video_1',
    method: 'GET',
    usage: { seconds: '12' },
    facts: { status: 'completed', size: '720x1280' },
    request: { seconds: 4 },
    readings: { 'video_seconds/720x1280': '4' },
  },
  {
    story: 'a video in the making',
    path: '/v1/videos',
    usage: { seconds: '4' },
    facts: { status: 'queued' },
    readings: null,
  },
  {
    story: 'a video that failed',
    path: '/v1/videos',
    usage: { seconds: '4' },
    facts: { status: 'failed' },
    readings: {},
  },
  {
    story: 'a batch as a whole (E33)',
    path: '/v1/batches/batch_1',
    method: 'GET',
    usage: tokens(1_000_000, 200_000),
    readings: { input_text: '1000000', output_text: '200000' },
  },
  {
    story: 'a run of an upstream that still has them',
    path: '/v1/threads/t/runs/r',
    method: 'GET',
    usage: chatTokens(5, 5),
    readings: { input_text: '5', output_text: '5' },
  },
  { story: 'a vector store', path: '/v1/vector_stores', usage: { usage_bytes: 100 }, readings: {} },
  {
    story: 'a path that no row knows',
    path: '/v1/some/new/thing',
    usage: tokens(5, 6),
    readings: { input_text: '5', output_text: '6' },
  },
  { story: 'nothing used', path: CHAT, usage: chatTokens(0, 0), readings: {} },
  { story: 'an endpoint that costs what nobody tells', path: '/v1/realtime/client_secrets', readings: null },
];

describe('readings of what is reported', () => {
  for (const sample of SAMPLES) {
    test(sample.story, () => {
      const usage = read(sample);
      assert.deepEqual(told(usage.readings), sample.readings);
      assert.deepEqual(usage.problems, []);
      assert.equal(usage.source, sample.source ?? (sample.readings === null ? 'absent' : 'reported'));
    });
  }
});

const realtime = (details: object, input: number, outputDetails: object, output: number) => ({
  total_tokens: input + output,
  input_tokens: input,
  output_tokens: output,
  input_token_details: details,
  output_token_details: outputDetails,
});

/** The turns that these frames tell of, on the socket at this path. */
function turnsOf(path: string, frames: readonly unknown[]) {
  const endpoint = findEndpoint('GET', path, true);
  const reader = openTurnReader(false);
  const turns = frames.flatMap((frame) => reader.read(Buffer.from(JSON.stringify(frame))) ?? []);
  return { reader, turns: turns.map((turn) => ({ ...turn, usage: readTurnUsage(endpoint, turn) })) };
}

describe('turns of a socket', () => {
  const done = (id: string, usage: unknown) => ({
    type: 'response.done',
    response: { object: 'realtime.response', id, status: 'completed', output: [], usage },
  });

  test('cached text and cached audio are told apart, and reasoning is counted once (C4, C12)', () => {
    const usage = realtime(
      {
        text_tokens: 300,
        audio_tokens: 700,
        image_tokens: 0,
        cached_tokens: 450,
        cached_tokens_details: { text_tokens: 200, audio_tokens: 250, image_tokens: 0 },
      },
      1000,
      { text_tokens: 120, audio_tokens: 80, reasoning_tokens: 100 },
      200,
    );
    const [turn] = turnsOf('/v1/realtime', [done('resp_1', usage)]).turns;
    assert.deepEqual(told(turn!.usage.readings), {
      input_text: '100',
      input_text_cached: '200',
      input_audio: '450',
      input_audio_cached: '250',
      output_text: '120',
      output_audio: '80',
    });
    assert.deepEqual(turn!.usage.problems, []);
  });

  test('images have a rate of their own (E25)', () => {
    const details = {
      text_tokens: 0,
      audio_tokens: 0,
      image_tokens: 1000,
      cached_tokens: 200,
      cached_tokens_details: { image_tokens: 200 },
    };
    const [turn] = turnsOf('/v1/realtime', [done('resp_1', realtime(details, 1000, {}, 0))]).turns;
    assert.deepEqual(told(turn!.usage.readings), { input_image: '800', input_image_cached: '200' });
  });

  test('cached input that is not told apart is text first, and the cost is not sure', () => {
    const details = { text_tokens: 100, audio_tokens: 100, cached_tokens: 150 };
    const [turn] = turnsOf('/v1/realtime', [done('resp_1', realtime(details, 200, { audio_tokens: 9 }, 9))]).turns;
    assert.deepEqual(told(turn!.usage.readings), {
      input_text_cached: '100',
      input_audio: '50',
      input_audio_cached: '50',
      output_audio: '9',
    });
    assert.equal(turn!.usage.problems.length, 1);
  });

  test('a transcription that comes after the response it belongs to is counted, once (C11)', () => {
    const completed = (item: string, usage: unknown) => ({
      type: 'conversation.item.input_audio_transcription.completed',
      item_id: item,
      content_index: 0,
      usage,
    });
    const { turns } = turnsOf('/v1/realtime', [
      {
        type: 'session.created',
        session: { model: 'gpt-realtime', audio: { input: { transcription: { model: 'gpt-4o-transcribe' } } } },
      },
      done('resp_1', realtime({ text_tokens: 1, audio_tokens: 0 }, 1, { text_tokens: 1 }, 1)),
      completed('item_1', {
        type: 'tokens',
        input_tokens: 12,
        input_token_details: { text_tokens: 2, audio_tokens: 10 },
        output_tokens: 3,
        total_tokens: 15,
      }),
      completed('item_1', { type: 'tokens', input_tokens: 99 }),
      completed('item_2', { type: 'duration', seconds: 1.5 }),
    ]);
    assert.deepEqual(
      turns.map(({ model, usage }) => [model, told(usage.readings)]),
      [
        ['gpt-realtime', { input_text: '1', output_text: '1' }],
        ['gpt-4o-transcribe', { input_text: '2', input_audio: '10', output_text: '3' }],
        ['gpt-4o-transcribe', { transcribed_seconds: '1.5' }],
      ],
    );
  });

  test('a Responses socket tells the model, tier, tools and containers of each turn', () => {
    const { turns } = turnsOf(RESPONSES, [
      {
        type: 'response.completed',
        response: {
          id: 'resp_1',
          model: 'gpt-6-sol',
          service_tier: 'flex',
          output: [
            { type: 'web_search_call', action: { type: 'search' } },
            { type: 'code_interpreter_call', container_id: 'cntr_1' },
          ],
          usage: tokens(10, 5, { cached_tokens: 4 }),
        },
      },
      { type: 'response.failed', response: { id: 'resp_2', model: 'gpt-6-luna', usage: null } },
    ]);
    const [first, second] = turns;
    assert.equal(first!.facts.model, 'gpt-6-sol');
    assert.equal(first!.facts.serviceTier, 'flex');
    assert.deepEqual(first!.facts.containers, ['cntr_1']);
    assert.deepEqual(told(first!.usage.readings), {
      input_text: '6',
      input_text_cached: '4',
      output_text: '5',
      web_search_calls: '1',
    });
    assert.equal(second!.usage.source, 'absent');
    assert.equal(second!.facts.model, 'gpt-6-luna');
  });

  test('a session of translations is estimated by how far it came', () => {
    const { reader, turns } = turnsOf('/v1/realtime/translations', [
      { type: 'session.created', session: { type: 'translation', model: 'gpt-realtime-translate' } },
      { type: 'session.output_audio.delta', delta: 'A'.repeat(4000), elapsed_ms: 1200 },
      { type: 'session.input_transcript.delta', delta: 'say "elapsed_ms": 99000', elapsed_ms: 90_500 },
      { type: 'session.output_transcript.delta', delta: 'x', elapsed_ms: null },
    ]);
    assert.deepEqual(turns, []);
    assert.equal(reader.model, 'gpt-realtime-translate');
    const facts = { ...NOTHING_SEEN, durationSeconds: reader.translatedSeconds };
    const usage = readUsage(findEndpoint('GET', '/v1/realtime/translations', true), facts, null);
    assert.equal(usage.source, 'estimated');
    assert.deepEqual(told(usage.readings), { transcribed_seconds: '90.5' });
  });

  test('a live session counts its last total (E28)', () => {
    const { reader, turns } = turnsOf('/v1/live/sessions', [
      { type: 'session.usage.updated', usage: { seconds: 30 } },
      { type: 'session.closed', usage: { seconds: 90, standby_seconds: 12.25 } },
    ]);
    assert.deepEqual(turns, []);
    const usage = readUsage(
      findEndpoint('GET', '/v1/live/sessions', true),
      { ...NOTHING_SEEN, usages: [reader.usage] },
      null,
    );
    assert.deepEqual(told(usage.readings), { live_active_seconds: '90', live_standby_seconds: '12.25' });
  });
});

describe('figures that contradict each other', () => {
  const cases: readonly (readonly [
    story: string,
    path: string,
    usage: unknown,
    readings: Record<string, string> | null,
  ])[] = [
    ['a wrong total', CHAT, { ...chatTokens(5, 5), total_tokens: 11 }, { input_text: '5', output_text: '5' }],
    [
      'more cached than there is',
      CHAT,
      chatTokens(5, 5, { cached_tokens: 6 }),
      { input_text_cached: '6', output_text: '5' },
    ],
    [
      'more written than there is',
      RESPONSES,
      tokens(5, 5, { cached_tokens: 3, cache_write_tokens: 3 }),
      { input_text_cached: '3', input_text_written: '3', output_text: '5' },
    ],
    ['more audio than output', CHAT, chatTokens(5, 5, {}, { audio_tokens: 6 }), { input_text: '5', output_audio: '6' }],
    [
      'more reasoning than output',
      CHAT,
      chatTokens(5, 5, {}, { reasoning_tokens: 6 }),
      { input_text: '5', output_text: '5' },
    ],
    [
      'parts that are not the whole',
      '/v1/images/edits',
      tokens(9, 5, { text_tokens: 1, image_tokens: 2 }),
      { input_text: '7', input_image: '2', output_image: '5' },
    ],
    ['a negative count', CHAT, { prompt_tokens: -5, completion_tokens: 5, total_tokens: 0 }, { output_text: '5' }],
    ['half a token', RESPONSES, tokens(1.5, 5), { output_text: '5' }],
    ['a count as text', RESPONSES, { input_tokens: '5', output_tokens: 5 }, { output_text: '5' }],
    ['only a total', CHAT, { total_tokens: 5 }, null],
    ['no object at all', CHAT, 5, null],
  ];
  for (const [story, path, usage, readings] of cases) {
    test(`${story}: kept as reported, and said`, () => {
      const got = read({ path, usage });
      assert.notEqual(got.problems.length, 0);
      assert.deepEqual(got.raw, usage);
      assert.deepEqual(told(got.readings), readings);
    });
  }

  test('whatever is reported, readings are never negative, and without problems they add up to what was reported (C5)', () => {
    const count = fc.oneof(fc.nat(400_000), fc.constant(undefined), fc.integer());
    fc.assert(
      fc.property(
        fc.constantFrom(CHAT, RESPONSES, '/v1/images/edits', '/v1/realtime'),
        fc.record({ input_tokens: count, output_tokens: count, total_tokens: count }),
        fc.record({
          cached_tokens: count,
          cache_write_tokens: count,
          text_tokens: count,
          audio_tokens: count,
          image_tokens: count,
        }),
        fc.record({ text_tokens: count, audio_tokens: count, image_tokens: count, reasoning_tokens: count }),
        (path, usage, input_tokens_details, output_tokens_details) => {
          const { readings, problems } = read({
            path,
            usage: { ...usage, input_tokens_details, output_tokens_details },
          });
          for (const { quantity } of readings ?? []) assert.ok(quantity > 0n);
          if (readings === null || problems.length > 0) return;
          const sum = (prefix: string) =>
            readings.reduce((total, { meter, quantity }) => (meter.startsWith(prefix) ? total + quantity : total), 0n);
          assert.equal(sum('input_'), BigInt(usage.input_tokens ?? 0));
          assert.equal(sum('output_'), BigInt(usage.output_tokens ?? 0));
        },
      ),
      { numRuns: 2000 },
    );
  });
});

test('what an image tool used is told at the prices of its own model, and never left out silently', () => {
  const imageTool = { model: 'gpt-image-2', usage: tokens(50, 1056, { text_tokens: 50, image_tokens: 0 }) };
  const facts = { ...NOTHING_SEEN, usages: [tokens(5, 5)], imageTool };
  const tool = readImageTool(facts);
  assert.equal(tool?.model, 'gpt-image-2');
  assert.deepEqual(told(tool?.usage.readings ?? null), { input_text: '50', output_image: '1056' });
  assert.deepEqual(told(read({ path: RESPONSES, facts }).readings), { input_text: '5', output_text: '5' });
  const silent = { ...facts, imageTool: { model: null, usage: null } };
  assert.equal(readImageTool(silent)?.usage.readings, null);
  assert.equal(read({ path: RESPONSES, facts: silent }).problems.length, 1);
  assert.equal(readImageTool(NOTHING_SEEN), null);
});

test('tool calls of a reply that broke off are known without its tokens', () => {
  const facts = { ...NOTHING_SEEN, toolCalls: { web_search: 1 } };
  assert.deepEqual(told(toolReadings(facts, null)), { web_search_calls: '1' });
  assert.equal(read({ path: RESPONSES, facts }).readings, null);
});

test('each line of a batch tells of itself, however its file is cut', () => {
  const line = (id: string, status: number, body: object) =>
    JSON.stringify({
      id: `b_${id}`,
      custom_id: id,
      response: { status_code: status, request_id: 'r', body },
      error: null,
    });
  const file = Buffer.from(
    [
      line('a', 200, { id: 'chatcmpl-1', model: 'gpt-6-luna', service_tier: 'default', usage: chatTokens(11, 4) }),
      line('b', 200, {
        id: 'resp_1',
        model: 'gpt-6-sol',
        output: [{ type: 'file_search_call' }],
        usage: tokens(3, 2),
        text: '\n"usage":{}',
      }),
      line('c', 400, { error: { message: 'no' } }),
      '',
      line('ü', 200, { model: 'text-embedding-3-small', usage: { prompt_tokens: 6, total_tokens: 6 } }),
    ].join('\n'),
  );
  for (const size of [1, 2, 7, 64, file.length]) {
    const lines: unknown[] = [];
    const output = openBatchOutput(({ customId, status, facts }) => {
      lines.push([customId, status, facts.model, told(readUsage(findEndpoint('POST', CHAT), facts, null).readings)]);
    });
    for (let at = 0; at < file.length; at += size) output.feed(file.subarray(at, at + size));
    output.end();
    assert.deepEqual(lines, [
      ['a', 200, 'gpt-6-luna', { input_text: '11', output_text: '4' }],
      ['b', 200, 'gpt-6-sol', { input_text: '3', output_text: '2', file_search_calls: '1' }],
      ['c', 400, null, null],
      ['ü', 200, 'text-embedding-3-small', { input_text: '6' }],
    ]);
  }
});

test('what is kept is read by its time', () => {
  const GIB = 1024n ** 3n;
  assert.deepEqual(storageReading(3n * GIB, 86_400_000), { meter: 'vector_store_byte_days', quantity: 3n * GIB });
  assert.equal(storageReading(2n, 43_200_000).quantity, 1n);
  assert.deepEqual(containerReading('4g', 90_500), { meter: 'container_4g_seconds', quantity: 90_500n });
  assert.equal(containerReading(null, 1)?.meter, 'container_1g_seconds');
  assert.equal(containerReading('3g', 1), null);
  assert.equal(formatQuantity(reinforcementReading(5_400_000)), '5400');
});

test('a count that is none is left out and said, up to one that no reply can have', () => {
  const most = 1e15;
  for (const count of [-1, 1.5, '11', most + 1, {}]) {
    const facts = { ...NOTHING_SEEN, usages: [{ prompt_tokens: count, completion_tokens: most }] };
    const usage = readUsage(findEndpoint('POST', CHAT), facts, null);
    assert.deepEqual(told(usage.readings), { output_text: String(most) });
    assert.deepEqual(usage.problems, [`prompt_tokens is ${JSON.stringify(count)}, which is no count.`]);
  }
});
