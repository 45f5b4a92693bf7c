// The code interpreter's container: which one a turn uses, what goes into it, and what is copied out of it before it is gone. A
// container lives twenty minutes after its last use; what it leaves is kept here for as long as its team wants it.
import type { AssistantStore } from '../domain/assistant-store.ts';
import {
  type FileId,
  type GeneratedFile,
  type HistoryItem,
  type Message,
  type Thread,
  GENERATED_FILE_PREFIX,
} from '../domain/assistants.ts';
import { newObjectId } from '../domain/id.ts';
import type { Run } from '../domain/run.ts';
import type { Log } from '../telemetry/log.ts';
import type { RunCalls } from './run-calls.ts';
import type { TurnProducts } from './turn-items.ts';
import { type JsonObject, numberIn, objectsIn, stringIn } from './upstream-json.ts';

/** Somewhat less than the upstream's twenty minutes: one that ends under a running turn costs more than a new one. */
const REUSE_MS = 19 * 60_000;
/** What the upstream mounts at most. */
const MOUNTED_FILES_MAX = 50;
/** Of the files that earlier code wrote, the newest. */
const KEPT_FILES_MAX = 20;
/** A larger product is not kept, and says so in the log. */
const PRODUCT_BYTES_MAX = 100 * 1024 * 1024;
/** A larger one is kept, but not uploaded to be mounted again. */
const UPLOAD_BYTES_MAX = 20 * 1024 * 1024;
/** How long the stream waits for images, which belong before the words about them. */
const IMAGES_WAIT_MS = 5_000;
/** How long a message waits at its end for copies that its links name. */
const COPIES_WAIT_MS = 30_000;
const IMAGE_NAME = /\.(png|jpe?g|gif|webp)$/i;

export interface ContainerChoice {
  /** For the tool of the request. */
  readonly container: string | JsonObject;
  /** Null where the upstream makes a new one. */
  readonly id: string | null;
}

/** @param resources ids of files that the run and its thread give to the code interpreter */
export function chooseContainer(
  thread: Thread,
  fileIds: readonly string[],
  nowMs: number,
  isFresh: boolean,
): ContainerChoice {
  const known = thread.container;
  if (!isFresh && known !== null && nowMs - known.usedAt < REUSE_MS) return { container: known.id, id: known.id };
  const mounted = [...new Set([...fileIds, ...thread.containerFiles.slice(-KEPT_FILES_MAX)])];
  return { container: { type: 'auto', file_ids: mounted.slice(0, MOUNTED_FILES_MAX) }, id: null };
}

/** Files that came with messages after code last ran in the container: it does not have them yet. */
export function filesSince(
  history: readonly HistoryItem[],
  container: NonNullable<Thread['container']>,
): readonly string[] {
  const used = history.findLastIndex((item) => item.kind === 'call' && item.payload['container_id'] === container.id);
  const isNew = ({ createdAt }: Message, at: number) =>
    used === -1 ? (createdAt + 1) * 1000 > container.usedAt : at > used;
  return history.flatMap((item, at) => {
    if (item.kind !== 'message' || item.message.role !== 'user' || !isNew(item.message, at)) return [];
    const forCode = item.message.attachments.filter(({ tools }) =>
      tools.some(({ type }) => type === 'code_interpreter'),
    );
    return forCode.map((file) => file.file_id);
  });
}

/** @returns false where the container turns out to be gone */
export async function mountFiles(calls: RunCalls, containerId: string, fileIds: readonly string[]): Promise<boolean> {
  const mounted = await Promise.all(
    fileIds.map((fileId) => calls.json('POST', `/v1/containers/${containerId}/files`, { file_id: fileId })),
  );
  return !mounted.some((called) => called.kind === 'failed' && called.failure.status === 404);
}

interface Product {
  readonly fileId: FileId;
  readonly isImage: boolean;
  /** Which code made it; '' where that is not known. */
  readonly callId: string;
  isKept: boolean;
  isShown: boolean;
  /** Settles when the file is kept, or is known not to be. */
  copied: Promise<void>;
}

export interface ProductParts {
  readonly store: Pick<AssistantStore, 'insertGeneratedFile' | 'now'>;
  readonly run: Run;
  readonly calls: RunCalls;
  readonly log: Log;
}

/** What a turn's code leaves behind. */
export class Products implements TurnProducts {
  readonly #parts: ProductParts;
  readonly #byContainerFile = new Map<string, Product>();
  /** In containers that were there before: what they held then is no product of this turn. */
  readonly #before: Promise<ReadonlySet<string>>;
  readonly #upstreamIds: string[] = [];
  #containerId: string | null = null;

  /** @param reused the container that the turn goes on to use */
  constructor(parts: ProductParts, reused: string | null) {
    this.#parts = parts;
    this.#before =
      reused === null
        ? Promise.resolve(new Set<string>())
        : this.#list(reused).then((files) => new Set(files.map(idOf)));
  }

  /** The container that the turn used; null where it used none. */
  get containerId(): string | null {
    return this.#containerId;
  }

  /** Upstream ids of copies, to be mounted in the next container. */
  get upstreamIds(): readonly string[] {
    return this.#upstreamIds;
  }

  keptFile(containerFileId: string): string | null {
    return this.#byContainerFile.get(containerFileId)?.fileId ?? null;
  }

  imagesOf(callId: string): readonly string[] {
    return this.#all()
      .filter((product) => product.isImage && product.isKept && product.callId === callId)
      .map(({ fileId }) => fileId);
  }

  takeImages(): readonly string[] {
    const images = this.#all().filter((product) => product.isImage && product.isKept && !product.isShown);
    for (const image of images) image.isShown = true;
    return images.map(({ fileId }) => fileId);
  }

  /** Called when code has run: begins to copy what it left, and waits a little for images. */
  async collect(item: JsonObject): Promise<void> {
    const callId = stringIn(item, 'id') ?? '';
    for (const [i, output] of objectsIn(item, 'outputs').entries()) this.#copyInline(callId, i, output);
    const containerId = stringIn(item, 'container_id');
    if (containerId !== null) {
      this.#containerId = containerId;
      const [before, files] = await Promise.all([this.#before, this.#list(containerId)]);
      for (const file of files) {
        const isOwn = file['source'] !== 'user' && !before.has(idOf(file));
        if (isOwn)
          this.#copy(containerId, idOf(file), nameOf(stringIn(file, 'path') ?? ''), callId, numberIn(file, 'bytes'));
      }
    }
    await this.#settled((product) => product.isImage, IMAGES_WAIT_MS);
  }

  /** Called for a citation of a file in a container: one that no listing showed is copied now. */
  cited(annotation: JsonObject): void {
    const containerId = stringIn(annotation, 'container_id');
    const fileId = stringIn(annotation, 'file_id');
    if (annotation['type'] !== 'container_file_citation' || containerId === null || fileId === null) return;
    this.#containerId = containerId;
    this.#copy(containerId, fileId, nameOf(stringIn(annotation, 'filename') ?? fileId), '', null);
  }

  /** Called before a message ends: what it links to should be there. */
  async settle(): Promise<void> {
    await this.#settled(() => true, COPIES_WAIT_MS);
  }

  #all(): readonly Product[] {
    return [...this.#byContainerFile.values()];
  }

  async #settled(which: (product: Product) => boolean, waitMs: number): Promise<void> {
    const waiting = this.#all().filter((product) => !product.isKept && which(product));
    if (waiting.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, waitMs);
    });
    await Promise.race([Promise.all(waiting.map(({ copied }) => copied)), late]);
    clearTimeout(timer);
  }

  async #list(containerId: string): Promise<readonly JsonObject[]> {
    const called = await this.#parts.calls.json('GET', `/v1/containers/${containerId}/files?limit=100&order=desc`);
    if (called.kind === 'ok') return objectsIn(called.value, 'data');
    this.#parts.log.warn('files of a container not listed', { run: this.#parts.run.id, why: called.failure.message });
    return [];
  }

  #copy(containerId: string, containerFileId: string, filename: string, callId: string, bytes: number | null): void {
    if (this.#byContainerFile.has(containerFileId)) return;
    if (bytes !== null && bytes > PRODUCT_BYTES_MAX) {
      this.#parts.log.warn('file of a run not kept: too large', { run: this.#parts.run.id, bytes });
      return;
    }
    this.#begin(containerFileId, filename, callId, async () => {
      const path = `/v1/containers/${containerId}/files/${containerFileId}/content`;
      const called = await this.#parts.calls.bytes(path, PRODUCT_BYTES_MAX);
      if (called.kind === 'failed') throw new Error(called.failure.message);
      return called.value;
    });
  }

  /** Some outputs bring their image along. */
  #copyInline(callId: string, index: number, output: JsonObject): void {
    const encoded = /^data:image\/(\w+);base64,(.*)$/s.exec(stringIn(output, 'url') ?? '');
    if (output['type'] !== 'image' || encoded === null) return;
    const [, kind = 'png', content = ''] = encoded;
    this.#begin(`${callId}/${index}`, `image.${kind}`, callId, async () => Buffer.from(content, 'base64'));
  }

  /** The id is given at once, so that the text about the file can go on; the file is there when it is kept. */
  #begin(key: string, filename: string, callId: string, read: () => Promise<Buffer>): void {
    const product: Product = {
      fileId: newObjectId(GENERATED_FILE_PREFIX),
      isImage: IMAGE_NAME.test(filename),
      callId,
      isKept: false,
      isShown: false,
      copied: Promise.resolve(),
    };
    this.#byContainerFile.set(key, product);
    product.copied = this.#keep(product, filename, read).catch((error: unknown) => {
      this.#byContainerFile.delete(key);
      const why = error instanceof Error ? error.message : String(error);
      this.#parts.log.warn('file of a run not kept', { run: this.#parts.run.id, why });
    });
  }

  async #keep(product: Product, filename: string, read: () => Promise<Buffer>): Promise<void> {
    const { store, run } = this.#parts;
    const content = await read();
    const upstreamId = await this.#upload(filename, product.isImage ? 'vision' : 'user_data', content);
    const file: GeneratedFile = {
      teamId: run.teamId,
      id: product.fileId,
      filename,
      bytes: content.length,
      createdAt: Math.floor(store.now() / 1000),
      threadId: run.threadId,
      runId: run.id,
      upstreamId,
    };
    if (!(await store.insertGeneratedFile(file, once(content)))) throw new Error('its thread is gone');
    product.isKept = true;
  }

  /** So that later code finds the file in a new container, and a later message can show it to the model. Not every upstream can. */
  async #upload(filename: string, purpose: string, content: Buffer): Promise<string | null> {
    if (content.length > UPLOAD_BYTES_MAX) return null;
    const called = await this.#parts.calls.upload(filename, purpose, content);
    const id = called.kind === 'ok' ? stringIn(called.value, 'id') : null;
    if (id !== null) this.#upstreamIds.push(id);
    return id;
  }
}

function idOf(file: JsonObject): string {
  return stringIn(file, 'id') ?? '';
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1) || 'file';
}

async function* once(content: Buffer): AsyncGenerator<Buffer> {
  yield content;
}

/** Ids of files that we serve, in the order of their first mention, as far as messages of users name them. */
export function generatedFilesIn(history: readonly HistoryItem[]): readonly FileId[] {
  const ids = new Set<string>();
  for (const item of history) {
    if (item.kind !== 'message' || item.message.role !== 'user') continue;
    for (const part of item.message.content) if (part.type === 'image_file') ids.add(part.image_file.file_id);
    for (const { file_id: id } of item.message.attachments) ids.add(id);
  }
  return [...ids].filter((id): id is FileId => id.startsWith(GENERATED_FILE_PREFIX));
}
