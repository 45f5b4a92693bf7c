// Teams as they are asked for and changed.
import type { TeamId } from '../domain/id.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Team } from '../domain/team.ts';
import type { AnswerParts, Answers } from './answers.ts';
import { budgetsByOwner, inlineBudgets } from './budget-answers.ts';
import type { Answer, Call } from './contract.ts';
import { pageAsked } from './input.ts';
import type { teamRoutes } from './team-routes.ts';
import { readLimits, viewTeam } from './views.ts';
import { type Visitor, missing, sees } from './visitor.ts';

/** What a team's own people may change of it: nothing that widens what it may, or whose budget counts it. */
const OWN_FIELDS: readonly string[] = ['metadata'];

export function teamAnswers({ keys, ledger: { budgets } }: AnswerParts): Pick<Answers, keyof typeof teamRoutes> {
  const { teams } = keys;

  async function viewAll(found: readonly Team[]): Promise<Answer<'findTeam'>[]> {
    const budgetsOf = await budgetsByOwner(
      budgets,
      'teamId',
      found.map(({ id }) => id),
    );
    return found.map((team) => viewTeam(team, budgetsOf(team.id)));
  }

  async function view(team: Team | null, id: string): Promise<Answer<'findTeam'>> {
    const [viewed] = await viewAll(team === null ? [] : [team]);
    return viewed ?? missing('team', id);
  }

  async function find(idOrName: string, visitor: Visitor): Promise<Team> {
    const team = await teams.find(idOrName);
    if (team === null || team.status === 'deleted' || !sees(visitor, team.id)) missing('team', idOrName);
    return team;
  }

  const move =
    (how: 'suspend' | 'resume') =>
    async ({ id }: { readonly id: string }, visitor: Visitor) => {
      const team = await find(id, visitor);
      return view(await teams[how](team.id, visitor.actor), id);
    };

  return {
    async createTeam({ body }, { actor }) {
      const wanted = inlineBudgets(budgets, body.budgets, 'team');
      const team = await teams.create({ ...changesOf(body), name: body.name }, actor);
      try {
        for (const budget of wanted) await budgets.create(budget({ teamId: team.id }), actor);
      } catch (error) {
        // Its budgets were checked: the store failed. A team without them could spend too much.
        await teams.delete(team.id, actor);
        throw error;
      }
      return view(team, team.id);
    },
    async listTeams({ query }, visitor) {
      if (visitor.teamId !== null) return { data: await onlyTeam(visitor.teamId, query), next_cursor: null };
      const { data, nextCursor } = await teams.list(pageAsked(query), { status: query.status });
      return { data: await viewAll(data), next_cursor: nextCursor };
    },
    findTeam: async ({ id }, visitor) => view(await find(id, visitor), id),
    async updateTeam({ id, body }, visitor) {
      const team = await find(id, visitor);
      if (visitor.teamId !== null) checkOwnFields(body, visitor);
      return view(await teams.update(team.id, { ...changesOf(body), name: body.name }, visitor.actor), id);
    },
    async deleteTeam({ id }, visitor) {
      const team = await find(id, visitor);
      await teams.delete(team.id, visitor.actor);
      return { id: team.id, deleted: true };
    },
    suspendTeam: move('suspend'),
    resumeTeam: move('resume'),
  };

  /** The list of who sees one team. */
  async function onlyTeam(id: TeamId, { status, cursor }: Call<'listTeams'>['query']) {
    const team = await teams.find(id);
    const isAsked = status === undefined ? team?.status !== 'deleted' : team?.status === status;
    return team === null || !isAsked || (cursor !== undefined && team.id >= cursor) ? [] : viewAll([team]);
  }
}

/** @throws Refusal */
function checkOwnFields(body: object, { role }: Visitor): void {
  const beyond = Object.keys(body).find((field) => !OWN_FIELDS.includes(field));
  if (beyond === undefined) return;
  throw new Refusal(
    'role_not_allowed',
    `The role ${role} may not change ${beyond} of its team, but ${OWN_FIELDS.join()}.`,
    {
      param: beyond,
    },
  );
}

function changesOf({ models, endpoints, limits, tags, metadata }: Call<'updateTeam'>['body']) {
  return { models, endpoints, limits: readLimits(limits), tags, metadata };
}
