// Before anything is timed, each variant must do the job: a fast wrong answer is no result.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';

import { chatRequest, downloadRequest, streamRequest, uploadRequest } from './fixtures.ts';
import type { Upstream } from './native.ts';
import type { Running, Variant } from './variants.ts';

const JSON_REPLY_BYTES = 1058;
const FILE_BYTES = 3_000_000;
const REPLY_TIMEOUT_MS = 10_000;
const ABORT_TIMEOUT_MS = 5_000;

/** Sends a prepared request with Node's client, whose parser is stricter than load.c. */
async function send(port: number, bytes: Buffer): Promise<IncomingMessage> {
  const headEnd = bytes.indexOf('\r\n\r\n');
  const [firstLine = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n');
  const [method, path] = firstLine.split(' ');
  const headers = lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]);
  const outgoing = httpRequest({
    host: '127.0.0.1',
    port,
    method,
    path,
    headers,
    agent: false,
    timeout: REPLY_TIMEOUT_MS,
  });
  outgoing.on('timeout', () => outgoing.destroy(new Error(`no reply to ${firstLine} in ${REPLY_TIMEOUT_MS} ms`)));
  outgoing.end(bytes.subarray(headEnd + 4));
  const [reply] = (await once(outgoing, 'response')) as [IncomingMessage];
  return reply;
}

async function bodyOf(reply: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of reply) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** Throws what is wrong. Answers how long the body of the chat completion is, for load.c to hold every reply against. */
export async function smokeCheck(variant: Variant, running: Running, upstream: Upstream): Promise<number> {
  const { port, prefix, headers } = running;
  const ask = async (bytes: Buffer): Promise<Buffer> => {
    const reply = await send(port, bytes);
    const body = await bodyOf(reply);
    assert.equal(
      reply.statusCode,
      200,
      `${variant.name} answered ${reply.statusCode}: ${body.toString().slice(0, 300)}`,
    );
    return body;
  };

  const chat = await ask(chatRequest(prefix, headers));
  const completion = JSON.parse(chat.toString()) as { usage: { total_tokens: number } };
  assert.equal(completion.usage.total_tokens, 240, `${variant.name} changed the completion`);
  if (variant.keepsBytes) assert.equal(chat.length, JSON_REPLY_BYTES, `${variant.name} changed the body's length`);

  await upstream.set({ events: 4, interval_us: 1000 });
  const events = (await ask(streamRequest(prefix, headers))).toString().split('\n\n');
  assert.equal(events.length, 5, `${variant.name} sent ${events.length - 1} events of 4`);
  assert.equal(events[3], 'data: [DONE]', `${variant.name} changed the last event`);

  if (variant.asksForKey) {
    const keyless = await send(port, chatRequest(prefix, []));
    await bodyOf(keyless);
    assert.equal(keyless.statusCode, 401, `${variant.name} answered ${keyless.statusCode} to a request without a key`);
  }

  await upstream.set({ download_bytes: FILE_BYTES });
  const file = await ask(downloadRequest(prefix, headers));
  assert.equal(file.length, FILE_BYTES, `${variant.name} sent ${file.length} bytes of ${FILE_BYTES}`);

  const upload = uploadRequest(prefix, headers, FILE_BYTES);
  const stored = JSON.parse((await ask(upload)).toString()) as { bytes: number };
  const sent = upload.length - upload.indexOf('\r\n\r\n') - 4;
  assert.equal(stored.bytes, sent, `${variant.name} passed on ${stored.bytes} bytes of ${sent}`);

  if (variant.endsWithClient) await checkThatItEndsWithItsClient(variant, running, upstream);
  return chat.length;
}

async function checkThatItEndsWithItsClient(variant: Variant, running: Running, upstream: Upstream): Promise<void> {
  await upstream.set({ events: 1000, interval_us: 10_000 });
  const { aborted } = await upstream.stats();
  const reply = await send(running.port, streamRequest(running.prefix, running.headers));
  await once(reply, 'data');
  reply.destroy();
  const deadline = performance.now() + ABORT_TIMEOUT_MS;
  while ((await upstream.stats()).aborted === aborted) {
    assert.ok(performance.now() < deadline, `${variant.name} kept the upstream going after its client had left`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
