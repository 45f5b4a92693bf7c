// The head of a reply, read strictly (RFC 9112): what is not exactly right is refused, for a guess about where one reply
// ends puts every later one out of step.

export class BrokenReply extends Error {
  readonly code = 'broken_reply';
}

/** How the end of a body is told: by its length in bytes, by its chunks, or by the end of the connection. */
export type BodyFraming = number | 'chunked' | 'until_close';

export interface ReplyStart {
  readonly status: number;
  /** Latin1: each character is the byte that came. */
  readonly reason: string;
  /** Name, value, name, value; latin1. */
  readonly rawHeaders: string[];
  /** As the headers have it: a HEAD, a 204 and a 304 have no body, whatever they say of one. */
  readonly framing: BodyFraming;
  /** Does the upstream leave the connection open? */
  readonly keepsAlive: boolean;
  /** How long the upstream says that it keeps an idle connection; null where it does not say. */
  readonly keepAliveMs: number | null;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([^\r\n]*))?$/;
const FORBIDDEN_IN_REASONS = /[^\t\x20-\x7e\x80-\xff]/g;

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const COLON = 58;

/** By byte: 1 may stand in a value, 3 in a name too. */
const KINDS = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  if (byte === TAB || (byte >= SPACE && byte !== 127)) KINDS[byte] = 1;
}
for (const character of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  KINDS[character.charCodeAt(0)] = 3;

/**
 * @param bytes hold the head from `from`, its last line's end included, to `to`
 * @throws {BrokenReply}
 */
export function parseReplyHead(bytes: Buffer, from: number, to: number): ReplyStart {
  const text = bytes.toString('latin1', from, to);
  const lineEnd = from + text.indexOf('\r\n');
  const statusLine = STATUS_LINE.exec(text.slice(0, lineEnd - from));
  if (statusLine === null) throw new BrokenReply('The reply does not begin with a status line of HTTP/1.1.');
  const rawHeaders: string[] = [];
  const facts = { length: null, isChunked: false, hasCoding: false, connection: null, keepAlive: null } as HeadFacts;
  for (let at = lineEnd + 2; at < to;) {
    const nameEnd = endOfName(bytes, at, to);
    const valueEnd = endOfValue(bytes, nameEnd + 1, to);
    let first = nameEnd + 1;
    let last = valueEnd;
    while (first < last && isBlank(bytes[first]!)) first++;
    while (last > first && isBlank(bytes[last - 1]!)) last--;
    const name = text.slice(at - from, nameEnd - from);
    const value = text.slice(first - from, last - from);
    rawHeaders.push(name, value);
    // The few that frame the reply are told apart by their length first.
    const size = nameEnd - at;
    if (size === 10 || size === 14 || size === 17) note(facts, name.toLowerCase(), value);
    at = valueEnd + 2;
  }
  const [, minor, status, reason] = statusLine;
  const framing = framingOf(facts);
  return {
    status: Number(status),
    // What it says is for people; what could not be handed on goes.
    reason: reason?.replace(FORBIDDEN_IN_REASONS, '') ?? '',
    rawHeaders,
    framing,
    keepsAlive: staysOpen(minor === '1', facts.connection),
    keepAliveMs: facts.keepAlive === null ? null : keepAliveMsIn(facts.keepAlive),
  };
}

interface HeadFacts {
  length: string | null;
  isChunked: boolean;
  hasCoding: boolean;
  connection: string | null;
  keepAlive: string | null;
}

function note(facts: HeadFacts, name: string, value: string): void {
  switch (name) {
    case 'content-length':
      if (facts.length !== null) throw new BrokenReply('The reply has two lengths.');
      facts.length = value;
      return;
    case 'transfer-encoding':
      if (facts.hasCoding) throw new BrokenReply('The reply has two transfer codings.');
      facts.hasCoding = true;
      facts.isChunked = value.toLowerCase() === 'chunked';
      return;
    case 'connection':
      facts.connection = facts.connection === null ? value : `${facts.connection},${value}`;
      return;
    case 'keep-alive':
      facts.keepAlive = value;
  }
}

const DIGITS = /^\d{1,15}$/;

function framingOf({ length, hasCoding, isChunked }: HeadFacts): BodyFraming {
  if (hasCoding) {
    if (length !== null) throw new BrokenReply('The reply has a length and a transfer coding.');
    // Any other coding would reach the client without the header that names it.
    if (!isChunked) throw new BrokenReply('The reply has a transfer coding other than chunked.');
    return 'chunked';
  }
  if (length === null) return 'until_close';
  if (!DIGITS.test(length)) throw new BrokenReply('The length of the reply is no number of bytes.');
  return Number(length);
}

function staysOpen(isHttp11: boolean, connection: string | null): boolean {
  if (connection === null) return isHttp11;
  const options = connection.toLowerCase();
  if (options.includes('close')) return false;
  return isHttp11 || options.includes('keep-alive');
}

function keepAliveMsIn(value: string): number | null {
  const timeout = /timeout\s*=\s*(\d{1,9})/i.exec(value)?.[1];
  return timeout === undefined ? null : Number(timeout) * 1000;
}

function endOfName(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && KINDS[bytes[at]!] === 3) at++;
  if (at === from || bytes[at] !== COLON) throw new BrokenReply('A header of the reply has no proper name.');
  return at;
}

function endOfValue(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && KINDS[bytes[at]!] !== 0) at++;
  if (bytes[at] !== CR || bytes[at + 1] !== LF || at + 2 > to)
    throw new BrokenReply('A line of the head of the reply holds what no line may hold.');
  return at;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}
