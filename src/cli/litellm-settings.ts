// Settings of LiteLLM's proxy, one by one: which setting of ours each becomes, and why the others become none. docs/litellm.md is made
// from here.
import { z } from 'zod';

export type Outcome = 'written' | 'by_hand' | 'not_needed' | 'not_supported' | 'unknown';

/** What a value becomes: settings of ours by their dotted names, or why it cannot. */
export type Taken =
  | { readonly settings: Readonly<Record<string, unknown>>; readonly note?: string }
  | { readonly outcome: Exclude<Outcome, 'written'>; readonly why: string };

interface TakenSetting {
  readonly names: readonly string[];
  readonly to: string;
  readonly note: string;
  take(value: unknown): Taken;
}

interface LeftSetting {
  readonly names: readonly string[];
  readonly outcome: Exclude<Outcome, 'written' | 'unknown'>;
  readonly why: string;
}

const REFERENCE = /^os\.environ\/(\w+)$/;

/** `os.environ/NAME` as we write it; null for a secret that stands in the file itself. */
export function referenceOf(value: unknown): string | null {
  const name = typeof value === 'string' ? REFERENCE.exec(value)?.[1] : undefined;
  return name === undefined ? null : `env:${name}`;
}

export const WRITTEN_OUT =
  'the secret stands in the file itself: put it into the environment, and refer to it as env:NAME';

function secretTo(to: string): (value: unknown) => Taken {
  return (value) => {
    const reference = referenceOf(value);
    return reference === null ? { outcome: 'by_hand', why: WRITTEN_OUT } : { settings: { [to]: reference } };
  };
}

const NUMBER = z.union([
  z.number(),
  z
    .string()
    .regex(/^\d+(\.\d+)?$/)
    .transform(Number),
]);

function numberTo(names: readonly string[], factor: number): (value: unknown) => Taken {
  return (value) => {
    const parsed = NUMBER.safeParse(value);
    if (!parsed.success) return { outcome: 'by_hand', why: 'it is no number' };
    return { settings: Object.fromEntries(names.map((name) => [name, parsed.data * factor])) };
  };
}

const DAYS: Readonly<Record<string, number>> = { s: 1 / 86_400, m: 1 / 1440, h: 1 / 24, d: 1, w: 7 };

function daysTo(to: string): (value: unknown) => Taken {
  return (value) => {
    const [, count, unit = ''] = /^(\d+)([smhdw])$/.exec(String(value)) ?? [];
    const days = DAYS[unit];
    if (count === undefined || days === undefined) return { outcome: 'by_hand', why: 'write the days as a number' };
    return { settings: { [to]: Number(count) * days } };
  };
}

export const TAKEN: readonly TakenSetting[] = [
  {
    names: ['master_key'],
    to: 'adminToken',
    note: 'It opens the admin API alone, and calls no model. At least 32 characters.',
    take: secretTo('adminToken'),
  },
  {
    names: ['pass_through_request_timeout'],
    to: 'upstream.headersSeconds, upstream.idleSeconds',
    note: 'Seconds. LiteLLM has one number for both.',
    take: numberTo(['upstream.headersSeconds', 'upstream.idleSeconds'], 1),
  },
  {
    names: ['max_request_size_mb'],
    to: 'http.bodyBytesMax',
    note: 'In bytes.',
    take: numberTo(['http.bodyBytesMax'], 1024 * 1024),
  },
  {
    names: ['global_max_parallel_requests'],
    to: 'limits.gateway.concurrentExchanges',
    note: 'The same.',
    take: numberTo(['limits.gateway.concurrentExchanges'], 1),
  },
  {
    names: ['maximum_spend_logs_retention_period'],
    to: 'logging.retentionDays',
    note: 'In days.',
    take: daysTo('logging.retentionDays'),
  },
  {
    names: ['redis_url'],
    to: 'redisUrl',
    note: 'From `os.environ/NAME`. It counts limits; nothing is cached.',
    take: secretTo('redisUrl'),
  },
  {
    names: ['set_verbose'],
    to: 'logging.level',
    note: '`true` is `debug`.',
    take: (value) =>
      value === true
        ? { settings: { 'logging.level': 'debug' } }
        : { outcome: 'not_needed', why: 'it is so by default' },
  },
];

export const LEFT: readonly LeftSetting[] = [
  {
    names: ['database_url'],
    outcome: 'by_hand',
    why: 'give the gateway a database of its own as databaseUrl: nothing is read from LiteLLM’s',
  },
  {
    names: ['max_budget', 'budget_duration'],
    outcome: 'by_hand',
    why: 'make a budget of the scope global with POST /admin/v1/budgets: budgets are kept in the store',
  },
  {
    names: ['max_end_user_budget', 'max_end_user_budget_id', 'default_end_user_params'],
    outcome: 'by_hand',
    why: 'make a budget of the scope end_user with POST /admin/v1/budgets',
  },
  {
    names: [
      'max_internal_user_budget',
      'internal_user_budget_duration',
      'default_internal_user_params',
      'default_team_params',
    ],
    outcome: 'by_hand',
    why: 'give users and teams their budgets where they are made: there are no defaults for them',
  },
  {
    names: ['default_key_generate_params'],
    outcome: 'by_hand',
    why: 'give these fields to /key/generate: there are no defaults for new keys but what their team may',
  },
  {
    names: ['upperbound_key_generate_params'],
    outcome: 'by_hand',
    why: 'give the limits and budgets to teams: a key never opens more than its team',
  },
  {
    names: ['allowed_ips'],
    outcome: 'by_hand',
    why: 'give keys the networks that they may be used from: allowed_cidrs',
  },
  {
    names: ['provider_budget_config'],
    outcome: 'by_hand',
    why: 'make a budget of the scope global or model with POST /admin/v1/budgets',
  },
  {
    names: ['environment_variables'],
    outcome: 'by_hand',
    why: 'set them in the environment of the gateway: settings hold no secrets',
  },
  {
    names: ['litellm_key_header_name'],
    outcome: 'not_supported',
    why: 'keys are taken from Authorization, x-api-key and api-key',
  },
  {
    names: ['cache', 'cache_params'],
    outcome: 'not_supported',
    why: 'nothing is cached; for limits over replicas set redisUrl to the URL of a Redis',
  },
  {
    names: ['redis_host', 'redis_port', 'redis_password'],
    outcome: 'by_hand',
    why: 'set redisUrl to the whole URL of the Redis that counts limits, by reference',
  },
  {
    names: [
      'alerting',
      'alerting_threshold',
      'alert_types',
      'alert_to_webhook_url',
      'alerting_args',
      'spend_report_frequency',
    ],
    outcome: 'not_supported',
    why: 'there are no alerts yet; /metrics has numbers for Prometheus to alert on',
  },
  {
    names: ['pass_through_endpoints'],
    outcome: 'not_supported',
    why: 'OpenAI’s API alone is passed through, below /openai, /openai_passthrough and /v1',
  },
  {
    names: ['use_client_credentials_pass_through_routes'],
    outcome: 'not_supported',
    why: 'every request needs a virtual key, and the real key stays here',
  },
  {
    names: ['passthrough_managed_object_ids'],
    outcome: 'not_supported',
    why: 'ids of objects are passed on as they are',
  },
  {
    names: ['custom_auth', 'custom_key_generate', 'enable_jwt_auth', 'litellm_jwtauth', 'enable_oauth2_auth'],
    outcome: 'not_supported',
    why: 'virtual keys and tokens of users are the only ways in',
  },
  {
    names: ['key_management_system', 'key_management_settings'],
    outcome: 'not_supported',
    why: 'secrets come from the environment or from files: env:NAME, file:/path',
  },
  {
    names: ['store_model_in_db', 'supported_db_objects'],
    outcome: 'not_supported',
    why: 'there is no list of models: any model that the upstream knows may be called, and settings stand in one file',
  },
  {
    names: ['allow_requests_on_db_unavailable'],
    outcome: 'not_supported',
    why: 'a key that cannot be looked up opens nothing; one that was used lately is remembered',
  },
  {
    names: [
      'num_retries',
      'request_timeout',
      'fallbacks',
      'context_window_fallbacks',
      'default_fallbacks',
      'allowed_fails',
      'cooldown_time',
    ],
    outcome: 'not_supported',
    why: 'LiteLLM’s pass-through knows none of these either; SDKs retry',
  },
  { names: ['router_settings'], outcome: 'not_supported', why: 'requests go where they say, unchanged' },
  {
    names: ['guardrails', 'prompts', 'drop_params', 'modify_params', 'model_group_settings', 'ssl_verify'],
    outcome: 'not_supported',
    why: 'no byte of a request is changed, and certificates are verified',
  },
  {
    names: [
      'mcp_servers',
      'vector_store_registry',
      'search_tools',
      'callback_settings',
      'tools',
      'files_settings',
      'finetune_settings',
    ],
    outcome: 'not_supported',
    why: 'the gateway passes OpenAI’s API through, and has nothing of the kind',
  },
  { names: ['include'], outcome: 'by_hand', why: 'import the files that it names one by one' },
  {
    names: [
      'max_response_size_mb',
      'max_file_size_mb',
      'sse_keepalive_ping_interval_seconds',
      'include_cost_in_streaming_usage',
    ],
    outcome: 'not_supported',
    why: 'replies are passed on byte for byte, whatever their size',
  },
  {
    names: ['enable_openai_websocket_passthrough'],
    outcome: 'not_needed',
    why: 'WebSockets are always served, whatever models the key may call',
  },
  {
    names: ['store_audit_logs', 'fail_closed_budget_enforcement'],
    outcome: 'not_needed',
    why: 'it is always so: each change is in the audit, and hard budgets bind',
  },
  {
    names: [
      'turn_off_message_logging',
      'redact_user_api_key_info',
      'redact_messages_in_exceptions',
      'store_prompts_in_spend_logs',
      'disable_spend_logs',
    ],
    outcome: 'not_needed',
    why: 'records hold neither bodies nor keys; every exchange leaves one',
  },
  {
    names: [
      'user_api_key_cache_ttl',
      'user_api_key_cache_max_size',
      'proxy_batch_write_at',
      'use_spend_logs_partitioning',
      'maximum_spend_logs_retention_interval',
      'database_connection_pool_limit',
      'database_connection_timeout',
      'background_health_checks',
      'health_check_interval',
      'json_logs',
      'use_redis_transaction_buffer',
    ],
    outcome: 'not_needed',
    why: 'the gateway sees to it by itself',
  },
];

/** LiteLLM's names of where records go. All but the first need a sink, and there is none yet. */
export const SINK_SETTINGS = [
  'callbacks',
  'success_callback',
  'failure_callback',
  'service_callback',
  'service_callbacks',
];
export const NO_SINK =
  'there is no sink of that name yet; records go to logging.stdout and logging.file as lines of JSON, and stand at /admin/v1/exchanges';
export const PROMETHEUS = 'GET /metrics on the admin listener has numbers for Prometheus, always';
