// The file searches of a thread by number, and what each found: so that a citation can say which search it comes from.
import type { HistoryItem } from '../domain/assistants.ts';
import { citationMarker } from './citations.ts';
import { objectsIn, stringIn } from './upstream-json.ts';

export class Searches {
  #next: number;
  readonly #found: { readonly search: number; readonly fileIds: readonly string[] }[] = [];
  readonly #ownMarkers = new Map<string, string>();

  constructor(first = 0) {
    this.#next = first;
  }

  /** Those of a history, as far as it is shown to the model. */
  static of(history: readonly HistoryItem[]): Searches {
    const searches = new Searches();
    for (const item of history) {
      if (item.kind !== 'call' || item.payload.type !== 'file_search_call') continue;
      const results = objectsIn(item.payload, 'results');
      for (const result of results) {
        const marker = stringIn(result, 'marker');
        if (marker !== null) searches.#ownMarkers.set(marker, stringIn(result, 'file_id') ?? '');
      }
      searches.add(results.map((result) => stringIn(result, 'file_id') ?? ''));
    }
    return searches;
  }

  /** The number that the next search will have. */
  get next(): number {
    return this.#next;
  }

  /** Markers that the model was told to cite with, and their files. */
  get ownMarkers(): ReadonlyMap<string, string> {
    return this.#ownMarkers;
  }

  /** @param fileIds of its results, in their order */
  add(fileIds: readonly string[]): void {
    this.#found.push({ search: this.#next++, fileIds });
  }

  /** The marker with which the model is to cite a result of the next search. */
  offer(result: number, fileId: string, filename: string | null): string {
    const marker = citationMarker(this.#next, result, filename);
    this.#ownMarkers.set(marker, fileId);
    return marker;
  }

  /** The newest search that found the file. A file that none found counts as the last one's first. */
  foundIn(fileId: string): { readonly search: number; readonly result: number } {
    for (const { search, fileIds } of this.#found.toReversed()) {
      const result = fileIds.indexOf(fileId);
      if (result !== -1) return { search, result };
    }
    return { search: Math.max(0, this.#next - 1), result: 0 };
  }
}
