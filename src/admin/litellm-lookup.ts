// How LiteLLM's routes reach what is here: through the routes of the contract, as the same visitor, so that roles, checks and audit rows
// are the same. And how they find keys, teams and users by the names that scripts know them by.
import { ChangeRefused } from '../domain/change-refused.ts';
import type { KeyId } from '../domain/id.ts';
import { Refusal } from '../domain/refusal.ts';
import { formOf, hashToken } from '../keys/keys.ts';
import type { AnswerParts, Answers } from './answers.ts';
import {
  type Answer,
  type BodyOf,
  LIST_LIMIT_MAX,
  type QueryOf,
  type Route,
  type RouteName,
  routes,
} from './contract.ts';
import { check } from './input.ts';
import type { BudgetChanges } from './litellm-budgets.ts';
import { type Visitor, checkMayCall, sees } from './visitor.ts';

export type KeyView = Answer<'findKey'>;
export type TeamView = Answer<'findTeam'>;
export type UserView = Answer<'findUser'>;

interface Asked<N extends RouteName> {
  readonly id?: string;
  readonly query?: QueryOf<N>;
  readonly body?: BodyOf<N>;
}

export interface Lookup {
  readonly visitor: Visitor;
  /** A route of the contract. @throws Refusal in LiteLLM's names */
  ask<N extends RouteName>(name: N, asked: Asked<N>): Promise<Answer<N>>;
  /** By its token, its hash or its id. @throws Refusal */
  key(named: string): Promise<KeyView>;
  team(idOrName: string): Promise<TeamView>;
  user(idOrName: string): Promise<UserView>;
  keys(query: QueryOf<'listKeys'>): Promise<readonly KeyView[]>;
  /** The ids that scripts know teams and users by: theirs, where they gave one. */
  teamName(id: string): Promise<string>;
  userName(id: string): Promise<string>;
  /** What `rotateKey` would refuse, before anything else is written. @throws Refusal */
  checkNewToken(token: string): Promise<void>;
}

const HASH = /^[0-9a-f]{64}$/;

/** Those of a team bind keys alone: what else would be written is not, where this is refused. @throws Refusal */
export function checkMayBind({ role, teamId }: Visitor, { made, changed, removed }: BudgetChanges): void {
  if (teamId === null || made.length + changed.length + removed.length === 0) return;
  const message = `The role ${role} makes and changes budgets of its team’s keys only.`;
  throw new Refusal('role_not_allowed', message, { param: 'max_budget' });
}

export function openLookup(
  answers: Answers,
  { keys, isAdminToken }: Pick<AnswerParts, 'keys' | 'isAdminToken'>,
  visitor: Visitor,
): Lookup {
  const ask: Lookup['ask'] = async (name, { id = '', query, body }) => {
    const route: Route = routes[name];
    // The compiler cannot see that a route and its answer bear one name; the type Answers has checked each pair.
    const answer = answers[name] as (call: unknown, visitor: Visitor) => Promise<Answer<typeof name>>;
    try {
      checkMayCall(visitor, route.access);
      return await answer(
        {
          id,
          query: route.query && check(route.query, query ?? {}, 'query parameter'),
          body: route.body && check(route.body, body ?? {}, 'field'),
        },
        visitor,
      );
    } catch (error) {
      throw inTheirNames(error);
    }
  };

  const remembered = new Map<string, Promise<string>>();
  function nameOf(id: string, look: () => Promise<string>): Promise<string> {
    let name = remembered.get(id);
    if (name === undefined) remembered.set(id, (name = look().catch(() => id)));
    return name;
  }

  return {
    visitor,
    ask,
    async key(named) {
      const hash = HASH.test(named) ? named : hashToken(named);
      // Ids were branded when they were written; one that nobody wrote finds nothing.
      const key = (await keys.find(named as KeyId)) ?? (await keys.findByTokenHash(hash));
      if (key !== null && key.status !== 'deleted' && sees(visitor, key.teamId)) return ask('findKey', { id: key.id });
      const message = 'There is no such key; name one by its token, the SHA-256 of it, or its id.';
      throw new Refusal('not_found', message, { param: 'key' });
    },
    team: (id) => ask('findTeam', { id }).catch(meaning('team_id')),
    user: (id) => ask('findUser', { id }).catch(meaning('user_id')),
    async keys(query) {
      const all: KeyView[] = [];
      let cursor: string | null | undefined;
      do {
        const asked = { ...query, limit: String(LIST_LIMIT_MAX), ...(cursor && { cursor }) };
        const page = await ask('listKeys', { query: asked });
        all.push(...page.data);
        cursor = page.next_cursor;
      } while (cursor !== null);
      return all;
    },
    teamName: (id) => nameOf(id, async () => teamIdOf(await ask('findTeam', { id }))),
    userName: (id) => nameOf(id, async () => userIdOf(await ask('findUser', { id }))),
    async checkNewToken(token) {
      const param = 'new_key';
      if (visitor.teamId !== null) {
        const message = `The role ${visitor.role} may not choose tokens; leave new_key out for a new one.`;
        throw new Refusal('role_not_allowed', message, { param });
      }
      if (formOf(token) === null) {
        const message =
          'new_key is [not shown]; give 16 to 256 visible ASCII characters, and none that begin like our own.';
        throw new Refusal('bad_request', message, { param });
      }
      if ((await keys.findByTokenHash(hashToken(token))) === null && !isAdminToken(token)) return;
      throw new Refusal('conflict', 'new_key is a token that is used already; give one that is used nowhere else.', {
        param,
      });
    },
  };
}

/** What scripts gave that has no place of its own here stands in one member of the metadata, and is not shown as such. */
interface Kept {
  readonly team_id?: string;
  readonly team_alias?: string;
  readonly user_id?: string;
  readonly user_email?: string;
  readonly user_alias?: string;
}
export const KEPT = 'litellm';

export function keptOf({ metadata }: { readonly metadata: Readonly<Record<string, unknown>> }): Kept {
  const kept = metadata[KEPT];
  return typeof kept === 'object' && kept !== null ? kept : {};
}

export function teamIdOf(team: TeamView): string {
  return keptOf(team).team_id ?? team.id;
}

export function userIdOf(user: UserView): string {
  return keptOf(user).user_id ?? user.id;
}

/** What is not there was named in a field of the request, not in its path. */
function meaning(param: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof Refusal) throw new Refusal(error.code, error.message, { param, cause: error });
    throw error;
  };
}

/** What the contract calls otherwise than LiteLLM does. */
const THEIRS: Readonly<Record<string, string>> = {
  'limits.requests_per_minute': 'rpm_limit',
  'limits.tokens_per_minute': 'tpm_limit',
  'limits.concurrent_exchanges': 'max_parallel_requests',
  endpoints: 'allowed_routes',
  expires_at: 'duration',
  grace_seconds: 'grace_period',
  limit_usd: 'max_budget',
  name: 'key_alias, team_alias or user_id',
  role: 'user_role',
  team: 'team_id',
  token: 'key',
  user: 'user_id',
};

function inTheirNames(error: unknown): unknown {
  if (error instanceof ChangeRefused) {
    const { code, value, allowed } = error;
    const field = theirName(error.field);
    return field === error.field ? error : new ChangeRefused(code, field, value, allowed);
  }
  if (!(error instanceof Refusal) || error.param === null) return error;
  const param = theirName(error.param);
  const message = error.message.replace(/^[\w.[\]]+(?=:? )/, theirName);
  return new Refusal(error.code, message, { param, cause: error });
}

function theirName(field: string): string {
  const bare = field.replace(/^budgets\[\d+\]\./, '');
  return THEIRS[bare] ?? bare;
}
