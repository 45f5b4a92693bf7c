// The requests of the benchmarks, as bytes: what an official SDK sends, with 13 headers and a body of about 1 KB.
export type Headers = readonly (readonly [name: string, value: string])[];

export const BODY_BYTES = 1024;

function chatBody(extra: object): Buffer {
  const compose = (question: string): string =>
    JSON.stringify({
      model: 'gpt-4o-mini',
      messages: [
        { role: 'system', content: 'You are a patient teacher of mathematics. Answer in short sentences.' },
        { role: 'user', content: question },
      ],
      temperature: 0.7,
      max_tokens: 256,
      ...extra,
    });
  const missing = BODY_BYTES - compose('').length;
  return Buffer.from(compose('Solve 3x + 11 = 14. '.repeat(BODY_BYTES).slice(0, missing)));
}

const sdkHeaders: Headers = [
  ['accept', 'application/json'],
  ['user-agent', 'OpenAI/JS 7.57.0'],
  ['x-stainless-retry-count', '0'],
  ['x-stainless-lang', 'js'],
  ['x-stainless-package-version', '7.57.0'],
  ['x-stainless-os', 'Linux'],
  ['x-stainless-arch', 'x64'],
  ['x-stainless-runtime', 'node'],
  ['accept-encoding', 'gzip, deflate'],
];

/** `own` are the headers that a variant needs: its key, and whatever else it must be told. */
export function request(method: string, target: string, own: Headers, contentType?: string, body?: Buffer): Buffer {
  const headers: Headers = [
    ['host', '127.0.0.1'],
    ...own,
    ...sdkHeaders,
    ...(contentType === undefined ? [] : [['content-type', contentType] as const]),
    ...(body === undefined ? [] : [['content-length', String(body.length)] as const]),
  ];
  const head = `${method} ${target} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
  return body === undefined ? Buffer.from(head) : Buffer.concat([Buffer.from(head), body]);
}

export function chatRequest(prefix: string, own: Headers): Buffer {
  return request('POST', `${prefix}/chat/completions`, own, 'application/json', chatBody({}));
}

export function streamRequest(prefix: string, own: Headers): Buffer {
  const body = chatBody({ stream: true, stream_options: { include_usage: true } });
  return request('POST', `${prefix}/chat/completions`, own, 'application/json', body);
}

export function downloadRequest(prefix: string, own: Headers): Buffer {
  return request('GET', `${prefix}/files/file-bench/content`, own);
}

export function uploadRequest(prefix: string, own: Headers, fileBytes: number): Buffer {
  const body = Buffer.concat([
    Buffer.from(
      '--bench\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--bench\r\n' +
        'content-disposition: form-data; name="file"; filename="bench.jsonl"\r\ncontent-type: application/jsonl\r\n\r\n',
    ),
    Buffer.alloc(fileBytes, '{"line":1}\n'),
    Buffer.from('\r\n--bench--\r\n'),
  ]);
  return request('POST', `${prefix}/files`, own, 'multipart/form-data; boundary=bench', body);
}
