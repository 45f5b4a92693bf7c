// Nothing waits in the gateway: each step of the upstream is told before it takes the next (E1, E2 of the surface).
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { chunk, EVENT_STREAM, LAST_CHUNK } from '../support/chunked.ts';
import { openStand, type Stand } from '../support/stand.ts';
import type { Header } from '../support/wire.ts';

let stand: Stand;
before(async () => {
  stand = await openStand();
});
beforeEach(() => stand.clear());
afterEach(() => stand.holdInvariants());
after(() => stand.close());

const HEADS: Record<string, readonly Header[]> = {
  'of an event stream': EVENT_STREAM,
  'of a body of known length': [
    ['Content-Type', 'application/json'],
    ['Content-Length', '7'],
  ],
  'of a body that ends with its connection': [
    ['Content-Type', 'audio/mpeg'],
    ['Connection', 'close'],
  ],
};

for (const [what, headers] of Object.entries(HEADS)) {
  test(`the head ${what} is with the client before the upstream has sent any body`, async () => {
    const tookMs: number[] = [];
    for (let i = 0; i < 5; i++) {
      const sentAt = Promise.withResolvers<number>();
      const headCame = Promise.withResolvers<void>();
      stand.script(async (_request, wire) => {
        await wire.head(200, 'OK', headers);
        sentAt.resolve(performance.now());
        await headCame.promise;
        wire.socket.destroy();
      });
      const connection = await stand.connect();
      await connection.send({ method: 'POST', target: '/openai/v1/responses', headers: stand.keyed(), body: '{}' });
      const head = await connection.head();
      tookMs.push(performance.now() - (await sentAt.promise));
      assert.match(head.startLine, /^HTTP\/1\.1 200 /);
      headCame.resolve();
      connection.close();
    }
    assert.ok(Math.min(...tookMs) < 100, `the head took ${tookMs.map(Math.round).join(', ')} ms`);
  });
}

test('each event is with the client before the upstream sends the next', async () => {
  const events = 50;
  const came = Array.from({ length: events }, () => Promise.withResolvers<void>());
  stand.script(async (_request, wire) => {
    await wire.head(200, 'OK', EVENT_STREAM);
    for (let i = 0; i < events; i++) {
      await wire.write(chunk(`data: ${i}\n\n`));
      await came[i]!.promise;
    }
    await wire.write(LAST_CHUNK);
  });
  const connection = await stand.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/responses',
    headers: stand.keyed(),
    body: '{"stream":true}',
  });
  await connection.head();
  for (let i = 0; i < events; i++) {
    assert.deepEqual(await connection.bytes(), chunk(`data: ${i}\n\n`));
    came[i]!.resolve();
  }
  assert.deepEqual(await connection.bytes(), Buffer.from(LAST_CHUNK));
  connection.close();
});

test('each piece of a body of known length but the last is with the client before the next', async () => {
  const came = [1, 2, 3].map(() => Promise.withResolvers<void>());
  stand.script(async (_request, wire) => {
    await wire.head(200, 'OK', [['Content-Length', '4']]);
    for (let i = 0; i < 3; i++) {
      await wire.write(String(i));
      await came[i]!.promise;
    }
    await wire.write('3');
  });
  const connection = await stand.connect();
  await connection.send({ target: '/openai/v1/files/file-1/content', headers: stand.keyed() });
  await connection.head();
  for (let i = 0; i < 3; i++) {
    assert.equal((await connection.bytes())?.toString(), String(i));
    came[i]!.resolve();
  }
  assert.equal((await connection.bytes())?.toString(), '3');
  connection.close();
});

test('each piece of an upload is upstream before the client sends the next', async () => {
  const seen: Buffer[] = [];
  const came = [0, 1, 2].map(() => Promise.withResolvers<void>());
  stand.script(async (request) => {
    for (let i = 0; i < 3; i++) {
      while (request.pieces.length <= i) await new Promise((resolve) => setImmediate(resolve));
      seen.push(request.pieces[i]!);
      came[i]!.resolve();
    }
    return { body: String((await request.whole()).length) };
  });
  const connection = await stand.connect();
  await connection.send({
    method: 'POST',
    target: '/openai/v1/files',
    headers: stand.keyed(['Transfer-Encoding', 'chunked']),
  });
  for (let i = 0; i < 3; i++) {
    await connection.write(chunk(`piece ${i}`));
    await came[i]!.promise;
  }
  await connection.write(LAST_CHUNK);
  assert.equal((await connection.reply()).body.toString(), '21');
  assert.deepEqual(seen.map(String), ['piece 0', 'piece 1', 'piece 2']);
  connection.close();
});

test('keep-alive comments of a silent upstream pass one by one', async () => {
  const came = Promise.withResolvers<void>();
  stand.script(async (_request, wire) => {
    await wire.head(200, 'OK', EVENT_STREAM);
    await wire.write(chunk(': keep-alive\n\n'));
    await came.promise;
    await wire.write(Buffer.concat([chunk('data: 1\n\n'), Buffer.from(LAST_CHUNK)]));
  });
  const connection = await stand.connect();
  await connection.send({ target: '/openai/v1/x', headers: stand.keyed() });
  await connection.head();
  assert.deepEqual(await connection.bytes(), chunk(': keep-alive\n\n'));
  came.resolve();
  connection.close();
});
