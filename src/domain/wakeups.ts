// Word from replica to replica that something in the shared store changed. It may be lost: whoever listens looks again now and
// then, and all truth stays in the store.

/**
 * - `run`: a run may be claimed
 * - `cancel`: a run was asked to stop, or its thread was deleted
 * - `events`: a run has new events or a new state
 *
 * The payload is the run's ref, as text.
 */
export type WakeupChannel = 'run' | 'cancel' | 'events';

export interface Wakeups {
  /** @param payload ids and numbers only, at most 1 KiB */
  publish(channel: WakeupChannel, payload: string): void;
  /** @returns takes the listener away */
  subscribe(channel: WakeupChannel, listener: (payload: string) => void): () => void;
  /** Called when word may have been lost, such as after a lost connection: look at everything once. */
  onGap(listener: () => void): () => void;
  close(): Promise<void>;
}
