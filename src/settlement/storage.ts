// How much a vector store held, day by day. What a look finds counts for the time since the look before. Pure.
import { divideHalfEven } from '../domain/money.ts';
import type { WorkProgress } from '../domain/pending-work.ts';

const DAY_MS = 86_400_000;

export interface Stored {
  readonly bytes: number;
  /** Of all stores together, this one included: what is free is shared by size. */
  readonly allBytes: bigint;
  readonly freeBytes: bigint;
}

/** A day of UTC that is over, or over for this store. */
export interface StoredDay {
  /** Such as `2026-11-24`. */
  readonly day: string;
  readonly from: number;
  readonly to: number;
  /** What is to be paid for. */
  readonly byteDays: bigint;
}

export function countStorage(
  { startedAt, progress }: { readonly startedAt: number; readonly progress: WorkProgress },
  { bytes, allBytes, freeBytes }: Stored,
  to: number,
  isOver: boolean,
): { readonly days: readonly StoredDay[]; readonly progress: WorkProgress } {
  const days: StoredDay[] = [];
  let from = progress.countedTo ?? startedAt;
  let byteMs = BigInt(progress.byteMs ?? '0');
  const paid = allBytes > freeBytes ? allBytes - freeBytes : 0n;
  const close = (end: number) => {
    const byteDays = divideHalfEven(byteMs, BigInt(DAY_MS));
    // A day that is over ends where the next begins.
    const day = dayOf(end - 1);
    days.push({ day: new Date(day).toISOString().slice(0, 10), from: Math.max(startedAt, day), to: end, byteDays });
    byteMs = 0n;
  };
  while (from < to) {
    const end = Math.min(to, nextDay(from));
    if (paid > 0n) byteMs += (BigInt(bytes) * BigInt(end - from) * paid) / allBytes;
    if (end === nextDay(from)) close(end);
    from = end;
  }
  const isDayOpen = from > dayOf(from) || days.length === 0;
  if (isOver && isDayOpen) close(from);
  return { days, progress: { ...progress, bytes, countedTo: from, byteMs: byteMs.toString() } };
}

/** Days are closed soon after they are over. */
export function nextSample(now: number, everyMs: number): number {
  return Math.min(now + everyMs, nextDay(now));
}

function dayOf(at: number): number {
  return at - (at % DAY_MS);
}

function nextDay(at: number): number {
  return dayOf(at) + DAY_MS;
}
