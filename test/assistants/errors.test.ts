// The error catalogue, row by row: status, text, param and code, to the byte (reference: assistants 2.10).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { type TestDesk, openDesk } from '../support/desk.ts';

type Row = readonly [
  story: string,
  method: string,
  path: string,
  body: unknown,
  status: number,
  message: string,
  param: string | null,
  code: string | null,
];

const many = (n: number, item: unknown) => Array.from({ length: n }, () => item);
const pairs = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, 'v']));
const model = (more: object) => ({ model: 'gpt-4o', ...more });
const tool = (more: object) => model({ tools: [{ type: 'file_search', file_search: more }] });
const run = (more: object) => ({ assistant_id: 'asst_x', ...more });
const INTERPRETER = { type: 'code_interpreter' };
const MESSAGES = '/threads/thread_x/messages';
const RUNS = '/threads/thread_x/runs';

const ROWS: readonly Row[] = [
  [
    'an id of another kind',
    'GET',
    '/assistants/x',
    undefined,
    400,
    "Invalid 'assistant_id': 'x'. Expected an ID that begins with 'asst'.",
    'assistant_id',
    'invalid_value',
  ],
  [
    'arguments in the order of an older SDK',
    'GET',
    '/threads/undefined/runs/run_1',
    undefined,
    400,
    "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'.",
    'thread_id',
    'invalid_value',
  ],
  [
    'an empty thread id',
    'POST',
    '/threads//messages',
    { role: 'user', content: 'x' },
    400,
    "Invalid 'thread_id': ''. Expected an ID that begins with 'thread'.",
    'thread_id',
    'invalid_value',
  ],
  [
    'a message id of another kind',
    'GET',
    `${MESSAGES}/run_1`,
    undefined,
    400,
    "Invalid 'message_id': 'run_1'. Expected an ID that begins with 'msg'.",
    'message_id',
    'invalid_value',
  ],
  [
    'a run id of another kind',
    'GET',
    `${RUNS}/msg_1`,
    undefined,
    400,
    "Invalid 'run_id': 'msg_1'. Expected an ID that begins with 'run'.",
    'run_id',
    'invalid_value',
  ],
  [
    'a step id of another kind',
    'GET',
    `${RUNS}/run_1/steps/x`,
    undefined,
    400,
    "Invalid 'step_id': 'x'. Expected an ID that begins with 'step'.",
    'step_id',
    'invalid_value',
  ],
  [
    'an assistant id of another kind in a run',
    'POST',
    RUNS,
    { assistant_id: 'x' },
    400,
    "Invalid 'assistant_id': 'x'. Expected an ID that begins with 'asst'.",
    'assistant_id',
    'invalid_value',
  ],
  [
    'an unknown assistant',
    'GET',
    '/assistants/asst_x',
    undefined,
    404,
    "No assistant found with id 'asst_x'.",
    null,
    null,
  ],
  ['an unknown thread', 'GET', '/threads/thread_x', undefined, 404, "No thread found with id 'thread_x'.", null, null],
  ['messages of an unknown thread', 'GET', MESSAGES, undefined, 404, "No thread found with id 'thread_x'.", null, null],
  [
    'an unknown generated file',
    'GET',
    '/files/file-tw-x',
    undefined,
    404,
    'No such File object: file-tw-x',
    'id',
    null,
  ],
  [
    'a body that is no JSON',
    'POST',
    '/assistants',
    '{"model":',
    400,
    'We could not parse the JSON body of your request. The API expects a JSON object, sent with its whole length.',
    null,
    null,
  ],
  [
    'a body that is no object',
    'POST',
    '/assistants',
    '[1]',
    400,
    'We could not parse the JSON body of your request. The API expects a JSON object, sent with its whole length.',
    null,
    null,
  ],
  [
    'a member of the older API',
    'POST',
    '/assistants',
    model({ file_ids: [] }),
    400,
    "Unknown parameter: 'file_ids'.",
    'file_ids',
    'unknown_parameter',
  ],
  [
    'a member of the older API inside',
    'POST',
    '/threads',
    { messages: [{ role: 'user', content: 'x', file_ids: [] }] },
    400,
    "Unknown parameter: 'messages[0].file_ids'.",
    'messages[0].file_ids',
    'unknown_parameter',
  ],
  [
    'a message posted to the threads themselves',
    'POST',
    '/threads',
    { role: 'user', content: 'x' },
    400,
    "Unknown parameter: 'role'.",
    'role',
    'unknown_parameter',
  ],
  [
    'no model',
    'POST',
    '/assistants',
    {},
    400,
    "Missing required parameter: 'model'.",
    'model',
    'missing_required_parameter',
  ],
  [
    'no role',
    'POST',
    MESSAGES,
    { content: 'x' },
    400,
    "Missing required parameter: 'role'.",
    'role',
    'missing_required_parameter',
  ],
  [
    'no content',
    'POST',
    MESSAGES,
    { role: 'user' },
    400,
    "Missing required parameter: 'content'.",
    'content',
    'missing_required_parameter',
  ],
  [
    'no role inside',
    'POST',
    '/threads',
    { messages: [{ content: 'x' }] },
    400,
    "Missing required parameter: 'messages[0].role'.",
    'messages[0].role',
    'missing_required_parameter',
  ],
  [
    'no assistant',
    'POST',
    RUNS,
    {},
    400,
    "Missing required parameter: 'assistant_id'.",
    'assistant_id',
    'missing_required_parameter',
  ],
  [
    'no outputs',
    'POST',
    `${RUNS}/run_1/submit_tool_outputs`,
    {},
    400,
    "Missing required parameter: 'tool_outputs'.",
    'tool_outputs',
    'missing_required_parameter',
  ],
  [
    'no threshold',
    'POST',
    '/assistants',
    tool({ ranking_options: {} }),
    400,
    "Missing required parameter: 'tools[0].file_search.ranking_options.score_threshold'.",
    'tools[0].file_search.ranking_options.score_threshold',
    'missing_required_parameter',
  ],
  [
    'no number of messages',
    'POST',
    RUNS,
    run({ truncation_strategy: { type: 'last_messages' } }),
    400,
    "Missing required parameter: 'truncation_strategy.last_messages'.",
    'truncation_strategy.last_messages',
    'missing_required_parameter',
  ],
  [
    'a role that is none',
    'POST',
    MESSAGES,
    { role: 'x', content: 'x' },
    400,
    "Invalid value: 'x'. Supported values are: 'user' and 'assistant'.",
    'role',
    'invalid_value',
  ],
  [
    'a tool that is none',
    'POST',
    '/assistants',
    model({ tools: [{ type: 'retrieval' }] }),
    400,
    "Invalid value: 'retrieval'. Supported values are: 'code_interpreter', 'file_search', and 'function'.",
    'tools[0].type',
    'invalid_value',
  ],
  [
    'an order that is none',
    'GET',
    `${MESSAGES}?order=up`,
    undefined,
    400,
    "Invalid value: 'up'. Supported values are: 'asc' and 'desc'.",
    'order',
    'invalid_value',
  ],
  [
    'a tool choice that is none',
    'POST',
    RUNS,
    run({ tool_choice: 'all' }),
    400,
    "Invalid value: 'all'. Supported values are: 'none', 'auto', and 'required'.",
    'tool_choice',
    'invalid_value',
  ],
  [
    'a number for a text',
    'POST',
    '/assistants',
    { model: 5 },
    400,
    "Invalid type for 'model': expected a string, but got an integer instead.",
    'model',
    'invalid_type',
  ],
  [
    'a text for a number',
    'POST',
    '/assistants',
    model({ temperature: 'hot' }),
    400,
    "Invalid type for 'temperature': expected a decimal, but got a string instead.",
    'temperature',
    'invalid_type',
  ],
  [
    'a fraction for a whole number',
    'POST',
    RUNS,
    run({ max_prompt_tokens: 300.5 }),
    400,
    "Invalid type for 'max_prompt_tokens': expected an integer, but got a decimal instead.",
    'max_prompt_tokens',
    'invalid_type',
  ],
  [
    'a text for a list',
    'POST',
    '/assistants',
    model({ tools: 'x' }),
    400,
    "Invalid type for 'tools': expected an array, but got a string instead.",
    'tools',
    'invalid_type',
  ],
  [
    'a number for content',
    'POST',
    MESSAGES,
    { role: 'user', content: 5 },
    400,
    "Invalid type for 'content': expected one of a string or array, but got an integer instead.",
    'content',
    'invalid_type',
  ],
  [
    'a number in metadata',
    'POST',
    '/threads',
    { metadata: { a: 1 } },
    400,
    "Invalid type for 'metadata.a': expected a string, but got an integer instead.",
    'metadata.a',
    'invalid_type',
  ],
  [
    'a null where none may be',
    'POST',
    MESSAGES,
    { role: null, content: 'x' },
    400,
    "Invalid type for 'role': expected a string, but got null instead.",
    'role',
    'invalid_type',
  ],
  [
    '129 tools',
    'POST',
    '/assistants',
    model({ tools: many(129, INTERPRETER) }),
    400,
    "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with length 129 instead.",
    'tools',
    'array_above_max_length',
  ],
  [
    '21 tools of a run',
    'POST',
    RUNS,
    run({ tools: many(21, INTERPRETER) }),
    400,
    "Invalid 'tools': array too long. Expected an array with maximum length 20, but got an array with length 21 instead.",
    'tools',
    'array_above_max_length',
  ],
  [
    '21 files',
    'POST',
    '/threads',
    { tool_resources: { code_interpreter: { file_ids: many(21, 'file-1') } } },
    400,
    "Invalid 'tool_resources.code_interpreter.file_ids': array too long. Expected an array with maximum length 20, but got an array with length 21 instead.",
    'tool_resources.code_interpreter.file_ids',
    'array_above_max_length',
  ],
  [
    'two vector stores',
    'POST',
    '/threads',
    { tool_resources: { file_search: { vector_store_ids: ['a', 'b'] } } },
    400,
    "Invalid 'tool_resources.file_search.vector_store_ids': array too long. Expected an array with maximum length 1, but got an array with length 2 instead.",
    'tool_resources.file_search.vector_store_ids',
    'array_above_max_length',
  ],
  [
    'the shorthand in a change',
    'POST',
    '/threads/thread_x',
    { tool_resources: { file_search: { vector_stores: [] } } },
    400,
    "Unknown parameter: 'tool_resources.file_search.vector_stores'.",
    'tool_resources.file_search.vector_stores',
    'unknown_parameter',
  ],
  [
    'both ways to name a store',
    'POST',
    '/threads',
    { tool_resources: { file_search: { vector_store_ids: [], vector_stores: [] } } },
    400,
    "Invalid 'tool_resources.file_search': Only one of 'vector_store_ids' and 'vector_stores' can be given.",
    'tool_resources.file_search',
    'invalid_value',
  ],
  [
    'no parts',
    'POST',
    MESSAGES,
    { role: 'user', content: [] },
    400,
    "Invalid 'content': empty array. Expected an array with minimum length 1, but got an empty array instead.",
    'content',
    'empty_array',
  ],
  [
    'no text',
    'POST',
    MESSAGES,
    { role: 'user', content: '' },
    400,
    'Message content must be non-empty.',
    'content',
    null,
  ],
  [
    'a name of 257 characters',
    'POST',
    '/assistants',
    model({ name: 'x'.repeat(257) }),
    400,
    "Invalid 'name': string too long. Expected a string with maximum length 256, but got a string with length 257 instead.",
    'name',
    'string_above_max_length',
  ],
  [
    'a description of 513 characters',
    'POST',
    '/assistants',
    model({ description: 'x'.repeat(513) }),
    400,
    "Invalid 'description': string too long. Expected a string with maximum length 512, but got a string with length 513 instead.",
    'description',
    'string_above_max_length',
  ],
  [
    'instructions of 256,001 characters',
    'POST',
    '/assistants',
    model({ instructions: 'x'.repeat(256_001) }),
    400,
    "Invalid 'instructions': string too long. Expected a string with maximum length 256000, but got a string with length 256001 instead.",
    'instructions',
    'string_above_max_length',
  ],
  [
    'content of 256,001 characters',
    'POST',
    MESSAGES,
    { role: 'user', content: 'x'.repeat(256_001) },
    400,
    "Invalid 'content': string too long. Expected a string with maximum length 256000, but got a string with length 256001 instead.",
    'content',
    'string_above_max_length',
  ],
  [
    'metadata of 513 characters',
    'POST',
    '/threads',
    { metadata: { a: 'x'.repeat(513) } },
    400,
    "Invalid 'metadata.a': string too long. Expected a string with maximum length 512, but got a string with length 513 instead.",
    'metadata.a',
    'string_above_max_length',
  ],
  [
    'a metadata key of 65 characters',
    'POST',
    '/threads',
    { metadata: { ['k'.repeat(65)]: '' } },
    400,
    "Invalid 'metadata': property name too long. Expected a property name with maximum length 64, but got one with length 65 instead.",
    'metadata',
    'string_above_max_length',
  ],
  [
    '17 pairs of metadata',
    'POST',
    '/threads',
    { metadata: pairs(17) },
    400,
    "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with 17 properties instead.",
    'metadata',
    'object_above_max_properties',
  ],
  [
    'a function name with a space',
    'POST',
    '/assistants',
    model({ tools: [{ type: 'function', function: { name: 'a b' } }] }),
    400,
    "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
    'tools[0].function.name',
    'invalid_value',
  ],
  [
    'an empty model',
    'POST',
    '/assistants',
    { model: '' },
    400,
    "Invalid 'model': empty string. Expected a string with minimum length 1, but got an empty string instead.",
    'model',
    'empty_string',
  ],
  [
    'too hot',
    'POST',
    '/assistants',
    model({ temperature: 2.5 }),
    400,
    "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
    'temperature',
    'decimal_above_max_value',
  ],
  [
    'a negative share',
    'POST',
    '/assistants',
    model({ top_p: -1 }),
    400,
    "Invalid 'top_p': decimal below minimum value. Expected a value >= 0, but got -1 instead.",
    'top_p',
    'decimal_below_min_value',
  ],
  [
    '51 results',
    'POST',
    '/assistants',
    tool({ max_num_results: 51 }),
    400,
    "Invalid 'tools[0].file_search.max_num_results': integer above maximum value. Expected a value <= 50, but got 51 instead.",
    'tools[0].file_search.max_num_results',
    'integer_above_max_value',
  ],
  [
    '255 tokens',
    'POST',
    RUNS,
    run({ max_completion_tokens: 255 }),
    400,
    "Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 256, but got 255 instead.",
    'max_completion_tokens',
    'integer_below_min_value',
  ],
  [
    'no messages to keep',
    'POST',
    RUNS,
    run({ truncation_strategy: { type: 'last_messages', last_messages: 0 } }),
    400,
    "Invalid 'truncation_strategy.last_messages': integer below minimum value. Expected a value >= 1, but got 0 instead.",
    'truncation_strategy.last_messages',
    'integer_below_min_value',
  ],
  [
    'a limit of 500',
    'GET',
    `${MESSAGES}?limit=500`,
    undefined,
    400,
    "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 500 instead.",
    'limit',
    'integer_above_max_value',
  ],
  [
    'a limit of 0',
    'GET',
    `${MESSAGES}?limit=0`,
    undefined,
    400,
    "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
    'limit',
    'integer_below_min_value',
  ],
  [
    'a limit that is no number',
    'GET',
    `${MESSAGES}?limit=all`,
    undefined,
    400,
    "Invalid type for 'limit': expected an integer, but got a string instead.",
    'limit',
    'invalid_type',
  ],
  [
    'a cursor of another kind',
    'GET',
    '/assistants?after=thread_1',
    undefined,
    400,
    "Invalid 'after': 'thread_1'. Expected an ID that begins with 'asst'.",
    'after',
    'invalid_value',
  ],
  [
    'a cursor that is not in the list',
    'GET',
    '/assistants?before=asst_none',
    undefined,
    400,
    "Invalid 'before': 'asst_none'. No object of this list has this ID.",
    'before',
    'invalid_value',
  ],
  [
    'a model that gives no text',
    'POST',
    '/assistants',
    { model: 'text-embedding-3-small' },
    400,
    "The requested model 'text-embedding-3-small' cannot be used with the Assistants API.",
    'model',
    'unsupported_model',
  ],
  [
    'sampling on a reasoning model',
    'POST',
    '/assistants',
    { model: 'o3-mini', temperature: 0.5 },
    400,
    "Unsupported parameter: 'temperature' is not supported with this model.",
    'temperature',
    'unsupported_parameter',
  ],
  [
    'a path that is none',
    'GET',
    '/threads/thread_x/notes',
    undefined,
    404,
    'Invalid URL (GET /v1/threads/thread_x/notes)',
    null,
    null,
  ],
  [
    'a method that is none',
    'PUT',
    '/threads/thread_x',
    undefined,
    405,
    'Not allowed to PUT on /v1/threads/thread_x.',
    null,
    'method_not_supported',
  ],
];

describe('the error catalogue', () => {
  let desk: TestDesk;
  before(async () => {
    desk = await openDesk();
  });
  after(() => desk.close());

  for (const [story, method, path, body, status, message, param, code] of ROWS) {
    test(`${story}: ${message.slice(0, 60)}`, async () => {
      const refused = await desk.ask(method, path, body);
      assert.deepEqual(
        [refused.status, refused.json],
        [status, { error: { message, type: 'invalid_request_error', param, code } }],
      );
    });
  }

  test('what is wrong is told in one order: header, JSON, id, body, existence', async () => {
    const strict = await openDesk({ requireBetaHeader: true });
    const first = async (headers: readonly string[], path: string, body: string) =>
      (await strict.ask('POST', path, body, { headers })).json.error.message;
    const beta = ['OpenAI-Beta', 'assistants=v2'];
    assert.match(await first([], '/threads/x/messages', '{'), /^You must provide the 'OpenAI-Beta' header/);
    assert.match(await first(beta, '/threads/x/messages', '{'), /^We could not parse the JSON body/);
    assert.match(await first(beta, '/threads/x/messages', '{}'), /^Invalid 'thread_id'/);
    assert.match(await first(beta, '/threads/thread_x/messages', '{}'), /^Missing required parameter/);
    assert.match(await first(beta, '/threads/thread_x/messages', '{"role":"user","content":"x"}'), /^No thread found/);
    await strict.close();
  });

  test('the beta header is asked for only where the operator asks for it, and its first version is gone for all', async () => {
    const BETA =
      "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the header 'OpenAI-Beta: assistants=v2'.";
    const old = await desk.ask('GET', '/assistants', undefined, { headers: ['OpenAI-Beta', 'assistants=v1'] });
    assert.deepEqual([old.status, old.json.error.message, old.json.error.code], [400, BETA, 'invalid_beta']);
    for (const headers of [
      [],
      ['OpenAI-Beta', 'realtime=v1'],
      ['openai-beta', 'foo=v1, assistants=v2'],
      ['OpenAI-Beta', 'foo=v1', 'OpenAI-Beta', 'assistants=v2'],
    ]) {
      assert.equal((await desk.ask('GET', '/assistants', undefined, { headers })).status, 200);
    }
    const strict = await openDesk({ requireBetaHeader: true });
    const none = await strict.ask('GET', '/assistants');
    assert.deepEqual([none.status, none.json.error.message, none.json.error.code], [400, BETA, 'invalid_beta']);
    assert.equal(
      (await strict.ask('GET', '/assistants', undefined, { headers: ['OpenAI-Beta', 'foo=v1, assistants=v2'] })).status,
      200,
    );
    await strict.close();
  });

  test('a model that the upstream does not list is refused, and an alias stands for it', async () => {
    const checking = await openDesk({ checkModels: true, modelAliases: { 'gpt-4': 'gpt-6-luna' } });
    checking.play(({ path }) =>
      path === '/v1/models'
        ? { status: 200, body: { object: 'list', data: [{ id: 'gpt-4o' }, { id: 'gpt-6-luna' }] } }
        : undefined,
    );
    const unknown = await checking.ask('POST', '/assistants', { model: 'x' });
    assert.deepEqual(
      [unknown.status, unknown.json.error],
      [
        400,
        {
          message: "The requested model 'x' does not exist.",
          type: 'invalid_request_error',
          param: 'model',
          code: 'model_not_found',
        },
      ],
    );
    const { id } = await checking.ok('POST', '/assistants', { model: 'gpt-4' });
    assert.equal((await checking.ask('POST', `/assistants/${id}`, { model: 'x' })).status, 400);
    const thread = await checking.ok('POST', '/threads');
    assert.equal(
      (await checking.ask('POST', `/threads/${thread.id}/runs`, { assistant_id: id, model: 'x' })).status,
      400,
    );
    assert.equal((await checking.ask('POST', '/threads/runs', { assistant_id: id, model: 'x' })).status, 400);
    await checking.ok('POST', `/threads/${thread.id}/runs`, { assistant_id: id, model: 'gpt-4o' });
    assert.equal(checking.upstream.length, 1, 'the list is asked for once');
    checking.clock.turn(600_000);
    checking.play(() => 'unreachable');
    await checking.ok('POST', '/assistants', { model: 'x' });
    await checking.close();
  });

  test('a slash too many between base URL and path is forgiven', async () => {
    assert.equal((await desk.ask('GET', '//assistants')).status, 200);
  });
});
