// The head of a request as it goes onto the wire.

/** How the end of a body is told: its length in bytes, or by chunks; null where there is none. */
export type RequestFraming = number | 'chunked' | null;

/** Their requests have a body, if only an empty one. */
const METHODS_WITH_BODY = new Set(['POST', 'PUT', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH']);
const CONTENT_LENGTH = 'content-length';
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN_IN_VALUES = /[^\t\x20-\x7e\x80-\xff]/;
const FORBIDDEN_IN_TARGETS = /[^\x21-\x7e\x80-\xff]/;

export function hasBodyByMethod(method: string): boolean {
  return METHODS_WITH_BODY.has(method);
}

/**
 * @param headers name, value, name, value; latin1, without those of the connection. A length among them gives way to `framing`
 * @param connection the lines that are the same for each request: host and connection
 * @throws {TypeError} for what would break out of its line
 */
export function requestHead(
  method: string,
  target: string,
  headers: readonly string[],
  connection: string,
  framing: RequestFraming,
): string {
  if (!NAME.test(method) || FORBIDDEN_IN_TARGETS.test(target)) throw new TypeError('The request line is not valid.');
  let head = `${method} ${target} HTTP/1.1\r\n${connection}`;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1]!;
    if (name.length === CONTENT_LENGTH.length && name.toLowerCase() === CONTENT_LENGTH) continue;
    if (!NAME.test(name) || FORBIDDEN_IN_VALUES.test(value))
      throw new TypeError('A header of the request is not valid.');
    head += `${name}: ${value}\r\n`;
  }
  if (framing === 'chunked') return `${head}transfer-encoding: chunked\r\n\r\n`;
  if (framing !== null) return `${head}content-length: ${framing}\r\n\r\n`;
  return hasBodyByMethod(method) ? `${head}content-length: 0\r\n\r\n` : `${head}\r\n`;
}

/** What the headers announce; null where they announce nothing that can be kept to. */
export function announcedLength(headers: readonly string[]): number | null {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (name.length !== CONTENT_LENGTH.length || name.toLowerCase() !== CONTENT_LENGTH) continue;
    const length = headers[i + 1]!;
    return /^\d{1,15}$/.test(length) ? Number(length) : null;
  }
  return null;
}
