// Runs of the Assistants API, from their creation to their end: what the gateway adds before the model hears of one, what a piece of
// text costs, and how it holds many of them and those who ask after them. One process on SQLite; the upstream is played in here.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { GATEWAY_CORE, peakResidentMb, processTree, residentMb, resetPeakResident, start } from './processes.ts';
import { formatFigure, formatTable } from './report.ts';

const MAIN = join(import.meta.dirname, '..', 'src', 'main.ts');
const READY_MS = 20_000;
const TICK_MS = 10;
const RUNS_TIMED = 300;
const DELTAS_TIMED = 20_000;
const STREAMS = 500;
const DELTAS_PER_STREAM = 50;
const POLLERS = 1000;
const POLLED_RUNS = 100;

export interface AssistantsResult {
  readonly lines: readonly (readonly string[])[];
}

/** What the upstream does with a model call, once it has come in. */
type Play = (reply: ServerResponse) => void | Promise<void>;

interface House {
  readonly pid: number;
  readonly agent: Agent;
  readonly api: string;
  readonly token: string;
  readonly assistant: string;
  play: Play;
}

const sse = (event: Readonly<Record<string, unknown>>): string =>
  `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`;

const AT = { output_index: 0, item_id: 'msg_1' };
const RESPONSE = { id: 'resp_1', object: 'response', model: 'gpt-4o', status: 'in_progress', output: [], usage: null };
const USAGE = { input_tokens: 20, output_tokens: 10, total_tokens: 30 };

const HEAD =
  sse({ type: 'response.created', response: RESPONSE }) +
  sse({
    type: 'response.output_item.added',
    ...AT,
    item: { id: 'msg_1', type: 'message', status: 'in_progress', role: 'assistant', content: [] },
  });
const DELTA = sse({ type: 'response.output_text.delta', ...AT, content_index: 0, delta: 'a word ' });

function tail(deltas: number): string {
  const content = [{ type: 'output_text', text: 'a word '.repeat(deltas), annotations: [] }];
  const item = { id: 'msg_1', type: 'message', status: 'completed', role: 'assistant', content };
  const done = { ...RESPONSE, status: 'completed', output: [item], usage: USAGE };
  return (
    sse({ type: 'response.output_item.done', output_index: 0, item }) +
    sse({ type: 'response.completed', response: done })
  );
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function speak(reply: ServerResponse, deltas: number, perTick: number): Promise<void> {
  reply.write(HEAD);
  for (let sent = 0; sent < deltas; sent += perTick) {
    // Each delta is a write of its own, as a model's are.
    for (let i = 0; i < Math.min(perTick, deltas - sent); i++) reply.write(DELTA);
    await pause(TICK_MS);
  }
  reply.end(tail(deltas));
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly pollAfterMs: number;
}

function ask(
  house: Pick<House, 'agent' | 'api' | 'token'>,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${house.token}`, 'content-type': 'application/json' };
    const sent = request(`${house.api}/openai/v1${path}`, { method, headers, agent: house.agent }, (reply) => {
      let text = '';
      reply.setEncoding('utf8');
      reply.on('data', (piece: string) => (text += piece));
      reply.on('error', reject);
      reply.on('end', () => {
        const { statusCode: status = 0, headers: told } = reply;
        if (status === 200) resolve({ status, text, pollAfterMs: Number(told['openai-poll-after-ms'] ?? Number.NaN) });
        else reject(new Error(`${method} ${path} answers ${status}: ${text.slice(0, 300)}`));
      });
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function make(house: Pick<House, 'agent' | 'api' | 'token'>, path: string, body: unknown): Promise<string> {
  return (JSON.parse((await ask(house, 'POST', path, body)).text) as { id: string }).id;
}

const newThread = (house: House): Promise<string> =>
  make(house, '/threads', { messages: [{ role: 'user', content: 'Solve 3x + 11 = 14' }] });

function newThreads(house: House, count: number): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, () => newThread(house)));
}

/** User and system time of a process so far, all its threads. The kernel counts in hundredths of a second. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}

/** One after the other: from the request that creates a run to the moment at which the upstream has it. */
async function measureOverhead(house: House, runs: number): Promise<string[][]> {
  const took: number[] = [];
  for (let i = 0; i < runs + 20; i++) {
    const thread = await newThread(house);
    let heardMs = 0;
    house.play = (reply) => {
      heardMs = performance.now();
      reply.end(HEAD + DELTA + tail(1));
    };
    const begunMs = performance.now();
    await ask(house, 'POST', `/threads/${thread}/runs`, { assistant_id: house.assistant, stream: true });
    // The first ones warm it up.
    if (i >= 20) took.push(heardMs - begunMs);
  }
  return [
    ['createRun to the upstream, p50 ms', formatFigure(quantile(took, 0.5)), ''],
    ['createRun to the upstream, p95 ms', formatFigure(quantile(took, 0.95)), '≤ 10'],
  ];
}

/** Everything between the upstream's socket and the reader's: parsing, translating, writing. */
async function measureDeltas(house: House, deltas: number): Promise<string[][]> {
  house.play = (reply) => speak(reply, deltas, 20);
  const [thread] = await newThreads(house, 1);
  const before = cpuMs(house.pid);
  const { text } = await ask(house, 'POST', `/threads/${thread}/runs`, { assistant_id: house.assistant, stream: true });
  const spent = cpuMs(house.pid) - before;
  const told = text.split('event: thread.message.delta\n').length - 1;
  return [
    ['CPU per upstream delta, read along, ms', formatFigure(spent / deltas), '≤ 0.2'],
    [`deltas told of ${deltas}`, String(told), ''],
  ];
}

/** All are begun before the first one is answered. */
async function measureStreams(house: House): Promise<string[][]> {
  const threads = await newThreads(house, STREAMS);
  const allAsked = Promise.withResolvers<void>();
  let asked = 0;
  house.play = async (reply) => {
    if (++asked === STREAMS) allAsked.resolve();
    await allAsked.promise;
    await speak(reply, DELTAS_PER_STREAM, 1);
  };
  resetPeakResident([house.pid]);
  const before = cpuMs(house.pid);
  const begunMs = performance.now();
  const body = { assistant_id: house.assistant, stream: true };
  const answers = await Promise.all(threads.map((thread) => ask(house, 'POST', `/threads/${thread}/runs`, body)));
  const wallMs = performance.now() - begunMs;
  const complete = answers.filter(
    ({ text }) => text.includes('event: thread.run.completed\n') && text.endsWith('event: done\ndata: [DONE]\n\n'),
  );
  return [
    [`streamed runs complete of ${STREAMS}`, String(complete.length), String(STREAMS)],
    ['  wall s', formatFigure(wallMs / 1000), ''],
    ['  CPU s', formatFigure((cpuMs(house.pid) - before) / 1000), ''],
    ['  peak RSS MB', formatFigure(peakResidentMb([house.pid])), ''],
  ];
}

/** Runs that go on, and many who ask for them: as often as they are told to, and then as often as they can. */
async function measurePollers(house: House, seconds: number): Promise<string[][]> {
  const open: ServerResponse[] = [];
  house.play = (reply) => {
    reply.write(HEAD);
    open.push(reply);
  };
  const threads = await newThreads(house, POLLED_RUNS);
  const runs = await Promise.all(
    threads.map(async (thread) => {
      const run = await make(house, `/threads/${thread}/runs`, { assistant_id: house.assistant });
      return `/threads/${thread}/runs/${run}`;
    }),
  );
  while (open.length < POLLED_RUNS) await pause(TICK_MS);

  const lines: string[][] = [];
  for (const pace of ['as told', 'at once'] as const) {
    const took: number[] = [];
    const before = cpuMs(house.pid);
    const begunMs = performance.now();
    const untilMs = begunMs + seconds * 1000;
    await Promise.all(
      Array.from({ length: POLLERS }, async (_, i) => {
        // They did not all come at the same moment.
        if (pace === 'as told') await pause((i % 100) * 10);
        while (performance.now() < untilMs) {
          const sentMs = performance.now();
          const { pollAfterMs } = await ask(house, 'GET', runs[i % runs.length]!);
          took.push(performance.now() - sentMs);
          if (pace === 'as told') await pause(pollAfterMs);
        }
      }),
    );
    const wallMs = performance.now() - begunMs;
    const spent = cpuMs(house.pid) - before;
    lines.push(
      [`${POLLERS} pollers, asking again ${pace}: requests/s`, formatFigure((took.length / wallMs) * 1000), ''],
      ['  core used %', formatFigure((spent / wallMs) * 100), ''],
      ['  CPU ms per request', formatFigure(spent / took.length), ''],
      ['  p50 ms', formatFigure(quantile(took, 0.5)), ''],
      ['  p95 ms', formatFigure(quantile(took, 0.95)), ''],
    );
  }
  for (const reply of open) reply.end(tail(0));
  return lines;
}

async function withHouse<T>(use: (house: House) => Promise<T>): Promise<T> {
  let play: Play = (reply) => void reply.end();
  const upstream = createServer((asked: IncomingMessage, reply) => {
    asked.resume();
    asked.on('end', () => {
      reply.writeHead(200, { 'content-type': 'text/event-stream' });
      void play(reply);
    });
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const { port } = upstream.address() as AddressInfo;
  const dir = mkdtempSync(join(tmpdir(), 'throughway-bench-runs-'));
  const args = ['serve', '--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--data-dir', join(dir, 'data')];
  const adminToken = 'bench-admin-token-0123456789abcdefghijkl';
  const started = start(process.execPath, [MAIN, ...args, '--upstream', `http://127.0.0.1:${port}/v1`], {
    core: GATEWAY_CORE,
    cwd: dir,
    env: { OPENAI_API_KEY: 'sk-bench', THROUGHWAY_ADMIN_TOKEN: adminToken },
  });
  const agent = new Agent({ keepAlive: true });
  try {
    const ready = await started.line((line) => line.includes('"listening"'), READY_MS);
    const { api, admin } = JSON.parse(ready) as { api: string; admin: string };
    const made = await fetch(`${admin}/admin/v1/keys`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
      body: '{"name":"bench"}',
    });
    const { token } = (await made.json()) as { token: string };
    const assistant = await make({ agent, api, token }, '/assistants', { model: 'gpt-4o' });
    const pid = processTree(started.pid).at(-1)!;
    const house: House = {
      pid,
      agent,
      api,
      token,
      assistant,
      get play() {
        return play;
      },
      set play(next) {
        play = next;
      },
    };
    return await use(house);
  } finally {
    await started.stop();
    agent.destroy();
    upstream.close();
    upstream.closeAllConnections();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** @param pace 1 for figures to keep, less for a first look */
export function measureAssistants(pace: number): Promise<AssistantsResult> {
  return withHouse(async (house) => {
    const idle = [['RSS idle MB', formatFigure(residentMb([house.pid])), '']];
    const overhead = await measureOverhead(house, Math.ceil(RUNS_TIMED * pace));
    const deltas = await measureDeltas(house, Math.ceil(DELTAS_TIMED * pace));
    const streams = await measureStreams(house);
    const pollers = await measurePollers(house, 8 * pace);
    return { lines: [...idle, ...overhead, ...deltas, ...streams, ...pollers] };
  });
}

export function formatAssistants({ lines }: AssistantsResult): string {
  return `### Runs of the Assistants API, one process on SQLite\n\n${formatTable(['measure', 'measured', 'target'], lines)}\n`;
}
