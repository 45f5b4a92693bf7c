// A text that cites files. Responses name a file and a place and leave the text alone; clients of the Assistants API replace a
// marker in the text. So a marker is put in, and every offset is in code points of the text with its markers.
import type { Annotation } from '../domain/assistants.ts';
import { countCodePoints, sliceCodePoints, wholeCodePoints } from './code-points.ts';
import { type JsonObject, numberIn, stringIn } from './upstream-json.ts';

/** What is told of a text as it grows, in this order. */
export type TextPiece =
  | { readonly type: 'value'; readonly value: string }
  | { readonly type: 'annotation'; readonly at: number; readonly annotation: Annotation };

export interface CitedFiles {
  /** Which search of the thread found the file, and as which result: the numbers of its marker. */
  foundIn(fileId: string): { readonly search: number; readonly result: number };
  /** Our id of a file that the code interpreter left in its container; null where it was not kept. */
  keptFile(containerFileId: string): string | null;
  /** Markers that the model was told to cite with, and the files that they stand for. */
  readonly ownMarkers: ReadonlyMap<string, string>;
}

interface FileCitation {
  readonly index: number;
  readonly fileId: string;
  readonly filename: string | null;
}

interface PathCitation {
  readonly start: number;
  readonly end: number;
  readonly fileId: string;
  readonly filename: string | null;
}

const OWN_MARKER = /【\d+:\d+†[^】]*】/g;

export class CitedText {
  readonly #files: CitedFiles;
  #value = '';
  #annotations: readonly Annotation[] = [];
  #markers: readonly (readonly [number, number])[] = [];
  /** The text as the upstream sent it: its offsets are of this one. */
  #source = '';
  #sourcePoints = 0;
  #valuePoints = 0;
  /** Half of a pair of surrogates. */
  #half = '';
  /** Beyond what has come, in the order of their places. */
  #waiting: FileCitation[] = [];
  #paths: PathCitation[] = [];
  readonly #seen = new Set<string>();
  /** Files whose place in the text could not be found: they go along with the message. */
  #unplaced: readonly string[] = [];

  constructor(files: CitedFiles) {
    this.#files = files;
  }

  get value(): string {
    return this.#value;
  }
  get source(): string {
    return this.#source + this.#half;
  }
  get annotations(): readonly Annotation[] {
    return this.#annotations;
  }
  get markers(): readonly (readonly [number, number])[] {
    return this.#markers;
  }
  get unplacedFiles(): readonly string[] {
    return this.#unplaced;
  }

  append(delta: string): readonly TextPiece[] {
    const { whole, rest } = wholeCodePoints(this.#half + delta);
    this.#half = rest;
    return this.#grow(whole);
  }

  /** An annotation of the upstream. At once where its text has come; one that comes late stands at the end of what has. */
  cite(annotation: JsonObject): readonly TextPiece[] {
    const fileId = stringIn(annotation, 'file_id');
    if (fileId === null) return [];
    const filename = stringIn(annotation, 'filename');
    if (annotation['type'] === 'container_file_citation') {
      const start = numberIn(annotation, 'start_index') ?? 0;
      const path = { start, end: numberIn(annotation, 'end_index') ?? start, fileId, filename };
      return this.#isNew(`${path.start}-${path.end}:${fileId}`) ? this.#citePath(path) : [];
    }
    if (annotation['type'] !== 'file_citation') return [];
    const index = numberIn(annotation, 'index') ?? this.#sourcePoints;
    if (!this.#isNew(`${index}:${fileId}`)) return [];
    const citation = { index, fileId, filename };
    if (index <= this.#sourcePoints) return this.#mark(citation);
    this.#waiting = [...this.#waiting, citation].toSorted((a, b) => a.index - b.index);
    return [];
  }

  /** No more text comes: what waited for a place gets one. */
  finish(): readonly TextPiece[] {
    const half = this.#half;
    this.#half = '';
    const pieces: TextPiece[] = [...this.#grow(half)];
    for (const citation of this.#waiting.splice(0)) pieces.push(...this.#mark(citation));
    for (const path of this.#paths.splice(0)) pieces.push(...this.#findPath(path));
    pieces.push(...this.#citeOwnMarkers());
    return pieces;
  }

  #isNew(key: string): boolean {
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  #grow(text: string): readonly TextPiece[] {
    if (text === '') return [];
    const pieces: TextPiece[] = [];
    let rest = text;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const pointsBefore = next.index - this.#sourcePoints;
      if (pointsBefore > countCodePoints(rest)) break;
      const before = sliceCodePoints(rest, 0, pointsBefore);
      rest = rest.slice(before.length);
      this.#waiting.shift();
      pieces.push(...this.#put(before), ...this.#mark(next));
    }
    pieces.push(...this.#put(rest));
    return pieces;
  }

  #put(text: string): readonly TextPiece[] {
    if (text === '') return [];
    const points = countCodePoints(text);
    this.#source += text;
    this.#sourcePoints += points;
    this.#value += text;
    this.#valuePoints += points;
    return [{ type: 'value', value: text }];
  }

  #mark({ fileId, filename }: FileCitation): readonly TextPiece[] {
    const { search, result } = this.#files.foundIn(fileId);
    const text = citationMarker(search, result, filename);
    const start = this.#valuePoints;
    const end = start + countCodePoints(text);
    this.#value += text;
    this.#valuePoints = end;
    this.#markers = [...this.#markers, [start, end]];
    const cited = {
      type: 'file_citation',
      text,
      start_index: start,
      end_index: end,
      file_citation: { file_id: fileId },
    } as const;
    return [{ type: 'value', value: text }, this.#annotate(cited)];
  }

  #annotate(annotation: Annotation): TextPiece {
    const at = this.#annotations.length;
    this.#annotations = [...this.#annotations, annotation];
    return { type: 'annotation', at, annotation };
  }

  #citePath(path: PathCitation): readonly TextPiece[] {
    if (path.end > this.#sourcePoints || path.end <= path.start) {
      this.#paths.push(path);
      return [];
    }
    const start = this.#valueOffset(path.start);
    return this.#annotatePath(path, start, this.#valueOffset(path.end - 1) + 1);
  }

  /** A file that was cited nowhere, or beyond the text: its sandbox path may stand in the text all the same. */
  #findPath(path: PathCitation): readonly TextPiece[] {
    if (path.end > path.start && path.end <= this.#sourcePoints) return this.#citePath(path);
    const link = `sandbox:/mnt/data/${path.filename ?? ''}`;
    const at = path.filename === null ? -1 : this.#value.indexOf(link);
    const start = at === -1 ? 0 : countCodePoints(this.#value.slice(0, at));
    if (at !== -1) return this.#annotatePath(path, start, start + countCodePoints(link));
    const kept = this.#files.keptFile(path.fileId);
    if (kept !== null) this.#unplaced = [...this.#unplaced, kept];
    return [];
  }

  #annotatePath({ fileId }: PathCitation, start: number, end: number): readonly TextPiece[] {
    const kept = this.#files.keptFile(fileId);
    if (kept === null) return [];
    const text = sliceCodePoints(this.#value, start, end);
    return [
      this.#annotate({ type: 'file_path', text, start_index: start, end_index: end, file_path: { file_id: kept } }),
    ];
  }

  /** From an offset in the upstream's text to the same character here: behind the markers that were put in before it. */
  #valueOffset(sourceOffset: number): number {
    let offset = sourceOffset;
    for (const [start, end] of this.#markers) if (start <= offset) offset += end - start;
    return offset;
  }

  #citeOwnMarkers(): readonly TextPiece[] {
    if (this.#files.ownMarkers.size === 0) return [];
    const pieces: TextPiece[] = [];
    for (const { 0: text, index } of this.#value.matchAll(OWN_MARKER)) {
      const fileId = this.#files.ownMarkers.get(text);
      if (fileId === undefined) continue;
      const start = countCodePoints(this.#value.slice(0, index));
      const end = start + countCodePoints(text);
      pieces.push(
        this.#annotate({
          type: 'file_citation',
          text,
          start_index: start,
          end_index: end,
          file_citation: { file_id: fileId },
        }),
      );
    }
    return pieces;
  }
}

/** As the live API wrote them: `【4:0†source】`. */
export function citationMarker(search: number, result: number, filename: string | null): string {
  return `【${search}:${result}†${filename ?? 'source'}】`;
}

/** The text as the model wrote it, for showing it to a model again. */
export function withoutMarkers(value: string, markers: readonly (readonly [number, number])[]): string {
  if (markers.length === 0) return value;
  let text = '';
  let from = 0;
  for (const [start, end] of markers) {
    text += sliceCodePoints(value, from, start);
    from = end;
  }
  return text + sliceCodePoints(value, from);
}
