// Sums of rollups, as reports ask for them: little at once, or much and aside.
import { type Kysely, type RawBuilder, sql } from 'kysely';

import type {
  Grain,
  RollupDimension,
  RollupQuery,
  RollupSum,
  Stretch,
  StretchesQuery,
} from '../domain/ledger-store.ts';
import { ANY_TAG, grainMs, isNothing } from '../domain/rollup.ts';
import type { Engine } from './engine.ts';
import { COUNTERS } from './ledger-post.ts';
import { whole } from './ledger-rows.ts';
import type { Schema } from './schema.ts';

const DIMENSIONS = {
  at: 'at',
  tag: 'tag',
  team: 'team_id',
  key: 'key_id',
  user: 'user_id',
  model: 'model',
  endpoint: 'endpoint',
} as const satisfies Record<RollupDimension, keyof Schema['rollups']>;

const SUMS = [
  ...COUNTERS,
  'measured_hi',
  'measured_lo',
  'estimated_hi',
  'estimated_lo',
] as const satisfies readonly (keyof Schema['rollups'])[];

const MOMENTS_MAX = 1000;

function momentsOf({ grain, from, to }: Stretch): number[] {
  const first = Math.ceil(from / grainMs(grain)) * grainMs(grain);
  const count = Math.max(0, Math.ceil((to - first) / grainMs(grain)));
  return Array.from({ length: count }, (_, i) => first + i * grainMs(grain));
}

type Asked = Pick<RollupQuery, 'by' | 'where'>;

/** The rollups of one stretch that count. */
function rollupsOf(db: Kysely<Schema>, stretch: Stretch, { by, where }: Asked) {
  const { grain, from, to } = stretch;
  const moments = momentsOf(stretch);
  let query = db.selectFrom('rollups').where('grain', '=', grain);
  // One by one, where it saves reading the rows of all other teams.
  query =
    where.team !== undefined && moments.length > 0 && moments.length <= MOMENTS_MAX
      ? query.where('at', 'in', moments)
      : query.where('at', '>=', from).where('at', '<', to);
  // Rows of tags count an exchange once for each of them: they are asked for by tag alone.
  if (!tellsUntagged({ by, where })) query = query.where('tag', '=', where.tag ?? '');
  else query = query.where('tag', 'in', tagsIn(grain));
  for (const [name, value] of Object.entries(where)) {
    // The keys of `where` are dimensions by its type.
    if (name !== 'tag') query = query.where(DIMENSIONS[name as RollupDimension], '=', value);
  }
  return query;
}

/** All tags are told apart, and what has none: that is all, without what has any. */
function tellsUntagged({ by, where }: Asked): boolean {
  return by.includes('tag') && where.tag === undefined;
}

/** In text and not as parameters: groups and what is selected of them must be the same. */
const IS_OF_ANY = sql`tag = ${sql.lit(ANY_TAG)}`;
const SHOWN_TAG = sql<string>`(CASE WHEN ${IS_OF_ANY} THEN '' ELSE tag END)`;

function columnsOf(asked: Asked) {
  return asked.by.map((name) =>
    name === 'tag' && tellsUntagged(asked)
      ? SHOWN_TAG.as('tag')
      : sql<string | number>`${sql.ref(DIMENSIONS[name])}`.as(DIMENSIONS[name]),
  );
}

/** As many as there are of a counter, or as many less. */
function counted(name: (typeof SUMS)[number], sign: 1 | -1, asked: Asked): RawBuilder<number> {
  const [more, less] = sign === 1 ? [sql``, sql`-`] : [sql`-`, sql``];
  if (!tellsUntagged(asked)) return sql<number>`${more}${sql.ref(name)}`;
  return sql<number>`(CASE WHEN ${IS_OF_ANY} THEN ${less}${sql.ref(name)} ELSE ${more}${sql.ref(name)} END)`;
}

/** Found one after the other, each by a look into the index: else all rows of all tags would be read, whatever their time. */
function tagsIn(grain: Grain) {
  const next = (after: RawBuilder<unknown>) =>
    sql`(SELECT min(tag) FROM rollups WHERE grain = ${grain} AND tag > ${after})`;
  return sql<string>`(WITH RECURSIVE tags (tag) AS (
    SELECT '' UNION ALL SELECT ${next(sql`tags.tag`)} FROM tags WHERE tags.tag IS NOT NULL
  ) SELECT tag FROM tags WHERE tag IS NOT NULL)`;
}

type SummedRow = Readonly<
  Partial<Record<(typeof DIMENSIONS)[RollupDimension], string | number>> &
    Record<(typeof SUMS)[number], number | string | null>
>;

export async function sumRollups(db: Kysely<Schema>, query: RollupQuery): Promise<readonly RollupSum[]> {
  if (momentsOf(query).length === 0) return [];
  const summed = rollupsOf(db, query, query).select(({ fn }) =>
    SUMS.map((name) => fn.sum<number | string>(counted(name, 1, query)).as(name)),
  );
  // Without groups there is one row of all; SQL has no empty list for it.
  const columns = columnsOf(query);
  const grouped = columns.length === 0 ? summed : summed.groupBy(columns.map(({ expression }) => expression));
  return sumsOf(await grouped.select(columns).execute(), query);
}

export async function sumStretches(
  engine: Engine,
  query: StretchesQuery,
  onSums: (sums: readonly RollupSum[]) => void,
): Promise<void> {
  const columns = query.by.map((name) => DIMENSIONS[name]);
  const parts = query.stretches.map((stretch) =>
    rollupsOf(engine.db, stretch, query)
      .select(columnsOf(query))
      .select(SUMS.map((name) => counted(name, stretch.sign, query).as(name))),
  );
  const [first, ...others] = parts;
  if (first === undefined) return;
  const all = others.reduce<typeof first>((one, other) => one.unionAll(other), first);
  const summed = engine.db
    .selectFrom(all.as('parts'))
    .select(({ fn }) => SUMS.map((name) => fn.sum<number | string>(name).as(name)));
  const grouped = columns.length === 0 ? summed : summed.groupBy(columns);
  await engine.readAside(grouped.select(columns).compile(), (rows) => onSums(sumsOf(rows, query)));
}

function sumsOf(rows: readonly SummedRow[], asked: Asked): RollupSum[] {
  const { by } = asked;
  const sums = rows
    .filter((row) => row.exchanges !== null)
    .map((row) => ({
      group: groupOf(row, by),
      exchanges: Number(row.exchanges),
      measured: whole(row.measured_hi, row.measured_lo),
      estimated: whole(row.estimated_hi, row.estimated_lo),
      partial: Number(row.partial),
      pending: Number(row.pending),
      unpriced: Number(row.unpriced),
      free: Number(row.free),
      tokensIn: Number(row.tokens_in),
      tokensOut: Number(row.tokens_out),
    }));
  // Where everything has a tag, nothing is left of what has none.
  return tellsUntagged(asked) ? sums.filter((sum) => !isNothing(sum)) : sums;
}

function groupOf(row: SummedRow, by: readonly RollupDimension[]): RollupSum['group'] {
  const group: Partial<Record<RollupDimension, string | number>> = {};
  for (const name of by) {
    const value = row[DIMENSIONS[name]];
    if (value !== undefined) group[name] = value;
  }
  return group;
}
