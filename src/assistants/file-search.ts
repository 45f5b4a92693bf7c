// File search: waits for the thread's files to be ready, and, for upstreams that only chat, searches the stores itself.
import { setTimeout as delay } from 'node:timers/promises';

import type { Thread } from '../domain/assistants.ts';
import type { RunError, RunSpec } from '../domain/run.ts';
import { SEARCH_RESULTS_DEFAULT, upstreamRanker } from './responses-request.ts';
import type { Called, RunCalls } from './run-calls.ts';
import type { Searches } from './searches.ts';
import { type JsonObject, numberIn, objectIn, objectsIn, stringIn } from './upstream-json.ts';

/** How long a run waits for files of its thread that are still being read in, as the live API did; then it goes on without. */
const READY_WAIT_MS = 60_000;
const LOOK_EVERY_MS = 1_000;

/** The stores that a run may search: its assistant's and its thread's. */
export function storesOf(spec: RunSpec, thread: Thread): readonly string[] {
  const own = spec.toolResources.file_search?.vector_store_ids ?? [];
  const threads = thread.toolResources.file_search?.vector_store_ids ?? [];
  return [...new Set([...own, ...threads])];
}

/** Null when the run may go on; an expired store ends it. */
export async function storesReady(
  calls: RunCalls,
  spec: RunSpec,
  thread: Thread,
  clock: { elapsedMs(): number },
  signal: AbortSignal,
): Promise<RunError | null> {
  const waitsFor = new Set(thread.toolResources.file_search?.vector_store_ids ?? []);
  const endsMs = clock.elapsedMs() + READY_WAIT_MS;
  let stores = storesOf(spec, thread);
  while (stores.length > 0) {
    const looked = await Promise.all(
      stores.map(async (id) => ({ id, called: await calls.json('GET', `/v1/vector_stores/${id}`) })),
    );
    const expired = looked.find(({ called }) => called.kind === 'ok' && called.value['status'] === 'expired');
    if (expired !== undefined) {
      return {
        code: 'server_error',
        message: `The vector store ${expired.id} has expired. Create another one from its files.`,
      };
    }
    // What cannot be looked at is left to the search itself.
    stores = looked.filter(({ id, called }) => waitsFor.has(id) && isReadingIn(called)).map(({ id }) => id);
    if (stores.length === 0 || clock.elapsedMs() >= endsMs) return null;
    await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) return null;
  }
  return null;
}

function isReadingIn(called: Called<JsonObject>): boolean {
  if (called.kind === 'failed') return false;
  const waiting = numberIn(objectIn(called.value, 'file_counts'), 'in_progress') ?? 0;
  return waiting > 0 || called.value['status'] === 'in_progress';
}

/** The results of all stores together, best first, each with the marker with which the model is to cite it. */
export async function searchStores(
  calls: RunCalls,
  spec: RunSpec,
  stores: readonly string[],
  queries: readonly string[],
  searches: Searches,
): Promise<readonly JsonObject[]> {
  const tool = spec.tools.find((candidate) => candidate.type === 'file_search');
  const asked = tool?.type === 'file_search' ? tool.file_search : undefined;
  const resultsMax = asked?.max_num_results ?? SEARCH_RESULTS_DEFAULT;
  const ranking = asked?.ranking_options;
  const body: JsonObject = {
    query: queries,
    max_num_results: resultsMax,
    ...(ranking !== undefined && {
      ranking_options: { ranker: upstreamRanker(ranking.ranker), score_threshold: ranking.score_threshold },
    }),
  };
  const found = await Promise.all(stores.map((id) => calls.json('POST', `/v1/vector_stores/${id}/search`, body)));
  const results = found.flatMap((called) => (called.kind === 'ok' ? objectsIn(called.value, 'data') : []));
  const best = results
    .toSorted((a, b) => (numberIn(b, 'score') ?? 0) - (numberIn(a, 'score') ?? 0))
    .slice(0, resultsMax);
  return best.map((result, i) => {
    const fileId = stringIn(result, 'file_id') ?? '';
    const filename = stringIn(result, 'filename');
    const text = objectsIn(result, 'content')
      .map((part) => stringIn(part, 'text') ?? '')
      .join('\n');
    return {
      file_id: fileId,
      filename,
      score: numberIn(result, 'score') ?? 0,
      text,
      marker: searches.offer(i, fileId, filename),
    };
  });
}
