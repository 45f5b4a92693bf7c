// One timer for all exchanges: each is looked at now and then, so that no exchange pays for timers of its own.

import { Roster } from '../domain/roster.ts';

export interface Watched {
  /** @param nowMs monotonic */
  check(nowMs: number): void;
}

export interface Watch {
  add(watched: Watched): void;
  delete(watched: Watched): void;
  close(): void;
}

const LOOK_EVERY_MS_MAX = 1000;
const LOOK_EVERY_MS_MIN = 20;

/** @param shortestMs the shortest time that matters: it is looked at four times within it */
export function openWatch(shortestMs: number, elapsedMs: () => number): Watch {
  const all = new Roster<Watched>();
  const everyMs = Math.max(LOOK_EVERY_MS_MIN, Math.min(LOOK_EVERY_MS_MAX, shortestMs / 4));
  const timer = setInterval(() => {
    const now = elapsedMs();
    for (const watched of all) watched.check(now);
  }, everyMs);
  timer.unref();
  return {
    add: (watched) => all.add(watched),
    delete: (watched) => all.delete(watched),
    close: () => clearInterval(timer),
  };
}
