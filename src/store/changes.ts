// What the stores of teams, keys and users share: unique names as refusals, pages by id.
import { ChangeRefused } from '../domain/change-refused.ts';
import type { Listed } from '../domain/stores.ts';

/** @throws ChangeRefused in place of the engine's own error, where something must be unique and is not */
export async function refuseTaken<T>(writing: Promise<T>, field: string, value: string, allowed: string): Promise<T> {
  try {
    return await writing;
  } catch (error) {
    if (isTaken(error)) throw new ChangeRefused('taken', field, value, allowed);
    throw error;
  }
}

/** SQLITE_CONSTRAINT_UNIQUE, and what PostgreSQL calls the same. */
function isTaken(error: unknown): boolean {
  const { code, errcode } = error as { readonly code?: unknown; readonly errcode?: unknown };
  return errcode === 2067 || code === '23505';
}

/** One row more than asked for was read, to know whether there is a next page. */
export function toPage<T extends { readonly id: string }>(rows: readonly T[], limit: number): Listed<T> {
  const data = rows.slice(0, limit);
  return { data, nextCursor: rows.length > limit ? (data.at(-1)?.id ?? null) : null };
}
