// How npm's scripts run their command: signals arrive once, exit codes pass, nothing is left behind. And tests stay on this machine.
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { after, describe, test } from 'node:test';

import { eventually } from './support/eventually.ts';

const urlOf = (path: string) => new URL(path, import.meta.url).href;
const runToEnd = urlOf('../scripts/run-to-end.mjs');
const leash = urlOf('../scripts/leash.mjs');

type Program = ChildProcessByStdio<Writable, Readable, null>;
const programs: Program[] = [];

after(() => {
  for (const program of programs) program.kill('SIGKILL');
});

/** A program given as text, with the lines that it prints. */
function start(source: string, ...flags: string[]): { readonly program: Program; readonly lines: string[] } {
  const args = [...flags, '--input-type=module', '--eval', source];
  const program = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  programs.push(program);
  const lines: string[] = [];
  createInterface({ input: program.stdout }).on('line', (line) => lines.push(line));
  return { program, lines };
}

/** Says what it hears, and ends with 7 on SIGTERM. */
const COMMAND = `
  process.on('SIGINT', () => console.log('SIGINT'));
  process.on('SIGTERM', () => { console.log('SIGTERM'); process.exit(7); });
  setInterval(() => {}, 1000);
  console.log('runs');
`;

/** Starts a process that would stay for good. */
const LEAVES_SOMETHING = `
  import { spawn } from 'node:child_process';
  spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
`;

/** Stands for scripts/run.mjs: emits the signals that it is told on stdin, as if they had come to it. */
const starterOf = (command: string) => `
  import { createInterface } from 'node:readline';
  import { runToEnd } from '${runToEnd}';
  createInterface({ input: process.stdin }).on('line', (line) => line.split(' ').forEach((signal) => process.emit(signal)));
  const args = ['--import', '${leash}', '--input-type=module', '--eval', ${JSON.stringify(command)}];
  process.exitCode = await runToEnd(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  process.stdin.destroy();
`;

async function startCommand(command: string) {
  const started = start(starterOf(command));
  await eventually('the command runs', () => started.lines.length > 0);
  return started;
}

describe('a command', { skip: process.platform === 'win32' ? 'Windows has no signals' : false }, () => {
  test('hears a signal once that came from the terminal and from npm, and a later one again', async () => {
    const { program, lines } = await startCommand(COMMAND);
    program.stdin.write('SIGINT SIGINT\n');
    await eventually('the signal arrives', () => lines.length > 1);

    // Later than any copy: this is a person who presses Ctrl-C again.
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.deepEqual(lines.slice(1), ['SIGINT']);
    program.stdin.write('SIGINT\n');
    await eventually('the second signal arrives', () => lines.length > 2);
    assert.deepEqual(lines.slice(1), ['SIGINT', 'SIGINT']);

    program.kill('SIGTERM');
    await once(program, 'exit');
  });

  test('gives its exit code, and what it left behind ends with it', async () => {
    const { program } = await startCommand(COMMAND + LEAVES_SOMETHING);
    program.kill('SIGTERM');
    // Only when nobody holds the output any more does it end.
    const [[code]] = await Promise.all([once(program, 'exit'), once(program.stdout, 'end')]);
    assert.equal(code, 7);
  });

  test('is told to end where its starter is killed outright', async () => {
    const { program, lines } = await startCommand(COMMAND);
    program.kill('SIGKILL');
    await once(program.stdout, 'end');
    assert.deepEqual(lines.slice(1), ['SIGTERM']);
  });
});

describe('a test', () => {
  const DEEDS: readonly (readonly [deed: string, source: string])[] = [
    ['fetches an address beyond loopback', "await fetch('http://192.0.2.1/')"],
    ['connects to a private address', "import('node:net').then((net) => net.connect(80, '10.0.0.1'))"],
    ['asks for a name', "await (await import('node:dns/promises')).lookup('example.com')"],
    ['requests a name', "import('node:http').then((http) => http.get('http://example.com/'))"],
  ];
  for (const [deed, source] of DEEDS) {
    test(`that ${deed} fails and is told why`, async () => {
      const watched = `process.on('uncaughtException', (error) => console.log(String(error.cause ?? error)));\n${source};`;
      const { lines } = start(watched, '--import', urlOf('./support/loopback-only.ts'));
      await eventually('the deed fails', () => lines.length > 0);
      assert.match(lines[0]!, /tests reach loopback only/);
    });
  }

  test('that stays on loopback is let through', async () => {
    const source = `
      import { createServer } from 'node:http';
      const server = createServer((request, reply) => reply.end('here')).listen(0);
      const base = 'http://localhost:' + server.address().port;
      console.log(await (await fetch(base)).text(), await (await fetch(base.replace('localhost', '127.0.0.1'))).text());
      process.exit();
    `;
    const { lines } = start(source, '--import', urlOf('./support/loopback-only.ts'));
    await eventually('both replies have come', () => lines.length > 0);
    assert.deepEqual(lines, ['here here']);
  });
});
