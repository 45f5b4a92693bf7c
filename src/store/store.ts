// The door to everything kept: the shared store (teams, keys, the Assistants API) and this process's spool.
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import type { AssistantStore } from '../domain/assistant-store.ts';
import { type Clock, systemClock } from '../domain/clock.ts';
import type { LedgerStore } from '../domain/ledger-store.ts';
import type { OwnerStore } from '../domain/ownership.ts';
import type { WorkStore } from '../domain/pending-work.ts';
import type { PriceStore } from '../domain/price-store.ts';
import type { AuditStore, KeyStore, TeamStore, UserStore } from '../domain/stores.ts';
import type { Wakeups } from '../domain/wakeups.ts';
import { assistantStore } from './assistants.ts';
import { auditStore } from './audit.ts';
import type { Engine } from './engine.ts';
import { keyStore } from './keys.ts';
import { ledgerStore } from './ledger.ts';
import { migrateToLatest } from './migrate.ts';
import { ownerStore } from './owned-objects.ts';
import { workStore } from './pending-work.ts';
import { priceStore } from './prices.ts';
import { lapseLeases } from './run-work.ts';
import { type OpenSpool, openSpool } from './spool.ts';
import { openSqlite } from './sqlite.ts';
import { teamStore } from './teams.ts';
import { userStore } from './users.ts';

export interface Store {
  readonly teams: TeamStore;
  readonly keys: KeyStore;
  readonly users: UserStore;
  readonly audit: AuditStore;
  readonly assistants: AssistantStore;
  readonly ledger: LedgerStore;
  readonly owners: OwnerStore;
  readonly work: WorkStore;
  readonly prices: PriceStore;
  readonly wakeups: Wakeups;
  readonly spool: OpenSpool;
  close(): Promise<void>;
}

export interface StoreOptions {
  /** Made where there is none, for its owner's eyes only. */
  readonly dataDir: string;
  readonly durability: 'group' | 'strict';
  /** `postgres://...` of the shared store; without it, it is kept in the data dir. */
  readonly databaseUrl?: string | null;
  readonly clock?: Clock;
}

/** @throws Error when another process holds the data dir, when it cannot be written, or when the database cannot be reached. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { dataDir, durability } = options;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  chmodSync(dataDir, 0o700);
  const lock = holdDataDir(dataDir);
  const engine = await openEngine(options).catch((error: unknown) => {
    lock.close();
    throw error;
  });
  const spool = openSpool(join(dataDir, 'spool.db'), durability);
  return {
    teams: teamStore(engine),
    keys: keyStore(engine),
    users: userStore(engine),
    audit: auditStore(engine),
    assistants: assistantStore(engine),
    ledger: ledgerStore(engine),
    owners: ownerStore(engine),
    work: workStore(engine),
    prices: priceStore(engine),
    wakeups: engine.wakeups,
    spool,
    async close() {
      await spool.close();
      await engine.close();
      lock.close();
    },
  };
}

async function openEngine({
  dataDir,
  durability,
  databaseUrl = null,
  clock = systemClock,
}: StoreOptions): Promise<Engine> {
  if (databaseUrl === null) {
    const engine = openSqlite(join(dataDir, 'throughway.db'), clock, durability);
    await migrateToLatest(engine);
    await lapseLeases(engine);
    return engine;
  }
  // Loaded where it is wanted: the driver takes more memory than a small gateway's whole state.
  const { openPostgres } = await import('./postgres.ts');
  const engine = await openPostgres(databaseUrl, clock);
  await migrateToLatest(engine);
  return engine;
}

/** A lock that the system lets go of when the process dies, however it dies. */
function holdDataDir(dataDir: string): DatabaseSync {
  const lock = new DatabaseSync(join(dataDir, 'lock.db'), { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode=DELETE; BEGIN EXCLUSIVE');
  } catch (cause) {
    lock.close();
    throw new Error(`the data dir ${dataDir} is held by another Throughway; stop it, or set another --data-dir`, {
      cause,
    });
  }
  return lock;
}
