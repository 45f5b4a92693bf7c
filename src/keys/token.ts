// Tokens of virtual keys: `sk-tw-` + 28 random characters (166 bits) + `-` + 6 characters of checksum. Regex for scanners:
// sk-tw-[0-9A-Za-z]{28}-[0-9A-Za-z]{6}. The checksum tells a mistyped or invented token from a real one without a look-up.
// An operator may give a key a token of his own, so that clients need not change theirs.
import { hash, randomInt, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const PREFIX = 'sk-tw-';
const RANDOM_CHARACTERS = 28;
const CHECKSUM_CHARACTERS = 6;
const FORM = /^sk-tw-[0-9A-Za-z]{28}-[0-9A-Za-z]{6}$/;
/** Visible ASCII: what stands in a header as it is. */
const GIVEN_FORM = /^[!-~]{16,256}$/;
const ADMIN_PREFIX = 'tw-admin-';
const ADMIN_FORM = /^tw-admin-[0-9A-Za-z]{43}$/;

export function newToken(): string {
  let random = '';
  for (let i = 0; i < RANDOM_CHARACTERS; i++) random += DIGITS[randomInt(DIGITS.length)];
  return `${PREFIX}${random}-${checksum(random)}`;
}

/** `own`: one that this gateway made; `given`: one that an operator may have given; null: none that opens anything. */
export function formOf(token: string): 'own' | 'given' | null {
  if (!token.startsWith(PREFIX)) return GIVEN_FORM.test(token) && !token.startsWith(ADMIN_PREFIX) ? 'given' : null;
  if (!FORM.test(token)) return null;
  const random = token.slice(PREFIX.length, PREFIX.length + RANDOM_CHARACTERS);
  return token.endsWith(checksum(random)) ? 'own' : null;
}

/** What is stored in a token's place: SHA-256, lower-case hex. Enough for 166 random bits; no salt is needed. */
export function hashToken(token: string): string {
  return hash('sha256', token, 'hex');
}

/** Compares two digests in a time that does not depend on where they differ. */
export function equalHashes(a: string, b: string): boolean {
  const left = Buffer.from(a, 'latin1');
  const right = Buffer.from(b, 'latin1');
  return left.length === right.length && timingSafeEqual(left, right);
}

/** What lists show of a token: how it ends, and of one made here how it begins. */
export function tokenHint(token: string): string {
  return `${token.startsWith(PREFIX) ? PREFIX : ''}...${token.slice(-4)}`;
}

export function isAdminForm(token: string): boolean {
  return ADMIN_FORM.test(token);
}

/** A token for the admin API: 256 random bits. */
export function newAdminToken(): string {
  let token = ADMIN_PREFIX;
  for (let i = 0; i < 43; i++) token += DIGITS[randomInt(DIGITS.length)];
  return token;
}

function checksum(random: string): string {
  let rest = crc32(random);
  let text = '';
  for (let i = 0; i < CHECKSUM_CHARACTERS; i++) {
    text = DIGITS[rest % DIGITS.length] + text;
    rest = Math.floor(rest / DIGITS.length);
  }
  return text;
}
