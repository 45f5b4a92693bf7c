// Calls that the desk makes beside runs, on a caller's behalf: vector stores and files. Each is an exchange of its own.
import type { Generate, GenerateReply } from '../domain/generate.ts';
import type { Caller } from '../domain/key.ts';
import { ApiError, asApiError } from './api-error.ts';

/** Longest reply that is read, bytes. */
const REPLY_BYTES_MAX = 4 * 1024 * 1024;

export interface UpstreamCalls {
  /** The reply's JSON. @throws ApiError where the upstream, or this gateway, says no */
  call(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<Record<string, unknown>>;
}

export function upstreamCalls(generate: Generate, { team, key }: Caller, signal: AbortSignal): UpstreamCalls {
  return {
    async call(method, path, body) {
      const reply = await generate({
        teamId: team.id,
        keyId: key.id,
        run: null,
        method,
        path,
        headers: body === undefined ? [] : ['content-type', 'application/json'],
        body: body === undefined ? null : Buffer.from(JSON.stringify(body)),
        signal,
      });
      return readReply(reply);
    },
  };
}

async function readReply(reply: GenerateReply): Promise<Record<string, unknown>> {
  if (reply.kind === 'refused') throw asApiError(reply.refusal);
  if (reply.kind === 'unreachable') throw upstreamFailed(`${reply.code}: ${reply.message}`);
  const json = parse(await readText(reply.body));
  if (reply.status >= 200 && reply.status < 300 && json !== null) return json;
  // The upstream's own no tells the caller best; what it says of the gateway's credential is none of his business.
  const error = json?.['error'] as { message?: string; type?: string; param?: string; code?: string } | undefined;
  if (error?.message === undefined || reply.status === 401 || reply.status === 403)
    throw upstreamFailed(`status ${reply.status}`);
  const { message, type = 'invalid_request_error', param = null, code = null } = error;
  throw new ApiError(reply.status, message, { type, param, code });
}

function upstreamFailed(why: string): ApiError {
  return new ApiError(502, `The upstream did not do what this request needs of it (${why}).`, {
    type: 'server_error',
    code: 'upstream_failed',
  });
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of body) {
      bytes += part.length;
      if (bytes > REPLY_BYTES_MAX) throw new Error(`the reply is larger than ${REPLY_BYTES_MAX} bytes`);
      parts.push(part);
    }
  } catch (error) {
    throw upstreamFailed(error instanceof Error ? error.message : String(error));
  }
  return Buffer.concat(parts).toString('utf8');
}

function parse(text: string): Record<string, unknown> | null {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
