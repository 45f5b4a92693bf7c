// Users and their tokens for this API, as they are asked for and changed.
import type { TeamId } from '../domain/id.ts';
import type { User } from '../domain/user.ts';
import type { AnswerParts, Answers } from './answers.ts';
import { budgetsByOwner } from './budget-answers.ts';
import type { Answer, Call } from './contract.ts';
import { pageAsked } from './input.ts';
import type { userRoutes } from './user-routes.ts';
import { readLimits, viewUser } from './views.ts';
import { type Visitor, checkMayGive, missing, oneOf, sees, teamNamed, teamOfList } from './visitor.ts';

export function userAnswers({ keys, ledger }: AnswerParts): Pick<Answers, keyof typeof userRoutes> {
  const { users } = keys;

  async function viewAll(found: readonly User[]): Promise<Answer<'findUser'>[]> {
    const budgetsOf = await budgetsByOwner(
      ledger.budgets,
      'userId',
      found.map(({ id }) => id),
    );
    return found.map((user) => viewUser(user, budgetsOf(user.id)));
  }

  async function view(user: User | null, id: string): Promise<Answer<'findUser'>> {
    const [viewed] = await viewAll(user === null ? [] : [user]);
    return viewed ?? missing('user', id);
  }

  async function find(idOrName: string, visitor: Visitor): Promise<User> {
    const user = await users.find(idOrName);
    if (user === null || user.status === 'deleted' || !sees(visitor, user.teamId)) missing('user', idOrName);
    return user;
  }

  async function findToChange(id: string, visitor: Visitor): Promise<User> {
    const user = await find(id, visitor);
    checkMayGive(visitor, user.role, 'id');
    return user;
  }

  /** Undefined where nothing is said of it. @throws UnknownTeam */
  async function teamOf({ team, team_id }: Call<'updateUser'>['body'], visitor: Visitor) {
    const named = oneOf('team', team, team_id);
    return named === undefined || named === null ? named : (await teamNamed(keys, visitor, named)).id;
  }

  const move =
    (how: 'suspend' | 'resume') =>
    async ({ id }: { readonly id: string }, visitor: Visitor) => {
      const user = await findToChange(id, visitor);
      return view(await users[how](user.id, visitor.actor), id);
    };

  return {
    async createUser({ body }, visitor) {
      const { name, role, limits, metadata } = body;
      checkMayGive(visitor, role, 'role');
      // Those of a team make users of it, whether or not they say so.
      const teamId: TeamId | null | undefined = (await teamOf(body, visitor)) ?? visitor.teamId;
      const user = await users.create({ name, role, teamId, limits: readLimits(limits), metadata }, visitor.actor);
      return view(user, user.id);
    },
    async listUsers({ query }, visitor) {
      const teamId = teamOfList(visitor, query.team_id);
      const { data, nextCursor } = await users.list(pageAsked(query), { teamId, status: query.status });
      return { data: await viewAll(data), next_cursor: nextCursor };
    },
    findUser: async ({ id }, visitor) => view(await find(id, visitor), id),
    async updateUser({ id, body }, visitor) {
      const user = await findToChange(id, visitor);
      const { name, role, limits, metadata } = body;
      if (role !== undefined) checkMayGive(visitor, role, 'role');
      const said = { name, role, teamId: await teamOf(body, visitor), limits: readLimits(limits), metadata };
      return view(await users.update(user.id, said, visitor.actor), id);
    },
    async deleteUser({ id }, visitor) {
      const user = await findToChange(id, visitor);
      await users.delete(user.id, visitor.actor);
      return { id: user.id, deleted: true };
    },
    suspendUser: move('suspend'),
    resumeUser: move('resume'),
    async makeUserToken({ id }, visitor) {
      const user = await findToChange(id, visitor);
      const made = await users.makeAdminToken(user.id, visitor.actor);
      if (made === null) missing('user', id);
      return { user: await view(made.user, id), token: made.token };
    },
    async revokeUserToken({ id }, visitor) {
      const user = await findToChange(id, visitor);
      return view(await users.revokeAdminToken(user.id, visitor.actor), id);
    },
  };
}
