// LiteLLM's /team/*.
import type { BodyOf } from './contract.ts';
import { changedBudgets, newBudgets } from './litellm-budgets.ts';
import { KEPT, type Lookup, type TeamView, checkMayBind, keptOf, teamIdOf } from './litellm-lookup.ts';
import { LitellmReply } from './litellm-reply.ts';
import { keyInfo, spentBy, teamInfo } from './litellm-views.ts';
import { limitsOf, modelsOf, tagsOf } from './litellm-written.ts';
import type { LitellmAnswers, LitellmCall } from './litellm.ts';
import { saidOf } from './views.ts';
import { checkMayCall } from './visitor.ts';

type TeamNames =
  | 'litellmNewTeam'
  | 'litellmUpdateTeam'
  | 'litellmFindTeam'
  | 'litellmListTeams'
  | 'litellmDeleteTeams'
  | 'litellmBlockTeam'
  | 'litellmUnblockTeam';

export function litellmTeams(): Pick<LitellmAnswers, TeamNames> {
  const move = async (how: 'suspendTeam' | 'resumeTeam', named: string, look: Lookup) => {
    const { id } = await look.team(named);
    return new LitellmReply(await viewOne(await look.ask(how, { id }), look));
  };

  return {
    async litellmNewTeam({ body }, look) {
      const { team_id, team_alias, metadata } = body;
      const kept = saidOf({ team_id: team_id ?? undefined, team_alias: (team_id && team_alias) ?? undefined });
      const made = await look.ask('createTeam', {
        body: saidOf({
          // One of them is there: the schema says so.
          name: team_id ?? team_alias ?? '',
          models: modelsOf(body.models),
          limits: limitsOf(body),
          metadata: { ...metadata, ...(team_id && { [KEPT]: kept }) },
          tags: tagsOf(body.tags, metadata),
          budgets: newBudgets(body),
        }) as BodyOf<'createTeam'>,
      });
      const team = body.blocked === true ? await look.ask('suspendTeam', { id: made.id }) : made;
      return new LitellmReply(await viewOne(team, look), idleDuration(body));
    },
    async litellmUpdateTeam({ body }, look) {
      const team = await look.team(body.team_id);
      await change(team, body, look);
      const data = await viewOne(await look.ask('findTeam', { id: team.id }), look);
      return new LitellmReply({ team_id: data.team_id, data });
    },
    async litellmFindTeam({ query }, look) {
      const team = await look.team(query.team_id);
      const keys = await look.keys({ team_id: team.id });
      const spent = await spentBy(look, 'key', keys);
      return new LitellmReply({
        team_id: teamIdOf(team),
        team_info: await viewOne(team, look),
        keys: await Promise.all(keys.map((key) => keyInfo(key, look, spent))),
        team_memberships: [],
      });
    },
    async litellmListTeams({ query }, look) {
      const teams = query.user_id === undefined ? await allTeams(look) : await teamsOfUser(query.user_id, look);
      const spent = await spentBy(look, 'team', teams);
      return new LitellmReply(teams.map((team) => teamInfo(team, spent)));
    },
    async litellmDeleteTeams({ body }, look) {
      // All are looked for before the first is deleted.
      const teams = await Promise.all(body.team_ids.map(look.team));
      for (const { id } of teams) await look.ask('deleteTeam', { id });
      return new LitellmReply({ deleted_teams: teams.map(teamIdOf) });
    },
    litellmBlockTeam: ({ body }, look) => move('suspendTeam', body.team_id, look),
    litellmUnblockTeam: ({ body }, look) => move('resumeTeam', body.team_id, look),
  };
}

async function change(team: TeamView, body: LitellmCall<'litellmUpdateTeam'>['body'], look: Lookup): Promise<void> {
  const { metadata, team_alias } = body;
  const kept = keptOf(team);
  const isTheirs = kept.team_id !== undefined;
  // What a script calls the team by stays: only what it shows changes.
  const keeps =
    isTheirs && (typeof team_alias === 'string' || metadata) ? { ...kept, ...(team_alias && { team_alias }) } : null;
  const { [KEPT]: _kept, ...before } = team.metadata;
  const changes = saidOf({
    name: isTheirs ? undefined : (team_alias ?? undefined),
    models: modelsOf(body.models),
    limits: limitsOf(body),
    metadata: keeps === null ? (metadata ?? undefined) : { ...(metadata ?? before), [KEPT]: keeps },
    tags: tagsOf(body.tags, metadata),
  }) as BodyOf<'updateTeam'>;
  const budgets = changedBudgets(body, 'team', team.budgets, null);
  checkMayBind(look.visitor, budgets);
  if (typeof body.blocked === 'boolean') checkMayCall(look.visitor, 'change');
  if (Object.keys(changes).length > 0) await look.ask('updateTeam', { id: team.id, body: changes });
  for (const each of budgets.changed) await look.ask('updateBudget', each);
  for (const each of budgets.made) await look.ask('createBudget', { body: { ...each, team_id: team.id } });
  for (const id of budgets.removed) await look.ask('deleteBudget', { id });
  if (typeof body.blocked === 'boolean') await look.ask(body.blocked ? 'suspendTeam' : 'resumeTeam', { id: team.id });
}

/** A period without a budget is of no use. */
function idleDuration({ budget_duration, max_budget, soft_budget }: LitellmCall<'litellmNewTeam'>['body']): string[] {
  const isIdle =
    typeof budget_duration === 'string' && typeof max_budget !== 'number' && typeof soft_budget !== 'number';
  return isIdle ? ['budget_duration'] : [];
}

async function allTeams(look: Lookup): Promise<TeamView[]> {
  const all: TeamView[] = [];
  let cursor: string | null | undefined;
  do {
    const page = await look.ask('listTeams', { query: { limit: '1000', ...(cursor && { cursor }) } });
    all.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return all;
}

async function teamsOfUser(named: string, look: Lookup): Promise<TeamView[]> {
  const { team_id } = await look.user(named);
  return team_id === null ? [] : [await look.team(team_id)];
}

async function viewOne(team: TeamView, look: Lookup) {
  return teamInfo(team, await spentBy(look, 'team', [team]));
}
