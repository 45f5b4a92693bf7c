// Lets Kysely speak to Node's own SQLite: the driver that its SqliteDialect expects, over node:sqlite.
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';

import { SqliteAdapter, SqliteDialect, type SqliteDatabase } from 'kysely';

/** Statements kept prepared: the queries of the store are few, and preparing one takes longer than running it. */
const STATEMENTS_MAX = 256;

/** @param onWrite called for each statement that may have changed something */
export function nodeSqliteDialect(database: DatabaseSync, onWrite: () => void): SqliteDialect {
  const prepared = new Map<string, ReturnType<SqliteDatabase['prepare']>>();
  const prepare: SqliteDatabase['prepare'] = (sql) => {
    const statement = database.prepare(sql);
    const values = (parameters: readonly unknown[]) => parameters as SQLInputValue[];
    const told = READS.test(sql) ? () => {} : onWrite;
    return {
      reader: statement.columns().length > 0,
      all(parameters) {
        told();
        return statement.all(...values(parameters));
      },
      run(parameters) {
        told();
        return statement.run(...values(parameters));
      },
      iterate: (parameters) => statement.iterate(...values(parameters)) as IterableIterator<unknown>,
    };
  };
  const adapted: SqliteDatabase = {
    close: () => database.close(),
    prepare(sql) {
      let statement = prepared.get(sql);
      if (statement === undefined) {
        statement = prepare(sql);
        // Queries with lists in them come in many lengths; the oldest goes.
        if (prepared.size >= STATEMENTS_MAX) prepared.delete(prepared.keys().next().value!);
        prepared.set(sql, statement);
      }
      return statement;
    },
  };
  return new Dialect({ database: adapted });
}

class Dialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new Adapter();
  }
}

/** SQLite can undo a change of the schema: without saying so, a migration that is broken off would stay half done. */
class Adapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

const READS = /^\s*(select|begin|rollback|pragma)\b/i;
