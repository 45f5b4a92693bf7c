// The first step: a request becomes an arrival, and what can be told of it without a caller is told.
import type { Clock } from '../domain/clock.ts';
import type { Endpoint, EndpointGroup } from '../domain/endpoint.ts';
import type { Arrival } from '../domain/exchange.ts';
import type { RequestFacts } from '../domain/facts.ts';
import { newId } from '../domain/id.ts';
import { checkArrival } from '../http/arrival-check.ts';
import type { BodyPart } from '../http/body.ts';
import { headerValue, headerValues } from '../http/headers.ts';
import type { DownstreamRequest } from '../http/server.ts';
import { pathOf, upstreamTarget } from '../http/target.ts';
import { findEndpoint } from '../openai/endpoints.ts';
import { NO_BODY_FACTS, type RequestScan, scanRequest } from '../openai/request.ts';

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

/**
 * Looks at what has come of the body; null where there is none.
 * @param looksForFiles whether files and pictures are looked for, which cost more than the body's bytes tell
 */
export function scanBody(arrival: Arrival, first: BodyPart, looksForFiles: boolean): RequestScan | null {
  if (first.bytes.length === 0) return null;
  const { rawHeaders, endpoint } = arrival;
  const length = headerValue(rawHeaders, 'content-length');
  // Of several values none is believed more than another: together they name no form that is read.
  const scan = scanRequest(
    headerValues(rawHeaders, 'content-type').join(', '),
    headerValues(rawHeaders, 'content-encoding').join(', '),
    {
      announcedBytes: length === null ? null : Number(length),
      // Of all requests only a speech's asks for its stream by a format.
      countsInput: endpoint?.streamedBy === 'body.stream_format',
      looksForFiles,
      measuresAudio: isOfRecording(endpoint),
      readsLines: endpoint?.group === 'files' && endpoint.method === 'POST',
      startsWork: endpoint?.billing === 'deferred' && WORKS_ON_FILES.has(endpoint.group),
    },
  );
  scan.feed(first.bytes);
  if (first.isWhole) scan.end();
  return scan;
}

const WORKS_ON_FILES = new Set<EndpointGroup>(['batches', 'fine_tuning']);

/** A transcription or translation of what is uploaded. */
function isOfRecording(endpoint: Endpoint | undefined): boolean {
  return endpoint?.group === 'audio' && endpoint.billing === 'metered' && endpoint.streamedBy !== 'body.stream_format';
}

/** What the request tells: its body as far as it was seen, and its target. */
export function requestFacts(arrival: Arrival, scan: RequestScan | null): RequestFacts {
  const facts = scan === null ? NO_BODY_FACTS : scan.facts();
  // A body that cannot be read may name another model than the query does.
  const isElsewhere = arrival.endpoint?.modelIn === 'query' || arrival.endpoint?.modelIn === 'path';
  const model = facts.isReadable || isElsewhere ? modelOf(arrival, scan) : null;
  const named = modelsInQuery(arrival);
  const isStream =
    facts.isStream || (arrival.endpoint?.streamedBy === 'query.stream' && STREAM_IN_QUERY.test(arrival.target));
  const hasDuplicates = facts.hasDuplicates || (named.length > 1 && arrival.endpoint?.modelIn !== 'body');
  if (model === facts.model && isStream === facts.isStream && hasDuplicates === facts.hasDuplicates) return facts;
  return { ...facts, model, isStream, hasDuplicates };
}

const STREAM_IN_QUERY = /[?&]stream=true(&|$)/;

/** Where the endpoint's row says that it stands; at paths of no row as the body or the query names it. */
export function modelOf(arrival: Arrival, scan: RequestScan | null): string | null {
  const modelIn = arrival.endpoint?.modelIn;
  if (modelIn === 'path') return modelInPath(arrival);
  const inBody = scan?.model ?? null;
  if (modelIn === 'body' || inBody !== null) return inBody;
  return modelsInQuery(arrival)[0] ?? null;
}

const NONE: readonly string[] = [];

function modelsInQuery({ target, path }: Arrival): readonly string[] {
  // Without its question mark the query is empty.
  if (target.length <= path.length + 1) return NONE;
  return new URLSearchParams(target.slice(path.length + 1)).getAll('model').filter((model) => model !== '');
}

function modelInPath({ path, endpoint }: Arrival): string | null {
  const segment = path.split('/')[endpoint!.path.split('/').indexOf('{model}')] ?? '';
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
