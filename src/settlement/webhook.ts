// OpenAI's webhooks: who sent one is told by its signature (Standard Webhooks), and what it says is only taken as a hint to look.
import { createHmac, timingSafeEqual } from 'node:crypto';

import { Refusal } from '../domain/refusal.ts';
import { headerValue } from '../http/headers.ts';

/** How far a webhook's time may be from ours: an old one may have been overheard. */
const WINDOW_SECONDS = 300;
/** Ids that are remembered, so that one that comes twice is looked at once. */
const IDS_MAX = 10_000;
const SECRET_PREFIX = 'whsec_';

export interface WebhookEvent {
  readonly type: string;
  /** Of the object that it is about; null where it names none. */
  readonly objectId: string | null;
}

export interface WebhookInbox {
  /** @returns null for one that came before. @throws Refusal where it is not OpenAI's, not of now, or not a webhook */
  open(rawHeaders: readonly string[], body: Buffer, nowMs: number): WebhookEvent | null;
}

export function openInbox(secret: string): WebhookInbox {
  const key = Buffer.from(secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : secret, 'base64');
  const seen = new Set<string>();

  return {
    open(rawHeaders, body, nowMs) {
      const id = headerValue(rawHeaders, 'webhook-id');
      const timestamp = headerValue(rawHeaders, 'webhook-timestamp');
      const signatures = headerValue(rawHeaders, 'webhook-signature');
      if (!id || !timestamp || !signatures) {
        throw new Refusal('bad_request', 'A webhook brings webhook-id, webhook-timestamp and webhook-signature.');
      }
      const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
      if (!isSigned(signatures, expected)) {
        throw new Refusal('invalid_api_key', 'The signature is not that of webhooks.openaiSecret.');
      }
      const apartSeconds = Math.abs(nowMs / 1000 - Number(timestamp));
      if (!/^\d{1,12}$/.test(timestamp) || apartSeconds > WINDOW_SECONDS) {
        throw new Refusal('bad_request', `The webhook is more than ${WINDOW_SECONDS} s old, or ahead of this clock.`);
      }
      if (seen.has(id)) return null;
      const event = readEvent(body);
      // Remembered in the order in which they came: the first goes first.
      if (seen.size >= IDS_MAX) for (const first of seen) if (seen.delete(first)) break;
      seen.add(id);
      return event;
    },
  };
}

/** One of several, while a secret is being changed. */
function isSigned(signatures: string, expected: Buffer): boolean {
  let isFound = false;
  for (const signature of signatures.split(' ')) {
    const [version, text = ''] = signature.split(',', 2);
    const told = Buffer.from(text, 'base64');
    if (version === 'v1' && told.length === expected.length && timingSafeEqual(told, expected)) isFound = true;
  }
  return isFound;
}

function readEvent(body: Buffer): WebhookEvent {
  try {
    // What it holds is checked member by member.
    const event = JSON.parse(body.toString('utf8')) as { type?: unknown; data?: { id?: unknown } } | null;
    if (typeof event?.type === 'string') {
      const id = event.data?.id;
      return { type: event.type, objectId: typeof id === 'string' ? id : null };
    }
  } catch {
    // Said below.
  }
  throw new Refusal('bad_request', 'The body of a webhook is JSON with a type.');
}
