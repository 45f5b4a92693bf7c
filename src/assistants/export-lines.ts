// Objects as lines of an export: as callers see them, and beside that what only this gateway knows of them. A thread comes with
// all that hangs on it, files in parts, so that no more than a page is held at a time.
import type { AssistantStore, ExportCursor, ImportedObject } from '../domain/assistant-store.ts';
import type { Origin, ThreadId } from '../domain/assistants.ts';
import type { TeamId } from '../domain/id.ts';
import { SEARCH_CONTENT, assistantObject, messageObject, runObject, stepObject, threadObject } from './wire.ts';

const ROWS = 100;

type Exported = Exclude<ImportedObject, { kind: 'file_part' }>;
type Kind = Exported['kind'];
type ExportStore = Pick<AssistantStore, 'exportObjects' | 'readGeneratedFile'>;

/** In the order in which an import needs them. */
const OF_THREADS = ['message', 'item', 'run', 'step', 'file'] as const satisfies readonly Kind[];

export async function* exportTeam(store: ExportStore, team: TeamId, name: string): AsyncGenerator<string> {
  const line = (type: ImportedObject['kind'], members: object) =>
    `${JSON.stringify({ type, team: name, ...members })}\n`;
  for await (const found of all(store, 'assistant', team, null)) yield line(found.kind, membersOf(found));
  for await (const thread of all(store, 'thread', team, null)) {
    yield line(thread.kind, membersOf(thread));
    if (thread.kind !== 'thread') continue;
    for (const kind of OF_THREADS) {
      for await (const found of all(store, kind, team, thread.object.id)) {
        yield line(found.kind, membersOf(found));
        if (found.kind !== 'file') continue;
        let part = 0;
        for await (const content of store.readGeneratedFile(team, found.object.id)) {
          const object = { file_id: found.object.id, part: part++, content: content.toString('base64') };
          yield line('file_part', { object });
        }
      }
    }
  }
}

async function* all(
  store: ExportStore,
  kind: Kind,
  team: TeamId,
  thread: ThreadId | null,
): AsyncGenerator<ImportedObject> {
  let cursor: ExportCursor | null = null;
  do {
    const page: Awaited<ReturnType<ExportStore['exportObjects']>> = await store.exportObjects(kind, team, thread, {
      cursor,
      limit: ROWS,
    });
    yield* page.data;
    ({ cursor } = page);
  } while (cursor !== null);
}

/** What no object of OpenAI's has stands under `kept`: an import elsewhere may pass it over. */
function membersOf(found: ImportedObject): { readonly object: unknown; readonly kept?: object } {
  switch (found.kind) {
    case 'assistant':
      return { object: assistantObject(found.object) };
    case 'thread': {
      const { containerFiles } = found.object;
      const object = threadObject(found.object);
      return containerFiles.length === 0 ? { object } : { object, kept: { container_files: containerFiles } };
    }
    case 'message': {
      const { origin, markers, phase } = found.object;
      const kept = {
        ord: found.ord ?? null,
        ...originOf(origin),
        ...(markers.length > 0 && { markers }),
        ...(phase !== undefined && { phase }),
      };
      return { object: messageObject(found.object), kept };
    }
    case 'item': {
      const { threadId: thread_id, runId: run_id, ord, turn, outIx: out_ix, payload } = found.object;
      return { object: { thread_id, run_id, ord, turn, out_ix, payload } };
    }
    case 'run':
      return { object: runObject(found.object) };
    case 'step': {
      const { origin } = found.object;
      const object = stepObject(found.object, [SEARCH_CONTENT]);
      return origin === null ? { object } : { object, kept: originOf(origin) };
    }
    case 'file': {
      const { id, bytes, createdAt: created_at, filename, threadId, runId, upstreamId } = found.object;
      return {
        object: { id, object: 'file', bytes, created_at, filename, purpose: 'assistants_output' },
        kept: { thread_id: threadId, run_id: runId, upstream_id: upstreamId, is_shared: found.isShared },
      };
    }
    case 'file_part':
      throw new Error('parts of files are read with their file');
  }
}

function originOf(origin: Origin | null): { readonly origin?: { readonly turn: number; readonly out_ix: number } } {
  return origin === null ? {} : { origin: { turn: origin.turn, out_ix: origin.outIx } };
}
