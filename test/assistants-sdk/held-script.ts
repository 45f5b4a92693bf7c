import type { ScriptItem } from '../support/responses-script.ts';
// A model that stops in the middle of its answer, so that a test can do something meanwhile.
import { type PlayedCall, type Script, items } from '../support/responses-upstream.ts';

export interface HeldScript {
  readonly model: (call: PlayedCall) => Script;
  /** Resolves when the model was asked. */
  readonly asked: Promise<void>;
  release(): void;
}

/** Stands still before the first event of this type, until it is released. */
export function heldBefore(type: string, answer: readonly ScriptItem[]): HeldScript {
  const script = items(answer);
  if (typeof script !== 'object' || !('events' in script)) throw new Error('no stream');
  const at = script.events.findIndex((event) => 'type' in event && event['type'] === type);
  if (at < 0) throw new Error(`there is no ${type} to stand still before`);
  const asked = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const events = [...script.events.slice(0, at), released.promise, ...script.events.slice(at)];
  return {
    model: () => {
      asked.resolve();
      return { events };
    },
    asked: asked.promise,
    release: () => released.resolve(),
  };
}
