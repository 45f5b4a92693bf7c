// The owner of header names: which pass, which stay, and which are ours. Headers travel as raw arrays: name, value, name, value.

export const EXCHANGE_ID_HEADER = 'x-throughway-exchange-id';
export const REFUSAL_HEADER = 'x-throughway-refusal';
export const OVERHEAD_HEADER = 'x-throughway-overhead-ms';
export const COST_HEADER = 'x-throughway-cost-usd';
/** Tags that a client gives a request, divided by commas. */
export const TAGS_HEADER = 'x-throughway-tags';
/** Fields of a request to the admin API in LiteLLM's names that do nothing here. */
export const UNSUPPORTED_HEADER = 'x-throughway-unsupported-fields';
/** What LiteLLM's clients send and read: only with `compatibility.litellm: on`. */
export const LITELLM_TAGS_HEADERS = ['x-litellm-tags', 'tags'] as const;
export const LITELLM_CALL_ID_HEADER = 'x-litellm-call-id';
export const LITELLM_COST_HEADER = 'x-litellm-response-cost';
export const LITELLM_SPEND_HEADER = 'x-litellm-key-spend';
export const LITELLM_MAX_BUDGET_HEADER = 'x-litellm-key-max-budget';

/** What OpenAI told of each request to the Assistants API, and SDKs still read. */
export const REQUEST_ID_HEADER = 'x-request-id';
export const VERSION_HEADER = 'openai-version';
export const PROCESSING_HEADER = 'openai-processing-ms';
/** When a client that polls a run should ask again, milliseconds. */
export const POLL_AFTER_HEADER = 'openai-poll-after-ms';
export const BETA_HEADER = 'openai-beta';
export const IDEMPOTENCY_KEY_HEADER = 'idempotency-key';
/** How often an SDK has tried this request before. */
export const RETRY_COUNT_HEADER = 'x-stainless-retry-count';
/** `true` where an SDK polls for its user. */
export const POLL_HELPER_HEADER = 'x-stainless-poll-helper';
/** The model that a run calls, where an alias stands behind the name that the user gave. */
export const UPSTREAM_MODEL_HEADER = 'x-throughway-upstream-model';

/** RFC 9110 7.6.1, and the ones that proxies have met in the wild. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** The client's credentials: replaced by ours. `host` is the upstream's own; `expect` is answered here. */
const REPLACED = ['authorization', 'x-api-key', 'api-key', 'host', 'expect'];

/** Where the client sits and what it told this host alone: none of the upstream's business. */
const HOP_DATA = ['cookie', 'forwarded', 'via', 'x-real-ip'];
const HOP_DATA_PREFIXES = ['x-forwarded-', 'cf-', 'x-throughway-'];

const ORGANIZATION = 'openai-organization';
const PROJECT = 'openai-project';

const DROPPED_FROM_REQUESTS = new Set([...HOP_BY_HOP, ...REPLACED, ...HOP_DATA]);
/** `set-cookie` and `alt-svc` speak for the upstream's origin, not for this one. */
const DROPPED_FROM_REPLIES = new Set([...HOP_BY_HOP, 'set-cookie', 'alt-svc']);
const LIMIT_PREFIX = 'x-ratelimit-';

/** What a credential adds to each request that it opens. */
export interface CredentialHeaders {
  /** The value of `authorization`. */
  readonly authorization: string;
  readonly organization: string | null;
  readonly project: string | null;
}

/** The headers that go upstream: end-to-end ones in their order with their duplicates, and the credential's own. */
export function upstreamHeaders(raw: readonly string[], credential: CredentialHeaders): string[] {
  const named = namedByConnection(raw);
  const headers: string[] = ['authorization', credential.authorization];
  if (credential.organization !== null) headers.push(ORGANIZATION, credential.organization);
  if (credential.project !== null) headers.push(PROJECT, credential.project);
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const role = REQUEST_NAMES.get(name) ?? remember(REQUEST_NAMES, name, requestRole(name.toLowerCase()));
    if (role === 'stays') continue;
    if (named !== null && named.has(name.toLowerCase())) continue;
    if (role === 'organization' && credential.organization !== null) continue;
    if (role === 'project' && credential.project !== null) continue;
    headers.push(name, raw[i + 1]!);
  }
  return headers;
}

/** Clients and upstreams send the same few names again and again: what is to be done with each is found out once. */
const NAMES_MAX = 1000;
const NAME_LENGTH_MAX = 64;

function remember<Role>(names: Map<string, Role>, name: string, role: Role): Role {
  if (names.size < NAMES_MAX && name.length <= NAME_LENGTH_MAX) names.set(name, role);
  return role;
}

type RequestRole = 'passes' | 'stays' | 'organization' | 'project';
/** By name, as it was spelt. */
const REQUEST_NAMES = new Map<string, RequestRole>();

function requestRole(lower: string): RequestRole {
  if (staysHere(lower)) return 'stays';
  if (lower === ORGANIZATION) return 'organization';
  return lower === PROJECT ? 'project' : 'passes';
}

function staysHere(lower: string): boolean {
  if (DROPPED_FROM_REQUESTS.has(lower) || hasPrefix(lower)) return true;
  if (!lower.includes('_')) return false;
  // Some servers read `content_length` as `content-length`: a look-alike of a header that counts does not pass.
  const dashed = lower.replaceAll('_', '-');
  return (
    DROPPED_FROM_REQUESTS.has(dashed) || hasPrefix(dashed) || dashed === 'content-length' || dashed === 'content-type'
  );
}

function hasPrefix(lower: string): boolean {
  // 'c' or 'x': two of three names are told apart by their first letter alone.
  const first = lower.charCodeAt(0);
  return (first === 0x78 || first === 0x63) && HOP_DATA_PREFIXES.some((prefix) => lower.startsWith(prefix));
}

/** `Connection: close, X-Local` makes X-Local hop-by-hop too. Framing and content stay, whatever it names. */
function namedByConnection(raw: readonly string[]): ReadonlySet<string> | null {
  let named: Set<string> | null = null;
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.length !== 10 || raw[i]!.toLowerCase() !== 'connection') continue;
    for (const item of raw[i + 1]!.split(',')) {
      const name = item.trim().toLowerCase();
      if (name === 'keep-alive' || name === 'close' || name === '') continue;
      if (name === 'content-length' || name === 'content-type') continue;
      (named ??= new Set()).add(name);
    }
  }
  return named;
}

/** The `Sec-WebSocket-*` headers are of one hop, and made anew for the next; a handshake has no body in either direction. */
export function withoutHandshake(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const lower = headers[i]!.toLowerCase();
    if (!lower.startsWith('sec-websocket-') && lower !== 'content-length') kept.push(headers[i]!, headers[i + 1]!);
  }
  return kept;
}

export interface ReplyHead {
  /** What goes downstream. */
  readonly headers: string[];
  /** Bytes that the upstream announced; null where it announced none. */
  readonly contentLength: number | null;
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly requestId: string | null;
  readonly retryAfterMs: number | null;
}

/** @param raw name, value, name, value; latin1 */
export function downstreamHead(raw: readonly string[], own: readonly string[], identity: 'pass' | 'hide'): ReplyHead {
  const headers: string[] = [];
  let contentLength: number | null = null;
  let contentType = '';
  let contentEncoding = '';
  let requestId: string | null = null;
  let retryAfterMs: number | null = null;
  let named: Set<string> | null = null;
  // Where the operator names origins, which alone makes our replies differ, the upstream's CORS headers would contradict ours.
  const speaksCors = own.includes('vary');
  // A caller with limits of its own is told of those, and not of the account's.
  const tellsLimits = own.some((text) => text.startsWith(LIMIT_PREFIX));
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    switch (REPLY_NAMES.get(name) ?? remember(REPLY_NAMES, name, replyRole(name.toLowerCase()))) {
      case 'passes':
        break;
      case 'content-length':
        contentLength = Number(value);
        break;
      case 'content-type':
        contentType = value;
        break;
      case 'content-encoding':
        contentEncoding = value.toLowerCase();
        break;
      case 'x-request-id':
        requestId = value;
        break;
      case 'retry-after-ms':
        retryAfterMs = wholeMs(value, 1);
        break;
      case 'retry-after':
        retryAfterMs ??= wholeMs(value, 1000);
        break;
      case 'connection':
        for (const item of value.split(',')) (named ??= new Set()).add(item.trim().toLowerCase());
        continue;
      case 'stays':
        continue;
      case 'limit':
        if (tellsLimits || identity === 'hide') continue;
        break;
      case 'identity':
        if (identity === 'hide') continue;
        break;
      case 'cors':
        if (speaksCors) continue;
    }
    headers.push(name, value);
  }
  const kept = named === null ? headers : withoutNamed(headers, named);
  for (const text of own) kept.push(text);
  return { headers: kept, contentLength, contentType, contentEncoding, requestId, retryAfterMs };
}

const READ_FROM_REPLIES = [
  'content-length',
  'content-type',
  'content-encoding',
  'x-request-id',
  'retry-after-ms',
  'retry-after',
  'connection',
] as const;
type ReplyRole = (typeof READ_FROM_REPLIES)[number] | 'passes' | 'stays' | 'limit' | 'identity' | 'cors';
/** By name, as it was spelt. */
const REPLY_NAMES = new Map<string, ReplyRole>();

function replyRole(lower: string): ReplyRole {
  const read = READ_FROM_REPLIES.find((name) => name === lower);
  if (read !== undefined) return read;
  if (DROPPED_FROM_REPLIES.has(lower)) return 'stays';
  if (lower.startsWith('x-throughway-') && lower !== 'x-throughway-sandbox') return 'stays';
  if (lower.startsWith(LIMIT_PREFIX)) return 'limit';
  if (lower === ORGANIZATION || lower === PROJECT) return 'identity';
  return lower.startsWith('access-control-') ? 'cors' : 'passes';
}

function withoutNamed(headers: readonly string[], named: ReadonlySet<string>): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const lower = headers[i]!.toLowerCase();
    if (named.has(lower) && lower !== 'content-length' && lower !== 'content-type') continue;
    kept.push(headers[i]!, headers[i + 1]!);
  }
  return kept;
}

function wholeMs(value: string, unitMs: number): number | null {
  const number = Number(value);
  return Number.isFinite(number) && number >= 0 ? Math.ceil(number * unitMs) : null;
}

/** The values of one header, in order; names are compared without case. */
export function headerValues(raw: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.length === name.length && raw[i]!.toLowerCase() === name) values.push(raw[i + 1]!);
  }
  return values;
}

/** The first value of a header, or null where it is absent. */
export function headerValue(raw: readonly string[], name: string): string | null {
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.length === name.length && raw[i]!.toLowerCase() === name) return raw[i + 1]!;
  }
  return null;
}
