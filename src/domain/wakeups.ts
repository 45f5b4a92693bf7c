// Word from replica to replica that something in the shared store changed. It may be lost: whoever listens looks again now and
// then, and all truth stays in the store.

/**
 * - `run`: a run may be claimed
 * - `cancel`: a run was asked to stop, or its thread was deleted
 * - `events`: a run has new events or a new state
 * - `reading`: somebody reads a run that another replica executes, and has got this far
 * - `deltas`: a piece of what is said in a run, for those who read it elsewhere
 *
 * The payload is the run's ref, as text; that of the last two begins with more or goes on behind it.
 */
export type WakeupChannel = 'run' | 'cancel' | 'events' | 'reading' | 'deltas';

/** What a payload may have, bytes: PostgreSQL takes somewhat less than 8000 with all that stands before it. */
export const NOTICE_BYTES_MAX = 7500;

export interface Wakeups {
  publish(channel: WakeupChannel, payload: string): void;
  /** Several at once, heard in this order. Settles when they are out: who waits for that never has two under way. */
  publishAll(channel: WakeupChannel, payloads: readonly string[]): Promise<void>;
  /** @returns takes the listener away */
  subscribe(channel: WakeupChannel, listener: (payload: string) => void): () => void;
  /** Called when word may have been lost, such as after a lost connection: look at everything once. */
  onGap(listener: () => void): () => void;
  close(): Promise<void>;
}
