// An upstream whose model says what a test tells it to, one turn after the other.
import type { ServerResponse } from 'node:http';

import { sendJson, startScriptedUpstream } from '../sdk/scripted-upstream.ts';
import type { ScriptedUpstream } from '../sdk/scripted-upstream.ts';
import { responseEvents } from '../support/responses-script.ts';
import type { Json, ScriptItem, ScriptOptions } from '../support/responses-script.ts';

export interface PlayedTurn {
  readonly items: readonly ScriptItem[];
  readonly options?: ScriptOptions;
  /** The stream stands still before its first event of this type, until the turn is released or the gateway leaves. */
  readonly holdBefore?: string;
}

export interface HeldTurn {
  /** Resolves when the stream stands still. */
  readonly reached: Promise<void>;
  /** Resolves when the gateway has closed the connection. */
  readonly left: Promise<void>;
  release(): void;
}

export interface PlayedModel {
  readonly upstream: ScriptedUpstream;
  /** Adds to what will be answered. */
  play(...turns: PlayedTurn[]): void;
  hold(turn: PlayedTurn): HeldTurn;
  /** Adds an error in place of a turn. */
  fail(status: number, error: Json): void;
  /** Bodies of the model calls since the last look. */
  asked(): Json[];
  close(): Promise<void>;
}

export async function startPlayedModel(): Promise<PlayedModel> {
  const upstream = await startScriptedUpstream();
  const turns: ((reply: ServerResponse) => void)[] = [];
  upstream.on('POST /v1/responses', (reply) => {
    const turn = turns.shift();
    if (turn) turn(reply);
    else sendJson(reply, 400, { error: { message: 'The script is at its end.', type: 'invalid_request_error' } });
  });

  return {
    upstream,
    play(...played) {
      for (const { items, options } of played) {
        turns.push((reply) => {
          writeEvents(reply, responseEvents(items, options));
          reply.end();
        });
      }
    },
    hold({ items, options, holdBefore }) {
      const reached = Promise.withResolvers<void>();
      const left = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      turns.push((reply) => {
        const events = responseEvents(items, options);
        const stop = events.findIndex(({ type }) => type === holdBefore);
        if (stop < 0) throw new Error(`there is no ${holdBefore} to stand still before`);
        reply.once('close', left.resolve);
        writeEvents(reply, events.slice(0, stop));
        reached.resolve();
        void released.promise.then(() => {
          writeEvents(reply, events.slice(stop));
          reply.end();
        });
      });
      return { reached: reached.promise, left: left.promise, release: () => released.resolve() };
    },
    fail: (status, error) => void turns.push((reply) => sendJson(reply, status, { error })),
    asked: () => upstream.requests.splice(0).map(({ body }) => JSON.parse(body) as Json),
    close: () => upstream.close(),
  };
}

function writeEvents(reply: ServerResponse, events: readonly Json[]): void {
  if (!reply.headersSent) reply.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of events) reply.write(`event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`);
}
