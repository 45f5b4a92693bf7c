// Starts the built-in upstream for trying and testing: @copilotkit/aimock with our answers.
// It never leaves this machine, knows no credential, and names itself in every reply.
import { systemClock } from '../domain/clock.ts';
import { type FileToolUse, useFileTool } from './file-tools.ts';
import { fixtures, moderationFixtures } from './fixtures.ts';
import { realtimeUsage } from './realtime.ts';
import { completeReply } from './reply.ts';
import { type StoredFile, type VectorStores, openVectorStores } from './vector-stores.ts';

type Aimock = typeof import('@copilotkit/aimock');
type AimockServer = Awaited<ReturnType<Aimock['createServer']>>;

/** So that nobody takes an answer of the sandbox for one of OpenAI. */
export const sandboxHeader = 'x-throughway-sandbox';

/** Requests that aimock remembers, whole bodies included. */
const journalEntriesMax = 100;

export interface Sandbox {
  /** Such as `http://127.0.0.1:4010/v1`: what a client calls its base URL. */
  readonly url: string;
  close(): Promise<void>;
}

/** Port 0 takes a free one. */
export async function startSandbox(options: { host?: string; port: number }): Promise<Sandbox> {
  const { host = '127.0.0.1', port } = options;
  const aimock = await loadAimock();
  const bodies: Bodies = new WeakMap();
  const vectorStores = openVectorStores({
    readFile: (id) => readFile(url, id),
    bodyOf: (request) => bodies.get(request) ?? Promise.resolve(''),
    clock: systemClock,
  });
  const upstream = await aimock.createServer(
    fixtures,
    { host, port, logLevel: 'silent', journalMaxEntries: journalEntriesMax },
    [vectorStores.mount],
    { search: [], rerank: [], moderation: moderationFixtures },
  );
  const url = `http://${reachable(host)}:${portOf(upstream)}/v1`;
  nameItself(upstream);
  completeReplies(upstream, bodies, vectorStores);
  countRealtime(aimock);

  return {
    url,
    close: () =>
      new Promise((resolve, reject) => {
        upstream.server.close((error) => (error ? reject(error) : resolve()));
        upstream.server.closeAllConnections();
      }),
  };
}

async function loadAimock(): Promise<Aimock> {
  try {
    return await import('@copilotkit/aimock');
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error(
      'The sandbox needs the optional package @copilotkit/aimock, which is not installed. ' +
        'Install it with `npm install @copilotkit/aimock`, or set OPENAI_API_KEY to use OpenAI.',
      { cause: error },
    );
  }
}

/** aimock has no setting for headers of its own, so they are set before it sees the request. */
function nameItself({ server }: AimockServer): void {
  server.prependListener('request', (_request, reply) => reply.setHeader(sandboxHeader, 'true'));
  server.prependListener('upgrade', (request, socket) => {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') return;
    const write = socket.write.bind(socket) as (...given: unknown[]) => boolean;
    // The handshake, or its refusal, is the one thing that aimock writes as a string; frames are bytes.
    socket.write = (chunk: unknown, ...rest: unknown[]) =>
      write(typeof chunk === 'string' ? chunk.replace('\r\n', `\r\n${sandboxHeader}: true\r\n`) : chunk, ...rest);
  });
}

/** Whole bodies of requests, by the request. */
type Bodies = WeakMap<object, Promise<string>>;

function completeReplies({ server, journal }: AimockServer, bodies: Bodies, vectorStores: VectorStores): void {
  server.prependListener('request', (request, reply) => {
    const chunks: Buffer[] = [];
    const body = () => Buffer.concat(chunks).toString();
    // aimock starts to read in the same tick, so that listening here loses it nothing.
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    bodies.set(request, new Promise((resolve) => request.once('end', () => resolve(body()))));

    let use: FileToolUse | null | undefined;
    const fileTool = (): FileToolUse | null => {
      if (request.method !== 'POST' || request.url?.split('?')[0] !== '/v1/responses') return null;
      if (use === undefined) use = useFileTool(JSON.parse(body()), vectorStores);
      return use;
    };
    const write = reply.write.bind(reply) as (...given: unknown[]) => boolean;
    reply.write = (chunk: unknown, ...rest: unknown[]) => {
      const data =
        typeof chunk === 'string' && chunk.startsWith('event: response.')
          ? /^data: (.*)$/m.exec(chunk)?.[1]
          : undefined;
      const events = data === undefined ? undefined : fileTool()?.events(JSON.parse(data));
      if (events === undefined) return write(chunk, ...rest);
      return write(
        events.map((event) => `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`).join(''),
      );
    };
    const end = reply.end.bind(reply) as (...given: unknown[]) => typeof reply;
    reply.end = (chunk?: unknown, ...rest: unknown[]) => {
      if (typeof chunk !== 'string') return end(chunk, ...rest);
      if (reply.statusCode === 200 && chunk.startsWith('{')) {
        const tool = fileTool();
        if (tool !== null) return end(JSON.stringify(tool.whole(JSON.parse(chunk))), ...rest);
      }
      // aimock writes the journal and the reply without a pause between, so the last entry is this request's.
      const prompt = promptOf(journal.getLast());
      return end(completeReply(chunk, { prompt, body }), ...rest);
    };
  });
}

/** From the sandbox's own files; null for an unknown id. */
async function readFile(url: string, id: string): Promise<StoredFile | null> {
  const path = `${url}/files/${encodeURIComponent(id)}`;
  const found = await fetch(path);
  if (!found.ok) return null;
  const { filename } = (await found.json()) as { filename: string };
  return { id, filename, text: await (await fetch(`${path}/content`)).text() };
}

function promptOf(entry: ReturnType<AimockServer['journal']['getLast']>): string {
  const body = entry?.body;
  if (!body || !('messages' in body) || !Array.isArray(body.messages)) return '';
  if (typeof body.embeddingInput === 'string') return body.embeddingInput;
  return body.messages.map((message) => (typeof message.content === 'string' ? message.content : '')).join('\n');
}

const counted = new WeakSet<object>();

/** aimock keeps its sockets to itself, so the way out of all of them is extended, once in a process. */
function countRealtime({ WebSocketConnection }: Aimock): void {
  if (counted.has(WebSocketConnection)) return;
  counted.add(WebSocketConnection);

  const counters = new WeakMap<object, (event: string) => string>();
  const send = WebSocketConnection.prototype.send;
  WebSocketConnection.prototype.send = function (event) {
    const count = counters.get(this) ?? realtimeUsage();
    counters.set(this, count);
    send.call(this, count(event));
  };
}

/** A wildcard address cannot be dialled everywhere. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

function portOf({ server }: AimockServer): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The sandbox does not listen on a port.');
  return address.port;
}
