// `throughway import litellm`: what becomes of a config, told to people and to programs, and written so that it loads.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { loadConfig } from '../../src/config/load.ts';
import { newDir, run } from './programs.ts';

const SECRETS = ['sk-real-0123456789abcdef', 'hunter2', 'sk-env-0123456789abcdef'];

const CONFIG = `
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_MAIN
      organization: org-abc
      rpm: 100
      use_in_pass_through: true
  - model_name: gpt-4o
    litellm_params: {model: gpt-4o, litellm_credential_name: second, rpm: 50, use_in_pass_through: true}
  - model_name: fast
    litellm_params: {model: gpt-4.1-mini, api_key: ${SECRETS[0]}, use_in_pass_through: true, weight: 2, input_cost_per_token: 1}
    model_info: {id: x}
  - model_name: claude
    litellm_params: {model: anthropic/claude, api_key: os.environ/OTHERS}
  - model_name: o3
    litellm_params: {model: openai/o3, api_key: os.environ/UNUSED, api_base: "https://elsewhere.example/v1"}
credential_list:
  - credential_name: second
    credential_values: {api_key: os.environ/OPENAI_SECOND}
  - credential_name: idle
    credential_values: {api_key: os.environ/IDLE}
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  database_url: postgres://litellm:${SECRETS[1]}@db/litellm
  pass_through_request_timeout: 300
  max_request_size_mb: 10
  maximum_spend_logs_retention_period: 14d
  global_max_parallel_requests: 40
  invented_here: ${SECRETS[1]}
litellm_settings:
  callbacks: [prometheus, langfuse]
  success_callback: s3
  max_budget: 100
  cache: true
  cache_params: {type: redis, url: os.environ/REDIS_URL}
  default_key_generate_params: {max_budget: 1}
router_settings:
  routing_strategy: simple-shuffle
environment_variables:
  OPENAI_API_KEY: ${SECRETS[2]}
`;

interface Line {
  readonly from: string;
  readonly outcome: string;
  readonly to: string | null;
  readonly value?: unknown;
  readonly why: string | null;
}

function fixture(text: string): string {
  const dir = newDir();
  writeFileSync(join(dir, 'litellm.yaml'), text);
  return dir;
}

const importing = (dir: string, ...args: string[]) => run(['import', 'litellm', 'litellm.yaml', ...args], { dir });

async function linesOf(text: string): Promise<{ lines: readonly Line[]; settings: Record<string, unknown> }> {
  const { code, stdout, stderr } = await importing(fixture(text), '--json');
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

describe('import litellm', () => {
  test('says of each setting what becomes of it', async () => {
    const { lines, settings } = await linesOf(CONFIG);
    const outcome = (from: string) => lines.filter((line) => line.from === from).map((line) => [line.outcome, line.to]);
    assert.deepEqual(outcome('general_settings.master_key'), [['written', 'adminToken']]);
    assert.deepEqual(outcome('model_list[2].litellm_params.api_key'), [['by_hand', 'upstream.credentials']]);
    assert.deepEqual(outcome('model_list[2].litellm_params.input_cost_per_token'), [['by_hand', 'prices.overrides']]);
    assert.deepEqual(outcome('model_list[2].model_name'), [['not_supported', null]]);
    assert.deepEqual(outcome('model_list[3]'), [['not_supported', null]]);
    assert.deepEqual(outcome('model_list[4].litellm_params.api_base'), [['not_needed', null]]);
    assert.deepEqual(outcome('credential_list[1]'), [['not_needed', null]]);
    assert.deepEqual(outcome('litellm_settings.callbacks: prometheus'), [['not_needed', null]]);
    assert.deepEqual(outcome('litellm_settings.callbacks: langfuse'), [['not_supported', null]]);
    assert.deepEqual(outcome('litellm_settings.success_callback: s3'), [['not_supported', null]]);
    assert.deepEqual(outcome('litellm_settings.max_budget'), [['by_hand', null]]);
    assert.deepEqual(outcome('general_settings.invented_here'), [['unknown', null]]);
    assert.deepEqual(outcome('environment_variables'), [['by_hand', null]]);
    assert.ok(
      lines.every((line) => line.outcome === 'written' || line.why !== null),
      'each no has its reason',
    );
    assert.deepEqual(settings, {
      adminToken: 'env:LITELLM_MASTER_KEY',
      upstream: {
        headersSeconds: 300,
        idleSeconds: 300,
        credentials: [
          { name: 'OPENAI_MAIN', apiKey: 'env:OPENAI_MAIN', organization: 'org-abc' },
          { name: 'OPENAI_SECOND', apiKey: 'env:OPENAI_SECOND' },
        ],
      },
      http: { bodyBytesMax: 10_485_760 },
      logging: { retentionDays: 14 },
      limits: { gateway: { concurrentExchanges: 40 }, models: { 'gpt-4o': { requestsPerMinute: 150 } } },
      redisUrl: 'env:REDIS_URL',
      compatibility: { litellm: 'on' },
    });
  });

  test('writes a file that the gateway loads, for its owner’s eyes only', async () => {
    const dir = fixture(CONFIG);
    const { code, stdout, stderr } = await importing(dir, '--out', 'throughway.yaml');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /general_settings\.master_key +becomes +adminToken +env:LITELLM_MASTER_KEY/);
    const file = join(dir, 'throughway.yaml');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const environment = {
      LITELLM_MASTER_KEY: 'x'.repeat(32),
      OPENAI_MAIN: 'sk-1',
      OPENAI_SECOND: 'sk-2',
      REDIS_URL: 'redis://127.0.0.1:6379',
    };
    const config = loadConfig({ config: file }, environment);
    assert.deepEqual(
      config.upstream.credentials.map(({ name }) => name),
      ['OPENAI_MAIN', 'OPENAI_SECOND'],
    );
    assert.equal(config.compatibility.litellm, 'on');
  });

  test('tells no secret, in whatever form it prints', async () => {
    const dir = fixture(CONFIG);
    for (const args of [[], ['--json'], ['--out', 'out.yaml']]) {
      const { stdout, stderr } = await importing(dir, ...args);
      for (const secret of SECRETS) assert.ok(!(stdout + stderr).includes(secret), secret);
    }
    const written = readFileSync(join(dir, 'out.yaml'), 'utf8');
    for (const secret of SECRETS) assert.ok(!written.includes(secret), secret);
  });

  test('overwrites nothing unless it is told to, and writes nothing on a dry run', async () => {
    const dir = fixture(CONFIG);
    writeFileSync(join(dir, 'mine.yaml'), 'listen: 127.0.0.1:4000\n');
    const refused = await importing(dir, '--out', 'mine.yaml');
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /mine\.yaml is there already; .* --force/);
    assert.equal(readFileSync(join(dir, 'mine.yaml'), 'utf8'), 'listen: 127.0.0.1:4000\n');
    assert.equal((await importing(dir, '--out', 'mine.yaml', '--force')).code, 0);
    assert.match(readFileSync(join(dir, 'mine.yaml'), 'utf8'), /adminToken/);
    assert.equal((await importing(dir, '--out', 'new.yaml', '--dry-run')).code, 0);
    assert.ok(!existsSync(join(dir, 'new.yaml')));
  });

  test('takes an upstream of one’s own, and leaves one that would not load', async () => {
    const of = (base: string) =>
      `model_list: [{model_name: m, litellm_params: {model: openai/m, api_base: "${base}"}}]`;
    assert.deepEqual((await linesOf(of('https://proxy.example/v1'))).settings['upstream'], {
      baseUrl: 'https://proxy.example/v1',
    });
    const { lines, settings } = await linesOf(of('http://user:hunter2@proxy.example/v1'));
    assert.equal(settings['upstream'], undefined);
    const line = lines.find(({ to }) => to === 'upstream.baseUrl');
    assert.equal(line?.outcome, 'by_hand');
    assert.ok(!JSON.stringify(lines).includes('hunter2'));
  });

  test('takes the smallest config there is', async () => {
    assert.deepEqual((await linesOf('general_settings:\n')).settings, { compatibility: { litellm: 'on' } });
  });

  const BAD: readonly (readonly [what: string, text: string, says: RegExp])[] = [
    ['no YAML', 'model_list: [\n  sk-real-0123456789abcdef', /litellm\.yaml is not YAML/],
    ['a list', '- a\n', /holds no keys and values/],
    ['nothing', '', /holds no keys and values/],
    ['a list of models that is none', 'model_list: gpt-4o\n', /model_list is no list/],
    ['settings that are none', 'general_settings: [1]\n', /general_settings is no map/],
  ];
  for (const [what, text, says] of BAD) {
    test(`refuses ${what}, in one line`, async () => {
      const { code, stdout, stderr } = await importing(fixture(text));
      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.match(stderr, says);
      assert.equal(stderr.trimEnd().split('\n').length, 1);
      assert.ok(!stderr.includes(SECRETS[0]!));
    });
  }

  test('refuses a file that is not there', async () => {
    const { code, stderr } = await run(['import', 'litellm', 'absent.yaml']);
    assert.equal(code, 2);
    assert.match(stderr, /absent\.yaml cannot be read/);
  });
});
