// Our own replies whose body comes in pieces: server-sent events, files. Each piece leaves at once, and waits for a slow client.
import type { ServerResponse } from 'node:http';

/** Leaves the last byte for the caller to send by ending the reply. @returns how many bytes went; throws where the pieces do. */
export async function sendPieces(
  reply: ServerResponse,
  status: number,
  headers: readonly string[],
  pieces: AsyncIterable<string> | AsyncIterable<Buffer>,
): Promise<number> {
  reply.sendDate = false;
  // A flat list of names and values, which node:http takes as it takes an object.
  reply.writeHead(status, headers as string[]);
  reply.flushHeaders();
  let bytes = 0;
  for await (const piece of pieces) {
    if (reply.destroyed) break;
    bytes += Buffer.byteLength(piece);
    if (!reply.write(piece)) await drained(reply);
  }
  return bytes;
}

function drained(reply: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      reply.off('drain', done).off('close', done);
      resolve();
    };
    reply.on('drain', done).on('close', done);
    if (reply.destroyed) done();
  });
}
