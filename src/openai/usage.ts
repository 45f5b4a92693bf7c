// Usage as the upstream reports it, found in a copy of a reply's last bytes. Pure: takes bytes, gives values.

export interface ReplyFacts {
  /** The upstream's own usage object; undefined where none was seen. */
  readonly usage: unknown;
  /** The model that the reply names; null where it names none. */
  readonly model: string | null;
}

/** A usage object is a few hundred bytes; a larger one is not believed. */
const USAGE_BYTES_MAX = 16 * 1024;
const MODEL = /"model"\s*:\s*"([^"\\]{1,256})"/;

/**
 * @param head the reply's first bytes: they name the model
 * @param tail its last bytes: they hold the usage, in JSON and in event streams alike
 */
export function readReplyFacts(head: string, tail: string): ReplyFacts {
  const model = MODEL.exec(head)?.[1] ?? MODEL.exec(tail)?.[1] ?? null;
  return { usage: lastUsage(tail), model };
}

/** The last `"usage": {...}` that is a member of its own and not text inside a string. */
function lastUsage(text: string): unknown {
  for (let at = text.lastIndexOf('"usage"'); at !== -1; at = at === 0 ? -1 : text.lastIndexOf('"usage"', at - 1)) {
    if (text[at - 1] === '\\') continue;
    const start = skipSpace(text, at + '"usage"'.length);
    if (text[start] !== ':') continue;
    const open = skipSpace(text, start + 1);
    if (text[open] !== '{') continue;
    const end = endOfObject(text, open);
    if (end === -1) continue;
    try {
      return JSON.parse(text.slice(open, end)) as unknown;
    } catch {
      continue;
    }
  }
  return undefined;
}

function skipSpace(text: string, at: number): number {
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return at;
}

/** Behind the bracket that closes the object opened at `open`, or -1. */
function endOfObject(text: string, open: number): number {
  let depth = 0;
  let isInString = false;
  const limit = Math.min(text.length, open + USAGE_BYTES_MAX);
  for (let i = open; i < limit; i++) {
    const character = text[i];
    if (isInString) {
      if (character === '\\') i++;
      else if (character === '"') isInString = false;
    } else if (character === '"') isInString = true;
    else if (character === '{') depth++;
    else if (character === '}' && --depth === 0) return i + 1;
  }
  return -1;
}
