// `npm run test:python`: the official Python SDK against a gateway on the sandbox. Needs python3 and, the first time, pip.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { startLocalGateway } from '../../scripts/local-gateway.ts';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const python = here(process.platform === 'win32' ? '.venv/Scripts/python.exe' : '.venv/bin/python');

await setUp();
const gateway = await startLocalGateway();
try {
  const suite = ['-m', 'unittest', 'discover', '--verbose', '--start-directory', here('.')];
  const { code, output } = await run(python, suite, {
    THROUGHWAY_BASE_URL: `${gateway.api}/openai`,
    THROUGHWAY_KEY: gateway.token,
  });
  const total = Number(/^Ran (\d+) test/m.exec(output)?.[1] ?? 0);
  const failed = [...output.matchAll(/(?:failures|errors)=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  // A suite that broke before it counted anything has not passed.
  const broken = code !== 0 && failed === 0 ? 1 : failed;
  process.stdout.write(`${total - failed} passed, ${broken} failed\n`);
  process.exitCode = broken > 0 || total === 0 ? 1 : 0;
} finally {
  await gateway.close();
}

/** Makes the virtual environment where there is none, or where it was made from other requirements. */
async function setUp() {
  const wanted = await readFile(here('requirements.txt'), 'utf8');
  const stamp = here('.venv/requirements.txt');
  if (existsSync(stamp) && (await readFile(stamp, 'utf8')) === wanted) return;
  process.stderr.write(`test:python: installing ${wanted.trim()} into test/python/.venv\n`);
  await must('python3', ['-m', 'venv', '--clear', here('.venv')]);
  await must(python, [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '-r',
    here('requirements.txt'),
  ]);
  await writeFile(stamp, wanted);
}

async function must(command, args) {
  const { code, output } = await run(command, args, {});
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${output}`);
}

/** unittest and pip both speak on stderr, which is shown as it comes. */
async function run(command, args, environment) {
  const child = spawn(command, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  let output = '';
  child.stderr.on('data', (chunk) => {
    output += chunk;
    process.stderr.write(chunk);
  });
  const [code] = await once(child, 'close');
  return { code, output };
}
