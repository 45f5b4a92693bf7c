// Our own no: each refusal is a row here. It is thrown before admission, caught in one place, and shown in OpenAI's error shape.

interface RefusalRow {
  readonly status: number;
  /** OpenAI's `error.type`. */
  readonly type: string;
  /** Whether an SDK should try the same request again: sent as `x-should-retry`. */
  readonly retry: boolean;
}

const ROWS = {
  bad_request: { status: 400, type: 'invalid_request_error', retry: false },
  invalid_target: { status: 400, type: 'invalid_request_error', retry: false },
  duplicate_authorization: { status: 400, type: 'invalid_request_error', retry: false },
  invalid_api_key: { status: 401, type: 'invalid_request_error', retry: false },
  address_not_allowed: { status: 403, type: 'invalid_request_error', retry: false },
  model_not_allowed: { status: 403, type: 'invalid_request_error', retry: false },
  endpoint_not_allowed: { status: 403, type: 'invalid_request_error', retry: false },
  model_not_priced: { status: 403, type: 'invalid_request_error', retry: false },
  origin_not_allowed: { status: 403, type: 'invalid_request_error', retry: false },
  role_not_allowed: { status: 403, type: 'invalid_request_error', retry: false },
  not_found: { status: 404, type: 'invalid_request_error', retry: false },
  method_not_allowed: { status: 405, type: 'invalid_request_error', retry: false },
  request_timeout: { status: 408, type: 'invalid_request_error', retry: true },
  conflict: { status: 409, type: 'invalid_request_error', retry: false },
  body_too_large: { status: 413, type: 'invalid_request_error', retry: false },
  target_too_long: { status: 414, type: 'invalid_request_error', retry: false },
  insufficient_quota: { status: 429, type: 'insufficient_quota', retry: false },
  upgrade_required: { status: 426, type: 'invalid_request_error', retry: false },
  headers_too_large: { status: 431, type: 'invalid_request_error', retry: false },
  rate_limit_exceeded: { status: 429, type: 'requests', retry: true },
  internal_error: { status: 500, type: 'server_error', retry: false },
  method_not_implemented: { status: 501, type: 'invalid_request_error', retry: false },
  upstream_unreachable: { status: 502, type: 'server_error', retry: true },
  upstream_credential: { status: 502, type: 'server_error', retry: true },
  overloaded: { status: 503, type: 'server_error', retry: true },
  upstream_timeout: { status: 504, type: 'server_error', retry: true },
} as const satisfies Record<string, RefusalRow>;

export type RefusalCode = keyof typeof ROWS;

export interface RefusalDetails {
  /** In place of the row's own: OpenAI tells limits apart by it. */
  readonly type?: 'requests' | 'tokens';
  /** OpenAI's `error.param`: which part of the request is meant. */
  readonly param?: string;
  /** When to come back, milliseconds: sent as `retry-after-ms` and, in whole seconds, as `retry-after`. */
  readonly retryAfterMs?: number;
  /** In place of the row's own word on whether to try again. */
  readonly retry?: boolean;
  /** Reply headers that belong to it: name, value, ... */
  readonly headers?: readonly string[];
  readonly cause?: unknown;
}

export class Refusal extends Error {
  readonly code: RefusalCode;
  readonly status: number;
  readonly type: string;
  readonly retry: boolean;
  readonly param: string | null;
  readonly retryAfterMs: number | null;
  readonly headers: readonly string[];

  /** @param message names the thing, the value (never a secret) and the way out. */
  constructor(code: RefusalCode, message: string, details: RefusalDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    const row: RefusalRow = ROWS[code];
    this.name = 'Refusal';
    this.code = code;
    this.status = row.status;
    this.type = details.type ?? row.type;
    this.retry = details.retry ?? row.retry;
    this.param = details.param ?? null;
    this.retryAfterMs = details.retryAfterMs ?? null;
    this.headers = details.headers ?? [];
  }
}

/** The body of a refusal, as OpenAI shapes its errors. */
export function refusalBody(refusal: Refusal): string {
  const { message, type, param, code } = refusal;
  return JSON.stringify({ error: { message, type, param, code } });
}
