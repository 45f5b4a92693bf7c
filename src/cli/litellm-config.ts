// A config of LiteLLM's proxy as settings of ours. Pure: it reads no file and no environment, and tells no secret.
import { settingsSchema } from '../config/config.ts';
import { ConfigError, resolveConfig } from '../config/load.ts';
import {
  LEFT,
  NO_SINK,
  type Outcome,
  PROMETHEUS,
  SINK_SETTINGS,
  TAKEN,
  WRITTEN_OUT,
  referenceOf,
} from './litellm-settings.ts';

export interface Line {
  /** Where it stands in LiteLLM's config. */
  readonly from: string;
  readonly outcome: Outcome;
  /** Our setting; null where there is none. */
  readonly to: string | null;
  /** What was written there: never a secret. */
  readonly value?: unknown;
  readonly why: string | null;
}

export interface Translation {
  readonly lines: readonly Line[];
  /** As throughway.yaml has them: they load. */
  readonly settings: Readonly<Record<string, unknown>>;
}

type Tree = Readonly<Record<string, unknown>>;

/** Sections whose members are settings; the names of members are the same in all of them. */
const SECTIONS = ['general_settings', 'litellm_settings', 'router_settings'] as const;
const MODEL_LIST = 'model_list';
const CREDENTIAL_LIST = 'credential_list';

/** @throws ConfigError for what is no config of LiteLLM's */
export function translate(config: unknown): Translation {
  if (!isTree(config)) throw new ConfigError('it holds no keys and values, as a config of LiteLLM does');
  const lines: Line[] = [];
  for (const [section, value] of Object.entries(config)) {
    if (section === MODEL_LIST || section === CREDENTIAL_LIST) continue;
    if (!SECTIONS.some((each) => each === section)) lines.push(...linesOf(section, section, value));
    else if (isTree(value))
      for (const [name, inner] of Object.entries(value)) lines.push(...linesOf(`${section}.${name}`, name, inner));
    else if (value !== null) throw new ConfigError(`${section} is no map of settings; check the file`);
  }
  lines.push(...modelLines(config));
  lines.push({
    from: 'reply headers',
    outcome: 'written',
    to: 'compatibility.litellm',
    value: 'on',
    why: 'LiteLLM’s clients may read x-litellm-response-cost',
  });
  return settled(lines);
}

function linesOf(from: string, name: string, value: unknown): Line[] {
  if (SINK_SETTINGS.includes(name)) return sinkLines(from, value);
  if (name === 'redis_url' || name === 'cache_params') {
    // Also where it stands inside the parameters of a cache.
    const inner = isTree(value) ? (value['url'] ?? value['redis_url']) : value;
    if (referenceOf(inner) !== null) return takenLines(from, 'redis_url', inner);
  }
  const taken = TAKEN.find(({ names }) => names.includes(name));
  if (taken !== undefined) return takenLines(from, name, value);
  const left = LEFT.find(({ names }) => names.includes(name) || names.includes(from.split('.')[0] ?? ''));
  if (left !== undefined) return [{ from, outcome: left.outcome, to: null, why: left.why }];
  return [{ from, outcome: 'unknown', to: null, why: 'this import does not know it' }];
}

function takenLines(from: string, name: string, value: unknown): Line[] {
  const row = TAKEN.find(({ names }) => names.includes(name))!;
  const taken = row.take(value);
  if ('outcome' in taken) return [{ from, outcome: taken.outcome, to: row.to, why: taken.why }];
  return Object.entries(taken.settings).map(([to, written]) => ({
    from,
    outcome: 'written',
    to,
    value: written,
    why: row.note,
  }));
}

function sinkLines(from: string, value: unknown): Line[] {
  const names = Array.isArray(value) ? value : [value];
  return names.map((name) => {
    const isPrometheus = name === 'prometheus';
    const named = typeof name === 'string' && /^[\w.-]{1,60}$/.test(name) ? `${from}: ${name}` : from;
    const outcome = isPrometheus ? 'not_needed' : 'not_supported';
    return { from: named, outcome, to: null, why: isPrometheus ? PROMETHEUS : NO_SINK };
  });
}

/** One entry of the model list, as far as it matters here. */
interface Deployment {
  readonly from: string;
  readonly params: Tree;
  /** Members of the entry besides its name and its parameters. */
  readonly others: readonly string[];
  /** As requests name it upstream; null where the config names none. */
  readonly model: string | null;
  readonly alias: unknown;
  readonly isOpenAi: boolean;
  readonly isMarked: boolean;
}

function modelLines(config: Tree): Line[] {
  const named = credentialsOf(config);
  const list = config[MODEL_LIST];
  if (list !== undefined && list !== null && !Array.isArray(list))
    throw new ConfigError(`${MODEL_LIST} is no list; check the file`);
  const deployments = (Array.isArray(list) ? list : []).map((entry, i) => deploymentOf(entry, i, named));
  const served = deployments.filter(({ isOpenAi }) => isOpenAi);
  const isChosen = ({ isMarked }: Deployment) => isMarked || served.every((each) => !each.isMarked);
  const chosen = served.filter(isChosen);
  return [
    ...deployments.filter(({ isOpenAi }) => !isOpenAi).map(({ from }) => notOpenAi(from)),
    ...served.filter((each) => !isChosen(each)).flatMap(unchosenLines),
    ...credentialLines(chosen),
    ...baseLines(chosen),
    ...limitLines(served),
    ...served.flatMap(aliasLines),
    ...served.flatMap(otherLines),
    ...unusedLines(config, deployments),
  ];
}

/** LiteLLM's pass-through takes the key of an entry that says so, where there is one. */
function unchosenLines({ from, params }: Deployment): Line[] {
  const why = 'other entries have use_in_pass_through: true, so that the pass-through uses theirs';
  return ['api_key', 'api_base', 'organization']
    .filter((name) => params[name] !== undefined && params[name] !== null)
    .map((name) => ({ from: `${from}.litellm_params.${name}`, outcome: 'not_needed', to: null, why }));
}

function deploymentOf(entry: unknown, i: number, named: ReadonlyMap<string, Tree>): Deployment {
  const from = `${MODEL_LIST}[${i}]`;
  const { litellm_params: written, model_name: alias, ...others } = isTree(entry) ? entry : {};
  const params = isTree(written) ? written : {};
  const credential = named.get(String(params['litellm_credential_name'])) ?? {};
  const whole = { ...credential, ...params };
  const text = typeof whole['model'] === 'string' ? whole['model'] : null;
  const [first, ...rest] = (text ?? '').split('/');
  const vendor = whole['custom_llm_provider'] ?? (rest.length > 0 ? first : 'openai');
  const model = text === null ? null : rest.length > 0 && first === 'openai' ? rest.join('/') : text;
  return {
    from,
    params: whole,
    others: Object.keys(others),
    model,
    alias,
    isOpenAi: vendor === 'openai' || vendor === 'text-completion-openai',
    isMarked: whole['use_in_pass_through'] === true,
  };
}

function credentialsOf(config: Tree): ReadonlyMap<string, Tree> {
  const list = config[CREDENTIAL_LIST];
  const rows = (Array.isArray(list) ? list : []).filter(isTree);
  return new Map(
    rows.map((row) => [
      String(row['credential_name']),
      isTree(row['credential_values']) ? row['credential_values'] : {},
    ]),
  );
}

function notOpenAi(from: string): Line {
  return { from, outcome: 'not_supported', to: null, why: 'it is not OpenAI’s: its API alone is passed through' };
}

function credentialLines(chosen: readonly Deployment[]): Line[] {
  const seen = new Set<string>();
  return chosen.flatMap(({ from, params }): Line[] => {
    const at = `${from}.litellm_params.api_key`;
    if (params['api_key'] === undefined || params['api_key'] === null) return [];
    const apiKey = referenceOf(params['api_key']);
    if (apiKey === null) return [{ from: at, outcome: 'by_hand', to: 'upstream.credentials', why: WRITTEN_OUT }];
    if (seen.has(apiKey)) return [{ from: at, outcome: 'not_needed', to: null, why: 'another entry has the same key' }];
    seen.add(apiKey);
    const { organization } = params;
    const isText = typeof organization === 'string' && organization !== '' && !organization.startsWith('os.environ/');
    const value = { name: apiKey.slice('env:'.length), apiKey, ...(isText && { organization }) };
    const why = 'All credentials are used, by their weights; LiteLLM’s pass-through takes the first.';
    const lines: Line[] = [{ from: at, outcome: 'written', to: 'upstream.credentials', value, why }];
    if (organization !== undefined && organization !== null && !isText) {
      const how = 'write the organization as text into upstream.credentials';
      lines.push({
        from: `${from}.litellm_params.organization`,
        outcome: 'by_hand',
        to: 'upstream.credentials',
        why: how,
      });
    }
    return lines;
  });
}

function baseLines(chosen: readonly Deployment[]): Line[] {
  const given = chosen.filter(({ params }) => typeof params['api_base'] === 'string');
  const bases = new Set(given.map(({ params }) => String(params['api_base'])));
  return given.map(({ from, params }, i): Line => {
    const at = { from: `${from}.litellm_params.api_base`, to: 'upstream.baseUrl' };
    const base = String(params['api_base']);
    if (bases.size > 1 || given.length < chosen.length)
      return { ...at, outcome: 'by_hand', why: 'there is one upstream for all; the entries name several' };
    if (base.startsWith('os.environ/'))
      return { ...at, outcome: 'by_hand', why: 'set OPENAI_BASE_URL in the environment of the gateway' };
    if (i > 0) return { ...at, outcome: 'not_needed', why: 'another entry has the same' };
    const fault = faultOf({ upstream: { baseUrl: base } });
    if (fault !== null) return { ...at, outcome: 'by_hand', why: fault };
    return { ...at, outcome: 'written', value: base, why: null };
  });
}

/** Deployments of one model share their requests, so that their limits add up. */
function limitLines(served: readonly Deployment[]): Line[] {
  const sums = new Map<string, number>();
  return served.flatMap(({ from, params, model }) =>
    Object.entries({ rpm: 'requestsPerMinute', tpm: 'tokensPerMinute' }).flatMap(([theirs, ours]): Line[] => {
      const limit = params[theirs];
      if (limit === undefined || limit === null) return [];
      const at = `${from}.litellm_params.${theirs}`;
      const isWhole = typeof limit === 'number' && Number.isSafeInteger(limit) && limit > 0;
      const isNamed = model !== null && /^(?!__proto__$)[^*]+\*?$/.test(model);
      if (!isWhole || !isNamed)
        return [{ from: at, outcome: 'by_hand', to: 'limits.models', why: 'it needs a whole number, and a model' }];
      const to = `limits.models/${model}/${ours}`;
      sums.set(to, (sums.get(to) ?? 0) + limit);
      const why = 'Of all callers together; those of several entries for one model are added.';
      return [{ from: at, outcome: 'written', to, value: sums.get(to), why }];
    }),
  );
}

function aliasLines({ from, alias, model }: Deployment): Line[] {
  if (typeof alias !== 'string' || model === null || alias === model || alias === `openai/${model}` || alias === '*')
    return [];
  const why = `requests name models as OpenAI does: ${model}`;
  return [{ from: `${from}.model_name`, outcome: 'not_supported', to: null, why }];
}

const KNOWN_PARAMS = new Set([
  'model',
  'api_key',
  'api_base',
  'organization',
  'rpm',
  'tpm',
  'use_in_pass_through',
  'custom_llm_provider',
  'litellm_credential_name',
]);

function otherLines({ from, params, others }: Deployment): Line[] {
  const entry: Line = {
    from,
    outcome: 'not_needed',
    to: null,
    why: 'any model may be called that the key and its team allow',
  };
  const besides = others.map((name): Line => {
    const why = 'what is known of models stands in the price book';
    return { from: `${from}.${name}`, outcome: 'not_supported', to: null, why };
  });
  return [entry, ...besides, ...paramLines(from, params)];
}

function unusedLines(config: Tree, deployments: readonly Deployment[]): Line[] {
  const used = new Set(deployments.map(({ params }) => String(params['litellm_credential_name'])));
  return [...credentialsOf(config).keys()].flatMap((name, i): Line[] => {
    if (used.has(name)) return [];
    const why = 'no entry of model_list uses it';
    return [{ from: `${CREDENTIAL_LIST}[${i}]`, outcome: 'not_needed', to: null, why }];
  });
}

function paramLines(from: string, params: Tree): Line[] {
  return Object.keys(params)
    .filter((name) => !KNOWN_PARAMS.has(name))
    .map((name): Line => {
      const at = `${from}.litellm_params.${name}`;
      if (/cost_per/.test(name)) {
        const why = 'prices of your own stand in a file that prices.overrides names';
        return { from: at, outcome: 'by_hand', to: 'prices.overrides', why };
      }
      if (name === 'weight') {
        const why = 'write the share of the credential into upstream.credentials';
        return { from: at, outcome: 'by_hand', to: 'upstream.credentials', why };
      }
      return { from: at, outcome: 'not_supported', to: null, why: 'requests are passed on as they are' };
    });
}

/** Lines as the settings that they say. What would not load is not written. */
function settled(lines: readonly Line[]): Translation {
  const settings: Record<string, unknown> = {};
  const kept = lines.map((line): Line => {
    if (line.outcome !== 'written' || line.to === null) return line;
    const alone = put({}, line.to, line.value);
    const fault = faultOf(alone);
    if (fault !== null) return { from: line.from, outcome: 'by_hand', to: line.to, why: fault };
    put(settings, line.to, line.value);
    return { ...line, to: line.to.replaceAll('/', '.') };
  });
  const fault = faultOf(settings);
  if (fault !== null) throw new Error(`the settings do not load, which is a bug: ${fault}`);
  return { lines: kept, settings };
}

/** @param path dotted; with slashes where the name of a model stands in it, for it may have dots */
function put(settings: Record<string, unknown>, path: string, value: unknown): Record<string, unknown> {
  const [head = '', ...models] = path.split('/');
  const steps = [...head.split('.'), ...models];
  const last = steps.pop()!;
  let at = settings;
  for (const step of steps) at = (at[step] ??= {}) as Record<string, unknown>;
  // A list grows; all else has one value.
  if (path === 'upstream.credentials') at[last] = [...((at[last] as unknown[] | undefined) ?? []), value];
  else at[last] = value;
  return settings;
}

/** What our own loader says against settings; secrets are taken for good ones, for they may be at hand only where the gateway runs. */
function faultOf(settings: Record<string, unknown>): string | null {
  const parsed = settingsSchema.safeParse(settings);
  const environment = new Proxy<Record<string, string>>(
    {},
    { get: () => 'redis://placeholder-of-a-secret-that-is-elsewhere' },
  );
  try {
    resolveConfig(parsed.success ? parsed.data : settings, environment);
    return null;
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n', 1)[0]!;
    throw error;
  }
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
