// What a caller may: models by pattern, endpoints by rule, networks by address; always what the key allows and the team allows too.
import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { type Caller, KEY_DEFAULTS } from '../../src/domain/key.ts';
import { TEAM_DEFAULTS } from '../../src/domain/team.ts';
import { isNarrower, ruleFault } from '../../src/keys/endpoint-rules.ts';
import { networkFault, networksOf } from '../../src/keys/networks.ts';
import { covers, matcherOf } from '../../src/keys/patterns.ts';
import { mayCallEndpoint, mayCallFrom, mayCallModel } from '../../src/keys/scopes.ts';
import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';
import { findEndpoint } from '../../src/openai/endpoints.ts';

type Lists = Partial<Pick<Caller['key'], 'models' | 'endpoints' | 'allowedCidrs'>>;

const caller = (key: Lists, team: Lists = {}): Caller => ({
  team: { ...TEAM_DEFAULTS, ...team, id: 'team_1', name: 'red', createdAt: 1 },
  key: {
    ...KEY_DEFAULTS,
    ...key,
    id: 'key_1',
    teamId: 'team_1',
    name: 'web',
    tokenHash: '',
    tokenHint: '',
    createdAt: 1,
  },
  user: null,
});

/** Asks as the relay does: by the row that knows the path. */
const mayCall = (who: Caller, method: string, path: string) => {
  const endpoint = findEndpoint(method, path);
  return mayCallEndpoint(who, endpoint, endpoint?.group, method, path);
};

/** Few letters, so that patterns and names meet. */
const name = fc.string({ unit: fc.constantFrom('a', 'b', '-', '.'), maxLength: 8 });
const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '-', '*', '.'), maxLength: 6 });

/** What a pattern means, in other words. */
const asRegExp = (text: string) =>
  new RegExp(`^${text.replaceAll(/[.\-\\]/g, String.raw`\$&`).replaceAll('*', '[^]*')}$`);

describe('models', () => {
  test('a pattern matches what its stars leave open, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 4 }), name, (patterns, model) => {
        assert.equal(
          matcherOf(patterns)(model),
          patterns.some((each) => asRegExp(each).test(model)),
        );
      }),
    );
  });

  test('what a wide pattern covers, it matches whatever the narrow one matches', () => {
    fc.assert(
      fc.property(pattern, pattern, name, (wide, narrow, model) => {
        if (covers(wide, narrow) && asRegExp(narrow).test(model)) assert.match(model, asRegExp(wide));
      }),
    );
    assert.ok(covers('gpt-*', 'gpt-5*') && covers('*', 'gpt-*') && covers('gpt-*-mini', 'gpt-4*o-mini'));
    assert.ok(!covers('gpt-5*', 'gpt-*') && !covers('gpt-5', 'gpt-*') && !covers('gpt-*', '*'));
  });

  test('a key may call what it names and its team names, whichever is narrower', () => {
    const lists = fc.array(pattern, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(lists, lists, name, (key, team, model) => {
        const isNamed = (patterns: readonly string[]) => patterns.some((each) => asRegExp(each).test(model));
        const may = mayCallModel(caller({ models: key }, { models: team }), model);
        assert.equal(may, isNamed(key) && isNamed(team));
      }),
    );
  });

  test('where the model cannot be told, only who may call any goes on', () => {
    assert.ok(mayCallModel(caller({}), null));
    assert.ok(!mayCallModel(caller({ models: ['gpt-*'] }), null));
    assert.ok(!mayCallModel(caller({}, { models: ['gpt-*'] }), null));
  });

  test('a hostile pattern takes no longer than its length', () => {
    const matches = matcherOf([`${'*a'.repeat(90)}*b`]);
    const startedAt = performance.now();
    assert.ok(!matches('a'.repeat(20_000)));
    assert.ok(performance.now() - startedAt < 1000);
  });
});

describe('endpoints', () => {
  const CHAT = '/v1/chat/completions';

  test('a star is all but administration, which is named or not had, by the key and by the team', () => {
    const administration = ENDPOINTS.filter(({ group }) => group === 'admin');
    assert.ok(administration.length > 50);
    const allowed = (key: Lists, team: Lists) =>
      administration.filter(({ method, path }) => mayCall(caller(key, team), method, path)).length;
    assert.equal(allowed({}, {}), 0);
    assert.equal(allowed({ endpoints: ['*', '/v1/organization*'] }, { endpoints: ['*', 'admin'] }), 0);
    assert.equal(allowed({ endpoints: ['*', 'admin'] }, {}), 0);
    assert.equal(allowed({ endpoints: ['admin'] }, { endpoints: ['admin'] }), administration.length);
    assert.ok(mayCall(caller({}), 'POST', CHAT) && mayCall(caller({}), 'PUT', '/v1/something/new'));
  });

  test('a group opens its rows, a path its own, the beginning of a path all that begin so', () => {
    const rows: readonly (readonly [rules: readonly string[], method: string, path: string, may: boolean])[] = [
      [['chat'], 'POST', CHAT, true],
      [['chat'], 'POST', '/v1/embeddings', false],
      [['chat'], 'POST', '/v1/something/new', false],
      [[CHAT], 'POST', CHAT, true],
      [[CHAT], 'GET', CHAT, true],
      [[`POST ${CHAT}`], 'GET', CHAT, false],
      [[`POST ${CHAT}`], 'POST', `${CHAT}/x`, false],
      [['GET /v1/files/{file_id}'], 'GET', '/v1/files/file-1', true],
      [['GET /v1/files/{file_id}'], 'DELETE', '/v1/files/file-1', false],
      [['GET /v1/files/{file_id}'], 'GET', '/v1/files/file-1/content', false],
      [['/v1/files/file-1'], 'GET', '/v1/files/file-1', true],
      [['/v1/files/file-1'], 'GET', '/v1/files/file-2', false],
      [['/v1/files*'], 'GET', '/v1/files/file-1/content', true],
      [['/v1/files*'], 'GET', '/v1/chat/completions', false],
      [['/v1/something/*'], 'PUT', '/v1/something/new', true],
      [['/v1/something/*'], 'PUT', '/v1/something', false],
    ];
    for (const [endpoints, method, path, may] of rows) {
      assert.equal(mayCall(caller({ endpoints }), method, path), may, `${endpoints.join()}: ${method} ${path}`);
      assert.equal(
        mayCall(caller({}, { endpoints }), method, path),
        may,
        `team ${endpoints.join()}: ${method} ${path}`,
      );
    }
  });

  test('a path that the upstream may read as another opens nothing to whom only some are open', () => {
    const spellings = [
      '/v1/files/../chat/completions',
      '/v1/files/%2e%2e/chat/completions',
      '/v1/files/.%2E/chat',
      '/v1/files/..%2fchat%2fcompletions',
      '/v1/files/%2e%2e%5Cchat',
      '/v1/files//chat',
      '/v1/files/x;/../chat',
      '/v1/files/%252e%252e/chat',
      String.raw`/v1/files/..\chat`,
      '/v1/files/.',
    ];
    for (const path of spellings) {
      for (const endpoints of [['files'], ['/v1/files*'], ['GET /v1/files/{file_id}']]) {
        assert.ok(!mayCall(caller({ endpoints }), 'GET', path), `${endpoints.join()}: ${path}`);
      }
    }
    assert.ok(mayCall(caller({ endpoints: ['models'] }), 'GET', '/v1/models/ft%3Agpt-4o%3Aorg%3A%3Aid'));
  });

  test('a rule that is narrower opens no row that the wide ones keep shut', () => {
    const rule = fc.constantFrom(
      '*',
      'admin',
      'chat',
      'files',
      'uploads',
      '/v1/files',
      'POST /v1/files',
      '/v1/files*',
      '/v1/f*',
      '/v1/*',
      'GET /v1/files*',
      '/v1/files/{file_id}',
      'GET /v1/files/{file_id}',
      '/v1/new*',
      '/v1/new/thing',
      CHAT,
    );
    const opened = (endpoints: readonly string[]) =>
      new Set(ENDPOINTS.filter(({ method, path }) => mayCall(caller({ endpoints }), method, path)));
    fc.assert(
      fc.property(rule, fc.array(rule, { minLength: 1, maxLength: 3 }), (narrow, wide) => {
        if (narrow === '*' || !isNarrower(narrow, wide, ENDPOINTS)) return;
        assert.ok(opened([narrow]).isSubsetOf(opened(wide)), `${narrow} within ${wide.join()}`);
      }),
      { numRuns: 60 },
    );
    assert.ok(isNarrower('POST /v1/files', ['files'], ENDPOINTS) && isNarrower('/v1/files*', ['files'], ENDPOINTS));
    assert.ok(!isNarrower('/v1/f*', ['files'], ENDPOINTS) && !isNarrower('admin', ['*'], ENDPOINTS));
    assert.ok(
      isNarrower('/v1/new/thing', ['/v1/new*'], ENDPOINTS) && !isNarrower('/v1/new/thing', ['chat'], ENDPOINTS),
    );
  });

  test('what is no rule is told by what may stand there', () => {
    for (const text of [
      '',
      'Chat',
      'chats',
      'files/',
      'v1/files',
      'POST',
      'post /v1/files',
      '/v1/a*b',
      '/v2/x',
      '/v1/x?y',
    ]) {
      assert.notEqual(ruleFault(text, ENDPOINTS), null, text);
    }
    for (const text of ['*', 'admin', 'chat', '/v1/files', 'DELETE /v1/files/{file_id}', '/v1/brand/new*']) {
      assert.equal(ruleFault(text, ENDPOINTS), null, text);
    }
  });
});

describe('networks', () => {
  const address4 = fc.ipV4();
  const address6 = fc.ipV6();

  /** Bits as text, compared as text. */
  const bits4 = (address: string) =>
    address
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('');

  test('an IPv4 address is in a network when it begins with its bits, however it is written', () => {
    fc.assert(
      fc.property(address4, address4, fc.integer({ min: 0, max: 32 }), (network, address, size) => {
        const isInside = bits4(network).slice(0, size) === bits4(address).slice(0, size);
        const contains = networksOf([`${network}/${size}`]);
        assert.equal(contains(address), isInside);
        assert.equal(contains(`::ffff:${address}`), isInside);
        assert.equal(networksOf([`::ffff:${network}/${96 + size}`])(address), isInside);
      }),
    );
  });

  test('an IPv6 address is in a network when the platform’s own list says so', () => {
    fc.assert(
      fc.property(address6, address6, fc.integer({ min: 0, max: 128 }), (network, address, size) => {
        const contains = networksOf([`${network}/${size}`]);
        assert.ok(contains(network));
        const list = new BlockList();
        list.addSubnet(network, size, 'ipv6');
        assert.equal(contains(address), list.check(address, 'ipv6'));
      }),
      { numRuns: 50 },
    );
  });

  test('a caller without networks comes from anywhere, one with some from nowhere else, nor from an unreadable address', () => {
    assert.ok(mayCallFrom(caller({}), '203.0.113.9') && mayCallFrom(caller({}), ''));
    const bound = caller({ allowedCidrs: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'] });
    for (const address of ['10.255.0.1', '::ffff:10.1.2.3', '::FFFF:0a01:0203', '2001:db8:1::1%eth0', '192.0.2.7']) {
      assert.ok(mayCallFrom(bound, address), address);
      assert.ok(mayCallFrom(bound, address), `${address}, once more`);
    }
    for (const address of ['11.0.0.1', '2001:db9::1', '192.0.2.8', '', 'localhost', '10.0.0', '::ffff:11.0.0.1']) {
      assert.ok(!mayCallFrom(bound, address), address);
    }
  });

  test('more addresses than are remembered are still told apart', () => {
    const contains = networksOf(['10.0.0.0/16']);
    for (let i = 0; i < 1000; i++) {
      assert.ok(contains(`10.0.${i % 256}.${i >> 8}`));
      assert.ok(!contains(`10.1.${i % 256}.${i >> 8}`));
    }
  });

  test('what is no network is told', () => {
    for (const text of [
      '',
      '10.0.0.0/33',
      '10.0.0/8',
      '::/129',
      'example.com',
      '10.0.0.0/8 ',
      '1.2.3.4/-1',
      '1.2.3.4/',
    ]) {
      assert.notEqual(networkFault(text), null, text);
    }
  });
});
