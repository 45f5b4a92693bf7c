// Reads what a request brings, checks it against the contract, and says what is wrong with it.
import type { z } from 'zod';

import { describeIssues, dotted } from '../config/issues.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Page } from '../domain/stores.ts';
import { LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX } from './fields.ts';

/** @throws Refusal that names the field, its value and what is allowed */
export function readQuery(url: string, schema: z.ZodType): unknown {
  const parameters = [...new URL(url).searchParams];
  const names = parameters.map(([name]) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Refusal('bad_request', `${twice} is given twice; give it once.`, { param: twice });
  return check(schema, Object.fromEntries(parameters), 'query parameter');
}

export function pageAsked({
  limit = LIST_LIMIT_DEFAULT,
  cursor = null,
}: {
  readonly limit?: number | undefined;
  readonly cursor?: string | null | undefined;
}): Page {
  return { limit: Math.min(Math.max(limit, 1), LIST_LIMIT_MAX), cursor };
}

const BODY_BYTES_MAX = 1024 * 1024;
/** Of an import; whoever has more sends it in parts. */
const LINES_BYTES_MAX = 64 * 1024 * 1024;

/** @throws Refusal */
export async function readLines(stream: ReadableStream<Uint8Array> | null): Promise<string> {
  const bytes = await readWhole(stream, LINES_BYTES_MAX);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Refusal('bad_request', 'The body is not UTF-8. Send lines of JSON.', { cause });
  }
}

/** @throws Refusal */
export async function readBody(
  stream: ReadableStream<Uint8Array> | null,
  schema: z.ZodType,
  { isOptional, bytesMax = BODY_BYTES_MAX }: { readonly isOptional: boolean; readonly bytesMax?: number | undefined },
): Promise<unknown> {
  const bytes = await readWhole(stream, bytesMax);
  if (isOptional && bytes.length === 0) return check(schema, {}, 'field');
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const why = bytes.length === 0 ? 'it is empty' : cause instanceof SyntaxError ? cause.message : 'it is not UTF-8';
    throw new Refusal('bad_request', `The body is not JSON: ${why}. Write an object, such as {"name":"web"}.`, {
      cause,
    });
  }
  return check(schema, body, 'field');
}

async function readWhole(stream: ReadableStream<Uint8Array> | null, bytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    // What is not read stays where it is: to cancel it would cut the connection before the refusal is out.
    for await (const chunk of stream?.values({ preventCancel: true }) ?? []) {
      length += chunk.length;
      if (length > bytesMax) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    throw new Refusal('bad_request', 'The body broke off before its end.', { cause });
  }
  if (length > bytesMax) throw new Refusal('body_too_large', `The body is larger than ${bytesMax} bytes.`);
  return Buffer.concat(chunks);
}

/** @throws Refusal */
export function check(schema: z.ZodType, written: unknown, noun: string): unknown {
  const parsed = schema.safeParse(written);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = [...(issue?.path ?? []), ...(issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])];
  throw new Refusal(
    'bad_request',
    describeIssues(parsed.error, schema, written, noun).join('\n'),
    path.length === 0 ? {} : { param: dotted(path) },
  );
}
