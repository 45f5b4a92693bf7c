// What is wrong with something a person wrote, a line for each problem: where, which value, what to write instead.
import { z } from 'zod';

import { nearestName } from './nearest.ts';

/**
 * @param written what the schema was given
 * @param noun what an unknown name is not, such as "setting"
 */
export function describeIssues(error: z.ZodError, schema: z.ZodType, written: unknown, noun: string): string[] {
  return error.issues.flatMap((issue) => {
    const path = dotted(issue.path);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map(
        (key) =>
          `${path === '' ? key : `${path}.${key}`} is not a ${noun}; ${adviseName(key, namesAt(schema, issue.path))}`,
      );
    }
    return [
      `${path === '' ? `what holds the ${noun}s` : path} is ${shown(valueAt(written, issue.path), path)}; ${issue.message}`,
    ];
  });
}

/** What to write in place of a name that is not known. */
export function adviseName(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  return nearest === null ? `known here: ${known.join(', ')}` : `did you mean ${nearest}?`;
}

/** `upstream.credentials[0].apiKey`. */
export function dotted(path: readonly PropertyKey[]): string {
  return path
    .map(String)
    .join('.')
    .replaceAll(/\.(\d+)/g, '[$1]');
}

/** Where a secret belongs, whatever stands there stays hidden: it may be one. */
const PLACE_OF_SECRET = /(apiKey|adminToken|databaseUrl|redisUrl|token|credentials(\[\d+\])?)$/;
const LIKE_SECRET = /\b(sk|tw)-[\w-]{8,}/g;

/** A text for an error message, without what looks like a key. */
export function hideSecrets(text: string): string {
  return text.replaceAll(LIKE_SECRET, '[not shown]');
}

function shown(value: unknown, path: string): string {
  if (value === undefined) return 'missing';
  if (PLACE_OF_SECRET.test(path)) return '[not shown]';
  const text = hideSecrets(JSON.stringify(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function valueAt(written: unknown, path: readonly PropertyKey[]): unknown {
  let value: unknown = written;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}

function namesAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let node: unknown = z.toJSONSchema(schema, { io: 'input' });
  for (const step of path) {
    const { items, properties } = node as { properties?: Record<string, unknown>; items?: unknown };
    node = typeof step === 'number' ? items : properties?.[String(step)];
  }
  return Object.keys((node as { properties?: Record<string, unknown> } | undefined)?.properties ?? {});
}
