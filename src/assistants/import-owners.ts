// What imported objects name of the upstream account belongs to their team from then on (reference: assistants 8.1).
import type { ImportedObject } from '../domain/assistant-store.ts';
import { GENERATED_FILE_PREFIX, type ToolResources } from '../domain/assistants.ts';
import type { OwnedKind, OwnedObject } from '../domain/ownership.ts';
import { imagesIn } from './named-objects.ts';

interface NamedIds {
  readonly files: readonly string[];
  readonly stores: readonly string[];
}

export function ownedByImport(imported: ImportedObject, createdAt: number): readonly OwnedObject[] {
  const { files, stores } = namedIn(imported);
  const { teamId } = imported.object;
  const owned = (kind: OwnedKind, ids: readonly string[]): readonly OwnedObject[] =>
    [...new Set(ids)].map((upstreamId) => ({ kind, upstreamId, teamId, keyId: null, exchangeId: null, createdAt }));
  const ofUpstream = files.filter((id) => !id.startsWith(GENERATED_FILE_PREFIX));
  return [...owned('file', ofUpstream), ...owned('vector_store', stores)];
}

function namedIn({ kind, object }: ImportedObject): NamedIds {
  switch (kind) {
    case 'assistant':
      return inResources(object.toolResources);
    case 'thread': {
      const { files, stores } = inResources(object.toolResources);
      return { files: [...files, ...object.containerFiles], stores };
    }
    case 'message':
      return { files: [...object.attachments.map(({ file_id }) => file_id), ...imagesIn([object])], stores: [] };
    case 'run':
      return inResources(object.spec.toolResources);
    case 'file':
      return { files: object.upstreamId === null ? [] : [object.upstreamId], stores: [] };
    case 'item':
    case 'step':
    case 'file_part':
      return { files: [], stores: [] };
  }
}

function inResources({ code_interpreter: code, file_search: search }: ToolResources): NamedIds {
  return { files: code?.file_ids ?? [], stores: search?.vector_store_ids ?? [] };
}
