// What can be told of a request by looking at a copy of its bytes as they go by. Nothing is parsed in order to forward.
import type { RequestFacts } from '../domain/facts.ts';
import { FormScan } from './request-form.ts';
import { JsonScan } from './request-json.ts';
import { Members } from './request-members.ts';
import type { RequestScan, RequestScanOptions } from './request-scan.ts';
import { WorkScan } from './request-work.ts';

export type { RequestScan } from './request-scan.ts';

const NO_OPTIONS: RequestScanOptions = { announcedBytes: null, countsInput: false };
/** Describes a call and has no members: its model stands in the query. */
const SESSION_DESCRIPTION = 'application/sdp';
/** RFC 2046 allows 70. */
const BOUNDARY_BYTES_MAX = 256;
const BOUNDARY = /;\s*boundary=(?:"([^"]+)"|([^\s;"]+))\s*(?:;|$)/i;

/** @param contentType empty where the request names none: its body is then read as JSON, as some servers do */
export function scanRequest(
  contentType: string,
  contentEncoding: string,
  options: RequestScanOptions = NO_OPTIONS,
): RequestScan {
  if (contentEncoding !== '' && contentEncoding.toLowerCase() !== 'identity') return new UnreadScan(options, false);
  const type = contentType.toLowerCase();
  if (type.startsWith('multipart/form-data')) {
    const found = BOUNDARY.exec(contentType);
    const boundary = found?.[1] ?? found?.[2] ?? '';
    if (boundary === '' || boundary.length > BOUNDARY_BYTES_MAX) return new UnreadScan(options, false);
    return new FormScan(boundary, options);
  }
  if (type !== '' && !type.includes('json')) return new UnreadScan(options, type === SESSION_DESCRIPTION);
  const scan = new JsonScan(options);
  return options.startsWork === true ? new WorkScan(scan) : scan;
}

/** Of a request without a body: nothing stands in it, for certain. */
export const NO_BODY_FACTS: RequestFacts = new Members().facts({
  isWhole: true,
  isReadable: true,
  hasDuplicates: false,
  bodyBytes: 0,
});

/** A body of a form that is not read: its bytes are counted. */
class UnreadScan implements RequestScan {
  readonly model = null;
  readonly #announcedBytes: number | null;
  readonly #isReadable: boolean;
  #bytes = 0;
  #isWhole = false;

  /** @param isReadable nothing that decides could stand in it */
  constructor({ announcedBytes }: RequestScanOptions, isReadable: boolean) {
    this.#announcedBytes = announcedBytes;
    this.#isReadable = isReadable;
  }

  feed(chunk: Buffer): void {
    this.#bytes += chunk.length;
  }

  end(): void {
    this.#isWhole = true;
  }

  facts(): RequestFacts {
    const bodyBytes = this.#announcedBytes ?? this.#bytes;
    return { ...NO_BODY_FACTS, isWhole: this.#isWhole, isReadable: this.#isReadable, bodyBytes };
  }

  usagePlace(): null {
    return null;
  }
}
