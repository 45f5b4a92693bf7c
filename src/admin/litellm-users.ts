// LiteLLM's /user/*.
import type { Clock } from '../domain/clock.ts';
import type { BodyOf } from './contract.ts';
import { changedBudgets, newBudgets } from './litellm-budgets.ts';
import { makeKey } from './litellm-keys.ts';
import { KEPT, type Lookup, type UserView, checkMayBind, keptOf, userIdOf } from './litellm-lookup.ts';
import { LitellmReply } from './litellm-reply.ts';
import { keyInfo, spentBy, teamInfo, userInfo } from './litellm-views.ts';
import { limitsOf } from './litellm-written.ts';
import type { LitellmAnswers, LitellmCall } from './litellm.ts';
import { saidOf } from './views.ts';

type UserNames = 'litellmNewUser' | 'litellmFindUser' | 'litellmUpdateUser' | 'litellmListUsers';
type NewUser = LitellmCall<'litellmNewUser'>['body'];
type Written = Pick<NewUser, 'user_role' | 'teams' | 'team_id' | 'user_id' | 'user_email' | 'user_alias'>;

export function litellmUsers(clock: Clock): Pick<LitellmAnswers, UserNames> {
  return {
    async litellmNewUser({ body }, look) {
      const team = teamNamed(body);
      const kept = saidOf({
        user_id: body.user_id ?? undefined,
        user_email: body.user_email ?? undefined,
        user_alias: body.user_alias ?? undefined,
      });
      const user = await look.ask('createUser', {
        body: saidOf({
          // One of them is there: the schema says so.
          name: body.user_id ?? body.user_email ?? body.user_alias ?? '',
          role: roleOf(body.user_role, team ?? look.visitor.teamId),
          team,
          limits: limitsOf(body),
          metadata: { ...body.metadata, [KEPT]: kept },
        }) as BodyOf<'createUser'>,
      });
      try {
        for (const each of newBudgets(body)) await look.ask('createBudget', { body: { ...each, user_id: user.id } });
        const token = body.auto_create_key === false ? null : await makeKeyFor(user, body, look);
        const info = await viewOne(await look.ask('findUser', { id: user.id }), look);
        return new LitellmReply({ ...info, key: token }, [
          ...(body.models?.length ? ['models'] : []),
          ...idleDuration(body),
        ]);
      } catch (error) {
        // All or nothing.
        await look.ask('deleteUser', { id: user.id });
        throw error;
      }
    },
    async litellmFindUser({ query }, look) {
      const user = await look.user(query.user_id);
      const keys = await look.keys({ user_id: user.id });
      const spent = await spentBy(look, 'key', keys);
      const teams = user.team_id === null ? [] : [await look.team(user.team_id)];
      const spentByTeams = await spentBy(look, 'team', teams);
      return new LitellmReply({
        user_id: userIdOf(user),
        user_info: await viewOne(user, look),
        keys: await Promise.all(keys.map((key) => keyInfo(key, look, spent))),
        teams: teams.map((team) => teamInfo(team, spentByTeams)),
      });
    },
    async litellmUpdateUser({ body }, look) {
      const user = await look.user(body.user_id ?? body.user_email ?? '');
      await change(user, body, look);
      const data = await viewOne(await look.ask('findUser', { id: user.id }), look);
      return new LitellmReply({ user_id: data.user_id, data });
    },
    async litellmListUsers({ query: { page = 1, page_size = 25 } }, look) {
      const all = await allUsers(look);
      const shown = all.slice((page - 1) * page_size, page * page_size);
      const spent = await spentBy(look, 'user', shown);
      const users = await Promise.all(shown.map((user) => userInfo(user, look, spent)));
      const total_pages = Math.ceil(all.length / page_size);
      return new LitellmReply({ users, total: all.length, page, page_size, total_pages });
    },
  };

  async function makeKeyFor(user: UserView, body: NewUser, look: Lookup): Promise<string> {
    // Users have no models of their own: without these the key would open more than was asked for.
    const { key_alias, duration, models } = body;
    const team_id = user.team_id ?? undefined;
    const { token } = await makeKey({ key_alias, duration, models, team_id, user_id: user.id }, look, clock);
    return token;
  }
}

async function change(user: UserView, body: LitellmCall<'litellmUpdateUser'>['body'], look: Lookup): Promise<void> {
  const team = teamNamed(body);
  const { metadata, user_role, user_alias } = body;
  // An address that names the user is no change of it.
  const email = body.user_id === undefined || body.user_id === null ? undefined : (body.user_email ?? undefined);
  const kept = { ...keptOf(user), ...saidOf({ user_email: email, user_alias: user_alias ?? undefined }) };
  const isKept = email !== undefined || typeof user_alias === 'string' || metadata;
  const isMoved = team !== undefined || typeof user_role === 'string';
  const role = isMoved ? roleOf(user_role, team ?? user.team_id) : undefined;
  const isOfTeam = role === 'team_member';
  const { [KEPT]: _kept, ...before } = user.metadata;
  const changes = saidOf({
    role,
    team: role === undefined ? undefined : isOfTeam ? (team ?? user.team_id) : (team ?? null),
    limits: limitsOf(body),
    metadata: isKept ? { ...(metadata ?? before), [KEPT]: kept } : undefined,
  }) as BodyOf<'updateUser'>;
  const budgets = changedBudgets(body, 'user', user.budgets, null);
  checkMayBind(look.visitor, budgets);
  if (Object.keys(changes).length > 0) await look.ask('updateUser', { id: user.id, body: changes });
  for (const each of budgets.changed) await look.ask('updateBudget', each);
  for (const each of budgets.made) await look.ask('createBudget', { body: { ...each, user_id: user.id } });
  for (const id of budgets.removed) await look.ask('deleteBudget', { id });
}

function teamNamed({ team_id, teams }: Written): string | undefined {
  return team_id ?? teams?.[0];
}

function roleOf(role: Written['user_role'], team: string | null | undefined) {
  if (role === 'proxy_admin') return 'admin';
  if (role === 'proxy_admin_viewer') return 'viewer';
  // Someone of no team can only be a viewer, which matters to whoever holds a token for the admin API.
  return team === null || team === undefined ? 'viewer' : 'team_member';
}

function idleDuration({ budget_duration, max_budget, soft_budget }: NewUser): string[] {
  const isIdle =
    typeof budget_duration === 'string' && typeof max_budget !== 'number' && typeof soft_budget !== 'number';
  return isIdle ? ['budget_duration'] : [];
}

async function allUsers(look: Lookup): Promise<UserView[]> {
  const all: UserView[] = [];
  let cursor: string | null | undefined;
  do {
    const page = await look.ask('listUsers', { query: { limit: '1000', ...(cursor && { cursor }) } });
    all.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return all;
}

async function viewOne(user: UserView, look: Lookup) {
  return userInfo(user, look, await spentBy(look, 'user', [user]));
}
