// What was learnt of upstream models by asking: remembered for a while, so that not every run has to find out again.
import type { Clock } from '../domain/clock.ts';

/** Refuses to be told how to sample · knows no encrypted reasoning · knows the older name of the token limit · only chats. */
export type Trait = 'without_sampling' | 'without_reasoning' | 'old_limit' | 'chat';

const REMEMBERED_MS = 3_600_000;
/** Models remembered; the longest known goes first. */
const MODELS_MAX = 1000;

export interface Traits {
  has(model: string, trait: Trait): boolean;
  learn(model: string, trait: Trait): void;
}

export function openTraits(clock: Clock): Traits {
  const until = new Map<string, number>();
  const keyOf = (model: string, trait: Trait) => `${trait} ${model}`;
  return {
    has: (model, trait) => (until.get(keyOf(model, trait)) ?? 0) > clock.now(),
    learn(model, trait) {
      if (until.size >= MODELS_MAX) until.delete(until.keys().next().value!);
      until.set(keyOf(model, trait), clock.now() + REMEMBERED_MS);
    },
  };
}
