// Reads of the upstream account, page by page, with its admin key and with no other: what it bills, and what it counted.
import type { Clock } from '../domain/clock.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import type { Attempt } from '../domain/exchange.ts';
import { recordOfRead } from '../domain/read-record.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Written } from '../domain/stores.ts';
import { downstreamHead, upstreamHeaders } from '../http/headers.ts';
import { findEndpoint } from '../openai/endpoints.ts';
import type { PooledCredential, Sending, Upstream } from '../upstream/upstream.ts';

export interface OrganizationReadParts {
  readonly upstream: Upstream;
  readonly writeRecord: (record: ExchangeRecord, written: Written) => void;
  readonly clock: Clock;
}

export interface Bucket {
  /** Where it begins, milliseconds since 1970: a day, unless hours were asked for. */
  readonly day: number;
  readonly results: readonly Readonly<Record<string, unknown>>[];
}

export interface OrganizationReads {
  /** Days in [from, to), milliseconds since 1970. @throws Refusal that names no secret */
  days(path: string, groupBy: readonly string[], from: number, to: number): Promise<readonly Bucket[]>;
  /** The same by hours. */
  hours(path: string, groupBy: readonly string[], from: number, to: number): Promise<readonly Bucket[]>;
  /** Ends what still runs. */
  close(): void;
}

const IDLE_MS = 60_000;
const BODY_BYTES_MAX = 64 * 1024 * 1024;
const PAGES_MAX = 1000;
/** The most days that each of those endpoints gives at once. */
const PAGE_DAYS = '31';
const PAGE_HOURS = '24';

export function openOrganizationReads(parts: OrganizationReadParts, credential: PooledCredential): OrganizationReads {
  const { upstream, writeRecord, clock } = parts;
  const running = new Set<() => void>();

  function read(path: string, query: URLSearchParams): Promise<unknown> {
    const at = clock.now();
    const attempt: Attempt = {
      origin: upstream.origin,
      credential: credential.name,
      startedMs: clock.elapsedMs(),
      connectedMs: null,
      firstByteMs: null,
      endedMs: null,
      status: null,
      error: null,
    };
    return new Promise((resolve, reject) => {
      let sending: Sending | null = null;
      let status: number | null = null;
      let bytes = 0;
      let isOver = false;
      const chunks: Buffer[] = [];
      const stop = (failure: string) => {
        sending?.abort();
        end(failure);
      };
      const cut = () => stop('gateway_closed');
      const idle = setTimeout(stop, IDLE_MS, 'timed_out');
      running.add(cut);

      function end(failure: string | null): void {
        if (isOver) return;
        isOver = true;
        clearTimeout(idle);
        running.delete(cut);
        const endpoint = findEndpoint('GET', path)?.path ?? null;
        const failureMessage = 'What the upstream bills was not read.';
        const endedMs = clock.elapsedMs();
        const told = { parentId: null, path, endpoint, attempt, at, endedMs, status, bytes, failure, failureMessage };
        writeRecord(recordOfRead(told), () => {});
        try {
          if (failure !== null || status !== 200) throw refusalOf(path, status, failure);
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
        } catch (error) {
          reject(error instanceof Refusal ? error : unreadable(path));
        }
      }

      const headers = upstreamHeaders(['accept', 'application/json', 'accept-encoding', 'identity'], credential);
      sending = upstream.send({ method: 'GET', target: `${path}?${query.toString()}`, headers, body: null }, attempt, {
        onHead(told, _reason, rawHeaders) {
          idle.refresh();
          status = told;
          const { contentEncoding } = downstreamHead(rawHeaders, [], 'pass');
          const isPlain = contentEncoding === '' || contentEncoding === 'identity';
          if (told === 200 && !isPlain) stop('unreadable');
        },
        onData(chunk) {
          idle.refresh();
          bytes += chunk.length;
          // Of an error nothing is read: it may quote the key.
          if (status === 200) chunks.push(chunk);
          if (bytes > BODY_BYTES_MAX) stop('too_large');
          return bytes <= BODY_BYTES_MAX;
        },
        onEnd: () => end(null),
        onFailure: ({ code }) => end(code),
      });
    });
  }

  type Read = OrganizationReads['days'];
  const bucketsOf =
    (width: { readonly bucket_width: string; readonly limit: string }): Read =>
    async (path, groupBy, from, to) => {
      const buckets: Bucket[] = [];
      let page: string | null = null;
      for (let pages = 0; pages < PAGES_MAX; pages++) {
        const query = new URLSearchParams({
          start_time: String(Math.floor(from / 1000)),
          end_time: String(Math.floor(to / 1000)),
          ...width,
        });
        for (const group of groupBy) query.append('group_by', group);
        if (page !== null) query.set('page', page);
        const answer = pageOf(await read(path, query), path);
        buckets.push(...answer.buckets);
        page = answer.next;
        if (page === null) return buckets;
      }
      throw unreadable(path);
    };

  return {
    days: bucketsOf({ bucket_width: '1d', limit: PAGE_DAYS }),
    hours: bucketsOf({ bucket_width: '1h', limit: PAGE_HOURS }),
    close() {
      for (const cut of running) cut();
    },
  };
}

function pageOf(answer: unknown, path: string): { readonly buckets: readonly Bucket[]; readonly next: string | null } {
  // Looked at member by member: nothing is believed of what another host said.
  const { data, has_more, next_page } = (answer ?? {}) as Record<string, unknown>;
  if (!Array.isArray(data)) throw unreadable(path);
  const buckets = data.map((each: unknown): Bucket => {
    const { start_time, results } = (each ?? {}) as Record<string, unknown>;
    if (typeof start_time !== 'number' || !Array.isArray(results)) throw unreadable(path);
    const rows = results.filter((row) => typeof row === 'object' && row !== null) as Record<string, unknown>[];
    return { day: start_time * 1000, results: rows };
  });
  return { buckets, next: has_more === true && typeof next_page === 'string' ? next_page : null };
}

function unreadable(path: string): Refusal {
  return new Refusal('upstream_unreachable', `What the upstream answered at ${path} is not what OpenAI documents.`);
}

function refusalOf(path: string, status: number | null, failure: string | null): Refusal {
  if (status === 401 || status === 403) {
    const message = `The upstream turned the admin key away at ${path} (status ${status}); check reconciliation.adminKey and that key's permissions.`;
    return new Refusal('upstream_credential', message);
  }
  const why = failure ?? `status ${status}`;
  return new Refusal('upstream_unreachable', `The upstream did not answer at ${path} (${why}); try again later.`);
}
