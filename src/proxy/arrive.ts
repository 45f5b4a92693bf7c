// The first step: a request becomes an arrival, and what can be told of it without a caller is told.
import type { Clock } from '../domain/clock.ts';
import type { Arrival } from '../domain/exchange.ts';
import { newId } from '../domain/id.ts';
import { checkArrival } from '../http/arrival-check.ts';
import type { BodyPart } from '../http/body.ts';
import { headerValue } from '../http/headers.ts';
import type { DownstreamRequest } from '../http/server.ts';
import { pathOf, upstreamTarget } from '../http/target.ts';
import { findEndpoint } from '../openai/endpoints.ts';
import { type RequestScan, scanRequest } from '../openai/request.ts';

/** Null for a path below no mount. @throws Refusal */
export function arrive(request: DownstreamRequest, clock: Clock, isUpgrade = false): Arrival | null {
  const { method = '', url = '', rawHeaders } = request;
  checkArrival(request);
  const target = upstreamTarget(url);
  if (target === null) return null;
  const path = pathOf(target);
  const receivedAt = clock.now();
  return {
    id: newId('exc', receivedAt),
    receivedAt,
    startedMs: clock.elapsedMs(),
    method,
    target,
    path,
    endpoint: findEndpoint(method, path, isUpgrade),
    rawHeaders,
    clientAddress: request.socket.remoteAddress ?? '',
  };
}

/** Looks for the model in what has come of the body; null where it could not stand there. */
export function scanBody(arrival: Arrival, first: BodyPart): RequestScan | null {
  const contentType = headerValue(arrival.rawHeaders, 'content-type');
  if (first.bytes.length === 0 || contentType === null) return null;
  const scan = scanRequest(contentType, headerValue(arrival.rawHeaders, 'content-encoding') ?? '');
  scan?.feed(first.bytes);
  return scan;
}

const MODEL_IN_QUERY = /[?&]model=([^&]+)/;

/** As the body or the query names it. */
export function modelOf(arrival: Arrival, scan: RequestScan | null): string | null {
  if (scan?.model) return scan.model;
  const inQuery = MODEL_IN_QUERY.exec(arrival.target)?.[1];
  if (inQuery === undefined) return null;
  try {
    return decodeURIComponent(inQuery);
  } catch {
    return inQuery;
  }
}
