// All that may differ between a request sent to the upstream directly and the same one sent through Throughway, and
// between their replies; each with its reason. What is not listed here must be equal.
import type { Header } from '../support/wire.ts';

interface Difference {
  /** Lower case; a `*` at the end stands for any rest. */
  readonly names: readonly string[];
  readonly because: string;
}

const HOP_BY_HOP: Difference = {
  names: [
    'connection',
    'keep-alive',
    'proxy-authorization',
    'proxy-authenticate',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
  ],
  because: 'they speak of one connection, not of the message (RFC 9110 7.6.1); how a body is framed is compared apart',
};

export const DROPPED_FROM_REQUESTS: readonly Difference[] = [
  HOP_BY_HOP,
  {
    names: ['authorization', 'x-api-key', 'api-key'],
    because: 'the virtual key goes no further; the credential takes its place',
  },
  { names: ['host'], because: 'it names the upstream, not the gateway' },
  { names: ['cookie'], because: 'cookies of the gateway are no business of the upstream' },
  {
    names: ['forwarded', 'x-forwarded-*', 'via', 'x-real-ip', 'cf-*'],
    because: 'they tell where a request has been, users\u2019 addresses among it (design 3.3)',
  },
  { names: ['x-throughway-*'], because: 'they are words between a client and the gateway' },
  {
    names: ['content_length', 'content_type', 'transfer_encoding', 'x_forwarded_for', 'x_api_key'],
    because: 'careless servers read them as the headers they resemble (security HD07)',
  },
  { names: ['expect'], because: 'the gateway answers it itself (surface B11)' },
];

export const DROPPED_FROM_REPLIES: readonly Difference[] = [
  HOP_BY_HOP,
  {
    names: ['set-cookie'],
    because: 'the upstream\u2019s cookies belong to its own origin, and Cookie is not passed either',
  },
  { names: ['alt-svc'], because: 'it sends clients to another origin, past the gateway' },
];

/** What the gateway adds to replies. */
export const ADDED_TO_REPLIES: Difference = { names: ['x-throughway-*'], because: 'every reply names its exchange' };

/** Added to a POST, PUT or PATCH that has no body and does not say so: user agents should say so (RFC 9110 8.6). */
export const IMPLIED_LENGTH: Header = ['Content-Length', '0'];

/** Added to requests for assistants and threads that say nothing of betas (surface C5). */
export const ASSISTANTS_BETA: Header = ['OpenAI-Beta', 'assistants=v2'];

/** What the upstream should see of request headers that a client sends through the gateway. */
export function expectedUpstream(
  sent: readonly Header[],
  gateway: { readonly credential: string; readonly upstreamAuthority: string; readonly isAssistants: boolean },
): Header[] {
  const expected: Header[] = keep(sent, DROPPED_FROM_REQUESTS);
  expected.push(['Authorization', `Bearer ${gateway.credential}`], ['Host', gateway.upstreamAuthority]);
  const asksBeta = expected.some(([name]) => name.toLowerCase() === 'openai-beta');
  if (gateway.isAssistants && !asksBeta) expected.push(ASSISTANTS_BETA);
  return expected;
}

/** What the client should see of reply headers that the upstream sends. */
export function expectedDownstream(sent: readonly Header[]): Header[] {
  return keep(sent, DROPPED_FROM_REPLIES);
}

/** Header lines by name, the lines of one name in their order: what must be equal. The case of names may change (C12). */
export function comparable(headers: readonly Header[], without: readonly Difference[] = [HOP_BY_HOP]): Header[] {
  return keep(headers, without)
    .map(([name, value]): Header => [name.toLowerCase(), value])
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** The reply headers that the gateway has not put there itself. */
export function withoutAdded(headers: readonly Header[]): Header[] {
  return keep(headers, [ADDED_TO_REPLIES]);
}

function keep(headers: readonly Header[], dropped: readonly Difference[]): Header[] {
  const named = headers
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((each) => each.trim().toLowerCase()));
  const names = [...dropped.flatMap((difference) => difference.names), ...(dropped.includes(HOP_BY_HOP) ? named : [])];
  return headers.filter(([name]) => !names.some((pattern) => matches(pattern, name.toLowerCase())));
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
