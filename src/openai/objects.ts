// What objects replies make, and of what work that goes on a request asks. Derived from the rows, so that a new row brings its own.
import type { Endpoint, ObjectKind } from '../domain/endpoint.ts';
import type { RequestFacts } from '../domain/facts.ts';
import { type WorkKind, isWorkKind } from '../domain/pending-work.ts';
import { ENDPOINTS } from './endpoint-rows.ts';

/** Their replies name an object, but paths below them begin otherwise. */
const MADE_ELSEWHERE: Readonly<Record<string, ObjectKind>> = {
  '/v1/videos/edits': 'video',
  '/v1/videos/extensions': 'video',
  '/v1/videos/{video_id}/remix': 'video',
  '/v1/threads/runs': 'run',
};
/** Their replies name an object that was there before, or one that is kept only where the request says so. */
const MAKES_NONE = new Set(['/v1/vector_stores/{vector_store_id}/files', '/v1/chat/completions']);

const MADE_BY = new Map<Endpoint, ObjectKind>();
for (const endpoint of ENDPOINTS) {
  const kind = kindBelow(endpoint) ?? MADE_ELSEWHERE[endpoint.path];
  if (kind !== undefined) MADE_BY.set(endpoint, kind);
}

function kindBelow({ method, path, transport }: Endpoint): ObjectKind | undefined {
  const makes = method === 'POST' || transport === 'websocket';
  if (!makes || MAKES_NONE.has(path)) return undefined;
  const below = ENDPOINTS.find((each) => each.path.startsWith(`${path}/{`));
  const parameter = below === undefined ? undefined : /^\{(\w+)\}/.exec(below.path.slice(path.length + 1))?.[1];
  return parameter === undefined ? undefined : below?.idsIn[parameter];
}

/** The kind of object that a reply of this endpoint makes and names; null where it makes none. */
export function kindMadeBy(endpoint: Endpoint | undefined): ObjectKind | null {
  return (endpoint && MADE_BY.get(endpoint)) ?? null;
}

/** The work that an exchange of this endpoint may leave behind, to be paid for later; null where it leaves none that tells its cost. */
export function workStartedBy(endpoint: Endpoint | undefined): WorkKind | null {
  const kind = kindMadeBy(endpoint);
  return kind !== null && isWorkKind(kind) ? kind : null;
}

/**
 * What the upstream keeps of an exchange even if nobody hears its reply to the end, so that it can be read by its id: responses, but
 * where the request says no; chats, where it says so.
 */
export function kindKeptBy(endpoint: Endpoint | undefined, asked: RequestFacts | null): WorkKind | null {
  if (endpoint?.method !== 'POST') return null;
  if (endpoint.path === '/v1/responses') return asked?.isStored === false ? null : 'response';
  return endpoint.path === '/v1/chat/completions' && asked?.isStored === true ? 'chat_completion' : null;
}

/** The same for responses within a WebSocket. */
export function keepsTurns(endpoint: Endpoint | undefined): boolean {
  return endpoint?.transport === 'websocket' && kindMadeBy(endpoint) === 'response';
}

/** What a request tells of by its path: itself, a change of its course, or its end. */
const TELLS = /\{(\w+)\}(?:\/(?:cancel|pause|resume))?$/;

/** The work that a reply of this endpoint tells of; null where it tells of none. */
export function workToldBy(endpoint: Endpoint | undefined, path: string): { kind: WorkKind; id: string } | null {
  const parameter = endpoint === undefined ? undefined : TELLS.exec(endpoint.path)?.[1];
  const kind = parameter === undefined ? undefined : endpoint?.idsIn[parameter];
  if (endpoint === undefined || kind === undefined || !isWorkKind(kind)) return null;
  const at = endpoint.path.split('/').indexOf(`{${parameter}}`);
  const id = path.split('/')[at];
  return id === undefined ? null : { kind, id };
}

const PATHS: Readonly<Record<Exclude<WorkKind, 'eval_run'>, string>> = {
  response: '/v1/responses',
  chat_completion: '/v1/chat/completions',
  batch: '/v1/batches',
  fine_tuning_job: '/v1/fine_tuning/jobs',
  video: '/v1/videos',
  vector_store: '/v1/vector_stores',
  container: '/v1/containers',
};

/** @param startedAt the path of the request that started it */
export function pathOfWork(kind: WorkKind, id: string, startedAt: string): string {
  // Ids come from replies: they are made one segment of a path, whatever is in them.
  return `${kind === 'eval_run' ? startedAt : PATHS[kind]}/${encodeURIComponent(id)}`;
}

/** Where the upstream keeps a file's bytes. */
export function fileContentPath(id: string): string {
  return `/v1/files/${encodeURIComponent(id)}/content`;
}

/** Events of OpenAI's webhooks, such as `batch.completed`, by how they begin. */
const EVENTS: readonly (readonly [string, WorkKind])[] = [
  ['response.', 'response'],
  ['batch.', 'batch'],
  ['fine_tuning.job.', 'fine_tuning_job'],
  ['video.', 'video'],
  ['eval.run.', 'eval_run'],
];

export function workOfEvent(type: string): WorkKind | null {
  return EVENTS.find(([beginning]) => type.startsWith(beginning))?.[1] ?? null;
}
