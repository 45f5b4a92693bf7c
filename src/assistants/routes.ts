// Which operation a request asks for. A path is never normalised into another one: an id that is missing is an id that is wrong.
import { GENERATED_FILE_PREFIX } from '../domain/assistants.ts';
import type { EndpointGroup } from '../domain/endpoint.ts';
import { KINDS, type Kind, invalidUrl, methodNotAllowed, wrongPrefix } from './api-error.ts';
import {
  createAssistant,
  deleteAssistant,
  listAssistants,
  modifyAssistant,
  retrieveAssistant,
} from './assistant-operations.ts';
import type { Operation, PathIds } from './desk.ts';
import { deleteGeneratedFile, readGeneratedFile, retrieveGeneratedFile } from './file-operations.ts';
import {
  cancelRun,
  createRun,
  createThreadAndRun,
  listRuns,
  listSteps,
  modifyRun,
  readRunEvents,
  retrieveRun,
  retrieveStep,
  submitToolOutputs,
} from './run-operations.ts';
import {
  createMessage,
  createThread,
  deleteMessage,
  deleteThread,
  listMessages,
  listThreads,
  modifyMessage,
  modifyThread,
  retrieveMessage,
  retrieveThread,
} from './thread-operations.ts';

/** Below `/v1`, by method and path. The last ones are ours; all others are the rows of openai/endpoint-rows.ts. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'POST /assistants': createAssistant,
  'GET /assistants': listAssistants,
  'POST /assistants/{assistant_id}': modifyAssistant,
  'GET /assistants/{assistant_id}': retrieveAssistant,
  'DELETE /assistants/{assistant_id}': deleteAssistant,
  'POST /threads': createThread,
  'POST /threads/runs': createThreadAndRun,
  'POST /threads/{thread_id}': modifyThread,
  'GET /threads/{thread_id}': retrieveThread,
  'DELETE /threads/{thread_id}': deleteThread,
  'POST /threads/{thread_id}/messages': createMessage,
  'GET /threads/{thread_id}/messages': listMessages,
  'POST /threads/{thread_id}/messages/{message_id}': modifyMessage,
  'GET /threads/{thread_id}/messages/{message_id}': retrieveMessage,
  'DELETE /threads/{thread_id}/messages/{message_id}': deleteMessage,
  'POST /threads/{thread_id}/runs': createRun,
  'GET /threads/{thread_id}/runs': listRuns,
  'POST /threads/{thread_id}/runs/{run_id}': modifyRun,
  'GET /threads/{thread_id}/runs/{run_id}': retrieveRun,
  'POST /threads/{thread_id}/runs/{run_id}/cancel': cancelRun,
  'GET /threads/{thread_id}/runs/{run_id}/steps': listSteps,
  'GET /threads/{thread_id}/runs/{run_id}/steps/{step_id}': retrieveStep,
  'POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs': submitToolOutputs,

  'GET /threads': listThreads,
  'GET /threads/{thread_id}/runs/{run_id}/events': readRunEvents,
  'GET /files/{file_id}': retrieveGeneratedFile,
  'GET /files/{file_id}/content': readGeneratedFile,
  'DELETE /files/{file_id}': deleteGeneratedFile,
};

const OWN_PATH = /^\/v1\/+(?:assistants|threads)(?:\/|$)/;
const GENERATED_FILE_PATH = new RegExp(`^/v1/files/${GENERATED_FILE_PREFIX}`);

/** @param group of the path's row; undefined where no row knows it. @returns null for what is not ours */
export function groupOfOurs(path: string, group: EndpointGroup | undefined): EndpointGroup | null {
  switch (group) {
    case 'assistants':
      return group;
    case undefined:
      return OWN_PATH.test(path) ? 'assistants' : null;
    case 'files':
      return GENERATED_FILE_PATH.test(path) ? group : null;
    default:
      return null;
  }
}

interface Route {
  readonly method: string;
  readonly segments: readonly string[];
  readonly operation: Operation;
}

const ROUTES: readonly Route[] = Object.entries(OPERATIONS).map(([key, operation]) => {
  const [method = '', path = ''] = key.split(' ');
  return { method, segments: path.slice(1).split('/'), operation };
});

/** @throws ApiError where there is none, or where an id does not begin as ids of its kind do */
export function findOperation(method: string, path: string): { readonly operation: Operation; readonly ids: PathIds } {
  // Some clients join a base URL that ends in a slash with a path that begins with one.
  const segments = path
    .replace(/^\/v1\/+/, '')
    .split('/')
    .map(decoded);
  const matching = ROUTES.filter((route) => matches(route.segments, segments));
  const route = matching.find((one) => one.method === method);
  if (route === undefined) throw matching.length === 0 ? invalidUrl(method, path) : methodNotAllowed(method, path);
  return { operation: route.operation, ids: pathIds(route.segments, segments) };
}

function matches(template: readonly string[], segments: readonly string[]): boolean {
  return (
    template.length === segments.length && template.every((part, i) => part.startsWith('{') || part === segments[i])
  );
}

function pathIds(template: readonly string[], segments: readonly string[]): PathIds {
  const ids: Record<string, string> = {};
  for (const [i, part] of template.entries()) {
    if (!part.startsWith('{')) continue;
    const name = part.slice(1, -1);
    const id = segments[i] ?? '';
    const kind = name.replace(/_id$/, '') as Kind | 'file';
    if (kind !== 'file' && !id.startsWith(KINDS[kind].prefix)) throw wrongPrefix(name, id, kind);
    ids[name] = id;
  }
  // An operation reads only the ids that its own path names.
  return ids as unknown as PathIds;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
