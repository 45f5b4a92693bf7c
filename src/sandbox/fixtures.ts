// The sandbox's answers as aimock's fixtures: one row for each kind of endpoint, none that depends on an earlier call.
import type { ChatCompletionRequest, Fixture, FixtureResponse, ModerationFixture } from '@copilotkit/aimock';

import { answerConversation } from './answer.ts';
import { countTokens } from './tokens.ts';

/** Named in the list of models. aimock answers any other name as well. */
const models = [
  'gpt-5.1',
  'gpt-5-mini',
  'gpt-4o',
  'gpt-4o-mini',
  'text-embedding-3-small',
  'text-embedding-3-large',
  'gpt-image-1',
  'gpt-4o-mini-tts',
  'gpt-4o-transcribe',
  'whisper-1',
  'omni-moderation-latest',
  'gpt-realtime',
] as const;

const listed: Fixture[] = models.map((model) => ({
  match: { model, endpoint: 'chat' },
  response: answerConversation,
}));

export const fixtures: Fixture[] = [
  ...listed,
  { match: { endpoint: 'chat' }, response: answerConversation },
  { match: { endpoint: 'realtime' }, response: answerConversation },
  { match: { endpoint: 'image' }, response: { images: [{ b64Json: redDot() }] } },
  { match: { endpoint: 'speech' }, response: { audio: silence(), format: 'mp3' } },
  { match: { endpoint: 'transcription' }, response: transcribe },
  { match: { endpoint: 'translation' }, response: transcribe },
  { match: { endpoint: 'realtime-transcription' }, response: transcribe },
];

/** Everything else is found harmless, which is what aimock does by itself. */
export const moderationFixtures: ModerationFixture[] = [
  {
    match: /\bkill\b/,
    result: {
      flagged: true,
      categories: { violence: true, harassment: false, 'self-harm': false, sexual: false, hate: false, illicit: false },
      category_scores: { violence: 0.97, harassment: 0, 'self-harm': 0, sexual: 0, hate: 0, illicit: 0 },
    },
  },
];

/** aimock hands on the model's name but not the sound, so every recording says the same. */
function transcribe(request: ChatCompletionRequest): FixtureResponse {
  const text = 'This is the Throughway sandbox. It does not listen to what you send.';
  const seconds = 2;
  const audioTokens = 10 * seconds;
  const textTokens = countTokens(text);
  return {
    transcription: {
      text,
      language: 'english',
      duration: seconds,
      usage: request.model.startsWith('whisper')
        ? { type: 'duration', seconds }
        : {
            type: 'tokens',
            input_tokens: audioTokens,
            input_token_details: { text_tokens: 0, audio_tokens: audioTokens },
            output_tokens: textTokens,
            total_tokens: audioTokens + textTokens,
          },
    },
  };
}

/** A PNG of one red pixel, in base 64. */
export function redDot(): string {
  return 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
}

/** Half a second of MP3: frames of 128 kbit/s at 44.1 kHz, whose zeroed side information decodes to silence. */
function silence(): string {
  const frame = Buffer.alloc(417);
  frame.set([0xff, 0xfb, 0x90, 0x64]);
  return Buffer.concat(Array.from({ length: 19 }, () => frame)).toString('base64');
}
