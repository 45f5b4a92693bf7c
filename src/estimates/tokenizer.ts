// The thread that counts tokens. An encoding is loaded when it is first asked for; texts that would take a tokenizer seconds are
// cut into pieces first.
import { parentPort } from 'node:worker_threads';

import type { Encoding } from './encodings.ts';
import { tokensOfImage } from './image-tokens.ts';
import { readRequest } from './request-text.ts';

export type Counted =
  | { readonly kind: 'text'; readonly text: string; readonly totalBytes: number }
  | { readonly kind: 'request'; readonly head: Uint8Array; readonly bodyBytes: number; readonly model: string };

export type CountRequest = Counted & { readonly id: number; readonly encoding: Encoding };

export interface CountReply {
  readonly id: number;
  /** Null where it failed. */
  readonly tokens: number | null;
}

type Count = (text: string) => number;

/** OpenAI's own rule of thumb: what frames a message, and what primes the reply. */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_OF_PRIMING = 3;
/** A run without a space, or of spaces, costs the square of its length: 50,000 letters take a second, as many ideograms six. */
const RUN_CHARACTERS_MAX = 256;
const LONG_RUN = new RegExp(`\\S{${RUN_CHARACTERS_MAX + 1},}|\\s{${RUN_CHARACTERS_MAX + 1},}`, 'g');

/** Text that looks like a special token is text. */
const AS_TEXT = { disallowedSpecial: new Set<string>() };
const encodings: Partial<Record<Encoding, Count>> = {};

async function counterOf(encoding: Encoding): Promise<Count> {
  const known = encodings[encoding];
  if (known !== undefined) return known;
  const { countTokens } =
    encoding === 'o200k_base'
      ? await import('gpt-tokenizer/encoding/o200k_base')
      : await import('gpt-tokenizer/encoding/cl100k_base');
  return (encodings[encoding] = (text) => countTokens(text, AS_TEXT));
}

function countInPieces(text: string, count: Count): number {
  let tokens = 0;
  let from = 0;
  for (const { index, 0: run } of text.matchAll(LONG_RUN)) {
    if (index > from) tokens += count(text.slice(from, index));
    for (let at = 0; at < run.length; at += RUN_CHARACTERS_MAX) tokens += count(run.slice(at, at + RUN_CHARACTERS_MAX));
    from = index + run.length;
  }
  return from < text.length ? tokens + count(text.slice(from)) : tokens;
}

function countRequest(head: Buffer, bodyBytes: number, model: string, count: Count): number {
  const { texts, messages, images, tokens, seenShare } = readRequest(head, bodyBytes);
  const text = texts.reduce((sum, each) => sum + countInPieces(each, count), tokens);
  const framed = messages === 0 ? 0 : messages * TOKENS_PER_MESSAGE + TOKENS_OF_PRIMING;
  const drawn = images.reduce((sum, image) => sum + tokensOfImage(image, model), 0);
  return Math.round((text + framed) / seenShare) + drawn;
}

async function answer(request: CountRequest): Promise<number> {
  const count = await counterOf(request.encoding);
  if (request.kind === 'request')
    return countRequest(Buffer.from(request.head), request.bodyBytes, request.model, count);
  const { text, totalBytes } = request;
  return Math.round(countInPieces(text, count) * Math.max(1, totalBytes / Buffer.byteLength(text)));
}

parentPort?.on('message', (request: CountRequest) => {
  const reply = (tokens: number | null) => parentPort!.postMessage({ id: request.id, tokens } satisfies CountReply);
  answer(request).then(reply, () => reply(null));
});
