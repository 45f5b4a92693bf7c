// Virtual keys as they are asked for and changed.
import { ChangeRefused } from '../domain/change-refused.ts';
import type { KeyId, UserId } from '../domain/id.ts';
import type { VirtualKey } from '../domain/key.ts';
import { Refusal } from '../domain/refusal.ts';
import type { KeyChanges } from '../keys/keys.ts';
import type { AnswerParts, Answers } from './answers.ts';
import { budgetsByOwner, inlineBudgets } from './budget-answers.ts';
import type { Answer, Call } from './contract.ts';
import { pageAsked } from './input.ts';
import type { keyRoutes } from './key-routes.ts';
import { readLimits, viewKey } from './views.ts';
import { type Visitor, missing, oneOf, sees, teamNamed, teamOfList } from './visitor.ts';

export function keyAnswers({ keys, ledger, clock, isAdminToken }: AnswerParts): Pick<Answers, keyof typeof keyRoutes> {
  const { budgets } = ledger;

  async function viewAll(found: readonly VirtualKey[]): Promise<Answer<'findKey'>[]> {
    const budgetsOf = await budgetsByOwner(
      budgets,
      'keyId',
      found.map(({ id }) => id),
    );
    return found.map((key) => viewKey(key, budgetsOf(key.id), clock.now()));
  }

  async function view(key: VirtualKey | null, id: string): Promise<Answer<'findKey'>> {
    const [viewed] = await viewAll(key === null ? [] : [key]);
    return viewed ?? missing('key', id);
  }

  async function find(id: string, visitor: Visitor): Promise<VirtualKey> {
    const key = await keys.find(id as KeyId);
    if (key === null || key.status === 'deleted' || !sees(visitor, key.teamId)) missing('key', id);
    return key;
  }

  const move =
    (how: 'suspend' | 'resume' | 'revoke') =>
    async ({ id }: { readonly id: string }, visitor: Visitor) => {
      const key = await find(id, visitor);
      return view(await keys[how](key.id, visitor.actor), id);
    };

  /** Whom a key shall name: those of a team name its users alone, and learn of no others. @throws ChangeRefused */
  async function userNamed(body: Call<'updateKey'>['body'], visitor: Visitor): Promise<string | null | undefined> {
    const user = oneOf('user', body.user, body.user_id);
    if (user === undefined || user === null || visitor.teamId === null) return user;
    const found = await keys.users.find(user);
    if (found !== null && found.status !== 'deleted' && found.teamId === visitor.teamId) return user;
    throw new ChangeRefused('unknown', 'user', user, 'give a user’s id or name');
  }

  /** Whoever may try tokens learns which ones there are: that is for those who see all keys. @throws Refusal, ChangeRefused */
  function checkToken(token: string | undefined, { role, teamId }: Visitor): void {
    if (token === undefined) return;
    if (teamId !== null) {
      throw new Refusal('role_not_allowed', `The role ${role} may not choose tokens; leave it out for a new one.`, {
        param: 'token',
      });
    }
    if (!isAdminToken(token)) return;
    throw new ChangeRefused(
      'taken',
      'token',
      '[not shown]',
      'it opens the admin API; give one that is used nowhere else',
    );
  }

  return {
    async createKey({ body }, visitor) {
      checkToken(body.token, visitor);
      const team = await teamNamed(keys, visitor, oneOf('team', body.team, body.team_id));
      const wanted = inlineBudgets(budgets, body.budgets, 'key');
      const { name, token: given } = body;
      const user = await userNamed(body, visitor);
      const settings = { ...changesOf(body), user, name, team: team.id, token: given };
      const { key, token } = await keys.create(settings, visitor.actor);
      try {
        for (const budget of wanted) await budgets.create(budget({ keyId: key.id }), visitor.actor);
      } catch (error) {
        // Its budgets were checked: the store failed. A key without them would open too much.
        await keys.delete(key.id, visitor.actor);
        throw error;
      }
      return { key: await view(key, key.id), token };
    },
    async listKeys({ query }, visitor) {
      // Ids were branded when they were written; one that nobody wrote finds nothing.
      const { data, nextCursor } = await keys.list(pageAsked(query), {
        teamId: teamOfList(visitor, query.team_id),
        userId: query.user_id as UserId | undefined,
        status: query.status,
      });
      return { data: await viewAll(data), next_cursor: nextCursor };
    },
    findKey: async ({ id }, visitor) => view(await find(id, visitor), id),
    async updateKey({ id, body }, visitor) {
      const key = await find(id, visitor);
      const changes = { ...changesOf(body), name: body.name, user: await userNamed(body, visitor) };
      return view(await keys.update(key.id, changes, visitor.actor), id);
    },
    async deleteKey({ id }, visitor) {
      const key = await find(id, visitor);
      await keys.delete(key.id, visitor.actor);
      return { id: key.id, deleted: true };
    },
    async rotateKey({ id, body: { grace_seconds = 0, token } }, visitor) {
      checkToken(token, visitor);
      const { id: keyId } = await find(id, visitor);
      const rotated = await keys.rotate(keyId, { graceMs: Math.round(grace_seconds * 1000), token }, visitor.actor);
      if (rotated === null) missing('key', id);
      return { key: await view(rotated.key, id), token: rotated.token };
    },
    suspendKey: move('suspend'),
    resumeKey: move('resume'),
    revokeKey: move('revoke'),
  };
}

function changesOf(body: Call<'updateKey'>['body']): KeyChanges {
  return {
    models: body.models,
    endpoints: body.endpoints,
    limits: readLimits(body.limits),
    allowedCidrs: body.allowed_cidrs,
    onDisconnect: body.on_disconnect,
    onUnpriced: body.on_unpriced,
    onUnbounded: body.on_unbounded,
    onOverrun: body.on_overrun,
    streamUsage: body.stream_usage,
    tags: body.tags,
    metadata: body.metadata,
    expiresAt: typeof body.expires_at === 'string' ? Date.parse(body.expires_at) : body.expires_at,
  };
}
