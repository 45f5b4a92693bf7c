// What OpenAI might answer, as a function of the request alone: asked twice, the recording upstream says the same bytes
// twice. Small, but with what is hard to relay: odd reason phrases, repeated headers, binary, streams, empty bodies.
import type { ScriptedReply } from './recorder.ts';
import type { Header } from './wire.ts';

export function exampleReply(method: string, target: string, body: Buffer): ScriptedReply {
  const [path, query = ''] = target.split('?') as [string, string?];
  const segments = path.split('/').slice(2);
  const asks = readAsks(body);

  if (path.endsWith('/audio/speech'))
    return asks.stream_format === 'sse' ? stream(SPEECH) : binary('audio/mpeg', AUDIO);
  if (path.endsWith('/content'))
    return binary(segments[0] === 'skills' ? 'application/zip' : 'application/octet-stream', FILE);
  if (path.endsWith('/realtime/calls')) return sdpAnswer();
  if (isEmptyReply(method, path)) return { reason: 'OK', headers: headers('text/plain'), body: '' };
  if (path.endsWith('/agents/sessions/session_1a2b3c/events') && method === 'GET') return stream(TURN);
  if (asks.stream === true || /(^|&)stream=true(&|$)/.test(query)) return stream(streamOf(path));
  if (asks.response_format === 'srt') return { headers: headers('text/plain; charset=utf-8'), body: SUBTITLES };
  if (method === 'DELETE') return json({ id: segments.at(-1), object: `${segments[0]}.deleted`, deleted: true });
  if (method === 'GET' && segments.length === 1)
    return json({ object: 'list', data: [], first_id: null, has_more: false });
  return json({
    id: `${segments[0]}_1a2b3c`,
    object: segments.join('.'),
    created_at: 1_763_900_000,
    model: asks.model ?? 'gpt-6-luna',
    // Written as the upstream wrote it: a gateway that parses and prints again would change each of these.
    metadata: { ratio: '\u00e9\u2028', path: 'a\\/b' },
    usage: { input_tokens: 9, output_tokens: 12, total_tokens: 21, prompt_tokens: 9, completion_tokens: 12 },
  });
}

interface Asks {
  readonly model?: unknown;
  readonly stream?: unknown;
  readonly stream_format?: unknown;
  readonly response_format?: unknown;
}

/** What the body asks for, JSON or the few form fields that matter here. */
function readAsks(body: Buffer): Asks {
  const text = body.toString('latin1');
  if (text.startsWith('{')) {
    try {
      return JSON.parse(text) as Asks;
    } catch {
      return {};
    }
  }
  return {
    stream: /name="stream"\r\n\r\ntrue\r\n/.test(text),
    response_format: /name="response_format"\r\n\r\n(\w+)\r\n/.exec(text)?.[1],
  };
}

/** DELETE of responses and containers, and the controls of calls, say nothing at all (surface 1.2). */
function isEmptyReply(method: string, path: string): boolean {
  if (/\/(realtime\/calls|live\/sessions)\/[^/]+\/(accept|hangup|refer|reject)$/.test(path)) return true;
  return method === 'DELETE' && /^\/v1\/(responses|containers)\//.test(path);
}

function json(value: object): ScriptedReply {
  const body = JSON.stringify(value, null, 2).replace('"a\\\\/b"', '"a\\/b"');
  return { status: 200, reason: 'Quite OK', headers: headers('application/json'), body };
}

function binary(type: string, body: Buffer): ScriptedReply {
  return { headers: [...headers(type), ['Accept-Ranges', 'bytes'], ['ETag', '"9f8e7d"']], body, framing: 'chunked' };
}

function sdpAnswer(): ScriptedReply {
  return {
    status: 201,
    reason: 'Created',
    headers: [
      ...headers('application/sdp'),
      ['Location', '/v1/realtime/calls/rtc_u1_9c6574da8b8a41a18da9308f4ad974ce'],
    ],
    body: 'v=0\r\no=- 20518 0 IN IP4 203.0.113.1\r\ns=-\r\nt=0 0\r\n',
  };
}

function stream(events: readonly string[]): ScriptedReply {
  return {
    headers: [...headers('text/event-stream; charset=utf-8'), ['Cache-Control', 'no-cache']],
    body: events,
    framing: 'chunked',
  };
}

/** The headers that OpenAI and what stands before it send, two of them twice. */
function headers(type: string): Header[] {
  return [
    ['Date', 'Mon, 23 Nov 2026 12:00:00 GMT'],
    ['Content-Type', type],
    ['Server', 'cloudflare'],
    ['x-request-id', 'req_5f0c0d9e8b7a'],
    ['openai-processing-ms', '412'],
    ['openai-version', '2020-10-01'],
    ['openai-organization', 'acme-corp'],
    ['x-ratelimit-remaining-requests', '9999'],
    ['CF-RAY', '8c1d2e3f4a5b6c7d-FRA'],
    ['Vary', 'Origin'],
    ['strict-transport-security', 'max-age=31536000; includeSubDomains; preload'],
    ['Vary', 'Accept-Encoding'],
    ['X-Content-Type-Options', 'nosniff'],
    ['access-control-expose-headers', 'X-Request-ID'],
    ['x-empty', ''],
    ['access-control-expose-headers', 'CF-Ray'],
  ];
}

function streamOf(path: string): readonly string[] {
  if (path.endsWith('/chat/completions')) return CHAT;
  if (path.endsWith('/completions')) return COMPLETION;
  if (path.includes('/threads')) return RUN;
  if (path.includes('/images/')) return IMAGE;
  if (path.includes('/audio/')) return TRANSCRIPT;
  if (path.includes('/agents/')) return TURN;
  return RESPONSE;
}

function typed(events: readonly object[]): string[] {
  return events.map((event) => `event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`);
}

const AUDIO = Buffer.from(Array.from({ length: 3000 }, (_, at) => (at * 31) % 256));
const FILE = Buffer.concat([Buffer.from('{"custom_id":"1"}\r\n\0\xff\xfe', 'latin1'), AUDIO]);
const SUBTITLES = '1\n00:00:00,000 --> 00:00:01,500\nGr\u00fc\u00dfe.\n\n';

const CHAT = [
  ': OPENAI PROCESSING\n\n',
  'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi \u2014"}}],"usage":null}\n\n',
  'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n',
  'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}\n\n',
  'data: [DONE]\n\n',
];
const COMPLETION = [
  'data: {"id":"cmpl-1","object":"text_completion","choices":[{"index":0,"text":"Once"}],"usage":null}\r\n\r\n',
  'data: {"id":"cmpl-1","object":"text_completion","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}\r\n\r\n',
  'data: [DONE]\r\n\r\n',
];
const USAGE = { input_tokens: 9, output_tokens: 2, total_tokens: 11 };
const RESPONSE = typed([
  { type: 'response.created', sequence_number: 0, response: { id: 'resp_1a2b3c', usage: null } },
  { type: 'response.output_text.delta', sequence_number: 1, delta: 'Hi', obfuscation: 'x9Zq' },
  { type: 'response.completed', sequence_number: 2, response: { id: 'resp_1a2b3c', usage: USAGE } },
]);
const IMAGE = typed([
  { type: 'image_generation.partial_image', partial_image_index: 0, b64_json: 'aGVsbG8=' },
  { type: 'image_generation.completed', b64_json: 'aGVsbG8=', usage: USAGE },
]);
const TRANSCRIPT = typed([
  { type: 'transcript.text.delta', delta: 'Good ' },
  { type: 'transcript.text.done', text: 'Good day.', usage: { type: 'tokens', ...USAGE } },
]);
const SPEECH = typed([
  { type: 'speech.audio.delta', audio: 'aGVsbG8=' },
  { type: 'speech.audio.done', usage: USAGE },
]);
const TURN = typed([
  { type: 'agent.session.in_progress', event_id: 'evt_1' },
  { type: 'agent.session.turn.completed', event_id: 'evt_2', turn_id: 'turn_1a2b3c', usage: USAGE },
]);
const RUN = [
  'event: thread.run.created\ndata: {"id":"run_1a2b3c","object":"thread.run","usage":null}\n\n',
  'event: thread.run.completed\ndata: {"id":"run_1a2b3c","object":"thread.run","usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}\n\n',
  'event: done\ndata: [DONE]\n\n',
];
