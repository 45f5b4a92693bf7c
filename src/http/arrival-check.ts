// What is wrong with a request that the parser let through.
import { Refusal } from '../domain/refusal.ts';
import { headerValues } from './headers.ts';

const HEADERS_MAX = 1000;
const HOST = /^[A-Za-z0-9._~!$&'()*+,;=%:[\]-]*$/;
/** RFC 9110's methods that a relay carries. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** @throws Refusal for what would be read differently by different servers, or could choose another upstream. */
export function checkArrival(method: string, target: string, raw: readonly string[]): void {
  if (!METHODS.has(method))
    throw new Refusal('method_not_allowed', `${method} is not relayed; the API knows ${[...METHODS].join(', ')}.`);
  if (target.charCodeAt(0) !== 0x2f) {
    throw new Refusal('invalid_target', 'The request target must be a path; a whole URL or * is not served.', {
      param: 'path',
    });
  }
  if (raw.length / 2 > HEADERS_MAX)
    throw new Refusal('headers_too_large', `The request has more than ${HEADERS_MAX} header lines.`);
  const hosts = headerValues(raw, 'host');
  if (hosts.length > 1 || !HOST.test(hosts[0] ?? '')) {
    throw new Refusal('bad_request', 'The request must name exactly one host, and nothing but a host.', {
      param: 'host',
    });
  }
}
