// A run's events as a caller's stream: frames as they come, a ping where none came for a while, and the last frame.
import type { PlacedEvent } from '../domain/run.ts';
import { DONE_FRAME, PING_FRAME, eventData, frame, frameOf } from './frames.ts';

/** Shorter than what load balancers take for silence. */
const PING_MS = 15_000;

export const STREAM_HEADERS = [
  'content-type',
  'text/event-stream; charset=utf-8',
  'cache-control',
  'no-cache',
  // Tells nginx and its like to pass each piece on at once.
  'x-accel-buffering',
  'no',
];

export interface StreamOptions {
  /** What the run's creation asked for with `include[]`. */
  readonly include: readonly string[];
  /** Each event in a wrapper that tells its place: for clients that may come back. */
  readonly isNumbered: boolean;
}

export async function* framesOf(
  events: AsyncIterable<PlacedEvent>,
  { include, isNumbered }: StreamOptions,
): AsyncGenerator<string> {
  const iterator = events[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    for (;;) {
      const came = await within(next, PING_MS);
      if (came === 'late') {
        yield PING_FRAME;
        continue;
      }
      if (came.done) break;
      next = iterator.next();
      const { seq, event } = came.value;
      yield isNumbered ? frame(event.event, { seq, data: eventData(event, include) }) : frameOf(event, include);
    }
    yield DONE_FRAME;
  } finally {
    // The one that is awaited may fail when it is no longer of interest.
    next.catch(() => {});
    await iterator.return?.();
  }
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, ms, 'late');
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
