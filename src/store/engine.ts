// What differs between the engines, and nothing else: sqlite.ts and postgres.ts each give one of these.
import type { ColumnDataType, ColumnDefinitionBuilder, CompiledQuery, Kysely, SelectQueryBuilder } from 'kysely';

import type { Wakeups } from '../domain/wakeups.ts';
import type { Schema } from './schema.ts';

export interface Engine {
  readonly name: 'sqlite' | 'postgres';
  readonly db: Kysely<Schema>;
  readonly types: ColumnTypes;
  /** The time that all users of this database agree on, milliseconds. */
  now(): number;
  /** The rows that this query finds are nobody else's until the transaction ends. */
  lockRows<Q extends AnySelect>(query: Q): Q;
  /** As lockRows, but rows that another transaction holds are passed over. */
  lockFreeRows<Q extends AnySelect>(query: Q): Q;
  /** A read that may take long: the event loop goes on. @param onRows in order, some at a time */
  readAside<R>(query: CompiledQuery<R>, onRows: (rows: readonly R[]) => void): Promise<void>;
  readonly wakeups: Wakeups;
  close(): Promise<void>;
}

export interface ColumnTypes {
  /** A number that grows with each row. */
  readonly identity: {
    readonly type: ColumnDataType;
    define(column: ColumnDefinitionBuilder): ColumnDefinitionBuilder;
  };
  readonly bytes: ColumnDataType;
}

// Kysely's own shape for "any select", whatever its tables and columns are.
// oxlint-disable-next-line typescript/no-explicit-any
export type AnySelect = SelectQueryBuilder<any, any, any>;
