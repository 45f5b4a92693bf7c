// What every npm script calls: sets up what is missing, then runs one command under Node 24.
// Plain JavaScript without dependencies, for it is read by the machine's own Node, 20 or newer, on a fresh clone.
import { fileURLToPath } from 'node:url';

import { runToEnd } from './run-to-end.mjs';
import { environmentFor, setUp, SetUpError } from './set-up.mjs';

const COMMANDS = {
  start: ['src/main.ts', 'start'],
  dev: ['--watch', 'src/main.ts', 'serve'],
  throughway: ['src/main.ts'],
  demo: ['scripts/demo.ts'],
  test: ['scripts/test.ts'],
  'test:python': ['test/python/run.mjs'],
  check: ['scripts/check.ts'],
  format: ['node_modules/oxfmt/bin/oxfmt'],
  bench: ['bench/run.ts'],
  build: ['scripts/build.ts'],
};

const root = fileURLToPath(new URL('..', import.meta.url));
const leash = new URL('leash.mjs', import.meta.url).href;

async function main(name, ...args) {
  const command = Object.hasOwn(COMMANDS, name ?? '') ? COMMANDS[name] : undefined;
  if (command === undefined) {
    throw new SetUpError(`there is no command "${name ?? ''}"; there are ${Object.keys(COMMANDS).join(', ')}`);
  }
  const node = await setUp();
  // node:sqlite still calls itself experimental in Node 24; the pinned version is tested, its warning tells users nothing.
  const flags = ['--disable-warning=ExperimentalWarning', '--import', leash];
  return runToEnd(node, [...flags, ...command, ...args], {
    cwd: root,
    env: environmentFor(node),
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
}

try {
  process.exitCode = await main(...process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetUpError)) throw error;
  process.stderr.write(`throughway: ${error.message}\n`);
  process.exitCode = 1;
}
