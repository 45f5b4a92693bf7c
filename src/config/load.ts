// From flags, environment and throughway.yaml to one Config. The only reader of process.env.
import { existsSync, readFileSync } from 'node:fs';

import { parse as parseYaml } from 'yaml';

import { DEFAULT_DATA_DIR, type ResolvedSettings, type Settings, settingsSchema } from './config.ts';
import { describeIssues, hideSecrets } from './issues.ts';
import { Secret, resolveSecret } from './secret.ts';

export interface Credential {
  readonly name: string;
  readonly apiKey: Secret;
  readonly weight: number;
  readonly organization: string | null;
  readonly project: string | null;
}

export interface Config extends Omit<
  ResolvedSettings,
  'adminToken' | 'databaseUrl' | 'redisUrl' | 'webhooks' | 'reconciliation' | 'upstream'
> {
  /** Null: one is made and kept in the data dir. */
  readonly adminToken: Secret | null;
  /** Null: what replicas share is kept in the data dir. */
  readonly databaseUrl: Secret | null;
  /** Null: limits are counted by this process alone. */
  readonly redisUrl: Secret | null;
  readonly webhooks: {
    /** Null: OpenAI's webhooks are not taken. */
    readonly openaiSecret: Secret | null;
  };
  readonly reconciliation: Omit<ResolvedSettings['reconciliation'], 'adminKey'> & {
    /** Null: what the upstream bills is not read. */
    readonly adminKey: Secret | null;
  };
  readonly upstream: Omit<ResolvedSettings['upstream'], 'credentials'> & {
    readonly credentials: readonly Credential[];
  };
}

/** Flags of `serve`, as the command line gives them. */
export interface Flags {
  readonly config?: string | undefined;
  readonly listen?: string | undefined;
  readonly adminListen?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly upstream?: string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_FILE = 'throughway.yaml';
const ADMIN_TOKEN_CHARACTERS_MIN = 32;

/** A setting is wrong. The message has a line for each: where, which value, what to write. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** @throws ConfigError with all that is wrong at once. */
export function loadConfig(flags: Flags = {}, environment: Environment = process.env): Config {
  const settings = readSettingsFile(flags.config);
  const merged = withOverrides(settings, flags, environment);
  return resolveConfig(merged, environment);
}

/** Settings that are already at hand (a host program, a test): validated, defaults filled in, secrets resolved. */
export function resolveConfig(settings: Settings, environment: Environment = process.env): Config {
  const parsed = settingsSchema.safeParse(settings);
  if (!parsed.success)
    throw new ConfigError(describeIssues(parsed.error, settingsSchema, settings, 'setting').join('\n'));
  const resolved = parsed.data;

  const problems: string[] = [];
  const secret = (path: string, reference: string): Secret => {
    try {
      return resolveSecret(reference, environment);
    } catch (error) {
      problems.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
      return new Secret('');
    }
  };

  const credentials: Credential[] = resolved.upstream.credentials.map((row, i) => ({
    name: row.name,
    apiKey: secret(`upstream.credentials[${i}].apiKey`, row.apiKey),
    weight: row.weight,
    organization: row.organization ?? null,
    project: row.project ?? null,
  }));
  if (credentials.length === 0 && environment['OPENAI_API_KEY']?.trim()) {
    const apiKey = secret('OPENAI_API_KEY', 'env:OPENAI_API_KEY');
    credentials.push({ name: 'OPENAI_API_KEY', apiKey, weight: 1, organization: null, project: null });
  }
  const names = credentials.map((row) => row.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) problems.push(`upstream.credentials: two are named "${twice}"; give each a name of its own`);

  const adminToken = resolved.adminToken === undefined ? null : secret('adminToken', resolved.adminToken);
  if (adminToken && adminToken.reveal() !== '' && adminToken.reveal().length < ADMIN_TOKEN_CHARACTERS_MIN) {
    problems.push(
      `adminToken (THROUGHWAY_ADMIN_TOKEN) is shorter than ${ADMIN_TOKEN_CHARACTERS_MIN} characters; make one with: openssl rand -hex 32`,
    );
  }
  const databaseUrl = resolved.databaseUrl === undefined ? null : secret('databaseUrl', resolved.databaseUrl);
  const redisUrl = resolved.redisUrl === undefined ? null : secret('redisUrl', resolved.redisUrl);
  if (redisUrl !== null && redisUrl.reveal() !== '' && !isRedisUrl(redisUrl.reveal())) {
    problems.push(
      'redisUrl (REDIS_URL) is [not shown]; write a URL such as redis://HOST:6379, rediss://USER:PASSWORD@HOST:6379 or unix:/path',
    );
  }
  const named = resolved.webhooks.openaiSecret;
  const openaiSecret = named === undefined ? null : secret('webhooks.openaiSecret', named);
  const { adminKey: adminKeyReference, ...ofReconciliation } = resolved.reconciliation;
  const adminKey = adminKeyReference === undefined ? null : secret('reconciliation.adminKey', adminKeyReference);
  problems.push(...upstreamProblems(resolved.upstream.baseUrl, resolved.upstream.allowInsecure));
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  const upstream = { ...resolved.upstream, credentials };
  const reconciliation = { ...ofReconciliation, adminKey };
  return { ...resolved, adminToken, databaseUrl, redisUrl, webhooks: { openaiSecret }, reconciliation, upstream };
}

function readSettingsFile(named: string | undefined): unknown {
  const file = named ?? DEFAULT_FILE;
  if (named === undefined && !existsSync(file)) return {};
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError(`${file} cannot be read; check --config and who may read the file`, { cause });
  }
  try {
    return parseYaml(text) ?? {};
  } catch (cause) {
    throw new ConfigError(`${file} is not YAML: ${firstLine(cause)}`);
  }
}

/** The lines after the first one quote the file, which may hold a secret where none belongs. */
function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!.replace(/:$/, '');
}

function withOverrides(settings: unknown, flags: Flags, environment: Environment): Settings {
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    throw new ConfigError('the settings file must hold keys and values, such as `listen: 0.0.0.0:4000`');
  }
  // Checked right after by the schema; here only known keys are laid over.
  const merged = { ...settings } as Settings;
  const over = <K extends 'listen' | 'adminListen' | 'dataDir' | 'adminToken' | 'databaseUrl' | 'redisUrl'>(
    key: K,
    value: string | undefined,
  ) => {
    if (value) merged[key] = value;
  };
  over('listen', flags.listen ?? environment['THROUGHWAY_LISTEN']);
  over('adminListen', flags.adminListen ?? environment['THROUGHWAY_ADMIN_LISTEN']);
  over('dataDir', flags.dataDir ?? environment['THROUGHWAY_DATA_DIR']);
  over('adminToken', environment['THROUGHWAY_ADMIN_TOKEN'] ? 'env:THROUGHWAY_ADMIN_TOKEN' : undefined);
  over('databaseUrl', environment['DATABASE_URL'] ? 'env:DATABASE_URL' : undefined);
  over('redisUrl', environment['REDIS_URL'] ? 'env:REDIS_URL' : undefined);
  const isHooks = merged.webhooks === undefined || (typeof merged.webhooks === 'object' && merged.webhooks !== null);
  if (environment['OPENAI_WEBHOOK_SECRET'] && isHooks)
    merged.webhooks = { ...merged.webhooks, openaiSecret: 'env:OPENAI_WEBHOOK_SECRET' };
  const baseUrl = flags.upstream ?? environment['OPENAI_BASE_URL'];
  const isGroup = merged.upstream === undefined || (typeof merged.upstream === 'object' && merged.upstream !== null);
  if (baseUrl && isGroup) merged.upstream = { ...merged.upstream, baseUrl };
  return merged;
}

/** Flags that say where the admin API of a running gateway is. */
export interface AdminFlags {
  readonly config?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly adminUrl?: string | undefined;
  readonly adminTokenFile?: string | undefined;
}

export interface AdminAccess {
  /** Null: nobody named one; what the gateway left in the data dir tells. */
  readonly url: string | null;
  readonly token: Secret | null;
  readonly dataDir: string;
}

/** How the other commands reach a running gateway. Settings that only `serve` needs may be missing or wrong here. */
export function loadAdminAccess(flags: AdminFlags, environment: Environment = process.env): AdminAccess {
  const settings = withOverrides(readSettingsFile(flags.config), { dataDir: flags.dataDir }, environment);
  const dataDir = typeof settings.dataDir === 'string' ? settings.dataDir : DEFAULT_DATA_DIR;
  const listen = environment['THROUGHWAY_ADMIN_LISTEN'];
  const url =
    flags.adminUrl ??
    (listen && !listen.endsWith(':0') ? `http://${listen.replace(/^(0\.0\.0\.0|\[::\])(?=:)/, '127.0.0.1')}` : null);
  if (url !== null && !URL.canParse(url)) {
    throw new ConfigError(
      `the admin URL is "${url}"; write one such as http://127.0.0.1:4001 (--admin-url, THROUGHWAY_ADMIN_LISTEN)`,
    );
  }
  return { url, token: adminTokenFor(flags.adminTokenFile, settings.adminToken, environment), dataDir };
}

function adminTokenFor(file: string | undefined, reference: unknown, environment: Environment): Secret | null {
  try {
    if (file !== undefined) return resolveSecret(`file:${file}`, environment);
    return typeof reference === 'string' ? resolveSecret(reference, environment) : null;
  } catch (cause) {
    // What the settings refer to may be there for the gateway alone; a file that was named must be readable.
    if (file === undefined) return null;
    throw new ConfigError(`--admin-token-file: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Names of variables that would send other programs through a proxy: the gateway dials the upstream itself. */
export function ignoredProxies(environment: Environment = process.env): string[] {
  return ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'].filter(
    (name) => environment[name],
  );
}

function upstreamProblems(baseUrl: string, allowInsecure: boolean): string[] {
  const where = `upstream.baseUrl (OPENAI_BASE_URL) is "${hideSecrets(baseUrl.replace(/\/\/[^@/]*@/, '//[not shown]@'))}"`;
  let url: URL;
  try {
    url = new URL(baseUrl);
  } catch {
    return [`${where}; write a whole URL, such as https://api.openai.com/v1`];
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return [`${where}; only https: and http: are served`];
  if (url.username || url.password)
    return [`${where}; a name or password does not belong there, use upstream.credentials`];
  if (url.search || url.hash) return [`${where}; it must end with its path, without ? or #`];
  if (!/\/v1\/?$/.test(url.pathname)) return [`${where}; it must end in /v1, as OpenAI's does`];
  if (url.protocol === 'http:' && !allowInsecure && !isLoopback(url.hostname)) {
    return [`${where}: plain http would send the credential in clear; use https, or set upstream.allowInsecure: true`];
  }
  return [];
}

function isRedisUrl(text: string): boolean {
  if (/^unix:(\/\/)?\/./.test(text)) return true;
  return /^rediss?:\/\/./.test(text) && URL.canParse(text);
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
