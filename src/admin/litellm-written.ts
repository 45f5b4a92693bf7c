// What scripts write of keys, teams and users in LiteLLM's names, in ours.
import { Refusal } from '../domain/refusal.ts';
import type { BodyOf } from './contract.ts';
import { withoutPrefix } from './litellm-budgets.ts';
import { after } from './litellm-durations.ts';
import { saidOf, timeText } from './views.ts';

const ALL_MODELS = new Set(['*', 'all-team-models', 'all-proxy-models']);

/** Undefined where nothing is said. @throws Refusal */
export function modelsOf(written: readonly string[] | null | undefined): string[] | undefined {
  if (written === null || written === undefined) return undefined;
  if (written.includes('no-default-models')) {
    throw new Refusal(
      'bad_request',
      'models names no-default-models; name the models that may be called, or block the key or team.',
      { param: 'models' },
    );
  }
  const names = written.map(withoutPrefix);
  return names.length === 0 || names.some((name) => ALL_MODELS.has(name)) ? ['*'] : names;
}

const ALL_ROUTES = new Set(['llm_api_routes', 'openai_routes', '*']);
const PATH = /^\/(?:openai_passthrough(?=\/)|openai(?=\/))?(?:\/?v1(?=\/))?(\/?[^\s?#]+)$/;

/** Undefined where nothing is said. @throws Refusal for what stands for routes that are not the API's */
export function endpointsOf(routes: readonly string[] | null | undefined): string[] | undefined {
  if (routes === null || routes === undefined) return undefined;
  const rules = routes.map((route) => {
    if (ALL_ROUTES.has(route)) return '*';
    const path = PATH.exec(route)?.[1];
    if (path === undefined) {
      throw new Refusal(
        'bad_request',
        `allowed_routes names ${route.slice(0, 100)}; write paths such as /chat/completions, or llm_api_routes: a virtual key calls the API, and nothing else.`,
        { param: 'allowed_routes' },
      );
    }
    const rest = path.startsWith('/') ? path : `/${path}`;
    return rest === '/*' ? '*' : `/v1${rest}`;
  });
  return rules.length === 0 || rules.includes('*') ? ['*'] : rules;
}

interface Rate {
  readonly tpm_limit?: number | null | undefined;
  readonly rpm_limit?: number | null | undefined;
  readonly max_parallel_requests?: number | null | undefined;
}

/** Undefined where nothing is said. */
export function limitsOf({ tpm_limit, rpm_limit, max_parallel_requests }: Rate): BodyOf<'updateKey'>['limits'] {
  const said = saidOf({
    tokens_per_minute: tpm_limit,
    requests_per_minute: rpm_limit,
    concurrent_exchanges: max_parallel_requests,
  });
  return Object.keys(said).length === 0 ? undefined : said;
}

/** Those in the metadata are tags too, as in LiteLLM. */
export function tagsOf(
  tags: readonly string[] | null | undefined,
  metadata: Readonly<Record<string, unknown>> | null | undefined,
): string[] | undefined {
  const inside = metadata?.['tags'];
  const texts = Array.isArray(inside) ? inside.filter((tag) => typeof tag === 'string') : [];
  if ((tags === null || tags === undefined) && texts.length === 0) return undefined;
  return [...new Set([...(tags ?? []), ...texts])];
}

/** A moment from now; null is never. Undefined where nothing is said. */
export function expiryOf(duration: string | null | undefined, now: number): string | null | undefined {
  if (duration === undefined) return undefined;
  const at = duration === null || duration === '-1' ? null : after(duration, now);
  return at === null ? null : timeText(at);
}

/** A day, a time or a period from now, as RFC 3339. */
export function momentOf(written: string, now: number): string {
  const at = after(written, now);
  if (at !== null) return timeText(at);
  // Times without an offset are UTC, as LiteLLM's are.
  return timeText(
    Date.parse(/T.*(Z|[+-]\d\d:?\d\d)$/.test(written) || !written.includes('T') ? written : `${written}Z`),
  );
}
