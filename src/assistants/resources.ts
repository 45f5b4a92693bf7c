// Files and vector stores that requests name or ask for (reference: assistants 2.11). Stores are made upstream before anything
// is written here: if that fails, the whole request fails.
import type { ChangeResources } from '../domain/assistant-store.ts';
import type { Attachment, ToolResources } from '../domain/assistants.ts';
import * as errors from './api-error.ts';
import type { NewResources, NewVectorStore } from './fields.ts';
import type { NamedObjects } from './named-objects.ts';
import type { UpstreamCalls } from './upstream-calls.ts';

/** Files that the creation of a store takes; the rest follows in batches of as many. */
const STORE_FILES_MAX = 500;
const CODE_FILES_MAX = 20;
/** Stores made for a thread go when nobody used them for a week, as OpenAI's did. */
const THREAD_STORE_EXPIRY = { anchor: 'last_active_at', days: 7 };

/** What a caller may reach of the upstream. */
export interface UpstreamAccess {
  readonly calls: UpstreamCalls;
  readonly named: NamedObjects;
}

export type StoreOwner = 'assistant' | 'thread';

/** What is kept of the resources that a creation names. @throws ApiError */
export async function makeResources(
  asked: NewResources | null | undefined,
  owner: StoreOwner,
  { calls, named }: UpstreamAccess,
): Promise<ToolResources> {
  if (!asked) return {};
  const files = asked.code_interpreter?.file_ids;
  const search = asked.file_search;
  const store = search?.vector_stores?.[0];
  await knownResources(asked, named);
  const ids = store === undefined ? search?.vector_store_ids : [await makeStore(store, owner, { calls, named })];
  return {
    ...(files !== undefined && { code_interpreter: { file_ids: files } }),
    ...(search && { file_search: { vector_store_ids: ids ?? [] } }),
  };
}

function makeStore(store: NewVectorStore, owner: StoreOwner, { calls, named }: UpstreamAccess): Promise<string> {
  const { file_ids: fileIds = [], chunking_strategy: chunking, metadata } = store;
  const chunked = chunking === undefined ? {} : { chunking_strategy: chunking };
  return named.give(fileIds, async () => {
    const made = await calls.call('POST', '/v1/vector_stores', {
      file_ids: fileIds.slice(0, STORE_FILES_MAX),
      ...chunked,
      ...(metadata && { metadata }),
      ...(owner === 'thread' && { expires_after: THREAD_STORE_EXPIRY }),
    });
    const id = String(made['id']);
    for (let at = STORE_FILES_MAX; at < fileIds.length; at += STORE_FILES_MAX) {
      const batch = { file_ids: fileIds.slice(at, at + STORE_FILES_MAX), ...chunked };
      await calls.call('POST', `/v1/vector_stores/${encodeURIComponent(id)}/file_batches`, batch);
    }
    return id;
  });
}

/** Of a change: each member that is given replaces the one that stands. */
export function changedResources(
  stored: ToolResources,
  asked:
    | {
        code_interpreter?: { file_ids: string[] } | null | undefined;
        file_search?: { vector_store_ids?: string[] } | null | undefined;
      }
    | null
    | undefined,
): ToolResources {
  if (!asked) return stored;
  return {
    ...stored,
    ...(asked.code_interpreter && { code_interpreter: { file_ids: asked.code_interpreter.file_ids } }),
    ...(asked.file_search && { file_search: { vector_store_ids: asked.file_search.vector_store_ids ?? [] } }),
  };
}

/**
 * Does upstream what the attachments of messages ask for: files for searching go into the thread's store, which is made where
 * there is none. @returns what becomes of the thread's resources; undefined where nothing does
 * @throws ApiError
 */
export async function attach(
  attachments: readonly Attachment[],
  current: ToolResources,
  { calls, named }: UpstreamAccess,
): Promise<ChangeResources | undefined> {
  const forCode = filesFor('code_interpreter', attachments);
  const forSearch = filesFor('file_search', attachments);
  if (forCode.length === 0 && forSearch.length === 0) return undefined;

  const allCode = union(current.code_interpreter?.file_ids ?? [], forCode);
  if (allCode.length > CODE_FILES_MAX)
    throw errors.arrayTooLong('tool_resources.code_interpreter.file_ids', CODE_FILES_MAX, allCode.length);
  await named.files(forCode);
  const store =
    forSearch.length === 0
      ? undefined
      : await addToStore(forSearch, current.file_search?.vector_store_ids[0], { calls, named });

  return (stored) => ({
    ...stored,
    ...(forCode.length > 0 && {
      code_interpreter: { file_ids: union(stored.code_interpreter?.file_ids ?? [], forCode) },
    }),
    ...(store !== undefined && { file_search: { vector_store_ids: [store] } }),
  });
}

interface NamedResources {
  readonly code_interpreter?: { readonly file_ids: readonly string[] } | null | undefined;
  readonly file_search?: { readonly vector_store_ids?: readonly string[] | undefined } | null | undefined;
}

/** What is named is used when a run comes to it: that is late to hear that it is not there. @throws ApiError */
export async function knownResources(asked: NamedResources | null | undefined, named: NamedObjects): Promise<void> {
  await Promise.all([
    named.files(asked?.code_interpreter?.file_ids ?? []),
    named.vectorStores(asked?.file_search?.vector_store_ids ?? []),
  ]);
}

function addToStore(fileIds: readonly string[], store: string | undefined, upstream: UpstreamAccess): Promise<string> {
  if (store === undefined) return makeStore({ file_ids: [...fileIds] }, 'thread', upstream);
  const { calls, named } = upstream;
  const path = `/v1/vector_stores/${encodeURIComponent(store)}`;
  return named.give(fileIds, async () => {
    if (fileIds.length === 1) await calls.call('POST', `${path}/files`, { file_id: fileIds[0] });
    else
      for (let at = 0; at < fileIds.length; at += STORE_FILES_MAX) {
        await calls.call('POST', `${path}/file_batches`, { file_ids: fileIds.slice(at, at + STORE_FILES_MAX) });
      }
    return store;
  });
}

function filesFor(tool: 'code_interpreter' | 'file_search', attachments: readonly Attachment[]): string[] {
  const wanted = attachments.filter(({ tools }) => tools.some(({ type }) => type === tool));
  return [...new Set(wanted.map(({ file_id }) => file_id))];
}

function union(first: readonly string[], second: readonly string[]): readonly string[] {
  return [...new Set([...first, ...second])];
}
