// Requests that come twice are answered once (reference: assistants 6.8): those that bear a key, and those that an SDK sends
// again because the first answer never reached it.
import { createHash } from 'node:crypto';

import type { AssistantStore, IdempotencyEntry } from '../domain/assistant-store.ts';
import type { TeamId } from '../domain/id.ts';
import * as errors from './api-error.ts';

/** How long after the first one a request counts as its repetition. */
const RETRY_MS = 60_000;
/** Answers larger than this are not kept. */
const REPLY_CHARACTERS_MAX = 1024 * 1024;

/** An answer in one piece, as it goes out. */
export interface Given {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
}

export interface OncePerRequest {
  /**
   * @param answer does the work; an error that it throws, and null, is not kept, and the request may be made again
   * @returns the answer, made now or earlier
   */
  answer(request: RepeatableRequest, answer: () => Promise<Given | null>): Promise<Given | null>;
  /** The answer did not reach its client, who may ask again. */
  undelivered(request: RepeatableRequest, given: Given): Promise<void>;
}

export interface RepeatableRequest {
  readonly teamId: TeamId;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly body: Buffer;
  /** The client's own key for this request. */
  readonly key: string | null;
  /** How often the SDK sent it before. */
  readonly retries: number;
}

export function oncePerRequest(store: AssistantStore): OncePerRequest {
  /** Requests being answered here, by what they ask: a client that gave up waiting may send its request again meanwhile. */
  const running = new Map<string, Promise<Given | null>>();

  async function withKey(
    request: RepeatableRequest,
    key: string,
    answer: () => Promise<Given | null>,
  ): Promise<Given | null> {
    const entry = entryOf(request, `key:${key}`);
    const reserved = await store.reserveIdempotency(entry);
    if (reserved.kind === 'other') throw errors.otherUnderKey();
    if (reserved.kind === 'same') {
      if (reserved.reply === null) throw errors.stillAnswering();
      return JSON.parse(reserved.reply) as Given;
    }
    try {
      const given = await answer();
      await store.settleIdempotency(entry, given && kept(given));
      return given;
    } catch (error) {
      await store.settleIdempotency(entry, null);
      throw error;
    }
  }

  async function again(request: RepeatableRequest): Promise<Given | null> {
    const entry = entryOf(request, `lost:${hashOf(request)}`);
    const reserved = await store.reserveIdempotency(entry);
    await store.settleIdempotency(entry, null);
    if (reserved.kind !== 'same' || reserved.reply === null || store.now() - reserved.reservedMs > RETRY_MS)
      return null;
    return JSON.parse(reserved.reply) as Given;
  }

  return {
    async answer(request, answer) {
      if (request.key !== null) return withKey(request, request.key, answer);
      const name = `${request.teamId} ${hashOf(request)}`;
      if (request.retries > 0) {
        const earlier = (await running.get(name)) ?? (await again(request));
        if (earlier) return earlier;
      }
      const made = answer();
      running.set(name, made);
      try {
        return await made;
      } finally {
        if (running.get(name) === made) running.delete(name);
      }
    },
    async undelivered(request, given) {
      if (request.key !== null) return;
      const reply = kept(given);
      if (reply === null) return;
      const entry = entryOf(request, `lost:${hashOf(request)}`);
      await store.reserveIdempotency(entry);
      await store.settleIdempotency(entry, reply);
    },
  };
}

function kept(given: Given): string | null {
  return given.status < 300 && given.body.length <= REPLY_CHARACTERS_MAX ? JSON.stringify(given) : null;
}

function entryOf(request: RepeatableRequest, key: string): IdempotencyEntry {
  return {
    teamId: request.teamId,
    key,
    route: `${request.method} ${request.path}?${request.query}`,
    bodyHash: hashOf(request),
  };
}

function hashOf({ method, path, query, body }: RepeatableRequest): string {
  return createHash('sha256').update(`${method} ${path}?${query}\n`).update(body).digest('hex');
}
