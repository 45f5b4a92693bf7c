// Users: people whom keys may name, and the tokens by which they use the admin API.
import type { Actor, AuditAction } from '../domain/audit.ts';
import { ChangeRefused } from '../domain/change-refused.ts';
import type { Clock } from '../domain/clock.ts';
import { type TeamId, type UserId, newId } from '../domain/id.ts';
import { type Limits, UNLIMITED } from '../domain/limits.ts';
import type { Listed, Page, TeamStore, UserFilter, UserStore } from '../domain/stores.ts';
import type { Role, User } from '../domain/user.ts';
import { MOVES, checkAlive, moved, saidOf } from './moves.ts';
import { checkLimits } from './narrowing.ts';
import { equalHashes, hashToken, isAdminForm, newAdminToken } from './token.ts';

/** What is left out stays as it is, or as it is by default. */
export interface UserChanges {
  readonly name?: string | undefined;
  readonly role?: Role | undefined;
  /** Id of the team that a `team_admin` or `team_member` belongs to. */
  readonly teamId?: TeamId | null | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

export interface NewUser extends UserChanges {
  readonly name: string;
  readonly role: Role;
}

/** Changes are in force here once they resolve. Null for an unknown id. They throw ChangeRefused. */
export interface Users {
  create(user: NewUser, actor: Actor): Promise<User>;
  update(id: UserId, changes: UserChanges, actor: Actor): Promise<User | null>;
  /** Keys that name the user open nothing, nor does the user's token, until the user is resumed. */
  suspend(id: UserId, actor: Actor): Promise<User | null>;
  resume(id: UserId, actor: Actor): Promise<User | null>;
  /** Kept for the history; the name is free again, and keys that name the user never open anything again. */
  delete(id: UserId, actor: Actor): Promise<User | null>;
  /** A token for the admin API in place of any before; it is given this once and kept nowhere. */
  makeAdminToken(id: UserId, actor: Actor): Promise<{ readonly user: User; readonly token: string } | null>;
  revokeAdminToken(id: UserId, actor: Actor): Promise<User | null>;
  /** Who stands behind a token of the admin API; null for one that opens nothing. Asks the store each time. */
  findAdmin(token: string): Promise<User | null>;
  /** By id also one that was deleted. */
  find(idOrName: string): Promise<User | null>;
  list(page: Page, filter: UserFilter): Promise<Listed<User>>;
}

/** @param changed told of a change that was made */
export function openUsers(
  store: UserStore,
  teams: TeamStore,
  clock: Clock,
  changed: (user: User) => Promise<void>,
): Users {
  async function update(id: UserId, action: AuditAction, actor: Actor, change: (user: User) => User) {
    const user = await store.updateUser(id, change, { actor, action });
    if (user !== null) await changed(user);
    return user;
  }

  const move = (id: UserId, how: 'suspend' | 'resume' | 'delete', actor: Actor) =>
    update(id, MOVES[how].action, actor, (user) => {
      const after = moved(user, MOVES[how]);
      return after.status === 'deleted' && after !== user ? { ...after, tokenHash: null } : after;
    });

  async function checkTeam(teamId: TeamId | null | undefined): Promise<void> {
    if (teamId === undefined || teamId === null) return;
    const team = await teams.findTeam(teamId);
    if (team !== null && team.status !== 'deleted') return;
    throw new ChangeRefused('unknown', 'team', teamId, 'give the id of one');
  }

  return {
    async create({ name, role, teamId, limits, metadata }, actor) {
      const createdAt = clock.now();
      const user: User = {
        id: newId('user', createdAt),
        name,
        role,
        teamId: teamId ?? null,
        tokenHash: null,
        tokenHint: null,
        limits: { ...UNLIMITED, ...limits },
        metadata: metadata ?? {},
        status: 'active',
        createdAt,
      };
      checkUser(user);
      await checkTeam(teamId);
      await store.insertUser(user, { actor, action: 'created' });
      return user;
    },
    async update(id, { limits, ...changes }, actor) {
      await checkTeam(changes.teamId);
      return update(id, 'updated', actor, (user) => {
        checkAlive(user);
        const next: User = { ...user, ...saidOf(changes), limits: { ...user.limits, ...limits } };
        checkUser(next);
        return next;
      });
    },
    suspend: (id, actor) => move(id, 'suspend', actor),
    resume: (id, actor) => move(id, 'resume', actor),
    delete: (id, actor) => move(id, 'delete', actor),
    async makeAdminToken(id, actor) {
      const token = newAdminToken();
      const user = await update(id, 'token_made', actor, (before) => {
        checkAlive(before);
        return { ...before, tokenHash: hashToken(token), tokenHint: `...${token.slice(-4)}` };
      });
      return user && { user, token };
    },
    revokeAdminToken: (id, actor) =>
      update(id, 'token_revoked', actor, (user) =>
        user.tokenHash === null ? user : { ...user, tokenHash: null, tokenHint: null },
      ),
    async findAdmin(token) {
      if (!isAdminForm(token)) return null;
      const tokenHash = hashToken(token);
      const user = await store.findUserByTokenHash(tokenHash);
      if (user?.status !== 'active' || user.tokenHash === null) return null;
      return equalHashes(user.tokenHash, tokenHash) ? user : null;
    },
    // Both are strings; a name may look like an id, so both are asked.
    find: async (idOrName) => (await store.findUser(idOrName as UserId)) ?? (await store.findUserByName(idOrName)),
    list: (page, filter) => store.listUsers(page, filter),
  };
}

function checkUser({ role, teamId, limits }: User): void {
  const isOfTeam = role === 'team_admin' || role === 'team_member';
  if (isOfTeam && teamId === null) {
    throw new ChangeRefused('invalid', 'team_id', 'missing', `a ${role} belongs to a team; give its id`);
  }
  if (!isOfTeam && teamId !== null) {
    throw new ChangeRefused('invalid', 'team_id', teamId, `the role ${role} belongs to no team; write null`);
  }
  checkLimits(limits);
}
