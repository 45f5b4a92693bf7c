// The door of estimates: tokens counted here where the upstream reports none. They are counted in a thread of their own, started
// at the first estimate; the event loop only hands text over. An estimate never fails: without the thread it is a share of bytes.
import { Worker } from 'node:worker_threads';

import type { ExchangeRecord } from '../domain/exchange-record.ts';
import type { Reading } from '../domain/usage.ts';
import { encodingOf } from './encodings.ts';
import { type ReasoningAsk, type ReasoningTold, asksForNoReasoning, openReasoning } from './reasoning.ts';
import type { CountReply, CountRequest, Counted } from './tokenizer.ts';

/** What is known of an exchange whose usage nobody reported. */
export interface UnreportedUsage {
  /** Null where the request was not kept. */
  readonly request: RequestSample | null;
  /** What the model wrote, as far as it was seen and kept. */
  readonly replyText: string;
  /** UTF-8 bytes of all that was seen of it. */
  readonly replyTextBytes: number;
  readonly model: string;
}

/** The beginning of a request's body. */
export interface RequestSample {
  readonly head: Buffer;
  readonly bodyBytes: number;
}

export interface Estimates {
  /** @param totalBytes UTF-8 bytes of the whole text, of which `text` may be the beginning */
  estimateTokens(text: string, totalBytes: number, model: string): Promise<number>;
  /** Readings of what went in and what was seen coming out. Reasoning that was never shown is not in them: see `reasoningMargin`. */
  estimateUsage(unreported: UnreportedUsage): Promise<Reading[]>;
  /** What the upstream reported of a reply: the margins of others are learnt from it. */
  learnReasoning(told: ReasoningTold): void;
  /** Tokens that a reply most likely spent on reasoning that was never shown; 0 for a model that was never seen to reason. */
  reasoningMargin(ask: ReasoningAsk, request: RequestSample | null): number;
  /** Learns from records, the oldest first, so that a process that begins knows what the one before it had learnt. */
  recall(records: Iterable<ExchangeRecord>): void;
  /** Estimates made from the number of bytes alone, since the queue was full or the thread failed. */
  rough(): number;
  close(): Promise<void>;
}

/** Kept of a request while its reply is under way: of longer ones the rest is estimated from this beginning. */
const SAMPLE_BYTES_MAX = 64 * 1024;
/** More text is not counted, but taken to be like its beginning. */
const TEXT_CHARACTERS_MAX = 256 * 1024;
/** Estimates that may wait for the thread. */
const QUEUE_MAX = 256;
/** One that waits longer is made from bytes. */
const PATIENCE_MS = 10_000;
/** A thread without work gives its memory back. */
const IDLE_MS = 60_000;
const THREAD_MEMORY_MB = 256;
/** Of English and code, in any of the encodings. */
const BYTES_PER_TOKEN = 4;

/** A copy, so that it does not keep what it was read from. */
export function sampleOf(bytes: Buffer, bodyBytes: number): RequestSample {
  return { head: Buffer.from(bytes.subarray(0, SAMPLE_BYTES_MAX)), bodyBytes };
}

interface Waiting {
  readonly done: (tokens: number) => void;
  readonly bytes: number;
  readonly patience: NodeJS.Timeout;
}

export function openEstimates(): Estimates {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | null = null;
  let idle: NodeJS.Timeout | null = null;
  const reasoning = openReasoning();
  let lastId = 0;
  let roughCount = 0;
  let isClosed = false;

  function count(what: Counted, model: string, bytes: number): Promise<number> {
    if (isClosed || waiting.size >= QUEUE_MAX) return Promise.resolve(roughly(bytes));
    return new Promise((done) => {
      const id = ++lastId;
      const patience = setTimeout(() => settle(id, null), PATIENCE_MS);
      waiting.set(id, { done, bytes, patience });
      const thread = (worker ??= start());
      // Work under way holds the process, an idle thread does not.
      thread.ref();
      if (idle !== null) clearTimeout(idle);
      thread.postMessage({ id, encoding: encodingOf(model), ...what } satisfies CountRequest);
    });
  }

  function start(): Worker {
    const script = new URL(import.meta.url.endsWith('.ts') ? './tokenizer.ts' : './tokenizer.js', import.meta.url);
    // Flags of this process are not the thread's: some forbid it to start.
    const thread = new Worker(script, { execArgv: [], resourceLimits: { maxOldGenerationSizeMb: THREAD_MEMORY_MB } });
    thread.on('message', ({ id, tokens }: CountReply) => settle(id, tokens));
    // Told by its exit.
    thread.on('error', () => {});
    thread.on('exit', () => {
      if (worker !== thread) return;
      worker = null;
      for (const id of waiting.keys()) settle(id, null);
    });
    return thread;
  }

  function settle(id: number, tokens: number | null): void {
    const found = waiting.get(id);
    if (found === undefined) return;
    waiting.delete(id);
    clearTimeout(found.patience);
    found.done(tokens ?? roughly(found.bytes));
    if (waiting.size > 0) return;
    worker?.unref();
    idle = setTimeout(() => {
      const thread = worker;
      worker = null;
      void thread?.terminate();
    }, IDLE_MS);
    idle.unref();
  }

  function roughly(bytes: number): number {
    roughCount++;
    return Math.ceil(bytes / BYTES_PER_TOKEN);
  }

  function estimateTokens(text: string, totalBytes: number, model: string): Promise<number> {
    if (text === '') return Promise.resolve(totalBytes === 0 ? 0 : roughly(totalBytes));
    return count({ kind: 'text', text: text.slice(0, TEXT_CHARACTERS_MAX), totalBytes }, model, totalBytes);
  }

  return {
    estimateTokens,
    async estimateUsage({ request, replyText, replyTextBytes, model }) {
      const [input, output] = await Promise.all([
        request === null || request.bodyBytes === 0
          ? 0
          : count({ kind: 'request', ...request, model }, model, request.bodyBytes),
        estimateTokens(replyText, replyTextBytes, model),
      ]);
      const readings: Reading[] = [];
      if (input > 0) readings.push({ meter: 'input_text', quantity: BigInt(input) });
      if (output > 0) readings.push({ meter: 'output_text', quantity: BigInt(output) });
      return readings;
    },
    learnReasoning: reasoning.learn,
    reasoningMargin(ask, request) {
      const expected = reasoning.expected(ask);
      return expected > 0 && request !== null && asksForNoReasoning(request.head) ? 0 : expected;
    },
    recall: reasoning.recall,
    rough: () => roughCount,
    async close() {
      isClosed = true;
      if (idle !== null) clearTimeout(idle);
      const thread = worker;
      worker = null;
      for (const id of waiting.keys()) settle(id, null);
      if (idle !== null) clearTimeout(idle);
      await thread?.terminate();
    },
  };
}
