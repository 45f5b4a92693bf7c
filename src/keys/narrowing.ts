// What a team, a key or a user may be given: every value has its form, and a key only narrows its team.
import { ChangeRefused } from '../domain/change-refused.ts';
import type { Endpoint } from '../domain/endpoint.ts';
import type { VirtualKey } from '../domain/key.ts';
import type { Limits } from '../domain/limits.ts';
import type { Team } from '../domain/team.ts';
import { isNarrower, ruleFault } from './endpoint-rules.ts';
import { networkFault } from './networks.ts';
import { covers } from './patterns.ts';

type Scoped = Pick<Team, 'models' | 'endpoints' | 'limits'>;

const LIMIT_FIELDS = {
  requestsPerMinute: 'requests_per_minute',
  tokensPerMinute: 'tokens_per_minute',
  concurrentExchanges: 'concurrent_exchanges',
  concurrentStreams: 'concurrent_streams',
  concurrentSockets: 'concurrent_sockets',
} as const satisfies Record<keyof Limits, string>;

const MODEL_FORM = /^[!-~]{1,200}$/;

/** @throws ChangeRefused for a value without meaning */
export function checkScopes({ models, endpoints, limits }: Scoped, rows: readonly Endpoint[]): void {
  if (models.length === 0)
    refuse('invalid', 'models', '[]', 'name at least one pattern, such as "gpt-*", or "*" for all');
  for (const model of models) {
    if (!MODEL_FORM.test(model)) refuse('invalid', 'models', model, 'write names or patterns such as "gpt-*"');
  }
  if (endpoints.length === 0) {
    refuse('invalid', 'endpoints', '[]', 'name at least one group, such as "chat", or "*" for all but "admin"');
  }
  for (const rule of endpoints) {
    const fault = ruleFault(rule, rows);
    if (fault !== null) refuse('invalid', 'endpoints', rule, fault);
  }
  checkLimits(limits);
}

/** @throws ChangeRefused */
export function checkLimits(limits: Limits): void {
  for (const [name, limit] of entriesOf(limits)) {
    if (limit === null || (Number.isSafeInteger(limit) && limit > 0)) continue;
    refuse(
      'invalid',
      `limits.${LIMIT_FIELDS[name]}`,
      String(limit),
      'write a whole number above 0, or null for unlimited',
    );
  }
}

/** @throws ChangeRefused where the key would open more than its team allows, or says what means nothing */
export function checkKey(key: VirtualKey, team: Team, rows: readonly Endpoint[]): void {
  checkScopes(key, rows);
  for (const network of key.allowedCidrs) {
    const fault = networkFault(network);
    if (fault !== null) refuse('invalid', 'allowed_cidrs', network, fault);
  }
  checkNarrows(key, team, rows);
}

function checkNarrows(key: Scoped, team: Team, rows: readonly Endpoint[]): void {
  for (const model of key.models) {
    if (model === '*' || team.models.some((pattern) => covers(pattern, model))) continue;
    refuse('wider', 'models', model, `the team "${team.name}" allows ${team.models.join(', ')}`);
  }
  for (const rule of key.endpoints) {
    if (isNarrower(rule, team.endpoints, rows)) continue;
    refuse('wider', 'endpoints', rule, `the team "${team.name}" allows ${team.endpoints.join(', ')}`);
  }
  for (const [name, limit] of entriesOf(key.limits)) {
    const most = team.limits[name];
    if (limit === null || most === null || limit <= most) continue;
    refuse('wider', `limits.${LIMIT_FIELDS[name]}`, String(limit), `the team "${team.name}" allows at most ${most}`);
  }
}

function entriesOf(limits: Limits): [keyof Limits, number | null][] {
  // The members are those of the type: nobody else writes limits.
  return Object.entries(limits) as [keyof Limits, number | null][];
}

function refuse(...details: ConstructorParameters<typeof ChangeRefused>): never {
  throw new ChangeRefused(...details);
}
