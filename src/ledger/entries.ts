// Entries wherever they stand: in the store, or, where one process alone writes the ledger, as records in its spool.
import type { Entry } from '../domain/entry.ts';
import type { LedgerStore } from '../domain/ledger-store.ts';
import type { Spool } from '../domain/stores.ts';
import { entryOf } from './entry-of.ts';

export interface Entries {
  find(settleKey: string): Promise<Entry | null>;
  /** In the order of settle keys. Empty only where there are no more. */
  after(settleKey: string, limit: number): Promise<readonly Entry[]>;
  /** Records whose sums are in the store, and that the spool has lost before their entries were. */
  countLost(): Promise<number>;
}

export function openEntries(store: LedgerStore, spool: Spool): Entries {
  const { local } = store;
  if (local === null) return { find: store.findEntry, after: store.entriesAfter, countLost: () => Promise.resolve(0) };
  /** Of records whose sums are in the store, and whose entries are not. @returns also how far it looked; null for to the end */
  async function fromSpool(settleKey: string, limit: number): Promise<Page> {
    const [from, to] = [await local!.keptPlace(), await local!.place()];
    for (let after = settleKey; ;) {
      const rows = spool.recordsById(after, from, to, limit);
      const entries = rows.flatMap((row) => entryOf(row) ?? []);
      const upTo = rows.length < limit ? null : (rows.at(-1)?.record.id ?? null);
      // Records that nobody pays for have none.
      if (entries.length > 0 || upTo === null) return { entries, upTo };
      after = upTo;
    }
  }

  return {
    async find(settleKey) {
      const entry = await store.findEntry(settleKey);
      if (entry !== null) return entry;
      const [from, to] = [await local.keptPlace(), await local.place()];
      const row = spool.recordWithId(settleKey, from, to);
      return row === null ? null : entryOf(row);
    },
    async countLost() {
      const [from, to] = [await local.keptPlace(), await local.place()];
      return Math.max(0, to - from - spool.countRecords(from, to));
    },
    async after(settleKey, limit) {
      const kept = await store.entriesAfter(settleKey, limit);
      const spooled = await fromSpool(settleKey, limit);
      const ends = [kept.length < limit ? null : (kept.at(-1)?.settleKey ?? null), spooled.upTo].filter(
        (end) => end !== null,
      );
      const both = [...kept, ...spooled.entries].filter((entry) => ends.every((end) => entry.settleKey <= end));
      return both.toSorted((one, other) => (one.settleKey < other.settleKey ? -1 : 1)).slice(0, limit);
    },
  };
}

interface Page {
  readonly entries: readonly Entry[];
  readonly upTo: string | null;
}
