// Every no of the Assistants API: its status and its exact words, which clients match on (reference: assistants 2.10).
import { MESSAGES_MAX } from '../domain/assistants.ts';
import type { Refusal } from '../domain/refusal.ts';
import { REFUSAL_HEADER } from '../http/headers.ts';

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
  /** Name, value, name, value. */
  readonly headers: readonly string[];

  constructor(
    status: number,
    message: string,
    details: { type?: string; param?: string | null; code?: string | null; headers?: readonly string[] } = {},
  ) {
    super(message);
    this.status = status;
    this.type = details.type ?? 'invalid_request_error';
    this.param = details.param ?? null;
    this.code = details.code ?? null;
    this.headers = details.headers ?? [];
  }

  body(): string {
    const { message, type, param, code } = this;
    return JSON.stringify({ error: { message, type, param, code } }, null, 2);
  }
}

const bad = (message: string, param: string | null = null, code: string | null = null) =>
  new ApiError(400, message, { param, code });

export const betaMissing = () =>
  bad(
    "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the header 'OpenAI-Beta: assistants=v2'.",
    null,
    'invalid_beta',
  );

export const notJson = () =>
  bad('We could not parse the JSON body of your request. The API expects a JSON object, sent with its whole length.');

export const invalidUrl = (method: string, path: string) => new ApiError(404, `Invalid URL (${method} ${path})`);
export const methodNotAllowed = (method: string, path: string) =>
  new ApiError(405, `Not allowed to ${method} on ${path}.`, { code: 'method_not_supported' });

export const threadsNotListed = () =>
  new ApiError(
    401,
    'Your request to GET /v1/threads must be made with a session key (that is, it can only be made from the browser). You made it with the following key type: secret.',
  );

/** The kinds of objects, as errors call them. */
export const KINDS = {
  assistant: { prefix: 'asst', noun: 'assistant' },
  thread: { prefix: 'thread', noun: 'thread' },
  message: { prefix: 'msg', noun: 'message' },
  run: { prefix: 'run', noun: 'run' },
  step: { prefix: 'step', noun: 'run step' },
} as const;

export type Kind = keyof typeof KINDS;

export const noSuch = (kind: Kind, id: string) => new ApiError(404, `No ${KINDS[kind].noun} found with id '${id}'.`);
export const noSuchFile = (id: string, status: 400 | 404 = 404) =>
  new ApiError(status, `No such File object: ${id}`, { param: 'id' });

/** As the upstream says it. */
export const noSuchVectorStore = (id: string) => new ApiError(404, `No vector store found with id '${id}'.`, {});

export const wrongPrefix = (param: string, id: string, kind: Kind) =>
  bad(`Invalid '${param}': '${id}'. Expected an ID that begins with '${KINDS[kind].prefix}'.`, param, 'invalid_value');

export const lockedForMessages = (thread: string, run: string) =>
  bad(`Can't add messages to ${thread} while a run ${run} is active.`);
export const lockedForRuns = (thread: string, run: string) => bad(`Thread ${thread} already has an active run ${run}.`);
export const lockedForDeletion = (message: string, run: string) =>
  bad(`Can't delete message ${message} while the run ${run} that makes it is active.`);

export const takesNoOutputs = (status: string) => bad(`Runs in status "${status}" do not accept tool outputs.`);
export const outputsMismatch = (expected: readonly string[], got: readonly string[]) =>
  bad(`Expected tool outputs for call_ids ${pythonList(expected)}, got ${pythonList(got)}`);
export const notCancellable = (status: string) => bad(`Cannot cancel run with status '${status}'.`);

const pythonList = (texts: readonly string[]) => `[${texts.map((text) => `'${text}'`).join(', ')}]`;

export const modelUnsupported = (model: string) =>
  bad(`The requested model '${model}' cannot be used with the Assistants API.`, 'model', 'unsupported_model');
export const modelUnknown = (model: string) =>
  bad(`The requested model '${model}' does not exist.`, 'model', 'model_not_found');
export const parameterUnsupported = (param: string) =>
  bad(`Unsupported parameter: '${param}' is not supported with this model.`, param, 'unsupported_parameter');

/** Of an upstream that can do less than OpenAI's. */
export const toolUnsupported = (message: string) => bad(message, 'tools', 'unsupported_tool');

export const unknownParameter = (path: string) => bad(`Unknown parameter: '${path}'.`, path, 'unknown_parameter');
export const missingParameter = (path: string) =>
  bad(`Missing required parameter: '${path}'.`, path, 'missing_required_parameter');
export const invalidValue = (path: string, value: string, supported: readonly string[]) =>
  bad(`Invalid value: '${value}'. Supported values are: ${inWords(supported)}.`, path, 'invalid_value');
export const invalidType = (path: string, expected: string, got: string) =>
  bad(`Invalid type for '${path}': expected ${expected}, but got ${got} instead.`, path, 'invalid_type');
export const invalid = (path: string, why: string, code = 'invalid_value') =>
  bad(`Invalid '${path}': ${why}`, path, code);

export const arrayTooLong = (path: string, max: number, got: number) =>
  invalid(
    path,
    `array too long. Expected an array with maximum length ${max}, but got an array with length ${got} instead.`,
    'array_above_max_length',
  );
/** The bound is OpenAI's, the words are those of any array that is too long: nobody is known to have met it there. */
export const tooManyMessages = (got: number) => arrayTooLong('messages', MESSAGES_MAX, got);
export const arrayTooShort = (path: string, min: number, got: number) =>
  got === 0
    ? invalid(
        path,
        `empty array. Expected an array with minimum length ${min}, but got an empty array instead.`,
        'empty_array',
      )
    : invalid(
        path,
        `array too short. Expected an array with minimum length ${min}, but got an array with length ${got} instead.`,
        'array_below_min_length',
      );
export const stringTooLong = (path: string, max: number, got: number) =>
  invalid(
    path,
    `string too long. Expected a string with maximum length ${max}, but got a string with length ${got} instead.`,
    'string_above_max_length',
  );
export const stringEmpty = (path: string) =>
  invalid(
    path,
    'empty string. Expected a string with minimum length 1, but got an empty string instead.',
    'empty_string',
  );
export const patternMismatch = (path: string, pattern: string) =>
  invalid(path, `string does not match pattern. Expected a string that matches the pattern '${pattern}'.`);
export const numberOutOfRange = (
  path: string,
  kind: 'integer' | 'decimal',
  side: 'above' | 'below',
  limit: number,
  got: number,
) => {
  const [bound, sign] = side === 'above' ? ['maximum', '<='] : ['minimum', '>='];
  const code = `${kind}_${side}_${side === 'above' ? 'max' : 'min'}_value`;
  return invalid(
    path,
    `${kind} ${side} ${bound} value. Expected a value ${sign} ${limit}, but got ${got} instead.`,
    code,
  );
};
export const tooManyProperties = (path: string, max: number, got: number) =>
  invalid(
    path,
    `too many properties. Expected an object with at most ${max} properties, but got an object with ${got} properties instead.`,
    'object_above_max_properties',
  );
export const nameTooLong = (path: string, max: number, got: number) =>
  invalid(
    path,
    `property name too long. Expected a property name with maximum length ${max}, but got one with length ${got} instead.`,
    'string_above_max_length',
  );

export const emptyContent = (path: string) => bad('Message content must be non-empty.', path);

export const unknownCursor = (param: string, id: string) =>
  bad(`Invalid '${param}': '${id}'. No object of this list has this ID.`, param, 'invalid_value');

export const otherUnderKey = () =>
  bad(
    'Another request was made with this Idempotency-Key. A key stands for one request: send another key.',
    null,
    'idempotency_key_reused',
  );
export const stillAnswering = () =>
  new ApiError(409, 'The request of this Idempotency-Key is still being answered.', {
    code: 'idempotency_in_progress',
    headers: ['x-should-retry', 'true'],
  });

export const tooManyQueued = (max: number) =>
  new ApiError(429, `The gateway holds ${max} runs that wait to begin, the operator's assistants.queuedRunsMax.`, {
    type: 'rate_limit_error',
    code: 'rate_limit_exceeded',
    headers: ['retry-after-ms', '1000', 'retry-after', '1'],
  });

/** A no of the gateway itself, met on the way upstream: given as it would have been given there. */
export function asApiError(refusal: Refusal): ApiError {
  const { status, message, type, param, code } = refusal;
  return new ApiError(status, message, {
    type,
    param,
    code,
    headers: [REFUSAL_HEADER, code, 'x-should-retry', String(refusal.retry)],
  });
}

/** 'a', 'b', and 'c'. */
function inWords(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  if (quoted.length < 3) return quoted.join(' and ');
  return `${quoted.slice(0, -1).join(', ')}, and ${quoted.at(-1)}`;
}
