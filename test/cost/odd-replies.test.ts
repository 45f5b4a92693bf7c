// Replies that are legal and not what one usually sees: what is told in them is read all the same, and what is not told is not 0.
// The record, the header, the ledger and `prices explain` say the same.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';

import type { ScriptedReply } from '../support/recorder.ts';
import { type Header, valueOf } from '../support/wire.ts';
import { chatTokens, tokens } from './priced-operations.ts';
import {
  type CostStand,
  asEvents,
  asJson,
  assertLines,
  form,
  json,
  named,
  openCostStand,
  readingsOf,
  unnamed,
} from './stand.ts';

const AUDIO = { name: 'speech.ogg', bytes: Buffer.from('OggS of some kind') };
const MESSAGES = [{ role: 'user', content: 'Name three rivers.' }];

let cost: CostStand;
before(async () => (cost = await openCostStand()));
after(async () => {
  const drift = await cost.drift();
  await cost.close();
  assert.equal(drift, 0);
});

interface Odd {
  readonly name: string;
  readonly path: string;
  readonly method?: string;
  readonly asked?: { readonly headers: readonly Header[]; readonly body: Buffer };
  readonly answer: ScriptedReply;
  readonly readings?: Readonly<Record<string, string>> | null;
  readonly state?: string;
  readonly usd?: string | null;
  readonly why?: string | null;
  /** Its head goes before its cost is known. */
  readonly isLarge?: boolean;
}

const chat = (more: object = {}, model = 'gpt-5.4-nano') => json({ model, messages: MESSAGES, ...more });
const chatReply = (usage: unknown, more: object = {}) =>
  asJson({ id: 'c', object: 'chat.completion', model: 'gpt-5.4-nano', choices: [], usage, ...more });
const SMALL = { input_text: '11', output_text: '4' };
const respond = (more: object = {}) => json({ model: 'gpt-6.1-sol', input: 'Name three rivers.', ...more });
const responseOf = (more: object = {}) => ({
  id: 'resp_1',
  object: 'response',
  status: 'completed',
  model: 'gpt-6.1-sol',
  ...more,
});
const raw = (
  text: string | readonly (string | Buffer)[],
  type = 'text/event-stream',
  more: readonly Header[] = [],
): ScriptedReply => ({
  headers: [['Content-Type', type], ...more],
  body: text,
  framing: 'chunked',
});
const CHUNK = { id: 'c', object: 'chat.completion.chunk', model: 'gpt-5.4-nano' };
const DELTA = { ...CHUNK, choices: [{ index: 0, delta: { content: 'Rhine' } }] };
const LAST = { ...CHUNK, choices: [], usage: chatTokens(11, 4) };
const asking = chat({ stream: true, stream_options: { include_usage: true } });

const CHATS: readonly Odd[] = [
  {
    name: 'without details',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply({ prompt_tokens: 11, completion_tokens: 4, total_tokens: 15 }),
  },
  {
    name: 'without a total',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply({ prompt_tokens: 11, completion_tokens: 4 }),
  },
  {
    name: 'with details that are null',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply({ ...chatTokens(11, 4), prompt_tokens_details: null, completion_tokens_details: null }),
  },
  {
    name: 'with details of null',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply(chatTokens(11, 4, { cached_tokens: null, audio_tokens: null }, { reasoning_tokens: null })),
  },
  {
    name: 'with members that nobody knows',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply({
      ...chatTokens(11, 4, { video_tokens: 0, of: { the: ['future'] } }),
      cost: 7,
      deep: { usage: { prompt_tokens: 9 } },
    }),
  },
  {
    name: 'with counts as 11.0 and 4e0',
    path: '/chat/completions',
    asked: chat(),
    answer: raw(
      '{"model":"gpt-5.4-nano","usage":{"prompt_tokens":11.0,"completion_tokens":4e0,"total_tokens":1.5e1}}',
      'application/json',
    ),
  },
  {
    name: 'with a content type in capitals',
    path: '/chat/completions',
    asked: chat(),
    answer: raw(JSON.stringify(LAST), 'Application/JSON; Charset=UTF-8'),
  },
  {
    name: 'streamed with a content type in capitals',
    path: '/chat/completions',
    asked: asking,
    answer: raw(unnamed(DELTA, LAST), 'Text/Event-Stream; charset=utf-8'),
  },
  {
    name: 'streamed with CRLF',
    path: '/chat/completions',
    asked: asking,
    answer: raw(unnamed(DELTA, LAST).map((e) => e.replaceAll('\n', '\r\n'))),
  },
  {
    name: 'streamed with CR alone',
    path: '/chat/completions',
    asked: asking,
    answer: raw(unnamed(DELTA, LAST).map((e) => e.replaceAll('\n', '\r'))),
  },
  {
    name: 'streamed with a byte order mark',
    path: '/chat/completions',
    asked: asking,
    answer: raw(['\ufeff', ...unnamed(DELTA, LAST)]),
  },
  {
    name: 'streamed, usage in front of the last choice',
    path: '/chat/completions',
    asked: asking,
    answer: asEvents(unnamed(DELTA, LAST, DELTA, DELTA, DELTA)),
  },
  {
    name: 'streamed, usage in the first chunk',
    path: '/chat/completions',
    asked: asking,
    answer: asEvents(unnamed(LAST, DELTA, DELTA, DELTA)),
  },
  {
    name: 'streamed, usage in the last choice',
    path: '/chat/completions',
    asked: asking,
    answer: asEvents(unnamed(DELTA, DELTA, DELTA, { ...DELTA, usage: chatTokens(11, 4) })),
  },
  {
    name: 'streamed, usage that grows with each chunk',
    path: '/chat/completions',
    asked: asking,
    answer: asEvents(unnamed(...[1, 2, 3, 4].map((n) => ({ ...DELTA, usage: chatTokens(11, n) })))),
  },
  {
    name: 'streamed with several data lines',
    path: '/chat/completions',
    asked: asking,
    answer: asEvents(
      unnamed(DELTA, DELTA, DELTA)
        .slice(0, -1)
        .concat(
          `data: {"model":"gpt-5.4-nano",\ndata: "choices":[],\ndata: "usage":\ndata:${JSON.stringify(chatTokens(11, 4))}\ndata: }\n\n`,
        ),
    ),
  },
  {
    name: 'streamed with comments and ids',
    path: '/chat/completions',
    asked: asking,
    answer: asEvents([
      ': hello\n\n',
      'retry: 3\n\n',
      ...unnamed(DELTA, DELTA, LAST).map((e, i) => `:${i}\nid: ${i}\n${e}`),
    ]),
  },
  {
    name: 'streamed, events called message',
    path: '/chat/completions',
    asked: asking,
    answer: asEvents(unnamed(DELTA, DELTA, DELTA, LAST).map((e) => `event: message\n${e}`)),
  },
  {
    name: 'streamed, events called chunk',
    path: '/chat/completions',
    asked: asking,
    answer: asEvents(unnamed(DELTA, DELTA, DELTA, LAST).map((e) => `event: chat.completion.chunk\n${e}`)),
  },
  {
    name: 'streamed without the last empty line',
    path: '/chat/completions',
    asked: asking,
    answer: asEvents([...unnamed(DELTA, DELTA).slice(0, -1), `data: ${JSON.stringify(LAST)}`]),
  },
  {
    name: 'streamed, its first chunk without a model',
    path: '/chat/completions',
    asked: asking,
    answer: asEvents(unnamed({ ...CHUNK, model: '', choices: [], prompt_filter_results: [] }, DELTA, DELTA, LAST)),
  },
  {
    name: 'streamed byte by byte, in the middle of letters',
    path: '/chat/completions',
    asked: asking,
    answer: raw(
      [...Buffer.from(unnamed({ ...DELTA, choices: [{ delta: { content: 'é😀"usage":{' } }] }, LAST).join(''))].map(
        (b) => Buffer.from([b]),
      ),
    ),
  },
  ...(
    [
      ['gzip', gzipSync],
      ['br', brotliCompressSync],
      ['zstd', zstdCompressSync],
      ['deflate', deflateSync],
      ['x-gzip', gzipSync],
      ['GZIP', gzipSync],
    ] as const
  ).flatMap(([encoding, compress]): Odd[] => [
    {
      name: `compressed with ${encoding}`,
      path: '/chat/completions',
      asked: chat(),
      answer: {
        headers: [
          ['Content-Type', 'application/json'],
          ['Content-Encoding', encoding],
        ],
        body: compress(JSON.stringify(LAST)),
      },
    },
    {
      name: `streamed, and compressed with ${encoding}`,
      path: '/chat/completions',
      asked: asking,
      answer: {
        headers: [
          ['Content-Type', 'text/event-stream'],
          ['Content-Encoding', encoding],
        ],
        body: compress(unnamed(DELTA, LAST).join('')),
        framing: 'chunked',
      },
    },
  ]),
  {
    name: 'with several choices',
    path: '/chat/completions',
    asked: chat({ n: 3 }),
    answer: chatReply(chatTokens(11, 4), {
      choices: [0, 1, 2].map((index) => ({ index, message: { content: 'Rhine' } })),
    }),
  },
  {
    name: 'with tool calls',
    path: '/chat/completions',
    asked: chat({ tools: [{ type: 'function', function: { name: 'usage' } }] }),
    answer: chatReply(chatTokens(11, 4), {
      choices: [
        {
          message: {
            content: null,
            tool_calls: [{ function: { name: 'usage', arguments: '{"usage":{"prompt_tokens":1}}' } }],
          },
        },
      ],
    }),
  },
  {
    name: 'reply tier default where priority was asked for',
    path: '/chat/completions',
    asked: chat({ service_tier: 'priority' }),
    answer: chatReply(chatTokens(11, 4), { service_tier: 'default' }),
  },
  {
    name: 'tier auto, and a reply that is silent',
    path: '/chat/completions',
    asked: chat({ service_tier: 'auto' }),
    answer: chatReply(chatTokens(11, 4)),
  },
  {
    name: 'a reply tier of null',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply(chatTokens(11, 4), { service_tier: null }),
  },
  {
    name: 'a reply tier of auto',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply(chatTokens(11, 4), { service_tier: 'auto' }),
  },
];

const ROWS: readonly Odd[] = [
  ...CHATS.map((odd) => ({ readings: SMALL, usd: '0.0000072', ...odd, name: `chat ${odd.name}` })),
  {
    name: 'audio out of a chat',
    path: '/chat/completions',
    asked: chat({ modalities: ['text', 'audio'] }, 'gpt-audio-mini'),
    answer: asJson({
      model: 'gpt-audio-mini',
      usage: chatTokens(
        100,
        300,
        { audio_tokens: 40, cached_tokens: 0, text_tokens: 60, image_tokens: 0 },
        { audio_tokens: 250, text_tokens: 50, reasoning_tokens: 0 },
      ),
    }),
    readings: { input_text: '60', input_audio: '40', output_text: '50', output_audio: '250' },
    usd: '0.005556',
  },
  {
    name: 'predicted output',
    path: '/chat/completions',
    asked: chat({ prediction: { type: 'content', content: 'x' } }, 'gpt-4o'),
    answer: asJson({
      model: 'gpt-4o',
      usage: chatTokens(100, 250, {}, { accepted_prediction_tokens: 40, rejected_prediction_tokens: 60 }),
    }),
    readings: { input_text: '100', output_text: '250' },
    usd: '0.00275',
  },
  {
    name: 'an unknown reply tier',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply(chatTokens(11, 4), { service_tier: 'warp' }),
    readings: SMALL,
    state: 'unpriced',
    usd: null,
    why: 'no_tier_rate:warp',
  },
  {
    name: 'scale without a contract',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply(chatTokens(11, 4), { service_tier: 'scale' }),
    readings: SMALL,
    state: 'unpriced',
    usd: null,
    why: 'no_tier_rate:scale',
  },
  {
    name: 'an empty usage',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply({}),
    readings: null,
    state: 'unpriced',
    usd: null,
    why: 'no_usage',
  },
  {
    name: 'usage as text',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply('a lot'),
    readings: null,
    state: 'unpriced',
    usd: null,
    why: 'no_usage',
  },
  {
    name: 'a negative count',
    path: '/chat/completions',
    asked: chat(),
    answer: chatReply({ prompt_tokens: -1, completion_tokens: 4 }),
    readings: { output_text: '4' },
    state: 'partial',
    usd: '0.000005',
    why: 'usage_does_not_add_up',
  },
  {
    name: 'a redirection',
    path: '/chat/completions',
    asked: chat(),
    answer: { status: 307, headers: [['Location', '/v1/elsewhere']], body: '' },
    readings: null,
    state: 'free',
    usd: '0',
    why: null,
  },
  {
    name: '24h of retention',
    path: '/responses',
    asked: respond({ prompt_cache_retention: '24h' }),
    answer: asJson(responseOf({ usage: tokens(1000, 10, { cache_write_tokens: 1000 }) })),
    readings: { input_text_written: '1000', output_text: '10' },
    usd: '0.0026',
  },
  {
    name: '12h of retention',
    path: '/responses',
    asked: respond({ prompt_cache_retention: '12h' }),
    answer: asJson(responseOf({ usage: tokens(1000, 10, { cache_write_tokens: 1000 }) })),
    readings: { input_text_written_12h: '1000', output_text: '10' },
    usd: '0.0051',
  },
  {
    name: '12h as an option of the cache',
    path: '/responses',
    asked: respond({ prompt_cache_options: { mode: 'explicit', ttl: '12h' } }),
    answer: asJson(responseOf({ usage: tokens(1000, 10, { cache_write_tokens: 1000 }) })),
    readings: { input_text_written_12h: '1000', output_text: '10' },
    usd: '0.0051',
  },
  {
    name: 'a cache for 12 hours that the reply alone tells of',
    path: '/responses',
    asked: respond({ stream: true }),
    answer: asEvents(
      named({
        type: 'response.completed',
        response: responseOf({
          prompt_cache_options: { mode: 'implicit', ttl: '12h' },
          usage: tokens(1000, 10, { cache_write_tokens: 1000 }),
        }),
      }),
    ),
    readings: { input_text_written_12h: '1000', output_text: '10' },
    usd: '0.0051',
  },
  {
    name: 'a cache for 12 hours that the reply makes one for 30 minutes',
    path: '/responses',
    asked: respond({ prompt_cache_options: { ttl: '12h' } }),
    answer: asJson(
      responseOf({ prompt_cache_options: { ttl: '30m' }, usage: tokens(1000, 10, { cache_write_tokens: 1000 }) }),
    ),
    readings: { input_text_written: '1000', output_text: '10' },
    usd: '0.0026',
  },
  {
    name: 'incomplete',
    path: '/responses',
    asked: respond(),
    answer: asJson(
      responseOf({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' }, usage: tokens(9, 2) }),
    ),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000038',
  },
  {
    name: 'streamed and incomplete',
    path: '/responses',
    asked: respond({ stream: true }),
    answer: asEvents(
      named(
        { type: 'response.created', response: responseOf({ status: 'in_progress', usage: null }) },
        { type: 'response.incomplete', response: responseOf({ status: 'incomplete', usage: tokens(9, 2) }) },
      ),
    ),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000038',
  },
  {
    name: 'streamed and failed',
    path: '/responses',
    asked: respond({ stream: true }),
    answer: asEvents(
      named(
        { type: 'response.created', response: responseOf({ status: 'in_progress', usage: null }) },
        {
          type: 'response.failed',
          response: responseOf({ status: 'failed', error: { code: 'server_error' }, usage: tokens(9, 2) }),
        },
      ),
    ),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000038',
  },
  {
    name: 'streamed without event lines',
    path: '/responses',
    asked: respond({ stream: true }),
    answer: asEvents(
      [
        { type: 'response.created', response: responseOf({ usage: null }) },
        { type: 'response.output_text.delta', delta: 'x' },
        { type: 'response.output_text.delta', delta: 'x' },
        { type: 'response.completed', response: responseOf({ usage: tokens(9, 2) }) },
      ].map((e) => `data: ${JSON.stringify(e)}\n\n`),
    ),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000038',
  },
  {
    name: 'streamed without types in the data',
    path: '/responses',
    asked: respond({ stream: true }),
    answer: asEvents([
      `event: response.created\ndata: ${JSON.stringify({ response: responseOf({ usage: null }) })}\n\n`,
      ...Array.from({ length: 3 }, () => 'event: response.output_text.delta\ndata: {"delta":"x"}\n\n'),
      `event: response.completed\ndata: ${JSON.stringify({ response: responseOf({ usage: tokens(9, 2) }) })}\n\n`,
    ]),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000038',
  },
  {
    name: 'streamed and failed without usage',
    path: '/responses',
    asked: respond({ stream: true }),
    answer: asEvents(
      named(
        { type: 'response.created', response: responseOf({ status: 'in_progress', usage: null }) },
        { type: 'response.failed', response: responseOf({ status: 'failed', usage: null }) },
      ),
    ),
    state: 'estimated',
  },
  {
    name: 'embeddings in base64',
    path: '/embeddings',
    asked: json({ model: 'text-embedding-3-small', input: ['a', 'b'], encoding_format: 'base64' }),
    answer: asJson({
      object: 'list',
      model: 'text-embedding-3-small',
      data: [{ embedding: 'A'.repeat(8192) }, { embedding: 'ge"'.repeat(10) }],
      usage: { prompt_tokens: 14, total_tokens: 14 },
    }),
    readings: { input_text: '14' },
    usd: '0.00000028',
  },
  {
    name: 'embeddings with a snapshot name in capitals',
    path: '/embeddings',
    asked: json({ model: 'text-embedding-3-small', input: 'a' }),
    answer: asJson({
      model: 'text-embedding-3-small',
      usage: { prompt_tokens: 14, total_tokens: 14, prompt_tokens_details: null },
    }),
    readings: { input_text: '14' },
    usd: '0.00000028',
  },
  {
    name: 'a translation that reports seconds',
    path: '/audio/translations',
    asked: form({ model: 'whisper-1' }, AUDIO),
    answer: asJson({ text: 'Good day.', usage: { type: 'duration', seconds: 60 } }),
    readings: { transcribed_seconds: '60' },
    usd: '0.006',
  },
  {
    name: 'a verbose translation',
    path: '/audio/translations',
    asked: form({ model: 'whisper-1', response_format: 'verbose_json' }, AUDIO),
    answer: asJson({ task: 'translate', duration: '59.5', text: 'Good day.' }),
    readings: { transcribed_seconds: '60' },
    usd: '0.006',
  },
  {
    name: 'a transcription with usage and duration',
    path: '/audio/transcriptions',
    asked: form({ model: 'whisper-1', response_format: 'verbose_json' }, AUDIO),
    answer: asJson({
      duration: 59.5,
      text: 'x',
      segments: [{ text: 'x', start: 0, end: 59.5 }],
      usage: { type: 'duration', seconds: 60 },
    }),
    readings: { transcribed_seconds: '60' },
    usd: '0.006',
  },
  {
    name: 'a transcription by tokens without details',
    path: '/audio/transcriptions',
    asked: form({ model: 'gpt-4o-mini-transcribe' }, AUDIO),
    answer: asJson({ text: 'x', usage: { type: 'tokens', input_tokens: 14, output_tokens: 45, total_tokens: 59 } }),
    readings: { input_audio: '14', output_text: '45' },
    state: 'partial',
    usd: '0.0002425',
  },
  {
    name: 'a streamed transcription whose deltas speak of usage',
    path: '/audio/transcriptions',
    asked: form({ model: 'gpt-4o-mini-transcribe', stream: 'true' }, AUDIO),
    answer: asEvents(
      named(
        { type: 'transcript.text.delta', delta: '"usage":{' },
        {
          type: 'transcript.text.done',
          text: '"usage":{"input_tokens":99}',
          usage: {
            type: 'tokens',
            input_tokens: 14,
            input_token_details: { text_tokens: 4, audio_tokens: 10 },
            output_tokens: 45,
            total_tokens: 59,
          },
        },
      ),
    ),
    readings: { input_text: '4', input_audio: '10', output_text: '45' },
    usd: '0.0002425',
  },
  {
    name: 'two images of one stream',
    path: '/images/generations',
    asked: json({ model: 'gpt-image-1.5', prompt: 'a', n: 2, stream: true, partial_images: 2 }),
    answer: asEvents(
      named(
        { type: 'image_generation.partial_image', b64_json: 'AAAA', usage: null },
        {
          type: 'image_generation.completed',
          b64_json: 'A'.repeat(100_000),
          usage: tokens(23, 1056, { text_tokens: 23, image_tokens: 0 }),
        },
        { type: 'image_generation.partial_image', b64_json: 'AAAA' },
        {
          type: 'image_generation.completed',
          b64_json: 'A'.repeat(9),
          usage: tokens(23, 1056, { text_tokens: 23, image_tokens: 0 }),
        },
      ),
    ),
    readings: { input_text: '46', output_image: '2112' },
    usd: '0.067814',
  },
  {
    name: 'an image with an output split',
    path: '/images/generations',
    asked: json({ model: 'gpt-image-1.5', prompt: 'a' }),
    answer: asJson({
      data: [{ b64_json: 'AAAA' }],
      usage: {
        ...tokens(23, 1100, { text_tokens: 23, image_tokens: 0 }),
        output_tokens_details: { text_tokens: 44, image_tokens: 1056 },
      },
    }),
    readings: { input_text: '23', output_text: '44', output_image: '1056' },
    usd: '0.034347',
  },
  {
    name: 'completions with several choices',
    path: '/completions',
    asked: json({ model: 'gpt-3.5-turbo', prompt: ['a', 'b'], n: 2, echo: true }),
    answer: asJson({ object: 'text_completion', model: 'gpt-3.5-turbo-0125', choices: [], usage: chatTokens(9, 2) }),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.0000075',
  },
  {
    name: 'completions streamed with names',
    path: '/completions',
    asked: json({ model: 'gpt-3.5-turbo', prompt: 'a', stream: true }),
    answer: asEvents(
      unnamed(
        { object: 'text_completion', model: 'gpt-3.5-turbo', choices: [{ text: 'x' }] },
        { object: 'text_completion', model: 'gpt-3.5-turbo', choices: [], usage: chatTokens(9, 2) },
      ),
    ),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.0000075',
  },
  {
    name: 'a custom tool and MCP calls',
    path: '/responses',
    asked: respond({ tools: [{ type: 'mcp' }, { type: 'custom' }] }),
    answer: asJson(
      responseOf({
        tools: [{ type: 'mcp' }],
        output: [
          { type: 'mcp_call' },
          { type: 'mcp_list_tools' },
          { type: 'custom_tool_call' },
          { type: 'function_call' },
          { type: 'computer_call' },
        ],
        usage: tokens(9, 2),
      }),
    ),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000038',
  },
  {
    name: 'searches of all kinds',
    path: '/responses',
    asked: respond({ tools: [{ type: 'web_search' }] }),
    answer: asJson(
      responseOf({
        output: [
          { type: 'web_search_call', action: { type: 'search', query: 'a', sources: [{ type: 'url' }] } },
          { type: 'web_search_call', action: { type: 'open_page', url: 'x' } },
          { type: 'web_search_call', action: { type: 'find_in_page' } },
          { type: 'web_search_call', action: { type: 'find' } },
          { type: 'web_search_call', status: 'completed' },
        ],
        usage: tokens(9, 2),
      }),
    ),
    readings: { input_text: '9', output_text: '2', web_search_calls: '2' },
    usd: '0.020038',
  },
  {
    name: 'a search of the preview tool',
    path: '/responses',
    asked: respond({ tools: [{ type: 'web_search_preview' }] }),
    answer: asJson(
      responseOf({
        tools: [{ type: 'web_search_preview' }],
        output: [{ type: 'web_search_call', action: { type: 'search' } }],
        usage: tokens(9, 2),
      }),
    ),
    readings: { input_text: '9', output_text: '2', web_search_preview_calls: '1' },
    usd: '0.025038',
  },
  {
    name: 'fast as the reply tier',
    path: '/responses',
    asked: respond({ service_tier: 'priority' }),
    answer: asJson(responseOf({ service_tier: 'fast', usage: tokens(9, 2) })),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000076',
  },
  {
    name: 'a tier that another event of the stream corrects',
    path: '/responses',
    asked: respond({ stream: true, service_tier: 'flex' }),
    answer: asEvents(
      named(
        { type: 'response.created', response: responseOf({ service_tier: 'auto', usage: null }) },
        { type: 'response.completed', response: responseOf({ service_tier: 'flex', usage: tokens(1000, 200) }) },
      ),
    ),
    readings: { input_text: '1000', output_text: '200' },
    usd: '0.002',
  },
  {
    name: 'a response whose instructions are a megabyte',
    isLarge: true,
    path: '/responses',
    asked: respond(),
    answer: asJson(
      responseOf({
        instructions: '"usage":{"input_tokens":9}'.repeat(40_000),
        text: { format: { schema: { usage: { input_tokens: 7 } } } },
        metadata: { usage: 'none' },
        usage: tokens(9, 2),
      }),
    ),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000038',
  },
  {
    name: 'a compaction with its own model',
    path: '/responses/compact',
    asked: respond(),
    answer: asJson({ id: 'resp_2', object: 'response.compaction', output: [], usage: tokens(9, 2) }),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000038',
  },
  {
    name: 'an error that reports usage',
    path: '/chat/completions',
    asked: chat(),
    answer: asJson({ model: 'gpt-5.4-nano', error: { message: 'filtered' }, usage: chatTokens(11, 4) }, 400),
    readings: SMALL,
    usd: '0.0000072',
  },
  {
    name: 'an error as an event page',
    path: '/chat/completions',
    asked: asking,
    answer: { status: 503, headers: [['Content-Type', 'text/event-stream']], body: 'data: {"error":{}}\n\n' },
    readings: null,
    state: 'free',
    usd: '0',
    why: null,
  },
  {
    name: 'a web page in place of a reply',
    path: '/chat/completions',
    asked: chat(),
    answer: raw('<html>', 'text/html'),
    state: 'estimated',
  },
  {
    name: 'vnd JSON',
    path: '/chat/completions',
    asked: chat(),
    answer: raw(JSON.stringify(LAST), 'application/vnd.openai+json'),
    readings: SMALL,
    usd: '0.0000072',
  },
  {
    name: 'a reply that is an array',
    path: '/chat/completions',
    asked: chat(),
    answer: raw(`[${JSON.stringify(LAST)}]`, 'application/json'),
    state: 'estimated',
  },
  {
    name: 'usage that stands twice',
    path: '/chat/completions',
    asked: chat(),
    answer: raw(
      `{"model":"gpt-5.4-nano","usage":null,"usage":${JSON.stringify(chatTokens(11, 4))}}`,
      'application/json',
    ),
    readings: SMALL,
    usd: '0.0000072',
  },
  {
    name: 'a model that stands in capitals',
    path: '/chat/completions',
    asked: chat(),
    answer: asJson({ model: 'GPT-5.4-nano', usage: chatTokens(11, 4) }),
    readings: SMALL,
    state: 'unpriced',
    usd: null,
    why: 'unknown_model',
  },
  {
    name: 'a model of a fine-tuning',
    path: '/chat/completions',
    asked: chat(),
    answer: asJson({ model: 'ft:gpt-4o-mini-2024-07-18:acme::x', usage: chatTokens(100, 10) }),
    readings: { input_text: '100', output_text: '10' },
    state: 'priced',
  },
  {
    name: 'images by count',
    path: '/images/generations',
    asked: json({ model: 'dall-e-3', prompt: 'a', quality: 'hd', size: '1792x1024' }),
    answer: asJson({ created: 1, data: [{ url: 'https://images.example/1' }] }),
    readings: { 'images/1792x1024/hd': '1' },
    usd: '0.12',
  },
  {
    name: 'an edit whose cached parts are not told apart',
    path: '/images/edits',
    asked: form({ model: 'gpt-image-2', prompt: 'Wider' }, AUDIO),
    answer: asJson({
      data: [{ b64_json: 'AAAA' }],
      usage: tokens(1050, 10, { text_tokens: 50, image_tokens: 1000, cached_tokens: 200 }),
    }),
    state: 'partial',
  },
  {
    name: 'moderation of pictures',
    path: '/moderations',
    asked: json({ model: 'omni-moderation-latest', input: [{ type: 'image_url' }] }),
    answer: asJson({ results: [{}], usage: { prompt_tokens: 9 } }),
    state: 'free',
    usd: '0',
    why: null,
  },
  {
    name: 'speech in a stream without its last event',
    path: '/audio/speech',
    asked: json({ model: 'gpt-4o-mini-tts', voice: 'a', input: 'Good day.', stream_format: 'sse' }),
    answer: asEvents(named({ type: 'speech.audio.delta', audio: 'AAAA' })),
    readings: null,
    state: 'unpriced',
    usd: null,
    why: 'no_usage',
  },
  {
    name: 'speech of a tts-1 in a stream',
    path: '/audio/speech',
    asked: json({ model: 'tts-1-hd', voice: 'a', input: 'Grüße 😀', stream_format: 'sse' }),
    answer: asEvents(named({ type: 'speech.audio.done' })),
    readings: { speech_characters: '7' },
    usd: '0.00021',
  },
  {
    name: 'a diarized transcription',
    path: '/audio/transcriptions',
    asked: form({ model: 'gpt-4o-transcribe-diarize', response_format: 'diarized_json' }, AUDIO),
    answer: asJson({
      text: 'x',
      duration: 42.7,
      segments: [],
      usage: {
        type: 'tokens',
        input_tokens: 14,
        input_token_details: { text_tokens: 4, audio_tokens: 10 },
        output_tokens: 45,
        total_tokens: 59,
      },
    }),
    readings: { input_text: '4', input_audio: '10', output_text: '45' },
    state: 'priced',
  },
  {
    name: 'a response in the background that a compressed request asked for',
    path: '/responses',
    asked: {
      headers: [
        ['Content-Type', 'application/json'],
        ['Content-Encoding', 'gzip'],
      ],
      body: gzipSync(respond({ background: true }).body),
    },
    answer: asJson(responseOf({ id: 'resp_queued', status: 'queued', background: true, usage: null })),
    readings: null,
    state: 'pending',
    usd: null,
    why: 'in_progress',
  },
  {
    name: 'input tokens that are counted',
    path: '/responses/input_tokens',
    asked: respond(),
    answer: asJson({ object: 'response.input_tokens', input_tokens: 99 }),
    state: 'free',
    usd: '0',
    why: null,
  },
  {
    name: 'decisions',
    path: '/decisions',
    asked: json({ model: 'gpt-6-luna', input: 'a' }),
    answer: asJson({ model: 'gpt-6-luna', usage: { input_tokens: 100, output_tokens: 10 } }),
    readings: { input_text: '100', output_text: '10' },
    usd: '0.000015',
  },
  {
    name: 'a search in a vector store',
    path: '/vector_stores/vs_1/search',
    asked: json({ query: 'a' }),
    answer: asJson({ data: [] }),
    state: 'unpriced',
    usd: null,
    why: 'no_published_price',
  },
  {
    name: 'HEAD of models',
    method: 'HEAD',
    path: '/models',
    answer: {
      headers: [
        ['Content-Type', 'application/json'],
        ['Content-Length', '20'],
      ],
      framing: 'none',
    },
    readings: null,
    state: 'free',
    usd: '0',
    why: null,
  },
  {
    name: 'OPTIONS of chats',
    method: 'OPTIONS',
    path: '/chat/completions',
    answer: { status: 204, headers: [['Allow', 'POST']] },
    readings: null,
    state: 'free',
    usd: '0',
    why: null,
  },
  {
    name: 'HEAD of an unknown path',
    method: 'HEAD',
    path: '/nobody/knows',
    answer: { headers: [], framing: 'none' },
    readings: null,
    state: 'free',
    usd: '0',
    why: null,
  },
];

interface Explained {
  readonly usd: string | null;
  readonly state: string;
  readonly reproduced: boolean | null;
}

describe('a reply', () => {
  for (const {
    name,
    path,
    method = 'POST',
    asked = { headers: [], body: undefined },
    answer,
    readings,
    state = 'priced',
    usd,
    why,
    isLarge = false,
  } of ROWS) {
    test(`${name}: ${usd ?? state}`, async () => {
      const { reply, record } = await cost.exchange(
        { method, target: `/openai/v1${path}`, headers: asked.headers, ...(asked.body && { body: asked.body }) },
        answer,
      );
      const { cost: told } = record;
      if (readings !== undefined) assert.deepEqual(readingsOf(record), readings);
      assert.equal(told.state, state);
      if (usd !== undefined) assert.equal(told.usd, usd);
      if (why !== undefined) assert.equal(told.why, why);
      if (state === 'priced' || state === 'partial') {
        assertLines(record);
        const header = valueOf(reply.headers, 'x-throughway-cost-usd');
        const isStream = /event-stream/i.test(valueOf(reply.headers, 'content-type') ?? '');
        assert.equal(header, isStream || isLarge ? undefined : told.usd);
      }
      const explained = await cost.stand.gateway.adminFetch(`/admin/v1/exchanges/${record.id}/cost`);
      assert.equal(explained.status, 200);
      const { usd: again, state: stateAgain, reproduced } = (await explained.json()) as Explained;
      assert.deepEqual([again, stateAgain], [told.usd, told.state]);
      assert.equal(reproduced, told.lines.length > 0 ? true : null);
    });
  }
});
