// The posting of a process that writes the ledger alone: each record is added to sums as it is written to the spool, and the sums go
// into the store together, with the place they have come to. What a death takes from memory is added again from the spool.
import { setImmediate as nextTurn } from 'node:timers/promises';

import { CostTally } from '../domain/cost-tally.ts';
import type { Charge, Entry } from '../domain/entry.ts';
import type { LocalSums } from '../domain/ledger-store.ts';
import type { OwnedObject } from '../domain/ownership.ts';
import type { NewWork } from '../domain/pending-work.ts';
import { Rollups } from '../domain/rollup.ts';
import type { SpooledRecord } from '../domain/stores.ts';
import { type Posting, type PostingParts, LEDGER_READER, readRow } from './posting.ts';

const BATCH_ROWS = 256;
const LOOK_EVERY_MS = 100;
const RETRY_AFTER_MS = 1000;
/** Entries written at once when retention is about to take their records: the event loop shall hardly notice. */
const KEEP_ROWS = 100;
const KEEP_EVERY_MS = 1000;

/** What is in no store yet. */
class Unwritten {
  readonly rollups = new Rollups();
  readonly tally = new CostTally();
  /** Those that budgets wait for. */
  readonly charged: Entry[] = [];
  readonly works: NewWork[] = [];
  readonly owned: OwnedObject[] = [];
  place = 0;
}

/** @param keptMs how long records stay in the spool; null where they stay for ever */
export async function openLocalPosting(parts: PostingParts, local: LocalSums, keptMs: number | null): Promise<Posting> {
  const { spool, clock, log, firstLookMs, onPosted, onEntered } = parts;
  let place = await local.place();
  // A power failure may have taken the spool's newest records, but not their sums: those places are taken.
  spool.goBehind(place);
  let unwritten = new Unwritten();
  /** Records were written that nobody has added: the spool is read instead. */
  let isBehind = true;
  let running: Promise<boolean> | null = null;
  let timer: NodeJS.Timeout | null = null;
  let keeper: NodeJS.Timeout | null = null;
  let isClosed = false;

  function add(row: SpooledRecord): void {
    const read = readRow(row, firstLookMs, log);
    if (read !== null) {
      unwritten.rollups.addEntry(read.entry);
      unwritten.tally.add(read.entry);
      if (read.entry.charges.length > 0) unwritten.charged.push(read.entry);
      unwritten.works.push(...read.works);
      unwritten.owned.push(...read.owned);
    }
    unwritten.place = row.seq;
  }

  async function writeAll(): Promise<boolean> {
    let isAnything = false;
    while (isBehind || unwritten.place > place) {
      if (isBehind) {
        const rows = spool.recordsAfter(Math.max(place, unwritten.place), BATCH_ROWS);
        for (const row of rows) add(row);
        isBehind = rows.length === BATCH_ROWS;
      }
      if (unwritten.place <= place) break;
      await write();
      isAnything = true;
      await nextTurn();
    }
    return isAnything;
  }

  async function write(): Promise<void> {
    const writing = unwritten;
    unwritten = new Unwritten();
    unwritten.place = writing.place;
    const { rollups, tally, charged, works, owned } = writing;
    const charges = charged.flatMap((entry): readonly Charge[] => entry.charges);
    try {
      const windows = await local.add({ charges, rollups: rollups.list(), works, owned, place: writing.place });
      place = writing.place;
      onPosted(charged, { settleKeys: new Set(charged.map(({ settleKey }) => settleKey)), windows });
      onEntered(tally);
    } catch (error) {
      // All of it is in the spool: it is read from there when the store takes it.
      unwritten = new Unwritten();
      isBehind = true;
      throw error;
    }
  }

  async function catchUp(): Promise<boolean> {
    const before = running === null ? false : await running.catch(() => false);
    running ??= writeAll().finally(() => {
      running = null;
    });
    return (await running) || before;
  }

  async function look(): Promise<void> {
    let againMs = LOOK_EVERY_MS;
    try {
      await catchUp();
    } catch (error) {
      tellFailure(error);
      againMs = RETRY_AFTER_MS;
    }
    if (isClosed) return;
    timer = setTimeout(() => void look(), againMs);
    timer.unref();
  }

  function tellFailure(error: unknown): void {
    log.warn('the ledger is not written, will try again', {
      why: error instanceof Error ? error.message : String(error),
    });
  }

  /** Records that retention is about to take leave their entries behind. */
  async function keepOld(beforeMs: number): Promise<void> {
    let kept = await local.keptPlace();
    for (;;) {
      const rows = spool.recordsAfter(kept, KEEP_ROWS).filter(({ seq }) => seq <= place);
      // Those that stand before an old one go with it: the place says of all before it that they are kept.
      const old = rows.slice(0, rows.findLastIndex(({ record }) => Date.parse(record.at) < beforeMs) + 1);
      const last = old.at(-1);
      if (last === undefined) return;
      const entries = old.flatMap((row) => readRow(row, firstLookMs, log)?.entry ?? []);
      await local.keep(entries, last.seq);
      kept = last.seq;
      spool.writeCursor(LEDGER_READER, kept);
      if (old.length < KEEP_ROWS) return;
      await nextTurn();
    }
  }

  function startKeeping(forMs: number): void {
    // A little before they go.
    const keep = async (): Promise<void> => {
      await keepOld(clock.now() - forMs * 0.99).catch(tellFailure);
      if (isClosed) return;
      keeper = setTimeout(() => void keep(), KEEP_EVERY_MS);
      keeper.unref();
    };
    void keep();
  }

  spool.writeCursor(LEDGER_READER, await local.keptPlace());
  spool.onRecords((rows) => {
    if (!isBehind) for (const row of rows) add(row);
  });
  return {
    catchUp,
    start() {
      if (timer !== null) return;
      timer = setTimeout(() => void look(), LOOK_EVERY_MS);
      timer.unref();
      if (keptMs !== null) startKeeping(keptMs);
    },
    replay: async () => void (await catchUp()),
    async close() {
      isClosed = true;
      if (timer !== null) clearTimeout(timer);
      if (keeper !== null) clearTimeout(keeper);
      // What cannot be written now is written at the next start.
      await catchUp().catch(() => {});
    },
  };
}
