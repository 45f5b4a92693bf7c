// Cross-origin rules for browsers, where the operator names origins. Without them no CORS header is ever added.

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';
const PREFLIGHT_SECONDS = '600';
/** On every reply where origins are named, so that none is kept for one origin and shown to another. */
const DIFFERS_BY_ORIGIN = ['vary', 'Origin'];

export interface Cors {
  /** Are any origins named at all? */
  readonly isConfigured: boolean;
  allows(origin: string): boolean;
  /** What a reply to this origin carries: leave to read it, for a named one alone. */
  headersFor(origin: string | null): readonly string[];
  preflightHeaders(origin: string, requestedHeaders: string | null): string[];
}

export function corsRules(origins: readonly string[]): Cors {
  const named = new Set(origins);
  const headersFor = (origin: string | null): readonly string[] => {
    if (named.size === 0) return [];
    if (origin === null || !named.has(origin)) return DIFFERS_BY_ORIGIN;
    return ['access-control-allow-origin', origin, 'access-control-expose-headers', '*', ...DIFFERS_BY_ORIGIN];
  };
  return {
    isConfigured: named.size > 0,
    allows: (origin) => named.has(origin),
    headersFor,
    preflightHeaders: (origin, requestedHeaders) => [
      ...headersFor(origin),
      'access-control-allow-methods',
      METHODS,
      'access-control-max-age',
      PREFLIGHT_SECONDS,
      ...(requestedHeaders === null ? [] : ['access-control-allow-headers', requestedHeaders]),
    ],
  };
}
