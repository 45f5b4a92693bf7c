// Entries of a span of time, in pages. Keys of exchanges begin with their time, so that others are passed over unread.
import type { Entry } from '../domain/entry.ts';
import { newId } from '../domain/id.ts';
import type { Entries } from './entries.ts';

const PAGE_ROWS = 200;
const EXCHANGES = 'exc_';
/** After all keys of exchanges, in any order of letters that a database may have. */
const AFTER_EXCHANGES = 'exd';
/** `exc_` and ten characters of time. */
const TIMED_CHARACTERS = EXCHANGES.length + 10;
/** An id is as old as the arrival, within what a clock may be set back. */
const CLOCK_MS = 60_000;

export interface EntriesSpan {
  /** Milliseconds since 1970, [from, to). */
  readonly from: number;
  readonly to: number;
  /** Also those that were made later and say something about what was done then. */
  readonly withLater?: boolean;
}

export async function* entriesBetween(entries: Entries, span: EntriesSpan): AsyncGenerator<readonly Entry[]> {
  const { from, to, withLater = false } = span;
  const isIn = (at: number | undefined) => at !== undefined && from <= at && at < to;
  const isMeant = ({ at, resolves, kind, servicePeriod }: Entry) =>
    isIn(at) || (withLater && (isIn(resolves?.at) || (kind === 'adjustment' && isIn(servicePeriod?.from))));
  const first = newId('exc', Math.max(0, from - CLOCK_MS)).slice(0, TIMED_CHARACTERS);
  const last = newId('exc', to + CLOCK_MS).slice(0, TIMED_CHARACTERS);
  for (let after = ''; ;) {
    const page = await entries.after(after, PAGE_ROWS);
    const those = page.filter(isMeant);
    if (those.length > 0) yield those;
    const end = page.at(-1)?.settleKey;
    if (end === undefined) return;
    after = end;
    if (end.startsWith(EXCHANGES)) {
      if (end < first) after = first;
      else if (end > last && end.slice(0, TIMED_CHARACTERS) !== last) after = AFTER_EXCHANGES;
    }
  }
}
