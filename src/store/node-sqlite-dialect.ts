// Lets Kysely speak to Node's own SQLite: the driver that its SqliteDialect expects, over node:sqlite.
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';

import { SqliteDialect, type SqliteDatabase } from 'kysely';

export function nodeSqliteDialect(database: DatabaseSync): SqliteDialect {
  const adapted: SqliteDatabase = {
    close: () => database.close(),
    prepare(sql) {
      const statement = database.prepare(sql);
      const values = (parameters: readonly unknown[]) => parameters as SQLInputValue[];
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...values(parameters)),
        run: (parameters) => statement.run(...values(parameters)),
        iterate: (parameters) => statement.iterate(...values(parameters)) as IterableIterator<unknown>,
      };
    },
  };
  return new SqliteDialect({ database: adapted });
}
