// The house rules of ARCHITECTURE.md hold: floors, doors, owners, words, names, and the drawing is true. And the checker itself is checked.
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { drawnPaths, type Finding, inspectHouse } from './support/house.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const sources = globSync('src/**/*.ts', { cwd: root })
  .map((path) => path.replaceAll('\\', '/'))
  .toSorted()
  .map((path) => ({ path, text: readFileSync(root + path, 'utf8') }));

const told = (findings: readonly Finding[]) =>
  findings.map(({ path, line, rule, message }) => `\n${path}:${line} (${rule}) ${message}`).join('');

describe('the house', () => {
  test('every file of src keeps to floors, doors, owners and words', () => {
    assert.ok(sources.length > 0, 'no file was found in src');
    assert.equal(told(inspectHouse(sources)), '');
  });

  test('the drawing in ARCHITECTURE.md is true: what it names is there, and what is there is drawn', () => {
    const drawn = drawnPaths(readFileSync(`${root}ARCHITECTURE.md`, 'utf8'));
    const absent = drawn.filter((path) => !existsSync(root + path));
    assert.deepEqual(absent, [], 'drawn in ARCHITECTURE.md under "The house", but not there');

    const present = readdirSync(`${root}src`, { withFileTypes: true })
      .filter((entry) => !entry.name.startsWith('.'))
      .map((entry) => `src/${entry.name}${entry.isDirectory() ? '/' : ''}`);
    const undrawn = present.filter((path) => !drawn.includes(path));
    assert.deepEqual(undrawn, [], 'in src, but not drawn in ARCHITECTURE.md under "The house"');
  });
});

describe('the checker of the house', () => {
  /** The rules that a file breaks, each with its line. */
  const broken = (path: string, text: string) =>
    inspectHouse([{ path, text }]).map(({ rule, line }) => `${rule} ${line}`);

  const BAD: readonly (readonly [story: string, path: string, text: string, expected: readonly string[]])[] = [
    ['a tool imports a desk', 'src/keys/keys.ts', "import { carry } from '../proxy/proxy.ts';", ['floor 1']],
    [
      'a tool imports a desk for its types only',
      'src/keys/keys.ts',
      "\nimport type { Way } from '../proxy/proxy.ts';",
      ['floor 2'],
    ],
    [
      'a tool imports another',
      'src/upstream/upstream.ts',
      "import { dropHopByHop } from '../http/headers.ts';",
      ['floor 1'],
    ],
    ['a desk imports another', 'src/admin/admin.ts', "import {\n  proxy,\n} from '../proxy/proxy.ts';", ['floor 1']],
    [
      'a desk re-exports from another',
      'src/admin/admin.ts',
      "export { proxy } from '../proxy/proxy.ts';\nexport const x = 1;",
      ['floor 1'],
    ],
    ['domain imports settings', 'src/domain/key.ts', "import type { Config } from '../config/config.ts';", ['floor 1']],
    [
      'the gateway imports a command',
      'src/gateway.ts',
      "const { serve } = await import('./cli/serve.ts');",
      ['floor 1'],
    ],
    [
      'a type is taken from above inline',
      'src/keys/keys.ts',
      "type Way = import('../proxy/proxy.ts').Way;",
      ['floor 1'],
    ],
    ['the proxy starts the sandbox', 'src/proxy/proxy.ts', "import '../sandbox/sandbox.ts';", ['floor 1']],
    ['shipped code needs test code', 'src/cli/serve.ts', "import { x } from '../../test/support/x.ts';", ['floor 1']],
    ['a room stands on no floor', 'src/attic/attic.ts', 'export const x = 1;', ['floor 1']],
    ['a room is entered by the window', 'src/gateway.ts', "import { hash } from './keys/token.ts';", ['door 1']],
    ['an import is computed', 'src/gateway.ts', 'await import(name);', ['import 1']],
    ['node:tls outside upstream', 'src/proxy/carry.ts', "import { connect } from 'node:tls';", ['owner 1']],
    [
      'node:http outside http, for its types',
      'src/proxy/carry.ts',
      "import type { IncomingMessage } from 'node:http';",
      ['owner 1'],
    ],
    ['node:http by its old name', 'src/proxy/carry.ts', "import http from 'http';", ['owner 1']],
    [
      'node:http through a back door',
      'src/proxy/carry.ts',
      "const http = process.getBuiltinModule('node:http');",
      ['owner 1'],
    ],
    ['kysely outside store', 'src/keys/keys.ts', "import { sql } from 'kysely';", ['owner 1']],
    ['SQL in a string', 'src/keys/keys.ts', 'db.exec(`\n  SELECT * FROM keys WHERE id = ${id}`);', ['owner 1']],
    ['the environment is read', 'src/cli/serve.ts', '// port\nconst port = process.env.PORT;', ['owner 2']],
    [
      'the time is taken',
      'src/proxy/settle.ts',
      'const at = [Date.now(), new Date(), new Date(0)];',
      ['owner 1', 'owner 1'],
    ],
    ['dice are rolled', 'src/upstream/upstream.ts', 'const n = `${Math.random()}`;', ['owner 1']],
    [
      'a header of ours is spelled out',
      'src/proxy/carry.ts',
      "reply.setHeader('x-throughway-cost-usd', cost);",
      ['owner 1'],
    ],
    ['a third if about an endpoint', 'src/proxy/admit.ts', "if (path === '/v1/responses') return;", ['owner 1']],
    ['a word in brackets names a type', 'src/domain/team.ts', 'interface TenantId {}', ['word 1']],
    [
      'a word in brackets names a function',
      'src/domain/team.ts',
      'export async function findCustomer() {}',
      ['word 1'],
    ],
    ['a word in brackets names a file', 'src/logging/log-exporter.ts', 'export const x = 1;', ['file name 1']],
    ['a file that tells nothing', 'src/http/utils.ts', 'export const x = 1;', ['file name 1']],
    ['a file in camel case', 'src/http/rawHeaders.ts', 'export const x = 1;', ['file name 1']],
    ['an index file', 'src/http/index.ts', 'export const x = 1;', ['file name 1']],
    ['a barrel of all', 'src/http/all.ts', "export * from './headers.ts';", ['barrel 1']],
    ['the head slips among the imports', 'src/http/body.ts', "import 'a';\n// Bodies.\nimport 'b';\n", ['head 2']],
    [
      'a barrel of some',
      'src/http/some.ts',
      "// all\nexport { a } from './a.ts';\nexport type { B } from './b.ts';\n",
      ['barrel 1'],
    ],
  ];
  for (const [story, path, text, expected] of BAD) {
    test(`catches it where ${story}`, () => {
      assert.deepEqual(broken(path, text), expected);
    });
  }

  const GOOD: readonly (readonly [story: string, path: string, text: string])[] = [
    ['the gateway enters by the door', 'src/gateway.ts', "import { openKeys } from './keys/keys.ts';"],
    ['a comment follows the imports', 'src/http/body.ts', "import 'a';\n\n// Bodies.\nexport const x = 1;\n"],
    ['the door uses its own room', 'src/keys/keys.ts', "import { hash } from './token.ts';"],
    ['a command reads the contract', 'src/cli/keys.ts', "import { keySchema } from '../admin/contract.ts';"],
    ['settings are given types of the domain', 'src/config/load.ts', "import type { Team } from '../domain/team.ts';"],
    [
      'a comment speaks of what is forbidden',
      'src/keys/keys.ts',
      "// import '../proxy/proxy.ts'; Date.now()\n/* process.env */",
    ],
    [
      'a string speaks of what is forbidden',
      'src/keys/keys.ts',
      'const advice = "process.env and Date.now() are not read here";',
    ],
    [
      'a regular expression has quotes',
      'src/keys/keys.ts',
      "const quote = /['\"`]/; // it's\nconst half = a / b; const n = 'Date.now()';",
    ],
    [
      'a member has the name of an owned word',
      'src/proxy/carry.ts',
      "interface Shown { readonly transport: 'ws' }\nconst a = { from: 'tls' };",
    ],
    ['user texts name a path', 'src/admin/contract.ts', "const hint = 'a path template, such as /v1/responses';"],
    ['a database has transactions', 'src/store/spool.ts', 'export function inTransaction() {}'],
  ];
  for (const [story, path, text] of GOOD) {
    test(`says nothing where ${story}`, () => {
      assert.deepEqual(broken(path, text), []);
    });
  }

  test('reads the drawing: folders, files beside each other, files that a story names', () => {
    const drawing = [
      '# Architecture',
      '',
      '## The house',
      '',
      '```',
      'src/',
      '  main.ts  index.ts     the bin · what a host imports, never main.ts',
      '  config/       config.ts (all settings), load.ts (only reader of process.env)',
      '  logging/',
      '    sinks/      one file each',
      '  proxy/        the way of one exchange',
      'test/           by behaviour',
      '```',
    ].join('\n');
    assert.deepEqual(drawnPaths(drawing), [
      'src/',
      'src/main.ts',
      'src/index.ts',
      'src/config/',
      'src/config/config.ts',
      'src/config/load.ts',
      'src/logging/',
      'src/logging/sinks/',
      'src/proxy/',
      'test/',
    ]);
  });

  test('a drawing that is gone is missed', () => {
    assert.throws(() => drawnPaths('# Architecture\n'), /no fenced block/);
  });
});
