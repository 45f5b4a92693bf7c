// An upstream that plays scripts: the Responses API, Chat Completions, and what runs need beside them (containers, files, vector
// stores). Reached over HTTP, or in this process through the port that runs call models by.
import { type IncomingMessage, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Generate } from '../../src/domain/generate.ts';
import { Refusal } from '../../src/domain/refusal.ts';
import { type Json, type ScriptItem, type ScriptOptions, responseEvents } from './responses-script.ts';

/** What a model call is answered with. */
export type Script =
  | {
      /** Events, and promises that hold the stream until they are kept. */
      readonly events: readonly (Json | Promise<unknown>)[];
      /** The connection breaks behind the last event. */
      readonly breaks?: boolean;
      /** Bytes a chunk; an event a chunk by default, all in one for 0. */
      readonly chunk?: number;
    }
  | { readonly status: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> }
  /** Nothing comes back, or our own no. */
  | 'unreachable'
  | Refusal;

export interface PlayedCall {
  readonly method: string;
  readonly path: string;
  // A test asserts on what it reads of it.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
  /** The body as it came, where it was no JSON. */
  readonly raw: Buffer;
  readonly headers: ReadonlyMap<string, string>;
  readonly run: { readonly turn: number; readonly isRerun: boolean; readonly runId: string } | null;
}

export interface Container {
  /** By id. */
  readonly files: Map<string, { readonly path: string; readonly source: string; readonly content: Buffer }>;
}

interface Played {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly pieces: readonly (Buffer | Promise<unknown>)[];
  readonly breaks: boolean;
}

type Model = (call: PlayedCall, n: number) => Script | Promise<Script>;

export class ResponsesUpstream {
  readonly calls: PlayedCall[] = [];
  readonly containers = new Map<string, Container>();
  readonly vectorStores = new Map<string, Json>();
  /** What `/models` lists; empty: there is no such path. */
  models: readonly string[] | Promise<readonly string[]> = [];
  readonly files = new Map<string, { readonly filename: string; readonly purpose: string; readonly content: Buffer }>();
  /** What a search in a vector store finds. */
  found: Json[] = [];
  #model: Model = () => answer('Hello.');
  #modelCalls = 0;

  /** Calls of the model alone. */
  get modelCalls(): readonly PlayedCall[] {
    return this.calls.filter(({ path }) => path === '/v1/responses' || path === '/v1/chat/completions');
  }

  /** One script a model call, in order; the last one goes on for ever. */
  script(...scripts: readonly (Script | Model)[]): void {
    this.#modelCalls = 0;
    this.#model = (call, n) => {
      const script = scripts[Math.min(n, scripts.length - 1)]!;
      return typeof script === 'function' ? script(call, n) : script;
    };
  }

  /** The port, answered in this process. */
  get generate(): Generate {
    return async ({ method, path, headers, body, signal, run }) => {
      const call = readCall(method, path, headerMap(headers), body ?? Buffer.alloc(0), run);
      const played = await this.#play(call);
      if (played === 'unreachable')
        return { kind: 'unreachable', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' };
      if (played instanceof Refusal) return { kind: 'refused', refusal: played };
      if (signal.aborted) return { kind: 'unreachable', code: 'client_left', message: 'left' };
      return {
        kind: 'answered',
        status: played.status,
        headers: new Map(Object.entries(played.headers)),
        body: bodyOf(played, signal),
      };
    };
  }

  /** The same over HTTP. */
  async listen(): Promise<{ readonly url: string; close(): Promise<void> }> {
    const server = createServer((request, reply) => {
      void (async () => {
        const raw = await readBody(request);
        const headers = new Map(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
        const played = await this.#play(readCall(request.method ?? '', request.url ?? '', headers, raw, null));
        if (played === 'unreachable' || played instanceof Refusal) {
          request.socket.destroy();
          return;
        }
        reply.writeHead(played.status, played.headers);
        for (const piece of played.pieces) {
          if (piece instanceof Promise) await piece;
          else reply.write(piece);
          if (reply.destroyed) return;
        }
        if (played.breaks) request.socket.destroy();
        else reply.end();
      })();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return {
      url: `http://127.0.0.1:${port}/v1`,
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    };
  }

  async #play(call: PlayedCall): Promise<Played | 'unreachable' | Refusal> {
    this.calls.push(call);
    if (call.path === '/v1/models') return listOf(await this.models);
    const isModel = call.method === 'POST' && (call.path === '/v1/responses' || call.path === '/v1/chat/completions');
    if (!isModel) return this.#playOther(call);
    const script = await this.#model(call, this.#modelCalls++);
    if (script === 'unreachable' || script instanceof Refusal) return script;
    if ('status' in script) return json(script.status, script.body, script.headers);
    return stream(script, call.path === '/v1/chat/completions');
  }

  #playOther(call: PlayedCall): Played {
    const [path = ''] = call.path.split('?');
    const [, collection, id, sub, subId, leaf] = path.slice(1).split('/');
    if (collection === 'containers') return this.#playContainer(call, id ?? '', subId, leaf);
    if (collection === 'files') return this.#playFile(call, id, sub);
    if (collection === 'vector_stores' && sub === 'search') {
      return json(200, {
        object: 'vector_store.search_results.page',
        data: this.found,
        has_more: false,
        next_page: null,
      });
    }
    if (collection === 'vector_stores' && call.method === 'GET') {
      const store = this.vectorStores.get(id ?? '');
      return store === undefined ? notFound(`No vector store ${id}`) : json(200, store);
    }
    if (collection === 'vector_stores')
      return json(200, { id: id ?? `vs_${this.calls.length}`, object: 'vector_store' });
    return notFound('Nothing here');
  }

  #playContainer(call: PlayedCall, id: string, fileId: string | undefined, leaf: string | undefined): Played {
    const container = this.containers.get(id);
    if (container === undefined) return notFound(`Container with id '${id}' not found.`);
    if (call.method === 'POST') {
      const mounted = `cfile_mounted_${container.files.size}`;
      container.files.set(mounted, {
        path: `/mnt/data/${call.body.file_id}`,
        source: 'user',
        content: Buffer.alloc(0),
      });
      return json(200, { id: mounted, object: 'container.file' });
    }
    if (leaf === 'content') {
      const file = container.files.get(fileId ?? '');
      return file === undefined ? notFound('No such file') : bytes(file.content);
    }
    const data = [...container.files].map(([one, { path, source, content }]) => ({
      id: one,
      object: 'container.file',
      created_at: 1,
      bytes: content.length,
      container_id: id,
      path,
      source,
    }));
    return json(200, { object: 'list', data, has_more: false });
  }

  #playFile(call: PlayedCall, id: string | undefined, sub: string | undefined): Played {
    if (call.method === 'POST') {
      const text = call.raw.toString('latin1');
      const made = `file-up${this.files.size + 1}`;
      const filename = /filename="([^"]*)"/.exec(text)?.[1] ?? '';
      const purpose = /name="purpose"\r\n\r\n([^\r]*)/.exec(text)?.[1] ?? '';
      this.files.set(made, { filename, purpose, content: call.raw });
      return json(200, { id: made, object: 'file', filename, purpose });
    }
    const file = this.files.get(id ?? '');
    if (file === undefined) return notFound(`No such File object: ${id}`);
    if (call.method === 'DELETE') {
      this.files.delete(id ?? '');
      return json(200, { id, object: 'file', deleted: true });
    }
    return sub === 'content' ? bytes(file.content) : json(200, { id, object: 'file', filename: file.filename });
  }
}

/** A plain answer. */
export function answer(text: string, options: ScriptOptions = {}): Script {
  return { events: responseEvents([{ kind: 'message', text }], options) };
}

export function items(list: readonly ScriptItem[], options: ScriptOptions = {}): Script {
  return { events: responseEvents(list, options) };
}

export function failure(status: number, error: Json, headers: Readonly<Record<string, string>> = {}): Script {
  return { status, body: { error: { type: 'invalid_request_error', param: null, code: null, ...error } }, headers };
}

/** The chunks of a chat: words, calls, a reason to finish, and what it cost. */
export function chat(chunks: readonly Json[], finish = 'stop', usage: Json | null = CHAT_USAGE): Script {
  const chunk = (delta: Json, reason: string | null = null) => ({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    model: 'local',
    choices: [{ index: 0, delta, finish_reason: reason }],
  });
  const events: Json[] = [...chunks.map((delta) => chunk(delta)), chunk({}, finish)];
  return { events: usage === null ? events : [...events, { id: 'chatcmpl-1', choices: [], usage }] };
}

export const CHAT_USAGE: Json = { prompt_tokens: 12, completion_tokens: 5, total_tokens: 17 };

function readCall(
  method: string,
  path: string,
  headers: ReadonlyMap<string, string>,
  raw: Buffer,
  run: PlayedCall['run'],
): PlayedCall {
  let body: unknown = null;
  try {
    body = JSON.parse(raw.toString('utf8'));
  } catch {
    // A file, or nothing.
  }
  return { method, path, body, raw, headers, run };
}

function headerMap(raw: readonly string[]): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  for (let i = 0; i < raw.length; i += 2) map.set(raw[i]!.toLowerCase(), raw[i + 1]!);
  return map;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Played {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    pieces: [Buffer.from(text)],
    breaks: false,
  };
}

function listOf(models: readonly string[]): Played {
  if (models.length === 0) return notFound('Nothing here');
  return json(200, { object: 'list', data: models.map((id) => ({ id, object: 'model', created: 1, owned_by: 'x' })) });
}

function bytes(content: Buffer): Played {
  return { status: 200, headers: { 'content-type': 'application/octet-stream' }, pieces: [content], breaks: false };
}

function notFound(message: string): Played {
  return json(404, { error: { message, type: 'invalid_request_error', param: null, code: null } });
}

function stream({ events, breaks = false, chunk }: Extract<Script, { events: unknown }>, isChat: boolean): Played {
  const pieces: (Buffer | Promise<unknown>)[] = [];
  let waiting = Buffer.alloc(0);
  const cut = (all: boolean) => {
    const size = chunk === undefined ? waiting.length : chunk === 0 ? Infinity : chunk;
    while (waiting.length > 0 && (all || waiting.length >= size)) {
      pieces.push(waiting.subarray(0, Math.min(size, waiting.length)));
      waiting = waiting.subarray(Math.min(size, waiting.length));
    }
  };
  for (const event of events) {
    if (event instanceof Promise) {
      cut(true);
      pieces.push(event);
      continue;
    }
    const name = typeof event['type'] === 'string' ? `event: ${event['type']}\n` : '';
    waiting = Buffer.concat([waiting, Buffer.from(`${name}data: ${JSON.stringify(event)}\n\n`)]);
    cut(false);
  }
  if (isChat && !breaks) waiting = Buffer.concat([waiting, Buffer.from('data: [DONE]\n\n')]);
  cut(true);
  return { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' }, pieces, breaks };
}

async function* bodyOf({ pieces, breaks }: Played, signal: AbortSignal): AsyncGenerator<Buffer> {
  const left = new Promise<never>((_resolve, reject) => {
    const leave = () => reject(new Error('left'));
    // The caller may have left before the first read.
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
  });
  left.catch(() => {});
  for (const piece of pieces) {
    // As on a connection: pieces that were sent apart come apart.
    await Promise.race([piece instanceof Promise ? piece : new Promise((resolve) => setImmediate(resolve)), left]);
    if (!(piece instanceof Promise)) yield piece;
  }
  if (breaks) throw new Error('socket hang up');
}
