// Entries that no record makes, of late work and of corrections, beside the records in the spool: so that a store that was lost, or
// set back, can be made again from the spool alone.
import type { DatabaseSync } from 'node:sqlite';

import type { Entry } from '../domain/entry.ts';
import type { KeptEntries } from '../domain/stores.ts';
import { ENTRY_COLUMNS, entryValues, toEntry } from './ledger-rows.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY, settle_key TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, entry TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS entries_at ON entries (at);
`;

export interface OpenKeptEntries extends KeptEntries {
  purgeBefore(atMs: number): void;
}

export function openKeptEntries(database: DatabaseSync): OpenKeptEntries {
  database.exec(SCHEMA);
  const insert = database.prepare(
    'INSERT INTO entries (settle_key, at, entry) VALUES (?, ?, ?) ON CONFLICT (settle_key) DO NOTHING',
  );
  const before = database.prepare('SELECT seq, entry FROM entries WHERE seq < ? ORDER BY seq DESC LIMIT ?');
  const purge = database.prepare('DELETE FROM entries WHERE at < ?');
  return {
    keep(entries) {
      database.exec('BEGIN IMMEDIATE');
      try {
        for (const entry of entries) insert.run(entry.settleKey, entry.at, JSON.stringify(entryValues(entry)));
        database.exec('COMMIT');
      } catch (error) {
        database.exec('ROLLBACK');
        throw error;
      }
    },
    before: (seq, limit) =>
      before.all(seq, limit).map((row) => ({ seq: Number(row['seq']), entry: entryIn(String(row['entry'])) })),
    purgeBefore: (atMs) => void purge.run(atMs),
  };
}

function entryIn(text: string): Entry {
  const values = JSON.parse(text) as readonly unknown[];
  const row = Object.fromEntries(ENTRY_COLUMNS.map((column, i) => [column, values[i]]));
  // Written by entryValues, in the order of its columns.
  return toEntry(row as Parameters<typeof toEntry>[0]);
}
