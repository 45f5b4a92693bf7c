// What the tools ask of the store. One implementation per engine, one contract suite for all.
import type { Hold } from './budget.ts';
import type { ExchangeRecord, Intent } from './exchange-record.ts';
import type { ExchangeId, KeyId, TeamId } from './id.ts';
import type { VirtualKey } from './key.ts';
import type { Team } from './team.ts';

export interface TeamStore {
  insertTeam(team: Team): Promise<void>;
  findTeam(id: TeamId): Promise<Team | null>;
  findTeamByName(name: string): Promise<Team | null>;
  listTeams(page: Page): Promise<Listed<Team>>;
}

export interface KeyStore {
  insertKey(key: VirtualKey): Promise<void>;
  findKey(id: KeyId): Promise<VirtualKey | null>;
  findKeyByTokenHash(tokenHash: string): Promise<VirtualKey | null>;
  /** @returns the key as it now is; null for an unknown id. */
  revokeKey(id: KeyId): Promise<VirtualKey | null>;
  listKeys(page: Page, filter: { teamId?: TeamId | undefined }): Promise<Listed<VirtualKey>>;
  countKeys(): Promise<number>;
}

export interface Page {
  readonly limit: number;
  /** The last page's `nextCursor`; null starts at the newest. */
  readonly cursor: string | null;
}

export interface Listed<T> {
  readonly data: readonly T[];
  readonly nextCursor: string | null;
}

/** Called once the write survives the death of this process; with an error when it could not be made to. */
export type Written = (error: Error | null) => void;

/** Intents and records of this process. Writes that come in one turn of the event loop share one transaction. */
export interface Spool {
  writeIntent(intent: Intent, written: Written): void;
  /** Adds a record and takes its intent away, where it had one. */
  writeRecord(record: ExchangeRecord, written: Written): void;
  findRecord(id: ExchangeId): ExchangeRecord | null;
  /** Newest first. Never holds the event loop for long, however few rows match. */
  listRecords(page: Page, filter: RecordFilter): Promise<Listed<ExchangeRecord>>;
  /** Oldest first, after a place in the order of writing: for whoever reads along. */
  readAfter(seq: number, limit: number): readonly SpooledRecord[];
  readCursor(reader: string): number | null;
  writeCursor(reader: string, seq: number): void;
  /** The place of the newest record, 0 where there is none. */
  lastSeq(): number;
  /** Removes records older than a moment, a few at a time. @returns how many went. */
  purgeBefore(atMs: number, rowsMax: number): number;
  /** Intents whose process died before their record was written. */
  orphanedIntents(): readonly Intent[];
}

export interface SpooledRecord {
  /** Its place in the order of writing. */
  readonly seq: number;
  /** JSON of an ExchangeRecord. */
  readonly record: string;
  /** What the exchange had set aside; null where it touched no budget. */
  readonly hold: Hold | null;
}

export interface RecordFilter {
  readonly teamId?: string | undefined;
  readonly keyId?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly model?: string | undefined;
  readonly status?: number | undefined;
  /** Milliseconds since 1970, inclusive. */
  readonly from?: number | undefined;
  /** Exclusive. */
  readonly to?: number | undefined;
}
