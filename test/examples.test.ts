// Every file of examples/, run as its own first lines say, against a gateway on the sandbox.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { startSandbox } from '../src/sandbox/sandbox.ts';
import type { Sandbox } from '../src/sandbox/sandbox.ts';
import { startGateway } from './support/gateway.ts';
import type { TestGateway } from './support/gateway.ts';

const run = promisify(execFile);
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** What runs each kind of file; the environment made by `npm run test:python` serves where the system has no SDK. */
const venv = here('python/.venv/bin/python');
const runners: Record<string, string> = {
  ts: process.execPath,
  py: existsSync(venv) ? venv : 'python3',
  sh: 'sh',
};

describe('the examples', () => {
  let sandbox: Sandbox;
  let gateway: TestGateway;

  before(async () => {
    sandbox = await startSandbox({ port: 0 });
    gateway = await startGateway({ upstream: sandbox.url });
  });
  after(async () => {
    await gateway.close();
    await sandbox.close();
  });

  const example = async (name: string, baseUrl = `${gateway.api}/openai`) => {
    const runner = runners[name.split('.').at(-1) ?? ''] ?? '';
    const environment = { ...process.env, OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: gateway.token };
    const { stdout } = await run(runner, [here(`../examples/${name}`)], { env: environment, timeout: 60_000 });
    return stdout;
  };

  for (const name of ['chat.ts', 'stream.ts', 'realtime.ts']) {
    test(`${name} prints the solution and the usage`, async () => {
      const output = await example(name);
      assert.match(output, /The solution is x = 1\./);
      assert.match(output, /total_tokens: 35/);
    });
  }

  // As the examples have it, where the system takes the unspecified address for its own.
  const host = process.platform === 'win32' ? '127.0.0.1' : '0.0.0.0';
  for (const [name, base] of [
    ['assistant.py', '/openai'],
    ['assistant.ts', '/openai'],
    ['assistant.ts', '/openai/'],
    ['assistant.ts', '/openai/v1'],
    ['assistant.ts', '/openai/v1/'],
  ] as const) {
    test(`${name} solves the equation with the base URL http://${host}:PORT${base}`, async (context) => {
      if (name.endsWith('.py') && !(await works(runners.py ?? '', ['-c', 'import openai']))) {
        return context.skip('python3 cannot import openai; npm run test:python installs it');
      }
      const output = await example(name, gateway.api.replace('127.0.0.1', host) + base);
      assert.match(output, /^The run is completed\.\nassistant: To solve 3x \+ 11 = 14:/);
      assert.match(output, /The solution is x = 1\.\nuser: Solve 3x \+ 11 = 14\n$/);
    });
  }

  test('chat.py prints the solution and the usage', async (context) => {
    if (!(await works(runners.py ?? '', ['-c', 'import openai']))) {
      return context.skip('python3 cannot import openai; npm run test:python installs it');
    }
    const output = await example('chat.py');
    assert.match(output, /The solution is x = 1\./);
    assert.match(output, /total_tokens=35/);
  });

  test('curl.sh prints the reply', async (context) => {
    if (!(await works('curl', ['--version']))) return context.skip('there is no curl');
    const reply = JSON.parse(await example('curl.sh'));
    assert.match(reply.choices[0].message.content, /The solution is x = 1\./);
    assert.equal(reply.usage.total_tokens, 35);
  });

  test('there is no example that is not tried here', async () => {
    const files = await readdir(here('../examples'));
    assert.deepEqual(files.toSorted(), [
      'assistant.py',
      'assistant.ts',
      'chat.py',
      'chat.ts',
      'curl.sh',
      'realtime.ts',
      'stream.ts',
    ]);
  });
});

async function works(command: string, args: string[]): Promise<boolean> {
  try {
    await run(command, args);
    return true;
  } catch {
    return false;
  }
}
