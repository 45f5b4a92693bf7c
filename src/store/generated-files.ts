// Whose a file is that a run made: its thread's alone, until something else names it.
import type { Kysely } from 'kysely';

import {
  type Assistant,
  type Message,
  type Thread,
  type ThreadId,
  GENERATED_FILE_PREFIX,
} from '../domain/assistants.ts';
import type { TeamId } from '../domain/id.ts';
import type { Schema } from './schema.ts';

export function filesNamedBy(object: Assistant | Thread | Message): readonly string[] {
  const ids =
    'content' in object
      ? [
          ...object.content.flatMap((part) => (part.type === 'image_file' ? [part.image_file.file_id] : [])),
          ...object.attachments.map((attachment) => attachment.file_id),
        ]
      : (object.toolResources.code_interpreter?.file_ids ?? []);
  return ids.filter((id) => id.startsWith(GENERATED_FILE_PREFIX));
}

/** @param thread what names them belongs to; null for what belongs to no thread */
export async function shareFiles(
  tx: Kysely<Schema>,
  team: TeamId,
  thread: ThreadId | null,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return;
  const query = tx
    .updateTable('generated_files')
    .set({ is_shared: 1 })
    .where('team_id', '=', team)
    .where('id', 'in', ids);
  await (thread === null ? query : query.where('thread_id', '<>', thread)).execute();
}
