// Settings: where they come from, what is refused, and what a refusal may say.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';

import { PAGES, remade } from '../scripts/reference-docs.ts';
import type { Settings } from '../src/config/config.ts';
import {
  type Config,
  ConfigError,
  type Environment,
  type Flags,
  ignoredProxies,
  loadConfig,
  resolveConfig,
} from '../src/config/load.ts';

const KEY = 'sk-canary-7f3a9c5e1b8d2046';
const ENVIRONMENT: Environment = { OPENAI_API_KEY: KEY };

let dir: string;
before(() => (dir = mkdtempSync(join(tmpdir(), 'throughway-config-'))));
after(() => rmSync(dir, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const file = join(dir, name);
  writeFileSync(file, text);
  return file;
}
const loadYaml = (yaml: string, flags: Flags = {}, environment: Environment = ENVIRONMENT): Config =>
  loadConfig({ ...flags, config: write('throughway.yaml', yaml) }, environment);

/** What is wrong, line by line. */
function problems(load: () => unknown): string[] {
  try {
    load();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.split('\n');
  }
  throw new Error('nothing was wrong');
}

describe('where a setting comes from', () => {
  test('a flag wins over the environment, that over the file, and that over the default', () => {
    const environment = {
      ...ENVIRONMENT,
      THROUGHWAY_LISTEN: '127.0.0.1:2',
      THROUGHWAY_ADMIN_LISTEN: '127.0.0.1:22',
      THROUGHWAY_DATA_DIR: '/env',
    };
    const yaml = 'listen: 127.0.0.1:3\nadminListen: 127.0.0.1:33\ndataDir: /yaml\ndrainSeconds: 7\n';
    const config = loadYaml(yaml, { listen: '127.0.0.1:1' }, environment);
    assert.equal(config.listen, '127.0.0.1:1');
    assert.equal(config.adminListen, '127.0.0.1:22');
    assert.equal(config.dataDir, '/env');
    assert.equal(config.drainSeconds, 7);
    assert.equal(config.onDisconnect, 'abort');
    assert.equal(loadYaml(yaml).dataDir, '/yaml');
    assert.equal(loadYaml(yaml, { dataDir: '/flag' }, environment).dataDir, '/flag');
  });

  test('the upstream is named by --upstream, OPENAI_BASE_URL, the file, or is OpenAI', () => {
    const yaml = 'upstream:\n  baseUrl: https://yaml.example/v1\n  connectSeconds: 3\n';
    const environment = { ...ENVIRONMENT, OPENAI_BASE_URL: 'https://env.example/v1' };
    assert.equal(
      loadYaml(yaml, { upstream: 'https://flag.example/v1' }, environment).upstream.baseUrl,
      'https://flag.example/v1',
    );
    assert.equal(loadYaml(yaml, {}, environment).upstream.baseUrl, 'https://env.example/v1');
    assert.equal(loadYaml(yaml).upstream.baseUrl, 'https://yaml.example/v1');
    assert.equal(loadYaml(yaml, {}, environment).upstream.connectSeconds, 3);
    assert.equal(resolveConfig({}, ENVIRONMENT).upstream.baseUrl, 'https://api.openai.com/v1');
  });

  test('OPENAI_API_KEY is the one credential where the settings name none', () => {
    const [alone] = resolveConfig({}, ENVIRONMENT).upstream.credentials;
    assert.equal(alone?.apiKey.reveal(), KEY);
    const named = loadYaml(
      'upstream:\n  credentials:\n    - { name: a, apiKey: env:OTHER }\n',
      {},
      { ...ENVIRONMENT, OTHER: 'sk-other' },
    );
    assert.deepEqual(
      named.upstream.credentials.map(({ name, apiKey }) => [name, apiKey.reveal()]),
      [['a', 'sk-other']],
    );
    assert.deepEqual(resolveConfig({}, { OPENAI_API_KEY: '  ' }).upstream.credentials, []);
  });

  test('a secret is read from the variable or the file that its reference names', () => {
    const file = write('secret', `${KEY}\n`);
    const settings: Settings = {
      upstream: { credentials: [{ name: 'f', apiKey: `file:${file}` }] },
      adminToken: 'env:TOKEN',
    };
    const config = resolveConfig(settings, { TOKEN: 'x'.repeat(32) });
    assert.equal(config.upstream.credentials[0]?.apiKey.reveal(), KEY);
    assert.equal(config.adminToken?.reveal(), 'x'.repeat(32));
  });
});

describe('what is refused, with the setting, its value and the way out', () => {
  const wrong: Record<string, { readonly yaml: string; readonly says: RegExp }> = {
    'an unknown setting': { yaml: 'lisen: 127.0.0.1:1', says: /^lisen is not a setting; did you mean listen\?$/ },
    'an unknown setting within': {
      yaml: 'upstream: { conectSeconds: 1 }',
      says: /^upstream\.conectSeconds is not a setting; did you mean connectSeconds\?$/,
    },
    'an unknown setting of a credential': {
      yaml: 'upstream: { credentials: [{ name: a, apikey: env:A }] }',
      says: /^upstream\.credentials\[0\]\.apikey is not a setting; did you mean apiKey\?$/m,
    },
    'an unknown setting like no other': {
      yaml: 'cors: { zzzzzzzz: 1 }',
      says: /^cors\.zzzzzzzz is not a setting; known here: origins$/,
    },
    'a wrong address': { yaml: 'listen: "4000"', says: /^listen is "4000"; write HOST:PORT/ },
    'a port that is none': {
      yaml: 'listen: 127.0.0.1:70000',
      says: /^listen is "127\.0\.0\.1:70000"; a port is at most 65535$/,
    },
    'a text for a number': { yaml: 'drainSeconds: "two minutes"', says: /^drainSeconds is "two minutes"; .*number/ },
    'a number below its bound': { yaml: 'http: { bodyBytesMax: -1 }', says: /^http\.bodyBytesMax is -1; / },
    'a word that is no choice': { yaml: 'onDisconnect: ignore', says: /^onDisconnect is "ignore"; .*"abort"\|"drain"/ },
    'plain http to another machine': {
      yaml: 'upstream: { baseUrl: "http://openai.example/v1" }',
      says: /"http:\/\/openai\.example\/v1": plain http would send the credential in clear; use https, or set upstream\.allowInsecure: true$/,
    },
    'a base URL without its /v1': {
      yaml: 'upstream: { baseUrl: "https://api.openai.com" }',
      says: /it must end in \/v1/,
    },
    'a base URL with a query': {
      yaml: 'upstream: { baseUrl: "https://api.openai.com/v1?a=1" }',
      says: /without \? or #/,
    },
    'a base URL that is none': { yaml: 'upstream: { baseUrl: "api.openai.com/v1" }', says: /write a whole URL/ },
    'another scheme': { yaml: 'upstream: { baseUrl: "ftp://api.openai.com/v1" }', says: /only https: and http:/ },
    'two credentials of one name': {
      yaml: 'upstream: { credentials: [{ name: a, apiKey: env:OPENAI_API_KEY }, { name: a, apiKey: env:OPENAI_API_KEY }] }',
      says: /two are named "a"/,
    },
    'a variable that is not set': {
      yaml: 'upstream: { credentials: [{ name: a, apiKey: env:NOT_SET }] }',
      says: /^upstream\.credentials\[0\]\.apiKey: the environment variable NOT_SET is not set or empty/,
    },
    'a file that is not there': {
      yaml: 'adminToken: file:/nowhere/token',
      says: /^adminToken: the file \/nowhere\/token cannot be read/,
    },
    'a file of something else': { yaml: '- a\n- b', says: /must hold keys and values/ },
  };
  for (const [what, { yaml, says }] of Object.entries(wrong)) {
    test(what, () => {
      assert.match(problems(() => loadYaml(yaml)).join('\n'), says);
    });
  }

  test('everything that is wrong at once, a line each', () => {
    const lines = problems(() => loadYaml('lisen: 1\nhttp: { exchangesMax: 0 }\nlogging: { levle: info }\n'));
    assert.equal(lines.length, 3);
    for (const name of ['lisen', 'http.exchangesMax', 'logging.levle'])
      assert.ok(
        lines.some((line) => line.startsWith(`${name} is `)),
        name,
      );
  });

  test('an admin token that is too short to be one', () => {
    const [line, ...others] = problems(() => loadYaml('', {}, { THROUGHWAY_ADMIN_TOKEN: 'short' }));
    assert.match(
      line ?? '',
      /^adminToken \(THROUGHWAY_ADMIN_TOKEN\) is shorter than 32 characters; make one with: openssl rand -hex 32$/,
    );
    assert.deepEqual(others, []);
  });

  test('a Redis that is none, without showing what may hold a password', () => {
    for (const url of [`http://:${KEY}@redis.example`, `redis.example:6379`, 'unix:redis.sock', 'redis://[']) {
      assert.deepEqual(
        problems(() => loadYaml('', {}, { ...ENVIRONMENT, REDIS_URL: url })),
        [
          'redisUrl (REDIS_URL) is [not shown]; write a URL such as redis://HOST:6379, rediss://USER:PASSWORD@HOST:6379 or unix:/path',
        ],
      );
    }
    for (const url of ['redis://localhost', 'rediss://me:secret@redis.example:6380/2', 'unix:/run/redis.sock']) {
      assert.equal(loadYaml('', {}, { ...ENVIRONMENT, REDIS_URL: url }).redisUrl?.reveal(), url);
    }
  });

  test('a limit that is none, and one of a model that cannot be named', () => {
    const yaml = 'limits: { gateway: { requestsPerMinute: 0 }, models: { "gpt-*-mini": {} }, onRedisAway: shut }';
    const said = problems(() => loadYaml(yaml)).join('\n');
    for (const name of ['limits.gateway.requestsPerMinute is 0', 'limits.models.gpt-*-mini', 'limits.onRedisAway is'])
      assert.ok(said.includes(name), said);
  });

  test('a settings file that was named and is not there', () => {
    assert.match(
      problems(() => loadConfig({ config: join(dir, 'absent.yaml') }, ENVIRONMENT)).join(),
      /absent\.yaml cannot be read; check --config/,
    );
  });

  test('plain http is served on this machine, and elsewhere where that is asked for', () => {
    for (const baseUrl of [
      'http://127.0.0.1:1/v1',
      'http://localhost:1/v1',
      'http://[::1]:1/v1',
      'http://127.255.0.9/v1/',
    ]) {
      assert.equal(resolveConfig({ upstream: { baseUrl } }, ENVIRONMENT).upstream.baseUrl, baseUrl);
    }
    const baseUrl = 'http://openai.example/v1';
    assert.equal(resolveConfig({ upstream: { baseUrl, allowInsecure: true } }, ENVIRONMENT).upstream.baseUrl, baseUrl);
    for (const lookalike of [
      'http://127.0.0.1.evil.example/v1',
      'http://localhost.evil.example/v1',
      'http://1270.0.0.1/v1',
    ]) {
      assert.equal(
        problems(() => resolveConfig({ upstream: { baseUrl: lookalike } }, ENVIRONMENT)).length,
        1,
        lookalike,
      );
    }
  });
});

describe('a secret that stands where a reference belongs is refused, and not shown', () => {
  const places: Record<string, string> = {
    'in a credential': `upstream: { credentials: [{ name: a, apiKey: ${KEY} }] }`,
    'as the admin token': `adminToken: ${KEY}-and-much-longer`,
    'as the credential itself': `upstream: { credentials: [${KEY}] }`,
    'as the list of credentials': `upstream: { credentials: ${KEY} }`,
    'as the upstream': `upstream: ${KEY}`,
    'as an unknown setting': `apiKey: ${KEY}`,
    'in the base URL': `upstream: { baseUrl: "https://user:${KEY}@api.openai.com/v1" }`,
    'in the query of the base URL': `upstream: { baseUrl: "https://api.openai.com/v1?key=${KEY}" }`,
    'in place of the base URL': `upstream: { baseUrl: ${KEY} }`,
    'in place of an address': `listen: ${KEY}`,
    'as the whole file': KEY,
    'in a file that is not YAML': `upstream:\n  credentials:\n    - name: a\n      apiKey: ${KEY}\n    bad: [`,
    'in a line that is not YAML': `apiKey: "${KEY}\n`,
    'as the database': `databaseUrl: postgres://user:${KEY}@db.example/x`,
    'as the Redis': `redisUrl: redis://:${KEY}@redis.example`,
  };
  for (const [where, yaml] of Object.entries(places)) {
    test(where, () => {
      for (const environment of [ENVIRONMENT, { ...ENVIRONMENT, OPENAI_BASE_URL: 'https://api.openai.com/v1' }]) {
        // The one variable replaces what this place holds, so that there is nothing to refuse.
        if (where.includes('base URL') && environment['OPENAI_BASE_URL'] !== undefined) continue;
        const said = problems(() => loadYaml(yaml, {}, environment)).join('\n');
        assert.ok(!said.includes(KEY) && !said.includes(KEY.slice(10)), said);
      }
    });
  }

  test('nor does a resolved one show in whatever way a configuration is printed', () => {
    const config = resolveConfig(
      { adminToken: 'env:OPENAI_API_KEY', upstream: {} },
      { OPENAI_API_KEY: `${KEY}${KEY}` },
    );
    const prints = [
      JSON.stringify(config),
      inspect(config, { depth: 9, showHidden: true }),
      String(config.adminToken),
      String(config.upstream.credentials[0]?.apiKey),
    ];
    for (const print of prints) assert.ok(!print.includes(KEY), print);
  });
});

test('variables that send other programs through a proxy are named, so that serve can say that it ignores them', () => {
  assert.deepEqual(ignoredProxies({ HTTPS_PROXY: 'http://user:password@proxy', no_proxy: '*', http_proxy: '' }), [
    'HTTPS_PROXY',
  ]);
});

describe('the documents', () => {
  for (const [page, make] of Object.entries(PAGES)) {
    test(`${page} says what the code says (else: node scripts/reference-docs.ts)`, () => {
      assert.equal(readFileSync(new URL(`../${page}`, import.meta.url), 'utf8'), remade(page, make));
    });
  }

  test('docs/configuration.md names every variable that is read', () => {
    const code = readFileSync(new URL('../src/config/load.ts', import.meta.url), 'utf8');
    const page = readFileSync(new URL('../docs/configuration.md', import.meta.url), 'utf8');
    const read = [...code.matchAll(/environment\['(\w+)'\]/g)].map(([, name]) => name ?? '');
    assert.ok(read.length >= 6);
    for (const name of read) assert.ok(page.includes(`\`${name}\``), name);
  });

  test('every setting has a description', () => {
    const page = readFileSync(new URL('../docs/configuration.md', import.meta.url), 'utf8');
    const bare = page
      .split('\n')
      .filter((line) => line.startsWith('| `') && /\|\s*\|$/.test(line) && line.split('|').length === 6);
    assert.deepEqual(bare, []);
  });
});
