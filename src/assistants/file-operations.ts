// Files that runs produced: read and deleted by their ids as any file is, by the team whose run made them.
import type { GeneratedFile } from '../domain/assistants.ts';
import { noSuchFile } from './api-error.ts';
import { type Asked, type Desk, type Operation, object } from './desk.ts';

export const retrieveGeneratedFile: Operation = async (desk, asked) => object(fileObject(await knownFile(desk, asked)));

export const readGeneratedFile: Operation = async (desk, asked) => {
  const { id, bytes, filename } = await knownFile(desk, asked);
  return {
    kind: 'bytes',
    body: desk.store.readGeneratedFile(asked.caller.team.id, id),
    headers: [
      'content-type',
      'application/octet-stream',
      'content-length',
      String(bytes),
      'content-disposition',
      `attachment; filename*=UTF-8''${encodeURIComponent(filename)}`,
    ],
  };
};

export const deleteGeneratedFile: Operation = async ({ store }, { caller, ids }) => {
  if (!(await store.deleteGeneratedFile(caller.team.id, ids.file_id))) throw noSuchFile(ids.file_id);
  return object({ id: ids.file_id, object: 'file', deleted: true });
};

async function knownFile({ store }: Desk, { caller, ids }: Asked): Promise<GeneratedFile> {
  const file = await store.findGeneratedFile(caller.team.id, ids.file_id);
  if (file === null) throw noSuchFile(ids.file_id);
  return file;
}

function fileObject({ id, bytes, createdAt, filename }: GeneratedFile) {
  return {
    id,
    object: 'file',
    bytes,
    created_at: createdAt,
    expires_at: null,
    filename,
    purpose: 'assistants_output',
    status: 'processed',
    status_details: null,
  };
}
