// The table of docs/cost.md: every operation that a row knows, with what the gateway makes of its cost. Written by
// scripts/reference-docs.ts.
import type { Endpoint } from '../src/domain/endpoint.ts';
import { ENDPOINTS } from '../src/openai/endpoint-rows.ts';
import { kindMadeBy, workStartedBy } from '../src/openai/objects.ts';

export type CostClass = 'priced: metered' | 'priced: deferred' | 'free' | 'repeated' | 'unpriced by decision';

export interface Classed {
  readonly operation: string;
  readonly class: CostClass;
  readonly how: string;
}

const DIRECT =
  'What follows goes between the client and OpenAI, past the gateway: its usage shows in the account alone.';
const NO_LIST_PRICE = 'OpenAI publishes no price for it.';
const GOES_ON = 'What it sets going reports its usage in no reply that this request leads to.';

/** Why an operation that costs money has no cost here. One that is missing fails the test of the table. */
const UNPRICED: Readonly<Record<string, string>> = {
  'POST /v1/audio/voices': NO_LIST_PRICE,
  'POST /v1/realtime/calls': DIRECT,
  'POST /v1/realtime/calls/{call_id}/accept': DIRECT,
  'POST /v1/realtime/client_secrets': DIRECT,
  'POST /v1/realtime/sessions': DIRECT,
  'POST /v1/realtime/transcription_sessions': DIRECT,
  'POST /v1/realtime/translations/client_secrets': DIRECT,
  'POST /v1/live/sessions': DIRECT,
  'POST /v1/live/sessions/{session_id}/accept': DIRECT,
  'POST /v1/live/sessions/{session_id}/fork': DIRECT,
  'POST /v1/vector_stores/{vector_store_id}/search': 'A price is published for the search tool of a response only.',
  'POST /v1/fine_tuning/alpha/graders/run': 'Its reply has one number of tokens for input and output together.',
  'POST /v1/agents/automations': GOES_ON,
  'POST /v1/agents/automations/{automation_id}/invocations': GOES_ON,
  'POST /v1/agents/sessions/{session_id}/events': GOES_ON,
  'POST /v1/agents/environments': NO_LIST_PRICE,
  'POST /v1/chatkit/sessions': DIRECT,
  'POST /v1/content_provenance_checks': NO_LIST_PRICE,
};

/** What is paid for later, in words. */
const LATER: Readonly<Record<string, string>> = {
  response: 'By the usage of the finished response.',
  batch: 'By the usage of each line of its output file, at half price.',
  fine_tuning_job: 'By trained tokens, or by seconds of reinforcement.',
  video: 'By seconds and size of the finished video.',
  vector_store: 'By bytes, day by day, beyond what is free of the account.',
  container: 'By minutes and size, five minutes at least.',
  eval_run: 'By the usage of each model of the finished run.',
};

export function classify(endpoint: Endpoint): Classed {
  const operation = operationOf(endpoint);
  switch (endpoint.billing) {
    case 'free':
      return { operation, class: 'free', how: '' };
    case 'repeated':
      return { operation, class: 'repeated', how: '' };
    case 'metered':
      return { operation, class: 'priced: metered', how: placesOf(endpoint) };
    case 'deferred':
      return classifyDeferred(endpoint, operation);
    case 'unpriced':
      return { operation, class: 'unpriced by decision', how: reasonOf(operation) };
  }
}

function classifyDeferred(endpoint: Endpoint, operation: string): Classed {
  const kind = workStartedBy(endpoint);
  if (kind !== null) return { operation, class: 'priced: deferred', how: LATER[kind] ?? missing(operation) };
  if (endpoint.group === 'vector_stores') return { operation, class: 'free', how: 'Paid for with its store.' };
  if (endpoint.streamUsage === null) return { operation, class: 'unpriced by decision', how: reasonOf(operation) };
  const made = kindMadeBy(endpoint)?.replaceAll('_', ' ') ?? 'work';
  const own = endpoint.emulated ? 'Answered here, it is free and its model calls are priced; from upstream: ' : '';
  const how = `${own}${placesOf(endpoint)}; without a stream the ${made} is unpriced`;
  return { operation, class: 'priced: metered', how };
}

export function operationOf({ method, path, transport }: Endpoint): string {
  return transport === 'websocket' ? `WebSocket ${path}` : `${method} ${path}`;
}

function placesOf({ usage, streamUsage, path, transport }: Endpoint): string {
  if (path === '/v1/realtime/translations') return 'elapsed seconds (estimated)';
  const places = usage === null || transport === 'websocket' ? [] : [`\`${usage}\``];
  if (path === '/v1/audio/translations') places.push('`duration`');
  if (path === '/v1/audio/speech') places.push('characters of `input`, or seconds of speech (estimated)');
  const byPath = Map.groupBy(streamUsage ?? [], (each) => each.path);
  for (const [at, events] of byPath)
    places.push(
      `\`${at}\` of ${events.map(({ event }) => (event === null ? 'the last chunk' : `\`${event}\``)).join(', ')}`,
    );
  return places.join('; ');
}

function reasonOf(operation: string): string {
  return UNPRICED[operation] ?? missing(operation);
}

function missing(operation: string): never {
  throw new Error(`${operation} costs money that nobody learns here: say why in scripts/cost-table.ts`);
}

export function costTable(): string {
  const groups = [...new Set(ENDPOINTS.map(({ group }) => group))];
  return groups
    .map((group) => {
      const rows = ENDPOINTS.filter((endpoint) => endpoint.group === group)
        .map(classify)
        .map(({ operation, class: costClass, how }) => `| \`${operation}\` | ${costClass} | ${how} |`);
      return [
        `### \`${group}\``,
        '',
        '| operation | cost | how it is known, or why it is not |',
        '|---|---|---|',
        ...rows,
        '',
      ].join('\n');
    })
    .join('\n');
}
