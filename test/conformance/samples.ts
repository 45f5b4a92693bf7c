// An example request for each operation that the endpoint rows know, and for paths that nobody knows.
import type { Endpoint } from '../../src/domain/endpoint.ts';
import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';
import type { Header } from '../support/wire.ts';
import { BODIES, BODYLESS_POSTS, type Body } from './bodies.ts';

export interface Sample {
  /** The row it stands for, such as `GET /v1/files/{file_id}`; null for a path that no row knows. */
  readonly operation: string | null;
  readonly group: Endpoint['group'] | null;
  readonly method: string;
  /** What follows `/v1` in the request target, query and all, byte for byte. */
  readonly rest: string;
  readonly headers: readonly Header[];
  readonly body: Buffer | null;
}

/** What stands for the path parameters; each looks like OpenAI's, and some need care on their way. */
const IDS: Readonly<Record<string, string>> = {
  agent_id: 'agent_1a2b3c',
  alert_id: 'alert_1a2b3c',
  api_key_id: 'key_1a2b3c',
  artifact_id: 'art_1a2b3c',
  assistant_id: 'asst_1a2b3c',
  automation_id: 'auto_1a2b3c',
  batch_id: 'batch_1a2b3c',
  call_id: 'rtc_u1_9c6574da',
  case_id: 'case_1a2b3c',
  certificate_id: 'cert_1a2b3c',
  character_id: 'char_1a2b3c',
  completion_id: 'chatcmpl-1a2b3c',
  consent_id: 'cons_1a2b3c',
  container_id: 'cntr_1a2b3c',
  conversation_id: 'conv_1a2b3c',
  credential_id: 'cred_1a2b3c',
  environment_id: 'env_1a2b3c',
  eval_id: 'eval_1a2b3c',
  external_key_id: 'ek-1a2b3c',
  external_storage_id: 'es_1a2b3c',
  file_id: 'file-1a2b3c',
  group_id: 'group_1a2b3c',
  invite_id: 'invite-1a2b3c',
  invocation_id: 'inv_1a2b3c',
  item_id: 'msg_1a2b3c',
  job_id: 'ftjob-1a2b3c',
  key_id: 'key_1a2b3c',
  message_id: 'msg_1a2b3c',
  model: 'ft%3Agpt-4.1-nano:acme::1a2b3c',
  output_item_id: 'outputitem_1a2b3c',
  permission_id: 'cp_1a2b3c',
  project_id: 'proj_1a2b3c',
  provider_id: 'wip_1a2b3c',
  rate_limit_id: 'rl-gpt-6-luna',
  response_id: 'resp_1a2b3c',
  role_id: 'role_1a2b3c',
  rule_id: 'rule_1a2b3c',
  run_id: 'run_1a2b3c',
  service_account_id: 'svc_acct_1a2b3c',
  session_id: 'session_1a2b3c',
  skill_id: 'skill_1a2b3c',
  step_id: 'step_1a2b3c',
  subagent_id: 'sub_1a2b3c',
  template_id: 'tmpl_1a2b3c',
  thread_id: 'thread_1a2b3c',
  turn_id: 'turn_1a2b3c',
  upload_id: 'upload_1a2b3c',
  user_id: 'user_1a2b3c',
  vault_id: 'vault_1a2b3c',
  vector_store_id: 'vs_1a2b3c',
  version: '2',
  video_id: 'video_1a2b3c',
  voice_id: 'voice_1a2b3c',
  webhook_endpoint_id: 'we_1a2b3c',
};

/** Queries as SDKs write them, brackets encoded and not. Other lists get LIST_QUERY. */
const QUERIES: Readonly<Record<string, string>> = {
  'GET /v1/chat/completions': '?model=gpt-6-luna&metadata[ticket]=SUP-1182&limit=2',
  'GET /v1/conversations/{conversation_id}/items':
    '?include%5B%5D=message.output_text.logprobs&include[]=file_search_call.results',
  'POST /v1/conversations/{conversation_id}/items': '?include%5B%5D=step_details',
  'GET /v1/files': '?purpose=batch&limit=10000&order=desc',
  'GET /v1/fine_tuning/jobs': '?metadata%5Bteam%5D=a+b&limit=20',
  'GET /v1/organization/audit_logs': '?effective_at%5Bgt%5D=1763900000&project_ids[]=proj_1&project_ids[]=proj_2',
  'GET /v1/organization/costs': '?start_time=1763900000&bucket_width=1d&group_by=line_item&limit=7',
  'GET /v1/organization/users': '?emails[]=new%40acme.example',
  'GET /v1/responses/{response_id}': '?stream=true&starting_after=42&include_obfuscation=false',
  'GET /v1/threads/{thread_id}/runs/{run_id}/steps/{step_id}':
    '?include[]=step_details.tool_calls[*].file_search.results[*].content',
  'GET /v1/videos/{video_id}/content': '?variant=thumbnail',
};
const USAGE_QUERY =
  '?start_time=1763900000&bucket_width=1h&group_by[]=model&group_by[]=project_id&page=page_AAAA%3D%3D';
const LIST_QUERY = '?after=obj_9z8y7x&limit=20';

/** The variants with `?beta=true`: operations of their own to OpenAI, the same rows to us. */
const BETA_OPERATIONS = [
  'POST /v1/responses',
  'GET /v1/responses/{response_id}',
  'DELETE /v1/responses/{response_id}',
  'POST /v1/responses/{response_id}/cancel',
  'POST /v1/responses/compact',
  'GET /v1/responses/{response_id}/input_items',
  'POST /v1/responses/input_tokens',
];

const BETA_HEADERS: Readonly<Record<string, Header>> = {
  agents: ['OpenAI-Beta', 'agents=v1'],
  vaults: ['OpenAI-Beta', 'agents=v1'],
  chatkit: ['OpenAI-Beta', 'chatkit_beta=v1'],
  vector_stores: ['OpenAI-Beta', 'assistants=v2'],
};

/** Every operation over HTTP; WebSockets are tried where their frames are. */
export const SAMPLES: readonly Sample[] = [
  ...ENDPOINTS.filter((row) => row.transport === 'http').flatMap((row) => samplesOf(row, queryOf(row))),
  ...ENDPOINTS.filter((row) => row.transport === 'http' && BETA_OPERATIONS.includes(nameOf(row))).flatMap((row) =>
    samplesOf(row, '?beta=true').map((sample) => ({
      ...sample,
      operation: `${sample.operation}?beta=true`,
      headers: [...sample.headers, ['OpenAI-Beta', 'responses_multi_agent=v1'] as const],
    })),
  ),
];

export function nameOf(row: Pick<Endpoint, 'method' | 'path'>): string {
  return `${row.method} ${row.path}`;
}

function samplesOf(row: Endpoint, query: string): Sample[] {
  const rest = row.path.slice('/v1'.length).replaceAll(/\{(\w+)\}/g, (_, name: string) => idOf(name));
  return bodiesOf(row).map((body) => ({
    operation: nameOf(row),
    group: row.group,
    method: row.method,
    rest: rest + query,
    headers: [
      ...(BETA_HEADERS[row.group] === undefined ? [] : [BETA_HEADERS[row.group]!]),
      ...(body === null ? [] : [['Content-Type', body.contentType] as const]),
      // As every SDK does where it posts nothing.
      ...(body === null && row.method === 'POST' ? [['Content-Length', '0'] as const] : []),
    ],
    body: body?.bytes ?? null,
  }));
}

function bodiesOf(row: Endpoint): readonly (Body | null)[] {
  const name = nameOf(row);
  const bodies = BODIES[name];
  if (bodies !== undefined) return bodies;
  if (row.method === 'POST' && !BODYLESS_POSTS.has(name)) throw new Error(`${name} needs an example body in bodies.ts`);
  return [null];
}

function queryOf(row: Endpoint): string {
  const own = QUERIES[nameOf(row)];
  if (own !== undefined) return own;
  if (row.path.startsWith('/v1/organization/usage/')) return USAGE_QUERY;
  const isList = row.method === 'GET' && /(s|data)$/.test(row.path) && row.path !== '/v1/models';
  return isList ? LIST_QUERY : '';
}

function idOf(parameter: string): string {
  const id = IDS[parameter];
  if (id === undefined) throw new Error(`{${parameter}} needs an example in samples.ts`);
  return id;
}

/** Paths that OpenAI may have tomorrow, or never: a gateway must not care. */
export const MADE_UP: readonly Sample[] = [
  madeUp('GET', '/newthing'),
  madeUp('POST', '/newthing', '{"model":"gpt-9","input":1e400}'),
  madeUp('PUT', '/newthing/nt_1', '{"a":1}'),
  madeUp('PATCH', '/files/file-1a2b3c', '{"filename":"b.txt"}'),
  madeUp('DELETE', '/newthing/nt_1?force=true'),
  madeUp('OPTIONS', '/newthing'),
  madeUp('HEAD', '/newthing'),
  madeUp('GET', '/newthing/'),
  madeUp('GET', '/newthing//double'),
  madeUp('GET', '/files/'),
  madeUp('GET', '//files'),
  madeUp('POST', '/chat/completions/', '{}'),
  madeUp('GET', '/newthing/%2Fencoded%2fslash'),
  madeUp('GET', '/newthing/a%20b+c'),
  madeUp('GET', '/newthing/%E2%98%83'),
  madeUp('GET', '/newthing/x:y@z'),
  madeUp('GET', "/newthing/(!$&'*,;=)"),
  madeUp('GET', '/newthing/~tilde_-.'),
  madeUp('GET', '/newthing;v=2/x;y=1'),
  madeUp('GET', '/newthing?'),
  madeUp('GET', '/newthing?a=1&a=2&&=x&b'),
  madeUp('GET', '/newthing?q=%2f%2F+%20[]%5B%5D'),
  madeUp('GET', '/newthing?next=https://example.com/a?b=c'),
  madeUp('GET', '/newthing?path=../../etc'),
  madeUp('GET', `/newthing?long=${'0123456789abcdef'.repeat(256)}`),
  madeUp('GET', `/newthing/${'deep/'.repeat(40)}end`),
  madeUp('GET', '/v2/newthing'),
  madeUp('GET', '/constructor/__proto__'),
  madeUp('POST', '/Chat/Completions', '{"model":"gpt-6-luna"}'),
  madeUp('POST', '/%63hat/completions', '{"model":"gpt-6-luna"}'),
];

function madeUp(method: string, rest: string, body?: string): Sample {
  return {
    operation: null,
    group: null,
    method,
    rest,
    headers: body === undefined ? [] : [['Content-Type', 'application/json']],
    body: body === undefined ? null : Buffer.from(body),
  };
}
