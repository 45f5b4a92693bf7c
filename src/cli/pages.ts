// Lists of the admin API, read to their end: people and programs get all of it, not the first page.
import { LIST_LIMIT_MAX } from '../admin/contract.ts';

interface Page<T> {
  readonly data: readonly T[];
  readonly next_cursor: string | null;
}

export async function readAll<T>(read: (page: { limit: string; cursor?: string }) => Promise<Page<T>>): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<T> = await read({ limit: String(LIST_LIMIT_MAX), ...(cursor !== null && { cursor }) });
    all.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return all;
}
