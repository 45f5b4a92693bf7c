// The port through which a run calls the upstream: in this process, as an ordinary exchange from admission on. Limits, holds,
// credential, metering, price and one record apply; the record names key, team and run. Side calls (vector stores, files,
// containers, search) go the same way.
import type { AssistantId, RunId, ThreadId } from './assistants.ts';
import type { KeyId, TeamId } from './id.ts';
import type { Refusal } from './refusal.ts';

export interface GenerateCall {
  readonly teamId: TeamId;
  /** The virtual key that the exchange is counted against. */
  readonly keyId: KeyId;
  /** What the record says of where the call came from; null for a side call outside of a run. */
  readonly run: GenerateOrigin | null;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** The upstream path with its query, such as `/v1/responses`. */
  readonly path: string;
  /** Name, value, name, value: only what the body needs, such as content-type. Never a credential. */
  readonly headers: readonly string[];
  readonly body: Buffer | null;
  /** Closes the upstream connection; the exchange is still settled with what was seen. */
  readonly signal: AbortSignal;
}

export interface GenerateOrigin {
  readonly runId: RunId;
  readonly assistantId: AssistantId;
  readonly threadId: ThreadId;
  readonly turn: number;
  /** The turn is made a second time, because the first one broke. */
  readonly isRerun: boolean;
}

export type GenerateReply =
  /** Our own no: nothing was sent upstream. */
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** The upstream could not be reached, or left before its head. `code` is short, such as ECONNREFUSED. */
  | { readonly kind: 'unreachable'; readonly code: string; readonly message: string }
  | {
      readonly kind: 'answered';
      readonly status: number;
      /** Lower-case names. */
      readonly headers: ReadonlyMap<string, string>;
      /** Must be read to its end or left by the signal. Throws where the upstream breaks off or the signal fires. */
      readonly body: AsyncIterable<Buffer>;
    };

/** Never throws: what goes wrong before the head is told in the reply. */
export type Generate = (call: GenerateCall) => Promise<GenerateReply>;
