// Vector stores, which aimock has none of: made, filled and searched in memory, so that file search can be tried.
import type { Mountable } from '@copilotkit/aimock';

import type { Clock } from '../domain/clock.ts';

export interface StoredFile {
  readonly id: string;
  readonly filename: string;
  readonly text: string;
}

export interface FoundFile extends StoredFile {
  /** The share of the query's words that stand in the file, 0 to 1. */
  readonly score: number;
}

export interface VectorStores {
  readonly mount: { readonly path: string; readonly handler: Mountable };
  /** Best first; files in which no word of the query stands come last. */
  search(storeIds: readonly string[], query: string): readonly FoundFile[];
}

export interface VectorStoreParts {
  /** Null for an unknown id. */
  readFile(id: string): Promise<StoredFile | null>;
  /** The whole body of a request. */
  bodyOf(request: Parameters<Mountable['handleRequest']>[0]): Promise<string>;
  readonly clock: Clock;
}

interface Store {
  readonly id: string;
  readonly createdAt: number;
  name: string | null;
  metadata: unknown;
  readonly files: Map<string, StoredFile>;
}

interface Asked {
  readonly store: Store;
  /** The last part of the path: a file or a batch. */
  readonly member: string;
  readonly body: Readonly<Record<string, unknown>>;
}

const PATH = '/v1/vector_stores';

class Unknown extends Error {}

export function openVectorStores({ readFile, bodyOf, clock }: VectorStoreParts): VectorStores {
  const stores = new Map<string, Store>();
  let made = 0;
  // No id comes again after a restart: whose an object is, gateways remember for ever.
  const opened = clock.now().toString(36);
  const nextId = (prefix: string) => `${prefix}_sandbox${opened}n${(made += 1)}`;

  async function add(store: Store, fileIds: unknown): Promise<void> {
    for (const id of Array.isArray(fileIds) ? fileIds : []) {
      const file = await readFile(String(id));
      if (file === null) throw new Unknown(`No such File object: ${String(id)}`);
      store.files.set(file.id, file);
    }
  }

  const routes: Record<string, (asked: Asked) => unknown> = {
    'GET /': () => list([...stores.values()].toReversed().map(storeObject)),
    'POST /': async ({ store, body }) => {
      await add(store, body['file_ids']);
      stores.set(store.id, store);
      return storeObject(Object.assign(store, named(store, body)));
    },
    'GET /store': ({ store }) => storeObject(store),
    'POST /store': ({ store, body }) => storeObject(Object.assign(store, named(store, body))),
    'DELETE /store': ({ store }) => ({
      id: store.id,
      object: 'vector_store.deleted',
      deleted: stores.delete(store.id),
    }),
    'POST /store/search': ({ store, body }) => ({
      object: 'vector_store.search_results.page',
      search_query: [body['query']].flat(),
      data: search([store.id], [body['query']].flat().join(' ')).map(({ id, filename, score, text }) => ({
        file_id: id,
        filename,
        score,
        attributes: {},
        content: [{ type: 'text', text }],
      })),
      has_more: false,
      next_page: null,
    }),
    'GET /store/files': ({ store }) => list([...store.files.values()].map((file) => fileObject(store, file))),
    'POST /store/files': async ({ store, body }) => {
      await add(store, [body['file_id']]);
      return fileObject(store, fileOf(store, String(body['file_id'])));
    },
    'GET /store/files/member': ({ store, member }) => fileObject(store, fileOf(store, member)),
    'DELETE /store/files/member': ({ store, member }) => ({
      id: fileOf(store, member).id,
      object: 'vector_store.file.deleted',
      deleted: store.files.delete(member),
    }),
    'POST /store/file_batches': async ({ store, body }) => {
      await add(store, body['file_ids']);
      return batchObject(store, nextId('vsfb'));
    },
    'GET /store/file_batches/member': ({ store, member }) => batchObject(store, member),
  };

  function search(storeIds: readonly string[], query: string): FoundFile[] {
    const words = query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
    const files = new Map(storeIds.flatMap((id) => [...(stores.get(id)?.files ?? [])]));
    return [...files.values()]
      .map((file) => {
        const text = file.text.toLowerCase();
        return { ...file, score: words.filter((word) => text.includes(word)).length / Math.max(1, words.length) };
      })
      .toSorted((one, other) => other.score - one.score);
  }

  function newStore(): Store {
    return { id: nextId('vs'), createdAt: Math.floor(clock.now() / 1000), name: null, metadata: {}, files: new Map() };
  }

  async function answer(method: string, path: string, text: string): Promise<unknown> {
    const [id, kind, member = ''] = path.split('/').filter(Boolean);
    const route = routes[`${method} /${[id && 'store', kind, member && 'member'].filter(Boolean).join('/')}`];
    if (route === undefined) throw new Unknown(`Invalid URL (${method} ${PATH}${path})`);
    const store = id === undefined ? newStore() : stores.get(id);
    if (store === undefined) throw new Unknown(`No vector store found with id '${id}'.`);
    return route({ store, member, body: text === '' ? {} : JSON.parse(text) });
  }

  return {
    search,
    mount: {
      path: PATH,
      handler: {
        async handleRequest(request, reply, path) {
          try {
            const answered = await answer(request.method ?? '', path, await bodyOf(request));
            reply.setHeader('content-type', 'application/json');
            reply.end(JSON.stringify(answered));
          } catch (error) {
            if (!(error instanceof Unknown)) throw error;
            reply.writeHead(404, { 'content-type': 'application/json' });
            const { message } = error;
            reply.end(JSON.stringify({ error: { message, type: 'invalid_request_error', param: null, code: null } }));
          }
          return true;
        },
      },
    },
  };
}

function named(store: Store, { name, metadata }: Asked['body']): Pick<Store, 'name' | 'metadata'> {
  return { name: typeof name === 'string' ? name : store.name, metadata: metadata ?? store.metadata };
}

function fileOf({ id: storeId, files }: Store, id: string): StoredFile {
  const file = files.get(id);
  if (file === undefined) throw new Unknown(`No file found with id '${id}' in vector store '${storeId}'.`);
  return file;
}

function list(data: readonly { readonly id: string }[]) {
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: false };
}

function counts(store: Store) {
  const { size } = store.files;
  return { in_progress: 0, completed: size, failed: 0, cancelled: 0, total: size };
}

function usageBytes(store: Store): number {
  return [...store.files.values()].reduce((sum, file) => sum + file.text.length, 0);
}

function storeObject(store: Store) {
  return {
    id: store.id,
    object: 'vector_store',
    created_at: store.createdAt,
    name: store.name,
    metadata: store.metadata,
    usage_bytes: usageBytes(store),
    status: 'completed',
    file_counts: counts(store),
    expires_after: null,
    expires_at: null,
    last_active_at: store.createdAt,
  };
}

function fileObject(store: Store, file: StoredFile) {
  return {
    id: file.id,
    object: 'vector_store.file',
    created_at: store.createdAt,
    vector_store_id: store.id,
    status: 'completed',
    usage_bytes: file.text.length,
    last_error: null,
    attributes: {},
  };
}

function batchObject(store: Store, id: string) {
  return {
    id,
    object: 'vector_store.files_batch',
    created_at: store.createdAt,
    vector_store_id: store.id,
    status: 'completed',
    file_counts: counts(store),
  };
}
