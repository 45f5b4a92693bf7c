// How long a model's replies are, learnt as they go by: for keys that set aside less than the model's maximum.

const MODELS_MAX = 200;
/** Too few of them tell nothing. */
const REPLIES_MIN = 50;
/** Half of what is known is forgotten then, so that what is new counts. */
const REPLIES_MAX = 20_000;
/** Each is a quarter longer than the one before: 64 of them reach beyond a million tokens. */
const STEP = Math.log(1.25);
const BUCKETS = 64;
const SHARE = 0.99;
const MARGIN = 1.5;

export interface ReplyLengths {
  learn(model: string, outputTokens: number): void;
  /** What 99 of 100 replies stayed below, and half as much again; null while too few are known. */
  of(model: string): number | null;
}

export function openReplyLengths(): ReplyLengths {
  const known = new Map<string, { readonly counts: Uint32Array; replies: number }>();
  return {
    learn(model, outputTokens) {
      let lengths = known.get(model);
      if (lengths === undefined) {
        if (known.size >= MODELS_MAX) return;
        lengths = { counts: new Uint32Array(BUCKETS), replies: 0 };
        known.set(model, lengths);
      }
      const bucket = Math.min(BUCKETS - 1, Math.ceil(Math.log(Math.max(1, outputTokens)) / STEP));
      lengths.counts[bucket]!++;
      lengths.replies++;
      if (lengths.replies < REPLIES_MAX) return;
      lengths.replies = 0;
      for (let i = 0; i < BUCKETS; i++) lengths.replies += lengths.counts[i] = Math.ceil(lengths.counts[i]! / 2);
    },
    of(model) {
      const lengths = known.get(model);
      if (lengths === undefined || lengths.replies < REPLIES_MIN) return null;
      let seen = 0;
      for (let i = 0; i < BUCKETS; i++) {
        seen += lengths.counts[i]!;
        if (seen >= lengths.replies * SHARE) return Math.ceil(Math.exp(i * STEP) * MARGIN);
      }
      return null;
    },
  };
}
