// What an exchange used, as disjoint readings: made of what its reply tells, and of its request where replies are silent.
// Nothing is made up: what is not known is absent, and figures that contradict each other are told as problems.
import type { Endpoint, EndpointGroup } from '../domain/endpoint.ts';
import type { ReplyFacts, RequestFacts } from '../domain/facts.ts';
import type { Meter, Reading, Usage } from '../domain/usage.ts';
import { member } from './findings.ts';
import { type Metered, type TokenShape, readTokens } from './token-usage.ts';
import type { Turn } from './turns.ts';

type Reader = (facts: ReplyFacts, request: RequestFacts | null, endpoint: Endpoint | undefined) => Usage;

const TEXT: TokenShape = { input: 'text', output: 'text', hasImageInput: false };
const IMAGE: TokenShape = { input: 'text', output: 'image', hasImageInput: true };
const SPEECH: TokenShape = { input: 'text', output: 'audio', hasImageInput: false };
const TRANSCRIPTION: TokenShape = { input: 'audio', output: 'text', hasImageInput: false };
const REALTIME: TokenShape = { input: 'text', output: 'text', hasImageInput: true };

const READERS: Partial<Record<EndpointGroup, Reader>> = {
  chat: readText,
  completions: readText,
  responses: readText,
  embeddings: readText,
  decisions: readText,
  agents: readText,
  batches: readText,
  evals: readText,
  images: readImages,
  audio: readAudio,
  videos: readVideo,
  realtime: readRealtime,
  live: readLive,
  fine_tuning: readTraining,
  // Of an upstream that still has them: a run that is answered here is priced as the exchanges that it causes.
  assistants: readText,
  // Day by day and minute by minute.
  vector_stores: readNothing,
  containers: readNothing,
};

/**
 * `source` is `reported`, `estimated` or `absent`: whether what is reported was read after the client had left is the caller's to
 * say, as is what of a reply with an error status is billed at all.
 */
export function readUsage(endpoint: Endpoint | undefined, facts: ReplyFacts, request: RequestFacts | null): Usage {
  if (endpoint?.billing === 'free') return readNothing(facts);
  const read = endpoint === undefined ? readText : READERS[endpoint.group];
  return read === undefined ? absent(facts) : read(facts, request, endpoint);
}

/** What one response within a WebSocket used, or one transcription beside it. */
export function readTurnUsage(endpoint: Endpoint | undefined, { kind, facts }: Turn): Usage {
  if (kind === 'transcription') return readTranscription(facts, null);
  const isRealtime = endpoint?.group === 'realtime' || facts.object === 'realtime.response';
  return isRealtime ? readAllTokens(facts, null, REALTIME) : readText(facts, null, endpoint);
}

/** What the image tool of a reply used, at the prices of its own model; null where it made none. */
export function readImageTool({
  imageTool,
}: ReplyFacts): { readonly model: string | null; readonly usage: Usage } | null {
  if (imageTool === null) return null;
  const { model, usage } = imageTool;
  if (usage === null) return { model, usage: { source: 'absent', readings: null, raw: null, problems: [] } };
  return { model, usage: { source: 'reported', raw: usage, ...readTokens(usage, IMAGE, false) } };
}

/** Calls of hosted tools, which cost beside tokens: known of a reply that broke off as well. */
export function toolReadings(facts: ReplyFacts, request: RequestFacts | null): Reading[] {
  const { web_search = 0, web_search_preview = 0, file_search = 0 } = facts.toolCalls;
  if (web_search === 0 && web_search_preview === 0 && file_search === 0) return [];
  const isPreview = request?.tools.some((tool) => tool.startsWith('web_search_preview')) ?? false;
  return [
    ...readingOf('web_search_calls', isPreview ? 0 : web_search),
    ...readingOf('web_search_preview_calls', web_search_preview + (isPreview ? web_search : 0)),
    ...readingOf('file_search_calls', file_search),
  ];
}

// ---- By kind of endpoint.

function readText(facts: ReplyFacts, request: RequestFacts | null, endpoint: Endpoint | undefined): Usage {
  const usage = readAllTokens(facts, request, TEXT);
  if (usage.readings === null) return usage;
  const problems = [...usage.problems];
  if (facts.usages.length > 1 && new Set(facts.usages.map((each) => member(each, 'model_name'))).size > 1)
    problems.push('Several models were used, each at its own prices.');
  if (facts.imageTool !== null && facts.imageTool.usage === null)
    problems.push('A tool made images, and the reply does not say what that used.');
  const searches = endpoint?.group === 'chat' ? searchesOfModel(facts.model ?? request?.model ?? '') : [];
  const readings = [...usage.readings, ...toolReadings(facts, request), ...searches];
  return { source: usage.source, readings, raw: usage.raw, problems };
}

/** Search models of the chat endpoint search once for each reply, and report it nowhere. */
function searchesOfModel(model: string): Reading[] {
  if (model.includes('-search-preview')) return readingOf('web_search_preview_calls', 1);
  return model.includes('-search-api') ? readingOf('web_search_calls', 1) : [];
}

function readImages(facts: ReplyFacts, request: RequestFacts | null, endpoint: Endpoint | undefined): Usage {
  if (facts.usages.length > 0) return readAllTokens(facts, request, IMAGE);
  const model = request?.model ?? facts.model;
  // The only model of an endpoint that has never streamed.
  const isPerImage = model === null ? endpoint?.streamUsage === null : model.startsWith('dall-e');
  const images = facts.dataCount ?? request?.count ?? null;
  if (!isPerImage || images === null) return absent(facts);
  const size = known(facts.size) ?? known(request?.size) ?? '1024x1024';
  const quality = known(facts.quality) ?? known(request?.quality) ?? 'standard';
  const readings = readingOf('images', images, `${size}/${quality}`);
  // Without a reply, what was asked for is all that is known.
  return facts.dataCount === null ? { ...reported(facts, readings), source: 'estimated' } : reported(facts, readings);
}

function readAudio(facts: ReplyFacts, request: RequestFacts | null, endpoint: Endpoint | undefined): Usage {
  if (endpoint?.billing !== 'metered') return absent(facts);
  return endpoint.streamedBy === 'body.stream_format' ? readSpeech(facts, request) : readTranscription(facts, request);
}

/** As OpenAI counts them: an assistant's second is 20 tokens of audio, a user's 10. */
const SPEECH_TOKENS_PER_SECOND = 20;
const HEARD_TOKENS_PER_SECOND = 10;
const CHARACTERS_PER_TOKEN = 4;

function readSpeech(facts: ReplyFacts, request: RequestFacts | null): Usage {
  if (facts.usages.length > 0) return readAllTokens(facts, request, SPEECH);
  const model = request?.model ?? facts.model ?? '';
  const characters = request?.inputCharacters ?? null;
  // By the characters of its input, as it was billed ever since: that is no estimate.
  if (model.startsWith('tts-1'))
    return characters === null ? absent(facts) : reported(facts, readingOf('speech_characters', characters));
  if (facts.durationSeconds === null || characters === null) return absent(facts);
  const readings = [
    ...readingOf('input_text', Math.ceil(characters / CHARACTERS_PER_TOKEN)),
    ...readingOf('output_audio', Math.round(facts.durationSeconds * SPEECH_TOKENS_PER_SECOND)),
  ];
  return { source: 'estimated', readings, raw: null, problems: [] };
}

function readTranscription(facts: ReplyFacts, request: RequestFacts | null): Usage {
  const [usage] = facts.usages;
  const seconds = secondsOf(member(usage, 'seconds'));
  if (seconds !== null) return reported(facts, secondsReading('transcribed_seconds', seconds));
  if (usage !== undefined && member(usage, 'duration') === undefined) return readAllTokens(facts, null, TRANSCRIPTION);
  // Begun seconds, as OpenAI itself reports a duration of 8.47 s.
  const duration = facts.durationSeconds ?? secondsOf(member(usage, 'duration'));
  if (duration !== null) return reported(facts, secondsReading('transcribed_seconds', Math.ceil(duration)));
  return estimateTranscription(facts, request);
}

/** Texts and subtitles report nothing: how long the recording lasts is told by its own container. */
function estimateTranscription(facts: ReplyFacts, request: RequestFacts | null): Usage {
  const seconds = request?.audioSeconds ?? null;
  const model = request?.model ?? null;
  if (seconds === null || model === null) return absent(facts);
  if (model.startsWith('whisper')) {
    const readings = secondsReading('transcribed_seconds', Math.ceil(seconds));
    return { source: 'estimated', readings, raw: null, problems: [] };
  }
  const readings = [
    ...readingOf('input_audio', Math.ceil(seconds * HEARD_TOKENS_PER_SECOND)),
    ...readingOf('output_text', Math.ceil(facts.outputTextBytes / CHARACTERS_PER_TOKEN)),
  ];
  return { source: 'estimated', readings, raw: null, problems: [] };
}

/** A session of translations reports nothing, and says only how far it came. */
function readRealtime(facts: ReplyFacts, request: RequestFacts | null): Usage {
  if (facts.usages.length > 0 || facts.durationSeconds === null) return readAllTokens(facts, request, REALTIME);
  const readings = secondsReading('transcribed_seconds', facts.durationSeconds);
  return { source: 'estimated', readings, raw: null, problems: [] };
}

/** The last telling of a session is its total. */
function readLive(facts: ReplyFacts): Usage {
  const usage = facts.usages.at(-1);
  const active = secondsOf(member(usage, 'active_seconds')) ?? secondsOf(member(usage, 'seconds'));
  if (active === null) return absent(facts);
  const standby = secondsOf(member(usage, 'standby_seconds')) ?? 0;
  return reported(facts, [
    ...secondsReading('live_active_seconds', active),
    ...secondsReading('live_standby_seconds', standby),
  ]);
}

/** Billed when it is completed, and never if it fails. What was asked for counts: an extension tells the length of the whole. */
function readVideo(facts: ReplyFacts, request: RequestFacts | null): Usage {
  if (facts.status === 'failed') return readNothing(facts);
  const seconds = request?.seconds ?? secondsOf(member(facts.usages[0], 'seconds'));
  if (facts.status !== 'completed' || seconds === null) return absent(facts);
  const size = facts.size ?? request?.size ?? null;
  return reported(facts, secondsReading('video_seconds', seconds, size ?? undefined));
}

/** The trained part of a job that was cancelled is billed as well. */
function readTraining(facts: ReplyFacts): Usage {
  const tokens = member(facts.usages[0], 'trained_tokens');
  if (typeof tokens === 'number' && Number.isSafeInteger(tokens) && tokens >= 0)
    return reported(facts, readingOf('training', tokens));
  if (tokens === undefined && facts.usages.length > 0) return readAllTokens(facts, null, TEXT);
  return facts.status === 'failed' ? readNothing(facts) : absent(facts);
}

function readNothing(facts: ReplyFacts): Usage {
  return reported(facts, []);
}

// ---- Their common parts.

function readAllTokens(facts: ReplyFacts, request: RequestFacts | null, shape: TokenShape): Usage {
  const { usages } = facts;
  if (usages.length === 0) return absent(facts);
  const retention = facts.cacheTtl ?? request?.promptCacheRetention ?? null;
  const isWrittenFor12h = retention !== null && /^12h?$/.test(retention);
  const { readings, problems } =
    usages.length === 1
      ? readTokens(usages[0], shape, isWrittenFor12h)
      : sumOf(usages.map((usage) => readTokens(usage, shape, isWrittenFor12h)));
  return { source: 'reported', readings, raw: rawOf(facts), problems };
}

function sumOf(all: readonly Metered[]): Metered {
  const problems = all.flatMap((each) => each.problems);
  const told = all.flatMap((each) => each.readings ?? []);
  if (all.every((each) => each.readings === null)) return { readings: null, problems };
  const sums = new Map<Meter, bigint>();
  for (const { meter, quantity } of told) sums.set(meter, (sums.get(meter) ?? 0n) + quantity);
  return { readings: [...sums].map(([meter, quantity]) => ({ meter, quantity })), problems };
}

function reported(facts: ReplyFacts, readings: readonly Reading[]): Usage {
  return { source: 'reported', readings, raw: rawOf(facts), problems: [] };
}

function absent(facts: ReplyFacts): Usage {
  return { source: 'absent', readings: null, raw: rawOf(facts), problems: [] };
}

function rawOf({ usages }: ReplyFacts): unknown {
  return usages.length > 1 ? usages : (usages[0] ?? null);
}

function readingOf(meter: Meter, quantity: number, variant?: string): Reading[] {
  if (quantity === 0) return [];
  const reading = { meter, quantity: BigInt(quantity) };
  return [variant === undefined ? reading : { ...reading, variant }];
}

/** Seconds are counted in thousandths. */
function secondsReading(meter: Meter, seconds: number, variant?: string): Reading[] {
  return readingOf(meter, Math.round(seconds * 1000), variant);
}

/** A number, or one as text. */
function secondsOf(value: unknown): number | null {
  const seconds = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
}

/** `auto` says nothing. */
function known(value: string | null | undefined): string | null {
  return value === undefined || value === null || value === 'auto' ? null : value;
}
