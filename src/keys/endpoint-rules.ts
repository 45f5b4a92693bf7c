// Which endpoints a team or a key may call. A rule is `*`, a group such as `chat`, a path such as `/v1/files/{file_id}`, or the
// beginning of paths such as `/v1/files*`; before a path a method may stand. `*` and paths never open the group `admin`.
import { nearestName } from '../config/nearest.ts';
import type { Endpoint, EndpointGroup } from '../domain/endpoint.ts';

const ADMIN: EndpointGroup = 'admin';

export interface EndpointRules {
  /** @param path raw, without its query; @param group undefined for a path of no known group */
  allow(endpoint: Endpoint | undefined, group: EndpointGroup | undefined, method: string, path: string): boolean;
}

interface PathRule {
  /** Null is any. */
  readonly method: string | null;
  readonly path: string;
  readonly isPrefix: boolean;
}

export function rulesOf(texts: readonly string[]): EndpointRules {
  const isAdmin = texts.includes(ADMIN);
  const isAll = texts.includes('*');
  const groups = new Set(texts);
  const paths = texts.map(parsePath).filter((rule) => rule !== null);
  return {
    allow(endpoint, group, method, path) {
      if (group === ADMIN) return isAdmin;
      if (isAll) return true;
      // Where only some paths are allowed, one that the upstream may read as another is none of them.
      if (AMBIGUOUS.test(path)) return false;
      if (group !== undefined && groups.has(group)) return true;
      return paths.some(
        (rule) =>
          (rule.method === null || rule.method === method) &&
          (matchesPath(rule, path) || (endpoint !== undefined && matchesPath(rule, endpoint.path))),
      );
    },
  };
}

/** Dot segments, empty ones, parameters of segments, and slashes, backslashes and percent signs that are encoded. */
const AMBIGUOUS = /%(?:2f|5c|25|00)|[\\;]|\/\/|\/(?:\.|%2e){1,2}(?:\/|$)/i;

const GROUP_FORM = /^[a-z][a-z_]*$/;
const PATH_FORM = /^(?:(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) )?(\/v1\/[^\s*?#]*)(\*?)$/;

/** Why a text is no rule, as what may stand there instead; null where it is one. */
export function ruleFault(text: string, endpoints: readonly Endpoint[]): string | null {
  if (text === '*') return null;
  if (GROUP_FORM.test(text)) {
    const groups = [...new Set<string>(endpoints.map(({ group }) => group))].toSorted();
    if (groups.includes(text)) return null;
    const meant = nearestName(text, groups);
    const there = meant === null ? `there are ${groups.join(', ')}` : `did you mean ${meant}?`;
    return `it is no group of endpoints; ${there}`;
  }
  return parsePath(text) === null
    ? 'write "*", a group such as "chat", or a path such as "POST /v1/files" or "/v1/files*"'
    : null;
}

/** Whether a rule opens nothing that the wider rules keep shut. */
export function isNarrower(rule: string, wide: readonly string[], endpoints: readonly Endpoint[]): boolean {
  // All that the team allows.
  if (rule === '*') return true;
  if (rule === ADMIN || wide.includes(rule)) return wide.includes(rule);
  if (wide.includes('*')) return true;
  const opened = endpoints.filter((endpoint) => endpoint.group !== ADMIN && opens([rule], endpoint));
  if (opened.length > 0) return opened.every((endpoint) => opens(wide, endpoint));
  const path = parsePath(rule);
  return path !== null && wide.some((each) => coversPath(parsePath(each), path));
}

function opens(texts: readonly string[], endpoint: Endpoint): boolean {
  return rulesOf(texts).allow(endpoint, endpoint.group, endpoint.method, endpoint.path);
}

function coversPath(wide: PathRule | null, narrow: PathRule): boolean {
  if (wide === null || (wide.method !== null && wide.method !== narrow.method)) return false;
  return wide.isPrefix ? narrow.path.startsWith(wide.path) : !narrow.isPrefix && narrow.path === wide.path;
}

function matchesPath(rule: PathRule, path: string): boolean {
  return rule.isPrefix ? path.startsWith(rule.path) : path === rule.path;
}

function parsePath(text: string): PathRule | null {
  const match = PATH_FORM.exec(text);
  return match && { method: match[1] ?? null, path: match[2]!, isPrefix: match[3] === '*' };
}
