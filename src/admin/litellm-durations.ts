// LiteLLM writes periods as `30s`, `12h`, `30d`, `1mo`. Where it begins a budget anew, its clock and ours agree only for some of them.
import type { BudgetWindow } from '../domain/budget.ts';

/**
 * LiteLLM ends these at midnight, on Monday and on the first of the month (UTC), as our windows do. Those that are left out, such as
 * `30h`, begin at no moment that a window of ours begins at: they are refused rather than bent.
 */
const WINDOWS: Readonly<Record<string, BudgetWindow>> = {
  '60s': 'minute',
  '1m': 'minute',
  '60m': 'hour',
  '1h': 'hour',
  '24h': 'day',
  '1d': 'day',
  '7d': 'week',
  '1w': 'week',
  '30d': 'month',
  '1mo': 'month',
};

export const BUDGET_DURATIONS = Object.keys(WINDOWS).join(', ');

/** The first of each window's names, as answers write it; a budget without an end has none. */
const WRITTEN: Readonly<Record<BudgetWindow, string | null>> = {
  total: null,
  minute: '1m',
  hour: '1h',
  day: '1d',
  week: '7d',
  month: '1mo',
};

export function windowOf(duration: string): BudgetWindow | null {
  return WINDOWS[duration] ?? null;
}

export function durationOf(window: BudgetWindow): string | null {
  return WRITTEN[window];
}

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const FORM = /^(\d{1,9})(mo|[smhdw])$/;

/** The last moment that has a date. */
const LAST_MS = 8.64e15;

/** The moment that lies a period behind another; null for a text that is no period. Both in milliseconds since 1970. */
export function after(duration: string, at: number): number | null {
  const [, count, unit] = FORM.exec(duration) ?? [];
  if (count === undefined || unit === undefined) return null;
  const moment = unit === 'mo' ? monthsAfter(Number(count), at) : at + Number(count) * UNIT_MS[unit]!;
  return Number.isFinite(moment) && moment <= LAST_MS ? moment : null;
}

/** The same day and time of a later month, or its last day. */
function monthsAfter(count: number, at: number): number {
  const date = new Date(at);
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + count);
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(day, last));
  return date.getTime();
}
