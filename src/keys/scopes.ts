// What a caller may: what its key allows and its team allows too. A team that was narrowed after the key was made binds at once.
import type { Endpoint, EndpointGroup } from '../domain/endpoint.ts';
import type { Caller } from '../domain/key.ts';
import { type EndpointRules, rulesOf } from './endpoint-rules.ts';
import { networksOf } from './networks.ts';
import { matcherOf } from './patterns.ts';

interface Scopes {
  /** Null where any model may be called. */
  readonly models: ((model: string) => boolean) | null;
  readonly endpoints: readonly EndpointRules[];
  /** Null where it may be used from anywhere. */
  readonly networks: ((address: string) => boolean) | null;
}

/** Prepared at the first question and gone with the caller. */
const scopesOfCallers = new WeakMap<Caller, Scopes>();

/** @param model null where it could not be established: then only who may call any model may go on */
export function mayCallModel(caller: Caller, model: string | null): boolean {
  const { models } = scopesOf(caller);
  return models === null || (model !== null && models(model));
}

/** @param path raw, without its query; @param group undefined for a path of no known group */
export function mayCallEndpoint(
  caller: Caller,
  endpoint: Endpoint | undefined,
  group: EndpointGroup | undefined,
  method: string,
  path: string,
): boolean {
  for (const rules of scopesOf(caller).endpoints) if (!rules.allow(endpoint, group, method, path)) return false;
  return true;
}

export function mayCallFrom(caller: Caller, address: string): boolean {
  const { networks } = scopesOf(caller);
  return networks === null || networks(address);
}

function scopesOf(caller: Caller): Scopes {
  let scopes = scopesOfCallers.get(caller);
  if (scopes === undefined) scopesOfCallers.set(caller, (scopes = prepare(caller)));
  return scopes;
}

function prepare({ team, key }: Caller): Scopes {
  const restricting = [team.models, key.models].filter((models) => !models.includes('*')).map(matcherOf);
  return {
    models: restricting.length === 0 ? null : (model) => restricting.every((matches) => matches(model)),
    endpoints: [rulesOf(team.endpoints), rulesOf(key.endpoints)],
    networks: key.allowedCidrs.length === 0 ? null : networksOf(key.allowedCidrs),
  };
}
