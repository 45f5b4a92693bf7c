// Usage and model as the upstream reports them, found in a copy of a reply's first and last bytes. Pure: takes bytes, gives values.

import { NOTHING_SEEN, type ReplyFacts } from '../domain/facts.ts';

/** A usage object is a few hundred bytes; a larger one is not believed. */
const USAGE_BYTES_MAX = 16 * 1024;
const MODEL_BYTES_MAX = 256;

const USAGE_KEY = Buffer.from('"usage"');
const MODEL_KEY = Buffer.from('"model"');
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * Bytes are searched, and only the little that is found is parsed: a reply as a whole never is.
 * @param head the reply's first bytes: they name the model
 * @param tail its last bytes: they hold the usage, in JSON and in event streams alike
 */
export function readReplyFacts(head: Buffer, tail: Buffer): ReplyFacts {
  const usage = lastUsage(tail);
  return { ...NOTHING_SEEN, usages: usage === undefined ? [] : [usage], model: firstModel(head) ?? firstModel(tail) };
}

/** The last `"usage": {...}` that is a member of its own and not text inside a string. */
function lastUsage(bytes: Buffer): unknown {
  for (let at = bytes.lastIndexOf(USAGE_KEY); at !== -1; at = at === 0 ? -1 : bytes.lastIndexOf(USAGE_KEY, at - 1)) {
    const open = valueOf(bytes, at, USAGE_KEY.length);
    if (open === -1 || bytes[open] !== OPEN) continue;
    const end = endOfObject(bytes, open);
    if (end === -1) continue;
    try {
      return JSON.parse(bytes.toString('utf8', open, end)) as unknown;
    } catch {
      continue;
    }
  }
  return undefined;
}

function firstModel(bytes: Buffer): string | null {
  for (let at = bytes.indexOf(MODEL_KEY); at !== -1; at = bytes.indexOf(MODEL_KEY, at + 1)) {
    const open = valueOf(bytes, at, MODEL_KEY.length);
    if (open === -1 || bytes[open] !== QUOTE) continue;
    const end = bytes.indexOf(QUOTE, open + 1);
    // A model's name holds no escapes.
    if (end > open + 1 && end - open <= MODEL_BYTES_MAX) return bytes.toString('utf8', open + 1, end);
  }
  return null;
}

/** Where the value of the key at `at` begins; -1 where that is no key. */
function valueOf(bytes: Buffer, at: number, keyLength: number): number {
  if (at > 0 && bytes[at - 1] === BACKSLASH) return -1;
  const colon = skipSpace(bytes, at + keyLength);
  return bytes[colon] === COLON ? skipSpace(bytes, colon + 1) : -1;
}

function skipSpace(bytes: Buffer, at: number): number {
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++;
  return at;
}

/** Behind the bracket that closes the object opened at `open`, or -1. */
function endOfObject(bytes: Buffer, open: number): number {
  let depth = 0;
  const limit = Math.min(bytes.length, open + USAGE_BYTES_MAX);
  for (let i = open; i < limit; i++) {
    switch (bytes[i]) {
      case QUOTE:
        i = endOfString(bytes, i);
        if (i === -1) return -1;
        break;
      case OPEN:
        depth++;
        break;
      case CLOSE:
        if (--depth === 0) return i + 1;
    }
  }
  return -1;
}

/** Where the string opened at `open` closes, or -1. */
function endOfString(bytes: Buffer, open: number): number {
  for (let i = open + 1; i < bytes.length; i++) {
    if (bytes[i] === BACKSLASH) i++;
    else if (bytes[i] === QUOTE) return i;
  }
  return -1;
}
