// Word within one process: what SQLite needs, and what every replica of Postgres hears at once from itself.
import type { WakeupChannel, Wakeups } from '../domain/wakeups.ts';

export interface LocalWakeups extends Wakeups {
  /** Tells the listeners of this process. */
  deliver(channel: WakeupChannel, payload: string): void;
  tellGap(): void;
}

export function localWakeups(): LocalWakeups {
  const listeners: Record<WakeupChannel, Set<(payload: string) => void>> = {
    run: new Set(),
    cancel: new Set(),
    events: new Set(),
    reading: new Set(),
    deltas: new Set(),
  };
  const gapListeners = new Set<() => void>();
  const deliver = (channel: WakeupChannel, payload: string) => {
    for (const listener of listeners[channel]) listener(payload);
  };
  return {
    deliver,
    publish: deliver,
    publishAll: async (channel, payloads) => {
      for (const payload of payloads) deliver(channel, payload);
    },
    subscribe(channel, listener) {
      listeners[channel].add(listener);
      return () => void listeners[channel].delete(listener);
    },
    onGap(listener) {
      gapListeners.add(listener);
      return () => void gapListeners.delete(listener);
    },
    tellGap() {
      for (const listener of gapListeners) listener();
    },
    close: async () => {
      for (const channel of Object.values(listeners)) channel.clear();
      gapListeners.clear();
    },
  };
}
