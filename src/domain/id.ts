// Ids of everything Throughway names, and with src/keys/token.ts the only owner of randomness.
import { randomFillSync } from 'node:crypto';

export type ExchangeId = `exc_${string}`;
export type KeyId = `key_${string}`;
export type TeamId = `team_${string}`;

type Prefix = 'exc' | 'key' | 'team';

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
