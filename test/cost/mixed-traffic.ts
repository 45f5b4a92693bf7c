// A thread of its own, so that the gateway has its own: the upstream of the mixed exchanges, and the clients that ask for them over
// kept connections. Tells what did not come back as it should have.
import { once } from 'node:events';
import { Agent, type IncomingMessage, type ServerResponse, createServer, request as ask } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parentPort } from 'node:worker_threads';

import { exchangeOf } from './mix.ts';

/** Sends one part of the exchanges: those with these numbers. */
export interface Order {
  readonly api: string;
  readonly tokens: readonly string[];
  readonly part: number;
  readonly from: number;
  readonly to: number;
}

export type Report =
  | { readonly upstream: string }
  | { readonly sent: number; readonly wrong: number; readonly first: string | null };

const CLIENTS = 24;
const NUMBER = 'x-client-request-id';
const COST = 'x-throughway-cost-usd';
const PICO_DIGITS = 12;

const port = parentPort!;
const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });

const upstream = createServer((request, reply) => {
  const [number, part] = String(request.headers[NUMBER]).split('.').map(Number) as [number, number];
  let body = '';
  request.setEncoding('latin1').on('data', (text: string) => (body += text));
  request.on('end', () => answer(number, part, body, reply));
});
upstream.keepAliveTimeout = 0;

function answer(number: number, part: number, body: string, reply: ServerResponse): void {
  const exchange = exchangeOf(number, part);
  const isAskedForUsage = body.includes('"include_usage":true');
  const text = isAskedForUsage && exchange.amended !== null ? exchange.amended : exchange.reply;
  reply.writeHead(exchange.status, { 'content-type': exchange.replyType });
  // It would go on for ever, and the gateway must let go of it.
  if (exchange.leavesAfter !== null) reply.write(text);
  else reply.end(text);
}

/** @returns what is wrong with what came back; null for nothing */
async function send(order: Order, number: number): Promise<string | null> {
  const { key, method, path, contentType, body, status, reply, leavesAfter, replyType, owed } = exchangeOf(
    number,
    order.part,
  );
  const asked = ask(`${order.api}/openai/v1${path}`, {
    method,
    agent,
    headers: {
      authorization: `Bearer ${order.tokens[key]}`,
      [NUMBER]: `${number}.${order.part}`,
      ...(method === 'POST' && { 'content-type': contentType, 'content-length': Buffer.byteLength(body) }),
    },
  });
  asked.end(body);
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  response.setEncoding('utf8');
  // An upstream's 401 is about the credential, and told as such.
  const expectedStatus = status === 401 ? 502 : status;
  if (response.statusCode !== expectedStatus) return `${number}: status ${response.statusCode}`;
  for await (const piece of response) {
    text += piece as string;
    if (leavesAfter === null || text.length < leavesAfter.length) continue;
    asked.destroy();
    break;
  }
  if (status !== 401 && text !== reply) return `${number}: ${text.slice(0, 2000)} instead of ${reply.slice(0, 2000)}`;
  const isTold = replyType !== 'text/event-stream' && (owed.state === 'priced' || owed.state === 'partial');
  const told = isTold ? usd(owed.pico) : undefined;
  return response.headers[COST] === told ? null : `${number}: ${String(response.headers[COST])} instead of ${told}`;
}

function usd(pico: bigint): string {
  const digits = pico.toString().padStart(PICO_DIGITS + 1, '0');
  return `${digits.slice(0, -PICO_DIGITS)}.${digits.slice(-PICO_DIGITS)}`.replace(/\.?0+$/, '');
}

async function carryOut(order: Order): Promise<Report> {
  let next = order.from;
  let wrong = 0;
  let first: string | null = null;
  async function client(): Promise<void> {
    while (next < order.to) {
      const problem = await send(order, next++).catch((error: unknown) => String(error));
      if (problem === null) continue;
      wrong++;
      first ??= problem;
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return { sent: order.to - order.from, wrong, first };
}

port.on('message', (order: Order) => void carryOut(order).then((report) => port.postMessage(report)));
upstream.listen(0, '127.0.0.1');
await once(upstream, 'listening');
port.postMessage({ upstream: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1` } satisfies Report);
