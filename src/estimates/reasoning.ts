// How much a model reasons for a reply, learnt from what the upstream reported: reasoning that nobody saw is billed all the same, and
// an estimate of a reply that broke off has no other way to know of it.
import type { ExchangeRecord } from '../domain/exchange-record.ts';

/** A reply whose usage was reported. */
export interface ReasoningTold {
  /** As the request and the reply name it. */
  readonly models: readonly (string | null)[];
  /** The upstream's own usage. */
  readonly raw: unknown;
  /** How many replies it is for. */
  readonly replies: number;
  /** From the call to the last byte. */
  readonly tookMs: number;
}

/** A reply whose usage was not. */
export interface ReasoningAsk {
  readonly model: string;
  readonly replies: number;
  /** Something of it was seen: then all of its reasoning was done. */
  readonly hasWritten: boolean;
  readonly tookMs: number;
}

export interface Reasoning {
  learn(told: ReasoningTold): void;
  /** Tokens of reasoning that are to be expected in it; 0 for a model that was never seen to reason. */
  expected(ask: ReasoningAsk): number;
  /** Learns from what stands in the records, the oldest first: for a process that begins. */
  recall(records: Iterable<ExchangeRecord>): void;
}

/** The one known longest is forgotten. */
const MODELS_MAX = 200;
/** Half of what is known counts no more then, so that what is new does. */
const REPLIES_MAX = 1000;

interface Learnt {
  replies: number;
  reasoningTokens: number;
  outputTokens: number;
  tookMs: number;
}

export function openReasoning(): Reasoning {
  const known = new Map<string, Learnt>();

  function learn({ models, raw, replies, tookMs }: ReasoningTold): void {
    const told = tokensIn(raw);
    if (told === null) return;
    const [asked, served] = models;
    if (served !== null && served !== undefined) add(served, told, replies, tookMs);
    // A client that leaves early has not been told who serves it.
    if (asked !== null && asked !== undefined && asked !== served) add(asked, told, replies, tookMs);
  }

  function add(model: string, told: Tokens, replies: number, tookMs: number): void {
    let learnt = known.get(model);
    if (learnt === undefined) {
      if (known.size >= MODELS_MAX) known.delete(known.keys().next().value!);
      known.set(model, (learnt = { replies: 0, reasoningTokens: 0, outputTokens: 0, tookMs: 0 }));
    }
    learnt.replies += replies;
    learnt.reasoningTokens += told.reasoning;
    learnt.outputTokens += told.output;
    learnt.tookMs += tookMs;
    if (learnt.replies < REPLIES_MAX) return;
    learnt.replies /= 2;
    learnt.reasoningTokens /= 2;
    learnt.outputTokens /= 2;
    learnt.tookMs /= 2;
  }

  return {
    learn,
    expected({ model, replies, hasWritten, tookMs }) {
      const learnt = known.get(model);
      if (learnt === undefined || learnt.reasoningTokens === 0) return 0;
      const whole = (learnt.reasoningTokens / learnt.replies) * replies;
      // Nobody knows how far it came: no further than the model comes in this time.
      const written = learnt.tookMs === 0 ? whole : (learnt.outputTokens / learnt.tookMs) * tookMs * replies;
      return Math.round(hasWritten ? whole : Math.min(whole, written));
    },
    recall(records) {
      for (const { kind, usage, model_requested, model_served, timings_us: at } of records) {
        if (kind !== 'exchange' || (usage.source !== 'reported' && usage.source !== 'drained')) continue;
        const tookMs = (at.total - (at.connected ?? at.admitted ?? 0)) / 1000;
        learn({ models: [model_requested, model_served], raw: usage.raw, replies: 1, tookMs });
      }
    },
  };
}

interface Tokens {
  readonly reasoning: number;
  readonly output: number;
}

/** Null where reasoning is not told of, or does not add up. */
function tokensIn(raw: unknown): Tokens | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const usage = raw as Record<string, unknown>;
  const details = usage['output_tokens_details'] ?? usage['completion_tokens_details'];
  if (typeof details !== 'object' || details === null) return null;
  const reasoning = (details as Record<string, unknown>)['reasoning_tokens'];
  const output = usage['output_tokens'] ?? usage['completion_tokens'];
  if (typeof reasoning !== 'number' || typeof output !== 'number') return null;
  return reasoning >= 0 && reasoning <= output && Number.isSafeInteger(output) ? { reasoning, output } : null;
}

const NO_EFFORT = /"(?:reasoning_effort|effort)"\s{0,16}:\s{0,16}"none"/;

/** In JSON, quotes within a text are escaped: what is found is a member. */
export function asksForNoReasoning(head: Buffer): boolean {
  return NO_EFFORT.test(head.toString('latin1'));
}
