// What becomes of a run when its model call fails: rows of "when the upstream says this, do that". Pure.
import type { RefusalCode } from '../domain/refusal.ts';
import type { RunError } from '../domain/run.ts';
import { objectIn, parseObject, stringIn } from './upstream-json.ts';

/** What may be changed about a request, so that the upstream may take it after all. Each is tried once a turn, less context thrice. */
export type Remedy = 'less_context' | 'without_sampling' | 'without_reasoning' | 'new_container' | 'old_limit' | 'chat';

export type Verdict =
  | { readonly do: 'fail'; readonly error: RunError }
  /** Worth asking again later. @param afterMs as the upstream says; null where it says nothing */
  | { readonly do: 'wait'; readonly afterMs: number | null; readonly error: RunError }
  | { readonly do: 'change'; readonly remedy: Remedy; readonly error: RunError };

/** An upstream's no, as far as it says what is wrong. */
export interface Failure {
  readonly status: number;
  readonly code: string;
  readonly param: string;
  readonly message: string;
  readonly retryAfterMs: number | null;
}

interface Row {
  readonly status: readonly [from: number, to: number];
  readonly when?: (failure: Failure) => boolean;
  readonly do: 'fail' | 'wait' | Remedy;
  readonly code: RunError['code'];
  /** In place of the upstream's own words, which may say too much. */
  readonly message?: (failure: Failure) => string;
}

const CONTAINER_GONE = /container\b.*\b(expired|not found|does not exist|no longer)|no such container/i;
const TOO_LONG = /context[ _](length|window)|maximum (context|prompt) length|too many tokens/i;
const REASONING_UNKNOWN = /encrypted[ _]content|of type 'reasoning'|reasoning item|\brs_/i;
const SAMPLING = /^(temperature|top_p)$/;
const SAMPLING_NAMED = /'(temperature|top_p)'/;

/** The first row that fits decides. */
const ROWS: readonly Row[] = [
  {
    status: [401, 401],
    do: 'fail',
    code: 'server_error',
    message: () => "The upstream refused the gateway's own credential. The operator must check it.",
  },
  {
    status: [403, 403],
    do: 'fail',
    code: 'server_error',
    message: () => "The upstream does not allow this to the gateway's own credential. The operator must check it.",
  },
  {
    status: [429, 429],
    when: ({ code }) => code === 'insufficient_quota' || code === 'billing_hard_limit_reached',
    do: 'fail',
    code: 'rate_limit_exceeded',
  },
  { status: [429, 429], do: 'wait', code: 'rate_limit_exceeded' },
  {
    status: [400, 404],
    when: ({ message }) => CONTAINER_GONE.test(message),
    do: 'new_container',
    code: 'server_error',
  },
  { status: [404, 405], when: hasNoSuchPath, do: 'chat', code: 'server_error' },
  { status: [501, 501], do: 'chat', code: 'server_error' },
  { status: [408, 409], do: 'wait', code: 'server_error' },
  { status: [500, 599], do: 'wait', code: 'server_error' },
  {
    status: [400, 499],
    when: ({ code, message }) => code === 'context_length_exceeded' || TOO_LONG.test(message),
    do: 'less_context',
    code: 'invalid_prompt',
  },
  {
    status: [400, 499],
    when: ({ code, param, message }) =>
      isUnsupported(code, message) && (SAMPLING.test(param) || SAMPLING_NAMED.test(message)),
    do: 'without_sampling',
    code: 'invalid_prompt',
  },
  {
    status: [400, 499],
    when: ({ message }) => message.includes('max_completion_tokens'),
    do: 'old_limit',
    code: 'invalid_prompt',
  },
  {
    status: [400, 499],
    when: ({ message }) => REASONING_UNKNOWN.test(message),
    do: 'without_reasoning',
    code: 'invalid_prompt',
  },
  { status: [400, 499], do: 'fail', code: 'invalid_prompt' },
];

function isUnsupported(code: string, message: string): boolean {
  return code === 'unsupported_parameter' || code === 'unsupported_value' || /unsupported|not supported/i.test(message);
}

/** Is it the path that is unknown there, and not the model, or what the request names? */
function hasNoSuchPath({ code, message }: Failure): boolean {
  return code !== 'model_not_found' && !/\b(model|vector store|file|container)\b/i.test(message);
}

export function judge(failure: Failure): Verdict {
  const { status, message, retryAfterMs } = failure;
  const row = ROWS.find(
    ({ status: [from, to], when }) => status >= from && status <= to && (when === undefined || when(failure)),
  );
  const words = row?.message?.(failure) ?? (message === '' ? `The upstream answered ${status}.` : message);
  const error: RunError = { code: row?.code ?? 'server_error', message: words };
  if (row === undefined || row.do === 'fail') return { do: 'fail', error };
  if (row.do === 'wait') return { do: 'wait', afterMs: retryAfterMs, error };
  return { do: 'change', remedy: row.do, error };
}

/** The upstream could not be reached, or left before it said anything. */
export function judgeUnreachable(code: string): Verdict {
  return {
    do: 'wait',
    afterMs: null,
    error: { code: 'server_error', message: `The upstream could not be reached (${code}).` },
  };
}

/** Codes with which a response fails that was under way, when the request was to blame. Runs have no code that is closer. */
const BLAMES_PROMPT = /image|^(data_residency_mismatch|bio_policy|content_policy_violation)$/;

/** A response that ended as `failed`, or with an `error` event. */
export function judgeResponse({ code, message }: { readonly code: string; readonly message: string }): Verdict {
  if (code === 'context_length_exceeded')
    return { do: 'change', remedy: 'less_context', error: { code: 'invalid_prompt', message } };
  if (code === 'server_error' || code === 'rate_limit_exceeded' || code === 'invalid_prompt') {
    return { do: 'fail', error: { code, message } };
  }
  return { do: 'fail', error: { code: BLAMES_PROMPT.test(code) ? 'invalid_prompt' : 'server_error', message } };
}

/** Our own no. What was allowed when the run began and is no more is no matter of rates. */
const NOT_ALLOWED = new Set<RefusalCode>([
  'invalid_api_key',
  'endpoint_not_allowed',
  'model_not_allowed',
  'internal_error',
  'not_found',
]);

export function judgeRefusal({ code, message }: { readonly code: RefusalCode; readonly message: string }): Verdict {
  return { do: 'fail', error: { code: NOT_ALLOWED.has(code) ? 'server_error' : 'rate_limit_exceeded', message } };
}

/** Longest error message that a run shows, characters. */
const MESSAGE_CHARACTERS_MAX = 2_000;

export function readFailure(status: number, headers: ReadonlyMap<string, string>, body: string): Failure {
  const json = parseObject(body);
  const error = objectIn(json, 'error');
  // Servers that are not OpenAI's say it in one of these.
  const message =
    stringIn(error, 'message') ??
    stringIn(json, 'message') ??
    stringIn(json, 'detail') ??
    stringIn(json, 'error') ??
    '';
  return {
    status,
    code: stringIn(error, 'code') ?? '',
    param: stringIn(error, 'param') ?? '',
    message: message.slice(0, MESSAGE_CHARACTERS_MAX),
    retryAfterMs: retryAfterMs(headers),
  };
}

function retryAfterMs(headers: ReadonlyMap<string, string>): number | null {
  const ms = wholeMs(headers.get('retry-after-ms'), 1);
  return ms ?? wholeMs(headers.get('retry-after'), 1000);
}

function wholeMs(value: string | undefined, unitMs: number): number | null {
  const number = value === undefined || value.trim() === '' ? Number.NaN : Number(value);
  return Number.isFinite(number) && number >= 0 ? Math.ceil(number * unitMs) : null;
}
