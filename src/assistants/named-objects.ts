// The upstream's objects that requests name. All teams share the upstream account: what another team made is answered exactly as
// what nobody made (reference: assistants 8.3).
import { GENERATED_FILE_PREFIX, type Message, type MessageContent } from '../domain/assistants.ts';
import type { TeamId } from '../domain/id.ts';
import type { OwnedKind, Ownership } from '../domain/ownership.ts';
import * as errors from './api-error.ts';
import type { UpstreamCalls } from './upstream-calls.ts';

export interface NamedObjects {
  /** Files that a run uses much later: that is late to hear that one is not there. @throws ApiError */
  files(ids: readonly string[]): Promise<void>;
  /** The same for what is used by the run that follows; what the team made is believed to be there. @throws ApiError */
  images(ids: readonly string[]): Promise<void>;
  vectorStores(ids: readonly string[]): Promise<void>;
  /** Gives files to the upstream, which says itself where one is not there. @throws ApiError */
  give<T>(fileIds: readonly string[], call: () => Promise<T>): Promise<T>;
}

interface Named {
  readonly kind: OwnedKind;
  readonly path: string;
  readonly unknown: (id: string) => errors.ApiError;
}

const FILE: Named = { kind: 'file', path: '/v1/files', unknown: (id) => errors.noSuchFile(id, 400) };
const VECTOR_STORE: Named = { kind: 'vector_store', path: '/v1/vector_stores', unknown: errors.noSuchVectorStore };

export function namedObjects({ ownerOf }: Ownership, team: TeamId, calls: UpstreamCalls): NamedObjects {
  /** @returns whether it is the team's @throws ApiError */
  async function isOwn({ kind, unknown }: Named, id: string): Promise<boolean> {
    const owner = await ownerOf(kind, id);
    if (owner !== null && owner !== team) throw unknown(id);
    return owner === team;
  }

  async function known(named: Named, ids: readonly string[], isOwnBelieved: boolean): Promise<void> {
    await Promise.all(
      elsewhere(ids).map(async (id) => {
        if ((await isOwn(named, id)) && isOwnBelieved) return;
        try {
          await calls.call('GET', `${named.path}/${encodeURIComponent(id)}`);
        } catch (error) {
          throw error instanceof errors.ApiError && error.status === 404 ? named.unknown(id) : error;
        }
      }),
    );
  }

  return {
    files: (ids) => known(FILE, ids, false),
    images: (ids) => known(FILE, ids, true),
    vectorStores: (ids) => known(VECTOR_STORE, ids, true),
    async give(fileIds, call) {
      await Promise.all(elsewhere(fileIds).map((id) => isOwn(FILE, id)));
      try {
        return await call();
      } catch (error) {
        throw unknownAmong(fileIds, error) ?? error;
      }
    },
  };
}

/** Whose the files are that runs wrote is known where one is read: there the team's are asked for. */
function elsewhere(ids: readonly string[]): readonly string[] {
  return [...new Set(ids)].filter((id) => !id.startsWith(GENERATED_FILE_PREFIX));
}

/** The upstream's no to a file that is not there, in the words that all files are refused with. */
function unknownAmong(fileIds: readonly string[], error: unknown): errors.ApiError | null {
  if (!(error instanceof errors.ApiError) || (error.status !== 400 && error.status !== 404)) return null;
  const id = /^No such File object: (\S+?)\.?$/.exec(error.message)?.[1];
  return id !== undefined && fileIds.includes(id) ? errors.noSuchFile(id, 400) : null;
}

/** Files that messages show to the model. */
export function imagesIn(messages: readonly Pick<Message, 'content'>[]): readonly string[] {
  const parts = messages.flatMap(({ content }): readonly MessageContent[] => content);
  return parts.flatMap((part) => (part.type === 'image_file' ? [part.image_file.file_id] : []));
}
