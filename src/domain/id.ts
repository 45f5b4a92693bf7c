// Ids of everything Throughway names, and with src/keys/token.ts the only owner of randomness.
import { randomFillSync } from 'node:crypto';

export type ExchangeId = `exc_${string}`;
export type KeyId = `key_${string}`;
export type TeamId = `team_${string}`;
export type UserId = `user_${string}`;
export type BudgetId = `budget_${string}`;

type Prefix = 'audit' | 'budget' | 'entry' | 'exc' | 'key' | 'replica' | 'team' | 'user';

/** Crockford's base 32 in lower case: no i, l, o, u. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const RANDOM_CHARACTERS = 16;

const pool = new Uint8Array(8192);
let poolAt = pool.length;

/**
 * A new id: prefix, ten characters of time, sixteen random ones (80 bits).
 * Ids made later sort later, so that an index on them only ever grows at its end.
 * @param atMs the wall clock in milliseconds
 */
export function newId<P extends Prefix>(prefix: P, atMs: number): `${P}_${string}` {
  if (poolAt + RANDOM_CHARACTERS > pool.length) {
    randomFillSync(pool);
    poolAt = 0;
  }
  let random = '';
  for (const end = poolAt + RANDOM_CHARACTERS; poolAt < end; poolAt++) random += DIGITS[pool[poolAt]! & 31];
  return `${prefix}_${timePart(atMs)}${random}`;
}

let lastMs = -1;
let lastPart = '';

function timePart(atMs: number): string {
  if (atMs === lastMs) return lastPart;
  let rest = atMs;
  let part = '';
  for (let i = 0; i < 10; i++) {
    part = DIGITS[rest % 32] + part;
    rest = Math.floor(rest / 32);
  }
  lastMs = atMs;
  lastPart = part;
  return part;
}

const OBJECT_DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const OBJECT_CHARACTERS = 24;

/** What stands before the characters of an object's id, as OpenAI writes its own. */
export type ObjectPrefix = 'asst_' | 'thread_' | 'msg_' | 'run_' | 'step_' | 'call_' | 'file-tw-';

/** A new id for an object that callers see: prefix and 24 of the digits and letters (142 bits), without any time in it. */
export function newObjectId<P extends ObjectPrefix>(prefix: P): `${P}${string}` {
  let id = '';
  while (id.length < OBJECT_CHARACTERS) {
    if (poolAt === pool.length) {
      randomFillSync(pool);
      poolAt = 0;
    }
    // Two of the 64 values have no digit: they are thrown again, so that each digit is as likely as any other.
    id += OBJECT_DIGITS[pool[poolAt++]! & 63] ?? '';
  }
  return `${prefix}${id}`;
}
