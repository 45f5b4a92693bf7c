// What the tools ask of the store. One implementation per engine, one contract suite for all.
import type { AuditHead, AuditRow, Change, Deed } from './audit.ts';
import type { Hold } from './budget.ts';
import type { Entry } from './entry.ts';
import type { ExchangeRecord, Intent } from './exchange-record.ts';
import type { ExchangeId, KeyId, TeamId, UserId } from './id.ts';
import type { VirtualKey } from './key.ts';
import type { CostState } from './price.ts';
import type { Team } from './team.ts';
import type { User } from './user.ts';

/**
 * What is common to the three stores below: each change is kept together with its audit row, or neither is. An update reads,
 * changes and writes as one; a change that gives back the very same object writes nothing and leaves no audit row, and one that
 * throws leaves all as it was. What was deleted is kept for its history and found by its id only.
 */
export interface TeamStore {
  /** @throws ChangeRefused where the name is taken */
  insertTeam(team: Team, deed: Deed): Promise<void>;
  /** @returns the team as it now is; null for an unknown id. @throws ChangeRefused where the name is taken */
  updateTeam(id: TeamId, change: (team: Team) => Team, deed: Deed): Promise<Team | null>;
  findTeam(id: TeamId): Promise<Team | null>;
  findTeamByName(name: string): Promise<Team | null>;
  /** Newest first, as all lists are. Without a status, all that were not deleted. */
  listTeams(page: Page, filter: { readonly status?: Team['status'] | undefined }): Promise<Listed<Team>>;
}

export interface KeyStore {
  /** @throws ChangeRefused where another key has the token */
  insertKey(key: VirtualKey, deed: Deed): Promise<void>;
  /** @param change is given the key's team too, as it is at that moment */
  updateKey(id: KeyId, change: (key: VirtualKey, team: Team) => VirtualKey, deed: Deed): Promise<VirtualKey | null>;
  findKey(id: KeyId): Promise<VirtualKey | null>;
  /** By its token or by the one before the last rotation, whether or not that still opens. */
  findKeyByTokenHash(tokenHash: string): Promise<VirtualKey | null>;
  listKeys(page: Page, filter: KeyFilter): Promise<Listed<VirtualKey>>;
  /** All that ever were. */
  countKeys(): Promise<number>;
}

export interface KeyFilter {
  readonly teamId?: TeamId | undefined;
  readonly userId?: UserId | undefined;
  /** `expired`: active, but for the moment `at`. Without a status, all that were not deleted. */
  readonly status?: VirtualKey['status'] | 'expired' | undefined;
  /** Milliseconds since 1970, for the statuses `active` and `expired`. */
  readonly at: number;
}

export interface UserStore {
  /** @throws ChangeRefused where the name is taken */
  insertUser(user: User, deed: Deed): Promise<void>;
  /** @throws ChangeRefused where the name is taken */
  updateUser(id: UserId, change: (user: User) => User, deed: Deed): Promise<User | null>;
  findUser(id: UserId): Promise<User | null>;
  findUserByName(name: string): Promise<User | null>;
  findUserByTokenHash(tokenHash: string): Promise<User | null>;
  listUsers(page: Page, filter: UserFilter): Promise<Listed<User>>;
}

export interface UserFilter {
  readonly teamId?: TeamId | undefined;
  readonly status?: User['status'] | undefined;
}

/** Rows come to be with the changes they tell of; nobody changes one. */
export interface AuditStore {
  /** For a change that is kept elsewhere. Those of teams, keys and users bring their own. */
  append(change: Change): Promise<AuditRow>;
  list(page: Page, filter: AuditFilter): Promise<Listed<AuditRow>>;
  /** Oldest first, after a place in the chain. */
  readAfter(seq: number, limit: number): Promise<readonly AuditRow[]>;
  head(): Promise<AuditHead>;
}

export interface AuditFilter {
  readonly kind?: string | undefined;
  readonly id?: string | undefined;
  readonly actor?: string | undefined;
  /** Milliseconds since 1970, inclusive. */
  readonly from?: number | undefined;
  /** Exclusive. */
  readonly to?: number | undefined;
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
  readAfter(seq: number, limit: number): readonly { readonly seq: number; readonly record: string }[];
  /** The same as records, with what each had set aside. */
  recordsAfter(seq: number, limit: number): readonly SpooledRecord[];
  /** In the order of ids, after one of them, and written in a stretch: behind `from`, up to `to`. */
  recordsById(afterId: string, from: number, to: number, limit: number): readonly SpooledRecord[];
  recordWithId(id: string, from: number, to: number): SpooledRecord | null;
  /** How many are there of a stretch: behind `from`, up to `to`. */
  countRecords(from: number, to: number): number;
  /** Records as they are written from now on. At most one listener: the ledger. */
  onRecords(listener: (records: readonly SpooledRecord[]) => void): void;
  /** Records to come get places behind this one, which others know of, though a power failure may have taken it from here. */
  goBehind(seq: number): void;
  readCursor(reader: string): number | null;
  writeCursor(reader: string, seq: number): void;
  /** The place of the newest record, 0 where there is none. */
  lastSeq(): number;
  /** Removes records older than a moment, a few at a time. @returns how many went. */
  purgeBefore(atMs: number, rowsMax: number): number;
  /** Intents whose process died before their record was written. */
  orphanedIntents(): readonly Intent[];
  readonly entries: KeptEntries;
}

/** Entries of the ledger that no record makes. */
export interface KeptEntries {
  /** What is kept already stays as it is. */
  keep(entries: readonly Entry[]): void;
  /** The newest first, before a place. */
  before(seq: number, limit: number): readonly { readonly seq: number; readonly entry: Entry }[];
}

export interface SpooledRecord {
  /** Its place in the order of writing. */
  readonly seq: number;
  readonly record: ExchangeRecord;
  /** What the exchange had set aside; null where it touched no budget. */
  readonly hold: Hold | null;
}

export interface RecordFilter {
  readonly teamId?: string | undefined;
  readonly keyId?: string | undefined;
  readonly userId?: string | undefined;
  readonly tag?: string | undefined;
  readonly costState?: CostState | undefined;
  readonly endpoint?: string | undefined;
  readonly model?: string | undefined;
  readonly status?: number | undefined;
  /** Milliseconds since 1970, inclusive. */
  readonly from?: number | undefined;
  /** Exclusive. */
  readonly to?: number | undefined;
}
