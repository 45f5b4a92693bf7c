// Calls that a run makes beside those of its model: containers, files, vector stores. Each is an exchange that names the run.
import type { Generate, GenerateCall, GenerateOrigin, GenerateReply } from '../domain/generate.ts';
import type { Run } from '../domain/run.ts';
import { type Failure, readFailure } from './failures.ts';
import { type JsonObject, parseObject } from './upstream-json.ts';

/** Longest reply in JSON that is read, bytes. */
const JSON_BYTES_MAX = 8 * 1024 * 1024;
/** Longest error body that is read, bytes. */
const ERROR_BYTES_MAX = 64 * 1024;

export type Called<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'failed'; readonly failure: Failure };

export interface RunCalls {
  json(method: 'GET' | 'POST' | 'DELETE', path: string, body?: JsonObject): Promise<Called<JsonObject>>;
  /** @param bytesMax a longer file is not read */
  bytes(path: string, bytesMax: number): Promise<Called<Buffer>>;
  upload(filename: string, purpose: string, content: Buffer): Promise<Called<JsonObject>>;
}

export function originOf(run: Run, turn: number, isRerun: boolean): GenerateOrigin {
  return { runId: run.id, assistantId: run.assistantId, threadId: run.threadId, turn, isRerun };
}

export function runCalls(generate: Generate, run: Run, turn: number, signal: AbortSignal): RunCalls {
  const { teamId, keyId } = run;
  const origin = originOf(run, turn, false);

  async function call<T>(
    asked: Pick<GenerateCall, 'method' | 'path' | 'headers' | 'body'>,
    read: (body: AsyncIterable<Buffer>) => Promise<T>,
  ): Promise<Called<T>> {
    const reply = await generate({ teamId, keyId, run: origin, signal, ...asked });
    const failure = await failureOf(reply);
    if (failure !== null) return { kind: 'failed', failure };
    try {
      return { kind: 'ok', value: await read((reply as Extract<GenerateReply, { kind: 'answered' }>).body) };
    } catch (error) {
      return { kind: 'failed', failure: brokenReply(error) };
    }
  }

  const readJson = async (body: AsyncIterable<Buffer>) => {
    const json = parseObject((await readBytes(body, JSON_BYTES_MAX)).toString('utf8'));
    if (json === null) throw new Error('the reply is no JSON object');
    return json;
  };

  return {
    json: (method, path, body) =>
      call(
        {
          method,
          path,
          headers: body === undefined ? [] : ['content-type', 'application/json'],
          body: body === undefined ? null : Buffer.from(JSON.stringify(body)),
        },
        readJson,
      ),
    bytes: (path, bytesMax) =>
      call({ method: 'GET', path, headers: [], body: null }, (body) => readBytes(body, bytesMax)),
    upload(filename, purpose, content) {
      const { contentType, body } = multipart(filename, purpose, content);
      return call({ method: 'POST', path: '/v1/files', headers: ['content-type', contentType], body }, readJson);
    },
  };
}

/** Null for a reply that went well; its body is then still to be read. */
export async function failureOf(reply: GenerateReply): Promise<Failure | null> {
  switch (reply.kind) {
    case 'refused': {
      const { status, code, message } = reply.refusal;
      return { status, code, param: '', message, retryAfterMs: null };
    }
    case 'unreachable':
      return { status: 502, code: reply.code, param: '', message: reply.message, retryAfterMs: null };
    case 'answered': {
      if (reply.status >= 200 && reply.status < 300) return null;
      const body = await readBytes(reply.body, ERROR_BYTES_MAX).catch(() => Buffer.alloc(0));
      return readFailure(reply.status, reply.headers, body.toString('utf8'));
    }
  }
}

function brokenReply(error: unknown): Failure {
  return {
    status: 502,
    code: '',
    param: '',
    message: error instanceof Error ? error.message : String(error),
    retryAfterMs: null,
  };
}

/** @throws Error where the body breaks off, or is longer */
export async function readBytes(body: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > bytesMax) throw new Error(`the reply is larger than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function multipart(
  filename: string,
  purpose: string,
  content: Buffer,
): { readonly contentType: string; readonly body: Buffer } {
  // Not random, yet in no content: a boundary may not stand in what it bounds.
  let boundary = 'throughway-file';
  while (content.includes(boundary)) boundary += '-';
  const quoted = filename.replaceAll(/["\r\n]/g, '_');
  const head =
    `--${boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n${purpose}\r\n` +
    `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${quoted}"\r\n` +
    'content-type: application/octet-stream\r\n\r\n';
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    body: Buffer.concat([Buffer.from(head), content, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
}
