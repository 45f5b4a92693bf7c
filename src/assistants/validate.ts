// From what zod found wrong with a body to the one error that the API answers.
import type { z } from 'zod';

import * as errors from './api-error.ts';
import type { ApiError } from './api-error.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** What a check of our own hands on: the error to answer, made for the path at which it stands. */
export interface OwnFinding {
  readonly toError: (path: string) => ApiError;
}

/** @throws ApiError */
export function parseBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw toApiError(mostTelling(parsed.error.issues), body, []);
}

/** An unknown member first: it is what code written for the older API meets. Then what is missing, then the rest. */
function mostTelling(issues: readonly Issue[]): Issue {
  return issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!;
}

function toApiError(issue: Issue, body: unknown, above: Path): ApiError {
  const path = [...above, ...issue.path];
  const name = pathName(path);
  const value = valueAt(body, path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return errors.unknownParameter(pathName([...path, issue.keys[0]!]));
    case 'invalid_type':
      return value === undefined
        ? errors.missingParameter(name)
        : errors.invalidType(name, withArticle(expectedType(issue)), typeOf(value));
    case 'invalid_value':
      if (value === undefined) return errors.missingParameter(name);
      if (typeof value !== 'string')
        return errors.invalidType(name, withArticle(typeof issue.values[0]), typeOf(value));
      return errors.invalidValue(name, value, issue.values.map(String));
    case 'too_big':
      if (issue.origin === 'array')
        return errors.arrayTooLong(name, Number(issue.maximum), (value as unknown[]).length);
      return errors.numberOutOfRange(name, numberKind(issue), 'above', Number(issue.maximum), Number(value));
    case 'too_small':
      if (issue.origin === 'array')
        return errors.arrayTooShort(name, Number(issue.minimum), (value as unknown[]).length);
      return errors.numberOutOfRange(name, numberKind(issue), 'below', Number(issue.minimum), Number(value));
    case 'invalid_format':
      return errors.patternMismatch(name, (issue.pattern ?? '').replace(/^\/|\/$/g, ''));
    case 'invalid_union':
      return unionError(issue, body, path);
    case 'custom':
      return (issue.params as OwnFinding | undefined)?.toError(name) ?? errors.invalid(name, issue.message);
    default:
      return errors.invalid(name, issue.message);
  }
}

/** Of a value that may take several forms: what is wrong with the form that it seems to have. */
function unionError(issue: Extract<Issue, { code: 'invalid_union' }>, body: unknown, path: Path): ApiError {
  const value = valueAt(body, path);
  if (value === undefined) return errors.missingParameter(pathName(path));
  const forms = issue.errors.map(mostTelling);
  const isOfThisForm = ({ path: inside, code }: Issue) =>
    inside.length > 0 || (code !== 'invalid_type' && (code !== 'invalid_value' || typeof value === 'string'));
  const form = forms.find(isOfThisForm);
  if (form !== undefined) return toApiError(form, body, path);
  const types = [...new Set(forms.map((one) => (one.code === 'invalid_value' ? 'string' : expectedType(one))))];
  return errors.invalidType(
    pathName(path),
    `one of ${withArticle(types[0]!)} or ${types.slice(1).join(' or ')}`,
    typeOf(value),
  );
}

/** Schemas of numbers bear their kind as their message, for zod tells none where the value is no number. */
function expectedType(issue: Issue): string {
  if (issue.code !== 'invalid_type') return 'string';
  if (issue.expected === 'number' || issue.expected === 'int') return numberKind(issue);
  return issue.expected === 'record' ? 'object' : issue.expected;
}

function numberKind({ message }: Issue): 'integer' | 'decimal' {
  return message === 'integer' ? 'integer' : 'decimal';
}

/** `messages[0].content`. */
function pathName(path: Path): string {
  return path.reduce<string>(
    (name, step) =>
      typeof step === 'number' ? `${name}[${step}]` : name === '' ? String(step) : `${name}.${String(step)}`,
    '',
  );
}

function valueAt(body: unknown, path: Path): unknown {
  let value = body;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}

/** As errors name what they got. */
function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a decimal';
  return withArticle(typeof value);
}

function withArticle(type: string): string {
  if (type === 'null') return type;
  return /^[aeio]/.test(type) ? `an ${type}` : `a ${type}`;
}
