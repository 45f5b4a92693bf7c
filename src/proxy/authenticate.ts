// Who is calling: the virtual key of an arrival, wherever a client may put it.
import type { Caller } from '../domain/key.ts';
import { Refusal } from '../domain/refusal.ts';
import { headerValue, headerValues } from '../http/headers.ts';
import { hasKeyInQuery } from '../http/target.ts';
import type { Keys } from '../keys/keys.ts';

/** Browsers cannot set headers on a WebSocket; OpenAI lets them put the key into a subprotocol of this prefix. */
export const KEY_SUBPROTOCOL = 'openai-insecure-api-key.';

const HOW = 'Send a virtual key as "Authorization: Bearer sk-tw-...".';

/**
 * @param subprotocols those a WebSocket handshake offers
 * @throws Refusal (also from the promise) where no key is given, or one that opens nothing
 */
export function authenticate(
  keys: Keys,
  target: string,
  raw: readonly string[],
  subprotocols: readonly string[] = [],
): Caller | Promise<Caller> {
  const token = tokenOf(target, raw, subprotocols);
  const found = keys.findCaller(token);
  return found instanceof Promise ? found.then(known) : known(found);
}

function known(caller: Caller | null): Caller {
  if (caller !== null) return caller;
  throw new Refusal(
    'invalid_api_key',
    `The virtual key is unknown, revoked or expired. ${HOW} The operator makes keys with: throughway keys create.`,
  );
}

function tokenOf(target: string, raw: readonly string[], subprotocols: readonly string[]): string {
  if (hasKeyInQuery(target)) {
    throw new Refusal('invalid_api_key', `A key in a query string is not accepted: it would end up in logs. ${HOW}`);
  }
  const authorizations = headerValues(raw, 'authorization');
  if (authorizations.length > 1) {
    throw new Refusal('duplicate_authorization', 'The request has more than one Authorization header; send one.', {
      param: 'authorization',
    });
  }
  const authorization = authorizations[0];
  if (authorization !== undefined) {
    const token = /^Bearer ([^\s]+)$/i.exec(authorization)?.[1];
    if (token === undefined)
      throw new Refusal('invalid_api_key', `The Authorization header holds no bearer token. ${HOW}`);
    return token;
  }
  const token =
    headerValue(raw, 'x-api-key') ??
    headerValue(raw, 'api-key') ??
    subprotocols.find((protocol) => protocol.startsWith(KEY_SUBPROTOCOL))?.slice(KEY_SUBPROTOCOL.length);
  if (!token) throw new Refusal('invalid_api_key', `The request holds no API key. ${HOW}`);
  return token;
}
