// The tables of the ledger, as they first stood, and the one function of PostgreSQL: holds of a whole turn of a replica's event
// loop are decided in one round trip.
import { type CreateTableBuilder, type Kysely, sql } from 'kysely';

import type { Engine } from './engine.ts';

export async function makeLedgerTables(db: Kysely<unknown>, engine: Engine['name']): Promise<void> {
  const { schema } = db;
  /** Found by their whole key alone: SQLite needs no second tree for it. */
  const keyed = <T extends string, C extends string>(table: CreateTableBuilder<T, C>) =>
    engine === 'sqlite' ? table.modifyEnd(sql`without rowid`) : table;

  await numbers(
    texts(
      schema.createTable('budgets').addColumn('id', 'text', (column) => column.primaryKey()),
      ['scope', 'period', 'time_zone', 'kind', 'thresholds'],
    )
      .addColumn('key_id', 'text')
      .addColumn('team_id', 'text')
      .addColumn('user_id', 'text')
      .addColumn('model', 'text')
      .addColumn('tag', 'text')
      .addColumn('limit_money', 'text')
      .addColumn('limit_tokens', 'bigint')
      .addColumn('increase_money', 'text')
      .addColumn('increase_tokens', 'bigint')
      .addColumn('increase_until', 'bigint'),
    ['is_rolling', 'counts_estimates', 'created_at', 'changed_at', 'is_deleted'],
  ).execute();
  await schema.createIndex('budgets_changed').on('budgets').column('changed_at').execute();

  await keyed(
    numbers(texts(schema.createTable('budget_windows'), ['budget_id', 'account']), [
      'window_start',
      'spent_hi',
      'spent_lo',
      'held_hi',
      'held_lo',
    ]).addPrimaryKeyConstraint('budget_windows_pk', ['budget_id', 'account', 'window_start'] as never),
  ).execute();

  await numbers(
    texts(schema.createTable('budget_holds'), [
      'exchange_id',
      'budget_id',
      'account',
      'unit',
      'amount',
      'owner',
      'details',
    ]),
    ['window_start', 'counts_estimates', 'expires_at'],
  )
    .addPrimaryKeyConstraint('budget_holds_pk', ['exchange_id', 'budget_id', 'account'] as never)
    .execute();
  await schema.createIndex('budget_holds_expiry').on('budget_holds').column('expires_at').execute();

  await numbers(
    texts(
      schema.createTable('entries').addColumn('settle_key', 'text', (column) => column.primaryKey()),
      ['kind', 'state', 'details'],
    )
      .addColumn('exchange_id', 'text')
      .addColumn('team_id', 'text')
      .addColumn('key_id', 'text')
      .addColumn('user_id', 'text')
      .addColumn('endpoint', 'text')
      .addColumn('model', 'text')
      .addColumn('amount', 'text'),
    ['tokens_in', 'tokens_out', 'at'],
  ).execute();

  await keyed(
    numbers(texts(schema.createTable('rollups'), [...ROLLUP_TEXTS]), ['at', ...ROLLUP_NUMBERS]).addPrimaryKeyConstraint(
      'rollups_pk',
      ['grain', 'tag', 'at', 'team_id', 'key_id', 'user_id', 'model', 'endpoint'] as never,
    ),
  ).execute();

  if (engine === 'postgres') await sql.raw(PLACE_HOLDS).execute(db);
}

/** Only SQLite's one process has places in one spool. */
export async function makeLedgerPlaces(db: Kysely<unknown>, engine: Engine['name']): Promise<void> {
  if (engine === 'postgres') return;
  await db.schema
    .createTable('ledger_places')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .execute();
}

interface Coarse {
  readonly grain: string;
  /** The grain that it is made of. */
  readonly of: string;
  /** What it tells apart still, beside tag and time. */
  readonly keeps: readonly string[];
}

/** Sums without keys, and without teams, are made of those that are there. */
export async function makeCoarseRollups(db: Kysely<unknown>): Promise<void> {
  await makeRollups(db, [
    { grain: 'day_of_teams', of: 'day', keeps: ['team_id', 'model', 'endpoint'] },
    { grain: 'thirty_days_of_teams', of: 'thirty_days', keeps: ['team_id', 'model', 'endpoint'] },
    { grain: 'day_of_models', of: 'day', keeps: ['model', 'endpoint'] },
  ]);
}

/** So are those without models, and hours without teams. */
export async function makeReportRollups(db: Kysely<unknown>): Promise<void> {
  await makeRollups(db, [
    { grain: 'day_of_keys', of: 'day', keeps: ['team_id', 'key_id', 'user_id'] },
    { grain: 'thirty_days_of_keys', of: 'thirty_days', keeps: ['team_id', 'key_id', 'user_id'] },
    { grain: 'day_of_whole_teams', of: 'day_of_teams', keeps: ['team_id'] },
    { grain: 'hour_of_models', of: 'hour', keeps: ['model', 'endpoint'] },
  ]);
}

async function makeRollups(db: Kysely<unknown>, all: readonly Coarse[]): Promise<void> {
  const sum = (name: string) => sql`sum(${sql.ref(name)})`;
  const high = (name: string) => sql`${sum(`${name}_hi`)} + cast(${sum(`${name}_lo`)} as bigint) / 1000000`;
  const low = (name: string) => sql`cast(${sum(`${name}_lo`)} as bigint) % 1000000`;
  const counters = sql.join(['partial', 'pending', 'unpriced', 'free', 'tokens_in', 'tokens_out'].map(sum));
  for (const { grain, of, keeps } of all) {
    const told = sql.join(ROLLUP_OWNERS.map((name) => (keeps.includes(name) ? sql.ref(name) : sql.lit(''))));
    await sql`
      INSERT INTO rollups (grain, tag, at, ${sql.join(ROLLUP_OWNERS.map((name) => sql.ref(name)))}, exchanges,
        measured_hi, measured_lo, estimated_hi, estimated_lo, partial, pending, unpriced, free, tokens_in, tokens_out)
      SELECT ${sql.lit(grain)}, tag, at, ${told}, ${sum('exchanges')},
        ${high('measured')}, ${low('measured')}, ${high('estimated')}, ${low('estimated')}, ${counters}
      FROM rollups WHERE grain = ${sql.lit(of)}
      GROUP BY tag, at, ${sql.join(keeps.map((name) => sql.ref(name)))}`.execute(db);
  }
}

const ROLLUP_OWNERS = ['team_id', 'key_id', 'user_id', 'model', 'endpoint'];
const ROLLUP_TEXTS = ['grain', 'tag', ...ROLLUP_OWNERS];
const ROLLUP_NUMBERS = [
  'exchanges',
  'measured_hi',
  'measured_lo',
  'estimated_hi',
  'estimated_lo',
  'partial',
  'pending',
  'unpriced',
  'free',
  'tokens_in',
  'tokens_out',
];

/**
 * Each ask is held in all its accounts or in none. Budgets are locked first and in one order, so that two callers never wait for
 * each other; what was charged or held before the locks were given is seen by the statements after. An exchange that is held
 * already gets more.
 */
const PLACE_HOLDS = `
CREATE FUNCTION place_budget_holds(asks jsonb, holder text, until_ms bigint, now_ms bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  ask jsonb;
  part jsonb;
  bound record;
  spent_now numeric;
  held_now numeric;
  answer jsonb;
  answers jsonb := '[]';
BEGIN
  PERFORM 1 FROM budgets
    WHERE id IN (SELECT p->>'b' FROM jsonb_array_elements(asks) a, jsonb_array_elements(a->'parts') p)
    ORDER BY id FOR NO KEY UPDATE;
  FOR ask IN SELECT value FROM jsonb_array_elements(asks) LOOP
    answer := 'null';
    FOR part IN SELECT value FROM jsonb_array_elements(ask->'parts') LOOP
      SELECT kind, is_deleted, coalesce(limit_money::numeric, limit_tokens::numeric)
          + CASE WHEN increase_until > now_ms THEN coalesce(increase_money::numeric, increase_tokens, 0) ELSE 0 END AS most
        INTO bound FROM budgets WHERE id = part->>'b';
      CONTINUE WHEN NOT FOUND OR bound.kind <> 'hard' OR bound.is_deleted = 1;
      SELECT coalesce(sum(spent_hi::numeric * 1000000 + spent_lo), 0), coalesce(sum(held_hi::numeric * 1000000 + held_lo), 0)
        INTO spent_now, held_now FROM budget_windows
        WHERE budget_id = part->>'b' AND account = part->>'a' AND window_start >= (part->>'f')::bigint;
      IF spent_now + held_now + (part->>'n')::numeric > bound.most
          OR ((part->>'u')::boolean AND spent_now + held_now >= bound.most) THEN
        answer := jsonb_build_object('b', part->>'b', 's', spent_now::text, 'h', held_now::text);
        EXIT;
      END IF;
    END LOOP;
    IF answer = 'null' THEN
      INSERT INTO budget_holds AS h
          (exchange_id, budget_id, account, window_start, unit, counts_estimates, amount, owner, expires_at, details)
        SELECT ask->>'id', p->>'b', p->>'a', (p->>'w')::bigint, p->>'t', (p->>'e')::bigint, p->>'n', holder, until_ms, ask->>'d'
          FROM jsonb_array_elements(ask->'parts') p
        ON CONFLICT (exchange_id, budget_id, account)
          DO UPDATE SET amount = (h.amount::numeric + excluded.amount::numeric)::text;
      INSERT INTO budget_windows AS w (budget_id, account, window_start, spent_hi, spent_lo, held_hi, held_lo)
        SELECT p->>'b', p->>'a', (p->>'w')::bigint, 0, 0, div((p->>'n')::numeric, 1000000), mod((p->>'n')::numeric, 1000000)
          FROM jsonb_array_elements(ask->'parts') p
        ON CONFLICT (budget_id, account, window_start) DO UPDATE SET
          held_hi = w.held_hi + excluded.held_hi + (w.held_lo + excluded.held_lo) / 1000000,
          held_lo = (w.held_lo + excluded.held_lo) % 1000000;
    END IF;
    answers := answers || jsonb_build_array(answer);
  END LOOP;
  RETURN answers;
END $$`;

function texts<T extends string, C extends string>(
  table: CreateTableBuilder<T, C>,
  names: readonly string[],
): CreateTableBuilder<T, C> {
  let made = table;
  for (const name of names) made = made.addColumn(name as never, 'text', (column) => column.notNull());
  return made;
}

function numbers<T extends string, C extends string>(
  table: CreateTableBuilder<T, C>,
  names: readonly string[],
): CreateTableBuilder<T, C> {
  let made = table;
  for (const name of names) made = made.addColumn(name as never, 'bigint', (column) => column.notNull());
  return made;
}
