// The benchmarks rest on two C programs and a few prepared bytes. A wrong one would make every figure wrong and no test
// of the gateway would notice, so they are held against Node's own HTTP here.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';

import { BODY_BYTES, chatRequest, downloadRequest, streamRequest, uploadRequest } from '../bench/fixtures.ts';
import { hasCompiler, load, startUpstream } from '../bench/native.ts';
import type { Upstream } from '../bench/native.ts';
import { interleaved, median } from '../bench/statistics.ts';

const key: readonly [string, string] = ['authorization', 'Bearer sk-test'];
const chat = chatRequest('/v1', [key]);
const stream = streamRequest('/v1', [key]);
const monotonicNs = (): bigint => process.hrtime.bigint();
const stampOf = (ns: bigint): string => `@${String(ns).padStart(20, '0')}`;

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

async function withServer<T>(answer: Answer, use: (port: number) => Promise<T>): Promise<T> {
  const server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await use((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

async function answered(request: IncomingMessage, response: ServerResponse, body: string): Promise<void> {
  await bodyOf(request);
  response.end(body);
}

test('a median is the middle value, or the mean of the middle two', () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([9, 1, 5, 7]), 6);
  assert.ok(Number.isNaN(median([])));
});

test('variants take turns forwards, then backwards', () => {
  assert.deepEqual(interleaved(['a', 'b', 'c'], 3), ['a', 'b', 'c', 'c', 'b', 'a', 'a', 'b', 'c']);
});

describe('the C programs of the benchmarks', { skip: hasCompiler ? false : 'SKIPPED: gcc is not installed' }, () => {
  let upstream: Upstream;
  before(async () => {
    upstream = await startUpstream();
  });
  after(() => upstream.stop());

  const ask = async (method: string, path: string, body?: Buffer | string, headers?: Record<string, string>) => {
    const outgoing = httpRequest({ host: '127.0.0.1', port: upstream.port, method, path, agent: false, headers });
    outgoing.end(body);
    const [reply] = (await once(outgoing, 'response')) as [IncomingMessage];
    return reply;
  };

  test('the upstream answers a completion of 1,058 bytes under 19 headers', async () => {
    const reply = await ask('POST', '/v1/chat/completions', '{"model":"gpt-4o-mini","messages":[]}');
    const body = await bodyOf(reply);
    assert.equal(reply.statusCode, 200);
    assert.equal(reply.rawHeaders.length / 2, 19);
    assert.equal(body.length, 1058);
    assert.equal((JSON.parse(body.toString()) as { object: string }).object, 'chat.completion');
  });

  test('the upstream streams 98 deltas of 304 bytes, the usage and the end, each stamped when it is sent', async () => {
    await upstream.set({ events: 100, interval_us: 500 });
    const from = monotonicNs();
    const reply = await ask('POST', '/v1/chat/completions', '{"model":"gpt-4o-mini","stream":true}');
    const text = (await bodyOf(reply)).toString();
    const events = text.split('\n\n').slice(0, -1);
    assert.equal(events.length, 100);
    assert.equal(events.pop(), 'data: [DONE]');
    const chunks = events.map((event) => JSON.parse(event.slice('data: '.length)) as Record<string, unknown>);
    assert.ok(events.slice(0, 98).every((event) => event.length + 2 === 304));
    assert.deepEqual(chunks[98]?.['usage'], { prompt_tokens: 200, completion_tokens: 98, total_tokens: 298 });
    const stamps = [...text.matchAll(/@(\d{20})/g)].map(([, digits]) => BigInt(digits ?? ''));
    assert.equal(stamps.length, 99);
    assert.ok(stamps.every((stamp, i) => stamp > (stamps[i - 1] ?? from) && stamp < monotonicNs()));
    assert.ok((stamps[98] ?? 0n) - (stamps[0] ?? 0n) >= 98n * 500_000n - 1_000_000n, 'the events keep their interval');
  });

  test('the upstream counts the bytes of an upload, with a length and in chunks', async () => {
    const body = Buffer.alloc(300_000, 'x');
    const withLength = await ask('POST', '/v1/files', body, { 'content-length': '300000' });
    assert.equal((JSON.parse((await bodyOf(withLength)).toString()) as { bytes: number }).bytes, 300_000);
    const inChunks = await ask('POST', '/v1/files', body, { 'transfer-encoding': 'chunked' });
    assert.equal((JSON.parse((await bodyOf(inChunks)).toString()) as { bytes: number }).bytes, 300_000);
  });

  test('the upstream notices a client that leaves in the middle of a stream', async () => {
    await upstream.set({ events: 1000, interval_us: 10_000 });
    const { aborted } = await upstream.stats();
    const reply = await ask('POST', '/v1/chat/completions', '{"stream":true}');
    await once(reply, 'data');
    reply.destroy();
    const deadline = performance.now() + 5_000;
    while ((await upstream.stats()).aborted === aborted && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal((await upstream.stats()).aborted, aborted + 1);
  });

  test('the load sends the prepared request: 13 headers and a body of 1 KB', async () => {
    const seen: { rawHeaders: string[]; body: Buffer; url: string | undefined }[] = [];
    const result = await withServer(
      async (request, response) => {
        seen.push({ rawHeaders: request.rawHeaders, url: request.url, body: await bodyOf(request) });
        response.end('{}');
      },
      (port) => load('closed', { port, request: chat, conns: 2, count: 10, 'expect-bytes': 2 }),
    );
    assert.equal(result.requests, 10);
    assert.equal(result.errors, 0);
    assert.equal(seen.length, 10);
    for (const { rawHeaders, body, url } of seen) {
      assert.equal(url, '/v1/chat/completions');
      assert.equal(rawHeaders.length / 2, 13);
      assert.equal(body.length, BODY_BYTES);
      assert.equal((JSON.parse(body.toString()) as { model: string }).model, 'gpt-4o-mini');
    }
  });

  test('the load counts as many replies as the upstream gave', async () => {
    const before = await upstream.stats();
    const result = await load('closed', {
      port: upstream.port,
      request: chat,
      conns: 8,
      count: 500,
      'expect-bytes': 1058,
    });
    const { requests } = await upstream.stats();
    assert.equal(result.requests, 500);
    assert.equal(result.bytes, 500 * 1058);
    assert.equal(requests - before.requests - 1, 500, 'but for the question for the counts themselves');
  });

  test('a reply of another status, of another length, or cut short is an error and no measurement', async () => {
    const faults: Answer[] = [
      (request, response) => answered(request, response.writeHead(500), 'xxxx'),
      (request, response) => answered(request, response, 'xxx'),
      (_request, response) =>
        void response.writeHead(200, { 'content-length': 4 }).write('xx', () => response.destroy()),
      (_request, response) => response.writeHead(200).write('xxxx', () => response.destroy()),
    ];
    for (const fault of faults) {
      const result = await withServer(fault, (port) =>
        load('closed', { port, request: chat, conns: 1, count: 3, 'expect-bytes': 4 }),
      );
      assert.deepEqual([result.requests, result.errors, result.latency.samples], [0, 3, 0], result.first_error);
    }
  });

  test('a closed loop times each reply from its own request', async () => {
    const result = await withServer(
      (request, response) => setTimeout(() => void answered(request, response, 'x'), 30),
      (port) => load('closed', { port, request: chat, conns: 4, count: 20 }),
    );
    assert.equal(result.latency.samples, 20);
    assert.ok((result.latency.p50_us ?? 0) >= 29_000, `p50 is ${result.latency.p50_us} µs`);
  });

  test('an open loop does not forgive a stall: every request that was due meanwhile has waited', async () => {
    let answers = 0;
    const stallMs = 600;
    const result = await withServer(
      (request, response) => {
        const wait = ++answers === 100 ? stallMs : 0;
        setTimeout(() => void answered(request, response, 'x'), wait);
      },
      (port) => load('open', { port, request: chat, conns: 1, rate: 200, seconds: 1.5 }),
    );
    // Of 300 requests 120 fell due in the stall, on the one connection; a closed loop would have seen a single slow one.
    assert.equal(result.latency.samples, 300);
    assert.ok((result.latency.p90_us ?? 0) >= (stallMs * 1000) / 2, `p90 is ${result.latency.p90_us} µs`);
    assert.ok((result.latency.max_us ?? 0) >= (stallMs - 5) * 1000, `max is ${result.latency.max_us} µs`);
  });

  test('events are counted and timed alike however the network cuts them', async () => {
    const agedNs = 50_000_000n;
    const cuts = [1, 7, 40, 10_000];
    for (const cut of cuts) {
      const result = await withServer(
        (_request, response) => {
          const events = Array.from(
            { length: 9 },
            (_, i) => `data: ${stampOf(monotonicNs() - agedNs + BigInt(i))}\n\n`,
          );
          const text = `${events.join('')}data: [DONE]\n\n`;
          for (let at = 0; at < text.length; at += cut) response.write(text.slice(at, at + cut));
          response.end();
        },
        (port) => load('stream', { port, request: stream, conns: 1, count: 5, 'expect-events': 10 }),
      );
      assert.deepEqual(
        [result.requests, result.errors, result.events, result.delay.samples],
        [5, 0, 50, 45],
        result.first_error,
      );
      assert.ok((result.delay.p50_us ?? 0) >= 49_000, `the delay of an event aged 50 ms is ${result.delay.p50_us} µs`);
    }
  });

  test('a stream that loses an event, or changes their order, is an error', async () => {
    const event = (ns: bigint): string => `data: ${stampOf(ns)}\n\n`;
    const texts = [event(1n) + event(2n), event(1n) + event(3n) + event(2n)];
    for (const text of texts) {
      const result = await withServer(
        (request, response) => answered(request, response, text),
        (port) => load('stream', { port, request: stream, conns: 1, count: 2, 'expect-events': 3 }),
      );
      assert.equal(result.errors, 2, result.first_error);
    }
  });

  test('an upload arrives whole, and a download is counted to its last byte', async () => {
    await upstream.set({ download_bytes: 5_000_000 });
    const once = { port: upstream.port, conns: 1, count: 1 };
    const down = await load('closed', { ...once, request: downloadRequest('/v1', [key]), 'expect-bytes': 5_000_000 });
    assert.deepEqual([down.requests, down.errors], [1, 0], down.first_error);
    const upload = uploadRequest('/v1', [key], 5_000_000);
    const bytes = upload.length - upload.indexOf('\r\n\r\n') - 4;
    const reply = `{"id":"file-bench","object":"file","purpose":"batch","bytes":${bytes}}`;
    const up = await load('closed', { ...once, request: upload, 'expect-bytes': reply.length });
    assert.deepEqual([up.requests, up.errors], [1, 0], up.first_error);
  });

  test('a slow reader takes no more than its pace', async () => {
    await upstream.set({ download_bytes: 50_000_000 });
    const request = downloadRequest('/v1', [key]);
    const result = await load('slow', { port: upstream.port, request, seconds: 0.5, 'bytes-per-second': 2_000_000 });
    assert.ok(result.bytes > 500_000 && result.bytes < 1_200_000, `${result.bytes} bytes in half a second`);
  });

  test('processor time is that of the named process, over the window', async () => {
    const before = process.cpuUsage();
    const result = await withServer(
      (request, response) => answered(request, response, 'x'),
      (port) => load('closed', { port, request: chat, conns: 4, seconds: 0.6, pids: [process.pid] }),
    );
    const { user, system } = process.cpuUsage(before);
    // The whole includes the start and the end of the load; the kernel counts in ticks of 10 ms.
    assert.ok(result.cpu_us <= user + system + 20_000, `${result.cpu_us} µs of ${user + system}`);
    assert.ok(result.cpu_us >= (user + system) / 2, `${result.cpu_us} µs of ${user + system}`);
  });
});
