// Where windows begin and end: calendar windows in any time zone, or pieces of rolling ones. Pure.
import type { Budget, BudgetWindow } from '../domain/budget.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** In milliseconds since 1970. What is spent at a moment `at` with start <= at < end belongs to it. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** How far a rolling window reaches back, and the pieces it is counted in: one that it reaches into counts whole. */
const ROLLING: Readonly<Record<Exclude<BudgetWindow, 'total'>, { readonly width: number; readonly piece: number }>> = {
  minute: { width: MINUTE_MS, piece: SECOND_MS },
  hour: { width: HOUR_MS, piece: MINUTE_MS },
  day: { width: DAY_MS, piece: 15 * MINUTE_MS },
  week: { width: 7 * DAY_MS, piece: 2 * HOUR_MS },
  month: { width: 30 * DAY_MS, piece: 6 * HOUR_MS },
};

/** The window, or the piece of a rolling one, that a moment belongs to. */
export function spanAt({ window, isRolling, timeZone }: Budget, at: number): Span {
  if (window === 'total') return { start: 0, end: Number.POSITIVE_INFINITY };
  if (isRolling) return floorTo(ROLLING[window].piece, at, 0);
  if (window === 'minute') return floorTo(MINUTE_MS, at, 0);
  if (window === 'hour') return floorTo(HOUR_MS, at, offsetMs(timeZone, at));
  return calendarSpan(window, timeZone, at);
}

/** The earliest window that counts at a moment, given the one that the moment belongs to. */
export function countsFrom({ window, isRolling }: Budget, span: Span): number {
  if (!isRolling || window === 'total') return span.start;
  return span.start - ROLLING[window].width;
}

/** When the budget begins anew; null where it never does, or does little by little. */
export function resetsAt(budget: Budget, at: number): number | null {
  return budget.window === 'total' || budget.isRolling ? null : spanAt(budget, at).end;
}

/** How long windows are kept after they began, so that they can be looked at; null for ever. */
export function keptMs({ window, isRolling }: Budget): number | null {
  if (window === 'total') return null;
  const { width } = ROLLING[window];
  return isRolling ? 2 * width + DAY_MS : Math.max(400 * width, 2 * DAY_MS);
}

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function floorTo(width: number, at: number, offset: number): Span {
  const start = Math.floor((at + offset) / width) * width - offset;
  return { start, end: start + width };
}

function calendarSpan(window: 'day' | 'week' | 'month', timeZone: string, at: number): Span {
  const local = new Date(at + offsetMs(timeZone, at));
  const [year, month, day] = [local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate()];
  if (window === 'month') {
    return { start: midnight(timeZone, year, month, 1), end: midnight(timeZone, year, month + 1, 1) };
  }
  // Sunday is 0, and a week begins on Monday.
  const first = window === 'week' ? day - ((local.getUTCDay() + 6) % 7) : day;
  const days = window === 'week' ? 7 : 1;
  return { start: midnight(timeZone, year, month, first), end: midnight(timeZone, year, month, first + days) };
}

/**
 * The first moment of a date. Where clocks jump over midnight it is the jump; where midnight comes twice, it is the first that
 * does not fall back into the day before.
 */
function midnight(timeZone: string, year: number, month: number, day: number): number {
  const local = Date.UTC(year, month, day);
  const before = local - offsetMs(timeZone, local - DAY_MS);
  const after = local - offsetMs(timeZone, local + DAY_MS);
  const [earlier, later] = before < after ? [before, after] : [after, before];
  return earlier + offsetMs(timeZone, earlier) >= local ? earlier : later;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** What the zone's clocks are ahead of UTC. */
function offsetMs(timeZone: string, at: number): number {
  if (timeZone === 'UTC') return 0;
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(timeZone, format);
  }
  const parts: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of format.formatToParts(at)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  const whole = Math.floor(at / SECOND_MS) * SECOND_MS;
  return Date.UTC(year, month - 1, day, hour, minute, second) - whole;
}
