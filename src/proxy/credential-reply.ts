// A 401, 403 or 429 from the upstream: is it about our credential? Then the client must not see it, and the credential rests.
import { Refusal } from '../domain/refusal.ts';

/** Enough for any error body; a longer one is not about a credential. */
const BODY_BYTES_MAX = 16 * 1024;
const RATE_LIMIT_REST_MS_MAX = 60_000;

/** Codes with which OpenAI says that a key, and not what it asked for, is the trouble. */
const CREDENTIAL_CODES = new Set([
  'invalid_api_key',
  'account_deactivated',
  'invalid_organization',
  'mismatched_organization',
  'mismatched_project',
  'invalid_project',
  'ip_not_authorized',
  'insufficient_permissions',
  'missing_scope',
]);
const CREDENTIAL_WORDS = /api key|missing scopes|insufficient permissions|IP address/i;

export interface CredentialVerdict {
  /** What was read so far, to be passed on if the reply turns out to be the client's. */
  readonly chunks: readonly Buffer[];
  feed(chunk: Buffer): 'undecided' | 'passes' | 'ours';
  /** Asked when the reply is complete. */
  isOurCredential(): boolean;
}

/** A 401 is always about the credential: the client never spoke to the upstream in its own name. A 403 may be about what was asked. */
export function judgeCredentialReply(status: 401 | 403): CredentialVerdict {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return {
    chunks,
    feed(chunk) {
      bytes += chunk.length;
      if (status === 401) return bytes > BODY_BYTES_MAX ? 'ours' : 'undecided';
      chunks.push(chunk);
      return bytes > BODY_BYTES_MAX ? 'passes' : 'undecided';
    },
    isOurCredential: () => status === 401 || speaksOfCredential(Buffer.concat(chunks)),
  };
}

function speaksOfCredential(body: Buffer): boolean {
  let error: { code?: unknown; message?: unknown } | undefined;
  try {
    error = (JSON.parse(body.toString('utf8')) as { error?: typeof error } | null)?.error;
  } catch {
    return false;
  }
  if (typeof error?.code === 'string' && CREDENTIAL_CODES.has(error.code)) return true;
  return typeof error?.message === 'string' && CREDENTIAL_WORDS.test(error.message);
}

/** @param retry whether another credential is awake, that a second try would meet */
export function credentialRefusal(name: string, upstreamStatus: number, retry: boolean): Refusal {
  return new Refusal(
    'upstream_credential',
    `The upstream refused the gateway's own credential "${name}" with ${upstreamStatus}. The operator must check it.`,
    { retry },
  );
}

/** Wall clock in ms: until when a credential that was turned away is passed over. */
export function restsUntil(status: number, retryAfterMs: number | null, nowMs: number, restMs: number): number {
  if (status === 429 && retryAfterMs !== null) return nowMs + Math.min(retryAfterMs, RATE_LIMIT_REST_MS_MAX);
  return nowMs + restMs;
}
