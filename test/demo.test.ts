// `npm run demo`, run to its end.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';

import { startSandbox } from '../src/sandbox/sandbox.ts';
import { startGateway } from './support/gateway.ts';

const script = fileURLToPath(new URL('../scripts/demo.ts', import.meta.url));

async function demo(...flags: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...flags], { timeout: 60_000 });
  return stripVTControlCharacters(stdout);
}

/** The calls of the Assistants API in their order; then two chats, an embedding, an upload and a download. */
function assertTour(output: string): void {
  assert.deepEqual(
    [...output.matchAll(/^\d {2}(beta\.[\w.]+)/gm)].map(([, call]) => call),
    [
      'beta.assistants.create',
      'beta.threads.create',
      'beta.threads.messages.create',
      'beta.threads.runs.create',
      'beta.threads.runs.retrieve',
      'beta.threads.messages.list',
      'beta.assistants.delete',
    ],
    output,
  );
  assert.match(output, /run_\w+ is completed/);
  assert.match(output, /turn 1 of run_\w+ on thread_\w+/);
  assert.equal(output.match(/The solution is x = 1\./g)?.length, 3, output);
  assert.equal(output.match(/cost {5}0\.0\d+ USD/g)?.length, 4, output);
  assert.equal(output.match(/record {3}exc_\w+/g)?.length, 6, output);
  assert.match(output, /read back: Solve 3x \+ 11 = 14/);
}

test('where no gateway is named, the demo starts its own on the sandbox and shows each record', async () => {
  const output = await demo();
  assert.match(output, /started for this demo, on the sandbox/);
  assertTour(output);
});

test('the demo walks through a running gateway with the key it was given', async () => {
  const sandbox = await startSandbox({ port: 0 });
  const gateway = await startGateway({ upstream: sandbox.url });
  try {
    const given = ['--base-url', `${gateway.api}/openai`, '--key', gateway.token];
    assertTour(await demo(...given, '--admin-url', gateway.admin, '--admin-token', gateway.adminToken));
    const blind = await demo(...given);
    assert.match(blind, /give --admin-token to see the cost and the records of run_\w+/);
    assert.match(blind, /give --admin-token to see its cost and record/);
  } finally {
    await gateway.close();
    await sandbox.close();
  }
});

for (const [how, leave] of [
  ['is ended by a signal', (child) => child.kill('SIGTERM')],
  ['has lost its reader', (child) => child.stdout.destroy()],
] satisfies [string, (child: ReturnType<typeof startDemo>) => void][]) {
  test(`a demo that ${how} leaves no gateway behind`, async () => {
    const child = startDemo();
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    const api = /http:\/\/\S+(?=\/openai)/.exec(String(line))?.[0] ?? '';
    assert.ok(await isAlive(api));

    leave(child);
    await once(child, 'exit');
    const deadline = performance.now() + 10_000;
    while (await isAlive(api)) {
      assert.ok(performance.now() < deadline, `${api} still answers`);
      await delay(20);
    }
  });
}

async function isAlive(api: string): Promise<boolean> {
  try {
    return (await fetch(`${api}/health/live`)).ok;
  } catch {
    return false;
  }
}

function startDemo() {
  return spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
}

test('a demo that cannot go on says what it needs', async () => {
  await assert.rejects(
    demo('--base-url', 'http://127.0.0.1:9/openai'),
    /Give a virtual key of that gateway with --key/,
  );
  await assert.rejects(demo('--no-such-flag'), /Unknown option '--no-such-flag'/);
});
