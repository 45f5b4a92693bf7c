// One row for each operation over HTTP that is priced when its exchange ends: what is asked, what is answered, and what that costs.
import type { ScriptedReply } from '../support/recorder.ts';
import type { Header } from '../support/wire.ts';
import { asJson, form, json, named, unnamed } from './stand.ts';

export interface PricedOperation {
  readonly operation: string;
  readonly path: string;
  readonly asked: { readonly headers: readonly Header[]; readonly body: Buffer };
  readonly answer: ScriptedReply;
  readonly readings: Readonly<Record<string, string>>;
  readonly usd: string;
  /** Of a reply that the client did not wait for; default `unpriced`. */
  readonly whenLeft?: 'estimated' | 'priced';
  readonly stream?: {
    readonly asked: { readonly headers: readonly Header[]; readonly body: Buffer };
    readonly events: readonly string[];
    readonly readings: Readonly<Record<string, string>>;
    readonly usd: string;
    /** Of a stream that the client left behind its first event. */
    readonly whenLeft: 'estimated' | 'unpriced';
  };
}

export const tokens = (input: number, output: number, inputDetails = {}, outputDetails = {}) => ({
  input_tokens: input,
  input_tokens_details: inputDetails,
  output_tokens: output,
  output_tokens_details: outputDetails,
  total_tokens: input + output,
});
export const chatTokens = (input: number, output: number, inputDetails = {}, outputDetails = {}) => ({
  prompt_tokens: input,
  completion_tokens: output,
  total_tokens: input + output,
  prompt_tokens_details: inputDetails,
  completion_tokens_details: outputDetails,
});

const E14 = tokens(10_000, 500, { cached_tokens: 8000, cache_write_tokens: 1000 });
const E14_READINGS = {
  input_text: '1000',
  input_text_cached: '8000',
  input_text_written: '1000',
  output_text: '500',
};
const MESSAGES = [{ role: 'user', content: 'Name three rivers.' }];
const AUDIO = { name: 'speech.ogg', bytes: Buffer.from('OggS of some kind') };
const PICTURE = { name: 'picture.png', bytes: Buffer.from('\x89PNG of some kind', 'latin1') };
const EDIT = tokens(1050, 1056, {
  text_tokens: 50,
  image_tokens: 1000,
  cached_tokens: 200,
  cached_tokens_details: { text_tokens: 0, image_tokens: 200 },
});
const EDIT_READINGS = { input_text: '50', input_image: '800', input_image_cached: '200', output_image: '1056' };

export const PRICED: readonly PricedOperation[] = [
  {
    operation: 'POST /v1/chat/completions',
    path: '/chat/completions',
    asked: json({ model: 'gpt-5.4-nano', messages: MESSAGES }),
    answer: asJson({ id: 'c1', model: 'gpt-5.4-nano', choices: [], usage: chatTokens(11, 4) }),
    readings: { input_text: '11', output_text: '4' },
    usd: '0.0000072',
    whenLeft: 'estimated',
    stream: {
      asked: json({ model: 'gpt-5.4-nano', messages: MESSAGES, stream: true }),
      events: unnamed(
        { id: 'c1', model: 'gpt-5.4-nano', choices: [{ index: 0, delta: { content: 'The Rhine' } }], usage: null },
        { id: 'c1', model: 'gpt-5.4-nano', choices: [], usage: chatTokens(11, 4) },
      ),
      readings: { input_text: '11', output_text: '4' },
      usd: '0.0000072',
      whenLeft: 'estimated',
    },
  },
  {
    operation: 'POST /v1/completions',
    path: '/completions',
    asked: json({ model: 'gpt-3.5-turbo', prompt: 'Once upon' }),
    answer: asJson({ id: 'c2', model: 'gpt-3.5-turbo', choices: [], usage: chatTokens(9, 2) }),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.0000075',
    whenLeft: 'estimated',
    stream: {
      asked: json({ model: 'gpt-3.5-turbo', prompt: 'Once upon', stream: true }),
      events: unnamed(
        { id: 'c2', model: 'gpt-3.5-turbo', choices: [{ index: 0, text: ' a time' }], usage: null },
        { id: 'c2', model: 'gpt-3.5-turbo', choices: [], usage: chatTokens(9, 2) },
      ),
      readings: { input_text: '9', output_text: '2' },
      usd: '0.0000075',
      whenLeft: 'estimated',
    },
  },
  {
    operation: 'POST /v1/responses',
    path: '/responses',
    asked: json({ model: 'gpt-6.1-sol', input: 'Name three rivers.' }),
    answer: asJson({ id: 'resp_1', object: 'response', status: 'completed', model: 'gpt-6.1-sol', usage: E14 }),
    readings: E14_READINGS,
    usd: '0.0103',
    whenLeft: 'estimated',
    stream: {
      asked: json({ model: 'gpt-6.1-sol', input: 'Name three rivers.', stream: true }),
      events: named(
        { type: 'response.created', response: { id: 'resp_1', model: 'gpt-6.1-sol', usage: null } },
        { type: 'response.output_text.delta', delta: 'The Rhine' },
        { type: 'response.completed', response: { id: 'resp_1', model: 'gpt-6.1-sol', usage: E14 } },
      ),
      readings: E14_READINGS,
      usd: '0.0103',
      whenLeft: 'estimated',
    },
  },
  {
    operation: 'POST /v1/responses/compact',
    path: '/responses/compact',
    asked: json({ model: 'gpt-6.1-sol', input: 'So far.' }),
    answer: asJson({ id: 'resp_2', object: 'response.compaction', usage: tokens(9, 2) }),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000038',
    whenLeft: 'estimated',
  },
  {
    operation: 'POST /v1/embeddings',
    path: '/embeddings',
    asked: json({ model: 'text-embedding-3-small', input: 'Name three rivers.' }),
    answer: asJson({ model: 'text-embedding-3-small', data: [], usage: { prompt_tokens: 14, total_tokens: 14 } }),
    readings: { input_text: '14' },
    usd: '0.00000028',
    whenLeft: 'estimated',
  },
  {
    operation: 'POST /v1/decisions',
    path: '/decisions',
    asked: json({ model: 'gpt-6-luna', input: 'Yes or no?' }),
    answer: asJson({ model: 'gpt-6-luna', usage: tokens(100, 10) }),
    readings: { input_text: '100', output_text: '10' },
    usd: '0.000015',
    whenLeft: 'estimated',
  },
  {
    operation: 'POST /v1/audio/speech',
    path: '/audio/speech',
    asked: json({ model: 'tts-1', voice: 'alloy', input: 'x'.repeat(1000) }),
    answer: { headers: [['Content-Type', 'audio/mpeg']], body: Buffer.from('some sound') },
    readings: { speech_characters: '1000' },
    usd: '0.015',
    // It is billed by what was asked.
    whenLeft: 'priced',
    stream: {
      asked: json({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'Good day.', stream_format: 'sse' }),
      events: named(
        { type: 'speech.audio.delta', audio: 'aGVsbG8=' },
        { type: 'speech.audio.done', usage: tokens(30, 500) },
      ),
      readings: { input_text: '30', output_audio: '500' },
      usd: '0.006018',
      whenLeft: 'unpriced',
    },
  },
  {
    operation: 'POST /v1/audio/transcriptions',
    path: '/audio/transcriptions',
    asked: form({ model: 'whisper-1' }, AUDIO),
    answer: asJson({ text: 'Good day.', usage: { type: 'duration', seconds: 60 } }),
    readings: { transcribed_seconds: '60' },
    usd: '0.006',
    stream: {
      asked: form({ model: 'gpt-4o-mini-transcribe', stream: 'true' }, AUDIO),
      events: named(
        { type: 'transcript.text.delta', delta: 'Good ' },
        {
          type: 'transcript.text.done',
          text: 'Good day.',
          usage: {
            type: 'tokens',
            input_tokens: 14,
            input_token_details: { text_tokens: 4, audio_tokens: 10 },
            output_tokens: 45,
            total_tokens: 59,
          },
        },
      ),
      readings: { input_text: '4', input_audio: '10', output_text: '45' },
      usd: '0.0002425',
      whenLeft: 'unpriced',
    },
  },
  {
    operation: 'POST /v1/audio/translations',
    path: '/audio/translations',
    asked: form({ model: 'whisper-1', response_format: 'verbose_json' }, AUDIO),
    answer: asJson({ task: 'translate', duration: 59.5, text: 'Good day.' }),
    readings: { transcribed_seconds: '60' },
    usd: '0.006',
  },
  {
    operation: 'POST /v1/images/generations',
    path: '/images/generations',
    asked: json({ model: 'gpt-image-1.5', prompt: 'A river' }),
    answer: asJson({ data: [{ b64_json: 'aGVsbG8=' }], usage: tokens(23, 1056, { text_tokens: 23, image_tokens: 0 }) }),
    readings: { input_text: '23', output_image: '1056' },
    usd: '0.033907',
    stream: {
      asked: json({ model: 'gpt-image-1.5', prompt: 'A river', stream: true, partial_images: 1 }),
      events: named(
        { type: 'image_generation.partial_image', partial_image_index: 0, b64_json: 'aGVsbG8=' },
        {
          type: 'image_generation.completed',
          b64_json: 'aGVsbG8=',
          usage: tokens(23, 1056, { text_tokens: 23, image_tokens: 0 }),
        },
      ),
      readings: { input_text: '23', output_image: '1056' },
      usd: '0.033907',
      whenLeft: 'unpriced',
    },
  },
  {
    operation: 'POST /v1/images/edits',
    path: '/images/edits',
    asked: form({ model: 'gpt-image-2', prompt: 'Wider' }, PICTURE),
    answer: asJson({ data: [{ b64_json: 'aGVsbG8=' }], usage: EDIT }),
    readings: EDIT_READINGS,
    usd: '0.03873',
    stream: {
      asked: form({ model: 'gpt-image-2', prompt: 'Wider', stream: 'true' }, PICTURE),
      events: named(
        { type: 'image_edit.partial_image', partial_image_index: 0, b64_json: 'aGVsbG8=' },
        { type: 'image_edit.completed', b64_json: 'aGVsbG8=', usage: EDIT },
      ),
      readings: EDIT_READINGS,
      usd: '0.03873',
      whenLeft: 'unpriced',
    },
  },
  {
    operation: 'POST /v1/images/variations',
    path: '/images/variations',
    asked: form({ model: 'dall-e-2', n: '2' }, PICTURE),
    answer: asJson({ data: [{ url: 'https://images.example/1' }, { url: 'https://images.example/2' }] }),
    readings: { 'images/1024x1024/standard': '2' },
    usd: '0.04',
    // It is billed by how many were asked for.
    whenLeft: 'estimated',
  },
  ...['/threads/runs', '/threads/thread_1/runs', '/threads/thread_1/runs/run_1/submit_tool_outputs'].map(
    (path): PricedOperation => ({
      operation: `POST /v1${path.replace('thread_1', '{thread_id}').replace('run_1', '{run_id}')}`,
      path,
      asked: json({ model: 'gpt-4o', assistant_id: 'asst_1' }),
      answer: asJson({
        id: 'run_1',
        object: 'thread.run',
        model: 'gpt-4o',
        usage: chatTokens(2006, 300, { cached_tokens: 1920 }),
      }),
      readings: { input_text: '86', input_text_cached: '1920', output_text: '300' },
      usd: '0.005615',
      stream: {
        asked: json({ model: 'gpt-4o', assistant_id: 'asst_1', stream: true }),
        events: named(
          { type: 'thread.run.created', id: 'run_1', model: 'gpt-4o', usage: null },
          { type: 'thread.run.completed', id: 'run_1', model: 'gpt-4o', usage: chatTokens(100, 250) },
        ),
        readings: { input_text: '100', output_text: '250' },
        usd: '0.00275',
        whenLeft: 'unpriced',
      },
    }),
  ),
  {
    operation: 'POST /v1/agents/sessions',
    path: '/agents/sessions',
    asked: json({ agent: 'agent_1', model: 'gpt-6.1-sol' }),
    answer: asJson({ id: 'session_1', model: 'gpt-6.1-sol', usage: tokens(9, 2) }),
    readings: { input_text: '9', output_text: '2' },
    usd: '0.000038',
    stream: {
      asked: json({ agent: 'agent_1', model: 'gpt-6.1-sol', stream: true }),
      events: named(
        { type: 'agent.session.in_progress' },
        { type: 'agent.session.turn.completed', turn_id: 'turn_1', usage: tokens(9, 2) },
      ),
      readings: { input_text: '9', output_text: '2' },
      usd: '0.000038',
      whenLeft: 'unpriced',
    },
  },
];
