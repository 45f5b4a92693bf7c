// The port by which the relay hands over what this gateway answers itself: the Assistants API, and files that runs made.
import type { Endpoint, EndpointGroup } from './endpoint.ts';
import type { ExchangeId } from './id.ts';
import type { Caller } from './key.ts';

export interface EmulatedCall {
  readonly exchangeId: ExchangeId;
  readonly caller: Caller;
  readonly method: string;
  /** Begins with `/v1/`; raw, without its query. */
  readonly path: string;
  /** Raw, without the `?`; '' where there is none. */
  readonly query: string;
  /** Name, value, name, value, as they arrived. */
  readonly rawHeaders: readonly string[];
  /** Whole; empty where there is none. */
  readonly body: Buffer;
  /** How the caller stands with limits of its own, as reply headers: name, value, ... */
  readonly limitHeaders: readonly string[];
  /** Fires when the client leaves or the gateway cuts the exchange. */
  readonly signal: AbortSignal;
}

export interface EmulatedReply {
  readonly status: number;
  /** Name, value, name, value; without those that frame the body. */
  readonly headers: readonly string[];
  /** A whole body, a file in pieces, or server-sent events: each piece goes out at once. */
  readonly body: string | AsyncIterable<string> | AsyncIterable<Buffer>;
  /** Called once, when the reply has left whole or the client was gone before. */
  readonly ended?: (wasDelivered: boolean) => void;
}

export interface Emulation {
  /**
   * The group of a request that this gateway answers itself, null for any other; `everybody` where each key may ask. Asked for
   * every arrival: cheap, and right about paths that no row knows.
   */
  claims(path: string, endpoint: Endpoint | undefined): EndpointGroup | 'everybody' | null;
  /** Never rejects: what is wrong is told in the reply. */
  answer(call: EmulatedCall): Promise<EmulatedReply>;
}
