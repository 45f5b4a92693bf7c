// The query of lists: limit, order, cursors, and what else an operation takes.
import type { ObjectList, ObjectPage } from '../domain/assistant-store.ts';
import * as errors from './api-error.ts';
import { SEARCH_CONTENT, listObject } from './wire.ts';

const LIMIT_DEFAULT = 20;
const LIMIT_MAX = 100;
const ORDERS = ['asc', 'desc'] as const;

/** @throws ApiError */
export function pageOf<Id extends string>(query: URLSearchParams, kind: errors.Kind): ObjectPage<Id> {
  return {
    limit: limitOf(query.get('limit')),
    order: orderOf(query.get('order')),
    after: cursorOf<Id>(query, 'after', kind),
    before: cursorOf<Id>(query, 'before', kind),
  };
}

function limitOf(text: string | null): number {
  if (text === null || text === '') return LIMIT_DEFAULT;
  const limit = Number(text);
  if (Number.isNaN(limit)) throw errors.invalidType('limit', 'an integer', 'a string');
  if (!Number.isInteger(limit)) throw errors.invalidType('limit', 'an integer', 'a decimal');
  if (limit > LIMIT_MAX) throw errors.numberOutOfRange('limit', 'integer', 'above', LIMIT_MAX, limit);
  if (limit < 1) throw errors.numberOutOfRange('limit', 'integer', 'below', 1, limit);
  return limit;
}

function orderOf(text: string | null): 'asc' | 'desc' {
  if (text === null || text === '') return 'desc';
  const order = ORDERS.find((known) => known === text);
  if (order === undefined) throw errors.invalidValue('order', text, ORDERS);
  return order;
}

function cursorOf<Id extends string>(
  query: URLSearchParams,
  name: 'after' | 'before',
  kind: errors.Kind,
): Id | undefined {
  const id = query.get(name);
  if (id === null || id === '') return undefined;
  if (!id.startsWith(errors.KINDS[kind].prefix)) throw errors.wrongPrefix(name, id, kind);
  // It begins as ids of this kind do.
  return id as Id;
}

/** `include[]`, as SDKs write it, or `include`. @throws ApiError */
export function includeOf(query: URLSearchParams): readonly string[] {
  const include = [...query.getAll('include[]'), ...query.getAll('include')];
  const unknown = include.find((name) => name !== SEARCH_CONTENT);
  if (unknown !== undefined) throw errors.invalidValue('include[0]', unknown, [SEARCH_CONTENT]);
  return include;
}

/** @throws ApiError for a cursor that names no object of the list */
export function listOf<T, O extends { readonly id: string }>(
  page: ObjectPage<string>,
  list: ObjectList<T>,
  toObject: (row: T) => O,
) {
  if (list.kind === 'unknown_cursor') throw errors.unknownCursor(list.cursor, page[list.cursor] ?? '');
  return listObject(list.data.map(toObject), list.hasMore);
}
