// Starts the built-in upstream for trying and testing: @copilotkit/aimock with our answers.
// It never leaves this machine, knows no credential, and names itself in every reply.
import { fixtures, moderationFixtures } from './fixtures.ts';
import { realtimeUsage } from './realtime.ts';
import { completeReply } from './reply.ts';

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
  const upstream = await aimock.createServer(
    fixtures,
    { host, port, logLevel: 'silent', journalMaxEntries: journalEntriesMax },
    [],
    { search: [], rerank: [], moderation: moderationFixtures },
  );
  nameItself(upstream);
  completeReplies(upstream);
  countRealtime(aimock);

  return {
    url: `http://${reachable(host)}:${portOf(upstream)}/v1`,
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

function completeReplies({ server, journal }: AimockServer): void {
  server.prependListener('request', (request, reply) => {
    const body: Buffer[] = [];
    // aimock starts to read in the same tick, so that listening here loses it nothing.
    request.on('data', (chunk: Buffer) => body.push(chunk));
    const end = reply.end.bind(reply) as (...given: unknown[]) => typeof reply;
    reply.end = (chunk?: unknown, ...rest: unknown[]) => {
      if (typeof chunk !== 'string') return end(chunk, ...rest);
      // aimock writes the journal and the reply without a pause between, so the last entry is this request's.
      const prompt = promptOf(journal.getLast());
      return end(completeReply(chunk, { prompt, body: () => Buffer.concat(body).toString() }), ...rest);
    };
  });
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
