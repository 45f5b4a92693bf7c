// Pages of objects by creation: rows of the same second in the order in which they were written.
import type { ObjectList, ObjectPage } from '../domain/assistant-store.ts';
import type { AnySelect } from './engine.ts';

interface Placed {
  readonly pk: number;
  readonly id: string;
  readonly created_at: number;
}

/**
 * @param scope all rows of the list, wherever a cursor may stand
 * @param rows those of them that are asked for; its own scope where all are
 */
export async function readPage<Row extends Placed, T>(
  scope: AnySelect,
  page: ObjectPage<string>,
  toObject: (row: Row) => T,
  rows: AnySelect = scope,
): Promise<ObjectList<T>> {
  const place = async (id: string | undefined): Promise<Placed | undefined> =>
    id === undefined
      ? undefined
      : ((await scope.selectAll().where('id', '=', id).executeTakeFirst()) as Placed | undefined);
  const after = await place(page.after);
  if (page.after !== undefined && after === undefined) return { kind: 'unknown_cursor', cursor: 'after' };
  const before = await place(page.before);
  if (page.before !== undefined && before === undefined) return { kind: 'unknown_cursor', cursor: 'before' };

  // Without `after`, the rows nearest to `before` are wanted: read backwards, then turned round.
  const isBackwards = before !== undefined && after === undefined;
  const direction = isBackwards === (page.order === 'asc') ? 'desc' : 'asc';
  let query = rows
    .selectAll()
    .orderBy('created_at', direction)
    .orderBy('pk', direction)
    .limit(page.limit + 1);
  if (after !== undefined) query = beyond(query, page.order === 'asc' ? '>' : '<', after);
  if (before !== undefined) query = beyond(query, page.order === 'asc' ? '<' : '>', before);

  // One row more than asked for was read, to know whether there is a next page.
  const found = (await query.execute()) as Row[];
  const data = found.slice(0, page.limit).map(toObject);
  return { kind: 'page', data: isBackwards ? data.toReversed() : data, hasMore: found.length > page.limit };
}

function beyond(query: AnySelect, side: '<' | '>', { created_at, pk }: Placed): AnySelect {
  return query.where((eb) => eb(eb.refTuple('created_at', 'pk'), side, eb.tuple(created_at, pk)));
}
