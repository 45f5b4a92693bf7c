// A gigabyte either way passes through a gateway that stays as small as it was: bodies are never held.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';

import { ANY_PORTS, firstToken, startListening, type Serving } from './cli/programs.ts';
import { eventually } from './support/eventually.ts';
import { CANARY } from './support/gateway.ts';
import { exchange } from './support/raw-client.ts';

const GIGABYTE = 1024 * 1024 * 1024;
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;
const SAMPLE_EVERY_MS = 20;
const PIECE = Buffer.alloc(64 * 1024);

const skip = existsSync('/proc/self/status') ? false : 'there is no /proc to read memory from';

let upstream: Server;
let serving: Serving;
let token: string;
/** Bytes of the last request's body, as the upstream counts them. */
let uploadedBytes = 0;

before(async () => {
  upstream = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    void serve(socket);
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  const env = { OPENAI_API_KEY: CANARY, OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1` };
  serving = await startListening(['serve', ...ANY_PORTS], { env });
  token = firstToken(serving);
});
after(async () => {
  serving.child.kill('SIGTERM');
  await serving.ended;
  upstream.close();
});

/** Counts what it is sent, and sends a gigabyte to whoever asks with GET. */
async function serve(socket: Socket): Promise<void> {
  let head = '';
  let leftBytes = 0;
  socket.on('data', (piece: Buffer) => {
    let rest = piece;
    if (leftBytes === 0) {
      head += piece.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) return;
      rest = piece.subarray(piece.length - (head.length - end - 4));
      leftBytes = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      uploadedBytes = 0;
      const isDownload = head.startsWith('GET /v1/files/');
      head = '';
      if (isDownload) {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${GIGABYTE}\r\n\r\n`);
        void writeZeros(socket, GIGABYTE);
        return;
      }
    }
    uploadedBytes += rest.length;
    leftBytes -= rest.length;
    if (leftBytes === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });
}

async function writeZeros(socket: Socket, bytes: number): Promise<void> {
  for (let left = bytes; left > 0 && !socket.destroyed; left -= PIECE.length) {
    if (!socket.write(PIECE.subarray(0, Math.min(left, PIECE.length)))) await once(socket, 'drain');
  }
}

function rssBytes(): number {
  const status = readFileSync(`/proc/${serving.child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

/** How much larger than before the gateway was at its largest. */
async function growthDuring(transfer: () => Promise<void>): Promise<number> {
  // What a first exchange loads and compiles is not what a large body costs.
  for (let i = 0; i < 20; i++) {
    const headers = [['Authorization', `Bearer ${token}`]] as const;
    const reply = await exchange(serving.api, { method: 'POST', target: '/openai/v1/x', headers, body: PIECE });
    assert.equal(reply.status, 200);
  }
  const beforeBytes = rssBytes();
  let mostBytes = beforeBytes;
  const sampling = setInterval(() => (mostBytes = Math.max(mostBytes, rssBytes())), SAMPLE_EVERY_MS);
  await transfer();
  clearInterval(sampling);
  return Math.max(mostBytes, rssBytes()) - beforeBytes;
}

async function openRequest(head: string): Promise<{ socket: Socket; receivedBytes: () => number; text: () => string }> {
  const { hostname, port } = new URL(serving.api);
  const socket = connect({ host: hostname, port: Number(port) });
  let receivedBytes = 0;
  let text = '';
  socket.on('data', (piece: Buffer) => {
    receivedBytes += piece.length;
    if (text.length < 1000) text += piece.toString('latin1', 0, 1000);
  });
  await once(socket, 'connect');
  socket.write(`${head}\r\nHost: gateway\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n`);
  return { socket, receivedBytes: () => receivedBytes, text: () => text };
}

test('an upload of a gigabyte arrives whole, and the gateway grows by less than 64 MB', { skip }, async () => {
  const growth = await growthDuring(async () => {
    const { socket, text } = await openRequest('POST /openai/v1/files HTTP/1.1');
    socket.write(`Content-Length: ${GIGABYTE}\r\n\r\n`);
    await writeZeros(socket, GIGABYTE);
    await eventually('the upload is answered', () => text().endsWith('ok'), 60_000);
    socket.destroy();
  });
  assert.equal(uploadedBytes, GIGABYTE);
  assert.ok(growth < GROWTH_BYTES_MAX, `it grew by ${Math.round(growth / 1024 / 1024)} MB`);
});

test('a download of a gigabyte arrives whole, and the gateway grows by less than 64 MB', { skip }, async () => {
  const growth = await growthDuring(async () => {
    const { socket, receivedBytes, text } = await openRequest('GET /openai/v1/files/file-1/content HTTP/1.1');
    socket.write('\r\n');
    await once(socket, 'close');
    assert.match(text(), /^HTTP\/1\.1 200 /);
    assert.equal(receivedBytes() - (text().indexOf('\r\n\r\n') + 4), GIGABYTE);
  });
  assert.ok(growth < GROWTH_BYTES_MAX, `it grew by ${Math.round(growth / 1024 / 1024)} MB`);
});
