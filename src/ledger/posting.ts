// Carries what the spool tells into the store: in order, in small pieces, off the way of exchanges. Settle keys make it harmless to
// read a record again, so that the place it has come to may be kept a little late.
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Clock } from '../domain/clock.ts';
import { CostTally } from '../domain/cost-tally.ts';
import type { Entry } from '../domain/entry.ts';
import type { LedgerStore, Posted } from '../domain/ledger-store.ts';
import { type OwnedObject, ownedBy } from '../domain/ownership.ts';
import type { NewWork } from '../domain/pending-work.ts';
import type { Spool, SpooledRecord } from '../domain/stores.ts';
import type { Log } from '../telemetry/log.ts';
import { entryOf } from './entry-of.ts';
import { restoreEntries } from './lost-entries.ts';
import { worksOf } from './works-of.ts';

export const LEDGER_READER = 'ledger';
const BATCH_ROWS = 128;
const LOOK_EVERY_MS = 100;
const RETRY_AFTER_MS = 1000;
/** The store's own writes are safe against a power failure by then: the place is never kept ahead of them. */
const KEEP_PLACE_AFTER_MS = 1000;

export interface Posting {
  /** Posts all that is in the spool now. @returns whether there was anything. @throws what the store throws */
  catchUp(): Promise<boolean>;
  /** From now on by itself. */
  start(): void;
  /** Reads the spool from its beginning, and all late entries in it: what the store has already stays as it is. */
  replay(): Promise<void>;
  close(): Promise<void>;
}

export interface PostingParts {
  readonly spool: Spool;
  readonly store: LedgerStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Until work that goes on is looked at for the first time. */
  readonly firstLookMs: number;
  readonly onPosted: (entries: readonly Entry[], posted: Posted) => void;
  /** What of it was new to the store. */
  readonly onEntered: (tally: CostTally) => void;
}

export function openPosting({ spool, store, clock, log, firstLookMs, onPosted, onEntered }: PostingParts): Posting {
  let seq = spool.readCursor(LEDGER_READER) ?? 0;
  let places: { readonly seq: number; readonly atMs: number }[] = [];
  let running: Promise<boolean> | null = null;
  let timer: NodeJS.Timeout | null = null;
  let isStarted = false;
  let isClosed = false;
  /** The store has all before the place. One that was away may come back without it: lost, or set back to a backup. */
  let isSure = false;

  async function postAll(): Promise<boolean> {
    if (!isSure) await goBack();
    try {
      return await postRest();
    } catch (error) {
      isSure = false;
      throw error;
    }
  }

  /** To where the store knows what was entered: what is older it knows too. */
  async function goBack(): Promise<void> {
    await restoreEntries(store, spool.entries);
    const place = await knownPlace();
    if (place < seq) {
      log.warn('the store has lost entries: they are made again from the records of this process', { from: place });
      [seq, places] = [place, []];
    }
    isSure = true;
  }

  async function knownPlace(): Promise<number> {
    let isNewest = true;
    for (let to = seq; to > 0; to -= BATCH_ROWS) {
      const rows = spool.recordsAfter(Math.max(0, to - BATCH_ROWS), BATCH_ROWS).filter((row) => row.seq <= to);
      // What is older is purged.
      if (rows.length === 0) break;
      const entered = rows.filter((row) => readRow(row, firstLookMs, log) !== null);
      const row = isNewest ? entered.at(-1) : entered[0];
      if (row !== undefined && (await store.findEntry(row.record.id)) !== null) return isNewest ? seq : row.seq;
      if (isNewest && row !== undefined) {
        isNewest = false;
        // The same page again, by its oldest.
        to += BATCH_ROWS;
      }
      await nextTurn();
    }
    // There is nothing that could be missed, or nothing of it is there.
    return isNewest ? seq : 0;
  }

  async function postRest(): Promise<boolean> {
    for (let isAnything = false; ; isAnything = true) {
      const rows = spool.recordsAfter(seq, BATCH_ROWS);
      const last = rows.at(-1);
      if (last === undefined) return isAnything;
      const read = rows.flatMap((row) => readRow(row, firstLookMs, log) ?? []);
      const entries = read.map(({ entry }) => entry);
      const works = read.flatMap((each) => each.works);
      const owned = read.flatMap((each) => each.owned);
      if (entries.length > 0) {
        const posted = await store.post(entries, works, owned);
        onPosted(entries, posted);
        onEntered(tallyOf(entries.filter(({ settleKey }) => posted.settleKeys.has(settleKey))));
      }
      seq = last.seq;
      places.push({ seq, atMs: clock.elapsedMs() });
      // SQLite answers at once: without this a long way to catch up would be one turn of the event loop.
      await nextTurn();
    }
  }

  /** Who asks while one is under way may have written after it looked: then it looks once more. */
  async function catchUp(): Promise<boolean> {
    const before = running === null ? false : await running.catch(() => false);
    running ??= postAll().finally(() => {
      running = null;
    });
    return (await running) || before;
  }

  function keepPlace(): void {
    const safeMs = clock.elapsedMs() - KEEP_PLACE_AFTER_MS;
    const safe = places.findLast(({ atMs }) => atMs <= safeMs);
    if (safe === undefined) return;
    spool.writeCursor(LEDGER_READER, safe.seq);
    places = places.filter((place) => place.seq > safe.seq);
  }

  async function look(): Promise<void> {
    let againMs = LOOK_EVERY_MS;
    try {
      await catchUp();
      keepPlace();
    } catch (error) {
      log.warn('the ledger is not written, will try again', {
        why: error instanceof Error ? error.message : String(error),
      });
      againMs = RETRY_AFTER_MS;
    }
    if (isClosed) return;
    timer = setTimeout(() => void look(), againMs);
    timer.unref();
  }

  return {
    catchUp,
    start() {
      if (isStarted) return;
      isStarted = true;
      timer = setTimeout(() => void look(), LOOK_EVERY_MS);
      timer.unref();
    },
    async replay() {
      await catchUp();
      await restoreEntries(store, spool.entries, 'all');
      // Nobody may be on the way to another place meanwhile.
      while (running !== null) await running.catch(() => false);
      [seq, places] = [0, []];
      await catchUp();
    },
    async close() {
      isClosed = true;
      if (timer !== null) clearTimeout(timer);
      // What cannot be posted now is posted at the next start.
      await catchUp().catch(() => {});
    },
  };
}

export function tallyOf(entries: readonly Entry[]): CostTally {
  const tally = new CostTally();
  for (const entry of entries) tally.add(entry);
  return tally;
}

interface ReadRow {
  readonly entry: Entry;
  readonly works: readonly NewWork[];
  readonly owned: readonly OwnedObject[];
}

/** One that cannot be read must not keep all after it waiting: it is said aloud, and left. */
export function readRow(row: SpooledRecord, firstLookMs: number, log: Log): ReadRow | null {
  try {
    const entry = entryOf(row);
    return entry === null ? null : { entry, works: worksOf(row, entry, firstLookMs), owned: ownedBy(row.record) };
  } catch (error) {
    log.error('a record was not entered in the ledger: it cannot be read', {
      seq: row.seq,
      why: error instanceof Error ? error.message : String(error),
    });
    return null;
  }
}
