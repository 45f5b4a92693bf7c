// An upstream that answers by a script and remembers what it was asked, for what the sandbox does not serve.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';

export interface ScriptedRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface ScriptedUpstream {
  /** Such as `http://127.0.0.1:41234/v1`. */
  readonly url: string;
  readonly requests: ScriptedRequest[];
  /** Replies to a method and a target, its query left aside; a target without a script is answered 404. */
  on(methodAndPath: string, reply: (response: ServerResponse, request: ScriptedRequest) => void): void;
  close(): Promise<void>;
}

export async function startScriptedUpstream(): Promise<ScriptedUpstream> {
  const script = new Map<string, (response: ServerResponse, request: ScriptedRequest) => void>();
  const requests: ScriptedRequest[] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { method = '', url: target = '', headers } = incoming;
      const request = { method, target, headers, body: Buffer.concat(chunks).toString() };
      requests.push(request);
      const reply = script.get(`${method} ${target.split('?')[0]}`);
      if (reply) reply(response, request);
      else sendJson(response, 404, { error: { message: 'not in the script', type: 'x', param: null, code: null } });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;

  return {
    url: `http://127.0.0.1:${port}/v1`,
    requests,
    on: (methodAndPath, reply) => void script.set(methodAndPath, reply),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'req_scripted', ...headers });
  response.end(JSON.stringify(body));
}
