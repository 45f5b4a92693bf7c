// Exchanges over all routes that hold exactly the same number of tokens, and an upstream that answers none of them before all are
// either with it or refused: then a budget for k must let exactly k through.
import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import fc from 'fast-check';

import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { METERS, type Meter } from '../../src/domain/usage.ts';
import { eventually } from '../support/eventually.ts';

/** What each exchange sets aside. */
export const HELD_TOKENS = 5000;

export const ROUTES = ['chat', 'chat stream', 'responses', 'embeddings', 'images', 'speech'] as const;
export const OUTCOMES = ['complete', 'error', 'reset', 'cut', 'client leaves'] as const;

export interface Exchange {
  readonly route: (typeof ROUTES)[number];
  readonly outcome: (typeof OUTCOMES)[number];
  /** Even, so that the body makes up for it in whole bytes. */
  readonly outputTokens: number;
}

export const anExchange: fc.Arbitrary<Exchange> = fc.record({
  route: fc.constantFrom(...ROUTES),
  outcome: fc.constantFrom(...OUTCOMES),
  outputTokens: fc.integer({ min: 1, max: 1500 }).map((half) => half * 2),
});

export interface Sent {
  readonly path: string;
  readonly body: string;
}

/** Two tokens are held for five bytes of a body, and one for two where tokens may be sent as numbers; blanks make it as long as it must be. */
export function sentOf({ route, outputTokens }: Exchange): Sent {
  const padded = (members: Record<string, unknown>, tokensBeside: number) =>
    JSON.stringify(members).padEnd(((HELD_TOKENS - tokensBeside) * 5) / 2, ' ');
  const messages = [{ role: 'user', content: 'Hello' }];
  switch (route) {
    case 'chat':
      return {
        path: 'chat/completions',
        body: padded({ model: 'gpt-4o-mini', messages, max_tokens: outputTokens }, outputTokens),
      };
    case 'chat stream': {
      const members = { model: 'gpt-4o', messages, stream: true, max_completion_tokens: outputTokens / 2, n: 2 };
      return { path: 'chat/completions', body: padded(members, outputTokens) };
    }
    case 'responses':
      return {
        path: 'responses',
        body: padded({ model: 'gpt-4.1', input: 'Hello', max_output_tokens: outputTokens }, outputTokens),
      };
    case 'embeddings':
      return {
        path: 'embeddings',
        body: JSON.stringify({ model: 'text-embedding-3-small', input: 'Hello' }).padEnd(HELD_TOKENS * 2, ' '),
      };
    case 'images':
      return {
        path: 'images/generations',
        body: padded({ model: 'gpt-image-1', prompt: 'A cat', n: 2, quality: 'low' }, 816),
      };
    case 'speech':
      return {
        path: 'audio/speech',
        body: JSON.stringify({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'x'.repeat(HELD_TOKENS / 5) }),
      };
  }
}

export interface HoldingUpstream {
  /** Its base URL, with `/v1`. */
  readonly url: string;
  /** Requests that came since the last `release`. */
  waiting(): number;
  /** Answers all of them, each as its exchange says. */
  release(): void;
  close(): Promise<void>;
}

const NAME = 'x-client-request-id';

/** Requests are told apart by their number in the list. */
export async function startHoldingUpstream(exchangeOf: (number: number) => Exchange): Promise<HoldingUpstream> {
  const sockets = new Set<Socket>();
  let held: (() => void)[] = [];
  const server = createServer((request, reply) => {
    request
      .resume()
      .on('end', () => held.push(() => answer(exchangeOf(Number(request.headers[NAME])), request, reply)));
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    waiting: () => held.length,
    release() {
      const all = held;
      held = [];
      for (const each of all) each();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function answer({ route, outcome }: Exchange, request: IncomingMessage, reply: ServerResponse): void {
  if (outcome === 'reset') {
    request.socket.resetAndDestroy();
    return;
  }
  if (outcome === 'error') {
    reply
      .writeHead(500, { 'content-type': 'application/json' })
      .end('{"error":{"message":"no","type":"server_error"}}');
    return;
  }
  const isStream = route === 'chat stream';
  const type = route === 'speech' ? 'audio/mpeg' : isStream ? 'text/event-stream' : 'application/json';
  reply.writeHead(200, { 'content-type': type });
  if (isStream)
    reply.write('data: {"id":"c","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n');
  if (outcome === 'cut') {
    reply.write(isStream ? ': more\n\n' : '{"id":', () => reply.destroy());
    return;
  }
  // One that leaves is gone before this comes, or while it does.
  reply.end(endOf(route));
}

function endOf(route: Exchange['route']): string {
  const usage = { input_tokens: 20, output_tokens: 30, total_tokens: 50 };
  const ofChat = { prompt_tokens: 20, completion_tokens: 30, total_tokens: 50 };
  switch (route) {
    case 'chat':
      return JSON.stringify({ id: 'c', model: 'gpt-4o-mini', choices: [], usage: ofChat });
    case 'chat stream':
      return `data: ${JSON.stringify({ id: 'c', model: 'gpt-4o', choices: [], usage: ofChat })}\n\ndata: [DONE]\n\n`;
    case 'responses':
      return JSON.stringify({
        id: 'resp_1',
        object: 'response',
        status: 'completed',
        model: 'gpt-4.1',
        output: [],
        usage,
      });
    case 'embeddings':
      return JSON.stringify({
        model: 'text-embedding-3-small',
        data: [],
        usage: { prompt_tokens: 20, total_tokens: 20 },
      });
    case 'images':
      return JSON.stringify({ data: [{}, {}], usage });
    case 'speech':
      return 'ID3';
  }
}

export interface Told {
  readonly admitted: number;
  readonly refused: number;
}

/**
 * Sends all at once, waits until each is decided, and lets those that were let through end as they do.
 * @param ports of the gateways, taken in turn
 */
export async function runLoad(
  apis: readonly string[],
  token: string,
  exchanges: readonly { readonly exchange: Exchange; readonly number: number }[],
  upstream: HoldingUpstream,
): Promise<Told> {
  let refused = 0;
  const strange: string[] = [];
  const leaving = new AbortController();
  const asked = exchanges.map(async ({ exchange, number }, i) => {
    const { path, body } = sentOf(exchange);
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      [NAME]: String(number),
    };
    const signal = exchange.outcome === 'client leaves' ? { signal: leaving.signal } : {};
    try {
      const reply = await fetch(`${apis[i % apis.length]}/openai/v1/${path}`, {
        method: 'POST',
        headers,
        body,
        ...signal,
      });
      const text = await reply.text();
      const code = reply.headers.get('x-throughway-refusal');
      if (code === 'insufficient_quota' && reply.status === 429) refused++;
      else if (code !== null && code !== 'upstream_unreachable') strange.push(text);
    } catch {
      // It left, or its reply broke off: both as they should.
    }
  });
  const deadlineMs = 20_000;
  await eventually(
    'each is decided',
    () => upstream.waiting() + refused >= exchanges.length || strange.length > 0,
    deadlineMs,
  );
  const admitted = upstream.waiting();
  leaving.abort();
  upstream.release();
  await Promise.all(asked);
  if (strange.length > 0) throw new Error(strange[0]);
  return { admitted, refused };
}

/** What a record charges to a budget of tokens: what was used, all that was held where nobody knows, nothing where it was in vain. */
export function chargedBy({ refusal, cost, usage }: ExchangeRecord): bigint {
  if (refusal !== null || cost.state === 'free') return 0n;
  if (usage.readings === null) return BigInt(HELD_TOKENS);
  return usage.readings
    .filter(({ meter }) => METERS[meter as Meter].unit === 'token')
    .reduce((sum, { quantity }) => sum + BigInt(quantity), 0n);
}
