// From flags, environment and throughway.yaml to one Config. The only reader of process.env.
import { existsSync, readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';

import { type ResolvedSettings, type Settings, settingsSchema } from './config.ts';
import { nearestName } from './nearest.ts';
import { Secret, resolveSecret } from './secret.ts';

export interface Credential {
  readonly name: string;
  readonly apiKey: Secret;
  readonly weight: number;
  readonly organization: string | null;
  readonly project: string | null;
}

export interface Config extends Omit<ResolvedSettings, 'adminToken' | 'upstream'> {
  /** Null: one is made and kept in the data dir. */
  readonly adminToken: Secret | null;
  readonly upstream: Omit<ResolvedSettings['upstream'], 'credentials'> & { readonly credentials: readonly Credential[] };
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
  if (!parsed.success) throw new ConfigError(describeIssues(parsed.error, settings).join('\n'));
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
  problems.push(...upstreamProblems(resolved.upstream.baseUrl, resolved.upstream.allowInsecure));
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return { ...resolved, adminToken, upstream: { ...resolved.upstream, credentials } };
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
    throw new ConfigError(`${file} is not YAML: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function withOverrides(settings: unknown, flags: Flags, environment: Environment): Settings {
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    throw new ConfigError('the settings file must hold keys and values, such as `listen: 0.0.0.0:4000`');
  }
  // Checked right after by the schema; here only known keys are laid over.
  const merged = { ...settings } as Settings;
  const over = <K extends 'listen' | 'adminListen' | 'dataDir' | 'adminToken'>(key: K, value: string | undefined) => {
    if (value) merged[key] = value;
  };
  over('listen', flags.listen ?? environment['THROUGHWAY_LISTEN']);
  over('adminListen', flags.adminListen ?? environment['THROUGHWAY_ADMIN_LISTEN']);
  over('dataDir', flags.dataDir ?? environment['THROUGHWAY_DATA_DIR']);
  over('adminToken', environment['THROUGHWAY_ADMIN_TOKEN'] ? 'env:THROUGHWAY_ADMIN_TOKEN' : undefined);
  const baseUrl = flags.upstream ?? environment['OPENAI_BASE_URL'];
  if (baseUrl) merged.upstream = { ...merged.upstream, baseUrl };
  return merged;
}

function upstreamProblems(baseUrl: string, allowInsecure: boolean): string[] {
  const where = `upstream.baseUrl (OPENAI_BASE_URL) is "${baseUrl.replace(/\/\/[^@/]*@/, '//[secret]@')}"`;
  let url: URL;
  try {
    url = new URL(baseUrl);
  } catch {
    return [`${where}; write a whole URL, such as https://api.openai.com/v1`];
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return [`${where}; only https: and http: are served`];
  if (url.username || url.password) return [`${where}; a name or password does not belong there, use upstream.credentials`];
  if (url.search || url.hash) return [`${where}; it must end with its path, without ? or #`];
  if (!/\/v1\/?$/.test(url.pathname)) return [`${where}; it must end in /v1, as OpenAI's does`];
  if (url.protocol === 'http:' && !allowInsecure && !isLoopback(url.hostname)) {
    return [`${where}: plain http would send the credential in clear; use https, or set upstream.allowInsecure: true`];
  }
  return [];
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** A line for each issue, in the words of the settings file. */
function describeIssues(error: z.ZodError, settings: unknown): string[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.map(String).join('.').replaceAll(/\.(\d+)/g, '[$1]');
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => {
        const known = knownKeysAt(issue.path);
        const nearest = nearestName(key, known);
        const full = path === '' ? key : `${path}.${key}`;
        const advice = nearest === null ? `known here: ${known.join(', ')}` : `did you mean ${nearest}?`;
        return `${full} is not a setting; ${advice}`;
      });
    }
    return [`${path || 'settings'} is ${shown(valueAt(settings, issue.path), path)}; ${issue.message}`];
  });
}

/** A value in an error message; whatever stands where a secret belongs stays hidden, for it may be one. */
function shown(value: unknown, path: string): string {
  if (/apiKey$|adminToken$/.test(path)) return '[not shown]';
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function valueAt(settings: unknown, path: readonly PropertyKey[]): unknown {
  let value: unknown = settings;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}

function knownKeysAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = z.toJSONSchema(settingsSchema, { io: 'input' });
  for (const step of path) {
    const node = schema as { properties?: Record<string, unknown>; items?: unknown };
    schema = typeof step === 'number' ? node.items : node.properties?.[String(step)];
  }
  return Object.keys((schema as { properties?: Record<string, unknown> } | undefined)?.properties ?? {});
}
