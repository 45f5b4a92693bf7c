// Reads of the gateway itself: how work stands, and what it put out. With the credential that started the work, for another one may
// not see it. Each read leaves a record, which belongs to no team and costs nothing.
import type { Clock } from '../domain/clock.ts';
import type { Endpoint } from '../domain/endpoint.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import type { Attempt } from '../domain/exchange.ts';
import type { PendingWork } from '../domain/pending-work.ts';
import { recordOfRead } from '../domain/read-record.ts';
import type { Written } from '../domain/stores.ts';
import { downstreamHead, upstreamHeaders } from '../http/headers.ts';
import { findEndpoint } from '../openai/endpoints.ts';
import type { Sending, Upstream } from '../upstream/upstream.ts';

export interface ReadParts {
  readonly upstream: Upstream;
  readonly writeRecord: (record: ExchangeRecord, written: Written) => void;
  readonly clock: Clock;
  /** Without a byte. */
  readonly idleMs: number;
}

export interface ReadHead {
  readonly contentType: string;
  readonly endpoint: Endpoint | undefined;
}

/** Where the bytes of a reply with status 200 go. */
export type Take = (head: ReadHead) => (chunk: Buffer) => void;

/** Another status than 200, or a short code of what went wrong. */
export type ReadResult = { readonly status: number } | { readonly failure: string };

export type ReadUpstream = (work: PendingWork, path: string, take: Take) => Promise<ReadResult>;

export interface UpstreamReads {
  readonly read: ReadUpstream;
  /** Ends what still runs. */
  close(): void;
}

export function openUpstreamReads(parts: ReadParts): UpstreamReads {
  const { upstream, writeRecord, clock, idleMs } = parts;
  const running = new Set<() => void>();

  function read(work: PendingWork, path: string, take: Take): Promise<ReadResult> {
    const pool = upstream.credentials;
    const credential = (work.credential === null ? null : pool.named(work.credential)) ?? pool.choose();
    const at = clock.now();
    const startedMs = clock.elapsedMs();
    const endpoint = findEndpoint('GET', path);
    const attempt: Attempt = {
      origin: upstream.origin,
      credential: credential.name,
      startedMs,
      connectedMs: null,
      firstByteMs: null,
      endedMs: null,
      status: null,
      error: null,
    };
    return new Promise((resolve) => {
      let sending: Sending | null = null;
      let status: number | null = null;
      let feed: (chunk: Buffer) => void = () => {};
      let bytes = 0;
      let isOver = false;
      const stop = (failure: string) => {
        sending?.abort();
        end({ failure });
      };
      const cut = () => stop('gateway_closed');
      const idle = setTimeout(stop, idleMs, 'timed_out');
      running.add(cut);

      function end(result: ReadResult): void {
        if (isOver) return;
        isOver = true;
        clearTimeout(idle);
        running.delete(cut);
        const failure = 'failure' in result ? result.failure : null;
        const record = recordOfRead({
          // Whoever reads records may see what came of it.
          parentId: work.exchangeId,
          path,
          endpoint: endpoint?.path ?? null,
          attempt,
          at,
          endedMs: clock.elapsedMs(),
          status,
          bytes,
          failure,
          failureMessage: 'How work stands was not read.',
        });
        writeRecord(record, () => {});
        resolve(result);
      }

      /** What cannot be made sense of is no reason to take a part for the whole. */
      function guarded(step: () => void): boolean {
        try {
          step();
          return true;
        } catch {
          stop('unreadable');
          return false;
        }
      }

      const headers = upstreamHeaders(['accept', '*/*', 'accept-encoding', 'identity'], credential);
      sending = upstream.send({ method: 'GET', target: path, headers, body: null }, attempt, {
        onHead(told, _reason, rawHeaders) {
          idle.refresh();
          status = told;
          const { contentType, contentEncoding } = downstreamHead(rawHeaders, [], 'pass');
          const isPlain = contentEncoding === '' || contentEncoding === 'identity';
          if (told !== 200) return;
          if (!isPlain) {
            stop('unreadable');
            return;
          }
          guarded(() => (feed = take({ contentType, endpoint })));
        },
        onData(chunk) {
          idle.refresh();
          bytes += chunk.length;
          return guarded(() => feed(chunk));
        },
        onEnd: () => end(status === null ? { failure: 'no_reply' } : { status }),
        onFailure: ({ code }) => end({ failure: code }),
      });
    });
  }

  return {
    read,
    close() {
      for (const cut of running) cut();
    },
  };
}
