// What is wrong with a request that the parser let through.
import type { IncomingMessage } from 'node:http';

import { Refusal } from '../domain/refusal.ts';
import { headerValues } from './headers.ts';

const HEADERS_MAX = 1000;
const HOST = /^[A-Za-z0-9._~!$&'()*+,;=%:[\]-]+$/;
/** RFC 9110's methods that a relay carries. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** @throws Refusal for what would be read differently by different servers, or could choose another upstream. */
export function checkArrival(request: IncomingMessage): void {
  const { method = '', url = '', rawHeaders } = request;
  if (!METHODS.has(method)) {
    throw new Refusal('method_not_allowed', `${method} is not relayed; the API knows ${[...METHODS].join(', ')}.`);
  }
  if (url.charCodeAt(0) !== 0x2f) {
    const message = 'The request target must be a path; a whole URL or * is not served.';
    throw new Refusal('invalid_target', message, { param: 'path' });
  }
  if (rawHeaders.length / 2 > HEADERS_MAX) {
    throw new Refusal('headers_too_large', `The request has more than ${HEADERS_MAX} header lines.`);
  }
  refuseOtherVersions(request);
  refuseDoubtfulHost(request);
  refuseDoubtfulFraming(request);
}

/** The parser also knows 0.9 and 2.0, whose messages have another form. */
function refuseOtherVersions({ httpVersion, httpVersionMajor, httpVersionMinor }: IncomingMessage): void {
  if (httpVersionMajor === 1 && httpVersionMinor <= 1) return;
  throw new Refusal('bad_request', `HTTP/${httpVersion} is not served here; speak HTTP/1.1.`);
}

/** RFC 9112 3.2: one host, which HTTP/1.0 alone may leave out. */
function refuseDoubtfulHost({ rawHeaders, httpVersionMinor }: IncomingMessage): void {
  const hosts = headerValues(rawHeaders, 'host');
  const host = hosts[0] ?? (httpVersionMinor === 0 ? 'none' : '');
  if (hosts.length <= 1 && HOST.test(host)) return;
  const message = 'The request must name exactly one host, and nothing but a host.';
  throw new Refusal('bad_request', message, { param: 'host' });
}

/** RFC 9112 6.1: the parser takes any list that ends in `chunked`; the codings before it would be lost on the way. */
function refuseDoubtfulFraming({ headers, httpVersionMinor }: IncomingMessage): void {
  const codings = headers['transfer-encoding'];
  if (codings === undefined) return;
  if (codings.toLowerCase() === 'chunked' && httpVersionMinor !== 0) return;
  const message = 'The only transfer coding that is served is chunked, once, in HTTP/1.1.';
  throw new Refusal('bad_request', message, { param: 'transfer-encoding' });
}
