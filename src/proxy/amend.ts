// The one file that may change what a client sent: a header of the Assistants API, and the question for usage in streams that do
// not ask for it. usage-strip.ts takes out of the reply what that question put in. All other bytes pass untouched.
import type { Clock } from '../domain/clock.ts';
import type { Endpoint } from '../domain/endpoint.ts';
import type { Admission, Arrival } from '../domain/exchange.ts';
import type { Caller } from '../domain/key.ts';
import { type BodyPart, type FirstPartReach, SMALL_BODIES } from '../http/body.ts';
import { type ReplyHead, headerValue, headerValues } from '../http/headers.ts';
import type { RequestScan } from '../openai/request.ts';

const ASSISTANTS_PATH = /^\/v1\/(assistants|threads)(\/|$)/;

/** The Assistants API answers nobody without its beta header: added where the client sent none. */
export function amendHeaders(path: string, headers: string[]): void {
  if (!ASSISTANTS_PATH.test(path)) return;
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.toLowerCase() === 'openai-beta') return;
  headers.push('openai-beta', 'assistants=v2');
}

/** Larger bodies stream by unchanged, and their streams are estimated. Held only until the upstream begins to answer. */
const AMENDED_BODY_BYTES_MAX = 1024 * 1024;
const AMENDED_BODIES: FirstPartReach = {
  announcedBytesMax: AMENDED_BODY_BYTES_MAX,
  chunkedBytesMax: AMENDED_BODY_BYTES_MAX,
};

/** How much of a body must be here before it is known whether it will be amended. */
export function firstPartReach(arrival: Arrival, caller: Caller): FirstPartReach {
  return mayBeAmended(arrival, caller) ? AMENDED_BODIES : SMALL_BODIES;
}

function mayBeAmended({ endpoint, rawHeaders }: Arrival, { key }: Caller): boolean {
  return (
    key.streamUsage === 'inject' &&
    endpoint !== undefined &&
    reportsOnRequest(endpoint) &&
    headerValue(rawHeaders, 'content-type')?.toLowerCase().includes('json') === true
  );
}

/** Streams of unnamed chunks report usage where the request asks for it; all other streams do so by themselves. */
function reportsOnRequest({ streamUsage }: Endpoint): boolean {
  return streamUsage !== null && streamUsage.some(({ event }) => event === null);
}

/** Sums of the body, and a client that takes no reply but a compressed one. */
const DIGESTS = ['content-digest', 'digest', 'content-md5'];
const NO_IDENTITY = /(?:identity|\*)\s*;\s*q=0(?:\.0*)?\s*(?:,|$)/i;

/** The body that asks for usage; null where this one need not, or cannot, be changed. */
export function amendBody({ arrival, caller }: Admission, first: BodyPart, scan: RequestScan | null): Buffer | null {
  if (!first.isWhole || scan === null || !mayBeAmended(arrival, caller)) return null;
  const place = scan.usagePlace();
  if (place === null || DIGESTS.some((name) => headerValue(arrival.rawHeaders, name) !== null)) return null;
  if (NO_IDENTITY.test(headerValues(arrival.rawHeaders, 'accept-encoding').join(', '))) return null;
  const { bytes } = first;
  return Buffer.concat([
    bytes.subarray(0, place.at),
    Buffer.from(place.text, 'latin1'),
    bytes.subarray(place.at + place.removed),
  ]);
}

/** The headers of an amended body: its length, and a reply that can be read. */
export function headersOfAmended(headers: readonly string[], body: Buffer): string[] {
  const amended: string[] = [];
  let hasEncoding = false;
  for (let i = 0; i < headers.length; i += 2) {
    const lower = headers[i]!.toLowerCase();
    if (lower === 'accept-encoding') {
      if (!hasEncoding) amended.push(headers[i]!, 'identity');
      hasEncoding = true;
    } else amended.push(headers[i]!, lower === 'content-length' ? String(body.length) : headers[i + 1]!);
  }
  if (!hasEncoding) amended.push('accept-encoding', 'identity');
  return amended;
}

/** What was added is taken out again where the reply can be read: of a stream that is not compressed. */
export function isStrippable(status: number, { contentType, contentEncoding }: ReplyHead): boolean {
  const isPlain = contentEncoding === '' || contentEncoding === 'identity';
  return status < 300 && isPlain && contentType.toLowerCase().startsWith('text/event-stream');
}

/** A stripped reply is shorter than announced. */
export function headOfStripped(head: ReplyHead): ReplyHead {
  if (head.contentLength === null) return head;
  const headers = head.headers.filter((_, i) => head.headers[i - (i % 2)]!.toLowerCase() !== 'content-length');
  return { ...head, headers, contentLength: null };
}

const OBJECTION_BYTES_MAX = 16 * 1024;
const OBJECTION_MS = 60 * 60 * 1000;

/** Which origins do not know the question: compatible servers that turn down what they do not know. */
export class Objections {
  readonly #until = new Map<string, number>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Not for ever: a server is upgraded, or named the option for another reason. */
  note(origin: string): void {
    this.#until.set(origin, this.#clock.elapsedMs() + OBJECTION_MS);
  }

  has(origin: string): boolean {
    const until = this.#until.get(origin);
    return until !== undefined && this.#clock.elapsedMs() < until;
  }
}

/** The reply to an amended request says that the request is wrong. Its body is read before it is decided what was wrong. */
export class ObjectionVerdict {
  readonly chunks: Buffer[] = [];
  #bytes = 0;

  /** Whether more is needed to tell. */
  feed(chunk: Buffer): boolean {
    this.chunks.push(chunk);
    this.#bytes += chunk.length;
    return this.#bytes < OBJECTION_BYTES_MAX;
  }

  isObjection(): boolean {
    const text = Buffer.concat(this.chunks).toString('latin1');
    return text.includes('stream_options') || text.includes('include_usage');
  }
}

export function mayObject(status: number): boolean {
  return status === 400 || status === 422;
}
