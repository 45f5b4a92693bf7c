// The tables of the shared store, as Kysely sees them. Times are milliseconds since 1970.
import type { AssistantSchema } from './assistant-schema.ts';
import type { KeySchema } from './key-schema.ts';
import type { LedgerSchema } from './ledger-schema.ts';
import type { OwnedObjectSchema } from './owned-object-migration.ts';
import type { PendingWorkSchema } from './pending-work-migration.ts';
import type { PriceSchema } from './price-schema.ts';

export interface Schema
  extends AssistantSchema, KeySchema, LedgerSchema, OwnedObjectSchema, PendingWorkSchema, PriceSchema {}
