// Judges every answer and every event of the Assistants API, by our own schemas always and by OpenAI's where they are at hand.
import assert from 'node:assert/strict';

import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';
import { faultOfAnswer, faultOfEvent } from './assistant-answers.ts';
import { type Description, readDescription } from './openapi.ts';

let description: Description | null | undefined;

/** @param path below `/v1`, without its query */
export function judgeAnswer(method: string, path: string, status: number, body: unknown): void {
  const template = templateOf(method, path);
  if (template === null) return;
  assert.equal(faultOfAnswer(status, `${method} ${template}`, body), null, `${method} ${path}`);
  if (status !== 200) return;
  description ??= readDescription();
  assert.equal(
    description?.judgeReply(method, template, body) ?? null,
    null,
    `${method} ${path}, by OpenAI's description`,
  );
}

export function judgeEvent(event: string, data: unknown): void {
  assert.equal(faultOfEvent(event, data), null, event);
  description ??= readDescription();
  assert.equal(description?.judgeEvent(event, data) ?? null, null, `${event}, by OpenAI's description`);
}

function templateOf(method: string, path: string): string | null {
  const segments = path.split('/');
  const row = ENDPOINTS.filter((endpoint) => endpoint.emulated && endpoint.method === method)
    .map((endpoint) => endpoint.path.slice('/v1'.length))
    .filter((template) => template.split('/').length === segments.length)
    .toSorted((a, b) => a.split('{').length - b.split('{').length)
    .find((template) => template.split('/').every((part, i) => part.startsWith('{') || part === segments[i]));
  return row ?? null;
}
