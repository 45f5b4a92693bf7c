// What a look at a request's body tells, whatever form the body has.
import type { RequestFacts } from '../domain/facts.ts';

export interface RequestScan {
  /** Looks at the next chunk, which it does not keep. */
  feed(chunk: Buffer): void;
  /** The body is over: what was not seen is not there. */
  end(): void;
  /** As the request names it; null while, or if, none was seen. */
  readonly model: string | null;
  facts(): RequestFacts;
  /** What would ask for usage in the stream that this whole body asks for; null where it cannot, or need not, be asked. */
  usagePlace(): UsagePlace | null;
}

export interface RequestScanOptions {
  /** Of the body as its head announces it; null where that tells none. */
  readonly announcedBytes: number | null;
  /** Billed by the characters of its `input`: a speech. */
  readonly countsInput: boolean;
  /** Whether files and pictures are looked for: only where it matters what may be read, for they may be named anywhere. */
  readonly looksForFiles?: boolean;
  /** Billed by how long its file lasts: a recording. */
  readonly measuresAudio?: boolean;
  /** Its file may have lines that work is started on later. */
  readonly readsLines?: boolean;
  /** It may start work on a file. */
  readonly startsWork?: boolean;
}

/** A change of the body, in bytes from its beginning. */
export interface UsagePlace {
  readonly at: number;
  /** Bytes that the text stands in place of. */
  readonly removed: number;
  readonly text: string;
}
